/* Weights of block formats, read where no product of int8 does: rows of an embedding, and all of
 * storages that have no panels. */
#include "backend/emit.h"
#include "ir/block.h"

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

/* Blocks of 16 rows interleaved (runtime/pack_blocks.h): lines of 16 times 4 bytes, then the
 * scales. */
static weight_place in_panels(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    enum { LINE = 64 };
    bool q4 = b->storage == IR_STORAGE_q4_0;
    int64_t depth = ir_dim_value(b->type->dims[b->pack_transposed ? 0 : 1]), lines = q4 ? 4 : 8;
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

/* Blocks as the file has them -------------------------------------------------------------------
 */

static LLVMValueRef in_i32(emit *e, LLVMValueRef v, bool vector)
{
    v = LLVMBuildTrunc(e->b, v, e->i32, "");
    return vector ? emit_splat(e, v) : v;
}

/* v / run % turns and the like: y is known, and often 1. */
static LLVMValueRef div_mod(emit *e, LLVMValueRef v, int64_t div, int64_t mod)
{
    v = div == 1 ? v : int_op(e, LLVMUDiv, v, div);
    return mod == 1 ? emit_i64(e, 0) : int_op(e, LLVMURem, v, mod);
}

static LLVMValueRef plus_times(emit *e, LLVMValueRef v, LLVMValueRef v_x, int64_t y)
{
    return y == 0 || LLVMIsNull(v_x) ? v : sum(e, v, y == 1 ? v_x : int_op(e, LLVMMul, v_x, y));
}

/* Piece v_i (i64) of the block that begins at byte v_block: i32. run: and those of the next lanes,
 * which lie in bytes side by side or, one bit each, in one word. */
static LLVMValueRef piece(emit *e, const k_buf *b, ir_block_bits p, LLVMValueRef v_block,
                          LLVMValueRef v_i, bool run)
{
    LLVMTypeRef i32s = run ? emit_vector(e, e->i32) : e->i32;
    LLVMValueRef v, v_shift;
    if (run && p.run < e->lanes) {
        v = emit_splat(e, load_bytes(e, b, e->i32, int_op(e, LLVMAdd, v_block, p.at)));
        v_shift = sum(e, in_i32(e, v_i, true), emit_iota(e, e->i32));
    } else {
        LLVMValueRef v_turn = div_mod(e, v_i, p.run, p.turns);
        LLVMValueRef v_byte =
            sum(e, int_op(e, LLVMAdd, v_block, p.at), int_op(e, LLVMURem, v_i, p.run));
        v_byte = plus_times(e, v_byte, v_turn, p.byte_step);
        v_byte = p.span ? plus_times(e, v_byte, int_op(e, LLVMUDiv, v_i, p.run * p.turns), p.span)
                        : v_byte;
        v = load_bytes(e, b, run ? emit_vector(e, e->i8) : e->i8, v_byte);
        v = LLVMBuildZExt(e->b, v, i32s, "");
        v_shift = plus_times(e, emit_i64(e, p.shift), v_turn, p.shift_step);
        v_shift = in_i32(e, v_shift, run);
    }
    v = LLVMIsNull(v_shift) ? v : LLVMBuildLShr(e->b, v, v_shift, "");
    return p.width == 8 ? v : int_op(e, LLVMAnd, v, (1 << p.width) - 1);
}

/* One of the small whole numbers of a block (with run, as many as there are lanes), as f32. */
static LLVMValueRef number(emit *e, const k_buf *b, const ir_block_numbers *n, LLVMValueRef v_block,
                           LLVMValueRef v_i, bool run)
{
    LLVMTypeRef i8s = run ? emit_vector(e, e->i8) : e->i8,
                i32s = run ? emit_vector(e, e->i32) : e->i32,
                f32s = run ? emit_vector(e, e->f32) : e->f32;
    LLVMValueRef v = piece(e, b, n->low, v_block, v_i, run);
    if (n->high.width) {
        LLVMValueRef v_high = piece(e, b, n->high, v_block, v_i, run);
        v = LLVMBuildOr(e->b, v, int_op(e, LLVMShl, v_high, n->low.width), "");
    }
    if (n->is_signed) {
        v = LLVMBuildSExt(e->b, LLVMBuildTrunc(e->b, v, i8s, ""), i32s, "");
    }
    v = n->zero ? int_op(e, LLVMSub, v, n->zero) : v;
    return LLVMBuildSIToFP(e->b, v, f32s, "");
}

static LLVMValueRef half_at(emit *e, const k_buf *b, LLVMValueRef v_block, int64_t at)
{
    LLVMValueRef v = load_bytes(e, b, e->f16, int_op(e, LLVMAdd, v_block, at));
    return LLVMBuildFPExt(e->b, v, e->f32, "");
}

/* The weight at v_offset, a scalar; with run, and those of the next lanes. block.h has the formula.
 */
static LLVMValueRef decode_in_row(emit *e, const k_buf *b, LLVMValueRef v_offset, bool run)
{
    const ir_block *l = ir_block_of(b->storage);
    int64_t block = ir_storage_block(b->storage);
    LLVMValueRef v_block = int_op(e, LLVMUDiv, v_offset, block),
                 v_i = int_op(e, LLVMURem, v_offset, block), v_group = NULL;
    v_block = int_op(e, LLVMMul, v_block, ir_storage_block_bytes(b->storage));
    LLVMValueRef v_scale = half_at(e, b, v_block, l->d_at);
    if (l->group) {
        v_group = int_op(e, LLVMUDiv, v_i, l->group);
        LLVMValueRef v_s = number(e, b, &l->scales, v_block, v_group, false);
        v_scale = LLVMBuildFMul(e->b, v_scale, v_s, "");
    }
    LLVMValueRef v_q = number(e, b, &l->q, v_block, v_i, run);
    LLVMValueRef v = LLVMBuildFMul(e->b, run ? emit_splat(e, v_scale) : v_scale, v_q, "");
    if (l->m_at == IR_BLOCK_NO_MIN) {
        return v;
    }
    LLVMValueRef v_m = half_at(e, b, v_block, l->m_at);
    if (l->group) {
        LLVMValueRef v_min = number(e, b, &l->mins, v_block, v_group, false);
        v_m = LLVMBuildFNeg(e->b, LLVMBuildFMul(e->b, v_m, v_min, ""), "");
    }
    return LLVMBuildFAdd(e->b, v, run ? emit_splat(e, v_m) : v_m, "");
}

static LLVMValueRef decode_lane(emit *e, const k_buf *b, const weight_place *at,
                                LLVMValueRef v_offset, uint32_t i)
{
    if (!b->panel) {
        return decode_in_row(e, b, lane_of(e, v_offset, i), false);
    }
    LLVMValueRef v_scale = lane_of(e, at->v_scale, i), v_byte = lane_of(e, at->v_byte, i),
                 v_high = lane_of(e, at->v_high, i);
    return decode_one(e, b, v_scale, v_byte, v_high);
}

LLVMValueRef emit_decode(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    weight_place at = b->panel ? in_panels(e, b, v_offset) : (weight_place){0};
    if (!emit_is_vector(v_offset)) {
        return decode_lane(e, b, &at, v_offset, 0);
    }
    LLVMValueRef r = LLVMGetPoison(emit_vector(e, e->f32));
    for (uint32_t i = 0; i < e->lanes; i++) {
        LLVMValueRef v = decode_lane(e, b, &at, v_offset, i);
        r = LLVMBuildInsertElement(e->b, r, v, LLVMConstInt(e->i32, i, false), "");
    }
    return r;
}

LLVMValueRef emit_decode_run(emit *e, const k_buf *b, LLVMValueRef v_offset)
{
    return decode_in_row(e, b, v_offset, true);
}
