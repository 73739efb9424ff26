/* Expressions. */
#include "frontend/elab.h"
#include "frontend/std.h"

#include <math.h>
#include <string.h>

/* Static and symbolic arithmetic ------------------------------------------------------------------
 */

static bool is_number(const value *v)
{
    return v->kind == V_INT || v->kind == V_FLOAT || v->kind == V_BOOL;
}

static double number_of(const value *v)
{
    return v->kind == V_FLOAT ? v->f : v->kind == V_BOOL ? v->b : (double)v->i;
}

static value dims_binary(elab *e, span where, const char *op, const ir_dim *x, const ir_dim *y)
{
    const ir_dim *r = NULL;
    bool divides = *op == '/' || *op == '%';
    if (divides && (!ir_dim_is_const(y) ? y->lo < 1 : ir_dim_value(y) < 1)) {
        elab_error(e, where, "division of %s by %s, which is not positive", ir_dim_text(e->c, x),
                   ir_dim_text(e->c, y));
        elab_note_now(e);
        if (!ir_dim_is_const(y)) {
            diag_help(e->d, "say that it is: 'where %s >= 1' after the entry's result",
                      ir_dim_text(e->c, y));
        }
        return value_poison();
    }
    if (strcmp(op, "+") == 0) {
        r = ir_dim_add(e->c, x, y);
    } else if (strcmp(op, "-") == 0) {
        r = ir_dim_sub(e->c, x, y);
    } else if (strcmp(op, "*") == 0) {
        r = ir_dim_mul(e->c, x, y);
    } else if (strcmp(op, "//") == 0) {
        r = ir_dim_floordiv(e->c, x, y);
    } else if (strcmp(op, "%") == 0) {
        r = ir_dim_mod(e->c, x, y);
    } else if (strcmp(op, "/") == 0) {
        r = ir_dim_div_exact(e->c, x, y);
        if (!r) {
            elab_error(e, where, "%s / %s does not divide", ir_dim_text(e->c, x),
                       ir_dim_text(e->c, y));
            elab_note_now(e);
            diag_help(e->d,
                      "for the quotient rounded down write //, for a real number make one of them "
                      "real (%s / %s.0)",
                      ir_dim_text(e->c, x), ir_dim_text(e->c, y));
            return value_poison();
        }
    } else {
        return elab_error(e, where, "'%s' is not possible between sizes known at run time only",
                          op);
    }
    if (r->overflow) {
        elab_error(e, where, "%s %s %s does not fit into 64 bits", ir_dim_text(e->c, x), op,
                   ir_dim_text(e->c, y));
        elab_note_now(e);
        return value_poison();
    }
    return value_dim(e, r);
}

static value compare_result(const char *op, double x, double y)
{
    return value_bool(strcmp(op, "==") == 0   ? x == y
                      : strcmp(op, "!=") == 0 ? x != y
                      : strcmp(op, "<") == 0  ? x < y
                      : strcmp(op, "<=") == 0 ? x <= y
                      : strcmp(op, ">") == 0  ? x > y
                                              : x >= y);
}

static bool is_comparison(const char *op)
{
    return *op == '<' || *op == '>' || strcmp(op, "==") == 0 || strcmp(op, "!=") == 0;
}

static value numbers_binary(elab *e, span where, const char *op, const value *x, const value *y)
{
    if (is_comparison(op)) {
        return compare_result(op, number_of(x), number_of(y));
    }
    bool ints = x->kind != V_FLOAT && y->kind != V_FLOAT;
    if (ints && strcmp(op, "**") == 0 && number_of(y) >= 0) {
        int64_t r = 1, base = (int64_t)number_of(x);
        for (int64_t k = 0; k < (int64_t)number_of(y); k++) {
            if (__builtin_mul_overflow(r, base, &r)) {
                elab_error(e, where, "%s ** %s does not fit into 64 bits", value_text(e, x),
                           value_text(e, y));
                elab_note_now(e);
                return value_poison();
            }
        }
        return value_int(r);
    }
    if (ints && strcmp(op, "**") != 0) {
        return dims_binary(e, where, op, ir_dim_const(e->c, (int64_t)number_of(x)),
                           ir_dim_const(e->c, (int64_t)number_of(y)));
    }
    double a = number_of(x), b = number_of(y);
    if ((*op == '/' || *op == '%') && b == 0) {
        elab_error(e, where, "division by zero");
        elab_note_now(e);
        return value_poison();
    }
    return value_float(strcmp(op, "+") == 0    ? a + b
                       : strcmp(op, "-") == 0  ? a - b
                       : strcmp(op, "*") == 0  ? a * b
                       : strcmp(op, "/") == 0  ? a / b
                       : strcmp(op, "//") == 0 ? floor(a / b)
                       : strcmp(op, "%") == 0  ? a - floor(a / b) * b
                                               : pow(a, b));
}

static const struct {
    const char *text;
    ir_op op;
} binary_ops[] = {
    {"+",   IR_OP_add      },
    {"-",   IR_OP_sub      },
    {"*",   IR_OP_mul      },
    {"/",   IR_OP_div      },
    {"//",  IR_OP_floor_div},
    {"%",   IR_OP_mod      },
    {"**",  IR_OP_pow      },
    {"==",  IR_OP_eq       },
    {"!=",  IR_OP_ne       },
    {"<",   IR_OP_lt       },
    {"<=",  IR_OP_le       },
    {">",   IR_OP_gt       },
    {">=",  IR_OP_ge       },
    {"and", IR_OP_and      },
    {"or",  IR_OP_or       },
};

/* x ** 2 and the like as products; other powers through pow. */
static const ir_node *power(ir_builder *b, const ir_node *x, const value *y, const ir_node *yn)
{
    bool whole = y->kind == V_INT || (y->kind == V_FLOAT && y->f == floor(y->f));
    int64_t n = y->kind == V_INT ? y->i : y->kind == V_FLOAT && fabs(y->f) < 64 ? (int64_t)y->f : 0;
    if (whole && n >= 1 && n <= 4) {
        const ir_node *r = x;
        for (int64_t k = 1; k < n; k++) {
            r = ir_binary(b, IR_OP_mul, r, x);
        }
        return r;
    }
    if (y->kind == V_FLOAT && y->f == 0.5) {
        return ir_unary(b, IR_OP_sqrt, x);
    }
    if (y->kind == V_FLOAT && y->f == -0.5) {
        return ir_unary(b, IR_OP_rsqrt, x);
    }
    return ir_binary(b, IR_OP_pow, x, yn);
}

static value tensor_binary(elab *e, span where, const char *op, const value *x, const value *y)
{
    const ir_node *a = is_tensor(x) ? want_tensor(e, where, *x, "this operand") : NULL;
    const ir_node *c = is_tensor(y) ? want_tensor(e, where, *y, "this operand") : NULL;
    if ((is_tensor(x) && !a) || (is_tensor(y) && !c)) {
        return value_poison();
    }
    const ir_type *like = a ? ir_node_type(a) : c ? ir_node_type(c) : NULL;
    a = a ? a : want_operand(e, where, *x, like);
    c = c ? c : want_operand(e, where, *y, like);
    if (!a || !c) {
        return value_poison();
    }
    ir_builder b = elab_builder(e, where);
    const ir_node *r = NULL;
    if (strcmp(op, "@") == 0 && (ir_node_type(a)->rank == 0 || ir_node_type(c)->rank == 0)) {
        elab_error(e, where,
                   "a matrix product needs at least one axis on both sides, found %s and %s",
                   value_text(e, x), value_text(e, y));
        elab_note_now(e);
        diag_help(e->d, "the product with a single number is written with *");
        return value_poison();
    }
    if (strcmp(op, "@") == 0) {
        r = ir_matmul(&b, a, c);
    } else if (strcmp(op, "**") == 0) {
        r = power(&b, a, y, c);
    } else {
        for (uint32_t i = 0; i < sizeof binary_ops / sizeof *binary_ops; i++) {
            if (strcmp(binary_ops[i].text, op) == 0) {
                r = ir_binary(&b, binary_ops[i].op, a, c);
            }
        }
    }
    if (!r) {
        value operands[2] = {*x, *y};
        elab_build_error(e, &b, 2, operands);
        return value_poison();
    }
    return value_tensor(e, r);
}

static bool is_callable(const value *v)
{
    return v->kind == V_FN || v->kind == V_BUILTIN || v->kind == V_OP || v->kind == V_EXTERN ||
           v->kind == V_MODULE;
}

value eval_binary(elab *e, span where, const char *op, value x, value y)
{
    if (x.kind == V_POISON || y.kind == V_POISON) {
        return value_poison();
    }
    bool same = strcmp(op, "==") == 0, differ = strcmp(op, "!=") == 0;
    if ((same || differ) &&
        (x.kind == V_NONE ||
         y.kind == V_NONE)) { /* an argument that may be left out, of whatever kind */
        return value_bool((x.kind == y.kind) == same);
    }
    if ((same || differ) && x.kind == V_DTYPE && y.kind == V_DTYPE) {
        return value_bool((x.dtype == y.dtype) == same);
    }
    if ((same || differ) &&
        ((is_callable(&x) && y.kind == V_STR) || (x.kind == V_STR && is_callable(&y)))) {
        return value_bool(differ); /* a function, or the name of one */
    }
    if (is_tensor(&x) || is_tensor(&y)) {
        return tensor_binary(e, where, op, &x, &y);
    }
    bool logic = strcmp(op, "and") == 0 || strcmp(op, "or") == 0;
    if (logic && is_static(&x) && is_static(&y)) {
        bool a, b;
        if (!want_bool(e, where, x, "an operand", &a) ||
            !want_bool(e, where, y, "an operand", &b)) {
            return value_poison();
        }
        return value_bool(*op == 'a' ? a && b : a || b);
    }
    if (is_number(&x) && is_number(&y) && !logic) {
        return numbers_binary(e, where, op, &x, &y);
    }
    if ((x.kind == V_DIM || x.kind == V_INT) && (y.kind == V_DIM || y.kind == V_INT)) {
        const ir_dim *a = x.kind == V_DIM ? x.dim : ir_dim_const(e->c, x.i);
        const ir_dim *b = y.kind == V_DIM ? y.dim : ir_dim_const(e->c, y.i);
        if (is_comparison(op)) { /* of run-time sizes: a tensor */
            return tensor_binary(e, where, op, &x, &y);
        }
        return dims_binary(e, where, op, a, b);
    }
    if ((x.kind == V_DIM && y.kind == V_FLOAT) || (x.kind == V_FLOAT && y.kind == V_DIM)) {
        ir_builder b = elab_builder(e, where);
        value *d = x.kind == V_DIM ? &x : &y;
        *d = value_tensor(e, ir_cast(&b, ir_dim_node(&b, d->dim), IR_f32));
        return tensor_binary(e, where, op, &x, &y);
    }
    if (x.kind == V_STR && y.kind == V_STR) {
        if (strcmp(op, "+") == 0) {
            return value_str(intern_printf(e->names, "%s%s", x.s, y.s));
        }
        if (is_comparison(op)) {
            return compare_result(op, strcmp(x.s, y.s), 0);
        }
    }
    if (x.kind == V_LIST && y.kind == V_LIST && strcmp(op, "+") == 0) {
        value *all = arena_array(e->a, value, x.list.n + y.list.n);
        memcpy(all, x.list.at, x.list.n * sizeof *all);
        memcpy(all + x.list.n, y.list.at, y.list.n * sizeof *all);
        return value_list(e, V_LIST, x.list.n + y.list.n, all);
    }
    return elab_error(e, where, "'%s' is not possible between %s and %s", op, value_text(e, &x),
                      value_text(e, &y));
}

static value eval_unary(elab *e, scope *s, const ast *t)
{
    value x = eval_expr(e, s, t->kids[0]);
    if (x.kind == V_POISON || *t->text == '+') {
        return x;
    }
    bool negate = *t->text == '-';
    if (is_tensor(&x)) {
        ir_builder b = elab_builder(e, t->where);
        const ir_node *n = want_tensor(e, t->where, x, "the operand");
        const ir_node *r = n ? ir_unary(&b, negate ? IR_OP_neg : IR_OP_not, n) : NULL;
        return r ? value_tensor(e, r) : !n ? value_poison() : elab_build_error(e, &b, 1, &x);
    }
    if (negate && x.kind == V_DIM) {
        return value_dim(e, ir_dim_scale(e->c, x.dim, -1));
    }
    if (negate && x.kind == V_INT) {
        return value_int((int64_t)(0 - (uint64_t)x.i));
    }
    if (negate && x.kind == V_FLOAT) {
        return value_float(-x.f);
    }
    bool v;
    if (!negate && want_bool(e, t->where, x, "the operand of not", &v)) {
        return value_bool(!v);
    }
    return negate ? elab_error(e, t->where, "'-' is not possible on %s", value_text(e, &x))
                  : value_poison();
}

/* Names, fields -----------------------------------------------------------------------------------
 */

static bool uses_name(const ast *t, const char *name)
{
    if (!t) {
        return false;
    }
    if (t->kind == AST_NAME && t->text == name) {
        return true;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (uses_name(t->kids[i], name)) {
            return true;
        }
    }
    return false;
}

static value eval_name(elab *e, scope *s, const ast *t)
{
    value v;
    if (elab_lookup(e, s, t->text, &v)) {
        return v;
    }
    if (e->damaged) {
        return value_poison();
    }
    const char *dtype = foreign_dtype(t->text);
    bool library = frontend_std_find(t->text) != NULL;
    elab_error(e, t->where, dtype ? "'%s' is no element type" : "'%s' is not defined", t->text);
    if (library) {
        diag_help(e->d, "write 'import %s' at the beginning of the file", t->text);
    } else if (e->entry && e->entry->kids[1] && uses_name(e->entry->kids[1], t->text)) {
        diag_help(e->d, "no argument of '%s' brings this size: make it one, '%s: dim'",
                  e->entry->text, t->text);
    } else if (!e->level && *t->text >= 'A' && *t->text <= 'Z' && strlen(t->text) < 3) {
        diag_help(e->d, "sizes of parameters and states are numbers: of a size that calls bring, "
                        "name the most it can be");
    } else {
        elab_did_you_mean(e, dtype ? dtype : elab_nearest(e, s, t->text));
    }
    scope *known = s; /* told once, in this function or, of a library, in this file */
    while (known->outer && (library || !known->self)) {
        known = known->outer;
    }
    scope_set(e, known, t->text, value_poison());
    return value_poison();
}

static value transposed(elab *e, span where, value x)
{
    const ir_node *n = want_tensor(e, where, x, "the operand of .T");
    if (!n) {
        return value_poison();
    }
    uint32_t rank = ir_node_type(n)->rank;
    if (rank < 2) {
        return elab_error(e, where, ".T needs at least two axes, found %s", value_text(e, &x));
    }
    int64_t perm[IR_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) {
        perm[i] = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
    }
    ir_builder b = elab_builder(e, where);
    value v = value_tensor(e, ir_transpose(&b, n, perm));
    v.name = x.name ? intern_printf(e->names, "%s.T", x.name) : NULL;
    v.where = x.where;
    v.type = x.type;
    v.type_scope = x.type_scope;
    return v;
}

static value eval_field(elab *e, scope *s, const ast *t)
{
    value x = eval_expr(e, s, t->kids[0]);
    if (x.kind == V_POISON) {
        return x;
    }
    if (x.kind == V_NAMESPACE) {
        value *v = scope_find(x.names, t->text);
        if (v) {
            return *v;
        }
        if (e->damaged) {
            return value_poison();
        }
        elab_error(e, t->name_where, "'%s' is not in %s", t->text, x.name);
        elab_did_you_mean(e, elab_nearest_in(x.names, t->text));
        return value_poison();
    }
    if (x.kind == V_MODULE) {
        return member_of(e, t->name_where, &x, t->text);
    }
    if (is_tensor(&x)) {
        if (strcmp(t->text, "T") == 0) {
            return transposed(e, t->where, x);
        }
        const ir_node *n = want_tensor(e, t->where, x, "this");
        if (!n) {
            return value_poison();
        }
        if (strcmp(t->text, "shape") == 0) {
            value dims[IR_MAX_RANK];
            for (uint32_t i = 0; i < ir_node_type(n)->rank; i++) {
                dims[i] = value_dim(e, ir_node_type(n)->dims[i]);
            }
            return value_list(e, V_TUPLE, ir_node_type(n)->rank, dims);
        }
        if (strcmp(t->text, "rank") == 0 || strcmp(t->text, "ndim") == 0) {
            return value_int(ir_node_type(n)->rank);
        }
        if (strcmp(t->text, "dtype") == 0) {
            return (value){.kind = V_DTYPE, .dtype = ir_node_type(n)->dtype};
        }
        elab_error(e, t->name_where, "a tensor has no field '%s'", t->text);
        if (scope_find(e->builtins, t->text)) {
            diag_help(e->d, "%s is a function: %s(x, ...)", t->text, t->text);
        } else {
            diag_help(e->d, "tensors have .T, .shape, .rank and .dtype");
        }
        return value_poison();
    }
    return elab_error(e, t->name_where, "%s has no field '%s'", value_text(e, &x), t->text);
}

/* Lists -------------------------------------------------------------------------------------------
 */

/* Where item i of a list is evaluated: modules made there are named by their place in it. */
static scope *item_scope(elab *e, scope *s, uint32_t i)
{
    const char *key = intern(e->names, "%path");
    value *path = NULL;
    for (scope *k = s; k && !path; k = k->outer) {
        path = scope_find(k, key);
    }
    scope *inner = scope_create(e, s);
    if (path) {
        scope_set(e, inner, key, value_str(intern_printf(e->names, "%s.%u", path->s, i)));
    }
    return inner;
}

static value eval_items(elab *e, scope *s, const ast *t, value_kind kind)
{
    value *items = arena_array(e->a, value, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        items[i] = eval_expr(e, item_scope(e, s, i), t->kids[i]);
    }
    return value_list(e, kind, t->n, items);
}

static value eval_comprehension(elab *e, scope *s, const ast *t)
{
    const ast *item = t->kids[0], *target = t->kids[1], *cond = t->kids[3];
    value over = eval_expr(e, s, t->kids[2]);
    if (over.kind == V_POISON) {
        return over;
    }
    bool modules = over.kind == V_MODULES;
    if (over.kind != V_RANGE && over.kind != V_LIST && over.kind != V_TUPLE && !modules) {
        return elab_error(e, t->kids[2]->where, "a list is made over a range or a list, found %s",
                          value_text(e, &over));
    }
    int64_t n = over.kind == V_RANGE ? over.range.hi - over.range.lo
                : modules            ? over.module.count
                                     : over.list.n;
    n = n < 0 ? 0 : n;
    /* Like modules: one instance, counted. */
    if (over.kind == V_RANGE && target->kind == AST_NAME && !uses_name(item, target->text) &&
        !cond && item->kind == AST_CALL) {
        value f = eval_expr(e, s, item->kids[0]);
        if (f.kind == V_CLASS) {
            scope *inner = scope_create(e, s);
            scope_set(e, inner, intern(e->names, "%count"), value_int(n));
            return eval_call(e, inner, item);
        }
    }
    if (n > 100000) {
        return elab_error(e, t->where, "a list of %lld items is too long", (long long)n);
    }
    VEC(value) out = {0};
    for (int64_t i = 0; i < n; i++) {
        scope *inner = item_scope(e, s, out.len);
        value one = over.kind == V_RANGE ? value_int(over.range.lo + i)
                    : modules            ? value_module_at(e, &over, i)
                                         : over.list.at[i];
        if (target->kind == AST_NAME) {
            scope_set(e, inner, target->text, one);
        } else if (one.kind == V_TUPLE && one.list.n == target->n) {
            for (uint32_t k = 0; k < target->n; k++) {
                scope_set(e, inner, target->kids[k]->text, one.list.at[k]);
            }
        } else {
            return elab_error(e, target->where, "cannot take %s apart into %u names",
                              value_text(e, &one), target->n);
        }
        bool keep = true;
        if (cond && !want_bool(e, cond->where, eval_expr(e, inner, cond), "the condition", &keep)) {
            return value_poison();
        }
        if (keep) {
            value v = eval_expr(e, inner, item);
            if (v.kind == V_POISON) {
                return v;
            }
            vec_push(e->a, &out, v);
        }
    }
    return value_list(e, V_LIST, out.len, out.at);
}

static value eval_if(elab *e, scope *s, const ast *t)
{
    value cond = eval_expr(e, s, t->kids[1]);
    if (is_tensor(&cond)) {
        elab_error(e, t->kids[1]->where, "the condition of 'if' must be known while compiling");
        diag_help(e->d, "to choose between tensors' elements write where(condition, a, b)");
        return value_poison();
    }
    bool b;
    if (!want_bool(e, t->kids[1]->where, cond, "the condition", &b)) {
        return value_poison();
    }
    return eval_expr(e, s, t->kids[b ? 0 : 2]);
}

/* lo..hi by step: the numbers themselves. */
static value stepped_range(elab *e, scope *s, const ast *t, int64_t lo, int64_t hi)
{
    enum { MOST = 1000000 };
    const ast *by = t->kids[2];
    int64_t step;
    if (!want_int(e, by->where, eval_expr(e, s, by), "the step", &step)) {
        return value_poison();
    }
    if (step == 0) {
        return elab_error(e, by->where, "the step of a range must not be 0");
    }
    VEC(value) out = {0};
    for (int64_t i = lo; step > 0 ? i < hi : i > hi;) {
        if (out.len == MOST) {
            return elab_error(e, t->where, "this range has more than %d numbers", MOST);
        }
        vec_push(e->a, &out, value_int(i));
        if (__builtin_add_overflow(i, step, &i)) {
            break;
        }
    }
    return value_list(e, V_LIST, out.len, out.at);
}

static value eval_range(elab *e, scope *s, const ast *t)
{
    value lo = eval_expr(e, s, t->kids[0]), hi = eval_expr(e, s, t->kids[1]);
    value v = {.kind = V_RANGE};
    if (!want_int(e, t->kids[0]->where, lo, "the range's beginning", &v.range.lo) ||
        !want_int(e, t->kids[1]->where, hi, "the range's end", &v.range.hi)) {
        if (lo.kind == V_DIM || hi.kind == V_DIM) {
            diag_help(e->d, "a loop over run-time values is written 'loop t in %s carry ... { }'",
                      source_text(e, t));
        }
        return value_poison();
    }
    return t->kids[2] ? stepped_range(e, s, t, v.range.lo, v.range.hi) : v;
}

/* Calls -------------------------------------------------------------------------------------------
 */

value eval_call(elab *e, scope *s, const ast *t)
{
    value f = eval_expr(e, s, t->kids[0]);
    call c = {.e = e, .where = t->where};
    value *args = arena_array(e->a, value, t->n), *values = arena_array(e->a, value, t->n);
    span *places = arena_array(e->a, span, t->n), *keyword_places = arena_array(e->a, span, t->n);
    const char **keywords = arena_array(e->a, const char *, t->n);
    bool poisoned = f.kind == V_POISON;
    for (uint32_t i = 1; i < t->n; i++) {
        const ast *k = t->kids[i];
        if (k->kind == AST_KEYWORD) {
            keywords[c.n_keywords] = k->text;
            keyword_places[c.n_keywords] = k->name_where;
            values[c.n_keywords] = eval_expr(e, s, k->kids[0]);
            poisoned |= values[c.n_keywords++].kind == V_POISON;
            continue;
        }
        if (c.n_keywords) {
            return elab_error(e, k->where,
                              "an argument without a name comes after one with a name");
        }
        places[c.n_args] = k->where;
        args[c.n_args] = eval_expr(e, s, k);
        poisoned |= args[c.n_args++].kind == V_POISON;
    }
    if (poisoned) {
        return value_poison();
    }
    c.args = args;
    c.arg_places = places;
    c.keywords = keywords;
    c.keyword_values = values;
    c.keyword_places = keyword_places;
    if (f.kind == V_CLASS) {
        value *count = scope_find(s, intern(e->names, "%count"));
        value *name = NULL;
        for (scope *k = s; k && !name; k = k->outer) {
            name = scope_find(k, intern(e->names, "%path"));
        }
        const reference *self = NULL;
        for (scope *k = s; k && !self; k = k->outer) {
            self = k->self;
        }
        if (!name || !self) {
            elab_error(e, t->where, "modules are made in the body of a module or model, not here");
            diag_help(e->d, "declare it as a member, 'name = %s', and use it here by its name",
                      source_text(e, t));
            return value_poison();
        }
        return instantiate(&c, f.code.decl, f.code.scope, name->s, self, count ? count->i : -1);
    }
    return call_value(e, t->where, f, &c);
}

static value evaluate(elab *e, scope *s, const ast *t)
{
    switch (t->kind) {
    case AST_NAME:
        return eval_name(e, s, t);
    case AST_INT:
        return value_int(t->i);
    case AST_FLOAT:
        return value_float(t->f);
    case AST_STR:
        return value_str(t->text);
    case AST_BOOL:
        return value_bool(t->i != 0);
    case AST_NONE:
        return value_none();
    case AST_ELLIPSIS:
        return (value){.kind = V_ELLIPSIS};
    case AST_UNARY:
        return eval_unary(e, s, t);
    case AST_BINARY: {
        value x = eval_expr(e, s, t->kids[0]);
        bool and_ = strcmp(t->text, "and") == 0, or_ = strcmp(t->text, "or") == 0;
        if (x.kind == V_BOOL && ((and_ && !x.b) || (or_ && x.b))) {
            return x;
        }
        return eval_binary(e, t->where, t->text, x, eval_expr(e, s, t->kids[1]));
    }
    case AST_IF_EXPR:
        return eval_if(e, s, t);
    case AST_CALL: {
        value v = eval_call(e, s, t);
        if (v.kind == V_NONE && v.name) { /* of a function without a return */
            elab_error(e, t->where, "'%s' does not return anything", v.name);
            diag_note(e->d, v.where, "it is declared here");
            return value_poison();
        }
        return v;
    }
    case AST_INDEX:
        return eval_index(e, s, t);
    case AST_FIELD:
        return eval_field(e, s, t);
    case AST_LIST:
        return eval_items(e, s, t, V_LIST);
    case AST_TUPLE:
        return eval_items(e, s, t, V_TUPLE);
    case AST_COMPREHENSION:
        return eval_comprehension(e, s, t);
    case AST_RANGE:
        return eval_range(e, s, t);
    case AST_REDUCTION:
        elab_error(e, t->where, "%s{...} is index notation: it stands in the body of an op only",
                   t->text);
        diag_help(e->d, "over an axis of a tensor: %s(x, axis = -1)", t->text);
        return value_poison();
    case AST_ERROR:
        return value_poison();
    default:
        return elab_error(e, t->where, "an expression cannot stand here");
    }
}

value eval_expr(elab *e, scope *s, const ast *t)
{
    if (e->stopped) {
        return value_poison();
    }
    const ast *now = e->now;
    scope *now_scope = e->now_scope;
    e->now = t;
    e->now_scope = s;
    value v = evaluate(e, s, t);
    e->now = now;
    e->now_scope = now_scope;
    return v;
}
