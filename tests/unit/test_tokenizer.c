/* Tokenizers against published ids: every text of the vocabularies of shared/models (skipped where
 * absent). */
#include "runtime/io/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *models(void)
{
    const char *folder = getenv("AIGC_MODELS");
    return folder ? folder : AIGC_SOURCE_DIR "/../shared/models";
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *text = malloc((size_t)n + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)n, f), n);
    text[n] = 0;
    fclose(f);
    return text;
}

static void decodes_to(const tokenizer *t, const int32_t *ids, size_t n, const char *text,
                       size_t size)
{
    char out[4096];
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = tokenizer_decode(t, ids[i], i == 0, out + at, sizeof out - at);
        assert_true(at + k < sizeof out);
        at += k;
    }
    assert_int_equal(at, size);
    assert_memory_equal(out, text, size);
}

/* Texts between separators, each with its line of ids. */
static void compare(const tokenizer *t, const char *name, char *texts, const char *ids,
                    bool round_trip)
{
    const char *separator = "\n__ggml_vocab_test__\n";
    uint32_t number = 0, wrong = 0;
    aigc_error err;
    for (char *s = texts, *next; (next = strstr(s, separator));
         s = next + strlen(separator), number++) {
        size_t size = (size_t)(next - s), n = 0;
        int32_t *found = NULL;
        assert_int_equal(tokenizer_encode(t, s, size, false, &found, &n, &err), AIGC_OK);
        const char *line_end = strchr(ids, '\n');
        assert_non_null(line_end);
        bool same = true;
        size_t k = 0;
        for (char *end; ids < line_end; ids = end, k++) {
            long id = strtol(ids, &end, 10);
            if (end == ids || end > line_end) {
                break;
            }
            same = same && k < n && found[k] == id;
        }
        ids = line_end + 1;
        if (!same || k != n) {
            wrong++;
            print_message("%s: text %u: '%.*s'\n", name, number, (int)size, s);
        } else if (round_trip) {
            decodes_to(t, found, n, s, size);
        }
        free(found);
    }
    assert_true(number > 20);
    assert_int_equal(wrong, 0);
}

static void check(const char *tokenizer_file, const char *vocabulary, bool round_trip)
{
    char path[1024];
    aigc_error err;
    snprintf(path, sizeof path, "%s/tokenizers/%s", models(), tokenizer_file);
    FILE *there = fopen(path, "rb");
    if (!there) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    fclose(there);
    tokenizer *t;
    if (tokenizer_open(path, &t, &err) != AIGC_OK) {
        fail_msg("%s: %s", tokenizer_file, err.text);
    }
    snprintf(path, sizeof path, "%s/tokenizers/ggml-vocab/%s.gguf.inp", models(), vocabulary);
    char *texts = read_all(path);
    snprintf(path, sizeof path, "%s/tokenizers/ggml-vocab/%s.gguf.out", models(), vocabulary);
    char *ids = read_all(path);
    assert_non_null(texts);
    assert_non_null(ids);
    compare(t, tokenizer_file, texts, ids, round_trip);
    free(texts);
    free(ids);
    tokenizer_close(t);
}

static void test_llama_gguf(void **state)
{
    (void)state;
    check("ggml-vocab/ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm", true);
}
static void test_llama_model(void **state)
{
    (void)state;
    check("llama2/tokenizer.model", "ggml-vocab-llama-spm", true);
}
static void test_phi_3_gguf(void **state)
{
    (void)state;
    check("ggml-vocab/ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3", true);
}
static void test_gpt_2_gguf(void **state)
{
    (void)state;
    check("ggml-vocab/ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2", true);
}
static void test_gpt_2_json(void **state)
{
    (void)state;
    check("gpt2/tokenizer.json", "ggml-vocab-gpt-2", true);
}

static void test_unfinished_characters_wait(void **state)
{
    (void)state;
    utf8_stream s = {0};
    char out[16];
    assert_int_equal(utf8_stream_push(&s, "a\xe2\x82", 3, out), 1);
    assert_int_equal(utf8_stream_push(&s, "\xac", 1, out), 3);
    assert_memory_equal(out, "\xe2\x82\xac", 3);
    assert_int_equal(utf8_stream_push(&s, "\xf0\x9f", 2, out), 0);
    assert_int_equal(utf8_stream_push(&s, "b", 1, out), 3);
    assert_int_equal(out[2], 'b');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_gguf), cmocka_unit_test(test_llama_model),
        cmocka_unit_test(test_phi_3_gguf), cmocka_unit_test(test_gpt_2_gguf),
        cmocka_unit_test(test_gpt_2_json), cmocka_unit_test(test_unfinished_characters_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
