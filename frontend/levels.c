/* Levels: graphs under construction, one inside the other. */
#include "frontend/elab.h"

level *level_open(elab *e, ir_graph *g)
{
    level *l = arena_new(e->a, level);
    l->graph = g;
    l->outer = e->level;
    l->depth = e->level ? e->level->depth + 1 : 0;
    l->captures = map_create(e->a);
    for (uint32_t i = 0; e->level && i < e->level->turns.len; i++) {
        vec_push(e->a, &l->turns, e->level->turns.at[i]);
    }
    e->level = l;
    return l;
}

void level_close(elab *e)
{
    e->level = e->level->outer;
}

static bool is_leaf(const ir_node *n)
{
    return n->op == IR_OP_param || n->op == IR_OP_const || n->op == IR_OP_dim ||
           n->op == IR_OP_iota;
}

/* The value at level l, which is at or inside the value's own. */
static const ir_node *import_at(elab *e, level *l, value v)
{
    const ir_node *n = v.tensor.node;
    if (v.tensor.level == l) {
        return n;
    }
    if (is_leaf(n)) {
        return ir_graph_copy_node(l->graph, n, NULL);
    }
    const ir_node *known = map_get(l->captures, map_key(n));
    if (known) {
        return known;
    }
    if (!l->outer) {
        return NULL; /* a value of a level that is gone */
    }
    value outside = v;
    outside.tensor.node = import_at(e, l->outer, v);
    outside.tensor.level = l->outer;
    if (!outside.tensor.node) {
        return NULL;
    }
    const char *name = intern_printf(e->names, "c%u", l->captured.len);
    const ir_node *input = ir_graph_add_input(l->graph, name, ir_node_type(n), n->loc);
    vec_push(e->a, &l->captured, outside);
    vec_push(e->a, &l->inputs, input);
    map_set(l->captures, map_key(n), (void *)(uintptr_t)(const void *)input);
    return input;
}

const ir_node *level_import(elab *e, value v)
{
    return import_at(e, e->level, v);
}

static const ir_node *state_at(elab *e, level *l, uint32_t state)
{
    for (uint32_t i = 0; i < l->states.len; i++) {
        if (l->states.at[i].state == state) {
            return l->states.at[i].now;
        }
    }
    const ir_state *s = &e->states.at[state];
    const ir_node *first;
    if (!l->outer) {
        ir_builder b = {
            .ctx = e->c, .graph = l->graph, .loc = {s->where, NULL}
        };
        first = ir_state_node(&b, s->name, s->type);
    } else {
        (void)state_at(e, l->outer, state);
        first = ir_graph_add_input(l->graph, s->name, s->type, (ir_loc){s->where, NULL});
    }
    l->states.at =
        vec_grow(e->a, l->states.at, l->states.len, &l->states.cap, sizeof *l->states.at);
    l->states.at[l->states.len].state = state;
    l->states.at[l->states.len].now = first;
    l->states.at[l->states.len++].first = first;
    return first;
}

const ir_node *level_state(elab *e, uint32_t state)
{
    return state_at(e, e->level, state);
}

void level_set_state(elab *e, uint32_t state, const ir_node *now)
{
    (void)state_at(e, e->level, state);
    for (uint32_t i = 0; i < e->level->states.len; i++) {
        if (e->level->states.at[i].state == state) {
            e->level->states.at[i].now = now;
        }
    }
}
