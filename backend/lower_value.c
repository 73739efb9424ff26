/* One element of a node: elementwise ops, leaves and moves. */
#include "backend/lower.h"

#include <string.h>

/* The index of a broadcast operand: right-aligned, 0 along axes of size 1. */
static void broadcast_index(lower *l, const ir_type *from, const ir_type *to,
                            const ir_dim *const *index, const ir_dim **out)
{
    for (uint32_t i = 0; i < from->rank; i++) {
        uint32_t k = to->rank - from->rank + i;
        bool stretched = ir_dim_is_one(from->dims[i]);
        out[i] = stretched ? ir_dim_const(l->c, 0) : index[k];
    }
}

static const k_expr *value_at(lower *l, const lower_scope *s, const ir_node *x, const ir_type *to,
                              const ir_dim *const *index, const k_expr *guard)
{
    const ir_dim *inner[IR_MAX_RANK];
    broadcast_index(l, ir_node_type(x), to, index, inner);
    return lower_value(l, s, x, inner, guard);
}

static const k_expr *elementwise(lower *l, const lower_scope *s, const ir_node *n,
                                 const ir_dim *const *index, const k_expr *guard)
{
    const k_expr *args[3];
    const ir_type *t = ir_node_type(n);
    for (uint32_t i = 0; i < n->n_in; i++) {
        args[i] = value_at(l, s, n->in[i], t, index, guard);
    }
    if (n->op == IR_OP_where) {
        return lower_select(l, args[0], args[1], args[2]);
    }
    if (n->op == IR_OP_cast) {
        return lower_cast(l, args[0], t->dtype);
    }
    return lower_op(l, n->op, t->dtype, n->n_in, args);
}

/* Constants --------------------------------------------------------------------------------------
 */

static const k_buf *const_buf(lower *l, const ir_node *n, const ir_data *d)
{
    for (uint32_t i = 0; i < l->consts.len; i++) {
        if (l->consts.at[i] == d) {
            return l->const_bufs.at[i];
        }
    }
    k_buf *b = arena_new(l->a, k_buf);
    *b = (k_buf){.name = intern_printf(ir_ctx_names(l->c), "const%u", l->consts.len),
                 .dtype = d->dtype,
                 .storage = ir_storage_of_dtype(d->dtype),
                 .type = ir_node_type(n),
                 .access = K_READ,
                 .layout = intern(ir_ctx_names(l->c), "rows"),
                 .disjoint = true};
    vec_push(l->a, &l->consts, d);
    vec_push(l->a, &l->const_bufs, b);
    return b;
}

static const k_expr *constant(lower *l, const ir_node *n, const ir_dim *const *index,
                              const k_expr *guard)
{
    const ir_data *d = ir_node_attr(n, IR_ATTR_data)->data;
    if (d->splat) {
        return ir_dtype_is_float(d->dtype)
                   ? lower_const_f(l, d->dtype, ir_dtype_load(d->dtype, d->bytes, 0))
                   : lower_const_i(l, d->dtype, ir_dtype_load_i64(d->dtype, d->bytes, 0));
    }
    return lower_load(l, const_buf(l, n, d), lower_linear(l, ir_node_type(n), index), guard);
}

/* Moves ------------------------------------------------------------------------------------------
 */

/* The index before a reshape. Axes are taken in groups of equal product, so that a run-time size
 * that stays an axis of its own never meets a division. */
void lower_reshape(ir_ctx *c, const ir_type *from, const ir_type *to, const ir_dim *const *index,
                   const ir_dim **out)
{
    uint32_t i = 0, o = 0;
    while (i < from->rank || o < to->rank) {
        uint32_t i0 = i, o0 = o;
        const ir_dim *pi = ir_dim_const(c, 1), *po = ir_dim_const(c, 1);
        if (i < from->rank) {
            pi = from->dims[i++];
        }
        if (o < to->rank) {
            po = to->dims[o++];
        }
        while (pi != po && (i < from->rank || o < to->rank)) {
            bool grow_in = o == to->rank || (i < from->rank && ir_dim_div_exact(c, po, pi) &&
                                             !ir_dim_div_exact(c, pi, po));
            if (!grow_in && i < from->rank && !ir_dim_div_exact(c, pi, po)) {
                grow_in = ir_dim_le(c, pi, po) == IR_ALWAYS;
            }
            if (grow_in) {
                pi = ir_dim_mul(c, pi, from->dims[i++]);
            } else if (o < to->rank) {
                po = ir_dim_mul(c, po, to->dims[o++]);
            } else {
                pi = ir_dim_mul(c, pi, from->dims[i++]);
            }
        }
        const ir_dim *at = ir_dim_const(c, 0);
        for (uint32_t k = o0; k < o; k++) {
            at = ir_dim_add(c, ir_dim_mul(c, at, to->dims[k]), index[k]);
        }
        if (i == i0 + 1 && o == o0 + 1) {
            out[i0] = index[o0];
            continue;
        }
        for (uint32_t k = i; k-- > i0;) {
            bool outermost = true;
            for (uint32_t q = i0; q < k; q++) {
                outermost &= ir_dim_is_one(from->dims[q]);
            }
            if (ir_dim_is_one(from->dims[k])) {
                out[k] = ir_dim_const(c, 0);
            } else if (outermost) {
                out[k] = at;
            } else {
                out[k] = ir_dim_mod(c, at, from->dims[k]);
                at = ir_dim_floordiv(c, at, from->dims[k]);
            }
        }
    }
}

static const k_expr *concatenated(lower *l, const lower_scope *s, const ir_node *n,
                                  const ir_dim *const *index, const k_expr *guard)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0), rank = ir_node_type(n)->rank;
    const ir_dim *begin = ir_dim_const(l->c, 0), *inner[IR_MAX_RANK];
    const k_expr *result = NULL, *conds[256], *values[256];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->n_in && count < 256; i++) {
        const ir_dim *end = ir_dim_add(l->c, begin, ir_node_type(n->in[i])->dims[axis]);
        bool never = ir_dim_le(l->c, ir_dim_offset(l->c, index[axis], 1), begin) == IR_ALWAYS ||
                     ir_dim_le(l->c, end, index[axis]) == IR_ALWAYS;
        const k_expr *cond =
            i + 1 < n->n_in ? lower_within(l, index[axis], index[axis], end) : NULL;
        if (!never) {
            memcpy(inner, index, rank * sizeof *inner);
            inner[axis] = ir_dim_sub(l->c, index[axis], begin);
            const k_expr *inside = lower_within(l, index[axis], begin, end);
            values[count] = lower_value(l, s, n->in[i], inner, lower_and(l, guard, inside));
            conds[count++] = i + 1 < n->n_in && ir_dim_le(l->c, ir_dim_offset(l->c, index[axis], 1),
                                                          end) != IR_ALWAYS
                                 ? cond
                                 : NULL;
        }
        begin = end;
    }
    for (uint32_t i = count; i-- > 0;) {
        result = result && conds[i] ? lower_select(l, conds[i], values[i], result) : values[i];
    }
    return result;
}

static const k_expr *padded(lower *l, const lower_scope *s, const ir_node *n,
                            const ir_dim *const *index, const k_expr *guard)
{
    const ir_attr *lo = ir_node_attr(n, IR_ATTR_lo);
    const ir_type *t = ir_node_type(n->in[0]);
    const ir_dim *inner[IR_MAX_RANK], *zero = ir_dim_const(l->c, 0);
    const k_expr *inside = NULL;
    for (uint32_t i = 0; i < t->rank; i++) {
        inner[i] = ir_dim_sub(l->c, index[i], lo->dims[i]);
        inside = lower_and(l, inside, lower_within(l, inner[i], zero, t->dims[i]));
    }
    const k_expr *x = lower_value(l, s, n->in[0], inner, lower_and(l, guard, inside));
    return lower_select(l, inside, x,
                        lower_const_f(l, t->dtype, ir_node_float(n, IR_ATTR_value, 0)));
}

/* dst with src at offsets: within src's region its value, dst's elsewhere. */
static const k_expr *updated(lower *l, const lower_scope *s, const ir_node *n,
                             const ir_dim *const *index, const k_expr *guard)
{
    const ir_attr *offsets = ir_node_attr(n, IR_ATTR_offsets);
    const ir_type *t = ir_node_type(n->in[1]);
    const ir_dim *inner[IR_MAX_RANK], *zero = ir_dim_const(l->c, 0);
    const k_expr *inside = NULL;
    for (uint32_t i = 0; i < t->rank; i++) {
        inner[i] = ir_dim_sub(l->c, index[i], offsets->dims[i]);
        inside = lower_and(l, inside, lower_within(l, inner[i], zero, t->dims[i]));
    }
    const k_expr *x = lower_value(l, s, n->in[1], inner, lower_and(l, guard, inside));
    return inside ? lower_select(l, inside, x, lower_value(l, s, n->in[0], index, guard)) : x;
}

/* An index that comes from data, brought within [0, size): negative ones count from the end. */
static const ir_dim *data_index(lower *l, const k_expr *e, const ir_dim *size)
{
    e = lower_cast(l, e, IR_i64);
    const k_expr *zero = lower_const_i(l, IR_i64, 0), *n = lower_index(l, size);
    e = lower_select(l, lower_binary(l, IR_OP_lt, e, zero), lower_binary(l, IR_OP_add, e, n), e);
    e = lower_binary(l, IR_OP_min, e, lower_binary(l, IR_OP_sub, n, lower_const_i(l, IR_i64, 1)));
    return lower_opaque(l, lower_binary(l, IR_OP_max, e, zero), size);
}

static const k_expr *taken(lower *l, const lower_scope *s, const ir_node *n,
                           const ir_dim *const *index, const k_expr *guard)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    const ir_type *x = ir_node_type(n->in[0]), *ids = ir_node_type(n->in[1]);
    const ir_dim *inner[IR_MAX_RANK];
    const k_expr *id = lower_value(l, s, n->in[1], index + axis, guard);
    for (uint32_t i = 0; i < x->rank; i++) {
        inner[i] = i < axis    ? index[i]
                   : i == axis ? data_index(l, id, x->dims[axis])
                               : index[i - 1 + ids->rank];
    }
    return lower_value(l, s, n->in[0], inner, guard);
}

static const k_expr *gathered(lower *l, const lower_scope *s, const ir_node *n,
                              const ir_dim *const *index, const k_expr *guard)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    const ir_type *x = ir_node_type(n->in[0]);
    const ir_dim *inner[IR_MAX_RANK];
    memcpy(inner, index, x->rank * sizeof *inner);
    inner[axis] = data_index(l, lower_value(l, s, n->in[1], index, guard), x->dims[axis]);
    return lower_value(l, s, n->in[0], inner, guard);
}

static const k_expr *moved(lower *l, const lower_scope *s, const ir_node *n,
                           const ir_dim *const *index, const k_expr *guard)
{
    const ir_node *x = n->in[0];
    const ir_type *t = ir_node_type(x);
    const ir_dim *inner[IR_MAX_RANK];
    switch (n->op) {
    case IR_OP_reshape:
        lower_reshape(l->c, t, ir_node_type(n), index, inner);
        return lower_value(l, s, x, inner, guard);
    case IR_OP_transpose:
        for (uint32_t i = 0; i < t->rank; i++) {
            inner[ir_node_attr(n, IR_ATTR_perm)->ints[i]] = index[i];
        }
        return lower_value(l, s, x, inner, guard);
    case IR_OP_broadcast:
        return value_at(l, s, x, ir_node_type(n), index, guard);
    case IR_OP_slice:
        for (uint32_t i = 0; i < t->rank; i++) {
            const ir_dim *step =
                ir_dim_scale(l->c, index[i], ir_node_attr(n, IR_ATTR_steps)->ints[i]);
            inner[i] = ir_dim_add(l->c, ir_node_attr(n, IR_ATTR_offsets)->dims[i], step);
        }
        return lower_value(l, s, x, inner, guard);
    case IR_OP_reverse:
        memcpy(inner, index, t->rank * sizeof *inner);
        for (uint32_t i = 0; i < ir_node_attr(n, IR_ATTR_axes)->n; i++) {
            int64_t axis = ir_node_attr(n, IR_ATTR_axes)->ints[i];
            inner[axis] = ir_dim_sub(l->c, ir_dim_offset(l->c, t->dims[axis], -1), index[axis]);
        }
        return lower_value(l, s, x, inner, guard);
    case IR_OP_update:
        return updated(l, s, n, index, guard);
    case IR_OP_pad:
        return padded(l, s, n, index, guard);
    case IR_OP_concat:
        return concatenated(l, s, n, index, guard);
    case IR_OP_take:
        return taken(l, s, n, index, guard);
    default:
        return gathered(l, s, n, index, guard);
    }
}

/* Attention's scores and values are computed in f32 whatever its type. */
static const k_expr *hole_value(lower *l, ir_dtype t)
{
    return t == IR_f64 ? lower_cast(l, lower_hole(l, IR_f32), t) : lower_hole(l, t);
}

/* Inputs of the kernel's body are buffers; those of attention's body are the score and the extras.
 */
static const k_expr *input(lower *l, const lower_scope *s, const ir_node *n,
                           const ir_dim *const *index, const k_expr *guard)
{
    uint32_t i = (uint32_t)ir_node_int(n, IR_ATTR_index, 0);
    if (s->bufs && s->bufs[i]->panel) {
        return lower_load_packed(l, s->bufs[i], index, guard);
    }
    if (s->bufs) {
        return lower_load(l, s->bufs[i], lower_linear(l, ir_node_type(n), index), guard);
    }
    return i == 0 ? hole_value(l, ir_node_type(n)->dtype)
                  : lower_value(l, s->outside, s->owner->in[2 + i], index, guard);
}

static const k_expr *leaf(lower *l, const lower_scope *s, const ir_node *n,
                          const ir_dim *const *index, const k_expr *guard)
{
    ir_dtype t = ir_node_type(n)->dtype;
    switch (n->op) {
    case IR_OP_const:
        return constant(l, n, index, guard);
    case IR_OP_iota:
        return lower_cast(l, lower_index(l, index[ir_node_int(n, IR_ATTR_axis, 0)]), t);
    case IR_OP_dim:
        return lower_index(l, ir_node_attr(n, IR_ATTR_dim)->dim);
    case IR_OP_random:
        return lower_random(l, n, lower_linear(l, ir_node_type(n), index));
    default:
        return input(l, s, n, index, guard);
    }
}

const k_expr *lower_value(lower *l, const lower_scope *s, const ir_node *n,
                          const ir_dim *const *index, const k_expr *guard)
{
    if (n == s->hole) {
        return hole_value(l, ir_node_type(n)->dtype);
    }
    uint64_t key = hash_combine(hash_combine(map_key(n), map_key(guard)), map_key(s));
    for (uint32_t i = 0; i < ir_node_type(n)->rank; i++) {
        key = hash_combine(key, index[i]->id);
    }
    const k_expr *known = map_get(l->values, key);
    if (known) {
        return known;
    }
    const k_expr *e;
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_ELEMENTWISE:
        e = elementwise(l, s, n, index, guard);
        break;
    case IR_FAMILY_MOVE:
        e = moved(l, s, n, index, guard);
        break;
    case IR_FAMILY_REDUCE:
        e = lower_value_reduce(l, s, n, index, guard);
        break;
    case IR_FAMILY_NORM:
        e = lower_value_norm(l, s, n, index, guard);
        break;
    case IR_FAMILY_CONTRACT:
        e = lower_value_contract(l, s, n, index, guard);
        break;
    case IR_FAMILY_CONV:
        e = lower_value_conv(l, s, n, index, guard);
        break;
    case IR_FAMILY_POOL:
        e = n->op == IR_OP_pool ? lower_value_pool(l, s, n, index, guard)
                                : lower_value_resize(l, s, n, index, guard);
        break;
    default:
        e = leaf(l, s, n, index, guard);
    }
    map_set(l->values, key, (void *)(uintptr_t)(const void *)e);
    return e;
}
