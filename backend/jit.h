/* Running object code in this process. Objects made here hold few kinds of relocations and are
 * linked by backend/image.h; what it does not know is left to LLVM's linker (ORC LLJIT). */
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

/* The same by LLVM. */
typedef struct jit_llvm jit_llvm;
jit_llvm *jit_llvm_create(const void *object, size_t size, const char *name, diag *d);
const aigc_abi_model *jit_llvm_model(const jit_llvm *j);
void jit_llvm_destroy(jit_llvm *j);

typedef struct jit_linker {
    jit_llvm *(*create)(const void *object, size_t size, const char *name, diag *d);
    const aigc_abi_model *(*model)(const jit_llvm *j);
    void (*destroy)(jit_llvm *j);
} jit_linker;

#endif
