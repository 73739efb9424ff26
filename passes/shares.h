/* Which thread touches which element? Facts about the kernels of one graph for partition: what each
 * reads and writes, by index, and whether two of them agree on the thread for every element. */
#ifndef AIGC_PASSES_SHARES_H
#define AIGC_PASSES_SHARES_H

#include "passes/access.h"
#include "passes/values.h"
#include "support/diag.h"
#include "support/vec.h"

/* A division of a kernel's domain: an axis and a grain. axis -1: thread 0 does all. */
typedef struct share {
    int axis;
    int64_t grain;
} share;

typedef struct share_access {
    uint32_t value; /* number in the value table; those updated in place are one */
    bool write;
    bool unknown;                     /* any element may be touched */
    const ir_dim *index[IR_MAX_RANK]; /* in the value's own axes, over the kernel's axes */
} share_access;

typedef struct share_kernel {
    const ir_node *node;
    access_domain domain;
    VEC(share_access) accesses;
    int64_t group;  /* columns of a product's groups, 0: it has none; where it has, */
    int groups;     /* the axis that they lie along, or -1, */
    uint32_t outer; /* and its axes that may be divided, as a mask */
    double work; /* operations at the smallest sizes */
    bool tiny;   /* constant and not worth dividing */
} share_kernel;

/* Fills in everything. `same` maps a value to the first of those that share its buffer. */
void shares_describe(ir_ctx *c, arena *a, const value_table *t, const uint32_t *same,
                     const ir_node *kernel, share_kernel *k);
/* Is every element that x and y both touch touched by one thread? 0: yes, however many threads
 * there are. Else the greatest number N such that it is whenever the number of threads divides N:
 * shares of both then begin and end at the same elements. 1: only where there is one thread. */
int64_t shares_meet(ir_ctx *c, const share_kernel *kx, const share_access *x, share sx,
                    const share_kernel *ky, const share_access *y, share sy);
/* How the units of ky's axis b relate to those of kx's axis a through one value: x's place along
 * the value's axis is cx * a + (0..cx), y's is cy * b + (0..cy). False when they do not. */
bool shares_relate(ir_ctx *c, const share_kernel *kx, const share_access *x, int a,
                   const share_kernel *ky, const share_access *y, int b, int64_t *cx, int64_t *cy);
/* Do the shares and meetings that kernels speak of (IR_ATTR_split, grain, barrier) leave every
 * element to one thread between two meetings? Looks at them without knowing how they were chosen.
 * False, with an error: they do not. */
bool shares_verify(const ir_graph *g, diag *d);
/* The smallest extent an axis may have. */
int64_t shares_least(const ir_dim *d);

#endif
