#include "frontend/parse.h"
#include "frontend/tokens.h"
#include "frontend/unicode.h"
#define YYSTYPE parse_value
#define YYLTYPE span
#include "lexer.h"
#include "parser.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Walks over the tree may recurse this deep. */
enum { DEEPEST = 1000 };

static bool is_declaration(ast_kind k)
{
    return k > AST_FILE && k < AST_ERROR;
}

ast *parse_node(parse *p, ast_kind k, span where, const char *text, uint32_t n, ast *const *kids)
{
    ast *t = arena_new(p->a, ast);
    *t = (ast){.kind = k, .where = where, .name_where = where, .text = text, .n = n, .depth = 1};
    if (is_declaration(k)) {
        t->doc = map_get(p->docs, (uint64_t)where.begin + 1);
    }
    t->kids = arena_array(p->a, ast *, n);
    for (uint32_t i = 0; i < n; i++) {
        t->kids[i] = kids[i];
        if (kids[i] && kids[i]->depth >= t->depth) {
            t->depth = kids[i]->depth + 1;
        }
    }
    if (t->depth > DEEPEST) {
        if (!p->too_deep) {
            diag_error(p->d, where, "this is nested too deeply: more than %d levels", DEEPEST);
            p->too_deep = true;
        }
        t->n = 0;
        t->kind = AST_ERROR;
        t->depth = 1;
    }
    return t;
}

ast *parse_node_list(parse *p, ast_kind k, span where, const char *text, ast *first,
                     const parse_list *l)
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

uint32_t parse_line(const parse *p, uint32_t at)
{
    return source_locate(diag_sources(p->d), (span){p->file->id, at, at}).line;
}

/* Literals ----------------------------------------------------------------------------------------
 */

void parse_lexical_error(parse *p, span where, const char *help, const char *format, ...)
{
    if (p->quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(p->a, format, args);
    va_end(args);
    diag_error(p->d, where, "%s", text);
    if (help) {
        diag_help(p->d, "%s", help);
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
            if (c == 'n' || c == 't' || c == 'r') {
                c = c == 'n' ? '\n' : c == 't' ? '\t' : '\r';
            } else if (c != '\\' && c != '"' && c != '\'') {
                span escape = {where.file, where.begin + i,
                               where.begin + i + 1 + unicode_length(text + i)};
                parse_lexical_error(p, escape, "for a backslash write '\\\\'",
                                    "unknown escape '\\%.*s'", (int)unicode_length(text + i),
                                    text + i);
            }
        }
        out[m++] = c;
    }
    return NODE0(STR, where, intern_n(p->names, out, m));
}

/* The text without the '_' between digits. */
static char *digits_of(parse *p, const char *text, uint32_t n)
{
    char *out = arena_alloc(p->a, n + 1);
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (text[i] != '_') {
            out[m++] = text[i];
        }
    }
    return out;
}

ast *parse_int(parse *p, span where, const char *text, uint32_t n)
{
    const char *digits = digits_of(p, text, n);
    int base = 10;
    if (digits[0] == '0' && digits[1] && strchr("xXbB", digits[1])) {
        base = digits[1] == 'x' || digits[1] == 'X' ? 16 : 2;
    }
    errno = 0;
    long long v = strtoll(base == 10 ? digits : digits + 2, NULL, base);
    if (errno) {
        parse_lexical_error(p, where, NULL, "the number %s does not fit into 64 bits", digits);
    }
    ast *t = NODE0(INT, where, intern_n(p->names, text, n));
    t->i = v;
    return t;
}

ast *parse_float(parse *p, span where, const char *text, uint32_t n)
{
    const char *digits = digits_of(p, text, n);
    ast *t = NODE0(FLOAT, where, intern_n(p->names, text, n));
    t->f = strtod(digits, NULL);
    if (isinf(t->f)) {
        parse_lexical_error(p, where, "for infinity write inf", "the number %s is too large",
                            digits);
    }
    return t;
}

/* Files -------------------------------------------------------------------------------------------
 */

static bool is_text(parse *p)
{
    const source_file *f = p->file;
    const char *zero = memchr(f->text, 0, f->size);
    uint32_t at = zero ? (uint32_t)(zero - f->text) : f->size;
    uint32_t valid = unicode_valid_length(f->text, at);
    if (valid < at) {
        diag_error(p->d, (span){f->id, valid, valid + 1}, "byte 0x%02x here is not UTF-8 text",
                   (unsigned)(unsigned char)f->text[valid]);
        return false;
    }
    if (zero) {
        diag_error(p->d, (span){f->id, at, at + 1}, "a zero byte: this is not a text file");
        return false;
    }
    return true;
}

const ast *ast_parse(arena *a, intern_table *names, diag *d, const source_file *f)
{
    parse state = {.a = a, .names = names, .d = d, .file = f, .docs = map_create(a)};
    parse *p = &state;
    span whole = {f->id, 0, f->size};
    yyscan_t scanner;
    if (!is_text(p)) {
        return NODE0(FILE, whole, NULL);
    }
    if (aigc_scan_lex_init_extra(p, &scanner) != 0) {
        diag_error(d, whole, "there is not enough memory to read this file");
        return NODE0(FILE, whole, NULL);
    }
    p->scanner = scanner;
    p->at = f->size >= 3 && memcmp(f->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    YY_BUFFER_STATE buffer =
        aigc_scan__scan_bytes(f->text + p->at, (int)(f->size - p->at), scanner);
    uint32_t errors = diag_error_count(d);
    int failed = aigc_parse(p);
    aigc_scan__delete_buffer(buffer, scanner);
    aigc_scan_lex_destroy(scanner);
    if (failed && diag_error_count(d) == errors) {
        diag_error(d, whole, "this file could not be parsed");
    }
    if (p->result) {
        p->result->i =
            diag_error_count(d) == errors || (!failed && recover_surplus_braces(f, 0) == 0);
    }
    return p->result ? p->result : NODE0(FILE, whole, NULL);
}
