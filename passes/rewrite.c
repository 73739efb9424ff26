#include "passes/rewrite.h"

const ir_node **rewrite_inputs(const ir_graph *old, ir_graph *g)
{
    const ir_node **new_of = arena_array(ir_graph_arena(g), const ir_node *, ir_graph_size(old));
    for (uint32_t i = 0; i < ir_graph_n_inputs(old); i++) {
        new_of[ir_graph_input(old, i)->id] = ir_graph_input(g, i);
    }
    return new_of;
}

const ir_node **rewrite_operands(ir_graph *g, const ir_node *n, const ir_node *const *new_of)
{
    const ir_node **in = arena_array(ir_graph_arena(g), const ir_node *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = new_of[n->in[i]->id];
    }
    return in;
}

ir_graph *rewrite_graph(const ir_graph *old, rewrite_node fn, void *data)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        ir_builder b = {.ctx = ir_graph_ctx(g), .graph = g, .conditions = g, .loc = n->loc};
        const ir_node *r = fn(data, &b, n, in);
        if (!r) {
            ir_graph **bodies = arena_array(ir_graph_arena(g), ir_graph *, n->n_bodies);
            for (uint32_t k = 0; k < n->n_bodies; k++) {
                bodies[k] = rewrite_graph(n->bodies[k], fn, data);
            }
            r = ir_graph_copy_node_bodies(g, n, in, bodies);
        }
        new_of[i] = r;
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *rewrite_loops(pass_ctx *c, const ir_graph *old, rewrite_loop fn)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op != IR_OP_input) {
            const ir_node **in = rewrite_operands(g, n, new_of);
            new_of[i] = n->op == IR_OP_loop ? fn(c, g, n, in) : ir_graph_copy_node(g, n, in);
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

static ir_graph *mark_graph(pass_ctx *c, const ir_graph *g, ir_attr_key key, rewrite_mark fn,
                            bool in_loop)
{
    const bool *marked = fn(c, g, in_loop);
    ir_graph *out = ir_graph_begin_rewrite(g);
    const ir_node **new_of = rewrite_inputs(g, out);
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (new_of[i]) {
            continue;
        }
        const ir_node **in = rewrite_operands(out, n, new_of);
        ir_graph *body = n->op == IR_OP_loop ? mark_graph(c, n->bodies[0], key, fn, true) : NULL;
        ir_attr set = ir_attr_i(key, marked[i]);
        bool say = marked[i] || ir_node_attr(n, key);
        new_of[i] = ir_graph_copy_node_with(out, n, in, body ? &body : n->bodies, say, &set);
    }
    ir_graph_end_rewrite(out, g, new_of);
    return out;
}

ir_graph *rewrite_marks(pass_ctx *c, const ir_graph *g, ir_attr_key key, rewrite_mark fn)
{
    return mark_graph(c, g, key, fn, false);
}

uint32_t rewrite_count_kernels(const ir_graph *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *k = ir_graph_node(g, i);
        n += k->op == IR_OP_kernel;
        n += k->op == IR_OP_loop ? rewrite_count_kernels(k->bodies[0]) : 0;
    }
    return n;
}
