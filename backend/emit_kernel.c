/* The function of a kernel. */
#include "backend/emit.h"

#include <string.h>

LLVMTypeRef emit_kernel_type(emit *e, const k_kernel *k)
{
    uint32_t n = k->n_bufs + k->n_syms + EMIT_KERNEL_EXTRA;
    LLVMTypeRef *types = arena_array(e->a, LLVMTypeRef, n);
    for (uint32_t i = 0; i < n; i++) {
        types[i] = i < k->n_bufs || i + 1 == n     ? e->ptr
                   : i < k->n_bufs + k->n_syms + 1 ? e->i64
                                                   : e->i32;
    }
    return LLVMFunctionType(e->void_, types, n, false);
}

static void add_attribute(emit *e, LLVMValueRef f, LLVMAttributeIndex at, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(f, at, LLVMCreateEnumAttribute(e->ctx, kind, 0));
}

LLVMValueRef emit_scratch(emit *e, uint64_t bytes)
{
    e->scratch_bytes = bytes > e->scratch_bytes ? bytes : e->scratch_bytes;
    return e->v_scratch;
}

static LLVMValueRef add_function(emit *e, const char *name, LLVMTypeRef type)
{
    LLVMValueRef f = LLVMAddFunction(e->module, name, type);
    LLVMSetLinkage(f, LLVMInternalLinkage);
    add_attribute(e, f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, "nounwind");
    add_attribute(e, f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, "noinline");
    return f;
}

LLVMValueRef emit_function_begin(emit *e, const char *name, LLVMTypeRef *types, uint32_t n,
                                 emit_function *outside)
{
    LLVMValueRef f = add_function(e, name, LLVMFunctionType(e->void_, types, n, false));
    outside->fn = e->fn;
    outside->block = LLVMGetInsertBlock(e->b);
    outside->memo = e->memo;
    e->fn = f;
    e->memo = NULL;
    emit_memo_push(e, &outside->own);
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->ctx, f, "entry"));
    return f;
}

void emit_function_end(emit *e, emit_function *outside)
{
    LLVMBuildRetVoid(e->b);
    LLVMPositionBuilderAtEnd(e->b, outside->block);
    e->fn = outside->fn;
    e->memo = outside->memo;
}

LLVMValueRef emit_kernel(emit *e, const k_kernel *k)
{
    char name[64];
    snprintf(name, sizeof name, "k%u_%s", k->id, k->kind);
    LLVMValueRef f = add_function(e, name, emit_kernel_type(e, k));
    e->fn = f;
    e->k = k;
    e->v_bufs = arena_array(e->a, LLVMValueRef, k->n_bufs);
    e->v_syms = arena_array(e->a, LLVMValueRef, k->n_syms);
    for (uint32_t i = 0; i < k->n_bufs; i++) {
        e->v_bufs[i] = LLVMGetParam(f, i);
        LLVMSetValueName2(e->v_bufs[i], k->bufs[i]->name, strlen(k->bufs[i]->name));
        if (k->bufs[i]->disjoint) {
            add_attribute(e, f, i + 1, "noalias");
        }
    }
    for (uint32_t i = 0; i < k->n_syms; i++) {
        e->v_syms[i] = LLVMGetParam(f, k->n_bufs + i);
    }
    e->v_seed = LLVMGetParam(f, k->n_bufs + k->n_syms);
    e->v_thread = LLVMGetParam(f, k->n_bufs + k->n_syms + 1);
    e->v_threads = LLVMGetParam(f, k->n_bufs + k->n_syms + 2);
    e->v_scratch = LLVMGetParam(f, k->n_bufs + k->n_syms + 3);
    add_attribute(e, f, k->n_bufs + k->n_syms + 4, "noalias");
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->ctx, f, "entry"));
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
    for (uint32_t i = 0; i < k->n_nests; i++) {
        emit_nest(e, &k->nests[i]);
    }
    LLVMBuildRetVoid(e->b);
    e->memo = NULL;
    return f;
}
