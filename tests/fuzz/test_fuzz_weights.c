/* Hostile weights: safetensors, their index, npy. Whatever a file holds, opening it either
 * succeeds, and then all that is listed can be read, or fails with words. Run with the sanitizers
 * to see more. GGUF: test_fuzz_gguf.c. */
#include "runtime/io/npy.h"
#include "runtime/io/weights_load.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/weights.h"

/* safetensors, by hand
 * ----------------------------------------------------------------------------- */

static bytes safetensors(const char *header, size_t data)
{
    bytes b = {0};
    put_int(&b, strlen(header), 8);
    put_text(&b, header);
    put_zeros(&b, data);
    return b;
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                           "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
                           "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]},"
                           "\"d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[40,40]},"
                           "\"e\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[40,40]}}";
enum { GOOD_DATA = 40 };

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_safetensors_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header, *words; /* words NULL: a good file */
    } cases[] = {
        {"good", good, NULL},
        {"nothing", "{}", NULL},
        {"blanks after", "{}      ", NULL},
        {"an axis of size 0", ONE("F32", "[0,4611686018427387904]", "[0,0]"), NULL},
        {"empty among others",
         "{\"a\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[0],\"data_offsets\":[5,5]}}", NULL},
        {"no JSON", "{\"a\":", "not well formed"},
        {"an array", "[1,2]", "an object is needed"},
        {"zeros", "{\"a\\u0000\":1}", "not well formed"},
        {"no UTF-8", "{\"\xff\":1}", "not well formed"},
        {"something after", "{}x", "not well formed"},
        {"the same name twice", "{\"a\":1,\"a\":1}", "not well formed: duplicate"},
        {"a number for a tensor", "{\"a\":1}", "dtype, shape and data_offsets are needed"},
        {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}",
         "dtype, shape and data_offsets are needed"},
        {"three offsets", ONE("F32", "[1]", "[0,4,8]"), "dtype, shape and data_offsets are needed"},
        {"unknown dtype", ONE("F4", "[1]", "[0,4]"), NULL}, /* listed, not loaded */
        {"a size below 0", ONE("F32", "[-1]", "[0,4]"), "a size is not a number of at least 0"},
        {"a size that is no number", ONE("F32", "[\"1\"]", "[0,4]"),
         "a size is not a number of at least 0"},
        {"a size with a fraction", ONE("F32", "[1.5]", "[0,4]"),
         "a size is not a number of at least 0"},
        {"a size above 2^63", ONE("F32", "[9223372036854775808]", "[0,4]"),
         "not well formed: too big integer"},
        {"nine axes", ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), "has 9 axes; at most 8"},
        {"sizes beyond 2^64", ONE("F32", "[4294967296,4294967296]", "[0,0]"),
         "its shape does not fit"},
        {"sizes beyond 2^63", ONE("F64", "[2305843009213693952]", "[0,0]"),
         "its shape does not fit"},
        {"shape and offsets differ", ONE("F32", "[3]", "[0,16]"),
         "its shape does not fit its 16 bytes"},
        {"offsets reversed", ONE("F32", "[1]", "[8,4]"), "lies outside the file"},
        {"an offset below 0", ONE("F32", "[1]", "[-4,0]"), "lies outside the file"},
        {"beyond the file", ONE("F32", "[11]", "[0,44]"), "lies outside the file"},
        {"far beyond the file", ONE("F32", "[1]", "[9223372036854775800,9223372036854775804]"),
         "lies outside the file"},
        {"overlap",
         "{\"a\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[10],\"data_offsets\":[9,19]}}", "overlap"},
        {"overlap with an empty one between",
         "{\"a\":{\"dtype\":\"U8\",\"shape\":[10],\"data_offsets\":[0,10]},\"b\":{\"dtype\":\"U8\","
         "\"shape\":[0],\"data_offsets\":[5,5]},"
         "\"c\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[6,10]}}", "overlap"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = safetensors(cases[i].header, GOOD_DATA);
        expect_weights(cases[i].name, "t.safetensors", &b, cases[i].words);
        bytes_free(&b);
    }
}

static void test_safetensors_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0,
                                       1,
                                       sizeof good + GOOD_DATA,
                                       (uint64_t)1 << 31,
                                       (uint64_t)1 << 32,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX - 7,
                                       UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bytes b = safetensors(good, GOOD_DATA);
        memcpy(b.at, &lengths[i], 8);
        expect_weights("a header's length", "t.safetensors", &b, "its header does not fit");
        bytes_free(&b);
    }
    bytes whole = safetensors(good, GOOD_DATA);
    for (size_t n = 0; n < whole.n; n++) {
        bytes cut = {whole.at, n, n};
        expect_weights("cut short", "t.safetensors", &cut,
                       n < 8 + sizeof good - 1 ? "its header does not fit"
                                               : "lies outside the file");
    }
    bytes_free(&whole);
    bytes deep = {0};
    put_int(&deep, 200000, 8);
    for (uint32_t i = 0; i < 200000; i++) {
        put_text(&deep, "[");
    }
    expect_weights("nested too deep", "t.safetensors", &deep, "not well formed");
    bytes_free(&deep);
}

/* The index
 * ---------------------------------------------------------------------------------------- */

static void test_index(void **state)
{
    (void)state;
    static const struct {
        const char *name, *index, *words;
    } cases[] = {
        {"good",                  "{\"weight_map\":{\"a\":\"t.safetensors\",\"b\":\"t.safetensors\"}}", NULL                              },
        {"no file named",         "{\"weight_map\":{}}",                                                NULL                              },
        {"no JSON",               "{\"weight_map\":{",                                                  "not an index"                    },
        {"no map",                "{\"weights\":{}}",                                                   "it has no weight_map"            },
        {"a list",                "{\"weight_map\":[\"t.safetensors\"]}",                               "it has no weight_map"            },
        {"the same name twice",
         "{\"weight_map\":{\"a\":\"t.safetensors\",\"a\":\"u.safetensors\"}}",                          "duplicate"                       },
        {"another folder",        "{\"weight_map\":{\"a\":\"../../etc/passwd\"}}",
         "a file's name is not possible"                                                                                                  },
        {"from the root",         "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
         "a file's name is not possible"                                                                                                  },
        {"the folder above",      "{\"weight_map\":{\"a\":\"..\"}}",                                    "not a regular file"              },
        {"the folder",            "{\"weight_map\":{\"a\":\"\"}}",                                      "not a regular file"              },
        {"a number",              "{\"weight_map\":{\"a\":1}}",                                         "a file's name is not possible"   },
        {"a missing file",        "{\"weight_map\":{\"a\":\"missing.safetensors\"}}",
         "missing.safetensors: No such file"                                                                                              },
        {"a tensor in no file",
         "{\"weight_map\":{\"a\":\"t.safetensors\",\"x\":\"t.safetensors\"}}",                          "tensor x is not in t.safetensors"},
        {"itself",                "{\"weight_map\":{\"a\":\"m.index.json\"}}",                          "not a safetensors file"          },
        {"a tensor in two files",
         "{\"weight_map\":{\"a\":\"t.safetensors\",\"b\":\"u.safetensors\"}}",                          "tensor a is there twice"         },
    };
    bytes shard = safetensors(good, GOOD_DATA);
    fuzz_file("t.safetensors", &shard);
    fuzz_file("u.safetensors", &shard);
    bytes_free(&shard);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = {0};
        put_text(&b, cases[i].index);
        expect_weights(cases[i].name, "m.index.json", &b, cases[i].words);
        bytes_free(&b);
    }
}

/* Against a model
 * ---------------------------------------------------------------------------------- */

static void test_model(void **state)
{
    (void)state;
    static const char *const no_aliases[] = {NULL};
    static const struct {
        const char *name, *param;
        uint8_t storage, rank;
        int64_t dims[2];
        const char *words;
    } cases[] = {
        {"all as it should be",      "a", AIGC_F32,  2, {2, 3}, NULL                                      },
        {"another float",            "b", AIGC_F32,  1, {4},    NULL                                      },
        {"missing",                  "x", AIGC_F32,  1, {4},    "x is missing from the file"              },
        {"turned",
         "a",                             AIGC_F32,
         2,                                             {3, 2},
         "the model wants [3, 2], the file has [2, 3] (the transpose)"                                    },
        {"another rank",             "a", AIGC_F32,  1, {6},    "the model wants [6], the file has [2, 3]"},
        {"whole numbers for floats", "d", AIGC_F32,  1, {0},    "the model wants f32, the file has U8"    },
        {"floats for whole numbers",
         "b",                             AIGC_I32,
         1,                                             {4},
         "the model wants i32, the file has BF16"                                                         },
        {"an unknown dtype",         "e", AIGC_F32,  1, {4},    "its storage unknown is not supported"    },
        {"floats for blocks",        "a", AIGC_Q8_0, 2, {2, 3}, "compile it with these weights"           },
    };
    bytes b = safetensors(good, GOOD_DATA);
    const char *path = fuzz_file("t.safetensors", &b);
    bytes_free(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aigc_abi_param p = {.name = cases[i].param,
                            .aliases = no_aliases,
                            .storage = cases[i].storage,
                            .rank = cases[i].rank,
                            .slots = 1,
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
        if (s == AIGC_OK) {
            aigc_weights_destroy(w);
        } else {
            weights_file_close(f);
        }
    }
}

/* npy
 * ---------------------------------------------------------------------------------------------- */

static bytes npy(unsigned version, const char *header, size_t data)
{
    bytes b = {0};
    put_text(&b, "\x93NUMPY");
    put_int(&b, version, 1);
    put_int(&b, 0, 1);
    put_int(&b, strlen(header), version == 1 ? 2 : 4);
    put_text(&b, header);
    put_zeros(&b, data);
    return b;
}

static void expect_npy(const char *name, const bytes *b, const char *words)
{
    aigc_tensor t;
    aigc_error err = {{0}};
    aigc_status s = npy_read(fuzz_file("t.npy", b), &t, &err);
    check_error(s, &err);
    if (words && (s == AIGC_OK) != !*words) {
        fail_msg("%s: expected '%s', found status %d, '%s'", name, words, s, err.text);
    } else if (words && !strstr(err.text, words)) {
        fail_msg("%s: expected '%s', found '%s'", name, words, err.text);
    }
    if (s == AIGC_OK) {
        touch(t.data, (size_t)aigc_tensor_bytes(t.dtype, t.rank, t.dims));
        aigc_status written = npy_write(fuzz_file("u.npy", &(bytes){0}), &t, &err);
        assert_int_equal(written, AIGC_OK);
    }
    free(t.data);
}

#define NPY(descr, order, shape)                                                                   \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }\n"

static void test_npy(void **state)
{
    (void)state;
    static const struct {
        const char *name, *header, *words;
    } cases[] = {
        {"good", NPY("<f4", "False", "(2, 3)"), ""},
        {"a scalar", NPY("<f8", "False", "()"), ""},
        {"one axis", NPY("|u1", "False", "(24,)"), ""},
        {"no elements", NPY("<i8", "False", "(0, 9223372036854775807)"), ""},
        {"no elements, many long axes",
         NPY("|b1", "False",
         "(0, 1000000000000000000, 1000000000000000000, 1000000000000000000, "
             "1000000000000000000, 1000000000000000000, 1000000000000000000, "
             "1000000000000000000)"),
         ""},
        {"no dictionary", "hello", "its element type is not supported"},
        {"objects", NPY("|O", "False", "(1,)"), "its element type is not supported"},
        {"big-endian", NPY(">f4", "False", "(1,)"), "its element type is not supported"},
        {"columns first", NPY("<f4", "True", "(2, 3)"), "only C order"},
        {"no shape", "{'descr': '<f4', 'fortran_order': False}", "it has no shape"},
        {"a shape below 0", NPY("<f4", "False", "(-1,)"), "its shape is not possible"},
        {"a shape of letters", NPY("<f4", "False", "(x,)"), "its shape is not possible"},
        {"a shape above 2^63", NPY("<f4", "False", "(9223372036854775808,)"),
         "its shape is not possible"},
        {"nine axes", NPY("<f4", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"),
         "its shape is not possible"},
        {"an unending shape", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, ",
         "its shape does not end"},
        {"too large", NPY("<f4", "False", "(7,)"), "shorter than its shape says"},
        {"far too large", NPY("<f4", "False", "(4294967296, 4294967296)"),
         "shorter than its shape says"},
        {"2^63 bytes", NPY("<f8", "False", "(1152921504606846976,)"),
         "shorter than its shape says"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned version = 1; version <= 2; version++) {
            bytes b = npy(version, cases[i].header, 24);
            expect_npy(cases[i].name, &b, cases[i].words);
            bytes_free(&b);
        }
    }
    bytes b = npy(1, cases[0].header, 24);
    for (size_t n = 0; n < b.n; n++) {
        bytes cut = {b.at, n, n};
        expect_npy("cut short", &cut,
                   n < b.n - 24 ? "not a .npy file" : "shorter than its shape says");
    }
    b.at[6] = 4;
    expect_npy("version 4", &b, "not a .npy file");
    b.at[6] = 2;
    expect_npy("a header of 2^32", &b, "not a .npy file");
    bytes_free(&b);
}

/* Mutants
 * ------------------------------------------------------------------------------------------ */

static void test_mutants(void **state)
{
    (void)state;
    bytes seeds[] = {safetensors(good, GOOD_DATA),
                     safetensors(ONE("F32", "[1]", "[0,4]"), 4),
                     safetensors("{}", 0),
                     npy(1, NPY("<f4", "False", "(2, 3)"), 24),
                     npy(2, NPY("|u1", "False", "(24,)"), 24),
                     {0}};
    enum { N_SEEDS = sizeof seeds / sizeof *seeds, INDEX = N_SEEDS - 1 };
    put_text(&seeds[INDEX],
             "{\"metadata\":{},\"weight_map\":{\"a\":\"s.safetensors\",\"b\":\"s.safetensors\"}}");
    fuzz_file("s.safetensors", &seeds[0]);
    bytes out = {0};
    uint32_t count = fuzz_count(20000), good_ones = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = random_below(N_SEEDS);
        mutate(&out, seeds, N_SEEDS, which, 400);
        if (which == 3 || which == 4) {
            expect_npy("mutant", &out, NULL);
        } else {
            good_ones +=
                open_and_read(fuzz_file(which == INDEX ? "m.index.json" : "t.safetensors", &out),
                              NULL) == AIGC_OK;
        }
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
        cmocka_unit_test(test_safetensors_headers),
        cmocka_unit_test(test_safetensors_lengths),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_mutants),
    };
    return cmocka_run_group_tests(tests, fuzz_begin, fuzz_end);
}
