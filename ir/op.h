/* Questions asked of the op table (ops.def). */
#ifndef AIGC_IR_OP_H
#define AIGC_IR_OP_H

#include <stdbool.h>
#include <stdint.h>

typedef enum ir_family {
    IR_FAMILY_ELEMENTWISE,
    IR_FAMILY_LEAF,
    IR_FAMILY_MOVE,
    IR_FAMILY_SCATTER,
    IR_FAMILY_REDUCE,
    IR_FAMILY_SCAN,
    IR_FAMILY_SORT,
    IR_FAMILY_CONTRACT,
    IR_FAMILY_CONV,
    IR_FAMILY_POOL,
    IR_FAMILY_NORM,
    IR_FAMILY_ATTENTION,
    IR_FAMILY_STRUCTURE,
} ir_family;

typedef enum ir_op {
#define UNARY(name, ...)  IR_OP_##name,
#define BINARY(name, ...) IR_OP_##name,
#define OP(name, ...)     IR_OP_##name,
#include "ir/ops.def"
    IR_OP_COUNT
} ir_op;

enum ir_trait {
    IR_COMMUTES = 1 << 0,
    IR_BROADCASTS = 1 << 1,
    IR_FLOAT_ONLY = 1 << 2, /* operands are floats */
    IR_INT_ONLY = 1 << 3,
    IR_BOOL_ONLY = 1 << 4,
    IR_NUMERIC = 1 << 5, /* floats or integers */
    IR_ANY = 1 << 6,
    IR_TO_BOOL = 1 << 7, /* the result is bool */
    IR_FUSED = 1 << 8,   /* a recognised composition */
    IR_UNARY = 1 << 9,   /* elementwise, one operand, same element type but for IR_TO_BOOL */
    IR_BINARY = 1 << 10,
};

const char *ir_op_name(ir_op op);
bool ir_op_from_name(const char *name, ir_op *op);
ir_family ir_op_family(ir_op op);
const char *ir_family_name(ir_family f);
/* The family of the kernel that an op makes when it is the main one: "map" "reduce" "contract" ...
 */
const char *ir_op_kernel_family(ir_op op);
uint32_t ir_op_traits(ir_op op);
int ir_op_n_in(ir_op op); /* -1: any number */
static inline bool ir_op_has(ir_op op, uint32_t trait)
{
    return (ir_op_traits(op) & trait) != 0;
}
/* Scalar meaning of UNARY and BINARY rows, for folding and the interpreter. */
double ir_op_eval_f64(ir_op op, double x, double y);
int64_t ir_op_eval_i64(ir_op op, int64_t x, int64_t y);

#endif
