/* examples/gpt2 against PyTorch (gpt2_reference.py): weights by the same formula, written here
 * under Hugging Face's names. */
#include "e2e/e2e.h"

#include <unistd.h>

#define GPT2 AIGC_SOURCE_DIR "/examples/gpt2/gpt2.aigc"

enum { VOCAB = 96, CTX = 64, D = 48, LAYERS = 3, MOST = 64 };

static char folder[] = "/tmp/aigc-test-XXXXXX";

typedef struct tensors {
    uint32_t n;
    const char *names[MOST];
    aigc_tensor all[MOST];
} tensors;

/* Number i of a tensor: see `value` of gpt2_reference.py. */
static float value(const char *name, uint32_t i)
{
    uint32_t x = 2166136261u;
    for (const char *s = name; *s; s++) {
        x = (x ^ (uint8_t)*s) * 16777619u;
    }
    x += i * 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    x ^= x >> 16;
    float u = (float)(x >> 16) / 32768.0f - 1;
    const char *dot = strrchr(name, '.');
    bool bias = strcmp(dot, ".bias") == 0;
    if (strstr(name, "ln_") && !bias) {
        return 1 + u / 4;
    }
    return bias ? u / 8 : strcmp(name, "wpe.weight") == 0 ? u : u / 2;
}

/* Tensor `name`, [rows, cols] or, where cols is 0, [rows]; in the file under prefix + name. */
static void add(tensors *t, const char *prefix, int layer, const char *name, int64_t rows,
                int64_t cols)
{
    char plain[64], *full = malloc(96);
    assert_non_null(full);
    assert_true(t->n < MOST);
    snprintf(plain, sizeof plain, layer < 0 ? "%s" : "h.%2$d.%1$s", name, layer);
    snprintf(full, 96, "%s%s", prefix, plain);
    int64_t n = rows * (cols ? cols : 1);
    float *data = malloc((size_t)n * sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < n; i++) {
        data[i] = value(plain, (uint32_t)i);
    }
    t->names[t->n] = full;
    t->all[t->n++] = (aigc_tensor){
        .data = data, .dtype = AIGC_F32, .rank = cols ? 2 : 1, .dims = {rows, cols}
    };
}

/* FOLDER/NAME.safetensors as Hugging Face's checkpoints have been: with the masks of old ones, or
 * with the prefix and the tied head of others, which the model does not ask for. */
static void write_weights(const char *path, const char *prefix, bool extras)
{
    tensors t = {0};
    static const struct {
        const char *name;
        int64_t in, out;
    } linear[] = {
        {"attn.c_attn", D,     3 * D},
        {"attn.c_proj", D,     D    },
        {"mlp.c_fc",    D,     4 * D},
        {"mlp.c_proj",  4 * D, D    }
    };
    add(&t, prefix, -1, "wte.weight", VOCAB, D);
    add(&t, prefix, -1, "wpe.weight", CTX, D);
    add(&t, prefix, -1, "ln_f.weight", D, 0);
    add(&t, prefix, -1, "ln_f.bias", D, 0);
    for (int i = 0; i < LAYERS; i++) {
        add(&t, prefix, i, "ln_1.weight", D, 0);
        add(&t, prefix, i, "ln_1.bias", D, 0);
        add(&t, prefix, i, "ln_2.weight", D, 0);
        add(&t, prefix, i, "ln_2.bias", D, 0);
        for (size_t k = 0; k < sizeof linear / sizeof *linear; k++) {
            char name[32];
            snprintf(name, sizeof name, "%s.weight", linear[k].name);
            add(&t, prefix, i, name, linear[k].in, linear[k].out);
            snprintf(name, sizeof name, "%s.bias", linear[k].name);
            add(&t, prefix, i, name, linear[k].out, 0);
        }
        if (extras) {
            add(&t, prefix, i, "attn.bias", CTX, CTX);
        }
    }
    if (extras) {
        add(&t, "", -1, "lm_head.weight", VOCAB, D);
    }
    aigc_error err;
    if (safetensors_write(path, t.n, t.names, t.all, &err) != AIGC_OK) {
        fail_msg("%s", err.text);
    }
    for (uint32_t i = 0; i < t.n; i++) {
        free(t.all[i].data);
        free((char *)(uintptr_t)t.names[i]);
    }
}

/* The last rows of a [.., VOCAB] tensor are those of the reference. */
static void compare(const char *how, const float *found, int64_t rows, const json_t *want)
{
    int64_t n = (int64_t)json_array_size(want), first = rows > n ? 0 : n - rows;
    found += (rows > n ? rows - n : 0) * VOCAB;
    for (int64_t i = first; i < n; i++) {
        const json_t *row = json_array_get(want, (size_t)i);
        for (int64_t k = 0; k < VOCAB; k++, found++) {
            double w = json_real_value(json_array_get(row, (size_t)k));
            if (!(fabs((double)*found - w) <= 1e-4)) {
                fail_msg("%s: row %lld of the last, logit %lld: expected %g, found %g", how,
                         (long long)i, (long long)k, w, (double)*found);
            }
        }
    }
}

static void call(e2e *r, const char *entry, int64_t pos, int32_t *ids, int64_t n, float *out)
{
    aigc_error err = {{0}};
    aigc_tensor x = {.data = ids, .dtype = AIGC_I32, .rank = 1, .dims = {n}}, y = {.data = out};
    if (aigc_program_call(r->p, r->c, entry, &pos, &x, 1, &y, 1, &err) != AIGC_OK) {
        fail_msg("%s: %s", entry, err.text);
    }
    assert_int_equal(y.dims[y.rank - 1], VOCAB);
}

static void check_logits(e2e *r, const json_t *prompt, const json_t *want)
{
    size_t size;
    int32_t *ids = e2e_ids(prompt, &size);
    int64_t n = (int64_t)size;
    static float out[CTX * VOCAB];
    call(r, "forward", 0, ids, n, out);
    compare("at once", out, n, want);
    call(r, "next", 0, ids, n, out);
    compare("the last alone", out, 1, want);
    aigc_context_reset(r->c);
    for (int64_t i = 0; i < n; i++) {
        call(r, "forward", i, ids + i, 1, out + i * VOCAB);
    }
    compare("token by token", out, n, want);
    aigc_context_reset(r->c);
    for (int64_t i = 0; i < n; i += 5) {
        call(r, "forward", i, ids + i, n - i < 5 ? n - i : 5, out + i * VOCAB);
    }
    compare("five at a time", out, n, want);
    free(ids);
}

static void check_file(const char *file)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    json_t *j = e2e_json(AIGC_SOURCE_DIR "/tests/e2e/gpt2_reference.json"), *k;
    size_t i;
    for (int level = 0; level <= 3; level++) {
        e2e r = e2e_open(GPT2, path, level, level % 2 ? 2 : 1);
        json_array_foreach(json_object_get(j, "cases"), i, k)
        {
            check_logits(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "last_logits"));
            if (json_array_size(json_object_get(k, "greedy_ids"))) {
                e2e_greedy(&r, json_object_get(k, "prompt_ids"), json_object_get(k, "greedy_ids"),
                           SIZE_MAX);
            }
        }
        e2e_close(&r);
    }
    json_decref(j);
}

static void test_plain(void **state)
{
    (void)state;
    check_file("plain.safetensors");
}

static void test_prefixed(void **state)
{
    (void)state;
    check_file("prefixed.safetensors");
}

static int begin(void **state)
{
    (void)state;
    char path[128];
    if (!mkdtemp(folder)) {
        return 1;
    }
    json_t *j = e2e_json(AIGC_SOURCE_DIR "/tests/e2e/gpt2_reference.json");
    snprintf(path, sizeof path, "%s/config.json", folder);
    int failed = json_dump_file(json_object_get(j, "config"), path, JSON_INDENT(2));
    json_decref(j);
    snprintf(path, sizeof path, "%s/plain.safetensors", folder);
    write_weights(path, "", true);
    snprintf(path, sizeof path, "%s/prefixed.safetensors", folder);
    write_weights(path, "transformer.", false);
    return failed;
}

static int end(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "plain.safetensors", "prefixed.safetensors",
                                        ""};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain),
                                       cmocka_unit_test(test_prefixed)};
    return cmocka_run_group_tests(tests, begin, end);
}
