/* [ceil(N / panel)][ceil(K / 2)][panel][2] of bf16: two steps of the sum side by side, as dot
 * products of bf16 take them; zeros where there is no n or k. */
#include "runtime/convert.h"
#include "runtime/pack.h"

enum { DEPTH = 64, PANEL_MOST = 256 };

/* Source [N][K]: whole panels. */
static void pack_columns(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                         int64_t last, uint16_t *out)
{
    uint16_t block[PANEL_MOST * DEPTH];
    int64_t depth = p->dims[1], panel = p->panel, pairs = (depth + 1) / 2;
    for (int64_t n = first; n < last; n += panel) {
        int64_t width = last - n < panel ? last - n : panel;
        for (int64_t at = 0; at < depth; at += DEPTH) {
            int64_t count = depth - at < DEPTH ? depth - at : DEPTH;
            uint16_t *to = out + n / panel * pairs * panel * 2 + at * panel;
            for (int64_t r = 0; r < width; r++) {
                uint16_t *row = block + r * DEPTH;
                aigc_convert_run(dtype, data, (n + r) * depth + at, count, AIGC_BF16, row);
                if (count < DEPTH) {
                    row[count] = 0;
                }
            }
            memset(block + width * DEPTH, 0, (size_t)((panel - width) * DEPTH) * sizeof *block);
            for (int64_t k = 0; k < count; k += 2, to += 2 * panel) {
                for (int64_t r = 0; r < panel; r++) {
                    memcpy(to + 2 * r, block + r * DEPTH + k, 2 * sizeof *to);
                }
            }
        }
    }
}

/* Source [K][N]: pairs of rows side by side. */
static void pack_depths(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                        int64_t last, uint16_t *out)
{
    uint16_t rows[2][PANEL_MOST];
    int64_t n = p->dims[1], panel = p->panel, pairs = (p->dims[0] + 1) / 2;
    for (int64_t at = 0; at < n; at += panel) {
        int64_t width = n - at < panel ? n - at : panel;
        memset(rows, 0, sizeof rows);
        for (int64_t k = first; k < last; k += 2) {
            uint16_t *to = out + (at / panel * pairs + k / 2) * panel * 2;
            aigc_convert_run(dtype, data, k * n + at, width, AIGC_BF16, rows[0]);
            if (k + 1 < last) {
                aigc_convert_run(dtype, data, (k + 1) * n + at, width, AIGC_BF16, rows[1]);
            } else {
                memset(rows[1], 0, sizeof rows[1]);
            }
            for (int64_t r = 0; r < panel; r++) {
                to[2 * r] = rows[0][r];
                to[2 * r + 1] = rows[1][r];
            }
        }
    }
}

void aigc_pack_pairs(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                     int64_t last, void *out)
{
    (p->pack_transposed ? pack_depths : pack_columns)(p, dtype, data, first, last, out);
}
