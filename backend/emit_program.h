/* Entries: bind, sizes, cost and run, as runtime/abi.h describes them. */
#ifndef AIGC_BACKEND_EMIT_PROGRAM_H
#define AIGC_BACKEND_EMIT_PROGRAM_H

#include "backend/emit.h"
#include "backend/module.h"

typedef struct emit_entry {
    LLVMValueRef bind, sizes, cost, run;
    const ir_dim *barriers; /* in one call */
} emit_entry;

/* kernels: functions by kernel id. first_slot: of each parameter in the parameter table. */
emit_entry emit_program(emit *e, const k_module *m, const k_program *p, LLVMValueRef *kernels,
                        const uint32_t *first_slot, const module_options *o);
/* A constant's bytes as a private global, one a datum. */
LLVMValueRef emit_data(emit *e, const ir_data *d);

#endif
