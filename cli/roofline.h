/* What this machine can do at most, measured now: what profiles and the benchmark compare with. */
#ifndef AIGC_CLI_ROOFLINE_H
#define AIGC_CLI_ROOFLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of all threads together, per second; 0 for what the CPU does not have. */
typedef struct roofline {
    double fma_f32;  /* FLOP of fused multiply-adds in f32, a multiplication and an addition each */
    double dot_bf16; /* FLOP of vdpbf16ps */
    double dot_int8; /* operations of vpdpbusd */
    double amx_bf16; /* FLOP of tdpbf16ps */
    double read;     /* bytes read from memory, from arrays of read_bytes a thread */
} roofline;

/* Each of the five is the best of several slices, for `seconds` altogether: other work on the
 * machine only ever makes a slice slower. dots: the dot products and AMX, too. False when there is
 * no memory or no thread. */
bool roofline_measure(uint32_t n_threads, double seconds, size_t read_bytes, bool dots,
                      roofline *out);

#endif
