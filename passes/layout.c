/* layout: parameters of products are packed in panels of output columns when they are loaded.
 *
 *     param "fc.weight" : f32[768, 768] storage f32                 After   … storage f32 panels 32
 * nk %2 = contract %0, %1 {labels=["ik", "jk", "ij"]}
 *
 * A panel holds `panel` columns of the product's result side by side for every k: [N /
 * panel][K][panel]. Kernels then read it in order, a vector of columns at a time, whatever way
 * round the file keeps the matrix. Transposes are gone by then, into the product's letters: they
 * are sunk into the packing ("nk" or "kn").
 *
 * Where products may be of bf16, dense parameters become bf16 in pairs: two steps of k lie side by
 * side, [N / panel][K / 2][panel][2], as dot products of bf16 take them. So do those whose products
 * are of bf16 already.
 *
 * Weights of convolutions come in "taps", panels of as many output channels as a tile has, tap by
 * tap: [O / n][taps][C][n]. Those of transposed ones, [C, O, taps], are "kn", and their panel is
 * said to be n * taps wide.
 *
 * Parameters in blocks (q8_0, q4_0) come in panels of 16 columns, block beside block: "nk", and
 * "kn" where quantize has made it so.
 *
 * Changes the module's parameters, no graph. Leaves alone: other block formats, parameters that are
 * read in any other way too (slices; rows picked by an index are fine), products whose output axis
 * is not the result's last one or is read by both operands, matrices narrower than a panel, blocks
 * that do not run along the summed axis, and everything when the target wants no panels. */
#include "passes/param_uses.h"
#include "passes/pass.h"

static bool in_blocks(const ir_param *p)
{
    return !ir_storage_is_dense(p->storage);
}

static uint32_t panel_of(const pass_ctx *c, const ir_param *p)
{
    return in_blocks(p) ? IR_BLOCK_COLUMNS : c->panel;
}

static bool may_be_packed(const pass_ctx *c, const param_use *u)
{
    const ir_param *p = u->param;
    if (p->type->rank != 2 || !ir_dtype_is_float(p->type->dtype) || p->type->dtype == IR_f64 ||
        !ir_storage_has_panels(p->storage)) {
        return false;
    }
    int64_t n = ir_dim_value(p->type->dims[u->transposed ? 1 : 0]),
            k = ir_dim_value(p->type->dims[u->transposed ? 0 : 1]);
    if (in_blocks(p)) { /* blocks run along k; an axis of one is no axis of the product */
        bool along_k = !u->transposed || p->pack_transposed;
        return along_k && n > 1 && k % ir_storage_block(p->storage) == 0;
    }
    return n >= c->panel;
}

/* The weights of a convolution as a matrix: an axis, and all others as one. */
static uint32_t panel_of_conv(const pass_ctx *c, const param_use *u)
{
    const ir_type *t = u->param->type;
    int64_t taps = 1;
    for (uint32_t i = 2; i < t->rank; i++) {
        taps *= ir_dim_value(t->dims[i]);
    }
    int64_t outs = ir_dim_value(t->dims[u->transposed ? 1 : 0]),
            channels = outs < c->channels ? outs : c->channels,
            panel = u->transposed ? channels * taps : channels;
    bool fits = t->dtype == IR_f32 && u->param->storage == IR_STORAGE_f32 && panel > 0 &&
                panel <= UINT8_MAX;
    return fits && !u->other && !u->products ? (uint32_t)panel : 0;
}

static void lay_out(const pass_ctx *c, ir_param *p, const param_use *u)
{
    intern_table *names = ir_ctx_names(c->module->ctx);
    bool packed = u->products && !u->convs && !u->other && may_be_packed(c, u);
    bool halves = p->type->dtype == IR_f16 || (c->quantize && p->storage == IR_STORAGE_f16);
    bool pairs = packed && !in_blocks(p) && !halves && (c->bf16 || u->bf16 == u->products);
    uint32_t channels = u->convs ? panel_of_conv(c, u) : 0;
    p->layout = intern(names, pairs ? "pairs" : channels ? "taps" : packed ? "panels" : "rows");
    p->storage = pairs ? IR_STORAGE_bf16 : p->storage;
    p->panel = packed ? panel_of(c, p) : channels;
    p->pack_transposed = p->panel && u->transposed;
}

ir_graph *pass_layout(pass_ctx *c, const ir_graph *g)
{
    ir_module *m = c->module;
    if (ir_graph_stage(g) == IR_STAGE_TENSOR && c->panel) {
        const param_use *uses = param_uses_of(m, c->scratch);
        for (uint32_t i = 0; i < m->n_params; i++) {
            lay_out(c, &m->params[i], &uses[i]);
        }
    }
    return ir_graph_clone(g);
}
