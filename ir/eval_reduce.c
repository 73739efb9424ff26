/* The interpreter: reductions and orders along one axis. */
#include "ir/eval_impl.h"

#include <math.h>

static const struct {
    ir_op reduce, pair;
} pairs[] = {
    {IR_OP_reduce_sum,  IR_OP_add},
    {IR_OP_reduce_mean, IR_OP_add},
    {IR_OP_reduce_max,  IR_OP_max},
    {IR_OP_reduce_min,  IR_OP_min},
    {IR_OP_reduce_prod, IR_OP_mul},
    {IR_OP_reduce_any,  IR_OP_or },
    {IR_OP_reduce_all,  IR_OP_and},
};

static ir_op pair_of(ir_op reduce)
{
    for (uint32_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i].reduce == reduce) {
            return pairs[i].pair;
        }
    }
    return IR_OP_add;
}

/* The least (sign -1) or greatest (1) value of a type. */
static eval_number extreme(ir_dtype t, int sign)
{
    if (ir_dtype_is_float(t)) {
        return (eval_number){.f = sign < 0 ? -(double)INFINITY : (double)INFINITY};
    }
    if (t == IR_u8 || t == IR_bool) {
        return (eval_number){.i = sign < 0 ? 0 : t == IR_bool ? 1 : UINT8_MAX};
    }
    int64_t most = (int64_t)(((uint64_t)1 << (8 * ir_dtype_bytes(t) - 1)) - 1);
    return (eval_number){.i = sign < 0 ? -most - 1 : most};
}

/* What a reduction of nothing gives. */
static eval_number identity(ir_op op, ir_dtype t)
{
    switch (op) {
    case IR_OP_reduce_max:
        return extreme(t, -1);
    case IR_OP_reduce_min:
        return extreme(t, 1);
    case IR_OP_reduce_prod:
    case IR_OP_reduce_all:
        return ir_dtype_is_float(t) ? (eval_number){.f = 1} : (eval_number){.i = 1};
    default:
        return ir_dtype_is_float(t) ? (eval_number){.f = 0} : (eval_number){.i = 0};
    }
}

static bool is_reduced(const ir_node *n, uint32_t axis)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    for (uint32_t i = 0; i < axes->n; i++) {
        if (axes->ints[i] == axis) {
            return true;
        }
    }
    return false;
}

bool eval_op_reduce(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *x = &in->t;
    int64_t count = ir_tensor_elems(&out->t), steps[IR_MAX_RANK], each = 1;
    bool keep = ir_node_int(n, IR_ATTR_keep, 0) != 0;
    eval_number *sums = eval_scratch(e, count, sizeof *sums);
    if (!sums || !eval_new(e, out)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        sums[i] = identity(n->op, x->dtype);
    }
    eval_walk w = {0};
    eval_strides(&out->t, steps);
    for (uint32_t i = 0, at = 0; i < x->rank; i++) {
        bool reduced = is_reduced(n, i);
        int64_t step = reduced ? 0 : steps[at];
        each *= reduced ? x->dims[i] : 1;
        at += !reduced || keep;
        eval_walk_axis(&w, x->dims[i], 1, &step);
    }
    ir_op pair = pair_of(n->op);
    eval_walk_begin(&w);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        eval_number *to = &sums[w.offset[0]];
        *to = eval_apply(pair, x->dtype, *to, eval_load(x, i));
    }
    for (int64_t i = 0; i < count; i++) {
        if (n->op == IR_OP_reduce_mean) {
            sums[i].f /= (double)each;
        }
        eval_store(&out->t, i, sums[i]);
    }
    return true;
}

static bool is_nan(ir_dtype t, eval_number x)
{
    return ir_dtype_is_float(t) && x.f != x.f;
}

/* The first of equals; nan is best of all. An empty row gives 0. */
bool eval_op_arg_reduce(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *x = &in->t;
    eval_rows r = eval_rows_of(x, (uint32_t)ir_node_int(n, IR_ATTR_axis, 0));
    ir_op better = n->op == IR_OP_argmax ? IR_OP_gt : IR_OP_lt;
    if (!eval_new(e, out)) {
        return false;
    }
    for (int64_t row = 0; row < r.rows; row++) {
        int64_t first = eval_row_first(&r, row);
        eval_number best = {.i = 0}, at = {.i = 0};
        for (int64_t i = 0; i < r.n; i++) {
            eval_number v = eval_load(x, first + i * r.stride);
            eval_number wins = eval_apply(better, x->dtype, v, best);
            bool won = ir_dtype_is_float(x->dtype) ? wins.f != 0 : wins.i != 0;
            if (i == 0 || (!is_nan(x->dtype, best) && (won || is_nan(x->dtype, v)))) {
                best = v;
                at.i = i;
            }
        }
        eval_store(&out->t, row, at);
    }
    return true;
}

bool eval_op_cumsum(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *x = &in->t;
    eval_rows r = eval_rows_of(x, (uint32_t)ir_node_int(n, IR_ATTR_axis, 0));
    bool reverse = ir_node_int(n, IR_ATTR_reverse, 0) != 0;
    bool exclusive = ir_node_int(n, IR_ATTR_exclusive, 0) != 0;
    if (!eval_new(e, out)) {
        return false;
    }
    for (int64_t row = 0; row < r.rows; row++) {
        int64_t first = eval_row_first(&r, row);
        eval_number sum = identity(IR_OP_reduce_sum, x->dtype);
        for (int64_t i = 0; i < r.n; i++) {
            int64_t at = first + (reverse ? r.n - 1 - i : i) * r.stride;
            eval_number before = sum;
            sum = eval_apply(IR_OP_add, x->dtype, sum, eval_load(x, at));
            eval_store(&out->t, at, exclusive ? before : sum);
        }
    }
    return true;
}

/* Orders --------------------------------------------------------------------------------------- */

typedef struct order {
    const ir_tensor *x;
    int64_t first, stride;
    bool descending;
} order;

/* Does element i come after element j, so that the two must change places? nan comes last. */
static bool after(const order *o, int64_t i, int64_t j)
{
    eval_number a = eval_load(o->x, o->first + i * o->stride);
    eval_number b = eval_load(o->x, o->first + j * o->stride);
    if (!ir_dtype_is_float(o->x->dtype)) {
        return o->descending ? a.i < b.i : a.i > b.i;
    }
    if (a.f != a.f || b.f != b.f) {
        return a.f != a.f && b.f == b.f;
    }
    return o->descending ? a.f < b.f : a.f > b.f;
}

/* Merges runs of 1, 2, 4 ... elements: stable. The order ends up in `at`. */
static void merge_sort(const order *o, int64_t n, int64_t *at, int64_t *other)
{
    for (int64_t i = 0; i < n; i++) {
        at[i] = i;
    }
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * run) {
            int64_t mid = lo + run < n ? lo + run : n, hi = mid + run < n ? mid + run : n;
            int64_t i = lo, j = mid;
            for (int64_t k = lo; k < hi; k++) {
                bool second = i == mid || (j < hi && after(o, at[i], at[j]));
                other[k] = second ? at[j++] : at[i++];
            }
        }
        for (int64_t i = 0; i < n; i++) {
            at[i] = other[i];
        }
    }
}

/* The first `kept` of each row in order: their values, their places, or both. */
static bool sorted(eval *e, const ir_node *n, const ir_tensor *x, bool descending, int64_t kept,
                   const ir_tensor *values, const ir_tensor *places)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    eval_rows r = eval_rows_of(x, axis), to = {.rows = r.rows, .n = kept, .stride = r.stride};
    int64_t *at = eval_scratch(e, r.n, sizeof *at), *other = eval_scratch(e, r.n, sizeof *other);
    if (!at || !other) {
        return false;
    }
    if (kept > r.n) {
        return eval_fail(e, "cannot take the top %lld of %lld", (long long)kept, (long long)r.n);
    }
    for (int64_t row = 0; row < r.rows; row++) {
        order o = {x, eval_row_first(&r, row), r.stride, descending};
        merge_sort(&o, r.n, at, other);
        for (int64_t i = 0; i < kept; i++) {
            int64_t place = eval_row_first(&to, row) + i * to.stride;
            if (values) {
                eval_move(values, place, x, o.first + at[i] * o.stride);
            }
            if (places) {
                eval_store(places, place, (eval_number){.i = at[i]});
            }
        }
    }
    return true;
}

bool eval_op_sort(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    bool places = n->op == IR_OP_argsort;
    int64_t kept = in->t.dims[ir_node_int(n, IR_ATTR_axis, 0)];
    return eval_new(e, out) && sorted(e, n, &in->t, ir_node_int(n, IR_ATTR_descending, 0) != 0,
                                      kept, places ? NULL : &out->t, places ? &out->t : NULL);
}

bool eval_op_topk(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    bool descending = ir_node_int(n, IR_ATTR_descending, 1) != 0;
    return eval_new(e, &out[0]) && eval_new(e, &out[1]) &&
           sorted(e, n, &in->t, descending, ir_node_int(n, IR_ATTR_k, 0), &out[0].t, &out[1].t);
}
