/* Copies where a value cannot be made or kept where it must be.
 *
 * Within one graph (a loop's body is one of its own) values that share a buffer form chains: an
 * update's result follows what it updates, a loop's result follows the initial value. A chain may
 * be followed only from a value that nobody reads afterwards. Whether a chain may take the place of
 * another (the next value of a carry that of the carry; an output that of a state) is a question of
 * the first chain being dead before the second begins. Where the answer is no, a copy is made. */
#include "ir/build.h"
#include "passes/access.h"
#include "passes/partition.h"
#include "passes/plan.h"
#include "passes/rewrite.h"

#include <string.h>

enum { NONE = UINT32_MAX, END = UINT32_MAX - 1 };

typedef struct use {
    uint32_t at, operand; /* item's id, or END and the output's number */
} use;

typedef struct value {
    VEC(use) uses;
    uint32_t prev, next; /* in its chain */
    bool claimed;        /* its chain's place is settled */
} value;

typedef struct region {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    plan_prepared *out;
    uint32_t *number; /* of the next inserted kernel */
    const ir_graph *g;
    const ir_node *loop; /* whose body it is; NULL: an entry's graph */
    value_table *t;
    value *values;
    uint32_t *epoch; /* [size] grows with every meeting of all threads */
    bool *meet;      /* [size] a kernel needs a meeting before it that it did not have */
    bool **copy;     /* [size][n_in] the operand is copied first */
    bool *copy_output;
    const ir_node *last; /* item; NULL: there is none */
    bool *copy_twice;    /* of outputs: what is copied must first be saved from other copies */
} region;

/* Is of an operand read only what lies where result r is written at the time? */
static bool reads_same_place(ir_ctx *c, arena *a, const ir_node *kernel, uint32_t operand,
                             uint32_t r)
{
    const ir_graph *body = kernel->bodies[0];
    const ir_node *in = ir_graph_input(body, operand);
    const ir_type *t = ir_node_type(in);
    if (t != kernel->types[r] || values_inplace(kernel, r) >= 0) {
        return false;
    }
    arena_point mark = arena_mark(a);
    access w;
    access_domain d;
    access_init(&w, a, c);
    access_kernel(&w, kernel, &d);
    const ir_dim *index[IR_MAX_RANK];
    access_result_index(c, kernel, &d, r, index);
    bool whole_before = d.main && !access_is_reduction(d.main); /* operands are read all over */
    bool ok = !w.misaligned && !w.overrun;
    for (uint32_t i = 0; i < w.visits.len && ok; i++) {
        const access_visit *v = &w.visits.at[i];
        if (v->node == in) {
            ok = access_same_index(v->index, index, t->rank) && !(whole_before && v->stage != 0);
        }
    }
    arena_release(a, mark);
    return ok;
}

bool plan_may_overwrite(ir_ctx *c, arena *a, const ir_node *kernel, uint32_t operand, uint32_t r)
{
    return kernel->n_results == 1 && reads_same_place(c, a, kernel, operand, r);
}

/* Facts -------------------------------------------------------------------------------------- */

static void count_uses(region *r)
{
    uint32_t size = ir_graph_size(r->g), epoch = 0;
    bool after_loop = false;
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        if (!values_is_item(n)) {
            continue;
        }
        r->last = n;
        epoch += n->op == IR_OP_loop || after_loop || ir_node_int(n, IR_ATTR_barrier, 0) == 1;
        after_loop = n->op == IR_OP_loop;
        r->epoch[i] = epoch;
        r->copy[i] = arena_array(r->a, bool, n->n_in);
        for (uint32_t k = 0; k < n->n_in; k++) {
            value *v = &r->values[values_of(r->t, n->in[k])];
            vec_push(r->a, &v->uses, ((use){i, k}));
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        value *v = &r->values[values_of(r->t, ir_graph_output(r->g, i)->node)];
        vec_push(r->a, &v->uses, ((use){END, i}));
    }
}

static int64_t loop_int(const region *r, ir_attr_key key)
{
    return r->loop ? ir_node_int(r->loop, key, 0) : 0;
}

static bool is_carry(const region *r, uint32_t v)
{
    const ir_node *n = r->t->nodes[v];
    return n->op == IR_OP_input && r->loop &&
           ir_node_int(n, IR_ATTR_index, 0) < loop_int(r, IR_ATTR_carries);
}

/* Is its buffer ours to write? */
static bool writable(const region *r, uint32_t v)
{
    const ir_node *n = r->t->nodes[v];
    return values_is_item(n) || is_carry(r, v) || (n->op == IR_OP_state && !r->loop);
}

static uint32_t head_of(const region *r, uint32_t v)
{
    while (r->values[v].prev != NONE) {
        v = r->values[v].prev;
    }
    return v;
}

/* Made in this graph, from its first value on: not a carry, a state, or anything from outside. */
static bool made_here(const region *r, uint32_t v)
{
    return values_is_item(r->t->nodes[head_of(r, v)]);
}

static bool chain_claimed(const region *r, uint32_t v)
{
    for (v = head_of(r, v); v != NONE; v = r->values[v].next) {
        if (r->values[v].claimed) {
            return true;
        }
    }
    return false;
}

/* Consumption in place ------------------------------------------------------------------------- */

/* May the item at `at` take over the buffer of v, its operand k? */
static bool may_consume(region *r, uint32_t v, uint32_t at, uint32_t k)
{
    const value *x = &r->values[v];
    if (!writable(r, v) || x->next != NONE) {
        return false;
    }
    for (uint32_t i = 0; i < x->uses.len; i++) {
        use u = x->uses.at[i];
        if (u.at > at || (u.at == at && u.operand != k)) {
            return false;
        }
    }
    return true;
}

static void follow(region *r, uint32_t v, uint32_t result)
{
    r->values[v].next = result;
    r->values[result].prev = v;
}

static void chain_item(region *r, const ir_node *n)
{
    uint32_t first = r->t->first[n->id];
    uint32_t carries = n->op == IR_OP_loop ? (uint32_t)ir_node_int(n, IR_ATTR_carries, 0) : 0;
    for (uint32_t i = 0; i < n->n_results; i++) {
        int64_t k = n->op == IR_OP_loop ? (i < carries ? (int64_t)i : -1) : values_inplace(n, i);
        if (k < 0) {
            continue;
        }
        uint32_t v = values_of(r->t, n->in[k]);
        if (may_consume(r, v, n->id, (uint32_t)k)) {
            follow(r, v, first + i);
        } else {
            r->copy[n->id][k] = true;
            r->meet[n->id] = true;
        }
    }
}

/* One chain in the place of another ------------------------------------------------------------ */

/* Is everything of x's chain dead when the value h is made? Asks for a meeting before that where
 * threads might still be reading. */
static bool dead_before(region *r, uint32_t x, uint32_t h)
{
    const ir_node *maker = r->t->nodes[h];
    uint32_t at = maker->id;
    bool meet = false;
    for (uint32_t v = head_of(r, x); v != NONE; v = r->values[v].next) {
        const ir_node *n = r->t->nodes[v];
        if (values_is_item(n) && n->id >= at) {
            return false;
        }
        for (uint32_t i = 0; i < r->values[v].uses.len; i++) {
            use u = r->values[v].uses.at[i];
            if (u.at > at) {
                return false;
            }
            if (u.at == at) {
                if (maker->op != IR_OP_kernel ||
                    !plan_may_overwrite(r->ctx, r->a, maker, u.operand, r->t->results[h])) {
                    return false;
                }
            } else {
                meet |= r->epoch[u.at] == r->epoch[at];
            }
        }
        meet |= values_is_item(n) && r->epoch[n->id] == r->epoch[at] && n->id != at;
    }
    r->meet[at] |= meet;
    return true;
}

static void claim(region *r, uint32_t v)
{
    r->values[v].claimed = true;
}

/* May v's chain be made right in the place that belongs to the chain of `owner`? */
static bool settle(region *r, uint32_t v, uint32_t owner)
{
    if (head_of(r, v) == head_of(r, owner)) {
        return r->values[v].next == NONE;
    }
    if (!made_here(r, v) || chain_claimed(r, v) || r->values[v].next != NONE ||
        !dead_before(r, owner, head_of(r, v))) {
        return false;
    }
    claim(r, v);
    return true;
}

/* Is the value kept in the place of a carry or a state other than `own`, which a copy at the end
 * may overwrite? */
static bool in_others_place(const region *r, uint32_t v, uint32_t own)
{
    uint32_t head = head_of(r, v);
    bool shared = is_carry(r, head) || r->t->nodes[head]->op == IR_OP_state;
    return (shared || chain_claimed(r, v)) && (own == NONE || head != head_of(r, own));
}

static void settle_carries(region *r)
{
    uint32_t carries = (uint32_t)loop_int(r, IR_ATTR_carries);
    for (uint32_t i = 0; i < carries; i++) {
        uint32_t v = values_of(r->t, ir_graph_output(r->g, i)->node);
        uint32_t owner = values_of(r->t, ir_graph_input(r->g, i));
        if (!settle(r, v, owner)) {
            r->copy_output[i] = true;
        }
    }
}

static void settle_states(region *r)
{
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        if (o->kind != IR_OUTPUT_STATE || r->loop) {
            continue;
        }
        uint32_t v = values_of(r->t, o->node), owner = NONE;
        for (uint32_t k = 0; k < r->t->n; k++) {
            const ir_node *n = r->t->nodes[k];
            if (n->op == IR_OP_state && ir_node_str(n, IR_ATTR_name) == o->name) {
                owner = k;
            }
        }
        if (owner == NONE) { /* written without ever being read */
            if (made_here(r, v) && !chain_claimed(r, v) && r->values[v].next == NONE) {
                claim(r, v);
            } else {
                r->copy_output[i] = true;
            }
        } else if (!settle(r, v, owner)) {
            r->copy_output[i] = true;
        }
    }
}

/* Results, collected values, the loop's condition: in a place of their own. */
static void settle_others(region *r)
{
    uint32_t carries = (uint32_t)loop_int(r, IR_ATTR_carries);
    uint32_t collects = (uint32_t)loop_int(r, IR_ATTR_collects);
    for (uint32_t i = carries; i < ir_graph_n_outputs(r->g); i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        if (o->kind == IR_OUTPUT_STATE && !r->loop) {
            continue;
        }
        uint32_t v = values_of(r->t, o->node);
        if (r->loop && i >= carries + collects) { /* the condition: anywhere that stays */
            r->copy_output[i] = in_others_place(r, v, NONE) || !values_is_item(r->t->nodes[v]);
        } else if (made_here(r, v) && !chain_claimed(r, v) && r->values[v].next == NONE) {
            claim(r, v);
        } else {
            r->copy_output[i] = true;
        }
    }
}

/* Which of the copies read a place that another copy writes? They are saved first. */
static void mark_twice(region *r)
{
    uint32_t carries = (uint32_t)loop_int(r, IR_ATTR_carries);
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        bool fixed = r->loop ? i < carries : o->kind == IR_OUTPUT_STATE;
        uint32_t v = values_of(r->t, o->node);
        uint32_t head = head_of(r, v);
        bool shared = is_carry(r, head) || r->t->nodes[head]->op == IR_OP_state;
        if (r->copy_output[i] && fixed && shared) {
            r->copy_twice[i] = true;
        }
    }
}

/* Copies without a meeting --------------------------------------------------------------------- */

/* A map that gives every element to the thread that a copy of t gives it to. */
static bool shared_as_copy(const ir_node *n, const ir_type *t)
{
    ir_attr split, grain;
    partition_map_split(t, &split, &grain);
    bool ok = n->op == IR_OP_kernel && strcmp(ir_node_str(n, IR_ATTR_family), "map") == 0 &&
              ir_node_int(n, IR_ATTR_split, -1) == split.i &&
              ir_node_int(n, IR_ATTR_grain, 0) == grain.i;
    for (uint32_t i = 0; i < n->n_results && ok; i++) {
        ok = n->types[i] == t && values_inplace(n, i) < 0;
    }
    return ok;
}

/* Have all threads met since x was read, but for one item, that reads of it what each has? */
static bool only_own_readers(region *r, uint32_t x, uint32_t epoch)
{
    const value *v = &r->values[x];
    bool ok = v->prev == NONE && v->next == NONE;
    uint32_t reader = NONE;
    for (uint32_t i = 0; i < v->uses.len && ok; i++) {
        use u = v->uses.at[i];
        if (u.at == END) {
            ok = false;
        } else if (r->epoch[u.at] == epoch) {
            const ir_node *n = ir_graph_node(r->g, u.at);
            ok = (reader == NONE || reader == u.at) &&
                 shared_as_copy(n, ir_node_type(r->t->nodes[x])) &&
                 reads_same_place(r->ctx, r->a, n, u.operand, 0);
            reader = u.at;
        }
    }
    return ok;
}

/* May every thread copy output i as soon as it has made its own share? What other outputs' copies
 * read or write is theirs alone, or of the same shares. */
static bool copies_own(region *r, uint32_t i)
{
    const ir_node *x = ir_graph_output(r->g, i)->node, *last = r->last;
    const ir_node *maker = r->t->nodes[values_of(r->t, x)];
    if (!last || last->op != IR_OP_kernel || r->copy_twice[i] ||
        !shared_as_copy(maker, ir_node_type(x))) {
        return false;
    }
    bool carry = r->loop && i < (uint32_t)loop_int(r, IR_ATTR_carries);
    return carry ? only_own_readers(r, values_of(r->t, ir_graph_input(r->g, i)), r->epoch[last->id])
                 : r->loop != NULL;
}

/* Building anew -------------------------------------------------------------------------------- */

typedef struct build {
    region *r;
    ir_graph *g;
    const ir_node **new_of;
} build;

static const ir_node *add_map_kernel(build *b, const char *what, const ir_node *operand,
                                     ir_graph *body, const ir_type *t, bool meet, ir_loc loc)
{
    region *r = b->r;
    intern_table *names = ir_ctx_names(r->ctx);
    ir_attr attrs[5] = {
        ir_attr_s(IR_ATTR_name, intern_printf(names, "%s_%u", what, (*r->number)++)),
        ir_attr_s(IR_ATTR_family, intern(names, "map")),
        ir_attr_i(IR_ATTR_barrier, meet),
    };
    partition_map_split(t, &attrs[3], &attrs[4]);
    return ir_graph_add(b->g, IR_OP_kernel, operand ? 1 : 0, &operand, 1, &t, 5, attrs, 1, &body,
                        loc);
}

static const ir_node *add_copy(build *b, const ir_node *x, bool meet)
{
    ir_graph *body = ir_graph_create(b->r->ctx, "body");
    const ir_type *t = ir_node_type(x);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "y0", ir_graph_add_input(body, "x0", t, x->loc));
    return add_map_kernel(b, "copy", x, body, t, meet, x->loc);
}

static const ir_node *add_zeros(build *b, const ir_type *t, ir_loc loc)
{
    ir_builder ib = {.ctx = b->r->ctx, .graph = ir_graph_create(b->r->ctx, "body"), .loc = loc};
    const ir_node *zero =
        ir_dtype_is_float(t->dtype) ? ir_const_f(&ib, t->dtype, 0) : ir_const_i(&ib, t->dtype, 0);
    ir_attr shape = ir_attr_ds(IR_ATTR_shape, t->rank, t->dims);
    const ir_node *all =
        ir_graph_add(ib.graph, IR_OP_broadcast, 1, &zero, 1, &t, 1, &shape, 0, NULL, loc);
    ir_graph_add_output(ib.graph, IR_OUTPUT_RESULT, "y0", all);
    return add_map_kernel(b, "zero", NULL, ib.graph, t, true, loc);
}

static ir_graph *prepare(pass_ctx *c, plan_prepared *out, const ir_graph *g, const ir_node *loop,
                         uint32_t *number);

static void copy_item(build *b, const ir_node *n)
{
    region *r = b->r;
    const ir_node **in = arena_array(r->a, const ir_node *, n->n_in);
    for (uint32_t k = 0; k < n->n_in; k++) {
        in[k] = b->new_of[n->in[k]->id];
        if (r->copy[n->id] && r->copy[n->id][k]) {
            in[k] = add_copy(b, in[k], true);
        }
    }
    if (n->op != IR_OP_loop) {
        ir_attr meet = ir_attr_i(IR_ATTR_barrier, 1);
        b->new_of[n->id] = ir_graph_copy_node_attrs(b->g, n, in, r->meet[n->id], &meet);
        return;
    }
    bool may_end_early = ir_node_int(n, IR_ATTR_cond, 0) != 0;
    uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    const ir_node *zeros[16] = {NULL};
    for (uint32_t i = carries; i < n->n_results && may_end_early; i++) {
        zeros[i] = add_zeros(b, n->types[i], n->loc);
    }
    ir_graph *body = prepare(r->c, r->out, n->bodies[0], n, r->number);
    b->new_of[n->id] = ir_graph_copy_node_bodies(b->g, n, in, &body);
    for (uint32_t i = 0; i < n->n_results; i++) {
        if (zeros[i]) {
            vec_push(r->a, &r->out->zeros, ((plan_zero){zeros[i], b->new_of[n->id], i}));
        }
    }
}

static void add_outputs(build *b)
{
    region *r = b->r;
    uint32_t n = ir_graph_n_outputs(r->g), carries = (uint32_t)loop_int(r, IR_ATTR_carries);
    const ir_node **made = arena_array(r->a, const ir_node *, n);
    /* First what goes elsewhere or is to be saved, then what overwrites carries and states. */
    for (uint32_t i = 0; i < n; i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        bool fixed = r->loop ? i < carries : o->kind == IR_OUTPUT_STATE;
        made[i] = b->new_of[o->node->id];
        if (r->copy_output[i] && (!fixed || r->copy_twice[i])) {
            made[i] = add_copy(b, made[i], !copies_own(r, i));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        bool fixed = r->loop ? i < carries : o->kind == IR_OUTPUT_STATE;
        if (r->copy_output[i] && fixed) {
            made[i] = add_copy(b, made[i], !copies_own(r, i));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        ir_graph_add_output(b->g, o->kind, o->name, made[i]);
    }
}

static ir_graph *prepare(pass_ctx *c, plan_prepared *out, const ir_graph *g, const ir_node *loop,
                         uint32_t *number)
{
    arena *a = c->scratch;
    uint32_t size = ir_graph_size(g), n_outputs = ir_graph_n_outputs(g);
    region r = {.c = c,
                .ctx = ir_graph_ctx(g),
                .a = a,
                .out = out,
                .number = number,
                .g = g,
                .loop = loop,
                .t = values_create(g, a),
                .epoch = arena_array(a, uint32_t, size),
                .meet = arena_array(a, bool, size),
                .copy = arena_array(a, bool *, size),
                .copy_output = arena_array(a, bool, n_outputs),
                .copy_twice = arena_array(a, bool, n_outputs)};
    r.values = arena_array(a, value, r.t->n);
    for (uint32_t i = 0; i < r.t->n; i++) {
        r.values[i].prev = r.values[i].next = NONE;
    }
    count_uses(&r);
    for (uint32_t i = 0; i < size; i++) {
        if (values_is_item(ir_graph_node(g, i))) {
            chain_item(&r, ir_graph_node(g, i));
        }
    }
    settle_carries(&r);
    settle_states(&r);
    settle_others(&r);
    mark_twice(&r);

    build b = {&r, ir_graph_begin_rewrite(g), arena_array(a, const ir_node *, size)};
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        b.new_of[ir_graph_input(g, i)->id] = ir_graph_input(b.g, i);
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (!b.new_of[i]) {
            copy_item(&b, n);
        }
    }
    add_outputs(&b);
    return b.g;
}

plan_prepared *plan_prepare(pass_ctx *c, const ir_graph *g)
{
    plan_prepared *p = arena_new(c->scratch, plan_prepared);
    uint32_t number = rewrite_count_kernels(g);
    p->g = prepare(c, p, g, NULL, &number);
    return p;
}
