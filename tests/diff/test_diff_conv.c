/* Convolutions against the interpreter: sizes around those of tiles, strides, borders, dilations,
 * groups, transposes, epilogues, at every level of vectors, on one thread and on three. */
#include "tests/diff/diff_runs.h"

#include <unistd.h>

/* y = op(x, w, bias, ...), with what `more` says after the bias, then the epilogue. */
typedef struct conv_case {
    const char *op, *more;
    uint32_t rank;
    int64_t x[5], w[5], y[5];
} conv_case;

enum { LONG = 3001 };

static const conv_case cases[] = {
  /* channels around those of a tile */
    {"conv2d",           "1, 1",                   4, {1, 1, 7, 7},    {1, 1, 3, 3},    {1, 1, 7, 7}   },
    {"conv2d",           "1, 1",                   4, {2, 3, 28, 28},  {17, 3, 3, 3},   {2, 17, 28, 28}},
    {"conv2d",           "1, 1",                   4, {1, 33, 7, 7},   {33, 33, 3, 3},  {1, 33, 7, 7}  },
    {"conv2d",           "1, 2",                   4, {1, 17, 14, 15}, {24, 17, 5, 5},  {1, 24, 14, 15}},
    {"conv2d",           "1, 0",                   4, {1, 16, 13, 29}, {40, 16, 1, 1},  {1, 40, 13, 29}},
    {"conv2d",           "1, 0",                   4, {1, 5, 2, 1},    {3, 5, 2, 1},    {1, 3, 1, 1}   },
 /* 3 x 3 by tiles of 4 and of 2 (backend/emit_winograd.c): part of a tile, blocks of rows and of
  columns, no border and a wide one, groups */
    {"conv2d",           "1, 1",                   4, {2, 20, 30, 33}, {24, 20, 3, 3},  {2, 24, 30, 33}},
    {"conv2d",           "1, 0",                   4, {1, 35, 18, 19}, {19, 35, 3, 3},  {1, 19, 16, 17}},
    {"conv2d",           "1, 2",                   4, {1, 16, 12, 12}, {16, 16, 3, 3},  {1, 16, 14, 14}},
    {"conv2d",           "1, 1",                   4, {1, 17, 9, 450}, {9, 17, 3, 3},   {1, 9, 9, 450} },
    {"conv2d",           "1, 1",                   4, {1, 64, 7, 8},   {64, 64, 3, 3},  {1, 64, 7, 8}  },
    {"conv2d",           "1, 1, 1, 2",             4, {1, 64, 21, 20}, {48, 32, 3, 3},  {1, 48, 21, 20}},
    {"conv2d",           "1, 1",                   4, {1, 260, 17, 5}, {40, 260, 3, 3}, {1, 40, 17, 5} },
 /* sums of several parts, and rows longer than a block */
    {"conv2d",           "1, 1",                   4, {1, 270, 5, 9},  {11, 270, 3, 3}, {1, 11, 5, 9}  },
    {"conv1d",           "1, 1",                   3, {1, 70, LONG},   {9, 70, 3},      {1, 9, LONG}   },
 /* strides, dilations, borders of several widths */
    {"conv2d",           "2, 3",                   4, {1, 3, 30, 31},  {9, 3, 7, 7},    {1, 9, 15, 16} },
    {"conv2d",           "2, 0",                   4, {1, 8, 9, 40},   {8, 8, 1, 1},    {1, 8, 5, 20}  },
    {"conv2d",           "[3, 1], [0, 2], [1, 2]", 4, {1, 4, 19, 18},  {6, 4, 2, 3},    {1, 6, 6, 18}  },
    {"conv2d",           "3, 1",                   4, {2, 2, 17, 50},  {5, 2, 3, 3},    {2, 5, 6, 17}  },
    {"conv2d",           "2, 1",                   4, {1, 20, 8, 8},   {44, 20, 3, 3},  {1, 44, 4, 4}  },
    {"conv2d",           "2, 2",                   4, {1, 9, 57, 31},  {25, 9, 5, 5},   {1, 25, 29, 16}},
    {"conv2d",           "[2, 1], 2, [3, 2]",      4, {1, 5, 20, 20},  {10, 5, 4, 3},   {1, 10, 8, 20} },
    {"conv1d",           "2, 3, 2",                3, {3, 2, 45},      {4, 2, 4},       {3, 4, 23}     },
    {"conv3d",           "[1, 2, 1], [1, 0, 1]",   5, {1, 2, 5, 6, 9}, {9, 2, 3, 2, 3}, {1, 9, 5, 3, 9}},
 /* groups, and a channel each */
    {"conv2d",           "1, 1, 1, 2",             4, {1, 6, 9, 9},    {10, 3, 3, 3},   {1, 10, 9, 9}  },
    {"conv2d",           "2, 1, 1, 20",            4, {1, 20, 9, 35},  {20, 1, 3, 3},   {1, 20, 5, 18} },
 /* transposes: a phase and several, taps that do not divide, output padding, groups */
    {"conv_transpose2d", "1, 1",                   4, {1, 9, 6, 7},    {9, 18, 3, 3},   {1, 18, 6, 7}  },
    {"conv_transpose2d", "2, 1",                   4, {1, 20, 8, 9},   {20, 17, 4, 4},  {1, 17, 16, 18}},
    {"conv_transpose2d", "2, 1, 1",                4, {2, 3, 5, 17},   {3, 8, 3, 3},    {2, 8, 10, 34} },
    {"conv_transpose2d", "[3, 1], [0, 1], [1, 0]", 4, {1, 2, 5, 6},    {2, 5, 2, 3},    {1, 5, 15, 6}  },
    {"conv_transpose2d", "2, 0, 0, 2",             4, {1, 6, 4, 5},    {6, 4, 5, 2},    {1, 8, 11, 10} },
    {"conv_transpose2d", "2, 0",                   4, {1, 300, 1, 1},  {300, 9, 4, 4},  {1, 9, 4, 4}   },
    {"conv_transpose2d", "1, 1, 0, 1, 2",          4, {1, 3, 7, 8},    {3, 4, 3, 3},    {1, 4, 9, 10}  },
    {"conv_transpose2d", "2, 1, 0, 1, 2",          4, {1, 3, 5, 6},    {3, 4, 3, 3},    {1, 4, 11, 13} },
    {"conv_transpose2d", "2, 1",                   4, {1, 24, 4, 4},   {24, 44, 4, 4},  {1, 44, 8, 8}  },
    {"conv_transpose2d", "2, 2, 1",                4, {1, 7, 4, 3},    {7, 21, 5, 3},   {1, 21, 8, 4}  },
    {"conv_transpose1d", "4, 2, 1",                3, {1, 5, 33},      {5, 3, 7},       {1, 3, 132}    },
    {"conv_transpose3d", "2, 1",                   5, {1, 2, 3, 3, 4}, {2, 9, 4, 4, 4}, {1, 9, 6, 6, 8}},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static void write_type(FILE *f, const int64_t *dims, uint32_t rank)
{
    fprintf(f, "f32");
    diff_write_list(f, dims, rank);
}

/* A case with an epilogue; with the sizes of pictures known when called only; with an epilogue and
 * weights that are a parameter, and so packed; and, of an even number of channels, before a mean of
 * every two of them, as whose shares threads would like to have the convolution's. */
typedef enum form { FIXED, LOOSE, PACKED, MEANS, N_FORMS } form;
static const char *const form_names[] = {"fixed", "loose", "packed", "means"};

static bool has_form(const conv_case *c, form how)
{
    return how != MEANS || c->y[1] % 2 == 0;
}

static void write_source(FILE *f)
{
    fprintf(f, "model m {\n");
    for (uint32_t i = 0; i < N_CASES; i++) {
        fprintf(f, "  w%u: ", i);
        write_type(f, cases[i].w, cases[i].rank);
        fprintf(f, "\n");
    }
    for (uint32_t i = 0; i < N_CASES; i++) {
        const conv_case *c = &cases[i];
        for (form how = 0; how < N_FORMS; how++) {
            if (!has_form(c, how)) {
                continue;
            }
            fprintf(f, "  entry %s%u(x: ", form_names[how], i);
            if (how == LOOSE) {
                static const char *const names[] = {"", "A", "A, B", "A, B, C"};
                fprintf(f, "f32[N, %lld, %s]", (long long)c->x[1], names[c->rank - 2]);
            } else {
                write_type(f, c->x, c->rank);
            }
            fprintf(f, ", w: ");
            write_type(f, c->w, c->rank);
            fprintf(f, ", b: f32[%lld]", (long long)c->y[1]);
            if (how == LOOSE) {
                fprintf(f, ") { return %s(x, w, none, %s) }\n", c->op, c->more);
                continue;
            }
            fprintf(f, ", r: ");
            write_type(f, c->y, c->rank);
            if (how == MEANS) {
                fprintf(f, ") {\n    y = %s(x, w%u, b, %s)\n", c->op, i, c->more);
                fprintf(f, "    p = reshape(y, [%lld, %lld, -1])\n", (long long)c->y[0],
                        (long long)c->y[1] / 2);
                fprintf(f, "    return reshape(p - mean(p, axis = -1, keep = true), y.shape) + r\n"
                           "  }\n");
                continue;
            }
            fprintf(f, ") { return relu(%s(x, w", c->op);
            if (how == PACKED) {
                fprintf(f, "%u", i);
            }
            fprintf(f, ", b, %s)) + r }\n", c->more);
        }
    }
    fprintf(f, "}\n");
}

/* x, w, b, r */
static void draw_case(uint32_t number, aigc_tensor args[4])
{
    const conv_case *c = &cases[number];
    uint32_t seed = number + 1;
    args[0] = diff_draw(c->x, c->rank, &seed);
    args[1] = diff_draw(c->w, c->rank, &seed);
    args[2] = diff_draw(&c->y[1], 1, &seed);
    args[3] = diff_draw(c->y, c->rank, &seed);
}

static void free_case(aigc_tensor args[4])
{
    for (uint32_t i = 0; i < 4; i++) {
        free(args[i].data);
    }
}

/* A safetensors file of all cases' weights. */
static void write_weights(FILE *f)
{
    char header[8192] = "{";
    uint64_t n = 1;
    long long at = 0;
    for (uint32_t i = 0; i < N_CASES; i++) {
        const conv_case *c = &cases[i];
        n += (uint64_t)snprintf(header + n, sizeof header - n,
                                "%s\"w%u\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "", i);
        for (uint32_t k = 0; k < c->rank; k++) {
            n += (uint64_t)snprintf(header + n, sizeof header - n, "%s%lld", k ? "," : "",
                                    (long long)c->w[k]);
        }
        long long end = at + 4 * (long long)diff_size(c->w, c->rank);
        n += (uint64_t)snprintf(header + n, sizeof header - n, "],\"data_offsets\":[%lld,%lld]}",
                                at, end);
        at = end;
    }
    n += (uint64_t)snprintf(header + n, sizeof header - n, "}");
    assert_true(n < sizeof header);
    assert_int_equal(fwrite(&n, 8, 1, f), 1);
    assert_int_equal(fwrite(header, 1, n, f), n);
    for (uint32_t i = 0; i < N_CASES; i++) {
        aigc_tensor args[4];
        draw_case(i, args);
        size_t size = (size_t)diff_size(cases[i].w, cases[i].rank);
        assert_int_equal(fwrite(args[1].data, 4, size, f), size);
        free_case(args);
    }
}

static void check_case(diff_runs_all *runs, uint32_t number, form how)
{
    const conv_case *c = &cases[number];
    uint32_t n_args = how == LOOSE ? 3 : 4;
    aigc_tensor args[4];
    draw_case(number, args);
    char entry[32], what[128];
    snprintf(entry, sizeof entry, "%s%u", form_names[how], number);
    aigc_tensor want = diff_runs_call(&runs->at[0], 0, entry, args, n_args);
    /* sums of k products of numbers within [-1, 1]; Winograd's are twice as rough as the sums */
    int64_t k = diff_size(&c->w[2], c->rank - 2) * c->x[1];
    float bound = 4e-7f * (float)(k + 20);
    for (uint32_t i = 1; i < runs->n; i++) {
        snprintf(what, sizeof what, "%s, %s(%s), cpu %u", entry, c->op, c->more, i);
        aigc_tensor one = diff_runs_call(&runs->at[i], 0, entry, args, n_args),
                    two = diff_runs_call(&runs->at[i], 1, entry, args, n_args);
        diff_compare_f32(&one, &want, bound, what);
        assert_int_equal(diff_size(one.dims, one.rank), diff_size(c->y, c->rank));
        assert_memory_equal(one.data, two.data, (size_t)diff_size(c->y, c->rank) * 4);
        free(one.data);
        free(two.data);
    }
    free(want.data);
    free_case(args);
}

static void test_conv(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-convXXXXXX.aigc", weights[] = "/tmp/aigc-convXXXXXX.safetensors";
    int fd = mkstemps(path, 5), wd = mkstemps(weights, 12);
    assert_true(fd >= 0 && wd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    write_source(f);
    fclose(f);
    f = fdopen(wd, "wb");
    assert_non_null(f);
    write_weights(f);
    fclose(f);
    diff_runs_all runs = diff_runs_open_all(path, weights);
    for (uint32_t i = 0; i < N_FORMS * N_CASES; i++) {
        if (has_form(&cases[i / N_FORMS], i % N_FORMS)) {
            check_case(&runs, i / N_FORMS, i % N_FORMS);
        }
    }
    diff_runs_close_all(&runs);
    unlink(path);
    unlink(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
