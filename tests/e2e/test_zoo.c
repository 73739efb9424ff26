/* Textbook models (tests/e2e/zoo) against PyTorch (zoo/reference.py): weights and arguments by the
 * same formula, written here under the names of PyTorch's state dicts; compiled at -O0 and -O3,
 * with one thread and two, and interpreted. With --quantize every model still is the same, about.
 */
#include "e2e/e2e.h"

#include <unistd.h>

#define ZOO AIGC_SOURCE_DIR "/tests/e2e/zoo/"

enum { MOST = 8 }; /* arguments, results */

static char weights_path[] = "/tmp/aigc-zoo-XXXXXX.safetensors";
static json_t *reference;

static double number(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

static const char *text(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

/* Number i of a tensor, in [-1, 1): see `values` of reference.py. */
static double value(const char *name, uint32_t i)
{
    uint32_t x = 2166136261u;
    for (const char *s = name; *s; s++) {
        x = (x ^ (uint8_t)*s) * 16777619u;
    }
    x += i * 0x9E3779B9u;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    x ^= x >> 16;
    return (double)(x >> 16) / 32768 - 1;
}

static aigc_tensor tensor_of(const json_t *dims, aigc_dtype dtype, int64_t *n)
{
    aigc_tensor t = {.dtype = (uint8_t)dtype, .rank = (uint8_t)json_array_size(dims)};
    *n = 1;
    for (uint32_t i = 0; i < t.rank; i++) {
        t.dims[i] = json_integer_value(json_array_get(dims, i));
        *n *= t.dims[i];
    }
    t.data = malloc((size_t)*n * 8 + 8);
    assert_non_null(t.data);
    return t;
}

static void put(aigc_tensor *t, int64_t i, double v)
{
    switch (t->dtype) {
    case AIGC_F32:
        ((float *)t->data)[i] = (float)v;
        break;
    case AIGC_I64:
        ((int64_t *)t->data)[i] = (int64_t)v;
        break;
    case AIGC_I32:
        ((int32_t *)t->data)[i] = (int32_t)v;
        break;
    default:
        ((uint8_t *)t->data)[i] = (uint8_t)v;
        break;
    }
}

static double get(const aigc_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case AIGC_F32:
        return (double)((const float *)t->data)[i];
    case AIGC_I64:
        return (double)((const int64_t *)t->data)[i];
    case AIGC_I32:
        return (double)((const int32_t *)t->data)[i];
    default:
        return (double)((const uint8_t *)t->data)[i];
    }
}

/* [name, offset, scale, dims], or of a counter [name, "i64", value, dims] */
static void write_weights(const json_t *tensors)
{
    uint32_t n = (uint32_t)json_array_size(tensors);
    const char **names = calloc(n + 1, sizeof *names);
    aigc_tensor *all = calloc(n + 1, sizeof *all);
    assert_true(names && all);
    for (uint32_t k = 0; k < n; k++) {
        const json_t *t = json_array_get(tensors, k), *offset = json_array_get(t, 1);
        int64_t count;
        names[k] = json_string_value(json_array_get(t, 0));
        all[k] =
            tensor_of(json_array_get(t, 3), json_is_string(offset) ? AIGC_I64 : AIGC_F32, &count);
        double scale = json_number_value(json_array_get(t, 2));
        for (int64_t i = 0; i < count; i++) {
            put(&all[k], i,
                json_is_string(offset)
                    ? scale
                    : json_number_value(offset) + scale * value(names[k], (uint32_t)i));
        }
    }
    aigc_error err;
    if (safetensors_write(weights_path, n, names, all, &err) != AIGC_OK) {
        fail_msg("%s", err.text);
    }
    for (uint32_t k = 0; k < n; k++) {
        free(all[k].data);
    }
    free(all);
    free(names);
}

static aigc_tensor argument(const json_t *j)
{
    const char *type = text(j, "dtype"), *name = text(j, "name");
    const json_t *numbers = json_object_get(j, "numbers");
    int64_t n;
    aigc_tensor t = tensor_of(json_object_get(j, "dims"),
                              strcmp(type, "f32") == 0   ? AIGC_F32
                              : strcmp(type, "i64") == 0 ? AIGC_I64
                              : strcmp(type, "i32") == 0 ? AIGC_I32
                                                         : AIGC_BOOL,
                              &n);
    for (int64_t i = 0; i < n; i++) {
        double v = numbers ? json_number_value(json_array_get(numbers, (size_t)i))
                           : value(name, (uint32_t)i);
        put(&t, i,
            numbers               ? v
            : t.dtype == AIGC_F32 ? number(j, "offset") + number(j, "scale") * v
                                  : floor((v + 1) / 2 * number(j, "below")));
    }
    return t;
}

/* bound: of the largest; 0: as the reference says. */
static void compare(const char *how, const json_t *want, const aigc_tensor *found, double bound)
{
    const json_t *dims = json_object_get(want, "dims"), *numbers = json_object_get(want, "numbers"),
                 *x;
    double allowed = (bound > 0 ? bound : number(want, "bound")) * number(want, "most");
    int64_t every = json_integer_value(json_object_get(want, "every"));
    size_t i;
    if (found->rank != json_array_size(dims)) {
        fail_msg("%s: %u axes, expected %zu", how, found->rank, json_array_size(dims));
    }
    json_array_foreach(dims, i, x)
    {
        if (found->dims[i] != json_integer_value(x)) {
            fail_msg("%s: size %zu is %lld, expected %lld", how, i, (long long)found->dims[i],
                     (long long)json_integer_value(x));
        }
    }
    json_array_foreach(numbers, i, x)
    {
        double w = json_number_value(x), f = get(found, (int64_t)i * every);
        if (!(fabs(f - w) <= (found->dtype == AIGC_F32 ? allowed : 0))) {
            fail_msg("%s: number %lld: expected %.8g, found %.8g (%.2g is allowed)", how,
                     (long long)((int64_t)i * every), w, f, allowed);
        }
    }
}

static void run_calls(const char *how, aigc_program *p, uint32_t threads, const json_t *calls,
                      double bound)
{
    aigc_context *c;
    aigc_context_options o = {.n_threads = threads, .all_threads = true};
    aigc_error err = {{0}};
    const json_t *k, *x;
    size_t n, i;
    if (aigc_program_context(p, &o, &c, &err) != AIGC_OK) {
        fail_msg("%s: %s", how, err.text);
    }
    json_array_foreach(calls, n, k)
    {
        aigc_tensor args[MOST], results[MOST] = {{0}};
        int64_t dims[MOST] = {0};
        json_array_foreach(json_object_get(k, "dims"), i, x)
        {
            dims[i] = json_integer_value(x);
        }
        const json_t *in = json_object_get(k, "args"), *want = json_object_get(k, "results");
        uint32_t n_in = (uint32_t)json_array_size(in), n_out = (uint32_t)json_array_size(want);
        assert_true(n_in <= MOST && n_out <= MOST);
        for (i = 0; i < n_in; i++) {
            args[i] = argument(json_array_get(in, i));
        }
        if (json_is_true(json_object_get(k, "reset"))) {
            aigc_context_reset(c);
        }
        if (aigc_program_call(p, c, text(k, "entry"), dims, args, n_in, results, n_out, &err) !=
            AIGC_OK) {
            fail_msg("%s: %s: %s", how, text(k, "entry"), err.text);
        }
        for (i = 0; i < n_out; i++) {
            char what[256];
            snprintf(what, sizeof what, "%s: call %zu, %s, result %zu", how, n, text(k, "entry"),
                     i);
            compare(what, json_array_get(want, i), &results[i], bound);
            free(results[i].data);
        }
        for (i = 0; i < n_in; i++) {
            free(args[i].data);
        }
    }
    aigc_context_destroy(c);
}

static void check(void **state)
{
    const json_t *c = *state;
    static const struct {
        const char *name;
        int level;
        bool interpret;
        const char *quantize;
        double bound;
    } ways[] = {
        {"-O0",         0, false, NULL,   0   },
        {"-O3",         3, false, NULL,   0   },
        {"quantized",   2, false, "bf16", 0.03},
        {"interpreted", 0, true,  NULL,   0   }
    };
    char source[512], how[128], *messages = NULL;
    snprintf(source, sizeof source, ZOO "%s.aigc", text(c, "file"));
    write_weights(json_object_get(c, "tensors"));
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        aigc_settings s = {.weights = weights_path,
                           .model = text(c, "model"),
                           .opt_level = ways[w].level,
                           .quantize = ways[w].quantize,
                           .no_cache = true,
                           .interpret = ways[w].interpret};
        aigc_program *p;
        aigc_error err;
        if (aigc_program_create(source, &s, &p, &messages, &err) != AIGC_OK) {
            fail_msg("%s: %s\n%s", source, err.text, messages ? messages : "");
        }
        free(messages);
        for (uint32_t threads = 1; threads <= (ways[w].interpret ? 1 : 2); threads++) {
            snprintf(how, sizeof how, "%s %s %s, %u threads", text(c, "file"), text(c, "model"),
                     ways[w].name, threads);
            run_calls(how, p, threads, json_object_get(c, "calls"), ways[w].bound);
        }
        aigc_program_destroy(p);
    }
}

int main(int argc, char **argv)
{
    enum { CASES = 64 };
    struct CMUnitTest tests[CASES] = {{0}};
    size_t n = 0, i;
    json_t *c;
    int fd = mkstemps(weights_path, (int)strlen(".safetensors"));
    json_error_t e;
    reference = json_load_file(ZOO "reference.json", 0, &e);
    if (fd < 0 || !reference) {
        return 1;
    }
    close(fd);
    json_array_foreach(reference, i, c)
    {
        if (n < CASES) {
            tests[n++] = (struct CMUnitTest){
                .name = text(c, "model"), .test_func = check, .initial_state = c};
        }
    }
    if (argc > 1) { /* one model */
        cmocka_set_test_filter(argv[1]);
    }
    int failed = cmocka_run_group_tests_name("zoo", tests, NULL, NULL);
    unlink(weights_path);
    json_decref(reference);
    return failed;
}
