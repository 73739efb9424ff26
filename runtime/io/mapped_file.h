/* A file mapped for reading. */
#ifndef AIGC_RUNTIME_IO_MAPPED_FILE_H
#define AIGC_RUNTIME_IO_MAPPED_FILE_H

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct mapped_file {
    const unsigned char *data; /* NULL for an empty file */
    size_t size;
} mapped_file;

AIGC_MUST_CHECK aigc_status mapped_file_open(const char *path, mapped_file *out, aigc_error *err);
void mapped_file_close(mapped_file *f);

#endif
