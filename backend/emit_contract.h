/* Inside the emission of products: blocks of rows and what is packed of them are emit_contract.c's,
 * the loops over tiles emit_contract_tiles.c's, what a tile sums and how a row is packed is its
 * kind's. */
#ifndef AIGC_BACKEND_EMIT_CONTRACT_H
#define AIGC_BACKEND_EMIT_CONTRACT_H

#include "backend/emit.h"
#include "backend/emit_tiles.h"
#include "backend/schedule.h"

typedef struct contract_kind contract_kind;

/* Columns that are kept by groups before something is made of them (emit_contract_groups.c). */
typedef struct keep_schedule {
    int64_t columns; /* of a block, which is also from one kept row to the next; 0: none are kept */
    int64_t rows;    /* at a time */
    int64_t one_row; /* columns of a block where there is one row */
} keep_schedule;

typedef struct contract_emitter {
    emit *e;
    const contract_form *f;
    const contract_kind *kind;
    schedule_product s;
    LLVMValueRef v_tile;    /* f32[products][rows][vectors][lanes]: a tile's sums on their way out */
    LLVMValueRef v_packed;  /* [most_rows] rows of row_bytes; NULL: a is read in place */
    LLVMValueRef v_first;   /* the first row of a block */
    LLVMValueRef v_kept;    /* i1: v_packed has all of the thread's rows, from another part; known to
                             * the first of products that are made together, which packs */
    LLVMValueRef v_columns; /* s.column_bytes, or NULL */
    LLVMValueRef v_block;   /* CONTRACT_Q8 by tiles: sums of blocks, and of those before */
    /* With s.depth: the steps of k that are worked on, and where they end, or NULL: all of them;
     * f32[columns][most_rows][products], tile by tile, from v_first_column on; a tile of zeros. */
    LLVMValueRef v_depth[2], v_sums, v_first_column, v_zeros;
    keep_schedule keep;
    LLVMValueRef v_keep;                    /* f32[keep.rows][keep.columns], or NULL */
    LLVMValueRef v_keep_row, v_keep_column; /* the first that are there */
    LLVMValueRef v_keep_tile, v_store_groups; /* functions; NULL: none yet */
    uint32_t first_product;   /* its step */
    LLVMValueRef v_finish[2]; /* functions of the epilogue, under a mask and not; NULL: none yet */
    emit_tiles tiles;         /* where schedule_tiles */
} contract_emitter;

/* A tile at a place: rows x vectors; its only vector may be under a mask. */
typedef struct tile {
    LLVMValueRef v_m, v_n;
    LLVMValueRef v_first, v_last; /* the rows that pass by these columns, and where they end */
    uint32_t rows, vectors;
    LLVMValueRef v_apart; /* one row: columns from a vector to the next, or NULL: side by side */
    LLVMValueRef v_rows; /* NULL, or how many of the rows are the kernel's */
    LLVMValueRef v_mask, v_end; /* the mask and where the columns end, or NULL */
} tile;

struct contract_kind {
    /* Writes the row at the current values of the axes (its statistics are there) to v_row. */
    void (*pack_row)(contract_emitter *q, LLVMValueRef v_row);
    /* Adds to v_sums, f32 vectors [products][rows][vectors]. */
    void (*sum)(contract_emitter *q, const tile *t, LLVMValueRef *v_sums);
    /* NULL, or what the tile's columns need before its rows pass by; v_rows of them. */
    void (*take_columns)(contract_emitter *q, const tile *t, LLVMValueRef v_rows);
    /* NULL, or leaves the sums in v_tile where the tile is one that it is for; else false. */
    bool (*sum_in_memory)(contract_emitter *q, const tile *t);
    /* One row's vectors of so many columns are streams of their own; 0: they lie side by side. */
    uint32_t stream;
    /* NULL, or around all of the kernel's tiles. */
    void (*begin)(contract_emitter *q);
    void (*end)(contract_emitter *q);
};
extern const contract_kind contract_f32, contract_bf16, contract_q8;

typedef struct contract_span {
    LLVMValueRef v_lo, v_hi;
} contract_span;

/* Rows m, at most most_rows of them, by columns n: all of them, or, where they are kept by groups, as
 * many at a time as there is room for. With a depth, those steps of k that v_depth says. */
void contract_run_columns(contract_emitter *q, contract_span m, contract_span n, bool one_row);

/* Parts (emit_contract_parts.c) */
LLVMValueRef contract_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i);
LLVMValueRef contract_plus(emit *e, LLVMValueRef v, int64_t i);
/* How many times `by` it takes to reach v. */
LLVMValueRef contract_rounded_up(emit *e, LLVMValueRef v, int64_t by);
/* A step of k, counted from the first of those that are worked on. */
LLVMValueRef contract_in_depth(contract_emitter *q, LLVMValueRef v_k);
/* The buffer of a product's weights, whatever they are cast to; NULL when they are more than a
 * load. */
const k_buf *contract_weights(const contract_form *f, uint32_t p);
/* Steps of k in one turn: one for several rows, as the next one's loads would take registers from
 * sums. */
uint32_t contract_unroll(const contract_emitter *q, const tile *t);
/* The tile's vector v_vector begins so many columns after its first. */
LLVMValueRef contract_column(contract_emitter *q, const tile *t, uint32_t vector);
/* Lanes along n from the tile's vector v_vector on; and back to scalars. */
void contract_set_column(contract_emitter *q, const tile *t, LLVMValueRef v_vector);
void contract_leave_column(contract_emitter *q);
void contract_set_row(contract_emitter *q, LLVMValueRef v_m);
/* Does one row pass over its columns from the last to the first? See emit_contract_tiles.c. */
LLVMValueRef contract_backwards(contract_emitter *q);
/* Where packed row v_i begins. */
LLVMValueRef contract_packed_row(contract_emitter *q, LLVMValueRef v_i);
/* What a tile asks for while it sums (emit_contract_ahead.c): lines at a step of k ... */
typedef struct contract_lines {
    uint32_t n, each;
    LLVMValueRef v_from[CONTRACT_MOST_PRODUCTS], v_step;
    emit_places results; /* of the tile's first row */
    int64_t row_lines, last_line;
} contract_lines;
/* v_steps of step_bytes are worked on, and begin at v_next[product] of the next columns; a step asks
 * for `each` lines of every product. */
contract_lines contract_lines_of(contract_emitter *q, const tile *t, const LLVMValueRef *v_next,
                                 LLVMValueRef v_steps, int64_t step_bytes, uint32_t each);
/* Also what the epilogue will read and write of the tile, a line of each at a step. */
void contract_lines_of_results(contract_emitter *q, const tile *t, contract_lines *x);
void contract_ask_lines(contract_emitter *q, const contract_lines *x, LLVMValueRef v_step);
/* ... or by tile registers, in quarters. */
typedef struct contract_ahead {
    LLVMValueRef v_quarter, v_tiles; /* the first quarter that it asks for, and how far to the next */
} contract_ahead;
contract_ahead contract_ahead_of(contract_emitter *q, const tile *t);
/* At a step of k: lines of the next columns' weights of this step, line_bytes apart from v_next. */
void contract_ask_weights(contract_emitter *q, const contract_ahead *x, LLVMValueRef v_next,
                          uint32_t lines, int64_t line_bytes);
/* Stores the tile's sums in v_tile by way of the epilogue (emit_contract_finish.c). */
void contract_finish(contract_emitter *q, const tile *t);
/* A function for what becomes of sums, called for every tile or block: n arguments of its own, the
 * first a pointer and the others i64s, whose values come to v; then those of the nest's outer axes. */
enum { CONTRACT_PART_MOST = 16 };
void contract_part_begin(contract_emitter *q, const char *name, uint32_t n, LLVMValueRef *v,
                         emit_part *part);
/* Groups of columns (emit_contract_groups.c) */
keep_schedule contract_keep_schedule(const contract_form *f, const schedule_product *s,
                                     uint32_t lanes);
uint64_t contract_keep_bytes(const keep_schedule *k);
/* Keeps the tile's sums in v_tile. */
void contract_keep(contract_emitter *q, const tile *t);
/* Stores what is made of so many rows and columns that are kept. */
void contract_finish_groups(contract_emitter *q, LLVMValueRef v_rows, LLVMValueRef v_columns);

#endif
