/* What the passes share: walking a graph and its bodies, node by node. */
#ifndef AIGC_PASSES_REWRITE_H
#define AIGC_PASSES_REWRITE_H

#include "ir/build.h"
#include "passes/pass.h"
#include "support/map.h"
#include "support/vec.h"

/* Replaces one node: in are its new inputs, b builds into the new graph with the node's location.
 * NULL: copy it as it is (bodies rewritten). */
typedef const ir_node *(*rewrite_node)(void *data, ir_builder *b, const ir_node *n,
                                       const ir_node *const *in);

/* A new graph with every node replaced by fn's answer; bodies first, by the same fn. */
ir_graph *rewrite_graph(const ir_graph *g, rewrite_node fn, void *data);

/* A new graph whose loops are what fn makes of them; in: a loop's new inputs. All else is copied.
 */
typedef const ir_node *(*rewrite_loop)(pass_ctx *c, ir_graph *g, const ir_node *n,
                                       const ir_node *const *in);
ir_graph *rewrite_loops(pass_ctx *c, const ir_graph *g, rewrite_loop fn);

/* A new graph whose kernels have the attribute set to 1 where fn says so, [size], and to none, or 0,
 * elsewhere. fn is asked for the graph and for the bodies of its loops, where threads have met. */
typedef const bool *(*rewrite_mark)(pass_ctx *c, const ir_graph *g, bool in_loop);
ir_graph *rewrite_marks(pass_ctx *c, const ir_graph *g, ir_attr_key key, rewrite_mark fn);

/* Kernels of a graph and of the loops in it. */
uint32_t rewrite_count_kernels(const ir_graph *g);

/* new_of[old id] -> node of the new graph, in the new graph's arena. */
const ir_node **rewrite_inputs(const ir_graph *old, ir_graph *g);
const ir_node **rewrite_operands(ir_graph *g, const ir_node *n, const ir_node *const *new_of);

static inline bool rewrite_is_zero(const ir_dim *d)
{
    return ir_dim_is_value(d, 0);
}

#endif
