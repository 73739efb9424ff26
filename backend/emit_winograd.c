/* Convolutions of 3 x 3 by minimal filtering, F(4 x 4, 3 x 3) or F(2 x 2, 3 x 3): Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308), section 4.
 *
 * A tile of 4 x 4 outputs is a polynomial product taken at 6 x 6 points: 36 multiplications of
 * transformed inputs and weights where the sums themselves have 144; one of 2 x 2, for small
 * pictures, has 16 where they have 36. Lanes run along tiles, and the tiles of a block lie side by
 * side across the ends of rows.
 *
 *     for blocks of tiles
 *         for channels of x:  inputs[point][channel][tile]          from 6 x 6 values a tile
 *         for output channels, so many rows at a time
 *             weights[point][row, channel]                          from 3 x 3 taps
 *             for points:  products[point][row][tile] = weights[point] @ inputs[point]
 *             for rows:  outputs[4][4 tiles], then the epilogue
 *
 * Points of tiles of 4 are 0, 3/4, -3/4, 3/2, -3/2 and infinity: of those tried, the ones whose
 * rounding adds least, twice that of the sums themselves (docs/accuracy.md). Weights are
 * transformed in every call: four times as many of them would take longer to read than to make. */
#include "backend/emit_conv_parts.h"

#include <string.h>

enum { TAPS = 3, MOST_TILE = 4, MOST_POINTS = 6 };

/* Transforms along one axis. */
typedef struct filtering {
    int64_t tile, points;
    void (*inputs)(emit *e, const LLVMValueRef *d, LLVMValueRef *t);   /* points of points */
    void (*weights)(emit *e, const LLVMValueRef *g, LLVMValueRef *u);  /* points of taps */
    void (*products)(emit *e, const LLVMValueRef *m, LLVMValueRef *y); /* outputs of points */
} filtering;

typedef struct winograd {
    conv_emitter *q;
    const filtering *f;
    /* Parts of the scratch memory, and f32s from plane to plane of each. */
    LLVMValueRef v_lines, v_inputs, v_weights, v_products, v_outputs;
    int64_t line_plane, input_plane, weight_plane, product_plane, output_plane;
    int64_t weight_row;
    LLVMValueRef v_across, v_tiles; /* tiles of the block: in a row, in all */
} winograd;

/* Transforms ----------------------------------------------------------------------------------- */

static LLVMValueRef fma_of(emit *e, double factor, LLVMValueRef v, LLVMValueRef v_more)
{
    return emit_fma(e, emit_const(e, LLVMTypeOf(v), factor), v, v_more);
}

static LLVMValueRef scale(emit *e, double factor, LLVMValueRef v)
{
    return LLVMBuildFMul(e->b, emit_const(e, LLVMTypeOf(v), factor), v, "");
}

static LLVMValueRef sum(emit *e, LLVMValueRef v_x, LLVMValueRef v_y)
{
    return LLVMBuildFAdd(e->b, v_x, v_y, "");
}

static LLVMValueRef difference(emit *e, LLVMValueRef v_x, LLVMValueRef v_y)
{
    return LLVMBuildFSub(e->b, v_x, v_y, "");
}

static const double near = 0.75, far = 1.5; /* points of tiles of 4: their absolute values */

static void inputs_4(emit *e, const LLVMValueRef *d, LLVMValueRef *t)
{
    double squares[2] = {near * near, far * far}, point[2] = {near, far};
    t[0] =
        fma_of(e, squares[0] * squares[1], d[0], fma_of(e, -squares[0] - squares[1], d[2], d[4]));
    for (uint32_t i = 0; i < 2; i++) {
        LLVMValueRef v_even = fma_of(e, -squares[1 - i], d[2], d[4]),
                     v_odd = fma_of(e, -squares[1 - i], d[1], d[3]);
        t[1 + 2 * i] = fma_of(e, point[i], v_odd, v_even);
        t[2 + 2 * i] = fma_of(e, -point[i], v_odd, v_even);
    }
    t[5] =
        fma_of(e, squares[0] * squares[1], d[1], fma_of(e, -squares[0] - squares[1], d[3], d[5]));
}

static void weights_4(emit *e, const LLVMValueRef *g, LLVMValueRef *u)
{
    double squares[2] = {near * near, far * far}, point[2] = {near, far};
    u[0] = scale(e, 1 / (squares[0] * squares[1]), g[0]);
    for (uint32_t i = 0; i < 2; i++) {
        double by = 1 / (2 * squares[i] * (squares[i] - squares[1 - i]));
        LLVMValueRef v_even = fma_of(e, squares[i] * by, g[2], scale(e, by, g[0]));
        u[1 + 2 * i] = fma_of(e, point[i] * by, g[1], v_even);
        u[2 + 2 * i] = fma_of(e, -point[i] * by, g[1], v_even);
    }
    u[5] = g[2];
}

static void products_4(emit *e, const LLVMValueRef *m, LLVMValueRef *y)
{
    LLVMValueRef v_sum[2], v_difference[2];
    for (uint32_t i = 0; i < 2; i++) {
        v_sum[i] = sum(e, m[1 + 2 * i], m[2 + 2 * i]);
        v_difference[i] = difference(e, m[1 + 2 * i], m[2 + 2 * i]);
    }
    double n = near, f = far;
    y[0] = sum(e, m[0], sum(e, v_sum[0], v_sum[1]));
    y[1] = fma_of(e, n, v_difference[0], scale(e, f, v_difference[1]));
    y[2] = fma_of(e, n * n, v_sum[0], scale(e, f * f, v_sum[1]));
    y[3] = fma_of(e, n * n * n, v_difference[0], fma_of(e, f * f * f, v_difference[1], m[5]));
}

/* Points 0, 1, -1 and infinity. */
static void inputs_2(emit *e, const LLVMValueRef *d, LLVMValueRef *t)
{
    t[0] = difference(e, d[0], d[2]);
    t[1] = sum(e, d[1], d[2]);
    t[2] = difference(e, d[2], d[1]);
    t[3] = difference(e, d[1], d[3]);
}

static void weights_2(emit *e, const LLVMValueRef *g, LLVMValueRef *u)
{
    LLVMValueRef v_even = scale(e, 0.5, sum(e, g[0], g[2]));
    u[0] = g[0];
    u[1] = fma_of(e, 0.5, g[1], v_even);
    u[2] = fma_of(e, -0.5, g[1], v_even);
    u[3] = g[2];
}

static void products_2(emit *e, const LLVMValueRef *m, LLVMValueRef *y)
{
    y[0] = sum(e, m[0], sum(e, m[1], m[2]));
    y[1] = difference(e, difference(e, m[1], m[2]), m[3]);
}

static const filtering filterings[] = {
    {4, 6, inputs_4, weights_4, products_4},
    {2, 4, inputs_2, weights_2, products_2}
};

static const filtering *filtering_of(const conv_plan *p)
{
    return &filterings[p->tile == filterings[0].tile ? 0 : 1];
}

/* Lanes ---------------------------------------------------------------------------------------- */

static void store(conv_emitter *q, LLVMValueRef v, LLVMValueRef v_base, LLVMValueRef v_at)
{
    LLVMSetAlignment(LLVMBuildStore(q->e->b, v, f32_at(q, v_base, v_at)), 4);
}

/* A vector stored to so many planes. */
static void store_planes(conv_emitter *q, int64_t n, const LLVMValueRef *v, LLVMValueRef v_base,
                         int64_t plane)
{
    for (int64_t i = 0; i < n; i++) {
        store(q, v[i], v_base, emit_i64(q->e, i * plane));
    }
}

/* Inputs --------------------------------------------------------------------------------------- */

/* A row's values of every tile from v_first on: d[j] has values tile * t + j. The same of the next
 * channel, v_next elements on, are asked for: too few rows lie side by side to be foreseen. */
static void load_tiles(winograd *w, LLVMValueRef v_row, LLVMValueRef v_first, LLVMValueRef v_limit,
                       LLVMValueRef v_next, LLVMValueRef *d)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    uint32_t tile = (uint32_t)w->f->tile;
    LLVMValueRef v[MOST_TILE + 1];
    for (uint32_t i = 0; i <= tile; i++) {
        LLVMValueRef v_at = plus(q, v_first, (int64_t)i * e->lanes);
        v[i] = conv_load_row(q, v_row, v_at, v_limit, 1);
        if (i < tile) {
            emit_prefetch(e, f32_at(q, v_row, add(q, v_at, v_next)), 3);
        }
    }
    memcpy(d, v, tile * sizeof *d);
    /* Even lanes go to the first half of the vectors, odd ones to the other. */
    for (uint32_t n = tile; n > 1; n /= 2) {
        LLVMValueRef half[MOST_TILE];
        for (uint32_t i = 0; i < tile / 2; i++) {
            half[i] = emit_pick(e, d[2 * i], d[2 * i + 1], 0, 2);
            half[tile / 2 + i] = emit_pick(e, d[2 * i], d[2 * i + 1], 1, 2);
        }
        memcpy(d, half, tile * sizeof *d);
    }
    d[tile] = emit_pick(e, d[0], v[tile], 1, 1);
    d[tile + 1] = emit_pick(e, d[1], emit_pick(e, v[tile], v[tile], 1, 1), 1, 1);
}

/* The rows that the block's tiles take, of one channel, each transformed: the one r below the first
 * of tile row i goes to place i of plane [r][point]. They are written in order, for a row's last
 * vector reaches beyond it. */
static void transform_rows(winograd *w, LLVMValueRef v_image, LLVMValueRef v_size)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    emit_loop row, tile;
    begin(q, &row, "row", zero(q), plus(q, times(q, q->v_n[1], w->f->tile), TAPS - 1), 1);
    LLVMValueRef v_y = plus(q, add(q, times(q, q->v_at[1], w->f->tile), row.v_i), axes[1].first);
    LLVMValueRef v_in = LLVMBuildICmp(e->b, LLVMIntULT, v_y, q->v_sizes[1], "");
    LLVMValueRef v_row = f32_at(q, v_image, mul(q, v_y, q->v_sizes[2]));
    LLVMValueRef v_limit = emit_select(e, v_in, q->v_sizes[2], zero(q));
    LLVMValueRef v_plane = LLVMBuildURem(e->b, row.v_i, emit_i64(e, w->f->tile), ""),
                 v_place = LLVMBuildUDiv(e->b, row.v_i, emit_i64(e, w->f->tile), "");
    v_place = add(q, times(q, v_plane, w->f->points * w->line_plane), mul(q, v_place, w->v_across));
    LLVMValueRef v_to = f32_at(q, w->v_lines, v_place);
    begin(q, &tile, "tile", zero(q), w->v_across, e->lanes);
    LLVMValueRef v_first =
        plus(q, add(q, q->v_at[2], times(q, tile.v_i, w->f->tile)), axes[2].first);
    LLVMValueRef d[MOST_POINTS], t[MOST_POINTS];
    load_tiles(w, v_row, v_first, v_limit, v_size, d);
    w->f->inputs(e, d, t);
    store_planes(q, w->f->points, t, f32_at(q, v_to, tile.v_i), w->line_plane);
    end(q, &tile);
    end(q, &row);
}

/* The transformed rows of one channel, now along columns. */
static void transform_columns(winograd *w, LLVMValueRef v_to)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    emit_loop point, tile;
    begin(q, &point, "point", zero(q), emit_i64(e, w->f->points), 1);
    LLVMValueRef v_from = f32_at(q, w->v_lines, times(q, point.v_i, w->line_plane));
    v_to = f32_at(q, v_to, times(q, point.v_i, w->input_plane));
    begin(q, &tile, "tile", zero(q), w->v_tiles, e->lanes);
    LLVMValueRef d[MOST_POINTS], t[MOST_POINTS];
    for (int64_t i = 0; i < w->f->points; i++) {
        LLVMValueRef v_at = i < w->f->tile ? tile.v_i : add(q, tile.v_i, w->v_across);
        int64_t plane = i % w->f->tile * w->f->points * w->line_plane;
        d[i] = load_vector(q, v_from, plus(q, v_at, plane), 4);
    }
    w->f->inputs(e, d, t);
    store_planes(q, w->f->points, t, f32_at(q, v_to, tile.v_i), w->f->points * w->input_plane);
    end(q, &tile);
    end(q, &point);
}

static void make_inputs(winograd *w)
{
    conv_emitter *q = w->q;
    int64_t all = q->p.conv->in_group;
    LLVMValueRef v_size = mul(q, q->v_sizes[1], q->v_sizes[2]);
    LLVMValueRef v_c =
        add(q, times(q, q->v_image, all * q->p.conv->groups), times(q, q->v_group, all));
    emit_loop c;
    begin(q, &c, "channel", zero(q), emit_i64(q->e, all), 1);
    LLVMValueRef v_at = mul(q, add(q, v_c, c.v_i), v_size);
    transform_rows(w, f32_at(q, q->e->v_bufs[q->p.conv->x->id], v_at), v_size);
    transform_columns(w, f32_at(q, w->v_inputs, times(q, c.v_i, q->p.places)));
    end(q, &c);
}

/* Weights -------------------------------------------------------------------------------------- */

/* The taps of as many channels as lanes: transposed from the rows they lie in. */
static void load_taps(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_c, LLVMValueRef *g)
{
    emit *e = q->e;
    int64_t all = q->p.conv->in_group;
    LLVMTypeRef vt = emit_vector(e, e->f32);
    for (uint32_t tap = 0; tap < TAPS * TAPS; tap += e->lanes) {
        LLVMValueRef v[64], lanes[64];
        for (uint32_t i = 0; i < e->lanes; i++) {
            lanes[i] = LLVMConstInt(e->i1, tap + i < TAPS * TAPS, false);
        }
        for (uint32_t i = 0; i < e->lanes; i++) {
            LLVMValueRef v_at = plus(q, v_c, i);
            v_at = all % e->lanes == 0 ? v_at : least(q, v_at, emit_i64(e, all - 1));
            LLVMValueRef v_ptr = f32_at(q, v_row, plus(q, times(q, v_at, TAPS * TAPS), tap));
            emit_prefetch(e, f32_at(q, v_ptr, emit_i64(e, (int64_t)e->lanes * TAPS * TAPS * 4)), 3);
            LLVMValueRef args[4] = {v_ptr, LLVMConstInt(e->i32, 4, false),
                                    LLVMConstVector(lanes, e->lanes), LLVMConstNull(vt)};
            v[i] = emit_intrinsic(e, "llvm.masked.load", 2, (LLVMTypeRef[]){vt, e->ptr}, 4, args);
        }
        emit_transpose(e, v);
        for (uint32_t i = 0; i < e->lanes && tap + i < TAPS * TAPS; i++) {
            g[tap + i] = v[i];
        }
    }
}

/* Taps first, then points; to v_to and on. */
static void transform_taps(winograd *w, const LLVMValueRef *g, LLVMValueRef v_to)
{
    conv_emitter *q = w->q;
    LLVMValueRef half[TAPS][MOST_POINTS];
    for (uint32_t i = 0; i < TAPS; i++) {
        w->f->weights(q->e, g + TAPS * i, half[i]);
    }
    for (int64_t k = 0; k < w->f->points; k++) {
        LLVMValueRef column[TAPS] = {half[0][k], half[1][k], half[2][k]}, u[MOST_POINTS];
        w->f->weights(q->e, column, u);
        store_planes(q, w->f->points, u, f32_at(q, v_to, emit_i64(q->e, k * w->weight_plane)),
                     w->f->points * w->weight_plane);
    }
}

/* From rows: lanes along channels of x, weights[point][row][channel]. */
static void make_row_weights(winograd *w, uint32_t rows, LLVMValueRef v_o)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    int64_t all = q->p.conv->in_group;
    emit_loop row, c;
    begin(q, &row, "row", zero(q), emit_i64(e, rows), 1);
    LLVMValueRef v_from = times(q, add(q, v_o, row.v_i), all * TAPS * TAPS);
    v_from = f32_at(q, e->v_bufs[q->p.conv->w->id], v_from);
    LLVMValueRef v_to = f32_at(q, w->v_weights, times(q, row.v_i, w->weight_row));
    begin(q, &c, "channel", zero(q), emit_i64(e, all), e->lanes);
    LLVMValueRef g[TAPS * TAPS];
    load_taps(q, v_from, c.v_i, g);
    transform_taps(w, g, f32_at(q, v_to, c.v_i));
    end(q, &c);
    end(q, &row);
}

/* From panels: lanes along channels of y, and along those of x where there is room:
 * weights[point][channel][row]. */
static void make_panel_weights(winograd *w, LLVMValueRef v_o)
{
    enum { AHEAD = 256 }; /* bytes, of every tap */
    conv_emitter *q = w->q;
    emit *e = q->e;
    int64_t all = q->p.conv->in_group, rows = q->p.conv->channels;
    int64_t n = e->lanes > rows ? e->lanes / rows : 1, held = n < all ? n * rows : all * rows;
    LLVMValueRef v_panel = LLVMBuildUDiv(e->b, v_o, emit_i64(e, rows), "");
    LLVMValueRef v_w =
        f32_at(q, e->v_bufs[q->p.conv->w->id], times(q, v_panel, all * rows * TAPS * TAPS));
    emit_loop c;
    begin(q, &c, "channel", zero(q), emit_i64(e, all), n);
    LLVMValueRef v_c = all % n ? least(q, c.v_i, emit_i64(e, all > n ? all - n : 0)) : c.v_i;
    LLVMValueRef v_from = f32_at(q, v_w, times(q, v_c, rows)),
                 v_to = f32_at(q, w->v_weights, times(q, v_c, rows));
    for (int64_t r = 0; r < rows; r += e->lanes) {
        LLVMValueRef g[TAPS * TAPS], v_limit = emit_i64(e, held - r);
        for (int64_t tap = 0; tap < TAPS * TAPS; tap++) {
            LLVMValueRef v_tap = f32_at(q, v_from, emit_i64(e, tap * all * rows + r));
            emit_prefetch(e, f32_at(q, v_tap, emit_i64(e, AHEAD / (int64_t)sizeof(float))), 3);
            g[tap] = held - r >= e->lanes ? load_vector(q, v_tap, zero(q), 4)
                                          : conv_load_row(q, v_tap, zero(q), v_limit, 1);
        }
        transform_taps(w, g, f32_at(q, v_to, emit_i64(e, r)));
    }
    end(q, &c);
}

/* Products ------------------------------------------------------------------------------------- */

/* The panel after that of v_o: a tap of it with each of the first points, then the last one again.
 */
static LLVMValueRef next_panel(conv_emitter *q, LLVMValueRef v_o, LLVMValueRef v_point)
{
    emit *e = q->e;
    const k_conv *v = q->p.conv;
    LLVMValueRef v_panel = LLVMBuildUDiv(e->b, v_o, emit_i64(e, v->channels), "");
    LLVMValueRef v_tap = add(q, times(q, plus(q, v_panel, 1), TAPS * TAPS),
                             least(q, v_point, emit_i64(e, TAPS * TAPS - 1)));
    return f32_at(q, e->v_bufs[v->w->id], times(q, v_tap, v->in_group * v->channels));
}

static void make_products(winograd *w, uint32_t rows, LLVMValueRef v_o)
{
    conv_emitter *q = w->q;
    int64_t across = q->p.conv->channels;
    LLVMValueRef v_weights = w->v_weights;
    if (across) { /* the tile's part of a panel */
        v_weights = f32_at(q, v_weights, LLVMBuildURem(q->e->b, v_o, emit_i64(q->e, across), ""));
    }
    emit_loop point;
    begin(q, &point, "point", zero(q), emit_i64(q->e, w->f->points * w->f->points), 1);
    conv_tile t = {.rows = rows,
                   .v_w = f32_at(q, v_weights, times(q, point.v_i, w->weight_plane)),
                   .v_next = across ? next_panel(q, v_o, point.v_i) : NULL,
                   .v_b = f32_at(q, w->v_inputs, times(q, point.v_i, w->input_plane)),
                   .w_row = across ? 1 : w->weight_row,
                   .w_step = across ? across : 1,
                   .b_step = q->p.places,
                   .to_row = q->p.places};
    conv_run_places(q, t, f32_at(q, w->v_products, times(q, point.v_i, w->product_plane)));
    end(q, &point);
}

/* A row's outputs, each vector one of every tile, to where they lie side by side. */
static void store_tiles(winograd *w, const LLVMValueRef *y, LLVMValueRef v_to)
{
    emit *e = w->q->e;
    uint32_t tile = (uint32_t)w->f->tile;
    LLVMValueRef v[MOST_TILE];
    memcpy(v, y, tile * sizeof *v);
    for (uint32_t n = tile; n > 1; n /= 2) {
        LLVMValueRef whole[MOST_TILE];
        for (uint32_t i = 0; i < tile; i++) {
            whole[i] = emit_interleave(e, v[i / 2], v[tile / 2 + i / 2], i % 2 * e->lanes / 2);
        }
        memcpy(v, whole, tile * sizeof *v);
    }
    for (uint32_t i = 0; i < tile; i++) {
        store(w->q, v[i], v_to, emit_i64(e, (int64_t)i * e->lanes));
    }
}

/* outputs[tile][tiles][tile] of one channel. */
static void make_outputs(winograd *w, LLVMValueRef v_row)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    LLVMValueRef v_from = f32_at(q, w->v_products, times(q, v_row, q->p.places));
    emit_loop tile;
    begin(q, &tile, "tile", zero(q), w->v_tiles, e->lanes);
    LLVMValueRef half[MOST_TILE][MOST_POINTS];
    for (int64_t k = 0; k < w->f->points; k++) {
        LLVMValueRef m[MOST_POINTS], y[MOST_TILE];
        for (int64_t i = 0; i < w->f->points; i++) {
            int64_t plane = (i * w->f->points + k) * w->product_plane;
            m[i] = load_vector(q, v_from, plus(q, tile.v_i, plane), 4 * e->lanes);
        }
        w->f->products(e, m, y);
        for (int64_t i = 0; i < w->f->tile; i++) {
            half[i][k] = y[i];
        }
    }
    for (int64_t i = 0; i < w->f->tile; i++) {
        LLVMValueRef y[MOST_TILE];
        LLVMValueRef v_at = plus(q, times(q, tile.v_i, w->f->tile), i * w->output_plane);
        w->f->products(e, half[i], y);
        store_tiles(w, y, f32_at(q, w->v_outputs, v_at));
    }
    end(q, &tile);
}

/* Blocks --------------------------------------------------------------------------------------- */

/* Tiles of so many channels, from o.v_lo on; returns where they end. */
static LLVMValueRef run_height(winograd *w, range o, uint32_t rows)
{
    conv_emitter *q = w->q;
    emit *e = q->e;
    LLVMValueRef v_n = LLVMBuildUDiv(e->b, sub(q, o.v_hi, o.v_lo), emit_i64(e, rows), "");
    LLVMValueRef v_end = add(q, o.v_lo, times(q, v_n, rows));
    emit_loop l, row;
    begin(q, &l, "o", o.v_lo, v_end, rows);
    if (q->p.conv->channels) {
        make_panel_weights(w, l.v_i);
    } else {
        make_row_weights(w, rows, l.v_i);
    }
    make_products(w, rows, l.v_i);
    begin(q, &row, "row", zero(q), emit_i64(e, rows), 1);
    make_outputs(w, row.v_i);
    conv_finish_channel(q, add(q, l.v_i, row.v_i), w->v_outputs);
    end(q, &row);
    end(q, &l);
    return v_end;
}

typedef struct sizes {
    int64_t lines, inputs, weights, products, outputs;
} sizes;

/* Parts of the scratch memory; begins of planes are a vector apart modulo the sets of a cache. */
static sizes lay_out(winograd *w, const conv_plan *p, int64_t lanes)
{
    w->f = filtering_of(p);
    w->weight_row = (p->conv->in_group + lanes - 1) / lanes * lanes;
    w->line_plane = p->lines;
    w->input_plane = p->conv->in_group * p->places + lanes;
    w->weight_plane = p->tile_rows * w->weight_row + lanes;
    w->product_plane = p->tile_rows * p->places + lanes;
    w->output_plane = p->outputs;
    int64_t all = w->f->points * w->f->points;
    return (sizes){w->f->tile * w->f->points * w->line_plane, all * w->input_plane,
                   all * w->weight_plane, all * w->product_plane, w->f->tile * w->output_plane};
}

int64_t emit_winograd_scratch(const conv_plan *p, int64_t lanes)
{
    sizes s = lay_out(&(winograd){0}, p, lanes);
    return s.lines + s.inputs + s.weights + s.products + s.outputs;
}

void emit_winograd_block(conv_emitter *q, range o)
{
    emit *e = q->e;
    winograd w = {.q = q};
    sizes s = lay_out(&w, &q->p, e->lanes);
    w.v_lines = q->v_packed;
    w.v_inputs = f32_at(q, w.v_lines, emit_i64(e, s.lines));
    w.v_weights = f32_at(q, w.v_inputs, emit_i64(e, s.inputs));
    w.v_products = f32_at(q, w.v_weights, emit_i64(e, s.weights));
    w.v_outputs = f32_at(q, w.v_products, emit_i64(e, s.products));
    w.v_across = parts_of(q, q->v_n[2], w.f->tile);
    w.v_tiles = mul(q, q->v_n[1], w.v_across);
    q->v_places = w.v_tiles;
    q->v_pitch = times(q, w.v_across, w.f->tile);
    q->v_channel = zero(q);
    q->v_channels = emit_i64(e, q->p.conv->in_group);
    make_inputs(&w);
    for (int64_t rows = q->p.tile_rows;; rows /= 2) {
        o.v_lo = run_height(&w, o, (uint32_t)rows);
        if (rows == 1 || conv_divides(q, rows)) {
            return;
        }
    }
}
