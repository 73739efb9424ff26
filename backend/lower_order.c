/* Kernels whose elements follow each other along one axis, or meet at places that data says:
 * running sums, sorting, scattering. */
#include "backend/lower_building.h"

void lower_scan(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    const ir_type *t = ir_node_type(root);
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0), n_outer = 0;
    const k_axis *outer[IR_MAX_RANK], *axis = NULL;
    const ir_dim *index[IR_MAX_RANK];
    lower_begin_nest(b);
    for (uint32_t i = 0; i < t->rank; i++) {
        const k_axis *a = lower_axis(&b->l, t->dims[i], &index[i]);
        if (i == along) {
            axis = a;
        } else {
            outer[n_outer++] = a;
        }
    }
    ir_dtype acc = lower_acc(t->dtype);
    k_step s = {.kind = K_STEP_SCAN,
                .n_axes = 1,
                .axes = arena_copy(b->l.a, &axis, sizeof axis),
                .op = IR_OP_reduce_sum,
                .value =
                    lower_cast(&b->l, lower_value(&b->l, &b->scope, root->in[0], index, NULL), acc),
                .acc = acc,
                .buf = b->results[0],
                .offset = lower_index(&b->l, lower_linear(&b->l, t, index)),
                .reverse = ir_node_int(root, IR_ATTR_reverse, 0) != 0,
                .exclusive = ir_node_int(root, IR_ATTR_exclusive, 0) != 0};
    vec_push(b->l.a, &b->l.steps, s);
    lower_end_nest(b, n_outer, outer, -1);
}

/* dst copied, then every element of src added at its place. */
void lower_scatter(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    const ir_type *d = ir_node_type(root), *src = ir_node_type(root->in[2]);
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0);
    for (int part = 0; part < 2; part++) {
        const ir_type *t = part ? src : d;
        const k_axis *axes[IR_MAX_RANK];
        const ir_dim *index[IR_MAX_RANK], *to[IR_MAX_RANK];
        lower_begin_nest(b);
        for (uint32_t i = 0; i < t->rank; i++) {
            axes[i] = lower_axis(&b->l, t->dims[i], &index[i]);
            to[i] = index[i];
        }
        const k_expr *v = lower_value(&b->l, &b->scope, root->in[part ? 2 : 0], index, NULL);
        if (part) {
            const k_expr *id =
                lower_value(&b->l, &b->scope, root->in[1],
                            root->op == IR_OP_index_add ? &index[along] : index, NULL);
            const k_expr *size = lower_index(&b->l, d->dims[along]),
                         *zero = lower_const_i(&b->l, IR_i64, 0);
            id = lower_cast(&b->l, id, IR_i64);
            id = lower_select(&b->l, lower_binary(&b->l, IR_OP_lt, id, zero),
                              lower_binary(&b->l, IR_OP_add, id, size), id);
            id =
                lower_binary(&b->l, IR_OP_min, id,
                             lower_binary(&b->l, IR_OP_sub, size, lower_const_i(&b->l, IR_i64, 1)));
            to[along] =
                lower_opaque(&b->l, lower_binary(&b->l, IR_OP_max, id, zero), d->dims[along]);
        }
        k_step s = {.kind = K_STEP_STORE,
                    .value = v,
                    .buf = b->results[0],
                    .offset = lower_index(&b->l, lower_linear(&b->l, d, to)),
                    .add = part == 1};
        vec_push(b->l.a, &b->l.steps, s);
        lower_end_nest(b, t->rank, axes, -1);
    }
}

void lower_sort(building *b)
{
    const ir_node *root = ir_graph_output(b->body, 0)->node;
    root = root->op == IR_OP_get ? root->in[0] : root;
    const ir_type *t = ir_node_type(root->in[0]), *out = root->types[0];
    uint32_t along = (uint32_t)ir_node_int(root, IR_ATTR_axis, 0), n_outer = 0;
    k_sort *s = arena_new(b->l.a, k_sort);
    const k_axis *outer[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK], *to[IR_MAX_RANK];
    lower_begin_nest(b);
    for (uint32_t i = 0; i < t->rank; i++) {
        const k_axis *a = lower_axis(&b->l, t->dims[i], &index[i]);
        to[i] = index[i];
        if (i == along) {
            s->axis = a;
        } else {
            outer[n_outer++] = a;
        }
    }
    s->out_axis = lower_axis(&b->l, out->dims[along], &to[along]);
    s->n_outer = n_outer;
    s->outer = arena_copy(b->l.a, outer, n_outer * sizeof *outer);
    s->key = lower_value(&b->l, &b->scope, root->in[0], index, NULL);
    s->descending = ir_node_int(root, IR_ATTR_descending, root->op == IR_OP_topk) != 0;
    s->split = -1;
    const k_expr *at = lower_index(&b->l, lower_linear(&b->l, out, to));
    if (root->op != IR_OP_argsort) {
        s->values = b->results[0];
        s->values_offset = at;
    }
    if (root->op != IR_OP_sort) {
        s->indices = b->results[root->op == IR_OP_topk];
        s->indices_offset = at;
    }
    b->sort = s;
}
