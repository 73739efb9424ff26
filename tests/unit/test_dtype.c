/* Element types: rounding of the short floats, wrapping of integers; storages and their decoding.
 */
#include "ir/dtype.h"
#include "ir/op.h"
#include "ir/storage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint16_t stored16(ir_dtype t, double v)
{
    uint16_t bits;
    ir_dtype_store(t, &bits, 0, v);
    return bits;
}

static double loaded16(ir_dtype t, uint16_t bits)
{
    return ir_dtype_load(t, &bits, 0);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < IR_DTYPE_COUNT; i++) {
        ir_dtype t;
        assert_true(ir_dtype_from_name(ir_dtype_name((ir_dtype)i), &t));
        assert_int_equal(t, i);
    }
    ir_dtype t;
    assert_false(ir_dtype_from_name("f31", &t));
    assert_int_equal(ir_dtype_bytes(IR_bf16), 2);
    assert_int_equal(ir_dtype_kind(IR_bool), IR_KIND_BOOL);
}

static void test_f16(void **state)
{
    (void)state;
    static const struct {
        double v;
        uint16_t bits;
    } known[] = {
        {0.0,                     0x0000},
        {-0.0,                    0x8000},
        {1.0,                     0x3c00},
        {-2.0,                    0xc000},
        {65504.0,                 0x7bff},
        {65519.99,                0x7bff}, /* rounds down to the largest */
        {65520.0,                 0x7c00}, /* halfway to 65536: to even, infinity */
        {INFINITY,                0x7c00},
        {-INFINITY,               0xfc00},
        {0x1p-24,                 0x0001}, /* least denormal */
        {0x1p-25,                 0x0000}, /* half of it: to even */
        {0x1.000001p-25,          0x0001}, /* a little more */
        {0x1p-14,                 0x0400}, /* least normal */
        {1.0 + 0x1p-11,           0x3c00}, /* tie to even, down */
        {1.0 + 3 * 0x1p-11,       0x3c02}, /* tie to even, up */
        {1.0 + 0x1p-11 + 0x1p-40, 0x3c01}, /* would be a tie if it were rounded to f32 first */
        {0.1,                     0x2e66},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(stored16(IR_f16, known[i].v), known[i].bits);
    }
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        double v = loaded16(IR_f16, (uint16_t)bits);
        if (!isnan(v)) {
            assert_int_equal(stored16(IR_f16, v), bits);
        }
    }
    assert_true(isnan(loaded16(IR_f16, stored16(IR_f16, NAN))));
}

static void test_bf16(void **state)
{
    (void)state;
    static const struct {
        double v;
        uint16_t bits;
    } known[] = {
        {1.0,                        0x3f80},
        {-0.0,                       0x8000},
        {3.140625,                   0x4049},
        {1.0 + 0x1p-8,               0x3f80}, /* tie to even, down */
        {1.0 + 3 * 0x1p-8,           0x3f82}, /* tie to even, up */
        {1.0 + 0x1p-8 + 0x1p-40,     0x3f81}, /* above the tie by less than f32 can tell */
        {1.0 + 3 * 0x1p-8 - 0x1p-40, 0x3f81},
        {3.3895313892515355e38,      0x7f7f}, /* the largest */
        {3.4e38,                     0x7f80},
        {INFINITY,                   0x7f80},
        {0x1p-133,                   0x0001},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(stored16(IR_bf16, known[i].v), known[i].bits);
    }
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        double v = loaded16(IR_bf16, (uint16_t)bits);
        if (!isnan(v)) {
            assert_int_equal(stored16(IR_bf16, v), bits);
        }
    }
    assert_true(isnan(loaded16(IR_bf16, stored16(IR_bf16, NAN))));
}

static void test_integers(void **state)
{
    (void)state;
    int64_t big = (INT64_C(1) << 53) + 1, out;
    ir_dtype_store_i64(IR_i64, &out, 0, big);
    assert_int_equal(ir_dtype_load_i64(IR_i64, &out, 0), big);
    int8_t small[3];
    ir_dtype_store_i64(IR_i8, small, 2, 200);
    assert_int_equal(small[2], -56);
    uint8_t u;
    ir_dtype_store_i64(IR_u8, &u, 0, -1);
    assert_int_equal(ir_dtype_load_i64(IR_u8, &u, 0), 255);
    ir_dtype_store(IR_i32, &out, 0, -2.9); /* towards zero */
    assert_int_equal(ir_dtype_load_i64(IR_i32, &out, 0), -2);
    ir_dtype_store(IR_i64, &out, 0, NAN);
    assert_int_equal(out, 0);
    ir_dtype_store(IR_bool, &u, 0, 0.25);
    assert_int_equal(u, 1);
    unsigned char unaligned[9] = {0};
    ir_dtype_store(IR_f64, unaligned + 1, 0, 1.5);
    assert_true(ir_dtype_load(IR_f64, unaligned + 1, 0) == 1.5);
}

static void test_scalar_ops(void **state)
{
    (void)state;
    assert_int_equal(ir_op_eval_i64(IR_OP_floor_div, -7, 2), -4);
    assert_int_equal(ir_op_eval_i64(IR_OP_mod, -7, 2), 1);
    assert_int_equal(ir_op_eval_i64(IR_OP_floor_div, 7, 0), 0);
    assert_true(ir_op_eval_i64(IR_OP_floor_div, INT64_MIN, -1) == INT64_MIN);
    assert_int_equal(ir_op_eval_i64(IR_OP_mod, INT64_MIN, -1), 0);
    assert_true(ir_op_eval_i64(IR_OP_abs, INT64_MIN, 0) == INT64_MIN);
    assert_true(ir_op_eval_i64(IR_OP_add, INT64_MAX, 1) == INT64_MIN);
    assert_true(ir_op_eval_f64(IR_OP_mod, -7, 2) == 1);
    assert_true(ir_op_eval_f64(IR_OP_round, 2.5, 0) == 2);
    assert_true(isnan(ir_op_eval_f64(IR_OP_max, NAN, 1)));
    assert_true(ir_op_eval_f64(IR_OP_sigmoid, -800, 0) == 0);
    assert_true(ir_op_eval_f64(IR_OP_softplus, 800, 0) == 800);
    for (int i = 0; i < IR_OP_COUNT; i++) {
        ir_op op;
        assert_true(ir_op_from_name(ir_op_name((ir_op)i), &op));
        assert_int_equal(op, i);
    }
}

static void test_storages(void **state)
{
    (void)state;
    ir_storage s;
    assert_true(ir_storage_from_name("q4_0", &s));
    assert_int_equal(ir_storage_block(s), 32);
    assert_int_equal(ir_storage_block_bytes(s), 18);
    assert_null(ir_storage_name((ir_storage)99));
    assert_false(ir_storage_is_dense((ir_storage)99));
    assert_int_equal(ir_storage_of_dtype(IR_bf16), IR_STORAGE_bf16);
    unsigned char q4[18], q8[34];
    float out[32];
    ir_dtype_store(IR_f16, q4, 0, 0.5);
    ir_dtype_store(IR_f16, q8, 0, 0.25);
    for (int i = 0; i < 16; i++) {
        q4[2 + i] = (unsigned char)(i | (15 - i) << 4);
    }
    ir_storage_decode(IR_STORAGE_q4_0, q4, 32, out);
    assert_true(out[0] == -4.0f && out[15] == 3.5f && out[16] == 3.5f && out[31] == -4.0f);
    for (int i = 0; i < 32; i++) {
        q8[2 + i] = (unsigned char)(i - 16);
    }
    ir_storage_decode(IR_STORAGE_q8_0, q8, 32, out);
    assert_true(out[0] == -4.0f && out[16] == 0.0f && out[31] == 3.75f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bf16),       cmocka_unit_test(test_integers),
        cmocka_unit_test(test_scalar_ops), cmocka_unit_test(test_storages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
