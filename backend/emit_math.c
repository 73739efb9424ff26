/* Maths on scalars and vectors. f32 functions are our own; those of f64 call the C library lane by
 * lane. Largest errors in f32, over dense samples against f64 (tests/diff/test_diff_math.c):
 *
 *   exp exp2 expm1    2 ulp     Cephes expf (Moshier); results below 2^-126 are denormal, not
 * flushed log log2 log1p    3 ulp     Cephes logf sin cos           2 ulp     reduced in f64,
 * Cephes polynomials; |x| up to 2^30 tan               5 ulp     their quotient tanh              4
 * ulp     Cephes tanhf erf               6 ulp     rational approximation as in Eigen's
 * generic_fast_erf_float atan atan2        3, 4 ulp  Cephes atanf (emit_power.c) pow 1 ulp through
 * f64 (emit_power.c) sigmoid silu softplus gelu_tanh  follow from these; relative error below 2e-6
 * where the result is normal gelu              absolute error below 1e-6: its tail loses digits, as
 * PyTorch's does
 */
#include "backend/emit_power.h"

#include <math.h>

#define K(v)            emit_const(e, LLVMTypeOf(x), v)
#define ADD(p, q)       LLVMBuildFAdd(e->b, p, q, "")
#define SUB(p, q)       LLVMBuildFSub(e->b, p, q, "")
#define MUL(p, q)       LLVMBuildFMul(e->b, p, q, "")
#define DIV(p, q)       LLVMBuildFDiv(e->b, p, q, "")
#define FMA(p, q, r)    emit_fma(e, p, q, r)
#define LESS(p, q)      LLVMBuildFCmp(e->b, LLVMRealOLT, p, q, "")
#define MORE(p, q)      LLVMBuildFCmp(e->b, LLVMRealOGT, p, q, "")
#define SELECT(c, p, q) emit_select(e, c, p, q)

/* c[0] x^(n-1) + ... + c[n-1] */
static LLVMValueRef poly(emit *e, LLVMValueRef x, uint32_t n, const double *c)
{
    LLVMValueRef r = K(c[0]);
    for (uint32_t i = 1; i < n; i++) {
        r = FMA(r, x, K(c[i]));
    }
    return r;
}

static LLVMTypeRef int_like(emit *e, LLVMValueRef x, LLVMTypeRef element)
{
    (void)e;
    return emit_is_vector(x) ? LLVMVectorType(element, LLVMGetVectorSize(LLVMTypeOf(x))) : element;
}

static LLVMValueRef bits(emit *e, LLVMValueRef x)
{
    return LLVMBuildBitCast(e->b, x, int_like(e, x, e->i32), "");
}

static LLVMValueRef from_bits(emit *e, LLVMValueRef i, LLVMValueRef like)
{
    return LLVMBuildBitCast(e->b, i, LLVMTypeOf(like), "");
}

/* 2^n for integers -126 <= n <= 127 */
static LLVMValueRef power_of_two(emit *e, LLVMValueRef n, LLVMValueRef like)
{
    LLVMTypeRef t = LLVMTypeOf(n);
    LLVMValueRef biased = LLVMBuildAdd(e->b, n, emit_const_int(e, t, 127), "");
    return from_bits(e, LLVMBuildShl(e->b, biased, emit_const_int(e, t, 23), ""), like);
}

/* The nearest integer, as a float and as an int; |x| < 2^22. A nan stays a nan. */
static LLVMValueRef nearest(emit *e, LLVMValueRef x, LLVMValueRef *n)
{
    LLVMValueRef v_magic = K(12582912.0), v_t = ADD(x, v_magic);
    *n = LLVMBuildSub(e->b, bits(e, v_t), bits(e, v_magic), "");
    return SUB(v_t, v_magic);
}

/* e^x for |x| <= ln2 / 2 */
static LLVMValueRef near_exp(emit *e, LLVMValueRef x)
{
    static const double c[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                               4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
    return ADD(FMA(MUL(x, x), poly(e, x, 6, c), x), K(1));
}

/* e^r 2^n for |r| <= ln2 / 2; n in two halves, so that results may be denormal or infinite. */
static LLVMValueRef scaled_exp(emit *e, LLVMValueRef x, LLVMValueRef n)
{
    LLVMValueRef p = near_exp(e, x);
    LLVMValueRef half = LLVMBuildAShr(e->b, n, emit_const_int(e, LLVMTypeOf(n), 1), "");
    LLVMValueRef rest = LLVMBuildSub(e->b, n, half, "");
    return MUL(MUL(p, power_of_two(e, half, x)), power_of_two(e, rest, x));
}

static LLVMValueRef clipped(emit *e, LLVMValueRef x, double lo, double hi)
{
    x = SELECT(LESS(x, K(lo)), K(lo), x);
    return SELECT(MORE(x, K(hi)), K(hi), x);
}

static LLVMValueRef exp_f32(emit *e, LLVMValueRef x)
{
    LLVMValueRef n;
    x = clipped(e, x, -105, 89);
    LLVMValueRef f = nearest(e, MUL(x, K(1.44269504088896341)), &n);
    LLVMValueRef r = FMA(f, K(-0.693359375), x);
    return scaled_exp(e, FMA(f, K(2.12194440e-4), r), n);
}

/* p 2^n, the weight of x: n is added to the exponent, so results are normal: 0 below e^-86. */
static LLVMValueRef scaled_weight(emit *e, LLVMValueRef x, LLVMValueRef p, LLVMValueRef n)
{
    LLVMValueRef v_by = LLVMBuildShl(e->b, n, emit_const_int(e, LLVMTypeOf(n), 23), "");
    LLVMValueRef y = from_bits(e, LLVMBuildAdd(e->b, bits(e, p), v_by, ""), x);
    return SELECT(LESS(x, K(-86)), K(0), y);
}

LLVMValueRef emit_exp_weight(emit *e, LLVMValueRef x)
{
    LLVMValueRef n, f = nearest(e, MUL(x, K(1.44269504088896341)), &n);
    LLVMValueRef r = FMA(f, K(2.12194440e-4), FMA(f, K(-0.693359375), x));
    return scaled_weight(e, x, near_exp(e, r), n);
}

/* e^r as 1 + r + r^2 (c0 + c1 r + c2 r^2), of the least largest relative error, 5.3e-6, for
 * |r| <= ln2 / 2. */
LLVMValueRef emit_exp_weight_bf16(emit *e, LLVMValueRef x)
{
    static const double c[] = {4.127737e-2, 1.6753601e-1, 5.0005126e-1};
    LLVMValueRef n, f = nearest(e, MUL(x, K(1.44269504088896341)), &n);
    LLVMValueRef r = FMA(f, K(-0.69314718055994531), x);
    LLVMValueRef p = ADD(FMA(MUL(r, r), poly(e, r, 3, c), r), K(1));
    return scaled_weight(e, x, p, n);
}

static LLVMValueRef exp2_f32(emit *e, LLVMValueRef x)
{
    LLVMValueRef n;
    x = clipped(e, x, -151, 129);
    LLVMValueRef f = nearest(e, x, &n);
    return scaled_exp(e, MUL(SUB(x, f), K(0.69314718055994531)), n);
}

static LLVMValueRef expm1_f32(emit *e, LLVMValueRef x)
{
    static const double c[] = {1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                               1.0 / 24,    1.0 / 6,    0.5};
    LLVMValueRef small = FMA(MUL(x, x), poly(e, x, 7, c), x);
    LLVMValueRef big = SUB(exp_f32(e, x), K(1));
    return SELECT(LESS(emit_intrinsic1(e, "llvm.fabs", x), K(0.5)), small, big);
}

static LLVMValueRef log_f32(emit *e, LLVMValueRef x)
{
    static const double c[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                               -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                               2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    LLVMValueRef v_in = x;
    LLVMValueRef v_small = LESS(x, K(1.17549435e-38));
    x = SELECT(v_small, MUL(x, K(8388608.0)), x);
    LLVMValueRef i = bits(e, x);
    LLVMTypeRef t = LLVMTypeOf(i);
    /* mantissa within [sqrt(1/2), sqrt(2)) */
    LLVMValueRef v_off = LLVMBuildSub(e->b, i, emit_const_int(e, t, 0x3f3504f3), "");
    LLVMValueRef v_n = LLVMBuildAShr(e->b, v_off, emit_const_int(e, t, 23), "");
    LLVMValueRef v_m =
        LLVMBuildSub(e->b, i, LLVMBuildShl(e->b, v_n, emit_const_int(e, t, 23), ""), "");
    LLVMValueRef f = LLVMBuildSIToFP(e->b, v_n, LLVMTypeOf(x), "");
    f = SUB(f, SELECT(v_small, K(23), K(0)));
    x = SUB(from_bits(e, v_m, x), K(1));
    LLVMValueRef z = MUL(x, x);
    LLVMValueRef y = MUL(MUL(x, z), poly(e, x, 9, c));
    y = FMA(f, K(-2.12194440e-4), y);
    y = FMA(z, K(-0.5), y);
    LLVMValueRef r = FMA(f, K(0.693359375), ADD(x, y));
    /* log 0 = -inf; of negative numbers and nan: nan; of inf: inf */
    r = SELECT(LLVMBuildFCmp(e->b, LLVMRealOEQ, v_in, K(INFINITY), ""), K(INFINITY), r);
    r = SELECT(LLVMBuildFCmp(e->b, LLVMRealOEQ, v_in, K(0), ""), K(-INFINITY), r);
    return SELECT(LLVMBuildFCmp(e->b, LLVMRealOGE, v_in, K(0), ""), r, K(NAN));
}

/* log(1 + x) corrected for the rounding of 1 + x (Goldberg 1991, theorem 4). */
static LLVMValueRef log1p_f32(emit *e, LLVMValueRef x)
{
    LLVMValueRef u = ADD(x, K(1)), d = SUB(u, K(1));
    LLVMValueRef r = MUL(log_f32(e, u), DIV(x, d));
    r = SELECT(LLVMBuildFCmp(e->b, LLVMRealOEQ, d, K(0), ""), x, r);
    return SELECT(LLVMBuildFCmp(e->b, LLVMRealOEQ, u, K(INFINITY), ""), u, r);
}

/* sin (shift 0) or cos (shift 1): the argument is reduced in f64 by multiples of pi/2. */
static LLVMValueRef trig_f32(emit *e, LLVMValueRef x, int64_t shift)
{
    static const double s[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
    static const double c[] = {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2};
    LLVMTypeRef f64 = int_like(e, x, e->f64), i32 = int_like(e, x, e->i32);
    LLVMValueRef d = LLVMBuildFPExt(e->b, x, f64, "");
    LLVMValueRef k =
        emit_intrinsic1(e, "llvm.rint", MUL(d, emit_const(e, f64, 0.63661977236758134)));
    LLVMValueRef r = FMA(k, emit_const(e, f64, -1.5707963267948966), d);
    r = FMA(k, emit_const(e, f64, -6.123233995736766e-17), r);
    LLVMTypeRef overloads[2] = {i32, f64};
    LLVMValueRef q = emit_intrinsic(e, "llvm.fptosi.sat", 2, overloads, 1, &k);
    q = LLVMBuildAdd(e->b, q, emit_const_int(e, i32, shift), "");
    LLVMValueRef y = LLVMBuildFPTrunc(e->b, r, LLVMTypeOf(x), "");
    LLVMValueRef z = MUL(y, y);
    LLVMValueRef sine = FMA(MUL(y, z), poly(e, z, 3, s), y);
    LLVMValueRef cosine = FMA(MUL(z, z), poly(e, z, 3, c), FMA(z, K(-0.5), K(1)));
    LLVMValueRef odd = LLVMBuildTrunc(e->b, q, int_like(e, x, e->i1), "");
    LLVMValueRef v = SELECT(odd, cosine, sine);
    LLVMValueRef two = LLVMBuildAnd(e->b, q, emit_const_int(e, i32, 2), "");
    LLVMValueRef sign = LLVMBuildShl(e->b, two, emit_const_int(e, i32, 30), "");
    return from_bits(e, LLVMBuildXor(e->b, bits(e, v), sign, ""), x);
}

static LLVMValueRef tanh_f32(emit *e, LLVMValueRef x)
{
    static const double c[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                               1.33314422036e-1, -3.33332819422e-1};
    LLVMValueRef z = MUL(x, x), a = emit_intrinsic1(e, "llvm.fabs", x);
    LLVMValueRef small = FMA(MUL(x, z), poly(e, z, 5, c), x);
    LLVMValueRef t = exp_f32(e, ADD(a, a));
    LLVMValueRef big = SUB(K(1), DIV(K(2), ADD(t, K(1))));
    big = emit_intrinsic2(e, "llvm.copysign", big, x);
    return SELECT(LESS(a, K(0.625)), small, big);
}

static LLVMValueRef erf_f32(emit *e, LLVMValueRef x)
{
    static const double p[] = {-2.72614225801306e-10, 2.77068142495902e-08,  -2.10102402082508e-06,
                               -5.69250639462346e-05, -7.34990630326855e-04, -2.95459980854025e-03,
                               -1.60960333262415e-02};
    static const double q[] = {-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03,
                               -7.37332916720468e-03, -1.42647390514189e-02};
    x = clipped(e, x, -4, 4);
    LLVMValueRef z = MUL(x, x);
    return MUL(x, DIV(poly(e, z, 7, p), poly(e, z, 5, q)));
}

static LLVMValueRef sigmoid_f32(emit *e, LLVMValueRef x)
{
    return DIV(K(1), ADD(K(1), exp_f32(e, LLVMBuildFNeg(e->b, x, ""))));
}

static LLVMValueRef silu_f32(emit *e, LLVMValueRef x)
{
    return DIV(x, ADD(K(1), exp_f32(e, LLVMBuildFNeg(e->b, x, ""))));
}

static LLVMValueRef gelu_f32(emit *e, LLVMValueRef x)
{
    return MUL(MUL(x, K(0.5)), ADD(K(1), erf_f32(e, MUL(x, K(0.70710678118654752)))));
}

/* x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): the same as with tanh */
static LLVMValueRef gelu_tanh_f32(emit *e, LLVMValueRef x)
{
    LLVMValueRef u =
        MUL(x, FMA(MUL(x, x), K(-2 * 0.79788456080286536 * 0.044715), K(-2 * 0.79788456080286536)));
    return DIV(x, ADD(K(1), exp_f32(e, u)));
}

static LLVMValueRef softplus_f32(emit *e, LLVMValueRef x)
{
    /* max(x, 0) + log1p(e^-|x|) */
    LLVMValueRef a = emit_intrinsic1(e, "llvm.fabs", x);
    LLVMValueRef l = log1p_f32(e, exp_f32(e, LLVMBuildFNeg(e->b, a, "")));
    return ADD(SELECT(MORE(x, K(0)), x, K(0)),
               SELECT(LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""), x, l));
}

static LLVMValueRef log2_f32(emit *e, LLVMValueRef x)
{
    return MUL(log_f32(e, x), K(1.44269504088896341));
}
static LLVMValueRef sin_f32(emit *e, LLVMValueRef x)
{
    return trig_f32(e, x, 0);
}
static LLVMValueRef cos_f32(emit *e, LLVMValueRef x)
{
    return trig_f32(e, x, 1);
}
static LLVMValueRef tan_f32(emit *e, LLVMValueRef x)
{
    return DIV(trig_f32(e, x, 0), trig_f32(e, x, 1));
}

/* One lane at a time through a function of the C library. */
static LLVMValueRef library(emit *e, const char *name, LLVMValueRef x, LLVMValueRef y)
{
    bool vector = emit_is_vector(x);
    LLVMTypeRef t = vector ? LLVMGetElementType(LLVMTypeOf(x)) : LLVMTypeOf(x);
    LLVMTypeRef types[2] = {t, t};
    LLVMTypeRef ft = LLVMFunctionType(t, types, y ? 2 : 1, false);
    LLVMValueRef f = LLVMGetNamedFunction(e->module, name);
    f = f ? f : LLVMAddFunction(e->module, name, ft);
    if (!vector) {
        LLVMValueRef args[2] = {x, y};
        return LLVMBuildCall2(e->b, ft, f, args, y ? 2 : 1, "");
    }
    LLVMValueRef r = LLVMGetPoison(LLVMTypeOf(x));
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(x)); i++) {
        LLVMValueRef at = LLVMConstInt(e->i32, i, false), args[2];
        args[0] = LLVMBuildExtractElement(e->b, x, at, "");
        args[1] = y ? LLVMBuildExtractElement(e->b, y, at, "") : NULL;
        LLVMValueRef v = LLVMBuildCall2(e->b, ft, f, args, y ? 2 : 1, "");
        r = LLVMBuildInsertElement(e->b, r, v, at, "");
    }
    return r;
}

static const struct {
    LLVMValueRef (*f32)(emit *e, LLVMValueRef x);
    const char *f64; /* of the C library */
    LLVMValueRef (*f32_pair)(emit *e, LLVMValueRef x, LLVMValueRef y);
} functions[IR_OP_COUNT] = {
    [IR_OP_exp] = {exp_f32,       "exp",   NULL          },
    [IR_OP_exp2] = {exp2_f32,      "exp2",  NULL          },
    [IR_OP_expm1] = {expm1_f32,     "expm1", NULL          },
    [IR_OP_log] = {log_f32,       "log",   NULL          },
    [IR_OP_log2] = {log2_f32,      "log2",  NULL          },
    [IR_OP_log1p] = {log1p_f32,     "log1p", NULL          },
    [IR_OP_sin] = {sin_f32,       "sin",   NULL          },
    [IR_OP_cos] = {cos_f32,       "cos",   NULL          },
    [IR_OP_tan] = {tan_f32,       "tan",   NULL          },
    [IR_OP_tanh] = {tanh_f32,      "tanh",  NULL          },
    [IR_OP_erf] = {erf_f32,       "erf",   NULL          },
    [IR_OP_atan] = {emit_atan_f32, "atan",  NULL          },
    [IR_OP_sigmoid] = {sigmoid_f32,   NULL,    NULL          },
    [IR_OP_silu] = {silu_f32,      NULL,    NULL          },
    [IR_OP_gelu] = {gelu_f32,      NULL,    NULL          },
    [IR_OP_gelu_tanh] = {gelu_tanh_f32, NULL,    NULL          },
    [IR_OP_softplus] = {softplus_f32,  NULL,    NULL          },
    [IR_OP_pow] = {NULL,          "pow",   emit_pow_f32  },
    [IR_OP_atan2] = {NULL,          "atan2", emit_atan2_f32},
};

/* f64 compositions of library functions */
static LLVMValueRef composed_f64(emit *e, ir_op op, LLVMValueRef x)
{
    LLVMValueRef v_e = library(e, "exp", LLVMBuildFNeg(e->b, x, ""), NULL);
    switch (op) {
    case IR_OP_sigmoid:
        return DIV(K(1), ADD(K(1), v_e));
    case IR_OP_silu:
        return DIV(x, ADD(K(1), v_e));
    case IR_OP_gelu:
        return MUL(MUL(x, K(0.5)),
                   ADD(K(1), library(e, "erf", MUL(x, K(0.70710678118654752440)), NULL)));
    case IR_OP_gelu_tanh: {
        LLVMValueRef u =
            MUL(x, FMA(MUL(x, x), K(0.79788456080286535588 * 0.044715), K(0.79788456080286535588)));
        return MUL(MUL(x, K(0.5)), ADD(K(1), library(e, "tanh", u, NULL)));
    }
    default: { /* softplus */
        LLVMValueRef a = emit_intrinsic1(e, "llvm.fabs", x);
        LLVMValueRef l =
            library(e, "log1p", library(e, "exp", LLVMBuildFNeg(e->b, a, ""), NULL), NULL);
        return ADD(SELECT(MORE(x, K(0)), x, K(0)), l);
    }
    }
}

/* Arithmetic --------------------------------------------------------------------------------------
 */

static LLVMValueRef float_mod(emit *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef r = LLVMBuildFRem(e->b, x, y, "");
    LLVMValueRef v_nonzero = LLVMBuildFCmp(e->b, LLVMRealONE, r, K(0), "");
    LLVMValueRef v_signs = LLVMBuildXor(e->b, LESS(r, K(0)), LESS(y, K(0)), "");
    return SELECT(LLVMBuildAnd(e->b, v_nonzero, v_signs, ""), ADD(r, y), r);
}

/* In f64, whose rounding of the quotient of two f32 never reaches the next integer. */
static LLVMValueRef floor_div(emit *e, ir_dtype t, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef narrow = LLVMTypeOf(x), wide = int_like(e, x, e->f64);
    if (t == IR_f64) {
        return emit_intrinsic1(e, "llvm.floor", DIV(x, y));
    }
    x = LLVMBuildFPExt(e->b, x, wide, "");
    y = LLVMBuildFPExt(e->b, y, wide, "");
    return LLVMBuildFPTrunc(e->b, emit_intrinsic1(e, "llvm.floor", DIV(x, y)), narrow, "");
}

static LLVMValueRef float_math(emit *e, ir_op op, ir_dtype t, LLVMValueRef x, LLVMValueRef y)
{
    static const struct {
        ir_op op;
        LLVMRealPredicate p;
    } compares[] = {
        {IR_OP_eq, LLVMRealOEQ},
        {IR_OP_ne, LLVMRealUNE},
        {IR_OP_lt, LLVMRealOLT},
        {IR_OP_le, LLVMRealOLE},
        {IR_OP_gt, LLVMRealOGT},
        {IR_OP_ge, LLVMRealOGE}
    };
    for (uint32_t i = 0; i < sizeof compares / sizeof *compares; i++) {
        if (compares[i].op == op) {
            return LLVMBuildFCmp(e->b, compares[i].p, x, y, "");
        }
    }
    if (functions[op].f32 || functions[op].f64) {
        if (t == IR_f64) {
            return functions[op].f64 ? library(e, functions[op].f64, x, y) : composed_f64(e, op, x);
        }
        return functions[op].f32 ? functions[op].f32(e, x) : functions[op].f32_pair(e, x, y);
    }
    switch (op) {
    case IR_OP_neg:
        return LLVMBuildFNeg(e->b, x, "");
    case IR_OP_abs:
        return emit_intrinsic1(e, "llvm.fabs", x);
    case IR_OP_sign: {
        LLVMValueRef s = SELECT(MORE(x, K(0)), K(1), SELECT(LESS(x, K(0)), K(-1), K(0)));
        return SELECT(LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""), x, s);
    }
    case IR_OP_sqrt:
        return emit_intrinsic1(e, "llvm.sqrt", x);
    case IR_OP_rsqrt:
        return DIV(K(1), emit_intrinsic1(e, "llvm.sqrt", x));
    case IR_OP_recip:
        return DIV(K(1), x);
    case IR_OP_relu:
        return SELECT(LLVMBuildFCmp(e->b, LLVMRealULT, x, K(0), ""),
                      SELECT(LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""), x, K(0)), x);
    case IR_OP_floor:
        return emit_intrinsic1(e, "llvm.floor", x);
    case IR_OP_ceil:
        return emit_intrinsic1(e, "llvm.ceil", x);
    case IR_OP_round:
        return emit_intrinsic1(e, "llvm.rint", x);
    case IR_OP_trunc:
        return emit_intrinsic1(e, "llvm.trunc", x);
    case IR_OP_isnan:
        return LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
    case IR_OP_isfinite:
        return LESS(emit_intrinsic1(e, "llvm.fabs", x), K(INFINITY));
    case IR_OP_add:
        return ADD(x, y);
    case IR_OP_sub:
        return SUB(x, y);
    case IR_OP_mul:
        return MUL(x, y);
    case IR_OP_div:
        return DIV(x, y);
    case IR_OP_floor_div:
        return floor_div(e, t, x, y);
    case IR_OP_mod:
        return float_mod(e, x, y);
    case IR_OP_max: /* nan wins: of x when the comparison is false for it */
        return SELECT(LLVMBuildFCmp(e->b, LLVMRealUNO, y, y, ""), y, SELECT(MORE(y, x), y, x));
    case IR_OP_min:
        return SELECT(LLVMBuildFCmp(e->b, LLVMRealUNO, y, y, ""), y, SELECT(LESS(y, x), y, x));
    default:
        return x;
    }
}

/* y = 0 and the one overflow are kept from the hardware's trap. */
static LLVMValueRef int_divide(emit *e, LLVMValueRef x, LLVMValueRef y, bool remainder,
                               bool is_unsigned)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef v_zero = emit_const_int(e, t, 0), v_one = emit_const_int(e, t, 1),
                 v_minus = emit_const_int(e, t, -1);
    LLVMValueRef v_none = LLVMBuildICmp(e->b, LLVMIntEQ, y, v_zero, "");
    LLVMValueRef v_neg = is_unsigned ? LLVMBuildICmp(e->b, LLVMIntNE, y, y, "")
                                     : LLVMBuildICmp(e->b, LLVMIntEQ, y, v_minus, "");
    LLVMValueRef v_y = SELECT(LLVMBuildOr(e->b, v_none, v_neg, ""), v_one, y);
    if (is_unsigned) {
        LLVMValueRef v =
            remainder ? LLVMBuildURem(e->b, x, v_y, "") : LLVMBuildUDiv(e->b, x, v_y, "");
        return SELECT(v_none, v_zero, v);
    }
    LLVMValueRef q = LLVMBuildSDiv(e->b, x, v_y, ""), r = LLVMBuildSRem(e->b, x, v_y, "");
    LLVMValueRef v_signs =
        LLVMBuildICmp(e->b, LLVMIntSLT, LLVMBuildXor(e->b, x, v_y, ""), v_zero, "");
    LLVMValueRef v_down =
        LLVMBuildAnd(e->b, v_signs, LLVMBuildICmp(e->b, LLVMIntNE, r, v_zero, ""), "");
    if (remainder) {
        LLVMValueRef v = SELECT(v_down, LLVMBuildAdd(e->b, r, v_y, ""), r);
        return SELECT(LLVMBuildOr(e->b, v_none, v_neg, ""), v_zero, v);
    }
    LLVMValueRef v = SELECT(v_down, LLVMBuildSub(e->b, q, v_one, ""), q);
    v = SELECT(v_neg, LLVMBuildNeg(e->b, x, ""), v);
    return SELECT(v_none, v_zero, v);
}

static LLVMValueRef int_math(emit *e, ir_op op, ir_dtype t, LLVMValueRef x, LLVMValueRef y)
{
    bool is_unsigned = t == IR_u8 || t == IR_bool;
    LLVMValueRef v_zero = emit_const_int(e, LLVMTypeOf(x), 0);
    LLVMIntPredicate less = is_unsigned ? LLVMIntULT : LLVMIntSLT;
    switch (op) {
    case IR_OP_neg:
        return LLVMBuildNeg(e->b, x, "");
    case IR_OP_abs:
        return is_unsigned ? x
                           : SELECT(LLVMBuildICmp(e->b, LLVMIntSLT, x, v_zero, ""),
                                    LLVMBuildNeg(e->b, x, ""), x);
    case IR_OP_sign: {
        LLVMTypeRef ty = LLVMTypeOf(x);
        LLVMValueRef v_pos =
            SELECT(LLVMBuildICmp(e->b, is_unsigned ? LLVMIntUGT : LLVMIntSGT, x, v_zero, ""),
                   emit_const_int(e, ty, 1), v_zero);
        return is_unsigned ? v_pos
                           : SELECT(LLVMBuildICmp(e->b, LLVMIntSLT, x, v_zero, ""),
                                    emit_const_int(e, ty, -1), v_pos);
    }
    case IR_OP_relu:
        return is_unsigned ? x : SELECT(LLVMBuildICmp(e->b, LLVMIntSGT, x, v_zero, ""), x, v_zero);
    case IR_OP_not:
    case IR_OP_bit_not:
        return LLVMBuildNot(e->b, x, "");
    case IR_OP_add:
        return LLVMBuildAdd(e->b, x, y, "");
    case IR_OP_sub:
        return LLVMBuildSub(e->b, x, y, "");
    case IR_OP_mul:
        return LLVMBuildMul(e->b, x, y, "");
    case IR_OP_floor_div:
        return int_divide(e, x, y, false, is_unsigned);
    case IR_OP_mod:
        return int_divide(e, x, y, true, is_unsigned);
    case IR_OP_max:
        return SELECT(LLVMBuildICmp(e->b, less, x, y, ""), y, x);
    case IR_OP_min:
        return SELECT(LLVMBuildICmp(e->b, less, x, y, ""), x, y);
    case IR_OP_eq:
        return LLVMBuildICmp(e->b, LLVMIntEQ, x, y, "");
    case IR_OP_ne:
    case IR_OP_xor:
        return op == IR_OP_ne ? LLVMBuildICmp(e->b, LLVMIntNE, x, y, "")
                              : LLVMBuildXor(e->b, x, y, "");
    case IR_OP_lt:
        return LLVMBuildICmp(e->b, less, x, y, "");
    case IR_OP_le:
        return LLVMBuildICmp(e->b, is_unsigned ? LLVMIntULE : LLVMIntSLE, x, y, "");
    case IR_OP_gt:
        return LLVMBuildICmp(e->b, less, y, x, "");
    case IR_OP_ge:
        return LLVMBuildICmp(e->b, is_unsigned ? LLVMIntULE : LLVMIntSLE, y, x, "");
    case IR_OP_and:
    case IR_OP_bit_and:
        return LLVMBuildAnd(e->b, x, y, "");
    case IR_OP_or:
    case IR_OP_bit_or:
        return LLVMBuildOr(e->b, x, y, "");
    case IR_OP_bit_xor:
        return LLVMBuildXor(e->b, x, y, "");
    default:
        return x;
    }
}

LLVMValueRef emit_math(emit *e, ir_op op, ir_dtype t, LLVMValueRef x, LLVMValueRef y)
{
    return ir_dtype_is_float(t) ? float_math(e, op, t, x, y) : int_math(e, op, t, x, y);
}
