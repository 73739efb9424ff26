#include "runtime/aigc.h"

static const struct {
    const char *name;
    uint8_t bytes;
    uint16_t block;
} dtypes[] = {
    [AIGC_F64] = {"f64",  8,  1 },
      [AIGC_F32] = {"f32",  4,  1 },
      [AIGC_F16] = {"f16",  2,  1 },
    [AIGC_BF16] = {"bf16", 2,  1 },
      [AIGC_I64] = {"i64",  8,  1 },
      [AIGC_I32] = {"i32",  4,  1 },
    [AIGC_I16] = {"i16",  2,  1 },
      [AIGC_I8] = {"i8",   1,  1 },
      [AIGC_U8] = {"u8",   1,  1 },
    [AIGC_BOOL] = {"bool", 1,  1 },
      [AIGC_Q8_0] = {"q8_0", 34, 32},
      [AIGC_Q4_0] = {"q4_0", 18, 32},
      [AIGC_Q4_1] = {"q4_1", 20, 32},
      [AIGC_Q5_0] = {"q5_0", 22, 32},
      [AIGC_Q5_1] = {"q5_1", 24, 32},
      [AIGC_Q2_K] = {"q2_K", 84, 256},
      [AIGC_Q3_K] = {"q3_K", 110, 256},
      [AIGC_Q4_K] = {"q4_K", 144, 256},
      [AIGC_Q5_K] = {"q5_K", 176, 256},
      [AIGC_Q6_K] = {"q6_K", 210, 256},
};

enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

size_t aigc_dtype_bytes(uint8_t dtype)
{
    return dtype < N_DTYPES ? dtypes[dtype].bytes : 0;
}

uint32_t aigc_dtype_block(uint8_t dtype)
{
    return dtype < N_DTYPES && dtypes[dtype].block ? dtypes[dtype].block : 1;
}

const char *aigc_dtype_name(uint8_t dtype)
{
    return dtype < N_DTYPES && dtypes[dtype].name ? dtypes[dtype].name : "unknown";
}

int64_t aigc_tensor_bytes(uint8_t dtype, uint32_t rank, const int64_t *dims)
{
    int64_t n = 1, block = aigc_dtype_block(dtype);
    if (rank > AIGC_MAX_RANK || aigc_dtype_bytes(dtype) == 0) {
        return -1;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (dims[i] < 0 || __builtin_mul_overflow(n, dims[i], &n)) {
            return -1;
        }
    }
    if (block > 1 && (rank == 0 || dims[rank - 1] % block != 0)) {
        return -1;
    }
    int64_t bytes;
    if (__builtin_mul_overflow(n / block, (int64_t)aigc_dtype_bytes(dtype), &bytes) ||
        bytes > (int64_t)1 << 62) {
        return -1;
    }
    return bytes;
}
