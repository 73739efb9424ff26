/* plan_memory: every value gets an offset in one arena (docs/kernels.md, section 4).
 *
 * Values are given slots: a slot serves one value after another, once every thread is known to be done
 * with the one before (a barrier lies between). A slot is as large as the largest of its values, so
 * offsets are sums of slot sizes and hold for all values of the dims. Updates, loop carries, states and
 * the entry's results lie where they must; copying kernels are put where a value cannot be made there.
 *
 * Reads a graph twice: once to give slots, once to write `space`, `at`, `bytes` on every node. */
#include "passes/rewrite.h"

#include <stdio.h>
#include <string.h>

typedef struct place {
    const char *space; /* "arena", "result:0", "state:k", "input:1", "param", "const" */
    int slot;          /* in the arena; -1 elsewhere */
    const ir_dim *at;  /* within the space or the slot */
} place;

typedef struct slot {
    const ir_dim *size;
    bool busy;
    uint32_t free_since; /* the number of barriers passed when its last reader began */
} slot;

typedef struct planner {
    pass_ctx *c;
    ir_ctx *ctx;
    VEC(slot) slots;
    uint32_t barriers;
} planner;

typedef struct plan { /* of one graph: a place for each result of each node */
    const ir_graph *g;
    place **places;
    struct plan **bodies; /* by loop node */
    uint32_t *last_use;   /* by node that owns a buffer: position of its last reader */
} plan;

static const ir_dim *rounded(ir_ctx *c, const ir_dim *bytes)
{
    const ir_dim *k = ir_dim_const(c, 64);
    return ir_dim_mul(c, ir_dim_ceildiv(c, bytes, k), k);
}

static int take_slot(planner *p, const ir_dim *bytes)
{
    const ir_dim *size = rounded(p->ctx, bytes);
    int grow = -1;
    for (uint32_t i = 0; i < p->slots.len; i++) {
        slot *s = &p->slots.at[i];
        if (s->busy || s->free_since >= p->barriers) {
            continue;
        }
        if (ir_dim_le(p->ctx, size, s->size) == IR_ALWAYS) {
            s->busy = true;
            return (int)i;
        }
        if (grow < 0 && ir_dim_le(p->ctx, s->size, size) == IR_ALWAYS) {
            grow = (int)i;
        }
    }
    if (grow >= 0) {
        p->slots.at[grow].size = size;
        p->slots.at[grow].busy = true;
        return grow;
    }
    vec_push(p->c->scratch, &p->slots, ((slot){size, true, 0}));
    return (int)p->slots.len - 1;
}

static void free_slot(planner *p, int index)
{
    if (index >= 0) {
        p->slots.at[index].busy = false;
        p->slots.at[index].free_since = p->barriers;
    }
}

/* The node (and which of its results) that owns the buffer n lies in. */
static const ir_node *owner_of(const ir_node *n, uint32_t *result)
{
    *result = 0;
    for (;;) {
        const ir_attr *inplace = n->op == IR_OP_kernel ? ir_node_attr(n, IR_ATTR_inplace) : NULL;
        if (n->op == IR_OP_get) {
            *result = (uint32_t)ir_node_int(n, IR_ATTR_index, 0);
            n = n->in[0];
        } else if (n->op == IR_OP_reshape) {
            n = n->in[0];
        } else if (inplace && inplace->ints[0] >= 0) {
            n = n->in[inplace->ints[0]];
        } else {
            return n;
        }
    }
}

static const place *place_of(const plan *pl, const ir_node *n)
{
    uint32_t k;
    const ir_node *o = owner_of(n, &k);
    return &pl->places[o->id][k];
}

static bool is_own_kernel(const ir_node *n)
{
    uint32_t k;
    return n->op == IR_OP_kernel && owner_of(n, &k) == n;
}

static bool same_place(const place *a, const place *b)
{
    return a->space && b->space && strcmp(a->space, b->space) == 0 && a->slot == b->slot && a->at == b->at;
}

static plan *new_plan(planner *p, const ir_graph *g)
{
    plan *pl = arena_new(p->c->scratch, plan);
    uint32_t size = ir_graph_size(g);
    pl->g = g;
    pl->places = arena_array(p->c->scratch, place *, size);
    pl->bodies = arena_array(p->c->scratch, plan *, size);
    pl->last_use = arena_array(p->c->scratch, uint32_t, size);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        pl->places[i] = arena_array(p->c->scratch, place, n->n_results);
        uint32_t k;
        for (uint32_t j = 0; j < n->n_in; j++) {
            bool view = n->op == IR_OP_reshape || n->op == IR_OP_get;
            const ir_node *o = owner_of(n->in[j], &k);
            if (!view) {
                pl->last_use[o->id] = i;
            }
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        uint32_t k;
        pl->last_use[owner_of(ir_graph_output(g, i)->node, &k)->id] = UINT32_MAX;
    }
    return pl;
}

static void assign_arena(planner *p, place *out, const ir_type *t)
{
    *out = (place){"arena", take_slot(p, ir_type_bytes(p->ctx, t)), ir_dim_const(p->ctx, 0)};
}

static void plan_body(planner *p, plan *pl, const ir_node *loop);

/* Gives places to what a graph's nodes make. wanted[id]: where a node's result must lie, if anywhere. */
static void plan_nodes(planner *p, plan *pl, const place **wanted)
{
    for (uint32_t i = 0; i < ir_graph_size(pl->g); i++) {
        const ir_node *n = ir_graph_node(pl->g, i);
        place *out = pl->places[i];
        uint32_t k;
        const ir_node *o = owner_of(n, &k);
        if (n->op == IR_OP_kernel || n->op == IR_OP_extern || n->op == IR_OP_loop) {
            p->barriers += (uint32_t)ir_node_int(n, IR_ATTR_barrier, 0);
        }
        if (n->op == IR_OP_loop) {
            uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
            for (uint32_t r = 0; r < n->n_results; r++) {
                const place *init = r < carries ? place_of(pl, n->in[r]) : NULL;
                uint32_t dummy;
                const ir_node *init_owner = r < carries ? owner_of(n->in[r], &dummy) : NULL;
                bool state = init && strncmp(init->space, "state:", 6) == 0;
                bool dying = init && init->slot >= 0 && pl->last_use[init_owner->id] == i && init_owner->op != IR_OP_input;
                bool twice = false;
                for (uint32_t q = 0; q < r; q++) {
                    twice |= r < carries && same_place(&out[q], init);
                }
                if (state || (dying && !twice)) {
                    out[r] = *init; /* the carry lives where its first value was made */
                } else {
                    assign_arena(p, &out[r], n->types[r]);
                }
            }
            plan_body(p, pl, n);
        } else if (n->op == IR_OP_input && !out[0].space) {
            out[0] = (place){intern_printf(ir_ctx_names(p->ctx), "input:%lld", (long long)ir_node_int(n, IR_ATTR_index, 0)), -1, ir_dim_const(p->ctx, 0)};
        } else if (n->op == IR_OP_state) {
            out[0] = (place){intern_printf(ir_ctx_names(p->ctx), "state:%s", ir_node_str(n, IR_ATTR_name)), -1, ir_dim_const(p->ctx, 0)};
        } else if (n->op == IR_OP_param || n->op == IR_OP_const) {
            out[0] = (place){n->op == IR_OP_param ? "param" : "const", -1, ir_dim_const(p->ctx, 0)};
        } else if ((n->op == IR_OP_kernel || n->op == IR_OP_extern) && o == n) {
            for (uint32_t r = 0; r < n->n_results; r++) {
                if (wanted[i] && r == 0) {
                    out[0] = *wanted[i];
                } else {
                    assign_arena(p, &out[r], n->types[r]);
                }
            }
        }
        /* What was read for the last time is free once all threads have passed the next barrier. */
        for (uint32_t j = 0; j < n->n_in; j++) {
            const ir_node *x = owner_of(n->in[j], &k);
            bool view = n->op == IR_OP_reshape || n->op == IR_OP_get;
            if (!view && pl->last_use[x->id] == i && x->op != IR_OP_input) {
                pl->last_use[x->id] = 0;
                for (uint32_t r = 0; r < x->n_results; r++) {
                    bool carried = false;
                    for (uint32_t q = 0; n->op == IR_OP_loop && q < n->n_results; q++) {
                        carried |= same_place(&out[q], &pl->places[x->id][r]);
                    }
                    if (!carried) {
                        free_slot(p, pl->places[x->id][r].slot);
                    }
                }
            }
        }
    }
}

static void plan_body(planner *p, plan *pl, const ir_node *loop)
{
    const ir_graph *body = loop->bodies[0];
    plan *inner = new_plan(p, body);
    pl->bodies[loop->id] = inner;
    uint32_t carries = (uint32_t)ir_node_int(loop, IR_ATTR_carries, 0), collects = (uint32_t)ir_node_int(loop, IR_ATTR_collects, 0);
    for (uint32_t i = 0; i < ir_graph_n_inputs(body); i++) {
        inner->places[ir_graph_input(body, i)->id][0] = i < carries ? pl->places[loop->id][i] : *place_of(pl, loop->in[i]);
    }
    const place **wanted = arena_array(p->c->scratch, const place *, ir_graph_size(body));
    for (uint32_t i = 0; i < collects; i++) { /* row `turn` of the collected tensor */
        const ir_node *n = ir_graph_output(body, carries + i)->node;
        const ir_sym *s = ir_node_attr(loop, IR_ATTR_sym)->sym;
        const ir_dim *lo = ir_node_attr(loop, IR_ATTR_lo)->dims[0];
        int64_t step = ir_node_int(loop, IR_ATTR_step, 1);
        const ir_dim *distance = ir_dim_sub(p->ctx, ir_dim_sym(p->ctx, s), lo);
        const ir_dim *turn = ir_dim_floordiv(p->ctx, step > 0 ? distance : ir_dim_scale(p->ctx, distance, -1), ir_dim_const(p->ctx, step > 0 ? step : -step));
        place *row = arena_copy(p->c->scratch, &pl->places[loop->id][carries + i], sizeof *row);
        row->at = ir_dim_add(p->ctx, row->at, ir_dim_mul(p->ctx, turn, ir_type_bytes(p->ctx, ir_node_type(n))));
        wanted[n->id] = row;
    }
    for (uint32_t i = 0; i < carries; i++) {
        const ir_node *n = ir_graph_output(body, i)->node;
        if (is_own_kernel(n)) {
            wanted[n->id] = &pl->places[loop->id][i];
        }
    }
    plan_nodes(p, inner, wanted);
    /* Everything made inside is free when the loop is over. */
    p->barriers++;
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *n = ir_graph_node(body, i);
        uint32_t k;
        for (uint32_t r = 0; n->op != IR_OP_input && owner_of(n, &k) == n && r < n->n_results; r++) {
            const place *q = &inner->places[i][r];
            bool outside = false;
            for (uint32_t j = 0; j < loop->n_results; j++) {
                outside |= q->slot >= 0 && q->slot == pl->places[loop->id][j].slot;
            }
            if (!outside && q->slot >= 0 && p->slots.at[q->slot].busy) {
                free_slot(p, q->slot);
            }
        }
    }
}

/* Copies that are needed before places can be given ------------------------------------------------ */

static const ir_node *copy_kernel(ir_graph *g, const ir_node *x, const char *why)
{
    ir_ctx *c = ir_graph_ctx(g);
    ir_graph *body = ir_graph_create(c, "kernel");
    const ir_node *in = ir_graph_add_input(body, "in", ir_node_type(x), x->loc);
    ir_builder b = {.ctx = c, .graph = body, .loc = x->loc};
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "out", ir_broadcast(&b, in, ir_node_type(x)->rank, ir_node_type(x)->dims));
    ir_attr a[5] = {ir_attr_s(IR_ATTR_family, intern(ir_ctx_names(c), "map")),
                    ir_attr_s(IR_ATTR_name, intern_printf(ir_ctx_names(c), "copy_%s_%u", why, x->id)), ir_attr_i(IR_ATTR_barrier, 1),
                    ir_attr_i(IR_ATTR_split, ir_node_type(x)->rank ? 0 : -1), ir_attr_i(IR_ATTR_grain, 1)};
    const ir_type *t = ir_node_type(x);
    return ir_graph_add(g, IR_OP_kernel, 1, &x, 1, &t, 5, a, 1, &body, x->loc);
}

/* Can this kernel write its result where carry i lies? No one reads the carry any more, and all threads
 * have met since they did. */
static bool made_in_carry(const ir_graph *g, const ir_node *n, uint32_t i)
{
    uint32_t k;
    const ir_node *carry = ir_graph_input(g, i);
    if (!is_own_kernel(n) || !ir_node_int(n, IR_ATTR_barrier, 0)) {
        return false;
    }
    for (uint32_t j = n->id; j < ir_graph_size(g); j++) {
        const ir_node *later = ir_graph_node(g, j);
        for (uint32_t x = 0; x < later->n_in; x++) {
            if (owner_of(later->in[x], &k) == carry) {
                return false;
            }
        }
    }
    for (uint32_t j = 0; j < ir_graph_n_outputs(g); j++) {
        if (ir_graph_output(g, j)->node == n) {
            return false;
        }
    }
    return true;
}

/* Body outputs that are not where the carry is become copies; so do outputs that are no kernel's own. */
static ir_graph *add_copies(planner *p, const ir_graph *old, uint32_t carries, bool body)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        if (n->op != IR_OP_loop) {
            new_of[i] = ir_graph_copy_node(g, n, in);
            continue;
        }
        uint32_t inner_carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
        ir_graph *inner = add_copies(p, n->bodies[0], inner_carries, true);
        for (uint32_t k = 0; k < inner_carries; k++) { /* first values that cannot become the carry */
            uint32_t dummy;
            const ir_node *o = owner_of(in[k], &dummy);
            const ir_node *old_owner = owner_of(n->in[k], &dummy);
            bool again = false;
            for (uint32_t q = 0; q < n->n_in; q++) {
                again |= q != k && owner_of(n->in[q], &dummy) == old_owner;
            }
            for (uint32_t q = i + 1; q < ir_graph_size(old); q++) {
                const ir_node *later = ir_graph_node(old, q);
                for (uint32_t x = 0; x < later->n_in; x++) {
                    again |= owner_of(later->in[x], &dummy) == old_owner && later->op != IR_OP_reshape && later->op != IR_OP_get;
                }
            }
            for (uint32_t q = 0; q < ir_graph_n_outputs(old); q++) {
                again |= owner_of(ir_graph_output(old, q)->node, &dummy) == old_owner;
            }
            bool carry_input = o->op == IR_OP_input && body && ir_node_int(o, IR_ATTR_index, 0) < carries;
            if (o->op != IR_OP_state && ((o->op != IR_OP_kernel && o->op != IR_OP_loop && !carry_input) || again || carry_input)) {
                in[k] = copy_kernel(g, in[k], "carry");
            }
        }
        new_of[i] = ir_graph_copy_node_bodies(g, n, in, &inner);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(old); i++) {
        ir_output o = *ir_graph_output(old, i);
        const ir_node *n = new_of[o.node->id];
        uint32_t k;
        const ir_node *owner = owner_of(n, &k);
        bool good;
        if (body && i < carries) {
            good = (owner->op == IR_OP_input && ir_node_int(owner, IR_ATTR_index, -1) == i) || made_in_carry(g, n, i);
        } else if (body || o.kind == IR_OUTPUT_RESULT) {
            good = is_own_kernel(n);
            for (uint32_t j = 0; j < i; j++) {
                good &= ir_graph_output(g, j)->node != n;
            }
            const ir_node *plain = n; /* a view of a kernel's result is as good */
            while (!body && plain->op == IR_OP_reshape) {
                plain = plain->in[0];
            }
            if (!good && plain != n && is_own_kernel(plain)) {
                good = true;
                for (uint32_t j = 0; j < i; j++) {
                    uint32_t dummy;
                    good &= owner_of(ir_graph_output(g, j)->node, &dummy) != plain;
                }
            }
        } else {
            good = true; /* states: checked when places are known */
        }
        ir_graph_add_output(g, o.kind, o.name, good ? n : copy_kernel(g, n, "out"));
    }
    return g;
}

/* Writing places ----------------------------------------------------------------------------------- */

static const ir_dim *absolute(planner *p, const place *q)
{
    const ir_dim *at = q->at;
    for (int i = 0; i < q->slot; i++) {
        at = ir_dim_add(p->ctx, at, p->slots.at[i].size);
    }
    return at;
}

static ir_graph *write_places(planner *p, const plan *pl)
{
    ir_graph *g = ir_graph_begin_rewrite(pl->g);
    const ir_node **new_of = rewrite_inputs(pl->g, g);
    for (uint32_t i = 0; i < ir_graph_size(pl->g); i++) {
        const ir_node *n = ir_graph_node(pl->g, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        ir_graph *body = pl->bodies[i] ? write_places(p, pl->bodies[i]) : NULL;
        const char *spaces[16];
        const ir_dim *at[16], *bytes[16];
        for (uint32_t r = 0; r < n->n_results; r++) {
            uint32_t k;
            const ir_node *o = owner_of(n, &k);
            const place *q = &pl->places[o->id][o == n ? r : k];
            spaces[r] = intern(ir_ctx_names(p->ctx), q->space);
            at[r] = absolute(p, q);
            bytes[r] = ir_type_bytes(p->ctx, n->types[r]);
        }
        ir_attr a[3] = {ir_attr_ss(IR_ATTR_space, n->n_results, spaces), ir_attr_ds(IR_ATTR_at, n->n_results, at),
                        ir_attr_ds(IR_ATTR_bytes, n->n_results, bytes)};
        bool leaf = n->op == IR_OP_param || n->op == IR_OP_const || n->op == IR_OP_state;
        new_of[i] = leaf ? ir_graph_copy_node(g, n, in) : ir_graph_copy_node_with(g, n, in, body ? &body : n->bodies, 3, a);
    }
    ir_graph_end_rewrite(g, pl->g, new_of);
    ir_graph_set_stage(g, IR_STAGE_PLANNED);
    return g;
}

ir_graph *pass_plan_memory(pass_ctx *c, const ir_graph *old)
{
    if (ir_graph_stage(old) == IR_STAGE_PLANNED) {
        return ir_graph_clone(old);
    }
    planner p = {.c = c, .ctx = ir_graph_ctx(old), .barriers = 1};
    const ir_graph *g = add_copies(&p, old, 0, false);
    plan *pl = new_plan(&p, g);
    const place **wanted = arena_array(c->scratch, const place *, ir_graph_size(g));
    uint32_t results = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        place *w = arena_new(c->scratch, place);
        *w = (place){NULL, -1, ir_dim_const(p.ctx, 0)};
        uint32_t k;
        const ir_node *owner = owner_of(o->node, &k);
        if (o->kind == IR_OUTPUT_RESULT) {
            w->space = intern_printf(ir_ctx_names(p.ctx), "result:%u", results++);
            wanted[owner->id] = w;
        } else if (owner->op == IR_OP_kernel) {
            w->space = intern_printf(ir_ctx_names(p.ctx), "state:%s", o->name);
            wanted[owner->id] = w;
        }
    }
    plan_nodes(&p, pl, wanted);
    ir_graph *r = write_places(&p, pl);
    const ir_dim *total = ir_dim_const(p.ctx, 0);
    for (uint32_t i = 0; i < p.slots.len; i++) {
        total = ir_dim_add(p.ctx, total, p.slots.at[i].size);
    }
    ir_graph_set_arena_bytes(r, total);
    return r;
}
