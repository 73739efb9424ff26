/* One row by weights in blocks: they are read once, and everything waits for them.
 *
 * A core reads at its best as long as it has enough lines on their way. It asks for each line of
 * weights some blocks ahead, beside the load of a line that is needed now, and then multiplies
 * that one: lines that are asked for a block at once, or loaded before anything is multiplied, come
 * in bursts, between which memory waits. So the steps of a block are a loop, of which a turn is too
 * short to be put in another order. Measured on a Zen 5 core, in C, weights of q4_0 with K = 2048
 * in four streams: 86 % of what a loop of loads alone reads when a block is written out, 100 % by
 * steps; a Llama 1.1B token on two cores 10 % less time.
 *
 * How far ahead, on the same machine: of 576, 1152, 1440, 1728, 2304 and 3000 bytes 1440 are the
 * best, 1152 and 1728 take 3 % more time, 3000 15 %. */
#include "backend/emit_contract_q8.h"

enum { AHEAD = 1536 }; /* bytes, or a little less: whole blocks */

asked q8_asked_of(contract_emitter *q, const tile *t, const blocks *k)
{
    emit *e = q->e;
    int64_t n = q8_depth(q) / CONTRACT_BLOCK;
    int64_t panels = t->v_apart ? 1 : (int64_t)t->vectors * e->lanes / COLUMNS;
    asked x = {.blocks = AHEAD / k->bytes};
    x.v_last = emit_i64(e, n - x.blocks);
    x.v_jump = emit_select(e, contract_backwards(q), emit_i64(e, -(panels + 1) * n),
                           emit_i64(e, (panels - 1) * n));
    return x;
}

LLVMValueRef q8_asked_block(contract_emitter *q, const asked *x, const blocks *k, const stream *s,
                            LLVMValueRef v_block)
{
    emit *e = q->e;
    LLVMValueRef v_over = LLVMBuildICmp(e->b, LLVMIntSGE, v_block, x->v_last, "");
    LLVMValueRef v_jump = emit_select(e, v_over, x->v_jump, emit_i64(e, 0));
    LLVMValueRef v_at = contract_plus(e, LLVMBuildAdd(e->b, v_block, v_jump, ""), x->blocks);
    v_at = LLVMBuildMul(e->b, v_at, emit_i64(e, k->bytes), "");
    return contract_at(e, e->i8, s->v_lines, v_at);
}

void q8_ask(emit *e, LLVMValueRef v_asked, LLVMValueRef v_at)
{
    emit_prefetch(e, contract_at(e, e->i8, v_asked, v_at), 3);
}

/* Adds one step of each half to both sums of a vector of columns, v_sums; v_at: where the first
 * one's line is in the block. */
static void add_steps(contract_emitter *q, const dot *d, const strip *s, LLVMValueRef v_asked,
                      LLVMValueRef v_at, const LLVMValueRef *v_a, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    LLVMValueRef v_line = NULL;
    for (uint32_t half = 0; half < 2; half++) {
        if (half == 0 || !s->k.nibbles) {
            LLVMValueRef v_here = contract_plus(e, v_at, half * s->k.lines / 2 * LINE);
            q8_ask(e, v_asked, v_here);
            v_line = q8_load_line(e, s, v_here);
        }
        LLVMValueRef v_w = q8_line_weights(e, &s->k, v_line, half == 1, d->of_signed);
        v_sums[half] = d->add(e, v_sums[half], v_w, v_a[half]);
    }
}

void q8_sum_row(contract_emitter *q, const dot *d, const row *r, const strip *strips,
                const LLVMValueRef *v_asked, LLVMValueRef v_block, q8_sums *s)
{
    enum { STEPS = CONTRACT_BLOCK / STEP, HALF = STEPS / 2 };
    emit *e = q->e;
    LLVMValueRef v_sums[2 * 16], v_a[2];
    for (uint32_t i = 0; i < 2 * s->wide; i++) {
        v_sums[i] = s->v[i % 2][i / 2];
    }
    emit_loop l;
    emit_loop_begin(e, &l, "steps", emit_i64(e, 0), emit_i64(e, HALF), emit_i64(e, 1), 2 * s->wide,
                    v_sums);
    LLVMValueRef v_step =
        LLVMBuildAdd(e->b, LLVMBuildMul(e->b, v_block, emit_i64(e, STEPS), ""), l.v_i, "");
    for (uint32_t half = 0; half < 2; half++) {
        v_a[half] = q8_splat_at(e, e->i32, r->v_values, contract_plus(e, v_step, half * HALF));
    }
    LLVMValueRef v_at = LLVMBuildMul(e->b, l.v_i, emit_i64(e, LINE), "");
    for (uint32_t i = 0; i < s->wide; i++) {
        v_sums[2 * i] = l.v_carry[2 * i];
        v_sums[2 * i + 1] = l.v_carry[2 * i + 1];
        add_steps(q, d, &strips[i], v_asked[i], v_at, v_a, &v_sums[2 * i]);
    }
    emit_loop_end(e, &l, v_sums);
    for (uint32_t i = 0; i < 2 * s->wide; i++) {
        s->v[i % 2][i / 2] = l.v_carry[i];
    }
}
