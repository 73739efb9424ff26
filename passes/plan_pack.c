/* Offsets for buffers that do not all live at once.
 *
 * Greedy by size: the largest first, each at the lowest offset that is free of all buffers that
 * live at the same time. Sizes are dims, so "lowest" is weighed at likely sizes, but "free" is
 * proved for all: an offset is 0 or the end of another buffer, and is taken only where the order of
 * the two ends follows from the symbols' bounds. Where no such offset exists, the buffer goes above
 * all that it meets, at the largest of their ends. */
#include "passes/plan.h"

#include <stdlib.h>

static bool likely_value(void *data, const ir_sym *s, int64_t *value)
{
    (void)data;
    int64_t top = s->hi == INT64_MAX ? 1024 : s->hi;
    *value = top > (1 << 20) ? 1 << 20 : top;
    *value = *value < s->lo ? s->lo : *value;
    return true;
}

int64_t plan_likely(const ir_dim *d)
{
    int64_t value;
    return ir_dim_eval(d, likely_value, NULL, &value) ? value : INT64_MAX / 4;
}

static bool meet(const plan_buffer *x, const plan_buffer *y)
{
    for (uint32_t i = 0; i < x->live.len; i++) {
        for (uint32_t j = 0; j < y->live.len; j++) {
            if (x->live.at[i].begin <= y->live.at[j].end &&
                y->live.at[j].begin <= x->live.at[i].end) {
                return true;
            }
        }
    }
    return false;
}

static int by_size(const void *x, const void *y)
{
    const plan_buffer *a = *(plan_buffer *const *)x, *b = *(plan_buffer *const *)y;
    if (a->likely != b->likely) {
        return a->likely > b->likely ? -1 : 1;
    }
    uint32_t i = a->live.len ? a->live.at[0].begin : 0, j = b->live.len ? b->live.at[0].begin : 0;
    return i < j ? -1 : i > j;
}

static bool fits(ir_ctx *c, const plan_buffer *x, const ir_dim *at, plan_buffer *const *others,
                 uint32_t n)
{
    const ir_dim *end = ir_dim_add(c, at, x->bytes);
    for (uint32_t i = 0; i < n; i++) {
        const ir_dim *other_end = ir_dim_add(c, others[i]->at, others[i]->bytes);
        if (ir_dim_le(c, end, others[i]->at) != IR_ALWAYS &&
            ir_dim_le(c, other_end, at) != IR_ALWAYS) {
            return false;
        }
    }
    return true;
}

/* The lowest offset that is proved to be free, or NULL. */
static const ir_dim *place(ir_ctx *c, const plan_buffer *x, plan_buffer *const *others, uint32_t n)
{
    const ir_dim *best = ir_dim_const(c, 0);
    if (fits(c, x, best, others, n)) {
        return best;
    }
    best = NULL;
    int64_t lowest = INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        const ir_dim *at = ir_dim_add(c, others[i]->at, others[i]->bytes);
        int64_t likely = plan_likely(at);
        if (likely < lowest && fits(c, x, at, others, n)) {
            lowest = likely;
            best = at;
        }
    }
    return best;
}

/* The largest of the ends, of which those below others are left out. */
static const ir_dim *highest(ir_ctx *c, arena *a, plan_buffer *const *placed, uint32_t n)
{
    const ir_dim **ends = arena_array(a, const ir_dim *, n);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const ir_dim *end = ir_dim_add(c, placed[i]->at, placed[i]->bytes);
        bool below = false;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < count && !below; k++) {
            below = ir_dim_le(c, end, ends[k]) == IR_ALWAYS;
        }
        for (uint32_t k = 0; k < count && !below; k++) {
            if (ir_dim_le(c, ends[k], end) != IR_ALWAYS) {
                ends[kept++] = ends[k];
            }
        }
        if (!below) {
            count = kept;
            ends[count++] = end;
        }
    }
    const ir_dim *size = ir_dim_const(c, 0);
    for (uint32_t k = 0; k < count; k++) {
        size = ir_dim_max(c, size, ends[k]);
    }
    return size;
}

/* Places what can be placed in one floor, whose size comes back; moves the rest to the front. */
static const ir_dim *pack_floor(ir_ctx *c, arena *a, plan_buffer **buffers, uint32_t *n)
{
    plan_buffer **others = arena_array(a, plan_buffer *, *n);
    plan_buffer **placed = arena_array(a, plan_buffer *, *n);
    uint32_t rest = 0, n_placed = 0;
    for (uint32_t i = 0; i < *n; i++) {
        uint32_t count = 0;
        for (uint32_t j = 0; j < n_placed; j++) {
            if (meet(buffers[i], placed[j])) {
                others[count++] = placed[j];
            }
        }
        buffers[i]->at = place(c, buffers[i], others, count);
        if (buffers[i]->at) {
            placed[n_placed++] = buffers[i];
        } else {
            buffers[rest++] = buffers[i];
        }
    }
    *n = rest;
    return highest(c, a, placed, n_placed);
}

const ir_dim *plan_pack(ir_ctx *c, arena *a, plan_buffer **buffers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        buffers[i]->likely = plan_likely(buffers[i]->bytes);
    }
    qsort(buffers, n, sizeof *buffers, by_size);
    plan_buffer **all = arena_copy(a, buffers, n * sizeof(plan_buffer *));
    const ir_dim **base = arena_array(a, const ir_dim *, n);
    const ir_dim *size = ir_dim_const(c, 0);
    uint32_t total = n;
    while (n) {
        const ir_dim *below = size;
        plan_buffer **before = arena_copy(a, buffers, n * sizeof(plan_buffer *));
        uint32_t count = n;
        size = ir_dim_add(c, below, pack_floor(c, a, buffers, &n));
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; before[i]->at && k < total; k++) {
                base[k] = all[k] == before[i] ? below : base[k];
            }
        }
    }
    for (uint32_t k = 0; k < total; k++) {
        all[k]->at = ir_dim_add(c, base[k], all[k]->at);
    }
    return size;
}
