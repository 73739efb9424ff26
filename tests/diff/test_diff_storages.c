/* Parameters in every block storage GGUF files have: compiled code, at every level of vectors and
 * on one thread and two, against the interpreter. The interpreter's weights are decoded by the
 * runtime. */
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

/* Whole rows; columns side by side; odd places; products along the blocks and across them. */
static const char source[] = "model m(k = 256, n = 8) {\n"
                             "  w: f32[n, k]\n"
                             "  entry all() -> y: f32[n, k] { return w * 2.0 }\n"
                             "  entry turned() -> y: f32[k, n] { return w.T + 1.0 }\n"
                             "  entry part() -> y: f32[n, k - 5] { return w[:, 3:k-2] }\n"
                             "  entry picked(ids: i32[M]) -> y: f32[M, k] { return w[ids] }\n"
                             "  entry product(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T }\n"
                             "  entry across(x: f32[M, n]) -> y: f32[M, k] { return x @ w }\n"
                             "}\n";

typedef struct storage {
    const char *name;
    uint32_t gguf, block, bytes;
    int d_at, m_at; /* of its f16 numbers; -1: none */
} storage;
static const storage storages[] = {
    {"q4_0", 2,  32,  18,  0,   -1},
    {"q4_1", 3,  32,  20,  0,   2 },
    {"q5_0", 6,  32,  22,  0,   -1},
    {"q5_1", 7,  32,  24,  0,   2 },
    {"q8_0", 8,  32,  34,  0,   -1},
    {"q2_K", 10, 256, 84,  80,  82},
    {"q3_K", 11, 256, 110, 108, -1},
    {"q4_K", 12, 256, 144, 0,   2 },
    {"q5_K", 13, 256, 176, 0,   2 },
    {"q6_K", 14, 256, 210, 208, -1},
};
enum { N_STORAGES = sizeof storages / sizeof *storages, N_LEVELS = 4 };

static const struct {
    int64_t blocks, n; /* blocks of a row */
} sizes[] = {
    {1, 1 },
    {2, 17},
};
enum { N_SIZES = sizeof sizes / sizeof *sizes, MOST_ROWS = 5 };

static uint32_t next(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 8;
}

static float number(uint32_t *seed)
{
    return (float)next(seed) / 8388608.0f - 1;
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

static void put_block(FILE *f, const storage *s, uint32_t *seed)
{
    unsigned char block[256];
    _Float16 d = (_Float16)number(seed), m = (_Float16)number(seed);
    for (uint32_t i = 0; i < s->bytes; i++) {
        block[i] = (unsigned char)next(seed);
    }
    memcpy(block + s->d_at, &d, 2);
    if (s->m_at >= 0) {
        memcpy(block + s->m_at, &m, 2);
    }
    fwrite(block, 1, s->bytes, f);
}

static void write_gguf(const char *path, const storage *s, int64_t k, int64_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite("GGUF", 1, 4, f);
    put(f, 3, 4);
    put(f, 1, 8);
    put(f, 1, 8);
    put_text(f, "general.architecture");
    put(f, 8, 4);
    put_text(f, "m");
    put_text(f, "w");
    put(f, 2, 4);
    put(f, (uint64_t)k, 8);
    put(f, (uint64_t)n, 8);
    put(f, s->gguf, 4);
    put(f, 0, 8);
    while (ftell(f) % 32) {
        fputc(0, f);
    }
    uint32_t seed = s->gguf;
    for (int64_t i = 0; i < n * k / s->block; i++) {
        put_block(f, s, &seed);
    }
    fclose(f);
}

typedef struct inputs {
    int64_t k, n, m;
    float *along, *across; /* [m, k], [m, n] */
    int32_t ids[MOST_ROWS];
} inputs;

static inputs make_inputs(int64_t k, int64_t n, int64_t m)
{
    inputs in = {k, n, m, malloc((size_t)(m * k) * 4), malloc((size_t)(m * n) * 4), {0}};
    uint32_t seed = (uint32_t)(k + m);
    for (int64_t i = 0; i < m * k; i++) {
        in.along[i] = number(&seed);
    }
    for (int64_t i = 0; i < m * n; i++) {
        in.across[i] = number(&seed);
    }
    for (int64_t i = 0; i < m; i++) {
        in.ids[i] = (int32_t)(next(&seed) % (uint32_t)n);
    }
    return in;
}

static void free_inputs(inputs *in)
{
    free(in->along);
    free(in->across);
}

static const struct {
    const char *entry;
    enum { NOTHING, ALONG, ACROSS, IDS } argument;
    bool rounded; /* sums: their order differs */
} calls[] = {
    {"all",     NOTHING, false},
    {"turned",  NOTHING, false},
    {"part",    NOTHING, false},
    {"picked",  IDS,     false},
    {"product", ALONG,   true },
    {"across",  ACROSS,  true },
};
enum { N_CALLS = sizeof calls / sizeof *calls };

static aigc_tensor call(aigc_program *p, aigc_context *c, size_t which, const inputs *in)
{
    aigc_tensor args[] = {
        [ALONG] = {in->along,                  AIGC_F32, 2, {in->m, in->k}},
        [ACROSS] = {in->across,                 AIGC_F32, 2, {in->m, in->n}},
        [IDS] = {(void *)(uintptr_t)in->ids, AIGC_I32, 1, {in->m}       },
    };
    aigc_tensor y = {0};
    aigc_error err;
    uint32_t argument = calls[which].argument;
    if (aigc_program_call(p, c, calls[which].entry, NULL, args + argument, argument != NOTHING, &y,
                          1, &err) != AIGC_OK) {
        fail_msg("%s: %s", calls[which].entry, err.text);
    }
    return y;
}

static diff_runs open_model(const char *path, const char *file, const char *cpu, bool interpret,
                            int64_t k, int64_t n, int level)
{
    char dk[32], dn[32];
    const char *defines[2] = {dk, dn};
    snprintf(dk, sizeof dk, "k=%lld", (long long)k);
    snprintf(dn, sizeof dn, "n=%lld", (long long)n);
    return diff_runs_open(path, (aigc_settings){.defines = defines,
                                                .n_defines = 2,
                                                .weights = file,
                                                .cpu = cpu,
                                                .opt_level = level,
                                                .interpret = interpret});
}

static void compare(const char *what, const aigc_tensor *want, const aigc_tensor *got, bool rounded)
{
    int64_t n = 1;
    double largest = 0;
    for (uint32_t i = 0; i < want->rank; i++) {
        assert_int_equal(want->dims[i], got->dims[i]);
        n *= want->dims[i];
    }
    const float *a = want->data, *b = got->data;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)a[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) <= (rounded ? largest * 1e-5 : 0))) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)b[i],
                     (double)a[i]);
        }
    }
}

static void check_compiled(const diff_runs *right, diff_runs *r, const storage *s, const inputs *in,
                           const char *cpu)
{
    for (size_t i = 0; i < N_CALLS; i++) {
        aigc_tensor want = call(right->p, right->c[0], i, in);
        for (uint32_t t = 0; t < 2; t++) {
            char what[128];
            snprintf(what, sizeof what, "%s of %s[%lld, %lld], %lld rows, %s, %u threads",
                     calls[i].entry, s->name, (long long)in->n, (long long)in->k, (long long)in->m,
                     cpu ? cpu : "native", t + 1);
            aigc_tensor got = call(r->p, r->c[t], i, in);
            compare(what, &want, &got, calls[i].rounded);
            free(got.data);
        }
        free(want.data);
    }
}

static void check_size(const char *path, const char *file, const storage *s, int64_t k, int64_t n)
{
    static const char *const cpus[N_LEVELS] = {NULL, "x86-64-v4", "x86-64-v3", "x86-64"};
    uint32_t have = aigc_cpu_features();
    write_gguf(file, s, k, n);
    diff_runs right = open_model(path, file, NULL, true, k, n, 0);
    for (uint32_t i = 0; i < N_LEVELS; i++) {
#if !defined(__x86_64__)
        if (i) {
            break;
        }
#endif
        if ((i == 1 && !(have & AIGC_CPU_AVX512)) || (i == 2 && !(have & AIGC_CPU_AVX2_FMA))) {
            continue;
        }
        /* At level 0 nothing is packed: products of q8_0 and q4_0 too are of f32. */
        int level = s->gguf == 8 || s->gguf == 2 ? 0 : 2;
        diff_runs r = open_model(path, file, cpus[i], false, k, n, level);
        for (int64_t m = 1; m <= MOST_ROWS; m += MOST_ROWS - 1) {
            inputs in = make_inputs(k, n, m);
            check_compiled(&right, &r, s, &in, cpus[i]);
            free_inputs(&in);
        }
        diff_runs_close(&r);
    }
    diff_runs_close(&right);
}

static void test_storages(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-storagesXXXXXX.aigc", file[] = "/tmp/aigc-storagesXXXXXX.gguf";
    int f = mkstemps(path, 5), w = mkstemps(file, 5);
    assert_true(f >= 0 && w >= 0);
    assert_int_equal(write(f, source, sizeof source - 1), sizeof source - 1);
    close(f);
    close(w);
    for (size_t s = 0; s < N_STORAGES; s++) {
        for (size_t i = 0; i < N_SIZES; i++) {
            check_size(path, file, &storages[s], sizes[i].blocks * storages[s].block, sizes[i].n);
        }
    }
    unlink(path);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
