/* Products with parameters against the interpreter: every height and width of tile, packed and in
 * place, at every level of vectors, on one thread and two, in f32 and in bf16. */
#include "cli/compile.h"
#include "ir/text.h"
#include "tests/diff/diff_runs.h"

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

/* Entries that lead to all forms of the product: a plain one; ones with their rows made, or
 * normed, while they are packed; two that share their rows; weights the other way round; one row
 * turn by turn, to and fro; one more axis. */
static const char source[] =
    "model m(k = 8, n = 8) {\n"
    "  w: f32[n, k]\n"
    "  u: f32[n, k]\n"
    "  t: f32[k, n]\n"
    "  b: f32[n]\n"
    "  g: f32[k]\n"
    "  fn norm(x) = x * rsqrt(mean(x * x, axis = -1, keep = true) + 1e-5) * g\n"
    "  entry plain(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T }\n"
    "  entry bias(x: f32[M, k]) -> y: f32[M, n] { return gelu(x @ t + b) }\n"
    "  entry gate(x: f32[M, k]) -> y: f32[M, n] { return silu(norm(x) @ w.T) * (norm(x) @ u.T) }\n"
    "  fn layer(x) { c = x - mean(x, axis = -1, keep = true)\n"
    "    return c * rsqrt(mean(c * c, axis = -1, keep = true) + 1e-5) * g }\n"
    "  entry normed(x: f32[M, k]) -> y: f32[M, n] { return layer(x) @ w.T + b }\n"
    "  entry residual(x: f32[M, k], r: f32[M, n]) -> y: f32[M, n] { return r + relu(x) @ w.T }\n"
    "  entry one(x: f32[M, k]) -> y: f32[n] { return norm(x)[0] @ w.T }\n"
    "  entry turns(x: f32[M, k]) -> y: f32[k] {\n"
    "    v = x[0]\n"
    "    loop i in 0..5 carry v { v = x[0] + ((v @ w.T) @ t.T) / k }\n"
    "    return v\n"
    "  }\n"
    "  entry batch(x: f32[M, k]) -> y: f32[2, M, n] { return stack([x, -x]) @ t }\n"
    "}\n";

static const struct {
    const char *name;
    bool norms; /* rows are rounded after sums: the other way where f32 and f64 lie about a tie */
} entries[] = {
    {"plain",    false},
    {"bias",     false},
    {"gate",     true },
    {"normed",   true },
    {"residual", false},
    {"one",      true },
    {"turns",    true },
    {"batch",    false},
};
static const int64_t row_counts[] = {1, 2, 3, 7, 13, 14, 15, 29, 63};
static const struct {
    int64_t k, n, most_rows;
} sizes[] = {
    {1,    1,   63},
    {5,    3,   63},
    {32,   31,  63},
    {31,   64,  63},
    {64,   33,  63},
    {100,  96,  63},
    {2048, 40,  63}, /* several blocks of rows */
    {4100, 17,  63}, /* of steps of k */
    {3080, 800, 2 }, /* and of columns */
    {7,    150, 63},
};

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 16777216.0f * 2 - 1;
}

/* A safetensors file of the model's parameters. */
static void write_weights(const char *path, int64_t k, int64_t n)
{
    char header[512];
    long long a = (long long)(4 * k * n), bias = (long long)(4 * n), norm = (long long)(4 * k),
              K = (long long)k, N = (long long)n;
    int size =
        snprintf(header, sizeof header,
                 "{\"w\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[0,%lld]},"
                 "\"u\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[%lld,%lld]},"
                 "\"t\":{\"dtype\":\"F32\",\"shape\":[%lld,%lld],\"data_offsets\":[%lld,%lld]},"
                 "\"b\":{\"dtype\":\"F32\",\"shape\":[%lld],\"data_offsets\":[%lld,%lld]},"
                 "\"g\":{\"dtype\":\"F32\",\"shape\":[%lld],\"data_offsets\":[%lld,%lld]}}",
                 N, K, a, N, K, a, 2 * a, K, N, 2 * a, 3 * a, N, 3 * a, 3 * a + bias, K,
                 3 * a + bias, 3 * a + bias + norm);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t bytes = (uint64_t)size;
    uint32_t seed = 7;
    assert_int_equal(fwrite(&bytes, 8, 1, f), 1);
    assert_int_equal(fwrite(header, 1, bytes, f), bytes);
    for (int64_t i = 0; i < 3 * k * n + n + k; i++) {
        float v = number(&seed);
        assert_int_equal(fwrite(&v, 4, 1, f), 1);
    }
    fclose(f);
}

typedef struct run {
    bool rounded; /* its products are of bf16 */
    diff_runs r;
} run;

typedef struct size_defines {
    char k[32], n[32];
    const char *both[2];
} size_defines;

static void define_sizes(size_defines *d, int64_t k, int64_t n)
{
    snprintf(d->k, sizeof d->k, "k=%lld", (long long)k);
    snprintf(d->n, sizeof d->n, "n=%lld", (long long)n);
    d->both[0] = d->k;
    d->both[1] = d->n;
}

/* The interpreter's model: the products that are rounded say so themselves. */
static void write_rounded(const char *path, const char *air, int64_t k, int64_t n)
{
    size_defines d;
    define_sizes(&d, k, n);
    compile_options o = {.defines = d.both, .n_defines = 2};
    pass_options po = {.level = 2, .panel = 1, .bf16 = true};
    compiler *c = compile_create();
    assert_non_null(c);
    assert_true(compile_source(c, path, &o));
    assert_true(pass_run_named(c->m, c->d, "canonicalize,fold,cse,dce,layout,round_operands", &po));
    const char *text = ir_print_module(c->m, c->a);
    FILE *f = fopen(air, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    compile_destroy(c);
}

/* Matrices narrower than a panel are not packed, and their products stay exact. */
static bool packs(const char *cpu, int64_t n)
{
    compiler *c = compile_create();
    compile_options o = {.cpu = cpu, .level = 2};
    assert_non_null(c);
    assert_true(compile_target(c, &o));
    bool wide = n >= c->t->panel;
    compile_destroy(c);
    return wide;
}

static run open_run(const char *path, const char *weights, const char *cpu, int64_t k, int64_t n,
                    bool bf16, bool interpret)
{
    size_defines d;
    define_sizes(&d, k, n);
    aigc_settings s = {.defines = d.both,
                       .n_defines = strstr(path, ".air") ? 0 : 2,
                       .weights = weights,
                       .cpu = cpu,
                       .opt_level = 2,
                       .bf16 = bf16,
                       .interpret = interpret};
    return (run){bf16 && packs(cpu, n), diff_runs_open(path, s)};
}

static aigc_tensor call(run *r, uint32_t context, const char *entry, const aigc_tensor *args)
{
    uint32_t n_args = strcmp(entry, "residual") == 0 ? 2 : 1;
    return diff_runs_call(&r->r, context, entry, args, n_args);
}

static int64_t elements(const aigc_tensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->dims[i];
    }
    return n;
}

/* Sums of k products of numbers within [-1, 1], or of a norm's rows: the rounding of each is some
 * 2^-24 of the sum of their magnitudes, and a gate multiplies two of them. ties: of values that
 * may be rounded to bf16 the other way, a few in a thousand. */
static void compare(const aigc_tensor *x, const aigc_tensor *y, int64_t k, bool ties,
                    const char *what)
{
    const float *a = x->data, *b = y->data;
    float thousands = k > 1024 ? (float)k / 1024 : 1, tied = ties ? 0.03f * thousands : 0;
    assert_int_equal(elements(x), elements(y));
    for (int64_t i = 0; i < elements(x); i++) {
        float bound = (4e-7f * ((float)k + 10) + tied) * (1 + fabsf(b[i]));
        if (!(fabsf(a[i] - b[i]) <= bound)) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)a[i],
                     (double)b[i]);
        }
    }
}

static void check_rows(run *runs, uint32_t n_runs, int64_t m, int64_t k, int64_t n)
{
    float *x = calloc((size_t)(m * k) + 1, 4), *r = calloc((size_t)(m * n) + 1, 4);
    uint32_t seed = (uint32_t)(m * 31 + k);
    for (int64_t i = 0; i < m * k; i++) {
        x[i] = number(&seed);
    }
    for (int64_t i = 0; i < m * n; i++) {
        r[i] = number(&seed);
    }
    aigc_tensor args[2] = {
        {x, AIGC_F32, 2, {m, k}},
        {r, AIGC_F32, 2, {m, n}}
    };
    for (uint32_t e = 0; e < sizeof entries / sizeof *entries; e++) {
        aigc_tensor want[2];
        for (uint32_t i = 0; i < 2; i++) {
            want[i] = call(&runs[i], 0, entries[e].name, args);
        }
        for (uint32_t i = 2; i < n_runs; i++) {
            char what[128];
            snprintf(what, sizeof what, "%s of %lld x %lld x %lld, cpu %u%s", entries[e].name,
                     (long long)m, (long long)k, (long long)n, (i - 2) / 2, i % 2 ? ", bf16" : "");
            aigc_tensor one = call(&runs[i], 0, entries[e].name, args),
                        two = call(&runs[i], 1, entries[e].name, args);
            bool rounded = runs[i].rounded;
            compare(&one, &want[rounded], k, rounded && entries[e].norms, what);
            assert_memory_equal(one.data, two.data, (size_t)elements(&one) * 4);
            free(one.data);
            free(two.data);
        }
        free(want[0].data);
        free(want[1].data);
    }
    free(x);
    free(r);
}

static void test_products(void **state)
{
    (void)state;
    static const char *const cpus[] = {NULL, "x86-64-v4", "x86-64-v3", "x86-64"};
    char path[] = "/tmp/aigc-productsXXXXXX.aigc", air[] = "/tmp/aigc-productsXXXXXX.air",
         weights[] = "/tmp/aigc-productsXXXXXX.safetensors";
    int f = mkstemps(path, 5), w = mkstemps(weights, 12), r = mkstemps(air, 4);
    assert_true(f >= 0 && w >= 0 && r >= 0);
    assert_int_equal(write(f, source, sizeof source - 1), sizeof source - 1);
    close(f);
    close(w);
    close(r);
    uint32_t have = aigc_cpu_features();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t k = sizes[s].k, n = sizes[s].n;
        write_weights(weights, k, n);
        write_rounded(path, air, k, n);
        /* By the interpreter: exactly, and rounded. */
        run runs[10] = {open_run(path, weights, NULL, k, n, false, true),
                        open_run(air, weights, NULL, k, n, false, true)};
        uint32_t n_runs = 2;
        for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
#if !defined(__x86_64__)
            if (cpus[i]) {
                continue;
            }
#endif
            bool runs_here = i == 0 || i == 3 || (i == 1 && have & AIGC_CPU_AVX512) ||
                             (i == 2 && have & AIGC_CPU_AVX2_FMA);
            for (int bf16 = 0; bf16 < 2 && runs_here; bf16++) {
                runs[n_runs++] = open_run(path, weights, cpus[i], k, n, bf16, false);
            }
        }
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            if (row_counts[i] <= sizes[s].most_rows) {
                check_rows(runs, n_runs, row_counts[i], k, n);
            }
        }
        for (uint32_t i = 0; i < n_runs; i++) {
            diff_runs_close(&runs[i].r);
        }
    }
    unlink(path);
    unlink(air);
    unlink(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
