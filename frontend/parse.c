#include "frontend/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 1500 };

ast *parse_node(parse *p, ast_kind k, span where, const char *text, uint32_t n, ast *const *kids)
{
    ast *t = arena_new(p->a, ast);
    *t = (ast){.kind = k, .where = where, .name_where = where, .text = text, .n = n, .depth = 1};
    t->doc = map_get(p->docs, (uint64_t)where.begin + 1);
    t->kids = arena_array(p->a, ast *, n);
    for (uint32_t i = 0; i < n; i++) {
        t->kids[i] = kids[i];
        if (kids[i] && kids[i]->depth >= t->depth) {
            t->depth = kids[i]->depth + 1;
        }
    }
    if (t->depth > DEEPEST) {
        diag_error(p->d, where, "this is nested too deeply (more than %d levels)", DEEPEST);
        t->n = 0;
        t->kind = AST_ERROR;
        t->depth = 1;
    }
    return t;
}

ast *parse_node_list(parse *p, ast_kind k, span where, const char *text, ast *first, const parse_list *l)
{
    uint32_t extra = first != NULL, n = l ? l->v.len : 0;
    ast **kids = arena_array(p->a, ast *, n + 1);
    kids[0] = first;
    for (uint32_t i = 0; i < n; i++) {
        kids[extra + i] = l->v.at[i];
    }
    return parse_node(p, k, where, text, n + extra, kids);
}

void parse_push(parse *p, parse_list **l, ast *t)
{
    if (!*l) {
        *l = arena_new(p->a, parse_list);
    }
    if (t) {
        vec_push(p->a, &(*l)->v, t);
    }
}

ast *parse_string(parse *p, span where, const char *text, uint32_t n)
{
    char *out = arena_alloc(p->a, n + 1);
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < n) {
            c = text[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        out[m++] = c;
    }
    return NODE0(STR, where, intern_n(p->names, out, m));
}

ast *parse_int(parse *p, span where, const char *text)
{
    errno = 0;
    long long v = strtoll(text, NULL, 0);
    if (errno) {
        diag_error(p->d, where, "the number %s does not fit into 64 bits", text);
    }
    ast *t = NODE0(INT, where, intern(p->names, text));
    t->i = v;
    return t;
}

const char *ast_kind_name(ast_kind k)
{
    static const char *const names[] = {
#define AST(kind, printed, kids) printed,
#include "frontend/ast.def"
    };
    return names[k];
}

static void print_tree(FILE *out, const ast *t, int indent)
{
    if (!t) {
        fprintf(out, "%*s-\n", indent, "");
        return;
    }
    fprintf(out, "%*s(%s", indent, "", ast_kind_name(t->kind));
    if (t->text) {
        fprintf(out, " %s", t->text);
    }
    if (t->kind == AST_BOOL) {
        fputs(t->i ? " true" : " false", out);
    }
    fputs(t->n ? "\n" : ")\n", out);
    for (uint32_t i = 0; i < t->n; i++) {
        print_tree(out, t->kids[i], indent + 2);
    }
    if (t->n) {
        fprintf(out, "%*s)\n", indent, "");
    }
}

const char *ast_print(const ast *t, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    print_tree(out, t, 0);
    fclose(out);
    const char *kept = arena_string_n(a, text, size);
    free(text);
    return kept;
}
