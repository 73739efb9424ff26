#include "ir/graph_impl.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    ir_attr_kind kind;
} attrs_table[IR_ATTR_COUNT] = {
#define ATTR(name, kind) {#name, IR_ATTR_KIND_##kind},
#include "ir/attrs.def"
};

const char *ir_attr_name(ir_attr_key key)
{
    return attrs_table[key].name;
}

ir_attr_kind ir_attr_kind_of(ir_attr_key key)
{
    return attrs_table[key].kind;
}

bool ir_attr_from_name(const char *name, ir_attr_key *key)
{
    for (int i = 0; i < IR_ATTR_COUNT; i++) {
        if (strcmp(attrs_table[i].name, name) == 0) {
            *key = (ir_attr_key)i;
            return true;
        }
    }
    return false;
}

const ir_attr *ir_node_attr(const ir_node *n, ir_attr_key key)
{
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        if (n->attrs[i].key == key) {
            return &n->attrs[i];
        }
    }
    return NULL;
}

int64_t ir_node_int(const ir_node *n, ir_attr_key key, int64_t otherwise)
{
    const ir_attr *a = ir_node_attr(n, key);
    return a ? a->i : otherwise;
}

double ir_node_float(const ir_node *n, ir_attr_key key, double otherwise)
{
    const ir_attr *a = ir_node_attr(n, key);
    return a ? a->f : otherwise;
}

const char *ir_node_str(const ir_node *n, ir_attr_key key)
{
    const ir_attr *a = ir_node_attr(n, key);
    return a ? a->s : NULL;
}

const char *ir_stage_name(ir_stage s)
{
    static const char *const names[] = {"tensor", "kernel", "planned"};
    return names[s];
}

/* Graphs --------------------------------------------------------------------------------------- */

ir_graph *ir_graph_create(ir_ctx *c, const char *name)
{
    arena *a = arena_create();
    ir_graph *g = arena_new(a, ir_graph);
    g->ctx = c;
    g->a = a;
    g->name = intern(c->names, name);
    g->interned = map_create(a);
    g->after = c->graphs;
    if (c->graphs) {
        c->graphs->before = g;
    }
    c->graphs = g;
    return g;
}

void ir_graph_destroy(ir_graph *g)
{
    if (!g || g->held) {
        return;
    }
    for (uint32_t i = 0; i < g->nodes.len; i++) {
        const ir_node *n = g->nodes.at[i];
        for (uint32_t k = 0; k < n->n_bodies; k++) {
            n->bodies[k]->held--;
            ir_graph_destroy(n->bodies[k]);
        }
    }
    *(g->before ? &g->before->after : &g->ctx->graphs) = g->after;
    if (g->after) {
        g->after->before = g->before;
    }
    arena_destroy(g->a);
}

void ir_graphs_destroy(void *ctx)
{
    ir_graph *g = ((ir_ctx *)ctx)->graphs;
    while (g) {
        ir_graph *after = g->after;
        arena_destroy(g->a);
        g = after;
    }
}

ir_ctx *ir_graph_ctx(const ir_graph *g)
{
    return g->ctx;
}

arena *ir_graph_arena(const ir_graph *g)
{
    return g->a;
}

const char *ir_graph_name(const ir_graph *g)
{
    return g->name;
}

ir_stage ir_graph_stage(const ir_graph *g)
{
    return g->stage;
}

void ir_graph_set_stage(ir_graph *g, ir_stage s)
{
    g->stage = s;
}

uint32_t ir_graph_size(const ir_graph *g)
{
    return g->nodes.len;
}

const ir_node *ir_graph_node(const ir_graph *g, uint32_t id)
{
    return g->nodes.at[id];
}

static size_t list_bytes(const ir_attr *a)
{
    switch (ir_attr_kind_of(a->key)) {
    case IR_ATTR_KIND_INTS:
        return a->n * sizeof *a->ints;
    case IR_ATTR_KIND_DIMS:
        return a->n * sizeof *a->dims;
    case IR_ATTR_KIND_STRS:
        return a->n * sizeof *a->strs;
    default:
        return 0;
    }
}

static uint64_t hash_attr(const ir_attr *a)
{
    uint64_t h = hash_combine((uint64_t)a->key, a->n);
    switch (ir_attr_kind_of(a->key)) {
    case IR_ATTR_KIND_INTS:
    case IR_ATTR_KIND_DIMS:
    case IR_ATTR_KIND_STRS:
        return hash_combine(h, hash_bytes(a->ints, list_bytes(a)));
    case IR_ATTR_KIND_DTYPE:
        return hash_combine(h, (uint64_t)a->dtype);
    default:
        return hash_combine(h, (uint64_t)a->i);
    }
}

bool ir_attr_same(const ir_attr *x, const ir_attr *y)
{
    if (x->key != y->key || x->n != y->n) {
        return false;
    }
    switch (ir_attr_kind_of(x->key)) {
    case IR_ATTR_KIND_INTS:
    case IR_ATTR_KIND_DIMS:
    case IR_ATTR_KIND_STRS:
        return x->n == 0 || memcmp(x->ints, y->ints, list_bytes(x)) == 0;
    case IR_ATTR_KIND_DTYPE:
        return x->dtype == y->dtype;
    default:
        return x->i == y->i; /* the whole union: pointers, integers and doubles by their bits */
    }
}

static uint64_t hash_node(const ir_node *n)
{
    uint64_t h = hash_combine((uint64_t)n->op, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        h = hash_combine(h, n->in[i]->id);
    }
    for (uint32_t i = 0; i < n->n_attrs; i++) {
        h = hash_combine(h, hash_attr(&n->attrs[i]));
    }
    for (uint32_t i = 0; i < n->n_bodies; i++) {
        h = hash_combine(h, map_key(n->bodies[i]));
    }
    return hash_combine(h, n->types[0]->id);
}

static bool same_node(const ir_node *x, const ir_node *y)
{
    if (x->op != y->op || x->n_in != y->n_in || x->n_results != y->n_results ||
        x->n_attrs != y->n_attrs || x->n_bodies != y->n_bodies ||
        (x->n_in && memcmp(x->in, y->in, x->n_in * sizeof *x->in) != 0) ||
        memcmp(x->types, y->types, x->n_results * sizeof *x->types) != 0 ||
        (x->n_bodies && memcmp(x->bodies, y->bodies, x->n_bodies * sizeof *x->bodies) != 0)) {
        return false;
    }
    for (uint32_t i = 0; i < x->n_attrs; i++) {
        if (!ir_attr_same(&x->attrs[i], &y->attrs[i])) {
            return false;
        }
    }
    return true;
}

static int by_key(const void *x, const void *y)
{
    const ir_attr *a = x, *b = y;
    return (int)a->key - (int)b->key;
}

const ir_node *ir_graph_add(ir_graph *g, ir_op op, uint32_t n_in, const ir_node *const *in,
                            uint32_t n_results, const ir_type *const *types, uint32_t n_attrs,
                            const ir_attr *attrs, uint32_t n_bodies, ir_graph *const *bodies,
                            ir_loc loc)
{
    ir_attr *sorted = arena_copy(g->a, attrs, n_attrs * sizeof *attrs);
    if (n_attrs > 1) {
        qsort(sorted, n_attrs, sizeof *sorted, by_key);
    }
    for (uint32_t i = 0; i < n_attrs; i++) {
        if (sorted[i].key == IR_ATTR_data) {
            sorted[i].data = ir_data_keep(g->ctx, sorted[i].data);
        }
    }
    ir_node n = {.op = op,
                 .n_in = n_in,
                 .n_results = n_results,
                 .n_attrs = n_attrs,
                 .n_bodies = n_bodies,
                 .in = in,
                 .types = types,
                 .attrs = sorted,
                 .bodies = bodies,
                 .loc = loc};
    uint64_t h = hash_node(&n);
    if (op != IR_OP_input) {
        for (const ir_chain *k = map_get(g->interned, h); k; k = k->next) {
            if (same_node(k->item, &n)) {
                return k->item;
            }
        }
    }
    for (uint32_t i = 0; i < n_attrs; i++) {
        size_t bytes = list_bytes(&sorted[i]);
        if (bytes) {
            sorted[i].ints = arena_copy(g->a, sorted[i].ints, bytes);
        }
    }
    n.in = arena_copy(g->a, in, n_in * sizeof *in);
    n.types = arena_copy(g->a, types, n_results * sizeof *types);
    n.bodies = arena_copy(g->a, bodies, n_bodies * sizeof *bodies);
    for (uint32_t i = 0; i < n_bodies; i++) {
        bodies[i]->held++;
    }
    n.id = g->nodes.len;
    const ir_node *kept = arena_copy(g->a, &n, sizeof n);
    vec_push(g->a, &g->nodes, kept);
    ir_chain_add(g->a, g->interned, h, kept);
    return kept;
}

const ir_node *ir_graph_add_input(ir_graph *g, const char *name, const ir_type *t, ir_loc loc)
{
    ir_attr attrs[2] = {ir_attr_s(IR_ATTR_name, intern(g->ctx->names, name)),
                        ir_attr_i(IR_ATTR_index, g->inputs.len)};
    const ir_node *n = ir_graph_add(g, IR_OP_input, 0, NULL, 1, &t, 2, attrs, 0, NULL, loc);
    vec_push(g->a, &g->inputs, n);
    return n;
}

uint32_t ir_graph_n_inputs(const ir_graph *g)
{
    return g->inputs.len;
}

const ir_node *ir_graph_input(const ir_graph *g, uint32_t i)
{
    return g->inputs.at[i];
}

void ir_graph_add_output(ir_graph *g, ir_output_kind kind, const char *name, const ir_node *node)
{
    vec_push(g->a, &g->outputs, ((ir_output){kind, intern(g->ctx->names, name), node}));
}

uint32_t ir_graph_n_outputs(const ir_graph *g)
{
    return g->outputs.len;
}

const ir_output *ir_graph_output(const ir_graph *g, uint32_t i)
{
    return &g->outputs.at[i];
}

void ir_graph_add_sym(ir_graph *g, const ir_sym *s, bool is_argument)
{
    vec_push(g->a, &g->syms, s);
    g->n_dim_args += is_argument;
}

uint32_t ir_graph_n_syms(const ir_graph *g)
{
    return g->syms.len;
}

const ir_sym *ir_graph_sym(const ir_graph *g, uint32_t i)
{
    return g->syms.at[i];
}

uint32_t ir_graph_n_dim_args(const ir_graph *g)
{
    return g->n_dim_args;
}

void ir_graph_add_condition(ir_graph *g, ir_condition c)
{
    for (uint32_t i = 0; i < g->conditions.len; i++) {
        const ir_condition *k = &g->conditions.at[i];
        if (k->rel == c.rel && k->lhs == c.lhs && k->rhs == c.rhs) {
            return;
        }
    }
    vec_push(g->a, &g->conditions, c);
}

uint32_t ir_graph_n_conditions(const ir_graph *g)
{
    return g->conditions.len;
}

const ir_condition *ir_graph_condition(const ir_graph *g, uint32_t i)
{
    return &g->conditions.at[i];
}

void ir_graph_set_arena_bytes(ir_graph *g, const ir_dim *bytes)
{
    g->arena_bytes = bytes;
}

const ir_dim *ir_graph_arena_bytes(const ir_graph *g)
{
    return g->arena_bytes;
}
