/* Random graphs for the tests of kernels and plans. */
#ifndef AIGC_TESTS_PLAN_RANDOM_H
#define AIGC_TESTS_PLAN_RANDOM_H

#include "plan_graphs.h"

#include "support/map.h"

typedef struct maker {
    fixture *f;
    uint64_t seed;
    const ir_node *values[64];
    uint32_t n;
    const ir_dim *sizes[4];
    int depth;
} maker;

static inline uint32_t pick(maker *m, uint32_t n)
{
    m->seed = hash_mix(m->seed + 0x9e3779b97f4a7c15u);
    return (uint32_t)(m->seed >> 33) % n;
}

static inline const ir_node *any(maker *m)
{
    return m->values[m->n - 1 - pick(m, m->n < 8 ? m->n : 8)];
}

static inline void keep(maker *m, const ir_node *n)
{
    if (n && m->n < 64) {
        m->values[m->n++] = n;
    } else {
        m->f->b.failed = false;
    }
}

/* A value of exactly the type, or any made so. */
static inline const ir_node *of_type(maker *m, const ir_type *t)
{
    for (uint32_t i = 0; i < 8; i++) {
        const ir_node *x = any(m);
        if (ir_node_type(x) == t) {
            return x;
        }
    }
    const ir_node *zero = ir_const_f(&m->f->b, IR_f32, 0.5);
    return ir_broadcast(&m->f->b, zero, t->rank, t->dims);
}

static inline void make_loop(maker *m);

static inline void make_one(maker *m)
{
    fixture *f = m->f;
    ir_builder *b = &f->b;
    static const ir_op unaries[] = {IR_OP_exp, IR_OP_neg, IR_OP_tanh, IR_OP_relu, IR_OP_sigmoid};
    static const ir_op binaries[] = {IR_OP_add, IR_OP_mul, IR_OP_sub, IR_OP_max};
    const ir_node *x = any(m);
    const ir_type *t = ir_node_type(x);
    const ir_dim *zero = K(f, 0);
    int64_t axis = t->rank ? pick(m, t->rank) : 0;
    switch (pick(m, 14)) {
    case 0:
    case 1:
        keep(m, ir_unary(b, unaries[pick(m, 5)], x));
        return;
    case 2:
    case 3:
    case 4:
        keep(m, ir_binary(b, binaries[pick(m, 4)], x, of_type(m, t)));
        return;
    case 5:
        if (t->rank == 2) {
            int64_t perm[2] = {1, 0};
            keep(m, ir_transpose(b, x, perm));
        }
        return;
    case 6:
        if (t->rank) {
            keep(m, ir_reduce(b, pick(m, 2) ? IR_OP_reduce_sum : IR_OP_reduce_max, x, 1, &axis,
                              pick(m, 2)));
        }
        return;
    case 7:
        if (t->rank) {
            ir_attr a = ir_attr_i(IR_ATTR_axis, axis);
            keep(m, ir_build(b, IR_OP_softmax, 1, &x, 1, &a, 0, NULL));
        }
        return;
    case 8:
        if (t->rank == 2) {
            const ir_node *y = ir_broadcast(b, ir_const_f(b, IR_f32, 0.1),
                                            SHAPE(t->dims[1], m->sizes[pick(m, 4)]));
            const ir_node *w = pick(m, 2) ? ir_unary(b, IR_OP_neg, y) : y;
            keep(m, ir_matmul(b, x, w));
        }
        return;
    case 9:
        if (t->rank == 2) {
            const ir_node *parts[2] = {x, of_type(m, t)};
            keep(m, ir_concat(b, 2, parts, (uint32_t)axis));
        }
        return;
    case 10:
        if (t->rank == 2 && ir_dim_is_const(t->dims[1]) && ir_dim_value(t->dims[1]) > 3) {
            const ir_dim *at[2] = {zero, K(f, 1)};
            const ir_dim *sizes[2] = {t->dims[0], ir_dim_offset(f->c, t->dims[1], -2)};
            keep(m, ir_slice(b, x, at, sizes, NULL));
        }
        return;
    case 11:
        if (t->rank == 2) { /* into a larger buffer */
            const ir_dim *dims[2] = {ir_dim_offset(f->c, t->dims[0], 3), t->dims[1]};
            const ir_node *dst = of_type(m, F32(f, 2, dims));
            const ir_dim *at[2] = {K(f, pick(m, 4)), zero};
            keep(m, ir_update(b, dst, x, at));
        }
        return;
    case 12:
        if (t->rank == 2) {
            keep(m, ir_reshape(b, x, SHAPE(ir_dim_mul(f->c, t->dims[0], t->dims[1]))));
        }
        return;
    default:
        if (m->depth < 2) {
            make_loop(m);
        }
    }
}

/* One or two carries and a collected value; captures are drawn from outside. */
static inline void make_loop(maker *m)
{
    fixture *f = m->f;
    ir_builder outer = f->b;
    uint32_t n_carries = 1 + pick(m, 2), n_collects = pick(m, 2), n_captures = pick(m, 3);
    const ir_node *in[5];
    for (uint32_t i = 0; i < n_carries + n_captures; i++) {
        in[i] = any(m);
    }
    maker inner = {.f = f, .seed = hash_mix(m->seed ^ 77), .depth = m->depth + 1};
    memcpy(inner.sizes, m->sizes, sizeof m->sizes);
    f->b.graph = ir_graph_create(f->c, "turn");
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (uint32_t i = 0; i < n_carries + n_captures; i++) {
        keep(&inner, ir_graph_add_input(f->b.graph, names[i], ir_node_type(in[i]), f->b.loc));
    }
    uint32_t steps = 2 + pick(m, 8);
    for (uint32_t i = 0; i < steps; i++) {
        make_one(&inner);
    }
    ir_graph *body = f->b.graph;
    for (uint32_t i = 0; i < n_carries; i++) {
        ir_graph_add_output(body, IR_OUTPUT_RESULT, names[i], of_type(&inner, ir_node_type(in[i])));
    }
    for (uint32_t i = 0; i < n_collects; i++) {
        const ir_node *row = any(&inner);
        ir_graph_add_output(body, IR_OUTPUT_RESULT, "row", row);
    }
    bool cond = pick(m, 4) == 0;
    if (cond) {
        const ir_node *one = ir_const_f(&f->b, IR_f32, 1);
        const ir_node *x = any(&inner);
        int64_t all[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        x = ir_reduce(&f->b, IR_OP_reduce_sum, x, ir_node_type(x)->rank, all, false);
        ir_graph_add_output(body, IR_OUTPUT_RESULT, "go", ir_binary(&f->b, IR_OP_ne, x, one));
    }
    char name[16];
    snprintf(name, sizeof name, "i%u", (uint32_t)(m->seed % 100000));
    const ir_dim *lo = K(f, 0), *hi = pick(m, 2) ? K(f, 3) : f->t;
    const ir_sym *s = ir_sym_loop(f->c, name, lo, hi, 1);
    f->b = outer;
    const ir_node *loop =
        ir_loop(&f->b, n_carries + n_captures, in, n_carries, n_collects, cond, s, lo, hi, 1, body);
    if (!loop) {
        f->b.failed = false;
        ir_graph_destroy(body);
        return;
    }
    for (uint32_t i = 0; i < n_carries + n_collects; i++) {
        const ir_node *y = ir_get(&f->b, loop, i);
        if (ir_node_type(y)->rank <= 2) {
            keep(m, y);
        }
    }
}

static inline void make_graph(maker *m)
{
    fixture *f = m->f;
    keep(m, input(f, "x", SHAPE(f->t, K(f, 16))));
    keep(m, input(f, "y", SHAPE(f->t, K(f, 16))));
    keep(m, param(f, "w", SHAPE(K(f, 16), K(f, 16))));
    const ir_dim *cache[2] = {K(f, 40), K(f, 16)};
    const ir_node *state = ir_state_node(&f->b, "s", F32(f, 2, cache));
    keep(m, state);
    keep(m, input(f, "z", SHAPE(K(f, 7), f->t)));
    uint32_t steps = 4 + pick(m, 20);
    for (uint32_t i = 0; i < steps; i++) {
        make_one(m);
    }
    /* The state at the end: updated, replaced, or as it was. */
    const ir_node *last = state;
    if (pick(m, 3)) {
        const ir_dim *at[2] = {K(f, 1), K(f, 0)};
        last = ir_update(&f->b, state, of_type(m, ir_node_type(m->values[0])), at);
    } else if (pick(m, 2)) {
        last = of_type(m, ir_node_type(state));
    }
    ir_graph_add_output(f->b.graph, IR_OUTPUT_STATE, "s", last);
    uint32_t n = 1 + pick(m, 3);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%u", i);
        result(f, name, any(m));
    }
}

/* Of T in 1..39, with one state. */
static inline fixture *make_random(uint64_t seed, ir_state *s)
{
    fixture *f = fixture_create(1, seed % 3 ? 32 : 100000);
    maker m = {.f = f, .seed = hash_mix(seed + 1)};
    m.sizes[0] = K(f, 16);
    m.sizes[1] = K(f, 7);
    m.sizes[2] = f->t;
    m.sizes[3] = K(f, 1);
    ir_graph_add_condition(f->b.graph, (ir_condition){IR_REL_LE, f->t, K(f, 39), "T <= 39", {0}});
    make_graph(&m);
    const ir_dim *cache[2] = {K(f, 40), K(f, 16)};
    *s = (ir_state){.name = intern(ir_ctx_names(f->c), "s"), .type = F32(f, 2, cache)};
    f->m.states = s;
    f->m.n_states = 1;
    return f;
}

#endif
