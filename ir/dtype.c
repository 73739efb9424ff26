#include "ir/dtype.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
    ir_kind kind;
} dtypes[IR_DTYPE_COUNT] = {
#define DTYPE(name, bytes, kind) {#name, bytes, kind},
#include "ir/dtypes.def"
};

const char *ir_dtype_name(ir_dtype t)
{
    return dtypes[t].name;
}

size_t ir_dtype_bytes(ir_dtype t)
{
    return dtypes[t].bytes;
}

ir_kind ir_dtype_kind(ir_dtype t)
{
    return dtypes[t].kind;
}

bool ir_dtype_from_name(const char *name, ir_dtype *t)
{
    for (int i = 0; i < IR_DTYPE_COUNT; i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            *t = (ir_dtype)i;
            return true;
        }
    }
    return false;
}

static float half_to_float(uint16_t h)
{
    _Float16 x;
    memcpy(&x, &h, 2);
    return (float)x;
}

static uint16_t half_from_double(double v)
{
    _Float16 x = (_Float16)v;
    uint16_t h;
    memcpy(&h, &x, 2);
    return h;
}

/* Through f32 would round twice; the f64's low bits are folded into a sticky bit first. */
static uint16_t bf16_from_double(double v)
{
    float f = (float)v;
    if (isnan(v)) {
        return 0x7fc0;
    }
    uint32_t u;
    memcpy(&u, &f, 4);
    if (isfinite(f) && (double)f != v && (u & 0xffff) == 0x8000) {
        u += fabs((double)f) < fabs(v) ? 1 : 0;
        u -= fabs((double)f) > fabs(v) ? 1 : 0;
    }
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

double ir_dtype_load(ir_dtype t, const void *bytes, size_t index)
{
    const unsigned char *p = (const unsigned char *)bytes + index * dtypes[t].bytes;
    double d;
    float f;
    uint16_t h;
    switch (t) {
    case IR_f64:
        memcpy(&d, p, 8);
        return d;
    case IR_f32:
        memcpy(&f, p, 4);
        return f;
    case IR_f16:
        memcpy(&h, p, 2);
        return half_to_float(h);
    case IR_bf16: {
        memcpy(&h, p, 2);
        uint32_t u = (uint32_t)h << 16;
        memcpy(&f, &u, 4);
        return f;
    }
    default:
        return (double)ir_dtype_load_i64(t, bytes, index);
    }
}

void ir_dtype_store(ir_dtype t, void *bytes, size_t index, double value)
{
    unsigned char *p = (unsigned char *)bytes + index * dtypes[t].bytes;
    float f = (float)value;
    uint16_t h;
    switch (t) {
    case IR_f64:
        memcpy(p, &value, 8);
        return;
    case IR_f32:
        memcpy(p, &f, 4);
        return;
    case IR_f16:
        h = half_from_double(value);
        memcpy(p, &h, 2);
        return;
    case IR_bf16:
        h = bf16_from_double(value);
        memcpy(p, &h, 2);
        return;
    case IR_bool:
        *p = value != 0;
        return;
    default: {
        double clipped = isnan(value)      ? 0
                         : value < -9.2e18 ? -9.2e18
                         : value > 9.2e18  ? 9.2e18
                                           : value;
        ir_dtype_store_i64(t, bytes, index, (int64_t)clipped);
    }
    }
}

int64_t ir_dtype_load_i64(ir_dtype t, const void *bytes, size_t index)
{
    const unsigned char *p = (const unsigned char *)bytes + index * dtypes[t].bytes;
    int64_t i64;
    int32_t i32;
    int16_t i16;
    switch (t) {
    case IR_i64:
        memcpy(&i64, p, 8);
        return i64;
    case IR_i32:
        memcpy(&i32, p, 4);
        return i32;
    case IR_i16:
        memcpy(&i16, p, 2);
        return i16;
    case IR_i8:
        return (int8_t)*p;
    case IR_u8:
        return *p;
    case IR_bool:
        return *p != 0;
    default:
        return (int64_t)ir_dtype_load(t, bytes, index);
    }
}

void ir_dtype_store_i64(ir_dtype t, void *bytes, size_t index, int64_t value)
{
    unsigned char *p = (unsigned char *)bytes + index * dtypes[t].bytes;
    if (t == IR_bool) {
        *p = value != 0;
    } else if (dtypes[t].kind == IR_KIND_INT) {
        memcpy(p, &value, dtypes[t].bytes); /* little endian: the low bytes are the wrapped value */
    } else {
        ir_dtype_store(t, bytes, index, (double)value);
    }
}
