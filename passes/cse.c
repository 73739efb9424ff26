/* cse: what is computed twice is computed once.
 *
 * Building already makes equal nodes one. What is left for this pass: operands of commutative ops
 * in either order, bodies that are equal node by node, and values that a loop captures twice.
 *
 *     %4 = add %1, %2                       After   %4 = add %1, %2
 *     %5 = add %2, %1                               %6 = mul %4, %4
 *     %6 = mul %4, %5
 *
 * Keeps: shapes, types, inputs, outputs, values exactly. Leaves alone: draws of different streams,
 * and loops over indices of their own (equal but for the name of the index). */
#include "passes/rewrite.h"

#include <string.h>

typedef struct cse {
    pass_ctx *c;
    VEC(ir_graph *) bodies; /* distinct ones met so far, in the new graphs */
} cse;

static ir_graph *eliminate(cse *s, const ir_graph *old);

static bool same_graph(const ir_graph *x, const ir_graph *y);

static bool same_node(const ir_node *x, const ir_node *y)
{
    if (x->op != y->op || x->n_in != y->n_in || x->n_results != y->n_results ||
        x->n_attrs != y->n_attrs || x->n_bodies != y->n_bodies ||
        memcmp(x->types, y->types, x->n_results * sizeof *x->types) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < x->n_attrs; i++) {
        if (!ir_attr_same(&x->attrs[i], &y->attrs[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < x->n_in; i++) {
        if (x->in[i]->id != y->in[i]->id) {
            return false;
        }
    }
    for (uint32_t i = 0; i < x->n_bodies; i++) {
        if (!same_graph(x->bodies[i], y->bodies[i])) {
            return false;
        }
    }
    return true;
}

static bool same_graph(const ir_graph *x, const ir_graph *y)
{
    uint32_t outputs = ir_graph_n_outputs(x);
    if (x == y) {
        return true;
    }
    if (ir_graph_size(x) != ir_graph_size(y) || outputs != ir_graph_n_outputs(y) ||
        ir_graph_n_inputs(x) != ir_graph_n_inputs(y)) {
        return false;
    }
    for (uint32_t i = 0; i < ir_graph_size(x); i++) {
        if (!same_node(ir_graph_node(x, i), ir_graph_node(y, i))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < outputs; i++) {
        if (ir_graph_output(x, i)->node->id != ir_graph_output(y, i)->node->id) {
            return false;
        }
    }
    return true;
}

/* The first body equal to this one. */
static ir_graph *share(cse *s, ir_graph *g)
{
    for (uint32_t i = 0; i < s->bodies.len; i++) {
        if (same_graph(s->bodies.at[i], g)) {
            ir_graph_destroy(g);
            return s->bodies.at[i];
        }
    }
    vec_push(s->c->scratch, &s->bodies, g);
    return g;
}

/* A body whose captures that are one value outside are one inside: the later ones are no longer
 * read, and go. */
static ir_graph *merge_captures(cse *s, const ir_node *n, const ir_node *const *in, ir_graph *body,
                                uint32_t *n_kept, const ir_node **kept)
{
    uint32_t carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    ir_graph *g = ir_graph_create(ir_graph_ctx(body), ir_graph_name(body));
    ir_graph_set_stage(g, ir_graph_stage(body));
    const ir_node **new_of = arena_array(s->c->scratch, const ir_node *, ir_graph_size(body));
    *n_kept = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_node *x = ir_graph_input(body, i), *earlier = NULL;
        for (uint32_t k = carries; i >= carries && k < i && !earlier; k++) {
            earlier = in[k] == in[i] ? new_of[ir_graph_input(body, k)->id] : NULL;
        }
        new_of[x->id] =
            earlier ? earlier
                    : ir_graph_add_input(g, ir_node_str(x, IR_ATTR_name), ir_node_type(x), x->loc);
        if (!earlier) {
            kept[(*n_kept)++] = in[i];
        }
    }
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *k = ir_graph_node(body, i);
        if (k->op != IR_OP_input) {
            new_of[i] = ir_graph_copy_node(g, k, rewrite_operands(g, k, new_of));
        }
    }
    ir_graph_end_rewrite(g, body, new_of);
    ir_graph_destroy(body);
    return g;
}

static bool repeats_captures(const ir_node *n, const ir_node *const *in)
{
    for (uint32_t i = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0); i < n->n_in; i++) {
        for (uint32_t k = i + 1; k < n->n_in; k++) {
            if (in[i] == in[k]) {
                return true;
            }
        }
    }
    return false;
}

static const ir_node *copy(cse *s, ir_graph *g, const ir_node *n, const ir_node **in)
{
    ir_graph **bodies = arena_array(s->c->scratch, ir_graph *, n->n_bodies);
    uint32_t n_in = n->n_in;
    for (uint32_t i = 0; i < n->n_bodies; i++) {
        bodies[i] = eliminate(s, n->bodies[i]);
        if (n->op == IR_OP_loop && repeats_captures(n, in)) {
            const ir_node **kept = arena_array(s->c->scratch, const ir_node *, n->n_in);
            bodies[i] = merge_captures(s, n, in, bodies[i], &n_in, kept);
            in = kept;
        }
        bodies[i] = share(s, bodies[i]);
    }
    if (ir_op_has(n->op, IR_COMMUTES) && in[0]->id > in[1]->id) {
        const ir_node *first = in[0];
        in[0] = in[1];
        in[1] = first;
    }
    return ir_graph_add(g, n->op, n_in, in, n->n_results, n->types, n->n_attrs, n->attrs,
                        n->n_bodies, bodies, n->loc);
}

static ir_graph *eliminate(cse *s, const ir_graph *old)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op != IR_OP_input) {
            new_of[i] = copy(s, g, n, rewrite_operands(g, n, new_of));
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *pass_cse(pass_ctx *c, const ir_graph *g)
{
    cse s = {.c = c};
    return eliminate(&s, g);
}
