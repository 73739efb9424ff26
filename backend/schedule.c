#include "backend/schedule.h"
#include "runtime/abi.h"

/* Loads of an expression along an axis: cost of reading a vector's worth. */
static double load_cost(ir_ctx *c, arena *a, const k_expr *x, const k_axis *axis, uint32_t lanes)
{
    double cost = 0;
    if (x->kind == K_LOAD) {
        const ir_dim *stride;
        bool affine = k_affine(c, a, x->args[0], axis, &stride);
        bool same = affine && ir_dim_is_value(stride, 0), next = affine && ir_dim_is_one(stride);
        if (k_buf_in_panels(x->buf) && k_affine(c, a, x->args[1], axis, &stride)) {
            next = ir_dim_is_one(stride);
        }
        bool dense = ir_storage_is_dense(x->buf->storage);
        bool pairs =
            dense && affine && ir_dim_is_value(stride, 2); /* two vectors, every other lane */
        cost += same ? 0.5 : next ? 1 : pairs ? 4 : dense ? lanes : 4.0 * lanes;
    }
    for (uint32_t i = 0; i < (x->kind == K_LOAD ? 1 : x->n); i++) {
        cost += load_cost(c, a, x->args[i], axis, lanes);
    }
    return cost;
}

static double store_cost(ir_ctx *c, arena *a, const k_step *s, const k_axis *axis, uint32_t lanes)
{
    const ir_dim *stride;
    bool next = k_affine(c, a, s->offset, axis, &stride) && ir_dim_is_one(stride);
    return next ? 1 : lanes;
}

/* How much of the vectors along an axis is used. */
static double filled(const ir_dim *extent, uint32_t lanes)
{
    if (!ir_dim_is_const(extent)) {
        return 1;
    }
    double n = (double)ir_dim_value(extent);
    double vectors = (double)((ir_dim_value(extent) + lanes - 1) / lanes);
    return n < 1 ? 1 : n / (vectors * lanes);
}

/* What it takes to sum up lanes, spread over the vectors of one reduction. */
static double fold_cost(const k_step *s, uint32_t lanes)
{
    double n = 1;
    for (uint32_t i = 0; i < s->n_axes; i++) {
        n *= ir_dim_is_const(s->axes[i]->extent) ? (double)ir_dim_value(s->axes[i]->extent) : 64;
    }
    return n < 1 ? 0 : 8.0 * lanes / n;
}

static double cost_inner(ir_ctx *c, arena *a, const k_nest *n, uint32_t lanes)
{
    double cost = 0;
    bool any = false;
    for (uint32_t i = 0; i < n->n_steps; i++) {
        const k_step *s = &n->steps[i];
        double weight = s->kind == K_STEP_REDUCE ? 16 : 1;
        if (s->n_axes == 0) {
            continue;
        }
        if (s->kind == K_STEP_SCAN || s->op == IR_OP_argmax || s->op == IR_OP_argmin) {
            cost += weight * lanes * 2;
            continue;
        }
        any = true;
        const k_axis *axis = s->axes[s->n_axes - 1];
        double one = load_cost(c, a, s->value, axis, lanes) + 1;
        one += s->kind == K_STEP_STORE ? store_cost(c, a, s, axis, lanes) : fold_cost(s, lanes);
        cost += weight * one / filled(axis->extent, lanes);
    }
    return any ? cost : 1e30;
}

static double cost_outer(ir_ctx *c, arena *a, const k_nest *n, uint32_t lanes)
{
    if (n->n_outer == 0) {
        return 1e30;
    }
    const k_axis *axis = n->outer[n->n_outer - 1];
    double cost = 0;
    for (uint32_t i = 0; i < n->n_steps; i++) {
        const k_step *s = &n->steps[i];
        if (s->kind == K_STEP_SCAN || s->add) {
            return 1e30;
        }
        double weight = s->kind == K_STEP_REDUCE ? 16 : s->n_axes ? 4 : 1;
        double one = load_cost(c, a, s->value, axis, lanes) + 1;
        one += s->kind == K_STEP_STORE ? store_cost(c, a, s, axis, lanes) : 0;
        cost += weight * one / filled(axis->extent, lanes);
    }
    return cost;
}

/* One sum of products over all outer axes, stored: what register tiles are for. */
static bool is_product(const k_nest *n)
{
    return n->n_steps >= 2 && n->steps[0].kind == K_STEP_REDUCE &&
           n->steps[0].op == IR_OP_reduce_sum && n->steps[0].value->kind == K_OP &&
           n->steps[0].value->op == IR_OP_mul && n->steps[1].kind == K_STEP_STORE &&
           n->steps[1].n_axes == 0;
}

/* Of a tile of bf16: rows, steps of k. */
enum { TILE_HEIGHT = 16, TILE_DEPTH = 32 };
enum { LINE = 64 };

/* Rows that are worked on together: about so many bytes, and a few tiles at least. All weights are
 * read once a block of rows. Sums of int8 are formed so fast that the lines of the result and of
 * what is added to it count: of fewer rows they stay in L2 from one tile's columns to the next. */
static const struct {
    int64_t bytes, tiles;
} rows_together[] = {
    [CONTRACT_F32] = {1 << 20, 4},
    [CONTRACT_BF16] = {1 << 20, 1},
    [CONTRACT_Q8] = {1 << 18, 8},
};

/* Long rows are worked on a piece at a time, so that more of them, and a panel's piece, stay in L2.
 * The sums of all columns of a block go to memory between two pieces. */
enum { DEEP = 3072, DEPTH = 2048, SUM_BYTES = 1 << 19 };

static bool has_tile_registers(const target *t)
{
    return target_bf16_dots(t) && (target_has(t, AIGC_CPU_AMX) || t->emulate_tiles);
}

bool schedule_tiles(const contract_form *f, const target *t)
{
    bool kind = f->kind == CONTRACT_BF16 || f->kind == CONTRACT_Q8;
    return kind && has_tile_registers(t) && ir_dim_is_const(f->k[0]->extent) &&
           ir_dim_value(f->k[0]->extent) % TILE_DEPTH == 0;
}

/* A line more than the row, so that rows do not fall upon each other in the cache. */
static int64_t packed_row_bytes(const contract_form *f, const target *t)
{
    int64_t k = ir_dim_value(f->k[0]->extent);
    bool halves = f->kind == CONTRACT_BF16 && target_bf16_dots(t);
    int64_t bytes = f->kind == CONTRACT_Q8 ? k + k / CONTRACT_BLOCK * 8 : halves ? k * 2 : k * 4;
    bytes = (bytes + LINE - 1) / LINE * LINE;
    return f->kind == CONTRACT_BF16 && schedule_tiles(f, t) ? bytes : bytes + LINE;
}

/* Rows of the highest tile: sums, the columns' vectors and one value of a row fit the registers.
 * Sums of int8 are two: of the block, and of all blocks; their columns have scales as well. Pairs
 * of bf16 that are multiplied in f32 take their vectors twice. */
static uint32_t tallest(const contract_form *f, const target *t, uint32_t vectors)
{
    uint32_t wide = vectors * f->n_products, sums = f->kind == CONTRACT_Q8 ? 2 : 1;
    bool twice = f->kind == CONTRACT_Q8 || (f->kind == CONTRACT_BF16 && !target_bf16_dots(t));
    uint32_t weights = twice ? 2 * wide : wide;
    uint32_t rows = t->registers > weights + 1 ? (t->registers - weights - 1) / (wide * sums) : 1;
    return rows < 1 ? 1 : rows;
}

/* Of all pieces about as many steps, and whole vectors. */
static int64_t depth_of(const contract_form *f, const target *t)
{
    int64_t k = ir_dim_value(f->k[0]->extent), pieces = (k + DEPTH - 1) / DEPTH;
    if (f->kind != CONTRACT_F32 || f->keep || !f->m || ir_dim_is_one(f->m->extent) || k <= DEEP) {
        return 0;
    }
    int64_t vectors = (k + pieces * t->lanes - 1) / (pieces * t->lanes);
    return vectors * t->lanes;
}

static void set_blocks(const contract_form *f, const target *t, schedule_product *s)
{
    int64_t tall = s->heights[0], low = s->heights[s->n_heights - 1];
    s->depth = depth_of(f, t);
    s->row_bytes = s->depth ? s->depth * 4 + LINE : packed_row_bytes(f, t);
    int64_t fit = rows_together[f->kind].bytes / s->row_bytes / tall,
            least = rows_together[f->kind].tiles;
    s->block_tiles = fit < least ? least : fit;
    s->most_rows = (s->block_tiles + (s->block_tiles + 1) / 2) * tall;
    if (!f->m) {
        s->most_rows = 1;
    } else if (ir_dim_is_const(f->m->extent) && ir_dim_value(f->m->extent) < s->most_rows) {
        int64_t rows = ir_dim_value(f->m->extent);
        s->most_rows = rows > 0 ? (rows + low - 1) / low * low : low;
    }
    int64_t wide = (int64_t)s->vectors * t->lanes;
    int64_t columns = SUM_BYTES / 4 / (s->most_rows * f->n_products) / wide * wide;
    s->most_columns = columns < wide ? wide : columns;
}

schedule_product schedule_contract(const contract_form *f, const target *t)
{
    bool q8 = f->kind == CONTRACT_Q8;
    schedule_product s = {.vectors = q8 ? 2 / f->n_products : 2,
                          .row_vectors = (q8 ? 4 : 8) / f->n_products,
                          .row_unroll = 2};
    bool tiles = schedule_tiles(f, t);
    s.rows_in_tiles = tiles && !q8;
    if (tiles && q8) {
        s.heights[s.n_heights++] = TILE_HEIGHT;
        s.column_bytes = ir_dim_value(f->k[0]->extent) * t->lanes * s.vectors * f->n_products;
    }
    if (s.rows_in_tiles) { /* four tiles of sums, of two tiles of rows and two of weights */
        s.vectors = 2 / f->n_products;
        s.heights[s.n_heights++] = 2 * TILE_HEIGHT;
        s.heights[s.n_heights++] = TILE_HEIGHT;
    } else {
        for (uint32_t h = tallest(f, t, s.vectors); h > 1; h = h > 8 ? 8 : (h + 1) / 2) {
            s.heights[s.n_heights++] = h;
        }
        s.heights[s.n_heights++] = 1;
    }
    if (f->n_k == 1 && ir_dim_is_const(f->k[0]->extent)) {
        set_blocks(f, t, &s);
    }
    return s;
}

enum { MOST_TILED = 1024, MOST_IN_ROWS = 8192 }; /* elements of a key, or of key and value */
enum { MOST_BLOCKS = 4, MOST_IN_BLOCKS = 1024 };

/* Copies of keys and values cost a tenth of the products of bf16 that one block of queries makes of
 * them; what is kept of the blocks stays in L2. */
static uint32_t blocks_of_queries(int64_t elements)
{
    int64_t fit = MOST_IN_BLOCKS / (elements + 1);
    return fit < 1 ? 1 : fit < MOST_BLOCKS ? (uint32_t)fit : MOST_BLOCKS;
}

schedule_attention schedule_attend(const k_attention *at, const target *t)
{
    bool many = t->registers >= 32;
    bool known = ir_dim_is_const(at->d->extent) && ir_dim_is_const(at->dv->extent);
    int64_t d = known ? ir_dim_value(at->d->extent) : 0;
    int64_t dv = known ? ir_dim_value(at->dv->extent) : 0;
    schedule_attention s = {
        .tiles = known && d <= MOST_TILED && dv <= MOST_TILED,
        .dots = at->bf16 && target_bf16_dots(t),
        .few = true,
        .most_few = t->lanes,
        .vectors = 2,
        .blocks = blocks_of_queries(d + dv),
        .height = many ? 8 : 4,
        .keys = 64,
        .rows = known && d + dv <= MOST_IN_ROWS ? 16 : 1,
        .heights = {4,            1},
        .tile_keys = {many ? 4 : 2, 8},
        .widths = {many ? 4 : 2, 1},
        .row_keys = 128
    };
    if (ir_dim_is_const(at->i->extent) && s.tiles) {
        s.few = ir_dim_value(at->i->extent) <= s.most_few;
        s.tiles = !s.few;
    }
    s.registers = s.tiles && s.dots && has_tile_registers(t);
    if (s.rows == 1) {
        s.heights[0] = 1;
        s.tile_keys[0] = 8;
    }
    return s;
}

schedule schedule_nest(ir_ctx *c, arena *a, const k_nest *n, const target *t)
{
    double inner = cost_inner(c, a, n, t->lanes), outer = cost_outer(c, a, n, t->lanes);
    schedule s = {.lanes = inner >= 1e30 && outer >= 1e30 ? SCHEDULE_SCALAR
                           : inner <= outer               ? SCHEDULE_INNER
                                                          : SCHEDULE_OUTER,
                  .jam_rows = 1,
                  .jam_cols = 1,
                  .unroll = 2};
    bool adds = false;
    for (uint32_t i = 0; i < n->n_steps; i++) {
        adds |= n->steps[i].add;
    }
    if (adds) {
        s.lanes = SCHEDULE_SCALAR;
    }
    s.cols_first = is_product(n) && n->n_outer > 1 && s.lanes != SCHEDULE_SCALAR;
    if (is_product(n) && s.lanes == SCHEDULE_INNER) {
        s.jam_rows = n->n_outer > 1 ? 4 : 1;
        s.jam_cols = 4;
        s.unroll = 1;
    } else if (is_product(n) && s.lanes == SCHEDULE_OUTER) {
        s.jam_rows = n->n_outer > 1 ? 4 : 1;
        s.jam_cols = 4;
    }
    return s;
}
