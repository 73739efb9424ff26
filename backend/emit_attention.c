/* Attention, a block of keys at a time: scores of a block exist in scratch memory only. The running
 * maximum m and sum l are those of Milakov, Gimelshein, arXiv:1805.02867, the order of work that of
 * Dao et al., arXiv:2205.14135; a row that sees no key at all gives nan, as softmax does.
 *
 * Many queries are run by tiles (emit_attention_tiles.c), few of them, as when tokens come one by
 * one, row by row (emit_attention_rows.c). */
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

/* Axes ----------------------------------------------------------------------------------------- */

static void span_of(attention_emitter *q, int axis, const k_axis *k, LLVMValueRef *v_lo,
                    LLVMValueRef *v_hi)
{
    emit *e = q->e;
    *v_lo = emit_i64(e, 0);
    *v_hi = k ? emit_kernel_dim(e, k->extent) : emit_i64(e, 1);
    if (k && q->t->split == axis) {
        emit_share(e, *v_hi, q->t->grain, v_lo, v_hi);
    }
}

static void run_rows(attention_emitter *q)
{
    emit *e = q->e;
    const k_attention *t = q->t;
    span_of(q, (int)t->n_batch - 1, q->group, &q->v_g_lo, &q->v_g_hi);
    span_of(q, (int)t->n_batch, t->i, &q->v_i_lo, &q->v_i_hi);
    if (!q->s.tiles || !q->s.few) {
        (q->s.tiles ? attention_tiles : attention_rows)(q);
        return;
    }
    emit_if f;
    LLVMValueRef v_queries = emit_kernel_dim(e, t->i->extent);
    LLVMValueRef v_few = LLVMBuildICmp(e->b, LLVMIntSLE, v_queries, emit_i64(e, q->s.most_few), "");
    emit_if_begin(e, &f, v_few, "few");
    attention_rows(q);
    emit_if_end(e, &f);
    q->used = 0;
    emit_if_begin(e, &f, LLVMBuildNot(e->b, v_few, ""), "many");
    attention_tiles(q);
    emit_if_end(e, &f);
}

static void run_axis(attention_emitter *q, uint32_t axis)
{
    emit *e = q->e;
    const k_attention *t = q->t;
    if (axis == t->n_batch - (q->group != NULL)) {
        run_rows(q);
        return;
    }
    LLVMValueRef v_lo, v_hi;
    span_of(q, (int)axis, t->batch[axis], &v_lo, &v_hi);
    emit_loop l;
    emit_loop_begin(e, &l, t->batch[axis]->name, v_lo, v_hi, emit_i64(e, 1), 0, NULL);
    e->v_axes[t->batch[axis]->id] = l.v_i;
    run_axis(q, axis + 1);
    emit_loop_end(e, &l, NULL);
}

/* Room on the stack for one row of elements, of a size known at run time only. */
static LLVMValueRef row_on_stack(emit *e, const k_axis *axis)
{
    LLVMValueRef v_size = emit_kernel_dim(e, axis->extent);
    LLVMValueRef v_n = LLVMBuildAdd(e->b, v_size, emit_i64(e, e->lanes), "");
    LLVMValueRef v = LLVMBuildArrayAlloca(e->b, e->f32, v_n, axis->name);
    LLVMSetAlignment(v, 64);
    return v;
}

void emit_attention(emit *e, const k_attention *t)
{
    attention_emitter q = {.e = e, .t = t, .s = schedule_attend(t, e->t)};
    const k_axis *last = t->n_batch ? t->batch[t->n_batch - 1] : NULL;
    q.group = last && !k_uses_axis(t->k, last) && !k_uses_axis(t->v, last) ? last : NULL;
    if (!ir_dim_is_const(t->d->extent) || !ir_dim_is_const(t->dv->extent)) {
        q.v_query = row_on_stack(e, t->d);
        q.v_value = row_on_stack(e, t->dv);
    }
    if (q.s.registers) {
        q.tiles = emit_tiles_begin(e, TILES_BF16);
    }
    if (t->split >= 0) {
        run_axis(&q, 0);
    } else {
        emit_if f;
        emit_alone_begin(e, &f);
        run_axis(&q, 0);
        emit_if_end(e, &f);
    }
    if (q.s.registers) {
        emit_tiles_end(&q.tiles);
    }
}
