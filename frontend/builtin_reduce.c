/* Reductions and what is made of them: softmax and its kin are written out; the passes see them. */
#include "frontend/elab.h"

#define B ir_builder b = elab_builder(c->e, c->where)

static value done(call *c, const ir_builder *b, const ir_node *r, uint32_t n, const value *operands)
{
    return r           ? value_tensor(c->e, r)
           : b->failed ? elab_build_error(c->e, b, n, operands)
                       : value_poison();
}

/* axis = none: all of them. */
static bool get_axes(call *c, const value *v, const ir_node *x, uint32_t *n, int64_t *axes)
{
    uint32_t rank = ir_node_type(x)->rank;
    if (v->kind == V_NONE) {
        for (*n = 0; *n < rank; (*n)++) {
            axes[*n] = *n;
        }
        return true;
    }
    if (!want_axes(c->e, c->where, *v, rank, n, axes)) {
        return false;
    }
    for (uint32_t i = 0; i < *n; i++) { /* ascending */
        for (uint32_t k = i; k > 0 && axes[k] < axes[k - 1]; k--) {
            int64_t t = axes[k];
            axes[k] = axes[k - 1];
            axes[k - 1] = t;
        }
    }
    return true;
}

static value reduce(call *c, value *args, ir_op op)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    uint32_t n;
    int64_t axes[IR_MAX_RANK];
    bool keep;
    if (!x || !get_axes(c, &args[1], x, &n, axes) ||
        !want_bool(c->e, c->where, args[2].kind == V_NONE ? value_bool(false) : args[2], "keep",
                   &keep)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_reduce(&b, op, x, n, axes, keep), 1, args);
}
static value run_sum(call *c, value *a)
{
    return reduce(c, a, IR_OP_reduce_sum);
}
static value run_mean(call *c, value *a)
{
    return reduce(c, a, IR_OP_reduce_mean);
}
static value run_prod(call *c, value *a)
{
    return reduce(c, a, IR_OP_reduce_prod);
}
static value run_any(call *c, value *a)
{
    return reduce(c, a, IR_OP_reduce_any);
}
static value run_all(call *c, value *a)
{
    return reduce(c, a, IR_OP_reduce_all);
}

/* max(x, y) of two; max(x, axis = -1) of one, or max(x, -1, keep = true): what is kept can only be
 * an axis. */
static value extreme(call *c, value *args, ir_op op, ir_op pair)
{
    bool axis_second = args[3].kind != V_NONE && args[2].kind == V_NONE &&
                       (args[1].kind == V_INT || args[1].kind == V_LIST);
    if (axis_second) {
        value moved[3] = {args[0], args[1], args[3]};
        return reduce(c, moved, op);
    }
    for (const builtin *f = builtins_elementwise; c->n_args == 2 && f->name; f++) {
        ir_op named;
        if (ir_op_from_name(f->name, &named) && named == pair) {
            return f->run(c, args);
        }
    }
    value shifted[3] = {args[0], args[2], args[3]};
    return reduce(c, shifted, op);
}
static value run_max(call *c, value *a)
{
    return extreme(c, a, IR_OP_reduce_max, IR_OP_max);
}
static value run_min(call *c, value *a)
{
    return extreme(c, a, IR_OP_reduce_min, IR_OP_min);
}

static bool get_axis(call *c, const value *v, const ir_node *x, int64_t *axis)
{
    uint32_t n = 1;
    if (ir_node_type(x)->rank == 0) {
        elab_error(c->e, c->where, "%s needs at least one axis", c->name);
        return false;
    }
    return want_axes(c->e, c->where, v->kind == V_NONE ? value_int(-1) : *v, ir_node_type(x)->rank,
                     &n, axis);
}

static value arg_extreme(call *c, value *args, ir_op op)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    int64_t axis[IR_MAX_RANK];
    bool keep = false;
    if (!x || !get_axis(c, &args[1], x, axis) ||
        (args[2].kind != V_NONE && !want_bool(c->e, c->where, args[2], "keep", &keep))) {
        return value_poison();
    }
    B;
    ir_attr a[2] = {ir_attr_i(IR_ATTR_axis, axis[0]), ir_attr_i(IR_ATTR_keep, keep)};
    return done(c, &b, ir_build(&b, op, 1, &x, 2, a, 0, NULL), 1, args);
}
static value run_argmax(call *c, value *a)
{
    return arg_extreme(c, a, IR_OP_argmax);
}
static value run_argmin(call *c, value *a)
{
    return arg_extreme(c, a, IR_OP_argmin);
}

/* mean((x - mean(x))^2), with `correction` degrees of freedom taken off: 1, as in PyTorch, unless
 * said otherwise. */
static value variance(call *c, value *args, bool root)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    uint32_t n;
    int64_t axes[IR_MAX_RANK], correction = 1;
    bool keep = false;
    if (!x || !get_axes(c, &args[1], x, &n, axes) ||
        (args[2].kind != V_NONE && !want_bool(c->e, c->where, args[2], "keep", &keep)) ||
        (args[3].kind != V_NONE && !want_int(c->e, c->where, args[3], "correction", &correction))) {
        return value_poison();
    }
    B;
    const ir_node *d =
        ir_binary(&b, IR_OP_sub, x, ir_reduce(&b, IR_OP_reduce_mean, x, n, axes, true));
    const ir_node *v = d ? ir_binary(&b, IR_OP_mul, d, d) : NULL;
    if (v && correction) {
        const ir_dim *count = ir_dim_const(c->e->c, -correction);
        const ir_dim *size = ir_dim_const(c->e->c, 1);
        for (uint32_t i = 0; i < n; i++) {
            size = ir_dim_mul(c->e->c, size, ir_node_type(x)->dims[axes[i]]);
        }
        count = ir_dim_add(c->e->c, size, count);
        const ir_node *by = ir_cast(&b, ir_dim_node(&b, count), ir_node_type(x)->dtype);
        v = ir_binary(&b, IR_OP_div, ir_reduce(&b, IR_OP_reduce_sum, v, n, axes, keep), by);
    } else {
        v = ir_reduce(&b, IR_OP_reduce_mean, v, n, axes, keep);
    }
    return done(c, &b, root && v ? ir_unary(&b, IR_OP_sqrt, v) : v, 1, args);
}
static value run_var(call *c, value *a)
{
    return variance(c, a, false);
}
static value run_std(call *c, value *a)
{
    return variance(c, a, true);
}

/* softmax, log_softmax: the same beginning. */
static value soft(call *c, value *args, bool logarithm)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    int64_t axis[IR_MAX_RANK];
    if (!x || !get_axis(c, &args[1], x, axis)) {
        return value_poison();
    }
    B;
    const ir_node *m = ir_reduce(&b, IR_OP_reduce_max, x, 1, axis, true);
    const ir_node *d = ir_binary(&b, IR_OP_sub, x, m);
    const ir_node *e = d ? ir_unary(&b, IR_OP_exp, d) : NULL;
    const ir_node *s = e ? ir_reduce(&b, IR_OP_reduce_sum, e, 1, axis, true) : NULL;
    const ir_node *r = !s          ? NULL
                       : logarithm ? ir_binary(&b, IR_OP_sub, d, ir_unary(&b, IR_OP_log, s))
                                   : ir_binary(&b, IR_OP_div, e, s);
    return done(c, &b, r, 1, args);
}
static value run_softmax(call *c, value *a)
{
    return soft(c, a, false);
}
static value run_log_softmax(call *c, value *a)
{
    return soft(c, a, true);
}

static value run_logsumexp(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    uint32_t n;
    int64_t axes[IR_MAX_RANK];
    bool keep = false;
    const value last = value_int(-1);
    if (!x || !get_axes(c, args[1].kind == V_NONE ? &last : &args[1], x, &n, axes) ||
        (args[2].kind != V_NONE && !want_bool(c->e, c->where, args[2], "keep", &keep))) {
        return value_poison();
    }
    B;
    ir_attr a[2] = {ir_attr_is(IR_ATTR_axes, n, axes), ir_attr_i(IR_ATTR_keep, keep)};
    return done(c, &b, ir_build(&b, IR_OP_logsumexp, 1, &x, 2, a, 0, NULL), 1, args);
}

static value ordered(call *c, value *args, ir_op op)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    int64_t axis[IR_MAX_RANK];
    bool down = false, second = false;
    if (!x || !get_axis(c, &args[1], x, axis) ||
        (args[2].kind != V_NONE && !want_bool(c->e, c->where, args[2], "the order", &down)) ||
        (op == IR_OP_cumsum && args[3].kind != V_NONE &&
         !want_bool(c->e, c->where, args[3], "exclusive", &second))) {
        return value_poison();
    }
    B;
    ir_attr a[3] = {ir_attr_i(IR_ATTR_axis, axis[0]),
                    ir_attr_i(op == IR_OP_cumsum ? IR_ATTR_reverse : IR_ATTR_descending, down),
                    ir_attr_i(IR_ATTR_exclusive, second)};
    return done(c, &b, ir_build(&b, op, 1, &x, op == IR_OP_cumsum ? 3 : 2, a, 0, NULL), 1, args);
}
static value run_cumsum(call *c, value *a)
{
    return ordered(c, a, IR_OP_cumsum);
}
static value run_sort(call *c, value *a)
{
    return ordered(c, a, IR_OP_sort);
}
static value run_argsort(call *c, value *a)
{
    return ordered(c, a, IR_OP_argsort);
}

static value run_topk(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the operand");
    int64_t axis[IR_MAX_RANK], k;
    if (!x || !want_int(c->e, c->where, args[1], "k", &k) || !get_axis(c, &args[2], x, axis)) {
        return value_poison();
    }
    B;
    ir_attr a[3] = {ir_attr_i(IR_ATTR_k, k), ir_attr_i(IR_ATTR_axis, axis[0]),
                    ir_attr_i(IR_ATTR_descending, 1)};
    const ir_node *n = ir_build(&b, IR_OP_topk, 1, &x, 3, a, 0, NULL);
    if (!n) {
        return done(c, &b, NULL, 1, args);
    }
    value pair[2] = {value_tensor(c->e, ir_get(&b, n, 0)), value_tensor(c->e, ir_get(&b, n, 1))};
    return value_list(c->e, V_TUPLE, 2, pair);
}

const builtin builtins_reduce[] = {
    {"sum", "x, axis = none, keep = false", run_sum, 0},
    {"mean", "x, axis = none, keep = false", run_mean, 0},
    {"max", "x, y = none, axis = none, keep = false", run_max, 0},
    {"min", "x, y = none, axis = none, keep = false", run_min, 0},
    {"prod", "x, axis = none, keep = false", run_prod, 0},
    {"any", "x, axis = none, keep = false", run_any, 0},
    {"all", "x, axis = none, keep = false", run_all, 0},
    {"var", "x, axis = none, keep = false, correction = 1", run_var, 0},
    {"std", "x, axis = none, keep = false, correction = 1", run_std, 0},
    {"argmax", "x, axis = -1, keep = false", run_argmax, 0},
    {"argmin", "x, axis = -1, keep = false", run_argmin, 0},
    {"softmax", "x, axis = -1", run_softmax, 0},
    {"log_softmax", "x, axis = -1", run_log_softmax, 0},
    {"logsumexp", "x, axis = -1, keep = false", run_logsumexp, 0},
    {"cumsum", "x, axis = -1, reverse = false, exclusive = false", run_cumsum, 0},
    {"sort", "x, axis = -1, descending = false", run_sort, 0},
    {"argsort", "x, axis = -1, descending = false", run_argsort, 0},
    {"topk", "x, k, axis = -1", run_topk, 0},
    {0},
};
