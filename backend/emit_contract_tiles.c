/* Rows of a block pass by columns, tile by tile:
 *
 *     for columns of a tile           a panel of b stays in L2 while the block passes by
 *         for rows of a tile          the highest tiles first, then lower ones
 *             for k: c[r][v] += a[r, k] * b[k, v]
 *             epilogue(c), or c is kept until the next piece of k, or until its group is there
 *
 * One row alone (a token at a time) reads b once, in several streams side by side. */
#include "backend/emit_contract.h"

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

static void take_columns(contract_emitter *q, contract_span m, const tile *t)
{
    if (q->kind->take_columns) {
        q->kind->take_columns(q, t, LLVMBuildSub(q->e->b, m.v_hi, m.v_lo, ""));
    }
}

/* Rows of one tile's columns: the highest tiles as long as they fit, then the next. A last one that
 * is filled partly sums what lies in memory beyond its rows, and stores nothing of it. */
static void run_rows(contract_emitter *q, contract_span m, tile t)
{
    emit *e = q->e;
    LLVMValueRef v_at = m.v_lo;
    take_columns(q, m, &t);
    for (uint32_t i = 0; i < q->s.n_heights; i++) {
        t.rows = q->s.heights[i];
        LLVMValueRef v_left = LLVMBuildSub(e->b, m.v_hi, v_at, "");
        bool partly = q->s.rows_in_tiles && i + 1 == q->s.n_heights;
        LLVMValueRef v_n =
            partly ? contract_rounded_up(e, v_left, t.rows) : tiles_within(q, v_left, i);
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
static LLVMValueRef run_columns(contract_emitter *q, contract_span m, LLVMValueRef v_lo,
                                LLVMValueRef v_hi, uint32_t vectors, bool one_row)
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
static void run_last_columns(contract_emitter *q, contract_span m, contract_span n, bool one_row)
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
static void run_one_row(contract_emitter *q, contract_span m, contract_span n)
{
    uint32_t lanes = q->e->lanes, wide = q->s.row_vectors, narrow = q->s.vectors;
    LLVMValueRef v_at = n.v_lo;
    for (uint32_t vectors = wide; vectors; vectors = vectors > narrow ? vectors / 2 : 0) {
        if (vectors == wide || !columns_fit(q, 2 * (int64_t)vectors * lanes)) {
            v_at = run_columns(q, m, v_at, n.v_hi, vectors, true);
        }
    }
    if (!columns_fit(q, (int64_t)narrow * lanes)) {
        run_last_columns(q, m, (contract_span){v_at, n.v_hi}, true);
    }
}

static void run_many_rows(contract_emitter *q, contract_span m, contract_span n)
{
    LLVMValueRef v_at = run_columns(q, m, n.v_lo, n.v_hi, q->s.vectors, false);
    if (!columns_fit(q, (int64_t)q->s.vectors * q->e->lanes)) {
        run_last_columns(q, m, (contract_span){v_at, n.v_hi}, false);
    }
}

void contract_run_columns(contract_emitter *q, contract_span m, contract_span n, bool one_row)
{
    emit *e = q->e;
    void (*run)(contract_emitter *, contract_span, contract_span) =
        one_row ? run_one_row : run_many_rows;
    if (!q->v_keep) {
        run(q, m, n);
        return;
    }
    LLVMValueRef v_by = emit_i64(e, one_row ? q->keep.one_row : q->keep.columns);
    emit_loop l;
    emit_loop_begin(e, &l, "block", n.v_lo, n.v_hi, v_by, 0, NULL);
    contract_span block = {
        l.v_i, emit_intrinsic2(e, "llvm.smin", LLVMBuildAdd(e->b, l.v_i, v_by, ""), n.v_hi)};
    q->v_keep_row = m.v_lo;
    q->v_keep_column = block.v_lo;
    run(q, m, block);
    LLVMValueRef v_rows = LLVMBuildSub(e->b, m.v_hi, m.v_lo, "");
    contract_finish_groups(q, v_rows, LLVMBuildSub(e->b, block.v_hi, block.v_lo, ""));
    emit_loop_end(e, &l, NULL);
}
