/* .npy files, versions 1 and 2, C order.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef AIGC_RUNTIME_IO_NPY_H
#define AIGC_RUNTIME_IO_NPY_H

#include "runtime/aigc.h"

/* out->data is allocated (free). Little-endian f8 f4 f2 i8 i4 i2 i1 u1 b1. */
AIGC_MUST_CHECK aigc_status npy_read(const char *path, aigc_tensor *out, aigc_error *err);
/* bf16 is written as f4. */
AIGC_MUST_CHECK aigc_status npy_write(const char *path, const aigc_tensor *t, aigc_error *err);

#endif
