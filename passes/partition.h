/* How work is divided among threads (docs/kernels.md, section 3). */
#ifndef AIGC_PASSES_PARTITION_H
#define AIGC_PASSES_PARTITION_H

#include "ir/graph.h"

/* split and grain of a plain map over a shape: along its outermost axis that is worth it. */
void partition_map_split(const ir_type *t, ir_attr *split, ir_attr *grain);

#endif
