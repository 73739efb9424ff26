/* One copy of every string: interned strings are equal when their pointers are. */
#ifndef AIGC_SUPPORT_INTERN_H
#define AIGC_SUPPORT_INTERN_H

#include "support/arena.h"

typedef struct intern_table intern_table;

intern_table *intern_create(arena *a);
/* The one zero-terminated copy of these n bytes; it lives as long as the arena. */
const char *intern_n(intern_table *t, const char *s, size_t n);
const char *intern(intern_table *t, const char *s);
const char *intern_printf(intern_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
