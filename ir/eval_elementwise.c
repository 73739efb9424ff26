/* The interpreter: numbers, walks over axes, elementwise ops and leaves. */
#include "ir/eval_impl.h"

#include <math.h>
#include <string.h>

eval_number eval_load(const ir_tensor *t, int64_t at)
{
    return ir_dtype_is_float(t->dtype)
               ? (eval_number){.f = ir_dtype_load(t->dtype, t->data, (size_t)at)}
               : (eval_number){.i = ir_dtype_load_i64(t->dtype, t->data, (size_t)at)};
}

void eval_store(const ir_tensor *t, int64_t at, eval_number x)
{
    if (ir_dtype_is_float(t->dtype)) {
        ir_dtype_store(t->dtype, t->data, (size_t)at, x.f);
    } else {
        ir_dtype_store_i64(t->dtype, t->data, (size_t)at, x.i);
    }
}

eval_number eval_apply(ir_op op, ir_dtype t, eval_number x, eval_number y)
{
    return ir_dtype_is_float(t) ? (eval_number){.f = ir_op_eval_f64(op, x.f, y.f)}
                                : (eval_number){.i = ir_op_eval_i64(op, x.i, y.i)};
}

void eval_move(const ir_tensor *to, int64_t to_at, const ir_tensor *from, int64_t from_at)
{
    size_t bytes = ir_dtype_bytes(to->dtype);
    memcpy((char *)to->data + (size_t)to_at * bytes,
           (const char *)from->data + (size_t)from_at * bytes, bytes);
}

int64_t eval_place(const ir_tensor *ids, int64_t at, int64_t size)
{
    int64_t i = ir_dtype_load_i64(ids->dtype, ids->data, (size_t)at);
    i = i < 0 ? i + size : i;
    i = i < size - 1 ? i : size - 1;
    return i > 0 ? i : 0;
}

/* Walks ---------------------------------------------------------------------------------------- */

void eval_strides(const ir_tensor *t, int64_t *strides)
{
    int64_t step = 1;
    for (uint32_t i = t->rank; i-- > 0;) {
        strides[i] = step;
        step *= t->dims[i];
    }
}

void eval_broadcast_strides(const ir_tensor *t, const ir_tensor *to, int64_t *strides)
{
    int64_t own[IR_MAX_RANK];
    uint32_t missing = to->rank - t->rank;
    eval_strides(t, own);
    for (uint32_t i = 0; i < to->rank; i++) {
        strides[i] = i < missing || t->dims[i - missing] == 1 ? 0 : own[i - missing];
    }
}

void eval_walk_axis(eval_walk *w, int64_t size, uint32_t n, const int64_t *strides)
{
    w->size[w->n_axes] = size;
    for (uint32_t i = 0; i < n; i++) {
        w->stride[i][w->n_axes] = strides[i];
    }
    w->n_axes++;
}

void eval_walk_begin(eval_walk *w)
{
    w->left = 1;
    for (uint32_t i = 0; i < w->n_axes; i++) {
        w->at[i] = 0;
        w->left *= w->size[i];
    }
    memcpy(w->offset, w->start, sizeof w->offset);
}

void eval_walk_next(eval_walk *w)
{
    w->left--;
    for (uint32_t i = w->n_axes; i-- > 0;) {
        int64_t back = ++w->at[i] == w->size[i] ? w->size[i] : 0;
        for (uint32_t k = 0; k < EVAL_MOST_OFFSETS; k++) {
            w->offset[k] += w->stride[k][i] * (1 - back);
        }
        if (!back) {
            return;
        }
        w->at[i] = 0;
    }
}

eval_rows eval_rows_of(const ir_tensor *t, uint32_t axis)
{
    eval_rows r = {.rows = 1, .n = t->dims[axis], .stride = 1};
    for (uint32_t i = 0; i < t->rank; i++) {
        r.rows *= i == axis ? 1 : t->dims[i];
        r.stride *= i > axis ? t->dims[i] : 1;
    }
    return r;
}

int64_t eval_row_first(const eval_rows *r, int64_t row)
{
    return row / r->stride * r->stride * r->n + row % r->stride;
}

/* Ops ------------------------------------------------------------------------------------------ */

/* A walk over out's points with the offsets of up to three operands broadcast to them. */
static eval_walk over(const ir_tensor *out, uint32_t n_in, const eval_value *in)
{
    eval_walk w = {0};
    int64_t strides[3][IR_MAX_RANK];
    for (uint32_t k = 0; k < n_in; k++) {
        eval_broadcast_strides(&in[k].t, out, strides[k]);
    }
    for (uint32_t i = 0; i < out->rank; i++) {
        int64_t s[3] = {0};
        for (uint32_t k = 0; k < n_in; k++) {
            s[k] = strides[k][i];
        }
        eval_walk_axis(&w, out->dims[i], n_in, s);
    }
    eval_walk_begin(&w);
    return w;
}

bool eval_op_elementwise(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    if (!eval_new(e, out)) {
        return false;
    }
    ir_dtype t = in[0].t.dtype;
    bool from_float = ir_dtype_is_float(t), to_float = ir_dtype_is_float(out->t.dtype);
    eval_walk w = over(&out->t, n->n_in, in);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        eval_number x = eval_load(&in[0].t, w.offset[0]);
        eval_number y = n->n_in > 1 ? eval_load(&in[1].t, w.offset[1]) : (eval_number){.i = 0};
        eval_number r = eval_apply(n->op, t, x, y);
        if (from_float && !to_float) { /* a comparison: 0 or 1 */
            r.i = r.f != 0;
        }
        eval_store(&out->t, i, r);
    }
    return true;
}

bool eval_op_where(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    if (!eval_new(e, out)) {
        return false;
    }
    eval_walk w = over(&out->t, n->n_in, in);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        bool first = eval_load(&in[0].t, w.offset[0]).i != 0;
        eval_move(&out->t, i, &in[first ? 1 : 2].t, w.offset[first ? 1 : 2]);
    }
    return true;
}

/* To an integer: towards zero, nan is 0, what is out of range becomes the nearest there is. */
static int64_t saturated(double x, ir_dtype t)
{
    int64_t bits = 8 * (int64_t)ir_dtype_bytes(t) - (t != IR_u8);
    double most = ldexp(1, (int)bits);
    if (x != x) {
        return 0;
    }
    if (t == IR_u8) {
        return x <= 0 ? 0 : x >= 255 ? 255 : (int64_t)x;
    }
    int64_t limit = (int64_t)(((uint64_t)1 << bits) - 1);
    return x >= most ? limit : x < -most ? -limit - 1 : (int64_t)x;
}

/* An integer as an f64 that rounds to every narrower float as the integer itself would: what is
 * lost is kept in the last bit ("round to odd", Boldo, Melquiond 2008). */
static double sticky(int64_t i)
{
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    int shift = u >> 53 ? 11 - __builtin_clzll(u) : 0;
    uint64_t kept = u >> shift;
    double d = ldexp((double)(kept | (kept << shift != u)), shift);
    return i < 0 ? -d : d;
}

bool eval_op_cast(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)n;
    ir_dtype from = in->t.dtype, to = out->t.dtype;
    if (!eval_new(e, out)) {
        return false;
    }
    int64_t count = ir_tensor_elems(&out->t);
    for (int64_t i = 0; i < count; i++) {
        eval_number x = eval_load(&in->t, i);
        if (ir_dtype_is_float(from) && to == IR_bool) {
            x.i = x.f != 0;
        } else if (ir_dtype_is_float(from) && !ir_dtype_is_float(to)) {
            x.i = saturated(x.f, to);
        } else if (!ir_dtype_is_float(from) && ir_dtype_is_float(to)) {
            x.f = to == IR_f64 ? (double)x.i : sticky(x.i);
        }
        eval_store(&out->t, i, x);
    }
    return true;
}

/* Leaves --------------------------------------------------------------------------------------- */

bool eval_op_const(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)in;
    const ir_data *d = ir_node_attr(n, IR_ATTR_data)->data;
    ir_tensor from = {.dtype = d->dtype, .data = (void *)(uintptr_t)d->bytes};
    int64_t count = ir_tensor_elems(&out->t);
    if (!d->splat && d->size_bytes < (size_t)count * ir_dtype_bytes(d->dtype)) {
        return eval_fail(e, "a constant has fewer elements than its type");
    }
    if (!d->splat) {
        out->t.data = from.data;
        return true;
    }
    if (!eval_new(e, out)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        eval_move(&out->t, i, &from, 0);
    }
    return true;
}

bool eval_op_iota(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)in;
    if (!eval_new(e, out)) {
        return false;
    }
    eval_rows r = eval_rows_of(&out->t, (uint32_t)ir_node_int(n, IR_ATTR_axis, 0));
    bool is_float = ir_dtype_is_float(out->t.dtype);
    for (int64_t row = 0; row < r.rows; row++) {
        int64_t first = eval_row_first(&r, row);
        for (int64_t i = 0; i < r.n; i++) {
            eval_number x = {.i = i};
            if (is_float) {
                x.f = (double)i;
            }
            eval_store(&out->t, first + i * r.stride, x);
        }
    }
    return true;
}

bool eval_op_dim(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)in;
    eval_number x;
    if (!eval_new(e, out) || !eval_size(e, ir_node_attr(n, IR_ATTR_dim)->dim, &x.i)) {
        return false;
    }
    eval_store(&out->t, 0, x);
    return true;
}
