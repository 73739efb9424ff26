/* Emitting LLVM IR: a build context and helpers, so that emitters read like the loops they emit.
 *
 * v_ marks values of the generated program. A value is a scalar or a vector of `lanes` elements;
 * which of the two follows from whether it depends on the lane axis. Compute types: f16 and bf16
 * are computed in f32, bool is i1 (a byte in memory), all else as it is. */
#ifndef AIGC_BACKEND_EMIT_H
#define AIGC_BACKEND_EMIT_H

#include "backend/kernel.h"
#include "backend/target.h"
#include "support/map.h"
#include "support/vec.h"

#include <llvm-c/Core.h>

enum { EMIT_MOST_OUTER = 2 * IR_MAX_RANK }; /* axes around a step, and its own */
/* Arguments of a kernel after its buffers and sizes: seed, turn, thread, threads, again, scratch. */
enum { EMIT_KERNEL_EXTRA = 6 };

typedef struct emit_value {
    LLVMValueRef v;
    bool vector;
} emit_value;

/* Values known at this point of the generated program, by expression; inner loops see outer ones.
 */
typedef struct emit_memo {
    map *values; /* expr id * 2 + scalar mode -> emit_value* */
    struct emit_memo *outer;
} emit_memo;

typedef struct emit {
    LLVMContextRef ctx;
    LLVMModuleRef module;
    LLVMBuilderRef b;
    LLVMValueRef fn;
    const target *t;
    arena *a; /* for the whole module */
    ir_ctx *c;
    uint32_t lanes;
    LLVMTypeRef i1, i8, i16, i32, i64, f16, f32, f64, ptr, void_;
    LLVMValueRef v_zeros; /* a global of 64 zero bytes: where guarded loads look instead */
    /* The kernel being emitted */
    const k_kernel *k;
    LLVMValueRef *v_bufs, *v_syms;
    LLVMValueRef v_thread, v_threads;
    LLVMValueRef v_again; /* i32: not 0 when scratch memory is as the thread's last call of this very
                           * kernel, with the same arguments but for the thread, left it */
    LLVMValueRef v_scratch;              /* this thread's own, 64-byte aligned; see emit_scratch */
    uint64_t scratch_bytes;              /* the most that a kernel of the module has asked for */
    uint64_t counter_bytes;              /* before that, for open kernels (emit_pieces.h), or 0 */
    LLVMValueRef *v_axes; /* [k->n_axes] value of an axis; of the lane axis: of its first lane */
    const k_axis *lane_axis;             /* NULL: scalar code */
    LLVMValueRef v_mask;                 /* of lanes, or NULL: all */
    bool lanes_aligned; /* vectors along the lane axis begin at multiples of the lanes */
    emit_value *reduced; /* [the most steps of a nest] */
    LLVMValueRef v_hole; /* value of K_HOLE, of the current shape */
    bool hole_vector;
    LLVMValueRef v_seed;
    LLVMValueRef v_turn; /* of the loop around, where its turns read the same parameters; else 0 */
    emit_memo *memo;
    bool scalar_mode; /* the lane axis stands for its first lane */
} emit;

/* Types and constants */
LLVMTypeRef emit_type(emit *e, ir_dtype t);        /* compute type */
LLVMTypeRef emit_memory_type(emit *e, ir_dtype t); /* in buffers */
LLVMTypeRef emit_vector(emit *e, LLVMTypeRef t);
LLVMValueRef emit_i64(emit *e, int64_t i);
LLVMValueRef emit_f32(emit *e, double f);
LLVMValueRef emit_const(emit *e, LLVMTypeRef like, double f); /* scalar or vector, float or int */
LLVMValueRef emit_const_int(emit *e, LLVMTypeRef like, int64_t i);
bool emit_is_vector(LLVMValueRef v);
LLVMValueRef emit_splat(emit *e, LLVMValueRef v);         /* scalar -> vector of lanes */
LLVMValueRef emit_as(emit *e, emit_value v, bool vector); /* splat when asked */
LLVMValueRef emit_iota(emit *e, LLVMTypeRef element);     /* <0, 1, 2, ...> */

/* An overloaded intrinsic called on values, overloaded on these types. */
LLVMValueRef emit_intrinsic(emit *e, const char *name, uint32_t n_types, LLVMTypeRef *types,
                            uint32_t n, LLVMValueRef *args);
LLVMValueRef emit_intrinsic1(emit *e, const char *name, LLVMValueRef x);
/* A function of the machine's, whose operands' types differ between versions of LLVM: they are asked
 * of it, and arguments, at most three, taken for them. */
LLVMValueRef emit_machine(emit *e, const char *name, uint32_t n, const LLVMValueRef *v_args);
LLVMValueRef emit_intrinsic2(emit *e, const char *name, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef emit_fma(emit *e, LLVMValueRef x, LLVMValueRef y, LLVMValueRef z);
/* Asks for the line at an address: locality 3 into L1, 2 into L2. Any address will do. */
void emit_prefetch(emit *e, LLVMValueRef v_ptr, uint32_t locality);
LLVMValueRef emit_select(emit *e, LLVMValueRef c, LLVMValueRef x, LLVMValueRef y);

/* Across lanes (emit_shuffle.c) */
/* Every `by`-th lane of x and y side by side, from `first` on. */
LLVMValueRef emit_pick(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first, uint32_t by);
/* x[first], y[first], x[first + 1] ... */
LLVMValueRef emit_interleave(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first);
/* Lanes first, first + 1 ... of x and y side by side. */
LLVMValueRef emit_slide(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first);
/* Vector number j of the n * lanes values v[0][0], v[1][0] ... v[n - 1][0], v[0][1] ... */
LLVMValueRef emit_weave(emit *e, uint32_t n, const LLVMValueRef *v, uint32_t j);
/* As many vectors as lanes: lane j of v[i] and lane i of v[j] change places. */
void emit_transpose(emit *e, LLVMValueRef *v);
/* The sums over the lanes of n vectors, n a power of two, side by side and in order, in the first
 * vectors of v; how many those are. The tree of additions does not depend on n. */
uint32_t emit_fold_lanes(emit *e, LLVMValueRef *v, uint32_t n);

/* Pairs of bf16 (emit_bf16.c), where target_bf16_dots: each lane of such a vector, of f32s by its
 * type, holds two, the first in the lower half. */
/* sum[lane] + the products of both halves of x[lane] and y[lane]. */
LLVMValueRef emit_bf16_dot(emit *e, LLVMValueRef v_sum, LLVMValueRef v_x, LLVMValueRef v_y);
/* Rounded to bf16: all of the first vector, then all of the second. */
LLVMValueRef emit_bf16_row(emit *e, LLVMValueRef v_first, LLVMValueRef v_second);
/* Rounded to bf16: lane by lane, one of the first beside one of the second. */
LLVMValueRef emit_bf16_pairs(emit *e, LLVMValueRef v_first, LLVMValueRef v_second);

/* for (i = lo; i < hi; i += step) with values that flow from turn to turn. */
typedef struct emit_loop {
    LLVMValueRef v_i;
    LLVMValueRef v_carry[64];
    uint32_t n_carries;
    LLVMBasicBlockRef head, body, done;
    LLVMValueRef v_step;
    emit_memo memo;
} emit_loop;
void emit_loop_begin(emit *e, emit_loop *l, const char *name, LLVMValueRef v_lo, LLVMValueRef v_hi,
                     LLVMValueRef v_step, uint32_t n_carries, LLVMValueRef *v_first);
/* The carries after the last turn come in l->v_carry. */
void emit_loop_end(emit *e, emit_loop *l, LLVMValueRef *v_next);
/* A region run once, and again as long as a condition holds at its end. */
typedef struct emit_repeat {
    LLVMValueRef v_carry[4];
    uint32_t n_carries;
    LLVMBasicBlockRef head;
    emit_memo memo;
} emit_repeat;
void emit_repeat_begin(emit *e, emit_repeat *r, const char *name, uint32_t n_carries,
                       LLVMValueRef *v_first);
void emit_repeat_end(emit *e, emit_repeat *r, LLVMValueRef v_again, LLVMValueRef *v_next);
/* From here on, until emit_memo_pop, x has this value, whatever it is made of. */
void emit_suppose(emit *e, emit_memo *m, const k_expr *x, emit_value v);
/* A region run when a condition holds. */
typedef struct emit_if {
    LLVMBasicBlockRef done;
    emit_memo memo;
} emit_if;
void emit_if_begin(emit *e, emit_if *f, LLVMValueRef v_cond, const char *name);
void emit_if_end(emit *e, emit_if *f);
void emit_alone_begin(emit *e, emit_if *f); /* a region that thread 0 runs; emit_if_end */
void emit_memo_push(emit *e, emit_memo *m);
void emit_memo_pop(emit *e);

/* Sizes (emit_dim.c): i64 arithmetic over values of symbols. */
typedef LLVMValueRef (*emit_sym_value)(void *data, const ir_sym *s);
LLVMValueRef emit_dim(emit *e, const ir_dim *d, emit_sym_value value, void *data);
LLVMValueRef emit_kernel_dim(emit *e, const ir_dim *d); /* over the kernel's own symbols */

/* Maths (emit_math.c): any op of the table on scalars or vectors of a compute type. */
LLVMValueRef emit_math(emit *e, ir_op op, ir_dtype t, LLVMValueRef x, LLVMValueRef y);
/* e^x of f32s up to 0, within 2 ulp; 0 below -86, where a weight beside one of 1 is nothing. */
LLVMValueRef emit_exp_weight(emit *e, LLVMValueRef x);
/* The same within 2^-17 of e^x: of weights that are rounded to bf16. */
LLVMValueRef emit_exp_weight_bf16(emit *e, LLVMValueRef x);

/* Expressions (emit_expr.c) */
emit_value emit_expr(emit *e, const k_expr *x);
LLVMValueRef emit_scalar(emit *e, const k_expr *x); /* at the first lane */
LLVMValueRef emit_lanes(emit *e, const k_expr *x);  /* always a vector */
void emit_store(emit *e, const k_buf *b, const k_expr *offset, emit_value v, bool add);
/* Where a store reads and writes lanes side by side, at places that move with an axis, and how many
 * bytes they move (emit_ask.c): lines further on are asked for from there, as what an offset itself
 * reads may not exist further on. */
enum { EMIT_MOST_PLACES = 4 };
typedef struct emit_place {
    LLVMValueRef v_ptr, v_step;
} emit_place;
typedef struct emit_places {
    uint32_t n;
    emit_place places[EMIT_MOST_PLACES];
} emit_places;
emit_places emit_places_of(emit *e, const k_step *store, const k_axis *along);
/* Two values side by side: the second one element after the first. */
void emit_store_pair(emit *e, const k_buf *b, const k_expr *const *offsets, const emit_value *v);
bool emit_uses_lane(emit *e, const k_expr *x);
LLVMValueRef emit_convert(emit *e, LLVMValueRef v, ir_dtype from, ir_dtype to);

/* Weights in blocks (emit_blocks.c), by their places in the row-major matrix: v_offset is a scalar,
 * or one a lane. run: lanes that lie side by side within one block of a row. */
LLVMValueRef emit_decode(emit *e, const k_buf *b, LLVMValueRef v_offset);
LLVMValueRef emit_decode_run(emit *e, const k_buf *b, LLVMValueRef v_offset);

/* Kernels */
void emit_nest(emit *e, const k_nest *n);
void emit_attention(emit *e, const k_attention *t);
/* The first n_steps steps of a nest, reductions all, at the current values of its outer axes; lanes
 * run along their last axes. Their values come to e->reduced. */
void emit_row_steps(emit *e, const k_nest *n, uint32_t n_steps);
/* The nest's STORE steps from `first` on, at the current values of its outer axes, in the same way. */
void emit_row_stores(emit *e, const k_nest *n, uint32_t first);
/* Products, made together where there are several: of the same rows. False, with nothing emitted:
 * they are none, or not alike enough. */
bool emit_contract(emit *e, const k_nest *nests, uint32_t n);
/* What parts of a nest cost beside what they make, where a thread makes one after the other. */
typedef struct part_costs {
    const k_axis *m; /* the axis of a product's rows; NULL: there is one, or it is no product */
    int64_t rows; /* up to so many it packs once; -1: any, as parts have their own, or none are */
    int64_t columns; /* along the axis that is split, a part of fewer is slow */
} part_costs;
part_costs emit_contract_parts(emit *e, const k_nest *n);
/* Lanes whose place, counted from v_first, is below the limit. */
LLVMValueRef emit_lanes_below(emit *e, LLVMValueRef v_first, LLVMValueRef v_limit);
void emit_sort(emit *e, const k_sort *s);
/* This thread's share [*v_lo, *v_hi) of an axis. */
void emit_share(emit *e, LLVMValueRef v_extent, int64_t grain, LLVMValueRef *v_lo,
                LLVMValueRef *v_hi);

/* Memory of this thread's own for as long as the kernel runs: its beginning, 64-byte aligned. One
 * call a kernel: a second one gives the same memory. bytes is what the runtime sets aside a thread
 * when a context is made, so it is known while compiling and at most some MiB. */
LLVMValueRef emit_scratch(emit *e, uint64_t bytes);

/* The function of a kernel: (ptr..., i64 sizes..., i64 seed, i64 turn, i32 thread, i32 threads,
 * i32 again, ptr scratch). */
LLVMTypeRef emit_kernel_type(emit *e, const k_kernel *k);
LLVMValueRef emit_kernel(emit *e, const k_kernel *k);
/* Its function, with nothing in it yet. */
LLVMValueRef emit_kernel_begin(emit *e, const k_kernel *k);
/* A function that a kernel calls: parts of it that need all registers. Between begin and end, code
 * goes into it; only its own arguments are known there. It returns nothing. */
typedef struct emit_function {
    LLVMValueRef fn;
    LLVMBasicBlockRef block;
    emit_memo *memo, own;
} emit_function;
LLVMValueRef emit_function_begin(emit *e, const char *name, LLVMTypeRef *types, uint32_t n,
                                 emit_function *outside);
void emit_function_end(emit *e, emit_function *outside);
/* Such a function that knows the kernel's buffers, sizes, seed and thread: the kernel's own
 * arguments come first, n more after them. Values of axes are not known there. */
typedef struct emit_part {
    emit_function outside;
    LLVMValueRef fn, *v_bufs, *v_syms, *v_axes;
    LLVMValueRef v_seed, v_turn, v_thread, v_threads, v_again, v_scratch;
} emit_part;
void emit_part_begin(emit *e, const char *name, LLVMTypeRef *types, uint32_t n, emit_part *p);
LLVMValueRef emit_part_argument(emit *e, const emit_part *p, uint32_t i); /* of the n more */
void emit_part_end(emit *e, emit_part *p);
void emit_part_call(emit *e, LLVMValueRef fn, LLVMValueRef *args, uint32_t n);

#endif
