/* What computing and reading values costs, for weighing one kernel against two. Units: one load of
 * an element from cache-resident memory. */
#ifndef AIGC_PASSES_FUSE_COST_H
#define AIGC_PASSES_FUSE_COST_H

#include "ir/graph.h"

enum { FUSE_LAUNCH = 2000 }; /* a kernel more: its call and, often, a meeting of all threads */

/* Arithmetic for one element of the node, operands given. */
double fuse_op_cost(const ir_node *n);
/* Elements of a shape at likely sizes. */
double fuse_elems(const ir_type *t);
double fuse_extent(const ir_dim *d);

/* Arithmetic and loads for one element of a value when everything below it that may be is computed
 * in the same kernel; [size] each. A value with several users counts as loaded, if it is dear. */
typedef struct fuse_tree {
    double *ops, *loads;
} fuse_tree;
fuse_tree fuse_tree_costs(const ir_graph *g, const uint32_t *uses, arena *a);

/* Elementwise, moves, and values made from nothing: may be computed in any kernel that reads them.
 */
bool fuse_is_pointwise(const ir_node *n);
/* A division or remainder of an axis: reads are gathered one by one. */
bool fuse_has_division(const ir_dim *d);

#endif
