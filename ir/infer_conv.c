/* Shape rules: convolutions, pooling and resizing of [N, C, spatial...]. */
#include "ir/infer.h"

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
