/* Kernels that are one nest over the domain of their results: maps, products, windows; and rows
 * that are folded. */
#include "backend/lower_building.h"

#include <string.h>

/* Does the nest's one step compute with that resize, of f32s as they lie in memory, at its place?
 */
static bool is_at_place(const k_nest *nest, const k_resize *r)
{
    bool fits = r && r->x && nest->n_steps == 1 && nest->n_outer == r->n_spatial + 2;
    for (uint32_t i = 0; fits && i < nest->n_outer; i++) {
        bool same = r->index[i]->kind == K_AXIS && r->index[i]->axis == nest->outer[i];
        fits = same || ir_dim_is_one(nest->outer[i]->extent);
    }
    return fits;
}

/* The convolution, pooling or resize that the nest just ended is, for emitters that know of them.
 */
static void note_window(building *b, ir_family family)
{
    const ir_node *n = lower_find_family(b->body, family);
    k_nest *nest = &b->nests.at[b->nests.len - 1];
    lower_target t = lower_target_of(b, 0);
    if (!n || !ir_type_same_shape(ir_node_type(n), ir_node_type(t.domain))) {
        return;
    }
    if (family == IR_FAMILY_CONV) {
        nest->conv = lower_conv(&b->l, &b->scope, n);
    } else if (n->op == IR_OP_pool && nest->n_steps == 2 && nest->steps[0].acc == IR_f32) {
        nest->pool = lower_pool(&b->l, &b->scope, n);
    } else if (n->op == IR_OP_resize && is_at_place(nest, b->l.resize)) {
        nest->resize = b->l.resize;
    }
}

enum { MOST_PARTS = 4 };

/* Is the last axis as short as the list that a concat along it puts together? Every place of it is
 * then stored by a step of its own, which chooses nothing, and lanes run along the axis before:
 * pairs of a rotation, real and imaginary parts. */
static bool is_list_of_parts(const building *b, const ir_type *t)
{
    const ir_dim *last = t->rank > 1 ? t->dims[t->rank - 1] : NULL;
    bool found = false;
    for (uint32_t i = 0; last && i < ir_graph_size(b->body); i++) {
        const ir_node *n = ir_graph_node(b->body, i);
        uint32_t rank = n->n_results ? ir_node_type(n)->rank : 0;
        found |= n->op == IR_OP_concat && ir_node_int(n, IR_ATTR_axis, 0) + 1 == (int64_t)rank &&
                 ir_node_type(n)->dims[rank - 1] == last;
    }
    return found && ir_dim_is_const(last) && ir_dim_value(last) > 1 &&
           ir_dim_value(last) <= MOST_PARTS && b->split + 1 != (int)t->rank;
}

/* map, contract, conv, pool: all results have one domain. For maps the last axis is within the
 * STORE steps; for contractions all axes are outside. */
void lower_nest(building *b, const char *kind)
{
    uint32_t n_results = ir_graph_n_outputs(b->body);
    int64_t group = ir_node_int(b->node, IR_ATTR_group, 0);
    if (group) {
        lower_groups(b, group);
        return;
    }
    bool plain = strcmp(kind, "map") == 0;
    lower_target first = lower_target_of(b, 0);
    const ir_type *full = ir_node_type(first.domain);
    lower_begin_nest(b);
    const k_axis *outer[IR_MAX_RANK], *inner[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK];
    uint32_t n_outer = 0, n_inner = 0;
    int split = -1;
    uint32_t rank = full->rank;
    int64_t parts = 1;
    if (plain && is_list_of_parts(b, full)) {
        parts = ir_dim_value(full->dims[--rank]);
    }
    for (uint32_t i = 0; i < rank; i++) {
        const k_axis *axis = lower_axis(&b->l, full->dims[i], &index[i]);
        if (plain && i + 1 == rank) {
            inner[n_inner++] = axis;
        } else {
            split = b->split == (int)i ? (int)n_outer : split;
            outer[n_outer++] = axis;
        }
    }
    /* A split along the innermost axis of a map: that axis goes outside as a whole. */
    if (plain && b->split >= 0 && split < 0 && n_inner) {
        split = (int)n_outer;
        outer[n_outer++] = inner[0];
        n_inner = 0;
    }
    for (int64_t part = 0; part < parts; part++) {
        if (rank < full->rank) {
            index[rank] = ir_dim_const(b->l.c, part);
        }
        for (uint32_t r = 0; r < n_results; r++) {
            lower_target t = lower_target_of(b, r);
            lower_add_store(b, r, &t, index, n_inner, inner);
        }
    }
    lower_end_nest(b, n_outer, outer, split);
    if (strcmp(kind, "conv") == 0) {
        note_window(b, IR_FAMILY_CONV);
    } else if (strcmp(kind, "pool") == 0) {
        note_window(b, IR_FAMILY_POOL);
    }
}

static const ir_node *find_rows(const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        ir_family f = ir_op_family(ir_graph_node(g, i)->op);
        if (f == IR_FAMILY_REDUCE || f == IR_FAMILY_NORM) {
            return ir_graph_node(g, i);
        }
    }
    return NULL;
}

static uint32_t row_axes(const ir_node *n)
{
    uint32_t mask = 0;
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *axis = ir_node_attr(n, IR_ATTR_axis);
    for (uint32_t k = 0; axes && k < axes->n; k++) {
        mask |= 1u << axes->ints[k];
    }
    return mask | (axis && !axes ? 1u << axis->i : 0);
}

/* reduce: the full shape is that of what the first reduction reads. Its kept axes are outside, and
 * `split` is one of them; its reduced axes are within the STORE steps of full-shaped results. Other
 * results have the kept axes, with or without axes of size 1 for the reduced ones. */
void lower_rows(building *b)
{
    const ir_node *rows = find_rows(b->body);
    if (!rows) {
        lower_nest(b, "map");
        return;
    }
    const ir_type *full = ir_node_type(rows->in[0]);
    uint32_t mask = row_axes(rows), n_outer = 0, n_inner = 0;
    const k_axis *outer[IR_MAX_RANK], *inner[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK], *kept[IR_MAX_RANK], *ones[IR_MAX_RANK];
    int split = -1;
    lower_begin_nest(b);
    for (uint32_t i = 0; i < full->rank; i++) {
        const k_axis *axis = lower_axis(&b->l, full->dims[i], &index[i]);
        ones[i] = mask & (1u << i) ? ir_dim_const(b->l.c, 0) : index[i];
        if (mask & (1u << i)) {
            inner[n_inner++] = axis;
        } else {
            split = b->split == (int)i ? (int)n_outer : split;
            kept[n_outer] = index[i];
            outer[n_outer++] = axis;
        }
    }
    for (uint32_t r = 0; r < ir_graph_n_outputs(b->body); r++) {
        lower_target t = lower_target_of(b, r);
        const ir_type *type = ir_node_type(t.domain);
        if (ir_type_same_shape(type, full)) {
            lower_add_store(b, r, &t, index, n_inner, inner);
        } else {
            lower_add_store(b, r, &t, type->rank == full->rank ? ones : kept, 0, NULL);
        }
    }
    lower_end_nest(b, n_outer, outer, split);
}
