/* Shape rules: for each family the right shapes, and for wrong operands the right words. */
#include "ir/build.h"
#include "ir/parse_dim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static arena *a;
static ir_ctx *c;
static ir_builder b;
static const ir_sym *syms[4];

static int setup(void **state)
{
    (void)state;
    a = arena_create();
    c = ir_ctx_create(a, intern_create(a));
    b = (ir_builder){.ctx = c, .graph = ir_graph_create(c, "g")};
    b.conditions = b.graph;
    syms[0] = ir_sym_get(c, "T", 1, 512);
    syms[1] = ir_sym_get(c, "pos", 0, 511);
    syms[2] = ir_sym_get(c, "S", 1, 1024);
    syms[3] = ir_sym_get(c, "H", 0, INT64_MAX);
    for (int i = 0; i < 4; i++) {
        ir_graph_add_sym(b.graph, syms[i], i == 1);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ir_graph_destroy(b.graph);
    arena_destroy(a);
    return 0;
}

static const ir_sym *lookup(void *data, const char *name)
{
    (void)data;
    for (int i = 0; i < 4; i++) {
        if (strcmp(syms[i]->name, name) == 0) {
            return syms[i];
        }
    }
    return NULL;
}

static const ir_dim *D(const char *text)
{
    ir_text_cursor cursor = {.at = text};
    const ir_dim *d = ir_dim_parse(c, &cursor, lookup, NULL);
    assert_non_null(d);
    return d;
}

static const ir_node *in(const char *type)
{
    ir_text_cursor cursor = {.at = type};
    const ir_type *t = ir_type_parse(c, &cursor, lookup, NULL);
    assert_non_null(t);
    return ir_graph_add_input(b.graph, "x", t, (ir_loc){0});
}

/* The list of sizes "2, T": for attributes and shapes. */
static uint32_t list(const char *text, const ir_dim **dims)
{
    ir_text_cursor cursor = {.at = intern_printf(ir_ctx_names(c), "f32[%s]", text)};
    const ir_type *t = ir_type_parse(c, &cursor, lookup, NULL);
    assert_non_null(t);
    memcpy(dims, t->dims, t->rank * sizeof *dims);
    return t->rank;
}

static ir_attr dims_attr(ir_attr_key key, const char *text)
{
    const ir_dim **dims = arena_array(a, const ir_dim *, IR_MAX_RANK);
    uint32_t n = list(text, dims);
    return ir_attr_ds(key, n, dims);
}

static ir_attr ints_attr(ir_attr_key key, uint32_t n, ...)
{
    int64_t *v = arena_array(a, int64_t, n);
    va_list args;
    va_start(args, n);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = va_arg(args, int);
    }
    va_end(args);
    return ir_attr_is(key, n, v);
}

static ir_attr word(ir_attr_key key, const char *s)
{
    return ir_attr_s(key, intern(ir_ctx_names(c), s));
}

#define ATTRS(...)                                                                                 \
    (uint32_t)(sizeof((ir_attr[]){__VA_ARGS__}) / sizeof(ir_attr)), (ir_attr[])                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const ir_node *make(ir_op op, const ir_node *x, const ir_node *y, const ir_node *z,
                           uint32_t n_attrs, const ir_attr *attrs)
{
    const ir_node *all[3] = {x, y, z};
    return ir_build(&b, op, (uint32_t)(!!x + !!y + !!z), all, n_attrs, attrs, 0, NULL);
}

/* The type of the (first) result, or that the error contains these words. */
static void gives(const ir_node *n, const char *wanted)
{
    const char *found = n ? ir_type_text(c, n->types[0]) : b.error.text;
    if (n ? strcmp(found, wanted) != 0 : strstr(found, wanted) == NULL) {
        fail_msg("expected: %s\n   found: %s", wanted, found);
    }
    assert_int_equal(b.failed, n == NULL);
    b.failed = false;
    memset(&b.error, 0, sizeof b.error);
}

static void assumed(uint32_t i, const char *text)
{
    assert_true(i < ir_graph_n_conditions(b.graph));
    assert_string_equal(ir_graph_condition(b.graph, i)->text, text);
}

static void test_elementwise(void **state)
{
    (void)state;
    gives(ir_unary(&b, IR_OP_exp, in("f16[T, 3]")), "f16[T, 3]");
    gives(ir_unary(&b, IR_OP_isnan, in("f32[T]")), "bool[T]");
    gives(ir_unary(&b, IR_OP_exp, in("i64[T]")), "exp expects a float type, found i64");
    gives(ir_unary(&b, IR_OP_not, in("f32[]")), "not expects bool, found f32");
    gives(ir_unary(&b, IR_OP_neg, in("bool[]")), "neg expects numbers, found bool");
    gives(ir_unary(&b, IR_OP_bit_not, in("f32[]")), "bit_not expects an integer type, found f32");
    gives(ir_binary(&b, IR_OP_add, in("f32[2, T, 64]"), in("f32[64]")), "f32[2, T, 64]");
    gives(ir_binary(&b, IR_OP_add, in("f32[T, 1]"), in("f32[1, S]")), "f32[T, S]");
    gives(ir_binary(&b, IR_OP_lt, in("i32[T]"), in("i32[]")), "bool[T]");
    gives(ir_binary(&b, IR_OP_eq, in("bool[T]"), in("bool[T]")), "bool[T]");
    gives(ir_binary(&b, IR_OP_add, in("f32[T]"), in("bf16[T]")),
          "element types differ: f32 and bf16");
    const ir_node *n = ir_binary(&b, IR_OP_add, in("f32[4, 768]"), in("f32[512]"));
    assert_null(n);
    assert_true(b.error.operand[0] == 0 && b.error.axis[0] == 1);
    assert_true(b.error.operand[1] == 1 && b.error.axis[1] == 0);
    gives(n, "shapes do not broadcast: 768 and 512");
    gives(ir_binary(&b, IR_OP_add, in("f32[T]"), in("f32[T + 1]")),
          "shapes do not broadcast: T and T + 1");
    gives(make(IR_OP_add, in("f32[]"), NULL, NULL, 0, NULL), "add takes 2 operands, not 1");
    gives(make(IR_OP_exp, in("f32[]"), in("f32[]"), NULL, 0, NULL), "exp takes 1 operand, not 2");
    gives(ir_where(&b, in("bool[T, 1]"), in("f32[]"), in("f32[S]")), "f32[T, S]");
    gives(ir_where(&b, in("i32[T]"), in("f32[]"), in("f32[T]")),
          "the condition of where must be bool, found i32");
    gives(ir_where(&b, in("bool[]"), in("f32[]"), in("i32[]")), "element types differ");
    gives(ir_cast(&b, in("bool[T]"), IR_bf16), "bf16[T]");
    const ir_node *x = in("f32[T]");
    assert_ptr_equal(ir_cast(&b, x, IR_f32), x);
    assert_int_equal(ir_graph_n_conditions(b.graph), 0);
    assert_null(ir_unary(&b, IR_OP_exp, NULL)); /* one mistake is told once */
    assert_false(b.failed);
}

static void test_sizes_that_may_agree(void **state)
{
    (void)state;
    gives(ir_binary(&b, IR_OP_add, in("f32[T]"), in("f32[S]")), "f32[T]");
    assumed(0, "T == S");
    gives(ir_binary(&b, IR_OP_mul, in("f32[S, 2]"), in("f32[T, 2]")), "f32[S, 2]");
    assert_int_equal(ir_graph_n_conditions(b.graph), 1); /* known by now */
    gives(ir_binary(&b, IR_OP_add, in("f32[2*T]"), in("f32[2*S]")), "f32[2*T]");
    assert_int_equal(ir_graph_n_conditions(b.graph), 2);
    /* a refused node leaves no conditions behind */
    gives(ir_binary(&b, IR_OP_add, in("f32[2, H]"), in("f32[3, T]")),
          "shapes do not broadcast: 2 and 3");
    gives(ir_binary(&b, IR_OP_add, in("f32[H, 2]"), in("f32[T, 3]")), "2 and 3");
    assert_int_equal(ir_graph_n_conditions(b.graph), 2);
    b.conditions = NULL;
    gives(ir_binary(&b, IR_OP_add, in("f32[T]"), in("f32[S]")), "cannot be proved for all sizes");
}

static void test_leaves(void **state)
{
    (void)state;
    const ir_dim *dims[2] = {D("T"), D("3")};
    gives(ir_iota(&b, IR_i32, 2, dims, 1), "i32[T, 3]");
    gives(ir_iota(&b, IR_i32, 2, dims, 2), "axis 2 is out of range: there are 2 axes");
    gives(ir_dim_node(&b, D("T + pos")), "i64[]");
    gives(ir_const_f(&b, IR_bf16, 1), "bf16[]");
    ir_attr t = ir_attr_t(IR_ATTR_dtype, IR_f32), shape = ir_attr_ds(IR_ATTR_shape, 2, dims);
    ir_attr i64 = ir_attr_t(IR_ATTR_dtype, IR_i64);
    gives(make(IR_OP_random, NULL, NULL, NULL, ATTRS(t, shape, word(IR_ATTR_mode, "normal"))),
          "f32[T, 3]");
    gives(make(IR_OP_random, NULL, NULL, NULL, ATTRS(t, shape, word(IR_ATTR_mode, "odd"))),
          "mode of random cannot be \"odd\"");
    gives(make(IR_OP_random, NULL, NULL, NULL, ATTRS(i64, shape, word(IR_ATTR_mode, "normal"))),
          "normal draws are of a float type, not i64");
    gives(make(IR_OP_random, NULL, NULL, NULL,
               ATTRS(i64, shape, word(IR_ATTR_mode, "int"), ints_attr(IR_ATTR_bounds, 2, 3, 3))),
          "no integer is in [3, 3)");
    gives(make(IR_OP_random, NULL, NULL, NULL, ATTRS(shape)), "random needs attribute dtype");
    gives(make(IR_OP_const, NULL, NULL, NULL, 0, NULL), "the type of const must be given");
}

static const ir_node *reshape(const char *x, const char *shape)
{
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t n = list(shape, dims);
    return ir_reshape(&b, in(x), n, dims);
}

static const ir_node *broadcast(const char *x, const char *shape)
{
    const ir_dim *dims[IR_MAX_RANK];
    uint32_t n = list(shape, dims);
    return ir_broadcast(&b, in(x), n, dims);
}

static const ir_node *slice(const char *x, const char *offsets, const char *sizes,
                            const int64_t *steps)
{
    const ir_dim *o[IR_MAX_RANK], *s[IR_MAX_RANK];
    list(offsets, o);
    list(sizes, s);
    return ir_slice(&b, in(x), o, s, steps);
}

static const ir_node *update(const char *x, const char *y, const char *offsets)
{
    const ir_dim *o[IR_MAX_RANK];
    list(offsets, o);
    return ir_update(&b, in(x), in(y), o);
}

static void test_moves(void **state)
{
    (void)state;
    gives(reshape("f32[T, 12]", "T, 3, 4"), "f32[T, 3, 4]");
    gives(reshape("f32[T, 12]", "12*T"), "f32[12*T]");
    gives(reshape("f32[5, 12]", "7, 3"),
          "cannot reshape f32[5, 12] of 60 elements into 21 elements");
    gives(ir_transpose(&b, in("f32[2, T, 3]"), (int64_t[]){2, 0, 1}), "f32[3, 2, T]");
    gives(ir_transpose(&b, in("f32[2, T, 3]"), (int64_t[]){2, 0, 2}),
          "perm is not a permutation of the 3 axes");
    gives(broadcast("f32[1, 3]", "T, 5, 3"), "f32[T, 5, 3]");
    gives(broadcast("f32[2]", "3"), "cannot broadcast size 2 to 3");
    gives(broadcast("f32[2, 2]", "2"), "cannot broadcast 2 axes to 1");
    gives(slice("f32[512, 8]", "pos, 2", "1, 3", NULL), "f32[1, 3]");
    assert_int_equal(ir_graph_n_conditions(b.graph), 0);
    gives(slice("f32[512]", "pos", "T", NULL), "f32[T]");
    assumed(0, "T + pos <= 512");
    gives(slice("f32[512, 4]", "pos, 0", "T, 4", NULL), "f32[T, 4]");
    gives(slice("f32[512]", "pos", "T - 1", NULL), "f32[T - 1]"); /* follows */
    assert_int_equal(ir_graph_n_conditions(b.graph), 1);
    gives(slice("f32[10]", "4", "7", NULL), "slice 4:11 is out of range for axis 0 of size 10");
    gives(slice("f32[10]", "1", "3", (int64_t[]){4}), "f32[3]"); /* 1 5 9 */
    gives(slice("f32[10]", "2", "3", (int64_t[]){4}), "slice 2:11 is out of range");
    gives(slice("f32[10]", "0", "3", (int64_t[]){0}), "step 0 of a slice must be positive");
    gives(slice("f32[10]", "10", "0", NULL), "f32[0]");
    gives(slice("f32[10]", "-1", "1", NULL), "slice -1:0 is out of range");
    gives(slice("f32[H]", "0", "H - 1", NULL), "f32[H - 1]");
    assumed(1, "0 <= H - 1"); /* a size may not be negative */
    gives(update("f32[512, 4]", "f32[T, 4]", "pos, 0"), "f32[512, 4]");
    gives(update("f32[8, 4]", "f32[9, 4]", "0, 0"),
          "writing at 0:9 is out of range for axis 0 of size 8");
    gives(update("f32[8]", "f32[8, 1]", "0"), "cannot write f32[8, 1] into f32[8]");
    gives(update("f32[8]", "f16[8]", "0"), "element types differ: f32 and f16");
    gives(make(IR_OP_pad, in("f32[T, 3]"), NULL, NULL,
               ATTRS(dims_attr(IR_ATTR_lo, "pos, 1"), dims_attr(IR_ATTR_hi, "0, 2"))),
          "f32[T + pos, 6]");
    gives(make(IR_OP_pad, in("f32[3]"), NULL, NULL,
               ATTRS(dims_attr(IR_ATTR_lo, "-1"), dims_attr(IR_ATTR_hi, "0"))),
          "padding of axis 0 must not be negative, found -1 and 0");
    const ir_node *parts[3] = {in("f32[T, 4]"), in("f32[2, 4]"), in("f32[pos, 4]")};
    gives(ir_concat(&b, 3, parts, 0), "f32[T + pos + 2, 4]");
    parts[1] = in("f32[2, 5]");
    gives(ir_concat(&b, 3, parts, 0), "sizes of axis 1 differ: 4 and 5");
    parts[1] = in("f32[2]");
    gives(ir_concat(&b, 3, parts, 0), "cannot concat f32[T, 4] and f32[2]");
    gives(ir_concat(&b, 0, parts, 0), "concat needs at least one operand");
    gives(make(IR_OP_reverse, in("f32[T]"), NULL, NULL, ATTRS(ints_attr(IR_ATTR_axes, 1, 0))),
          "f32[T]");
    gives(make(IR_OP_reverse, in("f32[T]"), NULL, NULL, ATTRS(ints_attr(IR_ATTR_axes, 1, 1))),
          "axis 1 is out of range: there are 1 axes");
}

static void test_indexed(void **state)
{
    (void)state;
    ir_attr axis0 = ir_attr_i(IR_ATTR_axis, 0), axis1 = ir_attr_i(IR_ATTR_axis, 1);
    gives(ir_take(&b, in("f32[1000, 64]"), in("i32[2, T]"), 0), "f32[2, T, 64]");
    gives(ir_take(&b, in("f32[1000, 64]"), in("i64[]"), 1), "f32[1000]");
    gives(ir_take(&b, in("f32[1000, 64]"), in("f32[T]"), 0), "indices must be integers, found f32");
    gives(ir_take(&b, in("f32[9]"), in("i32[1,1,1,1,1,1,1,1]"), 0), "f32[1, 1, 1, 1, 1, 1, 1, 1]");
    gives(ir_take(&b, in("f32[9, 9]"), in("i32[1,1,1,1,1,1,1,1]"), 0),
          "the result would have 9 axes; at most 8 are possible");
    gives(make(IR_OP_gather, in("f32[T, 64]"), in("i64[T, 3]"), NULL, ATTRS(axis1)), "f32[T, 3]");
    gives(make(IR_OP_gather, in("f32[2, 64]"), in("i64[4, 3]"), NULL, ATTRS(axis1)),
          "axis 0 of the indices is too long: 4 > 2");
    gives(make(IR_OP_gather, in("f32[2, 64]"), in("i64[4]"), NULL, ATTRS(axis1)),
          "gather needs as many axes in both: 2 and 1");
    gives(make(IR_OP_scatter_add, in("f32[9, 4]"), in("i32[T, 4]"), in("f32[T, 4]"), ATTRS(axis0)),
          "f32[9, 4]");
    gives(make(IR_OP_scatter_add, in("f32[9, 4]"), in("i32[2, 4]"), in("f32[3, 4]"), ATTRS(axis0)),
          "sizes of axis 0 do not fit: 2 and 3");
    gives(make(IR_OP_index_add, in("f32[9, 4]"), in("i32[T]"), in("f32[T, 4]"), ATTRS(axis0)),
          "f32[9, 4]");
    gives(make(IR_OP_index_add, in("f32[9, 4]"), in("i32[T]"), in("f32[T, 5]"), ATTRS(axis0)),
          "sizes of axis 1 differ: 4 and 5");
}

static void test_reductions(void **state)
{
    (void)state;
    const ir_node *x = in("f32[2, T, 64]");
    gives(ir_reduce(&b, IR_OP_reduce_sum, x, 1, (int64_t[]){2}, false), "f32[2, T]");
    gives(ir_reduce(&b, IR_OP_reduce_mean, x, 2, (int64_t[]){0, 2}, true), "f32[1, T, 1]");
    gives(ir_reduce(&b, IR_OP_reduce_max, x, 0, NULL, false), "f32[2, T, 64]");
    gives(ir_reduce(&b, IR_OP_reduce_sum, x, 1, (int64_t[]){3}, false),
          "axis 3 is out of range: there are 3 axes");
    gives(ir_reduce(&b, IR_OP_reduce_sum, x, 2, (int64_t[]){1, 1}, false), "axis 1 stands twice");
    gives(ir_reduce(&b, IR_OP_reduce_mean, in("i32[4]"), 1, (int64_t[]){0}, false),
          "reduce_mean expects a float type, found i32");
    gives(ir_reduce(&b, IR_OP_reduce_any, in("f32[4]"), 1, (int64_t[]){0}, false),
          "reduce_any expects bool, found f32");
    ir_attr axis = ir_attr_i(IR_ATTR_axis, 1), keep = ir_attr_i(IR_ATTR_keep, 1);
    gives(make(IR_OP_argmax, x, NULL, NULL, ATTRS(axis)), "i64[2, 64]");
    gives(make(IR_OP_argmax, x, NULL, NULL, ATTRS(axis, keep)), "i64[2, 1, 64]");
    gives(make(IR_OP_cumsum, x, NULL, NULL, ATTRS(axis)), "f32[2, T, 64]");
    gives(make(IR_OP_argsort, x, NULL, NULL, ATTRS(axis)), "i64[2, T, 64]");
    gives(make(IR_OP_softmax, x, NULL, NULL, ATTRS(axis)), "f32[2, T, 64]");
    gives(make(IR_OP_logsumexp, x, NULL, NULL, ATTRS(ints_attr(IR_ATTR_axes, 1, 2))), "f32[2, T]");
    const ir_node *top =
        make(IR_OP_topk, in("f32[T, 64]"), NULL, NULL, ATTRS(axis, ir_attr_i(IR_ATTR_k, 5)));
    assert_int_equal(top->n_results, 2);
    gives(ir_get(&b, top, 0), "f32[T, 5]");
    gives(ir_get(&b, top, 1), "i64[T, 5]");
    gives(ir_build(&b, IR_OP_get, 1, &top, ATTRS(ir_attr_i(IR_ATTR_index, 1)), 0, NULL),
          "i64[T, 5]");
    gives(ir_get(&b, top, 2), "no such result");
    gives(ir_unary(&b, IR_OP_exp, top), "a node with several results is used as a value");
    gives(make(IR_OP_topk, in("f32[T, 4]"), NULL, NULL, ATTRS(axis, ir_attr_i(IR_ATTR_k, 5))),
          "cannot take the top 5 of 4");
}

static void test_norms(void **state)
{
    (void)state;
    ir_attr eps = ir_attr_f(IR_ATTR_eps, 1e-5), axes = ints_attr(IR_ATTR_axes, 1, 1);
    gives(make(IR_OP_layer_norm, in("f32[T, 64]"), in("f32[64]"), in("f32[64]"), ATTRS(eps, axes)),
          "f32[T, 64]");
    gives(make(IR_OP_rms_norm, in("f32[T, 64]"), NULL, NULL, ATTRS(eps, axes)), "f32[T, 64]");
    gives(make(IR_OP_rms_norm, in("f32[T, 64]"), in("f32[64]"), in("f32[64]"), ATTRS(eps, axes)),
          "rms_norm takes 1 to 2 operands");
    gives(make(IR_OP_rms_norm, in("f32[T, 64]"), in("f32[32]"), NULL, ATTRS(eps, axes)),
          "f32[32] cannot scale f32[T, 64]");
    gives(make(IR_OP_rms_norm, in("f32[1, 64]"), in("f32[T, 1]"), NULL, ATTRS(eps, axes)),
          "f32[T, 1] cannot scale f32[1, 64]");
    gives(make(IR_OP_rms_norm, in("f32[T, 64]"), in("bf16[64]"), NULL, ATTRS(eps, axes)),
          "element types differ: f32 and bf16");
    gives(make(IR_OP_rms_norm, in("f32[T, 64]"), NULL, NULL, ATTRS(axes)),
          "rms_norm needs attribute eps");
}

static void test_products(void **state)
{
    (void)state;
    gives(ir_matmul(&b, in("f32[T, 64]"), in("f32[64, 256]")), "f32[T, 256]");
    gives(ir_matmul(&b, in("f32[64]"), in("f32[64, 256]")), "f32[256]");
    gives(ir_matmul(&b, in("f32[T, 64]"), in("f32[64]")), "f32[T]");
    gives(ir_matmul(&b, in("f32[64]"), in("f32[64]")), "f32[]");
    gives(ir_matmul(&b, in("f32[8, 1, T, 64]"), in("f32[4, 64, S]")), "f32[8, 4, T, S]");
    gives(ir_matmul(&b, in("f32[]"), in("f32[64]")),
          "a matrix product needs at least one axis on both sides");
    const ir_node *n = ir_matmul(&b, in("f32[T, 768]"), in("f32[512, 2048]"));
    assert_true(b.error.operand[0] == 0 && b.error.axis[0] == 1);
    assert_true(b.error.operand[1] == 1 && b.error.axis[1] == 0);
    gives(n, "inner sizes differ: 768 and 512");
    gives(ir_matmul(&b, in("f32[3, T, 8]"), in("f32[2, 8, 4]")),
          "sizes of a common axis differ: 3 and 2");
    gives(ir_matmul(&b, in("f32[T, 8]"), in("f16[8, 4]")), "element types differ: f32 and f16");
    gives(ir_matmul(&b, in("bool[T, 8]"), in("bool[8, 4]")),
          "contract expects numbers, found bool");
    gives(ir_contract(&b, in("f32[2, 3]"), in("f32[3, 4]"), "ik", "kj", "ji"), "f32[4, 2]");
    gives(ir_contract(&b, in("f32[2, 3]"), in("f32[4]"), "ik", "j", "i"), "f32[2]");
    gives(ir_contract(&b, in("f32[2, 2]"), in("f32[2]"), "ii", "i", "i"),
          "diagonals are not supported");
    gives(ir_contract(&b, in("f32[2, 3]"), in("f32[3, 4]"), "ik", "kj", "iz"),
          "axis z of the result \"iz\" is not in an operand");
    gives(ir_contract(&b, in("f32[2, 3]"), in("f32[3, 4]"), "i", "kj", "ij"),
          "labels \"i\" name 1 axes, the operand has 2");
    gives(ir_contract(&b, in("f32[2, 3]"), in("f32[3, 4]"), "i1", "kj", "ij"),
          "labels are letters");
}

static const ir_node *conv(ir_op op, const char *x, const char *w, int stride, int pad,
                           int dilation, int groups, int out_pad)
{
    const ir_node *n = in(x);
    bool two = ir_node_type(n)->rank == 4;
    uint32_t s = two ? 2 : 1;
    return make(
        op, n, in(w), NULL,
        ATTRS(ints_attr(IR_ATTR_strides, s, stride, stride),
              ints_attr(IR_ATTR_dilations, s, dilation, dilation),
              ints_attr(IR_ATTR_pads_lo, s, pad, pad), ints_attr(IR_ATTR_pads_hi, s, pad, pad),
              ints_attr(IR_ATTR_out_pads, s, out_pad, out_pad), ir_attr_i(IR_ATTR_groups, groups)));
}

static void test_windows(void **state)
{
    (void)state;
    ir_op t = IR_OP_conv_transpose;
    gives(conv(IR_OP_conv, "f32[2, 3, 64, 64]", "f32[16, 3, 3, 3]", 1, 1, 1, 1, 0),
          "f32[2, 16, 64, 64]");
    gives(conv(IR_OP_conv, "f32[2, 4, 65, 65]", "f32[6, 2, 3, 3]", 2, 0, 2, 2, 0),
          "f32[2, 6, 31, 31]");
    gives(conv(IR_OP_conv, "f32[1, 1, S]", "f32[8, 1, 4]", 2, 1, 1, 1, 0),
          "f32[1, 8, floordiv(S, 2)]");
    gives(conv(IR_OP_conv, "f32[2, 3, 2, 64]", "f32[16, 3, 3, 3]", 1, 0, 1, 1, 0),
          "a window of 3 does not fit into size 2");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 4, 3]", 1, 0, 1, 1, 0),
          "channels differ: the input has 3, the weight wants 4");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 3, 3]", 1, 0, 1, 2, 0),
          "3 channels cannot be divided into 2 groups");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 3, 3]", 0, 0, 1, 1, 0),
          "stride 0 of axis 2 of conv is out of range");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 3, 3]", 1, -1, 1, 1, 0),
          "padding -1 of axis 2 of conv is out of range");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 3, 3, 3]", 1, 0, 1, 1, 0),
          "cannot convolve f32[2, 3, 64] with f32[16, 3, 3, 3]");
    gives(conv(IR_OP_conv, "f32[2, 3, 64]", "f32[16, 3, T]", 1, 0, 1, 1, 0),
          "sizes of a convolution's weight must be constant");
    gives(conv(t, "f32[2, 16, 32, 32]", "f32[16, 3, 4, 4]", 2, 1, 1, 1, 0), "f32[2, 3, 64, 64]");
    gives(conv(t, "f32[2, 4, T]", "f32[4, 3, 3]", 2, 1, 1, 2, 1), "f32[2, 6, 2*T]");
    gives(conv(t, "f32[2, 4, T]", "f32[4, 3, 3]", 2, 1, 1, 2, 2),
          "output padding 2 must be less than stride or dilation, 2");
    gives(conv(t, "f32[2, 4, 8]", "f32[5, 3, 3]", 1, 0, 1, 1, 0),
          "channels differ: the input has 4, the weight wants 5");
    gives(conv(t, "f32[2, 4, 8]", "f32[4, 3, 3]", -4, 0, 1, 1, 0), "stride -4 of axis 2");
    ir_attr ones = ints_attr(IR_ATTR_dilations, 1, 1), lo = ints_attr(IR_ATTR_pads_lo, 1, 0),
            hi = ints_attr(IR_ATTR_pads_hi, 1, 1);
    ir_attr two = ints_attr(IR_ATTR_strides, 1, 2), window = ints_attr(IR_ATTR_window, 1, 2);
    gives(make(IR_OP_pool, in("f32[1, 8, T]"), NULL, NULL,
               ATTRS(window, two, ones, lo, hi, word(IR_ATTR_mode, "max"))),
          "f32[1, 8, floordiv(T + 1, 2)]");
    gives(make(IR_OP_pool, in("f32[1, 8, T]"), NULL, NULL,
               ATTRS(window, two, ones, lo, hi, word(IR_ATTR_mode, "sum"))),
          "mode of pool cannot be \"sum\"");
    gives(make(IR_OP_pool, in("f32[8, T]"), NULL, NULL, 0, NULL),
          "pooling needs [N, C, ...], found f32[8, T]");
    ir_attr sizes = dims_attr(IR_ATTR_sizes, "2*T");
    gives(make(IR_OP_resize, in("f32[1, 8, T]"), NULL, NULL,
               ATTRS(sizes, word(IR_ATTR_mode, "linear"))),
          "f32[1, 8, 2*T]");
    gives(make(IR_OP_resize, in("f32[1, 8, T, T]"), NULL, NULL,
               ATTRS(sizes, word(IR_ATTR_mode, "linear"))),
          "attribute sizes of resize has 1 values, 2 are needed");
}

static void test_attention(void **state)
{
    (void)state;
    const ir_node *q = in("f32[4, 2, T, 64]"), *k = in("f32[4, 1, S, 64]"),
                  *v = in("f32[4, 1, S, 32]");
    gives(make(IR_OP_attention, q, k, v, 0, NULL), "f32[4, 2, T, 32]");
    gives(make(IR_OP_attention, q, in("f32[4, 1, S, 32]"), v, 0, NULL), "q, k and v do not fit");
    gives(make(IR_OP_attention, q, in("f16[4, 1, S, 64]"), v, 0, NULL),
          "element types differ: f32 and f16");
    gives(make(IR_OP_attention, q, k, NULL, 0, NULL), "attention takes q, k and v");
    ir_graph *body = ir_graph_create(c, "score");
    const ir_dim *dims[4] = {D("4"), D("2"), D("T"), D("S")};
    const ir_node *s = ir_graph_add_input(body, "s", ir_type_get(c, IR_f32, 4, dims), (ir_loc){0});
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "s", s);
    const ir_node *all[3] = {q, k, v};
    gives(ir_build(&b, IR_OP_attention, 3, all, 0, NULL, 1, &body), "f32[4, 2, T, 32]");
    all[0] = in("f32[4, 1, T, 64]");
    gives(ir_build(&b, IR_OP_attention, 3, all, 0, NULL, 1, &body),
          "the body of attention must take f32[4, 1, T, S]");
}

/* A loop over t whose body makes x[f(t)] and the next carry. */
static const ir_node *loop(const char *lo, const char *hi, int64_t step, const char *x,
                           int64_t times, int64_t plus, const char *carried)
{
    const ir_sym *t = ir_sym_loop(c, "t.7", D(lo), D(hi), step);
    ir_builder inner = {.ctx = c, .graph = ir_graph_create(c, "body"), .conditions = b.graph};
    const ir_node *given = in(x), *start = in("f32[2]");
    const ir_node *carry = ir_graph_add_input(inner.graph, "h", ir_node_type(start), (ir_loc){0});
    const ir_node *all = ir_graph_add_input(inner.graph, "x", ir_node_type(given), (ir_loc){0});
    const ir_dim *at = ir_dim_offset(c, ir_dim_scale(c, ir_dim_sym(c, t), times), plus),
                 *one = D("1");
    const ir_node *row = ir_slice(&inner, all, &at, &one, NULL);
    if (!row) {
        b.error = inner.error;
        b.failed = true;
        ir_graph_destroy(inner.graph);
        return NULL;
    }
    const ir_dim *shape[2];
    uint32_t n = list(carried, shape);
    const ir_node *next = ir_broadcast(&inner, row, n, shape);
    assert_non_null(next);
    ir_graph_add_output(inner.graph, IR_OUTPUT_RESULT, "h",
                        n == 1 && shape[0] == D("2") ? ir_binary(&inner, IR_OP_add, carry, next)
                                                     : next);
    ir_graph_add_output(inner.graph, IR_OUTPUT_RESULT, "ys", row);
    const ir_node *operands[2] = {start, given};
    const ir_node *r = ir_loop(&b, 2, operands, 1, 1, false, t, D(lo), D(hi), step, inner.graph);
    if (!r) {
        ir_graph_destroy(inner.graph);
    }
    return r;
}

static void test_loops(void **state)
{
    (void)state;
    const ir_node *n = loop("0", "T", 1, "f32[T]", 1, 0, "2");
    gives(ir_get(&b, n, 0), "f32[2]");
    gives(ir_get(&b, n, 1), "f32[T, 1]");
    gives(ir_get(&b, loop("T - 1", "-1", -1, "f32[T]", 1, 0, "2"), 1), "f32[T, 1]");
    gives(ir_get(&b, loop("0", "T", 1, "f32[2*T]", 2, 1, "2"), 1), "f32[T, 1]");
    gives(ir_get(&b, loop("0", "10", 3, "f32[10]", 1, 0, "2"), 1), "f32[4, 1]"); /* 0 3 6 9 */
    gives(ir_get(&b, loop("3", "3", 1, "f32[4]", 1, 0, "2"), 1), "f32[0, 1]");
    gives(ir_get(&b, loop("0", "1", 1, "f32[1]", 1, 0, "2"), 1), "f32[1, 1]");
    assert_int_equal(ir_graph_n_conditions(b.graph), 0); /* all of this is known */
    gives(loop("0", "T", 1, "f32[T]", 1, 1, "2"),
          "slice t + 1:t + 2 is out of range for axis 0 of size T");
    gives(loop("0", "T", 1, "f32[T]", 2, 0, "2"), "f32[2]");
    assumed(0, "T <= 1"); /* what holds in every turn is checked once, without the index */
    gives(loop("0", "T", 1, "f32[H]", 1, 0, "2"), "f32[2]");
    assumed(1, "T <= H");
    gives(loop("0", "T", 1, "f32[T]", 1, 0, "3"),
          "the carried value h changes its type: f32[2] becomes f32[3]");
}

static void test_loops_told_wrong(void **state)
{
    (void)state;
    ir_graph *body = ir_graph_create(c, "body");
    const ir_node *x = in("f32[2]");
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "h",
                        ir_graph_add_input(body, "h", ir_node_type(x), (ir_loc){0}));
    const ir_sym *t = ir_sym_loop(c, "t", D("0"), D("T"), 1), *narrow = ir_sym_get(c, "t", 0, 5);
    gives(ir_loop(&b, 1, &x, 1, 0, false, narrow, D("0"), D("T"), 1, body),
          "the index t has bounds 0 to 5, but its loop goes from 0 to T - 1");
    gives(ir_loop(&b, 1, &x, 1, 0, false, t, D("0"), D("T"), 0, body),
          "a loop has one body, a step");
    gives(ir_loop(&b, 1, &x, 1, 0, true, t, D("0"), D("T"), 1, body),
          "the body returns 1 values, 2 are needed");
    const ir_node *y = in("f32[3]");
    gives(ir_loop(&b, 1, &y, 1, 0, false, t, D("0"), D("T"), 1, body),
          "the body takes f32[2], found f32[3]");
    gives(ir_loop(&b, 1, &x, 1, 0, false, t, D("0"), D("T"), 1, body), "f32[2]");
    assert_ptr_equal(ir_loop_turns(c, D("0"), D("T"), 1), D("T"));
    assert_ptr_equal(ir_loop_turns(c, D("0"), D("T"), 2), D("floordiv(T + 1, 2)"));
    assert_ptr_equal(ir_loop_turns(c, D("T"), D("0"), -1), D("T"));
    assert_ptr_equal(ir_loop_turns(c, D("9"), D("0"), 1), D("0"));
    assert_string_equal(ir_dim_text(c, ir_loop_turns(c, D("pos"), D("T"), 1)), "max(0, T - pos)");
}

static void test_kernels_and_calls(void **state)
{
    (void)state;
    ir_graph *body = ir_graph_create(c, "k");
    const ir_node *x = in("f32[T]");
    ir_builder inner = {.ctx = c, .graph = body, .conditions = b.graph};
    const ir_node *p = ir_graph_add_input(body, "x", ir_node_type(x), (ir_loc){0});
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "y", ir_unary(&inner, IR_OP_isnan, p));
    ir_attr family = word(IR_ATTR_family, "map");
    gives(ir_build(&b, IR_OP_kernel, 1, &x, 1, &family, 1, &body), "bool[T]");
    const ir_node *y = in("f32[S]");
    gives(ir_build(&b, IR_OP_kernel, 1, &y, 1, &family, 1, &body),
          "the body takes f32[T], found f32[S]");
    gives(ir_build(&b, IR_OP_kernel, 1, &x, 0, NULL, 1, &body), "kernel needs attribute family");
    gives(ir_build(&b, IR_OP_kernel, 1, &x, 1, &family, 0, NULL), "a kernel has one body");
    const char *types[2] = {"f32[T, 2*S]", "i64[]"};
    ir_attr target = word(IR_ATTR_target, "libblur.so:blur");
    const ir_node *call =
        make(IR_OP_extern, x, NULL, NULL, ATTRS(target, ir_attr_ss(IR_ATTR_types, 2, types)));
    gives(ir_get(&b, call, 0), "f32[T, 2*S]");
    gives(ir_get(&b, call, 1), "i64[]");
    types[0] = "f32[K]";
    gives(make(IR_OP_extern, x, NULL, NULL, ATTRS(target, ir_attr_ss(IR_ATTR_types, 2, types))),
          "\"f32[K]\" is no type: there is no size named K");
    types[0] = "f32[T] more";
    gives(make(IR_OP_extern, x, NULL, NULL, ATTRS(target, ir_attr_ss(IR_ATTR_types, 2, types))),
          "something follows it");
}

static void test_sizes_out_of_proportion(void **state)
{
    (void)state;
    gives(broadcast("f32[]", "1099511627776, 1099511627776"), "too large");
    gives(broadcast("f32[]", "9223372036854775807, 2"), "too large");
    gives(broadcast("f32[]", "-3"), "size -3 of axis 0 is negative");
    const ir_node *x = in("f32[4000000000000000000]"), *parts[3] = {x, x, x};
    gives(ir_concat(&b, 3, parts, 0), "too large");
}

static void test_conditions_together(void **state)
{
    (void)state;
    assert_true(ir_require(c, b.graph, (span){0}, IR_REL_LE, D("T"), D("S")));
    assert_true(ir_require(c, b.graph, (span){0}, IR_REL_LE, D("S"), D("H")));
    assert_true(ir_require(c, b.graph, (span){0}, IR_REL_LE, D("T"), D("H + 1")));
    assert_int_equal(ir_graph_n_conditions(b.graph), 2); /* T <= S <= H */
    assert_false(ir_require(c, NULL, (span){0}, IR_REL_LE, D("T"), D("H")));
    assert_false(ir_require(c, b.graph, (span){0}, IR_REL_LE, D("T"), D("0")));
    assert_false(ir_require(c, b.graph, (span){0}, IR_REL_EQ, D("2*T"), D("2*S + 1")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_elementwise),
        TEST(test_sizes_that_may_agree),
        TEST(test_leaves),
        TEST(test_moves),
        TEST(test_indexed),
        TEST(test_reductions),
        TEST(test_norms),
        TEST(test_products),
        TEST(test_windows),
        TEST(test_attention),
        TEST(test_loops),
        TEST(test_loops_told_wrong),
        TEST(test_kernels_and_calls),
        TEST(test_sizes_out_of_proportion),
        TEST(test_conditions_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
