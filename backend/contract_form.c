#include "backend/contract_form.h"

#include <string.h>

typedef struct finder {
    ir_ctx *c;
    arena *a;
    const k_nest *n;
    const target *t;
    contract_form *f;
} finder;

enum { ALIASING = 1024 }; /* f32s in 4 KiB: rows that far apart meet in the same sets of L1 */

static bool is_sum_of_products(const k_step *s)
{
    return s->kind == K_STEP_REDUCE && s->op == IR_OP_reduce_sum && s->acc == IR_f32 &&
           s->n_axes > 0 && s->value->kind == K_OP && s->value->op == IR_OP_mul;
}

static bool is_row_step(const finder *q, const k_step *s)
{
    return s->kind == K_STEP_REDUCE && s->n_axes == 1 && s->op != IR_OP_argmax &&
           s->op != IR_OP_argmin && !k_uses_axis(s->value, q->f->n);
}

/* The same expression with each axis of xs in the place of that of ys. */
static bool same_along(const k_expr *x, const k_expr *y, uint32_t n, const k_axis *const *xs,
                       const k_axis *const *ys)
{
    if (x == y) {
        bool moves = false;
        for (uint32_t i = 0; i < n; i++) {
            moves |= xs[i] != ys[i] && k_uses_axis(x, xs[i]);
        }
        return !moves;
    }
    if (x->kind != y->kind || x->dtype != y->dtype || x->n != y->n || x->op != y->op ||
        x->buf != y->buf || x->dim != y->dim || x->i != y->i || x->f != y->f ||
        x->reduced != y->reduced || x->guard || y->guard || x->kind == K_RANDOM) {
        return false;
    }
    if (x->kind == K_AXIS) {
        for (uint32_t i = 0; i < n; i++) {
            if (x->axis == xs[i]) {
                return y->axis == ys[i];
            }
        }
        return x->axis == y->axis;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        if (!same_along(x->args[i], y->args[i], n, xs, ys)) {
            return false;
        }
    }
    return true;
}

/* Takes a product apart: b is the factor along n. */
static bool take_product(finder *q, const k_step *s, const k_expr **a, const k_expr **b)
{
    const k_expr *x = s->value->args[0], *y = s->value->args[1];
    bool first = k_uses_axis(x, q->f->n), second = k_uses_axis(y, q->f->n);
    *a = first ? y : x;
    *b = first ? x : y;
    return first != second;
}

static const k_expr *without_casts(const k_expr *x)
{
    while (x->kind == K_CAST) {
        x = x->args[0];
    }
    return x;
}

/* Of a product of bf16 whose weights are not in pairs, the expressions themselves round. */
static contract_math math_of(const k_step *s, const k_expr *b)
{
    b = without_casts(b);
    bool bf16 = s->math && strcmp(s->math, "bf16") == 0;
    return !s->math                                      ? CONTRACT_F32
           : !bf16                                       ? CONTRACT_Q8
           : b->kind == K_LOAD && k_buf_in_pairs(b->buf) ? CONTRACT_BF16
                                                         : CONTRACT_F32;
}

static bool take_products(finder *q)
{
    contract_form *f = q->f;
    const k_nest *n = q->n;
    uint32_t at = f->n_row_steps;
    uint32_t most = f->keep ? 1 : CONTRACT_MOST_PRODUCTS;
    for (; at + 1 < n->n_steps && f->n_products < most; at++) {
        const k_step *s = &n->steps[at];
        const k_expr *a, *b;
        if (!is_sum_of_products(s) || !take_product(q, s, &a, &b)) {
            return false;
        }
        if (f->n_products == 0) {
            f->a = a;
            f->k = s->axes;
            f->n_k = s->n_axes;
            f->kind = math_of(s, b);
        } else {
            f->more_k = s->axes;
            if (math_of(s, b) != f->kind) {
                return false;
            }
            for (uint32_t i = 0; i < f->n_k; i++) {
                if (s->n_axes != f->n_k || s->axes[i]->extent != f->k[i]->extent) {
                    return false;
                }
            }
            if (!same_along(f->a, a, f->n_k, f->k, s->axes)) {
                return false;
            }
        }
        f->b[f->n_products++] = b;
    }
    f->store = &n->steps[at];
    f->n_stores = n->n_steps - at;
    bool ok = f->n_products > 0 && (f->keep || (f->n_stores == 1 && f->store->n_axes == 0));
    for (uint32_t i = 0; i < f->n_stores && ok; i++) {
        ok = f->store[i].kind == K_STEP_STORE && !f->store[i].add;
    }
    return ok;
}

static bool used_by_b(const contract_form *f, const k_axis *axis)
{
    for (uint32_t p = 0; p < f->n_products; p++) {
        if (k_uses_axis(f->b[p], axis)) {
            return true;
        }
    }
    return false;
}

/* The innermost axis with more than one row that only a reads. */
static void find_rows(finder *q)
{
    for (uint32_t i = 0; i < q->n->n_outer; i++) {
        const k_axis *axis = q->n->outer[i];
        if (!contract_is_column(q->f, axis) && !ir_dim_is_one(axis->extent) &&
            !used_by_b(q->f, axis) && k_uses_axis(q->f->a, axis)) {
            q->f->m = axis;
        }
    }
}

bool contract_is_column(const contract_form *f, const k_axis *axis)
{
    return axis && (axis == f->n || (f->keep && axis == f->keep->groups));
}

const k_axis *contract_batch_axis(const contract_form *f, uint32_t i)
{
    for (uint32_t k = 0; k < f->nest->n_outer; k++) {
        const k_axis *axis = f->nest->outer[k];
        if (axis != f->m && !contract_is_column(f, axis) && i-- == 0) {
            return axis;
        }
    }
    return NULL;
}

bool contract_shares_at(const contract_form *f, int64_t columns)
{
    const k_nest *n = f->nest;
    bool divided = n->split >= 0 && contract_is_column(f, n->outer[n->split]);
    return !divided || n->grain * (f->keep ? f->keep->group : 1) % columns == 0;
}

/* Weights that the emitter finds by itself: all columns and all of k, each at its own place. */
static bool reads_whole(const finder *q, const k_expr *b)
{
    const k_axis *k = q->f->k[0];
    b = without_casts(b);
    if (b->kind != K_LOAD || b->guard || !b->buf->panel || k_buf_in_taps(b->buf) ||
        q->f->n_k != 1 || !ir_dim_is_const(k->extent)) {
        return false;
    }
    const k_expr *n = b->args[1];
    uint32_t along_k = b->buf->pack_transposed ? 0 : 1;
    return n->kind == K_AXIS && n->axis == q->f->n && b->buf->type->dims[along_k] == k->extent &&
           b->buf->type->dims[1 - along_k] == q->f->n->extent;
}

static bool reads_blocks(const finder *q, const k_expr *b)
{
    return reads_whole(q, b) && !ir_storage_is_dense(without_casts(b)->buf->storage) &&
           contract_shares_at(q->f, IR_BLOCK_COLUMNS);
}

static bool reads_pairs(const finder *q, const k_expr *b)
{
    return reads_whole(q, b) && without_casts(b)->buf->panel % q->t->lanes == 0 &&
           contract_shares_at(q->f, q->t->lanes);
}

/* Vectors of b along n lie side by side in memory. */
static bool reads_vectors(const finder *q, const k_expr *b)
{
    const ir_dim *stride;
    b = without_casts(b);
    if (b->kind != K_LOAD || b->guard || !ir_storage_is_dense(b->buf->storage) ||
        k_buf_in_pairs(b->buf)) {
        return false;
    }
    if (b->buf->panel) {
        return k_buf_in_panels(b->buf) && contract_shares_at(q->f, q->t->lanes) &&
               b->buf->panel % q->t->lanes == 0 &&
               k_affine(q->c, q->a, b->args[1], q->f->n, &stride) && ir_dim_is_one(stride);
    }
    return k_affine(q->c, q->a, b->args[0], q->f->n, &stride) && ir_dim_is_one(stride);
}

/* An element of a costs a load, and rows do not fall upon each other in the cache. */
static bool reads_in_place(const finder *q)
{
    const contract_form *f = q->f;
    const k_axis *k = f->k[f->n_k - 1];
    if (f->n_row_steps || f->kind != CONTRACT_F32) {
        return false;
    }
    if (f->n_k > 1 || !ir_dim_is_const(k->extent)) {
        return true;
    }
    const ir_dim *along, *rows;
    bool plain = f->a->kind == K_LOAD && !f->a->guard && f->a->buf->dtype == IR_f32 &&
                 f->a->buf->storage == IR_STORAGE_f32 && !f->a->buf->panel &&
                 k_affine(q->c, q->a, f->a->args[0], k, &along) && ir_dim_is_one(along);
    if (!plain || !f->m) {
        return plain;
    }
    bool known = k_affine(q->c, q->a, f->a->args[0], f->m, &rows) && ir_dim_is_const(rows);
    return !known || ir_dim_value(rows) % ALIASING != 0;
}

static bool stores_use_row_steps(const finder *q)
{
    const contract_form *f = q->f;
    bool any = false;
    for (uint32_t s = 0; s < f->n_stores; s++) {
        for (uint32_t i = 0; i < f->n_row_steps; i++) {
            any |= k_uses_reduced(f->store[s].value, i) || k_uses_reduced(f->store[s].offset, i);
        }
    }
    return any;
}

bool contract_form_of(ir_ctx *c, arena *a, const k_nest *n, const target *t, contract_form *out)
{
    *out = (contract_form){.nest = n, .keep = n->keep};
    finder q = {c, a, n, t, out};
    if (n->n_outer == 0 || n->n_steps < 2) {
        return false;
    }
    out->n = n->keep ? n->keep->columns : n->outer[n->n_outer - 1];
    while (out->n_row_steps < n->n_steps && is_row_step(&q, &n->steps[out->n_row_steps])) {
        out->n_row_steps++;
    }
    if (!take_products(&q)) {
        return false;
    }
    find_rows(&q);
    for (uint32_t p = 0; p < out->n_products; p++) {
        static bool (*const fits[])(const finder *q, const k_expr *b) = {
            [CONTRACT_F32] = reads_vectors,
            [CONTRACT_BF16] = reads_pairs,
            [CONTRACT_Q8] = reads_blocks,
        };
        if (!fits[out->kind](&q, out->b[p])) {
            return false;
        }
    }
    out->in_place = reads_in_place(&q);
    bool packs = out->n_k == 1 && ir_dim_is_const(out->k[0]->extent);
    return (out->in_place || packs) && !stores_use_row_steps(&q);
}

/* Rows of two products ------------------------------------------------------------------------- */

enum { MOST_PAIRS = 2 * IR_MAX_RANK + 2 }; /* a group's place is one more, a norm's axis another */

/* Axes of one product that stand for those of another: the sums', then those outside. */
typedef struct axis_pairs {
    uint32_t n;
    const k_axis *x[MOST_PAIRS], *y[MOST_PAIRS];
} axis_pairs;

static bool pair(axis_pairs *p, const k_axis *x, const k_axis *y)
{
    p->x[p->n] = x;
    p->y[p->n++] = y;
    return x->extent == y->extent;
}

static bool pair_axes(const contract_form *x, const contract_form *y, axis_pairs *p)
{
    bool same = x->n_k == y->n_k && x->n_k <= IR_MAX_RANK && !x->m == !y->m;
    for (uint32_t i = 0; i < x->n_k && same; i++) {
        same = pair(p, x->k[i], y->k[i]);
    }
    same = same && (!x->m || pair(p, x->m, y->m));
    for (uint32_t i = 0; same; i++) {
        const k_axis *bx = contract_batch_axis(x, i), *by = contract_batch_axis(y, i);
        if (!bx || !by) {
            return bx == by;
        }
        same = pair(p, bx, by);
    }
    return false;
}

static bool same_row_steps(const contract_form *x, const contract_form *y, const axis_pairs *p)
{
    bool same = x->n_row_steps == y->n_row_steps;
    for (uint32_t i = 0; i < x->n_row_steps && same; i++) {
        const k_step *sx = &x->nest->steps[i], *sy = &y->nest->steps[i];
        axis_pairs own = *p;
        same = sx->op == sy->op && sx->acc == sy->acc && pair(&own, sx->axes[0], sy->axes[0]) &&
               same_along(sx->value, sy->value, own.n, own.x, own.y);
    }
    return same;
}

static const k_axis *split_axis(const contract_form *f)
{
    return f->nest->split < 0 ? NULL : f->nest->outer[f->nest->split];
}

static bool same_shares(const contract_form *x, const contract_form *y, const axis_pairs *p)
{
    const k_axis *sx = split_axis(x), *sy = split_axis(y);
    bool same = !sx && !sy;
    for (uint32_t i = 0; i < p->n && sx; i++) {
        same |= p->x[i] == sx && p->y[i] == sy && x->nest->grain == y->nest->grain;
    }
    return same || (contract_is_column(x, sx) && contract_is_column(y, sy));
}

bool contract_same_rows(const contract_form *x, const contract_form *y)
{
    axis_pairs p = {0};
    return x->kind == y->kind && x->in_place == y->in_place && pair_axes(x, y, &p) &&
           same_shares(x, y, &p) && same_row_steps(x, y, &p) &&
           same_along(x->a, y->a, p.n, p.x, p.y);
}
