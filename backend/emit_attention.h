/* What the two ways of running attention share. v_g and v_i are spans of the axes at which this
 * thread has work; all batch axes but the group stand at their places.
 *
 * A row is one query of one head. Every row sees blocks of keys whose borders do not depend on
 * which rows are worked on together, and keys that it does not see add exact zeros; so results do
 * not depend on the number of threads. */
#ifndef AIGC_BACKEND_EMIT_ATTENTION_H
#define AIGC_BACKEND_EMIT_ATTENTION_H

#include "backend/emit_tiles.h"
#include "backend/schedule.h"

typedef struct attention_emitter {
    emit *e;
    const k_attention *t;
    schedule_attention s;
    const k_axis *group; /* heads that share keys and values: the last batch axis; or NULL */
    LLVMValueRef v_g_lo, v_g_hi, v_i_lo, v_i_hi;
    uint64_t used;                 /* f32s of scratch */
    emit_tiles tiles;              /* of s.registers */
    LLVMValueRef v_query, v_value; /* room for one row of q and of the result, where their sizes are
                                    * known at run time only; else NULL */
} attention_emitter;

typedef struct key_span {
    LLVMValueRef v_from, v_to;
} key_span;

/* emit_attention_parts.c
 *
 * Keys that any of the queries v_first ... v_last may see. */
key_span attention_keys(attention_emitter *q, LLVMValueRef v_first, LLVMValueRef v_last);
/* The greatest multiple of a power of two up to v. */
LLVMValueRef attention_round_down(emit *e, LLVMValueRef v, int64_t to);
/* A vector of q along the lanes, scaled; where products are of bf16 scores are scaled instead. */
LLVMValueRef attention_query(attention_emitter *q);
/* A vector of q, k or v as it is multiplied in f32: rounded where the products are of bf16. */
LLVMValueRef attention_factor(attention_emitter *q, const k_expr *x, LLVMValueRef v);
/* The score function of raw products, at the axes as they stand; lanes along the lane axis. */
LLVMValueRef attention_score(attention_emitter *q, LLVMValueRef v_raw);
/* Writes a vector of the result, dv along the lanes. */
void attention_store(attention_emitter *q, LLVMValueRef v);
/* The larger of a score and the maximum of others: that where the score is nan, whose weight will
 * be nan all the same. One instruction of x86, where maxnum is three, each waiting for the last. */
LLVMValueRef attention_larger(emit *e, LLVMValueRef v_score, LLVMValueRef v_max);
/* exp(score - base) of the vector of scores at v_at, added to *v_sum. */
LLVMValueRef attention_weights(attention_emitter *q, LLVMValueRef v_scores, LLVMValueRef v_at,
                               LLVMValueRef v_base, LLVMValueRef *v_sum);
/* The running maximum of the scores as a number to subtract: 0 where there was no score yet. */
LLVMValueRef attention_base(emit *e, LLVMValueRef v_max);

LLVMValueRef attention_plus(emit *e, LLVMValueRef v, int64_t by);
LLVMValueRef attention_times(emit *e, LLVMValueRef v, int64_t by);

/* Memory of f32s */
LLVMValueRef attention_at(emit *e, LLVMValueRef v_base, LLVMValueRef v_i);
LLVMValueRef attention_load(emit *e, LLVMValueRef v_base, LLVMValueRef v_i);
LLVMValueRef attention_load_one(emit *e, LLVMValueRef v_base, LLVMValueRef v_i);
void attention_put(emit *e, LLVMValueRef v, LLVMValueRef v_base, LLVMValueRef v_i);
/* So many f32s of this thread's scratch, 64-byte aligned. */
LLVMValueRef attention_scratch(attention_emitter *q, uint64_t n);

/* emit_attention_tiles.c, emit_attention_rows.c: rows v_g_lo ... v_g_hi by v_i_lo ... v_i_hi */
void attention_tiles(attention_emitter *q);
void attention_rows(attention_emitter *q);

#endif
