/* Values that must be kept in memory as further results of a kernel there is already, unless it
 * would then wait for itself. */
#include "passes/fuse_groups.h"

#include <string.h>

typedef struct search {
    fuser *f;
    bool *seen;
    const ir_node *value; /* would become a result of ... */
    const group *k;       /* ... this kernel */
} search;

static bool needs_it(search *s, const ir_node *n);

static bool operand_needs_it(search *s, const ir_node *n)
{
    for (uint32_t j = 0; j < n->n_in; j++) {
        if (needs_it(s, n->in[j])) {
            return true;
        }
    }
    return false;
}

/* Does making n, from memory, need what the kernel makes? */
static bool needs_it(search *s, const ir_node *n)
{
    const group *q = s->f->root_of[n->id];
    if (n == s->value || (q && q == s->k)) {
        return true;
    }
    if (s->seen[n->id]) {
        return false;
    }
    s->seen[n->id] = true;
    for (uint32_t i = 0; q && i < q->roots.len; i++) {
        const ir_node *r = q->roots.at[i].node;
        bool met = s->seen[r->id] && r != n;
        s->seen[r->id] = true;
        if (!met && operand_needs_it(s, r)) {
            return true;
        }
    }
    return !q && operand_needs_it(s, n);
}

/* Does what the kernel reads from memory need what it makes? `inside` marks what has been looked
 * into. */
static bool reads_need_it(search *s, const ir_node *n, bool *inside)
{
    for (uint32_t j = 0; j < n->n_in; j++) {
        const ir_node *x = n->in[j];
        bool within = x == s->value || s->f->root_of[x->id] == s->k || s->f->p->inlined[x->id];
        if (inside[x->id]) {
            continue;
        }
        inside[x->id] = true;
        if (within ? x != s->value && reads_need_it(s, x, inside) : needs_it(s, x)) {
            return true;
        }
    }
    return false;
}

/* Would the kernel k, also making n, wait for something that waits for n or for k? */
static bool would_cycle(fuser *f, group *k, const ir_node *n)
{
    uint32_t size = ir_graph_size(f->g);
    search s = {f, arena_array(f->a, bool, size), n, k};
    bool *inside = arena_array(f->a, bool, size);
    for (uint32_t i = 0; i < k->roots.len; i++) {
        if (reads_need_it(&s, k->roots.at[i].node, inside)) {
            return true;
        }
    }
    return operand_needs_it(&s, n);
}

/* Is the value read in the kernel at exactly the points of its domain? */
static bool same_points(fuser *f, const group *k, const ir_node *n)
{
    const ir_type *t = ir_node_type(n);
    if ((k->kind != GROUP_MAP && k->kind != GROUP_REDUCE) || k->roots.len >= FUSE_MOST_ROOTS ||
        t->rank != k->rank) {
        return false;
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] != k->dims[i]) {
            return false;
        }
    }
    access w;
    fuse_walk(f, k, &w);
    bool found = false;
    for (uint32_t i = 0; i < w.visits.len; i++) {
        const access_visit *v = &w.visits.at[i];
        if (v->node == n) {
            found = true;
            if (v->guarded || !access_same_index(v->index, k->index, t->rank)) {
                return false;
            }
        }
    }
    return found && !w.overrun;
}

bool fuse_join_as_result(fuser *f, const ir_node *n, const group_list *l)
{
    if (l->more || (l->n == 1 && !f->must[n->id])) {
        return false;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        group *k = l->at[i];
        if (k->roots.len >= FUSE_MOST_ROOTS || !same_points(f, k, n) || fuse_reads_updated(k, n) ||
            would_cycle(f, k, n)) {
            continue;
        }
        if (access_is_reduction(n)) {
            if (!fuse_take_reduction(f, k, n)) {
                continue;
            }
            f->p->inlined[n->id] = false;
        }
        form_add_root(f->p, k->form, n);
        fuse_add_root(f, k, n, k->index);
        return true;
    }
    return false;
}

bool fuse_join_sibling(fuser *f, const ir_node *n, const group_list *l)
{
    const ir_type *t = ir_node_type(n);
    if (ir_op_family(n->op) != IR_FAMILY_ELEMENTWISE || l->more || f->groups.len > 256) {
        return false;
    }
    for (uint32_t i = 0; i < f->groups.len; i++) {
        group *k = f->groups.at[i];
        const ir_node *r = k->roots.at[0].node;
        bool same = k->kind == GROUP_MAP && k->roots.len < FUSE_MOST_ROOTS && k->rank == t->rank &&
                    r->op != IR_OP_update &&
                    memcmp(k->dims, t->dims, t->rank * sizeof *t->dims) == 0;
        bool shared = false;
        for (uint32_t x = 0; same && x < n->n_in; x++) {
            for (uint32_t y = 0; y < r->n_in; y++) {
                shared |= n->in[x] == r->in[y] && !form_is_immediate(n->in[x]) &&
                          ir_type_same_shape(ir_node_type(n->in[x]), t);
            }
        }
        if (shared && !would_cycle(f, k, n)) {
            form_add_root(f->p, k->form, n);
            fuse_add_root(f, k, n, k->index);
            return true;
        }
    }
    return false;
}
