/* What all of elaboration shares: scopes, types. */
#include "frontend/elab.h"

#include <string.h>

ir_builder elab_builder(elab *e, span where)
{
    return (ir_builder){
        .ctx = e->c,
        .graph = e->level->graph,
        .conditions = e->conditions,
        .loc = {where, *e->path ? e->path : NULL}
    };
}

bool elab_reduction(const char *name, ir_op *op)
{
    static const struct {
        const char *name;
        ir_op op;
    } known[] = {
        {"sum",  IR_OP_reduce_sum },
        {"mean", IR_OP_reduce_mean},
        {"max",  IR_OP_reduce_max },
        {"min",  IR_OP_reduce_min },
        {"prod", IR_OP_reduce_prod}
    };
    for (uint32_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *op = known[i].op;
            return true;
        }
    }
    return false;
}

/* Scopes ------------------------------------------------------------------------------------------
 */

scope *scope_create(elab *e, scope *outer)
{
    scope *s = arena_new(e->a, scope);
    s->outer = outer;
    s->names = map_create(e->a);
    return s;
}

void scope_set(elab *e, scope *s, const char *name, value v)
{
    value *old = map_get(s->names, map_key(name));
    if (old) {
        *old = v;
        return;
    }
    map_set(s->names, map_key(name), arena_copy(e->a, &v, sizeof v));
}

value *scope_find(const scope *s, const char *name)
{
    return map_get(s->names, map_key(name));
}

/* Types -------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    ir_meaning meaning;
    ir_dtype dtype;
} meanings[] = {
    {"text",  IR_MEANING_TEXT,  IR_i32},
    {"image", IR_MEANING_IMAGE, IR_f32},
    {"audio", IR_MEANING_AUDIO, IR_f32},
};

const char *foreign_dtype(const char *name)
{
    static const char *const others[][2] = {
        {"float",    "f32" },
        {"float32",  "f32" },
        {"float16",  "f16" },
        {"half",     "f16" },
        {"fp16",     "f16" },
        {"fp32",     "f32" },
        {"bfloat16", "bf16"},
        {"double",   "f64" },
        {"float64",  "f64" },
        {"int32",    "i32" },
        {"int64",    "i64" },
        {"long",     "i64" },
        {"int8",     "i8"  },
        {"int16",    "i16" },
        {"uint8",    "u8"  },
        {"boolean",  "bool"},
        {"int",      "i32" },
    };
    for (uint32_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i][0], name) == 0) {
            return others[i][1];
        }
    }
    return NULL;
}

/* The element type a type expression begins with, and what it means. */
static bool type_head(elab *e, const ast *t, ir_dtype *dtype, ir_arg_info *info)
{
    if (info) {
        *info = (ir_arg_info){.meaning = IR_MEANING_TENSOR};
    }
    if (t->kind == AST_NAME && ir_dtype_from_name(t->text, dtype)) {
        return true;
    }
    for (uint32_t i = 0; t->kind == AST_NAME && i < sizeof meanings / sizeof *meanings; i++) {
        if (strcmp(meanings[i].name, t->text) == 0) {
            *dtype = meanings[i].dtype;
            if (info) {
                info->meaning = meanings[i].meaning;
            }
            return true;
        }
    }
    static const char *const known[] = {"f64",  "f32",   "f16",   "bf16",  "i64",
                                        "i32",  "i16",   "i8",    "u8",    "bool",
                                        "text", "image", "audio", "class", "dim"};
    elab_error(e, t->where, "'%s' is no element type", source_text(e, t));
    if (t->kind == AST_NAME && strcmp(t->text, "dim") == 0) {
        diag_help(e->d, "a size is an argument 'n: dim', a tensor of integers is i32[...]");
        return false;
    }
    const char *guess = t->kind == AST_NAME ? foreign_dtype(t->text) : NULL;
    if (!guess && t->kind == AST_NAME) {
        guess = diag_nearest(t->text, known, sizeof known / sizeof *known);
    }
    elab_did_you_mean(e, guess);
    return false;
}

static bool class_type(elab *e, scope *s, const ast *t, ir_arg_info *info)
{
    const char **names = arena_array(e->a, const char *, t->n);
    for (uint32_t i = 1; i < t->n; i++) {
        if (!want_str(e, t->kids[i]->where, eval_expr(e, s, t->kids[i]), "the name of a class",
                      &names[i - 1])) {
            return false;
        }
    }
    if (info) {
        *info = (ir_arg_info){.meaning = IR_MEANING_CLASS, .n_classes = t->n - 1, .classes = names};
    }
    return true;
}

/* f32[...]: the shape's items, without a wrapping "at". NULL when there is none. */
static const ast *type_core(elab *e, scope *s, const ast *t, uint32_t *rate)
{
    if (t->kind == AST_TYPE_AT) {
        int64_t r = 0;
        if (want_int(e, t->kids[1]->where, eval_expr(e, s, t->kids[1]), "the sample rate", &r)) {
            *rate = (uint32_t)r;
        }
        return t->kids[0];
    }
    return t;
}

bool eval_type(elab *e, scope *s, const ast *t, ir_dtype *dtype, uint32_t *rank,
               const ir_dim **dims, ir_arg_info *info)
{
    uint32_t rate = 0;
    t = type_core(e, s, t, &rate);
    *rank = 0;
    const ast *head = t->kind == AST_INDEX ? t->kids[0] : t;
    if (head->kind == AST_NAME && strcmp(head->text, "class") == 0) {
        *dtype = IR_i32;
        return class_type(e, s, t, info);
    }
    if (!type_head(e, head, dtype, info)) {
        return false;
    }
    if (info) {
        info->sample_rate = rate;
    }
    if (t->kind != AST_INDEX) {
        return true;
    }
    for (uint32_t i = 1; i < t->n; i++) {
        if (*rank == IR_MAX_RANK) {
            elab_error(e, t->where, "at most %d axes are possible", IR_MAX_RANK);
            return false;
        }
        value size = eval_expr(e, s, t->kids[i]);
        e->now = t->kids[i];
        e->now_scope = s;
        if (!want_dim(e, t->kids[i]->where, size, "a size", &dims[*rank])) {
            return false;
        }
        if (dims[*rank]->hi < 0) {
            elab_error(e, t->kids[i]->where, "size %s is negative", ir_dim_text(e->c, dims[*rank]));
            elab_note_names(e, s, t->kids[i]);
            return false;
        }
        (*rank)++;
    }
    return true;
}

/* Is there a name in a size that has no value yet? That one is bound. */
static const char *unbound_name(elab *e, scope *s, const ast *t)
{
    value v;
    if (t->kind == AST_NAME) {
        return elab_lookup(e, s, t->text, &v) ? NULL : t->text;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        const char *name = t->kids[i] ? unbound_name(e, s, t->kids[i]) : NULL;
        if (name) {
            return name;
        }
    }
    return NULL;
}

/* Binds the unknown of `t` so that it comes out as `size`: T, T + 1, 2*T. */
static bool solve(elab *e, scope *s, const ast *t, const ir_dim *size, const char *unknown)
{
    const ir_sym *x = ir_sym_get(e->c, intern_printf(e->names, "?%s", unknown), 0, INT64_MAX);
    scope *trial = scope_create(e, s);
    scope_set(e, trial, unknown, value_dim(e, ir_dim_sym(e->c, x)));
    const ir_dim *d, *rest;
    int64_t coef;
    if (!want_dim(e, t->where, eval_expr(e, trial, t), "a size", &d)) {
        return false;
    }
    const ir_dim *answer = NULL;
    if (ir_dim_split(e->c, d, x, &coef, &rest) && coef > 0) {
        answer = ir_dim_div_exact(e->c, ir_dim_sub(e->c, size, rest), ir_dim_const(e->c, coef));
    }
    if (!answer) {
        elab_error(e, t->where, "the size %s cannot be found from %s", unknown,
                   ir_dim_text(e->c, size));
        return false;
    }
    scope_set(e, s, unknown, value_dim(e, answer));
    return true;
}

bool bind_type(elab *e, scope *s, const ast *t, span where, const char *name, const ir_type *actual)
{
    uint32_t rate = 0;
    ir_dtype dtype = IR_f32;
    t = type_core(e, s, t, &rate);
    const ast *head = t->kind == AST_INDEX ? t->kids[0] : t;
    bool is_class = head->kind == AST_NAME && strcmp(head->text, "class") == 0;
    if (is_class) {
        dtype = IR_i32;
    } else if (!type_head(e, head, &dtype, NULL)) {
        return false;
    }
    if (dtype != actual->dtype) {
        elab_error(e, where, "%s must be of type %s, found %s", name, ir_dtype_name(dtype),
                   type_text(e, actual));
        diag_help(e->d, "convert with cast(x, %s)", ir_dtype_name(dtype));
        return false;
    }
    uint32_t n = t->kind == AST_INDEX && !is_class ? t->n - 1 : 0, lead = 0;
    bool dots = n && t->kids[1]->kind == AST_ELLIPSIS;
    if (dots) {
        n--;
        lead = actual->rank >= n ? actual->rank - n : 0;
    }
    if (dots ? actual->rank < n : actual->rank != n) {
        elab_error(e, where, "%s must have %s%u ax%ss, found %s", name, dots ? "at least " : "", n,
                   n == 1 ? "i" : "e", type_text(e, actual));
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const ast *k = t->kids[i + 1 + dots];
        const ir_dim *found = actual->dims[lead + i], *wanted;
        const char *unknown = unbound_name(e, s, k);
        if (unknown) {
            if (!solve(e, s, k, found, unknown)) {
                return false;
            }
            continue;
        }
        if (!want_dim(e, k->where, eval_expr(e, s, k), "a size", &wanted)) {
            return false;
        }
        if (!ir_require(e->c, e->conditions, where, IR_REL_EQ, found, wanted)) {
            const char *size = ir_dim_text(e->c, wanted), *written = source_text(e, k);
            written = strcmp(written, size) ? intern_printf(e->names, " (%s)", written) : "";
            elab_error(e, where, "axis %u of %s must have size %s%s, found %s in %s", lead + i,
                       name, size, written, ir_dim_text(e->c, found), type_text(e, actual));
            elab_note_names(e, s, k);
            return false;
        }
    }
    return true;
}
