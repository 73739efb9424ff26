/* Weights of convolutions: [ceil(N / width)][taps][C][width] of f32s, from [N, C, taps] ("nk") or,
 * those of transposed ones, [C, N, taps] ("kn"). */
#include "runtime/convert.h"
#include "runtime/pack.h"

#include <string.h>

enum { RUN = 256 };

typedef struct shape {
    int64_t outs, ins, taps, width;
} shape;

static shape shape_of(const aigc_abi_param *p)
{
    shape s = {.outs = p->dims[p->pack_transposed ? 1 : 0],
               .ins = p->dims[p->pack_transposed ? 0 : 1],
               .taps = aigc_pack_taps_of(p),
               .width = p->panel};
    if (p->pack_transposed) {
        s.width /= s.taps;
    }
    return s;
}

/* Where the first tap of output n and input c goes; the next ones are a plane apart. */
static float *place_of(const shape *s, int64_t n, int64_t c, void *out)
{
    return (float *)out + (n / s->width * s->taps * s->ins + c) * s->width + n % s->width;
}

static void put(const shape *s, int64_t n, int64_t c, uint8_t dtype, const void *data, int64_t at,
                void *out)
{
    float part[RUN], *to = place_of(s, n, c, out);
    for (int64_t t = 0; t < s->taps; t += RUN) {
        int64_t n_elems = s->taps - t < RUN ? s->taps - t : RUN;
        aigc_convert_to_float(dtype, data, at + t, n_elems, part);
        for (int64_t i = 0; i < n_elems; i++) {
            to[(t + i) * s->ins * s->width] = part[i];
        }
    }
}

/* Outputs beyond the last one, of one input. */
static void clear(const shape *s, int64_t c, void *out)
{
    for (int64_t n = s->outs; n % s->width; n++) {
        float *to = place_of(s, n, c, out);
        for (int64_t t = 0; t < s->taps; t++) {
            to[t * s->ins * s->width] = 0;
        }
    }
}

void aigc_pack_taps(const aigc_abi_param *p, uint8_t dtype, const void *data, int64_t first,
                    int64_t last, void *out)
{
    shape s = shape_of(p);
    if (s.taps == 1) { /* panels of a plain matrix */
        aigc_pack_panels(p, dtype, data, first, last, out);
        return;
    }
    int64_t columns = p->pack_transposed ? s.outs : s.ins;
    for (int64_t row = first; row < last; row++) {
        for (int64_t i = 0; i < columns; i++) {
            put(&s, p->pack_transposed ? i : row, p->pack_transposed ? row : i, dtype, data,
                (row * columns + i) * s.taps, out);
        }
        if (p->pack_transposed) {
            clear(&s, row, out);
        }
    }
    for (int64_t c = 0; !p->pack_transposed && last == s.outs && c < s.ins; c++) {
        clear(&s, c, out);
    }
}
