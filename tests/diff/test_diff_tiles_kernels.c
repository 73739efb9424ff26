/* Kernels around products by tile registers, emulated, against the same by dot products: columns
 * kept by groups (heads rotated, parted and written to caches), two products in one kernel, rows in
 * several blocks, shares that any thread takes parts of, attention that stores its values where the
 * next product reads them. Those of int8 to the last bit, on one thread as on three. */
#include "tests/diff/diff_tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CACHE = 80 }; /* positions of the caches */

/* h heads of e columns. */
static const char source[] =
    "import nn\n"
    "model heads(k = 64, h = 4, e = 16, n = 64) {\n"
    "  w: f32[h * e, k]\n"
    "  b: f32[h * e]\n"
    "  g: f32[k]\n"
    "  o: f32[n, h * e]\n"
    "  state cf: f32[h, 80, e]\n"
    "  state cb: bf16[h, 80, e]\n"
    "  fn norm(x) = x * rsqrt(mean(x * x, axis = -1, keep = true) + 1e-5) * g\n"
    "  fn heads(x) = rearrange(norm(x) @ w.T + b, \"t (h e) -> h t e\", h = h)\n"
    "  entry halves(x: f32[T, k], pos: dim) -> f32[h, T, e] where pos + T <= 80 {\n"
    "    return nn.rope(heads(x), pos)\n"
    "  }\n"
    "  entry write_pairs(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    cb[:, pos : pos + T] = cast(nn.rope(heads(x), pos, interleaved = true), bf16)\n"
    "    return cast(cb, f32)\n"
    "  }\n"
    "  entry write_parted(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    cf[:, pos : pos + T] = rearrange(x @ w.T, \"t (h e) -> h t e\", h = h)\n"
    "    return cf\n"
    "  }\n"
    "  entry joined(x: f32[T, k], pos: dim) -> f32[T, n] where pos + T <= 80 {\n"
    "    q = heads(x)\n"
    "    s = where(arange(T)[none, :] <= arange(T)[:, none], q @ q.T, -inf)\n"
    "    return rearrange(softmax(s) @ q, \"h t e -> t (h e)\") @ o.T\n"
    "  }\n"
    "}\n"
    "model twins(k = 64, h = 1, e = 1, n = 64) {\n"
    "  gate: f32[n, k]\n"
    "  up: f32[n, k]\n"
    "  g: f32[k]\n"
    "  entry twins(x: f32[T, k], pos: dim) -> f32[T, n] where pos <= 80 {\n"
    "    y = x * rsqrt(mean(x * x, axis = -1, keep = true) + 1e-5) * g\n"
    "    return silu(y @ gate.T) * (y @ up.T)\n"
    "  }\n"
    "}\n";

/* kernels: the product, tables of sines and cosines, a cache's copy; with attention. */
typedef struct entry {
    const char *name;
    uint32_t kernels;
    bool grouped, cache, bf16, attends;
} entry;
static const entry heads[] = {
    {"halves",       2, true,  false, false, false},
    {"write_pairs",  3, true,  true,  true,  false},
    {"write_parted", 2, true,  true,  false, false},
    {"joined",       3, false, false, true,  true },
};
static const entry twins = {"twins", 1, false, false, false, false};

typedef struct shape {
    int64_t k, h, e, n;
    const char *quantize;
} shape;
static const shape shapes[] = {
    {64,   3,  16,  48,  NULL  },
    {96,   90, 6,   33,  NULL  },
    {1024, 2,  128, 16,  NULL  },
    {256,  5,  64,  48,  "q8_0"},
    {64,   3,  80,  100, "q4_0"},
};
static const int64_t row_counts[] = {1, 2, 15, 16, 17, 31, 33, 63, 73};

static char path[] = "/tmp/aigc-tiles-kernelsXXXXXX.aigc";

static tile_program open_program(const char *model, const shape *s, bool tiles)
{
    char text[4][32];
    const char *defines[4];
    const int64_t values[4] = {s->k, s->h, s->e, s->n};
    for (int i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%c=%lld", "khen"[i], (long long)values[i]);
        defines[i] = text[i];
    }
    compile_options o = {.defines = defines,
                         .n_defines = 4,
                         .model = model,
                         .level = 2,
                         .bf16 = true,
                         .quantize = s->quantize,
                         .no_cache = true};
    return tile_program_open(path, &o, tiles);
}

static float *rows_of(int64_t rows, int64_t k)
{
    float *x = malloc((size_t)(rows * k) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < rows * k; i++) {
        x[i] = sinf((float)(i * 7 % 1009));
    }
    return x;
}

/* Sums of k products of a norm's values and weights below 0.05, which two orders round by some
 * 2^-24; after them values that are rounded to bf16 may be rounded the other way. Those of int8
 * have one order. Attention's values have both, and are rounded to int8 then. */
static float bound_of(const entry *e, const shape *s, float largest)
{
    float sums = s->quantize ? 0 : 2e-7f * (float)s->k;
    float kept = e->bf16 && !s->quantize ? 8e-3f : 0;
    return e->attends ? 2e-3f * largest : sums + kept;
}

static void check(const tile_program *tiles, const tile_program *dots, const shape *s,
                  uint32_t number, const entry *e, int64_t rows, int64_t pos)
{
    int64_t n = e->grouped ? s->h * s->e * (e->cache ? CACHE : rows) : rows * s->n;
    aigc_tensor x = {
        rows_of(rows, s->k), AIGC_F32, 2, {rows, s->k}
    };
    float *want = tile_program_call(dots, 0, number, &pos, &x, 1, n);
    float *one = tile_program_call(tiles, 0, number, &pos, &x, 1, n),
          *three = tile_program_call(tiles, 1, number, &pos, &x, 1, n);
    float largest = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(want[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(one[i] - want[i]) <= bound_of(e, s, largest))) {
            fail_msg("%s of %lld rows of %lld at %lld, %lld heads of %lld, %s: element %lld is "
                     "%.9g, not %.9g",
                     e->name, (long long)rows, (long long)s->k, (long long)pos, (long long)s->h,
                     (long long)s->e, s->quantize ? s->quantize : "bf16", (long long)i,
                     (double)one[i], (double)want[i]);
        }
    }
    assert_memory_equal(one, three, (size_t)n * sizeof *one);
    free(want);
    free(one);
    free(three);
    free(x.data);
}

static void check_fused(const k_program *p, const entry *e)
{
    bool grouped = false;
    for (uint32_t i = 0; i < p->n_items; i++) {
        const k_kernel *k = p->items[i].kernel;
        grouped |= k->n_nests == 1 && k->nests[0].keep;
    }
    assert_string_equal(p->entry->name, e->name);
    if (p->n_kernel_uses != e->kernels || grouped != e->grouped) {
        fail_msg("%s has %u kernels%s", e->name, p->n_kernel_uses,
                 grouped ? ", columns in groups" : "");
    }
}

static void test_heads(void **state)
{
    (void)state;
    if (!tile_program_has_dots()) {
        skip();
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        tile_program tiles = open_program("heads", &shapes[i], true),
                     dots = open_program("heads", &shapes[i], false);
        for (uint32_t e = 0; e < sizeof heads / sizeof *heads; e++) {
            check_fused(&tiles.c->k->programs[e], &heads[e]);
            for (size_t m = 0; m < sizeof row_counts / sizeof *row_counts; m++) {
                check(&tiles, &dots, &shapes[i], e, &heads[e], row_counts[m], (int64_t)m * 7 % 8);
            }
        }
        tile_program_close(&tiles);
        tile_program_close(&dots);
    }
}

/* Rows of more than a block, and shares long enough to be cut in parts. */
static void test_twins(void **state)
{
    (void)state;
    static const struct {
        int64_t rows;
        shape shape;
    } cases[] = {
        {17,  {64, 1, 1, 100, NULL}     },
        {300, {4096, 1, 1, 33, NULL}    },
        {300, {2048, 1, 1, 33, "q8_0"}  },
        {33,  {2048, 1, 1, 2053, NULL}  },
        {33,  {2048, 1, 1, 2053, "q4_0"}},
    };
    if (!tile_program_has_dots()) {
        skip();
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const shape *s = &cases[i].shape;
        tile_program tiles = open_program("twins", s, true), dots = open_program("twins", s, false);
        check_fused(&tiles.c->k->programs[0], &twins);
        check(&tiles, &dots, s, 0, &twins, cases[i].rows, 0);
        tile_program_close(&tiles);
        tile_program_close(&dots);
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
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_twins),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
