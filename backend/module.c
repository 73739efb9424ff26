#include "backend/module.h"

#include "backend/emit_program.h"
#include "backend/watch.h"
#include "ir/build.h"
#include "runtime/abi.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <string.h>

/* Constants of the descriptor ---------------------------------------------------------------------
 */

typedef struct describer {
    emit *e;
    const k_module *m;
} describer;

static LLVMValueRef private_global(describer *d, LLVMValueRef v, const char *name, bool constant)
{
    LLVMValueRef g = LLVMAddGlobal(d->e->module, LLVMTypeOf(v), name);
    LLVMSetInitializer(g, v);
    LLVMSetGlobalConstant(g, constant);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    return g;
}

static LLVMValueRef text(describer *d, const char *s)
{
    if (!s) {
        return LLVMConstNull(d->e->ptr);
    }
    LLVMValueRef v = LLVMConstStringInContext2(d->e->ctx, s, strlen(s), false);
    LLVMValueRef g = private_global(d, v, "s", true);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static LLVMValueRef i64s(describer *d, uint32_t n, const int64_t *v)
{
    LLVMValueRef *all = arena_array(d->e->a, LLVMValueRef, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = emit_i64(d->e, v[i]);
    }
    all[n] = emit_i64(d->e, 0);
    return private_global(d, LLVMConstArray2(d->e->i64, all, n + 1), "n", true);
}

/* A NULL-terminated table of strings. */
static LLVMValueRef texts(describer *d, uint32_t n, const char *const *s)
{
    LLVMValueRef *all = arena_array(d->e->a, LLVMValueRef, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        all[i] = text(d, s[i]);
    }
    all[n] = LLVMConstNull(d->e->ptr);
    return private_global(d, LLVMConstArray2(d->e->ptr, all, n + 1), "t", true);
}

static LLVMValueRef u8(describer *d, uint64_t v)
{
    return LLVMConstInt(d->e->i8, v, false);
}
static LLVMValueRef u32(describer *d, uint64_t v)
{
    return LLVMConstInt(d->e->i32, v, false);
}
static LLVMValueRef structure(describer *d, uint32_t n, LLVMValueRef *v)
{
    return LLVMConstStructInContext(d->e->ctx, v, n, false);
}
#define STRUCT(d, ...)                                                                             \
    structure(d, sizeof((LLVMValueRef[]){__VA_ARGS__}) / sizeof(LLVMValueRef),                     \
              (LLVMValueRef[]){__VA_ARGS__})

/* An array of structs of one type as a global; NULL for none. */
static LLVMValueRef table(describer *d, uint32_t n, LLVMValueRef *rows)
{
    return n ? private_global(d, LLVMConstArray2(LLVMTypeOf(rows[0]), rows, n), "table", true)
             : LLVMConstNull(d->e->ptr);
}

static LLVMValueRef describe_tensor(describer *d, const char *name, const ir_type *t,
                                    const ir_arg_info *info)
{
    int64_t fixed[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        fixed[i] = ir_dim_is_const(t->dims[i]) ? ir_dim_value(t->dims[i]) : -1;
    }
    LLVMValueRef v_classes =
        info->n_classes ? texts(d, info->n_classes, info->classes) : LLVMConstNull(d->e->ptr);
    return STRUCT(d, text(d, name), text(d, ir_type_text(d->e->c, t)), u8(d, t->dtype),
                  u8(d, t->rank), u8(d, info->meaning), u8(d, 0), u32(d, info->sample_rate),
                  v_classes, i64s(d, t->rank, fixed));
}

/* Texts of what bind checks, in its order. */
static void abi_checks(describer *d, const ir_graph *g, uint32_t *n, const char ***out)
{
    VEC(const char *) all = {0};
    arena *a = d->e->a;
    intern_table *names = ir_ctx_names(d->e->c);
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        const ir_sym *s = ir_graph_sym(g, i);
        vec_push(a, &all, intern_printf(names, "%lld <= %s", (long long)s->lo, s->name));
        vec_push(a, &all,
                 s->hi == INT64_MAX
                     ? intern_printf(names, "%s is at most 2^40", s->name)
                     : intern_printf(names, "%s <= %lld", s->name, (long long)s->hi));
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        const ir_type *t = ir_node_type(ir_graph_input(g, i));
        for (uint32_t k = 0; k < t->rank; k++) {
            vec_push(a, &all,
                     intern_printf(names, "axis %u of %s: %s", k,
                                   ir_node_str(ir_graph_input(g, i), IR_ATTR_name),
                                   ir_type_text(d->e->c, t)));
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        const ir_condition *k = ir_graph_condition(g, i);
        source_place p = d->m->module->sources ? source_locate(d->m->module->sources, k->where)
                                               : (source_place){NULL, 0, 0};
        vec_push(a, &all,
                 p.line ? intern_printf(names, "%s (%s:%u)", k->text, p.path, p.line) : k->text);
    }
    *n = all.len;
    *out = all.at;
}

static LLVMValueRef describe_kernels(describer *d, const k_program *p)
{
    LLVMValueRef *rows = arena_array(d->e->a, LLVMValueRef, p->n_kernel_uses + 1);
    for (uint32_t i = 0; i < p->n_kernel_uses; i++) {
        source_place at = d->m->module->sources
                              ? source_locate(d->m->module->sources, p->use_locs[i].where)
                              : (source_place){"?", 0, 0};
        const char *where = intern_printf(ir_ctx_names(d->e->c), "%s:%u %s", at.path, at.line,
                                          p->use_locs[i].path ? p->use_locs[i].path : "");
        rows[i] = STRUCT(d, text(d, p->use_names[i]), text(d, where));
    }
    return table(d, p->n_kernel_uses, rows);
}

static bool uses_seed(const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_random) {
            return true;
        }
        for (uint32_t k = 0; k < n->n_bodies; k++) {
            if (uses_seed(n->bodies[k])) {
                return true;
            }
        }
    }
    return false;
}

static LLVMValueRef describe_entry(describer *d, const k_program *p, const emit_entry *f)
{
    const ir_entry *t = p->entry;
    const ir_graph *g = t->graph;
    emit *e = d->e;
    uint32_t n_syms = ir_graph_n_syms(g), n_args = ir_graph_n_inputs(g), n_results = 0, n_checks;
    const char **names = arena_array(e->a, const char *, n_syms), **checks;
    int64_t *lo = arena_array(e->a, int64_t, n_syms), *hi = arena_array(e->a, int64_t, n_syms);
    LLVMValueRef *args = arena_array(e->a, LLVMValueRef, n_args + 1),
                 *results = arena_array(e->a, LLVMValueRef, ir_graph_n_outputs(g) + 1);
    for (uint32_t i = 0; i < n_syms; i++) {
        names[i] = ir_graph_sym(g, i)->name;
        lo[i] = ir_graph_sym(g, i)->lo;
        hi[i] = ir_graph_sym(g, i)->hi;
    }
    for (uint32_t i = 0; i < n_args; i++) {
        const ir_node *n = ir_graph_input(g, i);
        args[i] = describe_tensor(d, ir_node_str(n, IR_ATTR_name), ir_node_type(n), &t->args[i]);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            results[n_results] =
                describe_tensor(d, o->name, ir_node_type(o->node), &t->results[n_results]);
            n_results++;
        }
    }
    abi_checks(d, g, &n_checks, &checks);
    const ir_dim *bytes = ir_graph_arena_bytes(g);
    int64_t most = bytes->hi == INT64_MAX ? -1 : bytes->hi;
    return STRUCT(d, text(d, t->name), text(d, t->doc), u32(d, n_syms),
                  u32(d, ir_graph_n_dim_args(g)), texts(d, n_syms, names), i64s(d, n_syms, lo),
                  i64s(d, n_syms, hi), u32(d, n_args), u32(d, n_results), table(d, n_args, args),
                  table(d, n_results, results), u32(d, n_checks), texts(d, n_checks, checks),
                  u32(d, p->n_kernel_uses), describe_kernels(d, p), f->bind, f->sizes, f->run,
                  emit_i64(e, most), text(d, ir_dim_text(e->c, bytes)), u32(d, uses_seed(g)),
                  u32(d, 0), f->cost, text(d, ir_dim_text(e->c, f->barriers)));
}

static LLVMValueRef describe_params(describer *d, const uint32_t *first_slot)
{
    const ir_module *m = d->m->module;
    LLVMValueRef *rows = arena_array(d->e->a, LLVMValueRef, m->n_params + 1);
    for (uint32_t i = 0; i < m->n_params; i++) {
        const ir_param *p = &m->params[i];
        int64_t dims[IR_MAX_RANK];
        for (uint32_t k = 0; k < p->type->rank; k++) {
            dims[k] = ir_dim_value(p->type->dims[k]);
        }
        uint32_t slots = first_slot[i + 1] - first_slot[i];
        LLVMValueRef v_reserved = LLVMConstNull(LLVMArrayType2(d->e->i8, 7));
        rows[i] =
            STRUCT(d, text(d, p->name), texts(d, p->n_aliases, p->aliases), u32(d, p->n_indices),
                   i64s(d, p->n_indices, p->counts), u32(d, first_slot[i]), u32(d, slots),
                   u8(d, p->storage), u8(d, k_layout_of(p)), u8(d, p->type->rank), u8(d, p->panel),
                   i64s(d, p->type->rank, dims), u8(d, p->pack_transposed), v_reserved);
    }
    return table(d, m->n_params, rows);
}

static LLVMValueRef describe_states(describer *d)
{
    const ir_module *m = d->m->module;
    LLVMValueRef *rows = arena_array(d->e->a, LLVMValueRef, m->n_states + 1);
    for (uint32_t i = 0; i < m->n_states; i++) {
        const ir_state *s = &m->states[i];
        int64_t dims[IR_MAX_RANK];
        for (uint32_t k = 0; k < s->type->rank; k++) {
            dims[k] = ir_dim_value(s->type->dims[k]);
        }
        rows[i] = STRUCT(d, text(d, s->name), u8(d, s->type->dtype), u8(d, s->type->rank),
                         i64s(d, s->type->rank, dims),
                         emit_i64(d->e, ir_dim_value(ir_type_bytes(d->e->c, s->type))));
    }
    return table(d, m->n_states, rows);
}

static int32_t entry_number(const k_module *m, const char *name)
{
    for (uint32_t i = 0; name && i < m->n_programs; i++) {
        if (strcmp(m->programs[i].entry->name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static int32_t arg_number(const ir_graph *g, const char *name)
{
    for (uint32_t i = 0; name && i < ir_graph_n_inputs(g); i++) {
        if (strcmp(ir_node_str(ir_graph_input(g, i), IR_ATTR_name), name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static LLVMValueRef describe_generates(describer *d)
{
    const ir_module *m = d->m->module;
    LLVMValueRef *rows = arena_array(d->e->a, LLVMValueRef, m->n_generates + 1);
    for (uint32_t i = 0; i < m->n_generates; i++) {
        const ir_generate *g = &m->generates[i];
        int32_t entry = entry_number(d->m, g->entry), encode = entry_number(d->m, g->encode);
        const ir_graph *graph = d->m->programs[entry < 0 ? 0 : entry].entry->graph;
        int32_t pos = -1;
        for (uint32_t k = 0; g->pos_dim && k < ir_graph_n_dim_args(graph); k++) {
            pos = strcmp(ir_graph_sym(graph, k)->name, g->pos_dim) == 0 ? (int32_t)k : pos;
        }
        rows[i] =
            STRUCT(d, text(d, g->name), u32(d, g->encoder_decoder), u32(d, (uint32_t)entry),
                   u32(d, (uint32_t)encode), u32(d, (uint32_t)arg_number(graph, g->tokens_arg)),
                   u32(d, (uint32_t)arg_number(graph, g->memory_arg)), u32(d, (uint32_t)pos),
                   u32(d, (uint64_t)g->bos), u32(d, (uint64_t)g->eos), emit_i64(d->e, g->context),
                   text(d, g->tokenizer));
    }
    return table(d, m->n_generates, rows);
}

static void describe_model(describer *d, const emit_entry *entries, const uint32_t *first_slot,
                           const module_options *o, const target *t)
{
    const ir_module *m = d->m->module;
    emit *e = d->e;
    LLVMValueRef *rows = arena_array(e->a, LLVMValueRef, d->m->n_programs + 1);
    for (uint32_t i = 0; i < d->m->n_programs; i++) {
        rows[i] = describe_entry(d, &d->m->programs[i], &entries[i]);
    }
    LLVMValueRef v =
        STRUCT(d, u32(d, AIGC_ABI_VERSION), u32(d, d->m->n_programs), u32(d, m->n_params),
               u32(d, m->n_states), u32(d, m->n_externs), u32(d, m->n_generates), text(d, m->name),
               text(d, m->doc), table(d, d->m->n_programs, rows), describe_params(d, first_slot),
               u32(d, first_slot[m->n_params]), u32(d, t->cpu_mask), describe_states(d),
               texts(d, m->n_externs, m->externs), describe_generates(d),
               emit_i64(e, (int64_t)((e->counter_bytes + (e->scratch_bytes + 63) / 64 * 64))),
               text(d, intern_printf(ir_ctx_names(e->c), "%s/%s", t->triple, t->cpu)));
    char name[256];
    snprintf(name, sizeof name, "%s_model", o->name);
    LLVMValueRef g = LLVMAddGlobal(e->module, LLVMTypeOf(v), name);
    LLVMSetInitializer(g, v);
    LLVMSetGlobalConstant(g, true);
}

/* The whole ---------------------------------------------------------------------------------------
 */

static void set_types(emit *e)
{
    e->i1 = LLVMInt1TypeInContext(e->ctx);
    e->i8 = LLVMInt8TypeInContext(e->ctx);
    e->i16 = LLVMInt16TypeInContext(e->ctx);
    e->i32 = LLVMInt32TypeInContext(e->ctx);
    e->i64 = LLVMInt64TypeInContext(e->ctx);
    e->f16 = LLVMHalfTypeInContext(e->ctx);
    e->f32 = LLVMFloatTypeInContext(e->ctx);
    e->f64 = LLVMDoubleTypeInContext(e->ctx);
    e->ptr = LLVMPointerTypeInContext(e->ctx, 0);
    e->void_ = LLVMVoidTypeInContext(e->ctx);
}

static bool run_passes(LLVMModuleRef m, const char *passes, const target *t, diag *d)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m, passes, t->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error) {
        char *message = LLVMGetErrorMessage(error);
        diag_error(d, (span){0}, "LLVM: %s", message);
        LLVMDisposeErrorMessage(message);
    }
    return !error;
}

static bool optimize(LLVMModuleRef m, const module_options *o, const target *t, diag *d)
{
    static const char *const pipelines[] = {
        NULL,
        "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,gvn,loop-mssa(licm),"
        "simplifycfg)",
        "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,gvn,loop-mssa(licm),"
        "simplifycfg)",
        "default<O3>",
    };
    const char *passes = pipelines[o->opt_level < 0 ? 0 : o->opt_level > 3 ? 3 : o->opt_level];
    return !passes || run_passes(m, passes, t, d);
}

static void set_target_attributes(LLVMContextRef ctx, LLVMModuleRef m, const target *t)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(m); f; f = LLVMGetNextFunction(f)) {
        if (LLVMIsDeclaration(f)) {
            continue;
        }
        const char *width = t->lanes == 16 ? "512" : "256";
        LLVMAttributeRef a = LLVMCreateStringAttribute(ctx, "prefer-vector-width", 19, width, 3);
        LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
    }
}

LLVMModuleRef module_emit(const k_module *k, const module_options *o, const target *t,
                          LLVMContextRef ctx, diag *d)
{
    emit state = {.ctx = ctx,
                  .module = LLVMModuleCreateWithNameInContext(o->name, ctx),
                  .t = t,
                  .a = k->a,
                  .c = k->module->ctx,
                  .lanes = t->lanes};
    emit *e = &state;
    set_types(e);
    e->b = LLVMCreateBuilderInContext(ctx);
    LLVMSetTarget(e->module, t->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(t->machine);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
    describer describe = {e, k};
    e->v_zeros = private_global(&describe, LLVMConstNull(LLVMArrayType2(e->i8, 64)), "zeros", true);
    LLVMSetAlignment(e->v_zeros, 64);
    LLVMValueRef *kernels = arena_array(k->a, LLVMValueRef, k->n_kernels + 1);
    for (uint32_t i = 0; i < k->n_kernels; i++) {
        kernels[i] = emit_kernel(e, k->kernels[i]);
    }
    const ir_module *m = k->module;
    uint32_t *first_slot = arena_array(k->a, uint32_t, m->n_params + 1);
    for (uint32_t i = 0; i < m->n_params; i++) {
        uint32_t slots = 1;
        for (uint32_t j = 0; j < m->params[i].n_indices; j++) {
            slots *= (uint32_t)m->params[i].counts[j];
        }
        first_slot[i + 1] = first_slot[i] + slots;
    }
    emit_entry *entries = arena_array(k->a, emit_entry, k->n_programs + 1);
    for (uint32_t i = 0; i < k->n_programs; i++) {
        entries[i] = emit_program(e, k, &k->programs[i], kernels, first_slot, o);
    }
    describe_model(&describe, entries, first_slot, o, t);
    LLVMDisposeBuilder(e->b);
    char *message = NULL;
    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message)) {
        diag_error(d, (span){0},
                   "the code made for this model is not well formed; this is a mistake of aigc: %s",
                   message);
        LLVMDisposeMessage(message);
        LLVMDisposeModule(e->module);
        return NULL;
    }
    LLVMDisposeMessage(message);
    set_target_attributes(ctx, e->module, t);
    if (!optimize(e->module, o, t, d)) {
        LLVMDisposeModule(e->module);
        return NULL;
    }
    return e->module;
}

LLVMMemoryBufferRef module_compile(LLVMModuleRef m, const target *t, bool assembly, diag *d)
{
    LLVMMemoryBufferRef out = NULL;
    char *message = NULL;
    if (t->watch_threads) {
        watch_threads(m);
        if (!run_passes(m, "function(tsan)", t, d)) {
            return NULL;
        }
    }
    if (LLVMTargetMachineEmitToMemoryBuffer(
            t->machine, m, assembly ? LLVMAssemblyFile : LLVMObjectFile, &message, &out)) {
        diag_error(d, (span){0}, "LLVM: %s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    return out;
}
