#include "runtime/pack.h"

#include "runtime/convert.h"
#include "runtime/pack_blocks.h"
#include "runtime/quantize_blocks.h"

/* Rows ---------------------------------------------------------------------------------------- */

enum { CHUNK = 4096 }; /* elements; whole blocks of every storage */

static aigc_pack_cut cut_anywhere(const aigc_abi_param *p)
{
    int64_t n_elems = 1;
    for (uint32_t i = 0; i < p->rank; i++) {
        n_elems *= p->dims[i];
    }
    return (aigc_pack_cut){n_elems, 1, CHUNK};
}

static void pack_as_is(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                       int64_t last, void *out)
{
    if (p->storage == dtype) {
        int64_t block = aigc_dtype_block(dtype), bytes = (int64_t)aigc_dtype_bytes(dtype);
        int64_t from = first / block * bytes, to = last / block * bytes;
        memcpy((char *)out + from, (const char *)data + from, (size_t)(to - from));
        return;
    }
    float part[CHUNK];
    for (int64_t i = first; i < last; i += CHUNK) {
        int64_t n_elems = last - i < CHUNK ? last - i : CHUNK;
        aigc_convert_to_float(dtype, data, i, n_elems, part);
        aigc_convert_from_float(p->storage, out, i, n_elems, part);
    }
}

/* Panels ------------------------------------------------------------------------------------- */

aigc_pack_matrix aigc_pack_matrix_of(const aigc_abi_param *p)
{
    aigc_pack_matrix m = {p->dims[0], 1};
    for (uint32_t i = 1; i < p->rank; i++) {
        m.columns *= p->dims[i];
    }
    return m;
}

/* Rows of a matrix whose columns are the sum's go a panel at a time; of one whose rows are, a few
 * at a time. */
static aigc_pack_cut cut_at_panels(const aigc_abi_param *p)
{
    enum { EVEN = 16 };
    aigc_pack_matrix m = aigc_pack_matrix_of(p);
    return (aigc_pack_cut){m.rows, m.columns, p->pack_transposed ? EVEN : p->panel};
}

/* Blocks are of 32 steps of the sum. */
static aigc_pack_cut cut_at_blocks(const aigc_abi_param *p)
{
    aigc_pack_cut cut = cut_at_panels(p);
    cut.grain = p->pack_transposed ? AIGC_BLOCK_DEPTH : cut.grain;
    return cut;
}

/* [N filled up to whole panels, K filled up to `steps`] */
static bool filled(const aigc_abi_param *p, int64_t steps, int64_t dims[2])
{
    int64_t columns = 1;
    for (uint32_t i = 1; i < p->rank; i++) {
        if (p->dims[i] < 0 || __builtin_mul_overflow(columns, p->dims[i], &columns)) {
            return false;
        }
    }
    int64_t n = p->pack_transposed ? columns : p->dims[0],
            k = p->pack_transposed ? p->dims[0] : columns;
    if (n < 0 || k < 0 || __builtin_add_overflow(n, p->panel - 1, &n) ||
        __builtin_add_overflow(k, steps - 1, &k)) {
        return false;
    }
    dims[0] = n / p->panel * p->panel;
    dims[1] = k / steps * steps;
    return true;
}

static bool filled_panels(const aigc_abi_param *p, int64_t dims[2])
{
    return filled(p, 1, dims);
}

static bool filled_pairs(const aigc_abi_param *p, int64_t dims[2])
{
    return filled(p, 2, dims);
}

/* Table -------------------------------------------------------------------------------------- */

static const aigc_pack_layout layouts[] = {
    {"rows",   AIGC_LAYOUT_ROWS,   false, NULL,          cut_anywhere,  pack_as_is           },
    {"rows",   AIGC_LAYOUT_ROWS,   true,  NULL,          cut_anywhere,  pack_as_is           },
    {"panels", AIGC_LAYOUT_PANELS, false, filled_panels, cut_at_panels, aigc_pack_panels     },
    {"panels", AIGC_LAYOUT_PANELS, true,  filled_panels, cut_at_blocks, aigc_pack_interleaved},
    {"pairs",  AIGC_LAYOUT_PAIRS,  false, filled_pairs,  cut_at_panels, aigc_pack_pairs      },
    {"taps",   AIGC_LAYOUT_TAPS,   false, filled_panels, cut_at_panels, aigc_pack_taps       },
};

/* Panels of dense numbers are of any width; blocks are interleaved in one way. */
static bool has_panels(const aigc_abi_param *p)
{
    if (aigc_dtype_block(p->storage) > 1) {
        return aigc_block_is_made(p->storage) && p->panel == AIGC_BLOCK_ROWS && p->rank == 2;
    }
    return p->panel > 0 && p->rank >= 2;
}

const aigc_pack_layout *aigc_pack_layout_of(const aigc_abi_param *p)
{
    bool blocks = aigc_dtype_block(p->storage) > 1;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        if (layouts[i].layout == p->layout && layouts[i].blocks == blocks) {
            return !layouts[i].filled || has_panels(p) ? &layouts[i] : NULL;
        }
    }
    return NULL;
}

int64_t aigc_pack_taps_of(const aigc_abi_param *p)
{
    int64_t taps = 1;
    for (uint32_t i = 2; i < p->rank; i++) {
        taps *= p->dims[i];
    }
    return taps;
}

int64_t aigc_param_bytes(const aigc_abi_param *p)
{
    const aigc_pack_layout *l = aigc_pack_layout_of(p);
    int64_t dims[2];
    if (!l || !l->filled) {
        return l ? aigc_tensor_bytes(p->storage, p->rank, p->dims) : -1;
    }
    return l->filled(p, dims) ? aigc_tensor_bytes(p->storage, 2, dims) : -1;
}

aigc_pack_cut aigc_pack_cut_of(const aigc_abi_param *p)
{
    return aigc_pack_layout_of(p)->cut(p);
}

void aigc_pack_rows(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                    int64_t last, void *out)
{
    aigc_pack_layout_of(p)->pack(p, dtype, data, first, last, out);
}
