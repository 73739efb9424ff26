/* Shape rules: reductions, orders and norms. */
#include "ir/infer.h"

/* A bit per axis of the `axes` attribute; false with an error when one is not an axis. */
static bool axes_mask(infer *f, uint32_t rank, uint32_t *mask)
{
    const ir_attr *axes = infer_need(f, IR_ATTR_axes, -1);
    *mask = 0;
    for (uint32_t i = 0; axes && i < axes->n; i++) {
        if (axes->ints[i] < 0 || axes->ints[i] >= rank) {
            return infer_fail(f, "axis %lld is out of range: there are %u axes",
                              (long long)axes->ints[i], rank);
        }
        if (*mask & (1u << axes->ints[i])) {
            return infer_fail(f, "axis %lld stands twice", (long long)axes->ints[i]);
        }
        *mask |= 1u << axes->ints[i];
    }
    return axes != NULL;
}

static bool reduced(infer *f, ir_dtype t, uint32_t mask)
{
    const ir_type *x = f->in[0];
    const ir_attr *keep = infer_attr(f, IR_ATTR_keep);
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (!(mask & (1u << i))) {
            dims[n++] = x->dims[i];
        } else if (keep && keep->i) {
            dims[n++] = ir_dim_const(f->c, 1);
        }
    }
    return infer_result(f, t, n, dims);
}

bool infer_reduce(infer *f)
{
    uint32_t mask;
    return axes_mask(f, f->in[0]->rank, &mask) && reduced(f, f->in[0]->dtype, mask);
}

bool infer_arg_reduce(infer *f)
{
    uint32_t axis;
    return infer_axis(f, f->in[0]->rank, &axis) && reduced(f, IR_i64, 1u << axis);
}

bool infer_argsort(infer *f)
{
    uint32_t axis;
    return infer_axis(f, f->in[0]->rank, &axis) &&
           infer_result(f, IR_i64, f->in[0]->rank, f->in[0]->dims);
}

bool infer_topk(infer *f)
{
    const ir_type *x = f->in[0];
    const ir_attr *k = infer_need(f, IR_ATTR_k, -1);
    uint32_t axis;
    if (!k || !infer_axis(f, x->rank, &axis)) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = i == axis ? ir_dim_const(f->c, k->i) : x->dims[i];
    }
    if (k->i < 0 || !infer_le(f, dims[axis], x->dims[axis])) {
        return infer_clash(f, 0, (int)axis, -1, -1, "cannot take the top %lld of %s",
                           (long long)k->i, infer_text(f, x->dims[axis]));
    }
    return infer_result(f, x->dtype, x->rank, dims) && infer_result(f, IR_i64, x->rank, dims);
}

bool infer_norm(infer *f)
{
    uint32_t mask, most = f->op == IR_OP_layer_norm ? 3 : 2;
    if (f->n_in < 1 || f->n_in > most) {
        return infer_fail(f, "%s takes 1 to %u operands", ir_op_name(f->op), most);
    }
    const ir_type *x = f->in[0];
    if (!axes_mask(f, x->rank, &mask) || !infer_need(f, IR_ATTR_eps, -1)) {
        return false;
    }
    for (uint32_t k = 1; k < f->n_in; k++) {
        uint32_t rank;
        const ir_dim *dims[IR_MAX_RANK];
        if (!infer_same_dtype(f, 0, k)) {
            return false;
        }
        bool fits =
            f->in[k]->rank <= x->rank &&
            ir_shape_broadcast(f->c, f->conditions, f->where, x, f->in[k], &rank, dims, f->error) &&
            ir_type_same_shape(ir_type_get(f->c, x->dtype, rank, dims), x);
        if (!fits) {
            return infer_clash(f, 0, -1, (int)k, -1, "%s cannot scale %s",
                               ir_type_text(f->c, f->in[k]), ir_type_text(f->c, x));
        }
    }
    return infer_result(f, x->dtype, x->rank, x->dims);
}
