/* Symbolic sizes: T, pos + T, 3*d, floordiv(H + 2*p - k, s) + 1.
 *
 * A dim is a polynomial with 64-bit integer coefficients over atoms: symbols, and the functions
 * floordiv, mod, min and max of two dims. Dims are canonical and interned: equal polynomials are
 * one pointer. They are immutable and live as long as their ir_ctx. Arithmetic that would overflow,
 * or whose result would be out of all proportion (more than 256 terms, a degree over 64, a text of
 * more than 65536 parts), yields the one "overflow" dim, which stays what it is through every
 * operation; types refuse it. */
#ifndef AIGC_IR_DIM_H
#define AIGC_IR_DIM_H

#include "support/arena.h"
#include "support/intern.h"

#include <stdbool.h>
#include <stdint.h>

/* Everything that lives as long as one compilation: dims, types, symbols, names, attributes. */
typedef struct ir_ctx ir_ctx;
ir_ctx *ir_ctx_create(arena *a, intern_table *names);
arena *ir_ctx_arena(const ir_ctx *c);
intern_table *ir_ctx_names(const ir_ctx *c);

typedef struct ir_dim ir_dim;

/* A size that is known at run time: a dim argument, a size bound by an argument's shape, or the
 * index of a loop. Interned by all of its fields: within one graph names are unique. lo and hi are
 * inclusive; INT64_MIN and INT64_MAX mean that no bound is known. */
typedef struct ir_sym {
    const char *name; /* interned */
    int64_t lo, hi;
    const ir_dim *least, *most; /* of a loop's index: its values in terms of other dims; or NULL */
    uint32_t id;
} ir_sym;
const ir_sym *ir_sym_get(ir_ctx *c, const char *name, int64_t lo, int64_t hi);
/* The index of a loop lo, lo + step, ... up to hi (not reached), step not 0. Its bounds follow from
 * those of lo and hi, and are widened so that it stays a symbol if there is one turn only. What
 * must hold of it in every turn can be proved, or checked once outside of the loop, by `least` and
 * `most`. */
const ir_sym *ir_sym_loop(ir_ctx *c, const char *name, const ir_dim *lo, const ir_dim *hi,
                          int64_t step);

typedef enum ir_atom_kind {
    IR_ATOM_SYM,
    IR_ATOM_FLOORDIV, /* rounds towards minus infinity; b > 0 */
    IR_ATOM_MOD,      /* of the sign of b, as in Python; b > 0 */
    IR_ATOM_MIN,
    IR_ATOM_MAX
} ir_atom_kind;

typedef struct ir_atom {
    ir_atom_kind kind;
    uint32_t id;
    const ir_sym *sym;   /* IR_ATOM_SYM */
    const ir_dim *a, *b; /* the others */
} ir_atom;

typedef struct ir_factor {
    const ir_atom *atom;
    uint32_t power; /* >= 1 */
} ir_factor;

typedef struct ir_term {
    int64_t coef;             /* never 0 */
    uint32_t n_factors;       /* 0: the constant term */
    const ir_factor *factors; /* in canonical order: symbols by name, then the functions */
} ir_term;

/* Sum of terms, in canonical order: higher degree first, the constant last. The order depends on
 * names alone, not on what was made first. No terms: zero. */
struct ir_dim {
    uint32_t id;
    uint32_t n_terms;
    const ir_term *terms;
    int64_t lo, hi; /* bounds that follow from the symbols' bounds; INT64_MIN / INT64_MAX: none */
    uint32_t size;  /* atoms and numbers in its text, at most */
    bool overflow;
};

const ir_dim *ir_dim_const(ir_ctx *c, int64_t value);
const ir_dim *ir_dim_sym(ir_ctx *c, const ir_sym *s);
const ir_dim *ir_dim_add(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_sub(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_mul(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_scale(ir_ctx *c, const ir_dim *a, int64_t k);
const ir_dim *ir_dim_offset(ir_ctx *c, const ir_dim *a, int64_t k);
/* a / b when that is exact for all values of the symbols (constants divide, or b is a monomial that
 * divides every term, or polynomial long division leaves nothing); NULL when not known to divide.
 */
const ir_dim *ir_dim_div_exact(ir_ctx *c, const ir_dim *a, const ir_dim *b);
/* Simplified where bounds allow: min(T, 512) with T <= 512 is T; floordiv(4*T, 2) is 2*T;
 * floordiv(T + 11, 8) is floordiv(T + 3, 8) + 1. Division by what is never positive overflows. */
const ir_dim *ir_dim_floordiv(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_ceildiv(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_mod(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_min(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_max(ir_ctx *c, const ir_dim *a, const ir_dim *b);
const ir_dim *ir_dim_product(ir_ctx *c, const ir_dim *const *dims, uint32_t n);

bool ir_dim_is_const(const ir_dim *d);
int64_t ir_dim_value(const ir_dim *d); /* of a constant */
bool ir_dim_is_value(const ir_dim *d, int64_t value);
static inline bool ir_dim_is_one(const ir_dim *d)
{
    return ir_dim_is_value(d, 1);
}
/* A dim that is one symbol: that symbol, else NULL. */
const ir_sym *ir_dim_as_sym(const ir_dim *d);
bool ir_dim_uses(const ir_dim *d, const ir_sym *s);

/* What can be proved about two dims for all values within bounds: by interval arithmetic on their
 * difference, and through min, max, floordiv and mod (min(a, b) <= a; 4*floordiv(T, 4) <= T). */
typedef enum ir_proof { IR_NEVER, IR_MAYBE, IR_ALWAYS } ir_proof;
ir_proof ir_dim_equal(ir_ctx *c, const ir_dim *a, const ir_dim *b);
ir_proof ir_dim_le(ir_ctx *c, const ir_dim *a, const ir_dim *b);

/* Replaces a symbol everywhere (also inside floordiv and the like). */
const ir_dim *ir_dim_subst(ir_ctx *c, const ir_dim *d, const ir_sym *s, const ir_dim *by);
/* d = coef * s + rest with rest free of s; false when d is not of that form (s inside an atom or a
 * product with another symbol, or squared). coef may come out as 0. */
bool ir_dim_split(ir_ctx *c, const ir_dim *d, const ir_sym *s, int64_t *coef, const ir_dim **rest);

/* The value for given values of the symbols; false when one has none or on overflow. */
typedef bool (*ir_dim_lookup)(void *data, const ir_sym *s, int64_t *value);
bool ir_dim_eval(const ir_dim *d, ir_dim_lookup lookup, void *data, int64_t *value);
/* The most d can be under the symbols' bounds: d->hi. INT64_MAX: unbounded. */

/* Shows the symbols of d, some more than once, until one is what is looked for; was one? */
typedef bool (*ir_dim_look)(void *data, const ir_sym *s);
bool ir_dim_any_symbol(const ir_dim *d, ir_dim_look is_it, void *data);
/* The one symbol of d that is looked for; NULL: none is, or several are. */
const ir_sym *ir_dim_only_symbol(const ir_dim *d, ir_dim_look is_it, void *data);

/* Text, as in "T + pos", "3*d", "2*T*T - floordiv(H + 1, 2)", "min(T, 8)"; interned. parse_dim.h
 * reads it back. */
const char *ir_dim_text(ir_ctx *c, const ir_dim *d);

#endif
