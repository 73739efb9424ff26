/* Hash map from a 64-bit key (an interned pointer, an id) to a pointer. Lives in an arena.
 * Iteration order is insertion order, so that everything derived from a map is the same in every
 * run. */
#ifndef AIGC_SUPPORT_MAP_H
#define AIGC_SUPPORT_MAP_H

#include "support/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct map map;

map *map_create(arena *a);
/* The value stored for the key, or NULL. */
void *map_get(const map *m, uint64_t key);
bool map_has(const map *m, uint64_t key);
/* Stores or replaces. */
void map_set(map *m, uint64_t key, void *value);
uint32_t map_count(const map *m);
/* The i-th pair in order of first insertion, i < map_count. */
void map_at(const map *m, uint32_t i, uint64_t *key, void **value);

static inline uint64_t map_key(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* Mixes 64 bits well (the finalizer of SplitMix64, Steele et al. 2014); for hashing in general. */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline uint64_t hash_combine(uint64_t h, uint64_t x)
{
    return hash_mix(h * 0x9e3779b97f4a7c15u + x + 0x632be59bd9b4e019u);
}
uint64_t hash_bytes(const void *bytes, size_t size);

#endif
