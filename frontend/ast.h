/* Syntax trees of .aigc files. Immutable once parsed; all in one arena; every node has the span of
 * its text. ast.def says which children each kind has. */
#ifndef AIGC_FRONTEND_AST_H
#define AIGC_FRONTEND_AST_H

#include "support/diag.h"
#include "support/intern.h"

typedef enum ast_kind {
#define AST(kind, ...) AST_##kind,
#include "frontend/ast.def"
    AST_KIND_COUNT
} ast_kind;

typedef struct ast ast;
struct ast {
    ast_kind kind;
    span where;
    span name_where;  /* of `text`, where it is a name that is declared */
    const char *text; /* interned; see ast.def */
    int64_t i;
    double f;
    const char *doc; /* "## ..." lines above an item, joined by newlines; NULL: none */
    uint32_t depth;  /* of the tree below; at most 1000, so that walks may recurse */
    uint32_t n;
    ast **kids;
};

/* Parses a file. A FILE, never NULL; every mistake of the file is an error in d, and what could not
 * be parsed is left out. i is 0 where mistakes left the braces unmatched: what belongs where is
 * then a guess. Trees may share children. */
const ast *ast_parse(arena *a, intern_table *names, diag *d, const source_file *f);

/* An S-expression: stable, short nodes on one line, '_' for a child that is absent, `##"doc"` after
 * the name of what has one. For tests and for --dump=ast. */
const char *ast_print(const ast *t, arena *a);

const char *ast_kind_name(ast_kind k);

#endif
