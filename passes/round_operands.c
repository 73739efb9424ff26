/* round_operands: products with weights in interleaved blocks are products of int8, those with
 * weights in pairs are products of bf16.
 *
 *     param "fc.weight" : f32[768, 768] storage q8_0 panels 16 nk      After
 *     %2 = contract %0, %1 {labels=["ik", "jk", "ij"]}                 … math="q8"
 *     param "fc.weight" : f32[768, 768] storage bf16 pairs 32 nk
 *     %2 = contract %0, %1 {labels=["ik", "jk", "ij"]}                 … math="bf16"
 *
 *     %o = attention %q, %k, %v                                        … math="bf16"
 *
 * The operand that is not the parameter comes first. For q8 it is rounded in blocks of 32 along k
 * (docs/ir.md), as llama.cpp does, for bf16 value by value; the weights are taken as they are.
 * Attention has no parameters: its products are of bf16 where the user says so (--math bf16) and
 * the target has dot products of them. Without, rounding would cost more than it saves.
 *
 * Keeps: shapes and types. Leaves alone: other parameters, whose products are exact; attention of
 * f16, which has more bits than bf16. */
#include "passes/rewrite.h"

#include <string.h>

typedef struct finder {
    const ir_module *m;
    bool attends; /* attention may be of bf16 */
    map *params; /* node -> its ir_param, seen through captures of loops */
} finder;

static const ir_param *param_of(const finder *f, const ir_node *n)
{
    return n->op == IR_OP_param ? ir_module_param(f->m, ir_node_str(n, IR_ATTR_name))
                                : map_get(f->params, (uint64_t)(uintptr_t)(const void *)n);
}

static void find_captures(finder *f, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op != IR_OP_loop) {
            continue;
        }
        const ir_graph *body = n->bodies[0];
        for (uint32_t k = 0; k < ir_graph_n_inputs(body); k++) {
            const ir_node *inner = ir_graph_input(body, k);
            const ir_param *p = k < n->n_in ? param_of(f, n->in[k]) : NULL;
            if (p) {
                map_set(f->params, (uint64_t)(uintptr_t)(const void *)inner,
                        (void *)(uintptr_t)(const void *)p);
            }
        }
        find_captures(f, body);
    }
}

/* How products with the parameter are rounded; NULL: they are exact. */
static const char *math_of(const ir_param *p)
{
    if (!p || !p->panel) {
        return NULL;
    }
    return !ir_storage_is_dense(p->storage)  ? "q8"
           : strcmp(p->layout, "pairs") == 0 ? "bf16"
                                             : NULL;
}

static const ir_node *round_product(const finder *f, ir_builder *b, const ir_node *n,
                                    const ir_node *const *in)
{
    for (uint32_t k = 0; k < 2; k++) {
        const char *math = math_of(param_of(f, n->in[k]));
        if (!math) {
            continue;
        }
        const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
        const char *turned[3] = {labels->strs[1 - k], labels->strs[k], labels->strs[2]};
        const ir_node *operands[2] = {in[1 - k], in[k]};
        ir_attr attrs[2] = {
            ir_attr_ss(IR_ATTR_labels, 3, turned),
            ir_attr_s(IR_ATTR_math, intern(ir_ctx_names(b->ctx), math)),
        };
        return ir_build(b, IR_OP_contract, 2, operands, 2, attrs, 0, NULL);
    }
    return NULL;
}

static const ir_node *round_attention(const finder *f, ir_builder *b, const ir_node *n,
                                      const ir_node *const *in)
{
    ir_dtype t = ir_node_type(n)->dtype;
    if (!f->attends || (t != IR_f32 && t != IR_bf16)) {
        return NULL;
    }
    ir_attr math = ir_attr_s(IR_ATTR_math, intern(ir_ctx_names(b->ctx), "bf16"));
    return ir_graph_copy_node_attrs(b->graph, n, in, 1, &math);
}

static const ir_node *round_node(void *data, ir_builder *b, const ir_node *n,
                                 const ir_node *const *in)
{
    const finder *f = data;
    if (ir_node_str(n, IR_ATTR_math)) {
        return NULL;
    }
    return n->op == IR_OP_contract    ? round_product(f, b, n, in)
           : n->op == IR_OP_attention ? round_attention(f, b, n, in)
                                      : NULL;
}

ir_graph *pass_round_operands(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) != IR_STAGE_TENSOR) {
        return ir_graph_clone(g);
    }
    finder f = {c->module, c->bf16 && c->bf16_dots, map_create(c->scratch)};
    find_captures(&f, g);
    return rewrite_graph(g, round_node, &f);
}
