/* Up- and down-sampling: where an output place lies in the input, and weights of the inputs around.
 */
#include "backend/lower.h"

#include <string.h>

/* torch.nn.functional.interpolate: the source position of an output position, in f32 (f64 of f64).
 */
static const k_expr *source_position(lower *l, ir_dtype t, const ir_dim *at, const ir_dim *in,
                                     const ir_dim *out, bool align, bool clip)
{
    const k_expr *y = lower_cast(l, lower_index(l, at), t), *half = lower_const_f(l, t, 0.5);
    const k_expr *ni = lower_cast(l, lower_index(l, in), t),
                 *no = lower_cast(l, lower_index(l, out), t), *one = lower_const_f(l, t, 1);
    if (align) {
        const k_expr *steps = lower_binary(l, IR_OP_max, lower_binary(l, IR_OP_sub, no, one), one);
        return lower_binary(l, IR_OP_mul, y,
                            lower_binary(l, IR_OP_div, lower_binary(l, IR_OP_sub, ni, one), steps));
    }
    const k_expr *p = lower_binary(l, IR_OP_mul, lower_binary(l, IR_OP_add, y, half),
                                   lower_binary(l, IR_OP_div, ni, no));
    p = lower_binary(l, IR_OP_sub, p, half);
    return clip ? lower_binary(l, IR_OP_max, p, lower_const_f(l, t, 0)) : p;
}

/* Cubic convolution, a = -0.75 (Keys 1981, as torch). */
static const k_expr *cubic_weight(lower *l, ir_dtype t, const k_expr *d)
{
    const double a = -0.75;
    const k_expr *x = lower_unary(l, IR_OP_abs, d);
#define C(v)      lower_const_f(l, t, v)
#define MUL(p, q) lower_binary(l, IR_OP_mul, p, q)
#define ADD(p, q) lower_binary(l, IR_OP_add, p, q)
    const k_expr *near = ADD(MUL(MUL(ADD(MUL(x, C(a + 2)), C(-(a + 3))), x), x), C(1));
    const k_expr *far = ADD(MUL(ADD(MUL(ADD(MUL(x, C(a)), C(-5 * a)), x), C(8 * a)), x), C(-4 * a));
    return lower_select(l, lower_binary(l, IR_OP_le, x, C(1)), near,
                        lower_select(l, lower_binary(l, IR_OP_lt, x, C(2)), far, C(0)));
#undef C
#undef MUL
#undef ADD
}

/* The taps of one axis at an output place. */
typedef struct axis_taps {
    const ir_dim *at[4];
    const k_expr *weights[4]; /* of all but the nearest */
} axis_taps;

static axis_taps taps_of(lower *l, const k_resize *r, ir_dtype t, const ir_dim *place,
                         const ir_dim *in, const ir_dim *out)
{
    axis_taps a = {0};
    if (r->taps == 1) {
        a.at[0] = ir_dim_floordiv(l->c, ir_dim_mul(l->c, place, in), out);
        return a;
    }
    bool cubic = r->taps == 4;
    const k_expr *p = source_position(l, t, place, in, out, r->align, !cubic);
    const k_expr *base = lower_unary(l, IR_OP_floor, p), *zero = lower_const_i(l, IR_i64, 0);
    const k_expr *last =
        lower_binary(l, IR_OP_sub, lower_index(l, in), lower_const_i(l, IR_i64, 1));
    for (uint32_t k = 0; k < r->taps; k++) {
        const k_expr *tap = lower_binary(l, IR_OP_add, base,
                                         lower_const_f(l, t, cubic ? (double)k - 1 : (double)k));
        const k_expr *d = lower_binary(l, IR_OP_sub, p, tap);
        a.weights[k] = cubic ? cubic_weight(l, t, d)
                             : lower_binary(l, IR_OP_sub, lower_const_f(l, t, 1),
                                            lower_unary(l, IR_OP_abs, d));
        const k_expr *at = lower_cast(l, tap, IR_i64);
        at = lower_binary(l, IR_OP_max, lower_binary(l, IR_OP_min, at, last), zero);
        a.at[k] = lower_opaque(l, at, in);
    }
    return a;
}

const k_expr *lower_value_resize(lower *l, const lower_scope *s, const ir_node *n,
                                 const ir_dim *const *index, const k_expr *guard)
{
    const ir_type *x = ir_node_type(n->in[0]), *y = ir_node_type(n);
    ir_dtype t = y->dtype == IR_f64 ? IR_f64 : IR_f32;
    const char *mode = ir_node_str(n, IR_ATTR_mode);
    k_resize *r = arena_new(l->a, k_resize);
    *r = (k_resize){.x = lower_plain_buf(s, n->in[0], false),
                    .n_spatial = x->rank - 2,
                    .taps = strcmp(mode, "nearest") == 0 ? 1
                            : strcmp(mode, "cubic") == 0 ? 4
                                                         : 2,
                    .align = ir_node_int(n, IR_ATTR_align, 0) != 0};
    axis_taps axes[3];
    uint32_t total = 1;
    for (uint32_t i = 0; i < r->n_spatial; i++) {
        axes[i] = taps_of(l, r, t, index[i + 2], x->dims[i + 2], y->dims[i + 2]);
        r->sizes[i] = x->dims[i + 2];
        for (uint32_t k = 0; k < r->taps; k++) {
            r->places[i][k] = lower_index(l, axes[i].at[k]);
            r->weights[i][k] = axes[i].weights[k];
        }
        total *= r->taps;
    }
    const ir_dim *xi[IR_MAX_RANK] = {index[0], index[1]};
    const k_expr *sum = NULL;
    for (uint32_t k = 0; k < total; k++) {
        const k_expr *w = NULL;
        uint32_t rest = k;
        for (uint32_t i = r->n_spatial; i-- > 0; rest /= r->taps) {
            const k_expr *by = axes[i].weights[rest % r->taps];
            xi[i + 2] = axes[i].at[rest % r->taps];
            w = w ? lower_binary(l, IR_OP_mul, by, w) : by;
        }
        const k_expr *v = lower_value(l, s, n->in[0], xi, guard);
        v = w ? lower_binary(l, IR_OP_mul, lower_cast(l, v, t), w) : v;
        sum = sum ? lower_binary(l, IR_OP_add, sum, v) : v;
    }
    r->value = lower_cast(l, sum, y->dtype);
    for (uint32_t i = 0; i < y->rank; i++) {
        r->index[i] = lower_index(l, index[i]);
    }
    l->resize = l->resize || guard ? l->resize : r;
    return r->value;
}
