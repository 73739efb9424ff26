/* What fuzzers of text share: seeds, and texts that are nearly, hardly or not at all like them. Runs
 * for AIGC_FUZZ_SECONDS (2 when unset) from AIGC_FUZZ_SEED (1), so that a failure can be had again. */
#ifndef AIGC_TESTS_TEXTS_H
#define AIGC_TESTS_TEXTS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST_SEEDS = 512, MOST_BYTES = 1 << 16 };

typedef struct seeds {
    char *text[MOST_SEEDS];
    size_t size[MOST_SEEDS];
    uint32_t n;
    const char *const *pieces; /* of the language */
    uint32_t n_pieces;
} seeds;

static uint64_t random_state;

static inline uint32_t random_below(uint32_t n)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t x = random_state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((x ^ (x >> 31)) % n);
}

static inline void add_seed(seeds *s, const char *text, size_t size)
{
    if (s->n < MOST_SEEDS && size > 0 && size < MOST_BYTES / 2) {
        s->text[s->n] = malloc(size);
        assert_non_null(s->text[s->n]);
        memcpy(s->text[s->n], text, size);
        s->size[s->n++] = size;
    }
}

static inline char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    *size = 0;
    if (!f) {
        return NULL;
    }
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *size, f), *size);
    text[*size] = 0;
    fclose(f);
    return text;
}

static inline size_t splice(char *out, size_t n, size_t at, size_t removed, const char *text, size_t added)
{
    if (n - removed + added > MOST_BYTES) {
        return n;
    }
    memmove(out + at + added, out + at + removed, n - at - removed);
    memcpy(out + at, text, added);
    return n - removed + added;
}

/* The token, more or less, around an offset. */
static inline size_t token_end(const char *s, size_t n, size_t at)
{
    size_t end = at + 1;
    bool word = (s[at] | 32) >= 'a' && (s[at] | 32) <= 'z';
    while (word && end < n && (((s[end] | 32) >= 'a' && (s[end] | 32) <= 'z') || s[end] == '_')) {
        end++;
    }
    return end;
}

static inline size_t soup(char *out, const seeds *s)
{
    size_t n = 0;
    uint32_t count = 1 + random_below(200);
    for (uint32_t i = 0; i < count; i++) {
        const char *piece = s->pieces[random_below(s->n_pieces)];
        size_t size = strlen(piece);
        memcpy(out + n, piece, size);
        n += size;
        if (random_below(4)) {
            out[n++] = ' ';
        }
    }
    return n;
}

/* Another number in place of the first one after an offset. */
static inline size_t renumber(char *out, size_t n, size_t at)
{
    static const char *const numbers[] = {"0", "1", "2", "3", "-1", "7", "15", "64", "4096",
                                          "99999", "4294967296", "9223372036854775807"};
    while (at < n && (out[at] < '0' || out[at] > '9')) {
        at++;
    }
    size_t end = at;
    while (end < n && out[end] >= '0' && out[end] <= '9') {
        end++;
    }
    const char *number = numbers[random_below(sizeof numbers / sizeof *numbers)];
    return splice(out, n, at, end - at, number, at < n ? strlen(number) : 0);
}

static inline size_t mutate(char *out, const seeds *s)
{
    uint32_t from = random_below(s->n);
    size_t n = s->size[from];
    memcpy(out, s->text[from], n);
    for (uint32_t turns = 1 + random_below(4); turns > 0 && n > 0; turns--) {
        size_t at = random_below((uint32_t)n), end = token_end(out, n, at);
        const char *piece = s->pieces[random_below(s->n_pieces)];
        switch (random_below(8)) {
        case 0: /* cut short */
            n = at;
            break;
        case 1: /* without a token */
            n = splice(out, n, at, end - at, "", 0);
            break;
        case 2: /* with another */
            n = splice(out, n, at, 0, piece, strlen(piece));
            break;
        case 3: /* in place of it */
            n = splice(out, n, at, end - at, piece, strlen(piece));
            break;
        case 4: /* a flipped bit */
            out[at] = (char)(out[at] ^ (1 << random_below(8)));
            break;
        case 5: { /* a part of another */
            uint32_t other = random_below(s->n);
            size_t begin = random_below((uint32_t)s->size[other]);
            size_t size = 1 + random_below((uint32_t)(s->size[other] - begin));
            n = splice(out, n, at, 0, s->text[other] + begin, size);
            break;
        }
        case 6:
            n = renumber(out, n, at);
            break;
        default: { /* a line twice, or not at all */
            size_t first = at, last = at;
            while (first > 0 && out[first - 1] != '\n') {
                first--;
            }
            while (last < n && out[last++] != '\n') {
            }
            char line[512];
            size_t size = last - first < sizeof line ? last - first : sizeof line;
            memcpy(line, out + first, size);
            n = random_below(2) ? splice(out, n, first, last - first, "", 0)
                                : splice(out, n, first, 0, line, size);
            break;
        }
        }
    }
    return n;
}

static inline void run_for_a_while(void (*one)(char *out, const seeds *s), const seeds *s)
{
    const char *limit = getenv("AIGC_FUZZ_SECONDS"), *seed = getenv("AIGC_FUZZ_SEED");
    double seconds = limit ? strtod(limit, NULL) : 2;
    random_state = seed ? strtoull(seed, NULL, 0) : 1;
    char *out = malloc(2 * MOST_BYTES);
    assert_non_null(out);
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    uint32_t n = 0;
    do {
        one(out, s);
        n++;
    } while (clock() < end);
    print_message("%u texts\n", n);
    free(out);
}

static inline void free_seeds(seeds *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        free(s->text[i]);
    }
    free(s);
}

#endif
