/* order: which kernel runs when.
 *
 * Keeps the order that values ask for, and adds what buffers ask for: who reads a version of a
 * state (or of a loop's carry) runs before the kernel that writes over it. Where that cannot be,
 * because the reader itself needs the new version, the reader is given a copy made before. Among
 * the orders left one is sought that needs little memory at its peak and has side by side what
 * can run at the same time, so that threads meet less often. */
#include "passes/pass.h"
#include "passes/plan.h"
#include "passes/rewrite.h"
#include "passes/values.h"

#include <string.h>

enum { NONE = UINT32_MAX };

typedef VEC(uint32_t) list;

typedef struct item {
    const ir_node *node; /* NULL: a copy */
    uint32_t copy_of;    /* value */
    list after, before;  /* items that must come earlier; later */
    uint32_t
        *reads_copy; /* [n_in] item of the copy read instead of the operand, or NONE; or NULL */
} item;

typedef struct region {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    const ir_graph *g;
    const ir_node *loop;
    value_table *t;
    VEC(item) items;
    uint32_t *item_of; /* [size] */
    uint32_t *number;  /* names copies */
} region;

static void add_edge(region *r, uint32_t first, uint32_t then)
{
    if (first != then) {
        vec_push(r->a, &r->items.at[first].before, then);
        vec_push(r->a, &r->items.at[then].after, first);
    }
}

static bool search(const region *r, uint32_t from, uint32_t to, bool *seen)
{
    if (from == to) {
        return true;
    }
    seen[from] = true;
    const list *next = &r->items.at[from].before;
    for (uint32_t i = 0; i < next->len; i++) {
        if (!seen[next->at[i]] && search(r, next->at[i], to, seen)) {
            return true;
        }
    }
    return false;
}

/* Must `to` run after `from`? */
static bool leads(const region *r, uint32_t from, uint32_t to)
{
    arena_point mark = arena_mark(r->a);
    bool yes = search(r, from, to, arena_array(r->a, bool, r->items.len));
    arena_release(r->a, mark);
    return yes;
}

static void add_values_edges(region *r)
{
    for (uint32_t i = 0; i < r->items.len; i++) {
        const ir_node *n = r->items.at[i].node;
        for (uint32_t k = 0; k < n->n_in; k++) {
            const ir_node *maker = r->t->nodes[values_of(r->t, n->in[k])];
            if (values_is_item(maker)) {
                add_edge(r, r->item_of[maker->id], i);
            }
        }
    }
}

/* Readers of a value -----------------------------------------------------------------------------
 */

static uint32_t new_copy(region *r, uint32_t value)
{
    item it = {.copy_of = value};
    vec_push(r->a, &r->items, it);
    uint32_t c = r->items.len - 1;
    const ir_node *maker = r->t->nodes[value];
    if (values_is_item(maker)) {
        add_edge(r, r->item_of[maker->id], c);
    }
    return c;
}

static void read_copy(region *r, uint32_t reader, uint32_t operand, uint32_t copy)
{
    item *x = &r->items.at[reader];
    if (!x->reads_copy) {
        x->reads_copy = arena_array(r->a, uint32_t, x->node->n_in);
        memset(x->reads_copy, 0xff, x->node->n_in * sizeof *x->reads_copy);
    }
    x->reads_copy[operand] = copy;
    add_edge(r, copy, reader);
}

/* All other readers of the value come before the item, which writes over it (as its operand k;
 * NONE: without reading it). hard: those that cannot get a copy. */
static void readers_first(region *r, uint32_t value, uint32_t writer, uint32_t k, bool hard)
{
    uint32_t n = r->items.len, copy = NONE;
    for (uint32_t i = 0; i < n; i++) {
        const ir_node *reader = r->items.at[i].node;
        for (uint32_t j = 0; reader && j < reader->n_in; j++) {
            if (values_of(r->t, reader->in[j]) != value || i == writer) {
                continue;
            }
            if (r->items.at[i].reads_copy && r->items.at[i].reads_copy[j] != NONE) {
                continue;
            }
            if (!leads(r, writer, i)) {
                add_edge(r, i, writer);
            } else if (hard) {
                if (copy == NONE) {
                    copy = new_copy(r, value);
                    add_edge(r, copy, writer);
                }
                read_copy(r, i, j, copy);
            }
        }
    }
    (void)k;
}

static bool writable(const region *r, uint32_t v)
{
    const ir_node *n = r->t->nodes[v];
    bool carry = n->op == IR_OP_input && r->loop &&
                 ir_node_int(n, IR_ATTR_index, 0) < ir_node_int(r->loop, IR_ATTR_carries, 0);
    return values_is_item(n) || carry || n->op == IR_OP_state;
}

static void add_updates_edges(region *r)
{
    uint32_t n = r->items.len;
    for (uint32_t i = 0; i < n; i++) {
        const ir_node *k = r->items.at[i].node;
        uint32_t carries = k->op == IR_OP_loop ? (uint32_t)ir_node_int(k, IR_ATTR_carries, 0) : 0;
        for (uint32_t x = 0; x < k->n_results; x++) {
            int64_t operand =
                k->op == IR_OP_loop ? (x < carries ? (int64_t)x : -1) : values_inplace(k, x);
            if (operand < 0) {
                continue;
            }
            uint32_t v = values_of(r->t, k->in[operand]);
            bool copied = r->items.at[i].reads_copy && r->items.at[i].reads_copy[operand] != NONE;
            if (writable(r, v) && !copied) {
                readers_first(r, v, i, (uint32_t)operand, true);
            }
        }
    }
}

/* The item that makes the first value of the buffer that v ends in. */
static uint32_t maker_of(const region *r, uint32_t v)
{
    const ir_node *n = r->t->nodes[v];
    while (values_is_item(n)) {
        uint32_t x = r->t->results[v];
        int64_t k = n->op == IR_OP_loop
                        ? (x < (uint32_t)ir_node_int(n, IR_ATTR_carries, 0) ? (int64_t)x : -1)
                        : values_inplace(n, x);
        if (k < 0) {
            return r->item_of[n->id];
        }
        v = values_of(r->t, n->in[k]);
        n = r->t->nodes[v];
    }
    return NONE;
}

/* A new value for a state or a carry can be made right in its place when the old one is done with.
 */
static void add_places_edges(region *r)
{
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        const ir_output *o = ir_graph_output(r->g, i);
        uint32_t old = NONE;
        if (r->loop && i < (uint32_t)ir_node_int(r->loop, IR_ATTR_carries, 0)) {
            old = values_of(r->t, ir_graph_input(r->g, i));
        }
        for (uint32_t v = 0; !r->loop && o->kind == IR_OUTPUT_STATE && v < r->t->n; v++) {
            const ir_node *n = r->t->nodes[v];
            if (n->op == IR_OP_state && ir_node_str(n, IR_ATTR_name) == o->name) {
                old = v;
            }
        }
        uint32_t maker = old == NONE ? NONE : maker_of(r, values_of(r->t, o->node));
        if (maker != NONE) {
            readers_first(r, old, maker, NONE, false);
        }
    }
}

/* Orders -----------------------------------------------------------------------------------------
 */

typedef struct weights { /* bytes at likely sizes, of values */
    double *bytes;
    uint32_t *readers; /* items that read it; one more for outputs */
} weights;

static weights weigh(const region *r)
{
    weights w = {arena_array(r->a, double, r->t->n), arena_array(r->a, uint32_t, r->t->n)};
    for (uint32_t v = 0; v < r->t->n; v++) {
        const ir_node *n = r->t->nodes[v];
        bool own = values_is_item(n) && values_inplace(n, r->t->results[v]) < 0;
        w.bytes[v] = own ? (double)plan_likely(ir_type_bytes(r->ctx, values_type(r->t, v))) : 0;
    }
    for (uint32_t i = 0; i < r->items.len; i++) {
        const ir_node *n = r->items.at[i].node;
        for (uint32_t k = 0; n && k < n->n_in; k++) {
            w.readers[values_of(r->t, n->in[k])]++;
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        w.readers[values_of(r->t, ir_graph_output(r->g, i)->node)]++;
    }
    return w;
}

/* Bytes more after the item has run, given how many readers of each value are left. */
static double growth(const region *r, const weights *w, const uint32_t *left, uint32_t i)
{
    const ir_node *n = r->items.at[i].node;
    double more = 0;
    if (!n) {
        return w->bytes[r->items.at[i].copy_of];
    }
    for (uint32_t x = 0; x < n->n_results; x++) {
        more += w->bytes[r->t->first[n->id] + x];
    }
    for (uint32_t k = 0; k < n->n_in; k++) {
        uint32_t v = values_of(r->t, n->in[k]), here = 0;
        bool first = true;
        for (uint32_t j = 0; j < n->n_in; j++) {
            here += values_of(r->t, n->in[j]) == v;
            first &= !(j < k && values_of(r->t, n->in[j]) == v);
        }
        more -= first && left[v] == here ? w->bytes[v] : 0;
    }
    return more;
}

typedef enum policy {
    AS_WRITTEN,
    BY_LEVEL, /* what can run at the same time stands together: fewer meetings of threads */
    BY_GROWTH /* what adds least to memory first */
} policy;

/* How many items must run before each, one after the other. */
static uint32_t *levels(const region *r)
{
    uint32_t n = r->items.len;
    uint32_t *level = arena_array(r->a, uint32_t, n);
    bool changed = true;
    for (uint32_t turn = 0; changed && turn <= n; turn++) {
        changed = false;
        for (uint32_t i = 0; i < n; i++) {
            const list *after = &r->items.at[i].after;
            for (uint32_t k = 0; k < after->len; k++) {
                if (level[i] <= level[after->at[k]]) {
                    level[i] = level[after->at[k]] + 1;
                    changed = true;
                }
            }
        }
    }
    return level;
}

/* Fills `order` with what is ready, the best by the policy first; of equals that which is first by
 * `rank`. Returns the peak. */
static double schedule(const region *r, const weights *w, policy by, const uint32_t *rank,
                       uint32_t *order)
{
    uint32_t n = r->items.len;
    uint32_t *waits = arena_array(r->a, uint32_t, n), *left = arena_array(r->a, uint32_t, r->t->n);
    bool *done = arena_array(r->a, bool, n);
    const uint32_t *level = by == BY_LEVEL ? levels(r) : NULL;
    memcpy(left, w->readers, r->t->n * sizeof *left);
    for (uint32_t i = 0; i < n; i++) {
        waits[i] = r->items.at[i].after.len;
    }
    double now = 0, peak = 0;
    for (uint32_t step = 0; step < n; step++) {
        uint32_t best = NONE;
        double least = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (done[i] || waits[i]) {
                continue;
            }
            double more = by == BY_GROWTH ? growth(r, w, left, i) : level ? level[i] : 0;
            if (best == NONE || more < least || (more <= least && rank[i] < rank[best])) {
                best = i;
                least = more;
            }
        }
        order[step] = best;
        done[best] = true;
        const ir_node *k = r->items.at[best].node;
        double made = 0;
        for (uint32_t x = 0; k && x < k->n_results; x++) {
            made += w->bytes[r->t->first[k->id] + x];
        }
        peak = now + made > peak ? now + made : peak;
        now += growth(r, w, left, best);
        for (uint32_t j = 0; k && j < k->n_in; j++) {
            left[values_of(r->t, k->in[j])]--;
        }
        for (uint32_t j = 0; j < r->items.at[best].before.len; j++) {
            waits[r->items.at[best].before.at[j]]--;
        }
    }
    return peak;
}

/* How often threads would meet if every value that is read crossed between them. */
static uint32_t phases(const region *r, const uint32_t *order)
{
    uint32_t n = r->items.len, phase = 0;
    uint32_t *of = arena_array(r->a, uint32_t, n);
    for (uint32_t step = 0; step < n; step++) {
        const list *after = &r->items.at[order[step]].after;
        for (uint32_t k = 0; k < after->len; k++) {
            phase += of[after->at[k]] == phase && step > 0;
        }
        of[order[step]] = phase;
    }
    return phase;
}

/* The best order found: policies are tried in turn, each from the best so far, until none lowers
 * the cost. So an order that was found is kept when the pass runs again. */
static const uint32_t *best_order(const region *r)
{
    enum { MOST_ROUNDS = 8 };
    const double byte = 1.0 / 16, meeting = 2048;
    uint32_t n = r->items.len;
    weights w = weigh(r);
    uint32_t *rank = arena_array(r->a, uint32_t, n), *best = arena_array(r->a, uint32_t, n);
    uint32_t *order = arena_array(r->a, uint32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        rank[i] = i;
    }
    double peak = schedule(r, &w, AS_WRITTEN, rank, best), first = peak;
    double cost = peak * byte + phases(r, best) * meeting;
    bool better = true;
    for (int round = 0; better && round < MOST_ROUNDS; round++) {
        better = false;
        for (int by = BY_LEVEL; by <= BY_GROWTH; by++) {
            for (uint32_t i = 0; i < n; i++) {
                rank[best[i]] = i;
            }
            double other_peak = schedule(r, &w, (policy)by, rank, order);
            double other = other_peak * byte + phases(r, order) * meeting;
            if (other < cost - 1e-6) {
                memcpy(best, order, n * sizeof *best);
                cost = other;
                peak = other_peak;
                better = true;
            }
        }
    }
    if (r->c->explain) {
        fprintf(r->c->explain, "%s: order: peak about %.0f bytes, %.0f as written\n",
                ir_graph_name(r->g), peak, first);
    }
    return best;
}

/* Building ---------------------------------------------------------------------------------------
 */

typedef struct build {
    region *r;
    ir_graph *g;
    const ir_node **new_of;
    const ir_node **copies; /* [items] */
} build;

static const ir_node *value(build *b, const ir_node *n)
{
    if (!b->new_of[n->id]) {
        const ir_node *in = n->n_in ? value(b, n->in[0]) : NULL; /* views have one operand */
        b->new_of[n->id] = ir_graph_copy_node(b->g, n, &in);
    }
    return b->new_of[n->id];
}

static const ir_node *make_copy(build *b, uint32_t v)
{
    const ir_node *maker = b->r->t->nodes[v], *x = value(b, maker);
    if (maker->n_results > 1) {
        ir_attr index = ir_attr_i(IR_ATTR_index, b->r->t->results[v]);
        x = ir_graph_add(b->g, IR_OP_get, 1, &x, 1, &maker->types[b->r->t->results[v]], 1, &index,
                         0, NULL, maker->loc);
    }
    ir_graph *body = ir_graph_create(b->r->ctx, "body");
    const ir_type *t = ir_node_type(x);
    ir_graph_add_output(body, IR_OUTPUT_RESULT, "y0", ir_graph_add_input(body, "x0", t, x->loc));
    intern_table *names = ir_ctx_names(b->r->ctx);
    ir_attr attrs[2] = {
        ir_attr_s(IR_ATTR_name, intern_printf(names, "copy_%u", (*b->r->number)++)),
        ir_attr_s(IR_ATTR_family, intern(names, "map")),
    };
    return ir_graph_add(b->g, IR_OP_kernel, 1, &x, 1, &t, 2, attrs, 1, &body, x->loc);
}

static ir_graph *order(pass_ctx *c, const ir_graph *g, const ir_node *loop, uint32_t *number);

static void make_item(build *b, uint32_t i)
{
    const item *it = &b->r->items.at[i];
    if (!it->node) {
        b->copies[i] = make_copy(b, it->copy_of);
        return;
    }
    const ir_node *n = it->node;
    const ir_node **in = arena_array(b->r->a, const ir_node *, n->n_in);
    for (uint32_t k = 0; k < n->n_in; k++) {
        uint32_t copy = it->reads_copy ? it->reads_copy[k] : NONE;
        in[k] = copy == NONE ? value(b, n->in[k]) : b->copies[copy];
        if (ir_node_type(in[k]) != ir_node_type(n->in[k])) { /* it read a view */
            const ir_type *t = ir_node_type(n->in[k]);
            ir_attr shape = ir_attr_ds(IR_ATTR_shape, t->rank, t->dims);
            in[k] = ir_graph_add(b->g, IR_OP_reshape, 1, &in[k], 1, &t, 1, &shape, 0, NULL, n->loc);
        }
    }
    if (n->op == IR_OP_loop) {
        ir_graph *body = order(b->r->c, n->bodies[0], n, b->r->number);
        b->new_of[n->id] = ir_graph_copy_node_bodies(b->g, n, in, &body);
    } else {
        b->new_of[n->id] = ir_graph_copy_node(b->g, n, in);
    }
}

static ir_graph *order(pass_ctx *c, const ir_graph *g, const ir_node *loop, uint32_t *number)
{
    arena *a = c->scratch;
    uint32_t size = ir_graph_size(g);
    region r = {.c = c,
                .ctx = ir_graph_ctx(g),
                .a = a,
                .g = g,
                .loop = loop,
                .t = values_create(g, a),
                .item_of = arena_array(a, uint32_t, size),
                .number = number};
    for (uint32_t i = 0; i < size; i++) {
        if (values_is_item(ir_graph_node(g, i))) {
            r.item_of[i] = r.items.len;
            item it = {.node = ir_graph_node(g, i)};
            vec_push(a, &r.items, it);
        }
    }
    add_values_edges(&r);
    add_updates_edges(&r);
    add_places_edges(&r);

    const uint32_t *chosen = best_order(&r);
    build b = {&r, ir_graph_begin_rewrite(g), arena_array(a, const ir_node *, size),
               arena_array(a, const ir_node *, r.items.len)};
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        b.new_of[ir_graph_input(g, i)->id] = ir_graph_input(b.g, i);
    }
    for (uint32_t i = 0; i < r.items.len; i++) {
        make_item(&b, chosen[i]);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        value(&b, ir_graph_output(g, i)->node);
    }
    ir_graph_end_rewrite(b.g, g, b.new_of);
    return b.g;
}

ir_graph *pass_order(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) != IR_STAGE_KERNEL) {
        return ir_graph_clone(g);
    }
    uint32_t number = rewrite_count_kernels(g), before = number;
    ir_graph *out = order(c, g, NULL, &number);
    while (number != before) { /* with copies made there may be a better order */
        before = number;
        ir_graph *next = order(c, out, NULL, &number);
        ir_graph_destroy(out);
        out = next;
    }
    return out;
}
