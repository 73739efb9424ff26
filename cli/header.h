/* The C header that goes with a built object: for every entry a function that calls it, and one
 * that tells how much arena it needs. */
#ifndef AIGC_CLI_HEADER_H
#define AIGC_CLI_HEADER_H

#include "cli/compile.h"

/* Text, in the arena. source: the .aigc file's name, for the comment. */
const char *header_text(const ir_module *m, const char *symbol, const char *source, arena *a);
/* What must hold of the sizes: as the user wrote it and, where that names hyper-parameters, with
 * their values. */
const char *header_condition(const ir_graph *g, const ir_condition *k, ir_ctx *c, arena *a);

#endif
