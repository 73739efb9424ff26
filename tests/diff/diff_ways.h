/* Ways of making code for products: storages, kinds of sums, levels of vectors. */
#ifndef AIGC_TESTS_DIFF_WAYS_H
#define AIGC_TESTS_DIFF_WAYS_H

#include "tests/diff/diff_runs.h"

#include <unistd.h>

typedef struct diff_way {
    const char *cpu, *quantize;
    bool bf16;
    uint32_t needs; /* of the machine */
    int64_t k;      /* steps of sums */
} diff_way;

static inline bool diff_way_runs(const diff_way *w)
{
    return (aigc_cpu_features() & w->needs) == w->needs;
}

/* Of all combinations of ways and sizes one in so many is enough, but for the first way. */
static inline bool diff_way_takes(size_t way, size_t size, size_t one_in)
{
    return way == 0 || (way + size) % one_in == 0;
}

static inline void diff_way_name(const diff_way *w, char *out, size_t size)
{
    snprintf(out, size, "cpu %s%s%s", w->cpu ? w->cpu : "of this machine",
             w->bf16 ? ", bf16 " : ", ", w->quantize ? w->quantize : "");
}

/* The model with those sizes ("h=4"). */
static inline diff_runs diff_way_open(const diff_way *w, const char *path,
                                      const char *const *defines, uint32_t n_defines)
{
    return diff_runs_open(path, (aigc_settings){.defines = defines,
                                                .n_defines = n_defines,
                                                .cpu = w->cpu,
                                                .opt_level = 2,
                                                .bf16 = w->bf16,
                                                .quantize = w->quantize});
}

/* path: "/tmp/aigc-NAMEXXXXXX.aigc", made unique. */
static inline void diff_write_source(char *path, const char *source)
{
    int f = mkstemps(path, 5);
    assert_true(f >= 0);
    assert_int_equal(write(f, source, strlen(source)), strlen(source));
    close(f);
}

#endif
