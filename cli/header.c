#include "cli/header.h"
#include "ir/shape.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *c_type(ir_dtype t)
{
    static const char *const names[] = {[AIGC_F64] = "double",    [AIGC_F32] = "float",     [AIGC_F16] = "uint16_t", [AIGC_BF16] = "uint16_t", [AIGC_I64] = "int64_t",
                                        [AIGC_I32] = "int32_t",   [AIGC_I16] = "int16_t",   [AIGC_I8] = "int8_t",    [AIGC_U8] = "uint8_t",    [AIGC_BOOL] = "uint8_t"};
    return names[ir_storage_of_dtype(t)];
}

/* "logits: f32[T, 512]" */
static void describe(FILE *f, const char *name, const ir_type *t, ir_ctx *c)
{
    fprintf(f, " *   %s: %s[", name, ir_dtype_name(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++) {
        fprintf(f, "%s%s", i ? ", " : "", ir_dim_text(c, t->dims[i]));
    }
    fprintf(f, "]\n");
}

/* A name of the model as one of C: letters, digits, '_'. */
static const char *c_name(const char *name, arena *a)
{
    static const char *const reserved[] = {"int", "float", "double", "char", "long", "short", "for", "if", "else", "while", "do", "switch", "case",
                                           "default", "return", "static", "const", "void", "struct", "union", "enum", "auto", "register", "signed",
                                           "unsigned", "sizeof", "typedef", "volatile", "inline", "restrict", "break", "continue", "goto", "extern", "c"};
    char *out = arena_printf(a, "%s_", name);
    size_t n = strlen(name);
    bool keep = true;
    for (size_t i = 0; i < n; i++) {
        out[i] = isalnum((unsigned char)out[i]) ? out[i] : '_';
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        keep = keep && strcmp(reserved[i], name) != 0;
    }
    if (keep) {
        out[n] = 0;
    }
    return out;
}

static void write_entry(FILE *f, const ir_module *m, const ir_entry *e, const char *symbol, uint32_t number, arena *a)
{
    const ir_graph *g = e->graph;
    fprintf(f, "/* %s\n *\n", e->doc ? e->doc : e->name);
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        const ir_sym *s = ir_graph_sym(g, i);
        fprintf(f, " *   %s: at least %lld", s->name, (long long)s->lo);
        if (s->hi != INT64_MAX) {
            fprintf(f, ", at most %lld", (long long)s->hi);
        }
        fprintf(f, "\n");
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        describe(f, ir_node_str(ir_graph_input(g, i), IR_ATTR_name), ir_node_type(ir_graph_input(g, i)), m->ctx);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            describe(f, o->name, ir_node_type(o->node), m->ctx);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        fprintf(f, " *   must hold: %s\n", ir_graph_condition(g, i)->text);
    }
    const ir_dim *bytes = ir_graph_arena_bytes(g);
    if (bytes) {
        fprintf(f, " *   arena: %s bytes\n", ir_dim_text(m->ctx, bytes));
    }
    fprintf(f, " */\nstatic inline aigc_status %s_%s(aigc_context *c", symbol, c_name(e->name, a));
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        fprintf(f, ", int64_t %s", c_name(ir_graph_sym(g, i)->name, a));
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        fprintf(f, ", const %s *%s", c_type(ir_node_type(ir_graph_input(g, i))->dtype), c_name(ir_node_str(ir_graph_input(g, i), IR_ATTR_name), a));
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            fprintf(f, ", %s *%s", c_type(ir_node_type(o->node)->dtype), c_name(o->name, a));
        }
    }
    fprintf(f, ")\n{\n    const int64_t aigc_dims[] = {");
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        fprintf(f, "%s, ", c_name(ir_graph_sym(g, i)->name, a));
    }
    fprintf(f, "0};\n    const void *const aigc_args[] = {");
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        fprintf(f, "%s, ", c_name(ir_node_str(ir_graph_input(g, i), IR_ATTR_name), a));
    }
    fprintf(f, "0};\n    void *const aigc_results[] = {");
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        if (ir_graph_output(g, i)->kind == IR_OUTPUT_RESULT) {
            fprintf(f, "%s, ", c_name(ir_graph_output(g, i)->name, a));
        }
    }
    fprintf(f, "0};\n    return aigc_call_bound(c, %u, aigc_dims, aigc_args, aigc_results);\n}\n\n", number);
}

static void write_params(FILE *f, const ir_module *m)
{
    fprintf(f, "/* Parameters, as they are found in a file of weights:\n *\n");
    for (uint32_t i = 0; i < m->n_params; i++) {
        const ir_param *p = &m->params[i];
        fprintf(f, " *   %s: %s[", p->name, ir_storage_name(p->storage));
        for (uint32_t k = 0; k < p->type->rank; k++) {
            fprintf(f, "%s%s", k ? ", " : "", ir_dim_text(m->ctx, p->type->dims[k]));
        }
        fprintf(f, "]");
        for (uint32_t k = 0; k < p->n_indices; k++) {
            fprintf(f, "%s%lld", k ? " x " : ", ", (long long)p->counts[k]);
        }
        fprintf(f, "%s\n", p->n_indices ? " of them" : "");
    }
    fprintf(f, " */\n\n");
}

const char *header_text(const ir_module *m, const char *symbol, const char *source, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    char *upper = arena_string(a, c_name(symbol, a));
    for (char *s = upper; *s; s++) {
        *s = (char)toupper((unsigned char)*s);
    }
    const char *guard = arena_printf(a, "AIGC_%s_H", upper);
    fprintf(f, "/* Made by aigc from %s. %s\n *\n", source, m->doc ? m->doc : "");
    fprintf(f, " * Make weights (runtime/io/weights_load.h) and a context (runtime/aigc.h), then call the entries below. Tensors are\n"
               " * dense and row-major; the caller owns them. AIGC_OK, or a status whose words aigc_error_message(c) has. */\n");
    fprintf(f, "#ifndef %s\n#define %s\n\n#include \"runtime/aigc.h\"\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", guard, guard);
    fprintf(f, "extern const aigc_abi_model %s_model;\n\n", symbol);
    write_params(f, m);
    uint64_t states = 0;
    for (uint32_t i = 0; i < m->n_states; i++) {
        int64_t n = (int64_t)ir_dtype_bytes(m->states[i].type->dtype);
        for (uint32_t k = 0; k < m->states[i].type->rank; k++) {
            n *= ir_dim_value(m->states[i].type->dims[k]);
        }
        states += (uint64_t)n;
    }
    fprintf(f, "/* Bytes of state (caches) a context holds. */\n#define %s_STATE_BYTES %llu\n\n", upper, (unsigned long long)states);
    uint32_t number = 0;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].kind == IR_ENTRY) {
            write_entry(f, m, &m->entries[i], symbol, number++, a);
        }
    }
    fprintf(f, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    fclose(f);
    const char *out = arena_string_n(a, text, size);
    free(text);
    return out;
}
