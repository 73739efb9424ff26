/* The kernel IR: what a compiled entry does, as loop nests over buffers. It knows no LLVM.
 *
 *     program   the items of one entry in order: kernels, loops, calls of extern functions
 *     kernel    one function: buffers in, buffers out, loop nests; emitted once for its structure
 *     expr      a scalar expression over axis variables; also used for offsets (dtype i64)
 *
 * A nest's outer axes run over all points of the domain; at every point its steps are run in order:
 *
 *     REDUCE   fold an expression over the step's own axes into a scalar, named by later steps
 *     STORE    for all points of the step's own axes (maybe none): buffer[offset] = value
 *     SCAN     a running fold along the step's one axis, stored at every point
 *
 * softmax over rows of a [n, m]:   outer i < n
 *     r0 = reduce max  j < m : a[i*m + j]
 *     r1 = reduce sum  j < m : exp(a[i*m + j] - r0)
 *     store            j < m : out[i*m + j] = exp(a[i*m + j] - r0) / r1
 *
 * A matrix product is a nest too: outer m, n; r0 = reduce sum k: a[...] * b[...]; store. The
 * contract emitter recognises it and makes tiles of it; the plain nest emitter can always run it.
 *
 * Where an element is made of several columns of a product, those of a group are kept first. Heads
 * of 64 columns whose halves are rotated, for T rows, outer h, t:
 *     keep   = reduce sum k  n = 64 h ... 64 h + 63: a[t, k] * b[n, k]
 *     store    e < 32 : out[h, t, e] = keep[e] * cos[t, e] - keep[e + 32] * sin[t, e]
 *     store    e < 32 : out[h, t, e + 32] = keep[e + 32] * cos[t, e] + keep[e] * sin[t, e]
 */
#ifndef AIGC_BACKEND_KERNEL_H
#define AIGC_BACKEND_KERNEL_H

#include "ir/module.h"

typedef struct k_axis {
    const char *name; /* "i0", for people */
    const ir_dim *extent;
    uint32_t id; /* unique in its kernel */
} k_axis;

typedef enum k_buf_access { K_READ = 1, K_WRITE = 2, K_READ_WRITE = 3 } k_buf_access;

/* A buffer as the kernel sees it: a pointer argument. */
typedef struct k_buf {
    uint32_t id; /* position among the kernel's pointer arguments */
    const char *name;
    ir_dtype dtype;      /* of the elements as computed with */
    ir_storage storage;  /* of the elements in memory (block storages: params only) */
    const ir_type *type; /* logical type of the value kept there */
    k_buf_access access;
    const char *layout; /* params: "rows", "panels", "pairs" or "taps" */
    uint32_t panel;     /* 0: rows */
    bool pack_transposed;
    bool disjoint; /* overlaps no other buffer of the kernel (may be marked noalias) */
} k_buf;

typedef enum k_expr_kind {
    K_CONST_F, /* f */
    K_CONST_I, /* i: integers and bool */
    K_AXIS,    /* the axis variable as i64 */
    K_DIM,     /* a run-time size as i64 */
    K_LOAD,    /* buf[a], a an i64 expr in elements; where `guard` (bool, or NULL) is false, not
                * touched: the value is then `fallback`. Of a buffer in panels: args[1] is the place
                * along the axis that panels divide */
    K_OP,      /* an elementwise op of the op table on args[0..n) */
    K_SELECT,  /* args: bool, then, else; both sides may be computed */
    K_CAST,    /* args[0] to dtype */
    K_REDUCED, /* the value of an earlier REDUCE step of the same nest (or SCAN's running value) */
    K_HOLE,    /* attention: the raw score within the score expression */
    K_RANDOM   /* draw number args[0] (i64, the element's linear index) of a stream; args[1...]:
                * turns of the loops around it */
} k_expr_kind;

typedef struct k_expr k_expr;
struct k_expr {
    k_expr_kind kind;
    ir_dtype dtype;
    uint32_t id; /* dense in the kernel: side tables */
    uint32_t n;
    const k_expr *const *args;
    ir_op op; /* K_OP */
    double f;
    int64_t i; /* K_CONST_I; K_RANDOM: the stream */
    const k_axis *axis;
    const ir_dim *dim;
    const k_buf *buf;
    const k_expr *guard, *fallback;
    uint32_t reduced; /* K_REDUCED: the step's number */
    const char *mode; /* K_RANDOM: uniform normal int */
    int64_t lo, hi;   /* K_RANDOM int: [lo, hi) */
};

typedef enum k_step_kind { K_STEP_REDUCE, K_STEP_STORE, K_STEP_SCAN } k_step_kind;

typedef struct k_step {
    k_step_kind kind;
    uint32_t n_axes;
    const k_axis *const *axes; /* outermost first; the last is the fastest */
    /* REDUCE: op is one of reduce_sum, reduce_max, reduce_min, reduce_prod, reduce_any, reduce_all,
     * argmax, argmin (value: what is compared; the result is the i64 index along the one axis).
     * SCAN: reduce_sum. */
    ir_op op;
    const k_expr *value;
    const char *math; /* of a sum of products: "q8" or "bf16", how factors are rounded; or NULL */
    ir_dtype acc;     /* REDUCE, SCAN: type accumulated in (f32 for f16, bf16, f32) */
    const k_buf *buf; /* STORE, SCAN */
    const k_expr *offset;    /* STORE, SCAN: in elements */
    bool add;                /* STORE: buffer[offset] += value (scatter; never split) */
    bool beside; /* STORE: over the same axes as the step before, one element after what that stores */
    bool reverse, exclusive; /* SCAN */
} k_step;

/* What the first step of a nest sums up when it is a convolution of f32s or the transpose of one:
 * the nest's outer axes are n, o and the spatial ones, its steps that sum and one STORE of it.
 *
 *     x  [N, C, spatial...]    w  [O, C / groups, taps...]; transposed: [C, O / groups, taps...]
 *     y[at] += x[at * stride - pad + tap * dilation] * w[tap]
 *     transposed: y[at * stride - pad + tap * dilation] += x[at] * w[tap] */
typedef struct k_conv {
    const k_buf *x, *w;
    uint32_t n_spatial; /* 1 to 3 */
    bool transposed;
    int64_t groups, in_group, out_group;               /* channels of a group */
    int64_t channels;                                  /* of y, in a panel of w; 0: w is in rows */
    int64_t taps[3], strides[3], dilations[3], pads[3]; /* pads: before the first element */
    const ir_dim *sizes[3];                            /* of x */
} k_conv;

/* What the first step of a nest reduces when it is a pooling of f32s, by maximum or sum: the nest's
 * outer axes are n, c and the spatial ones, its steps that reduction and one STORE.
 *
 *     x  [N, C, spatial...]
 *     y[at] = op over taps of x[at * stride - pad + tap * dilation], where that is within x */
typedef struct k_pool {
    const k_buf *x;
    uint32_t n_spatial; /* 1 to 3 */
    int64_t window[3], strides[3], dilations[3], pads[3]; /* pads: before the first element */
    const ir_dim *sizes[3];                               /* of x */
} k_pool;

/* What the STORE of a nest stores, or computes with, when it is a resize of f32s; the nest's outer
 * axes are n, c and the spatial ones, the STORE is its one step.
 *
 *     x  [N, C, spatial...]
 *     value[at] = sum over taps of x[n, c, places[axis][tap]...] * product of weights[axis][tap] */
typedef struct k_resize {
    const k_buf *x;
    uint32_t n_spatial, taps;  /* taps along every axis: 1 of the nearest, 2 linear, 4 cubic */
    bool align;                /* corners */
    const ir_dim *sizes[3];    /* of x */
    const k_expr *places[3][4];
    const k_expr *weights[3][4]; /* NULL of the nearest */
    const k_expr *index[5];      /* of the value: is it at the nest's own place? */
    const k_expr *value;
} k_resize;
/* Sums that a point keeps for the steps after: of columns group * at ... group * (at + 1) - 1, at the
 * place along the axis `groups`. */
typedef struct k_keep {
    const k_buf *buf;      /* f32[group]: no argument; its id is the number of those that are */
    const k_axis *columns; /* all of them, in no loop: within the group while its sums are formed */
    const k_axis *groups;  /* an outer axis; NULL: there is one group */
    int64_t group;
    uint32_t step; /* the REDUCE step, whose value is not named otherwise */
} k_keep;

typedef struct k_nest {
    uint32_t n_outer;
    const k_axis *const *outer;
    int split; /* index into outer, or -1: thread 0 runs the whole nest */
    int64_t grain;
    uint32_t n_steps;
    const k_step *steps;
    const k_keep *keep; /* or NULL */
    const k_conv *conv; /* or NULL; the steps alone say as much */
    const k_pool *pool; /* the same */
    const k_resize *resize; /* the same */
} k_nest;

/* softmax over j of score(i, j) with score = hole rewritten, hole = scale * sum_d q[i,d] k[j,d];
 * out[i, :] = sum_j p[i, j] v[j, :]. All under the batch axes. */
typedef struct k_attention {
    uint32_t n_batch;
    const k_axis *const *batch;
    const k_axis *i, *j, *d, *dv;
    const k_expr *q; /* over batch, i, d */
    const k_expr *k; /* over batch, j, d */
    const k_expr *v; /* over batch, j, dv */
    double scale;
    bool bf16;            /* products of bf16: q, k, v and weights of values are rounded */
    const k_expr *score;  /* over batch, i, j; uses K_HOLE; the hole itself when unchanged */
    const ir_dim *causal; /* hint: j <= i + causal, or NULL */
    const ir_dim *reach;  /* hint: j > i + causal - reach, or NULL */
    const k_expr *out;    /* over batch, i, dv: K_HOLE is the attention's value (epilogue) */
    const k_buf *buf;
    const k_expr *offset;
    int split; /* index into batch; n_batch: axis i; -1 */
    int64_t grain;
} k_attention;

/* Orders rows along one axis: values and/or indices of the first n_out of them. */
typedef struct k_sort {
    uint32_t n_outer;
    const k_axis *const *outer;
    const k_axis *axis; /* the ordered axis */
    const k_expr *key;  /* over outer, axis */
    bool descending;
    const k_axis *out_axis;                       /* extent: how many are kept */
    const k_buf *values, *indices;                /* either may be NULL */
    const k_expr *values_offset, *indices_offset; /* over outer, out_axis */
    int split;
} k_sort;

typedef enum k_family {
    K_FAMILY_NEST, /* map, reduce, contract, conv, pool, scan, scatter: nests */
    K_FAMILY_ATTENTION,
    K_FAMILY_SORT
} k_family;

typedef struct k_kernel {
    const char *name; /* of its first use: "contract_3" */
    const char *kind; /* the graph's family attribute: "map", "contract" ... */
    k_family family;
    uint32_t id; /* distinct kernels of a module are numbered */
    uint32_t n_bufs;
    const k_buf *const *bufs;
    uint32_t n_syms; /* symbols its dims use: i64 arguments, in this order */
    const ir_sym *const *syms;
    uint32_t n_nests;
    const k_nest *nests; /* run one after the other without a barrier: each thread its share */
    bool joined;         /* the nests are products of the same rows, that touch nothing of each other's:
                          * in whatever order */
    const k_attention *attention;
    const k_sort *sort;
    uint32_t n_exprs; /* ids of exprs are below this */
    uint32_t n_axes;  /* and of axes below this */
    const char *text; /* canonical text: equal kernels have equal texts */
} k_kernel;

/* Where a buffer is when a kernel is called. */
typedef enum k_space {
    K_SPACE_ARENA,
    K_SPACE_ARG,    /* index: argument of the entry */
    K_SPACE_RESULT, /* index: result of the entry */
    K_SPACE_STATE,  /* index: state of the module */
    K_SPACE_PARAM,  /* index: parameter of the module; indices: which of the like ones */
    K_SPACE_CONST   /* data */
} k_space;

typedef struct k_place {
    k_space space;
    uint32_t index;
    const ir_dim *at;   /* bytes from the space's beginning; may use loop indices */
    uint32_t n_indices; /* PARAM */
    const ir_dim *const *indices;
    const ir_data *data; /* CONST */
} k_place;

typedef enum k_item_kind { K_ITEM_KERNEL, K_ITEM_LOOP, K_ITEM_EXTERN } k_item_kind;

typedef struct k_item k_item;
struct k_item {
    k_item_kind kind;
    int64_t barrier; /* all threads meet before it unless their number divides this; 0: never */
    ir_loc loc;
    /* KERNEL */
    const k_kernel *kernel;
    uint32_t number; /* of this use within its entry: profile */
    const char *name;
    const k_place *places;     /* [kernel->n_bufs] */
    const ir_dim *const *dims; /* [kernel->n_syms]: what the kernel's symbols stand for here */
    bool open;                 /* any thread may take any part of it */
    const ir_dim *work;        /* open: in 1/64 ns of one thread (passes/work.h) */
    /* LOOP */
    const ir_sym *sym;
    const ir_dim *lo, *hi;
    int64_t step;
    uint32_t n_items;
    const k_item *items;
    const k_place *cond; /* bool read by all threads after a turn (and a barrier); NULL: none */
    /* EXTERN: called by thread 0; pointers to dense arguments, then results */
    uint32_t extern_index;
    uint32_t n_args, n_results;
    const k_place *extern_places; /* [n_args + n_results] */
    const ir_type *const *extern_types;
};

typedef struct k_program {
    const ir_entry *entry;
    uint32_t n_items;
    const k_item *items;
    uint32_t n_kernel_uses; /* numbers of K_ITEM_KERNEL items are below this */
    const char **use_names; /* [n_kernel_uses] */
    ir_loc *use_locs;
    uint32_t n_barriers; /* in the text of the program, without those that some threads leave out */
} k_program;

typedef struct k_module {
    const ir_module *module;
    arena *a;
    uint32_t n_programs;
    const k_program *programs; /* one an entry of kind IR_ENTRY, in order */
    uint32_t n_kernels;
    const k_kernel *const *kernels; /* distinct ones */
} k_module;

/* Lowers a planned module. Everything lives in a. Never fails on a verified module. */
const k_module *k_lower_module(const ir_module *m, arena *a);
/* One kernel node alone (tests, dumps). */
const char *k_print_kernel(const k_kernel *k, arena *a);
const char *k_print_program(const k_program *p, arena *a);

/* How the parameter lies in memory: aigc_layout of runtime/abi.h. */
uint8_t k_layout_of(const ir_param *p);
/* Is it a parameter whose panels hold pairs along k? */
bool k_buf_in_pairs(const k_buf *b);
/* Does it lie in plain panels, or is it of a convolution's weights in panels of taps? */
bool k_buf_in_panels(const k_buf *b);
bool k_buf_in_taps(const k_buf *b);

/* Questions about expressions
 * --------------------------------------------------------------------*/

/* e = stride * axis + rest with rest free of the axis; stride as a dim. False when e is not affine
 * in it with a stride that is constant over the nest. rest is built in a. */
bool k_affine(ir_ctx *c, arena *a, const k_expr *e, const k_axis *axis, const ir_dim **stride);
bool k_uses_axis(const k_expr *e, const k_axis *axis);
bool k_uses_reduced(const k_expr *e, uint32_t step);

#endif
