/* Copying graphs, whole and node by node. */
#include "ir/graph_impl.h"

#include <string.h>

ir_graph *ir_graph_begin_rewrite_bare(const ir_graph *old)
{
    ir_graph *g = ir_graph_create(old->ctx, old->name);
    g->stage = old->stage;
    g->arena_bytes = old->arena_bytes;
    for (uint32_t i = 0; i < old->syms.len; i++) {
        ir_graph_add_sym(g, old->syms.at[i], i < old->n_dim_args);
    }
    for (uint32_t i = 0; i < old->conditions.len; i++) {
        ir_graph_add_condition(g, old->conditions.at[i]);
    }
    return g;
}

ir_graph *ir_graph_begin_rewrite(const ir_graph *old)
{
    ir_graph *g = ir_graph_begin_rewrite_bare(old);
    for (uint32_t i = 0; i < old->inputs.len; i++) {
        ir_graph_add_input_like(g, old->inputs.at[i], 0, NULL);
    }
    return g;
}

const ir_node *ir_graph_add_input_like(ir_graph *g, const ir_node *n, uint32_t n_attrs,
                                       const ir_attr *attrs)
{
    const ir_node *copy = ir_graph_copy_node_attrs(g, n, NULL, n_attrs, attrs);
    vec_push(g->a, &g->inputs, copy);
    return copy;
}

const ir_node *ir_graph_copy_node_bodies(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                         ir_graph *const *bodies)
{
    return ir_graph_add(g, n->op, n->n_in, in, n->n_results, n->types, n->n_attrs, n->attrs,
                        n->n_bodies, bodies, n->loc);
}

const ir_node *ir_graph_copy_node(ir_graph *g, const ir_node *n, const ir_node *const *in)
{
    return ir_graph_copy_node_bodies(g, n, in, n->bodies);
}

const ir_node *ir_graph_copy_node_with(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                       ir_graph *const *bodies, uint32_t n_attrs,
                                       const ir_attr *attrs)
{
    ir_attr *all = arena_array(g->a, ir_attr, n->n_attrs + n_attrs);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        bool replaced = false;
        for (uint32_t j = 0; j < n_attrs; j++) {
            replaced |= attrs[j].key == n->attrs[i].key;
        }
        if (!replaced) {
            all[count++] = n->attrs[i];
        }
    }
    for (uint32_t j = 0; j < n_attrs; j++) {
        all[count++] = attrs[j];
    }
    return ir_graph_add(g, n->op, n->n_in, in, n->n_results, n->types, count, all, n->n_bodies,
                        bodies, n->loc);
}

const ir_node *ir_graph_copy_node_attrs(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                        uint32_t n_attrs, const ir_attr *attrs)
{
    return ir_graph_copy_node_with(g, n, in, n->bodies, n_attrs, attrs);
}

void ir_graph_end_rewrite(ir_graph *g, const ir_graph *old, const ir_node *const *new_of)
{
    for (uint32_t i = 0; i < old->outputs.len; i++) {
        ir_output o = old->outputs.at[i];
        o.node = new_of[o.node->id];
        vec_push(g->a, &g->outputs, o);
    }
}

/* A copy with a symbol replaced in every dim; s NULL: a plain copy. ------------------------------
 */

static const ir_dim *subst_dim(ir_ctx *c, const ir_dim *d, const ir_sym *s, const ir_dim *by)
{
    return s ? ir_dim_subst(c, d, s, by) : d;
}

static const ir_type *subst_type(ir_ctx *c, const ir_type *t, const ir_sym *s, const ir_dim *by)
{
    const ir_dim *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        dims[i] = subst_dim(c, t->dims[i], s, by);
    }
    return ir_type_get(c, t->dtype, t->rank, dims);
}

static ir_attr subst_attr(ir_graph *g, ir_attr a, const ir_sym *s, const ir_dim *by)
{
    ir_attr_kind kind = ir_attr_kind_of(a.key);
    if (kind == IR_ATTR_KIND_DIM) {
        a.dim = subst_dim(g->ctx, a.dim, s, by);
    } else if (kind == IR_ATTR_KIND_DIMS) {
        const ir_dim **dims = arena_array(g->a, const ir_dim *, a.n);
        for (uint32_t i = 0; i < a.n; i++) {
            dims[i] = subst_dim(g->ctx, a.dims[i], s, by);
        }
        a.dims = dims;
    }
    return a;
}

/* A loop whose range changes gets another index: what an index says of its range must stay true. */
static ir_graph *subst_loop_body(const ir_node *n, ir_attr *attrs, const ir_sym *s,
                                 const ir_dim *by)
{
    ir_graph *body = ir_graph_subst(n->bodies[0], s, by);
    const ir_attr *lo = NULL, *hi = NULL, *step = NULL;
    ir_attr *index = NULL;
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        ir_attr *a = &attrs[i];
        lo = a->key == IR_ATTR_lo ? a : lo;
        hi = a->key == IR_ATTR_hi ? a : hi;
        step = a->key == IR_ATTR_step ? a : step;
        index = a->key == IR_ATTR_sym ? a : index;
    }
    if (!s || !lo || !hi || !step || !index || !index->sym->least || lo->n != 1 || hi->n != 1) {
        return body;
    }
    const ir_sym *old = index->sym;
    index->sym = ir_sym_loop(body->ctx, old->name, lo->dims[0], hi->dims[0], step->i);
    if (index->sym == old) {
        return body;
    }
    ir_graph *renamed = ir_graph_subst(body, old, ir_dim_sym(body->ctx, index->sym));
    ir_graph_destroy(body);
    return renamed;
}

ir_graph *ir_graph_subst(const ir_graph *old, const ir_sym *s, const ir_dim *by)
{
    ir_graph *g = ir_graph_create(old->ctx, old->name);
    g->stage = old->stage;
    g->arena_bytes = old->arena_bytes ? subst_dim(old->ctx, old->arena_bytes, s, by) : NULL;
    for (uint32_t i = 0; i < old->syms.len; i++) {
        ir_graph_add_sym(g, old->syms.at[i], i < old->n_dim_args);
    }
    for (uint32_t i = 0; i < old->conditions.len; i++) {
        ir_condition k = old->conditions.at[i];
        k.lhs = subst_dim(old->ctx, k.lhs, s, by);
        k.rhs = subst_dim(old->ctx, k.rhs, s, by);
        ir_graph_add_condition(g, k);
    }
    const ir_node **new_of = arena_array(g->a, const ir_node *, old->nodes.len);
    for (uint32_t i = 0; i < old->nodes.len; i++) {
        const ir_node *n = old->nodes.at[i];
        const ir_node **in = arena_array(g->a, const ir_node *, n->n_in);
        const ir_type **types = arena_array(g->a, const ir_type *, n->n_results);
        ir_attr *attrs = arena_array(g->a, ir_attr, n->n_attrs);
        ir_graph **bodies = arena_array(g->a, ir_graph *, n->n_bodies);
        for (uint32_t j = 0; j < n->n_in; j++) {
            in[j] = new_of[n->in[j]->id];
        }
        for (uint32_t j = 0; j < n->n_results; j++) {
            types[j] = subst_type(old->ctx, n->types[j], s, by);
        }
        for (uint32_t j = 0; j < n->n_attrs; j++) {
            attrs[j] = subst_attr(g, n->attrs[j], s, by);
        }
        for (uint32_t j = 0; j < n->n_bodies; j++) {
            bodies[j] = n->op == IR_OP_loop && j == 0 ? subst_loop_body(n, attrs, s, by)
                                                      : ir_graph_subst(n->bodies[j], s, by);
        }
        new_of[i] = ir_graph_add(g, n->op, n->n_in, in, n->n_results, types, n->n_attrs, attrs,
                                 n->n_bodies, bodies, n->loc);
        for (uint32_t j = 0; j < n->n_bodies; j++) {
            if (new_of[i]->bodies[j] != bodies[j]) {
                ir_graph_destroy(bodies[j]);
            }
        }
        if (n->op == IR_OP_input) {
            vec_push(g->a, &g->inputs, new_of[i]);
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *ir_graph_clone(const ir_graph *g)
{
    return ir_graph_subst(g, NULL, NULL);
}

const ir_node *ir_graph_only(const ir_graph *g, ir_op op)
{
    const ir_node *found = NULL;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == op && found) {
            return NULL;
        }
        found = n->op == op ? n : found;
    }
    return found;
}

const uint32_t *ir_graph_use_counts(const ir_graph *g, arena *a)
{
    uint32_t *uses = arena_array(a, uint32_t, g->nodes.len);
    for (uint32_t i = 0; i < g->nodes.len; i++) {
        for (uint32_t j = 0; j < g->nodes.at[i]->n_in; j++) {
            uses[g->nodes.at[i]->in[j]->id]++;
        }
    }
    for (uint32_t i = 0; i < g->outputs.len; i++) {
        uses[g->outputs.at[i].node->id]++;
    }
    return uses;
}
