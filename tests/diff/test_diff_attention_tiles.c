/* Attention of bf16 by tile registers, emulated, against the same by dot products: sizes one off
 * from those of tiles and blocks, keys and values in place and turned, masks. And: code for
 * machines that have tiles uses them. */
#include "tests/diff/diff_tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* H heads that share keys and values; T queries, S keys of d numbers, values of e. */
static const char source[] =
    "model m(H = 2, d = 8, e = 8) {\n"
    "  entry plain(q: f32[H, T, d], k: f32[S, d], v: f32[S, e]) -> y: f32[H, T, e] {\n"
    "    return softmax(q @ k.T / sqrt(d)) @ v\n"
    "  }\n"
    "  entry window(q: f32[H, T, d], k: f32[S, d], v: f32[S, e]) -> y: f32[H, T, e] {\n"
    "    ahead = arange(S)[none, :] - arange(T)[:, none]\n"
    "    s = where((ahead <= 3) and (ahead > -41), q @ k.T, -inf)\n"
    "    return softmax(s) @ v\n"
    "  }\n"
    "  entry turned(q: f32[H, d, T], k: f32[d, S], v: f32[e, S]) -> y: f32[H, T, e] {\n"
    "    return softmax(q.T @ k / 4) @ v.T\n"
    "  }\n"
    "}\n";
enum { ENTRIES = 3, TURNED = 2 };

static const struct {
    int64_t heads, d, e;
} models[] = {
    {2, 64, 64},
    {3, 33, 16},
    {1, 5,  7 },
    {2, 16, 80},
};

/* Queries, more than are run row by row, and keys. */
static const struct {
    int64_t t, s;
} sizes[] = {
    {17,  1  },
    {31,  15 },
    {32,  16 },
    {33,  33 },
    {40,  64 },
    {64,  65 },
    {97,  127},
    {145, 160},
};

static char path[] = "/tmp/aigc-attention-tilesXXXXXX.aigc";

static compile_options options(uint32_t model, char text[3][32], const char *defines[3])
{
    const int64_t values[3] = {models[model].heads, models[model].d, models[model].e};
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(text[i], 32, "%c=%lld", "Hde"[i], (long long)values[i]);
        defines[i] = text[i];
    }
    return (compile_options){
        .defines = defines, .n_defines = 3, .level = 2, .bf16 = true, .no_cache = true};
}

static float *numbers(int64_t n, uint32_t seed)
{
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 16777216.0f * 2 - 1;
    }
    return x;
}

/* Raw scores are the same but for the order of sums, so few weights are rounded the other way: by 1
 * part in 256 each. */
static void check(const tile_program *tiles, const tile_program *dots, uint32_t model,
                  uint32_t entry, int64_t t, int64_t s)
{
    int64_t h = models[model].heads, d = models[model].d, e = models[model].e, n = h * t * e;
    bool turned = entry == TURNED;
    aigc_tensor args[3] = {
        {numbers(h * t * d, 1), AIGC_F32, 3, {h, turned ? d : t, turned ? t : d}},
        {numbers(s * d,     2), AIGC_F32, 2, {turned ? d : s, turned ? s : d}   },
        {numbers(s * e,     3), AIGC_F32, 2, {turned ? e : s, turned ? s : e}   },
    };
    float *want = tile_program_call(dots, 0, entry, NULL, args, 3, n);
    float *one = tile_program_call(tiles, 0, entry, NULL, args, 3, n),
          *three = tile_program_call(tiles, 1, entry, NULL, args, 3, n);
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double off = (double)one[i] - (double)want[i];
        if (!(fabs(off) <= 4e-3) && !(isnan(one[i]) && isnan(want[i]))) {
            fail_msg("entry %u of model %u, %lld x %lld: element %lld is %.9g, not %.9g", entry,
                     model, (long long)t, (long long)s, (long long)i, (double)one[i],
                     (double)want[i]);
        }
        squares += isnan(off) ? 0 : off * off;
    }
    assert_true(squares <= 1e-9 * (double)n);
    assert_memory_equal(one, three, (size_t)n * sizeof *one);
    free(want);
    free(one);
    free(three);
    for (uint32_t i = 0; i < 3; i++) {
        free(args[i].data);
    }
}

static void test_emulated(void **state)
{
    (void)state;
    uint32_t needed = AIGC_CPU_AVX512 | AIGC_CPU_AVX512_BF16;
    if ((aigc_cpu_features() & needed) != needed) {
        print_message("skipped: attention is rounded only where there are dot products\n");
        skip();
    }
    for (uint32_t m = 0; m < sizeof models / sizeof *models; m++) {
        char text[3][32];
        const char *defines[3];
        compile_options o = options(m, text, defines);
        tile_program tiles = tile_program_open(path, &o, true),
                     dots = tile_program_open(path, &o, false);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (uint32_t entry = 0; entry < ENTRIES; entry++) {
                check(&tiles, &dots, m, entry, sizes[i].t, sizes[i].s);
            }
        }
        tile_program_close(&tiles);
        tile_program_close(&dots);
    }
}

static void test_instructions(void **state)
{
    (void)state;
    static const struct {
        const char *cpu;
        bool uses;
    } cpus[] = {
        {"sapphirerapids", true },
        {"znver4",         false},
    };
    for (uint32_t i = 0; i < 2; i++) {
        char text[3][32];
        const char *defines[3];
        compile_options o = options(0, text, defines);
        o.target = "x86-64";
        o.cpu = cpus[i].cpu;
        compiler *c = compile_create();
        assert_true(c && compile_source(c, path, &o));
        const char *s = compile_text(c, &o, "asm");
        assert_non_null(s);
        assert_int_equal(strstr(s, "tdpbf16ps") != NULL, cpus[i].uses);
        assert_int_equal(strstr(s, "tilerelease") != NULL, cpus[i].uses);
        assert_non_null(strstr(s, "vdpbf16ps")); /* of few queries */
        compile_destroy(c);
    }
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
