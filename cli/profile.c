#include "cli/profile.h"

#include "cli/roofline.h"
#include "cli/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct profile {
    const aigc_abi_entry *e;
    double *seconds;  /* [n_kernels] */
    double *calls;    /* [n_kernels] */
    double last;      /* when kernel `current` began */
    uint32_t current; /* UINT32_MAX: none */
    double runs;      /* of the entry */
};

static void on_kernel(void *data, uint32_t kernel)
{
    profile *p = data;
    double now = session_clock();
    if (p->current < p->e->n_kernels) {
        p->seconds[p->current] += now - p->last;
        p->calls[p->current]++;
    }
    p->runs += kernel == UINT32_MAX;
    p->current = kernel;
    p->last = session_clock(); /* what this function took is nobody's */
}

profile *profile_begin(aigc_context *c, const aigc_abi_entry *e)
{
    profile *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    *p = (profile){.e = e,
                   .seconds = calloc(e->n_kernels + 1, sizeof(double)),
                   .calls = calloc(e->n_kernels + 1, sizeof(double)),
                   .current = UINT32_MAX};
    if (!p->seconds || !p->calls) {
        profile_end(p);
        return NULL;
    }
    aigc_context_profile(c, on_kernel, p);
    return p;
}

void profile_forget(profile *p)
{
    memset(p->seconds, 0, p->e->n_kernels * sizeof *p->seconds);
    memset(p->calls, 0, p->e->n_kernels * sizeof *p->calls);
    p->runs = 0;
}

void profile_end(profile *p)
{
    if (p) {
        free(p->seconds);
        free(p->calls);
        free(p);
    }
}

/* One kernel, or all together, in one call of the entry. */
typedef struct line {
    double seconds, calls, flops, bytes, predicted;
} line;

static void print_line(const line *l, double all, const char *name, const char *where)
{
    double s = l->seconds > 0 ? l->seconds : 1e-12;
    fprintf(stderr, "%10.1f %5.1f%% %6.0f %9.4g %9.4g %8.1f %7.1f %10.1f %7.0f%%  %-18s %s\n",
            1e6 * l->seconds, 100 * s / all, l->calls, l->flops / 1e6, l->bytes / 1e6,
            l->flops / s / 1e9, l->bytes / s / 1e9, 1e6 * l->predicted, 100 * l->predicted / s,
            name, where);
}

static double predict(const roofline *r, const aigc_kernel_cost *c)
{
    const double dots[] = {
        [AIGC_ARITHMETIC_F32] = 0,
        [AIGC_ARITHMETIC_BF16] = r->amx_bf16 > 0 ? r->amx_bf16 : r->dot_bf16,
        [AIGC_ARITHMETIC_INT8] = r->dot_int8,
    };
    double peak = dots[c->arithmetic] > r->fma_f32 ? dots[c->arithmetic] : r->fma_f32;
    double compute = c->flops / peak, memory = c->bytes / r->read;
    return compute > memory ? compute : memory;
}

static void print_lines(const profile *p, const aigc_kernel_cost *costs, const roofline *r)
{
    double all = 1e-12;
    for (uint32_t i = 0; i < p->e->n_kernels; i++) {
        all += p->seconds[i] / p->runs;
    }
    fprintf(stderr, "   time us  share  calls    MFLOP        MB  GFLOP/s    GB/s  predicted"
                    "   of it  kernel\n");
    line sum = {0};
    for (uint32_t i = 0; i < p->e->n_kernels; i++) {
        aigc_kernel_cost c = costs[i];
        /* Loops that end early: what was counted for all turns, for those that were made. */
        double made = p->calls[i] / p->runs, part = c.calls > 0 ? made / c.calls : 0;
        line l = {p->seconds[i] / p->runs, made, c.flops * part, c.bytes * part,
                  predict(r, &c) * part};
        print_line(&l, all, p->e->kernels[i].name, p->e->kernels[i].where);
        sum = (line){sum.seconds + l.seconds, sum.calls + l.calls, sum.flops + l.flops,
                     sum.bytes + l.bytes, sum.predicted + l.predicted};
    }
    print_line(&sum, all, "all", "");
}

void profile_print(const profile *p, aigc_program *program, uint32_t entry, const int64_t *dims,
                   uint32_t n_threads)
{
    enum { READ_BYTES = 256 << 20 }; /* of one thread: more than caches hold */
    static const double SECONDS = 0.25;
    aigc_kernel_cost *costs = calloc(p->e->n_kernels + 1, sizeof *costs);
    roofline r;
    if (!costs || p->runs == 0 || !aigc_program_costs(program, entry, dims, costs) ||
        !roofline_measure(n_threads, SECONDS, READ_BYTES, true, &r)) {
        fprintf(stderr, "no profile: interpreted programs have none\n");
        free(costs);
        return;
    }
    fprintf(stderr,
            "one call of %s, the mean of %.0f; %u thread%s; this machine now: %.0f GFLOP/s in f32, "
            "%.0f in bf16, %.0f GOP/s in int8, %.1f GB/s of memory\n",
            p->e->name, p->runs, n_threads, n_threads > 1 ? "s" : "", r.fma_f32 / 1e9,
            (r.amx_bf16 > 0 ? r.amx_bf16 : r.dot_bf16) / 1e9, r.dot_int8 / 1e9, r.read / 1e9);
    print_lines(p, costs, &r);
    free(costs);
}
