/* Golden files: tests/golden/PASS/CASE.aigc or .air.
 *
 *     # one reason                           the first comment says what the case is about
 *     # run: canonicalize,fuse_softmax       the passes; by default those that come before the
 * folder's, up to it
 *     # math: bf16                           as --math bf16, on a machine that multiplies bf16
 *     # math: bf16 without dots              as --math bf16, on one that does not
 *     # quantize: q8_0                       as --quantize q8_0
 *     ...                                    a model, as source or as IR text
 *     # expect:                              the IR afterwards
 *     ...
 *
 * or, where nothing may happen, `# expect: unchanged` (by the last pass). Of every case it is also
 * checked that the last pass run again changes nothing, and that the IR as text reads back as it
 * was printed. AIGC_UPDATE=1 writes what was found. */
#include "cli/compile.h"
#include "ir/text.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

typedef struct golden {
    char path[512];
    bool is_air, bf16, bf16_dots;
    char *text, *expect; /* the model, and what follows "# expect:" */
    char run[256];
    char quantize[16];
    char folder[64];
} golden;

static uint32_t n_cases;

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    text[n] = 0;
    return text;
}

/* The passes before the folder's in the pipeline that have the same stage of input, and it. */
static void default_run(golden *g)
{
    pass_id last;
    if (!pass_from_name(g->folder, &last)) {
        fail_msg("%s: there is no pass %s", g->path, g->folder);
    }
    g->run[0] = 0;
    for (int id = 0; id <= (int)last; id++) {
        strcat(g->run, id ? "," : "");
        strcat(g->run, pass_get((pass_id)id)->name);
    }
}

static void open_golden(golden *g)
{
    g->text = read_all(g->path);
    size_t n = strlen(g->path);
    g->is_air = strcmp(g->path + n - 4, ".air") == 0;
    char *mark = strstr(g->text, "\n# expect:");
    g->expect = mark ? mark + 10 : NULL;
    if (mark) {
        mark[1] = 0;
    }
    g->bf16 = strstr(g->text, "# math: bf16") != NULL;
    g->bf16_dots = strstr(g->text, "# math: bf16\n") != NULL;
    char *quantize = strstr(g->text, "# quantize: ");
    if (quantize) {
        snprintf(g->quantize, sizeof g->quantize, "%.*s", (int)strcspn(quantize + 12, "\n"),
                 quantize + 12);
    }
    char *run = strstr(g->text, "# run: ");
    if (run) {
        snprintf(g->run, sizeof g->run, "%.*s", (int)strcspn(run + 7, "\n"), run + 7);
    } else {
        default_run(g);
    }
}

static void compile_golden(const golden *g, compiler *c)
{
    const source_file *f = source_add(diag_sources(c->d), g->is_air ? "case.air" : "case.aigc",
                                      g->text, strlen(g->text));
    frontend_options fo = {0};
    c->m = g->is_air ? ir_read_module(c->ctx, c->d, f) : frontend_compile(c->ctx, c->d, f, &fo);
    if (!c->m || diag_error_count(c->d)) {
        fail_msg("%s: %s", g->path, diag_text(c->d, false));
    }
}

static const char *run_passes(const golden *g, compiler *c, const char *names)
{
    pass_options o = {.level = 2,
                      .panel = 32,
                      .channels = 8,
                      .bf16 = g->bf16,
                      .bf16_dots = g->bf16_dots,
                      .quantize = g->quantize[0] ? g->quantize : NULL,
                      .verify = true};
    if (!pass_run_named(c->m, c->d, names, &o) || diag_error_count(c->d)) {
        fail_msg("%s: %s: %s", g->path, names, diag_text(c->d, false));
    }
    return ir_print_module(c->m, c->a);
}

static void check_text(const golden *g, const char *printed)
{
    compiler *c = compile_create();
    const source_file *f = source_add(diag_sources(c->d), "printed.air", printed, strlen(printed));
    ir_module *m = ir_read_module(c->ctx, c->d, f);
    if (!m || diag_error_count(c->d)) {
        fail_msg("%s: what was printed does not read back: %s\n%s", g->path, diag_text(c->d, false),
                 printed);
    }
    const char *again = ir_print_module(m, c->a);
    if (strcmp(again, printed) != 0) {
        fail_msg("%s: printed, read and printed again it is\n%s\nbut was\n%s", g->path, again,
                 printed);
    }
    compile_destroy(c);
}

static void update(const golden *g, const char *found)
{
    FILE *f = fopen(g->path, "wb");
    assert_non_null(f);
    fprintf(f, "%s# expect:\n%s", g->text, found);
    fclose(f);
}

static void check_golden(golden *g)
{
    open_golden(g);
    compiler *c = compile_create();
    compile_golden(g, c);
    check_text(g, ir_print_module(c->m, c->a));
    char *comma = strrchr(g->run, ',');
    const char *last = comma ? comma + 1 : g->run, *before = "";
    if (comma) {
        *comma = 0;
        before = run_passes(g, c, g->run);
        check_text(g, before);
    } else {
        before = ir_print_module(c->m, c->a);
    }
    const char *found = run_passes(g, c, last);
    check_text(g, found);
    const char *again = run_passes(g, c, last);
    if (strcmp(again, found) != 0) {
        fail_msg("%s: %s run again changes\n%s\nto\n%s", g->path, last, found, again);
    }
    bool unchanged = g->expect && strncmp(g->expect, " unchanged", 10) == 0;
    if (unchanged && strcmp(before, found) != 0) {
        fail_msg("%s: %s must change nothing; before\n%s\nafter\n%s", g->path, last, before, found);
    } else if (!unchanged && getenv("AIGC_UPDATE")) {
        update(g, found);
    } else if (!unchanged && (!g->expect || strcmp(g->expect + 1, found) != 0)) {
        fail_msg("%s: expected\n%s\nfound\n%s", g->path,
                 g->expect ? g->expect : "(nothing is said)", found);
    }
    compile_destroy(c);
    free(g->text);
    n_cases++;
}

static bool is_case(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".aigc") == 0 || strcmp(dot, ".air") == 0);
}

static void check_folder(const char *folder)
{
    char path[256];
    snprintf(path, sizeof path, AIGC_SOURCE_DIR "/tests/golden/%s", folder);
    DIR *d = opendir(path);
    if (!d) {
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (is_case(e->d_name)) {
            golden g = {0};
            snprintf(g.path, sizeof g.path, "%s/%.200s", path, e->d_name);
            snprintf(g.folder, sizeof g.folder, "%s", folder);
            check_golden(&g);
        }
    }
    closedir(d);
}

static void test_goldens(void **state)
{
    (void)state;
    for (int id = 0; id < PASS_COUNT; id++) {
        uint32_t before = n_cases;
        check_folder(pass_get((pass_id)id)->name);
        if (n_cases == before) {
            fail_msg("the pass %s has no golden files", pass_get((pass_id)id)->name);
        }
    }
    print_message("%u golden files\n", n_cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
