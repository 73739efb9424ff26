/* Loops that do one thing as fast as the machine can, and a team of threads that runs them. Which
 * instructions there are is asked at run time. */
#include "cli/roofline.h"

#include "runtime/aigc.h"
#include "runtime/threads.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined __x86_64__
#include <immintrin.h>
#endif

enum { TURNS = 20000 };
static const double SLICE = 0.01; /* seconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A bit of work on `bytes` of data: returns how many operations or bytes it was. */
typedef double work(const void *data, size_t bytes);

/* Sums that do not wait for each other: more than two units of six cycles each need. Variables of
 * their own, since gcc keeps an array of them in memory, and opaque to it, since they are equal. */
enum { SUMS = 14 };
#define EACH_SUM(DO, step, reg)                                                                    \
    DO(0, step, reg)                                                                               \
    DO(1, step, reg)                                                                               \
    DO(2, step, reg)                                                                               \
    DO(3, step, reg)                                                                               \
    DO(4, step, reg)                                                                               \
    DO(5, step, reg)                                                                               \
    DO(6, step, reg)                                                                               \
    DO(7, step, reg)                                                                               \
    DO(8, step, reg)                                                                               \
    DO(9, step, reg)                                                                               \
    DO(10, step, reg)                                                                              \
    DO(11, step, reg)                                                                              \
    DO(12, step, reg)                                                                              \
    DO(13, step, reg)
#define KEEP(x, reg) __asm__ volatile("" : "+" reg(x));
#define BEGIN_SUM(i, first, reg)                                                                   \
    __typeof__(first) sum##i = first;                                                              \
    KEEP(sum##i, reg)
#define STEP_SUM(i, step, reg)                                                                     \
    sum##i = step(sum##i);                                                                         \
    KEEP(sum##i, reg)

/* A loop of sum = step(sum), of so many operations; `features` of the CPU; reg: the letter of its
 * vector registers in asm statements. */
#define RATE(name, features, reg, first, x_first, step, ops)                                       \
    features static double name(const void *data, size_t bytes)                                    \
    {                                                                                              \
        (void)data;                                                                                \
        (void)bytes;                                                                               \
        __typeof__(x_first) x = x_first;                                                           \
        KEEP(x, reg)                                                                               \
        EACH_SUM(BEGIN_SUM, first, reg)                                                            \
        for (int turn = 0; turn < TURNS; turn++) {                                                 \
            EACH_SUM(STEP_SUM, step, reg)                                                          \
        }                                                                                          \
        return (double)(ops)*SUMS * TURNS;                                                         \
    }

typedef float floats __attribute__((vector_size(16)));

#if defined __x86_64__
#define GENERIC_REG "x"
#elif defined __aarch64__
#define GENERIC_REG "w"
#else
#define GENERIC_REG "m"
#endif
#define FMA_GENERIC(s) (x * x + s)
RATE(fma_generic, , GENERIC_REG, (floats){0}, (floats){0} + 0.5f, FMA_GENERIC, 2 * 4)

#if defined __x86_64__
#define TARGET(features) __attribute__((target(features)))
#define FMA_256(s)       _mm256_fmadd_ps(x, x, s)
#define FMA_512(s)       _mm512_fmadd_ps(x, x, s)
#define BF16_512(s)      _mm512_dpbf16_ps(s, (__m512bh)x, (__m512bh)x)
#define INT8_512(s)      _mm512_dpbusd_epi32(s, x, x)
RATE(fma_256, TARGET("avx2,fma"), "x", _mm256_setzero_ps(), _mm256_set1_ps(0.5f), FMA_256, 2 * 8)
RATE(fma_512, TARGET("avx512f"), "v", _mm512_setzero_ps(), _mm512_set1_ps(0.5f), FMA_512, 2 * 16)
RATE(bf16_512, TARGET("avx512f,avx512bf16"), "v", _mm512_setzero_ps(),
     _mm512_set1_epi32(0x3f003f00), BF16_512, 4 * 16)
RATE(int8_512, TARGET("avx512f,avx512vnni"), "v", _mm512_setzero_si512(), _mm512_set1_epi32(3),
     INT8_512, 8 * 16)

/* The four products of two by two tiles of 16 rows of 64 bytes. */
TARGET("amx-tile,amx-bf16") static double tiles(const void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    /* GCC 12's _tile_loadconfig says of the first 8 bytes only that they are read. */
    __asm__ volatile("" : : "m"(config));
    _tile_loadconfig(&config);
    for (int turn = 0; turn < TURNS; turn++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 2 * 16 * 16 * 32 * TURNS;
}
#endif

/* Four streams, as a product of a matrix by a vector reads its rows. */
static double read_all(const void *data, size_t bytes)
{
    enum { LINE = 64, AHEAD = 2048 };
    const char *at = data;
    size_t part = bytes / 4 / LINE * LINE;
    floats sum[4] = {{0}};
    for (size_t i = 0; i < part; i += LINE) {
        for (size_t s = 0; s < 4; s++) {
            const floats *line = (const floats *)(const void *)(at + s * part + i);
            sum[s] += line[0] + line[1] + line[2] + line[3];
            __builtin_prefetch(at + s * part + i + AHEAD);
        }
    }
    floats all = sum[0] + sum[1] + sum[2] + sum[3];
    KEEP(all, GENERIC_REG)
    return 4.0 * (double)part;
}

/* The team ----------------------------------------------------------------------------------------
 */

typedef struct team {
    aigc_pool *pool; /* NULL: one thread */
    uint32_t n;
    size_t bytes;  /* of each thread's data */
    char *data;    /* [n] pieces of them */
    double *rates; /* [n] */
    work *w;
} team;

static void run_slice(void *data, uint32_t thread)
{
    const team *t = data;
    double start = now(), amount = 0, took;
    do {
        amount += t->w(t->data + thread * t->bytes, t->bytes);
        took = now() - start;
    } while (took < SLICE);
    t->rates[thread] = amount / took;
}

/* The first slice only wakes threads and clocks. */
static double best_of(team *t, work *w, double seconds)
{
    double best = 0, end = now() + seconds;
    t->w = w;
    for (uint32_t slice = 0; slice < 3 || now() < end; slice++) {
        if (t->pool) {
            aigc_pool_run(t->pool, t->n, run_slice, t);
        } else {
            run_slice(t, 0);
        }
        double all = 0;
        for (uint32_t i = 0; i < t->n; i++) {
            all += t->rates[i];
        }
        best = slice > 0 && all > best ? all : best;
    }
    return best;
}

static void measure(team *t, double seconds, bool dots, roofline *out)
{
    work *fma = fma_generic;
#if defined __x86_64__
    uint32_t has = aigc_cpu_features();
    fma = has & AIGC_CPU_AVX512 ? fma_512 : has & AIGC_CPU_AVX2_FMA ? fma_256 : fma_generic;
    if (dots && (has & AIGC_CPU_AVX512) && (has & AIGC_CPU_AVX512_BF16)) {
        out->dot_bf16 = best_of(t, bf16_512, seconds / 5);
    }
    if (dots && (has & AIGC_CPU_AVX512) && (has & AIGC_CPU_AVX512_VNNI)) {
        out->dot_int8 = best_of(t, int8_512, seconds / 5);
    }
    if (dots && (has & AIGC_CPU_AMX)) {
        out->amx_bf16 = best_of(t, tiles, seconds / 5);
    }
#endif
    out->fma_f32 = best_of(t, fma, seconds / 5);
    out->read = best_of(t, read_all, seconds / 5);
}

bool roofline_measure(uint32_t n_threads, double seconds, size_t read_bytes, bool dots,
                      roofline *out)
{
    *out = (roofline){0};
    team t = {.n = n_threads ? n_threads : 1, .bytes = read_bytes / 4096 * 4096 + 4096};
    size_t all;
    bool fits = !__builtin_mul_overflow(t.bytes, (size_t)t.n, &all);
    t.data = fits ? aligned_alloc(4096, all) : NULL;
    t.rates = calloc(t.n, sizeof *t.rates);
    bool ok = t.data && t.rates && (t.n == 1 || aigc_pool_create(t.n, &t.pool) == AIGC_OK);
    if (ok) {
        memset(t.data, 1, all); /* pages of its own, not one page of zeros */
        measure(&t, seconds, dots, out);
    }
    aigc_pool_destroy(t.pool);
    free(t.data);
    free(t.rates);
    return ok;
}
