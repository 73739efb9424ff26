/* Resize: lanes run along rows. First the rows of x around a row of y are mixed into one, then
 * places of that one around every place of y. (The nearest row is read where it lies.)
 *
 *     for the outer axes of y
 *         row = sum over taps of the axes before the last of weight * x's row
 *         by a whole factor, for vectors of row, in registers:
 *             for phases: v[phase] = sum over taps of a constant * row[place + its shift]
 *             epilogue(v woven into one sequence)
 *         by any other, for vectors of y, by tables of places and weights that are made once:
 *             epilogue(sum over taps of weights[at] * row[places[at]])
 *
 * A whole factor means places at fixed distances from the source: 2 * i + 0 lies a quarter before
 * i, 2 * i + 1 a quarter after it. Beyond its ends a row goes on with its first and last element.
 */
#include "backend/emit_resize.h"

#include "backend/emit_conv_parts.h"

#include <math.h>
#include <string.h>

enum {
    MOST_FACTOR = 8,
    REACH = 2,         /* places before and after a source that taps touch */
    MOST_WIDTH = 4096, /* of rows of x and of y, otherwise */
    MOST_ROWS = 4 * 4  /* of x, for one of y */
};

typedef struct resizer {
    conv_emitter *c; /* arithmetic and loads of rows; it has no plan */
    const k_nest *n;
    const k_resize *r;
    uint32_t last;          /* the spatial axis that lanes run along */
    int64_t factor;         /* of its sizes; 0: no whole number */
    range out[2 + 3];       /* this thread's part of y */
    LLVMValueRef v_width;   /* of x */
    LLVMValueRef v_mixed;   /* scratch: a row */
    LLVMValueRef v_places;  /* scratch: i32[taps][pitch] */
    LLVMValueRef v_weights; /* f32[taps][pitch] */
    int64_t pitch;
    uint32_t n_rows; /* the rows mixed into the one at hand */
    LLVMValueRef v_rows[MOST_ROWS], v_shares[MOST_ROWS];
    LLVMValueRef v_ends[2]; /* of the mixed row, in all lanes: its first and last element */
    LLVMValueRef v_row;     /* what taps of the last axis read, by tables */
} resizer;

static const k_axis *last_axis(const resizer *q)
{
    return q->n->outer[q->n->n_outer - 1];
}

/* The whole number that sizes of the last axis grow by, or 0. */
static int64_t factor_of(emit *e, const k_nest *n)
{
    const k_resize *r = n->resize;
    for (int64_t by = 1; by <= MOST_FACTOR && (!r->align || r->taps == 1); by++) {
        if (ir_dim_scale(e->c, r->sizes[r->n_spatial - 1], by) ==
            n->outer[n->n_outer - 1]->extent) {
            return by;
        }
    }
    return 0;
}

static bool is_moderate(const ir_dim *d)
{
    return ir_dim_is_const(d) && ir_dim_value(d) > 0 && ir_dim_value(d) <= MOST_WIDTH;
}

static void store_vector(resizer *q, LLVMValueRef v, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMSetAlignment(LLVMBuildStore(q->c->e->b, v, f32_at(q->c, v_base, v_i)), 4);
}

/* Rows ----------------------------------------------------------------------------------------- */

/* The rows of x around the row of y at the values of its axes, and each one's share. */
static void find_rows(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    const k_axis *const *outer = q->n->outer;
    LLVMValueRef v_plane = mul(c, e->v_axes[outer[0]->id], emit_kernel_dim(e, outer[1]->extent));
    v_plane = add(c, v_plane, e->v_axes[outer[1]->id]);
    q->n_rows = 1;
    for (uint32_t i = 0; i < q->last; i++) {
        q->n_rows *= q->r->taps;
    }
    for (uint32_t row = 0; row < q->n_rows; row++) {
        LLVMValueRef v_row = v_plane, v_share = NULL;
        uint32_t of = q->n_rows;
        for (uint32_t i = 0; i < q->last; i++) {
            of /= q->r->taps;
            uint32_t tap = row / of % q->r->taps;
            v_row = add(c, mul(c, v_row, emit_kernel_dim(e, q->r->sizes[i])),
                        emit_scalar(e, q->r->places[i][tap]));
            if (q->r->taps > 1) {
                LLVMValueRef v_by = emit_scalar(e, q->r->weights[i][tap]);
                v_share = v_share ? LLVMBuildFMul(e->b, v_share, v_by, "") : v_by;
            }
        }
        q->v_rows[row] = f32_at(c, e->v_bufs[q->r->x->id], mul(c, v_row, q->v_width));
        q->v_shares[row] = v_share;
    }
}

/* Values of the rows at a place, or a vector of them, each with its share. */
static LLVMValueRef mixed(resizer *q, LLVMValueRef *v, bool vector)
{
    emit *e = q->c->e;
    LLVMValueRef v_sum = v[0];
    for (uint32_t i = 0; i < q->n_rows && q->v_shares[0]; i++) {
        LLVMValueRef v_by = vector ? emit_splat(e, q->v_shares[i]) : q->v_shares[i];
        v_sum = i ? emit_fma(e, v[i], v_by, v_sum) : LLVMBuildFMul(e->b, v[i], v_by, "");
    }
    return v_sum;
}

/* A vector of the mixed row, of the lanes in v_in or, where that is NULL, all. */
static LLVMValueRef mixed_vector(resizer *q, LLVMValueRef v_at, LLVMValueRef v_in)
{
    LLVMValueRef v[MOST_ROWS] = {NULL}, v_none = LLVMConstNull(emit_vector(q->c->e, q->c->e->f32));
    conv_lanes lanes = {.v_first = v_at, .v_in = {v_in}, .step = 1};
    for (uint32_t i = 0; i < q->n_rows; i++) {
        v[i] = v_in ? conv_load_lanes(q->c, q->v_rows[i], &lanes, v_none)
                    : load_vector(q->c, q->v_rows[i], v_at, 4);
    }
    return mixed(q, v, true);
}

/* The mixed row's first and last element, in all lanes. */
static void find_ends(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    LLVMValueRef v[MOST_ROWS], v_places[2] = {zero(c), plus(c, q->v_width, -1)};
    for (uint32_t end = 0; end < 2; end++) {
        for (uint32_t i = 0; i < q->n_rows; i++) {
            v[i] = LLVMBuildLoad2(e->b, e->f32, f32_at(c, q->v_rows[i], v_places[end]), "");
        }
        q->v_ends[end] = emit_splat(e, mixed(q, v, false));
    }
}

/* Lanes whose places, from v_at on, are among the row's. */
static LLVMValueRef lanes_in(resizer *q, LLVMValueRef v_at)
{
    return conv_lanes_of(q->c, v_at, q->v_width, 1).v_in[0];
}

/* A vector of the mixed row from v_at on, which goes on with its last element beyond it. */
static LLVMValueRef extended_vector(resizer *q, LLVMValueRef v_at)
{
    LLVMValueRef v_in = lanes_in(q, v_at);
    return LLVMBuildSelect(q->c->e->b, v_in, mixed_vector(q, v_at, v_in), q->v_ends[1], "");
}

/* The same, and begins with its first before it. */
static LLVMValueRef first_vector(resizer *q, LLVMValueRef v_at)
{
    emit *e = q->c->e;
    LLVMValueRef v_before = emit_lanes_below(e, v_at, zero(q->c));
    return LLVMBuildSelect(e->b, v_before, q->v_ends[0], extended_vector(q, v_at), "");
}

/* The mixed row, whole, to scratch memory. */
static void mix_row(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    emit_loop l;
    begin(c, &l, "mix", zero(c), q->v_width, e->lanes);
    store_vector(q, mixed_vector(q, l.v_i, lanes_in(q, l.v_i)), q->v_mixed, l.v_i);
    end(c, &l);
    q->v_row = q->v_mixed;
}

/* Vectors of y --------------------------------------------------------------------------------- */

/* Stores what becomes of a vector of resized values from place v_at on; masked: of those places
 * only that are this thread's. */
static void finish(resizer *q, LLVMValueRef v_value, LLVMValueRef v_at, bool masked)
{
    emit *e = q->c->e;
    const k_step *store = &q->n->steps[0];
    range r = q->out[q->n->n_outer - 1];
    if (masked) {
        LLVMValueRef v_first = most(q->c, sub(q->c, r.v_lo, v_at), zero(q->c));
        LLVMValueRef v_before = emit_lanes_below(e, zero(q->c), v_first);
        e->v_mask = LLVMBuildAnd(e->b, LLVMBuildNot(e->b, v_before, ""),
                                 emit_lanes_below(e, v_at, r.v_hi), "");
    }
    emit_memo memo;
    e->v_axes[last_axis(q)->id] = v_at;
    e->lane_axis = last_axis(q);
    emit_suppose(e, &memo, q->r->value, (emit_value){v_value, true});
    emit_store(e, store->buf, store->offset, emit_expr(e, store->value), false);
    emit_memo_pop(e);
    e->lane_axis = NULL;
    e->v_mask = NULL;
}

/* Keys 1981 with a = -0.75 where there are four taps, as lower_resize.c has it. */
static double weight_of(uint32_t taps, double distance)
{
    const double a = -0.75, x = fabs(distance);
    if (taps < 4) {
        return taps == 1 ? 1 : 1 - x;
    }
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

/* The value of a phase at so many places of the row from v_at on. */
static LLVMValueRef phase_vector(resizer *q, int64_t phase, const LLVMValueRef *v_around)
{
    emit *e = q->c->e;
    if (q->r->taps == 1) {
        return v_around[REACH];
    }
    double place = ((double)phase + 0.5) / (double)q->factor - 0.5, base = floor(place);
    int64_t first = (int64_t)base - (q->r->taps == 4);
    LLVMValueRef v_sum = NULL;
    for (uint32_t k = 0; k < q->r->taps; k++) {
        double weight = weight_of(q->r->taps, place - (double)(first + k));
        LLVMValueRef v = v_around[REACH + first + k],
                     v_by = emit_const(e, emit_vector(e, e->f32), weight);
        if (weight != 0) {
            v_sum = v_sum ? emit_fma(e, v, v_by, v_sum) : LLVMBuildFMul(e->b, v, v_by, "");
        }
    }
    return v_sum;
}

/* All phases of a vector of the row's places, from v_at on; v: it, the one before and after. */
static void run_phases(resizer *q, LLVMValueRef v_at, const LLVMValueRef v[3], bool masked)
{
    emit *e = q->c->e;
    LLVMValueRef v_around[2 * REACH + 1], v_phases[MOST_FACTOR],
        v_to = times(q->c, v_at, q->factor);
    for (uint32_t i = 0; i <= 2 * REACH && q->r->taps > 1; i++) {
        v_around[i] = i < REACH   ? emit_slide(e, v[0], v[1], e->lanes + i - REACH)
                      : i > REACH ? emit_slide(e, v[1], v[2], i - REACH)
                                  : v[1];
    }
    v_around[REACH] = v[1];
    for (int64_t phase = 0; phase < q->factor; phase++) {
        v_phases[phase] = phase_vector(q, phase, v_around);
    }
    for (uint32_t j = 0; j < q->factor; j++) {
        finish(q, emit_weave(e, (uint32_t)q->factor, v_phases, j),
               plus(q->c, v_to, (int64_t)j * e->lanes), masked);
    }
}

/* Turns of run_phases; v[2]: the vector before the first one, and it. Both come back as they are
 * after the last turn. The nearest places need neither. */
static void run_turns(resizer *q, LLVMValueRef v_lo, LLVMValueRef v_hi, LLVMValueRef v[2],
                      bool masked)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    LLVMValueRef v_now[3];
    emit_loop l;
    bool nearest = q->r->taps == 1;
    emit_loop_begin(e, &l, "places", v_lo, v_hi, emit_i64(e, e->lanes), nearest ? 0 : 2, v);
    if (nearest) {
        v_now[1] = mixed_vector(q, l.v_i, masked ? lanes_in(q, l.v_i) : NULL);
    } else {
        v_now[0] = l.v_carry[0];
        v_now[1] = l.v_carry[1];
        v_now[2] = extended_vector(q, plus(c, l.v_i, e->lanes));
    }
    run_phases(q, l.v_i, v_now, masked);
    emit_loop_end(e, &l, v_now + 1);
    memcpy(v, l.v_carry, 2 * sizeof *v);
}

/* A row of y that is a whole factor wider than x's. */
static void run_row_by_phases(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    range r = q->out[q->n->n_outer - 1];
    LLVMValueRef v_lo = LLVMBuildUDiv(e->b, r.v_lo, emit_i64(e, q->factor), ""),
                 v_hi = parts_of(c, r.v_hi, q->factor), v_whole = v_lo, v[2] = {NULL};
    if (q->r->taps > 1) {
        find_ends(q);
        v[0] = first_vector(q, plus(c, v_lo, -(int64_t)e->lanes));
        v[1] = first_vector(q, v_lo);
    }
    if (q->n->split + 1 != (int)q->n->n_outer) { /* whole rows */
        v_whole = sub(c, v_hi, LLVMBuildURem(e->b, v_hi, emit_i64(e, e->lanes), ""));
        run_turns(q, v_lo, v_whole, v, false);
    }
    run_turns(q, v_whole, v_hi, v, true);
}

/* Any other sizes: tables -------------------------------------------------------------------------
 */

static LLVMValueRef table_at(resizer *q, LLVMValueRef v_base, LLVMValueRef v_place, uint32_t tap)
{
    return f32_at(q->c, v_base, plus(q->c, v_place, tap * q->pitch));
}

/* Places and weights of the last axis, for all of it. */
static void make_tables(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    LLVMTypeRef it = emit_vector(e, e->i32);
    emit_loop l;
    begin(c, &l, "table", zero(c), emit_kernel_dim(e, last_axis(q)->extent), e->lanes);
    e->v_axes[last_axis(q)->id] = l.v_i;
    e->lane_axis = last_axis(q);
    for (uint32_t k = 0; k < q->r->taps; k++) {
        LLVMValueRef v = LLVMBuildTrunc(e->b, emit_lanes(e, q->r->places[q->last][k]), it, "");
        LLVMValueRef v_most =
            emit_splat(e, LLVMBuildTrunc(e->b, plus(c, q->v_width, -1), e->i32, ""));
        v = emit_intrinsic2(e, "llvm.smin", v, v_most); /* of lanes beyond the row's end */
        LLVMSetAlignment(LLVMBuildStore(e->b, v, table_at(q, q->v_places, l.v_i, k)), 4);
        if (q->r->taps > 1) {
            v = emit_lanes(e, q->r->weights[q->last][k]);
            LLVMSetAlignment(LLVMBuildStore(e->b, v, table_at(q, q->v_weights, l.v_i, k)), 4);
        }
    }
    e->lane_axis = NULL;
    end(c, &l);
}

/* A vector of y, from place v_at on. */
static void run_places(resizer *q, LLVMValueRef v_at, bool masked)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    LLVMTypeRef vt = emit_vector(e, e->f32), it = emit_vector(e, e->i32);
    LLVMValueRef v_sum = NULL, v_all = LLVMConstAllOnes(emit_vector(e, e->i1));
    for (uint32_t k = 0; k < q->r->taps; k++) {
        LLVMValueRef v_places = LLVMBuildLoad2(e->b, it, table_at(q, q->v_places, v_at, k), "");
        LLVMSetAlignment(v_places, 4);
        LLVMValueRef args[4] = {LLVMBuildGEP2(e->b, e->f32, q->v_row, &v_places, 1, ""),
                                LLVMConstInt(e->i32, 4, false), v_all, LLVMConstNull(vt)};
        LLVMValueRef v = emit_intrinsic(e, "llvm.masked.gather", 2,
                                        (LLVMTypeRef[]){vt, emit_vector(e, e->ptr)}, 4, args);
        if (q->r->taps == 1) {
            v_sum = v;
            continue;
        }
        LLVMValueRef v_by = load_vector(c, table_at(q, q->v_weights, v_at, k), zero(c), 4);
        v_sum = v_sum ? emit_fma(e, v, v_by, v_sum) : LLVMBuildFMul(e->b, v, v_by, "");
    }
    finish(q, v_sum, v_at, masked);
}

static void run_row_by_tables(resizer *q)
{
    conv_emitter *c = q->c;
    emit *e = c->e;
    range r = q->out[q->n->n_outer - 1];
    LLVMValueRef v_n = LLVMBuildURem(e->b, sub(c, r.v_hi, r.v_lo), emit_i64(e, e->lanes), "");
    emit_loop l;
    q->v_row = q->v_rows[0];
    if (q->r->taps > 1) {
        mix_row(q);
    }
    begin(c, &l, "places", r.v_lo, sub(c, r.v_hi, v_n), e->lanes);
    run_places(q, l.v_i, false);
    end(c, &l);
    emit_if rest;
    emit_if_begin(e, &rest, LLVMBuildICmp(e->b, LLVMIntSGT, v_n, zero(c), ""), "rest");
    run_places(q, sub(c, r.v_hi, v_n), true);
    emit_if_end(e, &rest);
}

/* ------------------------------------------------------------------------------------------------
 */

static void run_axis(resizer *q, uint32_t i)
{
    if (i + 1 == q->n->n_outer) {
        find_rows(q);
        (q->factor ? run_row_by_phases : run_row_by_tables)(q);
        return;
    }
    emit_loop l;
    begin(q->c, &l, "out", q->out[i].v_lo, q->out[i].v_hi, 1);
    q->c->e->v_axes[q->n->outer[i]->id] = l.v_i;
    run_axis(q, i + 1);
    end(q->c, &l);
}

/* Sets aside a row and the tables. */
static void take_scratch(resizer *q)
{
    emit *e = q->c->e;
    int64_t lanes = e->lanes, row = ir_dim_value(q->r->sizes[q->last]) + lanes;
    q->pitch = ir_dim_value(last_axis(q)->extent) + lanes;
    q->v_mixed = emit_scratch(e, (uint64_t)(4 * (row + 2 * q->r->taps * q->pitch)));
    q->v_places = f32_at(q->c, q->v_mixed, emit_i64(e, row));
    q->v_weights = f32_at(q->c, q->v_places, emit_i64(e, q->r->taps * q->pitch));
}

bool emit_resize(emit *e, const k_nest *n)
{
    const k_resize *r = n->resize;
    if (!r) {
        return false;
    }
    conv_emitter c = {.e = e};
    resizer q = {.c = &c, .n = n, .r = r, .last = r->n_spatial - 1, .factor = factor_of(e, n)};
    if (!q.factor && !(is_moderate(r->sizes[q.last]) && is_moderate(last_axis(&q)->extent))) {
        return false;
    }
    q.v_width = emit_kernel_dim(e, r->sizes[q.last]);
    find_ranges(&c, n, q.out);
    e->lanes_aligned = false;
    emit_if alone;
    if (n->split < 0) {
        emit_alone_begin(e, &alone);
    }
    if (!q.factor) {
        take_scratch(&q);
        make_tables(&q);
    }
    run_axis(&q, 0);
    if (n->split < 0) {
        emit_if_end(e, &alone);
    }
    return true;
}
