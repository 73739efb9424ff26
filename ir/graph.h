/* The graph IR: SSA tensor ops.
 *
 *     node     an op, result types, inputs, attributes, body graphs, a location. Immutable.
 *     graph    nodes in topological order (ids ascend, inputs before users), named outputs, the
 *              symbols its dims are made of, and the conditions assumed of them. A loop's or a
 *              kernel's body is a graph too.
 *     module   a model: entries (graphs), parameters, states, extern functions (module.h)
 *
 * Pure nodes are interned within a graph: adding the same op on the same inputs with the same
 * attributes yields the same pointer, so equality is ==. Bodies take part by pointer.
 *
 * A body graph sees nothing from outside but its inputs; what it captures is passed as operands:
 *
 *     loop     operands: carries..., captures...     body inputs: the same, in the same order
 *              body outputs: next carries..., collected values..., [whether to go on: bool[]]
 *              results (through get): carries after the last turn..., collected [n, ...]...
 *              attrs lo, hi, step, sym: the index symbol is a dim within the body.
 *              A loop that ends early leaves the rows not reached zero.
 *     kernel   operands -> body inputs; body outputs -> results
 *     attention  operands q, k, v, extras...; body inputs: score (f32[..., Tq, Tk]), extras...;
 *              body output: the score that goes into softmax. No body: unchanged.
 *
 * States are values: `state` is what a state holds when the call begins, updates make new values
 * (IR_OP_update), and the graph's state outputs name what it holds in the end. Later stages see to
 * it that updates happen in place.
 */
#ifndef AIGC_IR_GRAPH_H
#define AIGC_IR_GRAPH_H

#include "ir/op.h"
#include "ir/shape.h"
#include "support/source.h"

typedef struct ir_graph ir_graph;
typedef struct ir_node ir_node;

/* Attributes ----------------------------------------------------------------------------------- */

typedef enum ir_attr_kind {
    IR_ATTR_KIND_INT,
    IR_ATTR_KIND_FLOAT,
    IR_ATTR_KIND_STR,
    IR_ATTR_KIND_DTYPE,
    IR_ATTR_KIND_DIM,
    IR_ATTR_KIND_SYM,
    IR_ATTR_KIND_DATA,
    IR_ATTR_KIND_INTS,
    IR_ATTR_KIND_DIMS,
    IR_ATTR_KIND_STRS
} ir_attr_kind;

typedef enum ir_attr_key {
#define ATTR(name, kind) IR_ATTR_##name,
#include "ir/attrs.def"
    IR_ATTR_COUNT
} ir_attr_key;

/* Elements of a constant. splat: one element stands for all. */
typedef struct ir_data {
    ir_dtype dtype;
    bool splat;
    size_t size_bytes;
    const void *bytes; /* aligned to 64 */
} ir_data;
/* The one copy of these elements; it lives as long as the ir_ctx. ir_graph_add does it for the
 * `data` of nodes, so that a caller's own may go. */
const ir_data *ir_data_keep(ir_ctx *c, const ir_data *data);

typedef struct ir_attr {
    ir_attr_key key;
    uint32_t n; /* length of lists */
    union {
        int64_t i;
        double f;
        const char *s; /* interned */
        ir_dtype dtype;
        const ir_dim *dim;
        const ir_sym *sym;
        const ir_data *data;
        const int64_t *ints;
        const ir_dim *const *dims;
        const char *const *strs; /* interned */
    };
} ir_attr;

const char *ir_attr_name(ir_attr_key key);
ir_attr_kind ir_attr_kind_of(ir_attr_key key);
bool ir_attr_from_name(const char *name, ir_attr_key *key);
/* The same key and value. */
bool ir_attr_same(const ir_attr *x, const ir_attr *y);

/* Makers; lists are copied when a node is added. */
static inline ir_attr ir_attr_i(ir_attr_key key, int64_t i)
{
    return (ir_attr){.key = key, .i = i};
}
static inline ir_attr ir_attr_f(ir_attr_key key, double f)
{
    return (ir_attr){.key = key, .f = f};
}
static inline ir_attr ir_attr_s(ir_attr_key key, const char *interned)
{
    return (ir_attr){.key = key, .s = interned};
}
static inline ir_attr ir_attr_t(ir_attr_key key, ir_dtype dtype)
{
    return (ir_attr){.key = key, .dtype = dtype};
}
static inline ir_attr ir_attr_d(ir_attr_key key, const ir_dim *dim)
{
    return (ir_attr){.key = key, .dim = dim};
}
static inline ir_attr ir_attr_sym_of(ir_attr_key key, const ir_sym *sym)
{
    return (ir_attr){.key = key, .sym = sym};
}
static inline ir_attr ir_attr_data_of(const ir_data *data)
{
    return (ir_attr){.key = IR_ATTR_data, .data = data};
}
static inline ir_attr ir_attr_is(ir_attr_key key, uint32_t n, const int64_t *ints)
{
    return (ir_attr){.key = key, .n = n, .ints = ints};
}
static inline ir_attr ir_attr_ds(ir_attr_key key, uint32_t n, const ir_dim *const *dims)
{
    return (ir_attr){.key = key, .n = n, .dims = dims};
}
static inline ir_attr ir_attr_ss(ir_attr_key key, uint32_t n, const char *const *strs)
{
    return (ir_attr){.key = key, .n = n, .strs = strs};
}

/* Nodes ---------------------------------------------------------------------------------------- */

typedef struct ir_loc {
    span where;       /* in the user's file; {0}: made by the compiler */
    const char *path; /* module path, "h.{}.attn", interned; NULL: the model itself */
} ir_loc;

struct ir_node {
    uint32_t id; /* dense in its graph */
    ir_op op;
    uint32_t n_in, n_results, n_attrs, n_bodies;
    const ir_node *const *in;
    const ir_type *const *types; /* [n_results], n_results >= 1 */
    const ir_attr *attrs;        /* by ascending key, at most one of a key */
    ir_graph *const *bodies;
    ir_loc loc;
};

/* The result's type of a node with one result. */
static inline const ir_type *ir_node_type(const ir_node *n)
{
    return n->types[0];
}
const ir_attr *ir_node_attr(const ir_node *n, ir_attr_key key); /* NULL when absent */
/* The value, or the default when absent. */
int64_t ir_node_int(const ir_node *n, ir_attr_key key, int64_t otherwise);
double ir_node_float(const ir_node *n, ir_attr_key key, double otherwise);
const char *ir_node_str(const ir_node *n, ir_attr_key key); /* NULL when absent */

/* Graphs --------------------------------------------------------------------------------------- */

typedef enum ir_stage {
    IR_STAGE_TENSOR, /* tensor ops and loops */
    IR_STAGE_KERNEL, /* input param state const reshape kernel loop get extern only */
    IR_STAGE_PLANNED /* every result has a place: space, at, bytes */
} ir_stage;
const char *ir_stage_name(ir_stage s);

typedef enum ir_output_kind { IR_OUTPUT_RESULT, IR_OUTPUT_STATE } ir_output_kind;

typedef struct ir_output {
    ir_output_kind kind;
    const char *name; /* result's or state's name, interned */
    const ir_node *node;
} ir_output;

/* lhs REL rhs holds of the dims; checked once, at the entry. */
typedef enum ir_relation { IR_REL_EQ, IR_REL_LE } ir_relation;
typedef struct ir_condition {
    ir_relation rel;
    const ir_dim *lhs, *rhs;
    const char *text; /* as the user wrote it, or made up: "T == S"; interned */
    span where;
} ir_condition;

ir_graph *ir_graph_create(ir_ctx *c, const char *name);
/* Frees the graph, and every body of its nodes that no other graph's node has. A graph that is a
 * body of a node belongs to that node: destroying it does nothing. What nobody destroys goes with
 * the context's arena. */
void ir_graph_destroy(ir_graph *g);
ir_ctx *ir_graph_ctx(const ir_graph *g);
arena *ir_graph_arena(const ir_graph *g);
const char *ir_graph_name(const ir_graph *g);
ir_stage ir_graph_stage(const ir_graph *g);
void ir_graph_set_stage(ir_graph *g, ir_stage s);

uint32_t ir_graph_size(const ir_graph *g);
const ir_node *ir_graph_node(const ir_graph *g, uint32_t id);

/* Adds a node, or returns the equal one already there. Copies lists; sorts attributes; does not
 * check: build.h does, and verify.h. Inputs belong to the same graph. */
const ir_node *ir_graph_add(ir_graph *g, ir_op op, uint32_t n_in, const ir_node *const *in,
                            uint32_t n_results, const ir_type *const *types, uint32_t n_attrs,
                            const ir_attr *attrs, uint32_t n_bodies, ir_graph *const *bodies,
                            ir_loc loc);

/* Arguments of the graph, in order. Each is an IR_OP_input node. */
const ir_node *ir_graph_add_input(ir_graph *g, const char *name, const ir_type *t, ir_loc loc);
uint32_t ir_graph_n_inputs(const ir_graph *g);
const ir_node *ir_graph_input(const ir_graph *g, uint32_t i);

void ir_graph_add_output(ir_graph *g, ir_output_kind kind, const char *name, const ir_node *node);
uint32_t ir_graph_n_outputs(const ir_graph *g);
const ir_output *ir_graph_output(const ir_graph *g, uint32_t i);

/* Symbols of an entry: dim arguments first (n_dim_args), then those bound by shapes, in order of
 * appearance. Bodies have none of their own: they use the entry's and their loops' indices. */
void ir_graph_add_sym(ir_graph *g, const ir_sym *s, bool is_argument);
uint32_t ir_graph_n_syms(const ir_graph *g);
const ir_sym *ir_graph_sym(const ir_graph *g, uint32_t i);
uint32_t ir_graph_n_dim_args(const ir_graph *g);

void ir_graph_add_condition(ir_graph *g, ir_condition c); /* repeated ones are kept once */
uint32_t ir_graph_n_conditions(const ir_graph *g);
const ir_condition *ir_graph_condition(const ir_graph *g, uint32_t i);

/* Facts about the planned graph. NULL before. */
void ir_graph_set_arena_bytes(ir_graph *g, const ir_dim *bytes);
const ir_dim *ir_graph_arena_bytes(const ir_graph *g);

/* Rewriting ------------------------------------------------------------------------------------ */

/* A new graph of the same name, stage, symbols, conditions and inputs, without outputs. */
ir_graph *ir_graph_begin_rewrite(const ir_graph *old);
/* A new graph like the above but without inputs; add_input_like adds them, with attributes set. */
ir_graph *ir_graph_begin_rewrite_bare(const ir_graph *old);
const ir_node *ir_graph_add_input_like(ir_graph *g, const ir_node *n, uint32_t n_attrs,
                                       const ir_attr *attrs);
/* Copies a node into g with the given inputs (of g), all else as it is. */
const ir_node *ir_graph_copy_node(ir_graph *g, const ir_node *n, const ir_node *const *in);
/* Copies n with other bodies. */
const ir_node *ir_graph_copy_node_bodies(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                         ir_graph *const *bodies);
/* Copies n with attributes set (replacing those of the same key). */
const ir_node *ir_graph_copy_node_attrs(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                        uint32_t n_attrs, const ir_attr *attrs);
/* Both at once. */
const ir_node *ir_graph_copy_node_with(ir_graph *g, const ir_node *n, const ir_node *const *in,
                                       ir_graph *const *bodies, uint32_t n_attrs,
                                       const ir_attr *attrs);
/* Adds to g outputs like old's, mapped by new_of[old id]. */
void ir_graph_end_rewrite(ir_graph *g, const ir_graph *old, const ir_node *const *new_of);
/* A deep copy of a graph, bodies included. With `by`, a symbol is replaced in all dims. */
ir_graph *ir_graph_clone(const ir_graph *g);
ir_graph *ir_graph_subst(const ir_graph *g, const ir_sym *s, const ir_dim *by);

/* The one node of that op; NULL: there is none, or several. */
const ir_node *ir_graph_only(const ir_graph *g, ir_op op);
/* How many operands and outputs of the graph refer to each node (bodies not counted). [size] in a.
 */
const uint32_t *ir_graph_use_counts(const ir_graph *g, arena *a);

#endif
