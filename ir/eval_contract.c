/* The interpreter: two-operand einsum. */
#include "ir/eval_impl.h"

#include <string.h>

/* What a letter stands for: its size, and its step in x, y. 0: it is broadcast, or not there. */
typedef struct letter {
    int64_t size, step[2];
    bool known, in_result;
} letter;

static bool read_labels(eval *e, const char *labels, const ir_tensor *t, uint32_t operand,
                        letter *letters)
{
    int64_t steps[IR_MAX_RANK];
    eval_strides(t, steps);
    for (uint32_t i = 0; i < t->rank; i++) {
        letter *l = &letters[(unsigned char)labels[i]];
        bool clash = l->known && l->size != 1 && t->dims[i] != 1 && l->size != t->dims[i];
        if (clash) {
            return eval_fail(e, "sizes of axis %c differ: %lld and %lld", labels[i],
                             (long long)l->size, (long long)t->dims[i]);
        }
        l->size = !l->known || l->size == 1 ? t->dims[i] : l->size;
        l->known = true;
        l->step[operand] = t->dims[i] == 1 ? 0 : steps[i];
    }
    return true;
}

typedef struct operands {
    double *f[2];
    const int64_t *i[2];
} operands;

/* Sum of the products along the last summed letter. */
static void add_products(const operands *o, const int64_t *at, const letter *l, eval_number *sum)
{
    int64_t x = at[0], y = at[1];
    if (o->f[0]) {
        for (int64_t k = 0; k < l->size; k++, x += l->step[0], y += l->step[1]) {
            sum->f += o->f[0][x] * o->f[1][y];
        }
        return;
    }
    for (int64_t k = 0; k < l->size; k++, x += l->step[0], y += l->step[1]) {
        sum->i =
            ir_op_eval_i64(IR_OP_add, sum->i, ir_op_eval_i64(IR_OP_mul, o->i[0][x], o->i[1][y]));
    }
}

bool eval_op_contract(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    letter letters[256] = {{0}}, last = {.size = 1};
    bool is_float = ir_dtype_is_float(out->t.dtype);
    operands o = {{NULL}, {NULL}};
    for (uint32_t k = 0; k < 2; k++) {
        if (!read_labels(e, labels->strs[k], &in[k].t, k, letters)) {
            return false;
        }
        if (is_float) {
            o.f[k] = eval_f64s(e, &in[k].t);
        } else {
            o.i[k] = eval_i64s(e, &in[k].t);
        }
        if (!o.f[k] && !o.i[k]) {
            return false;
        }
        if (is_float) {
            eval_round_operand(n, k, &in[k].t, o.f[k]);
        }
    }
    eval_walk outer = {0}, inner = {0};
    for (const char *p = labels->strs[2]; *p; p++) {
        letter *l = &letters[(unsigned char)*p];
        l->in_result = true;
        eval_walk_axis(&outer, l->size, 2, l->step);
    }
    for (uint32_t i = 0; i < 256; i++) { /* one summed letter is left for the innermost loop */
        if (letters[i].known && !letters[i].in_result) {
            if (last.known) {
                eval_walk_axis(&inner, last.size, 2, last.step);
            }
            last = letters[i];
        }
    }
    if (!eval_new(e, out)) {
        return false;
    }
    eval_walk_begin(&outer);
    for (int64_t i = 0; outer.left; i++, eval_walk_next(&outer)) {
        eval_number sum = is_float ? (eval_number){.f = 0} : (eval_number){.i = 0};
        memcpy(inner.start, outer.offset, sizeof inner.start);
        eval_walk_begin(&inner);
        for (; inner.left; eval_walk_next(&inner)) {
            add_products(&o, inner.offset, &last, &sum);
        }
        eval_store(&out->t, i, sum);
    }
    return true;
}
