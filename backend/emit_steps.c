#include "backend/emit_steps.h"

#include <math.h>

/* What a reduction starts from and how two values are put together. */
static LLVMValueRef identity(emit *e, ir_op op, LLVMTypeRef t, ir_dtype d)
{
    bool is_float = ir_dtype_is_float(d);
    switch (op) {
    case IR_OP_reduce_prod:
    case IR_OP_reduce_all:
        return emit_const_int(e, t, 1);
    case IR_OP_reduce_max:
        if (is_float) {
            return emit_const(e, t, -INFINITY);
        }
        return emit_const_int(e, t,
                              d == IR_i64   ? INT64_MIN
                              : d == IR_i32 ? INT32_MIN
                              : d == IR_i16 ? INT16_MIN
                              : d == IR_i8  ? INT8_MIN
                                            : 0);
    case IR_OP_reduce_min:
        if (is_float) {
            return emit_const(e, t, INFINITY);
        }
        return emit_const_int(e, t,
                              d == IR_i64   ? INT64_MAX
                              : d == IR_i32 ? INT32_MAX
                              : d == IR_i16 ? INT16_MAX
                              : d == IR_i8  ? INT8_MAX
                                            : UINT8_MAX);
    default:
        return LLVMConstNull(t);
    }
}

static LLVMValueRef start_value(emit *e, ir_op op, LLVMTypeRef t, ir_dtype d)
{
    if (op == IR_OP_reduce_prod && ir_dtype_is_float(d)) {
        return emit_const(e, t, 1);
    }
    return identity(e, op, t, d);
}

static LLVMValueRef combine(emit *e, ir_op op, ir_dtype d, LLVMValueRef x, LLVMValueRef y)
{
    static const ir_op pairs[][2] = {
        {IR_OP_reduce_sum,  IR_OP_add},
        {IR_OP_reduce_mean, IR_OP_add},
        {IR_OP_reduce_max,  IR_OP_max},
        {IR_OP_reduce_min,  IR_OP_min},
        {IR_OP_reduce_prod, IR_OP_mul},
        {IR_OP_reduce_any,  IR_OP_or },
        {IR_OP_reduce_all,  IR_OP_and}
    };
    for (uint32_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i][0] == op) {
            return emit_math(e, pairs[i][1], d, x, y);
        }
    }
    return x;
}

/* acc + x, as a fused multiply-add where x is a product. */
static LLVMValueRef accumulate(emit *e, const k_step *s, LLVMValueRef v_acc, bool vector)
{
    const k_expr *x = s->value;
    if (s->op == IR_OP_reduce_sum && x->kind == K_OP && x->op == IR_OP_mul &&
        ir_dtype_is_float(s->acc)) {
        emit_value a = emit_expr(e, x->args[0]), b = emit_expr(e, x->args[1]);
        LLVMValueRef v_new = emit_fma(e, emit_as(e, a, vector), emit_as(e, b, vector), v_acc);
        return vector && e->v_mask ? emit_select(e, e->v_mask, v_new, v_acc) : v_new;
    }
    LLVMValueRef v = emit_as(e, emit_expr(e, x), vector);
    if (vector && e->v_mask) {
        v = emit_select(e, e->v_mask, v, start_value(e, s->op, LLVMTypeOf(v), s->acc));
    }
    return combine(e, s->op, s->acc, v_acc, v);
}

static LLVMValueRef across_lanes(emit *e, const k_step *s, LLVMValueRef v)
{
    /* A fixed tree: halves, quarters, ... */
    for (uint32_t width = e->lanes / 2; width >= 1; width /= 2) {
        LLVMValueRef lo[64], hi[64];
        for (uint32_t i = 0; i < width; i++) {
            lo[i] = LLVMConstInt(e->i32, i, false);
            hi[i] = LLVMConstInt(e->i32, i + width, false);
        }
        LLVMValueRef v_poison = LLVMGetPoison(LLVMTypeOf(v));
        LLVMValueRef v_lo =
            LLVMBuildShuffleVector(e->b, v, v_poison, LLVMConstVector(lo, width), "");
        LLVMValueRef v_hi =
            LLVMBuildShuffleVector(e->b, v, v_poison, LLVMConstVector(hi, width), "");
        v = combine(e, s->op, s->acc, v_lo, v_hi);
    }
    return LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, 0, false), "");
}

/* Points ------------------------------------------------------------------------------------------
 */

static void enter_point(nest_emitter *q, uint32_t p, emit_memo *memo)
{
    emit *e = q->e;
    for (uint32_t i = 0; i < 2 && i < q->n->n_outer; i++) {
        e->v_axes[q->n->outer[q->n->n_outer - 1 - i]->id] = q->points[p].v_axes[i];
    }
    for (uint32_t i = 0; i < q->n->n_steps; i++) {
        e->reduced[i] = q->points[p].reduced[i];
    }
    emit_memo_push(e, memo);
}

static void leave_point(nest_emitter *q, emit_memo *memo)
{
    (void)memo;
    emit_memo_pop(q->e);
}

/* Runs fn over the loops of a step's axes; the last one by vectors when inner.
 * ----------------------- */

typedef struct step_walk {
    nest_emitter *q;
    const k_step *s;
    bool inner;         /* lanes along the last axis */
    uint32_t n_carries; /* accumulators: points (x 1) */
    /* Works at one place: takes the carries, gives the next. */
    void (*work)(struct step_walk *w, LLVMValueRef *v_carry, LLVMValueRef *v_next);
} step_walk;

static void walk_axes(step_walk *w, uint32_t axis, LLVMValueRef *v_carry)
{
    emit *e = w->q->e;
    LLVMValueRef v_next[64];
    if (axis == w->s->n_axes) {
        w->work(w, v_carry, v_next);
        for (uint32_t i = 0; i < w->n_carries; i++) {
            v_carry[i] = v_next[i];
        }
        return;
    }
    const k_axis *k = w->s->axes[axis];
    LLVMValueRef v_lo = emit_i64(e, 0), v_hi = emit_kernel_dim(e, k->extent);
    bool last = axis + 1 == w->s->n_axes, vector = last && w->inner;
    LLVMValueRef v_step = emit_i64(e, vector ? e->lanes : 1), v_whole = v_hi;
    bool exact = ir_dim_is_const(k->extent) && ir_dim_value(k->extent) % e->lanes == 0;
    if (vector && !exact) {
        v_whole = LLVMBuildAnd(e->b, v_hi, emit_i64(e, -(int64_t)e->lanes), "whole");
    }
    emit_loop l;
    emit_loop_begin(e, &l, k->name, v_lo, v_whole, v_step, w->n_carries, v_carry);
    e->v_axes[k->id] = l.v_i;
    e->lane_axis = vector ? k : e->lane_axis;
    for (uint32_t i = 0; i < w->n_carries; i++) {
        v_next[i] = l.v_carry[i];
    }
    walk_axes(w, axis + 1, v_next);
    emit_loop_end(e, &l, v_next);
    for (uint32_t i = 0; i < w->n_carries; i++) {
        v_carry[i] = l.v_carry[i];
    }
    if (vector && !exact) { /* the rest, under a mask: at most one turn */
        emit_loop t;
        emit_loop_begin(e, &t, "rest", v_whole, v_hi, v_step, w->n_carries, v_carry);
        e->v_axes[k->id] = t.v_i;
        e->v_mask = emit_lanes_below(e, t.v_i, v_hi);
        for (uint32_t i = 0; i < w->n_carries; i++) {
            v_next[i] = t.v_carry[i];
        }
        walk_axes(w, axis + 1, v_next);
        e->v_mask = NULL;
        emit_loop_end(e, &t, v_next);
        for (uint32_t i = 0; i < w->n_carries; i++) {
            v_carry[i] = t.v_carry[i];
        }
    }
    e->lane_axis = vector ? NULL : e->lane_axis;
}

static void work_reduce(step_walk *w, LLVMValueRef *v_carry, LLVMValueRef *v_next)
{
    nest_emitter *q = w->q;
    for (uint32_t p = 0; p < q->n_points; p++) {
        emit_memo memo;
        enter_point(q, p, &memo);
        v_next[p] = accumulate(q->e, w->s, v_carry[p], emit_is_vector(v_carry[p]));
        leave_point(q, &memo);
    }
}

static void reduce_step(nest_emitter *q, uint32_t index)
{
    emit *e = q->e;
    const k_step *s = &q->n->steps[index];
    bool inner = q->s.lanes == SCHEDULE_INNER && s->n_axes > 0;
    bool vector = inner || q->s.lanes == SCHEDULE_OUTER;
    LLVMTypeRef t = emit_type(e, s->acc);
    LLVMValueRef v_carry[64];
    for (uint32_t p = 0; p < q->n_points; p++) {
        v_carry[p] = start_value(e, s->op, vector ? emit_vector(e, t) : t, s->acc);
    }
    step_walk w = {q, s, inner, q->n_points, work_reduce};
    walk_axes(&w, 0, v_carry);
    for (uint32_t p = 0; p < q->n_points; p++) {
        LLVMValueRef v = inner ? across_lanes(e, s, v_carry[p]) : v_carry[p];
        q->points[p].reduced[index] = (emit_value){v, vector && !inner};
    }
}

nest_emitter *emit_steps_begin(emit *e, const k_nest *n)
{
    nest_emitter *q = arena_new(e->a, nest_emitter);
    *q = (nest_emitter){.e = e, .n = n};
    for (uint32_t p = 0; p < NEST_MOST_POINTS; p++) {
        q->points[p].reduced = arena_array(e->a, emit_value, n->n_steps);
    }
    return q;
}

/* One point, that at which the outer axes stand. */
static nest_emitter *at_point(emit *e, const k_nest *n)
{
    nest_emitter *q = emit_steps_begin(e, n);
    q->s.lanes = SCHEDULE_INNER;
    q->n_points = 1;
    for (uint32_t i = 0; i < 2 && i < n->n_outer; i++) {
        q->points[0].v_axes[i] = e->v_axes[n->outer[n->n_outer - 1 - i]->id];
    }
    return q;
}

void emit_row_steps(emit *e, const k_nest *n, uint32_t n_steps)
{
    nest_emitter *q = at_point(e, n);
    for (uint32_t i = 0; i < n_steps; i++) {
        reduce_step(q, i);
        e->reduced[i] = q->points[0].reduced[i];
    }
}

/* argmax, argmin: the best value and where; the first of equals; nan is best of all. */
static void work_arg(step_walk *w, LLVMValueRef *v_carry, LLVMValueRef *v_next)
{
    nest_emitter *q = w->q;
    emit *e = q->e;
    emit_memo memo;
    enter_point(q, 0, &memo);
    bool vector = emit_is_vector(v_carry[0]);
    LLVMValueRef v = emit_as(e, emit_expr(e, w->s->value), vector);
    LLVMValueRef v_i = e->v_axes[w->s->axes[0]->id];
    v_i = vector ? emit_splat(e, v_i) : v_i;
    LLVMValueRef v_better =
        emit_math(e, w->s->op == IR_OP_argmax ? IR_OP_gt : IR_OP_lt, w->s->acc, v, v_carry[0]);
    LLVMValueRef v_first = LLVMBuildICmp(e->b, LLVMIntEQ, v_i, LLVMConstNull(LLVMTypeOf(v_i)), "");
    v_better = LLVMBuildOr(e->b, v_better, v_first, "");
    if (ir_dtype_is_float(w->s->acc)) {
        LLVMValueRef v_nan = LLVMBuildFCmp(e->b, LLVMRealUNO, v, v, ""),
                     v_had = LLVMBuildFCmp(e->b, LLVMRealUNO, v_carry[0], v_carry[0], "");
        v_better = LLVMBuildAnd(e->b, LLVMBuildOr(e->b, v_better, v_nan, ""),
                                LLVMBuildOr(e->b, LLVMBuildNot(e->b, v_had, ""), v_first, ""), "");
    }
    v_next[0] = emit_select(e, v_better, v, v_carry[0]);
    v_next[1] = emit_select(e, v_better, v_i, v_carry[1]);
    leave_point(q, &memo);
}

static void arg_step(nest_emitter *q, uint32_t index)
{
    emit *e = q->e;
    const k_step *s = &q->n->steps[index];
    bool vector = q->s.lanes == SCHEDULE_OUTER;
    LLVMTypeRef t = emit_type(e, s->acc);
    LLVMValueRef v_carry[2] = {LLVMConstNull(vector ? emit_vector(e, t) : t),
                               LLVMConstNull(vector ? emit_vector(e, e->i64) : e->i64)};
    step_walk w = {q, s, false, 2, work_arg};
    walk_axes(&w, 0, v_carry);
    q->points[0].reduced[index] = (emit_value){v_carry[1], vector};
}

static void work_store(step_walk *w, LLVMValueRef *v_carry, LLVMValueRef *v_next)
{
    nest_emitter *q = w->q;
    (void)v_carry, (void)v_next;
    for (uint32_t p = 0; p < q->n_points; p++) {
        emit_memo memo;
        enter_point(q, p, &memo);
        emit_value v = emit_expr(q->e, w->s->value);
        emit_store(q->e, w->s->buf, w->s->offset, v, w->s->add);
        leave_point(q, &memo);
    }
}

/* The step and the next, which stores beside it. */
static void work_store_pair(step_walk *w, LLVMValueRef *v_carry, LLVMValueRef *v_next)
{
    nest_emitter *q = w->q;
    (void)v_carry, (void)v_next;
    for (uint32_t p = 0; p < q->n_points; p++) {
        emit_memo memo;
        enter_point(q, p, &memo);
        const k_expr *offsets[2] = {w->s[0].offset, w->s[1].offset};
        emit_value v[2];
        v[0] = emit_expr(q->e, w->s[0].value);
        v[1] = emit_expr(q->e, w->s[1].value);
        emit_store_pair(q->e, w->s->buf, offsets, v);
        leave_point(q, &memo);
    }
}

/* What is stored beside what the step before stores is stored with that. */
static void store_step(nest_emitter *q, uint32_t index)
{
    const k_step *s = &q->n->steps[index];
    if (s->beside) {
        return;
    }
    bool pair = index + 1 < q->n->n_steps && s[1].beside;
    bool inner = q->s.lanes == SCHEDULE_INNER && s->n_axes > 0;
    step_walk w = {q, s, inner, 0, pair ? work_store_pair : work_store};
    walk_axes(&w, 0, NULL);
}

void emit_row_stores(emit *e, const k_nest *n, uint32_t first)
{
    nest_emitter *q = at_point(e, n);
    for (uint32_t i = first; i < n->n_steps; i++) {
        store_step(q, i);
    }
}

/* All columns of the point's group, one after the other. */
static void keep_step(nest_emitter *q, uint32_t index)
{
    emit *e = q->e;
    const k_keep *keep = q->n->keep;
    LLVMValueRef v_first = emit_i64(e, 0), v_size = emit_i64(e, keep->group);
    if (keep->groups) {
        v_first = LLVMBuildMul(e->b, e->v_axes[keep->groups->id], v_size, "");
    }
    emit_loop l;
    emit_loop_begin(e, &l, keep->columns->name, emit_i64(e, 0), v_size, emit_i64(e, 1), 0, NULL);
    e->v_axes[keep->columns->id] = LLVMBuildAdd(e->b, v_first, l.v_i, "");
    reduce_step(q, index);
    LLVMValueRef v_to = LLVMBuildGEP2(e->b, e->f32, e->v_bufs[keep->buf->id], &l.v_i, 1, "");
    LLVMBuildStore(e->b, q->points[0].reduced[index].v, v_to);
    emit_loop_end(e, &l, NULL);
}

static void scan_step(nest_emitter *q, uint32_t index)
{
    emit *e = q->e;
    const k_step *s = &q->n->steps[index];
    const k_axis *k = s->axes[0];
    LLVMTypeRef t = emit_type(e, s->acc);
    LLVMValueRef v_n = emit_kernel_dim(e, k->extent), v_zero = LLVMConstNull(t);
    emit_loop l;
    emit_loop_begin(e, &l, "scan", emit_i64(e, 0), v_n, emit_i64(e, 1), 1, &v_zero);
    LLVMValueRef v_last = LLVMBuildSub(e->b, v_n, emit_i64(e, 1), "");
    e->v_axes[k->id] = s->reverse ? LLVMBuildSub(e->b, v_last, l.v_i, "") : l.v_i;
    LLVMValueRef v_sum = emit_math(e, IR_OP_add, s->acc, l.v_carry[0], emit_expr(e, s->value).v);
    LLVMValueRef v_out =
        emit_convert(e, s->exclusive ? l.v_carry[0] : v_sum, s->acc, s->buf->dtype);
    emit_store(e, s->buf, s->offset, (emit_value){v_out, false}, false);
    emit_loop_end(e, &l, &v_sum);
}

void emit_steps(nest_emitter *q)
{
    for (uint32_t i = 0; i < q->n->n_steps; i++) {
        const k_step *s = &q->n->steps[i];
        if (s->kind == K_STEP_STORE) {
            store_step(q, i);
        } else if (s->kind == K_STEP_SCAN) {
            scan_step(q, i);
        } else if (s->op == IR_OP_argmax || s->op == IR_OP_argmin) {
            arg_step(q, i);
        } else if (q->n->keep && q->n->keep->step == i) {
            keep_step(q, i);
        } else {
            reduce_step(q, i);
        }
    }
}
