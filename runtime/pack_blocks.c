#include "runtime/pack_blocks.h"
#include "runtime/convert.h"
#include "runtime/pack.h"
#include "runtime/quantize_blocks.h"

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

/* Rows that are not there are zeros. */
static void clear_unless_full(uint8_t storage, int64_t rows, unsigned char *out)
{
    if (rows < AIGC_BLOCK_ROWS) {
        memset(out, 0, aigc_dtype_bytes(storage) * AIGC_BLOCK_ROWS);
    }
}

void aigc_pack_blocks(uint8_t storage, const void *blocks, int64_t n, int64_t k, void *out)
{
    int64_t depth = k / AIGC_BLOCK_DEPTH, bytes = (int64_t)aigc_dtype_bytes(storage);
    const unsigned char *from = blocks;
    unsigned char *to = out;
    for (int64_t first = 0; first < n; first += AIGC_BLOCK_ROWS) {
        int64_t rows = n - first < AIGC_BLOCK_ROWS ? n - first : AIGC_BLOCK_ROWS;
        for (int64_t b = 0; b < depth; b++, to += bytes * AIGC_BLOCK_ROWS) {
            clear_unless_full(storage, rows, to);
            for (int64_t r = 0; r < rows; r++) {
                spread(storage, from + ((first + r) * depth + b) * bytes, r, to);
            }
        }
    }
}

/* Floats of up to 16 rows to one interleaved block. */
static void make_block(uint8_t storage, float part[][AIGC_BLOCK_DEPTH], int64_t rows,
                       unsigned char *out)
{
    unsigned char block[2 + AIGC_BLOCK_DEPTH];
    clear_unless_full(storage, rows, out);
    for (int64_t r = 0; r < rows; r++) {
        aigc_block_encode(storage, part[r], block);
        spread(storage, block, r, out);
    }
}

/* Where block `depth` of the 16 rows from n on lies. */
static unsigned char *place(const aigc_abi_param *p, int64_t n, int64_t depth, void *out)
{
    int64_t depths = p->dims[p->pack_transposed ? 0 : 1] / AIGC_BLOCK_DEPTH;
    return (unsigned char *)out + (n / AIGC_BLOCK_ROWS * depths + depth) * AIGC_BLOCK_ROWS *
                                      (int64_t)aigc_dtype_bytes(p->storage);
}

/* Source [N][K]: whole panels. */
static void make_columns(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                         int64_t last, void *out)
{
    float part[AIGC_BLOCK_ROWS][AIGC_BLOCK_DEPTH];
    int64_t k = p->dims[1];
    for (int64_t n = first; n < last; n += AIGC_BLOCK_ROWS) {
        int64_t rows = last - n < AIGC_BLOCK_ROWS ? last - n : AIGC_BLOCK_ROWS;
        for (int64_t at = 0; at < k; at += AIGC_BLOCK_DEPTH) {
            for (int64_t r = 0; r < rows; r++) {
                aigc_convert_to_float(dtype, data, (n + r) * k + at, AIGC_BLOCK_DEPTH, part[r]);
            }
            make_block(p->storage, part, rows, place(p, n, at / AIGC_BLOCK_DEPTH, out));
        }
    }
}

/* Source [K][N]: 32 rows are one block of every column. */
static void make_depths(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                        int64_t last, void *out)
{
    float part[AIGC_BLOCK_ROWS][AIGC_BLOCK_DEPTH], row[AIGC_BLOCK_ROWS];
    int64_t n = p->dims[1];
    for (int64_t k = first; k < last; k += AIGC_BLOCK_DEPTH) {
        for (int64_t at = 0; at < n; at += AIGC_BLOCK_ROWS) {
            int64_t width = n - at < AIGC_BLOCK_ROWS ? n - at : AIGC_BLOCK_ROWS;
            for (int64_t i = 0; i < AIGC_BLOCK_DEPTH; i++) {
                aigc_convert_to_float(dtype, data, (k + i) * n + at, width, row);
                for (int64_t c = 0; c < width; c++) {
                    part[c][i] = row[c];
                }
            }
            make_block(p->storage, part, width, place(p, at, k / AIGC_BLOCK_DEPTH, out));
        }
    }
}

void aigc_pack_interleaved(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                           int64_t last, void *out)
{
    if (dtype == p->storage) {
        int64_t row = p->dims[1] / AIGC_BLOCK_DEPTH * (int64_t)aigc_dtype_bytes(dtype);
        aigc_pack_blocks(dtype, (const char *)data + first * row, last - first, p->dims[1],
                         (char *)out + first * row);
        return;
    }
    (p->pack_transposed ? make_depths : make_columns)(p, dtype, data, first, last, out);
}
