/* The shape rules' table and what they share. */
#include "ir/infer.h"

#include <stdio.h>

typedef bool (*rule)(infer *f);

static const rule rules[IR_OP_COUNT] = {
#define UNARY(name, ...)                              [IR_OP_##name] = infer_elementwise,
#define BINARY(name, ...)                             [IR_OP_##name] = infer_elementwise,
#define OP(name, in, family, traits, rule_name, eval) [IR_OP_##name] = infer_##rule_name,
#include "ir/ops.def"
};

const ir_attr *infer_attr(const infer *f, ir_attr_key key)
{
    for (uint32_t i = 0; i < f->n_attrs; i++) {
        if (f->attrs[i].key == key) {
            return &f->attrs[i];
        }
    }
    return NULL;
}

const ir_attr *infer_need(infer *f, ir_attr_key key, int n)
{
    const ir_attr *a = infer_attr(f, key);
    if (!a) {
        infer_fail(f, "%s needs attribute %s", ir_op_name(f->op), ir_attr_name(key));
        return NULL;
    }
    if (n >= 0 && a->n != (uint32_t)n) {
        infer_fail(f, "attribute %s of %s has %u values, %d are needed", ir_attr_name(key),
                   ir_op_name(f->op), a->n, n);
        return NULL;
    }
    return a;
}

static void set_error(infer *f, int o0, int a0, int o1, int a1, const char *format, va_list args)
{
    f->error->operand[0] = o0;
    f->error->axis[0] = a0;
    f->error->operand[1] = o1;
    f->error->axis[1] = a1;
    vsnprintf(f->error->text, sizeof f->error->text, format, args);
}

bool infer_fail(infer *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_error(f, -1, -1, -1, -1, format, args);
    va_end(args);
    return false;
}

bool infer_clash(infer *f, int o0, int a0, int o1, int a1, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    set_error(f, o0, a0, o1, a1, format, args);
    va_end(args);
    return false;
}

const char *infer_text(const infer *f, const ir_dim *d)
{
    return ir_dim_text(f->c, d);
}

/* Does a known condition say so? rhs - lhs of it is at least 0; add it and see. */
static bool follows(infer *f, const ir_dim *difference)
{
    if (!f->conditions) {
        return false;
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(f->conditions); i++) {
        const ir_condition *k = ir_graph_condition(f->conditions, i);
        const ir_dim *slack = ir_dim_sub(f->c, k->rhs, k->lhs);
        if (ir_dim_sub(f->c, difference, slack)->lo >= 0 ||
            (k->rel == IR_REL_EQ && ir_dim_add(f->c, difference, slack)->lo >= 0)) {
            return true;
        }
    }
    return false;
}

static bool assume(infer *f, ir_relation rel, const ir_dim *a, const ir_dim *b)
{
    if (!f->conditions) {
        return false;
    }
    const char *text = intern_printf(ir_ctx_names(f->c), "%s %s %s", infer_text(f, a),
                                     rel == IR_REL_EQ ? "==" : "<=", infer_text(f, b));
    ir_graph_add_condition(f->conditions, (ir_condition){rel, a, b, text, f->where});
    return true;
}

bool infer_equal(infer *f, const ir_dim *a, const ir_dim *b)
{
    ir_proof p = ir_dim_equal(f->c, a, b);
    if (p == IR_MAYBE && follows(f, ir_dim_sub(f->c, a, b)) && follows(f, ir_dim_sub(f->c, b, a))) {
        return true;
    }
    return p == IR_ALWAYS || (p == IR_MAYBE && assume(f, IR_REL_EQ, a, b));
}

bool infer_le(infer *f, const ir_dim *a, const ir_dim *b)
{
    ir_proof p = ir_dim_le(f->c, a, b);
    return p == IR_ALWAYS ||
           (p == IR_MAYBE && (follows(f, ir_dim_sub(f->c, b, a)) || assume(f, IR_REL_LE, a, b)));
}

bool infer_result(infer *f, ir_dtype t, uint32_t rank, const ir_dim *const *dims)
{
    if (rank > IR_MAX_RANK) {
        return infer_fail(f, "the result would have %u axes; at most %d are possible", rank,
                          IR_MAX_RANK);
    }
    const ir_dim *bytes = ir_dim_const(f->c, 8);
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i]->overflow || dims[i]->hi < 0) {
            return infer_fail(f, "size %s of axis %u is %s", infer_text(f, dims[i]), i,
                              dims[i]->overflow ? "too large" : "negative");
        }
        if (dims[i]->lo < 0 && !infer_le(f, ir_dim_const(f->c, 0), dims[i])) {
            return infer_fail(f, "size %s of axis %u may be negative", infer_text(f, dims[i]), i);
        }
        bytes = ir_dim_mul(f->c, bytes, dims[i]);
    }
    if (bytes->overflow || (ir_dim_is_const(bytes) && ir_dim_value(bytes) > ((int64_t)1 << 46))) {
        return infer_fail(f, "the result is too large: %s",
                          ir_type_text(f->c, ir_type_get(f->c, t, rank, dims)));
    }
    f->out[f->n_out++] = ir_type_get(f->c, t, rank, dims);
    return true;
}

bool infer_axis(infer *f, uint32_t rank, uint32_t *axis)
{
    const ir_attr *a = infer_need(f, IR_ATTR_axis, -1);
    if (!a) {
        return false;
    }
    if (a->i < 0 || a->i >= rank) {
        return infer_fail(f, "axis %lld is out of range: there are %u axes", (long long)a->i, rank);
    }
    *axis = (uint32_t)a->i;
    return true;
}

static bool operands_fit(infer *f)
{
    int n = ir_op_n_in(f->op);
    if (n >= 0 && f->n_in != (uint32_t)n) {
        return infer_fail(f, "%s takes %d operands, not %u", ir_op_name(f->op), n, f->n_in);
    }
    uint32_t traits = ir_op_traits(f->op);
    for (uint32_t i = 0; i < f->n_in; i++) {
        ir_kind kind = ir_dtype_kind(f->in[i]->dtype);
        const char *wanted = (traits & IR_FLOAT_ONLY) && kind != IR_KIND_FLOAT ? "a float type"
                             : (traits & IR_BOOL_ONLY) && kind != IR_KIND_BOOL ? "bool"
                             : (traits & IR_INT_ONLY) && kind != IR_KIND_INT   ? "an integer type"
                             : (traits & IR_NUMERIC) && kind == IR_KIND_BOOL   ? "numbers"
                                                                               : NULL;
        bool ids = (f->op == IR_OP_scatter_add || f->op == IR_OP_index_add) && i == 1;
        bool extra = f->op == IR_OP_attention && i >= 3;
        if (wanted && !ids && !extra) {
            return infer_clash(f, (int)i, -1, -1, -1, "%s needs %s, found %s", ir_op_name(f->op),
                               wanted, ir_dtype_name(f->in[i]->dtype));
        }
    }
    return true;
}

bool ir_infer(ir_ctx *c, ir_graph *conditions, span where, ir_op op, uint32_t n_in,
              const ir_type *const *in, uint32_t n_attrs, const ir_attr *attrs, uint32_t n_bodies,
              ir_graph *const *bodies, uint32_t *n_results, const ir_type **results,
              ir_error *error)
{
    infer f = {.c = c,
               .conditions = conditions,
               .where = where,
               .op = op,
               .n_in = n_in,
               .n_attrs = n_attrs,
               .n_bodies = n_bodies,
               .in = in,
               .attrs = attrs,
               .bodies = bodies,
               .out = results,
               .error = error};
    bool ok = operands_fit(&f) && rules[op](&f);
    *n_results = f.n_out;
    return ok;
}

const ir_dim *ir_loop_turns(ir_ctx *c, const ir_dim *lo, const ir_dim *hi, int64_t step)
{
    const ir_dim *distance = step > 0 ? ir_dim_sub(c, hi, lo) : ir_dim_sub(c, lo, hi);
    const ir_dim *n = ir_dim_ceildiv(c, distance, ir_dim_const(c, step > 0 ? step : -step));
    return n->lo >= 0 ? n : ir_dim_max(c, n, ir_dim_const(c, 0));
}
