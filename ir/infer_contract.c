/* Shape rules: products, convolutions, pooling, attention. */
#include "ir/infer.h"

#include <ctype.h>
#include <string.h>

/* The size each letter stands for, gathered from both operands. */
static bool letter_sizes(infer *f, const char *labels, const char *out, uint32_t operand,
                         const ir_dim **sizes, int *operand_of, int *axis_of)
{
    const ir_type *t = f->in[operand];
    if (strlen(labels) != t->rank) {
        return infer_fail(f, "labels \"%s\" name %zu axes, the operand has %u", labels,
                          strlen(labels), t->rank);
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        unsigned char k = (unsigned char)labels[i];
        if (!isalpha(k)) {
            return infer_fail(f, "labels are letters, found \"%s\"", labels);
        }
        if (strchr(labels + i + 1, k)) {
            return infer_fail(f, "axis %c stands twice in \"%s\": diagonals are not supported", k,
                              labels);
        }
        if (!sizes[k] || ir_dim_is_one(sizes[k])) {
            sizes[k] = t->dims[i];
            operand_of[k] = (int)operand;
            axis_of[k] = (int)i;
        } else if (!ir_dim_is_one(t->dims[i]) && !infer_equal(f, sizes[k], t->dims[i])) {
            return infer_clash(f, operand_of[k], axis_of[k], (int)operand, (int)i,
                               strchr(out, k) ? "sizes of a common axis differ: %s and %s"
                                              : "inner sizes differ: %s and %s",
                               infer_text(f, sizes[k]), infer_text(f, t->dims[i]));
        }
    }
    return true;
}

bool infer_contract(infer *f)
{
    const ir_attr *labels = infer_need(f, IR_ATTR_labels, 3);
    const ir_dim *sizes[256] = {NULL}, *dims[IR_MAX_RANK];
    int operand_of[256], axis_of[256];
    if (!labels) {
        return false;
    }
    if (!infer_same_dtype(f, 0, 1)) {
        return false;
    }
    const char *out = labels->strs[2];
    for (uint32_t k = 0; k < 2; k++) {
        if (!letter_sizes(f, labels->strs[k], out, k, sizes, operand_of, axis_of)) {
            return false;
        }
    }
    size_t rank = strlen(out);
    if (rank > IR_MAX_RANK) {
        return infer_fail(f, "the result would have %zu axes; at most %d are possible", rank,
                          IR_MAX_RANK);
    }
    for (size_t i = 0; i < rank; i++) {
        if (!sizes[(unsigned char)out[i]] || strchr(out + i + 1, out[i])) {
            return infer_fail(f,
                              "axis %c of the result \"%s\" is not in an operand, or stands twice",
                              out[i], out);
        }
        dims[i] = sizes[(unsigned char)out[i]];
    }
    return infer_result(f, f->in[0]->dtype, (uint32_t)rank, dims);
}

typedef struct window {
    const ir_attr *strides, *dilations, *lo, *hi;
    uint32_t spatial;
} window;

static bool get_window(infer *f, uint32_t spatial, window *w)
{
    *w = (window){.spatial = spatial};
    int n = (int)spatial;
    return (w->strides = infer_need(f, IR_ATTR_strides, n)) &&
           (w->dilations = infer_need(f, IR_ATTR_dilations, n)) &&
           (w->lo = infer_need(f, IR_ATTR_pads_lo, n)) &&
           (w->hi = infer_need(f, IR_ATTR_pads_hi, n));
}

/* All of a window's numbers in [1, 2^20], paddings from 0. */
static bool window_fits(infer *f, const window *w, uint32_t i, int64_t k)
{
    const int64_t most = 1 << 20;
    int64_t from1[3] = {w->strides->ints[i], w->dilations->ints[i], k};
    int64_t from0[2] = {w->lo->ints[i], w->hi->ints[i]};
    for (uint32_t j = 0; j < 3; j++) {
        static const char *const names[] = {"stride", "dilation", "window"};
        if (from1[j] < 1 || from1[j] > most) {
            return infer_fail(f, "%s %lld of axis %u of %s is out of range: 1 to %lld", names[j],
                              (long long)from1[j], i + 2, ir_op_name(f->op), (long long)most);
        }
    }
    for (uint32_t j = 0; j < 2; j++) {
        if (from0[j] < 0 || from0[j] > most) {
            return infer_fail(f, "padding %lld of axis %u of %s is out of range: 0 to %lld",
                              (long long)from0[j], i + 2, ir_op_name(f->op), (long long)most);
        }
    }
    return true;
}

static bool window_size(infer *f, const window *w, uint32_t i, const ir_dim *size, int64_t k,
                        const ir_dim **out)
{
    int64_t s = w->strides->ints[i], d = w->dilations->ints[i];
    int64_t lo = w->lo->ints[i], hi = w->hi->ints[i];
    if (!window_fits(f, w, i, k)) {
        return false;
    }
    const ir_dim *room = ir_dim_offset(f->c, size, lo + hi - d * (k - 1) - 1);
    if (room->hi < 0) {
        return infer_clash(
            f, 0, (int)i + 2, 1, (int)i + 2, "a window of %lld does not fit into size %s",
            (long long)(d * (k - 1) + 1), infer_text(f, ir_dim_offset(f->c, size, lo + hi)));
    }
    *out = ir_dim_offset(f->c, ir_dim_floordiv(f->c, room, ir_dim_const(f->c, s)), 1);
    return true;
}

static bool conv_operands(infer *f, int64_t *groups)
{
    const ir_type *x = f->in[0], *w = f->in[1];
    const ir_attr *g = infer_attr(f, IR_ATTR_groups);
    *groups = g ? g->i : 1;
    if (x->rank < 3 || x->rank > 5 || w->rank != x->rank) {
        return infer_clash(f, 0, -1, 1, -1,
                           "cannot convolve %s with %s: [N, C, ...] and [O, C, ...] of 3 to 5 axes "
                           "are needed",
                           ir_type_text(f->c, x), ir_type_text(f->c, w));
    }
    if (!infer_same_dtype(f, 0, 1)) {
        return false;
    }
    for (uint32_t i = 0; i < w->rank; i++) {
        if (!ir_dim_is_const(w->dims[i])) {
            return infer_clash(f, 1, (int)i, -1, -1,
                               "sizes of a convolution's weight must be constant");
        }
    }
    if (*groups < 1 || !ir_dim_is_const(x->dims[1]) || ir_dim_value(x->dims[1]) % *groups != 0) {
        return infer_clash(f, 0, 1, -1, -1, "%s channels cannot be divided into %lld groups",
                           infer_text(f, x->dims[1]), (long long)*groups);
    }
    return true;
}

bool infer_conv(infer *f)
{
    int64_t groups;
    window w;
    if (!conv_operands(f, &groups) || !get_window(f, f->in[0]->rank - 2, &w)) {
        return false;
    }
    const ir_type *x = f->in[0], *k = f->in[1];
    const ir_dim *per_group = ir_dim_const(f->c, ir_dim_value(x->dims[1]) / groups);
    if (k->dims[1] != per_group || ir_dim_value(k->dims[0]) % groups != 0) {
        return infer_clash(f, 0, 1, 1, 1, "channels differ: the input has %s, the weight wants %s",
                           infer_text(f, per_group), infer_text(f, k->dims[1]));
    }
    const ir_dim *dims[IR_MAX_RANK] = {x->dims[0], k->dims[0]};
    for (uint32_t i = 0; i < w.spatial; i++) {
        if (!window_size(f, &w, i, x->dims[i + 2], ir_dim_value(k->dims[i + 2]), &dims[i + 2])) {
            return false;
        }
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

bool infer_conv_transpose(infer *f)
{
    int64_t groups;
    window w;
    if (!conv_operands(f, &groups) || !get_window(f, f->in[0]->rank - 2, &w)) {
        return false;
    }
    const ir_type *x = f->in[0], *k = f->in[1];
    const ir_attr *extra = infer_attr(f, IR_ATTR_out_pads);
    if (extra && !infer_need(f, IR_ATTR_out_pads, (int)w.spatial)) {
        return false;
    }
    if (k->dims[0] != x->dims[1]) {
        return infer_clash(f, 0, 1, 1, 0, "channels differ: the input has %s, the weight wants %s",
                           infer_text(f, x->dims[1]), infer_text(f, k->dims[0]));
    }
    const ir_dim *dims[IR_MAX_RANK] = {x->dims[0], ir_dim_scale(f->c, k->dims[1], groups)};
    for (uint32_t i = 0; i < w.spatial; i++) {
        if (!window_fits(f, &w, i, ir_dim_value(k->dims[i + 2]))) {
            return false;
        }
        int64_t reach = w.dilations->ints[i] * (ir_dim_value(k->dims[i + 2]) - 1) + 1;
        int64_t out_pad = extra ? extra->ints[i] : 0, s = w.strides->ints[i];
        int64_t beyond = s > w.dilations->ints[i] ? s : w.dilations->ints[i];
        if (out_pad < 0 || out_pad >= beyond) {
            return infer_fail(f, "output padding %lld must be less than stride or dilation, %lld",
                              (long long)out_pad, (long long)beyond);
        }
        const ir_dim *d = ir_dim_scale(f->c, ir_dim_offset(f->c, x->dims[i + 2], -1), s);
        dims[i + 2] = ir_dim_offset(f->c, d, reach + out_pad - w.lo->ints[i] - w.hi->ints[i]);
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

bool infer_pool(infer *f)
{
    const ir_type *x = f->in[0];
    window w;
    if (x->rank < 3 || x->rank > 5) {
        return infer_fail(f, "pooling needs [N, C, ...], found %s", ir_type_text(f->c, x));
    }
    const ir_attr *size = infer_need(f, IR_ATTR_window, (int)x->rank - 2);
    static const char *const modes[] = {"max", "avg", NULL};
    if (!size || !infer_word(f, IR_ATTR_mode, modes) || !get_window(f, x->rank - 2, &w)) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (uint32_t i = 0; i < w.spatial; i++) {
        if (!window_size(f, &w, i, x->dims[i + 2], size->ints[i], &dims[i + 2])) {
            return false;
        }
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

bool infer_resize(infer *f)
{
    const ir_type *x = f->in[0];
    if (x->rank < 3 || x->rank > 5) {
        return infer_fail(f, "resize needs [N, C, ...], found %s", ir_type_text(f->c, x));
    }
    const ir_attr *sizes = infer_need(f, IR_ATTR_sizes, (int)x->rank - 2);
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    if (!sizes || !infer_word(f, IR_ATTR_mode, modes)) {
        return false;
    }
    const ir_dim *dims[IR_MAX_RANK] = {x->dims[0], x->dims[1]};
    for (uint32_t i = 0; i < sizes->n; i++) {
        dims[i + 2] = sizes->dims[i];
    }
    return infer_result(f, x->dtype, x->rank, dims);
}

/* The batch axes of q, k and v broadcast; the score's type is [batch..., Tq, Tk]. */
static bool attention_types(infer *f, const ir_type **score, const ir_type **out)
{
    const ir_type *q = f->in[0], *k = f->in[1], *v = f->in[2];
    if (q->rank < 2 || k->rank < 2 || v->rank < 2) {
        return infer_fail(f, "attention needs at least two axes in q, k and v");
    }
    if (!infer_same_dtype(f, 0, 1) || !infer_same_dtype(f, 0, 2)) {
        return false;
    }
    if (!infer_equal(f, q->dims[q->rank - 1], k->dims[k->rank - 1]) ||
        !infer_equal(f, k->dims[k->rank - 2], v->dims[v->rank - 2])) {
        return infer_clash(f, 0, -1, 1, -1, "q, k and v do not fit: %s, %s, %s",
                           ir_type_text(f->c, q), ir_type_text(f->c, k), ir_type_text(f->c, v));
    }
    const ir_type *batch = ir_type_get(f->c, q->dtype, q->rank - 2, q->dims);
    uint32_t rank = 0;
    const ir_dim *dims[IR_MAX_RANK];
    for (int i = 1; i < 3; i++) {
        const ir_type *other = ir_type_get(f->c, q->dtype, f->in[i]->rank - 2, f->in[i]->dims);
        if (!ir_shape_broadcast(f->c, f->conditions, f->where, batch, other, &rank, dims,
                                f->error)) {
            return false;
        }
        batch = ir_type_get(f->c, q->dtype, rank, dims);
    }
    dims[rank] = q->dims[q->rank - 2];
    dims[rank + 1] = k->dims[k->rank - 2];
    *score = ir_type_get(f->c, q->dtype, rank + 2, dims);
    dims[rank + 1] = v->dims[v->rank - 1];
    *out = ir_type_get(f->c, q->dtype, rank + 2, dims);
    return true;
}

bool infer_attention(infer *f)
{
    const ir_type *score, *out;
    if (f->n_in < 3) {
        return infer_fail(f, "attention takes q, k and v");
    }
    if (!attention_types(f, &score, &out)) {
        return false;
    }
    if (f->n_bodies) {
        const ir_graph *g = f->bodies[0];
        bool fits = ir_graph_n_inputs(g) == f->n_in - 2 && ir_graph_n_outputs(g) == 1 &&
                    ir_node_type(ir_graph_input(g, 0)) == score &&
                    ir_node_type(ir_graph_output(g, 0)->node) == score;
        for (uint32_t i = 3; fits && i < f->n_in; i++) {
            fits = ir_node_type(ir_graph_input(g, i - 2)) == f->in[i];
        }
        if (!fits) {
            return infer_fail(f, "the body of attention must take %s and the extras, and return it",
                              ir_type_text(f->c, score));
        }
    } else if (f->n_in != 3) {
        return infer_fail(f, "attention without a body takes three operands");
    }
    return infer_result(f, out->dtype, out->rank, out->dims);
}
