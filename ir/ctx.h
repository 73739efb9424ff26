/* Inside ir/: the tables that make equal things one. */
#ifndef AIGC_IR_CTX_H
#define AIGC_IR_CTX_H

#include "ir/graph.h"
#include "support/map.h"

struct ir_ctx {
    arena *a;
    intern_table *names;
    map *dims, *atoms, *syms, *types, *data; /* hash -> chain */
    map *texts;                              /* dim -> its text */
    map *signs;                              /* dim -> what ir_dim_sign found */
    map *kept_data;                          /* every ir_data that ir_data_keep returned */
    uint32_t n_dims, n_atoms, n_syms, n_types;
    struct ir_graph *graphs; /* all that live: they go with the arena at the latest */
};

/* Frees all graphs of a context that have not been destroyed. */
void ir_graphs_destroy(void *ctx);

/* A chain of things with one hash. */
typedef struct ir_chain {
    const void *item;
    struct ir_chain *next;
} ir_chain;
void ir_chain_add(arena *a, map *m, uint64_t hash, const void *item);

#endif
