/* The shape rules' table and what they share. */
#include "ir/infer.h"
#include "ir/graph_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

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

const char *infer_word(infer *f, ir_attr_key key, const char *const *words)
{
    const ir_attr *a = infer_need(f, key, -1);
    if (!a) {
        return NULL;
    }
    for (uint32_t i = 0; words[i]; i++) {
        if (a->s && strcmp(a->s, words[i]) == 0) {
            return words[i];
        }
    }
    infer_fail(f, "%s of %s cannot be \"%s\"", ir_attr_name(key), ir_op_name(f->op),
               a->s ? a->s : "");
    return NULL;
}

/* "t.0 + 1" becomes "t + 1": the number only tells loops apart. */
static void hide_loop_numbers(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        const char *word = p;
        while (isalnum((unsigned char)*p) || *p == '_') {
            *to++ = *p++;
        }
        bool name = p != word && !isdigit((unsigned char)*word);
        if (name && *p == '.' && isdigit((unsigned char)p[1])) {
            do {
                p++;
            } while (isdigit((unsigned char)*p));
        } else if (*p) {
            *to++ = *p++;
        }
    }
    *to = 0;
}

static void set_error(infer *f, int o0, int a0, int o1, int a1, const char *format, va_list args)
{
    f->error->advice[0] = 0;
    f->error->operand[0] = o0;
    f->error->axis[0] = a0;
    f->error->operand[1] = o1;
    f->error->axis[1] = a1;
    int n = vsnprintf(f->error->text, sizeof f->error->text, format, args);
    if (f->unproved && n > 0 && (size_t)n < sizeof f->error->text) {
        snprintf(f->error->text + n, sizeof f->error->text - (size_t)n,
                 " (cannot be proved for all sizes)");
    }
    hide_loop_numbers(f->error->text);
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

bool infer_advise(infer *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->error->advice, sizeof f->error->advice, format, args);
    va_end(args);
    return false;
}

const char *infer_text(const infer *f, const ir_dim *d)
{
    return ir_dim_text(f->c, d);
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

bool infer_same_dtype(infer *f, uint32_t i, uint32_t j)
{
    ir_dtype a = f->in[i]->dtype, b = f->in[j]->dtype;
    if (a == b) {
        return true;
    }
    /* Integers become floats; else the second follows the first. */
    bool second = ir_dtype_is_float(a) || !ir_dtype_is_float(b);
    (void)infer_clash(f, (int)i, -1, (int)j, -1, "element types differ: %s and %s",
                      ir_dtype_name(a), ir_dtype_name(b));
    return infer_advise(f, "convert the %s operand with cast(x, %s)", second ? "second" : "first",
                        ir_dtype_name(second ? a : b));
}

/* What the op wants of an operand's element type, and how to get there. */
static const struct {
    uint32_t trait;
    bool allowed[3]; /* by ir_kind: float, int, bool */
    const char *wanted, *advice;
} wants[] = {
    {IR_FLOAT_ONLY, {true, false, false}, "a float type",    "convert with cast(x, f32)"  },
    {IR_INT_ONLY,   {false, true, false}, "an integer type", "convert with cast(x, i64)"  },
    {IR_BOOL_ONLY,  {false, false, true}, "bool",            "compare first, as in x != 0"},
    {IR_NUMERIC,    {true, true, false},  "numbers",         "convert with cast(x, f32)"  },
};

static bool dtype_fits(infer *f, uint32_t i)
{
    ir_dtype t = f->in[i]->dtype;
    for (uint32_t k = 0; k < sizeof wants / sizeof *wants; k++) {
        if (ir_op_has(f->op, wants[k].trait) && !wants[k].allowed[ir_dtype_kind(t)]) {
            (void)infer_clash(f, (int)i, -1, -1, -1, "%s expects %s, found %s", ir_op_name(f->op),
                              wants[k].wanted, ir_dtype_name(t));
            return infer_advise(f, "%s", wants[k].advice);
        }
    }
    return true;
}

static bool operands_fit(infer *f)
{
    int n = ir_op_n_in(f->op);
    if (n >= 0 && f->n_in != (uint32_t)n) {
        return infer_fail(f, "%s takes %d operand%s, not %u", ir_op_name(f->op), n,
                          n == 1 ? "" : "s", f->n_in);
    }
    for (uint32_t i = 0; i < f->n_in; i++) {
        bool ids = (f->op == IR_OP_scatter_add || f->op == IR_OP_index_add) && i == 1;
        bool extra = f->op == IR_OP_attention && i >= 3;
        if (!ids && !extra && !dtype_fits(f, i)) {
            return false;
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
    uint32_t before = conditions ? conditions->conditions.len : 0;
    bool ok = operands_fit(&f) && rules[op](&f);
    if (!ok && conditions) { /* what a node assumed that is not built is of no concern */
        conditions->conditions.len = before;
    }
    *n_results = ok ? f.n_out : 0;
    return ok;
}

const ir_dim *ir_loop_turns(ir_ctx *c, const ir_dim *lo, const ir_dim *hi, int64_t step)
{
    const ir_dim *distance = step > 0 ? ir_dim_sub(c, hi, lo) : ir_dim_sub(c, lo, hi);
    int64_t by = step > 0 ? step : step == INT64_MIN ? INT64_MAX : -step;
    const ir_dim *n = ir_dim_ceildiv(c, distance, ir_dim_const(c, by));
    return ir_dim_max(c, n, ir_dim_const(c, 0));
}
