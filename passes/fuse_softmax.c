/* fuse_softmax: what is written out becomes softmax, log_softmax, logsumexp.
 *
 * Before   %m = reduce_max %x {axes=[1], keep=1}          After   %y = softmax %x {axis=1}
 *          %e = exp (sub %x, %m)
 *          %y = div %e, (reduce_sum %e {axes=[1], keep=1})
 *
 * log_softmax is (x - m) - log(sum), x - (m + log(sum)), x - logsumexp(x), or log(softmax(x));
 * logsumexp is m + log(sum), with the axes kept or not. The sum may be multiplied by its
 * reciprocal, and a reduction kept by a reshape.
 *
 * Keeps: shapes, types, inputs, outputs. Leaves alone: chains whose middle values have another
 * user, differing or several axes, and exp(x) / sum(exp(x)) without the maximum, which overflows
 * where softmax does not. */
#include "passes/match.h"

typedef struct found {
    const ir_node *x;
    const ir_attr *axes;
    match_inside inside;
} found;

/* d = x - max(x). */
static bool match_shifted(const ir_node *d, found *f)
{
    const ir_node *x =
        d->op == IR_OP_sub ? match_kept(d->in[1], IR_OP_reduce_max, f->axes, &f->inside) : NULL;
    f->x = x;
    return x && x == d->in[0] && match_swallow(&f->inside, d);
}

/* s = sum(exp(d)), its axes kept; *d is what goes into exp. */
static bool match_exp_sum(const ir_node *s, found *f, const ir_node **e)
{
    f->axes = match_axes(s, IR_OP_reduce_sum);
    *e = f->axes && f->axes->n == 1 ? match_kept(s, IR_OP_reduce_sum, f->axes, &f->inside) : NULL;
    return *e && (*e)->op == IR_OP_exp && match_swallow(&f->inside, *e) &&
           match_shifted((*e)->in[0], f);
}

static bool match_softmax(const ir_node *n, found *f)
{
    const ir_node *e, *top = NULL, *sum = NULL;
    if (n->op == IR_OP_div) {
        top = n->in[0];
        sum = n->in[1];
    } else if (n->op == IR_OP_mul && match_either(n, IR_OP_recip, &top, &sum)) {
        match_swallow(&f->inside, sum);
        sum = sum->in[0];
    }
    return sum && match_exp_sum(sum, f, &e) && e == top;
}

/* log of the sum of exp(x - max(x)); *d is x - max(x). */
static bool match_log_sum(const ir_node *l, found *f, const ir_node **d)
{
    const ir_node *e;
    if (l->op != IR_OP_log || !match_exp_sum(l->in[0], f, &e)) {
        return false;
    }
    *d = e->in[0];
    return match_swallow(&f->inside, l);
}

/* max + log(sum), all axes kept. */
static bool match_kept_logsumexp(const ir_node *n, found *f)
{
    const ir_node *d, *l, *m;
    return n->op == IR_OP_add && match_either(n, IR_OP_log, &m, &l) && match_log_sum(l, f, &d) &&
           m == d->in[1];
}

/* The same with the axes gone: a max and a sum of their own, which do not keep. */
static bool match_dropped_logsumexp(const ir_node *n, found *f)
{
    const ir_node *l, *m;
    if (n->op != IR_OP_add || !match_either(n, IR_OP_log, &m, &l)) {
        return false;
    }
    const ir_node *s = l->in[0], *e = s->op == IR_OP_reduce_sum ? s->in[0] : NULL;
    f->axes = e && e->op == IR_OP_exp ? ir_node_attr(s, IR_ATTR_axes) : NULL;
    bool inner = f->axes && f->axes->n == 1 && ir_node_int(s, IR_ATTR_keep, 0) == 0 &&
                 match_shifted(e->in[0], f);
    if (!inner || m->op != IR_OP_reduce_max || m->in[0] != f->x ||
        ir_node_int(m, IR_ATTR_keep, 0) != 0 || ir_node_attr(m, IR_ATTR_axes)->n != 1 ||
        ir_node_attr(m, IR_ATTR_axes)->ints[0] != f->axes->ints[0]) {
        return false;
    }
    const ir_node *more[4] = {l, s, e, m};
    for (int i = 0; i < 4; i++) {
        match_swallow(&f->inside, more[i]);
    }
    return true;
}

static bool match_log_softmax(const ir_node *n, found *f)
{
    const ir_node *d;
    if (n->op == IR_OP_log) {
        return match_softmax(n->in[0], f) && match_swallow(&f->inside, n->in[0]);
    }
    if (n->op != IR_OP_sub) {
        return false;
    }
    const ir_node *y = n->in[1];
    if (y->op == IR_OP_logsumexp && ir_node_int(y, IR_ATTR_keep, 0) == 1 && y->in[0] == n->in[0]) {
        f->axes = ir_node_attr(y, IR_ATTR_axes);
        f->x = y->in[0];
        return f->axes->n == 1 && match_swallow(&f->inside, y);
    }
    if (match_kept_logsumexp(y, f)) {
        return f->x == n->in[0] && match_swallow(&f->inside, y);
    }
    *f = (found){0};
    return match_log_sum(y, f, &d) && d == n->in[0];
}

static const struct {
    bool (*match)(const ir_node *n, found *f);
    ir_op op;
    bool keep;
} patterns[] = {
    {match_softmax,           IR_OP_softmax,     true },
    {match_log_softmax,       IR_OP_log_softmax, true },
    {match_kept_logsumexp,    IR_OP_logsumexp,   true },
    {match_dropped_logsumexp, IR_OP_logsumexp,   false},
};

static const ir_node *recognise(ir_builder *b, const ir_node *n, const uint32_t *uses,
                                const ir_node *const *new_of)
{
    for (uint32_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        found f = {0};
        if (!patterns[i].match(n, &f) || !match_closed(&f.inside, n, uses)) {
            continue;
        }
        const ir_node *x = new_of[f.x->id];
        ir_attr attrs[2] = {ir_attr_i(IR_ATTR_axis, f.axes->ints[0])};
        uint32_t n_attrs = 1;
        if (patterns[i].op == IR_OP_logsumexp) {
            attrs[0] = ir_attr_is(IR_ATTR_axes, 1, f.axes->ints);
            attrs[1] = ir_attr_i(IR_ATTR_keep, patterns[i].keep);
            n_attrs = 2;
        }
        return ir_build(b, patterns[i].op, 1, &x, n_attrs, attrs, 0, NULL);
    }
    return NULL;
}

ir_graph *pass_fuse_softmax(pass_ctx *c, const ir_graph *g)
{
    return match_graph(c, g, recognise);
}
