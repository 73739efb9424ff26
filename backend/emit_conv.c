/* Convolutions by tiles: so many output channels by so many vectors of places (conv_plan.h) are
 * summed up in registers while channels and taps run.
 *
 *     for blocks of places                    rows of y, or parts of a row
 *         for parts of the channels           few, or one
 *             pack: b[c, shift][place] = x[...], 0 beyond the borders; taps of one shift share it
 *             for channels of a tile
 *                 for places of a tile
 *                     for tap, c: sum[o][v] += w[o, c, tap] * b[c, shift of tap][v]
 *                 epilogue(sums), after the last part
 *
 * Packing leaves nothing of strides, dilations and borders, and places lie side by side across the
 * ends of rows, so that small images fill vectors, too. Weights are read where they lie. Every
 * element is summed in the same order, of parts of the channels, taps and channels, whatever block
 * it is in, so that results do not depend on the number of threads. */
#include "backend/emit_conv.h"

#include "backend/emit_conv_parts.h"

/* After the last part of the channels: the outputs of a tile's rows. */
static void finish(conv_emitter *q, uint32_t rows, LLVMValueRef v_o, LLVMValueRef v_sums)
{
    emit *e = q->e;
    emit_if last;
    LLVMValueRef v_end = add(q, q->v_channel, q->v_channels);
    LLVMValueRef v_all = emit_i64(e, q->p.conv->in_group);
    emit_if_begin(e, &last, LLVMBuildICmp(e->b, LLVMIntEQ, v_end, v_all, ""), "last");
    emit_loop l;
    begin(q, &l, "channel", zero(q), emit_i64(e, rows), 1);
    conv_finish_channel(q, add(q, v_o, l.v_i),
                        f32_at(q, v_sums, times(q, l.v_i, q->p.phases * q->p.outputs)));
    end(q, &l);
    emit_if_end(e, &last);
}

/* Tiles of so many channels, from o.v_lo on; returns where they end. */
static LLVMValueRef run_height(conv_emitter *q, range o, uint32_t rows)
{
    emit *e = q->e;
    LLVMValueRef v_n = LLVMBuildUDiv(e->b, sub(q, o.v_hi, o.v_lo), emit_i64(e, rows), "");
    LLVMValueRef v_end = add(q, o.v_lo, times(q, v_n, rows));
    emit_loop l;
    begin(q, &l, "o", o.v_lo, v_end, rows);
    LLVMValueRef v_to = q->v_sums;
    if (!q->p.whole) {
        LLVMValueRef v_in_group = sub(q, l.v_i, times(q, q->v_group, q->p.conv->out_group));
        v_to = f32_at(q, v_to, times(q, v_in_group, q->p.phases * q->p.places));
    }
    conv_run_phases(q, (conv_tile){.rows = rows}, l.v_i, v_to);
    finish(q, rows, l.v_i, v_to);
    end(q, &l);
    return v_end;
}

bool conv_divides(const conv_emitter *q, int64_t rows)
{
    const k_nest *n = q->p.nest;
    return q->p.conv->out_group % rows == 0 && (n->split != 1 || n->grain % rows == 0);
}

static void run_channels(conv_emitter *q, range o)
{
    for (int64_t rows = q->p.tile_rows;; rows /= 2) {
        o.v_lo = run_height(q, o, (uint32_t)rows);
        if (rows == 1 || conv_divides(q, rows)) {
            return;
        }
    }
}

static void run_block(conv_emitter *q, range o)
{
    emit *e = q->e;
    LLVMValueRef v_all = emit_i64(e, q->p.conv->in_group);
    q->v_places = mul(q, q->v_n[1], q->v_n[2]);
    q->v_pitch = q->v_n[2];
    emit_loop l;
    begin(q, &l, "part", zero(q), v_all, q->p.channels);
    q->v_channel = l.v_i;
    q->v_channels = least(q, sub(q, v_all, l.v_i), emit_i64(e, q->p.channels));
    if (q->p.whole) {
        q->v_channel = zero(q);
        q->v_channels = v_all;
    }
    conv_pack(q);
    if (q->p.weights) {
        conv_copy_weights(q, o);
    }
    run_channels(q, o);
    end(q, &l);
}

/* The places of an axis that this thread's outputs ask for. */
static range places_of(conv_emitter *q, uint32_t axis)
{
    const conv_axis *x = &q->p.axes[axis];
    range s = q->out[axis];
    if (x->phases > 1) {
        s.v_lo = LLVMBuildUDiv(q->e->b, s.v_lo, emit_i64(q->e, x->phases), "");
        s.v_hi = parts_of(q, s.v_hi, x->phases);
    }
    return s;
}

/* All places at depth q->v_at[0], by blocks. */
static void run_blocks(conv_emitter *q, range o)
{
    emit *e = q->e;
    range rows = places_of(q, 1), cols = places_of(q, 2);
    LLVMValueRef v_most = emit_i64(e, q->p.places);
    if (q->p.tile) { /* whole tiles */
        LLVMValueRef v_over = LLVMBuildURem(e->b, cols.v_lo, emit_i64(e, q->p.tile), "");
        cols.v_lo = sub(q, cols.v_lo, v_over);
        v_most = emit_i64(e, q->p.outputs);
    }
    LLVMValueRef v_cols = most(q, least(q, sub(q, cols.v_hi, cols.v_lo), v_most), emit_i64(e, 1));
    LLVMValueRef v_rows =
        q->p.rows ? emit_i64(e, q->p.rows) : LLVMBuildUDiv(e->b, v_most, v_cols, "");
    emit_loop row, col;
    emit_loop_begin(e, &row, "rows", rows.v_lo, rows.v_hi, v_rows, 0, NULL);
    emit_loop_begin(e, &col, "cols", cols.v_lo, cols.v_hi, v_cols, 0, NULL);
    q->v_at[1] = row.v_i;
    q->v_at[2] = col.v_i;
    q->v_n[1] = least(q, sub(q, rows.v_hi, row.v_i), v_rows);
    q->v_n[2] = least(q, sub(q, cols.v_hi, col.v_i), v_cols);
    if (q->p.tile) {
        emit_winograd_block(q, o);
    } else {
        run_block(q, o);
    }
    end(q, &col);
    end(q, &row);
}

static range axis_span(conv_emitter *q, const k_axis *axis)
{
    emit *e = q->e;
    const k_nest *n = q->p.nest;
    range s = {zero(q), axis ? emit_kernel_dim(e, axis->extent) : emit_i64(e, 1)};
    if (axis && n->split >= 0 && n->outer[n->split] == axis) {
        emit_share(e, s.v_hi, n->grain, &s.v_lo, &s.v_hi);
    }
    return s;
}

static void run(conv_emitter *q)
{
    emit *e = q->e;
    const k_nest *n = q->p.nest;
    range images = axis_span(q, n->outer[0]), o = axis_span(q, n->outer[1]);
    int64_t out_group = q->p.conv->out_group;
    for (uint32_t i = 0; i < 3; i++) {
        const ir_dim *size = q->p.axes[i].size;
        q->out[i] = axis_span(q, q->p.axes[i].out);
        q->v_sizes[i] = size ? emit_kernel_dim(e, size) : emit_i64(e, 1);
    }
    range depth = places_of(q, 0);
    emit_loop image, group, z;
    begin(q, &image, "image", images.v_lo, images.v_hi, 1);
    e->v_axes[n->outer[0]->id] = q->v_image = image.v_i;
    LLVMValueRef v_from = LLVMBuildUDiv(e->b, o.v_lo, emit_i64(e, out_group), "");
    begin(q, &group, "group", v_from, parts_of(q, o.v_hi, out_group), 1);
    q->v_group = group.v_i;
    LLVMValueRef v_first = times(q, group.v_i, out_group);
    o.v_lo = most(q, o.v_lo, v_first);
    o.v_hi = least(q, o.v_hi, plus(q, v_first, out_group));
    begin(q, &z, "depth", depth.v_lo, depth.v_hi, 1);
    q->v_at[0] = z.v_i;
    run_blocks(q, o);
    end(q, &z);
    end(q, &group);
    end(q, &image);
}

bool emit_conv_can(const emit *e, const k_nest *n)
{
    conv_plan p;
    return conv_plan_of(n, e->t, &p);
}

void emit_conv(emit *e, const k_nest *n)
{
    conv_emitter q = {.e = e};
    conv_plan_of(n, e->t, &q.p);
    int64_t packed = conv_plan_packed(&q.p), sums = conv_plan_sums(&q.p, e->t);
    int64_t size =
        q.p.tile ? emit_winograd_scratch(&q.p, e->lanes) : packed + sums + conv_plan_weights(&q.p);
    q.v_packed = emit_scratch(e, (uint64_t)size * sizeof(float));
    q.v_sums = f32_at(&q, q.v_packed, emit_i64(e, packed));
    q.v_copied = f32_at(&q, q.v_packed, emit_i64(e, packed + sums));
    q.v_phases = q.p.tile || (q.p.most == 1 && q.p.phases == 1) ? NULL : conv_phase_table(&q);
    e->lanes_aligned = false;
    if (n->split >= 0) {
        run(&q);
        return;
    }
    emit_if alone;
    emit_alone_begin(e, &alone);
    run(&q);
    emit_if_end(e, &alone);
}
