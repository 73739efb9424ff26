/* Channels of a tile: which weights are summed over, and which inputs. Parameters lie in panels of
 * a tile's channels, tap by tap (passes/layout.c): what a phase takes of them is read once, from
 * one end to the other. Other weights lie in rows; those of a transposed convolution have taps for
 * all channels of y side by side, so a block's are copied first, to where they do not push each
 * other out of a cache. Which taps a phase takes, and where they look, is a table. */
#include "backend/emit_conv_parts.h"

/* A tap of the phase, by its numbers along each axis, to at[TAP_FIELDS]; false: it has none. */
static bool describe_tap(const conv_plan *p, const int64_t r[3], const int64_t j[3], int64_t *at)
{
    const conv_axis *axes = p->axes;
    int64_t shifts[3], place = 0;
    for (uint32_t k = 0; k < 3; k++) {
        int64_t tap;
        if (!conv_axis_tap(&axes[k], r[k], j[k], &tap, &shifts[k])) {
            return false;
        }
        place = place * axes[k].taps + tap;
    }
    int64_t plane = shifts[0] * axes[1].planes + shifts[1] % axes[1].planes;
    at[TAP_NUMBER] = place;
    at[TAP_PLANE] = (plane * axes[2].planes + shifts[2]) * p->plane;
    at[TAP_DOWN] = shifts[1] / axes[1].planes * axes[1].down;
    return true;
}

/* The i-th of all points along three axes. */
static void unfold(int64_t i, int64_t depth, int64_t rows, int64_t columns, int64_t at[3])
{
    at[2] = i % columns;
    at[1] = i / columns % rows;
    at[0] = i / columns / rows % depth;
}

/* The taps of all phases, the number of them and then so many, padded to the most. */
static int64_t *describe_phases(emit *e, const conv_plan *p)
{
    const conv_axis *axes = p->axes;
    int64_t row = 1 + TAP_FIELDS * p->most, unknown = 0, *next = &unknown, first = -1;
    int64_t *table = arena_array(e->a, int64_t, (size_t)(p->phases * row));
    for (int64_t phase = 0; phase < p->phases; phase++) {
        int64_t r[3], *taps = &table[phase * row], *at = taps + 1;
        unfold(phase, axes[0].phases, axes[1].phases, axes[2].phases, r);
        for (int64_t i = 0; i < p->most; i++) {
            int64_t j[3];
            unfold(i, axes[0].most, axes[1].most, axes[2].most, j);
            if (describe_tap(p, r, j, at)) {
                *next = at[TAP_NUMBER];
                first = first < 0 ? at[TAP_NUMBER] : first;
                next = &at[TAP_NEXT];
                at += TAP_FIELDS;
                ++*taps;
            }
        }
    }
    int64_t channels = p->conv->channels;
    *next =
        conv_plan_taps(p) * (channels ? p->tile_rows / channels : 1) + first; /* of the next tile */
    return table;
}

LLVMValueRef conv_phase_table(conv_emitter *q)
{
    emit *e = q->e;
    int64_t n = q->p.phases * (1 + TAP_FIELDS * q->p.most), *table = describe_phases(e, &q->p);
    LLVMValueRef *entries = arena_array(e->a, LLVMValueRef, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        entries[i] = emit_i64(e, table[i]);
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
    if (across) {
        LLVMValueRef v_panel = LLVMBuildUDiv(e->b, v_o, emit_i64(e, across), ""),
                     v_within = LLVMBuildURem(e->b, v_o, emit_i64(e, across), "");
        t->w_row = 1;
        t->w_step = across;
        t->w_tap = v->in_group * across;
        t->panel = across;
        t->w_panel = deep * across;
        t->v_w = f32_at(q, v_w, times(q, v_panel, deep * across));
        t->v_w = f32_at(q, t->v_w, add(q, times(q, q->v_channel, across), v_within));
        return;
    }
    t->w_tap = 1;
    if (v->transposed) {
        t->v_w = f32_at(q, q->v_copied, times(q, sub(q, v_o, q->v_copied_from), taps));
        t->w_row = taps;
        t->w_step = q->p.weights;
        return;
    }
    t->v_w = f32_at(q, v_w, times(q, v_o, deep));
    t->v_w = f32_at(q, t->v_w, times(q, q->v_channel, taps));
    t->w_row = deep;
    t->w_step = taps;
}

void conv_run_phases(conv_emitter *q, conv_tile t, LLVMValueRef v_o, LLVMValueRef v_to)
{
    emit *e = q->e;
    t.v_b = q->v_packed;
    t.b_step = q->p.stride;
    t.to_row = q->p.phases * q->p.outputs;
    find_weights(q, &t, v_o);
    emit_loop l;
    begin(q, &l, "phase", zero(q), emit_i64(e, q->p.phases), 1);
    if (q->v_phases) {
        LLVMValueRef v_row = times(q, l.v_i, 1 + TAP_FIELDS * q->p.most);
        t.v_table = LLVMBuildGEP2(e->b, e->i64, q->v_phases, &v_row, 1, "");
    }
    conv_run_places(q, t, f32_at(q, v_to, times(q, l.v_i, q->p.outputs)));
    end(q, &l);
}
