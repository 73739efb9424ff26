/* Inside the lowering of kernels: a kernel's body, evaluated lazily.
 *
 * lower_value gives the expression of one element of a node, at an index. Indices are dims: axis
 * variables are symbols among others, so that the arithmetic of dims simplifies them (a reshape of
 * a reshape, a slice of a slice). An index that depends on data (take, gather) is a symbol that
 * stands for an expression. Reductions become steps of the nest when they are met, so that steps
 * come in the order in which they need each other. */
#ifndef AIGC_BACKEND_LOWER_H
#define AIGC_BACKEND_LOWER_H

#include "backend/kernel.h"
#include "support/map.h"
#include "support/vec.h"

typedef struct lower_scope lower_scope;

/* A body graph and what its inputs stand for. */
struct lower_scope {
    const ir_graph *body;
    const k_buf *const *bufs;   /* [inputs] of the kernel's own body; NULL for nested bodies */
    const lower_scope *outside; /* nested: where the operands are evaluated */
    const ir_node *owner;       /* nested: the attention node; input i > 0 is its operand 2 + i */
    const ir_node *hole;        /* a node whose value is K_HOLE, or NULL */
};

typedef struct lower {
    arena *a;
    ir_ctx *c;
    const char *name;
    map *exprs;      /* by content */
    map *values;     /* (node, index, guard) -> expr */
    map *statistics; /* of the nest's norms, by row */
    map *variables;  /* symbol -> expr it stands for (axes, data-dependent indices) */
    uint32_t n_exprs, n_axes;
    const k_resize *resize; /* the first of the nest being built, or NULL */
    VEC(const k_buf *) bufs;
    VEC(k_step) steps; /* of the nest being built */
    k_keep *keep; /* of the nest being built, or NULL: its product's columns are kept by groups */
    const ir_dim *group;         /* of keep: the place along `groups` */
    VEC(const ir_data *) consts; /* of the constant buffers, by position in const_bufs */
    VEC(k_buf *) const_bufs; /* numbered when all other buffers are there */
} lower;

/* Expressions (lower_expr.c): built simplified, equal ones are one. ---------------------------- */
const k_expr *lower_const_f(lower *l, ir_dtype t, double value);
const k_expr *lower_const_i(lower *l, ir_dtype t, int64_t value);
const k_expr *lower_op(lower *l, ir_op op, ir_dtype t, uint32_t n, const k_expr *const *args);
const k_expr *lower_unary(lower *l, ir_op op, const k_expr *x);
const k_expr *lower_binary(lower *l, ir_op op, const k_expr *x, const k_expr *y);
const k_expr *lower_select(lower *l, const k_expr *cond, const k_expr *x, const k_expr *y);
const k_expr *lower_cast(lower *l, const k_expr *x, ir_dtype t);
const k_expr *lower_load(lower *l, const k_buf *b, const ir_dim *offset, const k_expr *guard);
/* An element of a parameter that lies in panels. */
const k_expr *lower_load_packed(lower *l, const k_buf *b, const ir_dim *const *index,
                                const k_expr *guard);
const k_expr *lower_reduced(lower *l, uint32_t step, ir_dtype t);
const k_expr *lower_hole(lower *l, ir_dtype t);
const k_expr *lower_random(lower *l, const ir_node *n, const ir_dim *element);
const k_expr *lower_and(lower *l, const k_expr *x, const k_expr *y); /* either may be NULL: true */
/* The value of an index, as i64. */
const k_expr *lower_index(lower *l, const ir_dim *d);
/* An index that stands for an i64 expression known to be within [0, size). */
const ir_dim *lower_opaque(lower *l, const k_expr *e, const ir_dim *size);
/* lo <= d < hi as a bool expression, NULL when that always holds. */
const k_expr *lower_within(lower *l, const ir_dim *d, const ir_dim *lo, const ir_dim *hi);

/* A new axis; *index is the symbol that stands for it in indices. */
const k_axis *lower_axis(lower *l, const ir_dim *extent, const ir_dim **index);
/* Row-major position of an index in a type. */
const ir_dim *lower_linear(lower *l, const ir_type *t, const ir_dim *const *index);

/* The index, of type `from`, that a reshape to `to` reads at an index of its own. */
void lower_reshape(ir_ctx *c, const ir_type *from, const ir_type *to, const ir_dim *const *index,
                   const ir_dim **out);

/* Values (lower_value.c, lower_reduce.c, lower_window.c, lower_resize.c) -------------------------
 */
const k_expr *lower_value(lower *l, const lower_scope *s, const ir_node *n,
                          const ir_dim *const *index, const k_expr *guard);
const k_expr *lower_value_reduce(lower *l, const lower_scope *s, const ir_node *n,
                                 const ir_dim *const *index, const k_expr *guard);
const k_expr *lower_value_norm(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard);
const k_expr *lower_value_contract(lower *l, const lower_scope *s, const ir_node *n,
                                   const ir_dim *const *index, const k_expr *guard);
const k_expr *lower_value_conv(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard);
/* What a nest made of this convolution sums up; NULL where its operands are not as they lie in
 * memory, or their elements no f32s. */
const k_conv *lower_conv(lower *l, const lower_scope *s, const ir_node *n);
const k_pool *lower_pool(lower *l, const lower_scope *s, const ir_node *n);
const k_expr *lower_value_pool(lower *l, const lower_scope *s, const ir_node *n,
                               const ir_dim *const *index, const k_expr *guard);
const k_expr *lower_value_resize(lower *l, const lower_scope *s, const ir_node *n,
                                 const ir_dim *const *index, const k_expr *guard);
/* The buffer of an operand of f32s, in rows or, where so asked for, in panels of taps; NULL when it
 * is anything else. */
const k_buf *lower_plain_buf(const lower_scope *s, const ir_node *x, bool taps);
/* Adds a REDUCE step, or finds the equal one; returns its value. */
const k_expr *lower_add_reduce(lower *l, ir_op op, uint32_t n_axes, const k_axis *const *axes,
                               const k_expr *value, ir_dtype acc);
/* The type sums of this element type are accumulated in. */
ir_dtype lower_acc(ir_dtype t);

/* Kernels (lower_kernel.c) ----------------------------------------------------------------------
 */

/* Operands and results of the nodes that are one kernel: a node's operands, its results, then the
 * next node's. */
typedef struct lower_values {
    uint32_t n;
    const k_place *places;
    const ir_param *const *params; /* NULL: none */
} lower_values;

typedef struct lower_source {
    bool is_const;
    uint32_t index;
} lower_source;

typedef struct lowered_kernel {
    const k_kernel *kernel;
    /* Where each buffer of the kernel comes from: one of the values, or a constant of a body. */
    const lower_source *sources; /* [n_bufs] */
    const ir_data **consts;
    const ir_dim **dims; /* [kernel->n_syms] */
} lowered_kernel;

/* n nodes that become one kernel: nests that are run one after the other. kernel->id is not set. */
lowered_kernel lower_kernel(ir_ctx *c, arena *a, const ir_node *const *nodes, uint32_t n,
                            const lower_values *of);

#endif
