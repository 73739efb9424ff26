/* sort, argsort, topk: every element's rank is counted, and it is written there. Needs no memory
 * beside the result, is stable, and puts nan last; takes time quadratic in the length of a row. */
#include "backend/emit.h"

/* Does x come before y? nan comes after everything. */
static LLVMValueRef before(emit *e, const k_sort *s, LLVMValueRef x, LLVMValueRef y)
{
    ir_dtype t = s->key->dtype;
    LLVMValueRef v = emit_math(e, s->descending ? IR_OP_gt : IR_OP_lt, t, x, y);
    if (ir_dtype_is_float(t)) {
        LLVMValueRef v_x = LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, ""),
                     v_y = LLVMBuildFCmp(e->b, LLVMRealUNO, y, y, "");
        v = LLVMBuildOr(e->b, v, LLVMBuildAnd(e->b, v_y, LLVMBuildNot(e->b, v_x, ""), ""), "");
    }
    return v;
}

static LLVMValueRef key_at(emit *e, const k_sort *s, LLVMValueRef v_i)
{
    emit_memo memo;
    emit_memo_push(e, &memo);
    e->v_axes[s->axis->id] = v_i;
    LLVMValueRef v = emit_expr(e, s->key).v;
    emit_memo_pop(e);
    return v;
}

static void sort_row(emit *e, const k_sort *s)
{
    LLVMValueRef v_n = emit_kernel_dim(e, s->axis->extent),
                 v_kept = emit_kernel_dim(e, s->out_axis->extent);
    LLVMValueRef v_zero = emit_i64(e, 0), v_one = emit_i64(e, 1);
    emit_loop l;
    emit_loop_begin(e, &l, "element", v_zero, v_n, v_one, 0, NULL);
    LLVMValueRef v_x = key_at(e, s, l.v_i);
    emit_loop c;
    emit_loop_begin(e, &c, "rank", v_zero, v_n, v_one, 1, &v_zero);
    LLVMValueRef v_y = key_at(e, s, c.v_i);
    LLVMValueRef v_less = before(e, s, v_y, v_x), v_more = before(e, s, v_x, v_y);
    LLVMValueRef v_earlier = LLVMBuildICmp(e->b, LLVMIntSLT, c.v_i, l.v_i, "");
    LLVMValueRef v_tie = LLVMBuildAnd(e->b, LLVMBuildNot(e->b, v_more, ""), v_earlier, "");
    LLVMValueRef v_count = LLVMBuildZExt(e->b, LLVMBuildOr(e->b, v_less, v_tie, ""), e->i64, "");
    LLVMValueRef v_rank = LLVMBuildAdd(e->b, c.v_carry[0], v_count, "");
    emit_loop_end(e, &c, &v_rank);
    emit_if f;
    emit_if_begin(e, &f, LLVMBuildICmp(e->b, LLVMIntSLT, c.v_carry[0], v_kept, ""), "kept");
    e->v_axes[s->out_axis->id] = c.v_carry[0];
    if (s->values) {
        emit_store(e, s->values, s->values_offset,
                   (emit_value){emit_convert(e, v_x, s->key->dtype, s->values->dtype), false},
                   false);
    }
    if (s->indices) {
        emit_store(e, s->indices, s->indices_offset, (emit_value){l.v_i, false}, false);
    }
    emit_if_end(e, &f);
    emit_loop_end(e, &l, NULL);
}

static void run_axis(emit *e, const k_sort *s, uint32_t axis)
{
    if (axis == s->n_outer) {
        sort_row(e, s);
        return;
    }
    emit_loop l;
    emit_loop_begin(e, &l, s->outer[axis]->name, emit_i64(e, 0),
                    emit_kernel_dim(e, s->outer[axis]->extent), emit_i64(e, 1), 0, NULL);
    e->v_axes[s->outer[axis]->id] = l.v_i;
    run_axis(e, s, axis + 1);
    emit_loop_end(e, &l, NULL);
}

void emit_sort(emit *e, const k_sort *s)
{
    emit_if f;
    emit_alone_begin(e, &f);
    run_axis(e, s, 0);
    emit_if_end(e, &f);
}
