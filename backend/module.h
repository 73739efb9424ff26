/* From kernels and programs to LLVM, object code and the descriptor of runtime/abi.h. */
#ifndef AIGC_BACKEND_MODULE_H
#define AIGC_BACKEND_MODULE_H

#include "backend/kernel.h"
#include "backend/target.h"

#include <llvm-c/Core.h>

typedef struct module_options {
    const char *name; /* the symbol is NAME_model */
    int opt_level;    /* 0: no passes, 1 and 2: a light pipeline, 3: LLVM's default<O3> */
    bool profile;     /* calls the profile hook before every kernel */
} module_options;

/* Owned by the caller. NULL, with an error in d, when LLVM's verifier finds a mistake of ours. */
LLVMModuleRef module_emit(const k_module *k, const module_options *o, const target *t,
                          LLVMContextRef ctx, diag *d);
/* Object code (or assembly text); owned by the caller (LLVMDisposeMemoryBuffer). NULL on failure.
 */
LLVMMemoryBufferRef module_compile(LLVMModuleRef m, const target *t, bool assembly, diag *d);

#endif
