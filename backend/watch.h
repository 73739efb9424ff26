/* Tests built with the thread sanitizer: generated code tells it what it reads and writes, so that
 * races between parts of a kernel, or between kernels that no meeting parts, are found where they
 * happen. What the runtime does the sanitizer sees by itself. */
#ifndef AIGC_BACKEND_WATCH_H
#define AIGC_BACKEND_WATCH_H

#include <llvm-c/Core.h>

/* What the sanitizer's own pass leaves out; after all others, and before that one. */
void watch_threads(LLVMModuleRef m);

#endif
