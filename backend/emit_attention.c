/* Attention: one row of queries against all keys it sees, a block of keys at a time. Scores of a
 * block exist on the stack only. The running maximum m and sum l are those of Milakov, Gimelshein,
 * arXiv:1805.02867; a row that sees no key at all gives nan, as softmax does. */
#include "backend/emit.h"

#include <math.h>

typedef struct attention_emitter {
    emit *e;
    const k_attention *t;
    LLVMValueRef v_scores, v_acc; /* f32[lanes], f32[Dv rounded up] on the stack */
    LLVMValueRef v_dims, v_dv;
} attention_emitter;

static LLVMValueRef at(emit *e, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(e->b, e->f32, v_base, &v_i, 1, "");
}

static LLVMValueRef load_f32s(emit *e, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), at(e, v_base, v_i), "");
    LLVMSetAlignment(v, 4);
    return v;
}

static void store_f32s(emit *e, LLVMValueRef v, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, at(e, v_base, v_i)), 4);
}

static LLVMValueRef reduce_f32s(emit *e, const char *name, LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return emit_intrinsic(e, name, 1, &t, 1, &v);
}

/* A fixed tree, so that sums do not depend on the compiler. */
static LLVMValueRef sum_lanes(emit *e, LLVMValueRef v)
{
    for (uint32_t width = e->lanes / 2; width >= 1; width /= 2) {
        LLVMValueRef lo[64], hi[64], v_poison = LLVMGetPoison(LLVMTypeOf(v));
        for (uint32_t i = 0; i < width; i++) {
            lo[i] = LLVMConstInt(e->i32, i, false);
            hi[i] = LLVMConstInt(e->i32, i + width, false);
        }
        LLVMValueRef v_lo =
            LLVMBuildShuffleVector(e->b, v, v_poison, LLVMConstVector(lo, width), "");
        v = LLVMBuildFAdd(e->b, v_lo,
                          LLVMBuildShuffleVector(e->b, v, v_poison, LLVMConstVector(hi, width), ""),
                          "");
    }
    return LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, 0, false), "");
}

/* sum over d of q[i, d] k[j, d], d by vectors, the rest under a mask */
static LLVMValueRef dot(attention_emitter *q)
{
    emit *e = q->e;
    const k_axis *d = q->t->d;
    LLVMValueRef v_sum = LLVMConstNull(emit_vector(e, e->f32));
    bool exact = ir_dim_is_const(d->extent) && ir_dim_value(d->extent) % e->lanes == 0;
    emit_loop l;
    emit_loop_begin(e, &l, "dot", emit_i64(e, 0), q->v_dims, emit_i64(e, e->lanes), 1, &v_sum);
    e->v_axes[d->id] = l.v_i;
    e->lane_axis = d;
    e->v_mask = exact ? NULL : emit_lanes_below(e, l.v_i, q->v_dims);
    LLVMValueRef v_next = emit_fma(e, emit_lanes(e, q->t->q), emit_lanes(e, q->t->k), l.v_carry[0]);
    if (!exact) {
        v_next = emit_select(e, e->v_mask, v_next, l.v_carry[0]);
    }
    e->v_mask = NULL;
    e->lane_axis = NULL;
    emit_loop_end(e, &l, &v_next);
    return LLVMBuildFMul(e->b, sum_lanes(e, l.v_carry[0]), emit_f32(e, q->t->scale), "");
}

/* Scores of keys j0 ... j0 + n, n <= lanes: raw products to the stack, then the score function. */
static LLVMValueRef block_scores(attention_emitter *q, LLVMValueRef v_j0, LLVMValueRef v_n)
{
    emit *e = q->e;
    const k_axis *j = q->t->j;
    emit_loop l;
    emit_loop_begin(e, &l, "keys", emit_i64(e, 0), v_n, emit_i64(e, 1), 0, NULL);
    e->v_axes[j->id] = LLVMBuildAdd(e->b, v_j0, l.v_i, "");
    LLVMBuildStore(e->b, dot(q), at(e, q->v_scores, l.v_i));
    emit_loop_end(e, &l, NULL);
    emit_memo memo;
    emit_memo_push(e, &memo);
    LLVMValueRef v_inside = emit_lanes_below(e, emit_i64(e, 0), v_n);
    e->v_axes[j->id] = v_j0;
    e->lane_axis = j;
    e->v_mask = v_inside;
    e->v_hole = load_f32s(e, q->v_scores, emit_i64(e, 0));
    e->hole_vector = true;
    LLVMValueRef v_score = emit_lanes(e, q->t->score);
    e->v_hole = NULL;
    e->hole_vector = false;
    e->v_mask = NULL;
    e->lane_axis = NULL;
    emit_memo_pop(e);
    return emit_select(e, v_inside, v_score, emit_const(e, LLVMTypeOf(v_score), -INFINITY));
}

/* acc[dv] = acc[dv] * correction + sum over the block's keys of p[j] v[j, dv] */
static void add_values(attention_emitter *q, LLVMValueRef v_j0, LLVMValueRef v_n,
                       LLVMValueRef v_correction)
{
    emit *e = q->e;
    const k_axis *dv = q->t->dv;
    bool exact = ir_dim_is_const(dv->extent) && ir_dim_value(dv->extent) % e->lanes == 0;
    emit_loop l;
    emit_loop_begin(e, &l, "values", emit_i64(e, 0), q->v_dv, emit_i64(e, e->lanes), 0, NULL);
    LLVMValueRef v_acc =
        LLVMBuildFMul(e->b, load_f32s(e, q->v_acc, l.v_i), emit_splat(e, v_correction), "");
    emit_loop k;
    emit_loop_begin(e, &k, "key", emit_i64(e, 0), v_n, emit_i64(e, 1), 1, &v_acc);
    e->v_axes[dv->id] = l.v_i;
    e->v_axes[q->t->j->id] = LLVMBuildAdd(e->b, v_j0, k.v_i, "");
    e->lane_axis = dv;
    e->v_mask = exact ? NULL : emit_lanes_below(e, l.v_i, q->v_dv);
    LLVMValueRef v_p = LLVMBuildLoad2(e->b, e->f32, at(e, q->v_scores, k.v_i), "");
    LLVMValueRef v_next = emit_fma(e, emit_splat(e, v_p), emit_lanes(e, q->t->v), k.v_carry[0]);
    e->v_mask = NULL;
    e->lane_axis = NULL;
    emit_loop_end(e, &k, &v_next);
    store_f32s(e, k.v_carry[0], q->v_acc, l.v_i);
    emit_loop_end(e, &l, NULL);
}

static void write_row(attention_emitter *q, LLVMValueRef v_sum)
{
    emit *e = q->e;
    const k_axis *dv = q->t->dv;
    emit_loop l;
    LLVMValueRef v_scale = LLVMBuildFDiv(e->b, emit_f32(e, 1), v_sum, "");
    emit_loop_begin(e, &l, "out", emit_i64(e, 0), q->v_dv, emit_i64(e, e->lanes), 0, NULL);
    e->v_axes[dv->id] = l.v_i;
    e->lane_axis = dv;
    e->v_mask = emit_lanes_below(e, l.v_i, q->v_dv);
    e->v_hole = LLVMBuildFMul(e->b, load_f32s(e, q->v_acc, l.v_i), emit_splat(e, v_scale), "");
    e->hole_vector = true;
    emit_store(e, q->t->buf, q->t->offset, emit_expr(e, q->t->out), false);
    e->hole_vector = false;
    e->v_hole = NULL;
    e->v_mask = NULL;
    e->lane_axis = NULL;
    emit_loop_end(e, &l, NULL);
}

static void attend_row(attention_emitter *q)
{
    emit *e = q->e;
    LLVMValueRef v_i = e->v_axes[q->t->i->id], v_from = emit_i64(e, 0),
                 v_to = emit_kernel_dim(e, q->t->j->extent);
    if (q->t->causal) { /* keys up to i + causal */
        LLVMValueRef v_end =
            LLVMBuildAdd(e->b, LLVMBuildAdd(e->b, v_i, emit_kernel_dim(e, q->t->causal), ""),
                         emit_i64(e, 1), "");
        v_to = emit_intrinsic2(e, "llvm.smin", v_to, v_end);
        if (q->t->reach) {
            v_from = emit_intrinsic2(e, "llvm.smax",
                                     LLVMBuildSub(e->b, v_end, emit_kernel_dim(e, q->t->reach), ""),
                                     v_from);
        }
    }
    emit_loop z;
    emit_loop_begin(e, &z, "clear", emit_i64(e, 0), q->v_dv, emit_i64(e, e->lanes), 0, NULL);
    store_f32s(e, LLVMConstNull(emit_vector(e, e->f32)), q->v_acc, z.v_i);
    emit_loop_end(e, &z, NULL);
    LLVMValueRef v_first[2] = {emit_f32(e, -INFINITY), emit_f32(e, 0)}, v_next[2];
    emit_loop l;
    emit_loop_begin(e, &l, "block", v_from, v_to, emit_i64(e, e->lanes), 2, v_first);
    LLVMValueRef v_n =
        emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, v_to, l.v_i, ""), emit_i64(e, e->lanes));
    LLVMValueRef v_s = block_scores(q, l.v_i, v_n);
    LLVMValueRef v_m = emit_intrinsic2(e, "llvm.maxnum", l.v_carry[0],
                                       reduce_f32s(e, "llvm.vector.reduce.fmax", v_s));
    LLVMValueRef v_none = LLVMBuildFCmp(e->b, LLVMRealOEQ, v_m, emit_f32(e, -INFINITY), "");
    LLVMValueRef v_base = emit_select(e, v_none, emit_f32(e, 0), v_m);
    LLVMValueRef v_correction =
        emit_math(e, IR_OP_exp, IR_f32, LLVMBuildFSub(e->b, l.v_carry[0], v_base, ""), NULL);
    LLVMValueRef v_p =
        emit_math(e, IR_OP_exp, IR_f32, LLVMBuildFSub(e->b, v_s, emit_splat(e, v_base), ""), NULL);
    store_f32s(e, v_p, q->v_scores, emit_i64(e, 0));
    v_next[0] = v_m;
    v_next[1] = emit_fma(e, l.v_carry[1], v_correction, sum_lanes(e, v_p));
    add_values(q, l.v_i, v_n, v_correction);
    emit_loop_end(e, &l, v_next);
    write_row(q, l.v_carry[1]);
}

static void run_axis(attention_emitter *q, uint32_t axis)
{
    emit *e = q->e;
    const k_attention *t = q->t;
    if (axis > t->n_batch) {
        attend_row(q);
        return;
    }
    const k_axis *k = axis < t->n_batch ? t->batch[axis] : t->i;
    LLVMValueRef v_lo = emit_i64(e, 0), v_hi = emit_kernel_dim(e, k->extent);
    if (t->split == (int)axis) {
        emit_share(e, v_hi, t->grain, &v_lo, &v_hi);
    }
    emit_loop l;
    emit_loop_begin(e, &l, k->name, v_lo, v_hi, emit_i64(e, 1), 0, NULL);
    e->v_axes[k->id] = l.v_i;
    run_axis(q, axis + 1);
    emit_loop_end(e, &l, NULL);
}

void emit_attention(emit *e, const k_attention *t)
{
    attention_emitter q = {.e = e, .t = t};
    q.v_dims = emit_kernel_dim(e, t->d->extent);
    q.v_dv = emit_kernel_dim(e, t->dv->extent);
    LLVMValueRef v_room = LLVMBuildAdd(e->b, q.v_dv, emit_i64(e, e->lanes), "");
    q.v_acc = LLVMBuildArrayAlloca(e->b, e->f32, v_room, "acc");
    q.v_scores = LLVMBuildArrayAlloca(e->b, e->f32, emit_i64(e, e->lanes), "scores");
    LLVMSetAlignment(q.v_acc, 64);
    LLVMSetAlignment(q.v_scores, 64);
    if (t->split >= 0) {
        run_axis(&q, 0);
        return;
    }
    emit_if f;
    emit_if_begin(e, &f,
                  LLVMBuildICmp(e->b, LLVMIntEQ, e->v_thread, LLVMConstInt(e->i32, 0, false), ""),
                  "alone");
    run_axis(&q, 0);
    emit_if_end(e, &f);
}
