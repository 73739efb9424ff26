/* [ceil(N / panel)][K][panel] of elements of 2 or 4 bytes. */
#include "runtime/convert.h"
#include "runtime/pack.h"

enum { DEPTH = 64, PANEL_MOST = 256 };

typedef struct matrix { /* rows of elements of `bytes`, `stride` bytes apart; any alignment */
    const char *at;
    int64_t stride, bytes;
} matrix;

typedef uint32_t four __attribute__((vector_size(16)));

static void turn_four(const char *x, int64_t stride, char *y, int64_t out_stride)
{
    four a, b, c, d;
    memcpy(&a, x, sizeof a);
    memcpy(&b, x + stride, sizeof b);
    memcpy(&c, x + 2 * stride, sizeof c);
    memcpy(&d, x + 3 * stride, sizeof d);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
         cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four ef = __builtin_shufflevector(a, b, 2, 6, 3, 7),
         gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    four turned[4] = {
        __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
        __builtin_shufflevector(ef, gh, 0, 1, 4, 5), __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
    for (int i = 0; i < 4; i++) {
        memcpy(y + i * out_stride, &turned[i], sizeof turned[i]);
    }
}

typedef uint16_t eight __attribute__((vector_size(16)));

/* Four rows of eight elements of 2 bytes: eight rows of four. */
static void turn_eight(const char *x, int64_t stride, char *y, int64_t out_stride)
{
    eight a, b, c, d;
    memcpy(&a, x, sizeof a);
    memcpy(&b, x + stride, sizeof b);
    memcpy(&c, x + 2 * stride, sizeof c);
    memcpy(&d, x + 3 * stride, sizeof d);
    four ab[2] = {(four)__builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11),
                  (four)__builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)};
    four cd[2] = {(four)__builtin_shufflevector(c, d, 0, 8, 1, 9, 2, 10, 3, 11),
                  (four)__builtin_shufflevector(c, d, 4, 12, 5, 13, 6, 14, 7, 15)};
    for (int i = 0; i < 2; i++, y += 4 * out_stride) {
        four turned[2] = {__builtin_shufflevector(ab[i], cd[i], 0, 4, 1, 5),
                          __builtin_shufflevector(ab[i], cd[i], 2, 6, 3, 7)};
        for (int k = 0; k < 4; k++) {
            memcpy(y + k * out_stride, (const char *)&turned[k / 2] + k % 2 * 8, 8);
        }
    }
}

/* out[k][r] = from[r][k]; rows of out are `panel` columns. Four rows at a time: a file's rows may
 * be powers of two apart, and more of them would push each other out of the first cache. */
static void turn(matrix from, int64_t rows, int64_t depth, int64_t panel, char *out)
{
    int64_t bytes = from.bytes, out_stride = panel * bytes;
    for (int64_t r = 0; r < rows; r += 4) {
        const char *x = from.at + r * from.stride;
        char *y = out + r * bytes;
        int64_t height = rows - r < 4 ? rows - r : 4, k = 0;
        for (; bytes == 4 && height == 4 && k + 4 <= depth; k += 4) {
            turn_four(x + 4 * k, from.stride, y + k * out_stride, out_stride);
        }
        for (; bytes == 2 && height == 4 && k + 8 <= depth; k += 8) {
            turn_eight(x + 2 * k, from.stride, y + k * out_stride, out_stride);
        }
        for (; k < depth; k++) {
            for (int64_t i = 0; i < height; i++) {
                memcpy(y + k * out_stride + i * bytes, x + i * from.stride + k * bytes,
                       bytes == 4 ? 4 : 2);
            }
        }
    }
}

/* Source [N][K]: whole panels. */
static void pack_columns(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                         int64_t last, char *out)
{
    uint32_t block[PANEL_MOST * DEPTH];
    int64_t k = aigc_pack_matrix_of(p).columns, panel = p->panel, bytes = (int64_t)aigc_dtype_bytes(p->storage);
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
    int64_t n = aigc_pack_matrix_of(p).columns, depth = p->dims[0], panel = p->panel,
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
