#include "passes/access.h"

#include <string.h>

enum { MOST_VISITS = 4096 };

void access_init(access *w, arena *a, ir_ctx *c)
{
    *w = (access){
        .a = a, .c = c, .limit = MOST_VISITS, .memo = map_create(a), .stage_of = map_create(a)};
}

static const ir_dim *bounded_sym(ir_ctx *c, const char *name, const ir_dim *extent)
{
    int64_t last = extent->hi == INT64_MAX ? INT64_MAX : extent->hi - 1;
    return ir_dim_sym(c, ir_sym_get(c, name, 0, last < 0 ? 0 : last));
}

const ir_dim *access_axis(ir_ctx *c, uint32_t i, const ir_dim *extent)
{
    return bounded_sym(c, intern_printf(ir_ctx_names(c), "@%u", i), extent);
}

void access_axes(ir_ctx *c, const ir_type *t, const ir_dim **index)
{
    for (uint32_t i = 0; i < t->rank; i++) {
        index[i] = access_axis(c, i, t->dims[i]);
    }
}

static const ir_dim *fresh(access *w, const ir_dim *extent)
{
    return bounded_sym(w->c, intern_printf(ir_ctx_names(w->c), "@f%u", w->n_fresh++), extent);
}

/* A place that depends on data: of the same name prefix, so that access_affine can tell. */
static const ir_dim *opaque(access *w, const ir_dim *extent)
{
    return bounded_sym(w->c, intern_printf(ir_ctx_names(w->c), "@v%u", w->n_fresh++), extent);
}

bool access_is_own(void *data, const ir_sym *s)
{
    const ir_sym **met = data;
    if (met) {
        *met = s;
    }
    return s->name[0] == '@';
}

bool access_is_opaque(void *data, const ir_sym *s)
{
    return access_is_own(data, s) && s->name[1] == 'v';
}

static bool affine_atom(const ir_atom *t)
{
    return t->kind == IR_ATOM_SYM && !(t->sym->name[0] == '@' && t->sym->name[1] == 'v');
}

/* Atoms of sizes only (a symbol divided by a constant) do no harm: they are constant in a kernel.
 */
static bool of_sizes(const ir_dim *d)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            bool fits =
                t->kind == IR_ATOM_SYM ? t->sym->name[0] != '@' : of_sizes(t->a) && of_sizes(t->b);
            if (!fits) {
                return false;
            }
        }
    }
    return true;
}

bool access_affine(const ir_dim *d)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            if (!affine_atom(t) && (t->kind == IR_ATOM_SYM || !of_sizes(t->a) || !of_sizes(t->b))) {
                return false;
            }
        }
    }
    return true;
}

bool access_same_index(const ir_dim *const *x, const ir_dim *const *y, uint32_t rank)
{
    return rank == 0 || memcmp(x, y, rank * sizeof *x) == 0;
}

/* Reshapes ------------------------------------------------------------------------------------- */

/* The index within the group from[f0..f1) for the index within to[t0..t1); products are equal. */
static void split_group(ir_ctx *c, const ir_type *to, uint32_t t0, uint32_t t1, const ir_type *from,
                        uint32_t f0, uint32_t f1, const ir_dim *const *at, const ir_dim **out)
{
    const ir_dim *linear = ir_dim_const(c, 0);
    for (uint32_t i = t0; i < t1; i++) {
        linear = ir_dim_add(c, ir_dim_mul(c, linear, to->dims[i]), at[i]);
    }
    uint32_t first = f0;
    while (first + 1 < f1 && ir_dim_is_one(from->dims[first])) {
        first++;
    }
    for (uint32_t j = f1; j-- > f0;) {
        if (ir_dim_is_one(from->dims[j])) {
            out[j] = ir_dim_const(c, 0);
        } else if (j <= first) {
            out[j] = linear;
        } else {
            out[j] = ir_dim_mod(c, linear, from->dims[j]);
            linear = ir_dim_floordiv(c, linear, from->dims[j]);
        }
    }
}

void access_reshape(ir_ctx *c, const ir_type *to, const ir_type *from, const ir_dim *const *at,
                    const ir_dim **out)
{
    uint32_t i = 0, j = 0;
    while (i < to->rank || j < from->rank) {
        uint32_t i0 = i, j0 = j;
        const ir_dim *p = ir_dim_const(c, 1), *q = p;
        /* The shortest runs of axes with one product. */
        bool met = false;
        while (!met) {
            bool more_p = i < to->rank, more_q = j < from->rank;
            if (i > i0 && j > j0 && p == q) {
                met = true;
            } else if (!more_p && !more_q) {
                met = true;
            } else if (more_p &&
                       (!more_q || i == i0 || (j > j0 && p != q && ir_dim_div_exact(c, q, p)))) {
                p = ir_dim_mul(c, p, to->dims[i++]);
            } else if (more_q &&
                       (!more_p || j == j0 || (i > i0 && p != q && ir_dim_div_exact(c, p, q)))) {
                q = ir_dim_mul(c, q, from->dims[j++]);
            } else {
                i = to->rank;
                j = from->rank;
                met = true;
            }
        }
        split_group(c, to, i0, i, from, j0, j, at, out);
    }
}

/* Reductions ----------------------------------------------------------------------------------- */

bool access_is_reduction(const ir_node *n)
{
    ir_family f = ir_op_family(n->op);
    return f == IR_FAMILY_REDUCE || f == IR_FAMILY_NORM;
}

uint32_t access_reduced_axes(const ir_node *n)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    uint32_t mask = 0;
    if (axes) {
        for (uint32_t i = 0; i < axes->n; i++) {
            mask |= 1u << (uint32_t)axes->ints[i];
        }
        return mask;
    }
    const ir_attr *axis = ir_node_attr(n, IR_ATTR_axis);
    return axis ? 1u << (uint32_t)axis->i : 0;
}

/* Values of the walk */

static void visit(access *w, const ir_node *n, const ir_dim *const *index);

static void visit_in_stage(access *w, const ir_node *n, const ir_node *of, uint32_t part,
                           const ir_dim *const *index)
{
    uint64_t key = hash_combine(map_key(of), part);
    uintptr_t number = (uintptr_t)map_get(w->stage_of, key);
    if (!number) {
        number = ++w->n_stages;
        map_set(w->stage_of, key, (void *)number);
    }
    uint32_t before = w->stage;
    w->stage = (uint32_t)number;
    visit(w, n, index);
    w->stage = before;
}

/* Does the reduction of x run along the reduced axes of the full shape, at its kept axes? */
static bool aligned(const access *w, const ir_type *x, uint32_t mask,
                    const ir_dim *const *full_index)
{
    if (w->mask != mask || w->full_rank != x->rank) {
        return false;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        if (w->full_dims[i] != x->dims[i] ||
            (!(mask & (1u << i)) && w->full_index[i] != full_index[i])) {
            return false;
        }
    }
    return true;
}

static void visit_reduce(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *x = ir_node_type(n->in[0]), *y = ir_node_type(n);
    uint32_t mask = access_reduced_axes(n), at = 0;
    bool keep = y->rank == x->rank;
    const ir_dim *inner[IR_MAX_RANK] = {NULL};
    for (uint32_t i = 0; i < x->rank; i++) {
        bool reduced = mask & (1u << i);
        if (!reduced) {
            inner[i] = index[keep ? i : at];
        }
        at += !reduced;
    }
    bool fits = aligned(w, x, mask, inner);
    w->misaligned |= !fits;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (mask & (1u << i)) {
            inner[i] = fits ? w->full_index[i] : fresh(w, x->dims[i]);
        }
    }
    visit_in_stage(w, n->in[0], n, 0, inner);
}

/* How often the rows of x are gone over before the result is made. */
static uint32_t norm_stages(ir_op op)
{
    return op == IR_OP_rms_norm ? 1 : 2;
}

static void visit_norm(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *x = ir_node_type(n->in[0]);
    uint32_t mask = access_reduced_axes(n);
    const ir_dim *inner[IR_MAX_RANK];
    bool fits = aligned(w, x, mask, index);
    for (uint32_t i = 0; i < x->rank; i++) {
        bool reduced = mask & (1u << i);
        inner[i] = !reduced ? index[i] : fits ? w->full_index[i] : fresh(w, x->dims[i]);
        fits &= !reduced || index[i] == inner[i];
    }
    w->misaligned |= !fits;
    for (uint32_t s = 0; s < norm_stages(n->op); s++) {
        visit_in_stage(w, n->in[0], n, s, inner);
    }
    visit(w, n->in[0], index);
    for (uint32_t k = 1; k < n->n_in; k++) { /* weight, bias: the trailing axes */
        uint32_t rank = ir_node_type(n->in[k])->rank;
        visit(w, n->in[k], index + (x->rank - rank));
    }
}

/* Moves ---------------------------------------------------------------------------------------- */

/* Right-aligned; a size of 1 is read at 0. */
static void broadcast_index(access *w, const ir_type *from, uint32_t rank,
                            const ir_dim *const *index, const ir_dim **out)
{
    for (uint32_t i = 0; i < from->rank; i++) {
        out[i] =
            ir_dim_is_one(from->dims[i]) ? ir_dim_const(w->c, 0) : index[rank - from->rank + i];
    }
}

static void visit_guarded(access *w, const ir_node *n, const ir_dim *const *index)
{
    bool before = w->guarded;
    w->guarded = true;
    visit(w, n, index);
    w->guarded = before;
}

static void visit_concat(access *w, const ir_node *n, const ir_dim *const *index)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0), rank = ir_node_type(n)->rank;
    const ir_dim *at[IR_MAX_RANK];
    const ir_dim *begin = ir_dim_const(w->c, 0);
    memcpy(at, index, rank * sizeof *at);
    for (uint32_t k = 0; k < n->n_in; k++) {
        const ir_dim *size = ir_node_type(n->in[k])->dims[axis];
        at[axis] = w->parts_bounded ? fresh(w, size) : ir_dim_sub(w->c, index[axis], begin);
        visit_guarded(w, n->in[k], at);
        begin = ir_dim_add(w->c, begin, size);
    }
}

static void visit_take(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *x = ir_node_type(n->in[0]), *ids = ir_node_type(n->in[1]);
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    const ir_dim *at[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        at[i] = i < axis ? index[i] : i > axis ? index[i + ids->rank - 1] : NULL;
    }
    at[axis] = opaque(w, x->dims[axis]);
    visit(w, n->in[1], index + axis);
    visit(w, n->in[0], at);
}

static void visit_move(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *x = ir_node_type(n->in[0]), *y = ir_node_type(n);
    const ir_dim *at[IR_MAX_RANK];
    const ir_attr *list;
    switch (n->op) {
    case IR_OP_reshape:
        access_reshape(w->c, y, x, index, at);
        break;
    case IR_OP_transpose:
        list = ir_node_attr(n, IR_ATTR_perm);
        for (uint32_t i = 0; i < x->rank; i++) {
            at[list->ints[i]] = index[i];
        }
        break;
    case IR_OP_broadcast:
        broadcast_index(w, x, y->rank, index, at);
        break;
    case IR_OP_slice:
        list = ir_node_attr(n, IR_ATTR_steps);
        for (uint32_t i = 0; i < x->rank; i++) {
            at[i] = ir_dim_add(w->c, ir_dim_scale(w->c, index[i], list->ints[i]),
                               ir_node_attr(n, IR_ATTR_offsets)->dims[i]);
        }
        break;
    case IR_OP_pad:
        for (uint32_t i = 0; i < x->rank; i++) {
            at[i] = ir_dim_sub(w->c, index[i], ir_node_attr(n, IR_ATTR_lo)->dims[i]);
        }
        visit_guarded(w, n->in[0], at);
        return;
    case IR_OP_reverse:
        memcpy(at, index, x->rank * sizeof *at);
        list = ir_node_attr(n, IR_ATTR_axes);
        for (uint32_t i = 0; i < list->n; i++) {
            uint32_t k = (uint32_t)list->ints[i];
            at[k] = ir_dim_sub(w->c, ir_dim_offset(w->c, x->dims[k], -1), index[k]);
        }
        break;
    case IR_OP_update:
        for (uint32_t i = 0; i < x->rank; i++) {
            at[i] = ir_dim_sub(w->c, index[i], ir_node_attr(n, IR_ATTR_offsets)->dims[i]);
        }
        visit_guarded(w, n->in[1], at);
        visit_guarded(w, n->in[0], index);
        return;
    case IR_OP_concat:
        visit_concat(w, n, index);
        return;
    case IR_OP_take:
        visit_take(w, n, index);
        return;
    case IR_OP_gather:
        visit(w, n->in[1], index);
        memcpy(at, index, x->rank * sizeof *at);
        at[ir_node_int(n, IR_ATTR_axis, 0)] = opaque(w, x->dims[ir_node_int(n, IR_ATTR_axis, 0)]);
        break;
    default:
        for (uint32_t i = 0; i < x->rank; i++) {
            at[i] = opaque(w, x->dims[i]);
        }
    }
    visit(w, n->in[0], at);
}

/* Products and the rest ------------------------------------------------------------------------ */

static void visit_contract(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const ir_dim *of[256] = {NULL};
    for (uint32_t i = 0; labels->strs[2][i]; i++) {
        of[(unsigned char)labels->strs[2][i]] = index[i];
    }
    for (uint32_t k = 0; k < 2; k++) {
        const ir_type *t = ir_node_type(n->in[k]);
        const ir_dim *at[IR_MAX_RANK];
        for (uint32_t i = 0; i < t->rank; i++) {
            unsigned char letter = (unsigned char)labels->strs[k][i];
            if (ir_dim_is_one(t->dims[i])) {
                at[i] = ir_dim_const(w->c, 0);
                continue;
            }
            if (!of[letter]) {
                of[letter] = fresh(w, t->dims[i]);
            }
            at[i] = of[letter];
        }
        visit_in_stage(w, n->in[k], n, 0, at);
    }
}

static void visit_attention(access *w, const ir_node *n, const ir_dim *const *index)
{
    uint32_t rank = ir_node_type(n)->rank;
    const ir_type *q = ir_node_type(n->in[0]), *k = ir_node_type(n->in[1]);
    const ir_dim *d = fresh(w, q->dims[q->rank - 1]), *j = fresh(w, k->dims[k->rank - 2]);
    for (uint32_t o = 0; o < n->n_in; o++) {
        const ir_type *t = ir_node_type(n->in[o]);
        const ir_dim *at[IR_MAX_RANK];
        for (uint32_t i = 0; i < t->rank; i++) {
            bool batch = i + 2 < t->rank;
            if (o >= 3) {
                at[i] = opaque(w, t->dims[i]);
            } else if (ir_dim_is_one(t->dims[i])) {
                at[i] = ir_dim_const(w->c, 0);
            } else if (batch) {
                at[i] = index[rank - t->rank + i];
            } else if (i + 2 == t->rank) {
                at[i] = o == 0 ? index[rank - 2] : j;
            } else {
                at[i] = o == 2 ? index[rank - 1] : d;
            }
        }
        visit_in_stage(w, n->in[o], n, 0, at);
    }
}

/* conv, pool, scan, sort, scatter: batch-like axes stay, the others are read all over. */
static void visit_window(access *w, const ir_node *n, const ir_dim *const *index)
{
    ir_family family = ir_op_family(n->op);
    const ir_type *y = ir_node_type(n);
    for (uint32_t k = 0; k < n->n_in; k++) {
        const ir_type *t = ir_node_type(n->in[k]);
        const ir_dim *at[IR_MAX_RANK];
        for (uint32_t i = 0; i < t->rank; i++) {
            bool same = false;
            if (family == IR_FAMILY_SCAN || family == IR_FAMILY_SORT) {
                same = (int64_t)i != ir_node_int(n, IR_ATTR_axis, -1);
            } else if (family == IR_FAMILY_CONV) {
                same = k == 0 && i == 0;
            } else if (family == IR_FAMILY_POOL) {
                same = i < 2;
            }
            at[i] = same && i < y->rank ? index[i] : fresh(w, t->dims[i]);
        }
        visit_in_stage(w, n->in[k], n, 0, at);
    }
}

static void visit_operands(access *w, const ir_node *n, const ir_dim *const *index)
{
    const ir_type *y = ir_node_type(n);
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_ELEMENTWISE:
        for (uint32_t k = 0; k < n->n_in; k++) {
            const ir_dim *at[IR_MAX_RANK];
            broadcast_index(w, ir_node_type(n->in[k]), y->rank, index, at);
            visit(w, n->in[k], at);
        }
        return;
    case IR_FAMILY_MOVE:
        visit_move(w, n, index);
        return;
    case IR_FAMILY_REDUCE:
        visit_reduce(w, n, index);
        return;
    case IR_FAMILY_NORM:
        if (n->op == IR_OP_logsumexp) {
            visit_reduce(w, n, index);
        } else {
            visit_norm(w, n, index);
        }
        return;
    case IR_FAMILY_CONTRACT:
        visit_contract(w, n, index);
        return;
    case IR_FAMILY_ATTENTION:
        visit_attention(w, n, index);
        return;
    case IR_FAMILY_CONV:
    case IR_FAMILY_POOL:
    case IR_FAMILY_SCAN:
    case IR_FAMILY_SORT:
    case IR_FAMILY_SCATTER:
        visit_window(w, n, index);
        return;
    case IR_FAMILY_STRUCTURE:
        if (n->op == IR_OP_get) {
            visit(w, n->in[0], index);
        }
        return;
    case IR_FAMILY_LEAF:
        return;
    }
}

static bool leaf(const access *w, const ir_node *n)
{
    switch (n->op) {
    case IR_OP_input:
    case IR_OP_param:
    case IR_OP_state:
    case IR_OP_loop:
    case IR_OP_kernel:
    case IR_OP_extern:
        return true;
    default:
        return w->is_leaf && w->is_leaf(w->data, n);
    }
}

typedef struct seen {
    uint32_t at;
    struct seen *next;
} seen;

static void visit(access *w, const ir_node *n, const ir_dim *const *index)
{
    uint32_t rank = ir_node_type(n)->rank;
    uint64_t h = hash_combine(hash_combine(map_key(n), w->stage), w->guarded);
    for (uint32_t i = 0; i < rank; i++) {
        h = hash_combine(h, map_key(index[i]));
    }
    for (const seen *s = map_get(w->memo, h); s; s = s->next) {
        const access_visit *v = &w->visits.at[s->at];
        if (v->node == n && v->stage == w->stage && v->guarded == w->guarded &&
            access_same_index(v->index, index, rank)) {
            return;
        }
    }
    if (w->visits.len >= w->limit) {
        w->overrun = true;
        return;
    }
    seen *s = arena_new(w->a, seen);
    *s = (seen){w->visits.len, map_get(w->memo, h)};
    map_set(w->memo, h, s);
    access_visit v = {.node = n, .stage = w->stage, .leaf = leaf(w, n), .guarded = w->guarded};
    memcpy(v.index, index, rank * sizeof *index);
    vec_push(w->a, &w->visits, v);
    if (!v.leaf) {
        const ir_dim *at[IR_MAX_RANK];
        memcpy(at, index, rank * sizeof *at); /* the caller's may be rewritten */
        visit_operands(w, n, at);
    }
}

void access_walk(access *w, const ir_node *n, const ir_dim *const *index)
{
    w->stage = 0;
    w->guarded = false;
    visit(w, n, index);
}

void access_root(access *w, const ir_node *n, const ir_dim *const *index)
{
    access_walk(w, n->op == IR_OP_update ? n->in[1] : n, index);
}
