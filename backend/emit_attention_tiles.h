/* What the parts of attention by tiles share: emit_attention_tiles.c multiplies,
 * emit_attention_move.c brings queries, keys, and values to scratch memory and results from it. */
#ifndef AIGC_BACKEND_EMIT_ATTENTION_TILES_H
#define AIGC_BACKEND_EMIT_ATTENTION_TILES_H

#include "backend/emit_attention.h"

/* Keys or values of a block: word (j, c) is v_base[j * v_row + c * v_col]; j counts from the
 * block's first key when they are packed. A word is an f32, or where there are dot products a pair
 * of bf16: two steps of the sum. */
typedef struct tile_operand {
    const k_expr *x;
    const k_axis *c;
    int64_t size;    /* elements along c */
    int64_t at_once; /* of them in a vector of words */
    bool packed;
    int64_t row_words; /* packed: from row to row, of keys; turned: of elements of values */
    LLVMValueRef v_base, v_row, v_col;
} tile_operand;

typedef struct tiler {
    attention_emitter *q;
    emit *e;
    const k_attention *t;
    schedule_attention s;
    int64_t d, dv, queries;  /* elements of a key, of a value; queries of a block */
    int64_t row;             /* words of a row of v_rows */
    LLVMValueRef v_p, v_fix; /* [keys][queries]; [queries]: correction of a block of keys */
    LLVMValueRef v_rows;     /* [queries][row]: on the way in and out */
    LLVMValueRef v_blocks;   /* of so many f32s each, what a block of queries keeps: */
    int64_t block;
    LLVMValueRef v_qt, v_acc;                /* [words of d][queries], [dv][queries] */
    LLVMValueRef v_m, v_l;                   /* [queries]: maximum, sum */
    LLVMValueRef v_first, v_end, v_i0, v_i1; /* queries of the pass, of the block */
    tile_operand k, v;
    LLVMValueRef v_j0, v_keys; /* the first key of the block, how many there are */
} tiler;

int64_t tiler_round_up(int64_t n, int64_t to);
/* Steps of a sum in a word, and words that n of them take. */
int64_t tiler_steps(const tiler *w);
int64_t tiler_words(const tiler *w, int64_t n);
LLVMValueRef tiler_words_of(const tiler *w, LLVMValueRef v_n);

/* Lanes along an axis from v_first on, those below the limit; NULL: all of them. */
void tiler_set_lanes(tiler *w, const k_axis *axis, LLVMValueRef v_first, LLVMValueRef v_limit);
void tiler_leave_lanes(tiler *w);

/* q of the block, to v_qt. */
void tiler_take_queries(tiler *w);
/* acc / l of the block, to the result. */
void tiler_write_rows(tiler *w);
/* Asks for scratch memory where it is packed. */
void tiler_find_keys(tiler *w);
void tiler_find_values(tiler *w);
/* Those of the block, where they are not read where they lie. */
void tiler_pack_keys(tiler *w);
void tiler_pack_values(tiler *w);
/* Where key v_j of the block begins. */
LLVMValueRef tiler_key(tiler *w, const tile_operand *o, LLVMValueRef v_j);

/* The two products of a block by tile registers (emit_attention_amx.c). */
void tiler_multiply_keys(tiler *w);
void tiler_add_values(tiler *w);

#endif
