/* The interpreter: ops that move elements. */
#include "ir/eval_impl.h"

#include <string.h>

static size_t bytes_of(const ir_tensor *t)
{
    return (size_t)ir_tensor_elems(t) * ir_dtype_bytes(t->dtype);
}

bool eval_op_copy(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)n;
    if (ir_tensor_elems(&in->t) != ir_tensor_elems(&out->t)) {
        return eval_fail(e, "reshape from %lld to %lld elements",
                         (long long)ir_tensor_elems(&in->t), (long long)ir_tensor_elems(&out->t));
    }
    eval_share(out, in);
    return true;
}

/* out at its points is x at `start` and these steps for each axis of out. */
static bool view(eval *e, const ir_tensor *x, int64_t start, const int64_t *steps, eval_value *out)
{
    if (!eval_new(e, out)) {
        return false;
    }
    eval_walk w = {.start = {start}};
    for (uint32_t i = 0; i < out->t.rank; i++) {
        eval_walk_axis(&w, out->t.dims[i], 1, &steps[i]);
    }
    eval_walk_begin(&w);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        eval_move(&out->t, i, x, w.offset[0]);
    }
    return true;
}

bool eval_op_transpose(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    int64_t own[IR_MAX_RANK], steps[IR_MAX_RANK];
    eval_strides(&in->t, own);
    for (uint32_t i = 0; i < in->t.rank; i++) {
        steps[i] = own[ir_node_attr(n, IR_ATTR_perm)->ints[i]];
    }
    return view(e, &in->t, 0, steps, out);
}

bool eval_op_broadcast(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)n;
    int64_t steps[IR_MAX_RANK];
    eval_broadcast_strides(&in->t, &out->t, steps);
    return view(e, &in->t, 0, steps, out);
}

bool eval_op_slice(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    int64_t steps[IR_MAX_RANK], offsets[IR_MAX_RANK], start = 0;
    const ir_attr *by = ir_node_attr(n, IR_ATTR_steps);
    eval_strides(&in->t, steps);
    if (!eval_sizes(e, n, IR_ATTR_offsets, in->t.rank, offsets)) {
        return false;
    }
    for (uint32_t i = 0; i < in->t.rank; i++) {
        int64_t step = by ? by->ints[i] : 1, size = out->t.dims[i];
        if (size > 0 && (offsets[i] < 0 || offsets[i] + (size - 1) * step >= in->t.dims[i])) {
            return eval_fail(e, "slice is out of range for axis %u of size %lld", i,
                             (long long)in->t.dims[i]);
        }
        start += offsets[i] * steps[i];
        steps[i] *= step;
    }
    return view(e, &in->t, start, steps, out);
}

bool eval_op_reverse(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    int64_t steps[IR_MAX_RANK], start = 0;
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    bool done[IR_MAX_RANK] = {false};
    eval_strides(&in->t, steps);
    for (uint32_t i = 0; i < axes->n; i++) {
        int64_t axis = axes->ints[i];
        if (!done[axis]) {
            start += (in->t.dims[axis] - 1) * steps[axis];
            steps[axis] = -steps[axis];
            done[axis] = true;
        }
    }
    return view(e, &in->t, start, steps, out);
}

/* to's box of src's sizes that begins at `offsets` becomes src. */
static bool write_box(eval *e, const ir_tensor *to, const ir_tensor *src, const int64_t *offsets)
{
    int64_t steps[IR_MAX_RANK];
    eval_walk w = {0};
    eval_strides(to, steps);
    for (uint32_t i = 0; i < to->rank; i++) {
        if (src->dims[i] > 0 && (offsets[i] < 0 || offsets[i] + src->dims[i] > to->dims[i])) {
            return eval_fail(e, "writing at %lld:%lld is out of range for axis %u of size %lld",
                             (long long)offsets[i], (long long)(offsets[i] + src->dims[i]), i,
                             (long long)to->dims[i]);
        }
        w.start[0] += offsets[i] * steps[i];
        eval_walk_axis(&w, src->dims[i], 1, &steps[i]);
    }
    eval_walk_begin(&w);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        eval_move(to, w.offset[0], src, i);
    }
    return true;
}

bool eval_op_update(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    int64_t offsets[IR_MAX_RANK];
    if (!eval_sizes(e, n, IR_ATTR_offsets, in->t.rank, offsets) || !eval_new(e, out)) {
        return false;
    }
    memcpy(out->t.data, in[0].t.data, bytes_of(&in[0].t));
    return write_box(e, &out->t, &in[1].t, offsets);
}

bool eval_op_pad(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    int64_t lo[IR_MAX_RANK], count = ir_tensor_elems(&out->t);
    double value = ir_node_float(n, IR_ATTR_value, 0);
    if (!eval_sizes(e, n, IR_ATTR_lo, in->t.rank, lo) || !eval_new(e, out)) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        ir_dtype_store(out->t.dtype, out->t.data, (size_t)i, value);
    }
    return write_box(e, &out->t, &in->t, lo);
}

bool eval_op_concat(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    int64_t offsets[IR_MAX_RANK] = {0};
    if (!eval_new(e, out)) {
        return false;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!write_box(e, &out->t, &in[i].t, offsets)) {
            return false;
        }
        offsets[axis] += in[i].t.dims[axis];
    }
    return true;
}

static bool something_there(eval *e, int64_t size, int64_t n_indices)
{
    return size > 0 || n_indices == 0 || eval_fail(e, "an index into an axis of size 0");
}

/* out[outer, ids..., inner] = x[outer, id, inner] */
bool eval_op_take(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *x = &in[0].t, *ids = &in[1].t;
    eval_rows r = eval_rows_of(x, (uint32_t)ir_node_int(n, IR_ATTR_axis, 0));
    int64_t count = ir_tensor_elems(ids), total = ir_tensor_elems(&out->t);
    if (!eval_new(e, out) || !something_there(e, r.n, total)) {
        return false;
    }
    for (int64_t i = 0; i < total; i++) {
        int64_t inner = i % r.stride, id = i / r.stride % count, outer = i / r.stride / count;
        int64_t at = eval_place(ids, id, r.n);
        eval_move(&out->t, i, x, (outer * r.n + at) * r.stride + inner);
    }
    return true;
}

/* Steps of t's axes at the points of `ids`, but for `axis`. */
static eval_walk beside(const ir_tensor *ids, const ir_tensor *t, uint32_t axis, int64_t *along)
{
    eval_walk w = {0};
    int64_t steps[IR_MAX_RANK];
    eval_strides(t, steps);
    *along = steps[axis];
    steps[axis] = 0;
    for (uint32_t i = 0; i < ids->rank; i++) {
        eval_walk_axis(&w, ids->dims[i], 1, &steps[i]);
    }
    eval_walk_begin(&w);
    return w;
}

bool eval_op_gather(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *x = &in[0].t, *ids = &in[1].t;
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    int64_t along;
    eval_walk w = beside(ids, x, axis, &along);
    if (!eval_new(e, out) || !something_there(e, x->dims[axis], w.left)) {
        return false;
    }
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        int64_t at = eval_place(ids, i, x->dims[axis]);
        eval_move(&out->t, i, x, w.offset[0] + at * along);
    }
    return true;
}

/* Sums are kept in f64 or i64 until all is added. */
typedef struct sums {
    double *f;
    int64_t *i;
} sums;

static bool sums_begin(eval *e, const ir_tensor *t, sums *s)
{
    *s = (sums){NULL, NULL};
    if (ir_dtype_is_float(t->dtype)) {
        s->f = eval_f64s(e, t);
    } else {
        s->i = eval_i64s(e, t);
    }
    return s->f || s->i;
}

static void sums_add(sums *s, int64_t to, const ir_tensor *from, int64_t at)
{
    eval_number x = eval_load(from, at);
    if (s->f) {
        s->f[to] += x.f;
    } else {
        s->i[to] = ir_op_eval_i64(IR_OP_add, s->i[to], x.i);
    }
}

static void sums_end(const sums *s, const ir_tensor *out)
{
    int64_t n = ir_tensor_elems(out);
    for (int64_t i = 0; i < n; i++) {
        eval_store(out, i, s->f ? (eval_number){.f = s->f[i]} : (eval_number){.i = s->i[i]});
    }
}

/* dst[..., ids[p], ...] += src[p] at every point p of ids */
bool eval_op_scatter_add(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *dst = &in[0].t, *ids = &in[1].t, *src = &in[2].t;
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    int64_t along;
    sums s;
    eval_walk w = beside(ids, dst, axis, &along);
    if (!eval_new(e, out) || !something_there(e, dst->dims[axis], w.left) ||
        !sums_begin(e, dst, &s)) {
        return false;
    }
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        sums_add(&s, w.offset[0] + eval_place(ids, i, dst->dims[axis]) * along, src, i);
    }
    sums_end(&s, &out->t);
    return true;
}

/* dst[..., ids[i], ...] += src[..., i, ...] */
bool eval_op_index_add(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_tensor *dst = &in[0].t, *ids = &in[1].t, *src = &in[2].t;
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    eval_rows r = eval_rows_of(src, axis);
    int64_t size = dst->dims[axis];
    sums s;
    if (!eval_new(e, out) || !something_there(e, size, ir_tensor_elems(src)) ||
        !sums_begin(e, dst, &s)) {
        return false;
    }
    for (int64_t row = 0; row < r.rows; row++) {
        int64_t outer = row / r.stride, inner = row % r.stride;
        for (int64_t i = 0; i < r.n; i++) {
            int64_t to = (outer * size + eval_place(ids, i, size)) * r.stride + inner;
            sums_add(&s, to, src, (outer * r.n + i) * r.stride + inner);
        }
    }
    sums_end(&s, &out->t);
    return true;
}
