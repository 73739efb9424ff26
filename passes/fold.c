/* fold: what is known while compiling is computed while compiling, by the interpreter.
 *
 *     %1 = const {data=splat(2)} : f32[]                After   %3 = const {data=splat(1.41421…)} :
 * f32[T, 8] %2 = sqrt %1 : f32[] %3 = broadcast %2 {shape=[T, 8]} : f32[T, 8]
 *
 * One value for all elements stays one, whatever the shape. Tables of floats made of counters and
 * constants (the frequencies of a position embedding) become constants of at most MOST_ELEMS
 * elements. `where` by a constant is one of its values; sizes that are constant become numbers.
 *
 * Keeps: shapes, types, inputs, outputs, values (as rounded by the element type). Leaves alone:
 * draws, counters themselves and masks made of them (kernels make those as they go), what would
 * become large, and whatever has no value (an empty maximum). */
#include "passes/match.h"

#include "ir/eval.h"

#include <string.h>

enum { MOST_ELEMS = 1024 };

static const ir_data *data_of(const ir_node *n)
{
    return n->op == IR_OP_const ? ir_node_attr(n, IR_ATTR_data)->data : NULL;
}

static bool is_splat(const ir_node *n)
{
    const ir_data *d = data_of(n);
    return d && d->splat;
}

static const ir_node *constant(ir_builder *b, const ir_type *t, const ir_data *d)
{
    ir_attr a = ir_attr_data_of(d);
    return ir_graph_add(b->graph, IR_OP_const, 0, NULL, 1, &t, 1, &a, 0, NULL, b->loc);
}

static const ir_node *splat(ir_builder *b, const ir_type *t, const void *element)
{
    ir_data d = {
        .dtype = t->dtype, .splat = true, .size_bytes = ir_dtype_bytes(t->dtype), .bytes = element};
    return constant(b, t, &d);
}

/* Elements of a type with constant sizes, at most MOST_ELEMS; -1: unknown or more. */
static int64_t small_elems(ir_ctx *c, const ir_type *t)
{
    const ir_dim *n = ir_type_elems(c, t);
    return ir_dim_is_const(n) && ir_dim_value(n) <= MOST_ELEMS ? ir_dim_value(n) : -1;
}

/* One element stands for all: op on scalars. */
static const ir_node *fold_scalar(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    const ir_type *type = ir_type_scalar(b->ctx, ir_node_type(n)->dtype);
    ir_node scalar = *n, operands[3];
    const ir_node *operand[3];
    const ir_type *types[3];
    ir_tensor values[3], out;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_data *d = data_of(in[i]);
        types[i] = ir_type_scalar(b->ctx, d->dtype);
        operands[i] = (ir_node){.op = IR_OP_const, .n_results = 1, .types = &types[i]};
        operand[i] = &operands[i];
        values[i] = (ir_tensor){.dtype = d->dtype, .data = (void *)(uintptr_t)d->bytes};
    }
    scalar.in = operand;
    scalar.types = &type;
    arena *a = arena_create();
    bool ok = ir_eval_node(&scalar, a, values, &out);
    const ir_node *r = ok ? splat(b, ir_node_type(n), out.data) : NULL;
    arena_destroy(a);
    return r;
}

/* Moves give what they are given. */
static bool moves_splat(const ir_node *n)
{
    switch (n->op) {
    case IR_OP_reshape:
    case IR_OP_transpose:
    case IR_OP_broadcast:
    case IR_OP_slice:
    case IR_OP_reverse:
        return true;
    default:
        return false;
    }
}

/* A constant's elements, one by one. */
static bool spread(ir_builder *b, const ir_node *n, arena *a, ir_tensor *out)
{
    const ir_type *t = ir_node_type(n);
    int64_t elems = small_elems(b->ctx, t);
    if (elems < 0) {
        return false;
    }
    *out = (ir_tensor){.dtype = t->dtype, .rank = t->rank};
    for (uint32_t i = 0; i < t->rank; i++) {
        out->dims[i] = ir_dim_value(t->dims[i]);
    }
    if (n->op == IR_OP_iota) {
        return ir_eval_node(n, a, NULL, out);
    }
    const ir_data *d = data_of(n);
    size_t size = ir_dtype_bytes(t->dtype);
    char *bytes = arena_alloc(a, (size_t)elems * size);
    for (int64_t i = 0; i < elems; i++) {
        memcpy(bytes + (size_t)i * size, (const char *)d->bytes + (d->splat ? 0 : (size_t)i * size),
               size);
    }
    out->data = bytes;
    return true;
}

/* Every element by the interpreter. */
static const ir_node *fold_elements(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    arena *a = arena_create();
    ir_tensor *values = arena_array(a, ir_tensor, n->n_in), out;
    int64_t elems = small_elems(b->ctx, ir_node_type(n));
    bool ok = elems >= 0;
    for (uint32_t i = 0; i < n->n_in && ok; i++) {
        ok = spread(b, in[i], a, &values[i]);
    }
    const ir_node *r = NULL;
    if (ok && ir_eval_node(n, a, values, &out)) {
        ir_data d = {.dtype = out.dtype,
                     .size_bytes = (size_t)elems * ir_dtype_bytes(out.dtype),
                     .bytes = out.data};
        r = constant(b, ir_node_type(n), &d);
    }
    arena_destroy(a);
    return r;
}

/* where(true, x, y) is x, where it has the result's shape already. */
static const ir_node *fold_where(ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    const ir_data *d = data_of(in[0]);
    if (in[1] == in[2] && ir_type_same_shape(ir_node_type(in[1]), ir_node_type(n))) {
        return in[1];
    }
    if (!d || !d->splat) {
        return NULL;
    }
    const ir_node *x = in[ir_dtype_load_i64(d->dtype, d->bytes, 0) ? 1 : 2];
    const ir_type *t = ir_node_type(n);
    return ir_type_same_shape(ir_node_type(x), t) ? x : ir_broadcast(b, x, t->rank, t->dims);
}

static bool all_of(const ir_node *n, const ir_node *const *in, bool (*is)(const ir_node *x))
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!is(in[i])) {
            return false;
        }
    }
    return n->n_in > 0;
}

static bool is_known(const ir_node *n)
{
    return n->op == IR_OP_const || n->op == IR_OP_iota;
}

static const ir_node *fold(void *data, ir_builder *b, const ir_node *n, const ir_node *const *in)
{
    (void)data;
    const ir_type *t = n->types[0];
    if (n->op == IR_OP_dim && ir_dim_is_const(ir_node_attr(n, IR_ATTR_dim)->dim)) {
        return ir_const_i(b, IR_i64, ir_dim_value(ir_node_attr(n, IR_ATTR_dim)->dim));
    }
    const ir_node *chosen = n->op == IR_OP_where ? fold_where(b, n, in) : NULL;
    if (chosen || n->n_results != 1 || n->n_bodies) {
        return chosen;
    }
    if (all_of(n, in, is_splat)) {
        if (ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE) {
            return fold_scalar(b, n, in);
        }
        if (moves_splat(n)) {
            return splat(b, t, data_of(in[0])->bytes);
        }
    }
    bool pure = ir_op_family(n->op) != IR_FAMILY_STRUCTURE && ir_op_family(n->op) != IR_FAMILY_LEAF;
    bool table = ir_dtype_is_float(t->dtype) || all_of(n, in, is_splat);
    return pure && table && all_of(n, in, is_known) ? fold_elements(b, n, in) : NULL;
}

ir_graph *pass_fold(pass_ctx *c, const ir_graph *g)
{
    (void)c;
    return rewrite_graph(g, fold, NULL);
}
