/* The planned graph of an entry becomes a list of kernels, loops and calls, each with its places.
 */
#include "backend/lower.h"
#include "passes/values.h"
#include "passes/work.h"

#include <stdlib.h>
#include <string.h>

typedef VEC(k_item) item_list;

typedef struct programmer {
    const ir_module *m;
    ir_ctx *c;
    arena *a;
    map *by_text; /* hash of a kernel's text -> chain */
    VEC(const k_kernel *) kernels;
    VEC(const char *) use_names;
    VEC(ir_loc) use_locs;
    uint32_t n_barriers;
} programmer;

typedef struct kernel_chain {
    k_kernel *k;
    struct kernel_chain *next;
} kernel_chain;

/* A graph and where it stands: places of a body's inputs are found outside. */
typedef struct frame {
    const ir_graph *g;
    const ir_node *loop;
    const struct frame *outside;
} frame;

static uint32_t state_index(const ir_module *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_states; i++) {
        if (strcmp(m->states[i].name, name) == 0) {
            return i;
        }
    }
    return 0;
}

static k_place parse_place(const programmer *p, const char *space, const ir_dim *at)
{
    k_place r = {.space = K_SPACE_ARENA, .at = at};
    const char *colon = strchr(space, ':');
    if (strncmp(space, "result:", 7) == 0) {
        r.space = K_SPACE_RESULT;
        r.index = (uint32_t)atoi(colon + 1);
    } else if (strncmp(space, "input:", 6) == 0) {
        r.space = K_SPACE_ARG;
        r.index = (uint32_t)atoi(colon + 1);
    } else if (strncmp(space, "state:", 6) == 0) {
        r.space = K_SPACE_STATE;
        r.index = state_index(p->m, colon + 1);
    }
    return r;
}

static k_place result_place(const programmer *p, const ir_node *n, uint32_t result)
{
    const ir_attr *space = ir_node_attr(n, IR_ATTR_space), *at = ir_node_attr(n, IR_ATTR_at);
    return parse_place(p, space->strs[result], at->dims[result]);
}

static k_place place_of(const programmer *p, const frame *f, const ir_node *n)
{
    const ir_dim *zero = ir_dim_const(p->c, 0);
    switch (n->op) {
    case IR_OP_reshape:
        return place_of(p, f, n->in[0]);
    case IR_OP_get:
        return result_place(p, n->in[0], (uint32_t)ir_node_int(n, IR_ATTR_index, 0));
    case IR_OP_state:
        return (k_place){.space = K_SPACE_STATE,
                         .index = state_index(p->m, ir_node_str(n, IR_ATTR_name)),
                         .at = zero};
    case IR_OP_const:
        return (k_place){
            .space = K_SPACE_CONST, .at = zero, .data = ir_node_attr(n, IR_ATTR_data)->data};
    case IR_OP_param: {
        const ir_attr *indices = ir_node_attr(n, IR_ATTR_indices);
        const ir_param *q = ir_module_param(p->m, ir_node_str(n, IR_ATTR_name));
        return (k_place){.space = K_SPACE_PARAM,
                         .index = (uint32_t)(q - p->m->params),
                         .at = zero,
                         .n_indices = indices->n,
                         .indices = indices->dims};
    }
    case IR_OP_input: {
        uint32_t i = (uint32_t)ir_node_int(n, IR_ATTR_index, 0);
        if (!f->loop) {
            return (k_place){.space = K_SPACE_ARG, .index = i, .at = zero};
        }
        uint32_t carries = (uint32_t)ir_node_int(f->loop, IR_ATTR_carries, 0);
        return i < carries ? result_place(p, f->loop, i) : place_of(p, f->outside, f->loop->in[i]);
    }
    default:
        return result_place(p, n, 0);
    }
}

/* The parameter an operand is, seen through captures; NULL. */
static const ir_param *param_of(const programmer *p, const frame *f, const ir_node *n)
{
    if (n->op == IR_OP_param) {
        return ir_module_param(p->m, ir_node_str(n, IR_ATTR_name));
    }
    if (n->op == IR_OP_reshape) {
        return param_of(p, f, n->in[0]);
    }
    if (n->op == IR_OP_input && f->loop) {
        uint32_t i = (uint32_t)ir_node_int(n, IR_ATTR_index, 0);
        bool carry = i < (uint32_t)ir_node_int(f->loop, IR_ATTR_carries, 0);
        return carry ? NULL : param_of(p, f->outside, f->loop->in[i]);
    }
    return NULL;
}

/* The one copy of equal kernels. */
static const k_kernel *unique_kernel(programmer *p, const k_kernel *k)
{
    uint64_t h = hash_bytes(k->text, strlen(k->text));
    for (kernel_chain *c = map_get(p->by_text, h); c; c = c->next) {
        if (strcmp(c->k->text, k->text) == 0) {
            return c->k;
        }
    }
    k_kernel *kept = arena_copy(p->a, k, sizeof *k);
    kept->id = p->kernels.len;
    vec_push(p->a, &p->kernels, kept);
    kernel_chain *link = arena_new(p->a, kernel_chain);
    *link = (kernel_chain){kept, map_get(p->by_text, h)};
    map_set(p->by_text, h, link);
    return kept;
}

/* Operands and results of n nodes, with their places. */
static lower_values values_of_nodes(programmer *p, const frame *f, const ir_node *const *nodes,
                                    uint32_t n)
{
    uint32_t total = 0, at = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += nodes[i]->n_in + nodes[i]->n_results;
    }
    k_place *places = arena_array(p->a, k_place, total);
    const ir_param **params = arena_array(p->a, const ir_param *, total);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < nodes[i]->n_in; k++) {
            params[at] = param_of(p, f, nodes[i]->in[k]);
            places[at++] = place_of(p, f, nodes[i]->in[k]);
        }
        for (uint32_t r = 0; r < nodes[i]->n_results; r++) {
            places[at++] = result_place(p, nodes[i], r);
        }
    }
    return (lower_values){total, places, params};
}

/* Text may give none. */
static const char *name_of(const ir_node *n)
{
    const char *name = ir_node_str(n, IR_ATTR_name);
    return name ? name : "";
}

/* What the kernel of n nodes is called: by the names of all. */
static const char *name_of_nodes(programmer *p, const ir_node *const *nodes, uint32_t n)
{
    const char *name = name_of(nodes[0]);
    for (uint32_t i = 1; i < n; i++) {
        const char *more = name_of(nodes[i]), *number = strrchr(more, '_');
        name = intern_printf(ir_ctx_names(p->c), "%s+%s", name, number ? number + 1 : more);
    }
    return name;
}

static k_item kernel_item(programmer *p, const frame *f, const ir_node *const *nodes, uint32_t n)
{
    lower_values of = values_of_nodes(p, f, nodes, n);
    lowered_kernel l = lower_kernel(p->c, p->a, nodes, n, &of);
    k_item t = {.kind = K_ITEM_KERNEL,
                .kernel = unique_kernel(p, l.kernel),
                .number = p->use_names.len,
                .name = name_of_nodes(p, nodes, n),
                .dims = l.dims,
                .open = n == 1 && ir_node_int(nodes[0], IR_ATTR_open, 0) != 0};
    t.work = t.open ? work_of_kernel(p->c, nodes[0]) : NULL;
    k_place *own = arena_array(p->a, k_place, l.kernel->n_bufs);
    for (uint32_t i = 0; i < l.kernel->n_bufs; i++) {
        uint32_t k = l.sources[i].index;
        own[i] = l.sources[i].is_const ? (k_place){.space = K_SPACE_CONST,
                                                   .at = ir_dim_const(p->c, 0),
                                                   .data = l.consts[k]}
                                       : of.places[k];
    }
    t.places = own;
    vec_push(p->a, &p->use_names, t.name);
    vec_push(p->a, &p->use_locs, nodes[0]->loc);
    return t;
}

/* Kernels from node i on that are made as one; *end: where to go on. */
static k_item joined_item(programmer *p, const frame *f, uint32_t i, uint32_t *end)
{
    VEC(const ir_node *) nodes = {0};
    *end = i + 1;
    vec_push(p->a, &nodes, ir_graph_node(f->g, i));
    for (uint32_t k = i + 1; k < ir_graph_size(f->g); k++) {
        const ir_node *n = ir_graph_node(f->g, k);
        bool item = values_is_item(n);
        if (item && (n->op != IR_OP_kernel || !ir_node_int(n, IR_ATTR_joined, 0))) {
            break;
        }
        if (item) {
            vec_push(p->a, &nodes, n);
            *end = k + 1;
        }
    }
    return kernel_item(p, f, nodes.at, nodes.len);
}

static k_item extern_item(programmer *p, const frame *f, const ir_node *n)
{
    k_item t = {.kind = K_ITEM_EXTERN, .n_args = n->n_in, .n_results = n->n_results};
    k_place *places = arena_array(p->a, k_place, n->n_in + n->n_results);
    const ir_type **types = arena_array(p->a, const ir_type *, n->n_in + n->n_results);
    for (uint32_t i = 0; i < n->n_in; i++) {
        places[i] = place_of(p, f, n->in[i]);
        types[i] = ir_node_type(n->in[i]);
    }
    for (uint32_t r = 0; r < n->n_results; r++) {
        places[n->n_in + r] = result_place(p, n, r);
        types[n->n_in + r] = n->types[r];
    }
    for (uint32_t i = 0; i < p->m->n_externs; i++) {
        if (strcmp(p->m->externs[i], ir_node_str(n, IR_ATTR_target)) == 0) {
            t.extern_index = i;
        }
    }
    t.extern_places = places;
    t.extern_types = types;
    return t;
}

static void add_items(programmer *p, const frame *f, item_list *out);

static k_item loop_item(programmer *p, const frame *f, const ir_node *n)
{
    frame inner = {n->bodies[0], n, f};
    item_list items = {0};
    add_items(p, &inner, &items);
    k_item t = {.kind = K_ITEM_LOOP,
                .sym = ir_node_attr(n, IR_ATTR_sym)->sym,
                .lo = ir_node_attr(n, IR_ATTR_lo)->dims[0],
                .hi = ir_node_attr(n, IR_ATTR_hi)->dims[0],
                .step = ir_node_int(n, IR_ATTR_step, 1),
                .n_items = items.len,
                .items = items.at};
    if (ir_node_int(n, IR_ATTR_cond, 0)) {
        const ir_graph *g = n->bodies[0];
        k_place *cond = arena_new(p->a, k_place);
        *cond = place_of(p, &inner, ir_graph_output(g, ir_graph_n_outputs(g) - 1)->node);
        t.cond = cond;
    }
    return t;
}

static void add_items(programmer *p, const frame *f, item_list *out)
{
    uint32_t end;
    for (uint32_t i = 0; i < ir_graph_size(f->g); i = end) {
        const ir_node *n = ir_graph_node(f->g, i);
        k_item t;
        end = i + 1;
        if (n->op == IR_OP_kernel) {
            t = joined_item(p, f, i, &end);
        } else if (n->op == IR_OP_loop) {
            t = loop_item(p, f, n);
        } else if (n->op == IR_OP_extern) {
            t = extern_item(p, f, n);
        } else {
            continue;
        }
        t.barrier = ir_node_int(n, IR_ATTR_barrier, 0);
        t.loc = n->loc;
        p->n_barriers += t.barrier == 1;
        vec_push(p->a, out, t);
    }
}

const k_module *k_lower_module(const ir_module *m, arena *a)
{
    programmer p = {.m = m, .c = m->ctx, .a = a, .by_text = map_create(a)};
    k_module *r = arena_new(a, k_module);
    k_program *programs = arena_array(a, k_program, m->n_entries);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].kind != IR_ENTRY) {
            continue;
        }
        frame f = {m->entries[i].graph, NULL, NULL};
        item_list items = {0};
        p.use_names.len = p.use_locs.len = p.n_barriers = 0;
        p.use_names.at = NULL;
        p.use_locs.at = NULL;
        p.use_names.cap = p.use_locs.cap = 0;
        add_items(&p, &f, &items);
        programs[n++] = (k_program){.entry = &m->entries[i],
                                    .n_items = items.len,
                                    .items = items.at,
                                    .n_kernel_uses = p.use_names.len,
                                    .use_names = p.use_names.at,
                                    .use_locs = p.use_locs.at,
                                    .n_barriers = p.n_barriers};
    }
    *r = (k_module){.module = m,
                    .a = a,
                    .n_programs = n,
                    .programs = programs,
                    .n_kernels = p.kernels.len,
                    .kernels = p.kernels.at};
    return r;
}
