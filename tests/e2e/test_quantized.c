/* --quantize by the command line: what is packed, built and cached with it gives what `aigc run
 * --quantize` gives, to the last bit; what stays as it is, is told; mistakes are, too. */
#include "e2e/e2e.h"

#include <unistd.h>

#define LLAMA   AIGC_SOURCE_DIR "/examples/llama/llama.aigc"
#define WEIGHTS AIGC_SOURCE_DIR "/examples/demo/model.safetensors"

/* Matrices as GPT-2 keeps them, [in, out], and as Llama does; one for no blocks of 32, a table. */
static const char model[] =
    "model m {\n  down: f32[64, 40]\n  up: f32[96, 40]\n  out: f32[64, 96]\n  e: f32[9, 64]\n"
    "  entry go(ids: i32[T]) -> f32[T, 64] = relu(relu(e[ids] @ down) @ up.T) @ out.T\n}\n";
static const struct {
    const char *name;
    int64_t rows, columns;
} matrices[] = {
    {"down", 64, 40},
    {"e",    9,  64},
    {"out",  64, 96},
    {"up",   96, 40},
};
enum { N_MATRICES = sizeof matrices / sizeof *matrices };

static const char *const kinds[] = {"q8_0", "q4_0", "f16", "bf16"};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* Options with what is called, of the small model and of a Llama with a tied table. */
static const struct {
    const char *model, *weights, *call;
} runs[] = {
    {"m.aigc", "m.safetensors", "--input ids=3,1,8,1"                                },
    {LLAMA,    WEIGHTS,         "--entry next --input pos=0 --input tokens=1,5,9,2,7"},
};

static char folder[] = "/tmp/aigc-quantize-XXXXXX";

/* The same as e2e_command, within the folder; messages come with the output. */
static char *run(int *code, const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return e2e_command(code, "cd %s && export AIGC_CACHE_DIR=cache && { %s; } 2>&1", folder,
                       command);
}

static void expect(const char *command, int code, int wanted, const char *text, const char *words)
{
    if (code != wanted || !strstr(text, words)) {
        fail_msg("%s: exit %d, expected %d and '%s':\n%s", command, code, wanted, words, text);
    }
}

/* The bytes of what the call gives, as words; free them. */
static char *result(size_t which, const char *weights, const char *options)
{
    int code;
    char *text = run(&code, "%s run %s --weights %s %s %s --output out.npy && sha256sum < out.npy",
                     AIGC_COMMAND, runs[which].model, weights, runs[which].call, options);
    expect(options, code, 0, text, "  -");
    return text;
}

static void expect_same(const char *what, char *one, char *other)
{
    if (strcmp(one, other) != 0) {
        fail_msg("%s: %s and %s", what, one, other);
    }
    free(one);
    free(other);
}

static void expect_other(const char *what, const char *one, const char *other)
{
    if (strcmp(one, other) == 0) {
        fail_msg("%s: the same, %s", what, one);
    }
}

static char *options_of(const char *kind, const char *more)
{
    static char text[128];
    snprintf(text, sizeof text, "--quantize %s %s", kind, more);
    return text;
}

/* Every kind is another model, on any number of threads; and no object of another kind is taken
 * from the cache. */
static void test_cached(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *found[N_KINDS + 1] = {result(i, runs[i].weights, "")};
        for (int k = 0; k < N_KINDS; k++) {
            found[k + 1] = result(i, runs[i].weights, options_of(kinds[k], "--threads 1"));
            for (int before = 0; before <= k; before++) {
                bool halves = i == 1 && before == 0 && strcmp(kinds[k], "f16") == 0;
                if (!halves) { /* the Llama's file is of f16 */
                    expect_other(kinds[k], found[before], found[k + 1]);
                }
            }
        }
        for (int k = 0; k < N_KINDS; k++) { /* now from the cache */
            expect_same(kinds[k], found[k + 1],
                        result(i, runs[i].weights, options_of(kinds[k], "--threads 3")));
        }
        expect_same("without", found[0], result(i, runs[i].weights, ""));
    }
}

/* What was packed says by itself how it is kept. */
static void test_packed(void **state)
{
    (void)state;
    static const char *const more[] = {"", "-O0",
#ifdef __x86_64__
                                       "--cpu x86-64"
#endif
    };
    for (size_t i = 0; i < 2; i++) {
        for (size_t o = 0; o < sizeof more / sizeof *more; o++) {
            for (int k = 0; k < N_KINDS; k++) {
                int code;
                char *options = options_of(kinds[k], more[o]), *told;
                told = run(&code, "%s pack %s --weights %s %s -o p.aigcw", AIGC_COMMAND,
                           runs[i].model, runs[i].weights, options);
                expect(options, code, 0, told, "");
                free(told);
                expect_same(options, result(i, runs[i].weights, options),
                            result(i, "p.aigcw", more[o]));
                expect_same(options, result(i, runs[i].weights, options),
                            result(i, "p.aigcw", options));
            }
        }
    }
}

/* A program makes of the file what it was compiled for, or takes what was packed for it. */
static void test_program(void **state)
{
    (void)state;
    const char *how = "--prompt 'ROMEO:' --temperature 0 --max-tokens 30";
    for (int k = 0; k < 2; k++) {
        int code;
        char *wanted = run(&code, "%s generate %s --weights %s --quantize %s %s", AIGC_COMMAND,
                           LLAMA, WEIGHTS, kinds[k], how);
        assert_int_equal(code, 0);
        char *told =
            run(&code,
                "%s pack %s --weights %s --quantize %s -o program.aigcw && CC='%s' %s build "
                "%s --weights %s --quantize %s --emit exe -o program",
                AIGC_COMMAND, LLAMA, WEIGHTS, kinds[k], AIGC_CC, AIGC_COMMAND, LLAMA, WEIGHTS,
                kinds[k]);
        expect("build", code, 0, told, "");
        free(told);
        static const char *const files[] = {WEIGHTS, "program.aigcw"};
        for (int f = 0; f < 2; f++) {
            char *text = run(&code, "./program --weights %s --tokenizer %s %s", files[f],
                             AIGC_SOURCE_DIR "/examples/demo/tokenizer.json", how);
            expect(files[f], code, 0, text, wanted);
            free(text);
        }
        free(wanted);
    }
}

static void test_told(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int code;
        const char *words;
    } cases[] = {
        {"run m.aigc --quantize q5_0",                                      2, "--quantize is one of f16, bf16, q8_0, q4_0"},
        {"run m.aigc --quantize",                                           2, "needs a value"                             },
        {"run m.aigc --interpret --quantize q8_0 --input ids=1",            1, "it does not quantize"                      },
        {"check m.aigc --weights m.safetensors --quantize q8_0 --explain",  0,
         "down is kept as q8_0, f32 in the file (2720 bytes, not 10240)"                                                   },
        {"check m.aigc --weights m.safetensors --quantize q8_0 --explain",  0,
         "up stays f32: its products do not sum over a multiple of 32"                                                     },
        {"check m.aigc --weights m.safetensors --quantize q8_0 --explain",  0,
         "e stays f32: only its rows are read"                                                                             },
        {"check m.aigc --weights m.safetensors --quantize bf16 --explain",  0, "e is kept as bf16"                         },
        {"check " LLAMA " --weights " WEIGHTS " --quantize q8_0 --explain", 0,
         "model.norm.weight stays f16: no product reads it"                                                                },
        {"check small.aigc --quantize q4_0",                                0, "no parameter can be kept so"               },
        {"inspect m.aigc --quantize q8_0",                                  0, "q8_0[64, 40]"                              },
        {"pack m.aigc --weights m.safetensors -o p.aigcw",                  0, ""                                          },
        {"run m.aigc --weights p.aigcw --quantize q8_0 --input ids=1",      1,
         "pack the original again"                                                                                         },
        {"pack m.aigc --weights m.safetensors --quantize q8_0 -o p.aigcw",  0, ""                                          },
        {"check m.aigc --weights p.aigcw --quantize q4_0 --explain",        0,
         "out stays q8_0: it is in blocks in the file"                                                                     },
        {"run up.air --weights m.safetensors --input x=1",                  1, "the model was compiled for q8_0"           },
        {"run m.aigc --help",                                               0, "--quantize KIND"                           },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code;
        char *text = run(&code, "%s %s", AIGC_COMMAND, cases[i].command);
        expect(cases[i].command, code, cases[i].code, text, cases[i].words);
        free(text);
    }
}

/* Programs that hold the compiler are told as well. */
static void test_library(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/m.aigc", folder);
    aigc_settings s = {.opt_level = 2, .quantize = "q5_0", .no_cache = true};
    aigc_program *p;
    aigc_error err;
    assert_int_not_equal(aigc_program_create(path, &s, &p, NULL, &err), AIGC_OK);
    assert_non_null(strstr(err.text, "no quantizing to q5_0; there is to f16, bf16, q8_0, q4_0"));
}

static void write_weights(void)
{
    static float numbers[N_MATRICES][64 * 96];
    const char *names[N_MATRICES];
    aigc_tensor t[N_MATRICES];
    aigc_error err;
    char path[128];
    for (int m = 0; m < N_MATRICES; m++) {
        names[m] = matrices[m].name;
        t[m] = (aigc_tensor){
            numbers[m], AIGC_F32, 2, {matrices[m].rows, matrices[m].columns}
        };
        for (int i = 0; i < matrices[m].rows * matrices[m].columns; i++) {
            numbers[m][i] = sinf((float)(i * (m + 3)));
        }
    }
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    assert_int_equal(safetensors_write(path, N_MATRICES, names, t, &err), AIGC_OK);
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return 1;
    }
    e2e_write(folder, "m.aigc", model);
    e2e_write(folder, "small.aigc",
              "model s {\n  b: f32[8]\n  entry go(x: f32[8]) -> f32[8] = x + b\n}\n");
    /* Text may ask for blocks where there can be none. */
    e2e_write(folder, "up.air",
              "model \"m\"\nparam \"up\" : f32[96, 40] storage q8_0 panels 16 nk\n"
              "entry \"f\" stage tensor () (\n"
              "  %0 = input {name=\"x\", index=0} : f32[1, 40]\n"
              "  %1 = param {name=\"up\", indices=[]} : f32[96, 40]\n"
              "  %2 = contract %0, %1 {labels=[\"ik\", \"jk\", \"ij\"]} : f32[1, 96]\n"
              "  return \"out\" = %2\n)\n");
    write_weights();
    return 0;
}

static int end(void **state)
{
    (void)state;
    int code;
    free(run(&code, "rm -rf %s", folder));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cached),  cmocka_unit_test(test_packed),
        cmocka_unit_test(test_program), cmocka_unit_test(test_told),
        cmocka_unit_test(test_library),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
