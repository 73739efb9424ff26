/* What the parts of the tokenizer share:
 *
 *     tokenizer.c        the vocabulary's table; encode and decode
 *     tokenizer_merge.c  which symbols are put together first
 *     tokenizer_gguf.c, tokenizer_json.c, tokenizer_model.c    readers */
#ifndef AIGC_RUNTIME_IO_TOKENIZER_IMPL_H
#define AIGC_RUNTIME_IO_TOKENIZER_IMPL_H

#include "runtime/io/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

typedef enum tokenizer_kind { TOKENIZER_PIECES, TOKENIZER_BYTES, TOKENIZER_CHARS } tokenizer_kind;

typedef enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER,
    TOKEN_UNUSED,
    TOKEN_BYTE
} token_type;

typedef struct token_entry {
    char *text; /* owned; not zero-terminated where it holds zeros */
    uint32_t size;
    float score;
    uint8_t type;
} token_entry;

enum { TOKENIZER_MOST_PATTERNS = 4, TOKENIZER_MOST_TOKENS = 1 << 22, TOKENIZER_LETTERS = 324 };

struct tokenizer {
    tokenizer_kind kind;
    uint32_t n;
    token_entry *entries;
    uint32_t *table, table_size; /* open addressing: id + 1, by text */
    /* "left right" merges: open addressing by (left, right) text; rank decides. None: scores
     * decide. */
    struct merge {
        uint64_t hash;
        uint32_t rank; /* + 1; 0: free */
    } * merges;
    uint32_t merges_size, n_merges;
    int32_t bos, eos, unknown;
    bool add_bos, add_space, ignore_merges;
    int32_t byte_ids[256]; /* PIECES: tokens <0x00>...; -1 where there is none */
    pcre2_code *patterns[TOKENIZER_MOST_PATTERNS]; /* BYTES: words, each splitting what the one
                                                      before left */
    uint32_t n_patterns;
    uint16_t letters[256]; /* BYTES: the character that stands for each byte */
    uint8_t bytes[TOKENIZER_LETTERS];
    bool is_letter[TOKENIZER_LETTERS];
    int32_t *specials; /* CONTROL and USER tokens, longest text first */
    uint32_t n_specials;
};

/* Makes room for n tokens. */
aigc_status tokenizer_reserve(tokenizer *t, uint32_t n, aigc_error *err);
/* Sets the text of a token (copied). */
aigc_status tokenizer_set(tokenizer *t, uint32_t id, const char *text, size_t size, float score,
                          uint8_t type, aigc_error *err);
/* After all are set: builds the tables. */
aigc_status tokenizer_finish(tokenizer *t, aigc_error *err);
int32_t tokenizer_find(const tokenizer *t, const char *text, size_t size); /* -1 */
/* The byte that "<0x41>" names, or -1. */
int tokenizer_byte(const char *text, size_t size);
aigc_status tokenizer_reserve_merges(tokenizer *t, uint64_t n, aigc_error *err);
/* After tokenizer_reserve_merges(n): at most n. */
void tokenizer_add_merge(tokenizer *t, const char *left, size_t left_size, const char *right,
                         size_t right_size, uint32_t rank);
/* Rank of a merge, or UINT32_MAX. */
uint32_t tokenizer_rank(const tokenizer *t, const char *left, size_t left_size, const char *right,
                        size_t right_size);
aigc_status tokenizer_add_pattern(tokenizer *t, const char *pattern, aigc_error *err);
/* A pre-tokenizer by GGUF's name for it ("gpt-2", "llama-bpe", "qwen2"). */
aigc_status tokenizer_add_known_pattern(tokenizer *t, const char *name, aigc_error *err);

/* tokenizer_merge.c: splits text into symbols (characters), merges the best adjacent pair until
 * there is none, calls each with every symbol left. */
aigc_status tokenizer_merge(const tokenizer *t, const char *text, size_t size,
                            aigc_status (*each)(void *data, const char *s, size_t n), void *data);

aigc_status tokenizer_read_gguf(tokenizer *t, const gguf_file *f, aigc_error *err);
aigc_status tokenizer_read_json(tokenizer *t, const unsigned char *bytes, size_t size,
                                const char *path, aigc_error *err);
aigc_status tokenizer_read_model(tokenizer *t, const unsigned char *bytes, size_t size,
                                 aigc_error *err);

/* Bytes of the UTF-8 character at s; 1 for what is none. */
size_t utf8_length(const char *s, size_t n);

#endif
