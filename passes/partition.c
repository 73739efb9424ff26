/* partition: which thread owns which part of a kernel, and where all threads must meet.
 *
 * A kernel is divided along one axis in units of a grain. A meeting (barrier) stands before a
 * kernel only where it touches something that another thread may have touched since the last
 * meeting: where one of the two writes, and shares do not line up. So divisions are chosen
 * together: the sum of the kernels' times, meetings, and disagreements that would need one is
 * lowered step by step, a step being another division of one kernel and, where they can follow, of
 * those it reads.
 *
 * Rules that plan_memory relies on: the first kernel of a loop's body and the first after a loop
 * begin with a meeting; before an extern call all threads meet, and after it before its results are
 * read. */
#include "passes/partition.h"

#include "passes/pass.h"
#include "passes/shares.h"

#include <string.h>

enum {
    MOST_CHOICES = 12,
    MOST_CLIMBED = 96,  /* kernels in a graph for which divisions are chosen together */
    THREADS = 8,        /* assumed, for weighing */
    MEETING = 4000,     /* operations that one thread does while all meet */
    DISAGREEMENT = 600, /* a pair that would need one */
    LINE = 64
};

typedef struct choices {
    uint32_t n;
    share at[MOST_CHOICES];
} choices;

typedef struct item {
    const ir_node *node;
    share_kernel *kernel; /* NULL: a loop or a call */
    choices c;
    share s;
    bool meet;
    VEC(uint32_t)
    related; /* kernels before it that touch what it writes, or write what it touches */
} item;

typedef struct region {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    const ir_graph *g;
    bool in_loop;
    value_table *t;
    uint32_t *same;
    VEC(item) items;
    map *agree; /* of pairs with their shares */
} region;

void partition_map_split(const ir_type *t, ir_attr *split, ir_attr *grain)
{
    int64_t axis = -1, unit = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        int64_t least = shares_least(t->dims[i]);
        bool larger = axis < 0 || (least > shares_least(t->dims[axis]) &&
                                   shares_least(t->dims[axis]) < 2 * THREADS);
        if (!ir_dim_is_one(t->dims[i]) && larger) {
            axis = i;
        }
    }
    if (axis >= 0 && axis + 1 == (int64_t)t->rank) {
        unit = LINE / (int64_t)ir_dtype_bytes(t->dtype);
    }
    *split = ir_attr_i(IR_ATTR_split, axis);
    *grain = ir_attr_i(IR_ATTR_grain, unit);
}

/* Choices -------------------------------------------------------------------------------------- */

static void add_choice(choices *c, share s)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->at[i].axis == s.axis && c->at[i].grain == s.grain) {
            return;
        }
    }
    if (c->n < MOST_CHOICES) {
        c->at[c->n++] = s;
    }
}

static bool may_split(const share_kernel *k, uint32_t axis)
{
    const access_domain *d = &k->domain;
    if ((d->mask & (1u << axis)) || ir_dim_is_one(d->dims[axis])) {
        return false;
    }
    if (!d->main) {
        return true;
    }
    switch (ir_op_family(d->main->op)) {
    case IR_FAMILY_ATTENTION:
        return axis + 1 < d->rank;
    case IR_FAMILY_SCAN:
    case IR_FAMILY_SORT:
    case IR_FAMILY_SCATTER:
        return false; /* run by thread 0 */
    default:
        return true;
    }
}

static int64_t default_grain(const region *r, const share_kernel *k, uint32_t axis)
{
    const ir_type *t = k->node->types[0];
    if (axis + 1 < k->domain.rank) {
        return 1;
    }
    int64_t line = LINE / (int64_t)ir_dtype_bytes(t->dtype);
    bool product = k->domain.main && k->domain.main->op == IR_OP_contract;
    return product && r->c->panel > line ? r->c->panel : line;
}

static void own_choices(const region *r, item *it)
{
    const share_kernel *k = it->kernel;
    for (uint32_t i = 0; i < k->domain.rank; i++) {
        if (may_split(k, i)) {
            add_choice(&it->c, (share){(int)i, default_grain(r, k, i)});
        }
    }
    if (k->tiny || it->c.n == 0) {
        add_choice(&it->c, (share){-1, 1});
    }
}

/* Grains that would make two kernels agree on a value that one makes and the other reads. */
static void related_choices(region *r, item *x, item *y)
{
    for (uint32_t i = 0; i < x->kernel->accesses.len; i++) {
        const share_access *ax = &x->kernel->accesses.at[i];
        for (uint32_t j = 0; j < y->kernel->accesses.len; j++) {
            const share_access *ay = &y->kernel->accesses.at[j];
            if (ax->value != ay->value || (!ax->write && !ay->write)) {
                continue;
            }
            choices cx = x->c, cy = y->c;
            for (uint32_t p = 0; p < cx.n; p++) {
                for (uint32_t q = 0; q < cy.n; q++) {
                    int64_t kx, ky;
                    share sx = cx.at[p], sy = cy.at[q];
                    if (!shares_relate(r->ctx, x->kernel, ax, sx.axis, y->kernel, ay, sy.axis, &kx,
                                       &ky)) {
                        continue;
                    }
                    if ((kx * sx.grain) % ky == 0) {
                        add_choice(&y->c, (share){sy.axis, kx * sx.grain / ky});
                    }
                    if ((ky * sy.grain) % kx == 0) {
                        add_choice(&x->c, (share){sx.axis, ky * sy.grain / kx});
                    }
                }
            }
        }
    }
}

static double time_of(const share_kernel *k, share s)
{
    if (s.axis < 0) {
        return k->work;
    }
    int64_t units = (shares_least(k->domain.dims[s.axis]) + s.grain - 1) / s.grain;
    int64_t rounds = (units + THREADS - 1) / THREADS;
    /* Outer axes first: longer runs of memory for each thread. */
    return k->work * (double)rounds / (double)units + 0.5 * s.axis;
}

/* Meetings ------------------------------------------------------------------------------------- */

static bool agree(region *r, uint32_t p, uint32_t i, uint32_t q, uint32_t j)
{
    const item *x = &r->items.at[p], *y = &r->items.at[q];
    uint64_t h = hash_combine(((uint64_t)p << 32) | q, ((uint64_t)i << 32) | j);
    h = hash_combine(hash_combine(h, (uint64_t)(x->s.axis * 64 + y->s.axis)),
                     hash_combine((uint64_t)x->s.grain, (uint64_t)y->s.grain));
    uintptr_t known = (uintptr_t)map_get(r->agree, h);
    if (!known) {
        bool ok = shares_agree(r->ctx, x->kernel, &x->kernel->accesses.at[i], x->s, y->kernel,
                               &y->kernel->accesses.at[j], y->s);
        known = ok ? 2 : 1;
        map_set(r->agree, h, (void *)known);
    }
    return known == 2;
}

/* Do the two kernels touch something at which their threads do not agree? Counts such pairs. */
static uint32_t clashes(region *r, uint32_t p, uint32_t q, bool all)
{
    const item *x = &r->items.at[p], *y = &r->items.at[q];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->kernel->accesses.len; i++) {
        for (uint32_t j = 0; j < y->kernel->accesses.len; j++) {
            const share_access *a = &x->kernel->accesses.at[i], *b = &y->kernel->accesses.at[j];
            if (a->value == b->value && (a->write || b->write) && !agree(r, p, i, q, j)) {
                n++;
                if (!all) {
                    return n;
                }
            }
        }
    }
    return n;
}

/* Sets where all must meet; returns how many times. */
static uint32_t set_meetings(region *r)
{
    uint32_t since = 0, n = 0;
    bool must = r->in_loop;
    for (uint32_t q = 0; q < r->items.len; q++) {
        item *y = &r->items.at[q];
        if (!y->kernel) {
            y->meet = y->node->op == IR_OP_extern;
            n += y->meet;
            must = true;
            since = q + 1;
            continue;
        }
        y->meet = must;
        for (uint32_t i = 0; i < y->related.len && !y->meet; i++) {
            uint32_t p = y->related.at[i];
            y->meet = p >= since && clashes(r, p, q, false) > 0;
        }
        if (y->meet) {
            since = q;
            n++;
        }
        must = false;
    }
    return n;
}

static double cost(region *r)
{
    double total = (double)set_meetings(r) * (double)MEETING;
    for (uint32_t q = 0; q < r->items.len; q++) {
        const item *y = &r->items.at[q];
        if (!y->kernel) {
            continue;
        }
        total += time_of(y->kernel, y->s);
        for (uint32_t i = 0; i < y->related.len; i++) {
            total += clashes(r, y->related.at[i], q, true) * (double)DISAGREEMENT;
        }
    }
    return total;
}

/* Choosing ------------------------------------------------------------------------------------- */

/* Gives the kernel another share, and those it reads from one that agrees, if they have any. */
static void move(region *r, uint32_t q, share s, int depth)
{
    item *y = &r->items.at[q];
    y->s = s;
    for (uint32_t k = 0; k < y->related.len && depth > 0; k++) {
        uint32_t p = y->related.at[k];
        item *x = &r->items.at[p];
        if (clashes(r, p, q, false) == 0) {
            continue;
        }
        share before = x->s;
        bool found = false;
        for (uint32_t i = 0; i < x->c.n && !found; i++) {
            x->s = x->c.at[i];
            found = clashes(r, p, q, false) == 0;
        }
        share after = x->s;
        x->s = before;
        if (found) {
            move(r, p, after, depth - 1);
        }
    }
}

static void climb(region *r)
{
    share *saved = arena_array(r->a, share, r->items.len);
    double best = cost(r);
    for (int round = 0; round < 3; round++) {
        bool better = false;
        for (uint32_t q = 0; q < r->items.len; q++) {
            for (uint32_t i = 0; r->items.at[q].kernel && i < r->items.at[q].c.n; i++) {
                for (int depth = 0; depth < 5; depth += 4) {
                    for (uint32_t k = 0; k < r->items.len; k++) {
                        saved[k] = r->items.at[k].s;
                    }
                    move(r, q, r->items.at[q].c.at[i], depth);
                    double now = cost(r);
                    if (now < best - 1e-6) {
                        best = now;
                        better = true;
                        continue;
                    }
                    for (uint32_t k = 0; k < r->items.len; k++) {
                        r->items.at[k].s = saved[k];
                    }
                }
            }
        }
        if (!better) {
            break;
        }
    }
}

static void choose(region *r)
{
    for (uint32_t q = 0; q < r->items.len; q++) {
        item *y = &r->items.at[q];
        if (y->kernel) {
            own_choices(r, y);
        }
    }
    bool small = r->items.len <= MOST_CLIMBED;
    for (int round = 0; round < 3 && small; round++) {
        for (uint32_t q = 0; q < r->items.len; q++) {
            const item *y = &r->items.at[q];
            for (uint32_t i = 0; i < y->related.len; i++) {
                related_choices(r, &r->items.at[y->related.at[i]], &r->items.at[q]);
            }
        }
    }
    for (uint32_t q = 0; q < r->items.len; q++) {
        item *y = &r->items.at[q];
        for (uint32_t i = 0; y->kernel && i < y->c.n; i++) {
            if (i == 0 || time_of(y->kernel, y->c.at[i]) < time_of(y->kernel, y->s)) {
                y->s = y->c.at[i];
            }
        }
    }
    if (small) {
        climb(r);
    }
    set_meetings(r);
}

/* Building ---------------------------------------------------------------------------------------
 */

static void describe(region *r)
{
    uint32_t size = ir_graph_size(r->g);
    r->t = values_create(r->g, r->a);
    r->same = arena_array(r->a, uint32_t, r->t->n);
    r->agree = map_create(r->a);
    for (uint32_t v = 0; v < r->t->n; v++) {
        int64_t k = values_inplace(r->t->nodes[v], r->t->results[v]);
        r->same[v] = k < 0 ? v : r->same[values_of(r->t, r->t->nodes[v]->in[k])];
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        if (!values_is_item(n)) {
            continue;
        }
        item it = {.node = n};
        if (n->op == IR_OP_kernel) {
            it.kernel = arena_new(r->a, share_kernel);
            shares_describe(r->ctx, r->a, r->t, r->same, n, it.kernel);
        }
        vec_push(r->a, &r->items, it);
    }
}

static bool touches(const share_kernel *x, const share_kernel *y)
{
    for (uint32_t i = 0; i < x->accesses.len; i++) {
        for (uint32_t j = 0; j < y->accesses.len; j++) {
            const share_access *a = &x->accesses.at[i], *b = &y->accesses.at[j];
            if (a->value == b->value && (a->write || b->write)) {
                return true;
            }
        }
    }
    return false;
}

static void relate(region *r)
{
    for (uint32_t q = 0; q < r->items.len; q++) {
        item *y = &r->items.at[q];
        for (uint32_t p = 0; p < q && y->kernel; p++) {
            const item *x = &r->items.at[p];
            if (x->kernel && touches(x->kernel, y->kernel)) {
                vec_push(r->a, &y->related, p);
            }
        }
    }
}

static void explain(const region *r)
{
    for (uint32_t q = 0; r->c->explain && q < r->items.len; q++) {
        const item *y = &r->items.at[q];
        if (y->kernel) {
            fprintf(r->c->explain, "%s: %s: split %d grain %lld%s\n", ir_graph_name(r->g),
                    ir_node_str(y->node, IR_ATTR_name), y->s.axis, (long long)y->s.grain,
                    y->meet ? ", after all threads have met" : "");
        }
    }
}

static ir_graph *partition(pass_ctx *c, const ir_graph *g, bool in_loop)
{
    region r = {.c = c, .ctx = ir_graph_ctx(g), .a = c->scratch, .g = g, .in_loop = in_loop};
    describe(&r);
    relate(&r);
    choose(&r);
    explain(&r);
    ir_graph *out = ir_graph_begin_rewrite(g);
    const ir_node **new_of = arena_array(r.a, const ir_node *, ir_graph_size(g));
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        new_of[ir_graph_input(g, i)->id] = ir_graph_input(out, i);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (new_of[i]) {
            continue;
        }
        const ir_node **in = arena_array(r.a, const ir_node *, n->n_in);
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = new_of[n->in[k]->id];
        }
        const item *it = values_is_item(n) ? &r.items.at[at++] : NULL;
        if (n->op == IR_OP_loop) {
            ir_graph *body = partition(c, n->bodies[0], true);
            new_of[i] = ir_graph_copy_node_bodies(out, n, in, &body);
        } else if (it) {
            ir_attr attrs[3] = {ir_attr_i(IR_ATTR_barrier, it->meet),
                                ir_attr_i(IR_ATTR_split, it->s.axis),
                                ir_attr_i(IR_ATTR_grain, it->s.grain)};
            new_of[i] = ir_graph_copy_node_attrs(out, n, in, it->kernel ? 3 : 1, attrs);
        } else {
            new_of[i] = ir_graph_copy_node(out, n, in);
        }
    }
    ir_graph_end_rewrite(out, g, new_of);
    return out;
}

ir_graph *pass_partition(pass_ctx *c, const ir_graph *g)
{
    return ir_graph_stage(g) == IR_STAGE_KERNEL ? partition(c, g, false) : ir_graph_clone(g);
}
