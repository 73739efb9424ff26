#include "cli/header.h"
#include "ir/shape.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *c_type(ir_dtype t)
{
    static const char *const names[] = {
        [AIGC_F64] = "double",    [AIGC_F32] = "float",   [AIGC_F16] = "uint16_t",
        [AIGC_BF16] = "uint16_t", [AIGC_I64] = "int64_t", [AIGC_I32] = "int32_t",
        [AIGC_I16] = "int16_t",   [AIGC_I8] = "int8_t",   [AIGC_U8] = "uint8_t",
        [AIGC_BOOL] = "uint8_t"};
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
    static const char *const reserved[] = {"int",       "float",
                                           "double",    "char",
                                           "long",      "short",
                                           "for",       "if",
                                           "else",      "while",
                                           "do",        "switch",
                                           "case",      "default",
                                           "return",    "static",
                                           "const",     "void",
                                           "struct",    "union",
                                           "enum",      "auto",
                                           "register",  "signed",
                                           "unsigned",  "sizeof",
                                           "typedef",   "volatile",
                                           "inline",    "restrict",
                                           "break",     "continue",
                                           "goto",      "extern",
                                           "bool",      "true",
                                           "false",     /* C++ */ "class",
                                           "new",       "delete",
                                           "this",      "private",
                                           "protected", "public",
                                           "template",  "typename",
                                           "operator",  "namespace",
                                           "using",     "virtual",
                                           "try",       "catch",
                                           "throw",     "and",
                                           "or",        "not",
                                           "xor",       /* ours */ "c"};
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

/* Words of the user's within a comment. */
static void write_words(FILE *f, const char *text)
{
    for (const char *s = text; *s; s++) {
        if (*s == '\n') {
            fputs("\n * ", f);
        } else {
            fputc(*s, f);
            fputs(s[0] == '*' && s[1] == '/' ? " " : "", f);
        }
    }
}

/* Is there a name in the text that is none of the graph's sizes: a hyper-parameter's? */
static bool names_other(const ir_graph *g, const char *text)
{
    static const char *const functions[] = {"floordiv", "mod", "min", "max"};
    for (const char *s = text; *s;) {
        size_t n = 0;
        while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.') {
            n++;
        }
        bool known = n == 0 || isdigit((unsigned char)*s);
        for (uint32_t i = 0; i < ir_graph_n_syms(g) && !known; i++) {
            const char *name = ir_graph_sym(g, i)->name;
            known = strlen(name) == n && strncmp(name, s, n) == 0;
        }
        for (size_t i = 0; i < sizeof functions / sizeof *functions && !known; i++) {
            known = strlen(functions[i]) == n && strncmp(functions[i], s, n) == 0;
        }
        if (!known) {
            return true;
        }
        s += n ? n : 1;
    }
    return false;
}

const char *header_condition(const ir_graph *g, const ir_condition *k, ir_ctx *c, arena *a)
{
    if (!names_other(g, k->text)) {
        return k->text;
    }
    return arena_printf(a, "%s, here %s %s %s", k->text, ir_dim_text(c, k->lhs),
                        k->rel == IR_REL_EQ ? "==" : "<=", ir_dim_text(c, k->rhs));
}

/* Dims as C
 * ----------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *value; /* of the int64_t a and b */
} functions[] = {
    [IR_ATOM_FLOORDIV] = {"floordiv", "a / b - (a % b < 0)"        },
    [IR_ATOM_MOD] = {"mod",      "a % b + (a % b < 0 ? b : 0)"},
    [IR_ATOM_MIN] = {"min",      "a < b ? a : b"              },
    [IR_ATOM_MAX] = {"max",      "a > b ? a : b"              },
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static void write_dim(FILE *f, const ir_dim *d, arena *a)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        const ir_term *t = &d->terms[i];
        uint64_t size = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
        fprintf(f, "%s", t->coef < 0 ? (i ? " - " : "-") : i ? " + " : "");
        const char *times = "";
        if (size != 1 || t->n_factors == 0) {
            fprintf(f, "%llu", (unsigned long long)size);
            times = " * ";
        }
        for (uint32_t j = 0; j < t->n_factors; j++) {
            const ir_atom *at = t->factors[j].atom;
            for (uint32_t k = 0; k < t->factors[j].power; k++, times = " * ") {
                if (at->kind == IR_ATOM_SYM) {
                    fprintf(f, "%s%s", times, c_name(at->sym->name, a));
                    continue;
                }
                fprintf(f, "%saigc_%s(", times, functions[at->kind].name);
                write_dim(f, at->a, a);
                fprintf(f, ", ");
                write_dim(f, at->b, a);
                fprintf(f, ")");
            }
        }
    }
    fprintf(f, "%s", d->n_terms ? "" : "0");
}

static void mark_functions(const ir_dim *d, bool used[N_FUNCTIONS])
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *at = d->terms[i].factors[j].atom;
            used[at->kind] = true;
            if (at->kind != IR_ATOM_SYM) {
                mark_functions(at->a, used);
                mark_functions(at->b, used);
            }
        }
    }
}

/* The functions that sizes of the entries are made with. Several headers may define them. */
static void write_functions(FILE *f, const ir_module *m)
{
    bool used[N_FUNCTIONS] = {false};
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].kind == IR_ENTRY && ir_graph_arena_bytes(m->entries[i].graph)) {
            mark_functions(ir_graph_arena_bytes(m->entries[i].graph), used);
        }
    }
    for (int i = 0; i < N_FUNCTIONS; i++) {
        if (used[i] && functions[i].name) {
            fprintf(f,
                    "#ifndef AIGC_DIM_%s\n#define AIGC_DIM_%s\n"
                    "static inline int64_t aigc_%s(int64_t a, int64_t b)%s\n{\n    return "
                    "%s;\n}\n#endif\n\n",
                    functions[i].name, functions[i].name, functions[i].name,
                    i == IR_ATOM_FLOORDIV || i == IR_ATOM_MOD ? " /* b > 0; rounds down */" : "",
                    functions[i].value);
        }
    }
}

static void write_dim_arguments(FILE *f, const ir_graph *g, const char *before, arena *a)
{
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        fprintf(f, "%sint64_t %s", i ? ", " : before, c_name(ir_graph_sym(g, i)->name, a));
    }
}

/* Entries
 * ------------------------------------------------------------------------------------------- */

static void write_arena_bytes(FILE *f, const ir_graph *g, const char *function, arena *a)
{
    const ir_dim *bytes = ir_graph_arena_bytes(g);
    fprintf(f, "/* Bytes of arena a call with these sizes needs");
    if (bytes->hi != INT64_MAX) {
        fprintf(f, "; %lld at the most", (long long)bytes->hi);
    }
    fprintf(f, ". */\nstatic inline int64_t %s_arena_bytes(", function);
    write_dim_arguments(f, g, "", a);
    fprintf(f, "%s)\n{\n", ir_graph_n_syms(g) ? "" : "void");
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        if (!ir_dim_uses(bytes, ir_graph_sym(g, i))) {
            fprintf(f, "    (void)%s;\n", c_name(ir_graph_sym(g, i)->name, a));
        }
    }
    fprintf(f, "    return ");
    write_dim(f, bytes, a);
    fprintf(f, ";\n}\n\n");
}

static void write_entry(FILE *f, const ir_module *m, const ir_entry *e, const char *symbol,
                        uint32_t number, arena *a)
{
    const ir_graph *g = e->graph;
    const char *function = arena_printf(a, "%s_%s", symbol, c_name(e->name, a));
    fprintf(f, "/* ");
    write_words(f, e->doc ? e->doc : e->name);
    fprintf(f, "\n *\n");
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        const ir_sym *s = ir_graph_sym(g, i);
        fprintf(f, " *   %s: at least %lld", s->name, (long long)s->lo);
        if (s->hi != INT64_MAX) {
            fprintf(f, ", at most %lld", (long long)s->hi);
        }
        fprintf(f, "\n");
    }
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        describe(f, ir_node_str(ir_graph_input(g, i), IR_ATTR_name),
                 ir_node_type(ir_graph_input(g, i)), m->ctx);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            describe(f, o->name, ir_node_type(o->node), m->ctx);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        fprintf(f, " *   must hold: %s\n",
                header_condition(g, ir_graph_condition(g, i), m->ctx, a));
    }
    fprintf(f, " */\nstatic inline aigc_status %s(aigc_context *c", function);
    write_dim_arguments(f, g, ", ", a);
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        fprintf(f, ", const %s *%s", c_type(ir_node_type(ir_graph_input(g, i))->dtype),
                c_name(ir_node_str(ir_graph_input(g, i), IR_ATTR_name), a));
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
    fprintf(f, "0};\n    return aigc_call_bound(c, %u, aigc_dims, aigc_args, aigc_results);\n}\n\n",
            number);
    if (ir_graph_arena_bytes(g)) {
        write_arena_bytes(f, g, function, a);
    }
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
    fprintf(
        f,
        " *\n * Where f32, f16, bf16, q8_0 or q4_0 is named, a file may have any floats: they are\n"
        " * converted as they are loaded. */\n\n");
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
    fprintf(f, "/* Made by aigc from %s.%s", source, m->doc ? " " : "");
    write_words(f, m->doc ? m->doc : "");
    fprintf(f, "\n *\n * Make weights (runtime/io/weights_load.h) and a context (runtime/aigc.h), "
               "then call the entries below. Tensors are\n"
               " * dense and row-major; the caller owns them. AIGC_OK, or a status whose words "
               "aigc_error_message(c) has. */\n");
    fprintf(f,
            "#ifndef %s\n#define %s\n\n#include \"runtime/aigc.h\"\n\n#ifdef __cplusplus\nextern "
            "\"C\" {\n#endif\n\n",
            guard, guard);
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
    fprintf(f, "/* Bytes of state (caches) a context holds. */\n#define %s_STATE_BYTES %llu\n\n",
            upper, (unsigned long long)states);
    fprintf(f,
            "/* Bytes that each thread of a context works in, beside the arena all share. */\n"
            "#define %s_SCRATCH_BYTES ((int64_t)%s_model.scratch_bytes)\n\n",
            upper, symbol);
    write_functions(f, m);
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
