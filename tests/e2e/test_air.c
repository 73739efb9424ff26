/* Every command takes a model as IR text too, at every stage; what the text says of places in
 * memory is not believed. */
#include "e2e/e2e.h"

#include <sys/wait.h>
#include <unistd.h>

#define LLAMA   AIGC_SOURCE_DIR "/examples/llama/llama.aigc"
#define WEIGHTS AIGC_SOURCE_DIR "/examples/demo/model.safetensors"
#define CALL    " --weights " WEIGHTS " --entry next --input tokens=1,2,3 --input pos=0 --threads 1"

static char folder[] = "/tmp/aigc-test-XXXXXX";

/* What a command in the folder prints; its exit code must be that one. */
static char *run(int code, const char *format, ...)
{
    char command[4096], full[5120];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(full, sizeof full, "cd %s && (%s) 2>&1", folder, command);
    FILE *f = popen(full, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    int status = pclose(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
        fail_msg("%s: status %d\n%s", command, status, text);
    }
    return text;
}

static void test_stages(void **state)
{
    (void)state;
    static const char *const passes[] = {"", "--passes canonicalize",
                                         "--passes canonicalize,fuse_attention,fuse_elementwise",
                                         "-O0"};
    char *want = run(0, AIGC_COMMAND " run " LLAMA CALL);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        free(run(0, AIGC_COMMAND " opt " LLAMA " --weights " WEIGHTS " %s > m.air", passes[i]));
        char *got = run(0, AIGC_COMMAND " run m.air" CALL);
        if (i == 0) {
            assert_string_equal(got, want);
        }
        free(got);
        free(run(0, AIGC_COMMAND " check m.air --weights " WEIGHTS));
        free(run(0, AIGC_COMMAND " build m.air -o m.o"));
        char *shown = run(0, AIGC_COMMAND " inspect m.air");
        assert_non_null(strstr(shown, "entry next(tokens: i32[T], pos: dim) -> f32[512]\n"));
        assert_non_null(strstr(shown, "holds: T + pos <= 256\n"));
        assert_non_null(strstr(shown, "arena: "));
        assert_non_null(strstr(shown, "\nscratch: "));
        free(shown);
    }
    free(want);
}

/* A planned graph is planned again, to the same plan; places far out of the arena do no harm. */
static void test_planned(void **state)
{
    (void)state;
    free(run(0, AIGC_COMMAND " opt " LLAMA " --weights " WEIGHTS " > m.air && " AIGC_COMMAND
                             " opt m.air > n.air && cmp m.air n.air"));
    char *want = run(0, AIGC_COMMAND " run m.air" CALL);
    free(run(
        0, "sed 's/at=\\[1024[*]T/at=[99999999999*T/' m.air > far.air && ! cmp -s m.air far.air"));
    char *got = run(0, AIGC_COMMAND " run far.air" CALL);
    assert_string_equal(got, want);
    free(got);
    free(want);
}

/* What a kernel says of itself must be what its body is. */
static void test_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *edit, *words;
    } cases[] = {
        {"s/family=\"map\"/family=\"attention\"/", "this kernel's family is map, not attention"    },
        {"s/family=\"contract\"/family=\"map\"/",  "this kernel's family is contract, not map"     },
        {"s/family=\"map\"/family=\"zebra\"/",     "this kernel's family is map, not zebra"        },
        {"s/inplace=\\[0\\]/inplace=[99]/",        "is no update of the operand that inplace names"},
        {"s/inplace=\\[0\\]/inplace=[1]/",         "is no update of the operand that inplace names"},
        {"s/inplace=\\[0\\]/inplace=[0,0]/",       "is no update of the operand that inplace names"},
        {"s/, inplace=\\[0\\]//",                  "memory plan"                                   },
        {"s/split=[0-9]/split=77/",                NULL                                            }, /* partition's, made anew */
        {"s/grain=[0-9]*/grain=0/",                NULL                                            },
        {"s/barrier=1/barrier=0/",                 NULL                                            },
    };
    free(run(0, AIGC_COMMAND " opt " LLAMA " --weights " WEIGHTS " > m.air"));
    char *want = run(0, AIGC_COMMAND " run m.air" CALL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        free(run(0, "sed '%s' m.air > bad.air && ! cmp -s m.air bad.air", cases[i].edit));
        char *got = run(cases[i].words ? 1 : 0, AIGC_COMMAND " run bad.air" CALL);
        if (cases[i].words ? !strstr(got, cases[i].words) : strcmp(got, want) != 0) {
            fail_msg("%s: expected '%s', found %s", cases[i].edit,
                     cases[i].words ? cases[i].words : want, got);
        }
        free(got);
    }
    free(want);
}

/* Two products of the same rows, whose bodies hold constants, become one kernel; it needs no names.
 */
static const char joined[] =
    "model \"m\"\n"
    "param \"w1\" : f32[64, 4] storage f32\n"
    "param \"w2\" : f32[64, 4] storage f32\n"
    "entry \"f\" stage kernel (size T in 1..inf) (\n"
    "  %0 = input {name=\"x\", index=0} : f32[T, 64]\n"
    "  %1 = param {name=\"w1\", indices=[]} : f32[64, 4]\n"
    "  %2 = kernel %0, %1 {name=\"contract_0\", family=\"contract\"} : f32[T, 4] (\n"
    "    %0 = input {name=\"x0\", index=0} : f32[T, 64]\n"
    "    %1 = input {name=\"x1\", index=1} : f32[64, 4]\n"
    "    %2 = contract %0, %1 {labels=[\"ik\", \"kj\", \"ij\"]} : f32[T, 4]\n"
    "    %3 = const {data=(1, 2, 3, 4)} : f32[4]\n"
    "    %4 = add %2, %3 : f32[T, 4]\n"
    "    return \"y0\" = %4\n"
    "  )\n"
    "  %3 = param {name=\"w2\", indices=[]} : f32[64, 4]\n"
    "  %4 = kernel %0, %3 {name=\"contract_1\", family=\"contract\"} : f32[T, 4] (\n"
    "    %0 = input {name=\"x0\", index=0} : f32[T, 64]\n"
    "    %1 = input {name=\"x1\", index=1} : f32[64, 4]\n"
    "    %2 = contract %0, %1 {labels=[\"ik\", \"kj\", \"ij\"]} : f32[T, 4]\n"
    "    %3 = const {data=(50, 60, 70, 80)} : f32[4]\n"
    "    %4 = add %2, %3 : f32[T, 4]\n"
    "    return \"y0\" = %4\n"
    "  )\n"
    "  return \"out0\" = %2, \"out1\" = %4\n"
    ")\n";

static void test_joined(void **state)
{
    (void)state;
    e2e_write(folder, "joined.air", joined);
    free(run(0, "sed 's/name=\"contract_[01]\", //' joined.air > nameless.air"));
    free(run(0, AIGC_COMMAND " build joined.air -o joined.o --explain 2>&1 | grep 'made with'"));
    char *numbers = run(0, "seq -s, 0.1 0.1 6.4"), *results[3];
    numbers[strcspn(numbers, "\n")] = 0;
    static const char *const files[] = {"joined.air --interpret", "joined.air", "nameless.air"};
    for (int i = 0; i < 3; i++) {
        results[i] = run(0, AIGC_COMMAND " run %s --input x=%s | grep ^out", files[i], numbers);
        assert_string_equal(results[i], results[0]);
    }
    for (int i = 0; i < 3; i++) {
        free(results[i]);
    }
    free(numbers);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *command, *words;
        int code;
    } cases[] = {
        {"inspect nothing.air",               "No such file",                                                       1},
        {"check m.air -D layers=2",           "they are settled",                                                   1},
        {"build m.air --emit exe -o m",       "generate",                                                           1},
        {"generate m.air --weights " WEIGHTS, "generate",                                                           3},
        {"check wide.air",                    "panels are of a parameter with two axes or more, and 1 to 255 wide", 1},
        {"check short.air",                   "short.air:19:",                                                      1},
    };
    free(run(0, AIGC_COMMAND " opt " LLAMA " --weights " WEIGHTS
                             " > m.air && sed 's/panels [0-9]*/panels 300/' m.air > wide.air && "
                             "head -c 2000 m.air > short.air"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = run(cases[i].code, AIGC_COMMAND " %s", cases[i].command);
        if (!strstr(text, cases[i].words)) {
            fail_msg("aigc %s: expected '%s':\n%s", cases[i].command, cases[i].words, text);
        }
        free(text);
    }
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages), cmocka_unit_test(test_planned),
        cmocka_unit_test(test_kernels), cmocka_unit_test(test_joined),
        cmocka_unit_test(test_mistakes)};
    return cmocka_run_group_tests(tests, begin, end);
}
