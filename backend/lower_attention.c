/* A kernel of attention. */
#include "backend/lower_building.h"

#include <string.h>

/* The index of an operand of attention: its batch axes broadcast, then its own two. */
static const k_expr *attention_operand(building *b, const ir_node *x, uint32_t n_batch,
                                       const ir_dim *const *batch, const ir_dim *row,
                                       const ir_dim *col)
{
    const ir_type *t = ir_node_type(x);
    const ir_dim *index[IR_MAX_RANK];
    for (uint32_t i = 0; i + 2 < t->rank; i++) {
        index[i] = ir_dim_is_one(t->dims[i]) ? ir_dim_const(b->l.c, 0)
                                             : batch[n_batch - (t->rank - 2) + i];
    }
    index[t->rank - 2] = row;
    index[t->rank - 1] = col;
    return lower_cast(&b->l, lower_value(&b->l, &b->scope, x, index, NULL), IR_f32);
}

/* Which of attention's axes is split: the domain is what is stored, maybe transposed. */
static int attention_split(const building *b, const ir_dim *const *index,
                           const ir_dim *const *place)
{
    for (int i = 0; b->split >= 0 && i < IR_MAX_RANK && index[i]; i++) {
        if (index[i] == place[b->split]) {
            return i;
        }
    }
    return b->split;
}

void lower_attention(building *b)
{
    const ir_node *n = lower_find_family(b->body, IR_FAMILY_ATTENTION);
    const ir_type *t = ir_node_type(n), *q = ir_node_type(n->in[0]), *k = ir_node_type(n->in[1]);
    k_attention *at = arena_new(b->l.a, k_attention);
    const k_axis *batch[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK] = {NULL}, *stored[IR_MAX_RANK], *domain[IR_MAX_RANK], *j, *d;
    lower_begin_nest(b);
    uint32_t n_batch = t->rank - 2;
    for (uint32_t i = 0; i < n_batch; i++) {
        batch[i] = lower_axis(&b->l, t->dims[i], &index[i]);
    }
    at->n_batch = n_batch;
    at->batch = arena_copy(b->l.a, batch, n_batch * sizeof *batch);
    at->i = lower_axis(&b->l, t->dims[n_batch], &index[n_batch]);
    at->dv = lower_axis(&b->l, t->dims[n_batch + 1], &index[n_batch + 1]);
    at->j = lower_axis(&b->l, k->dims[k->rank - 2], &j);
    at->d = lower_axis(&b->l, q->dims[q->rank - 1], &d);
    at->q = attention_operand(b, n->in[0], n_batch, index, index[n_batch], d);
    at->k = attention_operand(b, n->in[1], n_batch, index, j, d);
    at->v = attention_operand(b, n->in[2], n_batch, index, j, index[n_batch + 1]);
    at->scale = ir_node_float(n, IR_ATTR_scale, 1);
    const char *math = ir_node_str(n, IR_ATTR_math);
    at->bf16 = math && strcmp(math, "bf16") == 0;
    at->score = lower_hole(&b->l, IR_f32);
    if (n->n_bodies) {
        lower_scope score = {.body = n->bodies[0], .outside = &b->scope, .owner = n};
        const ir_dim *place[IR_MAX_RANK];
        memcpy(place, index, sizeof place);
        place[n_batch + 1] = j;
        at->score = lower_cast(
            &b->l, lower_value(&b->l, &score, ir_graph_output(n->bodies[0], 0)->node, place, NULL),
            IR_f32);
    }
    const ir_attr *causal = ir_node_attr(n, IR_ATTR_causal),
                  *reach = ir_node_attr(n, IR_ATTR_reach);
    at->causal = causal ? causal->dim : NULL;
    at->reach = reach ? reach->dim : NULL;
    b->scope.hole = n;
    lower_target to = lower_target_of(b, 0);
    lower_place_in(b, to.value, n, index, stored);
    lower_place_in(b, to.domain, n, index, domain);
    at->out = lower_cast(&b->l, lower_value(&b->l, &b->scope, to.value, stored, NULL),
                         b->results[0]->dtype);
    at->buf = b->results[0];
    at->offset = lower_index(&b->l, lower_target_place(b, &to, stored));
    at->split = attention_split(b, index, domain);
    at->grain = b->grain;
    b->attention = at;
}
