/* fuse_elementwise: every op goes into a kernel (docs/kernels.md, section 1).
 *
 * Works from users to producers. A value is materialised (gets a buffer, is the root of a kernel) or is
 * inlined into the kernel that uses it:
 *
 *   moves, constants, counters     always inlined: they are index arithmetic
 *   elementwise                    inlined when one kernel alone uses it, element for element; or when it
 *                                  is cheap and that kernel reads it a few times
 *   row reductions                 inlined with the elementwise ops of the same rows that use them
 *   contract, attention, conv ...  take the elementwise ops that follow as their epilogue, when the
 *                                  value has no other user; at most one in a kernel
 *
 * Keeps: values up to the rounding of intermediate element types. */
#include "passes/rewrite.h"

#include <stdio.h>
#include <string.h>

typedef struct group { /* a kernel in the making */
    const ir_node *root;
    const ir_node *heavy;      /* its contraction, convolution ..., or NULL */
    const ir_type *rows;       /* full shape of its row reductions, or NULL */
    uint32_t axes;             /* of them: a bit each */
} group;

typedef struct former {
    pass_ctx *c;
    const ir_graph *old;
    bool *root;                /* materialised? by id */
    bool *many;                /* read several times an element, or in another order, by its kernel */
    group **of;                /* the kernel a node is inlined into; NULL: none or several */
    bool *several;             /* inlined into more than one kernel */
    const uint32_t *uses;
    uint32_t n_kernels;
} former;

static bool is_kept(const ir_node *n)
{
    return n->op == IR_OP_input || n->op == IR_OP_param || n->op == IR_OP_state || n->op == IR_OP_loop || n->op == IR_OP_get ||
           n->op == IR_OP_extern;
}

static bool is_free(const ir_node *n)
{
    return n->op == IR_OP_const || n->op == IR_OP_iota || n->op == IR_OP_dim || n->op == IR_OP_reshape || n->op == IR_OP_transpose ||
           n->op == IR_OP_broadcast || n->op == IR_OP_slice || n->op == IR_OP_reverse;
}

static bool is_heavy(const ir_node *n)
{
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_CONTRACT:
    case IR_FAMILY_CONV:
    case IR_FAMILY_POOL:
    case IR_FAMILY_ATTENTION:
    case IR_FAMILY_SCAN:
    case IR_FAMILY_SORT:
    case IR_FAMILY_SCATTER:
        return true;
    default:
        return false;
    }
}

static bool takes_epilogue(const ir_node *n)
{
    ir_family f = ir_op_family(n->op);
    return f == IR_FAMILY_CONTRACT || f == IR_FAMILY_ATTENTION || f == IR_FAMILY_CONV || f == IR_FAMILY_POOL;
}

static bool is_rows(const ir_node *n)
{
    return ir_op_family(n->op) == IR_FAMILY_REDUCE || ir_op_family(n->op) == IR_FAMILY_NORM;
}

static bool is_elementwise(const ir_node *n)
{
    return ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE;
}

/* An op that costs about as much as a load. */
static bool is_cheap(const ir_node *n)
{
    switch (n->op) {
    case IR_OP_add:
    case IR_OP_sub:
    case IR_OP_mul:
    case IR_OP_neg:
    case IR_OP_where:
    case IR_OP_cast:
    case IR_OP_max:
    case IR_OP_min:
    case IR_OP_relu:
    case IR_OP_eq:
    case IR_OP_ne:
    case IR_OP_lt:
    case IR_OP_le:
    case IR_OP_gt:
    case IR_OP_ge:
    case IR_OP_and:
    case IR_OP_or:
    case IR_OP_not:
        return true;
    default:
        return false;
    }
}

static uint32_t reduced_axes(const ir_node *n)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *axis = ir_node_attr(n, IR_ATTR_axis);
    uint32_t mask = axis && !axes ? 1u << axis->i : 0;
    for (uint32_t i = 0; axes && i < axes->n; i++) {
        mask |= 1u << axes->ints[i];
    }
    return mask;
}

/* How u reads its operand x: element for element, or in some other way. */
static bool reads_once(const ir_node *u, const ir_node *x)
{
    if (is_elementwise(u)) { /* a value a row is computed once a row: it leaves the inner loop */
        const ir_type *t = ir_node_type(u), *v = ir_node_type(x);
        bool rows = t->rank == v->rank && t->rank > 0 && ir_dim_is_one(v->dims[t->rank - 1]);
        for (uint32_t i = 0; rows && i + 1 < t->rank; i++) {
            rows = t->dims[i] == v->dims[i];
        }
        return rows || ir_type_same_shape(t, v);
    }
    if (u->op == IR_OP_reshape || u->op == IR_OP_transpose || u->op == IR_OP_slice || u->op == IR_OP_reverse || u->op == IR_OP_pad ||
        u->op == IR_OP_concat) {
        return true;
    }
    if (u->op == IR_OP_update) {
        return u->in[1] == x && u->in[0] != x;
    }
    return is_rows(u) && u->in[0] == x;
}

/* The one kernel that uses n, or NULL; *inlined: at least one user at all. */
static void join_user(former *f, const ir_node *n, const ir_node *u, group *g)
{
    bool several = f->several[n->id] || (f->of[n->id] && f->of[n->id] != g) || !g;
    f->several[n->id] = several;
    f->of[n->id] = several ? NULL : g;
    f->many[n->id] |= !reads_once(u, n) || (!f->root[u->id] && f->many[u->id] && !is_rows(u));
}

static group *new_group(former *f, const ir_node *root)
{
    group *g = arena_new(f->c->scratch, group);
    g->root = root;
    g->heavy = is_heavy(root) ? root : NULL;
    if (is_rows(root)) {
        g->rows = ir_node_type(root->in[0]);
        g->axes = reduced_axes(root);
    }
    return g;
}

static void explain(former *f, const ir_node *n, const group *g, const char *why)
{
    if (!f->c->explain) {
        return;
    }
    source_place p = f->c->module->sources ? source_locate(f->c->module->sources, n->loc.where) : (source_place){"?", 0, 0};
    ir_ctx *c = ir_graph_ctx(f->old);
    fprintf(f->c->explain, "%s:%u: %s %%%u %s%s%s: %s (%s bytes)\n", p.path, p.line, ir_op_name(n->op), n->id,
            g ? "fused into " : "kept apart", g ? ir_op_name(g->root->op) : "", "", why, ir_dim_text(c, ir_type_bytes(c, ir_node_type(n))));
}

/* May this elementwise value be computed within the kernel that uses it? */
static bool inline_elementwise(former *f, const ir_node *n)
{
    group *g = f->of[n->id];
    if (!g) {
        explain(f, n, NULL, "several kernels read it");
        return false;
    }
    if (f->many[n->id] && !(is_cheap(n) && g->heavy == NULL)) {
        explain(f, n, NULL, "its reader needs elements more than once");
        return false;
    }
    explain(f, n, g, "read element for element");
    return true;
}

/* A reduction joins the kernel of its users when they work on the same rows. */
static bool inline_rows(former *f, const ir_node *n)
{
    group *g = f->of[n->id];
    const ir_type *full = ir_node_type(n->in[0]);
    uint32_t axes = reduced_axes(n);
    if (!g || g->heavy) {
        return false;
    }
    const ir_type *root = g->root->op == IR_OP_update ? ir_node_type(g->root->in[1]) : ir_node_type(g->root);
    bool shapes = ir_type_same_shape(root, full) || ir_type_same_shape(root, ir_node_type(n));
    bool same = !g->rows || (ir_type_same_shape(g->rows, full) && g->axes == axes);
    for (uint32_t i = n->id + 1; shapes && same && i < ir_graph_size(f->old); i++) { /* its users */
        const ir_node *u = ir_graph_node(f->old, i);
        for (uint32_t k = 0; k < u->n_in; k++) {
            bool fits = is_elementwise(u) && (ir_type_same_shape(ir_node_type(u), full) || ir_type_same_shape(ir_node_type(u), ir_node_type(n)));
            shapes &= u->in[k] != n || fits;
        }
    }
    /* keep = 1, or nothing is left of the row: broadcasting then lines up */
    bool keeps = ir_node_type(n)->rank == full->rank;
    if (!shapes || !same || (!keeps && !ir_type_same_shape(root, ir_node_type(n)))) {
        explain(f, n, NULL, "its readers work on other rows");
        return false;
    }
    g->rows = full;
    g->axes = axes;
    explain(f, n, g, "the same rows");
    return true;
}

/* A contraction takes what follows as its epilogue. */
static bool inline_heavy(former *f, const ir_node *n)
{
    group *g = f->of[n->id];
    if (!takes_epilogue(n) || !g || g->heavy || g->rows || f->many[n->id] || f->uses[n->id] != 1) {
        return false;
    }
    const ir_node *root = g->root;
    for (uint32_t i = n->id + 1; i < ir_graph_size(f->old); i++) { /* elementwise all the way to the root */
        const ir_node *u = ir_graph_node(f->old, i);
        for (uint32_t k = 0; k < u->n_in; k++) {
            if (u->in[k] == n) {
                for (const ir_node *v = u; v != root || !is_elementwise(v);) {
                    if (!is_elementwise(v) || !ir_type_same_shape(ir_node_type(v), ir_node_type(n)) || f->uses[v->id] != 1) {
                        return false;
                    }
                    const ir_node *next = NULL;
                    for (uint32_t j = v->id + 1; j < ir_graph_size(f->old) && !next; j++) {
                        const ir_node *w = ir_graph_node(f->old, j);
                        for (uint32_t x = 0; x < w->n_in; x++) {
                            next = w->in[x] == v ? w : next;
                        }
                    }
                    if (!next) {
                        return false;
                    }
                    v = next;
                }
            }
        }
    }
    if (!ir_type_same_shape(ir_node_type(root), ir_node_type(n))) {
        return false;
    }
    g->heavy = n;
    explain(f, n, g, "its epilogue");
    return true;
}

static void decide(former *f)
{
    uint32_t size = ir_graph_size(f->old);
    for (uint32_t i = 0; i < ir_graph_n_outputs(f->old); i++) {
        const ir_node *n = ir_graph_output(f->old, i)->node;
        while (n->op == IR_OP_reshape) { /* a view of what is materialised */
            f->root[n->id] = true;
            n = n->in[0];
        }
        f->root[n->id] = true;
    }
    for (uint32_t i = size; i-- > 0;) {
        const ir_node *n = ir_graph_node(f->old, i);
        group *g = f->of[i];
        if (is_kept(n)) {
            for (uint32_t k = 0; k < n->n_in; k++) { /* a loop's operands have buffers */
                const ir_node *x = n->in[k];
                while (x->op == IR_OP_reshape) {
                    f->root[x->id] = true;
                    x = x->in[0];
                }
                f->root[x->id] = true;
            }
            continue;
        }
        if (n->op == IR_OP_reshape && f->root[i]) {
            f->root[n->in[0]->id] = true;
            continue;
        }
        bool used = f->several[i] || f->of[i];
        bool in = !f->root[i] && used &&
                  (is_free(n) || (n->op == IR_OP_concat || n->op == IR_OP_pad ? f->of[i] && !f->many[i]
                                  : n->op == IR_OP_take || n->op == IR_OP_gather || n->op == IR_OP_random ? f->of[i] && !f->many[i] && !f->of[i]->heavy
                                  : is_elementwise(n)                              ? inline_elementwise(f, n)
                                  : is_rows(n)                                     ? inline_rows(f, n)
                                                                                   : inline_heavy(f, n)));
        if (!in) {
            f->root[i] = true;
            g = new_group(f, n);
            f->of[i] = g;
            f->several[i] = false;
        }
        for (uint32_t k = 0; k < n->n_in; k++) {
            join_user(f, n->in[k], n, in && f->several[i] ? NULL : g);
        }
    }
}

/* Making kernels ---------------------------------------------------------------------------------- */

typedef struct maker {
    former *f;
    ir_graph *g;                  /* the new graph */
    const ir_node *const *new_of;
    ir_graph *body;
    const ir_node **body_of;      /* by old id */
    VEC(const ir_node *) operands;
    bool rows, moves_only;
    const ir_node *heavy;
} maker;

static const ir_node *body_value(maker *m, const ir_node *n, const ir_node *root)
{
    if (m->body_of[n->id]) {
        return m->body_of[n->id];
    }
    const ir_node *r;
    bool outside = n != root && (m->f->root[n->id] || is_kept(n));
    if (outside && !(n->op == IR_OP_const || n->op == IR_OP_iota || n->op == IR_OP_dim)) {
        const ir_node *x = m->new_of[n->id];
        r = ir_graph_add_input(m->body, "in", ir_node_type(n), n->loc);
        vec_push(m->f->c->scratch, &m->operands, x);
    } else {
        const ir_node **in = arena_array(m->f->c->scratch, const ir_node *, n->n_in);
        for (uint32_t i = 0; i < n->n_in; i++) {
            in[i] = body_value(m, n->in[i], root);
        }
        m->rows |= is_rows(n);
        m->heavy = is_heavy(n) ? n : m->heavy;
        r = ir_graph_copy_node(m->body, n, in);
    }
    m->body_of[n->id] = r;
    return r;
}

static const char *family_of(const maker *m)
{
    static const char *const heavy[] = {
        [IR_FAMILY_CONTRACT] = "contract", [IR_FAMILY_CONV] = "conv", [IR_FAMILY_POOL] = "pool", [IR_FAMILY_ATTENTION] = "attention",
        [IR_FAMILY_SCAN] = "scan",         [IR_FAMILY_SORT] = "sort", [IR_FAMILY_SCATTER] = "scatter",
    };
    return m->heavy ? heavy[ir_op_family(m->heavy->op)] : m->rows ? "reduce" : "map";
}

static const ir_node *make_kernel(former *f, ir_graph *g, const ir_node *const *new_of, const ir_node *root)
{
    ir_ctx *c = ir_graph_ctx(g);
    maker m = {.f = f, .g = g, .new_of = new_of, .body = ir_graph_create(c, "kernel")};
    m.body_of = arena_array(f->c->scratch, const ir_node *, ir_graph_size(f->old));
    const ir_node *value = body_value(&m, root, root);
    ir_builder b = {.ctx = c, .graph = m.body, .conditions = g, .loc = root->loc};
    for (uint32_t i = 0; i < root->n_results; i++) {
        ir_graph_add_output(m.body, IR_OUTPUT_RESULT, "out", root->n_results == 1 ? value : ir_get(&b, value, i));
    }
    const char *family = intern(ir_ctx_names(c), family_of(&m));
    const char *name = intern_printf(ir_ctx_names(c), "%s_%u", ir_op_name(m.heavy ? m.heavy->op : root->op), f->n_kernels++);
    int64_t inplace = -1;
    if (root->op == IR_OP_update) {
        const ir_node *dst = value->in[0];
        inplace = dst->op == IR_OP_input ? ir_node_int(dst, IR_ATTR_index, -1) : -1;
    }
    ir_attr a[3] = {ir_attr_s(IR_ATTR_family, family), ir_attr_s(IR_ATTR_name, name), ir_attr_is(IR_ATTR_inplace, 1, &inplace)};
    return ir_graph_add(g, IR_OP_kernel, m.operands.len, m.operands.at, root->n_results, root->types, inplace >= 0 ? 3 : 2, a, 1, &m.body, root->loc);
}

static ir_graph *form(pass_ctx *c, const ir_graph *old, uint32_t *n_kernels)
{
    uint32_t size = ir_graph_size(old);
    former f = {.c = c, .old = old, .uses = ir_graph_use_counts(old, c->scratch), .n_kernels = *n_kernels};
    f.root = arena_array(c->scratch, bool, size);
    f.many = arena_array(c->scratch, bool, size);
    f.several = arena_array(c->scratch, bool, size);
    f.of = arena_array(c->scratch, group *, size);
    decide(&f);
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input || (!f.root[i] && !is_kept(n))) {
            continue;
        }
        if (n->op == IR_OP_kernel || (is_kept(n) && n->op != IR_OP_loop) || (n->op == IR_OP_reshape && f.root[i])) {
            new_of[i] = ir_graph_copy_node(g, n, rewrite_operands(g, n, new_of));
        } else if (n->op == IR_OP_loop) {
            ir_graph *body = form(c, n->bodies[0], &f.n_kernels);
            new_of[i] = ir_graph_copy_node_bodies(g, n, rewrite_operands(g, n, new_of), &body);
        } else {
            new_of[i] = make_kernel(&f, g, new_of, n);
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    ir_graph_set_stage(g, IR_STAGE_KERNEL);
    *n_kernels = f.n_kernels;
    return g;
}

ir_graph *pass_fuse_elementwise(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) != IR_STAGE_TENSOR) {
        return ir_graph_clone(g);
    }
    uint32_t n_kernels = 0;
    return form(c, g, &n_kernels);
}
