/* The interpreter: operands of products, rounded as the node's `math` says (docs/ir.md). */
#include "ir/eval_impl.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };

static void round_bf16(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        ir_dtype_store(IR_bf16, &h, 0, x[i]);
        x[i] = ir_dtype_load(IR_bf16, &h, 0);
    }
}

/* n values, a step apart, share one scale: the largest becomes 127. */
static void round_block(double *x, int64_t n, int64_t step)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(x[i * step]));
    }
    double d = most / 127;
    for (int64_t i = 0; i < n && d > 0; i++) {
        x[i * step] = d * nearbyint(x[i * step] / d);
    }
}

/* Blocks of 32 along one axis. */
static void round_q8(double *x, const ir_tensor *t, uint32_t axis)
{
    int64_t steps[IR_MAX_RANK], before = 1;
    eval_strides(t, steps);
    for (uint32_t i = 0; i < axis; i++) {
        before *= t->dims[i];
    }
    int64_t step = steps[axis], size = t->dims[axis];
    for (int64_t b = 0; b < before; b++) {
        for (int64_t r = 0; r < step; r++) {
            for (int64_t k = 0; k < size; k += BLOCK) {
                int64_t n = size - k < BLOCK ? size - k : BLOCK;
                round_block(x + (b * size + k) * step + r, n, step);
            }
        }
    }
}

void eval_round_operand(const ir_node *n, uint32_t operand, const ir_tensor *t, double *x)
{
    const char *math = ir_node_str(n, IR_ATTR_math);
    if (!math) {
        return;
    }
    if (strcmp(math, "bf16") == 0) {
        int64_t count = 1;
        for (uint32_t i = 0; i < t->rank; i++) {
            count *= t->dims[i];
        }
        round_bf16(x, count);
    } else if (operand == 0) { /* q8: the axis that is summed over */
        const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
        for (uint32_t i = 0; i < t->rank; i++) {
            if (!strchr(labels->strs[2], labels->strs[0][i])) {
                round_q8(x, t, i);
            }
        }
    }
}
