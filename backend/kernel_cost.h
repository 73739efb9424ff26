/* What kernels cost, counted from the kernel IR for given sizes: the compiler's own prediction,
 * which `aigc run --profile` holds against the clock.
 *
 *   flops    arithmetic on floats. add, sub, mul, compare, min, max, div, sqrt and the like are
 * one; so is every number folded into a sum or a maximum: a product of matrices m n k has 2 m n k.
 *            exp, tanh and their kin count what their polynomials take (a table in kernel_cost.c).
 *            An expression counts once for every point of the axes it depends on, since what does
 * not depend on an inner loop is not computed in it. Indices, casts, choices and moves are free.
 *   bytes    of memory that must be touched: every buffer once for reading and once for writing,
 *            however often caches serve it again. Of a buffer of which a part is used, that part:
 *            as many elements as the axes of the place have points, and at most all of it.
 *
 * In attention, keys that no query sees count for nothing. */
#ifndef AIGC_BACKEND_KERNEL_COST_H
#define AIGC_BACKEND_KERNEL_COST_H

#include "backend/kernel.h"

/* Which units do most of a kernel's arithmetic. */
typedef enum k_arithmetic { K_ARITHMETIC_F32, K_ARITHMETIC_BF16, K_ARITHMETIC_INT8 } k_arithmetic;

typedef struct k_cost {
    double calls, flops, bytes; /* of all calls together */
    k_arithmetic arithmetic;
} k_cost;

/* One call; value gives the kernel's symbols. False where a symbol has no value. */
bool k_kernel_cost(const k_kernel *k, arena *scratch, ir_dim_lookup value, void *data, k_cost *out);

/* Every use of a kernel in one run of a program: out[p->n_kernel_uses]. value gives the entry's
 * sizes. Loops are counted to their last turn, also those that a condition may end before: divide
 * by `calls` and multiply by the calls that were made. False as above. */
bool k_program_cost(const k_program *p, arena *scratch, ir_dim_lookup value, void *data,
                    k_cost *out);

#endif
