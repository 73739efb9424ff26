#include "runtime/io/weights_packed.h"
#include "runtime/pack.h"

#include <string.h>

enum { LINE = 64 };

static bool is_u8s(const gguf_value *v, uint64_t n)
{
    return v && v->array && v->type == GGUF_U8 && v->count == n;
}

static aigc_status not_well_formed(const char *path, const char *what, aigc_error *err)
{
    return aigc_fail(err, AIGC_ERR_FORMAT, "%s: not well formed: %s", path, what);
}

/* The sizes of the memory are those that follow from the parameter's. */
static bool sizes_follow(const weights_tensor *t, const int64_t *memory)
{
    aigc_abi_param p = {.storage = t->dtype,
                        .layout = t->layout,
                        .rank = 2,
                        .panel = t->panel,
                        .dims = t->dims,
                        .pack_transposed = t->transposed};
    const aigc_pack_layout *l = aigc_pack_layout_of(&p);
    int64_t dims[2];
    return l && l->filled && t->dims[0] >= 0 && t->dims[1] >= 0 && l->filled(&p, dims) &&
           dims[0] == memory[0] && dims[1] == memory[1];
}

aigc_status weights_packed_read(const gguf_file *g, uint64_t tensor, weights_tensor *t,
                                const char *path, aigc_error *err)
{
    const gguf_value *version = gguf_find(g, "aigc.pack.version"),
                     *layout = gguf_find(g, "aigc.pack.layout"),
                     *panel = gguf_find(g, "aigc.pack.panel"),
                     *transposed = gguf_find(g, "aigc.pack.transposed"),
                     *dims = gguf_find(g, "aigc.pack.dims"),
                     *taps = gguf_find(g, "aigc.pack.taps");
    if (!version) {
        return AIGC_OK;
    }
    if (gguf_int(version, 0) != AIGC_PACK_VERSION) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "%s: packed by another version of aigc: pack the original again", path);
    }
    if (!is_u8s(layout, g->n_tensors) || !is_u8s(panel, g->n_tensors) ||
        !is_u8s(transposed, g->n_tensors) || !dims || !dims->array || dims->type != GGUF_I64 ||
        dims->count != 2 * g->n_tensors || !taps || !taps->array || taps->type != GGUF_I64 ||
        taps->count != g->n_tensors) {
        return not_well_formed(path, "layouts of its tensors", err);
    }
    t->layout = (uint8_t)gguf_int(layout, tensor);
    t->panel = (uint8_t)gguf_int(panel, tensor);
    t->transposed = (uint8_t)gguf_int(transposed, tensor);
    if (t->layout == AIGC_LAYOUT_ROWS) {
        return AIGC_OK;
    }
    const int64_t memory[2] = {t->dims[0], t->dims[1]};
    t->dims[0] = gguf_int(dims, 2 * tensor);
    t->dims[1] = gguf_int(dims, 2 * tensor + 1);
    t->taps = gguf_int(taps, tensor);
    bool aligned = (uintptr_t)t->data % LINE == 0; /* kernels count on it */
    return t->rank == 2 && t->transposed <= 1 && aligned && sizes_follow(t, memory)
               ? AIGC_OK
               : not_well_formed(path, "the layout of a tensor does not fit its sizes", err);
}

bool weights_packed_alike(const aigc_abi_param *p, const weights_tensor *t)
{
    return p->layout == t->layout && p->storage == t->dtype &&
           (p->layout == AIGC_LAYOUT_ROWS ||
            (p->panel == t->panel && p->pack_transposed == t->transposed));
}
