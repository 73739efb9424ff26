/* Which bits of a block are whose: one description a block storage, which the interpreter reads and
 * code is generated from.
 *
 *     weight[i] = scale * q[i] + offset     scale    d, or d * scales[i / group]
 *                                           offset   none, m, or -m * mins[i / group]
 *
 * d and m are f16. q, scales and mins are small whole numbers, each in one or two pieces of bits:
 * the low ones here, the high ones there. Source: ggml, ggml-common.h (the blocks) and
 * ggml-quants.c (dequantize_row_*). */
#ifndef AIGC_IR_BLOCK_H
#define AIGC_IR_BLOCK_H

#include "ir/storage.h"

/* Pieces number 0, 1, 2 ... lie in bytes one after the other, `run` of them; then come more of them
 * in other bits of these bytes or in other bytes, `turns` times; then the next `span` bytes.
 *
 *     turn = i / run % turns
 *     byte = at + i % run + turn * byte_step + i / (run * turns) * span
 *     its bits from shift + turn * shift_step on */
typedef struct ir_block_bits {
    uint8_t at, width; /* width 0: there is no such piece */
    uint8_t run, turns;
    uint8_t byte_step, shift, shift_step, span;
} ir_block_bits;

typedef struct ir_block_numbers {
    ir_block_bits low, high; /* (low | high << low.width) - zero */
    uint8_t zero;
    bool is_signed; /* of 8 bits, in two's complement; zero is 0 */
} ir_block_numbers;

enum { IR_BLOCK_NO_MIN = 255 };

typedef struct ir_block {
    ir_storage storage;
    uint8_t d_at, m_at; /* bytes; m_at may be IR_BLOCK_NO_MIN */
    uint8_t group;      /* weights that share one of scales and mins; 0: there are none */
    ir_block_numbers q, scales, mins; /* mins.low.width is 0 where there are none */
} ir_block;

const ir_block *ir_block_of(ir_storage s); /* NULL when dense */
/* Weight i of a sequence of blocks. */
float ir_block_weight(const ir_block *l, const void *blocks, size_t i);

#endif
