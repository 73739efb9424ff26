/* Values of one graph at the kernel stage: what is kept in memory. Reshapes and gets are views of
 * the value they come from. Numbers are dense: side tables are arrays. */
#ifndef AIGC_PASSES_VALUES_H
#define AIGC_PASSES_VALUES_H

#include "ir/graph.h"

#include <stdbool.h>

typedef struct value_table {
    const ir_graph *g;
    uint32_t n;
    uint32_t *first;       /* [size] number of a node's first result; of views: of what they show */
    const ir_node **nodes; /* [n] */
    uint32_t *results;     /* [n] which result of the node */
} value_table;

value_table *values_create(const ir_graph *g, arena *a);
/* The value a node with one result (or a view) stands for. */
static inline uint32_t values_of(const value_table *t, const ir_node *n)
{
    return t->first[n->id];
}
static inline const ir_type *values_type(const value_table *t, uint32_t v)
{
    return t->nodes[v]->types[t->results[v]];
}

/* Nodes at which something happens: kernels, loops, calls. */
static inline bool values_is_item(const ir_node *n)
{
    return n->op == IR_OP_kernel || n->op == IR_OP_loop || n->op == IR_OP_extern;
}
/* The operand whose buffer result r of the kernel updates, or -1. */
int64_t values_inplace(const ir_node *kernel, uint32_t r);

#endif
