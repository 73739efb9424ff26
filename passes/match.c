#include "passes/match.h"

#include <string.h>

bool match_swallow(match_inside *s, const ir_node *n)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->at[i] == n) {
            return true;
        }
    }
    if (s->n < sizeof s->at / sizeof *s->at) {
        s->at[s->n++] = n;
    }
    return true;
}

static uint32_t reads(const ir_node *user, const ir_node *n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < user->n_in; i++) {
        count += user->in[i] == n;
    }
    return count;
}

bool match_closed(const match_inside *s, const ir_node *result, const uint32_t *uses)
{
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t within = reads(result, s->at[i]);
        for (uint32_t k = 0; k < s->n; k++) {
            within += reads(s->at[k], s->at[i]);
        }
        if (within != uses[s->at[i]->id]) {
            return false;
        }
    }
    return true;
}

/* The reduction itself: n, or what n reshapes. */
static const ir_node *reduction(const ir_node *n, ir_op op)
{
    const ir_node *r = n->op == IR_OP_reshape ? n->in[0] : n;
    return r->op == op ? r : NULL;
}

const ir_attr *match_axes(const ir_node *n, ir_op op)
{
    const ir_node *r = reduction(n, op);
    return r ? ir_node_attr(r, IR_ATTR_axes) : NULL;
}

static bool same_axes(const ir_attr *x, const ir_attr *y)
{
    return x && y && x->n == y->n && memcmp(x->ints, y->ints, x->n * sizeof *x->ints) == 0;
}

/* Has n the shape of x with ones at the axes? */
static bool has_kept_shape(const ir_type *n, const ir_type *x, const ir_attr *axes)
{
    uint32_t at = 0;
    for (uint32_t i = 0; n->rank == x->rank && i < x->rank; i++) {
        bool reduced = at < axes->n && axes->ints[at] == i;
        at += reduced;
        if (reduced ? !ir_dim_is_one(n->dims[i]) : n->dims[i] != x->dims[i]) {
            return false;
        }
    }
    return n->rank == x->rank;
}

const ir_node *match_kept(const ir_node *n, ir_op op, const ir_attr *axes, match_inside *s)
{
    const ir_node *r = reduction(n, op);
    if (!r || !same_axes(ir_node_attr(r, IR_ATTR_axes), axes) ||
        !has_kept_shape(ir_node_type(n), ir_node_type(r->in[0]), axes)) {
        return NULL;
    }
    match_swallow(s, n);
    match_swallow(s, r);
    return r->in[0];
}

bool match_either(const ir_node *n, ir_op op, const ir_node **other, const ir_node **found)
{
    for (int k = 1; n->n_in == 2 && k >= 0; k--) {
        if (n->in[k]->op == op) {
            *found = n->in[k];
            *other = n->in[1 - k];
            return true;
        }
    }
    return false;
}

bool match_splat(const ir_node *n, double *value)
{
    const ir_attr *a = n->op == IR_OP_const ? ir_node_attr(n, IR_ATTR_data) : NULL;
    if (!a || !a->data->splat || !ir_dtype_is_float(a->data->dtype)) {
        return false;
    }
    *value = ir_dtype_load(a->data->dtype, a->data->bytes, 0);
    return true;
}

static ir_graph *replace_all(pass_ctx *c, const ir_graph *old, match_replace fn)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    const uint32_t *uses = ir_graph_use_counts(old, c->scratch);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        ir_builder b = {.ctx = ir_graph_ctx(g), .graph = g, .conditions = g, .loc = n->loc};
        new_of[i] = fn(&b, n, uses, new_of);
        if (!new_of[i] && n->op == IR_OP_loop) {
            ir_graph *body = replace_all(c, n->bodies[0], fn);
            new_of[i] = ir_graph_copy_node_bodies(g, n, rewrite_operands(g, n, new_of), &body);
        } else if (!new_of[i]) {
            new_of[i] = ir_graph_copy_node(g, n, rewrite_operands(g, n, new_of));
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *match_graph(pass_ctx *c, const ir_graph *g, match_replace fn)
{
    ir_graph *replaced = replace_all(c, g, fn);
    ir_graph *out = pass_dce(c, replaced);
    ir_graph_destroy(replaced);
    return out;
}
