#include "runtime/io/weights_file.h"
#include "runtime/io/weights_packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const void *x, const void *y)
{
    return strcmp(((const weights_tensor *)x)->name, ((const weights_tensor *)y)->name);
}

aigc_status weights_file_add(weights_file *f, const weights_tensor *t, size_t name_length,
                             aigc_error *err)
{
    weights_tensor *tensors = f->tensors;
    char **names = f->names;
    if ((f->n_tensors & (f->n_tensors - 1)) == 0) { /* room for a power of two */
        size_t room = f->n_tensors ? f->n_tensors * 2 : 1;
        tensors = realloc(f->tensors, room * sizeof *tensors);
        f->tensors = tensors ? tensors : f->tensors;
        names = realloc(f->names, room * sizeof *names);
        f->names = names ? names : f->names;
    }
    char *name = tensors && names ? malloc(name_length + 1) : NULL;
    if (!name) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    memcpy(name, t->name, name_length);
    name[name_length] = 0;
    f->names[f->n_names++] = name;
    f->tensors[f->n_tensors] = *t;
    f->tensors[f->n_tensors++].name = name;
    return AIGC_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static aigc_status read_gguf(weights_file *f, const char *path, aigc_error *err)
{
    f->format = "gguf";
    aigc_status s = gguf_open(path, &f->gguf, err);
    for (uint64_t i = 0; s == AIGC_OK && i < f->gguf->n_tensors; i++) {
        const gguf_tensor *g = &f->gguf->tensors[i];
        weights_tensor t = {.name = g->name,
                            .dtype = gguf_dtype(g->ggml_type),
                            .rank = g->rank,
                            .data = g->data,
                            .size_bytes = g->size_bytes,
                            .storage = gguf_type_name(g->ggml_type)};
        memcpy(t.dims, g->dims, sizeof t.dims);
        s = weights_packed_read(f->gguf, i, &t, path, err);
        s = s != AIGC_OK ? s : weights_file_add(f, &t, g->name_length, err);
    }
    return s;
}

/* Every tensor that the index names is in one of the files. */
static aigc_status check_index(const weights_file *f, const char *path, json_t *map,
                               aigc_error *err)
{
    json_t *there = json_object();
    aigc_status s = there ? AIGC_OK : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    for (uint32_t i = 0; i < f->n_tensors && s == AIGC_OK; i++) {
        s = json_object_set_new(there, f->tensors[i].name, json_true()) == 0
                ? s
                : aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    const char *name;
    json_t *file;
    json_object_foreach(map, name, file)
    {
        if (s == AIGC_OK && !json_object_get(there, name)) {
            s = aigc_fail(err, AIGC_ERR_MISSING, "%s: tensor %.150s is not in %.150s", path, name,
                          json_string_value(file));
        }
    }
    json_decref(there);
    return s;
}

/* model.safetensors.index.json: {"weight_map": {tensor: file}} */
static aigc_status read_index(weights_file *f, const char *path, aigc_error *err)
{
    json_error_t why;
    json_t *index = json_load_file(path, JSON_REJECT_DUPLICATES, &why),
           *map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) {
        bool well_formed = index != NULL;
        json_decref(index);
        return aigc_fail(err, AIGC_ERR_FORMAT, "%s: not an index of safetensors files: %s", path,
                         well_formed ? "it has no weight_map" : why.text);
    }
    json_t *done = json_object();
    const char *key;
    json_t *v;
    aigc_status s = AIGC_OK;
    json_object_foreach(map, key, v)
    {
        const char *file = json_string_value(v);
        char full[2048];
        if (s != AIGC_OK) {
            break;
        }
        if (!file || strchr(file, '/') ||
            snprintf(full, sizeof full, "%s%s", f->folder, file) >= (int)sizeof full) {
            s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: a file's name is not possible", path);
        } else if (!json_object_get(done, file)) {
            json_object_set_new(done, file, json_true());
            s = safetensors_read(f, full, err);
        }
    }
    if (s == AIGC_OK) {
        s = check_index(f, path, map, err);
    }
    json_decref(done);
    json_decref(index);
    return s;
}

static aigc_status read_file(weights_file *f, const char *path, aigc_error *err)
{
    if (gguf_is_named(path)) {
        return read_gguf(f, path, err);
    }
    f->format = "safetensors";
    char config[1200];
    snprintf(config, sizeof config, "%sconfig.json", f->folder);
    f->config = json_load_file(config, 0, NULL);
    return ends_with(path, ".index.json") ? read_index(f, path, err)
                                          : safetensors_read(f, path, err);
}

aigc_status weights_file_open(const char *path, weights_file **out, aigc_error *err)
{
    *out = NULL;
    weights_file *f = calloc(1, sizeof *f);
    char found[2048];
    struct stat st;
    if (!f) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    snprintf(found, sizeof found, "%s", path);
    if (strlen(path) > 900) {
        free(f);
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "the path is too long");
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        static const char *const names[] = {"model.safetensors", "model.safetensors.index.json",
                                            "model.gguf"};
        for (int i = 0; i < 3; i++) {
            snprintf(found, sizeof found, "%s/%s", path, names[i]);
            if (stat(found, &st) == 0) {
                break;
            }
        }
    }
    const char *slash = strrchr(found, '/');
    snprintf(f->folder, sizeof f->folder, "%.*s", slash ? (int)(slash - found + 1) : 0, found);
    aigc_status s = read_file(f, found, err);
    if (s == AIGC_OK && f->n_tensors) {
        qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_name);
        for (uint32_t i = 1; i < f->n_tensors && s == AIGC_OK; i++) {
            if (strcmp(f->tensors[i].name, f->tensors[i - 1].name) == 0) {
                s = aigc_fail(err, AIGC_ERR_FORMAT, "%s: tensor %s is there twice", found,
                              f->tensors[i].name);
            }
        }
    }
    if (s != AIGC_OK) {
        weights_file_close(f);
        return s;
    }
    *out = f;
    return AIGC_OK;
}

void weights_file_close(weights_file *f)
{
    if (!f) {
        return;
    }
    for (uint32_t i = 0; i < f->n_maps; i++) {
        mapped_file_close(&f->maps[i]);
    }
    for (uint32_t i = 0; i < f->n_names; i++) {
        free(f->names[i]);
    }
    gguf_close(f->gguf);
    json_decref(f->metadata);
    json_decref(f->config);
    free(f->maps);
    free(f->names);
    free(f->tensors);
    free(f);
}

const weights_tensor *weights_file_find(const weights_file *f, const char *name)
{
    weights_tensor key = {.name = name};
    return f->n_tensors ? bsearch(&key, f->tensors, f->n_tensors, sizeof key, by_name) : NULL;
}

static bool meta_of_json(const json_t *v, weights_meta *out)
{
    if (json_is_integer(v) || json_is_boolean(v)) {
        out->kind = json_is_integer(v) ? WEIGHTS_META_INT : WEIGHTS_META_BOOL;
        out->i = json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
    } else if (json_is_real(v)) {
        out->kind = WEIGHTS_META_FLOAT;
        out->f = json_real_value(v);
    } else if (json_is_string(v)) {
        out->kind = WEIGHTS_META_STR;
        out->s = json_string_value(v);
    } else {
        return false;
    }
    return true;
}

bool weights_file_meta(const weights_file *f, const char *key, weights_meta *out)
{
    *out = (weights_meta){0};
    if (f->gguf) {
        const gguf_value *v = gguf_find(f->gguf, key);
        /* What a GGUF says by what it holds: the head is tied when there is none. */
        if (!v && strcmp(key, "aigc.tied") == 0) {
            out->kind = WEIGHTS_META_BOOL;
            out->i = !weights_file_find(f, "output.weight");
            return true;
        }
        if (!v || v->array) {
            return false;
        }
        if (v->type == GGUF_STRING) {
            static _Thread_local char text[256];
            uint64_t n;
            const char *s = gguf_string(v, 0, &n);
            snprintf(text, sizeof text, "%.*s", (int)(n < 255 ? n : 255), s);
            out->kind = WEIGHTS_META_STR;
            out->s = text;
        } else if (v->type == GGUF_F32 || v->type == GGUF_F64) {
            out->kind = WEIGHTS_META_FLOAT;
            out->f = gguf_float(v, 0);
        } else {
            out->kind = v->type == GGUF_BOOL ? WEIGHTS_META_BOOL : WEIGHTS_META_INT;
            out->i = gguf_int(v, 0);
        }
        return true;
    }
    const json_t *v = f->config;
    char part[128];
    while (v && *key) {
        size_t n = strcspn(key, ".");
        snprintf(part, sizeof part, "%.*s", (int)(n < 127 ? n : 127), key);
        v = json_object_get(v, part);
        key += n + (key[n] == '.');
    }
    return v && meta_of_json(v, out);
}
