#include "backend/emit_program.h"

#include "backend/emit_pieces.h"
#include "ir/build.h"
#include "passes/work.h"
#include "runtime/abi.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct known_sym {
    const ir_sym *sym;
    LLVMValueRef v;
} known_sym;

typedef struct programmer {
    emit *e;
    const k_module *m;
    const k_program *p;
    const ir_graph *g;
    LLVMValueRef *kernels;
    const uint32_t *first_slot;
    bool profile;
    LLVMValueRef v_call; /* const aigc_abi_call * */
    LLVMValueRef v_dims; /* int64_t * */
    LLVMValueRef v_args, v_results, v_params, v_states, v_arena, v_externs;
    LLVMValueRef v_turn; /* of the innermost loop; NULL outside of loops */
    LLVMValueRef v_seed, v_thread, v_threads, v_scratch, v_barrier, v_barrier_data;
    bool open; /* has it open kernels? */
    pieces_team team;
    LLVMValueRef v_take, v_ticket; /* the function, and where the next ticket is */
    VEC(known_sym) known; /* symbols that have values: the entry's and the loops' around */
} programmer;

static void know(programmer *q, const ir_sym *sym, LLVMValueRef v)
{
    vec_push(q->e->a, &q->known, ((known_sym){sym, v}));
}

/* NULL: it has no value yet. */
static LLVMValueRef known_value(const programmer *q, const ir_sym *s)
{
    for (uint32_t i = q->known.len; i-- > 0;) {
        if (q->known.at[i].sym == s) {
            return q->known.at[i].v;
        }
    }
    return NULL;
}

static LLVMValueRef sym_value(void *data, const ir_sym *s)
{
    programmer *q = data;
    LLVMValueRef v = known_value(q, s);
    return v ? v : emit_i64(q->e, s->lo);
}

static LLVMValueRef dim_value(programmer *q, const ir_dim *d)
{
    return emit_dim(q->e, d, sym_value, q);
}

static LLVMValueRef load_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMTypeRef element,
                            LLVMValueRef v_index)
{
    return LLVMBuildLoad2(e->b, t, LLVMBuildGEP2(e->b, element, v_base, &v_index, 1, ""), "");
}

static LLVMValueRef field(programmer *q, LLVMTypeRef t, size_t offset)
{
    return load_at(q->e, t, q->v_call, q->e->i8, emit_i64(q->e, (int64_t)offset));
}

static LLVMValueRef begin_function(emit *e, const char *name, const char *entry, LLVMTypeRef result,
                                   uint32_t n, LLVMTypeRef *types)
{
    char text[256];
    snprintf(text, sizeof text, "%s_%s", entry, name);
    LLVMValueRef f = LLVMAddFunction(e->module, text, LLVMFunctionType(result, types, n, false));
    LLVMSetLinkage(f, LLVMInternalLinkage);
    e->fn = f;
    e->memo = NULL;
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->ctx, f, "entry"));
    return f;
}

static void know_entry_syms(programmer *q)
{
    q->known.len = 0;
    for (uint32_t i = 0; i < ir_graph_n_syms(q->g); i++) {
        know(q, ir_graph_sym(q->g, i),
             load_at(q->e, q->e->i64, q->v_dims, q->e->i64, emit_i64(q->e, i)));
    }
}

/* bind -------------------------------------------------------------------------------------------
 */

static void check(emit *e, LLVMValueRef v_ok, uint32_t number)
{
    LLVMBasicBlockRef bad = LLVMAppendBasicBlockInContext(e->ctx, e->fn, "bad"),
                      good = LLVMAppendBasicBlockInContext(e->ctx, e->fn, "good");
    LLVMBuildCondBr(e->b, v_ok, good, bad);
    LLVMPositionBuilderAtEnd(e->b, bad);
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, number, false));
    LLVMPositionBuilderAtEnd(e->b, good);
}

static bool is_unknown(void *data, const ir_sym *s)
{
    return !known_value(data, s);
}

/* Finds the symbol of d = coef * s + rest whose other symbols are known. */
static const ir_sym *solvable(programmer *q, const ir_dim *d, int64_t *coef, const ir_dim **rest)
{
    const ir_sym *s = ir_dim_only_symbol(d, is_unknown, q);
    return s && ir_dim_split(q->e->c, d, s, coef, rest) && *coef != 0 ? s : NULL;
}

/* Sizes of arguments bind symbols first; then every size, bound and condition is checked. The order
 * of checks is that of abi_checks in module.c. */
static LLVMValueRef emit_bind(programmer *q)
{
    emit *e = q->e;
    LLVMTypeRef types[2] = {e->ptr, e->ptr};
    LLVMValueRef f = begin_function(e, "bind", q->p->entry->name, e->i32, 2, types);
    LLVMValueRef v_sizes = LLVMGetParam(f, 0);
    q->v_dims = LLVMGetParam(f, 1);
    q->known.len = 0;
    for (uint32_t i = 0; i < ir_graph_n_dim_args(q->g); i++) {
        know(q, ir_graph_sym(q->g, i), load_at(e, e->i64, q->v_dims, e->i64, emit_i64(e, i)));
    }
    bool again = true;
    while (again) {
        again = false;
        uint32_t at = 0;
        for (uint32_t i = 0; i < ir_graph_n_inputs(q->g); i++) {
            const ir_type *t = ir_node_type(ir_graph_input(q->g, i));
            for (uint32_t k = 0; k < t->rank; k++, at++) {
                int64_t coef;
                const ir_dim *rest;
                const ir_sym *s = solvable(q, t->dims[k], &coef, &rest);
                if (!s) {
                    continue;
                }
                LLVMValueRef v_size = load_at(e, e->i64, v_sizes, e->i64, emit_i64(e, at));
                LLVMValueRef v = LLVMBuildSub(e->b, v_size, dim_value(q, rest), "");
                v = coef == 1 ? v : LLVMBuildSDiv(e->b, v, emit_i64(e, coef), "");
                know(q, s, v);
                again = true;
            }
        }
    }
    for (uint32_t i = ir_graph_n_dim_args(q->g); i < ir_graph_n_syms(q->g); i++) {
        LLVMValueRef v_at = emit_i64(e, i);
        LLVMBuildStore(e->b, sym_value(q, ir_graph_sym(q->g, i)),
                       LLVMBuildGEP2(e->b, e->i64, q->v_dims, &v_at, 1, ""));
    }
    uint32_t number = 1;
    for (uint32_t i = 0; i < ir_graph_n_syms(q->g);
         i++) { /* bounds first: later sums cannot overflow */
        const ir_sym *s = ir_graph_sym(q->g, i);
        LLVMValueRef v = sym_value(q, s);
        int64_t hi = s->hi == INT64_MAX ? (int64_t)1 << 40 : s->hi;
        check(e, LLVMBuildICmp(e->b, LLVMIntSGE, v, emit_i64(e, s->lo), ""), number++);
        check(e, LLVMBuildICmp(e->b, LLVMIntSLE, v, emit_i64(e, hi), ""), number++);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < ir_graph_n_inputs(q->g); i++) {
        const ir_type *t = ir_node_type(ir_graph_input(q->g, i));
        for (uint32_t k = 0; k < t->rank; k++, at++) {
            LLVMValueRef v_size = load_at(e, e->i64, v_sizes, e->i64, emit_i64(e, at));
            check(e, LLVMBuildICmp(e->b, LLVMIntEQ, v_size, dim_value(q, t->dims[k]), ""),
                  number++);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(q->g); i++) {
        const ir_condition *k = ir_graph_condition(q->g, i);
        LLVMIntPredicate p = k->rel == IR_REL_EQ ? LLVMIntEQ : LLVMIntSLE;
        check(e, LLVMBuildICmp(e->b, p, dim_value(q, k->lhs), dim_value(q, k->rhs), ""), number++);
    }
    LLVMBuildRet(e->b, LLVMConstInt(e->i32, 0, false));
    return f;
}

static void store_sizes(programmer *q, const ir_type *t, LLVMValueRef v_out, int64_t *at)
{
    emit *e = q->e;
    for (uint32_t k = 0; k < t->rank; k++) {
        LLVMValueRef v_at = emit_i64(e, (*at)++);
        LLVMBuildStore(e->b, dim_value(q, t->dims[k]),
                       LLVMBuildGEP2(e->b, e->i64, v_out, &v_at, 1, ""));
    }
}

static LLVMValueRef emit_sizes(programmer *q)
{
    emit *e = q->e;
    LLVMTypeRef types[2] = {e->ptr, e->ptr};
    LLVMValueRef f = begin_function(e, "sizes", q->p->entry->name, e->void_, 2, types);
    LLVMValueRef v_out = LLVMGetParam(f, 1);
    q->v_dims = LLVMGetParam(f, 0);
    know_entry_syms(q);
    LLVMBuildStore(e->b, dim_value(q, ir_graph_arena_bytes(q->g)), v_out);
    int64_t at = 1;
    for (uint32_t i = 0; i < ir_graph_n_outputs(q->g); i++) {
        const ir_output *o = ir_graph_output(q->g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            store_sizes(q, ir_node_type(o->node), v_out, &at);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(q->g); i++) {
        store_sizes(q, ir_node_type(ir_graph_input(q->g, i)), v_out, &at);
    }
    LLVMBuildRetVoid(e->b);
    return f;
}

static void store_number(emit *e, LLVMValueRef v, LLVMValueRef v_out, int64_t at)
{
    LLVMValueRef v_at = emit_i64(e, at);
    LLVMBuildStore(e->b, v, LLVMBuildGEP2(e->b, e->i64, v_out, &v_at, 1, ""));
}

static LLVMValueRef emit_cost(programmer *q, const work_estimate *w)
{
    emit *e = q->e;
    LLVMTypeRef types[2] = {e->ptr, e->ptr};
    LLVMValueRef f = begin_function(e, "cost", q->p->entry->name, e->void_, 2, types);
    q->v_dims = LLVMGetParam(f, 0);
    know_entry_syms(q);
    LLVMValueRef v_units = w->shared->overflow ? emit_i64(e, INT64_MAX) : dim_value(q, w->shared);
    LLVMValueRef v_ns = LLVMBuildSDiv(e->b, v_units, emit_i64(e, WORK_UNITS_PER_NS), "ns");
    store_number(e, v_ns, LLVMGetParam(f, 1), 0);
    store_number(e, w->barriers->overflow ? emit_i64(e, 0) : dim_value(q, w->barriers),
                 LLVMGetParam(f, 1), 1);
    LLVMBuildRetVoid(e->b);
    return f;
}

/* run --------------------------------------------------------------------------------------------
 */

/* All threads meet, unless their number divides `unless`. */
static void emit_barrier(programmer *q, int64_t unless)
{
    emit *e = q->e;
    emit_if f;
    LLVMTypeRef types[2] = {e->ptr, e->i32};
    LLVMValueRef args[2] = {q->v_barrier_data, q->v_thread};
    LLVMValueRef v_number = LLVMConstInt(e->i32, (uint64_t)unless, false);
    LLVMValueRef v_meet =
        unless == 1 ? LLVMBuildICmp(e->b, LLVMIntUGT, q->v_threads, v_number, "")
                    : LLVMBuildIsNotNull(e->b, LLVMBuildURem(e->b, v_number, q->v_threads, ""), "");
    emit_if_begin(e, &f, v_meet, "barrier");
    LLVMBuildCall2(e->b, LLVMFunctionType(e->void_, types, 2, false), q->v_barrier, args, 2, "");
    emit_if_end(e, &f);
}

LLVMValueRef emit_data(emit *e, const ir_data *d)
{
    char name[40];
    snprintf(name, sizeof name, "data.%p", (const void *)d);
    LLVMValueRef g = LLVMGetNamedGlobal(e->module, name);
    if (g) {
        return g;
    }
    LLVMValueRef v_bytes = LLVMConstStringInContext2(e->ctx, d->bytes, d->size_bytes, true);
    g = LLVMAddGlobal(e->module, LLVMTypeOf(v_bytes), name);
    LLVMSetInitializer(g, v_bytes);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetAlignment(g, 64);
    return g;
}

static LLVMValueRef place_value(programmer *q, const k_place *p)
{
    emit *e = q->e;
    LLVMValueRef v_base, v_index = emit_i64(e, p->index);
    switch (p->space) {
    case K_SPACE_ARENA:
        v_base = q->v_arena;
        break;
    case K_SPACE_ARG:
        v_base = load_at(e, e->ptr, q->v_args, e->ptr, v_index);
        break;
    case K_SPACE_RESULT:
        v_base = load_at(e, e->ptr, q->v_results, e->ptr, v_index);
        break;
    case K_SPACE_STATE:
        v_base = load_at(e, e->ptr, q->v_states, e->ptr, v_index);
        break;
    case K_SPACE_PARAM: {
        const ir_param *k = &q->m->module->params[p->index];
        LLVMValueRef v_slot = emit_i64(e, 0);
        for (uint32_t i = 0; i < p->n_indices; i++) {
            v_slot = LLVMBuildMul(e->b, v_slot, emit_i64(e, k->counts[i]), "");
            v_slot = LLVMBuildAdd(e->b, v_slot, dim_value(q, p->indices[i]), "");
        }
        v_slot = LLVMBuildAdd(e->b, v_slot, emit_i64(e, q->first_slot[p->index]), "");
        return load_at(e, e->ptr, q->v_params, e->ptr, v_slot);
    }
    default:
        return emit_data(e, p->data);
    }
    if (ir_dim_is_value(p->at, 0)) {
        return v_base;
    }
    LLVMValueRef v_at = dim_value(q, p->at);
    return LLVMBuildGEP2(e->b, e->i8, v_base, &v_at, 1, "");
}

static void emit_items(programmer *q, const k_item *items, uint32_t n);

static void emit_profile(programmer *q, uint32_t number)
{
    emit *e = q->e;
    if (!q->profile) {
        return;
    }
    LLVMValueRef v_hook = field(q, e->ptr, offsetof(aigc_abi_call, profile));
    LLVMValueRef v_data = field(q, e->ptr, offsetof(aigc_abi_call, profile_data));
    LLVMValueRef v_wanted = LLVMBuildAnd(
        e->b, LLVMBuildICmp(e->b, LLVMIntNE, v_hook, LLVMConstNull(e->ptr), ""),
        LLVMBuildICmp(e->b, LLVMIntEQ, q->v_thread, LLVMConstInt(e->i32, 0, false), ""), "");
    emit_if f;
    LLVMTypeRef types[2] = {e->ptr, e->i32};
    LLVMValueRef args[2] = {v_data, LLVMConstInt(e->i32, number, false)};
    emit_if_begin(e, &f, v_wanted, "profile");
    LLVMBuildCall2(e->b, LLVMFunctionType(e->void_, types, 2, false), v_hook, args, 2, "");
    emit_if_end(e, &f);
}

/* May the kernel read other parameters in every turn of a loop? */
static bool params_vary(const k_item *t)
{
    for (uint32_t i = 0; i < t->kernel->n_bufs; i++) {
        if (t->places[i].space == K_SPACE_PARAM && t->places[i].n_indices) {
            return true;
        }
    }
    return false;
}

/* Open kernels ----------------------------------------------------------------------------------
 */

/* What turns read again is in the cache of the core that read it before. */
static bool has_pieces(const k_item *t, bool in_loop)
{
    return t->open && !pieces_never(t->work) && !(in_loop && !params_vary(t)) &&
           t->kernel->n_nests == 1 && t->kernel->nests[0].split >= 0;
}

static bool any_has_pieces(const k_item *items, uint32_t n, bool in_loop)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        const k_item *t = &items[i];
        any |= t->kind == K_ITEM_KERNEL && has_pieces(t, in_loop);
        any |= t->kind == K_ITEM_LOOP && any_has_pieces(t->items, t->n_items, true);
    }
    return any;
}

typedef struct use {
    programmer *q;
    const k_item *t;
} use;

static LLVMValueRef kernel_sym_value(void *data, const ir_sym *s)
{
    const use *u = data;
    for (uint32_t i = 0; i < u->t->kernel->n_syms; i++) {
        if (u->t->kernel->syms[i] == s) {
            return dim_value(u->q, u->t->dims[i]);
        }
    }
    return emit_i64(u->q->e, s->lo);
}

/* In how many pieces its shares are cut; in one where a second would pack many rows again. */
static LLVMValueRef depth_of(programmer *q, const k_item *t)
{
    emit *e = q->e;
    const k_nest *n = &t->kernel->nests[0];
    use u = {q, t};
    LLVMValueRef v_extent = emit_dim(e, n->outer[n->split]->extent, kernel_sym_value, &u);
    part_costs parts = emit_contract_parts(e, n);
    int64_t least = n->grain > parts.columns ? n->grain : parts.columns;
    LLVMValueRef v_units = LLVMBuildUDiv(e->b, v_extent, emit_i64(e, least), "units");
    LLVMValueRef v_work = t->work->overflow ? emit_i64(e, INT64_MAX) : dim_value(q, t->work);
    LLVMValueRef v_depth = emit_pieces_depth(e, &q->team, v_work, v_units);
    if (parts.rows < 0 || !parts.m) {
        return v_depth;
    }
    LLVMValueRef v_rows = emit_dim(e, parts.m->extent, kernel_sym_value, &u);
    LLVMValueRef v_few = LLVMBuildICmp(e->b, LLVMIntSLE, v_rows, emit_i64(e, parts.rows), "");
    return emit_select(e, v_few, v_depth, emit_i64(e, 0));
}

/* All threads run the same kernels, and count alike. */
static LLVMValueRef next_ticket(programmer *q)
{
    emit *e = q->e;
    LLVMValueRef v_ticket = LLVMBuildLoad2(e->b, e->i64, q->v_ticket, "ticket");
    LLVMValueRef v_next = LLVMBuildAdd(e->b, v_ticket, emit_i64(e, PIECES_TICKET), "");
    LLVMBuildStore(e->b, v_next, q->v_ticket);
    return v_ticket;
}

static void begin_pieces(programmer *q)
{
    emit *e = q->e;
    q->v_ticket = LLVMBuildAlloca(e->b, e->i64, "tickets");
    LLVMBuildStore(e->b, emit_i64(e, 0), q->v_ticket);
    emit_pieces_begin(e, &q->team);
}

static void emit_call(programmer *q, const k_item *t)
{
    emit *e = q->e;
    const k_kernel *k = t->kernel;
    uint32_t n = k->n_bufs + k->n_syms + EMIT_KERNEL_EXTRA;
    LLVMValueRef *args = arena_array(e->a, LLVMValueRef, n);
    for (uint32_t i = 0; i < k->n_bufs; i++) {
        args[i] = place_value(q, &t->places[i]);
    }
    for (uint32_t i = 0; i < k->n_syms; i++) {
        args[k->n_bufs + i] = dim_value(q, t->dims[i]);
    }
    args[n - 6] = q->v_seed;
    args[n - 5] = q->v_turn && !params_vary(t) ? q->v_turn : emit_i64(e, 0);
    args[n - 4] = q->v_thread;
    args[n - 3] = q->v_threads;
    args[n - 2] = LLVMConstInt(e->i32, 0, false);
    args[n - 1] = q->v_scratch;
    emit_profile(q, t->number);
    if (!has_pieces(t, q->v_turn != NULL)) {
        LLVMBuildCall2(e->b, emit_kernel_type(e, k), q->kernels[k->id], args, n, "");
        return;
    }
    LLVMValueRef v_depth = depth_of(q, t), v_ticket = next_ticket(q);
    pieces_turn turn;
    emit_pieces_each(e, &q->team, q->v_take, v_depth, v_ticket, &turn);
    args[n - 4] = turn.v_share;
    args[n - 3] = turn.v_shares;
    args[n - 2] = turn.v_again;
    LLVMBuildCall2(e->b, emit_kernel_type(e, k), q->kernels[k->id], args, n, "");
    emit_pieces_next(e, &turn);
}

/* C functions are called with one pointer an argument or result, then the sizes of all their axes.
 */
static void emit_extern(programmer *q, const k_item *t)
{
    emit *e = q->e;
    emit_if f;
    emit_if_begin(e, &f,
                  LLVMBuildICmp(e->b, LLVMIntEQ, q->v_thread, LLVMConstInt(e->i32, 0, false), ""),
                  "extern");
    VEC(LLVMValueRef) args = {0};
    VEC(LLVMTypeRef) types = {0};
    for (uint32_t i = 0; i < t->n_args + t->n_results; i++) {
        vec_push(e->a, &args, place_value(q, &t->extern_places[i]));
        vec_push(e->a, &types, e->ptr);
    }
    for (uint32_t i = 0; i < t->n_args + t->n_results; i++) {
        for (uint32_t k = 0; k < t->extern_types[i]->rank; k++) {
            vec_push(e->a, &args, dim_value(q, t->extern_types[i]->dims[k]));
            vec_push(e->a, &types, e->i64);
        }
    }
    LLVMValueRef v_f = load_at(e, e->ptr, q->v_externs, e->ptr, emit_i64(e, t->extern_index));
    LLVMBuildCall2(e->b, LLVMFunctionType(e->void_, types.at, types.len, false), v_f, args.at,
                   args.len, "");
    emit_if_end(e, &f);
}

/* Loops run upwards over turn numbers; the index is lo + turn * step. */
static void emit_program_loop(programmer *q, const k_item *t)
{
    emit *e = q->e;
    LLVMValueRef v_turns = dim_value(q, ir_loop_turns(e->c, t->lo, t->hi, t->step)),
                 v_lo = dim_value(q, t->lo);
    LLVMValueRef v_go = LLVMConstInt(e->i1, 1, false);
    emit_loop l;
    emit_loop_begin(e, &l, "turn", emit_i64(e, 0), v_turns, emit_i64(e, 1), 1, &v_go);
    emit_if f;
    emit_if_begin(e, &f, l.v_carry[0], "go");
    LLVMValueRef v_i =
        LLVMBuildAdd(e->b, v_lo, LLVMBuildMul(e->b, l.v_i, emit_i64(e, t->step), ""), t->sym->name);
    know(q, t->sym, v_i);
    LLVMValueRef v_outer = q->v_turn;
    q->v_turn = l.v_i;
    emit_items(q, t->items, t->n_items);
    q->v_turn = v_outer;
    q->known.len--;
    LLVMValueRef v_next = LLVMConstInt(e->i1, 1, false);
    if (t->cond) {
        emit_barrier(q, 1);
        LLVMValueRef v_byte = LLVMBuildLoad2(e->b, e->i8, place_value(q, t->cond), "");
        v_next = LLVMBuildICmp(e->b, LLVMIntNE, v_byte, LLVMConstInt(e->i8, 0, false), "");
        emit_barrier(q, 1);
    }
    LLVMBasicBlockRef from = LLVMGetInsertBlock(e->b);
    LLVMBasicBlockRef skipped = LLVMGetPreviousBasicBlock(from);
    (void)skipped;
    LLVMBasicBlockRef head = l.body;
    emit_if_end(e, &f);
    LLVMValueRef v_phi = LLVMBuildPhi(e->b, e->i1, "");
    LLVMValueRef v_stop = LLVMConstInt(e->i1, 0, false);
    LLVMAddIncoming(v_phi, &v_next, &from, 1);
    LLVMAddIncoming(v_phi, &v_stop, &head, 1);
    emit_loop_end(e, &l, &v_phi);
}

static void emit_items(programmer *q, const k_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (items[i].barrier) {
            emit_barrier(q, items[i].barrier);
        }
        if (items[i].kind == K_ITEM_KERNEL) {
            emit_call(q, &items[i]);
        } else if (items[i].kind == K_ITEM_LOOP) {
            emit_program_loop(q, &items[i]);
        } else {
            emit_extern(q, &items[i]);
        }
    }
}

/* The call's scratch memory holds one piece a thread; counters of open kernels come first in it. */
static LLVMValueRef own_scratch(programmer *q)
{
    emit *e = q->e;
    LLVMValueRef v_at = LLVMBuildZExt(e->b, q->v_thread, e->i64, "");
    v_at = LLVMBuildMul(e->b, v_at, q->team.v_bytes, "");
    v_at = LLVMBuildAdd(e->b, v_at, emit_i64(e, q->open ? PIECES_COUNTER_BYTES : 0), "");
    return LLVMBuildGEP2(e->b, e->i8, q->team.v_counters, &v_at, 1, "scratch");
}

static LLVMValueRef emit_run(programmer *q)
{
    emit *e = q->e;
    LLVMTypeRef types[2] = {e->ptr, e->i32};
    LLVMValueRef f = begin_function(e, "run", q->p->entry->name, e->void_, 2, types);
    q->v_call = LLVMGetParam(f, 0);
    q->v_thread = LLVMGetParam(f, 1);
    q->v_dims = field(q, e->ptr, offsetof(aigc_abi_call, dims));
    q->v_args = field(q, e->ptr, offsetof(aigc_abi_call, args));
    q->v_results = field(q, e->ptr, offsetof(aigc_abi_call, results));
    q->v_params = field(q, e->ptr, offsetof(aigc_abi_call, params));
    q->v_states = field(q, e->ptr, offsetof(aigc_abi_call, states));
    q->v_arena = field(q, e->ptr, offsetof(aigc_abi_call, arena));
    q->v_externs = field(q, e->ptr, offsetof(aigc_abi_call, externs));
    q->v_seed = field(q, e->i64, offsetof(aigc_abi_call, seed));
    q->v_threads = field(q, e->i32, offsetof(aigc_abi_call, n_threads));
    q->v_barrier = field(q, e->ptr, offsetof(aigc_abi_call, barrier));
    q->v_barrier_data = field(q, e->ptr, offsetof(aigc_abi_call, barrier_data));
    q->team = (pieces_team){field(q, e->ptr, offsetof(aigc_abi_call, scratch)),
                            field(q, e->i64, offsetof(aigc_abi_call, scratch_bytes)), q->v_thread,
                            q->v_threads};
    q->v_scratch = own_scratch(q);
    know_entry_syms(q);
    if (q->open) {
        begin_pieces(q);
    }
    emit_items(q, q->p->items, q->p->n_items);
    emit_profile(q, UINT32_MAX);
    LLVMBuildRetVoid(e->b);
    return f;
}

emit_entry emit_program(emit *e, const k_module *m, const k_program *p, LLVMValueRef *kernels,
                        const uint32_t *first_slot, const module_options *o)
{
    programmer q = {.e = e,
                    .m = m,
                    .p = p,
                    .g = p->entry->graph,
                    .kernels = kernels,
                    .first_slot = first_slot,
                    .profile = o->profile,
                    .open = any_has_pieces(p->items, p->n_items, false)};
    if (q.open) {
        q.v_take = emit_pieces_function(e);
        e->counter_bytes = PIECES_COUNTER_BYTES;
    }
    work_estimate w = work_of_entry(q.g);
    emit_entry r = {.barriers = w.barriers};
    r.bind = emit_bind(&q);
    r.sizes = emit_sizes(&q);
    r.cost = emit_cost(&q, &w);
    r.run = emit_run(&q);
    return r;
}
