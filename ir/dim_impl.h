/* Inside ir/dim*.c: how dims are made, ordered and bounded. */
#ifndef AIGC_IR_DIM_IMPL_H
#define AIGC_IR_DIM_IMPL_H

#include "ir/ctx.h"

/* What is more complex than this becomes the overflow dim: no input can make a dim whose text,
 * order or value takes long to work out. */
enum {
    IR_DIM_MOST_TERMS = 256,
    IR_DIM_MOST_FACTORS = 12, /* different atoms in a term */
    IR_DIM_MOST_DEGREE = 64,
    IR_DIM_MOST_SIZE = 1 << 16 /* atoms and numbers, written out */
};

/* Interval of integers; INT64_MIN and INT64_MAX stand for "no bound". */
typedef struct ir_range {
    int64_t lo, hi;
} ir_range;

ir_range ir_range_add(ir_range x, ir_range y);
ir_range ir_range_mul(ir_range x, ir_range y);
ir_range ir_atom_range(const ir_atom *t);
ir_range ir_term_range(const ir_term *t);
int64_t ir_floor_divide(int64_t x, int64_t y); /* y > 0 */

/* Total orders that do not depend on when things were made. */
int ir_dim_compare(const ir_dim *x, const ir_dim *y);
int ir_term_compare(const ir_term *x, const ir_term *y); /* coefficients do not count */

const ir_dim *ir_dim_overflow(ir_ctx *c);
const ir_dim *ir_dim_of_terms(ir_ctx *c, const ir_term *terms, uint32_t n); /* sorted, not 0 */
const ir_dim *ir_dim_of_atom(ir_ctx *c, ir_atom t);                         /* id is filled in */

/* Is d >= 0 always, never, or who knows? By bounds, and through min, max, floordiv and mod. */
ir_proof ir_dim_sign(ir_ctx *c, const ir_dim *d);

/* d = coef * atom + rest with no atom left in the terms of coef and rest (it may stand inside their
 * functions); false when it is squared. */
bool ir_dim_split_atom(ir_ctx *c, const ir_dim *d, const ir_atom *atom, const ir_dim **coef,
                       const ir_dim **rest);

#endif
