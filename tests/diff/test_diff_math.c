/* The maths functions of compiled code against the C library in f64, over dense samples: the
 * largest errors are those that backend/emit_math.c states. Unit: the last place of the f32 result,
 * not smaller than that of the smallest normal number. */
#include "cli/libaigc.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SAMPLES = 400000 };

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}
static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}
static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

static const struct {
    const char *name;
    double (*one)(double x);
    double (*two)(double x, double y);
    double lo, hi; /* of x; the logarithm's: from 2^lo to 2^hi */
    bool logarithmic;
    double y_lo, y_hi;     /* of the second operand */
    double ulps, absolute; /* one of the bounds suffices */
} functions[] = {
    {"exp",      exp,      NULL,  -100,  88.7,  false, 0,   0,  2, 0    },
    {"exp2",     exp2,     NULL,  -145,  127.9, false, 0,   0,  2, 0    },
    {"expm1",    expm1,    NULL,  -20,   88.7,  false, 0,   0,  2, 0    },
    {"log",      log,      NULL,  -140,  127,   true,  0,   0,  3, 0    },
    {"log2",     log2,     NULL,  -140,  127,   true,  0,   0,  3, 0    },
    {"log1p",    log1p,    NULL,  -0.99, 1e6,   false, 0,   0,  3, 0    },
    {"sin",      sin,      NULL,  -1000, 1000,  false, 0,   0,  2, 1e-12},
    {"cos",      cos,      NULL,  -1000, 1000,  false, 0,   0,  2, 1e-12},
    {"tan",      tan,      NULL,  -1.5,  1.5,   false, 0,   0,  5, 0    },
    {"tanh",     tanh,     NULL,  -12,   12,    false, 0,   0,  4, 0    },
    {"atan",     atan,     NULL,  -50,   50,    false, 0,   0,  3, 0    },
    {"erf",      erf,      NULL,  -5,    5,     false, 0,   0,  6, 0    },
    {"sigmoid",  sigmoid,  NULL,  -80,   80,    false, 0,   0,  8, 0    },
    {"silu",     silu,     NULL,  -80,   80,    false, 0,   0,  8, 0    },
    {"softplus", softplus, NULL,  -80,   80,    false, 0,   0,  8, 0    },
    {"gelu",     gelu,     NULL,  -8,    8,     false, 0,   0,  8, 1e-6 },
    {"pow",      NULL,     pow,   -20,   20,    true,  -6,  6,  1, 0    },
    {"atan2",    NULL,     atan2, -30,   30,    false, -30, 30, 4, 0    },
};

static uint64_t state = 1;

static double uniform(double lo, double hi)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return lo + (hi - lo) * (double)(state >> 11) * 0x1p-53;
}

/* One entry a function, in a file of its own. */
static void write_model(char path[64])
{
    strcpy(path, "/tmp/aigc-math-XXXXXX.aigc");
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fprintf(f, "model m() {\n");
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const char *call = strcmp(functions[i].name, "pow") == 0 ? "x ^ y" : NULL;
        if (functions[i].one) {
            fprintf(f, "  entry f%zu(x: f32[N]) -> f32[N] = %s(x)\n", i, functions[i].name);
        } else if (call) {
            fprintf(f, "  entry f%zu(x: f32[N], y: f32[N]) -> f32[N] = %s\n", i, call);
        } else {
            fprintf(f, "  entry f%zu(x: f32[N], y: f32[N]) -> f32[N] = %s(x, y)\n", i,
                    functions[i].name);
        }
    }
    fprintf(f, "}\n");
    fclose(f);
}

static double last_place(double v)
{
    int exponent;
    frexp(v, &exponent);
    exponent = exponent < -125 ? -125 : exponent;
    return ldexp(1, exponent - 24);
}

static void call(aigc_program *p, aigc_context *c, size_t i, const float *x, const float *y,
                 int64_t n, float *out)
{
    char name[16];
    snprintf(name, sizeof name, "f%zu", i);
    aigc_tensor args[2] = {
        {.dtype = AIGC_F32, .rank = 1, .dims = {n}, .data = (void *)(uintptr_t)x},
        {.dtype = AIGC_F32, .rank = 1, .dims = {n}, .data = (void *)(uintptr_t)y}
    };
    aigc_tensor result = {.dtype = AIGC_F32, .rank = 1, .dims = {n}, .data = out};
    aigc_error err;
    if (aigc_program_call(p, c, name, NULL, args, y ? 2 : 1, &result, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", functions[i].name, err.text);
    }
}

static void check_function(aigc_program *p, aigc_context *c, size_t i, float *x, float *y,
                           float *out)
{
    for (int k = 0; k < SAMPLES; k++) {
        double v = uniform(functions[i].lo, functions[i].hi);
        x[k] = (float)(functions[i].logarithmic ? exp2(v) : v);
        y[k] = (float)uniform(functions[i].y_lo, functions[i].y_hi);
    }
    call(p, c, i, x, functions[i].two ? y : NULL, SAMPLES, out);
    double worst = 0, worst_x = 0, worst_y = 0;
    for (int k = 0; k < SAMPLES; k++) {
        double want = functions[i].one ? functions[i].one(x[k]) : functions[i].two(x[k], y[k]);
        double error = fabs(want - out[k]),
               ulps = (float)want == out[k] ? 0 : error / last_place(want);
        if (isinf((float)want) || error <= functions[i].absolute) {
            continue;
        }
        if (!(ulps <= worst)) {
            worst = ulps, worst_x = x[k], worst_y = y[k];
        }
    }
    print_message("%-9s %.2f ulp\n", functions[i].name, worst);
    if (!(worst <= functions[i].ulps)) {
        fail_msg("%s(%.9g, %.9g) is off by %g ulp, %g are stated", functions[i].name, worst_x,
                 worst_y, worst, functions[i].ulps);
    }
}

static void test_functions(void **state_)
{
    (void)state_;
    char path[64], *messages = NULL;
    aigc_error err;
    aigc_program *p;
    aigc_context *c;
    aigc_settings s = {.opt_level = 3, .no_cache = true};
    write_model(path);
    if (aigc_program_create(path, &s, &p, &messages, &err) != AIGC_OK) {
        fail_msg("%s\n%s", err.text, messages ? messages : "");
    }
    aigc_context_options o = {.n_threads = 1};
    assert_int_equal(aigc_program_context(p, &o, &c, &err), AIGC_OK);
    float *x = calloc(SAMPLES, sizeof *x), *y = calloc(SAMPLES, sizeof *y),
          *out = calloc(SAMPLES, sizeof *out);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        check_function(p, c, i, x, y, out);
    }
    free(x);
    free(y);
    free(out);
    /* Special values, as C's Annex F has them. */
    static const float special[] = {0.0f, -0.0f,  1.0f,    -1.0f, 2.0f,       -2.0f,
                                    3.0f, -3.0f,  0.5f,    -0.5f, INFINITY,   -INFINITY,
                                    NAN,  1e-40f, -1e-40f, 3e38f, 16777217.0f};
    enum { N = sizeof special / sizeof *special };
    float a[N * N], b[N * N], r[N * N];
    for (int k = 0; k < N * N; k++) {
        a[k] = special[k / N];
        b[k] = special[k % N];
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (functions[i].two) {
            call(p, c, i, a, b, N * N, r);
            for (int k = 0; k < N * N; k++) {
                float want = (float)functions[i].two(a[k], b[k]);
                bool same = isnan(want) ? isnan(r[k])
                                        : want == r[k] || fabsf(want - r[k]) <= 4e-7f * fabsf(want);
                if (!same || (!isnan(want) && signbit(want) != signbit(r[k]))) {
                    fail_msg("%s(%g, %g): expected %g, found %g", functions[i].name, (double)a[k],
                             (double)b[k], (double)want, (double)r[k]);
                }
            }
        }
    }
    aigc_context_destroy(c);
    aigc_program_destroy(p);
    free(messages);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
