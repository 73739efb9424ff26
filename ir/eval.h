/* The reference interpreter: plain loops, f64 accumulation. The referee for passes and kernels,
 * also used to fold constants. Never a way to run a model fast.
 *
 * Every value is rounded to its element type once, when a node has been evaluated; inside a node
 * all arithmetic is f64 (i64 for integers). Works on every stage: kernels are evaluated by their
 * bodies. */
#ifndef AIGC_IR_EVAL_H
#define AIGC_IR_EVAL_H

#include "ir/module.h"

typedef struct ir_tensor {
    ir_dtype dtype;
    uint32_t rank;
    int64_t dims[IR_MAX_RANK];
    void *data; /* row-major, dense */
} ir_tensor;

typedef struct ir_eval_env {
    arena *a; /* where results go */
    /* Called once for every param node; the tensor has the node's type. NULL: no parameters. */
    bool (*param)(void *data, const char *name, uint32_t n_indices, const int64_t *indices,
                  const ir_type *type, ir_tensor *out);
    /* A state's tensor, kept by the caller between calls; written back at the end. */
    bool (*state)(void *data, const char *name, const ir_type *type, ir_tensor **tensor);
    /* Calls an extern function with row-major arguments; results have data allocated. */
    bool (*call)(void *data, const char *target, uint32_t n_args, const ir_tensor *args,
                 uint32_t n_results, ir_tensor *results);
    void *data;
    uint64_t seed;
    char error[256]; /* why it failed */
} ir_eval_env;

/* Runs an entry's graph. dims: the dim arguments (ir_graph_n_dim_args); symbols bound by the
 * arguments' shapes are found. args: one an input. results: one an output of kind result, filled
 * in. False, with env->error, when arguments do not fit, a condition fails, or memory would exceed
 * 16 GiB. */
bool ir_eval(const ir_graph *g, ir_eval_env *env, const int64_t *dims, const ir_tensor *args,
             ir_tensor *results);

/* What ir_eval does first: the values of all of the entry's symbols (ir_graph_n_syms) for arguments
 * of these shapes (their data is not touched). False, with env->error saying what must hold. */
bool ir_eval_bind(const ir_graph *g, ir_eval_env *env, const int64_t *dims, const ir_tensor *args,
                  int64_t *values);

/* One op on constant operands, for folding. False when it cannot be done. */
bool ir_eval_node(const ir_node *n, arena *a, const ir_tensor *in, ir_tensor *out);

int64_t ir_tensor_elems(const ir_tensor *t);

#endif
