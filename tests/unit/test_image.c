/* Linking objects in memory: as LLVM's linker does it, and harmless whatever the bytes. */
#include "backend/codegen.h"
#include "backend/image.h"
#include "cli/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char source[] = "model small() {\n"
                             "  w: f32[24, 40] = normal(0, 1)\n"
                             "  state kept: f32[40]\n"
                             "  entry product(x: f32[T, 24]) -> f32[T, 40] = exp(x @ w)\n"
                             "}\n";

static compiler *c;
static const void *object;
static size_t size;

static int compile(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-imageXXXXXX.aigc";
    int fd = mkstemps(path, 5);
    bool written = fd >= 0 && write(fd, source, sizeof source - 1) == (ssize_t)sizeof source - 1;
    close(fd);
    compile_options o = {.level = 2, .no_cache = true};
    c = compile_create();
    object = written && c && compile_source(c, path, &o) ? compile_object(c, &o, &size) : NULL;
    unlink(path);
    return object ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    compile_destroy(c);
    return 0;
}

static void check_model(const aigc_abi_model *m)
{
    assert_non_null(m);
    assert_int_equal(m->abi_version, AIGC_ABI_VERSION);
    assert_string_equal(m->name, "small");
    assert_int_equal(m->n_entries, 1);
    assert_string_equal(m->entries[0].name, "product");
    const int64_t arg_dims[] = {5, 24};
    int64_t dims[1];
    assert_int_equal(m->entries[0].bind(arg_dims, dims), 0); /* code that runs */
    assert_int_equal(dims[0], 5);
}

static void test_linked(void **state)
{
    (void)state;
#ifdef __x86_64__
    image *m = image_link(object, size);
    assert_non_null(m);
    check_model(image_symbol(m, "small_model"));
    assert_null(image_symbol(m, "other_model"));
    image_destroy(m);
#else
    assert_null(image_link(object, size)); /* left to LLVM */
#endif
}

static void test_by_llvm(void **state)
{
    (void)state;
    const jit_linker *l = &codegen_get(c->d)->link;
    jit_llvm *j = l->create(object, size, "small", c->d);
    assert_non_null(j);
    check_model(l->model(j));
    l->destroy(j);
}

/* Cut anywhere, or with other bytes in its tables: linked or refused. */
static void test_damaged(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (size_t n = 0; n < size; n += 37) {
        unsigned char *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, object, n);
        image_destroy(image_link(copy, n));
        free(copy);
    }
    for (int i = 0; i < 4000; i++) {
        unsigned char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, object, size);
        for (int k = 0; k < 4; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            size_t tail = size / 3, at = k ? size - 1 - (random >> 33) % tail : (random >> 33) % 64;
            copy[at] = (unsigned char)(random >> 25);
        }
        image_destroy(image_link(copy, size));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linked),
        cmocka_unit_test(test_by_llvm),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, compile, end);
}
