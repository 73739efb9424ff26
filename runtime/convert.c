#include "runtime/convert.h"
#include "runtime/blocks.h"
#include "runtime/quantize_blocks.h"

static float element(uint8_t t, const unsigned char *p)
{
    union {
        double f64;
        float f32;
        int64_t i64;
        int32_t i32;
        int16_t i16;
        uint16_t u16;
    } v;
    memcpy(&v, p, aigc_dtype_bytes(t));
    switch (t) {
    case AIGC_F64:
        return (float)v.f64;
    case AIGC_F32:
        return v.f32;
    case AIGC_F16:
        return aigc_f16_to_float(v.u16);
    case AIGC_BF16:
        return aigc_bf16_to_float(v.u16);
    case AIGC_I64:
        return (float)v.i64;
    case AIGC_I32:
        return (float)v.i32;
    case AIGC_I16:
        return (float)v.i16;
    case AIGC_I8:
        return (float)(int8_t)*p;
    default:
        return (float)*p;
    }
}

static void bf16_to_floats(const unsigned char *from, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + 2 * i, sizeof h);
        out[i] = aigc_bf16_to_float(h);
    }
}

/* The same as the conversions one by one, without a branch, so that compilers make vectors of them:
 * where there are no instructions for f16 those are calls. */
static uint32_t choose(bool which, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0 - (uint32_t)which;
    return (yes & mask) | (no & ~mask);
}

static void f16_to_floats(const unsigned char *from, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + 2 * i, sizeof h);
        uint32_t size = (uint32_t)(h & 0x7fff) << 13, u;
        float f;
        memcpy(&f, &size, sizeof f);
        f *= 0x1p112f; /* from one exponent's bias to the other's, denormals too */
        memcpy(&u, &f, sizeof u);
        u |= choose(size >= 0x0f800000, 0x7f800000, 0);
        u |= choose(size > 0x0f800000, 0x00400000, 0); /* nans are quiet */
        u |= (uint32_t)(h & 0x8000) << 16;
        memcpy(out + i, &u, sizeof u);
    }
}

void aigc_convert_to_float(uint8_t storage, const void *data, int64_t first, int64_t n, float *out)
{
    int64_t block = aigc_dtype_block(storage), bytes = (int64_t)aigc_dtype_bytes(storage);
    const unsigned char *p = (const unsigned char *)data + first / block * bytes;
    if (storage == AIGC_BF16 || storage == AIGC_F16) {
        (storage == AIGC_BF16 ? bf16_to_floats : f16_to_floats)(p, n, out);
        return;
    }
    if (storage == AIGC_F32) {
        memcpy(out, p, (size_t)n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < n && block == 1; i++, p += bytes) {
        out[i] = element(storage, p);
    }
    int64_t skip = first % block;
    for (int64_t i = 0; i < n && block > 1; p += bytes) {
        float part[AIGC_BLOCK_MOST];
        int64_t m = block - skip < n - i ? block - skip : n - i;
        bool whole = m == block;
        aigc_block_decode(storage, p, whole ? out + i : part);
        if (!whole) {
            memcpy(out + i, part + skip, (size_t)m * sizeof *out);
        }
        i += m;
        skip = 0;
    }
}

typedef struct number { /* of a whole type, or not */
    bool whole;
    int64_t i;
    double f;
} number;

static int64_t whole_of(number v)
{
    return v.whole         ? v.i
           : v.f >= 9.2e18 ? INT64_MAX
           : v.f > -9.2e18 ? (int64_t)v.f
           : v.f != v.f    ? 0
                           : INT64_MIN;
}

static void floats_to_bf16(const float *in, int64_t n, unsigned char *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = aigc_float_to_bf16(in[i]);
        memcpy(out + 2 * i, &h, sizeof h);
    }
}

static void floats_to_f16(const float *in, int64_t n, unsigned char *out)
{
    enum {
        INFINITE = 0x7f800000,
        LARGE = 0x477ff000,
        SMALLEST_NORMAL = 0x38800000,
        BIAS = 112 << 23
    };
    for (int64_t i = 0; i < n; i++) {
        uint32_t u, size, small;
        memcpy(&u, in + i, sizeof u);
        size = u & 0x7fffffff;
        float f;
        memcpy(&f, &size, sizeof f);
        f += 0.5f; /* rounds to f16's smallest, and leaves multiples of it in the low bits */
        memcpy(&small, &f, sizeof small);
        uint32_t normal = (size - BIAS + 0xfff + (size >> 13 & 1)) >> 13;
        uint32_t h = choose(size < SMALLEST_NORMAL, small - 0x3f000000, normal);
        h = choose(size >= LARGE, 0x7c00, h);
        h |= choose(size > INFINITE, 0x200 | (size >> 13 & 0x3ff), 0);
        uint16_t half = (uint16_t)(h | (u >> 16 & 0x8000));
        memcpy(out + 2 * i, &half, sizeof half);
    }
}

void aigc_convert_from_float(uint8_t storage, void *data, int64_t first, int64_t n, const float *in)
{
    int64_t block = aigc_dtype_block(storage), bytes = (int64_t)aigc_dtype_bytes(storage);
    unsigned char *p = (unsigned char *)data + first / block * bytes;
    if (block > 1) {
        for (int64_t i = 0; i < n; i += block, p += bytes) {
            aigc_block_encode(storage, in + i, p);
        }
        return;
    }
    if (storage == AIGC_BF16 || storage == AIGC_F16) {
        (storage == AIGC_BF16 ? floats_to_bf16 : floats_to_f16)(in, n, p);
        return;
    }
    if (storage == AIGC_F32) {
        memcpy(p, in, (size_t)n * sizeof *in);
        return;
    }
    for (int64_t i = 0; i < n; i++, p += bytes) {
        double d = (double)in[i];
        bool is_float = storage <= AIGC_BF16;
        int64_t v = is_float
                        ? 0
                        : whole_of((number){
                              .f = d}); /* nan and what is too large: no undefined conversion */
        const void *from = storage == AIGC_F64 ? (const void *)&d : (const void *)&v;
        memcpy(p, from, (size_t)bytes);
    }
}

void aigc_convert_run(uint8_t from_storage, const void *data, int64_t first, int64_t n,
                      uint8_t storage, void *out)
{
    enum { RUN = 256 };
    float part[RUN];
    size_t bytes = aigc_dtype_bytes(storage);
    if (from_storage == storage && aigc_dtype_block(storage) == 1) {
        memcpy(out, (const char *)data + (size_t)first * bytes, (size_t)n * bytes);
        return;
    }
    for (int64_t i = 0; i < n; i += RUN) {
        int64_t m = n - i < RUN ? n - i : RUN;
        aigc_convert_to_float(from_storage, data, first + i, m, part);
        aigc_convert_from_float(storage, out, i, m, part);
    }
}

/* Any dense type ----------------------------------------------------------------------------------
 */

static number number_at(const void *data, uint8_t type, int64_t k)
{
    switch (type) {
    case AIGC_F64:
        return (number){.f = ((const double *)data)[k]};
    case AIGC_F32:
        return (number){.f = (double)((const float *)data)[k]};
    case AIGC_F16:
        return (number){.f = (double)aigc_f16_to_float(((const uint16_t *)data)[k])};
    case AIGC_BF16:
        return (number){.f = (double)aigc_bf16_to_float(((const uint16_t *)data)[k])};
    case AIGC_I64:
        return (number){.whole = true, .i = ((const int64_t *)data)[k]};
    case AIGC_I32:
        return (number){.whole = true, .i = ((const int32_t *)data)[k]};
    case AIGC_I16:
        return (number){.whole = true, .i = ((const int16_t *)data)[k]};
    case AIGC_I8:
        return (number){.whole = true, .i = ((const int8_t *)data)[k]};
    default:
        return (number){.whole = true, .i = ((const uint8_t *)data)[k]};
    }
}

static void number_store(void *data, uint8_t type, int64_t k, number v)
{
    double f = v.whole ? (double)v.i : v.f;
    switch (type) {
    case AIGC_F64:
        ((double *)data)[k] = f;
        break;
    case AIGC_F32:
        ((float *)data)[k] = (float)f;
        break;
    case AIGC_F16:
        ((uint16_t *)data)[k] = aigc_float_to_f16((float)f);
        break;
    case AIGC_BF16:
        ((uint16_t *)data)[k] = aigc_float_to_bf16((float)f);
        break;
    case AIGC_I64:
        ((int64_t *)data)[k] = whole_of(v);
        break;
    case AIGC_I32:
        ((int32_t *)data)[k] = (int32_t)whole_of(v);
        break;
    case AIGC_I16:
        ((int16_t *)data)[k] = (int16_t)whole_of(v);
        break;
    case AIGC_I8:
        ((int8_t *)data)[k] = (int8_t)whole_of(v);
        break;
    case AIGC_BOOL:
        ((uint8_t *)data)[k] = v.whole ? v.i != 0 : v.f != 0;
        break;
    default:
        ((uint8_t *)data)[k] = (uint8_t)whole_of(v);
        break;
    }
}

bool aigc_convert(const void *from, uint8_t from_type, void *to, uint8_t to_type, int64_t n)
{
    if (from_type > AIGC_BOOL || to_type > AIGC_BOOL) {
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        number_store(to, to_type, i, number_at(from, from_type, i));
    }
    return true;
}
