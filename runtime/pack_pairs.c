#include "runtime/pack_pairs.h"
#include "runtime/convert.h"

enum { RUN = 256 };

/* Where elements go: along k, pairs are 2 * panel apart; along n, panels are whole depths apart. */
typedef struct places {
    int64_t group, inner, outer; /* so many elements `inner` apart, then the next group */
} places;

static places along_k(const aigc_abi_param *p)
{
    return (places){2, 1, 2 * (int64_t)p->panel};
}

static places along_n(const aigc_abi_param *p)
{
    int64_t depth = p->dims[p->pack_transposed ? 0 : 1];
    return (places){p->panel, 2, 2 * (int64_t)p->panel * ((depth + 1) / 2)};
}

static int64_t place(const places *s, int64_t i)
{
    return i / s->group * s->outer + i % s->group * s->inner;
}

static void pack_run(const places *s, const float *x, int64_t n_elems, int64_t from, uint16_t *out)
{
    int64_t in_group = from % s->group;
    uint16_t *to = out + place(s, from);
    for (int64_t i = 0; i < n_elems; i++) {
        *to = aigc_float_to_bf16(x[i]);
        bool last = ++in_group == s->group;
        to += last ? s->outer - (s->group - 1) * s->inner : s->inner;
        in_group = last ? 0 : in_group;
    }
}

void aigc_pack_pairs(const aigc_abi_param *p, uint8_t storage, const void *data, void *out)
{
    places n = along_n(p), k = along_k(p);
    places rows = p->pack_transposed ? k : n, columns = p->pack_transposed ? n : k;
    float x[RUN];
    memset(out, 0, (size_t)aigc_param_bytes(p));
    for (int64_t row = 0; row < p->dims[0]; row++) {
        for (int64_t at = 0; at < p->dims[1]; at += RUN) {
            int64_t count = p->dims[1] - at < RUN ? p->dims[1] - at : RUN;
            aigc_convert_to_float(storage, data, row * p->dims[1] + at, count, x);
            pack_run(&columns, x, count, at, (uint16_t *)out + place(&rows, row));
        }
    }
}
