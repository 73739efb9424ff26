/* The words and values of .air text. */
#include "ir/read_impl.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

span read_here(const reader *r)
{
    uint32_t at = (uint32_t)(r->cursor.at - r->file->text);
    return (span){r->file->id, at, at + (*r->cursor.at != 0)};
}

bool read_fail(reader *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(ir_ctx_arena(r->ctx), format, args);
    va_end(args);
    diag_error(r->d, read_here(r), "%s", text);
    return false;
}

void read_blanks(reader *r)
{
    for (;;) {
        r->cursor.at += strspn(r->cursor.at, " \t\r\n");
        if (*r->cursor.at != '#') {
            return;
        }
        r->cursor.at += strcspn(r->cursor.at, "\n");
    }
}

bool read_at(reader *r, const char *word)
{
    read_blanks(r);
    size_t n = strlen(word);
    bool letters = isalpha((unsigned char)word[n - 1]);
    unsigned char after = strncmp(r->cursor.at, word, n) == 0 ? (unsigned char)r->cursor.at[n] : 1;
    return after != 1 && !(letters && (isalnum(after) || after == '_'));
}

bool read_eat(reader *r, const char *word)
{
    if (!read_at(r, word)) {
        return false;
    }
    r->cursor.at += strlen(word);
    return true;
}

bool read_expect(reader *r, const char *word)
{
    if (read_eat(r, word)) {
        return true;
    }
    size_t n = strcspn(r->cursor.at, " \t\r\n");
    return *r->cursor.at ? read_fail(r, "expected '%s', found '%.*s'", word, (int)(n < 24 ? n : 24),
                                     r->cursor.at)
                         : read_fail(r, "expected '%s', found the end of the file", word);
}

const char *read_name(reader *r)
{
    read_blanks(r);
    const char *name = ir_name_parse(r->ctx, &r->cursor);
    return name ? name : (read_fail(r, "expected a name"), NULL);
}

/* One character of a string, escapes undone; -1 at its end or where it is broken. */
static int string_char(const char **at)
{
    unsigned char c = (unsigned char)**at;
    if (c == 0 || c == '"' || c == '\n') {
        return -1;
    }
    ++*at;
    if (c != '\\') {
        return c;
    }
    char hex[3] = {0};
    switch (**at) {
    case '"':
    case '\\':
        return *(*at)++;
    case 'x':
        if (isxdigit((unsigned char)(*at)[1]) && isxdigit((unsigned char)(*at)[2])) {
            memcpy(hex, *at + 1, 2);
            *at += 3;
            long v = strtol(hex, NULL, 16);
            return v ? (int)v : -1; /* names hold no zero */
        }
        return -1;
    default:
        return -1;
    }
}

const char *read_string(reader *r)
{
    if (!read_expect(r, "\"")) {
        return NULL;
    }
    VEC(char) text = {0};
    arena *a = arena_create();
    for (int c; (c = string_char(&r->cursor.at)) >= 0;) {
        vec_push(a, &text, (char)c);
    }
    const char *out = *r->cursor.at == '"'
                          ? intern_n(ir_ctx_names(r->ctx), text.at ? text.at : "", text.len)
                          : NULL;
    arena_destroy(a);
    if (!out) {
        read_fail(r, "this string is not closed, or has an escape other than \\\" \\\\ \\xHH");
        return NULL;
    }
    r->cursor.at++;
    return out;
}

bool read_int(reader *r, int64_t *value)
{
    read_blanks(r);
    char *end;
    errno = 0;
    *value = strtoll(r->cursor.at, &end, 10);
    if (end == r->cursor.at || errno) {
        return read_fail(r, errno ? "the number is too large" : "expected a whole number");
    }
    r->cursor.at = end;
    return true;
}

bool read_uint32(reader *r, uint32_t *value)
{
    int64_t v;
    if (!read_int(r, &v)) {
        return false;
    }
    *value = (uint32_t)v;
    return (v >= 0 && v <= INT32_MAX) || read_fail(r, "the number must be 0 to %d", INT32_MAX);
}

bool read_float(reader *r, double *value)
{
    read_blanks(r);
    char *end;
    *value = strtod(r->cursor.at, &end);
    if (end == r->cursor.at) {
        return read_fail(r, "expected a number");
    }
    r->cursor.at = end;
    return true;
}

static const ir_sym *symbol_named(void *data, const char *name)
{
    reader *r = data;
    for (uint32_t i = r->scope.len; i-- > 0;) {
        if (r->scope.at[i]->name == name) {
            return r->scope.at[i];
        }
    }
    return NULL;
}

const ir_dim *read_dim(reader *r)
{
    read_blanks(r);
    const ir_dim *d = ir_dim_parse(r->ctx, &r->cursor, symbol_named, r);
    return d ? d : (read_fail(r, "%s", r->cursor.error), NULL);
}

const ir_type *read_type(reader *r)
{
    read_blanks(r);
    const ir_type *t = ir_type_parse(r->ctx, &r->cursor, symbol_named, r);
    return t ? t : (read_fail(r, "%s", r->cursor.error), NULL);
}

/* Attributes ------------------------------------------------------------------------------------
 */

static bool read_list(reader *r, arena *a, ir_attr *out)
{
    VEC(int64_t) ints = {0};
    VEC(const void *) items = {0}; /* dims or strings */
    ir_attr_kind kind = ir_attr_kind_of(out->key);
    if (!read_expect(r, "[")) {
        return false;
    }
    bool more = !read_eat(r, "]");
    while (more) {
        int64_t i = 0;
        const void *item = NULL;
        bool ok = kind == IR_ATTR_KIND_INTS
                      ? read_int(r, &i)
                      : (item = kind == IR_ATTR_KIND_DIMS ? (const void *)read_dim(r)
                                                          : read_string(r)) != NULL;
        if (!ok) {
            return false;
        }
        if (kind == IR_ATTR_KIND_INTS) {
            vec_push(a, &ints, i);
        } else {
            vec_push(a, &items, item);
        }
        more = read_eat(r, ",");
        if (!more && !read_expect(r, "]")) {
            return false;
        }
    }
    out->n = kind == IR_ATTR_KIND_INTS ? ints.len : items.len;
    if (kind == IR_ATTR_KIND_INTS) {
        out->ints = ints.at;
    } else if (kind == IR_ATTR_KIND_DIMS) {
        out->dims = (const ir_dim *const *)items.at;
    } else {
        out->strs = (const char *const *)items.at;
    }
    return true;
}

static bool read_dtype(reader *r, ir_dtype *t)
{
    const char *name = read_name(r);
    return name &&
           (ir_dtype_from_name(name, t) || read_fail(r, "there is no element type %s", name));
}

/* The index of a loop is made here: its range was read before it. */
static bool read_loop_sym(reader *r, ir_attr *out, const read_attrs *before)
{
    const ir_dim *lo = NULL, *hi = NULL;
    int64_t step = 0;
    for (uint32_t i = 0; i < before->list.len; i++) {
        const ir_attr *k = &before->list.at[i];
        lo = k->key == IR_ATTR_lo && k->n == 1 ? k->dims[0] : lo;
        hi = k->key == IR_ATTR_hi && k->n == 1 ? k->dims[0] : hi;
        step = k->key == IR_ATTR_step ? k->i : step;
    }
    if (!lo || !hi || step == 0) {
        return read_fail(r, "the index of a loop follows its lo=[…], hi=[…] and step");
    }
    const char *name = read_name(r);
    out->sym = name ? ir_sym_loop(r->ctx, name, lo, hi, step) : NULL;
    return name != NULL;
}

/* Past "(…)" or "splat(…)". */
static bool skip_data(reader *r)
{
    read_eat(r, "splat");
    if (!read_expect(r, "(")) {
        return false;
    }
    r->cursor.at += strcspn(r->cursor.at, ")");
    return read_expect(r, ")");
}

static bool read_attr(reader *r, arena *a, read_attrs *out)
{
    const char *name = read_name(r);
    ir_attr_key key;
    if (!name) {
        return false;
    }
    if (!ir_attr_from_name(name, &key)) {
        return read_fail(r, "there is no attribute %s", name);
    }
    for (uint32_t i = 0; i < out->list.len; i++) {
        if (out->list.at[i].key == key) {
            return read_fail(r, "attribute %s is given twice", name);
        }
    }
    if (!read_expect(r, "=")) {
        return false;
    }
    ir_attr v = {.key = key};
    bool ok = false;
    switch (ir_attr_kind_of(key)) {
    case IR_ATTR_KIND_INT:
        ok = read_int(r, &v.i);
        break;
    case IR_ATTR_KIND_FLOAT:
        ok = read_float(r, &v.f);
        break;
    case IR_ATTR_KIND_STR:
        ok = (v.s = read_string(r)) != NULL;
        break;
    case IR_ATTR_KIND_DTYPE:
        ok = read_dtype(r, &v.dtype);
        break;
    case IR_ATTR_KIND_DIM:
        ok = (v.dim = read_dim(r)) != NULL;
        break;
    case IR_ATTR_KIND_SYM:
        ok = read_loop_sym(r, &v, out);
        break;
    case IR_ATTR_KIND_DATA:
        read_blanks(r);
        out->data = r->cursor.at;
        return skip_data(r);
    default:
        ok = read_list(r, a, &v);
    }
    if (ok) {
        vec_push(a, &out->list, v);
    }
    return ok;
}

bool read_attr_list(reader *r, arena *a, read_attrs *out)
{
    if (!read_eat(r, "{")) {
        return true;
    }
    bool more = !read_eat(r, "}");
    while (more) {
        if (!read_attr(r, a, out)) {
            return false;
        }
        more = read_eat(r, ",");
        if (!more && !read_expect(r, "}")) {
            return false;
        }
    }
    return true;
}

/* How many elements the text lists: one more than its commas, up to the bracket. */
static size_t count_listed(const char *at)
{
    size_t n = 1;
    for (; *at && *at != ')'; at++) {
        n += *at == ',';
    }
    return n;
}

const ir_data *read_data(reader *r, arena *a, const char *at, const ir_type *t)
{
    const char *after = r->cursor.at;
    r->cursor.at = at;
    ir_data d = {.dtype = t->dtype, .splat = read_eat(r, "splat")};
    if (!read_expect(r, "(")) {
        return NULL;
    }
    const ir_dim *elems = ir_type_elems(r->ctx, t);
    bool none = !d.splat && read_at(r, ")");
    size_t n = none ? 0 : count_listed(r->cursor.at);
    if (d.splat ? n != 1 : !ir_dim_is_value(elems, (int64_t)n)) {
        read_fail(r, "%zu numbers for %s", n, ir_type_text(r->ctx, t));
        return NULL;
    }
    d.size_bytes = n * ir_dtype_bytes(t->dtype);
    char *bytes = arena_alloc(a, d.size_bytes);
    for (size_t i = 0; i < n; i++) {
        double f = 0;
        int64_t v = 0;
        bool is_float = ir_dtype_is_float(t->dtype);
        if (!(is_float ? read_float(r, &f) : read_int(r, &v)) ||
            !(i + 1 == n || read_expect(r, ","))) {
            return NULL;
        }
        if (is_float) {
            ir_dtype_store(t->dtype, bytes, i, f);
        } else {
            ir_dtype_store_i64(t->dtype, bytes, i, v);
        }
    }
    d.bytes = bytes;
    r->cursor.at = after;
    return ir_data_keep(r->ctx, &d);
}
