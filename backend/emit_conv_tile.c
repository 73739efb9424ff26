/* Sums of a convolution in registers: rows of channels by vectors of places. */
#include "backend/emit_conv_parts.h"

enum { MOST_SUMS = 24, TILE_ARGS = 8 };

static int64_t weight_of(const conv_tile *t, int64_t row)
{
    return t->panel ? row / t->panel * t->w_panel + row % t->panel * t->w_row : row * t->w_row;
}

/* One product for every sum of the tile. */
static void add_products(conv_emitter *q, const conv_tile *t, LLVMValueRef v_w, LLVMValueRef v_b,
                         LLVMValueRef *v_sums)
{
    emit *e = q->e;
    LLVMValueRef v_line[8];
    bool rows_shared = q->p.axes[1].planes < q->p.axes[1].shifts;
    unsigned align = t->v_table && rows_shared ? 4 : 4 * e->lanes;
    for (uint32_t v = 0; v < t->vectors; v++) {
        v_line[v] = load_vector(q, v_b, emit_i64(e, (int64_t)v * e->lanes), align);
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_ptr = f32_at(q, v_w, emit_i64(e, weight_of(t, r)));
        LLVMValueRef v_weight = emit_splat(e, LLVMBuildLoad2(e->b, e->f32, v_ptr, ""));
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef *v_sum = &v_sums[r * t->vectors + v];
            *v_sum = emit_fma(e, v_weight, v_line[v], *v_sum);
        }
    }
}

static void begin_sums(conv_emitter *q, emit_loop *l, const char *name, LLVMValueRef v_lo,
                       LLVMValueRef v_hi, const conv_tile *t, LLVMValueRef *v_sums)
{
    uint32_t n = t->rows * t->vectors;
    emit_loop_begin(q->e, l, name, v_lo, v_hi, emit_i64(q->e, 1), n, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

static void end_sums(conv_emitter *q, emit_loop *l, const conv_tile *t, LLVMValueRef *v_sums)
{
    emit_loop_end(q->e, l, v_sums);
    for (uint32_t i = 0; i < t->rows * t->vectors; i++) {
        v_sums[i] = l->v_carry[i];
    }
}

/* Weights, those that come after them (or NULL), and packed inputs. */
typedef struct operands {
    LLVMValueRef v_w, v_next, v_b;
} operands;

static operands at_channel(conv_emitter *q, const conv_tile *t, operands o, LLVMValueRef v_channel)
{
    LLVMValueRef v_along = times(q, v_channel, t->w_step);
    return (operands){.v_w = f32_at(q, o.v_w, v_along),
                      .v_next = o.v_next ? f32_at(q, o.v_next, v_along) : NULL,
                      .v_b = f32_at(q, o.v_b, times(q, v_channel, t->b_step))};
}

static LLVMValueRef table_at(conv_emitter *q, LLVMValueRef v_table, LLVMValueRef v_i)
{
    emit *e = q->e;
    return LLVMBuildLoad2(e->b, e->i64, LLVMBuildGEP2(e->b, e->i64, v_table, &v_i, 1, ""), "");
}

static operands at_tap(conv_emitter *q, const conv_tile *t, operands o, LLVMValueRef v_tap)
{
    LLVMValueRef v_at = plus(q, times(q, v_tap, TAP_FIELDS), 1), v_of[TAP_FIELDS];
    for (int64_t i = 0; i < TAP_FIELDS; i++) {
        v_of[i] = table_at(q, t->v_table, plus(q, v_at, i));
    }
    LLVMValueRef v_down = mul(q, v_of[TAP_DOWN], q->v_pitch);
    return (operands){.v_w = f32_at(q, o.v_w, times(q, v_of[TAP_NUMBER], t->w_tap)),
                      .v_next = f32_at(q, o.v_w, times(q, v_of[TAP_NEXT], t->w_tap)),
                      .v_b = f32_at(q, o.v_b, add(q, v_of[TAP_PLANE], v_down))};
}

/* As channels of x run, few or many of them. One product a turn: with more, LLVM moves so many
 * loads to the front that sums are spilled. */
static void sum_channels(conv_emitter *q, const conv_tile *t, operands o, LLVMValueRef *v_sums)
{
    emit_loop l;
    begin_sums(q, &l, "channel", zero(q), q->v_channels, t, v_sums);
    operands at = at_channel(q, t, o, l.v_i);
    if (at.v_next) { /* of two panels in turn: a step takes half a line of each, or less */
        LLVMValueRef v_other = LLVMBuildAnd(q->e->b, l.v_i, emit_i64(q->e, 1), "");
        bool two = t->panel && t->rows > t->panel;
        v_other = times(q, v_other, t->w_panel - t->w_step);
        emit_prefetch(q->e, two ? f32_at(q, at.v_next, v_other) : at.v_next, t->v_next ? 2 : 3);
    }
    add_products(q, t, at.v_w, at.v_b, v_sums);
    end_sums(q, &l, t, v_sums);
}

/* As taps of the phase do. With fewer channels than taps those run outside: the inner loop is the
 * longer one. */
static void sum_taps(conv_emitter *q, const conv_tile *t, operands o, LLVMValueRef *v_sums)
{
    emit_loop tap, channel;
    bool few = q->p.conv->in_group < q->p.most;
    if (few) {
        begin_sums(q, &channel, "channel", zero(q), q->v_channels, t, v_sums);
        o = at_channel(q, t, o, channel.v_i);
    }
    begin_sums(q, &tap, "tap", zero(q), table_at(q, t->v_table, zero(q)), t, v_sums);
    operands at = at_tap(q, t, o, tap.v_i);
    if (few) {
        add_products(q, t, at.v_w, at.v_b, v_sums);
    } else {
        at.v_next = q->p.conv->channels ? at.v_next : NULL;
        sum_channels(q, t, at, v_sums);
    }
    end_sums(q, &tap, t, v_sums);
    if (few) {
        end_sums(q, &channel, t, v_sums);
    }
}

/* The tile's sums go to memory: v_to[row][to_row]. */
static void tile_sums(conv_emitter *q, const conv_tile *t, LLVMValueRef v_to)
{
    emit *e = q->e;
    uint32_t n = t->rows * t->vectors;
    LLVMValueRef v_sums[MOST_SUMS], v_at[MOST_SUMS];
    LLVMValueRef v_first = LLVMBuildICmp(e->b, LLVMIntEQ, q->v_channel, zero(q), "");
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = (int64_t)(i / t->vectors) * t->to_row + (int64_t)(i % t->vectors) * e->lanes;
        v_at[i] = emit_i64(e, at);
        v_sums[i] = LLVMConstNull(emit_vector(e, e->f32));
        if (!q->p.whole) {
            v_sums[i] =
                emit_select(e, v_first, v_sums[i], load_vector(q, v_to, v_at[i], 4 * e->lanes));
        }
    }
    (t->v_table ? sum_taps : sum_channels)(q, t, (operands){t->v_w, t->v_next, t->v_b}, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v = LLVMBuildStore(e->b, v_sums[i], f32_at(q, v_to, v_at[i]));
        LLVMSetAlignment(v, 4 * e->lanes);
    }
}

/* A tile is a function of its own: values of the loops around it would take registers from sums.
 * Its arguments: weights, packed inputs, sums; first channel, channels; table of the phase, places
 * of a row; weights that come next. */
static LLVMValueRef tile_function(conv_emitter *q, conv_tile t)
{
    emit *e = q->e;
    conv_emitter inner = *q;
    LLVMTypeRef types[TILE_ARGS] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->ptr, e->i64, e->ptr};
    char name[64];
    snprintf(name, sizeof name, "k%u_conv_%ux%u", e->k->id, t.rows, t.vectors);
    LLVMValueRef f = emit_function_begin(e, name, types, TILE_ARGS, &inner.outside);
    t.v_w = LLVMGetParam(f, 0);
    t.v_b = LLVMGetParam(f, 1);
    inner.v_channel = LLVMGetParam(f, 3);
    inner.v_channels = LLVMGetParam(f, 4);
    t.v_table = t.v_table ? LLVMGetParam(f, 5) : NULL;
    inner.v_pitch = LLVMGetParam(f, 6);
    t.v_next = t.v_next ? LLVMGetParam(f, 7) : NULL;
    tile_sums(&inner, &t, LLVMGetParam(f, 2));
    emit_function_end(e, &inner.outside);
    return f;
}

static void run_tile(conv_emitter *q, const conv_tile *t, LLVMValueRef v_to)
{
    emit *e = q->e;
    LLVMValueRef f = tile_function(q, *t);
    LLVMValueRef v_table = t->v_table ? t->v_table : LLVMConstNull(e->ptr),
                 v_next = t->v_next ? t->v_next : LLVMConstNull(e->ptr);
    LLVMValueRef args[TILE_ARGS] = {t->v_w,        t->v_b,  v_to,       q->v_channel,
                                    q->v_channels, v_table, q->v_pitch, v_next};
    LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, args, TILE_ARGS, "");
}

/* Tiles of so many vectors among v_n; two of two are better than one of three and one of one. */
static LLVMValueRef tiles_of(conv_emitter *q, LLVMValueRef v_n, uint32_t vectors)
{
    emit *e = q->e;
    LLVMValueRef v_by = emit_i64(e, vectors);
    if (vectors == 3) {
        LLVMValueRef v_one =
            LLVMBuildICmp(e->b, LLVMIntEQ, LLVMBuildURem(e->b, v_n, v_by, ""), emit_i64(e, 1), "");
        v_n = most(q, emit_select(e, v_one, plus(q, v_n, -2), v_n), zero(q));
    }
    return LLVMBuildUDiv(e->b, v_n, v_by, "");
}

void conv_run_places(conv_emitter *q, conv_tile t, LLVMValueRef v_to)
{
    emit *e = q->e;
    LLVMValueRef v_n = parts_of(q, q->v_places, e->lanes), v_lo = zero(q), v_b = t.v_b;
    for (uint32_t v = (uint32_t)q->p.tile_vectors; v > 0; v = v > 3 ? v / 2 : v - 1) {
        if (v > 1 && (int64_t)v * e->lanes > q->p.places) {
            continue;
        }
        LLVMValueRef v_left = tiles_of(q, sub(q, v_n, v_lo), v);
        LLVMValueRef v_hi = add(q, v_lo, times(q, v_left, v));
        emit_loop l;
        begin(q, &l, "places", v_lo, v_hi, v);
        LLVMValueRef v_place = times(q, l.v_i, e->lanes);
        t.vectors = v;
        t.v_b = f32_at(q, v_b, v_place);
        run_tile(q, &t, f32_at(q, v_to, v_place));
        end(q, &l);
        v_lo = v_hi;
    }
}
