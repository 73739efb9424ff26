/* [ceil(N / panel)][K][panel] of elements of 2 or 4 bytes. */
#include "runtime/convert.h"
#include "runtime/pack.h"

enum { DEPTH = 64, PANEL_MOST = 256 };

typedef struct matrix { /* rows of elements of `bytes`, `stride` bytes apart; any alignment */
    const char *at;
    int64_t stride, bytes;
} matrix;

/* out[k][r] = from[r][k]; rows of out are `panel` columns. A line of rows is read while it is in
 * cache. */
static void turn(matrix from, int64_t rows, int64_t depth, int64_t panel, char *out)
{
    for (int64_t k = 0; k < depth; k++) {
        const char *x = from.at + k * from.bytes;
        char *y = out + k * panel * from.bytes;
        if (from.bytes == 4) {
            for (int64_t r = 0; r < rows; r++) {
                memcpy(y + 4 * r, x + r * from.stride, 4);
            }
        } else {
            for (int64_t r = 0; r < rows; r++) {
                memcpy(y + 2 * r, x + r * from.stride, 2);
            }
        }
    }
}

/* Source [N][K]: whole panels. */
static void pack_columns(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                         int64_t last, char *out)
{
    uint32_t block[PANEL_MOST * DEPTH];
    int64_t k = p->dims[1], panel = p->panel, bytes = (int64_t)aigc_dtype_bytes(p->storage);
    bool same = p->storage == dtype;
    for (int64_t n = first; n < last; n += panel) {
        int64_t width = last - n < panel ? last - n : panel;
        for (int64_t at = 0; at < k; at += DEPTH) {
            int64_t depth = k - at < DEPTH ? k - at : DEPTH;
            char *to = out + (n * k + at * panel) * bytes;
            matrix from = {(const char *)data + (n * k + at) * bytes, k * bytes, bytes};
            for (int64_t r = 0; r < width && !same; r++) {
                aigc_convert_run(dtype, data, (n + r) * k + at, depth, p->storage,
                                 (char *)block + r * DEPTH * bytes);
            }
            if (!same) {
                from = (matrix){(const char *)block, DEPTH * bytes, bytes};
            }
            if (width < panel) {
                memset(to, 0, (size_t)(depth * panel * bytes));
            }
            turn(from, width, depth, panel, to);
        }
    }
}

/* Source [K][N]: each row is spread over all panels. */
static void pack_depths(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                        int64_t last, char *out)
{
    int64_t n = p->dims[1], depth = p->dims[0], panel = p->panel,
            bytes = (int64_t)aigc_dtype_bytes(p->storage);
    for (int64_t at = 0; at < n; at += panel) {
        int64_t width = n - at < panel ? n - at : panel;
        for (int64_t k = first; k < last; k++) {
            char *to = out + (at * depth + k * panel) * bytes;
            aigc_convert_run(dtype, data, k * n + at, width, p->storage, to);
            memset(to + width * bytes, 0, (size_t)((panel - width) * bytes));
        }
    }
}

void aigc_pack_panels(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                      int64_t last, void *out)
{
    (p->pack_transposed ? pack_depths : pack_columns)(p, dtype, data, first, last, out);
}
