/* Loop nests: over the points of their outer axes, in blocks where the schedule says so. Those that
 * are convolutions, products and the like have emitters of their own. */
#include "backend/emit_conv.h"
#include "backend/emit_pool.h"
#include "backend/emit_resize.h"
#include "backend/emit_steps.h"
#include "backend/emit_turn.h"

/* One block of rows x cols points at the current values of the last two axes. */
static void run_points(nest_emitter *q, uint32_t rows, uint32_t cols)
{
    emit *e = q->e;
    uint32_t n = q->n->n_outer;
    bool outer = q->s.lanes == SCHEDULE_OUTER;
    int64_t apart = outer ? e->lanes : 1;
    LLVMValueRef v_col = n ? e->v_axes[q->n->outer[n - 1]->id] : NULL,
                 v_row = n > 1 ? e->v_axes[q->n->outer[n - 2]->id] : NULL;
    q->n_points = rows * cols;
    for (uint32_t p = 0; p < q->n_points; p++) {
        uint32_t r = p / cols, k = p % cols;
        q->points[p].v_axes[0] =
            !n || k == 0 ? v_col : LLVMBuildAdd(e->b, v_col, emit_i64(e, k * apart), "");
        q->points[p].v_axes[1] =
            n < 2 || r == 0 ? v_row : LLVMBuildAdd(e->b, v_row, emit_i64(e, r), "");
    }
    e->lane_axis = outer ? q->n->outer[n - 1] : NULL;
    emit_steps(q);
    e->lane_axis = NULL;
    for (uint32_t i = 0; i < 2 && i < n; i++) { /* points have moved them */
        e->v_axes[q->n->outer[n - 1 - i]->id] = i ? v_row : v_col;
    }
}

static void run_axis(nest_emitter *q, uint32_t depth, uint32_t rows, uint32_t cols);

/* The axis that is the depth-th loop: in order, but that a product's last two change places
 * (schedule.h). */
static uint32_t axis_at(const nest_emitter *q, uint32_t depth)
{
    uint32_t n = q->n->n_outer;
    bool swapped = q->s.cols_first && n > 1 && depth + 2 >= n;
    return swapped ? 2 * n - 3 - depth : depth;
}

static void axis_loop(nest_emitter *q, uint32_t depth, LLVMValueRef v_lo, LLVMValueRef v_hi,
                      int64_t step, uint32_t rows, uint32_t cols)
{
    emit *e = q->e;
    const k_axis *k = q->n->outer[axis_at(q, depth)];
    emit_loop l;
    emit_loop_begin(e, &l, k->name, v_lo, v_hi, emit_i64(e, step), 0, NULL);
    e->v_axes[k->id] = l.v_i;
    run_axis(q, depth + 1, rows, cols);
    emit_loop_end(e, &l, NULL);
}

/* Blocks of `by`, then the rest one by one (the last vector of OUTER lanes under a mask). */
static void run_axis(nest_emitter *q, uint32_t depth, uint32_t rows, uint32_t cols)
{
    emit *e = q->e;
    uint32_t n = q->n->n_outer;
    if (depth == n) {
        run_points(q, rows, cols);
        return;
    }
    uint32_t axis = axis_at(q, depth);
    LLVMValueRef v_lo = emit_i64(e, 0), v_hi = emit_kernel_dim(e, q->n->outer[axis]->extent);
    if (q->n->split == (int)axis) {
        emit_share(e, v_hi, q->n->grain, &v_lo, &v_hi);
    }
    bool last = axis + 1 == n, row = axis + 2 == n;
    uint32_t jam = last ? q->s.jam_cols : row ? q->s.jam_rows : 1;
    int64_t unit = last && q->s.lanes == SCHEDULE_OUTER ? e->lanes : 1, block = unit * jam;
    if (block == 1) {
        axis_loop(q, depth, v_lo, v_hi, 1, rows, cols);
        return;
    }
    LLVMValueRef v_length = LLVMBuildSub(e->b, v_hi, v_lo, ""), v_at = v_lo;
    for (int64_t b = block; b >= unit; b = b > unit ? unit : 0) {
        LLVMValueRef v_n = LLVMBuildSDiv(e->b, v_length, emit_i64(e, b), "");
        LLVMValueRef v_to =
            LLVMBuildAdd(e->b, v_lo, LLVMBuildMul(e->b, v_n, emit_i64(e, b), ""), "");
        v_to = emit_intrinsic2(e, "llvm.smax", v_to, v_at);
        uint32_t points = (uint32_t)(b / unit);
        axis_loop(q, depth, v_at, v_to, b, row ? points : rows, last ? points : cols);
        v_at = v_to;
    }
    if (unit > 1) {
        emit_loop l;
        emit_loop_begin(e, &l, "rest", v_at, v_hi, emit_i64(e, unit), 0, NULL);
        e->v_axes[q->n->outer[axis]->id] = l.v_i;
        e->v_mask = emit_lanes_below(e, l.v_i, v_hi);
        run_axis(q, depth + 1, rows, 1);
        e->v_mask = NULL;
        emit_loop_end(e, &l, NULL);
    }
}

void emit_nest(emit *e, const k_nest *n)
{
    if (emit_conv_can(e, n)) {
        emit_conv(e, n);
        return;
    }
    if (n->pool) {
        emit_pool(e, n);
        return;
    }
    if (emit_resize(e, n)) {
        return;
    }
    if (emit_turn(e, n) || emit_contract(e, n, 1)) {
        return;
    }
    nest_emitter *q = emit_steps_begin(e, n);
    q->s = schedule_nest(e->c, e->a, n, e->t);
    for (uint32_t i = 0; i < n->n_steps; i++) { /* these keep one point at a time */
        bool alone = n->steps[i].kind == K_STEP_SCAN || n->steps[i].op == IR_OP_argmax ||
                     n->steps[i].op == IR_OP_argmin;
        q->s.jam_rows = alone ? 1 : q->s.jam_rows;
        q->s.jam_cols = alone ? 1 : q->s.jam_cols;
        q->s.lanes = n->steps[i].kind == K_STEP_SCAN ? SCHEDULE_SCALAR : q->s.lanes;
    }
    if (n->keep) {
        q->s = (schedule){.lanes = SCHEDULE_INNER, .jam_rows = 1, .jam_cols = 1, .unroll = 1};
        e->v_bufs[n->keep->buf->id] =
            LLVMBuildArrayAlloca(e->b, e->f32, emit_i64(e, n->keep->group), "keep");
    }
    bool shares = q->s.lanes == SCHEDULE_OUTER && n->split + 1 == (int)n->n_outer;
    e->lanes_aligned = !shares || n->grain % e->lanes == 0;
    if (n->split >= 0) {
        run_axis(q, 0, 1, 1);
        return;
    }
    emit_if f;
    emit_alone_begin(e, &f);
    run_axis(q, 0, 1, 1);
    emit_if_end(e, &f);
}
