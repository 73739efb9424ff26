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

/* A model by its path without .aigc, and its name. Vectors of x86-64's least level are as long as
 * NEON's, so that sums are formed in the same order. */
static void compare(const char *path, const char *model, const char *options, const char *cpu,
                    const char *sizes, double bound)
{
    enum { MOST = 1 << 18 };
    static double here[MOST], one[MOST], there[MOST];
    const char *source = AIGC_SOURCE_DIR;
    run("%s build %s/%s.aigc %s --no-cache --target x86-64 --cpu x86-64 -o here.o", AIGC_COMMAND,
        source, path, options);
    run("%s build %s/%s.aigc %s --no-cache --target aarch64-linux-gnu --cpu %s -o there.o",
        AIGC_COMMAND, source, path, options, cpu);
    run("%s -O1 -DMODEL=%s -I%s %s/tests/e2e/call_model.c here.o here/*.o -lm -lpthread -o "
        "call_here",
        AIGC_CC, model, source, source);
    run("aarch64-linux-gnu-gcc -static -O1 -DMODEL=%s -I%s %s/tests/e2e/call_model.c there.o "
        "there/*.o -lm -lpthread -o call_there",
        model, source, source);
    uint32_t n = numbers(here, MOST, "./call_here 1 %s", sizes);
    assert_true(n > 0 && n < MOST);
    for (int threads = 1; threads <= 3; threads += 2) {
        double *found = threads == 1 ? one : there;
        assert_int_equal(numbers(found, MOST, "qemu-aarch64 ./call_there %d %s", threads, sizes),
                         n);
        for (uint32_t i = 0; i < n; i++) {
            if (!(fabs(here[i] - one[i]) <= bound * (1 + fabs(here[i])))) {
                fail_msg("%s %s, number %u of %u: %.9g here, %.9g on aarch64", model, options, i, n,
                         here[i], one[i]);
            }
            if (threads > 1 && there[i] != one[i]) {
                fail_msg("%s %s, number %u: %.9g, with %d threads %.9g", model, options, i, one[i],
                         threads, there[i]);
            }
        }
    }
}

static void test_mlp(void **state)
{
    (void)state;
    compare("examples/mlp/mlp", "mlp", "-D inputs=37 -D hidden=19 -D classes=7", "generic", "5",
            1e-6);
}

static void test_gpt2(void **state)
{
    (void)state;
    compare("examples/gpt2/gpt2", "gpt2", "-D vocab=33 -D ctx=16 -D d=24 -D heads=3 -D layers=2",
            "generic", "5 1", 1e-5);
}

static void test_llama(void **state)
{
    (void)state;
    compare("examples/llama/llama", "llama",
            "-D vocab=33 -D ctx=16 -D d=24 -D hidden=40 -D heads=6 -D kv=3 -D layers=2", "generic",
            "5 1", 1e-5);
}

/* Every kind of product, with NEON's dot products and without: see the model. */
static void test_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *options, *cpu;
    } ways[] = {
        {"",                "generic"    },
        {"--math bf16",     "generic"    },
        {"--quantize q8_0", "generic"    },
        {"--quantize q4_0", "neoverse-n1"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        compare("tests/e2e/kernels", "kernels", ways[i].options, ways[i].cpu, "17 1 5", 2e-5);
    }
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return 1;
    }
    run("mkdir here there");
    run("cd here && %s -O1 -I%s -c %s/runtime/*.c", AIGC_CC, AIGC_SOURCE_DIR, AIGC_SOURCE_DIR);
    run("cd there && aarch64-linux-gnu-gcc -O1 -I%s -c %s/runtime/*.c", AIGC_SOURCE_DIR,
        AIGC_SOURCE_DIR);
    return 0;
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
                                       cmocka_unit_test(test_llama),
                                       cmocka_unit_test(test_kernels)};
    return cmocka_run_group_tests(tests, begin, end);
}
