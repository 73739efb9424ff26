#include "runtime/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* splitmix64: Steele, Lea & Flood, OOPSLA 2014. Uniform in [0, 1). */
static double uniform(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

static int32_t likeliest(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        if (logits[i] > logits[best] || (logits[best] != logits[best] && logits[i] == logits[i])) {
            best = i;
        }
    }
    return (int32_t)best;
}

static void penalize(float *logits, int64_t n, const int32_t *seen, int64_t n_seen, double penalty)
{
    for (int64_t i = 0; i < n_seen; i++) {
        int64_t id = seen[i];
        bool again = false;
        for (int64_t k = i > 256 ? i - 256 : 0; k < i && !again; k++) {
            again = seen[k] == id; /* once is enough */
        }
        if (!again && id >= 0 && id < n) {
            logits[id] = (float)(logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    const aigc_candidate *x = a, *y = b;
    return x->value > y->value ? -1 : x->value < y->value ? 1 : (x->id > y->id) - (x->id < y->id);
}

/* Largest first; returns how many are kept. */
static int64_t filter(const aigc_sampling *s, aigc_candidate *c, int64_t n)
{
    qsort(c, (size_t)n, sizeof *c, by_value);
    if (s->top_k > 0 && s->top_k < n) {
        n = s->top_k;
    }
    double sum = 0, so_far = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)c[i].value - (double)c[0].value);
    }
    int64_t kept = 0;
    while (kept < n) {
        double p = exp((double)c[kept].value - (double)c[0].value) / sum;
        if (kept > 0 && ((s->top_p < 1 && so_far >= s->top_p) || p * sum < s->min_p)) {
            break;
        }
        so_far += p;
        kept++;
    }
    return kept;
}

int32_t aigc_sample(const aigc_sampling *s, float *logits, int64_t n, const int32_t *seen,
                    int64_t n_seen, aigc_candidate *work, uint64_t *state)
{
    if (n_seen > 0 && s->repetition_penalty != 1 && s->repetition_penalty > 0) {
        int64_t last = n_seen < 256 ? n_seen : 256; /* of the last 256 tokens */
        penalize(logits, n, seen + n_seen - last, last, s->repetition_penalty);
    }
    if (!(s->temperature > 0)) {
        return likeliest(logits, n);
    }
    for (int64_t i = 0; i < n; i++) {
        work[i] = (aigc_candidate){logits[i] == logits[i] ? logits[i] : -INFINITY, (int32_t)i};
    }
    int64_t kept = n;
    bool all = s->top_k <= 0 && s->top_p >= 1 && s->min_p <= 0;
    if (!all) {
        kept = filter(s, work, n);
    }
    float top = work[0].value;
    for (int64_t i = 1; i < kept; i++) {
        top = work[i].value > top ? work[i].value : top;
    }
    if (isinf(top)) { /* differences from it are no numbers */
        return likeliest(logits, n);
    }
    double sum = 0;
    for (int64_t i = 0; i < kept; i++) {
        work[i].value = expf((float)(((double)work[i].value - (double)top) / s->temperature));
        sum += (double)work[i].value;
    }
    double at = uniform(state) * sum;
    for (int64_t i = 0; i < kept; i++) {
        at -= (double)work[i].value;
        if (at < 0) {
            return work[i].id;
        }
    }
    return work[kept - 1].id;
}
