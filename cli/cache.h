/* Compiled objects kept on disk, in $AIGC_CACHE_DIR, or aigc/ under $XDG_CACHE_HOME or ~/.cache.
 * Files are written under another name and renamed, and carry a checksum: readers see a whole
 * object or none. An entry says which files its source imported: they are read again and compared.
 * A cache that cannot be read or written is no error. */
#ifndef AIGC_CLI_CACHE_H
#define AIGC_CLI_CACHE_H

#include "support/source.h"

#include <stdint.h>

typedef struct cache_key {
    uint64_t a, b;
} cache_key;

cache_key cache_key_begin(void); /* depends on this build of the compiler, and on the machine */
void cache_key_bytes(cache_key *k, const void *bytes, size_t size);
void cache_key_text(cache_key *k, const char *text);

typedef struct cache_entry {
    const char *symbol; /* the object exports SYMBOL_model */
    const char *header; /* its text for C */
    const void *object;
    size_t size;
} cache_entry;

/* In the arena; false when there is none, or a damaged one, or one of files that have changed.
 * sources: where those are read to. */
bool cache_read(const cache_key *k, source_map *sources, arena *a, cache_entry *out);
/* sources: of the compilation; the first is known by the key. */
void cache_write(const cache_key *k, const cache_entry *e, const source_map *sources);

#endif
