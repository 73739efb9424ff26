/* Text to token ids and back.
 *
 *     SentencePiece-style BPE with byte fallback    GGUF ("llama"), tokenizer.model, tokenizer.json
 *     byte-level BPE (GPT-2, Llama-3, Qwen-2)       GGUF ("gpt2"), tokenizer.json
 *     characters                                    vocab.json: {"a": 0, ...}
 *
 * Kudo & Richardson, arXiv:1808.06226; Sennrich et al., arXiv:1508.07909; Radford et al. 2019
 * (bytes as letters). A tokenizer is constant once made and may be used from several threads. */
#ifndef AIGC_RUNTIME_IO_TOKENIZER_H
#define AIGC_RUNTIME_IO_TOKENIZER_H

#include "runtime/io/gguf.h"
#include "runtime/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct tokenizer tokenizer;

/* By content and name: a .gguf, .model or .json file. */
AIGC_MUST_CHECK aigc_status tokenizer_open(const char *path, tokenizer **out, aigc_error *err);
void tokenizer_close(tokenizer *t);

uint32_t tokenizer_size(const tokenizer *t);
int32_t tokenizer_bos(const tokenizer *t); /* -1: none */
int32_t tokenizer_eos(const tokenizer *t);
bool tokenizer_adds_bos(const tokenizer *t);         /* a text begins with bos */
bool tokenizer_ends(const tokenizer *t, int32_t id); /* eos, or another end of a turn */

/* Ids of a text, appended to *ids (realloc'ed; free it). special: names of control tokens in the
 * text stand for them. */
AIGC_MUST_CHECK aigc_status tokenizer_encode(const tokenizer *t, const char *text, size_t size,
                                             bool special, int32_t **ids, size_t *n,
                                             aigc_error *err);

/* Bytes of one token as it stands in text, at most size of them into out; returns how many there
 * are. Control tokens have none, nor have ids that are no token's. first: it begins a text, and the
 * space that encoding put there is left out. */
size_t tokenizer_decode(const tokenizer *t, int32_t id, bool first, char *out, size_t size);

/* UTF-8 as it comes: holds back the bytes of an unfinished character. */
typedef struct utf8_stream {
    char held[4];
    uint32_t n;
} utf8_stream;
/* Takes bytes, gives those that can be shown: out has room for size + 4. Returns how many. */
size_t utf8_stream_push(utf8_stream *s, const char *bytes, size_t size, char *out);

#endif
