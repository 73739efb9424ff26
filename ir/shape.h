/* Types of tensors: an element type and a shape of symbolic dims. Interned: equal types are one
 * pointer. Rank is at most IR_MAX_RANK. */
#ifndef AIGC_IR_SHAPE_H
#define AIGC_IR_SHAPE_H

#include "ir/dim.h"
#include "ir/dtype.h"

enum { IR_MAX_RANK = 8 };

typedef struct ir_type {
    uint32_t id;
    ir_dtype dtype;
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK]; /* [rank], the rest NULL */
} ir_type;

const ir_type *ir_type_get(ir_ctx *c, ir_dtype t, uint32_t rank, const ir_dim *const *dims);
const ir_type *ir_type_scalar(ir_ctx *c, ir_dtype t);
const ir_type *ir_type_with_dtype(ir_ctx *c, const ir_type *t, ir_dtype dtype);
/* Product of all dims (one for a scalar). The overflow dim when it cannot fit. */
const ir_dim *ir_type_elems(ir_ctx *c, const ir_type *t);
const ir_dim *ir_type_bytes(ir_ctx *c, const ir_type *t);
bool ir_type_same_shape(const ir_type *a, const ir_type *b);
const char *ir_type_text(ir_ctx *c, const ir_type *t); /* "f32[T, 768]", "f32[]"; interned */

#endif
