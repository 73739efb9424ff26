/* The greatest number that divides both; of 0 and x, x. Both are 0 or more. */
#ifndef AIGC_SUPPORT_DIVISOR_H
#define AIGC_SUPPORT_DIVISOR_H

#include <stdint.h>

static inline int64_t common_divisor(int64_t x, int64_t y)
{
    while (y != 0) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return x;
}

#endif
