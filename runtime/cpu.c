/* What this machine has. */
#define _GNU_SOURCE
#include "runtime/aigc.h"

#include <sched.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

/* Tiles are more state than the kernel saves unasked: it is asked once, for the whole process
 * (Linux, Documentation/arch/x86/xstate.rst). */
static bool has_tiles(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    uint32_t a, b, c, d;
    bool all = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 24)) && (d & (1u << 22)) &&
               (d & (1u << 25));
#ifdef SYS_arch_prctl
    return all && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has_avx_vnni(void)
{
    uint32_t a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a & (1u << 4));
}
#endif

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

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
    mask |= has_avx_vnni() ? AIGC_CPU_AVX_VNNI : 0;
    mask |= has_tiles() ? AIGC_CPU_AMX : 0;
#endif
#if defined(__aarch64__) && defined(__linux__)
    enum { HWCAP_DOTPROD = 1 << 20 };
    mask |= getauxval(AT_HWCAP) & HWCAP_DOTPROD ? AIGC_CPU_NEON_DOTPROD : 0;
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
