/* The graph itself; for ir/ only. */
#ifndef AIGC_IR_GRAPH_IMPL_H
#define AIGC_IR_GRAPH_IMPL_H

#include "ir/ctx.h"
#include "support/vec.h"

struct ir_graph {
    ir_ctx *ctx;
    arena *a;
    const char *name;
    ir_stage stage;
    VEC(const ir_node *) nodes;
    VEC(const ir_node *) inputs;
    VEC(ir_output) outputs;
    VEC(const ir_sym *) syms;
    uint32_t n_dim_args;
    VEC(ir_condition) conditions;
    const ir_dim *arena_bytes;
    map *interned;                   /* hash -> chain of nodes */
    uint32_t held;                   /* by how many nodes, as a body */
    struct ir_graph *before, *after; /* in ctx->graphs */
};

#endif
