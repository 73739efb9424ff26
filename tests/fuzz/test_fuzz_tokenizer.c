/* Hostile vocabularies and hostile texts: what opens encodes and decodes without harm, what does
 * not has words; sound vocabularies give every text back. The vocabularies of shared/models
 * ($AIGC_MODELS) are tried too where they are. */
#include "runtime/io/tokenizer.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/tokenizers.h"

enum { MOST_TEXT = 400 };

/* Texts
 * -------------------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) {
        out[i] = (char)(0x80 | (c & 0x3f));
    }
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

/* Valid UTF-8; plain: of the characters that the small character vocabulary has. */
static size_t make_text(char *out, bool plain)
{
    static const char *const snippets[] = {"the ",         "  ",    "<s>", "</s>",
                                           "<0x41>",       "<unk>", "lo",  "\xc3\xa9",
                                           "\xe4\xbd\xa0", "the",   " ",   "s>"};
    static const uint32_t begins[] = {0,      0x80,   0x400,   0x800,   0x4e00,
                                      0xe000, 0xfff0, 0x1f300, 0x10ff00};
    size_t n = 0;
    for (uint32_t count = random_below(40); count > 0; count--) {
        const char *s = snippets[random_below(sizeof snippets / sizeof *snippets)];
        if (random_below(2)) {
            memcpy(out + n, s, strlen(s));
            n += strlen(s);
        } else if (plain || random_below(3)) {
            out[n++] = (char)(random_below(16) ? ' ' + random_below(95) : '\n');
        } else {
            n += put_utf8(out + n, begins[random_below(9)] + random_below(256));
        }
    }
    return n;
}

static bool is_utf8(const char *s, size_t n)
{
    for (size_t at = 0; at < n;) {
        unsigned char c = (unsigned char)s[at];
        size_t want = c < 0x80                ? 1
                      : c >= 0xc2 && c < 0xe0 ? 2
                      : c >= 0xe0 && c < 0xf0 ? 3
                      : c >= 0xf0 && c < 0xf5 ? 4
                                              : 0;
        if (want == 0 || want > n - at) {
            return false;
        }
        for (size_t i = 1; i < want; i++) {
            if (((unsigned char)s[at + i] & 0xc0) != 0x80) {
                return false;
            }
        }
        at += want;
    }
    return true;
}

/* What must hold
 * ----------------------------------------------------------------------------------- */

static aigc_status open_as(const char *name, const bytes *b, tokenizer **t, aigc_error *err)
{
    *err = (aigc_error){{0}};
    aigc_status s = tokenizer_open(fuzz_file(name, b), t, err);
    check_error(s, err);
    assert_true((s == AIGC_OK) == (*t != NULL));
    return s;
}

/* Whatever the vocabulary is: ids are tokens, and decoding keeps within its buffer. */
static void use(const tokenizer *t, const char *text, size_t n, bool special)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    aigc_error err = {{0}};
    aigc_status s = tokenizer_encode(t, text, n, special, &ids, &n_ids, &err);
    check_error(s, &err);
    for (size_t i = 0; i < n_ids; i++) {
        char out[40];
        memset(out, 'x', sizeof out);
        assert_true(ids[i] >= 0 && (uint32_t)ids[i] < tokenizer_size(t));
        size_t all = tokenizer_decode(t, ids[i], i == 0, NULL, 0);
        assert_int_equal(tokenizer_decode(t, ids[i], i == 0, out, sizeof out / 2), all);
        assert_true(out[sizeof out / 2] == 'x');
        (void)tokenizer_ends(t, ids[i]);
    }
    free(ids);
}

/* Decoded ids are the text; what a stream shows of valid UTF-8 is valid at any moment. Text has no
 * U+2581. */
static void round_trip(const char *name, const tokenizer *t, const char *text, size_t n)
{
    int32_t *ids = NULL;
    size_t n_ids = 0, at = 0, shown_n = 0;
    aigc_error err = {{0}};
    utf8_stream stream = {0};
    if (tokenizer_encode(t, text, n, false, &ids, &n_ids, &err) != AIGC_OK) {
        fail_msg("%s: '%.*s': %s", name, (int)n, text, err.text);
    }
    char *out = malloc(2 * n + 16), *shown = malloc(2 * n + 16);
    assert_non_null(out);
    assert_non_null(shown);
    bool valid = is_utf8(text, n);
    for (size_t i = 0; i < n_ids; i++) {
        size_t k = tokenizer_decode(t, ids[i], i == 0, out + at, 2 * n + 16 - at);
        assert_true(at + k <= n);
        size_t m = utf8_stream_push(&stream, out + at, k, shown + shown_n);
        assert_true(!valid || is_utf8(shown + shown_n, m));
        at += k;
        shown_n += m;
    }
    if (at != n || (n && memcmp(out, text, n) != 0) || (valid && shown_n != n) ||
        shown_n + stream.n != n || (shown_n && memcmp(shown, text, shown_n) != 0)) {
        fail_msg("%s: '%.*s' comes back as '%.*s'", name, (int)n, text, (int)at, out);
    }
    free(out);
    free(shown);
    free(ids);
}

static void round_trips(const char *name, const tokenizer *t, uint32_t count, bool plain,
                        bool any_bytes)
{
    char text[MOST_TEXT + 64];
    round_trip(name, t, "", 0);
    for (uint32_t i = 0; i < count; i++) {
        size_t n = make_text(text, plain);
        round_trip(name, t, text, n);
        for (size_t k = 0; any_bytes && k < n; k++) { /* no UTF-8 any more */
            text[k] = random_below(4) ? text[k] : (char)(random_bits() | 0x80);
            text[k] = text[k] == '\x96' ? 'x' : text[k];
        }
        round_trip(name, t, text, any_bytes ? n : 0);
    }
    assert_int_equal(tokenizer_decode(t, -1, true, text, sizeof text), 0);
    assert_int_equal(tokenizer_decode(t, INT32_MIN, true, text, sizeof text), 0);
    assert_int_equal(tokenizer_decode(t, INT32_MAX, true, text, sizeof text), 0);
    assert_int_equal(tokenizer_decode(t, (int32_t)tokenizer_size(t), true, text, sizeof text), 0);
}

/* Sound ones
 * --------------------------------------------------------------------------------------- */

enum { N_KINDS = 6 };
static const char *const file_names[N_KINDS] = {"bytes.json", "pieces.json", "vocab.json",
                                                "t.model",    "bytes.gguf",  "pieces.gguf"};

static void make_seeds(bytes seeds[N_KINDS])
{
    bytes all[N_KINDS] = {json_tokenizer(true), json_tokenizer(false), char_vocabulary(),
                          model_tokenizer(),    gguf_tokenizer(true),  gguf_tokenizer(false)};
    memcpy(seeds, all, sizeof all);
}

static void test_sound(void **state)
{
    (void)state;
    bytes seeds[N_KINDS];
    fuzz_count(0);
    make_seeds(seeds);
    for (uint32_t i = 0; i < N_KINDS; i++) {
        tokenizer *t;
        aigc_error err;
        if (open_as(file_names[i], &seeds[i], &t, &err) != AIGC_OK) {
            fail_msg("%s: %s", file_names[i], err.text);
        }
        bool chars = i == 2;
        char the[8] = "";
        int32_t *ids = NULL;
        size_t n = 0;
        assert_int_equal(tokenizer_encode(t, "the", 3, false, &ids, &n, &err), AIGC_OK);
        assert_int_equal(n, chars ? 3 : 1); /* merges do happen */
        assert_true(tokenizer_decode(t, ids[0], true, the, sizeof the) == (chars ? 1 : 3) &&
                    the[0] == 't');
        free(ids);
        round_trips(file_names[i], t, 500, chars, !chars);
        tokenizer_close(t);
        bytes_free(&seeds[i]);
    }
}

static void test_control_tokens_only_when_asked(void **state)
{
    (void)state;
    bytes seeds[N_KINDS];
    make_seeds(seeds);
    for (uint32_t i = 0; i < N_KINDS; i++) {
        tokenizer *t;
        aigc_error err;
        assert_int_equal(open_as(file_names[i], &seeds[i], &t, &err), AIGC_OK);
        for (int special = 0; special < 2 && i != 2; special++) {
            int32_t *ids = NULL;
            size_t n = 0;
            assert_int_equal(tokenizer_encode(t, "<s>the", 6, special, &ids, &n, &err), AIGC_OK);
            for (size_t k = 0; k < n; k++) {
                assert_true((ids[k] == 1) == (special && k == 0));
            }
            free(ids);
        }
        tokenizer_close(t);
        bytes_free(&seeds[i]);
    }
}

static void test_models(void **state)
{
    (void)state;
    static const char *const files[] = {"llama2/tokenizer.model", "gpt2/tokenizer.json",
                                        "ggml-vocab/ggml-vocab-llama-spm.gguf",
                                        "ggml-vocab/ggml-vocab-gpt-2.gguf"};
    const char *folder = getenv("AIGC_MODELS");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/tokenizers/%s",
                 folder ? folder : AIGC_SOURCE_DIR "/../shared/models", files[i]);
        tokenizer *t;
        aigc_error err = {{0}};
        if (access(path, R_OK) != 0) {
            print_message("skipped: no %s\n", path);
            continue;
        }
        assert_int_equal(tokenizer_open(path, &t, &err), AIGC_OK);
        round_trips(files[i], t, 200, false, true);
        tokenizer_close(t);
    }
}

/* By hand
 * ------------------------------------------------------------------------------------------ */

static void try_all_texts(const tokenizer *t)
{
    static const char *const texts[] = {
        "",         "a",        "aaaaaaaaaaaaaaaa", "abababab", " a b ",
        "\xff\xfe", "\xe2\x96", "x\xf0\x9f\x98",    "<s>",      "12 34",
        "\n\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        use(t, texts[i], strlen(texts[i]), i & 1);
    }
    use(t, "a\0b", 3, true);
}

static void expect(const char *name, const char *file, const bytes *b, const char *words)
{
    tokenizer *t;
    aigc_error err;
    aigc_status s = open_as(file, b, &t, &err);
    if ((s == AIGC_OK) != !words || (words && !strstr(err.text, words))) {
        fail_msg("%s: expected '%s', found status %d, '%s'", name, words ? words : "success", s,
                 err.text);
    }
    if (s == AIGC_OK) {
        try_all_texts(t);
        tokenizer_close(t);
    }
}

#define BPE(vocab, merges)                                                                         \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]}}"
#define SPLIT(regex, vocab)                                                                        \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","            \
    "\"pattern\":{\"Regex\":\"" regex "\"}},"                                                      \
    "{\"type\":\"ByteLevel\",\"use_regex\":false}]},\"model\":{\"vocab\":{" vocab                  \
    "},\"merges\":[]}}"

static void test_json(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *words;
    } cases[] = {
        {"nothing", "", "the file is empty"},
        {"half", "{\"model\":{", "expected"},
        {"a list", "[]", "expected an object"},
        {"no tokens", "{}", "token ids must be between 0"},
        {"an empty vocabulary", BPE("", ""), "token ids must be between 0"},
        {"the same token twice", "{\"a\":0,\"a\":1}", "duplicate"},
        {"the same id twice", "{\"a\":0,\"b\":0}", NULL},
        {"gaps", "{\"a\":5}", NULL},
        {"an id below 0", "{\"a\":1,\"b\":-1}", "token 'b' has no id"},
        {"an id of text", "{\"a\":1,\"b\":\"x\"}", "token 'b' has no id"},
        {"an id of 2^31", "{\"a\":2147483648}", "token ids must be between 0"},
        {"an id of 2^22", "{\"a\":4194304}", "token ids must be between 0"},
        {"unigram", "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}",
         "the model Unigram is not known"},
        {"a vocabulary of pairs", "{\"model\":{\"type\":\"BPE\",\"vocab\":[]}}",
         "is not known here"},
        {"an added token without an id",
         "{\"added_tokens\":[{\"content\":\"x\"}],\"model\":{\"vocab\":{\"a\":0}}}", "token 'x' has a wrong id"},
        {"an added id below 0",
         "{\"added_tokens\":[{\"content\":\"x\",\"id\":-5}],\"model\":{\"vocab\":{\"a\":0}}}", "token 'x' has a wrong id"},
        {"added tokens of no text",
         "{\"added_tokens\":[{\"id\":0,\"special\":true}],\"model\":{\"vocab\":{\"a\":1}}}", NULL},
        {"a token of no text", "{\"\":0,\"a\":1}", NULL},
        {"merges of missing tokens", BPE("\"a\":0,\"b\":1", "\"a b\",\"ab x\",\"q r\""), NULL},
        {"merges in a circle",
         BPE("\"a\":0,\"b\":1,\"ab\":2,\"ba\":3,\"aba\":4",
         "\"a b\",\"b a\",\"ab a\",\"a ba\",\"aba ab\""),
         NULL},
        {"a merge of one", BPE("\"a\":0", "\"a\""), "merge 0 is not two symbols"},
        {"a merge of none", BPE("\"a\":0", "\"\""), "merge 0 is not two symbols"},
        {"a merge of numbers", BPE("\"a\":0", "[1,2]"), "merge 0 is not two symbols"},
        {"a merge of three", BPE("\"a\":0", "[\"a\",\"a\",\"a\"]"), "merge 0 is not two symbols"},
        {"a merge with nothing", BPE("\"a\":0", "[\"\",\"\"]"), NULL},
        {"an unknown pre-tokenizer",
         "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{"
         "\"type\":\"Magic\"}]},"
         "\"model\":{\"vocab\":{\"a\":0}}}", "the pre-tokenizer Magic is not known"},
        {"no pattern", SPLIT("", "\"a\":0"), "a Split without a Regex"},
        {"a broken pattern", SPLIT("(", "\"a\":0"), "the pre-tokenizer's pattern"},
        {"a huge pattern", SPLIT("((a{60000}){60000}){60000}", "\"a\":0"),
         "the pre-tokenizer's pattern"},
        {"a pattern of nothing", SPLIT("x*", "\"a\":0"), NULL},
        {"a pattern that looks ahead", SPLIT("(?=a)", "\"a\":0"), NULL},
        {"a pattern that moves its begin", SPLIT("a\\\\Ka|.", "\"a\":0"), NULL},
        {"a slow pattern", SPLIT("(a+)+b|(a|a)+c", "\"a\":0"), NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = {0};
        put_text(&b, cases[i].text);
        expect(cases[i].name, "t.json", &b, cases[i].words);
        bytes_free(&b);
    }
}

static void test_large(void **state)
{
    (void)state;
    bytes b = {0};
    put_text(&b, "{\"model\":{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"");
    for (uint32_t i = 1; i < 1000000; i++) {
        put_text(&b, ",\"a a\"");
    }
    put_text(&b, "]}}");
    expect("a million merges of one token", "t.json", &b, NULL);
    b.n = 0;
    put_text(&b, "{\"a\":0,\"");
    for (uint32_t i = 0; i < 1 << 16; i++) {
        put_text(&b, "a");
    }
    size_t end = b.n;
    put_text(&b, "\":1}");
    expect("a token of 2^16 letters", "t.json", &b, NULL);
    b.n = end;
    put_text(&b, "a\":1}");
    expect("a token of more", "t.json", &b, "token 1: its text is too long");
    bytes_free(&b);
    bytes small = gguf_tokenizer(false), text = {0};
    tokenizer *t;
    aigc_error err;
    assert_int_equal(open_as("t.gguf", &small, &t, &err), AIGC_OK);
    for (uint32_t i = 0; i < 100000; i++) {
        put_text(&text, i % 3 ? "the" : "  ");
    }
    round_trip("a long text", t, (const char *)text.at, text.n);
    tokenizer_close(t);
    bytes_free(&small);
    bytes_free(&text);
}

static void test_model_file(void **state)
{
    (void)state;
    bytes b = {0};
    expect("nothing", "t.model", &b, "the file is empty");
    put(&b, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    expect("a piece of 2^64 - 1 bytes", "t.model", &b, "not a SentencePiece model");
    b.n = 0;
    put(&b, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    expect("a number without an end", "t.model", &b, "not a SentencePiece model");
    b.n = 0;
    put(&b, "\x0a\x02\x08\x01", 4);
    expect("a piece whose text is a number", "t.model", &b,
           "piece 0 of the SentencePiece model is damaged");
    b.n = 0;
    put_piece(&b, "a", 0, 1);
    expect("no types of model", "t.model", &b, "is no BPE model (type 1)");
    put(&b, "\x12\x02\x18\x02", 4);
    expect("no bos", "t.model", &b, "a special token is none of the 1 tokens");
    b.n = 0;
    for (int i = 0; i < 3; i++) {
        put_piece(&b, "a", 1.0f / 0.0f * (i ? 1.0f : -1.0f), 99);
    }
    put(&b, "\x12\x02\x18\x02", 4);
    expect("infinite scores, unknown types", "t.model", &b, NULL);
    put_piece(&b, "b", (float)(0.0 / 0.0), 1);
    expect("a score of nan", "t.model", &b, "token 3: its score is not a number");
    bytes_free(&b);
    bytes whole = model_tokenizer();
    for (size_t n = 1; n < whole.n; n += n < 100 ? 1 : 37) {
        bytes cut = {whole.at, n, n};
        tokenizer *t;
        aigc_error err;
        assert_int_equal(open_as("t.model", &cut, &t, &err) != AIGC_OK, n < whole.n - 4);
        tokenizer_close(t);
    }
    bytes_free(&whole);
}

/* A GGUF of these tokens. */
static bytes small_gguf(const char *model, uint64_t n, const char *token, float score, int32_t bos,
                        const char *merge)
{
    bytes b = gguf_head(5);
    gguf_put_key(&b, "tokenizer.ggml.model", GGUF_STRING);
    gguf_put_string(&b, model);
    gguf_put_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++) {
        gguf_put_string(&b, token);
    }
    gguf_put_array(&b, "tokenizer.ggml.scores", GGUF_F32, 1);
    put(&b, &score, 4);
    gguf_put_key(&b, "tokenizer.ggml.bos_token_id", GGUF_I32);
    put_int(&b, (uint32_t)bos, 4);
    gguf_put_array(&b, merge ? "tokenizer.ggml.merges" : "none", GGUF_STRING, merge ? 1 : 0);
    if (merge) {
        gguf_put_string(&b, merge);
    }
    return b;
}

static void test_gguf(void **state)
{
    (void)state;
    struct {
        const char *name;
        bytes file;
        const char *words;
    } cases[] = {
        {"none", gguf_head(0), "there is no tokenizer in this GGUF file"},
        {"another kind", small_gguf("t5", 1, "a", 0, 0, NULL), "the tokenizer 't5' is not known"},
        {"an empty vocabulary", small_gguf("llama", 0, "", 0, 0, NULL), "a vocabulary of 0 tokens"},
        {"one token", small_gguf("llama", 1, "a", 0, 0, NULL), NULL},
        {"a score of nan", small_gguf("llama", 2, "a", (float)(0.0 / 0.0), 0, NULL),
         "token 0: its score is not a number"},
        {"bos is no token", small_gguf("llama", 2, "a", 0, 2, NULL),
         "a special token is none of the 2 tokens"},
        {"bos below 0", small_gguf("llama", 2, "a", 0, -1, NULL), NULL},
        {"all the same", small_gguf("llama", 1000, "a", 0, 0, NULL), NULL},
        {"tokens of no text", small_gguf("llama", 10, "", 0, 0, NULL), NULL},
        {"no merges", small_gguf("gpt2", 1, "a", 0, 0, NULL), "merges is missing"},
        {"a merge of one", small_gguf("gpt2", 1, "a", 0, 0, "a"), "merge 0 is not two symbols"},
        {"a merge of a space", small_gguf("gpt2", 1, "a", 0, 0, " "), "merge 0 is not two symbols"},
        {"a merge of missing tokens", small_gguf("gpt2", 1, "a", 0, 0, "a b"), NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(cases[i].name, "t.gguf", &cases[i].file, cases[i].words);
        bytes_free(&cases[i].file);
    }
}

/* Mutants
 * ------------------------------------------------------------------------------------------ */

static void test_mutants(void **state)
{
    (void)state;
    bytes seeds[N_KINDS], out = {0};
    make_seeds(seeds);
    uint32_t count = fuzz_count(20000), good = 0;
    char text[MOST_TEXT + 64];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = random_below(N_KINDS);
        mutate(&out, seeds, N_KINDS, which, random_below(2) ? 300 : 8000);
        tokenizer *t;
        aigc_error err;
        if (open_as(file_names[which], &out, &t, &err) == AIGC_OK) {
            use(t, text, make_text(text, false), i & 1);
            tokenizer_close(t);
            good++;
        }
    }
    print_message("%u mutants, %u could be opened\n", count, good);
    bytes_free(&out);
    for (uint32_t i = 0; i < N_KINDS; i++) {
        bytes_free(&seeds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),  cmocka_unit_test(test_control_tokens_only_when_asked),
        cmocka_unit_test(test_models), cmocka_unit_test(test_json),
        cmocka_unit_test(test_large),  cmocka_unit_test(test_model_file),
        cmocka_unit_test(test_gguf),   cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, fuzz_begin, fuzz_end);
}
