#include "runtime/io/gguf_write.h"

#include <stdlib.h>
#include <string.h>

static void put(gguf_writer *w, const void *bytes, size_t size)
{
    if (w->failed || size > SIZE_MAX / 4 - w->size) {
        w->failed = true;
        return;
    }
    if (w->size + size > w->room) {
        size_t room = 2 * (w->size + size) + 4096;
        char *more = realloc(w->bytes, room);
        if (!more) {
            w->failed = true;
            return;
        }
        w->bytes = more;
        w->room = room;
    }
    if (size) {
        memcpy(w->bytes + w->size, bytes, size);
        w->size += size;
    }
}

static void put_u32(gguf_writer *w, uint32_t v)
{
    put(w, &v, sizeof v);
}

static void put_u64(gguf_writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

static void put_text(gguf_writer *w, const char *text, uint64_t n)
{
    put_u64(w, n);
    put(w, text, n);
}

static void put_key(gguf_writer *w, const char *key, uint64_t length, gguf_type type)
{
    put_text(w, key, length);
    put_u32(w, type);
    w->n_values++;
}

void gguf_write_begin(gguf_writer *w)
{
    *w = (gguf_writer){0};
    put(w, "GGUF", 4);
    put_u32(w, 3);
    put_u64(w, 0); /* counts: gguf_write_end */
    put_u64(w, 0);
}

void gguf_write_scalar(gguf_writer *w, const char *key, gguf_type type, const void *bytes)
{
    put_key(w, key, strlen(key), type);
    put(w, bytes, gguf_type_bytes(type));
}

void gguf_write_string(gguf_writer *w, const char *key, const char *text)
{
    put_key(w, key, strlen(key), GGUF_STRING);
    put_text(w, text, strlen(text));
}

void gguf_write_array(gguf_writer *w, const char *key, gguf_type type, uint64_t count,
                      const void *bytes)
{
    put_key(w, key, strlen(key), GGUF_ARRAY);
    put_u32(w, type);
    put_u64(w, count);
    put(w, bytes, count * gguf_type_bytes(type));
}

void gguf_write_value(gguf_writer *w, const gguf_value *v)
{
    put_key(w, v->key, v->key_length, v->array ? GGUF_ARRAY : v->type);
    if (v->array) {
        put_u32(w, v->type);
        put_u64(w, v->count);
    }
    if (v->type != GGUF_STRING) {
        put(w, v->data, v->count * gguf_type_bytes(v->type));
        return;
    }
    for (uint64_t i = 0; i < v->count; i++) {
        uint64_t n;
        const char *text = gguf_string(v, i, &n);
        put_text(w, text, n);
    }
}

bool gguf_write_tensor(gguf_writer *w, const char *name, uint8_t dtype, uint32_t rank,
                       const int64_t *dims, uint64_t offset)
{
    uint32_t type;
    if (!gguf_type_of_dtype(dtype, &type)) {
        return false;
    }
    put_text(w, name, strlen(name));
    put_u32(w, rank);
    for (uint32_t i = rank; i-- > 0;) { /* the fastest axis first */
        put_u64(w, (uint64_t)dims[i]);
    }
    put_u32(w, type);
    put_u64(w, offset);
    w->n_tensors++;
    return true;
}

void gguf_write_end(gguf_writer *w, size_t alignment)
{
    static const char zero;
    while (!w->failed && w->size % alignment) {
        put(w, &zero, 1);
    }
    if (!w->failed) {
        memcpy(w->bytes + 8, &w->n_tensors, 8);
        memcpy(w->bytes + 16, &w->n_values, 8);
    }
}
