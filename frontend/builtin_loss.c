/* Losses, as torch.nn.functional: means over everything. Built of other functions by name, so that
 * they mean what a user who writes them out would get. */
#include "frontend/elab.h"

static value f(call *c, const char *name, uint32_t n, const value *args)
{
    call inner = {.e = c->e, .where = c->where, .n_args = n, .args = args};
    span *places = arena_array(c->e->a, span, n);
    for (uint32_t i = 0; i < n; i++) {
        places[i] = c->where;
        if (args[i].kind == V_POISON) {
            return value_poison();
        }
    }
    inner.arg_places = places;
    value *v = scope_find(c->e->builtins, intern(c->e->names, name));
    return v ? call_value(c->e, c->where, *v, &inner) : value_poison();
}
static value f1(call *c, const char *name, value x)
{
    return f(c, name, 1, &x);
}
static value op(call *c, const char *o, value x, value y)
{
    return eval_binary(c->e, c->where, o, x, y);
}
static value mean_of(call *c, value x)
{
    return f1(c, "mean", x);
}

static value run_mse(call *c, value *a)
{
    value d = op(c, "-", a[0], a[1]);
    return mean_of(c, op(c, "*", d, d));
}
static value run_l1(call *c, value *a)
{
    return mean_of(c, f1(c, "abs", op(c, "-", a[0], a[1])));
}
static value run_huber(call *c, value *a)
{
    value d = f1(c, "abs", op(c, "-", a[0], a[1])),
          delta = a[2].kind == V_NONE ? value_float(1) : a[2];
    value near = op(c, "*", op(c, "*", d, d), value_float(0.5));
    value far = op(c, "*", delta, op(c, "-", d, op(c, "*", delta, value_float(0.5))));
    return mean_of(c, f(c, "where", 3, (value[]){op(c, "<", d, delta), near, far}));
}
/* Huber's, divided by where it turns straight. */
static value run_smooth_l1(call *c, value *a)
{
    return op(c, "/", run_huber(c, a), a[2].kind == V_NONE ? value_float(1) : a[2]);
}
/* -(y log p + (1-y) log(1-p)); with logits in the form that does not overflow. */
static value run_bce(call *c, value *a)
{
    value lp = f(c, "clamp", 2, (value[]){f1(c, "log", a[0]), value_float(-100)});
    value lq = f(c, "clamp", 2,
                 (value[]){f1(c, "log", op(c, "-", value_float(1), a[0])), value_float(-100)});
    value s = op(c, "+", op(c, "*", a[1], lp), op(c, "*", op(c, "-", value_float(1), a[1]), lq));
    return op(c, "*", mean_of(c, s), value_float(-1));
}
static value run_bce_logits(call *c, value *a)
{
    return mean_of(c, op(c, "-", f1(c, "softplus", a[0]), op(c, "*", a[0], a[1])));
}
static value run_kl(call *c,
                    value *a) /* kl_div(input = log q, target = p), batchmean left to the caller */
{
    value choice[3] = {op(c, ">", a[1], value_float(0)), a[1], value_float(1)}; /* 0 log 0 is 0 */
    value lp = f1(c, "log", f(c, "where", 3, choice));
    return mean_of(c, op(c, "*", a[1], op(c, "-", lp, a[0])));
}
/* log-probabilities [..., C] and classes [...]: mean of -x[class]. */
static value nll(call *c, value logp, value target)
{
    const ir_node *t = want_tensor(c->e, c->where, target, "the target");
    const ir_node *x =
        logp.kind == V_TENSOR ? want_tensor(c->e, c->where, logp, "the input") : NULL;
    if (!t || !x) {
        return value_poison();
    }
    const ir_type *have = ir_node_type(t), *scores = ir_node_type(x);
    bool classes = !ir_dtype_is_float(have->dtype),
         fits = scores->rank && have->rank + classes == scores->rank;
    for (uint32_t i = 0; fits && i < have->rank; i++) {
        fits = ir_dim_equal(c->e->c, have->dims[i], scores->dims[i]) != IR_NEVER;
    }
    if (!fits) {
        uint32_t rank = scores->rank - (classes && scores->rank);
        return elab_error(c->e, c->where, "%s: the logits %s need targets %s, found %s", c->name,
                          type_text(c->e, scores),
                          type_text(c->e, ir_type_get(c->e->c, have->dtype, rank, scores->dims)),
                          type_text(c->e, have));
    }
    if (!classes) { /* probabilities */
        value s = f(c, "sum", 2, (value[]){op(c, "*", logp, target), value_int(-1)});
        return op(c, "*", mean_of(c, s), value_float(-1));
    }
    value column = f(c, "unsqueeze", 2, (value[]){target, value_int(-1)});
    value picked = f(c, "gather", 3, (value[]){logp, value_int(-1), column});
    return op(c, "*", mean_of(c, picked), value_float(-1));
}
static value run_nll(call *c, value *a)
{
    return nll(c, a[0], a[1]);
}
static value run_cross_entropy(call *c, value *a)
{
    return nll(c, f1(c, "log_softmax", a[0]), a[1]);
}

const builtin builtins_loss[] = {
    {"mse_loss", "x, y", run_mse, 0},
    {"l1_loss", "x, y", run_l1, 0},
    {"huber_loss", "x, y, delta = 1", run_huber, 0},
    {"smooth_l1_loss", "x, y, beta = 1", run_smooth_l1, 0},
    {"bce_loss", "p, y", run_bce, 0},
    {"bce_with_logits", "x, y", run_bce_logits, 0},
    {"kl_div", "log_q, p", run_kl, 0},
    {"nll_loss", "log_p, target", run_nll, 0},
    {"cross_entropy", "logits, target", run_cross_entropy, 0},
    {0},
};
