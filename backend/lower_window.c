/* Products and windows: contract, conv, conv_transpose, pool as sums over an index range. */
#include "backend/lower.h"

#include <math.h>
#include <string.h>

/* Rounded to bf16, where it is not by the way it is kept. */
static const k_expr *as_bf16(lower *l, const k_expr *x)
{
    bool kept = x->kind == K_LOAD && x->buf->storage == IR_STORAGE_bf16;
    return kept ? x : lower_cast(l, x, IR_bf16);
}

const k_expr *lower_value_contract(lower *l, const lower_scope *s, const ir_node *n,
                                   const ir_dim *const *index, const k_expr *guard)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const ir_dim *letter[256] = {NULL};
    const k_expr *outside = guard;
    const k_axis *axes[2 * IR_MAX_RANK];
    uint32_t n_axes = 0, rank = ir_node_type(n)->rank;
    ir_dtype t = ir_node_type(n)->dtype, acc = lower_acc(t);
    for (uint32_t i = 0; i < rank; i++) {
        letter[(unsigned char)labels->strs[2][i]] = index[i];
    }
    const ir_dim *at = NULL;
    if (l->keep) {
        uint32_t last = rank - 1;
        at = ir_dim_sub(l->c, index[last], ir_dim_scale(l->c, l->group, l->keep->group));
        if (l->keep->columns) {
            return lower_cast(l, lower_load(l, l->keep->buf, at, guard), t);
        }
        l->keep->columns = lower_axis(l, ir_node_type(n)->dims[last],
                                      &letter[(unsigned char)labels->strs[2][last]]);
        guard = NULL; /* all columns are summed */
    }
    for (uint32_t k = 0; k < 2; k++) { /* summed letters: each with the larger of its two sizes */
        for (const char *p = labels->strs[k]; *p; p++) {
            const ir_dim *size = ir_node_type(n->in[k])->dims[p - labels->strs[k]];
            const char *other = strchr(labels->strs[1 - k], *p);
            if (ir_dim_is_one(size) && other) {
                size = ir_node_type(n->in[1 - k])->dims[other - labels->strs[1 - k]];
            }
            if (!letter[(unsigned char)*p]) {
                axes[n_axes++] = lower_axis(l, size, &letter[(unsigned char)*p]);
            }
        }
    }
    const char *math = ir_node_str(n, IR_ATTR_math);
    bool bf16 = math && strcmp(math, "bf16") == 0;
    const k_expr *x[2];
    for (uint32_t k = 0; k < 2; k++) {
        const ir_type *type = ir_node_type(n->in[k]);
        const ir_dim *inner[IR_MAX_RANK];
        for (uint32_t i = 0; i < type->rank; i++) {
            inner[i] = ir_dim_is_one(type->dims[i]) ? ir_dim_const(l->c, 0)
                                                    : letter[(unsigned char)labels->strs[k][i]];
        }
        x[k] = lower_value(l, s, n->in[k], inner, guard);
        x[k] = lower_cast(l, bf16 ? as_bf16(l, x[k]) : x[k], acc);
    }
    const k_expr *product = lower_binary(l, IR_OP_mul, x[0], x[1]);
    const k_expr *sum = lower_add_reduce(l, IR_OP_reduce_sum, n_axes, axes, product, acc);
    l->steps.at[l->steps.len - 1].math = math;
    if (l->keep) {
        l->keep->step = l->steps.len - 1;
        sum = lower_load(l, l->keep->buf, at, outside);
    }
    return lower_cast(l, sum, t);
}

static int64_t list_at(const ir_node *n, ir_attr_key key, uint32_t i, int64_t otherwise)
{
    const ir_attr *a = ir_node_attr(n, key);
    return a && i < a->n ? a->ints[i] : otherwise;
}

const k_expr *lower_value_conv(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard)
{
    const ir_type *x = ir_node_type(n->in[0]), *w = ir_node_type(n->in[1]), *y = ir_node_type(n);
    ir_ctx *c = l->c;
    bool transposed = n->op == IR_OP_conv_transpose;
    int64_t groups = ir_node_int(n, IR_ATTR_groups, 1);
    int64_t in_group = ir_dim_value(x->dims[1]) / groups,
            out_group = ir_dim_value(y->dims[1]) / groups;
    const k_axis *axes[IR_MAX_RANK];
    const ir_dim *channel, *xi[IR_MAX_RANK], *wi[IR_MAX_RANK], *zero = ir_dim_const(c, 0);
    axes[0] = lower_axis(l, ir_dim_const(c, in_group), &channel);
    const ir_dim *group = ir_dim_floordiv(c, index[1], ir_dim_const(c, out_group));
    group = groups == 1 ? zero : group;
    xi[0] = index[0];
    xi[1] = ir_dim_add(c, ir_dim_scale(c, group, in_group), channel);
    wi[0] = transposed ? xi[1] : index[1];
    wi[1] = transposed ? ir_dim_mod(c, index[1], ir_dim_const(c, out_group)) : channel;
    const k_expr *inside = guard;
    for (uint32_t i = 0; i + 2 < x->rank; i++) {
        int64_t stride = list_at(n, IR_ATTR_strides, i, 1),
                dilation = list_at(n, IR_ATTR_dilations, i, 1);
        int64_t pad = list_at(n, IR_ATTR_pads_lo, i, 0);
        axes[i + 1] = lower_axis(l, w->dims[i + 2], &wi[i + 2]);
        const ir_dim *at;
        if (transposed) { /* x[q] reaches y[q * stride - pad + k * dilation] */
            at = ir_dim_sub(c, ir_dim_offset(c, index[i + 2], pad),
                            ir_dim_scale(c, wi[i + 2], dilation));
            const ir_dim *step = ir_dim_const(c, stride);
            if (stride > 1) {
                const ir_dim *rest = ir_dim_mod(c, at, step);
                if (!ir_dim_is_value(rest, 0)) {
                    inside = lower_and(l, inside,
                                       lower_binary(l, IR_OP_eq, lower_index(l, rest),
                                                    lower_const_i(l, IR_i64, 0)));
                }
                at = ir_dim_floordiv(c, at, step);
            }
        } else {
            at = ir_dim_add(c, ir_dim_scale(c, index[i + 2], stride),
                            ir_dim_offset(c, ir_dim_scale(c, wi[i + 2], dilation), -pad));
        }
        xi[i + 2] = at;
        inside = lower_and(l, inside, lower_within(l, at, zero, x->dims[i + 2]));
    }
    ir_dtype t = y->dtype, acc = lower_acc(t);
    const k_expr *a = lower_cast(l, lower_value(l, s, n->in[0], xi, inside), acc);
    const k_expr *b = lower_cast(l, lower_value(l, s, n->in[1], wi, guard), acc);
    if (inside != guard) {
        a = lower_select(l, inside, a, lower_const_f(l, acc, 0));
    }
    return lower_cast(l,
                      lower_add_reduce(l, IR_OP_reduce_sum, x->rank - 1, axes,
                                       lower_binary(l, IR_OP_mul, a, b), acc),
                      t);
}

const k_buf *lower_plain_buf(const lower_scope *s, const ir_node *x, bool taps)
{
    if (x->op != IR_OP_input || !s->bufs) {
        return NULL;
    }
    const k_buf *b = s->bufs[ir_node_int(x, IR_ATTR_index, 0)];
    bool plain = b->dtype == IR_f32 && b->storage == IR_STORAGE_f32 &&
                 (!b->panel || (taps && k_buf_in_taps(b)));
    return plain ? b : NULL;
}

const k_conv *lower_conv(lower *l, const lower_scope *s, const ir_node *n)
{
    const ir_type *x = ir_node_type(n->in[0]), *w = ir_node_type(n->in[1]), *y = ir_node_type(n);
    k_conv *v = arena_new(l->a, k_conv);
    int64_t groups = ir_node_int(n, IR_ATTR_groups, 1);
    *v = (k_conv){.x = lower_plain_buf(s, n->in[0], false),
                  .w = lower_plain_buf(s, n->in[1], true),
                  .n_spatial = x->rank - 2,
                  .transposed = n->op == IR_OP_conv_transpose,
                  .groups = groups,
                  .in_group = ir_dim_value(x->dims[1]) / groups,
                  .out_group = ir_dim_value(y->dims[1]) / groups};
    for (uint32_t i = 0; i < v->n_spatial; i++) {
        v->taps[i] = ir_dim_value(w->dims[i + 2]);
        v->strides[i] = list_at(n, IR_ATTR_strides, i, 1);
        v->dilations[i] = list_at(n, IR_ATTR_dilations, i, 1);
        v->pads[i] = list_at(n, IR_ATTR_pads_lo, i, 0);
        v->sizes[i] = x->dims[i + 2];
    }
    int64_t taps = 1;
    for (uint32_t i = 0; i < v->n_spatial; i++) {
        taps *= v->taps[i];
    }
    if (!v->x || !v->w) {
        return NULL;
    }
    int64_t panel = v->w->panel;
    v->channels = v->transposed ? panel / taps : panel;
    bool fits = v->w->pack_transposed == v->transposed && (!v->transposed || panel % taps == 0);
    return !panel || (fits && v->channels > 0) ? v : NULL;
}

const k_pool *lower_pool(lower *l, const lower_scope *s, const ir_node *n)
{
    k_pool *p = arena_new(l->a, k_pool);
    const ir_type *x = ir_node_type(n->in[0]);
    *p = (k_pool){.x = lower_plain_buf(s, n->in[0], false), .n_spatial = x->rank - 2};
    for (uint32_t i = 0; i < p->n_spatial; i++) {
        p->window[i] = list_at(n, IR_ATTR_window, i, 1);
        p->strides[i] = list_at(n, IR_ATTR_strides, i, 1);
        p->dilations[i] = list_at(n, IR_ATTR_dilations, i, 1);
        p->pads[i] = list_at(n, IR_ATTR_pads_lo, i, 0);
        p->sizes[i] = x->dims[i + 2];
    }
    return p->x ? p : NULL;
}

const k_expr *lower_value_pool(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard)
{
    const ir_type *x = ir_node_type(n->in[0]);
    ir_ctx *c = l->c;
    bool max = strcmp(ir_node_str(n, IR_ATTR_mode), "max") == 0;
    const k_axis *axes[IR_MAX_RANK];
    const ir_dim *xi[IR_MAX_RANK] = {index[0], index[1]}, *zero = ir_dim_const(c, 0);
    const k_expr *inside = NULL;
    int64_t size = 1;
    for (uint32_t i = 0; i + 2 < x->rank; i++) {
        const ir_dim *k;
        size *= list_at(n, IR_ATTR_window, i, 1);
        axes[i] = lower_axis(l, ir_dim_const(c, list_at(n, IR_ATTR_window, i, 1)), &k);
        const ir_dim *at =
            ir_dim_add(c, ir_dim_scale(c, index[i + 2], list_at(n, IR_ATTR_strides, i, 1)),
                       ir_dim_scale(c, k, list_at(n, IR_ATTR_dilations, i, 1)));
        xi[i + 2] = ir_dim_offset(c, at, -list_at(n, IR_ATTR_pads_lo, i, 0));
        inside = lower_and(l, inside, lower_within(l, xi[i + 2], zero, x->dims[i + 2]));
    }
    ir_dtype t = x->dtype, acc = lower_acc(t);
    const k_expr *v =
        lower_cast(l, lower_value(l, s, n->in[0], xi, lower_and(l, guard, inside)), acc);
    v = lower_select(l, inside, v, lower_const_f(l, acc, max ? -INFINITY : 0));
    const k_expr *r =
        lower_add_reduce(l, max ? IR_OP_reduce_max : IR_OP_reduce_sum, x->rank - 2, axes, v, acc);
    if (!max) {
        const k_expr *count = lower_const_f(l, acc, (double)size);
        if (inside && !ir_node_int(n, IR_ATTR_count_pad, 1)) {
            const k_expr *one =
                lower_select(l, inside, lower_const_f(l, acc, 1), lower_const_f(l, acc, 0));
            count = lower_add_reduce(l, IR_OP_reduce_sum, x->rank - 2, axes, one, acc);
        }
        r = lower_binary(l, IR_OP_div, r, count);
    }
    return lower_cast(l, r, t);
}
