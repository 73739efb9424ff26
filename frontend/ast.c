#include "frontend/ast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100 };

const char *ast_kind_name(ast_kind k)
{
    static const char *const names[] = {
#define AST(kind, printed, kids) printed,
#include "frontend/ast.def"
    };
    return k < AST_KIND_COUNT ? names[k] : "?";
}

static void print_quoted(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') {
            fputc('\\', out);
        }
        if (*s == '\n') {
            fputs("\\n", out);
        } else if (*s == '\t') {
            fputs("\\t", out);
        } else if (*s == '\r') {
            fputs("\\r", out);
        } else {
            fputc(*s, out);
        }
    }
    fputc('"', out);
}

/* Leaves that are plain enough to stand without brackets. */
static bool print_leaf(FILE *out, const ast *t)
{
    if (!t) {
        fputc('_', out);
        return true;
    }
    switch (t->kind) {
    case AST_NAME:
    case AST_INT:
    case AST_FLOAT:
        fputs(t->text, out);
        return true;
    case AST_STR:
        print_quoted(out, t->text);
        return true;
    case AST_BOOL:
        fputs(t->i ? "true" : "false", out);
        return true;
    case AST_NONE:
    case AST_ELLIPSIS:
        fputs(ast_kind_name(t->kind), out);
        return true;
    default:
        return false;
    }
}

static void print_head(FILE *out, const ast *t)
{
    fputc('(', out);
    if (t->kind == AST_UNARY || t->kind == AST_BINARY) {
        fputs(t->text, out);
        return;
    }
    if (t->kind == AST_FIELD) {
        fprintf(out, ".%s", t->text);
        return;
    }
    if (t->kind == AST_KEYWORD) {
        fprintf(out, "%s=", t->text);
        return;
    }
    fputs(ast_kind_name(t->kind), out);
    if (t->text && t->kind == AST_IMPORT) {
        fputc(' ', out);
        print_quoted(out, t->text);
    } else if (t->text) {
        fprintf(out, " %s", t->text);
    }
    if (t->doc) {
        fputs(" ##", out);
        print_quoted(out, t->doc);
    }
}

/* a + b + c prints as (+ a b c): the operands on the left that the same operator joins. */
static const ast *chain_of(const ast *t)
{
    const ast *left = t->kind == AST_BINARY && t->n ? t->kids[0] : NULL;
    return left && left->kind == AST_BINARY && left->text == t->text ? left : NULL;
}

static void print_flat(FILE *out, const ast *t);

static void print_chain(FILE *out, const ast *t)
{
    const ast *left = chain_of(t);
    if (left) {
        print_chain(out, left);
    } else {
        fputc(' ', out);
        print_flat(out, t->kids[0]);
    }
    fputc(' ', out);
    print_flat(out, t->kids[1]);
}

static void print_flat(FILE *out, const ast *t)
{
    if (print_leaf(out, t)) {
        return;
    }
    print_head(out, t);
    if (chain_of(t)) {
        print_chain(out, t);
        fputc(')', out);
        return;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        fputc(' ', out);
        print_flat(out, t->kids[i]);
    }
    fputc(')', out);
}

/* A lower bound of the columns of t on one line, counted until it passes `room`. */
static uint32_t columns(const ast *t, uint32_t room)
{
    uint32_t n = !t ? 1 : 2 + (t->text ? (uint32_t)strlen(t->text) : 3);
    for (uint32_t i = 0; t && i < t->n && n <= room; i++) {
        n += 1 + columns(t->kids[i], room - n);
    }
    return n;
}

/* Blocks, and what holds them, take a line for each child. */
static bool stands_alone(const ast *t)
{
    return t && (t->kind == AST_BLOCK || t->kind == AST_FILE || t->doc);
}

static bool fits(const ast *t, uint32_t room)
{
    for (uint32_t i = 0; t && i < t->n; i++) {
        if (stands_alone(t->kids[i])) {
            return false;
        }
    }
    return columns(t, room) <= room;
}

static void print_tree(FILE *out, const ast *t, uint32_t indent);

static void print_chain_tree(FILE *out, const ast *t, uint32_t indent)
{
    const ast *left = chain_of(t);
    if (left) {
        print_chain_tree(out, left, indent);
    } else {
        print_tree(out, t->kids[0], indent);
    }
    print_tree(out, t->kids[1], indent);
}

static void print_tree(FILE *out, const ast *t, uint32_t indent)
{
    fprintf(out, "%*s", (int)indent, "");
    uint32_t room = indent < WIDTH / 2 ? WIDTH - indent : WIDTH / 2;
    if (!t || (!(t->kind == AST_BLOCK && t->n) && t->kind != AST_FILE && fits(t, room))) {
        print_flat(out, t);
        fputc('\n', out);
        return;
    }
    print_head(out, t);
    if (chain_of(t)) {
        fputc('\n', out);
        print_chain_tree(out, t, indent + 2);
        fprintf(out, "%*s)\n", (int)indent, "");
        return;
    }
    uint32_t i = 0;
    for (; i < t->n && !stands_alone(t->kids[i]) && fits(t->kids[i], WIDTH / 3) &&
           t->kind != AST_BLOCK && t->kind != AST_FILE;
         i++) {
        fputc(' ', out);
        print_flat(out, t->kids[i]);
    }
    fputc('\n', out);
    for (; i < t->n; i++) {
        print_tree(out, t->kids[i], indent + 2);
    }
    fprintf(out, "%*s)\n", (int)indent, "");
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
