/* aigc pack: what is computed from packed weights is what is computed from the original, to the
 * last bit; text is generated from the packed file alone; files for other kernels are refused. */
#include "e2e/e2e.h"

#include <unistd.h>

#define LLAMA   AIGC_SOURCE_DIR "/examples/llama/llama.aigc"
#define WEIGHTS AIGC_SOURCE_DIR "/examples/demo/model.safetensors"

static char folder[] = "/tmp/aigc-packed-XXXXXX";

/* The same as e2e_command, within the folder. */
static char *run(int *code, const char *format, ...)
{
    char command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return e2e_command(code, "cd %s && %s", folder, command);
}

static void expect(const char *text, int code, int wanted, const char *words)
{
    if (code != wanted || (words && !strstr(text, words))) {
        fail_msg("exit %d, expected %d and '%s':\n%s", code, wanted, words ? words : "", text);
    }
}

static void check_same(const char *weights, const char *options)
{
    static const char *const calls[] = {"--entry next --input pos=0 --input tokens=1,5,9,2,7",
                                        "--entry next --input pos=0 --input tokens=3"};
    int code;
    char *told = run(&code, "%s pack %s --weights %s %s -o p.aigcw 2>&1", AIGC_COMMAND, LLAMA,
                     weights, options);
    expect(told, code, 0, NULL);
    free(told);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char *texts[2];
        for (int k = 0; k < 2; k++) {
            texts[k] = run(&code,
                           "AIGC_CACHE_DIR=cache %s run %s --weights %s %s %s --output out.npy "
                           "2>&1 && sha256sum out.npy",
                           AIGC_COMMAND, LLAMA, k ? "p.aigcw" : weights, options, calls[i]);
            expect(texts[k], code, 0, "out.npy");
        }
        if (strcmp(texts[0], texts[1]) != 0) {
            fail_msg("%s %s: %s and %s", weights, options, texts[0], texts[1]);
        }
        free(texts[0]);
        free(texts[1]);
    }
}

/* Machines without a wide one's instructions compile for it, but do not run it. */
static const char *const every_options[] = {"",
                                            "-O0",
                                            "--math bf16",
#ifdef __x86_64__
                                            "--cpu x86-64",
                                            "--cpu x86-64 --math bf16",
                                            "--cpu x86-64-v3",
                                            "--cpu x86-64-v3 --math bf16"
#endif
};
enum { N_OPTIONS = sizeof every_options / sizeof *every_options };

static void test_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_OPTIONS; i++) {
        check_same(WEIGHTS, every_options[i]);
    }
}

static void test_same_blocks(void **state)
{
    (void)state;
    static const char *const files[] = {"stories260K/model.gguf", "stories260K/model-q8_0.gguf",
                                        "stories260K/model-q4_0.gguf"};
    char path[1024];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)e2e_model(files[i], path);
        for (size_t k = 0; k < N_OPTIONS; k += 3) { /* this machine, and one or two others */
            check_same(path, every_options[k]);
        }
    }
}

/* Weights of convolutions are packed as matrices. */
static void test_convolutions(void **state)
{
    (void)state;
    static const char model[] =
        "model m {\n  w: f32[8, 3, 3, 3]\n  t: f32[8, 8, 2, 2]\n"
        "  entry go() -> f32[1, 8, 24, 24] {\n"
        "    x = cast(reshape(arange(432), [1, 3, 12, 12]), f32)\n"
        "    return conv_transpose2d(conv2d(x, w, none, 1, 1), t, none, 2)\n"
        "  }\n}\n";
    static const char header[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[8,3,3,3],\"data_offsets\":[0,864]},"
        "\"t\":{\"dtype\":\"F32\",\"shape\":[8,8,2,2],\"data_offsets\":[864,1888]}}";
    char path[128];
    snprintf(path, sizeof path, "%s/conv.aigc", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(model, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/conv.safetensors", folder);
    f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t size = sizeof header - 1;
    fwrite(&size, 8, 1, f);
    fwrite(header, 1, size, f);
    for (int i = 0; i < 472; i++) {
        float v = (float)(i % 37 - 18) / 64;
        fwrite(&v, 4, 1, f);
    }
    fclose(f);
    int code;
    char *texts[2];
    free(run(&code, "%s pack conv.aigc --weights conv.safetensors -o c.aigcw 2>&1", AIGC_COMMAND));
    assert_int_equal(code, 0);
    for (int k = 0; k < 2; k++) {
        texts[k] = run(&code,
                       "%s run conv.aigc --entry go --weights %s --output c.npy 2>&1 && sha256sum "
                       "c.npy",
                       AIGC_COMMAND, k ? "c.aigcw" : "conv.safetensors");
        expect(texts[k], code, 0, "c.npy");
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
}

/* Nothing beside the packed file: hyper-parameters and tokenizer are in it. */
static void test_alone(void **state)
{
    (void)state;
    int code;
    char *texts[3];
    free(run(&code, "mkdir -p alone && %s pack %s --weights %s -o alone/m.aigcw 2>&1", AIGC_COMMAND,
             LLAMA, WEIGHTS));
    assert_int_equal(code, 0);
    const char *how = "--prompt 'ROMEO:' --temperature 0 --max-tokens 30";
    texts[0] = run(&code, "%s generate %s --weights %s %s 2>&1", AIGC_COMMAND, LLAMA, WEIGHTS, how);
    assert_int_equal(code, 0);
    texts[1] =
        run(&code, "%s generate %s --weights alone/m.aigcw %s 2>&1", AIGC_COMMAND, LLAMA, how);
    expect(texts[1], code, 0, texts[0]);
    free(run(&code, "CC='%s' %s build %s --weights alone/m.aigcw --emit exe -o program 2>&1",
             AIGC_CC, AIGC_COMMAND, LLAMA));
    assert_int_equal(code, 0);
    texts[2] = run(&code, "./program --weights alone/m.aigcw %s 2>&1", how);
    expect(texts[2], code, 0, texts[0]);
    for (int i = 0; i < 3; i++) {
        free(texts[i]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int code;
        const char *words;
    } cases[] = {
        {"pack " LLAMA,                                                                             2, "--weights FILE is missing"},
        {"pack " LLAMA " --weights " WEIGHTS " -o r.aigcw",                                         0, ""                         },
        {"run " LLAMA " --weights r.aigcw --math bf16 --entry next --input pos=0 --input tokens=1",
         1,                                                                                            "pack the original again"  },
        {"pack " LLAMA " --weights r.aigcw -o s.aigcw",                                             1, "packed already"           },
        {"pack " LLAMA " --weights " WEIGHTS " -D hidden=99 -o s.aigcw",                            1, "gate_proj"                },
        {"pack " LLAMA " --weights " WEIGHTS " -o nowhere/s.aigcw",                                 1, "No such file"             },
        {"inspect r.aigcw",                                                                         0, "model.norm.weight"        },
        {"check " LLAMA " --weights r.aigcw",                                                       0, "all parameters found"     },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code;
        char *text = run(&code, "%s %s 2>&1", AIGC_COMMAND, cases[i].command);
        expect(text, code, cases[i].code, cases[i].words);
        free(text);
    }
    int code;
    char *left = run(&code, "ls *.part s.aigcw 2>/dev/null");
    assert_string_equal(left, ""); /* what failed left nothing */
    free(left);
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
    free(run(&code, "rm -rf %s", folder));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same), cmocka_unit_test(test_same_blocks),
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_alone),
        cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, begin, end);
}
