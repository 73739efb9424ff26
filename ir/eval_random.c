/* The interpreter: draws, bit for bit those of compiled code on machines with fused multiply-add.
 *
 * Philox4x32-10 (Salmon et al., SC 2011). Key: the seed. Counter: the element's number (64 bits),
 * the stream, a hash of the turns of the loops around. Normal draws are Box and Muller's (1958), in
 * f32 by the polynomials of backend/emit_math.c. This file is compiled with -ffp-contract=off. */
#include "ir/eval_impl.h"

#include <math.h>
#include <string.h>

static void philox(uint32_t c[4], uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)b;
        c[2] = n2;
        c[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* c[0] x^(n-1) + ... + c[n-1] */
static float poly(float x, uint32_t n, const double *c)
{
    float r = (float)c[0];
    for (uint32_t i = 1; i < n; i++) {
        r = fmaf(r, x, (float)c[i]);
    }
    return r;
}

/* Of (0, 1]: Cephes logf. */
static float log_f32(float x)
{
    static const double c[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                               -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                               2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    int32_t i, n, m;
    memcpy(&i, &x, 4);
    n = (i - 0x3f3504f3) >> 23; /* the mantissa within [sqrt(1/2), sqrt(2)) */
    m = i - n * (1 << 23);
    memcpy(&x, &m, 4);
    float f = (float)n;
    x -= 1;
    float z = x * x, y = x * z * poly(x, 9, c);
    y = fmaf(f, (float)-2.12194440e-4, y);
    y = fmaf(z, -0.5f, y);
    return fmaf(f, 0.693359375f, x + y);
}

/* Of [0, 2 pi). */
static float cos_f32(float x)
{
    static const double s[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
    static const double c[] = {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2};
    double d = x, k = nearbyint(d * 0.63661977236758134);
    double r = fma(k, -1.5707963267948966, d);
    r = fma(k, -6.123233995736766e-17, r);
    int32_t q = (int32_t)k + 1;
    float y = (float)r, z = y * y;
    float sine = fmaf(y * z, poly(z, 3, s), y);
    float cosine = fmaf(z * z, poly(z, 3, c), fmaf(z, -0.5f, 1));
    float v = q & 1 ? cosine : sine;
    return q & 2 ? -v : v;
}

static float unit(uint32_t bits)
{
    return (float)(bits >> 8) * (1.0f / 16777216);
}

static float normal(const uint32_t c[4])
{
    float open = ((float)(c[0] >> 8) + 1) * (1.0f / 16777216); /* (0, 1]: its logarithm is finite */
    float r = sqrtf(log_f32(open) * -2);
    return r * cos_f32(unit(c[1]) * (float)6.283185307179586);
}

static bool turn_hash(eval *e, const ir_node *n, uint32_t *hash)
{
    const ir_attr *turns = ir_node_attr(n, IR_ATTR_turns);
    uint64_t h = 0;
    for (uint32_t i = 0; turns && i < turns->n; i++) {
        int64_t turn;
        if (!eval_size(e, turns->dims[i], &turn)) {
            return false;
        }
        h = h * 0x9E3779B97F4A7C15u + (uint64_t)turn + 1;
    }
    *hash = (uint32_t)(h ^ (h >> 32));
    return true;
}

bool eval_op_random(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)in;
    const char *mode = ir_node_str(n, IR_ATTR_mode);
    const ir_attr *bounds = ir_node_attr(n, IR_ATTR_bounds);
    bool is_int = strcmp(mode, "int") == 0, is_normal = strcmp(mode, "normal") == 0;
    uint32_t turn;
    if (!e->env) {
        return eval_fail(e, "a draw needs a seed");
    }
    if (!turn_hash(e, n, &turn) || !eval_new(e, out)) {
        return false;
    }
    int64_t total = ir_tensor_elems(&out->t);
    for (int64_t i = 0; i < total; i++) {
        uint32_t stream = (uint32_t)ir_node_int(n, IR_ATTR_stream, 0);
        uint32_t c[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32), stream, turn};
        philox(c, e->env->seed);
        eval_number x;
        if (is_int) {
            uint64_t w = c[0] | (uint64_t)c[1] << 32;
            uint64_t range = (uint64_t)bounds->ints[1] - (uint64_t)bounds->ints[0];
            x.i = (int64_t)((uint64_t)bounds->ints[0] + w % range);
        } else {
            x.f = (double)(is_normal ? normal(c) : unit(c[0]));
        }
        eval_store(&out->t, i, x);
    }
    return true;
}
