/* A kernel: its attention, its sort or its nests, one after the other. */
#include "backend/emit.h"

LLVMValueRef emit_kernel(emit *e, const k_kernel *k)
{
    LLVMValueRef f = emit_kernel_begin(e, k);
    emit_memo memo;
    e->memo = NULL;
    emit_memo_push(e, &memo);
    e->lane_axis = NULL;
    e->v_mask = NULL;
    e->lanes_aligned = true;
    if (k->attention) {
        emit_attention(e, k->attention);
    } else if (k->sort) {
        emit_sort(e, k->sort);
    }
    bool done = k->joined && emit_contract(e, k->nests, k->n_nests);
    for (uint32_t i = 0; i < k->n_nests && !done; i++) {
        emit_nest(e, &k->nests[i]);
    }
    LLVMBuildRetVoid(e->b);
    e->memo = NULL;
    return f;
}
