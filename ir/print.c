/* The IR as text. The grammar is in docs/ir.md; read.c reads it back. */
#include "ir/graph_impl.h"
#include "ir/text.h"

#include <math.h>
#include <stdlib.h>

/* Shortest decimal that reads back as the same double. */
static void print_float(FILE *out, double v)
{
    char text[40];
    if (isnan(v) || isinf(v)) {
        fputs(isnan(v) ? "nan" : v < 0 ? "-inf" : "inf", out);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    fputs(text, out);
}

static void print_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

static void print_data(FILE *out, const ir_data *d)
{
    size_t n = d->size_bytes / ir_dtype_bytes(d->dtype);
    fputs(d->splat ? "splat(" : "(", out);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ", " : "", out);
        if (ir_dtype_is_float(d->dtype)) {
            print_float(out, ir_dtype_load(d->dtype, d->bytes, i));
        } else {
            fprintf(out, "%lld", (long long)ir_dtype_load_i64(d->dtype, d->bytes, i));
        }
    }
    fputc(')', out);
}

static void print_attr(FILE *out, ir_ctx *c, const ir_attr *a)
{
    fprintf(out, "%s=", ir_attr_name(a->key));
    switch (ir_attr_kind_of(a->key)) {
    case IR_ATTR_KIND_INT:
        fprintf(out, "%lld", (long long)a->i);
        break;
    case IR_ATTR_KIND_FLOAT:
        print_float(out, a->f);
        break;
    case IR_ATTR_KIND_STR:
        print_string(out, a->s);
        break;
    case IR_ATTR_KIND_DTYPE:
        fputs(ir_dtype_name(a->dtype), out);
        break;
    case IR_ATTR_KIND_DIM:
        fputs(ir_dim_text(c, a->dim), out);
        break;
    case IR_ATTR_KIND_SYM:
        fputs(a->sym->name, out);
        break;
    case IR_ATTR_KIND_DATA:
        print_data(out, a->data);
        break;
    default:
        fputc('[', out);
        for (uint32_t i = 0; i < a->n; i++) {
            fputs(i ? ", " : "", out);
            if (ir_attr_kind_of(a->key) == IR_ATTR_KIND_INTS) {
                fprintf(out, "%lld", (long long)a->ints[i]);
            } else if (ir_attr_kind_of(a->key) == IR_ATTR_KIND_DIMS) {
                fputs(ir_dim_text(c, a->dims[i]), out);
            } else {
                print_string(out, a->strs[i]);
            }
        }
        fputc(']', out);
    }
}

static void print_body(FILE *out, const ir_graph *g, int indent);

static void print_node(FILE *out, ir_ctx *c, const ir_node *n, int indent, bool bodies)
{
    fprintf(out, "%*s%%%u = %s", indent, "", n->id, ir_op_name(n->op));
    for (uint32_t i = 0; i < n->n_in; i++) {
        fprintf(out, "%s%%%u", i ? ", " : " ", n->in[i]->id);
    }
    if (n->n_attrs) {
        fputs(" {", out);
        for (uint32_t i = 0; i < n->n_attrs; i++) {
            fputs(i ? ", " : "", out);
            print_attr(out, c, &n->attrs[i]);
        }
        fputc('}', out);
    }
    fputs(" : ", out);
    for (uint32_t i = 0; i < n->n_results; i++) {
        fprintf(out, "%s%s", i ? ", " : "", ir_type_text(c, n->types[i]));
    }
    for (uint32_t i = 0; bodies && i < n->n_bodies; i++) {
        fputs(" (\n", out);
        print_body(out, n->bodies[i], indent + 2);
        fprintf(out, "%*s)", indent, "");
    }
    fputc('\n', out);
}

static void print_body(FILE *out, const ir_graph *g, int indent)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        print_node(out, g->ctx, ir_graph_node(g, i), indent, true);
    }
    fprintf(out, "%*sreturn", indent, "");
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        fprintf(out, "%s%s", i ? ", " : " ", o->kind == IR_OUTPUT_STATE ? "state " : "");
        print_string(out, o->name);
        fprintf(out, " = %%%u", o->node->id);
    }
    fputc('\n', out);
}

static void print_bound(FILE *out, int64_t v)
{
    if (v == INT64_MAX) {
        fputs("inf", out);
    } else {
        fprintf(out, "%lld", (long long)v);
    }
}

static void print_graph(FILE *out, const ir_graph *g, const char *kind)
{
    fprintf(out, "%s ", kind);
    print_string(out, g->name);
    fprintf(out, " stage %s (", ir_stage_name(g->stage));
    for (uint32_t i = 0; i < g->syms.len; i++) {
        const ir_sym *s = g->syms.at[i];
        fprintf(out, "%s%s %s in ", i ? ", " : "", i < g->n_dim_args ? "dim" : "size", s->name);
        print_bound(out, s->lo);
        fputs("..", out);
        print_bound(out, s->hi);
    }
    fputs(")", out);
    for (uint32_t i = 0; i < g->conditions.len; i++) {
        const ir_condition *k = &g->conditions.at[i];
        fprintf(out, "\n  where %s %s %s", ir_dim_text(g->ctx, k->lhs),
                k->rel == IR_REL_EQ ? "==" : "<=", ir_dim_text(g->ctx, k->rhs));
    }
    if (g->arena_bytes) {
        fprintf(out, "\n  arena %s", ir_dim_text(g->ctx, g->arena_bytes));
    }
    fputs(" (\n", out);
    print_body(out, g, 2);
    fputs(")\n", out);
}

static const char *finish(FILE *out, char **text, size_t *size, arena *a)
{
    fclose(out);
    const char *kept = arena_string_n(a, *text, *size);
    free(*text);
    return kept;
}

const char *ir_print_graph(const ir_graph *g, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    print_graph(out, g, "entry");
    return finish(out, &text, &size, a);
}

const char *ir_print_node(const ir_node *n, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    arena *scratch = arena_create(); /* names of dims need a table; none is at hand here */
    ir_ctx *c = ir_ctx_create(scratch, intern_create(scratch));
    print_node(out, c, n, 0, false);
    const char *kept = finish(out, &text, &size, a);
    arena_destroy(scratch);
    return kept;
}

static void print_params(FILE *out, const ir_module *m)
{
    for (uint32_t i = 0; i < m->n_params; i++) {
        const ir_param *p = &m->params[i];
        fputs("param ", out);
        print_string(out, p->name);
        for (uint32_t k = 0; k < p->n_indices; k++) {
            fprintf(out, "[%lld]", (long long)p->counts[k]);
        }
        fprintf(out, " : %s storage %s", ir_type_text(m->ctx, p->type),
                ir_storage_name(p->storage));
        if (p->panel) {
            fprintf(out, " %s %u %s", p->layout, p->panel, p->pack_transposed ? "kn" : "nk");
        }
        for (uint32_t k = 0; k < p->n_aliases; k++) {
            fputs(" alias ", out);
            print_string(out, p->aliases[k]);
        }
        if (p->init) {
            fputs(" init ", out);
            print_string(out, p->init);
        }
        fputc('\n', out);
    }
}

const char *ir_print_module(const ir_module *m, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    fputs("model ", out);
    print_string(out, m->name);
    fputc('\n', out);
    print_params(out, m);
    for (uint32_t i = 0; i < m->n_states; i++) {
        fputs("state ", out);
        print_string(out, m->states[i].name);
        fprintf(out, " : %s\n", ir_type_text(m->ctx, m->states[i].type));
    }
    for (uint32_t i = 0; i < m->n_externs; i++) {
        fputs("extern ", out);
        print_string(out, m->externs[i]);
        fputc('\n', out);
    }
    for (uint32_t i = 0; i < m->n_entries; i++) {
        print_graph(out, m->entries[i].graph,
                    m->entries[i].kind == IR_ENTRY ? "entry" : "objective");
    }
    return finish(out, &text, &size, a);
}
