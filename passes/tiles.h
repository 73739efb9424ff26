/* Products that the backend makes by tiles of rows and columns, with a parameter in panels for
 * their columns, and what may join them there besides an epilogue:
 *
 *     norm    rows are normed while they are packed: every thread finds the statistics of the rows
 *             that it needs, so that nobody waits for a norm
 *     twin    a second product of the same rows: its sums are kept in registers beside the first's
 *
 * Shapes: rows [..., k], the parameter [n, k] or [k, n], the product [..., n]. */
#ifndef AIGC_PASSES_TILES_H
#define AIGC_PASSES_TILES_H

#include "ir/module.h"
#include "support/map.h"

typedef struct tiles {
    const ir_module *m;
    map *captured; /* input of a loop's body -> the parameter that it is */
} tiles;

void tiles_init(tiles *t, const ir_module *m, arena *a);
/* To be called for a loop before its body is looked at. */
void tiles_enter(tiles *t, const ir_node *loop);
/* The operand that gives the rows, or NULL when the product is not made by tiles. */
const ir_node *tiles_rows(const tiles *t, const ir_node *product);
/* A norm along the rows of its only operand that is not a weight. */
bool tiles_is_norm(const ir_node *n);
/* Do both read the same rows, and have results alike? */
bool tiles_are_twins(const tiles *t, const ir_node *x, const ir_node *y);

#endif
