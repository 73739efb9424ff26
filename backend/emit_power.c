/* Powers and arcs. x^y = 2^(y log2 |x|) in f64, whose 29 more bits outlast any exponent of f32;
 * arcs as Cephes atanf (Moshier). Special values are those of C's pow and atan2 (Annex F). */
#include "backend/emit_power.h"

#include <math.h>

#define K(like, v) emit_const(e, LLVMTypeOf(like), v)

static LLVMTypeRef like(LLVMValueRef x, LLVMTypeRef element)
{
    return emit_is_vector(x) ? LLVMVectorType(element, LLVMGetVectorSize(LLVMTypeOf(x))) : element;
}

static LLVMValueRef fabs_of(emit *e, LLVMValueRef x)
{
    return emit_intrinsic1(e, "llvm.fabs", x);
}

static LLVMValueRef both(emit *e, LLVMValueRef p, LLVMValueRef q)
{
    return LLVMBuildAnd(e->b, p, q, "");
}

static LLVMValueRef compare(emit *e, LLVMRealPredicate p, LLVMValueRef x, double y)
{
    return LLVMBuildFCmp(e->b, p, x, K(x, y), "");
}

static LLVMValueRef is_nan(emit *e, LLVMValueRef x)
{
    return LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
}

/* c[0] x^(n-1) + ... + c[n-1] */
static LLVMValueRef poly(emit *e, LLVMValueRef x, uint32_t n, const double *c)
{
    LLVMValueRef r = K(x, c[0]);
    for (uint32_t i = 1; i < n; i++) {
        r = emit_fma(e, r, x, K(x, c[i]));
    }
    return r;
}

/* |x| with the sign bit of `of`; both f32. */
static LLVMValueRef with_sign(emit *e, LLVMValueRef x, LLVMValueRef of)
{
    LLVMTypeRef t = like(x, e->i32);
    LLVMValueRef v_sign =
        LLVMBuildAnd(e->b, LLVMBuildBitCast(e->b, of, t, ""), emit_const_int(e, t, INT32_MIN), "");
    LLVMValueRef v_bits =
        LLVMBuildAnd(e->b, LLVMBuildBitCast(e->b, x, t, ""), emit_const_int(e, t, INT32_MAX), "");
    return LLVMBuildBitCast(e->b, LLVMBuildOr(e->b, v_bits, v_sign, ""), LLVMTypeOf(x), "");
}

/* log2 of positive, finite, normal f64: the exponent, and 2/ln 2 atanh((m - 1) / (m + 1)) for m in
 * [sqrt 1/2, sqrt 2). Error below 2^-40. */
static LLVMValueRef log2_f64(emit *e, LLVMValueRef d)
{
    static const double c[] = {2 / (M_LN2 * 15), 2 / (M_LN2 * 13), 2 / (M_LN2 * 11),
                               2 / (M_LN2 * 9),  2 / (M_LN2 * 7),  2 / (M_LN2 * 5),
                               2 / (M_LN2 * 3),  2 / M_LN2};
    LLVMTypeRef t = like(d, e->i64);
    LLVMValueRef v_bits = LLVMBuildBitCast(e->b, d, t, "");
    LLVMValueRef v_fraction =
        LLVMBuildAnd(e->b, v_bits, emit_const_int(e, t, (INT64_C(1) << 52) - 1), "");
    LLVMValueRef m = LLVMBuildBitCast(
        e->b, LLVMBuildOr(e->b, v_fraction, emit_const_int(e, t, INT64_C(1023) << 52), ""),
        LLVMTypeOf(d), "");
    LLVMValueRef v_exponent =
        LLVMBuildSub(e->b, LLVMBuildLShr(e->b, v_bits, emit_const_int(e, t, 52), ""),
                     emit_const_int(e, t, 1023), "");
    LLVMValueRef n = LLVMBuildSIToFP(e->b, v_exponent, LLVMTypeOf(d), "");
    LLVMValueRef v_high = compare(e, LLVMRealOGT, m, M_SQRT2);
    m = emit_select(e, v_high, LLVMBuildFMul(e->b, m, K(m, 0.5), ""), m);
    n = emit_select(e, v_high, LLVMBuildFAdd(e->b, n, K(n, 1), ""), n);
    LLVMValueRef s = LLVMBuildFDiv(e->b, LLVMBuildFSub(e->b, m, K(m, 1), ""),
                                   LLVMBuildFAdd(e->b, m, K(m, 1), ""), "");
    return emit_fma(e, s, poly(e, LLVMBuildFMul(e->b, s, s, ""), 8, c), n);
}

/* 2^t for |t| <= 200; the series of e^(r ln 2) for |r| <= 1/2. Error below 2^-40. */
static LLVMValueRef exp2_f64(emit *e, LLVMValueRef t)
{
    double c[12], term = 1;
    for (int i = 0; i < 12; i++) {
        c[11 - i] = term;
        term *= M_LN2 / (i + 1);
    }
    LLVMTypeRef it = like(t, e->i64);
    LLVMValueRef n = emit_intrinsic1(e, "llvm.rint", t);
    LLVMValueRef p = poly(e, LLVMBuildFSub(e->b, t, n, ""), 12, c);
    LLVMValueRef v_biased =
        LLVMBuildAdd(e->b, LLVMBuildFPToSI(e->b, n, it, ""), emit_const_int(e, it, 1023), "");
    LLVMValueRef v_scale = LLVMBuildBitCast(
        e->b, LLVMBuildShl(e->b, v_biased, emit_const_int(e, it, 52), ""), LLVMTypeOf(t), "");
    return LLVMBuildFMul(e->b, p, v_scale, "");
}

LLVMValueRef emit_pow_f32(emit *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef wide = like(x, e->f64);
    LLVMValueRef a = fabs_of(e, x), v_zero = K(x, 0), v_one = K(x, 1), v_inf = K(x, INFINITY);
    LLVMValueRef t = LLVMBuildFMul(e->b, LLVMBuildFPExt(e->b, y, wide, ""),
                                   log2_f64(e, LLVMBuildFPExt(e->b, a, wide, "")), "");
    t = emit_select(e, compare(e, LLVMRealOLT, t, 200), t,
                    K(t, 200)); /* a nan, too: it is answered below */
    t = emit_select(e, compare(e, LLVMRealOGT, t, -200), t, K(t, -200));
    LLVMValueRef r = LLVMBuildFPTrunc(e->b, exp2_f64(e, t), LLVMTypeOf(x), "");
    LLVMValueRef v_up = compare(e, LLVMRealOGT, y, 0);
    r = emit_select(e, compare(e, LLVMRealOEQ, a, 0), emit_select(e, v_up, v_zero, v_inf), r);
    r = emit_select(e, compare(e, LLVMRealOEQ, a, INFINITY), emit_select(e, v_up, v_inf, v_zero),
                    r);
    r = emit_select(e, compare(e, LLVMRealOEQ, a, 1), v_one, r);
    /* Of negative x: odd powers are negative, whole ones exist. */
    LLVMValueRef v_half = LLVMBuildFMul(e->b, y, K(y, 0.5), "");
    LLVMValueRef v_whole =
        LLVMBuildFCmp(e->b, LLVMRealOEQ, emit_intrinsic1(e, "llvm.floor", y), y, "");
    LLVMValueRef v_split =
        LLVMBuildFCmp(e->b, LLVMRealUNE, emit_intrinsic1(e, "llvm.floor", v_half), v_half, "");
    LLVMValueRef v_odd =
        both(e, both(e, v_whole, v_split), compare(e, LLVMRealOLT, fabs_of(e, y), 16777216));
    r = emit_select(e, v_odd, with_sign(e, r, x), r);
    LLVMValueRef v_below =
        both(e, compare(e, LLVMRealOLT, x, 0), compare(e, LLVMRealOGT, x, -INFINITY));
    r = emit_select(e, both(e, v_below, LLVMBuildNot(e->b, v_whole, "")), K(x, NAN), r);
    r = emit_select(e, LLVMBuildOr(e->b, is_nan(e, x), is_nan(e, y), ""), K(x, NAN), r);
    LLVMValueRef v_sure =
        LLVMBuildOr(e->b, compare(e, LLVMRealOEQ, y, 0), compare(e, LLVMRealOEQ, x, 1), "");
    return emit_select(e, v_sure, v_one, r);
}

LLVMValueRef emit_atan_f32(emit *e, LLVMValueRef x)
{
    static const double c[] = {8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1,
                               -3.33329491539e-1};
    LLVMValueRef a = fabs_of(e, x), v_one = K(x, 1);
    LLVMValueRef v_far = compare(e, LLVMRealOGT, a, 2.414213562373095),
                 v_mid = compare(e, LLVMRealOGT, a, 0.4142135623730950);
    LLVMValueRef v_top = emit_select(e, v_far, K(x, -1),
                                     emit_select(e, v_mid, LLVMBuildFSub(e->b, a, v_one, ""), a));
    LLVMValueRef v_bottom =
        emit_select(e, v_far, a, emit_select(e, v_mid, LLVMBuildFAdd(e->b, a, v_one, ""), v_one));
    LLVMValueRef q = LLVMBuildFDiv(e->b, v_top, v_bottom, ""), z = LLVMBuildFMul(e->b, q, q, "");
    LLVMValueRef v_base =
        emit_select(e, v_far, K(x, M_PI_2), emit_select(e, v_mid, K(x, M_PI_4), K(x, 0)));
    LLVMValueRef r = emit_fma(e, LLVMBuildFMul(e->b, poly(e, z, 4, c), z, ""), q, q);
    return with_sign(e, LLVMBuildFAdd(e->b, v_base, r, ""), x);
}

LLVMValueRef emit_atan2_f32(emit *e, LLVMValueRef y, LLVMValueRef x)
{
    LLVMTypeRef t = like(x, e->i32);
    LLVMValueRef ax = fabs_of(e, x), ay = fabs_of(e, y);
    LLVMValueRef v_steep = LLVMBuildFCmp(e->b, LLVMRealOGT, ay, ax, "");
    LLVMValueRef v_most = emit_select(e, v_steep, ay, ax),
                 v_least = emit_select(e, v_steep, ax, ay);
    LLVMValueRef q = LLVMBuildFDiv(e->b, v_least, v_most, "");
    q = emit_select(e, compare(e, LLVMRealOEQ, v_most, 0), K(x, 0), q);
    q = emit_select(e, compare(e, LLVMRealOEQ, v_least, INFINITY), K(x, 1), q);
    LLVMValueRef r = emit_atan_f32(e, q);
    r = emit_select(e, v_steep, LLVMBuildFSub(e->b, K(x, M_PI_2), r, ""), r);
    LLVMValueRef v_left = LLVMBuildICmp(e->b, LLVMIntSLT, LLVMBuildBitCast(e->b, x, t, ""),
                                        emit_const_int(e, t, 0), "");
    r = emit_select(e, v_left, LLVMBuildFSub(e->b, K(x, M_PI), r, ""), r);
    r = with_sign(e, r, y);
    return emit_select(e, LLVMBuildOr(e->b, is_nan(e, x), is_nan(e, y), ""), K(x, NAN), r);
}
