/* Tile registers (AMX): eight of 16 rows of 64 bytes. Between begin and end the kernel may use
 * them, for products of one kind:
 *
 *     bf16    [16, 32] by [32, 16] of bf16, pairs along k side by side, into [16, 16] of f32
 *     int8    [16, 32] by [32, 16] of i8, four along k side by side, into [16, 16] of i32
 *
 * Of int8 a tile of rows is 32 bytes wide, and one of columns 8 rows high: half of what there is,
 * as blocks of 32 have scales of their own.
 *
 * With target.emulate_tiles the same operations are plain loops over a file of tiles in memory:
 * addresses and shapes are then tested on machines without AMX. */
#ifndef AIGC_BACKEND_EMIT_TILES_H
#define AIGC_BACKEND_EMIT_TILES_H

#include "backend/emit.h"

enum { TILE_ROWS = 16, TILE_BYTES = 64, TILE_PAIRS = 16, TILE_DEPTH = 32, TILES = 8 };
enum { TILE_SUM_0 = 0, TILE_ROWS_0 = 4, TILE_COLUMNS_0 = 6 };

typedef enum emit_tile_kind { TILES_BF16, TILES_INT8 } emit_tile_kind;

typedef struct emit_tiles {
    emit *e;
    emit_tile_kind kind;
    LLVMValueRef v_file; /* i8[TILES][TILE_ROWS][TILE_BYTES] when they are emulated; or NULL */
} emit_tiles;

emit_tiles emit_tiles_begin(emit *e, emit_tile_kind kind);
void emit_tiles_end(emit_tiles *t);

/* Tiles are named by number: sums are 0 to 3, rows 4 and 5, columns 6 and 7. Rows in memory are
 * v_stride (i64) bytes apart. */
void emit_tile_zero(emit_tiles *t, uint32_t tile);
void emit_tile_load(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride);
void emit_tile_store(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride);
/* sum[m][n] += the products of group k of row m of a and of column n of row k of b, for all k. */
void emit_tile_dot(emit_tiles *t, uint32_t sum, uint32_t a, uint32_t b);

#endif
