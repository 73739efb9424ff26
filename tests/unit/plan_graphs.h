/* Graphs built by hand for the tests of kernels and plans. */
#ifndef AIGC_TESTS_PLAN_GRAPHS_H
#define AIGC_TESTS_PLAN_GRAPHS_H

#include "ir/build.h"
#include "ir/text.h"
#include "passes/pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    arena *a;
    ir_ctx *c;
    ir_builder b;
    ir_module m;
    diag *d;
    const ir_sym *T;
    const ir_dim *t;
} fixture;

static inline fixture *fixture_create(int64_t t_lo, int64_t t_hi)
{
    arena *a = arena_create();
    fixture *f = arena_new(a, fixture);
    f->a = a;
    f->c = ir_ctx_create(a, intern_create(a));
    f->d = diag_create(a, source_map_create(a));
    f->T = ir_sym_get(f->c, "T", t_lo, t_hi);
    f->t = ir_dim_sym(f->c, f->T);
    f->b = (ir_builder){.ctx = f->c, .graph = ir_graph_create(f->c, "forward")};
    f->b.conditions = f->b.graph;
    ir_graph_add_sym(f->b.graph, f->T, false);
    f->m = (ir_module){.ctx = f->c, .name = "m"};
    return f;
}

static inline void destroy_graph(const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        for (uint32_t k = 0; k < ir_graph_node(g, i)->n_bodies; k++) {
            if (ir_graph_node(g, i)->op != IR_OP_attention) {
                destroy_graph(ir_graph_node(g, i)->bodies[k]);
            }
        }
    }
    ir_graph_destroy((ir_graph *)(uintptr_t)(const void *)g);
}

static inline const ir_dim *K(fixture *f, int64_t v)
{
    return ir_dim_const(f->c, v);
}

#define SHAPE(...)                                                                                 \
    (uint32_t)(sizeof((const ir_dim *[]){__VA_ARGS__}) / sizeof(const ir_dim *)),                  \
        (const ir_dim *[])                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static inline const ir_type *F32(fixture *f, uint32_t rank, const ir_dim *const *dims)
{
    return ir_type_get(f->c, IR_f32, rank, dims);
}

static inline const ir_node *input(fixture *f, const char *name, uint32_t rank,
                                   const ir_dim *const *dims)
{
    return ir_graph_add_input(f->b.graph, name, F32(f, rank, dims), f->b.loc);
}

static inline const ir_node *param(fixture *f, const char *name, uint32_t rank,
                                   const ir_dim *const *dims)
{
    return ir_param_node(&f->b, name, F32(f, rank, dims), 0, NULL);
}

static inline void result(fixture *f, const char *name, const ir_node *n)
{
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, name, n);
}

static inline const ir_node *add(fixture *f, const ir_node *x, const ir_node *y)
{
    return ir_binary(&f->b, IR_OP_add, x, y);
}

static inline const ir_node *mul(fixture *f, const ir_node *x, const ir_node *y)
{
    return ir_binary(&f->b, IR_OP_mul, x, y);
}

static inline const ir_node *rms_norm(fixture *f, const ir_node *x, const ir_node *w)
{
    const ir_node *in[2] = {x, w};
    int64_t axis = ir_node_type(x)->rank - 1;
    ir_attr a[2] = {ir_attr_is(IR_ATTR_axes, 1, &axis), ir_attr_f(IR_ATTR_eps, 1e-5)};
    return ir_build(&f->b, IR_OP_rms_norm, 2, in, 2, a, 0, NULL);
}

/* x[T, k] @ w[n, k].T */
static inline const ir_node *linear(fixture *f, const ir_node *x, const char *name, int64_t n,
                                    int64_t k)
{
    const ir_node *w = param(f, name, SHAPE(K(f, n), K(f, k)));
    int64_t perm[2] = {1, 0};
    return ir_matmul(&f->b, x, ir_transpose(&f->b, w, perm));
}

static inline const ir_node *heads(fixture *f, const ir_node *x, int64_t h, int64_t e)
{
    return ir_reshape(&f->b, x, SHAPE(ir_node_type(x)->dims[0], K(f, h), K(f, e)));
}

/* x * cos + [-x2, x1] * sin over [T, h, e]; cos, sin: [T, 1, e]. */
static inline const ir_node *rope(fixture *f, const ir_node *x, const ir_node *cos,
                                  const ir_node *sin)
{
    const ir_type *t = ir_node_type(x);
    int64_t half = ir_dim_value(t->dims[2]) / 2;
    const ir_dim *zero = K(f, 0);
    const ir_dim *lo[3] = {zero, zero, zero}, *hi[3] = {zero, zero, K(f, half)};
    const ir_dim *sizes[3] = {t->dims[0], t->dims[1], K(f, half)};
    const ir_node *parts[2];
    parts[0] = ir_unary(&f->b, IR_OP_neg, ir_slice(&f->b, x, hi, sizes, NULL));
    parts[1] = ir_slice(&f->b, x, lo, sizes, NULL);
    return add(f, mul(f, x, cos), mul(f, ir_concat(&f->b, 2, parts, 2), sin));
}

/* Llama: `layers` turns of one loop over weights and a cache of `ctx` places. */
typedef struct llama {
    int64_t d, h, kv, e, ffn, vocab, layers, ctx;
} llama;

static inline const ir_node *llama_param(fixture *f, const char *name, const ir_dim *layer,
                                         uint32_t rank, const ir_dim *const *dims)
{
    return ir_param_node(&f->b, name, F32(f, rank, dims), 1, &layer);
}

static inline const ir_node *llama_linear(fixture *f, const ir_node *x, const char *name,
                                          const ir_dim *layer, int64_t n, int64_t k)
{
    int64_t perm[2] = {1, 0};
    const ir_node *w = llama_param(f, name, layer, SHAPE(K(f, n), K(f, k)));
    return ir_matmul(&f->b, x, ir_transpose(&f->b, w, perm));
}

static inline const ir_node *cache_write(fixture *f, const ir_node *cache, const ir_node *x,
                                         const ir_dim *layer, const ir_dim *pos)
{
    int64_t perm[3] = {1, 0, 2}; /* [T, kv, e] -> [kv, T, e] */
    const ir_node *y = ir_transpose(&f->b, x, perm);
    const ir_type *t = ir_node_type(y);
    y = ir_reshape(&f->b, y, SHAPE(K(f, 1), t->dims[0], t->dims[1], t->dims[2]));
    const ir_dim *at[4] = {layer, K(f, 0), pos, K(f, 0)};
    return ir_update(&f->b, cache, y, at);
}

static inline const ir_node *cache_read(fixture *f, const ir_node *cache, const ir_dim *layer,
                                        const ir_dim *n)
{
    const ir_type *t = ir_node_type(cache);
    const ir_dim *zero = K(f, 0);
    const ir_dim *at[4] = {layer, zero, zero, zero};
    const ir_dim *sizes[4] = {K(f, 1), t->dims[1], n, t->dims[3]};
    const ir_node *y = ir_slice(&f->b, cache, at, sizes, NULL);
    return ir_reshape(&f->b, y, SHAPE(t->dims[1], n, t->dims[3]));
}

static inline const ir_node *group_heads(fixture *f, const ir_node *x, int64_t kv, int64_t g)
{
    const ir_type *t = ir_node_type(x); /* [kv, S, e] -> [kv, g, S, e] by broadcasting */
    (void)g;
    return ir_reshape(&f->b, x, SHAPE(K(f, kv), K(f, 1), t->dims[1], t->dims[2]));
}

static inline void build_llama(fixture *f, llama p)
{
    ir_builder outer = f->b;
    ir_ctx *c = f->c;
    const ir_sym *pos_sym = ir_sym_get(c, "pos", 0, p.ctx - 1);
    const ir_dim *pos = ir_dim_sym(c, pos_sym), *T = f->t, *S = ir_dim_add(c, pos, T);
    f->b.graph = outer.graph = ir_graph_create(c, "forward");
    f->b.conditions = outer.conditions = outer.graph;
    ir_graph_add_sym(outer.graph, pos_sym, true);
    ir_graph_add_sym(outer.graph, f->T, false);
    ir_graph_add_condition(outer.graph,
                           (ir_condition){IR_REL_LE, S, K(f, p.ctx), "pos + T <= ctx", {0}});
    const ir_node *tokens =
        ir_graph_add_input(outer.graph, "tokens", ir_type_get(c, IR_i32, 1, &T), f->b.loc);
    const ir_node *emb = param(f, "embed", SHAPE(K(f, p.vocab), K(f, p.d)));
    const ir_node *h0 = ir_take(&f->b, emb, tokens, 0);
    /* cos, sin: [T, 1, e] of (pos + t) * freq */
    const ir_node *freq = param(f, "freq", SHAPE(K(f, p.e)));
    const ir_node *at = ir_cast(
        &f->b,
        add(f, ir_iota(&f->b, IR_i64, SHAPE(T, K(f, 1), K(f, 1)), 0), ir_dim_node(&f->b, pos)),
        IR_f32);
    const ir_node *angle = mul(f, at, freq);
    const ir_node *cos = ir_unary(&f->b, IR_OP_cos, angle);
    const ir_node *sin = ir_unary(&f->b, IR_OP_sin, angle);
    const ir_dim *cache[4] = {K(f, p.layers), K(f, p.kv), K(f, p.ctx), K(f, p.e)};
    const ir_node *k0 = ir_state_node(&f->b, "k", F32(f, 4, cache));
    const ir_node *v0 = ir_state_node(&f->b, "v", F32(f, 4, cache));
    const ir_node *in[5] = {h0, k0, v0, cos, sin}, *x[5];

    f->b.graph = ir_graph_create(c, "layer");
    const ir_sym *l = ir_sym_get(c, "l", 0, p.layers - 1);
    const ir_dim *layer = ir_dim_sym(c, l);
    static const char *const names[5] = {"h", "k", "v", "cos", "sin"};
    for (int i = 0; i < 5; i++) {
        x[i] = ir_graph_add_input(f->b.graph, names[i], ir_node_type(in[i]), f->b.loc);
    }
    const ir_node *n1 = rms_norm(f, x[0], llama_param(f, "l.{}.norm1", layer, SHAPE(K(f, p.d))));
    const ir_node *q = rope(
        f, heads(f, llama_linear(f, n1, "l.{}.q", layer, p.h * p.e, p.d), p.h, p.e), x[3], x[4]);
    const ir_node *k = rope(
        f, heads(f, llama_linear(f, n1, "l.{}.k", layer, p.kv * p.e, p.d), p.kv, p.e), x[3], x[4]);
    const ir_node *v = heads(f, llama_linear(f, n1, "l.{}.v", layer, p.kv * p.e, p.d), p.kv, p.e);
    const ir_node *k1 = cache_write(f, x[1], k, layer, pos);
    const ir_node *v1 = cache_write(f, x[2], v, layer, pos);
    int64_t g = p.h / p.kv, perm[4] = {1, 2, 0, 3}, back[4] = {2, 0, 1, 3};
    const ir_node *qg =
        ir_transpose(&f->b, ir_reshape(&f->b, q, SHAPE(T, K(f, p.kv), K(f, g), K(f, p.e))), perm);
    const ir_node *att_in[3] = {qg, group_heads(f, cache_read(f, k1, layer, S), p.kv, g),
                                group_heads(f, cache_read(f, v1, layer, S), p.kv, g)};
    ir_attr att[2] = {ir_attr_f(IR_ATTR_scale, 0.125), ir_attr_d(IR_ATTR_causal, pos)};
    /* the mask, in the body */
    ir_builder loop_b = f->b;
    const ir_dim *score[4] = {K(f, p.kv), K(f, g), T, S};
    f->b.graph = ir_graph_create(c, "score");
    f->b.conditions = NULL;
    const ir_node *s0 = ir_graph_add_input(f->b.graph, "score", F32(f, 4, score), f->b.loc);
    const ir_node *i = add(f, ir_iota(&f->b, IR_i64, 4, score, 2), ir_dim_node(&f->b, pos));
    const ir_node *seen = ir_binary(&f->b, IR_OP_le, ir_iota(&f->b, IR_i64, 4, score, 3), i);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, "score",
                        ir_where(&f->b, seen, s0, ir_const_f(&f->b, IR_f32, -1e30)));
    ir_graph *mask = f->b.graph;
    f->b = loop_b;
    const ir_node *att_out = ir_build(&f->b, IR_OP_attention, 3, att_in, 2, att, 1, &mask);
    const ir_node *o =
        ir_reshape(&f->b, ir_transpose(&f->b, att_out, back), SHAPE(T, K(f, p.h * p.e)));
    const ir_node *h1 = add(f, x[0], llama_linear(f, o, "l.{}.o", layer, p.d, p.h * p.e));
    const ir_node *n2 = rms_norm(f, h1, llama_param(f, "l.{}.norm2", layer, SHAPE(K(f, p.d))));
    const ir_node *gate =
        ir_unary(&f->b, IR_OP_silu, llama_linear(f, n2, "l.{}.w1", layer, p.ffn, p.d));
    const ir_node *up = mul(f, gate, llama_linear(f, n2, "l.{}.w3", layer, p.ffn, p.d));
    const ir_node *h2 = add(f, h1, llama_linear(f, up, "l.{}.w2", layer, p.d, p.ffn));
    ir_graph *body = f->b.graph;
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "h", h2);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "k", k1);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "v", v1);

    f->b.graph = outer.graph;
    f->b.conditions = outer.conditions;
    const ir_node *loop = ir_loop(&f->b, 5, in, 3, 0, false, l, K(f, 0), K(f, p.layers), 1, body);
    const ir_node *n3 = rms_norm(f, ir_get(&f->b, loop, 0), param(f, "norm", SHAPE(K(f, p.d))));
    result(f, "logits", linear(f, n3, "head", p.vocab, p.d));
    ir_graph_add_output(outer.graph, IR_OUTPUT_STATE, "k", ir_get(&f->b, loop, 1));
    ir_graph_add_output(outer.graph, IR_OUTPUT_STATE, "v", ir_get(&f->b, loop, 2));
    f->b.graph = outer.graph;
}

#endif
