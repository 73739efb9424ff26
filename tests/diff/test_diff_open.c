/* Open kernels: threads that take what others have not begun give what one thread gives that makes
 * everything, to the last bit. Matrices are large enough for shares to be cut up (shares of less
 * than some 40 us are not), and there are more threads than cores as a rule, so that some of them
 * are late and lose most of theirs. One row and several, whose packed rows a thread keeps from part
 * to part; more than it keeps; a norm before them; columns that no tile divides; every kind of
 * product. */
#include "tests/diff/diff_runs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char source[] =
    "import nn\n"
    "model m(k = 2048, n = 2053) {\n"
    "  first = nn.Linear(64, k, bias = false)\n"
    "  norm = nn.RMSNorm(k)\n"
    "  gate = nn.Linear(k, n, bias = false)\n"
    "  up = nn.Linear(k, n, bias = false)\n"
    "  last = nn.Linear(k, n, bias = false)\n"
    "  layers = [nn.Linear(k, k, bias = false) for i in 0..3]\n"
    "  entry one(x: f32[M, 64]) -> y: f32[M, n] { return last(first(x)) }\n"
    "  entry two(x: f32[M, 64]) -> y: f32[M, n] {\n"
    "    h = norm(first(x))\n"
    "    return silu(gate(h)) * up(h)\n"
    "  }\n"
    "  entry turns(x: f32[M, 64]) -> y: f32[M, n] {\n"
    "    h = first(x)\n"
    "    for layer in layers { h = h + tanh(layer(h)) }\n"
    "    return last(h)\n"
    "  }\n"
    "}\n";
static char path[40] = "/tmp/aigc-openXXXXXX.aigc";

static const aigc_settings kinds[] = {
    {.opt_level = 2     },
    {                   .opt_level = 2,       .bf16 = true},
    {                   .opt_level = 2, .quantize = "q8_0"},
    {                   .opt_level = 2, .quantize = "q4_0"},
    {                   .opt_level = 2, .cpu = "x86-64-v3"},
    {                   .opt_level = 2, .cpu = "x86-64-v3", .quantize = "q4_0"},
    { .opt_level = 2,      .cpu = "x86-64"},
};
static const uint32_t thread_counts[] = {1, 2, 3, 7};
enum { N_COUNTS = sizeof thread_counts / sizeof *thread_counts, MOST_ROWS = 130, CALLS = 4 };
static const int64_t row_counts[] = {1, 3, MOST_ROWS};

static float *call(const diff_runs *r, aigc_context *c, const char *entry, float *x, int64_t rows)
{
    aigc_tensor arg = {
        x, AIGC_F32, 2, {rows, 64}
    };
    aigc_tensor y = {0};
    aigc_error err;
    if (aigc_program_call(r->p, c, entry, NULL, &arg, 1, &y, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", entry, err.text);
    }
    return y.data;
}

static void check(const diff_runs *r, aigc_context *const *contexts, const char *kind)
{
    static const char *const entries[] = {"one", "two", "turns"};
    static float x[MOST_ROWS * 64];
    for (int i = 0; i < MOST_ROWS * 64; i++) {
        x[i] = (float)(i * 7919 % 255 - 127) / 64;
    }
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        for (int e = 0; e < 3; e++) {
            size_t size = (size_t)row_counts[i] * 2053 * sizeof(float);
            float *want = call(r, contexts[0], entries[e], x, row_counts[i]);
            for (uint32_t t = 1; t < N_COUNTS; t++) {
                for (int again = 0; again < (row_counts[i] == 1 ? CALLS : 1); again++) {
                    float *got = call(r, contexts[t], entries[e], x, row_counts[i]);
                    if (memcmp(want, got, size) != 0) {
                        fail_msg("%s of %s, %lld rows: %u threads give something else", entries[e],
                                 kind, (long long)row_counts[i], thread_counts[t]);
                    }
                    free(got);
                }
            }
            free(want);
        }
    }
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
#ifndef __x86_64__
        if (kinds[k].cpu) {
            continue;
        }
#endif
        diff_runs r = diff_runs_open(path, kinds[k]);
        aigc_context *contexts[N_COUNTS];
        aigc_error err;
        for (uint32_t t = 0; t < N_COUNTS; t++) {
            aigc_context_options o = {.n_threads = thread_counts[t], .all_threads = true};
            assert_int_equal(aigc_program_context(r.p, &o, &contexts[t], &err), AIGC_OK);
        }
        char kind[64];
        snprintf(kind, sizeof kind, "%s%s on %s", kinds[k].quantize ? kinds[k].quantize : "f32",
                 kinds[k].bf16 ? " (bf16)" : "", kinds[k].cpu ? kinds[k].cpu : "native");
        check(&r, contexts, kind);
        for (uint32_t t = 0; t < N_COUNTS; t++) {
            aigc_context_destroy(contexts[t]);
        }
        diff_runs_close(&r);
    }
}

static int write_source(void **state)
{
    (void)state;
    int fd = mkstemps(path, 5);
    if (fd < 0) {
        return -1;
    }
    FILE *f = fdopen(fd, "w");
    fputs(source, f);
    return fclose(f);
}

static int remove_source(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, write_source, remove_source);
}
