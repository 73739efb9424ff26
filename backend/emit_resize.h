/* Up- and down-sampling, a row at a time (emit_resize.c). */
#ifndef AIGC_BACKEND_EMIT_RESIZE_H
#define AIGC_BACKEND_EMIT_RESIZE_H

#include "backend/emit.h"

/* A nest with n->resize whose rows grow by a whole factor, or are of known and moderate sizes;
 * false of others, which the plain nest emitter runs. */
bool emit_resize(emit *e, const k_nest *n);

#endif
