/* Every thread publishes its progress in words on cache lines of its own: what it waits for is one
 * line, and nobody writes to a line that others are busy with. A word counts in twos; its lowest
 * bit says that somebody sleeps for it in the kernel's futex (where there is none, waiting yields).
 * Publishing is one exchange, which also tells whether to wake anyone, so that a call nobody sleeps
 * in makes no system call and reads nothing shared but the words waited for.
 *
 * Waiting spins for as long as sleeping and being woken would take, then sleeps: at worst twice the
 * best choice (Karlin et al., "Competitive randomized algorithms for non-uniform problems", 1990).
 * A thread whose spins end in sleep halves its patience, one whose spins succeed regains it: where
 * other processes hold the cores, spinning only keeps the one waited for from running. */
#include "runtime/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#endif

enum {
    LINE = 128,
    ASLEEP = 1,     /* lowest bit of a word */
    TURN = 2,       /* what a word grows by */
    LOOKS = 16,     /* at the word between two looks at the clock */
    SPIN_MOST = 50, /* in us: measured, a futex's sleep and waking takes 54 */
    SPIN_LEAST = 2
};

typedef struct flag {
    _Alignas(LINE) _Atomic uint32_t word;
} flag;

/* One thread's lines. */
typedef struct seat {
    flag entered;                    /* barriers it has come to */
    flag go, finished;               /* calls given to it, and done by it */
    _Alignas(LINE) uint32_t spin_us; /* its patience */
} seat;

struct aigc_pool {
    uint32_t n;      /* threads there are */
    uint32_t active; /* threads of the call in progress, or of the last one */
    bool stop;
    void (*work)(void *data, uint32_t thread);
    void *data;
    seat *seats; /* [n] */
    pthread_t *threads;
    uint32_t n_started;
};

typedef struct starter {
    aigc_pool *pool;
    uint32_t thread;
} starter;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Counts wrap; a word is never ahead of, or behind, what is waited for by half of their range. */
static bool reached(uint32_t word, uint32_t goal)
{
    return (int32_t)((word & ~(uint32_t)ASLEEP) - goal) >= 0;
}

static uint32_t count_of(const flag *f)
{
    return atomic_load_explicit(&f->word, memory_order_relaxed) & ~(uint32_t)ASLEEP;
}

static void publish(flag *f, uint32_t count)
{
    uint32_t old = atomic_exchange_explicit(&f->word, count, memory_order_acq_rel);
#ifdef __linux__
    if (old & ASLEEP) {
        syscall(SYS_futex, &f->word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
#else
    (void)old;
#endif
}

static void sleep_until(flag *f, uint32_t goal)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&f->word, memory_order_acquire);
        if (reached(seen, goal)) {
            return;
        }
#ifdef __linux__
        if ((seen & ASLEEP) || atomic_compare_exchange_strong(&f->word, &seen, seen | ASLEEP)) {
            syscall(SYS_futex, &f->word, FUTEX_WAIT_PRIVATE, seen | ASLEEP, NULL, NULL, 0);
        }
#else
        sched_yield();
#endif
    }
}

/* Returns when the word has reached the goal. own: the waiting thread's seat. */
static void wait_until(seat *own, flag *f, uint32_t goal)
{
    int64_t end = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (reached(atomic_load_explicit(&f->word, memory_order_acquire), goal)) {
                own->spin_us = own->spin_us < SPIN_MOST ? own->spin_us * 2 : own->spin_us;
                return;
            }
            relax();
        }
        end = end ? end : now_us() + own->spin_us;
    } while (now_us() < end);
    own->spin_us = own->spin_us > SPIN_LEAST ? own->spin_us / 2 : own->spin_us;
    sleep_until(f, goal);
}

void aigc_pool_barrier(void *pool, uint32_t thread)
{
    aigc_pool *p = pool;
    seat *own = &p->seats[thread];
    uint32_t goal = count_of(&own->entered) + TURN;
    publish(&own->entered, goal);
    for (uint32_t i = 0; i < p->active; i++) {
        if (i != thread) {
            wait_until(own, &p->seats[i].entered, goal);
        }
    }
}

static void *worker(void *arg)
{
    starter s = *(starter *)arg;
    aigc_pool *p = s.pool;
    seat *own = &p->seats[s.thread];
    free(arg);
    for (uint32_t call = TURN;; call += TURN) {
        wait_until(own, &own->go, call);
        if (p->stop) {
            return NULL;
        }
        p->work(p->data, s.thread);
        publish(&own->finished, call);
    }
}

aigc_status aigc_pool_create(uint32_t n, aigc_pool **out)
{
    aigc_pool *p = malloc(sizeof *p);
    *out = NULL;
    if (!p) {
        return AIGC_ERR_MEMORY;
    }
    *p = (aigc_pool){.n = n, .active = n};
    p->seats = aligned_alloc(LINE, sizeof(seat) * n);
    p->threads = calloc(n, sizeof *p->threads);
    if (!p->seats || !p->threads) {
        aigc_pool_destroy(p);
        return AIGC_ERR_MEMORY;
    }
    for (uint32_t i = 0; i < n; i++) {
        p->seats[i] = (seat){.spin_us = SPIN_MOST};
    }
    for (uint32_t i = 1; i < n; i++) {
        starter *s = malloc(sizeof *s);
        if (s) {
            *s = (starter){p, i};
        }
        if (!s || pthread_create(&p->threads[i], NULL, worker, s) != 0) {
            free(s);
            aigc_pool_destroy(p);
            return AIGC_ERR_MEMORY;
        }
        p->n_started++;
    }
    *out = p;
    return AIGC_OK;
}

void aigc_pool_destroy(aigc_pool *p)
{
    if (!p) {
        return;
    }
    p->stop = true;
    for (uint32_t i = 1; i <= p->n_started; i++) {
        publish(&p->seats[i].go, count_of(&p->seats[i].go) + TURN);
    }
    for (uint32_t i = 1; i <= p->n_started; i++) {
        pthread_join(p->threads[i], NULL);
    }
    free(p->threads);
    free(p->seats);
    free(p);
}

void aigc_pool_run(aigc_pool *p, uint32_t n, void (*work)(void *data, uint32_t thread), void *data)
{
    for (uint32_t i = p->active; i < n; i++) { /* they have missed barriers */
        atomic_store_explicit(&p->seats[i].entered.word, count_of(&p->seats[0].entered),
                              memory_order_relaxed);
    }
    p->active = n;
    p->work = work;
    p->data = data;
    for (uint32_t i = 1; i < n; i++) {
        publish(&p->seats[i].go, count_of(&p->seats[i].go) + TURN);
    }
    work(data, 0);
    for (uint32_t i = 1; i < n; i++) {
        wait_until(&p->seats[0], &p->seats[i].finished, count_of(&p->seats[i].go));
    }
}
