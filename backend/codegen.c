#include "backend/codegen.h"

#include <string.h>

typedef struct emission {
    LLVMContextRef ctx;
    LLVMModuleRef m; /* NULL, with an error in the diagnostics */
} emission;

static emission begin(const k_module *k, const module_options *o, const target *t, diag *d)
{
    emission e = {.ctx = LLVMContextCreate()};
    e.m = module_emit(k, o, t, e.ctx, d);
    return e;
}

static void end(emission *e)
{
    if (e->m) {
        LLVMDisposeModule(e->m);
    }
    LLVMContextDispose(e->ctx);
}

static const void *compiled(const k_module *k, const module_options *o, const target *t,
                            bool assembly, arena *a, diag *d, size_t *size)
{
    emission e = begin(k, o, t, d);
    LLVMMemoryBufferRef b = e.m ? module_compile(e.m, t, assembly, d) : NULL;
    const void *out = NULL;
    if (b) {
        *size = LLVMGetBufferSize(b);
        out = arena_string_n(a, LLVMGetBufferStart(b), *size);
        LLVMDisposeMemoryBuffer(b);
    }
    end(&e);
    return out;
}

static const void *object(const k_module *k, const module_options *o, const target *t, arena *a,
                          diag *d, size_t *size)
{
    return compiled(k, o, t, false, a, d, size);
}

static const char *text(const k_module *k, const module_options *o, const target *t,
                        const char *kind, arena *a, diag *d)
{
    if (strcmp(kind, "asm") == 0) {
        size_t size;
        return compiled(k, o, t, true, a, d, &size);
    }
    emission e = begin(k, o, t, d);
    const char *out = NULL;
    if (e.m) {
        char *printed = LLVMPrintModuleToString(e.m);
        out = arena_string(a, printed);
        LLVMDisposeMessage(printed);
    }
    end(&e);
    return out;
}

const codegen codegen_llvm = {
    .target_create = target_create,
    .target_destroy = target_destroy,
    .target_is_known = target_is_known,
    .target_cpu_list = target_cpu_list,
    .object = object,
    .text = text,
    .link = {jit_llvm_create, jit_llvm_model, jit_llvm_destroy},
};
