/* The next columns' weights, on their way to L2 while rows pass by these columns; and the lines of
 * a tile's results, while it sums. */
#include "backend/emit_contract.h"

enum { LINE = 64, QUARTERS = 4 };

/* Every step of k asks for as many lines, so the first tiles of rows bring all, and the others ask
 * again for what is there. */
contract_lines contract_lines_of(contract_emitter *q, const tile *t, const LLVMValueRef *v_next,
                                 LLVMValueRef v_steps, int64_t step_bytes, uint32_t each)
{
    emit *e = q->e;
    int64_t asked = (int64_t)each * LINE;
    int64_t tiles = step_bytes > asked ? (step_bytes + asked - 1) / asked : 1;
    LLVMValueRef v_passed = LLVMBuildSub(e->b, t->v_m, t->v_first, "");
    LLVMValueRef v_tile = LLVMBuildUDiv(e->b, v_passed, emit_i64(e, t->rows), "");
    LLVMValueRef v_early = LLVMBuildICmp(e->b, LLVMIntULT, v_tile, emit_i64(e, tiles), "");
    LLVMValueRef v_part = LLVMBuildMul(e->b, v_steps, emit_i64(e, asked), "");
    v_part = emit_select(e, v_early, LLVMBuildMul(e->b, v_tile, v_part, ""), emit_i64(e, 0));
    contract_lines x = {.n = q->f->n_products,
                        .each = each,
                        .v_step = emit_select(e, v_early, emit_i64(e, asked), emit_i64(e, 0))};
    for (uint32_t p = 0; p < x.n; p++) {
        x.v_from[p] = contract_at(e, e->i8, v_next[p], v_part);
    }
    return x;
}

/* 6 rows of 32 columns are 12 lines of results, and 12 of what is added to them: fetched all at
 * once when they are stored, they took 30 ns each vector. */
void contract_lines_of_results(contract_emitter *q, const tile *t, contract_lines *x)
{
    emit *e = q->e;
    if (!q->f->m || q->f->keep) {
        return;
    }
    int64_t bytes = (int64_t)t->vectors * e->lanes * 4;
    emit_memo memo;
    emit_memo_push(e, &memo);
    contract_set_row(q, t->v_m);
    contract_set_column(q, t, emit_i64(e, 0));
    x->results = emit_places_of(e, q->f->store, q->f->m);
    contract_leave_column(q);
    emit_memo_pop(e);
    x->row_lines = bytes > LINE ? bytes / LINE : 1;
    x->last_line = t->rows * x->row_lines - 1;
}

/* A line at a step of k, row by row; after the last one that again. */
static void ask_results(contract_emitter *q, const contract_lines *x, LLVMValueRef v_step)
{
    emit *e = q->e;
    if (!x->results.n) {
        return;
    }
    LLVMValueRef v_line = emit_intrinsic2(e, "llvm.umin", v_step, emit_i64(e, x->last_line));
    LLVMValueRef v_lines = emit_i64(e, x->row_lines);
    LLVMValueRef v_row = LLVMBuildUDiv(e->b, v_line, v_lines, "");
    v_line = LLVMBuildMul(e->b, LLVMBuildURem(e->b, v_line, v_lines, ""), emit_i64(e, LINE), "");
    for (uint32_t i = 0; i < x->results.n; i++) {
        const emit_place *p = &x->results.places[i];
        LLVMValueRef v_at = LLVMBuildMul(e->b, v_row, p->v_step, "");
        v_at = LLVMBuildAdd(e->b, v_at, v_line, "");
        emit_prefetch(e, contract_at(e, e->i8, p->v_ptr, v_at), 3);
    }
}

void contract_ask_lines(contract_emitter *q, const contract_lines *x, LLVMValueRef v_step)
{
    emit *e = q->e;
    ask_results(q, x, v_step);
    for (uint32_t p = 0; p < x->n; p++) {
        LLVMValueRef v_at = LLVMBuildMul(e->b, v_step, x->v_step, "");
        LLVMValueRef v_lines = contract_at(e, e->i8, x->v_from[p], v_at);
        for (uint32_t i = 0; i < x->each; i++) {
            emit_prefetch(e, contract_at(e, e->i8, v_lines, emit_i64(e, (int64_t)i * LINE)), 2);
        }
    }
}

/* With tile registers a step of k is over in 64 cycles, less than memory takes to answer, and tile
 * loads do not run far ahead by themselves. Up to four tiles of rows ask for a quarter each, fewer
 * of them for more quarters.
 *
 * On a Sapphire Rapids core, 128 rows: GPT-2 55.3 to 47.7 ms. With more tiles, which share what the
 * first one waits for, asking costs more than it gains (512 rows of 2048 x 2048: 1.99 TFLOP/s
 * without, 1.91 with), and so does asking for the lines of the results (1.55). */
contract_ahead contract_ahead_of(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    LLVMValueRef v_rows = emit_i64(e, t->rows);
    LLVMValueRef v_passed = LLVMBuildSub(e->b, t->v_m, t->v_first, "");
    LLVMValueRef v_all = LLVMBuildSub(e->b, t->v_last, t->v_first, "");
    LLVMValueRef v_n = LLVMBuildUDiv(e->b, v_all, v_rows, "");
    LLVMValueRef v_tile = LLVMBuildUDiv(e->b, v_passed, v_rows, "");
    LLVMValueRef v_few = LLVMBuildICmp(e->b, LLVMIntULE, v_n, emit_i64(e, QUARTERS), "");
    return (contract_ahead){
        .v_quarter = emit_select(e, v_few, v_tile, emit_i64(e, QUARTERS)),
        .v_tiles = emit_intrinsic2(e, "llvm.umax", v_n, emit_i64(e, 1)),
    };
}

void contract_ask_weights(contract_emitter *q, const contract_ahead *x, LLVMValueRef v_next,
                          uint32_t lines, int64_t line_bytes)
{
    emit *e = q->e;
    uint32_t quarter = lines / QUARTERS;
    emit_loop l;
    emit_loop_begin(e, &l, "ahead", x->v_quarter, emit_i64(e, QUARTERS), x->v_tiles, 0, NULL);
    LLVMValueRef v_at = LLVMBuildMul(e->b, l.v_i, emit_i64(e, quarter * line_bytes), "");
    for (uint32_t i = 0; i < quarter; i++) {
        emit_prefetch(e, contract_at(e, e->i8, v_next, contract_plus(e, v_at, i * line_bytes)), 2);
    }
    emit_loop_end(e, &l, NULL);
}
