/* Is a graph what its stage allows? Checks every node against its shape rule, ids against order,
 * attributes against the table, bodies, outputs, names of symbols, and the stage's own rules. */
#ifndef AIGC_IR_VERIFY_H
#define AIGC_IR_VERIFY_H

#include "ir/module.h"
#include "support/diag.h"

/* Reports every violation to d (at the node's location, with the node as text). True when none. */
bool ir_verify_graph(const ir_graph *g, ir_stage stage, diag *d);
bool ir_verify_module(const ir_module *m, diag *d);

#endif
