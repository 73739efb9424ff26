/* canonicalize: one spelling for each meaning.
 *
 *   reshape of reshape            one reshape; gone when it changes nothing
 *   slice, transpose, broadcast   gone when they change nothing; transpose of transpose becomes one
 *   slice of slice (steps 1)      one slice
 *   contract of transpose         labels permuted, the transpose gone
 *   x + 0, x * 1, x / c           x, x, x * (1/c) when 1/c is exact
 *   cast to the same type         gone
 *   conv over the whole of x, conv_transpose of one place: a contract of matrices
 *
 * Keeps: shapes, types, inputs and outputs, and values exactly. */
#include "passes/rewrite.h"

#include <math.h>
#include <string.h>

static bool splat_value(const ir_node *n, double *v)
{
    const ir_attr *a = n->op == IR_OP_const ? ir_node_attr(n, IR_ATTR_data) : NULL;
    if (!a || !a->data->splat) {
        return false;
    }
    *v = ir_dtype_load(a->data->dtype, a->data->bytes, 0);
    return true;
}

static const ir_node *simplify_reshape(ir_builder *b, const ir_node *n, const ir_node *x)
{
    while (x->op == IR_OP_reshape) {
        x = x->in[0];
    }
    const ir_type *t = ir_node_type(n);
    return ir_type_same_shape(t, ir_node_type(x)) ? x : ir_reshape(b, x, t->rank, t->dims);
}

static const ir_node *simplify_transpose(ir_builder *b, const ir_node *n, const ir_node *x)
{
    const int64_t *perm = ir_node_attr(n, IR_ATTR_perm)->ints;
    uint32_t rank = ir_node_type(n)->rank;
    int64_t whole[IR_MAX_RANK];
    memcpy(whole, perm, rank * sizeof *perm);
    if (x->op == IR_OP_transpose) {
        const int64_t *inner = ir_node_attr(x, IR_ATTR_perm)->ints;
        for (uint32_t i = 0; i < rank; i++) {
            whole[i] = inner[perm[i]];
        }
        x = x->in[0];
    }
    bool same = true;
    for (uint32_t i = 0; i < rank; i++) {
        same &= whole[i] == i;
    }
    return same ? x : ir_transpose(b, x, whole);
}

static const ir_node *simplify_slice(ir_builder *b, const ir_node *n, const ir_node *x)
{
    const ir_attr *offsets = ir_node_attr(n, IR_ATTR_offsets),
                  *steps = ir_node_attr(n, IR_ATTR_steps);
    const ir_type *t = ir_node_type(n);
    if (ir_type_same_shape(t, ir_node_type(x))) {
        return x;
    }
    if (x->op != IR_OP_slice) {
        return NULL;
    }
    const ir_attr *inner = ir_node_attr(x, IR_ATTR_offsets),
                  *inner_steps = ir_node_attr(x, IR_ATTR_steps);
    const ir_dim *sum[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        if (steps->ints[i] != 1 || inner_steps->ints[i] != 1) {
            return NULL;
        }
        sum[i] = ir_dim_add(b->ctx, offsets->dims[i], inner->dims[i]);
    }
    return ir_slice(b, x->in[0], sum, t->dims, NULL);
}

static const ir_node *simplify_contract(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const char *names[2] = {labels->strs[0], labels->strs[1]};
    const ir_node *x[2] = {in[0], in[1]};
    bool changed = false;
    for (int k = 0; k < 2; k++) {
        if (x[k]->op != IR_OP_transpose) {
            continue;
        }
        const int64_t *perm = ir_node_attr(x[k], IR_ATTR_perm)->ints;
        char permuted[IR_MAX_RANK + 1] = {0};
        for (uint32_t i = 0; i < ir_node_type(x[k])->rank; i++) {
            permuted[perm[i]] = names[k][i];
        }
        names[k] = intern(ir_ctx_names(b->ctx), permuted);
        x[k] = x[k]->in[0];
        changed = true;
    }
    return changed ? ir_contract(b, x[0], x[1], names[0], names[1], labels->strs[2]) : NULL;
}

static bool all_ints(const ir_node *n, ir_attr_key key, int64_t value)
{
    const ir_attr *a = ir_node_attr(n, key);
    bool all = true;
    for (uint32_t i = 0; a && i < a->n; i++) {
        all &= a->ints[i] == value;
    }
    return all;
}

static const ir_dim *product_of(ir_builder *b, const ir_type *t, uint32_t from)
{
    const ir_dim *d = ir_dim_const(b->ctx, 1);
    for (uint32_t i = from; i < t->rank; i++) {
        d = ir_dim_mul(b->ctx, d, t->dims[i]);
    }
    return d;
}

/* A window as large as x, or of one place to all its taps. */
static const ir_node *simplify_conv(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    bool transposed = n->op == IR_OP_conv_transpose;
    const ir_type *x = ir_node_type(in[0]), *w = ir_node_type(in[1]), *y = ir_node_type(n);
    const ir_type *whole = transposed ? y : x, *one = transposed ? x : y;
    bool fits = ir_node_int(n, IR_ATTR_groups, 1) == 1 && all_ints(n, IR_ATTR_pads_lo, 0) &&
                all_ints(n, IR_ATTR_pads_hi, 0) && all_ints(n, IR_ATTR_out_pads, 0) &&
                all_ints(n, IR_ATTR_dilations, 1);
    for (uint32_t i = 2; i < x->rank; i++) {
        fits = fits && ir_dim_is_one(one->dims[i]) && whole->dims[i] == w->dims[i];
    }
    if (!fits) {
        return NULL;
    }
    const ir_dim *xd[2] = {x->dims[0], product_of(b, x, 1)};
    const ir_dim *wd[2] = {w->dims[0], product_of(b, w, 1)};
    const ir_node *product =
        ir_contract(b, ir_reshape(b, in[0], 2, xd), ir_reshape(b, in[1], 2, wd), "ik",
                    transposed ? "kj" : "jk", "ij");
    return ir_reshape(b, product, y->rank, y->dims);
}

static const ir_node *simplify_binary(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    double v;
    const ir_type *t = ir_node_type(n);
    if (!ir_dtype_is_float(t->dtype) || !splat_value(in[1], &v) ||
        !ir_type_same_shape(t, ir_node_type(in[0]))) {
        return NULL;
    }
    if ((v == 1 && (n->op == IR_OP_mul || n->op == IR_OP_div)) ||
        (v == 0 && n->op == IR_OP_sub && !signbit(v))) {
        return in[0];
    }
    int exponent;
    if (n->op == IR_OP_div && fabs(frexp(v, &exponent)) == 0.5 && exponent > -100 &&
        exponent < 100) {
        return ir_binary(b, IR_OP_mul, in[0], ir_const_f(b, t->dtype, 1 / v));
    }
    return NULL;
}

static const ir_node *simplify(void *data, ir_builder *b, const ir_node *n,
                               const ir_node *const *in)
{
    (void)data;
    switch (n->op) {
    case IR_OP_concat:
        return n->n_in == 1 ? in[0] : NULL;
    case IR_OP_reshape:
        return simplify_reshape(b, n, in[0]);
    case IR_OP_transpose:
        return simplify_transpose(b, n, in[0]);
    case IR_OP_slice:
        return simplify_slice(b, n, in[0]);
    case IR_OP_broadcast:
        return ir_type_same_shape(ir_node_type(n), ir_node_type(in[0])) ? in[0] : NULL;
    case IR_OP_contract:
        return simplify_contract(b, n, in);
    case IR_OP_conv:
    case IR_OP_conv_transpose:
        return simplify_conv(b, n, in);
    case IR_OP_cast:
        return ir_node_type(n) == ir_node_type(in[0]) ? in[0] : NULL;
    case IR_OP_mul:
    case IR_OP_div:
    case IR_OP_sub:
        return simplify_binary(b, n, in);
    default:
        return NULL;
    }
}

ir_graph *pass_canonicalize(pass_ctx *c, const ir_graph *g)
{
    (void)c;
    return rewrite_graph(g, simplify, NULL);
}
