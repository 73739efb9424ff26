#include "passes/score_body.h"

enum { DEEPEST = 40 };

typedef struct maker {
    score_body *out;
    const ir_node *scores;
    map *made;     /* node -> its copy in the body */
    map *counters; /* node -> itself when it is made of counters, the map otherwise */
    bool failed;
} maker;

static void *as_value(const ir_node *n)
{
    return (void *)(uintptr_t)(const void *)n;
}

static bool is_elementwise(const ir_node *n)
{
    return ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE;
}

/* Is it made of counters, sizes and constants alone? Then it costs less to make than to load. */
static bool made_of_counters(maker *m, const ir_node *n, int depth)
{
    if (n->op == IR_OP_iota || n->op == IR_OP_dim) {
        return true;
    }
    if (n->op == IR_OP_const) {
        return ir_node_attr(n, IR_ATTR_data)->data->splat;
    }
    bool moves = n->op == IR_OP_reshape || n->op == IR_OP_broadcast || n->op == IR_OP_transpose ||
                 n->op == IR_OP_slice;
    if ((!is_elementwise(n) && !moves) || depth > DEEPEST) {
        return false;
    }
    void *known = map_get(m->counters, map_key(n));
    if (known) {
        return known == as_value(n);
    }
    bool all = true;
    for (uint32_t i = 0; i < n->n_in && all; i++) {
        all = made_of_counters(m, n->in[i], depth + 1);
    }
    map_set(m->counters, map_key(n), all ? as_value(n) : m->counters);
    return all;
}

/* Has it an element for every pair of query and key? Then it must not exist in memory. */
static bool is_score_sized(const maker *m, const ir_node *n)
{
    const ir_type *t = ir_node_type(n), *s = ir_node_type(m->scores);
    return t->rank >= 2 && t->dims[t->rank - 1] == s->dims[s->rank - 1] &&
           t->dims[t->rank - 2] == s->dims[s->rank - 2] && !ir_dim_is_one(t->dims[t->rank - 1]) &&
           !ir_dim_is_one(t->dims[t->rank - 2]);
}

static const ir_node *value(maker *m, const ir_node *n);

static const ir_node *copied(maker *m, const ir_node *n)
{
    const ir_node *in[3];
    for (uint32_t i = 0; i < n->n_in && !m->failed; i++) {
        in[i] = value(m, n->in[i]);
    }
    return m->failed ? NULL : ir_graph_copy_node(m->out->graph, n, in);
}

static const ir_node *extra(maker *m, const ir_node *n)
{
    if (m->out->n_extras == SCORE_MOST_EXTRAS) {
        m->failed = true;
        return NULL;
    }
    m->out->extras[m->out->n_extras++] = n;
    return ir_graph_add_input(m->out->graph, "extra", ir_node_type(n), n->loc);
}

static const ir_node *value(maker *m, const ir_node *n)
{
    const ir_node *known = map_get(m->made, map_key(n));
    if (!known) {
        bool inside =
            made_of_counters(m, n, 0) ||
            (is_elementwise(n) && (is_score_sized(m, n) ||
                                   ir_type_same_shape(ir_node_type(n), ir_node_type(m->scores))));
        known = inside ? copied(m, n) : extra(m, n);
        map_set(m->made, map_key(n), as_value(known));
    }
    return known;
}

bool score_body_create(ir_ctx *c, const ir_node *scores, const ir_node *top, arena *scratch,
                       score_body *out)
{
    *out = (score_body){.graph = ir_graph_create(c, "score")};
    maker m = {
        .out = out, .scores = scores, .made = map_create(scratch), .counters = map_create(scratch)};
    map_set(m.made, map_key(scores),
            as_value(ir_graph_add_input(out->graph, "score", ir_node_type(scores), scores->loc)));
    const ir_node *r = value(&m, top);
    if (m.failed) {
        ir_graph_destroy(out->graph);
        return false;
    }
    ir_graph_add_output(out->graph, IR_OUTPUT_RESULT, "score", r);
    return true;
}
