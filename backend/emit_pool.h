/* Pooling, a vector of places at a time (emit_pool.c). */
#ifndef AIGC_BACKEND_EMIT_POOL_H
#define AIGC_BACKEND_EMIT_POOL_H

#include "backend/emit.h"

/* A nest with n->pool. The plain nest emitter can run every one, too. */
void emit_pool(emit *e, const k_nest *n);

#endif
