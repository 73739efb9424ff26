/* Opening hostile weights: what must hold. */
#ifndef AIGC_TESTS_FUZZ_WEIGHTS_H
#define AIGC_TESTS_FUZZ_WEIGHTS_H

#include "runtime/io/weights_file.h"
#include "tests/fuzz/bytes.h"

static volatile unsigned touched;

static inline void touch(const void *data, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += ((const unsigned char *)data)[i];
    }
    touched = sum;
}

/* All that an opened file lists can be read; a failure has words. */
static inline aigc_status open_and_read(const char *path, aigc_error *why)
{
    static const char *const keys[] = {
        "general.name", "general.alignment", "hidden_size", "aigc.tied", "a.b.c", "k.i8", "k.f64",
        "k.words"};
    weights_file *f;
    aigc_error err = {{0}};
    aigc_status s = weights_file_open(path, &f, &err);
    check_error(s, &err);
    if (why) {
        *why = err;
    }
    if (s != AIGC_OK) {
        assert_null(f);
        return s;
    }
    for (uint32_t i = 0; i < f->n_tensors; i++) {
        const weights_tensor *t = &f->tensors[i];
        assert_true(t->rank <= AIGC_MAX_RANK && t->name && t->storage);
        assert_ptr_equal(weights_file_find(f, t->name), t);
        if (t->dtype != AIGC_DTYPE_NONE) {
            assert_true(t->size_bytes == aigc_tensor_bytes(t->dtype, t->rank, t->dims));
            touch(t->data, (size_t)t->size_bytes);
        }
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        weights_meta m;
        if (weights_file_meta(f, keys[i], &m) && m.kind == WEIGHTS_META_STR) {
            touch(m.s, strlen(m.s));
        }
    }
    weights_file_close(f);
    return s;
}

/* words: in the message; NULL when the file is to be opened. */
static inline void expect_weights(const char *name, const char *file, const bytes *b,
                                  const char *words)
{
    aigc_error err;
    aigc_status s = open_and_read(fuzz_file(file, b), &err);
    if ((s == AIGC_OK) != !words || (words && !strstr(err.text, words))) {
        fail_msg("%s (%s, %zu bytes): expected '%s', found status %d, '%s'", name, file, b->n,
                 words ? words : "success", s, err.text);
    }
}

#endif
