/* Dims as polynomials: order, interning, sums and products. */
#include "ir/dim_impl.h"

#include <stdlib.h>
#include <string.h>

/* Canonical order ------------------------------------------------------------------------------
 */

static int by_number(int64_t x, int64_t y)
{
    return (x > y) - (x < y);
}

static int compare_optional(const ir_dim *x, const ir_dim *y)
{
    return x == y ? 0 : !x ? -1 : !y ? 1 : ir_dim_compare(x, y);
}

static int compare_syms(const ir_sym *x, const ir_sym *y)
{
    int k = strcmp(x->name, y->name);
    k = k ? k : by_number(x->lo, y->lo);
    k = k ? k : by_number(x->hi, y->hi);
    k = k ? k : compare_optional(x->least, y->least);
    return k ? k : compare_optional(x->most, y->most);
}

static int compare_atoms(const ir_atom *x, const ir_atom *y)
{
    if (x == y) {
        return 0;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->kind == IR_ATOM_SYM) {
        return compare_syms(x->sym, y->sym);
    }
    int k = ir_dim_compare(x->a, y->a);
    return k ? k : ir_dim_compare(x->b, y->b);
}

static uint32_t degree(const ir_term *t)
{
    uint32_t d = 0;
    for (uint32_t i = 0; i < t->n_factors; i++) {
        d += t->factors[i].power;
    }
    return d;
}

/* Higher degree first, then by atoms; the constant last. A monomial order, so that long division
 * works. */
int ir_term_compare(const ir_term *x, const ir_term *y)
{
    uint32_t dx = degree(x), dy = degree(y);
    if (dx != dy) {
        return dx > dy ? -1 : 1;
    }
    for (uint32_t i = 0; i < x->n_factors && i < y->n_factors; i++) {
        int k = compare_atoms(x->factors[i].atom, y->factors[i].atom);
        if (k) {
            return k;
        }
        if (x->factors[i].power != y->factors[i].power) {
            return x->factors[i].power > y->factors[i].power ? -1 : 1;
        }
    }
    return by_number(x->n_factors, y->n_factors);
}

/* Dims are interned, so that equal parts are one pointer and only one differing part is entered. */
int ir_dim_compare(const ir_dim *x, const ir_dim *y)
{
    if (x == y) {
        return 0;
    }
    for (uint32_t i = 0; i < x->n_terms && i < y->n_terms; i++) {
        int k = ir_term_compare(&x->terms[i], &y->terms[i]);
        k = k ? k : by_number(x->terms[i].coef, y->terms[i].coef);
        if (k) {
            return k;
        }
    }
    int k = by_number(x->n_terms, y->n_terms);
    return k ? k : (int)x->overflow - (int)y->overflow;
}

/* Interning ------------------------------------------------------------------------------------
 */

static uint64_t hash_terms(const ir_term *t, uint32_t n)
{
    uint64_t h = n;
    for (uint32_t i = 0; i < n; i++) {
        h = hash_combine(h, (uint64_t)t[i].coef);
        for (uint32_t j = 0; j < t[i].n_factors; j++) {
            h = hash_combine(h, ((uint64_t)t[i].factors[j].atom->id << 8) | t[i].factors[j].power);
        }
    }
    return h;
}

static bool same_terms(const ir_term *x, const ir_term *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (x[i].coef != y[i].coef || x[i].n_factors != y[i].n_factors) {
            return false;
        }
        for (uint32_t j = 0; j < x[i].n_factors; j++) {
            if (x[i].factors[j].atom != y[i].factors[j].atom ||
                x[i].factors[j].power != y[i].factors[j].power) {
                return false;
            }
        }
    }
    return true;
}

const ir_dim *ir_dim_overflow(ir_ctx *c)
{
    uint64_t h = 0x0f10f10f10f1u;
    for (const ir_chain *k = map_get(c->dims, h); k; k = k->next) {
        const ir_dim *d = k->item;
        if (d->overflow) {
            return d;
        }
    }
    ir_dim *d = arena_new(c->a, ir_dim);
    *d = (ir_dim){.id = c->n_dims++, .lo = INT64_MIN, .hi = INT64_MAX, .size = 1, .overflow = true};
    ir_chain_add(c->a, c->dims, h, d);
    return d;
}

/* How many atoms and numbers it takes to write the terms out; saturates. */
static uint32_t size_of(const ir_term *terms, uint32_t n)
{
    uint64_t size = 1;
    for (uint32_t i = 0; i < n; i++) {
        size++;
        for (uint32_t j = 0; j < terms[i].n_factors; j++) {
            const ir_atom *t = terms[i].factors[j].atom;
            uint64_t one = t->kind == IR_ATOM_SYM ? 1 : (uint64_t)t->a->size + t->b->size + 1;
            size += one * terms[i].factors[j].power;
        }
    }
    return size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
}

const ir_dim *ir_dim_of_terms(ir_ctx *c, const ir_term *terms, uint32_t n)
{
    uint64_t h = hash_terms(terms, n);
    for (const ir_chain *k = map_get(c->dims, h); k; k = k->next) {
        const ir_dim *d = k->item;
        if (!d->overflow && d->n_terms == n && same_terms(d->terms, terms, n)) {
            return d;
        }
    }
    uint32_t size = size_of(terms, n);
    if (size > IR_DIM_MOST_SIZE) {
        return ir_dim_overflow(c);
    }
    ir_dim *d = arena_new(c->a, ir_dim);
    ir_term *kept = arena_array(c->a, ir_term, n);
    ir_range sum = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        kept[i] = terms[i];
        kept[i].factors =
            arena_copy(c->a, terms[i].factors, terms[i].n_factors * sizeof(ir_factor));
        sum = ir_range_add(sum, ir_term_range(&terms[i]));
    }
    *d = (ir_dim){
        .id = c->n_dims++, .n_terms = n, .terms = kept, .lo = sum.lo, .hi = sum.hi, .size = size};
    ir_chain_add(c->a, c->dims, h, d);
    return d;
}

static const ir_atom *intern_atom(ir_ctx *c, ir_atom t)
{
    uint64_t h = hash_combine(hash_combine((uint64_t)t.kind, map_key(t.sym)),
                              hash_combine(map_key(t.a), map_key(t.b)));
    for (const ir_chain *k = map_get(c->atoms, h); k; k = k->next) {
        const ir_atom *x = k->item;
        if (x->kind == t.kind && x->sym == t.sym && x->a == t.a && x->b == t.b) {
            return x;
        }
    }
    t.id = c->n_atoms++;
    ir_atom *x = arena_copy(c->a, &t, sizeof t);
    ir_chain_add(c->a, c->atoms, h, x);
    return x;
}

const ir_dim *ir_dim_of_atom(ir_ctx *c, ir_atom t)
{
    ir_factor f = {intern_atom(c, t), 1};
    ir_term term = {1, 1, &f};
    return ir_dim_of_terms(c, &term, 1);
}

const ir_dim *ir_dim_const(ir_ctx *c, int64_t value)
{
    ir_term t = {value, 0, NULL};
    return ir_dim_of_terms(c, &t, value != 0);
}

const ir_dim *ir_dim_sym(ir_ctx *c, const ir_sym *s)
{
    if (s->lo == s->hi) {
        return ir_dim_const(c, s->lo);
    }
    return ir_dim_of_atom(c, (ir_atom){.kind = IR_ATOM_SYM, .sym = s});
}

/* Arithmetic -----------------------------------------------------------------------------------
 */

typedef struct poly {
    ir_term terms[IR_DIM_MOST_TERMS];
    uint32_t n;
    bool overflow;
} poly;

static void poly_add_term(poly *p, ir_term t)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (ir_term_compare(&p->terms[i], &t) == 0) {
            p->overflow |= __builtin_add_overflow(p->terms[i].coef, t.coef, &p->terms[i].coef);
            return;
        }
    }
    if (p->n == IR_DIM_MOST_TERMS) {
        p->overflow = true;
        return;
    }
    p->terms[p->n++] = t;
}

static int by_order(const void *x, const void *y)
{
    return ir_term_compare(x, y);
}

static const ir_dim *poly_finish(ir_ctx *c, poly *p)
{
    if (p->overflow) {
        return ir_dim_overflow(c);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->terms[i].coef != 0) {
            p->terms[n++] = p->terms[i];
        }
    }
    qsort(p->terms, n, sizeof(ir_term), by_order);
    return ir_dim_of_terms(c, p->terms, n);
}

/* a + factor * b: both are sorted, so it is a merge. */
static const ir_dim *combine(ir_ctx *c, const ir_dim *a, const ir_dim *b, int64_t factor)
{
    if (a->overflow || b->overflow) {
        return ir_dim_overflow(c);
    }
    ir_term terms[2 * IR_DIM_MOST_TERMS];
    uint32_t i = 0, j = 0, n = 0;
    while (i < a->n_terms || j < b->n_terms) {
        int k = i == a->n_terms   ? 1
                : j == b->n_terms ? -1
                                  : ir_term_compare(&a->terms[i], &b->terms[j]);
        ir_term t = k <= 0 ? a->terms[i] : b->terms[j];
        if (k >= 0) {
            int64_t scaled, before = k == 0 ? t.coef : 0;
            if (__builtin_mul_overflow(b->terms[j].coef, factor, &scaled) ||
                __builtin_add_overflow(before, scaled, &t.coef)) {
                return ir_dim_overflow(c);
            }
        }
        i += k <= 0;
        j += k >= 0;
        if (t.coef != 0) {
            terms[n++] = t;
        }
    }
    return n > IR_DIM_MOST_TERMS ? ir_dim_overflow(c) : ir_dim_of_terms(c, terms, n);
}

const ir_dim *ir_dim_add(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return combine(c, a, b, 1);
}

const ir_dim *ir_dim_sub(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return combine(c, a, b, -1);
}

const ir_dim *ir_dim_scale(ir_ctx *c, const ir_dim *a, int64_t k)
{
    return combine(c, ir_dim_const(c, 0), a, k);
}

const ir_dim *ir_dim_offset(ir_ctx *c, const ir_dim *a, int64_t k)
{
    return ir_dim_add(c, a, ir_dim_const(c, k));
}

static bool multiply_terms(ir_term x, ir_term y, ir_term *out, ir_factor *room)
{
    if (__builtin_mul_overflow(x.coef, y.coef, &out->coef) ||
        degree(&x) + degree(&y) > IR_DIM_MOST_DEGREE) {
        return false;
    }
    uint32_t i = 0, j = 0, n = 0;
    while (i < x.n_factors || j < y.n_factors) {
        if (n == IR_DIM_MOST_FACTORS) {
            return false;
        }
        int k = i == x.n_factors   ? 1
                : j == y.n_factors ? -1
                                   : compare_atoms(x.factors[i].atom, y.factors[j].atom);
        room[n] = k <= 0 ? x.factors[i] : y.factors[j];
        room[n++].power += k == 0 ? y.factors[j].power : 0;
        i += k <= 0;
        j += k >= 0;
    }
    out->n_factors = n;
    out->factors = room;
    return true;
}

const ir_dim *ir_dim_mul(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow || (uint64_t)a->n_terms * b->n_terms > IR_DIM_MOST_TERMS) {
        return ir_dim_overflow(c);
    }
    if (ir_dim_is_one(a) || ir_dim_is_one(b)) {
        return ir_dim_is_one(a) ? b : a;
    }
    poly p;
    p.n = 0;
    p.overflow = false;
    ir_factor room[IR_DIM_MOST_TERMS][IR_DIM_MOST_FACTORS];
    uint32_t at = 0;
    for (uint32_t i = 0; i < a->n_terms; i++) {
        for (uint32_t j = 0; j < b->n_terms; j++) {
            ir_term t;
            if (!multiply_terms(a->terms[i], b->terms[j], &t, room[at++])) {
                return ir_dim_overflow(c);
            }
            poly_add_term(&p, t);
        }
    }
    return poly_finish(c, &p);
}

const ir_dim *ir_dim_product(ir_ctx *c, const ir_dim *const *dims, uint32_t n)
{
    const ir_dim *p = ir_dim_const(c, 1);
    for (uint32_t i = 0; i < n; i++) {
        p = ir_dim_mul(c, p, dims[i]);
    }
    return p;
}
