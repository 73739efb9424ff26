/* Questions asked of dims; replacing symbols; values. */
#include "ir/dim_impl.h"

#include <string.h>

bool ir_dim_is_const(const ir_dim *d)
{
    return !d->overflow && (d->n_terms == 0 || (d->n_terms == 1 && d->terms[0].n_factors == 0));
}

int64_t ir_dim_value(const ir_dim *d)
{
    return d->n_terms ? d->terms[0].coef : 0;
}

bool ir_dim_is_value(const ir_dim *d, int64_t value)
{
    return ir_dim_is_const(d) && ir_dim_value(d) == value;
}

const ir_sym *ir_dim_as_sym(const ir_dim *d)
{
    bool one = d->n_terms == 1 && d->terms[0].coef == 1 && d->terms[0].n_factors == 1 &&
               d->terms[0].factors[0].power == 1;
    return one ? d->terms[0].factors[0].atom->sym : NULL;
}

bool ir_dim_any_symbol(const ir_dim *d, ir_dim_look is_it, void *data)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            bool found = t->kind == IR_ATOM_SYM ? is_it(data, t->sym)
                                                : ir_dim_any_symbol(t->a, is_it, data) ||
                                                      ir_dim_any_symbol(t->b, is_it, data);
            if (found) {
                return true;
            }
        }
    }
    return false;
}

typedef struct only {
    ir_dim_look is_it;
    void *data;
    const ir_sym *found;
} only;

static bool is_another(void *data, const ir_sym *s)
{
    only *o = data;
    if (s == o->found || !o->is_it(o->data, s)) {
        return false;
    }
    bool another = o->found != NULL;
    o->found = s;
    return another;
}

const ir_sym *ir_dim_only_symbol(const ir_dim *d, ir_dim_look is_it, void *data)
{
    only o = {is_it, data, NULL};
    return ir_dim_any_symbol(d, is_another, &o) ? NULL : o.found;
}

static bool is_symbol(void *data, const ir_sym *s)
{
    return s == (const ir_sym *)data;
}

bool ir_dim_uses(const ir_dim *d, const ir_sym *s)
{
    return ir_dim_any_symbol(d, is_symbol, (void *)(uintptr_t)(const void *)s);
}

/* Replacing ------------------------------------------------------------------------------------
 */

static const ir_dim *atom_value(ir_ctx *c, const ir_atom *t, const ir_sym *s, const ir_dim *by)
{
    if (t->kind == IR_ATOM_SYM) {
        return t->sym == s ? by : ir_dim_sym(c, t->sym);
    }
    const ir_dim *a = ir_dim_subst(c, t->a, s, by);
    const ir_dim *b = ir_dim_subst(c, t->b, s, by);
    switch (t->kind) {
    case IR_ATOM_FLOORDIV:
        return ir_dim_floordiv(c, a, b);
    case IR_ATOM_MOD:
        return ir_dim_mod(c, a, b);
    case IR_ATOM_MIN:
        return ir_dim_min(c, a, b);
    default:
        return ir_dim_max(c, a, b);
    }
}

const ir_dim *ir_dim_subst(ir_ctx *c, const ir_dim *d, const ir_sym *s, const ir_dim *by)
{
    if (!ir_dim_uses(d, s)) {
        return d;
    }
    const ir_dim *sum = ir_dim_const(c, 0);
    for (uint32_t i = 0; i < d->n_terms; i++) {
        const ir_dim *p = ir_dim_const(c, d->terms[i].coef);
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_dim *v = atom_value(c, d->terms[i].factors[j].atom, s, by);
            for (uint32_t k = 0; k < d->terms[i].factors[j].power; k++) {
                p = ir_dim_mul(c, p, v);
            }
        }
        sum = ir_dim_add(c, sum, p);
    }
    return sum;
}

bool ir_dim_split_atom(ir_ctx *c, const ir_dim *d, const ir_atom *atom, const ir_dim **coef,
                       const ir_dim **rest)
{
    *coef = *rest = ir_dim_const(c, 0);
    for (uint32_t i = 0; i < d->n_terms; i++) {
        ir_term t = d->terms[i];
        ir_factor others[IR_DIM_MOST_FACTORS];
        uint32_t n = 0;
        for (uint32_t j = 0; j < t.n_factors; j++) {
            if (t.factors[j].atom != atom) {
                others[n++] = t.factors[j];
            } else if (t.factors[j].power != 1) {
                return false;
            }
        }
        bool has = n != t.n_factors;
        t.factors = has ? others : t.factors;
        t.n_factors = n;
        const ir_dim *part = ir_dim_of_terms(c, &t, 1);
        const ir_dim **to = has ? coef : rest;
        *to = ir_dim_add(c, *to, part);
    }
    return !(*coef)->overflow && !(*rest)->overflow;
}

bool ir_dim_split(ir_ctx *c, const ir_dim *d, const ir_sym *s, int64_t *coef, const ir_dim **rest)
{
    *coef = 0;
    const ir_dim *sd = ir_dim_sym(c, s);
    for (uint32_t i = 0; i < d->n_terms; i++) {
        const ir_term *t = &d->terms[i];
        if (t->n_factors == 1 && t->factors[0].power == 1 && t->factors[0].atom->sym == s &&
            t->factors[0].atom->kind == IR_ATOM_SYM) {
            *coef = t->coef;
        }
    }
    *rest = ir_dim_sub(c, d, ir_dim_scale(c, sd, *coef));
    return !(*rest)->overflow && !ir_dim_uses(*rest, s);
}

/* Values ---------------------------------------------------------------------------------------
 */

static bool eval_atom(const ir_atom *t, ir_dim_lookup lookup, void *data, int64_t *value)
{
    if (t->kind == IR_ATOM_SYM) {
        return lookup(data, t->sym, value);
    }
    int64_t x, y;
    if (!ir_dim_eval(t->a, lookup, data, &x) || !ir_dim_eval(t->b, lookup, data, &y)) {
        return false;
    }
    bool divides = t->kind == IR_ATOM_FLOORDIV || t->kind == IR_ATOM_MOD;
    if (divides && y <= 0) {
        return false;
    }
    *value = t->kind == IR_ATOM_FLOORDIV ? ir_floor_divide(x, y)
             : t->kind == IR_ATOM_MOD    ? x - ir_floor_divide(x, y) * y
             : t->kind == IR_ATOM_MIN    ? (x < y ? x : y)
                                         : (x > y ? x : y);
    return true;
}

bool ir_dim_eval(const ir_dim *d, ir_dim_lookup lookup, void *data, int64_t *value)
{
    int64_t sum = 0;
    if (d->overflow) {
        return false;
    }
    for (uint32_t i = 0; i < d->n_terms; i++) {
        int64_t p = d->terms[i].coef;
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            int64_t v;
            if (!eval_atom(d->terms[i].factors[j].atom, lookup, data, &v)) {
                return false;
            }
            for (uint32_t k = 0; k < d->terms[i].factors[j].power; k++) {
                if (__builtin_mul_overflow(p, v, &p)) {
                    return false;
                }
            }
        }
        if (__builtin_add_overflow(sum, p, &sum)) {
            return false;
        }
    }
    *value = sum;
    return true;
}
