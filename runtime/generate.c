#include "runtime/generate.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 128, MOST_DIMS = 128, MOST_TENSORS = 64 };

struct aigc_generator {
    aigc_context *c;
    const aigc_abi_generate *how;
    aigc_sampling sampling;
    uint64_t random;
    int32_t *tokens; /* of the text: all of it with a cache, else the last `context` */
    int64_t n, room;
    int64_t taken; /* tokens the cache holds */
    bool stale;    /* logits are not those after the last token */
    int64_t chunk, vocab;
    float *logits; /* of the last call; the last row is at `row` */
    int64_t row;
    aigc_candidate *work;
};

static bool cached(const aigc_generator *g)
{
    return g->how->pos_dim >= 0;
}

/* One call of the entry with n tokens after `at`. */
static aigc_status step(aigc_generator *g, const int32_t *tokens, int64_t n, int64_t at,
                        aigc_error *err)
{
    const aigc_abi_entry *e = &aigc_context_model(g->c)->entries[g->how->entry];
    int64_t dims[MOST_DIMS] = {0}, arena;
    aigc_tensor arg = {.data = (void *)(uintptr_t)tokens,
                       .dtype = AIGC_I32,
                       .rank = 1,
                       .dims = {n}},
                result = {.data = g->logits};
    (void)e;
    if (cached(g)) {
        dims[g->how->pos_dim] = at;
    }
    aigc_status s =
        aigc_call_sizes(g->c, (uint32_t)g->how->entry, dims, &arg, 1, &result, 1, &arena);
    if (s == AIGC_OK) {
        int64_t last = result.rank ? result.dims[result.rank - 1] : 0,
                all = aigc_tensor_bytes(AIGC_F32, result.rank, result.dims) / 4;
        if (last != g->vocab || all > g->vocab * g->chunk || all < last) {
            return aigc_fail(err, AIGC_ERR_SHAPE, "%s gives logits of an unexpected size", e->name);
        }
        g->row = all - last;
        s = aigc_reserve(g->c, arena);
    }
    if (s == AIGC_OK) {
        s = aigc_call(g->c, (uint32_t)g->how->entry, dims, &arg, 1, &result, 1);
    }
    return s == AIGC_OK ? s : aigc_fail(err, s, "%s", aigc_error_message(g->c));
}

static aigc_status check_entry(const aigc_abi_model *m, const aigc_abi_generate *how,
                               aigc_error *err)
{
    if (how->kind != AIGC_GENERATE_AUTOREGRESSIVE || how->entry < 0 ||
        (uint32_t)how->entry >= m->n_entries) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "generate %s is not autoregressive", how->name);
    }
    const aigc_abi_entry *e = &m->entries[how->entry];
    bool fits = e->n_args == 1 && e->args[0].dtype == AIGC_I32 && e->args[0].rank == 1 &&
                e->n_results == 1 && e->results[0].dtype == AIGC_F32 && e->results[0].rank >= 1 &&
                e->results[0].rank <= 2 && (int32_t)e->n_dim_args > how->pos_dim &&
                e->n_dim_args == (how->pos_dim >= 0 ? 1u : 0u);
    return fits ? AIGC_OK
                : aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                            "generate %s: entry %s must take tokens i32[T] (and a dim, the "
                            "position) and give logits f32[vocab] or f32[T, vocab]",
                            how->name, e->name);
}

aigc_status aigc_generator_create(aigc_context *c, uint32_t number, const aigc_sampling *s,
                                  uint64_t seed, aigc_generator **out, aigc_error *err)
{
    const aigc_abi_model *m = aigc_context_model(c);
    *out = NULL;
    if (number >= m->n_generates) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "model %s has no `generate`", m->name);
    }
    const aigc_abi_generate *how = &m->generates[number];
    aigc_status status = check_entry(m, how, err);
    if (status != AIGC_OK) {
        return status;
    }
    const aigc_abi_tensor *result = &m->entries[how->entry].results[0];
    aigc_generator *g = calloc(1, sizeof *g);
    if (!g) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    *g = (aigc_generator){.c = c, .how = how, .sampling = *s, .random = seed};
    g->room = how->context > 0 && how->context < (int64_t)1 << 24 ? how->context : 1 << 16;
    g->chunk = !cached(g) ? g->room : g->room < CHUNK ? g->room : CHUNK;
    g->vocab = result->fixed_dims[result->rank - 1];
    bool known = g->vocab > 0 && g->vocab < (int64_t)1 << 31;
    int64_t rows = result->rank == 2 ? g->chunk : 1;
    g->tokens = malloc((size_t)g->room * sizeof *g->tokens);
    g->logits = known ? malloc((size_t)(rows * g->vocab) * sizeof *g->logits) : NULL;
    g->work = known ? malloc((size_t)g->vocab * sizeof *g->work) : NULL;
    if (!g->tokens || !g->logits || !g->work) {
        aigc_generator_destroy(g);
        return aigc_fail(err, known ? AIGC_ERR_MEMORY : AIGC_ERR_UNSUPPORTED,
                         known ? "out of memory" : "the number of logits must be known");
    }
    *out = g;
    return AIGC_OK;
}

void aigc_generator_destroy(aigc_generator *g)
{
    if (g) {
        free(g->tokens);
        free(g->logits);
        free(g->work);
        free(g);
    }
}

int64_t aigc_generator_context(const aigc_generator *g)
{
    return cached(g) ? g->room : INT64_MAX;
}

const float *aigc_generator_logits(const aigc_generator *g, int64_t *n)
{
    *n = g->vocab;
    return g->logits + g->row;
}

static void append(aigc_generator *g, int32_t id)
{
    if (g->n == g->room) { /* without a cache the text slides */
        memmove(g->tokens, g->tokens + 1, (size_t)(g->n - 1) * sizeof *g->tokens);
        g->n--;
    }
    g->tokens[g->n++] = id;
}

/* The model sees what it has not seen yet. */
static aigc_status take_in(aigc_generator *g, aigc_error *err)
{
    g->stale = false;
    if (!cached(g)) {
        return step(g, g->tokens, g->n, 0, err);
    }
    aigc_status s = AIGC_OK;
    while (s == AIGC_OK && g->taken < g->n) {
        int64_t n = g->n - g->taken < g->chunk ? g->n - g->taken : g->chunk;
        s = step(g, g->tokens + g->taken, n, g->taken, err);
        g->taken += s == AIGC_OK ? n : 0;
    }
    return s;
}

aigc_status aigc_generator_begin(aigc_generator *g, const int32_t *ids, int64_t n, aigc_error *err)
{
    if (n < 1) {
        return aigc_fail(
            err, AIGC_ERR_ARGUMENT,
            "there must be a first token: the text is empty, and the tokenizer has no bos");
    }
    if (n > aigc_generator_context(g)) {
        return aigc_fail(err, AIGC_ERR_BOUND,
                         "the text has %lld tokens, the model's context is %lld", (long long)n,
                         (long long)g->room);
    }
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= g->vocab) {
            return aigc_fail(err, AIGC_ERR_ARGUMENT,
                             "token %d is none of the model's %lld: is this the model's tokenizer?",
                             ids[i], (long long)g->vocab);
        }
    }
    aigc_context_reset(g->c);
    g->n = g->taken = 0;
    for (int64_t i = 0; i < n; i++) {
        append(g, ids[i]);
    }
    return take_in(g, err);
}

aigc_status aigc_generator_next(aigc_generator *g, int32_t *id, aigc_error *err)
{
    aigc_status s = g->stale ? take_in(g, err) : AIGC_OK;
    if (s != AIGC_OK) {
        return s;
    }
    *id = aigc_sample(&g->sampling, g->logits + g->row, g->vocab, g->tokens, g->n, g->work,
                      &g->random);
    if (cached(g) && g->n == g->room) {
        return aigc_fail(err, AIGC_ERR_BOUND, "the model's context of %lld tokens is full",
                         (long long)g->room);
    }
    append(g, *id);
    g->stale = true; /* the model sees it when one more is asked for */
    return AIGC_OK;
}
