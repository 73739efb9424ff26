/* What lexer and parser share while one file is parsed. */
#ifndef AIGC_FRONTEND_PARSE_H
#define AIGC_FRONTEND_PARSE_H

#include "frontend/ast.h"
#include "support/map.h"
#include "support/vec.h"

typedef struct parse_list {
    VEC(ast *) v;
} parse_list;

typedef struct parse {
    arena *a;
    intern_table *names;
    diag *d;
    const source_file *file;
    ast *result;
    /* Lexer */
    uint32_t at;                  /* where the next token begins */
    VEC(char) brackets;           /* those open, innermost last: ( [ { */
    VEC(uint32_t) bracket_places;
    bool may_end;                 /* can the last token end a statement? */
    bool reported;                /* the lexer has told what is wrong here */
    VEC(char) doc;                /* the ## lines met since the last token */
    map *docs;                    /* where a token begins + 1 -> the doc above it */
} parse;

ast *parse_node(parse *p, ast_kind k, span where, const char *text, uint32_t n, ast *const *kids);
ast *parse_node_list(parse *p, ast_kind k, span where, const char *text, ast *first, const parse_list *l);
void parse_push(parse *p, parse_list **l, ast *t);
/* The text of a string literal with its escapes resolved. */
ast *parse_string(parse *p, span where, const char *text, uint32_t n);
ast *parse_int(parse *p, span where, const char *text);

#define NODE0(k, w, text)          parse_node(p, AST_##k, w, text, 0, NULL)
#define NODE1(k, w, text, a)       parse_node(p, AST_##k, w, text, 1, (ast *[]){a})
#define NODE2(k, w, text, a, b)    parse_node(p, AST_##k, w, text, 2, (ast *[]){a, b})
#define NODE3(k, w, text, a, b, c) parse_node(p, AST_##k, w, text, 3, (ast *[]){a, b, c})
#define NODE4(k, w, text, a, b, c, e) parse_node(p, AST_##k, w, text, 4, (ast *[]){a, b, c, e})

#endif
