/* What the tests of the interpreter against compiled code share: modules of many small entries,
 * built by hand, compiled, called, and evaluated. */
#ifndef AIGC_TESTS_DIFF_H
#define AIGC_TESTS_DIFF_H

#include "backend/jit.h"
#include "backend/module.h"
#include "ir/build.h"
#include "ir/eval.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "runtime/aigc.h"
#include "support/map.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DIFF_MOST_ENTRIES = 2048, DIFF_MOST_INPUTS = 8, DIFF_MOST_RESULTS = 16 };

typedef enum diff_fill {
    FILL_ANY,      /* -0, inf, nan, denormals, all of an integer's range, among others */
    FILL_MODERATE, /* the same without huge numbers */
    FILL_SMALL,    /* within [-2, 2]; integers within [-9, 9] */
    FILL_TIES,     /* few values, nan and -0 among them */
    FILL_IDS,      /* within [-3, 8] */
    FILL_LOGITS    /* within [-2, 2], or -inf; a row's first is finite */
} diff_fill;

/* How far compiled code may be off: one of the bounds suffices. */
typedef struct diff_bound {
    double ulps;  /* units in the last place of the result */
    double scale; /* units in the last place of the largest number of the result */
    double ones;  /* units in the last place of 1, for sums that may cancel */
    double least; /* an absolute error: of results that nearly vanish */
} diff_bound;

typedef struct diff_entry {
    char name[96];
    const ir_graph *graph; /* as it was built */
    diff_fill fills[DIFF_MOST_INPUTS];
    diff_bound bound;
} diff_entry;

typedef struct diff_module {
    arena *a;
    ir_ctx *c;
    diag *d;
    ir_module m;
    diff_entry *entries;
    const ir_sym *t_sym, *u_sym;
    /* compiled */
    target *target;
    jit *j;
    aigc_weights *w;
    aigc_context *contexts[2]; /* of 1 and 2 threads */
    float *weights;            /* of the one parameter, w: f32[7, 13] */
    const void *slots[1];
    void *externs[1];
} diff_module;

static inline diff_module *diff_create(void)
{
    arena *a = arena_create();
    diff_module *d = arena_new(a, diff_module);
    d->a = a;
    d->c = ir_ctx_create(a, intern_create(a));
    d->d = diag_create(a, source_map_create(a));
    d->m = (ir_module){.ctx = d->c, .name = intern(ir_ctx_names(d->c), "m")};
    d->m.entries = arena_array(a, ir_entry, DIFF_MOST_ENTRIES);
    d->entries = arena_array(a, diff_entry, DIFF_MOST_ENTRIES);
    d->t_sym = ir_sym_get(d->c, intern(ir_ctx_names(d->c), "T"), 0, 64);
    d->u_sym = ir_sym_get(d->c, intern(ir_ctx_names(d->c), "U"), 0, 64);
    d->weights = arena_array(a, float, 7 * 13);
    for (int i = 0; i < 7 * 13; i++) {
        d->weights[i] = (float)sin(0.7 * i);
    }
    const ir_dim *w_dims[2] = {ir_dim_const(d->c, 7), ir_dim_const(d->c, 13)};
    const ir_dim *s_dims[2] = {ir_dim_const(d->c, 64), ir_dim_const(d->c, 7)};
    ir_param *p = arena_new(a, ir_param);
    ir_state *s = arena_new(a, ir_state);
    *p = (ir_param){.name = intern(ir_ctx_names(d->c), "w"),
                    .type = ir_type_get(d->c, IR_f32, 2, w_dims),
                    .storage = ir_storage_of_dtype(IR_f32),
                    .layout = intern(ir_ctx_names(d->c), "rows")};
    *s = (ir_state){.name = intern(ir_ctx_names(d->c), "s"),
                    .type = ir_type_get(d->c, IR_f32, 2, s_dims)};
    d->m.params = p;
    d->m.states = s;
    d->m.n_params = d->m.n_states = 1;
    static const char *externs[] = {"diff:double_it"};
    d->m.externs = externs;
    d->m.n_externs = 1;
    return d;
}

/* What m.externs names: y[i] = 2 x[i]. */
static inline void diff_double_it(const float *x, float *y, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n && i < m; i++) {
        y[i] = 2 * x[i];
    }
}

static inline void diff_add_entry(diff_module *d, const diff_entry *e, ir_graph *g)
{
    assert_true(d->m.n_entries < DIFF_MOST_ENTRIES);
    uint32_t at = d->m.n_entries++, n = 0;
    d->entries[at] = *e;
    d->entries[at].graph = ir_graph_clone(g);
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        n += ir_graph_output(g, i)->kind == IR_OUTPUT_RESULT;
    }
    d->m.entries[at] = (ir_entry){.kind = IR_ENTRY,
                                  .name = intern(ir_ctx_names(d->c), e->name),
                                  .graph = g,
                                  .args = arena_array(d->a, ir_arg_info, ir_graph_n_inputs(g)),
                                  .results = arena_array(d->a, ir_arg_info, n)};
}

/* after: called after each pass for every entry; or NULL. */
static inline void diff_compile(diff_module *d, int level,
                                void (*after)(void *data, pass_id id, const ir_entry *e),
                                void *data)
{
    pass_options po = {.level = level, .verify = true, .after = after, .data = data};
    d->target = target_create(NULL, NULL, level, d->a, d->d);
    if (!d->target || !pass_run_all(&d->m, d->d, &po)) {
        diag_print(d->d, stdout, false);
        fail_msg("the passes failed");
    }
    const k_module *k = k_lower_module(&d->m, d->a);
    LLVMContextRef ctx = LLVMContextCreate();
    module_options mo = {.name = "m", .opt_level = level};
    LLVMModuleRef m = module_emit(k, &mo, d->target, ctx, d->d);
    LLVMMemoryBufferRef b = m ? module_compile(m, d->target, false, d->d) : NULL;
    d->j = b ? jit_create(LLVMGetBufferStart(b), LLVMGetBufferSize(b), "m", d->d) : NULL;
    if (!d->j) {
        diag_print(d->d, stdout, false);
        fail_msg("compiling failed");
    }
    LLVMDisposeMemoryBuffer(b);
    LLVMDisposeModule(m);
    LLVMContextDispose(ctx);
    aigc_error err = {{0}};
    d->slots[0] = d->weights;
    d->externs[0] = (void *)(uintptr_t)diff_double_it;
    assert_int_equal(aigc_weights_from_slots(jit_model(d->j), d->slots, &d->w), AIGC_OK);
    for (uint32_t i = 0; i < 2; i++) {
        aigc_context_options o = {
            .n_threads = i + 1, .all_threads = true, .seed = 1234567, .externs = d->externs};
        if (aigc_context_create(jit_model(d->j), d->w, &o, &d->contexts[i], &err) != AIGC_OK) {
            fail_msg("%s", err.text);
        }
    }
}

static inline void diff_destroy(diff_module *d)
{
    for (uint32_t i = 0; i < 2 && d->j; i++) {
        aigc_context_destroy(d->contexts[i]);
    }
    if (d->j) {
        aigc_weights_destroy(d->w);
        jit_destroy(d->j);
        target_destroy(d->target);
    }
    for (uint32_t i = 0; i < d->m.n_entries; i++) {
        ir_graph_destroy(d->m.entries[i].graph);
    }
    arena_destroy(d->a);
}

/* Numbers -------------------------------------------------------------------------------------- */

static inline uint64_t diff_random(uint64_t seed, int64_t i)
{
    return hash_mix(hash_combine(seed, (uint64_t)i));
}

static inline double diff_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

static inline double diff_real(diff_fill fill, ir_dtype t, uint64_t bits)
{
    static const double specials[] = {
        0,        -0.0,      1,     -1,     0.5,    -0.5,    1.5,       2.5,      -2.5,
        INFINITY, -INFINITY, NAN,   1e-40,  -1e-40, 3e-39,   1e-300,    1e-30,    -1e-30,
        3.5,      88.5,      -88.5, -103.9, 1e-8,   -1e-8,   2.00001,   0.999999, -0.999999,
        16777217, 1e-4,      60000, 30.5,   -30.5,  0x1p-24, 5.877e-39, 710,      -745};
    static const double huge[] = {1e30, -1e30, 3e38, -1e300, 65519, 1e19, -1e19};
    double r = diff_unit(bits), small = 4 * r - 2;
    uint64_t which = hash_mix(bits + 77);
    switch (fill) {
    case FILL_ANY:
        if (which % 8 == 0) {
            return huge[(which >> 8) % (sizeof huge / sizeof *huge)];
        } /* fall through */
    case FILL_MODERATE:
        if (which % 8 < 4) {
            return specials[(which >> 8) % (sizeof specials / sizeof *specials)];
        }
        return which % 8 < 6 ? small : 40 * r - 20;
    case FILL_TIES:
        return which % 9 == 0 ? NAN : which % 9 == 1 ? -0.0 : (double)(which % 5) - 1;
    case FILL_LOGITS:
        return which % 5 == 0 ? -INFINITY : small;
    default:
        return t == IR_bf16 || t == IR_f16 ? (double)(int)(small * 32) / 32 : small;
    }
}

static inline int64_t diff_integer(diff_fill fill, uint64_t bits)
{
    static const int64_t specials[] = {0,         1,         -1,        INT64_MIN, INT64_MAX,
                                       INT32_MIN, INT32_MAX, INT16_MIN, INT8_MIN,  127,
                                       128,       255,       2};
    uint64_t which = hash_mix(bits + 99);
    switch (fill) {
    case FILL_ANY:
    case FILL_MODERATE:
        return which % 3 == 0   ? specials[(which >> 8) % (sizeof specials / sizeof *specials)]
               : which % 3 == 1 ? (int64_t)bits
                                : (int64_t)(bits % 21) - 10;
    case FILL_IDS:
        return (int64_t)(bits % 12) - 3;
    case FILL_TIES:
        return (int64_t)(bits % 5) - 1;
    default:
        return (int64_t)(bits % 19) - 9;
    }
}

static inline ir_tensor diff_input(arena *a, const ir_tensor *shape, diff_fill fill, uint64_t seed)
{
    ir_tensor x = *shape;
    int64_t n = ir_tensor_elems(&x);
    x.data = arena_alloc(a, (size_t)n * ir_dtype_bytes(x.dtype) + 64);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = diff_random(seed, i);
        if (ir_dtype_is_float(x.dtype)) {
            double v = diff_real(fill, x.dtype, bits);
            bool first = fill == FILL_LOGITS && (x.rank == 0 || i % x.dims[x.rank - 1] == 0);
            ir_dtype_store(x.dtype, x.data, (size_t)i, first ? 0.25 : v);
        } else if (x.dtype == IR_bool) {
            ir_dtype_store_i64(x.dtype, x.data, (size_t)i, (int64_t)(bits >> 40 & 1));
        } else {
            ir_dtype_store_i64(x.dtype, x.data, (size_t)i, diff_integer(fill, bits));
        }
    }
    return x;
}

/* One unit in the last place of x, as a number of the type. */
static inline double diff_ulp(ir_dtype t, double x)
{
    static const int digits[] = {[IR_f64] = 53, [IR_f32] = 24, [IR_f16] = 11, [IR_bf16] = 8};
    static const int least[] = {
        [IR_f64] = -1074, [IR_f32] = -149, [IR_f16] = -24, [IR_bf16] = -133};
    int e;
    if (x == 0 || !isfinite(x)) {
        return ldexp(1, least[t]);
    }
    frexp(x, &e);
    return ldexp(1, e - digits[t] > least[t] ? e - digits[t] : least[t]);
}

static inline const char *diff_where(const ir_tensor *t, int64_t i, char text[64])
{
    int64_t index[IR_MAX_RANK] = {0};
    size_t used = 0;
    for (uint32_t k = t->rank; k-- > 0;) {
        index[k] = i % t->dims[k];
        i /= t->dims[k];
    }
    text[0] = 0;
    for (uint32_t k = 0; k < t->rank; k++) {
        used +=
            (size_t)snprintf(text + used, 64 - used, "%s%lld", k ? ", " : "", (long long)index[k]);
    }
    return text;
}

/* How many elements of `got` are out of bounds; the first is told. */
static inline int64_t diff_compare(const char *what, const ir_tensor *want, const ir_tensor *got,
                                   diff_bound bound)
{
    int64_t n = ir_tensor_elems(want), wrong = 0;
    double largest = 0;
    char where[64];
    bool is_float = ir_dtype_is_float(want->dtype);
    for (int64_t i = 0; i < n && is_float; i++) {
        double w = fabs(ir_dtype_load(want->dtype, want->data, (size_t)i));
        largest = isfinite(w) && w > largest ? w : largest;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!is_float) {
            int64_t w = ir_dtype_load_i64(want->dtype, want->data, (size_t)i);
            int64_t g = ir_dtype_load_i64(got->dtype, got->data, (size_t)i);
            if (w != g && wrong++ == 0) {
                printf("%s at [%s]: expected %lld, found %lld\n", what, diff_where(want, i, where),
                       (long long)w, (long long)g);
            }
            continue;
        }
        double w = ir_dtype_load(want->dtype, want->data, (size_t)i),
               g = ir_dtype_load(got->dtype, got->data, (size_t)i);
        double d = fabs(w - g);
        bool same = w == g || (w != w && g != g) || d <= bound.ulps * diff_ulp(want->dtype, w) ||
                    d <= bound.scale * diff_ulp(want->dtype, largest) ||
                    d <= bound.ones * diff_ulp(want->dtype, 1) || d <= bound.least;
        if (!same && wrong++ == 0) {
            printf("%s at [%s]: expected %.9g, found %.9g (%.3g ulp, %.3g of the largest's)\n",
                   what, diff_where(want, i, where), w, g, d / diff_ulp(want->dtype, w),
                   d / diff_ulp(want->dtype, largest));
        }
    }
    return wrong;
}

/* Running -------------------------------------------------------------------------------------- */

typedef struct diff_outside { /* what the interpreter asks for */
    diff_module *d;
    ir_tensor state;
} diff_outside;

static inline bool diff_param(void *data, const char *name, uint32_t n, const int64_t *indices,
                              const ir_type *type, ir_tensor *out)
{
    diff_outside *o = data;
    out->data = o->d->weights;
    return true;
}

static inline bool diff_state(void *data, const char *name, const ir_type *type, ir_tensor **tensor)
{
    *tensor = &((diff_outside *)data)->state;
    return true;
}

static inline bool diff_call(void *data, const char *name, uint32_t n_args, const ir_tensor *args,
                             uint32_t n_results, ir_tensor *results)
{
    diff_double_it(args[0].data, results[0].data, args[0].dims[0], results[0].dims[0]);
    return true;
}

/* A call's tensors: inputs made up for T = t, U = u. */
typedef struct diff_run {
    ir_tensor in[DIFF_MOST_INPUTS], out[DIFF_MOST_RESULTS];
    uint32_t n_out;
    float state[64 * 7];
} diff_run;

typedef struct diff_sizes {
    const diff_module *d;
    int64_t t, u;
} diff_sizes;

static inline bool diff_lookup(void *data, const ir_sym *s, int64_t *value)
{
    const diff_sizes *z = data;
    *value = s == z->d->t_sym ? z->t : z->u;
    return s == z->d->t_sym || s == z->d->u_sym;
}

static inline void diff_inputs(diff_module *d, const diff_entry *e, arena *a, int64_t t, int64_t u,
                               diff_run *r)
{
    diff_sizes z = {d, t, u};
    for (uint32_t i = 0; i < ir_graph_n_inputs(e->graph); i++) {
        const ir_type *type = ir_node_type(ir_graph_input(e->graph, i));
        ir_tensor x = {.dtype = type->dtype, .rank = type->rank};
        for (uint32_t k = 0; k < type->rank; k++) {
            assert_true(ir_dim_eval(type->dims[k], diff_lookup, &z, &x.dims[k]));
        }
        r->in[i] = diff_input(a, &x, e->fills[i], (uint64_t)(t * 1000 + u * 10 + i + 1));
    }
    for (int i = 0; i < 64 * 7; i++) {
        r->state[i] = (float)cos(i);
    }
}

/* Evaluates a graph (that of the entry at any stage) into r. False: env->error is told. */
static inline bool diff_eval(diff_module *d, const ir_graph *g, arena *a, diff_run *r,
                             char error[256])
{
    diff_outside o = {
        .d = d, .state = {.dtype = IR_f32, .rank = 2, .dims = {64, 7}, .data = r->state}
    };
    ir_eval_env env = {.a = a,
                       .param = diff_param,
                       .state = diff_state,
                       .call = diff_call,
                       .data = &o,
                       .seed = 1234567};
    r->n_out = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        r->n_out += ir_graph_output(g, i)->kind == IR_OUTPUT_RESULT;
    }
    bool ok = ir_eval(g, &env, NULL, r->in, r->out);
    snprintf(error, 256, "%s", env.error);
    return ok;
}

/* Calls compiled code into `got`, whose inputs are set. */
static inline bool diff_call_entry(diff_module *d, uint32_t entry, uint32_t threads, arena *a,
                                   diff_run *got)
{
    const aigc_abi_entry *e = &jit_model(d->j)->entries[entry];
    aigc_context *c = d->contexts[threads - 1];
    aigc_tensor args[DIFF_MOST_INPUTS], results[DIFF_MOST_RESULTS] = {{0}};
    int64_t arena_bytes;
    for (uint32_t i = 0; i < e->n_args; i++) {
        args[i] = (aigc_tensor){.data = got->in[i].data,
                                .dtype = (uint8_t)got->in[i].dtype,
                                .rank = (uint8_t)got->in[i].rank};
        memcpy(args[i].dims, got->in[i].dims, sizeof args[i].dims);
    }
    memcpy(aigc_context_state(c, 0), got->state, sizeof got->state);
    bool ok = aigc_call_sizes(c, entry, NULL, args, e->n_args, results, e->n_results,
                              &arena_bytes) == AIGC_OK &&
              aigc_reserve(c, arena_bytes) == AIGC_OK;
    got->n_out = e->n_results;
    for (uint32_t i = 0; i < e->n_results && ok; i++) {
        got->out[i] = (ir_tensor){.dtype = (ir_dtype)results[i].dtype, .rank = results[i].rank};
        memcpy(got->out[i].dims, results[i].dims, sizeof results[i].dims);
        size_t bytes = (size_t)ir_tensor_elems(&got->out[i]) * ir_dtype_bytes(got->out[i].dtype);
        results[i].data = got->out[i].data = arena_alloc(a, bytes + 64);
        memset(got->out[i].data, 0xa5,
               bytes + 64); /* what is not written is seen; what is beyond, too */
    }
    ok = ok && aigc_call(c, entry, NULL, args, e->n_args, results, e->n_results) == AIGC_OK;
    if (!ok) {
        printf("%s: %s\n", e->name, aigc_error_message(c));
    }
    for (uint32_t i = 0; i < e->n_results && ok; i++) {
        size_t bytes = (size_t)ir_tensor_elems(&got->out[i]) * ir_dtype_bytes(got->out[i].dtype);
        const unsigned char *beyond = (const unsigned char *)got->out[i].data + bytes;
        for (int k = 0; k < 64; k++) {
            if (beyond[k] != 0xa5) {
                printf("%s: written beyond result %u\n", e->name, i);
                return false;
            }
        }
    }
    memcpy(got->state, aigc_context_state(c, 0), sizeof got->state);
    return ok;
}

/* 1 when they differ. */
static inline int64_t diff_runs(const char *name, const char *how, const diff_run *want,
                                const diff_run *got, int64_t t, int64_t u, diff_bound bound)
{
    char what[256];
    int64_t wrong = 0;
    if (want->n_out != got->n_out) {
        printf("%s (%s): %u results, not %u\n", name, how, got->n_out, want->n_out);
        return 1;
    }
    for (uint32_t i = 0; i < want->n_out; i++) {
        snprintf(what, sizeof what, "%s (%s, T = %lld, U = %lld), result %u", name, how,
                 (long long)t, (long long)u, i);
        bool fits =
            want->out[i].rank == got->out[i].rank && want->out[i].dtype == got->out[i].dtype &&
            memcmp(want->out[i].dims, got->out[i].dims, want->out[i].rank * sizeof(int64_t)) == 0;
        if (!fits) {
            printf("%s: types differ\n", what);
            return 1;
        }
        wrong += diff_compare(what, &want->out[i], &got->out[i], bound);
    }
    ir_tensor a =
                  {
                      .dtype = IR_f32,
                      .rank = 2,
                      .dims = {64, 7},
                      .data = (void *)(uintptr_t)want->state
    },
              b = a;
    b.data = (void *)(uintptr_t)got->state;
    snprintf(what, sizeof what, "%s (%s, T = %lld, U = %lld), state", name, how, (long long)t,
             (long long)u);
    wrong += diff_compare(what, &a, &b, bound);
    return wrong != 0;
}

#endif
