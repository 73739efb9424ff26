/* The grammar of .aigc files; docs/language.md explains it.
 *
 * tokens.c has made plain what the letters leave open: a statement ends with END (one stands before every
 * '}' of a block as well), and a word that is a keyword in some places only comes as that keyword there and
 * as NAME elsewhere. After a mistake the parser goes on where `oops` stands: parse_resume() makes the next
 * token END or, where the grammar has "oops block", the '{' of the block. */
%require "3.8"
%define api.pure full
%define api.prefix {aigc_}
%define api.value.type {parse_value}
%define api.location.type {span}
%define parse.error custom
%define parse.lac full
%locations
%param {parse *p}

%code requires {
#include "frontend/parse.h"
}
%code {
#include <string.h>

#define YYMAXDEPTH 20000
#define YYLLOC_DEFAULT(now, rhs, n)                                                                \
    do {                                                                                           \
        if (n) {                                                                                   \
            (now) = span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n));                                 \
        } else {                                                                                   \
            (now) = (span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).end, YYRHSLOC(rhs, 0).end};     \
        }                                                                                          \
    } while (0)

static void aigc_error(span *where, parse *p, const char *message);
static ast *named(ast *t, const char *text, span where);
static ast *list_of(parse *p, const parse_list *l, span where);
static ast *block_of(parse *p, const parse_list *l, span where);
static ast *one_or_tuple(parse *p, const parse_list *l, span where);
static ast *typed_names(parse *p, const parse_list *names, ast *type, ast *init, ast *rename, span where);
static ast *train_of(parse *p, const char *name, ast *over, ast *with, parse_list *options, span where);
static ast *chained(parse *p, ast *chain, const char *op, ast *right, span where);
static ast *sole(parse *p, ast *before, ast *now, const char *what, span where);
static void add_conditions(parse *p, parse_list **l, ast *t);
static void check_conditional(parse *p, const parse_list *members);
static void check_target(parse *p, const ast *t);
static void check_used(parse *p, const ast *t);
#define BIN(op, a, b, w) NODE2(BINARY, w, intern(p->names, op), a, b)
#define UN(op, a, w)     NODE1(UNARY, w, intern(p->names, op), a)
}

%token <text> NAME "a name" REDUCE "a reduction"
%token <node> LITERAL "a number" STRING "a string"
%token END "the end of the line" BAD "a mistake" ELLIPSIS "..."
%token IMPORT "import" MODULE "module" MODEL "model" FN "fn" ENTRY "entry" OBJECTIVE "objective" OP "op"
%token GENERATE "generate" TRAIN "train" EXTERN "extern" ALIAS "alias" CONST "const" STATE "state"
%token RETURN "return" IF "if" ELIF "elif" ELSE "else" FOR "for" IN "in" LOOP "loop" WHILE "while"
%token CARRY "carry" COLLECT "collect" ASSERT "assert" WHERE "where" BY "by" OVER "over" WITH "with"
%token AT "at" RENAME "name" AND "and" OR "or" NOT "not" DOTS ".." ARROW "->" POWER "**" FLOORDIV "//"
%token EQ "==" NE "!=" LE "<=" GE ">="

%type <text> relation
%type <node> expr test all_of not_test compare chain sum_expr term reduction product unary power postfix primary
%type <node> arg index_item slice opt_expr range range_or_test for_list
%type <node> item module opt_params params_in param member member_if member_rest member_block
%type <node> opt_default opt_rename opt_over opt_result result type opt_where fn_body
%type <node> statement if_rest block assertion
%type <list> items members statements params args index_items exprs exprs1 names names_or_group results wheres
%type <list> train_options
%type <loop> clauses

%start file
%%
file: items { p->result = parse_node_list(p, AST_FILE, (span){p->file->id, 0, p->file->size}, NULL, NULL, $1); }

/* Going on after a mistake. The token that did not fit has been dealt with by parse_resume. */
oops: error {
    yyclearin;
    yyerrok;
    if (!parse_resume(p)) {
        YYABORT;
    }
}

/* Items of a file ------------------------------------------------------------------------------ */

items: %empty { $$ = NULL; }
  | items END { $$ = $1; }
  | items item END { $$ = $1; parse_push(p, &$$, $2); }
  | items oops END { $$ = $1; }

item: IMPORT NAME { $$ = named(NODE0(IMPORT, @$, $2), $2, @2); }
  | IMPORT STRING { $$ = named(NODE0(IMPORT, @$, $2->text), $2->text, @2); }
  | module
  | OP NAME params_in ARROW result block { $$ = named(NODE3(OP, @$, $2, $3, $5, $6), $2, @2); }
  | OP oops block { $$ = NULL; }
  | OP oops { $$ = NULL; }
  | EXTERN FN NAME params_in ARROW result '=' STRING { $$ = named(NODE3(EXTERN, @$, $3, $4, $6, $8), $3, @3); }
  | FN NAME params_in opt_result opt_where fn_body { $$ = named(NODE4(FN, @$, $2, $3, $4, $5, $6), $2, @2); }
  | FN oops block { $$ = NULL; }
  | FN oops { $$ = NULL; }
  | CONST NAME '=' expr { $$ = named(NODE2(CONST, @$, $2, NULL, $4), $2, @2); }
  | CONST NAME ':' type '=' expr { $$ = named(NODE2(CONST, @$, $2, $4, $6), $2, @2); }
  | NAME '=' expr { $$ = named(NODE2(CONST, @$, $1, NULL, $3), $1, @1); }

module: MODULE NAME opt_params '{' members '}'
      { $$ = named(NODE2(MODULE, @$, $2, $3, block_of(p, $5, span_join(@4, @6))), $2, @2); }
  | MODULE oops '{' members '}' { $$ = NULL; }
  | MODULE oops { $$ = NULL; }
  | MODEL NAME opt_params '{' members '}'
      { $$ = named(NODE2(MODEL, @$, $2, $3, block_of(p, $5, span_join(@4, @6))), $2, @2); }
  | MODEL oops '{' members '}' { $$ = NULL; }
  | MODEL oops { $$ = NULL; }

opt_params: %empty { $$ = NODE0(LIST, @$, NULL); } | params_in
params_in: '(' params ')' { $$ = list_of(p, $2, @$); }
  | '(' params ',' ')' { $$ = list_of(p, $2, @$); }
  | '(' ')' { $$ = NODE0(LIST, @$, NULL); }
params: param { $$ = NULL; parse_push(p, &$$, $1); }
  | params ',' param { $$ = $1; parse_push(p, &$$, $3); }
param: NAME opt_default { $$ = named(NODE2(PARAM, @$, $1, NULL, $2), $1, @1); }
  | NAME ':' type opt_default { $$ = named(NODE2(PARAM, @$, $1, $3, $4), $1, @1); }
opt_default: %empty { $$ = NULL; } | '=' expr { $$ = $2; }

/* A type is an expression: f32[B, T+1, d/heads]. */
type: postfix | postfix AT sum_expr { $$ = NODE2(TYPE_AT, @$, NULL, $1, $3); }

/* Members of modules and models ---------------------------------------------------------------- */

members: %empty { $$ = NULL; }
  | members END { $$ = $1; }
  | members member END { $$ = $1; parse_push(p, &$$, $2); }
  | members oops END { $$ = $1; }

member: names '=' expr opt_rename
      { const ast *first = $1->v.at[0];
        if ($1->v.len > 1) { diag_error(p->d, @1, "a member has one name, found %u", $1->v.len); }
        $$ = named(NODE2(MEMBER, @$, first->text, $3, $4), first->text, first->where); }
  | names ':' type opt_default opt_rename { $$ = typed_names(p, $1, $3, $4, $5, @$); }
  | CONST NAME '=' expr { $$ = named(NODE2(CONST, @$, $2, NULL, $4), $2, @2); }
  | CONST NAME ':' type '=' expr { $$ = named(NODE2(CONST, @$, $2, $4, $6), $2, @2); }
  | STATE names ':' type { $$ = parse_node_list(p, AST_STATE, @$, NULL, $4, $2); }
  | FN params_in opt_result opt_where fn_body
      { $$ = NODE4(FN, @$, NULL, $2, $3, $4, $5); $$->name_where = @1; }
  | FN NAME params_in opt_result opt_where fn_body { $$ = named(NODE4(FN, @$, $2, $3, $4, $5, $6), $2, @2); }
  | FN oops block { $$ = NULL; }
  | FN oops { $$ = NULL; }
  | ENTRY NAME params_in opt_result opt_where fn_body { $$ = named(NODE4(ENTRY, @$, $2, $3, $4, $5, $6), $2, @2); }
  | ENTRY oops block { $$ = NULL; }
  | ENTRY oops { $$ = NULL; }
  | OBJECTIVE NAME params_in opt_result opt_where fn_body
      { $$ = named(NODE4(OBJECTIVE, @$, $2, $3, $4, $5, $6), $2, @2); }
  | OBJECTIVE oops block { $$ = NULL; }
  | OBJECTIVE oops { $$ = NULL; }
  | GENERATE NAME '=' postfix { $$ = named(NODE1(GENERATE, @$, $2, $4), $2, @2); }
  | TRAIN NAME opt_over WITH postfix train_options { $$ = named(train_of(p, $2, $3, $5, $6, @$), $2, @2); }
  | ALIAS STRING '=' postfix { $$ = NODE2(ALIAS, @$, NULL, $2, $4); }
  | assertion
  | IF member_if { $$ = $2; $$->where = @$; }
  | IF oops member_block member_rest { $$ = NULL; }
  | IF oops { $$ = NULL; }

member_if: test member_block member_rest { $$ = NODE3(IF, @$, NULL, $1, $2, $3); }
member_rest: %empty { $$ = NULL; }
  | ELSE member_block { $$ = $2; }
  | ELSE IF member_if { $$ = $3; $$->where = span_join(@2, @3); }
  | ELIF member_if { $$ = $2; $$->where = @$; }
member_block: '{' members '}' { check_conditional(p, $2); $$ = block_of(p, $2, @$); }

opt_rename: %empty { $$ = NULL; } | RENAME STRING { $$ = $2; }
opt_over: %empty { $$ = NODE0(LIST, @$, NULL); } | OVER exprs1 { $$ = list_of(p, $2, @2); }
train_options: %empty { $$ = NULL; }
  | train_options ',' NAME '=' expr
      { $$ = $1; parse_push(p, &$$, named(NODE1(KEYWORD, span_join(@3, @5), $3, $5), $3, @3)); }

names: NAME { $$ = NULL; parse_push(p, &$$, NODE0(NAME, @1, $1)); }
  | names ',' NAME { $$ = $1; parse_push(p, &$$, NODE0(NAME, @3, $3)); }

opt_result: %empty { $$ = NULL; } | ARROW result { $$ = $2; }
result: results { $$ = $1->v.len == 1 ? $1->v.at[0] : parse_node_list(p, AST_TUPLE, @1, NULL, NULL, $1); }
results: type { $$ = NULL; parse_push(p, &$$, $1); }
  | NAME ':' type { $$ = NULL; parse_push(p, &$$, named(NODE2(PARAM, @$, $1, $3, NULL), $1, @1)); }
  | results ',' type { $$ = $1; parse_push(p, &$$, $3); }
  | results ',' NAME ':' type
      { $$ = $1; parse_push(p, &$$, named(NODE2(PARAM, span_join(@3, @5), $3, $5, NULL), $3, @3)); }

opt_where: %empty { $$ = NULL; } | WHERE wheres { $$ = list_of(p, $2, @2); }
wheres: test { $$ = NULL; add_conditions(p, &$$, $1); }
  | wheres ',' test { $$ = $1; add_conditions(p, &$$, $3); }

fn_body: block
  | '=' exprs { parse_list *l = NULL;
                parse_push(p, &l, NODE1(RETURN, @2, NULL, one_or_tuple(p, $2, @2)));
                $$ = block_of(p, l, @2); }

/* Statements ------------------------------------------------------------------------------------- */

block: '{' statements '}' { $$ = block_of(p, $2, @$); }

statements: %empty { $$ = NULL; }
  | statements END { $$ = $1; }
  | statements statement END { $$ = $1; parse_push(p, &$$, $2); }
  | statements oops END { $$ = $1; }

statement: exprs '=' exprs
      { ast *t = one_or_tuple(p, $1, @1); check_target(p, t);
        $$ = NODE2(ASSIGN, @$, NULL, t, one_or_tuple(p, $3, @3)); }
  | exprs { ast *t = one_or_tuple(p, $1, @1); check_used(p, t); $$ = NODE1(EXPR, @$, NULL, t); }
  | RETURN { $$ = NODE1(RETURN, @$, NULL, NULL); }
  | RETURN exprs { $$ = NODE1(RETURN, @$, NULL, one_or_tuple(p, $2, @2)); }
  | IF test block if_rest { $$ = NODE3(IF, @$, NULL, $2, $3, $4); }
  | IF oops block if_rest { $$ = NULL; }
  | IF oops { $$ = NULL; }
  | FOR names_or_group IN range_or_test block { $$ = NODE3(FOR, @$, NULL, one_or_tuple(p, $2, @2), $4, $5); }
  | FOR oops block { $$ = NULL; }
  | FOR oops { $$ = NULL; }
  | LOOP NAME IN range clauses block
      { ast *none = NODE0(LIST, @5, NULL);
        $$ = parse_node(p, AST_LOOP, @$, NULL, 7, (ast *[]){NODE0(NAME, @2, $2), $4, $5->step,
          $5->carry ? $5->carry : none, $5->collect ? $5->collect : none, $5->cond, $6}); }
  | LOOP oops block { $$ = NULL; }
  | LOOP oops { $$ = NULL; }
  | assertion

assertion: ASSERT expr { $$ = NODE2(ASSERT, @$, NULL, $2, NULL); }
  | ASSERT expr ',' expr { $$ = NODE2(ASSERT, @$, NULL, $2, $4); }

if_rest: %empty { $$ = NULL; }
  | ELSE block { $$ = $2; }
  | ELSE IF test block if_rest { $$ = NODE3(IF, span_join(@2, @5), NULL, $3, $4, $5); }
  | ELIF test block if_rest { $$ = NODE3(IF, @$, NULL, $2, $3, $4); }

names_or_group: names | '(' names ')' { $$ = $2; }
range: test DOTS test { $$ = NODE3(RANGE, @$, NULL, $1, $3, NULL); }
range_or_test: test | range | range BY test { $$ = NODE3(RANGE, @$, NULL, $1->kids[0], $1->kids[1], $3); }

clauses: %empty { $$ = arena_new(p->a, parse_loop); }
  | clauses BY test { $$ = $1; $$->step = sole(p, $$->step, $3, "by", @2); }
  | clauses CARRY names { $$ = $1; $$->carry = sole(p, $$->carry, list_of(p, $3, @3), "carry", @2); }
  | clauses COLLECT names { $$ = $1; $$->collect = sole(p, $$->collect, list_of(p, $3, @3), "collect", @2); }
  | clauses WHILE test { $$ = $1; $$->cond = sole(p, $$->cond, $3, "while", @2); }

/* Expressions, loosest first --------------------------------------------------------------------- */

exprs: exprs1 | exprs1 ',' { $$ = $1; $$->comma = true; }
exprs1: expr { $$ = NULL; parse_push(p, &$$, $1); } | exprs1 ',' expr { $$ = $1; parse_push(p, &$$, $3); }

expr: test | test IF test ELSE expr { $$ = NODE3(IF_EXPR, @$, NULL, $1, $3, $5); }
test: all_of | test OR all_of { $$ = BIN("or", $1, $3, @$); }
all_of: not_test | all_of AND not_test { $$ = BIN("and", $1, $3, @$); }
not_test: compare | NOT not_test { $$ = UN("not", $2, @$); }
compare: sum_expr | chain
chain: sum_expr relation sum_expr { $$ = BIN($2, $1, $3, @$); }
  | chain relation sum_expr { $$ = chained(p, $1, $2, $3, @$); }
relation: EQ { $$ = "=="; } | NE { $$ = "!="; } | '<' { $$ = "<"; } | LE { $$ = "<="; }
  | '>' { $$ = ">"; } | GE { $$ = ">="; }
sum_expr: term
  | sum_expr '+' term { $$ = BIN("+", $1, $3, @$); }
  | sum_expr '-' term { $$ = BIN("-", $1, $3, @$); }
/* A reduction goes over the product after it, as a big sigma does: sum{k} a[i, k] * b[k, j] + c[i]. */
term: product | reduction
  | product '*' reduction { $$ = BIN("*", $1, $3, @$); }
  | product '/' reduction { $$ = BIN("/", $1, $3, @$); }
reduction: REDUCE '{' names '}' term { $$ = parse_node_list(p, AST_REDUCTION, @$, $1, $5, $3); }
  | '-' reduction { $$ = UN("-", $2, @$); }
  | '+' reduction { $$ = UN("+", $2, @$); }
product: unary
  | product '*' unary { $$ = BIN("*", $1, $3, @$); }
  | product '/' unary { $$ = BIN("/", $1, $3, @$); }
  | product FLOORDIV unary { $$ = BIN("//", $1, $3, @$); }
  | product '%' unary { $$ = BIN("%", $1, $3, @$); }
  | product '@' unary { $$ = BIN("@", $1, $3, @$); }
unary: power
  | '-' unary { $$ = UN("-", $2, @$); }
  | '+' unary { $$ = UN("+", $2, @$); }
power: postfix | postfix POWER unary { $$ = BIN("**", $1, $3, @$); }
postfix: primary
  | postfix '(' args ')' { $$ = parse_node_list(p, AST_CALL, @$, NULL, $1, $3); }
  | postfix '[' ']' { $$ = NODE1(INDEX, @$, NULL, $1); }
  | postfix '[' index_items ']' { $$ = parse_node_list(p, AST_INDEX, @$, NULL, $1, $3); }
  | postfix '.' NAME { $$ = named(NODE1(FIELD, @$, $3, $1), $3, @3); }
primary: NAME { $$ = NODE0(NAME, @1, $1); }
  | LITERAL
  | STRING
  | ELLIPSIS { $$ = NODE0(ELLIPSIS, @1, NULL); }
  | '(' exprs ')' { $$ = $2->v.len == 1 && !$2->comma ? $2->v.at[0] : parse_node_list(p, AST_TUPLE, @$, NULL, NULL, $2); }
  | '(' ')' { $$ = NODE0(TUPLE, @$, NULL); }
  | '[' ']' { $$ = NODE0(LIST, @$, NULL); }
  | '[' exprs ']' { $$ = list_of(p, $2, @$); }
  | '[' for_list ']' { $$ = $2; $$->where = @$; }
for_list: expr FOR names_or_group IN range_or_test { $$ = NODE4(COMPREHENSION, @$, NULL, $1, one_or_tuple(p, $3, @3), $5, NULL); }
  | expr FOR names_or_group IN range_or_test IF test
      { $$ = NODE4(COMPREHENSION, @$, NULL, $1, one_or_tuple(p, $3, @3), $5, $7); }
args: %empty { $$ = NULL; }
  | arg { $$ = NULL; parse_push(p, &$$, $1); }
  | args ',' arg { $$ = $1; parse_push(p, &$$, $3); }
  | args ',' { $$ = $1; }
arg: expr | NAME '=' expr { $$ = named(NODE1(KEYWORD, @$, $1, $3), $1, @1); }
index_items: index_item { $$ = NULL; parse_push(p, &$$, $1); }
  | index_items ',' index_item { $$ = $1; parse_push(p, &$$, $3); }
  | index_items ',' { $$ = $1; }
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

static ast *list_of(parse *p, const parse_list *l, span where)
{
    return parse_node_list(p, AST_LIST, where, NULL, NULL, l);
}

static ast *block_of(parse *p, const parse_list *l, span where)
{
    return parse_node_list(p, AST_BLOCK, where, NULL, NULL, l);
}

static ast *one_or_tuple(parse *p, const parse_list *l, span where)
{
    return l->v.len == 1 && !l->comma ? l->v.at[0] : parse_node_list(p, AST_TUPLE, where, NULL, NULL, l);
}

/* a, b: type makes a weight of each name. */
static ast *typed_names(parse *p, const parse_list *names, ast *type, ast *init, ast *rename, span where)
{
    parse_list *all = NULL;
    for (uint32_t i = 0; i < names->v.len; i++) {
        ast *n = names->v.at[i];
        parse_push(p, &all, named(NODE3(WEIGHT, where, n->text, type, init, rename), n->text, n->where));
    }
    if (names->v.len > 1 && rename) {
        diag_error(p->d, rename->where, "%u parameters cannot have one name", names->v.len);
    }
    return names->v.len == 1 ? all->v.at[0] : block_of(p, all, where);
}

static ast *train_of(parse *p, const char *name, ast *over, ast *with, parse_list *options, span where)
{
    parse_list *l = NULL;
    parse_push(p, &l, over);
    for (uint32_t i = 0; options && i < options->v.len; i++) {
        parse_push(p, &l, options->v.at[i]);
    }
    return parse_node_list(p, AST_TRAIN, where, name, with, l);
}

/* a < b < c means a < b and b < c. */
static ast *chained(parse *p, ast *chain, const char *op, ast *right, span where)
{
    enum { DEEPEST_SHARED = 6 };
    ast *last = chain->kind == AST_BINARY && strcmp(chain->text, "and") == 0 ? chain->kids[1] : chain;
    if (last->kind != AST_BINARY) {
        return chain; /* a mistake already told */
    }
    ast *middle = last->kids[1];
    if (middle->depth > DEEPEST_SHARED) { /* it is there twice: trees of trees of it would grow without bound */
        diag_error(p->d, where, "this chain of comparisons is too involved");
        diag_help(p->d, "write it with 'and'");
        return NODE0(ERROR, where, NULL);
    }
    return BIN("and", chain, BIN(op, middle, right, span_join(middle->where, right->where)), where);
}

static ast *sole(parse *p, ast *before, ast *now, const char *what, span where)
{
    if (before) {
        diag_error(p->d, where, "this loop has a '%s' already", what);
        diag_note(p->d, before->where, "here");
    }
    return now;
}

/* a and b are two conditions. */
static void add_conditions(parse *p, parse_list **l, ast *t)
{
    VEC(ast *) open = {0};
    vec_push(p->a, &open, t);
    while (open.len) {
        ast *k = vec_pop(&open);
        if (k->kind == AST_BINARY && strcmp(k->text, "and") == 0) {
            vec_push(p->a, &open, k->kids[1]);
            vec_push(p->a, &open, k->kids[0]);
        } else {
            parse_push(p, l, k);
        }
    }
}

/* What callers of a model see does not depend on conditions. */
static void check_conditional(parse *p, const parse_list *members)
{
    for (uint32_t i = 0; members && i < members->v.len; i++) {
        const ast *t = members->v.at[i];
        if (t->kind == AST_ENTRY || t->kind == AST_OBJECTIVE || t->kind == AST_GENERATE || t->kind == AST_TRAIN ||
            t->kind == AST_ALIAS) {
            diag_error(p->d, t->name_where, "'%s' cannot stand inside an 'if' of members", ast_kind_name(t->kind));
            diag_help(p->d, "put the 'if' inside it, or into a function it calls");
        }
    }
}

static void check_target(parse *p, const ast *t)
{
    if (t->kind == AST_TUPLE) {
        for (uint32_t i = 0; i < t->n; i++) {
            check_target(p, t->kids[i]);
        }
        return;
    }
    const ast *part = t;
    while (part->kind == AST_INDEX) {
        part = part->kids[0];
    }
    if (t->kind == AST_ERROR || t->kind == AST_NAME || (t->kind == AST_INDEX && part->kind == AST_NAME)) {
        return;
    }
    diag_error(p->d, t->where, "only a name, or a part of a state, can be given a value");
    if (t->kind == AST_FIELD && t->kids[0]->kind == AST_NAME && strcmp(t->kids[0]->text, "self") == 0) {
        diag_help(p->d, "members are named without 'self': %s", t->text);
    } else if (t->kind == AST_FIELD || t->kind == AST_INDEX) {
        diag_help(p->d, "a module's states change in its own functions only");
    }
}

/* A value that goes nowhere is a slip: calls alone can have an effect. */
static void check_used(parse *p, const ast *t)
{
    if (t->kind == AST_CALL || t->kind == AST_ELLIPSIS || t->kind == AST_ERROR) {
        return;
    }
    bool binary = t->kind == AST_BINARY;
    diag_error(p->d, t->where, binary && strcmp(t->text, "==") == 0 ? "this comparison is not used" : "this value is not used");
    if (binary && strcmp(t->text, "==") == 0) {
        diag_help(p->d, "to bind a name write '='");
    } else if (t->kind == AST_UNARY && *t->text != 'n') {
        diag_help(p->d, "a line goes on after an operator: put the '%s' at the end of the line above", t->text);
    } else if (t->kind == AST_STR) {
        diag_help(p->d, "a comment begins with '#', a doc comment with '##'");
    }
}

static void aigc_error(span *where, parse *p, const char *message)
{
    bool deep = strcmp(message, "memory exhausted") == 0;
    diag_error(p->d, *where, "%s", deep ? "this is nested too deeply" : message);
}

static int yyreport_syntax_error(const yypcontext_t *c, parse *p)
{
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *names[YYNTOKENS];
    int n = yypcontext_expected_tokens(c, kinds, YYNTOKENS);
    for (int i = 0; i < n; i++) {
        names[i] = yysymbol_name(kinds[i]);
    }
    parse_report(p, n < 0 ? 0 : (uint32_t)n, names);
    return 0;
}
