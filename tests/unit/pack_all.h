/* What tests of packing share. */
#ifndef AIGC_TESTS_PACK_ALL_H
#define AIGC_TESTS_PACK_ALL_H

#include "runtime/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Packs all rows, the last piece first; what is not written shows. */
static inline void *pack_all(const aigc_abi_param *p, uint8_t dtype, const void *data)
{
    int64_t bytes = aigc_param_bytes(p);
    assert_true(bytes >= 0);
    unsigned char *out = malloc((size_t)bytes + 1);
    memset(out, 0xa5, (size_t)bytes + 1);
    aigc_pack_cut cut = aigc_pack_cut_of(p);
    for (int64_t first = (cut.rows - 1) / cut.grain * cut.grain; cut.rows && first >= 0;
         first -= cut.grain) {
        int64_t last = first + cut.grain < cut.rows ? first + cut.grain : cut.rows;
        aigc_pack_rows(p, dtype, data, first, last, out);
    }
    assert_int_equal(out[bytes], 0xa5);
    return out;
}

#endif
