/* The pool of threads: work is done by every thread once, a barrier parts what is before from what
 * is after. Worth most under the thread sanitizer, which sees here the barriers that generated code
 * calls. */
#include "runtime/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

enum { MOST = 8, ROUNDS = 300, WORKS = 200 };

typedef struct job {
    aigc_pool *pool;
    uint32_t n;
    uint32_t written[2][MOST]; /* without atomics: the barrier must order them */
    uint32_t wrong[MOST];
} job;

static void count_own(void *data, uint32_t thread)
{
    ((job *)data)->written[0][thread]++;
}

static void write_and_read_others(void *data, uint32_t thread)
{
    job *j = data;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint32_t *row = j->written[round & 1];
        row[thread] = round;
        aigc_pool_barrier(j->pool, thread);
        for (uint32_t i = 0; i < j->n; i++) {
            j->wrong[thread] += row[i] != round;
        }
    }
}

static void with_pool(uint32_t n, void (*work)(void *data, uint32_t thread), uint32_t times, job *j)
{
    *j = (job){.n = n};
    assert_int_equal(aigc_pool_create(n, &j->pool), AIGC_OK);
    for (uint32_t i = 0; i < times; i++) {
        aigc_pool_run(j->pool, n, work, j);
    }
    aigc_pool_destroy(j->pool);
}

static void test_every_thread_works_once(void **state)
{
    (void)state;
    job j;
    for (uint32_t n = 1; n <= MOST; n++) {
        with_pool(n, count_own, WORKS, &j);
        for (uint32_t i = 0; i < MOST; i++) {
            assert_int_equal(j.written[0][i], i < n ? WORKS : 0);
        }
    }
}

static void test_barrier(void **state)
{
    (void)state;
    job j;
    for (uint32_t n = 1; n <= 4; n++) {
        with_pool(n, write_and_read_others, 2, &j);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(j.wrong[i], 0);
        }
    }
}

/* A run takes as many threads as it is told to; those left out come to later barriers in step. */
static void test_some_of_the_threads(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {4, 1, 2, 4, 3, 1, 4};
    job j = {.n = 0};
    assert_int_equal(aigc_pool_create(4, &j.pool), AIGC_OK);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        aigc_pool *pool = j.pool;
        j = (job){.pool = pool, .n = sizes[i]};
        aigc_pool_run(pool, sizes[i], count_own, &j);
        for (uint32_t k = 0; k < MOST; k++) {
            assert_int_equal(j.written[0][k], k < sizes[i]);
        }
        aigc_pool_run(pool, sizes[i], write_and_read_others, &j);
        for (uint32_t k = 0; k < MOST; k++) {
            assert_int_equal(j.wrong[k], 0);
            assert_int_equal(j.written[1][k], k < sizes[i] ? ROUNDS - 1 : 0);
        }
    }
    aigc_pool_destroy(j.pool);
}

static void test_no_work(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) { /* threads that have hardly begun are told to stop */
        aigc_pool *p;
        assert_int_equal(aigc_pool_create(4, &p), AIGC_OK);
        aigc_pool_destroy(p);
    }
    aigc_pool_destroy(NULL);
}

static void *one_pool(void *data)
{
    with_pool(3, write_and_read_others, 1, data);
    return NULL;
}

static void test_pools_side_by_side(void **state)
{
    (void)state;
    static job jobs[3];
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, one_pool, &jobs[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(jobs[i].wrong[k], 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_works_once), cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_some_of_the_threads), cmocka_unit_test(test_no_work),
        cmocka_unit_test(test_pools_side_by_side)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
