#include "backend/jit.h"

#include <llvm-c/Core.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <stdio.h>
#include <stdlib.h>

struct jit_llvm {
    LLVMOrcLLJITRef lljit;
    const aigc_abi_model *model;
};

static bool failed(LLVMErrorRef error, diag *d, const char *what)
{
    if (!error) {
        return false;
    }
    char *message = LLVMGetErrorMessage(error);
    diag_error(d, (span){0}, "%s: %s", what, message);
    LLVMDisposeErrorMessage(message);
    return true;
}

jit_llvm *jit_llvm_create(const void *object, size_t size, const char *name, diag *d)
{
    jit_llvm *j = calloc(1, sizeof *j);
    if (!j) {
        return NULL;
    }
    LLVMInitializeNativeTarget();
    LLVMInitializeNativeAsmPrinter();
    if (failed(LLVMOrcCreateLLJIT(&j->lljit, NULL), d, "the JIT cannot be set up")) {
        free(j);
        return NULL;
    }
    LLVMOrcJITDylibRef lib = LLVMOrcLLJITGetMainJITDylib(j->lljit);
    LLVMOrcDefinitionGeneratorRef process;
    char prefix = LLVMOrcLLJITGetGlobalPrefix(j->lljit);
    if (failed(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&process, prefix, NULL, NULL),
               d, "the JIT cannot see this process")) {
        jit_llvm_destroy(j);
        return NULL;
    }
    LLVMOrcJITDylibAddGenerator(lib, process);
    LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(object, size, name);
    LLVMOrcExecutorAddress at;
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_model", name);
    if (failed(LLVMOrcLLJITAddObjectFile(j->lljit, lib, copy), d,
               "the JIT cannot link the model") ||
        failed(LLVMOrcLLJITLookup(j->lljit, &at, symbol), d, "the JIT cannot find the model")) {
        jit_llvm_destroy(j);
        return NULL;
    }
    j->model = (const aigc_abi_model *)(uintptr_t)at;
    return j;
}

const aigc_abi_model *jit_llvm_model(const jit_llvm *j)
{
    return j->model;
}

void jit_llvm_destroy(jit_llvm *j)
{
    if (j) {
        LLVMErrorRef error = LLVMOrcDisposeLLJIT(j->lljit);
        if (error) {
            LLVMConsumeError(error);
        }
        free(j);
    }
}
