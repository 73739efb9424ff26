/* Growing arrays in an arena. `VEC(int) v = {0}; vec_push(a, &v, 3); v.at[0]; v.len`. Growing
 * leaves the old storage in the arena: fine for lists that live as long as what they describe. */
#ifndef AIGC_SUPPORT_VEC_H
#define AIGC_SUPPORT_VEC_H

#include "support/arena.h"

#include <stdint.h>

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *at;                                                                                  \
        uint32_t len, cap;                                                                         \
    }

/* Room for one more element; returns the storage, grown if need be. Use vec_push. */
void *vec_grow(arena *a, void *at, uint32_t len, uint32_t *cap, size_t element_size);

#define vec_push(a, v, ...)                                                                        \
    ((v)->at = vec_grow((a), (v)->at, (v)->len, &(v)->cap, sizeof *(v)->at),                       \
     (void)((v)->at[(v)->len++] = (__VA_ARGS__)))
#define vec_last(v) ((v)->at[(v)->len - 1])
#define vec_pop(v)  ((v)->at[--(v)->len])

#endif
