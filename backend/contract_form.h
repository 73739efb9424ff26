/* A nest that is a product of matrices, and the parts that its emitter makes tiles of:
 *
 *     for (outer axes but m and n)            batch
 *         row steps: r_i = reduce over k ...  statistics of one row m: the norm before a product
 *         c_p[m, n] = sum over k of a[m, k] * b_p[n, k]     one product, or two that share a
 *         store(c_0[m, n], c_1[m, n] ...)     bias, activation, gate, residual
 *
 * Where columns are kept by groups (k_keep) n is in no loop, and stores run over the columns of a
 * group.
 *
 * Rows (axis m) are read by a alone, columns (axis n) by b alone, lanes lie along n. The plain nest
 * emitter can run every such nest too. */
#ifndef AIGC_BACKEND_CONTRACT_FORM_H
#define AIGC_BACKEND_CONTRACT_FORM_H

#include "backend/kernel.h"
#include "backend/target.h"
#include "passes/join_products.h"

enum {
    CONTRACT_MOST_PRODUCTS = 2,
    CONTRACT_MOST_TOGETHER = JOIN_MOST, /* nests of the same rows, in turns for every block */
    CONTRACT_BLOCK = 32
};

/* How products are formed. */
typedef enum contract_math {
    CONTRACT_F32,
    CONTRACT_BF16, /* rows and weights in bf16, weights in pairs along k */
    CONTRACT_Q8 /* rows in int8 blocks of 32, weights in interleaved blocks (runtime/pack_blocks.h)
                 */
} contract_math;

typedef struct contract_form {
    const k_nest *nest;
    contract_math kind;
    uint32_t n_row_steps;        /* the nest's first steps */
    uint32_t n_products;         /* the steps after them */
    const k_axis *m, *n;         /* m: NULL when there is one row */
    const k_keep *keep;          /* columns are kept by groups, of which stores are made; or NULL */
    uint32_t n_k;                /* axes that are summed over, outermost first */
    const k_axis *const *k;      /* of the first product */
    const k_axis *const *more_k; /* of the second, which go along with them; or NULL */
    const k_expr *a;             /* over batch, m, k; may use the row steps' values */
    const k_expr *b[CONTRACT_MOST_PRODUCTS]; /* over batch, n, k (b[1]: more_k) */
    const k_step *store;                     /* over batch, m, n; uses the products' values; with
                                              * groups: the first of those over batch, m, a group */
    uint32_t n_stores;
    bool in_place; /* a is read where it lies, an element at a time; else by rows
                    * that are packed first: k is then one axis of known extent */
} contract_form;

/* Do shares of the columns begin at multiples of so many? */
bool contract_shares_at(const contract_form *f, int64_t columns);
/* Is the axis one of columns, or of their groups? */
bool contract_is_column(const contract_form *f, const k_axis *axis);
/* The i-th outer axis that is neither rows nor columns; NULL: there are fewer. */
const k_axis *contract_batch_axis(const contract_form *f, uint32_t i);
/* Do two products sum along the same rows, so that what is packed of a row serves both? Their axes
 * but those of columns are then alike, one after the other, and so are shares of them. */
bool contract_same_rows(const contract_form *x, const contract_form *y);
/* False when the nest is not of this form, or its b cannot be read by vectors along n. */
bool contract_form_of(ir_ctx *c, arena *a, const k_nest *n, const target *t, contract_form *out);

#endif
