#include "backend/lower_building.h"

#include "passes/access.h"

#include <string.h>

void lower_begin_nest(building *b)
{
    b->l.steps.len = 0;
    b->l.steps.at = NULL;
    b->l.steps.cap = 0;
    b->l.values = map_create(b->l.a);
    b->l.statistics = map_create(b->l.a);
    b->l.resize = NULL;
}

void lower_end_nest(building *b, uint32_t n_outer, const k_axis *const *outer, int split)
{
    k_nest n = {.n_outer = n_outer, .split = split, .grain = b->grain};
    n.outer = arena_copy(b->l.a, outer, n_outer * sizeof *outer);
    n.n_steps = b->l.steps.len;
    n.steps = arena_copy(b->l.a, b->l.steps.at, n.n_steps * sizeof *n.steps);
    vec_push(b->l.a, &b->nests, n);
}

/* Where element `at` of `main` is in a value made of it by elementwise ops, transposes and
 * reshapes. False when n is not such a value. */
bool lower_place_in(building *b, const ir_node *n, const ir_node *main, const ir_dim *const *at,
                    const ir_dim **place)
{
    const ir_type *t = ir_node_type(n);
    if (n == main) {
        memcpy(place, at, t->rank * sizeof *place);
        return true;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_dim *inner[IR_MAX_RANK];
        if (!lower_place_in(b, n->in[i], main, at, inner)) {
            continue;
        }
        const ir_type *x = ir_node_type(n->in[i]);
        const ir_attr *perm = ir_node_attr(n, IR_ATTR_perm);
        if (n->op == IR_OP_reshape) {
            lower_reshape(b->l.c, t, x, inner, place);
            return true;
        }
        for (uint32_t k = 0; k < t->rank; k++) {
            place[k] = inner[n->op == IR_OP_transpose ? perm->ints[k] : (int64_t)k];
        }
        return n->op == IR_OP_transpose || ir_type_same_shape(x, t);
    }
    return false;
}

lower_target lower_target_of(const building *b, uint32_t result)
{
    const ir_node *root = ir_graph_output(b->body, result)->node;
    lower_target t = {root, root, ir_node_type(root), NULL};
    const ir_attr *inplace = ir_node_attr(b->node, IR_ATTR_inplace);
    if (inplace && result < inplace->n && inplace->ints[result] >= 0 && root->op == IR_OP_update) {
        bool rows = strcmp(ir_node_str(b->node, IR_ATTR_family), "reduce") == 0;
        t.value = root->in[1];
        t.domain = access_stored(b->l.c, root, rows);
        t.offsets = ir_node_attr(root, IR_ATTR_offsets)->dims;
    }
    return t;
}

const ir_dim *lower_target_place(building *b, const lower_target *t, const ir_dim *const *index)
{
    const ir_dim *moved[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->stored->rank; i++) {
        moved[i] = t->offsets ? ir_dim_add(b->l.c, t->offsets[i], index[i]) : index[i];
    }
    return lower_linear(&b->l, t->stored, moved);
}

void lower_add_store(building *b, uint32_t result, const lower_target *t,
                     const ir_dim *const *index, uint32_t n_axes, const k_axis *const *axes)
{
    const ir_dim *at[IR_MAX_RANK];
    lower_place_in(b, t->value, t->domain, index, at);
    const k_expr *value = lower_value(&b->l, &b->scope, t->value, at, NULL);
    const ir_dim *place = lower_target_place(b, t, at);
    k_step s = {.kind = K_STEP_STORE,
                .n_axes = n_axes,
                .axes = arena_copy(b->l.a, axes, n_axes * sizeof *axes),
                .value = lower_cast(&b->l, value, b->results[result]->dtype),
                .buf = b->results[result],
                .offset = lower_index(&b->l, place)};
    const k_step *before = b->l.steps.len ? &b->l.steps.at[b->l.steps.len - 1] : NULL;
    s.beside = before && before->kind == K_STEP_STORE && before->buf == s.buf && n_axes &&
               before->n_axes == n_axes && !before->beside &&
               memcmp(before->axes, axes, n_axes * sizeof *axes) == 0 &&
               ir_dim_is_one(ir_dim_sub(b->l.c, place, b->stored_at));
    b->stored_at = place;
    vec_push(b->l.a, &b->l.steps, s);
}

const ir_node *lower_find_family(const ir_graph *g, ir_family f)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        if (ir_op_family(ir_graph_node(g, i)->op) == f) {
            return ir_graph_node(g, i);
        }
    }
    return NULL;
}
