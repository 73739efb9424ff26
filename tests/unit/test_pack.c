/* Every layout of parameters against its description: any sizes, from any storage, in pieces taken
 * in any order. */
#include "runtime/convert.h"
#include "runtime/pack_blocks.h"
#include "tests/unit/pack_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PANEL = 8 };

/* Numbers that every storage holds exactly. */
static float number(int64_t i)
{
    return (float)((i * 37 + 11) % 127 - 63);
}

static void *source_of(uint8_t dtype, int64_t n_elems)
{
    float *x = malloc((size_t)n_elems * sizeof *x + 1);
    void *out = malloc((size_t)n_elems * aigc_dtype_bytes(dtype) + 1);
    for (int64_t i = 0; i < n_elems; i++) {
        x[i] = number(i);
    }
    aigc_convert_from_float(dtype, out, 0, n_elems, x);
    free(x);
    return out;
}

/* The element for column n of the product's result at step k: 0 in the padding. */
static float wanted(const aigc_abi_param *p, int64_t n, int64_t k)
{
    int64_t columns = p->dims[p->pack_transposed ? 1 : 0],
            depth = p->dims[p->pack_transposed ? 0 : 1];
    return n >= columns || k >= depth
               ? 0
               : number(p->pack_transposed ? k * columns + n : n * depth + k);
}

static void check_dense(uint8_t layout, uint8_t storage, uint8_t dtype, bool transposed,
                        int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns}, steps = layout == AIGC_LAYOUT_PAIRS ? 2 : 1,
            depth = transposed ? rows : columns, filled = (depth + steps - 1) / steps * steps;
    aigc_abi_param p = {.layout = layout,
                        .storage = storage,
                        .rank = 2,
                        .dims = dims,
                        .panel = PANEL,
                        .pack_transposed = transposed};
    void *data = source_of(dtype, rows * columns), *out = pack_all(&p, dtype, data);
    int64_t n_elems = aigc_param_bytes(&p) / (int64_t)aigc_dtype_bytes(storage);
    for (int64_t i = 0; i < n_elems; i++) {
        int64_t in_panel = i % (filled * PANEL), step = in_panel / (PANEL * steps),
                in_step = in_panel % (PANEL * steps);
        int64_t n = i / (filled * PANEL) * PANEL + in_step / steps,
                k = step * steps + in_step % steps;
        float x;
        aigc_convert_to_float(storage, out, i, 1, &x);
        if (x != wanted(&p, n, k)) {
            fail_msg("layout %d of %s from %s, %lld x %lld%s: column %lld, step %lld", layout,
                     aigc_dtype_name(storage), aigc_dtype_name(dtype), (long long)rows,
                     (long long)columns, transposed ? " kn" : "", (long long)n, (long long)k);
        }
    }
    free(data);
    free(out);
}

static void test_dense(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 131};
    static const uint8_t dtypes[] = {AIGC_F32, AIGC_F16, AIGC_BF16, AIGC_F64};
    static const struct {
        uint8_t layout, storage;
    } forms[] = {
        {AIGC_LAYOUT_PANELS, AIGC_F32 },
        {AIGC_LAYOUT_PANELS, AIGC_F16 },
        {AIGC_LAYOUT_PANELS, AIGC_BF16},
        {AIGC_LAYOUT_PAIRS,  AIGC_BF16},
    };
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        for (int i = 0; i < SIZES * SIZES * 4 * 2; i++) {
            check_dense(forms[f].layout, forms[f].storage, dtypes[i / 2 % 4], i % 2,
                        sizes[i / 8 % SIZES], sizes[i / 8 / SIZES]);
        }
    }
}

/* The weight of output n, input c and a tap: 0 in the padding. */
static float wanted_tap(const aigc_abi_param *p, int64_t n, int64_t c, int64_t tap, int64_t taps)
{
    int64_t outs = p->dims[p->pack_transposed ? 1 : 0], ins = p->dims[p->pack_transposed ? 0 : 1];
    int64_t row = p->pack_transposed ? c * outs + n : n * ins + c;
    return n >= outs ? 0 : number(row * taps + tap);
}

static void check_taps(int64_t *dims, uint32_t rank, uint8_t dtype, bool transposed)
{
    int64_t taps = 1, ins = dims[transposed ? 0 : 1];
    for (uint32_t i = 2; i < rank; i++) {
        taps *= dims[i];
    }
    aigc_abi_param p = {.layout = AIGC_LAYOUT_TAPS,
                        .storage = AIGC_F32,
                        .rank = (uint8_t)rank,
                        .dims = dims,
                        .panel = (uint8_t)(transposed ? PANEL * taps : PANEL),
                        .pack_transposed = transposed};
    void *data = source_of(dtype, dims[0] * dims[1] * taps);
    float *out = pack_all(&p, dtype, data);
    for (int64_t i = 0; i < aigc_param_bytes(&p) / 4; i++) {
        int64_t c = i / PANEL % ins, tap = i / PANEL / ins % taps,
                n = i / PANEL / ins / taps * PANEL + i % PANEL;
        if (out[i] != wanted_tap(&p, n, c, tap, taps)) {
            fail_msg("%lld x %lld, %lld taps%s: output %lld, input %lld, tap %lld",
                     (long long)dims[0], (long long)dims[1], (long long)taps,
                     transposed ? " kn" : "", (long long)n, (long long)c, (long long)tap);
        }
    }
    free(data);
    free(out);
}

/* A convolution's weights: panels of outputs, tap by tap. */
static void test_taps(void **state)
{
    (void)state;
    static const int64_t sizes[] =
        {
            1, 3, 7, 8, 9, 17, 33
    },
                         taps[][3] = {{1, 1, 1}, {3, 1, 1}, {3, 3, 1},
                                      {1, 7, 2}, {2, 3, 4}, {29, 1, 1}};
    enum { SIZES = sizeof sizes / sizeof *sizes, TAPS = sizeof taps / sizeof *taps };
    for (int i = 0; i < SIZES * SIZES * TAPS * 4; i++) {
        int64_t dims[5] = {sizes[i / 4 % SIZES], sizes[i / 4 / SIZES % SIZES]};
        memcpy(dims + 2, taps[i / 4 / SIZES / SIZES], sizeof *taps);
        check_taps(dims, 5, i & 1 ? AIGC_F32 : AIGC_BF16, i & 2);
    }
    int64_t flat[3] = {19, 5, 300};
    check_taps(flat, 3, AIGC_F32, false);
    int64_t deep[4] = {19, 5, 3, 3};
    aigc_abi_param blocks = {
        .layout = AIGC_LAYOUT_TAPS, .storage = AIGC_Q8_0, .rank = 4, .dims = deep, .panel = PANEL};
    assert_true(aigc_param_bytes(&blocks) < 0);
}

/* Rows of every storage stay what they are, or are converted. */
static void test_rows(void **state)
{
    (void)state;
    int64_t dims[1] = {9001};
    aigc_abi_param p = {.layout = AIGC_LAYOUT_ROWS, .storage = AIGC_F32, .rank = 1, .dims = dims};
    void *data = source_of(AIGC_BF16, 9001);
    float *out = pack_all(&p, AIGC_BF16, data);
    for (int64_t i = 0; i < 9001; i++) {
        assert_true(out[i] == number(i));
    }
    free(data);
    free(out);
    p.rank = 0;
    data = source_of(AIGC_F32, 1);
    out = pack_all(&p, AIGC_F32, data);
    assert_true(*out == number(0));
    free(data);
    free(out);
}

/* Blocks of 16 rows lie side by side; pieces give what the whole gives. */
static void test_blocks(void **state)
{
    (void)state;
    static const uint8_t storages[] = {AIGC_Q8_0, AIGC_Q4_0};
    for (int s = 0; s < 2; s++) {
        for (int64_t n = 0; n <= 49; n++) {
            int64_t dims[2] = {n, 96}, bytes = aigc_tensor_bytes(storages[s], 2, dims);
            unsigned char *data = malloc((size_t)bytes + 1);
            for (int64_t i = 0; i < bytes; i++) {
                data[i] = (unsigned char)(i * 41 + 3);
            }
            aigc_abi_param p = {.layout = AIGC_LAYOUT_PANELS,
                                .storage = storages[s],
                                .rank = 2,
                                .dims = dims,
                                .panel = AIGC_BLOCK_ROWS};
            unsigned char *out = pack_all(&p, storages[s], data),
                          *whole = malloc((size_t)aigc_param_bytes(&p) + 1);
            aigc_pack_blocks(storages[s], data, n, 96, whole);
            assert_memory_equal(out, whole, (size_t)aigc_param_bytes(&p));
            free(data);
            free(out);
            free(whole);
        }
    }
}

/* A layout that the storage or the sizes cannot have is none. */
static void test_impossible(void **state)
{
    (void)state;
    int64_t dims[3] = {4, 4, 4}, huge[2] = {INT64_MAX, INT64_MAX};
    aigc_abi_param p = {
        .layout = AIGC_LAYOUT_PANELS, .storage = AIGC_F32, .rank = 1, .dims = dims, .panel = PANEL};
    assert_null(aigc_pack_layout_of(&p));
    assert_int_equal(aigc_param_bytes(&p), -1);
    p.rank = 2;
    assert_non_null(aigc_pack_layout_of(&p));
    p.panel = 0;
    assert_null(aigc_pack_layout_of(&p));
    p.panel = PANEL;
    p.dims = huge;
    assert_int_equal(aigc_param_bytes(&p), -1);
    p.layout = 200;
    assert_null(aigc_pack_layout_of(&p));
    int64_t blocks[2] = {32, 64}; /* interleaved by 16, and of what products multiply alone */
    p = (aigc_abi_param){.layout = AIGC_LAYOUT_PANELS,
                         .storage = AIGC_Q8_0,
                         .rank = 2,
                         .dims = blocks,
                         .panel = AIGC_BLOCK_ROWS};
    assert_non_null(aigc_pack_layout_of(&p));
    p.panel = 8;
    assert_null(aigc_pack_layout_of(&p));
    assert_int_equal(aigc_param_bytes(&p), -1);
    p.panel = AIGC_BLOCK_ROWS;
    p.storage = AIGC_Q4_1;
    assert_null(aigc_pack_layout_of(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),      cmocka_unit_test(test_taps),
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_impossible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
