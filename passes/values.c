#include "passes/values.h"

value_table *values_create(const ir_graph *g, arena *a)
{
    value_table *t = arena_new(a, value_table);
    uint32_t size = ir_graph_size(g), n = 0;
    for (uint32_t i = 0; i < size; i++) {
        n += ir_graph_node(g, i)->n_results;
    }
    *t = (value_table){.g = g,
                       .first = arena_array(a, uint32_t, size),
                       .nodes = arena_array(a, const ir_node *, n),
                       .results = arena_array(a, uint32_t, n)};
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *k = ir_graph_node(g, i);
        if (k->op == IR_OP_reshape) {
            t->first[i] = t->first[k->in[0]->id];
            continue;
        }
        if (k->op == IR_OP_get) {
            t->first[i] = t->first[k->in[0]->id] + (uint32_t)ir_node_int(k, IR_ATTR_index, 0);
            continue;
        }
        t->first[i] = t->n;
        for (uint32_t r = 0; r < k->n_results; r++) {
            t->nodes[t->n] = k;
            t->results[t->n++] = r;
        }
    }
    return t;
}

int64_t values_inplace(const ir_node *kernel, uint32_t r)
{
    const ir_attr *a = kernel->op == IR_OP_kernel ? ir_node_attr(kernel, IR_ATTR_inplace) : NULL;
    return a && r < a->n ? a->ints[r] : -1;
}
