/* fuse_elementwise: every value is either kept in memory, as a result of one kernel, or computed in
 * each kernel that reads it. What is left when the other fusion passes are done becomes kernels
 * here.
 *
 * Before   %e = exp %x                   After   %y = kernel %x {family="reduce"} (
 *          %s = reduce_sum %e                      %e = exp ...; %s = reduce_sum %e ...; div %e,
 * %s) %y = div %e, %s
 *
 * Nodes are met from the last to the first, so all readers of a value are in kernels already. A
 * value is computed in its readers when that costs less than a kernel of its own with a store and
 * the loads (fuse_cost.h); how often it would be computed is found by following indices (access.h),
 * as a transpose is free and a broadcast is not. A reduction joins its reader when it runs along
 * the axes of the reader's one full shape. What must be kept may become a further result of a
 * reader.
 *
 * Keeps: values, types, inputs, outputs. At level 0 every op is a kernel of its own. */
#include "passes/access.h"
#include "passes/fuse_cost.h"
#include "passes/kernel_form.h"

#include <string.h>

enum { MOST_NODES = 96, MOST_ROOTS = 8, MOST_GROUPS = 16 };

typedef enum group_kind {
    GROUP_MAP,
    GROUP_REDUCE,
    GROUP_PRODUCT,
    GROUP_SCAN,
    GROUP_SOLID
} group_kind;

typedef struct root {
    const ir_node *node;
    const ir_dim *index[IR_MAX_RANK]; /* where it is evaluated; of src, for an update */
} root;

typedef struct group {
    group_kind kind;
    form_group *form;
    VEC(root) roots;
    uint32_t rank; /* the domain: axes of the (first) root */
    const ir_dim *dims[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK];
    uint32_t full_rank, mask; /* GROUP_REDUCE */
    const ir_dim *full_dims[IR_MAX_RANK];
    const ir_dim *full_index[IR_MAX_RANK];
    uint32_t n_nodes;
} group;

typedef struct group_list {
    uint32_t n;
    group *at[MOST_GROUPS];
    bool more; /* too many */
} group_list;

typedef struct fuser {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    const ir_graph *g;
    form_plan *p;
    fuse_tree tree;
    VEC(uint32_t) * users; /* [size] of nodes */
    bool *must;            /* [size] needed in memory whatever is fused */
    bool *live;
    group **root_of;     /* [size] */
    group_list **within; /* [size] groups that evaluate the node */
    VEC(group *) groups;
    const group *walking;
} fuser;

/* Asking --------------------------------------------------------------------------------------- */

static bool is_leaf(void *data, const ir_node *n)
{
    const fuser *f = data;
    return !f->p->inlined[n->id] && f->root_of[n->id] != f->walking;
}

static void walk(fuser *f, const group *k, access *w)
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
    if (l->n == MOST_GROUPS) {
        l->more = true;
    } else {
        l->at[l->n++] = k;
    }
}

static group_list readers(const fuser *f, const ir_node *n)
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

static void set_within(fuser *f, const ir_node *n, const group_list *l)
{
    if (!f->within[n->id]) {
        f->within[n->id] = arena_new(f->a, group_list);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        add_group(f->within[n->id], l->at[i]);
        l->at[i]->n_nodes++;
    }
}

static void explain(const fuser *f, const ir_node *n, const group_list *l, const char *verdict)
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

/* Groups --------------------------------------------------------------------------------------- */

static group_kind kind_of(const ir_node *n)
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

static void add_root(fuser *f, group *k, const ir_node *n, const ir_dim *const *index)
{
    root r = {.node = n};
    memcpy(r.index, index, IR_MAX_RANK * sizeof *index);
    vec_push(f->a, &k->roots, r);
    f->root_of[n->id] = k;
    group_list l = {.n = 1, .at = {k}};
    set_within(f, n, &l);
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

static void new_group(fuser *f, const ir_node *n)
{
    group *k = arena_new(f->a, group);
    const ir_node *value = n->op == IR_OP_update ? n->in[1] : n;
    const ir_type *t = ir_node_type(value);
    const ir_dim *index[IR_MAX_RANK] = {NULL};
    k->kind = kind_of(n);
    k->form = form_add(f->p, n);
    vec_push(f->a, &f->groups, k);
    k->rank = t->rank;
    memcpy(k->dims, t->dims, sizeof k->dims);
    access_axes(f->ctx, t, index);
    if (k->kind == GROUP_REDUCE) {
        set_full(f, k, n, index);
    }
    memcpy(k->index, index, sizeof index);
    add_root(f, k, n, index);
}

/* Reductions ----------------------------------------------------------------------------------- */

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

/* Can the group evaluate the reduction as one of its stages? If so its domain is set for it. */
static bool take_reduction(fuser *f, group *k, const ir_node *n)
{
    if ((k->kind != GROUP_MAP && k->kind != GROUP_REDUCE) || k->n_nodes >= MOST_NODES ||
        starves(k, n)) {
        return false;
    }
    access w;
    walk(f, k, &w);
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
    walk(f, k, &w);
    if (w.misaligned || w.overrun) {
        f->p->inlined[n->id] = false;
        *k = before;
        return false;
    }
    return true;
}

/* Pointwise values ----------------------------------------------------------------------------- */

/* How often the value at this index is computed: at every point of the axes down to the innermost
 * that the index depends on; what does not depend on inner axes is computed outside of their loops.
 */
static double evaluations(const group *k, const ir_node *n, const access_visit *v)
{
    const ir_dim *const *axes = k->kind == GROUP_REDUCE ? k->full_index : k->index;
    const ir_dim *const *dims = k->kind == GROUP_REDUCE ? k->full_dims : k->dims;
    uint32_t rank = k->kind == GROUP_REDUCE ? k->full_rank : k->rank;
    uint32_t order[IR_MAX_RANK], count = 0;
    for (int reduced = 0; reduced < 2; reduced++) {
        for (uint32_t i = 0; i < rank; i++) {
            if ((int)((k->mask >> i) & 1) == reduced) {
                order[count++] = i;
            }
        }
    }
    double total = 1, here = 1;
    bool random = n->op == IR_OP_random;
    for (uint32_t i = 0; i < count; i++) {
        const ir_sym *axis = ir_dim_as_sym(axes[order[i]]);
        here *= fuse_extent(dims[order[i]]);
        bool used = random;
        for (uint32_t j = 0; axis && j < ir_node_type(n)->rank; j++) {
            const ir_sym *syms[16];
            uint32_t n_syms = ir_dim_symbols(v->index[j], syms, 16);
            for (uint32_t s = 0; s < n_syms; s++) {
                used |= syms[s] == axis || (syms[s]->name[0] == '@' && syms[s]->name[1] == 'v');
            }
        }
        total = used ? here : total;
    }
    return total;
}

/* May a product read its operand through this move? Loads must stay affine. */
static bool product_reads_through(const ir_node *n)
{
    if (n->op == IR_OP_cast) {
        const ir_node *x = n->in[0];
        while (x->op == IR_OP_transpose || x->op == IR_OP_slice || x->op == IR_OP_reshape) {
            x = x->in[0];
        }
        return x->op == IR_OP_param;
    }
    return n->op == IR_OP_transpose || n->op == IR_OP_slice || n->op == IR_OP_broadcast;
}

typedef struct verdict {
    bool fuse;
    const char *why;
} verdict;

static verdict refuse(const char *why)
{
    return (verdict){false, why};
}

/* Would the kernel read what it is about to update in place? */
static bool reads_updated(fuser *f, const group *k, const ir_node *n)
{
    for (uint32_t i = 0; i < k->roots.len; i++) {
        const ir_node *r = k->roots.at[i].node;
        const ir_node *dst = r->op == IR_OP_update ? r->in[0] : NULL;
        while (dst && dst->op == IR_OP_reshape) {
            dst = dst->in[0];
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
    (void)f;
    return false;
}

/* Cost of computing n in the kernels that read it, and of keeping it. */
static verdict weigh(fuser *f, const ir_node *n, const group_list *l)
{
    double ops = f->tree.ops[n->id], loads = f->tree.loads[n->id];
    double elems = fuse_elems(ir_node_type(n)), inlined = 0, evals = 0;
    double kept = elems * (ops + loads + 1.5) + (double)FUSE_LAUNCH;
    for (uint32_t i = 0; i < l->n; i++) {
        group *k = l->at[i];
        if (k->kind == GROUP_SOLID) {
            return refuse("the reader takes its operands from memory");
        }
        if (k->n_nodes >= MOST_NODES) {
            return refuse("the reader is large enough");
        }
        if (reads_updated(f, k, n)) {
            return refuse("the reader updates what this reads");
        }
        access w;
        walk(f, k, &w);
        if (w.overrun) {
            return refuse("the reader is too entangled");
        }
        bool first = true;
        for (uint32_t v = 0; v < w.visits.len; v++) {
            const access_visit *at = &w.visits.at[v];
            if (at->node != n) {
                continue;
            }
            bool division = false, affine = true;
            for (uint32_t j = 0; j < ir_node_type(n)->rank; j++) {
                division |= fuse_has_division(at->index[j]);
                affine &= access_affine(at->index[j]);
            }
            if (k->kind == GROUP_PRODUCT && (!affine || !product_reads_through(n))) {
                return refuse(affine ? "the reader wants plain operands"
                                     : "its place would not be affine");
            }
            double times =
                k->kind == GROUP_MAP || k->kind == GROUP_REDUCE ? evaluations(k, n, at) : elems;
            /* What is guarded is loaded only where it is needed, but computed everywhere. */
            double loaded = at->guarded && times > elems ? elems : times;
            evals += at->stage == 0 || first ? times : 0;
            inlined += times * ops + loaded * loads * (division ? 4 : 1) * (first ? 1 : 0.25);
            kept += times * (first ? 1 : 0.25);
            first = false;
        }
    }
    if (l->n == 1 && l->at[0]->kind == GROUP_REDUCE) {
        kept *= 1.5; /* rows are in cache while the reader works on them; a kernel apart would fetch
                        them again */
    }
    double most = l->n == 1 && l->at[0]->kind == GROUP_REDUCE ? 3 : 1;
    if (ops >= 2 && (evals - elems * most) * ops > 4096 && evals > elems * (most + 0.01)) {
        return refuse("it would be computed several times");
    }
    return inlined <= kept ? (verdict){true, "fused"} : refuse("keeping it costs less");
}

/* Further results ------------------------------------------------------------------------------ */

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
    if ((k->kind != GROUP_MAP && k->kind != GROUP_REDUCE) || k->roots.len >= MOST_ROOTS ||
        t->rank != k->rank) {
        return false;
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] != k->dims[i]) {
            return false;
        }
    }
    access w;
    walk(f, k, &w);
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

/* Worth it only for those who read it besides: the kernel itself computes it anew wherever it needs
 * it. */
static bool join_as_result(fuser *f, const ir_node *n, const group_list *l)
{
    if (l->more || (l->n == 1 && !f->must[n->id])) {
        return false;
    }
    for (uint32_t i = 0; i < l->n; i++) {
        group *k = l->at[i];
        if (k->roots.len >= MOST_ROOTS || !same_points(f, k, n) || reads_updated(f, k, n) ||
            would_cycle(f, k, n)) {
            continue;
        }
        if (access_is_reduction(n)) {
            if (!take_reduction(f, k, n)) {
                continue;
            }
            f->p->inlined[n->id] = false;
        }
        form_add_root(f->p, k->form, n);
        add_root(f, k, n, k->index);
        return true;
    }
    return false;
}

/* A kernel over the same points that reads one of n's operands and does not depend on n: it may
 * make both, and what they share is computed once. */
static bool join_sibling(fuser *f, const ir_node *n, const group_list *l)
{
    const ir_type *t = ir_node_type(n);
    if (ir_op_family(n->op) != IR_FAMILY_ELEMENTWISE || l->more || f->groups.len > 256) {
        return false;
    }
    for (uint32_t i = 0; i < f->groups.len; i++) {
        group *k = f->groups.at[i];
        const ir_node *r = k->roots.at[0].node;
        bool same = k->kind == GROUP_MAP && k->roots.len < MOST_ROOTS && k->rank == t->rank &&
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
            add_root(f, k, n, k->index);
            return true;
        }
    }
    return false;
}

/* Deciding ------------------------------------------------------------------------------------- */

static void keep_operands(fuser *f, const ir_node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        f->must[n->in[i]->id] = true;
    }
}

static void inline_into(fuser *f, const ir_node *n, const group_list *l)
{
    f->p->inlined[n->id] = true;
    set_within(f, n, l);
}

static void decide_value(fuser *f, const ir_node *n)
{
    group_list l = readers(f, n);
    bool may = !f->must[n->id] && l.n > 0 && !l.more && f->c->level > 0;
    if (n->op == IR_OP_update || kind_of(n) == GROUP_PRODUCT || kind_of(n) == GROUP_SCAN ||
        kind_of(n) == GROUP_SOLID || f->c->level == 0) {
        new_group(f, n);
        return;
    }
    verdict v = refuse(f->must[n->id] ? "it is needed in memory" : "too many readers");
    if (may && access_is_reduction(n)) {
        v = l.n == 1 && take_reduction(f, l.at[0], n) ? (verdict){true, "fused"}
                                                      : refuse("its axes do not fit the reader's");
    } else if (may) {
        v = weigh(f, n, &l);
    }
    if (v.fuse) {
        inline_into(f, n, &l);
    } else if (f->c->level > 0 && l.n > 0 && join_as_result(f, n, &l)) {
        v.why = "kept, as a further result of its reader";
    } else if (f->c->level > 0 && join_sibling(f, n, &l)) {
        v.why = "kept, as a further result of a kernel like it";
    } else {
        new_group(f, n);
    }
    explain(f, n, &l, v.why);
}

static void decide(fuser *f, const ir_node *n)
{
    group_list l;
    switch (n->op) {
    case IR_OP_input:
    case IR_OP_param:
    case IR_OP_state:
        return;
    case IR_OP_get:
        f->must[n->in[0]->id] = true;
        return;
    case IR_OP_loop:
    case IR_OP_extern:
    case IR_OP_kernel:
        keep_operands(f, n);
        return;
    case IR_OP_const:
        f->p->inlined[n->id] = form_is_immediate(n);
        if (form_is_immediate(n) && f->must[n->id]) {
            form_add(f->p, n);
        }
        return;
    case IR_OP_reshape:
        l = readers(f, n);
        if (f->must[n->id] || l.more || f->c->level == 0) {
            f->must[n->in[0]->id] = true;
        } else if (l.n > 0) {
            inline_into(f, n, &l);
        }
        return;
    default:
        if (n->op == IR_OP_update) {
            f->must[n->in[0]->id] = true;
        }
        decide_value(f, n);
    }
}

static void find_users(fuser *f)
{
    uint32_t size = ir_graph_size(f->g);
    f->users = arena_alloc_array(f->a, size, sizeof *f->users);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(f->g, i);
        for (uint32_t k = 0; k < n->n_in; k++) {
            vec_push(f->a, &f->users[n->in[k]->id], i);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(f->g); i++) {
        uint32_t id = ir_graph_output(f->g, i)->node->id;
        f->must[id] = f->live[id] = true;
    }
}

static void find_live(fuser *f)
{
    for (uint32_t i = ir_graph_size(f->g); i-- > 0;) {
        const ir_node *n = ir_graph_node(f->g, i);
        f->live[i] |= n->op == IR_OP_loop || n->op == IR_OP_extern || n->op == IR_OP_kernel;
        for (uint32_t k = 0; f->live[i] && k < n->n_in; k++) {
            f->live[n->in[k]->id] = true;
        }
    }
}

static ir_graph *fuse(pass_ctx *c, const ir_graph *g, uint32_t *number)
{
    uint32_t size = ir_graph_size(g);
    fuser f = {.c = c,
               .ctx = ir_graph_ctx(g),
               .a = c->scratch,
               .g = g,
               .p = form_create(g, c->scratch, number),
               .must = arena_array(c->scratch, bool, size),
               .live = arena_array(c->scratch, bool, size),
               .root_of = arena_array(c->scratch, group *, size),
               .within = arena_array(c->scratch, group_list *, size)};
    find_users(&f);
    find_live(&f);
    f.tree = fuse_tree_costs(g, ir_graph_use_counts(g, c->scratch), c->scratch);
    for (uint32_t i = size; i-- > 0;) {
        if (f.live[i]) {
            decide(&f, ir_graph_node(g, i));
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_loop) {
            f.p->bodies[i] = fuse(c, n->bodies[0], number);
        }
    }
    /* A map that came to hold a reduction is a reduction. */
    for (uint32_t i = 0; i < size; i++) {
        const group *k = f.root_of[i];
        if (k && k->kind == GROUP_REDUCE) {
            k->form->family = "reduce";
        }
    }
    return form_emit(f.p, IR_STAGE_KERNEL);
}

ir_graph *pass_fuse_elementwise(pass_ctx *c, const ir_graph *g)
{
    uint32_t number = 0;
    return ir_graph_stage(g) == IR_STAGE_TENSOR ? fuse(c, g, &number) : ir_graph_clone(g);
}
