/* From logits to the next token. No allocation: the caller brings a workspace. */
#ifndef AIGC_RUNTIME_SAMPLE_H
#define AIGC_RUNTIME_SAMPLE_H

#include <stdint.h>

typedef struct aigc_sampling {
    double temperature;        /* 0: the likeliest token, the first of equals */
    int64_t top_k;             /* 0: all; Fan et al., arXiv:1805.04833 */
    double top_p;              /* 1: all; Holtzman et al., arXiv:1904.09751 */
    double min_p;              /* 0: all; Nguyen et al., arXiv:2407.01082 */
    double repetition_penalty; /* 1: none; Keskar et al., arXiv:1909.05858 */
} aigc_sampling;

typedef struct aigc_candidate {
    float value; /* logit, then probability */
    int32_t id;
} aigc_candidate;

/* logits: [n], changed by the repetition penalty. seen: ids of the text so far, for the penalty.
 * work: [n]. state: the random numbers', any seed to begin with. Filters apply in the order top-k,
 * top-p, min-p, on probabilities at temperature 1 as llama.cpp does; then temperature. nan counts
 * as the least likely; the first of +inf is taken. */
int32_t aigc_sample(const aigc_sampling *s, float *logits, int64_t n, const int32_t *seen,
                    int64_t n_seen, aigc_candidate *work, uint64_t *state);

#endif
