/* Division of dims, exact and rounded down; remainders; the lesser and the greater of two. */
#include "ir/dim_impl.h"
#include "support/divisor.h"

/* x / y as a term, when y divides it. */
static bool divide_term(ir_term x, ir_term y, ir_term *out, ir_factor *room)
{
    bool overflows = y.coef == -1 && x.coef == INT64_MIN;
    if (y.coef == 0 || overflows || x.coef % y.coef != 0) {
        return false;
    }
    out->coef = x.coef / y.coef;
    uint32_t n = 0, j = 0;
    for (uint32_t i = 0; i < x.n_factors; i++) {
        ir_factor f = x.factors[i];
        if (j < y.n_factors && y.factors[j].atom == f.atom) {
            if (y.factors[j].power > f.power) {
                return false;
            }
            f.power -= y.factors[j++].power;
        }
        if (f.power) {
            room[n++] = f;
        }
    }
    out->n_factors = n;
    out->factors = room;
    return j == y.n_factors;
}

const ir_dim *ir_dim_div_exact(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow || b->n_terms == 0) {
        return NULL;
    }
    if (a == b) {
        return ir_dim_const(c, 1);
    }
    /* Long division by the leading term. */
    const ir_dim *rest = a, *quotient = ir_dim_const(c, 0);
    for (uint32_t turn = 0; rest->n_terms && turn < IR_DIM_MOST_TERMS; turn++) {
        ir_factor room[IR_DIM_MOST_FACTORS];
        ir_term t;
        if (!divide_term(rest->terms[0], b->terms[0], &t, room)) {
            return NULL;
        }
        const ir_dim *part = ir_dim_of_terms(c, &t, 1);
        quotient = ir_dim_add(c, quotient, part);
        rest = ir_dim_sub(c, rest, ir_dim_mul(c, part, b));
        if (rest->overflow || quotient->overflow) {
            return NULL;
        }
    }
    return rest->n_terms == 0 ? quotient : NULL;
}

/* a = b * whole + rest, where whole takes as much as can be told term by term; for a constant b the
 * rest's constant is in [0, b). */
static const ir_dim *divisible_part(ir_ctx *c, const ir_dim *a, const ir_dim *b,
                                    const ir_dim **rest)
{
    const ir_dim *whole = ir_dim_const(c, 0);
    *rest = a;
    if (b->n_terms != 1 || b->terms[0].coef < 1) {
        return whole;
    }
    for (uint32_t i = 0; i < a->n_terms; i++) {
        ir_factor room[IR_DIM_MOST_FACTORS];
        ir_term t = a->terms[i];
        if (ir_dim_is_const(b)) {
            int64_t k = ir_dim_value(b);
            t.coef = t.n_factors ? t.coef / k : ir_floor_divide(t.coef, k);
        } else if (!divide_term(a->terms[i], b->terms[0], &t, room)) {
            continue;
        }
        if (t.coef != 0) {
            whole = ir_dim_add(c, whole, ir_dim_of_terms(c, &t, 1));
        }
    }
    *rest = ir_dim_sub(c, a, ir_dim_mul(c, whole, b));
    return whole;
}

static bool within(ir_ctx *c, const ir_dim *d, const ir_dim *size)
{
    return ir_dim_le(c, ir_dim_const(c, 0), d) == IR_ALWAYS &&
           ir_dim_le(c, ir_dim_offset(c, d, 1), size) == IR_ALWAYS;
}

static int64_t size_of(int64_t x)
{
    return x < 0 ? -x : x;
}

/* A factor > 1 of the constant b and of all of a's terms but the constant; else 1. The coefficients
 * of a are less than b, so that no sign overflows. */
static int64_t common_factor(const ir_dim *a, const ir_dim *b)
{
    int64_t g = ir_dim_is_const(b) ? ir_dim_value(b) : 1;
    for (uint32_t i = 0; i < a->n_terms; i++) {
        g = a->terms[i].n_factors ? common_divisor(g, size_of(a->terms[i].coef)) : g;
    }
    return g;
}

static int64_t constant_of(const ir_dim *d)
{
    const ir_term *last = d->n_terms ? &d->terms[d->n_terms - 1] : NULL;
    return last && last->n_factors == 0 ? last->coef : 0;
}

/* floordiv(x, m) + r over k, with constant m: floordiv(x + r*m, m*k). */
static bool nested(ir_ctx *c, const ir_dim *a, const ir_dim *b, const ir_dim **x, const ir_dim **by)
{
    int64_t r = constant_of(a);
    const ir_dim *core = ir_dim_offset(c, a, -r);
    bool one = core->n_terms == 1 && core->terms[0].coef == 1 && core->terms[0].n_factors == 1 &&
               core->terms[0].factors[0].power == 1;
    const ir_atom *t = one ? core->terms[0].factors[0].atom : NULL;
    if (!t || t->kind != IR_ATOM_FLOORDIV || !ir_dim_is_const(t->b) || !ir_dim_is_const(b)) {
        return false;
    }
    *x = ir_dim_add(c, t->a, ir_dim_scale(c, t->b, r));
    *by = ir_dim_mul(c, t->b, b);
    return !(*x)->overflow && !(*by)->overflow;
}

/* a has no part that b divides. */
static const ir_dim *floordiv_rest(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    const ir_dim *x, *by;
    ir_atom t = {.kind = IR_ATOM_FLOORDIV, .a = a, .b = b};
    ir_range r = ir_atom_range(&t);
    if (r.lo == r.hi) {
        return ir_dim_const(c, r.lo);
    }
    if (within(c, a, b)) {
        return ir_dim_const(c, 0);
    }
    int64_t g = common_factor(a, b);
    if (g > 1) { /* what is left of the constant is less than g and changes nothing */
        const ir_dim *k = ir_dim_const(c, g);
        int64_t left = constant_of(a) - ir_floor_divide(constant_of(a), g) * g;
        return ir_dim_floordiv(c, ir_dim_div_exact(c, ir_dim_offset(c, a, -left), k),
                               ir_dim_div_exact(c, b, k));
    }
    if (nested(c, a, b, &x, &by)) {
        return ir_dim_floordiv(c, x, by);
    }
    return ir_dim_of_atom(c, t);
}

const ir_dim *ir_dim_floordiv(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow || b->hi < 1) {
        return ir_dim_overflow(c);
    }
    const ir_dim *exact = ir_dim_div_exact(c, a, b);
    if (exact) {
        return exact;
    }
    const ir_dim *rest;
    const ir_dim *whole = divisible_part(c, a, b, &rest);
    if (rest->overflow || whole->overflow) {
        return ir_dim_overflow(c);
    }
    return ir_dim_add(c, whole, floordiv_rest(c, rest, b));
}

const ir_dim *ir_dim_ceildiv(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return ir_dim_floordiv(c, ir_dim_offset(c, ir_dim_add(c, a, b), -1), b);
}

const ir_dim *ir_dim_mod(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow || b->hi < 1) {
        return ir_dim_overflow(c);
    }
    const ir_dim *rest;
    if (ir_dim_div_exact(c, a, b)) {
        return ir_dim_const(c, 0);
    }
    divisible_part(c, a, b, &rest);
    if (rest->overflow) {
        return ir_dim_overflow(c);
    }
    const ir_dim *times = floordiv_rest(c, rest, b);
    if (ir_dim_is_const(times)) {
        return ir_dim_sub(c, rest, ir_dim_mul(c, times, b));
    }
    int64_t g = common_factor(rest, b);
    if (g > 1) { /* mod(g*x + r, g*k) with r < g is g*mod(x, k) + r */
        const ir_dim *k = ir_dim_const(c, g);
        int64_t left = constant_of(rest) - ir_floor_divide(constant_of(rest), g) * g;
        const ir_dim *m = ir_dim_mod(c, ir_dim_div_exact(c, ir_dim_offset(c, rest, -left), k),
                                     ir_dim_div_exact(c, b, k));
        return ir_dim_offset(c, ir_dim_scale(c, m, g), left);
    }
    return ir_dim_of_atom(c, (ir_atom){.kind = IR_ATOM_MOD, .a = rest, .b = b});
}

static const ir_dim *extreme(ir_ctx *c, ir_atom_kind kind, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow) {
        return ir_dim_overflow(c);
    }
    if (ir_dim_le(c, a, b) == IR_ALWAYS) {
        return kind == IR_ATOM_MIN ? a : b;
    }
    if (ir_dim_le(c, b, a) == IR_ALWAYS) {
        return kind == IR_ATOM_MIN ? b : a;
    }
    bool swap = ir_dim_compare(a, b) > 0;
    return ir_dim_of_atom(c, (ir_atom){.kind = kind, .a = swap ? b : a, .b = swap ? a : b});
}

const ir_dim *ir_dim_min(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return extreme(c, IR_ATOM_MIN, a, b);
}

const ir_dim *ir_dim_max(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return extreme(c, IR_ATOM_MAX, a, b);
}
