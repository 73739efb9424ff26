#include "backend/watch.h"

#include <llvm-c/Target.h>
#include <stdbool.h>
#include <string.h>

/* What the sanitizer's pass leaves out: it knows accesses of up to 16 bytes, and none that are
 * under a mask. */
enum { WIDE = 16 };

typedef struct watcher {
    LLVMContextRef ctx;
    LLVMModuleRef module;
    LLVMTargetDataRef layout;
    LLVMBuilderRef b;
    LLVMValueRef v_nowhere; /* memory of the function's own: where lanes that are off look */
} watcher;

/* __tsan_read_range(ptr, i64 bytes), __tsan_write_range. */
static void tell(const watcher *w, bool writes, LLVMValueRef v_at, uint64_t bytes)
{
    const char *name = writes ? "__tsan_write_range" : "__tsan_read_range";
    LLVMTypeRef i64 = LLVMInt64TypeInContext(w->ctx);
    LLVMTypeRef types[2] = {LLVMPointerTypeInContext(w->ctx, 0), i64};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(w->ctx), types, 2, false);
    LLVMValueRef f = LLVMGetNamedFunction(w->module, name);
    f = f ? f : LLVMAddFunction(w->module, name, type);
    LLVMValueRef args[2] = {v_at, LLVMConstInt(i64, bytes, false)};
    LLVMBuildCall2(w->b, type, f, args, 2, "");
}

/* llvm.masked.load(ptr, align, mask, else), .store(value, ptr, align, mask), and .gather and
 * .scatter, whose pointers are as many as lanes. */
static void watch_masked(const watcher *w, LLVMValueRef v, bool writes)
{
    LLVMValueRef v_at = LLVMGetOperand(v, writes ? 1 : 0),
                 v_mask = LLVMGetOperand(v, writes ? 3 : 2);
    LLVMTypeRef i64 = LLVMInt64TypeInContext(w->ctx),
                t = LLVMTypeOf(writes ? LLVMGetOperand(v, 0) : v), element = LLVMGetElementType(t);
    bool apart = LLVMGetTypeKind(LLVMTypeOf(v_at)) == LLVMVectorTypeKind;
    for (unsigned i = 0; i < LLVMGetVectorSize(t); i++) {
        LLVMValueRef v_i = LLVMConstInt(i64, i, false);
        LLVMValueRef v_on = LLVMBuildExtractElement(w->b, v_mask, v_i, "");
        LLVMValueRef v_one = apart ? LLVMBuildExtractElement(w->b, v_at, v_i, "")
                                   : LLVMBuildGEP2(w->b, element, v_at, &v_i, 1, "");
        tell(w, writes, LLVMBuildSelect(w->b, v_on, v_one, w->v_nowhere, ""),
             LLVMStoreSizeOfType(w->layout, element));
    }
}

static void watch_call(const watcher *w, LLVMValueRef v)
{
    static const struct {
        const char *name;
        bool writes;
    } masked[] = {
        {"llvm.masked.load",    false},
        {"llvm.masked.gather",  false},
        {"llvm.masked.store",   true },
        {"llvm.masked.scatter", true },
    };
    size_t n;
    const char *name = LLVMGetValueName2(LLVMGetCalledValue(v), &n);
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        if (strncmp(name, masked[i].name, strlen(masked[i].name)) == 0) {
            watch_masked(w, v, masked[i].writes);
        }
    }
}

static void watch_instruction(const watcher *w, LLVMValueRef v)
{
    LLVMOpcode op = LLVMGetInstructionOpcode(v);
    LLVMPositionBuilderBefore(w->b, v);
    if (op == LLVMCall) {
        watch_call(w, v);
    } else if (op == LLVMLoad || op == LLVMStore) {
        bool writes = op == LLVMStore;
        LLVMTypeRef t = LLVMTypeOf(writes ? LLVMGetOperand(v, 0) : v);
        uint64_t bytes = LLVMStoreSizeOfType(w->layout, t);
        if (bytes > WIDE) {
            tell(w, writes, LLVMGetOperand(v, writes ? 1 : 0), bytes);
        }
    }
}

static void watch_function(watcher *w, LLVMValueRef f)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("sanitize_thread", 15);
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(w->ctx, kind, 0));
    LLVMPositionBuilderBefore(w->b, LLVMGetFirstInstruction(LLVMGetEntryBasicBlock(f)));
    w->v_nowhere = LLVMBuildAlloca(w->b, LLVMInt64TypeInContext(w->ctx), "nowhere");
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b)) {
        for (LLVMValueRef v = LLVMGetFirstInstruction(b); v; v = LLVMGetNextInstruction(v)) {
            if (LLVMGetInstructionOpcode(v) != LLVMPHI) {
                watch_instruction(w, v);
            }
        }
    }
}

void watch_threads(LLVMModuleRef m)
{
    watcher w = {.ctx = LLVMGetModuleContext(m), .module = m, .layout = LLVMGetModuleDataLayout(m)};
    w.b = LLVMCreateBuilderInContext(w.ctx);
    for (LLVMValueRef f = LLVMGetFirstFunction(m); f; f = LLVMGetNextFunction(f)) {
        if (!LLVMIsDeclaration(f)) {
            watch_function(&w, f);
        }
    }
    LLVMDisposeBuilder(w.b);
}
