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
    bool unproved; /* the last infer_equal or infer_le was not refuted, only not provable */
} infer;

enum { INFER_MOST_RESULTS = 16 };

const ir_attr *infer_attr(const infer *f, ir_attr_key key); /* NULL when absent */
/* The attribute, or NULL with an error; lists must have n elements when n >= 0. */
const ir_attr *infer_need(infer *f, ir_attr_key key, int n);
/* A STR attribute that must be one of these words (the list ends with NULL), or NULL. */
const char *infer_word(infer *f, ir_attr_key key, const char *const *words);
/* Operands i and j have one element type. */
bool infer_same_dtype(infer *f, uint32_t i, uint32_t j);
bool infer_fail(infer *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What would mend the mistake just told; always false. */
bool infer_advise(infer *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As infer_fail, naming the operands' axes that clash (-1: none). */
bool infer_clash(infer *f, int operand0, int axis0, int operand1, int axis1, const char *format,
                 ...) __attribute__((format(printf, 6, 7)));
/* Proved by bounds, by loops' ranges or by known conditions, or else recorded as a condition.
 * False, without an error, when refuted; when it could be checked only inside a loop; or when it is
 * not proved and there is nowhere to record it. */
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
