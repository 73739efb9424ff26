/* Compiled objects kept on disk, in $AIGC_CACHE_DIR, or aigc/ under $XDG_CACHE_HOME or ~/.cache.
 * Files are written under another name and renamed, and carry a checksum: readers see a whole
 * object or none. A cache that cannot be read or written is no error. */
#ifndef AIGC_CLI_CACHE_H
#define AIGC_CLI_CACHE_H

#include "support/arena.h"

#include <stdint.h>

typedef struct cache_key {
    uint64_t a, b;
} cache_key;

cache_key cache_key_begin(void); /* depends on this build of the compiler */
void cache_key_bytes(cache_key *k, const void *bytes, size_t size);
void cache_key_text(cache_key *k, const char *text);

/* In the arena; NULL when there is none, or a damaged one. */
const void *cache_read(const cache_key *k, arena *a, size_t *size);
void cache_write(const cache_key *k, const void *object, size_t size);

#endif
