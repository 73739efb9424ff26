#include "backend/conv_plan.h"

enum {
    PACKED = 128 << 10, /* f32s: half an L2 of 1 MiB; the other half is for weights and sums */
    DEEP = 1024,        /* products of one sum for which a block still has many places */
    MOST_SCRATCH = 2 << 20
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

int64_t conv_plan_sums(const conv_plan *p, const target *t)
{
    int64_t channels = p->whole ? p->tile_rows : p->conv->out_group;
    return channels * p->phases * p->outputs + t->lanes;
}

bool conv_plan_of(const k_nest *n, const target *t, conv_plan *out)
{
    const k_conv *v = n->conv;
    if (!v || n->n_steps != 2 || n->steps[1].kind != K_STEP_STORE || n->steps[1].n_axes ||
        n->steps[0].acc != IR_f32) {
        return false;
    }
    *out = (conv_plan){.nest = n, .conv = v, .most = 1, .phases = 1, .tile_vectors = 3};
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
    out->tile_rows = t->registers >= 32 ? 8 : 4;
    while (out->tile_rows > v->out_group && out->tile_rows > 1) {
        out->tile_rows /= 2;
    }
    int64_t lanes = t->lanes, deep = v->in_group * out->most, parts = (deep + DEEP - 1) / DEEP;
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
    return conv_plan_packed(out) + conv_plan_sums(out, t) <= MOST_SCRATCH;
}
