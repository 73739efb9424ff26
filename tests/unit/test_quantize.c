/* Floats put into blocks: against the bytes that ggml's reference gives, written out in numpy; how
 * far off weights may be; numbers that ggml has no answer for; and packed as products read them. */
#include "runtime/blocks.h"
#include "runtime/convert.h"
#include "runtime/pack_blocks.h"
#include "runtime/quantize_blocks.h"
#include "tests/unit/pack_all.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BLOCK = 32, MOST_BYTES = 34 };

static const struct {
    uint8_t storage;
    uint64_t hash; /* of 256 blocks, see hash_of */
    float examples[3];
    float steps, largest; /* 127 or 8 steps to the largest weight; what x may be off by, in steps */
} formats[] = {
    {AIGC_Q8_0, 0xa1ffc139133731dd, {0, -1.066650390625f, -47290.5f},                127, 0.5f},
    {AIGC_Q4_0, 0x2a59adfe2c3f5453, {-2.384185791015625e-07f, -0.99609375f, -48432}, 8,   1   },
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1;
}

/* FNV-1a. */
static uint64_t hash_of(const unsigned char *bytes, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ bytes[i]) * 1099511628211u;
    }
    return h;
}

/* Blocks from 2^-20 to 2^19 in size. */
static void test_reference(void **state)
{
    (void)state;
    enum { BLOCKS = 256 };
    static const int places[3] = {1, 700, 5003};
    float x[BLOCKS * BLOCK], y[BLOCKS * BLOCK];
    uint32_t seed = 1;
    for (int i = 0; i < BLOCKS * BLOCK; i++) {
        x[i] = ldexpf(number(&seed), i / BLOCK % 40 - 20);
    }
    for (size_t f = 0; f < N_FORMATS; f++) {
        unsigned char blocks[BLOCKS * MOST_BYTES];
        uint8_t s = formats[f].storage;
        aigc_convert_from_float(s, blocks, 0, BLOCKS * BLOCK, x);
        aigc_convert_to_float(s, blocks, 0, BLOCKS * BLOCK, y);
        for (int i = 0; i < 3; i++) {
            if (y[places[i]] != formats[f].examples[i]) {
                fail_msg("%s: %.9g, not %.9g", aigc_dtype_name(s), (double)y[places[i]],
                         (double)formats[f].examples[i]);
            }
        }
        assert_true(hash_of(blocks, BLOCKS * aigc_dtype_bytes(s)) == formats[f].hash);
    }
}

/* A weight is off by half a step (q4_0: by one, where 8 steps up are wanted and 7 are there), and
 * by what the step itself is rounded by. */
static void test_distance(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (size_t f = 0; f < N_FORMATS; f++) {
        for (int turn = 0; turn < 20000; turn++) {
            float x[BLOCK], y[BLOCK], most = 0;
            unsigned char block[MOST_BYTES];
            for (int i = 0; i < BLOCK; i++) {
                x[i] = number(&seed) * (turn % 3 ? 1 : number(&seed));
                most = fmaxf(most, fabsf(x[i]));
            }
            aigc_block_encode(formats[f].storage, x, block);
            aigc_block_decode(formats[f].storage, block, y);
            float step = most / formats[f].steps;
            for (int i = 0; i < BLOCK; i++) {
                float bound = formats[f].largest * step + most / 2048 + FLT_EPSILON;
                if (!(fabsf(x[i] - y[i]) <= bound)) {
                    fail_msg("%s: %.9g becomes %.9g, %.3g is allowed",
                             aigc_dtype_name(formats[f].storage), (double)x[i], (double)y[i],
                             (double)bound);
                }
            }
        }
    }
}

/* Numbers that a block can hold come back as they are; halves go away from zero. */
static void test_exact(void **state)
{
    (void)state;
    float x[BLOCK], y[BLOCK];
    unsigned char block[MOST_BYTES];
    for (int i = 0; i < BLOCK; i++) {
        x[i] = (float)(i * 8 - 121) / 64;
    }
    x[31] = 127.0f / 64;
    aigc_block_encode(AIGC_Q8_0, x, block);
    aigc_block_decode(AIGC_Q8_0, block, y);
    assert_memory_equal(x, y, sizeof x);
    for (int i = 0; i < BLOCK; i++) {
        x[i] = (float)(i % 16 - 8) / 4;
    }
    aigc_block_encode(AIGC_Q4_0, x, block);
    aigc_block_decode(AIGC_Q4_0, block, y);
    assert_memory_equal(x, y, sizeof x);
    static const float halves[] = {0.5f, -0.5f, 1.5f, -1.5f, 0.49999997f, -0.49999997f, 126.5f};
    static const signed char whole[] = {1, -1, 2, -2, 0, 0, 127};
    memset(x, 0, sizeof x);
    memcpy(x, halves, sizeof halves);
    x[31] = -127;
    aigc_block_encode(AIGC_Q8_0, x, block);
    assert_memory_equal(block + 2, whole, sizeof whole);
}

static void expect_all(uint8_t storage, const float *x, float wanted)
{
    unsigned char block[MOST_BYTES];
    float y[BLOCK];
    aigc_block_encode(storage, x, block);
    aigc_block_decode(storage, block, y);
    for (int i = 0; i < BLOCK; i++) {
        if (!(isnan(wanted) ? isnan(y[i]) : y[i] == wanted)) {
            fail_msg("%s, with %g: %g, not %g", aigc_dtype_name(storage), (double)x[3],
                     (double)y[i], (double)wanted);
        }
    }
}

static void test_odd_numbers(void **state)
{
    (void)state;
    static const float odd[] = {NAN, -NAN, INFINITY, -INFINITY};
    static const float small[] = {0, -0.0f, FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e-40f, -FLT_MIN, 1e-37f};
    for (size_t f = 0; f < N_FORMATS; f++) {
        float x[BLOCK];
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            for (int i = 0; i < BLOCK; i++) {
                x[i] = i == 3 ? odd[k] : (float)i;
            }
            expect_all(formats[f].storage, x, NAN);
        }
        for (size_t k = 0; k < sizeof small / sizeof *small; k++) {
            for (int i = 0; i < BLOCK; i++) {
                x[i] = i == 3 ? small[k] : i == 20 ? -small[k] : 0;
            }
            expect_all(formats[f].storage, x, 0);
        }
        /* Scales beyond f16's largest are infinite, as ggml's are. */
        unsigned char block[MOST_BYTES];
        float y[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            x[i] = i % 2 ? FLT_MAX : -FLT_MAX;
        }
        aigc_block_encode(formats[f].storage, x, block);
        aigc_block_decode(formats[f].storage, block, y);
        assert_true(isinf(y[0]) && isinf(y[1]) && y[0] < 0 && y[1] > 0);
    }
    assert_false(aigc_block_is_made(AIGC_Q4_1));
    assert_false(aigc_block_is_made(AIGC_F16));
    assert_false(aigc_block_is_made(AIGC_DTYPE_NONE));
}

/* Packing ---------------------------------------------------------------------------------------
 */

/* [n, k] put into blocks first and packed then is what [n, k], and [k, n], are packed to at once.
 */
static void check_packed(uint8_t storage, uint8_t dtype, int64_t n, int64_t k)
{
    float *x = malloc((size_t)(n * k) * sizeof *x + 1), *turned = malloc((size_t)(n * k) * 4 + 1);
    void *source = malloc((size_t)(n * k) * 8 + 1);
    uint32_t seed = (uint32_t)(n + k);
    for (int64_t i = 0; i < n * k; i++) {
        x[i] = number(&seed);
    }
    aigc_convert_from_float(dtype, source, 0, n * k, x);
    aigc_convert_to_float(dtype, source, 0, n * k, x); /* as the file has them */
    int64_t dims[2] = {n, k}, turned_dims[2] = {k, n};
    aigc_abi_param rows = {.storage = storage, .rank = 2, .dims = dims}, panels = rows, depths;
    panels.layout = AIGC_LAYOUT_PANELS;
    panels.panel = AIGC_BLOCK_ROWS;
    depths = panels;
    depths.dims = turned_dims;
    depths.pack_transposed = 1;
    unsigned char *blocks = pack_all(&rows, dtype, source),
                  *once = pack_all(&panels, dtype, source),
                  *twice = pack_all(&panels, storage, blocks);
    size_t bytes = (size_t)aigc_param_bytes(&panels);
    assert_memory_equal(once, twice, bytes);
    for (int64_t i = 0; i < n * k; i++) {
        turned[i % k * n + i / k] = x[i];
    }
    aigc_convert_from_float(dtype, source, 0, n * k, turned);
    unsigned char *down = pack_all(&depths, dtype, source);
    assert_int_equal(aigc_param_bytes(&depths), bytes);
    assert_memory_equal(once, down, bytes);
    void *all[] = {x, turned, source, blocks, once, twice, down};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]);
    }
}

static void test_packed(void **state)
{
    (void)state;
    static const uint8_t dtypes[] = {AIGC_F32, AIGC_F16, AIGC_BF16, AIGC_F64};
    static const int64_t ns[] = {0, 1, 2, 15, 16, 17, 31, 33, 131}, ks[] = {0, 32, 64, 96, 4128};
    for (size_t f = 0; f < N_FORMATS; f++) {
        for (size_t d = 0; d < 4; d++) {
            for (size_t n = 0; n < sizeof ns / sizeof *ns; n++) {
                for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
                    check_packed(formats[f].storage, dtypes[d], ns[n], ks[k]);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_exact),     cmocka_unit_test(test_odd_numbers),
        cmocka_unit_test(test_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
