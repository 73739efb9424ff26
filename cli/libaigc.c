#include "cli/libaigc.h"
#include "backend/jit.h"
#include "backend/kernel_cost.h"
#include "cli/compile.h"
#include "cli/interpret.h"
#include "runtime/io/weights_load.h"

#include <dlfcn.h>
#include <ffi.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGS = 192, MOST_TENSORS = 64 };

typedef struct function { /* an entry as a C function */
    aigc_program *program;
    uint32_t entry;
    ffi_closure *closure;
    void *code;
    ffi_cif cif;
    ffi_type *types[MOST_ARGS];
    struct function *next;
} function;

struct aigc_program {
    compiler *c;
    jit *j; /* or */
    interpreter *interpreter;
    const aigc_abi_model *model; /* of either */
    aigc_weights *w;
    void **externs;
    function *functions;
};

static char *copy_messages(compiler *c)
{
    return strdup(diag_text(c->d, false));
}

static aigc_status bind_externs(aigc_program *p, aigc_error *err)
{
    const aigc_abi_model *m = p->model;
    p->externs = calloc(m->n_externs + 1, sizeof *p->externs);
    for (uint32_t i = 0; p->externs && i < m->n_externs; i++) {
        const char *spec = m->extern_names[i], *colon = strrchr(spec, ':');
        char library[1024] = "";
        if (colon && (size_t)(colon - spec) < sizeof library) {
            memcpy(library, spec, (size_t)(colon - spec));
        }
        void *handle = dlopen(library[0] ? library : NULL, RTLD_NOW | RTLD_LOCAL);
        p->externs[i] = handle ? dlsym(handle, colon ? colon + 1 : spec) : NULL;
        if (!p->externs[i]) {
            return aigc_fail(err, AIGC_ERR_MISSING, "extern function %s: %s", spec, dlerror());
        }
    }
    return p->externs ? AIGC_OK : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
}

static void begin_stage(const aigc_settings *s, const char *what)
{
    if (s->stage) {
        s->stage(s->stage_data, what);
    }
}

static aigc_status compile(aigc_program *p, const char *path, const aigc_settings *s,
                           const weights_file *f, aigc_error *err)
{
    compile_options o = {.defines = s->defines,
                         .n_defines = s->n_defines,
                         .weights = f,
                         .model = s->model,
                         .cpu = s->cpu,
                         .level = s->opt_level,
                         .bf16 = s->bf16,
                         .quantize = s->quantize,
                         .profile = s->profile,
                         .no_cache = s->no_cache};
    if (s->interpret && s->quantize) {
        return aigc_fail(
            err, AIGC_ERR_UNSUPPORTED,
            "the interpreter reads weights as the file has them: it does not quantize");
    }
    size_t size;
    const void *object = s->interpret ? NULL : compile_from_cache(p->c, path, &o, &size);
    bool ok = object || compile_source(p->c, path, &o);
    if (ok && s->interpret) {
        p->interpreter = interpreter_create(p->c->m, p->c->a);
        p->model = p->interpreter ? interpreter_model(p->interpreter) : NULL;
        if (!p->model) {
            return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
        }
    } else if (ok) {
        object = object ? object : compile_object(p->c, &o, &size);
        p->j = object ? jit_create(object, size, p->c->symbol, p->c->d) : NULL;
        p->model = p->j ? jit_model(p->j) : NULL;
    }
    if (!p->model) {
        const char *text = diag_text(p->c->d, false);
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "%.*s", (int)strcspn(text, "\n"), text);
    }
    return bind_externs(p, err);
}

aigc_status aigc_program_create(const char *path, const aigc_settings *s, aigc_program **out,
                                char **messages, aigc_error *err)
{
    aigc_settings defaults = {.opt_level = 2};
    s = s ? s : &defaults;
    *out = NULL;
    if (messages) {
        *messages = NULL;
    }
    aigc_program *p = calloc(1, sizeof *p);
    if (p) {
        p->c = compile_create();
    }
    if (!p || !p->c) {
        free(p);
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    weights_file *f = NULL;
    aigc_status status = s->weights ? weights_file_open(s->weights, &f, err) : AIGC_OK;
    if (status == AIGC_OK) {
        begin_stage(s, "compiling");
        status = compile(p, path, s, f, err);
    }
    if (messages && diag_error_count(p->c->d) + diag_warning_count(p->c->d)) {
        *messages = copy_messages(p->c);
    }
    if (status == AIGC_OK) {
        begin_stage(s, "loading weights");
    }
    if (status == AIGC_OK && f) {
        weights_report r = {0};
        status = weights_load(p->model, f, &r, &p->w, err);
        if (status == AIGC_OK) {
            f = NULL; /* the weights have it now */
        } else if (messages && !*messages) {
            *messages = r.text ? strdup(r.text) : NULL;
        }
        weights_report_free(&r);
    } else if (status == AIGC_OK) {
        status = aigc_weights_random(p->model, 1, &p->w);
    }
    if (status != AIGC_OK) {
        if (f) {
            weights_file_close(f);
        }
        aigc_program_destroy(p);
        return status;
    }
    *out = p;
    return AIGC_OK;
}

void aigc_program_destroy(aigc_program *p)
{
    if (!p) {
        return;
    }
    while (p->functions) {
        function *next = p->functions->next;
        ffi_closure_free(p->functions->closure);
        free(p->functions);
        p->functions = next;
    }
    if (p->w) {
        aigc_weights_destroy(p->w);
    }
    if (p->j) {
        jit_destroy(p->j);
    }
    interpreter_destroy(p->interpreter);
    free(p->externs);
    compile_destroy(p->c);
    free(p);
}

const aigc_abi_model *aigc_program_model(const aigc_program *p)
{
    return p->model;
}

const aigc_weights *aigc_program_weights(const aigc_program *p)
{
    return p->w;
}

aigc_status aigc_program_context(aigc_program *p, const aigc_context_options *o, aigc_context **out,
                                 aigc_error *err)
{
    aigc_context_options with = o ? *o : (aigc_context_options){0};
    with.externs = with.externs ? with.externs : p->externs;
    return aigc_context_create(p->model, p->w, &with, out, err);
}

aigc_status aigc_program_call(aigc_program *p, aigc_context *c, const char *entry,
                              const int64_t *dims, const aigc_tensor *args, uint32_t n_args,
                              aigc_tensor *results, uint32_t n_results, aigc_error *err)
{
    int32_t e = aigc_entry_find(p->model, entry);
    if (e < 0) {
        return aigc_fail(err, AIGC_ERR_MISSING, "model %s has no entry %s", p->model->name, entry);
    }
    int64_t arena_size;
    aigc_status s =
        aigc_call_sizes(c, (uint32_t)e, dims, args, n_args, results, n_results, &arena_size);
    if (s == AIGC_OK) {
        s = aigc_reserve(c, arena_size);
    }
    for (uint32_t i = 0; s == AIGC_OK && i < n_results; i++) {
        if (!results[i].data) {
            results[i].data = malloc(
                (size_t)aigc_tensor_bytes(results[i].dtype, results[i].rank, results[i].dims) + 1);
            if (!results[i].data) {
                return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for result %u of %s", i, entry);
            }
        }
    }
    if (s == AIGC_OK) {
        s = aigc_call(c, (uint32_t)e, dims, args, n_args, results, n_results);
    }
    if (s == AIGC_OK && aigc_program_error(p)) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "%s: the interpreter says: %s", entry,
                         aigc_program_error(p));
    }
    return s == AIGC_OK ? s : aigc_fail(err, s, "%s", aigc_error_message(c));
}

const char *aigc_program_error(const aigc_program *p)
{
    return p->interpreter ? interpreter_error(p->interpreter) : NULL;
}

/* Costs -------------------------------------------------------------------------------------------
 */

typedef struct entry_dims {
    const ir_graph *g;
    const int64_t *dims; /* in the order of the graph's symbols */
} entry_dims;

static bool dim_of(void *data, const ir_sym *s, int64_t *value)
{
    const entry_dims *d = data;
    for (uint32_t i = 0; i < ir_graph_n_syms(d->g); i++) {
        if (ir_graph_sym(d->g, i) == s) {
            *value = d->dims[i];
            return true;
        }
    }
    return false;
}

static const aigc_arithmetic arithmetics[] = {
    [K_ARITHMETIC_F32] = AIGC_ARITHMETIC_F32,
    [K_ARITHMETIC_BF16] = AIGC_ARITHMETIC_BF16,
    [K_ARITHMETIC_INT8] = AIGC_ARITHMETIC_INT8,
};

bool aigc_program_costs(aigc_program *p, uint32_t entry, const int64_t *dims,
                        aigc_kernel_cost *costs)
{
    if (!p->c->k || entry >= p->model->n_entries) {
        return false;
    }
    const k_program *q = &p->c->k->programs[entry];
    entry_dims d = {q->entry->graph, dims};
    k_cost *counted = arena_array(p->c->a, k_cost, q->n_kernel_uses + 1);
    bool ok = k_program_cost(q, p->c->a, dim_of, &d, counted);
    for (uint32_t i = 0; i < q->n_kernel_uses; i++) {
        const k_cost *k = &counted[i];
        costs[i] = (aigc_kernel_cost){k->calls, k->flops, k->bytes, arithmetics[k->arithmetic]};
    }
    return ok;
}

/* C functions -------------------------------------------------------------------------------------
 */

/* Sizes of the arguments' axes come from the dims they are named after; others are fixed. */
static void call_entry(ffi_cif *cif, void *ret, void **values, void *data)
{
    (void)cif;
    function *f = data;
    const aigc_abi_entry *e = &f->program->model->entries[f->entry];
    aigc_context *c = *(aigc_context **)values[0];
    int64_t dims[MOST_ARGS];
    uint32_t at = 1;
    for (uint32_t i = 0; i < e->n_dims; i++) {
        dims[i] = *(int64_t *)values[at++];
    }
    const void *args[MOST_TENSORS];
    void *results[MOST_TENSORS];
    for (uint32_t i = 0; i < e->n_args; i++) {
        args[i] = *(void **)values[at++];
    }
    for (uint32_t i = 0; i < e->n_results; i++) {
        results[i] = *(void **)values[at++];
    }
    *(ffi_arg *)ret = (ffi_arg)aigc_call_bound(c, f->entry, dims, args, results);
}

void *aigc_program_function(aigc_program *p, const char *entry)
{
    int32_t number = aigc_entry_find(p->model, entry);
    if (number < 0) {
        return NULL;
    }
    const aigc_abi_entry *e = &p->model->entries[number];
    uint32_t n = 1 + e->n_dims + e->n_args + e->n_results;
    function *f = n <= MOST_ARGS && e->n_args <= MOST_TENSORS && e->n_results <= MOST_TENSORS
                      ? calloc(1, sizeof *f)
                      : NULL;
    if (!f) {
        return NULL;
    }
    *f = (function){.program = p, .entry = (uint32_t)number, .next = p->functions};
    for (uint32_t i = 0; i < n; i++) {
        f->types[i] = i >= 1 && i < 1 + e->n_dims ? &ffi_type_sint64 : &ffi_type_pointer;
    }
    f->closure = ffi_closure_alloc(sizeof *f->closure, &f->code);
    if (!f->closure ||
        ffi_prep_cif(&f->cif, FFI_DEFAULT_ABI, n, &ffi_type_sint32, f->types) != FFI_OK ||
        ffi_prep_closure_loc(f->closure, &f->cif, call_entry, f, f->code) != FFI_OK) {
        if (f->closure) {
            ffi_closure_free(f->closure);
        }
        free(f);
        return NULL;
    }
    p->functions = f;
    return f->code;
}
