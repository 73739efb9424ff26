/* A planned graph as it was before plan_memory: text from outside may claim any place for a value,
 * so what it says of places, and of kernels that were found to share none, is dropped, and the
 * memory planned anew. */
#include "passes/plan.h"

static ir_graph *without_places(const ir_graph *g, arena *a);

static const ir_node *copy_node(ir_graph *out, const ir_node *n, const ir_node *const *new_of,
                                arena *a)
{
    ir_attr *attrs = arena_array(a, ir_attr, n->n_attrs + 1);
    const ir_node **in = arena_array(a, const ir_node *, n->n_in + 1);
    uint32_t n_attrs = 0;
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        ir_attr_key key = n->attrs[i].key;
        bool place = key == IR_ATTR_space || key == IR_ATTR_at || key == IR_ATTR_bytes;
        if (!place && key != IR_ATTR_open && key != IR_ATTR_joined) {
            attrs[n_attrs++] = n->attrs[i];
        }
    }
    for (uint32_t k = 0; k < n->n_in; k++) {
        in[k] = new_of[n->in[k]->id];
    }
    ir_graph *body = n->op == IR_OP_loop ? without_places(n->bodies[0], a) : NULL;
    return ir_graph_add(out, n->op, n->n_in, in, n->n_results, n->types, n_attrs, attrs,
                        n->n_bodies, body ? &body : n->bodies, n->loc);
}

static ir_graph *without_places(const ir_graph *g, arena *a)
{
    ir_graph *out = ir_graph_begin_rewrite_bare(g);
    const ir_node **new_of = arena_array(a, const ir_node *, ir_graph_size(g) + 1);
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        const ir_node *n = ir_graph_input(g, i);
        new_of[n->id] =
            ir_graph_add_input(out, ir_node_str(n, IR_ATTR_name), ir_node_type(n), n->loc);
    }
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        if (!new_of[i]) {
            new_of[i] = copy_node(out, ir_graph_node(g, i), new_of, a);
        }
    }
    ir_graph_end_rewrite(out, g, new_of);
    ir_graph_set_stage(out, IR_STAGE_KERNEL);
    return out;
}

ir_graph *plan_forget(pass_ctx *c, const ir_graph *g)
{
    ir_graph *out = without_places(g, c->scratch);
    ir_graph_set_arena_bytes(out, NULL);
    return out;
}
