#include "ir/op.h"

#include <math.h>
#include <string.h>

static const char *const family_names[] = {
    [IR_FAMILY_ELEMENTWISE] = "elementwise",
    [IR_FAMILY_LEAF] = "leaf",
    [IR_FAMILY_MOVE] = "move",
    [IR_FAMILY_SCATTER] = "scatter",
    [IR_FAMILY_REDUCE] = "reduce",
    [IR_FAMILY_SCAN] = "scan",
    [IR_FAMILY_SORT] = "sort",
    [IR_FAMILY_CONTRACT] = "contract",
    [IR_FAMILY_CONV] = "conv",
    [IR_FAMILY_POOL] = "pool",
    [IR_FAMILY_NORM] = "norm",
    [IR_FAMILY_ATTENTION] = "attention",
    [IR_FAMILY_STRUCTURE] = "structure",
};

static const struct {
    const char *name;
    int n_in;
    ir_family family;
    uint32_t traits;
} ops[IR_OP_COUNT] = {
#define UNARY(name, traits, f, i)                                                                  \
    {#name, 1, IR_FAMILY_ELEMENTWISE, (traits) | IR_BROADCASTS | IR_UNARY},
#define BINARY(name, traits, f, i)                                                                 \
    {#name, 2, IR_FAMILY_ELEMENTWISE, (traits) | IR_BROADCASTS | IR_BINARY},
#define OP(name, in, family, traits, infer, eval) {#name, in, IR_FAMILY_##family, traits},
#include "ir/ops.def"
};

const char *ir_op_name(ir_op op)
{
    return ops[op].name;
}

bool ir_op_from_name(const char *name, ir_op *op)
{
    for (int i = 0; i < IR_OP_COUNT; i++) {
        if (strcmp(ops[i].name, name) == 0) {
            *op = (ir_op)i;
            return true;
        }
    }
    return false;
}

ir_family ir_op_family(ir_op op)
{
    return ops[op].family;
}

const char *ir_family_name(ir_family f)
{
    return family_names[f];
}

const char *ir_op_kernel_family(ir_op op)
{
    switch (ir_op_family(op)) {
    case IR_FAMILY_REDUCE:
    case IR_FAMILY_NORM:
        return "reduce";
    case IR_FAMILY_CONTRACT:
        return "contract";
    case IR_FAMILY_ATTENTION:
        return "attention";
    case IR_FAMILY_CONV:
        return "conv";
    case IR_FAMILY_POOL:
        return "pool";
    case IR_FAMILY_SCAN:
        return "scan";
    case IR_FAMILY_SORT:
        return "sort";
    case IR_FAMILY_SCATTER:
        return "scatter";
    default:
        return "map";
    }
}

uint32_t ir_op_traits(ir_op op)
{
    return ops[op].traits;
}

int ir_op_n_in(ir_op op)
{
    return ops[op].n_in;
}

/* Meanings used by the table. Integers wrap as in two's complement. -----------------------------
 */

static int64_t ir_wrap_neg(int64_t x)
{
    return (int64_t)(0 - (uint64_t)x);
}
static int64_t ir_wrap_add(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x + (uint64_t)y);
}
static int64_t ir_wrap_sub(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x - (uint64_t)y);
}
static int64_t ir_wrap_mul(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x * (uint64_t)y);
}
static int64_t ir_floor_div(int64_t x, int64_t y)
{
    if (y == 0) {
        return 0;
    }
    if (y == -1) {
        return ir_wrap_neg(x);
    }
    return x / y - (x % y != 0 && (x < 0) != (y < 0));
}
static int64_t ir_floor_mod(int64_t x, int64_t y)
{
    return y == 0 ? 0 : ir_wrap_sub(x, ir_wrap_mul(ir_floor_div(x, y), y));
}
static double ir_float_mod(double x, double y)
{
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
static double ir_float_max(double x, double y)
{
    return x != x || y != y ? NAN : x > y ? x : y;
}
static double ir_float_min(double x, double y)
{
    return x != x || y != y ? NAN : x < y ? x : y;
}

#define NA 0
#define OP(...)
#define UNARY(name, traits, f, i)                                                                  \
    static double name##_f64(double x, double y)                                                   \
    {                                                                                              \
        (void)x, (void)y;                                                                          \
        return (double)(f);                                                                        \
    }                                                                                              \
    static int64_t name##_i64(int64_t x, int64_t y)                                                \
    {                                                                                              \
        (void)x, (void)y;                                                                          \
        return (int64_t)(i);                                                                       \
    }
#define BINARY UNARY
#include "ir/ops.def"

static const struct {
    double (*f64)(double, double);
    int64_t (*i64)(int64_t, int64_t);
} scalars[IR_OP_COUNT] = {
#define UNARY(name, ...)  [IR_OP_##name] = {name##_f64, name##_i64},
#define BINARY(name, ...) [IR_OP_##name] = {name##_f64, name##_i64},
#define OP(...)
#include "ir/ops.def"
};

double ir_op_eval_f64(ir_op op, double x, double y)
{
    return scalars[op].f64 ? scalars[op].f64(x, y) : NAN;
}

int64_t ir_op_eval_i64(ir_op op, int64_t x, int64_t y)
{
    return scalars[op].i64 ? scalars[op].i64(x, y) : 0;
}
