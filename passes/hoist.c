/* hoist: what does not change from turn to turn leaves the loop.
 *
 * A node of a loop's body whose operands come from outside (captures) or from nothing, and that
 * uses neither the loop's index nor a draw, is computed before the loop and captured. Leaves and
 * moves alone are left: they cost nothing where they are.
 *
 * Keeps: values exactly. Leaves alone: loops that may make no turn at all are no obstacle, since
 * nodes have no effects. */
#include "passes/rewrite.h"

static bool attr_uses(const ir_attr *a, const ir_sym *s)
{
    if (ir_attr_kind_of(a->key) == IR_ATTR_KIND_DIM) {
        return ir_dim_uses(a->dim, s);
    }
    for (uint32_t i = 0; ir_attr_kind_of(a->key) == IR_ATTR_KIND_DIMS && i < a->n; i++) {
        if (ir_dim_uses(a->dims[i], s)) {
            return true;
        }
    }
    return false;
}

static bool node_uses(const ir_node *n, const ir_sym *s)
{
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (attr_uses(&n->attrs[i], s)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < n->n_results; i++) {
        for (uint32_t k = 0; k < n->types[i]->rank; k++) {
            if (ir_dim_uses(n->types[i]->dims[k], s)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_work(const ir_node *n)
{
    ir_family f = ir_op_family(n->op);
    return f != IR_FAMILY_LEAF && f != IR_FAMILY_MOVE && n->op != IR_OP_get;
}

static const ir_node *hoist_loop(pass_ctx *c, ir_graph *g, const ir_node *n,
                                 const ir_node *const *in)
{
    ir_graph *body = rewrite_loops(c, n->bodies[0], hoist_loop);
    const ir_sym *sym = ir_node_attr(n, IR_ATTR_sym)->sym;
    uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0), size = ir_graph_size(body);
    bool *invariant = arena_array(c->scratch, bool, size),
         *wanted = arena_array(c->scratch, bool, size);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *k = ir_graph_node(body, i);
        invariant[i] = k->op == IR_OP_input ? ir_node_int(k, IR_ATTR_index, 0) >= carries
                                            : k->op != IR_OP_random && k->n_results == 1 &&
                                                  k->n_bodies == 0 && !node_uses(k, sym);
        for (uint32_t j = 0; j < k->n_in; j++) {
            invariant[i] &= invariant[k->in[j]->id];
        }
    }
    bool any = false;
    for (uint32_t i = 0; i < size; i++) { /* the frontier: used by something that stays */
        const ir_node *k = ir_graph_node(body, i);
        for (uint32_t j = 0; !invariant[i] && j < k->n_in; j++) {
            const ir_node *x = k->in[j];
            if (invariant[x->id] && is_work(x)) {
                wanted[x->id] = any = true;
            }
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(body); i++) {
        const ir_node *x = ir_graph_output(body, i)->node;
        if (invariant[x->id] && is_work(x)) {
            wanted[x->id] = any = true;
        }
    }
    if (!any) {
        return ir_graph_copy_node_bodies(g, n, in, &body);
    }
    /* Outside: copies of the invariant cone. */
    const ir_node **outside = arena_array(c->scratch, const ir_node *, size);
    for (uint32_t i = 0; i < ir_graph_n_inputs(body); i++) {
        outside[ir_graph_input(body, i)->id] = in[i];
    }
    bool *needed = arena_array(c->scratch, bool, size);
    for (uint32_t i = size; i-- > 0;) {
        const ir_node *k = ir_graph_node(body, i);
        needed[i] |= wanted[i];
        for (uint32_t j = 0; needed[i] && j < k->n_in; j++) {
            needed[k->in[j]->id] = true;
        }
    }
    VEC(const ir_node *) operands = {0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        vec_push(c->scratch, &operands, in[i]);
    }
    ir_graph *inner = ir_graph_begin_rewrite(body);
    const ir_node **new_of = rewrite_inputs(body, inner);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *k = ir_graph_node(body, i);
        if (k->op == IR_OP_input) {
            continue;
        }
        if (needed[i]) {
            outside[i] = ir_graph_copy_node(g, k, rewrite_operands(g, k, outside));
        }
        if (wanted[i]) {
            vec_push(c->scratch, &operands, outside[i]);
            new_of[i] = ir_graph_add_input(inner, "hoisted", ir_node_type(k), k->loc);
        } else if (!invariant[i] || !needed[i] || !is_work(k)) {
            bool there = true; /* invariant work that only hoisted nodes use has no operands here */
            for (uint32_t j = 0; j < k->n_in; j++) {
                there &= new_of[k->in[j]->id] != NULL;
            }
            new_of[i] =
                there ? ir_graph_copy_node(inner, k, rewrite_operands(inner, k, new_of)) : NULL;
        }
    }
    ir_graph_end_rewrite(inner, body, new_of);
    return ir_graph_add(g, n->op, operands.len, operands.at, n->n_results, n->types, n->n_attrs,
                        n->attrs, 1, &inner, n->loc);
}

ir_graph *pass_hoist(pass_ctx *c, const ir_graph *g)
{
    ir_graph *hoisted = rewrite_loops(c, g, hoist_loop);
    return pass_dce(c, hoisted);
}
