/* Weights in blocks: two blocks of pseudo-random bits, decoded by the interpreter's table and by
 * the runtime, against what ggml's dequantize_row_* made of the same bits. */
#include "ir/block.h"
#include "runtime/blocks.h"
#include "runtime/convert.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_BYTES = 210 };

static const struct {
    const char *name;
    uint32_t block, bytes;
    int d_at, m_at;    /* of the f16 numbers; -1: none */
    uint64_t hash;     /* of all weights, see hash_of */
    float examples[3]; /* weights 1, the first block's last, the second block's fifth last */
} formats[] = {
    {"q8_0", 32,  34,  0,   -1, 0xc91586337a645125, {-7.59814453f, -0.49987793f, 1.00326538f}    },
    {"q4_0", 32,  18,  0,   -1, 0xef8e1853b602a825, {-0.399902344f, -0.299926758f, 0.0601959229f}},
    {"q4_1", 32,  20,  0,   2,  0x15ae2813e519fc25, {1.12866211f, 0.528808594f, 0.0448608398f}   },
    {"q5_0", 32,  22,  0,   -1, 0x2ce9af8196ba7625, {-0.199951172f, -1.49963379f, 0.050163269f}  },
    {"q5_1", 32,  24,  0,   2,  0x96cca786e0de2225, {0.0289306641f, 1.82849121f, -0.0855636597f} },
    {"q2_K", 256, 84,  80,  82, 0xb3bb280360e24345, {4.41210938f, 6.2644043f, -0.875854492f}     },
    {"q3_K", 256, 110, 108, -1, 0xf7cf185b7e49d2a5, {0.699829102f, 10.7973633f, 0}               },
    {"q4_K", 256, 144, 0,   2,  0x5dc86ee13ec094d5, {4.68310547f, 47.0914307f, -8.52790833f}     },
    {"q5_K", 256, 176, 0,   2,  0xf7d7aea4fc9cb35d, {38.2749023f, 29.8956299f, -18.1261444f}     },
    {"q6_K", 256, 210, 208, -1, 0xeaac10b7d996fdd3, {8.19799805f, 0, 14.286499f}                 },
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* The bits ggml was given: upper bytes of a linear congruential sequence, but for the f16 numbers.
 */
static void make_blocks(size_t format, unsigned char *out)
{
    static const uint16_t d[2] = {0x2e66, 0xa123}, m[2] = {0xb456, 0x3001};
    uint32_t bytes = formats[format].bytes, s = 1;
    for (uint32_t i = 0; i < 2 * bytes; i++) {
        s = s * 1664525u + 1013904223u;
        out[i] = (unsigned char)(s >> 24);
    }
    for (int k = 0; k < 2; k++) {
        memcpy(out + k * bytes + formats[format].d_at, &d[k], 2);
        if (formats[format].m_at >= 0) {
            memcpy(out + k * bytes + formats[format].m_at, &m[k], 2);
        }
    }
}

/* FNV-1a over the bits of floats, -0 taken as 0. */
static uint64_t hash_of(const float *w, uint32_t n)
{
    uint64_t h = 14695981039346656037u;
    for (uint32_t i = 0; i < n; i++) {
        float f = w[i] + 0.0f;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        h = (h ^ bits) * 1099511628211u;
    }
    return h;
}

static void check(size_t format, const char *whose, const float *w)
{
    uint32_t n = 2 * formats[format].block;
    const float found[3] = {w[1], w[n / 2 - 1], w[n - 5]};
    for (int i = 0; i < 3; i++) {
        if (found[i] != formats[format].examples[i]) {
            fail_msg("%s, %s: %.9g, not %.9g", formats[format].name, whose, (double)found[i],
                     (double)formats[format].examples[i]);
        }
    }
    if (hash_of(w, n) != formats[format].hash) {
        fail_msg("%s, %s: other weights", formats[format].name, whose);
    }
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        unsigned char blocks[2 * MOST_BYTES];
        float w[2 * AIGC_BLOCK_MOST];
        uint32_t n = 2 * formats[i].block;
        ir_storage s;
        make_blocks(i, blocks);
        assert_true(ir_storage_from_name(formats[i].name, &s));
        ir_storage_decode(s, blocks, n, w);
        check(i, "ir", w);
        memset(w, 0, sizeof w);
        aigc_convert_to_float((uint8_t)s, blocks, 0, n, w);
        check(i, "runtime", w);
    }
}

/* Beginning and ending anywhere. */
static void test_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        unsigned char blocks[2 * MOST_BYTES];
        float all[2 * AIGC_BLOCK_MOST], part[2 * AIGC_BLOCK_MOST];
        uint32_t n = 2 * formats[i].block;
        ir_storage s;
        make_blocks(i, blocks);
        assert_true(ir_storage_from_name(formats[i].name, &s));
        ir_storage_decode(s, blocks, n, all);
        for (uint32_t first = 0; first < n; first += 7) {
            for (uint32_t m = 0; m <= n - first; m += 13) {
                part[m] = 1234;
                aigc_convert_to_float((uint8_t)s, blocks, first, m, part);
                assert_true(part[m] == 1234);
                assert_memory_equal(part, all + first, m * sizeof *part);
            }
        }
    }
}

/* The tables of ir, runtime and this test agree, and none is left out. */
static void test_tables(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (uint32_t number = 0; number < 256; number++) {
        const char *name = ir_storage_name((ir_storage)number);
        if (!name) {
            assert_string_equal(aigc_dtype_name((uint8_t)number), "unknown");
            continue;
        }
        assert_string_equal(aigc_dtype_name((uint8_t)number), name);
        ir_storage s = (ir_storage)number;
        assert_int_equal(aigc_dtype_block((uint8_t)number), ir_storage_block(s));
        assert_int_equal(aigc_dtype_bytes((uint8_t)number), ir_storage_block_bytes(s));
        assert_int_equal(ir_block_of(s) != NULL, !ir_storage_is_dense(s));
        for (size_t i = 0; i < N_FORMATS && !ir_storage_is_dense(s); i++) {
            if (strcmp(formats[i].name, name) == 0) {
                assert_int_equal(ir_storage_block(s), formats[i].block);
                assert_int_equal(ir_storage_block_bytes(s), formats[i].bytes);
                n++;
            }
        }
    }
    assert_int_equal(n, N_FORMATS);
}

/* Random weights are numbers, and not large, whatever the bits around their scales. */
static void test_random(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_FORMATS; i++) {
        unsigned char blocks[2 * MOST_BYTES];
        float w[2 * AIGC_BLOCK_MOST];
        ir_storage s;
        make_blocks(i, blocks);
        assert_true(ir_storage_from_name(formats[i].name, &s));
        for (uint32_t k = 0; k < 2; k++) {
            memset(blocks + k * formats[i].bytes + formats[i].d_at, 0xff, 2);
            aigc_block_scale((uint8_t)s, blocks + k * formats[i].bytes, k ? -0.05f : 0.05f);
        }
        ir_storage_decode(s, blocks, 2 * formats[i].block, w);
        for (uint32_t k = 0; k < 2 * formats[i].block; k++) {
            assert_true(fabsf(w[k]) < 0.2f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
