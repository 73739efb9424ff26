/* What a product by tile registers asks for before it needs it. A step of k is over in 64 cycles,
 * less than memory takes to answer, and tile loads do not run far ahead by themselves.
 *
 *     the next columns' weights    on their way to L2 while rows pass by these columns: the first four
 *                                  tiles of rows ask for a quarter each, fewer tiles for more of them
 *     the tile's results           which lie in lines of rows far apart, written at once at the end
 */
#include "backend/emit_contract.h"

enum { QUARTERS = 4, LINE = 64 };

contract_ahead contract_ahead_of(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    LLVMValueRef v_rows = emit_i64(e, t->rows);
    LLVMValueRef v_passed = LLVMBuildSub(e->b, t->v_m, t->v_first, "");
    LLVMValueRef v_all = LLVMBuildSub(e->b, t->v_last, t->v_first, "");
    LLVMValueRef v_n = LLVMBuildUDiv(e->b, v_all, v_rows, "");
    return (contract_ahead){
        .v_quarter = LLVMBuildUDiv(e->b, v_passed, v_rows, ""),
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

/* Do the columns of a row of results lie side by side? */
static bool in_lines(contract_emitter *q)
{
    const ir_dim *stride;
    return k_affine(q->e->c, q->e->a, q->f->store->offset, q->f->n, &stride) &&
           ir_dim_is_one(stride);
}

void contract_ask_results(contract_emitter *q, const tile *t, LLVMValueRef v_step, int64_t steps)
{
    emit *e = q->e;
    const k_step *store = q->f->store;
    if (!q->f->m || !in_lines(q)) {
        return;
    }
    int64_t rows = (t->rows + steps - 1) / steps;
    LLVMValueRef v_row = LLVMBuildMul(e->b, v_step, emit_i64(e, rows), "");
    for (int64_t i = 0; i < rows; i++) {
        emit_memo memo;
        emit_memo_push(e, &memo);
        LLVMValueRef v = LLVMBuildAnd(e->b, contract_plus(e, v_row, i), emit_i64(e, t->rows - 1), "");
        contract_set_row(q, LLVMBuildAdd(e->b, t->v_m, v, ""));
        e->v_axes[q->f->n->id] = t->v_n;
        LLVMValueRef v_at = emit_address(e, store->buf, store->offset);
        for (uint32_t j = 0; j < t->vectors; j++) {
            emit_prefetch_to_write(e, contract_at(e, e->i8, v_at, emit_i64(e, j * LINE)));
        }
        emit_memo_pop(e);
    }
}
