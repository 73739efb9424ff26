/* Inside fuse_elementwise: groups of values that become kernels, while they are put together. */
#ifndef AIGC_PASSES_FUSE_GROUPS_H
#define AIGC_PASSES_FUSE_GROUPS_H

#include "passes/access.h"
#include "passes/fuse_cost.h"
#include "passes/kernel_form.h"

enum { FUSE_MOST_NODES = 96, FUSE_MOST_ROOTS = 8, FUSE_MOST_GROUPS = 16 };

typedef enum group_kind {
    GROUP_MAP,
    GROUP_REDUCE,
    GROUP_PRODUCT,
    GROUP_SCAN,
    GROUP_SOLID
} group_kind;

typedef struct root {
    const ir_node *node;
    const ir_dim *index[IR_MAX_RANK]; /* where it is evaluated; of src, for an update */
} root;

typedef struct group {
    group_kind kind;
    form_group *form;
    VEC(root) roots;
    uint32_t rank; /* the domain: axes of the (first) root */
    const ir_dim *dims[IR_MAX_RANK];
    const ir_dim *index[IR_MAX_RANK];
    uint32_t full_rank, mask; /* GROUP_REDUCE */
    const ir_dim *full_dims[IR_MAX_RANK];
    const ir_dim *full_index[IR_MAX_RANK];
    uint32_t n_nodes;
} group;

typedef struct group_list {
    uint32_t n;
    group *at[FUSE_MOST_GROUPS];
    bool more; /* too many */
} group_list;

typedef struct fuser {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    const ir_graph *g;
    form_plan *p;
    fuse_tree tree;
    VEC(uint32_t) * users; /* [size] of nodes */
    bool *must;            /* [size] needed in memory whatever is fused */
    bool *live;
    group **root_of;     /* [size] */
    group_list **within; /* [size] groups that evaluate the node */
    VEC(group *) groups;
    const group *walking;
} fuser;

/* Groups (fuse_groups.c) ----------------------------------------------------------------------- */

/* Visits what the group's kernel computes, down to what it reads from memory. */
void fuse_walk(fuser *f, const group *k, access *w);
/* Groups that evaluate a user of n. */
group_list fuse_readers(const fuser *f, const ir_node *n);
/* Each of the groups evaluates n, too. */
void fuse_set_within(fuser *f, const ir_node *n, const group_list *l);
/* Says of n and its readers what was decided, with --explain. */
void fuse_explain(const fuser *f, const ir_node *n, const group_list *l, const char *verdict);
group_kind fuse_kind_of(const ir_node *n);
void fuse_new_group(fuser *f, const ir_node *n);
/* n, at that index, becomes a result of the group's. */
void fuse_add_root(fuser *f, group *k, const ir_node *n, const ir_dim *const *index);
/* Would the kernel read, or make, what it is about to update in place? */
bool fuse_reads_updated(const group *k, const ir_node *n);

/* Reductions (fuse_rows.c): can the group evaluate the reduction as one of its stages? If so its
 * domain is set for it. */
bool fuse_take_reduction(fuser *f, group *k, const ir_node *n);

/* Further results (fuse_results.c). Of a reader: worth it only for those who read it besides, as
 * the kernel itself computes it anew wherever it needs it. */
bool fuse_join_as_result(fuser *f, const ir_node *n, const group_list *l);
/* Of a kernel over the same points that reads one of n's operands and does not depend on n: it may
 * make both, and what they share is computed once. */
bool fuse_join_sibling(fuser *f, const ir_node *n, const group_list *l);

#endif
