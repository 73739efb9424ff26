/* Element types of tensors: what numbers mean. How parameters are kept is storage.h. */
#ifndef AIGC_IR_DTYPE_H
#define AIGC_IR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ir_kind { IR_KIND_FLOAT, IR_KIND_INT, IR_KIND_BOOL } ir_kind;

typedef enum ir_dtype {
#define DTYPE(name, ...) IR_##name,
#include "ir/dtypes.def"
    IR_DTYPE_COUNT
} ir_dtype;

const char *ir_dtype_name(ir_dtype t);
size_t ir_dtype_bytes(ir_dtype t);
ir_kind ir_dtype_kind(ir_dtype t);
bool ir_dtype_from_name(const char *name, ir_dtype *t); /* false when there is no such type */

static inline bool ir_dtype_is_float(ir_dtype t)
{
    return ir_dtype_kind(t) == IR_KIND_FLOAT;
}

/* One element read as a double or an integer, and written with the type's rounding (to nearest
 * even; integers wrap as in two's complement; bool is x != 0). `bytes` needs no alignment. i64
 * values beyond 2^53 keep their exact value through the _i64 pair. */
double ir_dtype_load(ir_dtype t, const void *bytes, size_t index);
void ir_dtype_store(ir_dtype t, void *bytes, size_t index, double value);
int64_t ir_dtype_load_i64(ir_dtype t, const void *bytes, size_t index);
void ir_dtype_store_i64(ir_dtype t, void *bytes, size_t index, int64_t value);

#endif
