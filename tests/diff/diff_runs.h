/* What tests that compile a whole file share: a program called on one thread and on three, which
 * cut most sizes unevenly. All of them take part, however little there is to do. */
#ifndef AIGC_TESTS_DIFF_RUNS_H
#define AIGC_TESTS_DIFF_RUNS_H

#include "cli/libaigc.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct diff_runs {
    aigc_program *p;
    aigc_context *c[2];
} diff_runs;

static inline diff_runs diff_runs_open(const char *path, aigc_settings s)
{
    diff_runs r = {0};
    char *messages = NULL;
    aigc_error err;
    s.no_cache = true;
    if (aigc_program_create(path, &s, &r.p, &messages, &err) != AIGC_OK) {
        fail_msg("%s\n%s", err.text, messages ? messages : "");
    }
    free(messages); /* warnings */
    for (uint32_t i = 0; i < 2; i++) {
        aigc_context_options o = {.n_threads = 2 * i + 1, .all_threads = true};
        assert_int_equal(aigc_program_context(r.p, &o, &r.c[i], &err), AIGC_OK);
    }
    return r;
}

/* The interpreter, then code for this machine and, where it is one, for lesser x86s. */
typedef struct diff_runs_all {
    diff_runs at[4];
    uint32_t n;
} diff_runs_all;

static inline diff_runs_all diff_runs_open_all(const char *path, const char *weights)
{
    static const char *const cpus[] = {NULL, "x86-64-v3", "x86-64"};
    aigc_settings s = {.weights = weights, .opt_level = 2, .interpret = true};
    diff_runs_all runs = {{diff_runs_open(path, s)}, 1};
    uint32_t have = aigc_cpu_features();
    s.interpret = false;
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
#if !defined(__x86_64__)
        if (cpus[i]) {
            continue;
        }
#endif
        if (i != 1 || have & AIGC_CPU_AVX2_FMA) {
            s.cpu = cpus[i];
            runs.at[runs.n++] = diff_runs_open(path, s);
        }
    }
    return runs;
}

static inline void diff_runs_close(diff_runs *r)
{
    aigc_context_destroy(r->c[0]);
    aigc_context_destroy(r->c[1]);
    aigc_program_destroy(r->p);
}

static inline void diff_runs_close_all(diff_runs_all *runs)
{
    for (uint32_t i = 0; i < runs->n; i++) {
        diff_runs_close(&runs->at[i]);
    }
}

static inline int64_t diff_size(const int64_t *dims, uint32_t rank)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < rank; i++) {
        n *= dims[i];
    }
    return n;
}

/* [2, 3] */
static inline void diff_write_list(FILE *f, const int64_t *dims, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++) {
        fprintf(f, "%s%lld", i ? ", " : "[", (long long)dims[i]);
    }
    fprintf(f, "]");
}

/* Numbers within [-1, 1], in memory of their own. */
static inline aigc_tensor diff_draw(const int64_t *dims, uint32_t rank, uint32_t *seed)
{
    aigc_tensor t = {.dtype = AIGC_F32, .rank = (uint8_t)rank};
    float *at = malloc((size_t)diff_size(dims, rank) * sizeof *at);
    for (int64_t i = 0; i < diff_size(dims, rank); i++) {
        *seed = *seed * 1664525u + 1013904223u;
        at[i] = (float)(*seed >> 8) / 16777216.0f * 2 - 1;
    }
    memcpy(t.dims, dims, rank * sizeof *dims);
    t.data = at;
    return t;
}

/* f32s, no further apart than so much. */
static inline void diff_compare_f32(const aigc_tensor *x, const aigc_tensor *y, float bound,
                                    const char *what)
{
    const float *a = x->data, *b = y->data;
    int64_t n = diff_size(y->dims, y->rank);
    assert_int_equal(diff_size(x->dims, x->rank), n);
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(a[i] - b[i]) <= bound)) {
            fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)i, (double)a[i],
                     (double)b[i]);
        }
    }
}

/* The one result, in memory of its own. */
static inline aigc_tensor diff_runs_call(diff_runs *r, uint32_t context, const char *entry,
                                         const aigc_tensor *args, uint32_t n_args)
{
    aigc_tensor y = {0};
    aigc_error err;
    if (aigc_program_call(r->p, r->c[context], entry, NULL, args, n_args, &y, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", entry, err.text);
    }
    return y;
}

#endif
