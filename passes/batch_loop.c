/* batch_loop: products that a loop's turns feed from outside become one product before the loop.
 *
 * Before   loop t in 0..T carry h:        After   %a = contract %x, %w {...}        (all turns)
 *            %s = slice %x at [t, 0]              loop t in 0..T carry h:
 *            %p = contract %s, %w                   %p = slice %a at [t, 0]
 *            %q = contract %h, %u                   %q = contract %h, %u
 *            h = tanh(%p + %q)                      h = tanh(%p + %q)
 *
 * A value of the body is batched when its turns differ only in which slice of an outside value they
 * begin with: slices of one row, at places that step with the turn (also backwards), and reshapes,
 * transposes, elementwise ops, rows taken from a table, and products with something that is the
 * same in every turn, of such values. Batched, it has an axis of turns in front. So weights of a
 * recurrent net's input are read once a sequence and not once a turn.
 *
 * Keeps: values, but for the order in which a product's kernel adds. Leaves alone: what holds no
 * product; products of two batched values (nothing is shared); loops that may end early, or that
 * step by other than 1 or -1; slices that cannot be proved to stay within bounds for all turns at
 * once. */
#include "passes/rewrite.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct batch {
    pass_ctx *c;
    ir_ctx *ctx;
    ir_builder b;         /* into the graph around the loop */
    const ir_node *loop;  /* as it was */
    const ir_graph *body; /* its body */
    const ir_sym *sym;
    const ir_dim *lo, *turns;
    int64_t step;
    const ir_node **outside; /* [size] the same in all turns: that value; NULL: it is not */
    const ir_node **batched; /* [size] f[turns, its shape...]; NULL: not to be had */
    bool *holds_product;     /* [size] of batched ones */
} batch;

/* Facts about the body --------------------------------------------------------------------------
 */

static bool attrs_use(const ir_node *n, const ir_sym *s)
{
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        const ir_attr *a = &n->attrs[i];
        bool is_dim = ir_attr_kind_of(a->key) == IR_ATTR_KIND_DIM;
        bool is_dims = ir_attr_kind_of(a->key) == IR_ATTR_KIND_DIMS;
        if (is_dim && ir_dim_uses(a->dim, s)) {
            return true;
        }
        for (uint32_t k = 0; is_dims && k < a->n; k++) {
            if (ir_dim_uses(a->dims[k], s)) {
                return true;
            }
        }
    }
    return false;
}

static bool type_uses(const ir_type *t, const ir_sym *s)
{
    for (uint32_t k = 0; k < t->rank; k++) {
        if (ir_dim_uses(t->dims[k], s)) {
            return true;
        }
    }
    return false;
}

static bool is_pure(const batch *p, const ir_node *n)
{
    return n->n_results == 1 && n->n_bodies == 0 && n->op != IR_OP_random &&
           n->op != IR_OP_extern && n->op != IR_OP_state && !type_uses(n->types[0], p->sym);
}

/* Batched values --------------------------------------------------------------------------------
 */

static const ir_node *reshaped(batch *p, const ir_node *x, uint32_t rank, const ir_dim *const *dims)
{
    const ir_type *t = ir_node_type(x);
    return t == ir_type_get(p->ctx, t->dtype, rank, dims) ? x : ir_reshape(&p->b, x, rank, dims);
}

/* The shape of all turns of t, with the first `ones` axes after the turns being 1. */
static uint32_t shape_of_turns(const batch *p, const ir_type *t, uint32_t ones, const ir_dim **dims)
{
    uint32_t rank = 0;
    dims[rank++] = p->turns;
    for (uint32_t i = 0; i < ones; i++) {
        dims[rank++] = ir_dim_const(p->ctx, 1);
    }
    memcpy(dims + rank, t->dims, t->rank * sizeof *dims);
    return rank + t->rank;
}

static bool all_one(const ir_node *n, ir_attr_key key)
{
    const ir_attr *a = ir_node_attr(n, key);
    for (uint32_t i = 0; a && i < a->n; i++) {
        if (a->ints[i] != 1) {
            return false;
        }
    }
    return true;
}

/* The one axis whose place steps with the turn by 1 or -1 and that keeps one row; -1: no such. */
static int stepping_axis(const batch *p, const ir_node *n, int64_t *stride, const ir_dim **rest)
{
    const ir_attr *at = ir_node_attr(n, IR_ATTR_offsets);
    int axis = -1;
    for (uint32_t i = 0; i < at->n; i++) {
        if (!ir_dim_uses(at->dims[i], p->sym)) {
            continue;
        }
        int64_t coef;
        if (axis >= 0 || !ir_dim_is_one(ir_node_type(n)->dims[i]) ||
            !ir_dim_split(p->ctx, at->dims[i], p->sym, &coef, rest) || (coef != 1 && coef != -1)) {
            return -1;
        }
        axis = (int)i;
        *stride = coef * p->step;
    }
    return axis;
}

/* x[t, ...] for all t: the rows that the turns read, in their order, the axis of turns in front. */
static const ir_node *batch_slice(batch *p, const ir_node *n, const ir_node *x)
{
    int64_t stride = 0;
    const ir_dim *rest;
    int axis = all_one(n, IR_ATTR_steps) ? stepping_axis(p, n, &stride, &rest) : -1;
    const ir_type *t = ir_node_type(n);
    if (axis < 0 || t->rank == IR_MAX_RANK) {
        return NULL;
    }
    const ir_attr *at = ir_node_attr(n, IR_ATTR_offsets);
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK], *dims[IR_MAX_RANK];
    memcpy(offsets, at->dims, t->rank * sizeof *offsets);
    memcpy(sizes, t->dims, t->rank * sizeof *sizes);
    const ir_dim *first = ir_dim_subst(p->ctx, at->dims[axis], p->sym, p->lo);
    if (stride < 0) { /* the last turn's row is the lowest */
        first = ir_dim_offset(p->ctx, ir_dim_sub(p->ctx, first, p->turns), 1);
    }
    offsets[axis] = first;
    sizes[axis] = p->turns;
    bool whole = ir_type_get(p->ctx, t->dtype, t->rank, sizes) == ir_node_type(x);
    const ir_node *rows = whole ? x : ir_slice(&p->b, x, offsets, sizes, NULL);
    if (stride < 0) {
        int64_t axes = axis;
        ir_attr attr = ir_attr_is(IR_ATTR_axes, 1, &axes);
        rows = ir_build(&p->b, IR_OP_reverse, 1, &rows, 1, &attr, 0, NULL);
    }
    int64_t perm[IR_MAX_RANK] = {axis};
    for (int i = 0, k = 1; i < (int)t->rank; i++) {
        if (i != axis) {
            perm[k++] = i;
        }
    }
    rows = axis ? ir_transpose(&p->b, rows, perm) : rows;
    uint32_t rank = shape_of_turns(p, t, 0, dims);
    return rows ? reshaped(p, rows, rank, dims) : NULL;
}

static const ir_node *batch_transpose(batch *p, const ir_node *n, const ir_node *x)
{
    const ir_attr *perm = ir_node_attr(n, IR_ATTR_perm);
    int64_t all[IR_MAX_RANK] = {0};
    for (uint32_t i = 0; i < perm->n; i++) {
        all[i + 1] = perm->ints[i] + 1;
    }
    return ir_transpose(&p->b, x, all);
}

/* Operands are aligned at their last axes; the axis of turns must stand before all of them. */
static const ir_node *batch_elementwise(batch *p, const ir_node *n)
{
    const ir_node **in = arena_array(p->c->scratch, const ir_node *, n->n_in);
    uint32_t rank = ir_node_type(n)->rank;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_node *x = p->batched[n->in[i]->id];
        const ir_type *t = ir_node_type(n->in[i]);
        const ir_dim *dims[IR_MAX_RANK];
        in[i] = x ? reshaped(p, x, shape_of_turns(p, t, rank - t->rank, dims), dims)
                  : p->outside[n->in[i]->id];
    }
    return ir_build(&p->b, n->op, n->n_in, in, n->n_attrs, n->attrs, 0, NULL);
}

static char free_letter(const ir_attr *labels)
{
    for (char k = 'a'; k <= 'z'; k++) {
        if (!strchr(labels->strs[0], k) && !strchr(labels->strs[1], k)) {
            return k;
        }
    }
    return 0;
}

static const ir_node *batch_contract(batch *p, const ir_node *n)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const ir_node *x = p->batched[n->in[0]->id], *y = p->batched[n->in[1]->id];
    char turn = free_letter(labels), words[3][IR_MAX_RANK + 2];
    if ((x && y) || !turn) {
        return NULL;
    }
    intern_table *names = ir_ctx_names(p->ctx);
    const char *interned[3];
    for (int i = 0; i < 3; i++) {
        bool longer = i == 2 || (i == 0 ? x : y);
        snprintf(words[i], sizeof words[i], "%.1s%.8s", longer ? (char[2]){turn, 0} : "",
                 labels->strs[i]);
        interned[i] = intern(names, words[i]);
    }
    ir_attr *attrs = arena_array(p->c->scratch, ir_attr, n->n_attrs);
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        attrs[i] = n->attrs[i].key == IR_ATTR_labels ? ir_attr_ss(IR_ATTR_labels, 3, interned)
                                                     : n->attrs[i];
    }
    const ir_node *in[2] = {x ? x : p->outside[n->in[0]->id], y ? y : p->outside[n->in[1]->id]};
    return ir_build(&p->b, IR_OP_contract, 2, in, n->n_attrs, attrs, 0, NULL);
}

static const ir_node *batch_node(batch *p, const ir_node *n)
{
    const ir_node *x = n->n_in ? p->batched[n->in[0]->id] : NULL;
    const ir_dim *dims[IR_MAX_RANK];
    switch (n->op) {
    case IR_OP_reshape:
        return x ? reshaped(p, x, shape_of_turns(p, n->types[0], 0, dims), dims) : NULL;
    case IR_OP_transpose:
        return x ? batch_transpose(p, n, x) : NULL;
    case IR_OP_contract:
        return batch_contract(p, n);
    case IR_OP_take: /* rows of one table: the axis of turns goes with the numbers' axes */
        return !x && ir_node_int(n, IR_ATTR_axis, 0) == 0
                   ? ir_take(&p->b, p->outside[n->in[0]->id], p->batched[n->in[1]->id], 0)
                   : NULL;
    default:
        return ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE ? batch_elementwise(p, n) : NULL;
    }
}

static void batch_one(batch *p, const ir_node *n)
{
    bool same = !attrs_use(n, p->sym), there = true, any = false, product = false;
    for (uint32_t k = 0; k < n->n_in; k++) {
        uint32_t x = n->in[k]->id;
        there &= p->outside[x] || p->batched[x];
        any |= p->batched[x] != NULL;
        product |= p->holds_product[x];
    }
    if (!there || !is_pure(p, n)) {
        return;
    }
    ir_builder before = p->b;
    p->b.loc = n->loc;
    if (same && !any) {
        p->outside[n->id] =
            ir_graph_copy_node(p->b.graph, n, rewrite_operands(p->b.graph, n, p->outside));
    } else if (!any && n->op == IR_OP_slice) {
        p->batched[n->id] = batch_slice(p, n, p->outside[n->in[0]->id]);
    } else if (same && any && ir_node_type(n)->rank < IR_MAX_RANK) {
        p->batched[n->id] = batch_node(p, n);
        p->holds_product[n->id] = p->batched[n->id] && (product || n->op == IR_OP_contract);
    }
    p->b.failed = before.failed; /* what cannot be built is left where it is */
    p->b.error = before.error;
}

/* The loop anew ---------------------------------------------------------------------------------
 */

/* Row `turn` of all turns, in the new body. */
static const ir_node *row(batch *p, ir_graph *inner, const ir_node *all, const ir_type *t)
{
    ir_builder b = {.ctx = p->ctx, .graph = inner, .loc = all->loc};
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK];
    const ir_dim *turn = ir_dim_sub(p->ctx, ir_dim_sym(p->ctx, p->sym), p->lo);
    offsets[0] = p->step > 0 ? turn : ir_dim_scale(p->ctx, turn, -1);
    sizes[0] = ir_dim_const(p->ctx, 1);
    for (uint32_t i = 0; i < t->rank; i++) {
        offsets[i + 1] = ir_dim_const(p->ctx, 0);
        sizes[i + 1] = t->dims[i];
    }
    const ir_node *one = ir_slice(&b, all, offsets, sizes, NULL);
    return one ? ir_reshape(&b, one, t->rank, t->dims) : NULL;
}

/* Batched values with a product that something unbatched reads. */
static bool find_wanted(const batch *p, bool *wanted)
{
    bool any = false;
    for (uint32_t i = 0; i < ir_graph_size(p->body); i++) {
        const ir_node *n = ir_graph_node(p->body, i);
        for (uint32_t k = 0; !p->batched[i] && k < n->n_in; k++) {
            wanted[n->in[k]->id] |= p->holds_product[n->in[k]->id];
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(p->body); i++) {
        uint32_t x = ir_graph_output(p->body, i)->node->id;
        wanted[x] |= p->holds_product[x];
    }
    for (uint32_t i = 0; i < ir_graph_size(p->body); i++) {
        any |= wanted[i];
    }
    return any;
}

static const ir_node *loop_with_rows(batch *p, const ir_node *const *in, const bool *wanted)
{
    const ir_node *n = p->loop;
    VEC(const ir_node *) operands = {0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        vec_push(p->c->scratch, &operands, in[i]);
    }
    ir_graph *inner = ir_graph_begin_rewrite(p->body);
    const ir_node **new_of = rewrite_inputs(p->body, inner);
    for (uint32_t i = 0; i < ir_graph_size(p->body); i++) {
        const ir_node *k = ir_graph_node(p->body, i);
        if (wanted[i]) {
            const ir_type *t = ir_node_type(p->batched[i]);
            const ir_node *all = ir_graph_add_input(inner, "turns", t, k->loc);
            vec_push(p->c->scratch, &operands, p->batched[i]);
            new_of[i] = row(p, inner, all, ir_node_type(k));
        }
        if (k->op != IR_OP_input && !new_of[i]) {
            new_of[i] = ir_graph_copy_node(inner, k, rewrite_operands(inner, k, new_of));
        }
    }
    ir_graph_end_rewrite(inner, p->body, new_of);
    return ir_graph_add(p->b.graph, n->op, operands.len, operands.at, n->n_results, n->types,
                        n->n_attrs, n->attrs, 1, &inner, n->loc);
}

static const ir_node *batch_loop(pass_ctx *c, ir_graph *g, const ir_node *n,
                                 const ir_node *const *in)
{
    ir_graph *body = rewrite_loops(c, n->bodies[0], batch_loop);
    uint32_t size = ir_graph_size(body), carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    int64_t step = ir_node_int(n, IR_ATTR_step, 1);
    ir_ctx *ctx = ir_graph_ctx(g);
    const ir_dim *lo = ir_node_attr(n, IR_ATTR_lo)->dims[0],
                 *hi = ir_node_attr(n, IR_ATTR_hi)->dims[0];
    batch p = {
        .c = c,
        .ctx = ctx,
        .b = {.ctx = ctx, .graph = g, .loc = n->loc},
        .loop = n,
        .body = body,
        .sym = ir_node_attr(n, IR_ATTR_sym)->sym,
        .lo = lo,
        .turns = ir_loop_turns(ctx, lo, hi, step),
        .step = step,
        .outside = arena_array(c->scratch, const ir_node *, size),
        .batched = arena_array(c->scratch, const ir_node *, size),
        .holds_product = arena_array(c->scratch, bool, size)
    };
    bool *wanted = arena_array(c->scratch, bool, size);
    if (ir_node_int(n, IR_ATTR_cond, 0) || (step != 1 && step != -1)) {
        return ir_graph_copy_node_bodies(g, n, in, &body);
    }
    for (uint32_t i = carries; i < ir_graph_n_inputs(body); i++) {
        p.outside[ir_graph_input(body, i)->id] = in[i];
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *k = ir_graph_node(body, i);
        if (k->op != IR_OP_input) {
            batch_one(&p, k);
        }
    }
    return find_wanted(&p, wanted) ? loop_with_rows(&p, in, wanted)
                                   : ir_graph_copy_node_bodies(g, n, in, &body);
}

ir_graph *pass_batch_loop(pass_ctx *c, const ir_graph *g)
{
    return pass_dce(c, rewrite_loops(c, g, batch_loop));
}
