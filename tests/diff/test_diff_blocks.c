/* Products with weights in blocks (q8_0, q4_0): compiled code against the arithmetic docs/ir.md
 * gives for math "q8", written out here, at every level of vectors, on one thread and two. */
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

enum { BLOCK = 32 };

static const char source[] =
    "model m(k = 32, n = 8) {\n"
    "  w: f32[n, k]\n"
    "  u: f32[n, k]\n"
    "  entry plain(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T }\n"
    "  entry gate(x: f32[M, k]) -> y: f32[M, n] { return silu(x @ w.T) * (x @ u.T) }\n"
    "  entry picked(x: f32[M, k], ids: i32[M]) -> y: f32[M, k] { return w[ids] + relu(x) }\n"
    "}\n";

static const struct {
    int64_t k, n;
} sizes[] = {
    {32,   2  },
    {32,   15 },
    {64,   16 },
    {96,   17 },
    {160,  33 },
    {1024, 100},
    {64,   200},
    {2048, 130}, /* streams that lie apart */
    {8192, 2  }, /* more rows below than are packed at a time */
};
static const int64_t row_counts[] = {1, 2, 5, 7, 13, 20, 50};

typedef struct storage {
    const char *name;
    uint32_t gguf, bytes;
} storage;
static char path[] = "/tmp/aigc-blocksXXXXXX.aigc", file[] = "/tmp/aigc-blocksXXXXXX.gguf";

static const storage storages[] = {
    {"q8_0", 8, 34},
    {"q4_0", 2, 18},
};

static uint32_t next(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

static float number(uint32_t *seed)
{
    return (float)next(seed) / 8388608.0f - 1;
}

typedef struct weights {
    const storage *s;
    int64_t k, n;
    unsigned char *blocks;
} weights;

static weights make_weights(const storage *s, int64_t k, int64_t n, uint32_t seed)
{
    weights w = {s, k, n, malloc((size_t)(n * k / BLOCK * s->bytes))};
    for (int64_t b = 0; b < n * k / BLOCK; b++) {
        unsigned char *p = w.blocks + b * s->bytes;
        _Float16 scale = (_Float16)(number(&seed) / (s->gguf == 8 ? 100 : 8));
        memcpy(p, &scale, 2);
        for (uint32_t i = 2; i < s->bytes; i++) {
            p[i] = (unsigned char)next(&seed);
        }
    }
    return w;
}

/* The blocks' definition: ggml-quants, dequantize_row_q8_0 and _q4_0. */
static double weight(const weights *w, int64_t row, int64_t k)
{
    const unsigned char *p = w->blocks + (row * w->k + k) / BLOCK * w->s->bytes;
    _Float16 scale;
    memcpy(&scale, p, 2);
    int64_t i = k % BLOCK;
    int q = w->s->gguf == 8 ? (signed char)p[2 + i]
            : i < 16        ? (p[2 + i] & 15) - 8
                            : (p[2 + i - 16] >> 4) - 8;
    return (double)scale * q;
}

static void put(FILE *f, uint64_t v, size_t bytes)
{
    assert_int_equal(fwrite(&v, bytes, 1, f), 1);
}

static void put_text(FILE *f, const char *s)
{
    put(f, strlen(s), 8);
    fwrite(s, 1, strlen(s), f);
}

static void write_gguf(const char *to, const weights *w, const weights *u)
{
    const weights *all[2] = {w, u};
    static const char *const names[2] = {"w", "u"};
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    fwrite("GGUF", 1, 4, f);
    put(f, 3, 4);
    put(f, 2, 8);
    put(f, 1, 8);
    put_text(f, "general.architecture");
    put(f, 8, 4);
    put_text(f, "m");
    uint64_t at = 0, size = (uint64_t)(w->n * w->k / BLOCK) * w->s->bytes;
    for (int i = 0; i < 2; i++) {
        put_text(f, names[i]);
        put(f, 2, 4);
        put(f, (uint64_t)all[i]->k, 8);
        put(f, (uint64_t)all[i]->n, 8);
        put(f, all[i]->s->gguf, 4);
        put(f, at, 8);
        at += (size + 31) / 32 * 32;
    }
    for (int i = 0; i < 2; i++) {
        while (ftell(f) % 32) {
            fputc(0, f);
        }
        fwrite(all[i]->blocks, 1, size, f);
    }
    fclose(f);
}

/* x @ w.T with the row in whole multiples of each block's largest / 127; *size: of the sum's
 * terms, and of what a tie that is rounded the other way moves it by. */
static double product(const float *x, const weights *w, int64_t row, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t b = 0; b < w->k; b += BLOCK) {
        double most = 0;
        for (int64_t i = 0; i < BLOCK; i++) {
            most = fmax(most, fabs((double)x[b + i]));
        }
        double d = most / 127;
        for (int64_t i = 0; i < BLOCK && d > 0; i++) {
            double q = (double)x[b + i] / d, v = weight(w, row, b + i);
            sum += nearbyint(q) * d * v;
            *size += fabs(nearbyint(q) * d * v) * 1e-6;
            *size += fabs(q - floor(q) - 0.5) < 1e-4 ? fabs(d * v) : 0;
        }
    }
    return sum;
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void check(const char *what, float found, double expected, double bound)
{
    if (!(fabs((double)found - expected) <= bound + 1e-6)) {
        fail_msg("%s: %.9g, not %.9g (%.2g is allowed)", what, (double)found, expected, bound);
    }
}

static void check_rows(diff_runs *r, const weights *w, const weights *u, int64_t m, const char *cpu)
{
    float *x = malloc((size_t)(m * w->k) * 4);
    int32_t *ids = malloc((size_t)m * 4);
    uint32_t seed = (uint32_t)m;
    for (int64_t i = 0; i < m * w->k; i++) {
        x[i] = i / BLOCK % 3 == 2 ? 0 : number(&seed); /* some blocks are all zeros */
    }
    for (int64_t i = 0; i < m; i++) {
        ids[i] = (int32_t)(next(&seed) % (uint32_t)w->n);
    }
    aigc_tensor args[2] = {
        {x,   AIGC_F32, 2, {m, w->k}},
        {ids, AIGC_I32, 1, {m}      }
    };
    for (uint32_t c = 0; c < 2; c++) {
        char what[128];
        snprintf(what, sizeof what, "%s %s %lld x %lld x %lld, %u threads", w->s->name,
                 cpu ? cpu : "native", (long long)m, (long long)w->k, (long long)w->n, c + 1);
        aigc_tensor plain, gate, picked;
        plain = diff_runs_call(r, c, "plain", args, 1);
        gate = diff_runs_call(r, c, "gate", args, 1);
        picked = diff_runs_call(r, c, "picked", args, 2);
        for (int64_t i = 0; i < m; i++) {
            for (int64_t j = 0; j < w->n; j++) {
                double a, b, g = product(x + i * w->k, w, j, &a),
                             v = product(x + i * w->k, u, j, &b);
                check(what, ((float *)plain.data)[i * w->n + j], g, a);
                check(what, ((float *)gate.data)[i * w->n + j], silu(g) * v,
                      2 * (a * (fabs(v) + 1) + b * (fabs(g) + 1)));
            }
            for (int64_t k = 0; k < w->k; k++) {
                float v = x[i * w->k + k];
                check(what, ((float *)picked.data)[i * w->k + k],
                      weight(w, ids[i], k) + (v > 0 ? (double)v : 0), 1e-6);
            }
        }
        free(plain.data);
        free(gate.data);
        free(picked.data);
    }
    free(x);
    free(ids);
}

static diff_runs start_run(const char *dk, const char *dn, const char *cpu)
{
    const char *defines[2] = {dk, dn};
    return diff_runs_open(
        path, (aigc_settings){
                  .defines = defines, .n_defines = 2, .weights = file, .cpu = cpu, .opt_level = 2});
}

static void check_size(const storage *s, int64_t k, int64_t n)
{
    static const char *const cpus[] = {NULL, "x86-64-v4", "x86-64-v3", "x86-64"};
    uint32_t have = aigc_cpu_features();
    weights w = make_weights(s, k, n, 1), u = make_weights(s, k, n, 2);
    write_gguf(file, &w, &u);
    char dk[32], dn[32];
    snprintf(dk, sizeof dk, "k=%lld", (long long)k);
    snprintf(dn, sizeof dn, "n=%lld", (long long)n);
    for (uint32_t i = 0; i < 4; i++) {
#if !defined(__x86_64__)
        if (i) {
            break;
        }
#endif
        if ((i == 1 && !(have & AIGC_CPU_AVX512)) || (i == 2 && !(have & AIGC_CPU_AVX2_FMA))) {
            continue;
        }
        diff_runs r = start_run(dk, dn, cpus[i]);
        for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++) {
            check_rows(&r, &w, &u, row_counts[m], cpus[i]);
        }
        diff_runs_close(&r);
    }
    free(w.blocks);
    free(u.blocks);
}

static int begin(void **state)
{
    (void)state;
    int f = mkstemps(path, 5), w = mkstemps(file, 5);
    bool written = f >= 0 && w >= 0 && write(f, source, sizeof source - 1) == sizeof source - 1;
    close(f);
    close(w);
    return written ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    unlink(file);
    return 0;
}

static void test_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof storages / sizeof *storages; s++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            check_size(&storages[s], sizes[i].k, sizes[i].n);
        }
    }
}

/* Rows with a nan or an infinity become nans and leave the other rows alone; what is too small for
 * a scale counts as nothing. */
static void test_odd_numbers(void **state)
{
    (void)state;
    enum { K = 64, N = 17, ROWS = 9 };
    for (size_t s = 0; s < sizeof storages / sizeof *storages; s++) {
        weights w = make_weights(&storages[s], K, N, 1);
        write_gguf(file, &w, &w);
        diff_runs r = start_run("k=64", "n=17", NULL);
        float x[ROWS * K];
        uint32_t seed = 5;
        for (int i = 0; i < ROWS * K; i++) {
            x[i] = number(&seed);
        }
        x[1 * K + 40] = NAN;
        x[3 * K + 2] = -INFINITY;
        for (int i = 0; i < K; i++) {
            x[4 * K + i] *= 1e-41f;
        }
        aigc_tensor y, args[1] = {
                           {x, AIGC_F32, 2, {ROWS, K}}
        };
        y = diff_runs_call(&r, 0, "plain", args, 1);
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < N; j++) {
                float found = ((float *)y.data)[i * N + j];
                if (i == 1 || i == 3) {
                    assert_true(isnan(found));
                    continue;
                }
                double bound, expected = product(x + i * K, &w, j, &bound);
                check("odd numbers", found, expected, bound);
            }
        }
        free(y.data);
        free(w.blocks);
        diff_runs_close(&r);
    }
}

/* The dot products that a CPU has are used. */
static void test_instructions(void **state)
{
    (void)state;
    static const struct {
        const char *target, *cpu, *instruction;
    } wanted[] = {
        {"x86_64-linux-gnu",  "cascadelake", "vpdpbusd"},
        {"x86_64-linux-gnu",  "alderlake",   "vpdpbusd"},
        {"x86_64-linux-gnu",  "x86-64-v4",   "vpmaddwd"},
        {"x86_64-linux-gnu",  "x86-64-v3",   "vpmaddwd"},
        {"aarch64-linux-gnu", "cortex-a76",  "sdot"    },
    };
    weights w = make_weights(&storages[0], 32, 8, 1);
    write_gguf(file, &w, &w);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char command[512];
        snprintf(
            command, sizeof command,
            "%s build %s --weights %s --target %s --cpu %s --no-cache -o %s.s && grep -q %s %s.s",
            AIGC_COMMAND, path, file, wanted[i].target, wanted[i].cpu, file, wanted[i].instruction,
            file);
        if (system(command) != 0) {
            fail_msg("%s has no %s", wanted[i].cpu, wanted[i].instruction);
        }
    }
    char out[64];
    snprintf(out, sizeof out, "%s.s", file);
    unlink(out);
    free(w.blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_odd_numbers),
        cmocka_unit_test(test_instructions),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
