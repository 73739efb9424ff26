/* Random programs: the interpreter before the passes, after each of them, and compiled code mean
 * the same. AIGC_TEST_SEED=n runs one, AIGC_TEST_COUNT=n so many. */
#include "diff_random.h"

typedef struct checking {
    diff_module *d;
    int wrong;
    bool told[DIFF_MOST_ENTRIES];
    uint64_t passes; /* that ran */
} checking;

static const int64_t sizes[][2] = {
    {7,  5 },
    {1,  1 },
    {17, 3 },
    {3,  33},
    {16, 16},
    {5,  2 }
};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void sizes_of(uint32_t entry, int64_t *t, int64_t *u)
{
    *t = sizes[entry % N_SIZES][0];
    *u = sizes[entry % N_SIZES][1];
}

static void evaluate(checking *c, uint32_t i, arena *a, const ir_graph *g, diff_run *r,
                     const char *how)
{
    int64_t t, u;
    char error[256];
    sizes_of(i, &t, &u);
    diff_inputs(c->d, &c->d->entries[i], a, t, u, r);
    if (!diff_eval(c->d, g, a, r, error)) {
        fail_msg("%s %s: the interpreter says: %s", c->d->entries[i].name, how, error);
    }
}

/* After every pass. */
static void after_pass(void *data, pass_id id, const ir_entry *e)
{
    checking *c = data;
    static diff_run want, got;
    uint32_t i = (uint32_t)(e - c->d->m.entries);
    const char *how = pass_get(id)->name;
    int64_t t, u;
    arena *a = arena_create();
    c->passes |= (uint64_t)1 << id;
    sizes_of(i, &t, &u);
    evaluate(c, i, a, c->d->entries[i].graph, &want, "before the passes");
    evaluate(c, i, a, e->graph, &got, how);
    if (!c->told[i] &&
        diff_runs(c->d->entries[i].name, how, &want, &got, t, u, c->d->entries[i].bound)) {
        c->told[i] = true;
        c->wrong++;
        if (getenv("AIGC_TEST_SEED")) {
            printf("%s\n%s\n", ir_print_graph(c->d->entries[i].graph, a),
                   ir_print_graph(e->graph, a));
        }
    }
    arena_destroy(a);
}

static int check_programs(uint64_t first, uint64_t count, int level)
{
    static checking c;
    static diff_run want, got;
    c = (checking){.d = diff_create()};
    for (uint64_t seed = first; seed < first + count; seed++) {
        add_program(c.d, seed, seed % 2 ? IR_f32 : IR_f64);
    }
    diff_compile(c.d, level, after_pass, &c);
    for (int id = 0; id < PASS_COUNT; id++) {
        assert_true(pass_get((pass_id)id)->level > level || (c.passes >> id & 1));
    }
    for (uint32_t i = 0; i < c.d->m.n_entries; i++) {
        arena *a = arena_create();
        int64_t t, u;
        sizes_of(i, &t, &u);
        evaluate(&c, i, a, c.d->entries[i].graph, &want, "before the passes");
        for (uint32_t threads = 1; threads <= 2 && !c.told[i]; threads++) {
            diff_inputs(c.d, &c.d->entries[i], a, t, u, &got);
            c.told[i] = !diff_call_entry(c.d, i, threads, a, &got) ||
                        diff_runs(c.d->entries[i].name, threads == 1 ? "compiled" : "2 threads",
                                  &want, &got, t, u, c.d->entries[i].bound);
            c.wrong += c.told[i];
        }
        arena_destroy(a);
    }
    diff_destroy(c.d);
    return c.wrong;
}

static void test_programs(void **state)
{
    const char *one = getenv("AIGC_TEST_SEED"), *n = getenv("AIGC_TEST_COUNT");
    uint64_t count = n ? strtoull(n, NULL, 10) : 160, each = 20;
    int wrong = 0;
    if (one) {
        for (int level = 0; level < 3; level++) {
            wrong += check_programs(strtoull(one, NULL, 10), 1, level);
        }
    }
    for (uint64_t seed = 0; !one && seed < count; seed += each) {
        wrong += check_programs(seed, each, (int)(seed / each % 3));
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
