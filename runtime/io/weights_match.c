#include "runtime/io/weights_load.h"
#include "runtime/io/weights_packed.h"
#include "runtime/pack.h"
#include "runtime/quantize_blocks.h"

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

/* Packed tensors are matrices, whatever the parameter's axes. */
static bool same_sizes(const aigc_abi_param *p, const weights_tensor *t)
{
    if (t->layout != AIGC_LAYOUT_ROWS) {
        aigc_pack_matrix m = aigc_pack_matrix_of(p);
        return t->dims[0] == m.rows && t->dims[1] == m.columns &&
               (t->layout != AIGC_LAYOUT_TAPS || t->taps == aigc_pack_taps_of(p));
    }
    return t->rank == p->rank && memcmp(t->dims, p->dims, p->rank * sizeof *p->dims) == 0;
}

/* Blocks are those of the file, or are made of dense floats. Those of a file run along the last
 * axis: none has them for [K, N]. */
static bool becomes_blocks(const aigc_abi_param *p, const weights_tensor *t)
{
    if (aigc_dtype_block(p->storage) == 1) {
        return true;
    }
    bool there = t->dtype == p->storage && (t->layout != AIGC_LAYOUT_ROWS || !p->pack_transposed),
         made = t->dtype <= AIGC_BF16 && aigc_block_is_made(p->storage);
    return (there || made) && aigc_param_bytes(p) >= 0;
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
    if (!same_sizes(p, t)) {
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
    if (!becomes_blocks(p, t)) {
        report(r,
               "%s: the model was compiled for %s, the file has %s: compile it with these weights",
               name, aigc_dtype_name(p->storage), t->storage);
        return false;
    }
    return true;
}

/* Packed weights are for kernels that read them as they lie: one word for all tensors. */
static aigc_status check_packing(const aigc_abi_model *m, const weights_file *f, aigc_error *err)
{
    char name[512];
    for (uint32_t i = 0; i < m->n_params; i++) {
        for (uint32_t k = 0; k < m->params[i].slots; k++) {
            const weights_tensor *t = weights_match(f, &m->params[i], k, name);
            if (t && t->layout != AIGC_LAYOUT_ROWS && !weights_packed_alike(&m->params[i], t)) {
                return aigc_fail(
                    err, AIGC_ERR_UNSUPPORTED,
                    "these weights are packed for another --cpu, --math, --quantize or -O "
                    "than this (%s is the first that differs); pack the original again "
                    "with the options of now: aigc pack MODEL.aigc --weights ORIGINAL "
                    "-o PACKED.aigcw",
                    name);
            }
        }
    }
    return AIGC_OK;
}

aigc_status weights_check(const aigc_abi_model *m, const weights_file *f, weights_report *r,
                          aigc_error *err)
{
    char name[512], first[1024] = "";
    uint32_t missing = 0, mismatched = 0;
    aigc_status packing = check_packing(m, f, err);
    if (packing != AIGC_OK) {
        return packing;
    }
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
