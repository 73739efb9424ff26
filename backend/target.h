/* What the backend knows of a machine: facts, and LLVM's target machine. */
#ifndef AIGC_BACKEND_TARGET_H
#define AIGC_BACKEND_TARGET_H

#include "runtime/abi.h"
#include "support/diag.h"

#include <llvm-c/TargetMachine.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct target {
    const char *triple, *cpu, *features;
    uint32_t lanes;     /* f32 in a vector register: what vector code is written for */
    uint32_t panel;     /* columns of a packed weight that lie side by side */
    uint32_t channels;  /* of y, of a convolution's packed weights that do */
    uint32_t registers; /* vector registers */
    uint32_t cpu_mask;  /* AIGC_CPU_ features the code may use and will need (runtime/abi.h) */
    bool emulate_tiles; /* tests: has tile registers, of plain memory (backend/emit_tiles.h) */
    bool watch_threads; /* tests: code tells the thread sanitizer what it does (backend/watch.h) */
    LLVMTargetMachineRef machine;
} target;

/* Has it all of these AIGC_CPU_ features? */
static inline bool target_has(const target *t, uint32_t features)
{
    return (t->cpu_mask & features) == features;
}

/* Has it dot products of pairs of bf16? What they take is then packed as bf16, else as f32. */
static inline bool target_bf16_dots(const target *t)
{
    return t->lanes == 16 && target_has(t, AIGC_CPU_AVX512_BF16);
}

/* triple NULL or "native": the host; else x86-64, aarch64 or a triple that begins with one of them.
 * cpu NULL or "native": the host's, or the baseline of another; else a name of cpus.def. NULL, with
 * an error in d, when there is no such target or CPU. */
target *target_create(const char *triple, const char *cpu, int opt_level, arena *a, diag *d);
void target_destroy(target *t);

/* Could it be created? An error in d when not. */
bool target_is_known(const char *triple, const char *cpu, arena *a, diag *d);
/* The names of CPUs that the target has, as lines of text in the arena. The target must be known.
 */
const char *target_cpu_list(const char *triple, arena *a);

#endif
