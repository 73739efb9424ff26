#include "support/diag.h"
#include "support/vec.h"

#include <stdlib.h>
#include <string.h>

typedef enum severity { ERROR, WARNING, NOTE, HELP } severity;

typedef struct message {
    severity kind;
    span where;
    const char *text;
    struct message *more, *last; /* notes, in order */
    uint32_t order;
} message;

struct diag {
    arena *a;
    source_map *sources;
    VEC(message *) messages;
    uint32_t errors, warnings, dropped;
    message *current; /* NULL when the last message was a repetition */
};

enum { MOST_ERRORS = 200, MOST_COLUMNS = 200 };

diag *diag_create(arena *a, source_map *sources)
{
    diag *d = arena_new(a, diag);
    d->a = a;
    d->sources = sources;
    return d;
}

source_map *diag_sources(const diag *d)
{
    return d->sources;
}

static bool same_message(const message *m, severity kind, span where, const char *text)
{
    return m->kind == kind && m->where.file == where.file && m->where.begin == where.begin &&
           strcmp(m->text, text) == 0;
}

static void add_message(diag *d, severity kind, span where, const char *text)
{
    d->current = NULL;
    for (uint32_t i = 0; i < d->messages.len; i++) {
        if (same_message(d->messages.at[i], kind, where, text)) {
            return;
        }
    }
    uint32_t *count = kind == ERROR ? &d->errors : &d->warnings;
    (*count)++;
    if (d->messages.len >= MOST_ERRORS) {
        d->dropped++;
        return;
    }
    message *m = arena_new(d->a, message);
    *m = (message){.kind = kind, .where = where, .text = text, .order = d->messages.len};
    vec_push(d->a, &d->messages, m);
    d->current = m;
}

static void add_detail(diag *d, severity kind, span where, const char *text)
{
    if (!d->current) {
        return;
    }
    message *m = arena_new(d->a, message);
    *m = (message){.kind = kind, .where = where, .text = text};
    if (d->current->last) {
        d->current->last->more = m;
    } else {
        d->current->more = m;
    }
    d->current->last = m;
}

#define FORMATTED(add, kind, where)                                                                \
    va_list args;                                                                                  \
    va_start(args, format);                                                                        \
    const char *text = arena_vprintf(d->a, format, args);                                          \
    va_end(args);                                                                                  \
    add(d, kind, where, text)

void diag_error(diag *d, span where, const char *format, ...)
{
    FORMATTED(add_message, ERROR, where);
}

void diag_warning(diag *d, span where, const char *format, ...)
{
    FORMATTED(add_message, WARNING, where);
}

void diag_note(diag *d, span where, const char *format, ...)
{
    FORMATTED(add_detail, NOTE, where);
}

void diag_help(diag *d, const char *format, ...)
{
    FORMATTED(add_detail, HELP, (span){0});
}

bool diag_has_error_in(const diag *d, span where)
{
    for (uint32_t i = 0; i < d->messages.len; i++) {
        const message *m = d->messages.at[i];
        if (m->kind == ERROR && m->where.file == where.file && m->where.begin >= where.begin &&
            m->where.begin <= where.end) {
            return true;
        }
    }
    return false;
}

uint32_t diag_error_count(const diag *d)
{
    return d->errors;
}

uint32_t diag_warning_count(const diag *d)
{
    return d->warnings;
}

void diag_clear(diag *d)
{
    d->messages.len = 0;
    d->errors = d->warnings = d->dropped = 0;
    d->current = NULL;
}

/* Printing ------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *color;
} severities[] = {
    [ERROR] = {"error",   "\033[1;31m"},
    [WARNING] = {"warning", "\033[1;35m"},
    [NOTE] = {"note",    "\033[1;36m"},
    [HELP] = {"help",    "\033[1;32m"},
};

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Tabs become one space and control characters '?', so that the caret stays under its text. */
static void print_source(FILE *out, const char *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        fputc(c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

static uint32_t display_width(const char *s, uint32_t n)
{
    uint32_t width = 0;
    for (uint32_t i = 0; i < n; i++) {
        width += !is_continuation(s[i]);
    }
    return width;
}

static void print_excerpt(const diag *d, FILE *out, span where, const char *color,
                          const char *reset)
{
    const source_file *f = source_get(d->sources, where.file);
    source_place p = source_locate(d->sources, where);
    uint32_t start = f->line_starts[p.line - 1];
    uint32_t end = p.line < f->n_lines ? f->line_starts[p.line] : f->size;
    while (end > start && (f->text[end - 1] == '\n' || f->text[end - 1] == '\r')) {
        end--;
    }
    uint32_t from = where.begin < end ? where.begin : end;
    uint32_t to = where.end < end ? where.end : end;
    uint32_t shown = start; /* long lines are shown from near the span */
    if (from - start > MOST_COLUMNS / 2) {
        shown = from - MOST_COLUMNS / 2;
        while (shown > start && is_continuation(f->text[shown])) {
            shown--;
        }
    }
    uint32_t stop = end - shown > MOST_COLUMNS ? shown + MOST_COLUMNS : end;
    while (stop < end && is_continuation(f->text[stop])) {
        stop++;
    }
    to = to < stop ? to : stop;
    fprintf(out, "%5u | ", p.line);
    print_source(out, f->text + shown, stop - shown);
    fprintf(out, "\n      | %*s%s^", (int)display_width(f->text + shown, from - shown), "", color);
    uint32_t width = to > from ? display_width(f->text + from, to - from) : 1;
    for (uint32_t i = 1; i < width; i++) {
        fputc('~', out);
    }
    fprintf(out, "%s\n", reset);
}

static void print_message(const diag *d, FILE *out, const message *m, bool color)
{
    const char *on = color ? severities[m->kind].color : "";
    const char *bold = color ? "\033[1m" : "";
    const char *reset = color ? "\033[0m" : "";
    const source_file *f = source_get(d->sources, m->where.file);
    if (f) {
        source_place p = source_locate(d->sources, m->where);
        fprintf(out, "%s%s:%u:%u:%s ", bold, p.path, p.line, p.column, reset);
    } else if (m->kind == ERROR || m->kind == WARNING) {
        fprintf(out, "%saigc:%s ", bold, reset);
    } else {
        fputs("  ", out);
    }
    fprintf(out, "%s%s:%s %s\n", on, severities[m->kind].name, reset, m->text);
    if (f && f->size) {
        print_excerpt(d, out, m->where, on, reset);
    }
}

static int by_place(const void *x, const void *y)
{
    const message *a = *(message *const *)x, *b = *(message *const *)y;
    if (a->where.file != b->where.file) {
        return a->where.file < b->where.file ? -1 : 1;
    }
    if (a->where.begin != b->where.begin) {
        return a->where.begin < b->where.begin ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

void diag_print(const diag *d, FILE *out, bool color)
{
    arena_point scratch = arena_mark(d->a);
    message **sorted = arena_array(d->a, message *, d->messages.len);
    if (d->messages.len) {
        memcpy(sorted, d->messages.at, d->messages.len * sizeof *sorted);
        qsort(sorted, d->messages.len, sizeof *sorted, by_place);
    }
    for (uint32_t i = 0; i < d->messages.len; i++) {
        for (const message *m = sorted[i]; m; m = m->more) {
            print_message(d, out, m, color);
        }
    }
    if (d->dropped) {
        fprintf(out, "aigc: and %u more\n", d->dropped);
    }
    arena_release(d->a, scratch);
}

const char *diag_text(const diag *d, bool color)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    diag_print(d, out, color);
    fclose(out);
    const char *kept = arena_string_n(d->a, text, size);
    free(text);
    return kept;
}

/* Spelling ------------------------------------------------------------------------------------- */

enum { LONGEST_NAME = 64 };

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment distance: insert, delete, replace, swap neighbours. */
static uint32_t distance(const char *a, uint32_t n, const char *b, uint32_t m)
{
    uint32_t rows[3][LONGEST_NAME + 1];
    uint32_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (uint32_t j = 0; j <= m; j++) {
        last[j] = j;
    }
    for (uint32_t i = 1; i <= n; i++) {
        row[0] = i;
        for (uint32_t j = 1; j <= m; j++) {
            uint32_t cost = a[i - 1] != b[j - 1];
            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j]) {
                row[j] = before[j - 2] + 1;
            }
        }
        uint32_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

const char *diag_nearest(const char *name, const char *const *candidates, uint32_t n)
{
    size_t length = strlen(name);
    if (length == 0 || length > LONGEST_NAME) {
        return NULL;
    }
    uint32_t allowed = length < 3 ? 1 : (uint32_t)((length + 2) / 3);
    const char *best = NULL;
    uint32_t best_distance = allowed + 1;
    for (uint32_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        if (other == 0 || other > LONGEST_NAME) {
            continue;
        }
        uint32_t k = distance(name, (uint32_t)length, candidates[i], (uint32_t)other);
        if (k < best_distance && k < length) {
            best_distance = k;
            best = candidates[i];
        }
    }
    return best;
}
