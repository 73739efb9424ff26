#include "ir/build.h"

#include <stdio.h>
#include <string.h>

static const ir_node *fail(ir_builder *b, const char *text)
{
    b->failed = true;
    snprintf(b->error.text, sizeof b->error.text, "%s", text);
    b->error.advice[0] = 0;
    b->error.operand[0] = b->error.operand[1] = b->error.axis[0] = b->error.axis[1] = -1;
    return NULL;
}

const ir_node *ir_build(ir_builder *b, ir_op op, uint32_t n_in, const ir_node *const *in,
                        uint32_t n_attrs, const ir_attr *attrs, uint32_t n_bodies,
                        ir_graph *const *bodies)
{
    const ir_type *few[8] = {NULL};
    const ir_type **types =
        n_in <= 8 ? few : arena_array(ir_graph_arena(b->graph), const ir_type *, n_in);
    for (uint32_t i = 0; i < n_in; i++) {
        if (!in[i]) {
            return NULL;
        }
        types[i] = in[i]->types[0];
    }
    if (op == IR_OP_get) {
        bool fits = n_in == 1 && n_attrs == 1 && attrs[0].key == IR_ATTR_index;
        bool in_range = fits && attrs[0].i >= 0 && attrs[0].i < in[0]->n_results;
        return in_range ? ir_get(b, in[0], (uint32_t)attrs[0].i) : fail(b, "no such result");
    }
    for (uint32_t i = 0; i < n_in; i++) {
        if (in[i]->n_results != 1) {
            return fail(b, "a node with several results is used as a value");
        }
    }
    const ir_type *results[16];
    uint32_t n_results;
    if (!ir_infer(b->ctx, b->conditions, b->loc.where, op, n_in, types, n_attrs, attrs, n_bodies,
                  bodies, &n_results, results, &b->error)) {
        b->failed = true;
        return NULL;
    }
    return ir_graph_add(b->graph, op, n_in, in, n_results, results, n_attrs, attrs, n_bodies,
                        bodies, b->loc);
}

const ir_node *ir_unary(ir_builder *b, ir_op op, const ir_node *x)
{
    return ir_build(b, op, 1, &x, 0, NULL, 0, NULL);
}

const ir_node *ir_binary(ir_builder *b, ir_op op, const ir_node *x, const ir_node *y)
{
    const ir_node *in[2] = {x, y};
    return ir_build(b, op, 2, in, 0, NULL, 0, NULL);
}

const ir_node *ir_where(ir_builder *b, const ir_node *cond, const ir_node *x, const ir_node *y)
{
    const ir_node *in[3] = {cond, x, y};
    return ir_build(b, IR_OP_where, 3, in, 0, NULL, 0, NULL);
}

const ir_node *ir_cast(ir_builder *b, const ir_node *x, ir_dtype t)
{
    ir_attr a = ir_attr_t(IR_ATTR_dtype, t);
    return !x || ir_node_type(x)->dtype == t ? x : ir_build(b, IR_OP_cast, 1, &x, 1, &a, 0, NULL);
}

/* Leaves ----------------------------------------------------------------------------------------
 */

static const ir_node *leaf(ir_builder *b, ir_op op, const ir_type *t, uint32_t n,
                           const ir_attr *attrs)
{
    return ir_graph_add(b->graph, op, 0, NULL, 1, &t, n, attrs, 0, NULL, b->loc);
}

static const ir_node *constant(ir_builder *b, const ir_type *t, bool splat, const void *bytes,
                               size_t size)
{
    ir_data d = {t->dtype, splat, size, bytes};
    ir_attr attr = ir_attr_data_of(&d); /* ir_graph_add keeps a copy */
    return leaf(b, IR_OP_const, t, 1, &attr);
}

const ir_node *ir_const_f(ir_builder *b, ir_dtype t, double value)
{
    unsigned char bytes[8] = {0};
    ir_dtype_store(t, bytes, 0, value);
    return constant(b, ir_type_scalar(b->ctx, t), true, bytes, ir_dtype_bytes(t));
}

const ir_node *ir_const_i(ir_builder *b, ir_dtype t, int64_t value)
{
    unsigned char bytes[8] = {0};
    ir_dtype_store_i64(t, bytes, 0, value);
    return constant(b, ir_type_scalar(b->ctx, t), true, bytes, ir_dtype_bytes(t));
}

const ir_node *ir_const_data(ir_builder *b, const ir_type *t, const void *elements)
{
    const ir_dim *bytes = ir_type_bytes(b->ctx, t);
    if (!ir_dim_is_const(bytes)) {
        return fail(b, "a constant needs constant sizes");
    }
    return constant(b, t, t->rank == 0, elements, (size_t)ir_dim_value(bytes));
}

const ir_node *ir_dim_node(ir_builder *b, const ir_dim *d)
{
    ir_attr a = ir_attr_d(IR_ATTR_dim, d);
    return ir_build(b, IR_OP_dim, 0, NULL, 1, &a, 0, NULL);
}

const ir_node *ir_iota(ir_builder *b, ir_dtype t, uint32_t rank, const ir_dim *const *shape,
                       uint32_t axis)
{
    ir_attr a[3] = {ir_attr_t(IR_ATTR_dtype, t), ir_attr_ds(IR_ATTR_shape, rank, shape),
                    ir_attr_i(IR_ATTR_axis, axis)};
    return ir_build(b, IR_OP_iota, 0, NULL, 3, a, 0, NULL);
}

const ir_node *ir_param_node(ir_builder *b, const char *name, const ir_type *t, uint32_t n_indices,
                             const ir_dim *const *indices)
{
    ir_attr a[2] = {ir_attr_s(IR_ATTR_name, intern(ir_ctx_names(b->ctx), name)),
                    ir_attr_ds(IR_ATTR_indices, n_indices, indices)};
    return leaf(b, IR_OP_param, t, 2, a);
}

const ir_node *ir_state_node(ir_builder *b, const char *name, const ir_type *t)
{
    ir_attr a = ir_attr_s(IR_ATTR_name, intern(ir_ctx_names(b->ctx), name));
    return leaf(b, IR_OP_state, t, 1, &a);
}

/* Moves -----------------------------------------------------------------------------------------
 */

const ir_node *ir_reshape(ir_builder *b, const ir_node *x, uint32_t rank,
                          const ir_dim *const *shape)
{
    ir_attr a = ir_attr_ds(IR_ATTR_shape, rank, shape);
    return ir_build(b, IR_OP_reshape, 1, &x, 1, &a, 0, NULL);
}

const ir_node *ir_transpose(ir_builder *b, const ir_node *x, const int64_t *perm)
{
    ir_attr a = ir_attr_is(IR_ATTR_perm, x ? ir_node_type(x)->rank : 0, perm);
    return ir_build(b, IR_OP_transpose, 1, &x, 1, &a, 0, NULL);
}

const ir_node *ir_broadcast(ir_builder *b, const ir_node *x, uint32_t rank,
                            const ir_dim *const *shape)
{
    ir_attr a = ir_attr_ds(IR_ATTR_shape, rank, shape);
    return ir_build(b, IR_OP_broadcast, 1, &x, 1, &a, 0, NULL);
}

const ir_node *ir_slice(ir_builder *b, const ir_node *x, const ir_dim *const *offsets,
                        const ir_dim *const *sizes, const int64_t *steps)
{
    static const int64_t ones[IR_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    uint32_t rank = x ? ir_node_type(x)->rank : 0;
    ir_attr a[3] = {ir_attr_ds(IR_ATTR_offsets, rank, offsets),
                    ir_attr_ds(IR_ATTR_sizes, rank, sizes),
                    ir_attr_is(IR_ATTR_steps, rank, steps ? steps : ones)};
    return ir_build(b, IR_OP_slice, 1, &x, 3, a, 0, NULL);
}

const ir_node *ir_update(ir_builder *b, const ir_node *dst, const ir_node *src,
                         const ir_dim *const *offsets)
{
    const ir_node *in[2] = {dst, src};
    ir_attr a = ir_attr_ds(IR_ATTR_offsets, dst ? ir_node_type(dst)->rank : 0, offsets);
    return ir_build(b, IR_OP_update, 2, in, 1, &a, 0, NULL);
}

const ir_node *ir_concat(ir_builder *b, uint32_t n, const ir_node *const *parts, uint32_t axis)
{
    ir_attr a = ir_attr_i(IR_ATTR_axis, axis);
    return ir_build(b, IR_OP_concat, n, parts, 1, &a, 0, NULL);
}

const ir_node *ir_pad(ir_builder *b, const ir_node *x, const ir_dim *const *lo,
                      const ir_dim *const *hi, double value)
{
    uint32_t rank = x ? ir_node_type(x)->rank : 0;
    ir_attr a[3] = {ir_attr_ds(IR_ATTR_lo, rank, lo), ir_attr_ds(IR_ATTR_hi, rank, hi),
                    ir_attr_f(IR_ATTR_value, value)};
    return ir_build(b, IR_OP_pad, 1, &x, 3, a, 0, NULL);
}

const ir_node *ir_take(ir_builder *b, const ir_node *x, const ir_node *ids, uint32_t axis)
{
    const ir_node *in[2] = {x, ids};
    ir_attr a = ir_attr_i(IR_ATTR_axis, axis);
    return ir_build(b, IR_OP_take, 2, in, 1, &a, 0, NULL);
}

const ir_node *ir_reduce(ir_builder *b, ir_op op, const ir_node *x, uint32_t n_axes,
                         const int64_t *axes, bool keep)
{
    ir_attr a[2] = {ir_attr_is(IR_ATTR_axes, n_axes, axes), ir_attr_i(IR_ATTR_keep, keep)};
    return ir_build(b, op, 1, &x, 2, a, 0, NULL);
}

/* Products --------------------------------------------------------------------------------------
 */

const ir_node *ir_contract(ir_builder *b, const ir_node *x, const ir_node *y, const char *x_labels,
                           const char *y_labels, const char *labels)
{
    intern_table *t = ir_ctx_names(b->ctx);
    const char *all[3] = {intern(t, x_labels), intern(t, y_labels), intern(t, labels)};
    const ir_node *in[2] = {x, y};
    ir_attr a = ir_attr_ss(IR_ATTR_labels, 3, all);
    return ir_build(b, IR_OP_contract, 2, in, 1, &a, 0, NULL);
}

/* Letters: batch axes a, b, c ... from the right; i rows, k summed, j columns. */
const ir_node *ir_matmul(ir_builder *b, const ir_node *x, const ir_node *y)
{
    if (!x || !y) {
        return NULL;
    }
    uint32_t xr = ir_node_type(x)->rank, yr = ir_node_type(y)->rank;
    if (xr == 0 || yr == 0) {
        return fail(b, "a matrix product needs at least one axis on both sides, found a scalar");
    }
    char xl[IR_MAX_RANK + 1] = {0}, yl[IR_MAX_RANK + 1] = {0}, out[2 * IR_MAX_RANK + 1] = {0};
    uint32_t xb = xr > 2 ? xr - 2 : 0, yb = yr > 2 ? yr - 2 : 0, batch = xb > yb ? xb : yb, n = 0;
    for (uint32_t i = 0; i < batch; i++) {
        char letter = (char)('A' + i); /* the batch axis i of the result */
        out[n++] = letter;
        if (i >= batch - xb) {
            xl[i - (batch - xb)] = letter;
        }
        if (i >= batch - yb) {
            yl[i - (batch - yb)] = letter;
        }
    }
    memcpy(xl + xb, xr == 1 ? "k" : "ik", xr == 1 ? 1 : 2);
    memcpy(yl + yb, yr == 1 ? "k" : "kj", yr == 1 ? 1 : 2);
    if (xr > 1) {
        out[n++] = 'i';
    }
    if (yr > 1) {
        out[n++] = 'j';
    }
    return ir_contract(b, x, y, xl, yl, out);
}

/* Structure -------------------------------------------------------------------------------------
 */

const ir_node *ir_get(ir_builder *b, const ir_node *x, uint32_t index)
{
    if (!x) {
        return NULL;
    }
    if (x->n_results == 1) {
        return index == 0 ? x : fail(b, "no such result");
    }
    if (index >= x->n_results) {
        return fail(b, "no such result");
    }
    ir_attr a = ir_attr_i(IR_ATTR_index, index);
    return ir_graph_add(b->graph, IR_OP_get, 1, &x, 1, &x->types[index], 1, &a, 0, NULL, b->loc);
}

const ir_node *ir_loop(ir_builder *b, uint32_t n_in, const ir_node *const *in, uint32_t n_carries,
                       uint32_t n_collects, bool has_cond, const ir_sym *sym, const ir_dim *lo,
                       const ir_dim *hi, int64_t step, ir_graph *body)
{
    ir_attr a[7] = {ir_attr_ds(IR_ATTR_lo, 1, &lo),        ir_attr_ds(IR_ATTR_hi, 1, &hi),
                    ir_attr_i(IR_ATTR_step, step),         ir_attr_sym_of(IR_ATTR_sym, sym),
                    ir_attr_i(IR_ATTR_carries, n_carries), ir_attr_i(IR_ATTR_collects, n_collects),
                    ir_attr_i(IR_ATTR_cond, has_cond)};
    return ir_build(b, IR_OP_loop, n_in, in, 7, a, 1, &body);
}
