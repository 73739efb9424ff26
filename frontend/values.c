/* Values of elaboration: making them, asking for a kind of them. */
#include "frontend/elab.h"

#include <math.h>
#include <string.h>

value value_none(void)
{
    return (value){.kind = V_NONE};
}

value value_poison(void)
{
    return (value){.kind = V_POISON};
}

value value_int(int64_t i)
{
    return (value){.kind = V_INT, .i = i};
}

value value_float(double f)
{
    return (value){.kind = V_FLOAT, .f = f};
}

value value_bool(bool b)
{
    return (value){.kind = V_BOOL, .b = b};
}

value value_str(const char *s)
{
    return (value){.kind = V_STR, .s = s};
}

value value_dim(elab *e, const ir_dim *d)
{
    (void)e;
    return ir_dim_is_const(d) ? value_int(ir_dim_value(d)) : (value){.kind = V_DIM, .dim = d};
}

value value_module_at(elab *e, const value *modules, int64_t i)
{
    reference *ref = arena_copy(e->a, modules->module.ref, sizeof *ref);
    ref->index[ref->n++] = ir_dim_const(e->c, i);
    value v = {.kind = V_MODULE};
    v.module.ref = ref;
    return v;
}

value value_list(elab *e, value_kind k, uint32_t n, const value *items)
{
    value v = {.kind = k};
    v.list.n = n;
    v.list.at = arena_copy(e->a, items, n * sizeof *items);
    return v;
}

value value_tensor(elab *e, const ir_node *n)
{
    if (!n) {
        return value_poison();
    }
    value v = {.kind = V_TENSOR};
    v.tensor.node = n;
    v.tensor.level = e->level;
    return v;
}

bool is_tensor(const value *v)
{
    return v->kind == V_TENSOR || v->kind == V_PARAM || v->kind == V_STATE;
}

bool is_static(const value *v)
{
    return v->kind == V_BOOL || v->kind == V_INT || v->kind == V_FLOAT || v->kind == V_STR ||
           v->kind == V_NONE;
}

const char *type_text(elab *e, const ir_type *t)
{
    return t->rank ? ir_type_text(e->c, t) : ir_dtype_name(t->dtype);
}

const char *source_text(elab *e, const ast *t)
{
    const source_file *f = source_get(diag_sources(e->d), t->where.file);
    return f ? intern_n(e->names, f->text + t->where.begin, t->where.end - t->where.begin) : "";
}

static const char *state_text(elab *e, const value *v)
{
    const ir_type *t = e->states.at[v->slot.number].type;
    uint32_t outer = v->slot.ref ? v->slot.ref->n : 0; /* axes of the loops around */
    return intern_printf(
        e->names, "state %s",
        type_text(e, ir_type_get(e->c, t->dtype, t->rank - outer, t->dims + outer)));
}

const char *value_text(elab *e, const value *v)
{
    static const char *const kinds[] = {
        [V_POISON] = "a mistake",
        [V_NONE] = "none",
        [V_ELLIPSIS] = "...",
        [V_LIST] = "a list",
        [V_TUPLE] = "a tuple",
        [V_RANGE] = "a range",
        [V_MODULE] = "a module",
        [V_MODULES] = "a list of modules",
        [V_CLASS] = "a module declaration",
        [V_FN] = "a function",
        [V_OP] = "an op",
        [V_EXTERN] = "an extern function",
        [V_BUILTIN] = "a built-in function",
        [V_DTYPE] = "an element type",
        [V_NAMESPACE] = "an import",
        [V_CONST] = "a constant tensor",
    };
    switch (v->kind) {
    case V_BOOL:
        return v->b ? "true" : "false";
    case V_INT:
        return intern_printf(e->names, "%lld", (long long)v->i);
    case V_FLOAT:
        return intern_printf(e->names, v->f == floor(v->f) && fabs(v->f) < 1e9 ? "%.1f" : "%g",
                             v->f);
    case V_STR:
        return intern_printf(e->names, "\"%s\"", v->s);
    case V_DIM:
        return intern_printf(e->names, "the size %s", ir_dim_text(e->c, v->dim));
    case V_TENSOR:
        return type_text(e, ir_node_type(v->tensor.node));
    case V_PARAM:
        return type_text(e, e->params.at[v->slot.number].type);
    case V_STATE:
        return state_text(e, v);
    default:
        return kinds[v->kind];
    }
}

static bool wrong(elab *e, span where, const value *v, const char *what, const char *needed)
{
    if (v->kind != V_POISON) {
        elab_error(e, where, "%s must be %s, found %s", what, needed, value_text(e, v));
        elab_note_now(e);
    }
    return false;
}

bool want_int(elab *e, span where, value v, const char *what, int64_t *out)
{
    if (v.kind != V_INT) {
        return wrong(e, where, &v, what, "a number known while compiling");
    }
    *out = v.i;
    return true;
}

bool want_bool(elab *e, span where, value v, const char *what, bool *out)
{
    if (v.kind == V_BOOL || v.kind == V_INT) {
        *out = v.kind == V_BOOL ? v.b : v.i != 0;
        return true;
    }
    return wrong(e, where, &v, what, "true or false, known while compiling");
}

bool want_float(elab *e, span where, value v, const char *what, double *out)
{
    if (v.kind == V_INT || v.kind == V_FLOAT) {
        *out = v.kind == V_INT ? (double)v.i : v.f;
        return true;
    }
    return wrong(e, where, &v, what, "a number known while compiling");
}

bool want_str(elab *e, span where, value v, const char *what, const char **out)
{
    if (v.kind != V_STR) {
        return wrong(e, where, &v, what, "a string");
    }
    *out = v.s;
    return true;
}

bool want_dim(elab *e, span where, value v, const char *what, const ir_dim **out)
{
    if (v.kind == V_INT) {
        *out = ir_dim_const(e->c, v.i);
        return true;
    }
    if (v.kind == V_DIM) {
        *out = v.dim;
        return true;
    }
    (void)wrong(e, where, &v, what, "a whole number");
    if (v.kind == V_FLOAT) {
        diag_help(e->d, "// divides to a whole number, int(x) drops what is after the point");
    }
    return false;
}

const ir_node *want_tensor(elab *e, span where, value v, const char *what)
{
    if (v.kind == V_TENSOR) {
        return level_import(e, v);
    }
    if (v.kind == V_PARAM) {
        const ir_param *p = &e->params.at[v.slot.number];
        ir_builder b = elab_builder(e, where);
        return ir_param_node(&b, p->name, p->type, v.slot.ref->n, v.slot.ref->index);
    }
    if (v.kind == V_STATE) {
        value now = read_state(e, where, &v);
        return now.kind == V_TENSOR ? now.tensor.node : NULL;
    }
    wrong(e, where, &v, what, "a tensor");
    return NULL;
}

const ir_node *want_operand(elab *e, span where, value v, const ir_type *like)
{
    ir_builder b = elab_builder(e, where);
    if (v.kind == V_INT || v.kind == V_BOOL) {
        int64_t i = v.kind == V_INT ? v.i : v.b;
        return ir_const_i(&b, like ? like->dtype : v.kind == V_BOOL ? IR_bool : IR_i64, i);
    }
    if (v.kind == V_FLOAT) {
        if (like && !ir_dtype_is_float(like->dtype)) {
            if (v.f == floor(v.f)) {
                return ir_const_i(&b, like->dtype, (int64_t)v.f);
            }
            elab_error(e, where, "%g cannot be a value of type %s", v.f,
                       ir_dtype_name(like->dtype));
            return NULL;
        }
        return ir_const_f(&b, like ? like->dtype : IR_f32, v.f);
    }
    if (v.kind == V_DIM) {
        const ir_node *n = ir_dim_node(&b, v.dim);
        return like ? ir_cast(&b, n, like->dtype) : n;
    }
    return want_tensor(e, where, v, "this operand");
}

bool want_axes(elab *e, span where, value v, uint32_t rank, uint32_t *n, int64_t *out)
{
    value one = v;
    const value *items = &one;
    uint32_t count = 1;
    if (v.kind == V_LIST || v.kind == V_TUPLE) {
        items = v.list.at;
        count = v.list.n;
    }
    *n = 0;
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis;
        if (!want_int(e, where, items[i], "an axis", &axis)) {
            return false;
        }
        if (rank && (axis < -(int64_t)rank || axis >= rank)) {
            elab_error(e, where, "axis %lld is out of range: there are %u axes", (long long)axis,
                       rank);
            elab_note_now(e);
            diag_help(e->d, "axes go from 0 to %u, or from -%u to -1", rank - 1, rank);
            return false;
        }
        if (*n == IR_MAX_RANK) {
            elab_error(e, where, "at most %d values are possible here", IR_MAX_RANK);
            return false;
        }
        out[(*n)++] = rank && axis < 0 ? axis + rank : axis;
    }
    return true;
}

bool want_dims(elab *e, span where, value v, const char *what, uint32_t *n, const ir_dim **out)
{
    value one = v;
    const value *items = &one;
    uint32_t count = 1;
    if (v.kind == V_LIST || v.kind == V_TUPLE) {
        items = v.list.at;
        count = v.list.n;
    }
    if (count > IR_MAX_RANK) {
        elab_error(e, where, "at most %d axes are possible", IR_MAX_RANK);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!want_dim(e, where, items[i], what, &out[i])) {
            return false;
        }
    }
    *n = count;
    return true;
}
