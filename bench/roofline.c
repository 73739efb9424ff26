/* What this machine can do at most: prints one line of JSON.
 *
 *     roofline THREADS [SECONDS]
 *
 *   fma_f32    FLOP/s of fused multiply-adds in f32, registers only
 *   dot_bf16   FLOP/s of vdpbf16ps, 0 where the CPU has none
 *   dot_int8   operations/s of vpdpbusd (a product and a sum are two), 0 where the CPU has none
 *   amx_bf16   FLOP/s of tdpbf16ps, 0 where the CPU or the kernel has none
 *   read       bytes/s read from memory, from arrays far larger than any cache
 *
 * All threads work at once; each measurement is the best of several slices, since other work on the
 * machine only ever makes a slice slower. Compile with -O2 -march=native -pthread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined __x86_64__
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { MOST_THREADS = 256, TURNS = 20000 };
static const size_t READ_BYTES = (size_t)512 << 20; /* of one thread */

#if defined __AVX512F__
enum { BYTES = 64 };
#elif defined __AVX__
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
typedef float floats __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4 };

/* Sums that do not wait for each other: more than two units of six cycles each need. Variables of
 * their own, since gcc keeps an array of them in memory. */
enum { SUMS = 14 };
#define EACH_SUM(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A slice of work: returns how many operations or bytes it was. data: READ_BYTES of memory. */
typedef double work(const void *data);

/* The compiler keeps the sums in registers and may not drop what it cannot see the end of. */
#define KEEP(x) __asm__ volatile("" : "+x"(x))
#if defined __AVX512F__
#undef KEEP
#define KEEP(x) __asm__ volatile("" : "+v"(x))
#elif !defined __x86_64__
#undef KEEP
#define KEEP(x) __asm__ volatile("" : "+w"(x))
#endif

static double work_fma(const void *data)
{
    (void)data;
    floats x = (floats){0} + 0.999f, y = (floats){0} + 0.001f;
    KEEP(x);
    KEEP(y);
#define BEGIN(i) floats sum##i = y;
#define STEP(i) sum##i = x * y + sum##i; KEEP(sum##i);
    EACH_SUM(BEGIN)
    for (int turn = 0; turn < TURNS; turn++) {
        EACH_SUM(STEP)
    }
#undef BEGIN
#undef STEP
    return 2.0 * SUMS * LANES * TURNS;
}

#if defined __AVX512BF16__
static double work_bf16(const void *data)
{
    (void)data;
    __m512i bits = _mm512_set1_epi32(0x3f003f00);
    KEEP(bits);
#define BEGIN(i) __m512 sum##i = _mm512_setzero_ps();
#define STEP(i) sum##i = _mm512_dpbf16_ps(sum##i, (__m512bh)bits, (__m512bh)bits); KEEP(sum##i);
    EACH_SUM(BEGIN)
    for (int turn = 0; turn < TURNS; turn++) {
        EACH_SUM(STEP)
    }
#undef BEGIN
#undef STEP
    return 4.0 * 16 * SUMS * TURNS;
}
#endif

#if defined __AVX512VNNI__
static double work_int8(const void *data)
{
    (void)data;
    __m512i bits = _mm512_set1_epi8(3);
    KEEP(bits);
#define BEGIN(i) __m512i sum##i = _mm512_setzero_si512();
#define STEP(i) sum##i = _mm512_dpbusd_epi32(sum##i, bits, bits); KEEP(sum##i);
    EACH_SUM(BEGIN)
    for (int turn = 0; turn < TURNS; turn++) {
        EACH_SUM(STEP)
    }
#undef BEGIN
#undef STEP
    return 8.0 * 16 * SUMS * TURNS;
}
#endif

#if defined __AMX_BF16__
/* Linux gives tiles to a process that asks for them (arch_prctl, Documentation/arch/x86/xstate.rst). */
static int amx_allowed(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static double work_amx(const void *data)
{
    (void)data;
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
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
static double work_read(const void *data)
{
    const char *at = data;
    size_t part = READ_BYTES / 4;
    floats sum[4] = {{0}};
    for (size_t i = 0; i < part; i += BYTES) {
        for (size_t s = 0; s < 4; s++) {
            sum[s] += *(const floats *)(at + s * part + i);
            __builtin_prefetch(at + s * part + i + 2048);
        }
    }
    for (int s = 0; s < 4; s++) {
        KEEP(sum[s]);
    }
    return (double)READ_BYTES;
}

typedef struct team {
    work *w;
    uint32_t n_threads;
    double seconds;
    pthread_barrier_t meet;
    void *data[MOST_THREADS];
    double amount[MOST_THREADS];
    double best; /* amount a second, of all threads together */
} team;
typedef struct member {
    team *t;
    uint32_t thread;
} member;

static void *run_member(void *data)
{
    const member *m = data;
    team *t = m->t;
    double end = now() + t->seconds;
    for (int going = 1, slice = 0; going; slice++) {
        pthread_barrier_wait(&t->meet);
        double start = now();
        double amount = t->w(t->data[m->thread]);
        while (now() - start < 0.02) {
            amount += t->w(t->data[m->thread]);
        }
        t->amount[m->thread] = amount / (now() - start);
        pthread_barrier_wait(&t->meet);
        double all = 0;
        for (uint32_t i = 0; i < t->n_threads; i++) {
            all += t->amount[i];
        }
        if (m->thread == 0 && slice > 0 && all > t->best) {
            t->best = all;
        }
        pthread_barrier_wait(&t->meet);
        /* All decide alike: thread 0's clock is in amount[0]'s place for a moment. */
        if (m->thread == 0) {
            t->amount[0] = now() < end || slice < 2;
        }
        pthread_barrier_wait(&t->meet);
        going = t->amount[0] != 0;
    }
    return NULL;
}

static double measure(team *t, work *w)
{
    pthread_t threads[MOST_THREADS];
    member members[MOST_THREADS];
    t->w = w;
    t->best = 0;
    for (uint32_t i = 0; i < t->n_threads; i++) {
        members[i] = (member){t, i};
        if (pthread_create(&threads[i], NULL, run_member, &members[i]) != 0) {
            fprintf(stderr, "roofline: a thread could not be started\n");
            exit(1);
        }
    }
    for (uint32_t i = 0; i < t->n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
    return t->best;
}

int main(int n, char **args)
{
    static team t;
    t.n_threads = n > 1 ? (uint32_t)atoi(args[1]) : 1;
    t.seconds = n > 2 ? atof(args[2]) : 0.3;
    if (t.n_threads < 1 || t.n_threads > MOST_THREADS) {
        fprintf(stderr, "usage: roofline THREADS [SECONDS]\n");
        return 2;
    }
    for (uint32_t i = 0; i < t.n_threads; i++) {
        t.data[i] = aligned_alloc(4096, READ_BYTES);
        if (!t.data[i]) {
            fprintf(stderr, "roofline: no memory\n");
            return 1;
        }
        memset(t.data[i], 1, READ_BYTES);
    }
    pthread_barrier_init(&t.meet, NULL, t.n_threads);
    double fma = measure(&t, work_fma), bf16 = 0, int8 = 0, amx = 0;
#if defined __AVX512BF16__
    bf16 = measure(&t, work_bf16);
#endif
#if defined __AVX512VNNI__
    int8 = measure(&t, work_int8);
#endif
#if defined __AMX_BF16__
    amx = amx_allowed() ? measure(&t, work_amx) : 0;
#endif
    double read = measure(&t, work_read);
    printf("{\"threads\": %u, \"fma_f32\": %.4g, \"dot_bf16\": %.4g, \"dot_int8\": %.4g, "
           "\"amx_bf16\": %.4g, \"read\": %.4g}\n",
           t.n_threads, fma, bf16, int8, amx, read);
    return 0;
}
