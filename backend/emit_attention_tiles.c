/* Attention of many queries, by register tiles with lanes along queries:
 *
 *     for queries of a block                     vectors * lanes of them, of one head
 *         qt[d][query] = scale * q               turned once
 *         for keys of a block
 *             p[key][query] = sum over d of k[key, d] * qt[d][query]        tiles of keys
 *             p = exp(score(p) - max), m, l      no sum or maximum crosses lanes
 *             acc[c][query] = acc * correction + sum over keys of v[key, c] * p[key][query]
 *         out[query, c] = acc[c][query] / l      turned back
 *
 * Where products are of bf16, and there are dot products of pairs, two steps of a sum lie side by
 * side in a word of qt, k, p and v: d and d + 1, two keys that follow each other.
 *
 * In both products one factor lies along lanes and the other is read one number at a time, so keys
 * and values are never turned: they are read where they lie whatever their strides, or, when they
 * are not plain f32 in memory, from a copy of the block. */
#include "backend/emit_attention.h"

#include <math.h>

enum { LINE_FLOATS = 16, MOST_HEIGHT = 8, MOST_VECTORS = 4 };

/* Keys or values of a block: word (j, c) is v_base[j * v_row + c * v_col]; j counts from the
 * block's first key when they are packed. */
typedef struct operand {
    const k_expr *x;
    const k_axis *c;
    int64_t size;    /* elements along c */
    int64_t at_once; /* of them in a vector of words */
    bool packed;
    LLVMValueRef v_base, v_row, v_col;
} operand;

typedef struct tiler {
    attention_emitter *q;
    emit *e;
    const k_attention *t;
    schedule_attention s;
    int64_t d, dv, queries;       /* elements of a key, of a value; queries of a block */
    int64_t row;                  /* f32s of a row of v_rows */
    LLVMValueRef v_qt, v_p;       /* [d][queries], [keys][queries] */
    LLVMValueRef v_acc;           /* [dv][queries] */
    LLVMValueRef v_m, v_l, v_fix; /* [queries]: maximum, sum, correction of a block */
    LLVMValueRef v_rows;          /* [queries][row]: on the way in and out */
    operand k, v;
    LLVMValueRef v_i0, v_i1;   /* queries of the block */
    LLVMValueRef v_j0, v_keys; /* the first key of the block, how many there are */
} tiler;

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static LLVMValueRef times(emit *e, LLVMValueRef v, int64_t by)
{
    return LLVMBuildMul(e->b, v, emit_i64(e, by), "");
}

static LLVMValueRef plus(emit *e, LLVMValueRef v, int64_t by)
{
    return by ? LLVMBuildAdd(e->b, v, emit_i64(e, by), "") : v;
}

/* Steps of a sum in a word of 32 bits, and words that n of them take. */
static int64_t steps(const tiler *w)
{
    return w->s.dots ? 2 : 1;
}

static int64_t words(const tiler *w, int64_t n)
{
    return (n + steps(w) - 1) / steps(w);
}

static LLVMValueRef words_of(const tiler *w, LLVMValueRef v_n)
{
    emit *e = w->e;
    return w->s.dots ? LLVMBuildLShr(e->b, plus(e, v_n, 1), emit_i64(e, 1), "") : v_n;
}

/* Place of vector number `vector` of row v_row in qt, p or acc. */
static LLVMValueRef place(const tiler *w, LLVMValueRef v_row, uint32_t vector)
{
    return plus(w->e, times(w->e, v_row, w->queries), (int64_t)vector * w->e->lanes);
}

static LLVMValueRef lane_place(const tiler *w, LLVMValueRef v_row, LLVMValueRef v_vector)
{
    emit *e = w->e;
    return LLVMBuildAdd(e->b, times(e, v_row, w->queries), times(e, v_vector, e->lanes), "");
}

static void set_lanes(tiler *w, const k_axis *axis, LLVMValueRef v_first, LLVMValueRef v_limit)
{
    w->e->v_axes[axis->id] = v_first;
    w->e->lane_axis = axis;
    w->e->v_mask = v_limit ? emit_lanes_below(w->e, v_first, v_limit) : NULL;
}

static void leave_lanes(tiler *w)
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
    set_lanes(w, axis, v_first, v_limit);
    LLVMValueRef v = attention_query(w->q);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, w->t->q, v);
}

/* A square of v_rows, at query v_r and element v_c, turned: as rows v_c ... of v_to, or back. */
static void turn(tiler *w, LLVMValueRef v_turned, LLVMValueRef v_r, LLVMValueRef v_c, bool back,
                 LLVMValueRef v_by)
{
    emit *e = w->e;
    LLVMValueRef v[64];
    LLVMValueRef v_row = LLVMBuildAdd(e->b, times(e, v_r, w->row), v_c, "");
    LLVMValueRef v_at = LLVMBuildAdd(e->b, times(e, v_c, w->queries), v_r, "");
    for (uint32_t i = 0; i < e->lanes; i++) {
        v[i] = back ? attention_load(e, v_turned, plus(e, v_at, i * w->queries))
                    : attention_load(e, w->v_rows, plus(e, v_row, i * w->row));
        v[i] = v_by ? LLVMBuildFMul(e->b, v[i], v_by, "") : v[i];
    }
    emit_transpose(e, v);
    for (uint32_t i = 0; i < e->lanes; i++) {
        if (back) {
            attention_put(e, v[i], w->v_rows, plus(e, v_row, i * w->row));
        } else {
            attention_put(e, v[i], v_turned, plus(e, v_at, i * w->queries));
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

/* By vectors of queries, which lie side by side. */
static void take_columns(tiler *w)
{
    emit *e = w->e;
    emit_loop a, b;
    emit_loop_begin(e, &a, "query", w->v_i0, w->v_i1, emit_i64(e, e->lanes), 0, NULL);
    emit_loop_begin(e, &b, "d", emit_i64(e, 0), emit_i64(e, words(w, w->d)), emit_i64(e, 1), 0,
                    NULL);
    LLVMValueRef v_d = times(e, b.v_i, steps(w)), v = queries_at(w, a.v_i, v_d);
    if (w->s.dots) {
        v = emit_bf16_pairs(e, v, queries_at(w, a.v_i, plus(e, v_d, 1)));
    }
    LLVMValueRef v_at =
        LLVMBuildAdd(e->b, times(e, b.v_i, w->queries), LLVMBuildSub(e->b, a.v_i, w->v_i0, ""), "");
    attention_put(e, v, w->v_qt, v_at);
    emit_loop_end(e, &b, NULL);
    emit_loop_end(e, &a, NULL);
}

/* By rows, which are turned. */
static void take_rows(tiler *w)
{
    emit *e = w->e;
    int64_t at_once = e->lanes * steps(w);
    const k_axis *d = w->t->d;
    LLVMValueRef v_limit = w->d % at_once ? emit_i64(e, w->d) : NULL;
    emit_loop a, b;
    emit_loop_begin(e, &a, "query", w->v_i0, w->v_i1, emit_i64(e, 1), 0, NULL);
    e->v_axes[w->t->i->id] = a.v_i;
    LLVMValueRef v_row = times(e, LLVMBuildSub(e->b, a.v_i, w->v_i0, ""), w->row);
    emit_loop_begin(e, &b, "d", emit_i64(e, 0), emit_i64(e, words(w, w->d)), emit_i64(e, e->lanes),
                    0, NULL);
    LLVMValueRef v_c = times(e, b.v_i, steps(w)), v = query_vector(w, d, v_c, v_limit);
    if (w->s.dots) {
        v = emit_bf16_row(e, v, query_vector(w, d, plus(e, v_c, e->lanes), v_limit));
    }
    attention_put(e, v, w->v_rows, LLVMBuildAdd(e->b, v_row, b.v_i, ""));
    emit_loop_end(e, &b, NULL);
    emit_loop_end(e, &a, NULL);
    turn_all(w, w->v_qt, words(w, w->d), false);
}

/* q of the block, to v_qt. */
static void take_queries(tiler *w)
{
    const ir_dim *stride = NULL;
    const k_expr *q = w->t->q;
    bool side_by_side = q->kind == K_LOAD &&
                        k_affine(w->e->c, w->e->a, q->args[0], w->t->i, &stride) &&
                        ir_dim_is_one(stride);
    (side_by_side ? take_columns : take_rows)(w);
}

/* Keys and values ------------------------------------------------------------------------------ */

/* Can it be read a number at a time where it lies? Then its strides are known outside of loops. */
static bool lies_plainly(tiler *w, operand *o, const ir_dim **row, const ir_dim **col)
{
    emit *e = w->e;
    const k_expr *x = o->x;
    return !w->t->bf16 && x->kind == K_LOAD && !x->guard && !x->buf->panel &&
           x->buf->dtype == IR_f32 && x->buf->storage == ir_storage_of_dtype(IR_f32) &&
           k_affine(e->c, e->a, x->args[0], w->t->j, row) &&
           k_affine(e->c, e->a, x->args[0], o->c, col);
}

/* along: steps of its sum lie along c, else from key to key. */
static void find_operand(tiler *w, operand *o, const k_expr *x, const k_axis *c, int64_t size,
                         bool along)
{
    emit *e = w->e;
    const ir_dim *row, *col;
    *o = (operand){.x = x, .c = c, .size = size, .at_once = e->lanes * (along ? steps(w) : 1)};
    o->packed = !lies_plainly(w, o, &row, &col);
    if (o->packed) {
        int64_t row_words = round_up(along ? words(w, size) : size, e->lanes);
        int64_t rows = along ? w->s.keys : words(w, w->s.keys);
        o->v_base = attention_scratch(w->q, (uint64_t)(rows * row_words));
        o->v_row = emit_i64(e, row_words);
        o->v_col = emit_i64(e, 1);
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
static LLVMValueRef operand_vector(tiler *w, const operand *o, LLVMValueRef v_j, LLVMValueRef v_c)
{
    emit *e = w->e;
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[w->t->j->id] = LLVMBuildAdd(e->b, w->v_j0, v_j, "");
    set_lanes(w, o->c, v_c, o->size % o->at_once ? emit_i64(e, o->size) : NULL);
    LLVMValueRef v = emit_lanes(e, o->x);
    v = e->v_mask ? emit_select(e, e->v_mask, v, LLVMConstNull(LLVMTypeOf(v))) : v;
    leave_lanes(w);
    emit_memo_pop(e);
    return w->s.dots ? v : attention_factor(w->q, o->x, v);
}

/* A vector of words of a key. */
static LLVMValueRef key_words(tiler *w, const operand *o, LLVMValueRef v_row, LLVMValueRef v_col)
{
    emit *e = w->e;
    LLVMValueRef v_c = times(e, v_col, steps(w)), v = operand_vector(w, o, v_row, v_c);
    return w->s.dots ? emit_bf16_row(e, v, operand_vector(w, o, v_row, plus(e, v_c, e->lanes))) : v;
}

/* A vector of words of the values of a key, or of two; there is weight 0 for one beyond the last.
 */
static LLVMValueRef value_words(tiler *w, const operand *o, LLVMValueRef v_row, LLVMValueRef v_c)
{
    emit *e = w->e;
    LLVMValueRef v_j = times(e, v_row, steps(w)), v = operand_vector(w, o, v_j, v_c);
    LLVMValueRef v_last = plus(e, w->v_keys, -1);
    LLVMValueRef v_next = emit_intrinsic2(e, "llvm.smin", plus(e, v_j, 1), v_last);
    return w->s.dots ? emit_bf16_pairs(e, v, operand_vector(w, o, v_next, v_c)) : v;
}

/* Packs so many rows of so many words. */
static void pack(tiler *w, const operand *o, LLVMValueRef v_rows, int64_t cols,
                 LLVMValueRef (*take)(tiler *w, const operand *o, LLVMValueRef v_row,
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

/* Where key v_j of the block begins. */
static LLVMValueRef row_ptr(tiler *w, const operand *o, LLVMValueRef v_j)
{
    emit *e = w->e;
    LLVMValueRef v_row = o->packed ? v_j : LLVMBuildAdd(e->b, w->v_j0, v_j, "");
    return attention_at(e, o->v_base, LLVMBuildMul(e->b, v_row, o->v_row, ""));
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
    LLVMValueRef v_last = plus(e, w->v_keys, -1);
    emit_loop l;
    emit_loop_begin(e, &l, "keys", emit_i64(e, 0), w->v_keys, emit_i64(e, height), 0, NULL);
    for (uint32_t r = 0; r < height; r++) {
        v_ptrs[r] = row_ptr(w, &w->k, emit_intrinsic2(e, "llvm.smin", plus(e, l.v_i, r), v_last));
    }
    for (uint32_t i = 0; i < height * vectors; i++) {
        v_sums[i] = LLVMConstNull(emit_vector(e, e->f32));
    }
    sum_tile(w, height, v_ptrs, w->k.v_col, w->v_qt, emit_i64(e, words(w, w->d)), v_sums);
    for (uint32_t i = 0; i < height * vectors; i++) {
        attention_put(e, v_sums[i], w->v_p, place(w, plus(e, l.v_i, i / vectors), i % vectors));
    }
    emit_loop_end(e, &l, NULL);
}

/* acc of elements v_c ... v_c + height of values. */
static void add_values_tile(tiler *w, LLVMValueRef v_c, uint32_t height)
{
    emit *e = w->e;
    uint32_t vectors = w->s.vectors;
    LLVMValueRef v_sums[MOST_HEIGHT * MOST_VECTORS], v_ptrs[MOST_HEIGHT], v_fix[MOST_VECTORS];
    LLVMValueRef v_rows = row_ptr(w, &w->v, emit_i64(e, 0));
    for (uint32_t v = 0; v < vectors; v++) {
        v_fix[v] = attention_load(e, w->v_fix, emit_i64(e, (int64_t)v * e->lanes));
    }
    for (uint32_t i = 0; i < height * vectors; i++) {
        LLVMValueRef v_at = place(w, plus(e, v_c, i / vectors), i % vectors);
        v_sums[i] = LLVMBuildFMul(e->b, attention_load(e, w->v_acc, v_at), v_fix[i % vectors], "");
    }
    for (uint32_t r = 0; r < height; r++) {
        v_ptrs[r] = attention_at(e, v_rows, LLVMBuildMul(e->b, plus(e, v_c, r), w->v.v_col, ""));
    }
    sum_tile(w, height, v_ptrs, w->v.v_row, w->v_p, words_of(w, w->v_keys), v_sums);
    for (uint32_t i = 0; i < height * vectors; i++) {
        attention_put(e, v_sums[i], w->v_acc, place(w, plus(e, v_c, i / vectors), i % vectors));
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
    set_lanes(w, w->t->i, v_i, w->v_i1);
    LLVMValueRef v_score = attention_score(w->q, v_raw);
    leave_lanes(w);
    if (v_seen) {
        v_score = emit_select(e, v_seen, v_score, emit_const(e, LLVMTypeOf(v_score), -INFINITY));
    }
    attention_put(e, v_score, w->v_p, v_at);
    LLVMValueRef v_next = attention_larger(e, v_score, l.v_carry[0]);
    emit_loop_end(e, &l, &v_next);
    return l.v_carry[0];
}

/* exp(score - base) of a vector of queries; adds it to *v_sum. */
static LLVMValueRef weight_vector(tiler *w, LLVMValueRef v_at, LLVMValueRef v_base,
                                  LLVMValueRef *v_sum)
{
    emit *e = w->e;
    LLVMValueRef v_less = LLVMBuildFSub(e->b, attention_load(e, w->v_p, v_at), v_base, "");
    LLVMValueRef v_p = emit_exp_weight(e, v_less);
    *v_sum = LLVMBuildFAdd(e->b, *v_sum, v_p, "");
    return v_p;
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
    emit_loop_begin(e, &l, "weight", emit_i64(e, 0), words_of(w, w->v_keys), emit_i64(e, 1), 1,
                    &v_sum);
    LLVMValueRef v_j = times(e, l.v_i, steps(w)), v_next = l.v_carry[0];
    LLVMValueRef v_p = weight_vector(w, lane_place(w, v_j, v_vector), v_base, &v_next);
    if (w->s.dots) {
        LLVMValueRef v_second = lane_place(w, plus(e, v_j, 1), v_vector);
        v_p = emit_bf16_pairs(e, v_p, weight_vector(w, v_second, v_base, &v_next));
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
    LLVMValueRef v_at = times(e, l.v_i, e->lanes);
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

static void write_rows(tiler *w)
{
    emit *e = w->e;
    turn_all(w, w->v_acc, w->dv, true);
    emit_loop r, c;
    LLVMValueRef v_zero = emit_i64(e, 0);
    emit_loop_begin(e, &r, "out", w->v_i0, w->v_i1, emit_i64(e, 1), 0, NULL);
    emit_loop_begin(e, &c, "dv", v_zero, emit_i64(e, w->dv), emit_i64(e, e->lanes), 0, NULL);
    e->v_axes[w->t->i->id] = r.v_i;
    LLVMValueRef v_row = times(e, LLVMBuildSub(e->b, r.v_i, w->v_i0, ""), w->row);
    LLVMValueRef v = attention_load(e, w->v_rows, LLVMBuildAdd(e->b, v_row, c.v_i, ""));
    set_lanes(w, w->t->dv, c.v_i, w->dv % e->lanes ? emit_i64(e, w->dv) : NULL);
    attention_store(w->q, v);
    leave_lanes(w);
    emit_loop_end(e, &c, NULL);
    emit_loop_end(e, &r, NULL);
}

static void run_block(tiler *w)
{
    emit *e = w->e;
    take_queries(w);
    fill(w, w->v_m, w->queries, -INFINITY);
    fill(w, w->v_l, w->queries, 0);
    fill(w, w->v_acc, round_up(w->dv, e->lanes) * w->queries, 0);
    key_span keys = attention_keys(w->q, w->v_i0, plus(e, w->v_i1, -1));
    emit_loop l;
    emit_loop_begin(e, &l, "block", attention_round_down(e, keys.v_from, w->s.keys), keys.v_to,
                    emit_i64(e, w->s.keys), 0, NULL);
    w->v_j0 = l.v_i;
    w->v_keys = emit_intrinsic2(e, "llvm.smin", LLVMBuildSub(e->b, keys.v_to, l.v_i, ""),
                                emit_i64(e, w->s.keys));
    pack(w, &w->k, w->v_keys, words(w, w->d), key_words);
    multiply_keys(w);
    weigh(w);
    pack(w, &w->v, words_of(w, w->v_keys), w->dv, value_words);
    add_values(w);
    emit_loop_end(e, &l, NULL);
    write_rows(w);
}

static void prepare(tiler *w)
{
    emit *e = w->e;
    attention_emitter *q = w->q;
    int64_t d = round_up(w->d, e->lanes), dv = round_up(w->dv, e->lanes);
    w->row = (d > dv ? d : dv) + LINE_FLOATS; /* no two rows a power of two apart */
    w->v_qt = attention_scratch(q, (uint64_t)(d * w->queries));
    w->v_p = attention_scratch(q, (uint64_t)((w->s.keys + 1) * w->queries));
    w->v_acc = attention_scratch(q, (uint64_t)(dv * w->queries));
    w->v_m = attention_scratch(q, (uint64_t)w->queries);
    w->v_l = attention_scratch(q, (uint64_t)w->queries);
    w->v_fix = attention_scratch(q, (uint64_t)w->queries);
    w->v_rows = attention_scratch(q, (uint64_t)(w->row * w->queries));
    find_operand(w, &w->k, w->t->k, w->t->d, w->d, true);
    find_operand(w, &w->v, w->t->v, w->t->dv, w->dv, false);
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
    emit_loop g, i;
    emit_loop_begin(e, &g, "head", q->v_g_lo, q->v_g_hi, emit_i64(e, 1), 0, NULL);
    if (q->group) {
        e->v_axes[q->group->id] = g.v_i;
    }
    emit_loop_begin(e, &i, "queries", q->v_i_lo, q->v_i_hi, emit_i64(e, w.queries), 0, NULL);
    w.v_i0 = i.v_i;
    w.v_i1 = emit_intrinsic2(e, "llvm.smin", plus(e, i.v_i, w.queries), q->v_i_hi);
    run_block(&w);
    emit_loop_end(e, &i, NULL);
    emit_loop_end(e, &g, NULL);
}
