/* The interpreter: norms and attention. */
#include "ir/eval_impl.h"

#include <math.h>
#include <string.h>

static void store(const ir_tensor *t, int64_t at, double x)
{
    ir_dtype_store(t->dtype, t->data, (size_t)at, x);
}

static double maximum(const double *x, int64_t n, int64_t stride)
{
    double m = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        m = ir_op_eval_f64(IR_OP_max, m, x[i * stride]);
    }
    return m;
}

bool eval_op_softmax(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    eval_rows r = eval_rows_of(&in->t, (uint32_t)ir_node_int(n, IR_ATTR_axis, 0));
    const double *xs = eval_f64s(e, &in->t);
    if (!xs || !eval_new(e, out)) {
        return false;
    }
    for (int64_t row = 0; row < r.rows; row++) {
        int64_t first = eval_row_first(&r, row);
        const double *x = xs + first;
        double m = maximum(x, r.n, r.stride), sum = 0;
        for (int64_t i = 0; i < r.n; i++) {
            sum += exp(x[i * r.stride] - m);
        }
        for (int64_t i = 0; i < r.n; i++) {
            double d = x[i * r.stride] - m;
            store(&out->t, first + i * r.stride,
                  n->op == IR_OP_softmax ? exp(d) / sum : d - log(sum));
        }
    }
    return true;
}

/* Rows over several axes: which axes of x are reduced, a walk over the others (offset 0 in x) and
 * one over these (offset 0 in x). */
typedef struct split {
    eval_walk kept, reduced;
    int64_t count;
} split;

static split split_axes(const ir_node *n, const ir_tensor *x)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    int64_t steps[IR_MAX_RANK];
    split s = {.count = 1};
    eval_strides(x, steps);
    for (uint32_t i = 0; i < x->rank; i++) {
        bool reduced = false;
        for (uint32_t k = 0; k < axes->n; k++) {
            reduced |= axes->ints[k] == i;
        }
        s.count *= reduced ? x->dims[i] : 1;
        eval_walk_axis(reduced ? &s.reduced : &s.kept, x->dims[i], 1, &steps[i]);
    }
    return s;
}

static eval_walk *row_begin(split *s)
{
    s->reduced.start[0] = s->kept.offset[0];
    eval_walk_begin(&s->reduced);
    return &s->reduced;
}

/* max + log(sum(exp(x - max))); a maximum that is not finite is left out of the difference. */
bool eval_op_logsumexp(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    split s = split_axes(n, &in->t);
    const double *xs = eval_f64s(e, &in->t);
    if (!xs || !eval_new(e, out)) {
        return false;
    }
    eval_walk_begin(&s.kept);
    for (int64_t i = 0; s.kept.left; i++, eval_walk_next(&s.kept)) {
        double m = -INFINITY, sum = 0;
        for (eval_walk *w = row_begin(&s); w->left; eval_walk_next(w)) {
            m = ir_op_eval_f64(IR_OP_max, m, xs[w->offset[0]]);
        }
        m = isfinite(m) ? m : 0;
        for (eval_walk *w = row_begin(&s); w->left; eval_walk_next(w)) {
            sum += exp(xs[w->offset[0]] - m);
        }
        store(&out->t, i, m + log(sum));
    }
    return true;
}

/* layer_norm: (x - mean) / sqrt(var + eps); rms_norm: x / sqrt(mean(x^2) + eps); then * weight +
 * bias. */
bool eval_op_norm(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    split s = split_axes(n, &in->t);
    const double *xs = eval_f64s(e, &in->t), eps = ir_node_float(n, IR_ATTR_eps, 1e-5);
    int64_t total = ir_tensor_elems(&in->t), steps[2][IR_MAX_RANK];
    double *ys = eval_scratch(e, total, sizeof *ys);
    if (!xs || !ys || !eval_new(e, out)) {
        return false;
    }
    eval_walk_begin(&s.kept);
    for (; s.kept.left; eval_walk_next(&s.kept)) {
        double mean = 0, ss = 0;
        for (eval_walk *w = row_begin(&s); n->op == IR_OP_layer_norm && w->left;
             eval_walk_next(w)) {
            mean += xs[w->offset[0]];
        }
        mean /= (double)s.count;
        for (eval_walk *w = row_begin(&s); w->left; eval_walk_next(w)) {
            double d = xs[w->offset[0]] - mean;
            ss += d * d;
        }
        for (eval_walk *w = row_begin(&s); w->left; eval_walk_next(w)) {
            ys[w->offset[0]] = (xs[w->offset[0]] - mean) / sqrt(ss / (double)s.count + eps);
        }
    }
    eval_walk w = {0};
    for (uint32_t k = 1; k < n->n_in; k++) {
        eval_broadcast_strides(&in[k].t, &in->t, steps[k - 1]);
    }
    for (uint32_t i = 0; i < in->t.rank; i++) {
        int64_t at[2] = {n->n_in > 1 ? steps[0][i] : 0, n->n_in > 2 ? steps[1][i] : 0};
        eval_walk_axis(&w, in->t.dims[i], 2, at);
    }
    eval_walk_begin(&w);
    for (int64_t i = 0; w.left; i++, eval_walk_next(&w)) {
        double y = ys[i];
        y = n->n_in > 1 ? y * eval_load(&in[1].t, w.offset[0]).f : y;
        y = n->n_in > 2 ? y + eval_load(&in[2].t, w.offset[1]).f : y;
        store(&out->t, i, y);
    }
    return true;
}

/* Attention ------------------------------------------------------------------------------------ */

typedef struct attention {
    double *q, *k, *v;
    int64_t n_q, n_k, d, dv;
    eval_walk batch; /* offsets into q, k, v */
} attention;

/* The batch axes of q, k and v broadcast to those of out. */
static void batch_walk(const ir_tensor *out, const eval_value *in, eval_walk *w)
{
    int64_t steps[3][IR_MAX_RANK], at[3];
    uint32_t n = out->rank - 2;
    for (uint32_t k = 0; k < 3; k++) {
        ir_tensor own = in[k].t, to = *out;
        for (uint32_t i = 0; i < 2; i++) { /* the last two axes do not broadcast: make them alike */
            to.dims[n + i] = own.dims[own.rank - 2 + i];
        }
        eval_broadcast_strides(&own, &to, steps[k]);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < 3; k++) {
            at[k] = steps[k][i];
        }
        eval_walk_axis(w, out->dims[i], 3, at);
    }
}

/* scale * q k^T: [batch..., Tq, Tk] */
static void raw_scores(attention *a, double scale, double *scores)
{
    for (eval_walk_begin(&a->batch); a->batch.left; eval_walk_next(&a->batch)) {
        const double *q = a->q + a->batch.offset[0], *k = a->k + a->batch.offset[1];
        for (int64_t i = 0; i < a->n_q; i++) {
            for (int64_t j = 0; j < a->n_k; j++) {
                double sum = 0;
                for (int64_t d = 0; d < a->d; d++) {
                    sum += q[i * a->d + d] * k[j * a->d + d];
                }
                *scores++ = scale * sum;
            }
        }
    }
}

/* The body's scores, from raw ones rounded to the score's type. */
static double *body_scores(eval *e, const ir_node *n, const eval_value *in, const double *raw)
{
    const ir_graph *g = n->bodies[0];
    eval_value *inputs = eval_scratch(e, n->n_in, sizeof *inputs), result = {.block = NULL};
    if (!inputs || !eval_shape(e, ir_node_type(ir_graph_input(g, 0)), &inputs[0].t) ||
        !eval_new(e, &inputs[0])) {
        return NULL;
    }
    int64_t total = ir_tensor_elems(&inputs[0].t);
    for (int64_t i = 0; i < total; i++) {
        store(&inputs[0].t, i, raw[i]);
    }
    for (uint32_t i = 3; i < n->n_in; i++) {
        inputs[i - 2] = in[i];
    }
    double *out = eval_graph(e, g, inputs, &result) ? eval_f64s(e, &result.t) : NULL;
    eval_drop(e, &inputs[0]);
    eval_drop(e, &result);
    return out;
}

/* Keys that the hints keep from being seen get -inf. */
static bool hide(eval *e, const ir_node *n, const attention *a, int64_t rows, double *scores)
{
    const ir_attr *causal = ir_node_attr(n, IR_ATTR_causal),
                  *reach = ir_node_attr(n, IR_ATTR_reach);
    int64_t ahead = 0, back = 0;
    if (!causal) {
        return true;
    }
    if (!eval_size(e, causal->dim, &ahead) || (reach && !eval_size(e, reach->dim, &back))) {
        return false;
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = r % a->n_q;
        for (int64_t j = 0; j < a->n_k; j++) {
            if (j > i + ahead || (reach && j <= i + ahead - back)) {
                scores[r * a->n_k + j] = -INFINITY;
            }
        }
    }
    return true;
}

/* Weights exp(score - maximum) in the place of a row's scores, rounded as values are where their
 * products are; returns the sum of what they were before. */
static double weights_of(const ir_node *n, double *scores, int64_t keys)
{
    double m = maximum(scores, keys, 1), sum = 0;
    for (int64_t j = 0; j < keys; j++) {
        scores[j] = exp(scores[j] - m);
        sum += scores[j];
    }
    eval_round_operand(n, 3, &(ir_tensor){.rank = 1, .dims = {keys}}, scores);
    return sum;
}

static void weighted_values(const ir_node *n, attention *a, double *scores, const ir_tensor *out)
{
    int64_t at = 0;
    for (eval_walk_begin(&a->batch); a->batch.left; eval_walk_next(&a->batch)) {
        const double *v = a->v + a->batch.offset[2];
        for (int64_t i = 0; i < a->n_q; i++, scores += a->n_k) {
            double sum = weights_of(n, scores, a->n_k);
            for (int64_t d = 0; d < a->dv; d++) {
                double y = 0;
                for (int64_t j = 0; j < a->n_k; j++) {
                    y += scores[j] / sum * v[j * a->dv + d];
                }
                store(out, at++, y);
            }
        }
    }
}

bool eval_op_attention(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    attention a = {.q = eval_f64s(e, &in[0].t),
                   .k = eval_f64s(e, &in[1].t),
                   .v = eval_f64s(e, &in[2].t),
                   .n_q = in[0].t.dims[in[0].t.rank - 2],
                   .n_k = in[1].t.dims[in[1].t.rank - 2],
                   .d = in[0].t.dims[in[0].t.rank - 1],
                   .dv = in[2].t.dims[in[2].t.rank - 1]};
    batch_walk(&out->t, in, &a.batch);
    int64_t rows = a.n_q;
    for (uint32_t i = 0; i + 2 < out->t.rank; i++) {
        rows *= out->t.dims[i];
    }
    double *scores = a.n_k > 0 && rows > INT64_MAX / a.n_k
                         ? NULL
                         : eval_scratch(e, rows * a.n_k, sizeof *scores);
    if (!a.q || !a.k || !a.v || !scores) {
        return eval_fail(e, "attention's scores are too large");
    }
    eval_round_operand(n, 0, &in[0].t, a.q);
    eval_round_operand(n, 1, &in[1].t, a.k);
    eval_round_operand(n, 2, &in[2].t, a.v);
    raw_scores(&a, ir_node_float(n, IR_ATTR_scale, 1), scores);
    if (n->n_bodies && !(scores = body_scores(e, n, in, scores))) {
        return false;
    }
    if (!hide(e, n, &a, rows, scores) || !eval_new(e, out)) {
        return false;
    }
    weighted_values(n, &a, scores, &out->t);
    return true;
}
