/* The IR as text (.air): printed and re-read at every stage. The grammar is in docs/ir.md.
 * Printing what was read gives the same text. */
#ifndef AIGC_IR_TEXT_H
#define AIGC_IR_TEXT_H

#include "ir/module.h"
#include "support/diag.h"

#include <stdio.h>

/* Text in the arena. */
const char *ir_print_module(const ir_module *m, arena *a);
const char *ir_print_graph(const ir_graph *g, arena *a);
const char *ir_print_node(const ir_node *n, arena *a); /* one line, for messages */

/* Reads a module; NULL, with errors in d, when the text is not well formed. Everything read is also
 * type-checked by the shape rules, so that later code meets no ill-typed node. */
ir_module *ir_read_module(ir_ctx *c, diag *d, const source_file *f);

#endif
