/* Weights of block storages as products read them: blocks of 16 rows (columns of the product's
 * result) interleaved, so that 16 sums of int8 products run side by side.
 *
 *     [ceil(N / 16)][K / 32] of
 *         lines of 64 bytes    line i, byte 4 * c + b: of row c, weights k = 4 * i + b
 *         f16[16]              the rows' scales
 *
 * q8_0 has 8 lines, its weights with 128 added (unsigned); q4_0 has 4, each byte with weight k in
 * its low and k + 16 in its high nibble, as in the file. As many bytes as in the file, but for N
 * rounded up to 16 with rows of zeros.
 *
 * Blocks come from a file, or are made here from floats: of [N, K] or of [K, N] (transposed), where
 * a block is 32 numbers of a column. */
#ifndef AIGC_RUNTIME_PACK_BLOCKS_H
#define AIGC_RUNTIME_PACK_BLOCKS_H

#include "runtime/aigc.h"

enum { AIGC_BLOCK_ROWS = 16, AIGC_BLOCK_DEPTH = 32 };

/* blocks: [n][k / 32] as in the file; k a multiple of 32. out has room for aigc_param_bytes. */
void aigc_pack_blocks(uint8_t storage, const void *blocks, int64_t n, int64_t k, void *out);
/* Where the scales of one interleaved block begin, in bytes. */
int64_t aigc_pack_blocks_scales(uint8_t storage);

#endif
