/* What both ways of running attention are put together from. */
#include "backend/emit_attention.h"

#include <math.h>

LLVMValueRef attention_plus(emit *e, LLVMValueRef v, int64_t by)
{
    return by ? LLVMBuildAdd(e->b, v, emit_i64(e, by), "") : v;
}

LLVMValueRef attention_times(emit *e, LLVMValueRef v, int64_t by)
{
    return LLVMBuildMul(e->b, v, emit_i64(e, by), "");
}

LLVMValueRef attention_at(emit *e, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(e->b, e->f32, v_base, &v_i, 1, "");
}

LLVMValueRef attention_load(emit *e, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), attention_at(e, v_base, v_i), "");
    LLVMSetAlignment(v, 4);
    return v;
}

LLVMValueRef attention_load_one(emit *e, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildLoad2(e->b, e->f32, attention_at(e, v_base, v_i), "");
}

void attention_put(emit *e, LLVMValueRef v, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, attention_at(e, v_base, v_i)), 4);
}

LLVMValueRef attention_scratch(attention_emitter *q, uint64_t n)
{
    emit *e = q->e;
    uint64_t at = q->used;
    q->used += (n + 15) / 16 * 16;
    return attention_at(e, emit_scratch(e, q->used * sizeof(float)), emit_i64(e, (int64_t)at));
}

LLVMValueRef attention_round_down(emit *e, LLVMValueRef v, int64_t to)
{
    return LLVMBuildAnd(e->b, v, emit_i64(e, -to), "");
}

key_span attention_keys(attention_emitter *q, LLVMValueRef v_first, LLVMValueRef v_last)
{
    emit *e = q->e;
    const k_attention *t = q->t;
    LLVMValueRef v_zero = emit_i64(e, 0);
    key_span s = {v_zero, emit_kernel_dim(e, t->j->extent)};
    if (t->causal) { /* keys up to i + causal, so many of them as reach */
        LLVMValueRef v_ahead =
            LLVMBuildAdd(e->b, emit_kernel_dim(e, t->causal), emit_i64(e, 1), "");
        LLVMValueRef v_end = LLVMBuildAdd(e->b, v_last, v_ahead, "");
        s.v_to = emit_intrinsic2(e, "llvm.smin", s.v_to, v_end);
        s.v_to = emit_intrinsic2(e, "llvm.smax", s.v_to, v_zero);
        if (t->reach) {
            v_end = LLVMBuildAdd(e->b, v_first, v_ahead, "");
            LLVMValueRef v_begin = LLVMBuildSub(e->b, v_end, emit_kernel_dim(e, t->reach), "");
            s.v_from = emit_intrinsic2(e, "llvm.smax", v_begin, v_zero);
        }
    }
    return s;
}

LLVMValueRef attention_factor(attention_emitter *q, const k_expr *x, LLVMValueRef v)
{
    while (x && x->kind == K_CAST && x->dtype == IR_f32) {
        x = x->args[0];
    }
    bool exact = !q->t->bf16 || (x && x->dtype == IR_bf16);
    return exact ? v : emit_convert(q->e, v, IR_f32, IR_bf16);
}

LLVMValueRef attention_query(attention_emitter *q)
{
    emit *e = q->e;
    LLVMValueRef v = emit_lanes(e, q->t->q);
    return q->t->scale == 1 || q->t->bf16
               ? v
               : LLVMBuildFMul(e->b, v, emit_const(e, LLVMTypeOf(v), q->t->scale), "");
}

LLVMValueRef attention_score(attention_emitter *q, LLVMValueRef v_raw)
{
    emit *e = q->e;
    if (q->t->scale != 1 && q->t->bf16) {
        v_raw = LLVMBuildFMul(e->b, v_raw, emit_const(e, LLVMTypeOf(v_raw), q->t->scale), "");
    }
    e->v_hole = v_raw;
    e->hole_vector = true;
    LLVMValueRef v_score = emit_lanes(e, q->t->score);
    e->v_hole = NULL;
    e->hole_vector = false;
    return v_score;
}

void attention_store(attention_emitter *q, LLVMValueRef v)
{
    emit *e = q->e;
    e->v_hole = v;
    e->hole_vector = true;
    emit_store(e, q->t->buf, q->t->offset, emit_expr(e, q->t->out), false);
    e->v_hole = NULL;
    e->hole_vector = false;
}

LLVMValueRef attention_larger(emit *e, LLVMValueRef v_score, LLVMValueRef v_max)
{
    LLVMValueRef v_more = LLVMBuildFCmp(e->b, LLVMRealOGT, v_score, v_max, "");
    return emit_select(e, v_more, v_score, v_max);
}

LLVMValueRef attention_weights(attention_emitter *q, LLVMValueRef v_scores, LLVMValueRef v_at,
                               LLVMValueRef v_base, LLVMValueRef *v_sum)
{
    emit *e = q->e;
    LLVMValueRef v_less = LLVMBuildFSub(e->b, attention_load(e, v_scores, v_at), v_base, "");
    LLVMValueRef v_p = (q->t->bf16 ? emit_exp_weight_bf16 : emit_exp_weight)(e, v_less);
    *v_sum = LLVMBuildFAdd(e->b, *v_sum, v_p, "");
    return v_p;
}

LLVMValueRef attention_base(emit *e, LLVMValueRef v_max)
{
    LLVMTypeRef t = LLVMTypeOf(v_max);
    LLVMValueRef v_none = LLVMBuildFCmp(e->b, LLVMRealOEQ, v_max, emit_const(e, t, -INFINITY), "");
    return emit_select(e, v_none, emit_const(e, t, 0), v_max);
}
