/* Shape rules: products and attention. */
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

/* How operands are rounded before they are multiplied: a word the op knows, or nothing. */
static bool math_fits(infer *f, const char *const *words)
{
    const ir_attr *math = infer_attr(f, IR_ATTR_math);
    if (!math) {
        return true;
    }
    return infer_word(f, IR_ATTR_math, words) &&
           (ir_dtype_is_float(f->in[0]->dtype) ||
            infer_fail(f, "math \"%s\" is for floats, not %s", math->s,
                       ir_dtype_name(f->in[0]->dtype)));
}

/* q8 rounds blocks of the one axis that is summed over. */
static bool sums_once(infer *f, const ir_attr *labels)
{
    uint32_t n = 0;
    for (const char *p = labels->strs[0]; *p; p++) {
        n += !strchr(labels->strs[2], *p);
    }
    return n == 1 || infer_fail(f, "math \"q8\" needs one axis that is summed over");
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
    static const char *const maths[] = {"bf16", "q8", NULL};
    const ir_attr *math = infer_attr(f, IR_ATTR_math);
    if (!math_fits(f, maths) || (math && strcmp(math->s, "q8") == 0 && !sums_once(f, labels))) {
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
    const ir_type *score = NULL, *out = NULL;
    static const char *const maths[] = {"bf16", NULL};
    if (!math_fits(f, maths)) {
        return false;
    }
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
