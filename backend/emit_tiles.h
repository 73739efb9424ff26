/* Tile registers (AMX): eight of 16 rows of 64 bytes, multiplied as [16, 32] by [32, 16] of bf16 into
 * [16, 16] of f32. Between begin and end the kernel may use them.
 *
 * With target.emulate_tiles the same operations are plain loops over a file of tiles in memory:
 * addresses and shapes are then tested on machines without AMX. */
#ifndef AIGC_BACKEND_EMIT_TILES_H
#define AIGC_BACKEND_EMIT_TILES_H

#include "backend/emit.h"

enum { TILE_ROWS = 16, TILE_BYTES = 64, TILE_PAIRS = 16, TILE_DEPTH = 32, TILES = 8 };

typedef struct emit_tiles {
    emit *e;
    LLVMValueRef v_file; /* i8[TILES][TILE_ROWS][TILE_BYTES] when they are emulated; or NULL */
} emit_tiles;

emit_tiles emit_tiles_begin(emit *e);
void emit_tiles_end(emit_tiles *t);

/* Tiles are named by number. Rows in memory are v_stride (i64) bytes apart. */
void emit_tile_zero(emit_tiles *t, uint32_t tile);
void emit_tile_load(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride);
void emit_tile_store(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride);
/* sum[m][n] += the products of pair k of row m of a and of column n of row k of b, for all k. */
void emit_tile_dot(emit_tiles *t, uint32_t sum, uint32_t a, uint32_t b);

#endif
