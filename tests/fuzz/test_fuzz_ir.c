/* IR as text that is nearly, hardly or not at all a module: it is refused with an error, or goes
 * all the way to code. Seeds are graphs of every stage, with kernels of every kind. */
#include "cli/compile.h"
#include "tests/fuzz/texts.h"

#include <unistd.h>

static const char *const pieces[] = {
    "group=",
    "open=1",
    "open=0",
    "split=",
    "grain=",
    "barrier=",
    "inplace=[",
    "family=",
    "index=",
    "axes=[",
    "axis=",
    "perm=[",
    "shape=[",
    "offsets=[",
    "labels=[",
    "math=\"bf16\"",
    "math=\"q8\"",
    "indices=[]",
    "causal=",
    "kernel",
    "reshape",
    "transpose",
    "slice",
    "concat",
    "update",
    "contract",
    "attention",
    "reduce_sum",
    "softmax",
    "rms_norm",
    "resize",
    "conv",
    "pool",
    "take",
    "loop",
    "get",
    "input",
    "param",
    "state",
    "return",
    "storage",
    "panels",
    "pairs",
    "taps",
    "rows",
    "stage planned",
    "stage kernel",
    "stage tensor",
    "f32",
    "bf16",
    "i32",
    "bool",
    "q8_0",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "=",
    "%0",
    "%1",
    "%3",
    "%7",
    "T",
    "pos+T",
    "2*T",
    "0",
    "1",
    "2",
    "-1",
    "64",
    "4096",
    "9223372036854775807",
    "\"",
    "\n",
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static void add_folder(seeds *s, const char *folder)
{
    char path[1024];
    snprintf(path, sizeof path, AIGC_SOURCE_DIR "/tests/golden/%s", folder);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') {
            continue;
        }
        size_t size;
        snprintf(path, sizeof path, AIGC_SOURCE_DIR "/tests/golden/%s/%s", folder, e->d_name);
        char *text = read_file(path, &size);
        assert_non_null(text);
        const char *mark = strstr(text, "\nmodel \"");
        if (mark) {
            add_seed(s, mark + 1, size - (size_t)(mark + 1 - text));
        }
        free(text);
    }
    if (d) {
        closedir(d);
    }
}

static char path[] = "/tmp/aigc-fuzzXXXXXX.air";

/* The text that a crash was about is found in AIGC_FUZZ_KEEP, when that is set. */
static void try_text(const char *text, size_t size)
{
    const char *keep = getenv("AIGC_FUZZ_KEEP"), *to = keep ? keep : path;
    FILE *f = fopen(to, "wb");
    assert_true(f && fwrite(text, 1, size, f) == size && fclose(f) == 0);
    uint32_t way = random_below(3);
    const compile_options o = {.level = way ? 2 : 0, .bf16 = way == 2, .no_cache = true};
    compiler *c = compile_create();
    size_t bytes;
    bool ok = compile_source(c, to, &o) && compile_lower(c, &o);
    ok = ok && (random_below(8) || compile_object(c, &o, &bytes));
    (void)diag_text(c->d, false);
    if (ok == (diag_error_count(c->d) > 0)) {
        fail_msg("%s:\n%.*s\n", ok ? "errors, and still code" : "no error", (int)size, text);
    }
    compile_destroy(c);
}

/* A seed whose kernel says of its columns, or of what it writes into, what need not be so. */
static size_t claim(char *out, const seeds *s)
{
    static const char *const claims[] = {
        "group=", "inplace=[0], group=", "split=", "open=1, grain=", "joined="};
    uint32_t from = random_below(s->n);
    size_t n = s->size[from], first = random_below((uint32_t)n);
    memcpy(out, s->text[from], n);
    out[n] = 0;
    const char *at = strstr(out + first, "family=\"");
    at = at ? at : strstr(out, "family=\"");
    if (at) {
        char text[64];
        int size = snprintf(text, sizeof text, ", %s%u", claims[random_below(sizeof claims / sizeof *claims)],
                            1u << random_below(12) >> random_below(3));
        size_t end = (size_t)(strchr(at + 8, '"') + 1 - out);
        n = splice(out, n, end, 0, text, (size_t)size);
    }
    return random_below(2) ? renumber(out, n, random_below((uint32_t)n)) : n;
}

static void one_mutant(char *out, const seeds *s)
{
    size_t n = (random_below(2) ? mutate : claim)(out, s);
    try_text(out, n);
}

static void one_soup(char *out, const seeds *s)
{
    try_text(out, soup(out, s));
}

static void test_mutants(void **state)
{
    run_for_a_while(one_mutant, *state);
}

static void test_soups(void **state)
{
    run_for_a_while(one_soup, *state);
}

static int set_up(void **state)
{
    seeds *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->pieces = pieces;
    s->n_pieces = N_PIECES;
    for (int id = 0; id < PASS_COUNT; id++) {
        add_folder(s, pass_get((pass_id)id)->name);
    }
    assert_true(s->n > 20);
    int f = mkstemps(path, 4);
    assert_true(f >= 0);
    close(f);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    free_seeds(*state);
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutants),
        cmocka_unit_test(test_soups),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
