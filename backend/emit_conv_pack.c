/* The inputs of a block of places, copied so that those of one product lie side by side. */
#include "backend/emit_conv_parts.h"

static LLVMValueRef source_index(conv_emitter *q, uint32_t axis, LLVMValueRef v_place,
                                 LLVMValueRef v_shift)
{
    const conv_axis *x = &q->p.axes[axis];
    return plus(q, add(q, times(q, v_place, x->by), times(q, v_shift, x->step)), x->first);
}

/* Which of the elements v_first, v_first + step ... are below v_limit, and 0 or more? */
static LLVMValueRef within(conv_emitter *q, LLVMValueRef v_first, LLVMValueRef v_limit,
                           int64_t step)
{
    emit *e = q->e;
    LLVMTypeRef it = emit_vector(e, e->i32);
    LLVMValueRef v_lanes =
        LLVMBuildMul(e->b, emit_iota(e, e->i32), emit_const_int(e, it, step), "");
    LLVMValueRef v_at = emit_splat(e, LLVMBuildTrunc(e->b, v_first, e->i32, ""));
    v_at = LLVMBuildAdd(e->b, v_at, v_lanes, "");
    LLVMValueRef v_end = emit_splat(e, LLVMBuildTrunc(e->b, v_limit, e->i32, ""));
    return LLVMBuildICmp(e->b, LLVMIntULT, v_at, v_end, "");
}

conv_lanes conv_lanes_of(conv_emitter *q, LLVMValueRef v_first, LLVMValueRef v_limit, int64_t step)
{
    conv_lanes lanes = {.v_first = v_first, .step = step};
    for (uint32_t i = 0; i < (step == 2 ? 2 : 1); i++) {
        lanes.v_in[i] =
            within(q, plus(q, v_first, (int64_t)i * q->e->lanes), v_limit, step == 2 ? 1 : step);
    }
    return lanes;
}

LLVMValueRef conv_load_lanes(conv_emitter *q, LLVMValueRef v_row, const conv_lanes *lanes,
                             LLVMValueRef v_else)
{
    emit *e = q->e;
    LLVMTypeRef vt = emit_vector(e, e->f32);
    LLVMValueRef v[2], v_align = LLVMConstInt(e->i32, 4, false),
                       v_at = f32_at(q, v_row, lanes->v_first);
    if (lanes->step > 2) {
        LLVMValueRef v_steps = LLVMBuildMul(
            e->b, emit_iota(e, e->i32), emit_const_int(e, emit_vector(e, e->i32), lanes->step), "");
        LLVMValueRef args[4] = {LLVMBuildGEP2(e->b, e->f32, v_at, &v_steps, 1, ""), v_align,
                                lanes->v_in[0], v_else};
        return emit_intrinsic(e, "llvm.masked.gather", 2,
                              (LLVMTypeRef[]){vt, emit_vector(e, e->ptr)}, 4, args);
    }
    for (uint32_t i = 0; i < lanes->step; i++) {
        LLVMValueRef args[4] = {f32_at(q, v_at, emit_i64(e, (int64_t)i * e->lanes)), v_align,
                                lanes->v_in[i], v_else};
        v[i] = emit_intrinsic(e, "llvm.masked.load", 2, (LLVMTypeRef[]){vt, e->ptr}, 4, args);
    }
    return lanes->step == 2 ? emit_pick(e, v[0], v[1], 0, 2) : v[0];
}

LLVMValueRef conv_load_row(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_first,
                           LLVMValueRef v_limit, int64_t step)
{
    conv_lanes lanes = conv_lanes_of(q, v_first, v_limit, step);
    return conv_load_lanes(q, v_row, &lanes, LLVMConstNull(emit_vector(q->e, q->e->f32)));
}

enum { UNROLLED = 4 }; /* shifts of columns, at most: loops around so little would take longer */

/* A vector of a row's places from v_col on, to its plane of one shift of columns. */
static void pack_vector(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_limit,
                        LLVMValueRef v_col, LLVMValueRef v_shift, LLVMValueRef v_to)
{
    emit *e = q->e;
    LLVMValueRef v_first = source_index(q, 2, add(q, q->v_at[2], v_col), v_shift);
    LLVMValueRef v = conv_load_row(q, v_row, v_first, v_limit, q->p.axes[2].by);
    LLVMValueRef v_at = add(q, times(q, v_shift, q->p.plane), v_col);
    LLVMSetAlignment(LLVMBuildStore(e->b, v, f32_at(q, v_to, v_at)), 4);
}

/* One row of places, to its planes of every shift of columns. */
static void pack_row(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_limit, LLVMValueRef v_to)
{
    emit *e = q->e;
    int64_t n = q->p.axes[2].shifts;
    emit_loop shift, col;
    begin(q, &col, "col", zero(q), q->v_n[2], e->lanes);
    for (int64_t i = 0; i < n && n <= UNROLLED; i++) {
        pack_vector(q, v_row, v_limit, col.v_i, emit_i64(e, i), v_to);
    }
    if (n > UNROLLED) {
        begin(q, &shift, "shift", zero(q), emit_i64(e, n), 1);
        pack_vector(q, v_row, v_limit, col.v_i, shift.v_i, v_to);
        end(q, &shift);
    }
    end(q, &col);
}

/* The rows of one plane: those of the block at the plane's first shift, and what other shifts have
 * below them. They are written in order, for a row's last vector reaches beyond it. */
static void pack_plane(conv_emitter *q, LLVMValueRef v_plane, LLVMValueRef v_z, LLVMValueRef v_deep,
                       LLVMValueRef v_to)
{
    emit *e = q->e;
    const conv_axis *high = &q->p.axes[1];
    LLVMValueRef v_n = q->v_n[1];
    if (high->planes < high->shifts) {
        LLVMValueRef v_others = sub(q, emit_i64(e, high->shifts - 1), v_plane);
        v_others = LLVMBuildUDiv(e->b, v_others, emit_i64(e, high->planes), "");
        v_n = add(q, v_n, times(q, v_others, high->down));
    }
    emit_loop row;
    begin(q, &row, "row", zero(q), v_n, 1);
    LLVMValueRef v_y = source_index(q, 1, add(q, q->v_at[1], row.v_i), v_plane);
    LLVMValueRef v_in = LLVMBuildICmp(e->b, LLVMIntULT, v_y, q->v_sizes[1], "");
    v_in = LLVMBuildAnd(e->b, v_in, v_deep, "");
    LLVMValueRef v_row = mul(q, add(q, mul(q, v_z, q->v_sizes[1]), v_y), q->v_sizes[2]);
    pack_row(q, f32_at(q, e->v_bufs[q->p.conv->x->id], v_row),
             emit_select(e, v_in, q->v_sizes[2], zero(q)),
             f32_at(q, v_to, mul(q, row.v_i, q->v_n[2])));
    end(q, &row);
}

void conv_pack(conv_emitter *q)
{
    emit *e = q->e;
    const conv_axis *axes = q->p.axes;
    int64_t all = q->p.conv->in_group;
    emit_loop c, depth, plane;
    begin(q, &c, "channel", zero(q), q->v_channels, 1);
    LLVMValueRef v_c =
        add(q, times(q, q->v_image, all * q->p.conv->groups), times(q, q->v_group, all));
    v_c = add(q, add(q, v_c, q->v_channel), c.v_i);
    LLVMValueRef v_to = f32_at(q, q->v_packed, times(q, c.v_i, q->p.stride));
    begin(q, &depth, "depth", zero(q), emit_i64(e, axes[0].shifts), 1);
    LLVMValueRef v_z = source_index(q, 0, q->v_at[0], depth.v_i);
    LLVMValueRef v_deep = LLVMBuildICmp(e->b, LLVMIntULT, v_z, q->v_sizes[0], "");
    v_z = add(q, mul(q, v_c, q->v_sizes[0]), v_z);
    begin(q, &plane, "plane", zero(q), emit_i64(e, axes[1].planes), 1);
    LLVMValueRef v_at = add(q, times(q, depth.v_i, axes[1].planes), plane.v_i);
    v_at = times(q, v_at, axes[2].planes * q->p.plane);
    pack_plane(q, plane.v_i, v_z, v_deep, f32_at(q, v_to, v_at));
    end(q, &plane);
    end(q, &depth);
    end(q, &c);
}
