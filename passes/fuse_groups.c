#include "passes/fuse_groups.h"

#include <string.h>

static bool is_leaf(void *data, const ir_node *n)
{
    const fuser *f = data;
    return !f->p->inlined[n->id] && f->root_of[n->id] != f->walking;
}

void fuse_walk(fuser *f, const group *k, access *w)
{
    access_init(w, f->a, f->ctx);
    w->is_leaf = is_leaf;
    w->data = f;
    f->walking = k;
    if (k->kind == GROUP_REDUCE) {
        w->full_rank = k->full_rank;
        w->mask = k->mask;
        memcpy(w->full_dims, k->full_dims, sizeof k->full_dims);
        memcpy(w->full_index, k->full_index, sizeof k->full_index);
    }
    for (uint32_t i = 0; i < k->roots.len; i++) {
        access_root(w, k->roots.at[i].node, k->roots.at[i].index);
    }
}

static void add_group(group_list *l, group *k)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->at[i] == k) {
            return;
        }
    }
    if (l->n == FUSE_MOST_GROUPS) {
        l->more = true;
    } else {
        l->at[l->n++] = k;
    }
}

group_list fuse_readers(const fuser *f, const ir_node *n)
{
    group_list l = {0};
    for (uint32_t i = 0; i < f->users[n->id].len; i++) {
        const group_list *of = f->within[f->users[n->id].at[i]];
        for (uint32_t k = 0; of && k < of->n; k++) {
            add_group(&l, of->at[k]);
        }
        l.more |= of && of->more;
    }
    return l;
}

void fuse_set_within(fuser *f, const ir_node *n, const group_list *l)
{
    if (!f->within[n->id]) {
        f->within[n->id] = arena_new(f->a, group_list);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        add_group(f->within[n->id], l->at[i]);
        l->at[i]->n_nodes++;
    }
}

void fuse_explain(const fuser *f, const ir_node *n, const group_list *l, const char *verdict)
{
    if (!f->c->explain) {
        return;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        const ir_dim *bytes = ir_type_bytes(f->ctx, ir_node_type(n));
        fprintf(f->c->explain, "%s: %%%u %s -> %s: %s (%s bytes)\n", ir_graph_name(f->g), n->id,
                ir_op_name(n->op), ir_op_name(l->at[i]->form->main->op), verdict,
                ir_dim_text(f->ctx, bytes));
    }
}

bool fuse_reads_updated(const group *k, const ir_node *n)
{
    for (uint32_t i = 0; i < k->roots.len; i++) {
        const ir_node *r = k->roots.at[i].node;
        const ir_node *dst = r->op == IR_OP_update ? r->in[0] : NULL;
        while (dst && dst->op == IR_OP_reshape) {
            dst = dst->in[0];
        }
        if (dst == n) {
            return true;
        }
        for (uint32_t j = 0; dst && j < n->n_in; j++) {
            const ir_node *x = n->in[j];
            while (x->op == IR_OP_reshape) {
                x = x->in[0];
            }
            if (x == dst) {
                return true;
            }
        }
    }
    return false;
}

/* Groups --------------------------------------------------------------------------------------- */

group_kind fuse_kind_of(const ir_node *n)
{
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_REDUCE:
    case IR_FAMILY_NORM:
        return GROUP_REDUCE;
    case IR_FAMILY_CONTRACT:
    case IR_FAMILY_ATTENTION:
        return GROUP_PRODUCT;
    case IR_FAMILY_SCAN:
        return GROUP_SCAN;
    case IR_FAMILY_CONV:
    case IR_FAMILY_POOL:
    case IR_FAMILY_SORT:
    case IR_FAMILY_SCATTER:
        return GROUP_SOLID;
    default:
        return GROUP_MAP;
    }
}

void fuse_add_root(fuser *f, group *k, const ir_node *n, const ir_dim *const *index)
{
    root r = {.node = n};
    memcpy(r.index, index, IR_MAX_RANK * sizeof *index);
    vec_push(f->a, &k->roots, r);
    f->root_of[n->id] = k;
    group_list l = {.n = 1, .at = {k}};
    fuse_set_within(f, n, &l);
}

/* The full shape of a reduction that is the root of its group. */
static void set_full(fuser *f, group *k, const ir_node *n, const ir_dim **index)
{
    const ir_type *x = ir_node_type(n->in[0]);
    bool keep = x->rank == k->rank;
    uint32_t at = 0;
    k->full_rank = x->rank;
    k->mask = access_reduced_axes(n);
    for (uint32_t i = 0; i < x->rank; i++) {
        bool reduced = k->mask & (1u << i);
        k->full_dims[i] = x->dims[i];
        k->full_index[i] = access_axis(f->ctx, i, x->dims[i]);
        if (keep) {
            index[i] = ir_dim_is_one(ir_node_type(n)->dims[i]) ? ir_dim_const(f->ctx, 0)
                                                               : k->full_index[i];
        } else if (!reduced) {
            index[at++] = k->full_index[i];
        }
    }
}

void fuse_new_group(fuser *f, const ir_node *n)
{
    group *k = arena_new(f->a, group);
    const ir_node *value = n->op == IR_OP_update ? n->in[1] : n;
    const ir_type *t = ir_node_type(value);
    const ir_dim *index[IR_MAX_RANK] = {NULL};
    k->kind = fuse_kind_of(n);
    k->form = form_add(f->p, n);
    vec_push(f->a, &f->groups, k);
    k->rank = t->rank;
    memcpy(k->dims, t->dims, sizeof k->dims);
    access_axes(f->ctx, t, index);
    if (k->kind == GROUP_REDUCE) {
        set_full(f, k, n, index);
    }
    memcpy(k->index, index, sizeof index);
    fuse_add_root(f, k, n, index);
}
