/* Weights as products of bf16 read them: panels of columns of the product's result, two steps of k
 * side by side, [ceil(N / panel)][ceil(K / 2)][panel][2] of bf16. Zeros where there is no n or k. */
#ifndef AIGC_RUNTIME_PACK_PAIRS_H
#define AIGC_RUNTIME_PACK_PAIRS_H

#include "runtime/aigc.h"

/* p: a parameter of layout AIGC_LAYOUT_PAIRS; data: its elements row-major in any storage of
 * floats. out has room for aigc_param_bytes. */
void aigc_pack_pairs(const aigc_abi_param *p, uint8_t storage, const void *data, void *out);

#endif
