/* Products of matrices, by tiles: so many rows by so many vectors of columns are summed up in
 * registers while k runs, and leave through the epilogue.
 *
 *     for rows of a block                     they stay in L2 while all columns pass by
 *         for pieces of k                     all of k, unless rows are long
 *             for columns of a tile           a panel of b stays in L2 while the block passes by
 *                 for rows of a tile          the highest tiles first, then lower ones
 *                     for k: c[r][v] += a[r, k] * b[k, v]
 *                     after the last piece: epilogue(c)
 *
 * One row alone (a token at a time) reads b once, in several streams side by side. Rows that are
 * not read in place are packed first: their statistics, then their values, each row beside the
 * last. Every element is summed in the order of k, whatever tile it is in, so that results depend
 * neither on the number of threads nor on the number of rows. (Tile registers have an order of
 * their own: there one row alone may differ from the same among others.) */
#include "backend/emit_contract.h"

enum { ANY = -1 };

static const contract_kind *const kinds[] = {
    [CONTRACT_F32] = &contract_f32,
    [CONTRACT_BF16] = &contract_bf16,
    [CONTRACT_Q8] = &contract_q8,
};

LLVMValueRef contract_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(e->b, t, v_base, &v_i, 1, "");
}

LLVMValueRef contract_plus(emit *e, LLVMValueRef v, int64_t i)
{
    return i ? LLVMBuildAdd(e->b, v, emit_i64(e, i), "") : v;
}

LLVMValueRef contract_in_depth(contract_emitter *q, LLVMValueRef v_k)
{
    return q->v_depth[0] ? LLVMBuildSub(q->e->b, v_k, q->v_depth[0], "") : v_k;
}

const k_buf *contract_weights(const contract_form *f, uint32_t p)
{
    const k_expr *b = f->b[p];
    while (b->kind == K_CAST) {
        b = b->args[0];
    }
    return b->kind == K_LOAD ? b->buf : NULL;
}

uint32_t contract_unroll(const contract_emitter *q, const tile *t)
{
    return t->rows == 1 ? q->s.row_unroll : 1;
}

LLVMValueRef contract_column(contract_emitter *q, const tile *t, uint32_t vector)
{
    emit *e = q->e;
    LLVMValueRef v_apart = t->v_apart ? t->v_apart : emit_i64(e, e->lanes);
    return LLVMBuildMul(e->b, v_apart, emit_i64(e, vector), "");
}

void contract_set_column(contract_emitter *q, const tile *t, LLVMValueRef v_vector)
{
    emit *e = q->e;
    LLVMValueRef v_by = LLVMBuildMul(e->b, v_vector, emit_i64(e, e->lanes), "");
    e->v_axes[q->f->n->id] = LLVMBuildAdd(e->b, t->v_n, v_by, "");
    e->lane_axis = q->f->n;
    e->v_mask = t->v_mask;
}

void contract_leave_column(contract_emitter *q)
{
    q->e->lane_axis = NULL;
    q->e->v_mask = NULL;
}

void contract_set_row(contract_emitter *q, LLVMValueRef v_m)
{
    if (q->f->m) {
        q->e->v_axes[q->f->m->id] = v_m;
    }
}

/* Tiles ---------------------------------------------------------------------------------------- */

/* The tile's sums go through memory, so that the epilogue is written out once, not for every
 * vector of the tile. */
static void put_sums(contract_emitter *q, uint32_t n, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v_to = contract_at(e, e->f32, q->v_tile, emit_i64(e, (int64_t)i * e->lanes));
        LLVMSetAlignment(LLVMBuildStore(e->b, v_sums[i], v_to), 4 * e->lanes);
    }
}

/* Where the tile's sums are between two pieces of k. */
static LLVMValueRef kept_sums(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    int64_t columns = (int64_t)t->vectors * e->lanes;
    LLVMValueRef v_column = LLVMBuildSub(e->b, t->v_n, q->v_first_column, ""),
                 v_row = LLVMBuildSub(e->b, t->v_m, q->v_first, "");
    v_column = LLVMBuildMul(e->b, v_column, emit_i64(e, q->s.most_rows), "");
    v_row = LLVMBuildMul(e->b, v_row, emit_i64(e, columns), "");
    LLVMValueRef v_at = LLVMBuildAdd(e->b, v_column, v_row, "");
    v_at = LLVMBuildMul(e->b, v_at, emit_i64(e, q->f->n_products), "");
    return contract_at(e, e->f32, q->v_sums, v_at);
}

static LLVMValueRef is_first_piece(contract_emitter *q)
{
    return LLVMBuildICmp(q->e->b, LLVMIntEQ, q->v_depth[0], emit_i64(q->e, 0), "");
}

static LLVMValueRef is_last_piece(contract_emitter *q)
{
    LLVMValueRef v_size = emit_kernel_dim(q->e, q->f->k[0]->extent);
    return LLVMBuildICmp(q->e->b, LLVMIntEQ, q->v_depth[1], v_size, "");
}

/* A piece of k: on from the sums of those before. */
static void run_piece(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    LLVMValueRef v_sums[64], v_tile = q->v_tile;
    uint32_t n = t->rows * t->vectors * q->f->n_products;
    q->v_tile = kept_sums(q, t);
    LLVMValueRef v_from = emit_select(e, is_first_piece(q), q->v_zeros, q->v_tile);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v_ptr = contract_at(e, e->f32, v_from, emit_i64(e, (int64_t)i * e->lanes));
        v_sums[i] = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), v_ptr, "");
        LLVMSetAlignment(v_sums[i], 4 * e->lanes);
    }
    q->kind->sum(q, t, v_sums);
    put_sums(q, n, v_sums);
    emit_if last;
    emit_if_begin(e, &last, is_last_piece(q), "last");
    contract_finish(q, t);
    emit_if_end(e, &last);
    q->v_tile = v_tile;
}

static void finish(contract_emitter *q, const tile *t)
{
    (q->v_keep ? contract_keep : contract_finish)(q, t);
}

/* Vectors that lie apart go through the epilogue one by one. */
static void finish_apart(contract_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    for (uint32_t v = 0; v < t->vectors; v++) {
        LLVMValueRef v_own[CONTRACT_MOST_PRODUCTS];
        for (uint32_t p = 0; p < q->f->n_products; p++) {
            v_own[p] = v_sums[p * t->vectors + v];
        }
        put_sums(q, q->f->n_products, v_own);
        tile one = *t;
        one.vectors = 1;
        one.v_n = LLVMBuildAdd(e->b, t->v_n, contract_column(q, t, v), "");
        finish(q, &one);
    }
}

static void run_tile(contract_emitter *q, const tile *t)
{
    LLVMValueRef v_sums[64];
    uint32_t n = t->rows * t->vectors * q->f->n_products;
    if (q->v_depth[0]) {
        run_piece(q, t);
        return;
    }
    if (!q->kind->sum_in_memory || !q->kind->sum_in_memory(q, t)) {
        for (uint32_t i = 0; i < n; i++) {
            v_sums[i] = LLVMConstNull(emit_vector(q->e, q->e->f32));
        }
        q->kind->sum(q, t, v_sums);
        if (t->v_apart) {
            finish_apart(q, t, v_sums);
            return;
        }
        put_sums(q, n, v_sums);
    }
    finish(q, t);
}

typedef struct span2 {
    LLVMValueRef v_lo, v_hi;
} span2;

/* How many times `by` it takes to reach v. */
static LLVMValueRef rounded_up(emit *e, LLVMValueRef v, int64_t by)
{
    return LLVMBuildSDiv(e->b, contract_plus(e, v, by - 1), emit_i64(e, by), "");
}

/* How many tiles of a height: one fewer where the next height twice is what it and the rest would
 * be. The few sums of a low tile would wait for each other at every step. */
static LLVMValueRef tiles_within(contract_emitter *q, LLVMValueRef v_rows, uint32_t height)
{
    emit *e = q->e;
    uint32_t rows = q->s.heights[height];
    LLVMValueRef v_n = LLVMBuildSDiv(e->b, v_rows, emit_i64(e, rows), "");
    int64_t rest = height + 1 < q->s.n_heights ? 2 * (int64_t)q->s.heights[height + 1] - rows : 0;
    if (rest <= 0) {
        return v_n;
    }
    LLVMValueRef v_rest = LLVMBuildSRem(e->b, v_rows, emit_i64(e, rows), "");
    LLVMValueRef v_such = LLVMBuildICmp(e->b, LLVMIntEQ, v_rest, emit_i64(e, rest), "");
    LLVMValueRef v_any = LLVMBuildICmp(e->b, LLVMIntSGT, v_n, emit_i64(e, 0), "");
    v_such = LLVMBuildZExt(e->b, LLVMBuildAnd(e->b, v_such, v_any, ""), e->i64, "");
    return LLVMBuildSub(e->b, v_n, v_such, "");
}

static void take_columns(contract_emitter *q, span2 m, const tile *t)
{
    if (q->kind->take_columns) {
        q->kind->take_columns(q, t, LLVMBuildSub(q->e->b, m.v_hi, m.v_lo, ""));
    }
}

/* Rows of one tile's columns: the highest tiles as long as they fit, then the next. A last one that
 * is filled partly sums what lies in memory beyond its rows, and stores nothing of it. */
static void run_rows(contract_emitter *q, span2 m, tile t)
{
    emit *e = q->e;
    LLVMValueRef v_at = m.v_lo;
    take_columns(q, m, &t);
    for (uint32_t i = 0; i < q->s.n_heights; i++) {
        t.rows = q->s.heights[i];
        LLVMValueRef v_left = LLVMBuildSub(e->b, m.v_hi, v_at, "");
        bool partly = q->s.rows_in_tiles && i + 1 == q->s.n_heights;
        LLVMValueRef v_n = partly ? rounded_up(e, v_left, t.rows) : tiles_within(q, v_left, i);
        LLVMValueRef v_to =
            LLVMBuildAdd(e->b, v_at, LLVMBuildMul(e->b, v_n, emit_i64(e, t.rows), ""), "");
        emit_loop l;
        emit_loop_begin(e, &l, "m", v_at, v_to, emit_i64(e, t.rows), 0, NULL);
        t.v_m = l.v_i;
        t.v_rows = partly ? emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, m.v_hi, l.v_i, ""),
                                            emit_i64(e, t.rows))
                          : NULL;
        run_tile(q, &t);
        emit_loop_end(e, &l, NULL);
        v_at = v_to;
    }
}

LLVMValueRef contract_backwards(contract_emitter *q)
{
    return LLVMBuildTrunc(q->e->b, q->e->v_turn, q->e->i1, "");
}

/* One row's streams lie apart where each vector is one: every stream then goes on for as long as
 * the columns do, where it would else end with a tile and begin elsewhere. Measured on Zen 5,
 * weights of q4_0 with K = 2048, 18 KiB a panel: a plain loop reads 12 % faster so, a Llama 1.1B
 * token on one core takes 9 % less. Where rows are short, calls of the epilogue, one a vector, cost
 * more than that (15M on one core: 8 to 22 %). */
static void place_streams(contract_emitter *q, LLVMValueRef v_lo, LLVMValueRef v_to, tile *t)
{
    enum { LONG = 2048 };
    emit *e = q->e;
    bool streams = q->kind->stream == e->lanes && t->vectors > 1;
    if (!streams || ir_dim_value(q->f->k[0]->extent) < LONG) {
        return;
    }
    LLVMValueRef v_vectors = emit_i64(e, t->vectors);
    LLVMValueRef v_done = LLVMBuildSub(e->b, t->v_n, v_lo, "");
    t->v_n = LLVMBuildAdd(e->b, v_lo, LLVMBuildUDiv(e->b, v_done, v_vectors, ""), "");
    t->v_apart = LLVMBuildUDiv(e->b, LLVMBuildSub(e->b, v_to, v_lo, ""), v_vectors, "apart");
}

/* Columns by blocks of so many vectors; returns where they end. One row goes backwards in every
 * other turn of a loop: of weights that are read in every turn and are more than a cache holds, it
 * begins with what the last turn has left there. */
static LLVMValueRef run_columns(contract_emitter *q, span2 m, LLVMValueRef v_lo, LLVMValueRef v_hi,
                                uint32_t vectors, bool one_row)
{
    emit *e = q->e;
    int64_t by = (int64_t)vectors * e->lanes;
    LLVMValueRef v_left =
        emit_intrinsic2(e, "llvm.smax", LLVMBuildSub(e->b, v_hi, v_lo, ""), emit_i64(e, 0));
    LLVMValueRef v_n = LLVMBuildSDiv(e->b, v_left, emit_i64(e, by), "");
    LLVMValueRef v_to = LLVMBuildAdd(e->b, v_lo, LLVMBuildMul(e->b, v_n, emit_i64(e, by), ""), "");
    emit_loop l;
    emit_loop_begin(e, &l, "n", v_lo, v_to, emit_i64(e, by), 0, NULL);
    tile t = {.v_m = m.v_lo,
              .v_first = m.v_lo,
              .v_last = m.v_hi,
              .v_n = l.v_i,
              .rows = 1,
              .vectors = vectors};
    if (one_row) {
        LLVMValueRef v_last = LLVMBuildSub(e->b, v_to, emit_i64(e, by), "");
        LLVMValueRef v_back = LLVMBuildSub(e->b, LLVMBuildAdd(e->b, v_lo, v_last, ""), l.v_i, "");
        t.v_n = emit_select(e, contract_backwards(q), v_back, l.v_i);
        place_streams(q, v_lo, v_to, &t);
        run_tile(q, &t);
    } else {
        run_rows(q, m, t);
    }
    emit_loop_end(e, &l, NULL);
    return v_to;
}

/* What is left of the columns, a vector at a time. */
static void run_last_columns(contract_emitter *q, span2 m, span2 n, bool one_row)
{
    emit *e = q->e;
    emit_loop l;
    emit_loop_begin(e, &l, "rest", n.v_lo, n.v_hi, emit_i64(e, e->lanes), 0, NULL);
    tile t = {.v_m = m.v_lo,
              .v_first = m.v_lo,
              .v_last = m.v_hi,
              .v_n = l.v_i,
              .rows = 1,
              .vectors = 1,
              .v_end = n.v_hi,
              .v_mask = emit_lanes_below(e, l.v_i, n.v_hi)};
    if (one_row) {
        run_tile(q, &t);
    } else {
        run_rows(q, m, t);
    }
    emit_loop_end(e, &l, NULL);
}

static bool columns_fit(const contract_emitter *q, int64_t by)
{
    bool whole = ir_dim_is_const(q->f->n->extent) && ir_dim_value(q->f->n->extent) % by == 0;
    return whole && contract_shares_at(q->f, by);
}

/* A part of a share may be half a tile: fewer streams than that wait for memory. */
static void run_one_row(contract_emitter *q, span2 m, span2 n)
{
    uint32_t lanes = q->e->lanes, wide = q->s.row_vectors, narrow = q->s.vectors;
    LLVMValueRef v_at = n.v_lo;
    for (uint32_t vectors = wide; vectors; vectors = vectors > narrow ? vectors / 2 : 0) {
        if (vectors == wide || !columns_fit(q, 2 * (int64_t)vectors * lanes)) {
            v_at = run_columns(q, m, v_at, n.v_hi, vectors, true);
        }
    }
    if (!columns_fit(q, (int64_t)narrow * lanes)) {
        run_last_columns(q, m, (span2){v_at, n.v_hi}, true);
    }
}

static void run_many_rows(contract_emitter *q, span2 m, span2 n)
{
    LLVMValueRef v_at = run_columns(q, m, n.v_lo, n.v_hi, q->s.vectors, false);
    if (!columns_fit(q, (int64_t)q->s.vectors * q->e->lanes)) {
        run_last_columns(q, m, (span2){v_at, n.v_hi}, false);
    }
}

/* All columns, or, where they are kept by groups, as many at a time as there is room for. */
static void run_groups(contract_emitter *q, span2 m, span2 n, bool one_row)
{
    emit *e = q->e;
    void (*run)(contract_emitter *, span2, span2) = one_row ? run_one_row : run_many_rows;
    if (!q->v_keep) {
        run(q, m, n);
        return;
    }
    LLVMValueRef v_by = emit_i64(e, one_row ? q->keep.one_row : q->keep.columns);
    emit_loop l;
    emit_loop_begin(e, &l, "block", n.v_lo, n.v_hi, v_by, 0, NULL);
    span2 block = {l.v_i,
                   emit_intrinsic2(e, "llvm.smin", LLVMBuildAdd(e->b, l.v_i, v_by, ""), n.v_hi)};
    q->v_keep_row = m.v_lo;
    q->v_keep_column = block.v_lo;
    run(q, m, block);
    LLVMValueRef v_rows = LLVMBuildSub(e->b, m.v_hi, m.v_lo, "");
    contract_finish_groups(q, v_rows, LLVMBuildSub(e->b, block.v_hi, block.v_lo, ""));
    emit_loop_end(e, &l, NULL);
}

/* Packing -------------------------------------------------------------------------------------- */

LLVMValueRef contract_packed_row(contract_emitter *q, LLVMValueRef v_i)
{
    emit *e = q->e;
    LLVMValueRef v_row_bytes = emit_i64(e, q->s.row_bytes);
    if (!q->s.rows_in_tiles) {
        return contract_at(e, e->i8, q->v_packed, LLVMBuildMul(e->b, v_i, v_row_bytes, ""));
    }
    LLVMValueRef v_within = LLVMBuildAnd(e->b, v_i, emit_i64(e, TILE_ROWS - 1), "");
    LLVMValueRef v_first = LLVMBuildSub(e->b, v_i, v_within, "");
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_first, v_row_bytes, "");
    v_within = LLVMBuildMul(e->b, v_within, emit_i64(e, TILE_BYTES), "");
    return contract_at(e, e->i8, q->v_packed, LLVMBuildAdd(e->b, v_at, v_within, ""));
}

/* Rows m.v_lo ... m.v_hi, at most most_rows of them, to v_packed. */
static void pack_rows(contract_emitter *q, span2 m)
{
    emit *e = q->e;
    emit_loop l;
    emit_loop_begin(e, &l, "packed", m.v_lo, m.v_hi, emit_i64(e, 1), 0, NULL);
    contract_set_row(q, l.v_i);
    emit_row_steps(e, q->f->nest, q->f->n_row_steps);
    LLVMValueRef v_row = LLVMBuildSub(e->b, l.v_i, m.v_lo, "");
    q->kind->pack_row(q, contract_packed_row(q, v_row));
    emit_loop_end(e, &l, NULL);
}

/* Blocks of rows have no more than are kept: at most half more tiles than they should. */
static schedule_product schedule_of(emit *e, const contract_form *f, keep_schedule *keep)
{
    schedule_product s = schedule_contract(f, e->t);
    *keep = (keep_schedule){0};
    if (f->keep) {
        *keep = contract_keep_schedule(f, &s, e->lanes);
        int64_t fit = (2 * (keep->rows / s.heights[0]) + 2) / 3;
        s.block_tiles = s.block_tiles && s.block_tiles < fit ? s.block_tiles : fit;
        s.most_rows = s.most_rows && s.most_rows < keep->rows ? s.most_rows : keep->rows;
    }
    return s;
}

/* Rows that scratch memory holds from one part of the kernel to the next: those of one block, as of
 * more the last ones are left; of long ones, packed piece by piece, one row. */
static int64_t rows_kept(const contract_form *f, const schedule_product *s)
{
    bool batch = f->nest->n_outer > (f->m ? 2u : 1u);
    int64_t whole = s->depth ? 1 : s->block_tiles * s->heights[0];
    return f->in_place ? ANY : batch ? 0 : whole;
}

part_costs emit_contract_parts(emit *e, const k_nest *n)
{
    contract_form f;
    if (n->conv || n->pool || !contract_form_of(e->c, e->a, n, e->t, &f) ||
        !contract_is_column(&f, n->outer[n->split])) {
        return (part_costs){.rows = ANY, .columns = 1};
    }
    keep_schedule keep;
    schedule_product s = schedule_of(e, &f, &keep);
    int64_t half = s.row_vectors / 2, columns = (half > s.vectors ? half : s.vectors) * e->lanes;
    int64_t group = f.keep ? f.keep->group : 1;
    return (part_costs){
        .m = f.m, .rows = rows_kept(&f, &s), .columns = (columns + group - 1) / group};
}

/* Does the thread's scratch memory hold the rows already, from another part of this kernel? */
static LLVMValueRef rows_are_packed(contract_emitter *q, span2 m)
{
    emit *e = q->e;
    const k_nest *n = q->f->nest;
    int64_t kept = rows_kept(q->f, &q->s);
    if (kept <= 0 || n->split < 0 || !contract_is_column(q->f, n->outer[n->split])) {
        return LLVMConstInt(e->i1, 0, false);
    }
    LLVMValueRef v_rows = LLVMBuildSub(e->b, m.v_hi, m.v_lo, "");
    LLVMValueRef v_few = LLVMBuildICmp(e->b, LLVMIntSLE, v_rows, emit_i64(e, kept), "");
    return LLVMBuildAnd(e->b, v_few, LLVMBuildIsNotNull(e->b, e->v_again, ""), "packed_already");
}

/* Whole rows, unless they are there. */
static void pack_whole_rows(contract_emitter *q, span2 m)
{
    emit_if fresh;
    emit_if_begin(q->e, &fresh, LLVMBuildNot(q->e->b, q->v_kept, ""), "fresh");
    pack_rows(q, m);
    emit_if_end(q->e, &fresh);
}

/* Blocks --------------------------------------------------------------------------------------- */

/* Piece by piece of k; the sums of as many columns as there is memory for are kept meanwhile. */
static void run_pieces(contract_emitter *q, span2 m, span2 n)
{
    emit *e = q->e;
    emit_loop columns, piece;
    LLVMValueRef v_size = emit_kernel_dim(e, q->f->k[0]->extent);
    emit_loop_begin(e, &columns, "columns", n.v_lo, n.v_hi, emit_i64(e, q->s.most_columns), 0,
                    NULL);
    span2 here = {columns.v_i, contract_plus(e, columns.v_i, q->s.most_columns)};
    here.v_hi = emit_intrinsic2(e, "llvm.smin", here.v_hi, n.v_hi);
    q->v_first_column = here.v_lo;
    emit_loop_begin(e, &piece, "piece", emit_i64(e, 0), v_size, emit_i64(e, q->s.depth), 0, NULL);
    LLVMValueRef v_end = contract_plus(e, piece.v_i, q->s.depth);
    q->v_depth[0] = piece.v_i;
    q->v_depth[1] = emit_intrinsic2(e, "llvm.smin", v_end, v_size);
    if (!q->f->in_place) {
        pack_rows(q, m);
    }
    run_many_rows(q, m, here);
    q->v_depth[0] = q->v_depth[1] = NULL;
    emit_loop_end(e, &piece, NULL);
    emit_loop_end(e, &columns, NULL);
}

/* Products that are made together: of the same rows, which the first one packs for all. */
typedef struct product_team {
    uint32_t n;
    contract_emitter *q;
} product_team;

static void run_columns_of_all(const product_team *all, span2 m, const span2 *n, bool one_row)
{
    for (uint32_t i = 0; i < all->n; i++) {
        run_groups(&all->q[i], m, n[i], one_row);
    }
}

static void run_block(const product_team *all, span2 m, const span2 *n)
{
    contract_emitter *q = all->q;
    emit *e = q->e;
    const ir_dim *rows = q->f->m ? q->f->m->extent : NULL;
    bool packs = !q->f->in_place, deep = q->s.depth > 0;
    if (packs && !deep) {
        pack_whole_rows(q, m);
    }
    if (!rows) {
        run_columns_of_all(all, m, n, true);
        return;
    }
    emit_if f;
    LLVMValueRef v_rows = q->s.rows_in_tiles ? emit_kernel_dim(e, rows) /* whoever has them */
                                             : LLVMBuildSub(e->b, m.v_hi, m.v_lo, "");
    LLVMValueRef v_one = LLVMBuildICmp(e->b, LLVMIntEQ, v_rows, emit_i64(e, 1), "");
    emit_if_begin(e, &f, v_one, "one_row");
    if (packs && deep) {
        pack_whole_rows(q, m);
    }
    run_columns_of_all(all, m, n, true);
    emit_if_end(e, &f);
    emit_if_begin(e, &f, LLVMBuildNot(e->b, v_one, ""), "rows");
    for (uint32_t i = 0; i < all->n && deep; i++) {
        run_pieces(&q[i], m, n[i]);
    }
    if (!deep) {
        run_columns_of_all(all, m, n, false);
    }
    emit_if_end(e, &f);
}

static int64_t packed_bytes(const contract_emitter *q)
{
    int64_t rows = q->f->in_place ? 0 : q->s.most_rows * q->s.row_bytes;
    int64_t whole = q->s.depth && rows ? ir_dim_value(q->f->k[0]->extent) * 4 : 0;
    return ((rows < whole ? whole : rows) + TILE_BYTES - 1) & -TILE_BYTES;
}

static int64_t sum_bytes(const contract_emitter *q)
{
    return q->s.depth ? q->s.most_rows * q->s.most_columns * q->f->n_products * 4 : 0;
}

/* Scratch memory: packed rows, or a whole one where it is alone; then, of one product at a time, a
 * tile's columns; sums; columns that are kept. */
static void take_scratch(const product_team *all)
{
    emit *e = all->q->e;
    int64_t rows = packed_bytes(all->q), most = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        const contract_emitter *q = &all->q[i];
        int64_t kept = q->f->keep ? (int64_t)contract_keep_bytes(&q->keep) : 0;
        int64_t own = q->s.column_bytes + sum_bytes(q) + kept;
        most = own > most ? own : most;
    }
    if (rows + most == 0) {
        return;
    }
    LLVMValueRef v = emit_scratch(e, (uint64_t)(rows + most));
    for (uint32_t i = 0; i < all->n; i++) {
        contract_emitter *q = &all->q[i];
        int64_t at = rows + q->s.column_bytes;
        q->v_packed = q->f->in_place ? NULL : v;
        q->v_columns = contract_at(e, e->i8, v, emit_i64(e, rows));
        q->v_sums = contract_at(e, e->i8, v, emit_i64(e, at));
        at += sum_bytes(q);
        q->v_keep = q->f->keep ? contract_at(e, e->i8, v, emit_i64(e, at)) : NULL;
    }
}

/* All rows by blocks of tiles, of which all have as many but for one. No rows are no block: a
 * thread without rows may be among those whose kernel has one. */
static void run_blocks(const product_team *all, span2 m, const span2 *n)
{
    contract_emitter *q = all->q;
    emit *e = q->e;
    int64_t tall = q->s.heights[0], each = q->s.block_tiles;
    LLVMValueRef v_rows = LLVMBuildSub(e->b, m.v_hi, m.v_lo, ""),
                 v_tiles = rounded_up(e, v_rows, tall);
    LLVMValueRef v_blocks = contract_plus(e, v_tiles, each / 2);
    v_blocks = LLVMBuildSDiv(e->b, v_blocks, emit_i64(e, each), "");
    LLVMValueRef v_any = emit_intrinsic2(e, "llvm.smin", v_tiles, emit_i64(e, 1));
    v_blocks = emit_intrinsic2(e, "llvm.smax", v_blocks, v_any);
    q->v_kept = rows_are_packed(q, m);
    emit_loop l;
    emit_loop_begin(e, &l, "block", emit_i64(e, 0), v_blocks, emit_i64(e, 1), 0, NULL);
    LLVMValueRef v_at[2];
    for (uint32_t i = 0; i < 2; i++) {
        LLVMValueRef v = LLVMBuildMul(e->b, v_tiles, contract_plus(e, l.v_i, i), "");
        v = LLVMBuildMul(e->b, LLVMBuildSDiv(e->b, v, v_blocks, ""), emit_i64(e, tall), "");
        v_at[i] = LLVMBuildAdd(e->b, m.v_lo, emit_intrinsic2(e, "llvm.smin", v, v_rows), "");
    }
    for (uint32_t i = 0; i < all->n; i++) {
        all->q[i].v_first = v_at[0];
    }
    run_block(all, (span2){v_at[0], v_at[1]}, n);
    emit_loop_end(e, &l, NULL);
}

/* Outer axes ----------------------------------------------------------------------------------- */

static span2 axis_span(contract_emitter *q, const k_axis *axis)
{
    emit *e = q->e;
    const k_nest *n = q->f->nest;
    const k_axis *split = n->split >= 0 ? n->outer[n->split] : NULL;
    span2 s = {emit_i64(e, 0), axis ? emit_kernel_dim(e, axis->extent) : emit_i64(e, 1)};
    if (axis && axis == split) {
        emit_share(e, s.v_hi, n->grain, &s.v_lo, &s.v_hi);
    } else if (split && axis == q->f->n && contract_is_column(q->f, split)) { /* whole groups */
        LLVMValueRef v_group = emit_i64(e, q->f->keep->group);
        emit_share(e, emit_kernel_dim(e, split->extent), n->grain, &s.v_lo, &s.v_hi);
        s.v_lo = LLVMBuildMul(e->b, s.v_lo, v_group, "");
        s.v_hi = LLVMBuildMul(e->b, s.v_hi, v_group, "");
    }
    return s;
}

static void run_outer(const product_team *all, uint32_t depth)
{
    contract_emitter *q = all->q;
    emit *e = q->e;
    const k_axis *axis = contract_batch_axis(q->f, depth);
    if (!axis) {
        span2 m = axis_span(q, q->f->m), n[CONTRACT_MOST_TOGETHER];
        for (uint32_t i = 0; i < all->n; i++) {
            n[i] = axis_span(&q[i], q[i].f->n);
        }
        (q->s.block_tiles ? run_blocks : run_block)(all, m, n);
        return;
    }
    span2 s = axis_span(q, axis);
    emit_loop l;
    emit_loop_begin(e, &l, axis->name, s.v_lo, s.v_hi, emit_i64(e, 1), 0, NULL);
    for (uint32_t i = 0; i < all->n; i++) {
        e->v_axes[contract_batch_axis(q[i].f, depth)->id] = l.v_i;
    }
    run_outer(all, depth + 1);
    emit_loop_end(e, &l, NULL);
}

static void run_shares(const product_team *all)
{
    emit *e = all->q->e;
    if (all->q->f->nest->split >= 0) {
        run_outer(all, 0);
        return;
    }
    emit_if only;
    emit_alone_begin(e, &only);
    run_outer(all, 0);
    emit_if_end(e, &only);
}

static void take_zeros(contract_emitter *q, uint32_t vectors)
{
    emit *e = q->e;
    q->v_zeros = LLVMBuildArrayAlloca(e->b, e->f32, emit_i64(e, vectors * e->lanes), "zeros");
    LLVMSetAlignment(q->v_zeros, 64);
    for (uint32_t i = 0; i < vectors; i++) {
        LLVMValueRef v_at = emit_i64(e, (int64_t)i * e->lanes);
        LLVMValueRef v_zero = LLVMConstNull(emit_vector(e, e->f32));
        LLVMSetAlignment(LLVMBuildStore(e->b, v_zero, contract_at(e, e->f32, q->v_zeros, v_at)),
                         4 * e->lanes);
    }
}

static uint32_t most_vectors(const schedule_product *s)
{
    uint32_t rows = s->heights[0] * s->vectors;
    return rows > s->row_vectors ? rows : s->row_vectors;
}

/* Schedules of products of the same rows: blocks of rows fit all of them. False: they differ too
 * much. */
static bool schedule_together(const product_team *all)
{
    contract_emitter *q = all->q;
    int64_t tiles = q->s.block_tiles, rows = q->s.most_rows;
    bool fit = true;
    for (uint32_t i = 1; i < all->n; i++) {
        const schedule_product *x = &q->s, *y = &q[i].s;
        fit &= x->heights[0] == y->heights[0] && x->rows_in_tiles == y->rows_in_tiles &&
               x->row_bytes == y->row_bytes && x->depth == y->depth &&
               !x->block_tiles == !y->block_tiles;
        tiles = y->block_tiles < tiles ? y->block_tiles : tiles;
        rows = y->most_rows < rows ? y->most_rows : rows;
    }
    for (uint32_t i = 0; i < all->n && fit; i++) {
        q[i].s.block_tiles = tiles;
        q[i].s.most_rows = rows;
    }
    return fit;
}

/* Products take turns, so that one has all the memory that tiles need. */
static void begin_tiles(const product_team *all)
{
    contract_emitter *q = all->q;
    emit *e = q->e;
    uint32_t vectors = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        uint32_t own = most_vectors(&q[i].s) * q[i].f->n_products;
        vectors = own > vectors ? own : vectors;
    }
    q->v_tile = LLVMBuildArrayAlloca(e->b, e->f32, emit_i64(e, vectors * e->lanes), "tile");
    LLVMSetAlignment(q->v_tile, 64);
    if (q->s.depth) {
        take_zeros(q, vectors);
    }
    if (q->kind->begin) {
        q->kind->begin(q);
    }
    for (uint32_t i = 1; i < all->n; i++) {
        q[i].v_tile = q->v_tile;
        q[i].v_zeros = q->v_zeros;
        q[i].tiles = q->tiles;
        q[i].v_block = q->v_block;
    }
    take_scratch(all);
}

static bool forms_of(emit *e, const k_nest *nests, uint32_t n, contract_form *f)
{
    bool fit = n <= CONTRACT_MOST_TOGETHER;
    for (uint32_t i = 0; i < n && fit; i++) {
        fit = contract_form_of(e->c, e->a, &nests[i], e->t, &f[i]) &&
              (i == 0 || contract_same_rows(&f[0], &f[i]));
    }
    return fit;
}

bool emit_contract(emit *e, const k_nest *nests, uint32_t n)
{
    contract_form f[CONTRACT_MOST_TOGETHER];
    contract_emitter q[CONTRACT_MOST_TOGETHER];
    const product_team all = {n, q};
    if (!forms_of(e, nests, n, f)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        q[i] = (contract_emitter){
            .e = e, .f = &f[i], .kind = kinds[f[i].kind], .first_product = f[i].n_row_steps};
        q[i].s = schedule_of(e, &f[i], &q[i].keep);
    }
    if (!schedule_together(&all)) {
        return false;
    }
    e->lanes_aligned = true;
    begin_tiles(&all);
    run_shares(&all);
    if (q->kind->end) {
        q->kind->end(q);
    }
    return true;
}
