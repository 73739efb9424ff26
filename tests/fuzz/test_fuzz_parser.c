/* Text that is nearly, hardly or not at all in the language: the parser gives a tree whose spans
 * lie in the text, and an error where it left something out. */
#include "frontend/ast.h"
#include "tests/fuzz/texts.h"

/* Seeds -------------------------------------------------------------------------------------------
 */

static void add_examples_of(seeds *s, const char *path)
{
    size_t size;
    char *text = read_file(path, &size);
    assert_non_null(text);
    for (char *at = text; (at = strstr(at, "```aigc"));) {
        char *body = strchr(at, '\n') + 1, *end = strstr(body, "\n```");
        assert_non_null(end);
        add_seed(s, body, (size_t)(end - body + 1));
        at = end + 4;
    }
    free(text);
}

static void collect_seeds(seeds *s)
{
    static const char *const folders[] = {"tests/golden/parse", "examples/llama", "examples/gpt2",
                                          "examples/mlp", "frontend/std"};
    add_examples_of(s, AIGC_SOURCE_DIR "/docs/language.md");
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", AIGC_SOURCE_DIR, folders[i]);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            const char *dot = strrchr(e->d_name, '.');
            if (!dot || strcmp(dot, ".aigc") != 0) {
                continue;
            }
            size_t size;
            snprintf(path, sizeof path, "%s/%s/%s", AIGC_SOURCE_DIR, folders[i], e->d_name);
            char *text = read_file(path, &size);
            assert_non_null(text);
            char *mark = strstr(text, "\n# expect:");
            add_seed(s, text, mark ? (size_t)(mark - text) : size);
            free(text);
        }
        if (d) {
            closedir(d);
        }
    }
    assert_true(s->n > 20);
}

/* Texts -------------------------------------------------------------------------------------------
 */

static const char *const pieces[] = {
    "import",    "module", "model",    "fn",     "entry",
    "objective", "op",     "generate", "train",  "extern",
    "alias",     "const",  "state",    "return", "if",
    "elif",      "else",   "for",      "in",     "loop",
    "while",     "carry",  "collect",  "assert", "where",
    "by",        "over",   "with",     "at",     "name",
    "and",       "or",     "not",      "true",   "none",
    "latent",    "x",      "f32",      "T",      "nn",
    "3",         "0.5",    "1e-5",     "0x",     "1..",
    "\"s\"",     "\"",     "'",        "(",      ")",
    "[",         "]",      "{",        "}",      "sum{",
    "max{i,",    ",",      ":",        ";",      ".",
    "..",        "...",    "->",       "=",      "==",
    "<",         "<=",     "!=",       "!",      "+",
    "-",         "*",      "/",        "//",     "**",
    "^",         "@",      "%",        "~",      "&&",
    "?",         "$",      "\\",       "\n",     "\n",
    "\n",        "\r\n",   "\t",       " ",      "#",
    "## d",      "σ",      "→",        "\xff",   "\xef\xbb\xbf",
    "_",
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

/* What must hold ----------------------------------------------------------------------------------
 */

static bool sound(const source_file *f, const ast *t, bool *wrong)
{
    if (!t) {
        return true;
    }
    *wrong |= t->kind == AST_ERROR;
    if (t->kind >= AST_KIND_COUNT || t->where.file != f->id || t->where.begin > t->where.end ||
        t->where.end > f->size || t->name_where.begin > t->name_where.end ||
        t->name_where.end > f->size || t->depth > 1000) {
        return false;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (!sound(f, t->kids[i], wrong)) {
            return false;
        }
    }
    return true;
}

static void try_text(const char *text, size_t size)
{
    arena *a = arena_create();
    source_map *s = source_map_create(a);
    diag *d = diag_create(a, s);
    const source_file *f = source_add(s, "fuzz.aigc", text, size);
    assert_non_null(f);
    const ast *t = ast_parse(a, intern_create(a), d, f);
    bool wrong = false;
    bool ok = t && t->kind == AST_FILE && sound(f, t, &wrong) && (!wrong || diag_error_count(d));
    (void)ast_print(t, a);
    (void)diag_text(d, false);
    if (!ok) {
        fail_msg("unsound tree of:\n%.*s\n", (int)size, text);
    }
    arena_destroy(a);
}

static void one_mutant(char *out, const seeds *s)
{
    try_text(out, mutate(out, s));
}

static void one_soup(char *out, const seeds *s)
{
    try_text(out, soup(out, s));
}

static void one_jumble(char *out, const seeds *s)
{
    (void)s;
    size_t n = random_below(300);
    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(random_below(3) ? 32 + random_below(95) : random_below(256));
    }
    try_text(out, n);
}

static void test_mutants(void **state)
{
    run_for_a_while(one_mutant, *state);
}

static void test_soups(void **state)
{
    run_for_a_while(one_soup, *state);
}

static void test_jumbles(void **state)
{
    run_for_a_while(one_jumble, *state);
}

/* Every beginning of every seed. */
static void test_truncated(void **state)
{
    const seeds *s = *state;
    for (uint32_t i = 0; i < s->n; i++) {
        size_t step = s->size[i] / 150 + 1;
        for (size_t n = 0; n <= s->size[i]; n += step) {
            try_text(s->text[i], n);
        }
    }
}

static int set_up(void **state)
{
    seeds *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->pieces = pieces;
    s->n_pieces = N_PIECES;
    collect_seeds(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    seeds *s = *state;
    free_seeds(s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutants),
        cmocka_unit_test(test_soups),
        cmocka_unit_test(test_jumbles),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
