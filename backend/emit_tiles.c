#include "backend/emit_tiles.h"

/* The instructions ----------------------------------------------------------------------------- */

static LLVMValueRef number(emit *e, uint32_t tile)
{
    return LLVMConstInt(e->i8, tile, false);
}

static void call(emit *e, const char *name, uint32_t n, LLVMValueRef *args)
{
    emit_intrinsic(e, name, 0, NULL, n, args);
}

/* What a tile holds of its 16 rows of 64 bytes. */
typedef struct shape {
    uint8_t rows, bytes;
} shape;

static shape shape_of(emit_tile_kind kind, uint32_t tile)
{
    if (kind == TILES_INT8 && tile >= TILE_COLUMNS_0) {
        return (shape){TILE_DEPTH / 4, TILE_BYTES};
    }
    if (kind == TILES_INT8 && tile >= TILE_ROWS_0) {
        return (shape){TILE_ROWS, TILE_DEPTH};
    }
    return (shape){TILE_ROWS, TILE_BYTES};
}

/* Palette 1 (Intel SDM, LDTILECFG). */
static LLVMValueRef configuration(emit *e, emit_tile_kind kind)
{
    enum { PALETTE = 0, COLUMN_BYTES = 16, ROWS = 48, SIZE = 64 };
    uint8_t bytes[SIZE] = {[PALETTE] = 1};
    LLVMValueRef all[SIZE];
    for (uint32_t i = 0; i < TILES; i++) {
        bytes[COLUMN_BYTES + 2 * i] = shape_of(kind, i).bytes;
        bytes[ROWS + i] = shape_of(kind, i).rows;
    }
    for (uint32_t i = 0; i < SIZE; i++) {
        all[i] = LLVMConstInt(e->i8, bytes[i], false);
    }
    LLVMValueRef v = LLVMConstArray2(e->i8, all, SIZE);
    LLVMValueRef v_config = LLVMAddGlobal(e->module, LLVMTypeOf(v), "tiles");
    LLVMSetInitializer(v_config, v);
    LLVMSetGlobalConstant(v_config, true);
    LLVMSetLinkage(v_config, LLVMPrivateLinkage);
    LLVMSetAlignment(v_config, SIZE);
    return v_config;
}

/* Emulation ------------------------------------------------------------------------------------ */

static LLVMValueRef file_row(emit_tiles *t, uint32_t tile, LLVMValueRef v_row)
{
    emit *e = t->e;
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_row, emit_i64(e, TILE_BYTES), "");
    v_at = LLVMBuildAdd(e->b, v_at, emit_i64(e, (int64_t)tile * TILE_ROWS * TILE_BYTES), "");
    return LLVMBuildGEP2(e->b, e->i8, t->v_file, &v_at, 1, "");
}

static LLVMTypeRef row_type(emit *e)
{
    return LLVMVectorType(e->f32, TILE_BYTES / 4);
}

static LLVMValueRef load_row(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, v_ptr, "");
    LLVMSetAlignment(v, 1);
    return v;
}

static void store_row(emit *e, LLVMValueRef v, LLVMValueRef v_ptr)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, v_ptr), 1);
}

/* Rows between memory and the file. v_stride NULL: zeros. */
static void move_rows(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride,
                      bool out)
{
    emit *e = t->e;
    shape s = shape_of(t->kind, tile);
    LLVMTypeRef row = LLVMVectorType(e->f32, s.bytes / 4);
    emit_loop l;
    emit_loop_begin(e, &l, "tile", emit_i64(e, 0), emit_i64(e, s.rows), emit_i64(e, 1), 0, NULL);
    LLVMValueRef v_here = file_row(t, tile, l.v_i);
    if (!v_stride) {
        store_row(e, LLVMConstNull(row), v_here);
    } else {
        LLVMValueRef v_at = LLVMBuildMul(e->b, l.v_i, v_stride, "");
        LLVMValueRef v_there = LLVMBuildGEP2(e->b, e->i8, v_ptr, &v_at, 1, "");
        store_row(e, load_row(e, row, out ? v_here : v_there), out ? v_there : v_here);
    }
    emit_loop_end(e, &l, NULL);
}

/* The halves of 16 pairs, as f32. */
static LLVMValueRef half(emit *e, LLVMValueRef v_pairs, bool second)
{
    LLVMTypeRef t = LLVMTypeOf(v_pairs);
    LLVMValueRef v = second ? LLVMBuildAnd(e->b, v_pairs, emit_const_int(e, t, -65536), "")
                            : LLVMBuildShl(e->b, v_pairs, emit_const_int(e, t, 16), "");
    return LLVMBuildBitCast(e->b, v, row_type(e), "");
}

/* Group k of a row of a, and of all columns of b. */
typedef struct factors {
    LLVMValueRef v_x, v_y; /* i32[16] */
} factors;

static factors factors_of(emit_tiles *t, uint32_t b, LLVMValueRef v_a, LLVMValueRef v_k)
{
    emit *e = t->e;
    LLVMTypeRef i32s = LLVMVectorType(e->i32, TILE_BYTES / 4);
    LLVMValueRef v_first = load_row(e, e->i32, LLVMBuildGEP2(e->b, e->i32, v_a, &v_k, 1, ""));
    LLVMValueRef v_x = LLVMBuildInsertElement(e->b, LLVMGetPoison(i32s), v_first,
                                              LLVMConstInt(e->i32, 0, false), "");
    v_x = LLVMBuildShuffleVector(e->b, v_x, LLVMGetPoison(i32s), LLVMConstNull(i32s), "");
    return (factors){v_x, load_row(e, i32s, file_row(t, b, v_k))};
}

/* First and second halves of all pairs are summed apart, then both are added at once (Intel's
 * instruction set reference, TDPBF16PS). */
static LLVMValueRef dot_bf16(emit_tiles *t, uint32_t b, LLVMValueRef v_a, LLVMValueRef v_sum)
{
    emit *e = t->e;
    LLVMValueRef v[2] = {LLVMConstNull(row_type(e)), LLVMConstNull(row_type(e))};
    emit_loop pair;
    emit_loop_begin(e, &pair, "pair", emit_i64(e, 0), emit_i64(e, TILE_PAIRS), emit_i64(e, 1), 2,
                    v);
    factors f = factors_of(t, b, v_a, pair.v_i);
    v[0] = emit_fma(e, half(e, f.v_x, false), half(e, f.v_y, false), pair.v_carry[0]);
    v[1] = emit_fma(e, half(e, f.v_x, true), half(e, f.v_y, true), pair.v_carry[1]);
    emit_loop_end(e, &pair, v);
    LLVMValueRef v_both = LLVMBuildFAdd(e->b, pair.v_carry[0], pair.v_carry[1], "");
    return LLVMBuildFAdd(e->b, v_sum, v_both, "");
}

static LLVMValueRef signed_byte(emit *e, LLVMValueRef v, uint32_t i)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    v = LLVMBuildShl(e->b, v, emit_const_int(e, t, 24 - 8 * (int64_t)i), "");
    return LLVMBuildAShr(e->b, v, emit_const_int(e, t, 24), "");
}

/* TDPBSSD */
static LLVMValueRef dot_int8(emit_tiles *t, uint32_t b, LLVMValueRef v_a, LLVMValueRef v_sum)
{
    emit *e = t->e;
    LLVMTypeRef i32s = LLVMVectorType(e->i32, TILE_BYTES / 4);
    LLVMValueRef v = LLVMBuildBitCast(e->b, v_sum, i32s, "");
    emit_loop four;
    emit_loop_begin(e, &four, "four", emit_i64(e, 0), emit_i64(e, TILE_DEPTH / 4), emit_i64(e, 1),
                    1, &v);
    factors f = factors_of(t, b, v_a, four.v_i);
    v = four.v_carry[0];
    for (uint32_t i = 0; i < 4; i++) {
        LLVMValueRef v_x = signed_byte(e, f.v_x, i), v_y = signed_byte(e, f.v_y, i);
        v = LLVMBuildAdd(e->b, v, LLVMBuildMul(e->b, v_x, v_y, ""), "");
    }
    emit_loop_end(e, &four, &v);
    return LLVMBuildBitCast(e->b, four.v_carry[0], row_type(e), "");
}

static const struct {
    const char *instruction;
    LLVMValueRef (*emulate)(emit_tiles *t, uint32_t b, LLVMValueRef v_a, LLVMValueRef v_sum);
} dots[] = {
    [TILES_BF16] = {"llvm.x86.tdpbf16ps", dot_bf16},
    [TILES_INT8] = {"llvm.x86.tdpbssd",   dot_int8},
};

static void emulate_dot(emit_tiles *t, uint32_t sum, uint32_t a, uint32_t b)
{
    emit *e = t->e;
    emit_loop row;
    emit_loop_begin(e, &row, "row", emit_i64(e, 0), emit_i64(e, TILE_ROWS), emit_i64(e, 1), 0,
                    NULL);
    LLVMValueRef v_at = file_row(t, sum, row.v_i);
    LLVMValueRef v_sum = load_row(e, row_type(e), v_at);
    store_row(e, dots[t->kind].emulate(t, b, file_row(t, a, row.v_i), v_sum), v_at);
    emit_loop_end(e, &row, NULL);
}

/* Either --------------------------------------------------------------------------------------- */

emit_tiles emit_tiles_begin(emit *e, emit_tile_kind kind)
{
    emit_tiles t = {e, kind, NULL};
    if (e->t->emulate_tiles) {
        t.v_file =
            LLVMBuildArrayAlloca(e->b, e->i8, emit_i64(e, TILES * TILE_ROWS * TILE_BYTES), "tiles");
        LLVMSetAlignment(t.v_file, TILE_BYTES);
        return t;
    }
    LLVMValueRef v_config = configuration(e, kind);
    call(e, "llvm.x86.ldtilecfg", 1, &v_config);
    return t;
}

void emit_tiles_end(emit_tiles *t)
{
    if (!t->v_file) {
        call(t->e, "llvm.x86.tilerelease", 0, NULL);
    }
}

void emit_tile_zero(emit_tiles *t, uint32_t tile)
{
    LLVMValueRef v = number(t->e, tile);
    if (t->v_file) {
        move_rows(t, tile, NULL, NULL, false);
    } else {
        call(t->e, "llvm.x86.tilezero", 1, &v);
    }
}

void emit_tile_load(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride)
{
    LLVMValueRef args[3] = {number(t->e, tile), v_ptr, v_stride};
    if (t->v_file) {
        move_rows(t, tile, v_ptr, v_stride, false);
    } else {
        call(t->e, "llvm.x86.tileloadd64", 3, args);
    }
}

void emit_tile_store(emit_tiles *t, uint32_t tile, LLVMValueRef v_ptr, LLVMValueRef v_stride)
{
    LLVMValueRef args[3] = {number(t->e, tile), v_ptr, v_stride};
    if (t->v_file) {
        move_rows(t, tile, v_ptr, v_stride, true);
    } else {
        call(t->e, "llvm.x86.tilestored64", 3, args);
    }
}

void emit_tile_dot(emit_tiles *t, uint32_t sum, uint32_t a, uint32_t b)
{
    LLVMValueRef args[3] = {number(t->e, sum), number(t->e, a), number(t->e, b)};
    if (t->v_file) {
        emulate_dot(t, sum, a, b);
    } else {
        call(t->e, dots[t->kind].instruction, 3, args);
    }
}
