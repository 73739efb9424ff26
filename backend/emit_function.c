/* Functions: of kernels, and of parts of them. */
#include "backend/emit.h"

#include <string.h>

static uint32_t n_arguments(const k_kernel *k)
{
    return k->n_bufs + k->n_syms + EMIT_KERNEL_EXTRA;
}

static LLVMTypeRef argument_type(emit *e, const k_kernel *k, uint32_t i)
{
    return i < k->n_bufs || i + 1 == n_arguments(k) ? e->ptr
           : i < k->n_bufs + k->n_syms + 2          ? e->i64
                                                    : e->i32;
}

LLVMTypeRef emit_kernel_type(emit *e, const k_kernel *k)
{
    uint32_t n = n_arguments(k);
    LLVMTypeRef *types = arena_array(e->a, LLVMTypeRef, n);
    for (uint32_t i = 0; i < n; i++) {
        types[i] = argument_type(e, k, i);
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

/* The arguments of a kernel are f's first ones. */
static void take_arguments(emit *e, LLVMValueRef f)
{
    const k_kernel *k = e->k;
    e->v_bufs = arena_array(e->a, LLVMValueRef, k->n_bufs + 1); /* the last: what a nest keeps */
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
    e->v_turn = LLVMGetParam(f, k->n_bufs + k->n_syms + 1);
    e->v_thread = LLVMGetParam(f, k->n_bufs + k->n_syms + 2);
    e->v_threads = LLVMGetParam(f, k->n_bufs + k->n_syms + 3);
    e->v_again = LLVMGetParam(f, k->n_bufs + k->n_syms + 4);
    e->v_scratch = LLVMGetParam(f, k->n_bufs + k->n_syms + 5);
    add_attribute(e, f, k->n_bufs + k->n_syms + 6, "noalias");
}

static uint32_t most_steps(const k_kernel *k)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < k->n_nests; i++) {
        most = k->nests[i].n_steps > most ? k->nests[i].n_steps : most;
    }
    return most;
}

LLVMValueRef emit_kernel_begin(emit *e, const k_kernel *k)
{
    char name[64];
    snprintf(name, sizeof name, "k%u_%s", k->id, k->kind);
    LLVMValueRef f = add_function(e, name, emit_kernel_type(e, k));
    e->fn = f;
    e->k = k;
    e->v_axes = arena_array(e->a, LLVMValueRef, k->n_axes);
    e->reduced = arena_array(e->a, emit_value, most_steps(k));
    take_arguments(e, f);
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->ctx, f, "entry"));
    return f;
}

void emit_part_begin(emit *e, const char *name, LLVMTypeRef *types, uint32_t n, emit_part *p)
{
    uint32_t own = n_arguments(e->k);
    LLVMTypeRef *all = arena_array(e->a, LLVMTypeRef, own + n);
    for (uint32_t i = 0; i < own + n; i++) {
        all[i] = i < own ? argument_type(e, e->k, i) : types[i - own];
    }
    *p = (emit_part){.v_bufs = e->v_bufs,
                     .v_syms = e->v_syms,
                     .v_axes = e->v_axes,
                     .v_seed = e->v_seed,
                     .v_turn = e->v_turn,
                     .v_thread = e->v_thread,
                     .v_threads = e->v_threads,
                     .v_again = e->v_again,
                     .v_scratch = e->v_scratch};
    e->v_axes = arena_array(e->a, LLVMValueRef, e->k->n_axes);
    p->fn = emit_function_begin(e, name, all, own + n, &p->outside);
    take_arguments(e, p->fn);
}

LLVMValueRef emit_part_argument(emit *e, const emit_part *p, uint32_t i)
{
    return LLVMGetParam(p->fn, n_arguments(e->k) + i);
}

void emit_part_end(emit *e, emit_part *p)
{
    emit_function_end(e, &p->outside);
    e->v_bufs = p->v_bufs;
    e->v_syms = p->v_syms;
    e->v_seed = p->v_seed;
    e->v_turn = p->v_turn;
    e->v_thread = p->v_thread;
    e->v_threads = p->v_threads;
    e->v_again = p->v_again;
    e->v_scratch = p->v_scratch;
    e->v_axes = p->v_axes;
}

void emit_part_call(emit *e, LLVMValueRef fn, LLVMValueRef *args, uint32_t n)
{
    const k_kernel *k = e->k;
    uint32_t own = n_arguments(k), at = 0;
    LLVMValueRef *all = arena_array(e->a, LLVMValueRef, own + n);
    for (uint32_t i = 0; i < k->n_bufs; i++) {
        all[at++] = e->v_bufs[i];
    }
    for (uint32_t i = 0; i < k->n_syms; i++) {
        all[at++] = e->v_syms[i];
    }
    all[at++] = e->v_seed;
    all[at++] = e->v_turn;
    all[at++] = e->v_thread;
    all[at++] = e->v_threads;
    all[at++] = e->v_again;
    all[at++] = e->v_scratch;
    for (uint32_t i = 0; i < n; i++) {
        all[at++] = args[i];
    }
    LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, all, own + n, "");
}
