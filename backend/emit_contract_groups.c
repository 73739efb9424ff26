/* Products whose columns are kept by groups (k_keep): a tile's sums go to this thread's scratch
 * memory, so many rows of so many columns, and when those of a block of columns are all there, what
 * is made of them is stored:
 *
 *     for columns of a block                    whole groups, and whole tiles
 *         for columns of a tile, rows ...       as any product: keep[row, column] = sums
 *         for rows, groups                      the stores, of keep[row, the group's columns]
 *
 * The sums lie in L2 at the worst, and nowhere else. */
#include "backend/emit_contract.h"
#include "support/divisor.h"

static int64_t least_multiple(int64_t x, int64_t y)
{
    return x / common_divisor(x, y) * y;
}

keep_schedule contract_keep_schedule(const contract_form *f, const schedule_product *s,
                                     uint32_t lanes)
{
    enum { ROOM = 1 << 16, ONE_ROW = 1 << 12 }; /* f32s of many rows, and columns of one */
    int64_t tall = s->heights[0], columns = ir_dim_value(f->n->extent);
    int64_t unit = least_multiple(f->keep->group, (int64_t)s->vectors * lanes);
    int64_t one_unit = least_multiple(unit, (int64_t)s->row_vectors * lanes);
    int64_t wanted = columns < ONE_ROW ? columns : ONE_ROW;
    int64_t rows = ROOM / unit / tall * tall;
    keep_schedule k = {.columns = unit, .rows = rows < tall ? tall : rows};
    k.one_row = (wanted + one_unit - 1) / one_unit * one_unit;
    k.one_row = k.one_row < one_unit ? one_unit : k.one_row;
    return k;
}

uint64_t contract_keep_bytes(const keep_schedule *k)
{
    enum { BEHIND = 16 }; /* f32s: pairs are read a vector at a time, and one more */
    int64_t many = k->rows * k->columns;
    return sizeof(float) * (uint64_t)((many > k->one_row ? many : k->one_row) + BEHIND);
}

/* Keeping -------------------------------------------------------------------------------------- */

enum { TILE, TO, TILE_HEIGHT, TILE_VECTORS, KEEP_ARGUMENTS };

/* Rows of vectors, from side by side to a stride of kept columns. */
static LLVMValueRef keep_function(contract_emitter *q)
{
    emit *e = q->e;
    char name[64];
    snprintf(name, sizeof name, "k%u_keep", e->k->id);
    LLVMTypeRef types[KEEP_ARGUMENTS] = {e->ptr, e->ptr, e->i64, e->i64};
    emit_function outside;
    LLVMValueRef fn = emit_function_begin(e, name, types, KEEP_ARGUMENTS, &outside);
    LLVMValueRef v_from = LLVMGetParam(fn, TILE), v_to = LLVMGetParam(fn, TO),
                 v_vectors = LLVMGetParam(fn, TILE_VECTORS), v_zero = emit_i64(e, 0),
                 v_one = emit_i64(e, 1), v_lanes = emit_i64(e, e->lanes);
    emit_loop row, col;
    emit_loop_begin(e, &row, "row", v_zero, LLVMGetParam(fn, TILE_HEIGHT), v_one, 0, NULL);
    LLVMValueRef v_first = LLVMBuildMul(e->b, row.v_i, v_vectors, ""),
                 v_row = LLVMBuildMul(e->b, row.v_i, emit_i64(e, q->keep.columns), "");
    emit_loop_begin(e, &col, "col", v_zero, v_vectors, v_one, 0, NULL);
    LLVMValueRef v_at = LLVMBuildMul(e->b, LLVMBuildAdd(e->b, v_first, col.v_i, ""), v_lanes, "");
    LLVMValueRef v_place = LLVMBuildAdd(e->b, v_row, LLVMBuildMul(e->b, col.v_i, v_lanes, ""), "");
    LLVMValueRef v =
        LLVMBuildLoad2(e->b, emit_vector(e, e->f32), contract_at(e, e->f32, v_from, v_at), "");
    LLVMSetAlignment(v, 4 * e->lanes);
    LLVMSetAlignment(LLVMBuildStore(e->b, v, contract_at(e, e->f32, v_to, v_place)), 4);
    emit_loop_end(e, &col, NULL);
    emit_loop_end(e, &row, NULL);
    emit_function_end(e, &outside);
    return fn;
}

void contract_keep(contract_emitter *q, const tile *t)
{
    emit *e = q->e;
    if (!q->v_keep_tile) {
        q->v_keep_tile = keep_function(q);
    }
    LLVMValueRef v_row = LLVMBuildSub(e->b, t->v_m, q->v_keep_row, ""),
                 v_col = LLVMBuildSub(e->b, t->v_n, q->v_keep_column, "");
    v_row = LLVMBuildMul(e->b, v_row, emit_i64(e, q->keep.columns), "");
    LLVMValueRef v_to = contract_at(e, e->f32, q->v_keep, LLVMBuildAdd(e->b, v_row, v_col, ""));
    LLVMValueRef args[KEEP_ARGUMENTS] = {[TILE] = q->v_tile,
                                         [TO] = v_to,
                                         [TILE_HEIGHT] =
                                             t->v_rows ? t->v_rows : emit_i64(e, t->rows),
                                         [TILE_VECTORS] = emit_i64(e, t->vectors)};
    LLVMBuildCall2(e->b, LLVMGlobalGetValueType(q->v_keep_tile), q->v_keep_tile, args,
                   KEEP_ARGUMENTS, "");
}

/* Storing -------------------------------------------------------------------------------------- */

/* After the kernel's own arguments; then the values of the outer axes that are no rows or groups.
 */
enum { KEPT, FIRST_ROW, ROWS, FIRST_COLUMN, COLUMNS, ARGUMENTS };

static void store_groups(contract_emitter *q, LLVMValueRef *v)
{
    emit *e = q->e;
    const contract_form *f = q->f;
    LLVMValueRef v_zero = emit_i64(e, 0), v_one = emit_i64(e, 1),
                 v_size = emit_i64(e, f->keep->group);
    LLVMValueRef v_group = LLVMBuildUDiv(e->b, v[FIRST_COLUMN], v_size, "");
    LLVMValueRef v_groups = LLVMBuildUDiv(e->b, v[COLUMNS], v_size, "");
    emit_loop row, group;
    emit_loop_begin(e, &row, "row", v_zero, v[ROWS], v_one, 0, NULL);
    contract_set_row(q, LLVMBuildAdd(e->b, v[FIRST_ROW], row.v_i, ""));
    emit_loop_begin(e, &group, "group", v_zero, v_groups, v_one, 0, NULL);
    if (f->keep->groups) {
        e->v_axes[f->keep->groups->id] = LLVMBuildAdd(e->b, v_group, group.v_i, "");
    }
    LLVMValueRef v_at = LLVMBuildMul(e->b, row.v_i, emit_i64(e, q->keep.columns), "");
    v_at = LLVMBuildAdd(e->b, v_at, LLVMBuildMul(e->b, group.v_i, v_size, ""), "");
    e->v_bufs[f->keep->buf->id] = contract_at(e, e->f32, v[KEPT], v_at);
    emit_row_stores(e, f->nest, f->nest->n_steps - f->n_stores);
    emit_loop_end(e, &group, NULL);
    emit_loop_end(e, &row, NULL);
}

static LLVMValueRef store_function(contract_emitter *q)
{
    emit_part part;
    LLVMValueRef v[ARGUMENTS];
    contract_part_begin(q, "groups", ARGUMENTS, v, &part);
    store_groups(q, v);
    emit_part_end(q->e, &part);
    return part.fn;
}

void contract_finish_groups(contract_emitter *q, LLVMValueRef v_rows, LLVMValueRef v_columns)
{
    emit *e = q->e;
    const k_nest *n = q->f->nest;
    if (!q->v_store_groups) {
        q->v_store_groups = store_function(q);
    }
    LLVMValueRef args[ARGUMENTS + EMIT_MOST_OUTER] = {[KEPT] = q->v_keep,
                                                     [FIRST_ROW] = q->v_keep_row,
                                                     [ROWS] = v_rows,
                                                     [FIRST_COLUMN] = q->v_keep_column,
                                                     [COLUMNS] = v_columns};
    for (uint32_t i = 0; i < n->n_outer; i++) {
        const k_axis *axis = n->outer[i];
        bool passed = axis != q->f->m && !contract_is_column(q->f, axis);
        args[ARGUMENTS + i] = passed ? e->v_axes[axis->id] : emit_i64(e, 0);
    }
    emit_part_call(e, q->v_store_groups, args, ARGUMENTS + n->n_outer);
}
