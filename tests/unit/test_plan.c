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

static ir_graph *run(fixture *f, const ir_graph *g, int last, int level)
{
    pass_ctx c = {.module = &f->m, .d = f->d, .scratch = arena_create(), .level = level};
    ir_graph *at = ir_graph_clone(g);
    for (int id = PASS_fuse_epilogue; id <= last; id++) {
        at = pass_run((pass_id)id, &c, at);
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

static void test_mlp(void **state)
{
    fixture *f = fixture_create(1, 64);
    const ir_node *x = input(f, "x", SHAPE(f->t, K(f, 32)));
    const ir_node *h = ir_unary(
        &f->b, IR_OP_relu, add(f, linear(f, x, "w1", 64, 32), param(f, "b1", SHAPE(K(f, 64)))));
    result(f, "y", add(f, linear(f, h, "w2", 10, 64), param(f, "b2", SHAPE(K(f, 10)))));
    assert_false(f->b.failed);
    run(f, f->b.graph, PASS_plan_memory, 1);
    arena_destroy(f->a);
}

static void test_llama(void **state)
{
    fixture *f = fixture_create(1, 128);
    build_llama(f, (llama){64, 8, 4, 8, 172, 512, 5, 128});
    if (f->b.failed) {
        printf("%s\n", f->b.error.text);
    }
    assert_false(f->b.failed);
    if (getenv("AIGC_TEST_DUMP")) {
        printf("%s", ir_print_graph(f->b.graph, f->a));
    }
    run(f, f->b.graph, PASS_plan_memory, 1);
    arena_destroy(f->a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlp), cmocka_unit_test(test_llama)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
