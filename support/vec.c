#include "support/vec.h"

#include <string.h>

void *vec_grow(arena *a, void *at, uint32_t len, uint32_t *cap, size_t element_size)
{
    if (len < *cap) {
        return at;
    }
    uint32_t cap_new = *cap ? *cap * 2 : 8;
    void *bigger = arena_alloc_array(a, cap_new, element_size);
    if (len) {
        memcpy(bigger, at, len * element_size);
    }
    *cap = cap_new;
    return bigger;
}
