#include "runtime/pack_blocks.h"

#include <string.h>

enum { LINE = 64, SCALE_BYTES = 2 };

int64_t aigc_pack_blocks_scales(uint8_t storage)
{
    return (storage == AIGC_Q4_0 ? 4 : 8) * LINE;
}

/* One block of one row to its places among the 16. */
static void spread(uint8_t storage, const unsigned char *block, int64_t row, unsigned char *out)
{
    int64_t lines = aigc_pack_blocks_scales(storage) / LINE;
    uint32_t flip = storage == AIGC_Q8_0 ? 0x80808080u : 0;
    for (int64_t i = 0; i < lines; i++) {
        uint32_t four;
        memcpy(&four, block + SCALE_BYTES + 4 * i, 4);
        four ^= flip;
        memcpy(out + i * LINE + row * 4, &four, 4);
    }
    memcpy(out + lines * LINE + row * SCALE_BYTES, block, SCALE_BYTES);
}

void aigc_pack_blocks(uint8_t storage, const void *blocks, int64_t n, int64_t k, void *out)
{
    int64_t depth = k / AIGC_BLOCK_DEPTH, bytes = (int64_t)aigc_dtype_bytes(storage);
    const unsigned char *from = blocks;
    unsigned char *to = out;
    for (int64_t first = 0; first < n; first += AIGC_BLOCK_ROWS) {
        int64_t rows = n - first < AIGC_BLOCK_ROWS ? n - first : AIGC_BLOCK_ROWS;
        for (int64_t b = 0; b < depth; b++, to += bytes * AIGC_BLOCK_ROWS) {
            if (rows < AIGC_BLOCK_ROWS) {
                memset(to, 0, (size_t)(bytes * AIGC_BLOCK_ROWS));
            }
            for (int64_t r = 0; r < rows; r++) {
                spread(storage, from + ((first + r) * depth + b) * bytes, r, to);
            }
        }
    }
}
