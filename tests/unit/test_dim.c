/* Symbolic sizes: canonical form, exact division, bounds, proofs, text. */
#include "ir/dim.h"
#include "ir/parse_dim.h"

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
    assert_true(
        ir_dim_split(c, ir_dim_add(c, ir_dim_scale(c, T, 3), pos), ir_dim_as_sym(T), &coef, &rest));
    assert_int_equal(coef, 3);
    assert_ptr_equal(rest, pos);
    assert_false(ir_dim_split(c, d, ir_dim_as_sym(T), &coef, &rest));
}

/* Symbols of the random tests, with their bounds. */
enum { N_SYMS = 4 };
static const struct {
    const char *name;
    int64_t lo, hi;
} bounds[N_SYMS] = {
    {"a", 0,  6},
    {"b", 1,  9},
    {"n", -5, 5},
    {"w", 3,  4}
};
static const ir_sym *syms[N_SYMS];
static uint64_t seed;

static uint32_t roll(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* A dim and, beside it, the same formula worked out for one assignment of the symbols. */
typedef struct both {
    const ir_dim *d;
    int64_t value;
} both;

static int64_t floor_div(int64_t x, int64_t y)
{
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}

static both random_dim(const int64_t *values, int depth)
{
    if (depth == 0 || roll(5) == 0) {
        if (roll(3) == 0) {
            int64_t v = (int64_t)roll(15) - 5;
            return (both){k(v), v};
        }
        uint32_t s = roll(N_SYMS);
        return (both){ir_dim_sym(c, syms[s]), values[s]};
    }
    both x = random_dim(values, depth - 1);
    if (roll(4) == 0) {
        int64_t m = roll(8) + 1;
        bool div = roll(2);
        return div ? (both){ir_dim_floordiv(c, x.d, k(m)), floor_div(x.value, m)}
                   : (both){ir_dim_mod(c, x.d, k(m)), x.value - floor_div(x.value, m) * m};
    }
    both y = random_dim(values, depth - 1);
    switch (roll(5)) {
    case 0:
        return (both){ir_dim_sub(c, x.d, y.d), x.value - y.value};
    case 1:
        return (both){ir_dim_mul(c, x.d, y.d), x.value * y.value};
    case 2:
        return (both){ir_dim_min(c, x.d, y.d), x.value < y.value ? x.value : y.value};
    case 3:
        return (both){ir_dim_max(c, x.d, y.d), x.value > y.value ? x.value : y.value};
    default:
        return (both){ir_dim_add(c, x.d, y.d), x.value + y.value};
    }
}

static bool value_of(void *data, const ir_sym *s, int64_t *value)
{
    const int64_t *values = data;
    for (uint32_t i = 0; i < N_SYMS; i++) {
        if (syms[i] == s) {
            *value = values[i];
            return true;
        }
    }
    return false;
}

static const ir_sym *by_name(void *data, const char *name)
{
    (void)data;
    for (uint32_t i = 0; i < N_SYMS; i++) {
        if (strcmp(syms[i]->name, name) == 0) {
            return syms[i];
        }
    }
    return NULL;
}

static void check_proof(ir_proof p, bool holds)
{
    assert_true(p == IR_MAYBE || (p == IR_ALWAYS) == holds);
}

static void test_random_formulas(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < N_SYMS; i++) {
        syms[i] = ir_sym_get(c, bounds[i].name, bounds[i].lo, bounds[i].hi);
    }
    seed = 7;
    for (int turn = 0; turn < 4000; turn++) {
        int64_t values[N_SYMS], v;
        for (uint32_t i = 0; i < N_SYMS; i++) {
            values[i] = bounds[i].lo + (int64_t)roll((uint32_t)(bounds[i].hi - bounds[i].lo + 1));
        }
        both x = random_dim(values, 4), y = random_dim(values, 2);
        if (x.d->overflow || y.d->overflow) {
            continue;
        }
        assert_true(ir_dim_eval(x.d, value_of, values, &v));
        assert_int_equal(v, x.value);
        assert_true(x.d->lo <= v && v <= x.d->hi);
        check_proof(ir_dim_le(c, x.d, y.d), x.value <= y.value);
        check_proof(ir_dim_equal(c, x.d, y.d), x.value == y.value);
        uint32_t s = roll(N_SYMS);
        const ir_dim *replaced = ir_dim_subst(c, x.d, syms[s], k(values[s]));
        assert_true(ir_dim_eval(replaced, value_of, values, &v));
        assert_int_equal(v, x.value);
        assert_false(ir_dim_uses(replaced, syms[s]));
        ir_text_cursor cursor = {.at = ir_dim_text(c, x.d)};
        const ir_dim *again = ir_dim_parse(c, &cursor, by_name, NULL);
        assert_null(cursor.error);
        assert_int_equal(*cursor.at, 0);
        assert_true(ir_dim_eval(again, value_of, values, &v));
        assert_int_equal(v, x.value);
    }
}

static void test_text_does_not_depend_on_order(void **state)
{
    (void)state;
    const ir_dim *z = ir_dim_sym(c, ir_sym_get(c, "Z", 1, 9)),
                 *a = ir_dim_sym(c, ir_sym_get(c, "A", 1, 9));
    const ir_dim *f = ir_dim_floordiv(c, z, k(2)), *g = ir_dim_floordiv(c, a, k(2));
    assert_string_equal(ir_dim_text(c, ir_dim_add(c, f, g)), "floordiv(A, 2) + floordiv(Z, 2)");
    assert_string_equal(ir_dim_text(c, ir_dim_min(c, z, a)), "min(A, Z)");
    assert_string_equal(
        ir_dim_text(c, ir_dim_sub(c, k(3), ir_dim_mul(c, z, ir_dim_scale(c, z, 2)))), "-2*Z*Z + 3");
}

static void test_proofs_through_functions(void **state)
{
    (void)state;
    const ir_dim *least = ir_dim_min(c, T, pos), *greatest = ir_dim_max(c, T, pos);
    assert_int_equal(ir_dim_le(c, least, T), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, T, greatest), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, least, greatest), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, ir_dim_offset(c, greatest, 1), least), IR_NEVER);
    assert_ptr_equal(ir_dim_min(c, least, pos), least);
    const ir_dim *down = ir_dim_scale(c, ir_dim_floordiv(c, T, k(8)), 8);
    const ir_dim *up = ir_dim_scale(c, ir_dim_ceildiv(c, T, k(8)), 8);
    assert_int_equal(ir_dim_le(c, down, T), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, T, up), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, up, ir_dim_offset(c, T, 7)), IR_ALWAYS);
    assert_int_equal(ir_dim_le(c, ir_dim_mod(c, T, k(8)), T), IR_ALWAYS);
    assert_int_equal(
        ir_dim_equal(c, ir_dim_scale(c, T, 2), ir_dim_offset(c, ir_dim_scale(c, pos, 4), 1)),
        IR_NEVER);
}

static void test_division_is_simplified(void **state)
{
    (void)state;
    const ir_dim *t12 = ir_dim_scale(c, T, 12);
    assert_string_equal(ir_dim_text(c, ir_dim_floordiv(c, ir_dim_offset(c, t12, 3), k(8))),
                        "T + floordiv(T, 2)");
    assert_string_equal(ir_dim_text(c, ir_dim_mod(c, ir_dim_offset(c, t12, 3), k(8))),
                        "4*mod(T, 2) + 3");
    assert_string_equal(ir_dim_text(c, ir_dim_floordiv(c, ir_dim_offset(c, T, -1), k(2))),
                        "floordiv(T + 1, 2) - 1");
    assert_ptr_equal(ir_dim_floordiv(c, ir_dim_floordiv(c, T, k(4)), k(2)),
                     ir_dim_floordiv(c, T, k(8)));
    assert_true(ir_dim_floordiv(c, T, k(0))->overflow);
    assert_true(ir_dim_mod(c, T, k(-3))->overflow);
    assert_null(ir_dim_div_exact(c, k(INT64_MIN), k(-1)));
}

/* Formulas that double at every step end in overflow, soon and without harm. */
static void test_growth_is_bounded(void **state)
{
    (void)state;
    const ir_dim *d = T, *p = T, *q = ir_dim_add(c, T, pos);
    for (int i = 0; i < 200; i++) {
        d = ir_dim_floordiv(c, ir_dim_add(c, ir_dim_mul(c, d, d), pos), k(7));
        p = ir_dim_mul(c, p, p);
        q = ir_dim_mul(c, q, q);
    }
    assert_true(d->overflow && p->overflow && q->overflow);
    assert_string_equal(ir_dim_text(c, d), "overflow");
}

static void test_loop_indices(void **state)
{
    (void)state;
    const ir_sym *s = ir_sym_loop(c, "t", k(0), T, 1);
    assert_int_equal(s->lo, 0);
    assert_int_equal(s->hi, 511);
    assert_ptr_equal(s->least, k(0));
    assert_ptr_equal(s->most, ir_dim_offset(c, T, -1));
    const ir_sym *down = ir_sym_loop(c, "t", ir_dim_offset(c, T, -1), k(-1), -1);
    assert_ptr_equal(down->least, k(0));
    assert_ptr_equal(down->most, ir_dim_offset(c, T, -1));
    assert_ptr_not_equal(ir_sym_loop(c, "t", k(0), k(1), 1), ir_sym_get(c, "t", 0, 1));
    const ir_sym *by3 = ir_sym_loop(c, "t", k(1), k(10), 3); /* 1 4 7 */
    assert_int_equal(by3->hi, 7);
    const ir_sym *once = ir_sym_loop(c, "t", k(4), k(5), 1);
    assert_true(once->lo == 4 && once->hi == 5); /* stays a symbol */
}

static void check_refused(const char *text, const char *error)
{
    ir_text_cursor cursor = {.at = text};
    const ir_dim *d = ir_dim_parse(c, &cursor, by_name, NULL);
    if (error) {
        assert_null(d);
        assert_string_equal(cursor.error, error);
    } else {
        assert_non_null(d);
    }
}

static void test_hostile_text(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < N_SYMS; i++) {
        syms[i] = ir_sym_get(c, bounds[i].name, bounds[i].lo, bounds[i].hi);
    }
    check_refused("", "expected a size");
    check_refused("a +", "expected a size");
    check_refused("2*(a", "expected ')'");
    check_refused("min(a b)", "expected ','");
    check_refused("sin(a, b)", "there is no function sin");
    check_refused("a + T", "there is no size named T");
    check_refused("99999999999999999999", "the number is too large");
    check_refused("9223372036854775807 + 1", "the size overflows");
    check_refused("floordiv(a, 0)", "the size overflows");
    check_refused("a + a; more", NULL);
    char deep[4096];
    memset(deep, '(', sizeof deep);
    deep[sizeof deep - 1] = 0;
    check_refused(deep, "the size is nested too deeply");
    memset(deep, '-', sizeof deep - 1);
    check_refused(deep, "expected a size");
}

static void test_types_as_text(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < N_SYMS; i++) {
        syms[i] = ir_sym_get(c, bounds[i].name, bounds[i].lo, bounds[i].hi);
    }
    const ir_dim *dims[2] = {ir_dim_offset(c, ir_dim_sym(c, syms[0]), 1), k(64)};
    const ir_type *t = ir_type_get(c, IR_bf16, 2, dims);
    assert_string_equal(ir_type_text(c, t), "bf16[a + 1, 64]");
    ir_text_cursor cursor = {.at = " bf16 [a+1,64] rest"};
    assert_ptr_equal(ir_type_parse(c, &cursor, by_name, NULL), t);
    assert_string_equal(cursor.at, " rest");
    static const char *const wrong[][2] = {
        {"f31[2]",                 "expected an element type, such as f32"},
        {"f32",                    "expected '['"                         },
        {"f32[2",                  "expected ']'"                         },
        {"f32[1,1,1,1,1,1,1,1,1]", "at most 8 axes are possible"          },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cursor.at = wrong[i][0];
        assert_null(ir_type_parse(c, &cursor, by_name, NULL));
        assert_string_equal(cursor.error, wrong[i][1]);
    }
    cursor.at = "i64[]";
    assert_ptr_equal(ir_type_parse(c, &cursor, by_name, NULL), ir_type_scalar(c, IR_i64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal_polynomials_are_one_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_division, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_substitution_and_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_formulas, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_does_not_depend_on_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_proofs_through_functions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_division_is_simplified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growth_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_indices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_types_as_text, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
