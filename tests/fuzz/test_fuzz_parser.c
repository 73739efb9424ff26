/* Text that is nearly, hardly or not at all in the language: the parser gives a tree whose spans
 * lie in the text, and an error where it left something out. Runs for AIGC_FUZZ_SECONDS (2 when
 * unset) from AIGC_FUZZ_SEED (1), so that a failure can be had again. */
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
#include <time.h>

#include <cmocka.h>

enum { MOST_SEEDS = 256, MOST_BYTES = 1 << 16 };

typedef struct seeds {
    char *text[MOST_SEEDS];
    size_t size[MOST_SEEDS];
    uint32_t n;
} seeds;

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t x = random_state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((x ^ (x >> 31)) % n);
}

/* Seeds -------------------------------------------------------------------------------------------
 */

static void add_seed(seeds *s, const char *text, size_t size)
{
    if (s->n < MOST_SEEDS && size > 0 && size < MOST_BYTES / 2) {
        s->text[s->n] = malloc(size);
        assert_non_null(s->text[s->n]);
        memcpy(s->text[s->n], text, size);
        s->size[s->n++] = size;
    }
}

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
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

static size_t soup(char *out)
{
    size_t n = 0;
    uint32_t count = 1 + random_below(200);
    for (uint32_t i = 0; i < count; i++) {
        const char *piece = pieces[random_below(N_PIECES)];
        size_t size = strlen(piece);
        memcpy(out + n, piece, size);
        n += size;
        if (random_below(4)) {
            out[n++] = ' ';
        }
    }
    return n;
}

static size_t splice(char *out, size_t n, size_t at, size_t removed, const char *text, size_t added)
{
    if (n - removed + added > MOST_BYTES) {
        return n;
    }
    memmove(out + at + added, out + at + removed, n - at - removed);
    memcpy(out + at, text, added);
    return n - removed + added;
}

/* The token, more or less, around an offset. */
static size_t token_end(const char *s, size_t n, size_t at)
{
    size_t end = at + 1;
    bool word = (s[at] | 32) >= 'a' && (s[at] | 32) <= 'z';
    while (word && end < n && (((s[end] | 32) >= 'a' && (s[end] | 32) <= 'z') || s[end] == '_')) {
        end++;
    }
    return end;
}

static size_t mutate(char *out, const seeds *s)
{
    uint32_t from = random_below(s->n);
    size_t n = s->size[from];
    memcpy(out, s->text[from], n);
    for (uint32_t turns = 1 + random_below(4); turns > 0 && n > 0; turns--) {
        size_t at = random_below((uint32_t)n), end = token_end(out, n, at);
        const char *piece = pieces[random_below(N_PIECES)];
        switch (random_below(7)) {
        case 0: /* cut short */
            n = at;
            break;
        case 1: /* without a token */
            n = splice(out, n, at, end - at, "", 0);
            break;
        case 2: /* with another */
            n = splice(out, n, at, 0, piece, strlen(piece));
            break;
        case 3: /* in place of it */
            n = splice(out, n, at, end - at, piece, strlen(piece));
            break;
        case 4: /* a flipped bit */
            out[at] = (char)(out[at] ^ (1 << random_below(8)));
            break;
        case 5: { /* a part of another */
            uint32_t other = random_below(s->n);
            size_t begin = random_below((uint32_t)s->size[other]);
            size_t size = 1 + random_below((uint32_t)(s->size[other] - begin));
            n = splice(out, n, at, 0, s->text[other] + begin, size);
            break;
        }
        default: { /* a line twice, or not at all */
            size_t first = at, last = at;
            while (first > 0 && out[first - 1] != '\n') {
                first--;
            }
            while (last < n && out[last++] != '\n') {
            }
            char line[512];
            size_t size = last - first < sizeof line ? last - first : sizeof line;
            memcpy(line, out + first, size);
            n = random_below(2) ? splice(out, n, first, last - first, "", 0)
                                : splice(out, n, first, 0, line, size);
            break;
        }
        }
    }
    return n;
}

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

static void run_for_a_while(void (*one)(char *out, const seeds *s), const seeds *s)
{
    const char *limit = getenv("AIGC_FUZZ_SECONDS"), *seed = getenv("AIGC_FUZZ_SEED");
    double seconds = limit ? strtod(limit, NULL) : 2;
    random_state = seed ? strtoull(seed, NULL, 0) : 1;
    char *out = malloc(2 * MOST_BYTES);
    assert_non_null(out);
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    uint32_t n = 0;
    do {
        one(out, s);
        n++;
    } while (clock() < end);
    print_message("%u texts\n", n);
    free(out);
}

static void one_mutant(char *out, const seeds *s)
{
    try_text(out, mutate(out, s));
}

static void one_soup(char *out, const seeds *s)
{
    (void)s;
    try_text(out, soup(out));
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
    collect_seeds(s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    seeds *s = *state;
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->text[i]);
    }
    free(s);
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
