/* Inside the memory planner: prepare (copies where a value cannot be where it must), lifetimes,
 * packing. docs/kernels.md section 4 says what comes out. */
#ifndef AIGC_PASSES_PLAN_H
#define AIGC_PASSES_PLAN_H

#include "passes/pass.h"
#include "passes/values.h"
#include "support/map.h"
#include "support/vec.h"

/* Preparing: afterwards every update's result may share the buffer of what it updates; a loop's
 * carry may share one buffer from its initial value to its result; and every output is a value that
 * may be made right in its place. Inserted copies are kernels with all threads meeting before them,
 * but for those at the end of a turn where every thread copies what it made. zeros: kernels (of the
 * new graph) that clear what a loop collects, as it may end early; each is mapped to its loop node,
 * the result's number in `zero_result`. */
typedef struct plan_zero {
    const ir_node *kernel, *loop;
    uint32_t result;
} plan_zero;
typedef struct plan_prepared {
    ir_graph *g;
    VEC(plan_zero) zeros;
} plan_prepared;
plan_prepared *plan_prepare(pass_ctx *c, const ir_graph *g);

/* May result r of a kernel be written over operand i, element by element? */
bool plan_may_overwrite(ir_ctx *c, arena *a, const ir_node *kernel, uint32_t operand, uint32_t r);

/* A planned graph at stage KERNEL again, as text from outside is not believed; plan_forget.c. */
ir_graph *plan_forget(pass_ctx *c, const ir_graph *g);

/* Packing: buffers with lifetimes get offsets in one arena. */
typedef struct plan_interval {
    uint32_t begin, end; /* times, both within */
} plan_interval;
typedef struct plan_buffer {
    const ir_dim *bytes; /* rounded up to 64 */
    VEC(plan_interval) live;
    int64_t likely; /* bytes at likely sizes, for deciding */
    const ir_dim *at;
} plan_buffer;
/* Sets every buffer's `at`; returns the arena's size. */
const ir_dim *plan_pack(ir_ctx *c, arena *a, plan_buffer **buffers, uint32_t n);
/* A guess of what a size will be: for weighing, never for correctness. */
int64_t plan_likely(const ir_dim *d);

#endif
