/* For programs that have LLVM linked in; the command has cli/codegen_load.c in this one's place. */
#include "backend/codegen.h"

const codegen *codegen_get(diag *d)
{
    (void)d;
    return &codegen_llvm;
}

const char *codegen_path(void)
{
    return NULL;
}
