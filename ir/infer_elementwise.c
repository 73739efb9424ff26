/* Shape rules: elementwise ops and leaves. */
#include "ir/infer.h"

#include <string.h>

/* NumPy's rule for one pair of sizes; false when they clash. */
static bool merge(infer *f, const ir_dim *a, const ir_dim *b, const ir_dim **out)
{
    if (ir_dim_is_one(a)) {
        *out = b;
        return true;
    }
    *out = a;
    return ir_dim_is_one(b) || infer_equal(f, a, b);
}

static bool broadcast_pair(infer *f, int first, const ir_type *a, const ir_type *b, uint32_t *rank,
                           const ir_dim **dims)
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    const ir_dim *merged[IR_MAX_RANK];
    for (uint32_t i = 0; i < *rank; i++) {
        uint32_t back = *rank - i; /* axes are matched from the right */
        int ai = (int)a->rank - (int)back, bi = (int)b->rank - (int)back;
        if (ai < 0 || bi < 0) {
            merged[i] = ai < 0 ? b->dims[bi] : a->dims[ai];
        } else if (!merge(f, a->dims[ai], b->dims[bi], &merged[i])) {
            return infer_clash(f, first, ai, first + 1, bi, "shapes do not broadcast: %s and %s",
                               infer_text(f, a->dims[ai]), infer_text(f, b->dims[bi]));
        }
    }
    for (uint32_t i = 0; i < *rank; i++) {
        dims[i] = merged[i];
    }
    return true;
}

bool ir_shape_broadcast(ir_ctx *c, ir_graph *conditions, span where, const ir_type *a,
                        const ir_type *b, uint32_t *rank, const ir_dim **dims, ir_error *error)
{
    infer f = {.c = c, .conditions = conditions, .where = where, .error = error};
    return broadcast_pair(&f, 0, a, b, rank, dims);
}

bool infer_elementwise(infer *f)
{
    ir_dtype t = ir_op_has(f->op, IR_TO_BOOL) ? IR_bool : f->in[0]->dtype;
    if (f->n_in == 1) {
        return infer_result(f, t, f->in[0]->rank, f->in[0]->dims);
    }
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK];
    return infer_same_dtype(f, 0, 1) && broadcast_pair(f, 0, f->in[0], f->in[1], &rank, dims) &&
           infer_result(f, t, rank, dims);
}

bool infer_where(infer *f)
{
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK];
    if (f->in[0]->dtype != IR_bool) {
        (void)infer_clash(f, 0, -1, -1, -1, "the condition of where must be bool, found %s",
                          ir_dtype_name(f->in[0]->dtype));
        return infer_advise(f, "compare first, as in x != 0");
    }
    if (!infer_same_dtype(f, 1, 2) || !broadcast_pair(f, 1, f->in[1], f->in[2], &rank, dims)) {
        return false;
    }
    const ir_type *both = ir_type_get(f->c, f->in[1]->dtype, rank, dims);
    return broadcast_pair(f, 0, f->in[0], both, &rank, dims) &&
           infer_result(f, both->dtype, rank, dims);
}

bool infer_cast(infer *f)
{
    const ir_attr *t = infer_need(f, IR_ATTR_dtype, -1);
    return t && infer_result(f, t->dtype, f->in[0]->rank, f->in[0]->dims);
}

/* Leaves whose type is given to them. ir_build makes no such node; their makers do. */
bool infer_given(infer *f)
{
    return infer_fail(f, "the type of %s must be given", ir_op_name(f->op));
}

/* uniform and normal make floats; int makes integers in [bounds[0], bounds[1]). */
static bool draw_fits(infer *f, ir_dtype t)
{
    static const char *const modes[] = {"uniform", "normal", "int", NULL};
    const char *mode = infer_word(f, IR_ATTR_mode, modes);
    if (!mode) {
        return false;
    }
    if (strcmp(mode, "int") != 0) {
        return ir_dtype_is_float(t) ||
               infer_fail(f, "%s draws are of a float type, not %s", mode, ir_dtype_name(t));
    }
    const ir_attr *bounds = infer_need(f, IR_ATTR_bounds, 2);
    if (!bounds) {
        return false;
    }
    if (ir_dtype_kind(t) != IR_KIND_INT) {
        return infer_fail(f, "int draws are of an integer type, not %s", ir_dtype_name(t));
    }
    return bounds->ints[0] < bounds->ints[1] ||
           infer_fail(f, "no integer is in [%lld, %lld)", (long long)bounds->ints[0],
                      (long long)bounds->ints[1]);
}

bool infer_shaped(infer *f)
{
    const ir_attr *t = infer_need(f, IR_ATTR_dtype, -1);
    const ir_attr *shape = t ? infer_need(f, IR_ATTR_shape, -1) : NULL;
    uint32_t axis;
    if (!shape || (f->op == IR_OP_iota && !infer_axis(f, shape->n, &axis))) {
        return false;
    }
    if (f->op == IR_OP_iota && t->dtype == IR_bool) {
        return infer_fail(f, "iota counts in numbers, not bool");
    }
    if (f->op == IR_OP_random && !draw_fits(f, t->dtype)) {
        return false;
    }
    return infer_result(f, t->dtype, shape->n, shape->dims);
}

bool infer_dim(infer *f)
{
    return infer_need(f, IR_ATTR_dim, -1) && infer_result(f, IR_i64, 0, NULL);
}
