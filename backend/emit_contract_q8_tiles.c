/* Products of int8 by tile registers: 16 rows by 16 columns by a block of 32 along k at a time.
 * Sums of a block are exact, and its scales are applied in the order of k, as emit_contract_q8.c
 * does, so the results are the same to the last bit.
 *
 *     columns       taken apart once, before rows pass by: i8[strips][K / 32][8 steps of k][16][4]
 *     rows          as they are packed, 32 bytes of each
 *     block's sum   i32[16][16], by way of memory: four blocks are multiplied while the scales of
 * the four before are applied, as what a tile stores cannot be loaded until it is in L1
 *
 * On a Sapphire Rapids core, two blocks at once made 0 to 10 % more than vpdpbusd; four were not
 * measured. */
#include "backend/emit_contract_q8.h"

#include <string.h>

enum { SUM_BYTES = TILE_ROWS * TILE_BYTES, STEPS = CONTRACT_BLOCK / STEP, AT_ONCE = 4 };
enum { STRIP_BLOCK_BYTES = STEPS * LINE };

static int64_t n_blocks(const contract_emitter *q)
{
    return q8_depth(q) / CONTRACT_BLOCK;
}

static bool by_tiles(const contract_emitter *q)
{
    return schedule_tiles(q->f, q->e->t);
}

void q8_begin_tiles(contract_emitter *q)
{
    emit *e = q->e;
    if (by_tiles(q)) {
        q->tiles = emit_tiles_begin(e, TILES_INT8);
        q->v_block = LLVMBuildArrayAlloca(e->b, e->i8, emit_i64(e, 2 * AT_ONCE * SUM_BYTES), "");
        LLVMSetAlignment(q->v_block, LINE);
    }
}

void q8_end_tiles(contract_emitter *q)
{
    if (by_tiles(q)) {
        emit_tiles_end(&q->tiles);
    }
}

/* Columns -------------------------------------------------------------------------------------- */

/* Block v_block of strip number i of the tile's columns, taken apart. */
static LLVMValueRef taken(contract_emitter *q, uint32_t i, LLVMValueRef v_block)
{
    emit *e = q->e;
    LLVMValueRef v_at = contract_plus(e, v_block, i * n_blocks(q));
    v_at = LLVMBuildMul(e->b, v_at, emit_i64(e, STRIP_BLOCK_BYTES), "");
    return contract_at(e, e->i8, q->v_columns, v_at);
}

/* Weights without their offset, which they are stored with. */
static LLVMValueRef without_offset(emit *e, const blocks *k, LLVMValueRef v)
{
    LLVMTypeRef bytes = LLVMVectorType(e->i8, LINE);
    int64_t offset = k->flip ? 0 : k->offset;
    v = LLVMBuildBitCast(e->b, v, bytes, "");
    return LLVMBuildSub(e->b, v, emit_const_int(e, bytes, offset), "");
}

static void take_strip(contract_emitter *q, const tile *t, uint32_t p, uint32_t v)
{
    emit *e = q->e;
    stream s = q8_stream(q, p, contract_plus(e, t->v_n, (int64_t)v * e->lanes));
    emit_loop l;
    emit_loop_begin(e, &l, "take", emit_i64(e, 0), emit_i64(e, n_blocks(q)), emit_i64(e, 1), 0,
                    NULL);
    strip from = q8_open_strip(q, p, &s, l.v_i);
    LLVMValueRef v_to = taken(q, p * t->vectors + v, l.v_i);
    for (uint32_t step = 0; step < STEPS; step++) {
        LLVMValueRef v_w = without_offset(e, &from.k, q8_step_weights(e, &from, step));
        LLVMValueRef v_at = contract_at(e, e->i8, v_to, emit_i64(e, step * LINE));
        LLVMSetAlignment(LLVMBuildStore(e->b, v_w, v_at), LINE);
    }
    emit_loop_end(e, &l, NULL);
}

void q8_take_columns(contract_emitter *q, const tile *t, LLVMValueRef v_rows)
{
    emit *e = q->e;
    if (!by_tiles(q)) {
        return;
    }
    emit_if any;
    emit_if_begin(e, &any, LLVMBuildICmp(e->b, LLVMIntSGE, v_rows, emit_i64(e, TILE_ROWS), ""),
                  "tall");
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        for (uint32_t v = 0; v < t->vectors; v++) {
            take_strip(q, t, p, v);
        }
    }
    emit_if_end(e, &any);
}

/* Sums ----------------------------------------------------------------------------------------- */

/* 16 rows by one strip. */
typedef struct square {
    uint32_t product, strip;
    stream s;
    row first; /* of the rows */
} square;

/* Where sums of block number i of those that are multiplied at once lie, in turns. */
static LLVMValueRef block_sums(contract_emitter *q, LLVMValueRef v_turn, uint32_t i)
{
    emit *e = q->e;
    LLVMValueRef v_odd = LLVMBuildAnd(e->b, v_turn, emit_i64(e, 1), "");
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_odd, emit_i64(e, AT_ONCE * SUM_BYTES), "");
    return contract_at(e, e->i8, q->v_block, contract_plus(e, v_at, (int64_t)i * SUM_BYTES));
}

static void multiply_block(contract_emitter *q, const square *s, LLVMValueRef v_block, uint32_t i,
                           LLVMValueRef v_to)
{
    emit *e = q->e;
    uint32_t rows = TILE_ROWS_0 + i % 2, columns = TILE_COLUMNS_0 + i % 2;
    LLVMValueRef v_along = LLVMBuildMul(e->b, v_block, emit_i64(e, CONTRACT_BLOCK), "");
    LLVMValueRef v_rows = contract_at(e, e->i8, s->first.v_values, v_along);
    emit_tile_zero(&q->tiles, TILE_SUM_0 + i);
    emit_tile_load(&q->tiles, rows, v_rows, emit_i64(e, q->s.row_bytes));
    emit_tile_load(&q->tiles, columns, taken(q, s->strip, v_block), emit_i64(e, LINE));
    emit_tile_dot(&q->tiles, TILE_SUM_0 + i, rows, columns);
    emit_tile_store(&q->tiles, TILE_SUM_0 + i, v_to, emit_i64(e, TILE_BYTES));
}

/* v_sums[r] += a block's sums by the row's scale and the columns'. */
static void add_block(contract_emitter *q, const square *s, LLVMValueRef v_block,
                      LLVMValueRef v_from, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    LLVMTypeRef i32s = emit_vector(e, e->i32), f32s = emit_vector(e, e->f32);
    strip columns = q8_open_strip(q, s->product, &s->s, v_block);
    LLVMValueRef v_scales = q8_column_scales(e, &columns);
    for (uint32_t r = 0; r < TILE_ROWS; r++) {
        LLVMValueRef v_row =
            contract_at(e, e->i8, s->first.v_scales, emit_i64(e, r * q->s.row_bytes));
        LLVMValueRef v = LLVMBuildLoad2(
            e->b, i32s, contract_at(e, e->i8, v_from, emit_i64(e, r * TILE_BYTES)), "");
        LLVMSetAlignment(v, TILE_BYTES);
        v = LLVMBuildFMul(e->b, LLVMBuildSIToFP(e->b, v, f32s, ""), v_scales, "");
        v_sums[r] = emit_fma(e, v, q8_splat_at(e, e->f32, v_row, v_block), v_sums[r]);
    }
}

/* Blocks AT_ONCE * v_i and on. */
static LLVMValueRef block_of(emit *e, LLVMValueRef v_i, uint32_t i)
{
    return contract_plus(e, LLVMBuildMul(e->b, v_i, emit_i64(e, AT_ONCE), ""), i);
}

static void multiply_blocks(contract_emitter *q, const square *s, LLVMValueRef v_i,
                            LLVMValueRef v_turn)
{
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        multiply_block(q, s, block_of(q->e, v_i, i), i, block_sums(q, v_turn, i));
    }
}

static void sum_square(contract_emitter *q, const square *s, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    int64_t turns = n_blocks(q) / AT_ONCE, rest = n_blocks(q) % AT_ONCE;
    LLVMValueRef v_zero = emit_i64(e, 0), v_one = emit_i64(e, 1);
    if (turns > 0) {
        multiply_blocks(q, s, v_zero, v_zero);
        emit_loop l;
        emit_loop_begin(e, &l, "blocks", v_zero, emit_i64(e, turns), v_one, TILE_ROWS, v_sums);
        LLVMValueRef v_next = LLVMBuildAdd(e->b, l.v_i, v_one, "");
        multiply_blocks(q, s, emit_intrinsic2(e, "llvm.smin", v_next, emit_i64(e, turns - 1)),
                        v_next);
        LLVMValueRef v_after[TILE_ROWS];
        memcpy(v_after, l.v_carry, sizeof v_after);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            add_block(q, s, block_of(e, l.v_i, i), block_sums(q, l.v_i, i), v_after);
        }
        emit_loop_end(e, &l, v_after);
        memcpy(v_sums, l.v_carry, sizeof v_after);
    }
    for (int64_t i = 0; i < rest; i++) {
        LLVMValueRef v_block = emit_i64(e, turns * AT_ONCE + i), v_to = block_sums(q, v_zero, 0);
        multiply_block(q, s, v_block, 0, v_to);
        add_block(q, s, v_block, v_to, v_sums);
    }
}

bool q8_sum_by_tiles(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    if (!by_tiles(q) || t->rows != TILE_ROWS) {
        return false;
    }
    for (uint32_t i = 0; i < q->f->n_products * t->vectors; i++) {
        uint32_t p = i / t->vectors, v = i % t->vectors;
        square s = {.product = p,
                    .strip = i,
                    .s = q8_stream(q, p, contract_plus(e, t->v_n, (int64_t)v * e->lanes)),
                    .first = q8_packed_row(q, t, 0)};
        LLVMValueRef v_sums[TILE_ROWS];
        for (uint32_t r = 0; r < TILE_ROWS; r++) {
            v_sums[r] = LLVMConstNull(emit_vector(e, e->f32));
        }
        sum_square(q, &s, v_sums);
        for (uint32_t r = 0; r < TILE_ROWS; r++) {
            int64_t at = ((int64_t)p * TILE_ROWS + r) * t->vectors + v;
            LLVMValueRef v_to = contract_at(e, e->f32, q->v_tile, emit_i64(e, at * e->lanes));
            LLVMSetAlignment(LLVMBuildStore(e->b, v_sums[r], v_to), LINE);
        }
    }
    return true;
}
