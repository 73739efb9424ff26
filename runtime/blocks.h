/* Weights in blocks, as GGUF files have them: ggml, ggml-common.h (block_q8_0 ...) and
 * ggml-quants.c (dequantize_row_*). */
#ifndef AIGC_RUNTIME_BLOCKS_H
#define AIGC_RUNTIME_BLOCKS_H

#include "runtime/aigc.h"

enum { AIGC_BLOCK_MOST = 256 }; /* weights of the largest block */

/* out: as many floats as a block of the storage has weights. */
void aigc_block_decode(uint8_t storage, const unsigned char *block, float *out);
/* Sets what a block's weights are multiplied by, and what is added, so that they are about as large
 * as `size`, whatever its other bits. */
void aigc_block_scale(uint8_t storage, unsigned char *block, float size);

#endif
