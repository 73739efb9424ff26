/* Where a store reads and writes, so that lines further on are asked for while there is other
 * work. */
#include "backend/emit.h"

typedef struct finder {
    emit *e;
    const k_axis *along;
    emit_places *to;
} finder;

/* Lanes side by side, at a place that moves with the axis. */
static void find(const finder *q, const k_buf *b, const k_expr *offset)
{
    emit *e = q->e;
    const ir_dim *step, *side;
    if (q->to->n == EMIT_MOST_PLACES || !ir_storage_is_dense(b->storage) ||
        !k_affine(e->c, e->a, offset, q->along, &step) || ir_dim_is_value(step, 0) ||
        !k_affine(e->c, e->a, offset, e->lane_axis, &side) || !ir_dim_is_one(side)) {
        return;
    }
    ir_dtype t = ir_storage_dtype(b->storage);
    LLVMValueRef v_at = emit_scalar(e, offset);
    LLVMValueRef v_bytes = emit_i64(e, (int64_t)ir_dtype_bytes(t));
    q->to->places[q->to->n++] = (emit_place){
        .v_ptr = LLVMBuildGEP2(e->b, emit_memory_type(e, t), e->v_bufs[b->id], &v_at, 1, ""),
        .v_step = LLVMBuildMul(e->b, emit_kernel_dim(e, step), v_bytes, "")};
}

static void find_loads(const finder *q, const k_expr *x)
{
    if (x->kind == K_LOAD) {
        find(q, x->buf, x->args[0]);
        return;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        find_loads(q, x->args[i]);
    }
}

emit_places emit_places_of(emit *e, const k_step *store, const k_axis *along)
{
    emit_places to = {0};
    finder q = {e, along, &to};
    find(&q, store->buf, store->offset);
    find_loads(&q, store->value);
    return to;
}
