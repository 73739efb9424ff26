/* Maps that turn a matrix round: what is written along one axis is read along another
 * (emit_turn.c). */
#ifndef AIGC_BACKEND_EMIT_TURN_H
#define AIGC_BACKEND_EMIT_TURN_H

#include "backend/emit.h"

/* False, with nothing emitted, when the nest is none. The plain nest emitter can run every one. */
bool emit_turn(emit *e, const k_nest *n);

#endif
