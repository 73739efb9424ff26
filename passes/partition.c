/* partition: which thread owns which part of a kernel, and where all threads must meet.
 *
 * A kernel is divided along one axis in units of a grain. A meeting (barrier) stands before a
 * kernel only where it touches something that another thread may have touched since the last
 * meeting: where one of the two writes, and shares do not line up. So divisions are chosen
 * together: the sum of the kernels' times, meetings, and disagreements that would need one is
 * lowered step by step, a step being another division of one kernel and, where they can follow, of
 * those it reads.
 *
 * Shares that do not line up for every number of threads may do so for some: heads in 8 and in 32
 * pieces are cut at the same places by 2, 4 and 8 threads. Such a meeting has a number N, and is
 * left out when the program runs where the number of threads divides N; an ordinary one has 1.
 *
 * Rules that plan_memory relies on: the first kernel of a loop's body and the first after a loop
 * begin with a meeting; before an extern call all threads meet, and after it before its results are
 * read. */
#include "passes/partition.h"

#include "passes/pass.h"
#include "passes/shares.h"
#include "support/divisor.h"

#include <string.h>

enum {
    MOST_CHOICES = 12,
    MOST_CLIMBED = 96,  /* kernels in a graph for which divisions are chosen together */
    THREADS = 8,        /* assumed, for weighing */
    MEETING = 4000,     /* operations that one thread does while all meet */
    SELDOM = 4,         /* times dearer than one that some numbers of threads leave out */
    DISAGREEMENT = 600, /* a pair that would need one */
    COLUMNS = 16,       /* that blocks of weights interleave */
    ROWS = 4,           /* of pictures: of a convolution's tile */
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
    int64_t meet; /* all threads before it, unless their number divides this; 0: never */
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
    map *meets; /* of pairs with their shares: shares_meet's number, and 1 */
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
    if (k->group && !(k->outer >> axis & 1)) {
        return false;
    }
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

static bool is_conv(const share_kernel *k)
{
    return k->domain.main && ir_op_family(k->domain.main->op) == IR_FAMILY_CONV;
}

static int64_t tile_channels(const region *r)
{
    return r->c->channels ? r->c->channels : 1;
}

/* Tiles of a product's columns begin at multiples of a vector, and of what blocks of weights hold.
 */
static int64_t column_unit(const region *r)
{
    return r->c->panel / 2 > COLUMNS ? r->c->panel / 2 : COLUMNS;
}

static int64_t default_grain(const region *r, const share_kernel *k, uint32_t axis)
{
    const ir_type *t = k->node->types[0];
    if (is_conv(k)) {
        return axis == 0 ? 1 : axis == 1 ? tile_channels(r) : ROWS;
    }
    if (k->group && (int)axis == k->groups) {
        return column_unit(r) / common_divisor(column_unit(r), k->group);
    }
    if (axis + 1 < k->domain.rank) {
        return 1;
    }
    int64_t line = LINE / (int64_t)ir_dtype_bytes(t->dtype);
    bool product = k->domain.main && k->domain.main->op == IR_OP_contract;
    return product && r->c->panel > line ? r->c->panel : line;
}

/* Tiles of a convolution's channels begin where panels of weights do. */
static bool grain_fits(const region *r, const share_kernel *k, share s)
{
    if (is_conv(k) && s.axis == 1) {
        return s.grain % tile_channels(r) == 0;
    }
    if (k->group) {
        return s.axis != k->groups || s.grain * k->group % column_unit(r) == 0;
    }
    bool columns =
        k->domain.main && k->domain.main->op == IR_OP_contract && s.axis + 1 == (int)k->domain.rank;
    return !columns || r->c->panel == 0 || s.grain % column_unit(r) == 0;
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

/* The grain of `axis` that takes as much of a value as the other kernel's: its own unit is `unit`
 * wide there, that of the other `by`. */
static void add_related(region *r, item *to, int axis, int64_t grain, int64_t by, int64_t unit)
{
    int64_t wide;
    if (__builtin_mul_overflow(by, grain, &wide) || wide % unit != 0) {
        return;
    }
    share s = {axis, wide / unit};
    if (grain_fits(r, to->kernel, s)) {
        add_choice(&to->c, s);
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
                    add_related(r, y, sy.axis, sx.grain, kx, ky);
                    add_related(r, x, sx.axis, sy.grain, ky, kx);
                }
            }
        }
    }
}

/* Attention's heads of one group share their keys: to give them to several threads has each of
 * those read all keys. */
static bool divides_group(const share_kernel *k, share s)
{
    const ir_node *m = k->domain.main;
    if (!m || m->op != IR_OP_attention) {
        return false;
    }
    const ir_type *keys = ir_node_type(m->in[1]);
    int rank = (int)ir_node_type(m)->rank, at = 0;
    while (at + 2 < rank && k->domain.main_index[at] != k->domain.index[s.axis]) {
        at++;
    }
    int axis = at + (int)keys->rank - rank;
    return at + 2 < rank && (axis < 0 || ir_dim_is_one(keys->dims[axis]));
}

/* A transposed convolution is so many plain ones. */
static int64_t phases_of(const ir_node *n)
{
    const ir_attr *strides = ir_node_attr(n, IR_ATTR_strides);
    int64_t phases = 1;
    for (uint32_t i = 0; n->op == IR_OP_conv_transpose && strides && i < strides->n; i++) {
        phases *= strides->ints[i];
    }
    return phases;
}

/* Work of a convolution that threads repeat, as a part of it all: those with channels of their own
 * all pack the input, which all phases of a transposed one share; those with places of their own
 * all read, and transform, the weights, a phase its own. */
static double repeated(const share_kernel *k, share s)
{
    if (!is_conv(k) || s.axis < 1) {
        return 0;
    }
    enum { REPEATED = 5 };
    int64_t n = 1, phases = phases_of(k->domain.main);
    for (uint32_t i = s.axis == 1 ? 1 : 2; i < (s.axis == 1 ? 2 : k->domain.rank); i++) {
        n *= shares_least(k->domain.dims[i]);
    }
    n = s.axis == 1 ? n * phases : n / phases;
    return (double)REPEATED / (double)(n > 0 ? n : 1);
}

/* Over a few numbers of threads, as nobody knows how many there will be. */
static double time_of(const share_kernel *k, share s)
{
    if (s.axis < 0) {
        return k->work;
    }
    int64_t extent = shares_least(k->domain.dims[s.axis]), units = (extent + s.grain - 1) / s.grain;
    double part = 0;
    uint32_t n = 0;
    for (int64_t threads = 2; threads <= THREADS; threads *= 2, n++) {
        int64_t most = (units + threads - 1) / threads * s.grain;
        part += extent > 0 ? (double)(most < extent ? most : extent) / (double)extent : 1;
    }
    part = part * (divides_group(k, s) ? 1.5 : 1) + n * repeated(k, s);
    /* Outer axes first: longer runs of memory for each thread. */
    return k->work * part / n + 0.5 * s.axis;
}

/* Meetings ------------------------------------------------------------------------------------- */

static int64_t meeting_of(region *r, uint32_t p, uint32_t i, uint32_t q, uint32_t j)
{
    const item *x = &r->items.at[p], *y = &r->items.at[q];
    uint64_t h = hash_combine(((uint64_t)p << 32) | q, ((uint64_t)i << 32) | j);
    h = hash_combine(hash_combine(h, (uint64_t)(x->s.axis * 64 + y->s.axis)),
                     hash_combine((uint64_t)x->s.grain, (uint64_t)y->s.grain));
    int64_t known = (int64_t)(uintptr_t)map_get(r->meets, h);
    if (!known) {
        known = 1 + shares_meet(r->ctx, x->kernel, &x->kernel->accesses.at[i], x->s, y->kernel,
                                &y->kernel->accesses.at[j], y->s);
        map_set(r->meets, h, (void *)(uintptr_t)known);
    }
    return known - 1;
}

/* How the two kernels must meet: 0 when their threads agree on all that both touch. */
static int64_t meeting_between(region *r, uint32_t p, uint32_t q)
{
    const item *x = &r->items.at[p], *y = &r->items.at[q];
    int64_t n = 0;
    for (uint32_t i = 0; i < x->kernel->accesses.len && n != 1; i++) {
        for (uint32_t j = 0; j < y->kernel->accesses.len; j++) {
            const share_access *a = &x->kernel->accesses.at[i], *b = &y->kernel->accesses.at[j];
            if (a->value == b->value && (a->write || b->write)) {
                n = common_divisor(n, meeting_of(r, p, i, q, j));
            }
        }
    }
    return n;
}

/* What disagreements between the two weigh, in pairs of accesses. */
static double clashes(region *r, uint32_t p, uint32_t q)
{
    const item *x = &r->items.at[p], *y = &r->items.at[q];
    double n = 0;
    for (uint32_t i = 0; i < x->kernel->accesses.len; i++) {
        for (uint32_t j = 0; j < y->kernel->accesses.len; j++) {
            const share_access *a = &x->kernel->accesses.at[i], *b = &y->kernel->accesses.at[j];
            if (a->value == b->value && (a->write || b->write)) {
                int64_t meets = meeting_of(r, p, i, q, j);
                n += meets == 1 ? 1 : meets > 1 ? 1.0 / SELDOM : 0;
            }
        }
    }
    return n;
}

/* Does a meeting after p and up to q, by way of those set so far, do for what p and q need? It is
 * held wherever the number of threads does not divide its own. */
static bool met_between(const region *r, uint32_t p, uint32_t q, int64_t need)
{
    for (uint32_t k = p + 1; k <= q; k++) {
        int64_t held = r->items.at[k].meet;
        if (held && need % held == 0) {
            return true;
        }
    }
    return false;
}

/* Sets where all must meet; returns what that costs, in ordinary meetings. */
static double set_meetings(region *r)
{
    uint32_t since = 0;
    double n = 0;
    bool must = r->in_loop;
    for (uint32_t q = 0; q < r->items.len; q++) {
        item *y = &r->items.at[q];
        if (!y->kernel) {
            y->meet = y->node->op == IR_OP_extern;
            n += (double)y->meet;
            must = true;
            since = q + 1;
            continue;
        }
        y->meet = must;
        for (uint32_t i = 0; i < y->related.len && y->meet != 1; i++) {
            uint32_t p = y->related.at[i];
            int64_t need = p >= since ? meeting_between(r, p, q) : 0;
            if (need && !met_between(r, p, q, need)) {
                y->meet = common_divisor(y->meet, need);
            }
        }
        since = y->meet == 1 ? q : since;
        n += y->meet == 1 ? 1 : y->meet > 1 ? 1.0 / SELDOM : 0;
        must = false;
    }
    return n;
}

static double cost(region *r)
{
    double total = set_meetings(r) * (double)MEETING;
    for (uint32_t q = 0; q < r->items.len; q++) {
        const item *y = &r->items.at[q];
        if (!y->kernel) {
            continue;
        }
        total += time_of(y->kernel, y->s);
        for (uint32_t i = 0; i < y->related.len; i++) {
            total += clashes(r, y->related.at[i], q) * (double)DISAGREEMENT;
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
        if (meeting_between(r, p, q) == 0) {
            continue;
        }
        share before = x->s;
        bool found = false;
        for (uint32_t i = 0; i < x->c.n && !found; i++) {
            x->s = x->c.at[i];
            found = meeting_between(r, p, q) == 0;
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
    r->meets = map_create(r->a);
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
    uint32_t n = 0, seldom = 0;
    for (uint32_t q = 0; r->c->explain && q < r->items.len; q++) {
        const item *y = &r->items.at[q];
        n += y->meet == 1;
        seldom += y->meet > 1;
        if (!y->kernel) {
            continue;
        }
        fprintf(r->c->explain, "%s: %s: split %d grain %lld", ir_graph_name(r->g),
                ir_node_str(y->node, IR_ATTR_name), y->s.axis, (long long)y->s.grain);
        if (y->meet > 1) {
            fprintf(r->c->explain, ", after all threads have met unless their number divides %lld",
                    (long long)y->meet);
        }
        fprintf(r->c->explain, "%s\n", y->meet == 1 ? ", after all threads have met" : "");
    }
    if (r->c->explain) {
        fprintf(r->c->explain, "%s: threads meet %u times a %s%s\n", ir_graph_name(r->g), n,
                r->in_loop ? "turn" : "call",
                seldom ? ", and more where their number does not divide the shares" : "");
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
