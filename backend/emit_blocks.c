/* Single weights of block formats, read where no product does: rows of an embedding, mostly. */
#include "backend/emit.h"

typedef struct weight_place {
    LLVMValueRef v_scale, v_byte; /* offsets in bytes */
    LLVMValueRef v_high;          /* q4_0: the byte's upper nibble is meant */
} weight_place;

static LLVMValueRef int_op(emit *e, LLVMOpcode op, LLVMValueRef x, int64_t y)
{
    return LLVMBuildBinOp(e->b, op, x, emit_const_int(e, LLVMTypeOf(x), y), "");
}

static LLVMValueRef sum(emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(e->b, x, y, "");
}

/* Blocks as the file has them: the scale, then bytes (or pairs of nibbles, 16 apart). */
static weight_place in_rows(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    bool q4 = b->storage == IR_STORAGE_q4_0;
    LLVMValueRef v_in = int_op(e, LLVMAnd, v_offset, 31);
    LLVMValueRef v_block =
        int_op(e, LLVMMul, int_op(e, LLVMLShr, v_offset, 5), ir_storage_block_bytes(b->storage));
    LLVMValueRef v_byte = q4 ? int_op(e, LLVMAnd, v_in, 15) : v_in;
    return (weight_place){
        v_block, int_op(e, LLVMAdd, sum(e, v_block, v_byte), 2),
        LLVMBuildICmp(e->b, LLVMIntUGE, v_in, emit_const_int(e, LLVMTypeOf(v_in), 16), "")};
}

/* Blocks of 16 rows interleaved (runtime/pack_blocks.h): lines of 16 times 4 bytes, then the
 * scales. */
static weight_place in_panels(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    enum { LINE = 64 };
    bool q4 = b->storage == IR_STORAGE_q4_0;
    int64_t depth = ir_dim_value(b->type->dims[1]), lines = q4 ? 4 : 8;
    LLVMValueRef v_row = int_op(e, LLVMUDiv, v_offset, depth),
                 v_k = int_op(e, LLVMURem, v_offset, depth);
    LLVMValueRef v_block = sum(e, int_op(e, LLVMMul, int_op(e, LLVMLShr, v_row, 4), depth / 32),
                               int_op(e, LLVMLShr, v_k, 5));
    v_block = int_op(e, LLVMMul, v_block, b->panel * ir_storage_block_bytes(b->storage));
    LLVMValueRef v_column = int_op(e, LLVMAnd, v_row, 15), v_in = int_op(e, LLVMAnd, v_k, 31);
    LLVMValueRef v_byte = q4 ? int_op(e, LLVMAnd, v_in, 15) : v_in;
    LLVMValueRef v_line = int_op(e, LLVMMul, int_op(e, LLVMLShr, v_byte, 2), LINE);
    v_line = sum(e, v_line, int_op(e, LLVMMul, v_column, 4));
    v_line = sum(e, v_line, int_op(e, LLVMAnd, v_byte, 3));
    LLVMValueRef v_scale = int_op(e, LLVMAdd, int_op(e, LLVMMul, v_column, 2), lines * LINE);
    return (weight_place){
        sum(e, v_block, v_scale), sum(e, v_block, v_line),
        LLVMBuildICmp(e->b, LLVMIntUGE, v_in, emit_const_int(e, LLVMTypeOf(v_in), 16), "")};
}

static LLVMValueRef load_bytes(emit *e, const k_buf *b, LLVMTypeRef t, LLVMValueRef v_at)
{
    LLVMValueRef v_ptr = LLVMBuildGEP2(e->b, e->i8, e->v_bufs[b->id], &v_at, 1, "");
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, v_ptr, "");
    LLVMSetAlignment(v, 1);
    return v;
}

static LLVMValueRef lane_of(emit *e, LLVMValueRef v, uint32_t i)
{
    return emit_is_vector(v) ? LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, i, false), "")
                             : v;
}

static LLVMValueRef decode_one(emit *e, const k_buf *b, LLVMValueRef v_scale, LLVMValueRef v_byte,
                               LLVMValueRef v_high)
{
    LLVMValueRef v = load_bytes(e, b, e->i8, v_byte);
    if (b->storage == IR_STORAGE_q4_0) {
        LLVMValueRef v_shift =
            emit_select(e, v_high, LLVMConstInt(e->i8, 4, false), LLVMConstInt(e->i8, 0, false));
        v = int_op(e, LLVMAnd, LLVMBuildLShr(e->b, v, v_shift, ""), 15);
        v = int_op(e, LLVMSub, LLVMBuildZExt(e->b, v, e->i32, ""), 8);
    } else {
        v = b->panel ? int_op(e, LLVMXor, v, 0x80) : v;
        v = LLVMBuildSExt(e->b, v, e->i32, "");
    }
    LLVMValueRef v_s = LLVMBuildFPExt(e->b, load_bytes(e, b, e->f16, v_scale), e->f32, "");
    return LLVMBuildFMul(e->b, v_s, LLVMBuildSIToFP(e->b, v, e->f32, ""), "");
}

LLVMValueRef emit_decode(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    weight_place at = b->panel ? in_panels(e, b, v_offset) : in_rows(e, b, v_offset);
    if (!emit_is_vector(v_offset)) {
        return decode_one(e, b, at.v_scale, at.v_byte, at.v_high);
    }
    LLVMValueRef r = LLVMGetPoison(emit_vector(e, e->f32));
    for (uint32_t i = 0; i < e->lanes; i++) {
        LLVMValueRef v_scale = lane_of(e, at.v_scale, i), v_byte = lane_of(e, at.v_byte, i),
                     v_high = lane_of(e, at.v_high, i);
        LLVMValueRef v = decode_one(e, b, v_scale, v_byte, v_high);
        r = LLVMBuildInsertElement(e->b, r, v, LLVMConstInt(e->i32, i, false), "");
    }
    return r;
}

LLVMValueRef emit_decode_run(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    weight_place at = in_rows(e, b, v_offset);
    LLVMTypeRef i8s = emit_vector(e, e->i8), i32s = emit_vector(e, e->i32);
    LLVMValueRef v = load_bytes(e, b, i8s, at.v_byte);
    if (b->storage == IR_STORAGE_q4_0) {
        LLVMValueRef v_shift =
            emit_splat(e, emit_select(e, at.v_high, LLVMConstInt(e->i8, 4, false),
                                      LLVMConstInt(e->i8, 0, false)));
        v = int_op(e, LLVMAnd, LLVMBuildLShr(e->b, v, v_shift, ""), 15);
        v = int_op(e, LLVMSub, LLVMBuildZExt(e->b, v, i32s, ""), 8);
    } else {
        v = LLVMBuildSExt(e->b, v, i32s, "");
    }
    LLVMValueRef v_s = LLVMBuildFPExt(e->b, load_bytes(e, b, e->f16, at.v_scale), e->f32, "");
    return LLVMBuildFMul(e->b, emit_splat(e, v_s),
                         LLVMBuildSIToFP(e->b, v, emit_vector(e, e->f32), ""), "");
}
