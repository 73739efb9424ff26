/* partition: which thread owns which part of a kernel; barriers only where data crosses.
 *
 * Every kernel is split along one axis of its domain (docs/kernels.md, section 3), the one with most
 * to share; small kernels stay with thread 0. A barrier stands before a kernel that reads what another
 * kernel wrote, or overwrites what another kernel read, since the last barrier; and before the first
 * kernel of a loop's body. */
#include "passes/rewrite.h"

#include <string.h>

enum { SMALL_WORK = 2048 };

typedef struct crossing {
    pass_ctx *c;
    map *written, *read; /* places (by the node that stands for the buffer) since the last barrier */
    bool pending;        /* anything at all */
} crossing;

static void clear(crossing *x)
{
    x->written = map_create(x->c->scratch);
    x->read = map_create(x->c->scratch);
}

/* The node whose buffer this is: views and in-place updates share their operand's. */
static const ir_node *buffer_of(const ir_node *n)
{
    for (;;) {
        const ir_attr *inplace = n->op == IR_OP_kernel ? ir_node_attr(n, IR_ATTR_inplace) : NULL;
        if (n->op == IR_OP_reshape || n->op == IR_OP_get) {
            n = n->in[0];
        } else if (inplace && inplace->ints[0] >= 0) {
            n = n->in[inplace->ints[0]];
        } else {
            return n;
        }
    }
}

static bool is_data(const ir_node *n)
{
    return n->op != IR_OP_param && n->op != IR_OP_const;
}

static const ir_type *domain_of(const ir_node *k, uint32_t *reduced)
{
    const ir_graph *body = k->bodies[0];
    const ir_node *root = ir_graph_output(body, 0)->node;
    *reduced = 0;
    while (root->op == IR_OP_update || root->op == IR_OP_get) {
        root = root->in[root->op == IR_OP_update];
    }
    const ir_type *t = ir_node_type(root);
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *n = ir_graph_node(body, i);
        if (ir_op_family(n->op) != IR_FAMILY_REDUCE && ir_op_family(n->op) != IR_FAMILY_NORM) {
            continue;
        }
        const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *axis = ir_node_attr(n, IR_ATTR_axis);
        if (ir_node_type(n->in[0])->rank == t->rank && !ir_type_same_shape(t, ir_node_type(n))) {
            for (uint32_t j = 0; axes && j < axes->n; j++) {
                *reduced |= 1u << axes->ints[j];
            }
            *reduced |= axis && !axes ? 1u << axis->i : 0;
        }
    }
    return t;
}

/* Work of the kernel, roughly, at least: elements times what each needs. */
static int64_t least_work(ir_ctx *c, const ir_node *k)
{
    int64_t most = 1;
    const ir_graph *body = k->bodies[0];
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *n = ir_graph_node(body, i);
        int64_t elems = ir_type_elems(c, ir_node_type(n))->hi;
        if (n->op == IR_OP_contract) {
            int64_t x = ir_type_elems(c, ir_node_type(n->in[0]))->hi, y = ir_type_elems(c, ir_node_type(n->in[1]))->hi;
            elems = x > y ? x : y;
        }
        bool whole = n->op == IR_OP_input; /* a cache that is read or written in part */
        most = !whole && n->op != IR_OP_update && elems > most ? elems : most;
    }
    return most;
}

static int64_t split_axis(ir_ctx *c, const ir_node *k)
{
    const char *family = ir_node_str(k, IR_ATTR_family);
    uint32_t reduced;
    const ir_type *t = domain_of(k, &reduced);
    if (strcmp(family, "scan") == 0 || strcmp(family, "sort") == 0 || strcmp(family, "scatter") == 0 || least_work(c, k) < SMALL_WORK) {
        return -1;
    }
    int64_t best = -1, most = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        bool last = i + 1 == t->rank && strcmp(family, "attention") == 0;
        int64_t size = t->dims[i]->lo > 1 ? t->dims[i]->lo : 1;
        if (!(reduced & (1u << i)) && !last && (size > most || (best < 0 && t->dims[i]->hi > 1))) {
            best = i;
            most = size;
        }
    }
    return best;
}

static int64_t grain_of(const ir_node *k, int64_t axis)
{
    uint32_t reduced;
    const ir_type *t = domain_of(k, &reduced);
    return axis >= 0 && axis + 1 == (int64_t)t->rank ? 16 : 1;
}

/* Does this kernel (or call) need all threads to meet first? */
static bool crosses(const crossing *x, const ir_node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (is_data(n->in[i]) && map_has(x->written, map_key(buffer_of(n->in[i])))) {
            return true;
        }
    }
    return buffer_of(n) != n && map_has(x->read, map_key(buffer_of(n)));
}

static void record(crossing *x, const ir_node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        map_set(x->read, map_key(buffer_of(n->in[i])), x);
    }
    map_set(x->written, map_key(buffer_of(n)), x);
}

static ir_graph *divide(pass_ctx *c, const ir_graph *old)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    ir_ctx *ctx = ir_graph_ctx(g);
    const ir_node **new_of = rewrite_inputs(old, g);
    crossing x = {.c = c};
    clear(&x);
    bool first = true;
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        bool works = n->op == IR_OP_kernel || n->op == IR_OP_loop || n->op == IR_OP_extern;
        if (!works) {
            new_of[i] = ir_graph_copy_node(g, n, in);
            continue;
        }
        /* A loop's body begins with a barrier of its own; calls are made by thread 0. */
        bool barrier = first || n->op != IR_OP_kernel || crosses(&x, n);
        if (barrier) {
            clear(&x);
        }
        first = false;
        record(&x, n);
        ir_attr a[3] = {ir_attr_i(IR_ATTR_barrier, barrier)};
        if (n->op == IR_OP_loop) {
            ir_graph *body = divide(c, n->bodies[0]);
            new_of[i] = ir_graph_copy_node_with(g, n, in, &body, 1, a);
            continue;
        }
        uint32_t n_attrs = 1;
        if (n->op == IR_OP_kernel) {
            int64_t axis = split_axis(ctx, n);
            a[1] = ir_attr_i(IR_ATTR_split, axis);
            a[2] = ir_attr_i(IR_ATTR_grain, grain_of(n, axis));
            n_attrs = 3;
        }
        new_of[i] = ir_graph_copy_node_attrs(g, n, in, n_attrs, a);
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *pass_partition(pass_ctx *c, const ir_graph *g)
{
    return divide(c, g);
}
