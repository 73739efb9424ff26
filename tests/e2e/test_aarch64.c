/* Objects for aarch64, linked with the runtime and run by qemu, give what this machine's objects
 * give. Skipped where there is no qemu-aarch64 or no aarch64-linux-gnu-gcc. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/aigc-test-XXXXXX";

static FILE *start(const char *format, va_list args)
{
    char command[4096];
    size_t n = (size_t)snprintf(command, sizeof command, "cd %s && ", folder);
    vsnprintf(command + n, sizeof command - n, format, args);
    return popen(command, "r");
}

static void run(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    FILE *f = start(format, args);
    va_end(args);
    assert_non_null(f);
    int status = pclose(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("%s: status %d", format, status);
    }
}

/* The numbers a command prints. */
static uint32_t numbers(double *out, uint32_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    FILE *f = start(format, args);
    va_end(args);
    assert_non_null(f);
    uint32_t n = 0;
    while (n < room && fscanf(f, "%lf", &out[n]) == 1) {
        n++;
    }
    int status = pclose(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("%s: status %d", format, status);
    }
    return n;
}

static void compare(const char *model, const char *defines, uint32_t expected, double bound)
{
    enum { MOST = 4096 };
    static double here[MOST], there[MOST];
    const char *source = AIGC_SOURCE_DIR;
    run("%s build %s/examples/%s/%s.aigc %s --no-cache -o here.o", AIGC_COMMAND, source, model,
        model, defines);
    run("%s build %s/examples/%s/%s.aigc %s --no-cache --target aarch64-linux-gnu -o there.o",
        AIGC_COMMAND, source, model, model, defines);
    run("%s -O1 -DMODEL=%s -I%s %s/tests/e2e/call_model.c here.o %s/runtime/*.c -lm -lpthread -o "
        "here",
        AIGC_CC, model, source, source, source);
    run("aarch64-linux-gnu-gcc -static -O1 -DMODEL=%s -I%s %s/tests/e2e/call_model.c there.o "
        "%s/runtime/*.c -lm -lpthread -o there",
        model, source, source, source);
    assert_int_equal(numbers(here, MOST, "./here 1"), expected);
    for (int threads = 1; threads <= 2; threads++) {
        assert_int_equal(numbers(there, MOST, "qemu-aarch64 ./there %d", threads), expected);
        for (uint32_t i = 0; i < expected; i++) {
            if (!(fabs(here[i] - there[i]) <= bound)) {
                fail_msg("%s, %d threads, number %u: %.9g here, %.9g on aarch64", model, threads, i,
                         here[i], there[i]);
            }
        }
    }
}

static void test_mlp(void **state)
{
    (void)state;
    compare("mlp", "-D inputs=37 -D hidden=19 -D classes=7", 5 * 7, 1e-6);
}

static void test_gpt2(void **state)
{
    (void)state;
    compare("gpt2", "-D vocab=33 -D ctx=16 -D d=24 -D heads=3 -D layers=2", 6 * 33, 1e-5);
}

static void test_llama(void **state)
{
    (void)state;
    compare("llama", "-D vocab=33 -D ctx=16 -D d=24 -D hidden=40 -D heads=6 -D kv=3 -D layers=2",
            6 * 33, 1e-5);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    if (system(
            "command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null") !=
        0) {
        printf("skipped: no qemu-aarch64 or no aarch64-linux-gnu-gcc\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlp), cmocka_unit_test(test_gpt2),
                                       cmocka_unit_test(test_llama)};
    return cmocka_run_group_tests(tests, begin, end);
}
