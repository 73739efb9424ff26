/* Which elements does a value read? Walks an expression of tensor ops from its result down to what
 * is kept in memory, carrying the index along:
 *
 *     y[i, j] = x.T[i, j] + b[j]     reads x[j, i] and b[j]
 *
 * Indices are dims over symbols: one symbol an axis of the result (access_axis), further ones for
 * axes that are summed over, and opaque ones for places that depend on data. Fusion asks how often
 * a value would be computed, partition whether a thread reads its own share, the planner whether a
 * kernel may write over what it reads. */
#ifndef AIGC_PASSES_ACCESS_H
#define AIGC_PASSES_ACCESS_H

#include "ir/graph.h"
#include "support/map.h"
#include "support/vec.h"

/* One node evaluated at one index. */
typedef struct access_visit {
    const ir_node *node;
    const ir_dim *index[IR_MAX_RANK]; /* [rank of the node's type] */
    uint32_t stage;                   /* 0: for a result; else within the stage of that number */
    bool leaf;                        /* kept in memory: not looked into */
    bool guarded;                     /* under a choice (concat, pad): not always needed */
} access_visit;

typedef struct access {
    arena *a;
    ir_ctx *c;
    /* Is the value read from memory? Inputs, parameters, states always are. NULL: nothing else. */
    bool (*is_leaf)(void *data, const ir_node *n);
    void *data;
    /* Reductions: the axes of the one full shape, and which of them are reduced. rank 0 and mask 0
     * when not known yet: reductions met are then `misaligned`. */
    uint32_t full_rank, mask;
    const ir_dim *full_dims[IR_MAX_RANK];
    const ir_dim *full_index[IR_MAX_RANK];
    /* Places within the parts of a concat are taken for any within their bounds: what is known of
     * them is where they are, not which points of the domain they belong to. */
    bool parts_bounded;
    bool misaligned; /* a reduction was met that does not fit the full shape's axes */

    VEC(access_visit) visits;
    uint32_t stage, n_stages, n_fresh, limit;
    bool guarded;
    map *memo, *stage_of;
    bool overrun; /* more visits than the limit: the answer is incomplete */
} access;

void access_init(access *w, arena *a, ir_ctx *c);
/* The symbol (as a dim) of axis i of a domain; the constant 0 for a size of 1. */
const ir_dim *access_axis(ir_ctx *c, uint32_t i, const ir_dim *extent);
void access_axes(ir_ctx *c, const ir_type *t, const ir_dim **index);
/* Evaluates a value at an index. An `update` at the root (access_root) is what it writes: the index
 * is one of src, and dst is not read. */
void access_walk(access *w, const ir_node *n, const ir_dim *const *index);
void access_root(access *w, const ir_node *n, const ir_dim *const *index);

/* The index of the operand of a reshape from `from` to `to`, at index `at` of the result. */
void access_reshape(ir_ctx *c, const ir_type *to, const ir_type *from, const ir_dim *const *at,
                    const ir_dim **out);
/* An ir_dim_look for those symbols, axes and what depends on data: their names begin with @, and no
 * user's does. data: where the one that is met is put (const ir_sym **), or NULL. */
bool access_is_own(void *data, const ir_sym *s);
/* The same for what depends on data alone. */
bool access_is_opaque(void *data, const ir_sym *s);
/* No division and no data in it. */
bool access_affine(const ir_dim *d);
bool access_same_index(const ir_dim *const *x, const ir_dim *const *y, uint32_t rank);

/* The domain of a formed kernel (docs/kernels.md), found from its body. */
typedef struct access_domain {
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK]; /* the axes' symbols */
    uint32_t mask;                    /* reduced axes: no result has them as its own */
    const ir_node *main;              /* the contract, attention, first reduction; NULL for maps */
    const ir_dim *main_index[IR_MAX_RANK]; /* where it is evaluated (access_kernel alone sets it) */
} access_domain;
void access_kernel_domain(ir_ctx *c, const ir_node *kernel, access_domain *d);
/* Whose axes are the domain's: an output of a body itself; of an update src, or what src is made of,
 * element by element, by casts and the like and by reshapes whose places follow from those before
 * them without a division. rows: a kernel that folds rows. */
const ir_node *access_stored(ir_ctx *c, const ir_node *out, bool rows);
/* The index at which result r of the kernel is written (that of src, for an update's result). */
void access_result_index(ir_ctx *c, const ir_node *kernel, const access_domain *d, uint32_t r,
                         const ir_dim **index);
/* A product whose columns are kept by groups (IR_ATTR_group): which axis of the domain the groups
 * lie along, -1 where there is but one, and which ones are its rows' and its groups'. The others
 * lie within a group. False: the kernel has no groups. */
bool access_groups(ir_ctx *c, const ir_node *kernel, const access_domain *d, int *axis,
                   uint32_t *outer);
/* Walks all results of a formed kernel; leaves are the body's inputs. */
void access_kernel(access *w, const ir_node *kernel, access_domain *d);

/* Axes a REDUCE or NORM op folds, as a mask of axes of its operand. */
uint32_t access_reduced_axes(const ir_node *n);
bool access_is_reduction(const ir_node *n);

#endif
