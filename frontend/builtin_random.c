/* Draws. Every draw in the file has a stream of its own; language.md, section 6. */
#include "frontend/elab.h"

static const ir_node *draw(call *c, ir_builder *b, const char *mode, ir_dtype t, uint32_t n,
                           const ir_dim *const *dims, const int64_t *bounds)
{
    elab *e = c->e;
    ir_attr a[6] = {ir_attr_t(IR_ATTR_dtype, t),
                    ir_attr_ds(IR_ATTR_shape, n, dims),
                    ir_attr_s(IR_ATTR_mode, intern(e->names, mode)),
                    ir_attr_i(IR_ATTR_stream, e->n_streams++),
                    ir_attr_ds(IR_ATTR_turns, e->level->turns.len, e->level->turns.at),
                    ir_attr_is(IR_ATTR_bounds, 2, bounds)};
    return ir_build(b, IR_OP_random, 0, NULL, bounds ? 6 : 5, a, 0, NULL);
}

static value drawn(call *c, const value *shape, const char *mode, ir_dtype t, const int64_t *bounds)
{
    uint32_t n;
    const ir_dim *dims[IR_MAX_RANK];
    if (!want_dims(c->e, c->where, *shape, "a size", &n, dims)) {
        return value_poison();
    }
    ir_builder b = elab_builder(c->e, c->where);
    const ir_node *r = draw(c, &b, mode, t, n, dims, bounds);
    return r ? value_tensor(c->e, r) : elab_build_error(c->e, &b, 0, NULL);
}

static value run_rand(call *c, value *a)
{
    return drawn(c, &a[0], "uniform", IR_f32, NULL);
}
static value run_randn(call *c, value *a)
{
    return drawn(c, &a[0], "normal", IR_f32, NULL);
}

static value run_randint(call *c, value *args)
{
    int64_t bounds[2];
    if (!want_int(c->e, c->where, args[0], "the least number", &bounds[0]) ||
        !want_int(c->e, c->where, args[1], "the limit", &bounds[1])) {
        return value_poison();
    }
    if (bounds[1] <= bounds[0]) {
        return elab_error(c->e, c->where, "randint needs low < high, found %lld and %lld",
                          (long long)bounds[0], (long long)bounds[1]);
    }
    return drawn(c, &args[2], "int", IR_i64, bounds);
}

static value run_bernoulli(call *c, value *args)
{
    const ir_node *p = want_tensor(c->e, c->where, args[0], "the probability");
    if (!p) {
        return value_poison();
    }
    const ir_type *t = ir_node_type(p);
    ir_builder b = elab_builder(c->e, c->where);
    const ir_node *u = draw(c, &b, "uniform", t->dtype, t->rank, t->dims, NULL);
    const ir_node *r = ir_cast(&b, ir_binary(&b, IR_OP_lt, u, p), t->dtype);
    return r ? value_tensor(c->e, r) : elab_build_error(c->e, &b, 1, args);
}

/* Gumbel-max: argmax(logits - log(-log u)) */
static value run_categorical(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the logits");
    if (!x) {
        return value_poison();
    }
    const ir_type *t = ir_node_type(x);
    ir_builder b = elab_builder(c->e, c->where);
    const ir_node *u = draw(c, &b, "uniform", t->dtype, t->rank, t->dims, NULL);
    const ir_node *tiny = ir_const_f(&b, t->dtype, 1e-20);
    const ir_node *g =
        ir_unary(&b, IR_OP_neg, ir_unary(&b, IR_OP_log, ir_binary(&b, IR_OP_add, u, tiny)));
    g = g ? ir_unary(&b, IR_OP_log, ir_binary(&b, IR_OP_add, g, tiny)) : NULL;
    const ir_node *z = ir_binary(&b, IR_OP_sub, x, g);
    ir_attr a[2] = {ir_attr_i(IR_ATTR_axis, (int64_t)t->rank - 1), ir_attr_i(IR_ATTR_keep, 0)};
    const ir_node *r = z ? ir_build(&b, IR_OP_argmax, 1, &z, 2, a, 0, NULL) : NULL;
    return r ? value_tensor(c->e, r) : elab_build_error(c->e, &b, 1, args);
}

/* Acts in objectives only. */
static value run_dropout(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    double p;
    if (!x ||
        !want_float(c->e, c->where, args[1].kind == V_NONE ? value_float(0.5) : args[1], "p", &p)) {
        return value_poison();
    }
    if (p < 0 || p >= 1) {
        return elab_error(c->e, c->where, "dropout needs 0 <= p < 1, found %g", p);
    }
    if (!c->e->training || p == 0) {
        return value_tensor(c->e, x);
    }
    const ir_type *t = ir_node_type(x);
    ir_builder b = elab_builder(c->e, c->where);
    const ir_node *u = draw(c, &b, "uniform", t->dtype, t->rank, t->dims, NULL);
    const ir_node *keep = ir_binary(&b, IR_OP_ge, u, ir_const_f(&b, t->dtype, p));
    const ir_node *r =
        ir_where(&b, keep, ir_binary(&b, IR_OP_mul, x, ir_const_f(&b, t->dtype, 1 / (1 - p))),
                 ir_const_f(&b, t->dtype, 0));
    return r ? value_tensor(c->e, r) : elab_build_error(c->e, &b, 1, args);
}

const builtin builtins_random[] = {
    {"rand", "shape", run_rand, 0},
    {"randn", "shape", run_randn, 0},
    {"randint", "low, high, shape", run_randint, 0},
    {"bernoulli", "p", run_bernoulli, 0},
    {"categorical", "logits", run_categorical, 0},
    {"dropout", "x, p = 0.5", run_dropout, 0},
    {0},
};
