/* What this machine has. */
#define _GNU_SOURCE
#include "runtime/aigc.h"

#include <sched.h>
#include <unistd.h>

uint32_t aigc_cpu_features(void)
{
    uint32_t mask = 0;
#if defined(__x86_64__)
    __builtin_cpu_init(); /* asks CPUID, and XGETBV for what the system saves */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        mask |= AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C; /* every processor with AVX2 converts f16 */
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        mask |= AIGC_CPU_AVX512;
    }
    if (__builtin_cpu_supports("avx512vnni")) {
        mask |= AIGC_CPU_AVX512_VNNI;
    }
    if (__builtin_cpu_supports("avx512bf16")) {
        mask |= AIGC_CPU_AVX512_BF16;
    }
#endif
    return mask;
}

uint32_t aigc_default_threads(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int n = CPU_COUNT(&set);
        return n > 0 ? (uint32_t)n : 1;
    }
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}
