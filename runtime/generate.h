/* The decoding loop of a model's `generate`: tokens in, one token out a turn. */
#ifndef AIGC_RUNTIME_GENERATE_H
#define AIGC_RUNTIME_GENERATE_H

#include "runtime/aigc.h"
#include "runtime/sample.h"

typedef struct aigc_generator aigc_generator;

/* For model->generates[number], of kind autoregressive. Everything it needs is allocated here, the
 * context's arena grown. */
AIGC_MUST_CHECK aigc_status aigc_generator_create(aigc_context *c, uint32_t number,
                                                  const aigc_sampling *s, uint64_t seed,
                                                  aigc_generator **out, aigc_error *err);
void aigc_generator_destroy(aigc_generator *g);
/* Takes in a text, from an empty cache. Most tokens it may have: aigc_generator_context. */
AIGC_MUST_CHECK aigc_status aigc_generator_begin(aigc_generator *g, const int32_t *ids, int64_t n,
                                                 aigc_error *err);
/* The next token, which is taken in too. AIGC_ERR_BOUND when the context is full. */
AIGC_MUST_CHECK aigc_status aigc_generator_next(aigc_generator *g, int32_t *id, aigc_error *err);
int64_t aigc_generator_context(
    const aigc_generator *g); /* most tokens of a text; INT64_MAX when it slides */
/* Logits the last token was chosen from: [*n]. */
const float *aigc_generator_logits(const aigc_generator *g, int64_t *n);

#endif
