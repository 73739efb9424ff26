/* From raw tokens to those of the grammar:
 *
 *   - a line break or ';' becomes END where a statement can end; one more END stands before the '}'
 * of a block, so that the grammar has statements ended by END only;
 *   - a word becomes a keyword where it can be one; most are names elsewhere;
 *   - recover.c tells of brackets that are not closed, and finds the way on after a mistake.
 *
 * The '}' of `sum{k}` is no end of a block; line breaks inside ( [ and sum{ } count for nothing. */
#include "frontend/tokens.h"
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
    {"import",    IMPORT,    ALWAYS  },
    {"module",    MODULE,    ALWAYS  },
    {"model",     MODEL,     OPENS   },
    {"fn",        FN,        ALWAYS  },
    {"entry",     ENTRY,     ALWAYS  },
    {"objective", OBJECTIVE, ALWAYS  },
    {"op",        OP,        OPENS   },
    {"generate",  GENERATE,  OPENS   },
    {"train",     TRAIN,     OPENS   },
    {"extern",    EXTERN,    ALWAYS  },
    {"alias",     ALIAS,     OPENS   },
    {"const",     CONST,     ALWAYS  },
    {"state",     STATE,     OPENS   },
    {"return",    RETURN,    ALWAYS  },
    {"if",        IF,        ALWAYS  },
    {"elif",      ELIF,      ALWAYS  },
    {"else",      ELSE,      ALWAYS  },
    {"for",       FOR,       ALWAYS  },
    {"in",        IN,        ALWAYS  },
    {"loop",      LOOP,      ALWAYS  },
    {"while",     WHILE,     ALWAYS  },
    {"carry",     CARRY,     CLAUSE  },
    {"collect",   COLLECT,   CLAUSE  },
    {"assert",    ASSERT,    ALWAYS  },
    {"where",     WHERE,     CLAUSE  },
    {"by",        BY,        CLAUSE  },
    {"over",      OVER,      CLAUSE  },
    {"with",      WITH,      CLAUSE  },
    {"at",        AT,        CLAUSE  },
    {"name",      RENAME,    CLAUSE  },
    {"and",       AND,       ALWAYS  },
    {"or",        OR,        ALWAYS  },
    {"not",       NOT,       ALWAYS  },
    {"true",      1,         VALUE   },
    {"True",      1,         VALUE   },
    {"false",     0,         VALUE   },
    {"False",     0,         VALUE   },
    {"none",      2,         VALUE   },
    {"None",      2,         VALUE   },
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

/* Raw tokens --------------------------------------------------------------------------------------
 */

const token *tokens_peek(parse *p, uint32_t i)
{
    while (p->raw.len - p->raw_at <= i) {
        token t = {0};
        if (p->mistakes < PARSE_MOST_MISTAKES) {
            t.kind = aigc_scan_lex(&t.value, &t.where, p->scanner);
        } else {
            t.where = (span){p->file->id, p->file->size, p->file->size};
        }
        if (p->doc.len && t.kind != '\n') {
            map_set(p->docs, (uint64_t)t.where.begin + 1,
                    arena_string_n(p->a, p->doc.at, p->doc.len));
            p->doc.len = 0;
        }
        bool again = t.kind == '\n' && p->raw.len > p->raw_at && vec_last(&p->raw).kind == '\n';
        if (!again) { /* one line break is as good as many */
            vec_push(p->a, &p->raw, t);
        }
    }
    return &p->raw.at[p->raw_at + i];
}

/* The i-th raw token to come that is no line break. */
const token *tokens_peek_solid(parse *p, uint32_t i)
{
    for (uint32_t k = 0;; k++) {
        const token *t = tokens_peek(p, k);
        if (t->kind != '\n' && i-- == 0) {
            return t;
        }
        if (t->kind == 0) {
            return t;
        }
    }
}

token tokens_take(parse *p)
{
    token t = *tokens_peek(p, 0);
    p->raw_at++;
    if (p->raw_at == p->raw.len) {
        p->raw_at = p->raw.len = 0;
    }
    return t;
}

/* Only right after tokens_take, of the token taken. */
void tokens_put_back(parse *p, token t)
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

bool tokens_is_word(const token *t, int kind)
{
    const struct word *w = t->kind == NAME ? find_word(t->value.text) : NULL;
    return w && w->use != VALUE && w->use != RESERVED && w->kind == kind;
}

/* Brackets ----------------------------------------------------------------------------------------
 */

bool tokens_is_brace(const bracket *b)
{
    return b->kind == '{' || b->kind == 'm';
}

bool tokens_in_group(const parse *p)
{
    return p->brackets.len && !tokens_is_brace(&vec_last(&p->brackets));
}

parse_place tokens_place(const parse *p)
{
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        if (tokens_is_brace(&p->brackets.at[i - 1])) {
            return p->brackets.at[i - 1].kind == 'm' ? PLACE_MODULE : PLACE_BLOCK;
        }
    }
    return PLACE_FILE;
}

/* The braces of a block or of members. */
void tokens_open_block(parse *p, uint32_t at)
{
    int first = p->statement.begun ? p->statement.first.kind : 0;
    bool members =
        first == MODULE || first == MODEL || (first == IF && tokens_place(p) == PLACE_MODULE);
    vec_push(p->a, &p->brackets, (bracket){members ? 'm' : '{', at, p->statement});
    p->statement = (statement){.begun = false};
}

static void open_bracket(parse *p, char c, uint32_t at)
{
    if (c == '{' && p->last.kind != REDUCE) {
        tokens_open_block(p, at);
    } else {
        vec_push(p->a, &p->brackets, (bracket){c == '{' ? 'r' : c, at, p->statement});
    }
}

/* The innermost open bracket that c closes, as its index + 1; 0: there is none in this block. */
uint32_t tokens_partner(const parse *p, char c)
{
    for (uint32_t i = p->brackets.len; i > 0; i--) {
        const bracket *b = &p->brackets.at[i - 1];
        bool same = c == ')'   ? b->kind == '('
                    : c == ']' ? b->kind == '['
                               : tokens_is_brace(b) || b->kind == 'r';
        if (same) {
            return i;
        }
        if (tokens_is_brace(b)) {
            return 0;
        }
    }
    return 0;
}

void tokens_close(parse *p, uint32_t i)
{
    bracket b = p->brackets.at[i - 1];
    p->brackets.len = i - 1;
    if (tokens_is_brace(&b)) {
        p->statement = b.statement;
    }
}

/* Tokens to come
 * ----------------------------------------------------------------------------------- */

void tokens_make_ready(parse *p, int kind, span where)
{
    token t = {.kind = kind, .where = where};
    vec_push(p->a, &p->ready, t);
}

bool tokens_begins_statement(const char *s)
{
    static const char *const beginnings[] = {"import", "module", "fn",     "entry",  "objective",
                                             "extern", "const",  "return", "assert", "loop"};
    for (uint32_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        size_t n = strlen(beginnings[i]);
        if (strncmp(s, beginnings[i], n) == 0 &&
            (s[n] == ' ' || s[n] == '\n' || s[n] == '\r' || s[n] == '(')) {
            return true;
        }
    }
    return false;
}

static bool can_end(const parse *p)
{
    return p->last_is_value || p->last.kind == RETURN || (p->last.kind == '}' && !p->last.of_sum);
}

/* Statements
 * --------------------------------------------------------------------------------------- */

static bool opens_header(parse *p, int kind)
{
    switch (tokens_place(p)) {
    case PLACE_FILE:
        return kind == MODULE || kind == MODEL || kind == FN || kind == OP;
    case PLACE_MODULE:
        return kind == FN || kind == ENTRY || kind == OBJECTIVE || kind == IF;
    case PLACE_BLOCK:
        return kind == IF || kind == FOR || kind == LOOP;
    }
    return false;
}

void tokens_begin_statement(parse *p, const token *t)
{
    p->statement = (statement){.first = *t, .base = p->brackets.len, .begun = true};
    p->statement.header = opens_header(p, t->kind);
}

/* Does the next line belong to the statement, though this one could end it? */
static bool line_goes_on(parse *p)
{
    const token *t = tokens_peek_solid(p, 0);
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
    if (tokens_is_word(t, ELSE) || tokens_is_word(t, ELIF)) {
        return p->last.kind != '}' || first == IF;
    }
    bool clause =
        (tokens_is_word(t, WHERE) && (first == FN || first == ENTRY || first == OBJECTIVE)) ||
        ((tokens_is_word(t, WITH) || tokens_is_word(t, OVER)) && first == TRAIN) ||
        ((tokens_is_word(t, BY) || tokens_is_word(t, CARRY) || tokens_is_word(t, COLLECT) ||
          tokens_is_word(t, WHILE)) &&
         first == LOOP);
    if (!clause || p->last.kind == '}') {
        return false;
    }
    int next = tokens_peek_solid(p, 1)->kind;
    return next != '=' && next != ':' && next != ',';
}

/* What a word is where it stands. */
static token meaning(parse *p, token t)
{
    const struct word *w = t.kind == NAME && p->last.kind != '.' ? find_word(t.value.text) : NULL;
    if (!w) {
        return t;
    }
    bool first = !p->statement.begun && !tokens_in_group(p);
    switch (w->use) {
    case ALWAYS:
        t.kind = w->kind;
        break;
    case OPENS: {
        const token *next = tokens_peek(p, 0);
        if (first && next->kind == (w->kind == ALIAS ? STRING : NAME)) {
            t.kind = w->kind;
        }
        break;
    }
    case CLAUSE:
        t.kind = p->last_is_value ? w->kind : NAME;
        break;
    case RESERVED: /* a name wherever it cannot begin a declaration: latents are what generative
                      models are about */
        if (first && tokens_peek(p, 0)->kind == NAME) {
            parse_lexical_error(p, t.where, NULL, "'%s' is reserved for later use", w->text);
            t.kind = BAD;
        }
        break;
    case VALUE:
        t.kind = LITERAL;
        t.value.node = w->kind == 2 ? NODE0(NONE, t.where, NULL) : NODE0(BOOL, t.where, NULL);
        t.value.node->i = w->kind == 1;
        break;
    }
    return t;
}

/* A line break between brackets counts for nothing, unless a statement begins after it. */
static bool breaks_group(parse *p)
{
    const token *next = tokens_peek_solid(p, 0);
    return next->kind == NAME && tokens_begins_statement(p->file->text + next->where.begin);
}

static token next_token(parse *p)
{
    for (;;) {
        if (p->ready_at < p->ready.len) {
            return p->ready.at[p->ready_at++];
        }
        p->ready_at = p->ready.len = 0;
        token t = tokens_take(p);
        switch (t.kind) {
        case '\n':
            if (tokens_in_group(p)) {
                if (breaks_group(p)) {
                    const token *next = tokens_peek_solid(p, 0);
                    return recover_unclosed(p, next->where,
                                            arena_printf(p->a, "'%s'", next->value.text));
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
            tokens_put_back(p, t);
            if (tokens_in_group(p)) {
                p->quiet = p->mistakes >= PARSE_MOST_MISTAKES;
                return recover_unclosed(p, t.where, "the end of the file");
            }
            if (p->brackets.len) {
                recover_end_of_file(p, t.where);
                continue;
            }
            t.kind = p->last.kind == END || p->last.kind == 0 ? 0 : END;
            return t;
        case '}': {
            uint32_t at = tokens_partner(p, '}');
            t.of_sum = at && p->brackets.at[at - 1].kind == 'r';
            if (tokens_in_group(p) && !t.of_sum) {
                tokens_put_back(p, t);
                return recover_unclosed(p, t.where, "'}'");
            }
            if (at && !t.of_sum && p->last.kind != END && p->last.kind != '{') {
                tokens_put_back(p, t);
                t.kind = END;
                return t;
            }
            if (at) {
                tokens_close(p, at);
            }
            return t;
        }
        default:
            break;
        }
        t = meaning(p, t);
        if (!p->statement.begun && !tokens_in_group(p)) {
            if (recover_misplaced(p, t)) {
                continue;
            }
            tokens_begin_statement(p, &t);
        }
        if (t.kind == '(' || t.kind == '[' || t.kind == '{') {
            open_bracket(p, (char)t.kind, t.where.begin);
        } else if (t.kind == ')' || t.kind == ']') {
            uint32_t at = tokens_partner(p, (char)t.kind);
            if (at) {
                tokens_close(p, at);
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
    p->last_is_value = t.kind == NAME || t.kind == LITERAL || t.kind == STRING ||
                       t.kind == ELLIPSIS || t.kind == ')' || t.kind == ']';
    *v = t.value;
    *where = t.where;
    return t.kind;
}
