#include "passes/shares.h"
#include "support/divisor.h"

#include <string.h>

static bool least_value(void *data, const ir_sym *s, int64_t *value)
{
    (void)data;
    *value = s->lo < 1 ? 1 : s->lo;
    return true;
}

int64_t shares_least(const ir_dim *d)
{
    int64_t value;
    return ir_dim_eval(d, least_value, NULL, &value) && value > 0 ? value : 1;
}

/* What is known of a kernel ----------------------------------------------------------------------
 */

static double extent_product(const ir_type *t)
{
    double n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= (double)shares_least(t->dims[i]);
    }
    return n;
}

static double work_of(const share_kernel *k)
{
    const ir_graph *body = k->node->bodies[0];
    double points = 1, per_point = 1, products = 0;
    for (uint32_t i = 0; i < k->domain.rank; i++) {
        points *= (double)shares_least(k->domain.dims[i]);
    }
    for (uint32_t i = 0; i < ir_graph_size(body); i++) {
        const ir_node *n = ir_graph_node(body, i);
        per_point += ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE ? 0.5 : 0;
        products += n->op == IR_OP_contract;
    }
    const ir_node *m = k->domain.main;
    if (!m || access_is_reduction(m)) {
        return points * per_point;
    }
    double inner = 1;
    if (m->op == IR_OP_contract) {
        const ir_attr *labels = ir_node_attr(m, IR_ATTR_labels);
        const ir_type *x = ir_node_type(m->in[0]);
        for (uint32_t i = 0; i < x->rank; i++) {
            bool kept = strchr(labels->strs[2], labels->strs[0][i]) != NULL;
            inner *= kept ? 1 : (double)shares_least(x->dims[i]);
        }
        inner *= products;
    } else if (m->op == IR_OP_attention) {
        int64_t keys = shares_least(ir_node_type(m->in[1])->dims[ir_node_type(m->in[1])->rank - 2]);
        inner = 2 * (double)(keys < 64 ? 64 : keys);
    } else if (ir_op_family(m->op) == IR_FAMILY_CONV) {
        inner = extent_product(ir_node_type(m->in[1])) /
                (double)shares_least(ir_node_type(m->in[1])->dims[0]);
    } else {
        inner = 8;
    }
    return points * (inner + per_point);
}

static bool all_constant(const share_kernel *k)
{
    for (uint32_t i = 0; i < k->domain.rank; i++) {
        if (!ir_dim_is_const(k->domain.dims[i])) {
            return false;
        }
    }
    return true;
}

static void add_access(arena *a, share_kernel *k, share_access x)
{
    vec_push(a, &k->accesses, x);
}

static void add_reads(ir_ctx *c, arena *a, const value_table *t, const uint32_t *same, access *w,
                      share_kernel *k)
{
    for (uint32_t i = 0; i < w->visits.len; i++) {
        const access_visit *v = &w->visits.at[i];
        if (v->node->op != IR_OP_input) {
            continue;
        }
        const ir_node *operand = k->node->in[ir_node_int(v->node, IR_ATTR_index, 0)];
        uint32_t value = values_of(t, operand);
        share_access x = {.value = same[value], .unknown = w->misaligned || w->overrun};
        access_reshape(c, ir_node_type(v->node), values_type(t, value), v->index, x.index);
        bool known = false;
        for (uint32_t j = 0; j < k->accesses.len; j++) {
            const share_access *y = &k->accesses.at[j];
            known |= !y->write && y->value == x.value &&
                     access_same_index(y->index, x.index, values_type(t, value)->rank);
        }
        if (!known) {
            add_access(a, k, x);
        }
    }
}

static void add_writes(ir_ctx *c, arena *a, const value_table *t, const uint32_t *same,
                       share_kernel *k)
{
    for (uint32_t r = 0; r < k->node->n_results; r++) {
        const ir_node *out = ir_graph_output(k->node->bodies[0], r)->node;
        share_access x = {.value = same[t->first[k->node->id] + r], .write = true};
        const ir_dim *index[IR_MAX_RANK] = {NULL};
        access_result_index(c, k->node, &k->domain, r, index);
        uint32_t rank = ir_node_type(out)->rank;
        for (uint32_t i = 0; i < rank; i++) {
            const ir_attr *at = out->op == IR_OP_update ? ir_node_attr(out, IR_ATTR_offsets) : NULL;
            x.index[i] = at ? ir_dim_add(c, index[i], at->dims[i]) : index[i];
        }
        add_access(a, k, x);
    }
}

void shares_describe(ir_ctx *c, arena *a, const value_table *t, const uint32_t *same,
                     const ir_node *kernel, share_kernel *k)
{
    *k = (share_kernel){.node = kernel};
    access w;
    access_init(&w, a, c);
    w.parts_bounded = true;
    access_kernel(&w, kernel, &k->domain);
    k->group = access_groups(c, kernel, &k->domain, &k->groups, &k->outer)
                   ? ir_node_int(kernel, IR_ATTR_group, 0)
                   : 0;
    add_reads(c, a, t, same, &w, k);
    add_writes(c, a, t, same, k);
    if (w.overrun) { /* reads may be missing */
        for (uint32_t i = 0; i < kernel->n_in; i++) {
            add_access(a, k,
                       (share_access){.value = same[values_of(t, kernel->in[i])], .unknown = true});
        }
    }
    k->work = work_of(k);
    k->tiny = all_constant(k) && k->work < 4096;
}

/* Agreement --------------------------------------------------------------------------------------
 */

/* e = c * i + rest, 0 <= rest < c, i the axis' symbol (a dim); c constant and positive. */
static bool unit_of(ir_ctx *c, const ir_dim *e, const ir_dim *axis, int64_t *coef,
                    const ir_dim **rest)
{
    const ir_sym *s = ir_dim_as_sym(axis);
    return s && e && ir_dim_split(c, e, s, coef, rest) && *coef > 0;
}

/* The part of the rest that depends neither on axes nor on data: an offset, but for its constant
 * term, which is a matter of bounds. */
static const ir_dim *offset_of(ir_ctx *c, const ir_dim *rest)
{
    const ir_dim *sum = rest;
    const ir_sym *axis = NULL;
    while (ir_dim_any_symbol(sum, access_is_own, &axis)) {
        sum = ir_dim_subst(c, sum, axis, ir_dim_const(c, 0));
    }
    bool constant = sum->n_terms && sum->terms[sum->n_terms - 1].n_factors == 0;
    return constant ? ir_dim_offset(c, sum, -sum->terms[sum->n_terms - 1].coef) : sum;
}

static bool within(ir_ctx *c, const ir_dim *rest, int64_t size)
{
    return ir_dim_le(c, ir_dim_const(c, 0), rest) == IR_ALWAYS &&
           ir_dim_le(c, rest, ir_dim_const(c, size - 1)) == IR_ALWAYS;
}

bool shares_relate(ir_ctx *c, const share_kernel *kx, const share_access *x, int a,
                   const share_kernel *ky, const share_access *y, int b, int64_t *cx, int64_t *cy)
{
    if (x->unknown || y->unknown || a < 0 || b < 0) {
        return false;
    }
    for (uint32_t i = 0; i < IR_MAX_RANK && x->index[i] && y->index[i]; i++) {
        const ir_dim *rx, *ry;
        if (!unit_of(c, x->index[i], kx->domain.index[a], cx, &rx) ||
            !unit_of(c, y->index[i], ky->domain.index[b], cy, &ry)) {
            continue;
        }
        const ir_dim *ox = offset_of(c, rx), *oy = offset_of(c, ry);
        if (ox == oy && within(c, ir_dim_sub(c, rx, ox), *cx) &&
            within(c, ir_dim_sub(c, ry, oy), *cy)) {
            return true;
        }
    }
    return false;
}

/* Shares are runs of units of so many elements each along the value's axis. Where both kernels go
 * over the same stretch of it, n threads cut it at multiples of its n-th part; those are multiples
 * of both units when the stretch is N of their least common multiple and n divides N. */
static int64_t cuts_in_common(const ir_dim *x, int64_t unit_x, const ir_dim *y, int64_t unit_y,
                              int64_t cx, int64_t cy)
{
    if (!ir_dim_is_const(x) || !ir_dim_is_const(y) ||
        ir_dim_value(x) * cx != ir_dim_value(y) * cy) {
        return 1;
    }
    int64_t both = unit_x / common_divisor(unit_x, unit_y) * unit_y;
    int64_t stretch = ir_dim_value(x) * cx;
    return stretch > 0 && stretch % both == 0 ? stretch / both : 1;
}

int64_t shares_meet(ir_ctx *c, const share_kernel *kx, const share_access *x, share sx,
                    const share_kernel *ky, const share_access *y, share sy)
{
    if (sx.axis < 0 || sy.axis < 0) {
        return sx.axis < 0 && sy.axis < 0 ? 0 : 1;
    }
    int64_t cx, cy;
    if (!shares_relate(c, kx, x, sx.axis, ky, y, sy.axis, &cx, &cy)) {
        return 1;
    }
    const ir_dim *ex = kx->domain.dims[sx.axis], *ey = ky->domain.dims[sy.axis];
    const ir_dim *ux = ir_dim_ceildiv(c, ex, ir_dim_const(c, sx.grain));
    const ir_dim *uy = ir_dim_ceildiv(c, ey, ir_dim_const(c, sy.grain));
    int64_t wide_x, wide_y;
    if (__builtin_mul_overflow(cx, sx.grain, &wide_x) ||
        __builtin_mul_overflow(cy, sy.grain, &wide_y)) {
        return 1;
    }
    return wide_x == wide_y && ux == uy ? 0 : cuts_in_common(ex, wide_x, ey, wide_y, cx, cy);
}
