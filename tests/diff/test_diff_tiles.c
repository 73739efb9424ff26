/* Products of bf16 by tile registers, emulated, against the same products by dot products: blocks of
 * rows of every kind, one product and two, columns to a tile and beside it. And: code for machines
 * that have tiles uses them. */
#include "backend/jit.h"
#include "cli/compile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char source[] =
    "model m(k = 32, n = 32) {\n"
    "  w: f32[n, k]\n"
    "  u: f32[n, k]\n"
    "  entry plain(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T }\n"
    "  entry gate(x: f32[M, k]) -> y: f32[M, n] { return silu(x @ w.T) * (x @ u.T) }\n"
    "}\n";

static const struct {
    int64_t k, n;
} sizes[] = {
    {32,   32 },
    {96,   33 },
    {64,   100},
    {1024, 48 },
    {40,   64 }, /* no whole tile along k: dot products after all */
};
static const int64_t row_counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 130};

typedef struct program {
    compiler *c;
    jit *j;
    aigc_weights *w;
    aigc_context *contexts[2];
} program;

static compile_options options(int64_t k, int64_t n, char text[2][32], const char *defines[2])
{
    snprintf(text[0], 32, "k=%lld", (long long)k);
    snprintf(text[1], 32, "n=%lld", (long long)n);
    defines[0] = text[0];
    defines[1] = text[1];
    return (compile_options){
        .defines = defines, .n_defines = 2, .level = 2, .bf16 = true, .no_cache = true};
}

static program open_program(const char *path, int64_t k, int64_t n, bool tiles)
{
    char text[2][32];
    const char *defines[2];
    compile_options o = options(k, n, text, defines);
    program p = {.c = compile_create()};
    size_t size;
    aigc_error err;
    assert_true(p.c && compile_source(p.c, path, &o) && compile_target(p.c, &o));
    p.c->t->emulate_tiles = tiles;
    const void *object = compile_object(p.c, &o, &size);
    assert_non_null(object);
    p.j = jit_create(object, size, p.c->symbol, p.c->d);
    assert_non_null(p.j);
    assert_int_equal(aigc_weights_random(jit_model(p.j), 1, &p.w), AIGC_OK);
    for (uint32_t i = 0; i < 2; i++) {
        aigc_context_options with = {.n_threads = i ? 3 : 1, .all_threads = true};
        assert_int_equal(aigc_context_create(jit_model(p.j), p.w, &with, &p.contexts[i], &err),
                         AIGC_OK);
    }
    return p;
}

static void close_program(program *p)
{
    aigc_context_destroy(p->contexts[0]);
    aigc_context_destroy(p->contexts[1]);
    aigc_weights_destroy(p->w);
    jit_destroy(p->j);
    compile_destroy(p->c);
}

static float *call(const program *p, uint32_t context, uint32_t entry, float *x, int64_t m,
                   int64_t k, int64_t n)
{
    aigc_tensor arg = {x, AIGC_F32, 2, {m, k}}, y = {0};
    int64_t bytes;
    aigc_context *c = p->contexts[context];
    assert_int_equal(aigc_call_sizes(c, entry, NULL, &arg, 1, &y, 1, &bytes), AIGC_OK);
    assert_int_equal(aigc_reserve(c, bytes), AIGC_OK);
    y.data = malloc((size_t)(m * n) * 4);
    assert_non_null(y.data);
    assert_int_equal(aigc_call(c, entry, NULL, &arg, 1, &y, 1), AIGC_OK);
    return y.data;
}

/* Weights are within 0.05: sums of k products below k / 20, which two orders round by some 2^-24. */
static void check_rows(const program *tiles, const program *dots, int64_t m, int64_t k, int64_t n)
{
    float *x = malloc((size_t)(m * k) * 4);
    assert_non_null(x);
    for (int64_t i = 0; i < m * k; i++) {
        x[i] = sinf((float)(i * 7 % 1009));
    }
    for (uint32_t entry = 0; entry < 2; entry++) {
        float *want = call(dots, 0, entry, x, m, k, n);
        float *first = NULL;
        for (uint32_t context = 0; context < 2; context++) {
            float *found = call(tiles, context, entry, x, m, k, n);
            for (int64_t i = 0; i < m * n; i++) {
                if (!(fabsf(found[i] - want[i]) <= 1e-7f * (float)k)) {
                    fail_msg("entry %u of %lld x %lld x %lld: element %lld is %.9g, not %.9g",
                             entry, (long long)m, (long long)k, (long long)n, (long long)i,
                             (double)found[i], (double)want[i]);
                }
            }
            if (first) { /* whoever has a row, and beside which others */
                assert_memory_equal(found, first, (size_t)(m * n) * 4);
                free(found);
            } else {
                first = found;
            }
        }
        free(first);
        free(want);
    }
    free(x);
}

static char path[] = "/tmp/aigc-tilesXXXXXX.aigc";

static void test_emulated(void **state)
{
    (void)state;
    uint32_t needed = AIGC_CPU_AVX512 | AIGC_CPU_AVX512_BF16;
    if ((aigc_cpu_features() & needed) != needed) {
        print_message("skipped: rows are packed as bf16 only where there are dot products\n");
        skip();
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t k = sizes[i].k, n = sizes[i].n;
        program tiles = open_program(path, k, n, true), dots = open_program(path, k, n, false);
        for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++) {
            check_rows(&tiles, &dots, row_counts[m], k, n);
        }
        close_program(&tiles);
        close_program(&dots);
    }
}

static const char *assembly(compiler *c, int64_t k)
{
    char text[2][32];
    const char *defines[2];
    compile_options o = options(k, 32, text, defines);
    o.target = "x86-64";
    o.cpu = "sapphirerapids";
    assert_true(compile_source(c, path, &o));
    const char *s = compile_text(c, &o, "asm");
    assert_non_null(s);
    return s;
}

static void test_instructions(void **state)
{
    (void)state;
    compiler *c = compile_create();
    const char *s = assembly(c, 64);
    static const char *const wanted[] = {"ldtilecfg",  "tileloadd", "tdpbf16ps",
                                         "tilestored", "tilezero",  "tilerelease"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!strstr(s, wanted[i])) {
            fail_msg("there is no %s", wanted[i]);
        }
    }
    compile_destroy(c);
    c = compile_create();
    assert_null(strstr(assembly(c, 40), "tdpbf16ps"));
    compile_destroy(c);
}

int main(void)
{
    int f = mkstemps(path, 5);
    if (f < 0 || write(f, source, sizeof source - 1) != sizeof source - 1) {
        return 1;
    }
    close(f);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emulated),
        cmocka_unit_test(test_instructions),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
