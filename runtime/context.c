#include "runtime/aigc.h"
#include "runtime/threads.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, MOST_DIMS = 128, MOST_TENSORS = 64 };

struct aigc_context {
    const aigc_abi_model *m;
    const aigc_weights *w;
    aigc_pool *pool; /* NULL: one thread */
    uint32_t n_threads;
    bool all_threads;
    uint64_t seed;
    void *const *externs;
    void **states; /* within state_memory */
    void *state_memory;
    bool states_used; /* since they were cleared */
    bool states_lent; /* the caller knows where they are */
    void *arena;
    int64_t arena_bytes;
    void *scratch; /* [n_threads] pieces of m->scratch_bytes */
    void (*hook)(void *data, uint32_t kernel);
    void *hook_data;
    aigc_error error;
};

static void *aligned(int64_t bytes)
{
    size_t size = ((size_t)bytes + ALIGN - 1) / ALIGN * ALIGN;
    return aligned_alloc(ALIGN, size ? size : ALIGN);
}

/* Creation
 * ----------------------------------------------------------------------------------------- */

static const struct {
    uint32_t bit;
    const char *name;
} features[] = {
    {AIGC_CPU_AVX2_FMA,     "AVX2 and FMA"        },
    {AIGC_CPU_AVX512,       "AVX-512"             },
    {AIGC_CPU_AVX512_VNNI,  "AVX512-VNNI"         },
    {AIGC_CPU_AVX512_BF16,  "AVX512-BF16"         },
    {AIGC_CPU_AMX,          "AMX"                 },
    {AIGC_CPU_F16C,         "F16C"                },
    {AIGC_CPU_AVX_VNNI,     "AVX-VNNI"            },
    {AIGC_CPU_NEON_DOTPROD, "dot products of NEON"},
};

static aigc_status check_model(const aigc_abi_model *m, aigc_error *err)
{
    if (m->abi_version != AIGC_ABI_VERSION) {
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED,
                         "the model was compiled for version %u of the runtime, this is version %u",
                         m->abi_version, AIGC_ABI_VERSION);
    }
    uint32_t missing = m->cpu_features & ~aigc_cpu_features();
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (missing & features[i].bit) {
            return aigc_fail(err, AIGC_ERR_CPU,
                             "the model was compiled for %s, and this machine has no %s; build it "
                             "with --cpu for less",
                             m->target, features[i].name);
        }
    }
    return AIGC_OK;
}

/* One piece of cleared memory: pages that a state never reaches are never there. */
static aigc_status make_states(aigc_context *c, aigc_error *err)
{
    uint64_t total = ALIGN;
    c->states = calloc(c->m->n_states + 1, sizeof *c->states);
    if (!c->states) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < c->m->n_states; i++) {
        uint64_t bytes = c->m->states[i].size_bytes;
        if (__builtin_add_overflow(total, bytes, &total) ||
            __builtin_add_overflow(total, ALIGN, &total) || total > SIZE_MAX / 2) {
            return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for state %s (%llu bytes)",
                             c->m->states[i].name, (unsigned long long)bytes);
        }
    }
    c->state_memory = calloc(1, total);
    if (!c->state_memory) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "no memory for the states (%llu bytes)",
                         (unsigned long long)total);
    }
    char *at = c->state_memory;
    for (uint32_t i = 0; i < c->m->n_states; i++) {
        at += -(uintptr_t)at % ALIGN;
        c->states[i] = at;
        at += c->m->states[i].size_bytes;
    }
    return AIGC_OK;
}

static aigc_status make_scratch(aigc_context *c, aigc_error *err)
{
    int64_t bytes;
    if (c->m->scratch_bytes > INT64_MAX - ALIGN ||
        __builtin_mul_overflow((int64_t)c->m->scratch_bytes, (int64_t)c->n_threads, &bytes) ||
        !(c->scratch = aligned(bytes))) {
        return aigc_fail(err, AIGC_ERR_MEMORY,
                         "no memory for what %u threads work in (%llu bytes each)", c->n_threads,
                         (unsigned long long)c->m->scratch_bytes);
    }
    return AIGC_OK;
}

aigc_status aigc_context_create(const aigc_abi_model *m, const aigc_weights *w,
                                const aigc_context_options *o, aigc_context **out, aigc_error *err)
{
    aigc_context_options none = {0};
    o = o ? o : &none;
    *out = NULL;
    aigc_status s = check_model(m, err);
    if (s != AIGC_OK) {
        return s;
    }
    if (m->n_slots && !w) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT, "model %s needs weights", m->name);
    }
    if (m->n_externs && !o->externs) {
        return aigc_fail(err, AIGC_ERR_ARGUMENT,
                         "model %s needs the addresses of its extern functions", m->name);
    }
    aigc_context *c = calloc(1, sizeof *c);
    if (!c) {
        return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
    }
    *c = (aigc_context){
        .m = m, .w = w, .all_threads = o->all_threads, .seed = o->seed, .externs = o->externs};
    c->n_threads = o->n_threads ? o->n_threads : aigc_default_threads();
    s = make_states(c, err);
    if (s == AIGC_OK && c->n_threads > 1) {
        s = aigc_pool_create(c->n_threads, &c->pool);
        if (s != AIGC_OK) {
            aigc_fail(err, s, "%u threads could not be started", c->n_threads);
        }
    }
    int64_t bytes = o->arena_bytes;
    for (uint32_t i = 0; i < m->n_entries && !o->arena_bytes; i++) {
        bytes = m->entries[i].arena_bytes_max > bytes ? m->entries[i].arena_bytes_max : bytes;
    }
    if (s == AIGC_OK && bytes > 0) {
        s = aigc_reserve(c, bytes);
        if (s != AIGC_OK) {
            aigc_fail(err, s, "no memory for an arena of %lld bytes", (long long)bytes);
        }
    }
    if (s == AIGC_OK && m->scratch_bytes) {
        s = make_scratch(c, err);
    }
    if (s != AIGC_OK) {
        aigc_context_destroy(c);
        return s;
    }
    *out = c;
    return AIGC_OK;
}

void aigc_context_destroy(aigc_context *c)
{
    if (!c) {
        return;
    }
    aigc_pool_destroy(c->pool);
    free(c->state_memory);
    free(c->states);
    free(c->arena);
    free(c->scratch);
    free(c);
}

const aigc_abi_model *aigc_context_model(const aigc_context *c)
{
    return c->m;
}

void aigc_context_reset(aigc_context *c)
{
    for (uint32_t i = 0; i < c->m->n_states && (c->states_used || c->states_lent); i++) {
        memset(c->states[i], 0, c->m->states[i].size_bytes);
    }
    c->states_used = false;
}

void aigc_context_set_seed(aigc_context *c, uint64_t seed)
{
    c->seed = seed;
}

void *aigc_context_state(aigc_context *c, uint32_t state)
{
    c->states_lent = true;
    return state < c->m->n_states ? c->states[state] : NULL;
}

const char *aigc_error_message(const aigc_context *c)
{
    return c->error.text;
}

void aigc_context_profile(aigc_context *c, void (*hook)(void *data, uint32_t kernel), void *data)
{
    c->hook = hook;
    c->hook_data = data;
}

int32_t aigc_entry_find(const aigc_abi_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

aigc_status aigc_reserve(aigc_context *c, int64_t bytes)
{
    if (bytes <= c->arena_bytes) {
        return AIGC_OK;
    }
    void *bigger = bytes < (int64_t)1 << 46 ? aligned(bytes) : NULL;
    if (!bigger) {
        return aigc_fail(&c->error, AIGC_ERR_MEMORY, "no memory for an arena of %lld bytes",
                         (long long)bytes);
    }
    free(c->arena);
    c->arena = bigger;
    c->arena_bytes = bytes;
    return AIGC_OK;
}

/* Calls
 * -------------------------------------------------------------------------------------------- */

static aigc_status check_args(aigc_context *c, const aigc_abi_entry *e, const aigc_tensor *args,
                              uint32_t n_args, int64_t *sizes)
{
    if (n_args != e->n_args || n_args > MOST_TENSORS) {
        return aigc_fail(&c->error, AIGC_ERR_ARGUMENT, "%s takes %u tensors, %u are given", e->name,
                         e->n_args, n_args);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_args; i++) {
        const aigc_abi_tensor *t = &e->args[i];
        if (args[i].dtype != t->dtype || args[i].rank != t->rank) {
            return aigc_fail(&c->error, AIGC_ERR_SHAPE,
                             "argument %s of %s is %s, found %s with %u axes", t->name, e->name,
                             t->type, aigc_dtype_name(args[i].dtype), args[i].rank);
        }
        for (uint32_t k = 0; k < t->rank; k++) {
            if (n == MOST_DIMS) {
                return aigc_fail(&c->error, AIGC_ERR_UNSUPPORTED, "%s has too many axes", e->name);
            }
            sizes[n++] = args[i].dims[k];
        }
    }
    return AIGC_OK;
}

/* "pos + T <= 512 (llama.aigc:14): pos = 510, T = 8" */
static aigc_status failed_check(aigc_context *c, const aigc_abi_entry *e, uint32_t number,
                                const int64_t *dims)
{
    char values[256] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < e->n_dims && used < sizeof values - 1; i++) {
        int n = snprintf(values + used, sizeof values - used, "%s%s = %lld", i ? ", " : ": ",
                         e->dim_names[i], (long long)dims[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    const char *what = number >= 1 && number <= e->n_checks ? e->checks[number - 1] : "a size";
    return aigc_fail(&c->error, AIGC_ERR_BOUND, "%s: this must hold: %s%s", e->name, what, values);
}

typedef struct bound_call {
    int64_t dims[MOST_DIMS];
    int64_t sizes[MOST_DIMS];
} bound_call;

static aigc_status bind(aigc_context *c, uint32_t entry, const int64_t *dims,
                        const aigc_tensor *args, uint32_t n_args, aigc_tensor *results,
                        uint32_t n_results, bound_call *b)
{
    if (entry >= c->m->n_entries) {
        return aigc_fail(&c->error, AIGC_ERR_ARGUMENT, "model %s has no entry %u", c->m->name,
                         entry);
    }
    const aigc_abi_entry *e = &c->m->entries[entry];
    if (n_results != e->n_results || n_results > MOST_TENSORS || e->n_dims > MOST_DIMS) {
        return aigc_fail(&c->error, AIGC_ERR_ARGUMENT, "%s has %u results, room for %u is given",
                         e->name, e->n_results, n_results);
    }
    aigc_status s = check_args(c, e, args, n_args, b->sizes);
    if (s != AIGC_OK) {
        return s;
    }
    for (uint32_t i = 0; i < e->n_dim_args; i++) {
        b->dims[i] = dims[i];
    }
    uint32_t failed = e->bind(b->sizes, b->dims);
    if (failed) {
        return failed_check(c, e, failed, b->dims);
    }
    e->sizes(b->dims, b->sizes);
    uint32_t at = 1;
    for (uint32_t i = 0; i < n_results; i++) {
        results[i].dtype = e->results[i].dtype;
        results[i].rank = e->results[i].rank;
        for (uint32_t k = 0; k < results[i].rank; k++) {
            results[i].dims[k] = b->sizes[at++];
        }
    }
    return AIGC_OK;
}

aigc_status aigc_call_sizes(aigc_context *c, uint32_t entry, const int64_t *dims,
                            const aigc_tensor *args, uint32_t n_args, aigc_tensor *results,
                            uint32_t n_results, int64_t *arena_bytes)
{
    bound_call b;
    aigc_status s = bind(c, entry, dims, args, n_args, results, n_results, &b);
    if (s == AIGC_OK && arena_bytes) {
        *arena_bytes = b.sizes[0];
    }
    return s;
}

typedef struct running {
    const aigc_abi_entry *e;
    const aigc_abi_call *call;
} running;

/* As many threads as make the call shortest. Each one more shortens the divided work and lengthens
 * every meeting; the first one more costs a start as well. A meeting of two is counted as 0.5 us: a
 * bare barrier takes a third of that, but shares are uneven and what was written must cross over
 * (stories260K, one token, 30 meetings: 18 us with one thread, 28 us with two). */
static uint32_t threads_worth_waking(const aigc_context *c, const aigc_abi_entry *e,
                                     const int64_t *dims)
{
    enum { START_NS = 3000, MEETING_NS = 200, MEETING_NS_EACH = 150 };
    int64_t cost[2];
    if (c->all_threads || !c->pool || !e->cost) {
        return c->n_threads;
    }
    e->cost(dims, cost);
    if (cost[0] < 0 || cost[1] < 0) { /* more than 64 bits hold */
        return c->n_threads;
    }
    double best = (double)cost[0];
    uint32_t n = 1;
    for (uint32_t i = 2; i <= c->n_threads; i++) {
        double meeting = MEETING_NS + (double)MEETING_NS_EACH * i;
        double time = START_NS + (double)cost[0] / i + (double)cost[1] * meeting;
        n = time < best ? i : n;
        best = time < best ? time : best;
    }
    return n;
}

static void run_thread(void *data, uint32_t thread)
{
    const running *r = data;
    r->e->run(r->call, thread);
}

/* Runs an entry whose dims are checked. */
static aigc_status run_entry(aigc_context *c, const aigc_abi_entry *e, const int64_t *dims,
                             const void *const *args, void *const *results)
{
    aigc_abi_call call = {.dims = dims,
                          .args = args,
                          .results = results,
                          .params = c->w ? c->w->slots : NULL,
                          .states = c->states,
                          .arena = c->arena,
                          .externs = c->externs,
                          .scratch = c->scratch,
                          .scratch_bytes = c->m->scratch_bytes,
                          .seed = c->seed,
                          .n_threads = threads_worth_waking(c, e, dims),
                          .barrier = c->pool ? aigc_pool_barrier : NULL,
                          .barrier_data = c->pool,
                          .profile = c->hook,
                          .profile_data = c->hook_data};
    c->states_used = true;
    running r = {e, &call};
    if (call.n_threads > 1) {
        aigc_pool_run(c->pool, call.n_threads, run_thread, &r);
    } else {
        run_thread(&r, 0);
    }
    return AIGC_OK;
}

aigc_status aigc_call(aigc_context *c, uint32_t entry, const int64_t *dims, const aigc_tensor *args,
                      uint32_t n_args, aigc_tensor *results, uint32_t n_results)
{
    bound_call b;
    aigc_status s = bind(c, entry, dims, args, n_args, results, n_results, &b);
    if (s != AIGC_OK) {
        return s;
    }
    const aigc_abi_entry *e = &c->m->entries[entry];
    if (b.sizes[0] > c->arena_bytes) {
        return aigc_fail(&c->error, AIGC_ERR_MEMORY,
                         "%s needs an arena of %lld bytes, there are %lld: call aigc_reserve",
                         e->name, (long long)b.sizes[0], (long long)c->arena_bytes);
    }
    const void *in[MOST_TENSORS];
    void *out[MOST_TENSORS];
    for (uint32_t i = 0; i < n_args; i++) {
        in[i] = args[i].data;
    }
    for (uint32_t i = 0; i < n_results; i++) {
        out[i] = results[i].data;
    }
    return run_entry(c, e, b.dims, in, out);
}

aigc_status aigc_call_bound(aigc_context *c, uint32_t entry, const int64_t *dims,
                            const void *const *args, void *const *results)
{
    if (entry >= c->m->n_entries) {
        return aigc_fail(&c->error, AIGC_ERR_ARGUMENT, "model %s has no entry %u", c->m->name,
                         entry);
    }
    const aigc_abi_entry *e = &c->m->entries[entry];
    bound_call b;
    uint32_t axes = 0;
    for (uint32_t i = 0; i < e->n_results; i++) {
        axes += e->results[i].rank;
    }
    for (uint32_t i = 0; i < e->n_dims && i < MOST_DIMS; i++) {
        b.dims[i] = dims[i];
        if (dims[i] < e->dim_lo[i] || dims[i] > e->dim_hi[i] || dims[i] > (int64_t)1 << 40) {
            return failed_check(c, e, 2 * i + 1 + (dims[i] > e->dim_lo[i]), dims);
        }
    }
    e->sizes(b.dims, b.sizes);
    uint32_t failed = e->bind(b.sizes + 1 + axes, b.dims);
    if (failed) {
        return failed_check(c, e, failed, b.dims);
    }
    if (b.sizes[0] > c->arena_bytes) {
        aigc_status s = aigc_reserve(c, b.sizes[0]);
        if (s != AIGC_OK) {
            return s;
        }
    }
    return run_entry(c, e, b.dims, args, results);
}
