/* Sampling against what it should do, said plainly. */
#include "runtime/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

enum { MOST = 64, DRAWS = 20000 };

static const aigc_sampling plain = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};

/* One token of a copy of the logits. */
static int32_t draw(aigc_sampling s, const float *logits, int64_t n, const int32_t *seen,
                    int64_t n_seen, uint64_t *state)
{
    float copy[MOST];
    aigc_candidate work[MOST];
    memcpy(copy, logits, (size_t)n * sizeof *copy);
    int32_t id = aigc_sample(&s, copy, n, seen, n_seen, work, state);
    assert_in_range(id, 0, n - 1);
    return id;
}

/* How often each of n is drawn, as a share of all draws. */
static void shares(aigc_sampling s, const float *logits, int64_t n, double out[MOST])
{
    uint64_t state = 1;
    memset(out, 0, MOST * sizeof *out);
    for (int i = 0; i < DRAWS; i++) {
        out[draw(s, logits, n, NULL, 0, &state)] += 1.0 / DRAWS;
    }
}

static bool near(double a, double b)
{
    return fabs(a - b) < 0.015; /* four standard deviations of DRAWS at a half */
}

static int32_t greedy(const float *logits, int64_t n)
{
    aigc_sampling s = plain;
    uint64_t state = 1;
    s.temperature = 0;
    int32_t id = draw(s, logits, n, NULL, 0, &state);
    assert_int_equal(state, 1); /* no random number is taken */
    return id;
}

static void test_greedy(void **state)
{
    (void)state;
    assert_int_equal(greedy((const float[]){1, 3, 2}, 3), 1);
    assert_int_equal(greedy((const float[]){2, 3, 3, 3}, 4), 1); /* the first of equals */
    assert_int_equal(greedy((const float[]){5}, 1), 0);
    assert_int_equal(greedy((const float[]){-3, -1, -2}, 3), 1);
    assert_int_equal(greedy((const float[]){-0.0f, 0.0f}, 2), 0);
    assert_int_equal(greedy((const float[]){-INFINITY, -INFINITY, 0}, 3), 2);
    assert_int_equal(greedy((const float[]){0, INFINITY, INFINITY}, 3), 1);
    assert_int_equal(greedy((const float[]){NAN, -5, NAN, -4}, 4), 3);
    assert_int_equal(greedy((const float[]){NAN, NAN}, 2), 0);
}

static void test_temperature(void **state)
{
    (void)state;
    static const float logits[] = {0, 0.6931472f, 1.3862944f}; /* 1 : 2 : 4 */
    double p[MOST];
    aigc_sampling s = plain;
    shares(s, logits, 3, p);
    assert_true(near(p[0], 1.0 / 7) && near(p[1], 2.0 / 7) && near(p[2], 4.0 / 7));
    s.temperature = 0.5; /* 1 : 4 : 16 */
    shares(s, logits, 3, p);
    assert_true(near(p[0], 1.0 / 21) && near(p[1], 4.0 / 21) && near(p[2], 16.0 / 21));
    s.temperature = 1e9;
    shares(s, logits, 3, p);
    assert_true(near(p[0], 1.0 / 3) && near(p[1], 1.0 / 3) && near(p[2], 1.0 / 3));
    s.temperature = 1e-300;
    shares(s, logits, 3, p);
    assert_true(p[2] == 1 || near(p[2], 1));
    uint64_t random = 1;
    s.temperature = NAN; /* as 0 */
    assert_int_equal(draw(s, logits, 3, NULL, 0, &random), 2);
    s.temperature = -1;
    assert_int_equal(draw(s, logits, 3, NULL, 0, &random), 2);
}

static void test_top_k(void **state)
{
    (void)state;
    static const float logits[] = {0, 0.6931472f, 1.3862944f, 0};
    double p[MOST];
    aigc_sampling s = plain;
    s.top_k = 1;
    shares(s, logits, 4, p);
    assert_true(p[0] == 0 && p[1] == 0 && near(p[2], 1) && p[3] == 0);
    s.top_k = 2;
    shares(s, logits, 4, p);
    assert_true(p[0] == 0 && near(p[1], 1.0 / 3) && near(p[2], 2.0 / 3) && p[3] == 0);
    s.top_k = 3; /* of equals the first is kept */
    shares(s, logits, 4, p);
    assert_true(near(p[0], 1.0 / 7) && p[3] == 0);
    s.top_k = 99;
    shares(s, logits, 4, p);
    assert_true(near(p[0], 1.0 / 8) && near(p[3], 1.0 / 8));
}

static void test_top_p(void **state)
{
    (void)state;
    static const float logits[] = {0, 1.0986123f, 1.3862944f}; /* 1 : 3 : 4 of 8 */
    double p[MOST];
    aigc_sampling s = plain;
    s.top_p = 0;
    shares(s, logits, 3, p);
    assert_true(near(p[2], 1)); /* one always stays */
    s.top_p = 0.49;
    shares(s, logits, 3, p);
    assert_true(p[0] == 0 && p[1] == 0 && near(p[2], 1));
    s.top_p = 0.6; /* the one that passes 0.6 stays too */
    shares(s, logits, 3, p);
    assert_true(p[0] == 0 && near(p[1], 3.0 / 7) && near(p[2], 4.0 / 7));
    s.top_p = 0.9;
    shares(s, logits, 3, p);
    assert_true(near(p[0], 1.0 / 8));
    s.top_k = 2; /* then the two are all there is: 3 : 4 */
    s.top_p = 0.56;
    shares(s, logits, 3, p);
    assert_true(p[1] == 0 && near(p[2], 1));
    s.temperature = 100; /* what is kept does not depend on it */
    shares(s, logits, 3, p);
    assert_true(p[1] == 0 && near(p[2], 1));
}

static void test_min_p(void **state)
{
    (void)state;
    static const float logits[] = {0, 0.6931472f, 2.0794415f}; /* 1/8, 1/4, 1 of the likeliest */
    double p[MOST];
    aigc_sampling s = plain;
    s.min_p = 0.2;
    shares(s, logits, 3, p);
    assert_true(p[0] == 0 && near(p[1], 1.0 / 5) && near(p[2], 4.0 / 5));
    s.min_p = 0.1;
    shares(s, logits, 3, p);
    assert_true(near(p[0], 1.0 / 11));
    s.min_p = 2; /* one always stays */
    shares(s, logits, 3, p);
    assert_true(near(p[2], 1));
}

static void test_repetition_penalty(void **state)
{
    (void)state;
    static const float logits[] = {4, 3, -1, -1.5f};
    static const int32_t once[] = {0}, twice[] = {0, 0, 0}, below[] = {0, 1, 2},
                         strange[] = {-1, 4, INT32_MAX, INT32_MIN};
    aigc_sampling s = plain;
    uint64_t random = 1;
    s.temperature = 0;
    s.repetition_penalty = 1.25; /* 4 -> 3.2 */
    assert_int_equal(draw(s, logits, 4, once, 1, &random), 0);
    assert_int_equal(draw(s, logits, 4, twice, 3, &random), 0); /* once is enough */
    s.repetition_penalty = 2;                                   /* 4 -> 2 */
    assert_int_equal(draw(s, logits, 4, once, 1, &random), 1);
    assert_int_equal(draw(s, logits, 4, NULL, 0, &random), 0);
    s.repetition_penalty = 1e30; /* below zero it goes further down: -1 -> -1e30 */
    assert_int_equal(draw(s, (const float[]){-9, -9, -1, -1.5f}, 4, below, 3, &random), 3);
    assert_int_equal(draw(s, logits, 4, strange, 4, &random),
                     0); /* ids that are none are passed over */
    s.repetition_penalty = 0;
    assert_int_equal(draw(s, logits, 4, once, 1, &random), 0);
    int32_t old[300] = {0};
    for (int i = 1; i < 300; i++) {
        old[i] = 3;
    }
    s.repetition_penalty = 2;
    assert_int_equal(draw(s, logits, 4, old, 300, &random), 0); /* of the last 256 only */
}

static void test_seeds(void **state)
{
    (void)state;
    float logits[MOST];
    for (int i = 0; i < MOST; i++) {
        logits[i] = 0.01f * (float)i;
    }
    aigc_sampling kinds[3] = {plain, plain, plain};
    kinds[1].top_k = 20;
    kinds[2].top_p = 0.9;
    for (int k = 0; k < 3; k++) {
        uint64_t a = 7, b = 7, c = 8;
        int same = 0;
        for (int i = 0; i < 100; i++) {
            int32_t x = draw(kinds[k], logits, MOST, NULL, 0, &a),
                    y = draw(kinds[k], logits, MOST, NULL, 0, &b);
            assert_int_equal(x, y);
            same += x == draw(kinds[k], logits, MOST, NULL, 0, &c);
        }
        assert_true(same < 30);
    }
}

/* No token of nan or -inf while there is another; +inf before all; always one that exists. */
static void test_no_numbers(void **state)
{
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, 3.4e38f, -3.4e38f, 1e-45f};
    enum { N_ODD = sizeof odd / sizeof *odd, N = 5 };
    uint64_t random = 3;
    for (int n = 0; n < N_ODD * N_ODD * N_ODD * N_ODD * N_ODD; n++) {
        float logits[N];
        bool infinite = false, finite = false;
        for (int i = 0, rest = n; i < N; i++, rest /= N_ODD) {
            logits[i] = odd[rest % N_ODD];
            infinite |= logits[i] == INFINITY;
            finite |= isfinite(logits[i]);
        }
        for (int k = 0; k < 6; k++) {
            aigc_sampling s = plain;
            s.top_k = k == 1 ? 3 : 0;
            s.top_p = k == 2 ? 0.5 : 1;
            s.min_p = k == 3 ? 0.1 : 0;
            s.temperature = k == 4 ? 0 : k == 5 ? 1e-300 : 1;
            s.repetition_penalty = n % 3 ? 1 : 1.1;
            int32_t id = draw(s, logits, N, (const int32_t[]){0, 1, 2}, 3, &random);
            bool penalized = s.repetition_penalty != 1; /* may make the largest infinite */
            if (infinite ? logits[id] != INFINITY : finite && !penalized && !isfinite(logits[id])) {
                fail_msg("kind %d: %g of %g %g %g %g %g", k, (double)logits[id], (double)logits[0],
                         (double)logits[1], (double)logits[2], (double)logits[3],
                         (double)logits[4]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy), cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_top_k),  cmocka_unit_test(test_top_p),
        cmocka_unit_test(test_min_p),  cmocka_unit_test(test_repetition_penalty),
        cmocka_unit_test(test_seeds),  cmocka_unit_test(test_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
