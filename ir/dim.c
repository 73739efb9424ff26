#include "ir/ctx.h"
#include "support/vec.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TERMS = 64, MOST_FACTORS = 12 };

ir_ctx *ir_ctx_create(arena *a, intern_table *names)
{
    ir_ctx *c = arena_new(a, ir_ctx);
    *c = (ir_ctx){.a = a,
                  .names = names,
                  .dims = map_create(a),
                  .atoms = map_create(a),
                  .syms = map_create(a),
                  .types = map_create(a)};
    return c;
}

arena *ir_ctx_arena(const ir_ctx *c)
{
    return c->a;
}

intern_table *ir_ctx_names(const ir_ctx *c)
{
    return c->names;
}

void ir_chain_add(arena *a, map *m, uint64_t hash, const void *item)
{
    ir_chain *link = arena_new(a, ir_chain);
    *link = (ir_chain){item, map_get(m, hash)};
    map_set(m, hash, link);
}

const ir_sym *ir_sym_get(ir_ctx *c, const char *name, int64_t lo, int64_t hi)
{
    name = intern(c->names, name);
    uint64_t h = hash_combine(hash_combine(map_key(name), (uint64_t)lo), (uint64_t)hi);
    for (const ir_chain *k = map_get(c->syms, h); k; k = k->next) {
        const ir_sym *s = k->item;
        if (s->name == name && s->lo == lo && s->hi == hi) {
            return s;
        }
    }
    ir_sym *s = arena_new(c->a, ir_sym);
    *s = (ir_sym){name, lo, hi, c->n_syms++};
    ir_chain_add(c->a, c->syms, h, s);
    return s;
}

/* Interval arithmetic; INT64_MIN and INT64_MAX stand for "no bound". ----------------------------
 */

typedef struct range {
    int64_t lo, hi;
} range;

static range range_add(range x, range y)
{
    range r;
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

static range range_mul(range x, range y)
{
    int64_t p[4] = {bound_mul(x.lo, y.lo), bound_mul(x.lo, y.hi), bound_mul(x.hi, y.lo),
                    bound_mul(x.hi, y.hi)};
    range r = {p[0], p[0]};
    for (int i = 1; i < 4; i++) {
        r.lo = p[i] < r.lo ? p[i] : r.lo;
        r.hi = p[i] > r.hi ? p[i] : r.hi;
    }
    return r;
}

static int64_t floor_divide(int64_t x, int64_t y)
{
    int64_t q = x / y;
    return q - (x % y != 0 && (x < 0) != (y < 0));
}

static int64_t bound_div(int64_t x, int64_t y)
{
    return x == INT64_MIN || x == INT64_MAX ? x
           : y == INT64_MAX                 ? (x < 0 ? -1 : 0)
                                            : floor_divide(x, y);
}

static range atom_range(const ir_atom *t)
{
    if (t->kind == IR_ATOM_SYM) {
        return (range){t->sym->lo, t->sym->hi};
    }
    range x = {t->a->lo, t->a->hi}, y = {t->b->lo, t->b->hi};
    switch (t->kind) {
    case IR_ATOM_FLOORDIV:
        if (y.lo < 1) {
            return (range){INT64_MIN, INT64_MAX};
        }
        return (range){bound_div(x.lo, x.lo < 0 ? y.lo : y.hi),
                       bound_div(x.hi, x.hi < 0 ? y.hi : y.lo)};
    case IR_ATOM_MOD:
        if (y.lo < 1) {
            return (range){INT64_MIN, INT64_MAX};
        }
        return (range){0, y.hi == INT64_MAX ? INT64_MAX : y.hi - 1};
    case IR_ATOM_MIN:
        return (range){x.lo < y.lo ? x.lo : y.lo, x.hi < y.hi ? x.hi : y.hi};
    default:
        return (range){x.lo > y.lo ? x.lo : y.lo, x.hi > y.hi ? x.hi : y.hi};
    }
}

/* Canonical order and interning -----------------------------------------------------------------
 */

static int compare_atoms(const ir_atom *x, const ir_atom *y)
{
    if (x == y) {
        return 0;
    }
    if (x->kind == IR_ATOM_SYM && y->kind == IR_ATOM_SYM) {
        int k = strcmp(x->sym->name, y->sym->name);
        return k ? k : x->id < y->id ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->id < y->id ? -1 : 1;
}

/* Higher degree first, then by atoms; the constant last. */
static int compare_terms(const ir_term *x, const ir_term *y)
{
    uint32_t dx = 0, dy = 0;
    for (uint32_t i = 0; i < x->n_factors; i++) {
        dx += x->factors[i].power;
    }
    for (uint32_t i = 0; i < y->n_factors; i++) {
        dy += y->factors[i].power;
    }
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
    return x->n_factors == y->n_factors ? 0 : x->n_factors < y->n_factors ? -1 : 1;
}

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
        if (x[i].coef != y[i].coef || compare_terms(&x[i], &y[i]) != 0) {
            return false;
        }
    }
    return true;
}

static const ir_dim *overflow_dim(ir_ctx *c)
{
    uint64_t h = 0x0f10f10f10f1u;
    const ir_chain *k = map_get(c->dims, h);
    if (k) {
        return k->item;
    }
    ir_dim *d = arena_new(c->a, ir_dim);
    *d = (ir_dim){.id = c->n_dims++, .lo = INT64_MIN, .hi = INT64_MAX, .overflow = true};
    ir_chain_add(c->a, c->dims, h, d);
    return d;
}

/* Interns sorted terms without zero coefficients. */
static const ir_dim *intern_dim(ir_ctx *c, const ir_term *terms, uint32_t n)
{
    uint64_t h = hash_terms(terms, n);
    for (const ir_chain *k = map_get(c->dims, h); k; k = k->next) {
        const ir_dim *d = k->item;
        if (!d->overflow && d->n_terms == n && same_terms(d->terms, terms, n)) {
            return d;
        }
    }
    ir_dim *d = arena_new(c->a, ir_dim);
    ir_term *kept = arena_array(c->a, ir_term, n);
    range sum = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        kept[i] = terms[i];
        kept[i].factors =
            arena_copy(c->a, terms[i].factors, terms[i].n_factors * sizeof(ir_factor));
        range r = {terms[i].coef, terms[i].coef};
        for (uint32_t j = 0; j < terms[i].n_factors; j++) {
            for (uint32_t p = 0; p < terms[i].factors[j].power; p++) {
                r = range_mul(r, atom_range(terms[i].factors[j].atom));
            }
        }
        sum = range_add(sum, r);
    }
    *d = (ir_dim){.id = c->n_dims++, .n_terms = n, .terms = kept, .lo = sum.lo, .hi = sum.hi};
    ir_chain_add(c->a, c->dims, h, d);
    return d;
}

typedef struct poly {
    ir_term terms[MOST_TERMS];
    uint32_t n;
    bool overflow;
} poly;

static void poly_add_term(poly *p, ir_term t)
{
    for (uint32_t i = 0; i < p->n; i++) {
        if (compare_terms(&p->terms[i], &t) == 0) {
            p->overflow |= __builtin_add_overflow(p->terms[i].coef, t.coef, &p->terms[i].coef);
            return;
        }
    }
    if (p->n == MOST_TERMS) {
        p->overflow = true;
        return;
    }
    p->terms[p->n++] = t;
}

static int by_order(const void *x, const void *y)
{
    return compare_terms(x, y);
}

static const ir_dim *poly_finish(ir_ctx *c, poly *p)
{
    if (p->overflow) {
        return overflow_dim(c);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->terms[i].coef != 0) {
            p->terms[n++] = p->terms[i];
        }
    }
    qsort(p->terms, n, sizeof(ir_term), by_order);
    return intern_dim(c, p->terms, n);
}

const ir_dim *ir_dim_const(ir_ctx *c, int64_t value)
{
    ir_term t = {value, 0, NULL};
    return intern_dim(c, &t, value != 0);
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

static const ir_dim *dim_of_atom(ir_ctx *c, ir_atom t)
{
    ir_factor f = {intern_atom(c, t), 1};
    ir_term term = {1, 1, &f};
    return intern_dim(c, &term, 1);
}

const ir_dim *ir_dim_sym(ir_ctx *c, const ir_sym *s)
{
    if (s->lo == s->hi) {
        return ir_dim_const(c, s->lo);
    }
    return dim_of_atom(c, (ir_atom){.kind = IR_ATOM_SYM, .sym = s});
}

/* Arithmetic ------------------------------------------------------------------------------------
 */

static const ir_dim *combine(ir_ctx *c, const ir_dim *a, const ir_dim *b, int64_t factor)
{
    if (a->overflow || b->overflow) {
        return overflow_dim(c);
    }
    poly p = {.n = 0};
    for (uint32_t i = 0; i < a->n_terms; i++) {
        poly_add_term(&p, a->terms[i]);
    }
    for (uint32_t i = 0; i < b->n_terms; i++) {
        ir_term t = b->terms[i];
        p.overflow |= __builtin_mul_overflow(t.coef, factor, &t.coef);
        poly_add_term(&p, t);
    }
    return poly_finish(c, &p);
}

const ir_dim *ir_dim_add(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return combine(c, a, b, 1);
}

const ir_dim *ir_dim_sub(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return combine(c, a, b, -1);
}

static bool multiply_terms(ir_term x, ir_term y, ir_term *out, ir_factor *room)
{
    if (__builtin_mul_overflow(x.coef, y.coef, &out->coef)) {
        return false;
    }
    uint32_t i = 0, j = 0, n = 0;
    while (i < x.n_factors || j < y.n_factors) {
        if (n == MOST_FACTORS) {
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
    if (a->overflow || b->overflow || (uint64_t)a->n_terms * b->n_terms > MOST_TERMS) {
        return overflow_dim(c);
    }
    poly p = {.n = 0};
    ir_factor room[MOST_TERMS][MOST_FACTORS];
    uint32_t at = 0;
    for (uint32_t i = 0; i < a->n_terms; i++) {
        for (uint32_t j = 0; j < b->n_terms; j++) {
            ir_term t;
            if (!multiply_terms(a->terms[i], b->terms[j], &t, room[at++])) {
                return overflow_dim(c);
            }
            poly_add_term(&p, t);
        }
    }
    return poly_finish(c, &p);
}

const ir_dim *ir_dim_scale(ir_ctx *c, const ir_dim *a, int64_t k)
{
    return combine(c, ir_dim_const(c, 0), a, k);
}

const ir_dim *ir_dim_offset(ir_ctx *c, const ir_dim *a, int64_t k)
{
    return ir_dim_add(c, a, ir_dim_const(c, k));
}

const ir_dim *ir_dim_product(ir_ctx *c, const ir_dim *const *dims, uint32_t n)
{
    const ir_dim *p = ir_dim_const(c, 1);
    for (uint32_t i = 0; i < n; i++) {
        p = ir_dim_mul(c, p, dims[i]);
    }
    return p;
}

/* x / y as a term, when y divides it. */
static bool divide_term(ir_term x, ir_term y, ir_term *out, ir_factor *room)
{
    if (y.coef == 0 || x.coef % y.coef != 0) {
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
    for (uint32_t turn = 0; rest->n_terms && turn < MOST_TERMS; turn++) {
        ir_factor room[MOST_FACTORS];
        ir_term t;
        if (!divide_term(rest->terms[0], b->terms[0], &t, room)) {
            return NULL;
        }
        const ir_dim *part = intern_dim(c, &t, 1);
        quotient = ir_dim_add(c, quotient, part);
        rest = ir_dim_sub(c, rest, ir_dim_mul(c, part, b));
        if (rest->overflow) {
            return NULL;
        }
    }
    return rest->n_terms == 0 ? quotient : NULL;
}

/* Terms of a that b divides exactly, over b; what is left goes to *rest. */
static const ir_dim *divisible_part(ir_ctx *c, const ir_dim *a, const ir_dim *b,
                                    const ir_dim **rest)
{
    const ir_dim *whole = ir_dim_const(c, 0);
    *rest = a;
    if (b->n_terms != 1) {
        return whole;
    }
    for (uint32_t i = 0; i < a->n_terms; i++) {
        ir_factor room[MOST_FACTORS];
        ir_term t;
        if (divide_term(a->terms[i], b->terms[0], &t, room)) {
            whole = ir_dim_add(c, whole, intern_dim(c, &t, 1));
            *rest = ir_dim_sub(c, *rest, intern_dim(c, &a->terms[i], 1));
        }
    }
    return whole;
}

static bool within(ir_ctx *c, const ir_dim *d, const ir_dim *size)
{
    return ir_dim_le(c, ir_dim_const(c, 0), d) == IR_ALWAYS &&
           ir_dim_le(c, ir_dim_offset(c, d, 1), size) == IR_ALWAYS;
}

const ir_dim *ir_dim_floordiv(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow) {
        return overflow_dim(c);
    }
    if (ir_dim_is_const(a) && ir_dim_is_const(b) && ir_dim_value(b) > 0) {
        return ir_dim_const(c, floor_divide(ir_dim_value(a), ir_dim_value(b)));
    }
    const ir_dim *exact = ir_dim_div_exact(c, a, b);
    if (exact) {
        return exact;
    }
    const ir_dim *rest;
    const ir_dim *whole = divisible_part(c, a, b, &rest);
    if (within(c, rest, b)) {
        return whole;
    }
    if (whole->n_terms) {
        return ir_dim_add(c, whole, ir_dim_floordiv(c, rest, b));
    }
    return dim_of_atom(c, (ir_atom){.kind = IR_ATOM_FLOORDIV, .a = a, .b = b});
}

const ir_dim *ir_dim_ceildiv(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return ir_dim_floordiv(c, ir_dim_offset(c, ir_dim_add(c, a, b), -1), b);
}

const ir_dim *ir_dim_mod(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow) {
        return overflow_dim(c);
    }
    if (ir_dim_is_const(a) && ir_dim_is_const(b) && ir_dim_value(b) > 0) {
        int64_t y = ir_dim_value(b);
        return ir_dim_const(c, ir_dim_value(a) - floor_divide(ir_dim_value(a), y) * y);
    }
    const ir_dim *rest;
    divisible_part(c, a, b, &rest);
    if (within(c, rest, b)) {
        return rest;
    }
    return dim_of_atom(c, (ir_atom){.kind = IR_ATOM_MOD, .a = rest, .b = b});
}

static const ir_dim *extreme(ir_ctx *c, ir_atom_kind kind, const ir_dim *a, const ir_dim *b)
{
    if (a->overflow || b->overflow) {
        return overflow_dim(c);
    }
    if (ir_dim_le(c, a, b) == IR_ALWAYS) {
        return kind == IR_ATOM_MIN ? a : b;
    }
    if (ir_dim_le(c, b, a) == IR_ALWAYS) {
        return kind == IR_ATOM_MIN ? b : a;
    }
    bool swap = a->id > b->id;
    return dim_of_atom(c, (ir_atom){.kind = kind, .a = swap ? b : a, .b = swap ? a : b});
}

const ir_dim *ir_dim_min(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return extreme(c, IR_ATOM_MIN, a, b);
}

const ir_dim *ir_dim_max(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    return extreme(c, IR_ATOM_MAX, a, b);
}

/* Questions -------------------------------------------------------------------------------------
 */

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

static bool atom_uses(const ir_atom *t, const ir_sym *s)
{
    return t->kind == IR_ATOM_SYM ? t->sym == s : ir_dim_uses(t->a, s) || ir_dim_uses(t->b, s);
}

bool ir_dim_uses(const ir_dim *d, const ir_sym *s)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            if (atom_uses(d->terms[i].factors[j].atom, s)) {
                return true;
            }
        }
    }
    return false;
}

ir_proof ir_dim_equal(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    if (a == b) {
        return a->overflow ? IR_MAYBE : IR_ALWAYS;
    }
    const ir_dim *d = ir_dim_sub(c, a, b);
    return d->lo > 0 || d->hi < 0 ? IR_NEVER : IR_MAYBE;
}

ir_proof ir_dim_le(ir_ctx *c, const ir_dim *a, const ir_dim *b)
{
    const ir_dim *d = ir_dim_sub(c, b, a);
    return d->overflow ? IR_MAYBE : d->lo >= 0 ? IR_ALWAYS : d->hi < 0 ? IR_NEVER : IR_MAYBE;
}

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
    return !ir_dim_uses(*rest, s);
}

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
    *value = t->kind == IR_ATOM_FLOORDIV ? floor_divide(x, y)
             : t->kind == IR_ATOM_MOD    ? x - floor_divide(x, y) * y
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

uint32_t ir_dim_symbols(const ir_dim *d, const ir_sym **out, uint32_t cap)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            const ir_sym *inner[32];
            uint32_t k = 1;
            inner[0] = t->sym;
            if (t->kind != IR_ATOM_SYM) {
                k = ir_dim_symbols(t->a, inner, 16);
                k += ir_dim_symbols(t->b, inner + k, 16);
            }
            for (uint32_t x = 0; x < k; x++) {
                bool known = false;
                for (uint32_t y = 0; y < n && y < cap; y++) {
                    known |= out[y] == inner[x];
                }
                if (!known && n < cap) {
                    out[n++] = inner[x];
                }
            }
        }
    }
    return n;
}

/* Text ------------------------------------------------------------------------------------------
 */

static const char *atom_text(ir_ctx *c, const ir_atom *t)
{
    static const char *const names[] = {"", "floordiv", "mod", "min", "max"};
    if (t->kind == IR_ATOM_SYM) {
        return t->sym->name;
    }
    return intern_printf(c->names, "%s(%s, %s)", names[t->kind], ir_dim_text(c, t->a),
                         ir_dim_text(c, t->b));
}

static const char *term_text(ir_ctx *c, const ir_term *t)
{
    uint64_t size = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
    const char *s =
        size == 1 && t->n_factors ? "" : intern_printf(c->names, "%llu", (unsigned long long)size);
    for (uint32_t j = 0; j < t->n_factors; j++) {
        for (uint32_t k = 0; k < t->factors[j].power; k++) {
            s = intern_printf(c->names, "%s%s%s", s, *s ? "*" : "",
                              atom_text(c, t->factors[j].atom));
        }
    }
    return s;
}

const char *ir_dim_text(ir_ctx *c, const ir_dim *d)
{
    if (d->overflow) {
        return "overflow";
    }
    const char *s = d->n_terms ? "" : "0";
    for (uint32_t i = 0; i < d->n_terms; i++) {
        bool minus = d->terms[i].coef < 0;
        const char *sign = i == 0 ? (minus ? "-" : "") : (minus ? " - " : " + ");
        s = intern_printf(c->names, "%s%s%s", s, sign, term_text(c, &d->terms[i]));
    }
    return intern(c->names, s);
}
