/* A model that is interpreted (ir/eval.h), as the runtime sees compiled ones: every entry's
 * functions are closures over the interpreter. Slow; for checking. */
#ifndef AIGC_CLI_INTERPRET_H
#define AIGC_CLI_INTERPRET_H

#include "ir/module.h"
#include "runtime/abi.h"

typedef struct interpreter interpreter;

/* The module's graphs as they are; parameters are wanted dense, in rows, of their own types. The
 * model lives in a, and until the interpreter is destroyed. NULL on lack of memory. */
interpreter *interpreter_create(ir_module *m, arena *a);
void interpreter_destroy(interpreter *t);
const aigc_abi_model *interpreter_model(const interpreter *t);
/* Why the last run of an entry failed; NULL when it did not. Its results are zero then. */
const char *interpreter_error(const interpreter *t);

#endif
