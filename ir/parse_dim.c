#include "ir/parse_dim.h"

#include <string.h>

enum { MOST_NESTING = 64 };

typedef struct parser {
    ir_ctx *c;
    ir_text_cursor *cursor;
    ir_sym_lookup lookup;
    void *data;
    uint32_t nesting;
} parser;

static void skip_blanks(ir_text_cursor *t)
{
    while (*t->at == ' ' || *t->at == '\t' || *t->at == '\n' || *t->at == '\r') {
        t->at++;
    }
}

static bool eat(ir_text_cursor *t, char wanted)
{
    skip_blanks(t);
    if (*t->at != wanted) {
        return false;
    }
    t->at++;
    return true;
}

static const ir_dim *refuse(parser *p, const char *error)
{
    if (!p->cursor->error) {
        p->cursor->error = error;
    }
    return NULL;
}

static bool expect(parser *p, char wanted)
{
    if (eat(p->cursor, wanted)) {
        return true;
    }
    refuse(p, intern_printf(ir_ctx_names(p->c), "expected '%c'", wanted));
    return false;
}

static bool is_digit(char k)
{
    return k >= '0' && k <= '9';
}

static bool begins_name(char k)
{
    return (k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') || k == '_' || k == '?' || k == '@' ||
           (unsigned char)k >= 0x80;
}

static bool in_name(char k)
{
    return begins_name(k) || is_digit(k) || k == '\'';
}

const char *ir_name_parse(ir_ctx *c, ir_text_cursor *t)
{
    skip_blanks(t);
    const char *end = t->at;
    if (!begins_name(*end)) {
        return NULL;
    }
    while (in_name(*end) || (*end == '.' && in_name(end[1]))) {
        end++;
    }
    const char *name = intern_n(ir_ctx_names(c), t->at, (size_t)(end - t->at));
    t->at = end;
    return name;
}

static const ir_dim *parse_sum(parser *p);

static const ir_dim *parse_number(parser *p)
{
    int64_t value = 0;
    bool overflow = false;
    for (; is_digit(*p->cursor->at); p->cursor->at++) {
        overflow |= __builtin_mul_overflow(value, 10, &value);
        overflow |= __builtin_add_overflow(value, *p->cursor->at - '0', &value);
    }
    return overflow ? refuse(p, "the number is too large") : ir_dim_const(p->c, value);
}

typedef const ir_dim *(*binary)(ir_ctx *c, const ir_dim *a, const ir_dim *b);

static binary function_named(const char *name)
{
    static const struct {
        const char *name;
        binary make;
    } functions[] = {
        {"floordiv", ir_dim_floordiv},
        {"mod",      ir_dim_mod     },
        {"min",      ir_dim_min     },
        {"max",      ir_dim_max     },
    };
    for (uint32_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return functions[i].make;
        }
    }
    return NULL;
}

static const ir_dim *parse_call(parser *p, const char *name)
{
    binary make = function_named(name);
    if (!make) {
        return refuse(p, intern_printf(ir_ctx_names(p->c), "there is no function %s", name));
    }
    const ir_dim *a = parse_sum(p);
    const ir_dim *b = a && expect(p, ',') ? parse_sum(p) : NULL;
    return b && expect(p, ')') ? make(p->c, a, b) : NULL;
}

static const ir_dim *parse_part(parser *p)
{
    skip_blanks(p->cursor);
    if (is_digit(*p->cursor->at)) {
        return parse_number(p);
    }
    if (eat(p->cursor, '(')) {
        const ir_dim *d = parse_sum(p);
        return d && expect(p, ')') ? d : NULL;
    }
    const char *start = p->cursor->at;
    const char *name = ir_name_parse(p->c, p->cursor);
    if (!name) {
        return refuse(p, "expected a size");
    }
    if (*p->cursor->at == '(') { /* at once: in "arena T (" a bracket of another kind follows */
        p->cursor->at++;
        return parse_call(p, name);
    }
    const ir_sym *s = p->lookup ? p->lookup(p->data, name) : NULL;
    if (!s) {
        p->cursor->at = start;
        return refuse(p, intern_printf(ir_ctx_names(p->c), "there is no size named %s", name));
    }
    return ir_dim_sym(p->c, s);
}

static const ir_dim *parse_term(parser *p)
{
    const ir_dim *d = parse_part(p);
    while (d && eat(p->cursor, '*')) {
        const ir_dim *by = parse_part(p);
        d = by ? ir_dim_mul(p->c, d, by) : NULL;
    }
    return d;
}

static const ir_dim *parse_sum(parser *p)
{
    if (++p->nesting > MOST_NESTING) {
        return refuse(p, "the size is nested too deeply");
    }
    bool minus = eat(p->cursor, '-');
    const ir_dim *d = parse_term(p);
    d = d && minus ? ir_dim_scale(p->c, d, -1) : d;
    while (d) {
        bool add = eat(p->cursor, '+');
        if (!add && !eat(p->cursor, '-')) {
            break;
        }
        const ir_dim *next = parse_term(p);
        d = !next ? NULL : add ? ir_dim_add(p->c, d, next) : ir_dim_sub(p->c, d, next);
    }
    p->nesting--;
    return d && d->overflow ? refuse(p, "the size overflows") : d;
}

const ir_dim *ir_dim_parse(ir_ctx *c, ir_text_cursor *cursor, ir_sym_lookup lookup, void *data)
{
    parser p = {.c = c, .cursor = cursor, .lookup = lookup, .data = data};
    cursor->error = NULL;
    return parse_sum(&p);
}

const ir_type *ir_type_parse(ir_ctx *c, ir_text_cursor *cursor, ir_sym_lookup lookup, void *data)
{
    parser p = {.c = c, .cursor = cursor, .lookup = lookup, .data = data};
    ir_dtype t;
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t rank = 0;
    cursor->error = NULL;
    skip_blanks(cursor);
    const char *start = cursor->at, *name = ir_name_parse(c, cursor);
    if (!name || !ir_dtype_from_name(name, &t)) {
        cursor->at = start;
        refuse(&p, "expected an element type, such as f32");
        return NULL;
    }
    if (!expect(&p, '[')) {
        return NULL;
    }
    bool more = !eat(cursor, ']');
    while (more) {
        if (rank == IR_MAX_RANK) {
            refuse(&p, intern_printf(ir_ctx_names(c), "at most %d axes are possible", IR_MAX_RANK));
            return NULL;
        }
        dims[rank] = parse_sum(&p);
        if (!dims[rank++]) {
            return NULL;
        }
        more = eat(cursor, ',');
        if (!more && !expect(&p, ']')) {
            return NULL;
        }
    }
    return ir_type_get(c, t, rank, dims);
}
