/* Products whose columns are rotated, parted by heads and written to caches within their kernels,
 * against the same made of the plain product here: heads of every size, both orders of rotation,
 * rows in place and packed, in every storage, at every level of vectors, on one thread and three.
 */
#include "cli/libaigc.h"
#include "tests/diff/diff_ways.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHE = 80 }; /* positions of the caches */

/* h heads of e columns. `raw` is what the others are made of. */
static const char source[] =
    "import nn\n"
    "model m(k = 32, h = 4, e = 8) {\n"
    "  w: f32[h * e, k]\n"
    "  b: f32[h * e]\n"
    "  g: f32[k]\n"
    "  state cf: f32[h, 80, e]\n"
    "  state cb: bf16[h, 80, e]\n"
    "  fn norm(x) = x * rsqrt(mean(x * x, axis = -1, keep = true) + 1e-5) * g\n"
    "  fn heads(x) = rearrange(norm(x) @ w.T + b, \"t (h e) -> h t e\", h = h)\n"
    "  entry raw(x: f32[T, k], pos: dim) -> f32[T, h * e] where pos + T <= 80 {\n"
    "    return norm(x) @ w.T + b\n"
    "  }\n"
    "  entry plain(x: f32[T, k], pos: dim) -> f32[T, h * e] where pos + T <= 80 {\n"
    "    return x @ w.T\n"
    "  }\n"
    "  entry halves(x: f32[T, k], pos: dim) -> f32[h, T, e] where pos + T <= 80 {\n"
    "    return nn.rope(heads(x), pos)\n"
    "  }\n"
    "  entry pairs(x: f32[T, k], pos: dim) -> f32[h, T, e] where pos + T <= 80 {\n"
    "    return nn.rope(heads(x), pos, interleaved = true)\n"
    "  }\n"
    "  entry write_halves(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    cf[:, pos : pos + T] = nn.rope(heads(x), pos)\n"
    "    return cf\n"
    "  }\n"
    "  entry write_pairs(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    q = rearrange(x @ w.T, \"t (h e) -> h t e\", h = h)\n"
    "    cf[:, pos : pos + T] = nn.rope(q, pos, interleaved = true)\n"
    "    return cf\n"
    "  }\n"
    "  entry write_pairs_bf16(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    cb[:, pos : pos + T] = cast(nn.rope(heads(x), pos, interleaved = true), bf16)\n"
    "    return cast(cb, f32)\n"
    "  }\n"
    "  entry write_plain(x: f32[T, k], pos: dim) -> f32[h, 80, e] where pos + T <= 80 {\n"
    "    cf[:, pos : pos + T] = rearrange(x @ w.T, \"t (h e) -> h t e\", h = h)\n"
    "    return cf\n"
    "  }\n"
    "}\n";

typedef enum turned { NOT_TURNED, IN_HALVES, IN_PAIRS } turned;
static const struct {
    const char *name, *of; /* the entry that gives the product */
    turned turned;
    bool bf16; /* as it is kept */
    int cache; /* whose content comes back; -1: of none */
} entries[] = {
    {"halves",           "raw",   IN_HALVES,  false, -1},
    {"pairs",            "raw",   IN_PAIRS,   false, -1},
    {"write_halves",     "raw",   IN_HALVES,  false, 0 },
    {"write_pairs",      "plain", IN_PAIRS,   false, 0 },
    {"write_pairs_bf16", "raw",   IN_PAIRS,   true,  1 },
    {"write_plain",      "plain", NOT_TURNED, false, 0 },
};

static const struct {
    int64_t h, e;
} heads[] = {
    {3,   2  },
    {40,  2  },
    {300, 2  },
    {12,  6  },
    {90,  6  },
    {5,   16 },
    {1,   64 },
    {5,   64 },
    {3,   80 },
    {2,   128},
};
static const int64_t row_counts[] = {1, 2, 13, 14, 15, 33};

static const diff_way ways[] = {
    {NULL,        NULL,   false, 0,                 96  },
    {NULL,        NULL,   true,  0,                 96  },
    {NULL,        "q8_0", false, 0,                 96  },
    {NULL,        "q4_0", false, 0,                 64  },
    {NULL,        NULL,   false, 0,                 1024},
#if defined(__x86_64__)
    {"x86-64-v4", "q8_0", false, AIGC_CPU_AVX512,   64  },
    {"x86-64-v3", NULL,   false, AIGC_CPU_AVX2_FMA, 64  },
    {"x86-64-v3", "q8_0", false, AIGC_CPU_AVX2_FMA, 64  },
    {"x86-64",    NULL,   false, 0,                 33  },
    {"x86-64",    "q8_0", false, 0,                 32  },
#endif
};

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1;
}

static aigc_tensor call(diff_runs *r, uint32_t context, const char *entry, int64_t pos,
                        const aigc_tensor *x)
{
    aigc_tensor y = {0};
    aigc_error err;
    if (aigc_program_call(r->p, r->c[context], entry, &pos, x, 1, &y, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", entry, err.text);
    }
    return y;
}

typedef struct shape {
    int64_t t, h, e, pos;
} shape;

/* Element j of head i in row t, turned by its position. */
static double turned_value(const float *q, const shape *s, int64_t i, int64_t t, int64_t j,
                           turned way)
{
    int64_t half = s->e / 2, pair = way == IN_PAIRS ? j / 2 : j % half;
    const float *head = q + (t * s->h + i) * s->e;
    if (way == NOT_TURNED) {
        return (double)head[j];
    }
    double freq = exp((double)(float)((float)pair * (float)(-2 * log(10000) / (double)s->e)));
    double angle = (double)(s->pos + t) * (double)(float)freq;
    double a = (double)head[way == IN_PAIRS ? 2 * pair : pair],
           b = (double)head[way == IN_PAIRS ? 2 * pair + 1 : pair + half];
    bool first = way == IN_PAIRS ? j % 2 == 0 : j < half;
    return first ? a * cos(angle) - b * sin(angle) : a * sin(angle) + b * cos(angle);
}

static void compare(const float *got, const float *want, int64_t n, float bound, const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(got[i] - want[i]) <= bound * (1 + fabsf(want[i])))) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)got[i],
                     (double)want[i]);
        }
    }
}

/* caches: what lies in those of both contexts. */
static void check_entry(diff_runs *r, size_t at, const shape *s, const aigc_tensor *x,
                        float *const *caches, const char *way)
{
    int64_t rows = entries[at].cache < 0 ? s->t : CACHE, first = rows == s->t ? 0 : s->pos;
    int64_t n = s->h * rows * s->e;
    float *want = calloc((size_t)n + 1, sizeof *want);
    float *kept = entries[at].cache < 0 ? want : caches[entries[at].cache];
    aigc_tensor q = call(r, 0, entries[at].of, s->pos, x);
    for (int64_t i = 0; i < s->h; i++) {
        for (int64_t t = 0; t < s->t; t++) {
            for (int64_t j = 0; j < s->e; j++) {
                kept[(i * rows + first + t) * s->e + j] =
                    (float)turned_value(q.data, s, i, t, j, entries[at].turned);
            }
        }
    }
    char what[160];
    snprintf(what, sizeof what, "%s of %lld rows at %lld, %lld heads of %lld, %s", entries[at].name,
             (long long)s->t, (long long)s->pos, (long long)s->h, (long long)s->e, way);
    aigc_tensor one = call(r, 0, entries[at].name, s->pos, x),
                three = call(r, 1, entries[at].name, s->pos, x);
    compare(one.data, kept, n, entries[at].bf16 ? 8e-3f : 3e-5f, what);
    assert_memory_equal(one.data, three.data, (size_t)n * sizeof(float));
    free(one.data);
    free(three.data);
    free(q.data);
    free(want);
}

static void check_program(diff_runs *r, int64_t k, int64_t h, int64_t e, const char *way)
{
    float *caches[2];
    for (int i = 0; i < 2; i++) {
        caches[i] = calloc((size_t)(h * CACHE * e), sizeof(float));
    }
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        shape s = {.t = row_counts[i], .h = h, .e = e, .pos = (int64_t)i * 7 % 11};
        float *numbers = calloc((size_t)(s.t * k), sizeof *numbers);
        uint32_t seed = (uint32_t)(s.t * 31 + k);
        for (int64_t n = 0; n < s.t * k; n++) {
            numbers[n] = number(&seed);
        }
        aigc_tensor x = {
            numbers, AIGC_F32, 2, {s.t, k}
        };
        for (size_t at = 0; at < sizeof entries / sizeof *entries; at++) {
            check_entry(r, at, &s, &x, caches, way);
        }
        free(numbers);
    }
    free(caches[0]);
    free(caches[1]);
}

static void test_groups(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-groupsXXXXXX.aigc";
    diff_write_source(path, source);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
            if (!diff_way_runs(&ways[w]) || !diff_way_takes(w, i, 3)) {
                continue;
            }
            char k[32], h[32], e[32], what[64];
            const char *defines[3] = {k, h, e};
            snprintf(k, sizeof k, "k=%lld", (long long)ways[w].k);
            snprintf(h, sizeof h, "h=%lld", (long long)heads[i].h);
            snprintf(e, sizeof e, "e=%lld", (long long)heads[i].e);
            diff_way_name(&ways[w], what, sizeof what);
            diff_runs r = diff_way_open(&ways[w], path, defines, 3);
            check_program(&r, ways[w].k, heads[i].h, heads[i].e, what);
            diff_runs_close(&r);
        }
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
