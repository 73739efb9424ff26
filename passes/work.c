#include "passes/work.h"

#include "ir/build.h"
#include "passes/fuse_cost.h"

/* Units of 1/64 ns. */
enum {
    MAC = 1,      /* 64 a ns: half of what two 512-bit FMAs a cycle give */
    BYTE = 1,     /* 64 bytes a ns: what a level-2 cache gives while products wait for it */
    VISIT = 4,    /* an element read and written somewhere, beside its arithmetic */
    COMPARE = 128 /* an element's way through a sort */
};

static const ir_dim *scaled_elems(ir_ctx *c, const ir_type *t, int64_t units)
{
    return ir_dim_scale(c, ir_type_elems(c, t), units);
}

/* x * y over the letters of both: each letter's size once. */
static const ir_dim *contract_macs(ir_ctx *c, const ir_node *n)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const ir_dim *sizes[256] = {NULL}, *all = ir_dim_const(c, 1);
    for (uint32_t k = 0; k < 2; k++) {
        for (uint32_t i = 0; labels->strs[k][i]; i++) {
            const ir_dim **d = &sizes[(unsigned char)labels->strs[k][i]];
            *d = *d && !ir_dim_is_one(*d) ? *d : ir_node_type(n->in[k])->dims[i];
        }
    }
    for (uint32_t i = 0; i < 256; i++) {
        all = sizes[i] ? ir_dim_mul(c, all, sizes[i]) : all;
    }
    return all;
}

/* Every element of `of` meets the weights of one channel: all of w but its first axis. */
static const ir_dim *conv_macs(ir_ctx *c, const ir_type *of, const ir_type *w)
{
    return ir_dim_mul(c, ir_type_elems(c, of), ir_dim_product(c, w->dims + 1, w->rank - 1));
}

static const ir_dim *attention_macs(ir_ctx *c, const ir_node *n)
{
    const ir_type *q = ir_node_type(n->in[0]), *k = ir_node_type(n->in[1]);
    const ir_dim *keys = k->dims[k->rank - 2];
    return ir_dim_mul(c, keys, ir_dim_add(c, ir_type_elems(c, q), ir_type_elems(c, n->types[0])));
}

static const ir_dim *products(ir_ctx *c, const ir_node *n, const ir_dim *macs)
{
    const ir_dim *sum = ir_dim_scale(c, macs, MAC);
    for (uint32_t i = 0; i < 2; i++) {
        sum = ir_dim_add(c, sum, ir_dim_scale(c, ir_type_bytes(c, ir_node_type(n->in[i])), BYTE));
    }
    return sum;
}

static const ir_dim *node_work(ir_ctx *c, const ir_node *n)
{
    int64_t units = VISIT + (int64_t)(8 * fuse_op_cost(n));
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_LEAF:
        return n->op == IR_OP_random ? scaled_elems(c, n->types[0], units) : ir_dim_const(c, 0);
    case IR_FAMILY_CONTRACT:
        return products(c, n, contract_macs(c, n));
    case IR_FAMILY_ATTENTION:
        return products(c, n, attention_macs(c, n));
    case IR_FAMILY_CONV:
        return products(c, n,
                        conv_macs(c, n->op == IR_OP_conv ? n->types[0] : ir_node_type(n->in[0]),
                                  ir_node_type(n->in[1])));
    case IR_FAMILY_SORT:
        return scaled_elems(c, ir_node_type(n->in[0]), COMPARE);
    case IR_FAMILY_REDUCE:
    case IR_FAMILY_NORM:
    case IR_FAMILY_POOL:
    case IR_FAMILY_SCAN:
        return scaled_elems(c, ir_node_type(n->in[0]), 4 * VISIT);
    case IR_FAMILY_MOVE: /* an update writes its source only */
        return scaled_elems(c, n->op == IR_OP_update ? ir_node_type(n->in[1]) : n->types[0], units);
    default:
        return scaled_elems(c, n->types[0], units);
    }
}

static const ir_dim *body_work(ir_ctx *c, const ir_graph *body)
{
    const ir_dim *sum = ir_dim_const(c, 0);
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        sum = ir_dim_add(c, sum, node_work(c, ir_graph_node(body, i)));
    }
    return sum;
}

const ir_dim *work_of_kernel(ir_ctx *c, const ir_node *kernel)
{
    return body_work(c, kernel->bodies[0]);
}

static work_estimate graph_work(ir_ctx *c, const ir_graph *g);

/* Turns times the work of the turn in which the index is largest. */
static const ir_dim *over_turns(ir_ctx *c, const ir_node *loop, const ir_dim *one)
{
    const ir_sym *s = ir_node_attr(loop, IR_ATTR_sym)->sym;
    const ir_dim *turns =
        ir_loop_turns(c, ir_node_attr(loop, IR_ATTR_lo)->dims[0],
                      ir_node_attr(loop, IR_ATTR_hi)->dims[0], ir_node_int(loop, IR_ATTR_step, 1));
    const ir_dim *most = s->most ? s->most : ir_dim_const(c, s->hi == INT64_MAX ? 1 : s->hi);
    return ir_dim_mul(c, turns, ir_dim_uses(one, s) ? ir_dim_subst(c, one, s, most) : one);
}

static work_estimate loop_work(ir_ctx *c, const ir_node *loop)
{
    work_estimate turn = graph_work(c, loop->bodies[0]);
    int64_t asked = ir_node_int(loop, IR_ATTR_cond, 0) ? 2 : 0; /* before and after all read it */
    return (work_estimate){over_turns(c, loop, turn.shared),
                           over_turns(c, loop, ir_dim_offset(c, turn.barriers, asked))};
}

static work_estimate graph_work(ir_ctx *c, const ir_graph *g)
{
    work_estimate sum = {ir_dim_const(c, 0), ir_dim_const(c, 0)};
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        sum.barriers = ir_dim_offset(c, sum.barriers, ir_node_int(n, IR_ATTR_barrier, 0) != 0);
        if (n->op == IR_OP_kernel && ir_node_int(n, IR_ATTR_split, -1) >= 0) {
            sum.shared = ir_dim_add(c, sum.shared, work_of_kernel(c, n));
        } else if (n->op == IR_OP_loop) {
            work_estimate all = loop_work(c, n);
            sum.shared = ir_dim_add(c, sum.shared, all.shared);
            sum.barriers = ir_dim_add(c, sum.barriers, all.barriers);
        }
    }
    return sum;
}

work_estimate work_of_entry(const ir_graph *g)
{
    return graph_work(ir_graph_ctx(g), g);
}
