/* Attention's products by tile registers (backend/emit_tiles.h), of bf16 in pairs:
 *
 *     p[16 keys][16 queries] = k[16 keys][32 of d] * qt[16 pairs of d][16 queries]
 *     acc[16 of dv][16 queries] += vt[16 of dv][32 keys] * p[16 pairs of keys][16 queries]
 *
 * Four tiles of sums, 32 by 32, are worked on together. Of the last tiles only sums are taken that
 * exist; what such sums read beyond d and the keys is 0. vt are the block's values, turned as they
 * are packed. */
#include "backend/emit_attention_tiles.h"

/* Sums are tiles 0 ... 3, by rows, then queries. */
enum { HEIGHT = 2, WORD = 4 };

static void for_sums(tiler *w, LLVMValueRef v_base, LLVMValueRef v_row,
                     void (*move)(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr,
                                  LLVMValueRef v_stride))
{
    emit *e = w->e;
    for (uint32_t i = 0; i < HEIGHT * w->s.vectors; i++) {
        LLVMValueRef v_at = attention_plus(e, v_row, i / w->s.vectors * TILE_ROWS);
        v_at =
            attention_plus(e, attention_times(e, v_at, w->queries), i % w->s.vectors * TILE_ROWS);
        move(&w->q->tiles, i, attention_at(e, v_base, v_at), emit_i64(e, w->queries * WORD));
    }
}

/* sums += the rows from v_rows on, row_words apart, by the words of v_lanes: so many tiles of 16
 * pairs. */
static void add_products(tiler *w, LLVMValueRef v_rows, int64_t row_words, LLVMValueRef v_lanes,
                         LLVMValueRef v_steps)
{
    emit *e = w->e;
    emit_tiles *t = &w->q->tiles;
    uint32_t vectors = w->s.vectors;
    emit_loop l;
    emit_loop_begin(e, &l, "tiles", emit_i64(e, 0), v_steps, emit_i64(e, 1), 0, NULL);
    LLVMValueRef v_pair = attention_times(e, l.v_i, TILE_PAIRS),
                 v_down = attention_times(e, v_pair, w->queries);
    for (uint32_t r = 0; r < HEIGHT; r++) {
        LLVMValueRef v_at = attention_plus(e, v_pair, r * TILE_ROWS * row_words);
        emit_tile_load(t, TILE_ROWS_0 + r, attention_at(e, v_rows, v_at),
                       emit_i64(e, row_words * WORD));
    }
    for (uint32_t v = 0; v < vectors; v++) {
        LLVMValueRef v_at = attention_plus(e, v_down, v * TILE_ROWS);
        emit_tile_load(t, TILE_COLUMNS_0 + v, attention_at(e, v_lanes, v_at),
                       emit_i64(e, w->queries * WORD));
        for (uint32_t r = 0; r < HEIGHT; r++) {
            emit_tile_dot(t, r * vectors + v, TILE_ROWS_0 + r, TILE_COLUMNS_0 + v);
        }
    }
    emit_loop_end(e, &l, NULL);
}

static LLVMValueRef steps_of(emit *e, LLVMValueRef v_pairs)
{
    return LLVMBuildUDiv(e->b, attention_plus(e, v_pairs, TILE_PAIRS - 1), emit_i64(e, TILE_PAIRS),
                         "");
}

void tiler_multiply_keys(tiler *w)
{
    emit *e = w->e;
    LLVMValueRef v_steps = steps_of(e, emit_i64(e, tiler_words(w, w->d)));
    emit_loop l;
    emit_loop_begin(e, &l, "keys", emit_i64(e, 0), w->v_keys, emit_i64(e, HEIGHT * TILE_ROWS), 0,
                    NULL);
    for (uint32_t i = 0; i < HEIGHT * w->s.vectors; i++) {
        emit_tile_zero(&w->q->tiles, i);
    }
    LLVMValueRef v_rows = attention_at(e, w->k.v_base, attention_times(e, l.v_i, w->k.row_words));
    add_products(w, v_rows, w->k.row_words, w->v_qt, v_steps);
    for_sums(w, w->v_p, l.v_i, emit_tile_store);
    emit_loop_end(e, &l, NULL);
}

/* Weights of keys beyond the last, up to a whole tile. */
static void clear_weights(tiler *w)
{
    emit *e = w->e;
    LLVMValueRef v_pairs = tiler_words_of(w, w->v_keys);
    LLVMValueRef v_to = attention_times(e, steps_of(e, v_pairs), TILE_PAIRS * w->queries);
    emit_loop l;
    emit_loop_begin(e, &l, "clear", attention_times(e, v_pairs, w->queries), v_to,
                    emit_i64(e, e->lanes), 0, NULL);
    attention_put(e, LLVMConstNull(emit_vector(e, e->f32)), w->v_p, l.v_i);
    emit_loop_end(e, &l, NULL);
}

static void correct(tiler *w)
{
    emit *e = w->e;
    emit_loop l;
    emit_loop_begin(e, &l, "correct", emit_i64(e, 0), emit_i64(e, w->dv * w->queries),
                    emit_i64(e, w->queries), 0, NULL);
    for (uint32_t v = 0; v < w->s.vectors; v++) {
        LLVMValueRef v_lanes = emit_i64(e, (int64_t)v * e->lanes);
        LLVMValueRef v_at = LLVMBuildAdd(e->b, l.v_i, v_lanes, "");
        LLVMValueRef v_sum = attention_load(e, w->v_acc, v_at);
        v_sum = LLVMBuildFMul(e->b, v_sum, attention_load(e, w->v_fix, v_lanes), "");
        attention_put(e, v_sum, w->v_acc, v_at);
    }
    emit_loop_end(e, &l, NULL);
}

void tiler_add_values(tiler *w)
{
    emit *e = w->e;
    clear_weights(w);
    correct(w);
    LLVMValueRef v_steps = steps_of(e, tiler_words_of(w, w->v_keys));
    emit_loop l;
    emit_loop_begin(e, &l, "values", emit_i64(e, 0), emit_i64(e, w->dv),
                    emit_i64(e, HEIGHT * TILE_ROWS), 0, NULL);
    for_sums(w, w->v_acc, l.v_i, emit_tile_load);
    LLVMValueRef v_rows = attention_at(e, w->v.v_base, attention_times(e, l.v_i, w->v.row_words));
    add_products(w, v_rows, w->v.row_words, w->v_p, v_steps);
    for_sums(w, w->v_acc, l.v_i, emit_tile_store);
    emit_loop_end(e, &l, NULL);
}
