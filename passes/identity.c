/* Passes that are not there yet change nothing. */
#include "passes/pass.h"

#define IDENTITY(name)                                                                             \
    ir_graph *pass_##name(pass_ctx *c, const ir_graph *g)                                          \
    {                                                                                              \
        (void)c;                                                                                   \
        return ir_graph_clone(g);                                                                  \
    }
#if !__has_include("passes/canonicalize.c")
IDENTITY(canonicalize)
#endif
#if !__has_include("passes/fold.c")
IDENTITY(fold)
#endif
#if !__has_include("passes/cse.c")
IDENTITY(cse)
#endif
#if !__has_include("passes/dce.c")
IDENTITY(dce)
#endif
#if !__has_include("passes/fuse_attention.c")
IDENTITY(fuse_attention)
#endif
#if !__has_include("passes/fuse_softmax.c")
IDENTITY(fuse_softmax)
#endif
#if !__has_include("passes/fuse_norm.c")
IDENTITY(fuse_norm)
#endif
#if !__has_include("passes/layout.c")
IDENTITY(layout)
#endif
#if !__has_include("passes/fuse_epilogue.c")
IDENTITY(fuse_epilogue)
#endif
#if !__has_include("passes/order.c")
IDENTITY(order)
#endif
#if !__has_include("passes/partition.c")
IDENTITY(partition)
#endif
#if !__has_include("passes/plan_memory.c")
IDENTITY(plan_memory)
#endif
