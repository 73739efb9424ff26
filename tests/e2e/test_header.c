/* The header of a built object: NAME_ENTRY_arena_bytes says what the runtime says, and what `aigc
 * inspect` prints. */
#include "e2e/e2e.h"

#include <unistd.h>

static char folder[] = "/tmp/aigc-test-XXXXXX";

/* Sizes within functions, names that C or C++ keep for themselves, a comment's end within words. */
static const char odd[] = "import nn\n"
                          "## Of */ odd sizes.\n"
                          "model odd(stride = 3, ctx = 64) {\n"
                          "  c1 = nn.Conv1d(4, 8, 5, stride)\n"
                          "  entry forward(x: f32[N, 4, long], y: f32[M, 8], class: dim) -> z: "
                          "f32[] where class + long <= ctx, class <= 9 {\n"
                          "    h = c1(x)\n"
                          "    return sum(softmax(h, 2)) + sum(sort(concat([y, y], 0), 0))\n"
                          "  }\n"
                          "  entry fixed(x: f32[3, 40]) -> z: f32[3, 40] = softmax(x @ x.T @ x)\n"
                          "}\n";

/* Output of a shell command, which must succeed. */
static char *run(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    int code;
    char *text = e2e_command(&code, "%s", command);
    if (code != 0) {
        fail_msg("%s: status %d\n%s", command, code, text);
    }
    return text;
}

/* The formula `aigc inspect` prints for an entry. */
static void inspected(const char *file, const char *options, const char *entry, char *out,
                      size_t size)
{
    char *text = run("cd %s && %s inspect %s %s", folder, AIGC_COMMAND, file, options), head[128];
    snprintf(head, sizeof head, "\nentry %s(", entry);
    const char *at = strstr(text, head), *arena = at ? strstr(at, "arena: ") : NULL,
               *end = arena ? strstr(arena, " bytes") : NULL;
    assert_non_null(end);
    snprintf(out, size, "%.*s", (int)(end - arena - 7), arena + 7);
    free(text);
}

/* Compiles and runs PROGRAM.c, linked with OBJECT.o, warnings being errors. */
static void compile_and_run(const char *program, const char *object)
{
    free(run("cd %s && %s -Wall -Wextra -Wshadow -Wconversion -Werror -I%s -I. %s.c %s.o "
             "%s/libaigc_io.a %s/libaigc_runtime.a -ljansson -lm "
             "-lpthread -o %s 2>&1 && ./%s 2>&1",
             folder, AIGC_CC, AIGC_SOURCE_DIR, program, object, AIGC_LIB_DIR, AIGC_LIB_DIR, program,
             program));
}

static const char functions[] =
    "#include <assert.h>\n#include <stdio.h>\n"
    "static inline int64_t floordiv(int64_t a, int64_t b) { return a / b - (a % b < 0); }\n"
    "static inline int64_t mod(int64_t a, int64_t b) { return a - b * floordiv(a, b); }\n"
    "static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }\n"
    "static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }\n"
    "static int differ(int64_t a, int64_t b, int64_t c) {\n"
    "    if (a == b && b == c) return 0;\n"
    "    printf(\"header %lld, runtime %lld, inspect %lld\\n\", (long long)a, (long long)b, (long "
    "long)c);\n"
    "    return 1;\n"
    "}\n";

static void test_functions(void **state)
{
    (void)state;
    char formula[1024], fixed[256], program[8192];
    e2e_write(folder, "odd.aigc", odd);
    free(run("cd %s && %s build odd.aigc -o odd.o", folder, AIGC_COMMAND));
    inspected("odd.aigc", "", "forward", formula, sizeof formula);
    inspected("odd.aigc", "", "fixed", fixed, sizeof fixed);
    assert_non_null(strstr(formula, "floordiv"));
    snprintf(program, sizeof program,
             "#include \"odd.h\"\n#include \"odd.h\"\n%s#define long width\n"
             "static int64_t inspect(int64_t M, int64_t N, int64_t long) { (void)(mod(1, 1) + "
             "min(1, 1)); return %s; }\n"
             "int main(void) {\n"
             "    for (int64_t N = 1; N < 9; N++) for (int64_t M = 1; M < 70; M += 3) for (int64_t "
             "w = 5; w < 65; w++) {\n"
             "        int64_t dims[] = {0, N, w, M}, out[16];\n"
             "        odd_model.entries[0].sizes(dims, out);\n"
             "        if (differ(odd_forward_arena_bytes(0, N, w, M), out[0], inspect(M, N, w))) "
             "return 1;\n"
             "    }\n"
             "    int64_t dims[1] = {0}, out[16];\n"
             "    odd_model.entries[1].sizes(dims, out);\n"
             "    return differ(odd_fixed_arena_bytes(), out[0], %s);\n}\n",
             functions, formula, fixed);
    e2e_write(folder, "odd_main.c", program);
    compile_and_run("odd_main", "odd");
    free(run("cd %s && %s -x c++ -fsyntax-only -I%s odd.h 2>&1", folder, AIGC_CC, AIGC_SOURCE_DIR));
    char *text = run("cat %s/odd.h", folder);
    assert_non_null(strstr(text, "must hold: class + long <= ctx, here class + long <= 64\n"));
    free(text);
}

/* A context's arena is what the function says at the largest sizes; every call's need is what it
 * says for its own. */
static void test_llama(void **state)
{
    (void)state;
    static const char llama[] = AIGC_SOURCE_DIR "/examples/llama/llama.aigc",
                      weights[] = AIGC_SOURCE_DIR "/examples/demo/model.safetensors";
    char formula[1024], program[8192], options[512];
    free(run("cd %s && %s build %s --weights %s -o llama.o", folder, AIGC_COMMAND, llama, weights));
    snprintf(options, sizeof options, "--weights %s", weights);
    inspected(llama, options, "next", formula, sizeof formula);
    snprintf(
        program, sizeof program,
        "#include \"llama.h\"\n%s"
        "static int64_t inspect(int64_t pos, int64_t T) { (void)(pos + mod(1, 1) + min(1, 1) + "
        "max(1, 1)); return %s; }\n"
        "int main(void) {\n"
        "    aigc_error err;\n    aigc_weights *w;\n    aigc_context *c;\n    static int32_t "
        "ids[256];\n    static float logits[512];\n"
        "    aigc_context_options o = {.n_threads = 1, .arena_bytes = llama_next_arena_bytes(0, "
        "7)};\n"
        "    if (aigc_weights_random(&llama_model, 1, &w) || aigc_context_create(&llama_model, w, "
        "&o, &c, &err)) return 2;\n"
        "    for (int64_t T = 1; T <= 256; T++) {\n"
        "        aigc_tensor in = {.data = ids, .dtype = AIGC_I32, .rank = 1, .dims = {T}}, out = "
        "{0};\n"
        "        int64_t pos = T %% 3 * (256 - T) / 2, bytes;\n"
        "        if (aigc_call_sizes(c, 1, &pos, &in, 1, &out, 1, &bytes)) return 3;\n"
        "        if (differ(llama_next_arena_bytes(pos, T), bytes, inspect(pos, T))) return 1;\n"
        "    }\n"
        "    if (differ(llama_next_arena_bytes(0, 256), llama_model.entries[1].arena_bytes_max, "
        "inspect(0, 256))) return 1;\n"
        "    for (int64_t T = 7, pos = 0; T <= 8; T++) {\n" /* the arena is enough for 7 and no more
                                                             */
        "        aigc_tensor in = {.data = ids, .dtype = AIGC_I32, .rank = 1, .dims = {T}}, out = "
        "{.data = logits, .dtype = AIGC_F32, .rank = 1, .dims = {512}};\n"
        "        if (aigc_call(c, 1, &pos, &in, 1, &out, 1) != (T == 7 ? AIGC_OK : "
        "AIGC_ERR_MEMORY)) return 4;\n"
        "    }\n"
        "    if (llama_next(c, 0, 8, ids, logits)) return 5;\n" /* grows it */
        "    if (LLAMA_SCRATCH_BYTES <= 0 || LLAMA_SCRATCH_BYTES %% 64) return 6;\n"
        "    aigc_context_destroy(c);\n    aigc_weights_destroy(w);\n    return 0;\n}\n",
        functions, formula);
    e2e_write(folder, "llama_main.c", program);
    compile_and_run("llama_main", "llama");
    char *text = run("cat %s/llama.h", folder);
    assert_non_null(strstr(text, "must hold: pos + T <= ctx, here T + pos <= 256\n"));
    assert_non_null(strstr(text, " at the most. */\nstatic inline int64_t "
                                 "llama_next_arena_bytes(int64_t pos, int64_t T)\n"));
    free(text);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    free(run("rm -rf %s", folder));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions),
                                       cmocka_unit_test(test_llama)};
    return cmocka_run_group_tests(tests, begin, end);
}
