/* How a convolution is run: the sizes of its blocks, known while compiling.
 *
 * A transposed convolution of stride s is s plain ones side by side (phases), along every axis:
 * y[s * t + r] sums x[t + (r + pad) / s - j] * w[(r + pad) % s + s * j] over j, for t as y's extent
 * asks. All phases read the same x, at a few shifts. What follows calls t the place of a point; of
 * a plain convolution, it is y's own, and its shifts are its taps. */
#ifndef AIGC_BACKEND_CONV_PLAN_H
#define AIGC_BACKEND_CONV_PLAN_H

#include "backend/kernel.h"
#include "backend/target.h"

typedef struct conv_axis {
    const k_axis *out;  /* of y; NULL: there is no such axis */
    const ir_dim *size; /* of x */
    int64_t taps;       /* of w */
    int64_t phases;     /* outputs of a place t: t * phases + r */
    int64_t most;       /* taps of a phase, at most */
    int64_t pad, reach; /* tap k of phase r looks at x's t * by + (r + pad + k * reach) / phases */
    int64_t shifts;     /* that is one of so many: shift i of place t is x's */
    int64_t by, first, step; /* t * by + first + i * step */
    /* Rows of several shifts lie in one plane where they are mostly the same ones: those of shift i
     * begin (i / planes) * down rows below the first of plane i % planes. Else a plane each. */
    int64_t planes, down;
} conv_axis;

/* The j-th tap of w that phase r takes, and the shift where it looks; false: it has none. */
bool conv_axis_tap(const conv_axis *x, int64_t r, int64_t j, int64_t *tap, int64_t *shift);

typedef struct conv_plan {
    const k_nest *nest;
    const k_conv *conv;
    conv_axis axes[3];    /* depth, rows, columns */
    int64_t most;         /* taps of a phase, at most: of all axes */
    int64_t phases;       /* of a place: of all axes */
    int64_t tile_rows;    /* output channels of a tile */
    int64_t tile_vectors; /* places of a tile, in vectors */
    int64_t channels;     /* of x, that are packed at once */
    int64_t places;       /* packed at once; a multiple of the lanes */
    int64_t outputs;      /* of a block, a channel and a phase */
    int64_t plane;        /* f32s of a channel's packed inputs at one shift, or as many as share */
    int64_t planes;       /* of a channel */
    int64_t stride;       /* f32s from one channel's packed inputs to the next */
    int64_t rows;         /* of places at once; 0: as many as fit */
    bool whole;           /* all of a group's channels are packed at once */
    int64_t weights;      /* f32s of a transposed one's for a channel of x, and a vector between */
    int64_t tile;         /* 0, or run by emit_winograd.c: a place is a tile of so many columns, a
                           * phase of rows each of so many */
    int64_t lines;        /* then: f32s of a block's rows, one of a tile's and one point of each */
} conv_plan;

/* False when the nest is not a convolution, or one that is not run by tiles: dilated and
 * transposed by a stride, or too large for the scratch memory of a thread. */
bool conv_plan_of(const k_nest *n, const target *t, conv_plan *out);
/* Taps of all axes. f32s of the packed inputs, the sums of a block, and copied weights. */
int64_t conv_plan_packed(const conv_plan *p);
int64_t conv_plan_taps(const conv_plan *p);
int64_t conv_plan_weights(const conv_plan *p);
int64_t conv_plan_sums(const conv_plan *p, const target *t);

#endif
