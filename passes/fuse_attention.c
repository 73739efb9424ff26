/* fuse_attention: softmax(f(q k)) v becomes attention, where f is anything elementwise.
 *
 * Before   %s = contract %q, %k {Bid, Bjd -> Bij}        After   %o = attention %q, %k, %v,
 * extras... %t = f(%s, extras...)                                   with body f %p = exp(%t -
 * max(%t)) / sum(exp(%t - max(%t))) %o = contract %p, %v {Bij, Bjd -> Bid}
 *
 * f may scale, mask, add a bias, cap, window: any elementwise ops whose other operands do not
 * depend on the score. Leaves alone: chains whose middle values have another user or are outputs,
 * softmax over another axis, contractions of another form. Scores then exist a block at a time
 * only: Milakov, Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135. */
#include "passes/match.h"
#include "passes/score_body.h"
#include "passes/score_mask.h"

#include <string.h>

typedef struct matched {
    const ir_node *scores, *top; /* the contraction of q and k; what goes into softmax */
    const ir_node *p, *out;
    const ir_node *q, *k, *v;
    int64_t order_q[IR_MAX_RANK], order_k[IR_MAX_RANK],
        order_v[IR_MAX_RANK]; /* of their axes, to be [batch..., i or j, d] */
} matched;

static bool one_use(const uint32_t *uses, const ir_node *n, uint32_t count)
{
    return uses[n->id] == count;
}

static bool reduces_last(const ir_node *n, ir_op op)
{
    const ir_attr *axes = n->op == op ? ir_node_attr(n, IR_ATTR_axes) : NULL;
    return axes && axes->n == 1 && axes->ints[0] == (int64_t)ir_node_type(n->in[0])->rank - 1 &&
           ir_node_int(n, IR_ATTR_keep, 0) == 1;
}

/* p = exp(t - max t) / sum(...): what t is, or NULL. */
static const ir_node *softmax_operand(const ir_node *p, const uint32_t *uses)
{
    if (p->op == IR_OP_softmax) {
        return ir_node_int(p, IR_ATTR_axis, -1) == (int64_t)ir_node_type(p)->rank - 1 ? p->in[0]
                                                                                      : NULL;
    }
    if (p->op != IR_OP_div || !reduces_last(p->in[1], IR_OP_reduce_sum) ||
        p->in[1]->in[0] != p->in[0]) {
        return NULL;
    }
    const ir_node *e = p->in[0], *d = e->op == IR_OP_exp ? e->in[0] : NULL;
    if (!d || d->op != IR_OP_sub || !reduces_last(d->in[1], IR_OP_reduce_max) ||
        d->in[1]->in[0] != d->in[0]) {
        return NULL;
    }
    bool alone = one_use(uses, p->in[1], 1) && one_use(uses, e, 2) && one_use(uses, d, 1) &&
                 one_use(uses, d->in[1], 1) && one_use(uses, d->in[0], 2);
    return alone ? d->in[0] : NULL;
}

/* Where the letters of x stand as [batch..., rows, cols], of which batch is the end of out's: x's
 * axes in that order. */
static bool order_of(const char *x, const char *out, char rows, char cols, int64_t *order)
{
    size_t n = strlen(x), batch = strlen(out) - 2;
    if (n < 2 || n - 2 > batch) {
        return false;
    }
    for (size_t a = 0; a < n; a++) {
        const char *at = strchr(x, a < n - 2 ? out[batch - (n - 2) + a] : a == n - 2 ? rows : cols);
        if (!at) {
            return false;
        }
        order[a] = at - x;
    }
    return true;
}

static bool in_order(const int64_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (order[i] != (int64_t)i) {
            return false;
        }
    }
    return true;
}

/* A batched product: the result is [batch..., i, j]; x as [batch..., i, k] and y as [batch..., j,
 * k] or, where `product`, [batch..., k, j]: the order of their axes for that. Each letter stands
 * once in an operand. */
static bool batched(const char *x, const char *y, const char *out, bool product, int64_t *order_x,
                    int64_t *order_y)
{
    size_t no = strlen(out);
    const char *k = x;
    while (*k && strchr(out, *k)) {
        k++;
    }
    if (no < 2 || !*k) {
        return false;
    }
    char i = out[no - 2], j = out[no - 1];
    return order_of(x, out, i, *k, order_x) &&
           (product ? order_of(y, out, *k, j, order_y) : order_of(y, out, j, *k, order_y));
}

/* The one score within t, through elementwise ops; NULL when there is none or it is used elsewhere.
 */
static const ir_node *find_scores(const ir_node *t, const uint32_t *uses, const ir_type *shape,
                                  int depth)
{
    if (t->op == IR_OP_contract) {
        return ir_type_same_shape(ir_node_type(t), shape) ? t : NULL;
    }
    if (ir_op_family(t->op) != IR_FAMILY_ELEMENTWISE || depth > 32 ||
        !ir_type_same_shape(ir_node_type(t), shape)) {
        return NULL;
    }
    const ir_node *found = NULL;
    for (uint32_t i = 0; i < t->n_in; i++) {
        const ir_node *s = find_scores(t->in[i], uses, shape, depth + 1);
        if (s && !one_use(uses, t->in[i], 1)) {
            return NULL;
        }
        if (s && found) {
            return NULL;
        }
        found = s ? s : found;
    }
    return found;
}

static bool match(const ir_node *n, const uint32_t *uses, matched *m)
{
    ir_dtype t = ir_node_type(n)->dtype;
    if (n->op != IR_OP_contract || !ir_dtype_is_float(t) ||
        t == IR_f64) { /* attention accumulates in f32 */
        return false;
    }
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    int64_t order_p[IR_MAX_RANK];
    const ir_node *p = n->in[0];
    if (!one_use(uses, p, 1) || ir_node_type(p)->rank != ir_node_type(n)->rank ||
        !batched(labels->strs[0], labels->strs[1], labels->strs[2], true, order_p, m->order_v) ||
        !in_order(order_p, ir_node_type(p)->rank)) {
        return false;
    }
    m->top = softmax_operand(p, uses);
    if (!m->top) {
        return false;
    }
    uint32_t top_uses = p->op == IR_OP_softmax ? 1 : 2;
    m->scores = find_scores(m->top, uses, ir_node_type(p), 0);
    if (!m->scores || !one_use(uses, m->scores, m->scores == m->top ? top_uses : 1)) {
        return false;
    }
    labels = ir_node_attr(m->scores, IR_ATTR_labels);
    if (!batched(labels->strs[0], labels->strs[1], labels->strs[2], false, m->order_q,
                 m->order_k)) {
        return false;
    }
    m->q = m->scores->in[0];
    m->k = m->scores->in[1];
    m->v = n->in[1];
    m->p = p;
    m->out = n;
    return true;
}

/* Building ---------------------------------------------------------------------------------------
 */

static const ir_node *ordered(ir_builder *b, const ir_node *x, const int64_t *order)
{
    return in_order(order, ir_node_type(x)->rank) ? x : ir_transpose(b, x, order);
}

static const ir_node *make(pass_ctx *c, ir_builder *b, const matched *m,
                           const ir_node *const *new_of)
{
    const ir_node *in[3 + SCORE_MOST_EXTRAS] = {ordered(b, new_of[m->q->id], m->order_q),
                                                ordered(b, new_of[m->k->id], m->order_k),
                                                ordered(b, new_of[m->v->id], m->order_v)};
    score_body body;
    if (!score_body_create(b->ctx, m->scores, m->top, c->scratch, &body)) {
        return NULL;
    }
    for (uint32_t i = 0; i < body.n_extras; i++) {
        in[3 + i] = new_of[body.extras[i]->id];
    }
    score_mask mask = score_mask_of(b->ctx, m->top);
    ir_attr attrs[2];
    uint32_t n = 0;
    if (mask.causal) {
        attrs[n++] = ir_attr_d(IR_ATTR_causal, mask.causal);
    }
    if (mask.reach) {
        attrs[n++] = ir_attr_d(IR_ATTR_reach, mask.reach);
    }
    return ir_build(b, IR_OP_attention, 3 + body.n_extras, in, n, attrs, 1, &body.graph);
}

static ir_graph *fuse(pass_ctx *c, const ir_graph *old)
{
    ir_graph *g = ir_graph_begin_rewrite(old);
    const ir_node **new_of = rewrite_inputs(old, g);
    const uint32_t *uses = ir_graph_use_counts(old, c->scratch);
    for (uint32_t i = 0; i < ir_graph_size(old); i++) {
        const ir_node *n = ir_graph_node(old, i);
        matched m;
        if (n->op == IR_OP_input) {
            continue;
        }
        ir_builder b = {.ctx = ir_graph_ctx(g), .graph = g, .conditions = g, .loc = n->loc};
        if (match(n, uses, &m)) {
            new_of[i] = make(c, &b, &m, new_of);
        }
        if (!new_of[i] && n->op == IR_OP_loop) {
            ir_graph *body = fuse(c, n->bodies[0]);
            new_of[i] = ir_graph_copy_node_bodies(g, n, rewrite_operands(g, n, new_of), &body);
        } else if (!new_of[i]) {
            new_of[i] = ir_graph_copy_node(g, n, rewrite_operands(g, n, new_of));
        }
    }
    ir_graph_end_rewrite(g, old, new_of);
    return g;
}

ir_graph *pass_fuse_attention(pass_ctx *c, const ir_graph *g)
{
    return pass_dce(c, fuse(c, g));
}
