/* The standard library's files, built in. Ends with a NULL name. */
#ifndef AIGC_FRONTEND_STD_H
#define AIGC_FRONTEND_STD_H

#include <stddef.h>

typedef struct frontend_std_file {
    const char *name; /* "nn" */
    const char *text;
    size_t size;
} frontend_std_file;

extern const frontend_std_file frontend_std_files[];

/* NULL when there is none of this name. */
const frontend_std_file *frontend_std_find(const char *name);

#endif
