/* Helpers over LLVM's builder. All blocks and phis are made here. */
#include "backend/emit.h"

#include <string.h>

LLVMTypeRef emit_type(emit *e, ir_dtype t)
{
    switch (t) {
    case IR_f64:
        return e->f64;
    case IR_f32:
    case IR_f16:
    case IR_bf16:
        return e->f32;
    case IR_i64:
        return e->i64;
    case IR_i32:
        return e->i32;
    case IR_i16:
        return e->i16;
    case IR_bool:
        return e->i1;
    default:
        return e->i8;
    }
}

LLVMTypeRef emit_memory_type(emit *e, ir_dtype t)
{
    return t == IR_f16 ? e->f16 : t == IR_bf16 ? e->i16 : t == IR_bool ? e->i8 : emit_type(e, t);
}

LLVMTypeRef emit_vector(emit *e, LLVMTypeRef t)
{
    return LLVMVectorType(t, e->lanes);
}

bool emit_is_vector(LLVMValueRef v)
{
    return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind;
}

LLVMValueRef emit_i64(emit *e, int64_t i)
{
    return LLVMConstInt(e->i64, (unsigned long long)i, true);
}

LLVMValueRef emit_f32(emit *e, double f)
{
    return LLVMConstReal(e->f32, f);
}

static LLVMValueRef const_splat(LLVMTypeRef vector, LLVMValueRef v)
{
    LLVMValueRef all[64];
    unsigned n = LLVMGetVectorSize(vector);
    for (unsigned i = 0; i < n; i++) {
        all[i] = v;
    }
    return LLVMConstVector(all, n);
}

LLVMValueRef emit_const(emit *e, LLVMTypeRef like, double f)
{
    bool vector = LLVMGetTypeKind(like) == LLVMVectorTypeKind;
    LLVMTypeRef t = vector ? LLVMGetElementType(like) : like;
    bool integer = LLVMGetTypeKind(t) == LLVMIntegerTypeKind;
    LLVMValueRef v =
        integer ? LLVMConstInt(t, (unsigned long long)(int64_t)f, true) : LLVMConstReal(t, f);
    (void)e;
    return vector ? const_splat(like, v) : v;
}

LLVMValueRef emit_const_int(emit *e, LLVMTypeRef like, int64_t i)
{
    bool vector = LLVMGetTypeKind(like) == LLVMVectorTypeKind;
    LLVMValueRef v =
        LLVMConstInt(vector ? LLVMGetElementType(like) : like, (unsigned long long)i, true);
    (void)e;
    return vector ? const_splat(like, v) : v;
}

LLVMValueRef emit_splat(emit *e, LLVMValueRef v)
{
    if (emit_is_vector(v)) {
        return v;
    }
    if (LLVMIsConstant(v)) {
        return const_splat(emit_vector(e, LLVMTypeOf(v)), v);
    }
    LLVMTypeRef t = emit_vector(e, LLVMTypeOf(v));
    LLVMValueRef one =
        LLVMBuildInsertElement(e->b, LLVMGetPoison(t), v, LLVMConstInt(e->i32, 0, false), "");
    return LLVMBuildShuffleVector(e->b, one, LLVMGetPoison(t),
                                  LLVMConstNull(LLVMVectorType(e->i32, e->lanes)), "splat");
}

LLVMValueRef emit_as(emit *e, emit_value v, bool vector)
{
    return vector ? emit_splat(e, v.v) : v.v;
}

LLVMValueRef emit_iota(emit *e, LLVMTypeRef element)
{
    LLVMValueRef all[64];
    for (uint32_t i = 0; i < e->lanes; i++) {
        all[i] = LLVMConstInt(element, i, false);
    }
    return LLVMConstVector(all, e->lanes);
}

LLVMValueRef emit_intrinsic(emit *e, const char *name, uint32_t n_types, LLVMTypeRef *types,
                            uint32_t n, LLVMValueRef *args)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->module, id, types, n_types);
    return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->ctx, id, types, n_types), f, args, n, "");
}

LLVMValueRef emit_intrinsic1(emit *e, const char *name, LLVMValueRef x)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    return emit_intrinsic(e, name, 1, &t, 1, &x);
}

LLVMValueRef emit_machine(emit *e, const char *name, uint32_t n, const LLVMValueRef *v_args)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->module, id, NULL, 0), args[3];
    LLVMTypeRef t = LLVMIntrinsicGetType(e->ctx, id, NULL, 0), params[3];
    LLVMGetParamTypes(t, params);
    for (uint32_t i = 0; i < n; i++) {
        args[i] = LLVMBuildBitCast(e->b, v_args[i], params[i], "");
    }
    return LLVMBuildCall2(e->b, t, f, args, n, "");
}

LLVMValueRef emit_intrinsic2(emit *e, const char *name, LLVMValueRef x, LLVMValueRef y)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef args[2] = {x, y};
    return emit_intrinsic(e, name, 1, &t, 2, args);
}

LLVMValueRef emit_fma(emit *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z)
{
    LLVMTypeRef t = LLVMTypeOf(x);
    LLVMValueRef args[3] = {x, y, z};
    return emit_intrinsic(e, "llvm.fmuladd", 1, &t, 3, args);
}

void emit_prefetch(emit *e, LLVMValueRef v_ptr, uint32_t locality)
{
    LLVMTypeRef t = e->ptr;
    LLVMValueRef args[4] = {v_ptr, LLVMConstInt(e->i32, 0, false),
                            LLVMConstInt(e->i32, locality, false), LLVMConstInt(e->i32, 1, false)};
    emit_intrinsic(e, "llvm.prefetch", 1, &t, 4, args);
}

LLVMValueRef emit_select(emit *e, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->b, c, x, y, "");
}

/* Control flow ------------------------------------------------------------------------------------
 */

void emit_memo_push(emit *e, emit_memo *m)
{
    *m = (emit_memo){map_create(e->a), e->memo};
    e->memo = m;
}

void emit_memo_pop(emit *e)
{
    e->memo = e->memo->outer;
}

static LLVMBasicBlockRef block(emit *e, const char *name, const char *part)
{
    char text[64];
    strncpy(text, name, 40);
    text[40] = 0;
    strncat(text, part, 20);
    return LLVMAppendBasicBlockInContext(e->ctx, e->fn, text);
}

void emit_loop_begin(emit *e, emit_loop *l, const char *name, LLVMValueRef v_lo, LLVMValueRef v_hi,
                     LLVMValueRef v_step, uint32_t n_carries, LLVMValueRef *v_first)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    l->head = block(e, name, ".head");
    l->body = block(e, name, ".body");
    l->done = block(e, name, ".done");
    l->v_step = v_step;
    l->n_carries = n_carries;
    LLVMBuildBr(e->b, l->head);
    LLVMPositionBuilderAtEnd(e->b, l->head);
    l->v_i = LLVMBuildPhi(e->b, LLVMTypeOf(v_lo), name);
    LLVMAddIncoming(l->v_i, &v_lo, &before, 1);
    for (uint32_t i = 0; i < n_carries; i++) {
        l->v_carry[i] = LLVMBuildPhi(e->b, LLVMTypeOf(v_first[i]), "");
        LLVMAddIncoming(l->v_carry[i], &v_first[i], &before, 1);
    }
    LLVMValueRef v_go = LLVMBuildICmp(e->b, LLVMIntSLT, l->v_i, v_hi, "");
    LLVMBuildCondBr(e->b, v_go, l->body, l->done);
    LLVMPositionBuilderAtEnd(e->b, l->body);
    emit_memo_push(e, &l->memo);
}

void emit_loop_end(emit *e, emit_loop *l, LLVMValueRef *v_next)
{
    LLVMValueRef v_i = LLVMBuildAdd(e->b, l->v_i, l->v_step, "");
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->b);
    LLVMAddIncoming(l->v_i, &v_i, &last, 1);
    for (uint32_t i = 0; i < l->n_carries; i++) {
        LLVMAddIncoming(l->v_carry[i], &v_next[i], &last, 1);
    }
    LLVMBuildBr(e->b, l->head);
    LLVMPositionBuilderAtEnd(e->b, l->done);
    emit_memo_pop(e);
}

void emit_repeat_begin(emit *e, emit_repeat *r, const char *name, uint32_t n_carries,
                       LLVMValueRef *v_first)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    r->head = block(e, name, ".again");
    r->n_carries = n_carries;
    LLVMBuildBr(e->b, r->head);
    LLVMPositionBuilderAtEnd(e->b, r->head);
    for (uint32_t i = 0; i < n_carries; i++) {
        r->v_carry[i] = LLVMBuildPhi(e->b, LLVMTypeOf(v_first[i]), "");
        LLVMAddIncoming(r->v_carry[i], &v_first[i], &before, 1);
    }
    emit_memo_push(e, &r->memo);
}

void emit_repeat_end(emit *e, emit_repeat *r, LLVMValueRef v_again, LLVMValueRef *v_next)
{
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->b);
    for (uint32_t i = 0; i < r->n_carries; i++) {
        LLVMAddIncoming(r->v_carry[i], &v_next[i], &last, 1);
    }
    LLVMBasicBlockRef done = LLVMAppendBasicBlockInContext(e->ctx, e->fn, "enough");
    LLVMBuildCondBr(e->b, v_again, r->head, done);
    LLVMPositionBuilderAtEnd(e->b, done);
    emit_memo_pop(e);
}

void emit_if_begin(emit *e, emit_if *f, LLVMValueRef v_cond, const char *name)
{
    LLVMBasicBlockRef then = block(e, name, ".then");
    f->done = block(e, name, ".done");
    LLVMBuildCondBr(e->b, v_cond, then, f->done);
    LLVMPositionBuilderAtEnd(e->b, then);
    emit_memo_push(e, &f->memo);
}

void emit_if_end(emit *e, emit_if *f)
{
    LLVMBuildBr(e->b, f->done);
    LLVMPositionBuilderAtEnd(e->b, f->done);
    emit_memo_pop(e);
}

void emit_alone_begin(emit *e, emit_if *f)
{
    LLVMValueRef v_first = LLVMConstInt(e->i32, 0, false);
    emit_if_begin(e, f, LLVMBuildICmp(e->b, LLVMIntEQ, e->v_thread, v_first, ""), "alone");
}

LLVMValueRef emit_lanes_below(emit *e, LLVMValueRef v_first, LLVMValueRef v_limit)
{
    LLVMValueRef v_lane = LLVMBuildAdd(e->b, emit_splat(e, v_first), emit_iota(e, e->i64), "");
    return LLVMBuildICmp(e->b, LLVMIntSLT, v_lane, emit_splat(e, v_limit), "");
}

/* Sizes -------------------------------------------------------------------------------------------
 */

/* Rounds towards minus infinity; 0 for a divisor that is not positive, so that no size can trap. */
static LLVMValueRef floor_divide(emit *e, LLVMValueRef x, LLVMValueRef y)
{
    LLVMValueRef v_zero = emit_i64(e, 0), v_one = emit_i64(e, 1);
    LLVMValueRef v_bad = LLVMBuildICmp(e->b, LLVMIntSLE, y, v_zero, "");
    LLVMValueRef v_y = emit_select(e, v_bad, v_one, y);
    LLVMValueRef v_q = LLVMBuildSDiv(e->b, x, v_y, ""), v_r = LLVMBuildSRem(e->b, x, v_y, "");
    LLVMValueRef v_less = LLVMBuildICmp(e->b, LLVMIntSLT, v_r, v_zero, "");
    return LLVMBuildSub(e->b, v_q, LLVMBuildZExt(e->b, v_less, e->i64, ""), "");
}

static LLVMValueRef atom_value(emit *e, const ir_atom *t, emit_sym_value value, void *data)
{
    if (t->kind == IR_ATOM_SYM) {
        return value(data, t->sym);
    }
    LLVMValueRef x = emit_dim(e, t->a, value, data), y = emit_dim(e, t->b, value, data);
    if (t->kind == IR_ATOM_FLOORDIV) {
        return floor_divide(e, x, y);
    }
    if (t->kind == IR_ATOM_MOD) {
        LLVMValueRef v_q = floor_divide(e, x, y);
        return LLVMBuildSub(e->b, x, LLVMBuildMul(e->b, v_q, y, ""), "");
    }
    return emit_intrinsic2(e, t->kind == IR_ATOM_MIN ? "llvm.smin" : "llvm.smax", x, y);
}

LLVMValueRef emit_dim(emit *e, const ir_dim *d, emit_sym_value value, void *data)
{
    LLVMValueRef v_sum = NULL;
    for (uint32_t i = 0; i < d->n_terms; i++) {
        LLVMValueRef v_term =
            d->terms[i].n_factors && d->terms[i].coef == 1 ? NULL : emit_i64(e, d->terms[i].coef);
        for (uint32_t k = 0; k < d->terms[i].n_factors; k++) {
            LLVMValueRef v_atom = atom_value(e, d->terms[i].factors[k].atom, value, data);
            for (uint32_t p = 0; p < d->terms[i].factors[k].power; p++) {
                v_term = v_term ? LLVMBuildMul(e->b, v_term, v_atom, "") : v_atom;
            }
        }
        v_sum = v_sum ? LLVMBuildAdd(e->b, v_sum, v_term, "") : v_term;
    }
    return v_sum ? v_sum : emit_i64(e, 0);
}

static LLVMValueRef kernel_sym(void *data, const ir_sym *s)
{
    emit *e = data;
    for (uint32_t i = 0; i < e->k->n_syms; i++) {
        if (e->k->syms[i] == s) {
            return e->v_syms[i];
        }
    }
    return emit_i64(e, 0);
}

LLVMValueRef emit_kernel_dim(emit *e, const ir_dim *d)
{
    return emit_dim(e, d, kernel_sym, e);
}

void emit_share(emit *e, LLVMValueRef v_extent, int64_t grain, LLVMValueRef *v_lo,
                LLVMValueRef *v_hi)
{
    LLVMValueRef v_thread = LLVMBuildZExt(e->b, e->v_thread, e->i64, ""),
                 v_threads = LLVMBuildZExt(e->b, e->v_threads, e->i64, "");
    LLVMValueRef v_grain = emit_i64(e, grain);
    LLVMValueRef v_up = LLVMBuildAdd(e->b, v_extent, emit_i64(e, grain - 1), "");
    LLVMValueRef v_parts = LLVMBuildUDiv(e->b, v_up, v_grain, "parts");
    LLVMValueRef v_next = LLVMBuildAdd(e->b, v_thread, emit_i64(e, 1), "");
    LLVMValueRef v_from =
        LLVMBuildUDiv(e->b, LLVMBuildMul(e->b, v_parts, v_thread, ""), v_threads, "");
    LLVMValueRef v_to = LLVMBuildUDiv(e->b, LLVMBuildMul(e->b, v_parts, v_next, ""), v_threads, "");
    *v_lo = emit_intrinsic2(e, "llvm.smin", LLVMBuildMul(e->b, v_from, v_grain, ""), v_extent);
    *v_hi = emit_intrinsic2(e, "llvm.smin", LLVMBuildMul(e->b, v_to, v_grain, ""), v_extent);
}
