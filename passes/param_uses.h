/* How the entries of a module read its parameters: what layout and quantize decide by. Parameters
 * that loops capture are seen through. */
#ifndef AIGC_PASSES_PARAM_USES_H
#define AIGC_PASSES_PARAM_USES_H

#include "ir/module.h"

/* Products here are those that panels serve: the parameter has two axes, one summed over, the other
 * the result's last and not the other operand's. */
typedef struct param_use {
    const ir_param *param;
    uint32_t products, bf16; /* bf16: of them, so many are of bf16 */
    uint32_t takes;          /* rows picked by an index (an embedding) */
    uint32_t convs;          /* weights of convolutions without groups */
    bool other;              /* it is read in some other way, or in both ways round */
    bool transposed;         /* [K, N], K summed over; the weights of a transposed convolution */
} param_use;

/* [n_params], in the arena. All entries must be at stage TENSOR. */
param_use *param_uses_of(const ir_module *m, arena *a);

#endif
