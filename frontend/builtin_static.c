/* Functions of values that exist while compiling only. */
#include "frontend/elab.h"

#include <math.h>
#include <string.h>

static value run_len(call *c, value *a)
{
    if (a[0].kind == V_LIST || a[0].kind == V_TUPLE) {
        return value_int(a[0].list.n);
    }
    if (a[0].kind == V_MODULES) {
        return value_int(a[0].module.count);
    }
    if (is_tensor(&a[0])) {
        const ir_node *n = want_tensor(c->e, c->where, a[0], "the operand");
        return n && ir_node_type(n)->rank ? value_dim(c->e, ir_node_type(n)->dims[0])
                                          : value_poison();
    }
    return elab_error(c->e, c->where, "%s has no length", value_text(c->e, &a[0]));
}

static value run_range(call *c, value *a)
{
    value v = {.kind = V_RANGE};
    bool two = a[1].kind != V_NONE;
    if (!want_int(c->e, c->where, a[two], "the end", &v.range.hi) ||
        (two && !want_int(c->e, c->where, a[0], "the beginning", &v.range.lo))) {
        return value_poison();
    }
    return v;
}

static bool as_list(call *c, const value *v, value *out)
{
    if (v->kind == V_LIST || v->kind == V_TUPLE) {
        *out = *v;
        return true;
    }
    int64_t n = v->kind == V_RANGE     ? v->range.hi - v->range.lo
                : v->kind == V_MODULES ? v->module.count
                                       : -1;
    if (n < 0 || n > 100000) {
        elab_error(c->e, c->where, "%s needs a list, found %s", c->name, value_text(c->e, v));
        return false;
    }
    value *items = arena_array(c->e->a, value, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        items[i] = value_int(v->kind == V_RANGE ? v->range.lo + i : i);
        if (v->kind == V_MODULES) {
            items[i] = value_module_at(c->e, v, i);
        }
    }
    *out = value_list(c->e, V_LIST, (uint32_t)n, items);
    return true;
}

static value run_zip(call *c, value *a)
{
    value x, y;
    if (!as_list(c, &a[0], &x) || !as_list(c, &a[1], &y)) {
        return value_poison();
    }
    uint32_t n = x.list.n < y.list.n ? x.list.n : y.list.n;
    value *items = arena_array(c->e->a, value, n);
    for (uint32_t i = 0; i < n; i++) {
        value pair[2] = {x.list.at[i], y.list.at[i]};
        items[i] = value_list(c->e, V_TUPLE, 2, pair);
    }
    return value_list(c->e, V_LIST, n, items);
}

static value run_enumerate(call *c, value *a)
{
    value x;
    if (!as_list(c, &a[0], &x)) {
        return value_poison();
    }
    value range = {
        .kind = V_RANGE, .range = {0, x.list.n}
    };
    return run_zip(c, (value[]){range, x});
}

static value run_reversed(call *c, value *a)
{
    value x;
    if (!as_list(c, &a[0], &x)) {
        return value_poison();
    }
    value *items = arena_array(c->e->a, value, x.list.n);
    for (uint32_t i = 0; i < x.list.n; i++) {
        items[i] = x.list.at[x.list.n - 1 - i];
    }
    return value_list(c->e, V_LIST, x.list.n, items);
}

/* meta("num_hidden_layers", "llama.block_count", 22): the first key the weights know, else the
 * last. */
static value run_meta(call *c, value *args)
{
    (void)args;
    for (uint32_t i = 0; i < c->n_args; i++) {
        frontend_meta m;
        if (i + 1 == c->n_args && (i > 0 || c->args[i].kind != V_STR)) {
            return c->args[i];
        }
        if (c->args[i].kind != V_STR) {
            return elab_error(c->e, c->arg_places[i], "meta takes keys, then the default");
        }
        if (c->e->o && c->e->o->meta && c->e->o->meta(c->e->o->meta_data, c->args[i].s, &m)) {
            return m.kind == FRONTEND_META_INT     ? value_int(m.i)
                   : m.kind == FRONTEND_META_FLOAT ? value_float(m.f)
                   : m.kind == FRONTEND_META_BOOL  ? value_bool(m.i != 0)
                                                   : value_str(intern(c->e->names, m.s));
        }
    }
    if (c->n_args == 0) {
        return elab_error(c->e, c->where, "meta needs a key and a default");
    }
    elab_error(c->e, c->where,
               "meta needs a default: nothing that comes with the weights is named '%s'",
               c->args[0].s);
    diag_help(c->e->d, "write the default last: meta(\"%s\", 12)", c->args[0].s);
    return value_poison();
}

static value run_int(call *c, value *a)
{
    double x;
    if (a[0].kind == V_INT || !want_float(c->e, c->where, a[0], "the operand", &x)) {
        return a[0].kind == V_INT ? a[0] : value_poison();
    }
    return fabs(x) < 9e18 ? value_int((int64_t)x)
                          : elab_error(c->e, c->where, "%g does not fit into an integer", x);
}

static value run_float(call *c, value *a)
{
    double x;
    return want_float(c->e, c->where, a[0], "the operand", &x) ? value_float(x) : value_poison();
}

/* One for each of n axes: a list as it is, anything else n times. */
static value run_each(call *c, value *a)
{
    int64_t n;
    if (!want_int(c->e, c->where, a[1], "the count", &n)) {
        return value_poison();
    }
    bool list = a[0].kind == V_LIST || a[0].kind == V_TUPLE;
    if (n < 0 || n > 100000 || (list && a[0].list.n != (uint64_t)n)) {
        return list ? elab_error(c->e, c->where, "needs one value or %lld, found %u", (long long)n,
                                 a[0].list.n)
                    : elab_error(c->e, c->where, "cannot make a list of %lld values", (long long)n);
    }
    value *items = arena_array(c->e->a, value, (size_t)n + 1);
    for (int64_t i = 0; i < n; i++) {
        items[i] = list ? a[0].list.at[i] : a[0];
    }
    return value_list(c->e, V_LIST, (uint32_t)n, items);
}

const builtin builtins_static[] = {
    {"len", "x", run_len, 0},
    {"range", "start, end = none", run_range, 0},
    {"zip", "x, y", run_zip, 0},
    {"enumerate", "x", run_enumerate, 0},
    {"each", "x, n", run_each, 0},
    {"reversed", "x", run_reversed, 0},
    {"meta", "*keys", run_meta, 0},
    {"int", "x", run_int, 0},
    {"float", "x", run_float, 0},
    {0},
};
