/* GGUF v2 and v3 (ggml/docs/gguf.md): metadata and tensors of a mapped file, all checked. */
#ifndef AIGC_RUNTIME_IO_GGUF_H
#define AIGC_RUNTIME_IO_GGUF_H

#include "runtime/aigc.h"
#include "runtime/io/mapped_file.h"

#include <stdbool.h>

typedef enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
} gguf_type;

typedef struct gguf_value {
    const char *key; /* not zero-terminated */
    uint64_t key_length;
    gguf_type type; /* of the value; of the elements when it is an array */
    bool array;
    uint64_t count;            /* of elements; 1 for a scalar */
    const unsigned char *data; /* the first element, as in the file */
    const unsigned char *
        *strings; /* where each string of a string array begins (its length first) */
} gguf_value;

typedef struct gguf_tensor {
    const char *name;
    uint64_t name_length;
    uint32_t ggml_type;
    uint8_t rank;
    int64_t dims[AIGC_MAX_RANK]; /* row-major: ggml's, reversed */
    const void *data;
    int64_t size_bytes; /* -1 for a type not known here */
} gguf_tensor;

typedef struct gguf_file {
    mapped_file map;
    uint64_t n_values, n_tensors;
    gguf_value *values;
    gguf_tensor *tensors;
} gguf_file;

/* Is it a GGUF by its name: .gguf, or .aigcw (runtime/io/weights_packed.h)? */
bool gguf_is_named(const char *path);
AIGC_MUST_CHECK aigc_status gguf_open(const char *path, gguf_file **out, aigc_error *err);
void gguf_close(gguf_file *f);
const gguf_value *gguf_find(const gguf_file *f, const char *key); /* NULL */

uint64_t gguf_type_bytes(gguf_type t); /* of a number */
/* Of a value that is no array, in the file. */
uint64_t gguf_scalar_bytes(const gguf_value *v);
/* Element i of a value, converted; 0 or NULL when it is of another kind or i is out of range. */
int64_t gguf_int(const gguf_value *v, uint64_t i);
double gguf_float(const gguf_value *v, uint64_t i);
const char *gguf_string(const gguf_value *v, uint64_t i,
                        uint64_t *length); /* not zero-terminated */
bool gguf_is_int(const gguf_value *v);
/* Our dtype of a ggml type, or AIGC_DTYPE_NONE; its name ("q6_K"). */
uint8_t gguf_dtype(uint32_t ggml_type);
bool gguf_type_of_dtype(uint8_t dtype, uint32_t *ggml_type); /* false: there is none */
const char *gguf_type_name(uint32_t ggml_type);

#endif
