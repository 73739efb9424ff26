/* From raw tokens to those of the grammar:
 *
 *   - a line break or ';' becomes END where a statement can end; one more END stands before the '}' of a
 *     block, so that the grammar has statements ended by END only;
 *   - a word becomes a keyword where it can be one; most are names elsewhere;
 *   - a bracket that is not closed when a statement begins that cannot stand inside it is told at once, and
 *     taken for closed;
 *   - after a mistake, parse_resume() passes over the rest of the statement with the blocks it has.
 *
 * The '}' of `sum{k}` is no end of a block; line breaks inside ( [ and sum{ } count for nothing. */
#include "frontend/parse.h"
#include "parser.h"

#include <string.h>

/* Where a word is a keyword. */
typedef enum word_use {
    ALWAYS,
    OPENS,  /* at the beginning of a statement, another name (or an alias's string) following */
    CLAUSE, /* after a value: `x where`, `0..T carry` */
    RESERVED,
    VALUE
} word_use;

static const struct word {
    const char *text;
    int kind;
    word_use use;
} words[] = {
    {"import",    IMPORT,    ALWAYS},
    {"module",    MODULE,    ALWAYS},
    {"model",     MODEL,     OPENS },
    {"fn",        FN,        ALWAYS},
    {"entry",     ENTRY,     ALWAYS},
    {"objective", OBJECTIVE, ALWAYS},
    {"op",        OP,        OPENS },
    {"generate",  GENERATE,  OPENS },
    {"train",     TRAIN,     OPENS },
    {"extern",    EXTERN,    ALWAYS},
    {"alias",     ALIAS,     OPENS },
    {"const",     CONST,     ALWAYS},
    {"state",     STATE,     OPENS },
    {"return",    RETURN,    ALWAYS},
    {"if",        IF,        ALWAYS},
    {"elif",      ELIF,      ALWAYS},
    {"else",      ELSE,      ALWAYS},
    {"for",       FOR,       ALWAYS},
    {"in",        IN,        ALWAYS},
    {"loop",      LOOP,      ALWAYS},
    {"while",     WHILE,     ALWAYS},
    {"carry",     CARRY,     CLAUSE},
    {"collect",   COLLECT,   CLAUSE},
    {"assert",    ASSERT,    ALWAYS},
    {"where",     WHERE,     CLAUSE},
    {"by",        BY,        CLAUSE},
    {"over",      OVER,      CLAUSE},
    {"with",      WITH,      CLAUSE},
    {"at",        AT,        CLAUSE},
    {"name",      RENAME,    CLAUSE},
    {"and",       AND,       ALWAYS},
    {"or",        OR,        ALWAYS},
    {"not",       NOT,       ALWAYS},
    {"true",      1,         VALUE },
    {"True",      1,         VALUE },
    {"false",     0,         VALUE },
    {"False",     0,         VALUE },
    {"none",      2,         VALUE },
    {"None",      2,         VALUE },
    {"latent",    0,         RESERVED},
    {"given",     0,         RESERVED},
    {"density",   0,         RESERVED},
};

static const struct word *find_word(const char *text)
{
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i].text, text) == 0) {
            return &words[i];
        }
    }
    return NULL;
}

/* Raw tokens -------------------------------------------------------------------------------------- */

static const token *peek_raw(parse *p, uint32_t i)
{
    while (p->raw.len - p->raw_at <= i) {
        token t = {0};
        if (p->mistakes < PARSE_MOST_MISTAKES) {
            t.kind = aigc_scan_lex(&t.value, &t.where, p->scanner);
        } else {
            t.where = (span){p->file->id, p->file->size, p->file->size};
        }
        if (p->doc.len && t.kind != '\n') {
            map_set(p->docs, (uint64_t)t.where.begin + 1, arena_string_n(p->a, p->doc.at, p->doc.len));
            p->doc.len = 0;
        }
        vec_push(p->a, &p->raw, t);
    }
    return &p->raw.at[p->raw_at + i];
}

/* The i-th raw token to come that is no line break. */
static const token *peek_solid(parse *p, uint32_t i)
{
    for (uint32_t k = 0;; k++) {
        const token *t = peek_raw(p, k);
        if (t->kind != '\n' && i-- == 0) {
            return t;
        }
        if (t->kind == 0) {
            return t;
        }
    }
}

static token take_raw(parse *p)
{
    token t = *peek_raw(p, 0);
    p->raw_at++;
    if (p->raw_at == p->raw.len) {
        p->raw_at = p->raw.len = 0;
    }
    return t;
}

/* Only right after take_raw, of the token taken. */
static void put_back(parse *p, token t)
{
    if (p->raw_at > 0) {
        p->raw.at[--p->raw_at] = t;
    } else {
        vec_push(p->a, &p->raw, t);
        for (uint32_t i = p->raw.len - 1; i > 0; i--) {
            p->raw.at[i] = p->raw.at[i - 1];
        }
        p->raw.at[0] = t;
    }
}

static bool is_word(const token *t, int kind)
{
    const struct word *w = t->kind == NAME ? find_word(t->value.text) : NULL;
    return w && w->use != VALUE && w->use != RESERVED && w->kind == kind;
}

/* Brackets ---------------------------------------------------------------------------------------- */

static bool is_brace(const bracket *b)
{
    return b->kind == '{' || b->kind == 'm';
}

static bool in_group(const parse *p)
{
    return p->brackets.len && !is_brace(&vec_last(&p->brackets));
}

static parse_place place_of(const parse *p)
{
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        if (is_brace(&p->brackets.at[i - 1])) {
            return p->brackets.at[i - 1].kind == 'm' ? PLACE_MODULE : PLACE_BLOCK;
        }
    }
    return PLACE_FILE;
}

static void drop_groups(parse *p)
{
    while (in_group(p)) {
        p->brackets.len--;
    }
}

/* The braces of a block or of members. */
static void open_block(parse *p, uint32_t at)
{
    int first = p->statement.begun ? p->statement.first.kind : 0;
    bool members = first == MODULE || first == MODEL || (first == IF && place_of(p) == PLACE_MODULE);
    vec_push(p->a, &p->brackets, (bracket){members ? 'm' : '{', at, p->statement});
    p->statement = (statement){.begun = false};
}

static void open_bracket(parse *p, char c, uint32_t at)
{
    if (c == '{' && p->last.kind != REDUCE) {
        open_block(p, at);
    } else {
        vec_push(p->a, &p->brackets, (bracket){c == '{' ? 'r' : c, at, p->statement});
    }
}

/* The innermost open bracket that c closes, as its index + 1; 0: there is none in this block. */
static uint32_t partner(const parse *p, char c)
{
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        const bracket *b = &p->brackets.at[i - 1];
        bool same = c == ')' ? b->kind == '(' : c == ']' ? b->kind == '[' : is_brace(b) || b->kind == 'r';
        if (same) {
            return i;
        }
        if (is_brace(b)) {
            return 0;
        }
    }
    return 0;
}

static void close_to(parse *p, uint32_t i)
{
    bracket b = p->brackets.at[i - 1];
    p->brackets.len = i - 1;
    if (is_brace(&b)) {
        p->statement = b.statement;
    }
}

/* Looking far ahead, in the text: only after a mistake. -------------------------------------------- */

static uint32_t skip_string(const source_file *f, uint32_t i)
{
    char quote = f->text[i++];
    while (i < f->size && f->text[i] != quote && f->text[i] != '\n') {
        i += f->text[i] == '\\' && i + 1 < f->size && f->text[i + 1] != '\n' ? 2 : 1;
    }
    return i < f->size && f->text[i] == quote ? i + 1 : i;
}

static bool begins_statement(const char *s)
{
    static const char *const beginnings[] = {"import", "module", "fn",     "entry", "objective", "extern",
                                             "const",  "return", "assert", "loop"};
    for (uint32_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t n = strlen(beginnings[i]);
        if (strncmp(s, beginnings[i], n) == 0 && (s[n] == ' ' || s[n] == '\n' || s[n] == '\r' || s[n] == '(')) {
            return true;
        }
    }
    return false;
}

/* Are the ( and [ opened in this statement closed before something that cannot stand inside them? */
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
            if (open[n - 1] == 'r' || begins_statement(s + strspn(s, " \t"))) {
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

/* How many more '}' than '{' follow. */
static int64_t surplus_braces(const parse *p, uint32_t from)
{
    const source_file *f = p->file;
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

/* Tokens to come ----------------------------------------------------------------------------------- */

static void make_ready(parse *p, int kind, span where)
{
    token t = {.kind = kind, .where = where};
    vec_push(p->a, &p->ready, t);
}

static bool can_end(const parse *p)
{
    return p->last_is_value || p->last.kind == RETURN || (p->last.kind == '}' && !p->last.of_sum);
}

/* Statements --------------------------------------------------------------------------------------- */

static bool opens_header(parse *p, int kind)
{
    switch (place_of(p)) {
    case PLACE_FILE:
        return kind == MODULE || kind == MODEL || kind == FN || kind == OP;
    case PLACE_MODULE:
        return kind == FN || kind == ENTRY || kind == OBJECTIVE || kind == IF;
    case PLACE_BLOCK:
        return kind == IF || kind == FOR || kind == LOOP;
    }
    return false;
}

static void begin_statement(parse *p, const token *t)
{
    p->statement = (statement){.first = *t, .base = p->brackets.len, .begun = true};
    p->statement.header = opens_header(p, t->kind);
}

/* Does the next line belong to the statement, though this one could end it? */
static bool line_goes_on(parse *p)
{
    const token *t = peek_solid(p, 0);
    int first = p->statement.begun ? p->statement.first.kind : 0;
    bool in_header = p->statement.header && p->brackets.len == p->statement.base;
    if (t->kind == '{') {
        return in_header && p->last.kind != '}';
    }
    if (t->kind == ARROW) {
        return in_header || first == EXTERN;
    }
    if (t->kind != NAME) {
        return false;
    }
    if (is_word(t, ELSE) || is_word(t, ELIF)) {
        return p->last.kind != '}' || first == IF;
    }
    bool clause = (is_word(t, WHERE) && (first == FN || first == ENTRY || first == OBJECTIVE)) ||
                  ((is_word(t, WITH) || is_word(t, OVER)) && first == TRAIN) ||
                  ((is_word(t, BY) || is_word(t, CARRY) || is_word(t, COLLECT) || is_word(t, WHILE)) && first == LOOP);
    if (!clause || p->last.kind == '}') {
        return false;
    }
    int next = peek_solid(p, 1)->kind;
    return next != '=' && next != ':' && next != ',';
}

/* The brackets of the statement that are still open cannot be closed any more: `t` cannot stand in them. */
static token tell_unclosed(parse *p, span where, const char *found)
{
    const bracket b = vec_last(&p->brackets);
    char close = b.kind == '(' ? ')' : b.kind == '[' ? ']' : '}';
    char open = b.kind == 'r' ? '{' : b.kind;
    if (!p->quiet) {
        diag_error(p->d, where, "expected '%c' to close '%c' opened at line %u, found %s", close, open,
                   parse_line(p, b.at), found);
        diag_note(p->d, (span){p->file->id, b.at, b.at + 1}, "this '%c' is not closed", open);
    }
    drop_groups(p);
    make_ready(p, END, where);
    return (token){.kind = BAD, .where = where};
}

/* Closes the innermost n braces, where `where` shows that they are not. */
static void close_braces(parse *p, uint32_t n, span where)
{
    span here = {where.file, where.begin, where.begin};
    while (n > 0 && p->brackets.len > 0) {
        bool brace = is_brace(&vec_last(&p->brackets));
        close_to(p, p->brackets.len);
        if (brace) {
            make_ready(p, '}', here);
            make_ready(p, END, here);
            n--;
        }
    }
}

static void skip_statement(parse *p);

static uint32_t open_braces(const parse *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->brackets.len; i++) {
        n += is_brace(&p->brackets.at[i]);
    }
    return n;
}

/* At the beginning of a statement, a declaration that cannot stand here: a '}' is missing before it, or it
 * is in the wrong place. True: dealt with; what comes next is ready, or to be read. */
static bool misplaced(parse *p, token t)
{
    parse_place here = place_of(p);
    bool of_file = t.kind == MODULE || t.kind == MODEL || t.kind == IMPORT || t.kind == EXTERN || t.kind == OP;
    bool of_module = t.kind == ENTRY || t.kind == OBJECTIVE || t.kind == GENERATE || t.kind == TRAIN || t.kind == ALIAS ||
                     t.kind == STATE;
    bool of_either = t.kind == FN || t.kind == CONST;
    if ((!of_file && !of_module && !of_either) || (of_file && here == PLACE_FILE) || (of_module && here == PLACE_MODULE) ||
        (of_either && here != PLACE_BLOCK)) {
        return false;
    }
    const char *text = t.value.text;
    uint32_t open = open_braces(p);
    p->mistakes++;
    int64_t surplus = surplus_braces(p, t.where.begin);
    if (here == PLACE_FILE) {
        diag_error(p->d, t.where, "'%s' belongs into a model or module", text);
        if (surplus > 0) { /* an earlier '}' was one too many: pass over what was meant to be inside */
            diag_help(p->d, "is there a '}' too many before it?");
            uint32_t depth = 0;
            while (peek_raw(p, 0)->kind != 0) {
                token k = take_raw(p);
                if (k.kind == '{') {
                    depth++;
                } else if (k.kind == '}' && depth-- == 0) {
                    break;
                }
            }
            return true;
        }
        begin_statement(p, &t);
        skip_statement(p);
        return true;
    }
    if (surplus >= (int64_t)open) {
        const char *where = here == PLACE_BLOCK ? "a function" : "a module";
        diag_error(p->d, t.where, "'%s' cannot stand inside %s", text, where);
        diag_help(p->d, "declare it %s", of_file     ? "in the file itself, outside of modules"
                                         : of_module ? "in a model or module"
                                                     : "in the file itself or in a module");
        begin_statement(p, &t);
        skip_statement(p);
        return true;
    }
    uint32_t n = 0; /* braces to close until it can stand */
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        const bracket *b = &p->brackets.at[i - 1];
        if (!of_file && b->kind == 'm') {
            break;
        }
        n += is_brace(b);
    }
    const bracket *b = &p->brackets.at[p->brackets.len - 1];
    diag_error(p->d, t.where, "expected '}' to close '{' opened at line %u, found '%s'", parse_line(p, b->at), text);
    diag_note(p->d, (span){p->file->id, b->at, b->at + 1}, "this '{' is not closed");
    close_braces(p, n, t.where);
    put_back(p, t);
    return true;
}

/* What a word is where it stands. */
static token meaning(parse *p, token t)
{
    const struct word *w = t.kind == NAME && p->last.kind != '.' ? find_word(t.value.text) : NULL;
    if (!w) {
        return t;
    }
    bool first = !p->statement.begun && !in_group(p);
    switch (w->use) {
    case ALWAYS:
        t.kind = w->kind;
        break;
    case OPENS: {
        const token *next = peek_raw(p, 0);
        if (first && next->kind == (w->kind == ALIAS ? STRING : NAME)) {
            t.kind = w->kind;
        }
        break;
    }
    case CLAUSE:
        t.kind = p->last_is_value ? w->kind : NAME;
        break;
    case RESERVED:
        parse_lexical_error(p, t.where, NULL, "'%s' is reserved for later use", w->text);
        t.kind = BAD;
        break;
    case VALUE:
        t.kind = LITERAL;
        t.value.node = w->kind == 2 ? NODE0(NONE, t.where, NULL) : NODE0(BOOL, t.where, NULL);
        t.value.node->i = w->kind == 1;
        break;
    }
    return t;
}

/* The file ends inside braces: they are told, and closed. */
static void close_file(parse *p, span where)
{
    const bracket b = vec_last(&p->brackets);
    if (p->mistakes < PARSE_MOST_MISTAKES) {
        diag_error(p->d, where, "expected '}' to close '{' opened at line %u, found the end of the file",
                   parse_line(p, b.at));
        diag_note(p->d, (span){p->file->id, b.at, b.at + 1}, "this '{' is not closed");
    }
    if (p->last.kind != END && p->last.kind != '{') {
        make_ready(p, END, where);
    }
    close_braces(p, open_braces(p), where);
}

/* A line break between brackets counts for nothing, unless a statement begins after it. */
static bool breaks_group(parse *p)
{
    const token *next = peek_solid(p, 0);
    return next->kind == NAME && begins_statement(p->file->text + next->where.begin);
}

static token next_token(parse *p)
{
    for (;;) {
        if (p->ready_at < p->ready.len) {
            return p->ready.at[p->ready_at++];
        }
        p->ready_at = p->ready.len = 0;
        token t = take_raw(p);
        switch (t.kind) {
        case '\n':
            if (in_group(p)) {
                if (breaks_group(p)) {
                    const token *next = peek_solid(p, 0);
                    return tell_unclosed(p, next->where, arena_printf(p->a, "'%s'", next->value.text));
                }
            } else if (can_end(p) && !line_goes_on(p)) {
                t.kind = END;
                return t;
            }
            continue;
        case ';':
            t.kind = END;
            return t;
        case 0:
            put_back(p, t);
            if (in_group(p)) {
                p->quiet = p->mistakes >= PARSE_MOST_MISTAKES;
                return tell_unclosed(p, t.where, "the end of the file");
            }
            if (p->brackets.len) {
                close_file(p, t.where);
                continue;
            }
            t.kind = p->last.kind == END || p->last.kind == 0 ? 0 : END;
            return t;
        case '}': {
            uint32_t at = partner(p, '}');
            t.of_sum = at && p->brackets.at[at - 1].kind == 'r';
            if (in_group(p) && !t.of_sum) {
                put_back(p, t);
                return tell_unclosed(p, t.where, "'}'");
            }
            if (at && !t.of_sum && p->last.kind != END && p->last.kind != '{') {
                put_back(p, t);
                t.kind = END;
                return t;
            }
            if (at) {
                close_to(p, at);
            }
            return t;
        }
        default:
            break;
        }
        t = meaning(p, t);
        if (!p->statement.begun && !in_group(p)) {
            if (misplaced(p, t)) {
                continue;
            }
            begin_statement(p, &t);
        }
        if (t.kind == '(' || t.kind == '[' || t.kind == '{') {
            open_bracket(p, (char)t.kind, t.where.begin);
        } else if (t.kind == ')' || t.kind == ']') {
            uint32_t at = partner(p, (char)t.kind);
            if (at) {
                close_to(p, at);
            }
        }
        return t;
    }
}

int aigc_lex(parse_value *v, span *where, parse *p)
{
    token t = next_token(p);
    if (t.kind == END) {
        p->statement.begun = false;
    }
    p->prev = p->last;
    p->last = t;
    p->last_is_value = t.kind == NAME || t.kind == LITERAL || t.kind == STRING || t.kind == ELLIPSIS || t.kind == ')' ||
                       t.kind == ']';
    *v = t.value;
    *where = t.where;
    return t.kind;
}

/* After a mistake ---------------------------------------------------------------------------------- */

static uint32_t column(const parse *p, uint32_t at)
{
    uint32_t begin = at;
    while (begin > 0 && p->file->text[begin - 1] != '\n') {
        begin--;
    }
    return at - begin;
}

/* Takes raw tokens up to the end of the statement. to_block: where it has a block, up to its '{' only, which
 * is made ready, and true comes back. indented: lines that stand further in belong to it, as in Python. */
static bool skip_to_end(parse *p, bool to_block, bool indented)
{
    uint32_t base = p->statement.base;
    uint32_t margin = indented ? column(p, p->statement.first.where.begin) : 0;
    for (;;) {
        token t = take_raw(p);
        if (t.kind == 0 || t.kind == ';') {
            if (t.kind == 0) {
                put_back(p, t);
            }
            break;
        }
        if (t.kind == '\n') {
            const token *next = peek_solid(p, 0);
            bool goes_on = p->brackets.len > base || is_word(next, ELSE) || is_word(next, ELIF) ||
                           (indented && next->kind != 0 && next->kind != '}' && column(p, next->where.begin) > margin);
            if (!goes_on) {
                break;
            }
        } else if (t.kind == '{' && to_block && p->brackets.len == base) {
            open_block(p, t.where.begin);
            make_ready(p, '{', t.where);
            return true;
        } else if (t.kind == '(' || t.kind == '[' || t.kind == '{') {
            vec_push(p->a, &p->brackets, (bracket){(char)t.kind, t.where.begin, p->statement});
        } else if (t.kind == ')' || t.kind == ']' || t.kind == '}') {
            uint32_t at = partner(p, (char)t.kind);
            if (at > base) {
                p->brackets.len = at - 1;
            } else if (t.kind == '}' && at) {
                put_back(p, t);
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

void parse_resume(parse *p)
{
    token bad = p->last;
    p->mistakes++;
    if (p->ready_at < p->ready.len && p->ready.at[p->ready_at].kind == END) {
        return; /* the mistake was told, and its end found, here */
    }
    if (bad.kind == '{' && p->brackets.len && is_brace(&vec_last(&p->brackets))) {
        bracket b = vec_last(&p->brackets);
        if (b.statement.begun && b.statement.header && b.statement.base == p->brackets.len - 1) {
            make_ready(p, '{', bad.where); /* the block of a header that lacks something */
            return;
        }
        p->statement = b.statement; /* a brace where there is none: pass over what it holds */
        if (!p->statement.begun) {
            p->statement = (statement){.first = bad, .base = p->brackets.len - 1, .begun = true};
        }
    }
    if (bad.kind == END || bad.kind == 0) {
        drop_groups(p);
        make_ready(p, END, bad.where);
        return;
    }
    if (!p->statement.begun) {
        begin_statement(p, &bad);
    }
    if (bad.kind != '{' && !closes_in_time(p, bad.where.end)) {
        p->brackets.len = p->brackets.len > p->statement.base ? p->statement.base : p->brackets.len;
    }
    p->quiet = true;
    bool block = skip_to_end(p, p->statement.header, p->statement.header && bad.kind == ':');
    p->quiet = false;
    if (!block) {
        make_ready(p, END, (span){p->file->id, bad.where.end, bad.where.end});
    }
}
