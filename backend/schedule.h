/* How a nest is run: which axis lies across lanes, how many points are worked on together. Data,
 * decided apart from the emitters. */
#ifndef AIGC_BACKEND_SCHEDULE_H
#define AIGC_BACKEND_SCHEDULE_H

#include "backend/contract_form.h"
#include "backend/target.h"

typedef enum schedule_lanes {
    SCHEDULE_SCALAR,
    SCHEDULE_INNER, /* the last axis of each step: rows, dot products */
    SCHEDULE_OUTER  /* the last outer axis: points side by side */
} schedule_lanes;

typedef struct schedule {
    schedule_lanes lanes;
    /* Points worked on together along the last two outer axes (with OUTER lanes: vectors of the
     * last). */
    uint32_t jam_rows, jam_cols;
    /* The columns' loop around the rows': a block of columns of the second operand stays in cache
     * while all rows pass by, where the other order would fetch the whole operand for every block
     * of rows. */
    bool cols_first;
    uint32_t unroll; /* accumulators of a reduction along inner lanes */
} schedule;

/* How a product is run. A tile is so many rows by so many vectors of columns, whose sums stay in
 * registers while k runs; a pass over rows takes the highest tiles first. */
typedef struct schedule_product {
    uint32_t vectors;     /* columns of a tile, in vectors */
    uint32_t row_vectors; /* the same where there is one row: streams of weights side by side */
    uint32_t n_heights, heights[8]; /* rows of tiles, descending; the last is 1, but: */
    bool rows_in_tiles;             /* packed rows are tiles of 16, one after the other along k, and
                                     * the last height takes what rows are left */
    uint32_t row_unroll;            /* steps of k in one turn where there is one row; else one */
    int64_t row_bytes;              /* packed rows: from one to the next */
    int64_t block_tiles;            /* highest tiles of rows that are worked on together, about; 0:
                                     * all rows are */
    int64_t most_rows;              /* that a block has */
    int64_t depth;                  /* steps of k that are, where there are several rows; 0: all */
    int64_t most_columns;           /* with a depth: columns whose sums are kept meanwhile */
    int64_t column_bytes;           /* memory for a tile's columns, taken apart; or 0 */
} schedule_product;

/* Has it tiles for such a product? Of bf16 all rows are then multiplied by tiles, as a tile's sums
 * are rounded in an order of their own; but for a result of one row, which dot products make. Of
 * int8, whose sums are exact, blocks of 16 rows are. */
bool schedule_tiles(const contract_form *f, const target *t);

schedule_product schedule_contract(const contract_form *f, const target *t);

/* How attention is run: many queries by tiles with lanes along queries, few with lanes along the
 * elements of keys and values. Which of the two depends on the number of queries alone. */
typedef struct schedule_attention {
    bool tiles;       /* false: always as few queries */
    bool dots;        /* by dot products of pairs of bf16: two steps of a sum at once */
    bool few;         /* may there be so few queries? */
    int64_t most_few; /* queries of a head */
    /* Tiles */
    bool registers;   /* by tile registers */
    uint32_t vectors; /* queries of a block, in vectors */
    uint32_t blocks;  /* of queries that share copies of keys and values, at most */
    uint32_t height;  /* of a tile: keys, then elements of a value */
    uint32_t keys;    /* of a block */
    /* Few queries; heads that share keys and values count as more of them */
    uint32_t rows;         /* of a pass over keys and values */
    uint32_t heights[2];   /* rows of tiles */
    uint32_t tile_keys[2]; /* keys of a tile of so many rows */
    uint32_t widths[2];    /* vectors of a value in a tile */
    uint32_t row_keys;     /* of a block */
} schedule_attention;

schedule_attention schedule_attend(const k_attention *at, const target *t);

schedule schedule_nest(ir_ctx *c, arena *a, const k_nest *n, const target *t);

#endif
