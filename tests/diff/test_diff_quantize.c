/* --quantize: a model whose file has floats gives, to the last bit, what the same model gives whose
 * file has what they become. Blocks are made here once more, as ggml's reference is written. At
 * every level of vectors, on one thread and three. */
#include "runtime/convert.h"
#include "runtime/io/gguf_write.h"
#include "runtime/io/weights_file.h"
#include "tests/diff/diff_runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A matrix each way round, and a table whose rows are picked as well. Block files have all of them
 * as [n, k]: nothing else has blocks along k. */
#define MODEL(down, product, more)                                                                 \
    "model m(k = 32, n = 8) {\n"                                                                   \
    "  w: f32[n, k]\n"                                                                             \
    "  u: f32[" down "]\n"                                                                         \
    "  e: f32[n, k]\n"                                                                             \
    "  b: f32[n]\n"                                                                                \
    "  entry plain(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T + b }\n"                         \
    "  entry down(x: f32[M, k]) -> y: f32[M, n] { return x @ " product " }\n"                      \
    "  entry gate(x: f32[M, k]) -> y: f32[M, n] { return silu(x @ w.T) * (x @ " product ") }\n"    \
    "  entry tied(ids: i32[M]) -> y: f32[M, n] { return e[ids] @ e.T }\n" more "}\n"
static const char *const sources[2] = {
    MODEL("k, n", "u", "  entry rows(ids: i32[M]) -> y: f32[M, n] { return u[ids] }\n"),
    MODEL("n, k", "u.T", "")};
static char paths[2][40] = {"/tmp/aigc-quantizeXXXXXX.aigc", "/tmp/aigc-quantizeXXXXXX.aigc"};
static char floats_file[40] = "/tmp/aigc-quantizeXXXXXX.safetensors",
            made_file[40] = "/tmp/aigc-quantizeXXXXXX.gguf";
static char *const files[4] = {paths[0], paths[1], floats_file, made_file};
static const int endings[4] = {5, 5, 12, 5};

static const struct {
    const char *name;
    uint8_t dtype;
} kinds[] = {
    {"q8_0", AIGC_Q8_0},
    {"q4_0", AIGC_Q4_0},
    {"f16",  AIGC_F16 },
    {"bf16", AIGC_BF16},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, N_LEVELS = 4, BLOCK = 32 };

static const struct {
    int64_t k, n;
} sizes[] = {
    {32,   2 },
    {160,  17},
    {1024, 33},
};
static const int64_t row_counts[] = {1, 2, 7, 50};

/* Numbers ---------------------------------------------------------------------------------------
 */

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1;
}

typedef struct matrices { /* w, u, e: [n, k]; u_down: [k, n]; b: [n] */
    int64_t k, n;
    float *all[3], *u_down, *b;
} matrices;

static matrices make_matrices(int64_t k, int64_t n)
{
    matrices m = {.k = k, .n = n};
    uint32_t seed = (uint32_t)(k * 3 + n);
    m.b = malloc((size_t)n * 4);
    m.u_down = malloc((size_t)(n * k) * 4);
    for (int64_t i = 0; i < n; i++) {
        m.b[i] = number(&seed);
    }
    for (int a = 0; a < 3; a++) {
        m.all[a] = malloc((size_t)(n * k) * 4);
        for (int64_t i = 0; i < n * k; i++) {
            m.all[a][i] = i / BLOCK % 5 == 4 ? 0 : number(&seed) / 4;
        }
    }
    for (int64_t i = 0; i < n * k; i++) {
        m.u_down[i % k * n + i / k] = m.all[1][i];
    }
    return m;
}

static void free_matrices(matrices *m)
{
    for (int a = 0; a < 3; a++) {
        free(m->all[a]);
    }
    free(m->u_down);
    free(m->b);
}

/* ggml-quants.c, quantize_row_q8_0_ref and _q4_0_ref, one block. */
static void make_block(uint8_t storage, const float *x, unsigned char *block)
{
    float most = 0, largest = 0;
    for (int i = 0; i < BLOCK; i++) {
        if (most < fabsf(x[i])) {
            most = fabsf(x[i]);
            largest = x[i];
        }
    }
    float d = storage == AIGC_Q8_0 ? most / 127 : largest / -8, id = d != 0 ? 1 / d : 0;
    _Float16 scale = (_Float16)d;
    memcpy(block, &scale, 2);
    for (int i = 0; i < BLOCK; i++) {
        volatile float v = x[i] * id; /* rounded before it is used */
        if (storage == AIGC_Q8_0) {
            block[2 + i] = (unsigned char)(signed char)roundf(v);
            continue;
        }
        volatile float up = v + 8.5f;
        int q = (int)up < 15 ? (int)up : 15;
        unsigned char *to = &block[2 + i % 16];
        *to = (unsigned char)(i < 16 ? q : *to | q << 4);
    }
}

/* [n, k], or [k, n], in the storage; free it. */
static void *kept_in(uint8_t storage, const float *x, int64_t n_elems)
{
    char *out = malloc((size_t)n_elems * 4);
    if (aigc_dtype_block(storage) == 1) {
        aigc_convert_from_float(storage, out, 0, n_elems, x);
        return out;
    }
    for (int64_t i = 0; i < n_elems; i += BLOCK) {
        make_block(storage, x + i,
                   (unsigned char *)out + i / BLOCK * (int64_t)aigc_dtype_bytes(storage));
    }
    return out;
}

/* Files -----------------------------------------------------------------------------------------
 */

static const char *const names[4] = {"b", "e", "u", "w"};

static void write_floats(const matrices *m, uint8_t storage)
{
    float *from[4] = {m->b, m->all[2], m->u_down, m->all[0]};
    aigc_tensor t[4];
    aigc_error err;
    for (int i = 0; i < 4; i++) {
        int64_t n_elems = i ? m->n * m->k : m->n;
        uint8_t kept = i ? storage : AIGC_F32;
        t[i] = (aigc_tensor){
            kept_in(kept, from[i], n_elems), kept, i ? 2 : 1, {m->n, m->k}
        };
        if (i == 2) {
            t[i].dims[0] = m->k;
            t[i].dims[1] = m->n;
        }
    }
    assert_int_equal(safetensors_write(floats_file, 4, names, t, &err), AIGC_OK);
    for (int i = 0; i < 4; i++) {
        free(t[i].data);
    }
}

static void write_blocks(const matrices *m, uint8_t storage)
{
    enum { ALIGN = 32 };
    const float *from[4] = {m->b, m->all[2], m->all[1], m->all[0]};
    const int64_t dims[2] = {m->n, m->k};
    gguf_writer w;
    gguf_write_begin(&w);
    gguf_write_string(&w, "general.architecture", "m");
    uint64_t at[5] = {0};
    for (int i = 0; i < 4; i++) {
        uint8_t kept = i ? storage : AIGC_F32;
        gguf_write_tensor(&w, names[i], kept, i ? 2 : 1, dims, at[i]);
        uint64_t bytes = (uint64_t)aigc_tensor_bytes(kept, i ? 2 : 1, dims);
        at[i + 1] = at[i] + (bytes + ALIGN - 1) / ALIGN * ALIGN;
    }
    gguf_write_end(&w, ALIGN);
    assert_false(w.failed);
    FILE *f = fopen(made_file, "wb");
    assert_non_null(f);
    fwrite(w.bytes, 1, w.size, f);
    for (int i = 0; i < 4; i++) {
        uint8_t kept = i ? storage : AIGC_F32;
        void *data = kept_in(kept, from[i], i ? m->n * m->k : m->n);
        char padding[ALIGN] = {0};
        size_t bytes = (size_t)aigc_tensor_bytes(kept, i ? 2 : 1, dims);
        fwrite(data, 1, bytes, f);
        fwrite(padding, 1, (size_t)(at[i + 1] - at[i]) - bytes, f);
        free(data);
    }
    fclose(f);
    free(w.bytes);
}

/* Runs ------------------------------------------------------------------------------------------
 */

typedef struct run {
    int source;
    const char *weights, *quantize, *cpu;
    int level;
} run;

static diff_runs open_run(const matrices *m, run how)
{
    char dk[32], dn[32];
    const char *defines[2] = {dk, dn};
    snprintf(dk, sizeof dk, "k=%lld", (long long)m->k);
    snprintf(dn, sizeof dn, "n=%lld", (long long)m->n);
    return diff_runs_open(paths[how.source], (aigc_settings){.defines = defines,
                                                             .n_defines = 2,
                                                             .weights = how.weights,
                                                             .quantize = how.quantize,
                                                             .cpu = how.cpu,
                                                             .opt_level = how.level});
}

/* bound: of the largest; 0: the same bits. */
static void compare(const char *what, const aigc_tensor *want, const aigc_tensor *got, double bound)
{
    const float *a = want->data, *b = got->data;
    int64_t n_elems = want->dims[0] * want->dims[1];
    double largest = 0;
    assert_memory_equal(want->dims, got->dims, 2 * sizeof *want->dims);
    for (int64_t i = 0; i < n_elems; i++) {
        largest = fmax(largest, fabs((double)a[i]));
    }
    for (int64_t i = 0; i < n_elems; i++) {
        if (!(fabs((double)a[i] - (double)b[i]) <= bound * largest)) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)b[i],
                     (double)a[i]);
        }
    }
}

static void check_rows(diff_runs *want, diff_runs *got, const matrices *m, int64_t rows,
                       double bound, const char *words)
{
    static const char *const entries[] = {"plain", "down", "gate", "tied"};
    float *x = malloc((size_t)(rows * m->k) * 4);
    int32_t *ids = malloc((size_t)rows * 4);
    uint32_t seed = (uint32_t)rows;
    for (int64_t i = 0; i < rows * m->k; i++) {
        x[i] = number(&seed);
    }
    for (int64_t i = 0; i < rows; i++) {
        ids[i] = (int32_t)(i * 7 % m->n);
    }
    aigc_tensor args[2] = {
        {x,   AIGC_F32, 2, {rows, m->k}},
        {ids, AIGC_I32, 1, {rows}      }
    };
    for (int e = 0; e < 4; e++) {
        aigc_tensor y = diff_runs_call(want, 0, entries[e], &args[e == 3], 1);
        for (uint32_t t = 0; t < 2; t++) {
            char what[160];
            snprintf(what, sizeof what, "%s of %s, %lld x %lld x %lld, threads %u", entries[e],
                     words, (long long)rows, (long long)m->k, (long long)m->n, 2 * t + 1);
            aigc_tensor z = diff_runs_call(got, t, entries[e], &args[e == 3], 1);
            compare(what, &y, &z, bound);
            free(z.data);
        }
        free(y.data);
    }
    free(x);
    free(ids);
}

static void check(const matrices *m, run want, run got, double bound)
{
    char words[96];
    snprintf(words, sizeof words, "%s -O%d %s", got.quantize, got.level,
             got.cpu ? got.cpu : "native");
    diff_runs a = open_run(m, want), b = open_run(m, got);
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        check_rows(&a, &b, m, row_counts[i], bound, words);
    }
    diff_runs_close(&a);
    diff_runs_close(&b);
}

/* Rows across blocks that run down the columns. */
static void check_picked(const matrices *m, uint8_t storage, run how)
{
    diff_runs r = open_run(m, how);
    int32_t *ids = malloc((size_t)m->k * 4);
    void *blocks = kept_in(storage, m->all[1], m->n * m->k);
    float *want = malloc((size_t)(m->n * m->k) * 4);
    aigc_convert_to_float(storage, blocks, 0, m->n * m->k, want);
    for (int64_t i = 0; i < m->k; i++) {
        ids[i] = (int32_t)(m->k - 1 - i);
    }
    aigc_tensor x = {ids, AIGC_I32, 1, {m->k}}, y = diff_runs_call(&r, 1, "rows", &x, 1);
    for (int64_t i = 0; i < m->k * m->n; i++) {
        float found = ((float *)y.data)[i];
        if (found != want[i % m->n * m->k + ids[i / m->n]]) {
            fail_msg("rows of %s -O%d: element %lld is %.9g", how.quantize, how.level, (long long)i,
                     (double)found);
        }
    }
    free(ids);
    free(blocks);
    free(want);
    free(y.data);
    diff_runs_close(&r);
}

/* Levels of vectors that this machine can run; true: the next is `*cpu`. */
static bool next_cpu(uint32_t *i, const char **cpu)
{
    static const char *const cpus[N_LEVELS] = {NULL, "x86-64-v4", "x86-64-v3", "x86-64"};
    uint32_t have = aigc_cpu_features();
    for (; *i < N_LEVELS; ++*i) {
#if !defined(__x86_64__)
        if (*i) {
            return false;
        }
#endif
        if ((*i == 1 && !(have & AIGC_CPU_AVX512)) || (*i == 2 && !(have & AIGC_CPU_AVX2_FMA))) {
            continue;
        }
        *cpu = cpus[(*i)++];
        return true;
    }
    return false;
}

static void test_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int kind = 0; kind < 2; kind++) {
            matrices m = make_matrices(sizes[s].k, sizes[s].n);
            write_floats(&m, AIGC_F32);
            write_blocks(&m, kinds[kind].dtype);
            const char *cpu, *name = kinds[kind].name;
            for (uint32_t i = 0; next_cpu(&i, &cpu);) {
                check(&m, (run){1, made_file, NULL, cpu, 2}, (run){0, floats_file, name, cpu, 2},
                      0);
            }
            check(&m, (run){1, made_file, NULL, NULL, 0}, (run){0, floats_file, name, NULL, 0},
                  1e-5);
            check_picked(&m, kinds[kind].dtype, (run){0, floats_file, name, NULL, 2});
            check_picked(&m, kinds[kind].dtype, (run){0, floats_file, name, NULL, 0});
            free_matrices(&m);
        }
    }
}

static void test_halves(void **state)
{
    (void)state;
    static const int64_t ks[] = {1, 33};
    for (size_t s = 0; s < sizeof ks / sizeof *ks; s++) {
        for (int kind = 2; kind < N_KINDS; kind++) {
            matrices m = make_matrices(ks[s], s ? 37 : 7);
            char kept[sizeof floats_file + 4];
            snprintf(kept, sizeof kept, "%s.k", floats_file);
            write_floats(&m, kinds[kind].dtype);
            assert_int_equal(rename(floats_file, kept), 0);
            write_floats(&m, AIGC_F32);
            const char *name = kinds[kind].name;
            check(&m, (run){0, kept, NULL, NULL, 2}, (run){0, floats_file, name, NULL, 2}, 0);
            check(&m, (run){0, kept, NULL, NULL, 0}, (run){0, floats_file, name, NULL, 0}, 0);
            unlink(kept);
            free_matrices(&m);
        }
    }
}

/* What the file has in halves becomes the blocks that those numbers make. */
static void test_from_halves(void **state)
{
    (void)state;
    for (int from = 2; from < N_KINDS; from++) {
        matrices m = make_matrices(96, 33);
        float *all[4] = {m.all[0], m.all[1], m.all[2], m.u_down};
        for (int a = 0; a < 4; a++) {
            void *halves = kept_in(kinds[from].dtype, all[a], 96 * 33);
            aigc_convert_to_float(kinds[from].dtype, halves, 0, 96 * 33, all[a]);
            free(halves);
        }
        write_floats(&m, kinds[from].dtype);
        for (int kind = 0; kind < 2; kind++) {
            write_blocks(&m, kinds[kind].dtype);
            check(&m, (run){1, made_file, NULL, NULL, 2},
                  (run){0, floats_file, kinds[kind].name, NULL, 2}, 0);
        }
        free_matrices(&m);
    }
}

/* Sums over no multiple of 32, and matrices of one row, are what they are without the option. */
static void test_left(void **state)
{
    (void)state;
    static const int64_t left[][2] = {
        {40, 16},
        {31, 9 },
        {64, 1 }
    };
    for (size_t s = 0; s < sizeof left / sizeof *left; s++) {
        matrices m = make_matrices(left[s][0], left[s][1]);
        write_floats(&m, AIGC_F32);
        check(&m, (run){0, floats_file, NULL, NULL, 2}, (run){0, floats_file, "q8_0", NULL, 2}, 0);
        free_matrices(&m);
    }
}

static int begin(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        int f = mkstemps(files[i], endings[i]);
        bool written = f >= 0 && (i > 1 || write(f, sources[i], strlen(sources[i])) > 0);
        close(f);
        if (!written) {
            return 1;
        }
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        unlink(files[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_from_halves),
        cmocka_unit_test(test_left),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
