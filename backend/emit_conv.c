/* Convolutions by tiles: so many output channels by so many vectors of places (conv_plan.h) are
 * summed up in registers while channels and taps run.
 *
 *     for blocks of places                    rows of y, or parts of a row
 *         for parts of the channels           few, or one
 *             pack: b[c, tap][place] = x[...], 0 beyond the borders
 *             for channels of a tile
 *                 for places of a tile
 *                     for c, tap: sum[o][v] += w[o, c, tap] * b[c, tap][v]
 *                 epilogue(sums), after the last part
 *
 * Packing leaves nothing of strides, dilations and borders, and places lie side by side across the
 * ends of rows, so that small images fill vectors, too. Weights are read where they lie. Every
 * element is summed in the order of channels and taps, whatever block it is in, so that results do
 * not depend on the number of threads. */
#include "backend/emit_conv.h"

#include "backend/conv_plan.h"

enum { MOST_SUMS = 24, TILE_ARGS = 8 };

typedef struct range {
    LLVMValueRef v_lo, v_hi;
} range;

typedef struct conv_emitter {
    emit *e;
    conv_plan p;
    LLVMValueRef v_packed;   /* f32[channels, most][stride] */
    LLVMValueRef v_sums;     /* f32[channels of y][phases][places] */
    range out[3];            /* this thread's part of y, by axis */
    LLVMValueRef v_sizes[3]; /* of x */
    LLVMValueRef v_image, v_group;
    LLVMValueRef v_at[3], v_n[3];       /* the block: its first place and its extent, by axis */
    LLVMValueRef v_places;              /* of the block */
    LLVMValueRef v_channel, v_channels; /* the part of the group's channels */
    emit_function outside;              /* while a tile's function is written */
} conv_emitter;

static LLVMValueRef add(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(q->e->b, x, y, "");
}

static LLVMValueRef sub(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSub(q->e->b, x, y, "");
}

static LLVMValueRef plus(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i ? add(q, v, emit_i64(q->e, i)) : v;
}

static LLVMValueRef mul(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildMul(q->e->b, x, y, "");
}

static LLVMValueRef times(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i == 1 ? v : mul(q, v, emit_i64(q->e, i));
}

/* x / i, rounded up; neither is negative. */
static LLVMValueRef parts_of(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i == 1 ? v : LLVMBuildUDiv(q->e->b, plus(q, v, i - 1), emit_i64(q->e, i), "");
}

static LLVMValueRef least(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return emit_intrinsic2(q->e, "llvm.smin", x, y);
}

static LLVMValueRef most(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return emit_intrinsic2(q->e, "llvm.smax", x, y);
}

static LLVMValueRef f32_at(conv_emitter *q, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(q->e->b, q->e->f32, v_base, &v_i, 1, "");
}

static LLVMValueRef load_vector(conv_emitter *q, LLVMValueRef v_base, LLVMValueRef v_i,
                                unsigned align)
{
    emit *e = q->e;
    LLVMValueRef v = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), f32_at(q, v_base, v_i), "");
    LLVMSetAlignment(v, align);
    return v;
}

static void begin(conv_emitter *q, emit_loop *l, const char *name, LLVMValueRef v_lo,
                  LLVMValueRef v_hi, int64_t step)
{
    emit_loop_begin(q->e, l, name, v_lo, v_hi, emit_i64(q->e, step), 0, NULL);
}

static void end(conv_emitter *q, emit_loop *l)
{
    emit_loop_end(q->e, l, NULL);
}

static LLVMValueRef zero(conv_emitter *q)
{
    return emit_i64(q->e, 0);
}

/* Packing -------------------------------------------------------------------------------------- */

static LLVMValueRef source_index(conv_emitter *q, uint32_t axis, LLVMValueRef v_place,
                                 LLVMValueRef v_tap)
{
    const conv_axis *x = &q->p.axes[axis];
    return plus(q, add(q, times(q, v_place, x->by), times(q, v_tap, x->tap)), x->first);
}

/* Elements v_first, v_first + step ... of a row, one a lane; 0 where that is not within the row's
 * v_limit elements. A row has fewer than 2^31. */
static LLVMValueRef load_row(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_first,
                             LLVMValueRef v_limit, int64_t step)
{
    emit *e = q->e;
    LLVMTypeRef vt = emit_vector(e, e->f32), it = emit_vector(e, e->i32);
    LLVMValueRef v_lanes =
        LLVMBuildMul(e->b, emit_iota(e, e->i32), emit_const_int(e, it, step), "");
    LLVMValueRef v_at = emit_splat(e, LLVMBuildTrunc(e->b, v_first, e->i32, ""));
    v_at = LLVMBuildAdd(e->b, v_at, v_lanes, "");
    LLVMValueRef v_end = emit_splat(e, LLVMBuildTrunc(e->b, v_limit, e->i32, ""));
    LLVMValueRef v_in = LLVMBuildICmp(e->b, LLVMIntULT, v_at, v_end, "");
    LLVMValueRef args[4] = {f32_at(q, v_row, v_first), LLVMConstInt(e->i32, 4, false), v_in,
                            LLVMConstNull(vt)};
    if (step == 1) {
        return emit_intrinsic(e, "llvm.masked.load", 2, (LLVMTypeRef[]){vt, e->ptr}, 4, args);
    }
    args[0] = LLVMBuildGEP2(e->b, e->f32, args[0], &v_lanes, 1, "");
    return emit_intrinsic(e, "llvm.masked.gather", 2, (LLVMTypeRef[]){vt, emit_vector(e, e->ptr)},
                          4, args);
}

/* Every other element: of two vectors side by side. */
static LLVMValueRef load_pairs(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_first,
                               LLVMValueRef v_limit)
{
    emit *e = q->e;
    LLVMValueRef v_lo = load_row(q, v_row, v_first, v_limit, 1), even[64];
    LLVMValueRef v_hi = load_row(q, v_row, plus(q, v_first, e->lanes), v_limit, 1);
    for (uint32_t i = 0; i < e->lanes; i++) {
        even[i] = LLVMConstInt(e->i32, 2 * i, false);
    }
    return LLVMBuildShuffleVector(e->b, v_lo, v_hi, LLVMConstVector(even, e->lanes), "");
}

/* One row of places, for all taps along it: to[tap][place]. */
static void pack_row(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_limit, LLVMValueRef v_to)
{
    emit *e = q->e;
    emit_loop tap, col;
    begin(q, &tap, "tap", zero(q), emit_i64(e, q->p.axes[2].most), 1);
    LLVMValueRef v_line = f32_at(q, v_to, times(q, tap.v_i, q->p.stride));
    begin(q, &col, "col", zero(q), q->v_n[2], e->lanes);
    LLVMValueRef v_first = source_index(q, 2, add(q, q->v_at[2], col.v_i), tap.v_i);
    LLVMValueRef v = q->p.axes[2].by == 2 ? load_pairs(q, v_row, v_first, v_limit)
                                          : load_row(q, v_row, v_first, v_limit, q->p.axes[2].by);
    LLVMSetAlignment(LLVMBuildStore(e->b, v, f32_at(q, v_line, col.v_i)), 4);
    end(q, &col);
    end(q, &tap);
}

/* The block's part of x. Rows are written in order, for a row's last vector reaches beyond it. */
static void pack(conv_emitter *q)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    int64_t all = q->p.conv->in_group;
    emit_loop c, depth, high, row;
    begin(q, &c, "channel", zero(q), q->v_channels, 1);
    LLVMValueRef v_c =
        add(q, times(q, q->v_image, all * q->p.conv->groups), times(q, q->v_group, all));
    v_c = add(q, add(q, v_c, q->v_channel), c.v_i);
    begin(q, &depth, "depth", zero(q), emit_i64(e, axes[0].most), 1);
    LLVMValueRef v_z = source_index(q, 0, q->v_at[0], depth.v_i);
    LLVMValueRef v_deep = LLVMBuildICmp(e->b, LLVMIntULT, v_z, q->v_sizes[0], "");
    v_z = add(q, mul(q, v_c, q->v_sizes[0]), v_z);
    begin(q, &high, "high", zero(q), emit_i64(e, axes[1].most), 1);
    LLVMValueRef v_k = add(q, times(q, c.v_i, axes[0].most), depth.v_i);
    v_k = times(q, add(q, times(q, v_k, axes[1].most), high.v_i), axes[2].most);
    LLVMValueRef v_to = f32_at(q, q->v_packed, times(q, v_k, q->p.stride));
    begin(q, &row, "row", zero(q), q->v_n[1], 1);
    LLVMValueRef v_y = source_index(q, 1, add(q, q->v_at[1], row.v_i), high.v_i);
    LLVMValueRef v_in = LLVMBuildICmp(e->b, LLVMIntULT, v_y, q->v_sizes[1], "");
    v_in = LLVMBuildAnd(e->b, v_in, v_deep, "");
    LLVMValueRef v_row = mul(q, add(q, mul(q, v_z, q->v_sizes[1]), v_y), q->v_sizes[2]);
    pack_row(q, f32_at(q, e->v_bufs[q->p.conv->x->id], v_row),
             emit_select(e, v_in, q->v_sizes[2], zero(q)),
             f32_at(q, v_to, mul(q, row.v_i, q->v_n[2])));
    end(q, &row);
    end(q, &high);
    end(q, &depth);
    end(q, &c);
}

/* Tiles ---------------------------------------------------------------------------------------- */

typedef struct tile {
    uint32_t rows, vectors;
    LLVMValueRef v_w;       /* weights of the first row */
    int64_t row_stride;     /* of weights, in f32s */
    LLVMValueRef v_b;       /* packed inputs of the first place */
    LLVMValueRef v_taps[3]; /* of the phase */
} tile;

/* One product for every sum of the tile. */
static void add_products(conv_emitter *q, const tile *t, LLVMValueRef v_w, LLVMValueRef v_b,
                         LLVMValueRef *v_sums)
{
    emit *e = q->e;
    LLVMValueRef v_line[8];
    for (uint32_t v = 0; v < t->vectors; v++) {
        v_line[v] = load_vector(q, v_b, emit_i64(e, (int64_t)v * e->lanes), 4 * e->lanes);
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_ptr = f32_at(q, v_w, emit_i64(e, r * t->row_stride));
        LLVMValueRef v_weight = emit_splat(e, LLVMBuildLoad2(e->b, e->f32, v_ptr, ""));
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef *v_sum = &v_sums[r * t->vectors + v];
            *v_sum = emit_fma(e, v_weight, v_line[v], *v_sum);
        }
    }
}

static void begin_sums(conv_emitter *q, emit_loop *l, const char *name, LLVMValueRef v_lo,
                       LLVMValueRef v_hi, const tile *t, LLVMValueRef *v_sums)
{
    uint32_t n = t->rows * t->vectors;
    emit_loop_begin(q->e, l, name, v_lo, v_hi, emit_i64(q->e, 1), n, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

static void end_sums(conv_emitter *q, emit_loop *l, const tile *t, LLVMValueRef *v_sums)
{
    emit_loop_end(q->e, l, v_sums);
    for (uint32_t i = 0; i < t->rows * t->vectors; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

/* Weights of a row that lie side by side, as channels and taps run. One product a turn: with more,
 * LLVM moves so many loads to the front that sums are spilled. */
static void sum_line(conv_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    emit_loop l;
    begin_sums(q, &l, "k", zero(q), times(q, q->v_channels, q->p.most), t, v_sums);
    add_products(q, t, f32_at(q, t->v_w, l.v_i), f32_at(q, t->v_b, times(q, l.v_i, q->p.stride)),
                 v_sums);
    end_sums(q, &l, t, v_sums);
}

/* Those of a phase lie apart. */
static void sum_phase(conv_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    const conv_axis *axes = q->p.axes;
    int64_t w_step = q->p.conv->out_group * axes[0].taps * axes[1].taps * axes[2].taps,
            b_step = q->p.most * q->p.stride;
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

/* The tile's sums go to memory: v_to[row][phases][places]. */
static void tile_sums(conv_emitter *q, const tile *t, LLVMValueRef v_to)
{
    emit *e = q->e;
    uint32_t n = t->rows * t->vectors;
    LLVMValueRef v_sums[MOST_SUMS], v_at[MOST_SUMS];
    LLVMValueRef v_first = LLVMBuildICmp(e->b, LLVMIntEQ, q->v_channel, zero(q), "");
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = (int64_t)(i / t->vectors) * q->p.phases * q->p.places +
                     (int64_t)(i % t->vectors) * e->lanes;
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
static LLVMValueRef tile_function(conv_emitter *q, tile t)
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

static void run_tile(conv_emitter *q, const tile *t, LLVMValueRef v_to)
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

/* All places of the block, a tile at a time. */
static void run_places(conv_emitter *q, tile t, LLVMValueRef v_to)
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

/* All phases of a tile's channels, the first of which is v_o of y's, v_in_group of its group's. */
static void run_phases(conv_emitter *q, tile t, LLVMValueRef v_o, LLVMValueRef v_in_group,
                       LLVMValueRef v_to)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    const k_conv *v = q->p.conv;
    int64_t taps = axes[0].taps * axes[1].taps * axes[2].taps;
    LLVMValueRef v_w = e->v_bufs[v->w->id];
    t.v_b = q->v_packed;
    if (!v->transposed) {
        t.row_stride = v->in_group * taps;
        v_w = f32_at(q, v_w, times(q, v_o, t.row_stride));
        t.v_w = f32_at(q, v_w, times(q, q->v_channel, taps));
        run_places(q, t, v_to);
        return;
    }
    LLVMValueRef v_c = add(q, times(q, q->v_group, v->in_group), q->v_channel);
    v_c = add(q, times(q, v_c, v->out_group), v_in_group);
    v_w = f32_at(q, v_w, times(q, v_c, taps));
    t.row_stride = taps;
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
    run_places(q, t, f32_at(q, v_to, times(q, v_phase, q->p.places)));
    for (uint32_t i = 3; i-- > 0;) {
        end(q, &l[i]);
    }
}

/* Epilogue ------------------------------------------------------------------------------------- */

/* The sums of a vector of outputs from v_x on, all of the block's row v_row. */
static LLVMValueRef sums_of(conv_emitter *q, LLVMValueRef v_sums, LLVMValueRef v_row,
                            LLVMValueRef v_x, LLVMValueRef v_mask)
{
    emit *e = q->e;
    const conv_axis *x = &q->p.axes[2];
    LLVMValueRef v_start = sub(q, mul(q, v_row, q->v_n[2]), q->v_at[2]);
    if (x->phases == 1) {
        return load_vector(q, v_sums, add(q, v_start, v_x), 4);
    }
    LLVMTypeRef vt = emit_vector(e, e->f32), it = emit_vector(e, e->i64);
    LLVMValueRef v_at = emit_splat(e, plus(q, v_x, x->pad));
    v_at = LLVMBuildAdd(e->b, v_at, emit_iota(e, e->i64), "");
    LLVMValueRef v_by = emit_const_int(e, it, x->phases);
    LLVMValueRef v_place = LLVMBuildUDiv(e->b, v_at, v_by, ""),
                 v_phase = LLVMBuildURem(e->b, v_at, v_by, "");
    v_phase = LLVMBuildMul(e->b, v_phase, emit_const_int(e, it, q->p.places), "");
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
    return plus(q, add(q, times(q, v_place, x->phases), v_phase), -x->pad);
}

static void set_axis(conv_emitter *q, uint32_t axis, LLVMValueRef v)
{
    if (q->p.axes[axis].out) {
        q->e->v_axes[q->p.axes[axis].out->id] = v;
    }
}

/* One row of outputs. */
static void finish_row(conv_emitter *q, LLVMValueRef v_sums, LLVMValueRef v_row)
{
    emit *e = q->e;
    const k_step *store = &q->p.nest->steps[1];
    const k_axis *columns = q->p.axes[2].out;
    LLVMValueRef v_end = add(q, q->v_at[2], q->v_n[2]);
    LLVMValueRef v_lo = most(q, output(q, 2, q->v_at[2], zero(q)), q->out[2].v_lo),
                 v_hi = least(q, output(q, 2, v_end, zero(q)), q->out[2].v_hi);
    emit_loop l;
    begin(q, &l, "out", v_lo, v_hi, e->lanes);
    set_axis(q, 2, l.v_i);
    e->v_mask = emit_lanes_below(e, l.v_i, v_hi);
    e->lane_axis = columns;
    e->reduced[0] = (emit_value){sums_of(q, v_sums, v_row, l.v_i, e->v_mask), true};
    emit_value v = emit_expr(e, store->value);
    emit_store(e, store->buf, store->offset, v, false);
    e->lane_axis = NULL;
    e->v_mask = NULL;
    end(q, &l);
}

/* The block's outputs of one channel, all phases of depth and rows. */
static void finish_channel(conv_emitter *q, LLVMValueRef v_sums)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    emit_loop depth, row, high;
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
    v_phase = times(q, v_phase, axes[2].phases * q->p.places);
    emit_if f;
    emit_if_begin(e, &f, v_in, "inside");
    finish_row(q, f32_at(q, v_sums, v_phase), row.v_i);
    emit_if_end(e, &f);
    end(q, &high);
    end(q, &row);
    end(q, &depth);
}

static void finish(conv_emitter *q, uint32_t rows, LLVMValueRef v_o, LLVMValueRef v_sums)
{
    emit *e = q->e;
    emit_if last;
    LLVMValueRef v_end = add(q, q->v_channel, q->v_channels);
    LLVMValueRef v_all = emit_i64(e, q->p.conv->in_group);
    emit_if_begin(e, &last, LLVMBuildICmp(e->b, LLVMIntEQ, v_end, v_all, ""), "last");
    emit_loop l;
    begin(q, &l, "channel", zero(q), emit_i64(e, rows), 1);
    e->v_axes[q->p.nest->outer[1]->id] = add(q, v_o, l.v_i);
    finish_channel(q, f32_at(q, v_sums, times(q, l.v_i, q->p.phases * q->p.places)));
    end(q, &l);
    emit_if_end(e, &last);
}

/* Blocks --------------------------------------------------------------------------------------- */

/* Tiles of so many channels, from o.v_lo on; returns where they end. */
static LLVMValueRef run_height(conv_emitter *q, range o, uint32_t rows)
{
    emit *e = q->e;
    LLVMValueRef v_n = LLVMBuildUDiv(e->b, sub(q, o.v_hi, o.v_lo), emit_i64(e, rows), "");
    LLVMValueRef v_end = add(q, o.v_lo, times(q, v_n, rows));
    emit_loop l;
    begin(q, &l, "o", o.v_lo, v_end, rows);
    LLVMValueRef v_in_group = sub(q, l.v_i, times(q, q->v_group, q->p.conv->out_group));
    LLVMValueRef v_to = q->v_sums;
    if (!q->p.whole) {
        v_to = f32_at(q, v_to, times(q, v_in_group, q->p.phases * q->p.places));
    }
    run_phases(q, (tile){.rows = rows}, l.v_i, v_in_group, v_to);
    finish(q, rows, l.v_i, v_to);
    end(q, &l);
    return v_end;
}

/* Do all threads' parts of a group's channels divide into tiles of so many? */
static bool divides(const conv_emitter *q, int64_t rows)
{
    const k_nest *n = q->p.nest;
    return q->p.conv->out_group % rows == 0 && (n->split != 1 || n->grain % rows == 0);
}

static void run_channels(conv_emitter *q, range o)
{
    for (int64_t rows = q->p.tile_rows;; rows /= 2) {
        o.v_lo = run_height(q, o, (uint32_t)rows);
        if (rows == 1 || divides(q, rows)) {
            return;
        }
    }
}

static void run_block(conv_emitter *q, range o)
{
    emit *e = q->e;
    LLVMValueRef v_all = emit_i64(e, q->p.conv->in_group);
    q->v_places = mul(q, q->v_n[1], q->v_n[2]);
    emit_loop l;
    begin(q, &l, "part", zero(q), v_all, q->p.channels);
    q->v_channel = l.v_i;
    q->v_channels = least(q, sub(q, v_all, l.v_i), emit_i64(e, q->p.channels));
    if (q->p.whole) {
        q->v_channel = zero(q);
        q->v_channels = v_all;
    }
    pack(q);
    run_channels(q, o);
    end(q, &l);
}

/* The places of an axis that this thread's outputs ask for. */
static range places_of(conv_emitter *q, uint32_t axis)
{
    const conv_axis *x = &q->p.axes[axis];
    range s = q->out[axis];
    if (x->phases > 1) {
        s.v_lo = LLVMBuildUDiv(q->e->b, plus(q, s.v_lo, x->pad), emit_i64(q->e, x->phases), "");
        s.v_hi = parts_of(q, plus(q, s.v_hi, x->pad), x->phases);
    }
    return s;
}

/* All places at depth q->v_at[0], by blocks. */
static void run_blocks(conv_emitter *q, range o)
{
    emit *e = q->e;
    range rows = places_of(q, 1), cols = places_of(q, 2);
    LLVMValueRef v_most = emit_i64(e, q->p.places);
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
    run_block(q, o);
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
    int64_t packed = conv_plan_packed(&q.p);
    q.v_packed = emit_scratch(e, (uint64_t)(packed + conv_plan_sums(&q.p, e->t)) * sizeof(float));
    q.v_sums = f32_at(&q, q.v_packed, emit_i64(e, packed));
    e->lanes_aligned = false;
    if (n->split >= 0) {
        run(&q);
        return;
    }
    emit_if alone;
    LLVMValueRef v_first =
        LLVMBuildICmp(e->b, LLVMIntEQ, e->v_thread, LLVMConstInt(e->i32, 0, false), "");
    emit_if_begin(e, &alone, v_first, "alone");
    run(&q);
    emit_if_end(e, &alone);
}
