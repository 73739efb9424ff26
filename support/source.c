#include "support/source.h"
#include "support/vec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct source_map {
    arena *a;
    VEC(const source_file *) files;
};

source_map *source_map_create(arena *a)
{
    source_map *m = arena_new(a, source_map);
    m->a = a;
    return m;
}

const source_file *source_add(source_map *m, const char *path, const char *text, size_t size)
{
    if (size > INT32_MAX) {
        errno = EFBIG;
        return NULL;
    }
    source_file *f = arena_new(m->a, source_file);
    f->id = m->files.len + 1;
    f->path = arena_string(m->a, path);
    f->text = arena_string_n(m->a, text, size);
    f->size = (uint32_t)size;
    VEC(uint32_t) starts = {0};
    vec_push(m->a, &starts, 0);
    for (uint32_t i = 0; i < f->size; i++) {
        if (text[i] == '\n' && i + 1 < f->size) {
            vec_push(m->a, &starts, i + 1);
        }
    }
    f->line_starts = starts.at;
    f->n_lines = starts.len;
    vec_push(m->a, &m->files, f);
    return f;
}

const source_file *source_read(source_map *m, const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in) {
        return NULL;
    }
    size_t size = 0, cap = 1 << 16;
    char *text = malloc(cap);
    while (text) {
        size += fread(text + size, 1, cap - size, in);
        if (size < cap || cap > INT32_MAX) {
            break;
        }
        cap *= 2;
        char *bigger = realloc(text, cap);
        if (!bigger) {
            free(text);
        }
        text = bigger;
    }
    int error = ferror(in) ? EIO : 0;
    fclose(in);
    if (!text || error) {
        free(text);
        errno = error ? error : ENOMEM;
        return NULL;
    }
    const source_file *f = source_add(m, path, text, size);
    free(text);
    return f;
}

const source_file *source_get(const source_map *m, uint32_t id)
{
    return id && id <= m->files.len ? m->files.at[id - 1] : NULL;
}

source_place source_locate(const source_map *m, span s)
{
    const source_file *f = source_get(m, s.file);
    if (!f) {
        return (source_place){"<unknown>", 0, 0};
    }
    uint32_t at = s.begin < f->size ? s.begin : f->size;
    uint32_t lo = 0, hi = f->n_lines;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (f->line_starts[mid] <= at) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return (source_place){f->path, lo + 1, at - f->line_starts[lo] + 1};
}
