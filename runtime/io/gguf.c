#include "runtime/io/gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STRINGS = 16 * 1024 * 1024 };

/* ggml.h, enum ggml_type */
static const struct {
    const char *name;
    uint8_t dtype;
} ggml_types[] = {
    {"f32",     AIGC_F32       },
    {"f16",     AIGC_F16       },
    {"q4_0",    AIGC_Q4_0      },
    {"q4_1",    AIGC_Q4_1      },
    {"q4_2",    AIGC_DTYPE_NONE},
    {"q4_3",    AIGC_DTYPE_NONE},
    {"q5_0",    AIGC_Q5_0      },
    {"q5_1",    AIGC_Q5_1      },
    {"q8_0",    AIGC_Q8_0      },
    {"q8_1",    AIGC_DTYPE_NONE},
    {"q2_K",    AIGC_Q2_K      },
    {"q3_K",    AIGC_Q3_K      },
    {"q4_K",    AIGC_Q4_K      },
    {"q5_K",    AIGC_Q5_K      },
    {"q6_K",    AIGC_Q6_K      },
    {"q8_K",    AIGC_DTYPE_NONE},
    {"iq2_xxs", AIGC_DTYPE_NONE},
    {"iq2_xs",  AIGC_DTYPE_NONE},
    {"iq3_xxs", AIGC_DTYPE_NONE},
    {"iq1_s",   AIGC_DTYPE_NONE},
    {"iq4_nl",  AIGC_DTYPE_NONE},
    {"iq3_s",   AIGC_DTYPE_NONE},
    {"iq2_s",   AIGC_DTYPE_NONE},
    {"iq4_xs",  AIGC_DTYPE_NONE},
    {"i8",      AIGC_I8        },
    {"i16",     AIGC_I16       },
    {"i32",     AIGC_I32       },
    {"i64",     AIGC_I64       },
    {"f64",     AIGC_F64       },
    {"iq1_m",   AIGC_DTYPE_NONE},
    {"bf16",    AIGC_BF16      },
};

enum { N_GGML_TYPES = sizeof ggml_types / sizeof *ggml_types };

static const uint8_t sizes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

uint8_t gguf_dtype(uint32_t t)
{
    return t < N_GGML_TYPES ? ggml_types[t].dtype : AIGC_DTYPE_NONE;
}

bool gguf_type_of_dtype(uint8_t dtype, uint32_t *ggml_type)
{
    for (uint32_t i = 0; i < N_GGML_TYPES && dtype != AIGC_DTYPE_NONE; i++) {
        if (ggml_types[i].dtype == dtype) {
            *ggml_type = i;
            return true;
        }
    }
    return false;
}

uint64_t gguf_type_bytes(gguf_type t)
{
    return sizes[t];
}

const char *gguf_type_name(uint32_t t)
{
    return t < N_GGML_TYPES ? ggml_types[t].name : "unknown";
}

/* A cursor that never leaves the file. */
typedef struct reader {
    const unsigned char *p, *end;
    bool short_;
} reader;

static const unsigned char *take(reader *r, uint64_t n)
{
    if (r->short_ || n > (uint64_t)(r->end - r->p)) {
        r->short_ = true;
        return NULL;
    }
    const unsigned char *p = r->p;
    r->p += n;
    return p;
}

static uint64_t take_int(reader *r, uint32_t bytes)
{
    uint64_t v = 0;
    const unsigned char *p = take(r, bytes);
    if (p) {
        memcpy(&v, p, bytes);
    }
    return v;
}

static const char *take_string(reader *r, uint64_t *length)
{
    *length = take_int(r, 8);
    return (const char *)take(r, *length);
}

static aigc_status read_value(reader *r, gguf_value *v, aigc_error *err, const char *path)
{
    v->key = take_string(r, &v->key_length);
    uint64_t type = take_int(r, 4);
    v->count = 1;
    if (type == GGUF_ARRAY) {
        v->array = true;
        type = take_int(r, 4);
        v->count = take_int(r, 8);
    }
    if (r->short_) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its metadata", path);
    }
    if (type >= GGUF_TYPE_COUNT || type == GGUF_ARRAY) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: metadata of a type that is not known (%llu)",
                         path, (unsigned long long)type);
    }
    v->type = (gguf_type)type;
    v->data = r->p;
    if (v->type != GGUF_STRING) {
        uint64_t bytes;
        if (__builtin_mul_overflow(v->count, (uint64_t)sizes[type], &bytes) || !take(r, bytes)) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its metadata", path);
        }
        return AIGC_OK;
    }
    if (v->count > MOST_STRINGS || v->count > (uint64_t)(r->end - r->p) / 8) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: an array of %llu strings does not fit into the file", path,
                         (unsigned long long)v->count);
    }
    v->strings = calloc(v->count + 1, sizeof *v->strings);
    if (!v->strings) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint64_t i = 0; i < v->count; i++) {
        uint64_t n;
        v->strings[i] = r->p;
        if (!take_string(r, &n) && n) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its metadata", path);
        }
    }
    return r->short_
               ? aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its metadata", path)
               : AIGC_OK;
}

/* How much of a tensor's name a message has room for. */
static int name_width(const gguf_tensor *t)
{
    return t->name_length < 150 ? (int)t->name_length : 150;
}

static aigc_status read_tensor(reader *r, gguf_tensor *t, uint64_t *offset, aigc_error *err,
                               const char *path)
{
    t->name = take_string(r, &t->name_length);
    uint64_t rank = take_int(r, 4);
    if (r->short_) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its list of tensors",
                         path);
    }
    if (rank > AIGC_MAX_RANK || t->name_length > 4096) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: a tensor's description is not well formed",
                         path);
    }
    t->rank = (uint8_t)rank;
    for (uint64_t i = 0; i < rank; i++) {
        uint64_t d = take_int(r, 8);
        if (d > (uint64_t)1 << 40) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "%s: tensor %.*s has an axis of size %llu", path,
                             name_width(t), t->name, (unsigned long long)d);
        }
        t->dims[rank - 1 - i] = (int64_t)d;
    }
    t->ggml_type = (uint32_t)take_int(r, 4);
    *offset = take_int(r, 8);
    if (r->short_) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: the file ends within its list of tensors",
                         path);
    }
    uint8_t dtype = gguf_dtype(t->ggml_type);
    t->size_bytes = dtype == AIGC_DTYPE_NONE ? -1 : aigc_tensor_bytes(dtype, t->rank, t->dims);
    if (dtype != AIGC_DTYPE_NONE && t->size_bytes < 0) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: the sizes of tensor %.*s do not fit its storage %s", path,
                         name_width(t), t->name, gguf_type_name(t->ggml_type));
    }
    return AIGC_OK;
}

static int by_key(const void *x, const void *y)
{
    const gguf_value *a = *(const gguf_value *const *)x, *b = *(const gguf_value *const *)y;
    uint64_t n = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = memcmp(a->key, b->key, n);
    return order ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static aigc_status check_keys(const gguf_file *f, aigc_error *err, const char *path)
{
    const gguf_value **sorted = malloc((f->n_values + 1) * sizeof *sorted);
    if (!sorted) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint64_t i = 0; i < f->n_values; i++) {
        sorted[i] = &f->values[i];
    }
    qsort(sorted, f->n_values, sizeof *sorted, by_key);
    aigc_status s = AIGC_OK;
    for (uint64_t i = 1; i < f->n_values && s == AIGC_OK; i++) {
        if (by_key(&sorted[i - 1], &sorted[i]) == 0) {
            int n = sorted[i]->key_length < 200 ? (int)sorted[i]->key_length : 200;
            s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: key %.*s is there twice", path, n,
                          sorted[i]->key);
        }
    }
    free(sorted);
    return s;
}

static int by_place(const void *x, const void *y)
{
    const gguf_tensor *a = *(const gguf_tensor *const *)x, *b = *(const gguf_tensor *const *)y;
    return ((uintptr_t)a->data > (uintptr_t)b->data) - ((uintptr_t)a->data < (uintptr_t)b->data);
}

static aigc_status check_overlap(const gguf_file *f, aigc_error *err, const char *path)
{
    const gguf_tensor **sorted = malloc((f->n_tensors + 1) * sizeof *sorted);
    uint64_t n = 0;
    if (!sorted) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint64_t i = 0; i < f->n_tensors; i++) {
        if (f->tensors[i].size_bytes > 0) {
            sorted[n++] = &f->tensors[i];
        }
    }
    qsort(sorted, n, sizeof *sorted, by_place);
    aigc_status s = AIGC_OK;
    for (uint64_t i = 1; i < n && s == AIGC_OK; i++) {
        const gguf_tensor *a = sorted[i - 1], *b = sorted[i];
        if ((uintptr_t)b->data - (uintptr_t)a->data < (uint64_t)a->size_bytes) {
            s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: tensors %.*s and %.*s overlap", path,
                          name_width(a), a->name, name_width(b), b->name);
        }
    }
    free(sorted);
    return s;
}

/* Where each tensor lies, after the list of them has ended at `end`. */
static aigc_status place_tensors(gguf_file *f, uint64_t end, const uint64_t *offsets,
                                 aigc_error *err, const char *path)
{
    const gguf_value *align = gguf_find(f, "general.alignment");
    uint64_t alignment = align ? (uint64_t)gguf_int(align, 0) : 32;
    if (alignment == 0 || alignment > 65536 || (alignment & (alignment - 1))) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: an alignment of %llu is not possible", path,
                         (unsigned long long)alignment);
    }
    uint64_t base = (end + alignment - 1) / alignment * alignment;
    for (uint64_t i = 0; i < f->n_tensors; i++) {
        gguf_tensor *t = &f->tensors[i];
        uint64_t at, behind, size = t->size_bytes < 0 ? 0 : (uint64_t)t->size_bytes;
        if (offsets[i] % alignment) {
            return aigc_fail(err, AIGC_ERR_FORMAT,
                             "%s: tensor %.*s does not begin at a multiple of %llu bytes", path,
                             name_width(t), t->name, (unsigned long long)alignment);
        }
        if (__builtin_add_overflow(base, offsets[i], &at) ||
            __builtin_add_overflow(at, size, &behind) || behind > f->map.size) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "%s: tensor %.*s lies outside the file", path,
                             name_width(t), t->name);
        }
        t->data = f->map.data + at;
    }
    return check_overlap(f, err, path);
}

static aigc_status read_all(gguf_file *f, aigc_error *err, const char *path)
{
    reader r = {f->map.data, f->map.data + f->map.size, false};
    const unsigned char *magic = take(&r, 4);
    uint64_t version = take_int(&r, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: not a GGUF file", path);
    }
    if (version != 2 && version != 3) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "%s: GGUF version %llu is not supported (2 and 3 are)", path,
                         (unsigned long long)version);
    }
    uint64_t n_tensors = take_int(&r, 8), n_values = take_int(&r, 8);
    if (r.short_ || n_tensors > f->map.size / 24 || n_values > f->map.size / 12) {
        return aigc_fail(err, AIGC_ERR_FORMAT,
                         "%s: %llu tensors and %llu values do not fit into the file", path,
                         (unsigned long long)n_tensors, (unsigned long long)n_values);
    }
    f->values = calloc(n_values + 1, sizeof *f->values);
    f->tensors = calloc(n_tensors + 1, sizeof *f->tensors);
    uint64_t *offsets = calloc(n_tensors + 1, sizeof *offsets);
    aigc_status s = f->values && f->tensors && offsets
                        ? AIGC_OK
                        : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    for (uint64_t i = 0; i < n_values && s == AIGC_OK; i++) {
        s = read_value(&r, &f->values[i], err, path);
        f->n_values = i + 1;
    }
    for (uint64_t i = 0; i < n_tensors && s == AIGC_OK; i++) {
        s = read_tensor(&r, &f->tensors[i], &offsets[i], err, path);
        f->n_tensors = i + 1;
    }
    s = s == AIGC_OK ? check_keys(f, err, path) : s;
    s = s == AIGC_OK ? place_tensors(f, (uint64_t)(r.p - f->map.data), offsets, err, path) : s;
    free(offsets);
    return s;
}

bool gguf_is_named(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".gguf") == 0 || strcmp(dot, ".aigcw") == 0);
}

aigc_status gguf_open(const char *path, gguf_file **out, aigc_error *err)
{
    *out = NULL;
    gguf_file *f = calloc(1, sizeof *f);
    if (!f) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    aigc_status s = mapped_file_open(path, &f->map, err);
    if (s == AIGC_OK) {
        s = f->map.size < 24 ? aigc_fail(err, AIGC_ERR_FORMAT, "%s: not a GGUF file", path)
                             : read_all(f, err, path);
    }
    if (s != AIGC_OK) {
        gguf_close(f);
        return s;
    }
    *out = f;
    return AIGC_OK;
}

void gguf_close(gguf_file *f)
{
    if (!f) {
        return;
    }
    for (uint64_t i = 0; i < f->n_values; i++) {
        free(f->values[i].strings);
    }
    free(f->values);
    free(f->tensors);
    mapped_file_close(&f->map);
    free(f);
}

const gguf_value *gguf_find(const gguf_file *f, const char *key)
{
    size_t n = strlen(key);
    for (uint64_t i = 0; i < f->n_values; i++) {
        if (f->values[i].key_length == n && memcmp(f->values[i].key, key, n) == 0) {
            return &f->values[i];
        }
    }
    return NULL;
}

bool gguf_is_int(const gguf_value *v)
{
    return v->type != GGUF_F32 && v->type != GGUF_F64 && v->type != GGUF_STRING;
}

int64_t gguf_int(const gguf_value *v, uint64_t i)
{
    if (i >= v->count || v->type == GGUF_STRING) {
        return 0;
    }
    if (!gguf_is_int(v)) {
        double d = gguf_float(v, i);
        return d > -9e18 && d < 9e18 ? (int64_t)d : 0;
    }
    uint64_t u = 0;
    uint32_t bytes = sizes[v->type];
    memcpy(&u, v->data + i * bytes, bytes);
    bool is_signed = v->type == GGUF_I8 || v->type == GGUF_I16 || v->type == GGUF_I32;
    uint32_t shift = 64 - 8 * bytes;
    return is_signed ? (int64_t)(u << shift) >> shift : (int64_t)u;
}

double gguf_float(const gguf_value *v, uint64_t i)
{
    float f;
    double d;
    if (i >= v->count || v->type == GGUF_STRING) {
        return 0;
    }
    if (v->type == GGUF_F32) {
        memcpy(&f, v->data + i * 4, 4);
        return f;
    }
    if (v->type == GGUF_F64) {
        memcpy(&d, v->data + i * 8, 8);
        return d;
    }
    return (double)gguf_int(v, i);
}

uint64_t gguf_scalar_bytes(const gguf_value *v)
{
    uint64_t length = 0;
    if (v->type == GGUF_STRING) {
        gguf_string(v, 0, &length);
        return length + 8;
    }
    return sizes[v->type];
}

const char *gguf_string(const gguf_value *v, uint64_t i, uint64_t *length)
{
    *length = 0;
    if (v->type != GGUF_STRING || i >= v->count) {
        return NULL;
    }
    memcpy(length, v->strings[i], 8);
    return (const char *)v->strings[i] + 8;
}
