/* Packed weights: written and used where they lie; and hostile ones. See test_fuzz_weights.c. */
#define _GNU_SOURCE
#include "runtime/io/weights_load.h"
#include "runtime/io/weights_packed.h"
#include "runtime/pack.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/weights.h"

static const char *const no_aliases[] = {NULL};
static const int64_t two[] = {2};

#define PARAM(n, first, kind, how, r, width, turned, ...)                                          \
    {                                                                                              \
        .name = n, .aliases = no_aliases, .first_slot = first, .slots = 1, .storage = kind,        \
        .layout = how, .rank = r, .panel = width, .pack_transposed = turned,                       \
        .dims = (const int64_t[])                                                                  \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* One of every layout, the blocks made of floats; sizes that do not fill their panels. */
static aigc_abi_param params[] = {
    PARAM("rows", 0, AIGC_F32, AIGC_LAYOUT_ROWS, 1, 0, 0, 3),
    PARAM("halves", 1, AIGC_F16, AIGC_LAYOUT_ROWS, 2, 0, 0, 5, 3),
    PARAM("panels", 2, AIGC_F32, AIGC_LAYOUT_PANELS, 2, 4, 0, 5, 7),
    PARAM("turned", 3, AIGC_BF16, AIGC_LAYOUT_PANELS, 2, 16, 1, 7, 5),
    PARAM("pairs", 4, AIGC_BF16, AIGC_LAYOUT_PAIRS, 2, 4, 0, 3, 9),
    {.name = "layers.{}.w",
                                                               .aliases = no_aliases,
                                                               .n_indices = 1,
                                                               .counts = two,
                                                               .first_slot = 5,
                                                               .slots = 2,
                                                               .storage = AIGC_F32,
                                                               .layout = AIGC_LAYOUT_PANELS,
                                                               .rank = 2,
                                                               .panel = 8,
                                                               .dims = (const int64_t[]){8, 8}},
    PARAM("blocks", 7, AIGC_Q8_0, AIGC_LAYOUT_PANELS, 2, 16, 0, 5, 64),
    PARAM("down", 8, AIGC_Q4_0, AIGC_LAYOUT_PANELS, 2, 16, 1, 32, 17),
    PARAM("taps", 9, AIGC_F32, AIGC_LAYOUT_TAPS, 4, 4, 0, 5, 3, 2, 2),
};
enum { N_PARAMS = sizeof params / sizeof *params, N_SLOTS = 10, MOST_NUMBERS = 32 * 17 };
static const aigc_abi_model model = {
    .name = "m", .n_params = N_PARAMS, .params = params, .n_slots = N_SLOTS};

static char original[256], packed[256];
static bytes good;

static bytes read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    bytes b = {0};
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;) {
        put_int(&b, (uint64_t)c, 1);
    }
    fclose(f);
    return b;
}

static void write_original(void)
{
    static const char *const names[] = {"rows",       "halves",     "panels", "turned", "pairs",
                                        "layers.0.w", "layers.1.w", "blocks", "down",   "taps"};
    static const int64_t dims[][4] = {
        {3 },
        { 5, 3},
        { 5, 7},
        { 7, 5},
        { 3, 9},
        { 8, 8},
        { 8, 8},
        { 5, 64},
        { 32, 17},
        { 5, 3, 2, 2}
    };
    static float numbers[N_SLOTS][MOST_NUMBERS];
    aigc_tensor tensors[N_SLOTS];
    aigc_error err;
    for (uint32_t i = 0; i < N_SLOTS; i++) {
        tensors[i] = (aigc_tensor){.data = numbers[i], .dtype = AIGC_F32};
        memcpy(tensors[i].dims, dims[i], sizeof dims[i]);
        for (; tensors[i].rank < 4 && dims[i][tensors[i].rank]; tensors[i].rank++) {
        }
        for (uint32_t k = 0; k < MOST_NUMBERS; k++) {
            numbers[i][k] = (float)(100 * i + k);
        }
    }
    assert_int_equal(safetensors_write(original, N_SLOTS, names, tensors, &err), AIGC_OK);
}

static aigc_weights *load(const aigc_abi_model *m, const char *path, aigc_error *err)
{
    weights_file *f;
    aigc_weights *w;
    aigc_status s = weights_file_open(path, &f, err);
    check_error(s, err);
    if (s != AIGC_OK) {
        return NULL;
    }
    s = weights_load(m, f, NULL, &w, err);
    check_error(s, err);
    if (s != AIGC_OK) {
        weights_file_close(f);
        return NULL;
    }
    return w;
}

static int begin(void **state)
{
    aigc_error err = {{0}};
    bytes nothing = {0};
    if (fuzz_begin(state) != 0) {
        return -1;
    }
    snprintf(original, sizeof original, "%s", fuzz_file("o.safetensors", &nothing));
    snprintf(packed, sizeof packed, "%s", fuzz_file("p.aigcw", &nothing));
    bytes config = {0};
    put_text(&config, "{\"hidden_size\": 8, \"rope\": {\"theta\": 1e4}, \"kind\": \"small\", "
                      "\"list\": [1], \"untied\": false}");
    (void)fuzz_file("config.json", &config);
    bytes_free(&config);
    write_original();
    weights_packed_source s = {&model, NULL, NULL};
    weights_file *f;
    bool written = weights_file_open(original, &f, &err) == AIGC_OK;
    if (written) {
        s.f = f;
        written = weights_check(&model, f, NULL, &err) == AIGC_OK &&
                  weights_packed_write(&s, packed, &err) == AIGC_OK;
        weights_file_close(f);
    }
    if (!written) {
        print_message("%s\n", err.text);
        return -1;
    }
    good = read_file(packed);
    return 0;
}

static int end(void **state)
{
    bytes_free(&good);
    return fuzz_end(state);
}

/* What kernels see is the same, and nothing was copied. */
static void test_in_place(void **state)
{
    (void)state;
    aigc_error err = {{0}};
    aigc_weights *a = load(&model, original, &err), *b = load(&model, packed, &err);
    assert_true(a && b);
    assert_non_null(a->memory);
    assert_null(b->memory);
    for (uint32_t i = 0; i < N_PARAMS; i++) {
        for (uint32_t k = params[i].first_slot; k < params[i].first_slot + params[i].slots; k++) {
            assert_int_equal((uintptr_t)b->slots[k] % 64, 0);
            assert_memory_equal(a->slots[k], b->slots[k], (size_t)aigc_param_bytes(&params[i]));
        }
    }
    aigc_weights_destroy(a);
    aigc_weights_destroy(b);
}

static void test_metadata(void **state)
{
    (void)state;
    aigc_error err;
    weights_file *f;
    weights_meta m;
    assert_int_equal(weights_file_open(packed, &f, &err), AIGC_OK);
    assert_true(weights_file_meta(f, "hidden_size", &m) && m.kind == WEIGHTS_META_INT && m.i == 8);
    assert_true(weights_file_meta(f, "rope.theta", &m) && m.kind == WEIGHTS_META_FLOAT &&
                m.f == 1e4);
    assert_true(weights_file_meta(f, "kind", &m) && m.kind == WEIGHTS_META_STR &&
                strcmp(m.s, "small") == 0);
    assert_true(weights_file_meta(f, "untied", &m) && m.kind == WEIGHTS_META_BOOL && !m.i);
    assert_true(weights_file_meta(f, "aigc.tied", &m) && m.i == 1);
    assert_false(weights_file_meta(f, "list", &m));
    const weights_tensor *t = weights_file_find(f, "panels");
    assert_true(t && t->dims[0] == 5 && t->dims[1] == 7 && t->layout == AIGC_LAYOUT_PANELS);
    weights_packed_source again = {&model, f, NULL};
    assert_int_equal(weights_packed_write(&again, packed, &err), AIGC_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "packed already"));
    weights_file_close(f);
}

/* Kernels that read otherwise. */
static void test_other_kernels(void **state)
{
    (void)state;
    static const struct {
        uint32_t param;
        uint8_t storage, layout, panel, transposed;
    } cases[] = {
        {2, AIGC_F32,  AIGC_LAYOUT_PANELS, 8,  0},
        {2, AIGC_F32,  AIGC_LAYOUT_ROWS,   0,  0},
        {2, AIGC_BF16, AIGC_LAYOUT_PANELS, 4,  0},
        {4, AIGC_BF16, AIGC_LAYOUT_PANELS, 4,  0},
        {4, AIGC_BF16, AIGC_LAYOUT_PAIRS,  16, 0},
        {5, AIGC_F32,  AIGC_LAYOUT_PANELS, 8,  1},
        {6, AIGC_Q4_0, AIGC_LAYOUT_PANELS, 16, 0},
        {6, AIGC_F32,  AIGC_LAYOUT_PANELS, 16, 0},
        {7, AIGC_Q4_0, AIGC_LAYOUT_PANELS, 16, 0},
        {8, AIGC_F32,  AIGC_LAYOUT_PANELS, 4,  0},
        {8, AIGC_F32,  AIGC_LAYOUT_TAPS,   8,  0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aigc_abi_param kept = params[cases[i].param], *p = &params[cases[i].param];
        p->storage = cases[i].storage;
        p->layout = cases[i].layout;
        p->panel = cases[i].panel;
        p->pack_transposed = cases[i].transposed;
        aigc_error err = {{0}};
        aigc_weights *w = load(&model, packed, &err);
        *p = kept;
        if (w || !strstr(err.text, "pack the original again")) {
            fail_msg("%zu: %s", i, w ? "loaded" : err.text);
        }
    }
}

/* Taps are not told apart by how many numbers there are. */
static void test_other_taps(void **state)
{
    (void)state;
    static const int64_t turned[] = {5, 2, 3, 2};
    aigc_abi_param kept = params[N_PARAMS - 1];
    aigc_error err = {{0}};
    params[N_PARAMS - 1].dims = turned;
    aigc_weights *w = load(&model, packed, &err);
    params[N_PARAMS - 1] = kept;
    assert_null(w);
    assert_non_null(strstr(err.text, "taps"));
}

/* FOLDER/one.safetensors: w of zeros, f32. */
static const char *write_one(const int64_t *dims)
{
    static float numbers[64 * 32];
    static char path[256];
    const char *name = "w";
    bytes nothing = {0};
    aigc_tensor t = {
        numbers, AIGC_F32, 2, {dims[0], dims[1]}
    };
    aigc_error err;
    snprintf(path, sizeof path, "%s", fuzz_file("one.safetensors", &nothing));
    assert_int_equal(safetensors_write(path, 1, &name, &t, &err), AIGC_OK);
    return path;
}

/* Blocks along the last axis of a file are none along the first; and none are of half a block. */
static void test_blocks_of_files(void **state)
{
    (void)state;
    static const struct {
        int64_t dims[2];
        bool in_blocks; /* in the file */
        uint8_t transposed;
        bool fits;
    } cases[] = {
        {{64, 32}, true,  0, true },
        {{64, 32}, true,  1, false},
        {{64, 32}, false, 1, true },
        {{32, 48}, false, 0, false},
        {{48, 32}, false, 1, false},
    };
    char in_blocks[256];
    bytes nothing = {0};
    snprintf(in_blocks, sizeof in_blocks, "%s", fuzz_file("one.aigcw", &nothing));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aigc_abi_param p = PARAM("w", 0, AIGC_Q8_0, AIGC_LAYOUT_ROWS, 2, 0, 0, 0, 0);
        p.dims = cases[i].dims;
        aigc_abi_model m = {.name = "m", .n_params = 1, .params = &p, .n_slots = 1};
        const char *path = write_one(cases[i].dims);
        aigc_error err = {{0}};
        if (cases[i].in_blocks) {
            weights_file *f;
            assert_int_equal(weights_file_open(path, &f, &err), AIGC_OK);
            weights_packed_source s = {&m, f, NULL};
            assert_int_equal(weights_packed_write(&s, in_blocks, &err), AIGC_OK);
            weights_file_close(f);
        }
        p.layout = AIGC_LAYOUT_PANELS;
        p.panel = 16;
        p.pack_transposed = cases[i].transposed;
        aigc_weights *w = load(&m, cases[i].in_blocks ? in_blocks : path, &err);
        if ((w != NULL) != cases[i].fits || (!w && !strstr(err.text, "was compiled for q8_0"))) {
            fail_msg("%zu: %s", i, w ? "loaded" : err.text);
        }
        if (w) {
            aigc_weights_destroy(w);
        }
    }
}

/* The file with one byte of a value replaced: that many behind its key. */
static bytes with_byte(const char *key, size_t behind, unsigned char byte)
{
    bytes b = {0};
    put(&b, good.at, good.n);
    unsigned char *at = memmem(b.at, b.n, key, strlen(key));
    assert_non_null(at);
    at[strlen(key) + behind] = byte;
    return b;
}

static void test_by_hand(void **state)
{
    (void)state;
    enum { SCALAR = 4, ARRAY = 16 }; /* a type; a type, a type and a count */
    struct {
        const char *name;
        bytes file;
        const char *words;
    } cases[] = {
        {"another version",   with_byte("aigc.pack.version",    SCALAR,            1),       "another version of aigc"},
        {"no layouts",        with_byte("aigc.pack.layou",      0,                 'x'),     "layouts of its tensors" },
        {"panels of text",    with_byte("aigc.pack.panel",      4,                 GGUF_I8), "layouts of its tensors" },
        {"an unknown layout", with_byte("aigc.pack.layout",     ARRAY + 2,         9),       "does not fit"           },
        {"rows in panels",    with_byte("aigc.pack.layout",     ARRAY,             1),       "does not fit"           },
        {"panels of none",    with_byte("aigc.pack.panel",      ARRAY + 2,         0),       "does not fit"           },
        {"wide panels",       with_byte("aigc.pack.panel",      ARRAY + 2,         255),     "does not fit"           },
        {"turned twice",      with_byte("aigc.pack.transposed", ARRAY + 2,         2),       "does not fit"           },
        {"too many columns",  with_byte("aigc.pack.dims",       ARRAY + 4 * 8,     9),       "does not fit"           },
        {"negative",          with_byte("aigc.pack.dims",       ARRAY + 4 * 8 + 7, 0x80),    "does not fit"           },
        {"2^62",              with_byte("aigc.pack.dims",       ARRAY + 5 * 8 + 7, 0x40),    "does not fit"           },
        {"unaligned",         with_byte("general.alignment",    SCALAR,            32),      NULL                     }, /* by chance all aligned */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aigc_error err = {{0}};
        weights_file *f;
        aigc_status s = weights_file_open(fuzz_file("t.aigcw", &cases[i].file), &f, &err);
        check_error(s, &err);
        if (cases[i].words && (s == AIGC_OK || !strstr(err.text, cases[i].words))) {
            fail_msg("%s: expected '%s', found status %d, '%s'", cases[i].name, cases[i].words, s,
                     err.text);
        }
        if (s == AIGC_OK) {
            weights_file_close(f);
        }
        bytes_free(&cases[i].file);
    }
}

static bool open_and_use(const bytes *b)
{
    aigc_error err = {{0}};
    aigc_weights *w = load(&model, fuzz_file("t.aigcw", b), &err);
    for (uint32_t i = 0; w && i < N_PARAMS; i++) {
        for (uint32_t k = 0; k < params[i].slots; k++) {
            touch(w->slots[params[i].first_slot + k], (size_t)aigc_param_bytes(&params[i]));
        }
    }
    if (w) {
        aigc_weights_destroy(w);
    }
    return w != NULL;
}

static void test_cut_short(void **state)
{
    (void)state;
    for (size_t n = 0; n + 64 < good.n; n++) {
        bytes cut = {good.at, n, n};
        assert_false(open_and_use(&cut));
    }
}

static void test_mutants(void **state)
{
    (void)state;
    bytes out = {0};
    uint32_t count = fuzz_count(3000), used = 0;
    for (uint32_t i = 0; i < count; i++) {
        mutate(&out, &good, 1, 0, 1400);
        used += open_and_use(&out);
    }
    print_message("%u mutants, %u could be used\n", count, used);
    bytes_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_place),        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_other_kernels),
        cmocka_unit_test(test_other_taps),   cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_blocks_of_files), cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests(tests, begin, end);
}
