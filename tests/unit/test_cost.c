/* How many threads a call takes: as many as its work is worth, all of them when told so. */
#include "runtime/aigc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t work_ns, meetings;
static uint32_t taken; /* threads of the last call */

static uint32_t bind(const int64_t *arg_dims, int64_t *dims)
{
    (void)arg_dims, (void)dims;
    return 0;
}

static void sizes(const int64_t *dims, int64_t *out)
{
    (void)dims;
    out[0] = 0;
}

static void cost(const int64_t *dims, int64_t *out)
{
    (void)dims;
    out[0] = work_ns;
    out[1] = meetings;
}

static void run(const aigc_abi_call *call, uint32_t thread)
{
    for (int64_t i = 0; i < 3 && call->n_threads > 1; i++) {
        call->barrier(call->barrier_data, thread);
    }
    if (thread == 0) {
        taken = call->n_threads;
    }
}

static const aigc_abi_entry entries[] = {
    {.name = "f", .bind = bind, .sizes = sizes,   .run = run,           .cost = cost},
    {.name = "unknown",           .bind = bind,       .sizes = sizes, .run = run}
};
static const aigc_abi_model model = {
    .abi_version = AIGC_ABI_VERSION, .n_entries = 2, .name = "m", .entries = entries};

static uint32_t threads(aigc_context *c, uint32_t entry, int64_t ns, int64_t barriers)
{
    work_ns = ns;
    meetings = barriers;
    assert_int_equal(aigc_call(c, entry, NULL, NULL, 0, NULL, 0), AIGC_OK);
    return taken;
}

static void test_work_decides(void **state)
{
    (void)state;
    aigc_context_options o = {.n_threads = 4};
    aigc_context *c;
    aigc_error err;
    assert_int_equal(aigc_context_create(&model, NULL, &o, &c, &err), AIGC_OK);
    assert_int_equal(threads(c, 0, 0, 0), 1);
    assert_int_equal(threads(c, 0, 2000, 1), 1);
    assert_int_equal(threads(c, 0, 1000000, 10), 4);
    assert_int_equal(threads(c, 0, 1000000, 1000000), 1); /* nothing but meetings */
    assert_true(threads(c, 0, 60000, 100) < 4);
    assert_int_equal(threads(c, 0, -1, 0), 4); /* overflown: there is much to do */
    assert_int_equal(threads(c, 1, 0, 0), 4);
    assert_int_equal(threads(c, 0, 10, 0), 1);
    aigc_context_destroy(c);
}

static void test_all_threads(void **state)
{
    (void)state;
    aigc_context_options o = {.n_threads = 3, .all_threads = true};
    aigc_context *c;
    aigc_error err;
    assert_int_equal(aigc_context_create(&model, NULL, &o, &c, &err), AIGC_OK);
    assert_int_equal(threads(c, 0, 0, 0), 3);
    aigc_context_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_work_decides),
                                       cmocka_unit_test(test_all_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
