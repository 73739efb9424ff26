#include "support/map.h"

#include <string.h>

typedef struct pair {
    uint64_t key;
    void *value;
} pair;

struct map {
    arena *a;
    pair *pairs;     /* in order of insertion */
    uint32_t *slots; /* 1 + index into pairs, 0 when empty; a power of two of them */
    uint32_t count, pairs_cap, slots_cap;
};

map *map_create(arena *a)
{
    map *m = arena_new(a, map);
    m->a = a;
    return m;
}

/* The slot that holds the key, or the empty one where it would go. */
static uint32_t find_slot(const map *m, uint64_t key)
{
    uint32_t mask = m->slots_cap - 1;
    uint32_t s = (uint32_t)hash_mix(key) & mask;
    while (m->slots[s] && m->pairs[m->slots[s] - 1].key != key) {
        s = (s + 1) & mask;
    }
    return s;
}

static pair *find(const map *m, uint64_t key)
{
    if (m->count == 0) {
        return NULL;
    }
    uint32_t index = m->slots[find_slot(m, key)];
    return index ? &m->pairs[index - 1] : NULL;
}

void *map_get(const map *m, uint64_t key)
{
    pair *p = find(m, key);
    return p ? p->value : NULL;
}

bool map_has(const map *m, uint64_t key)
{
    return find(m, key) != NULL;
}

static void grow(map *m)
{
    uint32_t cap = m->pairs_cap ? m->pairs_cap * 2 : 8;
    pair *pairs = arena_array(m->a, pair, cap);
    if (m->count) {
        memcpy(pairs, m->pairs, m->count * sizeof(pair));
    }
    m->pairs = pairs;
    m->pairs_cap = cap;
    m->slots_cap = cap * 2;
    m->slots = arena_array(m->a, uint32_t, m->slots_cap);
    for (uint32_t i = 0; i < m->count; i++) {
        m->slots[find_slot(m, pairs[i].key)] = i + 1;
    }
}

void map_set(map *m, uint64_t key, void *value)
{
    pair *p = find(m, key);
    if (p) {
        p->value = value;
        return;
    }
    if (m->count == m->pairs_cap) {
        grow(m);
    }
    m->pairs[m->count] = (pair){key, value};
    m->slots[find_slot(m, key)] = ++m->count;
}

uint32_t map_count(const map *m)
{
    return m->count;
}

void map_at(const map *m, uint32_t i, uint64_t *key, void **value)
{
    *key = m->pairs[i].key;
    *value = m->pairs[i].value;
}

/* FNV-1a, then mixed. http://www.isthe.com/chongo/tech/comp/fnv */
uint64_t hash_bytes(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ p[i]) * 0x100000001b3u;
    }
    return hash_mix(h);
}
