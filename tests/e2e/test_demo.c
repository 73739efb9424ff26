/* The weights of examples/demo: text and logits equal to PyTorch's (demo_reference.py), by JIT,
 * linked object, program and shared library; the cache of objects; the command's exit codes. */
#include "e2e/e2e.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#define LLAMA   AIGC_SOURCE_DIR "/examples/llama/llama.aigc"
#define WEIGHTS AIGC_SOURCE_DIR "/examples/demo/model.safetensors"

static char folder[] = "/tmp/aigc-test-XXXXXX";

static json_t *reference(void)
{
    return e2e_json(AIGC_SOURCE_DIR "/tests/e2e/demo_reference.json");
}

static void check_ids(const char *text, const json_t *want)
{
    for (size_t i = 0; i < json_array_size(want); i++) {
        char *end;
        long id = strtol(text, &end, 10);
        if (end == text || id != json_integer_value(json_array_get(want, i))) {
            fail_msg("token %zu: expected %lld, found '%.20s'", i,
                     (long long)json_integer_value(json_array_get(want, i)), text);
        }
        text = end;
    }
}

static void test_jit(void **state)
{
    (void)state;
    json_t *all = reference(), *k;
    const char *prompt;
    for (int level = 0; level <= 3; level++) {
        e2e r = e2e_open(LLAMA, WEIGHTS, level, level % 2 + 1);
        json_object_foreach(all, prompt, k)
        {
            e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "greedy_ids"),
                       SIZE_MAX);
        }
        e2e_close(&r);
    }
    json_decref(all);
}

static void test_command(void **state)
{
    (void)state;
    json_t *all = reference(), *k;
    const char *prompt;
    int code;
    json_object_foreach(all, prompt, k)
    {
        for (int cached = 0; cached < 2; cached++) {
            char *text =
                e2e_command(&code,
                            "AIGC_CACHE_DIR=%s/cache %s generate %s --weights %s --prompt '%s' "
                            "--temperature 0 --max-tokens 100 --ids",
                            folder, AIGC_COMMAND, LLAMA, WEIGHTS, prompt);
            assert_int_equal(code, 0);
            check_ids(text, json_object_get(k, "greedy_ids"));
            free(text);
        }
    }
    json_decref(all);
}

static void test_linked_object(void **state)
{
    (void)state;
    json_t *all = reference(), *k = json_object_get(all, "ROMEO:");
    int code;
    free(e2e_command(
        &code,
        "cd %s && %s build %s --weights %s -o llama.o && %s -I%s -I. %s/examples/c/link.c "
        "llama.o %s/libaigc_io.a %s/libaigc_runtime.a "
        "-ljansson -lm -lpthread -o link",
        folder, AIGC_COMMAND, LLAMA, WEIGHTS, AIGC_CC, AIGC_SOURCE_DIR, AIGC_SOURCE_DIR,
        AIGC_LIB_DIR, AIGC_LIB_DIR));
    assert_int_equal(code, 0);
    char ids[1024] = "";
    for (size_t i = 0; i < json_array_size(json_object_get(k, "prompt_ids")); i++) {
        snprintf(
            ids + strlen(ids), sizeof ids - strlen(ids), " %lld",
            (long long)json_integer_value(json_array_get(json_object_get(k, "prompt_ids"), i)));
    }
    char *text = e2e_command(&code, "%s/link %s 100%s", folder, WEIGHTS, ids);
    assert_int_equal(code, 0);
    check_ids(text, json_object_get(k, "greedy_ids"));
    free(text);
    json_decref(all);
}

static void test_program(void **state)
{
    (void)state;
    json_t *all = reference(), *k = json_object_get(all, "ROMEO:");
    int code;
    free(e2e_command(&code, "CC='%s' %s build %s --weights %s --emit exe -o %s/llama", AIGC_CC,
                     AIGC_COMMAND, LLAMA, WEIGHTS, folder));
    assert_int_equal(code, 0);
    for (int threads = 1; threads <= 2; threads++) {
        char *text =
            e2e_command(&code,
                        "%s/llama --weights %s --prompt ROMEO: --temperature 0 --max-tokens 100 "
                        "--ids --threads %d",
                        folder, WEIGHTS, threads);
        assert_int_equal(code, 0);
        check_ids(text, json_object_get(k, "greedy_ids"));
        free(text);
    }
    json_decref(all);
}

static void test_other_target(void **state)
{
    (void)state;
    int code;
    free(e2e_command(&code, "cd %s && %s build %s --weights %s --target aarch64-linux-gnu -o arm.o",
                     folder, AIGC_COMMAND, LLAMA, WEIGHTS));
    assert_int_equal(code, 0);
    char path[256];
    unsigned char head[20];
    snprintf(path, sizeof path, "%s/arm.o", folder);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(head, 1, 20, f), 20);
    fclose(f);
    assert_memory_equal(head,
                        "\x7f"
                        "ELF",
                        4);
    assert_int_equal(head[18], 183); /* EM_AARCH64 */
}

static void test_damaged_cache(void **state)
{
    (void)state;
    int code;
    const char *command = "AIGC_CACHE_DIR=%s/cache2 %s run %s --weights %s --entry next --input "
                          "tokens=1,2,3 --input pos=0 2>&1";
    char *first = e2e_command(&code, command, folder, AIGC_COMMAND, LLAMA, WEIGHTS);
    assert_int_equal(code, 0);
    free(e2e_command(
        &code,
        "for f in %s/cache2/*; do printf damaged | dd of=$f bs=1 seek=3000 conv=notrunc "
        "2>/dev/null; done",
        folder));
    char *second = e2e_command(&code, command, folder, AIGC_COMMAND, LLAMA, WEIGHTS);
    assert_int_equal(code, 0);
    assert_string_equal(first, second);
    free(e2e_command(&code, "for f in %s/cache2/*; do truncate -s 100 $f; done", folder));
    char *third = e2e_command(&code, command, folder, AIGC_COMMAND, LLAMA, WEIGHTS);
    assert_string_equal(first, third);
    free(first);
    free(second);
    free(third);
}

/* What an object was made of is compared before it is used: options, and imported files too. */
static void test_changed_import(void **state)
{
    (void)state;
    static const struct {
        const char *number, *options, *result;
    } cases[] = {
        {"2", "",        " 2 4"  },
        {"2", "",        " 2 4"  },
        {"3", "",        " 3 6"  },
        {"3", "-D n=10", " 30 60"},
        {"3", "",        " 3 6"  },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code;
        char *text =
            e2e_command(&code,
                        "cd %s && echo 'fn times(x, n) = x * %s * n' > times.aigc && "
                        "printf 'import times\nmodel m(n = 1) {\n  entry f(x: f32[T]) -> f32[T] = "
                        "times.times(x, n)\n}\n' > m.aigc && AIGC_CACHE_DIR=%s/cache3 %s run "
                        "m.aigc %s --input x=1,2 2>&1",
                        folder, cases[i].number, folder, AIGC_COMMAND, cases[i].options);
        if (code != 0 || !strstr(text, cases[i].result)) {
            fail_msg("%zu: expected %s:\n%s", i, cases[i].result, text);
        }
        free(text);
    }
}

/* An object that is in the cache comes with the header that it was made with. */
static void test_built_again(void **state)
{
    (void)state;
    int code;
    char *text = e2e_command(
        &code,
        "cd %s && for n in 1 2; do rm -f x.o x.h && AIGC_CACHE_DIR=%s/cache4 %s build %s -o x.o && "
        "mkdir -p made$n && cp x.o x.h made$n && ls cache4 | wc -l; done 2>&1 && "
        "cmp made1/x.o made2/x.o && cmp made1/x.h made2/x.h && grep -c llama_forward made2/x.h",
        folder, folder, AIGC_COMMAND, LLAMA);
    assert_int_equal(code, 0);
    assert_non_null(strstr(text, "1\n1\n"));
    free(text);
}

/* What comes through a pipe can be read once. */
static void test_built_from_pipe(void **state)
{
    (void)state;
    int code;
    char *text = e2e_command(&code,
                             "cd %s && cat %s | AIGC_CACHE_DIR=%s/cache5 %s build /dev/stdin "
                             "-o piped.o 2>&1 && grep -c llama_forward piped.h",
                             folder, LLAMA, folder, AIGC_COMMAND);
    if (code != 0) {
        fail_msg("%s", text);
    }
    free(text);
}

static void test_exit_codes(void **state)
{
    (void)state;
    static const struct {
        const char *arguments;
        int code;
        const char *words;
    } cases[] = {
        {"",                                                                                    2, "usage"                        },
        {"--help",                                                                              0, "generate"                     },
        {"run --help",                                                                          0, "--entry"                      },
        {"frobnicate x",                                                                        2, "no command"                   },
        {"check /nonexistent.aigc",                                                             1, "No such file"                 },
        {"check " LLAMA " --frob",                                                              2, "unknown option"               },
        {"check " LLAMA " -D layers=6 --weights " WEIGHTS,                                      1, "the weights have 4 of these 6"},
        {"check " LLAMA " -D hidden=99 --weights " WEIGHTS,                                     1, "gate_proj"                    },
        {"check " LLAMA " --weights " WEIGHTS,                                                  0, "all parameters found"         },
        {"inspect " WEIGHTS,                                                                    0, "model.norm.weight"            },
        {"inspect " LLAMA,                                                                      0, "arena:"                       },
        {"run " LLAMA " --weights " WEIGHTS " --entry nothing",                                 2, "forward"                      },
        {"run " LLAMA " --weights " WEIGHTS " --entry next --input tokens=1,2 --input pos=255", 3,
         "pos + T <= ctx"                                                                                                         },
        {"run " LLAMA " --weights " WEIGHTS " --entry next --input tokens=1,2",                 2, "pos=NUMBER"                   },
        {"run " LLAMA " --weights " WEIGHTS " --entry next --input tokens=1 --input pos=x",     2,
         "found x"                                                                                                                },
        {"run " LLAMA " --weights " WEIGHTS
         " --entry next --input tokens=1 --input pos=0 --input poss=1",                2, "it has: tokens pos"           },
        {"run " LLAMA " --weights " WEIGHTS
         " --entry next --input tokens=1 --input pos=0 --output logits=x.npy",         2, "it has: out"                  },
        {"help build",                                                                          0, "--emit"                       },
        {"build --cpu help",                                                                    0, "x86-64-v3"                    },
        {"build --cpu help --target aarch64",                                                   0, "neoverse-v2"                  },
        {"build " LLAMA " --cpu hasswell -o x.o",                                               2, "did you mean 'haswell'"       },
        {"run " LLAMA " --cpu neoverse-n1",                                                     2, "it is one of aarch64"         },
        {"build " LLAMA " --target riscv64 -o x.o",                                             2, "x86-64 and aarch64"           },
        {"--version",                                                                           0, "aigc "                        },
        {"generate " LLAMA,                                                                     2, "--weights"                    },
        {"opt " LLAMA " --passes canonicalize,nothing",                                         1, "nothing"                      },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code;
        char *text = e2e_command(&code, "%s %s 2>&1", AIGC_COMMAND, cases[i].arguments);
        if (code != cases[i].code || !strstr(text, cases[i].words)) {
            fail_msg("aigc %s: exit %d, expected %d and '%s':\n%s", cases[i].arguments, code,
                     cases[i].code, cases[i].words, text);
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
    int code;
    free(e2e_command(&code, "rm -rf %s", folder));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_jit),
                                       cmocka_unit_test(test_command),
                                       cmocka_unit_test(test_linked_object),
                                       cmocka_unit_test(test_program),
                                       cmocka_unit_test(test_other_target),
                                       cmocka_unit_test(test_damaged_cache),
                                       cmocka_unit_test(test_changed_import),
                                       cmocka_unit_test(test_built_again),
                                       cmocka_unit_test(test_built_from_pipe),
                                       cmocka_unit_test(test_exit_codes)};
    return cmocka_run_group_tests(tests, begin, end);
}
