/* Built-in functions that work element by element: the op table's, and what is composed of them. */
#include "frontend/elab.h"

#include <math.h>

#define B ir_builder b = elab_builder(c->e, c->where)

static value done(call *c, const ir_builder *b, const ir_node *r, uint32_t n, const value *operands)
{
    return r           ? value_tensor(c->e, r)
           : b->failed ? elab_build_error(c->e, b, n, operands)
                       : value_poison();
}

/* The operands as nodes of one element type: numbers take their partner's. */
static bool operands(call *c, uint32_t n, const value *args, const ir_node **out)
{
    const ir_type *like = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (is_tensor(&args[i])) {
            out[i] = want_tensor(c->e, c->arg_places[i < c->n_args ? i : 0], args[i], "an operand");
            if (!out[i]) {
                return false;
            }
            like = like ? like : ir_node_type(out[i]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        out[i] = is_tensor(&args[i]) ? out[i] : want_operand(c->e, c->where, args[i], like);
        if (!out[i]) {
            return false;
        }
    }
    return true;
}

static bool number(const value *v, double *x)
{
    *x = v->kind == V_INT ? (double)v->i : v->f;
    return v->kind == V_INT || v->kind == V_FLOAT;
}

static value unary(call *c, value *args, ir_op op)
{
    double x;
    if (number(&args[0], &x)) {
        return args[0].kind == V_INT && !ir_op_has(op, IR_FLOAT_ONLY)
                   ? value_int(ir_op_eval_i64(op, args[0].i, 0))
                   : value_float(ir_op_eval_f64(op, x, 0));
    }
    B;
    const ir_node *n;
    if (args[0].kind == V_DIM) {
        n = ir_cast(&b, ir_dim_node(&b, args[0].dim), IR_f32);
    } else {
        n = want_tensor(c->e, c->where, args[0], "the operand");
    }
    return n ? done(c, &b, ir_unary(&b, op, n), 1, args) : value_poison();
}

static value binary(call *c, value *args, ir_op op)
{
    double x, y;
    if (number(&args[0], &x) && number(&args[1], &y)) {
        bool ints = args[0].kind == V_INT && args[1].kind == V_INT && !ir_op_has(op, IR_FLOAT_ONLY);
        return ints ? value_int(ir_op_eval_i64(op, args[0].i, args[1].i))
                    : value_float(ir_op_eval_f64(op, x, y));
    }
    bool sizes = !is_tensor(&args[0]) && !is_tensor(&args[1]) && args[0].kind != V_FLOAT &&
                 args[1].kind != V_FLOAT;
    if (sizes && (op == IR_OP_min || op == IR_OP_max)) {
        const ir_dim *a, *d;
        if (!want_dim(c->e, c->where, args[0], "an operand", &a) ||
            !want_dim(c->e, c->where, args[1], "an operand", &d)) {
            return value_poison();
        }
        return value_dim(c->e,
                         op == IR_OP_min ? ir_dim_min(c->e->c, a, d) : ir_dim_max(c->e->c, a, d));
    }
    const ir_node *in[2];
    if (!operands(c, 2, args, in)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_binary(&b, op, in[0], in[1]), 2, args);
}

/* One small function a row: the table holds functions, not ops, so that a call needs no look-up. */
#define UNARY(name, ...)                                                                           \
    static value run_##name(call *c, value *args)                                                  \
    {                                                                                              \
        return unary(c, args, IR_OP_##name);                                                       \
    }
#define BINARY(name, ...)                                                                          \
    static value run_##name(call *c, value *args)                                                  \
    {                                                                                              \
        return binary(c, args, IR_OP_##name);                                                      \
    }
#define OP(...)
#include "ir/ops.def"

static value run_where(call *c, value *args)
{
    const ir_node *cond = want_operand(c->e, c->where, args[0], NULL), *in[2];
    if (!cond || !operands(c, 2, args + 1, in)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_where(&b, cond, in[0], in[1]), 3, args);
}

static value run_cast(call *c, value *args)
{
    if (args[1].kind != V_DTYPE) {
        return elab_error(c->e, c->where,
                          "cast needs an element type, as in cast(x, f16); found %s",
                          value_text(c->e, &args[1]));
    }
    const ir_node *n = want_operand(c->e, c->where, args[0], NULL);
    B;
    return n ? done(c, &b, ir_cast(&b, n, args[1].dtype), 1, args) : value_poison();
}

static value run_clamp(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand of clamp");
    B;
    for (int i = 1; x && i < 3; i++) {
        if (args[i].kind != V_NONE) {
            const ir_node *bound = want_operand(c->e, c->where, args[i], ir_node_type(x));
            x = ir_binary(&b, i == 1 ? IR_OP_max : IR_OP_min, x, bound);
        }
    }
    return done(c, &b, x, 1, args);
}

/* Activations composed of ops; slope or alpha where they have one. */
static value piecewise(call *c, value *args, int kind)
{
    double alpha = 0;
    if (kind < 3 &&
        !want_float(c->e, c->where, args[1].kind == V_NONE ? value_float(kind ? 1 : 0.01) : args[1],
                    "the slope", &alpha)) {
        return value_poison();
    }
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    if (!x) {
        return value_poison();
    }
    B;
    ir_dtype t = ir_node_type(x)->dtype;
    const ir_node *zero = ir_const_f(&b, t, 0), *k = ir_const_f(&b, t, alpha), *r = NULL;
    const ir_node *six = ir_const_f(&b, t, 6), *three = ir_const_f(&b, t, 3);
    switch (kind) {
    case 0: /* leaky_relu */
        r = ir_where(&b, ir_binary(&b, IR_OP_gt, x, zero), x, ir_binary(&b, IR_OP_mul, x, k));
        break;
    case 1: /* elu */
        r = ir_where(&b, ir_binary(&b, IR_OP_gt, x, zero), x,
                     ir_binary(&b, IR_OP_mul, ir_unary(&b, IR_OP_expm1, x), k));
        break;
    case 3: /* relu6 */
        r = ir_binary(&b, IR_OP_min, ir_unary(&b, IR_OP_relu, x), six);
        break;
    case 4: /* hardsigmoid, and hardswish = x * that */
    case 5:
        r = ir_binary(&b, IR_OP_min, ir_unary(&b, IR_OP_relu, ir_binary(&b, IR_OP_add, x, three)),
                      six);
        r = ir_binary(&b, IR_OP_div, r, six);
        r = kind == 5 ? ir_binary(&b, IR_OP_mul, x, r) : r;
        break;
    case 6: /* mish */
        r = ir_binary(&b, IR_OP_mul, x, ir_unary(&b, IR_OP_tanh, ir_unary(&b, IR_OP_softplus, x)));
        break;
    default: /* log_sigmoid */
        r = ir_unary(&b, IR_OP_neg, ir_unary(&b, IR_OP_softplus, ir_unary(&b, IR_OP_neg, x)));
    }
    return done(c, &b, r, 1, args);
}
static value run_leaky_relu(call *c, value *a)
{
    return piecewise(c, a, 0);
}
static value run_elu(call *c, value *a)
{
    return piecewise(c, a, 1);
}
static value run_relu6(call *c, value *a)
{
    return piecewise(c, a, 3);
}
static value run_hardsigmoid(call *c, value *a)
{
    return piecewise(c, a, 4);
}
static value run_hardswish(call *c, value *a)
{
    return piecewise(c, a, 5);
}
static value run_mish(call *c, value *a)
{
    return piecewise(c, a, 6);
}
static value run_logsigmoid(call *c, value *a)
{
    return piecewise(c, a, 7);
}

static value run_square(call *c, value *args)
{
    return eval_binary(c->e, c->where, "*", args[0], args[0]);
}

static value run_stop_gradient(call *c, value *args)
{
    const ir_node *n = want_tensor(c->e, c->where, args[0], "the operand");
    return n ? value_tensor(c->e, n) : value_poison();
}

const builtin builtins_elementwise[] = {
#define UNARY(name, ...)  {#name, "x", run_##name, 0},
#define BINARY(name, ...) {#name, "x, y", run_##name, 0},
#define OP(...)
#include "ir/ops.def"
    {"maximum", "x, y", run_max, 0},
    {"minimum", "x, y", run_min, 0},
    {"where", "condition, x, y", run_where, 0},
    {"cast", "x, dtype", run_cast, 0},
    {"clamp", "x, min = none, max = none", run_clamp, 0},
    {"leaky_relu", "x, slope = 0.01", run_leaky_relu, 0},
    {"elu", "x, alpha = 1", run_elu, 0},
    {"relu6", "x", run_relu6, 0},
    {"hardsigmoid", "x", run_hardsigmoid, 0},
    {"hardswish", "x", run_hardswish, 0},
    {"mish", "x", run_mish, 0},
    {"logsigmoid", "x", run_logsigmoid, 0},
    {"square", "x", run_square, 0},
    {"stop_gradient", "x", run_stop_gradient, 0},
    {0},
};
