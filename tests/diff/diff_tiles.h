/* What tests of tile registers share: a program compiled with them, emulated, or without. */
#ifndef AIGC_TESTS_DIFF_TILES_H
#define AIGC_TESTS_DIFF_TILES_H

#include "backend/jit.h"
#include "cli/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct tile_program {
    compiler *c;
    jit *j;
    aigc_weights *w;
    aigc_context *contexts[2]; /* of one thread and of three */
} tile_program;

static inline tile_program tile_program_open(const char *path, const compile_options *o, bool tiles)
{
    tile_program p = {.c = compile_create()};
    size_t size;
    aigc_error err;
    assert_true(p.c && compile_source(p.c, path, o) && compile_target(p.c, o));
    p.c->t->emulate_tiles = tiles;
    const void *object = compile_object(p.c, o, &size);
    assert_non_null(object);
    p.j = jit_create(object, size, p.c->symbol, p.c->d);
    assert_non_null(p.j);
    assert_int_equal(aigc_weights_random(jit_model(p.j), 1, &p.w), AIGC_OK);
    for (uint32_t i = 0; i < 2; i++) {
        aigc_context_options with = {.n_threads = 2 * i + 1, .all_threads = true};
        assert_int_equal(aigc_context_create(jit_model(p.j), p.w, &with, &p.contexts[i], &err),
                         AIGC_OK);
    }
    return p;
}

static inline void tile_program_close(tile_program *p)
{
    aigc_context_destroy(p->contexts[0]);
    aigc_context_destroy(p->contexts[1]);
    aigc_weights_destroy(p->w);
    jit_destroy(p->j);
    compile_destroy(p->c);
}

/* The one result, n floats in memory of their own. */
static inline float *tile_program_call(const tile_program *p, uint32_t context, uint32_t entry,
                                       const int64_t *dims, const aigc_tensor *args,
                                       uint32_t n_args, int64_t n)
{
    aigc_tensor y = {0};
    int64_t bytes;
    aigc_context *c = p->contexts[context];
    assert_int_equal(aigc_call_sizes(c, entry, dims, args, n_args, &y, 1, &bytes), AIGC_OK);
    assert_int_equal(aigc_reserve(c, bytes), AIGC_OK);
    y.data = malloc((size_t)n * sizeof(float));
    assert_non_null(y.data);
    assert_int_equal(aigc_call(c, entry, dims, args, n_args, &y, 1), AIGC_OK);
    return y.data;
}

/* Rows are packed as bf16 only where there are dot products of it: says so where there are none. */
static inline bool tile_program_has_dots(void)
{
    uint32_t needed = AIGC_CPU_AVX512 | AIGC_CPU_AVX512_BF16;
    bool has = (aigc_cpu_features() & needed) == needed;
    if (!has) {
        print_message("skipped: rows are packed as bf16 only where there are dot products\n");
    }
    return has;
}

#endif
