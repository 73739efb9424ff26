/* One kernel of the planned graph becomes loop nests. */
#include "backend/lower_building.h"
#include "passes/access.h"

#include <stdio.h>
#include <string.h>

/* Symbols: those of the body in order of appearance become s0, s1, ... ---------------------------
 */

typedef struct symbols {
    const ir_sym *own[32];
    const ir_sym *stands_for[32];
    uint32_t n;
} symbols;

static void note_dim(symbols *z, const ir_dim *d)
{
    const ir_sym *found[32];
    uint32_t n = ir_dim_symbols(d, found, 32);
    for (uint32_t i = 0; i < n; i++) {
        bool known = false;
        for (uint32_t k = 0; k < z->n; k++) {
            known |= z->stands_for[k] == found[i];
        }
        if (!known && z->n < 32) {
            z->stands_for[z->n++] = found[i];
        }
    }
}

static void note_graph(symbols *z, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        for (uint32_t r = 0; r < n->n_results; r++) {
            for (uint32_t k = 0; k < n->types[r]->rank; k++) {
                note_dim(z, n->types[r]->dims[k]);
            }
        }
        for (uint32_t a = 0; a < n->n_attrs; a++) {
            ir_attr_kind kind = ir_attr_kind_of(n->attrs[a].key);
            if (kind == IR_ATTR_KIND_DIM) {
                note_dim(z, n->attrs[a].dim);
            }
            for (uint32_t k = 0; kind == IR_ATTR_KIND_DIMS && k < n->attrs[a].n; k++) {
                note_dim(z, n->attrs[a].dims[k]);
            }
        }
        for (uint32_t b = 0; b < n->n_bodies; b++) {
            note_graph(z, n->bodies[b]);
        }
    }
}

/* The bodies of n kernels with symbols of their own, which are those of one kernel. */
static const ir_graph **own_symbols(arena *a, ir_ctx *c, const ir_node *const *nodes, uint32_t n,
                                    symbols *z)
{
    const ir_graph **bodies = arena_array(a, const ir_graph *, n);
    *z = (symbols){.n = 0};
    for (uint32_t i = 0; i < n; i++) {
        bodies[i] = nodes[i]->bodies[0];
        note_graph(z, bodies[i]);
    }
    /* Two steps, so that no name is taken for another on the way. */
    for (int step = 0; step < 2; step++) {
        for (uint32_t i = 0; i < z->n; i++) {
            const ir_sym *from = step ? z->own[i] : z->stands_for[i];
            const char *name = intern_printf(ir_ctx_names(c), step ? "s%u" : "?s%u", i);
            const ir_sym *to = ir_sym_get(c, name, from->lo, from->hi);
            for (uint32_t k = 0; k < n; k++) {
                bodies[k] = ir_graph_subst(bodies[k], from, ir_dim_sym(c, to));
            }
            z->own[i] = to;
        }
    }
    return bodies;
}

/* Nests -------------------------------------------------------------------------------------------
 */

void lower_begin_nest(building *b)
{
    b->l.steps.len = 0;
    b->l.steps.at = NULL;
    b->l.steps.cap = 0;
    b->l.values = map_create(b->l.a);
    b->l.statistics = map_create(b->l.a);
    b->l.resize = NULL;
}

void lower_end_nest(building *b, uint32_t n_outer, const k_axis *const *outer, int split)
{
    k_nest n = {.n_outer = n_outer, .split = split, .grain = b->grain};
    n.outer = arena_copy(b->l.a, outer, n_outer * sizeof *outer);
    n.n_steps = b->l.steps.len;
    n.steps = arena_copy(b->l.a, b->l.steps.at, n.n_steps * sizeof *n.steps);
    vec_push(b->l.a, &b->nests, n);
}

/* Where element `at` of `main` is in a value made of it by elementwise ops, transposes and
 * reshapes. False when n is not such a value. */
bool lower_place_in(building *b, const ir_node *n, const ir_node *main, const ir_dim *const *at,
                    const ir_dim **place)
{
    const ir_type *t = ir_node_type(n);
    if (n == main) {
        memcpy(place, at, t->rank * sizeof *place);
        return true;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_dim *inner[IR_MAX_RANK];
        if (!lower_place_in(b, n->in[i], main, at, inner)) {
            continue;
        }
        const ir_type *x = ir_node_type(n->in[i]);
        const ir_attr *perm = ir_node_attr(n, IR_ATTR_perm);
        if (n->op == IR_OP_reshape) {
            lower_reshape(b->l.c, t, x, inner, place);
            return true;
        }
        for (uint32_t k = 0; k < t->rank; k++) {
            place[k] = inner[n->op == IR_OP_transpose ? perm->ints[k] : (int64_t)k];
        }
        return n->op == IR_OP_transpose || ir_type_same_shape(x, t);
    }
    return false;
}

lower_target lower_target_of(const building *b, uint32_t result)
{
    const ir_node *root = ir_graph_output(b->body, result)->node;
    lower_target t = {root, root, ir_node_type(root), NULL};
    const ir_attr *inplace = ir_node_attr(b->node, IR_ATTR_inplace);
    if (inplace && result < inplace->n && inplace->ints[result] >= 0 && root->op == IR_OP_update) {
        bool rows = strcmp(ir_node_str(b->node, IR_ATTR_family), "reduce") == 0;
        t.value = root->in[1];
        t.domain = access_stored(b->l.c, root, rows);
        t.offsets = ir_node_attr(root, IR_ATTR_offsets)->dims;
    }
    return t;
}

const ir_dim *lower_target_place(building *b, const lower_target *t, const ir_dim *const *index)
{
    const ir_dim *moved[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->stored->rank; i++) {
        moved[i] = t->offsets ? ir_dim_add(b->l.c, t->offsets[i], index[i]) : index[i];
    }
    return lower_linear(&b->l, t->stored, moved);
}

void lower_add_store(building *b, uint32_t result, const lower_target *t,
                     const ir_dim *const *index, uint32_t n_axes, const k_axis *const *axes)
{
    const ir_dim *at[IR_MAX_RANK];
    lower_place_in(b, t->value, t->domain, index, at);
    const k_expr *value = lower_value(&b->l, &b->scope, t->value, at, NULL);
    const ir_dim *place = lower_target_place(b, t, at);
    k_step s = {.kind = K_STEP_STORE,
                .n_axes = n_axes,
                .axes = arena_copy(b->l.a, axes, n_axes * sizeof *axes),
                .value = lower_cast(&b->l, value, b->results[result]->dtype),
                .buf = b->results[result],
                .offset = lower_index(&b->l, place)};
    const k_step *before = b->l.steps.len ? &b->l.steps.at[b->l.steps.len - 1] : NULL;
    s.beside = before && before->kind == K_STEP_STORE && before->buf == s.buf && n_axes &&
               before->n_axes == n_axes && !before->beside &&
               memcmp(before->axes, axes, n_axes * sizeof *axes) == 0 &&
               ir_dim_is_one(ir_dim_sub(b->l.c, place, b->stored_at));
    b->stored_at = place;
    vec_push(b->l.a, &b->l.steps, s);
}

const ir_node *lower_find_family(const ir_graph *g, ir_family f)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        if (ir_op_family(ir_graph_node(g, i)->op) == f) {
            return ir_graph_node(g, i);
        }
    }
    return NULL;
}

/* Does the nest's one step compute with that resize, of f32s as they lie in memory, at its place?
 */
static bool is_at_place(const k_nest *nest, const k_resize *r)
{
    bool fits = r && r->x && nest->n_steps == 1 && nest->n_outer == r->n_spatial + 2;
    for (uint32_t i = 0; fits && i < nest->n_outer; i++) {
        bool same = r->index[i]->kind == K_AXIS && r->index[i]->axis == nest->outer[i];
        fits = same || ir_dim_is_one(nest->outer[i]->extent);
    }
    return fits;
}

/* The convolution, pooling or resize that the nest just ended is, for emitters that know of them.
 */
static void note_window(building *b, ir_family family)
{
    const ir_node *n = lower_find_family(b->body, family);
    k_nest *nest = &b->nests.at[b->nests.len - 1];
    lower_target t = lower_target_of(b, 0);
    if (!n || !ir_type_same_shape(ir_node_type(n), ir_node_type(t.domain))) {
        return;
    }
    if (family == IR_FAMILY_CONV) {
        nest->conv = lower_conv(&b->l, &b->scope, n);
    } else if (n->op == IR_OP_pool && nest->n_steps == 2 && nest->steps[0].acc == IR_f32) {
        nest->pool = lower_pool(&b->l, &b->scope, n);
    } else if (n->op == IR_OP_resize && is_at_place(nest, b->l.resize)) {
        nest->resize = b->l.resize;
    }
}

enum { MOST_PARTS = 4 };

/* Is the last axis as short as the list that a concat along it puts together? Every place of it is
 * then stored by a step of its own, which chooses nothing, and lanes run along the axis before:
 * pairs of a rotation, real and imaginary parts. */
static bool is_list_of_parts(const building *b, const ir_type *t)
{
    const ir_dim *last = t->rank > 1 ? t->dims[t->rank - 1] : NULL;
    bool found = false;
    for (uint32_t i = 0; last && i < ir_graph_size(b->body); i++) {
        const ir_node *n = ir_graph_node(b->body, i);
        uint32_t rank = n->n_results ? ir_node_type(n)->rank : 0;
        found |= n->op == IR_OP_concat && ir_node_int(n, IR_ATTR_axis, 0) + 1 == (int64_t)rank &&
                 ir_node_type(n)->dims[rank - 1] == last;
    }
    return found && ir_dim_is_const(last) && ir_dim_value(last) > 1 &&
           ir_dim_value(last) <= MOST_PARTS && b->split + 1 != (int)t->rank;
}

/* map, contract, conv, pool: all results have one domain. For maps the last axis is within the
 * STORE steps; for contractions all axes are outside. */
static void lower_nest(building *b, const char *kind)
{
    uint32_t n_results = ir_graph_n_outputs(b->body);
    int64_t group = ir_node_int(b->node, IR_ATTR_group, 0);
    if (group) {
        lower_groups(b, group);
        return;
    }
    bool plain = strcmp(kind, "map") == 0;
    lower_target first = lower_target_of(b, 0);
    const ir_type *full = ir_node_type(first.domain);
    lower_begin_nest(b);
    const k_axis *outer[IR_MAX_RANK], *inner[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK];
    uint32_t n_outer = 0, n_inner = 0;
    int split = -1;
    uint32_t rank = full->rank;
    int64_t parts = 1;
    if (plain && is_list_of_parts(b, full)) {
        parts = ir_dim_value(full->dims[--rank]);
    }
    for (uint32_t i = 0; i < rank; i++) {
        const k_axis *axis = lower_axis(&b->l, full->dims[i], &index[i]);
        if (plain && i + 1 == rank) {
            inner[n_inner++] = axis;
        } else {
            split = b->split == (int)i ? (int)n_outer : split;
            outer[n_outer++] = axis;
        }
    }
    /* A split along the innermost axis of a map: that axis goes outside as a whole. */
    if (plain && b->split >= 0 && split < 0 && n_inner) {
        split = (int)n_outer;
        outer[n_outer++] = inner[0];
        n_inner = 0;
    }
    for (int64_t part = 0; part < parts; part++) {
        if (rank < full->rank) {
            index[rank] = ir_dim_const(b->l.c, part);
        }
        for (uint32_t r = 0; r < n_results; r++) {
            lower_target t = lower_target_of(b, r);
            lower_add_store(b, r, &t, index, n_inner, inner);
        }
    }
    lower_end_nest(b, n_outer, outer, split);
    if (strcmp(kind, "conv") == 0) {
        note_window(b, IR_FAMILY_CONV);
    } else if (strcmp(kind, "pool") == 0) {
        note_window(b, IR_FAMILY_POOL);
    }
}

static const ir_node *find_rows(const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        ir_family f = ir_op_family(ir_graph_node(g, i)->op);
        if (f == IR_FAMILY_REDUCE || f == IR_FAMILY_NORM) {
            return ir_graph_node(g, i);
        }
    }
    return NULL;
}

static uint32_t row_axes(const ir_node *n)
{
    uint32_t mask = 0;
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *axis = ir_node_attr(n, IR_ATTR_axis);
    for (uint32_t k = 0; axes && k < axes->n; k++) {
        mask |= 1u << axes->ints[k];
    }
    return mask | (axis && !axes ? 1u << axis->i : 0);
}

/* reduce: the full shape is that of what the first reduction reads. Its kept axes are outside, and
 * `split` is one of them; its reduced axes are within the STORE steps of full-shaped results. Other
 * results have the kept axes, with or without axes of size 1 for the reduced ones. */
static void lower_rows(building *b)
{
    const ir_node *rows = find_rows(b->body);
    if (!rows) {
        lower_nest(b, "map");
        return;
    }
    const ir_type *full = ir_node_type(rows->in[0]);
    uint32_t mask = row_axes(rows), n_outer = 0, n_inner = 0;
    const k_axis *outer[IR_MAX_RANK], *inner[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK], *kept[IR_MAX_RANK], *ones[IR_MAX_RANK];
    int split = -1;
    lower_begin_nest(b);
    for (uint32_t i = 0; i < full->rank; i++) {
        const k_axis *axis = lower_axis(&b->l, full->dims[i], &index[i]);
        ones[i] = mask & (1u << i) ? ir_dim_const(b->l.c, 0) : index[i];
        if (mask & (1u << i)) {
            inner[n_inner++] = axis;
        } else {
            split = b->split == (int)i ? (int)n_outer : split;
            kept[n_outer] = index[i];
            outer[n_outer++] = axis;
        }
    }
    for (uint32_t r = 0; r < ir_graph_n_outputs(b->body); r++) {
        lower_target t = lower_target_of(b, r);
        const ir_type *type = ir_node_type(t.domain);
        if (ir_type_same_shape(type, full)) {
            lower_add_store(b, r, &t, index, n_inner, inner);
        } else {
            lower_add_store(b, r, &t, type->rank == full->rank ? ones : kept, 0, NULL);
        }
    }
    lower_end_nest(b, n_outer, outer, split);
}

static void lower_scan(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    const ir_type *t = ir_node_type(root);
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0), n_outer = 0;
    const k_axis *outer[IR_MAX_RANK], *axis = NULL;
    const ir_dim *index[IR_MAX_RANK];
    lower_begin_nest(b);
    for (uint32_t i = 0; i < t->rank; i++) {
        const k_axis *a = lower_axis(&b->l, t->dims[i], &index[i]);
        if (i == along) {
            axis = a;
        } else {
            outer[n_outer++] = a;
        }
    }
    ir_dtype acc = lower_acc(t->dtype);
    k_step s = {.kind = K_STEP_SCAN,
                .n_axes = 1,
                .axes = arena_copy(b->l.a, &axis, sizeof axis),
                .op = IR_OP_reduce_sum,
                .value =
                    lower_cast(&b->l, lower_value(&b->l, &b->scope, root->in[0], index, NULL), acc),
                .acc = acc,
                .buf = b->results[0],
                .offset = lower_index(&b->l, lower_linear(&b->l, t, index)),
                .reverse = ir_node_int(root, IR_ATTR_reverse, 0) != 0,
                .exclusive = ir_node_int(root, IR_ATTR_exclusive, 0) != 0};
    vec_push(b->l.a, &b->l.steps, s);
    lower_end_nest(b, n_outer, outer, -1);
}

/* dst copied, then every element of src added at its place. */
static void lower_scatter(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    const ir_type *d = ir_node_type(root), *src = ir_node_type(root->in[2]);
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0);
    for (int part = 0; part < 2; part++) {
        const ir_type *t = part ? src : d;
        const k_axis *axes[IR_MAX_RANK];
        const ir_dim *index[IR_MAX_RANK], *to[IR_MAX_RANK];
        lower_begin_nest(b);
        for (uint32_t i = 0; i < t->rank; i++) {
            axes[i] = lower_axis(&b->l, t->dims[i], &index[i]);
            to[i] = index[i];
        }
        const k_expr *v = lower_value(&b->l, &b->scope, root->in[part ? 2 : 0], index, NULL);
        if (part) {
            const k_expr *id =
                lower_value(&b->l, &b->scope, root->in[1],
                            root->op == IR_OP_index_add ? &index[along] : index, NULL);
            const k_expr *size = lower_index(&b->l, d->dims[along]),
                         *zero = lower_const_i(&b->l, IR_i64, 0);
            id = lower_cast(&b->l, id, IR_i64);
            id = lower_select(&b->l, lower_binary(&b->l, IR_OP_lt, id, zero),
                              lower_binary(&b->l, IR_OP_add, id, size), id);
            id =
                lower_binary(&b->l, IR_OP_min, id,
                             lower_binary(&b->l, IR_OP_sub, size, lower_const_i(&b->l, IR_i64, 1)));
            to[along] =
                lower_opaque(&b->l, lower_binary(&b->l, IR_OP_max, id, zero), d->dims[along]);
        }
        k_step s = {.kind = K_STEP_STORE,
                    .value = v,
                    .buf = b->results[0],
                    .offset = lower_index(&b->l, lower_linear(&b->l, d, to)),
                    .add = part == 1};
        vec_push(b->l.a, &b->l.steps, s);
        lower_end_nest(b, t->rank, axes, -1);
    }
}

static void lower_sort(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    root = root->op == IR_OP_get ? root->in[0] : root;
    const ir_type *t = ir_node_type(root->in[0]), *out = root->types[0];
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0), n_outer = 0;
    k_sort *s = arena_new(b->l.a, k_sort);
    const k_axis *outer[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK], *to[IR_MAX_RANK];
    lower_begin_nest(b);
    for (uint32_t i = 0; i < t->rank; i++) {
        const k_axis *a = lower_axis(&b->l, t->dims[i], &index[i]);
        to[i] = index[i];
        if (i == along) {
            s->axis = a;
        } else {
            outer[n_outer++] = a;
        }
    }
    s->out_axis = lower_axis(&b->l, out->dims[along], &to[along]);
    s->n_outer = n_outer;
    s->outer = arena_copy(b->l.a, outer, n_outer * sizeof *outer);
    s->key = lower_value(&b->l, &b->scope, root->in[0], index, NULL);
    s->descending = ir_node_int(root, IR_ATTR_descending, root->op == IR_OP_topk) != 0;
    s->split = -1;
    const k_expr *at = lower_index(&b->l, lower_linear(&b->l, out, to));
    if (root->op != IR_OP_argsort) {
        s->values = b->results[0];
        s->values_offset = at;
    }
    if (root->op != IR_OP_sort) {
        s->indices = b->results[root->op == IR_OP_topk];
        s->indices_offset = at;
    }
    b->sort = s;
}

/* Buffers -----------------------------------------------------------------------------------------
 */

static bool same_place(const k_place *x, const k_place *y)
{
    return x->space == y->space && x->index == y->index && x->space != K_SPACE_CONST &&
           x->space != K_SPACE_PARAM && (x->space == K_SPACE_STATE || x->at == y->at);
}

static k_buf *new_buf(building *b, const char *name, const ir_type *t, k_buf_access how)
{
    k_buf *k = arena_new(b->l.a, k_buf);
    *k = (k_buf){.id = b->l.bufs.len,
                 .name = name,
                 .dtype = t->dtype,
                 .storage = ir_storage_of_dtype(t->dtype),
                 .type = t,
                 .access = how,
                 .layout = intern(ir_ctx_names(b->l.c), "rows"),
                 .disjoint = true};
    vec_push(b->l.a, &b->l.bufs, k);
    return k;
}

/* Buffers of operands and results: of all nodes that are one kernel, one node after the other. */
typedef struct buf_list {
    const lower_values *of;
    const ir_node **values; /* [of->n]: operands; NULL: a result */
    k_buf **made;           /* [of->n] */
    uint32_t n, n_in, n_out;
    lowered_kernel *out;
} buf_list;

static k_buf *add_buf(building *b, buf_list *l, const char *name, const ir_type *t,
                      k_buf_access how)
{
    l->out->sources[b->l.bufs.len] = LOWER_VALUE;
    l->out->indices[b->l.bufs.len] = l->n;
    return new_buf(b, name, t, how);
}

/* The buffer of an operand that an earlier node reads, too; nobody writes those. */
static k_buf *operand_of_earlier(const buf_list *l, uint32_t before, const ir_node *operand)
{
    for (uint32_t i = 0; i < before; i++) {
        if (l->values[i] == operand) {
            return l->made[i];
        }
    }
    return NULL;
}

static void add_operands(building *b, buf_list *l)
{
    const ir_node *n = b->node;
    uint32_t before = l->n;
    b->operands = arena_array(b->l.a, const k_buf *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++, l->n++) {
        const ir_param *p = l->of->params[l->n];
        k_buf *k = operand_of_earlier(l, before, n->in[i]);
        if (!k) {
            const char *name = intern_printf(ir_ctx_names(b->l.c), "in%u", l->n_in++);
            k = add_buf(b, l, name, ir_node_type(ir_graph_input(b->body, i)), K_READ);
            k->storage = p ? p->storage : k->storage;
            k->layout = p ? p->layout : k->layout;
            k->panel = p ? p->panel : 0;
            k->pack_transposed = p && p->pack_transposed;
        }
        l->values[l->n] = n->in[i];
        l->made[l->n] = k;
        b->operands[i] = k;
    }
}

static void add_results(building *b, buf_list *l)
{
    const ir_node *n = b->node;
    const ir_attr *inplace = ir_node_attr(n, IR_ATTR_inplace);
    uint32_t first_operand = l->n - n->n_in;
    b->results = arena_array(b->l.a, const k_buf *, n->n_results);
    for (uint32_t r = 0; r < n->n_results; r++, l->n++) {
        bool own = !inplace || r >= inplace->n || inplace->ints[r] < 0;
        k_buf *k;
        if (own) {
            const char *name = intern_printf(ir_ctx_names(b->l.c), "out%u", l->n_out++);
            k = add_buf(b, l, name, ir_node_type(ir_graph_output(b->body, r)->node), K_WRITE);
        } else {
            k = l->made[first_operand + inplace->ints[r]];
            k->access = K_READ_WRITE;
        }
        l->made[l->n] = k;
        b->results[r] = k;
    }
}

static void note_overlaps(const buf_list *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (l->made[i] != l->made[k] && same_place(&l->of->places[i], &l->of->places[k])) {
                l->made[i]->disjoint = l->made[k]->disjoint = false;
            }
        }
    }
}

/* One of the nodes that are the kernel. */
static void lower_node(building *b, buf_list *l, const ir_node *n, const ir_graph *body)
{
    static const struct {
        const char *kind;
        void (*lower)(building *b);
    } special[] = {
        {"reduce",    lower_rows     },
        {"scan",      lower_scan     },
        {"scatter",   lower_scatter  },
        {"sort",      lower_sort     },
        {"attention", lower_attention}
    };
    b->node = n;
    b->body = body;
    b->split = (int)ir_node_int(n, IR_ATTR_split, -1);
    b->grain = ir_node_int(n, IR_ATTR_grain, 1);
    add_operands(b, l);
    add_results(b, l);
    b->scope = (lower_scope){.body = b->body, .bufs = b->operands};
    const char *kind = ir_node_str(n, IR_ATTR_family);
    for (uint32_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (strcmp(special[i].kind, kind) == 0) {
            special[i].lower(b);
            return;
        }
    }
    lower_nest(b, kind);
}

/* Constants come after all other buffers; then what nests keep, which is no argument. */
static void number_bufs(building *b, lowered_kernel *out)
{
    for (uint32_t i = 0; i < b->l.consts.len; i++) {
        out->sources[b->l.bufs.len] = LOWER_CONST;
        out->indices[b->l.bufs.len] = i;
        vec_push(b->l.a, &b->l.bufs, b->l.const_bufs.at[i]);
    }
    for (uint32_t i = 0; i < b->keeps.len; i++) {
        b->keeps.at[i]->id = b->l.bufs.len;
    }
}

lowered_kernel lower_kernel(ir_ctx *c, arena *a, const ir_node *const *nodes, uint32_t n,
                            const lower_values *of)
{
    enum { MOST_CONSTS = 64 };
    symbols z;
    lowered_kernel out = {.sources = arena_array(a, enum lower_source, of->n + MOST_CONSTS),
                          .indices = arena_array(a, uint32_t, of->n + MOST_CONSTS)};
    building *b = arena_new(a, building);
    b->l = (lower){.a = a,
                   .c = c,
                   .exprs = map_create(a),
                   .values = map_create(a),
                   .variables = map_create(a)};
    buf_list l = {.of = of,
                  .values = arena_array(a, const ir_node *, of->n),
                  .made = arena_array(a, k_buf *, of->n),
                  .out = &out};
    const ir_graph **bodies = own_symbols(a, c, nodes, n, &z);
    for (uint32_t i = 0; i < n; i++) {
        lower_node(b, &l, nodes[i], bodies[i]);
    }
    note_overlaps(&l);
    number_bufs(b, &out);
    k_kernel *k = arena_new(a, k_kernel);
    *k = (k_kernel){.name = ir_node_str(nodes[0], IR_ATTR_name),
                    .kind = ir_node_str(nodes[0], IR_ATTR_family),
                    .family = b->attention ? K_FAMILY_ATTENTION
                              : b->sort    ? K_FAMILY_SORT
                                           : K_FAMILY_NEST,
                    .n_bufs = b->l.bufs.len,
                    .bufs = b->l.bufs.at,
                    .n_syms = z.n,
                    .syms = arena_copy(a, z.own, z.n * sizeof *z.own),
                    .n_nests = b->nests.len,
                    .nests = b->nests.at,
                    .joined = n > 1,
                    .attention = b->attention,
                    .sort = b->sort,
                    .n_exprs = b->l.n_exprs};
    k->text = k_print_kernel(k, a);
    out.kernel = k;
    out.consts = b->l.consts.at;
    out.dims = arena_array(a, const ir_dim *, z.n);
    for (uint32_t i = 0; i < z.n; i++) {
        out.dims[i] = ir_dim_sym(c, z.stands_for[i]);
    }
    return out;
}
