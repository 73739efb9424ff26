/* What shape rules know of sizes: bounds, ranges of loops' indices, conditions of the entry; and
 * what they must assume. */
#include "ir/dim_impl.h"
#include "ir/infer.h"

enum { MOST_LOOPS = 16, MOST_PAIRED = 16 };

/* rhs - lhs of a condition: never negative, and 0 for an equality. */
static const ir_dim *slack_of(const infer *f, const ir_condition *k)
{
    return ir_dim_sub(f->c, k->rhs, k->lhs);
}

static bool covers(const infer *f, const ir_dim *d, const ir_condition *k, const ir_dim **less)
{
    const ir_dim *slack = slack_of(f, k);
    *less = ir_dim_sub(f->c, d, slack);
    if (ir_dim_sign(f->c, *less) == IR_ALWAYS) {
        return true;
    }
    return k->rel == IR_REL_EQ && ir_dim_sign(f->c, ir_dim_add(f->c, d, slack)) == IR_ALWAYS;
}

/* Does d >= 0 follow from one condition, or from two together? */
static bool follows(const infer *f, const ir_dim *d)
{
    uint32_t n = f->conditions ? ir_graph_n_conditions(f->conditions) : 0;
    const ir_dim *less[MOST_PAIRED], *unused;
    for (uint32_t i = 0; i < n; i++) {
        const ir_condition *k = ir_graph_condition(f->conditions, i);
        if (covers(f, d, k, i < MOST_PAIRED ? &less[i] : &unused)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < n && i < MOST_PAIRED; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const ir_condition *k = ir_graph_condition(f->conditions, j);
            if (covers(f, less[i], k, &unused)) {
                return true;
            }
        }
    }
    return false;
}

/* The range of a loop's index in the terms of d; NULL: d has none there. */
static const ir_atom *loop_index(const ir_dim *d)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            if (t->kind == IR_ATOM_SYM && t->sym->least) {
                return t;
            }
        }
    }
    return NULL;
}

static bool is_index(void *data, const ir_sym *s)
{
    (void)data;
    return s->least != NULL;
}

static bool in_loop(const ir_dim *d)
{
    return ir_dim_any_symbol(d, is_index, NULL);
}

/* Is *d >= 0? Indices of loops are replaced, one by one, by the value that makes the least of *d:
 * what is then left in *d must hold so that *d >= 0 holds in every turn. */
static ir_proof known(const infer *f, const ir_dim **d)
{
    for (uint32_t turn = 0; turn < MOST_LOOPS; turn++) {
        ir_proof p = ir_dim_sign(f->c, *d);
        if (p != IR_MAYBE || (*d)->overflow) {
            return p;
        }
        if (follows(f, *d)) {
            return IR_ALWAYS;
        }
        const ir_atom *t = loop_index(*d);
        const ir_dim *coef, *rest;
        if (!t || !ir_dim_split_atom(f->c, *d, t, &coef, &rest)) {
            return IR_MAYBE;
        }
        if (coef->lo < 0 && coef->hi > 0) {
            return IR_MAYBE;
        }
        const ir_dim *by = coef->lo >= 0 ? t->sym->least : t->sym->most;
        *d = ir_dim_add(f->c, ir_dim_mul(f->c, coef, by), rest);
    }
    return IR_MAYBE;
}

/* The terms of d with a sign, that sign removed. */
static const ir_dim *side(const infer *f, const ir_dim *d, bool minus)
{
    const ir_dim *sum = ir_dim_const(f->c, 0);
    for (uint32_t i = 0; i < d->n_terms; i++) {
        if ((d->terms[i].coef < 0) == minus) {
            sum = ir_dim_add(f->c, sum, ir_dim_of_terms(f->c, &d->terms[i], 1));
        }
    }
    return ir_dim_scale(f->c, sum, minus ? -1 : 1);
}

static bool assume(infer *f, ir_relation rel, const ir_dim *a, const ir_dim *b)
{
    if (!f->conditions || a->overflow || b->overflow || in_loop(a) || in_loop(b)) {
        f->unproved = true;
        return false;
    }
    const char *text = intern_printf(ir_ctx_names(f->c), "%s %s %s", infer_text(f, a),
                                     rel == IR_REL_EQ ? "==" : "<=", infer_text(f, b));
    ir_graph_add_condition(f->conditions, (ir_condition){rel, a, b, text, f->where});
    return true;
}

bool infer_equal(infer *f, const ir_dim *a, const ir_dim *b)
{
    f->unproved = false;
    ir_proof p = ir_dim_equal(f->c, a, b);
    if (p != IR_MAYBE) {
        return p == IR_ALWAYS;
    }
    const ir_dim *more = ir_dim_sub(f->c, a, b), *less = ir_dim_sub(f->c, b, a);
    ir_proof q = known(f, &more), r = known(f, &less);
    if (q == IR_NEVER || r == IR_NEVER) {
        return false;
    }
    return (q == IR_ALWAYS && r == IR_ALWAYS) || assume(f, IR_REL_EQ, a, b);
}

bool infer_le(infer *f, const ir_dim *a, const ir_dim *b)
{
    f->unproved = false;
    const ir_dim *whole = ir_dim_sub(f->c, b, a), *d = whole;
    ir_proof p = known(f, &d);
    if (p != IR_MAYBE) {
        return p == IR_ALWAYS;
    }
    return d == whole ? assume(f, IR_REL_LE, a, b)
                      : assume(f, IR_REL_LE, side(f, d, true), side(f, d, false));
}

bool ir_require(ir_ctx *c, ir_graph *conditions, span where, ir_relation rel, const ir_dim *lhs,
                const ir_dim *rhs)
{
    infer f = {.c = c, .conditions = conditions, .where = where};
    return rel == IR_REL_EQ ? infer_equal(&f, lhs, rhs) : infer_le(&f, lhs, rhs);
}
