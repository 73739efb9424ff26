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
 * Weights of convolutions come in panels of as many output channels as a tile has: [O, C * taps] as
 * "nk", those of transposed ones, [C, O * taps], as "kn".
 *
 * Parameters in blocks (q8_0, q4_0) come in panels of 16 columns, block beside block.
 *
 * Changes the module's parameters, no graph. Leaves alone: other block formats, parameters that are
 * read in any other way too (slices; rows picked by an index are fine), products whose output axis
 * is not the result's last one or is read by both operands, matrices narrower than a panel, blocks
 * that do not run along the summed axis, and everything when the target wants no panels. */
#include "passes/rewrite.h"

#include <string.h>

typedef struct use {
    const ir_param *param;
    uint32_t products, bf16; /* bf16: of them, so many are */
    uint32_t convs;
    bool other;      /* it is read in a way that wants rows */
    bool transposed; /* [K, N]; the weights of a transposed convolution */
} use;

typedef struct finder {
    const ir_module *m;
    uint32_t panel, channels;
    use *uses; /* [n_params] */
} finder;

static use *use_of(const finder *f, const ir_node *n)
{
    const ir_param *p =
        n->op == IR_OP_param ? ir_module_param(f->m, ir_node_str(n, IR_ATTR_name)) : NULL;
    return p ? &f->uses[p - f->m->params] : NULL;
}

enum { BLOCK_COLUMNS = 16 }; /* of interleaved blocks, on every machine: runtime/pack_blocks.h */

static bool in_blocks(const ir_param *p)
{
    return !ir_storage_is_dense(p->storage);
}

static uint32_t panel_of(const finder *f, const ir_param *p)
{
    return in_blocks(p) ? BLOCK_COLUMNS : f->panel;
}

static bool may_be_packed(const finder *f, const use *u)
{
    const ir_param *p = u->param;
    if (p->type->rank != 2 || !ir_dtype_is_float(p->type->dtype) || p->type->dtype == IR_f64 ||
        !ir_storage_has_panels(p->storage)) {
        return false;
    }
    if (in_blocks(p)) { /* blocks run along k; an axis of one is no axis of the product */
        return !u->transposed && ir_dim_value(p->type->dims[0]) > 1 &&
               ir_dim_value(p->type->dims[1]) % ir_storage_block(p->storage) == 0;
    }
    return ir_dim_value(p->type->dims[u->transposed ? 1 : 0]) >= f->panel;
}

/* The weights of a convolution as a matrix: an axis, and all others as one. */
static uint32_t panel_of_conv(const finder *f, const use *u)
{
    const ir_type *t = u->param->type;
    int64_t taps = 1;
    for (uint32_t i = 2; i < t->rank; i++) {
        taps *= ir_dim_value(t->dims[i]);
    }
    int64_t panel = u->transposed ? f->channels * taps : f->channels;
    bool fits = t->dtype == IR_f32 && u->param->storage == IR_STORAGE_f32 && panel <= UINT8_MAX &&
                ir_dim_value(t->dims[u->transposed ? 1 : 0]) >= f->channels;
    return fits && !u->other && !u->products ? (uint32_t)panel : 0;
}

/* Does operand k of the product have one axis of its own, the result's last, and one summed over?
 */
static bool fits(const ir_node *n, uint32_t k, bool *transposed)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const char *mine = labels->strs[k], *other = labels->strs[1 - k], *out = labels->strs[2];
    size_t last = strlen(out);
    for (int axis = 0; last && strlen(mine) == 2 && axis < 2; axis++) {
        char own = mine[axis], summed = mine[1 - axis];
        if (own == out[last - 1] && !strchr(other, own) && strchr(other, summed) &&
            !strchr(out, summed)) {
            *transposed = axis == 1;
            return true;
        }
    }
    return false;
}

/* Rows that are picked out of a matrix (an embedding) are found in panels as well. */
static void read_at(use *u, const ir_node *n, uint32_t k)
{
    bool transposed = n->op == IR_OP_conv_transpose;
    const char *math = ir_node_str(n, IR_ATTR_math);
    if (n->op == IR_OP_contract && n->in[0] != n->in[1] && fits(n, k, &transposed)) {
        u->other |= u->products && u->transposed != transposed;
        u->transposed = transposed;
        u->products++;
        u->bf16 += math && strcmp(math, "bf16") == 0;
    } else if (ir_op_family(n->op) == IR_FAMILY_CONV && k == 1 && n->in[0] != n->in[1]) {
        u->other |= u->convs && u->transposed != transposed;
        u->other |= ir_node_int(n, IR_ATTR_groups, 1) != 1;
        u->transposed = transposed;
        u->convs++;
    } else {
        u->other |= n->op != IR_OP_take || k != 0;
    }
}

/* of[i]: the parameter that node i is, also where a loop's body has it as a capture. */
static void find(finder *f, const ir_graph *g, use *const *captured)
{
    arena *a = arena_create();
    use **of = arena_array(a, use *, ir_graph_size(g));
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        int64_t input = n->op == IR_OP_input ? ir_node_int(n, IR_ATTR_index, 0) : -1;
        of[i] = input >= 0 && captured ? captured[input] : use_of(f, n);
        use **inner = arena_array(a, use *, n->n_in);
        int64_t carries = n->op == IR_OP_loop ? ir_node_int(n, IR_ATTR_carries, 0) : n->n_in;
        for (uint32_t k = 0; k < n->n_in; k++) {
            use *u = of[n->in[k]->id];
            if (u && k >= carries) {
                inner[k] = u;
            } else if (u) {
                read_at(u, n, k);
            }
        }
        for (uint32_t k = 0; k < n->n_bodies; k++) {
            find(f, n->bodies[k], n->op == IR_OP_loop ? inner : NULL);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        use *u = of[ir_graph_output(g, i)->node->id];
        if (u) {
            u->other = true;
        }
    }
    arena_destroy(a);
}

ir_graph *pass_layout(pass_ctx *c, const ir_graph *g)
{
    ir_module *m = c->module;
    finder f = {.m = m,
                .panel = c->panel,
                .channels = c->channels,
                .uses = arena_array(c->scratch, use, m->n_params)};
    bool early = ir_graph_stage(g) == IR_STAGE_TENSOR;
    for (uint32_t i = 0; i < m->n_params; i++) {
        f.uses[i].param = &m->params[i];
    }
    for (uint32_t i = 0; early && c->panel && i < m->n_entries;
         i++) { /* what one entry wants another must bear */
        if (m->entries[i].kind == IR_ENTRY) {
            find(&f, m->entries[i].graph, NULL);
        }
    }
    intern_table *names = ir_ctx_names(m->ctx);
    for (uint32_t i = 0; early && i < m->n_params; i++) {
        ir_param *p = &m->params[i];
        bool packed = c->panel && f.uses[i].products && !f.uses[i].convs && !f.uses[i].other &&
                      may_be_packed(&f, &f.uses[i]);
        bool pairs = packed && !in_blocks(p) && p->type->dtype != IR_f16 &&
                     (c->bf16 || f.uses[i].bf16 == f.uses[i].products);
        p->layout = intern(names, pairs ? "pairs" : packed ? "panels" : "rows");
        p->storage = pairs ? IR_STORAGE_bf16 : p->storage;
        p->panel = packed ? panel_of(&f, p) : 0;
        p->pack_transposed = packed && f.uses[i].transposed;
        uint32_t channels = c->panel && f.uses[i].convs ? panel_of_conv(&f, &f.uses[i]) : 0;
        if (channels) {
            p->layout = intern(names, "panels");
            p->panel = channels;
            p->pack_transposed = f.uses[i].transposed;
        }
    }
    return ir_graph_clone(g);
}
