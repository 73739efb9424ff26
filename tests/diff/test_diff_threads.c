/* Kernels of every kind on 2, 3, 4 and 7 threads, called again and again, give what one thread
 * gives, to the last bit. Built with the thread sanitizer, code tells it what it touches: races are
 * found even where they do no harm. */
#include "backend/jit.h"
#include "cli/compile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef __SANITIZE_THREAD__
enum { WATCHED = 1, CALLS = 2 };
#else
enum { WATCHED = 0, CALLS = 4 };
#endif
static const uint32_t thread_counts[] = {1, 2, 3, 4, 7};
enum { N_COUNTS = sizeof thread_counts / sizeof *thread_counts };

static const struct {
    const char *cpu, *quantize;
    bool bf16;
} ways[] = {
    {NULL,        NULL,   false},
    {NULL,        NULL,   true },
    {NULL,        "q4_0", false},
#ifdef __x86_64__
    {"x86-64",    NULL,   false},
    {"x86-64-v2", "q8_0", false},
#endif
};

typedef struct program {
    compiler *c;
    jit *j;
    aigc_weights *w;
    aigc_context *contexts[N_COUNTS];
} program;

static program open_program(size_t way)
{
    const compile_options o = {.level = 2,
                               .cpu = ways[way].cpu,
                               .bf16 = ways[way].bf16,
                               .quantize = ways[way].quantize,
                               .no_cache = true};
    program p = {.c = compile_create()};
    size_t size;
    aigc_error err;
    assert_true(compile_source(p.c, AIGC_SOURCE_DIR "/tests/e2e/kernels.aigc", &o) &&
                compile_target(p.c, &o));
    p.c->t->watch_threads = WATCHED;
    const void *object = compile_object(p.c, &o, &size);
    assert_non_null(object);
    p.j = jit_create(object, size, p.c->symbol, p.c->d);
    assert_non_null(p.j);
    assert_int_equal(aigc_weights_random(jit_model(p.j), 1, &p.w), AIGC_OK);
    for (uint32_t i = 0; i < N_COUNTS; i++) {
        aigc_context_options with = {.n_threads = thread_counts[i], .all_threads = true};
        assert_int_equal(aigc_context_create(jit_model(p.j), p.w, &with, &p.contexts[i], &err),
                         AIGC_OK);
    }
    return p;
}

static void close_program(program *p)
{
    for (uint32_t i = 0; i < N_COUNTS; i++) {
        aigc_context_destroy(p->contexts[i]);
    }
    aigc_weights_destroy(p->w);
    jit_destroy(p->j);
    compile_destroy(p->c);
}

/* The one result of an entry of one argument, with `rows` along its free axes; n: its floats. */
static float *call(const program *p, uint32_t context, uint32_t entry, int64_t rows, int64_t *n)
{
    aigc_context *c = p->contexts[context];
    const aigc_abi_entry *e = &jit_model(p->j)->entries[entry];
    int64_t pos = 0, bytes;
    aigc_tensor x = {.dtype = AIGC_F32, .rank = e->args[0].rank}, y = {0};
    for (uint32_t i = 0; i < x.rank; i++) {
        x.dims[i] = e->args[0].fixed_dims[i] < 0 ? rows : e->args[0].fixed_dims[i];
    }
    int64_t size = aigc_tensor_bytes(AIGC_F32, x.rank, x.dims) / 4;
    float *numbers = malloc((size_t)size * sizeof *numbers);
    assert_non_null(numbers);
    for (int64_t i = 0; i < size; i++) {
        numbers[i] = sinf((float)(i * 7 % 1009));
    }
    x.data = numbers;
    assert_int_equal(aigc_call_sizes(c, entry, &pos, &x, 1, &y, 1, &bytes), AIGC_OK);
    assert_int_equal(aigc_reserve(c, bytes), AIGC_OK);
    *n = aigc_tensor_bytes(AIGC_F32, y.rank, y.dims) / 4;
    y.data = malloc((size_t)*n * sizeof(float));
    assert_non_null(y.data);
    assert_int_equal(aigc_call(c, entry, &pos, &x, 1, &y, 1), AIGC_OK);
    free(numbers);
    return y.data;
}

static void check_entry(const program *p, size_t way, uint32_t entry, int64_t rows)
{
    int64_t n;
    float *want = call(p, 0, entry, rows, &n);
    for (uint32_t i = 1; i < N_COUNTS; i++) {
        for (int again = 0; again < CALLS; again++) {
            float *got = call(p, i, entry, rows, &n);
            if (memcmp(got, want, (size_t)n * sizeof *got) != 0) {
                fail_msg("%s, %lld rows, way %zu: %u threads give something else",
                         jit_model(p->j)->entries[entry].name, (long long)rows, way,
                         thread_counts[i]);
            }
            free(got);
        }
    }
    free(want);
}

static void test_threads(void **state)
{
    (void)state;
    static const int64_t row_counts[] = {1, 5, 37};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        program p = open_program(way);
        for (uint32_t e = 0; e < jit_model(p.j)->n_entries; e++) {
            for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
                check_entry(&p, way, e, row_counts[i]);
            }
        }
        close_program(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
