/* What the emission of products is put together from. */
#include "backend/emit_contract.h"

#include <stdio.h>

LLVMValueRef contract_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(e->b, t, v_base, &v_i, 1, "");
}

LLVMValueRef contract_plus(emit *e, LLVMValueRef v, int64_t i)
{
    return i ? LLVMBuildAdd(e->b, v, emit_i64(e, i), "") : v;
}

LLVMValueRef contract_in_depth(contract_emitter *q, LLVMValueRef v_k)
{
    return q->v_depth[0] ? LLVMBuildSub(q->e->b, v_k, q->v_depth[0], "") : v_k;
}

const k_buf *contract_weights(const contract_form *f, uint32_t p)
{
    const k_expr *b = f->b[p];
    while (b->kind == K_CAST) {
        b = b->args[0];
    }
    return b->kind == K_LOAD ? b->buf : NULL;
}

uint32_t contract_unroll(const contract_emitter *q, const tile *t)
{
    return t->rows == 1 ? q->s.row_unroll : 1;
}

LLVMValueRef contract_column(contract_emitter *q, const tile *t, uint32_t vector)
{
    emit *e = q->e;
    LLVMValueRef v_apart = t->v_apart ? t->v_apart : emit_i64(e, e->lanes);
    return LLVMBuildMul(e->b, v_apart, emit_i64(e, vector), "");
}

void contract_set_column(contract_emitter *q, const tile *t, LLVMValueRef v_vector)
{
    emit *e = q->e;
    LLVMValueRef v_by = LLVMBuildMul(e->b, v_vector, emit_i64(e, e->lanes), "");
    e->v_axes[q->f->n->id] = LLVMBuildAdd(e->b, t->v_n, v_by, "");
    e->lane_axis = q->f->n;
    e->v_mask = t->v_mask;
}

void contract_leave_column(contract_emitter *q)
{
    q->e->lane_axis = NULL;
    q->e->v_mask = NULL;
}

void contract_set_row(contract_emitter *q, LLVMValueRef v_m)
{
    if (q->f->m) {
        q->e->v_axes[q->f->m->id] = v_m;
    }
}

LLVMValueRef contract_rounded_up(emit *e, LLVMValueRef v, int64_t by)
{
    return LLVMBuildSDiv(e->b, contract_plus(e, v, by - 1), emit_i64(e, by), "");
}

LLVMValueRef contract_backwards(contract_emitter *q)
{
    return LLVMBuildTrunc(q->e->b, q->e->v_turn, q->e->i1, "");
}

LLVMValueRef contract_packed_row(contract_emitter *q, LLVMValueRef v_i)
{
    emit *e = q->e;
    LLVMValueRef v_row_bytes = emit_i64(e, q->s.row_bytes);
    if (!q->s.rows_in_tiles) {
        return contract_at(e, e->i8, q->v_packed, LLVMBuildMul(e->b, v_i, v_row_bytes, ""));
    }
    LLVMValueRef v_within = LLVMBuildAnd(e->b, v_i, emit_i64(e, TILE_ROWS - 1), "");
    LLVMValueRef v_first = LLVMBuildSub(e->b, v_i, v_within, "");
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_first, v_row_bytes, "");
    v_within = LLVMBuildMul(e->b, v_within, emit_i64(e, TILE_BYTES), "");
    return contract_at(e, e->i8, q->v_packed, LLVMBuildAdd(e->b, v_at, v_within, ""));
}

void contract_part_begin(contract_emitter *q, const char *name, uint32_t n, LLVMValueRef *v,
                         emit_part *part)
{
    emit *e = q->e;
    const k_nest *nest = q->f->nest;
    LLVMTypeRef types[CONTRACT_PART_MOST + EMIT_MOST_OUTER];
    for (uint32_t i = 0; i < n + nest->n_outer; i++) {
        types[i] = i == 0 ? e->ptr : e->i64;
    }
    char whole[64];
    snprintf(whole, sizeof whole, "k%u_%s", e->k->id, name);
    emit_part_begin(e, whole, types, n + nest->n_outer, part);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = emit_part_argument(e, part, i);
    }
    for (uint32_t i = 0; i < nest->n_outer; i++) {
        e->v_axes[nest->outer[i]->id] = emit_part_argument(e, part, n + i);
    }
}
