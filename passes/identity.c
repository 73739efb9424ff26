/* Passes that are not there yet change nothing. */
#include "passes/pass.h"

#define IDENTITY(name)                                                                             \
    ir_graph *pass_##name(pass_ctx *c, const ir_graph *g)                                          \
    {                                                                                              \
        (void)c;                                                                                   \
        return ir_graph_clone(g);                                                                  \
    }
#ifndef HAS_canonicalize
IDENTITY(canonicalize)
#endif
#ifndef HAS_fold
IDENTITY(fold)
#endif
#ifndef HAS_cse
IDENTITY(cse)
#endif
#ifndef HAS_dce
IDENTITY(dce)
#endif
#ifndef HAS_fuse_attention
IDENTITY(fuse_attention)
#endif
#ifndef HAS_fuse_softmax
IDENTITY(fuse_softmax)
#endif
#ifndef HAS_fuse_norm
IDENTITY(fuse_norm)
#endif
#ifndef HAS_layout
IDENTITY(layout)
#endif
#ifndef HAS_fuse_epilogue
IDENTITY(fuse_epilogue)
#endif
#ifndef HAS_order
IDENTITY(order)
#endif
#ifndef HAS_partition
IDENTITY(partition)
#endif
#ifndef HAS_plan_memory
IDENTITY(plan_memory)
#endif
