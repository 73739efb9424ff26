/* Products whose columns are kept by groups: sums first, then the stores that are made of them. */
#include "backend/lower_building.h"
#include "passes/access.h"

static k_keep *new_keep(building *b, int64_t group)
{
    k_keep *keep = arena_new(b->l.a, k_keep);
    k_buf *buf = arena_new(b->l.a, k_buf);
    const ir_dim *size = ir_dim_const(b->l.c, group);
    *buf = (k_buf){.name = "keep",
                   .dtype = IR_f32,
                   .storage = ir_storage_of_dtype(IR_f32),
                   .type = ir_type_get(b->l.c, IR_f32, 1, &size),
                   .access = K_READ_WRITE,
                   .layout = intern(ir_ctx_names(b->l.c), "rows"),
                   .disjoint = true};
    *keep = (k_keep){.buf = buf, .group = group};
    vec_push(b->l.a, &b->keeps, buf);
    return keep;
}

/* A part of the result that is stored by a step of its own: so much of the last axis. */
typedef struct result_part {
    int64_t begin, size;
} result_part;

enum { MOST_STORES = 8 };

/* The result's parts along its last axis: of a concat, whatever is done to its elements then, those
 * that it puts together. */
static uint32_t find_parts(const ir_node *value, result_part *parts)
{
    while (ir_op_family(value->op) == IR_FAMILY_ELEMENTWISE && value->n_in == 1) {
        value = value->in[0];
    }
    uint32_t rank = ir_node_type(value)->rank, n = 0;
    int64_t begin = 0;
    bool several = value->op == IR_OP_concat && value->n_in <= MOST_STORES &&
                   ir_node_int(value, IR_ATTR_axis, 0) + 1 == (int64_t)rank;
    for (; several && n < value->n_in; n++) {
        const ir_dim *size = ir_node_type(value->in[n])->dims[rank - 1];
        several = ir_dim_is_const(size);
        parts[n] = (result_part){begin, several ? ir_dim_value(size) : 0};
        begin += parts[n].size;
    }
    return several ? n : 0;
}

/* A product whose columns are kept by groups: a point of the nest is a row of a group. */
void lower_groups(building *b, int64_t group)
{
    arena *scratch = arena_create();
    access w;
    access_domain d;
    int groups, split = -1;
    uint32_t outside, n_outer = 0, n_inner = 0;
    access_init(&w, scratch, b->l.c);
    access_kernel(&w, b->node, &d);
    access_groups(b->l.c, b->node, &d, &groups, &outside);
    arena_destroy(scratch);
    lower_target t = lower_target_of(b, 0);
    const ir_type *full = ir_node_type(t.domain);
    const k_axis *outer[IR_MAX_RANK], *inner[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK];
    result_part parts[MOST_STORES];
    uint32_t n_parts = find_parts(t.domain, parts), rank = full->rank;
    lower_begin_nest(b);
    k_keep *keep = b->l.keep = new_keep(b, group);
    b->l.group = ir_dim_const(b->l.c, 0);
    for (uint32_t i = 0; i < rank - (n_parts > 0); i++) {
        const k_axis *axis = lower_axis(&b->l, full->dims[i], &index[i]);
        if (!(outside >> i & 1)) {
            inner[n_inner++] = axis;
            continue;
        }
        split = b->split == (int)i ? (int)n_outer : split;
        outer[n_outer++] = axis;
        if (groups == (int)i) {
            keep->groups = axis;
            b->l.group = index[i];
        }
    }
    for (uint32_t p = 0; p < n_parts; p++) { /* a part of one place needs no axis */
        const ir_dim *at = ir_dim_const(b->l.c, 0);
        bool wide = parts[p].size != 1;
        if (wide) {
            inner[n_inner] = lower_axis(&b->l, ir_dim_const(b->l.c, parts[p].size), &at);
        }
        index[rank - 1] = ir_dim_offset(b->l.c, at, parts[p].begin);
        lower_add_store(b, 0, &t, index, n_inner + wide, inner);
    }
    if (n_parts == 0) {
        lower_add_store(b, 0, &t, index, n_inner, inner);
    }
    lower_end_nest(b, n_outer, outer, split);
    b->nests.at[b->nests.len - 1].keep = keep;
    b->l.keep = NULL;
}
