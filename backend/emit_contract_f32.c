/* Products in f32: weights of any dense type are decoded in registers. */
#include "backend/emit_contract.h"

static LLVMValueRef row_value(contract_emitter *q, const tile *t, uint32_t r, LLVMValueRef v_k)
{
    emit *e = q->e;
    LLVMValueRef v;
    if (q->v_packed) {
        LLVMValueRef v_row = LLVMBuildSub(e->b, t->v_m, q->v_first, "");
        LLVMValueRef v_at = LLVMBuildMul(e->b, v_row, emit_i64(e, q->s.row_bytes / 4), "");
        v_at = LLVMBuildAdd(e->b, v_at, contract_in_depth(q, v_k), "");
        v = LLVMBuildLoad2(
            e->b, e->f32,
            contract_at(e, e->f32, q->v_packed, contract_plus(e, v_at, r * q->s.row_bytes / 4)),
            "");
        return emit_splat(e, v);
    }
    emit_memo memo;
    emit_memo_push(e, &memo);
    contract_set_row(q, contract_plus(e, t->v_m, r));
    v = emit_splat(e, emit_scalar(e, q->f->a));
    emit_memo_pop(e);
    return v;
}

/* Weights in panels: the next one's lines. */
static contract_lines lines_ahead(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    const contract_form *f = q->f;
    const k_buf *b = contract_weights(f, 0);
    if (t->rows == 1 || !b || !b->panel || f->n_k > 1 || !ir_dim_is_const(f->k[0]->extent)) {
        return (contract_lines){0};
    }
    LLVMValueRef v_steps = emit_i64(e, ir_dim_value(f->k[0]->extent));
    int64_t step_bytes = (int64_t)(b->panel * ir_dtype_bytes(ir_storage_dtype(b->storage)));
    LLVMValueRef v_panel = LLVMBuildUDiv(e->b, t->v_n, emit_i64(e, b->panel), "");
    LLVMValueRef v_at = LLVMBuildMul(e->b, contract_plus(e, v_panel, 1), v_steps, "");
    if (q->v_depth[0]) {
        v_at = LLVMBuildAdd(e->b, v_at, q->v_depth[0], "");
        v_steps = LLVMBuildSub(e->b, q->v_depth[1], q->v_depth[0], "");
    }
    v_at = LLVMBuildMul(e->b, v_at, emit_i64(e, step_bytes), "");
    LLVMValueRef v_next[CONTRACT_MOST_PRODUCTS];
    for (uint32_t p = 0; p < f->n_products; p++) {
        const k_buf *w = contract_weights(f, p);
        if (!w) {
            return (contract_lines){0};
        }
        v_next[p] = contract_at(e, e->i8, e->v_bufs[w->id], v_at);
    }
    return contract_lines_of(q, t, v_next, v_steps, step_bytes, 1);
}

/* One step of k for the whole tile. */
static void add_products(contract_emitter *q, const tile *t, LLVMValueRef v_k, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    const contract_form *f = q->f;
    LLVMValueRef v_b[CONTRACT_MOST_PRODUCTS][16];
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[f->k[f->n_k - 1]->id] = v_k;
    for (uint32_t i = 0; f->more_k && i < f->n_k; i++) {
        e->v_axes[f->more_k[i]->id] = e->v_axes[f->k[i]->id];
    }
    for (uint32_t v = 0; v < t->vectors; v++) {
        emit_memo column;
        emit_memo_push(e, &column);
        contract_set_column(q, t, emit_i64(e, v));
        for (uint32_t p = 0; p < f->n_products; p++) {
            v_b[p][v] = emit_lanes(e, f->b[p]);
        }
        contract_leave_column(q);
        emit_memo_pop(e);
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_a = row_value(q, t, r, v_k);
        for (uint32_t p = 0; p < f->n_products; p++) {
            for (uint32_t v = 0; v < t->vectors; v++) {
                LLVMValueRef *v_sum = &v_sums[(p * t->rows + r) * t->vectors + v];
                *v_sum = emit_fma(e, v_a, v_b[p][v], *v_sum);
            }
        }
    }
    emit_memo_pop(e);
}

/* k from v_lo to v_hi, so many steps a turn. */
static void sum_steps(contract_emitter *q, const tile *t, LLVMValueRef v_lo, LLVMValueRef v_hi,
                      uint32_t unroll, uint32_t n, LLVMValueRef *v_sums)
{
    contract_lines ahead = lines_ahead(q, t);
    emit *e = q->e;
    LLVMValueRef v_next[64];
    emit_loop l;
    emit_loop_begin(e, &l, "k", v_lo, v_hi, emit_i64(e, unroll), n, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_next[i] = l.v_carry[i];
    }
    contract_ask_lines(q, &ahead, contract_in_depth(q, l.v_i));
    for (uint32_t u = 0; u < unroll; u++) {
        add_products(q, t, contract_plus(e, l.v_i, u), v_next);
    }
    emit_loop_end(e, &l, v_next);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l.v_carry[i];
    }
}

static void sum_axis(contract_emitter *q, const tile *t, uint32_t axis, uint32_t n,
                     LLVMValueRef *v_sums)
{
    emit *e = q->e;
    const k_axis *k = q->f->k[axis];
    LLVMValueRef v_zero = emit_i64(e, 0), v_size = emit_kernel_dim(e, k->extent);
    if (axis + 1 == q->f->n_k) {
        uint32_t unroll = contract_unroll(q, t);
        bool exact = ir_dim_is_const(k->extent) && ir_dim_value(k->extent) % unroll == 0;
        LLVMValueRef v_whole =
            exact ? v_size : LLVMBuildAnd(e->b, v_size, emit_i64(e, -(int64_t)unroll), "");
        if (q->v_depth[0]) {
            sum_steps(q, t, q->v_depth[0], q->v_depth[1], 1, n, v_sums);
            return;
        }
        sum_steps(q, t, v_zero, v_whole, unroll, n, v_sums);
        if (!exact) {
            sum_steps(q, t, v_whole, v_size, 1, n, v_sums);
        }
        return;
    }
    emit_loop l;
    emit_loop_begin(e, &l, k->name, v_zero, v_size, emit_i64(e, 1), n, v_sums);
    e->v_axes[k->id] = l.v_i;
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l.v_carry[i];
    }
    sum_axis(q, t, axis + 1, n, v_sums);
    emit_loop_end(e, &l, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l.v_carry[i];
    }
}

static void pack_values(contract_emitter *q, LLVMValueRef v_lo, LLVMValueRef v_hi,
                        LLVMValueRef v_row, bool whole)
{
    emit *e = q->e;
    const k_axis *k = q->f->k[0];
    emit_loop l;
    emit_loop_begin(e, &l, "pack", v_lo, v_hi, emit_i64(e, e->lanes), 0, NULL);
    e->v_axes[k->id] = l.v_i;
    e->lane_axis = k;
    e->v_mask = whole ? NULL : emit_lanes_below(e, l.v_i, v_hi);
    LLVMValueRef v = emit_lanes(e, q->f->a);
    e->v_mask = NULL;
    e->lane_axis = NULL;
    LLVMValueRef v_to = contract_at(e, e->f32, v_row, contract_in_depth(q, l.v_i));
    LLVMSetAlignment(LLVMBuildStore(e->b, v, v_to), 4 * e->lanes);
    emit_loop_end(e, &l, NULL);
}

static void pack_row(contract_emitter *q, LLVMValueRef v_row)
{
    emit *e = q->e;
    int64_t size = ir_dim_value(q->f->k[0]->extent), whole = size / e->lanes * e->lanes;
    LLVMValueRef v_lo = emit_i64(e, 0), v_hi = emit_i64(e, size), v_whole = emit_i64(e, whole);
    if (q->v_depth[0]) {
        v_lo = q->v_depth[0];
        v_hi = q->v_depth[1];
        v_whole = emit_intrinsic2(e, "llvm.smin", v_hi, v_whole);
    }
    pack_values(q, v_lo, v_whole, v_row, true);
    if (whole < size) {
        pack_values(q, v_whole, v_hi, v_row, false);
    }
}

static void sum(contract_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    sum_axis(q, t, 0, t->rows * t->vectors * q->f->n_products, v_sums);
}

const contract_kind contract_f32 = {.pack_row = pack_row, .sum = sum};
