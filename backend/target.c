#include "backend/target.h"
#include "runtime/aigc.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tables ------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name, *triple; /* beginning of triples; the whole of one */
    const char *alias[2];
} archs[] = {
    {"x86_64",  "x86_64-unknown-linux-gnu",  {"x86-64", "amd64"}},
    {"aarch64", "aarch64-unknown-linux-gnu", {"arm64"}          },
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

typedef enum level_id {
#define LEVEL(name, ...) LEVEL_##name,
#define CPU(...)
#define DOT(...)
#include "backend/cpus.def"
    N_LEVELS
} level_id;

static const struct {
    const char *arch, *feature;
    uint32_t lanes, registers, mask;
} levels[] = {
#define LEVEL(name, arch, lanes, registers, mask, feature) {#arch, feature, lanes, registers, mask},
#define CPU(...)
#define DOT(...)
#include "backend/cpus.def"
};

static const struct {
    const char *name;
    level_id level;
    uint32_t dots;
} cpus[] = {
#define LEVEL(...)
#define DOT(...)
#define CPU(name, level, dots) {name, LEVEL_##level, dots},
#include "backend/cpus.def"
};
enum { N_CPUS = sizeof cpus / sizeof *cpus };

static const struct {
    uint32_t bit;
    const char *arch, *features[4];
} dots[] = {
#define LEVEL(...)
#define CPU(...)
#define DOT(bit, arch, ...) {bit, #arch, {__VA_ARGS__}},
#include "backend/cpus.def"
};

static bool has_cpu(const char *arch, uint32_t i)
{
    return strcmp(levels[cpus[i].level].arch, arch) == 0;
}

/* N_CPUS when there is none of that name; NULL: the first. */
static uint32_t find_cpu(const char *arch, const char *name)
{
    uint32_t i = 0;
    while (i < N_CPUS && !(has_cpu(arch, i) && (!name || strcmp(cpus[i].name, name) == 0))) {
        i++;
    }
    return i;
}

static level_id level_of_features(const char *arch, const char *features)
{
    uint32_t i = 0;
    while (i + 1 < N_LEVELS &&
           (strcmp(levels[i].arch, arch) != 0 || !strstr(features, levels[i].feature))) {
        i++;
    }
    return (level_id)i;
}

/* The products beyond its level that a machine of these features has. */
static uint32_t dots_of_features(const char *arch, const char *features)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < sizeof dots / sizeof *dots; i++) {
        bool all = strcmp(dots[i].arch, arch) == 0;
        for (uint32_t k = 0; dots[i].features[k] && all; k++) {
            all = strstr(features, dots[i].features[k]) != NULL;
        }
        mask |= all ? dots[i].bit : 0;
    }
    return mask;
}

/* What is asked for -------------------------------------------------------------------------------
 */

typedef struct request {
    const char *triple, *arch;
    const char *cpu;       /* NULL: none is named */
    bool native, host_cpu; /* this machine's kind; its very CPU */
} request;

static bool is_named(const char *s)
{
    return s && strcmp(s, "native") != 0;
}

static const char *kept(arena *a, char *message)
{
    const char *s = arena_string(a, message ? message : "");
    if (message) {
        LLVMDisposeMessage(message);
    }
    return s;
}

static const char *arch_of(const char *triple)
{
    for (int i = 0; i < N_ARCHS; i++) {
        size_t n = strlen(archs[i].name);
        if (strncmp(triple, archs[i].name, n) == 0 && (triple[n] == '-' || triple[n] == 0)) {
            return archs[i].name;
        }
    }
    return NULL;
}

/* A bare name of an architecture stands for Linux on it. */
static const char *whole_triple(const char *triple, arena *a)
{
    for (int i = 0; i < N_ARCHS; i++) {
        bool named = strcmp(triple, archs[i].name) == 0;
        for (int k = 0; k < 2; k++) {
            named |= archs[i].alias[k] && strcmp(triple, archs[i].alias[k]) == 0;
        }
        if (named) {
            return archs[i].triple;
        }
    }
    return arena_string(a, triple);
}

static request ask(const char *triple, const char *cpu, arena *a)
{
    request r = {0};
    const char *host = kept(a, LLVMGetDefaultTargetTriple());
    r.native = !is_named(triple) || strcmp(triple, host) == 0;
    r.triple = r.native ? host : whole_triple(triple, a);
    r.arch = arch_of(r.triple);
    r.cpu = is_named(cpu) ? arena_string(a, cpu) : NULL;
    r.host_cpu = r.native && !r.cpu;
    if (r.native && r.cpu && r.arch &&
        find_cpu(r.arch, cpu) == N_CPUS) { /* its name, though not in the table */
        r.host_cpu = strcmp(cpu, kept(a, LLVMGetHostCPUName())) == 0;
    }
    return r;
}

static void unknown_target(const request *r, diag *d)
{
    static const char *const names[] = {"x86-64", "x86_64", "aarch64"};
    const char *near = diag_nearest(r->triple, names, sizeof names / sizeof *names);
    diag_error(d, (span){0}, "there is no target '%s': code is made for x86-64 and aarch64",
               r->triple);
    if (near) {
        diag_help(d, "did you mean '%s'?", near);
    } else {
        diag_help(d, "a target is one of these, or a triple such as aarch64-linux-gnu");
    }
}

static void unknown_cpu(const request *r, diag *d)
{
    const char *names[N_CPUS], *elsewhere = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_CPUS; i++) {
        if (has_cpu(r->arch, i)) {
            names[n++] = cpus[i].name;
        } else if (strcmp(cpus[i].name, r->cpu) == 0) {
            elsewhere = levels[cpus[i].level].arch;
        }
    }
    const char *near = diag_nearest(r->cpu, names, n);
    diag_error(d, (span){0}, "there is no cpu '%s' of %s", r->cpu, r->arch);
    if (elsewhere) {
        diag_help(d, "it is one of %s, compiled for with: aigc build --target %s", elsewhere,
                  elsewhere);
    } else if (near) {
        diag_help(d, "did you mean '%s'? --cpu help lists all", near);
    } else {
        diag_help(d, "--cpu help lists all");
    }
}

static bool is_known(const request *r, diag *d)
{
    if (!r->arch) {
        unknown_target(r, d);
        return false;
    }
    if (r->cpu && !r->host_cpu && find_cpu(r->arch, r->cpu) == N_CPUS) {
        unknown_cpu(r, d);
        return false;
    }
    return true;
}

bool target_is_known(const char *triple, const char *cpu, arena *a, diag *d)
{
    request r = ask(triple, cpu, a);
    return is_known(&r, d);
}

const char *target_cpu_list(const char *triple, arena *a)
{
    request r = ask(triple, NULL, a);
    char *text = NULL;
    size_t size = 0, column = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return "";
    }
    fprintf(f, "cpus of %s:\n", r.arch);
    for (uint32_t i = 0; i < N_CPUS; i++) {
        if (has_cpu(r.arch, i)) {
            bool wrap = column + strlen(cpus[i].name) > 76;
            fprintf(f, "%s %s", wrap ? "\n " : column ? "" : " ", cpus[i].name);
            column = (wrap || !column ? 2 : column) + strlen(cpus[i].name) + 1;
        }
    }
    if (r.native) {
        fprintf(f, "\nthis machine's, when none is named: %s", kept(a, LLVMGetHostCPUName()));
    }
    fprintf(f, "\n");
    fclose(f);
    const char *out = arena_string_n(a, text, size);
    free(text);
    return out;
}

/* Targets -----------------------------------------------------------------------------------------
 */

static void initialize(const char *arch)
{
    if (strcmp(arch, "aarch64") == 0) {
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
}

target *target_create(const char *triple, const char *cpu, int opt_level, arena *a, diag *d)
{
    request r = ask(triple, cpu, a);
    if (!is_known(&r, d)) {
        return NULL;
    }
    initialize(r.arch);
    target *t = arena_new(a, target);
    t->triple = r.triple;
    uint32_t named = find_cpu(r.arch, r.cpu);
    t->cpu = r.host_cpu ? kept(a, LLVMGetHostCPUName()) : cpus[named].name;
    t->features = r.host_cpu ? kept(a, LLVMGetHostCPUFeatures()) : "";
    level_id level = r.host_cpu ? level_of_features(r.arch, t->features) : cpus[named].level;
    t->lanes = levels[level].lanes;
    t->panel = 2 * t->lanes;
    t->registers = levels[level].registers;
    t->channels = t->registers >= 32 ? 8 : 4;
    t->cpu_mask = levels[level].mask |
                  (r.host_cpu ? dots_of_features(r.arch, t->features) & aigc_cpu_features()
                              : cpus[named].dots);
    LLVMTargetRef found;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(t->triple, &found, &message)) {
        diag_error(d, (span){0}, "target '%s' is not known: %s", t->triple, message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMCodeGenOptLevel how = opt_level == 0 ? LLVMCodeGenLevelNone : LLVMCodeGenLevelDefault;
    t->machine = LLVMCreateTargetMachine(found, t->triple, t->cpu, t->features, how, LLVMRelocPIC,
                                         LLVMCodeModelDefault);
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
