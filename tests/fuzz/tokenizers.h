/* Small tokenizers of every kind as files. All know the same pieces: every byte, some pairs of
 * letters, a control token. */
#ifndef AIGC_TESTS_FUZZ_TOKENIZERS_H
#define AIGC_TESTS_FUZZ_TOKENIZERS_H

#include "runtime/io/tokenizer.h"
#include "tests/fuzz/bytes.h"

#define SPACE "\xe2\x96\x81" /* U+2581, SentencePiece's space */

/* Ids 0..2, then the bytes, then these. */
static const char *const special_names[] = {"<unk>", "<s>", "</s>"};
static const char *const pieces[] = {
    SPACE, "t",   "h",         "e",         "o",  "l",  "<",        ">",           "s",
    "th",  "the", SPACE "the", SPACE SPACE, "lo", "<s", "\xc3\xa9", "\xe4\xbd\xa0"};
static const char *const piece_merges[] = {"t h",           "th e", SPACE " the",
                                           SPACE " " SPACE, "l o",  "< s"};
/* The same in GPT-2's letters, where U+0120 is the space. */
static const char *const letter_words[] = {"th", "the", "\xc4\xa0the",     "\xc4\xa0\xc4\xa0",
                                           "lo", "<s",  "\xc3\x83\xc2\xa9"};
static const char *const word_merges[] = {"t h", "th e", "\xc4\xa0 the",     "\xc4\xa0 \xc4\xa0",
                                          "l o", "< s",  "\xc3\x83 \xc2\xa9"};
enum {
    N_PIECES = sizeof pieces / sizeof *pieces,
    N_WORDS = sizeof letter_words / sizeof *letter_words,
    N_PIECE_MERGES = sizeof piece_merges / sizeof *piece_merges,
    N_WORD_MERGES = sizeof word_merges / sizeof *word_merges
};

/* The letter for a byte, as UTF-8. */
static inline const char *letter(unsigned byte)
{
    static char out[3];
    unsigned c = 256;
    for (unsigned b = 0; b <= byte; b++) {
        bool itself = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte) {
            c = itself ? b : c;
        } else {
            c += !itself;
        }
    }
    if (c < 0x80) {
        snprintf(out, sizeof out, "%c", (char)c);
    } else {
        snprintf(out, sizeof out, "%c%c", (char)(0xc0 | (c >> 6)), (char)(0x80 | (c & 0x3f)));
    }
    return out;
}

static inline const char *byte_name(unsigned byte)
{
    static char out[8];
    snprintf(out, sizeof out, "<0x%02X>", byte & 255);
    return out;
}

/* JSON
 * --------------------------------------------------------------------------------------------- */

static inline void put_quoted(bytes *b, const char *s)
{
    put_text(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') {
            put_text(b, "\\");
        }
        put(b, s, 1);
    }
    put_text(b, "\"");
}

static inline void put_entry(bytes *b, const char *text, uint32_t *id)
{
    char number[16];
    put_text(b, *id ? "," : "");
    put_quoted(b, text);
    snprintf(number, sizeof number, ":%u", (*id)++);
    put_text(b, number);
}

static inline void put_list(bytes *b, const char *const *texts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        put_text(b, i ? "," : "");
        put_quoted(b, texts[i]);
    }
}

static inline bytes json_tokenizer(bool byte_level)
{
    bytes b = {0};
    uint32_t id = 0;
    put_text(&b, "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"special\":true},{\"id\":1,"
                 "\"content\":\"<s>\",\"special\":true},"
                 "{\"id\":2,\"content\":\"</s>\",\"special\":true}],");
    put_text(&b, byte_level ? "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":true},"
                            : "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
                              "\"Prepend\",\"prepend\":\"" SPACE "\"}]},");
    put_text(&b, "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (uint32_t i = 0; i < 3; i++) {
        put_entry(&b, special_names[i], &id);
    }
    for (unsigned i = 0; i < 256; i++) {
        put_entry(&b, byte_level ? letter(i) : byte_name(i), &id);
    }
    for (uint32_t i = 0; i < (byte_level ? N_WORDS : N_PIECES); i++) {
        put_entry(&b, byte_level ? letter_words[i] : pieces[i], &id);
    }
    put_text(&b, "},\"merges\":[");
    put_list(&b, byte_level ? word_merges : piece_merges,
             byte_level ? N_WORD_MERGES : N_PIECE_MERGES);
    put_text(&b, "]}}");
    return b;
}

static inline bytes char_vocabulary(void)
{
    bytes b = {0};
    uint32_t id = 0;
    put_text(&b, "{");
    for (char c = ' '; c < 127; c++) {
        put_entry(&b, (char[]){c, 0}, &id);
    }
    put_entry(&b, "\\n", &id);
    b.n -= strlen("\"\\\\n\":95"); /* a newline is not quoted by put_quoted */
    put_text(&b, "\"\\n\":95,\"\xc3\xa9\":96,\"\xe4\xbd\xa0\":97}");
    return b;
}

/* SentencePiece
 * ------------------------------------------------------------------------------------ */

static inline void put_varint(bytes *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        put_int(b, (v & 0x7f) | 0x80, 1);
    }
    put_int(b, v, 1);
}

static inline void put_piece(bytes *b, const char *text, float score, unsigned type)
{
    bytes p = {0};
    put_int(&p, 1 << 3 | 2, 1);
    put_varint(&p, strlen(text));
    put_text(&p, text);
    put_int(&p, 2 << 3 | 5, 1);
    put(&p, &score, 4);
    put_int(&p, 3 << 3, 1);
    put_varint(&p, type);
    put_int(b, 1 << 3 | 2, 1);
    put_varint(b, p.n);
    put(b, p.at, p.n);
    bytes_free(&p);
}

static inline bytes model_tokenizer(void)
{
    bytes b = {0};
    for (unsigned i = 0; i < 3; i++) {
        put_piece(&b, special_names[i], 0, i == 0 ? 2 : 3);
    }
    for (unsigned i = 0; i < 256; i++) {
        put_piece(&b, byte_name(i), 0, 6);
    }
    for (unsigned i = 0; i < N_PIECES; i++) {
        put_piece(&b, pieces[i], -(float)i, 1);
    }
    put(&b, "\x12\x08\x18\x02\xc8\x02\x01\xd0\x02\x02", 10); /* trainer: BPE, bos 1, eos 2 */
    put(&b, "\x1a\x02\x18\x01", 4);                          /* normalizer: a space first */
    return b;
}

/* GGUF
 * --------------------------------------------------------------------------------------------- */

static inline void gguf_put_string(bytes *b, const char *s)
{
    put_int(b, strlen(s), 8);
    put_text(b, s);
}

static inline void gguf_put_key(bytes *b, const char *key, uint32_t type)
{
    gguf_put_string(b, key);
    put_int(b, type, 4);
}

static inline void gguf_put_array(bytes *b, const char *key, uint32_t type, uint64_t n)
{
    gguf_put_key(b, key, GGUF_ARRAY);
    put_int(b, type, 4);
    put_int(b, n, 8);
}

static inline bytes gguf_head(uint64_t n_values)
{
    bytes b = {0};
    put_text(&b, "GGUF");
    put_int(&b, 3, 4);
    put_int(&b, 0, 8);
    put_int(&b, n_values, 8);
    return b;
}

static inline bytes gguf_tokenizer(bool byte_level)
{
    uint32_t n = 3 + 256 + (byte_level ? N_WORDS : N_PIECES);
    bytes b = gguf_head(6);
    gguf_put_key(&b, "tokenizer.ggml.model", GGUF_STRING);
    gguf_put_string(&b, byte_level ? "gpt2" : "llama");
    gguf_put_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, n);
    for (uint32_t i = 0; i < n; i++) {
        gguf_put_string(&b, i < 3        ? special_names[i]
                            : i < 259    ? (byte_level ? letter(i - 3) : byte_name(i - 3))
                            : byte_level ? letter_words[i - 259]
                                         : pieces[i - 259]);
    }
    gguf_put_array(&b, "tokenizer.ggml.token_type", GGUF_I32, n);
    for (uint32_t i = 0; i < n; i++) {
        put_int(&b, i == 0 ? 2 : i < 3 ? 3 : i < 259 && !byte_level ? 6 : 1, 4);
    }
    gguf_put_key(&b, "tokenizer.ggml.bos_token_id", GGUF_U32);
    put_int(&b, 1, 4);
    gguf_put_key(&b, "tokenizer.ggml.eos_token_id", GGUF_U32);
    put_int(&b, 2, 4);
    if (byte_level) {
        gguf_put_array(&b, "tokenizer.ggml.merges", GGUF_STRING, N_WORD_MERGES);
        for (uint32_t i = 0; i < N_WORD_MERGES; i++) {
            gguf_put_string(&b, word_merges[i]);
        }
    } else {
        gguf_put_array(&b, "tokenizer.ggml.scores", GGUF_F32, n);
        for (uint32_t i = 0; i < n; i++) {
            float score = i < 259 ? 0 : -(float)(i - 259);
            put(&b, &score, 4);
        }
    }
    return b;
}

#endif
