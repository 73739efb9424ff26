#include "runtime/io/npy.h"
#include "runtime/convert.h"
#include "runtime/io/mapped_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *descr;
    uint8_t dtype;
} types[] = {
    {"<f8", AIGC_F64 },
    {"<f4", AIGC_F32 },
    {"<f2", AIGC_F16 },
    {"<i8", AIGC_I64 },
    {"<i4", AIGC_I32 },
    {"<i2", AIGC_I16 },
    {"|i1", AIGC_I8  },
    {"|u1", AIGC_U8  },
    {"|b1", AIGC_BOOL},
    {"<i1", AIGC_I8  },
};

/* The text after 'key': in the header, a Python dictionary. */
static const char *find_key(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *p = strstr(header, quoted);
    return p ? p + strlen(quoted) + strspn(p + strlen(quoted), " ") : NULL;
}

static aigc_status parse_header(const char *path, const char *header, aigc_tensor *t,
                                aigc_error *err)
{
    const char *descr = find_key(header, "descr"), *order = find_key(header, "fortran_order"),
               *shape = find_key(header, "shape");
    t->dtype = AIGC_DTYPE_NONE;
    for (size_t i = 0; descr && i < sizeof types / sizeof *types; i++) {
        if ((*descr == '\'' || *descr == '"') && strncmp(descr + 1, types[i].descr, 3) == 0) {
            t->dtype = types[i].dtype;
        }
    }
    if (t->dtype == AIGC_DTYPE_NONE) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "%s: its element type is not supported", path);
    }
    if (!order || strncmp(order, "False", 5) != 0) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "%s: only C order is supported: save np.ascontiguousarray(x)", path);
    }
    if (!shape || *shape != '(') {
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: it has no shape", path);
    }
    t->rank = 0;
    for (shape++; *shape && *shape != ')';) {
        char *end;
        errno = 0;
        long long d = strtoll(shape, &end, 10);
        if (end == shape || d < 0 || errno || t->rank == AIGC_MAX_RANK) {
            return aigc_fail(err, AIGC_ERR_FORMAT, "%s: its shape is not possible", path);
        }
        t->dims[t->rank++] = d;
        shape = end + strspn(end, ", ");
    }
    return *shape == ')' ? AIGC_OK
                         : aigc_fail(err, AIGC_ERR_FORMAT, "%s: its shape does not end", path);
}

aigc_status npy_read(const char *path, aigc_tensor *out, aigc_error *err)
{
    mapped_file f;
    *out = (aigc_tensor){0};
    aigc_status s = mapped_file_open(path, &f, err);
    if (s != AIGC_OK) {
        return s;
    }
    size_t at = 0, length = 0;
    if (f.size >= 12 && memcmp(f.data, "\x93NUMPY", 6) == 0 && (f.data[6] == 1 || f.data[6] == 2)) {
        at = f.data[6] == 1 ? 10 : 12;
        length = f.data[6] == 1 ? (size_t)f.data[8] | (size_t)f.data[9] << 8
                                : (size_t)f.data[8] | (size_t)f.data[9] << 8 |
                                      (size_t)f.data[10] << 16 | (size_t)f.data[11] << 24;
    }
    if (at == 0 || length > f.size - at) {
        mapped_file_close(&f);
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: not a .npy file", path);
    }
    char *header = malloc(length + 1);
    if (!header) {
        mapped_file_close(&f);
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    memcpy(header, f.data + at, length);
    header[length] = 0;
    s = parse_header(path, header, out, err);
    free(header);
    int64_t bytes = s == AIGC_OK ? aigc_tensor_bytes(out->dtype, out->rank, out->dims) : 0;
    if (s == AIGC_OK && (bytes < 0 || (uint64_t)bytes > f.size - at - length)) {
        s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: it is shorter than its shape says", path);
    }
    if (s == AIGC_OK) {
        out->data = malloc((size_t)bytes + 1);
        s = out->data
                ? AIGC_OK
                : aigc_fail(err, AIGC_ERR_MEMORY, "no memory for %lld bytes", (long long)bytes);
    }
    if (s == AIGC_OK) {
        memcpy(out->data, f.data + at + length, (size_t)bytes);
    }
    mapped_file_close(&f);
    return s;
}

aigc_status npy_write(const char *path, const aigc_tensor *t, aigc_error *err)
{
    char header[320], shape[AIGC_MAX_RANK * 22 + 1] = "";
    size_t used = 0;
    int64_t n = 1;
    const char *descr = "<f4";
    for (size_t i = 0; i + 1 < sizeof types / sizeof *types; i++) {
        descr = types[i].dtype == t->dtype ? types[i].descr : descr;
    }
    if (t->rank > AIGC_MAX_RANK || aigc_tensor_bytes(t->dtype, t->rank, t->dims) < 0) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "%s: this tensor's sizes are not possible", path);
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld,%s",
                                 (long long)t->dims[i], i + 1 < t->rank ? " " : "");
        n *= t->dims[i];
    }
    int length = snprintf(header, sizeof header,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    int padded = (length + 1 + 10 + 63) / 64 * 64 - 10;
    memset(header + length, ' ', (size_t)(padded - length));
    header[padded - 1] = '\n';
    unsigned char start[10] = {0x93,
                               'N',
                               'U',
                               'M',
                               'P',
                               'Y',
                               1,
                               0,
                               (unsigned char)(padded & 255),
                               (unsigned char)(padded >> 8)};
    FILE *out = fopen(path, "wb");
    if (!out) {
        return aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
    }
    int ok = fwrite(start, 10, 1, out) == 1 && fwrite(header, (size_t)padded, 1, out) == 1;
    for (int64_t i = 0; t->dtype == AIGC_BF16 && i < n && ok; i++) {
        float f;
        aigc_convert_to_float(t->dtype, t->data, i, 1, &f);
        ok = fwrite(&f, 4, 1, out) == 1;
    }
    size_t bytes = t->dtype == AIGC_BF16 ? 0 : (size_t)n * aigc_dtype_bytes(t->dtype);
    ok = ok && fwrite(t->data, 1, bytes, out) == bytes;
    ok = fclose(out) == 0 && ok;
    return ok ? AIGC_OK : aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
}
