/* Random programs over [T, U]-like values: most ops of the table, loops, a state, a parameter.
 * Values stay tame (within a few units), so that bounds can be tight. */
#ifndef AIGC_TESTS_DIFF_RANDOM_H
#define AIGC_TESTS_DIFF_RANDOM_H

#include "diff_cases.h"

typedef struct program {
    maker k;
    uint64_t seed;
    const ir_node *values[96];
    uint32_t n;
    int depth;
    bool attends; /* attention may come about: it is computed in f32 */
} program;

static inline uint32_t pick(program *p, uint32_t n)
{
    p->seed = hash_mix(p->seed + 0x9e3779b97f4a7c15u);
    return (uint32_t)(p->seed >> 33) % n;
}

static inline const ir_node *any(program *p)
{
    return p->values[p->n - 1 - pick(p, p->n < 10 ? p->n : 10)];
}

/* Anything the rules refused is forgotten. */
static inline void keep(program *p, const ir_node *n)
{
    if (n && p->n < 96) {
        p->values[p->n++] = n;
    }
    p->k.b.failed = false;
    p->k.b.error.text[0] = 0;
}

static inline const ir_node *with_rank(program *p, uint32_t rank)
{
    for (int i = 0; i < 12; i++) {
        const ir_node *x = any(p);
        if (ir_node_type(x)->rank == rank) {
            return x;
        }
    }
    return p->values[0];
}

/* A value of the shape, or any made so. */
static inline const ir_node *shaped(program *p, const ir_type *t)
{
    for (int i = 0; i < 10; i++) {
        const ir_node *x = any(p);
        if (ir_node_type(x) == t) {
            return x;
        }
    }
    return ir_broadcast(&p->k.b, ir_const_f(&p->k.b, p->k.t, 0.375), t->rank, t->dims);
}

static inline const ir_node *tame(program *p, const ir_node *x)
{
    return x ? ir_unary(&p->k.b, pick(p, 2) ? IR_OP_tanh : IR_OP_sigmoid, x) : NULL;
}

static inline void grow_elementwise(program *p)
{
    static const ir_op unaries[] = {IR_OP_neg,     IR_OP_tanh,      IR_OP_relu,
                                    IR_OP_sigmoid, IR_OP_gelu_tanh, IR_OP_sin,
                                    IR_OP_abs,     IR_OP_silu,      IR_OP_softplus};
    static const ir_op binaries[] = {IR_OP_add, IR_OP_sub, IR_OP_max, IR_OP_min};
    ir_builder *b = &p->k.b;
    const ir_node *x = any(p);
    switch (pick(p, 6)) {
    case 0:
        keep(p, ir_unary(b, unaries[pick(p, 9)], x));
        return;
    case 1:
        keep(p, ir_binary(b, IR_OP_mul, tame(p, x), any(p))); /* broadcasts, where it can */
        return;
    case 2:
        keep(p, ir_binary(b, binaries[pick(p, 4)], x, any(p)));
        return;
    case 3: {
        uint32_t rank = ir_node_type(x)->rank;
        if (rank) {
            const ir_node *i = ir_iota(b, IR_i64, rank, ir_node_type(x)->dims, pick(p, rank));
            const ir_node *odd = ir_binary(b, IR_OP_mod, i, ir_const_i(b, IR_i64, 3));
            keep(p, ir_where(b, ir_binary(b, IR_OP_gt, odd, ir_const_i(b, IR_i64, 0)), x,
                             shaped(p, ir_node_type(x))));
        }
        return;
    }
    default:
        keep(p, ir_binary(b, binaries[pick(p, 2)], x, shaped(p, ir_node_type(x))));
    }
}

static inline void grow_move(program *p)
{
    ir_builder *b = &p->k.b;
    ir_ctx *c = p->k.d->c;
    const ir_node *x = with_rank(p, 2);
    const ir_type *t = ir_node_type(x);
    const ir_dim *zero = K(&p->k, 0), *two = K(&p->k, 2);
    if (t->rank != 2) {
        return;
    }
    switch (pick(p, 9)) {
    case 0:
        keep(p, ir_transpose(b, x, (int64_t[]){1, 0}));
        return;
    case 1: {
        const ir_dim *lo[2] = {pick(p, 2) ? zero : two, zero},
                     *hi[2] = {zero, pick(p, 2) ? two : p->k.U};
        keep(p, ir_pad(b, x, lo, hi, 0.5));
        return;
    }
    case 2: { /* what was padded, or a first row */
        const ir_dim *at[2] = {zero, K(&p->k, pick(p, 2))},
                     *size[2] = {t->dims[0], ir_dim_offset(c, t->dims[1], -2)};
        if (ir_dim_le(c, two, t->dims[1]) == IR_ALWAYS) {
            keep(p, ir_slice(b, x, at, size, NULL));
        }
        return;
    }
    case 3: {
        const ir_node *parts[2] = {x, shaped(p, t)};
        keep(p, ir_concat(b, 2, parts, pick(p, 2)));
        return;
    }
    case 4:
        keep(p, ir_reverse_of(&p->k, x, 1, (int64_t[]){pick(p, 2)}));
        return;
    case 5:
        keep(p, ir_reshape(b, x, DIMS(ir_dim_mul(c, t->dims[0], t->dims[1]))));
        return;
    case 6: {
        const ir_dim *big[2] = {ir_dim_offset(c, t->dims[0], 3), t->dims[1]},
                     *at[2] = {K(&p->k, pick(p, 4)), zero};
        keep(p, ir_update(b, shaped(p, ir_type_get(c, p->k.t, 2, big)), x, at));
        return;
    }
    case 7: { /* rows by number */
        const ir_node *i = ir_iota(b, IR_i64, DIMS(p->k.T), 0);
        i = ir_binary(b, IR_OP_mul, i, ir_const_i(b, IR_i64, 5));
        if (ir_dim_le(c, K(&p->k, 1), t->dims[0]) == IR_ALWAYS) {
            keep(p, ir_take(b, x, i, 0));
        }
        return;
    }
    default:
        keep(p, ir_reshape(b, x, DIMS(t->dims[0], K(&p->k, 1), t->dims[1])));
    }
}

static inline void grow_along(program *p)
{
    ir_builder *b = &p->k.b;
    const ir_node *x = any(p);
    const ir_type *t = ir_node_type(x);
    if (!t->rank) {
        return;
    }
    int64_t axis = pick(p, t->rank);
    ir_attr a[3] = {ir_attr_i(IR_ATTR_axis, axis), ir_attr_i(IR_ATTR_reverse, pick(p, 2)),
                    ir_attr_i(IR_ATTR_exclusive, pick(p, 2))};
    ir_attr n[2] = {ir_attr_is(IR_ATTR_axes, 1, &axis), ir_attr_f(IR_ATTR_eps, 0.5)};
    switch (pick(p, 8)) {
    case 0:
        keep(p, tame(p, ir_reduce(b, IR_OP_reduce_sum, x, 1, &axis, pick(p, 2))));
        return;
    case 1:
        keep(p, ir_unary(b, IR_OP_tanh,
                         ir_reduce(b, pick(p, 2) ? IR_OP_reduce_max : IR_OP_reduce_min, x, 1, &axis,
                                   pick(p, 2))));
        return;
    case 2:
        keep(p, ir_build(b, IR_OP_softmax, 1, &x, 1, a, 0, NULL));
        return;
    case 3: { /* softmax, written out */
        const ir_node *e =
            ir_unary(b, IR_OP_exp,
                     ir_binary(b, IR_OP_sub, x, ir_reduce(b, IR_OP_reduce_max, x, 1, &axis, true)));
        keep(p, ir_binary(b, IR_OP_div, e, ir_reduce(b, IR_OP_reduce_sum, e, 1, &axis, true)));
        return;
    }
    case 4:
        keep(p, tame(p, ir_build(b, IR_OP_cumsum, 1, &x, 3, a, 0, NULL)));
        return;
    case 5:
        keep(p, ir_build(b, IR_OP_sort, 1, &x, 1, a, 0, NULL));
        return;
    case 6:
        keep(p, ir_build(b, pick(p, 2) ? IR_OP_layer_norm : IR_OP_rms_norm, 1, &x, 2, n, 0, NULL));
        return;
    default: { /* rms norm, written out */
        const ir_node *ss =
            ir_reduce(b, IR_OP_reduce_mean, ir_binary(b, IR_OP_mul, x, x), 1, &axis, true);
        keep(p, ir_binary(b, IR_OP_mul, x,
                          ir_unary(b, IR_OP_rsqrt,
                                   ir_binary(b, IR_OP_add, ss, ir_const_f(b, p->k.t, 0.5)))));
    }
    }
}

static inline void grow_product(program *p)
{
    ir_builder *b = &p->k.b;
    const ir_node *x = with_rank(p, 2), *y = with_rank(p, 2);
    const ir_type *t = ir_node_type(x), *u = ir_node_type(y);
    if (t->rank != 2 || u->rank != 2) {
        return;
    }
    int64_t turn[2] = {1, 0}, last = 1;
    switch (pick(p, 4)) {
    case 0:
        if (t->dims[1] == u->dims[1]) {
            keep(p, tame(p, ir_matmul(b, x, ir_transpose(b, y, turn))));
        }
        return;
    case 1:
        if (t->dims[1] == u->dims[0]) { /* with an epilogue */
            const ir_node *z = ir_matmul(b, x, y);
            keep(p, tame(p, ir_binary(b, IR_OP_add, z, shaped(p, ir_node_type(z)))));
        }
        return;
    case 2:
        keep(p, tame(p, ir_contract(b, x, x, "ij", "ij", "i")));
        return;
    default:
        if (p->attends && t->dims[1] == u->dims[1]) {
            const ir_node *s = ir_matmul(b, x, ir_transpose(b, y, turn));
            s = ir_binary(b, IR_OP_mul, s, ir_const_f(b, p->k.t, 0.25));
            ir_attr a = ir_attr_i(IR_ATTR_axis, last);
            s = s ? ir_build(b, IR_OP_softmax, 1, &s, 1, &a, 0, NULL) : NULL;
            keep(p, s ? ir_matmul(b, s, y) : NULL);
        }
    }
}

static inline void grow_loop(program *p);

static inline void grow(program *p)
{
    switch (pick(p, 12)) {
    case 0:
    case 1:
    case 2:
        grow_move(p);
        return;
    case 3:
    case 4:
        grow_along(p);
        return;
    case 5:
    case 6:
        grow_product(p);
        return;
    case 7:
        if (p->depth < 2) {
            grow_loop(p);
        }
        return;
    default:
        grow_elementwise(p);
    }
}

/* One or two carries, perhaps a collected value, captures, an end that depends on the values'
 * number. */
static inline void grow_loop(program *p)
{
    maker *k = &p->k;
    ir_builder outer = k->b;
    uint32_t n_carries = 1 + pick(p, 2), n_captures = 1 + pick(p, 2), n_collects = pick(p, 2);
    const ir_node *in[4];
    const ir_dim *lo = K(k, pick(p, 2)), *hi = pick(p, 2) ? K(k, 3) : k->T;
    program body = {
        .k = *k, .seed = hash_mix(p->seed ^ 77), .depth = p->depth + 1, .attends = p->attends};
    char name[32];
    snprintf(name, sizeof name, "i%llu", (unsigned long long)(p->seed % 1000000007));
    const ir_sym *s = ir_sym_loop(k->d->c, word(k, name), lo, hi, 1);
    body.k.b.graph = ir_graph_create(k->d->c, "turn");
    for (uint32_t i = 0; i < n_carries + n_captures; i++) {
        in[i] = any(p);
        snprintf(name, sizeof name, "v%u", i);
        keep(&body,
             ir_graph_add_input(body.k.b.graph, word(k, name), ir_node_type(in[i]), k->b.loc));
    }
    const ir_node *turn = ir_cast(&body.k.b, ir_dim_node(&body.k.b, ir_dim_sym(k->d->c, s)), k->t);
    keep(&body, tame(&body, turn));
    uint32_t steps = 2 + pick(p, 8);
    for (uint32_t i = 0; i < steps; i++) {
        grow(&body);
    }
    for (uint32_t i = 0; i < n_carries; i++) {
        snprintf(name, sizeof name, "v%u", i);
        ir_graph_add_output(body.k.b.graph, IR_OUTPUT_RESULT, word(k, name),
                            shaped(&body, ir_node_type(in[i])));
    }
    for (uint32_t i = 0; i < n_collects; i++) {
        ir_graph_add_output(body.k.b.graph, IR_OUTPUT_RESULT, word(k, "row"), any(&body));
    }
    bool cond = pick(p, 4) == 0;
    if (cond) {
        const ir_node *i = ir_dim_node(&body.k.b, ir_dim_sym(k->d->c, s));
        ir_graph_add_output(body.k.b.graph, IR_OUTPUT_RESULT, word(k, "go"),
                            ir_binary(&body.k.b, IR_OP_lt, i, ir_const_i(&body.k.b, IR_i64, 1)));
    }
    k->b = outer;
    const ir_node *loop = ir_loop(&k->b, n_carries + n_captures, in, n_carries, n_collects, cond, s,
                                  lo, hi, 1, body.k.b.graph);
    for (uint32_t i = 0; loop && i < n_carries + n_collects; i++) {
        const ir_node *y = ir_get(&k->b, loop, i);
        keep(p, ir_node_type(y)->rank <= 3 ? y : NULL);
    }
    k->b.failed = false;
}

static inline void add_program(diff_module *d, uint64_t seed, ir_dtype t)
{
    diff_entry e = {
        .fills = {FILL_SMALL, FILL_SMALL, FILL_SMALL, FILL_SMALL}
    };
    program p = {.seed = hash_mix(seed + 1), .attends = t == IR_f32};
    maker *k = &p.k;
    snprintf(e.name, sizeof e.name, "seed_%llu_%s", (unsigned long long)seed, ir_dtype_name(t));
    *k = (maker){
        .d = d, .e = &e, .t = t, .T = ir_dim_sym(d->c, d->t_sym), .U = ir_dim_sym(d->c, d->u_sym)};
    k->b = (ir_builder){.ctx = d->c, .graph = ir_graph_create(d->c, word(k, e.name))};
    k->b.conditions = NULL; /* only what always fits */
    ir_graph_add_sym(k->b.graph, d->t_sym, false);
    ir_graph_add_sym(k->b.graph, d->u_sym, false);
    keep(&p, arg(k, t, FILL_SMALL, DIMS(k->T, k->U)));
    keep(&p, arg(k, t, FILL_SMALL, DIMS(k->T, k->U)));
    keep(&p, arg(k, t, FILL_SMALL, DIMS(k->U, K(k, 13))));
    keep(&p, arg(k, t, FILL_SMALL, DIMS(K(k, 13), K(k, 7))));
    keep(&p, ir_cast(&k->b, ir_param_node(&k->b, "w", d->m.params[0].type, 0, NULL), t));
    const ir_node *state = ir_state_node(&k->b, "s", d->m.states[0].type);
    keep(&p, ir_cast(&k->b, state, t));
    uint32_t steps = 6 + pick(&p, 22);
    for (uint32_t i = 0; i < steps; i++) {
        grow(&p);
    }
    const ir_node *next =
        ir_cast(&k->b, shaped(&p, ir_type_with_dtype(d->c, ir_node_type(state), t)), IR_f32);
    const ir_dim *rows[2] = {K(k, 3), K(k, 7)}, *at[2] = {K(k, 5), K(k, 0)};
    const ir_node *part = ir_cast(&k->b, shaped(&p, ir_type_get(d->c, t, 2, rows)), IR_f32);
    switch (pick(&p, 3)) {
    case 0:
        next = state;
        break;
    case 1:
        next = ir_update(&k->b, state, part, at);
        break;
    }
    ir_graph_add_output(k->b.graph, IR_OUTPUT_STATE, word(k, "s"), next);
    uint32_t n = 1 + pick(&p, 3);
    for (uint32_t i = 0; i < n; i++) {
        out(k, any(&p));
    }
    /* Additions come in another order; what follows a program's many steps is larger by then. */
    e.bound = t == IR_f64 ? (diff_bound){.scale = 1e4, .least = 1e-11}
                          : (diff_bound){.scale = 512, .least = 2e-5};
    diff_add_entry(d, &e, k->b.graph);
}

#endif
