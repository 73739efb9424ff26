#include "cli/interpret.h"
#include "cli/compile.h"
#include "ir/eval.h"
#include "ir/text.h"

#include <ffi.h>
#include <string.h>

enum { MOST_FFI_ARGS = 192, FUNCTIONS = 3 };

typedef struct entry {
    interpreter *t;
    const ir_graph *graph;
    aigc_abi_entry *abi;
    ffi_closure *closures[FUNCTIONS];
} entry;

struct interpreter {
    ir_module *m;
    arena *a; /* of the compilation */
    aigc_abi_model *model;
    entry *entries;
    ffi_cif bind, sizes, run;
    char error[256];
    const char *checks[1]; /* what bind found */
};

/* Tensors -----------------------------------------------------------------------------------------
 */

typedef struct values { /* of an entry's symbols */
    const ir_graph *g;
    const int64_t *dims;
} values;

static bool lookup(void *data, const ir_sym *s, int64_t *value)
{
    const values *v = data;
    for (uint32_t i = 0; i < ir_graph_n_syms(v->g); i++) {
        if (ir_graph_sym(v->g, i) == s) {
            *value = v->dims[i];
            return true;
        }
    }
    return false;
}

static ir_tensor shape_of(const ir_graph *g, const int64_t *dims, const ir_type *t)
{
    values v = {g, dims};
    ir_tensor x = {.dtype = t->dtype, .rank = t->rank};
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!ir_dim_eval(t->dims[i], lookup, &v, &x.dims[i])) {
            x.dims[i] = 0;
        }
    }
    return x;
}

/* The entry's functions ---------------------------------------------------------------------------
 */

static void bind(ffi_cif *cif, void *ret, void **args, void *data)
{
    (void)cif;
    entry *e = data;
    const int64_t *sizes = *(const int64_t **)args[0];
    int64_t *dims = *(int64_t **)args[1];
    arena *a = arena_create();
    uint32_t n = ir_graph_n_inputs(e->graph);
    ir_tensor *in = arena_array(a, ir_tensor, n);
    ir_eval_env env = {.a = a};
    for (uint32_t i = 0; i < n; i++) {
        const ir_type *t = ir_node_type(ir_graph_input(e->graph, i));
        in[i] = (ir_tensor){.dtype = t->dtype, .rank = t->rank};
        for (uint32_t k = 0; k < t->rank; k++) {
            in[i].dims[k] = *sizes++;
        }
    }
    int64_t *given = arena_copy(a, dims, ir_graph_n_dim_args(e->graph) * sizeof *dims);
    bool ok = ir_eval_bind(e->graph, &env, given, in, dims);
    if (!ok) {
        memcpy(e->t->error, env.error, sizeof env.error);
    }
    *(ffi_arg *)ret = !ok;
    arena_destroy(a);
}

static int64_t *put_sizes(int64_t *out, const ir_graph *g, const int64_t *dims, const ir_type *t)
{
    ir_tensor x = shape_of(g, dims, t);
    memcpy(out, x.dims, t->rank * sizeof *out);
    return out + t->rank;
}

static void sizes(ffi_cif *cif, void *ret, void **args, void *data)
{
    (void)cif, (void)ret;
    const entry *e = data;
    const int64_t *dims = *(const int64_t **)args[0];
    int64_t *out = *(int64_t **)args[1];
    *out++ = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(e->graph); i++) {
        const ir_output *o = ir_graph_output(e->graph, i);
        out = o->kind == IR_OUTPUT_RESULT ? put_sizes(out, e->graph, dims, ir_node_type(o->node))
                                          : out;
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(e->graph); i++) {
        out = put_sizes(out, e->graph, dims, ir_node_type(ir_graph_input(e->graph, i)));
    }
}

typedef struct running {
    const entry *e;
    const aigc_abi_call *call;
    ir_tensor *states;
} running;

static bool get_param(void *data, const char *name, uint32_t n_indices, const int64_t *indices,
                      const ir_type *type, ir_tensor *out)
{
    const running *r = data;
    const aigc_abi_model *m = r->e->t->model;
    for (uint32_t i = 0; i < m->n_params; i++) {
        const aigc_abi_param *p = &m->params[i];
        if (strcmp(p->name, name) != 0 || p->n_indices != n_indices) {
            continue;
        }
        int64_t slot = 0;
        for (uint32_t k = 0; k < n_indices; k++) {
            if (indices[k] < 0 || indices[k] >= p->counts[k]) {
                return false;
            }
            slot = slot * p->counts[k] + indices[k];
        }
        out->dtype = type->dtype;
        out->data = (void *)(uintptr_t)r->call->params[p->first_slot + slot];
        return true;
    }
    return false;
}

static bool get_state(void *data, const char *name, const ir_type *type, ir_tensor **out)
{
    const running *r = data;
    const aigc_abi_model *m = r->e->t->model;
    for (uint32_t i = 0; i < m->n_states; i++) {
        if (strcmp(m->states[i].name, name) == 0) {
            r->states[i] = shape_of(r->e->graph, r->call->dims, type);
            r->states[i].data = r->call->states[i];
            *out = &r->states[i];
            return true;
        }
    }
    return false;
}

/* Pointers to arguments and results, then all their sizes. */
static bool call_extern(void *data, const char *name, uint32_t n_args, const ir_tensor *args,
                        uint32_t n_results, ir_tensor *results)
{
    const running *r = data;
    const aigc_abi_model *m = r->e->t->model;
    const void *pointers[MOST_FFI_ARGS];
    int64_t dims[MOST_FFI_ARGS];
    void *in[MOST_FFI_ARGS];
    ffi_type *types[MOST_FFI_ARGS];
    uint32_t n = 0, function = 0;
    while (function < m->n_externs && strcmp(m->extern_names[function], name) != 0) {
        function++;
    }
    if (function == m->n_externs || (n_args + n_results) * (IR_MAX_RANK + 1) > MOST_FFI_ARGS) {
        return false;
    }
    for (uint32_t i = 0; i < n_args + n_results; i++) {
        pointers[n] = i < n_args ? args[i].data : results[i - n_args].data;
        in[n] = &pointers[n];
        types[n++] = &ffi_type_pointer;
    }
    for (uint32_t i = 0; i < n_args + n_results; i++) {
        const ir_tensor *x = i < n_args ? &args[i] : &results[i - n_args];
        for (uint32_t k = 0; k < x->rank; k++) {
            dims[n] = x->dims[k];
            in[n] = &dims[n];
            types[n++] = &ffi_type_sint64;
        }
    }
    ffi_cif cif;
    void (*f)(void);
    *(void **)&f = r->call->externs[function];
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, n, &ffi_type_void, types) != FFI_OK) {
        return false;
    }
    ffi_call(&cif, f, NULL, in);
    return true;
}

/* Thread 0 does it all. */
static void run(ffi_cif *cif, void *ret, void **args, void *data)
{
    (void)cif, (void)ret;
    entry *e = data;
    const aigc_abi_call *call = *(const aigc_abi_call **)args[0];
    if (*(uint32_t *)args[1] != 0) {
        return;
    }
    const ir_graph *g = e->graph;
    arena *a = arena_create();
    running r = {e, call, arena_array(a, ir_tensor, e->t->model->n_states)};
    ir_eval_env env = {.a = a,
                       .param = get_param,
                       .state = get_state,
                       .call = call_extern,
                       .data = &r,
                       .seed = call->seed};
    ir_tensor *in = arena_array(a, ir_tensor, ir_graph_n_inputs(g)),
              *out = arena_array(a, ir_tensor, ir_graph_n_outputs(g));
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        in[i] = shape_of(g, call->dims, ir_node_type(ir_graph_input(g, i)));
        in[i].data = (void *)(uintptr_t)call->args[i];
    }
    bool ok = ir_eval(g, &env, call->dims, in, out);
    memcpy(e->t->error, env.error, sizeof env.error);
    for (uint32_t i = 0, k = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            ir_tensor t = shape_of(g, call->dims, ir_node_type(o->node));
            size_t bytes = (size_t)ir_tensor_elems(&t) * ir_dtype_bytes(t.dtype);
            if (ok) {
                memcpy(call->results[k], out[k].data, bytes);
            } else {
                memset(call->results[k], 0, bytes);
            }
            k++;
        }
    }
    arena_destroy(a);
}

/* The description ---------------------------------------------------------------------------------
 */

static aigc_abi_tensor tensor_of(interpreter *t, const char *name, const ir_type *type,
                                 const ir_arg_info *info)
{
    int64_t *fixed = arena_array(t->a, int64_t, type->rank);
    const char **classes =
        info->n_classes ? arena_array(t->a, const char *, info->n_classes + 1) : NULL;
    for (uint32_t i = 0; i < type->rank; i++) {
        fixed[i] = ir_dim_is_const(type->dims[i]) ? ir_dim_value(type->dims[i]) : -1;
    }
    for (uint32_t i = 0; i < info->n_classes; i++) {
        classes[i] = info->classes[i];
    }
    return (aigc_abi_tensor){.name = name ? name : "",
                             .type = ir_type_text(t->m->ctx, type),
                             .dtype = (uint8_t)type->dtype,
                             .rank = (uint8_t)type->rank,
                             .meaning = (uint8_t)info->meaning,
                             .sample_rate = info->sample_rate,
                             .classes = classes,
                             .fixed_dims = fixed};
}

static bool closure(entry *e, uint32_t which, ffi_cif *cif,
                    void (*f)(ffi_cif *, void *, void **, void *), void *code)
{
    e->closures[which] = ffi_closure_alloc(sizeof(ffi_closure), code);
    return e->closures[which] &&
           ffi_prep_closure_loc(e->closures[which], cif, f, e, *(void **)code) == FFI_OK;
}

static bool describe_entry(interpreter *t, const ir_entry *from, entry *e, aigc_abi_entry *abi)
{
    const ir_graph *g = from->graph;
    uint32_t n_syms = ir_graph_n_syms(g), n_args = ir_graph_n_inputs(g), n_results = 0;
    const char **names = arena_array(t->a, const char *, n_syms);
    int64_t *lo = arena_array(t->a, int64_t, n_syms), *hi = arena_array(t->a, int64_t, n_syms);
    aigc_abi_tensor *args = arena_array(t->a, aigc_abi_tensor, n_args),
                    *results = arena_array(t->a, aigc_abi_tensor, ir_graph_n_outputs(g));
    for (uint32_t i = 0; i < n_syms; i++) {
        names[i] = ir_graph_sym(g, i)->name;
        lo[i] = ir_graph_sym(g, i)->lo;
        hi[i] = ir_graph_sym(g, i)->hi;
    }
    for (uint32_t i = 0; i < n_args; i++) {
        const ir_node *n = ir_graph_input(g, i);
        args[i] = tensor_of(t, ir_node_str(n, IR_ATTR_name), ir_node_type(n), &from->args[i]);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            results[n_results] =
                tensor_of(t, o->name, ir_node_type(o->node), &from->results[n_results]);
            n_results++;
        }
    }
    *abi = (aigc_abi_entry){.name = from->name,
                            .doc = from->doc,
                            .n_dims = n_syms,
                            .n_dim_args = ir_graph_n_dim_args(g),
                            .dim_names = names,
                            .dim_lo = lo,
                            .dim_hi = hi,
                            .n_args = n_args,
                            .n_results = n_results,
                            .args = args,
                            .results = results,
                            .n_checks = 1,
                            .checks = t->checks,
                            .arena_formula = "0",
                            .barriers_formula = "0",
                            .uses_seed = 1};
    *e = (entry){.t = t, .graph = g, .abi = abi};
    return closure(e, 0, &t->bind, bind, &abi->bind) &&
           closure(e, 1, &t->sizes, sizes, &abi->sizes) && closure(e, 2, &t->run, run, &abi->run);
}

static int32_t entry_number(const aigc_abi_model *m, const char *name)
{
    for (uint32_t i = 0; name && i < m->n_entries; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static int32_t arg_number(const aigc_abi_entry *e, const char *name)
{
    for (uint32_t i = 0; e && name && i < e->n_args; i++) {
        if (strcmp(e->args[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

static const aigc_abi_generate *describe_generates(interpreter *t)
{
    aigc_abi_generate *out = arena_array(t->a, aigc_abi_generate, t->m->n_generates);
    for (uint32_t i = 0; i < t->m->n_generates; i++) {
        const ir_generate *g = &t->m->generates[i];
        int32_t number = entry_number(t->model, g->entry), pos = -1;
        const aigc_abi_entry *e = number < 0 ? NULL : &t->model->entries[number];
        for (uint32_t k = 0; e && g->pos_dim && k < e->n_dim_args; k++) {
            pos = strcmp(e->dim_names[k], g->pos_dim) == 0 ? (int32_t)k : pos;
        }
        out[i] = (aigc_abi_generate){.name = g->name,
                                     .kind = g->encoder_decoder ? AIGC_GENERATE_ENCODER_DECODER
                                                                : AIGC_GENERATE_AUTOREGRESSIVE,
                                     .entry = number,
                                     .encode = entry_number(t->model, g->encode),
                                     .tokens_arg = arg_number(e, g->tokens_arg),
                                     .memory_arg = arg_number(e, g->memory_arg),
                                     .pos_dim = pos,
                                     .bos = (int32_t)g->bos,
                                     .eos = (int32_t)g->eos,
                                     .context = g->context,
                                     .tokenizer = g->tokenizer};
    }
    return out;
}

static const aigc_abi_state *describe_states(const interpreter *t)
{
    aigc_abi_state *out = arena_array(t->a, aigc_abi_state, t->m->n_states);
    for (uint32_t i = 0; i < t->m->n_states; i++) {
        const ir_type *type = t->m->states[i].type;
        int64_t *dims = arena_array(t->a, int64_t, type->rank);
        for (uint32_t k = 0; k < type->rank; k++) {
            dims[k] = ir_dim_value(type->dims[k]);
        }
        out[i] = (aigc_abi_state){t->m->states[i].name, (uint8_t)type->dtype, (uint8_t)type->rank,
                                  dims, (uint64_t)ir_dim_value(ir_type_bytes(t->m->ctx, type))};
    }
    return out;
}

static bool describe(interpreter *t)
{
    ir_module *m = t->m;
    for (uint32_t i = 0; i < m->n_params; i++) {
        ir_param *p = &m->params[i]; /* it reads them as they are, whatever text says of packing */
        p->storage = ir_storage_of_dtype(p->type->dtype);
        p->layout = intern(ir_ctx_names(m->ctx), "rows");
        p->panel = 0;
        p->pack_transposed = false;
    }
    t->model = arena_copy(t->a, weights_params_of(m, t->a), sizeof *t->model);
    aigc_abi_entry *entries = arena_array(t->a, aigc_abi_entry, m->n_entries);
    t->entries = arena_array(t->a, entry, m->n_entries);
    t->model->entries = entries;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        uint32_t at = t->model->n_entries;
        if (m->entries[i].kind != IR_ENTRY) {
            continue;
        }
        t->model->n_entries++;
        if (!describe_entry(t, &m->entries[i], &t->entries[at], &entries[at])) {
            return false;
        }
    }
    t->model->doc = m->doc;
    t->model->n_states = m->n_states;
    t->model->states = describe_states(t);
    t->model->n_externs = m->n_externs;
    t->model->extern_names = m->externs;
    t->model->n_generates = m->n_generates;
    t->model->generates = describe_generates(t);
    t->model->target = "interpreter";
    return true;
}

interpreter *interpreter_create(ir_module *m, arena *a)
{
    interpreter *t = arena_new(a, interpreter);
    static ffi_type *pointers[2] = {&ffi_type_pointer, &ffi_type_pointer},
                    *thread[2] = {&ffi_type_pointer, &ffi_type_uint32};
    *t = (interpreter){.m = m, .a = a};
    t->checks[0] = t->error;
    bool ok = ffi_prep_cif(&t->bind, FFI_DEFAULT_ABI, 2, &ffi_type_uint32, pointers) == FFI_OK &&
              ffi_prep_cif(&t->sizes, FFI_DEFAULT_ABI, 2, &ffi_type_void, pointers) == FFI_OK &&
              ffi_prep_cif(&t->run, FFI_DEFAULT_ABI, 2, &ffi_type_void, thread) == FFI_OK &&
              describe(t);
    if (!ok) {
        interpreter_destroy(t);
        return NULL;
    }
    return t;
}

void interpreter_destroy(interpreter *t)
{
    for (uint32_t i = 0; t && t->model && i < t->model->n_entries; i++) {
        for (int k = 0; k < FUNCTIONS; k++) {
            if (t->entries[i].closures[k]) {
                ffi_closure_free(t->entries[i].closures[k]);
            }
        }
    }
}

const aigc_abi_model *interpreter_model(const interpreter *t)
{
    return t->model;
}

const char *interpreter_error(const interpreter *t)
{
    return t->error[0] ? t->error : NULL;
}
