/* tokenizer.json (huggingface/tokenizers) with a BPE model, and vocab.json of characters. */
#include "runtime/io/tokenizer_impl.h"

#include <jansson.h>
#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static aigc_status set_vocab(tokenizer *t, const json_t *vocab, const json_t *added, uint8_t type,
                             aigc_error *err)
{
    const char *key;
    json_t *v;
    json_int_t most = -1;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)(const void *)vocab, key, v)
    {
        most = json_is_integer(v) && json_integer_value(v) > most ? json_integer_value(v) : most;
    }
    json_array_foreach(added, i, v)
    {
        most = json_integer_value(json_object_get(v, "id")) > most
                   ? json_integer_value(json_object_get(v, "id"))
                   : most;
    }
    if (most < 0 || most >= TOKENIZER_MOST_TOKENS) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "token ids must be between 0 and %d",
                         TOKENIZER_MOST_TOKENS);
    }
    aigc_status s = tokenizer_reserve(t, (uint32_t)most + 1, err);
    json_object_foreach((json_t *)(uintptr_t)(const void *)vocab, key, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "token '%.40s' has no id", key);
        }
        bool is_byte = t->kind == TOKENIZER_PIECES && tokenizer_byte(key, strlen(key)) >= 0;
        s = s == AIGC_OK ? tokenizer_set(t, (uint32_t)json_integer_value(v), key, strlen(key), 0,
                                         is_byte ? TOKEN_BYTE : type, err)
                         : s;
    }
    json_array_foreach(added, i, v)
    {
        const char *content = text_of(v, "content");
        json_int_t id = json_integer_value(json_object_get(v, "id"));
        if (!json_is_integer(json_object_get(v, "id")) || id < 0 || id > most) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "token '%.40s' has a wrong id", content);
        }
        bool control = json_is_true(json_object_get(v, "special"));
        s = s == AIGC_OK ? tokenizer_set(t, (uint32_t)id, content, strlen(content), 0,
                                         control ? TOKEN_CONTROL : TOKEN_USER, err)
                         : s;
    }
    return s;
}

static aigc_status set_merges(tokenizer *t, const json_t *merges, aigc_error *err)
{
    aigc_status s = tokenizer_reserve_merges(t, json_array_size(merges), err);
    for (size_t i = 0; i < json_array_size(merges) && s == AIGC_OK; i++) {
        const json_t *m = json_array_get(merges, i);
        const char *left = json_string_value(m), *right = NULL;
        size_t left_size = 0;
        if (left) { /* "a b" */
            const char *space = strchr(left + (left[0] != 0), ' ');
            left_size = space ? (size_t)(space - left) : 0;
            right = space ? space + 1 : NULL;
        } else if (json_array_size(m) == 2) { /* ["a", "b"] */
            left = json_string_value(json_array_get(m, 0));
            right = json_string_value(json_array_get(m, 1));
            left_size = left ? strlen(left) : 0;
        }
        if (!left || !right) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "merge %zu is not two symbols", i);
        }
        tokenizer_add_merge(t, left, left_size, right, strlen(right), (uint32_t)i);
    }
    return s;
}

/* A pre-tokenizer, or a sequence of them: what splits words. */
static aigc_status set_patterns(tokenizer *t, const json_t *pre, aigc_error *err)
{
    const char *type = text_of(pre, "type");
    aigc_status s = AIGC_OK;
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(pre, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list) && s == AIGC_OK; i++) {
            s = set_patterns(t, json_array_get(list, i), err);
        }
    } else if (strcmp(type, "Split") == 0) {
        const char *regex = text_of(json_object_get(pre, "pattern"), "Regex");
        s = regex[0] ? tokenizer_add_pattern(t, regex, err)
                     : aigc_fail(err, AIGC_ERR_UNSUPPORTED, "a Split without a Regex");
    } else if (strcmp(type, "Digits") == 0) {
        s = tokenizer_add_pattern(
            t, json_is_true(json_object_get(pre, "individual_digits")) ? "\\p{N}" : "\\p{N}+", err);
    } else if (strcmp(type, "ByteLevel") == 0) {
        const json_t *use = json_object_get(pre, "use_regex");
        s = !use || json_is_true(use) ? tokenizer_add_known_pattern(t, "gpt-2", err) : AIGC_OK;
    } else if (type[0] && strcmp(type, "Metaspace") != 0) {
        s = aigc_fail(err, AIGC_ERR_UNSUPPORTED, "the pre-tokenizer %.40s is not known here", type);
    }
    return s;
}

/* Is there a step of this type, somewhere in it? */
static bool mentions(const json_t *o, const char *type)
{
    size_t i;
    json_t *v;
    if (strcmp(text_of(o, "type"), type) == 0) {
        return true;
    }
    static const char *const lists[] = {"normalizers", "pretokenizers", "processors", "decoders"};
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        json_array_foreach(json_object_get(o, lists[k]), i, v)
        {
            if (strcmp(text_of(v, "type"), type) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void set_specials(tokenizer *t, const json_t *added)
{
    static const char *const begins[] = {"<s>", "<|begin_of_text|>", "<bos>"};
    static const char *const ends[] = {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>",
                                       "<|im_end|>"};
    size_t i;
    json_t *v;
    json_array_foreach(added, i, v)
    {
        const char *content = text_of(v, "content");
        int32_t id = (int32_t)json_integer_value(json_object_get(v, "id"));
        for (size_t k = 0; k < sizeof begins / sizeof *begins; k++) {
            t->bos = t->bos < 0 && strcmp(content, begins[k]) == 0 ? id : t->bos;
        }
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
            t->eos = t->eos < 0 && strcmp(content, ends[k]) == 0 ? id : t->eos;
        }
        t->unknown = strcmp(content, "<unk>") == 0 ? id : t->unknown;
    }
}

static aigc_status read_bpe(tokenizer *t, const json_t *root, const json_t *model, aigc_error *err)
{
    const json_t *pre = json_object_get(root, "pre_tokenizer"),
                 *normalizer = json_object_get(root, "normalizer");
    const json_t *added = json_object_get(root, "added_tokens"),
                 *vocab = json_object_get(model, "vocab");
    const char *type = text_of(model, "type");
    if ((type[0] && strcmp(type, "BPE") != 0) || !json_is_object(vocab)) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "tokenizer.json: the model %.40s is not known here; BPE is", type);
    }
    bool bytes = mentions(pre, "ByteLevel");
    t->kind = bytes ? TOKENIZER_BYTES : TOKENIZER_PIECES;
    t->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    t->add_space =
        !bytes &&
        (mentions(normalizer, "Prepend") ||
         (mentions(pre, "Metaspace") && strcmp(text_of(pre, "prepend_scheme"), "never") != 0));
    set_specials(t, added);
    t->add_bos =
        mentions(json_object_get(root, "post_processor"), "TemplateProcessing") && t->bos >= 0;
    aigc_status s = set_vocab(t, vocab, added, TOKEN_NORMAL, err);
    s = s == AIGC_OK ? set_merges(t, json_object_get(model, "merges"), err) : s;
    return s == AIGC_OK && bytes ? set_patterns(t, pre, err) : s;
}

aigc_status tokenizer_read_json(tokenizer *t, const unsigned char *bytes, size_t size,
                                const char *path, aigc_error *err)
{
    json_error_t e;
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &e);
    if (!root) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s:%d: %.300s", path, e.line, e.text);
    }
    const json_t *model = json_object_get(root, "model");
    aigc_status s;
    if (json_is_object(model)) {
        s = read_bpe(t, root, model, err);
    } else if (json_is_object(root)) {
        t->kind = TOKENIZER_CHARS;
        s = set_vocab(t, root, NULL, TOKEN_NORMAL, err);
    } else {
        s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: expected an object", path);
    }
    json_decref(root);
    return s;
}
