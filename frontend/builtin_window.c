/* Convolutions, pooling, resizing: PyTorch's names and meanings. */
#include "frontend/elab.h"

#define B ir_builder b = elab_builder(c->e, c->where)

/* One number for all spatial axes, or a list with one each. */
static bool per_axis(call *c, const value *v, const char *what, int64_t otherwise, uint32_t n,
                     int64_t *out)
{
    for (uint32_t i = 0; i < n; i++) {
        out[i] = otherwise;
    }
    if (v->kind == V_NONE) {
        return true;
    }
    if (v->kind == V_LIST || v->kind == V_TUPLE) {
        if (v->list.n != n) {
            elab_error(c->e, c->where, "%s needs one number or %u, found %u", what, n, v->list.n);
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (!want_int(c->e, c->where, v->list.at[i], what, &out[i])) {
                return false;
            }
        }
        return true;
    }
    if (!want_int(c->e, c->where, *v, what, &out[0])) {
        return false;
    }
    for (uint32_t i = 1; i < n; i++) {
        out[i] = out[0];
    }
    return true;
}

static value done(call *c, const ir_builder *b, const ir_node *r, uint32_t n, const value *operands)
{
    return r           ? value_tensor(c->e, r)
           : b->failed ? elab_build_error(c->e, b, n, operands)
                       : value_poison();
}

/* + bias over the channels, axis 1 */
static const ir_node *add_bias(call *c, ir_builder *b, const ir_node *y, const value *bias,
                               uint32_t spatial)
{
    if (!y || bias->kind == V_NONE) {
        return y;
    }
    const ir_node *k = want_tensor(c->e, c->where, *bias, "the bias");
    const ir_dim *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i <= spatial; i++) {
        dims[i] = i ? ir_dim_const(c->e->c, 1) : k ? ir_type_elems(c->e->c, ir_node_type(k)) : NULL;
    }
    return k ? ir_binary(b, IR_OP_add, y, ir_reshape(b, k, spatial + 1, dims)) : NULL;
}

static value convolve(call *c, value *args, uint32_t spatial, bool transposed)
{
    const ir_node *in[2] = {want_tensor(c->e, c->where, args[0], "the input"),
                            want_tensor(c->e, c->where, args[1], "the weight")};
    if (!in[0] || !in[1]) {
        return value_poison();
    }
    int64_t strides[3], pads[3], dilations[3], out_pads[3] = {0}, groups = 1;
    const value *dil = &args[transposed ? 7 : 5], *grp = &args[6];
    if (ir_node_type(in[0])->rank != spatial + 2) {
        return elab_error(c->e, c->where, "%s needs [N, C%s], found %s", c->name,
                          spatial == 1   ? ", L"
                          : spatial == 2 ? ", H, W"
                                         : ", D, H, W",
                          ir_type_text(c->e->c, ir_node_type(in[0])));
    }
    bool same = args[4].kind == V_STR;
    if (!per_axis(c, &args[3], "stride", 1, spatial, strides) ||
        !per_axis(c, dil, "dilation", 1, spatial, dilations) ||
        (!same && !per_axis(c, &args[4], "padding", 0, spatial, pads)) ||
        (transposed && !per_axis(c, &args[5], "output_padding", 0, spatial, out_pads)) ||
        (grp->kind != V_NONE && !want_int(c->e, c->where, *grp, "groups", &groups))) {
        return value_poison();
    }
    int64_t hi[3];
    for (uint32_t i = 0; i < spatial; i++) {
        const ir_dim *k =
            ir_node_type(in[1])->rank == spatial + 2 ? ir_node_type(in[1])->dims[i + 2] : NULL;
        int64_t reach = k && ir_dim_is_const(k) ? dilations[i] * (ir_dim_value(k) - 1) : 0;
        pads[i] = same ? reach / 2 : pads[i];
        hi[i] = same ? reach - reach / 2 : pads[i];
    }
    B;
    ir_attr a[6] = {ir_attr_is(IR_ATTR_strides, spatial, strides),
                    ir_attr_is(IR_ATTR_dilations, spatial, dilations),
                    ir_attr_is(IR_ATTR_pads_lo, spatial, pads),
                    ir_attr_is(IR_ATTR_pads_hi, spatial, hi),
                    ir_attr_i(IR_ATTR_groups, groups),
                    ir_attr_is(IR_ATTR_out_pads, spatial, out_pads)};
    const ir_node *y = ir_build(&b, transposed ? IR_OP_conv_transpose : IR_OP_conv, 2, in,
                                transposed ? 6 : 5, a, 0, NULL);
    return done(c, &b, add_bias(c, &b, y, &args[2], spatial), 2, args);
}
static value run_conv1d(call *c, value *a)
{
    return convolve(c, a, 1, false);
}
static value run_conv2d(call *c, value *a)
{
    return convolve(c, a, 2, false);
}
static value run_conv3d(call *c, value *a)
{
    return convolve(c, a, 3, false);
}
static value run_conv_t1d(call *c, value *a)
{
    return convolve(c, a, 1, true);
}
static value run_conv_t2d(call *c, value *a)
{
    return convolve(c, a, 2, true);
}
static value run_conv_t3d(call *c, value *a)
{
    return convolve(c, a, 3, true);
}

static value pool(call *c, value *args, uint32_t spatial, const char *mode)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the input");
    int64_t window[3], strides[3], pads[3], ones[3] = {1, 1, 1};
    bool count = true;
    if (!x || !per_axis(c, &args[1], "the window", 1, spatial, window) ||
        !per_axis(c, args[2].kind == V_NONE ? &args[1] : &args[2], "stride", 1, spatial, strides) ||
        !per_axis(c, &args[3], "padding", 0, spatial, pads) ||
        (args[4].kind != V_NONE &&
         !want_bool(c->e, c->where, args[4], "count_include_pad", &count))) {
        return value_poison();
    }
    if (ir_node_type(x)->rank != spatial + 2) {
        return elab_error(c->e, c->where, "%s needs %u axes [N, C, ...], found %s", c->name,
                          spatial + 2, value_text(c->e, &args[0]));
    }
    B;
    ir_attr a[7] = {ir_attr_is(IR_ATTR_window, spatial, window),
                    ir_attr_is(IR_ATTR_strides, spatial, strides),
                    ir_attr_is(IR_ATTR_dilations, spatial, ones),
                    ir_attr_is(IR_ATTR_pads_lo, spatial, pads),
                    ir_attr_is(IR_ATTR_pads_hi, spatial, pads),
                    ir_attr_s(IR_ATTR_mode, intern(c->e->names, mode)),
                    ir_attr_i(IR_ATTR_count_pad, count)};
    return done(c, &b, ir_build(&b, IR_OP_pool, 1, &x, 7, a, 0, NULL), 1, args);
}
static value run_max_pool1d(call *c, value *a)
{
    return pool(c, a, 1, "max");
}
static value run_max_pool2d(call *c, value *a)
{
    return pool(c, a, 2, "max");
}
static value run_max_pool3d(call *c, value *a)
{
    return pool(c, a, 3, "max");
}
static value run_avg_pool1d(call *c, value *a)
{
    return pool(c, a, 1, "avg");
}
static value run_avg_pool2d(call *c, value *a)
{
    return pool(c, a, 2, "avg");
}
static value run_avg_pool3d(call *c, value *a)
{
    return pool(c, a, 3, "avg");
}

/* upsample(x, 2), resize(x, [64, 64], mode = "linear") */
static value run_resize(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the input");
    if (!x) {
        return value_poison();
    }
    const ir_type *t = ir_node_type(x);
    const char *mode = "nearest";
    bool align = false;
    if (t->rank < 3 || t->rank > 5) {
        return elab_error(c->e, c->where, "%s needs [N, C, ...], found %s", c->name,
                          ir_type_text(c->e->c, t));
    }
    if ((args[3].kind != V_NONE && !want_str(c->e, c->where, args[3], "mode", &mode)) ||
        (args[4].kind != V_NONE && !want_bool(c->e, c->where, args[4], "align_corners", &align))) {
        return value_poison();
    }
    static const char *const known[][2] = {
        {"nearest",   "nearest"},
        {"linear",    "linear" },
        {"bilinear",  "linear" },
        {"trilinear", "linear" },
        {"cubic",     "cubic"  },
        {"bicubic",   "cubic"  }
    };
    const char *kept = NULL;
    for (uint32_t i = 0; i < sizeof known / sizeof *known; i++) {
        kept = intern(c->e->names, mode) == intern(c->e->names, known[i][0]) ? known[i][1] : kept;
    }
    if (!kept) {
        const char *near[sizeof known / sizeof *known];
        for (uint32_t i = 0; i < sizeof known / sizeof *known; i++) {
            near[i] = known[i][0];
        }
        elab_error(c->e, c->where, "mode '%s' is not known: nearest, linear, cubic", mode);
        elab_did_you_mean(c->e, diag_nearest(mode, near, sizeof known / sizeof *known));
        return value_poison();
    }
    uint32_t spatial = t->rank - 2, n;
    const ir_dim *sizes[IR_MAX_RANK];
    bool up = args[2].kind != V_NONE;
    if (!want_dims(c->e, c->where, args[up ? 2 : 1], up ? "the scale" : "a size", &n, sizes) ||
        (n != 1 && n != spatial)) {
        return n != 1 && n != spatial
                   ? elab_error(c->e, c->where, "%s needs one number or %u", c->name, spatial)
                   : value_poison();
    }
    for (uint32_t i = n; i < spatial; i++) {
        sizes[i] = sizes[0];
    }
    for (uint32_t i = 0; up && i < spatial; i++) {
        sizes[i] = ir_dim_mul(c->e->c, sizes[i], t->dims[i + 2]);
    }
    B;
    ir_attr a[3] = {ir_attr_ds(IR_ATTR_sizes, spatial, sizes),
                    ir_attr_s(IR_ATTR_mode, intern(c->e->names, kept)),
                    ir_attr_i(IR_ATTR_align, align)};
    return done(c, &b, ir_build(&b, IR_OP_resize, 1, &x, 3, a, 0, NULL), 1, args);
}

static value run_upsample(call *c, value *args)
{
    value all[5] = {args[0], value_none(), args[1], args[2], args[3]};
    return run_resize(c, all);
}

/* [N, C*r*r, H, W] -> [N, C, H*r, W*r] */
static value run_pixel_shuffle(call *c, value *args)
{
    const ir_node *x = want_tensor(c->e, c->where, args[0], "the input");
    int64_t r;
    if (!x || !want_int(c->e, c->where, args[1], "the factor", &r)) {
        return value_poison();
    }
    const ir_type *t = ir_node_type(x);
    const ir_dim *k = ir_dim_const(c->e->c, r),
                 *channels = t->rank == 4 && r > 0 ? ir_dim_div_exact(c->e->c, t->dims[1],
                                                                      ir_dim_const(c->e->c, r * r))
                                                   : NULL;
    if (!channels) {
        return elab_error(c->e, c->where, "pixel_shuffle by %lld needs [N, C*%lld, H, W], found %s",
                          (long long)r, (long long)(r * r), ir_type_text(c->e->c, t));
    }
    const ir_dim *apart[6] = {t->dims[0], channels, k, k, t->dims[2], t->dims[3]};
    const ir_dim *joined[4] = {t->dims[0], channels, ir_dim_mul(c->e->c, t->dims[2], k),
                               ir_dim_mul(c->e->c, t->dims[3], k)};
    static const int64_t perm[6] = {0, 1, 4, 2, 5, 3};
    B;
    const ir_node *y = ir_transpose(&b, ir_reshape(&b, x, 6, apart), perm);
    return done(c, &b, ir_reshape(&b, y, 4, joined), 1, args);
}

#define CONV "x, weight, bias = none, stride = 1, padding = 0, dilation = 1, groups = 1"
#define CONV_T                                                                                     \
    "x, weight, bias = none, stride = 1, padding = 0, output_padding = 0, groups = 1, dilation = " \
    "1"
#define POOL "x, kernel_size, stride = none, padding = 0, count_include_pad = true"

const builtin builtins_window[] = {
    {"conv1d", CONV, run_conv1d, 0},
    {"conv2d", CONV, run_conv2d, 0},
    {"conv3d", CONV, run_conv3d, 0},
    {"conv_transpose1d", CONV_T, run_conv_t1d, 0},
    {"conv_transpose2d", CONV_T, run_conv_t2d, 0},
    {"conv_transpose3d", CONV_T, run_conv_t3d, 0},
    {"max_pool1d", POOL, run_max_pool1d, 0},
    {"max_pool2d", POOL, run_max_pool2d, 0},
    {"max_pool3d", POOL, run_max_pool3d, 0},
    {"avg_pool1d", POOL, run_avg_pool1d, 0},
    {"avg_pool2d", POOL, run_avg_pool2d, 0},
    {"avg_pool3d", POOL, run_avg_pool3d, 0},
    {"resize", "x, size = none, scale = none, mode = nearest, align_corners = false", run_resize,
     0},
    {"interpolate", "x, size = none, scale = none, mode = nearest, align_corners = false",
     run_resize, 0},
    {"upsample", "x, scale, mode = nearest, align_corners = false", run_upsample, 0},
    {"pixel_shuffle", "x, factor", run_pixel_shuffle, 0},
    {0},
};
