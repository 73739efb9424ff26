#include "ir/block.h"

/* Pieces that fill the bits of `run` bytes, the lowest bits first, then those of the next bytes. */
#define PACKED(at, width, run) {at, width, run, 8 / (width), 0, 0, width, run}
#define NONE                   {0}

/* Of q4_K's and q5_K's 12 bytes of scales and mins the first 4 hold scales 0..3, the next 4 mins
 * 0..3, 6 bits each; the last 4 the lower halves of scales and, above them, of mins 4..7, whose
 * upper bits are the uppermost two of the first 8 bytes. */
#define SCALES_6 {{4, 4, 4, 2, 8, 0, 0, 0}, {4, 2, 4, 2, 0, 4, 2, 0}, 0, false}
#define MINS_6   {{8, 4, 4, 2, 4, 0, 4, 0}, {8, 2, 4, 2, 0, 4, 2, 0}, 0, false}

static const ir_block layouts[] = {
    {.storage = IR_STORAGE_q8_0,
     .d_at = 0,
     .m_at = IR_BLOCK_NO_MIN,
     .q = {PACKED(2, 8, 32), NONE, 0, true}},
    {.storage = IR_STORAGE_q4_0,
     .d_at = 0,
     .m_at = IR_BLOCK_NO_MIN,
     .q = {PACKED(2, 4, 16), NONE, 8, false}},
    {.storage = IR_STORAGE_q4_1,
     .d_at = 0,
     .m_at = 2,
     .q = {PACKED(4, 4, 16), NONE, 0, false}},
    {.storage = IR_STORAGE_q5_0,
     .d_at = 0,
     .m_at = IR_BLOCK_NO_MIN,
     .q = {PACKED(6, 4, 16), PACKED(2, 1, 1), 16, false}},
    {.storage = IR_STORAGE_q5_1,
     .d_at = 0,
     .m_at = 2,
     .q = {PACKED(8, 4, 16), PACKED(4, 1, 1), 0, false}},
    {.storage = IR_STORAGE_q2_K, /* a byte of scales: a scale and, above it, a min */
     .d_at = 80,
     .m_at = 82,
     .group = 16,
     .q = {PACKED(16, 2, 32), NONE, 0, false},
     .scales = {{0, 4, 16, 1, 0, 0, 0, 0}, NONE, 0, false},
     .mins = {{0, 4, 16, 1, 0, 4, 0, 0}, NONE, 0, false}},
    {.storage = IR_STORAGE_q3_K,
     .d_at = 108,
     .m_at = IR_BLOCK_NO_MIN,
     .group = 16,
     .q = {PACKED(32, 2, 32), PACKED(0, 1, 32), 4, false},
     .scales = {PACKED(96, 4, 8), PACKED(104, 2, 4), 32, false}},
    {.storage = IR_STORAGE_q4_K,
     .d_at = 0,
     .m_at = 2,
     .group = 32,
     .q = {PACKED(16, 4, 32), NONE, 0, false},
     .scales = SCALES_6,
     .mins = MINS_6},
    {.storage = IR_STORAGE_q5_K,
     .d_at = 0,
     .m_at = 2,
     .group = 32,
     .q = {PACKED(48, 4, 32), PACKED(16, 1, 32), 0, false},
     .scales = SCALES_6,
     .mins = MINS_6},
    {.storage = IR_STORAGE_q6_K,
     .d_at = 208,
     .m_at = IR_BLOCK_NO_MIN,
     .group = 16,
     .q = {PACKED(0, 4, 64), PACKED(128, 2, 32), 32, false},
     .scales = {PACKED(192, 8, 16), NONE, 0, true}},
};

const ir_block *ir_block_of(ir_storage s)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (layouts[i].storage == s) {
            return &layouts[i];
        }
    }
    return NULL;
}

static uint32_t piece(ir_block_bits p, const unsigned char *block, uint32_t i)
{
    if (p.width == 0) {
        return 0;
    }
    uint32_t turn = i / p.run % p.turns, round = i / p.run / p.turns;
    uint32_t byte = p.at + i % p.run + turn * p.byte_step + round * p.span;
    return (uint32_t)block[byte] >> (p.shift + turn * p.shift_step) & ((1u << p.width) - 1);
}

static float number(const ir_block_numbers *n, const unsigned char *block, uint32_t i)
{
    uint32_t v = piece(n->low, block, i) | piece(n->high, block, i) << n->low.width;
    return (float)(n->is_signed ? (int8_t)v : (int)v - n->zero);
}

float ir_block_weight(const ir_block *l, const void *blocks, size_t i)
{
    uint32_t block = ir_storage_block(l->storage), k = (uint32_t)(i % block);
    const unsigned char *b = blocks;
    b += i / block * ir_storage_block_bytes(l->storage);
    float scale = (float)ir_dtype_load(IR_f16, b + l->d_at, 0);
    if (l->group) {
        scale *= number(&l->scales, b, k / l->group);
    }
    float v = scale * number(&l->q, b, k);
    if (l->m_at == IR_BLOCK_NO_MIN) {
        return v;
    }
    float m = (float)ir_dtype_load(IR_f16, b + l->m_at, 0);
    return l->group ? v - m * number(&l->mins, b, k / l->group) : v + m;
}
