/* Sums of a convolution in registers: rows of channels by vectors of places. */
#include "backend/emit_conv_parts.h"

enum { MOST_SUMS = 24, TILE_ARGS = 8 };

/* One product for every sum of the tile. */
static void add_products(conv_emitter *q, const conv_tile *t, LLVMValueRef v_w, LLVMValueRef v_b,
                         LLVMValueRef *v_sums)
{
    emit *e = q->e;
    LLVMValueRef v_line[8];
    for (uint32_t v = 0; v < t->vectors; v++) {
        v_line[v] = load_vector(q, v_b, emit_i64(e, (int64_t)v * e->lanes), 4 * e->lanes);
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_ptr = f32_at(q, v_w, emit_i64(e, r * t->w_row));
        LLVMValueRef v_weight = emit_splat(e, LLVMBuildLoad2(e->b, e->f32, v_ptr, ""));
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef *v_sum = &v_sums[r * t->vectors + v];
            *v_sum = emit_fma(e, v_weight, v_line[v], *v_sum);
        }
    }
}

static void begin_sums(conv_emitter *q, emit_loop *l, const char *name, LLVMValueRef v_lo,
                       LLVMValueRef v_hi, const conv_tile *t, LLVMValueRef *v_sums)
{
    uint32_t n = t->rows * t->vectors;
    emit_loop_begin(q->e, l, name, v_lo, v_hi, emit_i64(q->e, 1), n, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

static void end_sums(conv_emitter *q, emit_loop *l, const conv_tile *t, LLVMValueRef *v_sums)
{
    emit_loop_end(q->e, l, v_sums);
    for (uint32_t i = 0; i < t->rows * t->vectors; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

/* Weights of a row that lie side by side, as channels and taps run. One product a turn: with more,
 * LLVM moves so many loads to the front that sums are spilled. */
static void sum_line(conv_emitter *q, const conv_tile *t, LLVMValueRef *v_sums)
{
    emit_loop l;
    begin_sums(q, &l, "k", zero(q), times(q, q->v_channels, q->p.most), t, v_sums);
    add_products(q, t, f32_at(q, t->v_w, l.v_i), f32_at(q, t->v_b, times(q, l.v_i, t->b_step)),
                 v_sums);
    end_sums(q, &l, t, v_sums);
}

/* Those of a phase lie apart. */
static void sum_phase(conv_emitter *q, const conv_tile *t, LLVMValueRef *v_sums)
{
    const conv_axis *axes = q->p.axes;
    int64_t w_step = q->p.conv->out_group * axes[0].taps * axes[1].taps * axes[2].taps,
            b_step = q->p.most * t->b_step;
    emit_loop l[4];
    LLVMValueRef v_w = t->v_w, v_b = t->v_b;
    begin_sums(q, &l[3], "channel", zero(q), q->v_channels, t, v_sums);
    v_w = f32_at(q, v_w, times(q, l[3].v_i, w_step));
    v_b = f32_at(q, v_b, times(q, l[3].v_i, b_step));
    w_step /= q->p.conv->out_group;
    for (uint32_t i = 0; i < 3; i++) {
        w_step /= axes[i].taps;
        b_step /= axes[i].most;
        begin_sums(q, &l[i], "tap", zero(q), t->v_taps[i], t, v_sums);
        v_w = f32_at(q, v_w, times(q, l[i].v_i, w_step * axes[i].phases));
        v_b = f32_at(q, v_b, times(q, l[i].v_i, b_step));
    }
    add_products(q, t, v_w, v_b, v_sums);
    for (uint32_t i = 3; i-- > 0;) {
        end_sums(q, &l[i], t, v_sums);
    }
    end_sums(q, &l[3], t, v_sums);
}

/* The tile's sums go to memory: v_to[row][to_row]. */
static void tile_sums(conv_emitter *q, const conv_tile *t, LLVMValueRef v_to)
{
    emit *e = q->e;
    uint32_t n = t->rows * t->vectors;
    LLVMValueRef v_sums[MOST_SUMS], v_at[MOST_SUMS];
    LLVMValueRef v_first = LLVMBuildICmp(e->b, LLVMIntEQ, q->v_channel, zero(q), "");
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = (int64_t)(i / t->vectors) * t->to_row + (int64_t)(i % t->vectors) * e->lanes;
        v_at[i] = emit_i64(e, at);
        v_sums[i] = LLVMConstNull(emit_vector(e, e->f32));
        if (!q->p.whole) {
            v_sums[i] =
                emit_select(e, v_first, v_sums[i], load_vector(q, v_to, v_at[i], 4 * e->lanes));
        }
    }
    if (q->p.conv->transposed) {
        sum_phase(q, t, v_sums);
    } else {
        sum_line(q, t, v_sums);
    }
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v = LLVMBuildStore(e->b, v_sums[i], f32_at(q, v_to, v_at[i]));
        LLVMSetAlignment(v, 4 * e->lanes);
    }
}

/* A tile is a function of its own: values of the loops around it would take registers from sums.
 * Its arguments: weights, packed inputs, sums; first channel, channels, taps of the phase. */
static LLVMValueRef tile_function(conv_emitter *q, conv_tile t)
{
    emit *e = q->e;
    conv_emitter inner = *q;
    LLVMTypeRef types[TILE_ARGS] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64, e->i64, e->i64};
    char name[64];
    snprintf(name, sizeof name, "k%u_conv_%ux%u", e->k->id, t.rows, t.vectors);
    LLVMValueRef f = emit_function_begin(e, name, types, TILE_ARGS, &inner.outside);
    t.v_w = LLVMGetParam(f, 0);
    t.v_b = LLVMGetParam(f, 1);
    inner.v_channel = LLVMGetParam(f, 3);
    inner.v_channels = LLVMGetParam(f, 4);
    for (uint32_t i = 0; i < 3; i++) {
        t.v_taps[i] = LLVMGetParam(f, 5 + i);
    }
    tile_sums(&inner, &t, LLVMGetParam(f, 2));
    emit_function_end(e, &inner.outside);
    return f;
}

static void run_tile(conv_emitter *q, const conv_tile *t, LLVMValueRef v_to)
{
    emit *e = q->e;
    LLVMValueRef f = tile_function(q, *t), v_one = emit_i64(e, 1);
    LLVMValueRef args[TILE_ARGS] = {t->v_w,        t->v_b, v_to,  q->v_channel,
                                    q->v_channels, v_one,  v_one, v_one};
    for (uint32_t i = 0; i < 3 && t->v_taps[i]; i++) {
        args[5 + i] = t->v_taps[i];
    }
    LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, args, TILE_ARGS, "");
}

void conv_run_places(conv_emitter *q, conv_tile t, LLVMValueRef v_to)
{
    emit *e = q->e;
    LLVMValueRef v_n = parts_of(q, q->v_places, e->lanes), v_lo = zero(q), v_b = t.v_b;
    for (uint32_t v = (uint32_t)q->p.tile_vectors; v > 0; v--) {
        if (v > 1 && (int64_t)v * e->lanes > q->p.places) {
            continue;
        }
        LLVMValueRef v_left = LLVMBuildUDiv(e->b, sub(q, v_n, v_lo), emit_i64(e, v), "");
        LLVMValueRef v_hi = add(q, v_lo, times(q, v_left, v));
        emit_loop l;
        begin(q, &l, "places", v_lo, v_hi, v);
        LLVMValueRef v_place = times(q, l.v_i, e->lanes);
        t.vectors = v;
        t.v_b = f32_at(q, v_b, v_place);
        run_tile(q, &t, f32_at(q, v_to, v_place));
        end(q, &l);
        v_lo = v_hi;
    }
}

void conv_run_phases(conv_emitter *q, conv_tile t, LLVMValueRef v_o, LLVMValueRef v_in_group,
                     LLVMValueRef v_to)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    const k_conv *v = q->p.conv;
    int64_t taps = axes[0].taps * axes[1].taps * axes[2].taps;
    LLVMValueRef v_w = e->v_bufs[v->w->id];
    t.v_b = q->v_packed;
    t.b_step = q->p.stride;
    t.to_row = q->p.phases * q->p.outputs;
    if (!v->transposed) {
        t.w_row = v->in_group * taps;
        v_w = f32_at(q, v_w, times(q, v_o, t.w_row));
        t.v_w = f32_at(q, v_w, times(q, q->v_channel, taps));
        conv_run_places(q, t, v_to);
        return;
    }
    LLVMValueRef v_c = add(q, times(q, q->v_group, v->in_group), q->v_channel);
    v_c = add(q, times(q, v_c, v->out_group), v_in_group);
    v_w = f32_at(q, v_w, times(q, v_c, taps));
    t.w_row = taps;
    emit_loop l[3];
    LLVMValueRef v_phase = zero(q);
    for (uint32_t i = 0; i < 3; i++) {
        begin(q, &l[i], "phase", zero(q), emit_i64(e, axes[i].phases), 1);
        taps /= axes[i].taps;
        v_w = f32_at(q, v_w, times(q, l[i].v_i, taps));
        v_phase = add(q, times(q, v_phase, axes[i].phases), l[i].v_i);
        LLVMValueRef v_from = sub(q, emit_i64(e, axes[i].taps), l[i].v_i);
        t.v_taps[i] = parts_of(q, most(q, v_from, zero(q)), axes[i].phases);
    }
    t.v_w = v_w;
    conv_run_places(q, t, f32_at(q, v_to, times(q, v_phase, q->p.outputs)));
    for (uint32_t i = 3; i-- > 0;) {
        end(q, &l[i]);
    }
}
