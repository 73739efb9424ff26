/* examples/mlp through the command: arguments and results as .npy and .safetensors, against the
 * same sums in double. */
#include "e2e/e2e.h"
#include "runtime/io/npy.h"

#include <sys/wait.h>
#include <unistd.h>

#define MLP AIGC_SOURCE_DIR "/examples/mlp/mlp.aigc"

enum { N = 5, IN = 37, HIDDEN = 19, OUT = 7 }; /* no multiple of any register's lanes */

static char folder[] = "/tmp/aigc-test-XXXXXX";
static float x[N * IN], w1[HIDDEN * IN], b1[HIDDEN], w2[OUT * HIDDEN], b2[OUT];
static double want[N * OUT];

static void run(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    size_t n = (size_t)snprintf(
        command, sizeof command,
        "cd %s && AIGC_CACHE_DIR=%s/cache %s run %s -D inputs=%d -D hidden=%d -D classes=%d ",
        folder, folder, AIGC_COMMAND, MLP, IN, HIDDEN, OUT);
    vsnprintf(command + n, sizeof command - n, format, args);
    va_end(args);
    int status = system(command);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("%s: status %d", command, status);
    }
}

static const char *in_folder(const char *file, char path[128])
{
    snprintf(path, 128, "%s/%s", folder, file);
    return path;
}

static void fill(float *to, int n, uint32_t seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u; /* Numerical Recipes */
        to[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
}

static void expect(void)
{
    for (int r = 0; r < N; r++) {
        double h[HIDDEN], y[OUT], sum = 0;
        for (int i = 0; i < HIDDEN; i++) {
            h[i] = (double)b1[i];
            for (int k = 0; k < IN; k++) {
                h[i] += (double)w1[i * IN + k] * (double)x[r * IN + k];
            }
            h[i] = h[i] > 0 ? h[i] : 0;
        }
        for (int i = 0; i < OUT; i++) {
            y[i] = (double)b2[i];
            for (int k = 0; k < HIDDEN; k++) {
                y[i] += (double)w2[i * HIDDEN + k] * h[k];
            }
            sum += exp(y[i]);
        }
        for (int i = 0; i < OUT; i++) {
            want[r * OUT + i] = exp(y[i]) / sum;
        }
    }
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) {
        return 1;
    }
    fill(x, N * IN, 1);
    fill(w1, HIDDEN * IN, 2);
    fill(b1, HIDDEN, 3);
    fill(w2, OUT * HIDDEN, 4);
    fill(b2, OUT, 5);
    expect();
    static const char *const names[] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
    const aigc_tensor weights[] = {
        {w1, AIGC_F32, 2, {HIDDEN, IN} },
        {b1, AIGC_F32, 1, {HIDDEN}     },
        {w2, AIGC_F32, 2, {OUT, HIDDEN}},
        {b2, AIGC_F32, 1, {OUT}        }
    };
    const aigc_tensor input = {
        x, AIGC_F32, 2, {N, IN}
    };
    const char *input_name = "batch";
    char path[128];
    aigc_error err;
    return safetensors_write(in_folder("w.safetensors", path), 4, names, weights, &err) !=
               AIGC_OK ||
           safetensors_write(in_folder("x.safetensors", path), 1, &input_name, &input, &err) !=
               AIGC_OK ||
           npy_write(in_folder("x.npy", path), &input, &err) != AIGC_OK;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void check(uint8_t dtype, uint32_t rank, const int64_t *dims, const void *data)
{
    const float *found = data;
    assert_int_equal(dtype, AIGC_F32);
    assert_int_equal(rank, 2);
    assert_int_equal(dims[0], N);
    assert_int_equal(dims[1], OUT);
    for (int i = 0; i < N * OUT; i++) {
        if (!(fabs((double)found[i] - want[i]) <= 1e-6)) {
            fail_msg("row %d, class %d: expected %.8g, found %.8g", i / OUT, i % OUT, want[i],
                     (double)found[i]);
        }
    }
}

static void check_npy(const char *file)
{
    aigc_tensor t;
    aigc_error err;
    char path[128];
    if (npy_read(in_folder(file, path), &t, &err) != AIGC_OK) {
        fail_msg("%s", err.text);
    }
    check(t.dtype, t.rank, t.dims, t.data);
    free(t.data);
}

static void test_npy(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        run("-O%d --weights w.safetensors --input x=x.npy --output y=y%d.npy --threads %d", i, i,
            i % 2 + 1);
        char file[16];
        snprintf(file, sizeof file, "y%d.npy", i);
        check_npy(file);
    }
}

static void test_safetensors(void **state)
{
    (void)state;
    run("--weights w.safetensors --input x=x.safetensors:batch --output y=y.safetensors");
    char path[128];
    weights_file *f;
    aigc_error err;
    if (weights_file_open(in_folder("y.safetensors", path), &f, &err) != AIGC_OK) {
        fail_msg("%s", err.text);
    }
    const weights_tensor *t = weights_file_find(f, "y");
    assert_non_null(t);
    check(t->dtype, t->rank, t->dims, t->data);
    weights_file_close(f);
}

/* What --profile counts, next to the results: (37 * 19 + 19 * 7) products a row, in one call. */
static void test_profile(void **state)
{
    (void)state;
    run("--weights w.safetensors --input x=x.npy --threads 1 --repeat 3 --profile --output y=p.npy "
        "2>profile.txt");
    check_npy("p.npy");
    char path[128], line[512], mflop[32] = "";
    FILE *f = fopen(in_folder("profile.txt", path), "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_non_null(strstr(line, "the mean of 2; 1 thread"));
    while (fgets(line, sizeof line, f)) {
        if (strstr(line, "  all")) {
            assert_int_equal(sscanf(line, "%*s %*s %*s %31s", mflop), 1);
        }
    }
    fclose(f);
    double products = 2.0 * N * (IN * HIDDEN + HIDDEN * OUT) / 1e6;
    if (!(strtod(mflop, NULL) > products && strtod(mflop, NULL) < 1.5 * products)) {
        fail_msg("%s MFLOP; the products alone are %g", mflop, products);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_npy),
                                       cmocka_unit_test(test_safetensors),
                                       cmocka_unit_test(test_profile)};
    return cmocka_run_group_tests(tests, begin, end);
}
