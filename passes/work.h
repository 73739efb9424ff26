/* How much an entry has to do, as formulas of its sizes: for choosing at a call how many threads
 * are worth waking, and for people. Estimates of cached work on a core of 16 lanes; right within a
 * small factor, which is all that choice needs.
 * Changes nothing. */
#ifndef AIGC_PASSES_WORK_H
#define AIGC_PASSES_WORK_H

#include "ir/graph.h"

enum { WORK_UNITS_PER_NS = 64 };

typedef struct work_estimate {
    const ir_dim *shared;   /* of kernels that threads divide, in 1/64 ns of one thread */
    const ir_dim *barriers; /* meetings of all threads in one call */
} work_estimate;

/* g: an entry's graph with kernels. An overflow dim where a formula is out of all proportion. */
work_estimate work_of_entry(const ir_graph *g);
/* Of one kernel, in 1/64 ns of one thread. */
const ir_dim *work_of_kernel(ir_ctx *c, const ir_node *kernel);

#endif
