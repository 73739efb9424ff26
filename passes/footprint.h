/* What memory a kernel of a planned graph reads and writes. */
#ifndef AIGC_PASSES_FOOTPRINT_H
#define AIGC_PASSES_FOOTPRINT_H

#include "ir/graph.h"
#include "support/vec.h"

typedef struct stretch {
    const char *space; /* interned; what nobody writes is not looked at */
    const ir_dim *at;
} stretch;

typedef struct footprint {
    VEC(stretch) reads;
    VEC(stretch) writes;
} footprint;

footprint footprint_of(arena *a, const ir_node *kernel);
/* Does either write what the other reads or writes? */
bool footprints_meet(const footprint *x, const footprint *y);

#endif
