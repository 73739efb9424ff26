/* The documentation names what there is: every built-in function, pass, op, attribute and command.
 */
#include "frontend/elab.h"
#include "passes/pass.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The text of a file of the repository; NULL when it is not there. */
static char *text_of(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", AIGC_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    fclose(f);
    return text;
}

static void expect(const char *file, const char *text, const char *before, const char *word,
                   const char *after)
{
    char what[256];
    snprintf(what, sizeof what, "%s%s%s", before, word, after);
    if (!strstr(text, what)) {
        print_error("%s says nothing of %s\n", file, what);
        fail();
    }
}

static void test_builtins(void **state)
{
    (void)state;
    static const builtin *const tables[] = {builtins_elementwise, builtins_reduce, builtins_shape,
                                            builtins_window,      builtins_random, builtins_loss,
                                            builtins_static,      builtins_einops};
    char *text = text_of("docs/builtins.md");
    assert_non_null(text);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const builtin *b = tables[i]; b->name; b++) {
            expect("docs/builtins.md", text, "`", b->name, "(");
        }
    }
    free(text);
}

static void test_passes(void **state)
{
    (void)state;
    char *text = text_of("docs/add-a-pass.md");
    assert_non_null(text);
    for (int i = 0; i < PASS_COUNT; i++) {
        expect("docs/add-a-pass.md", text, "`", pass_get((pass_id)i)->name, "`");
    }
    free(text);
}

/* Every op and attribute has its row; the example is what the command prints. */
static void test_ir(void **state)
{
    (void)state;
    char *text = text_of("docs/ir.md"), *example = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_non_null(example);
    for (int i = 0; i < IR_OP_COUNT; i++) {
        expect("docs/ir.md", text, "\n| `", ir_op_name((ir_op)i), "` |");
    }
    for (int i = 0; i < IR_ATTR_COUNT; i++) {
        expect("docs/ir.md", text, "\n| `", ir_attr_name((ir_attr_key)i), "` |");
    }
    FILE *f = popen(
        AIGC_COMMAND " opt " AIGC_SOURCE_DIR "/examples/mlp/mlp.aigc --passes canonicalize", "r");
    assert_non_null(f);
    assert_true(fread(example, 1, (1 << 16) - 1, f) > 100);
    assert_int_equal(pclose(f), 0);
    assert_non_null(strstr(text, example));
    free(text);
    free(example);
}

/* Every page of docs has its line in the index. */
static void test_index(void **state)
{
    (void)state;
    char *text = text_of("docs/README.md"), name[128];
    assert_non_null(text);
    FILE *f = popen("ls " AIGC_SOURCE_DIR "/docs", "r");
    assert_non_null(f);
    while (fscanf(f, "%127s", name) == 1) {
        if (strcmp(name, "README.md") != 0 && strstr(name, ".md")) {
            expect("docs/README.md", text, "(", name, ")");
        }
    }
    pclose(f);
    free(text);
}

/* What `aigc help` lists is in the README. */
static void test_commands(void **state)
{
    (void)state;
    char *text = text_of("README.md"), line[256], name[32];
    if (!text) {
        print_message("skipped: no README.md\n");
        skip();
    }
    FILE *f = popen(AIGC_COMMAND " help", "r");
    assert_non_null(f);
    uint32_t n = 0;
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "  %31[a-z] ", name) == 1 && strncmp(line, "  ", 2) == 0) {
            expect("README.md", text, "aigc ", name, "");
            n++;
        }
    }
    assert_true(pclose(f) == 0 && n > 3);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtins), cmocka_unit_test(test_passes), cmocka_unit_test(test_ir),
        cmocka_unit_test(test_index), cmocka_unit_test(test_commands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
