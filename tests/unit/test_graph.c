/* Graphs: interning of nodes, attributes, copies, replaced symbols, and who owns bodies. */
#include "ir/build.h"
#include "ir/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    arena *a;
    ir_ctx *c;
    ir_builder b;
    const ir_sym *T;
    const ir_dim *t;
} fixture;

static fixture fixture_create(void)
{
    fixture f = {.a = arena_create()};
    f.c = ir_ctx_create(f.a, intern_create(f.a));
    f.T = ir_sym_get(f.c, "T", 1, 512);
    f.t = ir_dim_sym(f.c, f.T);
    f.b = (ir_builder){.ctx = f.c, .graph = ir_graph_create(f.c, "g")};
    f.b.conditions = f.b.graph;
    ir_graph_add_sym(f.b.graph, f.T, false);
    return f;
}

static void fixture_destroy(fixture *f)
{
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

static const ir_type *f32(fixture *f, const ir_dim *x, const ir_dim *y)
{
    const ir_dim *dims[2] = {x, y};
    return ir_type_get(f->c, IR_f32, y ? 2 : x ? 1 : 0, dims);
}

static void test_equal_nodes_are_one_pointer(void **state)
{
    (void)state;
    fixture f = fixture_create();
    const ir_node *x = ir_graph_add_input(f.b.graph, "x", f32(&f, f.t, NULL), (ir_loc){0});
    const ir_node *y = ir_graph_add_input(f.b.graph, "x", f32(&f, f.t, NULL), (ir_loc){0});
    assert_ptr_not_equal(x, y);
    const ir_node *e = ir_unary(&f.b, IR_OP_exp, x);
    f.b.loc.where = (span){1, 5, 9};
    assert_ptr_equal(ir_unary(&f.b, IR_OP_exp, x), e); /* places do not count; the first stays */
    assert_int_equal(e->loc.where.file, 0);
    assert_ptr_not_equal(ir_unary(&f.b, IR_OP_exp, y), e);
    int64_t axis = 0;
    const ir_node *r = ir_reduce(&f.b, IR_OP_reduce_sum, x, 1, &axis, true);
    assert_ptr_equal(ir_reduce(&f.b, IR_OP_reduce_sum, x, 1, &axis, true), r);
    assert_ptr_not_equal(ir_reduce(&f.b, IR_OP_reduce_sum, x, 1, &axis, false), r);
    for (uint32_t i = 0; i < ir_graph_size(f.b.graph); i++) {
        const ir_node *n = ir_graph_node(f.b.graph, i);
        assert_int_equal(n->id, i);
        for (uint32_t k = 0; k < n->n_in; k++) {
            assert_true(n->in[k]->id < i);
        }
        for (uint32_t k = 1; k < n->n_attrs; k++) {
            assert_true(n->attrs[k - 1].key < n->attrs[k].key);
        }
    }
    fixture_destroy(&f);
}

static void test_constants(void **state)
{
    (void)state;
    fixture f = fixture_create();
    assert_ptr_equal(ir_const_f(&f.b, IR_f32, 0.1), ir_const_f(&f.b, IR_f32, (double)0.1f));
    assert_ptr_not_equal(ir_const_f(&f.b, IR_f32, 0.0), ir_const_f(&f.b, IR_f32, -0.0));
    assert_ptr_not_equal(ir_const_f(&f.b, IR_f32, 1), ir_const_i(&f.b, IR_i32, 1));
    float elements[3] = {1, 2, 3};
    const ir_type *t = f32(&f, ir_dim_const(f.c, 3), NULL);
    const ir_node *k = ir_const_data(&f.b, t, elements);
    elements[0] = 9; /* it was copied */
    const ir_data *d = ir_node_attr(k, IR_ATTR_data)->data;
    assert_true(((const float *)d->bytes)[0] == 1);
    assert_int_equal((uintptr_t)d->bytes % 64, 0);
    assert_ptr_equal(ir_data_keep(f.c, d), d);
    assert_null(ir_const_data(&f.b, f32(&f, f.t, NULL), elements));
    assert_string_equal(f.b.error.text, "a constant needs constant sizes");
    /* elements outlive graphs */
    ir_graph *copy = ir_graph_clone(f.b.graph);
    ir_graph_destroy(f.b.graph);
    f.b.graph = copy;
    assert_true(((const float *)d->bytes)[2] == 3);
    fixture_destroy(&f);
}

static void test_draws(void **state)
{
    (void)state;
    fixture f = fixture_create();
    const char *mode = intern(ir_ctx_names(f.c), "normal");
    ir_attr a[4] = {ir_attr_t(IR_ATTR_dtype, IR_f32), ir_attr_ds(IR_ATTR_shape, 1, &f.t),
                    ir_attr_s(IR_ATTR_mode, mode), ir_attr_i(IR_ATTR_stream, 0)};
    const ir_node *x = ir_build(&f.b, IR_OP_random, 0, NULL, 4, a, 0, NULL);
    assert_ptr_equal(ir_build(&f.b, IR_OP_random, 0, NULL, 4, a, 0, NULL), x);
    a[3].i = 1;
    assert_ptr_not_equal(ir_build(&f.b, IR_OP_random, 0, NULL, 4, a, 0, NULL), x);
    fixture_destroy(&f);
}

/* x[t] summed up over the turns of a loop over t in 0..T. */
static const ir_node *sum_loop(fixture *f, const ir_node *x, const ir_dim *hi)
{
    const ir_dim *zero = ir_dim_const(f->c, 0), *one = ir_dim_const(f->c, 1);
    const ir_sym *t = ir_sym_loop(f->c, "t", zero, hi, 1);
    ir_builder b = {.ctx = f->c, .graph = ir_graph_create(f->c, "body"), .conditions = f->b.graph};
    const ir_node *sum = ir_graph_add_input(b.graph, "sum", f32(f, one, NULL), (ir_loc){0});
    const ir_node *all = ir_graph_add_input(b.graph, "x", ir_node_type(x), (ir_loc){0});
    const ir_dim *at = ir_dim_sym(f->c, t);
    const ir_node *next = ir_binary(&b, IR_OP_add, sum, ir_slice(&b, all, &at, &one, NULL));
    assert_non_null(next);
    ir_graph_add_output(b.graph, IR_OUTPUT_RESULT, "sum", next);
    const ir_node *start = ir_broadcast(&f->b, ir_const_f(&f->b, IR_f32, 0), 1, &one);
    const ir_node *in[2] = {start, x};
    return ir_loop(&f->b, 2, in, 1, 0, false, t, zero, hi, 1, b.graph);
}

static void test_loops_and_bodies(void **state)
{
    (void)state;
    fixture f = fixture_create();
    const ir_node *x = ir_graph_add_input(f.b.graph, "x", f32(&f, f.t, NULL), (ir_loc){0});
    const ir_node *loop = sum_loop(&f, x, f.t);
    assert_non_null(loop);
    assert_int_equal(ir_graph_n_conditions(f.b.graph), 0); /* t < T is known in the body */
    assert_ptr_equal(ir_get(&f.b, loop, 0), loop);
    ir_graph_add_output(f.b.graph, IR_OUTPUT_RESULT, "sum", loop);

    /* a graph that has the body too keeps it alive */
    ir_graph *g = ir_graph_begin_rewrite(f.b.graph);
    const ir_node *in[2] = {ir_graph_input(g, 0), ir_graph_input(g, 0)};
    const ir_node *shared = ir_graph_copy_node(g, loop, in);
    ir_graph_destroy(loop->bodies[0]); /* belongs to nodes: nothing happens */
    ir_graph_destroy(f.b.graph);
    assert_int_equal(ir_graph_size(shared->bodies[0]), 4);
    f.b.graph = g;
    fixture_destroy(&f);
}

static void test_replacing_a_symbol(void **state)
{
    (void)state;
    fixture f = fixture_create();
    const ir_node *x = ir_graph_add_input(f.b.graph, "x", f32(&f, f.t, NULL), (ir_loc){0});
    ir_graph_add_output(f.b.graph, IR_OUTPUT_RESULT, "sum", sum_loop(&f, x, f.t));
    ir_graph *g = ir_graph_subst(f.b.graph, f.T, ir_dim_const(f.c, 8));
    const ir_node *loop = ir_graph_output(g, 0)->node;
    assert_string_equal(ir_type_text(f.c, ir_node_type(ir_graph_input(g, 0))), "f32[8]");
    const ir_sym *t = ir_node_attr(loop, IR_ATTR_sym)->sym;
    assert_int_equal(t->hi, 7); /* the index knows its new range, and the body uses it */
    const ir_node *slice = ir_graph_node(loop->bodies[0], 2);
    assert_int_equal(slice->op, IR_OP_slice);
    assert_ptr_equal(ir_node_attr(slice, IR_ATTR_offsets)->dims[0], ir_dim_sym(f.c, t));
    ir_graph_destroy(g);
    ir_graph *copy = ir_graph_clone(f.b.graph);
    assert_int_equal(ir_graph_size(copy), ir_graph_size(f.b.graph));
    assert_ptr_not_equal(ir_graph_output(copy, 0)->node->bodies[0],
                         ir_graph_output(f.b.graph, 0)->node->bodies[0]);
    ir_graph_destroy(copy);
    fixture_destroy(&f);
}

static void test_rewriting(void **state)
{
    (void)state;
    fixture f = fixture_create();
    const ir_node *x = ir_graph_add_input(f.b.graph, "x", f32(&f, f.t, NULL), (ir_loc){0});
    const ir_node *y = ir_unary(&f.b, IR_OP_neg, x);
    ir_graph_add_output(f.b.graph, IR_OUTPUT_STATE, "s", ir_binary(&f.b, IR_OP_add, y, y));
    ir_condition k = {IR_REL_LE, f.t, ir_dim_const(f.c, 9), "T <= 9", {0}};
    ir_graph_add_condition(f.b.graph, k);
    ir_graph_add_condition(f.b.graph, k);
    assert_int_equal(ir_graph_n_conditions(f.b.graph), 1);
    const uint32_t *uses = ir_graph_use_counts(f.b.graph, f.a);
    assert_int_equal(uses[x->id], 1);
    assert_int_equal(uses[y->id], 2);
    ir_graph *g = ir_graph_begin_rewrite(f.b.graph);
    const ir_node *new_of[3] = {ir_graph_input(g, 0)};
    for (uint32_t i = 1; i < 3; i++) {
        const ir_node *n = ir_graph_node(f.b.graph, i);
        const ir_node *in[2] = {new_of[n->in[0]->id], new_of[n->in[n->n_in - 1]->id]};
        ir_attr mark = ir_attr_i(IR_ATTR_split, 3);
        new_of[i] = ir_graph_copy_node_attrs(g, n, in, 1, &mark);
        assert_int_equal(ir_node_int(new_of[i], IR_ATTR_split, 0), 3);
    }
    ir_graph_end_rewrite(g, f.b.graph, new_of);
    assert_int_equal(ir_graph_output(g, 0)->kind, IR_OUTPUT_STATE);
    assert_ptr_equal(ir_graph_output(g, 0)->node, new_of[2]);
    assert_int_equal(ir_graph_n_conditions(g), 1);
    assert_ptr_equal(ir_graph_sym(g, 0), f.T);
    assert_int_equal(ir_graph_n_dim_args(g), 0);
    ir_graph_destroy(g);
    fixture_destroy(&f);
}

static void test_attribute_names(void **state)
{
    (void)state;
    for (int i = 0; i < IR_ATTR_COUNT; i++) {
        ir_attr_key key;
        assert_true(ir_attr_from_name(ir_attr_name((ir_attr_key)i), &key));
        assert_int_equal(key, i);
    }
    ir_attr_key key;
    assert_false(ir_attr_from_name("colour", &key));
}

static void test_modules(void **state)
{
    (void)state;
    fixture f = fixture_create();
    ir_param params[1] = {{.name = intern(ir_ctx_names(f.c), "h.{}.w")}};
    ir_entry entries[1] = {{.name = "forward"}};
    ir_module m = {.ctx = f.c, .n_params = 1, .params = params, .n_entries = 1, .entries = entries};
    assert_ptr_equal(ir_module_param(&m, params[0].name), params);
    assert_null(ir_module_param(&m, intern(ir_ctx_names(f.c), "other")));
    assert_ptr_equal(ir_module_entry(&m, "forward"), entries);
    assert_null(ir_module_entry(&m, "backward"));
    assert_null(ir_module_state(&m, params[0].name));
    fixture_destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_nodes_are_one_pointer),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_loops_and_bodies),
        cmocka_unit_test(test_replacing_a_symbol),
        cmocka_unit_test(test_rewriting),
        cmocka_unit_test(test_attribute_names),
        cmocka_unit_test(test_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
