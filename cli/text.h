/* Generating text: what `aigc generate` and built executables share. */
#ifndef AIGC_CLI_TEXT_H
#define AIGC_CLI_TEXT_H

#include "runtime/generate.h"
#include "runtime/io/tokenizer.h"

#include <stdio.h>

typedef struct text_options {
    const char *weights, *tokenizer; /* files; tokenizer NULL: what the model names, beside the
                                        weights or within them */
    const char *prompt;
    size_t prompt_size;
    aigc_sampling sampling;
    uint64_t seed;
    int64_t max_tokens;
    bool ids;     /* print ids, not text */
    bool verbose; /* tokens a second, to stderr */
} text_options;

/* The tokenizer's file: the one asked for; else the weights, when they are a GGUF; else what the
 * model names (NULL: nothing), or a usual name, beside the weights. */
AIGC_MUST_CHECK aigc_status text_find_tokenizer(const text_options *o, const char *named,
                                                char path[4096], aigc_error *err);

/* Streams text to out. AIGC_OK also when the context is full. */
aigc_status text_generate(aigc_context *c, const text_options *o, FILE *out, aigc_error *err);

#endif
