/* A small evaluator in f64 for the graphs that the tests make: before and after the passes that
 * form kernels, numbers must be the very same. */
#ifndef AIGC_TESTS_PLAN_EVAL_H
#define AIGC_TESTS_PLAN_EVAL_H

#include "plan_graphs.h"

#include <math.h>

typedef struct array {
    uint32_t rank;
    int64_t dims[IR_MAX_RANK], n;
    double *at;
} array;

typedef struct evaluator {
    arena *a;
    const ir_sym *syms[64];
    int64_t values[64];
    uint32_t n_syms;
    array states[4]; /* by first letter: "s" at 0 */
} evaluator;

static inline bool eval_lookup(void *data, const ir_sym *s, int64_t *v)
{
    const evaluator *e = data;
    for (uint32_t i = e->n_syms; i-- > 0;) {
        if (e->syms[i] == s) {
            *v = e->values[i];
            return true;
        }
    }
    return false;
}

static inline int64_t eval_dim(evaluator *e, const ir_dim *d)
{
    int64_t v = 0;
    if (!ir_dim_eval(d, eval_lookup, e, &v)) {
        printf("no value for a size\n");
        abort();
    }
    return v;
}

static inline array eval_new(evaluator *e, const ir_type *t)
{
    array r = {.rank = t->rank, .n = 1};
    for (uint32_t i = 0; i < t->rank; i++) {
        r.dims[i] = eval_dim(e, t->dims[i]);
        r.n *= r.dims[i];
    }
    r.at = arena_array(e->a, double, (size_t)(r.n < 1 ? 1 : r.n));
    return r;
}

static inline void eval_index(const array *x, int64_t linear, int64_t *index)
{
    for (uint32_t i = x->rank; i-- > 0;) {
        index[i] = linear % x->dims[i];
        linear /= x->dims[i];
    }
}

static inline int64_t eval_linear(const array *x, const int64_t *index)
{
    int64_t r = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        r = r * x->dims[i] + index[i];
    }
    return r;
}

/* x at the index of a result of `rank` axes, broadcast. */
static inline double eval_at(const array *x, uint32_t rank, const int64_t *index)
{
    int64_t at[IR_MAX_RANK] = {0};
    for (uint32_t i = 0; i < x->rank; i++) {
        at[i] = x->dims[i] == 1 ? 0 : index[rank - x->rank + i];
    }
    return x->at[eval_linear(x, at)];
}

static inline void eval_graph(evaluator *e, const ir_graph *g, const array *inputs, array *outputs);

static inline void eval_reduce(const ir_node *n, const array *x, array *y)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    bool keep = ir_node_int(n, IR_ATTR_keep, 0) != 0, max = n->op == IR_OP_reduce_max;
    for (int64_t i = 0; i < y->n; i++) {
        y->at[i] = max ? -INFINITY : 0;
    }
    for (int64_t i = 0; i < x->n; i++) {
        int64_t index[IR_MAX_RANK], at[IR_MAX_RANK] = {0};
        uint32_t next = 0;
        eval_index(x, i, index);
        for (uint32_t k = 0; k < x->rank; k++) {
            bool reduced = false;
            for (uint32_t j = 0; j < axes->n; j++) {
                reduced |= axes->ints[j] == k;
            }
            if (!reduced || keep) {
                at[next++] = reduced ? 0 : index[k];
            }
        }
        double *to = &y->at[eval_linear(y, at)];
        *to = max ? ir_op_eval_f64(IR_OP_max, *to, x->at[i]) : *to + x->at[i];
    }
}

static inline void eval_softmax(const ir_node *n, const array *x, array *y)
{
    uint32_t axis = (uint32_t)ir_node_int(n, IR_ATTR_axis, 0);
    int64_t stride = 1, len = x->dims[axis];
    for (uint32_t i = axis + 1; i < x->rank; i++) {
        stride *= x->dims[i];
    }
    for (int64_t i = 0; i < x->n; i++) {
        int64_t first = i - (i / stride) % len * stride;
        double m = -INFINITY, sum = 0;
        for (int64_t k = 0; k < len; k++) {
            m = ir_op_eval_f64(IR_OP_max, m, x->at[first + k * stride]);
        }
        for (int64_t k = 0; k < len; k++) {
            sum += exp(x->at[first + k * stride] - m);
        }
        y->at[i] = exp(x->at[i] - m) / sum;
    }
}

static inline void eval_contract(const ir_node *n, const array *x, const array *w, array *y)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    int64_t size[256] = {0}, at[256] = {0};
    char summed[16] = {0};
    for (uint32_t o = 0; o < 2; o++) {
        const array *v = o ? w : x;
        for (uint32_t i = 0; i < v->rank; i++) {
            unsigned char l = (unsigned char)labels->strs[o][i];
            size[l] = v->dims[i] > size[l] ? v->dims[i] : size[l];
            if (!strchr(labels->strs[2], l) && !strchr(summed, l)) {
                summed[strlen(summed)] = (char)l;
            }
        }
    }
    int64_t turns = 1;
    for (uint32_t i = 0; summed[i]; i++) {
        turns *= size[(unsigned char)summed[i]];
    }
    for (int64_t i = 0; i < y->n; i++) {
        int64_t index[IR_MAX_RANK];
        eval_index(y, i, index);
        for (uint32_t k = 0; k < y->rank; k++) {
            at[(unsigned char)labels->strs[2][k]] = index[k];
        }
        double sum = 0;
        for (int64_t t = 0; t < turns; t++) {
            int64_t rest = t, place[2][IR_MAX_RANK];
            for (size_t k = strlen(summed); k-- > 0;) {
                unsigned char l = (unsigned char)summed[k];
                at[l] = rest % size[l];
                rest /= size[l];
            }
            for (uint32_t o = 0; o < 2; o++) {
                const array *v = o ? w : x;
                for (uint32_t k = 0; k < v->rank; k++) {
                    place[o][k] = v->dims[k] == 1 ? 0 : at[(unsigned char)labels->strs[o][k]];
                }
            }
            sum += x->at[eval_linear(x, place[0])] * w->at[eval_linear(w, place[1])];
        }
        y->at[i] = sum;
    }
}

static inline void eval_move(evaluator *e, const ir_node *n, const array *in, array *y)
{
    const array *x = &in[0];
    for (int64_t i = 0; i < y->n; i++) {
        int64_t index[IR_MAX_RANK] = {0}, at[IR_MAX_RANK] = {0};
        eval_index(y, i, index);
        switch (n->op) {
        case IR_OP_reshape:
            y->at[i] = x->at[i];
            continue;
        case IR_OP_broadcast:
            y->at[i] = eval_at(x, y->rank, index);
            continue;
        case IR_OP_transpose:
            for (uint32_t k = 0; k < x->rank; k++) {
                at[ir_node_attr(n, IR_ATTR_perm)->ints[k]] = index[k];
            }
            break;
        case IR_OP_slice:
            for (uint32_t k = 0; k < x->rank; k++) {
                at[k] = eval_dim(e, ir_node_attr(n, IR_ATTR_offsets)->dims[k]) +
                        index[k] * ir_node_attr(n, IR_ATTR_steps)->ints[k];
            }
            break;
        case IR_OP_concat: {
            int64_t axis = ir_node_int(n, IR_ATTR_axis, 0);
            memcpy(at, index, sizeof at);
            while (at[axis] >= x->dims[axis]) {
                at[axis] -= x->dims[axis];
                x++;
            }
            y->at[i] = x->at[eval_linear(x, at)];
            x = &in[0];
            continue;
        }
        case IR_OP_update: {
            bool inside = true;
            for (uint32_t k = 0; k < y->rank; k++) {
                at[k] = index[k] - eval_dim(e, ir_node_attr(n, IR_ATTR_offsets)->dims[k]);
                inside &= at[k] >= 0 && at[k] < in[1].dims[k];
            }
            y->at[i] = inside ? in[1].at[eval_linear(&in[1], at)] : in[0].at[i];
            continue;
        }
        default:
            printf("op %s is not known here\n", ir_op_name(n->op));
            abort();
        }
        y->at[i] = x->at[eval_linear(x, at)];
    }
}

static inline void eval_loop(evaluator *e, const ir_node *n, const array *in, array *results)
{
    uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    uint32_t collects = (uint32_t)ir_node_int(n, IR_ATTR_collects, 0);
    bool cond = ir_node_int(n, IR_ATTR_cond, 0) != 0;
    array now[16], out[17];
    for (uint32_t i = 0; i < n->n_in; i++) {
        now[i] = in[i];
    }
    for (uint32_t i = 0; i < n->n_results; i++) {
        results[i] = eval_new(e, n->types[i]);
    }
    int64_t lo = eval_dim(e, ir_node_attr(n, IR_ATTR_lo)->dims[0]);
    int64_t hi = eval_dim(e, ir_node_attr(n, IR_ATTR_hi)->dims[0]);
    uint32_t at = e->n_syms++;
    e->syms[at] = ir_node_attr(n, IR_ATTR_sym)->sym;
    for (int64_t i = lo; i < hi; i++) {
        e->values[at] = i;
        eval_graph(e, n->bodies[0], now, out);
        for (uint32_t k = 0; k < carries; k++) {
            now[k] = out[k];
        }
        for (uint32_t k = carries; k < carries + collects; k++) {
            memcpy(results[k].at + (i - lo) * out[k].n, out[k].at,
                   (size_t)out[k].n * sizeof(double));
        }
        if (cond && out[carries + collects].at[0] == 0) {
            break;
        }
    }
    e->n_syms = at;
    for (uint32_t k = 0; k < carries; k++) {
        results[k] = now[k];
    }
}

static inline void eval_node(evaluator *e, const ir_node *n, const array *in, array *y)
{
    ir_family f = ir_op_family(n->op);
    if (n->op == IR_OP_loop) {
        eval_loop(e, n, in, y);
        return;
    }
    if (n->op == IR_OP_kernel) {
        eval_graph(e, n->bodies[0], in, y);
        return;
    }
    *y = eval_new(e, n->types[0]);
    if (n->op == IR_OP_state) {
        memcpy(y->at, e->states[0].at, (size_t)y->n * sizeof(double));
    } else if (n->op == IR_OP_param) {
        for (int64_t i = 0; i < y->n; i++) {
            y->at[i] = sin((double)i * 0.7 + (double)ir_node_str(n, IR_ATTR_name)[0]);
        }
    } else if (n->op == IR_OP_const) {
        const ir_data *d = ir_node_attr(n, IR_ATTR_data)->data;
        for (int64_t i = 0; i < y->n; i++) {
            y->at[i] = ir_dtype_load(d->dtype, d->bytes, d->splat ? 0 : (size_t)i);
        }
    } else if (f == IR_FAMILY_ELEMENTWISE) {
        for (int64_t i = 0; i < y->n; i++) {
            int64_t index[IR_MAX_RANK] = {0};
            eval_index(y, i, index);
            double a = eval_at(&in[0], y->rank, index);
            y->at[i] = ir_op_eval_f64(n->op, a, n->n_in > 1 ? eval_at(&in[1], y->rank, index) : 0);
        }
    } else if (f == IR_FAMILY_REDUCE) {
        eval_reduce(n, &in[0], y);
    } else if (n->op == IR_OP_softmax) {
        eval_softmax(n, &in[0], y);
    } else if (n->op == IR_OP_contract) {
        eval_contract(n, &in[0], &in[1], y);
    } else {
        eval_move(e, n, in, y);
    }
}

static inline void eval_graph(evaluator *e, const ir_graph *g, const array *inputs, array *outputs)
{
    array **values = arena_array(e->a, array *, ir_graph_size(g));
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        values[i] = arena_array(e->a, array, n->n_results);
        array in[32];
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = values[n->in[k]->id][0];
        }
        if (n->op == IR_OP_input) {
            values[i][0] = inputs[ir_node_int(n, IR_ATTR_index, 0)];
        } else if (n->op == IR_OP_get) {
            values[i][0] = values[n->in[0]->id][ir_node_int(n, IR_ATTR_index, 0)];
        } else {
            eval_node(e, n, in, values[i]);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        outputs[i] = values[ir_graph_output(g, i)->node->id][0];
    }
}

/* All outputs of an entry whose sizes are t, on made-up inputs. */
static inline void eval_entry(evaluator *e, const ir_graph *g, int64_t t, array *outputs)
{
    array inputs[8];
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        e->syms[e->n_syms] = ir_graph_sym(g, i);
        e->values[e->n_syms++] = t;
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        inputs[i] = eval_new(e, ir_node_type(ir_graph_input(g, i)));
        for (int64_t k = 0; k < inputs[i].n; k++) {
            inputs[i].at[k] = cos((double)(k + 100 * (int64_t)i) * 1.3);
        }
    }
    e->states[0] = (array){.n = 0, .at = arena_array(e->a, double, 4096)};
    for (int64_t k = 0; k < 4096; k++) {
        e->states[0].at[k] = sin((double)k * 0.3);
    }
    eval_graph(e, g, inputs, outputs);
}

#endif
