/* fuse_epilogue: what is done to every element of a product joins the product's kernel.
 *
 * Before   %c = contract %x, (transpose %w)      After   %y = kernel %x, %w, %b, %r
 * {family="contract"} %y = add (gelu (add %c, %b)), %r
 *
 * For contract, attention, convolutions and pooling: grows a region from the product over
 * elementwise users of its shape (bias, activation, gate, residual, scale, cast, and a final
 * update), as long as one value leaves it and nothing it reads depends on it. Operands are read
 * through transposes and slices where that keeps loads affine, and parameters through casts.
 *
 * Into products made by tiles (tiles.h) a norm of their rows is taken as well, if every reader of
 * it is such a product, and a product of the same rows that nothing but the epilogue reads:
 * silu(norm(x) @ g) * (norm(x) @ u) is one kernel, that reads x and writes y.
 *
 * Attention's values go straight to where transposes would bring them, as long as the elements of a
 * row stay side by side.
 *
 * A product made by tiles also takes what reads its columns by groups (column_groups.h): the
 * rotation of heads by position, and the write to a cache that lies by heads.
 *
 * Leaves alone: products whose value has readers outside of the region, users of another shape, and
 * everything behind a reduction. */
#include "passes/access.h"
#include "passes/column_groups.h"
#include "passes/fuse_cost.h"
#include "passes/kernel_form.h"
#include "passes/tiles.h"

#include <string.h>

enum { MOST_REGION = 32 };

typedef struct finder {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    const ir_graph *g;
    form_plan *p;
    fuse_tree tree;
    VEC(const ir_node *) * users; /* [size] of nodes */
    bool *output;                 /* [size] read by the graph's outputs */
    bool *taken;                  /* [size] within some region already */
    tiles *tiles;
} finder;

typedef struct members {
    uint32_t n;
    const ir_node *at[MOST_REGION];
} members;

static bool is_member(const members *s, const ir_node *n)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->at[i] == n) {
            return true;
        }
    }
    return false;
}

static bool is_product(const ir_node *n)
{
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_CONTRACT:
    case IR_FAMILY_ATTENTION:
    case IR_FAMILY_CONV:
    case IR_FAMILY_POOL:
        return true;
    default:
        return false;
    }
}

static bool same_dims(const ir_type *x, const ir_type *y)
{
    return x->rank == y->rank && memcmp(x->dims, y->dims, x->rank * sizeof *x->dims) == 0;
}

/* Does n depend on a member? Members have ids from `least` on. */
static bool depends(const finder *f, const members *s, uint32_t least, const ir_node *n, bool *seen)
{
    if (is_member(s, n)) {
        return true;
    }
    if (n->id < least || seen[n->id]) {
        return false;
    }
    seen[n->id] = true;
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (depends(f, s, least, n->in[i], seen)) {
            return true;
        }
    }
    return false;
}

/* Members whose value is read outside, or is an output. */
static uint32_t escapes(const finder *f, const members *s, const ir_node **last)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const ir_node *m = s->at[i];
        bool out = f->output[m->id];
        for (uint32_t k = 0; k < f->users[m->id].len && !out; k++) {
            out = !is_member(s, f->users[m->id].at[k]);
        }
        if (out) {
            *last = m;
            n++;
        }
    }
    return n;
}

/* Is it one of those ops that a region takes? */
typedef bool (*region_takes)(const members *s, const ir_node *u);

/* An elementwise op at the places of the product. */
static bool is_at_places(const members *s, const ir_node *u)
{
    const ir_type *t = ir_node_type(s->at[0]);
    bool ok = ir_op_family(u->op) == IR_FAMILY_ELEMENTWISE && same_dims(ir_node_type(u), t);
    for (uint32_t i = 0; i < u->n_in && ok; i++) {
        ok = !is_member(s, u->in[i]) || same_dims(ir_node_type(u->in[i]), t);
    }
    return ok;
}

/* An op that may read a product at other places than its own. */
static bool is_move_or_elementwise(const members *s, const ir_node *u)
{
    (void)s;
    return fuse_is_pointwise(u) && u->op != IR_OP_take && u->op != IR_OP_gather;
}

/* Can the user of a member join? */
static bool may_join(const finder *f, const members *s, const ir_node *u, region_takes takes)
{
    bool writes = u->op == IR_OP_update && is_member(s, u->in[1]) && !is_member(s, u->in[0]);
    if (is_member(s, u) || f->taken[u->id] || (!writes && !takes(s, u))) {
        return false;
    }
    arena_point mark = arena_mark(f->a);
    bool *seen = arena_array(f->a, bool, ir_graph_size(f->g));
    bool free = true;
    for (uint32_t i = 0; i < u->n_in && free; i++) {
        free = is_member(s, u->in[i]) || !depends(f, s, s->at[0]->id, u->in[i], seen);
    }
    arena_release(f->a, mark);
    return free;
}

/* Does the region end well with the value that leaves it? */
typedef bool (*region_ends)(const finder *f, const members *s, const ir_node *root, void *data);

/* The largest region from s on with one value leaving it. */
static members grow(const finder *f, members s, const ir_node **root, region_takes takes,
                    region_ends ends_well, void *data)
{
    members best = s;
    bool grown = true;
    while (grown && s.n < MOST_REGION) {
        grown = false;
        const ir_node *next = NULL;
        for (uint32_t i = 0; i < s.n; i++) {
            for (uint32_t k = 0; k < f->users[s.at[i]->id].len; k++) {
                const ir_node *u = f->users[s.at[i]->id].at[k];
                bool ends = s.at[i]->op == IR_OP_update; /* nothing follows what is written */
                if (!ends && (!next || u->id < next->id) && may_join(f, &s, u, takes)) {
                    next = u;
                }
            }
        }
        if (next) {
            s.at[s.n++] = next;
            grown = true;
            const ir_node *last = NULL;
            if (escapes(f, &s, &last) == 1 && (!ends_well || ends_well(f, &s, last, data))) {
                best = s;
                *root = last;
            }
        }
    }
    return best;
}

/* Operands ------------------------------------------------------------------------------------- */

static bool reads_param(const ir_node *x)
{
    while (x->op == IR_OP_transpose || x->op == IR_OP_slice || x->op == IR_OP_reshape) {
        x = x->in[0];
    }
    return x->op == IR_OP_param;
}

static bool leaf_of_group(void *data, const ir_node *n)
{
    return !((const bool *)data)[n->id];
}

/* Are all loads of the product affine with this choice of what is evaluated within? */
static bool loads_affine(const finder *f, const ir_node *product, bool *inlined)
{
    arena_point mark = arena_mark(f->a);
    access w;
    const ir_dim *index[IR_MAX_RANK];
    access_init(&w, f->a, f->ctx);
    w.is_leaf = leaf_of_group;
    w.data = inlined;
    inlined[product->id] = true;
    access_axes(f->ctx, ir_node_type(product), index);
    access_walk(&w, product, index);
    bool ok = !w.overrun;
    for (uint32_t i = 0; i < w.visits.len && ok; i++) {
        const access_visit *v = &w.visits.at[i];
        for (uint32_t k = 0; v->leaf && k < ir_node_type(v->node)->rank; k++) {
            ok &= !fuse_has_division(v->index[k]);
        }
    }
    arena_release(f->a, mark);
    return ok;
}

/* Reads an operand of the product through the moves that make it. A reshape alone is left outside,
 * where it is a free view. */
static bool read_through(const finder *f, const ir_node *product, const ir_node *x, bool *inlined)
{
    bool move = x->op == IR_OP_transpose || x->op == IR_OP_slice || x->op == IR_OP_broadcast ||
                (x->op == IR_OP_cast && reads_param(x));
    if ((!move && x->op != IR_OP_reshape) || f->taken[x->id]) {
        return false;
    }
    bool before = inlined[x->id];
    inlined[x->id] = true;
    bool deeper = read_through(f, product, x->in[0], inlined);
    if ((!move && !deeper) || (move && !deeper && !loads_affine(f, product, inlined))) {
        inlined[x->id] = before;
        return false;
    }
    return true;
}

/* Is the value of use to nobody but this region? */
static bool alone(const finder *f, const members *s, const ir_node *x, const bool *inlined)
{
    bool yes = !f->output[x->id];
    for (uint32_t k = 0; k < f->users[x->id].len; k++) {
        const ir_node *u = f->users[x->id].at[k];
        yes &= is_member(s, u) || inlined[u->id];
    }
    return yes;
}

/* A second product of the same rows is made beside the first: one such. */
static bool take_twin(finder *f, const members *s, const ir_node *product, const ir_node *x,
                      bool *inlined)
{
    bool taken = false;
    for (uint32_t i = 0; i < ir_graph_size(f->g); i++) {
        taken |= inlined[i] && i != product->id && is_product(ir_graph_node(f->g, i));
    }
    if (taken || f->taken[x->id] || !tiles_are_twins(f->tiles, product, x) ||
        !alone(f, s, x, inlined)) {
        return false;
    }
    inlined[x->id] = f->taken[x->id] = true;
    if (f->c->explain) {
        fprintf(f->c->explain, "%s: %%%u contract -> %%%u contract: made together (%s bytes)\n",
                ir_graph_name(f->g), x->id, product->id,
                ir_dim_text(f->ctx, ir_type_bytes(f->ctx, ir_node_type(x))));
    }
    return true;
}

/* The norm of a product's rows, maybe of some of them only. */
static const ir_node *norm_of_rows(const ir_node *rows)
{
    uint32_t last = rows ? ir_node_type(rows)->rank - 1 : 0;
    if (rows && rows->op == IR_OP_slice &&
        ir_node_type(rows)->rank == ir_node_type(rows->in[0])->rank &&
        ir_node_type(rows)->dims[last] == ir_node_type(rows->in[0])->dims[last]) {
        rows = rows->in[0];
    }
    return rows && tiles_is_norm(rows) ? rows : NULL;
}

/* Is the value read as rows of products made by tiles, and in no other way? */
static bool read_as_rows(const finder *f, const ir_node *x)
{
    bool all = !f->output[x->id];
    for (uint32_t k = 0; k < f->users[x->id].len && all; k++) {
        const ir_node *u = f->users[x->id].at[k];
        bool part = u->op == IR_OP_slice && norm_of_rows(u) == x;
        all = part ? read_as_rows(f, u) : tiles_rows(f->tiles, u) == x;
    }
    return all;
}

/* A norm that only products made by tiles read: each of them norms the rows that it needs. */
static bool take_norm(const finder *f, const ir_node *product, bool *inlined)
{
    const ir_node *rows = tiles_rows(f->tiles, product), *norm = norm_of_rows(rows);
    if (!norm) {
        return false;
    }
    bool all = read_as_rows(f, norm);
    inlined[norm->id] = all;
    inlined[rows->id] |= all;
    if (f->c->explain) {
        fprintf(f->c->explain, "%s: %%%u %s -> %%%u contract: %s (%s bytes)\n", ir_graph_name(f->g),
                norm->id, ir_op_name(norm->op), product->id,
                all ? "fused, every thread norms its rows" : "kept, it is needed in memory",
                ir_dim_text(f->ctx, ir_type_bytes(f->ctx, ir_node_type(norm))));
    }
    return all;
}

/* What is computed of numbers a channel, for nobody else. */
static void take_rank_1(finder *f, const members *s, const ir_node *x, bool *inlined)
{
    bool computed = ir_op_family(x->op) == IR_FAMILY_ELEMENTWISE && ir_node_type(x)->rank <= 1;
    if (form_is_immediate(x)) {
        inlined[x->id] = true;
    } else if (computed && !f->taken[x->id] && alone(f, s, x, inlined)) {
        inlined[x->id] = f->taken[x->id] = true;
        for (uint32_t i = 0; i < x->n_in; i++) {
            take_rank_1(f, s, x->in[i], inlined);
        }
    }
}

/* A scale of a convolution's channels, as a batch norm's, computed of its parameters: [C] seen as
 * [C, 1, 1]. The convolution's kernel computes it once a channel. */
static bool take_channels(finder *f, const members *s, const ir_node *product, const ir_node *x,
                          bool *inlined)
{
    const ir_type *t = ir_node_type(x), *y = ir_node_type(product);
    bool fits = ir_op_family(product->op) == IR_FAMILY_CONV && x->op == IR_OP_reshape &&
                ir_node_type(x->in[0])->rank == 1 && t->rank + 1 >= y->rank &&
                ir_op_family(x->in[0]->op) == IR_FAMILY_ELEMENTWISE && !f->taken[x->id] &&
                alone(f, s, x, inlined);
    for (uint32_t i = 0; i < t->rank && fits; i++) {
        fits = i + y->rank == t->rank + 1 || ir_dim_is_one(t->dims[i]);
    }
    if (fits) {
        inlined[x->id] = f->taken[x->id] = true;
        take_rank_1(f, s, x->in[0], inlined);
    }
    return fits;
}

/* A value that the region reads beside the product: computed within where that is as good. */
static void read_side(finder *f, const members *s, const ir_node *product, const ir_node *x,
                      bool *inlined)
{
    if (form_is_immediate(x)) {
        inlined[x->id] = true;
        return;
    }
    if (take_twin(f, s, product, x, inlined) || take_channels(f, s, product, x, inlined)) {
        return;
    }
    if (!fuse_is_pointwise(x) || x->op == IR_OP_reshape || x->op == IR_OP_take ||
        x->op == IR_OP_gather || f->taken[x->id] || f->output[x->id] || inlined[x->id]) {
        return;
    }
    bool own = alone(f, s, x, inlined);
    bool move = ir_op_family(x->op) == IR_FAMILY_MOVE && x->op != IR_OP_concat;
    bool full = same_dims(ir_node_type(x), ir_node_type(product));
    bool cheap = f->tree.ops[x->id] <= 0.5 && f->tree.loads[x->id] <= 1;
    if ((own && (full || cheap)) || (cheap && move)) {
        inlined[x->id] = true;
        f->taken[x->id] |= own; /* or the product it reads would compute it once more */
        for (uint32_t i = 0; i < x->n_in; i++) {
            read_side(f, s, product, x->in[i], inlined);
        }
    }
}

/* Groups of columns --------------------------------------------------------------------------- */

typedef struct group_search {
    const members *region;
    column_groups groups, last; /* of the best region; of the last one looked at */
} group_search;

static bool outside_region(void *data, const ir_node *n)
{
    const members *s = ((const group_search *)data)->region;
    return n == s->at[0] || !is_member(s, n);
}

/* Worth it where something is computed on the way, or written to a state: views are free. */
static bool makes_groups(const finder *f, const members *s, const ir_node *root, void *data)
{
    group_search *q = data;
    q->region = s;
    bool pays = root->op == IR_OP_update;
    for (uint32_t i = 1; i < s->n; i++) {
        pays |= !is_at_places(s, s->at[i]) && ir_op_family(s->at[i]->op) == IR_FAMILY_ELEMENTWISE;
    }
    if (!pays || root->op == IR_OP_reshape) {
        return false;
    }
    q->last = column_groups_of(f->ctx, f->a, s->at[0], root, f->c->panel, outside_region, q);
    if (q->last.size) {
        q->groups = q->last;
    }
    return q->last.size != 0;
}

/* What is made of a product's columns by groups, as a rotation of heads, and written where it is
 * kept. The size of a group; 0: nothing is. */
static int64_t take_groups(const finder *f, members *s, const ir_node **root)
{
    enum { DEAR = 1 }; /* to be done once for every column that an element is made of */
    group_search q = {.region = s};
    const ir_node *product = s->at[0];
    if (!tiles_rows(f->tiles, product) || (*root)->op == IR_OP_update || f->output[(*root)->id] ||
        f->tree.ops[(*root)->id] > DEAR) {
        return 0;
    }
    uint32_t before = s->n;
    *s = grow(f, *s, root, is_move_or_elementwise, makes_groups, &q);
    if (f->c->explain && s->n == before && q.last.why) {
        fprintf(f->c->explain, "%s: %%%u contract: no groups of columns, %s\n", ir_graph_name(f->g),
                product->id, q.last.why);
    }
    return s->n > before ? q.groups.size : 0;
}

/* The only user of a value that nothing else needs, or NULL. */
static const ir_node *only_user(const finder *f, const ir_node *x)
{
    return f->output[x->id] || f->users[x->id].len != 1 ? NULL : f->users[x->id].at[0];
}

/* Attention stores its values where a transpose would bring them, a row of elements at a time. */
static void take_transposes(const finder *f, members *s, const ir_node **root)
{
    const ir_node *u = only_user(f, *root);
    uint32_t last = ir_node_type(*root)->rank - 1;
    while (u && u->op == IR_OP_transpose && !f->taken[u->id] && s->n < MOST_REGION &&
           ir_node_attr(u, IR_ATTR_perm)->ints[last] == last) {
        s->at[s->n++] = *root = u;
        u = only_user(f, u);
    }
}

static const char *way_of(const finder *f, const members *s, const ir_node *x, int64_t group)
{
    return is_at_places(s, x)      ? "as its epilogue"
           : x->op == IR_OP_update ? "as the place it is written to"
           : !group                ? "as the place it stores to"
           : ir_op_family(x->op) == IR_FAMILY_MOVE
               ? "as the place among a group's columns"
               : intern_printf(ir_ctx_names(f->ctx), "on groups of %lld columns", (long long)group);
}

static void explain(const finder *f, const members *s, const ir_node *root, int64_t group)
{
    if (!f->c->explain) {
        return;
    }
    const ir_dim *bytes = ir_type_bytes(f->ctx, ir_node_type(s->at[0]));
    const char *name = ir_op_name(s->at[0]->op);
    for (uint32_t i = 1; i < s->n; i++) {
        fprintf(f->c->explain, "%s: %%%u %s <- %s: fused %s (%s bytes)\n", ir_graph_name(f->g),
                s->at[0]->id, name, ir_op_name(s->at[i]->op), way_of(f, s, s->at[i], group),
                ir_dim_text(f->ctx, bytes));
    }
    for (uint32_t k = 0; k < f->users[root->id].len; k++) {
        fprintf(f->c->explain, "%s: %%%u %s -> %s: kept, it reads more than single elements\n",
                ir_graph_name(f->g), s->at[0]->id, name, ir_op_name(f->users[root->id].at[k]->op));
    }
}

static void form(finder *f, const ir_node *product)
{
    const ir_node *root = product;
    members s = grow(f, (members){1, {product}}, &root, is_at_places, NULL, NULL);
    bool *inlined = arena_array(f->a, bool, ir_graph_size(f->g));
    bool through = false;
    ir_family family = ir_op_family(product->op);
    if (family == IR_FAMILY_CONTRACT || family == IR_FAMILY_ATTENTION) {
        for (uint32_t i = 0; i < product->n_in && i < 3; i++) {
            through |= read_through(f, product, product->in[i], inlined);
        }
    }
    through |= take_norm(f, product, inlined);
    if (family == IR_FAMILY_ATTENTION) {
        take_transposes(f, &s, &root);
    }
    int64_t columns = family == IR_FAMILY_CONTRACT ? take_groups(f, &s, &root) : 0;
    explain(f, &s, root, columns);
    if (s.n == 1 && !through) {
        return;
    }
    for (uint32_t i = 0; i < s.n; i++) {
        inlined[s.at[i]->id] = s.at[i] != root;
        f->taken[s.at[i]->id] = true;
    }
    for (uint32_t i = 1; i < s.n; i++) {
        for (uint32_t k = 0; k < s.at[i]->n_in; k++) {
            bool dst = s.at[i]->op == IR_OP_update && k == 0;
            if (!is_member(&s, s.at[i]->in[k]) && !dst) {
                read_side(f, &s, product, s.at[i]->in[k], inlined);
            }
        }
    }
    form_group *group = form_add(f->p, root);
    group->main = product;
    group->inlined = inlined;
    group->columns = columns;
}

static ir_graph *fuse(pass_ctx *c, tiles *t, const ir_graph *g, uint32_t *number)
{
    uint32_t size = ir_graph_size(g);
    finder f = {.c = c,
                .ctx = ir_graph_ctx(g),
                .a = c->scratch,
                .g = g,
                .p = form_create(g, c->scratch, number),
                .tree = fuse_tree_costs(g, ir_graph_use_counts(g, c->scratch), c->scratch),
                .users = arena_alloc_array(c->scratch, size, sizeof *f.users),
                .output = arena_array(c->scratch, bool, size),
                .taken = arena_array(c->scratch, bool, size),
                .tiles = t};
    bool *live = arena_array(c->scratch, bool, size);
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        uint32_t id = ir_graph_output(g, i)->node->id;
        f.output[id] = live[id] = true;
    }
    for (uint32_t i = size; i-- > 0;) {
        const ir_node *n = ir_graph_node(g, i);
        live[i] |= n->op == IR_OP_loop || n->op == IR_OP_extern || n->op == IR_OP_kernel;
        for (uint32_t k = 0; live[i] && k < n->n_in; k++) {
            live[n->in[k]->id] = true;
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        for (uint32_t k = 0; live[i] && k < n->n_in; k++) {
            vec_push(f.a, &f.users[n->in[k]->id], n);
        }
        if (n->op == IR_OP_loop) {
            tiles_enter(t, n);
            f.p->bodies[i] = fuse(c, t, n->bodies[0], number);
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (is_product(n) && !f.taken[i] && (f.users[i].len || f.output[i])) {
            form(&f, n);
        }
    }
    return form_emit(f.p, ir_graph_stage(g));
}

ir_graph *pass_fuse_epilogue(pass_ctx *c, const ir_graph *g)
{
    uint32_t number = 0;
    tiles t;
    tiles_init(&t, c->module, c->scratch);
    return ir_graph_stage(g) == IR_STAGE_TENSOR ? fuse(c, &t, g, &number) : ir_graph_clone(g);
}
