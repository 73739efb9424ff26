/* What end-to-end tests share: models of shared/models ($AIGC_MODELS; tests are skipped where they
 * are absent), compiled by libaigc. */
#ifndef AIGC_TESTS_E2E_H
#define AIGC_TESTS_E2E_H

#include "cli/libaigc.h"
#include "runtime/generate.h"
#include "runtime/io/weights_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <sys/wait.h>

/* "folder/file" of the models; the test is skipped when it is not there. */
static inline const char *e2e_model(const char *file, char path[1024])
{
    const char *folder = getenv("AIGC_MODELS");
    snprintf(path, 1024, "%s/%s", folder ? folder : AIGC_SOURCE_DIR "/../shared/models", file);
    FILE *f = fopen(path, "rb");
    if (!f) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    fclose(f);
    return path;
}

/* Output of a shell command; its exit code in *code. */
static inline char *e2e_command(int *code, const char *format, ...)
{
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, f);
    text[n] = 0;
    int status = pclose(f);
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return text;
}

static inline void e2e_write(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

typedef struct e2e {
    aigc_program *p;
    aigc_context *c;
} e2e;

static inline e2e e2e_open_with(const char *source, aigc_settings s, uint32_t threads)
{
    e2e r = {0};
    char *messages;
    aigc_error err;
    if (aigc_program_create(source, &s, &r.p, &messages, &err) != AIGC_OK) {
        fail_msg("%s: %s\n%s", source, err.text, messages ? messages : "");
    }
    aigc_context_options o = {.n_threads = threads, .all_threads = true};
    if (aigc_program_context(r.p, &o, &r.c, &err) != AIGC_OK) {
        fail_msg("%s: %s", source, err.text);
    }
    return r;
}

static inline e2e e2e_open(const char *source, const char *weights, int level, uint32_t threads)
{
    return e2e_open_with(
        source, (aigc_settings){.weights = weights, .opt_level = level, .no_cache = true}, threads);
}

static inline void e2e_close(e2e *r)
{
    aigc_context_destroy(r->c);
    aigc_program_destroy(r->p);
}

static inline json_t *e2e_json(const char *path)
{
    json_error_t e;
    json_t *j = json_load_file(path, 0, &e);
    assert_non_null(j);
    return j;
}

static inline int32_t *e2e_ids(const json_t *list, size_t *n)
{
    *n = json_array_size(list);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    return ids;
}

/* Greedy tokens after the prompt are the expected ones, at least the first `sure` of them. */
static inline void e2e_greedy(e2e *r, const json_t *prompt, const json_t *expected, size_t sure)
{
    size_t n, m;
    int32_t *ids = e2e_ids(prompt, &n), *want = e2e_ids(expected, &m);
    aigc_sampling greedy = {.top_p = 1, .repetition_penalty = 1};
    aigc_generator *g;
    aigc_error err = {{0}};
    assert_true(m > 0);
    assert_int_equal(aigc_generator_create(r->c, 0, &greedy, 0, &g, &err), AIGC_OK);
    assert_int_equal(aigc_generator_begin(g, ids, (int64_t)n, &err), AIGC_OK);
    for (size_t i = 0; i < m && i < sure; i++) {
        int32_t id;
        if (aigc_generator_next(g, &id, &err) != AIGC_OK || id != want[i]) {
            fail_msg("token %zu: expected %d, found %d %s", i, want[i], id, err.text);
        }
    }
    aigc_generator_destroy(g);
    free(ids);
    free(want);
}

/* An entry's one result against a tensor of a file; the argument is one too. */
static inline void e2e_compare(e2e *r, const char *entry, const char *in_file, const char *arg,
                               const char *want_file, const char *expected, double tolerance)
{
    weights_file *f, *g;
    aigc_error err = {{0}};
    assert_int_equal(weights_file_open(in_file, &f, &err), AIGC_OK);
    assert_int_equal(weights_file_open(want_file, &g, &err), AIGC_OK);
    const weights_tensor *in = weights_file_find(f, arg), *want = weights_file_find(g, expected);
    assert_non_null(in);
    assert_non_null(want);
    int64_t n = 1, dims[8] = {0};
    for (uint32_t i = 0; i < in->rank; i++) {
        n *= in->dims[i];
    }
    int32_t *ids = malloc((size_t)n * sizeof *ids + 1);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = in->dtype == AIGC_I64 ? (int32_t)((const int64_t *)in->data)[i]
                                       : ((const int32_t *)in->data)[i];
    }
    aigc_tensor x = {.data = ids, .dtype = AIGC_I32, .rank = in->rank}, y = {0};
    memcpy(x.dims, in->dims, sizeof x.dims);
    if (aigc_program_call(r->p, r->c, entry, dims, &x, 1, &y, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", entry, err.text);
    }
    assert_int_equal(aigc_tensor_bytes(y.dtype, y.rank, y.dims), want->size_bytes);
    double worst = 0;
    for (int64_t i = 0; i < want->size_bytes / 4; i++) {
        double d =
            fabs((double)((const float *)y.data)[i] - (double)((const float *)want->data)[i]);
        worst = d > worst || d != d ? d : worst;
    }
    if (!(worst <= tolerance)) {
        fail_msg("%s: differs by %g, %g is allowed", expected, worst, tolerance);
    }
    free(y.data);
    free(ids);
    weights_file_close(f);
    weights_file_close(g);
}

#endif
