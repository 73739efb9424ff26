/* Building graphs: adds a node after working out its result types.
 *
 * ir_build returns NULL when operands do not fit, with the reason in b->error; nothing is added. It
 * allows what may be equal: where two dims must agree and that cannot be proved or refuted, the
 * condition is recorded in `conditions` (the entry's graph) and checked at run time.
 * NULL operands yield NULL without a new error, so that one mistake is told once. */
#ifndef AIGC_IR_BUILD_H
#define AIGC_IR_BUILD_H

#include "ir/graph.h"

typedef struct ir_error {
    char text[256];   /* "inner sizes differ: 768 and 512" */
    char advice[128]; /* what mends it, "convert with cast(x, f32)"; or "" */
    int operand[2];   /* which operands' sizes clash, or -1 */
    int axis[2];      /* which of their axes, or -1 */
} ir_error;

typedef struct ir_builder {
    ir_ctx *ctx;
    ir_graph *graph;      /* where nodes go */
    ir_graph *conditions; /* where conditions go; NULL: what cannot be proved is an error */
    ir_loc loc;           /* given to new nodes */
    ir_error error;
    bool failed; /* set with error, never cleared by the builder */
} ir_builder;

/* The general way. Attributes as for ir_graph_add. */
const ir_node *ir_build(ir_builder *b, ir_op op, uint32_t n_in, const ir_node *const *in,
                        uint32_t n_attrs, const ir_attr *attrs, uint32_t n_bodies,
                        ir_graph *const *bodies);

const ir_node *ir_unary(ir_builder *b, ir_op op, const ir_node *x);
const ir_node *ir_binary(ir_builder *b, ir_op op, const ir_node *x, const ir_node *y);
const ir_node *ir_where(ir_builder *b, const ir_node *cond, const ir_node *x, const ir_node *y);
const ir_node *ir_cast(ir_builder *b, const ir_node *x, ir_dtype t); /* x itself when it is a t */

const ir_node *ir_const_f(ir_builder *b, ir_dtype t, double value); /* a scalar */
const ir_node *ir_const_i(ir_builder *b, ir_dtype t, int64_t value);
/* elements in row-major order of a type with constant dims; copied */
const ir_node *ir_const_data(ir_builder *b, const ir_type *t, const void *elements);
const ir_node *ir_dim_node(ir_builder *b, const ir_dim *d); /* i64[] */
const ir_node *ir_iota(ir_builder *b, ir_dtype t, uint32_t rank, const ir_dim *const *shape,
                       uint32_t axis);
const ir_node *ir_param_node(ir_builder *b, const char *name, const ir_type *t, uint32_t n_indices,
                             const ir_dim *const *indices);
const ir_node *ir_state_node(ir_builder *b, const char *name, const ir_type *t);

const ir_node *ir_reshape(ir_builder *b, const ir_node *x, uint32_t rank,
                          const ir_dim *const *shape);
const ir_node *ir_transpose(ir_builder *b, const ir_node *x, const int64_t *perm);
const ir_node *ir_broadcast(ir_builder *b, const ir_node *x, uint32_t rank,
                            const ir_dim *const *shape);
/* offset, size and step (1 when steps is NULL) for every axis. The caller has resolved negative
 * indices. Ranges that cannot be proved within bounds become conditions. */
const ir_node *ir_slice(ir_builder *b, const ir_node *x, const ir_dim *const *offsets,
                        const ir_dim *const *sizes, const int64_t *steps);
const ir_node *ir_update(ir_builder *b, const ir_node *dst, const ir_node *src,
                         const ir_dim *const *offsets);
const ir_node *ir_concat(ir_builder *b, uint32_t n, const ir_node *const *parts, uint32_t axis);
const ir_node *ir_pad(ir_builder *b, const ir_node *x, const ir_dim *const *lo,
                      const ir_dim *const *hi, double value);
const ir_node *ir_take(ir_builder *b, const ir_node *x, const ir_node *ids, uint32_t axis);
const ir_node *ir_reduce(ir_builder *b, ir_op op, const ir_node *x, uint32_t n_axes,
                         const int64_t *axes, bool keep);
/* Two-operand einsum: labels are strings of letters, one a axis. Letters of both operands that are
 * not in the result are summed over. Letters of one operand only that are not in the result are
 * summed over as well. A size of 1 broadcasts against another size. */
const ir_node *ir_contract(ir_builder *b, const ir_node *x, const ir_node *y, const char *x_labels,
                           const char *y_labels, const char *labels);
/* NumPy's matmul: 1-d operands allowed, leading axes broadcast. */
const ir_node *ir_matmul(ir_builder *b, const ir_node *x, const ir_node *y);
const ir_node *ir_get(ir_builder *b, const ir_node *x, uint32_t index);
/* inputs: carries then captures. body as graph.h says. */
const ir_node *ir_loop(ir_builder *b, uint32_t n_in, const ir_node *const *in, uint32_t n_carries,
                       uint32_t n_collects, bool has_cond, const ir_sym *sym, const ir_dim *lo,
                       const ir_dim *hi, int64_t step, ir_graph *body);

/* The shape rule alone: result types of an op, or false with the reason. conditions may be NULL. */
bool ir_infer(ir_ctx *c, ir_graph *conditions, span where, ir_op op, uint32_t n_in,
              const ir_type *const *in, uint32_t n_attrs, const ir_attr *attrs, uint32_t n_bodies,
              ir_graph *const *bodies, uint32_t *n_results, const ir_type **results /* [16] */,
              ir_error *error);

/* lhs REL rhs: proved, or recorded in `conditions` as the shape rules do. False when refuted, or
 * when it can neither be proved nor checked at the entry (it depends on a loop's index; NULL
 * conditions). */
bool ir_require(ir_ctx *c, ir_graph *conditions, span where, ir_relation rel, const ir_dim *lhs,
                const ir_dim *rhs);

/* Number of turns of a loop lo..hi by step: max(0, ceil((hi - lo) / step)). */
const ir_dim *ir_loop_turns(ir_ctx *c, const ir_dim *lo, const ir_dim *hi, int64_t step);
/* The shape two operands broadcast to, or false (error: which axes). */
bool ir_shape_broadcast(ir_ctx *c, ir_graph *conditions, span where, const ir_type *a,
                        const ir_type *b, uint32_t *rank, const ir_dim **dims, ir_error *error);

#endif
