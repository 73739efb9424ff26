/* fuse_norm: what is written out becomes layer_norm or rms_norm.
 *
 * Before   %c = sub %x, (reduce_mean %x {axes=[1], keep=1})             After   %y = layer_norm %x,
 * %w, %b {axes=[1], eps=1e-05} %r = rsqrt (add (reduce_mean (mul %c, %c) {…}), 1e-05) %y = add (mul
 * (mul %c, %r), %w), %b
 *
 * Without the mean taken off it is rms_norm. The root may divide instead, weight and bias may be
 * missing or stand on either side, and a reduction may be kept by a reshape. A group norm is a
 * layer norm of a reshaped value.
 *
 * Keeps: shapes, types, inputs, outputs. Leaves alone: chains whose middle values have another
 * user, statistics over differing axes, an eps that is no constant, and weights that vary along
 * other axes than the normalised ones. Ba, Kiros, Hinton, arXiv:1607.06450; Zhang, Sennrich,
 * arXiv:1910.07467. */
#include "passes/match.h"

typedef struct found {
    const ir_node *x, *weight, *bias;
    const ir_attr *axes;
    double eps;
    ir_op op;
    match_inside inside;
} found;

/* v = mean(c * c) + eps: what c is, or NULL. */
static const ir_node *match_variance(const ir_node *v, found *f)
{
    int k = v->op == IR_OP_add && match_splat(v->in[1], &f->eps)   ? 0
            : v->op == IR_OP_add && match_splat(v->in[0], &f->eps) ? 1
                                                                   : -1;
    if (k < 0 || !(f->axes = match_axes(v->in[k], IR_OP_reduce_mean))) {
        return NULL;
    }
    const ir_node *square = match_kept(v->in[k], IR_OP_reduce_mean, f->axes, &f->inside);
    bool of_one = square && square->op == IR_OP_mul && square->in[0] == square->in[1];
    return of_one && match_swallow(&f->inside, square) && match_swallow(&f->inside, v)
               ? square->in[0]
               : NULL;
}

/* y = c / sqrt(v), in any of its spellings: *c, and v. */
static const ir_node *match_scaled(const ir_node *y, found *f, const ir_node **c)
{
    const ir_node *root = NULL;
    if (y->op == IR_OP_mul && match_either(y, IR_OP_rsqrt, c, &root)) {
        return match_swallow(&f->inside, root) ? root->in[0] : NULL;
    }
    if (y->op == IR_OP_mul && match_either(y, IR_OP_recip, c, &root) &&
        root->in[0]->op == IR_OP_sqrt) {
        match_swallow(&f->inside, root);
    } else if (y->op == IR_OP_div && y->in[1]->op == IR_OP_sqrt) {
        *c = y->in[0];
        match_swallow(&f->inside, y->in[1]);
        return y->in[1]->in[0];
    } else {
        return NULL;
    }
    match_swallow(&f->inside, root->in[0]);
    return root->in[0]->in[0];
}

/* c = x - mean(x) makes it a layer norm; else x is c itself. */
static bool match_core(const ir_node *y, found *f)
{
    const ir_node *c, *v = match_scaled(y, f, &c);
    if (!v || match_variance(v, f) != c || f->eps < 0) {
        return false;
    }
    match_inside before = f->inside;
    const ir_node *x =
        c->op == IR_OP_sub ? match_kept(c->in[1], IR_OP_reduce_mean, f->axes, &f->inside) : NULL;
    if (x && x == c->in[0]) {
        match_swallow(&f->inside, c);
        f->x = x;
        f->op = IR_OP_layer_norm;
        return true;
    }
    f->inside = before;
    f->x = c;
    f->op = IR_OP_rms_norm;
    return true;
}

/* Does w vary along the normalised axes only, which are the last ones? */
static bool is_scale(const ir_node *w, const found *f)
{
    const ir_type *x = ir_node_type(f->x), *t = ir_node_type(w);
    for (uint32_t i = 0; i < f->axes->n; i++) {
        if (f->axes->ints[i] != (int64_t)(x->rank - f->axes->n + i)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        uint32_t axis = x->rank - t->rank + i;
        if (t->rank > x->rank || (!ir_dim_is_one(t->dims[i]) &&
                                  (axis < x->rank - f->axes->n || t->dims[i] != x->dims[axis]))) {
            return false;
        }
    }
    return t->dtype == x->dtype && t->rank > 0;
}

/* y = inner op w with a scale w on one side of it. */
static bool match_with(const ir_node *y, ir_op op, bool (*inner)(const ir_node *n, found *f),
                       const ir_node **w, found *f)
{
    for (int k = 0; y->op == op && k < 2; k++) {
        found g = {0};
        if (inner(y->in[k], &g) && is_scale(y->in[1 - k], &g) &&
            match_swallow(&g.inside, y->in[k])) {
            const ir_node *scale = y->in[1 - k];
            *f = g;
            *(w == &f->bias ? &f->bias : &f->weight) = scale;
            return true;
        }
    }
    return false;
}

static bool match_weighted(const ir_node *y, found *f)
{
    return match_with(y, IR_OP_mul, match_core, &f->weight, f);
}

static bool match_biased(const ir_node *y, found *f)
{
    return match_with(y, IR_OP_add, match_weighted, &f->bias, f) && f->op == IR_OP_layer_norm;
}

static const ir_node *recognise(ir_builder *b, const ir_node *n, const uint32_t *uses,
                                const ir_node *const *new_of)
{
    static bool (*const patterns[])(const ir_node *n, found *f) = {match_biased, match_weighted,
                                                                   match_core};
    for (uint32_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        found f = {0};
        if (!patterns[i](n, &f) || !match_closed(&f.inside, n, uses)) {
            continue;
        }
        const ir_node *in[3] = {new_of[f.x->id], f.weight ? new_of[f.weight->id] : NULL,
                                f.bias ? new_of[f.bias->id] : NULL};
        ir_attr attrs[2] = {ir_attr_is(IR_ATTR_axes, f.axes->n, f.axes->ints),
                            ir_attr_f(IR_ATTR_eps, f.eps)};
        return ir_build(b, f.op, 1u + (f.weight != NULL) + (f.bias != NULL), in, 2, attrs, 0, NULL);
    }
    return NULL;
}

ir_graph *pass_fuse_norm(pass_ctx *c, const ir_graph *g)
{
    return match_graph(c, g, recognise);
}
