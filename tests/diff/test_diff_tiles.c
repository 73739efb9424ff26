/* Products of bf16 and of int8 by tile registers, emulated, against the same products by dot
 * products: blocks of rows of every kind, one product and two, columns to a tile and beside it;
 * those of int8 to the last bit. And: code for machines that have tiles uses them. */
#include "tests/diff/diff_tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char source[] =
    "model m(k = 32, n = 32) {\n"
    "  w: f32[n, k]\n"
    "  u: f32[n, k]\n"
    "  entry plain(x: f32[M, k]) -> y: f32[M, n] { return x @ w.T }\n"
    "  entry gate(x: f32[M, k]) -> y: f32[M, n] { return silu(x @ w.T) * (x @ u.T) }\n"
    "}\n";

/* Weights of f32 are rounded to bf16; those of GGUF's types are multiplied as int8. */
static const struct {
    const char *name;
    uint32_t gguf; /* 0: no file, f32 */
} storages[] = {
    {"bf16", 0},
    {"q8_0", 8},
    {"q4_0", 2},
};

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

static char path[] = "/tmp/aigc-tilesXXXXXX.aigc", file[] = "/tmp/aigc-tilesXXXXXX.gguf";

static void put(FILE *f, uint64_t v, size_t bytes)
{
    assert_int_equal(fwrite(&v, bytes, 1, f), 1);
}

static void put_text(FILE *f, const char *s)
{
    put(f, strlen(s), 8);
    fwrite(s, 1, strlen(s), f);
}

/* Says what w and u are kept as; their blocks are zeros, and not read. */
static void write_gguf(uint32_t type, int64_t k, int64_t n)
{
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    fwrite("GGUF", 1, 4, f);
    put(f, 3, 4);
    put(f, 2, 8);
    put(f, 0, 8);
    uint64_t bytes = (uint64_t)(k / 32 * n) * (type == 8 ? 34 : 18);
    for (uint32_t i = 0; i < 2; i++) {
        put_text(f, i ? "u" : "w");
        put(f, 2, 4);
        put(f, (uint64_t)k, 8);
        put(f, (uint64_t)n, 8);
        put(f, type, 4);
        put(f, i * ((bytes + 31) / 32 * 32), 8);
    }
    for (uint64_t i = 0; i < 2 * bytes + 128; i++) {
        fputc(0, f);
    }
    fclose(f);
}

static compile_options options(int64_t k, int64_t n, char text[2][32], const char *defines[2])
{
    snprintf(text[0], 32, "k=%lld", (long long)k);
    snprintf(text[1], 32, "n=%lld", (long long)n);
    defines[0] = text[0];
    defines[1] = text[1];
    return (compile_options){
        .defines = defines, .n_defines = 2, .level = 2, .bf16 = true, .no_cache = true};
}

static tile_program open_program(size_t storage, int64_t k, int64_t n, bool tiles)
{
    char text[2][32];
    const char *defines[2];
    compile_options o = options(k, n, text, defines);
    weights_file *w = NULL;
    aigc_error err;
    if (storages[storage].gguf) {
        write_gguf(storages[storage].gguf, k, n);
        assert_int_equal(weights_file_open(file, &w, &err), AIGC_OK);
        o.weights = w;
    }
    tile_program p = tile_program_open(path, &o, tiles);
    weights_file_close(w);
    return p;
}

static float *call(const tile_program *p, uint32_t context, uint32_t entry, float *x, int64_t m,
                   int64_t k, int64_t n)
{
    aigc_tensor arg = {
        x, AIGC_F32, 2, {m, k}
    };
    return tile_program_call(p, context, entry, NULL, &arg, 1, m * n);
}

/* Weights are within 0.05: sums of k products below k / 20, which two orders round by some 2^-24.
 * Those of int8 have one order. */
static void check_rows(size_t storage, const tile_program *tiles, const tile_program *dots,
                       int64_t m, int64_t k, int64_t n)
{
    float bound = storages[storage].gguf ? 0 : 1e-7f * (float)k;
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
                if (!(fabsf(found[i] - want[i]) <= bound)) {
                    fail_msg("%s, entry %u of %lld x %lld x %lld: element %lld is %.9g, not %.9g",
                             storages[storage].name, entry, (long long)m, (long long)k,
                             (long long)n, (long long)i, (double)found[i], (double)want[i]);
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

static void test_emulated(void **state)
{
    (void)state;
    if (!tile_program_has_dots()) {
        skip();
    }
    enum { SIZES = sizeof sizes / sizeof *sizes, STORAGES = sizeof storages / sizeof *storages };
    for (size_t i = 0; i < SIZES * STORAGES; i++) {
        size_t s = i / SIZES;
        int64_t k = sizes[i % SIZES].k, n = sizes[i % SIZES].n;
        if (storages[s].gguf && k % 32 != 0) {
            continue; /* no blocks */
        }
        tile_program tiles = open_program(s, k, n, true), dots = open_program(s, k, n, false);
        for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++) {
            check_rows(s, &tiles, &dots, row_counts[m], k, n);
        }
        tile_program_close(&tiles);
        tile_program_close(&dots);
    }
}

static const char *assembly(compiler *c, int64_t k, const weights_file *w)
{
    char text[2][32];
    const char *defines[2];
    compile_options o = options(k, 32, text, defines);
    o.target = "x86-64";
    o.cpu = "sapphirerapids";
    o.weights = w;
    assert_true(compile_source(c, path, &o));
    const char *s = compile_text(c, &o, "asm");
    assert_non_null(s);
    return s;
}

static void test_instructions(void **state)
{
    (void)state;
    compiler *c = compile_create();
    const char *s = assembly(c, 64, NULL);
    static const char *const wanted[] = {"ldtilecfg",  "tileloadd", "tdpbf16ps",
                                         "tilestored", "tilezero",  "tilerelease"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!strstr(s, wanted[i])) {
            fail_msg("there is no %s", wanted[i]);
        }
    }
    compile_destroy(c);
    c = compile_create();
    assert_null(strstr(assembly(c, 40, NULL), "tdpbf16ps"));
    compile_destroy(c);
    c = compile_create();
    weights_file *w;
    aigc_error err;
    write_gguf(8, 64, 32);
    assert_int_equal(weights_file_open(file, &w, &err), AIGC_OK);
    assert_non_null(strstr(assembly(c, 64, w), "tdpbssd"));
    weights_file_close(w);
    compile_destroy(c);
}

int main(void)
{
    int f = mkstemps(path, 5), w = mkstemps(file, 5);
    if (f < 0 || w < 0 || write(f, source, sizeof source - 1) != sizeof source - 1) {
        return 1;
    }
    close(f);
    close(w);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emulated),
        cmocka_unit_test(test_instructions),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(file);
    return failed;
}
