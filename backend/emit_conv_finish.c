/* From the sums of a block to y, by way of the epilogue. */
#include "backend/emit_conv_parts.h"

/* Do rows of outputs begin with the first phase of a place, in every thread's part? */
static bool begins_at_places(const conv_emitter *q)
{
    const k_nest *n = q->p.nest;
    const conv_axis *x = &q->p.axes[2];
    return n->split < 0 || n->outer[n->split] != x->out || n->grain % x->phases == 0;
}

/* The sums of a vector of outputs from v_x on, all of the block's row v_row. */
static LLVMValueRef sums_of(conv_emitter *q, LLVMValueRef v_sums, LLVMValueRef v_row,
                            LLVMValueRef v_x, LLVMValueRef v_mask)
{
    emit *e = q->e;
    const conv_axis *x = &q->p.axes[2];
    LLVMValueRef v_start = sub(q, mul(q, v_row, q->v_pitch), q->v_at[2]);
    if (x->phases == 1) {
        return load_vector(q, v_sums, add(q, v_start, v_x), 4);
    }
    if (x->phases == 2 && begins_at_places(q)) {
        LLVMValueRef v_place =
            add(q, v_start, LLVMBuildLShr(e->b, v_x, LLVMConstInt(e->i64, 1, false), ""));
        LLVMValueRef v_even = load_vector(q, v_sums, v_place, 4),
                     v_odd = load_vector(q, v_sums, plus(q, v_place, q->p.outputs), 4);
        return emit_interleave(e, v_even, v_odd, 0);
    }
    LLVMTypeRef vt = emit_vector(e, e->f32), it = emit_vector(e, e->i64);
    LLVMValueRef v_at = emit_splat(e, v_x);
    v_at = LLVMBuildAdd(e->b, v_at, emit_iota(e, e->i64), "");
    LLVMValueRef v_by = emit_const_int(e, it, x->phases);
    LLVMValueRef v_place = LLVMBuildUDiv(e->b, v_at, v_by, ""),
                 v_phase = LLVMBuildURem(e->b, v_at, v_by, "");
    v_phase = LLVMBuildMul(e->b, v_phase, emit_const_int(e, it, q->p.outputs), "");
    v_at = LLVMBuildAdd(e->b, LLVMBuildAdd(e->b, v_place, v_phase, ""), emit_splat(e, v_start), "");
    v_mask = v_mask ? v_mask : LLVMConstAllOnes(emit_vector(e, e->i1));
    LLVMValueRef args[4] = {LLVMBuildGEP2(e->b, e->f32, v_sums, &v_at, 1, ""),
                            LLVMConstInt(e->i32, 4, false), v_mask, LLVMConstNull(vt)};
    return emit_intrinsic(e, "llvm.masked.gather", 2, (LLVMTypeRef[]){vt, emit_vector(e, e->ptr)},
                          4, args);
}

/* Output of a place and a phase. */
static LLVMValueRef output(conv_emitter *q, uint32_t axis, LLVMValueRef v_place,
                           LLVMValueRef v_phase)
{
    const conv_axis *x = &q->p.axes[axis];
    return add(q, times(q, v_place, x->phases), v_phase);
}

static void set_axis(conv_emitter *q, uint32_t axis, LLVMValueRef v)
{
    if (q->p.axes[axis].out) {
        q->e->v_axes[q->p.axes[axis].out->id] = v;
    }
}

/* What lies a channel after what is read or written: asked for now, it has come by the time that
 * channel's turn is. */
static void ask_for_next(conv_emitter *q, const k_step *store)
{
    emit *e = q->e;
    emit_places next = emit_places_of(e, store, q->p.nest->outer[1]);
    for (uint32_t i = 0; i < next.n; i++) {
        const emit_place *p = &next.places[i];
        emit_prefetch(e, LLVMBuildGEP2(e->b, e->i8, p->v_ptr, (LLVMValueRef[]){p->v_step}, 1, ""),
                      3);
    }
}

/* The vector of outputs from v_x on, of the lanes in v_mask. */
static void finish_vector(conv_emitter *q, LLVMValueRef v_sums, LLVMValueRef v_row,
                          LLVMValueRef v_x, LLVMValueRef v_mask)
{
    emit *e = q->e;
    const k_step *store = &q->p.nest->steps[1];
    emit_memo memo;
    emit_memo_push(e, &memo);
    set_axis(q, 2, v_x);
    e->v_mask = v_mask;
    e->lane_axis = q->p.axes[2].out;
    ask_for_next(q, store);
    e->reduced[0] = (emit_value){sums_of(q, v_sums, v_row, v_x, v_mask), true};
    emit_value v = emit_expr(e, store->value);
    emit_store(e, store->buf, store->offset, v, false);
    e->lane_axis = NULL;
    e->v_mask = NULL;
    emit_memo_pop(e);
}

/* One row of outputs: whole vectors, and one of what is left. */
static void finish_row(conv_emitter *q, LLVMValueRef v_sums, LLVMValueRef v_row)
{
    emit *e = q->e;
    LLVMValueRef v_end = add(q, q->v_at[2], q->v_n[2]);
    LLVMValueRef v_lo = most(q, output(q, 2, q->v_at[2], zero(q)), q->out[2].v_lo),
                 v_hi = least(q, output(q, 2, v_end, zero(q)), q->out[2].v_hi);
    LLVMValueRef v_left =
        LLVMBuildURem(e->b, most(q, sub(q, v_hi, v_lo), zero(q)), emit_i64(e, e->lanes), "");
    LLVMValueRef v_whole = sub(q, v_hi, v_left);
    emit_loop l;
    begin(q, &l, "out", v_lo, v_whole, e->lanes);
    finish_vector(q, v_sums, v_row, l.v_i, NULL);
    end(q, &l);
    emit_if rest;
    emit_if_begin(e, &rest, LLVMBuildICmp(e->b, LLVMIntSGT, v_left, zero(q), ""), "rest");
    finish_vector(q, v_sums, v_row, v_whole, emit_lanes_below(e, v_whole, v_hi));
    emit_if_end(e, &rest);
}

static bool is_place(const conv_emitter *q, const k_axis *axis)
{
    return axis == q->p.axes[0].out || axis == q->p.axes[1].out || axis == q->p.axes[2].out;
}

/* Is it the same for all places of a channel? */
static bool of_channel(const conv_emitter *q, const k_expr *x)
{
    bool same = x->kind != K_REDUCED && x->kind != K_HOLE && x->kind != K_RANDOM &&
                !(x->kind == K_AXIS && is_place(q, x->axis)) &&
                (!x->guard || of_channel(q, x->guard));
    for (uint32_t i = 0; i < x->n && same; i++) {
        same = of_channel(q, x->args[i]);
    }
    return same;
}

/* What the epilogue needs of the channel alone, before the places: inner loops find it known. */
static void know_channel(conv_emitter *q, const k_expr *x)
{
    if (of_channel(q, x)) {
        emit_expr(q->e, x);
        return;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        know_channel(q, x->args[i]);
    }
}

/* All phases of depth and rows. */
void conv_finish_channel(conv_emitter *q, LLVMValueRef v_o, LLVMValueRef v_sums)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    emit_loop depth, row, high;
    e->v_axes[q->p.nest->outer[1]->id] = v_o;
    know_channel(q, q->p.nest->steps[1].value);
    begin(q, &depth, "depth", zero(q), emit_i64(e, axes[0].phases), 1);
    begin(q, &row, "row", zero(q), q->v_n[1], 1);
    begin(q, &high, "high", zero(q), emit_i64(e, axes[1].phases), 1);
    LLVMValueRef v_z = output(q, 0, q->v_at[0], depth.v_i),
                 v_y = output(q, 1, add(q, q->v_at[1], row.v_i), high.v_i);
    LLVMValueRef v_in = LLVMConstInt(e->i1, 1, false), v_out[2] = {v_z, v_y};
    for (uint32_t i = 0; i < 2; i++) {
        LLVMValueRef v_from = LLVMBuildICmp(e->b, LLVMIntSGE, v_out[i], q->out[i].v_lo, ""),
                     v_below = LLVMBuildICmp(e->b, LLVMIntSLT, v_out[i], q->out[i].v_hi, "");
        v_in = LLVMBuildAnd(e->b, v_in, LLVMBuildAnd(e->b, v_from, v_below, ""), "");
        set_axis(q, i, v_out[i]);
    }
    LLVMValueRef v_phase = add(q, times(q, depth.v_i, axes[1].phases), high.v_i);
    v_phase = times(q, v_phase, axes[2].phases * q->p.outputs);
    emit_if f;
    emit_if_begin(e, &f, v_in, "inside");
    finish_row(q, f32_at(q, v_sums, v_phase), row.v_i);
    emit_if_end(e, &f);
    end(q, &high);
    end(q, &row);
    end(q, &depth);
}
