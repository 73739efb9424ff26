#include "runtime/io/weights_load.h"
#include "runtime/io/weights_packed.h"
#include "runtime/io/weights_pieces.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20, SMALL = 64 << 10 };

/* Does the tensor lie in the file as kernels read the parameter? Small ones are copied all the
 * same, unless the whole file is as it is wanted: a system that maps a page when it is touched maps
 * those around it, too, which belong to tensors that have been packed. */
static bool stays(const aigc_abi_param *p, const weights_tensor *t, bool packed)
{
    size_t align = aigc_dtype_block(p->storage) > 1 ? 2 : aigc_dtype_bytes(p->storage);
    align = p->layout == AIGC_LAYOUT_ROWS ? align : LINE;
    return weights_packed_alike(p, t) && (uintptr_t)t->data % align == 0 &&
           (packed || t->size_bytes >= SMALL);
}

static int64_t room_for(const aigc_abi_param *p)
{
    return (aigc_param_bytes(p) + LINE - 1) / LINE * LINE;
}

static char *memory_for(int64_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t size = ((size_t)bytes + unit - 1) / unit * unit;
    char *memory = aligned_alloc(unit, size);
    if (memory && unit == HUGE_PAGE) {
        (void)madvise(memory, size, MADV_HUGEPAGE); /* a hint: fewer faults, fewer misses */
    }
    return memory;
}

typedef struct loading {
    const void **slots;
    weights_job *jobs;
    uint32_t *job_slots;
    uint32_t n_jobs;
    int64_t total_bytes;
} loading;

static void find_tensors(loading *l, const aigc_abi_model *m, const weights_file *f)
{
    char name[512];
    bool packed = f->gguf && gguf_find(f->gguf, "aigc.pack.version");
    for (uint32_t i = 0; i < m->n_params; i++) {
        const aigc_abi_param *p = &m->params[i];
        for (uint32_t k = 0; k < p->slots; k++) {
            const weights_tensor *t = weights_match(f, p, k, name);
            if (stays(p, t, packed)) {
                l->slots[p->first_slot + k] = t->data;
            } else {
                l->job_slots[l->n_jobs] = p->first_slot + k;
                l->jobs[l->n_jobs++] = (weights_job){.p = p, .t = t};
                l->total_bytes += room_for(p);
            }
        }
    }
}

/* Pages of the file are read again where something still lies in them. */
static void let_go(const mapped_file *m)
{
    (void)madvise((void *)(uintptr_t)m->data, m->size, MADV_DONTNEED);
}

static aigc_status load(loading *l, const aigc_abi_model *m, const weights_file *f,
                        aigc_weights **out, aigc_error *err)
{
    if (!l->slots || !l->jobs || !l->job_slots) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    find_tensors(l, m, f);
    char *memory = l->total_bytes ? memory_for(l->total_bytes) : NULL, *at = memory;
    if (l->total_bytes && !memory) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for the weights (%lld bytes)",
                         (long long)l->total_bytes);
    }
    for (uint32_t i = 0; i < l->n_jobs; i++) {
        l->jobs[i].out = at;
        l->slots[l->job_slots[i]] = at;
        at += room_for(l->jobs[i].p);
    }
    aigc_status s = weights_pack(l->jobs, l->n_jobs, err);
    for (uint32_t i = 0; i < f->n_maps && l->n_jobs; i++) { /* what lies around the pieces, too */
        let_go(&f->maps[i]);
    }
    if (f->gguf && l->n_jobs) {
        let_go(&f->gguf->map);
    }
    if (s == AIGC_OK && (s = aigc_weights_from_slots(m, l->slots, out)) != AIGC_OK) {
        s = aigc_fail(err, s, "out of memory");
    }
    if (s != AIGC_OK) {
        free(memory);
        return s;
    }
    (*out)->memory = memory;
    return s;
}

static void release_file(void *data)
{
    weights_file_close(data);
}

aigc_status weights_load(const aigc_abi_model *m, weights_file *f, weights_report *r,
                         aigc_weights **out, aigc_error *err)
{
    *out = NULL;
    aigc_status s = weights_check(m, f, r, err);
    if (s != AIGC_OK) {
        return s;
    }
    loading l = {.slots = calloc(m->n_slots + 1, sizeof *l.slots),
                 .jobs = calloc(m->n_slots + 1, sizeof *l.jobs),
                 .job_slots = calloc(m->n_slots + 1, sizeof *l.job_slots)};
    s = load(&l, m, f, out, err);
    free(l.slots);
    free(l.jobs);
    free(l.job_slots);
    if (s == AIGC_OK) {
        (*out)->release = release_file;
        (*out)->release_data = f;
    }
    return s;
}
