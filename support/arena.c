#include "support/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *previous;
    size_t size;
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[];
} block;

typedef struct cleanup {
    struct cleanup *before;
    void (*free_it)(void *data);
    void *data;
} cleanup;

struct arena {
    block *last;
    cleanup *cleanups;
    size_t handed_out;
};

enum { FIRST_BLOCK = 64 * 1024, ALIGNMENT = _Alignof(max_align_t) };

static void out_of_memory(void)
{
    fputs("aigc: out of memory\n", stderr);
    exit(70);
}

static void *checked(void *p)
{
    if (!p) {
        out_of_memory();
    }
    return p;
}

arena *arena_create(void)
{
    return checked(calloc(1, sizeof(arena)));
}

static void free_blocks_after(arena *a, const block *keep)
{
    while (a->last != keep) {
        block *previous = a->last->previous;
        free(a->last);
        a->last = previous;
    }
}

void arena_destroy(arena *a)
{
    if (a) {
        for (cleanup *c = a->cleanups; c;) {
            cleanup *before = c->before;
            c->free_it(c->data);
            free(c);
            c = before;
        }
        free_blocks_after(a, NULL);
        free(a);
    }
}

void arena_on_destroy(arena *a, void (*free_it)(void *data), void *data)
{
    cleanup *c = checked(malloc(sizeof *c));
    *c = (cleanup){a->cleanups, free_it, data};
    a->cleanups = c;
}

static void add_block(arena *a, size_t at_least)
{
    size_t size = a->last ? a->last->size * 2 : FIRST_BLOCK;
    if (size > (size_t)16 << 20) {
        size = (size_t)16 << 20;
    }
    if (size < at_least) {
        size = at_least;
    }
    if (size > SIZE_MAX - sizeof(block)) {
        out_of_memory();
    }
    block *b = checked(malloc(sizeof(block) + size));
    b->previous = a->last;
    b->size = size;
    b->used = 0;
    a->last = b;
}

void *arena_alloc(arena *a, size_t size)
{
    if (size == 0) {
        size = 1;
    }
    if (size > SIZE_MAX / 2) {
        out_of_memory();
    }
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!a->last || a->last->size - a->last->used < size) {
        add_block(a, size);
    }
    void *p = a->last->bytes + a->last->used;
    a->last->used += size;
    a->handed_out += size;
    return memset(p, 0, size);
}

void *arena_alloc_array(arena *a, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        out_of_memory();
    }
    return arena_alloc(a, total);
}

void *arena_copy(arena *a, const void *bytes, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size) {
        memcpy(p, bytes, size);
    }
    return p;
}

char *arena_string_n(arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n) {
        memcpy(p, s, n);
    }
    return p;
}

char *arena_string(arena *a, const char *s)
{
    return arena_string_n(a, s, strlen(s));
}

char *arena_vprintf(arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) {
        return arena_string(a, "");
    }
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, format, args);
    return p;
}

char *arena_printf(arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *p = arena_vprintf(a, format, args);
    va_end(args);
    return p;
}

arena_point arena_mark(arena *a)
{
    return (arena_point){a->last, a->last ? a->last->used : 0};
}

void arena_release(arena *a, arena_point p)
{
    free_blocks_after(a, p.block);
    if (a->last) {
        a->last->used = p.used;
    }
}

size_t arena_bytes(const arena *a)
{
    return a->handed_out;
}
