/* Memory that is freed all at once.
 *
 * Every allocating function of the compiler takes the arena it allocates from; nobody frees a
 * single object. Three lifetimes are in use: the compilation, one graph, and scratch (arena_mark
 * and arena_release around a computation). Lack of memory ends the program: this is the compiler's
 * arena, the runtime has its own rules. */
#ifndef AIGC_SUPPORT_ARENA_H
#define AIGC_SUPPORT_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct arena arena;

arena *arena_create(void);
void arena_destroy(arena *a); /* NULL is allowed */
/* Calls free_it(data) when the arena is destroyed, before its memory goes; the last asked for comes
 * first. Not undone by arena_release. */
void arena_on_destroy(arena *a, void (*free_it)(void *data), void *data);

/* Zeroed memory, aligned for any type. size may be 0: a unique pointer comes back. */
void *arena_alloc(arena *a, size_t size);
void *arena_alloc_array(arena *a, size_t count, size_t size); /* checked for overflow */
#define arena_new(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc_array((a), (n), sizeof(type)))

void *arena_copy(arena *a, const void *bytes, size_t size);
char *arena_string(arena *a, const char *s);             /* copy of a C string */
char *arena_string_n(arena *a, const char *s, size_t n); /* copy of n bytes, zero-terminated */
char *arena_printf(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Everything allocated after a mark goes when it is released. Marks nest. */
typedef struct arena_point {
    void *block;
    size_t used;
} arena_point;
arena_point arena_mark(arena *a);
void arena_release(arena *a, arena_point p);

size_t arena_bytes(const arena *a); /* bytes handed out so far */

#endif
