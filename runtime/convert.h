/* Elements of any storage to and from float; rounds to nearest even. */
#ifndef AIGC_RUNTIME_CONVERT_H
#define AIGC_RUNTIME_CONVERT_H

#include "runtime/aigc.h"

#include <string.h>

static inline float aigc_bf16_to_float(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline uint16_t aigc_float_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return f != f ? 0x7fc0 : (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

static inline float aigc_f16_to_float(uint16_t h)
{
    _Float16 x;
    memcpy(&x, &h, 2);
    return (float)x;
}

static inline uint16_t aigc_float_to_f16(float f)
{
    _Float16 x = (_Float16)f;
    uint16_t h;
    memcpy(&h, &x, 2);
    return h;
}

/* n elements beginning at element `first`, as floats. */
void aigc_convert_to_float(uint8_t storage, const void *data, int64_t first, int64_t n, float *out);
/* n floats at element `first`; whole blocks, where the storage has blocks, and only of those that
 * can be made (quantize_blocks.h). */
void aigc_convert_from_float(uint8_t storage, void *data, int64_t first, int64_t n,
                             const float *in);
/* n elements, from element `first` on, of one storage of floats in another; whole blocks of it. */
void aigc_convert_run(uint8_t from_storage, const void *data, int64_t first, int64_t n,
                      uint8_t storage, void *out);
/* n elements of one dense type to another, in order: whole numbers exactly where they fit, others
 * rounded to nearest, floats to whole numbers towards zero. False for block storages. */
bool aigc_convert(const void *from, uint8_t from_type, void *to, uint8_t to_type, int64_t n);

#endif
