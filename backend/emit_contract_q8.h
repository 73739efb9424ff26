/* Products of int8, inside: what dot products and tile registers share. */
#ifndef AIGC_BACKEND_EMIT_CONTRACT_Q8_H
#define AIGC_BACKEND_EMIT_CONTRACT_Q8_H

#include "backend/emit_contract.h"

enum { COLUMNS = 16, LINE = 64, STEP = 4 }; /* of an interleaved block; k in a step */

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
/* The weights of one step of k: from a line, or from one half of its nibbles; the high half where
 * it lies, 16 times as much, or shifted down. */
LLVMValueRef q8_step_weights(emit *e, strip *s, uint32_t step, bool shift);
LLVMValueRef q8_column_scales(emit *e, const strip *s); /* as f32s */
LLVMValueRef q8_splat_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i);

/* By tile registers (emit_contract_q8_tiles.c): the members of a contract_kind. */
void q8_begin_tiles(contract_emitter *q);
void q8_end_tiles(contract_emitter *q);
void q8_take_columns(contract_emitter *q, const tile *t, LLVMValueRef v_rows);
bool q8_sum_by_tiles(contract_emitter *q, const tile *t);

#endif
