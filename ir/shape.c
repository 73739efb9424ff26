#include "ir/ctx.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const ir_type *ir_type_get(ir_ctx *c, ir_dtype t, uint32_t rank, const ir_dim *const *dims)
{
    assert(rank <= IR_MAX_RANK);
    uint64_t h = hash_combine((uint64_t)t, rank);
    for (uint32_t i = 0; i < rank; i++) {
        h = hash_combine(h, dims[i]->id);
    }
    for (const ir_chain *k = map_get(c->types, h); k; k = k->next) {
        const ir_type *x = k->item;
        if (x->dtype == t && x->rank == rank &&
            (rank == 0 || memcmp(x->dims, dims, rank * sizeof *dims) == 0)) {
            return x;
        }
    }
    ir_type *x = arena_new(c->a, ir_type);
    x->id = c->n_types++;
    x->dtype = t;
    x->rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        x->dims[i] = dims[i];
    }
    ir_chain_add(c->a, c->types, h, x);
    return x;
}

const ir_type *ir_type_scalar(ir_ctx *c, ir_dtype t)
{
    return ir_type_get(c, t, 0, NULL);
}

const ir_type *ir_type_with_dtype(ir_ctx *c, const ir_type *t, ir_dtype dtype)
{
    return ir_type_get(c, dtype, t->rank, t->dims);
}

const ir_dim *ir_type_elems(ir_ctx *c, const ir_type *t)
{
    return ir_dim_product(c, t->dims, t->rank);
}

const ir_dim *ir_type_bytes(ir_ctx *c, const ir_type *t)
{
    return ir_dim_scale(c, ir_type_elems(c, t), (int64_t)ir_dtype_bytes(t->dtype));
}

bool ir_type_same_shape(const ir_type *a, const ir_type *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->dims, b->dims, a->rank * sizeof *a->dims) == 0);
}

const char *ir_type_text(ir_ctx *c, const ir_type *t)
{
    char few[256];
    size_t n = 0, cap = sizeof few;
    const char *texts[IR_MAX_RANK];
    n += strlen(ir_dtype_name(t->dtype)) + 3;
    for (uint32_t i = 0; i < t->rank; i++) {
        texts[i] = ir_dim_text(c, t->dims[i]);
        n += strlen(texts[i]) + 2;
    }
    char *room = n <= cap ? few : arena_alloc(c->a, n);
    cap = n <= cap ? cap : n;
    n = (size_t)snprintf(room, cap, "%s[", ir_dtype_name(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++) {
        n += (size_t)snprintf(room + n, cap - n, "%s%s", i ? ", " : "", texts[i]);
    }
    snprintf(room + n, cap - n, "]");
    return intern(c->names, room);
}
