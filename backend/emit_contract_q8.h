/* Products of int8, inside: what dot products and tile registers share. */
#ifndef AIGC_BACKEND_EMIT_CONTRACT_Q8_H
#define AIGC_BACKEND_EMIT_CONTRACT_Q8_H

#include "backend/emit_contract.h"

enum { COLUMNS = 16, LINE = 64, STEP = 4 }; /* of an interleaved block; k in a step */

/* One step of k: v_sum[lane] += sum of 4 of v_w[4 * lane ...] * i8 v_a[...], v_w's of u8 unless it
 * says otherwise. */
typedef struct dot {
    uint32_t cpu;   /* AIGC_CPU_ features it needs */
    uint32_t lanes; /* of i32 that it works on */
    LLVMValueRef (*add)(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_a);
    bool in_f32;    /* sums are f32, exact below 2^24: 32 products of 8 bits each stay below 2^21 */
    bool of_signed; /* v_w's bytes are i8 */
} dot;

typedef struct blocks {
    int64_t lines, bytes; /* of an interleaved block */
    int64_t offset;       /* what is added to weights as they are multiplied */
    bool nibbles;
    bool flip; /* the offset of 128 is taken off before */
} blocks;

/* One vector of columns of one product. */
typedef struct stream {
    LLVMValueRef v_lines, v_scales; /* of its first block */
} stream;

/* A row of the tile as it is packed. */
typedef struct row {
    LLVMValueRef v_values, v_scales, v_starts;
} row;

/* A block of one vector of columns: its lines, each loaded when it is first needed, and where its
 * scales are. */
typedef struct strip {
    LLVMValueRef v_lines, v_line[8], v_scales;
    blocks k;
} strip;

int64_t q8_depth(const contract_emitter *q);
stream q8_stream(contract_emitter *q, uint32_t product, LLVMValueRef v_n);
row q8_packed_row(contract_emitter *q, const tile *t, uint32_t r);
strip q8_open_strip(contract_emitter *q, uint32_t product, const stream *s, LLVMValueRef v_block);
LLVMValueRef q8_load_line(emit *e, const strip *s, LLVMValueRef v_at); /* bytes from the first */
/* The weights of one step of k: from a line, or from one half of its nibbles; the high half where
 * it lies, 16 times as much, or shifted down. */
LLVMValueRef q8_line_weights(emit *e, const blocks *k, LLVMValueRef v_line, bool high, bool shift);
LLVMValueRef q8_step_weights(emit *e, strip *s, uint32_t step); /* shifted */
LLVMValueRef q8_column_scales(emit *e, const strip *s);         /* as f32s */
LLVMValueRef q8_splat_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i);

/* One row (emit_contract_q8_row.c) ---------------------------------------------------------------
 */

/* One block's sums of int8 products, [rows][vectors of all products]. A single row has two of each,
 * of the halves of k: dot products take several cycles each, and with fewer of them one after the
 * other the loop runs further ahead of memory. The second half of nibbles counts 16 times, where
 * bytes are unsigned. */
typedef struct q8_sums {
    uint32_t wide, halves;
    bool shifted; /* the second half of nibbles counts once */
    LLVMValueRef v[2][64];
} q8_sums;

/* Lines that come next in a stream are asked for early; at the stream's end, where the machine
 * cannot know how it goes on, those of the next tile's begin. */
typedef struct asked {
    int64_t blocks;      /* so far ahead */
    LLVMValueRef v_last; /* the first block that looks beyond the stream's end */
    LLVMValueRef v_jump; /* from there to the next tile's, in blocks */
} asked;
asked q8_asked_of(contract_emitter *q, const tile *t, const blocks *k);
/* Where the lines are that are asked for at a block. */
LLVMValueRef q8_asked_block(contract_emitter *q, const asked *x, const blocks *k, const stream *s,
                            LLVMValueRef v_block);
void q8_ask(emit *e, LLVMValueRef v_asked, LLVMValueRef v_at);
/* Adds a block's products to both halves' sums, and asks for its lines but that of the scales. */
void q8_sum_row(contract_emitter *q, const dot *d, const row *r, const strip *strips,
                const LLVMValueRef *v_asked, LLVMValueRef v_block, q8_sums *s);

/* By tile registers (emit_contract_q8_tiles.c): the members of a contract_kind. */
void q8_begin_tiles(contract_emitter *q);
void q8_end_tiles(contract_emitter *q);
void q8_take_columns(contract_emitter *q, const tile *t, LLVMValueRef v_rows);
bool q8_sum_by_tiles(contract_emitter *q, const tile *t);

#endif
