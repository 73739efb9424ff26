/* What the mask of an attention leaves to be seen, as hints: kernels leave out blocks of keys that
 * no query sees. */
#ifndef AIGC_PASSES_SCORE_MASK_H
#define AIGC_PASSES_SCORE_MASK_H

#include "passes/match.h"

typedef struct score_mask {
    const ir_dim *causal; /* key j is seen by query i only if j <= i + causal; NULL: not known */
    const ir_dim *reach; /* and only if j > i + causal - reach; NULL: not known, or causal is not */
} score_mask;

/* top: what goes into softmax, of shape [..., Tq, Tk]. Looks through the `where(mask, score, -inf)`
 * at its top. */
score_mask score_mask_of(ir_ctx *c, const ir_node *top);

#endif
