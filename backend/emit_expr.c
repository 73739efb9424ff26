/* Expressions of the kernel IR: scalars, or vectors along the lane axis. */
#include "backend/emit.h"
#include "runtime/abi.h"

#include <string.h>

bool emit_uses_lane(emit *e, const k_expr *x)
{
    if (!e->lane_axis || e->scalar_mode) {
        return false;
    }
    if (x->kind == K_AXIS) {
        return x->axis == e->lane_axis;
    }
    if (x->kind == K_REDUCED) {
        return e->reduced[x->reduced].vector;
    }
    if (x->kind == K_HOLE) {
        return e->hole_vector;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        if (emit_uses_lane(e, x->args[i])) {
            return true;
        }
    }
    return x->guard && emit_uses_lane(e, x->guard);
}

/* Conversions -------------------------------------------------------------------------------------
 */

static LLVMTypeRef like(emit *e, LLVMValueRef v, LLVMTypeRef element)
{
    return emit_is_vector(v) ? emit_vector(e, element) : element;
}

/* bf16 is the upper half of f32. Its conversions are integer arithmetic: those of x86 flush
 * denormals, and LLVM moves operations of f32 to bf16 across its own. */
static LLVMValueRef f32_of_bf16(emit *e, LLVMValueRef v)
{
    LLVMTypeRef t = like(e, v, e->i32);
    LLVMValueRef v_wide =
        LLVMBuildShl(e->b, LLVMBuildZExt(e->b, v, t, ""), emit_const_int(e, t, 16), "");
    return LLVMBuildBitCast(e->b, v_wide, like(e, v, e->f32), "");
}

/* To the nearest, ties to even: half of what is lost is added, less one where the last bit that
 * stays is 0. A nan stays one. */
static LLVMValueRef bf16_of_f32(emit *e, LLVMValueRef v)
{
    LLVMTypeRef t = like(e, v, e->i32);
    LLVMValueRef v_nan = LLVMBuildFCmp(e->b, LLVMRealUNO, v, v, ""),
                 v_bits = LLVMBuildBitCast(e->b, v, t, "");
    LLVMValueRef v_last =
        LLVMBuildAnd(e->b, LLVMBuildLShr(e->b, v_bits, emit_const_int(e, t, 16), ""),
                     emit_const_int(e, t, 1), "");
    LLVMValueRef v_half = LLVMBuildAdd(e->b, v_last, emit_const_int(e, t, 0x7fff), "");
    LLVMValueRef v_quiet = LLVMBuildOr(e->b, v_bits, emit_const_int(e, t, 0x400000), "");
    LLVMValueRef v_kept = emit_select(e, v_nan, v_quiet, LLVMBuildAdd(e->b, v_bits, v_half, ""));
    return LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, v_kept, emit_const_int(e, t, 16), ""),
                          like(e, v, e->i16), "");
}

/* An f32 as f16 or bf16 would keep it. */
static LLVMValueRef rounded_to(emit *e, LLVMValueRef v, ir_dtype t)
{
    if (t == IR_bf16) {
        return f32_of_bf16(e, bf16_of_f32(e, v));
    }
    return t == IR_f16 ? LLVMBuildFPExt(e->b, LLVMBuildFPTrunc(e->b, v, like(e, v, e->f16), ""),
                                        like(e, v, e->f32), "")
                       : v;
}

LLVMValueRef emit_convert(emit *e, LLVMValueRef v, ir_dtype from, ir_dtype to)
{
    LLVMTypeRef t = like(e, v, emit_type(e, to));
    bool from_float = ir_dtype_is_float(from), to_float = ir_dtype_is_float(to);
    if (to == IR_bool) {
        LLVMValueRef v_zero = LLVMConstNull(LLVMTypeOf(v));
        return from == IR_bool ? v
               : from_float    ? LLVMBuildFCmp(e->b, LLVMRealUNE, v, v_zero, "")
                               : LLVMBuildICmp(e->b, LLVMIntNE, v, v_zero, "");
    }
    if (from_float && to_float) {
        v = from == IR_f64 && to != IR_f64   ? LLVMBuildFPTrunc(e->b, v, t, "")
            : from != IR_f64 && to == IR_f64 ? LLVMBuildFPExt(e->b, v, t, "")
                                             : v;
        return rounded_to(e, v, to);
    }
    if (from_float) { /* towards zero; nan is 0; out of range saturates */
        LLVMTypeRef types[2] = {t, LLVMTypeOf(v)};
        return emit_intrinsic(e, to == IR_u8 ? "llvm.fptoui.sat" : "llvm.fptosi.sat", 2, types, 1,
                              &v);
    }
    bool is_unsigned = from == IR_bool || from == IR_u8;
    if (to_float) {
        v = is_unsigned ? LLVMBuildUIToFP(e->b, v, t, "") : LLVMBuildSIToFP(e->b, v, t, "");
        return rounded_to(e, v, to);
    }
    unsigned a = LLVMGetIntTypeWidth(emit_type(e, from)), b = LLVMGetIntTypeWidth(emit_type(e, to));
    return a > b         ? LLVMBuildTrunc(e->b, v, t, "")
           : a == b      ? v
           : is_unsigned ? LLVMBuildZExt(e->b, v, t, "")
                         : LLVMBuildSExt(e->b, v, t, "");
}

/* What lies in memory, as it is computed with. */
static LLVMValueRef from_memory(emit *e, LLVMValueRef v, ir_dtype t)
{
    if (t == IR_bf16) {
        return f32_of_bf16(e, v);
    }
    if (t == IR_f16) {
        return LLVMBuildFPExt(e->b, v, like(e, v, e->f32), "");
    }
    return t == IR_bool ? LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "") : v;
}

static LLVMValueRef to_memory(emit *e, LLVMValueRef v, ir_dtype t)
{
    if (t == IR_bf16) {
        return bf16_of_f32(e, v);
    }
    if (t == IR_f16) {
        return LLVMBuildFPTrunc(e->b, v, like(e, v, e->f16), "");
    }
    return t == IR_bool ? LLVMBuildZExt(e->b, v, like(e, v, e->i8), "") : v;
}

/* Loads -------------------------------------------------------------------------------------------
 */

static LLVMValueRef element_ptr(emit *e, const k_buf *b, LLVMTypeRef t, LLVMValueRef v_offset)
{
    return LLVMBuildGEP2(e->b, t, e->v_bufs[b->id], &v_offset, 1, "");
}

static LLVMValueRef load(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr, unsigned align)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, v_ptr, "");
    LLVMSetAlignment(v, align);
    return v;
}

/* Is the value a multiple of m at the first lane of every vector, whatever the axes? */
static bool multiple_of(const emit *e, const k_expr *x, int64_t m)
{
    if (x->kind == K_CONST_I) {
        return x->i % m == 0;
    }
    if (x->kind == K_AXIS) {
        return x->axis == e->lane_axis && e->lanes % (uint64_t)m == 0;
    }
    if (x->kind == K_OP && (x->op == IR_OP_add || x->op == IR_OP_sub)) {
        return multiple_of(e, x->args[0], m) && multiple_of(e, x->args[1], m);
    }
    if (x->kind == K_OP && x->op == IR_OP_mul) {
        return multiple_of(e, x->args[0], m) || multiple_of(e, x->args[1], m);
    }
    return false;
}

/* Are the lanes of a load from panels side by side? Panels are whole vectors, so they are where a
 * vector begins at a multiple of the lanes. */
static bool within_panel(const emit *e, const k_expr *x)
{
    const ir_dim *stride;
    return k_buf_in_panels(x->buf) && x->buf->panel % e->lanes == 0 && e->lanes_aligned &&
           k_affine(e->c, e->a, x->args[1], e->lane_axis, &stride) && ir_dim_is_one(stride) &&
           multiple_of(e, x->args[1], e->lanes);
}

static LLVMValueRef load_scalar(emit *e, const k_expr *x, LLVMValueRef v_guard)
{
    const k_buf *b = x->buf;
    LLVMValueRef v_offset = emit_scalar(e, x->args[0]);
    if (v_guard) { /* look elsewhere when it is not to be touched */
        v_offset = emit_select(e, v_guard, v_offset, emit_i64(e, 0));
    }
    if (!ir_storage_is_dense(b->storage)) {
        return emit_decode(e, b, v_offset);
    }
    ir_dtype stored = ir_storage_dtype(b->storage);
    LLVMTypeRef t = emit_memory_type(e, stored);
    LLVMValueRef v_ptr = element_ptr(e, b, t, v_offset);
    if (v_guard) {
        v_ptr = emit_select(e, v_guard, v_ptr, e->v_zeros);
    }
    LLVMValueRef v = from_memory(e, load(e, t, v_ptr, (unsigned)ir_dtype_bytes(stored)), stored);
    return stored == b->dtype ? v : emit_convert(e, v, stored, b->dtype);
}

static LLVMValueRef lane_mask(emit *e, LLVMValueRef v_guard)
{
    LLVMValueRef v_mask = e->v_mask;
    if (v_guard) {
        LLVMValueRef v_all = emit_splat(e, v_guard);
        v_mask = v_mask ? LLVMBuildAnd(e->b, v_mask, v_all, "") : v_all;
    }
    return v_mask;
}

/* Every other element from a place on is reached by two vectors, whose lanes between are not
 * touched: lane i of all lies in lane 2 i of the two together. */
static LLVMValueRef spread_half(emit *e, LLVMValueRef v, uint32_t half)
{
    return emit_interleave(e, v, LLVMConstNull(LLVMTypeOf(v)), half * e->lanes / 2);
}

static LLVMValueRef half_ptr(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr, uint32_t half)
{
    LLVMValueRef v_at = emit_i64(e, half * e->lanes);
    return LLVMBuildGEP2(e->b, t, v_ptr, &v_at, 1, "");
}

static LLVMValueRef all_lanes(emit *e, LLVMValueRef v_mask)
{
    return v_mask ? v_mask : LLVMConstAllOnes(emit_vector(e, e->i1));
}

/* whole: the lanes between, and the one after the last, may be touched. */
static LLVMValueRef load_pairs(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr, LLVMValueRef v_mask,
                               unsigned bytes, bool whole)
{
    LLVMTypeRef vt = emit_vector(e, t), types[2] = {vt, e->ptr};
    LLVMValueRef v[2];
    for (uint32_t half = 0; half < 2; half++) {
        if (whole) {
            v[half] = load(e, vt, half_ptr(e, t, v_ptr, half), bytes);
            continue;
        }
        LLVMValueRef v_half = spread_half(e, all_lanes(e, v_mask), half);
        LLVMValueRef args[4] = {half_ptr(e, t, v_ptr, half), LLVMConstInt(e->i32, bytes, false),
                                v_half, LLVMConstNull(vt)};
        v[half] = emit_intrinsic(e, "llvm.masked.load", 2, types, 4, args);
    }
    return emit_pick(e, v[0], v[1], 0, 2);
}

/* Lanes side by side, those under the mask or all. */
static void store_vector(emit *e, LLVMValueRef v, LLVMValueRef v_ptr, LLVMValueRef v_mask,
                         unsigned bytes)
{
    if (!v_mask) {
        LLVMSetAlignment(LLVMBuildStore(e->b, v, v_ptr), bytes);
        return;
    }
    LLVMTypeRef types[2] = {LLVMTypeOf(v), e->ptr};
    LLVMValueRef args[4] = {v, v_ptr, LLVMConstInt(e->i32, bytes, false), v_mask};
    emit_intrinsic(e, "llvm.masked.store", 2, types, 4, args);
}

static void store_pairs(emit *e, LLVMTypeRef t, LLVMValueRef v, LLVMValueRef v_ptr, unsigned bytes)
{
    for (uint32_t half = 0; half < 2; half++) {
        LLVMValueRef v_spread = spread_half(e, v, half),
                     v_half = spread_half(e, all_lanes(e, e->v_mask), half);
        store_vector(e, v_spread, half_ptr(e, t, v_ptr, half), v_half, bytes);
    }
}

static LLVMValueRef load_lanes(emit *e, const k_expr *x, LLVMValueRef v_guard)
{
    const k_buf *b = x->buf;
    const ir_dim *stride;
    bool affine = k_affine(e->c, e->a, x->args[0], e->lane_axis, &stride);
    bool side_by_side = affine && ir_dim_is_one(stride);
    LLVMValueRef v_mask = lane_mask(e, v_guard);
    if (!ir_storage_is_dense(b->storage)) {
        if (side_by_side && !v_mask && !b->panel && e->lanes <= 16 && e->lanes_aligned &&
            multiple_of(e, x->args[0], e->lanes)) {
            return emit_decode_run(e, b, emit_scalar(e, x->args[0]));
        }
        LLVMValueRef v_offsets = emit_lanes(e, x->args[0]);
        if (v_mask) {
            v_offsets = emit_select(e, v_mask, v_offsets, LLVMConstNull(LLVMTypeOf(v_offsets)));
        }
        return emit_decode(e, b, v_offsets);
    }
    ir_dtype stored = ir_storage_dtype(b->storage);
    LLVMTypeRef t = emit_memory_type(e, stored), vt = emit_vector(e, t);
    unsigned bytes = (unsigned)ir_dtype_bytes(stored);
    LLVMValueRef v;
    if (side_by_side || within_panel(e, x)) { /* beyond N a panel holds zeros */
        LLVMValueRef v_ptr = element_ptr(e, b, t, emit_scalar(e, x->args[0]));
        if (v_mask) {
            LLVMTypeRef types[2] = {vt, e->ptr};
            LLVMValueRef args[4] = {v_ptr, LLVMConstInt(e->i32, bytes, false), v_mask,
                                    LLVMConstNull(vt)};
            v = emit_intrinsic(e, "llvm.masked.load", 2, types, 4, args);
        } else {
            v = load(e, vt, v_ptr, bytes);
        }
    } else if (affine && ir_dim_is_value(stride, 2)) {
        LLVMValueRef v_ptr = element_ptr(e, b, t, emit_scalar(e, x->args[0]));
        v = load_pairs(e, t, v_ptr, v_mask, bytes, b->id == e->k->n_bufs && !v_mask);
    } else {
        LLVMValueRef v_offsets = emit_lanes(e, x->args[0]);
        LLVMValueRef v_ptrs = LLVMBuildGEP2(e->b, t, e->v_bufs[b->id], &v_offsets, 1, "");
        LLVMTypeRef types[2] = {vt, emit_vector(e, e->ptr)};
        LLVMValueRef v_all = all_lanes(e, v_mask);
        LLVMValueRef args[4] = {v_ptrs, LLVMConstInt(e->i32, bytes, false), v_all,
                                LLVMConstNull(vt)};
        v = emit_intrinsic(e, "llvm.masked.gather", 2, types, 4, args);
    }
    v = from_memory(e, v, stored);
    return stored == b->dtype ? v : emit_convert(e, v, stored, b->dtype);
}

static emit_value emit_load(emit *e, const k_expr *x, bool vector)
{
    LLVMValueRef v_guard = x->guard ? emit_expr(e, x->guard).v : NULL;
    return (emit_value){vector ? load_lanes(e, x, v_guard) : load_scalar(e, x, v_guard), vector};
}

void emit_store(emit *e, const k_buf *b, const k_expr *offset, emit_value value, bool add)
{
    LLVMTypeRef t = emit_memory_type(e, b->dtype);
    unsigned bytes = (unsigned)ir_dtype_bytes(b->dtype);
    bool vector = value.vector || emit_uses_lane(e, offset);
    LLVMValueRef v = emit_as(e, value, vector);
    if (!vector) {
        LLVMValueRef v_ptr = element_ptr(e, b, t, emit_scalar(e, offset));
        if (add) {
            LLVMValueRef v_old = from_memory(e, load(e, t, v_ptr, bytes), b->dtype);
            v = emit_math(e, IR_OP_add, b->dtype, v_old, v);
        }
        LLVMSetAlignment(LLVMBuildStore(e->b, to_memory(e, v, b->dtype), v_ptr), bytes);
        return;
    }
    v = to_memory(e, v, b->dtype);
    const ir_dim *stride;
    bool affine = k_affine(e->c, e->a, offset, e->lane_axis, &stride);
    LLVMTypeRef vt = LLVMTypeOf(v);
    LLVMValueRef v_all = all_lanes(e, e->v_mask);
    if (affine && ir_dim_is_one(stride)) {
        store_vector(e, v, element_ptr(e, b, t, emit_scalar(e, offset)), e->v_mask, bytes);
        return;
    }
    /* Without registers of masks, a masked store costs more than its elements one by one. */
    if (affine && ir_dim_is_value(stride, 2) && target_has(e->t, AIGC_CPU_AVX512)) {
        store_pairs(e, t, v, element_ptr(e, b, t, emit_scalar(e, offset)), bytes);
        return;
    }
    LLVMValueRef v_offsets = emit_lanes(e, offset);
    LLVMValueRef v_ptrs = LLVMBuildGEP2(e->b, t, e->v_bufs[b->id], &v_offsets, 1, "");
    LLVMTypeRef types[2] = {vt, LLVMTypeOf(v_ptrs)};
    LLVMValueRef args[4] = {v, v_ptrs, LLVMConstInt(e->i32, bytes, false), v_all};
    emit_intrinsic(e, "llvm.masked.scatter", 2, types, 4, args);
}

void emit_store_pair(emit *e, const k_buf *b, const k_expr *const *offsets, const emit_value *v)
{
    const ir_dim *stride;
    bool stores = !e->v_mask || target_has(e->t, AIGC_CPU_AVX512); /* see emit_store */
    bool together = v[0].vector && v[1].vector && stores &&
                    k_affine(e->c, e->a, offsets[0], e->lane_axis, &stride) &&
                    ir_dim_is_value(stride, 2);
    if (!together) {
        emit_store(e, b, offsets[0], v[0], false);
        emit_store(e, b, offsets[1], v[1], false);
        return;
    }
    LLVMTypeRef t = emit_memory_type(e, b->dtype);
    LLVMValueRef v_first = to_memory(e, v[0].v, b->dtype),
                 v_second = to_memory(e, v[1].v, b->dtype);
    LLVMValueRef v_ptr = element_ptr(e, b, t, emit_scalar(e, offsets[0]));
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t first = half * e->lanes / 2;
        LLVMValueRef v_both = emit_interleave(e, v_first, v_second, first);
        LLVMValueRef v_mask = e->v_mask ? emit_interleave(e, e->v_mask, e->v_mask, first) : NULL;
        store_vector(e, v_both, half_ptr(e, t, v_ptr, half), v_mask,
                     (unsigned)ir_dtype_bytes(b->dtype));
    }
}

/* Draws: Philox4x32-10 (Salmon et al., SC 2011); the layout of key and counter is in
 * runtime/philox.h. */

static void philox_mul(emit *e, LLVMValueRef x, uint32_t m, LLVMValueRef *lo, LLVMValueRef *hi)
{
    LLVMTypeRef wide = like(e, x, e->i64);
    LLVMValueRef v =
        LLVMBuildMul(e->b, LLVMBuildZExt(e->b, x, wide, ""), emit_const_int(e, wide, m), "");
    *lo = LLVMBuildTrunc(e->b, v, LLVMTypeOf(x), "");
    *hi = LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, v, emit_const_int(e, wide, 32), ""),
                         LLVMTypeOf(x), "");
}

static void philox(emit *e, LLVMValueRef c[4], LLVMValueRef k0, LLVMValueRef k1)
{
    for (int round = 0; round < 10; round++) {
        LLVMValueRef l0, h0, l1, h1;
        philox_mul(e, c[0], 0xD2511F53u, &l0, &h0);
        philox_mul(e, c[2], 0xCD9E8D57u, &l1, &h1);
        LLVMValueRef n0 = LLVMBuildXor(e->b, LLVMBuildXor(e->b, h1, c[1], ""), k0, "");
        LLVMValueRef n2 = LLVMBuildXor(e->b, LLVMBuildXor(e->b, h0, c[3], ""), k1, "");
        c[0] = n0;
        c[1] = l1;
        c[2] = n2;
        c[3] = l0;
        k0 = LLVMBuildAdd(e->b, k0, emit_const_int(e, LLVMTypeOf(k0), 0x9E3779B9), "");
        k1 = LLVMBuildAdd(e->b, k1, emit_const_int(e, LLVMTypeOf(k1), 0xBB67AE85), "");
    }
}

/* (0, 1]: 24 bits and a half step, so that a logarithm is finite; [0, 1) for uniform draws. */
static LLVMValueRef unit(emit *e, LLVMValueRef bits, bool open_low)
{
    LLVMTypeRef t = like(e, bits, e->f32);
    LLVMValueRef v = LLVMBuildUIToFP(
        e->b, LLVMBuildLShr(e->b, bits, emit_const_int(e, LLVMTypeOf(bits), 8), ""), t, "");
    v = open_low ? LLVMBuildFAdd(e->b, v, emit_const(e, t, 1), "") : v;
    return LLVMBuildFMul(e->b, v, emit_const(e, t, 1.0 / 16777216), "");
}

static LLVMValueRef emit_random(emit *e, const k_expr *x, bool vector)
{
    LLVMValueRef v_i = emit_as(e, emit_expr(e, x->args[0]), vector);
    LLVMTypeRef i32 = like(e, v_i, e->i32), i64 = LLVMTypeOf(v_i);
    LLVMValueRef v_turn =
        emit_i64(e, 0); /* hash of the turns: h = h * 0x9E3779B97F4A7C15 + turn + 1 */
    for (uint32_t i = 1; i < x->n; i++) {
        LLVMValueRef v_t = LLVMBuildAdd(e->b, emit_scalar(e, x->args[i]), emit_i64(e, 1), "");
        v_turn = LLVMBuildAdd(
            e->b, LLVMBuildMul(e->b, v_turn, emit_i64(e, (int64_t)0x9E3779B97F4A7C15u), ""), v_t,
            "");
    }
    LLVMValueRef v_fold =
        LLVMBuildXor(e->b, v_turn, LLVMBuildLShr(e->b, v_turn, emit_i64(e, 32), ""), "");
    LLVMValueRef v_turn32 = LLVMBuildTrunc(e->b, v_fold, e->i32, "");
    LLVMValueRef v_k0 = LLVMBuildTrunc(e->b, e->v_seed, e->i32, "");
    LLVMValueRef v_k1 =
        LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, e->v_seed, emit_i64(e, 32), ""), e->i32, "");
    LLVMValueRef c[4];
    c[0] = LLVMBuildTrunc(e->b, v_i, i32, "");
    c[1] = LLVMBuildTrunc(e->b, LLVMBuildLShr(e->b, v_i, emit_const_int(e, i64, 32), ""), i32, "");
    c[2] = emit_const_int(e, i32, x->i);
    c[3] = vector ? emit_splat(e, v_turn32) : v_turn32;
    philox(e, c, vector ? emit_splat(e, v_k0) : v_k0, vector ? emit_splat(e, v_k1) : v_k1);
    if (strcmp(x->mode, "int") == 0) {
        LLVMValueRef v_w = LLVMBuildOr(
            e->b, LLVMBuildZExt(e->b, c[0], i64, ""),
            LLVMBuildShl(e->b, LLVMBuildZExt(e->b, c[1], i64, ""), emit_const_int(e, i64, 32), ""),
            "");
        LLVMValueRef v_r = LLVMBuildURem(e->b, v_w, emit_const_int(e, i64, x->hi - x->lo), "");
        return emit_convert(e, LLVMBuildAdd(e->b, v_r, emit_const_int(e, i64, x->lo), ""), IR_i64,
                            x->dtype);
    }
    LLVMValueRef v = unit(e, c[0], false);
    if (strcmp(x->mode, "normal") == 0) { /* Box, Muller 1958 */
        LLVMTypeRef t = LLVMTypeOf(v);
        LLVMValueRef v_log = emit_math(e, IR_OP_log, IR_f32, unit(e, c[0], true), NULL);
        LLVMValueRef v_r = emit_math(e, IR_OP_sqrt, IR_f32,
                                     LLVMBuildFMul(e->b, v_log, emit_const(e, t, -2), ""), NULL);
        LLVMValueRef v_angle =
            LLVMBuildFMul(e->b, unit(e, c[1], false), emit_const(e, t, 6.283185307179586), "");
        v = LLVMBuildFMul(e->b, v_r, emit_math(e, IR_OP_cos, IR_f32, v_angle, NULL), "");
    }
    return emit_convert(e, v, IR_f32, x->dtype);
}

/* Values ------------------------------------------------------------------------------------------
 */

static emit_value compute(emit *e, const k_expr *x)
{
    bool vector = emit_uses_lane(e, x);
    switch (x->kind) {
    case K_CONST_F:
        return (emit_value){emit_const(e, emit_type(e, x->dtype), x->f), false};
    case K_CONST_I:
        return (emit_value){emit_const_int(e, emit_type(e, x->dtype), x->i), false};
    case K_AXIS: {
        LLVMValueRef v = e->v_axes[x->axis->id];
        return vector ? (emit_value){LLVMBuildAdd(e->b, emit_splat(e, v), emit_iota(e, e->i64), ""),
                                     true}
                      : (emit_value){v, false};
    }
    case K_DIM:
        return (emit_value){emit_kernel_dim(e, x->dim), false};
    case K_LOAD:
        return emit_load(e, x, vector);
    case K_REDUCED:
        return e->reduced[x->reduced];
    case K_HOLE:
        return (emit_value){e->v_hole, e->hole_vector};
    case K_RANDOM:
        return (emit_value){emit_random(e, x, vector), vector};
    case K_CAST: {
        LLVMValueRef v = emit_expr(e, x->args[0]).v;
        return (emit_value){emit_convert(e, v, x->args[0]->dtype, x->dtype), vector};
    }
    case K_SELECT: {
        LLVMValueRef c = emit_expr(e, x->args[0]).v;
        emit_value a = emit_expr(e, x->args[1]), b = emit_expr(e, x->args[2]);
        bool mixed = vector && (a.vector || b.vector || emit_is_vector(c));
        LLVMValueRef p = emit_as(e, a, mixed), q = emit_as(e, b, mixed);
        return (emit_value){emit_select(e, c, p, q), mixed};
    }
    default: {
        emit_value a = emit_expr(e, x->args[0]);
        emit_value b = x->n > 1 ? emit_expr(e, x->args[1]) : (emit_value){NULL, false};
        bool wide = a.vector || b.vector;
        LLVMValueRef p = emit_as(e, a, wide), q = x->n > 1 ? emit_as(e, b, wide) : NULL;
        return (emit_value){emit_math(e, x->op, x->args[0]->dtype, p, q), wide};
    }
    }
}

emit_value emit_expr(emit *e, const k_expr *x)
{
    uint64_t key = (uint64_t)x->id * 2 + e->scalar_mode;
    for (const emit_memo *m = e->memo; m; m = m->outer) {
        emit_value *known = map_get(m->values, key);
        if (known) {
            return *known;
        }
    }
    emit_value v = compute(e, x);
    map_set(e->memo->values, key, arena_copy(e->a, &v, sizeof v));
    return v;
}

void emit_suppose(emit *e, emit_memo *m, const k_expr *x, emit_value v)
{
    emit_memo_push(e, m);
    map_set(m->values, (uint64_t)x->id * 2, arena_copy(e->a, &v, sizeof v));
}

LLVMValueRef emit_scalar(emit *e, const k_expr *x)
{
    if (!e->lane_axis || e->scalar_mode || !emit_uses_lane(e, x)) {
        return emit_expr(e, x).v;
    }
    e->scalar_mode = true;
    LLVMValueRef v = emit_expr(e, x).v;
    e->scalar_mode = false;
    return v;
}

LLVMValueRef emit_lanes(emit *e, const k_expr *x)
{
    return emit_splat(e, emit_expr(e, x).v);
}
