/* tokenizer.ggml.* (ggml/docs/gguf.md). */
#include "runtime/io/tokenizer_impl.h"

#include <string.h>

static bool is(const char *s, uint64_t n, const char *text)
{
    return s && n == strlen(text) && memcmp(s, text, n) == 0;
}

static int32_t id_of(const gguf_file *f, const char *key)
{
    const gguf_value *v = gguf_find(f, key);
    int64_t id = v && gguf_is_int(v) ? gguf_int(v, 0) : -1;
    return id >= 0 && id < TOKENIZER_MOST_TOKENS ? (int32_t)id : -1;
}

static bool flag(const gguf_file *f, const char *key, bool otherwise)
{
    const gguf_value *v = gguf_find(f, key);
    return v ? gguf_int(v, 0) != 0 : otherwise;
}

static aigc_status read_merges(tokenizer *t, const gguf_file *f, aigc_error *err)
{
    const gguf_value *v = gguf_find(f, "tokenizer.ggml.merges");
    if (!v || !v->array || v->type != GGUF_STRING) {
        return aigc_fail(err, AIGC_ERR_MISSING, "tokenizer.ggml.merges is missing");
    }
    aigc_status s = tokenizer_reserve_merges(t, v->count, err);
    for (uint64_t i = 0; i < v->count && s == AIGC_OK; i++) {
        uint64_t n;
        const char *m = gguf_string(v, i, &n),
                   *space = m && n > 1 ? memchr(m + 1, ' ', n - 1) : NULL;
        if (!space) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "merge %llu is not two symbols",
                             (unsigned long long)i);
        }
        tokenizer_add_merge(t, m, (size_t)(space - m), space + 1, n - (size_t)(space - m) - 1,
                            (uint32_t)i);
    }
    return s;
}

aigc_status tokenizer_read_gguf(tokenizer *t, const gguf_file *f, aigc_error *err)
{
    const gguf_value *model = gguf_find(f, "tokenizer.ggml.model"),
                     *tokens = gguf_find(f, "tokenizer.ggml.tokens");
    const gguf_value *scores = gguf_find(f, "tokenizer.ggml.scores"),
                     *types = gguf_find(f, "tokenizer.ggml.token_type");
    if (!model || !tokens || !tokens->array || tokens->type != GGUF_STRING) {
        return aigc_fail(err, AIGC_ERR_MISSING, "there is no tokenizer in this GGUF file");
    }
    uint64_t n;
    const char *kind = gguf_string(model, 0, &n);
    bool pieces = is(kind, n, "llama"), bytes = is(kind, n, "gpt2");
    if (!pieces && !bytes) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "the tokenizer '%.*s' is not known here; known are llama and gpt2",
                         (int)(n < 64 ? n : 64), kind ? kind : "");
    }
    t->kind = pieces ? TOKENIZER_PIECES : TOKENIZER_BYTES;
    aigc_status s = tokens->count <= TOKENIZER_MOST_TOKENS
                        ? tokenizer_reserve(t, (uint32_t)tokens->count, err)
                        : aigc_fail(err, AIGC_ERR_FORMAT, "too many tokens");
    for (uint32_t i = 0; s == AIGC_OK && i < t->n; i++) {
        const char *text = gguf_string(tokens, i, &n);
        int64_t type =
            types && types->array && i < types->count ? gguf_int(types, i) : TOKEN_NORMAL;
        float score =
            scores && scores->array && i < scores->count ? (float)gguf_float(scores, i) : 0;
        s = text ? tokenizer_set(t, i, text, n, score,
                                 type >= 1 && type <= 6 ? (uint8_t)type : TOKEN_NORMAL, err)
                 : aigc_fail(err, AIGC_ERR_FORMAT, "token %u has no text", i);
    }
    t->bos = id_of(f, "tokenizer.ggml.bos_token_id");
    t->eos = id_of(f, "tokenizer.ggml.eos_token_id");
    t->unknown = id_of(f, "tokenizer.ggml.unknown_token_id");
    t->add_bos = flag(f, "tokenizer.ggml.add_bos_token", pieces);
    t->add_space = pieces && flag(f, "tokenizer.ggml.add_space_prefix", true);
    if (s == AIGC_OK && bytes) {
        const gguf_value *pre = gguf_find(f, "tokenizer.ggml.pre");
        const char *name = pre ? gguf_string(pre, 0, &n) : NULL;
        char copy[64] = "gpt-2";
        if (name) {
            n = n < sizeof copy ? n : sizeof copy - 1; /* longer ones are not known anyway */
            memcpy(copy, name, n);
            copy[n] = 0;
        }
        t->ignore_merges = strcmp(copy, "llama-bpe") == 0 || strcmp(copy, "llama3") == 0;
        s = tokenizer_add_known_pattern(t, strcmp(copy, "default") == 0 ? "gpt-2" : copy, err);
        s = s == AIGC_OK ? read_merges(t, f, err) : s;
    }
    return s;
}
