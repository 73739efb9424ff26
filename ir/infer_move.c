/* Shape rules: ops that move elements. */
#include "ir/infer.h"

bool infer_same(infer *f)
{
    uint32_t axis;
    const ir_type *x = f->in[0];
    if (f->op != IR_OP_reverse && !infer_axis(f, x->rank, &axis)) {
        return false;
    }
    const ir_attr *axes = f->op == IR_OP_reverse ? infer_need(f, IR_ATTR_axes, -1) : NULL;
    if (f->op == IR_OP_reverse && !axes) {
        return false;
    }
    for (uint32_t i = 0; axes && i < axes->n; i++) {
        if (axes->ints[i] < 0 || axes->ints[i] >= x->rank) {
            return infer_fail(f, "axis %lld is out of range: there are %u axes",
                              (long long)axes->ints[i], x->rank);
        }
    }
    return infer_result(f, x->dtype, x->rank, x->dims);
}

bool infer_reshape(infer *f)
{
    const ir_attr *shape = infer_need(f, IR_ATTR_shape, -1);
    if (!shape) {
        return false;
    }
    const ir_dim *from = ir_type_elems(f->c, f->in[0]);
    const ir_dim *to = ir_dim_product(f->c, shape->dims, shape->n);
    if (!infer_equal(f, from, to)) {
        return infer_clash(f, 0, -1, -1, -1, "cannot reshape %s of %s elements into %s elements",
                           ir_type_text(f->c, f->in[0]), infer_text(f, from), infer_text(f, to));
    }
    return infer_result(f, f->in[0]->dtype, shape->n, shape->dims);
}

bool infer_transpose(infer *f)
{
    const ir_type *x = f->in[0];
    const ir_attr *perm = infer_need(f, IR_ATTR_perm, (int)x->rank);
    if (!perm) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t seen = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        int64_t p = perm->ints[i];
        if (p < 0 || p >= x->rank || (seen & (1u << p))) {
            return infer_fail(f, "perm is not a permutation of the %u axes", x->rank);
        }
        seen |= 1u << p;
        dims[i] = x->dims[p];
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

bool infer_broadcast(infer *f)
{
    const ir_type *x = f->in[0];
    const ir_attr *shape = infer_need(f, IR_ATTR_shape, -1);
    if (!shape) {
        return false;
    }
    if (shape->n < x->rank) {
        return infer_clash(f, 0, -1, -1, -1, "cannot broadcast %u axes to %u", x->rank, shape->n);
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        const ir_dim *to = shape->dims[shape->n - x->rank + i];
        if (!ir_dim_is_one(x->dims[i]) && !infer_equal(f, x->dims[i], to)) {
            return infer_clash(f, 0, (int)i, -1, -1, "cannot broadcast size %s to %s",
                               infer_text(f, x->dims[i]), infer_text(f, to));
        }
    }
    return infer_result(f, x->dtype, shape->n, shape->dims);
}

bool infer_slice(infer *f)
{
    const ir_type *x = f->in[0];
    const ir_attr *offsets = infer_need(f, IR_ATTR_offsets, (int)x->rank);
    const ir_attr *sizes = offsets ? infer_need(f, IR_ATTR_sizes, (int)x->rank) : NULL;
    const ir_attr *steps = sizes ? infer_need(f, IR_ATTR_steps, (int)x->rank) : NULL;
    if (!steps) {
        return false;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        const ir_dim *zero = ir_dim_const(f->c, 0);
        if (steps->ints[i] < 1) {
            return infer_fail(f, "step %lld of a slice must be positive",
                              (long long)steps->ints[i]);
        }
        const ir_dim *last =
            ir_dim_scale(f->c, ir_dim_offset(f->c, sizes->dims[i], -1), steps->ints[i]);
        const ir_dim *end = ir_dim_offset(f->c, ir_dim_add(f->c, offsets->dims[i], last), 1);
        bool whole =
            offsets->dims[i] == zero && sizes->dims[i] == x->dims[i] && steps->ints[i] == 1;
        if (ir_dim_is_value(sizes->dims[i], 0)) {
            end = offsets->dims[i];
        }
        if (!whole && (!infer_le(f, zero, offsets->dims[i]) || !infer_le(f, end, x->dims[i]))) {
            return infer_clash(
                f, 0, (int)i, -1, -1, "slice %s:%s is out of range for axis %u of size %s",
                infer_text(f, offsets->dims[i]), infer_text(f, end), i, infer_text(f, x->dims[i]));
        }
    }
    return infer_result(f, x->dtype, x->rank, sizes->dims);
}

bool infer_update(infer *f)
{
    const ir_type *d = f->in[0], *s = f->in[1];
    const ir_attr *offsets = infer_need(f, IR_ATTR_offsets, (int)d->rank);
    if (!offsets) {
        return false;
    }
    if (d->rank != s->rank) {
        return infer_clash(f, 0, -1, 1, -1, "cannot write %s into %s: the axes differ in number",
                           ir_type_text(f->c, s), ir_type_text(f->c, d));
    }
    if (!infer_same_dtype(f, 0, 1)) {
        return false;
    }
    for (uint32_t i = 0; i < d->rank; i++) {
        const ir_dim *end = ir_dim_add(f->c, offsets->dims[i], s->dims[i]);
        if (!infer_le(f, ir_dim_const(f->c, 0), offsets->dims[i]) ||
            !infer_le(f, end, d->dims[i])) {
            return infer_clash(
                f, 0, (int)i, 1, (int)i, "writing at %s:%s is out of range for axis %u of size %s",
                infer_text(f, offsets->dims[i]), infer_text(f, end), i, infer_text(f, d->dims[i]));
        }
    }
    return infer_result(f, d->dtype, d->rank, d->dims);
}

bool infer_pad(infer *f)
{
    const ir_type *x = f->in[0];
    const ir_attr *lo = infer_need(f, IR_ATTR_lo, (int)x->rank);
    const ir_attr *hi = lo ? infer_need(f, IR_ATTR_hi, (int)x->rank) : NULL;
    if (!hi) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->rank; i++) {
        const ir_dim *zero = ir_dim_const(f->c, 0);
        if (!infer_le(f, zero, lo->dims[i]) || !infer_le(f, zero, hi->dims[i])) {
            return infer_clash(f, 0, (int)i, -1, -1,
                               "padding of axis %u must not be negative, found %s and %s", i,
                               infer_text(f, lo->dims[i]), infer_text(f, hi->dims[i]));
        }
        dims[i] = ir_dim_add(f->c, ir_dim_add(f->c, lo->dims[i], x->dims[i]), hi->dims[i]);
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

bool infer_concat(infer *f)
{
    uint32_t axis;
    if (f->n_in == 0) {
        return infer_fail(f, "concat needs at least one operand");
    }
    if (!infer_axis(f, f->in[0]->rank, &axis)) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK];
    const ir_type *x = f->in[0];
    for (uint32_t i = 0; i < x->rank; i++) {
        dims[i] = x->dims[i];
    }
    for (uint32_t k = 1; k < f->n_in; k++) {
        const ir_type *y = f->in[k];
        if (y->rank != x->rank) {
            return infer_clash(f, 0, -1, (int)k, -1,
                               "cannot concat %s and %s: the axes differ in number",
                               ir_type_text(f->c, x), ir_type_text(f->c, y));
        }
        if (!infer_same_dtype(f, 0, k)) {
            return false;
        }
        for (uint32_t i = 0; i < x->rank; i++) {
            if (i == axis) {
                dims[i] = ir_dim_add(f->c, dims[i], y->dims[i]);
            } else if (!infer_equal(f, x->dims[i], y->dims[i])) {
                return infer_clash(f, 0, (int)i, (int)k, (int)i,
                                   "sizes of axis %u differ: %s and %s", i,
                                   infer_text(f, x->dims[i]), infer_text(f, y->dims[i]));
            }
        }
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

static bool integer_operand(infer *f, uint32_t i)
{
    if (ir_dtype_kind(f->in[i]->dtype) == IR_KIND_INT) {
        return true;
    }
    (void)infer_clash(f, (int)i, -1, -1, -1, "indices must be integers, found %s",
                      ir_dtype_name(f->in[i]->dtype));
    return infer_advise(f, "declare them i32, or convert with cast(x, i32)");
}

/* Whatever an index says, it is brought within the axis: there must be something there. */
static bool axis_has_elements(infer *f, const ir_type *x, uint32_t axis)
{
    return infer_le(f, ir_dim_const(f->c, 1), x->dims[axis]) ||
           infer_clash(f, 0, (int)axis, -1, -1,
                       "an index needs at least one element along axis %u of %s", axis,
                       ir_type_text(f->c, x));
}

bool infer_take(infer *f)
{
    const ir_type *x = f->in[0], *ids = f->in[1];
    uint32_t axis;
    if (!integer_operand(f, 1) || !infer_axis(f, x->rank, &axis) ||
        !axis_has_elements(f, x, axis)) {
        return false;
    }
    const ir_dim *dims[2 * IR_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < axis; i++) {
        dims[n++] = x->dims[i];
    }
    for (uint32_t i = 0; i < ids->rank; i++) {
        dims[n++] = ids->dims[i];
    }
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        dims[n++] = x->dims[i];
    }
    return infer_result(f, x->dtype, n, dims);
}

bool infer_gather(infer *f)
{
    const ir_type *x = f->in[0], *ids = f->in[1];
    uint32_t axis;
    if (!integer_operand(f, 1) || !infer_axis(f, x->rank, &axis) ||
        !axis_has_elements(f, x, axis)) {
        return false;
    }
    if (ids->rank != x->rank) {
        return infer_clash(f, 0, -1, 1, -1, "gather needs as many axes in both: %u and %u", x->rank,
                           ids->rank);
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        if (i != axis && !infer_le(f, ids->dims[i], x->dims[i])) {
            return infer_clash(f, 0, (int)i, 1, (int)i,
                               "axis %u of the indices is too long: %s > %s", i,
                               infer_text(f, ids->dims[i]), infer_text(f, x->dims[i]));
        }
    }
    return infer_result(f, x->dtype, ids->rank, ids->dims);
}

bool infer_scatter_add(infer *f)
{
    const ir_type *d = f->in[0], *ids = f->in[1], *s = f->in[2];
    uint32_t axis;
    if (!integer_operand(f, 1) || !infer_axis(f, d->rank, &axis) ||
        !axis_has_elements(f, d, axis)) {
        return false;
    }
    if (ids->rank != d->rank || s->rank != d->rank || s->dtype != d->dtype) {
        return infer_fail(f, "scatter_add needs operands alike: %s, %s, %s", ir_type_text(f->c, d),
                          ir_type_text(f->c, ids), ir_type_text(f->c, s));
    }
    for (uint32_t i = 0; i < d->rank; i++) {
        if (!infer_equal(f, ids->dims[i], s->dims[i]) ||
            (i != axis && !infer_le(f, s->dims[i], d->dims[i]))) {
            return infer_clash(f, 1, (int)i, 2, (int)i, "sizes of axis %u do not fit: %s and %s", i,
                               infer_text(f, ids->dims[i]), infer_text(f, s->dims[i]));
        }
    }
    return infer_result(f, d->dtype, d->rank, d->dims);
}

bool infer_index_add(infer *f)
{
    const ir_type *d = f->in[0], *ids = f->in[1], *s = f->in[2];
    uint32_t axis;
    if (!integer_operand(f, 1) || !infer_axis(f, d->rank, &axis) ||
        !axis_has_elements(f, d, axis)) {
        return false;
    }
    if (ids->rank != 1 || s->rank != d->rank || s->dtype != d->dtype) {
        return infer_fail(f, "index_add cannot add %s at %s to %s", ir_type_text(f->c, s),
                          ir_type_text(f->c, ids), ir_type_text(f->c, d));
    }
    for (uint32_t i = 0; i < d->rank; i++) {
        if (!infer_equal(f, s->dims[i], i == axis ? ids->dims[0] : d->dims[i])) {
            return infer_clash(f, 0, (int)i, 2, (int)i, "sizes of axis %u differ: %s and %s", i,
                               infer_text(f, d->dims[i]), infer_text(f, s->dims[i]));
        }
    }
    return infer_result(f, d->dtype, d->rank, d->dims);
}
