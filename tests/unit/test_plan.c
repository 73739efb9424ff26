#include "plan_graphs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#if !__has_include("ir/verify.c")
#include "ir/verify.h"
bool ir_verify_graph(const ir_graph *g, ir_stage stage, diag *d)
{
    return true;
}
#endif

static ir_graph *run(fixture *f, const ir_graph *g, pass_id last, int level)
{
    pass_ctx c = {.module = &f->m, .d = f->d, .scratch = arena_create(), .level = level};
    assert_false(f->b.failed);
    ir_graph *at = ir_graph_clone(g);
    for (int id = PASS_fuse_epilogue; id <= (int)last; id++) {
        ir_graph *next = pass_run((pass_id)id, &c, at);
        ir_graph_destroy(at);
        at = next;
        if (getenv("AIGC_TEST_DUMP")) {
            printf("---- %s\n%s", pass_get((pass_id)id)->name, ir_print_graph(at, f->a));
        }
    }
    if (last == PASS_plan_memory) {
        plan_verify(&f->m, at, f->d);
    }
    if (diag_error_count(f->d)) {
        diag_print(f->d, stderr, false);
    }
    assert_int_equal(diag_error_count(f->d), 0);
    arena_destroy(c.scratch);
    return at;
}

static void finish(fixture *f, ir_graph *g)
{
    ir_graph_destroy(g);
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

static const ir_node *find(const ir_graph *g, ir_op op, uint32_t skip)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        if (ir_graph_node(g, i)->op == op && skip-- == 0) {
            return ir_graph_node(g, i);
        }
    }
    return NULL;
}

static uint32_t count(const ir_graph *g, ir_op op)
{
    uint32_t n = 0;
    while (find(g, op, n)) {
        n++;
    }
    return n;
}

static uint32_t meetings(const ir_graph *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        n += ir_node_int(ir_graph_node(g, i), IR_ATTR_barrier, 0) != 0;
    }
    return n;
}

/* The k-th kernel's family, and what its body holds. */
static void expect_kernel(const ir_graph *g, uint32_t k, const char *family, const char *ops)
{
    const ir_node *n = find(g, IR_OP_kernel, k);
    char text[512] = {0};
    assert_non_null(n);
    assert_string_equal(ir_node_str(n, IR_ATTR_family), family);
    for (uint32_t i = 0; i < ir_graph_size(n->bodies[0]); i++) {
        const ir_node *b = ir_graph_node(n->bodies[0], i);
        if (b->op != IR_OP_input) {
            strcat(text, *text ? " " : "");
            strcat(text, ir_op_name(b->op));
        }
    }
    assert_string_equal(text, ops);
}

/* Epilogues ------------------------------------------------------------------------------------ */

static void test_mlp(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *b1 = param(f, "b1", SHAPE(K(f, 64))), *b2 = param(f, "b2", SHAPE(K(f, 10)));
    const ir_node *h = ir_unary(&f->b, IR_OP_relu, add(f, linear(f, x, "w1", 64, 32), b1));
    result(f, "y", add(f, linear(f, h, "w2", 10, 64), b2));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 2);
    expect_kernel(g, 0, "contract", "transpose contract add relu");
    expect_kernel(g, 1, "contract", "transpose contract add");
    assert_string_equal(ir_dim_text(f->c, ir_graph_arena_bytes(g)), "256*T");
    finish(f, g);
}

static void test_each_op_alone_at_level_0(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *h = ir_unary(&f->b, IR_OP_relu, linear(f, x, "w1", 64, 32));
    result(f, "y", h);
    pass_ctx c = {.module = &f->m, .d = f->d, .scratch = arena_create(), .level = 0};
    ir_graph *g = pass_run(PASS_fuse_elementwise, &c, f->b.graph);
    assert_int_equal(count(g, IR_OP_kernel), 3);
    arena_destroy(c.scratch);
    finish(f, g);
}

/* silu(x w1) * (x w3): the second product takes the gate, and reads the first. */
static void test_gate(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *a = ir_unary(&f->b, IR_OP_silu, linear(f, x, "w1", 64, 32));
    result(f, "y", mul(f, a, linear(f, x, "w3", 64, 32)));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 2);
    expect_kernel(g, 0, "contract", "transpose contract");
    expect_kernel(g, 1, "contract", "transpose contract silu mul");
    assert_int_equal(meetings(g), 0); /* shares line up */
    finish(f, g);
}

/* What is used twice stays in memory; a sum over it is no epilogue. */
static void test_no_epilogue(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *c = linear(f, x, "w1", 64, 32);
    int64_t axis = 1;
    result(f, "a", ir_reduce(&f->b, IR_OP_reduce_sum, ir_unary(&f->b, IR_OP_exp, c), 1, &axis, 0));
    result(f, "b", ir_transpose(&f->b, c, (const int64_t[]){1, 0}));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    expect_kernel(g, 0, "contract", "transpose contract");
    assert_int_equal(count(g, IR_OP_kernel), 3);
    finish(f, g);
}

/* The residual depends on the product through a norm: it must not join. */
static void test_no_cycle(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *c = linear(f, x, "w1", 32, 32);
    result(f, "y", add(f, c, rms_norm(f, c, param(f, "g", SHAPE(K(f, 32))))));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    expect_kernel(g, 0, "contract", "transpose contract");
    expect_kernel(g, 1, "reduce", "rms_norm add");
    finish(f, g);
}

/* Elementwise and reductions ---------------------------------------------------------------------
 */

static void test_softmax_written_out(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 100)));
    int64_t axis = 1;
    const ir_node *m = ir_reduce(&f->b, IR_OP_reduce_max, x, 1, &axis, true);
    const ir_node *e = ir_unary(&f->b, IR_OP_exp, ir_binary(&f->b, IR_OP_sub, x, m));
    const ir_node *s = ir_reduce(&f->b, IR_OP_reduce_sum, e, 1, &axis, true);
    result(f, "y", ir_binary(&f->b, IR_OP_div, e, s));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 1);
    expect_kernel(g, 0, "reduce", "reduce_max sub exp reduce_sum div");
    finish(f, g);
}

/* exp(x) broadcast over 64 rows is not computed 64 times. */
static void test_broadcast_is_kept(void **state)
{
    fixture *f = fixture_create(64, 64);
    const ir_node *x = input(f, "x", SHAPE(K(f, 100)));
    const ir_node *y = input(f, "y", SHAPE(K(f, 64), K(f, 100)));
    result(f, "z", add(f, ir_unary(&f->b, IR_OP_exp, x), y));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 2);
    finish(f, g);
}

static void test_sibling_results(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 100)));
    const ir_node *e = ir_unary(&f->b, IR_OP_exp, x);
    const ir_node *s = mul(f, e, x);
    result(f, "a", ir_unary(&f->b, IR_OP_sin, s));
    result(f, "b", ir_unary(&f->b, IR_OP_cos, s));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 1);
    assert_int_equal(find(g, IR_OP_kernel, 0)->n_results, 2);
    finish(f, g);
}

/* The sum h = x + y is needed by the norm and by the end: a further result of the norm's kernel. */
static void test_further_result(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 64)));
    const ir_node *y = input(f, "y", SHAPE(f->t, K(f, 64)));
    const ir_node *h = add(f, x, y);
    result(f, "n", rms_norm(f, h, param(f, "g", SHAPE(K(f, 64)))));
    result(f, "h", h);
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 1);
    expect_kernel(g, 0, "reduce", "add rms_norm");
    finish(f, g);
}

/* States
 * ------------------------------------------------------------------------------------------- */

static const ir_node *set_state(fixture *f, ir_state *s)
{
    const ir_dim *dims[2] = {K(f, 40), K(f, 16)};
    *s = (ir_state){.name = intern(ir_ctx_names(f->c), "s"), .type = F32(f, 2, dims)};
    f->m.states = s;
    f->m.n_states = 1;
    return ir_state_node(&f->b, "s", s->type);
}

/* y reads the old state: its kernel comes first, and nothing is copied. */
static void test_reader_before_update(void **state)
{
    fixture *f = fixture_create(1, 30);
    ir_state st;
    const ir_node *s = set_state(f, &st);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 16)));
    const ir_dim *at[2] = {K(f, 2), K(f, 0)};
    ir_graph_add_output(f->b.graph, IR_OUTPUT_STATE, "s", ir_update(&f->b, s, x, at));
    result(f, "y", ir_unary(&f->b, IR_OP_exp, s));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 2);
    expect_kernel(g, 0, "map", "exp");
    expect_kernel(g, 1, "map", "update");
    finish(f, g);
}

/* y needs both versions of the state: the old one is copied. */
static void test_both_versions(void **state)
{
    fixture *f = fixture_create(1, 30);
    ir_state st;
    const ir_node *s = set_state(f, &st);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 16)));
    const ir_dim *at[2] = {K(f, 2), K(f, 0)};
    const ir_node *s1 = ir_update(&f->b, s, x, at);
    ir_graph_add_output(f->b.graph, IR_OUTPUT_STATE, "s", s1);
    result(f, "y", mul(f, s, s1));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(g, IR_OP_kernel), 3);
    expect_kernel(g, 0, "map", "");
    finish(f, g);
}

/* h' = tanh(h w + x) in a loop; h' is needed as a whole by the next turn: two buffers, no copy of
 * the state, one buffer for all rows. */
static void test_recurrence(void **state)
{
    fixture *f = fixture_create(1, 30);
    const ir_node *x = input(f, "x", SHAPE(K(f, 1), K(f, 16)));
    const ir_node *h0 = input(f, "h", SHAPE(K(f, 1), K(f, 16)));
    const ir_node *in[2] = {h0, x};
    ir_builder outer = f->b;
    f->b.graph = ir_graph_create(f->c, "turn");
    const ir_node *h = ir_graph_add_input(f->b.graph, "h", ir_node_type(h0), f->b.loc);
    const ir_node *c = ir_graph_add_input(f->b.graph, "x", ir_node_type(x), f->b.loc);
    const ir_node *y = ir_unary(&f->b, IR_OP_tanh, add(f, linear(f, h, "w", 16, 16), c));
    ir_graph *body = f->b.graph;
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "h", y);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "ys", y);
    f->b.graph = outer.graph;
    const ir_sym *i = ir_sym_loop(f->c, "i", K(f, 0), f->t, 1);
    const ir_node *loop = ir_loop(&f->b, 2, in, 1, 1, false, i, K(f, 0), f->t, 1, body);
    result(f, "ys", ir_get(&f->b, loop, 1));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    const ir_node *l = find(g, IR_OP_loop, 0);
    assert_string_equal(ir_node_attr(l, IR_ATTR_space)->strs[1], "result:0");
    const ir_node *k = find(l->bodies[0], IR_OP_kernel, 0);
    expect_kernel(l->bodies[0], 0, "contract", "transpose contract add tanh");
    assert_int_equal(ir_node_int(k, IR_ATTR_barrier, 0), 1);
    finish(f, g);
}

/* Fibonacci: the carries change places, through copies that do not tread on each other. */
static void test_swapped_carries(void **state)
{
    fixture *f = fixture_create(1, 30);
    const ir_node *in[2] = {input(f, "a", SHAPE(K(f, 16))), input(f, "b", SHAPE(K(f, 16)))};
    ir_builder outer = f->b;
    f->b.graph = ir_graph_create(f->c, "turn");
    const ir_node *a = ir_graph_add_input(f->b.graph, "a", ir_node_type(in[0]), f->b.loc);
    const ir_node *b = ir_graph_add_input(f->b.graph, "b", ir_node_type(in[1]), f->b.loc);
    ir_graph *body = f->b.graph;
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "a", b);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "b", a);
    f->b.graph = outer.graph;
    const ir_sym *i = ir_sym_loop(f->c, "i", K(f, 0), f->t, 1);
    const ir_node *loop = ir_loop(&f->b, 2, in, 2, 0, false, i, K(f, 0), f->t, 1, body);
    result(f, "a", ir_get(&f->b, loop, 0));
    result(f, "b", ir_get(&f->b, loop, 1));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    assert_int_equal(count(find(g, IR_OP_loop, 0)->bodies[0], IR_OP_kernel), 4);
    finish(f, g);
}

/* A whole layer ----------------------------------------------------------------------------------
 */

static void test_llama(void **state)
{
    fixture *f = fixture_create(1, 128);
    ir_graph_destroy(f->b.graph);
    build_llama(f, (llama){64, 8, 4, 8, 172, 512, 5, 128});
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    const ir_node *loop = find(g, IR_OP_loop, 0);
    const ir_graph *layer = loop->bodies[0];
    assert_int_equal(count(layer, IR_OP_kernel), 13);
    assert_true(meetings(layer) <= 6);
    assert_string_equal(ir_node_attr(loop, IR_ATTR_space)->strs[1], "state:k");
    assert_string_equal(ir_node_attr(loop, IR_ATTR_space)->strs[2], "state:v");
    int64_t most = ir_graph_arena_bytes(g)->hi;
    assert_true(most > 0 && most < 256 * 128 * 8); /* eight rows of d for every token */
    finish(f, g);
}

/* The verifier finds what is wrong
 * ----------------------------------------------------------------- */

/* A copy of the graph with an attribute of the k-th kernel changed. */
static ir_graph *spoil(const ir_graph *g, uint32_t k, ir_attr attr)
{
    ir_graph *out = ir_graph_begin_rewrite(g);
    const ir_node *new_of[256] = {NULL};
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        new_of[ir_graph_input(g, i)->id] = ir_graph_input(out, i);
    }
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        const ir_node *in[32];
        for (uint32_t j = 0; j < n->n_in; j++) {
            in[j] = new_of[n->in[j]->id];
        }
        bool hit = n->op == IR_OP_kernel && k-- == 0;
        new_of[i] = new_of[i] ? new_of[i] : ir_graph_copy_node_attrs(out, n, in, hit, &attr);
    }
    ir_graph_end_rewrite(out, g, new_of);
    return out;
}

static void test_verifier(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 512)));
    const ir_node *h = linear(f, x, "w1", 512, 512);
    const ir_node *y = linear(f, h, "w2", 512, 512);
    const ir_node *z = linear(f, y, "w3", 512, 512);
    const ir_node *w = linear(f, z, "w4", 512, 512);
    result(f, "a", add(f, linear(f, w, "w5", 512, 512), h));
    ir_graph *g = run(f, f->b.graph, PASS_plan_memory, 1);
    const ir_dim *zero = K(f, 0), *far = K(f, 1 << 20);
    const ir_attr *at = ir_node_attr(find(g, IR_OP_kernel, 1), IR_ATTR_at);
    const ir_attr wrong[] = {
        ir_attr_ds(IR_ATTR_at, 1, at->dims), /* over its own operand, read elsewhere */
        ir_attr_ds(IR_ATTR_at, 1, &far),     /* beyond the end */
        ir_attr_ds(IR_ATTR_bytes, 1, &zero), /* another size */
    };
    for (int i = 0; i < 3; i++) {
        ir_graph *bad = spoil(g, 2, wrong[i]);
        assert_false(plan_verify(&f->m, bad, f->d));
        assert_true(diag_error_count(f->d) > 0);
        diag_clear(f->d);
        ir_graph_destroy(bad);
    }
    /* Memory that changes hands with no meeting between. */
    ir_graph *bad = spoil(g, 2, ir_attr_i(IR_ATTR_barrier, 0));
    ir_graph *worse = spoil(bad, 3, ir_attr_i(IR_ATTR_barrier, 0));
    assert_false(plan_verify(&f->m, worse, f->d));
    ir_graph_destroy(bad);
    ir_graph_destroy(worse);
    diag_clear(f->d);
    /* Parts for anyone: of a kernel that is alone after a meeting; of the first one, and of one
     * whose reader does not wait. */
    ir_graph *open = spoil(g, 2, ir_attr_i(IR_ATTR_open, 1));
    ir_graph *early = spoil(g, 0, ir_attr_i(IR_ATTR_open, 1));
    ir_graph *hasty = spoil(open, 3, ir_attr_i(IR_ATTR_barrier, 0));
    assert_true(plan_verify(&f->m, open, f->d));
    assert_false(plan_verify(&f->m, early, f->d));
    diag_clear(f->d);
    assert_false(plan_verify(&f->m, hasty, f->d));
    ir_graph_destroy(open);
    ir_graph_destroy(early);
    ir_graph_destroy(hasty);
    finish(f, g);
}

/* Products of the same rows are one kernel; what is said of such kernels is not taken on trust. */
static void test_joined(void **state)
{
    (void)state;
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 64)));
    result(f, "a", linear(f, x, "w1", 64, 64));
    result(f, "b", linear(f, x, "w2", 32, 64));
    result(f, "c", linear(f, linear(f, x, "w3", 64, 64), "w4", 64, 64));
    ir_graph *g = run(f, f->b.graph, PASS_join_products, 1);
    const ir_node *first = find(g, IR_OP_kernel, 0);
    assert_int_equal(ir_node_int(first, IR_ATTR_joined, 0), 0);
    assert_int_equal(ir_node_int(find(g, IR_OP_kernel, 1), IR_ATTR_joined, 0), 1);
    assert_int_equal(ir_node_int(find(g, IR_OP_kernel, 2), IR_ATTR_joined, 0), 1);
    assert_int_equal(ir_node_int(find(g, IR_OP_kernel, 3), IR_ATTR_joined, 0), 0);
    assert_true(plan_verify(&f->m, g, f->d));
    const struct {
        uint32_t kernel;
        ir_attr attr;
    } wrong[] = {
        {0, ir_attr_i(IR_ATTR_joined, 1)},  /* with none */
        {3, ir_attr_i(IR_ATTR_joined, 1)},  /* with what it reads, and waits for */
        {1, ir_attr_i(IR_ATTR_barrier, 1)}, /* waits for what it is made with */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ir_graph *bad = spoil(g, wrong[i].kernel, wrong[i].attr);
        assert_false(plan_verify(&f->m, bad, f->d));
        diag_clear(f->d);
        ir_graph_destroy(bad);
    }
    finish(f, g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_each_op_alone_at_level_0),
        cmocka_unit_test(test_gate),
        cmocka_unit_test(test_no_epilogue),
        cmocka_unit_test(test_no_cycle),
        cmocka_unit_test(test_softmax_written_out),
        cmocka_unit_test(test_broadcast_is_kept),
        cmocka_unit_test(test_sibling_results),
        cmocka_unit_test(test_further_result),
        cmocka_unit_test(test_reader_before_update),
        cmocka_unit_test(test_both_versions),
        cmocka_unit_test(test_recurrence),
        cmocka_unit_test(test_swapped_carries),
        cmocka_unit_test(test_llama),
        cmocka_unit_test(test_verifier),
        cmocka_unit_test(test_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
