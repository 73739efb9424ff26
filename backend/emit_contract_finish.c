/* The epilogue of a tile is a function of its own, which tiles of all sizes call. Within the loops
 * of the kernel its constants, a dozen vectors for a gelu, would be kept in registers from tile to
 * tile, and the sums that those registers are for would go to memory at every step. */
#include "backend/emit_contract.h"

/* After the kernel's own arguments; then the values of the outer axes that are neither m nor n. */
enum { SUMS, FIRST_ROW, FIRST_COLUMN, HEIGHT, ROWS, VECTORS, END_COLUMN, ARGUMENTS };

/* Columns' vectors of all rows, one after the other; sums of HEIGHT rows lie there. */
static void finish_rows(contract_emitter *q, LLVMValueRef *v)
{
    emit *e = q->e;
    emit_loop row, col;
    LLVMValueRef v_zero = emit_i64(e, 0), v_one = emit_i64(e, 1);
    LLVMValueRef v_by = LLVMBuildMul(e->b, v[VECTORS], emit_i64(e, e->lanes), "");
    LLVMValueRef v_product = LLVMBuildMul(e->b, v[HEIGHT], v_by, "");
    emit_loop_begin(e, &row, "row", v_zero, v[ROWS], v_one, 0, NULL);
    contract_set_row(q, LLVMBuildAdd(e->b, v[FIRST_ROW], row.v_i, ""));
    LLVMValueRef v_row = LLVMBuildMul(e->b, row.v_i, v_by, "");
    emit_loop_begin(e, &col, "col", v_zero, v[VECTORS], v_one, 0, NULL);
    LLVMValueRef v_lane = LLVMBuildMul(e->b, col.v_i, emit_i64(e, e->lanes), "");
    LLVMValueRef v_at = LLVMBuildAdd(e->b, v_row, v_lane, "");
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        LLVMValueRef v_sum =
            LLVMBuildLoad2(e->b, emit_vector(e, e->f32), contract_at(e, e->f32, v[SUMS], v_at), "");
        LLVMSetAlignment(v_sum, 4 * e->lanes);
        e->reduced[q->first_product + p] = (emit_value){v_sum, true};
        v_at = LLVMBuildAdd(e->b, v_at, v_product, "");
    }
    LLVMValueRef v_n = LLVMBuildAdd(e->b, v[FIRST_COLUMN], v_lane, "");
    e->v_axes[q->f->n->id] = v_n;
    e->lane_axis = q->f->n;
    e->v_mask = v[END_COLUMN] ? emit_lanes_below(e, v_n, v[END_COLUMN]) : NULL;
    emit_value out = emit_expr(e, q->f->store->value);
    emit_store(e, q->f->store->buf, q->f->store->offset, out, false);
    contract_leave_column(q);
    emit_loop_end(e, &col, NULL);
    emit_loop_end(e, &row, NULL);
}

static LLVMValueRef finish_function(contract_emitter *q, bool masked)
{
    emit *e = q->e;
    emit_part part;
    LLVMValueRef v[ARGUMENTS];
    contract_part_begin(q, masked ? "finish_masked" : "finish", ARGUMENTS, v, &part);
    v[END_COLUMN] = masked ? v[END_COLUMN] : NULL;
    finish_rows(q, v);
    emit_part_end(e, &part);
    return part.fn;
}

void contract_finish(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    const k_nest *n = q->f->nest;
    bool masked = t->v_mask != NULL;
    if (!q->v_finish[masked]) {
        q->v_finish[masked] = finish_function(q, masked);
    }
    LLVMValueRef v_zero = emit_i64(e, 0);
    LLVMValueRef args[ARGUMENTS + EMIT_MOST_OUTER] = {
        [SUMS] = q->v_tile,
        [FIRST_ROW] = t->v_m,
        [FIRST_COLUMN] = t->v_n,
        [HEIGHT] = emit_i64(e, t->rows),
        [ROWS] = t->v_rows ? t->v_rows : emit_i64(e, t->rows),
        [VECTORS] = emit_i64(e, t->vectors),
        [END_COLUMN] = masked ? t->v_end : v_zero,
    };
    for (uint32_t i = 0; i < n->n_outer; i++) {
        const k_axis *axis = n->outer[i];
        bool passed = axis != q->f->m && axis != q->f->n;
        args[ARGUMENTS + i] = passed ? e->v_axes[axis->id] : v_zero;
    }
    emit_part_call(e, q->v_finish[masked], args, ARGUMENTS + n->n_outer);
}
