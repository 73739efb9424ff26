/* From a partition of a graph's nodes into groups to a graph of kernel nodes. Used by the passes
 * that decide the groups (fuse_epilogue, fuse_elementwise); docs/kernels.md says what comes out. */
#ifndef AIGC_PASSES_KERNEL_FORM_H
#define AIGC_PASSES_KERNEL_FORM_H

#include "passes/pass.h"
#include "support/vec.h"

/* Values computed by one kernel: its results (roots) and what is evaluated on the way. */
typedef struct form_group {
    const ir_node *main; /* gives the kernel its family, name and place in the source */
    const char *family;  /* NULL: that of main's op */
    VEC(const ir_node *) roots;
    int64_t columns; /* of a product, in the groups that its result is made of; 0: it is not */
    bool *inlined; /* [size] what is evaluated within; NULL: what the plan says for all groups */
} form_group;

typedef struct form_plan {
    const ir_graph *g;
    arena *a;
    VEC(form_group *) groups;
    form_group **group_of; /* [size]: of roots; NULL else */
    bool *inlined;         /* [size]: evaluated within the kernels that need it */
    ir_graph **bodies;     /* [size]: new body of a loop node; NULL: as it is */
    uint32_t *number;      /* counts kernels of the entry; for names */
    /* Nodes that are neither roots nor inlined are copied as they are (fuse_epilogue leaves most
     * nodes alone). */
} form_plan;

form_plan *form_create(const ir_graph *g, arena *a, uint32_t *number);
form_group *form_add(form_plan *p, const ir_node *root);
void form_add_root(form_plan *p, form_group *group, const ir_node *root);
/* The graph with one kernel node a group. Values that nobody needs are dropped. */
ir_graph *form_emit(form_plan *p, ir_stage stage);

/* A constant that belongs into the kernels that use it: one value for all elements. */
bool form_is_immediate(const ir_node *n);

#endif
