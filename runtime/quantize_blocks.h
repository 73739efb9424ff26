/* Floats put into blocks, bit for bit as ggml's reference does: ggml, ggml-quants.c
 * (quantize_row_q8_0_ref, quantize_row_q4_0_ref).
 *
 *     q8_0    d = max |x| / 127                              q = round(x / d), halves away from 0
 *     q4_0    d = the first x that is largest in size / -8   q = min(15, floor(x / d + 8.5))
 *
 * d is kept as f16, x is multiplied by the reciprocal of d as it was in f32. Where ggml has no
 * answer: a block with a nan or an infinity becomes nans, all of it, so that it shows; in a block
 * whose d has no reciprocal in f32 (all |x| below 1e-36 or so) all weights are 0. */
#ifndef AIGC_RUNTIME_QUANTIZE_BLOCKS_H
#define AIGC_RUNTIME_QUANTIZE_BLOCKS_H

#include "runtime/aigc.h"

bool aigc_block_is_made(uint8_t storage); /* can floats be put into such blocks? */
/* in: as many floats as a block of the storage has weights. */
void aigc_block_encode(uint8_t storage, const float *in, unsigned char *block);

#endif
