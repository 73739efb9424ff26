#include "runtime/io/weights_pieces.h"
#include "runtime/pack.h"
#include "runtime/threads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 }; /* of the source: well within a core's second cache */

typedef struct plan { /* of one job */
    aigc_pack_cut cut;
    int64_t piece_rows, first_piece; /* pieces are numbered through all jobs */
} plan;

typedef struct packing {
    const weights_job *jobs;
    plan *plans;
    uint32_t n_jobs;
    int64_t n_pieces;
    uintptr_t page_bytes;
    _Atomic int64_t next;
} packing;

static void make_plan(packing *k, uint32_t i)
{
    const weights_job *j = &k->jobs[i];
    plan *p = &k->plans[i];
    p->cut = aigc_pack_cut_of(j->p);
    int64_t row_bytes = j->t->size_bytes / (p->cut.rows ? p->cut.rows : 1) + 1;
    int64_t rows = PIECE_BYTES / row_bytes / p->cut.grain * p->cut.grain;
    p->piece_rows = rows > 0 ? rows : p->cut.grain;
    p->first_piece = k->n_pieces;
    k->n_pieces += (p->cut.rows + p->piece_rows - 1) / p->piece_rows;
}

/* The job with the greatest first piece that is not above: empty ones before it have none. */
static uint32_t job_of(const packing *k, int64_t piece)
{
    uint32_t lo = 0, hi = k->n_jobs;
    while (hi - lo > 1) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (k->plans[middle].first_piece <= piece) {
            lo = middle;
        } else {
            hi = middle;
        }
    }
    return lo;
}

/* What the kernel is told of the rows' pages of the file. It may not listen: that costs time or
 * memory, no more. */
static void advise(const packing *k, const weights_tensor *t, const plan *p, int64_t first,
                   int64_t last, int advice)
{
    int64_t block = aigc_dtype_block(t->dtype), bytes = (int64_t)aigc_dtype_bytes(t->dtype);
    uintptr_t data = (uintptr_t)t->data,
              from = data + (uintptr_t)(first * p->cut.row_elems / block * bytes),
              to = data + (uintptr_t)(last * p->cut.row_elems / block * bytes);
    from -= from % k->page_bytes;
    (void)madvise((void *)from, to - from, advice);
}

static void pack_pieces(void *data, uint32_t thread)
{
    (void)thread;
    packing *k = data;
    for (int64_t piece; (piece = atomic_fetch_add(&k->next, 1)) < k->n_pieces;) {
        uint32_t i = job_of(k, piece);
        const weights_job *j = &k->jobs[i];
        const plan *p = &k->plans[i];
        int64_t first = (piece - p->first_piece) * p->piece_rows, last = first + p->piece_rows;
        last = last < p->cut.rows ? last : p->cut.rows;
#ifdef MADV_POPULATE_READ
        advise(k, j->t, p, first, last, MADV_POPULATE_READ); /* one call, not hundreds of faults */
#endif
        aigc_pack_rows(j->p, j->t->dtype, j->t->data, first, last, j->out);
        advise(k, j->t, p, first, last, MADV_DONTNEED);
    }
}

aigc_status weights_pack(const weights_job *jobs, uint32_t n, aigc_error *err)
{
    packing k = {.jobs = jobs,
                 .plans = calloc(n + 1, sizeof *k.plans),
                 .n_jobs = n,
                 .page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE)};
    if (!k.plans) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < n; i++) {
        make_plan(&k, i);
    }
    uint32_t n_threads = aigc_default_threads();
    n_threads = k.n_pieces < n_threads ? (uint32_t)k.n_pieces : n_threads;
    aigc_pool *pool = NULL;
    aigc_status s = AIGC_OK;
    if (k.n_pieces) {
        s = aigc_pool_create(n_threads, &pool);
    }
    if (pool) {
        aigc_pool_run(pool, n_threads, pack_pieces, &k);
        aigc_pool_destroy(pool);
    }
    free(k.plans);
    return s == AIGC_OK ? s : aigc_fail(err, s, "no threads to pack weights with");
}
