/* How parameters lie in memory when kernels read them, and how they come to lie so.
 *
 * One row of the table a layout (of a storage). Packing goes by rows of the source, so that any
 * number of threads can share a tensor and its pages can be let go as they are used up:
 *
 *     aigc_pack_cut cut = aigc_pack_cut_of(p);
 *     aigc_pack_rows(p, dtype, data, first, last, out);   // first a multiple of cut.grain
 *
 * whatever the order of the calls; each row once. The source is row-major and dense, in the
 * parameter's storage or, for parameters of floats, in any storage of floats; q8_0 and q4_0 are
 * made from dense floats (quantize_blocks.h), other blocks are not. Padding is written too: `out`
 * needs no clearing. */
#ifndef AIGC_RUNTIME_PACK_H
#define AIGC_RUNTIME_PACK_H

#include "runtime/aigc.h"

typedef struct aigc_pack_cut {
    int64_t rows, row_elems; /* of the source */
    int64_t grain;           /* rows that go together */
} aigc_pack_cut;

/* A parameter as a matrix: its first axis, and all others as one. */
typedef struct aigc_pack_matrix {
    int64_t rows, columns;
} aigc_pack_matrix;
aigc_pack_matrix aigc_pack_matrix_of(const aigc_abi_param *p);

typedef struct aigc_pack_layout {
    const char *name; /* as in files and messages */
    uint8_t layout;   /* aigc_layout */
    bool blocks;      /* of block storages */
    /* Sizes of the memory's two axes, for layouts of two axes; the bytes follow from them. */
    bool (*filled)(const aigc_abi_param *p, int64_t dims[2]);
    aigc_pack_cut (*cut)(const aigc_abi_param *p);
    void (*pack)(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                 int64_t last, void *out);
} aigc_pack_layout;

/* NULL for a layout that is not known, or not possible for the parameter's storage and sizes. */
const aigc_pack_layout *aigc_pack_layout_of(const aigc_abi_param *p);
aigc_pack_cut aigc_pack_cut_of(const aigc_abi_param *p);
/* data: the whole tensor; out: the whole parameter, aigc_param_bytes of it. */
void aigc_pack_rows(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                    int64_t last, void *out);

/* Rows of the layouts that have files of their own. */
void aigc_pack_panels(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                      int64_t last, void *out);
/* Of a convolution's weights: all axes after the first two. */
int64_t aigc_pack_taps_of(const aigc_abi_param *p);
void aigc_pack_taps(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                    int64_t last, void *out);
void aigc_pack_pairs(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                     int64_t last, void *out);
void aigc_pack_interleaved(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                           int64_t last, void *out);

#endif
