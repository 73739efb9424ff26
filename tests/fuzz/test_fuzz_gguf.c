/* Hostile GGUF files: see test_fuzz_weights.c. */
#include "runtime/io/weights_load.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/weights.h"

enum { F32 = 0, Q4_0 = 2, Q8_0 = 8, Q4_K = 12, Q6_K = 14, IQ2_XXS = 16, BF16 = 30 };

/* Writing
 * ------------------------------------------------------------------------------------------ */

static void put_string(bytes *b, const char *s)
{
    put_int(b, strlen(s), 8);
    put_text(b, s);
}

static bytes begin(uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    bytes b = {0};
    put_text(&b, "GGUF");
    put_int(&b, version, 4);
    put_int(&b, n_tensors, 8);
    put_int(&b, n_values, 8);
    return b;
}

static void put_key(bytes *b, const char *key, uint32_t type)
{
    put_string(b, key);
    put_int(b, type, 4);
}

static void put_array(bytes *b, const char *key, uint32_t type, uint64_t count)
{
    put_key(b, key, GGUF_ARRAY);
    put_int(b, type, 4);
    put_int(b, count, 8);
}

static void put_tensor(bytes *b, const char *name, uint32_t rank, const uint64_t *dims,
                       uint32_t type, uint64_t offset)
{
    put_string(b, name);
    put_int(b, rank, 4);
    for (uint32_t i = 0; i < rank && i < 9; i++) {
        put_int(b, dims[i], 8);
    }
    put_int(b, type, 4);
    put_int(b, offset, 8);
}

static void put_data(bytes *b, size_t n)
{
    put_zeros(b, (32 - b->n % 32) % 32 + n);
}

/* One of everything. */
static bytes good(uint32_t version)
{
    bytes b = begin(version, 5, 8);
    put_key(&b, "general.name", GGUF_STRING);
    put_string(&b, "a name");
    put_key(&b, "general.alignment", GGUF_U32);
    put_int(&b, 32, 4);
    put_key(&b, "k.i8", GGUF_I8);
    put_int(&b, 0xff, 1);
    put_key(&b, "k.f64", GGUF_F64);
    put_int(&b, 0x3ff0000000000000, 8);
    put_key(&b, "k.bool", GGUF_BOOL);
    put_int(&b, 1, 1);
    put_array(&b, "k.words", GGUF_STRING, 3);
    put_string(&b, "one");
    put_string(&b, "");
    put_string(&b, "three");
    put_array(&b, "k.numbers", GGUF_I16, 2);
    put_int(&b, 0x00020001, 4);
    put_array(&b, "k.none", GGUF_F32, 0);
    put_tensor(&b, "a", 2, (const uint64_t[]){3, 2}, F32, 0);
    put_tensor(&b, "q", 2, (const uint64_t[]){64, 2}, Q8_0, 32);
    put_tensor(&b, "h", 1, (const uint64_t[]){4}, BF16, 192);
    put_tensor(&b, "k", 1, (const uint64_t[]){256}, IQ2_XXS, 224);
    put_tensor(&b, "s", 0, NULL, F32, 224);
    put_data(&b, 32 + 160 + 32 + 224);
    return b;
}

/* By hand
 * ------------------------------------------------------------------------------------------ */

/* A file of one value. */
static bytes value(const char *key, uint32_t type, uint64_t v, uint32_t n)
{
    bytes b = begin(3, 0, 1);
    put_key(&b, key, type);
    put_int(&b, v, n);
    put_zeros(&b, 64);
    return b;
}

static bytes array(uint32_t type, uint64_t count)
{
    bytes b = begin(3, 0, 1);
    put_array(&b, "k", type, count);
    put_zeros(&b, 256);
    return b;
}

/* A file of one tensor, with 64 bytes of data. */
static bytes tensor(uint32_t rank, uint64_t x, uint64_t y, uint32_t type, uint64_t offset)
{
    bytes b = begin(3, 1, 0);
    put_tensor(&b, "t", rank, (const uint64_t[]){x, y, 1, 1, 1, 1, 1, 1, 1}, type, offset);
    put_data(&b, 64);
    return b;
}

static bytes two_tensors(uint64_t offset)
{
    bytes b = begin(3, 2, 0);
    put_tensor(&b, "t", 1, (const uint64_t[]){12}, F32, 0);
    put_tensor(&b, "u", 1, (const uint64_t[]){4}, F32, offset);
    put_data(&b, 64);
    return b;
}

static bytes two_names(void)
{
    bytes b = begin(3, 2, 0);
    put_tensor(&b, "t", 1, (const uint64_t[]){4}, F32, 0);
    put_tensor(&b, "t", 1, (const uint64_t[]){4}, F32, 32);
    put_data(&b, 64);
    return b;
}

static bytes two_keys(void)
{
    bytes b = begin(3, 0, 3);
    put_key(&b, "k", GGUF_U8);
    put_int(&b, 1, 1);
    put_key(&b, "kk", GGUF_U8);
    put_int(&b, 1, 1);
    put_key(&b, "k", GGUF_U8);
    put_int(&b, 1, 1);
    return b;
}

static bytes long_key(uint64_t length)
{
    bytes b = begin(3, 0, 1);
    put_int(&b, length, 8);
    put_zeros(&b, 64);
    return b;
}

static bytes string_of(uint64_t length)
{
    bytes b = begin(3, 0, 1);
    put_key(&b, "k", GGUF_STRING);
    put_int(&b, length, 8);
    put_zeros(&b, 64);
    return b;
}

static bytes long_name(uint64_t length)
{
    bytes b = begin(3, 1, 0);
    put_int(&b, length, 8);
    put_zeros(&b, 8192);
    return b;
}

static bytes many(uint64_t n_tensors, uint64_t n_values)
{
    bytes b = begin(3, n_tensors, n_values);
    put_zeros(&b, 256);
    return b;
}

static bytes named(const char *magic, uint32_t version)
{
    bytes b = begin(version, 0, 0);
    memcpy(b.at, magic, 4);
    return b;
}

static void test_by_hand(void **state)
{
    (void)state;
    const uint64_t huge = (uint64_t)1 << 60, top = (uint64_t)1 << 63;
    struct {
        const char *name;
        bytes file;
        const char *words; /* NULL: a good file */
    } cases[] = {
        {"version 2", good(2), NULL},
        {"version 3", good(3), NULL},
        {"nothing in it", begin(3, 0, 0), NULL},
        {"another magic", named("GGML", 3), "not a GGUF file"},
        {"version 1", named("GGUF", 1), "GGUF version 1 is not supported"},
        {"version 4", named("GGUF", 4), "GGUF version 4 is not supported"},
        {"big-endian", named("GGUF", 0x03000000), "is not supported"},
        {"2^60 tensors", many(huge, 0), "do not fit into the file"},
        {"2^60 values", many(0, huge), "do not fit into the file"},
        {"2^64 - 1 of both", many(UINT64_MAX, UINT64_MAX), "do not fit into the file"},
        {"some too many values", many(0, 20), "ends within its metadata"},
        {"keys of no letters", many(0, 15), "key  is there twice"},
        {"some too many tensors", many(11, 0), "ends within its list of tensors"},
        {"names of no letters", many(5, 0), "overlap"},
        {"a key of 2^63 letters", long_key(top), "ends within its metadata"},
        {"a key of 2^64 - 1 letters", long_key(UINT64_MAX), "ends within its metadata"},
        {"a text of 2^63 letters", string_of(top), "ends within its metadata"},
        {"a text of 2^64 - 8 letters", string_of(UINT64_MAX - 7), "ends within its metadata"},
        {"type 13", value("k", 13, 0, 8), "a type that is not known (13)"},
        {"type 2^32 - 1", value("k", UINT32_MAX, 0, 8), "a type that is not known"},
        {"nested arrays", array(GGUF_ARRAY, 1), "a type that is not known (9)"},
        {"an array of unknown type", array(99, 1), "a type that is not known (99)"},
        {"2^60 words", array(GGUF_STRING, huge), "does not fit"},
        {"2^61 doubles", array(GGUF_F64, (uint64_t)1 << 61), "ends within its metadata"},
        {"2^60 doubles", array(GGUF_F64, huge), "ends within its metadata"},
        {"2^64 - 1 bytes", array(GGUF_U8, UINT64_MAX), "ends within its metadata"},
        {"alignment 0", value("general.alignment", GGUF_U32, 0, 4), "an alignment of 0"},
        {"alignment 48", value("general.alignment", GGUF_U32, 48, 4), "an alignment of 48"},
        {"alignment 2^63", value("general.alignment", GGUF_U64, top, 8), "is not possible"},
        {"alignment -1", value("general.alignment", GGUF_I32, UINT32_MAX, 4), "is not possible"},
        {"alignment of text", value("general.alignment", GGUF_STRING, 0, 8), "an alignment of 0"},
        {"the same key twice", two_keys(), "key k is there twice"},
        {"the same tensor twice", two_names(), "tensor t is there twice"},
        {"a name of 2^63 letters", long_name(top), "ends within its list of tensors"},
        {"a name of 5000 letters", long_name(5000), "not well formed"},
        {"10^9 axes", tensor(1000000000, 1, 1, F32, 0), "not well formed"},
        {"nine axes", tensor(9, 1, 1, F32, 0), "not well formed"},
        {"an axis of 2^63", tensor(1, top, 1, F32, 0), "has an axis of size"},
        {"an axis of -1", tensor(1, UINT64_MAX, 1, F32, 0), "has an axis of size"},
        {"sizes of 2^80", tensor(2, (uint64_t)1 << 40, (uint64_t)1 << 40, F32, 0),
         "do not fit its storage f32"},
        {"an axis of 0", tensor(2, 0, (uint64_t)1 << 40, F32, 64), NULL},
        {"a row of 33 in blocks of 32", tensor(2, 33, 1, Q8_0, 0), "do not fit its storage q8_0"},
        {"a scalar in blocks", tensor(0, 0, 0, Q4_0, 0), "do not fit its storage q4_0"},
        {"a row of 288 in blocks of 256", tensor(1, 288, 1, Q4_K, 0),
         "do not fit its storage q4_K"},
        {"half a block of 256", tensor(2, 128, 2, Q6_K, 0), "do not fit its storage q6_K"},
        {"no block of 256", tensor(2, 0, 2, Q6_K, 0), NULL},
        {"a block that is cut short", tensor(1, 256, 1, Q6_K, 0), "lies outside the file"},
        {"2^80 weights in blocks of 256", tensor(2, (uint64_t)1 << 40, (uint64_t)1 << 40, Q6_K, 0),
         "do not fit its storage q6_K"},
        {"an unknown storage", tensor(1, 16, 1, 99, 0), NULL}, /* listed, not loaded */
        {"beyond the file", tensor(1, 17, 1, F32, 0), "lies outside the file"},
        {"an offset beyond the file", tensor(1, 16, 1, F32, 32), "lies outside the file"},
        {"an offset of 2^63", tensor(1, 16, 1, F32, top), "lies outside the file"},
        {"an offset of 2^64 - 32", tensor(1, 16, 1, F32, UINT64_MAX - 31), "lies outside the file"},
        {"an odd offset", tensor(1, 1, 1, F32, 4), "does not begin at a multiple of 32 bytes"},
        {"overlap", two_tensors(32), "tensors t and u overlap"},
        {"the same place", two_tensors(0), "overlap"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_weights(cases[i].name, "t.gguf", &cases[i].file, cases[i].words);
        bytes_free(&cases[i].file);
    }
}

static void test_cut_short(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        bytes b = good(version);
        for (size_t n = 0; n < b.n - 224; n++) { /* iq2_xxs is not known: its size is not checked */
            bytes cut = {b.at, n, n};
            expect_weights("cut short", "t.gguf", &cut, n < 24 ? "not a GGUF file" : "file");
        }
        bytes_free(&b);
    }
}

/* What a model makes of blocks. */
static void test_model(void **state)
{
    (void)state;
    static const char *const no_aliases[] = {NULL};
    static const struct {
        const char *name, *param;
        uint8_t storage, layout;
        int64_t dims[2];
        const char *words;
    } cases[] = {
        {"blocks as they are",         "q", AIGC_Q8_0, AIGC_LAYOUT_ROWS,   {2, 64},  NULL },
        {"blocks to floats",           "q", AIGC_F32,  AIGC_LAYOUT_ROWS,   {2, 64},  NULL },
        {"blocks to panels of floats", "q", AIGC_F32,  AIGC_LAYOUT_PANELS, {2, 64},  NULL },
        {"blocks to bf16",             "q", AIGC_BF16, AIGC_LAYOUT_ROWS,   {2, 64},  NULL },
        {"other blocks",
         "q",                               AIGC_Q4_0,
         AIGC_LAYOUT_ROWS,                                                 {2, 64},
         "compile it with these weights"                                                  },
        {"blocks for whole numbers",
         "q",                               AIGC_I32,
         AIGC_LAYOUT_ROWS,                                                 {2, 64},
         "the model wants i32, the file has q8_0"                                         },
        {"an unknown storage",         "k", AIGC_F32,  AIGC_LAYOUT_ROWS,   {1, 256}, "k: "},
    };
    bytes b = good(3);
    for (uint32_t row = 0, at = (uint32_t)(b.n - (160 + 32 + 224)); row < 4;
         row++, at += 34) { /* scale 1, numbers 0.. */
        b.at[at + 1] = 0x3c;
        for (uint32_t i = 0; i < 32; i++) {
            b.at[at + 2 + i] = (unsigned char)(32 * (row & 1) + i);
        }
    }
    const char *path = fuzz_file("t.gguf", &b);
    bytes_free(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aigc_abi_param p = {.name = cases[i].param,
                            .aliases = no_aliases,
                            .storage = cases[i].storage,
                            .layout = cases[i].layout,
                            .rank = 2,
                            .slots = 1,
                            .panel = 16,
                            .dims = cases[i].dims};
        aigc_abi_model m = {.name = "m", .n_params = 1, .params = &p, .n_slots = 1};
        aigc_error err = {{0}};
        weights_file *f;
        aigc_weights *w;
        assert_int_equal(weights_file_open(path, &f, &err), AIGC_OK);
        aigc_status s = weights_load(&m, f, NULL, &w, &err);
        check_error(s, &err);
        if ((s == AIGC_OK) != !cases[i].words ||
            (cases[i].words && !strstr(err.text, cases[i].words))) {
            fail_msg("%s: expected '%s', found status %d, '%s'", cases[i].name,
                     cases[i].words ? cases[i].words : "success", s, err.text);
        }
        for (uint32_t row = 0; s == AIGC_OK && row < 2 && p.storage == AIGC_F32; row++) {
            for (uint32_t k = 0; k < 64; k++) {
                size_t at = p.layout == AIGC_LAYOUT_PANELS ? k * 16 + row : row * 64 + k;
                assert_true(((const float *)w->slots[0])[at] == (float)k);
            }
        }
        if (s == AIGC_OK) {
            aigc_weights_destroy(w);
        } else {
            weights_file_close(f);
        }
    }
}

static void test_mutants(void **state)
{
    (void)state;
    bytes seeds[] = {good(2), good(3), two_tensors(64), tensor(2, 32, 1, Q8_0, 0),
                     value("general.alignment", GGUF_U32, 64, 4)};
    enum { N_SEEDS = sizeof seeds / sizeof *seeds };
    bytes out = {0};
    uint32_t count = fuzz_count(20000), good_ones = 0;
    for (uint32_t i = 0; i < count; i++) {
        mutate(&out, seeds, N_SEEDS, random_below(N_SEEDS), 600);
        good_ones += open_and_read(fuzz_file("t.gguf", &out), NULL) == AIGC_OK;
    }
    print_message("%u mutants, %u could be opened\n", count, good_ones);
    bytes_free(&out);
    for (uint32_t i = 0; i < N_SEEDS; i++) {
        bytes_free(&seeds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand), cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_model), cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests(tests, fuzz_begin, fuzz_end);
}
