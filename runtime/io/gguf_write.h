/* The beginning of a GGUF file, piece by piece. Bytes are gathered in memory; `failed` says that
 * there was none left, or that a number did not fit. */
#ifndef AIGC_RUNTIME_IO_GGUF_WRITE_H
#define AIGC_RUNTIME_IO_GGUF_WRITE_H

#include "runtime/io/gguf.h"

typedef struct gguf_writer {
    char *bytes; /* free it */
    size_t size, room;
    uint64_t n_values, n_tensors;
    bool failed;
} gguf_writer;

void gguf_write_begin(gguf_writer *w);
/* A value of one number or string, or an array of numbers; bytes as in the file. */
void gguf_write_scalar(gguf_writer *w, const char *key, gguf_type type, const void *bytes);
void gguf_write_string(gguf_writer *w, const char *key, const char *text);
void gguf_write_array(gguf_writer *w, const char *key, gguf_type type, uint64_t count,
                      const void *bytes);
/* A value of another file, as it is there. */
void gguf_write_value(gguf_writer *w, const gguf_value *v);
/* After all values. offset: from the data's beginning, a multiple of the alignment. False for a
 * dtype that GGUF does not have. */
bool gguf_write_tensor(gguf_writer *w, const char *name, uint8_t dtype, uint32_t rank,
                       const int64_t *dims, uint64_t offset);
/* Fills in the counts and pads to the alignment. */
void gguf_write_end(gguf_writer *w, size_t alignment);

#endif
