/* What recognising passes share: questions about nodes, and replacing what was recognised. */
#ifndef AIGC_PASSES_MATCH_H
#define AIGC_PASSES_MATCH_H

#include "passes/rewrite.h"

/* Nodes met on the way from a pattern's result to its operands: nobody else may need them. */
typedef struct match_inside {
    uint32_t n;
    const ir_node *at[16];
} match_inside;

/* Adds a node that the pattern swallows; always true, to stand in conditions. */
bool match_swallow(match_inside *s, const ir_node *n);
/* Is every swallowed node read by the result and other swallowed ones only? uses:
 * ir_graph_use_counts. */
bool match_closed(const match_inside *s, const ir_node *result, const uint32_t *uses);

/* The op's only reduction axes, or NULL: n is such a reduction, or a reshape of one that puts the
 * reduced axes back. */
const ir_attr *match_axes(const ir_node *n, ir_op op);
/* What n reduces, when it is `op` over these axes and has them kept as 1 (by keep, or by a
 * reshape). Swallows what it goes over. NULL: n is something else. */
const ir_node *match_kept(const ir_node *n, ir_op op, const ir_attr *axes, match_inside *s);
/* The operands of a commutative op such that the second is of the given op. */
bool match_either(const ir_node *n, ir_op op, const ir_node **other, const ir_node **found);
/* A float constant of one value for all elements. */
bool match_splat(const ir_node *n, double *value);

/* Answers with the node that stands for n, built by b from nodes of the new graph, or NULL. */
typedef const ir_node *(*match_replace)(ir_builder *b, const ir_node *n, const uint32_t *uses,
                                        const ir_node *const *new_of);
/* Every node, loops' bodies included, goes through fn; what is no longer needed goes. */
ir_graph *match_graph(pass_ctx *c, const ir_graph *g, match_replace fn);

#endif
