/* More of everything in one kernel than models have: norms and their axes, sizes that are each
 * known when called only. Against the interpreter, on one thread and three. */
#include "tests/diff/diff_runs.h"

#include <unistd.h>

enum { MANY = 48 };

/* x0, x1, ... in a pattern that may name their number. */
static void write_each(FILE *f, const char *between, const char *pattern)
{
    char all[MANY * 64], *at = all;
    for (int i = 0; i < MANY; i++) {
        at += snprintf(at, 64, "%s", i ? between : "");
        for (const char *c = pattern; *c; c++) {
            at += *c == '#' ? snprintf(at, 8, "%d", i) : snprintf(at, 2, "%c", *c);
        }
    }
    fputs(all, f);
}

static void write_model(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("model m() {\n"
          "  fn centred(x) = x - mean(x, axis = -1, keep = true)\n"
          "  fn norm(x) = centred(x) / sqrt(mean(centred(x) ** 2, axis = -1, keep = true) + 1e-5)\n"
          "  entry parts(",
          f);
    write_each(f, ", ", "x#: f32[T#]");
    fputs(") -> f32[", f);
    write_each(f, " + ", "T#");
    fputs("] {\n    return concat([", f);
    write_each(f, ", ", "x#");
    fputs("], 0) * 2\n  }\n  entry norms(", f);
    write_each(f, ", ", "x#: f32[T, 9]");
    fputs(") -> f32[T, 9] {\n    return ", f);
    write_each(f, " + ", "norm(x#)");
    fputs("\n  }\n}\n", f);
    fclose(f);
}

static void check_entry(diff_runs_all *runs, const char *entry, const aigc_tensor *x)
{
    aigc_tensor want = diff_runs_call(&runs->at[0], 0, entry, x, MANY);
    for (uint32_t i = 1; i < runs->n; i++) {
        for (uint32_t context = 0; context < 2; context++) {
            aigc_tensor got = diff_runs_call(&runs->at[i], context, entry, x, MANY);
            diff_compare_f32(&got, &want, 1e-4f, entry);
            free(got.data);
        }
    }
    free(want.data);
}

static void test_many(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-manyXXXXXX.aigc";
    int f = mkstemps(path, 5);
    assert_true(f >= 0);
    close(f);
    write_model(path);
    diff_runs_all runs = diff_runs_open_all(path, NULL);
    aigc_tensor parts[MANY], rows[MANY];
    uint32_t seed = 5;
    for (int i = 0; i < MANY; i++) {
        parts[i] = diff_draw((int64_t[]){1 + i * 5 % 7}, 1, &seed);
        rows[i] = diff_draw((int64_t[]){7, 9}, 2, &seed);
    }
    check_entry(&runs, "parts", parts);
    check_entry(&runs, "norms", rows);
    for (int i = 0; i < MANY; i++) {
        free(parts[i].data);
        free(rows[i].data);
    }
    diff_runs_close_all(&runs);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
