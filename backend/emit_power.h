/* pow, atan and atan2 of f32, scalars or vectors; errors as emit_math.c says. */
#ifndef AIGC_BACKEND_EMIT_POWER_H
#define AIGC_BACKEND_EMIT_POWER_H

#include "backend/emit.h"

LLVMValueRef emit_pow_f32(emit *e, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef emit_atan_f32(emit *e, LLVMValueRef x);
LLVMValueRef emit_atan2_f32(emit *e, LLVMValueRef y, LLVMValueRef x);

#endif
