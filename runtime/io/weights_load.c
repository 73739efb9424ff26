#include "runtime/io/weights_load.h"
#include "runtime/convert.h"
#include "runtime/pack_blocks.h"
#include "runtime/pack_pairs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void weights_report_free(weights_report *r)
{
    free(r->text);
    *r = (weights_report){0};
}

__attribute__((format(printf, 2, 3))) static void report(weights_report *r, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (!r || n < 0) {
        return;
    }
    n = n < (int)sizeof line ? n : (int)sizeof line - 1;
    if (r->size + (size_t)n + 2 > r->room) {
        size_t room = (r->room + (size_t)n + 2) * 2;
        char *text = realloc(r->text, room);
        if (!text) {
            return;
        }
        r->text = text;
        r->room = room;
    }
    memcpy(r->text + r->size, line, (size_t)n);
    r->size += (size_t)n;
    memcpy(r->text + r->size, "\n", 2);
    r->size++;
}

/* Every {} of the pattern becomes one index of the slot, outermost first. */
static void expand(const aigc_abi_param *p, const char *pattern, uint32_t slot, char out[512])
{
    int64_t index[16];
    uint32_t rest = slot, used = 0, k = 0;
    for (uint32_t i = p->n_indices; i-- > 0;) {
        index[i & 15] = rest % (uint32_t)p->counts[i];
        rest /= (uint32_t)p->counts[i];
    }
    for (const char *s = pattern; *s && used < 500; s++) {
        if (s[0] == '{' && s[1] == '}' && k < p->n_indices) {
            used += (uint32_t)snprintf(out + used, 512 - used, "%lld", (long long)index[k++ & 15]);
            s++;
        } else {
            out[used++] = *s;
        }
    }
    out[used] = 0;
}

const weights_tensor *weights_match(const weights_file *f, const aigc_abi_param *p, uint32_t slot,
                                    char name[512])
{
    char other[600];
    expand(p, p->name, slot, name);
    const weights_tensor *t = weights_file_find(f, name);
    for (uint32_t i = 0; !t && p->aliases[i]; i++) {
        char alias[512];
        expand(p, p->aliases[i], slot, alias);
        t = weights_file_find(f, alias);
    }
    static const char *const prefixes[] = {"model.", "transformer."};
    for (int i = 0; !t && i < 2; i++) {
        size_t n = strlen(prefixes[i]);
        snprintf(other, sizeof other, "%s%s", prefixes[i], name);
        t = weights_file_find(f, other);
        if (!t && strncmp(name, prefixes[i], n) == 0) {
            t = weights_file_find(f, name + n);
        }
    }
    return t;
}

static void shape_text(char out[128], uint32_t rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(out, 128, "[");
    for (uint32_t i = 0; i < rank && used < 100; i++) {
        used +=
            (size_t)snprintf(out + used, 128 - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
    }
    snprintf(out + used, 128 - used, "]");
}

/* Can the tensor become the parameter? The same sizes, and a storage known here. */
static bool fits(const aigc_abi_param *p, const weights_tensor *t, const char *name,
                 weights_report *r)
{
    char wanted[128], found[128];
    if (t->dtype == AIGC_DTYPE_NONE) {
        report(r, "%s: its storage %s is not supported", name, t->storage);
        return false;
    }
    if (t->rank != p->rank || memcmp(t->dims, p->dims, p->rank * sizeof *p->dims) != 0) {
        shape_text(wanted, p->rank, p->dims);
        shape_text(found, t->rank, t->dims);
        bool turned =
            t->rank == 2 && p->rank == 2 && t->dims[0] == p->dims[1] && t->dims[1] == p->dims[0];
        report(r, "%s: the model wants %s, the file has %s%s", name, wanted, found,
               turned ? " (the transpose)" : "");
        return false;
    }
    bool number = t->dtype <= AIGC_BF16 || aigc_dtype_block(t->dtype) > 1,
         float_param = p->storage <= AIGC_BF16 || aigc_dtype_block(p->storage) > 1;
    if (number != float_param) {
        report(r, "%s: the model wants %s, the file has %s", name, aigc_dtype_name(p->storage),
               t->storage);
        return false;
    }
    if (aigc_dtype_block(p->storage) > 1 && t->dtype != p->storage) {
        report(r,
               "%s: the model was compiled for %s, the file has %s: compile it with these weights",
               name, aigc_dtype_name(p->storage), t->storage);
        return false;
    }
    return true;
}

aigc_status weights_check(const aigc_abi_model *m, const weights_file *f, weights_report *r,
                          aigc_error *err)
{
    char name[512], first[1024] = "";
    uint32_t missing = 0, mismatched = 0;
    bool *used = calloc(f->n_tensors + 1, sizeof *used);
    if (!used) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < m->n_params; i++) {
        for (uint32_t k = 0; k < m->params[i].slots; k++) {
            const weights_tensor *t = weights_match(f, &m->params[i], k, name);
            if (!t) {
                missing++;
                report(r, "%s: missing from the file", name);
                if (!*first) {
                    snprintf(first, sizeof first, "%s is missing from the file", name);
                }
                continue;
            }
            used[t - f->tensors] = true;
            weights_report one = {0};
            if (!fits(&m->params[i], t, name, &one)) {
                mismatched++;
                report(r, "%.*s", (int)(one.size ? one.size - 1 : 0), one.text ? one.text : "");
                if (!*first && one.text) {
                    snprintf(first, sizeof first, "%.*s", (int)one.size - 1, one.text);
                }
            }
            weights_report_free(&one);
        }
    }
    uint32_t extra = 0;
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        extra += !used[i];
        if (!used[i]) {
            report(r, "%s: in the file, but not of this model", f->tensors[i].name);
        }
    }
    free(used);
    if (r) {
        r->n_missing = missing;
        r->n_mismatched = mismatched;
        r->n_extra = extra;
    }
    if (missing + mismatched) {
        return aigc_fail(err, missing ? AIGC_ERR_MISSING : AIGC_ERR_SHAPE, "%s%s", first,
                         missing + mismatched > 1 ? " (and more: see 'aigc check')" : "");
    }
    return AIGC_OK;
}

/* Loading
 * ------------------------------------------------------------------------------------------ */

static bool stays(const aigc_abi_param *p, const weights_tensor *t)
{
    size_t align = aigc_dtype_block(p->storage) > 1 ? 2 : aigc_dtype_bytes(p->storage);
    return p->layout == AIGC_LAYOUT_ROWS && p->storage == t->dtype &&
           (uintptr_t)t->data % align == 0;
}

static int64_t room_for(const aigc_abi_param *p)
{
    return (aigc_param_bytes(p) + 63) / 64 * 64;
}

static void convert_rows(const aigc_abi_param *p, const weights_tensor *t, void *out)
{
    enum { CHUNK = 4096 };
    float part[CHUNK];
    int64_t n = 1;
    for (uint32_t i = 0; i < p->rank; i++) {
        n *= p->dims[i];
    }
    if (p->storage == t->dtype) {
        memcpy(out, t->data, (size_t)aigc_tensor_bytes(t->dtype, t->rank, t->dims));
        return;
    }
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        aigc_convert_to_float(t->dtype, t->data, i, m, part);
        aigc_convert_from_float(p->storage, out, i, m, part);
    }
}

enum { PANEL_MOST = 256, DEPTH = 64 };

/* n elements of the tensor from `at` on, in the parameter's storage; n is at most PANEL_MOST. */
static void fetch(const aigc_abi_param *p, const weights_tensor *t, int64_t at, int64_t n,
                  void *out)
{
    float part[PANEL_MOST];
    size_t bytes = aigc_dtype_bytes(p->storage);
    if (p->storage == t->dtype) {
        memcpy(out, (const char *)t->data + (size_t)at * bytes, (size_t)n * bytes);
        return;
    }
    aigc_convert_to_float(t->dtype, t->data, at, n, part);
    aigc_convert_from_float(p->storage, out, 0, n, part);
}

/* out[k][r] = block[r][k] for rows of DEPTH elements, `panel` columns apart. */
static void transpose_block(const void *block, int64_t rows, int64_t depth, int64_t panel,
                            size_t bytes, void *out)
{
    for (int64_t k = 0; k < depth; k++) {
        for (int64_t r = 0; r < rows; r++) {
            if (bytes == 4) {
                ((uint32_t *)out)[k * panel + r] = ((const uint32_t *)block)[r * DEPTH + k];
            } else {
                ((uint16_t *)out)[k * panel + r] = ((const uint16_t *)block)[r * DEPTH + k];
            }
        }
    }
}

/* out[(n / panel) * K * panel + k * panel + n % panel]; zero where there is no n. Elements are of 2
 * or 4 bytes. */
static void pack_panels(const aigc_abi_param *p, const weights_tensor *t, void *out)
{
    uint32_t block[PANEL_MOST * DEPTH];
    int64_t n = p->dims[p->pack_transposed ? 1 : 0], k = p->dims[p->pack_transposed ? 0 : 1],
            panel = p->panel;
    size_t bytes = aigc_dtype_bytes(p->storage);
    for (int64_t first = 0; first < n; first += panel) {
        int64_t width = n - first < panel ? n - first : panel;
        for (int64_t at = 0; at < k; at += DEPTH) {
            int64_t depth = k - at < DEPTH ? k - at : DEPTH;
            char *to = (char *)out + (size_t)(first * k + at * panel) * bytes;
            if (width < panel) {
                memset(to, 0, (size_t)(depth * panel) * bytes);
            }
            for (int64_t i = 0; i < depth && p->pack_transposed; i++) {
                fetch(p, t, (at + i) * n + first, width, to + (size_t)(i * panel) * bytes);
            }
            for (int64_t r = 0; r < width && !p->pack_transposed; r++) {
                fetch(p, t, (first + r) * k + at, depth,
                      (char *)block + (size_t)(r * DEPTH) * bytes);
            }
            if (!p->pack_transposed) {
                transpose_block(block, width, depth, panel, bytes, to);
            }
        }
    }
}

static void release_file(void *data)
{
    weights_file_close(data);
}

aigc_status weights_load(const aigc_abi_model *m, weights_file *f, weights_report *r,
                         aigc_weights **out, aigc_error *err)
{
    char name[512];
    *out = NULL;
    aigc_status s = weights_check(m, f, r, err);
    if (s != AIGC_OK) {
        return s;
    }
    int64_t total = 0;
    for (uint32_t i = 0; i < m->n_params; i++) {
        for (uint32_t k = 0; k < m->params[i].slots; k++) {
            total += stays(&m->params[i], weights_match(f, &m->params[i], k, name))
                         ? 0
                         : room_for(&m->params[i]);
        }
    }
    char *memory = total ? aligned_alloc(64, (size_t)total) : NULL, *at = memory;
    const void **slots = calloc(m->n_slots + 1, sizeof *slots);
    if ((total && !memory) || !slots) {
        free(memory);
        free(slots);
        return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for the weights (%lld bytes)",
                         (long long)total);
    }
    for (uint32_t i = 0; i < m->n_params; i++) {
        const aigc_abi_param *p = &m->params[i];
        for (uint32_t k = 0; k < p->slots; k++) {
            const weights_tensor *t = weights_match(f, p, k, name);
            if (stays(p, t)) {
                slots[p->first_slot + k] = t->data;
                continue;
            }
            if (p->layout == AIGC_LAYOUT_PANELS && aigc_dtype_block(p->storage) > 1) {
                aigc_pack_blocks(p->storage, t->data, p->dims[0], p->dims[1], at);
            } else if (p->layout == AIGC_LAYOUT_PAIRS) {
                aigc_pack_pairs(p, t->dtype, t->data, at);
            } else if (p->layout == AIGC_LAYOUT_PANELS) {
                pack_panels(p, t, at);
            } else {
                convert_rows(p, t, at);
            }
            slots[p->first_slot + k] = at;
            at += room_for(p);
        }
    }
    s = aigc_weights_from_slots(m, slots, out);
    free(slots);
    if (s != AIGC_OK) {
        free(memory);
        return aigc_fail(err, s, "out of memory");
    }
    (*out)->memory = memory;
    (*out)->release = release_file;
    (*out)->release_data = f;
    return AIGC_OK;
}
