/* order: readers of a value before the kernel that overwrites it in place, or a copy.
 *
 * An in-place update may overwrite its operand only if no one reads the old value afterwards and if the
 * operand is the kernel's to overwrite (a state, a carried value, another kernel's result; not an
 * argument, a parameter or a constant). Otherwise a copying kernel is put in front, and the update
 * works on the copy. Outputs that are not a kernel's own result get a copying kernel too.
 *
 * Keeps: all values. */
#include "passes/rewrite.h"

#include <string.h>

static const ir_node *source_of(const ir_node *n)
{
    while (n->op == IR_OP_reshape || n->op == IR_OP_get) {
        n = n->in[0];
    }
    return n;
}

static const ir_node *make_copy(ir_graph *g, const ir_node *x, ir_loc loc)
{
    ir_ctx *c = ir_graph_ctx(g);
    ir_graph *body = ir_graph_create(c, "kernel");
    const ir_node *in = ir_graph_add_input(body, "in", ir_node_type(x), loc);
    ir_builder b = {.ctx = c, .graph = body, .loc = loc};
    /* A broadcast to its own shape: not the same node as its operand, so that it is a result. */
    const ir_node *out = ir_broadcast(&b, in, ir_node_type(x)->rank, ir_node_type(x)->dims);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "out", out);
    const char *name = intern_printf(ir_ctx_names(c), "copy_%u", x->id);
    ir_attr a[2] = {ir_attr_s(IR_ATTR_family, intern(ir_ctx_names(c), "map")), ir_attr_s(IR_ATTR_name, name)};
    const ir_type *t = ir_node_type(x);
    return ir_graph_add(g, IR_OP_kernel, 1, &x, 1, &t, 2, a, 1, &body, loc);
}

/* Does anything after node `after` read x's buffer, directly or through views? */
static bool read_after(const ir_graph *g, const ir_node *x, const ir_node *after)
{
    for (uint32_t i = after->id + 1; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        for (uint32_t k = 0; k < n->n_in; k++) {
            bool view = n->op == IR_OP_reshape || n->op == IR_OP_get;
            if (!view && source_of(n->in[k]) == source_of(x) && (n->in[k] == x || source_of(x) == x)) {
                return true;
            }
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        if (source_of(ir_graph_output(g, i)->node) == x) {
            return true;
        }
    }
    return false;
}

static bool may_overwrite(const ir_graph *g, const ir_node *x, bool in_body, uint32_t carries)
{
    const ir_node *s = source_of(x);
    (void)g;
    return s->op == IR_OP_state || s->op == IR_OP_kernel || s->op == IR_OP_loop ||
           (s->op == IR_OP_input && in_body && ir_node_int(s, IR_ATTR_index, 0) < carries);
}

static ir_graph *arrange(pass_ctx *c, const ir_graph *old, bool in_body, uint32_t carries)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    (void)c;
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = rewrite_operands(g, n, new_of);
        const ir_attr *inplace = n->op == IR_OP_kernel ? ir_node_attr(n, IR_ATTR_inplace) : NULL;
        if (inplace && inplace->ints[0] >= 0) {
            const ir_node *dst = n->in[inplace->ints[0]];
            if (!may_overwrite(old, dst, in_body, carries) || read_after(old, dst, n)) {
                in[inplace->ints[0]] = make_copy(g, in[inplace->ints[0]], n->loc);
            }
        }
        if (n->op == IR_OP_loop) {
            ir_graph *body = arrange(c, n->bodies[0], true, (uint32_t)ir_node_int(n, IR_ATTR_carries, 0));
            new_of[i] = ir_graph_copy_node_bodies(g, n, in, &body);
        } else {
            new_of[i] = ir_graph_copy_node(g, n, in);
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *pass_order(pass_ctx *c, const ir_graph *g)
{
    return arrange(c, g, false, 0);
}
