/* Turns a matrix round, a block of lanes by lanes in registers:
 *
 *     for the other axes
 *         for rows of a block, columns of a block
 *             v[i] = x[row + i][column ...]     as many vectors as lanes, as they lie
 *             transpose v
 *             y[column + j][row ...] = v[j]
 *
 * Every line of memory is read and written once and whole. The last block of an axis begins where
 * it ends with the thread's part: it does some of the one before again. A part smaller than a block
 * is copied an element at a time. */
#include "backend/emit_turn.h"

typedef struct turn {
    emit *e;
    const k_nest *n;
    const k_expr *load;
    const k_axis *axes[EMIT_MOST_OUTER]; /* the nest's, then the store's own */
    uint32_t n_axes;
    uint32_t written,
        read; /* of those: the one along which y lies in order, and the one along which x does */
    const ir_dim *from_step, *to_step; /* x's elements along `written`, y's along `read` */
    LLVMValueRef v_lo[EMIT_MOST_OUTER], v_hi[EMIT_MOST_OUTER];
} turn;

static bool steps_by_one(emit *e, const k_expr *offset, const k_axis *axis)
{
    const ir_dim *stride;
    return k_affine(e->c, e->a, offset, axis, &stride) && ir_dim_is_one(stride);
}

/* Is there such an axis, and may it be as long as a block? */
static bool has_blocks(const turn *t, uint32_t i)
{
    const ir_dim *n = i < t->n_axes ? t->axes[i]->extent : NULL;
    return n && (!ir_dim_is_const(n) || ir_dim_value(n) >= t->e->lanes);
}

static bool find_turn(turn *t)
{
    emit *e = t->e;
    const k_nest *n = t->n;
    const k_step *s = n->steps;
    if (n->n_steps != 1 || s->kind != K_STEP_STORE || s->add || s->value->kind != K_LOAD ||
        s->value->guard) {
        return false;
    }
    t->load = s->value;
    const k_buf *x = t->load->buf;
    if (x->storage != IR_STORAGE_f32 || x->panel || x->dtype != IR_f32 || s->buf->dtype != IR_f32) {
        return false;
    }
    for (uint32_t i = 0; i < n->n_outer + s->n_axes; i++) {
        t->axes[t->n_axes++] = i < n->n_outer ? n->outer[i] : s->axes[i - n->n_outer];
    }
    t->written = t->read = t->n_axes;
    for (uint32_t i = 0; i < t->n_axes; i++) {
        t->written = steps_by_one(e, s->offset, t->axes[i]) ? i : t->written;
        t->read = steps_by_one(e, t->load->args[0], t->axes[i]) ? i : t->read;
    }
    return has_blocks(t, t->written) && has_blocks(t, t->read) && t->written != t->read &&
           k_affine(e->c, e->a, t->load->args[0], t->axes[t->written], &t->from_step) &&
           k_affine(e->c, e->a, s->offset, t->axes[t->read], &t->to_step);
}

static LLVMValueRef place(turn *t, const k_buf *b, LLVMValueRef v_offset, LLVMValueRef v_step,
                          uint32_t i)
{
    emit *e = t->e;
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_step, emit_i64(e, i), "");
    v_at = LLVMBuildAdd(e->b, v_offset, v_at, "");
    return LLVMBuildGEP2(e->b, e->f32, e->v_bufs[b->id], &v_at, 1, "");
}

/* The block at the values of the axes. */
static void turn_block(turn *t)
{
    emit *e = t->e;
    const k_step *s = t->n->steps;
    emit_memo memo;
    emit_memo_push(e, &memo);
    LLVMValueRef v[64], v_from = emit_scalar(e, t->load->args[0]), v_to = emit_scalar(e, s->offset),
                        v_from_step = emit_kernel_dim(e, t->from_step),
                        v_to_step = emit_kernel_dim(e, t->to_step);
    for (uint32_t i = 0; i < e->lanes; i++) {
        LLVMValueRef v_ptr = place(t, t->load->buf, v_from, v_from_step, i);
        v[i] = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), v_ptr, "");
        LLVMSetAlignment(v[i], 4);
    }
    emit_transpose(e, v);
    for (uint32_t i = 0; i < e->lanes; i++) {
        LLVMValueRef v_ptr = place(t, s->buf, v_to, v_to_step, i);
        LLVMSetAlignment(LLVMBuildStore(e->b, v[i], v_ptr), 4);
    }
    emit_memo_pop(e);
}

static void turn_element(turn *t)
{
    emit *e = t->e;
    const k_step *s = t->n->steps;
    emit_memo memo;
    emit_memo_push(e, &memo);
    emit_store(e, s->buf, s->offset, (emit_value){emit_scalar(e, s->value), false}, false);
    emit_memo_pop(e);
}

/* The two axes, by blocks or by ones: `written` outside. */
static void run_matrix(turn *t, bool blocks)
{
    emit *e = t->e;
    uint32_t axes[2] = {t->written, t->read};
    LLVMValueRef v_by = emit_i64(e, blocks ? e->lanes : 1);
    emit_loop l[2];
    for (uint32_t i = 0; i < 2; i++) {
        LLVMValueRef v_lo = t->v_lo[axes[i]], v_hi = t->v_hi[axes[i]];
        emit_loop_begin(e, &l[i], "turn", v_lo, v_hi, v_by, 0, NULL);
        LLVMValueRef v_last = LLVMBuildSub(e->b, v_hi, v_by, "");
        e->v_axes[t->axes[axes[i]]->id] =
            blocks ? emit_intrinsic2(e, "llvm.smin", l[i].v_i, v_last) : l[i].v_i;
    }
    if (blocks) {
        turn_block(t);
    } else {
        turn_element(t);
    }
    emit_loop_end(e, &l[1], NULL);
    emit_loop_end(e, &l[0], NULL);
}

static void run_axis(turn *t, uint32_t i)
{
    emit *e = t->e;
    if (i == t->n_axes) {
        LLVMValueRef v_whole = LLVMConstInt(e->i1, 1, false), v_lanes = emit_i64(e, e->lanes);
        uint32_t axes[2] = {t->written, t->read};
        for (uint32_t k = 0; k < 2; k++) {
            LLVMValueRef v_n = LLVMBuildSub(e->b, t->v_hi[axes[k]], t->v_lo[axes[k]], "");
            v_whole =
                LLVMBuildAnd(e->b, v_whole, LLVMBuildICmp(e->b, LLVMIntSGE, v_n, v_lanes, ""), "");
        }
        emit_if f;
        emit_if_begin(e, &f, v_whole, "blocks");
        run_matrix(t, true);
        emit_if_end(e, &f);
        emit_if_begin(e, &f, LLVMBuildNot(e->b, v_whole, ""), "ones");
        run_matrix(t, false);
        emit_if_end(e, &f);
        return;
    }
    if (i == t->written || i == t->read) {
        run_axis(t, i + 1);
        return;
    }
    emit_loop l;
    emit_loop_begin(e, &l, "outer", t->v_lo[i], t->v_hi[i], emit_i64(e, 1), 0, NULL);
    e->v_axes[t->axes[i]->id] = l.v_i;
    run_axis(t, i + 1);
    emit_loop_end(e, &l, NULL);
}

bool emit_turn(emit *e, const k_nest *n)
{
    turn t = {.e = e, .n = n};
    if (!find_turn(&t)) {
        return false;
    }
    for (uint32_t i = 0; i < t.n_axes; i++) {
        t.v_lo[i] = emit_i64(e, 0);
        t.v_hi[i] = emit_kernel_dim(e, t.axes[i]->extent);
        if (n->split == (int)i) {
            emit_share(e, t.v_hi[i], n->grain, &t.v_lo[i], &t.v_hi[i]);
        }
    }
    emit_if alone;
    LLVMValueRef v_mine = LLVMConstInt(e->i1, 1, false);
    if (n->split < 0) {
        v_mine = LLVMBuildICmp(e->b, LLVMIntEQ, e->v_thread, LLVMConstInt(e->i32, 0, false), "");
    }
    emit_if_begin(e, &alone, v_mine, "mine");
    run_axis(&t, 0);
    emit_if_end(e, &alone);
    return true;
}
