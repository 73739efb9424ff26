/* Pairs of bf16 in registers, for machines with dot products of them (target_bf16_dots). Their
 * instructions take denormal numbers for zero. */
#include "backend/emit.h"

#include <string.h>

/* Calls an intrinsic of the target that is not overloaded; arguments are taken for its types. */
static LLVMValueRef call(emit *e, const char *name, LLVMValueRef *args, uint32_t n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->module, id, NULL, 0);
    LLVMTypeRef t = LLVMIntrinsicGetType(e->ctx, id, NULL, 0), params[3];
    LLVMGetParamTypes(t, params);
    for (uint32_t i = 0; i < n; i++) {
        args[i] = LLVMBuildBitCast(e->b, args[i], params[i], "");
    }
    return LLVMBuildCall2(e->b, t, f, args, n, "");
}

LLVMValueRef emit_bf16_dot(emit *e, LLVMValueRef v_sum, LLVMValueRef v_x, LLVMValueRef v_y)
{
    LLVMValueRef args[3] = {v_sum, v_x, v_y};
    return call(e, "llvm.x86.avx512bf16.dpbf16ps.512", args, 3);
}

LLVMValueRef emit_bf16_row(emit *e, LLVMValueRef v_first, LLVMValueRef v_second)
{
    LLVMValueRef args[2] = {v_second, v_first};
    LLVMValueRef v = call(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", args, 2);
    return LLVMBuildBitCast(e->b, v, emit_vector(e, e->f32), "");
}

LLVMValueRef emit_bf16_pairs(emit *e, LLVMValueRef v_first, LLVMValueRef v_second)
{
    LLVMTypeRef halves = LLVMVectorType(e->i16, 2 * e->lanes);
    LLVMValueRef v = LLVMBuildBitCast(e->b, emit_bf16_row(e, v_first, v_second), halves, "");
    LLVMValueRef at[128];
    for (uint32_t i = 0; i < 2 * e->lanes; i++) {
        at[i] = LLVMConstInt(e->i32, i / 2 + i % 2 * e->lanes, false);
    }
    v = LLVMBuildShuffleVector(e->b, v, v, LLVMConstVector(at, 2 * e->lanes), "");
    return LLVMBuildBitCast(e->b, v, emit_vector(e, e->f32), "");
}
