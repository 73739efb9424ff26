/* What the parts of the parser share while one file is parsed:
 *
 *     lexer.l         words, numbers, strings, signs        one raw token at a time, line breaks
 * among them tokens.c        what ends a statement, which words are keywords where they stand
 *     recover.c       brackets that are not closed, and where to go on after a mistake
 *     parser.y        the grammar
 *     syntax_error.c  the words for what the grammar does not allow
 *     parse.c         nodes, and ast_parse itself */
#ifndef AIGC_FRONTEND_PARSE_H
#define AIGC_FRONTEND_PARSE_H

#include "frontend/ast.h"
#include "support/map.h"
#include "support/vec.h"

typedef struct parse_list {
    VEC(ast *) v;
    bool comma; /* one follows the last item */
} parse_list;

/* The clauses of a loop, in whatever order they came. */
typedef struct parse_loop {
    ast *step, *cond;
    ast *carry, *collect; /* LISTs */
} parse_loop;

typedef union parse_value {
    ast *node;
    parse_list *list;
    parse_loop *loop;
    const char *text;
} parse_value;

typedef struct token {
    int kind;
    bool of_sum; /* the '}' of sum{k} */
    span where;
    parse_value value;
} token;

/* Where we are: what may stand at the beginning of a statement depends on it. */
typedef enum parse_place { PLACE_FILE, PLACE_MODULE, PLACE_BLOCK } parse_place;

typedef struct statement {
    token first;
    uint32_t base; /* brackets open where it begins */
    bool header;   /* it has a block, and the grammar can go on there after a mistake before it */
    bool begun;
} statement;

typedef struct bracket {
    char kind;           /* ( [ ; { of a block, m of a module's members, r of sum{k} */
    uint32_t at;         /* offset */
    statement statement; /* in which it was opened */
} bracket;

typedef struct parse {
    arena *a;
    intern_table *names;
    diag *d;
    const source_file *file;
    void *scanner;
    ast *result;
    bool too_deep; /* told already */
    uint32_t mistakes;
    /* lexer.l */
    uint32_t at;   /* where the next raw token begins */
    bool quiet;    /* between a mistake and where parsing goes on: no further errors */
    VEC(char) doc; /* the ## lines met since the last token */
    map *docs;     /* where a token begins + 1 -> the doc above it */
    /* tokens.c */
    VEC(token) raw; /* looked at, not yet taken; from raw_at */
    uint32_t raw_at;
    VEC(token) ready; /* to be given to the parser before anything else; from ready_at */
    uint32_t ready_at;
    VEC(bracket) brackets;
    statement statement;
    token prev, last; /* given to the parser; kind 0 where there was none */
    bool last_is_value;
} parse;

/* Nodes. first goes before the items of l; either may be NULL. */
ast *parse_node(parse *p, ast_kind k, span where, const char *text, uint32_t n, ast *const *kids);
ast *parse_node_list(parse *p, ast_kind k, span where, const char *text, ast *first,
                     const parse_list *l);
void parse_push(parse *p, parse_list **l, ast *t);
/* STR with the escapes of the literal's inside resolved. */
ast *parse_string(parse *p, span where, const char *text, uint32_t n);
ast *parse_int(parse *p, span where, const char *text, uint32_t n);
ast *parse_float(parse *p, span where, const char *text, uint32_t n);

/* The lexer's errors: none while a mistake is being passed over. */
void parse_lexical_error(parse *p, span where, const char *help, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* After so many mistakes the rest of a file is not read: finding a way past each takes time. */
enum { PARSE_MOST_MISTAKES = 200 };

/* Goes on after a mistake: the next token is the END of the statement, or the '{' of its block.
 * False: the file ends here. */
bool parse_resume(parse *p);
/* Line, from 1, of an offset. */
uint32_t parse_line(const parse *p, uint32_t at);

/* Reports that p->last is not what can stand there. expected: names of tokens, as in parser.y. */
void parse_report(parse *p, uint32_t n, const char *const *expected);

int aigc_scan_lex(parse_value *v, span *where, void *scanner);
int aigc_lex(parse_value *v, span *where, parse *p);

#define NODE0(k, w, text)             parse_node(p, AST_##k, w, text, 0, NULL)
#define NODE1(k, w, text, a)          parse_node(p, AST_##k, w, text, 1, (ast *[]){a})
#define NODE2(k, w, text, a, b)       parse_node(p, AST_##k, w, text, 2, (ast *[]){a, b})
#define NODE3(k, w, text, a, b, c)    parse_node(p, AST_##k, w, text, 3, (ast *[]){a, b, c})
#define NODE4(k, w, text, a, b, c, e) parse_node(p, AST_##k, w, text, 4, (ast *[]){a, b, c, e})

#endif
