/* Expressions of the kernel IR: made simplified, equal ones made once. */
#include "backend/lower.h"

#include <math.h>
#include <string.h>

static uint64_t hash_expr(const k_expr *e)
{
    uint64_t h = hash_combine((uint64_t)e->kind, (uint64_t)e->dtype);
    for (uint32_t i = 0; i < e->n; i++) {
        h = hash_combine(h, e->args[i]->id);
    }
    h = hash_combine(h, (uint64_t)e->op);
    h = hash_combine(h, hash_bytes(&e->f, sizeof e->f));
    h = hash_combine(h, (uint64_t)e->i);
    h = hash_combine(h, map_key(e->axis));
    h = hash_combine(h, map_key(e->dim));
    h = hash_combine(h, map_key(e->buf));
    h = hash_combine(h, map_key(e->guard));
    return hash_combine(h, e->reduced);
}

static bool same_expr(const k_expr *a, const k_expr *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->n == b->n && a->op == b->op &&
           memcmp(&a->f, &b->f, sizeof a->f) == 0 && a->i == b->i && a->axis == b->axis &&
           a->dim == b->dim && a->buf == b->buf && a->guard == b->guard &&
           a->fallback == b->fallback && a->reduced == b->reduced && a->mode == b->mode &&
           a->lo == b->lo && a->hi == b->hi &&
           (a->n == 0 || memcmp(a->args, b->args, a->n * sizeof *a->args) == 0);
}

typedef struct chain {
    const k_expr *e;
    struct chain *next;
} chain;

static const k_expr *add_expr(lower *l, k_expr e, const k_expr *const *args)
{
    e.args = args;
    uint64_t h = hash_expr(&e);
    chain *first = map_get(l->exprs, h);
    for (chain *c = first; c; c = c->next) {
        if (same_expr(c->e, &e)) {
            return c->e;
        }
    }
    if (e.n) {
        e.args = arena_copy(l->a, args, e.n * sizeof *args);
    }
    e.id = l->n_exprs++;
    k_expr *kept = arena_copy(l->a, &e, sizeof e);
    chain *link = arena_new(l->a, chain);
    *link = (chain){kept, first};
    map_set(l->exprs, h, link);
    return kept;
}

const k_expr *lower_const_f(lower *l, ir_dtype t, double value)
{
    if (!ir_dtype_is_float(t)) {
        return lower_const_i(l, t, (int64_t)value);
    }
    return add_expr(l, (k_expr){.kind = K_CONST_F, .dtype = t, .f = value}, NULL);
}

const k_expr *lower_const_i(lower *l, ir_dtype t, int64_t value)
{
    if (ir_dtype_is_float(t)) {
        return lower_const_f(l, t, (double)value);
    }
    return add_expr(l, (k_expr){.kind = K_CONST_I, .dtype = t, .i = value}, NULL);
}

static bool is_int(const k_expr *e, int64_t value)
{
    return e->kind == K_CONST_I && e->i == value;
}

/* x + 0, x * 1, 0 * x and two constants, for the integers of index arithmetic; x * 1.0 too. */
static const k_expr *simplified(lower *l, ir_op op, const k_expr *x, const k_expr *y)
{
    bool integers = x->dtype == IR_i64 && y->dtype == IR_i64;
    if (integers && x->kind == K_CONST_I && y->kind == K_CONST_I && !ir_op_has(op, IR_TO_BOOL) &&
        ir_op_has(op, IR_NUMERIC)) {
        return lower_const_i(l, IR_i64, ir_op_eval_i64(op, x->i, y->i));
    }
    if (op == IR_OP_add && integers) {
        return is_int(x, 0) ? y : is_int(y, 0) ? x : NULL;
    }
    if (op == IR_OP_sub && integers) {
        return is_int(y, 0) ? x : NULL;
    }
    if (op == IR_OP_mul && integers) {
        return is_int(x, 1) || is_int(y, 0) ? y : is_int(y, 1) || is_int(x, 0) ? x : NULL;
    }
    if ((op == IR_OP_mul || op == IR_OP_div) && y->kind == K_CONST_F && y->f == 1) {
        return x;
    }
    return NULL;
}

const k_expr *lower_op(lower *l, ir_op op, ir_dtype t, uint32_t n, const k_expr *const *args)
{
    const k_expr *simple = n == 2 ? simplified(l, op, args[0], args[1]) : NULL;
    return simple ? simple
                  : add_expr(l, (k_expr){.kind = K_OP, .dtype = t, .op = op, .n = n}, args);
}

const k_expr *lower_unary(lower *l, ir_op op, const k_expr *x)
{
    return lower_op(l, op, ir_op_has(op, IR_TO_BOOL) ? IR_bool : x->dtype, 1, &x);
}

const k_expr *lower_binary(lower *l, ir_op op, const k_expr *x, const k_expr *y)
{
    const k_expr *args[2] = {x, y};
    return lower_op(l, op, ir_op_has(op, IR_TO_BOOL) ? IR_bool : x->dtype, 2, args);
}

const k_expr *lower_select(lower *l, const k_expr *cond, const k_expr *x, const k_expr *y)
{
    if (!cond || is_int(cond, 1) || x == y) {
        return x;
    }
    if (is_int(cond, 0)) {
        return y;
    }
    const k_expr *args[3] = {cond, x, y};
    return add_expr(l, (k_expr){.kind = K_SELECT, .dtype = x->dtype, .n = 3}, args);
}

const k_expr *lower_cast(lower *l, const k_expr *x, ir_dtype t)
{
    if (x->dtype == t) {
        return x;
    }
    if (x->kind == K_CONST_I && t != IR_bool && ir_dtype_is_float(t)) {
        return lower_const_f(l, t, (double)x->i);
    }
    if (x->kind == K_CONST_F && (t == IR_f64 || t == IR_f32)) {
        return lower_const_f(l, t, t == IR_f32 ? (double)(float)x->f : x->f);
    }
    return add_expr(l, (k_expr){.kind = K_CAST, .dtype = t, .n = 1}, &x);
}

const k_expr *lower_load(lower *l, const k_buf *b, const ir_dim *offset, const k_expr *guard)
{
    const k_expr *fallback = guard ? lower_const_i(l, b->dtype, 0) : NULL;
    const k_expr *at = lower_index(l, offset);
    return add_expr(l,
                    (k_expr){.kind = K_LOAD,
                             .dtype = b->dtype,
                             .n = 1,
                             .buf = b,
                             .guard = guard,
                             .fallback = fallback},
                    &at);
}

const k_expr *lower_reduced(lower *l, uint32_t step, ir_dtype t)
{
    return add_expr(l, (k_expr){.kind = K_REDUCED, .dtype = t, .reduced = step}, NULL);
}

const k_expr *lower_hole(lower *l, ir_dtype t)
{
    return add_expr(l, (k_expr){.kind = K_HOLE, .dtype = t}, NULL);
}

const k_expr *lower_random(lower *l, const ir_node *n, const ir_dim *element)
{
    const ir_attr *turns = ir_node_attr(n, IR_ATTR_turns);
    const ir_attr *bounds = ir_node_attr(n, IR_ATTR_bounds);
    uint32_t n_args = 1 + (turns ? turns->n : 0);
    const k_expr **args = arena_array(l->a, const k_expr *, n_args);
    args[0] = lower_index(l, element);
    for (uint32_t i = 1; i < n_args; i++) {
        args[i] = lower_index(l, turns->dims[i - 1]);
    }
    return add_expr(l,
                    (k_expr){.kind = K_RANDOM,
                             .dtype = ir_node_type(n)->dtype,
                             .n = n_args,
                             .i = ir_node_int(n, IR_ATTR_stream, 0),
                             .mode = ir_node_str(n, IR_ATTR_mode),
                             .lo = bounds ? bounds->ints[0] : 0,
                             .hi = bounds ? bounds->ints[1] : 0},
                    args);
}

const k_expr *lower_and(lower *l, const k_expr *x, const k_expr *y)
{
    if (!x || x == y) {
        return y;
    }
    return y ? lower_binary(l, IR_OP_and, x, y) : x;
}

/* Indices -------------------------------------------------------------------------------------- */

static bool is_variable(const lower *l, const ir_atom *atom);

static bool has_variable(const lower *l, const ir_dim *d)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            if (is_variable(l, d->terms[i].factors[j].atom)) {
                return true;
            }
        }
    }
    return false;
}

/* Does it change within the kernel, as axes and loaded indices do and sizes do not? */
static bool is_variable(const lower *l, const ir_atom *atom)
{
    return atom->kind == IR_ATOM_SYM ? map_has(l->variables, map_key(atom->sym))
                                     : has_variable(l, atom->a) || has_variable(l, atom->b);
}

static const k_expr *atom_value(lower *l, const ir_atom *atom)
{
    if (atom->kind == IR_ATOM_SYM) {
        return map_get(l->variables, map_key(atom->sym));
    }
    static const ir_op ops[] = {
        [IR_ATOM_FLOORDIV] = IR_OP_floor_div,
        [IR_ATOM_MOD] = IR_OP_mod,
        [IR_ATOM_MIN] = IR_OP_min,
        [IR_ATOM_MAX] = IR_OP_max,
    };
    const k_expr *x = lower_index(l, atom->a);
    const k_expr *y = lower_index(l, atom->b);
    return lower_binary(l, ops[atom->kind], x, y);
}

static const k_expr *size_value(lower *l, const ir_dim *d)
{
    return ir_dim_is_const(d)
               ? lower_const_i(l, IR_i64, ir_dim_value(d))
               : add_expr(l, (k_expr){.kind = K_DIM, .dtype = IR_i64, .dim = d}, NULL);
}

/* A term split into the product of its variables and a size that multiplies it. */
typedef struct product {
    const k_expr *variables; /* NULL: none */
    const ir_dim *size;
} product;

static product split_term(lower *l, const ir_term *t)
{
    product p = {NULL, ir_dim_const(l->c, t->coef)};
    for (uint32_t i = 0; i < t->n_factors; i++) {
        const ir_atom *atom = t->factors[i].atom;
        bool variable = is_variable(l, atom);
        for (uint32_t k = 0; k < t->factors[i].power; k++) {
            if (variable) {
                const k_expr *v = atom_value(l, atom);
                p.variables = p.variables ? lower_binary(l, IR_OP_mul, p.variables, v) : v;
                continue;
            }
            const ir_dim *size;
            if (atom->kind == IR_ATOM_SYM) {
                size = ir_dim_sym(l->c, atom->sym);
            } else if (atom->kind == IR_ATOM_FLOORDIV) {
                size = ir_dim_floordiv(l->c, atom->a, atom->b);
            } else if (atom->kind == IR_ATOM_MOD) {
                size = ir_dim_mod(l->c, atom->a, atom->b);
            } else if (atom->kind == IR_ATOM_MIN) {
                size = ir_dim_min(l->c, atom->a, atom->b);
            } else {
                size = ir_dim_max(l->c, atom->a, atom->b);
            }
            p.size = ir_dim_mul(l->c, p.size, size);
        }
    }
    return p;
}

/* The sum, each product of variables once with the sum of its sizes: i*(4*T + 3) + T. */
const k_expr *lower_index(lower *l, const ir_dim *d)
{
    if (!has_variable(l, d)) {
        return size_value(l, d);
    }
    product *parts = arena_array(l->a, product, d->n_terms);
    uint32_t n = 0;
    const ir_dim *base = ir_dim_const(l->c, 0);
    for (uint32_t i = 0; i < d->n_terms; i++) {
        product p = split_term(l, &d->terms[i]);
        if (!p.variables) {
            base = ir_dim_add(l->c, base, p.size);
            continue;
        }
        uint32_t at = 0;
        while (at < n && parts[at].variables != p.variables) {
            at++;
        }
        if (at == n) {
            parts[n++] = p;
        } else {
            parts[at].size = ir_dim_add(l->c, parts[at].size, p.size);
        }
    }
    const k_expr *sum = NULL;
    for (uint32_t i = 0; i < n; i++) {
        const k_expr *size = size_value(l, parts[i].size);
        const k_expr *part = lower_binary(l, IR_OP_mul, parts[i].variables, size);
        sum = sum ? lower_binary(l, IR_OP_add, sum, part) : part;
    }
    return lower_binary(l, IR_OP_add, sum, size_value(l, base));
}

const ir_dim *lower_opaque(lower *l, const k_expr *e, const ir_dim *size)
{
    int64_t last = size->hi == INT64_MAX ? INT64_MAX : size->hi - 1;
    const char *name = intern_printf(ir_ctx_names(l->c), "v%u", e->id);
    const ir_sym *s = ir_sym_get(l->c, name, 0, last < 0 ? 0 : last);
    map_set(l->variables, map_key(s), (void *)(uintptr_t)(const void *)e);
    return ir_dim_sym(l->c, s);
}

const k_axis *lower_axis(lower *l, const ir_dim *extent, const ir_dim **index)
{
    k_axis *axis = arena_new(l->a, k_axis);
    const char *name = intern_printf(ir_ctx_names(l->c), "i%u", l->n_axes);
    *axis = (k_axis){name, extent, l->n_axes++};
    int64_t last = extent->hi == INT64_MAX ? INT64_MAX : extent->hi - 1;
    const ir_sym *s = ir_sym_get(l->c, name, 0, last < 0 ? 0 : last);
    const k_expr *e = add_expr(l, (k_expr){.kind = K_AXIS, .dtype = IR_i64, .axis = axis}, NULL);
    map_set(l->variables, map_key(s), (void *)(uintptr_t)(const void *)e);
    *index = ir_dim_sym(l->c, s);
    return axis;
}

/* An axis is less than its extent, also where the extent is a symbol; bounds alone do not say so.
 */
static bool axis_below(const lower *l, const ir_dim *d, const ir_dim *hi)
{
    const ir_sym *s = ir_dim_as_sym(d);
    const k_expr *e = s ? map_get(l->variables, map_key(s)) : NULL;
    return e && e->kind == K_AXIS && e->axis->extent == hi;
}

const k_expr *lower_within(lower *l, const ir_dim *d, const ir_dim *lo, const ir_dim *hi)
{
    const k_expr *above = NULL, *below = NULL;
    if (ir_dim_le(l->c, lo, d) != IR_ALWAYS) {
        above = lower_binary(l, IR_OP_ge, lower_index(l, d), lower_index(l, lo));
    }
    if (!axis_below(l, d, hi) && ir_dim_le(l->c, ir_dim_offset(l->c, d, 1), hi) != IR_ALWAYS) {
        below = lower_binary(l, IR_OP_lt, lower_index(l, d), lower_index(l, hi));
    }
    return lower_and(l, above, below);
}

/* [N / panel][K / 2][panel][2] */
static const ir_dim *place_in_pairs(lower *l, const k_buf *b, const ir_dim *n, const ir_dim *k)
{
    ir_ctx *c = l->c;
    const ir_dim *two = ir_dim_const(c, 2), *panel = ir_dim_const(c, b->panel);
    const ir_dim *depth = b->type->dims[b->pack_transposed ? 0 : 1];
    const ir_dim *pairs = ir_dim_floordiv(c, ir_dim_offset(c, depth, 1), two);
    const ir_dim *row = ir_dim_add(c, ir_dim_mul(c, ir_dim_floordiv(c, n, panel), pairs),
                                   ir_dim_floordiv(c, k, two));
    const ir_dim *column = ir_dim_add(c, ir_dim_mul(c, row, panel), ir_dim_mod(c, n, panel));
    return ir_dim_add(c, ir_dim_mul(c, column, two), ir_dim_mod(c, k, two));
}

/* [N / n][taps][C][n] */
static const ir_dim *place_in_taps(lower *l, const k_buf *b, const ir_dim *const *index)
{
    ir_ctx *c = l->c;
    const ir_type *t = b->type;
    int64_t taps = 1;
    const ir_dim *tap = ir_dim_const(c, 0);
    for (uint32_t i = 2; i < t->rank; i++) {
        taps *= ir_dim_value(t->dims[i]);
        tap = ir_dim_add(c, ir_dim_mul(c, tap, t->dims[i]), index[i]);
    }
    const ir_dim *n = index[b->pack_transposed ? 1 : 0], *k = index[b->pack_transposed ? 0 : 1];
    const ir_dim *width = ir_dim_const(c, b->pack_transposed ? b->panel / taps : b->panel);
    const ir_dim *at = ir_dim_add(c, ir_dim_scale(c, ir_dim_floordiv(c, n, width), taps), tap);
    at = ir_dim_add(c, ir_dim_mul(c, at, t->dims[b->pack_transposed ? 0 : 1]), k);
    return ir_dim_add(c, ir_dim_mul(c, at, width), ir_dim_mod(c, n, width));
}

const k_expr *lower_load_packed(lower *l, const k_buf *b, const ir_dim *const *index,
                                const k_expr *guard)
{
    const ir_dim *matrix[2] = {index[0], ir_dim_const(l->c, 0)},
                 *sizes[2] = {b->type->dims[0], ir_dim_const(l->c, 1)};
    for (uint32_t i = 1; i < b->type->rank; i++) { /* all axes but the first are one */
        sizes[1] = ir_dim_mul(l->c, sizes[1], b->type->dims[i]);
        matrix[1] = ir_dim_add(l->c, ir_dim_mul(l->c, matrix[1], b->type->dims[i]), index[i]);
    }
    const ir_dim *n = matrix[b->pack_transposed ? 1 : 0], *k = matrix[b->pack_transposed ? 0 : 1];
    const ir_dim *depth = sizes[b->pack_transposed ? 0 : 1], *panel = ir_dim_const(l->c, b->panel);
    bool blocks = !ir_storage_is_dense(b->storage); /* the place in the matrix: decode finds it */
    const ir_dim *row =
        ir_dim_add(l->c, ir_dim_mul(l->c, ir_dim_floordiv(l->c, n, panel), depth), k);
    const ir_dim *offset =
        ir_dim_add(l->c, ir_dim_mul(l->c, row, panel), ir_dim_mod(l->c, n, panel));
    if (k_buf_in_pairs(b)) {
        offset = place_in_pairs(l, b, n, k);
    } else if (k_buf_in_taps(b)) {
        offset = place_in_taps(l, b, index);
    }
    offset = blocks ? ir_dim_add(l->c, ir_dim_mul(l->c, n, depth), k) : offset;
    const k_expr *args[2] = {lower_index(l, offset), lower_index(l, n)};
    const k_expr *fallback = guard ? lower_const_i(l, b->dtype, 0) : NULL;
    return add_expr(l,
                    (k_expr){.kind = K_LOAD,
                             .dtype = b->dtype,
                             .n = 2,
                             .buf = b,
                             .guard = guard,
                             .fallback = fallback},
                    args);
}

const ir_dim *lower_linear(lower *l, const ir_type *t, const ir_dim *const *index)
{
    const ir_dim *at = ir_dim_const(l->c, 0);
    for (uint32_t i = 0; i < t->rank; i++) {
        at = ir_dim_add(l->c, ir_dim_mul(l->c, at, t->dims[i]), index[i]);
    }
    return at;
}
