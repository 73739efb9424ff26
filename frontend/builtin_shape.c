/* Built-in functions that make, move and choose elements. */
#include "frontend/elab.h"

#define B ir_builder b = elab_builder(c->e, c->where)
#define X(var, i)                                                                                  \
    const ir_node *var = want_tensor(c->e, c->where, args[i], "the operand");                      \
    if (!(var))                                                                                    \
    return value_poison()

static value done(call *c, const ir_builder *b, const ir_node *r, uint32_t n, const value *operands)
{
    return r           ? value_tensor(c->e, r)
           : b->failed ? elab_build_error(c->e, b, n, operands)
                       : value_poison();
}

static bool axis_of(call *c, const value *v, uint32_t rank, int64_t *axis)
{
    uint32_t n;
    int64_t axes[IR_MAX_RANK];
    if (!want_axes(c->e, c->where, *v, rank, &n, axes) || n != 1) {
        return false;
    }
    *axis = axes[0];
    return true;
}

/* Sizes given as one list or as arguments one by one, from argument `first` on. -1 in one is found.
 */
static bool get_shape(call *c, uint32_t first, const ir_type *from, uint32_t *n, const ir_dim **out)
{
    value v =
        c->n_args == first + 1
            ? c->args[first]
            : value_list(c->e, V_LIST, c->n_args > first ? c->n_args - first : 0, c->args + first);
    for (uint32_t k = 0; k < c->n_keywords; k++) {
        v = c->keyword_values[k];
    }
    if (!want_dims(c->e, c->where, v, "a size", n, out)) {
        return false;
    }
    const ir_dim *known = ir_dim_const(c->e->c, 1);
    int unknown = -1;
    for (uint32_t i = 0; i < *n; i++) {
        if (ir_dim_is_value(out[i], -1) && unknown < 0) {
            unknown = (int)i;
        } else {
            known = ir_dim_mul(c->e->c, known, out[i]);
        }
    }
    if (unknown >= 0 && from) {
        out[unknown] = ir_dim_div_exact(c->e->c, ir_type_elems(c->e->c, from), known);
        if (!out[unknown]) {
            elab_error(c->e, c->where, "%s of %s elements cannot be divided into parts of %s",
                       type_text(c->e, from), ir_dim_text(c->e->c, ir_type_elems(c->e->c, from)),
                       ir_dim_text(c->e->c, known));
            return false;
        }
    }
    return true;
}

static value run_reshape(call *c, value *args)
{
    (void)args;
    if (c->n_args < 1) {
        return elab_error(c->e, c->where, "reshape needs a tensor and its new sizes");
    }
    const ir_node *x = want_tensor(c->e, c->where, c->args[0], "the operand");
    uint32_t n;
    const ir_dim *dims[IR_MAX_RANK];
    if (!x || !get_shape(c, 1, ir_node_type(x), &n, dims)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_reshape(&b, x, n, dims), 1, c->args);
}

static value run_broadcast_to(call *c, value *args)
{
    (void)args;
    const ir_node *x = c->n_args ? want_operand(c->e, c->where, c->args[0], NULL) : NULL;
    uint32_t n;
    const ir_dim *dims[IR_MAX_RANK];
    if (!x || !get_shape(c, 1, NULL, &n, dims)) {
        return value_poison();
    }
    for (uint32_t i = 0; i < n; i++) { /* torch's expand: -1 keeps the size */
        int from = (int)ir_node_type(x)->rank - (int)(n - i);
        if (ir_dim_is_value(dims[i], -1) && from >= 0) {
            dims[i] = ir_node_type(x)->dims[from];
        }
    }
    B;
    return done(c, &b, ir_broadcast(&b, x, n, dims), 1, c->args);
}

static value run_flatten(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    int64_t lo = 0, hi = (int64_t)t->rank - 1;
    if (t->rank == 0 || (args[1].kind != V_NONE && !axis_of(c, &args[1], t->rank, &lo)) ||
        (args[2].kind != V_NONE && !axis_of(c, &args[2], t->rank, &hi))) {
        return t->rank == 0 ? value_tensor(c->e, x) : value_poison();
    }
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t n = 0;
    for (int64_t i = 0; i < t->rank; i++) {
        if (i > lo && i <= hi) {
            dims[n - 1] = ir_dim_mul(c->e->c, dims[n - 1], t->dims[i]);
        } else {
            dims[n++] = t->dims[i];
        }
    }
    B;
    return done(c, &b, ir_reshape(&b, x, n, dims), 1, args);
}

static value run_squeeze(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    uint32_t n = 0, drop = 0, n_axes;
    int64_t axes[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        drop |= ir_dim_is_one(t->dims[i]) ? 1u << i : 0;
    }
    if (args[1].kind != V_NONE) {
        if (!want_axes(c->e, c->where, args[1], t->rank, &n_axes, axes)) {
            return value_poison();
        }
        drop = 0;
        for (uint32_t i = 0; i < n_axes; i++) {
            drop |= 1u << axes[i];
        }
    }
    const ir_dim *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!(drop & (1u << i))) {
            dims[n++] = t->dims[i];
        }
    }
    B;
    return done(c, &b, ir_reshape(&b, x, n, dims), 1, args);
}

static value run_unsqueeze(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    int64_t axis;
    const ir_dim *dims[IR_MAX_RANK + 1];
    if (!axis_of(c, &args[1], t->rank + 1, &axis)) {
        return value_poison();
    }
    for (uint32_t i = 0; i <= t->rank; i++) {
        dims[i] = i == axis ? ir_dim_const(c->e->c, 1) : t->dims[i - (i > axis)];
    }
    B;
    return done(c, &b, ir_reshape(&b, x, t->rank + 1, dims), 1, args);
}

static value run_permute(call *c, value *args)
{
    (void)args;
    const ir_node *x = c->n_args ? want_tensor(c->e, c->where, c->args[0], "the operand") : NULL;
    if (!x) {
        return c->n_args ? value_poison()
                         : elab_error(c->e, c->where, "permute needs a tensor and its axes");
    }
    value v = c->n_args == 2 ? c->args[1] : value_list(c->e, V_LIST, c->n_args - 1, c->args + 1);
    uint32_t n;
    int64_t perm[IR_MAX_RANK];
    if (!want_axes(c->e, c->where, v, ir_node_type(x)->rank, &n, perm)) {
        return value_poison();
    }
    if (n != ir_node_type(x)->rank) {
        return elab_error(c->e, c->where, "permute needs all %u axes, found %u",
                          ir_node_type(x)->rank, n);
    }
    B;
    return done(c, &b, ir_transpose(&b, x, perm), 1, c->args);
}

static value run_transpose(call *c, value *args)
{
    X(x, 0);
    uint32_t rank = ir_node_type(x)->rank;
    int64_t i, k, perm[IR_MAX_RANK];
    if (!axis_of(c, &args[1], rank, &i) || !axis_of(c, &args[2], rank, &k)) {
        return value_poison();
    }
    for (uint32_t a = 0; a < rank; a++) {
        perm[a] = a == i ? k : a == k ? i : a;
    }
    B;
    return done(c, &b, ir_transpose(&b, x, perm), 1, args);
}

/* A list of tensors of one element type. */
static bool get_parts(call *c, const value *v, uint32_t *n, const ir_node ***out)
{
    if (v->kind != V_LIST && v->kind != V_TUPLE) {
        elab_error(c->e, c->where, "%s needs a list of tensors, found %s", c->name,
                   value_text(c->e, v));
        return false;
    }
    *n = v->list.n;
    *out = arena_array(c->e->a, const ir_node *, *n);
    for (uint32_t i = 0; i < *n; i++) {
        (*out)[i] = want_operand(c->e, c->where, v->list.at[i], NULL);
        if (!(*out)[i]) {
            return false;
        }
    }
    if (*n == 0) {
        elab_error(c->e, c->where, "%s needs at least one tensor", c->name);
    }
    return *n > 0;
}

static value run_concat(call *c, value *args)
{
    uint32_t n;
    const ir_node **parts;
    int64_t axis;
    if (!get_parts(c, &args[0], &n, &parts) ||
        !axis_of(c, args[1].kind == V_NONE ? &(value){.kind = V_INT} : &args[1],
                 ir_node_type(parts[0])->rank, &axis)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_concat(&b, n, parts, (uint32_t)axis), args[0].list.n, args[0].list.at);
}

static value run_stack(call *c, value *args)
{
    uint32_t n;
    const ir_node **parts;
    int64_t axis;
    if (!get_parts(c, &args[0], &n, &parts) ||
        !axis_of(c, args[1].kind == V_NONE ? &(value){.kind = V_INT} : &args[1],
                 ir_node_type(parts[0])->rank + 1, &axis)) {
        return value_poison();
    }
    B;
    for (uint32_t i = 0; i < n; i++) {
        const ir_type *t = ir_node_type(parts[i]);
        const ir_dim *dims[IR_MAX_RANK + 1];
        for (uint32_t k = 0; k <= t->rank; k++) {
            dims[k] = k == axis ? ir_dim_const(c->e->c, 1) : t->dims[k - (k > axis)];
        }
        parts[i] = ir_reshape(&b, parts[i], t->rank + 1, dims);
    }
    return done(c, &b, ir_concat(&b, n, parts, (uint32_t)axis), args[0].list.n, args[0].list.at);
}

/* split(x, 4) into four equal parts; split(x, [a, b, c]) into parts of these sizes. */
static value run_split(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    int64_t axis;
    if (!axis_of(c, args[2].kind == V_NONE ? &(value){.kind = V_INT} : &args[2], t->rank, &axis)) {
        return value_poison();
    }
    bool list = args[1].kind == V_LIST || args[1].kind == V_TUPLE;
    int64_t n = list ? args[1].list.n : 0;
    if (!list && !want_int(c->e, c->where, args[1], "the number of parts", &n)) {
        return value_poison();
    }
    if (n < 1 || n > 1024) {
        return elab_error(c->e, c->where, "cannot split into %lld parts", (long long)n);
    }
    const ir_dim *each =
        list ? NULL : ir_dim_div_exact(c->e->c, t->dims[axis], ir_dim_const(c->e->c, n));
    if (!list && !each) {
        return elab_error(c->e, c->where, "axis %lld of size %s does not divide into %lld parts",
                          (long long)axis, ir_dim_text(c->e->c, t->dims[axis]), (long long)n);
    }
    B;
    value *parts = arena_array(c->e->a, value, (size_t)n);
    const ir_dim *at = ir_dim_const(c->e->c, 0);
    for (int64_t i = 0; i < n; i++) {
        const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK], *size = each;
        if (list && !want_dim(c->e, c->where, args[1].list.at[i], "the size of a part", &size)) {
            return value_poison();
        }
        for (uint32_t k = 0; k < t->rank; k++) {
            offsets[k] = k == axis ? at : ir_dim_const(c->e->c, 0);
            sizes[k] = k == axis ? size : t->dims[k];
        }
        const ir_node *p = ir_slice(&b, x, offsets, sizes, NULL);
        if (!p) {
            return done(c, &b, NULL, 1, args);
        }
        parts[i] = value_tensor(c->e, p);
        at = ir_dim_add(c->e->c, at, size);
    }
    if (list && at != t->dims[axis]) {
        return elab_error(c->e, c->where, "the parts make %s, the axis has size %s",
                          ir_dim_text(c->e->c, at), ir_dim_text(c->e->c, t->dims[axis]));
    }
    return value_list(c->e, V_TUPLE, (uint32_t)n, parts);
}

static value run_take(call *c, value *args)
{
    X(x, 0);
    X(ids, 1);
    int64_t axis;
    if (!axis_of(c, args[2].kind == V_NONE ? &(value){.kind = V_INT} : &args[2],
                 ir_node_type(x)->rank, &axis)) {
        return value_poison();
    }
    B;
    return done(c, &b, ir_take(&b, x, ids, (uint32_t)axis), 2, args);
}

/* torch's argument order: gather(x, axis, index), scatter_add(x, axis, index, src). */
static value by_index(call *c, value *args, ir_op op)
{
    X(x, 0);
    X(ids, 2);
    int64_t axis;
    const ir_node *in[3] = {x, ids, NULL};
    if (!axis_of(c, &args[1], ir_node_type(x)->rank, &axis)) {
        return value_poison();
    }
    if (op != IR_OP_gather && !(in[2] = want_tensor(c->e, c->where, args[3], "what is added"))) {
        return value_poison();
    }
    B;
    ir_attr a = ir_attr_i(IR_ATTR_axis, axis);
    return done(c, &b, ir_build(&b, op, op == IR_OP_gather ? 2 : 3, in, 1, &a, 0, NULL), 1, args);
}
static value run_gather(call *c, value *a)
{
    return by_index(c, a, IR_OP_gather);
}
static value run_scatter_add(call *c, value *a)
{
    return by_index(c, a, IR_OP_scatter_add);
}
static value run_index_add(call *c, value *a)
{
    return by_index(c, a, IR_OP_index_add);
}

/* pad(x, [lo, hi]) pads the last axis; [lo, hi, lo, hi] the last two, last axis first (torch's
 * order). */
static value run_pad(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    const ir_dim *p[2 * IR_MAX_RANK], *lo[IR_MAX_RANK], *hi[IR_MAX_RANK];
    uint32_t n = 0;
    double fill = 0;
    if (args[1].kind != V_LIST && args[1].kind != V_TUPLE) {
        return elab_error(
            c->e, c->where,
            "pad needs a list: [before, after] of the last axis, then of those before it");
    }
    for (; n < args[1].list.n && n < 2 * t->rank; n++) {
        if (!want_dim(c->e, c->where, args[1].list.at[n], "padding", &p[n])) {
            return value_poison();
        }
    }
    if (n % 2 || n < args[1].list.n ||
        (args[2].kind != V_NONE && !want_float(c->e, c->where, args[2], "the fill", &fill))) {
        return elab_error(c->e, c->where,
                          "pad needs pairs [before, after], at most one for each of %u axes",
                          t->rank);
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        uint32_t k = t->rank - 1 - i;
        lo[i] = 2 * k < n ? p[2 * k] : ir_dim_const(c->e->c, 0);
        hi[i] = 2 * k < n ? p[2 * k + 1] : ir_dim_const(c->e->c, 0);
    }
    B;
    return done(c, &b, ir_pad(&b, x, lo, hi, fill), 1, args);
}

static value run_flip(call *c, value *args)
{
    X(x, 0);
    uint32_t n;
    int64_t axes[IR_MAX_RANK];
    if (!want_axes(c->e, c->where, args[1], ir_node_type(x)->rank, &n, axes)) {
        return value_poison();
    }
    B;
    ir_attr a = ir_attr_is(IR_ATTR_axes, n, axes);
    return done(c, &b, ir_build(&b, IR_OP_reverse, 1, &x, 1, &a, 0, NULL), 1, args);
}

/* Makers ------------------------------------------------------------------------------------------
 */

static bool get_dtype(call *c, const value *v, ir_dtype otherwise, ir_dtype *t)
{
    *t = v->kind == V_DTYPE ? v->dtype : otherwise;
    if (v->kind != V_DTYPE && v->kind != V_NONE) {
        elab_error(c->e, c->where, "dtype must be an element type, found %s", value_text(c->e, v));
        return false;
    }
    return true;
}

static value filled(call *c, const value *shape, const value *fill, const value *dtype)
{
    uint32_t n;
    const ir_dim *dims[IR_MAX_RANK];
    ir_dtype t;
    if (!want_dims(c->e, c->where, *shape, "a size", &n, dims) ||
        !get_dtype(c, dtype, IR_f32, &t)) {
        return value_poison();
    }
    const ir_node *x = want_operand(c->e, c->where, *fill, ir_type_scalar(c->e->c, t));
    B;
    if (x && dtype->kind == V_DTYPE) { /* a tensor's own type is another one */
        x = ir_cast(&b, x, t);
    }
    return x ? done(c, &b, ir_broadcast(&b, x, n, dims), 1, fill) : value_poison();
}
static value run_zeros(call *c, value *a)
{
    return filled(c, &a[0], &(value){.kind = V_INT, .i = 0}, &a[1]);
}
static value run_ones(call *c, value *a)
{
    return filled(c, &a[0], &(value){.kind = V_INT, .i = 1}, &a[1]);
}
static value run_full(call *c, value *a)
{
    return filled(c, &a[0], &a[1], &a[2]);
}

static value filled_like(call *c, value *args, int64_t fill)
{
    X(x, 0);
    B;
    const ir_type *t = ir_node_type(x);
    return done(c, &b, ir_broadcast(&b, ir_const_i(&b, t->dtype, fill), t->rank, t->dims), 1, args);
}
static value run_zeros_like(call *c, value *a)
{
    return filled_like(c, a, 0);
}
static value run_ones_like(call *c, value *a)
{
    return filled_like(c, a, 1);
}

static value run_arange(call *c, value *args)
{
    const ir_dim *lo = ir_dim_const(c->e->c, 0), *hi;
    ir_dtype t;
    bool two = args[1].kind != V_NONE;
    if (!want_dim(c->e, c->where, args[two], "the end", &hi) ||
        (two && !want_dim(c->e, c->where, args[0], "the beginning", &lo)) ||
        !get_dtype(c, &args[2], IR_i64, &t)) {
        return value_poison();
    }
    const ir_dim *n = ir_dim_sub(c->e->c, hi, lo);
    B;
    const ir_node *x = ir_iota(&b, t, 1, &n, 0);
    if (x && !ir_dim_is_value(lo, 0)) {
        x = ir_binary(&b, IR_OP_add, x, ir_cast(&b, ir_dim_node(&b, lo), t));
    }
    return done(c, &b, x, 0, NULL);
}

static value run_linspace(call *c, value *args)
{
    double lo, hi;
    int64_t n;
    if (!want_float(c->e, c->where, args[0], "the beginning", &lo) ||
        !want_float(c->e, c->where, args[1], "the end", &hi) ||
        !want_int(c->e, c->where, args[2], "the number of steps", &n)) {
        return value_poison();
    }
    B;
    const ir_dim *d = ir_dim_const(c->e->c, n);
    const ir_node *x = ir_iota(&b, IR_f32, 1, &d, 0);
    x = x ? ir_binary(&b, IR_OP_mul, x,
                      ir_const_f(&b, IR_f32, n > 1 ? (hi - lo) / (double)(n - 1) : 0))
          : NULL;
    return done(c, &b, x ? ir_binary(&b, IR_OP_add, x, ir_const_f(&b, IR_f32, lo)) : NULL, 0, NULL);
}

/* Row and column numbers of a [n, m] compared: causal masks, triangles, the identity. */
static const ir_node *compare_places(ir_builder *b, ir_op op, const ir_dim *n, const ir_dim *m,
                                     const ir_dim *shift)
{
    const ir_dim *one = ir_dim_const(b->ctx, 1), *rows[2] = {n, one}, *cols[1] = {m};
    const ir_node *i = ir_iota(b, IR_i64, 2, rows, 0), *j = ir_iota(b, IR_i64, 1, cols, 0);
    i = i && !ir_dim_is_value(shift, 0) ? ir_binary(b, IR_OP_add, i, ir_dim_node(b, shift)) : i;
    return ir_binary(b, op, j, i);
}

/* causal(T, S): query i of T sees key j of S when j <= i + S - T. */
static value run_causal(call *c, value *args)
{
    const ir_dim *t, *s;
    if (!want_dim(c->e, c->where, args[0], "the number of queries", &t) ||
        !want_dim(c->e, c->where, args[1].kind == V_NONE ? args[0] : args[1], "the number of keys",
                  &s)) {
        return value_poison();
    }
    B;
    return done(c, &b, compare_places(&b, IR_OP_le, t, s, ir_dim_sub(c->e->c, s, t)), 0, NULL);
}

static value run_eye(call *c, value *args)
{
    const ir_dim *n;
    if (!want_dim(c->e, c->where, args[0], "the size", &n)) {
        return value_poison();
    }
    B;
    const ir_node *x = compare_places(&b, IR_OP_eq, n, n, ir_dim_const(c->e->c, 0));
    return done(c, &b, x ? ir_cast(&b, x, IR_f32) : NULL, 0, NULL);
}

static value triangle(call *c, value *args, ir_op op)
{
    X(x, 0);
    int64_t shift = 0;
    const ir_type *t = ir_node_type(x);
    if (t->rank < 2 ||
        (args[1].kind != V_NONE && !want_int(c->e, c->where, args[1], "the diagonal", &shift))) {
        return t->rank < 2 ? elab_error(c->e, c->where, "%s needs two axes", c->name)
                           : value_poison();
    }
    B;
    const ir_node *keep = compare_places(&b, op, t->dims[t->rank - 2], t->dims[t->rank - 1],
                                         ir_dim_const(c->e->c, shift));
    return done(c, &b, ir_where(&b, keep, x, ir_const_i(&b, t->dtype, 0)), 1, args);
}
static value run_tril(call *c, value *a)
{
    return triangle(c, a, IR_OP_le);
}
static value run_triu(call *c, value *a)
{
    return triangle(c, a, IR_OP_ge);
}

static value run_one_hot(call *c, value *args)
{
    X(ids, 0);
    const ir_dim *n;
    const ir_type *t = ir_node_type(ids);
    const ir_dim *dims[IR_MAX_RANK + 1];
    if (!want_dim(c->e, c->where, args[1], "the number of classes", &n)) {
        return value_poison();
    }
    if (ir_dtype_kind(t->dtype) != IR_KIND_INT) {
        elab_error(c->e, c->where, "one_hot needs integers, found %s", type_text(c->e, t));
        diag_help(c->e->d, "convert with cast(x, i32)");
        return value_poison();
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        dims[i] = t->dims[i];
    }
    dims[t->rank] = ir_dim_const(c->e->c, 1);
    B;
    const ir_node *col = ir_reshape(&b, ids, t->rank + 1, dims);
    const ir_node *hot = ir_binary(&b, IR_OP_eq, col, ir_iota(&b, t->dtype, 1, &n, 0));
    return done(c, &b, hot ? ir_cast(&b, hot, IR_f32) : NULL, 1, args);
}

static value run_roll(call *c, value *args)
{
    X(x, 0);
    const ir_type *t = ir_node_type(x);
    const ir_dim *shift;
    int64_t axis;
    if (!want_dim(c->e, c->where, args[1], "the shift", &shift) ||
        !axis_of(c, args[2].kind == V_NONE ? &(value){.kind = V_INT, .i = -1} : &args[2], t->rank,
                 &axis)) {
        return value_poison();
    }
    const ir_dim *n = t->dims[axis], *k = ir_dim_mod(c->e->c, ir_dim_sub(c->e->c, n, shift), n);
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK];
    const ir_node *parts[2];
    B;
    for (int p = 0; p < 2; p++) {
        for (uint32_t i = 0; i < t->rank; i++) {
            offsets[i] = i == axis && p == 0 ? k : ir_dim_const(c->e->c, 0);
            sizes[i] = i != axis ? t->dims[i] : p == 0 ? ir_dim_sub(c->e->c, n, k) : k;
        }
        parts[p] = ir_slice(&b, x, offsets, sizes, NULL);
    }
    return done(c, &b, ir_concat(&b, 2, parts, (uint32_t)axis), 1, args);
}

static value run_matmul(call *c, value *args)
{
    return eval_binary(c->e, c->where, "@", args[0], args[1]);
}

const builtin builtins_shape[] = {
    {"reshape", "*sizes", run_reshape, 0},
    {"view", "*sizes", run_reshape, 0},
    {"broadcast_to", "*sizes", run_broadcast_to, 0},
    {"expand", "*sizes", run_broadcast_to, 0},
    {"flatten", "x, start = 0, end = -1", run_flatten, 0},
    {"squeeze", "x, axis = none", run_squeeze, 0},
    {"unsqueeze", "x, axis", run_unsqueeze, 0},
    {"permute", "*axes", run_permute, 0},
    {"transpose", "x, axis0, axis1", run_transpose, 0},
    {"concat", "tensors, axis = 0", run_concat, 0},
    {"cat", "tensors, axis = 0", run_concat, 0},
    {"stack", "tensors, axis = 0", run_stack, 0},
    {"split", "x, parts, axis = 0", run_split, 0},
    {"chunk", "x, parts, axis = 0", run_split, 0},
    {"take", "x, index, axis = 0", run_take, 0},
    {"gather", "x, axis, index", run_gather, 0},
    {"scatter_add", "x, axis, index, src", run_scatter_add, 0},
    {"index_add", "x, axis, index, src", run_index_add, 0},
    {"pad", "x, pads, value = 0", run_pad, 0},
    {"flip", "x, axis", run_flip, 0},
    {"roll", "x, shift, axis = -1", run_roll, 0},
    {"zeros", "shape, dtype = f32", run_zeros, 0},
    {"ones", "shape, dtype = f32", run_ones, 0},
    {"full", "shape, value, dtype = f32", run_full, 0},
    {"zeros_like", "x", run_zeros_like, 0},
    {"ones_like", "x", run_ones_like, 0},
    {"arange", "start, end = none, dtype = i64", run_arange, 0},
    {"linspace", "start, end, steps", run_linspace, 0},
    {"causal", "T, S = none", run_causal, 0},
    {"eye", "n", run_eye, 0},
    {"tril", "x, diagonal = 0", run_tril, 0},
    {"triu", "x, diagonal = 0", run_triu, 0},
    {"one_hot", "x, classes", run_one_hot, 0},
    {"matmul", "x, y", run_matmul, 0},
    {0},
};
