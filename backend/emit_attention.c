/* Attention, a block of keys at a time: scores of a block exist in scratch memory only. The running
 * maximum m and sum l are those of Milakov, Gimelshein, arXiv:1805.02867, the order of work that of
 * Dao et al., arXiv:2205.14135; a row that sees no key at all gives nan, as softmax does.
 *
 * Many queries are run by tiles (emit_attention_tiles.c), few of them, as when tokens come one by
 * one, row by row (emit_attention_rows.c). */
#include "backend/emit_attention.h"

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
