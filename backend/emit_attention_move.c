/* Attention by tiles: what is brought to scratch memory. Queries are turned so that they lie along
 * lanes, and results turned back; keys and values that are not read where they lie are copied, a
 * block of keys for all blocks of queries of a pass. */
#include "backend/emit_attention_tiles.h"

int64_t tiler_round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

int64_t tiler_steps(const tiler *w)
{
    return w->s.dots ? 2 : 1;
}

int64_t tiler_words(const tiler *w, int64_t n)
{
    return (n + tiler_steps(w) - 1) / tiler_steps(w);
}

LLVMValueRef tiler_words_of(const tiler *w, LLVMValueRef v_n)
{
    emit *e = w->e;
    return w->s.dots ? LLVMBuildLShr(e->b, attention_plus(e, v_n, 1), emit_i64(e, 1), "") : v_n;
}

void tiler_set_lanes(tiler *w, const k_axis *axis, LLVMValueRef v_first, LLVMValueRef v_limit)
{
    w->e->v_axes[axis->id] = v_first;
    w->e->lane_axis = axis;
    w->e->v_mask = v_limit ? emit_lanes_below(w->e, v_first, v_limit) : NULL;
}

void tiler_leave_lanes(tiler *w)
{
    w->e->lane_axis = NULL;
    w->e->v_mask = NULL;
}

/* Queries -------------------------------------------------------------------------------------- */

/* A vector of q along an axis; what is beyond the limit is 0. */
static LLVMValueRef query_vector(tiler *w, const k_axis *axis, LLVMValueRef v_first,
                                 LLVMValueRef v_limit)
{
    emit *e = w->e;
    emit_memo memo;
    emit_memo_push(e, &memo);
    tiler_set_lanes(w, axis, v_first, v_limit);
    LLVMValueRef v = attention_query(w->q);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    tiler_leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, w->t->q, v);
}

/* A square of v_rows, at query v_r and element v_c, turned: as rows v_c ... of v_to, or back. */
static void turn(tiler *w, LLVMValueRef v_turned, LLVMValueRef v_r, LLVMValueRef v_c, bool back,
                 LLVMValueRef v_by)
{
    emit *e = w->e;
    LLVMValueRef v[64];
    LLVMValueRef v_row = LLVMBuildAdd(e->b, attention_times(e, v_r, w->row), v_c, "");
    LLVMValueRef v_at = LLVMBuildAdd(e->b, attention_times(e, v_c, w->queries), v_r, "");
    for (uint32_t i = 0; i < e->lanes; i++) {
        v[i] = back ? attention_load(e, v_turned, attention_plus(e, v_at, i * w->queries))
                    : attention_load(e, w->v_rows, attention_plus(e, v_row, i * w->row));
        v[i] = v_by ? LLVMBuildFMul(e->b, v[i], v_by, "") : v[i];
    }
    emit_transpose(e, v);
    for (uint32_t i = 0; i < e->lanes; i++) {
        if (back) {
            attention_put(e, v[i], w->v_rows, attention_plus(e, v_row, i * w->row));
        } else {
            attention_put(e, v[i], v_turned, attention_plus(e, v_at, i * w->queries));
        }
    }
}

static void turn_all(tiler *w, LLVMValueRef v_turned, int64_t size, bool back)
{
    emit *e = w->e;
    LLVMValueRef v_zero = emit_i64(e, 0), v_lanes = emit_i64(e, e->lanes), v_by = NULL;
    emit_loop r, c;
    emit_loop_begin(e, &r, "turn", v_zero, emit_i64(e, w->queries), v_lanes, 0, NULL);
    if (back) {
        LLVMValueRef v_l = attention_load(e, w->v_l, r.v_i);
        v_by = LLVMBuildFDiv(e->b, emit_const(e, LLVMTypeOf(v_l), 1), v_l, "");
    }
    emit_loop_begin(e, &c, "turned", v_zero, emit_i64(e, size), v_lanes, 0, NULL);
    turn(w, v_turned, r.v_i, c.v_i, back, v_by);
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

/* Element v_d of queries side by side; 0 beyond the last. */
static LLVMValueRef queries_at(tiler *w, LLVMValueRef v_first, LLVMValueRef v_d)
{
    emit *e = w->e;
    LLVMValueRef v_last = emit_i64(e, w->d - 1);
    e->v_axes[w->t->d->id] = emit_intrinsic2(e, "llvm.smin", v_d, v_last);
    LLVMValueRef v = query_vector(w, w->t->i, v_first, w->v_i1);
    LLVMValueRef v_inside = LLVMBuildICmp(e->b, LLVMIntSLE, v_d, v_last, "");
    return emit_select(e, v_inside, v, LLVMConstNull(LLVMTypeOf(v)));
}

/* By vectors of queries, which lie side by side. Tile registers read whole tiles of words. */
static void take_columns(tiler *w)
{
    emit *e = w->e;
    int64_t rows = tiler_round_up(tiler_words(w, w->d), w->s.registers ? TILE_PAIRS : 1);
    emit_loop a, b;
    emit_loop_begin(e, &a, "query", w->v_i0, w->v_i1, emit_i64(e, e->lanes), 0, NULL);
    emit_loop_begin(e, &b, "d", emit_i64(e, 0), emit_i64(e, rows), emit_i64(e, 1), 0, NULL);
    LLVMValueRef v_d = attention_times(e, b.v_i, tiler_steps(w)), v = queries_at(w, a.v_i, v_d);
    if (w->s.dots) {
        v = emit_bf16_pairs(e, v, queries_at(w, a.v_i, attention_plus(e, v_d, 1)));
    }
    LLVMValueRef v_at = LLVMBuildAdd(e->b, attention_times(e, b.v_i, w->queries),
                                     LLVMBuildSub(e->b, a.v_i, w->v_i0, ""), "");
    attention_put(e, v, w->v_qt, v_at);
    emit_loop_end(e, &b, NULL);
    emit_loop_end(e, &a, NULL);
}

/* By rows, which are turned. */
static void take_rows(tiler *w)
{
    emit *e = w->e;
    int64_t at_once = e->lanes * tiler_steps(w);
    const k_axis *d = w->t->d;
    LLVMValueRef v_limit = w->d % at_once ? emit_i64(e, w->d) : NULL;
    emit_loop a, b;
    emit_loop_begin(e, &a, "query", w->v_i0, w->v_i1, emit_i64(e, 1), 0, NULL);
    e->v_axes[w->t->i->id] = a.v_i;
    LLVMValueRef v_row = attention_times(e, LLVMBuildSub(e->b, a.v_i, w->v_i0, ""), w->row);
    emit_loop_begin(e, &b, "d", emit_i64(e, 0), emit_i64(e, tiler_words(w, w->d)),
                    emit_i64(e, e->lanes), 0, NULL);
    LLVMValueRef v_c = attention_times(e, b.v_i, tiler_steps(w)),
                 v = query_vector(w, d, v_c, v_limit);
    if (w->s.dots) {
        v = emit_bf16_row(e, v, query_vector(w, d, attention_plus(e, v_c, e->lanes), v_limit));
    }
    attention_put(e, v, w->v_rows, LLVMBuildAdd(e->b, v_row, b.v_i, ""));
    emit_loop_end(e, &b, NULL);
    emit_loop_end(e, &a, NULL);
    turn_all(w, w->v_qt, tiler_words(w, w->d), false);
}

void tiler_take_queries(tiler *w)
{
    const ir_dim *stride = NULL;
    const k_expr *q = w->t->q;
    bool side_by_side = q->kind == K_LOAD &&
                        k_affine(w->e->c, w->e->a, q->args[0], w->t->i, &stride) &&
                        ir_dim_is_one(stride);
    (side_by_side ? take_columns : take_rows)(w);
}

/* Results -------------------------------------------------------------------------------------- */

void tiler_write_rows(tiler *w)
{
    emit *e = w->e;
    turn_all(w, w->v_acc, w->dv, true);
    emit_loop r, c;
    LLVMValueRef v_zero = emit_i64(e, 0);
    emit_loop_begin(e, &r, "out", w->v_i0, w->v_i1, emit_i64(e, 1), 0, NULL);
    emit_loop_begin(e, &c, "dv", v_zero, emit_i64(e, w->dv), emit_i64(e, e->lanes), 0, NULL);
    e->v_axes[w->t->i->id] = r.v_i;
    LLVMValueRef v_row = attention_times(e, LLVMBuildSub(e->b, r.v_i, w->v_i0, ""), w->row);
    LLVMValueRef v = attention_load(e, w->v_rows, LLVMBuildAdd(e->b, v_row, c.v_i, ""));
    tiler_set_lanes(w, w->t->dv, c.v_i, w->dv % e->lanes ? emit_i64(e, w->dv) : NULL);
    attention_store(w->q, v);
    tiler_leave_lanes(w);
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

/* Keys and values ------------------------------------------------------------------------------ */

/* Can it be read a number at a time where it lies? Then its strides are known outside of loops. */
static bool lies_plainly(tiler *w, tile_operand *o, const ir_dim **row, const ir_dim **col)
{
    emit *e = w->e;
    const k_expr *x = o->x;
    return !w->t->bf16 && x->kind == K_LOAD && !x->guard && !x->buf->panel &&
           x->buf->dtype == IR_f32 && x->buf->storage == ir_storage_of_dtype(IR_f32) &&
           k_affine(e->c, e->a, x->args[0], w->t->j, row) &&
           k_affine(e->c, e->a, x->args[0], o->c, col);
}

/* Tile registers take values with pairs of keys side by side. */
static bool turns(const tiler *w, const tile_operand *o)
{
    return w->s.registers && o->c == w->t->dv;
}

/* along: steps of its sum lie along c, else from key to key. */
static void find_operand(tiler *w, tile_operand *o, const k_expr *x, const k_axis *c, int64_t size,
                         bool along)
{
    emit *e = w->e;
    const ir_dim *row, *col;
    *o = (tile_operand){
        .x = x, .c = c, .size = size, .at_once = e->lanes * (along ? tiler_steps(w) : 1)};
    o->packed = !lies_plainly(w, o, &row, &col);
    if (o->packed) {
        bool turned = turns(w, o);
        int64_t keys = along ? w->s.keys : tiler_words(w, w->s.keys),
                cols = tiler_round_up(along ? tiler_words(w, size) : size,
                                      turned ? 2 * TILE_ROWS : e->lanes);
        o->row_words = turned ? keys : cols;
        o->v_base = attention_scratch(w->q, (uint64_t)(keys * cols));
        o->v_row = emit_i64(e, turned ? 1 : cols);
        o->v_col = emit_i64(e, turned ? keys : 1);
        return;
    }
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[w->t->j->id] = e->v_axes[c->id] = emit_i64(e, 0);
    LLVMValueRef v_first = emit_scalar(e, x->args[0]);
    o->v_base = attention_at(e, e->v_bufs[x->buf->id], v_first);
    emit_memo_pop(e);
    o->v_row = emit_kernel_dim(e, row);
    o->v_col = emit_kernel_dim(e, col);
}

/* A vector of key v_j of the block, from element v_c on. */
static LLVMValueRef operand_vector(tiler *w, const tile_operand *o, LLVMValueRef v_j,
                                   LLVMValueRef v_c)
{
    emit *e = w->e;
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[w->t->j->id] = LLVMBuildAdd(e->b, w->v_j0, v_j, "");
    tiler_set_lanes(w, o->c, v_c, o->size % o->at_once ? emit_i64(e, o->size) : NULL);
    LLVMValueRef v = emit_lanes(e, o->x);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    tiler_leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, o->x, v);
}

/* A vector of words of a key. */
static LLVMValueRef key_words(tiler *w, const tile_operand *o, LLVMValueRef v_row,
                              LLVMValueRef v_col)
{
    emit *e = w->e;
    LLVMValueRef v_c = attention_times(e, v_col, tiler_steps(w)),
                 v = operand_vector(w, o, v_row, v_c);
    return w->s.dots
               ? emit_bf16_row(e, v, operand_vector(w, o, v_row, attention_plus(e, v_c, e->lanes)))
               : v;
}

/* A vector of words of the values of a key, or of two; there is weight 0 for one beyond the last.
 */
static LLVMValueRef value_words(tiler *w, const tile_operand *o, LLVMValueRef v_row,
                                LLVMValueRef v_c)
{
    emit *e = w->e;
    LLVMValueRef v_last = attention_plus(e, w->v_keys, -1),
                 v_j = attention_times(e, v_row, tiler_steps(w));
    LLVMValueRef v_next = emit_intrinsic2(e, "llvm.smin", attention_plus(e, v_j, 1), v_last);
    v_j = emit_intrinsic2(e, "llvm.smin", v_j, v_last);
    LLVMValueRef v = operand_vector(w, o, v_j, v_c);
    return w->s.dots ? emit_bf16_pairs(e, v, operand_vector(w, o, v_next, v_c)) : v;
}

/* Packs so many rows of so many words. */
static void pack(tiler *w, const tile_operand *o, LLVMValueRef v_rows, int64_t cols,
                 LLVMValueRef (*take)(tiler *w, const tile_operand *o, LLVMValueRef v_row,
                                      LLVMValueRef v_col))
{
    if (!o->packed) {
        return;
    }
    emit *e = w->e;
    LLVMValueRef v_zero = emit_i64(e, 0);
    emit_loop r, c;
    emit_loop_begin(e, &r, "pack", v_zero, v_rows, emit_i64(e, 1), 0, NULL);
    emit_loop_begin(e, &c, "packed", v_zero, emit_i64(e, cols), emit_i64(e, e->lanes), 0, NULL);
    LLVMValueRef v_at = LLVMBuildMul(e->b, r.v_i, o->v_row, "");
    attention_put(e, take(w, o, r.v_i, c.v_i), o->v_base, LLVMBuildAdd(e->b, v_at, c.v_i, ""));
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

/* Values of the block, a square of pairs of keys by elements at a time. */
static void pack_turned(tiler *w, const tile_operand *o)
{
    emit *e = w->e;
    LLVMValueRef v_zero = emit_i64(e, 0), v_lanes = emit_i64(e, e->lanes), v[64];
    emit_loop r, c;
    emit_loop_begin(e, &r, "pack", v_zero, tiler_words_of(w, w->v_keys), v_lanes, 0, NULL);
    emit_loop_begin(e, &c, "packed", v_zero, emit_i64(e, o->size), v_lanes, 0, NULL);
    for (uint32_t i = 0; i < e->lanes; i++) {
        v[i] = value_words(w, o, attention_plus(e, r.v_i, i), c.v_i);
    }
    emit_transpose(e, v);
    for (uint32_t i = 0; i < e->lanes; i++) {
        LLVMValueRef v_at = attention_times(e, attention_plus(e, c.v_i, i), o->row_words);
        attention_put(e, v[i], o->v_base, LLVMBuildAdd(e->b, v_at, r.v_i, ""));
    }
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

LLVMValueRef tiler_key(tiler *w, const tile_operand *o, LLVMValueRef v_j)
{
    emit *e = w->e;
    LLVMValueRef v_row = o->packed ? v_j : LLVMBuildAdd(e->b, w->v_j0, v_j, "");
    return attention_at(e, o->v_base, LLVMBuildMul(e->b, v_row, o->v_row, ""));
}

void tiler_find_keys(tiler *w)
{
    find_operand(w, &w->k, w->t->k, w->t->d, w->d, true);
}

void tiler_find_values(tiler *w)
{
    find_operand(w, &w->v, w->t->v, w->t->dv, w->dv, false);
}

void tiler_pack_keys(tiler *w)
{
    pack(w, &w->k, w->v_keys, tiler_words(w, w->d), key_words);
}

void tiler_pack_values(tiler *w)
{
    if (turns(w, &w->v)) {
        pack_turned(w, &w->v);
        return;
    }
    pack(w, &w->v, tiler_words_of(w, w->v_keys), w->dv, value_words);
}
