#include "passes/partition.h"

#include "passes/access.h"
#include "passes/pass.h"
#include "passes/values.h"

#include <string.h>

void partition_map_split(const ir_type *t, ir_attr *split, ir_attr *grain)
{
    int64_t axis = -1;
    for (uint32_t i = 0; i < t->rank && axis < 0; i++) {
        axis = ir_dim_is_one(t->dims[i]) ? -1 : (int64_t)i;
    }
    *split = ir_attr_i(IR_ATTR_split, axis);
    *grain = ir_attr_i(IR_ATTR_grain, 1);
}

static ir_graph *partition(pass_ctx *c, const ir_graph *g)
{
    ir_graph *out = ir_graph_begin_rewrite(g);
    const ir_node **new_of = arena_array(c->scratch, const ir_node *, ir_graph_size(g));
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        new_of[ir_graph_input(g, i)->id] = ir_graph_input(out, i);
    }
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        const ir_node **in = arena_array(c->scratch, const ir_node *, n->n_in);
        if (new_of[i]) {
            continue;
        }
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = new_of[n->in[k]->id];
        }
        if (n->op == IR_OP_loop) {
            ir_graph *body = partition(c, n->bodies[0]);
            new_of[i] = ir_graph_copy_node_bodies(out, n, in, &body);
        } else if (n->op == IR_OP_kernel) {
            access_domain d;
            access_kernel_domain(ir_graph_ctx(g), n, &d);
            const char *family = ir_node_str(n, IR_ATTR_family);
            int64_t split = -1;
            for (uint32_t k = 0; k < d.rank && split < 0; k++) {
                split = (d.mask & (1u << k)) || ir_dim_is_one(d.dims[k]) ? -1 : (int64_t)k;
            }
            if (strcmp(family, "scan") == 0 || strcmp(family, "sort") == 0) {
                int64_t axis = ir_node_int(d.main, IR_ATTR_axis, 0);
                split = axis == 0 ? -1 : 0;
            } else if (strcmp(family, "scatter") == 0) {
                split = -1;
            }
            ir_attr attrs[3] = {ir_attr_i(IR_ATTR_split, split), ir_attr_i(IR_ATTR_grain, 1),
                                ir_attr_i(IR_ATTR_barrier, 1)};
            new_of[i] = ir_graph_copy_node_attrs(out, n, in, 3, attrs);
        } else {
            new_of[i] = ir_graph_copy_node(out, n, in);
        }
    }
    ir_graph_end_rewrite(out, g, new_of);
    return out;
}

ir_graph *pass_partition(pass_ctx *c, const ir_graph *g)
{
    return partition(c, g);
}
