/* op: a tensor op defined by its elements, lowered to the IR's ops.
 *
 *     op rms_norm(x: f32[..., D], w: f32[D], eps) -> f32[..., D] {
 *       y[..., d] = x[..., d] * rsqrt(mean{k} x[..., k]^2 + eps) * w[d]
 *     }
 *
 * Every expression has a value with one axis for each letter it depends on, in the order of a
 * common list of letters: result letters first, then those of the reductions around it. An access
 * x[i, j + 1] becomes moves of x (take, where an index is not a plain letter). */
#include "frontend/elab.h"

#include <string.h>

enum { MOST_LETTERS = 8 };

typedef struct notation {
    elab *e;
    scope *s; /* operands and sizes */
    const char
        *letters[MOST_LETTERS]; /* axes of the iteration space, outermost first; after the dots */
    const ir_dim *sizes[MOST_LETTERS]; /* NULL until an access tells */
    uint32_t n;
    uint32_t n_dots; /* axes "..." stands for */
    const ir_dim *dots[IR_MAX_RANK];
    ir_dtype dtype;
} notation;

static int letter_of(const notation *q, const ast *t)
{
    for (uint32_t i = 0; t->kind == AST_NAME && i < q->n; i++) {
        if (q->letters[i] == t->text) {
            return (int)i;
        }
    }
    return -1;
}

/* Sizes of letters from the accesses in which they stand alone. */
static void find_letter_sizes(notation *q, const ast *t)
{
    if (!t) {
        return;
    }
    value v;
    if (t->kind == AST_INDEX && t->kids[0]->kind == AST_NAME &&
        elab_lookup(q->e, q->s, t->kids[0]->text, &v) && is_tensor(&v)) {
        const ir_node *n = want_tensor(q->e, t->where, v, "an operand");
        const ir_type *type = n ? ir_node_type(n) : NULL;
        uint32_t dots = 0;
        for (uint32_t i = 1; i < t->n; i++) {
            dots += t->kids[i]->kind == AST_ELLIPSIS;
        }
        uint32_t axis = 0;
        for (uint32_t i = 1; type && i < t->n; i++) {
            if (t->kids[i]->kind == AST_ELLIPSIS) {
                uint32_t lead = type->rank >= t->n - 2 ? type->rank - (t->n - 2) : 0;
                if (lead > q->n_dots) {
                    q->n_dots = lead;
                    for (uint32_t k = 0; k < lead; k++) {
                        q->dots[k] = type->dims[axis + k];
                    }
                }
                axis += lead;
                continue;
            }
            int l = letter_of(q, t->kids[i]);
            if (l >= 0 && !q->sizes[l] && axis < type->rank) {
                q->sizes[l] = type->dims[axis];
            }
            axis++;
        }
        (void)dots;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        find_letter_sizes(q, t->kids[i]);
    }
}

static const ir_node *element(notation *q, const ast *t);

/* An iota along a letter, shaped to the space: [1, ..., size, ..., 1]. */
static const ir_node *letter_value(notation *q, int l, ir_dtype t, span where)
{
    ir_builder b = elab_builder(q->e, where);
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t rank = q->n_dots + q->n;
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = i == q->n_dots + (uint32_t)l ? q->sizes[l] : ir_dim_const(q->e->c, 1);
    }
    return ir_iota(&b, t, rank, dims, q->n_dots + (uint32_t)l);
}

/* x[..., i, j]: plain letters only: transpose and reshape to the space. */
static const ir_node *plain_access(notation *q, const ast *t, const ir_node *x, uint32_t lead)
{
    ir_builder b = elab_builder(q->e, t->where);
    const ir_type *type = ir_node_type(x);
    int64_t perm[IR_MAX_RANK];
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t np = 0, rank = q->n_dots + q->n;
    int axis_of_letter[MOST_LETTERS];
    memset(axis_of_letter, -1, sizeof axis_of_letter);
    uint32_t axis = 0, first_dot = 0;
    for (uint32_t i = 1; i < t->n; i++) {
        if (t->kids[i]->kind == AST_ELLIPSIS) {
            first_dot = axis;
            axis += lead;
            continue;
        }
        axis_of_letter[letter_of(q, t->kids[i])] = (int)axis++;
    }
    for (uint32_t k = 0; k < lead; k++) {
        perm[np++] = first_dot + k;
    }
    for (uint32_t l = 0; l < q->n; l++) {
        if (axis_of_letter[l] >= 0) {
            perm[np++] = axis_of_letter[l];
        }
    }
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = ir_dim_const(q->e->c, 1);
    }
    for (uint32_t k = 0; k < lead; k++) {
        dims[q->n_dots - lead + k] = type->dims[first_dot + k];
    }
    for (uint32_t l = 0; l < q->n; l++) {
        if (axis_of_letter[l] >= 0) {
            dims[q->n_dots + l] = type->dims[axis_of_letter[l]];
        }
    }
    for (uint32_t l = 0; l < q->n; l++) {
        const ir_dim *size = axis_of_letter[l] >= 0 ? dims[q->n_dots + l] : NULL;
        if (size && q->sizes[l] && ir_dim_equal(q->e->c, q->sizes[l], size) == IR_NEVER) {
            elab_error(q->e, t->where, "index '%s' has two sizes: %s and %s", q->letters[l],
                       ir_dim_text(q->e->c, q->sizes[l]), ir_dim_text(q->e->c, size));
            elab_note_now(q->e);
            return NULL;
        }
    }
    const ir_node *y = ir_reshape(&b, ir_transpose(&b, x, perm), rank, dims);
    if (!y) {
        elab_error(q->e, t->where, "%s", b.error.text);
    }
    return y;
}

/* Any index: linear positions into the flattened operand. */
static const ir_node *computed_access(notation *q, const ast *t, const ir_node *x, uint32_t lead)
{
    elab *e = q->e;
    ir_builder b = elab_builder(e, t->where);
    const ir_type *type = ir_node_type(x);
    const ir_node *at = ir_const_i(&b, IR_i64, 0);
    uint32_t axis = 0;
    ir_dtype saved = q->dtype;
    q->dtype = IR_i64;
    for (uint32_t i = 1; i < t->n && at; i++) {
        uint32_t count = t->kids[i]->kind == AST_ELLIPSIS ? lead : 1;
        for (uint32_t k = 0; k < count && at; k++, axis++) {
            const ir_node *index;
            if (t->kids[i]->kind == AST_ELLIPSIS) {
                const ir_dim *dims[IR_MAX_RANK];
                uint32_t place = q->n_dots - lead + k;
                for (uint32_t j = 0; j < q->n_dots + q->n; j++) {
                    dims[j] = j == place ? type->dims[axis] : ir_dim_const(e->c, 1);
                }
                index = ir_iota(&b, IR_i64, q->n_dots + q->n, dims, place);
            } else {
                index = element(q, t->kids[i]);
                index = index ? ir_cast(&b, index, IR_i64) : NULL;
            }
            const ir_node *size = ir_dim_node(&b, type->dims[axis]);
            at = index ? ir_binary(&b, IR_OP_add, ir_binary(&b, IR_OP_mul, at, size), index) : NULL;
        }
    }
    q->dtype = saved;
    const ir_dim *all = ir_type_elems(e->c, type);
    const ir_node *y = at ? ir_take(&b, ir_reshape(&b, x, 1, &all), at, 0) : NULL;
    if (!y && b.failed) {
        elab_error(e, t->where, "%s", b.error.text);
    }
    return y;
}

static const ir_node *access(notation *q, const ast *t)
{
    elab *e = q->e;
    value v = eval_expr(e, q->s, t->kids[0]);
    const ir_node *x = v.kind == V_POISON ? NULL : want_tensor(e, t->where, v, "what is indexed");
    if (!x) {
        return NULL;
    }
    bool plain = true, dots = false;
    uint32_t given = 0, seen = 0;
    for (uint32_t i = 1; i < t->n; i++) {
        dots |= t->kids[i]->kind == AST_ELLIPSIS;
        given += t->kids[i]->kind != AST_ELLIPSIS;
        if (t->kids[i]->kind != AST_ELLIPSIS) {
            int l = letter_of(q, t->kids[i]);
            plain &= l >= 0 && !(seen & (1u << l));
            seen |= l >= 0 ? 1u << l : 0;
        }
    }
    uint32_t rank = ir_node_type(x)->rank;
    if (dots ? rank < given : rank != given) {
        elab_error(e, t->where, "%u ind%s for %u ax%ss (%s)", given, given == 1 ? "ex" : "ices",
                   rank, rank == 1 ? "i" : "e", type_text(e, ir_node_type(x)));
        elab_note_now(e);
        return NULL;
    }
    return plain ? plain_access(q, t, x, rank - given) : computed_access(q, t, x, rank - given);
}

static const ir_node *reduction(notation *q, const ast *t)
{
    elab *e = q->e;
    notation inner = *q;
    for (uint32_t i = 1; i < t->n; i++) {
        if (inner.n == MOST_LETTERS || inner.n + inner.n_dots == IR_MAX_RANK) {
            elab_error(e, t->where, "too many axes");
            return NULL;
        }
        inner.letters[inner.n] = t->kids[i]->text;
        inner.sizes[inner.n++] = NULL;
    }
    find_letter_sizes(&inner, t->kids[0]);
    for (uint32_t i = q->n; i < inner.n; i++) {
        if (!inner.sizes[i]) {
            elab_error(e, t->where, "the size of '%s' cannot be told: it stands alone in no index",
                       inner.letters[i]);
            return NULL;
        }
    }
    const ir_node *x = element(&inner, t->kids[0]);
    if (!x) {
        return NULL;
    }
    ir_builder b = elab_builder(e, t->where);
    const ir_dim *full[IR_MAX_RANK];
    uint32_t rank = inner.n_dots + inner.n;
    const ir_type *type = ir_node_type(x);
    for (uint32_t i = 0; i < rank; i++) { /* axes summed over must be there in full */
        full[i] = i < type->rank ? type->dims[i] : ir_dim_const(e->c, 1);
        if (i >= q->n_dots + q->n) {
            full[i] = inner.sizes[i - q->n_dots];
        }
    }
    x = ir_broadcast(&b, x, rank, full);
    int64_t axes[MOST_LETTERS];
    uint32_t n = 0;
    for (uint32_t i = q->n_dots + q->n; i < rank; i++) {
        axes[n++] = i;
    }
    ir_op op;
    return elab_reduction(t->text, &op) ? ir_reduce(&b, op, x, n, axes, false) : NULL;
}

/* The value of an expression over the space: rank n_dots + n, sizes 1 where it does not depend. */
static const ir_node *element(notation *q, const ast *t)
{
    elab *e = q->e;
    ir_builder b = elab_builder(e, t->where);
    int l = letter_of(q, t);
    if (l >= 0) {
        return letter_value(q, l, q->dtype, t->where);
    }
    if (t->kind == AST_INDEX) {
        return access(q, t);
    }
    if (t->kind == AST_REDUCTION) {
        return reduction(q, t);
    }
    if (t->kind == AST_BINARY || t->kind == AST_UNARY || t->kind == AST_CALL ||
        t->kind == AST_IF_EXPR) {
        /* Operands as tensors over the space, then the ordinary meaning. */
        scope *s = scope_create(e, q->s);
        ast *copy = arena_copy(e->a, t, sizeof *t);
        copy->kids = arena_copy(e->a, t->kids, t->n * sizeof *t->kids);
        for (uint32_t i = t->kind == AST_CALL; i < t->n; i++) {
            const ast *k = t->kids[i]->kind == AST_KEYWORD ? t->kids[i]->kids[0] : t->kids[i];
            value v;
            bool number = k->kind == AST_INT || k->kind == AST_FLOAT;
            if (number || (k->kind == AST_NAME && letter_of(q, k) < 0 &&
                           elab_lookup(e, q->s, k->text, &v) && !is_tensor(&v))) {
                continue;
            }
            const ir_node *n = element(q, k);
            if (!n) {
                return NULL;
            }
            ast *name = arena_copy(e->a, k, sizeof *k);
            name->kind = AST_NAME;
            name->n = 0;
            name->text = intern_printf(e->names, "%%%u", i);
            scope_set(e, s, name->text, value_tensor(e, n));
            if (t->kids[i]->kind == AST_KEYWORD) {
                ast *keyword = arena_copy(e->a, t->kids[i], sizeof *keyword);
                keyword->kids = arena_copy(e->a, &name, sizeof name);
                copy->kids[i] = keyword;
            } else {
                copy->kids[i] = name;
            }
        }
        value v = eval_expr(e, s, copy);
        return v.kind == V_POISON ? NULL
                                  : want_operand(e, t->where, v, ir_type_scalar(e->c, q->dtype));
    }
    value v;
    if (t->kind == AST_NAME && !e->damaged && !elab_lookup(e, q->s, t->text, &v)) {
        elab_error(e, t->where, "index '%s' is not defined", t->text);
        diag_help(e->d,
                  "indices are named on the left side, or by what goes over them: sum{%s} ...",
                  t->text);
        return NULL;
    }
    v = eval_expr(e, q->s, t);
    if (v.kind == V_POISON) {
        return NULL;
    }
    if (is_tensor(&v)) {
        const ir_node *n = want_tensor(e, t->where, v, "an operand");
        if (n && ir_node_type(n)->rank != 0) {
            elab_error(e, t->where, "a tensor is indexed in the body of an op: %s[...]",
                       t->kind == AST_NAME ? t->text : "x");
            return NULL;
        }
        return n;
    }
    (void)b;
    return want_operand(e, t->where, v, ir_type_scalar(e->c, q->dtype));
}

static value define(notation *q, const ast *t, const ast *result)
{
    elab *e = q->e;
    const ast *target = t->kids[0];
    if (t->kind != AST_ASSIGN || target->kind != AST_INDEX || target->kids[0]->kind != AST_NAME) {
        return elab_error(e, t->where, "the body of an op is 'y[i, j] = ...'");
    }
    q->n = q->n_dots = 0;
    for (uint32_t i = 1; i < target->n; i++) {
        const ast *k = target->kids[i];
        if (k->kind == AST_ELLIPSIS) {
            continue;
        }
        if (k->kind != AST_NAME || q->n == MOST_LETTERS) {
            return elab_error(e, k->where, "an axis of the result is named by a letter");
        }
        q->sizes[q->n] = NULL;
        q->letters[q->n++] = k->text;
    }
    find_letter_sizes(q, t->kids[1]);
    /* Letters the body does not tell: from the declared result. */
    const ast *shape = result && result->kind == AST_INDEX ? result : NULL;
    for (uint32_t l = 0; l < q->n; l++) {
        if (!q->sizes[l] && shape && shape->n - 1 >= q->n) {
            const ast *k = shape->kids[shape->n - q->n + l];
            if (!want_dim(e, k->where, eval_expr(e, q->s, k), "a size", &q->sizes[l])) {
                return value_poison();
            }
        }
        if (!q->sizes[l]) {
            return elab_error(e, target->where, "the size of '%s' cannot be told", q->letters[l]);
        }
    }
    const ast *now = e->now;
    scope *now_scope = e->now_scope;
    e->now = t->kids[1];
    e->now_scope = q->s;
    const ir_node *x = element(q, t->kids[1]);
    e->now = now;
    e->now_scope = now_scope;
    if (!x) {
        return value_poison();
    }
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t rank = q->n_dots + q->n;
    for (uint32_t i = 0; i < rank; i++) {
        dims[i] = i < q->n_dots ? q->dots[i] : q->sizes[i - q->n_dots];
    }
    ir_builder b = elab_builder(e, t->where);
    x = ir_type_same_shape(ir_node_type(x), ir_type_get(e->c, IR_f32, rank, dims))
            ? x
            : ir_broadcast(&b, x, rank, dims);
    value v = x ? value_tensor(e, x) : elab_error(e, t->where, "%s", b.error.text);
    scope_set(e, q->s, target->kids[0]->text, v);
    return v;
}

value call_op(call *c, const ast *decl, scope *outer)
{
    elab *e = c->e;
    if (is_broken(e, decl)) {
        return value_poison();
    }
    notation q = {.e = e, .s = scope_create(e, outer), .dtype = IR_f32};
    const ast *params = decl->kids[0];
    if (c->n_args + c->n_keywords > params->n) {
        return elab_error(e, c->where, "op %s takes %u arguments, found %u", decl->text, params->n,
                          c->n_args + c->n_keywords);
    }
    for (uint32_t i = 0; i < params->n; i++) {
        const ast *p = params->kids[i];
        value v = i < c->n_args ? c->args[i] : value_none();
        for (uint32_t k = 0; k < c->n_keywords; k++) {
            v = c->keywords[k] == p->text ? c->keyword_values[k] : v;
        }
        if (v.kind == V_NONE && p->kids[1]) {
            v = eval_expr(e, q.s, p->kids[1]);
        }
        if (v.kind == V_NONE || v.kind == V_POISON) {
            return v.kind == V_POISON
                       ? v
                       : elab_error(e, c->where, "op %s needs '%s'", decl->text, p->text);
        }
        if (p->kids[0]) {
            const ir_node *n = want_operand(e, c->where, v, NULL);
            if (!n || !bind_type(e, q.s, p->kids[0], i < c->n_args ? c->arg_places[i] : c->where,
                                 p->text, ir_node_type(n))) {
                if (n) {
                    diag_note(e->d, p->where, "'%s' is declared here", p->text);
                }
                return value_poison();
            }
            q.dtype = i == 0 ? ir_node_type(n)->dtype : q.dtype;
            v = value_tensor(e, n);
            v.name = p->text;
            v.where = p->where;
        }
        scope_set(e, q.s, p->text, v);
    }
    value last = value_poison();
    for (uint32_t i = 0; i < decl->kids[2]->n; i++) {
        last = define(&q, decl->kids[2]->kids[i], i + 1 == decl->kids[2]->n ? decl->kids[1] : NULL);
        if (last.kind == V_POISON) {
            return last;
        }
    }
    return last;
}
