/* A pool of threads that run one function together, and a barrier for them. */
#ifndef AIGC_RUNTIME_THREADS_H
#define AIGC_RUNTIME_THREADS_H

#include "runtime/status.h"

#include <stdint.h>

typedef struct aigc_pool aigc_pool;

/* n - 1 workers; the caller of aigc_pool_run is the n-th. */
AIGC_MUST_CHECK aigc_status aigc_pool_create(uint32_t n, aigc_pool **out);
void aigc_pool_destroy(aigc_pool *p);
/* work(data, thread) in n of the threads, 0 being the caller's, n at most as many as there are;
 * returns when all are done. The others sleep on. */
void aigc_pool_run(aigc_pool *p, uint32_t n, void (*work)(void *data, uint32_t thread), void *data);
/* Returns in every thread of the run when all of them have entered. */
void aigc_pool_barrier(void *pool, uint32_t thread);

#endif
