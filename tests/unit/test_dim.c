/* Symbolic sizes: canonical form, exact division, bounds. */
#include "ir/dim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static ir_ctx *c;
static const ir_dim *T, *pos;

static int setup(void **state)
{
    arena *a = arena_create();
    *state = a;
    c = ir_ctx_create(a, intern_create(a));
    T = ir_dim_sym(c, ir_sym_get(c, "T", 1, 512));
    pos = ir_dim_sym(c, ir_sym_get(c, "pos", 0, 511));
    return 0;
}

static int teardown(void **state)
{
    arena_destroy(*state);
    return 0;
}

static const ir_dim *k(int64_t v)
{
    return ir_dim_const(c, v);
}

static void test_equal_polynomials_are_one_pointer(void **state)
{
    (void)state;
    const ir_dim *x = ir_dim_mul(c, ir_dim_add(c, T, k(1)), ir_dim_sub(c, T, k(1)));
    const ir_dim *y = ir_dim_sub(c, ir_dim_mul(c, T, T), k(1));
    assert_ptr_equal(x, y);
    assert_ptr_equal(ir_dim_sub(c, x, y), k(0));
    assert_string_equal(ir_dim_text(c, ir_dim_add(c, ir_dim_scale(c, T, 3), pos)), "3*T + pos");
}

static void test_division(void **state)
{
    (void)state;
    assert_ptr_equal(ir_dim_div_exact(c, ir_dim_scale(c, T, 12), k(4)), ir_dim_scale(c, T, 3));
    assert_null(ir_dim_div_exact(c, ir_dim_scale(c, T, 12), k(5)));
    assert_ptr_equal(ir_dim_div_exact(c, ir_dim_mul(c, T, pos), T), pos);
    assert_ptr_equal(ir_dim_floordiv(c, ir_dim_scale(c, T, 4), k(2)), ir_dim_scale(c, T, 2));
    assert_ptr_equal(ir_dim_mod(c, ir_dim_add(c, ir_dim_scale(c, T, 8), k(3)), k(8)), k(3));
    assert_int_equal(ir_dim_value(ir_dim_floordiv(c, k(-7), k(2))), -4);
    assert_int_equal(ir_dim_value(ir_dim_mod(c, k(-7), k(2))), 1);
}

static void test_bounds(void **state)
{
    (void)state;
    const ir_dim *sum = ir_dim_add(c, T, pos);
    assert_int_equal(sum->lo, 1);
    assert_int_equal(sum->hi, 1023);
    assert_int_equal(ir_dim_le(c, T, k(512)), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, T, k(0)), IR_NEVER);
    assert_int_equal(ir_dim_equal(c, T, pos), IR_MAYBE);
    assert_int_equal(ir_dim_equal(c, T, ir_dim_offset(c, T, 1)), IR_NEVER);
    assert_ptr_equal(ir_dim_min(c, T, k(512)), T);
    assert_ptr_equal(ir_dim_max(c, T, k(0)), T);
}

static void test_overflow_stays(void **state)
{
    (void)state;
    const ir_dim *huge = ir_dim_mul(c, k(INT64_MAX), k(2));
    assert_true(huge->overflow);
    assert_true(ir_dim_add(c, huge, T)->overflow);
    assert_int_equal(ir_dim_equal(c, huge, huge), IR_MAYBE);
}

static void test_substitution_and_split(void **state)
{
    (void)state;
    const ir_dim *d = ir_dim_add(c, ir_dim_mul(c, T, pos), ir_dim_scale(c, T, 2));
    assert_ptr_equal(ir_dim_subst(c, d, ir_dim_as_sym(pos), k(5)), ir_dim_scale(c, T, 7));
    int64_t coef;
    const ir_dim *rest;
    assert_true(ir_dim_split(c, ir_dim_add(c, ir_dim_scale(c, T, 3), pos), ir_dim_as_sym(T), &coef, &rest));
    assert_int_equal(coef, 3);
    assert_ptr_equal(rest, pos);
    assert_false(ir_dim_split(c, d, ir_dim_as_sym(T), &coef, &rest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal_polynomials_are_one_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_division, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_substitution_and_split, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
