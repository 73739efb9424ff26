/* Prints as one line of JSON what this machine can do at most: roofline THREADS SECONDS. See
 * cli/roofline.h. */
#include "cli/roofline.h"

#include <stdio.h>
#include <stdlib.h>

static const size_t READ_BYTES = (size_t)512 << 20; /* of one thread: far more than any cache */

int main(int n, char **args)
{
    int threads = n == 3 ? atoi(args[1]) : 0;
    roofline r;
    if (threads < 1) {
        fprintf(stderr, "usage: roofline THREADS SECONDS\n");
        return 2;
    }
    if (!roofline_measure((uint32_t)threads, atof(args[2]), READ_BYTES, true, &r)) {
        fprintf(stderr, "roofline: no memory or no threads\n");
        return 1;
    }
    printf("{\"threads\": %d, \"fma_f32\": %.4g, \"dot_bf16\": %.4g, \"dot_int8\": %.4g, "
           "\"amx_bf16\": %.4g, \"read\": %.4g}\n",
           threads, r.fma_f32, r.dot_bf16, r.dot_int8, r.amx_bf16, r.read);
    return 0;
}
