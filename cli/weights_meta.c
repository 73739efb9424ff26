/* What a file of weights says about a model: hyper-parameters, and how each parameter is kept. */
#include "cli/compile.h"
#include "backend/kernel.h"
#include "runtime/io/weights_load.h"
#include "runtime/pack_blocks.h"

#include <string.h>

/* Keys that files leave out where they follow from the rest. */
static bool derived(const weights_file *f, const char *key, frontend_meta *out)
{
    if (strcmp(key, "aigc.tied") == 0) { /* no output matrix: the embedding serves */
        bool output =
            weights_file_find(f, "output.weight") || weights_file_find(f, "lm_head.weight");
        *out = (frontend_meta){.kind = FRONTEND_META_BOOL, .i = !output};
        return true;
    }
    size_t n = strlen(key);
    if (n > 11 && strcmp(key + n - 11, ".vocab_size") == 0 && f->gguf) {
        const gguf_value *v = gguf_find(f->gguf, "tokenizer.ggml.tokens");
        if (v && v->array) {
            *out = (frontend_meta){.kind = FRONTEND_META_INT, .i = (int64_t)v->count};
            return true;
        }
    }
    return false;
}

bool weights_meta_for_frontend(void *weights, const char *key, frontend_meta *out)
{
    const weights_file *f = weights;
    weights_meta m;
    if (!weights_file_meta(f, key, &m)) {
        return derived(f, key, out);
    }
    *out = (frontend_meta){.kind = m.kind == WEIGHTS_META_INT     ? FRONTEND_META_INT
                                   : m.kind == WEIGHTS_META_FLOAT ? FRONTEND_META_FLOAT
                                   : m.kind == WEIGHTS_META_BOOL  ? FRONTEND_META_BOOL
                                                                  : FRONTEND_META_STR,
                           .i = m.i,
                           .f = m.f,
                           .s = m.s};
    return true;
}

_Static_assert((int)IR_BLOCK_COLUMNS == (int)AIGC_BLOCK_ROWS, "one way of interleaving");

static uint32_t slots_of(const ir_param *p)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < p->n_indices; i++) {
        n *= p->counts[i];
    }
    return (uint32_t)n;
}

static bool kept_alike(const weights_tensor *x, const weights_tensor *y)
{
    return x->dtype == y->dtype && x->layout == y->layout && x->transposed == y->transposed;
}

/* One for all tensors of the parameter, where they are kept alike; else NULL. */
static const weights_tensor *tensor_of(const ir_param *p, const weights_file *f)
{
    const char *aliases[64];
    uint32_t n = p->n_aliases < 63 ? p->n_aliases : 63;
    if (n) {
        memcpy(aliases, p->aliases, n * sizeof *aliases);
    }
    aliases[n] = NULL;
    aigc_abi_param like = {.name = p->name,
                           .aliases = aliases,
                           .n_indices = p->n_indices,
                           .counts = p->counts,
                           .slots = slots_of(p)};
    const weights_tensor *found = NULL;
    for (uint32_t i = 0; i < like.slots; i++) {
        char name[512];
        const weights_tensor *t = weights_match(f, &like, i, name);
        if (!t || t->dtype == AIGC_DTYPE_NONE || (found && !kept_alike(t, found))) {
            return NULL;
        }
        found = t;
    }
    return found;
}

/* f32 parameters stay as the file has them. Blocks that run along the first axis are found in
 * packed files alone, and packed is how such a parameter is read. */
void weights_set_storages(ir_module *m, const weights_file *f)
{
    for (uint32_t i = 0; i < m->n_params; i++) {
        ir_param *p = &m->params[i];
        const weights_tensor *t = p->type->dtype == IR_f32 ? tensor_of(p, f) : NULL;
        bool block = t && aigc_dtype_block(t->dtype) > 1;
        if (t && (t->dtype == AIGC_F16 || t->dtype == AIGC_BF16 || block)) {
            p->storage = (ir_storage)t->dtype;
        }
        if (block && t->layout == AIGC_LAYOUT_PANELS && t->transposed &&
            ir_storage_has_panels(p->storage) && p->type->rank == 2) {
            p->layout = intern(ir_ctx_names(m->ctx), "panels");
            p->panel = AIGC_BLOCK_ROWS;
            p->pack_transposed = true;
        }
    }
}

const aigc_abi_model *weights_params_of(const ir_module *m, arena *a)
{
    aigc_abi_model *out = arena_new(a, aigc_abi_model);
    aigc_abi_param *params = arena_array(a, aigc_abi_param, m->n_params + 1);
    uint32_t at = 0;
    for (uint32_t i = 0; i < m->n_params; i++) {
        const ir_param *p = &m->params[i];
        const char **aliases = arena_array(a, const char *, p->n_aliases + 1);
        int64_t *dims = arena_array(a, int64_t, p->type->rank + 1);
        for (uint32_t k = 0; k < p->n_aliases; k++) {
            aliases[k] = p->aliases[k];
        }
        aliases[p->n_aliases] = NULL;
        for (uint32_t k = 0; k < p->type->rank; k++) {
            dims[k] = ir_dim_value(p->type->dims[k]);
        }
        params[i] = (aigc_abi_param){.name = p->name,
                                     .aliases = aliases,
                                     .n_indices = p->n_indices,
                                     .counts = p->counts,
                                     .first_slot = at,
                                     .slots = slots_of(p),
                                     .storage = (uint8_t)p->storage,
                                     .layout = k_layout_of(p), /* rows, before the passes */
                                     .rank = (uint8_t)p->type->rank,
                                     .panel = (uint8_t)p->panel,
                                     .dims = dims,
                                     .pack_transposed = p->pack_transposed};
        at += params[i].slots;
    }
    *out = (aigc_abi_model){.abi_version = AIGC_ABI_VERSION,
                            .name = m->name,
                            .n_params = m->n_params,
                            .params = params,
                            .n_slots = at};
    return out;
}
