/* What tests that compile a whole file share: a program called on one thread and on three, which
 * cut most sizes unevenly. All of them take part, however little there is to do. */
#ifndef AIGC_TESTS_DIFF_RUNS_H
#define AIGC_TESTS_DIFF_RUNS_H

#include "cli/libaigc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

static inline void diff_runs_close(diff_runs *r)
{
    aigc_context_destroy(r->c[0]);
    aigc_context_destroy(r->c[1]);
    aigc_program_destroy(r->p);
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
