/* safetensors: 8 bytes of length, a JSON object, the tensors.
 * https://github.com/huggingface/safetensors */
#include "runtime/io/weights_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t dtype;
} types[] = {
    {"F64",  AIGC_F64 },
    {"F32",  AIGC_F32 },
    {"F16",  AIGC_F16 },
    {"BF16", AIGC_BF16},
    {"I64",  AIGC_I64 },
    {"I32",  AIGC_I32 },
    {"I16",  AIGC_I16 },
    {"I8",   AIGC_I8  },
    {"U8",   AIGC_U8  },
    {"BOOL", AIGC_BOOL},
};

typedef struct extent {
    uint64_t begin, end;
} extent;

static int by_begin(const void *x, const void *y)
{
    const extent *a = x, *b = y;
    return a->begin < b->begin   ? -1
           : a->begin > b->begin ? 1
           : a->end < b->end     ? -1
                                 : a->end > b->end;
}

static aigc_status read_entry(const char *path, const char *name, json_t *v, weights_tensor *t,
                              extent *at, uint64_t room, aigc_error *err)
{
    json_t *dtype = json_object_get(v, "dtype"), *shape = json_object_get(v, "shape"),
           *offsets = json_object_get(v, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || json_array_size(offsets) != 2) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: tensor %s: dtype, shape and data_offsets are needed", path, name);
    }
    t->dtype = AIGC_DTYPE_NONE;
    t->storage = "unknown";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, json_string_value(dtype)) == 0) {
            t->dtype = types[i].dtype;
            t->storage = types[i].name;
        }
    }
    if (json_array_size(shape) > AIGC_MAX_RANK) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "%s: tensor %s has %zu axes; at most %d are supported", path, name,
                         json_array_size(shape), AIGC_MAX_RANK);
    }
    t->rank = (uint8_t)json_array_size(shape);
    for (uint8_t i = 0; i < t->rank; i++) {
        json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0) {
            return aigc_fail(err, AIGC_ERR_FORMAT,
                             "%s: tensor %s: a size is not a number of at least 0", path, name);
        }
        t->dims[i] = json_integer_value(d);
    }
    json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
    if (!json_is_integer(b) || !json_is_integer(e) || json_integer_value(b) < 0 ||
        json_integer_value(e) < json_integer_value(b) || (uint64_t)json_integer_value(e) > room) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: tensor %s lies outside the file", path, name);
    }
    *at = (extent){(uint64_t)json_integer_value(b), (uint64_t)json_integer_value(e)};
    int64_t bytes = (int64_t)(at->end - at->begin);
    t->size_bytes = bytes;
    if (t->dtype != AIGC_DTYPE_NONE && aigc_tensor_bytes(t->dtype, t->rank, t->dims) != bytes) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: tensor %s: its shape does not fit its %lld bytes", path, name,
                         (long long)bytes);
    }
    return AIGC_OK;
}

aigc_status safetensors_read(weights_file *f, const char *path, aigc_error *err)
{
    mapped_file map;
    aigc_status s = mapped_file_open(path, &map, err);
    if (s != AIGC_OK) {
        return s;
    }
    mapped_file *maps = realloc(f->maps, (f->n_maps + 1) * sizeof *maps);
    if (!maps) {
        mapped_file_close(&map);
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    f->maps = maps;
    f->maps[f->n_maps++] = map;
    uint64_t length = 0;
    if (map.size >= 8) {
        memcpy(&length, map.data, 8);
    }
    if (map.size < 8 || length < 2 || length > map.size - 8 || length > (uint64_t)1 << 30) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: not a safetensors file (its header does not fit)", path);
    }
    json_error_t why;
    json_t *header = json_loadb((const char *)map.data + 8, length, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(header)) {
        json_decref(header);
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: its header is not well formed: %s", path,
                         *why.text ? why.text : "an object is needed");
    }
    const unsigned char *data = map.data + 8 + length;
    uint64_t room = map.size - 8 - length;
    extent *extents = calloc(json_object_size(header) + 1, sizeof *extents);
    size_t n = 0;
    const char *name;
    json_t *v;
    s = extents ? AIGC_OK : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    json_object_foreach(header, name, v)
    {
        weights_tensor t = {.name = name};
        if (s != AIGC_OK) {
            break;
        }
        if (strcmp(name, "__metadata__") == 0) {
            f->metadata = f->metadata ? f->metadata : json_incref(v);
            continue;
        }
        s = read_entry(path, name, v, &t, &extents[n], room, err);
        if (s == AIGC_OK) {
            t.data = data + extents[n++].begin;
            s = weights_file_add(f, &t, strlen(name), err);
        }
    }
    if (s == AIGC_OK) {
        uint64_t taken = 0; /* by those before: an empty one may lie among others */
        qsort(extents, n, sizeof *extents, by_begin);
        for (size_t i = 0; i < n && s == AIGC_OK; i++) {
            if (extents[i].begin < taken && extents[i].end > extents[i].begin) {
                s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: two tensors overlap", path);
            }
            taken = extents[i].end > taken ? extents[i].end : taken;
        }
    }
    free(extents);
    json_decref(header);
    return s;
}

static json_t *describe(const aigc_tensor *t, uint64_t begin, uint64_t end)
{
    json_t *shape = json_array(), *v = json_object();
    const char *type = "F32";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        type = types[i].dtype == t->dtype ? types[i].name : type;
    }
    for (uint8_t i = 0; i < t->rank; i++) {
        json_array_append_new(shape, json_integer(t->dims[i]));
    }
    json_object_set_new(v, "dtype", json_string(type));
    json_object_set_new(v, "shape", shape);
    json_object_set_new(v, "data_offsets", json_pack("[I, I]", (json_int_t)begin, (json_int_t)end));
    return v;
}

aigc_status safetensors_write(const char *path, uint32_t n, const char *const *names,
                              const aigc_tensor *tensors, aigc_error *err)
{
    json_t *header = json_object();
    uint64_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bytes =
            (uint64_t)aigc_tensor_bytes(tensors[i].dtype, tensors[i].rank, tensors[i].dims);
        json_object_set_new(header, names[i], describe(&tensors[i], at, at + bytes));
        at += bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    FILE *out = text ? fopen(path, "wb") : NULL;
    if (!out) {
        free(text);
        return aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
    }
    uint64_t length = (strlen(text) + 7) / 8 * 8, pad = length - strlen(text);
    bool ok = fwrite(&length, 8, 1, out) == 1 &&
              fwrite(text, 1, strlen(text), out) == strlen(text) &&
              fwrite("       ", 1, pad, out) == pad;
    for (uint32_t i = 0; i < n && ok; i++) {
        size_t bytes =
            (size_t)aigc_tensor_bytes(tensors[i].dtype, tensors[i].rank, tensors[i].dims);
        ok = fwrite(tensors[i].data, 1, bytes, out) == bytes;
    }
    free(text);
    ok = fclose(out) == 0 && ok;
    return ok ? AIGC_OK : aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
}
