#include "runtime/quantize_blocks.h"
#include "runtime/convert.h"

#include <math.h>

enum { BLOCK = 32, INFINITE = 0x7f800000, NO_SIGN = 0x7fffffff };

/* Sizes of floats are in the order of their bits without the sign; nans are above infinity. */
static uint32_t size_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & NO_SIGN;
}

static uint32_t largest_size(const float *in)
{
    uint32_t most = 0;
    for (int i = 0; i < BLOCK; i++) {
        uint32_t size = size_bits(in[i]);
        most = size > most ? size : most;
    }
    return most;
}

static float first_of_size(const float *in, uint32_t size)
{
    int i = 0;
    while (i + 1 < BLOCK && size_bits(in[i]) != size) {
        i++;
    }
    return size ? in[i] : 0;
}

/* Writes d; what x is to be multiplied by, 0 where all weights are 0 or nan. */
static float put_scale(float d, bool finite, unsigned char *block)
{
    uint16_t half = aigc_float_to_f16(finite ? d : NAN);
    float reciprocal = 1 / (d != 0 ? d : 1);
    memcpy(block, &half, sizeof half);
    return finite && d != 0 && size_bits(reciprocal) < INFINITE ? reciprocal : 0;
}

static void encode_q8_0(const float *in, unsigned char *block)
{
    float none[BLOCK] = {0};
    uint32_t size = largest_size(in);
    float most;
    memcpy(&most, &size, sizeof most);
    float by = put_scale(most / 127, size < INFINITE, block);
    in = by != 0 ? in : none;
    for (int i = 0; i < BLOCK; i++) {
        float x = in[i] * by;
        int q = (int)x;
        float rest = x - (float)q; /* exact */
        block[2 + i] = (unsigned char)(q + (rest >= 0.5f) - (rest <= -0.5f));
    }
}

static void encode_q4_0(const float *in, unsigned char *block)
{
    float none[BLOCK] = {0};
    unsigned char q[BLOCK];
    uint32_t size = largest_size(in);
    float by = put_scale(first_of_size(in, size) / -8, size < INFINITE, block);
    in = by != 0 ? in : none;
    for (int i = 0; i < BLOCK; i++) {
        int v = (int)(in[i] * by + 8.5f);
        q[i] = (unsigned char)(v < 15 ? v : 15);
    }
    for (int i = 0; i < BLOCK / 2; i++) {
        block[2 + i] = (unsigned char)(q[i] | q[i + BLOCK / 2] << 4);
    }
}

static void (*const encoders[])(const float *in, unsigned char *block) = {
    [AIGC_Q8_0] = encode_q8_0,
    [AIGC_Q4_0] = encode_q4_0,
};

bool aigc_block_is_made(uint8_t storage)
{
    return storage < sizeof encoders / sizeof *encoders && encoders[storage];
}

void aigc_block_encode(uint8_t storage, const float *in, unsigned char *block)
{
    encoders[storage](in, block);
}
