/* Attention against the interpreter: few queries and many, every kind of score function, keys and
 * values in place, turned, and of 16 bits, sizes one off from those of tiles and blocks, at every
 * level of vectors, on one thread and three, with products of f32 and of bf16. */
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

/* H heads of queries in groups of H / G that share keys and values; T queries, S keys of d numbers,
 * values of e. */
static const char source[] =
    "model m(H = 4, G = 2, d = 8, e = 8) {\n"
    "  state kb, vb: bf16[G, 160, 8]\n"
    "  state kh, vh: f16[G, 160, 8]\n"
    "  entry plain(q: f32[G, H/G, T, d], k: f32[G, S, d], v: f32[G, S, e]) "
    "-> y: f32[G, H/G, T, e] {\n"
    "    return softmax(q @ k[:, none].T / sqrt(d)) @ v[:, none]\n"
    "  }\n"
    "  entry causal_rows(q: f32[G, H/G, T, d], k: f32[G, S, d], v: f32[G, S, e]) "
    "-> y: f32[T, H * e] {\n"
    "    s = where(causal(T, S), q @ k[:, none].T / sqrt(d), -inf)\n"
    "    return rearrange(softmax(s) @ v[:, none], \"g m t e -> t (g m e)\")\n"
    "  }\n"
    "  entry window(q: f32[G, H/G, T, d], k: f32[G, S, d], v: f32[G, S, e]) "
    "-> y: f32[G, H/G, T, e] {\n"
    "    ahead = arange(S)[none, :] - arange(T)[:, none]\n"
    "    s = where((ahead <= 3) and (ahead > -17), q @ k[:, none].T, -inf)\n"
    "    return gelu(softmax(s) @ v[:, none])\n"
    "  }\n"
    "  entry biased(q: f32[G, H/G, T, d], k: f32[G, S, d], v: f32[G, S, e], "
    "b: f32[T, S], o: f32[S]) -> y: f32[G, H/G, T, e] {\n"
    "    return softmax(2 * tanh(q @ k[:, none].T) + b * o) @ v[:, none]\n"
    "  }\n"
    "  entry turned(q: f32[d, T], k: f32[d, S], v: f32[e, S]) -> y: f32[T, e] {\n"
    "    return softmax(q.T @ k / 4) @ v.T\n"
    "  }\n"
    "  entry brain(q: f32[G, H/G, T, 8], k: f32[G, T, 8], v: f32[G, T, 8], pos: dim) "
    "-> y: f32[G, H/G, T, 8] {\n"
    "    kb[:, pos : pos + T] = cast(k, bf16)\n"
    "    vb[:, pos : pos + T] = cast(v, bf16)\n"
    "    s = q @ cast(kb[:, none, : pos + T], f32).T\n"
    "    return softmax(where(causal(T, pos + T), s, -inf)) @ cast(vb[:, none, : pos + T], f32)\n"
    "  }\n"
    "  entry half(q: f32[G, H/G, T, 8], k: f32[G, T, 8], v: f32[G, T, 8], pos: dim) "
    "-> y: f32[G, H/G, T, 8] {\n"
    "    kh[:, pos : pos + T] = cast(k, f16)\n"
    "    vh[:, pos : pos + T] = cast(v, f16)\n"
    "    s = q @ cast(kh[:, none, : pos + T], f32).T\n"
    "    return softmax(where(causal(T, pos + T), s, -inf)) @ cast(vh[:, none, : pos + T], f32)\n"
    "  }\n"
    "}\n";

typedef enum shape { BATCHED, BIASED, TURNED, CACHED } shape;
static const struct {
    const char *name;
    shape shape;
} entries[] = {
    {"plain",       BATCHED},
    {"causal_rows", BATCHED},
    {"window",      BATCHED},
    {"biased",      BIASED },
    {"turned",      TURNED },
    {"brain",       CACHED },
    {"half",        CACHED },
};

static const struct {
    int64_t heads, groups, d, e;
} models[] = {
    {4,  2, 8,  8 },
    {3,  1, 5,  7 },
    {2,  2, 64, 64},
    {17, 1, 33, 16},
    {1,  1, 1,  1 },
    {4,  4, 16, 80},
};

/* Queries and keys. */
static const struct {
    int64_t t, s;
} sizes[] = {
    {1,   1  },
    {1,   63 },
    {1,   129},
    {3,   17 },
    {4,   140},
    {7,   7  },
    {15,  16 },
    {16,  65 },
    {17,  17 },
    {31,  64 },
    {33,  33 },
    {65,  66 },
    {97,  150},
    {145, 160},
};

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 16777216.0f * 2 - 1;
}

static diff_runs open_run(const char *path, const char *cpu, const char *const *defines, bool bf16,
                          bool interpret)
{
    return diff_runs_open(path, (aigc_settings){.defines = (const char **)(uintptr_t)defines,
                                                .n_defines = strstr(path, ".air") ? 0 : 4,
                                                .cpu = cpu,
                                                .opt_level = 2,
                                                .bf16 = bf16,
                                                .interpret = interpret});
}

/* The interpreter's model: attention that says itself that it is rounded. */
static void write_rounded(const char *path, const char *air, const char *const *defines)
{
    compile_options o = {.defines = (const char **)(uintptr_t)defines, .n_defines = 4};
    pass_options po = {.level = 2, .bf16 = true, .bf16_dots = true};
    compiler *c = compile_create();
    assert_non_null(c);
    assert_true(compile_source(c, path, &o));
    assert_true(
        pass_run_named(c->m, c->d, "canonicalize,fold,cse,dce,fuse_attention,round_operands", &po));
    const char *text = ir_print_module(c->m, c->a);
    assert_non_null(strstr(text, "math=\"bf16\""));
    FILE *f = fopen(air, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    compile_destroy(c);
}

typedef struct arguments {
    const char *entry;
    int64_t pos;
    uint32_t n;
    aigc_tensor at[5];
} arguments;

static int64_t elements(const aigc_tensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->dims[i];
    }
    return n;
}

static aigc_tensor random_tensor(uint32_t *seed, uint32_t rank, int64_t a, int64_t b, int64_t c,
                                 int64_t d)
{
    aigc_tensor t = {
        NULL, AIGC_F32, (uint8_t)rank, {a, b, c, d}
    };
    float *x = calloc((size_t)elements(&t) + 1, sizeof *x);
    for (int64_t i = 0; i < elements(&t); i++) {
        x[i] = number(seed);
    }
    t.data = x;
    return t;
}

static arguments make_arguments(uint32_t entry, uint32_t model, int64_t t, int64_t s)
{
    arguments a = {.entry = entries[entry].name, .n = 3};
    uint32_t seed = (uint32_t)(31 * t + s + 7 * entry);
    int64_t g = models[model].groups, m = models[model].heads / g, d = models[model].d,
            e = models[model].e;
    if (entries[entry].shape == TURNED) {
        a.at[0] = random_tensor(&seed, 2, d, t, 0, 0);
        a.at[1] = random_tensor(&seed, 2, d, s, 0, 0);
        a.at[2] = random_tensor(&seed, 2, e, s, 0, 0);
        return a;
    }
    if (entries[entry].shape == CACHED) {
        a.pos = s - t;
        s = t;
        d = e = 8;
    }
    a.at[0] = random_tensor(&seed, 4, g, m, t, d);
    a.at[1] = random_tensor(&seed, 3, g, s, d, 0);
    a.at[2] = random_tensor(&seed, 3, g, s, e, 0);
    if (entries[entry].shape == BIASED) {
        a.at[a.n++] = random_tensor(&seed, 2, t, s, 0, 0);
        a.at[a.n++] = random_tensor(&seed, 1, s, 0, 0, 0);
    }
    return a;
}

static aigc_tensor call(diff_runs *r, uint32_t context, const arguments *a, bool cached)
{
    aigc_tensor y = {0};
    aigc_error err;
    if (aigc_program_call(r->p, r->c[context], a->entry, cached ? &a->pos : NULL, a->at, a->n, &y,
                          1, &err) != AIGC_OK) {
        fail_msg("%s: %s", a->entry, err.text);
    }
    return y;
}

/* Weighted means of numbers within [-1, 1]: the weights' exponents are off by the rounding of
 * d products. Weights that are rounded to bf16 may be so the other way, and are from different
 * maxima where there are several blocks of keys: each by at most 1 part in 256, mostly cancelling.
 */
static void compare(const aigc_tensor *x, const aigc_tensor *y, int64_t d, bool bf16,
                    const char *what)
{
    const float *a = x->data, *b = y->data;
    assert_int_equal(elements(x), elements(y));
    for (int64_t i = 0; i < elements(x); i++) {
        float bound = (bf16 ? 4e-3f : 2e-6f) + 2e-7f * (float)d;
        if (!(fabsf(a[i] - b[i]) <= bound) && !(isnan(a[i]) && isnan(b[i]))) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)a[i],
                     (double)b[i]);
        }
    }
}

/* Of the differences between two results. */
static double squares(const aigc_tensor *x, const aigc_tensor *y)
{
    const float *a = x->data, *b = y->data;
    double sum = 0;
    for (int64_t i = 0; i < elements(x); i++) {
        double off = (double)a[i] - (double)b[i];
        sum += isnan(off) ? 0 : off * off;
    }
    return sum;
}

typedef struct run {
    diff_runs r;
    bool bf16;
} run;

/* What rounding does to results of these sizes, and how far from it compiled code is: sums of
 * squares. */
typedef struct distance {
    double rounding, found;
} distance;

static void check_entry(run *runs, uint32_t n_runs, uint32_t model, uint32_t entry, int64_t t,
                        int64_t s, distance *off)
{
    bool cached = entries[entry].shape == CACHED;
    arguments a = make_arguments(entry, model, t, s);
    aigc_tensor want[2] = {call(&runs[0].r, 0, &a, cached), call(&runs[1].r, 0, &a, cached)};
    for (uint32_t r = 2; r < n_runs; r++) {
        char what[128];
        bool bf16 = runs[r].bf16;
        snprintf(what, sizeof what, "%s of model %u, %lld x %lld, cpu %u%s", a.entry, model,
                 (long long)t, (long long)s, (r - 2) / 2, bf16 ? ", bf16" : "");
        aigc_tensor one = call(&runs[r].r, 0, &a, cached), two = call(&runs[r].r, 1, &a, cached);
        compare(&one, &want[bf16], models[model].d, bf16, what);
        assert_memory_equal(one.data, two.data, (size_t)elements(&one) * 4);
        if (bf16) {
            off->rounding += squares(&want[0], &want[1]);
            off->found += squares(&one, &want[1]);
        }
        free(one.data);
        free(two.data);
    }
    free(want[0].data);
    free(want[1].data);
    for (uint32_t k = 0; k < a.n; k++) {
        free(a.at[k].data);
    }
}

static bool runs_here(size_t cpu)
{
#if defined(__x86_64__)
    uint32_t have = aigc_cpu_features();
    return cpu == 0 || cpu == 3 || (cpu == 1 && have & AIGC_CPU_AVX512) ||
           (cpu == 2 && have & AIGC_CPU_AVX2_FMA);
#else
    return cpu == 0;
#endif
}

static bool has_dots(const char *cpu)
{
    compiler *c = compile_create();
    compile_options o = {.cpu = cpu, .level = 2};
    assert_non_null(c);
    assert_true(compile_target(c, &o));
    bool has = target_bf16_dots(c->t);
    compile_destroy(c);
    return has;
}

static void check_model(const char *path, const char *air, uint32_t model)
{
    static const char *const cpus[] = {NULL, "x86-64-v4", "x86-64-v3", "x86-64"};
    char text[4][32];
    const int64_t values[4] = {models[model].heads, models[model].groups, models[model].d,
                               models[model].e};
    const char *defines[4];
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%c=%lld", "HGde"[i], (long long)values[i]);
        defines[i] = text[i];
    }
    write_rounded(path, air, defines);
    /* By the interpreter: exactly, and rounded. */
    run runs[10] = {
        {open_run(path, NULL, defines, false, true), false},
        {open_run(air,  NULL, defines, false, true), true }
    };
    uint32_t n_runs = 2;
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        for (int bf16 = 0; bf16 < 2 && runs_here(i); bf16++) {
            /* Without dot products only attention that says so itself is rounded. */
            const char *rounded = has_dots(cpus[i]) ? path : air;
            runs[n_runs++] =
                (run){open_run(bf16 ? rounded : path, cpus[i], defines, bf16, false), bf16};
        }
    }
    distance off = {0, 0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (uint32_t k = 0; k < sizeof entries / sizeof *entries; k++) {
            check_entry(runs, n_runs, model, k, sizes[i].t, sizes[i].s, &off);
        }
    }
    assert_true(off.found < 0.05 * off.rounding);
    for (uint32_t i = 0; i < n_runs; i++) {
        diff_runs_close(&runs[i].r);
    }
}

static void test_attention(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-attentionXXXXXX.aigc", air[] = "/tmp/aigc-attentionXXXXXX.air";
    int f = mkstemps(path, 5), r = mkstemps(air, 4);
    assert_true(f >= 0 && r >= 0);
    assert_int_equal(write(f, source, sizeof source - 1), sizeof source - 1);
    close(f);
    close(r);
    for (uint32_t i = 0; i < sizeof models / sizeof *models; i++) {
        check_model(path, air, i);
    }
    unlink(path);
    unlink(air);
}

/* Scores are multiplied by `scale` once, whatever is rounded. */
static void test_scale(void **state)
{
    (void)state;
    static const char text[] =
        "model \"m\"\n"
        "entry \"f\" stage tensor (size T in 1..inf) (\n"
        "  %0 = input {name=\"q\", index=0} : f32[2, T, 16]\n"
        "  %1 = input {name=\"k\", index=1} : f32[2, T, 16]\n"
        "  %2 = input {name=\"v\", index=2} : f32[2, T, 16]\n"
        "  %3 = attention %0, %1, %2 {scale=-3.0, math=\"bf16\"} : f32[2, T, 16]\n"
        "  return \"y\" = %3\n"
        ")\n";
    char air[] = "/tmp/aigc-attentionXXXXXX.air";
    int f = mkstemps(air, 4);
    assert_true(f >= 0);
    assert_int_equal(write(f, text, sizeof text - 1), sizeof text - 1);
    close(f);
    const char *generic = runs_here(3) ? "x86-64" : NULL;
    diff_runs want = open_run(air, NULL, NULL, true, true),
              found[2] = {open_run(air, NULL, NULL, true, false),
                          open_run(air, generic, NULL, true, false)};
    for (int64_t t = 3; t < 60; t += 37) {
        uint32_t seed = 5;
        aigc_tensor args[3];
        for (uint32_t i = 0; i < 3; i++) {
            args[i] = random_tensor(&seed, 3, 2, t, 16, 0);
        }
        aigc_tensor y = diff_runs_call(&want, 0, "f", args, 3);
        for (uint32_t i = 0; i < 2; i++) {
            aigc_tensor x = diff_runs_call(&found[i], 1, "f", args, 3);
            compare(&x, &y, 16, true, "scale");
            free(x.data);
        }
        free(y.data);
        for (uint32_t i = 0; i < 3; i++) {
            free(args[i].data);
        }
    }
    diff_runs_close(&want);
    diff_runs_close(&found[0]);
    diff_runs_close(&found[1]);
    unlink(air);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_scale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
