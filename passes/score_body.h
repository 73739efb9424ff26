/* The function that an attention applies to its scores, taken out of the graph around it. */
#ifndef AIGC_PASSES_SCORE_BODY_H
#define AIGC_PASSES_SCORE_BODY_H

#include "passes/rewrite.h"

enum { SCORE_MOST_EXTRAS = 16 };

typedef struct score_body {
    ir_graph *graph; /* inputs: the score, then the extras; output: what goes into softmax */
    uint32_t n_extras;
    const ir_node *extras[SCORE_MOST_EXTRAS]; /* nodes of the graph around it */
} score_body;

/* scores: the product of queries and keys; top: what softmax takes, made of it. What is as large as
 * the scores and can be made element by element goes into the body, as do counters and constants
 * (masks, distances); other values become extras. False when there would be too many. */
bool score_body_create(ir_ctx *c, const ir_node *scores, const ir_node *top, arena *scratch,
                       score_body *out);

#endif
