/* Writing packed weights: see weights_packed.h. */
#include "runtime/io/gguf_write.h"
#include "runtime/io/weights_load.h"
#include "runtime/io/weights_packed.h"
#include "runtime/io/weights_pieces.h"
#include "runtime/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 64 };

static uint64_t padded(int64_t bytes)
{
    return ((uint64_t)bytes + LINE - 1) / LINE * LINE;
}

/* Metadata --------------------------------------------------------------------------------------
 */

/* config.json: {"rope": {"theta": 1e4}} becomes rope.theta. Lists have no use here. */
static void put_config(gguf_writer *w, const char *prefix, json_t *object)
{
    const char *name;
    json_t *v;
    json_object_foreach(object, name, v)
    {
        char key[512];
        if (snprintf(key, sizeof key, "%s%s", prefix, name) >= (int)sizeof key - 1) {
            continue;
        }
        int64_t i = json_integer_value(v);
        double d = json_real_value(v);
        uint8_t yes = json_is_true(v);
        if (json_is_object(v)) {
            strcat(key, ".");
            put_config(w, key, v);
        } else if (json_is_integer(v)) {
            gguf_write_scalar(w, key, GGUF_I64, &i);
        } else if (json_is_real(v)) {
            gguf_write_scalar(w, key, GGUF_F64, &d);
        } else if (json_is_boolean(v)) {
            gguf_write_scalar(w, key, GGUF_BOOL, &yes);
        } else if (json_is_string(v)) {
            gguf_write_string(w, key, json_string_value(v));
        }
    }
}

static bool is_key(const gguf_value *v, const char *key)
{
    return v->key_length == strlen(key) && memcmp(v->key, key, v->key_length) == 0;
}

static void put_source(gguf_writer *w, const weights_file *f)
{
    for (uint64_t i = 0; f->gguf && i < f->gguf->n_values; i++) {
        if (!is_key(&f->gguf->values[i], "general.alignment")) {
            gguf_write_value(w, &f->gguf->values[i]);
        }
    }
    if (f->config) {
        put_config(w, "", f->config);
    }
    weights_meta told;
    uint8_t tied =
        !weights_file_find(f, "output.weight") && !weights_file_find(f, "lm_head.weight");
    if (!(f->gguf ? gguf_find(f->gguf, "aigc.tied") != NULL
                  : weights_file_meta(f, "aigc.tied", &told))) {
        gguf_write_scalar(w, "aigc.tied", GGUF_BOOL, &tied);
    }
}

static aigc_status put_tokenizer(gguf_writer *w, const char *path, aigc_error *err)
{
    mapped_file m;
    aigc_status s = mapped_file_open(path, &m, err);
    if (s == AIGC_OK) {
        const char *slash = strrchr(path, '/');
        gguf_write_string(w, "aigc.tokenizer.name", slash ? slash + 1 : path);
        gguf_write_array(w, "aigc.tokenizer.bytes", GGUF_U8, m.size, m.data);
        mapped_file_close(&m);
    }
    return s;
}

static void put_layouts(gguf_writer *w, const aigc_abi_model *m)
{
    uint32_t version = AIGC_PACK_VERSION, alignment = LINE;
    uint8_t *kinds = calloc(3 * (size_t)m->n_slots + 1, 1);
    int64_t *dims = calloc(3 * (size_t)m->n_slots + 1, sizeof *dims);
    w->failed = w->failed || !kinds || !dims;
    for (uint32_t i = 0; i < m->n_params && !w->failed; i++) {
        const aigc_abi_param *p = &m->params[i];
        for (uint32_t k = p->first_slot; k < p->first_slot + p->slots; k++) {
            kinds[k] = p->layout;
            kinds[m->n_slots + k] = p->panel;
            kinds[2 * m->n_slots + k] = p->pack_transposed;
            if (p->layout != AIGC_LAYOUT_ROWS) {
                aigc_pack_matrix matrix = aigc_pack_matrix_of(p);
                dims[2 * k] = matrix.rows;
                dims[2 * k + 1] = matrix.columns;
                dims[2 * m->n_slots + k] = aigc_pack_taps_of(p);
            }
        }
    }
    if (!w->failed) {
        gguf_write_scalar(w, "general.alignment", GGUF_U32, &alignment);
        gguf_write_scalar(w, "aigc.pack.version", GGUF_U32, &version);
        gguf_write_array(w, "aigc.pack.layout", GGUF_U8, m->n_slots, kinds);
        gguf_write_array(w, "aigc.pack.panel", GGUF_U8, m->n_slots, kinds + m->n_slots);
        gguf_write_array(w, "aigc.pack.transposed", GGUF_U8, m->n_slots, kinds + 2 * m->n_slots);
        gguf_write_array(w, "aigc.pack.dims", GGUF_I64, 2 * (uint64_t)m->n_slots, dims);
        gguf_write_array(w, "aigc.pack.taps", GGUF_I64, m->n_slots, dims + 2 * m->n_slots);
    }
    free(kinds);
    free(dims);
}

/* Tensors ---------------------------------------------------------------------------------------
 */

static aigc_status put_tensors(gguf_writer *w, const weights_packed_source *s, aigc_error *err)
{
    uint64_t at = 0;
    char name[512];
    for (uint32_t i = 0; i < s->m->n_params; i++) {
        const aigc_abi_param *p = &s->m->params[i];
        const aigc_pack_layout *l = aigc_pack_layout_of(p);
        int64_t filled[2];
        bool fills = l && l->filled;
        if (!l || (fills && !l->filled(p, filled))) {
            return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "%s has no layout", p->name);
        }
        for (uint32_t k = 0; k < p->slots; k++) {
            (void)weights_match(s->f, p, k, name);
            if (!gguf_write_tensor(w, name, p->storage, fills ? 2 : p->rank,
                                   fills ? filled : p->dims, at)) {
                return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "%s: a file cannot keep a %s", name,
                                 aigc_dtype_name(p->storage));
            }
            at += padded(aigc_param_bytes(p));
        }
    }
    return AIGC_OK;
}

static aigc_status write_data(FILE *out, const weights_packed_source *s, const char *path,
                              aigc_error *err)
{
    char name[512];
    for (uint32_t i = 0; i < s->m->n_params; i++) {
        const aigc_abi_param *p = &s->m->params[i];
        size_t bytes = padded(aigc_param_bytes(p));
        char *memory = aligned_alloc(LINE, bytes + LINE);
        if (!memory) {
            return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for %s", p->name);
        }
        memset(memory, 0, bytes);
        aigc_status done = AIGC_OK;
        for (uint32_t k = 0; k < p->slots && done == AIGC_OK; k++) {
            weights_job job = {.p = p, .t = weights_match(s->f, p, k, name), .out = memory};
            done = weights_pack(&job, 1, err);
            if (done == AIGC_OK && fwrite(memory, 1, bytes, out) != bytes) {
                done = aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
            }
        }
        free(memory);
        if (done != AIGC_OK) {
            return done;
        }
    }
    return AIGC_OK;
}

static aigc_status write_file(const gguf_writer *head, const weights_packed_source *s,
                              const char *path, aigc_error *err)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "the path is too long");
    }
    FILE *out = fopen(part, "wb");
    if (!out) {
        return aigc_fail(err, AIGC_ERR_IO, "%s: %s", part, strerror(errno));
    }
    aigc_status done = fwrite(head->bytes, 1, head->size, out) == head->size
                           ? write_data(out, s, part, err)
                           : aigc_fail(err, AIGC_ERR_IO, "%s: %s", part, strerror(errno));
    if ((fclose(out) != 0 || (done == AIGC_OK && rename(part, path) != 0)) && done == AIGC_OK) {
        done = aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (done != AIGC_OK) {
        unlink(part);
    }
    return done;
}

aigc_status weights_packed_write(const weights_packed_source *s, const char *path, aigc_error *err)
{
    if (s->f->gguf && gguf_find(s->f->gguf, "aigc.pack.version")) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT,
                         "these weights are packed already: pack the original");
    }
    gguf_writer w;
    gguf_write_begin(&w);
    put_layouts(&w, s->m);
    put_source(&w, s->f);
    aigc_status done = s->tokenizer ? put_tokenizer(&w, s->tokenizer, err) : AIGC_OK;
    done = done == AIGC_OK ? put_tensors(&w, s, err) : done;
    gguf_write_end(&w, LINE);
    if (done == AIGC_OK && w.failed) {
        done = aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    done = done == AIGC_OK ? write_file(&w, s, path, err) : done;
    free(w.bytes);
    return done;
}
