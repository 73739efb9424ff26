/* The parser: goldens of every construct, one error for one mistake at its place, exact spans,
 * hostile text, and that every example of the language reference is in the language.
 *
 * tests/golden/parse/ has files with the tree to expect in comments after a line "# expect:"; a
 * line with
 * "# error: words" must give one error with these words. AIGC_UPDATE=1 writes the trees anew. */
#define _GNU_SOURCE
#include "frontend/ast.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/parser_mistakes.h"

typedef struct parsed {
    arena *a;
    diag *d;
    const source_file *f;
    const ast *t;
} parsed;

static parsed parse_text(const char *text, size_t size)
{
    parsed r = {.a = arena_create()};
    source_map *s = source_map_create(r.a);
    r.d = diag_create(r.a, s);
    r.f = source_add(s, "t.aigc", text, size);
    assert_non_null(r.f);
    r.t = ast_parse(r.a, intern_create(r.a), r.d, r.f);
    assert_non_null(r.t);
    assert_int_equal(r.t->kind, AST_FILE);
    return r;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fail_msg("cannot read %s", path);
    }
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *size, f), *size);
    text[*size] = 0;
    fclose(f);
    return text;
}

/* The n-th error of the diagnostics' text, or NULL. */
static const char *error_line(const char *text, uint32_t n)
{
    for (const char *s = text; s && *s; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
        if (strncmp(s, "t.aigc:", 7) == 0) {
            size_t length = strcspn(s, "\n");
            const char *word = strstr(s, ": error: ");
            if (word && (size_t)(word - s) < length && n-- == 0) {
                return s;
            }
        }
    }
    return NULL;
}

static bool error_is(const char *error, uint32_t line, const char *words, size_t n_words)
{
    char place[32];
    int n = snprintf(place, sizeof place, "t.aigc:%u:", line);
    if (!error || strncmp(error, place, (size_t)n) != 0) {
        return false;
    }
    size_t length = strcspn(error, "\n");
    for (size_t i = 0; i + n_words <= length; i++) {
        if (memcmp(error + i, words, n_words) == 0) {
            return true;
        }
    }
    return false;
}

/* Goldens -----------------------------------------------------------------------------------------
 */

static void check_annotations(const char *name, const char *text, size_t size, const char *errors)
{
    uint32_t line = 1, n = 0;
    for (size_t i = 0; i < size; line++) {
        size_t length = strcspn(text + i, "\n");
        char *copy = strndup(text + i, length);
        const char *mark = strstr(copy, "# error: ");
        if (mark && !error_is(error_line(errors, n++), line, mark + 9, strlen(mark + 9))) {
            fail_msg("%s:%u: expected error '%s', found:\n%s", name, line, mark + 9, errors);
        }
        free(copy);
        i += length + 1;
    }
    if (error_line(errors, n)) {
        fail_msg("%s: an error that is not expected: %s", name, error_line(errors, n));
    }
}

static char *as_comments(const char *tree)
{
    size_t n = strlen(tree), m = 0;
    char *out = malloc(4 * n + 16);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || tree[i - 1] == '\n') {
            out[m++] = '#';
            out[m++] = ' ';
        }
        out[m++] = tree[i];
    }
    out[m] = 0;
    return out;
}

static void check_golden(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/parse/%s", AIGC_SOURCE_DIR, name);
    size_t size;
    char *text = read_file(path, &size);
    char *mark = strstr(text, "\n# expect:\n");
    size_t end = mark ? (size_t)(mark - text) + 1 : size;
    parsed r = parse_text(text, end);
    check_annotations(name, text, end, diag_text(r.d, false));
    char *tree = as_comments(ast_print(r.t, r.a));
    if (getenv("AIGC_UPDATE")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fprintf(f, "%.*s# expect:\n%s", (int)end, text, tree);
        fclose(f);
    } else if (!mark || strcmp(mark + 11, tree) != 0) {
        fail_msg("%s: the tree is\n%s", name, tree);
    }
    free(tree);
    free(text);
    arena_destroy(r.a);
}

static void test_goldens(void **state)
{
    (void)state;
    DIR *d = opendir(AIGC_SOURCE_DIR "/tests/golden/parse");
    assert_non_null(d);
    uint32_t n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && strcmp(dot, ".aigc") == 0) {
            check_golden(e->d_name);
            n++;
        }
    }
    closedir(d);
    assert_true(n >= 9);
}

/* Mistakes ----------------------------------------------------------------------------------------
 */

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        parsed r = parse_text(mistakes[i].text, strlen(mistakes[i].text));
        const char *text = diag_text(r.d, false);
        bool one =
            diag_error_count(r.d) == 1 && error_is(error_line(text, 0), mistakes[i].line,
                                                   mistakes[i].words, strlen(mistakes[i].words));
        if (!one || (mistakes[i].help && !strstr(text, mistakes[i].help))) {
            fail_msg("mistake %zu:\n%s\nmust give one error in line %u: '%s' (%s), found:\n%s", i,
                     mistakes[i].text, mistakes[i].line, mistakes[i].words,
                     mistakes[i].help ? mistakes[i].help : "", text);
        }
        arena_destroy(r.a);
    }
}

/* All the mistakes that stand alone as members of one file are told, each once. */
static void test_mistakes_together(void **state)
{
    (void)state;
    static const char *const statements[] = {
        "x = a +* b",     "y = (1, 2",     "z = f(a b)",    "if x = 3 { y = 4 }",
        "for i 0..3 { }", "w = [1, 2",     "v = a.3",       "loop t in 3 { }",
        "u = \"text",     "return return", "s = x ? y : z", "r == 3"};
    enum { N = sizeof statements / sizeof *statements };
    char text[4096] = "fn f(a) {\n";
    for (int i = 0; i < N; i++) {
        strcat(text, statements[i]);
        strcat(text, "\nok = f(a)\nreturn ok\n");
    }
    strcat(text, "}\nfn g(a) = a\n");
    parsed r = parse_text(text, strlen(text));
    const char *errors = diag_text(r.d, false);
    for (uint32_t i = 0; i < N; i++) {
        if (!error_is(error_line(errors, i), 2 + 3 * i, "error: ", 7) &&
            !error_is(error_line(errors, i), 3 + 3 * i, "error: ", 7) &&
            !error_is(error_line(errors, i), 4 + 3 * i, "error: ", 7)) {
            fail_msg("%s is not told in its place:\n%s", statements[i], errors);
        }
    }
    assert_int_equal(diag_error_count(r.d), N);
    assert_int_equal(r.t->n, 2);
    arena_destroy(r.a);
}

/* Spans -------------------------------------------------------------------------------------------
 */

static void check_spans(const source_file *f, const ast *t, span around)
{
    if (!t) {
        return;
    }
    assert_int_equal(t->where.file, f->id);
    if (t->where.begin > t->where.end || t->where.begin < around.begin ||
        t->where.end > around.end) {
        fail_msg("%s [%u, %u) is not inside [%u, %u)", ast_kind_name(t->kind), t->where.begin,
                 t->where.end, around.begin, around.end);
    }
    const char *text = f->text + t->where.begin;
    size_t size = t->where.end - t->where.begin;
    bool leaf = t->kind == AST_NAME || t->kind == AST_INT || t->kind == AST_FLOAT;
    if (leaf && (strlen(t->text) != size || memcmp(t->text, text, size) != 0)) {
        fail_msg("'%.*s' is not where '%s' stands", (int)size, text, t->text);
    }
    bool declares = t->kind > AST_FILE && t->kind < AST_ERROR && t->text && t->kind != AST_IMPORT;
    if (declares || t->kind == AST_KEYWORD || t->kind == AST_FIELD) {
        size_t n = t->name_where.end - t->name_where.begin;
        assert_true(n == strlen(t->text) && memcmp(t->text, f->text + t->name_where.begin, n) == 0);
    }
    for (uint32_t i = 0; i < t->n; i++) {
        check_spans(f, t->kids[i], t->where);
    }
}

static void test_spans(void **state)
{
    (void)state;
    static const char *const files[] = {"examples/llama/llama.aigc", "examples/gpt2/gpt2.aigc",
                                        "examples/mlp/mlp.aigc", "frontend/std/nn.aigc"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", AIGC_SOURCE_DIR, files[i]);
        size_t size;
        char *text = read_file(path, &size);
        parsed r = parse_text(text, size);
        if (diag_error_count(r.d)) {
            fail_msg("%s: %s", files[i], diag_text(r.d, false));
        }
        check_spans(r.f, r.t, r.t->where);
        arena_destroy(r.a);
        free(text);
    }
}

static void test_exact_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text, *span;
        ast_kind kind;
    } cases[] = {
        {"x = (a + b) * c # d\n",                         "(a + b) * c",                AST_BINARY       },
        {"x = f(a, b = 3)\n",                             "b = 3",                      AST_KEYWORD      },
        {"x = a[1, 2:3]\n",                               "2:3",                        AST_SLICE        },
        {"x = [i for i in 0..n]\n",                       "[i for i in 0..n]",          AST_COMPREHENSION},
        {"x = [i for i in 0..n]\n",                       "0..n",                       AST_RANGE        },
        {"op f(a) -> b { y[i] = sum{k} a[k] * 2 + 1 }",   "sum{k} a[k] * 2",            AST_REDUCTION    },
        {"fn f(a) {\n  if a { } else if b { }\n}\n",      "if a { } else if b { }",     AST_IF           },
        {"fn f(a) {\n  return a, b  \n}\n",               "return a, b",                AST_RETURN       },
        {"fn f(a) = a, b\n",                              "a, b",                       AST_TUPLE        },
        {"module m { w: f32[3] = z() name \"q\" }",       "w: f32[3] = z() name \"q\"", AST_WEIGHT       },
        {"module m { entry f(x) -> audio[N] at 22 = x }", "audio[N] at 22",             AST_TYPE_AT      },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed r = parse_text(cases[i].text, strlen(cases[i].text));
        assert_int_equal(diag_error_count(r.d), 0);
        const ast *stack[256], *found = NULL;
        uint32_t n = 0;
        stack[n++] = r.t;
        while (n && !found) {
            const ast *t = stack[--n];
            found = t->kind == cases[i].kind ? t : NULL;
            for (uint32_t k = t->n; k > 0; k--) {
                if (t->kids[k - 1]) {
                    stack[n++] = t->kids[k - 1];
                }
            }
        }
        assert_non_null(found);
        char *text =
            strndup(cases[i].text + found->where.begin, found->where.end - found->where.begin);
        assert_string_equal(text, cases[i].span);
        free(text);
        arena_destroy(r.a);
    }
}

/* Text --------------------------------------------------------------------------------------------
 */

static void test_line_ends_and_marks(void **state)
{
    (void)state;
    static const char plain[] = "x = 3\n## doc\nmodel m {\n\ty = [1,\n2]\n}\n";
    static const char dos[] =
        "\xef\xbb\xbfx = 3\r\n## doc  \r\nmodel m {\r\n\ty = [1,\r\n2]\r\n}\r\n";
    parsed a = parse_text(plain, sizeof plain - 1), b = parse_text(dos, sizeof dos - 1);
    assert_int_equal(diag_error_count(a.d) + diag_error_count(b.d), 0);
    assert_string_equal(ast_print(a.t, a.a), ast_print(b.t, b.a));
    arena_destroy(a.a);
    arena_destroy(b.a);
    static const char bare[] = "fn f(a) { return a }\nx = 3"; /* no line break at the end */
    parsed c = parse_text(bare, sizeof bare - 1);
    assert_int_equal(diag_error_count(c.d), 0);
    assert_int_equal(c.t->n, 2);
    arena_destroy(c.a);
    parsed none = parse_text("", 0);
    assert_int_equal(diag_error_count(none.d), 0);
    assert_int_equal(none.t->n, 0);
    arena_destroy(none.a);
}

static void test_no_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        uint32_t line;
        const char *words;
    } cases[] = {
        {"x = 3\ny = \0\n",     11, 2, "a zero byte"},
        {"x = \xff\n",          6,  1, "0xff"       },
        {"x = \"\xc0\xaf\"\n",  9,  1, "0xc0"       }, /* overlong */
        {"# \xed\xa0\x80\n",    6,  1, "0xed"       }, /* a surrogate */
        {"x\n\xf4\x90\x80\x80", 6,  2, "0xf4"       }, /* past U+10FFFF */
        {"x = \xe2\x82",        6,  1, "0xe2"       }, /* cut short */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed r = parse_text(cases[i].text, cases[i].size);
        assert_int_equal(diag_error_count(r.d), 1);
        const char *text = diag_text(r.d, false);
        if (!error_is(error_line(text, 0), cases[i].line, cases[i].words, strlen(cases[i].words))) {
            fail_msg("case %zu: %s", i, text);
        }
        arena_destroy(r.a);
    }
}

/* Deep and long: an error or a tree, soon, with a bounded stack.
 * ------------------------------------ */

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *before, *again, *middle, *close, *after;
        int n;
        bool fails;
    } cases[] = {
        {"x = ",       "(",              "1",   ")", "\n",  5000,   false}, /* no nodes */
        {"x = ",       "(",              "1",   ")", "\n",  90000,  true },
        {"x = ",       "-",              "1",   "",  "\n",  900,    false},
        {"x = ",       "-",              "1",   "",  "\n",  90000,  true },
        {"x = ",       "1 + ",           "1",   "",  "\n",  900,    false},
        {"x = ",       "1 + ",           "1",   "",  "\n",  90000,  true },
        {"x = ",       "f(",             "1",   ")", "\n",  3000,   true },
        {"x = ",       "a < ",           "1",   "",  "\n",  3000,   true },
        {"x = ",       "a if b else ",   "1",   "",  "\n",  3000,   true },
        {"x = [",      "1, ",            "1",   "",  "]\n", 90000,  false},
        {"",           "[\n",            "",    "",  "",    90000,  true },
        {"",           "fn f() {\n",     "",    "",  "",    9000,   true },
        {"fn f() {\n", "if a {",         "",    "}", "}",   9000,   true },
        {"fn f() {\n", "if a { } else ", "{ }", "",  "}",   9000,   true },
        {"",           "}",              "",    "",  "",    90000,  true },
        {"",           "}\n",            "",    "",  "",    90000,  true },
        {"",           "x = \"\n",       "",    "",  "",    90000,  true },
        {"",           "x = f(\n",       "",    "",  "",    9000,   true },
        {"",           "x = sum{",       "",    "",  "",    9000,   true },
        {"",           "entry f() {\n",  "",    "",  "",    9000,   true },
        {"x = [",      "\n",             "",    "",  "]",   900000, false},
        {"",           "x = 1\n",        "",    "",  "",    90000,  false},
        {"",           "## d\n",         "",    "",  "",    90000,  false},
        {"x = ",       "y",              "",    "",  "\n",  900000, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n = (size_t)cases[i].n, m = 0;
        size_t again = strlen(cases[i].again), close = strlen(cases[i].close);
        char *text = malloc(n * (again + close) + 64);
        assert_non_null(text);
        m += (size_t)sprintf(text, "%s", cases[i].before);
        for (size_t k = 0; k < n; k++, m += again) {
            memcpy(text + m, cases[i].again, again);
        }
        m += (size_t)sprintf(text + m, "%s", cases[i].middle);
        for (size_t k = 0; k < n; k++, m += close) {
            memcpy(text + m, cases[i].close, close);
        }
        m += (size_t)sprintf(text + m, "%s", cases[i].after);
        parsed r = parse_text(text, m);
        (void)diag_text(r.d, false);
        (void)ast_print(r.t, r.a);
        if ((diag_error_count(r.d) != 0) != cases[i].fails) {
            fail_msg("case %zu: %u errors", i, diag_error_count(r.d));
        }
        arena_destroy(r.a);
        free(text);
    }
}

/* The reference
 * ------------------------------------------------------------------------------------ */

/* ```aigc: a file; ```aigc members: of a module; ```aigc statements: of a function; "error" as
 * well: wrong. */
static void test_reference(void **state)
{
    (void)state;
    size_t size;
    char *text = read_file(AIGC_SOURCE_DIR "/docs/language.md", &size);
    uint32_t n = 0;
    for (char *s = text; (s = strstr(s, "```aigc"));) {
        char *body = strchr(s, '\n'), *end = body ? strstr(body, "\n```") : NULL;
        assert_non_null(end);
        bool members = memmem(s, (size_t)(body - s), "members", 7),
             statements = memmem(s, (size_t)(body - s), "statements", 10);
        bool wrong = memmem(s, (size_t)(body - s), "error", 5);
        char *whole = malloc((size_t)(end - body) + 64);
        assert_non_null(whole);
        sprintf(whole, "%s%.*s\n%s",
                members      ? "module M {"
                : statements ? "fn f() {"
                             : "",
                (int)(end - body), body, members || statements ? "}\n" : "");
        parsed r = parse_text(whole, strlen(whole));
        if ((diag_error_count(r.d) > 0) != wrong) {
            fail_msg("docs/language.md: %s\n%s", whole, diag_text(r.d, false));
        }
        arena_destroy(r.a);
        free(whole);
        n++;
        s = end + 4;
    }
    free(text);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),           cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_mistakes_together), cmocka_unit_test(test_spans),
        cmocka_unit_test(test_exact_spans),       cmocka_unit_test(test_line_ends_and_marks),
        cmocka_unit_test(test_no_text),           cmocka_unit_test(test_depth),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
