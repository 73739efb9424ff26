/* Arithmetic and bytes that are counted from kernels: exact where a person can count them, too. */
#include "cli/libaigc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char source[] =
    "model counted() {\n"
    "  w: f32[24, 40] = normal(0, 1)\n"
    "  g: f32[24] = normal(0, 1)\n"
    "  k: f32[5, 3, 3, 3] = normal(0, 1)\n"
    "  kt: f32[3, 5, 4, 2] = normal(0, 1)\n"
    "  table: f32[100, 8] = normal(0, 1)\n"
    "  state cache: f32[64, 8]\n"
    "  entry product(x: f32[T, 24]) -> f32[T, 40] = x @ w\n"
    "  entry normed(x: f32[T, 24]) -> f32[T, 40] = (x * rsqrt(mean(x * x, 1, keep = true) + 1e-5) "
    "* g) @ w\n"
    "  entry rectified(x: f32[T, 24]) -> f32[T, 40] = relu(x @ w)\n"
    "  entry picture(x: f32[1, 3, 9, 7]) -> f32[1, 5, 9, 7] = conv2d(x, k, none, 1, 1)\n"
    "  entry grown(x: f32[1, 3, 9, 7]) -> f32[1, 5, 20, 14] = conv_transpose2d(x, kt, none, 2)\n"
    "  entry rows(x: f32[T, 50]) -> f32[T, 50] = softmax(x)\n"
    "  entry sum_of(x: f32[T, 50]) -> f32[T] = sum(x, axis = 1)\n"
    "  entry rows_of(ids: i32[T]) -> f32[T, 8] = table[ids]\n"
    "  entry put(x: f32[T, 8], pos: dim) -> f32[T, 8] where pos + T <= 64 {\n"
    "    cache[pos : pos+T] = x\n"
    "    return x\n"
    "  }\n"
    "  entry repeated(x: f32[8], n: dim) -> f32[8] where n <= 9 {\n"
    "    loop i in 0..n carry x { x = x * x }\n"
    "    return x\n"
    "  }\n"
    "  entry seen(q: f32[2, T, 8]) -> f32[2, T, 8] {\n"
    "    score = where(causal(T, T), q @ q.T / sqrt(8), -inf)\n"
    "    return softmax(score) @ q\n"
    "  }\n"
    "}\n";

static aigc_program *program;

static int open_program(void **state)
{
    char path[] = "/tmp/aigc-test-XXXXXX.aigc";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0 && write(fd, source, sizeof source - 1) == sizeof source - 1);
    close(fd);
    aigc_settings s = {.opt_level = 2, .no_cache = true};
    aigc_error err;
    char *messages;
    aigc_status status = aigc_program_create(path, &s, &program, &messages, &err);
    unlink(path);
    if (status != AIGC_OK) {
        fail_msg("%s %s", err.text, messages ? messages : "");
    }
    return 0;
}

static int close_program(void **state)
{
    aigc_program_destroy(program);
    return 0;
}

/* All kernels of the entry together, and the calls of the first. */
static aigc_kernel_cost cost_of(const char *entry, const int64_t *dims)
{
    int32_t e = aigc_entry_find(aigc_program_model(program), entry);
    assert_true(e >= 0);
    aigc_kernel_cost costs[64], sum = {0};
    uint32_t n = aigc_program_model(program)->entries[e].n_kernels;
    assert_true(n <= 64);
    assert_true(aigc_program_costs(program, (uint32_t)e, dims, costs));
    for (uint32_t i = 0; i < n; i++) {
        sum.calls += costs[i].calls;
        sum.flops += costs[i].flops;
        sum.bytes += costs[i].bytes;
    }
    return sum;
}

static void expect(const char *entry, const int64_t *dims, double flops, double bytes)
{
    aigc_kernel_cost c = cost_of(entry, dims);
    if (c.flops != flops || c.bytes != bytes) {
        fail_msg("%s: %.0f FLOPs, %.0f bytes; expected %.0f, %.0f", entry, c.flops, c.bytes, flops,
                 bytes);
    }
}

static void test_products(void **state)
{
    for (int64_t t = 0; t < 200; t += 67) {
        double n = (double)t, bytes = 4 * (24 * n + 24 * 40 * (t > 0) + 40 * n);
        expect("product", &t, 2 * n * 24 * 40, bytes);
        expect("rectified", &t, 2 * n * 24 * 40 + n * 40, bytes);
    }
}

static void test_norm_before_a_product(void **state)
{
    /* Once a row: squares and their sum, mean, epsilon, root; once an element of it: two factors.
     */
    int64_t t = 67;
    expect("normed", &t, 67.0 * (2 * 24 * 40 + 2 * 24 + 3 + 2 * 24),
           4.0 * (67 * 24 + 24 + 24 * 40 + 67 * 40));
}

static void test_convolution(void **state)
{
    /* The border's missing neighbours are counted as if they were there. */
    expect("picture", NULL, 2.0 * 5 * 9 * 7 * 3 * 3 * 3,
           4.0 * (3 * 9 * 7 + 5 * 3 * 3 * 3 + 5 * 9 * 7));
    expect("grown", NULL, 2.0 * 5 * 20 * 14 * 3 * (4 * 2) / (2 * 2),
           4.0 * (3 * 9 * 7 + 3 * 5 * 4 * 2 + 5 * 20 * 14));
}

static void test_rows(void **state)
{
    int64_t t = 11;
    /* maximum: 1; sum: difference, exp (14), 1; values: difference, exp, division */
    expect("rows", &t, 11.0 * 50 * (1 + 1 + 14 + 1 + 1 + 14 + 1), 4.0 * 2 * 11 * 50);
    expect("sum_of", &t, 11.0 * 50, 4.0 * (11 * 50 + 11));
}

static void test_parts_of_buffers(void **state)
{
    int64_t t = 6, both[2] = {3, 6};
    expect("rows_of", &t, 0, 4.0 * (6 + 6 * 8 + 6 * 8));
    expect("put", both, 0, 2 * 4.0 * (6 * 8 + 6 * 8)); /* into the cache, and as the result */
}

static void test_loops_count_their_turns(void **state)
{
    int64_t one = 1, nine = 9;
    aigc_kernel_cost a = cost_of("repeated", &one), b = cost_of("repeated", &nine);
    assert_true(b.flops == a.flops + 8 * 8 && b.calls > a.calls && b.bytes > a.bytes);
}

static void test_what_attention_sees(void **state)
{
    /* Query i sees i + 1 keys: products of 8 and 8 numbers, scale, mask, and 18 for the softmax. */
    int64_t few = 10, many = 20;
    double a = cost_of("seen", &few).flops, b = cost_of("seen", &many).flops;
    double pairs = 2 * (20 * 21 / 2 - 10 * 11 / 2), rows = 2 * 10;
    double a_pair = (b - a - rows * 8) / pairs;
    if (a_pair < 2 * 8 + 2 * 8 + 18 || a_pair > 2 * 8 + 2 * 8 + 18 + 4) {
        fail_msg("%g FLOPs for a pair of query and key", a_pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_norm_before_a_product),
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_parts_of_buffers),
        cmocka_unit_test(test_loops_count_their_turns),
        cmocka_unit_test(test_what_attention_sees),
    };
    return cmocka_run_group_tests(tests, open_program, close_program);
}
