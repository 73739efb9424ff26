/* Attention of many queries, by register tiles with lanes along queries:
 *
 *     for queries of a pass                      some blocks of them, of one head
 *         for a block of queries                 vectors * lanes of them
 *             qt[d][query] = scale * q           turned once
 *         for keys of a block
 *             for a block of queries
 *                 p[key][query] = sum over d of k[key, d] * qt[d][query]    tiles of keys
 *                 p = exp(score(p) - max), m, l  no sum or maximum crosses lanes
 *                 acc[c][query] = acc * correction + sum over keys of v[key, c] * p[key][query]
 *         for a block of queries
 *             out[query, c] = acc[c][query] / l  turned back
 *
 * Where products are of bf16, and there are dot products of pairs, two steps of a sum lie side by
 * side in a word of qt, k, p and v: d and d + 1, two keys that follow each other.
 *
 * In both products one factor lies along lanes and the other is read one number at a time, so keys
 * and values are never turned: they are read where they lie whatever their strides, or, when they
 * are not plain f32 in memory, from a copy of the block, made once for all queries of the pass. */
#include "backend/emit_attention_tiles.h"

#include <math.h>

enum { LINE_FLOATS = 16, MOST_HEIGHT = 8, MOST_VECTORS = 4 };

/* Place of vector number `vector` of row v_row in qt, p or acc. */
static LLVMValueRef place(const tiler *w, LLVMValueRef v_row, uint32_t vector)
{
    return attention_plus(w->e, attention_times(w->e, v_row, w->queries),
                          (int64_t)vector * w->e->lanes);
}

static LLVMValueRef lane_place(const tiler *w, LLVMValueRef v_row, LLVMValueRef v_vector)
{
    emit *e = w->e;
    return LLVMBuildAdd(e->b, attention_times(e, v_row, w->queries),
                        attention_times(e, v_vector, e->lanes), "");
}

/* Products ------------------------------------------------------------------------------------- */

/* sums[r][vector] += sum over n < v_n of v_ptrs[r][n * v_step] * v_lanes[n][vector] */
static void sum_tile(tiler *w, uint32_t height, LLVMValueRef *v_ptrs, LLVMValueRef v_step,
                     LLVMValueRef v_lanes, LLVMValueRef v_n, LLVMValueRef *v_sums)
{
    emit *e = w->e;
    uint32_t vectors = w->s.vectors, n = height * vectors;
    LLVMValueRef v_next[MOST_HEIGHT * MOST_VECTORS], v_b[MOST_VECTORS];
    emit_loop l;
    emit_loop_begin(e, &l, "sum", emit_i64(e, 0), v_n, emit_i64(e, 1), n, v_sums);
    for (uint32_t v = 0; v < vectors; v++) {
        v_b[v] = attention_load(e, v_lanes, place(w, l.v_i, v));
    }
    LLVMValueRef v_at = LLVMBuildMul(e->b, l.v_i, v_step, "");
    for (uint32_t r = 0; r < height; r++) {
        LLVMValueRef v_a = emit_splat(e, attention_load_one(e, v_ptrs[r], v_at));
        for (uint32_t v = 0; v < vectors; v++) {
            uint32_t at = r * vectors + v;
            v_next[at] = w->s.dots ? emit_bf16_dot(e, l.v_carry[at], v_a, v_b[v])
                                   : emit_fma(e, v_a, v_b[v], l.v_carry[at]);
        }
    }
    emit_loop_end(e, &l, v_next);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l.v_carry[i];
    }
}

/* Raw products of the block's keys; those of a last tile beyond v_keys are of its last key. */
static void multiply_keys(tiler *w)
{
    emit *e = w->e;
    uint32_t height = w->s.height, vectors = w->s.vectors;
    LLVMValueRef v_sums[MOST_HEIGHT * MOST_VECTORS], v_ptrs[MOST_HEIGHT];
    LLVMValueRef v_last = attention_plus(e, w->v_keys, -1);
    emit_loop l;
    emit_loop_begin(e, &l, "keys", emit_i64(e, 0), w->v_keys, emit_i64(e, height), 0, NULL);
    for (uint32_t r = 0; r < height; r++) {
        v_ptrs[r] = tiler_key(w, &w->k,
                              emit_intrinsic2(e, "llvm.smin", attention_plus(e, l.v_i, r), v_last));
    }
    for (uint32_t i = 0; i < height * vectors; i++) {
        v_sums[i] = LLVMConstNull(emit_vector(e, e->f32));
    }
    sum_tile(w, height, v_ptrs, w->k.v_col, w->v_qt, emit_i64(e, tiler_words(w, w->d)), v_sums);
    for (uint32_t i = 0; i < height * vectors; i++) {
        attention_put(e, v_sums[i], w->v_p,
                      place(w, attention_plus(e, l.v_i, i / vectors), i % vectors));
    }
    emit_loop_end(e, &l, NULL);
}

/* acc of elements v_c ... v_c + height of values. */
static void add_values_tile(tiler *w, LLVMValueRef v_c, uint32_t height)
{
    emit *e = w->e;
    uint32_t vectors = w->s.vectors;
    LLVMValueRef v_sums[MOST_HEIGHT * MOST_VECTORS], v_ptrs[MOST_HEIGHT], v_fix[MOST_VECTORS];
    LLVMValueRef v_rows = tiler_key(w, &w->v, emit_i64(e, 0));
    for (uint32_t v = 0; v < vectors; v++) {
        v_fix[v] = attention_load(e, w->v_fix, emit_i64(e, (int64_t)v * e->lanes));
    }
    for (uint32_t i = 0; i < height * vectors; i++) {
        LLVMValueRef v_at = place(w, attention_plus(e, v_c, i / vectors), i % vectors);
        v_sums[i] = LLVMBuildFMul(e->b, attention_load(e, w->v_acc, v_at), v_fix[i % vectors], "");
    }
    for (uint32_t r = 0; r < height; r++) {
        v_ptrs[r] =
            attention_at(e, v_rows, LLVMBuildMul(e->b, attention_plus(e, v_c, r), w->v.v_col, ""));
    }
    sum_tile(w, height, v_ptrs, w->v.v_row, w->v_p, tiler_words_of(w, w->v_keys), v_sums);
    for (uint32_t i = 0; i < height * vectors; i++) {
        attention_put(e, v_sums[i], w->v_acc,
                      place(w, attention_plus(e, v_c, i / vectors), i % vectors));
    }
}

static void add_values(tiler *w)
{
    emit *e = w->e;
    int64_t height = w->s.height, whole = w->dv / height * height;
    emit_loop l;
    emit_loop_begin(e, &l, "values", emit_i64(e, 0), emit_i64(e, whole), emit_i64(e, height), 0,
                    NULL);
    add_values_tile(w, l.v_i, (uint32_t)height);
    emit_loop_end(e, &l, NULL);
    if (whole < w->dv) {
        add_values_tile(w, emit_i64(e, whole), (uint32_t)(w->dv - whole));
    }
}

/* Scores --------------------------------------------------------------------------------------- */

/* Which lanes, queries v_i and on, may see key v_j by what is said of the mask; NULL: all. */
static LLVMValueRef lanes_that_see(tiler *w, LLVMValueRef v_i, LLVMValueRef v_j)
{
    emit *e = w->e;
    const k_attention *t = w->t;
    if (!t->causal) {
        return NULL;
    }
    LLVMValueRef v_iota = emit_iota(e, e->i32), v_zero = emit_i64(e, 0),
                 v_all = emit_i64(e, e->lanes);
    LLVMValueRef v_least =
        LLVMBuildSub(e->b, LLVMBuildSub(e->b, v_j, v_i, ""), emit_kernel_dim(e, t->causal), "");
    LLVMValueRef v_from =
        emit_intrinsic2(e, "llvm.smin", emit_intrinsic2(e, "llvm.smax", v_least, v_zero), v_all);
    v_from = emit_splat(e, LLVMBuildTrunc(e->b, v_from, e->i32, ""));
    LLVMValueRef v_seen = LLVMBuildICmp(e->b, LLVMIntSGE, v_iota, v_from, "");
    if (t->reach) {
        LLVMValueRef v_most = LLVMBuildAdd(e->b, v_least, emit_kernel_dim(e, t->reach), "");
        LLVMValueRef v_to =
            emit_intrinsic2(e, "llvm.smin", emit_intrinsic2(e, "llvm.smax", v_most, v_zero), v_all);
        v_to = emit_splat(e, LLVMBuildTrunc(e->b, v_to, e->i32, ""));
        LLVMValueRef v_near = LLVMBuildICmp(e->b, LLVMIntSLT, v_iota, v_to, "");
        v_seen = LLVMBuildAnd(e->b, v_seen, v_near, "");
    }
    return v_seen;
}

/* Scores of a vector of queries in the place of raw products; returns their maximum with v_max. */
static LLVMValueRef make_scores(tiler *w, LLVMValueRef v_vector, LLVMValueRef v_i,
                                LLVMValueRef v_max)
{
    emit *e = w->e;
    emit_loop l;
    emit_loop_begin(e, &l, "score", emit_i64(e, 0), w->v_keys, emit_i64(e, 1), 1, &v_max);
    LLVMValueRef v_j = LLVMBuildAdd(e->b, w->v_j0, l.v_i, "");
    LLVMValueRef v_at = lane_place(w, l.v_i, v_vector);
    LLVMValueRef v_raw = attention_load(e, w->v_p, v_at);
    LLVMValueRef v_seen = lanes_that_see(w, v_i, v_j);
    e->v_axes[w->t->j->id] = v_j;
    tiler_set_lanes(w, w->t->i, v_i, w->v_i1);
    LLVMValueRef v_score = attention_score(w->q, v_raw);
    tiler_leave_lanes(w);
    if (v_seen) {
        v_score = emit_select(e, v_seen, v_score, emit_const(e, LLVMTypeOf(v_score), -INFINITY));
    }
    attention_put(e, v_score, w->v_p, v_at);
    LLVMValueRef v_next = attention_larger(e, v_score, l.v_carry[0]);
    emit_loop_end(e, &l, &v_next);
    return l.v_carry[0];
}

/* Weights in the place of scores; returns their sum, which is of what is not rounded. */
static LLVMValueRef make_weights(tiler *w, LLVMValueRef v_vector, LLVMValueRef v_base)
{
    emit *e = w->e;
    LLVMValueRef v_sum = LLVMConstNull(LLVMTypeOf(v_base));
    emit_loop l;
    if (w->s.dots) { /* the second key of the last pair */
        attention_put(e, emit_const(e, LLVMTypeOf(v_base), -INFINITY), w->v_p,
                      lane_place(w, w->v_keys, v_vector));
    }
    emit_loop_begin(e, &l, "weight", emit_i64(e, 0), tiler_words_of(w, w->v_keys), emit_i64(e, 1),
                    1, &v_sum);
    LLVMValueRef v_j = attention_times(e, l.v_i, tiler_steps(w)), v_next = l.v_carry[0];
    LLVMValueRef v_p =
        attention_weights(w->q, w->v_p, lane_place(w, v_j, v_vector), v_base, &v_next);
    if (w->s.dots) {
        LLVMValueRef v_second = lane_place(w, attention_plus(e, v_j, 1), v_vector);
        v_p = emit_bf16_pairs(e, v_p, attention_weights(w->q, w->v_p, v_second, v_base, &v_next));
    } else {
        v_p = attention_factor(w->q, NULL, v_p);
    }
    attention_put(e, v_p, w->v_p, lane_place(w, l.v_i, v_vector));
    emit_loop_end(e, &l, &v_next);
    return l.v_carry[0];
}

static void weigh(tiler *w)
{
    emit *e = w->e;
    emit_loop l;
    emit_loop_begin(e, &l, "vector", emit_i64(e, 0), emit_i64(e, w->s.vectors), emit_i64(e, 1), 0,
                    NULL);
    LLVMValueRef v_at = attention_times(e, l.v_i, e->lanes);
    LLVMValueRef v_old = attention_load(e, w->v_m, v_at), v_sum = attention_load(e, w->v_l, v_at);
    LLVMValueRef v_max = make_scores(w, l.v_i, LLVMBuildAdd(e->b, w->v_i0, v_at, ""), v_old);
    LLVMValueRef v_base = attention_base(e, v_max);
    LLVMValueRef v_fix = emit_exp_weight(e, LLVMBuildFSub(e->b, v_old, v_base, ""));
    LLVMValueRef v_more = make_weights(w, l.v_i, v_base);
    attention_put(e, v_max, w->v_m, v_at);
    attention_put(e, v_fix, w->v_fix, v_at);
    attention_put(e, emit_fma(e, v_sum, v_fix, v_more), w->v_l, v_at);
    emit_loop_end(e, &l, NULL);
}

/* Blocks --------------------------------------------------------------------------------------- */

static void fill(tiler *w, LLVMValueRef v_base, int64_t n, double value)
{
    emit *e = w->e;
    emit_loop l;
    emit_loop_begin(e, &l, "fill", emit_i64(e, 0), emit_i64(e, n), emit_i64(e, e->lanes), 0, NULL);
    attention_put(e, emit_splat(e, emit_f32(e, value)), v_base, l.v_i);
    emit_loop_end(e, &l, NULL);
}

static int64_t qt_words(const tiler *w)
{
    return tiler_round_up(tiler_words(w, w->d), w->e->lanes) * w->queries;
}

static int64_t acc_words(const tiler *w)
{
    return tiler_round_up(w->dv, w->s.registers ? 2 * TILE_ROWS : w->e->lanes) * w->queries;
}

/* What block v_b of the pass keeps, and its queries. */
static void enter_block(tiler *w, LLVMValueRef v_b)
{
    emit *e = w->e;
    int64_t qt = qt_words(w), acc = acc_words(w);
    w->v_qt = attention_at(e, w->v_blocks, attention_times(e, v_b, w->block));
    w->v_acc = attention_at(e, w->v_qt, emit_i64(e, qt));
    w->v_m = attention_at(e, w->v_acc, emit_i64(e, acc));
    w->v_l = attention_at(e, w->v_m, emit_i64(e, w->queries));
    w->v_i0 = LLVMBuildAdd(e->b, w->v_first, attention_times(e, v_b, w->queries), "");
    w->v_i1 = emit_intrinsic2(e, "llvm.smin", attention_plus(e, w->v_i0, w->queries), w->v_end);
}

static void begin_block(tiler *w)
{
    tiler_take_queries(w);
    fill(w, w->v_m, w->queries, -INFINITY);
    fill(w, w->v_l, w->queries, 0);
    fill(w, w->v_acc, acc_words(w), 0);
}

/* The block of queries meets the block of keys, if it sees any of them. */
static void meet(tiler *w)
{
    emit *e = w->e;
    LLVMValueRef v_keys = w->v_keys;
    key_span own = attention_keys(w->q, w->v_i0, attention_plus(e, w->v_i1, -1));
    w->v_keys = emit_intrinsic2(e, "llvm.smin", v_keys, LLVMBuildSub(e->b, own.v_to, w->v_j0, ""));
    LLVMValueRef v_before = LLVMBuildICmp(e->b, LLVMIntSGT, w->v_keys, emit_i64(e, 0), ""),
                 v_after = LLVMBuildICmp(e->b, LLVMIntSLT, own.v_from,
                                         attention_plus(e, w->v_j0, w->s.keys), "");
    emit_if f;
    emit_if_begin(e, &f, LLVMBuildAnd(e->b, v_before, v_after, ""), "meet");
    (w->s.registers ? tiler_multiply_keys : multiply_keys)(w);
    weigh(w);
    (w->s.registers ? tiler_add_values : add_values)(w);
    emit_if_end(e, &f);
    w->v_keys = v_keys;
}

static void for_blocks(tiler *w, void (*run)(tiler *w))
{
    emit *e = w->e;
    LLVMValueRef v_n = LLVMBuildSub(e->b, w->v_end, w->v_first, "");
    v_n = LLVMBuildUDiv(e->b, attention_plus(e, v_n, w->queries - 1), emit_i64(e, w->queries), "");
    emit_loop l;
    emit_loop_begin(e, &l, "queries", emit_i64(e, 0), v_n, emit_i64(e, 1), 0, NULL);
    enter_block(w, l.v_i);
    run(w);
    emit_loop_end(e, &l, NULL);
}

/* Queries v_first ... v_end - 1: a block of keys is packed once for all of them. */
static void run_pass(tiler *w)
{
    emit *e = w->e;
    for_blocks(w, begin_block);
    key_span keys = attention_keys(w->q, w->v_first, attention_plus(e, w->v_end, -1));
    emit_loop l;
    emit_loop_begin(e, &l, "block", attention_round_down(e, keys.v_from, w->s.keys), keys.v_to,
                    emit_i64(e, w->s.keys), 0, NULL);
    w->v_j0 = l.v_i;
    w->v_keys = emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, keys.v_to, l.v_i, ""),
                                emit_i64(e, w->s.keys));
    tiler_pack_keys(w);
    tiler_pack_values(w);
    for_blocks(w, meet);
    emit_loop_end(e, &l, NULL);
    for_blocks(w, tiler_write_rows);
}

static void prepare(tiler *w)
{
    attention_emitter *q = w->q;
    w->row = tiler_round_up(w->d > w->dv ? w->d : w->dv, w->e->lanes) + LINE_FLOATS;
    w->block = qt_words(w) + acc_words(w) + 2 * w->queries;
    w->v_p = attention_scratch(q, (uint64_t)((w->s.keys + 1) * w->queries));
    w->v_fix = attention_scratch(q, (uint64_t)w->queries);
    w->v_rows = attention_scratch(q, (uint64_t)(w->row * w->queries));
    tiler_find_keys(w);
    tiler_find_values(w);
    if (!w->k.packed && !w->v.packed) { /* nothing to share */
        w->s.blocks = 1;
    }
    w->v_blocks = attention_scratch(q, (uint64_t)(w->s.blocks * w->block));
}

void attention_tiles(attention_emitter *q)
{
    emit *e = q->e;
    tiler w = {.q = q,
               .e = e,
               .t = q->t,
               .s = q->s,
               .d = ir_dim_value(q->t->d->extent),
               .dv = ir_dim_value(q->t->dv->extent),
               .queries = (int64_t)q->s.vectors * e->lanes};
    prepare(&w);
    int64_t most = w.s.blocks * w.queries;
    emit_loop g, i;
    emit_loop_begin(e, &g, "head", q->v_g_lo, q->v_g_hi, emit_i64(e, 1), 0, NULL);
    if (q->group) {
        e->v_axes[q->group->id] = g.v_i;
    }
    emit_loop_begin(e, &i, "pass", q->v_i_lo, q->v_i_hi, emit_i64(e, most), 0, NULL);
    w.v_first = i.v_i;
    w.v_end = emit_intrinsic2(e, "llvm.smin", attention_plus(e, i.v_i, most), q->v_i_hi);
    run_pass(&w);
    emit_loop_end(e, &i, NULL);
    emit_loop_end(e, &g, NULL);
}
