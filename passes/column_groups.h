/* Is a value made of a product by groups of its columns?
 *
 *     c = x @ w.T                                [T, heads * 64]
 *     y[h, t, e] = rotated(c)[h, t, e]           reads c[t, 64 h], c[t, 64 h + 1] ... c[t, 64 h +
 * 63]
 *
 * An element of y then needs columns of one group, and the product's kernel can make it as soon as
 * it has summed those: the columns of a head for a rotation by position, for a cache that lies by
 * heads. c itself never lies in memory. Changes nothing. */
#ifndef AIGC_PASSES_COLUMN_GROUPS_H
#define AIGC_PASSES_COLUMN_GROUPS_H

#include "passes/access.h"
#include "support/diag.h"

typedef struct column_groups {
    int64_t size;    /* columns of a group; 0: there are none, and */
    const char *why; /* says why */
} column_groups;

/* value: made of the contract by elementwise ops and moves, or an update that writes such a value.
 * is_leaf tells what else it is made of is in memory; the contract counts as such. panel: columns
 * of the product's weights that lie side by side. */
column_groups column_groups_of(ir_ctx *c, arena *a, const ir_node *product, const ir_node *value,
                               uint32_t panel, bool (*is_leaf)(void *data, const ir_node *n),
                               void *data);

/* Are the groups that kernels speak of (IR_ATTR_group) those of their products? In text from outside
 * they need not be: then false, with an error. */
bool column_groups_verify(const ir_graph *g, diag *d);

#endif
