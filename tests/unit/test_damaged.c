/* Files with mistakes of syntax: what is whole is elaborated nonetheless, and tells no mistake that
 * is none. */
#include "frontend/ast.h"
#include "frontend/frontend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/parser_mistakes.h"

static uint32_t errors_of(const char *text, bool elaborate, const char **told)
{
    arena *a = arena_create();
    source_map *s = source_map_create(a);
    diag *d = diag_create(a, s);
    const source_file *f = source_add(s, "test.aigc", text, strlen(text));
    assert_non_null(f);
    intern_table *names = intern_create(a);
    if (elaborate) {
        frontend_options o = {0};
        (void)frontend_compile(ir_ctx_create(a, names), d, f, &o);
    } else {
        (void)ast_parse(a, names, d, f);
    }
    uint32_t n = diag_error_count(d);
    static char kept[8192];
    snprintf(kept, sizeof kept, "%s", diag_text(d, false));
    *told = kept;
    arena_destroy(a);
    return n;
}

static void test_no_more_errors(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const char *told;
        uint32_t parsed = errors_of(mistakes[i].text, false, &told),
                 all = errors_of(mistakes[i].text, true, &told);
        if (parsed != 0 && all != parsed) {
            print_message("%u errors of syntax, %u in all:\n%s\n%s\n", parsed, all,
                          mistakes[i].text, told);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
