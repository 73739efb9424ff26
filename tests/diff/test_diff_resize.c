/* Up- and down-sampling against the interpreter: whole factors and others, every mode, rows around
 * whole vectors, one row for all threads, at every level of vectors, on one thread and on three. */
#include "tests/diff/diff_runs.h"

#include <unistd.h>

/* y = resize(x, sizes, mode) of x [n, c, sizes...]; by: a whole factor, then sizes of pictures
 * known when called only are tried as well. */
typedef struct resize_case {
    uint32_t rank;
    int64_t by, x[5], y[5];
} resize_case;

static const resize_case cases[] = {
  /* whole factors: rows of one place, of a vector, and of some more */
    {4, 2, {2, 3, 5, 16},   {2, 3, 10, 32}  },
    {4, 2, {1, 2, 3, 37},   {1, 2, 6, 74}   },
    {4, 2, {1, 1, 1, 1},    {1, 1, 2, 2}    },
    {4, 3, {1, 2, 4, 35},   {1, 2, 12, 105} },
    {4, 4, {1, 1, 2, 3},    {1, 1, 8, 12}   },
    {4, 5, {1, 1, 2, 17},   {1, 1, 10, 85}  },
    {4, 8, {1, 2, 2, 33},   {1, 2, 16, 264} },
    {4, 0, {1, 3, 9, 20},   {1, 3, 5, 40}   }, /* down along one axis, up along the other */
    {4, 0, {1, 3, 4, 19},   {1, 3, 11, 19}  },
 /* one row, which threads share out among them */
    {3, 2, {1, 1, 301},     {1, 1, 602}     },
    {3, 3, {1, 1, 50},      {1, 1, 150}     },
    {3, 0, {1, 1, 301},     {1, 1, 333}     },
    {3, 0, {1, 1, 5001},    {1, 1, 4999}    }, /* longer than tables are made for */
  /* other sizes */
    {4, 0, {2, 3, 8, 40},   {2, 3, 4, 20}   },
    {4, 0, {1, 2, 7, 33},   {1, 2, 9, 49}   },
    {4, 0, {1, 2, 12, 100}, {1, 2, 5, 7}    },
    {4, 0, {1, 1, 2, 2},    {1, 1, 9, 9}    },
    {3, 2, {2, 3, 21},      {2, 3, 42}      },
    {5, 2, {1, 2, 3, 4, 9}, {1, 2, 6, 8, 18}},
    {5, 0, {1, 2, 3, 4, 9}, {1, 2, 2, 7, 20}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static const char *const modes[] = {"nearest", "linear", "cubic"};
enum { N_MODES = 3 };

/* With an epilogue; of corners that are aligned; of sizes known when called only. */
typedef enum form { FIXED, ALIGNED, LOOSE, N_FORMS } form;
static const char *const form_names[] = {"fixed", "aligned", "loose"};

static bool has_form(const resize_case *c, uint32_t mode, form how)
{
    bool known = mode < 2 || c->rank < 5; /* there is no cubic mode of three axes */
    return known && (how == FIXED || (how == ALIGNED ? mode > 0 : c->by > 0));
}

static void write_entry(FILE *f, uint32_t number, uint32_t mode, form how)
{
    static const char *const names[] = {"", "A", "A, B", "A, B, C"};
    const resize_case *c = &cases[number];
    fprintf(f, "  entry %s_%s%u(x: f32", form_names[how], modes[mode], number);
    if (how == LOOSE) {
        fprintf(f, "[N, %lld, %s]) { return upsample(x, %lld, mode = \"%s\") }\n",
                (long long)c->x[1], names[c->rank - 2], (long long)c->by, modes[mode]);
        return;
    }
    diff_write_list(f, c->x, c->rank);
    fprintf(f, ", r: f32");
    diff_write_list(f, c->y, c->rank);
    fprintf(f, ") { return relu(resize(x, ");
    diff_write_list(f, &c->y[2], c->rank - 2);
    fprintf(f, ", mode = \"%s\"%s)) + r }\n", modes[mode],
            how == ALIGNED ? ", align_corners = true" : "");
}

static void check_case(diff_runs_all *runs, uint32_t number, uint32_t mode, form how)
{
    const resize_case *c = &cases[number];
    uint32_t n_args = how == LOOSE ? 1 : 2;
    uint32_t seed = number + 1;
    aigc_tensor args[2] = {diff_draw(c->x, c->rank, &seed), diff_draw(c->y, c->rank, &seed)};
    char entry[32], what[64];
    snprintf(entry, sizeof entry, "%s_%s%u", form_names[how], modes[mode], number);
    aigc_tensor want = diff_runs_call(&runs->at[0], 0, entry, args, n_args);
    int64_t in = c->x[c->rank - 1], of = c->y[c->rank - 1];
    /* positions are computed in f32, as PyTorch does: they and weights are off by some 1e-7 of a
     * row's length */
    float bound = mode ? 2e-6f + 5e-7f * (float)(in > of ? in : of) : 0;
    for (uint32_t i = 1; i < runs->n; i++) {
        snprintf(what, sizeof what, "%s, cpu %u", entry, i);
        aigc_tensor one = diff_runs_call(&runs->at[i], 0, entry, args, n_args),
                    two = diff_runs_call(&runs->at[i], 1, entry, args, n_args);
        diff_compare_f32(&one, &want, bound, what);
        assert_memory_equal(one.data, two.data, (size_t)diff_size(c->y, c->rank) * 4);
        free(one.data);
        free(two.data);
    }
    free(want.data);
    free(args[0].data);
    free(args[1].data);
}

static void each_case(void (*visit)(void *data, uint32_t number, uint32_t mode, form how),
                      void *data)
{
    for (uint32_t i = 0; i < N_CASES * N_MODES * N_FORMS; i++) {
        uint32_t number = i / N_FORMS / N_MODES, mode = i / N_FORMS % N_MODES;
        if (has_form(&cases[number], mode, i % N_FORMS)) {
            visit(data, number, mode, i % N_FORMS);
        }
    }
}

static void visit_to_write(void *f, uint32_t number, uint32_t mode, form how)
{
    write_entry(f, number, mode, how);
}

static void visit_to_check(void *data, uint32_t number, uint32_t mode, form how)
{
    check_case(data, number, mode, how);
}

static void test_resize(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-resizeXXXXXX.aigc";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    fprintf(f, "model m {\n");
    each_case(visit_to_write, f);
    fprintf(f, "}\n");
    fclose(f);
    diff_runs_all runs = diff_runs_open_all(path, NULL);
    each_case(visit_to_check, &runs);
    diff_runs_close_all(&runs);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resize)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
