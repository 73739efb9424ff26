/* Reductions and norms become REDUCE steps, made when their value is first needed. */
#include "backend/lower.h"

#include <math.h>
#include <string.h>

ir_dtype lower_acc(ir_dtype t)
{
    return t == IR_f16 || t == IR_bf16 ? IR_f32 : t;
}

const k_expr *lower_add_reduce(lower *l, ir_op op, uint32_t n_axes, const k_axis *const *axes,
                               const k_expr *value, ir_dtype acc)
{
    bool arg = op == IR_OP_argmax || op == IR_OP_argmin;
    k_step s = {.kind = K_STEP_REDUCE, .n_axes = n_axes, .op = op, .value = value, .acc = acc};
    s.axes = arena_copy(l->a, axes, n_axes * sizeof *axes);
    vec_push(l->a, &l->steps, s);
    return lower_reduced(l, l->steps.len - 1, arg ? IR_i64 : acc);
}

/* The axes a node reduces, with fresh axis variables in `full`; shared by all steps over the same
 * sizes, so that emitters may run several steps in one loop. */
typedef struct rows {
    const ir_dim *full[IR_MAX_RANK];
    const k_axis *axes[IR_MAX_RANK];
    uint32_t n;
    const ir_dim *count;
} rows;

static bool is_reduced(const ir_node *n, uint32_t axis)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *one = ir_node_attr(n, IR_ATTR_axis);
    for (uint32_t i = 0; axes && i < axes->n; i++) {
        if (axes->ints[i] == axis) {
            return true;
        }
    }
    return !axes && one && one->i == axis;
}

/* index: of the node's result; kept says whether reduced axes stand in it. */
static rows reduced_rows(lower *l, const ir_node *n, const ir_dim *const *index, bool kept)
{
    const ir_type *t = ir_node_type(n->in[0]);
    rows r = {.count = ir_dim_const(l->c, 1)};
    uint32_t at = 0;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (is_reduced(n, i)) {
            r.axes[r.n++] = lower_axis(l, t->dims[i], &r.full[i]);
            r.count = ir_dim_mul(l->c, r.count, t->dims[i]);
            at += kept;
        } else {
            r.full[i] = index[at++];
        }
    }
    return r;
}

static const k_expr *count_value(lower *l, const ir_dim *count, ir_dtype t)
{
    return lower_cast(l, lower_index(l, count), t);
}

const k_expr *lower_value_reduce(lower *l, const lower_scope *s, const ir_node *n,
                                 const ir_dim *const *index, const k_expr *guard)
{
    rows r = reduced_rows(l, n, index, ir_node_int(n, IR_ATTR_keep, 0) != 0);
    const k_expr *x = lower_value(l, s, n->in[0], r.full, guard);
    ir_dtype t = ir_node_type(n->in[0])->dtype, acc = lower_acc(t);
    x = lower_cast(l, x, acc);
    if (n->op == IR_OP_argmax || n->op == IR_OP_argmin) {
        return lower_add_reduce(l, n->op, r.n, r.axes, x, acc);
    }
    if (n->op == IR_OP_reduce_mean) {
        const k_expr *sum = lower_add_reduce(l, IR_OP_reduce_sum, r.n, r.axes, x, acc);
        return lower_cast(l, lower_binary(l, IR_OP_div, sum, count_value(l, r.count, acc)), t);
    }
    return lower_cast(l, lower_add_reduce(l, n->op, r.n, r.axes, x, acc), t);
}

static const k_expr *softmax(lower *l, const lower_scope *s, const ir_node *n,
                             const ir_dim *const *index, const k_expr *guard)
{
    rows r = reduced_rows(l, n, index, true);
    ir_dtype t = ir_node_type(n->in[0])->dtype, acc = lower_acc(t);
    const k_expr *row = lower_cast(l, lower_value(l, s, n->in[0], r.full, guard), acc);
    const k_expr *m = lower_add_reduce(l, IR_OP_reduce_max, r.n, r.axes, row, acc);
    const k_expr *sum =
        lower_add_reduce(l, IR_OP_reduce_sum, r.n, r.axes,
                         lower_unary(l, IR_OP_exp, lower_binary(l, IR_OP_sub, row, m)), acc);
    const k_expr *x = lower_cast(l, lower_value(l, s, n->in[0], index, guard), acc);
    const k_expr *d = lower_binary(l, IR_OP_sub, x, m);
    d = n->op == IR_OP_softmax ? lower_binary(l, IR_OP_div, lower_unary(l, IR_OP_exp, d), sum)
                               : lower_binary(l, IR_OP_sub, d, lower_unary(l, IR_OP_log, sum));
    return lower_cast(l, d, t);
}

/* max + log(sum(exp(x - max))); a maximum that is not finite is left out of the difference. */
static const k_expr *logsumexp(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard)
{
    rows r = reduced_rows(l, n, index, ir_node_int(n, IR_ATTR_keep, 0) != 0);
    ir_dtype t = ir_node_type(n->in[0])->dtype, acc = lower_acc(t);
    const k_expr *x = lower_cast(l, lower_value(l, s, n->in[0], r.full, guard), acc);
    const k_expr *m = lower_add_reduce(l, IR_OP_reduce_max, r.n, r.axes, x, acc);
    m = lower_select(l, lower_unary(l, IR_OP_isfinite, m), m, lower_const_f(l, acc, 0));
    const k_expr *sum =
        lower_add_reduce(l, IR_OP_reduce_sum, r.n, r.axes,
                         lower_unary(l, IR_OP_exp, lower_binary(l, IR_OP_sub, x, m)), acc);
    return lower_cast(l, lower_binary(l, IR_OP_add, m, lower_unary(l, IR_OP_log, sum)), t);
}

/* The element of a norm's weight or bias: right-aligned with x. */
static const k_expr *scale_value(lower *l, const lower_scope *s, const ir_node *n, uint32_t k,
                                 const ir_dim *const *index, const k_expr *guard, ir_dtype acc)
{
    const ir_type *t = ir_node_type(n->in[k]);
    const ir_dim *inner[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        inner[i] = ir_dim_is_one(t->dims[i]) ? ir_dim_const(l->c, 0)
                                             : index[ir_node_type(n)->rank - t->rank + i];
    }
    return lower_cast(l, lower_value(l, s, n->in[k], inner, guard), acc);
}

/* What a norm knows of one row. */
typedef struct row_statistics {
    const k_expr *mean; /* NULL: not subtracted */
    const k_expr *scale;
} row_statistics;

static row_statistics *find_statistics(lower *l, const lower_scope *s, const ir_node *n,
                                       const ir_dim *const *index, const k_expr *guard)
{
    rows r = reduced_rows(l, n, index, true);
    ir_dtype acc = lower_acc(ir_node_type(n->in[0])->dtype);
    const k_expr *row = lower_cast(l, lower_value(l, s, n->in[0], r.full, guard), acc);
    const k_expr *count = count_value(l, r.count, acc);
    row_statistics *q = arena_new(l->a, row_statistics);
    if (n->op == IR_OP_layer_norm) {
        q->mean = lower_binary(l, IR_OP_div,
                               lower_add_reduce(l, IR_OP_reduce_sum, r.n, r.axes, row, acc), count);
        row = lower_binary(l, IR_OP_sub, row, q->mean);
    }
    const k_expr *ss = lower_add_reduce(l, IR_OP_reduce_sum, r.n, r.axes,
                                        lower_binary(l, IR_OP_mul, row, row), acc);
    const k_expr *v = lower_binary(l, IR_OP_add, lower_binary(l, IR_OP_div, ss, count),
                                   lower_const_f(l, acc, ir_node_float(n, IR_ATTR_eps, 1e-5)));
    q->scale = lower_unary(l, IR_OP_rsqrt, v);
    return q;
}

/* Steps are made once for all elements of a row: they are remembered by the kept part of the index,
 * so that two products that read one norm share them. */
static const row_statistics *statistics(lower *l, const lower_scope *s, const ir_node *n,
                                        const ir_dim *const *index, const k_expr *guard)
{
    uint64_t key = hash_combine(hash_combine(map_key(n), map_key(guard)), map_key(s));
    for (uint32_t i = 0; i < ir_node_type(n)->rank; i++) {
        key = hash_combine(key, is_reduced(n, i) ? UINT64_MAX : index[i]->id);
    }
    row_statistics *known = map_get(l->statistics, key);
    if (!known) {
        known = find_statistics(l, s, n, index, guard);
        map_set(l->statistics, key, known);
    }
    return known;
}

static const k_expr *norm(lower *l, const lower_scope *s, const ir_node *n,
                          const ir_dim *const *index, const k_expr *guard)
{
    ir_dtype t = ir_node_type(n->in[0])->dtype, acc = lower_acc(t);
    const row_statistics *q = statistics(l, s, n, index, guard);
    const k_expr *x = lower_cast(l, lower_value(l, s, n->in[0], index, guard), acc);
    x = q->mean ? lower_binary(l, IR_OP_sub, x, q->mean) : x;
    const k_expr *y = lower_binary(l, IR_OP_mul, x, q->scale);
    if (n->n_in > 1) {
        y = lower_binary(l, IR_OP_mul, y, scale_value(l, s, n, 1, index, guard, acc));
    }
    if (n->n_in > 2) {
        y = lower_binary(l, IR_OP_add, y, scale_value(l, s, n, 2, index, guard, acc));
    }
    return lower_cast(l, y, t);
}

const k_expr *lower_value_norm(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard)
{
    switch (n->op) {
    case IR_OP_softmax:
    case IR_OP_log_softmax:
        return softmax(l, s, n, index, guard);
    case IR_OP_logsumexp:
        return logsumexp(l, s, n, index, guard);
    default:
        return norm(l, s, n, index, guard);
    }
}
