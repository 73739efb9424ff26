/* What of the backend needs LLVM, as one table: all that stands between the kernel IR and object
 * code. Programs that link the backend have it in them; the command loads it from a file of its
 * own when it has something to compile, since LLVM alone takes 60 ms to load. */
#ifndef AIGC_BACKEND_CODEGEN_H
#define AIGC_BACKEND_CODEGEN_H

#include "backend/jit.h"
#include "backend/module.h"

typedef struct codegen {
    target *(*target_create)(const char *triple, const char *cpu, int opt_level, arena *a, diag *d);
    void (*target_destroy)(target *t);
    bool (*target_is_known)(const char *triple, const char *cpu, arena *a, diag *d);
    const char *(*target_cpu_list)(const char *triple, arena *a);
    /* Object code; "asm" or "llvm": text, zero-terminated. In the arena; NULL, with an error in d,
     * on failure. */
    const void *(*object)(const k_module *k, const module_options *o, const target *t, arena *a,
                          diag *d, size_t *size);
    const char *(*text)(const k_module *k, const module_options *o, const target *t,
                        const char *kind, arena *a, diag *d);
    jit_linker link; /* of objects that backend/image.h cannot link */
} codegen;

/* NULL, with an error in d, where it cannot be loaded. */
const codegen *codegen_get(diag *d);

/* The file that it is in, or would be; NULL where it is linked in. Lives as long as the process. */
const char *codegen_path(void);

/* The table's name in the file that the command loads. */
extern const codegen codegen_llvm;

#endif
