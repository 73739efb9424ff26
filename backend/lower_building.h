/* Inside the lowering of one kernel: what its parts share. */
#ifndef AIGC_BACKEND_LOWER_BUILDING_H
#define AIGC_BACKEND_LOWER_BUILDING_H

#include "backend/lower.h"

typedef struct building {
    lower l;
    const ir_node *node;
    const ir_graph *body; /* with the kernel's own symbols */
    lower_scope scope;
    const k_buf **operands; /* [inputs of the body] */
    const k_buf **results;  /* [results] */
    VEC(k_nest) nests;
    const k_attention *attention;
    const k_sort *sort;
    VEC(k_buf *) keeps;      /* of products' groups */
    const ir_dim *stored_at; /* by the last step that stores */
    int split;               /* the node's, an axis of the domain */
    int64_t grain;
} building;

/* Steps are added between the two; the nest then stands last among b->nests. */
void lower_begin_nest(building *b);
void lower_end_nest(building *b, uint32_t n_outer, const k_axis *const *outer, int split);

/* Where a result's root is written: itself, or the region of an update. */
typedef struct lower_target {
    const ir_node *value;
    const ir_node *domain;        /* whose axes are the nest's: the value, or what it is made of */
    const ir_type *stored;        /* type of the buffer */
    const ir_dim *const *offsets; /* NULL: from 0 */
} lower_target;
lower_target lower_target_of(const building *b, uint32_t result);
/* Where element `at` of `main` is in a value made of it by elementwise ops, transposes and
 * reshapes. False when n is not such a value. */
bool lower_place_in(building *b, const ir_node *n, const ir_node *main, const ir_dim *const *at,
                    const ir_dim **place);
/* In elements of the buffer; index: of the value. */
const ir_dim *lower_target_place(building *b, const lower_target *t, const ir_dim *const *index);
/* index: of the target's domain. */
void lower_add_store(building *b, uint32_t result, const lower_target *t,
                     const ir_dim *const *index, uint32_t n_axes, const k_axis *const *axes);
/* The body's first node of a family; NULL: it has none. */
const ir_node *lower_find_family(const ir_graph *g, ir_family f);

/* Families: map, contract, conv, pool, and what has no other (lower_nest.c); */
void lower_nest(building *b, const char *kind);
/* reduce; */
void lower_rows(building *b);
/* scan, scatter, sort (lower_order.c); */
void lower_scan(building *b);
void lower_scatter(building *b);
void lower_sort(building *b);
/* attention (lower_attention.c). */
void lower_attention(building *b);
/* A product whose columns are kept by groups of so many (lower_groups.c). */
void lower_groups(building *b, int64_t group);

#endif
