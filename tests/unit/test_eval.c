/* The interpreter: values worked out by hand, and what its driver refuses. */
#include "ir/build.h"
#include "ir/eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    arena *a;
    ir_ctx *c;
    ir_builder b;
    ir_tensor in[8], out[8], states[2];
    ir_eval_env env;
    const ir_sym *T;
    const ir_dim *t;
} fixture;

static fixture *setup(void)
{
    arena *a = arena_create();
    fixture *f = arena_new(a, fixture);
    f->a = a;
    f->c = ir_ctx_create(a, intern_create(a));
    f->b = (ir_builder){.ctx = f->c, .graph = ir_graph_create(f->c, "g")};
    f->b.conditions = f->b.graph;
    f->T = ir_sym_get(f->c, intern(ir_ctx_names(f->c), "T"), 0, 100);
    f->t = ir_dim_sym(f->c, f->T);
    f->env = (ir_eval_env){.a = a};
    return f;
}

static void teardown(fixture *f)
{
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

static const char *word(fixture *f, const char *s)
{
    return intern(ir_ctx_names(f->c), s);
}

static const ir_dim *K(fixture *f, int64_t v)
{
    return ir_dim_const(f->c, v);
}

#define SHAPE(...)                                                                                 \
    (uint32_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[])                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define LIST(...)                                                                                  \
    (uint32_t)(sizeof((double[]){__VA_ARGS__}) / 8), (double[])                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

/* An input of constant sizes with these elements. */
static const ir_node *X(fixture *f, ir_dtype t, uint32_t rank, const int64_t *dims, uint32_t n,
                        const double *values)
{
    uint32_t at = ir_graph_n_inputs(f->b.graph);
    const ir_dim *d[IR_MAX_RANK];
    char name[8];
    ir_tensor x = {.dtype = t, .rank = rank, .data = arena_alloc(f->a, 8 * n + 8)};
    for (uint32_t i = 0; i < rank; i++) {
        x.dims[i] = dims[i];
        d[i] = K(f, dims[i]);
    }
    assert_int_equal(ir_tensor_elems(&x), n);
    for (uint32_t i = 0; i < n; i++) {
        ir_dtype_store(t, x.data, i, values[i]);
    }
    snprintf(name, sizeof name, "x%u", at);
    f->in[at] = x;
    return ir_graph_add_input(f->b.graph, word(f, name), ir_type_get(f->c, t, rank, d), f->b.loc);
}

/* The node's value is these elements. */
static void IS(fixture *f, const ir_node *n, uint32_t count, const double *values)
{
    static int names;
    char name[16];
    if (!n) {
        fail_msg("%s", f->b.error.text);
    }
    snprintf(name, sizeof name, "r%d", names++);
    ir_graph *g = ir_graph_clone(f->b.graph);
    ir_graph_add_output(g, IR_OUTPUT_RESULT, word(f, name), ir_graph_node(g, n->id));
    if (!ir_eval(g, &f->env, NULL, f->in, f->out)) {
        fail_msg("%s", f->env.error);
    }
    assert_int_equal(ir_tensor_elems(&f->out[0]), count);
    for (uint32_t i = 0; i < count; i++) {
        double v = ir_dtype_load(f->out[0].dtype, f->out[0].data, i), w = values[i];
        bool same = v == w
                        ? signbit(v) == signbit(w) || !ir_dtype_is_float(f->out[0].dtype) || w != 0
                        : (v != v && w != w) || fabs(v - w) < 2e-6 * (1 + fabs(w));
        if (!same) {
            fail_msg("%s: element %u is %.9g, not %.9g", ir_op_name(n->op), i, v, w);
        }
    }
    ir_graph_destroy(g);
}

static const ir_node *N(fixture *f, ir_op op, const ir_node *x, const ir_node *y, uint32_t n,
                        const ir_attr *a)
{
    const ir_node *in[2] = {x, y};
    return ir_build(&f->b, op, y ? 2 : 1, in, n, a, 0, NULL);
}

#define INTS(key, ...) ir_attr_is(IR_ATTR_##key, SHAPE(__VA_ARGS__))
#define ATTRS(...)                                                                                 \
    sizeof((ir_attr[]){__VA_ARGS__}) / sizeof(ir_attr), (ir_attr[])                                \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void test_elementwise(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *col = X(f, IR_f32, SHAPE(2, 1), LIST(1, 2)),
                  *row = X(f, IR_f32, SHAPE(3), LIST(10, 20, 30));
    IS(f, ir_binary(b, IR_OP_add, col, row), LIST(11, 21, 31, 12, 22, 32));
    const ir_node *i = X(f, IR_i8, SHAPE(4), LIST(-7, 7, 127, -128)),
                  *j = X(f, IR_i8, SHAPE(4), LIST(2, -2, 0, -1));
    IS(f, ir_binary(b, IR_OP_floor_div, i, j), LIST(-4, -4, 0, -128));
    IS(f, ir_binary(b, IR_OP_mod, i, j), LIST(1, -1, 0, 0));
    IS(f, ir_binary(b, IR_OP_sub, i, j), LIST(-9, 9, 127, -127));
    IS(f, ir_unary(b, IR_OP_abs, i), LIST(7, 7, 127, -128));
    IS(f, ir_binary(b, IR_OP_lt, i, j), LIST(1, 0, 0, 1));
    const ir_node *u = X(f, IR_u8, SHAPE(2), LIST(200, 3));
    IS(f, ir_binary(b, IR_OP_add, u, u), LIST(144, 6));
    IS(f, ir_unary(b, IR_OP_bit_not, u), LIST(55, 252));
    const ir_node *x = X(f, IR_f64, SHAPE(5), LIST(0.5, 1.5, 2.5, -0.5, NAN));
    IS(f, ir_unary(b, IR_OP_round, x), LIST(0, 2, 2, -0.0, NAN));
    IS(f, ir_binary(b, IR_OP_max, x, ir_const_f(b, IR_f64, 1)), LIST(1, 1.5, 2.5, 1, NAN));
    IS(f, ir_unary(b, IR_OP_isnan, x), LIST(0, 0, 0, 0, 1));
    IS(f, ir_where(b, ir_unary(b, IR_OP_isnan, x), ir_const_f(b, IR_f64, 7), x),
       LIST(0.5, 1.5, 2.5, -0.5, 7));
    IS(f, ir_unary(b, IR_OP_softplus, x),
       LIST(0.974076984, 1.701413278, 2.578889734, 0.474076984, NAN));
    teardown(f);
}

static void test_cast(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *x = X(f, IR_f32, SHAPE(6), LIST(-1, 300, NAN, 2.9, -INFINITY, 3e9));
    IS(f, ir_cast(b, x, IR_u8), LIST(0, 255, 0, 2, 0, 255));
    IS(f, ir_cast(b, x, IR_i8), LIST(-1, 127, 0, 2, -128, 127));
    IS(f, ir_cast(b, x, IR_i32), LIST(-1, 300, 0, 2, INT32_MIN, INT32_MAX));
    IS(f, ir_cast(b, x, IR_bool), LIST(1, 1, 1, 1, 1, 1));
    /* Rounded once: 2^53 + 2^29 + 1 lies above the middle of two f32. */
    const ir_node *i = X(f, IR_i64, SHAPE(2), LIST(16777217, 0));
    ((int64_t *)f->in[1].data)[1] = ((int64_t)1 << 53) + (1 << 29) + 1;
    IS(f, ir_cast(b, i, IR_f32), LIST(16777216, 9007200328482816.0));
    IS(f, ir_cast(b, i, IR_i16), LIST(1, 1));
    teardown(f);
}

static void test_moves(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *x = X(f, IR_i32, SHAPE(2, 3), LIST(1, 2, 3, 4, 5, 6)),
                  *y = X(f, IR_i32, SHAPE(1, 2), LIST(8, 9));
    const ir_dim *o = K(f, 0), *i = K(f, 1), *two = K(f, 2);
    IS(f, ir_transpose(b, x, (int64_t[]){1, 0}), LIST(1, 4, 2, 5, 3, 6));
    IS(f, ir_broadcast(b, y, 3, (const ir_dim *[]){two, two, two}), LIST(8, 9, 8, 9, 8, 9, 8, 9));
    IS(f, ir_slice(b, x, (const ir_dim *[]){i, o}, (const ir_dim *[]){i, two}, (int64_t[]){1, 2}),
       LIST(4, 6));
    IS(f, ir_update(b, x, y, (const ir_dim *[]){i, i}), LIST(1, 2, 3, 4, 8, 9));
    IS(f, ir_pad(b, y, (const ir_dim *[]){i, o}, (const ir_dim *[]){o, i}, 7),
       LIST(7, 7, 7, 8, 9, 7));
    IS(f, ir_concat(b, 2, (const ir_node *[]){x, x}, 1), LIST(1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6));
    IS(f, N(f, IR_OP_reverse, x, NULL, ATTRS(INTS(axes, 0, 1))), LIST(6, 5, 4, 3, 2, 1));
    IS(f, ir_reshape(b, x, 2, (const ir_dim *[]){K(f, 3), two}), LIST(1, 2, 3, 4, 5, 6));
    const ir_node *ids = X(f, IR_i64, SHAPE(2), LIST(-1, 0)),
                  *many = X(f, IR_i64, SHAPE(2, 2), LIST(2, 0, 1, 1));
    IS(f, ir_take(b, x, ids, 1), LIST(3, 1, 6, 4));
    IS(f, N(f, IR_OP_gather, x, many, ATTRS(ir_attr_i(IR_ATTR_axis, 1))), LIST(3, 1, 5, 5));
    const ir_node *src = X(f, IR_i32, SHAPE(2, 2), LIST(10, 20, 30, 40));
    ir_attr axis = ir_attr_i(IR_ATTR_axis, 1);
    IS(f, ir_build(b, IR_OP_scatter_add, 3, (const ir_node *[]){x, many, src}, 1, &axis, 0, NULL),
       LIST(21, 2, 13, 4, 75, 6));
    IS(f, ir_build(b, IR_OP_index_add, 3, (const ir_node *[]){x, ids, src}, 1, &axis, 0, NULL),
       LIST(21, 2, 13, 44, 5, 36));
    IS(f, ir_iota(b, IR_f32, 2, (const ir_dim *[]){two, K(f, 3)}, 1), LIST(0, 1, 2, 0, 1, 2));
    IS(f, ir_dim_node(b, K(f, 42)), LIST(42));
    IS(f, ir_const_data(b, ir_type_get(f->c, IR_i8, 1, &two), (int8_t[]){-3, 4}), LIST(-3, 4));
    teardown(f);
}

static void test_reduce(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *x = X(f, IR_f32, SHAPE(2, 3), LIST(1, 2, 3, 4, 5, 6));
    IS(f, ir_reduce(b, IR_OP_reduce_sum, x, SHAPE(0), false), LIST(5, 7, 9));
    IS(f, ir_reduce(b, IR_OP_reduce_mean, x, SHAPE(1), true), LIST(2, 5));
    IS(f, ir_reduce(b, IR_OP_reduce_prod, x, SHAPE(0, 1), false), LIST(720));
    const ir_node *none = X(f, IR_f32, 2, (int64_t[]){2, 0}, 0, NULL),
                  *no_bytes = X(f, IR_i8, 1, (int64_t[]){0}, 0, NULL);
    IS(f, ir_reduce(b, IR_OP_reduce_max, none, SHAPE(1), false), LIST(-INFINITY, -INFINITY));
    IS(f, ir_reduce(b, IR_OP_reduce_mean, none, SHAPE(1), false), LIST(NAN, NAN));
    IS(f, ir_reduce(b, IR_OP_reduce_min, no_bytes, SHAPE(0), false), LIST(127));
    const ir_node *t = X(f, IR_bool, SHAPE(2, 2), LIST(1, 0, 1, 1));
    IS(f, ir_reduce(b, IR_OP_reduce_all, t, SHAPE(1), false), LIST(0, 1));
    IS(f, ir_reduce(b, IR_OP_reduce_any, t, SHAPE(0), false), LIST(1, 1));
    const ir_node *y = X(f, IR_f32, SHAPE(2, 4), LIST(1, 3, 3, 0, 1, NAN, 9, NAN));
    IS(f, N(f, IR_OP_argmax, y, NULL, ATTRS(ir_attr_i(IR_ATTR_axis, 1))), LIST(1, 1));
    IS(f, N(f, IR_OP_argmin, y, NULL, ATTRS(ir_attr_i(IR_ATTR_axis, 0))), LIST(0, 1, 0, 1));
    const ir_node *z = X(f, IR_i16, SHAPE(4), LIST(1, 2, 3, 4));
    static const double sums[4][4] = {
        {1,  3, 6, 10},
        {0,  1, 3, 6 },
        {10, 9, 7, 4 },
        {9,  7, 4, 0 }
    };
    for (int i = 0; i < 4; i++) {
        IS(f,
           N(f, IR_OP_cumsum, z, NULL,
             ATTRS(ir_attr_i(IR_ATTR_axis, 0), ir_attr_i(IR_ATTR_reverse, i / 2),
                   ir_attr_i(IR_ATTR_exclusive, i % 2))),
           4, sums[i]);
    }
    teardown(f);
}

static void test_sort(void **state)
{
    fixture *f = setup();
    const ir_node *x = X(f, IR_f32, SHAPE(6), LIST(3, NAN, 1, 2, -0.0, 0)),
                  *y = X(f, IR_i32, SHAPE(2, 4), LIST(1, 5, 5, 2, 9, 8, 7, 6));
    ir_attr axis = ir_attr_i(IR_ATTR_axis, 0), down = ir_attr_i(IR_ATTR_descending, 1);
    IS(f, N(f, IR_OP_sort, x, NULL, 1, &axis), LIST(-0.0, 0, 1, 2, 3, NAN));
    IS(f, N(f, IR_OP_argsort, x, NULL, 1, &axis), LIST(4, 5, 2, 3, 0, 1));
    IS(f, N(f, IR_OP_sort, x, NULL, ATTRS(axis, down)), LIST(3, 2, 1, -0.0, 0, NAN));
    IS(f, N(f, IR_OP_argsort, x, NULL, ATTRS(axis, down)), LIST(0, 3, 2, 4, 5, 1));
    const ir_node *top =
        N(f, IR_OP_topk, y, NULL, ATTRS(ir_attr_i(IR_ATTR_axis, 1), ir_attr_i(IR_ATTR_k, 2)));
    IS(f, ir_get(&f->b, top, 0), LIST(5, 5, 9, 8));
    IS(f, ir_get(&f->b, top, 1), LIST(1, 2, 0, 1));
    IS(f, N(f, IR_OP_sort, y, NULL, 1, &axis), LIST(1, 5, 5, 2, 9, 8, 7, 6));
    teardown(f);
}

static void test_contract(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *x = X(f, IR_f32, SHAPE(2, 2), LIST(1, 2, 3, 4)),
                  *y = X(f, IR_f32, SHAPE(2, 2), LIST(5, 6, 7, 8)),
                  *r = X(f, IR_f32, SHAPE(1, 2), LIST(1, 10));
    IS(f, ir_matmul(b, x, y), LIST(19, 22, 43, 50));
    IS(f, ir_contract(b, x, y, "ij", "ij", ""), LIST(70));
    IS(f, ir_contract(b, x, r, "ij", "ij", "i"), LIST(21, 43)); /* size 1 broadcasts */
    IS(f, ir_contract(b, x, y, "ij", "kl", "ki"), LIST(33, 77, 45, 105));
    const ir_node *i = X(f, IR_i8, SHAPE(2), LIST(100, 100));
    IS(f, ir_contract(b, i, i, "i", "i", ""), LIST(32)); /* 20000 in eight bits */
    teardown(f);
}

static const ir_node *rounded_product(fixture *f, const ir_node *x, const ir_node *y,
                                      const char *math)
{
    const char *labels[3] = {word(f, "ik"), word(f, "jk"), word(f, "ij")};
    return N(f, IR_OP_contract, x, y,
             ATTRS(ir_attr_ss(IR_ATTR_labels, 3, labels), ir_attr_s(IR_ATTR_math, word(f, math))));
}

static void test_rounded_operands(void **state)
{
    fixture *f = setup();
    /* 1 + 2^-8 is half way between bf16 values, and goes to the even one. */
    const ir_node *x = X(f, IR_f32, SHAPE(1, 3), LIST(1.00390625, 1.01171875, 127)),
                  *y = X(f, IR_f32, SHAPE(1, 3), LIST(1, 1, 0.50390625));
    IS(f, rounded_product(f, x, y, "bf16"), LIST(1 + 1.015625 + 127 * 0.50390625));
    /* The largest of a block of 32 becomes 127; the second operand stays as it is. */
    IS(f, rounded_product(f, x, y, "q8"), LIST(1 + 1 + 127 * 0.50390625));
    double blocks[40], ones[40];
    for (int i = 0; i < 40; i++) {
        blocks[i] = i == 0 ? 254 : i < 32 ? 3.1 : i == 39 ? 1.27 : 0.104;
        ones[i] = 1;
    }
    x = X(f, IR_f32, SHAPE(1, 40), 40, blocks);
    y = X(f, IR_f32, SHAPE(1, 40), 40, ones);
    IS(f, rounded_product(f, x, y, "q8"), LIST(254 + 31 * 4 + 1.27 + 7 * 0.10));
    assert_null(rounded_product(f, x, y, "q9"));
    teardown(f);
}

static const ir_node *window(fixture *f, ir_op op, const ir_node *x, const ir_node *w,
                             int64_t stride, int64_t dilation, int64_t lo, int64_t hi, uint32_t n,
                             const ir_attr *more)
{
    ir_attr a[8] = {INTS(strides, stride), INTS(dilations, dilation), INTS(pads_lo, lo),
                    INTS(pads_hi, hi)};
    for (uint32_t i = 0; i < n; i++) {
        a[4 + i] = more[i];
    }
    return N(f, op, x, w, 4 + n, a);
}

static void test_conv(void **state)
{
    fixture *f = setup();
    const ir_node *x = X(f, IR_f32, SHAPE(1, 1, 4), LIST(1, 2, 3, 4)),
                  *w = X(f, IR_f32, SHAPE(1, 1, 3), LIST(1, 0, -1));
    IS(f, window(f, IR_OP_conv, x, w, 1, 1, 1, 1, 0, NULL), LIST(-2, -2, -2, 3));
    const ir_node *y = X(f, IR_f32, SHAPE(1, 2, 3), LIST(1, 2, 3, 10, 20, 30)),
                  *v = X(f, IR_f32, SHAPE(2, 1, 2), LIST(1, 1, 1, -1));
    ir_attr groups = ir_attr_i(IR_ATTR_groups, 2);
    IS(f, window(f, IR_OP_conv, y, v, 1, 2, 0, 0, 1, &groups), LIST(4, -20));
    const ir_node *z = X(f, IR_f32, SHAPE(1, 1, 2), LIST(1, 2)),
                  *u = X(f, IR_f32, SHAPE(1, 1, 3), LIST(1, 10, 100));
    IS(f, window(f, IR_OP_conv_transpose, z, u, 2, 1, 0, 0, 0, NULL), LIST(1, 10, 102, 20, 200));
    ir_attr out_pads = INTS(out_pads, 1);
    IS(f, window(f, IR_OP_conv_transpose, z, u, 2, 1, 1, 1, 1, &out_pads), LIST(10, 102, 20, 200));
    const ir_node *plane = X(f, IR_f32, SHAPE(1, 1, 2, 3), LIST(1, 2, 3, 4, 5, 6)),
                  *k = X(f, IR_f32, SHAPE(1, 1, 2, 2), LIST(1, 2, 3, 4));
    IS(f,
       N(f, IR_OP_conv, plane, k,
         ATTRS(INTS(strides, 1, 1), INTS(dilations, 1, 1), INTS(pads_lo, 0, 0),
               INTS(pads_hi, 0, 0))),
       LIST(37, 47));
    teardown(f);
}

static void test_pool_and_resize(void **state)
{
    fixture *f = setup();
    const ir_node *x = X(f, IR_f32, SHAPE(1, 1, 4), LIST(1, 3, 2, 5)),
                  *y = X(f, IR_f32, SHAPE(1, 1, 2), LIST(1, 2)),
                  *z = X(f, IR_f32, SHAPE(1, 1, 4), LIST(0, 1, 4, 9));
    ir_attr m[3] = {INTS(window, 2), ir_attr_s(IR_ATTR_mode, word(f, "max")),
                    ir_attr_i(IR_ATTR_count_pad, 0)};
    IS(f, window(f, IR_OP_pool, x, NULL, 1, 1, 0, 0, 2, m), LIST(3, 3, 5));
    m[1] = ir_attr_s(IR_ATTR_mode, word(f, "avg"));
    IS(f, window(f, IR_OP_pool, x, NULL, 2, 1, 1, 1, 3, m), LIST(1, 2.5, 5));
    IS(f, window(f, IR_OP_pool, x, NULL, 2, 1, 1, 1, 2, m), LIST(0.5, 2.5, 2.5));
    const ir_dim *four = K(f, 4), *eight = K(f, 8);
    ir_attr r[3] = {ir_attr_ds(IR_ATTR_sizes, 1, &four),
                    ir_attr_s(IR_ATTR_mode, word(f, "nearest")), ir_attr_i(IR_ATTR_align, 1)};
    IS(f, N(f, IR_OP_resize, y, NULL, 2, r), LIST(1, 1, 2, 2));
    r[1] = ir_attr_s(IR_ATTR_mode, word(f, "linear"));
    IS(f, N(f, IR_OP_resize, y, NULL, 2, r), LIST(1, 1.25, 1.75, 2));
    IS(f, N(f, IR_OP_resize, y, NULL, 3, r), LIST(1, 4.0 / 3, 5.0 / 3, 2));
    r[0] = ir_attr_ds(IR_ATTR_sizes, 1, &eight);
    r[1] = ir_attr_s(IR_ATTR_mode, word(f, "cubic"));
    /* Keys' weights at a distance of 1/4: -0.10546875 0.87890625 0.26171875 -0.03515625 */
    IS(f, N(f, IR_OP_resize, z, NULL, 2, r),
       LIST(-0.10546875, 0.12109375, 0.45703125, 1.609375, 2.828125, 5.44921875, 7.97265625,
            9.52734375));
    teardown(f);
}

static void test_norms(void **state)
{
    fixture *f = setup();
    ir_builder *b = &f->b;
    const ir_node *x = X(f, IR_f32, SHAPE(1, 2), LIST(0, 1.0986122886681098)),
                  *y = X(f, IR_f32, SHAPE(1, 2), LIST(1, 3)),
                  *w = X(f, IR_f32, SHAPE(2), LIST(2, 3));
    ir_attr axis = ir_attr_i(IR_ATTR_axis, 1);
    IS(f, N(f, IR_OP_softmax, x, NULL, 1, &axis), LIST(0.25, 0.75));
    IS(f, N(f, IR_OP_log_softmax, x, NULL, 1, &axis), LIST(log(0.25), log(0.75)));
    const ir_node *low = X(f, IR_f32, SHAPE(2, 2), LIST(-INFINITY, -INFINITY, 0, 0));
    IS(f, ir_reduce(b, IR_OP_logsumexp, low, SHAPE(1), false), LIST(-INFINITY, log(2)));
    ir_attr a[2] = {INTS(axes, 1), ir_attr_f(IR_ATTR_eps, 0)};
    IS(f, N(f, IR_OP_layer_norm, y, NULL, 2, a), LIST(-1, 1));
    IS(f, ir_build(b, IR_OP_layer_norm, 3, (const ir_node *[]){y, w, w}, 2, a, 0, NULL),
       LIST(0, 6));
    IS(f, N(f, IR_OP_rms_norm, y, w, 2, a), LIST(2 / sqrt(5), 9 / sqrt(5)));
    teardown(f);
}

static void test_attention(void **state)
{
    fixture *f = setup();
    const ir_node *in[4] = {
        X(f, IR_f32, SHAPE(2, 2), LIST(1, 0, 1, 0)), X(f, IR_f32, SHAPE(2, 2), LIST(1, 0, 0, 1)),
        X(f, IR_f32, SHAPE(2, 1), LIST(1, 2)), X(f, IR_f32, SHAPE(2), LIST(0, -INFINITY))};
    ir_attr a[2] = {ir_attr_f(IR_ATTR_scale, 1.0986122886681098),
                    ir_attr_d(IR_ATTR_causal, K(f, 0))};
    IS(f, ir_build(&f->b, IR_OP_attention, 3, in, 1, a, 0, NULL), LIST(1.25, 1.25));
    IS(f, ir_build(&f->b, IR_OP_attention, 3, in, 2, a, 0, NULL), LIST(1, 1.25));
    ir_builder outer = f->b;
    const ir_dim *dims[2] = {K(f, 2), K(f, 2)};
    f->b.graph = ir_graph_create(f->c, "score");
    const ir_node *s =
        ir_graph_add_input(f->b.graph, word(f, "s"), ir_type_get(f->c, IR_f32, 2, dims), f->b.loc);
    const ir_node *bias =
        ir_graph_add_input(f->b.graph, word(f, "bias"), ir_node_type(in[3]), f->b.loc);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "s"),
                        ir_binary(&f->b, IR_OP_add, s, bias));
    ir_graph *body = f->b.graph;
    f->b = outer;
    IS(f, ir_build(&f->b, IR_OP_attention, 4, in, 1, a, 1, &body), LIST(1, 1));
    teardown(f);
}

/* Random123's known answer for counter 0, key 0 begins 6627e8d5 e169c58d. */
static void test_random(void **state)
{
    fixture *f = setup();
    ir_attr a[5] = {ir_attr_t(IR_ATTR_dtype, IR_i64), ir_attr_ds(IR_ATTR_shape, 0, NULL),
                    ir_attr_s(IR_ATTR_mode, word(f, "int")), INTS(bounds, 0, (int64_t)1 << 32),
                    ir_attr_i(IR_ATTR_stream, 0)};
    IS(f, ir_build(&f->b, IR_OP_random, 0, NULL, 5, a, 0, NULL), LIST(0x6627e8d5));
    a[0] = ir_attr_t(IR_ATTR_dtype, IR_f32);
    a[2] = ir_attr_s(IR_ATTR_mode, word(f, "uniform"));
    IS(f, ir_build(&f->b, IR_OP_random, 0, NULL, 5, a, 0, NULL), LIST(0x6627e8 / 16777216.0));
    a[2] = ir_attr_s(IR_ATTR_mode, word(f, "normal"));
    double r = sqrt(-2 * log((0x6627e8 + 1) / 16777216.0)),
           angle = 0xe169c5 / 16777216.0 * 6.283185307179586;
    IS(f, ir_build(&f->b, IR_OP_random, 0, NULL, 5, a, 0, NULL), LIST(r * cos(angle)));
    teardown(f);
}

/* s += i while s < limit; each s is collected. */
static const ir_node *summing_loop(fixture *f, int64_t lo, int64_t hi, int64_t step, double limit)
{
    char name[8];
    snprintf(name, sizeof name, "i%u", ir_graph_size(f->b.graph));
    ir_builder outer = f->b;
    const ir_node *zero = ir_const_f(&f->b, IR_f32, 0);
    const ir_sym *i = ir_sym_loop(f->c, word(f, name), K(f, lo), K(f, hi), step);
    f->b.graph = ir_graph_create(f->c, "turn");
    const ir_node *s =
        ir_graph_add_input(f->b.graph, word(f, "s"), ir_type_scalar(f->c, IR_f32), f->b.loc);
    const ir_node *next = ir_binary(
        &f->b, IR_OP_add, s, ir_cast(&f->b, ir_dim_node(&f->b, ir_dim_sym(f->c, i)), IR_f32));
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "s"), next);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "row"), next);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "go"),
                        ir_binary(&f->b, IR_OP_lt, next, ir_const_f(&f->b, IR_f32, limit)));
    ir_graph *body = f->b.graph;
    f->b = outer;
    return ir_loop(&f->b, 1, &zero, 1, 1, true, i, K(f, lo), K(f, hi), step, body);
}

static bool double_it(void *data, const char *target, uint32_t n_args, const ir_tensor *args,
                      uint32_t n_results, ir_tensor *results)
{
    for (int64_t i = 0; i < ir_tensor_elems(&args[0]); i++) {
        ((float *)results[0].data)[i] = 2 * ((const float *)args[0].data)[i];
    }
    return strcmp(target, "x:double") == 0;
}

static void test_structure(void **state)
{
    fixture *f = setup();
    const ir_node *up = summing_loop(f, 1, 5, 1, 100), *early = summing_loop(f, 1, 5, 1, 3),
                  *down = summing_loop(f, 3, 0, -2, 100), *never = summing_loop(f, 2, 2, 1, 9);
    IS(f, ir_get(&f->b, up, 0), LIST(10));
    IS(f, ir_get(&f->b, up, 1), LIST(1, 3, 6, 10));
    IS(f, ir_get(&f->b, early, 0), LIST(3));
    IS(f, ir_get(&f->b, early, 1), LIST(1, 3, 0, 0)); /* rows not reached are zero */
    IS(f, ir_get(&f->b, down, 1), LIST(3, 4));
    IS(f, ir_get(&f->b, never, 0), LIST(0));
    const ir_node *x = X(f, IR_f32, SHAPE(2), LIST(3, -4));
    ir_builder outer = f->b;
    f->b.graph = ir_graph_create(f->c, "kernel");
    const ir_node *y = ir_graph_add_input(f->b.graph, word(f, "y"), ir_node_type(x), f->b.loc);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "a"), ir_unary(&f->b, IR_OP_neg, y));
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "b"), ir_unary(&f->b, IR_OP_abs, y));
    ir_graph *body = f->b.graph;
    f->b = outer;
    ir_attr family = ir_attr_s(IR_ATTR_family, word(f, "map"));
    const ir_node *k = ir_build(&f->b, IR_OP_kernel, 1, &x, 1, &family, 1, &body);
    IS(f, ir_get(&f->b, k, 0), LIST(-3, 4));
    IS(f, ir_get(&f->b, k, 1), LIST(3, 4));
    const char *type = word(f, "f32[2]");
    f->env.call = double_it;
    IS(f,
       ir_build(&f->b, IR_OP_extern, 1, &x,
                ATTRS(ir_attr_s(IR_ATTR_target, word(f, "x:double")),
                      ir_attr_ss(IR_ATTR_types, 1, &type)),
                0, NULL),
       LIST(6, -8));
    teardown(f);
}

/* What comes from outside ---------------------------------------------------------------------- */

static bool numbered_param(void *data, const char *name, uint32_t n, const int64_t *indices,
                           const ir_type *type, ir_tensor *out)
{
    fixture *f = data;
    float *v = arena_array(f->a, float, 2);
    v[0] = n ? (float)indices[0] : -1;
    v[1] = 1;
    out->data = v;
    return strcmp(name, "h.{}.w") == 0;
}

static bool two_states(void *data, const char *name, const ir_type *type, ir_tensor **out)
{
    fixture *f = data;
    *out = &f->states[strcmp(name, "b") == 0];
    return strcmp(name, "c") != 0;
}

static void test_outside(void **state)
{
    fixture *f = setup();
    float a[2] = {1, 2}, b[2] = {3, 4};
    const ir_dim *two = K(f, 2), *five = K(f, 5);
    const ir_type *t = ir_type_get(f->c, IR_f32, 1, &two);
    f->states[0] = (ir_tensor){IR_f32, 1, {2}, a};
    f->states[1] = (ir_tensor){IR_f32, 1, {2}, b};
    f->env.param = numbered_param;
    f->env.state = two_states;
    f->env.data = f;
    IS(f, ir_param_node(&f->b, "h.{}.w", t, 1, &five), LIST(5, 1));
    const ir_node *x = ir_state_node(&f->b, "a", t), *y = ir_state_node(&f->b, "b", t);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_STATE, word(f, "a"), y); /* they change places */
    ir_graph_add_output(f->b.graph, IR_OUTPUT_STATE, word(f, "b"), x);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "was"), x);
    assert_true(ir_eval(f->b.graph, &f->env, NULL, NULL, f->out));
    assert_true(a[0] == 3 && a[1] == 4 && b[0] == 1 && b[1] == 2);
    assert_true(((float *)f->out[0].data)[0] == 1);
    const ir_node *none = ir_param_node(&f->b, "nothing", t, 0, NULL);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "none"), none);
    assert_false(ir_eval(f->b.graph, &f->env, NULL, NULL, f->out));
    assert_string_equal(f->env.error, "there is no parameter nothing");
    assert_true(a[0] == 3); /* nothing is written when a call fails */
    teardown(f);
}

static void refused(fixture *f, const int64_t *dims, const char *why)
{
    if (ir_eval(f->b.graph, &f->env, dims, f->in, f->out)) {
        fail_msg("accepted, not refused: %s", why);
    }
    assert_string_equal(f->env.error, why);
}

static void test_driver(void **state)
{
    fixture *f = setup();
    const ir_sym *p = ir_sym_get(f->c, word(f, "p"), 0, 7),
                 *s = ir_sym_get(f->c, word(f, "S"), 0, INT64_MAX);
    const ir_dim *pos = ir_dim_sym(f->c, p), *S = ir_dim_sym(f->c, s);
    ir_graph_add_sym(f->b.graph, p, true);
    ir_graph_add_sym(f->b.graph, f->T, false);
    ir_graph_add_sym(f->b.graph, s, false);
    const ir_dim *x_dims[2] = {f->t, K(f, 3)},
                 *y_dims[2] = {ir_dim_offset(f->c, ir_dim_scale(f->c, S, 2), 1), f->t};
    const ir_node *x = ir_graph_add_input(f->b.graph, word(f, "x"),
                                          ir_type_get(f->c, IR_f32, 2, x_dims), f->b.loc);
    const ir_node *y = ir_graph_add_input(f->b.graph, word(f, "y"),
                                          ir_type_get(f->c, IR_i32, 2, y_dims), f->b.loc);
    ir_graph_add_condition(
        f->b.graph,
        (ir_condition){
            IR_REL_LE, ir_dim_add(f->c, pos, f->t), K(f, 8), word(f, "p + T <= 8"), {0}});
    ir_graph_add_output(
        f->b.graph, IR_OUTPUT_RESULT, word(f, "r"),
        ir_binary(&f->b, IR_OP_add, ir_dim_node(&f->b, pos), ir_dim_node(&f->b, S)));
    static float data[64];
    int64_t two = 2, six = 6, nine = 9, values[3];
    f->in[0] = (ir_tensor){
        IR_f32, 2, {4, 3},
          data
    };
    f->in[1] = (ir_tensor){
        IR_i32, 2, {11, 4},
          data
    };
    assert_true(ir_eval(f->b.graph, &f->env, &two, f->in, f->out));
    assert_int_equal(((int64_t *)f->out[0].data)[0], 2 + 5); /* 2 S + 1 = 11 */
    assert_true(ir_eval_bind(f->b.graph, &f->env, &two, f->in, values));
    assert_true(values[0] == 2 && values[1] == 4 && values[2] == 5);
    refused(f, &six, "p + T <= 8: T + p is 10, 8 is 8");
    refused(f, &nine, "0 <= p <= 7: p is 9");
    f->in[1].dims[0] = 10;
    refused(f, &two, "size S does not follow from the arguments");
    f->in[1] = (ir_tensor){
        IR_i32, 2, {11, 5},
          data
    };
    refused(f, &two, "axis 1 of y is T: it is 5, not 4");
    f->in[1].dtype = IR_f32;
    refused(f, &two, "argument y is of type f32, i32 is needed");
    f->in[0].rank = 1;
    refused(f, &two, "argument x has 1 axes, 2 are needed");
    (void)x, (void)y;
    teardown(f);
}

static void test_limits(void **state)
{
    fixture *f = setup();
    const ir_dim *big[2] = {K(f, 1 << 20), K(f, 1 << 20)};
    ir_graph_add_output(f->b.graph, IR_OUTPUT_RESULT, word(f, "r"),
                        ir_iota(&f->b, IR_f32, 2, big, 0));
    refused(f, NULL, "a tensor would take more than 16 GiB");
    teardown(f);
    f = setup();
    const ir_node *none = X(f, IR_f32, 1, (int64_t[]){0}, 0, NULL),
                  *ids = X(f, IR_i64, SHAPE(1), LIST(0));
    assert_null(ir_take(&f->b, none, ids, 0)); /* refused when it is built */
    assert_non_null(strstr(f->b.error.text, "needs at least one element"));
    teardown(f);
}

/* One op on constants, for folding. */
static void test_node(void **state)
{
    fixture *f = setup();
    const ir_node *x = X(f, IR_f32, SHAPE(2), LIST(1, 4)), *y = ir_unary(&f->b, IR_OP_sqrt, x);
    ir_tensor out;
    assert_true(ir_eval_node(y, f->a, f->in, &out));
    assert_true(out.rank == 1 && out.dims[0] == 2 && ((float *)out.data)[1] == 2);
    ir_attr a[4] = {ir_attr_t(IR_ATTR_dtype, IR_f32), ir_attr_ds(IR_ATTR_shape, 0, NULL),
                    ir_attr_s(IR_ATTR_mode, word(f, "normal")), ir_attr_i(IR_ATTR_stream, 0)};
    assert_false(
        ir_eval_node(ir_build(&f->b, IR_OP_random, 0, NULL, 4, a, 0, NULL), f->a, NULL, &out));
    assert_false(ir_eval_node(ir_dim_node(&f->b, f->t), f->a, NULL, &out));
    teardown(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elementwise),
                                       cmocka_unit_test(test_cast),
                                       cmocka_unit_test(test_moves),
                                       cmocka_unit_test(test_reduce),
                                       cmocka_unit_test(test_sort),
                                       cmocka_unit_test(test_contract),
                                       cmocka_unit_test(test_rounded_operands),
                                       cmocka_unit_test(test_conv),
                                       cmocka_unit_test(test_pool_and_resize),
                                       cmocka_unit_test(test_norms),
                                       cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_structure),
                                       cmocka_unit_test(test_outside),
                                       cmocka_unit_test(test_driver),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_node)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
