/* Running object code in this process (ORC LLJIT). */
#ifndef AIGC_BACKEND_JIT_H
#define AIGC_BACKEND_JIT_H

#include "runtime/abi.h"
#include "support/diag.h"

typedef struct jit jit;

/* Links an object that exports NAME_model; the bytes are copied. NULL, with an error in d, on
 * failure. */
jit *jit_create(const void *object, size_t size, const char *name, diag *d);
const aigc_abi_model *jit_model(const jit *j); /* lives as long as the jit */
void jit_destroy(jit *j);

#endif
