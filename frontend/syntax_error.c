/* The words for what the grammar does not allow: what was found, what could have stood there
 * instead, and what was probably meant. */
#include "frontend/parse.h"
#include "parser.h"

#include <string.h>

typedef struct expectation {
    uint32_t n;
    const char *const *names; /* of tokens, as in parser.y; characters as "'('" */
} expectation;

static bool wants(const expectation *e, const char *name)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (strcmp(e->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Words of other languages at the beginning of a statement. */
static const char *first_word_help(const char *word)
{
    static const struct {
        const char *words, *help;
    } table[] = {
        {" def func function fun define proc method sub ",                  "a function is declared with 'fn'"                              },
        {" class struct object type interface ",                            "a group of layers is declared with 'module'"                   },
        {" let var val auto mut local float int tensor ",
         "a name is bound by 'name = value' alone"                                                                                          },
        {" parameter param weight buffer self ",                            "a parameter is declared as 'weight: f32[o, i]'"                },
        {" while do repeat ",                                               "a loop is written 'loop t in 0..n carry x while condition { }'"},
        {" foreach ",                                                       "a loop is written 'for x in list { }'"                         },
        {" from use include using require ",
         "a file is imported with 'import nn' or 'import \"file.aigc\"'"                                                                    },
        {" switch match case ",                                             "cases are written 'if ... { } else if ... { } else { }'"       },
        {" elsif elseif ",                                                  "write 'else if'"                                               },
        {" lambda del yield try except raise async await global nonlocal ",
         "this language has no such statement"                                                                                              },
        {" pass ",                                                          "an empty block is '{ }'"                                       },
        {" external native ",                                               "C code is declared with 'extern fn'"                           },
        {" export public pub ",                                             "what callers see is declared with 'entry'"                     },
    };
    const size_t n = strlen(word);
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (const char *s = strstr(table[i].words, word); s; s = strstr(s + 1, word)) {
            if (s[-1] == ' ' && s[n] == ' ') {
                return table[i].help;
            }
        }
    }
    return NULL;
}

static bool is_operator(int kind)
{
    return kind == POWER || kind == FLOORDIV || kind == EQ || kind == NE || kind == LE ||
           kind == GE || kind == AND || kind == OR || kind == NOT ||
           (kind < 128 && kind > 0 && strchr("+-*/%@<>", kind));
}

static const char *found_text(parse *p, const token *t)
{
    const source_file *f = p->file;
    uint32_t n = t->where.end - t->where.begin;
    char c = t->where.begin < f->size ? f->text[t->where.begin] : 0;
    if (t->kind == 0 || t->where.begin >= f->size) {
        return "the end of the file";
    }
    if (t->kind == END && (c == '\n' || c == '\r')) {
        return "the end of the line";
    }
    if (t->kind == END) {
        n = 1;
    }
    if (n > 32) {
        return t->kind == STRING ? "a string"
                                 : arena_printf(p->a, "'%.*s...'", 24, f->text + t->where.begin);
    }
    return arena_printf(p->a, "'%.*s'", (int)n, f->text + t->where.begin);
}

static const char *quoted(parse *p, const char *name)
{
    bool plain = *name == '\'' || strncmp(name, "a ", 2) == 0 || strncmp(name, "the ", 4) == 0 ||
                 strncmp(name, "an ", 3) == 0;
    return plain ? name : arena_printf(p->a, "'%s'", name);
}

/* After a value anything of an expression may follow; that goes without saying. */
static bool goes_without_saying(const char *name, bool after_value, bool value)
{
    static const char *const operators[] = {
        "'+'", "'-'", "'*'", "'/'", "'%'", "'@'", "'<'", "'>'", "'('", "'['",  "'.'",
        "**",  "//",  "==",  "!=",  "<=",  ">=",  "and", "or",  "if",  "name", "at"};
    static const char *const beginnings[] = {
        "a name", "a number", "a string", "a reduction", "...", "'('", "'['", "'-'", "'+'", "not"};
    for (uint32_t i = 0; after_value && i < sizeof operators / sizeof *operators; i++) {
        if (strcmp(operators[i], name) == 0) {
            return true;
        }
    }
    for (uint32_t i = 0; value && i < sizeof beginnings / sizeof *beginnings; i++) {
        if (strcmp(beginnings[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* "',' or ')'": what could stand here, or NULL where that would be a long list. */
static const char *wanted_text(parse *p, const expectation *e, const bracket *open)
{
    enum { MOST = 6 };
    const char *items[MOST + 2];
    uint32_t n = 0;
    bool after_value = wants(e, "'*'") || wants(e, "'.'"), value = wants(e, "a number");
    char close[4] = {'\'',
                     open && open->kind == '('   ? ')'
                     : open && open->kind == '[' ? ']'
                                                 : '}',
                     '\'', 0};
    if (value) {
        items[n++] = "an expression";
    }
    for (uint32_t i = 0; i < e->n; i++) {
        const char *name = e->names[i];
        bool line_end = strcmp(name, "the end of the line") == 0;
        bool keyword_sign =
            strcmp(name, "'='") == 0 && after_value && (wants(e, "'}'") || wants(e, "')'"));
        bool item_sign = strcmp(name, "','") == 0 && after_value && wants(e, "the end of the line");
        if (goes_without_saying(name, after_value, value) || (line_end && value) || keyword_sign ||
            item_sign || (strcmp(name, close) == 0 && open) || strcmp(name, "a mistake") == 0) {
            continue;
        }
        if (line_end && after_value) {
            name = "an operator or the end of the line";
        }
        if (n == MOST) {
            return NULL;
        }
        items[n++] = quoted(p, name);
    }
    if (open && wants(e, close)) {
        uint32_t line = parse_line(p, open->at);
        char sign = open->kind == 'r' || open->kind == 'm' ? '{' : open->kind;
        bool far = line != parse_line(p, p->last.where.begin);
        items[n++] =
            far ? arena_printf(p->a, "%s to close '%c' opened at line %u", close, sign, line)
                : arena_string(p->a, close);
    }
    if (n == 0) {
        return after_value ? "an operator" : NULL;
    }
    const char *text = items[0];
    for (uint32_t i = 1; i < n; i++) {
        text = arena_printf(p->a, "%s%s%s", text, i + 1 == n ? " or " : ", ", items[i]);
    }
    return text;
}

static const char *help(parse *p, const expectation *e, const bracket *open)
{
    const token *t = &p->last, *before = &p->prev;
    const statement *s = &p->statement;
    bool header = s->begun && s->header && p->brackets.len == s->base;
    bool second = s->begun && s->first.where.begin == before->where.begin;
    if (t->kind == ':' && (header || wants(e, "'{'"))) {
        return "a block is written in braces: { }";
    }
    if (t->kind == '=' && wants(e, "==") && !open && s->begun && before->kind == NAME &&
        parse_line(p, s->first.where.begin) < parse_line(p, before->where.begin)) {
        return "the statement above goes on in this line: it ends with an operator, ',', '->' or "
               "'='";
    }
    if (t->kind == '=' && wants(e, "==")) {
        return header || p->brackets.len > s->base ? "to compare write '=='"
                                                   : "a statement has one '='";
    }
    if (t->kind == '=' && before->kind < 128 && before->kind > 0 && strchr("+-*/", before->kind) &&
        before->where.end == t->where.begin) {
        return arena_printf(p->a, "write 'x = x %c ...'", before->kind);
    }
    if (t->kind == EQ && s->begun && second) {
        return "to bind a name write '='";
    }
    if (t->kind == WHILE && s->first.where.begin == t->where.begin) {
        return first_word_help("while");
    }
    if (t->kind == ELSE || t->kind == ELIF) {
        return s->first.kind == t->kind ? "there is no 'if' block before it" : NULL;
    }
    if (second && s->first.kind == NAME) {
        const char *text = first_word_help(s->first.value.text);
        if (text) {
            return text;
        }
    }
    if (t->kind == IN && wants(e, "==")) {
        return "whether a list has an item cannot be asked; compare with '=='";
    }
    if (t->kind == NAME && wants(e, "==") && strcmp(t->value.text, "is") == 0) {
        return "write '=='";
    }
    if (t->kind == NAME && before->kind == NAME && strcmp(before->value.text, "lambda") == 0) {
        return "a function is declared with 'fn'";
    }
    if (t->kind == NAME && s->begun && s->first.kind == IMPORT) {
        return "the import keeps its file's name";
    }
    if (t->kind == RENAME || (t->kind == AT && !wants(e, "at"))) {
        return NULL;
    }
    if (t->where.begin == s->first.where.begin && is_operator(t->kind)) {
        return "a line goes on after an operator: put it at the end of the line above";
    }
    if (t->where.begin != s->first.where.begin && t->kind > 256 && t->kind != END &&
        t->kind != NAME && t->kind != LITERAL && t->kind != STRING && wants(e, "a name") &&
        !is_operator(t->kind) && !wants(e, "a number") && t->kind != ELLIPSIS &&
        t->kind != REDUCE && t->kind != DOTS && t->kind != ARROW) {
        return "it is a word of the language and cannot be a name";
    }
    return NULL;
}

/* What may begin a statement here. */
static const char *place_text(const parse *p)
{
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        switch (p->brackets.at[i - 1].kind) {
        case 'm':
            return "a parameter, a member, 'fn', 'entry' or another declaration";
        case '{':
            return "a statement";
        default:
            break;
        }
    }
    return "'model', 'module', 'fn', 'import' or another declaration";
}

void parse_report(parse *p, uint32_t n, const char *const *expected)
{
    const token *t = &p->last;
    if (t->kind == BAD || p->quiet) {
        return; /* told by whoever saw it */
    }
    expectation e = {n, expected};
    const char *found = found_text(p, t);
    span where = t->where;
    if (t->kind == END && where.end > where.begin) {
        where.end =
            where.begin +
            (p->file->text[where.begin] == '\n' || p->file->text[where.begin] == '\r' ? 0 : 1);
    }
    bool closer = t->kind == ')' || t->kind == ']' || t->kind == '}';
    const bracket *open = p->brackets.len && p->brackets.at[p->brackets.len - 1].kind != '{' &&
                                  p->brackets.at[p->brackets.len - 1].kind != 'm'
                              ? &p->brackets.at[p->brackets.len - 1]
                              : NULL;
    const char *wanted = wanted_text(p, &e, open);
    bool first = p->statement.begun && p->statement.first.where.begin == t->where.begin;
    const char *hint = help(p, &e, open);
    if (closer && !wants(&e, "a number") && !open && !wants(&e, found)) {
        diag_error(p->d, where, "there is no '%c' for this %s",
                   t->kind == ')'   ? '('
                   : t->kind == ']' ? '['
                                    : '{',
                   found);
    } else if (wants(&e, "a number") &&
               (is_operator(p->prev.kind) || p->prev.kind == '=' || p->prev.kind == ',') &&
               !first) {
        const char *after = found_text(p, &p->prev);
        diag_error(p->d, where, "expected an expression after %s, found %s", after, found);
    } else if (first && !closer) {
        diag_error(p->d, where, "expected %s, found %s", place_text(p), found);
    } else if (wanted) {
        diag_error(p->d, where, "expected %s, found %s", wanted, found);
    } else {
        diag_error(p->d, where, "unexpected %s",
                   strncmp(found, "the ", 4) == 0 ? found + 4 : found);
    }
    if (open && parse_line(p, open->at) != parse_line(p, t->where.begin)) {
        char sign = open->kind == 'r' ? '{' : open->kind;
        diag_note(p->d, (span){p->file->id, open->at, open->at + 1}, "this '%c' is open", sign);
    }
    if (hint) {
        diag_help(p->d, "%s", hint);
    }
}
