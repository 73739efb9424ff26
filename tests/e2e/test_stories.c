/* stories260K (shared/models): greedy text token for token and logits, from every storage, with 1,
 * 2 and 3 threads, -O0 to -O3. */
#include "e2e/e2e.h"

#define LLAMA AIGC_SOURCE_DIR "/examples/llama/llama.aigc"

static void texts(const char *weights, int level, uint32_t threads)
{
    char path[1024], reference[1024];
    e2e_model("stories260K/reference.json", reference);
    json_t *all = e2e_json(reference);
    e2e r = e2e_open(LLAMA, e2e_model(weights, path), level, threads);
    static const char *const keys[] = {"bos", "once", "sara"};
    for (int i = 0; i < 3; i++) {
        const json_t *k = json_object_get(all, keys[i]);
        e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "greedy_ids"),
                   SIZE_MAX);
    }
    e2e_model("stories260K/reference.safetensors", reference);
    e2e_compare(&r, "forward", reference, "tokens", reference, "logits", 1e-4);
    e2e_close(&r);
    json_decref(all);
}

static void test_safetensors(void **state)
{
    (void)state;
    texts("stories260K/model.safetensors", 2, 1);
    texts("stories260K/model.safetensors", 2, 2);
    texts("stories260K/model.safetensors", 2, 3); /* divides the heads of no layer */
}

static void test_gguf(void **state)
{
    (void)state;
    texts("stories260K/model.gguf", 2, 1);
    texts("stories260K/model.gguf", 2, 2);
}

static void test_levels(void **state)
{
    (void)state;
    for (int level = 0; level <= 3; level++) {
        texts("stories260K/model.gguf", level, 2);
    }
}

/* The reference has f32 activations, and so has code without packed weights (-O0). Rounded to int8
 * blocks they move the logits of this small model by at most 0.2 of 20; its first choices part from
 * the reference where two are that close. */
static void test_blocks(void **state)
{
    (void)state;
    char path[1024], reference[1024], logits[1024];
    static const char *const storages[][2] = {
        {"q8_0", "stories260K/model-q8_0.gguf"},
        {"q4_0", "stories260K/model-q4_0.gguf"}
    };
    e2e_model("stories260K/reference-quantised.safetensors", logits);
    json_t *all = e2e_json(e2e_model("stories260K/reference-quantised.json", reference));
    for (int i = 0; i < 2; i++) {
        const json_t *k = json_object_get(all, storages[i][0]);
        for (int level = 0; level < 3; level += 2) {
            e2e r = e2e_open(LLAMA, e2e_model(storages[i][1], path), level, 2);
            e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "generated_ids"),
                       level ? 80 : SIZE_MAX);
            char name[64];
            snprintf(name, sizeof name, "%s.logits", storages[i][0]);
            e2e_compare(&r, "forward", e2e_model("stories260K/reference.safetensors", reference),
                        "tokens", logits, name, level ? 0.25 : 1e-4);
            e2e_close(&r);
        }
    }
    json_decref(all);
}

/* The cache: chunks of any size give what one call gives. */
static void test_c_function(void **state)
{
    (void)state;
    char path[1024];
    e2e r = e2e_open(LLAMA, e2e_model("stories260K/model.gguf", path), 2, 1);
    aigc_status (*next)(aigc_context *, int64_t pos, int64_t n, const int32_t *tokens,
                        float *logits);
    *(void **)&next = aigc_program_function(r.p, "next");
    assert_non_null(next);
    static float at_once[512], piecewise[512];
    int32_t tokens[] = {1, 403, 407, 261, 378, 432};
    assert_int_equal(next(r.c, 0, 6, tokens, at_once), AIGC_OK);
    assert_int_equal(next(r.c, 0, 1, tokens, piecewise), AIGC_OK);
    assert_int_equal(next(r.c, 1, 3, tokens + 1, piecewise), AIGC_OK);
    assert_int_equal(next(r.c, 4, 2, tokens + 4, piecewise), AIGC_OK);
    for (int i = 0; i < 512; i++) {
        assert_true(fabsf(at_once[i] - piecewise[i]) < 1e-4f);
    }
    assert_int_equal(next(r.c, 510, 6, tokens, at_once), AIGC_ERR_BOUND);
    assert_null(aigc_program_function(r.p, "nothing"));
    e2e_close(&r);
}

/* The interpreter on its own: logits, and 20 greedy tokens. */
static void test_interpreted(void **state)
{
    (void)state;
    char path[1024], reference[1024];
    e2e_model("stories260K/reference.json", reference);
    json_t *all = e2e_json(reference);
    static const char *const files[] = {"stories260K/model.safetensors",
                                        "stories260K/model-q8_0.gguf"};
    for (int i = 0; i < 2; i++) {
        e2e r = e2e_open_with(
            LLAMA, (aigc_settings){.weights = e2e_model(files[i], path), .interpret = true},
            1 + (uint32_t)i);
        assert_string_equal(aigc_program_model(r.p)->target, "interpreter");
        if (i == 0) {
            const json_t *k = json_object_get(all, "once");
            e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "greedy_ids"), 20);
        }
        char logits[1024], name[64];
        snprintf(name, sizeof name, "%slogits", i ? "q8_0." : "");
        e2e_compare(&r, "forward", e2e_model("stories260K/reference.safetensors", reference),
                    "tokens",
                    e2e_model(i ? "stories260K/reference-quantised.safetensors"
                                : "stories260K/reference.safetensors",
                              logits),
                    name, 1e-4);
        e2e_close(&r);
    }
    json_decref(all);
}

/* Products of bf16 move the logits by some 0.1 of 20, on machines with and without them alike. */
static void test_bf16(void **state)
{
    (void)state;
    char path[1024], reference[1024];
    json_t *all = e2e_json(e2e_model("stories260K/reference.json", reference));
    const json_t *k = json_object_get(all, "once");
    e2e_model("stories260K/reference.safetensors", reference);
    static const char *const cpus[] = {
        NULL,
#if defined(__x86_64__)
        "x86-64",
#endif
    };
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        aigc_settings s = {.weights = e2e_model("stories260K/model.safetensors", path),
                           .opt_level = 2,
                           .bf16 = true,
                           .cpu = cpus[i],
                           .no_cache = true};
        e2e r = e2e_open_with(LLAMA, s, 2);
        e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "greedy_ids"), 40);
        e2e_compare(&r, "forward", reference, "tokens", reference, "logits", 0.2);
        e2e_close(&r);
    }
    json_decref(all);
}

/* What --quantize makes of the f32 file is the q8_0 file: but for ffn_down, which sums over 172 and
 * stays f32 here while the file has it in f16. */
static void test_quantize(void **state)
{
    (void)state;
    char path[1024], reference[1024], logits[1024];
    json_t *all = e2e_json(e2e_model("stories260K/reference-quantised.json", reference));
    const json_t *k = json_object_get(all, "q8_0");
    e2e_model("stories260K/reference.safetensors", reference);
    e2e_model("stories260K/reference-quantised.safetensors", logits);
    for (int level = 0; level < 3; level += 2) {
        aigc_settings s = {.weights = e2e_model("stories260K/model.safetensors", path),
                           .opt_level = level,
                           .quantize = "q8_0",
                           .no_cache = true};
        e2e r = e2e_open_with(LLAMA, s, 3);
        e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "generated_ids"),
                   level ? 80 : SIZE_MAX);
        e2e_compare(&r, "forward", reference, "tokens", logits, "q8_0.logits", level ? 0.25 : 0.01);
        e2e_close(&r);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors), cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_levels),      cmocka_unit_test(test_blocks),     cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_c_function),  cmocka_unit_test(test_interpreted),
        cmocka_unit_test(test_quantize)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
