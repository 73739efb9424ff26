/* Bounds of dims, and what follows from them. */
#include "ir/dim_impl.h"

/* Intervals ------------------------------------------------------------------------------------
 */

ir_range ir_range_add(ir_range x, ir_range y)
{
    ir_range r;
    if (x.lo == INT64_MIN || y.lo == INT64_MIN || __builtin_add_overflow(x.lo, y.lo, &r.lo)) {
        r.lo = INT64_MIN;
    }
    if (x.hi == INT64_MAX || y.hi == INT64_MAX || __builtin_add_overflow(x.hi, y.hi, &r.hi)) {
        r.hi = INT64_MAX;
    }
    return r;
}

static int64_t bound_mul(int64_t x, int64_t y)
{
    bool inf = x == INT64_MIN || x == INT64_MAX || y == INT64_MIN || y == INT64_MAX;
    int64_t r;
    if (x == 0 || y == 0) {
        return 0;
    }
    if (inf || __builtin_mul_overflow(x, y, &r)) {
        return (x < 0) != (y < 0) ? INT64_MIN : INT64_MAX;
    }
    return r;
}

ir_range ir_range_mul(ir_range x, ir_range y)
{
    int64_t p[4] = {bound_mul(x.lo, y.lo), bound_mul(x.lo, y.hi), bound_mul(x.hi, y.lo),
                    bound_mul(x.hi, y.hi)};
    ir_range r = {p[0], p[0]};
    for (int i = 1; i < 4; i++) {
        r.lo = p[i] < r.lo ? p[i] : r.lo;
        r.hi = p[i] > r.hi ? p[i] : r.hi;
    }
    return r;
}

int64_t ir_floor_divide(int64_t x, int64_t y)
{
    int64_t q = x / y;
    return q - (x % y != 0 && (x < 0) != (y < 0));
}

static int64_t bound_div(int64_t x, int64_t y)
{
    return x == INT64_MIN || x == INT64_MAX ? x
           : y == INT64_MAX                 ? (x < 0 ? -1 : 0)
                                            : ir_floor_divide(x, y);
}

static int64_t least(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static int64_t most(int64_t x, int64_t y)
{
    return x > y ? x : y;
}

ir_range ir_atom_range(const ir_atom *t)
{
    if (t->kind == IR_ATOM_SYM) {
        return (ir_range){t->sym->lo, t->sym->hi};
    }
    ir_range x = {t->a->lo, t->a->hi}, y = {t->b->lo, t->b->hi};
    switch (t->kind) {
    case IR_ATOM_FLOORDIV: /* where y <= 0 there is no value */
        y.lo = most(y.lo, 1);
        y.hi = most(y.hi, 1);
        return (ir_range){bound_div(x.lo, x.lo < 0 ? y.lo : y.hi),
                          bound_div(x.hi, x.hi < 0 ? y.hi : y.lo)};
    case IR_ATOM_MOD:
        y.hi = y.hi == INT64_MAX ? y.hi : most(y.hi, 1) - 1;
        return (ir_range){0, x.lo >= 0 ? least(x.hi, y.hi) : y.hi};
    case IR_ATOM_MIN:
        return (ir_range){least(x.lo, y.lo), least(x.hi, y.hi)};
    default:
        return (ir_range){most(x.lo, y.lo), most(x.hi, y.hi)};
    }
}

ir_range ir_term_range(const ir_term *t)
{
    ir_range r = {t->coef, t->coef};
    for (uint32_t j = 0; j < t->n_factors; j++) {
        ir_range one = ir_atom_range(t->factors[j].atom), all = {1, 1};
        for (uint32_t p = 0; p < t->factors[j].power; p++) {
            all = ir_range_mul(all, one);
        }
        if (t->factors[j].power % 2 == 0) {
            all.lo = most(all.lo, 0);
        }
        r = ir_range_mul(r, all);
    }
    return r;
}

/* Proofs ---------------------------------------------------------------------------------------
 */

enum { MOST_DEPTH = 3, MOST_TRIES = 3 };

static ir_proof sign(ir_ctx *c, const ir_dim *d, int depth);

static ir_proof by_value(const ir_dim *d)
{
    return d->overflow ? IR_MAYBE : d->lo >= 0 ? IR_ALWAYS : d->hi < 0 ? IR_NEVER : IR_MAYBE;
}

/* d with `by` in the atom's place, where d = coef * atom + rest. */
static const ir_dim *put(ir_ctx *c, const ir_dim *coef, const ir_dim *rest, const ir_dim *by)
{
    return ir_dim_add(c, ir_dim_mul(c, coef, by), rest);
}

/* The value is one of a and b; it is at most (min) or at least (max) either. */
static ir_proof through_extreme(ir_ctx *c, const ir_atom *t, const ir_dim *coef, const ir_dim *rest,
                                int depth)
{
    ir_proof a = sign(c, put(c, coef, rest, t->a), depth);
    ir_proof b = sign(c, put(c, coef, rest, t->b), depth);
    if (a == b) {
        return a;
    }
    bool least_of_both = t->kind == IR_ATOM_MIN;
    bool d_is_more = least_of_both ? coef->hi <= 0 : coef->lo >= 0; /* than with a or b */
    bool d_is_less = least_of_both ? coef->lo >= 0 : coef->hi <= 0;
    if (d_is_more && (a == IR_ALWAYS || b == IR_ALWAYS)) {
        return IR_ALWAYS;
    }
    return d_is_less && (a == IR_NEVER || b == IR_NEVER) ? IR_NEVER : IR_MAYBE;
}

/* k * floordiv(a, k) is one of a - k + 1 ... a. */
static ir_proof through_floordiv(ir_ctx *c, const ir_atom *t, const ir_dim *coef,
                                 const ir_dim *rest, int depth)
{
    if (!ir_dim_is_const(t->b) || ir_dim_value(t->b) < 1 || (coef->lo < 0 && coef->hi > 0)) {
        return IR_MAYBE;
    }
    int64_t k = ir_dim_value(t->b);
    const ir_dim *scaled = ir_dim_scale(c, rest, k), *low = ir_dim_offset(c, t->a, 1 - k);
    bool grows = coef->lo >= 0;
    const ir_dim *under = put(c, coef, scaled, grows ? low : t->a); /* <= k * d */
    const ir_dim *over = put(c, coef, scaled, grows ? t->a : low);  /* >= k * d */
    /* d >= 0 as soon as k * d > -k, for d is an integer */
    return sign(c, ir_dim_offset(c, under, k - 1), depth) == IR_ALWAYS ? IR_ALWAYS
           : sign(c, over, depth) == IR_NEVER                          ? IR_NEVER
                                                                       : IR_MAYBE;
}

/* mod(a, b) is at most a when a is not negative. */
static ir_proof through_mod(ir_ctx *c, const ir_atom *t, const ir_dim *coef, const ir_dim *rest,
                            int depth)
{
    if (t->a->lo < 0 || (coef->lo < 0 && coef->hi > 0)) {
        return IR_MAYBE;
    }
    ir_proof p = sign(c, put(c, coef, rest, t->a), depth);
    return coef->hi <= 0 ? (p == IR_ALWAYS ? p : IR_MAYBE) : (p == IR_NEVER ? p : IR_MAYBE);
}

static ir_proof through_atom(ir_ctx *c, const ir_dim *d, const ir_atom *t, int depth)
{
    const ir_dim *coef, *rest;
    if (!ir_dim_split_atom(c, d, t, &coef, &rest)) {
        return IR_MAYBE;
    }
    switch (t->kind) {
    case IR_ATOM_MIN:
    case IR_ATOM_MAX:
        return through_extreme(c, t, coef, rest, depth);
    case IR_ATOM_FLOORDIV:
        return through_floordiv(c, t, coef, rest, depth);
    case IR_ATOM_MOD:
        return through_mod(c, t, coef, rest, depth);
    default:
        return IR_MAYBE;
    }
}

static ir_proof sign(ir_ctx *c, const ir_dim *d, int depth)
{
    ir_proof p = by_value(d);
    uint32_t tries = 0;
    if (p != IR_MAYBE || d->overflow || depth == 0) {
        return p;
    }
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            if (t->kind == IR_ATOM_SYM || tries++ >= MOST_TRIES) {
                continue;
            }
            p = through_atom(c, d, t, depth - 1);
            if (p != IR_MAYBE) {
                return p;
            }
        }
    }
    return IR_MAYBE;
}

ir_proof ir_dim_sign(ir_ctx *c, const ir_dim *d)
{
    ir_proof p = by_value(d);
    if (p != IR_MAYBE || d->overflow) {
        return p;
    }
    static const char answers[3];
    const char *known = map_get(c->signs, map_key(d));
    if (!known) {
        known = &answers[sign(c, d, MOST_DEPTH)];
        map_set(c->signs, map_key(d), (void *)(uintptr_t)known);
    }
    return (ir_proof)(known - answers);
}

ir_proof ir_dim_le(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return ir_dim_sign(c, ir_dim_sub(c, b, a));
}

/* All terms but the constant are multiples of g, the constant is not: 2*T is never 3. */
static bool never_zero_modulo(const ir_dim *d)
{
    uint64_t g = 0;
    int64_t constant = 0;
    for (uint32_t i = 0; i < d->n_terms; i++) {
        int64_t k = d->terms[i].coef;
        uint64_t x = k < 0 ? 0 - (uint64_t)k : (uint64_t)k;
        if (d->terms[i].n_factors == 0) {
            constant = k;
            continue;
        }
        while (x) {
            uint64_t y = g % x;
            g = x;
            x = y;
        }
    }
    return g > 1 && g <= INT64_MAX && constant % (int64_t)g != 0;
}

ir_proof ir_dim_equal(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a == b) {
        return a->overflow ? IR_MAYBE : IR_ALWAYS;
    }
    const ir_dim *d = ir_dim_sub(c, a, b);
    if (d->overflow) {
        return IR_MAYBE;
    }
    const ir_dim *minus = ir_dim_scale(c, d, -1);
    ir_proof p = ir_dim_sign(c, d), q = ir_dim_sign(c, minus);
    if (p == IR_NEVER || q == IR_NEVER || never_zero_modulo(d)) {
        return IR_NEVER;
    }
    return p == IR_ALWAYS && q == IR_ALWAYS ? IR_ALWAYS : IR_MAYBE;
}
