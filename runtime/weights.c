#include "runtime/blocks.h"
#include "runtime/pack_blocks.h"

#include <stdlib.h>
#include <string.h>

aigc_status aigc_weights_from_slots(const aigc_abi_model *m, const void *const *slots,
                                    aigc_weights **out)
{
    aigc_weights *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w || !(w->slots = calloc(m->n_slots + 1, sizeof *w->slots))) {
        free(w);
        return AIGC_ERR_MEMORY;
    }
    if (m->n_slots) {
        memcpy(w->slots, slots, m->n_slots * sizeof *slots);
    }
    *out = w;
    return AIGC_OK;
}

void aigc_weights_destroy(aigc_weights *w)
{
    if (!w) {
        return;
    }
    if (w->release) {
        w->release(w->release_data);
    }
    free(w->slots);
    free(w->memory);
    free(w);
}

static uint64_t next(uint64_t *s) /* SplitMix64, Steele et al. 2014 */
{
    uint64_t x = *s += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Uniform numbers within +-0.05; scales of blocks likewise small. */
static void fill(uint8_t storage, void *data, int64_t bytes, uint64_t *seed)
{
    unsigned char *p = data;
    int64_t unit = (int64_t)aigc_dtype_bytes(storage);
    for (int64_t i = 0; i + unit <= bytes; i += unit) {
        float f = ((float)(next(seed) >> 40) / 16777216.0f - 0.5f) * 0.1f;
        double d = (double)f;
        _Float16 h = (_Float16)f;
        uint32_t u;
        memcpy(&u, &f, 4);
        uint16_t b = (uint16_t)(u >> 16);
        if (storage == AIGC_F32) {
            memcpy(p + i, &f, 4);
        } else if (storage == AIGC_F64) {
            memcpy(p + i, &d, 8);
        } else if (storage == AIGC_F16) {
            memcpy(p + i, &h, 2);
        } else if (storage == AIGC_BF16) {
            memcpy(p + i, &b, 2);
        } else if (aigc_dtype_block(storage) > 1) {
            for (int64_t k = 0; k < unit; k++) {
                p[i + k] = (unsigned char)next(seed);
            }
            aigc_block_scale(storage, p + i, f);
        } else {
            memset(p + i, 0, (size_t)unit);
        }
    }
}

/* Interleaved blocks: any bits will do for weights, not for their scales. */
static void fill_blocks(uint8_t storage, void *data, int64_t bytes, uint64_t *seed)
{
    unsigned char *p = data;
    int64_t unit = (int64_t)aigc_dtype_bytes(storage) * AIGC_BLOCK_ROWS,
            scales = aigc_pack_blocks_scales(storage);
    for (int64_t i = 0; i + unit <= bytes; i += unit) {
        for (int64_t k = 0; k < scales; k++) {
            p[i + k] = (unsigned char)next(seed);
        }
        fill(AIGC_F16, p + i + scales, unit - scales, seed);
    }
}

aigc_status aigc_weights_random(const aigc_abi_model *m, uint64_t seed, aigc_weights **out)
{
    int64_t total = 0;
    *out = NULL;
    for (uint32_t i = 0; i < m->n_params; i++) {
        int64_t bytes = aigc_param_bytes(&m->params[i]), all;
        if (bytes < 0 ||
            __builtin_mul_overflow((bytes + 63) / 64 * 64, (int64_t)m->params[i].slots, &all) ||
            __builtin_add_overflow(total, all, &total)) {
            return AIGC_ERR_ARGUMENT;
        }
    }
    char *memory = aligned_alloc(64, (size_t)total + 64);
    const void **slots = calloc(m->n_slots + 1, sizeof *slots);
    if (!memory || !slots) {
        free(memory);
        free(slots);
        return AIGC_ERR_MEMORY;
    }
    char *at = memory;
    for (uint32_t i = 0; i < m->n_params; i++) {
        const aigc_abi_param *p = &m->params[i];
        int64_t bytes = aigc_param_bytes(p);
        for (uint32_t k = 0; k < p->slots; k++) {
            if (p->layout == AIGC_LAYOUT_PANELS && aigc_dtype_block(p->storage) > 1) {
                fill_blocks(p->storage, at, bytes, &seed);
            } else {
                fill(p->storage, at, bytes, &seed);
            }
            slots[p->first_slot + k] = at;
            at += (bytes + 63) / 64 * 64;
        }
    }
    aigc_status s = aigc_weights_from_slots(m, slots, out);
    free(slots);
    if (s != AIGC_OK) {
        free(memory);
        return s;
    }
    (*out)->memory = memory;
    return AIGC_OK;
}
