/* Attention of few queries: tokens that come one by one. Each row, one query of one head, has its
 * lanes along the elements of keys and values; a pass over keys and values serves so many rows:
 *
 *     for rows of a pass                             heads that share keys and values, queries
 *         for keys of a block
 *             scores[row][key] = sum over d of q[row, d] * k[key, d]      tiles of rows and keys
 *             scores = exp(score(scores) - max), m, l                     lanes along keys
 *             acc[row][c] = acc * correction + sum over keys of scores[row][key] * v[key, c]
 *         out[row, c] = acc[row][c] / l
 *
 * Keys and values come from memory once a pass, so long contexts run at the speed of memory. */
#include "backend/emit_attention.h"

#include <math.h>

enum { MOST_SUMS = 16 };

typedef struct rower {
    attention_emitter *q;
    emit *e;
    const k_attention *t;
    schedule_attention s;
    LLVMValueRef v_d, v_dv;           /* elements of a key, of a value */
    LLVMValueRef v_d_row, v_dv_row;   /* the same in whole vectors: f32s from row to row */
    LLVMValueRef v_q, v_scores;       /* [rows][d_row], [rows][score_row] */
    LLVMValueRef v_acc;               /* [rows][dv_row] */
    LLVMValueRef v_m, v_l, v_fix;     /* [rows]: maximum, sum, correction of a block */
    LLVMValueRef v_first, v_rows;     /* rows of the pass: the first of all rows, how many */
    LLVMValueRef v_j0, v_keys, v_end; /* keys of the block; where those of the pass end */
} rower;

static LLVMValueRef whole_vectors(emit *e, LLVMValueRef v)
{
    return attention_round_down(e, attention_plus(e, v, e->lanes - 1), e->lanes);
}

static LLVMValueRef in_row(emit *e, LLVMValueRef v_row, LLVMValueRef v_stride, LLVMValueRef v_at)
{
    return LLVMBuildAdd(e->b, LLVMBuildMul(e->b, v_row, v_stride, ""), v_at, "");
}

static LLVMValueRef score_row(const rower *w)
{
    return emit_i64(w->e, w->s.row_keys + w->e->lanes);
}

/* Where element v_i of a row stands that holds f32s, or pairs of bf16. */
static LLVMValueRef word(const rower *w, LLVMValueRef v_i)
{
    return w->s.dots ? LLVMBuildLShr(w->e->b, v_i, emit_i64(w->e, 1), "") : v_i;
}

static int64_t elements_at_once(const rower *w)
{
    return (int64_t)w->e->lanes * (w->s.dots ? 2 : 1);
}

static LLVMValueRef add_products(const rower *w, LLVMValueRef v_x, LLVMValueRef v_y,
                                 LLVMValueRef v_sum)
{
    return w->s.dots ? emit_bf16_dot(w->e, v_sum, v_x, v_y) : emit_fma(w->e, v_x, v_y, v_sum);
}

/* Lanes along d, a vector of words at once, or along dv. */
static void set_lanes(rower *w, const k_axis *axis, LLVMValueRef v_first, LLVMValueRef v_limit)
{
    emit *e = w->e;
    int64_t at_once = axis == w->t->d ? elements_at_once(w) : (int64_t)e->lanes;
    bool whole = ir_dim_is_const(axis->extent) && ir_dim_value(axis->extent) % at_once == 0;
    e->v_axes[axis->id] = v_first;
    e->lane_axis = axis;
    e->v_mask = whole ? NULL : emit_lanes_below(e, v_first, v_limit);
}

static void leave_lanes(rower *w)
{
    w->e->lane_axis = NULL;
    w->e->v_mask = NULL;
}

/* Head and query of a row of the pass. */
static void set_row(rower *w, LLVMValueRef v_row)
{
    emit *e = w->e;
    const attention_emitter *q = w->q;
    LLVMValueRef v_at = LLVMBuildAdd(e->b, w->v_first, v_row, "");
    if (!q->group) {
        e->v_axes[w->t->i->id] = LLVMBuildAdd(e->b, q->v_i_lo, v_at, "");
        return;
    }
    LLVMValueRef v_n = LLVMBuildSub(e->b, q->v_i_hi, q->v_i_lo, "");
    LLVMValueRef v_i = LLVMBuildURem(e->b, v_at, v_n, "");
    LLVMValueRef v_g = LLVMBuildUDiv(e->b, v_at, v_n, "");
    e->v_axes[w->t->i->id] = LLVMBuildAdd(e->b, q->v_i_lo, v_i, "");
    e->v_axes[q->group->id] = LLVMBuildAdd(e->b, q->v_g_lo, v_g, "");
}

static LLVMValueRef query_vector(rower *w, LLVMValueRef v_first)
{
    emit *e = w->e;
    emit_memo memo;
    emit_memo_push(e, &memo);
    set_lanes(w, w->t->d, v_first, w->v_d);
    LLVMValueRef v = attention_query(w->q);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, w->t->q, v);
}

static LLVMValueRef operand_vector(rower *w, const k_expr *x, LLVMValueRef v_j, const k_axis *axis,
                                   LLVMValueRef v_first, LLVMValueRef v_limit)
{
    emit *e = w->e;
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[w->t->j->id] = v_j;
    set_lanes(w, axis, v_first, v_limit);
    LLVMValueRef v = emit_lanes(e, x);
    leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, x, v);
}

static void take_queries(rower *w)
{
    emit *e = w->e;
    int64_t at_once = elements_at_once(w);
    emit_loop r, d;
    emit_loop_begin(e, &r, "query", emit_i64(e, 0), w->v_rows, emit_i64(e, 1), 0, NULL);
    set_row(w, r.v_i);
    emit_loop_begin(e, &d, "d", emit_i64(e, 0), w->v_d, emit_i64(e, at_once), 0, NULL);
    LLVMValueRef v = query_vector(w, d.v_i);
    if (w->s.dots) {
        v = emit_bf16_row(e, v, query_vector(w, attention_plus(e, d.v_i, e->lanes)));
    }
    attention_put(e, v, w->v_q, in_row(e, r.v_i, w->v_d_row, word(w, d.v_i)));
    emit_loop_end(e, &d, NULL);
    emit_loop_end(e, &r, NULL);
}

/* Tiles ---------------------------------------------------------------------------------------- */

/* Tiles of rows, the higher ones first. */
static void for_rows(rower *w, void (*run)(rower *w, LLVMValueRef v_row, uint32_t tile))
{
    emit *e = w->e;
    LLVMValueRef v_at = emit_i64(e, 0);
    uint32_t n = w->s.heights[0] == w->s.heights[1] ? 1 : 2;
    for (uint32_t tile = 2 - n; tile < 2; tile++) {
        int64_t height = w->s.heights[tile];
        LLVMValueRef v_left = LLVMBuildSub(e->b, w->v_rows, v_at, "");
        LLVMValueRef v_n = LLVMBuildUDiv(e->b, v_left, emit_i64(e, height), "");
        LLVMValueRef v_to =
            LLVMBuildAdd(e->b, v_at, LLVMBuildMul(e->b, v_n, emit_i64(e, height), ""), "");
        emit_loop l;
        emit_loop_begin(e, &l, "rows", v_at, v_to, emit_i64(e, height), 0, NULL);
        run(w, l.v_i, tile);
        emit_loop_end(e, &l, NULL);
        v_at = v_to;
    }
}

/* A vector of words of a key from element v_c on. */
static LLVMValueRef key_words(rower *w, LLVMValueRef v_j, LLVMValueRef v_c)
{
    emit *e = w->e;
    const k_attention *t = w->t;
    LLVMValueRef v = operand_vector(w, t->k, v_j, t->d, v_c, w->v_d);
    if (!w->s.dots) {
        return v;
    }
    return emit_bf16_row(
        e, v, operand_vector(w, t->k, v_j, t->d, attention_plus(e, v_c, e->lanes), w->v_d));
}

/* A vector of the values of key v_j of the block; of dots, of that and the next one, whose weight
 * is 0 where it is beyond the last. */
static LLVMValueRef value_words(rower *w, LLVMValueRef v_j, LLVMValueRef v_c)
{
    emit *e = w->e;
    const k_attention *t = w->t;
    LLVMValueRef v_first = LLVMBuildAdd(e->b, w->v_j0, v_j, "");
    LLVMValueRef v = operand_vector(w, t->v, v_first, t->dv, v_c, w->v_dv);
    if (!w->s.dots) {
        return v;
    }
    LLVMValueRef v_second = emit_intrinsic2(e, "llvm.smin", attention_plus(e, v_first, 1),
                                            attention_plus(e, w->v_end, -1));
    return emit_bf16_pairs(e, v, operand_vector(w, t->v, v_second, t->dv, v_c, w->v_dv));
}

/* One vector of words of rows by keys v_j[...]. */
static void multiply_step(rower *w, LLVMValueRef v_row, uint32_t tile, LLVMValueRef v_c,
                          LLVMValueRef *v_j, LLVMValueRef *v_sums)
{
    emit *e = w->e;
    uint32_t rows = w->s.heights[tile], keys = w->s.tile_keys[tile];
    LLVMValueRef v_q[MOST_SUMS];
    for (uint32_t r = 0; r < rows; r++) {
        v_q[r] = attention_load(e, w->v_q,
                                in_row(e, attention_plus(e, v_row, r), w->v_d_row, word(w, v_c)));
    }
    for (uint32_t k = 0; k < keys; k++) {
        LLVMValueRef v_k = key_words(w, v_j[k], v_c);
        for (uint32_t r = 0; r < rows; r++) {
            v_sums[r * keys + k] = add_products(w, v_q[r], v_k, v_sums[r * keys + k]);
        }
    }
}

/* Raw products of a tile's rows with all keys of the block; the last keys of a last tile are all
 * the pass' last one. */
static void multiply_keys(rower *w, LLVMValueRef v_row, uint32_t tile)
{
    emit *e = w->e;
    uint32_t rows = w->s.heights[tile], keys = w->s.tile_keys[tile], n = rows * keys;
    LLVMValueRef v_sums[MOST_SUMS], v_j[MOST_SUMS], v_last = attention_plus(e, w->v_end, -1);
    emit_loop l, c;
    emit_loop_begin(e, &l, "keys", emit_i64(e, 0), w->v_keys, emit_i64(e, keys), 0, NULL);
    for (uint32_t k = 0; k < keys; k++) {
        v_j[k] = attention_plus(e, LLVMBuildAdd(e->b, w->v_j0, l.v_i, ""), k);
        v_j[k] = emit_intrinsic2(e, "llvm.smin", v_j[k], v_last);
    }
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = LLVMConstNull(emit_vector(e, e->f32));
    }
    emit_loop_begin(e, &c, "dot", emit_i64(e, 0), w->v_d, emit_i64(e, elements_at_once(w)), n,
                    v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = c.v_carry[i];
    }
    multiply_step(w, v_row, tile, c.v_i, v_j, v_sums);
    emit_loop_end(e, &c, v_sums);
    for (uint32_t r = 0; r < rows; r++) { /* beyond the tile's keys is written over later */
        uint32_t vectors = emit_fold_lanes(e, &c.v_carry[r * keys], keys);
        for (uint32_t v = 0; v < vectors; v++) {
            LLVMValueRef v_at = attention_plus(e, l.v_i, (int64_t)v * e->lanes);
            attention_put(e, c.v_carry[r * keys + v], w->v_scores,
                          in_row(e, attention_plus(e, v_row, r), score_row(w), v_at));
        }
    }
    emit_loop_end(e, &l, NULL);
}

static LLVMValueRef value_place(rower *w, LLVMValueRef v_row, LLVMValueRef v_c, uint32_t r,
                                uint32_t v)
{
    emit *e = w->e;
    return in_row(e, attention_plus(e, v_row, r), w->v_dv_row,
                  attention_plus(e, v_c, (int64_t)v * e->lanes));
}

/* Weighted values of the block, so many vectors of elements beginning with v_c. */
static void add_values_tile(rower *w, LLVMValueRef v_row, uint32_t rows, LLVMValueRef v_c,
                            uint32_t vectors)
{
    emit *e = w->e;
    LLVMValueRef v_sums[MOST_SUMS], v_v[MOST_SUMS];
    uint32_t n = rows * vectors;
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v_at = value_place(w, v_row, v_c, i / vectors, i % vectors);
        LLVMValueRef v_fix = attention_load_one(e, w->v_fix, attention_plus(e, v_row, i / vectors));
        v_sums[i] =
            LLVMBuildFMul(e->b, attention_load(e, w->v_acc, v_at), emit_splat(e, v_fix), "");
    }
    emit_loop l;
    emit_loop_begin(e, &l, "key", emit_i64(e, 0), w->v_keys, emit_i64(e, w->s.dots ? 2 : 1), n,
                    v_sums);
    for (uint32_t v = 0; v < vectors; v++) {
        v_v[v] = value_words(w, l.v_i, attention_plus(e, v_c, (int64_t)v * e->lanes));
    }
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v_at =
            in_row(e, attention_plus(e, v_row, i / vectors), score_row(w), word(w, l.v_i));
        LLVMValueRef v_p = emit_splat(e, attention_load_one(e, w->v_scores, v_at));
        v_sums[i] = add_products(w, v_p, v_v[i % vectors], l.v_carry[i]);
    }
    emit_loop_end(e, &l, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        attention_put(e, l.v_carry[i], w->v_acc,
                      value_place(w, v_row, v_c, i / vectors, i % vectors));
    }
}

static void add_values(rower *w, LLVMValueRef v_row, uint32_t tile)
{
    emit *e = w->e;
    const ir_dim *dv = w->t->dv->extent;
    int64_t wide = (int64_t)w->s.widths[0] * e->lanes;
    bool all_wide = ir_dim_is_const(dv) && ir_dim_value(dv) % wide == 0;
    bool none_wide = ir_dim_is_const(dv) && ir_dim_value(dv) < wide;
    LLVMValueRef v_at = emit_i64(e, 0);
    for (uint32_t i = none_wide; i < 2u - all_wide; i++) {
        int64_t by = (int64_t)w->s.widths[i] * e->lanes;
        LLVMValueRef v_to = i == 0 ? attention_round_down(e, w->v_dv, by) : w->v_dv;
        emit_loop l;
        emit_loop_begin(e, &l, "values", v_at, v_to, emit_i64(e, by), 0, NULL);
        add_values_tile(w, v_row, w->s.heights[tile], l.v_i, w->s.widths[i]);
        emit_loop_end(e, &l, NULL);
        v_at = v_to;
    }
}

/* Scores --------------------------------------------------------------------------------------- */

/* Scores of the block's keys in the place of a row's raw products; lanes that the row does not see
 * hold -inf. Returns the maximum, v_max among it. */
static LLVMValueRef make_scores(rower *w, LLVMValueRef v_row, LLVMValueRef v_max)
{
    emit *e = w->e;
    LLVMValueRef v_i = e->v_axes[w->t->i->id];
    key_span seen = attention_keys(w->q, v_i, v_i);
    LLVMValueRef v_most = emit_const(e, emit_vector(e, e->f32), -INFINITY);
    emit_loop l;
    emit_loop_begin(e, &l, "score", emit_i64(e, 0), w->v_keys, emit_i64(e, e->lanes), 1, &v_most);
    LLVMValueRef v_at = in_row(e, v_row, score_row(w), l.v_i);
    LLVMValueRef v_j = LLVMBuildAdd(e->b, w->v_j0, l.v_i, "");
    LLVMValueRef v_inside = emit_lanes_below(e, v_j, seen.v_to);
    if (w->t->reach) {
        LLVMValueRef v_before = emit_lanes_below(e, v_j, seen.v_from);
        v_inside = LLVMBuildAnd(e->b, v_inside, LLVMBuildNot(e->b, v_before, ""), "");
    }
    e->v_axes[w->t->j->id] = v_j;
    e->lane_axis = w->t->j;
    e->v_mask = v_inside;
    LLVMValueRef v_score = attention_score(w->q, attention_load(e, w->v_scores, v_at));
    leave_lanes(w);
    v_score = emit_select(e, v_inside, v_score, emit_const(e, LLVMTypeOf(v_score), -INFINITY));
    attention_put(e, v_score, w->v_scores, v_at);
    LLVMValueRef v_next = attention_larger(e, v_score, l.v_carry[0]);
    emit_loop_end(e, &l, &v_next);
    if (w->s.dots) { /* weights are made two vectors at once */
        LLVMValueRef v_beyond = whole_vectors(e, w->v_keys);
        attention_put(e, emit_const(e, LLVMTypeOf(v_score), -INFINITY), w->v_scores,
                      in_row(e, v_row, score_row(w), v_beyond));
    }
    LLVMTypeRef vt = emit_vector(e, e->f32);
    LLVMValueRef v_all = emit_intrinsic(e, "llvm.vector.reduce.fmax", 1, &vt, 1, l.v_carry);
    return emit_intrinsic2(e, "llvm.maxnum", v_max, v_all);
}

/* Weights in the place of a row's scores; returns their sum, which is of what is not rounded. */
static LLVMValueRef make_weights(rower *w, LLVMValueRef v_row, LLVMValueRef v_base)
{
    emit *e = w->e;
    LLVMValueRef v_sum = LLVMConstNull(emit_vector(e, e->f32)), v_all = emit_splat(e, v_base);
    emit_loop l;
    emit_loop_begin(e, &l, "weight", emit_i64(e, 0), w->v_keys, emit_i64(e, elements_at_once(w)), 1,
                    &v_sum);
    LLVMValueRef v_at = in_row(e, v_row, score_row(w), l.v_i), v_next = l.v_carry[0];
    LLVMValueRef v_p = attention_weights(w->q, w->v_scores, v_at, v_all, &v_next);
    if (w->s.dots) {
        v_p = emit_bf16_row(e, v_p,
                            attention_weights(w->q, w->v_scores, attention_plus(e, v_at, e->lanes),
                                              v_all, &v_next));
    } else {
        v_p = attention_factor(w->q, NULL, v_p);
    }
    attention_put(e, v_p, w->v_scores, in_row(e, v_row, score_row(w), word(w, l.v_i)));
    emit_loop_end(e, &l, &v_next);
    emit_fold_lanes(e, l.v_carry, 1);
    return LLVMBuildExtractElement(e->b, l.v_carry[0], LLVMConstInt(e->i32, 0, false), "");
}

static void weigh(rower *w)
{
    emit *e = w->e;
    emit_loop l;
    emit_loop_begin(e, &l, "weigh", emit_i64(e, 0), w->v_rows, emit_i64(e, 1), 0, NULL);
    set_row(w, l.v_i);
    LLVMValueRef v_old = attention_load_one(e, w->v_m, l.v_i),
                 v_sum = attention_load_one(e, w->v_l, l.v_i);
    LLVMValueRef v_max = make_scores(w, l.v_i, v_old);
    LLVMValueRef v_base = attention_base(e, v_max);
    LLVMValueRef v_fix = emit_exp_weight(e, LLVMBuildFSub(e->b, v_old, v_base, ""));
    LLVMValueRef v_more = make_weights(w, l.v_i, v_base);
    attention_put(e, v_max, w->v_m, l.v_i);
    attention_put(e, v_fix, w->v_fix, l.v_i);
    attention_put(e, emit_fma(e, v_sum, v_fix, v_more), w->v_l, l.v_i);
    emit_loop_end(e, &l, NULL);
}

/* Passes --------------------------------------------------------------------------------------- */

static void clear(rower *w)
{
    emit *e = w->e;
    LLVMValueRef v_zero = emit_i64(e, 0);
    emit_loop r, c;
    emit_loop_begin(e, &r, "clear", v_zero, w->v_rows, emit_i64(e, 1), 0, NULL);
    attention_put(e, emit_f32(e, -INFINITY), w->v_m, r.v_i);
    attention_put(e, emit_f32(e, 0), w->v_l, r.v_i);
    emit_loop_begin(e, &c, "cleared", v_zero, w->v_dv, emit_i64(e, e->lanes), 0, NULL);
    attention_put(e, LLVMConstNull(emit_vector(e, e->f32)), w->v_acc,
                  in_row(e, r.v_i, w->v_dv_row, c.v_i));
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

static void write_rows(rower *w)
{
    emit *e = w->e;
    emit_loop r, c;
    emit_loop_begin(e, &r, "out", emit_i64(e, 0), w->v_rows, emit_i64(e, 1), 0, NULL);
    set_row(w, r.v_i);
    LLVMValueRef v_sum = attention_load_one(e, w->v_l, r.v_i);
    LLVMValueRef v_by = emit_splat(e, LLVMBuildFDiv(e->b, emit_f32(e, 1), v_sum, ""));
    emit_loop_begin(e, &c, "dv", emit_i64(e, 0), w->v_dv, emit_i64(e, e->lanes), 0, NULL);
    LLVMValueRef v = attention_load(e, w->v_acc, in_row(e, r.v_i, w->v_dv_row, c.v_i));
    set_lanes(w, w->t->dv, c.v_i, w->v_dv);
    attention_store(w->q, LLVMBuildFMul(e->b, v, v_by, ""));
    leave_lanes(w);
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

static void run_pass(rower *w)
{
    emit *e = w->e;
    const attention_emitter *q = w->q;
    take_queries(w);
    clear(w);
    key_span keys = attention_keys(w->q, q->v_i_lo, attention_plus(e, q->v_i_hi, -1));
    w->v_end = keys.v_to;
    emit_loop l;
    emit_loop_begin(e, &l, "block", attention_round_down(e, keys.v_from, w->s.row_keys), keys.v_to,
                    emit_i64(e, w->s.row_keys), 0, NULL);
    w->v_j0 = l.v_i;
    w->v_keys = emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, keys.v_to, l.v_i, ""),
                                emit_i64(e, w->s.row_keys));
    for_rows(w, multiply_keys);
    weigh(w);
    for_rows(w, add_values);
    emit_loop_end(e, &l, NULL);
    write_rows(w);
}

static void prepare(rower *w)
{
    emit *e = w->e;
    attention_emitter *q = w->q;
    uint64_t rows = w->s.rows;
    w->v_d = emit_kernel_dim(e, w->t->d->extent);
    w->v_dv = emit_kernel_dim(e, w->t->dv->extent);
    w->v_d_row = whole_vectors(e, w->v_d);
    w->v_dv_row = whole_vectors(e, w->v_dv);
    w->v_m = attention_scratch(q, rows);
    w->v_l = attention_scratch(q, rows);
    w->v_fix = attention_scratch(q, rows);
    w->v_scores = attention_scratch(q, rows * (w->s.row_keys + e->lanes));
    if (q->v_query) {
        w->v_q = q->v_query;
        w->v_acc = q->v_value;
        return;
    }
    w->v_q = attention_scratch(q, rows * (uint64_t)LLVMConstIntGetSExtValue(w->v_d_row));
    w->v_acc = attention_scratch(q, rows * (uint64_t)LLVMConstIntGetSExtValue(w->v_dv_row));
}

void attention_rows(attention_emitter *q)
{
    emit *e = q->e;
    rower w = {.q = q, .e = e, .t = q->t, .s = q->s};
    prepare(&w);
    LLVMValueRef v_n = LLVMBuildMul(e->b, LLVMBuildSub(e->b, q->v_g_hi, q->v_g_lo, ""),
                                    LLVMBuildSub(e->b, q->v_i_hi, q->v_i_lo, ""), "");
    emit_loop l;
    emit_loop_begin(e, &l, "pass", emit_i64(e, 0), v_n, emit_i64(e, w.s.rows), 0, NULL);
    w.v_first = l.v_i;
    w.v_rows =
        emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, v_n, l.v_i, ""), emit_i64(e, w.s.rows));
    run_pass(&w);
    emit_loop_end(e, &l, NULL);
}
