/* The layer loop stays one loop, through the passes and LLVM: building 48 layers takes hardly more
 * instructions than building 2. Counted by callgrind; skipped where there is no valgrind, or where
 * a sanitizer is in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double instructions(const char *model, int layers)
{
    char command[2048], line[512];
    snprintf(command, sizeof command,
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null %s build "
             "%s/examples/%s/%s.aigc -D layers=%d -D vocab=128 -D ctx=32 -D d=64 -D heads=4 %s "
             "-O1 --cpu x86-64-v3 --target x86_64-linux-gnu --no-cache --emit object -o - 2>&1 "
             ">/dev/null",
             AIGC_COMMAND, AIGC_SOURCE_DIR, model, model, layers,
             strcmp(model, "llama") == 0 ? "-D hidden=128 -D kv=2" : "");
    FILE *f = popen(command, "r");
    assert_non_null(f);
    double n = 0;
    while (fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "Collected : ");
        n = at ? strtod(at + strlen("Collected : "), NULL) : n;
    }
    assert_int_equal(pclose(f), 0);
    assert_true(n > 0);
    return n;
}

static void check(const char *model)
{
    double few = instructions(model, 2), many = instructions(model, 48);
    print_message("%s: %.0f million instructions for 2 layers, %.0f for 48\n", model, few / 1e6,
                  many / 1e6);
    if (many > 1.1 * few) {
        fail_msg("%s: 48 layers take %.2f times the instructions of 2", model, many / few);
    }
}

static void test_llama(void **state)
{
    (void)state;
    check("llama");
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("skipped: built with a sanitizer\n");
    return 77;
#endif
    if (system("command -v valgrind >/dev/null") != 0) {
        printf("skipped: no valgrind\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_llama)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
