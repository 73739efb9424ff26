/* Open kernels (passes/open_shares.c): a thread's share is cut in pieces, which it takes one after
 * the other, and when they are gone those that others have not begun.
 *
 *     share          |---------------- 1/2 ---------------|------- 1/4 -------|-- 1/8 --|-- 1/8 --|
 *     piece, depth 3                    0                           1               2         3
 *
 * Pieces get smaller, so that few are taken, and little is left to wait for in the end: half of the
 * last one in the mean. The first half of share t of n is share 2t of 2n, the next quarter share
 * 4t + 2 of 4n, and so on: a kernel does not know that it makes pieces.
 *
 * Each thread has a counter at the beginning of its scratch memory, on lines that kernels do not
 * use: the number of its next piece. Every time an open kernel is run, numbers start anew, higher
 * than any before (its ticket), so that nobody needs to set counters back, nor to wait for it; each
 * thread clears its own when a call begins, and all meet before the first open kernel. A thread
 * that comes late finds a number beyond its kernel's pieces, and takes none. */
#ifndef AIGC_BACKEND_EMIT_PIECES_H
#define AIGC_BACKEND_EMIT_PIECES_H

#include "backend/emit.h"

enum {
    PIECES_COUNTER_BYTES = 128, /* of a thread's scratch memory; two lines are fetched together */
    PIECES_TICKET = 8 /* how far one ticket is from the next: more than a share's pieces */
};

/* What all threads know of a call. */
typedef struct pieces_team {
    LLVMValueRef v_counters, v_bytes; /* thread t's is at v_counters + t * v_bytes */
    LLVMValueRef v_thread, v_threads; /* i32 */
} pieces_team;

/* Clears the thread's own counter. */
void emit_pieces_begin(emit *e, const pieces_team *t);

/* The function that takes a piece, for the module: i64 (ptr counters, i64 bytes, i32 thread, i32
 * threads, i64 depth, i64 ticket, i32 again) -> share | shares << 32, or 0 when there is none. Of
 * depth 0 it is the thread's whole share, once. Call it outside of any function. */
LLVMValueRef emit_pieces_function(emit *e);

/* Is it never worth while, whatever the sizes? work as in emit_pieces_depth. */
bool pieces_never(const ir_dim *work);
/* So many pieces, less one, has a share of a kernel, i64; 0 where it is over too soon to share it
 * out. v_work: of all of it, in 1/64 ns; v_units: that it can be cut into. */
LLVMValueRef emit_pieces_depth(emit *e, const pieces_team *t, LLVMValueRef v_work,
                               LLVMValueRef v_units);

/* A piece: values of a kernel's arguments. */
typedef struct pieces_turn {
    LLVMValueRef v_share, v_shares, v_again; /* i32; again: not the thread's first */
    emit_repeat repeat;
    emit_if found;
    LLVMValueRef v_piece;
} pieces_turn;
/* What is emitted between is run for every piece that the thread takes. */
void emit_pieces_each(emit *e, const pieces_team *t, LLVMValueRef v_take, LLVMValueRef v_depth,
                      LLVMValueRef v_ticket, pieces_turn *turn);
void emit_pieces_next(emit *e, pieces_turn *turn);

#endif
