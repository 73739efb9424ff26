/* Source files and places in them. A span is a range of bytes in one file; lines and columns are
 * worked out when a person is to read them. Columns count bytes from 1 as most editors do for
 * ASCII; the caret line is placed by display columns of UTF-8 text. */
#ifndef AIGC_SUPPORT_SOURCE_H
#define AIGC_SUPPORT_SOURCE_H

#include "support/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct source_file {
    uint32_t id;      /* from 1 */
    const char *path; /* as shown to people */
    const char *text; /* zero-terminated; may hold zero bytes before the end */
    uint32_t size;
    uint32_t n_lines;
    const uint32_t *line_starts; /* [n_lines] */
} source_file;

typedef struct span {
    uint32_t file; /* source_file.id; 0: nowhere */
    uint32_t begin, end;
} span;

typedef struct source_map source_map;

source_map *source_map_create(arena *a);
/* Copies path and text. Files of 2 GiB and more are refused with NULL. */
const source_file *source_add(source_map *m, const char *path, const char *text, size_t size);
/* Reads a file from disk; NULL, with errno set, when that fails. */
const source_file *source_read(source_map *m, const char *path);
const source_file *source_get(const source_map *m, uint32_t id); /* NULL for 0 */

typedef struct source_place {
    const char *path;
    uint32_t line, column; /* from 1 */
} source_place;
source_place source_locate(const source_map *m, span s); /* {"<unknown>", 0, 0} for nowhere */

static inline span span_join(span a, span b)
{
    if (a.file == 0) {
        return b;
    }
    if (b.file != a.file) {
        return a;
    }
    return (span){a.file, a.begin < b.begin ? a.begin : b.begin, a.end > b.end ? a.end : b.end};
}

#endif
