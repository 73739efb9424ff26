/* What an object depends on, found without compiling: the text, the options, the machine, and of
 * the weights what they say of themselves, not their numbers. */
#include "cli/compile.h"

#include <stdlib.h>
#include <string.h>

static void add_metadata(cache_key *k, const weights_file *f)
{
    for (uint64_t i = 0; f->gguf && i < f->gguf->n_values; i++) {
        const gguf_value *v = &f->gguf->values[i];
        uint64_t facts[] = {v->type, v->array, v->count};
        cache_key_bytes(k, v->key, v->key_length);
        cache_key_bytes(k, facts, sizeof facts);
        if (!v->array) { /* of arrays only the count can be asked for: words of the tokenizer */
            cache_key_bytes(k, v->data, gguf_scalar_bytes(v));
        }
    }
    char *config = f->config ? json_dumps(f->config, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    cache_key_text(k, config);
    free(config);
}

static void add_weights(cache_key *k, const weights_file *f)
{
    cache_key_text(k, f->format);
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        const weights_tensor *t = &f->tensors[i];
        uint8_t kept[] = {t->dtype, t->layout, t->panel, t->transposed};
        cache_key_text(k, t->name);
        cache_key_bytes(k, kept, sizeof kept);
        cache_key_bytes(k, t->dims, t->rank * sizeof *t->dims);
    }
    add_metadata(k, f);
}

cache_key compile_key(const source_file *f, const compile_options *o)
{
    cache_key k = cache_key_begin();
    const char *texts[] = {f->path, o->model, o->target, o->cpu, o->symbol, o->quantize};
    const int numbers[] = {o->level, o->bf16, o->weights != NULL};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cache_key_text(&k, texts[i]);
    }
    cache_key_bytes(&k, numbers, sizeof numbers);
    for (uint32_t i = 0; i < o->n_defines; i++) {
        cache_key_text(&k, o->defines[i]);
    }
    cache_key_bytes(&k, f->text, f->size);
    if (o->weights) {
        add_weights(&k, o->weights);
    }
    return k;
}
