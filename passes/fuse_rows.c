/* Reductions within the kernels that read them: they run along axes of the kernel's one full shape.
 */
#include "passes/fuse_groups.h"

#include <string.h>

/* Is every result of the full shape, or of the reduced one with or without its axes of 1? */
static bool results_fit(const group *k, uint32_t full_rank, const ir_dim *const *full_dims,
                        uint32_t mask)
{
    bool full = k->rank == full_rank, keep = full;
    uint32_t at = 0;
    bool dropped = true;
    for (uint32_t i = 0; i < full_rank; i++) {
        bool reduced = mask & (1u << i);
        full = full && k->dims[i] == full_dims[i];
        keep = keep && (reduced ? ir_dim_is_one(k->dims[i]) : k->dims[i] == full_dims[i]);
        if (!reduced) {
            dropped = dropped && at < k->rank && k->dims[at] == full_dims[i];
            at++;
        }
    }
    return full || keep || (dropped && at == k->rank);
}

/* May the group's domain be that of the reduction n, read at `index`? Sets the full shape. */
static bool fit_domain(fuser *f, group *k, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *x = ir_node_type(n->in[0]);
    uint32_t mask = access_reduced_axes(n), at = 0;
    bool keep = ir_node_type(n)->rank == x->rank, full = k->rank == x->rank;
    for (uint32_t i = 0; full && i < x->rank; i++) {
        full = k->dims[i] == x->dims[i];
    }
    if (!results_fit(k, x->rank, x->dims, mask)) {
        return false;
    }
    uint32_t covered = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        bool reduced = mask & (1u << i);
        const ir_dim *from = keep ? index[i] : reduced ? NULL : index[at];
        at += !reduced;
        k->full_dims[i] = x->dims[i];
        if (full) {
            k->full_index[i] = k->index[i];
        } else if (reduced) {
            const char *name = intern_printf(ir_ctx_names(f->ctx), "@r%u", i);
            int64_t hi = x->dims[i]->hi;
            k->full_index[i] = ir_dim_sym(f->ctx, ir_sym_get(f->ctx, name, 0,
                                                             hi == INT64_MAX ? hi
                                                             : hi > 0        ? hi - 1
                                                                             : 0));
        } else {
            /* In order: the kept axes are those of the domain. */
            while (covered < k->rank && ir_dim_is_one(k->dims[covered]) &&
                   !ir_dim_is_one(x->dims[i])) {
                covered++;
            }
            if (covered == k->rank) {
                return false;
            }
            k->full_index[i] = k->index[covered++];
        }
        bool free_place = reduced && ir_op_family(n->op) == IR_FAMILY_REDUCE;
        if (!free_place && n->op != IR_OP_logsumexp && from != k->full_index[i]) {
            return false;
        }
        if (n->op == IR_OP_logsumexp && !reduced && from != k->full_index[i]) {
            return false;
        }
    }
    k->full_rank = x->rank;
    k->mask = mask;
    return true;
}

/* A reduction over nearly everything has no axis left for threads: its reader, if large, is better
 * off as a kernel of its own. */
static bool starves(const group *k, const ir_node *n)
{
    double full = fuse_elems(ir_node_type(n->in[0])), domain = 1, kept = 1;
    uint32_t mask = access_reduced_axes(n);
    for (uint32_t i = 0; i < k->rank; i++) {
        domain *= fuse_extent(k->dims[i]);
    }
    for (uint32_t i = 0; i < ir_node_type(n->in[0])->rank; i++) {
        kept *= mask & (1u << i) ? 1 : fuse_extent(ir_node_type(n->in[0])->dims[i]);
    }
    (void)full;
    return kept < 2 && domain > 32768;
}

bool fuse_take_reduction(fuser *f, group *k, const ir_node *n)
{
    if ((k->kind != GROUP_MAP && k->kind != GROUP_REDUCE) || k->n_nodes >= FUSE_MOST_NODES ||
        starves(k, n)) {
        return false;
    }
    access w;
    fuse_walk(f, k, &w);
    const access_visit *first = NULL;
    for (uint32_t i = 0; i < w.visits.len; i++) {
        const access_visit *v = &w.visits.at[i];
        if (v->node != n) {
            continue;
        }
        if (first && !access_same_index(first->index, v->index, ir_node_type(n)->rank)) {
            return false;
        }
        first = first ? first : v;
    }
    group before = *k;
    if (!first || w.overrun || (k->kind == GROUP_MAP && !fit_domain(f, k, n, first->index))) {
        *k = before;
        return false;
    }
    k->kind = GROUP_REDUCE;
    f->p->inlined[n->id] = true;
    fuse_walk(f, k, &w);
    if (w.misaligned || w.overrun) {
        f->p->inlined[n->id] = false;
        *k = before;
        return false;
    }
    return true;
}
