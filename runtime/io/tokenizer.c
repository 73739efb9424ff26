#define _GNU_SOURCE
#include "runtime/io/tokenizer_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table ---------------------------------------------------------------------------------------
 */

static uint64_t hash_text(uint64_t h, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) { /* FNV-1a */
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    }
    return h;
}
static const uint64_t fnv_begin = 0xcbf29ce484222325u;

static uint32_t spread(uint64_t h)
{
    return (uint32_t)(h ^ (h >> 29) ^ (h >> 47));
}

size_t utf8_length(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    size_t want = c < 0x80                ? 1
                  : c >= 0xc2 && c < 0xe0 ? 2
                  : c >= 0xe0 && c < 0xf0 ? 3
                  : c >= 0xf0 && c < 0xf5 ? 4
                                          : 1;
    if (want > n) {
        return 1;
    }
    for (size_t i = 1; i < want; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80) {
            return 1;
        }
    }
    return want;
}

aigc_status tokenizer_reserve(tokenizer *t, uint32_t n, aigc_error *err)
{
    if (n == 0 || n > TOKENIZER_MOST_TOKENS) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "a vocabulary of %u tokens: between 1 and %d are possible", n,
                         TOKENIZER_MOST_TOKENS);
    }
    t->entries = calloc(n, sizeof *t->entries);
    t->n = t->entries ? n : 0;
    return t->entries ? AIGC_OK : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
}

aigc_status tokenizer_set(tokenizer *t, uint32_t id, const char *text, size_t size, float score,
                          uint8_t type, aigc_error *err)
{
    if (id >= t->n || size > 1 << 16) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "token %u: %s", id,
                         id >= t->n ? "there are fewer tokens" : "its text is too long");
    }
    if (score != score) { /* merges are ordered by it */
        return aigc_fail(err, AIGC_ERR_FORMAT, "token %u: its score is not a number", id);
    }
    token_entry *e = &t->entries[id];
    free(e->text);
    e->text = malloc(size + 1);
    if (!e->text) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    memcpy(e->text, text, size);
    e->text[size] = 0;
    e->size = (uint32_t)size;
    e->score = score;
    e->type = type;
    return AIGC_OK;
}

int32_t tokenizer_find(const tokenizer *t, const char *text, size_t size)
{
    uint32_t mask = t->table_size - 1;
    for (uint32_t i = spread(hash_text(fnv_begin, text, size)) & mask; t->table[i];
         i = (i + 1) & mask) {
        const token_entry *e = &t->entries[t->table[i] - 1];
        if (e->size == size && memcmp(e->text, text, size) == 0) {
            return (int32_t)t->table[i] - 1;
        }
    }
    return -1;
}

static uint64_t merge_hash(const char *left, size_t left_size, const char *right, size_t right_size)
{
    uint64_t h = hash_text(fnv_begin, left, left_size);
    return hash_text((h ^ 0xff) * 0x9e3779b97f4a7c15u, right, right_size);
}

aigc_status tokenizer_reserve_merges(tokenizer *t, uint64_t n, aigc_error *err)
{
    if (n > TOKENIZER_MOST_TOKENS) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%llu merges are too many", (unsigned long long)n);
    }
    t->merges_size = 16;
    while (t->merges_size < 2 * n) {
        t->merges_size *= 2;
    }
    t->merges = calloc(t->merges_size, sizeof *t->merges);
    return t->merges ? AIGC_OK : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
}

void tokenizer_add_merge(tokenizer *t, const char *left, size_t left_size, const char *right,
                         size_t right_size, uint32_t rank)
{
    uint64_t h = merge_hash(left, left_size, right, right_size);
    uint32_t mask = t->merges_size - 1, i = spread(h) & mask;
    while (t->merges[i].rank && t->merges[i].hash != h) {
        i = (i + 1) & mask;
    }
    if (!t->merges[i].rank) {
        t->merges[i].hash = h;
        t->merges[i].rank = rank + 1;
        t->n_merges++;
    }
}

uint32_t tokenizer_rank(const tokenizer *t, const char *left, size_t left_size, const char *right,
                        size_t right_size)
{
    uint64_t h = merge_hash(left, left_size, right, right_size);
    uint32_t mask = t->merges_size - 1;
    for (uint32_t i = spread(h) & mask; t->merges[i].rank; i = (i + 1) & mask) {
        if (t->merges[i].hash == h) {
            return t->merges[i].rank - 1;
        }
    }
    return UINT32_MAX;
}

int tokenizer_byte(const char *text, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') {
        return -1;
    }
    int byte = 0;
    for (int i = 3; i < 5; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] + 32) : text[i];
        const char *digit = c ? strchr(digits, c) : NULL;
        if (!digit) {
            return -1;
        }
        byte = byte * 16 + (int)(digit - digits);
    }
    return byte;
}

/* Bytes as letters (GPT-2's bytes_to_unicode): printable ones stand for themselves, the others for
 * U+0100 and on. */
static bool stands_for_itself(unsigned b)
{
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

static uint16_t letter_of(unsigned byte)
{
    unsigned n = 256;
    if (stands_for_itself(byte)) {
        return (uint16_t)byte;
    }
    for (unsigned b = 0; b < byte; b++) {
        n += !stands_for_itself(b);
    }
    return (uint16_t)n;
}

static int longer_first(const void *a, const void *b, void *t)
{
    uint32_t x = ((const tokenizer *)t)->entries[*(const int32_t *)a].size,
             y = ((const tokenizer *)t)->entries[*(const int32_t *)b].size;
    return x < y ? 1 : x > y ? -1 : *(const int32_t *)a - *(const int32_t *)b;
}

aigc_status tokenizer_finish(tokenizer *t, aigc_error *err)
{
    t->table_size = 16;
    while (t->table_size < 2 * t->n) {
        t->table_size *= 2;
    }
    t->table = calloc(t->table_size, sizeof *t->table);
    t->specials = calloc(t->n, sizeof *t->specials);
    if (!t->table || !t->specials) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (int i = 0; i < 256; i++) {
        t->byte_ids[i] = -1;
    }
    for (uint32_t id = 0; id < t->n; id++) {
        const token_entry *e = &t->entries[id];
        if (!e->text) {
            continue;
        }
        uint32_t mask = t->table_size - 1,
                 i = spread(hash_text(fnv_begin, e->text, e->size)) & mask;
        /* The first of equals. Text never becomes a control token, nor "<0x41>" the byte it names.
         */
        if (e->type != TOKEN_CONTROL && e->type != TOKEN_UNKNOWN && e->type != TOKEN_BYTE &&
            tokenizer_find(t, e->text, e->size) < 0) {
            while (t->table[i]) {
                i = (i + 1) & mask;
            }
            t->table[i] = id + 1;
        }
        int byte = e->type == TOKEN_BYTE ? tokenizer_byte(e->text, e->size) : -1;
        if (byte >= 0) {
            t->byte_ids[byte] = (int32_t)id;
        }
        if ((e->type == TOKEN_CONTROL || e->type == TOKEN_USER) && e->size) {
            t->specials[t->n_specials++] = (int32_t)id;
        }
    }
    qsort_r(t->specials, t->n_specials, sizeof *t->specials, longer_first, t);
    for (unsigned b = 0; b < 256; b++) {
        t->letters[b] = letter_of(b);
        t->bytes[t->letters[b]] = (uint8_t)b;
        t->is_letter[t->letters[b]] = true;
    }
    bool bad = t->bos >= (int32_t)t->n || t->eos >= (int32_t)t->n || t->unknown >= (int32_t)t->n;
    return bad ? aigc_fail(err, AIGC_ERR_FORMAT, "a special token is none of the %u tokens", t->n)
               : AIGC_OK;
}

aigc_status tokenizer_add_pattern(tokenizer *t, const char *pattern, aigc_error *err)
{
    int code;
    PCRE2_SIZE at;
    if (t->n_patterns == TOKENIZER_MOST_PATTERNS) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "more than %d patterns",
                         TOKENIZER_MOST_PATTERNS);
    }
    pcre2_code *p =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, NULL);
    if (!p) {
        char text[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        return aigc_fail(err, AIGC_ERR_FORMAT, "the pre-tokenizer's pattern: %s at %zu", text, at);
    }
    t->patterns[t->n_patterns++] = p;
    return AIGC_OK;
}

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define REST         "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const struct {
    const char *name, *pattern;
} known[] = {
    {"gpt-2",     CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {"llama-bpe", "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST    },
    {"llama3",    "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}" REST    },
    {"qwen2",     "(?i:" CONTRACTIONS ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" REST         },
};

aigc_status tokenizer_add_known_pattern(tokenizer *t, const char *name, aigc_error *err)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return tokenizer_add_pattern(t, known[i].pattern, err);
        }
    }
    return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                     "the pre-tokenizer %s is not known here; known are gpt-2, llama-bpe and qwen2",
                     name);
}

static size_t put_letter(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xc0 | (c >> 6));
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

/* Encoding ----------------------------------------------------------------------------------------
 */

typedef struct encoding {
    const tokenizer *t;
    int32_t *ids;
    size_t n, room;
    aigc_error *err;
} encoding;

static aigc_status emit_id(encoding *c, int32_t id)
{
    if (c->n == c->room) {
        size_t room = c->room * 2 + 64;
        int32_t *more = realloc(c->ids, room * sizeof *more);
        if (!more) {
            return aigc_fail(c->err, AIGC_ERR_MEMORY, "out of memory");
        }
        c->ids = more;
        c->room = room;
    }
    c->ids[c->n++] = id;
    return AIGC_OK;
}

static aigc_status emit_unknown(encoding *c, const char *s, size_t n)
{
    return c->t->unknown >= 0
               ? emit_id(c, c->t->unknown)
               : aigc_fail(c->err, AIGC_ERR_FORMAT, "the vocabulary has no token for '%.*s'",
                           n < 100 ? (int)n : 100, s);
}

/* A symbol that no merge touches any more: its token, or its bytes', or the unknown token. */
static aigc_status emit_symbol(void *data, const char *s, size_t n)
{
    encoding *c = data;
    const tokenizer *t = c->t;
    int32_t id = tokenizer_find(t, s, n);
    if (id >= 0) {
        return emit_id(c, id);
    }
    if (t->kind == TOKENIZER_BYTES) { /* letters one by one */
        aigc_status status = AIGC_OK;
        for (size_t at = 0; at < n && status == AIGC_OK;) {
            size_t length = utf8_length(s + at, n - at);
            id = tokenizer_find(t, s + at, length);
            status = id >= 0 ? emit_id(c, id) : emit_unknown(c, s + at, length);
            at += length;
        }
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        if (t->byte_ids[(unsigned char)s[i]] < 0) {
            return emit_unknown(c, s, n);
        }
    }
    aigc_status status = AIGC_OK;
    for (size_t i = 0; i < n && status == AIGC_OK; i++) {
        status = emit_id(c, t->byte_ids[(unsigned char)s[i]]);
    }
    return status;
}

static aigc_status encode_word(encoding *c, const char *word, size_t n)
{
    char *letters = malloc(2 * n + 1);
    size_t size = 0;
    if (!letters) {
        return aigc_fail(c->err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        size += put_letter(c->t->letters[(unsigned char)word[i]], letters + size);
    }
    int32_t whole = c->t->ignore_merges ? tokenizer_find(c->t, letters, size) : -1;
    aigc_status s =
        whole >= 0 ? emit_id(c, whole) : tokenizer_merge(c->t, letters, size, emit_symbol, c);
    free(letters);
    return s;
}

/* Splits by pattern `at` and hands the parts to the next, the last one's to encode_word. */
static aigc_status encode_words(encoding *c, uint32_t at, const char *text, size_t size)
{
    if (at == c->t->n_patterns) {
        return size ? encode_word(c, text, size) : AIGC_OK;
    }
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    if (!m) {
        return aigc_fail(c->err, AIGC_ERR_MEMORY, "out of memory");
    }
    aigc_status s = AIGC_OK;
    size_t done = 0, from = 0;
    while (s == AIGC_OK && from < size) {
        int found = pcre2_match(c->t->patterns[at], (PCRE2_SPTR)text, size, from, 0, m, NULL);
        if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
            s = aigc_fail(c->err, AIGC_ERR_FORMAT,
                          "the pre-tokenizer's pattern fails on this text (%d)", found);
            break;
        }
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(m);
        if (found < 0) {
            break;
        }
        if (range[1] <= range[0] ||
            range[0] < from) { /* an empty match, or one that \K has moved */
            from = (range[1] > from ? range[1] : from) + 1;
            continue;
        }
        if (range[0] > done) { /* what no pattern takes stays together */
            s = encode_words(c, at + 1, text + done, range[0] - done);
        }
        s = s == AIGC_OK ? encode_words(c, at + 1, text + range[0], range[1] - range[0]) : s;
        done = from = range[1];
    }
    if (s == AIGC_OK && done < size) {
        s = encode_words(c, at + 1, text + done, size - done);
    }
    pcre2_match_data_free(m);
    return s;
}

static aigc_status encode_pieces(encoding *c, const char *text, size_t size, bool begins)
{
    char *marked = malloc(3 * size + 4);
    size_t n = 0;
    if (!marked) {
        return aigc_fail(c->err, AIGC_ERR_MEMORY, "out of memory");
    }
    if (begins && c->t->add_space) {
        memcpy(marked, "\xe2\x96\x81", 3);
        n = 3;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ' ') {
            memcpy(marked + n, "\xe2\x96\x81", 3);
            n += 3;
        } else {
            marked[n++] = text[i];
        }
    }
    aigc_status s = tokenizer_merge(c->t, marked, n, emit_symbol, c);
    free(marked);
    return s;
}

static aigc_status encode_chars(encoding *c, const char *text, size_t size)
{
    aigc_status s = AIGC_OK;
    for (size_t at = 0; at < size && s == AIGC_OK;) {
        size_t n = utf8_length(text + at, size - at);
        s = emit_symbol(c, text + at, n);
        at += n;
    }
    return s;
}

static aigc_status encode_plain(encoding *c, const char *text, size_t size, bool begins)
{
    if (size == 0) {
        return AIGC_OK;
    }
    return c->t->kind == TOKENIZER_BYTES   ? encode_words(c, 0, text, size)
           : c->t->kind == TOKENIZER_CHARS ? encode_chars(c, text, size)
                                           : encode_pieces(c, text, size, begins);
}

/* A token whose name stands at this place of the text, or -1. */
static int32_t special_at(const tokenizer *t, const char *text, size_t size, bool control)
{
    for (uint32_t i = 0; i < t->n_specials; i++) {
        const token_entry *e = &t->entries[t->specials[i]];
        if ((control || e->type == TOKEN_USER) && e->size <= size &&
            memcmp(e->text, text, e->size) == 0) {
            return t->specials[i];
        }
    }
    return -1;
}

aigc_status tokenizer_encode(const tokenizer *t, const char *text, size_t size, bool special,
                             int32_t **ids, size_t *n, aigc_error *err)
{
    encoding c = {.t = t, .ids = *ids, .n = *n, .room = *n, .err = err};
    bool first_bytes[256] = {0}, begins = true;
    for (uint32_t i = 0; i < t->n_specials; i++) {
        first_bytes[(unsigned char)t->entries[t->specials[i]].text[0]] = true;
    }
    size_t done = 0;
    aigc_status s = AIGC_OK;
    for (size_t at = 0; at < size && s == AIGC_OK;) {
        int32_t id = first_bytes[(unsigned char)text[at]]
                         ? special_at(t, text + at, size - at, special)
                         : -1;
        if (id < 0) {
            at++;
            continue;
        }
        s = encode_plain(&c, text + done, at - done, begins);
        s = s == AIGC_OK ? emit_id(&c, id) : s;
        at += t->entries[id].size;
        done = at;
        begins = true;
    }
    s = s == AIGC_OK ? encode_plain(&c, text + done, size - done, begins) : s;
    *ids = c.ids;
    *n = s == AIGC_OK ? c.n : *n;
    return s == AIGC_ERR_MEMORY ? aigc_fail(err, s, "out of memory") : s;
}

/* Decoding ----------------------------------------------------------------------------------------
 */

static void put(char *out, size_t size, size_t *n, char c)
{
    if (*n < size) {
        out[*n] = c;
    }
    (*n)++;
}

size_t tokenizer_decode(const tokenizer *t, int32_t id, bool first, char *out, size_t size)
{
    size_t n = 0;
    if (id < 0 || id >= (int32_t)t->n || !t->entries[id].text) {
        return 0;
    }
    const token_entry *e = &t->entries[id];
    if (e->type == TOKEN_CONTROL || (t->kind != TOKENIZER_CHARS && e->type == TOKEN_UNKNOWN)) {
        return 0;
    }
    int byte = e->type == TOKEN_BYTE ? tokenizer_byte(e->text, e->size) : -1;
    if (byte >= 0) {
        put(out, size, &n, (char)byte);
        return n;
    }
    for (size_t at = 0; at < e->size;) {
        size_t length = utf8_length(e->text + at, e->size - at);
        const char *s = e->text + at;
        if (t->kind == TOKENIZER_BYTES && e->type != TOKEN_USER && length <= 2) {
            uint32_t letter = length == 1
                                  ? (unsigned char)s[0]
                                  : ((uint32_t)(s[0] & 0x1f) << 6) | (uint32_t)(s[1] & 0x3f);
            if (letter < TOKENIZER_LETTERS && t->is_letter[letter]) {
                put(out, size, &n, (char)t->bytes[letter]);
                at += length;
                continue;
            }
        }
        if (t->kind == TOKENIZER_PIECES && length == 3 && memcmp(s, "\xe2\x96\x81", 3) == 0) {
            if (!(first && t->add_space && at == 0)) {
                put(out, size, &n, ' ');
            }
            at += 3;
            continue;
        }
        for (size_t i = 0; i < length; i++) {
            put(out, size, &n, s[i]);
        }
        at += length;
    }
    return n;
}

size_t utf8_stream_push(utf8_stream *s, const char *bytes, size_t size, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        s->held[s->n++] = bytes[i];
        unsigned char c = (unsigned char)s->held[0];
        size_t want = c >= 0xf0 && c < 0xf5 ? 4
                      : c >= 0xe0           ? (c < 0xf0 ? 3 : 1)
                      : c >= 0xc2           ? 2
                                            : 1;
        bool broken = s->n > 1 && ((unsigned char)bytes[i] & 0xc0) != 0x80;
        if (broken) { /* what was held is no character: let it go, begin anew */
            memcpy(out + n, s->held, s->n - 1);
            n += s->n - 1;
            s->held[0] = bytes[i];
            s->n = 0;
            i--;
            continue;
        }
        if (s->n == want) {
            memcpy(out + n, s->held, s->n);
            n += s->n;
            s->n = 0;
        }
    }
    return n;
}

/* Opening -----------------------------------------------------------------------------------------
 */

void tokenizer_close(tokenizer *t)
{
    if (!t) {
        return;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        free(t->entries[i].text);
    }
    for (uint32_t i = 0; i < t->n_patterns; i++) {
        pcre2_code_free(t->patterns[i]);
    }
    free(t->entries);
    free(t->table);
    free(t->merges);
    free(t->specials);
    free(t);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The content of a file of that name. */
static aigc_status read_bytes(tokenizer *t, const char *name, const unsigned char *bytes,
                              size_t size, aigc_error *err)
{
    if (size == 0) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file is empty", name);
    }
    return ends_with(name, ".json") ? tokenizer_read_json(t, bytes, size, name, err)
                                    : tokenizer_read_model(t, bytes, size, err);
}

/* The file's own, or a whole file that was packed into it. */
static aigc_status read_gguf(tokenizer *t, const gguf_file *f, aigc_error *err)
{
    const gguf_value *name = gguf_find(f, "aigc.tokenizer.name"),
                     *bytes = gguf_find(f, "aigc.tokenizer.bytes");
    uint64_t n = 0;
    const char *text = name ? gguf_string(name, 0, &n) : NULL;
    if (!text || !bytes || !bytes->array || bytes->type != GGUF_U8) {
        return tokenizer_read_gguf(t, f, err);
    }
    char copy[256];
    snprintf(copy, sizeof copy, "%.*s", (int)(n < 255 ? n : 255), text);
    return read_bytes(t, copy, bytes->data, bytes->count, err);
}

aigc_status tokenizer_open(const char *path, tokenizer **out, aigc_error *err)
{
    *out = NULL;
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    t->bos = t->eos = t->unknown = -1;
    aigc_status s;
    if (gguf_is_named(path)) {
        gguf_file *f;
        s = gguf_open(path, &f, err);
        if (s == AIGC_OK) {
            s = read_gguf(t, f, err);
            gguf_close(f);
        }
    } else {
        mapped_file m;
        s = mapped_file_open(path, &m, err);
        if (s == AIGC_OK) {
            s = read_bytes(t, path, m.data, m.size, err);
            mapped_file_close(&m);
        }
    }
    s = s == AIGC_OK ? tokenizer_finish(t, err) : s;
    if (s != AIGC_OK) {
        tokenizer_close(t);
        return s;
    }
    *out = t;
    return AIGC_OK;
}

uint32_t tokenizer_size(const tokenizer *t)
{
    return t->n;
}

int32_t tokenizer_bos(const tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const tokenizer *t)
{
    return t->eos;
}

bool tokenizer_adds_bos(const tokenizer *t)
{
    return t->add_bos && t->bos >= 0;
}

bool tokenizer_ends(const tokenizer *t, int32_t id)
{
    static const char *const ends[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|endoftext|>",
                                       "<end_of_turn>"};
    if (id >= 0 && id == t->eos) {
        return true;
    }
    for (size_t i = 0; id >= 0 && id < (int32_t)t->n && i < sizeof ends / sizeof *ends; i++) {
        const token_entry *e = &t->entries[id];
        if (e->type == TOKEN_CONTROL && e->size == strlen(ends[i]) &&
            memcmp(e->text, ends[i], e->size) == 0) {
            return true;
        }
    }
    return false;
}
