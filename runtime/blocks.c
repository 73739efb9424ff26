#include "runtime/blocks.h"
#include "runtime/convert.h"

#include <string.h>

static float half_at(const unsigned char *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return aigc_f16_to_float(h);
}

/* Blocks of 32: f16 d; (f16 m;) (u32 of fifth bits;) 16 bytes, byte i with weight i in its low and
 * weight i + 16 in its high half. */

static void decode_q8_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) {
        out[i] = d * (float)(int8_t)b[2 + i];
    }
}

static void decode_q4_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((b[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((b[2 + i] >> 4) - 8);
    }
}

static void decode_q4_1(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(b[4 + i] & 15) + m;
        out[i + 16] = d * (float)(b[4 + i] >> 4) + m;
    }
}

static int fifth_bit(const unsigned char *bits, int i)
{
    return (bits[i / 8] >> i % 8 & 1) << 4;
}

static void decode_q5_0(const unsigned char *b, float *out)
{
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(((b[6 + i] & 15) | fifth_bit(b + 2, i)) - 16);
        out[i + 16] = d * (float)((b[6 + i] >> 4 | fifth_bit(b + 2, i + 16)) - 16);
    }
}

static void decode_q5_1(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((b[8 + i] & 15) | fifth_bit(b + 4, i)) + m;
        out[i + 16] = d * (float)(b[8 + i] >> 4 | fifth_bit(b + 4, i + 16)) + m;
    }
}

/* Blocks of 256. 2-bit pieces: 32 bytes hold 128 weights, those of the first 32 lowest. */

/* u8 scales[16], a scale and above it a min; u8 q[64]; f16 d, m */
static void decode_q2_K(const unsigned char *b, float *out)
{
    float d = half_at(b + 80), m = half_at(b + 82);
    for (int i = 0; i < 256; i++) {
        unsigned char scale = b[i / 16], q = b[16 + i / 128 * 32 + i % 32];
        out[i] =
            d * (float)(scale & 15) * (float)(q >> i / 32 % 4 * 2 & 3) - m * (float)(scale >> 4);
    }
}

/* u8 high[32], bit i / 32 of byte i % 32; u8 q[64]; u8 scales[12]; f16 d. The 16 scales have their
 * lower 4 bits in bytes 0..7, their upper 2 in bytes 8..11. */
static void decode_q3_K(const unsigned char *b, float *out)
{
    const unsigned char *scales = b + 96;
    float d = half_at(b + 108);
    for (int k = 0; k < 16; k++) {
        int low = scales[k % 8] >> k / 8 * 4 & 15, high = scales[8 + k % 4] >> k / 4 * 2 & 3;
        float scale = d * (float)((low | high << 4) - 32);
        for (int i = k * 16; i < k * 16 + 16; i++) {
            int q = b[32 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
            out[i] = scale * (float)(q - (b[i % 32] >> i / 32 & 1 ? 0 : 4));
        }
    }
}

/* Scale and min k of 8, 6 bits each, out of the 12 bytes of q4_K and q5_K. */
static void six_bits(const unsigned char *s, int k, float *scale, float *min)
{
    bool first = k < 4;
    *scale = (float)(first ? s[k] & 63 : (s[k + 4] & 15) | s[k - 4] >> 6 << 4);
    *min = (float)(first ? s[k + 4] & 63 : s[k + 4] >> 4 | s[k] >> 6 << 4);
}

/* f16 d, m; u8 scales[12]; u8 q[128]: 32 bytes hold 64 weights, those of the first 32 lower. */
static void decode_q4_K(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2), scale, min;
    for (int k = 0; k < 8; k++) {
        six_bits(b + 4, k, &scale, &min);
        for (int i = 0; i < 32; i++) {
            int q = b[16 + k / 2 * 32 + i] >> k % 2 * 4 & 15;
            out[k * 32 + i] = d * scale * (float)q - m * min;
        }
    }
}

/* The same with u8 high[32] before q: bit i / 32 of byte i % 32. */
static void decode_q5_K(const unsigned char *b, float *out)
{
    float d = half_at(b), m = half_at(b + 2), scale, min;
    for (int k = 0; k < 8; k++) {
        six_bits(b + 4, k, &scale, &min);
        for (int i = 0; i < 32; i++) {
            int q = (b[48 + k / 2 * 32 + i] >> k % 2 * 4 & 15) | (b[16 + i] >> k & 1) << 4;
            out[k * 32 + i] = d * scale * (float)q - m * min;
        }
    }
}

/* u8 low[128]: 64 bytes hold 128 weights, those of the first 64 lower; u8 high[64]; i8 scales[16];
 * f16 d */
static void decode_q6_K(const unsigned char *b, float *out)
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int low = b[i / 128 * 64 + i % 64] >> i / 64 % 2 * 4 & 15,
            high = b[128 + i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
        out[i] = d * (float)(int8_t)b[192 + i / 16] * (float)((low | high << 4) - 32);
    }
}

/* most, most_m: about what d and m are multiplied by at most */
static const struct {
    void (*decode)(const unsigned char *block, float *out);
    uint16_t most, d_at;
    uint8_t most_m, m_at; /* most_m 0: there is no m */
} formats[] = {
    [AIGC_Q8_0] = {decode_q8_0, 64,   0,   0,  0 },
      [AIGC_Q4_0] = {decode_q4_0, 64,   0,   0,  0 },
    [AIGC_Q4_1] = {decode_q4_1, 16,   0,   1,  2 },
      [AIGC_Q5_0] = {decode_q5_0, 16,   0,   0,  0 },
    [AIGC_Q5_1] = {decode_q5_1, 32,   0,   1,  2 },
      [AIGC_Q2_K] = {decode_q2_K, 45,   80,  15, 82},
    [AIGC_Q3_K] = {decode_q3_K, 128,  108, 0,  0 },
      [AIGC_Q4_K] = {decode_q4_K, 945,  0,   63, 2 },
    [AIGC_Q5_K] = {decode_q5_K, 1953, 0,   63, 2 },
      [AIGC_Q6_K] = {decode_q6_K, 4096, 208, 0,  0 },
};

void aigc_block_decode(uint8_t storage, const unsigned char *block, float *out)
{
    formats[storage].decode(block, out);
}

void aigc_block_scale(uint8_t storage, unsigned char *block, float size)
{
    uint16_t d = aigc_float_to_f16(size / formats[storage].most);
    memcpy(block + formats[storage].d_at, &d, 2);
    if (formats[storage].most_m) {
        uint16_t m = aigc_float_to_f16(size / formats[storage].most_m);
        memcpy(block + formats[storage].m_at, &m, 2);
    }
}
