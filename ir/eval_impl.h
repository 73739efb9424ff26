/* Inside the interpreter. One function a row of ops.def, named by its `eval` column. */
#ifndef AIGC_IR_EVAL_IMPL_H
#define AIGC_IR_EVAL_IMPL_H

#include "ir/eval.h"

enum { EVAL_MOST_RESULTS = 16, EVAL_MOST_AXES = 2 * IR_MAX_RANK + 1, EVAL_MOST_OFFSETS = 4 };

/* Memory of values, counted by those who use it. */
typedef struct eval_block eval_block;
struct eval_block {
    eval_block *next, *last; /* all blocks of an eval */
    int64_t uses, bytes;
    double data[]; /* aligned for every element type */
};

/* A tensor; block is NULL where the memory is somebody else's. */
typedef struct eval_value {
    ir_tensor t;
    eval_block *block;
} eval_value;

typedef struct eval_symbol {
    const ir_sym *sym;
    int64_t value;
} eval_symbol;

typedef struct eval {
    ir_eval_env *env; /* NULL: only ops that need nothing from outside */
    arena *scratch;   /* released after every node */
    eval_symbol *symbols;
    uint32_t n_symbols, most_symbols;
    const eval_value *inputs; /* of the graph that is being run */
    eval_block *blocks;
    int64_t bytes;
    char *error; /* [256] */
} eval;

/* Always false. The first error stays. */
bool eval_fail(eval *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool eval_size(eval *e, const ir_dim *d, int64_t *value);
/* The values of a DIMS attribute of n dims. */
bool eval_sizes(eval *e, const ir_node *n, ir_attr_key key, uint32_t count, int64_t *values);
/* dtype and sizes of a type; no data. */
bool eval_shape(eval *e, const ir_type *t, ir_tensor *out);
bool eval_push_symbol(eval *e, const ir_sym *s, int64_t value);

/* Zeroed memory for v, whose dtype and sizes are set. */
bool eval_new(eval *e, eval_value *v);
/* v's elements are those of `from`, which has as many. */
void eval_share(eval_value *v, const eval_value *from);
void eval_drop(eval *e, eval_value *v);
/* Scratch memory that goes after the node; NULL, with an error, beyond the limit. */
void *eval_scratch(eval *e, int64_t count, size_t size);
/* All elements as f64 or i64, in scratch memory. */
double *eval_f64s(eval *e, const ir_tensor *t);
int64_t *eval_i64s(eval *e, const ir_tensor *t);

/* Rounds the elements of an operand of a product as the node's `math` says. */
void eval_round_operand(const ir_node *n, uint32_t operand, const ir_tensor *t, double *x);

/* Runs a graph; outputs: one an output of the graph, to be dropped by the caller. */
bool eval_graph(eval *e, const ir_graph *g, const eval_value *inputs, eval_value *outputs);

/* Numbers: f of floats, i of integers and bool. */
typedef union eval_number {
    double f;
    int64_t i;
} eval_number;
eval_number eval_load(const ir_tensor *t, int64_t at);
void eval_store(const ir_tensor *t, int64_t at, eval_number x);
eval_number eval_apply(ir_op op, ir_dtype t, eval_number x, eval_number y);
/* One element as it is. */
void eval_move(const ir_tensor *to, int64_t to_at, const ir_tensor *from, int64_t from_at);
/* An index that comes from data, brought within [0, size): negative ones count from the end. */
int64_t eval_place(const ir_tensor *ids, int64_t at, int64_t size);

/* Steps of each axis, in elements. */
void eval_strides(const ir_tensor *t, int64_t *strides);
/* Those of t where it is broadcast to the axes of `to`: 0 where it has one element or no axis. */
void eval_broadcast_strides(const ir_tensor *t, const ir_tensor *to, int64_t *strides);

/* All points of some axes in row-major order, with offsets into several tensors:
 *
 *     eval_walk w = {0};   eval_walk_axis(&w, size, 2, (int64_t[]){stride0, stride1});   ...
 *     for (eval_walk_begin(&w); w.left; eval_walk_next(&w))   ... w.offset[0], w.offset[1] ... */
typedef struct eval_walk {
    uint32_t n_axes;
    int64_t size[EVAL_MOST_AXES], at[EVAL_MOST_AXES];
    int64_t stride[EVAL_MOST_OFFSETS][EVAL_MOST_AXES];
    int64_t start[EVAL_MOST_OFFSETS], offset[EVAL_MOST_OFFSETS];
    int64_t left;
} eval_walk;
void eval_walk_axis(eval_walk *w, int64_t size, uint32_t n, const int64_t *strides);
void eval_walk_begin(eval_walk *w);
void eval_walk_next(eval_walk *w);

/* A row along one axis: elements first + k * stride, k < n, for each of `rows` rows. */
typedef struct eval_rows {
    int64_t rows, n, stride;
} eval_rows;
eval_rows eval_rows_of(const ir_tensor *t, uint32_t axis);
int64_t eval_row_first(const eval_rows *r, int64_t row);

typedef bool eval_fn(eval *e, const ir_node *n, const eval_value *in, eval_value *out);
/* out: [n_results], dtype and sizes set. */
#define UNARY(...)
#define BINARY(...)
#define OP(name, in, family, traits, infer, eval) eval_fn eval_op_##eval;
#include "ir/ops.def"
eval_fn eval_op_elementwise;

#endif
