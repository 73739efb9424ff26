#include "backend/emit_pieces.h"

#include "passes/work.h"

enum {
    MOST_DEPTH = 5,
    LEAST_DEPTH = 2,
    PIECE_NS = 10000 /* the least, as estimated: to take one costs a line from another core */
};
_Static_assert(PIECES_TICKET > MOST_DEPTH + 1, "a ticket has numbers for all pieces");

static LLVMValueRef counter(emit *e, const pieces_team *t, LLVMValueRef v_thread)
{
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_thread, t->v_bytes, "");
    return LLVMBuildGEP2(e->b, e->i8, t->v_counters, &v_at, 1, "counter");
}

static LLVMValueRef wide(emit *e, LLVMValueRef v)
{
    return LLVMBuildZExt(e->b, v, e->i64, "");
}

void emit_pieces_begin(emit *e, const pieces_team *t)
{
    LLVMValueRef v = LLVMBuildStore(e->b, emit_i64(e, 0), counter(e, t, wide(e, t->v_thread)));
    LLVMSetOrdering(v, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(v, 8);
}

/* Piece number `v_number` of the share of `v_owner`, as share | shares << 32. */
static LLVMValueRef piece_of(emit *e, LLVMValueRef v_owner, LLVMValueRef v_number,
                             LLVMValueRef v_depth, LLVMValueRef v_threads)
{
    LLVMValueRef v_next = LLVMBuildAdd(e->b, v_number, emit_i64(e, 1), "");
    LLVMValueRef v_cuts = emit_intrinsic2(e, "llvm.umin", v_next, v_depth);
    LLVMValueRef v_last = LLVMBuildICmp(e->b, LLVMIntEQ, v_number, v_depth, "");
    LLVMValueRef v_back = emit_select(e, v_last, emit_i64(e, 1), emit_i64(e, 2));
    LLVMValueRef v_end = LLVMBuildAdd(e->b, v_owner, emit_i64(e, 1), "");
    v_end = LLVMBuildShl(e->b, v_end, v_cuts, "");
    LLVMValueRef v_share = LLVMBuildSub(e->b, v_end, v_back, "");
    LLVMValueRef v_shares = LLVMBuildShl(e->b, v_threads, v_cuts, "");
    v_shares = LLVMBuildShl(e->b, v_shares, emit_i64(e, 32), "");
    return LLVMBuildOr(e->b, v_share, v_shares, "piece");
}

enum { COUNTERS, BYTES, THREAD, THREADS, DEPTH, TICKET, AGAIN, N_ARGUMENTS };

static LLVMTypeRef take_type(emit *e)
{
    LLVMTypeRef types[N_ARGUMENTS] = {e->ptr, e->i64, e->i32, e->i32, e->i64, e->i64, e->i32};
    return LLVMFunctionType(e->i64, types, N_ARGUMENTS, false);
}

/* From the own share, then from those of the threads after it: the first that has a piece left. An
 * exchange that fails is tried again with what is there now; where no piece is left it changes
 * nothing. Meetings around the kernel order all that pieces read and write. */
static LLVMValueRef take_piece(emit *e, const pieces_team *t, LLVMValueRef v_depth,
                               LLVMValueRef v_ticket)
{
    LLVMValueRef v_thread = wide(e, t->v_thread), v_threads = wide(e, t->v_threads);
    LLVMValueRef v_zero = emit_i64(e, 0);
    emit_repeat r;
    emit_repeat_begin(e, &r, "take", 1, &v_zero);
    LLVMValueRef v_owner = LLVMBuildAdd(e->b, v_thread, r.v_carry[0], "");
    v_owner = LLVMBuildURem(e->b, v_owner, v_threads, "owner");
    LLVMValueRef v_counter = counter(e, t, v_owner);
    LLVMValueRef v_seen = LLVMBuildLoad2(e->b, e->i64, v_counter, "seen");
    LLVMSetOrdering(v_seen, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(v_seen, 8);
    LLVMValueRef v_at = emit_intrinsic2(e, "llvm.umax", v_seen, v_ticket);
    LLVMValueRef v_number = LLVMBuildSub(e->b, v_at, v_ticket, "");
    LLVMValueRef v_left = LLVMBuildICmp(e->b, LLVMIntULE, v_number, v_depth, "left");
    LLVMValueRef v_after = LLVMBuildAdd(e->b, v_at, emit_i64(e, 1), "");
    v_after = emit_select(e, v_left, v_after, v_seen);
    LLVMValueRef v_pair =
        LLVMBuildAtomicCmpXchg(e->b, v_counter, v_seen, v_after, LLVMAtomicOrderingMonotonic,
                               LLVMAtomicOrderingMonotonic, false);
    LLVMValueRef v_done = LLVMBuildExtractValue(e->b, v_pair, 1, "");
    LLVMValueRef v_got = LLVMBuildAnd(e->b, v_done, v_left, "got");
    LLVMValueRef v_none = LLVMBuildAnd(e->b, v_done, LLVMBuildNot(e->b, v_left, ""), "");
    LLVMValueRef v_next = LLVMBuildAdd(e->b, r.v_carry[0], wide(e, v_none), "");
    LLVMValueRef v_more = LLVMBuildICmp(e->b, LLVMIntULT, v_next, v_threads, "");
    LLVMValueRef v_again = LLVMBuildAnd(e->b, LLVMBuildNot(e->b, v_got, ""), v_more, "");
    LLVMValueRef v_piece = piece_of(e, v_owner, v_number, v_depth, v_threads);
    v_piece = emit_select(e, v_got, v_piece, emit_i64(e, 0));
    emit_repeat_end(e, &r, v_again, &v_next);
    return v_piece;
}

LLVMValueRef emit_pieces_function(emit *e)
{
    static const char name[] = "take_piece";
    LLVMValueRef f = LLVMGetNamedFunction(e->module, name);
    if (f) {
        return f;
    }
    f = LLVMAddFunction(e->module, name, take_type(e));
    LLVMSetLinkage(f, LLVMInternalLinkage);
    e->fn = f;
    e->memo = NULL;
    LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->ctx, f, "entry"));
    pieces_team t = {.v_counters = LLVMGetParam(f, COUNTERS),
                     .v_bytes = LLVMGetParam(f, BYTES),
                     .v_thread = LLVMGetParam(f, THREAD),
                     .v_threads = LLVMGetParam(f, THREADS)};
    LLVMValueRef v_depth = LLVMGetParam(f, DEPTH), v_ticket = LLVMGetParam(f, TICKET);
    LLVMValueRef v_whole = LLVMBuildICmp(e->b, LLVMIntEQ, v_depth, emit_i64(e, 0), "whole");
    emit_if whole;
    emit_if_begin(e, &whole, LLVMBuildNot(e->b, v_whole, ""), "pieces");
    LLVMBuildRet(e->b, take_piece(e, &t, v_depth, v_ticket));
    LLVMPositionBuilderAtEnd(e->b, whole.done);
    emit_memo_pop(e);
    LLVMValueRef v_own =
        piece_of(e, wide(e, t.v_thread), emit_i64(e, 0), v_depth, wide(e, t.v_threads));
    LLVMValueRef v_first = LLVMBuildIsNull(e->b, LLVMGetParam(f, AGAIN), "first");
    LLVMBuildRet(e->b, emit_select(e, v_first, v_own, emit_i64(e, 0)));
    return f;
}

bool pieces_never(const ir_dim *work)
{
    int64_t least = ((int64_t)PIECE_NS * WORK_UNITS_PER_NS * 2) << LEAST_DEPTH; /* of two threads */
    return !work->overflow && ir_dim_is_const(work) && ir_dim_value(work) < least;
}

LLVMValueRef emit_pieces_depth(emit *e, const pieces_team *t, LLVMValueRef v_work,
                               LLVMValueRef v_units)
{
    LLVMValueRef v_threads = wide(e, t->v_threads);
    int64_t least = (int64_t)PIECE_NS * WORK_UNITS_PER_NS;
    LLVMValueRef v_most = LLVMBuildUDiv(e->b, v_work, emit_i64(e, least), "");
    v_most = emit_intrinsic2(e, "llvm.umin", v_most, v_units);
    v_most = LLVMBuildUDiv(e->b, v_most, v_threads, "");
    v_most = emit_intrinsic2(e, "llvm.umin", v_most, emit_i64(e, 1 << MOST_DEPTH));
    LLVMValueRef v_odd = LLVMBuildOr(e->b, v_most, emit_i64(e, 1), "");
    LLVMValueRef v_zero = LLVMConstInt(e->i1, 0, false), args[2] = {v_odd, v_zero};
    LLVMValueRef v_zeros = emit_intrinsic(e, "llvm.ctlz", 1, &e->i64, 2, args);
    LLVMValueRef v_depth = LLVMBuildSub(e->b, emit_i64(e, 63), v_zeros, "");
    LLVMValueRef v_pays = LLVMBuildICmp(e->b, LLVMIntUGE, v_depth, emit_i64(e, LEAST_DEPTH), "");
    LLVMValueRef v_others = LLVMBuildICmp(e->b, LLVMIntUGT, v_threads, emit_i64(e, 1), "");
    v_pays = LLVMBuildAnd(e->b, v_pays, v_others, "");
    return emit_select(e, v_pays, v_depth, emit_i64(e, 0));
}

void emit_pieces_each(emit *e, const pieces_team *t, LLVMValueRef v_take, LLVMValueRef v_depth,
                      LLVMValueRef v_ticket, pieces_turn *turn)
{
    LLVMValueRef v_first = LLVMConstInt(e->i32, 0, false);
    emit_repeat_begin(e, &turn->repeat, "piece", 1, &v_first);
    turn->v_again = turn->repeat.v_carry[0];
    LLVMValueRef args[N_ARGUMENTS] = {t->v_counters, t->v_bytes, t->v_thread,  t->v_threads,
                                      v_depth,       v_ticket,   turn->v_again};
    turn->v_piece = LLVMBuildCall2(e->b, take_type(e), v_take, args, N_ARGUMENTS, "piece");
    turn->v_share = LLVMBuildTrunc(e->b, turn->v_piece, e->i32, "");
    LLVMValueRef v_high = LLVMBuildLShr(e->b, turn->v_piece, emit_i64(e, 32), "");
    turn->v_shares = LLVMBuildTrunc(e->b, v_high, e->i32, "");
    emit_if_begin(e, &turn->found, LLVMBuildIsNotNull(e->b, turn->v_piece, ""), "found");
}

void emit_pieces_next(emit *e, pieces_turn *turn)
{
    emit_if_end(e, &turn->found);
    LLVMValueRef v_next = LLVMConstInt(e->i32, 1, false);
    emit_repeat_end(e, &turn->repeat, LLVMBuildIsNotNull(e->b, turn->v_piece, ""), &v_next);
}
