#include "passes/footprint.h"

/* Memory of a result: two that lie in one place at the same time lie over each other exactly, by
 * plan_memory's rules, so that where they begin says which they are. */
static stretch stretch_of(const ir_node *n, uint32_t result)
{
    return (stretch){ir_node_attr(n, IR_ATTR_space)->strs[result],
                     ir_node_attr(n, IR_ATTR_at)->dims[result]};
}

footprint footprint_of(arena *a, const ir_node *kernel)
{
    footprint f = {0};
    for (uint32_t i = 0; i < kernel->n_in; i++) {
        vec_push(a, &f.reads, stretch_of(kernel->in[i], 0));
    }
    for (uint32_t r = 0; r < kernel->n_results; r++) {
        vec_push(a, &f.writes, stretch_of(kernel, r));
    }
    return f;
}

static bool overlap(const stretch *x, uint32_t n_x, const stretch *y, uint32_t n_y)
{
    for (uint32_t i = 0; i < n_x; i++) {
        for (uint32_t j = 0; j < n_y; j++) {
            if (x[i].space == y[j].space && x[i].at == y[j].at) {
                return true;
            }
        }
    }
    return false;
}

bool footprints_meet(const footprint *x, const footprint *y)
{
    return overlap(x->writes.at, x->writes.len, y->writes.at, y->writes.len) ||
           overlap(x->writes.at, x->writes.len, y->reads.at, y->reads.len) ||
           overlap(x->reads.at, x->reads.len, y->writes.at, y->writes.len);
}
