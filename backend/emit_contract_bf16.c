/* Products of bf16: weights in pairs along k, [N / panel][K / 2][panel][2], so that a vector of
 * columns is one load of two steps of k; rows rounded while they are packed (the row's expression
 * does it: math "bf16", docs/ir.md). Sums are f32.
 *
 *     packed row    bf16[K rounded up to a vector], zeros at the end; where the machine has no dot
 *                   product of bf16, the same numbers as f32
 *
 * Where the machine has tiles, and K is a multiple of their 32, rows are multiplied by them: 16
 * pairs of a panel are a tile of weights as they lie, and rows are packed in tiles,
 * bf16[rows / 16][K / 32][16][32]. A machine without dot products takes pairs apart in registers:
 * bf16 is the upper half of f32. */
#include "backend/emit_contract.h"
#include "runtime/abi.h"

#include <string.h>

/* v_sum[lane] += the products of the two halves of v_w[lane] (i32) and of the row's pair, which
 * begins at v_pair. */
typedef struct dot {
    LLVMValueRef (*add)(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_pair);
    LLVMTypeRef (*element)(emit *e); /* of packed rows */
} dot;

static LLVMValueRef load_splat(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, v_ptr, "");
    LLVMSetAlignment(v, 4);
    return emit_splat(e, v);
}

/* Denormals count as zero. */
static LLVMValueRef add_dots(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_pair)
{
    return emit_bf16_dot(e, v_sum, load_splat(e, e->i32, v_pair), v_w);
}

static LLVMValueRef add_f32(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_pair)
{
    LLVMTypeRef i32s = LLVMTypeOf(v_w), f32s = LLVMTypeOf(v_sum);
    LLVMValueRef v_low = LLVMBuildShl(e->b, v_w, emit_const_int(e, i32s, 16), "");
    LLVMValueRef v_high = LLVMBuildAnd(e->b, v_w, emit_const_int(e, i32s, -65536), "");
    v_low = LLVMBuildBitCast(e->b, v_low, f32s, "");
    v_high = LLVMBuildBitCast(e->b, v_high, f32s, "");
    LLVMValueRef v_first = load_splat(e, e->f32, v_pair),
                 v_second = load_splat(e, e->f32, contract_at(e, e->f32, v_pair, emit_i64(e, 1)));
    return emit_fma(e, v_second, v_high, emit_fma(e, v_first, v_low, v_sum));
}

static LLVMTypeRef element_bf16(emit *e)
{
    return e->i16;
}

static LLVMTypeRef element_f32(emit *e)
{
    return e->f32;
}

static const dot *dot_for(const emit *e)
{
    static const dot dots[] = {
        {add_f32,  element_f32 },
        {add_dots, element_bf16},
    };
    return &dots[target_bf16_dots(e->t)];
}

/* Weights -------------------------------------------------------------------------------------- */

static int64_t pairs_of_k(const contract_emitter *q)
{
    return (ir_dim_value(q->f->k[0]->extent) + 1) / 2;
}

/* Where the first pair of a vector of columns lies; the next one is a panel further on. */
static LLVMValueRef first_pair(contract_emitter *q, const k_buf *b, LLVMValueRef v_n)
{
    emit *e = q->e;
    LLVMValueRef v_width = emit_i64(e, b->panel);
    LLVMValueRef v_panel = LLVMBuildUDiv(e->b, v_n, v_width, ""),
                 v_column = LLVMBuildURem(e->b, v_n, v_width, "");
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_panel, emit_i64(e, pairs_of_k(q) * b->panel), "");
    return contract_at(e, e->i32, e->v_bufs[b->id], LLVMBuildAdd(e->b, v_at, v_column, ""));
}

/* Sums ----------------------------------------------------------------------------------------- */

/* What a tile reads: streams of weights, one a product and vector, and its rows. */
typedef struct sources {
    LLVMValueRef v_weights[CONTRACT_MOST_PRODUCTS][16], v_rows[32];
} sources;

static sources sources_of(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    sources s;
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef v_n = contract_plus(e, t->v_n, (int64_t)v * e->lanes);
            s.v_weights[p][v] = first_pair(q, contract_weights(q->f, p), v_n);
        }
    }
    LLVMValueRef v_row = LLVMBuildSub(e->b, t->v_m, q->v_first, "");
    v_row = LLVMBuildMul(e->b, v_row, emit_i64(e, q->s.row_bytes), "");
    for (uint32_t r = 0; r < t->rows; r++) {
        s.v_rows[r] =
            contract_at(e, e->i8, q->v_packed, contract_plus(e, v_row, r * q->s.row_bytes));
    }
    return s;
}

/* Elements from a packed row's first to that of k. */
static LLVMValueRef along_row(contract_emitter *q, LLVMValueRef v_k)
{
    emit *e = q->e;
    if (!q->s.rows_in_tiles) {
        return v_k;
    }
    LLVMValueRef v_within = LLVMBuildAnd(e->b, v_k, emit_i64(e, TILE_DEPTH - 1), "");
    LLVMValueRef v_tile = LLVMBuildSub(e->b, v_k, v_within, "");
    v_tile = LLVMBuildMul(e->b, v_tile, emit_i64(e, TILE_ROWS), "");
    return LLVMBuildAdd(e->b, v_tile, v_within, "");
}

/* One pair of steps of k for the whole tile. */
static void add_pair(contract_emitter *q, const tile *t, const sources *s, LLVMValueRef v_pair,
                     LLVMValueRef *v_sums)
{
    emit *e = q->e;
    const dot *d = dot_for(e);
    LLVMValueRef v_w[CONTRACT_MOST_PRODUCTS][16];
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        int64_t panel = contract_weights(q->f, p)->panel;
        LLVMValueRef v_at = LLVMBuildMul(e->b, v_pair, emit_i64(e, panel), "");
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef v_ptr = contract_at(e, e->i32, s->v_weights[p][v], v_at);
            v_w[p][v] = LLVMBuildLoad2(e->b, emit_vector(e, e->i32), v_ptr, "");
            LLVMSetAlignment(v_w[p][v], 4);
        }
    }
    LLVMValueRef v_k = along_row(q, LLVMBuildMul(e->b, v_pair, emit_i64(e, 2), ""));
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_at = contract_at(e, d->element(e), s->v_rows[r], v_k);
        for (uint32_t p = 0; p < q->f->n_products; p++) {
            for (uint32_t v = 0; v < t->vectors; v++) {
                LLVMValueRef *v_sum = &v_sums[(p * t->rows + r) * t->vectors + v];
                *v_sum = d->add(e, *v_sum, v_w[p][v], v_at);
            }
        }
    }
}

/* The same pairs of the columns on the right of these. */
static void next_columns(contract_emitter *q, const tile *t, LLVMValueRef *v_next)
{
    LLVMValueRef v_n = contract_plus(q->e, t->v_n, (int64_t)t->vectors * q->e->lanes);
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        v_next[p] = first_pair(q, contract_weights(q->f, p), v_n);
    }
}

static contract_lines lines_ahead(contract_emitter *q, const tile *t)
{
    int64_t panel = contract_weights(q->f, 0)->panel;
    if (t->rows == 1) {
        return (contract_lines){0};
    }
    LLVMValueRef v_next[CONTRACT_MOST_PRODUCTS];
    next_columns(q, t, v_next);
    return contract_lines_of(q, t, v_next, emit_i64(q->e, pairs_of_k(q)), panel * 4, 1);
}

/* Pairs from lo to hi, so many a turn. */
static void sum_pairs(contract_emitter *q, const tile *t, const sources *s, int64_t lo, int64_t hi,
                      uint32_t unroll, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    contract_lines ahead = lines_ahead(q, t);
    uint32_t n = t->rows * t->vectors * q->f->n_products;
    LLVMValueRef v_next[64];
    emit_loop l;
    emit_loop_begin(e, &l, "pairs", emit_i64(e, lo), emit_i64(e, hi), emit_i64(e, unroll), n,
                    v_sums);
    memcpy(v_next, l.v_carry, n * sizeof *v_next);
    contract_ask_lines(q, &ahead, l.v_i);
    for (uint32_t u = 0; u < unroll; u++) {
        add_pair(q, t, s, contract_plus(e, l.v_i, u), v_next);
    }
    emit_loop_end(e, &l, v_next);
    memcpy(v_sums, l.v_carry, n * sizeof *v_sums);
}

static void sum(contract_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    sources s = sources_of(q, t);
    uint32_t unroll = contract_unroll(q, t);
    int64_t pairs = pairs_of_k(q), whole = pairs / unroll * unroll;
    sum_pairs(q, t, &s, 0, whole, unroll, v_sums);
    if (whole < pairs) {
        sum_pairs(q, t, &s, whole, pairs, 1, v_sums);
    }
}

/* Rows ----------------------------------------------------------------------------------------- */

/* A vector of the row's values, which are whole bf16 already, as they are packed. */
static LLVMValueRef packed_values(contract_emitter *q, LLVMTypeRef element)
{
    emit *e = q->e;
    LLVMValueRef v = emit_lanes(e, q->f->a);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    if (element == e->f32) {
        return v;
    }
    LLVMTypeRef i32s = emit_vector(e, e->i32);
    v = LLVMBuildLShr(e->b, LLVMBuildBitCast(e->b, v, i32s, ""), emit_const_int(e, i32s, 16), "");
    return LLVMBuildTrunc(e->b, v, emit_vector(e, element), "");
}

static void pack_values(contract_emitter *q, int64_t lo, int64_t hi, LLVMValueRef v_row, bool whole)
{
    emit *e = q->e;
    const k_axis *k = q->f->k[0];
    LLVMTypeRef element = dot_for(e)->element(e);
    LLVMValueRef v_hi = emit_i64(e, hi);
    emit_loop l;
    emit_loop_begin(e, &l, "pack", emit_i64(e, lo), v_hi, emit_i64(e, e->lanes), 0, NULL);
    e->v_axes[k->id] = l.v_i;
    e->lane_axis = k;
    e->v_mask = whole ? NULL : emit_lanes_below(e, l.v_i, v_hi);
    LLVMValueRef v = packed_values(q, element);
    e->v_mask = NULL;
    e->lane_axis = NULL;
    LLVMSetAlignment(LLVMBuildStore(e->b, v, contract_at(e, element, v_row, along_row(q, l.v_i))),
                     4);
    emit_loop_end(e, &l, NULL);
}

static void pack_row(contract_emitter *q, LLVMValueRef v_row)
{
    int64_t size = ir_dim_value(q->f->k[0]->extent), whole = size / q->e->lanes * q->e->lanes;
    pack_values(q, 0, whole, v_row, true);
    if (whole < size) {
        pack_values(q, whole, size, v_row, false);
    }
}

/* Tiles ---------------------------------------------------------------------------------------- */

/* Sums are by product, 16 rows, vector; of weights one tile in turn. */
static uint32_t sum_tile(const tile *t, uint32_t p, uint32_t r, uint32_t v)
{
    return (p * (t->rows / TILE_ROWS) + r) * t->vectors + v;
}

/* 32 steps of k for the whole tile. */
static void add_tiles(contract_emitter *q, const tile *t, const sources *s, LLVMValueRef v_step)
{
    emit *e = q->e;
    uint32_t tall = t->rows / TILE_ROWS;
    LLVMValueRef v_along = LLVMBuildMul(e->b, v_step, emit_i64(e, TILE_ROWS * TILE_BYTES), "");
    for (uint32_t r = 0; r < tall; r++) {
        LLVMValueRef v_rows = contract_at(e, e->i8, s->v_rows[r * TILE_ROWS], v_along);
        emit_tile_load(&q->tiles, TILE_ROWS_0 + r, v_rows, emit_i64(e, TILE_BYTES));
    }
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        int64_t line = (int64_t)contract_weights(q->f, p)->panel * 4;
        LLVMValueRef v_down = LLVMBuildMul(e->b, v_step, emit_i64(e, TILE_PAIRS * line), "");
        for (uint32_t v = 0; v < t->vectors; v++) {
            uint32_t b = TILE_COLUMNS_0 + (p * t->vectors + v) % 2;
            LLVMValueRef v_pairs = contract_at(e, e->i8, s->v_weights[p][v], v_down);
            emit_tile_load(&q->tiles, b, v_pairs, emit_i64(e, line));
            for (uint32_t r = 0; r < tall; r++) {
                emit_tile_dot(&q->tiles, sum_tile(t, p, r, v), TILE_ROWS_0 + r, b);
            }
        }
    }
}

static void store_tiles(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    LLVMValueRef v_stride = emit_i64(e, (int64_t)t->vectors * TILE_BYTES);
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        for (uint32_t r = 0; r < t->rows / TILE_ROWS; r++) {
            for (uint32_t v = 0; v < t->vectors; v++) {
                int64_t at = ((int64_t)p * t->rows + r * TILE_ROWS) * t->vectors + v;
                LLVMValueRef v_to = contract_at(e, e->i8, q->v_tile, emit_i64(e, at * TILE_BYTES));
                emit_tile_store(&q->tiles, sum_tile(t, p, r, v), v_to, v_stride);
            }
        }
    }
}

/* The same lines of the columns that come next. */
static void ask_for_next(contract_emitter *q, const tile *t, const contract_ahead *x,
                         const LLVMValueRef *v_next, LLVMValueRef v_step)
{
    emit *e = q->e;
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        int64_t line = (int64_t)contract_weights(q->f, p)->panel * 4;
        LLVMValueRef v_down = LLVMBuildMul(e->b, v_step, emit_i64(e, TILE_PAIRS * line), "");
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef v_at = contract_plus(e, v_down, (int64_t)v * TILE_BYTES);
            contract_ask_weights(q, x, contract_at(e, e->i8, v_next[p], v_at), TILE_PAIRS, line);
        }
    }
}

static bool sum_by_tiles(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    uint32_t n = t->rows / TILE_ROWS * t->vectors * q->f->n_products;
    if (!schedule_tiles(q->f, e->t) || t->rows % TILE_ROWS != 0 || n > TILE_ROWS_0) {
        return false;
    }
    sources s = sources_of(q, t);
    contract_ahead ahead = contract_ahead_of(q, t);
    LLVMValueRef v_next[CONTRACT_MOST_PRODUCTS];
    next_columns(q, t, v_next);
    for (uint32_t i = 0; i < n; i++) {
        emit_tile_zero(&q->tiles, i);
    }
    int64_t steps = pairs_of_k(q) / TILE_PAIRS;
    emit_loop l;
    emit_loop_begin(e, &l, "tiles", emit_i64(e, 0), emit_i64(e, steps), emit_i64(e, 1), 0, NULL);
    add_tiles(q, t, &s, l.v_i);
    ask_for_next(q, t, &ahead, v_next, l.v_i);
    emit_loop_end(e, &l, NULL);
    store_tiles(q, t);
    return true;
}

static void begin(contract_emitter *q)
{
    if (schedule_tiles(q->f, q->e->t)) {
        q->tiles = emit_tiles_begin(q->e, TILES_BF16);
    }
}

static void end(contract_emitter *q)
{
    if (schedule_tiles(q->f, q->e->t)) {
        emit_tiles_end(&q->tiles);
    }
}

const contract_kind contract_bf16 = {
    .pack_row = pack_row, .sum = sum, .sum_in_memory = sum_by_tiles, .begin = begin, .end = end};
