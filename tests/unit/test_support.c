/* Arenas, maps, interned strings, sources, and how diagnostics look. */
#include "support/arena.h"
#include "support/diag.h"
#include "support/intern.h"
#include "support/map.h"
#include "support/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = arena_create();
    return 0;
}

static int teardown(void **state)
{
    arena_destroy(*state);
    return 0;
}

static void test_arena(void **state)
{
    arena *a = *state;
    char *first = arena_string(a, "first");
    arena_point p = arena_mark(a);
    for (int i = 0; i < 100; i++) {
        unsigned char *bytes = arena_alloc(a, 5000);
        assert_int_equal((uintptr_t)bytes % _Alignof(max_align_t), 0);
        for (int j = 0; j < 5000; j++) {
            assert_int_equal(bytes[j], 0);
        }
        memset(bytes, 0xff, 5000);
    }
    arena_release(a, p);
    unsigned char *again = arena_alloc(a, 64); /* zeroed, though its room was used before */
    assert_int_equal(again[0] | again[63], 0);
    assert_string_equal(first, "first");
    assert_ptr_not_equal(arena_alloc(a, 0), arena_alloc(a, 0));
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    assert_non_null(arena_alloc(a, 40u << 20)); /* more than a block */
}

static void test_vec(void **state)
{
    VEC(int) v = {0};
    for (int i = 0; i < 1000; i++) {
        vec_push(*state, &v, i * i);
    }
    assert_int_equal(v.len, 1000);
    assert_int_equal(v.at[31], 961);
    assert_int_equal(vec_pop(&v), 999 * 999);
    assert_int_equal(vec_last(&v), 998 * 998);
}

static void test_map(void **state)
{
    map *m = map_create(*state);
    assert_null(map_get(m, 0));
    for (uint64_t i = 0; i < 5000; i++) {
        map_set(m, i << 32, (void *)(uintptr_t)(i + 1));
    }
    map_set(m, 7ull << 32, NULL); /* a value may be NULL */
    assert_int_equal(map_count(m), 5000);
    assert_true(map_has(m, 7ull << 32));
    assert_null(map_get(m, 7ull << 32));
    assert_false(map_has(m, 1));
    for (uint32_t i = 0; i < 5000; i++) {
        uint64_t key;
        void *value;
        map_at(m, i, &key, &value);
        assert_int_equal(key >> 32, i);
        assert_int_equal((uintptr_t)value, i == 7 ? 0 : i + 1);
    }
}

static void test_intern(void **state)
{
    intern_table *t = intern_create(*state);
    char text[] = "weight";
    const char *a = intern(t, text);
    assert_ptr_not_equal(a, text);
    assert_ptr_equal(a, intern_n(t, "weights", 6));
    assert_ptr_equal(a, intern_printf(t, "we%s", "ight"));
    assert_ptr_not_equal(a, intern(t, "weigh"));
    assert_ptr_not_equal(intern_n(t, "a\0b", 3), intern(t, "a"));
}

static void test_source(void **state)
{
    source_map *m = source_map_create(*state);
    const char text[] = "one\ntwo\n\nfour";
    const source_file *f = source_add(m, "x.aigc", text, sizeof text - 1);
    assert_int_equal(f->n_lines, 4);
    source_place p = source_locate(m, (span){f->id, 5, 6});
    assert_true(p.line == 2 && p.column == 2);
    p = source_locate(m, (span){f->id, 1000, 1001}); /* beyond the end: the end */
    assert_true(p.line == 4 && p.column == 5);
    p = source_locate(m, (span){0});
    assert_int_equal(p.line, 0);
    assert_null(source_get(m, 99));
    assert_null(source_read(m, "/nowhere/at/all"));
    span joined = span_join((span){1, 5, 6}, (span){1, 2, 3});
    assert_true(joined.begin == 2 && joined.end == 6);
}

static const char golden[] = "ffn.aigc:1:5: error: x @ w_up: inner sizes differ: 768 and 512\n"
                             "    1 | y = x @ w_up\n"
                             "      |     ^~~~~~~~\n"
                             "ffn.aigc:2:1: note: w_up is declared here\n"
                             "    2 | w_up: f32[512, 2048]\n"
                             "      | ^~~~\n"
                             "  help: write w_up.T\n"
                             "ffn.aigc:3:11: warning: the name is long\n"
                             "    3 | größe = ünïcödé + 1\n"
                             "      |         ^~~~~~~\n";

static void test_diag_looks(void **state)
{
    source_map *m = source_map_create(*state);
    diag *d = diag_create(*state, m);
    const char text[] = "y = x @ w_up\nw_up: f32[512, 2048]\ngröße = ünïcödé + 1\n";
    const source_file *f = source_add(m, "ffn.aigc", text, sizeof text - 1);
    /* out of order, one of them twice */
    uint32_t third = (uint32_t)(strstr(text, "gr") - text);
    diag_warning(d, (span){f->id, third + 10, third + 21}, "the name is long");
    for (int i = 0; i < 2; i++) {
        diag_error(d, (span){f->id, 4, 12}, "x @ w_up: inner sizes differ: %d and %d", 768, 512);
        diag_note(d, (span){f->id, 13, 17}, "w_up is declared here");
        diag_help(d, "write %s.T", "w_up");
    }
    assert_int_equal(diag_error_count(d), 1);
    assert_int_equal(diag_warning_count(d), 1);
    assert_string_equal(diag_text(d, false), golden);
    assert_non_null(strstr(diag_text(d, true), "\033[1;31merror:\033[0m"));
    diag_clear(d);
    assert_string_equal(diag_text(d, false), "");
    diag_error(d, (span){0}, "no file given");
    assert_string_equal(diag_text(d, false), "aigc: error: no file given\n");
}

/* Odd spans and odd bytes are shown somehow, and nothing breaks. */
static void test_diag_hostile(void **state)
{
    source_map *m = source_map_create(*state);
    diag *d = diag_create(*state, m);
    char *line = arena_alloc(*state, 10000);
    memset(line, 'x', 9999);
    line[5000] = '\n';
    line[20] = '\t';
    line[21] = '\x01';
    line[22] = '\xff';
    line[23] = 0;
    const source_file *f = source_add(m, "a", line, 9999);
    const source_file *empty = source_add(m, "b", "", 0);
    diag_error(d, (span){f->id, 4990, 9000}, "a");
    diag_error(d, (span){f->id, 9999, 9999}, "b");
    diag_error(d, (span){f->id, 20000, 10}, "c");
    diag_error(d, (span){f->id, 22, 22}, "d");
    diag_error(d, (span){empty->id, 0, 0}, "e");
    diag_error(d, (span){77, 0, 0}, "f");
    for (uint32_t i = 0; i < 1000; i++) {
        diag_error(d, (span){f->id, i, i + 1}, "many");
    }
    assert_int_equal(diag_error_count(d), 1006);
    const char *text = diag_text(d, false);
    assert_non_null(strstr(text, "aigc: and 806 more"));
    for (const char *p = text; *p; p++) {
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    }
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"softmax", "sigmoid", "relu", "reshape", "x"};
    assert_string_equal(diag_nearest("sofmtax", names, 5), "softmax");
    assert_string_equal(diag_nearest("rehsape", names, 5), "reshape");
    assert_string_equal(diag_nearest("Relu", names, 5), "relu");
    assert_null(diag_nearest("attention", names, 5));
    assert_null(diag_nearest("", names, 5));
    assert_null(diag_nearest("y", names, 5));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_arena),  TEST(test_vec),        TEST(test_map),          TEST(test_intern),
        TEST(test_source), TEST(test_diag_looks), TEST(test_diag_hostile), TEST(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
