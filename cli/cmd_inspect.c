/* aigc inspect: what a file of weights or a model holds. */
#include "backend/jit.h"
#include "cli/header.h"
#include "cli/session.h"
#include "ir/shape.h"
#include "passes/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static void print_bytes(double n)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int u = 0;
    for (; n >= 1000 && u < 4; u++) {
        n /= 1000;
    }
    printf(u ? "%.1f %s" : "%.0f %s", n, units[u]);
}

/* Weights -----------------------------------------------------------------------------------------
 */

static void print_value(const gguf_value *v)
{
    printf("  %.*s = ", (int)v->key_length, v->key);
    if (v->array) {
        printf("[%" PRIu64 "]", v->count);
    }
    for (uint64_t i = 0; i < v->count && i < (v->array ? 4 : 1); i++) {
        uint64_t n;
        const char *s = v->type == GGUF_STRING ? gguf_string(v, i, &n) : NULL;
        printf(v->array ? " " : "");
        if (s) {
            printf("\"%.*s%s\"", (int)(n < 60 ? n : 60), s, n > 60 ? "..." : "");
        } else if (gguf_is_int(v) || v->type == GGUF_BOOL) {
            printf("%" PRId64, gguf_int(v, i));
        } else {
            printf("%g", gguf_float(v, i));
        }
    }
    printf("%s\n", v->array && v->count > 4 ? " ..." : "");
}

static void print_metadata(const weights_file *w)
{
    if (w->gguf) {
        printf("\nmetadata:\n");
        for (uint64_t i = 0; i < w->gguf->n_values; i++) {
            print_value(&w->gguf->values[i]);
        }
    }
    const json_t *sources[] = {w->metadata, w->config};
    static const char *const titles[] = {"metadata", "config.json"};
    for (int i = 0; i < 2; i++) {
        if (sources[i]) {
            char *text =
                json_dumps(sources[i], JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
            printf("\n%s: %s\n", titles[i], text ? text : "");
            free(text);
        }
    }
}

static int inspect_weights(const char *path)
{
    weights_file *w;
    aigc_error err;
    if (weights_file_open(path, &w, &err) != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_INPUT;
    }
    double bytes = 0, elements = 0;
    for (uint32_t i = 0; i < w->n_tensors; i++) {
        const weights_tensor *t = &w->tensors[i];
        double n = 1;
        printf("%-56s %-5s [", t->name, t->storage);
        for (uint32_t k = 0; k < t->rank; k++) {
            printf("%s%" PRId64, k ? ", " : "", t->dims[k]);
            n *= (double)t->dims[k];
        }
        printf("]\n");
        bytes += t->size_bytes > 0 ? (double)t->size_bytes : 0;
        elements += n;
    }
    printf("%s: %u tensors, %.0f numbers, ", w->format, w->n_tensors, elements);
    print_bytes(bytes);
    printf("\n");
    print_metadata(w);
    weights_file_close(w);
    return EXIT_OK;
}

/* Models ------------------------------------------------------------------------------------------
 */

static double print_type(const ir_module *m, const ir_type *t, const char *element)
{
    double n = 1;
    printf("%s[", element);
    for (uint32_t i = 0; i < t->rank; i++) {
        printf("%s%s", i ? ", " : "", ir_dim_text(m->ctx, t->dims[i]));
        n *= ir_dim_is_const(t->dims[i]) ? (double)ir_dim_value(t->dims[i]) : 1;
    }
    printf("]");
    return n;
}

static void print_entry(const ir_module *m, const ir_entry *e, arena *a)
{
    const ir_graph *g = e->graph;
    uint32_t n_in = ir_graph_n_inputs(g);
    printf("\nentry %s(", e->name);
    for (uint32_t i = 0; i < n_in; i++) {
        printf("%s%s: ", i ? ", " : "", ir_node_str(ir_graph_input(g, i), IR_ATTR_name));
        print_type(m, ir_node_type(ir_graph_input(g, i)),
                   ir_dtype_name(ir_node_type(ir_graph_input(g, i))->dtype));
    }
    for (uint32_t i = 0; i < ir_graph_n_dim_args(g); i++) {
        printf("%s%s: dim", n_in + i ? ", " : "", ir_graph_sym(g, i)->name);
    }
    printf(")");
    const char *before = " -> ";
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            printf("%s", before);
            if (strncmp(o->name, "out", 3) != 0) {
                printf("%s: ", o->name);
            }
            print_type(m, ir_node_type(o->node), ir_dtype_name(ir_node_type(o->node)->dtype));
            before = ", ";
        }
    }
    printf("\n");
    if (e->doc) {
        printf("  %s\n", e->doc);
    }
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        const ir_sym *s = ir_graph_sym(g, i);
        printf("  %s %s: %" PRId64 " to ", i < ir_graph_n_dim_args(g) ? "argument" : "size",
               s->name, s->lo);
        printf(s->hi == INT64_MAX ? "any\n" : "%" PRId64 "\n", s->hi);
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        printf("  holds: %s\n", header_condition(g, ir_graph_condition(g, i), m->ctx, a));
    }
    const ir_dim *bytes = ir_graph_arena_bytes(g);
    printf("  arena: %s bytes", ir_dim_text(m->ctx, bytes));
    if (bytes->hi != INT64_MAX && !ir_dim_is_const(bytes)) {
        printf(", at most ");
        print_bytes((double)bytes->hi);
    }
    printf("\n  barriers: %s a call\n", ir_dim_text(m->ctx, work_of_entry(g).barriers));
}

/* What each thread works in, beside the arena that all share: code knows it, so the model is
 * compiled unless the cache has it. Nothing is told of code that cannot be loaded here. */
static void print_scratch(compiler *c, const args *a, const compile_options *o)
{
    compiler *own = compile_create();
    size_t size;
    const void *object = own ? compile_from_cache(own, a->file, o, &size) : NULL;
    const char *symbol = object ? own->symbol : c->symbol;
    object = object ? object : compile_object(c, o, &size);
    jit *j = object && own ? jit_create(object, size, symbol, own->d) : NULL;
    if (j) {
        printf("\nscratch: %" PRIu64 " bytes a thread\n", jit_model(j)->scratch_bytes);
        jit_destroy(j);
    }
    if (own) {
        compile_destroy(own);
    }
}

static void print_model(const ir_module *m)
{
    double weights = 0, numbers = 0, states = 0;
    printf("model %s%s%s\n\nparameters:\n", m->name, m->doc ? ": " : "", m->doc ? m->doc : "");
    for (uint32_t i = 0; i < m->n_params; i++) {
        const ir_param *p = &m->params[i];
        double count = 1;
        printf("  %-52s ", p->name);
        double n = print_type(m, p->type, ir_storage_name(p->storage));
        for (uint32_t k = 0; k < p->n_indices; k++) {
            printf(" x %" PRId64, p->counts[k]);
            count *= (double)p->counts[k];
        }
        printf("\n");
        numbers += n * count;
        weights += n * count * (double)ir_storage_block_bytes(p->storage) /
                   (double)ir_storage_block(p->storage);
    }
    printf("  %.0f numbers, ", numbers);
    print_bytes(weights);
    printf("\n");
    for (uint32_t i = 0; i < m->n_states; i++) {
        printf("%s  %-52s ", i ? "" : "\nstates:\n", m->states[i].name);
        states += print_type(m, m->states[i].type, ir_dtype_name(m->states[i].type->dtype)) *
                  (double)ir_dtype_bytes(m->states[i].type->dtype);
        printf("\n");
    }
    if (m->n_states) {
        printf("  ");
        print_bytes(states);
        printf("\n");
    }
}

static int inspect_model(const args *a)
{
    weights_file *w;
    int code = session_dump_only(a);
    code = code ? code : args_open_weights(a, &w);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    compile_options o = args_compile_options(a, w);
    progress *shown = session_progress(a, "compiling");
    bool ok = compile_source(c, a->file, &o) && compile_lower(c, &o);
    progress_stop(shown);
    if (ok) {
        print_model(c->m);
        print_scratch(c, a, &o);
        for (uint32_t i = 0; i < c->m->n_entries; i++) {
            if (c->m->entries[i].kind == IR_ENTRY) {
                print_entry(c->m, &c->m->entries[i], c->a);
            }
        }
        for (uint32_t i = 0; i < c->m->n_generates; i++) {
            printf("\ngenerate %s with %s\n", c->m->generates[i].name, c->m->generates[i].entry);
        }
    } else {
        code = EXIT_INPUT;
    }
    args_print_messages(c);
    compile_destroy(c);
    if (w) {
        weights_file_close(w);
    }
    return code;
}

int cmd_inspect(const args *a)
{
    return ends_with(a->file, ".aigc") || ends_with(a->file, ".air") ? inspect_model(a)
                                                                     : inspect_weights(a->file);
}
