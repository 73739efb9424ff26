/* Products of matrices, by tiles: so many rows by so many vectors of columns are summed up in
 * registers while k runs, and leave through the epilogue.
 *
 *     for rows of a block                     they stay in L2 while all columns pass by
 *         for pieces of k                     all of k, unless rows are long
 *             for products of these rows
 *                 all columns, by tiles       emit_contract_tiles.c
 *
 * Rows that are not read in place are packed first: their statistics, then their values, each row
 * beside the last. Every element is summed in the order of k, whatever tile it is in, so that
 * results depend neither on the number of threads nor on the number of rows. (Tile registers have an
 * order of their own: there one row alone may differ from the same among others.) */
#include "backend/emit_contract.h"

enum { ANY = -1 };

static const contract_kind *const kinds[] = {
    [CONTRACT_F32] = &contract_f32,
    [CONTRACT_BF16] = &contract_bf16,
    [CONTRACT_Q8] = &contract_q8,
};

/* Packing -------------------------------------------------------------------------------------- */

/* Rows m.v_lo ... m.v_hi, at most most_rows of them, to v_packed. */
static void pack_rows(contract_emitter *q, contract_span m)
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
static LLVMValueRef rows_are_packed(contract_emitter *q, contract_span m)
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
static void pack_whole_rows(contract_emitter *q, contract_span m)
{
    emit_if fresh;
    emit_if_begin(q->e, &fresh, LLVMBuildNot(q->e->b, q->v_kept, ""), "fresh");
    pack_rows(q, m);
    emit_if_end(q->e, &fresh);
}

/* Blocks --------------------------------------------------------------------------------------- */

/* Piece by piece of k; the sums of as many columns as there is memory for are kept meanwhile. */
static void run_pieces(contract_emitter *q, contract_span m, contract_span n)
{
    emit *e = q->e;
    emit_loop columns, piece;
    LLVMValueRef v_size = emit_kernel_dim(e, q->f->k[0]->extent);
    emit_loop_begin(e, &columns, "columns", n.v_lo, n.v_hi, emit_i64(e, q->s.most_columns), 0,
                    NULL);
    contract_span here = {columns.v_i, contract_plus(e, columns.v_i, q->s.most_columns)};
    here.v_hi = emit_intrinsic2(e, "llvm.smin", here.v_hi, n.v_hi);
    q->v_first_column = here.v_lo;
    emit_loop_begin(e, &piece, "piece", emit_i64(e, 0), v_size, emit_i64(e, q->s.depth), 0, NULL);
    LLVMValueRef v_end = contract_plus(e, piece.v_i, q->s.depth);
    q->v_depth[0] = piece.v_i;
    q->v_depth[1] = emit_intrinsic2(e, "llvm.smin", v_end, v_size);
    if (!q->f->in_place) {
        pack_rows(q, m);
    }
    contract_run_columns(q, m, here, false);
    q->v_depth[0] = q->v_depth[1] = NULL;
    emit_loop_end(e, &piece, NULL);
    emit_loop_end(e, &columns, NULL);
}

/* Products that are made together: of the same rows, which the first one packs for all. */
typedef struct product_team {
    uint32_t n;
    contract_emitter *q;
} product_team;

static void run_columns_of_all(const product_team *all, contract_span m, const contract_span *n,
                               bool one_row)
{
    for (uint32_t i = 0; i < all->n; i++) {
        contract_run_columns(&all->q[i], m, n[i], one_row);
    }
}

static void run_block(const product_team *all, contract_span m, const contract_span *n)
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
static void run_blocks(const product_team *all, contract_span m, const contract_span *n)
{
    contract_emitter *q = all->q;
    emit *e = q->e;
    int64_t tall = q->s.heights[0], each = q->s.block_tiles;
    LLVMValueRef v_rows = LLVMBuildSub(e->b, m.v_hi, m.v_lo, ""),
                 v_tiles = contract_rounded_up(e, v_rows, tall);
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
    run_block(all, (contract_span){v_at[0], v_at[1]}, n);
    emit_loop_end(e, &l, NULL);
}

/* Outer axes ----------------------------------------------------------------------------------- */

static contract_span axis_span(contract_emitter *q, const k_axis *axis)
{
    emit *e = q->e;
    const k_nest *n = q->f->nest;
    const k_axis *split = n->split >= 0 ? n->outer[n->split] : NULL;
    contract_span s = {emit_i64(e, 0), axis ? emit_kernel_dim(e, axis->extent) : emit_i64(e, 1)};
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
        contract_span m = axis_span(q, q->f->m), n[CONTRACT_MOST_TOGETHER];
        for (uint32_t i = 0; i < all->n; i++) {
            n[i] = axis_span(&q[i], q[i].f->n);
        }
        (q->s.block_tiles ? run_blocks : run_block)(all, m, n);
        return;
    }
    contract_span s = axis_span(q, axis);
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
