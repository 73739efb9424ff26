/* A file of named tensors: safetensors (one file, or a folder or index of several) or GGUF.
 * Everything is checked when it is opened: what is listed lies within the file. */
#ifndef AIGC_RUNTIME_IO_WEIGHTS_FILE_H
#define AIGC_RUNTIME_IO_WEIGHTS_FILE_H

#include "runtime/aigc.h"
#include "runtime/io/gguf.h"
#include "runtime/io/mapped_file.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct weights_tensor {
    const char *name;
    uint8_t dtype; /* aigc_dtype; AIGC_DTYPE_NONE for a storage this runtime does not know */
    uint8_t rank;
    int64_t dims[AIGC_MAX_RANK]; /* row-major */
    const void *data;
    int64_t size_bytes;  /* of what lies there: more than dims say where panels are filled up */
    const char *storage; /* the file's own word for it: "F32", "q6_K" */
    uint8_t layout;      /* aigc_layout: how data lies; of packed weights alone not ROWS */
    uint8_t panel, transposed; /* as of aigc_abi_param */
    int64_t taps;              /* of packed weights of a convolution; else not looked at */
} weights_tensor;

typedef struct weights_file {
    uint32_t n_tensors;
    weights_tensor *tensors; /* by name, ascending */
    const char *format;      /* "safetensors" or "gguf" */
    uint32_t n_maps;
    mapped_file *maps;
    gguf_file *gguf;  /* or NULL */
    json_t *metadata; /* __metadata__ of safetensors, or NULL */
    json_t *config;   /* config.json beside safetensors, or NULL */
    char **names;     /* owned strings */
    uint32_t n_names;
    char folder[1024]; /* where the file is, for what lies beside it */
} weights_file;

AIGC_MUST_CHECK aigc_status weights_file_open(const char *path, weights_file **out,
                                              aigc_error *err);
void weights_file_close(weights_file *f);
const weights_tensor *weights_file_find(const weights_file *f, const char *name); /* NULL */

/* A value that comes with the weights: GGUF metadata, or a key of config.json (dots go into
 * objects). */
typedef struct weights_meta {
    enum { WEIGHTS_META_INT, WEIGHTS_META_FLOAT, WEIGHTS_META_BOOL, WEIGHTS_META_STR } kind;
    int64_t i; /* INT, BOOL */
    double f;
    const char *s; /* lives as long as the file */
} weights_meta;
bool weights_file_meta(const weights_file *f, const char *key, weights_meta *out);

/* safetensors.c */
AIGC_MUST_CHECK aigc_status safetensors_read(weights_file *f, const char *path, aigc_error *err);
AIGC_MUST_CHECK aigc_status safetensors_write(const char *path, uint32_t n,
                                              const char *const *names, const aigc_tensor *tensors,
                                              aigc_error *err);
/* Adds a tensor to the list; the name is copied. */
AIGC_MUST_CHECK aigc_status weights_file_add(weights_file *f, const weights_tensor *t,
                                             size_t name_length, aigc_error *err);

#endif
