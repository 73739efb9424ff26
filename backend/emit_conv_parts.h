/* What the parts of the convolution emitter share: emit_conv.c runs blocks, and for each of them
 * emit_conv_pack.c packs x, emit_conv_tile.c makes sums, emit_conv_finish.c stores them; where
 * that is less work, emit_winograd.c does the first two. */
#ifndef AIGC_BACKEND_EMIT_CONV_PARTS_H
#define AIGC_BACKEND_EMIT_CONV_PARTS_H

#include "backend/conv_plan.h"
#include "backend/emit.h"

typedef struct range {
    LLVMValueRef v_lo, v_hi;
} range;

typedef struct conv_emitter {
    emit *e;
    conv_plan p;
    LLVMValueRef v_packed;      /* f32[channels][stride], a channel's planes */
    LLVMValueRef v_sums;        /* f32[channels of y][phases][outputs] */
    LLVMValueRef v_copied;      /* f32[channels][weights] of a transposed one: from channel */
    LLVMValueRef v_copied_from; /* of y on */
    LLVMValueRef v_phases;      /* conv_phase_table; NULL: one tap, at no shift */
    range out[3];               /* this thread's part of y, by axis */
    LLVMValueRef v_sizes[3];    /* of x */
    LLVMValueRef v_image, v_group;
    LLVMValueRef v_at[3], v_n[3]; /* the block: its first place and its extent, by axis */
    LLVMValueRef v_places;        /* of the block, packed */
    LLVMValueRef v_pitch; /* from row to row: places, and outputs of a phase among the sums */
    LLVMValueRef v_channel, v_channels; /* the part of the group's channels */
    emit_function outside;              /* while a tile's function is written */
} conv_emitter;

/* Arithmetic of sizes ------------------------------------------------------------------------ */

static inline LLVMValueRef add(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAdd(q->e->b, x, y, "");
}

static inline LLVMValueRef sub(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSub(q->e->b, x, y, "");
}

static inline LLVMValueRef plus(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i ? add(q, v, emit_i64(q->e, i)) : v;
}

static inline LLVMValueRef mul(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildMul(q->e->b, x, y, "");
}

static inline LLVMValueRef times(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i == 1 ? v : mul(q, v, emit_i64(q->e, i));
}

/* x / i, rounded up; neither is negative. */
static inline LLVMValueRef parts_of(conv_emitter *q, LLVMValueRef v, int64_t i)
{
    return i == 1 ? v : LLVMBuildUDiv(q->e->b, plus(q, v, i - 1), emit_i64(q->e, i), "");
}

static inline LLVMValueRef least(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return emit_intrinsic2(q->e, "llvm.smin", x, y);
}

static inline LLVMValueRef most(conv_emitter *q, LLVMValueRef x, LLVMValueRef y)
{
    return emit_intrinsic2(q->e, "llvm.smax", x, y);
}

static inline LLVMValueRef f32_at(conv_emitter *q, LLVMValueRef v_base, LLVMValueRef v_i)
{
    return LLVMBuildGEP2(q->e->b, q->e->f32, v_base, &v_i, 1, "");
}

static inline LLVMValueRef load_vector(conv_emitter *q, LLVMValueRef v_base, LLVMValueRef v_i,
                                       unsigned align)
{
    emit *e = q->e;
    LLVMValueRef v = LLVMBuildLoad2(e->b, emit_vector(e, e->f32), f32_at(q, v_base, v_i), "");
    LLVMSetAlignment(v, align);
    return v;
}

static inline void begin(conv_emitter *q, emit_loop *l, const char *name, LLVMValueRef v_lo,
                         LLVMValueRef v_hi, int64_t step)
{
    emit_loop_begin(q->e, l, name, v_lo, v_hi, emit_i64(q->e, step), 0, NULL);
}

static inline void end(conv_emitter *q, emit_loop *l)
{
    emit_loop_end(q->e, l, NULL);
}

static inline LLVMValueRef zero(conv_emitter *q)
{
    return emit_i64(q->e, 0);
}

/* All of the nest's outer axes; of the split one, this thread's share. */
static inline void find_ranges(conv_emitter *q, const k_nest *n, range *out)
{
    for (uint32_t i = 0; i < n->n_outer; i++) {
        out[i] = (range){zero(q), emit_kernel_dim(q->e, n->outer[i]->extent)};
        if (n->split == (int)i) {
            emit_share(q->e, out[i].v_hi, n->grain, &out[i].v_lo, &out[i].v_hi);
        }
    }
}

/* Packing (emit_conv_pack.c) ----------------------------------------------------------------- */

/* Elements v_first, v_first + step ... of a row, one a lane: which of them are among the row's
 * v_limit elements. A row has fewer than 2^31. */
typedef struct conv_lanes {
    LLVMValueRef v_first, v_in[2]; /* with a step of 2: of two vectors, as they lie */
    int64_t step;
} conv_lanes;
conv_lanes conv_lanes_of(conv_emitter *q, LLVMValueRef v_first, LLVMValueRef v_limit, int64_t step);
/* Those elements, and v_else's for the others. */
LLVMValueRef conv_load_lanes(conv_emitter *q, LLVMValueRef v_row, const conv_lanes *lanes,
                             LLVMValueRef v_else);
/* The two together, with zeros. */
LLVMValueRef conv_load_row(conv_emitter *q, LLVMValueRef v_row, LLVMValueRef v_first,
                           LLVMValueRef v_limit, int64_t step);
/* The block's part of x, to q->v_packed. */
void conv_pack(conv_emitter *q);

/* Tiles (emit_conv_tile.c) -------------------------------------------------------------------- */

typedef struct conv_tile {
    uint32_t rows, vectors;
    LLVMValueRef v_w;       /* weights of the first row */
    LLVMValueRef v_next;    /* weights that are asked for meanwhile, as many as those; or NULL */
    LLVMValueRef v_b;       /* inputs of the first place */
    int64_t w_row, w_step;  /* f32s from row to row, and along channels of x */
    int64_t w_tap;          /* from tap to tap */
    int64_t panel, w_panel; /* rows of a panel, and from panel to panel */
    int64_t b_step;         /* along channels of x */
    int64_t to_row;         /* of the sums */
    LLVMValueRef v_table;   /* of the phase: emit_conv_phase.c; NULL: there is one tap */
} conv_tile;

/* Sums of so many rows for all places of the block, to v_to[rows][to_row]. */
void conv_run_places(conv_emitter *q, conv_tile t, LLVMValueRef v_to);
/* All phases of a tile's channels, the first of which is v_o of y's (emit_conv_phase.c). */
void conv_run_phases(conv_emitter *q, conv_tile t, LLVMValueRef v_o, LLVMValueRef v_to);
/* Once a kernel: i64[phases][1 + TAP_FIELDS * most], taps of the phase, then for each its number
 * among w's, that of the tap after it (from panel to panel numbers go on), where its plane begins,
 * and rows below that. */
enum { TAP_NUMBER, TAP_NEXT, TAP_PLANE, TAP_DOWN, TAP_FIELDS };
LLVMValueRef conv_phase_table(conv_emitter *q);
/* Of a transposed one: weights of the channels o of y and the part of x's, to q->v_copied. */
void conv_copy_weights(conv_emitter *q, range o);
/* Do all threads' parts of a group's channels divide into tiles of so many? (emit_conv.c) */
bool conv_divides(const conv_emitter *q, int64_t rows);

/* Winograd's minimal filtering (emit_winograd.c) ------------------------------------------------
 */

/* f32s of scratch memory for such a plan. */
int64_t emit_winograd_scratch(const conv_plan *p, int64_t lanes);
/* The block's outputs of channels o of q->v_group. */
void emit_winograd_block(conv_emitter *q, range o);

/* Epilogue (emit_conv_finish.c) ---------------------------------------------------------------- */

/* The block's outputs of channel v_o from its sums. */
void conv_finish_channel(conv_emitter *q, LLVMValueRef v_o, LLVMValueRef v_sums);

#endif
