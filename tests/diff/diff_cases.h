/* One builder a family of ops: makes an entry that computes the op in the ways worth comparing. */
#ifndef AIGC_TESTS_DIFF_CASES_H
#define AIGC_TESTS_DIFF_CASES_H

#include "diff.h"

/* How a [T, U] operand comes about. */
typedef enum diff_view {
    VIEW_PLAIN,
    VIEW_TRANSPOSED,
    VIEW_ROWS_STEP_2,
    VIEW_COLS_STEP_3,
    VIEW_COUNT
} diff_view;

typedef struct maker {
    diff_module *d;
    diff_entry *e;
    ir_builder b;
    ir_op op;
    ir_dtype t;
    const ir_dim *T, *U;
    diff_view view;
    uint32_t n_out, n_names;
} maker;

#define DIMS(...)                                                                                  \
    (uint32_t)(sizeof((const ir_dim *[]){__VA_ARGS__}) / sizeof(const ir_dim *)),                  \
        (const ir_dim *[])                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INTS(...)                                                                                  \
    (uint32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[])                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static inline const ir_dim *K(maker *k, int64_t v)
{
    return ir_dim_const(k->d->c, v);
}

static inline const char *word(maker *k, const char *s)
{
    return intern(ir_ctx_names(k->d->c), s);
}

static inline const ir_node *arg(maker *k, ir_dtype t, diff_fill fill, uint32_t rank,
                                 const ir_dim *const *dims)
{
    char name[16];
    uint32_t at = ir_graph_n_inputs(k->b.graph);
    assert_true(at < DIFF_MOST_INPUTS);
    snprintf(name, sizeof name, "x%u", at);
    k->e->fills[at] = fill;
    return ir_graph_add_input(k->b.graph, word(k, name), ir_type_get(k->d->c, t, rank, dims),
                              k->b.loc);
}

/* A [T, U] operand, as the view wants it. */
static inline const ir_node *operand(maker *k, ir_dtype t, diff_fill fill)
{
    ir_ctx *c = k->d->c;
    const ir_dim *zero = K(k, 0), *one = K(k, 1);
    int64_t turn[2] = {1, 0}, rows[2] = {2, 1}, cols[2] = {1, 3};
    const ir_dim *sizes[2] = {k->T, k->U};
    if (k->view >= VIEW_ROWS_STEP_2 && ir_graph_n_inputs(k->b.graph) == 0) {
        arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U)); /* binds T and U */
    }
    switch (k->view) {
    case VIEW_TRANSPOSED:
        return ir_transpose(&k->b, arg(k, t, fill, DIMS(k->U, k->T)), turn);
    case VIEW_ROWS_STEP_2: {
        const ir_dim *at[2] = {one, one};
        const ir_node *x =
            arg(k, t, fill,
                DIMS(ir_dim_offset(c, ir_dim_scale(c, k->T, 2), 1), ir_dim_offset(c, k->U, 2)));
        return ir_slice(&k->b, x, at, sizes, rows);
    }
    case VIEW_COLS_STEP_3: {
        const ir_dim *at[2] = {zero, zero};
        return ir_slice(&k->b, arg(k, t, fill, DIMS(k->T, ir_dim_scale(c, k->U, 3))), at, sizes,
                        cols);
    }
    default:
        return arg(k, t, fill, DIMS(k->T, k->U));
    }
}

static inline void out(maker *k, const ir_node *n)
{
    char name[16];
    if (!n) {
        fail_msg("%s: %s", k->e->name, k->b.error.text);
    }
    snprintf(name, sizeof name, "r%u", k->n_out++);
    ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, name), n);
}

static inline const ir_node *build1(maker *k, const ir_node *x, uint32_t n, const ir_attr *a)
{
    return ir_build(&k->b, k->op, 1, &x, n, a, 0, NULL);
}

/* Elementwise ---------------------------------------------------------------------------------- */

static inline diff_fill fill_of(ir_op op)
{
    /* sin and cos are exact up to 2^30; 30-digit powers and remainders of huge numbers are not the
     * matter here */
    bool moderate = op == IR_OP_sin || op == IR_OP_cos || op == IR_OP_tan || op == IR_OP_mod ||
                    op == IR_OP_floor_div;
    return moderate ? FILL_MODERATE : FILL_ANY;
}

static inline void make_elementwise(maker *k)
{
    diff_fill fill = fill_of(k->op);
    const ir_node *x = operand(k, k->t, fill);
    if (ir_op_n_in(k->op) == 1) {
        out(k, ir_unary(&k->b, k->op, x));
        return;
    }
    out(k, ir_binary(&k->b, k->op, x, operand(k, k->t, fill)));
    out(k, ir_binary(&k->b, k->op, x, arg(k, k->t, fill, DIMS(k->U))));
    out(k, ir_binary(&k->b, k->op, arg(k, k->t, fill, 0, NULL), x));
}

static inline void make_where(maker *k)
{
    const ir_node *c = operand(k, IR_bool, FILL_SMALL), *x = operand(k, k->t, FILL_ANY);
    out(k, ir_where(&k->b, c, x, arg(k, k->t, FILL_ANY, DIMS(k->U))));
    out(k, ir_where(&k->b, arg(k, IR_bool, FILL_SMALL, DIMS(k->T, K(k, 1))), x, x));
}

static inline void make_cast(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_ANY);
    for (int t = 0; t < IR_DTYPE_COUNT; t++) {
        if ((ir_dtype)t != k->t) {
            out(k, ir_cast(&k->b, x, (ir_dtype)t));
        }
    }
}

/* Leaves --------------------------------------------------------------------------------------- */

static inline void make_input(maker *k)
{
    out(k, operand(k, k->t, FILL_ANY));
}

static inline void make_const(maker *k)
{
    const ir_dim *dims[2] = {K(k, 3), K(k, 5)};
    ir_tensor t = {
        .dtype = k->t, .rank = 2, .dims = {3, 5}
    };
    t = diff_input(k->d->a, &t, FILL_ANY, 5);
    const ir_node *c = ir_const_data(&k->b, ir_type_get(k->d->c, k->t, 2, dims), t.data);
    const ir_node *x = arg(k, k->t, FILL_SMALL, DIMS(k->T, k->U, K(k, 3), K(k, 5)));
    out(k, ir_binary(&k->b, IR_OP_eq, x, c));
    out(k, ir_binary(&k->b, IR_OP_eq, c, c));
    ir_tensor one = {.dtype = k->t};
    one = diff_input(k->d->a, &one, FILL_SMALL, 3);
    out(k, ir_binary(&k->b, IR_OP_ne, x,
                     ir_const_data(&k->b, ir_type_scalar(k->d->c, k->t), one.data)));
}

static inline void make_iota(maker *k)
{
    out(k, ir_iota(&k->b, k->t, DIMS(k->T, k->U), 0));
    out(k, ir_iota(&k->b, k->t, DIMS(k->T, k->U), 1));
    arg(k, k->t, FILL_SMALL, DIMS(k->T, k->U));
}

static inline void make_dim(maker *k)
{
    ir_ctx *c = k->d->c;
    arg(k, IR_f32, FILL_SMALL, DIMS(k->T, k->U));
    const ir_dim *three = K(k, 3);
    out(k, ir_dim_node(&k->b, ir_dim_add(c, ir_dim_mul(c, k->T, k->U), three)));
    out(k, ir_dim_node(&k->b, ir_dim_floordiv(c, ir_dim_sub(c, k->T, k->U), three)));
    out(k, ir_dim_node(&k->b, ir_dim_mod(c, ir_dim_sub(c, k->T, k->U), three)));
    out(k, ir_dim_node(&k->b, ir_dim_max(c, k->T, ir_dim_min(c, k->U, K(k, 9)))));
}

static inline void make_param(maker *k)
{
    const ir_node *x = arg(k, IR_f32, FILL_SMALL, DIMS(k->T, k->U, K(k, 1), K(k, 13)));
    const ir_node *w = ir_param_node(&k->b, "w", k->d->m.params[0].type, 0, NULL);
    out(k, ir_binary(&k->b, IR_OP_add, x, w));
    out(k, w);
}

static inline void make_state(maker *k)
{
    const ir_node *s = ir_state_node(&k->b, "s", k->d->m.states[0].type);
    const ir_node *x = arg(k, IR_f32, FILL_SMALL, DIMS(k->T, K(k, 7)));
    const ir_dim *zeros[2] = {K(k, 0), K(k, 0)}, *sizes[2] = {k->T, K(k, 7)};
    arg(k, IR_bool, FILL_SMALL, DIMS(k->U));
    const ir_node *next = ir_update(
        &k->b, s, ir_binary(&k->b, IR_OP_mul, x, ir_slice(&k->b, s, zeros, sizes, NULL)), zeros);
    out(k, ir_binary(&k->b, IR_OP_sub, ir_slice(&k->b, next, zeros, sizes, NULL),
                     ir_slice(&k->b, s, zeros, sizes, NULL)));
    ir_graph_add_output(k->b.graph, IR_OUTPUT_STATE, word(k, "s"), next);
}

static inline void make_random(maker *k)
{
    arg(k, IR_f32, FILL_SMALL, DIMS(k->T, k->U));
    const ir_dim *shape[2] = {k->T, k->U};
    bool is_float = ir_dtype_is_float(k->t);
    static const char *const modes[] = {"uniform", "normal", "int"};
    for (int i = is_float ? 0 : 2; i < (is_float ? 2 : 3); i++) {
        for (int64_t stream = 0; stream < 2; stream++) {
            int64_t bounds[2] = {k->t == IR_u8 ? 3 : -5, 17};
            ir_attr a[5] = {ir_attr_t(IR_ATTR_dtype, k->t), ir_attr_ds(IR_ATTR_shape, 2, shape),
                            ir_attr_s(IR_ATTR_mode, word(k, modes[i])),
                            ir_attr_i(IR_ATTR_stream, stream),
                            ir_attr_is(IR_ATTR_bounds, 2, bounds)};
            out(k, ir_build(&k->b, IR_OP_random, 0, NULL, i == 2 ? 5 : 4, a, 0, NULL));
        }
    }
}

/* Moves ---------------------------------------------------------------------------------------- */

static inline const ir_node *cube(maker *k, diff_fill fill)
{
    return arg(k, k->t, fill, DIMS(k->T, K(k, 3), k->U));
}

static inline void make_reshape(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_node *x = cube(k, FILL_ANY), *y = operand(k, k->t, FILL_ANY);
    out(k, ir_reshape(&k->b, x, DIMS(ir_dim_scale(c, k->T, 3), k->U)));
    out(k, ir_reshape(&k->b, x, DIMS(k->T, ir_dim_scale(c, k->U, 3))));
    out(k, ir_reshape(&k->b, y, DIMS(ir_dim_mul(c, k->T, k->U))));
    out(k, ir_reshape(&k->b, y, DIMS(k->U, K(k, 1), k->T)));
    out(k, ir_reshape(&k->b, arg(k, k->t, FILL_ANY, DIMS(K(k, 6), K(k, 35))),
                      DIMS(K(k, 10), K(k, 21))));
}

static inline const ir_node *fixed(maker *k, uint32_t rank, const int64_t *dims)
{
    const ir_dim *d[IR_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) {
        d[i] = K(k, dims[i]);
    }
    return arg(k, k->t, FILL_SMALL, rank, d);
}

static inline void make_transpose(maker *k)
{
    const ir_node *x = cube(k, FILL_ANY);
    static const int64_t perms[][3] = {
        {2, 1, 0},
        {1, 0, 2},
        {1, 2, 0},
        {0, 2, 1}
    };
    for (int i = 0; i < 4; i++) {
        out(k, ir_transpose(&k->b, x, perms[i]));
    }
    const ir_node *blocks = fixed(k, INTS(3, 19, 35)); /* more than lanes, both ways */
    for (int i = 0; i < 4; i++) {
        out(k, ir_transpose(&k->b, blocks, perms[i]));
    }
    int64_t turn[2] = {1, 0};
    out(k, ir_transpose(&k->b, operand(k, k->t, FILL_ANY), turn));
}

static inline void make_broadcast(maker *k)
{
    out(k, ir_broadcast(&k->b, arg(k, k->t, FILL_ANY, DIMS(k->T, K(k, 1))),
                        DIMS(K(k, 2), k->T, k->U)));
    out(k, ir_broadcast(&k->b, arg(k, k->t, FILL_ANY, DIMS(k->U)), DIMS(k->T, k->U)));
    out(k, ir_broadcast(&k->b, operand(k, k->t, FILL_ANY), DIMS(K(k, 3), k->T, k->U)));
    out(k, ir_broadcast(&k->b, arg(k, k->t, FILL_ANY, 0, NULL), DIMS(k->T, k->U)));
}

static inline void make_slice(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_node *x =
        arg(k, k->t, FILL_ANY, DIMS(ir_dim_offset(c, k->T, 3), ir_dim_scale(c, k->U, 4)));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U));
    const ir_dim *at[2] = {K(k, 2), k->U}, *sizes[2] = {ir_dim_offset(c, k->T, 1), k->U};
    int64_t steps[2] = {1, 3};
    out(k, ir_slice(&k->b, x, at, sizes, steps));
    out(k, ir_slice(&k->b, x, at, sizes, NULL));
}

static inline void make_update(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_node *dst =
        arg(k, k->t, FILL_ANY, DIMS(ir_dim_offset(c, k->T, 3), ir_dim_scale(c, k->U, 2)));
    const ir_node *src = operand(k, k->t, FILL_ANY);
    const ir_dim *at[2] = {K(k, 2), k->U}, *zeros[2] = {K(k, 0), K(k, 0)};
    out(k, ir_update(&k->b, dst, src, at));
    out(k, ir_update(&k->b, dst, src, zeros));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U));
}

static inline void make_pad(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_ANY);
    const ir_dim *lo[2] = {K(k, 1), k->U}, *hi[2] = {K(k, 0), K(k, 2)},
                 *none[2] = {K(k, 0), K(k, 0)};
    out(k, ir_pad(&k->b, x, lo, hi, 1));
    out(k, ir_pad(&k->b, x, none, hi, ir_dtype_is_float(k->t) ? -INFINITY : 0));
}

static inline void make_concat(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_ANY),
                  *row = arg(k, k->t, FILL_ANY, DIMS(K(k, 1), k->U));
    const ir_node *a[3] = {x, row, x}, *b[3] = {x, x, operand(k, k->t, FILL_ANY)};
    out(k, ir_concat(&k->b, 3, a, 0));
    out(k, ir_concat(&k->b, 3, b, 1));
    out(k, ir_concat(&k->b, 1, a, 1));
    const ir_node *thin[5]; /* side by side along an axis of their own: two, five */
    for (uint32_t i = 0; i < 5; i++) {
        thin[i] = ir_reshape(&k->b, b[i % 3], DIMS(k->T, k->U, K(k, 1)));
    }
    out(k, ir_concat(&k->b, 2, &thin[1], 2));
    out(k, ir_concat(&k->b, 5, thin, 2));
}

static inline const ir_node *ir_reverse_of(maker *k, const ir_node *x, uint32_t n,
                                           const int64_t *axes)
{
    ir_attr a = ir_attr_is(IR_ATTR_axes, n, axes);
    return ir_build(&k->b, IR_OP_reverse, 1, &x, 1, &a, 0, NULL);
}

static inline void make_reverse(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_ANY);
    out(k, ir_reverse_of(k, x, INTS(0)));
    out(k, ir_reverse_of(k, x, INTS(1)));
    out(k, ir_reverse_of(k, x, INTS(0, 1)));
}

static inline void make_take(maker *k)
{
    const ir_node *x = arg(k, k->t, FILL_ANY, DIMS(K(k, 7), k->U, K(k, 5)));
    const ir_node *ids = operand(k, IR_i32, FILL_IDS), *one = arg(k, IR_i64, FILL_IDS, 0, NULL);
    arg(k, IR_bool, FILL_SMALL, DIMS(k->U));
    out(k, ir_take(&k->b, x, ids, 0));
    out(k, ir_take(&k->b, x, ids, 2));
    out(k, ir_take(&k->b, x, one, 0));
}

static inline const ir_node *by_ids(maker *k, uint32_t n, const ir_node *const *in, int64_t axis)
{
    ir_attr a = ir_attr_i(IR_ATTR_axis, axis);
    return ir_build(&k->b, k->op, n, in, 1, &a, 0, NULL);
}

static inline void make_gather(maker *k)
{
    const ir_node *x = arg(k, k->t, FILL_ANY, DIMS(k->T, K(k, 6)));
    const ir_node *in[2] = {x, arg(k, IR_i64, FILL_IDS, DIMS(k->T, k->U))};
    out(k, by_ids(k, 2, in, 1));
    const ir_node *down[2] = {arg(k, k->t, FILL_ANY, DIMS(K(k, 5), k->U)),
                              arg(k, IR_i8, FILL_IDS, DIMS(k->T, k->U))};
    out(k, by_ids(k, 2, down, 0));
}

static inline void make_scatter_add(maker *k)
{
    const ir_node *in[3] = {arg(k, k->t, FILL_SMALL, DIMS(k->T, K(k, 6))),
                            arg(k, IR_i64, FILL_IDS, DIMS(k->T, k->U)),
                            operand(k, k->t, FILL_SMALL)};
    out(k, by_ids(k, 3, in, 1));
    const ir_node *down[3] = {arg(k, k->t, FILL_SMALL, DIMS(K(k, 5), k->U)), in[1], in[2]};
    out(k, by_ids(k, 3, down, 0));
}

static inline void make_index_add(maker *k)
{
    const ir_node *src = operand(k, k->t, FILL_SMALL);
    const ir_node *rows[3] = {arg(k, k->t, FILL_SMALL, DIMS(K(k, 5), k->U)),
                              arg(k, IR_i32, FILL_IDS, DIMS(k->T)), src};
    const ir_node *cols[3] = {arg(k, k->t, FILL_SMALL, DIMS(k->T, K(k, 9))),
                              arg(k, IR_i64, FILL_IDS, DIMS(k->U)), src};
    out(k, by_ids(k, 3, rows, 0));
    out(k, by_ids(k, 3, cols, 1));
}

/* Reductions and orders ------------------------------------------------------------------------ */

static inline void make_reduce(maker *k)
{
    bool exact = k->op == IR_OP_reduce_max || k->op == IR_OP_reduce_min;
    const ir_node *x = operand(k, k->t,
                               exact                      ? FILL_ANY
                               : k->op == IR_OP_logsumexp ? FILL_LOGITS
                                                          : FILL_SMALL);
    const ir_node *y = cube(k, exact ? FILL_ANY : FILL_SMALL);
    out(k, ir_reduce(&k->b, k->op, x, INTS(1), false));
    out(k, ir_reduce(&k->b, k->op, x, INTS(0), true));
    out(k, ir_reduce(&k->b, k->op, x, INTS(0, 1), false));
    out(k, ir_reduce(&k->b, k->op, y, INTS(1), false));
    out(k, ir_reduce(&k->b, k->op, y, INTS(0, 2), true));
}

static inline void make_along(maker *k)
{
    bool arg_reduce = k->op == IR_OP_argmax || k->op == IR_OP_argmin;
    bool soft = k->op == IR_OP_softmax || k->op == IR_OP_log_softmax;
    diff_fill fill = soft ? FILL_LOGITS : k->op == IR_OP_cumsum ? FILL_SMALL : FILL_TIES;
    const ir_node *x = operand(k, k->t, fill), *y = cube(k, soft ? FILL_SMALL : fill);
    for (int64_t axis = 0; axis < 2; axis++) {
        for (int64_t flag = 0; flag < (soft ? 1 : 2); flag++) {
            ir_attr a[3] = {ir_attr_i(IR_ATTR_axis, axis),
                            ir_attr_i(arg_reduce              ? IR_ATTR_keep
                                      : k->op == IR_OP_cumsum ? IR_ATTR_reverse
                                                              : IR_ATTR_descending,
                                      flag),
                            ir_attr_i(IR_ATTR_exclusive, flag ^ axis)};
            out(k, build1(k, axis ? y : x, soft ? 1 : k->op == IR_OP_cumsum ? 3 : 2, a));
            out(k, build1(k, axis ? x : y, soft ? 1 : k->op == IR_OP_cumsum ? 3 : 2, a));
        }
    }
}

static inline void make_topk(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_node *x = arg(k, k->t, FILL_TIES, DIMS(k->T, ir_dim_offset(c, k->U, 3)));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->U));
    ir_attr a[2] = {ir_attr_i(IR_ATTR_k, 3), ir_attr_i(IR_ATTR_axis, 1)};
    const ir_node *n = ir_build(&k->b, IR_OP_topk, 1, &x, 2, a, 0, NULL);
    assert_non_null(n);
    out(k, ir_get(&k->b, n, 0));
    out(k, ir_get(&k->b, n, 1));
    const ir_node *y = arg(k, k->t, FILL_TIES, DIMS(K(k, 17), k->U));
    ir_attr down[2] = {ir_attr_i(IR_ATTR_k, 5), ir_attr_i(IR_ATTR_axis, 0)};
    n = ir_build(&k->b, IR_OP_topk, 1, &y, 2, down, 0, NULL);
    out(k, ir_get(&k->b, n, 1));
}

/* Products and windows ------------------------------------------------------------------------- */

static inline void make_contract(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_SMALL), *y = operand(k, k->t, FILL_SMALL),
                  *w = arg(k, k->t, FILL_SMALL, DIMS(k->U, K(k, 13)));
    const ir_node *z = cube(k, FILL_SMALL);
    out(k, ir_matmul(&k->b, x, w));
    out(k, ir_contract(&k->b, x, y, "ik", "jk", "ij"));
    out(k, ir_contract(&k->b, x, y, "ki", "kj", "ij"));
    out(k, ir_contract(&k->b, z, y, "tcu", "tu", "tc"));
    out(k, ir_contract(&k->b, z, arg(k, k->t, FILL_SMALL, DIMS(K(k, 5), K(k, 1), k->U)), "bcu",
                       "dcu", "bcd"));
    out(k, ir_contract(&k->b, x, y, "ij", "ij", ""));
    out(k, ir_contract(&k->b, x, y, "ij", "kl", "ik"));
    out(k, ir_contract(&k->b, x, arg(k, k->t, FILL_SMALL, DIMS(k->U)), "ij", "j", "i"));
}

static inline const ir_node *window_op(maker *k, const ir_node *x, const ir_node *w, uint32_t n,
                                       const int64_t *strides, const int64_t *dilations,
                                       const int64_t *lo, const int64_t *hi, int64_t groups,
                                       uint32_t n_more, const ir_attr *more)
{
    const ir_node *in[2] = {x, w};
    ir_attr a[16] = {ir_attr_is(IR_ATTR_strides, n, strides),
                     ir_attr_is(IR_ATTR_dilations, n, dilations),
                     ir_attr_is(IR_ATTR_pads_lo, n, lo), ir_attr_is(IR_ATTR_pads_hi, n, hi)};
    uint32_t n_attrs = 4;
    if (w) {
        a[n_attrs++] = ir_attr_i(IR_ATTR_groups, groups);
    }
    for (uint32_t i = 0; i < n_more; i++) {
        a[n_attrs++] = more[i];
    }
    return ir_build(&k->b, k->op, w ? 2 : 1, in, n_attrs, a, 0, NULL);
}

static inline void make_conv(maker *k)
{
    bool back = k->op == IR_OP_conv_transpose;
    ir_ctx *c = k->d->c;
    /* [O, C/g, k] of a convolution; [C, O/g, k] of its transpose */
    const ir_node *line =
        arg(k, k->t, FILL_SMALL, DIMS(K(k, 2), K(k, 4), ir_dim_offset(c, k->T, 4)));
    const ir_node *plane =
        arg(k, k->t, FILL_SMALL,
            DIMS(K(k, 1), K(k, 3), ir_dim_offset(c, k->T, 2), ir_dim_offset(c, k->U, 3)));
    out(k, window_op(k, line, fixed(k, INTS(back ? 4 : 6, back ? 3 : 2, 3)), 1, (int64_t[]){1},
                     (int64_t[]){2}, (int64_t[]){1}, (int64_t[]){2}, 2, 0, NULL));
    out(k, window_op(k, line, fixed(k, INTS(back ? 4 : 5, back ? 5 : 4, 4)), 1, (int64_t[]){3},
                     (int64_t[]){1}, (int64_t[]){0}, (int64_t[]){1}, 1, 0, NULL));
    out(k,
        window_op(k, plane, fixed(k, INTS(back ? 3 : 7, back ? 7 : 3, 3, 2)), 2, (int64_t[]){2, 1},
                  (int64_t[]){1, 2}, (int64_t[]){1, 0}, (int64_t[]){1, 1}, 1, 0, NULL));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U));
    const ir_node *solid = fixed(k, INTS(1, 2, 4, 5, 3));
    ir_attr more = ir_attr_is(IR_ATTR_out_pads, INTS(1, 0, 1));
    out(k, window_op(k, solid, fixed(k, INTS(2, 1, 2, 3, 2)), 3, (int64_t[]){2, 1, 2},
                     (int64_t[]){1, 1, 1}, (int64_t[]){1, 1, 0}, (int64_t[]){0, 1, 1}, 2,
                     back ? 1 : 0, &more));
}

static inline void make_pool(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_node *plane =
        arg(k, k->t, FILL_SMALL,
            DIMS(K(k, 2), K(k, 3), ir_dim_offset(c, k->T, 2), ir_dim_offset(c, k->U, 3)));
    const ir_node *line =
        arg(k, k->t, FILL_SMALL, DIMS(K(k, 1), K(k, 3), ir_dim_offset(c, k->U, 5)));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U));
    static const char *const modes[] = {"max", "avg", "avg"};
    for (int i = 0; i < 3; i++) {
        ir_attr more[3] = {ir_attr_s(IR_ATTR_mode, word(k, modes[i])),
                           ir_attr_is(IR_ATTR_window, INTS(3, 2)),
                           ir_attr_i(IR_ATTR_count_pad, i == 1)};
        out(k, window_op(k, plane, NULL, 2, (int64_t[]){2, 1}, (int64_t[]){1, 2}, (int64_t[]){1, 1},
                         (int64_t[]){1, 0}, 1, 3, more));
        more[1] = ir_attr_is(IR_ATTR_window, INTS(4));
        out(k, window_op(k, line, NULL, 1, (int64_t[]){3}, (int64_t[]){1}, (int64_t[]){1},
                         (int64_t[]){2}, 1, 3, more));
        more[1] = ir_attr_is(IR_ATTR_window, INTS(9));
        out(k, window_op(k, line, NULL, 1, (int64_t[]){2}, (int64_t[]){1}, (int64_t[]){4},
                         (int64_t[]){4}, 1, 3, more));
    }
}

static inline void make_resize(maker *k)
{
    const ir_node *plane = fixed(k, INTS(1, 2, 5, 7)), *line = fixed(k, INTS(2, 1, 6)),
                  *solid = fixed(k, INTS(1, 1, 3, 2, 4));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->T, k->U));
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    for (int i = 0; i < 3; i++) {
        for (int64_t align = 0; align < (i ? 2 : 1); align++) {
            const ir_dim *sizes[3] = {k->T, k->U, K(k, 5)}, *small[1] = {K(k, 4)};
            ir_attr a[3] = {ir_attr_ds(IR_ATTR_sizes, 2, sizes),
                            ir_attr_s(IR_ATTR_mode, word(k, modes[i])),
                            ir_attr_i(IR_ATTR_align, align)};
            out(k, build1(k, plane, 3, a));
            a[0] = ir_attr_ds(IR_ATTR_sizes, 1, small);
            out(k, build1(k, line, 3, a));
            if (i < 2) {
                a[0] = ir_attr_ds(IR_ATTR_sizes, 3, sizes);
                out(k, build1(k, solid, 3, a));
            }
        }
    }
}

/* Norms and attention -------------------------------------------------------------------------- */

static inline void make_norm(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_SMALL), *w = arg(k, k->t, FILL_SMALL, DIMS(k->U)),
                  *b = arg(k, k->t, FILL_SMALL, DIMS(k->U));
    const ir_node *y = cube(k, FILL_SMALL), *in[3] = {x, w, b}, *last[3] = {y, w, b};
    ir_attr one[2] = {ir_attr_is(IR_ATTR_axes, INTS(1)), ir_attr_f(IR_ATTR_eps, 1e-2)};
    ir_attr two[2] = {ir_attr_is(IR_ATTR_axes, INTS(1, 2)), ir_attr_f(IR_ATTR_eps, 1e-2)};
    for (uint32_t n = 1; n <= (k->op == IR_OP_layer_norm ? 3 : 2); n++) {
        out(k, ir_build(&k->b, k->op, n, in, 2, one, 0, NULL));
        out(k, ir_build(&k->b, k->op, n, last, 2, two, 0, NULL));
    }
}

static inline void make_attention(maker *k)
{
    ir_ctx *c = k->d->c;
    const ir_dim *S = ir_dim_offset(c, k->T, 2);
    const ir_node *q = arg(k, k->t, FILL_SMALL, DIMS(K(k, 2), K(k, 3), k->T, K(k, 12)));
    const ir_node *in[4] = {q, arg(k, k->t, FILL_SMALL, DIMS(K(k, 2), K(k, 1), S, K(k, 12))),
                            arg(k, k->t, FILL_SMALL, DIMS(K(k, 3), S, K(k, 9))),
                            arg(k, k->t, FILL_SMALL, DIMS(k->T, S))};
    arg(k, IR_bool, FILL_SMALL, DIMS(k->U));
    ir_attr a[3] = {ir_attr_f(IR_ATTR_scale, 0.25), ir_attr_d(IR_ATTR_causal, K(k, 2)),
                    ir_attr_d(IR_ATTR_reach, K(k, 4))};
    out(k, ir_build(&k->b, k->op, 3, in, 1, a, 0, NULL));
    out(k, ir_build(&k->b, k->op, 3, in, 2, a, 0, NULL));
    const ir_dim *score[4] = {K(k, 2), K(k, 3), k->T, S};
    ir_builder outer = k->b;
    /* a sliding window: the hint goes with a mask */
    k->b.graph = ir_graph_create(c, "window");
    const ir_node *raw =
        ir_graph_add_input(k->b.graph, word(k, "score"), ir_type_get(c, k->t, 4, score), k->b.loc);
    const ir_node *ahead = ir_binary(&k->b, IR_OP_sub, ir_iota(&k->b, IR_i64, 4, score, 3),
                                     ir_iota(&k->b, IR_i64, 4, score, 2));
    const ir_node *seen =
        ir_binary(&k->b, IR_OP_and, ir_binary(&k->b, IR_OP_le, ahead, ir_const_i(&k->b, IR_i64, 2)),
                  ir_binary(&k->b, IR_OP_gt, ahead, ir_const_i(&k->b, IR_i64, -2)));
    ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, "score"),
                        ir_where(&k->b, seen, raw, ir_const_f(&k->b, k->t, -INFINITY)));
    ir_graph *window = k->b.graph;
    k->b = outer;
    out(k, ir_build(&k->b, k->op, 3, in, 3, a, 1, &window));
    k->b.graph = ir_graph_create(c, "score");
    const ir_node *s =
        ir_graph_add_input(k->b.graph, word(k, "score"), ir_type_get(c, k->t, 4, score), k->b.loc);
    const ir_node *bias =
        ir_graph_add_input(k->b.graph, word(k, "bias"), ir_node_type(in[3]), k->b.loc);
    s = ir_binary(&k->b, IR_OP_add, ir_unary(&k->b, IR_OP_tanh, s), bias);
    ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, "score"), s);
    ir_graph *body = k->b.graph;
    k->b = outer;
    out(k, ir_build(&k->b, k->op, 4, in, 1, a, 1, &body));
}

/* Structure ------------------------------------------------------------------------------------ */

/* Carries a running sum, collects it, and goes on while it is below a limit. */
static inline void make_one_loop(maker *k, const ir_node *x, const ir_dim *lo, const ir_dim *hi,
                                 int64_t step, bool cond)
{
    ir_ctx *c = k->d->c;
    char name[16];
    snprintf(name, sizeof name, "i%u", k->n_names++);
    const ir_sym *s = ir_sym_loop(c, word(k, name), lo, hi, step);
    ir_builder outer = k->b;
    k->b.graph = ir_graph_create(c, "turn");
    const ir_node *sum = ir_graph_add_input(k->b.graph, word(k, "sum"), ir_node_type(x), k->b.loc);
    const ir_node *by = ir_graph_add_input(k->b.graph, word(k, "by"), ir_node_type(x), k->b.loc);
    const ir_node *turn = ir_cast(&k->b, ir_dim_node(&k->b, ir_dim_sym(c, s)), k->t);
    const ir_node *next = ir_binary(&k->b, IR_OP_add, sum, ir_binary(&k->b, IR_OP_mul, by, turn));
    const ir_node *row = ir_reduce(&k->b, IR_OP_reduce_max, next, INTS(1), false);
    ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, "sum"), next);
    ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, "row"), row);
    if (cond) {
        const ir_node *most = ir_reduce(&k->b, IR_OP_reduce_max, next, INTS(0, 1), false);
        ir_graph_add_output(k->b.graph, IR_OUTPUT_RESULT, word(k, "go"),
                            ir_binary(&k->b, IR_OP_lt, most, ir_const_i(&k->b, k->t, 9)));
    }
    ir_graph *body = k->b.graph;
    k->b = outer;
    const ir_node *in[2] = {x, x};
    const ir_node *loop = ir_loop(&k->b, 2, in, 1, 1, cond, s, lo, hi, step, body);
    if (!loop) {
        fail_msg("%s: %s", k->e->name, k->b.error.text);
    }
    out(k, ir_get(&k->b, loop, 0));
    out(k, ir_get(&k->b, loop, 1));
}

static inline void make_loop(maker *k)
{
    const ir_node *x = operand(k, k->t, FILL_SMALL);
    make_one_loop(k, x, K(k, 0), k->U, 1, false);
    make_one_loop(k, x, K(k, 7), K(k, -2), -2, false);
    make_one_loop(k, x, K(k, 1), k->T, 3, true);
}

static inline void make_extern(maker *k)
{
    const ir_node *x = arg(k, IR_f32, FILL_ANY, DIMS(k->T));
    arg(k, IR_bool, FILL_SMALL, DIMS(k->U));
    const char *types[1] = {word(k, ir_type_text(k->d->c, ir_node_type(x)))};
    ir_attr a[2] = {ir_attr_s(IR_ATTR_target, word(k, "diff:double_it")),
                    ir_attr_ss(IR_ATTR_types, 1, types)};
    x = ir_unary(&k->b, IR_OP_neg, x);
    out(k, ir_unary(&k->b, IR_OP_abs, ir_build(&k->b, IR_OP_extern, 1, &x, 2, a, 0, NULL)));
}

#endif
