/* Inside the shape rules. One rule a row of ops.def, named by its `infer` column. */
#ifndef AIGC_IR_INFER_H
#define AIGC_IR_INFER_H

#include "ir/build.h"

typedef struct infer {
    ir_ctx *c;
    ir_graph *conditions; /* may be NULL: then what cannot be proved is refused */
    span where;
    ir_op op;
    uint32_t n_in, n_attrs, n_bodies;
    const ir_type *const *in;
    const ir_attr *attrs;
    ir_graph *const *bodies;
    uint32_t n_out;
    const ir_type **out; /* [16] */
    ir_error *error;
} infer;

enum { INFER_MOST_RESULTS = 16 };

const ir_attr *infer_attr(const infer *f, ir_attr_key key); /* NULL when absent */
/* The attribute, or NULL with an error; lists must have n elements when n >= 0. */
const ir_attr *infer_need(infer *f, ir_attr_key key, int n);
bool infer_fail(infer *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As infer_fail, naming the operands' axes that clash (-1: none). */
bool infer_clash(infer *f, int operand0, int axis0, int operand1, int axis1, const char *format,
                 ...) __attribute__((format(printf, 6, 7)));
/* Proved, or recorded as a condition; false (no error set) when refuted. */
bool infer_equal(infer *f, const ir_dim *a, const ir_dim *b);
bool infer_le(infer *f, const ir_dim *a, const ir_dim *b);
bool infer_result(infer *f, ir_dtype t, uint32_t rank, const ir_dim *const *dims);
const char *infer_text(const infer *f, const ir_dim *d);
/* An axis attribute within [0, rank). */
bool infer_axis(infer *f, uint32_t rank, uint32_t *axis);

#define UNARY(...)
#define BINARY(...)
#define OP(name, in, family, traits, rule, eval) bool infer_##rule(infer *f);
#include "ir/ops.def"
bool infer_elementwise(infer *f);

#endif
