#include "backend/conv_plan.h"
#include "support/divisor.h"

enum {
    PACKED = 160 << 10,  /* f32s: of an L2 of 1 MiB; the rest is for weights and sums */
    WEIGHTS = 128 << 10, /* copied ones of a block */
    FEW = 96,            /* places of a small block */
    MOST_PLACES = 2048,  /* 64 channels' sums of so many are half a MiB */
    MOST_SHARED = 512,   /* columns of a row of which a block has several */
    MOST_SCRATCH = 2 << 20,
    MOST_WIDE = 8 /* vectors of a tile */
};

bool conv_axis_tap(const conv_axis *x, int64_t r, int64_t j, int64_t *tap, int64_t *shift)
{
    *tap = (r + x->pad) % x->phases + j * x->phases;
    *shift = ((r + x->pad + *tap * x->reach) / x->phases - x->first) / x->step;
    return *tap < x->taps;
}

static void plan_axis(conv_plan *p, uint32_t i)
{
    const k_conv *v = p->conv;
    conv_axis *x = &p->axes[3 - v->n_spatial + i];
    int64_t stride = v->strides[i], dilation = v->dilations[i], pad = v->pads[i];
    *x = (conv_axis){.out = p->nest->outer[2 + i],
                     .size = v->sizes[i],
                     .taps = v->taps[i],
                     .phases = v->transposed ? stride : 1,
                     .pad = v->transposed ? pad : -pad,
                     .reach = v->transposed ? -dilation : dilation,
                     .by = v->transposed ? 1 : stride,
                     .step = stride > 1 && v->transposed ? 1 : dilation};
    x->most = (v->taps[i] + x->phases - 1) / x->phases;
    int64_t least = INT64_MAX, last = INT64_MIN;
    for (int64_t r = 0; r < x->phases; r++) {
        for (int64_t j = 0; j < x->most; j++) {
            int64_t tap, shift; /* counted from x's own place, in ones */
            conv_axis at = *x;
            at.step = 1;
            if (conv_axis_tap(&at, r, j, &tap, &shift)) {
                least = shift < least ? shift : least;
                last = shift > last ? shift : last;
            }
        }
    }
    x->first = least;
    x->shifts = x->planes = (last - least) / x->step + 1;
}

static int64_t constant(const ir_dim *d, int64_t otherwise)
{
    return ir_dim_is_const(d) ? ir_dim_value(d) : otherwise;
}

static int64_t least_of(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static int64_t vectors_of(int64_t places, int64_t lanes)
{
    return (places + lanes - 1) / lanes;
}

/* Places of an output's extent, 0 when unknown. */
static int64_t extent(const conv_axis *x)
{
    int64_t n = x->out ? constant(x->out->extent, 0) : 1;
    return (n + x->phases - 1) / x->phases;
}

/* Rows of x that a plane has beyond those of its first shift. */
static int64_t rows_below(const conv_axis *x)
{
    return (x->shifts - 1) / x->planes * x->down;
}

/* So many f32s or a few more: planes and channels that lie powers of two apart would fall upon each
 * other in a cache. */
static int64_t odd_lines(int64_t n_elems)
{
    enum { LINE = 16 };
    return ((n_elems + LINE - 1) / LINE | 1) * LINE;
}

/* f32s of a plane: its rows, and a vector that the last one may reach beyond them. */
static int64_t plane_of(const conv_plan *p, int64_t places, int64_t columns, int64_t lanes)
{
    return odd_lines((vectors_of(places, lanes) + 1) * lanes + rows_below(&p->axes[1]) * columns);
}

static int64_t stride_of(const conv_plan *p, int64_t plane)
{
    return odd_lines(p->planes * plane);
}

/* Shifts of rows share planes where a block's rows are the picture's, in full. */
static void share_planes(conv_plan *p)
{
    conv_axis *x = &p->axes[1];
    int64_t columns = extent(&p->axes[2]), divisor = common_divisor(x->by, x->step);
    conv_axis shared = *x;
    shared.planes = least_of(x->by / divisor, x->shifts);
    shared.down = x->step / divisor;
    bool fewer = rows_below(&shared) + 1 <= x->shifts;
    if (extent(x) > 0 && columns > 0 && columns <= MOST_SHARED && fewer) {
        *x = shared;
    }
    p->planes = p->axes[0].planes * x->planes * p->axes[2].planes;
}

/* As many channels of x at once as leave room for a few vectors of places, or all there are. */
static void plan_channels(conv_plan *p, int64_t lanes)
{
    const k_conv *v = p->conv;
    int64_t columns = extent(&p->axes[2]), places = extent(&p->axes[1]) * columns;
    places = places > 0 && places < FEW ? places : FEW;
    int64_t deep = v->in_group * stride_of(p, plane_of(p, places, columns, lanes)),
            parts = (deep + PACKED - 1) / PACKED;
    if (v->transposed && !v->channels) {
        p->weights = (vectors_of(v->out_group * conv_plan_taps(p), lanes) + 1) * lanes;
        int64_t least = (v->in_group * p->weights + WEIGHTS - 1) / WEIGHTS;
        parts = parts < least ? least : parts;
    }
    parts = parts < 1 ? 1 : parts > v->in_group ? v->in_group : parts;
    p->channels = (v->in_group + parts - 1) / parts;
    p->whole = parts == 1;
}

/* As many rows at once as make the fewest vectors of them all, a block costing a little, too. Of
 * sizes that are not known: as many places as fit. */
static void plan_places(conv_plan *p, int64_t lanes)
{
    int64_t rows = extent(&p->axes[1]), columns = extent(&p->axes[2]), best = INT64_MAX;
    int64_t most = PACKED / (p->channels * p->planes) / lanes * lanes - lanes;
    p->places = most < 3 * lanes ? 3 * lanes : most > MOST_PLACES ? MOST_PLACES : most;
    if (rows > 0 && columns > 0 && columns <= p->places) {
        for (int64_t r = 1; r <= rows && r * columns <= p->places; r++) {
            int64_t plane = plane_of(p, r * columns, columns, lanes),
                    vectors = rows / r * vectors_of(r * columns, lanes) +
                              vectors_of(rows % r * columns, lanes);
            int64_t cost = 8 * vectors + (rows + r - 1) / r;
            if (cost <= best && (r == 1 || p->channels * stride_of(p, plane) <= PACKED)) {
                best = cost;
                p->rows = r;
            }
        }
        p->places = vectors_of(p->rows * columns, lanes) * lanes;
    }
    p->outputs = p->places;
    p->plane = plane_of(p, p->places, columns, lanes);
    p->stride = stride_of(p, p->plane);
}

int64_t conv_plan_packed(const conv_plan *p)
{
    return p->channels * p->stride;
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
    return (double)(v->in_group * vectors) *
           ((double)(p->most * v->out_group) * 1.15 / 2 + (double)p->planes * pack_cycles);
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
        best.places = places;
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
    out->axes[0] = out->axes[1] = (conv_axis){
        .taps = 1, .most = 1, .phases = 1, .shifts = 1, .by = 1, .step = 1, .planes = 1};
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
    bool cut =
        n->split == 1 && v->channels && v->channels < v->out_group && n->grain % v->channels != 0;
    if (v->in_group < 1 ||
        (v->channels && (v->channels != out->tile_rows || v->groups != 1 || cut))) {
        return false;
    }
    int64_t lanes = t->lanes;
    share_planes(out);
    plan_channels(out, lanes);
    plan_places(out, lanes);
    plan_tiles(out, lanes);
    /* Of one vector of places two panels are summed at once: each place is loaded half as often. */
    if (!out->tile && v->channels == most_rows && v->out_group >= 2 * most_rows &&
        out->places == lanes) {
        out->tile_rows = 2 * most_rows;
        out->tile_vectors = 1;
    }
    return conv_plan_packed(out) + conv_plan_sums(out, t) + conv_plan_weights(out) <= MOST_SCRATCH;
}
