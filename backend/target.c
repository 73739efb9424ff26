#include "backend/target.h"
#include "runtime/abi.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <string.h>

/* What a feature string says about vectors, widest first. */
static const struct {
    const char *arch;    /* the triple begins with */
    const char *feature;
    uint32_t lanes, registers, mask;
} levels[] = {
    {"x86_64",  "+avx512bw", 16, 32, AIGC_CPU_AVX512 | AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C},
    {"x86_64",  "+avx2",     8,  16, AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C                  },
    {"x86_64",  "",          4,  16, 0                                                  },
    {"aarch64", "",          4,  32, 0                                                  },
    {"",        "",          4,  16, 0                                                  },
};

static bool initialized(const char *triple)
{
    if (strncmp(triple, "aarch64", 7) == 0) {
        LLVMInitializeAArch64TargetInfo();
        LLVMInitializeAArch64Target();
        LLVMInitializeAArch64TargetMC();
        LLVMInitializeAArch64AsmPrinter();
    } else {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
        LLVMInitializeX86AsmParser();
    }
    return true;
}

static const char *kept(arena *a, char *message)
{
    const char *s = arena_string(a, message ? message : "");
    if (message) {
        LLVMDisposeMessage(message);
    }
    return s;
}

/* Features of a named x86-64 level, so that facts can be read off the string. */
static const char *level_features(const char *cpu)
{
    if (strcmp(cpu, "x86-64-v3") == 0) {
        return "+avx2,+fma,+f16c,+bmi,+bmi2";
    }
    if (strcmp(cpu, "x86-64-v4") == 0) {
        return "+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd";
    }
    return "";
}

target *target_create(const char *triple, const char *cpu, int opt_level, arena *a, diag *d)
{
    target *t = arena_new(a, target);
    char *host = LLVMGetDefaultTargetTriple();
    bool native = !triple || strcmp(triple, "native") == 0 || strcmp(triple, host) == 0;
    t->triple = native ? arena_string(a, host) : strcmp(triple, "aarch64") == 0 ? "aarch64-unknown-linux-gnu"
                : strcmp(triple, "x86-64") == 0 || strcmp(triple, "x86_64") == 0 ? "x86_64-unknown-linux-gnu"
                                                                                  : arena_string(a, triple);
    LLVMDisposeMessage(host);
    (void)initialized(t->triple);
    bool host_cpu = native && (!cpu || strcmp(cpu, "native") == 0);
    t->cpu = host_cpu ? kept(a, LLVMGetHostCPUName()) : cpu && strcmp(cpu, "native") != 0 ? arena_string(a, cpu)
             : strncmp(t->triple, "x86_64", 6) == 0                                       ? "x86-64"
                                                                                          : "generic";
    t->features = host_cpu ? kept(a, LLVMGetHostCPUFeatures()) : level_features(t->cpu);
    for (uint32_t i = 0; i < sizeof levels / sizeof *levels && !t->lanes; i++) {
        if (strncmp(t->triple, levels[i].arch, strlen(levels[i].arch)) == 0 && strstr(t->features, levels[i].feature)) {
            t->lanes = levels[i].lanes;
            t->panel = 2 * t->lanes;
            t->registers = levels[i].registers;
            t->cpu_mask = levels[i].mask;
        }
    }
    LLVMTargetRef found;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &found, &message)) {
        diag_error(d, (span){0}, "target '%s' is not known: %s", t->triple, message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMCodeGenOptLevel level = opt_level == 0 ? LLVMCodeGenLevelNone : LLVMCodeGenLevelDefault;
    t->machine = LLVMCreateTargetMachine(found, t->triple, t->cpu, t->features, level, LLVMRelocPIC, LLVMCodeModelDefault);
    if (!t->machine) {
        diag_error(d, (span){0}, "no code can be made for '%s', cpu '%s'", t->triple, t->cpu);
        return NULL;
    }
    return t;
}

void target_destroy(target *t)
{
    if (t && t->machine) {
        LLVMDisposeTargetMachine(t->machine);
        t->machine = NULL;
    }
}
