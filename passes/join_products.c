/* join_products: products of the same rows, one after the other, become one kernel.
 *
 *     q = rms_norm(x) @ wq.T                 After   one kernel: a block of rows is normed, rounded
 *     k = rms_norm(x) @ wk.T                         and packed once, then all three pass by it
 *     v = rms_norm(x) @ wv.T
 *
 * Each stays a node of its own, with its own columns, shares and results: what it says is that its
 * rows are made of the same values by the same operations as those of the kernel before it, that a
 * thread has the same rows of both, that no thread waits in between, and that none of them writes
 * what another one reads or writes, as they take turns at every block of rows.
 *
 * Runs after open_shares: a kernel whose parts any thread may take stays alone, waiting for the
 * slowest thread costs more than rows that are packed again. Changes nothing but the attribute
 * `joined`. */
#include "passes/join_products.h"
#include "passes/access.h"
#include "passes/footprint.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include "passes/values.h"

#include <string.h>

enum { MOST_VALUES = 256 }; /* that rows are made of */

/* The kernel's one product; NULL: it has none, or two. */
static const ir_node *product_of(const ir_node *kernel)
{
    bool product =
        kernel->op == IR_OP_kernel && strcmp(ir_node_str(kernel, IR_ATTR_family), "contract") == 0;
    return product ? ir_graph_only(kernel->bodies[0], IR_OP_contract) : NULL;
}

/* Two kernels whose bodies are compared. */
typedef struct pair {
    const ir_node *x, *y;
    uint32_t left; /* values to look at: what is met on many ways is looked at as often */
} pair;

/* Are x, of one kernel's body, and y, of another's, made of the same values in the same way? */
static bool same_value(pair *p, const ir_node *x, const ir_node *y)
{
    if (x->op != y->op || x->n_bodies || y->n_bodies || ir_node_type(x) != ir_node_type(y) ||
        p->left == 0) {
        return false;
    }
    p->left--;
    if (x->op == IR_OP_input) {
        return p->x->in[ir_node_int(x, IR_ATTR_index, 0)] ==
               p->y->in[ir_node_int(y, IR_ATTR_index, 0)];
    }
    bool same = x->n_in == y->n_in && x->n_attrs == y->n_attrs;
    for (uint32_t i = 0; i < x->n_attrs && same; i++) {
        same = ir_attr_same(&x->attrs[i], &y->attrs[i]);
    }
    for (uint32_t i = 0; i < x->n_in && same; i++) {
        same = same_value(p, x->in[i], y->in[i]);
    }
    return same;
}

/* The axis of the product that is divided among threads; -1: none is. */
static int shared_axis(pass_ctx *c, const ir_node *kernel)
{
    access w;
    access_domain d;
    int64_t split = ir_node_int(kernel, IR_ATTR_split, -1);
    access_init(&w, c->scratch, c->module->ctx);
    access_kernel(&w, kernel, &d);
    const ir_sym *s = split >= 0 && d.main ? ir_dim_as_sym(d.index[split]) : NULL;
    for (uint32_t i = 0; s && i < ir_node_type(d.main)->rank; i++) {
        if (ir_dim_uses(d.main_index[i], s)) {
            return (int)i;
        }
    }
    return -1;
}

/* Has a thread the same rows of both? */
static bool same_shares(pass_ctx *c, const ir_node *x, const ir_node *y)
{
    int axis = shared_axis(c, x);
    bool columns = axis + 1 == (int)ir_node_type(product_of(x))->rank;
    return axis == shared_axis(c, y) &&
           (columns || ir_node_int(x, IR_ATTR_grain, 1) == ir_node_int(y, IR_ATTR_grain, 1));
}

static bool same_rows(pass_ctx *c, const ir_node *kx, const ir_node *ky)
{
    const ir_node *x = product_of(kx), *y = product_of(ky);
    pair p = {kx, ky, MOST_VALUES};
    if (!x || !y || !same_value(&p, x->in[0], y->in[0]) || !same_shares(c, kx, ky)) {
        return false;
    }
    const ir_attr *lx = ir_node_attr(x, IR_ATTR_labels), *ly = ir_node_attr(y, IR_ATTR_labels);
    const char *mx = ir_node_str(x, IR_ATTR_math), *my = ir_node_str(y, IR_ATTR_math);
    return lx->strs[0] == ly->strs[0] && lx->strs[2] == ly->strs[2] && mx == my;
}

typedef struct joining {
    pass_ctx *c;
    const ir_graph *g;
    const ir_node *members[JOIN_MOST]; /* of the kernel that may grow */
    footprint prints[JOIN_MOST];
    uint32_t n;
} joining;

static bool fits(const joining *j, const ir_node *n, const footprint *f)
{
    bool alone = ir_node_int(n, IR_ATTR_open, 0) || ir_node_int(n, IR_ATTR_barrier, 0);
    if (j->n == 0 || j->n == JOIN_MOST || alone || !same_rows(j->c, j->members[0], n)) {
        return false;
    }
    for (uint32_t i = 0; i < j->n; i++) {
        if (footprints_meet(&j->prints[i], f)) {
            return false;
        }
    }
    return true;
}

/* Does n join the kernels before it? Else it is the first that others may join. */
static bool join(joining *j, const ir_node *n)
{
    footprint f = footprint_of(j->c->scratch, n);
    bool joined = fits(j, n, &f);
    if (joined && j->c->explain) {
        fprintf(j->c->explain, "%s: %s: made with %s, whose rows it multiplies\n",
                ir_graph_name(j->g), ir_node_str(n, IR_ATTR_name),
                ir_node_str(j->members[0], IR_ATTR_name));
    }
    j->n = joined ? j->n : 0;
    if (joined || (product_of(n) && !ir_node_int(n, IR_ATTR_open, 0))) {
        j->members[j->n] = n;
        j->prints[j->n++] = f;
    }
    return joined;
}

static const bool *find_joined(pass_ctx *c, const ir_graph *g, bool in_loop)
{
    (void)in_loop;
    bool *joined = arena_array(c->scratch, bool, ir_graph_size(g) + 1);
    joining j = {.c = c, .g = g};
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_kernel) {
            joined[i] = join(&j, n);
        } else if (values_is_item(n)) {
            j.n = 0;
        }
    }
    return joined;
}

ir_graph *pass_join_products(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) != IR_STAGE_PLANNED) {
        return ir_graph_clone(g);
    }
    return rewrite_marks(c, g, IR_ATTR_joined, find_joined);
}
