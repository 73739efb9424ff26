/* Channels of a tile: which weights are summed over. Parameters lie in panels of a tile's channels
 * (passes/layout.c), read from one end to the other; other weights in rows. Rows of a transposed
 * convolution have taps for all channels of y, that all phases share: a block's are copied first,
 * in the order in which they lie and to where they do not push each other out of a cache. Which of
 * them a phase takes, and which inputs, is a table. */
#include "backend/emit_conv_parts.h"

LLVMValueRef conv_phase_table(conv_emitter *q)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    int64_t row = 1 + 2 * q->p.most, n = q->p.phases * row;
    LLVMValueRef *entries = arena_array(e->a, LLVMValueRef, (size_t)n);
    for (int64_t phase = 0; phase < q->p.phases; phase++) {
        int64_t r[3] = {phase / axes[2].phases / axes[1].phases,
                        phase / axes[2].phases % axes[1].phases, phase % axes[2].phases};
        int64_t taps = 0;
        LLVMValueRef *at = entries + phase * row;
        for (int64_t i = 0; i < q->p.most; i++) {
            int64_t j[3] = {i / axes[2].most / axes[1].most, i / axes[2].most % axes[1].most,
                            i % axes[2].most};
            int64_t place = 0;
            bool within = true;
            for (uint32_t k = 0; k < 3; k++) {
                int64_t tap = r[k] + j[k] * axes[k].phases;
                within = within && tap < axes[k].taps;
                place = place * axes[k].taps + tap;
            }
            at[1 + 2 * i] = at[2 + 2 * i] = zero(q);
            if (within) {
                at[1 + 2 * taps] = emit_i64(e, place);
                at[2 + 2 * taps] = emit_i64(e, i * q->p.stride);
                taps++;
            }
        }
        at[0] = emit_i64(e, taps);
    }
    LLVMValueRef v = LLVMAddGlobal(e->module, LLVMArrayType2(e->i64, (uint64_t)n), "phases");
    LLVMSetInitializer(v, LLVMConstArray2(e->i64, entries, (uint64_t)n));
    LLVMSetLinkage(v, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(v, true);
    return v;
}

void conv_copy_weights(conv_emitter *q, range o)
{
    emit *e = q->e;
    const k_conv *v = q->p.conv;
    int64_t taps = conv_plan_taps(&q->p), step = v->out_group * taps;
    LLVMValueRef v_first = times(q, q->v_group, v->out_group);
    LLVMValueRef v_c = add(q, times(q, q->v_group, v->in_group), q->v_channel);
    LLVMValueRef v_from = add(q, times(q, v_c, step), times(q, sub(q, o.v_lo, v_first), taps));
    LLVMValueRef v_n = times(q, sub(q, o.v_hi, o.v_lo), taps);
    emit_loop c, part;
    q->v_copied_from = o.v_lo;
    begin(q, &c, "channel", zero(q), q->v_channels, 1);
    LLVMValueRef v_row = f32_at(q, e->v_bufs[v->w->id], add(q, v_from, times(q, c.v_i, step)));
    LLVMValueRef v_to = f32_at(q, q->v_copied, times(q, c.v_i, q->p.weights));
    begin(q, &part, "part", zero(q), v_n, e->lanes);
    emit_prefetch(e, f32_at(q, v_row, plus(q, part.v_i, step)), 3);
    LLVMValueRef v_w = conv_load_row(q, v_row, part.v_i, v_n, 1);
    LLVMSetAlignment(LLVMBuildStore(e->b, v_w, f32_at(q, v_to, part.v_i)), 4);
    end(q, &part);
    end(q, &c);
}

/* Where the first weights of a tile lie that begins at channel v_o of y. */
static void find_weights(conv_emitter *q, conv_tile *t, LLVMValueRef v_o)
{
    emit *e = q->e;
    const k_conv *v = q->p.conv;
    int64_t taps = conv_plan_taps(&q->p), deep = v->in_group * taps, across = v->channels;
    LLVMValueRef v_w = e->v_bufs[v->w->id];
    if (v->transposed && !across) {
        t->v_w = f32_at(q, q->v_copied, times(q, sub(q, v_o, q->v_copied_from), taps));
        t->w_row = taps;
        t->w_step = q->p.weights;
        return;
    }
    if (!across) {
        t->v_w = f32_at(q, v_w, times(q, v_o, deep));
        t->v_w = f32_at(q, t->v_w, times(q, q->v_channel, taps));
        t->w_row = deep;
        t->w_step = 1;
        return;
    }
    LLVMValueRef v_panel = LLVMBuildUDiv(e->b, v_o, emit_i64(e, across), ""),
                 v_within = LLVMBuildURem(e->b, v_o, emit_i64(e, across), "");
    t->w_row = v->transposed ? taps : 1;
    t->w_step = v->transposed ? across * taps : across;
    t->v_w = f32_at(q, v_w, times(q, v_panel, deep * across));
    t->v_w = f32_at(q, t->v_w, times(q, q->v_channel, taps * across));
    t->v_w = f32_at(q, t->v_w, times(q, v_within, t->w_row));
}

void conv_run_phases(conv_emitter *q, conv_tile t, LLVMValueRef v_o, LLVMValueRef v_to)
{
    emit *e = q->e;
    t.v_b = q->v_packed;
    t.b_step = q->p.stride;
    t.to_row = q->p.phases * q->p.outputs;
    find_weights(q, &t, v_o);
    if (!q->p.conv->transposed) {
        conv_run_places(q, t, v_to);
        return;
    }
    emit_loop l;
    begin(q, &l, "phase", zero(q), emit_i64(e, q->p.phases), 1);
    LLVMValueRef v_row = times(q, l.v_i, 1 + 2 * q->p.most);
    t.v_table = LLVMBuildGEP2(e->b, e->i64, q->v_phases, &v_row, 1, "");
    conv_run_places(q, t, f32_at(q, v_to, times(q, l.v_i, q->p.outputs)));
    end(q, &l);
}
