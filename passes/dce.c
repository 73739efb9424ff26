/* dce: what no output needs goes. A loop loses captures its body does not use. */
#include "passes/rewrite.h"

static ir_graph *eliminate(pass_ctx *c, const ir_graph *old);

/* The loop with only the captures its body still uses. */
static const ir_node *trim_loop(pass_ctx *c, ir_graph *g, const ir_node *n,
                                const ir_node *const *in)
{
    ir_graph *body = eliminate(c, n->bodies[0]);
    uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    const uint32_t *uses = ir_graph_use_counts(body, c->scratch);
    ir_graph *trimmed = ir_graph_create(ir_graph_ctx(g), ir_graph_name(body));
    const ir_node **new_of =
        arena_array(ir_graph_arena(trimmed), const ir_node *, ir_graph_size(body));
    const ir_node **kept = arena_array(ir_graph_arena(g), const ir_node *, n->n_in);
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_node *input = ir_graph_input(body, i);
        if (i < carries || uses[input->id]) {
            new_of[input->id] = ir_graph_add_input(trimmed, ir_node_str(input, IR_ATTR_name),
                                                   ir_node_type(input), input->loc);
            kept[n_kept++] = in[i];
        }
    }
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *k = ir_graph_node(body, i);
        if (k->op != IR_OP_input) {
            new_of[i] = ir_graph_copy_node(trimmed, k, rewrite_operands(trimmed, k, new_of));
        }
    }
    ir_graph_end_rewrite(trimmed, body, new_of);
    return ir_graph_add(g, n->op, n_kept, kept, n->n_results, n->types, n->n_attrs, n->attrs, 1,
                        &trimmed, n->loc);
}

static ir_graph *eliminate(pass_ctx *c, const ir_graph *old)
{
    uint32_t size = ir_graph_size(old);
    bool *live = arena_array(c->scratch, bool, size);
    for (uint32_t i = 0; i < ir_graph_n_outputs(old); i++) {
        live[ir_graph_output(old, i)->node->id] = true;
    }
    for (uint32_t i = size; i-- > 0;) {
        const ir_node *n = ir_graph_node(old, i);
        for (uint32_t k = 0; live[i] && k < n->n_in; k++) {
            live[n->in[k]->id] = true;
        }
    }
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (!live[i] || n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        new_of[i] = n->op == IR_OP_loop ? trim_loop(c, g, n, in) : ir_graph_copy_node(g, n, in);
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *pass_dce(pass_ctx *c, const ir_graph *g)
{
    return eliminate(c, g);
}
