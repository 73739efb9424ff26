/* The C header that goes with a built object: a function for every entry. */
#ifndef AIGC_CLI_HEADER_H
#define AIGC_CLI_HEADER_H

#include "cli/compile.h"

/* Text, in the arena. source: the .aigc file's name, for the comment. */
const char *header_text(const ir_module *m, const char *symbol, const char *source, arena *a);

#endif
