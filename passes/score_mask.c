/* A comparison of counters is an inequality between i, j and sizes; from it follow the bounds. */
#include "passes/score_mask.h"

#include <math.h>

enum { DEEPEST = 24 };

/* i * query + j * key + rest, of the places along the last two axes. */
typedef struct linear {
    int64_t i, j;
    const ir_dim *rest;
} linear;

/* The axis of n, counted from the last, along which it varies; -1: none or several. */
static int varying_axis(const ir_type *t)
{
    int found = -1;
    for (uint32_t k = 0; k < t->rank; k++) {
        if (!ir_dim_is_one(t->dims[k])) {
            if (found >= 0) {
                return -1;
            }
            found = (int)(t->rank - 1 - k);
        }
    }
    return found;
}

static bool along(int axis, linear *out)
{
    out->i = axis == 1;
    out->j = axis == 0;
    return axis == 0 || axis == 1;
}

static bool linear_of(ir_ctx *c, const ir_node *n, int depth, linear *out)
{
    *out = (linear){.rest = ir_dim_const(c, 0)};
    linear x, y;
    const ir_attr *data;
    switch (depth > DEEPEST ? IR_OP_input : n->op) {
    case IR_OP_iota:
        return along((int)(ir_node_type(n)->rank - 1 - (uint32_t)ir_node_int(n, IR_ATTR_axis, 0)),
                     out);
    case IR_OP_dim:
        out->rest = ir_node_attr(n, IR_ATTR_dim)->dim;
        return true;
    case IR_OP_const:
        data = ir_node_attr(n, IR_ATTR_data);
        if (!data->data->splat || ir_dtype_kind(data->data->dtype) != IR_KIND_INT) {
            return false;
        }
        out->rest = ir_dim_const(c, ir_dtype_load_i64(data->data->dtype, data->data->bytes, 0));
        return true;
    case IR_OP_cast:
        return ir_dtype_kind(ir_node_type(n)->dtype) == IR_KIND_INT &&
               linear_of(c, n->in[0], depth + 1, out);
    case IR_OP_broadcast:
        return linear_of(c, n->in[0], depth + 1, out);
    case IR_OP_reshape: /* a counter of one axis put along another */
        return varying_axis(ir_node_type(n->in[0])) == 0 && ir_node_type(n->in[0])->rank == 1 &&
               linear_of(c, n->in[0], depth + 1, &x) && x.i == 0 &&
               (out->rest = x.rest, along(varying_axis(ir_node_type(n)), out));
    case IR_OP_add:
    case IR_OP_sub:
        if (!linear_of(c, n->in[0], depth + 1, &x) || !linear_of(c, n->in[1], depth + 1, &y)) {
            return false;
        }
        bool add = n->op == IR_OP_add;
        out->i = add ? x.i + y.i : x.i - y.i;
        out->j = add ? x.j + y.j : x.j - y.j;
        out->rest = add ? ir_dim_add(c, x.rest, y.rest) : ir_dim_sub(c, x.rest, y.rest);
        return true;
    default:
        return false;
    }
}

/* cond holds only where j <= i + most, or only where j > i + least: whichever it says. */
static void bounds_of(ir_ctx *c, const ir_node *cond, const ir_dim **most, const ir_dim **least,
                      int depth)
{
    if (cond->op == IR_OP_and && depth < DEEPEST) {
        bounds_of(c, cond->in[0], most, least, depth + 1);
        bounds_of(c, cond->in[1], most, least, depth + 1);
        return;
    }
    bool less = cond->op == IR_OP_le || cond->op == IR_OP_lt,
         strict = cond->op == IR_OP_lt || cond->op == IR_OP_gt;
    linear x, y;
    if ((!less && cond->op != IR_OP_ge && cond->op != IR_OP_gt) ||
        !linear_of(c, cond->in[0], 0, &x) || !linear_of(c, cond->in[1], 0, &y)) {
        return;
    }
    int64_t i = x.i - y.i, j = x.j - y.j;
    const ir_dim *rest = ir_dim_sub(c, x.rest, y.rest);
    if (!(i == -1 && j == 1) && !(i == 1 && j == -1)) {
        return;
    }
    if (j < 0) { /* the other way round */
        rest = ir_dim_scale(c, rest, -1);
        less = !less;
    }
    /* j - i + rest <= 0, or > 0 and the like */
    if (less) {
        *most = ir_dim_offset(c, ir_dim_scale(c, rest, -1), strict ? -1 : 0);
    } else {
        *least = ir_dim_offset(c, ir_dim_scale(c, rest, -1), strict ? 0 : -1);
    }
}

static bool is_never(const ir_node *n)
{
    double v;
    return match_splat(n, &v) && v == -INFINITY;
}

score_mask score_mask_of(ir_ctx *c, const ir_node *top)
{
    const ir_dim *most = NULL, *least = NULL;
    for (int depth = 0; top->op == IR_OP_where && is_never(top->in[2]) && depth < DEEPEST;
         depth++) {
        bounds_of(c, top->in[0], &most, &least, 0);
        top = top->in[1];
    }
    score_mask m = {most, most && least ? ir_dim_sub(c, most, least) : NULL};
    if (m.causal && m.causal->overflow) {
        m = (score_mask){0};
    }
    return m;
}
