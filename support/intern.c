#include "support/intern.h"
#include "support/map.h"

#include <string.h>

typedef struct entry {
    struct entry *next; /* of the same hash */
    size_t size;
    char *text;
} entry;

struct intern_table {
    arena *a;
    map *by_hash; /* hash -> chain of entries */
};

intern_table *intern_create(arena *a)
{
    intern_table *t = arena_new(a, intern_table);
    t->a = a;
    t->by_hash = map_create(a);
    return t;
}

const char *intern_n(intern_table *t, const char *s, size_t n)
{
    uint64_t h = hash_bytes(s, n);
    entry *chain = map_get(t->by_hash, h);
    for (entry *e = chain; e; e = e->next) {
        if (e->size == n && memcmp(e->text, s, n) == 0) {
            return e->text;
        }
    }
    entry *e = arena_new(t->a, entry);
    *e = (entry){chain, n, arena_string_n(t->a, s, n)};
    map_set(t->by_hash, h, e);
    return e->text;
}

const char *intern(intern_table *t, const char *s)
{
    return intern_n(t, s, strlen(s));
}

const char *intern_printf(intern_table *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *s = arena_vprintf(t->a, format, args);
    va_end(args);
    return intern(t, s);
}
