/* Tests built with the thread sanitizer: generated code tells it what it reads and writes, so that
 * races between parts of a kernel, or between kernels that no meeting parts, are found where they
 * happen. What the runtime does the sanitizer sees by itself. */
#ifndef AIGC_BACKEND_WATCH_H
#define AIGC_BACKEND_WATCH_H

#include "support/diag.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>

/* After all other passes. False, with an error in d, when LLVM fails. */
bool watch_threads(LLVMModuleRef m, LLVMTargetMachineRef machine, diag *d);

#endif
