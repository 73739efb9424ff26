/* The interpreter: convolutions, pooling and resizing of [N, C, spatial...]. Up to three spatial
 * axes; those that are missing have size 1. */
#include "ir/eval_impl.h"

#include <math.h>
#include <string.h>

enum { MOST_SPATIAL = 3 };

/* [N, C, D, H, W] */
typedef struct grid {
    int64_t n, c, size[MOST_SPATIAL];
} grid;

static grid grid_of(const ir_tensor *t)
{
    grid g = {
        .n = t->dims[0], .c = t->dims[1], .size = {1, 1, 1}
    };
    for (uint32_t i = 2; i < t->rank; i++) {
        g.size[MOST_SPATIAL - t->rank + i] = t->dims[i];
    }
    return g;
}

static int64_t grid_at(const grid *g, int64_t n, int64_t c, const int64_t *at)
{
    return (((n * g->c + c) * g->size[0] + at[0]) * g->size[1] + at[1]) * g->size[2] + at[2];
}

static void numbers(const ir_node *n, ir_attr_key key, uint32_t spatial, int64_t otherwise,
                    int64_t *out)
{
    const ir_attr *a = ir_node_attr(n, key);
    for (uint32_t i = 0; i < MOST_SPATIAL; i++) {
        uint32_t missing = MOST_SPATIAL - spatial;
        out[i] = a && i >= missing && i - missing < a->n ? a->ints[i - missing] : otherwise;
    }
}

typedef struct window {
    int64_t size[MOST_SPATIAL], stride[MOST_SPATIAL], dilation[MOST_SPATIAL], lo[MOST_SPATIAL];
    bool transposed;
} window;

static window window_of(const ir_node *n, const int64_t *size, uint32_t spatial)
{
    window w = {.transposed = n->op == IR_OP_conv_transpose};
    memcpy(w.size, size, sizeof w.size);
    numbers(n, IR_ATTR_strides, spatial, 1, w.stride);
    numbers(n, IR_ATTR_dilations, spatial, 1, w.dilation);
    numbers(n, IR_ATTR_pads_lo, spatial, 0, w.lo);
    return w;
}

/* Where the window's point k at output position y reads; false: outside. */
static bool reads(const window *w, const grid *x, const int64_t *y, const int64_t *k, int64_t *at)
{
    for (uint32_t i = 0; i < MOST_SPATIAL; i++) {
        if (w->transposed) { /* x[q] reaches y[q * stride - lo + k * dilation] */
            at[i] = y[i] + w->lo[i] - k[i] * w->dilation[i];
            if (at[i] % w->stride[i] != 0) {
                return false;
            }
            at[i] /= w->stride[i];
        } else {
            at[i] = y[i] * w->stride[i] - w->lo[i] + k[i] * w->dilation[i];
        }
        if (at[i] < 0 || at[i] >= x->size[i]) {
            return false;
        }
    }
    return true;
}

/* All points of a box, one after the other; false after the last. */
static bool next_point(const int64_t *size, int64_t *at)
{
    for (uint32_t i = MOST_SPATIAL; i-- > 0;) {
        if (++at[i] < size[i]) {
            return true;
        }
        at[i] = 0;
    }
    return false;
}

bool eval_op_conv(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    grid x = grid_of(&in[0].t), k = grid_of(&in[1].t), y = grid_of(&out->t);
    const double *xs = eval_f64s(e, &in[0].t), *ks = eval_f64s(e, &in[1].t);
    window w = window_of(n, k.size, in[0].t.rank - 2);
    int64_t groups = ir_node_int(n, IR_ATTR_groups, 1);
    int64_t in_group = x.c / groups, out_group = y.c / groups, total = ir_tensor_elems(&out->t);
    int64_t taps = k.size[0] * k.size[1] * k.size[2];
    if (!xs || !ks || !eval_new(e, out)) {
        return false;
    }
    int64_t batch = 0, channel = 0, at[MOST_SPATIAL] = {0};
    for (int64_t i = 0; i < total; i++) {
        double sum = 0;
        int64_t group = channel / out_group, tap[MOST_SPATIAL] = {0}, from[MOST_SPATIAL];
        for (int64_t t = 0; t < taps; t++, next_point(k.size, tap)) {
            if (!reads(&w, &x, at, tap, from)) {
                continue;
            }
            for (int64_t c = 0; c < in_group; c++) {
                int64_t xc = group * in_group + c;
                int64_t kn = w.transposed ? xc : channel,
                        kc = w.transposed ? channel % out_group : c;
                sum += xs[grid_at(&x, batch, xc, from)] * ks[grid_at(&k, kn, kc, tap)];
            }
        }
        ir_dtype_store(out->t.dtype, out->t.data, (size_t)i, sum);
        if (!next_point(y.size, at) && ++channel == y.c) {
            channel = 0;
            batch++;
        }
    }
    return true;
}

bool eval_op_conv_transpose(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    return eval_op_conv(e, n, in, out);
}

bool eval_op_pool(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    grid x = grid_of(&in[0].t), y = grid_of(&out->t);
    const double *xs = eval_f64s(e, &in[0].t);
    bool max = strcmp(ir_node_str(n, IR_ATTR_mode), "max") == 0;
    bool count_pad = ir_node_int(n, IR_ATTR_count_pad, 1) != 0;
    int64_t size[MOST_SPATIAL], total = ir_tensor_elems(&out->t);
    numbers(n, IR_ATTR_window, in[0].t.rank - 2, 1, size);
    window w = window_of(n, size, in[0].t.rank - 2);
    int64_t taps = size[0] * size[1] * size[2];
    if (!xs || !eval_new(e, out)) {
        return false;
    }
    int64_t plane = 0, at[MOST_SPATIAL] = {0};
    for (int64_t i = 0; i < total; i++) {
        double sum = max ? -INFINITY : 0;
        int64_t count = 0, tap[MOST_SPATIAL] = {0}, from[MOST_SPATIAL];
        for (int64_t t = 0; t < taps; t++, next_point(size, tap)) {
            if (reads(&w, &x, at, tap, from)) {
                double v = xs[grid_at(&x, 0, plane, from)];
                sum = max ? ir_op_eval_f64(IR_OP_max, sum, v) : sum + v;
                count++;
            }
        }
        sum = max ? sum : sum / (double)(count_pad ? taps : count);
        ir_dtype_store(out->t.dtype, out->t.data, (size_t)i, sum);
        plane += !next_point(y.size, at);
    }
    return true;
}

/* Resizing, as torch.nn.functional.interpolate: up to four places an axis, with weights. */
enum { MOST_TAPS = 4 };
typedef struct taps {
    int64_t at[MOST_TAPS];
    double weight[MOST_TAPS];
} taps;

/* Cubic convolution, a = -0.75 (Keys 1981, as torch). */
static double cubic_weight(double d)
{
    const double a = -0.75;
    double x = fabs(d);
    if (x <= 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int64_t within(int64_t i, int64_t size)
{
    i = i < size - 1 ? i : size - 1;
    return i > 0 ? i : 0;
}

static taps taps_of(int64_t at, int64_t in, int64_t out, int n_taps, bool align)
{
    taps r = {{0}, {1}};
    if (n_taps == 1) {
        r.at[0] = at * in / out;
        return r;
    }
    double p = align ? (double)at * (double)(in - 1) / (double)(out > 1 ? out - 1 : 1)
                     : ((double)at + 0.5) * (double)in / (double)out - 0.5;
    p = n_taps == 2 && p < 0 ? 0 : p;
    double base = floor(p);
    for (int k = 0; k < n_taps; k++) {
        double tap = base + (n_taps == 4 ? k - 1 : k);
        r.weight[k] = n_taps == 4 ? cubic_weight(p - tap) : 1 - fabs(p - tap);
        r.at[k] = within((int64_t)tap, in);
    }
    return r;
}

bool eval_op_resize(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    grid x = grid_of(&in->t), y = grid_of(&out->t);
    const double *xs = eval_f64s(e, &in->t);
    const char *mode = ir_node_str(n, IR_ATTR_mode);
    int n_taps = strcmp(mode, "nearest") == 0 ? 1 : strcmp(mode, "linear") == 0 ? 2 : 4;
    bool align = ir_node_int(n, IR_ATTR_align, 0) != 0;
    taps *axes[MOST_SPATIAL];
    int64_t total = ir_tensor_elems(&out->t), missing = MOST_SPATIAL + 2 - in->t.rank;
    for (int64_t i = 0; i < MOST_SPATIAL; i++) {
        axes[i] = eval_scratch(e, y.size[i], sizeof **axes);
        for (int64_t k = 0; axes[i] && k < y.size[i]; k++) {
            axes[i][k] = taps_of(k, x.size[i], y.size[i], i < missing ? 1 : n_taps, align);
        }
    }
    if (total > 0 && ir_tensor_elems(&in->t) == 0) {
        return eval_fail(e, "cannot resize what has no elements");
    }
    if (!xs || !axes[0] || !axes[1] || !axes[2] || !eval_new(e, out)) {
        return false;
    }
    int64_t plane = 0, at[MOST_SPATIAL] = {0}, size[MOST_SPATIAL];
    for (int64_t i = 0; i < MOST_SPATIAL; i++) {
        size[i] = i < missing ? 1 : n_taps;
    }
    for (int64_t i = 0; i < total; i++) {
        const taps *t[MOST_SPATIAL] = {&axes[0][at[0]], &axes[1][at[1]], &axes[2][at[2]]};
        int64_t k[MOST_SPATIAL] = {0};
        double sum = 0;
        do {
            int64_t from[MOST_SPATIAL] = {t[0]->at[k[0]], t[1]->at[k[1]], t[2]->at[k[2]]};
            double weight = t[0]->weight[k[0]] * t[1]->weight[k[1]] * t[2]->weight[k[2]];
            sum += weight * xs[grid_at(&x, 0, plane, from)];
        } while (next_point(size, k));
        ir_dtype_store(out->t.dtype, out->t.data, (size_t)i, sum);
        plane += !next_point(y.size, at);
    }
    return true;
}
