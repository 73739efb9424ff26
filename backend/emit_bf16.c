/* Pairs of bf16 in registers, for machines with dot products of them (target_bf16_dots). Their
 * instructions take denormal numbers for zero. */
#include "backend/emit.h"

LLVMValueRef emit_bf16_dot(emit *e, LLVMValueRef v_sum, LLVMValueRef v_x, LLVMValueRef v_y)
{
    return emit_machine(e, "llvm.x86.avx512bf16.dpbf16ps.512", 3,
                        (LLVMValueRef[]){v_sum, v_x, v_y});
}

LLVMValueRef emit_bf16_row(emit *e, LLVMValueRef v_first, LLVMValueRef v_second)
{
    LLVMValueRef v = emit_machine(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", 2,
                                  (LLVMValueRef[]){v_second, v_first});
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
