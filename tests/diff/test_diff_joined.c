/* Products of the same rows that are made together (passes/join_products.c) give to the last bit
 * what each of them gives alone: rows normed and in place, columns stored as they are and by heads,
 * few and many, with batches around them, in every storage, at every level of vectors, on one
 * thread and three. */
#include "tests/diff/diff_ways.h"

/* h heads of e columns; b columns; d columns the other way round. */
static const char source[] =
    "import nn\n"
    "model m(k = 32, h = 4, e = 8, b = 24, d = 16) {\n"
    "  wq: f32[h * e, k]\n"
    "  wb: f32[b, k]\n"
    "  wd: f32[k, d]\n"
    "  bias: f32[b]\n"
    "  g: f32[k]\n"
    "  fn norm(x) = x * rsqrt(mean(x * x, axis = -1, keep = true) + 1e-5) * g\n"
    "  fn turned(x) = nn.rope(rearrange(x @ wq.T, \"t (h e) -> h t e\", h = h), 0)\n"
    "  entry normed_q(x: f32[T, k]) -> f32[h, T, e] { return turned(norm(x)) }\n"
    "  entry normed_b(x: f32[T, k]) -> f32[T, b] { return silu(norm(x) @ wb.T + bias) }\n"
    "  entry normed_d(x: f32[T, k]) -> f32[T, d] { return norm(x) @ wd }\n"
    "  entry normed(x: f32[T, k]) -> (f32[h, T, e], f32[T, b], f32[T, d]) {\n"
    "    y = norm(x)\n"
    "    return turned(y), silu(y @ wb.T + bias), y @ wd\n"
    "  }\n"
    "  entry plain_q(x: f32[T, k]) -> f32[h, T, e] { return turned(x) }\n"
    "  entry plain_b(x: f32[T, k]) -> f32[T, b] { return silu(x @ wb.T + bias) }\n"
    "  entry plain_d(x: f32[T, k]) -> f32[T, d] { return x @ wd }\n"
    "  entry plain(x: f32[T, k]) -> (f32[h, T, e], f32[T, b], f32[T, d]) {\n"
    "    return turned(x), silu(x @ wb.T + bias), x @ wd\n"
    "  }\n"
    "  entry batch_q(x: f32[3, T, k]) -> f32[3, T, h * e] { return norm(x) @ wq.T }\n"
    "  entry batch_b(x: f32[3, T, k]) -> f32[3, T, b] { return gelu(norm(x) @ wb.T + bias) }\n"
    "  entry batch_d(x: f32[3, T, k]) -> f32[3, T, d] { return norm(x) @ wd * 2 }\n"
    "  entry batch(x: f32[3, T, k]) -> (f32[3, T, h * e], f32[3, T, b], f32[3, T, d]) {\n"
    "    y = norm(x)\n"
    "    return y @ wq.T, gelu(y @ wb.T + bias), y @ wd * 2\n"
    "  }\n"
    "}\n";

static const struct {
    const char *together, *alone[3];
    int64_t batches;
} entries[] = {
    {"normed", {"normed_q", "normed_b", "normed_d"}, 0},
    {"plain",  {"plain_q", "plain_b", "plain_d"},    0},
    {"batch",  {"batch_q", "batch_b", "batch_d"},    3},
};

static const struct {
    int64_t h, e, b, d;
} columns[] = {
    {4,  8,  24,  16 },
    {2,  64, 128, 64 },
    {5,  6,  33,  7  },
    {12, 64, 700, 129},
};

static const int64_t row_counts[] = {1, 2, 15, 300};

static const diff_way ways[] = {
    {NULL,        NULL,   false, 0,                 96  },
    {NULL,        NULL,   true,  0,                 96  },
    {NULL,        "q8_0", false, 0,                 96  },
    {NULL,        "q4_0", false, 0,                 64  },
    {NULL,        NULL,   false, 0,                 2048},
    {NULL,        NULL,   false, 0,                 3100},
    {NULL,        "q8_0", false, 0,                 2048},
#if defined(__x86_64__)
    {"x86-64-v4", "q8_0", false, AIGC_CPU_AVX512,   64  },
    {"x86-64-v3", NULL,   false, AIGC_CPU_AVX2_FMA, 64  },
    {"x86-64-v3", "q8_0", false, AIGC_CPU_AVX2_FMA, 64  },
    {"x86-64",    NULL,   false, 0,                 33  },
    {"x86-64",    "q8_0", false, 0,                 32  },
#endif
};

static void check_entry(diff_runs *r, size_t at, const aigc_tensor *x, const char *way)
{
    aigc_tensor together[2][3] = {0};
    aigc_error err;
    for (uint32_t c = 0; c < 2; c++) {
        assert_int_equal(aigc_program_call(r->p, r->c[c], entries[at].together, NULL, x, 1,
                                           together[c], 3, &err),
                         AIGC_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        aigc_tensor alone = diff_runs_call(r, 0, entries[at].alone[i], x, 1);
        size_t bytes = (size_t)diff_size(alone.dims, alone.rank) * sizeof(float);
        for (uint32_t c = 0; c < 2; c++) {
            assert_int_equal(diff_size(together[c][i].dims, together[c][i].rank) * 4, bytes);
            if (memcmp(together[c][i].data, alone.data, bytes) != 0) {
                fail_msg("%s of %lld rows, threads: %u, %s", entries[at].alone[i],
                         (long long)x->dims[x->rank - 2], 2 * c + 1, way);
            }
            free(together[c][i].data);
        }
        free(alone.data);
    }
}

static void check_program(diff_runs *r, int64_t k, const char *way)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        for (size_t at = 0; at < sizeof entries / sizeof *entries; at++) {
            int64_t dims[3] = {entries[at].batches, row_counts[i], k};
            bool batches = entries[at].batches > 0;
            aigc_tensor x = diff_draw(dims + !batches, 2 + batches, &seed);
            check_entry(r, at, &x, way);
            free(x.data);
        }
    }
}

static void test_joined(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-joinedXXXXXX.aigc";
    diff_write_source(path, source);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
            if (!diff_way_runs(&ways[w]) || !diff_way_takes(w, i, 4)) {
                continue;
            }
            const int64_t sizes[5] = {ways[w].k, columns[i].h, columns[i].e, columns[i].b,
                                      columns[i].d};
            char text[5][32], name[64], way[128];
            const char *defines[5];
            for (int s = 0; s < 5; s++) {
                snprintf(text[s], sizeof *text, "%c=%lld", "khebd"[s], (long long)sizes[s]);
                defines[s] = text[s];
            }
            diff_way_name(&ways[w], name, sizeof name);
            snprintf(way, sizeof way, "%lld columns, %s", (long long)columns[i].b, name);
            diff_runs r = diff_way_open(&ways[w], path, defines, 5);
            check_program(&r, ways[w].k, way);
            diff_runs_close(&r);
        }
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_joined)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
