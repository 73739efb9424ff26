#include "backend/kernel_cost.h"

#include <math.h>
#include <string.h>

enum { MOST_AXES = 4 * IR_MAX_RANK };

/* Operations of one result where it takes more than one: the polynomials of emit_math.c. */
static const struct {
    ir_op op;
    double flops;
} dear[] = {
    {IR_OP_exp,       14},
    {IR_OP_exp2,      12},
    {IR_OP_expm1,     16},
    {IR_OP_log,       18},
    {IR_OP_log2,      18},
    {IR_OP_log1p,     20},
    {IR_OP_sin,       18},
    {IR_OP_cos,       18},
    {IR_OP_tan,       24},
    {IR_OP_tanh,      18},
    {IR_OP_atan,      20},
    {IR_OP_atan2,     24},
    {IR_OP_erf,       24},
    {IR_OP_sigmoid,   17},
    {IR_OP_silu,      17},
    {IR_OP_gelu,      28},
    {IR_OP_gelu_tanh, 24},
    {IR_OP_softplus,  34},
    {IR_OP_pow,       36},
};

static double flops_of(ir_op op)
{
    for (size_t i = 0; i < sizeof dear / sizeof *dear; i++) {
        if (dear[i].op == op) {
            return dear[i].flops;
        }
    }
    return 1;
}

typedef struct touched { /* of a buffer, in elements */
    double read, written;
} touched;

typedef struct counter {
    const k_kernel *k;
    ir_dim_lookup value;
    void *data;
    const k_axis *known[MOST_AXES];
    double extents[MOST_AXES];
    uint32_t n_known;
    const k_nest *nest; /* being counted, or NULL */
    uint64_t outer;     /* axes around all steps */
    double fraction;    /* of the points that are computed: attention's that are seen, taps that are
                           met */
    bool *counted;      /* [k->n_exprs]: in this step */
    touched *touched;   /* [k->n_bufs] */
    double flops;
    bool ok;
} counter;

static double size(counter *c, const ir_dim *d)
{
    int64_t v = 0;
    if (!ir_dim_eval(d, c->value, c->data, &v)) {
        c->ok = false;
    }
    return v > 0 ? (double)v : 0;
}

/* Axes that a step runs over, its own and those around it, have bits in masks. */
static uint64_t know_axis(counter *c, const k_axis *axis)
{
    if (c->n_known == MOST_AXES) {
        c->ok = false;
        return 0;
    }
    c->extents[c->n_known] = size(c, axis->extent);
    c->known[c->n_known] = axis;
    return (uint64_t)1 << c->n_known++;
}

/* 0: it is none of those. */
static uint64_t bit_of(const counter *c, const k_axis *axis)
{
    for (uint32_t i = 0; i < c->n_known; i++) {
        if (c->known[i] == axis) {
            return (uint64_t)1 << i;
        }
    }
    return 0;
}

static uint64_t know_axes(counter *c, const k_axis *const *axes, uint32_t n)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < n; i++) {
        mask |= know_axis(c, axes[i]);
    }
    return mask;
}

static double points(const counter *c, uint64_t axes)
{
    double n = 1;
    for (uint32_t i = 0; i < c->n_known; i++) {
        n *= axes >> i & 1 ? c->extents[i] : 1;
    }
    return n;
}

static uint64_t axes_of(const counter *c, const k_expr *e);

/* A folded value is as many as what is folded has places around the fold: a norm's statistics are
 * one a row, whatever the product they are part of has for columns. */
static uint64_t axes_of_reduced(const counter *c, uint32_t step)
{
    const k_step *s = c->nest ? &c->nest->steps[step] : NULL;
    return s && s->kind == K_STEP_REDUCE ? axes_of(c, s->value) & c->outer : c->outer;
}

/* The axes an expression depends on. */
static uint64_t axes_of(const counter *c, const k_expr *e)
{
    uint64_t mask = 0;
    if (e->kind == K_AXIS) {
        return bit_of(c, e->axis);
    }
    if (e->kind == K_REDUCED) {
        return axes_of_reduced(c, e->reduced);
    }
    if (e->kind == K_HOLE) {
        return c->outer;
    }
    for (uint32_t i = 0; i < e->n; i++) {
        mask |= axes_of(c, e->args[i]);
    }
    if (e->guard) {
        mask |= axes_of(c, e->guard) | axes_of(c, e->fallback);
    }
    return mask;
}

static double elements_of(counter *c, const k_buf *b)
{
    double n = 1;
    for (uint32_t i = 0; i < b->type->rank; i++) {
        n *= size(c, b->type->dims[i]);
    }
    return n;
}

static void touch(counter *c, const k_buf *b, double elements, bool write)
{
    double all = elements_of(c, b);
    touched *t = &c->touched[b->id];
    double *most = write ? &t->written : &t->read;
    elements = elements < all ? elements : all;
    *most = elements > *most ? elements : *most;
}

/* Loads and arithmetic of an expression and all it is made of, what was counted before left out. */
static void count(counter *c, const k_expr *e)
{
    if (c->counted[e->id]) {
        return;
    }
    c->counted[e->id] = true;
    uint64_t places = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        count(c, e->args[i]);
        places |= axes_of(c, e->args[i]);
    }
    if (e->guard) {
        count(c, e->guard);
        count(c, e->fallback);
    }
    if (e->kind == K_LOAD) {
        touch(c, e->buf, points(c, places), false);
    }
    ir_dtype t = e->n ? e->args[e->n - 1]->dtype : e->dtype; /* of a comparison: what is compared */
    if (e->kind == K_OP && ir_dtype_is_float(t)) {
        c->flops += flops_of(e->op) * points(c, axes_of(c, e)) * c->fraction;
    }
}

static void begin_step(counter *c)
{
    memset(c->counted, 0, c->k->n_exprs * sizeof *c->counted);
}

static void count_store(counter *c, const k_buf *b, const k_expr *offset)
{
    count(c, offset);
    touch(c, b, points(c, axes_of(c, offset)), true);
}

/* Of a transposed convolution's taps a point meets every stride-th alone. */
static double met_share(const k_nest *n)
{
    double share = 1;
    for (uint32_t i = 0; n->conv && n->conv->transposed && i < n->conv->n_spatial; i++) {
        share /= (double)n->conv->strides[i];
    }
    return share;
}

static void count_nest(counter *c, const k_nest *n)
{
    c->nest = n;
    c->n_known = 0;
    c->outer = know_axes(c, n->outer, n->n_outer);
    if (n->keep) {
        know_axis(c, n->keep->columns);
    }
    uint32_t around = c->n_known;
    for (uint32_t i = 0; i < n->n_steps && points(c, c->outer) > 0; i++) {
        const k_step *s = &n->steps[i];
        c->n_known = around;
        uint64_t own = know_axes(c, s->axes, s->n_axes), all = c->outer | own;
        all = s->kind == K_STEP_REDUCE ? axes_of(c, s->value) | own : all;
        begin_step(c);
        c->fraction = i == 0 ? met_share(n) : 1;
        count(c, s->value);
        if (s->kind != K_STEP_STORE || s->add) {
            c->flops += ir_dtype_is_float(s->value->dtype) ? points(c, all) * c->fraction : 0;
        }
        c->fraction = 1;
        if (s->kind != K_STEP_REDUCE) {
            count_store(c, s->buf, s->offset);
        }
        if (s->kind == K_STEP_STORE && s->add) {
            touch(c, s->buf, points(c, axes_of(c, s->offset)), false);
        }
    }
    c->nest = NULL;
}

/* The share of all pairs of a query and a key that attention looks at. */
static double seen_share(counter *c, const k_attention *t)
{
    double n = size(c, t->i->extent), m = size(c, t->j->extent), seen = 0;
    if (!t->causal || n * m == 0) {
        return 1;
    }
    int64_t causal = 0, reach = INT32_MAX;
    if (!ir_dim_eval(t->causal, c->value, c->data, &causal) ||
        (t->reach && !ir_dim_eval(t->reach, c->value, c->data, &reach))) {
        c->ok = false;
    }
    for (double i = 0; i < n; i++) {
        double behind = fmin(i + (double)causal + 1, m),
               before = i + (double)causal - (double)reach + 1;
        seen += fmax(behind - fmax(before, 0), 0);
    }
    return seen / (n * m);
}

/* Scores (2 d a pair), softmax (maximum, difference, exp, sum), weighted values (2 dv a pair),
 * division. */
static void count_attention(counter *c, const k_attention *t)
{
    uint64_t batch = know_axes(c, t->batch, t->n_batch);
    const k_axis *own[] = {t->i, t->j, t->d, t->dv};
    know_axes(c, own, 4);
    uint64_t i = bit_of(c, t->i), j = bit_of(c, t->j);
    double d = size(c, t->d->extent), dv = size(c, t->dv->extent), share = seen_share(c, t);
    begin_step(c);
    count(c, t->q);
    count(c, t->k);
    count(c, t->v);
    c->outer = batch | i | j;
    c->fraction = share;
    count(c, t->score);
    c->fraction = 1;
    c->flops += points(c, batch | i | j) * share * (2 * d + 2 * dv + 4 + flops_of(IR_OP_exp));
    c->flops += points(c, batch | i) * dv;
    c->outer = batch | i | bit_of(c, t->dv);
    begin_step(c);
    count(c, t->out);
    count_store(c, t->buf, t->offset);
}

/* n log2 n comparisons a row. */
static void count_sort(counter *c, const k_sort *s)
{
    c->outer = know_axes(c, s->outer, s->n_outer);
    uint64_t all = c->outer | know_axis(c, s->axis);
    know_axis(c, s->out_axis);
    begin_step(c);
    count(c, s->key);
    double n = size(c, s->axis->extent);
    c->flops += n > 1 ? points(c, all) * log2(n) : 0;
    if (s->values) {
        count_store(c, s->values, s->values_offset);
    }
    if (s->indices) {
        count_store(c, s->indices, s->indices_offset);
    }
}

/* Products with block-stored weights are made of 8-bit integers, those with weights in pairs of
 * bf16, as attention's may be. */
static k_arithmetic arithmetic_of(const k_kernel *k)
{
    bool product = strcmp(k->kind, "contract") == 0;
    if (k->attention && k->attention->bf16) {
        return K_ARITHMETIC_BF16;
    }
    for (uint32_t i = 0; product && i < k->n_bufs; i++) {
        const k_buf *b = k->bufs[i];
        if (!ir_storage_is_dense(b->storage)) {
            return K_ARITHMETIC_INT8;
        }
        if (k_buf_in_pairs(b)) {
            return K_ARITHMETIC_BF16;
        }
    }
    return K_ARITHMETIC_F32;
}

bool k_kernel_cost(const k_kernel *k, arena *scratch, ir_dim_lookup value, void *data, k_cost *out)
{
    arena_point mark = arena_mark(scratch);
    counter c = {.k = k,
                 .value = value,
                 .data = data,
                 .fraction = 1,
                 .counted = arena_array(scratch, bool, k->n_exprs + 1),
                 .touched = arena_array(scratch, touched, k->n_bufs + 1),
                 .ok = true};
    for (uint32_t i = 0; i < k->n_nests; i++) {
        count_nest(&c, &k->nests[i]);
    }
    if (k->attention) {
        count_attention(&c, k->attention);
    }
    if (k->sort) {
        count_sort(&c, k->sort);
    }
    *out = (k_cost){.calls = 1, .flops = c.flops, .arithmetic = arithmetic_of(k)};
    for (uint32_t i = 0; i < k->n_bufs; i++) {
        ir_storage s = k->bufs[i]->storage;
        out->bytes += (c.touched[i].read + c.touched[i].written) * ir_storage_block_bytes(s) /
                      ir_storage_block(s);
    }
    arena_release(scratch, mark);
    return c.ok;
}

/* Programs ----------------------------------------------------------------------------------------
 */

/* Values of symbols: a loop's or a kernel's own, else those of what is around it. */
typedef struct scope {
    const ir_sym *index; /* of the loop around */
    int64_t turn;
    const k_item *item; /* of a kernel: what its symbols stand for, in terms of `outer` */
    const struct scope *outer;
    ir_dim_lookup value; /* outermost */
    void *data;
} scope;

static bool look_up(void *data, const ir_sym *s, int64_t *value)
{
    const scope *in = data;
    if (in->value) {
        return in->value(in->data, s, value);
    }
    if (in->index == s) {
        *value = in->turn;
        return true;
    }
    for (uint32_t i = 0; in->item && i < in->item->kernel->n_syms; i++) {
        if (in->item->kernel->syms[i] == s) {
            return ir_dim_eval(in->item->dims[i], look_up, (void *)(uintptr_t)in->outer, value);
        }
    }
    return !in->item && look_up((void *)(uintptr_t)in->outer, s, value);
}

static bool count_items(const k_item *items, uint32_t n, const scope *in, arena *scratch,
                        k_cost *out);

static bool count_item(const k_item *item, const scope *in, arena *scratch, k_cost *out)
{
    void *data = (void *)(uintptr_t)in;
    if (item->kind == K_ITEM_KERNEL) {
        scope own = {.item = item, .outer = in};
        k_cost one, *all = &out[item->number];
        bool ok = k_kernel_cost(item->kernel, scratch, look_up, &own, &one);
        *all = (k_cost){all->calls + 1, all->flops + one.flops, all->bytes + one.bytes,
                        one.arithmetic};
        return ok;
    }
    int64_t lo, hi;
    if (item->kind != K_ITEM_LOOP) {
        return true;
    }
    if (!ir_dim_eval(item->lo, look_up, data, &lo) || !ir_dim_eval(item->hi, look_up, data, &hi)) {
        return false;
    }
    bool ok = true;
    for (int64_t i = lo; item->step > 0 ? i < hi : i > hi; i += item->step) {
        scope turn = {.index = item->sym, .turn = i, .outer = in};
        ok = count_items(item->items, item->n_items, &turn, scratch, out) && ok;
    }
    return ok;
}

static bool count_items(const k_item *items, uint32_t n, const scope *in, arena *scratch,
                        k_cost *out)
{
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        ok = count_item(&items[i], in, scratch, out) && ok;
    }
    return ok;
}

bool k_program_cost(const k_program *p, arena *scratch, ir_dim_lookup value, void *data,
                    k_cost *out)
{
    memset(out, 0, p->n_kernel_uses * sizeof *out);
    scope outermost = {.value = value, .data = data};
    return count_items(p->items, p->n_items, &outermost, scratch, out);
}
