/* Do threads meet wherever one may touch what another has written? Looks at the shares and meetings
 * as they are, not at how partition has chosen them: between two kernels that touch one value, one
 * of them writing, threads meet, unless every element that both touch is one thread's. */
#include "passes/shares.h"
#include "support/divisor.h"

typedef struct item {
    const ir_node *node; /* a kernel, or what all threads meet after */
    share_kernel *kernel;
    share s;
    int64_t meet;
} item;

typedef struct checker {
    const ir_graph *g;
    ir_ctx *c;
    arena *a;
    diag *d;
    VEC(item) items;
} checker;

static void describe(checker *k)
{
    value_table *t = values_create(k->g, k->a);
    uint32_t *same = arena_array(k->a, uint32_t, t->n + 1);
    for (uint32_t v = 0; v < t->n; v++) {
        int64_t into = values_inplace(t->nodes[v], t->results[v]);
        same[v] = into < 0 ? v : same[values_of(t, t->nodes[v]->in[into])];
    }
    for (uint32_t i = 0; i < ir_graph_size(k->g); i++) {
        const ir_node *n = ir_graph_node(k->g, i);
        if (!values_is_item(n)) {
            continue;
        }
        item it = {.node = n, .meet = 1};
        if (n->op == IR_OP_kernel) {
            it.kernel = arena_new(k->a, share_kernel);
            shares_describe(k->c, k->a, t, same, n, it.kernel);
            it.s =
                (share){(int)ir_node_int(n, IR_ATTR_split, -1), ir_node_int(n, IR_ATTR_grain, 1)};
            it.meet = ir_node_int(n, IR_ATTR_barrier, 0);
        }
        vec_push(k->a, &k->items, it);
    }
}

/* Is there such an axis, and are results its own? */
static bool can_be_shared(const item *x)
{
    const access_domain *d = &x->kernel->domain;
    int axis = x->s.axis;
    bool inside = axis < 0 || ((uint32_t)axis < d->rank && !(d->mask >> axis & 1));
    bool group = x->kernel->group && axis >= 0;
    return inside && x->s.grain > 0 && (!group || x->kernel->outer >> axis & 1);
}

/* As of shares_meet, of all that both touch. */
static int64_t meeting_between(checker *k, const item *x, const item *y)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < x->kernel->accesses.len && n != 1; i++) {
        for (uint32_t j = 0; j < y->kernel->accesses.len; j++) {
            const share_access *a = &x->kernel->accesses.at[i], *b = &y->kernel->accesses.at[j];
            if (a->value == b->value && (a->write || b->write)) {
                n = common_divisor(n, shares_meet(k->c, x->kernel, a, x->s, y->kernel, b, y->s));
            }
        }
    }
    return n;
}

/* Do threads meet after item p and up to item q whenever their number does not divide n? */
static bool met_between(const checker *k, uint32_t p, uint32_t q, int64_t n)
{
    for (uint32_t i = p + 1; i <= q; i++) {
        int64_t held = k->items.at[i].meet;
        if (held && n % held == 0) {
            return true;
        }
    }
    return false;
}

static bool is_open(const item *x)
{
    return ir_node_int(x->node, IR_ATTR_open, 0) != 0;
}

static const char *name_of(const item *x)
{
    const char *name = ir_node_str(x->node, IR_ATTR_name);
    return name ? name : "without a name";
}

/* Open kernels are plan_verify's. */
static bool check_item(checker *k, uint32_t q)
{
    const item *y = &k->items.at[q];
    if (!can_be_shared(y)) {
        diag_error(k->d, y->node->loc.where, "kernel %s cannot be shared out along axis %d",
                   name_of(y), y->s.axis);
        return false;
    }
    for (uint32_t p = q; p-- > 0 && k->items.at[p].kernel && k->items.at[p + 1].meet != 1;) {
        const item *x = &k->items.at[p];
        int64_t n = is_open(x) || is_open(y) ? 0 : meeting_between(k, x, y);
        if (n && !met_between(k, p, q, n)) {
            diag_error(k->d, y->node->loc.where,
                       "threads do not meet between kernels %s and %s, and share them out apart",
                       name_of(x), name_of(y));
            return false;
        }
    }
    return true;
}

bool shares_verify(const ir_graph *g, diag *d)
{
    checker k = {.g = g, .c = ir_graph_ctx(g), .a = arena_create(), .d = d};
    bool ok = true;
    describe(&k);
    for (uint32_t q = 0; q < k.items.len && ok; q++) {
        const item *y = &k.items.at[q];
        if (y->node->op == IR_OP_loop) {
            ok = shares_verify(y->node->bodies[0], d);
        }
        ok = ok && (!y->kernel || check_item(&k, q));
    }
    arena_destroy(k.a);
    return ok;
}
