/* Convolutions by tiles (emit_conv.c). */
#ifndef AIGC_BACKEND_EMIT_CONV_H
#define AIGC_BACKEND_EMIT_CONV_H

#include "backend/emit.h"

/* Is the nest a convolution that emit_conv can run? The plain nest emitter can run every one. */
bool emit_conv_can(const emit *e, const k_nest *n);
void emit_conv(emit *e, const k_nest *n);

#endif
