/* Mistakes in the order of tokens: what is not closed, what stands where it cannot, and the way to
 * where parsing goes on. */
#include "frontend/tokens.h"
#include "parser.h"

#include <string.h>

/* Looking far ahead, in the text: only after a mistake.
 * -------------------------------------------- */

static uint32_t skip_string(const source_file *f, uint32_t i)
{
    char quote = f->text[i++];
    while (i < f->size && f->text[i] != quote && f->text[i] != '\n') {
        i += f->text[i] == '\\' && i + 1 < f->size && f->text[i + 1] != '\n' ? 2 : 1;
    }
    return i < f->size && f->text[i] == quote ? i + 1 : i;
}

/* Are the ( and [ opened in this statement closed before something that cannot stand inside them?
 */
static bool closes_in_time(const parse *p, uint32_t from)
{
    enum { DEEPEST = 256 };
    char open[DEEPEST];
    uint32_t n = 0;
    const source_file *f = p->file;
    for (uint32_t i = p->statement.base; i < p->brackets.len; i++) {
        if (n == DEEPEST) {
            return false;
        }
        char kind = p->brackets.at[i].kind;
        open[n++] = kind == 'm' ? '{' : kind;
    }
    for (uint32_t i = from; n > 0; i++) {
        while (i < f->size && (f->text[i] == '"' || f->text[i] == '\'')) {
            i = skip_string(f, i);
        }
        if (i >= f->size) {
            return false;
        }
        char c = f->text[i];
        if (c == '#') {
            while (i < f->size && f->text[i] != '\n') {
                i++;
            }
            c = '\n';
        }
        if (c == '\n' && i < f->size) {
            const char *s = f->text + i + 1;
            if (open[n - 1] == 'r' || tokens_begins_statement(s + strspn(s, " \t"))) {
                return false;
            }
        } else if (c == '(' || c == '[' || c == '{') {
            if (n == DEEPEST) {
                return false;
            }
            open[n++] = c;
        } else if (c == ')' || c == ']' || c == '}') {
            char partner_of_c = c == ')' ? '(' : c == ']' ? '[' : open[n - 1] == 'r' ? 'r' : '{';
            if (open[n - 1] != partner_of_c) {
                return false;
            }
            n--;
        }
    }
    return true;
}

int64_t recover_surplus_braces(const source_file *f, uint32_t from)
{
    int64_t n = 0;
    for (uint32_t i = from; i < f->size;) {
        char c = f->text[i];
        if (c == '"' || c == '\'') {
            i = skip_string(f, i);
            continue;
        }
        if (c == '#') {
            while (i < f->size && f->text[i] != '\n') {
                i++;
            }
            continue;
        }
        n += (c == '}') - (c == '{');
        i++;
    }
    return n;
}

static void drop_groups(parse *p)
{
    while (tokens_in_group(p)) {
        p->brackets.len--;
    }
}

/* What is not closed ------------------------------------------------------------------------------
 */

/* The brackets of the statement that are still open cannot be closed any more: `t` cannot stand in
 * them. */
token recover_unclosed(parse *p, span where, const char *found)
{
    const bracket b = vec_last(&p->brackets);
    char close = b.kind == '(' ? ')' : b.kind == '[' ? ']' : '}';
    char open = b.kind == 'r' ? '{' : b.kind;
    if (!p->quiet) {
        diag_error(p->d, where, "expected '%c' to close '%c' opened at line %u, found %s", close,
                   open, parse_line(p, b.at), found);
        diag_note(p->d, (span){p->file->id, b.at, b.at + 1}, "this '%c' is not closed", open);
    }
    drop_groups(p);
    tokens_make_ready(p, END, where);
    return (token){.kind = BAD, .where = where};
}

/* Closes the innermost n braces, where `where` shows that they are not. */
static void close_braces(parse *p, uint32_t n, span where)
{
    span here = {where.file, where.begin, where.begin};
    while (n > 0 && p->brackets.len > 0) {
        bool brace = tokens_is_brace(&vec_last(&p->brackets));
        tokens_close(p, p->brackets.len);
        if (brace) {
            tokens_make_ready(p, '}', here);
            tokens_make_ready(p, END, here);
            n--;
        }
    }
}

static uint32_t open_braces(const parse *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->brackets.len; i++) {
        n += tokens_is_brace(&p->brackets.at[i]);
    }
    return n;
}

/* The file ends inside braces: they are told, and closed. */
void recover_end_of_file(parse *p, span where)
{
    const bracket b = vec_last(&p->brackets);
    if (p->mistakes < PARSE_MOST_MISTAKES) {
        diag_error(p->d, where,
                   "expected '}' to close '{' opened at line %u, found the end of the file",
                   parse_line(p, b.at));
        diag_note(p->d, (span){p->file->id, b.at, b.at + 1}, "this '{' is not closed");
    }
    if (p->last.kind != END && p->last.kind != '{') {
        tokens_make_ready(p, END, where);
    }
    close_braces(p, open_braces(p), where);
}

/* Passing over a statement ------------------------------------------------------------------------
 */

static uint32_t column(const parse *p, uint32_t at)
{
    uint32_t begin = at;
    while (begin > 0 && p->file->text[begin - 1] != '\n') {
        begin--;
    }
    return at - begin;
}

/* Takes raw tokens up to the end of the statement. to_block: where it has a block, up to its '{'
 * only, which is made ready, and true comes back. indented: lines that stand further in belong to
 * it, as in Python. */
static bool skip_to_end(parse *p, bool to_block, bool indented)
{
    uint32_t base = p->statement.base;
    uint32_t margin = indented ? column(p, p->statement.first.where.begin) : 0;
    for (;;) {
        token t = tokens_take(p);
        if (t.kind == 0 || t.kind == ';') {
            if (t.kind == 0) {
                tokens_put_back(p, t);
            }
            break;
        }
        if (t.kind == '\n') {
            const token *next = tokens_peek_solid(p, 0);
            bool goes_on = p->brackets.len > base || tokens_is_word(next, ELSE) ||
                           tokens_is_word(next, ELIF) ||
                           (indented && next->kind != 0 && next->kind != '}' &&
                            column(p, next->where.begin) > margin);
            if (!goes_on) {
                break;
            }
        } else if (t.kind == '{' && to_block && p->brackets.len == base) {
            tokens_open_block(p, t.where.begin);
            tokens_make_ready(p, '{', t.where);
            return true;
        } else if (t.kind == '(' || t.kind == '[' || t.kind == '{') {
            vec_push(p->a, &p->brackets, (bracket){(char)t.kind, t.where.begin, p->statement});
        } else if (t.kind == ')' || t.kind == ']' || t.kind == '}') {
            uint32_t at = tokens_partner(p, (char)t.kind);
            if (at > base) {
                p->brackets.len = at - 1;
            } else if (t.kind == '}' && at) {
                tokens_put_back(p, t);
                break;
            }
        }
    }
    p->brackets.len = p->brackets.len > base ? base : p->brackets.len;
    return false;
}

static void skip_statement(parse *p)
{
    p->quiet = true;
    (void)skip_to_end(p, false, false);
    p->quiet = false;
    p->statement.begun = false;
}

/* Passes over statements up to the '}' of a block whose '{' was forgotten. */
static void skip_lost_block(parse *p)
{
    uint32_t depth = 0;
    while (tokens_peek(p, 0)->kind != 0) {
        token k = tokens_take(p);
        if (k.kind == '{') {
            depth++;
        } else if (k.kind == '}' && depth-- == 0) {
            break;
        }
    }
}

/* At the beginning of a statement, a declaration that cannot stand here: a '}' is missing before
 * it, or it is in the wrong place. True: dealt with; what comes next is ready, or to be read. */
bool recover_misplaced(parse *p, token t)
{
    parse_place here = tokens_place(p);
    bool of_file =
        t.kind == MODULE || t.kind == MODEL || t.kind == IMPORT || t.kind == EXTERN || t.kind == OP;
    bool of_module = t.kind == ENTRY || t.kind == OBJECTIVE || t.kind == GENERATE ||
                     t.kind == TRAIN || t.kind == ALIAS || t.kind == STATE;
    bool of_either = t.kind == FN || t.kind == CONST;
    if ((!of_file && !of_module && !of_either) || (of_file && here == PLACE_FILE) ||
        (of_module && here == PLACE_MODULE) || (of_either && here != PLACE_BLOCK)) {
        return false;
    }
    const char *text = t.value.text;
    uint32_t open = open_braces(p);
    p->mistakes++;
    int64_t surplus = recover_surplus_braces(p->file, t.where.begin);
    if (here == PLACE_FILE) {
        diag_error(p->d, t.where, "'%s' belongs into a model or module", text);
        if (surplus >
            0) { /* an earlier '}' was one too many: pass over what was meant to be inside */
            diag_help(p->d, "is there a '}' too many before it?");
            skip_lost_block(p);
            return true;
        }
        tokens_begin_statement(p, &t);
        skip_statement(p);
        return true;
    }
    if (surplus >= (int64_t)open) {
        const char *where = here == PLACE_BLOCK ? "a function" : "a module";
        diag_error(p->d, t.where, "'%s' cannot stand inside %s", text, where);
        diag_help(p->d, "declare it %s",
                  of_file     ? "in the file itself, outside of modules"
                  : of_module ? "in a model or module"
                              : "in the file itself or in a module");
        tokens_begin_statement(p, &t);
        skip_statement(p);
        return true;
    }
    uint32_t n = 0; /* braces to close until it can stand */
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        const bracket *b = &p->brackets.at[i - 1];
        if (!of_file && b->kind == 'm') {
            break;
        }
        n += tokens_is_brace(b);
    }
    const bracket *b = &p->brackets.at[p->brackets.len - 1];
    diag_error(p->d, t.where, "expected '}' to close '{' opened at line %u, found '%s'",
               parse_line(p, b->at), text);
    diag_note(p->d, (span){p->file->id, b->at, b->at + 1}, "this '{' is not closed");
    close_braces(p, n, t.where);
    tokens_put_back(p, t);
    return true;
}

bool parse_resume(parse *p)
{
    token bad = p->last;
    p->mistakes++;
    bool ended_header = bad.kind == END && p->statement.header && !p->statement.begun &&
                        p->brackets.len == p->statement.base;
    if (ended_header && recover_surplus_braces(p->file, bad.where.end) > (int64_t)open_braces(p)) {
        skip_lost_block(p);
    }
    if (bad.kind == 0 || p->mistakes > 2 * PARSE_MOST_MISTAKES) {
        return false; /* nothing follows */
    }
    if (bad.kind == END && p->ready_at > 0) {
        p->ready_at--; /* the END that did not fit is the end of the mistake; what follows it stays
                        */
        return true;
    }
    if (p->ready_at < p->ready.len && p->ready.at[p->ready_at].kind == END) {
        return true; /* the mistake was told, and its end found, here */
    }
    if (bad.kind == '{' && p->brackets.len && tokens_is_brace(&vec_last(&p->brackets))) {
        bracket b = vec_last(&p->brackets);
        if (b.statement.begun && b.statement.header && b.statement.base == p->brackets.len - 1) {
            tokens_make_ready(p, '{', bad.where); /* the block of a header that lacks something */
            return true;
        }
        p->statement = b.statement; /* a brace where there is none: pass over what it holds */
        if (!p->statement.begun) {
            p->statement = (statement){.first = bad, .base = p->brackets.len - 1, .begun = true};
        }
    }
    if (bad.kind == END) {
        drop_groups(p);
        tokens_make_ready(p, END, bad.where);
        return true;
    }
    if (!p->statement.begun) {
        tokens_begin_statement(p, &bad);
    }
    if (bad.kind != '{' && !closes_in_time(p, bad.where.end)) {
        p->brackets.len = p->brackets.len > p->statement.base ? p->statement.base : p->brackets.len;
    }
    p->quiet = true;
    bool block = skip_to_end(p, p->statement.header, p->statement.header && bad.kind == ':');
    p->quiet = false;
    if (!block) {
        tokens_make_ready(p, END, (span){p->file->id, bad.where.end, bad.where.end});
    }
    return true;
}
