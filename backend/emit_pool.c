/* Pooling: lanes run along a row of y, and what a tap adds to a vector is a row of x, strided, or
 * the reduction's own start beyond the borders.
 *
 *     for the outer axes of y
 *         for vectors of a row
 *             for taps of the axes before the last, that are within x
 *                 for taps of the last:  v = op(v, x[row][place * stride - pad + tap * dilation])
 *             epilogue(v)
 *
 * Taps run in order, so a value does not depend on the vector it is in. */
#include "backend/emit_pool.h"

#include "backend/emit_conv_parts.h"

#include <math.h>

enum { UNROLLED = 8 }; /* taps of a row, at most: which lanes they reach is known before the rows */

typedef struct pool_emitter {
    conv_emitter *c; /* arithmetic and loads of rows; it has no plan */
    const k_nest *n;
    const k_pool *p;
    range out[2 + 3]; /* this thread's part of y */
    LLVMValueRef v_start;
    conv_lanes taps[UNROLLED];
} pool_emitter;

/* x's index along an axis of the first tap. */
static LLVMValueRef source_index(pool_emitter *q, uint32_t axis)
{
    LLVMValueRef v_place = q->c->e->v_axes[q->n->outer[2 + axis]->id];
    return plus(q->c, times(q->c, v_place, q->p->strides[axis]), -q->p->pads[axis]);
}

static bool is_unrolled(const pool_emitter *q)
{
    return q->p->window[q->p->n_spatial - 1] <= UNROLLED;
}

static conv_lanes lanes_of(pool_emitter *q, LLVMValueRef v_tap)
{
    conv_emitter *c = q->c;
    uint32_t last = q->p->n_spatial - 1;
    LLVMValueRef v_first = add(c, source_index(q, last), times(c, v_tap, q->p->dilations[last]));
    return conv_lanes_of(c, v_first, emit_kernel_dim(c->e, q->p->sizes[last]), q->p->strides[last]);
}

static LLVMValueRef reduce_tap(pool_emitter *q, LLVMValueRef v_row, const conv_lanes *lanes,
                               LLVMValueRef v_value)
{
    ir_op op = q->n->steps[0].op == IR_OP_reduce_max ? IR_OP_max : IR_OP_add;
    LLVMValueRef v_x = conv_load_lanes(q->c, v_row, lanes, q->v_start);
    return emit_math(q->c->e, op, IR_f32, v_value, v_x);
}

static LLVMValueRef reduce_row(pool_emitter *q, LLVMValueRef v_row, LLVMValueRef v_value)
{
    emit *e = q->c->e;
    int64_t n = q->p->window[q->p->n_spatial - 1];
    for (int64_t i = 0; i < n && is_unrolled(q); i++) {
        v_value = reduce_tap(q, v_row, &q->taps[i], v_value);
    }
    if (is_unrolled(q)) {
        return v_value;
    }
    emit_loop l;
    emit_loop_begin(e, &l, "tap", zero(q->c), emit_i64(e, n), emit_i64(e, 1), 1, &v_value);
    conv_lanes lanes = lanes_of(q, l.v_i);
    v_value = reduce_tap(q, v_row, &lanes, l.v_carry[0]);
    emit_loop_end(e, &l, &v_value);
    return l.v_carry[0];
}

/* As taps of axis i run, and those of the axes after it. v_row: of x's rows, as far as is known. */
static LLVMValueRef reduce_axis(pool_emitter *q, uint32_t i, LLVMValueRef v_row,
                                LLVMValueRef v_value)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    LLVMValueRef v_size = emit_kernel_dim(e, q->p->sizes[i]);
    if (i + 1 == q->p->n_spatial) {
        return reduce_row(q, f32_at(c, e->v_bufs[q->p->x->id], mul(c, v_row, v_size)), v_value);
    }
    int64_t by = q->p->dilations[i];
    LLVMValueRef v_first = source_index(q, i), v_below = most(c, sub(c, zero(c), v_first), zero(c)),
                 v_above = most(c, sub(c, v_size, v_first), zero(c));
    emit_loop l;
    emit_loop_begin(e, &l, "tap", parts_of(c, v_below, by),
                    least(c, parts_of(c, v_above, by), emit_i64(e, q->p->window[i])),
                    emit_i64(e, 1), 1, &v_value);
    LLVMValueRef v_at = add(c, v_first, times(c, l.v_i, by));
    v_value = reduce_axis(q, i + 1, add(c, mul(c, v_row, v_size), v_at), l.v_carry[0]);
    emit_loop_end(e, &l, &v_value);
    return l.v_carry[0];
}

/* The vector of y at the values of its axes, of the lanes in v_mask. */
static void run_vector(pool_emitter *q, LLVMValueRef v_mask)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    const k_step *store = &q->n->steps[1];
    const k_axis *const *outer = q->n->outer;
    emit_memo memo;
    emit_memo_push(e, &memo);
    for (int64_t i = 0; is_unrolled(q) && i < q->p->window[q->p->n_spatial - 1]; i++) {
        q->taps[i] = lanes_of(q, emit_i64(e, i));
    }
    LLVMValueRef v_image = mul(c, e->v_axes[outer[0]->id], emit_kernel_dim(e, outer[1]->extent));
    LLVMValueRef v_value = reduce_axis(q, 0, add(c, v_image, e->v_axes[outer[1]->id]), q->v_start);
    e->v_mask = v_mask;
    e->lane_axis = outer[q->n->n_outer - 1];
    e->reduced[0] = (emit_value){v_value, true};
    emit_store(e, store->buf, store->offset, emit_expr(e, store->value), false);
    e->lane_axis = NULL;
    e->v_mask = NULL;
    emit_memo_pop(e);
}

static void run_axis(pool_emitter *q, uint32_t i)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    range r = q->out[i];
    bool last = i + 1 == q->n->n_outer;
    LLVMValueRef *v_axis = &e->v_axes[q->n->outer[i]->id];
    LLVMValueRef v_left = NULL, v_end = r.v_hi;
    if (last) {
        LLVMValueRef v_n = most(c, sub(c, r.v_hi, r.v_lo), zero(c));
        v_left = LLVMBuildURem(e->b, v_n, emit_i64(e, e->lanes), "");
        v_end = sub(c, r.v_hi, v_left);
    }
    emit_loop l;
    begin(c, &l, "out", r.v_lo, v_end, last ? e->lanes : 1);
    *v_axis = l.v_i;
    if (last) {
        run_vector(q, NULL);
    } else {
        run_axis(q, i + 1);
    }
    end(c, &l);
    if (last) {
        emit_if rest;
        emit_if_begin(e, &rest, LLVMBuildICmp(e->b, LLVMIntSGT, v_left, zero(c), ""), "rest");
        *v_axis = v_end;
        run_vector(q, emit_lanes_below(e, v_end, r.v_hi));
        emit_if_end(e, &rest);
    }
}

void emit_pool(emit *e, const k_nest *n)
{
    conv_emitter c = {.e = e};
    double start = n->steps[0].op == IR_OP_reduce_max ? -INFINITY : 0;
    pool_emitter q = {
        .c = &c, .n = n, .p = n->pool, .v_start = emit_const(e, emit_vector(e, e->f32), start)};
    find_ranges(&c, n, q.out);
    e->lanes_aligned = false;
    emit_if alone;
    if (n->split < 0) {
        emit_alone_begin(e, &alone);
    }
    run_axis(&q, 0);
    if (n->split < 0) {
        emit_if_end(e, &alone);
    }
}
