/* A model of every kind that a textbook has (zoo/): each is checked, compiled at -O0 and -O3, and
 * its parameters are filled. */
#include "cli/libaigc.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void compile(const char *path, int level)
{
    aigc_program *p;
    aigc_context *c;
    aigc_error err;
    char *messages = NULL;
    aigc_settings s = {.opt_level = level, .no_cache = true};
    if (aigc_program_create(path, &s, &p, &messages, &err) != AIGC_OK) {
        fail_msg("%s: %s\n%s", path, err.text, messages ? messages : "");
    }
    aigc_context_options o = {.n_threads = 2};
    assert_int_equal(aigc_program_context(p, &o, &c, &err), AIGC_OK);
    assert_true(aigc_program_model(p)->n_entries > 0);
    aigc_context_destroy(c);
    aigc_program_destroy(p);
    free(messages);
}

static void test_all(void **state)
{
    (void)state;
    DIR *d = opendir(AIGC_SOURCE_DIR "/tests/e2e/zoo");
    assert_non_null(d);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".aigc") != 0) {
            continue;
        }
        char path[512];
        snprintf(path, sizeof path, "%s/tests/e2e/zoo/%.200s", AIGC_SOURCE_DIR, e->d_name);
        compile(path, 0);
        compile(path, 3);
        n++;
    }
    closedir(d);
    print_message("%d models\n", n);
    assert_true(n >= 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
