/* The steps of a nest at points of its outer axes: several at once, so that what they load is
 * loaded once. */
#ifndef AIGC_BACKEND_EMIT_STEPS_H
#define AIGC_BACKEND_EMIT_STEPS_H

#include "backend/emit.h"
#include "backend/schedule.h"

enum { NEST_MOST_POINTS = 32 };

typedef struct nest_emitter {
    emit *e;
    const k_nest *n;
    schedule s;
    uint32_t n_points;
    struct {
        LLVMValueRef v_axes[2]; /* of the last two outer axes */
        emit_value *reduced; /* [n->n_steps] */
    } points[NEST_MOST_POINTS];
} nest_emitter;

nest_emitter *emit_steps_begin(emit *e, const k_nest *n);
/* All steps, in order, at the points that q has. */
void emit_steps(nest_emitter *q);

#endif
