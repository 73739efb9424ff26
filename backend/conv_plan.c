#include "backend/conv_plan.h"

enum {
    PACKED = 128 << 10,  /* f32s: half an L2 of 1 MiB; the other half is for weights and sums */
    WEIGHTS = 128 << 10, /* copied ones of a block */
    TILE_WEIGHTS = 4 << 10,
    DEEP = 1024, /* products of one sum for which a block still has many places */
    MOST_SCRATCH = 2 << 20,
    MOST_WIDE = 8 /* vectors of a tile */
};

static void plan_axis(conv_plan *p, uint32_t i)
{
    const k_conv *v = p->conv;
    conv_axis *x = &p->axes[3 - v->n_spatial + i];
    int64_t stride = v->strides[i], dilation = v->dilations[i], pad = v->pads[i];
    *x = (conv_axis){
        .out = p->nest->outer[2 + i], .size = v->sizes[i], .taps = v->taps[i], .phases = 1};
    if (v->transposed) {
        x->phases = stride;
        x->pad = stride > 1 ? pad : 0;
        x->by = 1;
        x->first = stride > 1 ? 0 : pad;
        x->tap = stride > 1 ? -1 : -dilation;
    } else {
        x->by = stride;
        x->first = -pad;
        x->tap = dilation;
    }
    x->most = (v->taps[i] + x->phases - 1) / x->phases;
}

static int64_t constant(const ir_dim *d, int64_t otherwise)
{
    return ir_dim_is_const(d) ? ir_dim_value(d) : otherwise;
}

static int64_t vectors_of(int64_t places, int64_t lanes)
{
    return (places + lanes - 1) / lanes;
}

/* Places of an output's extent, 0 when unknown. */
static int64_t extent(const conv_axis *x)
{
    int64_t n = x->out ? constant(x->out->extent, 0) : 1;
    return x->phases == 1 || n == 0 ? n : (n + x->pad + x->phases - 1) / x->phases;
}

/* As many rows at once as make the fewest vectors of them all, a block costing a little, too. */
static void plan_rows(conv_plan *p, int64_t lanes)
{
    int64_t rows = extent(&p->axes[1]), columns = extent(&p->axes[2]), best = INT64_MAX;
    if (rows == 0 || columns == 0 || columns > p->places) {
        return;
    }
    for (int64_t r = 1; r <= rows && r * columns <= p->places; r++) {
        int64_t vectors =
            rows / r * vectors_of(r * columns, lanes) + vectors_of(rows % r * columns, lanes);
        int64_t cost = 8 * vectors + (rows + r - 1) / r;
        if (cost <= best) {
            best = cost;
            p->rows = r;
        }
    }
    p->places = vectors_of(p->rows * columns, lanes) * lanes;
}

int64_t conv_plan_packed(const conv_plan *p)
{
    return p->channels * p->most * p->stride;
}

int64_t conv_plan_taps(const conv_plan *p)
{
    return p->axes[0].taps * p->axes[1].taps * p->axes[2].taps;
}

int64_t conv_plan_weights(const conv_plan *p)
{
    return p->channels * p->weights;
}

int64_t conv_plan_sums(const conv_plan *p, const target *t)
{
    int64_t channels = p->whole ? p->tile_rows : p->conv->out_group;
    return channels * p->phases * p->outputs + t->lanes;
}

/* Winograd's minimal filtering ------------------------------------------------------------------
 */

enum {
    INPUTS = 192 << 10,      /* f32s: transformed inputs of a block, that stay in an L2 */
    MOST_INPUTS = 400 << 10, /* of one vector of tiles */
    MOST_VECTORS = 6
};

/* Cycles for one channel of x and one of y, a vector each: measured on Zen 5, where they matter as
 * ratios only. A product is half a cycle; transforms of weights are made once a block. */
typedef struct tile_cost {
    int64_t tile;
    double weight, input, output;
} tile_cost;

static const tile_cost tile_costs[] = {
    {4, 14, 160, 180},
    {2, 8,  60,  60 }
};
enum { N_TILES = sizeof tile_costs / sizeof *tile_costs };

static const double pack_cycles = 3;

/* Of so many vectors of tiles or places at once: with few, loads of weights take longer. */
static double product_cycles(int64_t vectors)
{
    return (double)vectors / 2 * (vectors == 1 ? 1.35 : 1.15);
}

static double direct_cycles(const conv_plan *p, int64_t lanes)
{
    const k_conv *v = p->conv;
    int64_t vectors = vectors_of(extent(&p->axes[1]) * extent(&p->axes[2]), lanes);
    return (double)(v->in_group * p->most * vectors) *
           ((double)v->out_group * 1.15 / 2 + pack_cycles);
}

/* In blocks of so many rows of tiles, so many across. */
static double tile_cycles(const conv_plan *p, const tile_cost *c, int64_t lanes, int64_t rows,
                          int64_t across)
{
    const k_conv *v = p->conv;
    int64_t high = vectors_of(extent(&p->axes[1]), c->tile),
            wide = vectors_of(extent(&p->axes[2]), c->tile);
    double sum = 0, in = (double)v->in_group, out = (double)v->out_group;
    double points = (double)((c->tile + 2) * (c->tile + 2));
    for (int64_t y = 0; y < high; y += rows) {
        for (int64_t x = 0; x < wide; x += across) {
            int64_t h = high - y < rows ? high - y : rows,
                    w = wide - x < across ? wide - x : across;
            int64_t vectors = vectors_of(h * w, lanes);
            sum += in * out * (points * product_cycles(vectors) + c->weight) +
                   (double)vectors * (in * c->input + out * c->output);
        }
    }
    return sum;
}

static bool may_be_tiled(const k_conv *v)
{
    bool fits = v->n_spatial == 2 && !v->transposed;
    for (uint32_t i = 0; i < v->n_spatial; i++) {
        fits = fits && v->taps[i] == 3 && v->strides[i] == 1 && v->dilations[i] == 1;
    }
    return fits;
}

/* Where it pays, the plan becomes one of tiles. */
static void plan_tiles(conv_plan *p, int64_t lanes)
{
    const k_conv *v = p->conv;
    if (!may_be_tiled(v) || extent(&p->axes[1]) == 0 || extent(&p->axes[2]) == 0) {
        return;
    }
    conv_plan best = *p;
    double least = direct_cycles(p, lanes);
    for (int64_t i = 0; i < N_TILES * MOST_VECTORS; i++) {
        const tile_cost *c = &tile_costs[i / MOST_VECTORS];
        int64_t vectors = i % MOST_VECTORS + 1, places = vectors * lanes;
        int64_t points = (c->tile + 2) * (c->tile + 2), inputs = points * v->in_group * places;
        int64_t high = vectors_of(extent(&p->axes[1]), c->tile),
                wide = vectors_of(extent(&p->axes[2]), c->tile);
        int64_t across = wide < places ? wide : places, rows = places / across;
        rows = rows < high ? rows : high;
        double cycles = tile_cycles(p, c, lanes, rows, across);
        if (inputs > (vectors == 1 ? MOST_INPUTS : INPUTS) || cycles >= least) {
            continue;
        }
        least = cycles;
        best.tile = c->tile;
        best.places = best.stride = places;
        best.outputs = c->tile * places;
        best.rows = rows;
        best.lines = vectors_of((rows + 1) * across + lanes, lanes) * lanes;
        best.tile_vectors = vectors % 3 == 0 ? 3 : vectors % 2 == 0 ? 2 : vectors == 1 ? 1 : 3;
    }
    if (best.tile) {
        best.axes[1].phases = best.phases = best.tile;
        best.most = 1;
        best.channels = v->in_group;
        best.whole = true;
        *p = best;
    }
}

bool conv_plan_of(const k_nest *n, const target *t, conv_plan *out)
{
    const k_conv *v = n->conv;
    if (!v || n->n_steps != 2 || n->steps[1].kind != K_STEP_STORE || n->steps[1].n_axes ||
        n->steps[0].acc != IR_f32) {
        return false;
    }
    *out = (conv_plan){.nest = n, .conv = v, .most = 1, .phases = 1};
    out->axes[0] = out->axes[1] = (conv_axis){.taps = 1, .most = 1, .phases = 1, .by = 1};
    for (uint32_t i = 0; i < v->n_spatial; i++) {
        if (v->pads[i] < 0 || (v->transposed && v->strides[i] > 1 && v->dilations[i] > 1)) {
            return false;
        }
        plan_axis(out, i);
    }
    for (uint32_t i = 0; i < 3; i++) {
        out->most *= out->axes[i].most;
        out->phases *= out->axes[i].phases;
    }
    int64_t most_rows = t->channels, sums = 3 * most_rows;
    out->tile_rows = v->out_group < most_rows ? v->out_group : most_rows;
    out->tile_rows = out->tile_rows < 1 ? 1 : out->tile_rows;
    out->tile_vectors = sums / out->tile_rows < MOST_WIDE ? sums / out->tile_rows : MOST_WIDE;
    /* Tiles begin where panels do, in every thread's part. */
    bool cut = n->split == 1 && v->channels && n->grain % v->channels != 0;
    if (v->channels && (v->channels != out->tile_rows || v->groups != 1 || cut)) {
        return false;
    }
    int64_t lanes = t->lanes, deep = v->in_group * out->most, parts = (deep + DEEP - 1) / DEEP;
    if (v->transposed) { /* a tile's weights, that all phases share, stay in an L1 */
        int64_t tile = v->in_group * out->tile_rows * conv_plan_taps(out);
        int64_t least = (tile + TILE_WEIGHTS - 1) / TILE_WEIGHTS;
        parts = parts < least ? least : parts;
    }
    if (v->transposed && !v->channels) {
        out->weights = (vectors_of(v->out_group * conv_plan_taps(out), lanes) + 1) * lanes;
        int64_t least = (v->in_group * out->weights + WEIGHTS - 1) / WEIGHTS;
        parts = parts < least ? least : parts;
    }
    parts = parts < 1 ? 1 : parts > v->in_group ? v->in_group : parts;
    if (parts < 1) {
        return false;
    }
    out->channels = (v->in_group + parts - 1) / parts;
    out->whole = parts == 1;
    deep = out->channels * out->most;
    out->places = PACKED / (deep > 64 ? deep : 64) / lanes * lanes;
    out->places = out->places < 3 * lanes ? 3 * lanes : out->places;
    plan_rows(out, lanes);
    out->outputs = out->places;
    out->stride = out->places + lanes;
    plan_tiles(out, lanes);
    return conv_plan_packed(out) + conv_plan_sums(out, t) + conv_plan_weights(out) <= MOST_SCRATCH;
}
