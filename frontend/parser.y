/* The grammar of .aigc files; docs/language.md explains it. */
%require "3.8"
%define api.pure full
%define api.prefix {aigc_}
%define api.location.type {span}
%define parse.error custom
%define parse.lac full
%locations
%lex-param {yyscan_t scanner}
%parse-param {yyscan_t scanner} {parse *p}

%code requires {
#include "frontend/parse.h"
#ifndef YY_TYPEDEF_YY_SCANNER_T
#define YY_TYPEDEF_YY_SCANNER_T
typedef void *yyscan_t;
#endif
#define YYLLOC_DEFAULT(now, rhs, n)                                                                \
    do {                                                                                           \
        if (n) {                                                                                   \
            (now) = span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n));                                 \
        } else {                                                                                   \
            (now) = (span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end};     \
        }                                                                                          \
    } while (0)
}
%union {
    ast *node;
    parse_list *list;
    const char *text;
}
%code {
#include "lexer.h"
#include <string.h>

#define YYMAXDEPTH 20000

static void aigc_error(span *where, yyscan_t scanner, parse *p, const char *message);
static ast *named(ast *t, const char *text, span where);
static ast *typed_names(parse *p, parse_list *names, ast *type, ast *init, ast *rename, span where);
static ast *one_or_tuple(parse *p, parse_list *l, span where);
static void check_target(parse *p, const ast *t);
#define BIN(op, a, b, w) NODE2(BINARY, w, intern(p->names, op), a, b)
}

%token <text> NAME "a name" REDUCE "a reduction"
%token <node> LITERAL "a value"
%token END "end of line" BAD "a mistake"
%token IMPORT "import" MODULE "module" MODEL "model" FN "fn" ENTRY "entry" OBJECTIVE "objective" OP "op"
%token GENERATE "generate" TRAIN "train" EXTERN "extern" ALIAS "alias" CONST "const" STATE "state"
%token RETURN "return" IF "if" ELIF "elif" ELSE "else" FOR "for" IN "in" LOOP "loop" WHILE "while"
%token CARRY "carry" COLLECT "collect" ASSERT "assert" WHERE "where" BY "by" OVER "over" WITH "with"
%token AT "at" RENAME "name" AND "and" OR "or" NOT "not" DOTS ".." ARROW "->" POWER "**" FLOORDIV "//"
%token EQ "==" NE "!=" LE "<=" GE ">="

%type <node> expr test not_test compare sum_expr term unary power postfix primary arg index_item slice
%type <node> range range_or_expr block statement simple if_rest item import module module_params
%type <node> member param param_list result opt_result result_item opt_where fn_body opt_rename where_item
%type <node> opt_expr opt_default opt_step
%type <list> statements items members params args index_items exprs exprs1 names results wheres train_options
%type <list> opt_carry opt_collect targets
%type <node> opt_while opt_over

%start file
%%
file: items { p->result = parse_node_list(p, AST_FILE, @$, NULL, NULL, $1); }

items: %empty { $$ = NULL; }
  | items END { $$ = $1; }
  | items item END { $$ = $1; parse_push(p, &$$, $2); }
  | items error END { $$ = $1; yyerrok; }

item: import
  | module
  | OP NAME '(' param_list ')' ARROW result block
      { $$ = named(NODE3(OP, @$, $2, $4, $7, $8), $2, @2); }
  | EXTERN FN NAME '(' param_list ')' ARROW result '=' LITERAL
      { $$ = named(NODE3(EXTERN, @$, $3, $5, $8, $10), $3, @3); }
  | FN NAME '(' param_list ')' opt_result opt_where fn_body
      { $$ = named(NODE4(FN, @$, $2, $4, $6, $7, $8), $2, @2); }
  | CONST NAME '=' expr { $$ = named(NODE2(CONST, @$, $2, NULL, $4), $2, @2); }
  | NAME '=' expr { $$ = named(NODE2(CONST, @$, $1, NULL, $3), $1, @1); }

import: IMPORT NAME { $$ = NODE0(IMPORT, @$, $2); }
  | IMPORT LITERAL { $$ = NODE0(IMPORT, @$, $2->text); }

module: MODULE NAME module_params '{' members '}'
      { $$ = named(NODE2(MODULE, @$, $2, $3, parse_node_list(p, AST_BLOCK, @5, NULL, NULL, $5)), $2, @2); }
  | MODEL NAME module_params '{' members '}'
      { $$ = named(NODE2(MODEL, @$, $2, $3, parse_node_list(p, AST_BLOCK, @5, NULL, NULL, $5)), $2, @2); }

module_params: %empty { $$ = NODE0(LIST, @$, NULL); }
  | '(' param_list ')' { $$ = $2; }

param_list: params { $$ = parse_node_list(p, AST_LIST, @$, NULL, NULL, $1); }
  | params ',' { $$ = parse_node_list(p, AST_LIST, @$, NULL, NULL, $1); }
  | %empty { $$ = NODE0(LIST, @$, NULL); }

params: param { $$ = NULL; parse_push(p, &$$, $1); }
  | params ',' param { $$ = $1; parse_push(p, &$$, $3); }

param: NAME opt_default { $$ = named(NODE2(PARAM, @$, $1, NULL, $2), $1, @1); }
  | NAME ':' result_item opt_default { $$ = named(NODE2(PARAM, @$, $1, $3, $4), $1, @1); }

opt_default: %empty { $$ = NULL; } | '=' expr { $$ = $2; }

members: %empty { $$ = NULL; }
  | member { $$ = NULL; parse_push(p, &$$, $1); }
  | members END { $$ = $1; }
  | members END member { $$ = $1; parse_push(p, &$$, $3); }
  | members END error { $$ = $1; }

member: names '=' expr opt_rename
      { if ($1->v.len > 1) diag_error(p->d, @1, "a member has one name");
        $$ = named(NODE2(MEMBER, @$, $1->v.at[0]->text, $3, $4), $1->v.at[0]->text, $1->v.at[0]->where); }
  | names ':' result_item opt_default opt_rename { $$ = typed_names(p, $1, $3, $4, $5, @$); }
  | CONST NAME '=' expr { $$ = named(NODE2(CONST, @$, $2, NULL, $4), $2, @2); }
  | CONST NAME ':' result_item '=' expr { $$ = named(NODE2(CONST, @$, $2, $4, $6), $2, @2); }
  | STATE names ':' result_item { $$ = parse_node_list(p, AST_STATE, @$, NULL, $4, $2); }
  | FN '(' param_list ')' opt_result opt_where fn_body { $$ = NODE4(FN, @$, NULL, $3, $5, $6, $7); $$->name_where = @1; }
  | FN NAME '(' param_list ')' opt_result opt_where fn_body
      { $$ = named(NODE4(FN, @$, $2, $4, $6, $7, $8), $2, @2); }
  | ENTRY NAME '(' param_list ')' opt_result opt_where fn_body
      { $$ = named(NODE4(ENTRY, @$, $2, $4, $6, $7, $8), $2, @2); }
  | OBJECTIVE NAME '(' param_list ')' opt_result opt_where fn_body
      { $$ = named(NODE4(OBJECTIVE, @$, $2, $4, $6, $7, $8), $2, @2); }
  | GENERATE NAME '=' postfix { $$ = named(NODE1(GENERATE, @$, $2, $4), $2, @2); }
  | TRAIN NAME opt_over WITH postfix train_options
      { ast *over = $3 ? $3 : NODE0(LIST, @3, NULL);
        parse_list *l = NULL; parse_push(p, &l, over);
        for (uint32_t i = 0; $6 && i < $6->v.len; i++) parse_push(p, &l, $6->v.at[i]);
        $$ = named(parse_node_list(p, AST_TRAIN, @$, $2, $5, l), $2, @2); }
  | ALIAS LITERAL '=' postfix { $$ = NODE2(ALIAS, @$, NULL, $2, $4); }
  | ASSERT expr { $$ = NODE2(ASSERT, @$, NULL, $2, NULL); }
  | ASSERT expr ',' expr { $$ = NODE2(ASSERT, @$, NULL, $2, $4); }

opt_rename: %empty { $$ = NULL; } | RENAME LITERAL { $$ = $2; }
opt_over: %empty { $$ = NULL; } | OVER exprs1 { $$ = parse_node_list(p, AST_LIST, @2, NULL, NULL, $2); }
train_options: %empty { $$ = NULL; }
  | train_options ',' NAME '=' expr { $$ = $1; parse_push(p, &$$, NODE1(KEYWORD, span_join(@3, @5), $3, $5)); }

names: NAME { $$ = NULL; parse_push(p, &$$, NODE0(NAME, @1, $1)); }
  | names ',' NAME { $$ = $1; parse_push(p, &$$, NODE0(NAME, @3, $3)); }

opt_result: %empty { $$ = NULL; } | ARROW result { $$ = $2; }
result: results { $$ = $1->v.len == 1 ? $1->v.at[0] : parse_node_list(p, AST_TUPLE, @1, NULL, NULL, $1); }
results: result_item { $$ = NULL; parse_push(p, &$$, $1); }
  | NAME ':' result_item { $$ = NULL; parse_push(p, &$$, named(NODE2(PARAM, @$, $1, $3, NULL), $1, @1)); }
  | results ',' result_item { $$ = $1; parse_push(p, &$$, $3); }
  | results ',' NAME ':' result_item { $$ = $1; parse_push(p, &$$, named(NODE2(PARAM, span_join(@3, @5), $3, $5, NULL), $3, @3)); }
result_item: postfix { $$ = $1; }
  | postfix AT LITERAL { $$ = NODE2(TYPE_AT, @$, NULL, $1, $3); }

opt_where: %empty { $$ = NULL; } | WHERE wheres { $$ = parse_node_list(p, AST_LIST, @2, NULL, NULL, $2); }
wheres: where_item { $$ = NULL; parse_push(p, &$$, $1); } | wheres ',' where_item { $$ = $1; parse_push(p, &$$, $3); }
where_item: test
fn_body: block { $$ = $1; }
  | '=' expr { parse_list *l = NULL; parse_push(p, &l, NODE1(RETURN, @2, NULL, $2)); $$ = parse_node_list(p, AST_BLOCK, @2, NULL, NULL, l); }

block: '{' statements '}' { $$ = parse_node_list(p, AST_BLOCK, @$, NULL, NULL, $2); }

statements: %empty { $$ = NULL; }
  | simple { $$ = NULL; parse_push(p, &$$, $1); }
  | statements END { $$ = $1; }
  | statements END simple { $$ = $1; parse_push(p, &$$, $3); }
  | error { $$ = NULL; }
  | statements END error { $$ = $1; }

simple: statement
statement: exprs '=' exprs
      { ast *t = one_or_tuple(p, $1, @1); check_target(p, t); $$ = NODE2(ASSIGN, @$, NULL, t, one_or_tuple(p, $3, @3)); }
  | exprs { $$ = NODE1(EXPR, @$, NULL, one_or_tuple(p, $1, @1)); }
  | RETURN { $$ = NODE1(RETURN, @$, NULL, NULL); }
  | RETURN exprs { $$ = NODE1(RETURN, @$, NULL, one_or_tuple(p, $2, @2)); }
  | IF test block if_rest { $$ = NODE3(IF, @$, NULL, $2, $3, $4); }
  | FOR targets IN range_or_expr block { $$ = NODE3(FOR, @$, NULL, one_or_tuple(p, $2, @2), $4, $5); }
  | LOOP NAME IN range opt_step opt_carry opt_collect opt_while block
      { $$ = parse_node(p, AST_LOOP, @$, NULL, 7, (ast *[]){NODE0(NAME, @2, $2), $4, $5,
          parse_node_list(p, AST_LIST, @6, NULL, NULL, $6), parse_node_list(p, AST_LIST, @7, NULL, NULL, $7), $8, $9}); }
  | ASSERT expr { $$ = NODE2(ASSERT, @$, NULL, $2, NULL); }
  | ASSERT expr ',' expr { $$ = NODE2(ASSERT, @$, NULL, $2, $4); }

if_rest: %empty { $$ = NULL; }
  | ELSE block { $$ = $2; }
  | ELSE IF test block if_rest { $$ = NODE3(IF, @$, NULL, $3, $4, $5); }
  | ELIF test block if_rest { $$ = NODE3(IF, @$, NULL, $2, $3, $4); }

targets: names { $$ = $1; } | '(' names ')' { $$ = $2; }
opt_step: %empty { $$ = NULL; } | BY test { $$ = $2; }
opt_carry: %empty { $$ = NULL; } | CARRY names { $$ = $2; }
opt_collect: %empty { $$ = NULL; } | COLLECT names { $$ = $2; }
opt_while: %empty { $$ = NULL; } | WHILE test { $$ = $2; }
range: test DOTS test { $$ = NODE2(RANGE, @$, NULL, $1, $3); }
range_or_expr: range | test

exprs: exprs1 | exprs1 ',' { $$ = $1; }
exprs1: expr { $$ = NULL; parse_push(p, &$$, $1); } | exprs1 ',' expr { $$ = $1; parse_push(p, &$$, $3); }

expr: test | test IF test ELSE expr { $$ = NODE3(IF_EXPR, @$, NULL, $1, $3, $5); }
test: not_test
  | test OR not_test { $$ = BIN("or", $1, $3, @$); }
  | test AND not_test { $$ = BIN("and", $1, $3, @$); }
not_test: compare | NOT not_test { $$ = NODE1(UNARY, @$, intern(p->names, "not"), $2); }
compare: sum_expr
  | sum_expr EQ sum_expr { $$ = BIN("==", $1, $3, @$); }
  | sum_expr NE sum_expr { $$ = BIN("!=", $1, $3, @$); }
  | sum_expr '<' sum_expr { $$ = BIN("<", $1, $3, @$); }
  | sum_expr LE sum_expr { $$ = BIN("<=", $1, $3, @$); }
  | sum_expr '>' sum_expr { $$ = BIN(">", $1, $3, @$); }
  | sum_expr GE sum_expr { $$ = BIN(">=", $1, $3, @$); }
sum_expr: term
  | sum_expr '+' term { $$ = BIN("+", $1, $3, @$); }
  | sum_expr '-' term { $$ = BIN("-", $1, $3, @$); }
term: unary
  | term '*' unary { $$ = BIN("*", $1, $3, @$); }
  | term '/' unary { $$ = BIN("/", $1, $3, @$); }
  | term FLOORDIV unary { $$ = BIN("//", $1, $3, @$); }
  | term '%' unary { $$ = BIN("%", $1, $3, @$); }
  | term '@' unary { $$ = BIN("@", $1, $3, @$); }
unary: power
  | '-' unary { $$ = NODE1(UNARY, @$, intern(p->names, "-"), $2); }
  | '+' unary { $$ = NODE1(UNARY, @$, intern(p->names, "+"), $2); }
  | REDUCE '{' names '}' unary { $$ = parse_node_list(p, AST_REDUCTION, @$, $1, $5, $3); }
power: postfix | postfix POWER unary { $$ = BIN("**", $1, $3, @$); }
postfix: primary
  | postfix '(' args ')' { $$ = parse_node_list(p, AST_CALL, @$, NULL, $1, $3); }
  | postfix '[' index_items ']' { $$ = parse_node_list(p, AST_INDEX, @$, NULL, $1, $3); }
  | postfix '.' NAME { $$ = named(NODE1(FIELD, @$, $3, $1), $3, @3); }
primary: NAME { $$ = NODE0(NAME, @1, $1); }
  | LITERAL { $$ = $1; }
  | '(' exprs ')' { $$ = $2->v.len == 1 ? $2->v.at[0] : parse_node_list(p, AST_TUPLE, @$, NULL, NULL, $2); }
  | '(' ')' { $$ = NODE0(TUPLE, @$, NULL); }
  | '[' ']' { $$ = NODE0(LIST, @$, NULL); }
  | '[' exprs ']' { $$ = parse_node_list(p, AST_LIST, @$, NULL, NULL, $2); }
  | '[' expr FOR targets IN range_or_expr ']' { $$ = NODE4(COMPREHENSION, @$, NULL, $2, one_or_tuple(p, $4, @4), $6, NULL); }
  | '[' expr FOR targets IN range_or_expr IF test ']' { $$ = NODE4(COMPREHENSION, @$, NULL, $2, one_or_tuple(p, $4, @4), $6, $8); }
args: %empty { $$ = NULL; }
  | arg { $$ = NULL; parse_push(p, &$$, $1); }
  | args ',' arg { $$ = $1; parse_push(p, &$$, $3); }
  | args ',' { $$ = $1; }
arg: expr | NAME '=' expr { $$ = named(NODE1(KEYWORD, @$, $1, $3), $1, @1); }
index_items: index_item { $$ = NULL; parse_push(p, &$$, $1); }
  | index_items ',' index_item { $$ = $1; parse_push(p, &$$, $3); }
  | index_items ',' { $$ = $1; }
  | %empty { $$ = NULL; }
index_item: expr | slice
slice: opt_expr ':' opt_expr { $$ = NODE3(SLICE, @$, NULL, $1, $3, NULL); }
  | opt_expr ':' opt_expr ':' opt_expr { $$ = NODE3(SLICE, @$, NULL, $1, $3, $5); }
opt_expr: %empty { $$ = NULL; } | expr
%%

static ast *named(ast *t, const char *text, span where)
{
    t->text = text;
    t->name_where = where;
    return t;
}

static ast *one_or_tuple(parse *p, parse_list *l, span where)
{
    return l->v.len == 1 ? l->v.at[0] : parse_node_list(p, AST_TUPLE, where, NULL, NULL, l);
}

/* a, b: type makes a weight of each name. */
static ast *typed_names(parse *p, parse_list *names, ast *type, ast *init, ast *rename, span where)
{
    ast *first = NULL;
    parse_list *all = NULL;
    for (uint32_t i = 0; i < names->v.len; i++) {
        ast *n = names->v.at[i];
        ast *w = named(NODE3(WEIGHT, where, n->text, type, init, rename), n->text, n->where);
        first = first ? first : w;
        parse_push(p, &all, w);
    }
    return names->v.len == 1 ? first : parse_node_list(p, AST_BLOCK, where, NULL, NULL, all);
}

static void check_target(parse *p, const ast *t)
{
    if (t->kind == AST_TUPLE) {
        for (uint32_t i = 0; i < t->n; i++) {
            check_target(p, t->kids[i]);
        }
    } else if (t->kind != AST_NAME && t->kind != AST_INDEX && t->kind != AST_ERROR) {
        diag_error(p->d, t->where, "only a name or a part of a state can be assigned to");
        diag_help(p->d, "to compare, write '=='");
    }
}

static void aigc_error(span *where, yyscan_t scanner, parse *p, const char *message)
{
    (void)scanner;
    diag_error(p->d, *where, "%s", strcmp(message, "memory exhausted") == 0 ? "this is nested too deeply" : message);
}

/* The innermost bracket that is still open, when it is what the parser waits to see closed. */
static const char *open_bracket_note(parse *p, uint32_t *place)
{
    if (!p->brackets.len) {
        return NULL;
    }
    *place = vec_last(&p->bracket_places);
    char c = vec_last(&p->brackets);
    return c == '(' ? "(" : c == '[' ? "[" : "{";
}

static int yyreport_syntax_error(const yypcontext_t *c, yyscan_t scanner, parse *p)
{
    (void)scanner;
    span where = *yypcontext_location(c);
    if (p->reported) { /* the lexer has said it better */
        p->reported = false;
        return 0;
    }
    uint32_t line_end = where.end;
    const char *text = p->file->text;
    const char *found = arena_string_n(p->a, text + where.begin, where.end - where.begin);
    yysymbol_kind_t token = yypcontext_token(c);
    if (token == YYSYMBOL_END || *found == '\n' || where.begin == where.end) {
        found = token == YYSYMBOL_YYEOF || where.begin >= p->file->size ? "end of file" : "end of line";
        line_end = where.begin;
        where = (span){where.file, line_end, line_end};
    } else {
        found = arena_printf(p->a, "'%s'", found);
    }
    yysymbol_kind_t expected[6];
    int n = yypcontext_expected_tokens(c, expected, 6);
    const char *wanted = "";
    for (int i = 0; i < n && n <= 4; i++) {
        const char *name = yysymbol_name(expected[i]);
        bool quote = name[0] != 'a' || name[1] != ' ';
        wanted = arena_printf(p->a, "%s%s%s%s%s", wanted, i == 0 ? "" : i + 1 == n ? " or " : ", ",
                              quote && name[0] != '\'' ? "'" : "", name, quote && name[0] != '\'' ? "'" : "");
    }
    if (n > 0 && n <= 4) {
        diag_error(p->d, where, "expected %s, found %s", wanted, found);
    } else {
        diag_error(p->d, where, "unexpected %s", found);
    }
    uint32_t place = 0;
    const char *bracket = open_bracket_note(p, &place);
    if (bracket && *bracket != '{' && *found != '\'' ) {
        diag_note(p->d, (span){where.file, place, place + 1}, "this '%s' is still open", bracket);
    }
    if (strcmp(found, "':'") == 0) {
        diag_help(p->d, "blocks are written with { }");
    } else if (strcmp(found, "'='") == 0) {
        diag_help(p->d, "to compare, write '=='");
    }
    return 0;
}

const ast *ast_parse(arena *a, intern_table *names, diag *d, const source_file *f)
{
    parse state = {.a = a, .names = names, .d = d, .file = f, .docs = map_create(a)};
    parse *p = &state;
    yyscan_t scanner;
    bool bom = f->size >= 3 && memcmp(f->text, "\xef\xbb\xbf", 3) == 0;
    const char *zero = memchr(f->text, 0, f->size);
    if (zero) {
        uint32_t at = (uint32_t)(zero - f->text);
        diag_error(d, (span){f->id, at, at + 1}, "a zero byte: this is no text file");
        return NODE0(FILE, ((span){f->id, 0, 0}), NULL);
    }
    if (aigc_lex_init_extra(p, &scanner) != 0) {
        diag_error(d, (span){0}, "out of memory");
        return NODE0(FILE, ((span){f->id, 0, 0}), NULL);
    }
    p->at = bom ? 3 : 0;
    YY_BUFFER_STATE buffer = aigc__scan_bytes(f->text + p->at, (int)(f->size - p->at), scanner);
    int failed = aigc_parse(scanner, p);
    aigc__delete_buffer(buffer, scanner);
    aigc_lex_destroy(scanner);
    if (failed && diag_error_count(d) == 0) {
        diag_error(d, (span){f->id, 0, 0}, "this file could not be parsed");
    }
    return p->result ? p->result : NODE0(FILE, ((span){f->id, 0, 0}), NULL);
}
