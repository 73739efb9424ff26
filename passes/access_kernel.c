/* The domain of a formed kernel, where its results are written, and what it reads. */
#include "passes/access.h"

#include <string.h>

/* Do places after the reshape follow from those before it without a division? */
static bool unfolds(ir_ctx *c, const ir_node *reshape)
{
    const ir_type *x = ir_node_type(reshape->in[0]), *y = ir_node_type(reshape);
    const ir_dim *index[IR_MAX_RANK], *at[IR_MAX_RANK];
    access_axes(c, x, index);
    access_reshape(c, x, y, index, at);
    bool ok = true;
    for (uint32_t i = 0; i < y->rank && ok; i++) {
        ok = access_affine(at[i]);
    }
    return ok;
}

const ir_node *access_stored(ir_ctx *c, const ir_node *out, bool rows)
{
    if (out->op != IR_OP_update) {
        return out;
    }
    const ir_node *n = out->in[1];
    while (!rows && ((n->op == IR_OP_reshape && unfolds(c, n)) ||
                     (ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE && n->n_in == 1))) {
        n = n->in[0];
    }
    return n;
}

static const ir_node *stored(ir_ctx *c, const ir_node *kernel, uint32_t r)
{
    bool rows = strcmp(ir_node_str(kernel, IR_ATTR_family), "reduce") == 0;
    return access_stored(c, ir_graph_output(kernel->bodies[0], r)->node, rows);
}

/* The index in n, made of x as access_stored says, of the element at `at` in x. */
static void reshaped_place(ir_ctx *c, const ir_node *n, const ir_node *x, const ir_dim *const *at,
                           const ir_dim **out)
{
    if (n == x) {
        memcpy(out, at, ir_node_type(n)->rank * sizeof *out);
        return;
    }
    const ir_dim *inner[IR_MAX_RANK];
    bool moved = n->op == IR_OP_reshape;
    reshaped_place(c, n->in[0], x, at, moved ? inner : out);
    if (moved) {
        access_reshape(c, ir_node_type(n->in[0]), ir_node_type(n), inner, out);
    }
}

static const ir_node *find_main(const ir_node *kernel)
{
    const char *family = ir_node_str(kernel, IR_ATTR_family);
    const ir_graph *body = kernel->bodies[0];
    bool map_family = strcmp(family, "map") == 0, reduce = strcmp(family, "reduce") == 0;
    bool contract = strcmp(family, "contract") == 0; /* norms of its rows may come before it */
    for (uint32_t i = 0; i < ir_graph_size(body) && !map_family; i++) {
        const ir_node *n = ir_graph_node(body, i);
        ir_family f = ir_op_family(n->op);
        bool plain = f == IR_FAMILY_ELEMENTWISE || f == IR_FAMILY_LEAF || f == IR_FAMILY_MOVE ||
                     f == IR_FAMILY_STRUCTURE;
        if (!plain && (!reduce || access_is_reduction(n)) &&
            (!contract || n->op == IR_OP_contract)) {
            return n;
        }
    }
    return NULL;
}

void access_kernel_domain(ir_ctx *c, const ir_node *kernel, access_domain *d)
{
    *d = (access_domain){.main = find_main(kernel)};
    const ir_type *t = ir_node_type(stored(c, kernel, 0));
    if (d->main && access_is_reduction(d->main)) {
        t = ir_node_type(d->main->in[0]);
        d->mask = access_reduced_axes(d->main);
    }
    d->rank = t->rank;
    for (uint32_t i = 0; i < t->rank; i++) {
        d->dims[i] = t->dims[i];
        d->index[i] = access_axis(c, i, t->dims[i]);
    }
}

void access_result_index(ir_ctx *c, const ir_node *kernel, const access_domain *d, uint32_t r,
                         const ir_dim **index)
{
    const ir_node *out = ir_graph_output(kernel->bodies[0], r)->node, *x = stored(c, kernel, r);
    const ir_type *t = ir_node_type(x);
    bool full = t->rank == d->rank;
    for (uint32_t i = 0; full && i < t->rank; i++) {
        full = t->dims[i] == d->dims[i];
    }
    uint32_t at = 0;
    bool keep = t->rank == d->rank;
    for (uint32_t i = 0; i < d->rank; i++) {
        bool reduced = !full && (d->mask & (1u << i));
        if (keep) {
            index[i] = reduced ? ir_dim_const(c, 0) : d->index[i];
        } else if (!reduced && at < t->rank) {
            index[at++] = d->index[i];
        }
    }
    if (out->op == IR_OP_update && out->in[1] != x) {
        const ir_dim *of_x[IR_MAX_RANK];
        memcpy(of_x, index, t->rank * sizeof *index);
        reshaped_place(c, out->in[1], x, of_x, index);
    }
}

bool access_groups(ir_ctx *c, const ir_node *kernel, const access_domain *d, int *axis,
                   uint32_t *outer)
{
    int64_t group = ir_node_int(kernel, IR_ATTR_group, 0), coef;
    const ir_dim *rest;
    *axis = -1;
    *outer = 0;
    if (group == 0) {
        return false;
    }
    uint32_t last = ir_node_type(d->main)->rank - 1;
    for (uint32_t i = 0; i < d->rank; i++) {
        const ir_sym *s = ir_dim_as_sym(d->index[i]);
        for (uint32_t k = 0; s && k < last; k++) {
            *outer |= d->main_index[k] == d->index[i] ? 1u << i : 0;
        }
        if (s && ir_dim_split(c, d->main_index[last], s, &coef, &rest) && coef &&
            coef % group == 0) {
            *axis = (int)i;
            *outer |= 1u << i;
        }
    }
    return true;
}

void access_kernel(access *w, const ir_node *kernel, access_domain *d)
{
    access_kernel_domain(w->c, kernel, d);
    if (d->mask) {
        w->full_rank = d->rank;
        w->mask = d->mask;
        memcpy(w->full_dims, d->dims, sizeof d->dims);
        memcpy(w->full_index, d->index, sizeof d->index);
    }
    for (uint32_t r = 0; r < ir_graph_n_outputs(kernel->bodies[0]); r++) {
        const ir_dim *index[IR_MAX_RANK] = {NULL};
        access_result_index(w->c, kernel, d, r, index);
        access_root(w, ir_graph_output(kernel->bodies[0], r)->node, index);
    }
    for (uint32_t i = w->visits.len; d->main && i-- > 0;) {
        if (w->visits.at[i].node == d->main) {
            memcpy(d->main_index, w->visits.at[i].index, sizeof d->main_index);
        }
    }
    /* A norm of a product's rows runs along axes of its own, whatever the domain. */
    w->misaligned &= !d->main || d->main->op != IR_OP_contract;
}
