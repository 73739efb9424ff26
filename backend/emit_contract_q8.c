/* Products of int8: weights in blocks of 32 along k, 16 columns interleaved
 * (runtime/pack_blocks.h), rows rounded to blocks of 32 while they are packed (math "q8",
 * docs/ir.md).
 *
 *     packed row    i8[K], then f32[K / 32] scales, then i32[K / 32] starts
 *     block's sum   i32: start + sum of u8 weight * i8 value, four k a step
 *     tile's sum    f32: += float(block's sum) * row's scale * columns' scales
 *
 * Weights are stored with an offset (128 for q8_0, 8 for q4_0), so that they are unsigned; a
 * block's start is minus the offset times the sum of the row's values, which takes it away again.
 * Where the machine multiplies signed bytes only, the 128 are taken off weight by weight.
 * The recipe is llama.cpp's idea of int8 dot products on a layout that needs no sums across
 * lanes. */
#include "backend/emit_contract_q8.h"
#include "runtime/abi.h"

static LLVMValueRef as_type(emit *e, LLVMValueRef v, LLVMTypeRef t)
{
    return LLVMTypeOf(v) == t ? v : LLVMBuildBitCast(e->b, v, t, "");
}

static LLVMValueRef add_sdot(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_a)
{
    LLVMTypeRef bytes = LLVMVectorType(e->i8, 4 * e->lanes), types[2] = {LLVMTypeOf(v_sum), bytes};
    LLVMValueRef args[3] = {v_sum, as_type(e, v_w, bytes), as_type(e, v_a, bytes)};
    return emit_intrinsic(e, "llvm.aarch64.neon.sdot", 2, types, 3, args);
}

static LLVMValueRef add_vpdpbusd_512(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w,
                                     LLVMValueRef v_a)
{
    return emit_machine(e, "llvm.x86.avx512.vpdpbusd.512", 3, (LLVMValueRef[]){v_sum, v_w, v_a});
}

static LLVMValueRef add_vpdpbusd_256(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w,
                                     LLVMValueRef v_a)
{
    return emit_machine(e, "llvm.x86.avx512.vpdpbusd.256", 3, (LLVMValueRef[]){v_sum, v_w, v_a});
}

/* Without dot products of bytes: every other byte as i16, their products added by pairs. */
static LLVMValueRef add_pairs(emit *e, const char *name, LLVMValueRef v_sum, LLVMValueRef v_w,
                              LLVMValueRef v_a)
{
    LLVMTypeRef i32s = emit_vector(e, e->i32), i16s = LLVMVectorType(e->i16, 2 * e->lanes);
    LLVMValueRef v_8 = emit_const_int(e, i32s, 8), v_low = emit_const_int(e, i32s, 0x00ff00ff);
    LLVMValueRef v_bits = as_type(e, emit_const_int(e, i32s, 0x00080008), i16s);
    v_a = as_type(e, v_a, i16s);
    LLVMValueRef v_even = LLVMBuildAShr(e->b, LLVMBuildShl(e->b, v_a, v_bits, ""), v_bits, ""),
                 v_odd = LLVMBuildAShr(e->b, v_a, v_bits, "");
    LLVMValueRef v_w_even = LLVMBuildAnd(e->b, v_w, v_low, ""),
                 v_w_odd = LLVMBuildAnd(e->b, LLVMBuildLShr(e->b, v_w, v_8, ""), v_low, "");
    LLVMValueRef v_evens = emit_machine(e, name, 2, (LLVMValueRef[]){v_w_even, v_even});
    v_sum = LLVMBuildAdd(e->b, v_sum, v_evens, "");
    LLVMValueRef v_odds = emit_machine(e, name, 2, (LLVMValueRef[]){v_w_odd, v_odd});
    return LLVMBuildAdd(e->b, v_sum, v_odds, "");
}

static LLVMValueRef add_pmaddwd_512(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_a)
{
    return add_pairs(e, "llvm.x86.avx512.pmaddw.d.512", v_sum, v_w, v_a);
}

static LLVMValueRef add_pmaddwd_256(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_a)
{
    return add_pairs(e, "llvm.x86.avx2.pmadd.wd", v_sum, v_w, v_a);
}

/* Byte k of every lane, as an f32. */
static LLVMValueRef byte_as_f32(emit *e, LLVMValueRef v, uint32_t k, bool is_signed)
{
    LLVMTypeRef t = LLVMTypeOf(v), f = emit_vector(e, e->f32);
    if (is_signed) {
        v = LLVMBuildShl(e->b, v, emit_const_int(e, t, 24 - 8 * (int64_t)k), "");
        return LLVMBuildSIToFP(e->b, LLVMBuildAShr(e->b, v, emit_const_int(e, t, 24), ""), f, "");
    }
    v = LLVMBuildLShr(e->b, v, emit_const_int(e, t, 8 * (int64_t)k), "");
    return LLVMBuildSIToFP(e->b, LLVMBuildAnd(e->b, v, emit_const_int(e, t, 255), ""), f, "");
}

static LLVMValueRef add_f32(emit *e, LLVMValueRef v_sum, LLVMValueRef v_w, LLVMValueRef v_a)
{
    for (uint32_t k = 0; k < STEP; k++) {
        v_sum = emit_fma(e, byte_as_f32(e, v_w, k, false), byte_as_f32(e, v_a, k, true), v_sum);
    }
    return v_sum;
}

static const dot dots[] = {
    {AIGC_CPU_AVX512_VNNI,  16, add_vpdpbusd_512, false, false},
    {AIGC_CPU_AVX_VNNI,     8,  add_vpdpbusd_256, false, false},
    {AIGC_CPU_NEON_DOTPROD, 4,  add_sdot,         false, true },
    {AIGC_CPU_AVX512,       16, add_pmaddwd_512,  false, false},
    {AIGC_CPU_AVX2_FMA,     8,  add_pmaddwd_256,  false, false},
    {0,                     0,  add_f32,          true,  false},
};

static const dot *dot_for(const emit *e)
{
    const dot *d = dots;
    while (d->cpu && !(target_has(e->t, d->cpu) && d->lanes == e->lanes)) {
        d++;
    }
    return d;
}

/* Weights -------------------------------------------------------------------------------------- */

static blocks blocks_of(const emit *e, const k_buf *b)
{
    bool nibbles = b->storage == IR_STORAGE_q4_0, flip = dot_for(e)->of_signed && !nibbles;
    int64_t lines = nibbles ? 4 : 8;
    return (blocks){.lines = lines,
                    .bytes = lines * LINE + COLUMNS * 2,
                    .offset = nibbles ? 8
                              : flip  ? 0
                                      : 128,
                    .nibbles = nibbles,
                    .flip = flip};
}

int64_t q8_depth(const contract_emitter *q)
{
    return ir_dim_value(q->f->k[0]->extent);
}

/* Where the first block of a vector of columns begins, its own part of the lines: v_n is a multiple
 * of the lanes, which are 16 or divide 16. */
static LLVMValueRef first_block(contract_emitter *q, const k_buf *b, LLVMValueRef v_n)
{
    emit *e = q->e;
    blocks k = blocks_of(e, b);
    LLVMValueRef v_panel = LLVMBuildLShr(e->b, v_n, emit_i64(e, 4), "");
    LLVMValueRef v_at =
        LLVMBuildMul(e->b, v_panel, emit_i64(e, q8_depth(q) / CONTRACT_BLOCK * k.bytes), "");
    return contract_at(e, e->i8, e->v_bufs[b->id], v_at);
}

/* Columns of a vector within their panel of 16. */
static LLVMValueRef column_in_panel(emit *e, LLVMValueRef v_n)
{
    LLVMValueRef v_within = emit_i64(e, COLUMNS - 1);
    return e->lanes == COLUMNS ? emit_i64(e, 0) : LLVMBuildAnd(e->b, v_n, v_within, "");
}

static LLVMValueRef load_vector(emit *e, LLVMTypeRef t, LLVMValueRef v_ptr, unsigned align)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, v_ptr, "");
    LLVMSetAlignment(v, align);
    return v;
}

stream q8_stream(contract_emitter *q, uint32_t p, LLVMValueRef v_n)
{
    emit *e = q->e;
    const k_buf *b = contract_weights(q->f, p);
    LLVMValueRef v_block = first_block(q, b, v_n), v_column = column_in_panel(e, v_n);
    LLVMValueRef v_scale = LLVMBuildMul(e->b, v_column, emit_i64(e, 2), "");
    v_scale = contract_plus(e, v_scale, blocks_of(e, b).lines * LINE);
    return (stream){contract_at(e, e->i32, v_block, v_column),
                    contract_at(e, e->i8, v_block, v_scale)};
}

/* Sums ----------------------------------------------------------------------------------------- */

row q8_packed_row(contract_emitter *q, const tile *t, uint32_t r)
{
    emit *e = q->e;
    int64_t k = q8_depth(q), n = k / CONTRACT_BLOCK;
    LLVMValueRef v_at = LLVMBuildSub(e->b, t->v_m, q->v_first, "");
    v_at = LLVMBuildMul(e->b, v_at, emit_i64(e, q->s.row_bytes), "");
    v_at = contract_plus(e, v_at, r * q->s.row_bytes);
    return (row){contract_at(e, e->i8, q->v_packed, v_at),
                 contract_at(e, e->i8, q->v_packed, contract_plus(e, v_at, k)),
                 contract_at(e, e->i8, q->v_packed, contract_plus(e, v_at, k + n * 4))};
}

LLVMValueRef q8_splat_at(emit *e, LLVMTypeRef t, LLVMValueRef v_base, LLVMValueRef v_i)
{
    LLVMValueRef v = LLVMBuildLoad2(e->b, t, contract_at(e, t, v_base, v_i), "");
    LLVMSetAlignment(v, 4);
    return emit_splat(e, v);
}

strip q8_open_strip(contract_emitter *q, uint32_t p, const stream *s, LLVMValueRef v_block)
{
    emit *e = q->e;
    strip t = {.k = blocks_of(e, contract_weights(q->f, p))};
    LLVMValueRef v_at = LLVMBuildMul(e->b, v_block, emit_i64(e, t.k.bytes), "");
    t.v_lines = contract_at(e, e->i8, s->v_lines, v_at);
    t.v_scales = contract_at(e, e->i8, s->v_scales, v_at);
    return t;
}

/* Several rows pass by weights that only the first tile reads from afar: lines of the next columns'
 * are asked for meanwhile, two a block, which takes some 60 cycles. */
static contract_lines lines_ahead(contract_emitter *q, const tile *t)
{
    enum { EACH = 2 };
    emit *e = q->e;
    if (t->rows == 1) {
        return (contract_lines){0};
    }
    uint32_t panels = (t->vectors * e->lanes + COLUMNS - 1) / COLUMNS;
    int64_t step_bytes = blocks_of(e, contract_weights(q->f, 0)).bytes * panels;
    LLVMValueRef v_next[CONTRACT_MOST_PRODUCTS];
    LLVMValueRef v_n = contract_plus(e, t->v_n, (int64_t)t->vectors * e->lanes);
    for (uint32_t p = 0; p < q->f->n_products; p++) {
        v_next[p] = first_block(q, contract_weights(q->f, p), v_n);
    }
    LLVMValueRef v_blocks = emit_i64(e, q8_depth(q) / CONTRACT_BLOCK);
    contract_lines x =
        contract_lines_of(q, t, v_next, v_blocks, step_bytes, EACH / q->f->n_products);
    contract_lines_of_results(q, t, &x);
    return x;
}

LLVMValueRef q8_load_line(emit *e, const strip *s, LLVMValueRef v_at)
{
    return load_vector(e, emit_vector(e, e->i32), contract_at(e, e->i8, s->v_lines, v_at), 4);
}

LLVMValueRef q8_line_weights(emit *e, const blocks *k, LLVMValueRef v, bool high, bool shift)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    if (!k->nibbles) {
        return k->flip ? LLVMBuildXor(e->b, v, emit_const_int(e, t, 0x80808080), "") : v;
    }
    v = high && shift ? LLVMBuildLShr(e->b, v, emit_const_int(e, t, 4), "") : v;
    return LLVMBuildAnd(e->b, v, emit_const_int(e, t, high && !shift ? 0xf0f0f0f0 : 0x0f0f0f0f),
                        "");
}

LLVMValueRef q8_step_weights(emit *e, strip *s, uint32_t step)
{
    uint32_t i = step % (uint32_t)s->k.lines;
    if (!s->v_line[i]) {
        s->v_line[i] = q8_load_line(e, s, emit_i64(e, i * LINE));
    }
    return q8_line_weights(e, &s->k, s->v_line[i], step != i, true);
}

LLVMValueRef q8_column_scales(emit *e, const strip *s)
{
    LLVMValueRef v = load_vector(e, emit_vector(e, e->f16), s->v_scales, 2);
    return LLVMBuildFPExt(e->b, v, emit_vector(e, e->f32), "");
}

static void start_sums(contract_emitter *q, const tile *t, const row *rows, LLVMValueRef v_block,
                       q8_sums *s)
{
    emit *e = q->e;
    LLVMTypeRef f32s = emit_vector(e, e->f32);
    bool in_f32 = dot_for(e)->in_f32;
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_start = q8_splat_at(e, e->i32, rows[r].v_starts, v_block);
        v_start = in_f32 ? LLVMBuildSIToFP(e->b, v_start, f32s, "") : v_start;
        for (uint32_t i = 0; i < s->wide; i++) {
            s->v[0][r * s->wide + i] = v_start;
            s->v[1][r * s->wide + i] = LLVMConstNull(LLVMTypeOf(v_start));
        }
    }
}

/* The sum of sums number i, as f32s. */
static LLVMValueRef whole_sum(contract_emitter *q, const q8_sums *s, uint32_t i, bool nibbles)
{
    emit *e = q->e;
    LLVMValueRef v = s->v[0][i], v_high = s->v[1][i];
    LLVMTypeRef t = LLVMTypeOf(v), f32s = emit_vector(e, e->f32);
    bool in_f32 = t == f32s, add = s->halves == 2;
    if (add && nibbles && !s->shifted) {
        v_high = in_f32 ? LLVMBuildFMul(e->b, v_high, emit_const(e, t, 1.0 / 16), "")
                        : LLVMBuildAShr(e->b, v_high, emit_const_int(e, t, 4), "");
    }
    if (add) {
        v = in_f32 ? LLVMBuildFAdd(e->b, v, v_high, "") : LLVMBuildAdd(e->b, v, v_high, "");
    }
    return in_f32 ? v : LLVMBuildSIToFP(e->b, v, f32s, "");
}

/* Several rows' sums of a block, step by step. */
static void sum_rows(contract_emitter *q, const tile *t, const row *rows, strip *strips,
                     LLVMValueRef v_block, q8_sums *s)
{
    emit *e = q->e;
    const uint32_t steps = CONTRACT_BLOCK / STEP;
    const dot *d = dot_for(e);
    LLVMValueRef v_k = LLVMBuildMul(e->b, v_block, emit_i64(e, steps), "");
    for (uint32_t step = 0; step < steps; step++) {
        LLVMValueRef v_w[16];
        for (uint32_t i = 0; i < s->wide; i++) {
            v_w[i] = q8_step_weights(e, &strips[i], step);
        }
        for (uint32_t r = 0; r < t->rows; r++) {
            LLVMValueRef v_a =
                q8_splat_at(e, e->i32, rows[r].v_values, contract_plus(e, v_k, step));
            for (uint32_t i = 0; i < s->wide; i++) {
                LLVMValueRef *v_sum = &s->v[0][r * s->wide + i];
                *v_sum = d->add(e, *v_sum, v_w[i], v_a);
            }
        }
    }
}

/* A block of all vectors of columns for all rows. */
static void add_block(contract_emitter *q, const tile *t, stream (*streams)[16], const row *rows,
                      const asked *ahead, LLVMValueRef v_block, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    const dot *d = dot_for(e);
    q8_sums s = {.wide = q->f->n_products * t->vectors,
                 .halves = t->rows == 1 ? 2 : 1,
                 .shifted = t->rows > 1 || d->of_signed};
    strip strips[16];
    LLVMValueRef v_asked[16], v_scales[16];
    for (uint32_t i = 0; i < s.wide; i++) {
        uint32_t p = i / t->vectors;
        const stream *from = &streams[p][i % t->vectors];
        strips[i] = q8_open_strip(q, p, from, v_block);
        v_asked[i] = s.halves == 2 ? q8_asked_block(q, ahead, &strips[i].k, from, v_block) : NULL;
    }
    start_sums(q, t, rows, v_block, &s);
    if (s.halves == 2) {
        q8_sum_row(q, d, &rows[0], strips, v_asked, v_block, &s);
    } else {
        sum_rows(q, t, rows, strips, v_block, &s);
    }
    for (uint32_t i = 0; i < s.wide; i++) {
        if (s.halves == 2) {
            q8_ask(e, v_asked[i], emit_i64(e, strips[i].k.lines * LINE));
        }
        v_scales[i] = q8_column_scales(e, &strips[i]);
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        LLVMValueRef v_scale = q8_splat_at(e, e->f32, rows[r].v_scales, v_block);
        for (uint32_t i = 0; i < s.wide; i++) {
            uint32_t p = i / t->vectors;
            LLVMValueRef v = whole_sum(q, &s, r * s.wide + i, strips[i].k.nibbles);
            v = LLVMBuildFMul(e->b, v, v_scales[i], "");
            LLVMValueRef *v_sum = &v_sums[(p * t->rows + r) * t->vectors + i % t->vectors];
            *v_sum = emit_fma(e, v, v_scale, *v_sum);
        }
    }
}

static void sum(contract_emitter *q, const tile *t, LLVMValueRef *v_sums)
{
    emit *e = q->e;
    uint32_t n_products = q->f->n_products, n = t->rows * t->vectors * n_products;
    stream streams[CONTRACT_MOST_PRODUCTS][16];
    row rows[32];
    for (uint32_t p = 0; p < n_products; p++) {
        for (uint32_t v = 0; v < t->vectors; v++) {
            LLVMValueRef v_column = contract_column(q, t, v);
            streams[p][v] = q8_stream(q, p, LLVMBuildAdd(e->b, t->v_n, v_column, ""));
        }
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        rows[r] = q8_packed_row(q, t, r);
    }
    blocks of_all = blocks_of(e, contract_weights(q->f, 0));
    asked ahead = q8_asked_of(q, t, &of_all);
    contract_lines lines = lines_ahead(q, t);
    emit_loop l;
    LLVMValueRef v_next[64];
    emit_loop_begin(e, &l, "blocks", emit_i64(e, 0), emit_i64(e, q8_depth(q) / CONTRACT_BLOCK),
                    emit_i64(e, 1), n, v_sums);
    for (uint32_t i = 0; i < n; i++) {
        v_next[i] = l.v_carry[i];
    }
    contract_ask_lines(q, &lines, l.v_i);
    add_block(q, t, streams, rows, &ahead, l.v_i, v_next);
    emit_loop_end(e, &l, v_next);
    for (uint32_t i = 0; i < n; i++) {
        v_sums[i] = l.v_carry[i];
    }
}

/* Rows ----------------------------------------------------------------------------------------- */

static LLVMValueRef reduce(emit *e, const char *name, LLVMValueRef v)
{
    LLVMTypeRef t = LLVMTypeOf(v);
    return emit_intrinsic(e, name, 1, &t, 1, &v);
}

/* The largest magnitude among n vectors, as the bits of an f32: in their order a nan is the largest
 * of all. */
static LLVMValueRef largest_bits(emit *e, uint32_t n, const LLVMValueRef *v_x)
{
    LLVMTypeRef i32s = emit_vector(e, e->i32);
    LLVMValueRef v_most = NULL;
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v =
            LLVMBuildAnd(e->b, as_type(e, v_x[i], i32s), emit_const_int(e, i32s, 0x7fffffff), "");
        v_most = v_most ? emit_intrinsic2(e, "llvm.umax", v_most, v) : v;
    }
    return reduce(e, "llvm.vector.reduce.umax", v_most);
}

/* x * v_by rounded to whole numbers of 8 bits, as i32: added to 1.5 * 2^23 they are the lowest byte
 * of the sum. */
static LLVMValueRef round_to_int8(emit *e, LLVMValueRef v_x, LLVMValueRef v_by)
{
    LLVMTypeRef i32s = emit_vector(e, e->i32);
    LLVMValueRef v_24 = emit_const_int(e, i32s, 24);
    LLVMValueRef v = emit_fma(e, v_x, v_by, emit_splat(e, emit_f32(e, 12582912)));
    return LLVMBuildAShr(e->b, LLVMBuildShl(e->b, as_type(e, v, i32s), v_24, ""), v_24, "");
}

/* 32 values of the row, rounded to whole multiples of their largest / 127; a nan among them makes
 * the scale nan. */
static void pack_block(contract_emitter *q, const row *to, LLVMValueRef v_block)
{
    emit *e = q->e;
    uint32_t n = CONTRACT_BLOCK / e->lanes;
    LLVMTypeRef i8s = emit_vector(e, e->i8);
    LLVMValueRef v_x[16], v_total = NULL;
    LLVMValueRef v_k = LLVMBuildMul(e->b, v_block, emit_i64(e, CONTRACT_BLOCK), "");
    for (uint32_t i = 0; i < n; i++) {
        emit_memo memo;
        emit_memo_push(e, &memo);
        e->v_axes[q->f->k[0]->id] = contract_plus(e, v_k, (int64_t)i * e->lanes);
        e->lane_axis = q->f->k[0];
        v_x[i] = emit_lanes(e, q->f->a);
        e->lane_axis = NULL;
        emit_memo_pop(e);
    }
    LLVMValueRef v_bits = largest_bits(e, n, v_x), v_zero = LLVMConstInt(e->i32, 0, false);
    LLVMValueRef v_largest = as_type(e, v_bits, e->f32);
    LLVMValueRef v_by = LLVMBuildFDiv(e->b, emit_f32(e, 127), v_largest, "");
    v_by = emit_select(e, LLVMBuildICmp(e->b, LLVMIntNE, v_bits, v_zero, ""), v_by, emit_f32(e, 0));
    v_by = emit_splat(e, v_by);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef v = round_to_int8(e, v_x[i], v_by);
        v_total = v_total ? LLVMBuildAdd(e->b, v_total, v, "") : v;
        LLVMValueRef v_at = contract_plus(e, v_k, (int64_t)i * e->lanes);
        LLVMSetAlignment(LLVMBuildStore(e->b, LLVMBuildTrunc(e->b, v, i8s, ""),
                                        contract_at(e, e->i8, to->v_values, v_at)),
                         4);
    }
    LLVMValueRef v_scale = LLVMBuildFMul(e->b, v_largest, emit_f32(e, 1.0 / 127), "");
    LLVMBuildStore(e->b, v_scale, contract_at(e, e->f32, to->v_scales, v_block));
    LLVMValueRef v_start = LLVMBuildMul(
        e->b, reduce(e, "llvm.vector.reduce.add", v_total),
        LLVMConstInt(e->i32, (uint64_t)-blocks_of(e, contract_weights(q->f, 0)).offset, true), "");
    LLVMBuildStore(e->b, v_start, contract_at(e, e->i32, to->v_starts, v_block));
}

static void pack_row(contract_emitter *q, LLVMValueRef v_row)
{
    emit *e = q->e;
    int64_t k = q8_depth(q), n = k / CONTRACT_BLOCK;
    row to = {v_row, contract_at(e, e->i8, v_row, emit_i64(e, k)),
              contract_at(e, e->i8, v_row, emit_i64(e, k + n * 4))};
    emit_loop l;
    emit_loop_begin(e, &l, "pack", emit_i64(e, 0), emit_i64(e, n), emit_i64(e, 1), 0, NULL);
    pack_block(q, &to, l.v_i);
    emit_loop_end(e, &l, NULL);
}

const contract_kind contract_q8 = {.pack_row = pack_row,
                                   .sum = sum,
                                   .stream = COLUMNS,
                                   .sum_in_memory = q8_sum_by_tiles,
                                   .take_columns = q8_take_columns,
                                   .begin = q8_begin_tiles,
                                   .end = q8_end_tiles};
