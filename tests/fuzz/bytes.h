/* What the fuzz tests of files share: numbers from a seed, buffers that grow, mutations, files in a
 * folder that goes away.
 *
 * $AIGC_FUZZ_SEED and $AIGC_FUZZ_COUNT change what runs. */
#ifndef AIGC_TESTS_FUZZ_BYTES_H
#define AIGC_TESTS_FUZZ_BYTES_H

#include "runtime/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Numbers
 * ------------------------------------------------------------------------------------------ */

static uint64_t random_state = 1;

static inline uint64_t random_bits(void) /* SplitMix64 */
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint32_t random_below(uint32_t n)
{
    return (uint32_t)(random_bits() % n);
}

static inline uint32_t fuzz_count(uint32_t usual)
{
    const char *seed = getenv("AIGC_FUZZ_SEED"), *count = getenv("AIGC_FUZZ_COUNT");
    random_state = seed ? strtoull(seed, NULL, 0) : 1;
    return count ? (uint32_t)strtoul(count, NULL, 0) : usual;
}

/* Buffers
 * ------------------------------------------------------------------------------------------ */

typedef struct bytes {
    unsigned char *at;
    size_t n, room;
} bytes;

static inline void put(bytes *b, const void *from, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n) + 64;
        b->at = realloc(b->at, b->room);
        assert_non_null(b->at);
    }
    if (n) {
        memcpy(b->at + b->n, from, n);
    }
    b->n += n;
}

static inline void put_text(bytes *b, const char *text)
{
    put(b, text, strlen(text));
}

static inline void put_int(bytes *b, uint64_t v, uint32_t n)
{
    put(b, &v, n);
}

static inline void put_zeros(bytes *b, size_t n)
{
    while (n--) {
        put(b, "", 1);
    }
}

static inline void bytes_free(bytes *b)
{
    free(b->at);
    *b = (bytes){0};
}

/* Mutations
 * ---------------------------------------------------------------------------------------- */

static const uint64_t telling_numbers[] = {0,
                                           1,
                                           2,
                                           7,
                                           8,
                                           31,
                                           32,
                                           33,
                                           127,
                                           128,
                                           255,
                                           256,
                                           65535,
                                           65536,
                                           0x7fffffff,
                                           0x80000000,
                                           0xffffffff,
                                           0x100000000,
                                           (uint64_t)1 << 40,
                                           (uint64_t)1 << 60,
                                           (uint64_t)1 << 62,
                                           INT64_MAX,
                                           (uint64_t)1 << 63,
                                           UINT64_MAX - 7,
                                           UINT64_MAX};

/* One change somewhere in the first `head` bytes more often than elsewhere: that is where files say
 * how long things are. */
static inline void mutate_once(bytes *b, const bytes *other, size_t head)
{
    if (b->n == 0) {
        put_int(b, random_bits(), 1);
        return;
    }
    size_t most = random_below(4) && head < b->n ? head : b->n;
    size_t at = random_below((uint32_t)most);
    uint64_t number =
        telling_numbers[random_below(sizeof telling_numbers / sizeof *telling_numbers)];
    switch (random_below(8)) {
    case 0:
        b->at[at] = (unsigned char)(b->at[at] ^ (1u << random_below(8)));
        break;
    case 1:
        b->at[at] = (unsigned char)random_bits();
        break;
    case 2: /* cut short */
        b->n = random_below(3) ? b->n - random_below((uint32_t)(b->n < 16 ? b->n : 16)) : at;
        break;
    case 3: { /* a length in 1, 2, 4 or 8 bytes */
        size_t size = (size_t)1 << random_below(4);
        memcpy(b->at + at, &number, size < b->n - at ? size : b->n - at);
        break;
    }
    case 4: { /* another digit, where there is one */
        for (size_t i = 0; i < b->n; i++) {
            size_t k = (at + i) % b->n;
            if (b->at[k] >= '0' && b->at[k] <= '9') {
                b->at[k] = (unsigned char)('0' + random_below(10));
                break;
            }
        }
        break;
    }
    case 5: { /* a part of another, in place or between */
        size_t from = other->n ? random_below((uint32_t)other->n) : 0,
               n = other->n ? 1 + random_below(32) : 0;
        n = n < other->n - from ? n : other->n - from;
        if (random_below(2)) {
            memcpy(b->at + at, other->at + from, n < b->n - at ? n : b->n - at);
        } else {
            put_zeros(b, n);
            memmove(b->at + at + n, b->at + at, b->n - n - at);
            memcpy(b->at + at, other->at + from, n);
        }
        break;
    }
    case 6: { /* without a part */
        size_t n = 1 + random_below(24);
        n = n < b->n - at ? n : b->n - at;
        memmove(b->at + at, b->at + at + n, b->n - at - n);
        b->n -= n;
        break;
    }
    default: { /* a word in text */
        static const char *const words[] = {
            "-1",      "1e99", "99999999999999999999", "null", "{}", "[]", "\"\"", "[[[", "\xff",
            "\\u0000", ","};
        const char *word = words[random_below(sizeof words / sizeof *words)];
        size_t n = strlen(word);
        memcpy(b->at + at, word, n < b->n - at ? n : b->n - at);
        break;
    }
    }
}

/* A change or a few of one of the seeds. */
static inline void mutate(bytes *out, const bytes *seeds, uint32_t n_seeds, uint32_t which,
                          size_t head)
{
    out->n = 0;
    put(out, seeds[which].at, seeds[which].n);
    for (uint32_t turns = 1 + random_below(4); turns > 0; turns--) {
        mutate_once(out, &seeds[random_below(n_seeds)], head);
    }
}

/* Files
 * -------------------------------------------------------------------------------------------- */

static char fuzz_folder[] = "/tmp/aigc-fuzz-XXXXXX";

/* Bytes as a file of that name: its path, in a buffer of four in turn. */
static inline const char *fuzz_file(const char *name, const bytes *b)
{
    static char paths[4][256];
    static uint32_t turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(b->n == 0 || fwrite(b->at, 1, b->n, f) == b->n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline int fuzz_begin(void **state)
{
    (void)state;
    return mkdtemp(fuzz_folder) ? 0 : 1;
}

static inline int fuzz_end(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder);
    return system(command);
}

/* A failure has a status and words, within their buffer, and no success has any. */
static inline void check_error(aigc_status s, const aigc_error *err)
{
    assert_true(s >= AIGC_OK && s <= AIGC_ERR_CANCELLED);
    assert_true(memchr(err->text, 0, sizeof err->text) != NULL);
    assert_true(s == AIGC_OK || err->text[0] != 0);
}

#endif
