/* How a convolution is run: the sizes of its blocks, known while compiling.
 *
 * A transposed convolution of stride s is s plain ones side by side (phases), along every axis:
 * y[s * t + r - pad] sums x[t - j] * w[r + s * j] over j, for t as y's extent asks. All phases read
 * the same x. What follows calls t the place of a point; of a plain convolution, it is y's own. */
#ifndef AIGC_BACKEND_CONV_PLAN_H
#define AIGC_BACKEND_CONV_PLAN_H

#include "backend/kernel.h"
#include "backend/target.h"

typedef struct conv_axis {
    const k_axis *out;  /* of y; NULL: there is no such axis */
    const ir_dim *size; /* of x */
    int64_t taps;       /* of w */
    int64_t most;       /* taps of a phase, at most */
    int64_t phases;     /* outputs of a place */
    int64_t pad;        /* the place of output y is (y + pad) / phases, of phase (y + pad) % phases;
                         * of a plain convolution 0 */
    int64_t by, first, tap; /* x's index of place t and tap j: t * by + first + j * tap */
} conv_axis;

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
    int64_t stride;       /* f32s from one packed product to the next: a vector more than places */
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
