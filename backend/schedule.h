/* How a nest is run: which axis lies across lanes, how many points are worked on together. Data,
 * decided apart from the emitters. */
#ifndef AIGC_BACKEND_SCHEDULE_H
#define AIGC_BACKEND_SCHEDULE_H

#include "backend/kernel.h"
#include "backend/target.h"

typedef enum schedule_lanes {
    SCHEDULE_SCALAR,
    SCHEDULE_INNER, /* the last axis of each step: rows, dot products */
    SCHEDULE_OUTER  /* the last outer axis: points side by side */
} schedule_lanes;

typedef struct schedule {
    schedule_lanes lanes;
    /* Points worked on together along the last two outer axes (with OUTER lanes: vectors of the
     * last). */
    uint32_t jam_rows, jam_cols;
    /* The columns' loop around the rows': a block of columns of the second operand stays in cache
     * while all rows pass by, where the other order would fetch the whole operand for every block
     * of rows. */
    bool cols_first;
    uint32_t unroll; /* accumulators of a reduction along inner lanes */
} schedule;

schedule schedule_nest(ir_ctx *c, arena *a, const k_nest *n, const target *t);

#endif
