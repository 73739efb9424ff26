/* Reads .air text back, as print.c writes it: docs/ir.md has the grammar. Every node goes through
 * its shape rule, and must have the type that the text says. */
#include "ir/build.h"
#include "ir/graph_impl.h"
#include "ir/read_impl.h"

#include <string.h>

enum { DEEPEST = 64 };

typedef struct body_reader {
    ir_graph *g;
    arena *a;
    map *nodes; /* number in the text + 1 -> node */
} body_reader;

static ir_graph *read_body(reader *r, ir_stage stage, const char *name);

/* Nodes ------------------------------------------------------------------------------------------
 */

static const ir_node *read_reference(reader *r, body_reader *b)
{
    uint32_t id;
    if (!read_expect(r, "%") || !read_uint32(r, &id)) {
        return NULL;
    }
    const ir_node *n = map_get(b->nodes, (uint64_t)id + 1);
    return n ? n : (read_fail(r, "%%%u is not defined before this", id), NULL);
}

typedef struct node_text {
    span where;
    ir_op op;
    VEC(const ir_node *) in;
    read_attrs attrs;
    VEC(const ir_type *) types;
    VEC(ir_graph *) bodies;
} node_text;

static const ir_attr *attr_of(const node_text *t, ir_attr_key key)
{
    for (uint32_t i = 0; i < t->attrs.list.len; i++) {
        if (t->attrs.list.at[i].key == key) {
            return &t->attrs.list.at[i];
        }
    }
    return NULL;
}

static bool read_types(reader *r, body_reader *b, node_text *t)
{
    do {
        const ir_type *type = read_type(r);
        if (!type) {
            return false;
        }
        vec_push(b->a, &t->types, type);
    } while (read_eat(r, ","));
    return true;
}

/* Bodies see the index of their loop. */
static bool read_bodies(reader *r, body_reader *b, node_text *t)
{
    const ir_attr *index = t->op == IR_OP_loop ? attr_of(t, IR_ATTR_sym) : NULL;
    ir_stage stage = t->op == IR_OP_loop ? b->g->stage : IR_STAGE_TENSOR;
    while (read_eat(r, "(")) {
        if (++r->depth > DEEPEST) {
            return read_fail(r, "bodies are nested more than %d deep", DEEPEST);
        }
        uint32_t scope = r->scope.len;
        if (index) {
            vec_push(ir_ctx_arena(r->ctx), &r->scope, index->sym);
        }
        ir_graph *body = read_body(r, stage, ir_op_name(t->op));
        r->scope.len = scope;
        r->depth--;
        if (!body) {
            return false;
        }
        vec_push(b->a, &t->bodies, body);
        if (!read_expect(r, ")")) {
            return false;
        }
    }
    return true;
}

/* A parameter or state is one that the module declares, of its type. */
static bool check_declared(reader *r, const node_text *t)
{
    const ir_attr *name = attr_of(t, IR_ATTR_name), *indices = attr_of(t, IR_ATTR_indices);
    const ir_param *p = name && t->op == IR_OP_param ? ir_module_param(r->m, name->s) : NULL;
    const ir_state *s = name && t->op == IR_OP_state ? ir_module_state(r->m, name->s) : NULL;
    if (!p && !s) {
        return read_fail(r, "the module declares no %s \"%s\"", ir_op_name(t->op),
                         name ? name->s : "");
    }
    const ir_type *type = p ? p->type : s->type;
    if (t->types.len != 1 || t->types.at[0] != type) {
        return read_fail(r, "%s \"%s\" is declared as %s", ir_op_name(t->op), name->s,
                         ir_type_text(r->ctx, type));
    }
    if (p && p->n_indices != (indices ? indices->n : 0)) {
        return read_fail(r, "param \"%s\" takes %u indices", name->s, p->n_indices);
    }
    for (uint32_t i = 0; p && i < p->n_indices; i++) {
        if (indices->dims[i]->lo < 0 || indices->dims[i]->hi >= p->counts[i]) {
            return read_fail(r, "index %u of param \"%s\" must be 0 to %lld", i, name->s,
                             (long long)p->counts[i] - 1);
        }
    }
    return true;
}

/* What the shape rule says of a node; for `get`, what the node it takes from says. */
static bool infer_types(reader *r, const node_text *t, uint32_t *n, const ir_type **types)
{
    if (t->op == IR_OP_get) {
        const ir_attr *index = attr_of(t, IR_ATTR_index);
        if (t->in.len != 1 || !index || index->i < 0 || index->i >= t->in.at[0]->n_results) {
            return read_fail(r, "get needs the index of one of a node's results");
        }
        *n = 1;
        types[0] = t->in.at[0]->types[index->i];
        return true;
    }
    const ir_type *in[256];
    if (t->in.len > 256) {
        return read_fail(r, "at most 256 operands are possible");
    }
    for (uint32_t i = 0; i < t->in.len; i++) {
        if (t->in.at[i]->n_results != 1) {
            return read_fail(r, "operand %u has %u results: take one with get", i,
                             t->in.at[i]->n_results);
        }
        in[i] = t->in.at[i]->types[0];
    }
    ir_error e = {0};
    return ir_infer(r->ctx, r->entry, t->where, t->op, t->in.len, in, t->attrs.list.len,
                    t->attrs.list.at, t->bodies.len, t->bodies.at, n, types, &e) ||
           read_fail(r, "%s: %s", ir_op_name(t->op), e.text);
}

static bool check_types(reader *r, const node_text *t)
{
    if (t->op == IR_OP_param || t->op == IR_OP_state) {
        return check_declared(r, t);
    }
    if (t->op == IR_OP_const || t->op == IR_OP_input) {
        bool given =
            t->op == IR_OP_const ? t->attrs.data != NULL : attr_of(t, IR_ATTR_name) != NULL;
        return (t->types.len == 1 && given) ||
               read_fail(r, "%s needs a type and %s", ir_op_name(t->op),
                         t->op == IR_OP_const ? "data=(…)" : "a name");
    }
    const ir_type *types[16];
    uint32_t n = 0;
    if (!infer_types(r, t, &n, types)) {
        return false;
    }
    for (uint32_t i = 0; i < n || i < t->types.len; i++) {
        if (i >= n || i >= t->types.len || types[i] != t->types.at[i]) {
            return read_fail(r, "%s has %u results here, the first other one being %s; it makes %s",
                             ir_op_name(t->op), t->types.len,
                             i < t->types.len ? ir_type_text(r->ctx, t->types.at[i]) : "missing",
                             i < n ? ir_type_text(r->ctx, types[i]) : "no more");
        }
    }
    return true;
}

static const ir_node *add_node(reader *r, body_reader *b, node_text *t)
{
    if (t->attrs.data && t->op == IR_OP_const) {
        const ir_data *data = read_data(r, b->a, t->attrs.data, t->types.at[0]);
        if (!data) {
            return NULL;
        }
        vec_push(b->a, &t->attrs.list, ir_attr_data_of(data));
    }
    ir_loc loc = {.where = t->where};
    if (t->op == IR_OP_input) {
        const ir_attr *index = attr_of(t, IR_ATTR_index);
        if (!index || index->i != b->g->inputs.len) {
            return read_fail(r, "the input must have index=%u", b->g->inputs.len), NULL;
        }
    }
    const ir_node *n =
        ir_graph_add(b->g, t->op, t->in.len, t->in.at, t->types.len, t->types.at, t->attrs.list.len,
                     t->attrs.list.at, t->bodies.len, t->bodies.at, loc);
    if (t->op == IR_OP_input) {
        vec_push(b->g->a, &b->g->inputs, n);
    }
    return n;
}

static bool read_node(reader *r, body_reader *b)
{
    node_text t = {.where = read_here(r)};
    uint32_t id;
    if (!read_expect(r, "%") || !read_uint32(r, &id) || !read_expect(r, "=")) {
        return false;
    }
    if (map_has(b->nodes, (uint64_t)id + 1)) {
        return read_fail(r, "%%%u is defined twice", id);
    }
    const char *name = read_name(r);
    if (!name || !ir_op_from_name(name, &t.op)) {
        return name && read_fail(r, "there is no op %s", name);
    }
    bool more = read_at(r, "%");
    while (more) {
        const ir_node *x = read_reference(r, b);
        if (!x) {
            return false;
        }
        vec_push(b->a, &t.in, x);
        more = read_eat(r, ",");
    }
    if (!read_attr_list(r, b->a, &t.attrs) || !read_expect(r, ":") || !read_types(r, b, &t) ||
        !read_bodies(r, b, &t)) {
        return false;
    }
    t.where.end = read_here(r).begin;
    const ir_node *n = check_types(r, &t) ? add_node(r, b, &t) : NULL;
    map_set(b->nodes, (uint64_t)id + 1, (void *)(uintptr_t)(const void *)n);
    return n != NULL;
}

static bool read_return(reader *r, body_reader *b)
{
    bool more = read_at(r, "\"") || read_at(r, "state");
    while (more) {
        ir_output_kind kind = read_eat(r, "state") ? IR_OUTPUT_STATE : IR_OUTPUT_RESULT;
        const char *name = read_string(r);
        const ir_node *n = name && read_expect(r, "=") ? read_reference(r, b) : NULL;
        if (!n) {
            return false;
        }
        if (n->n_results != 1) {
            return read_fail(r, "an output is one value: take one of the results with get");
        }
        if (kind == IR_OUTPUT_STATE) {
            const ir_state *s = ir_module_state(r->m, name);
            if (!s || s->type != ir_node_type(n)) {
                return read_fail(r,
                                 s ? "state \"%s\" is of another type"
                                   : "the module declares no state \"%s\"",
                                 name);
            }
        }
        ir_graph_add_output(b->g, kind, name, n);
        more = read_eat(r, ",");
    }
    return true;
}

static bool fill(reader *r, ir_graph *g)
{
    body_reader b = {.g = g, .a = arena_create()};
    b.nodes = map_create(b.a);
    bool ok = true;
    while (ok && !read_eat(r, "return")) {
        ok = read_node(r, &b);
    }
    ok = ok && read_return(r, &b);
    arena_destroy(b.a);
    return ok;
}

static ir_graph *read_body(reader *r, ir_stage stage, const char *name)
{
    ir_graph *g = ir_graph_create(r->ctx, name);
    g->stage = stage;
    if (!fill(r, g)) {
        ir_graph_destroy(g);
        return NULL;
    }
    return g;
}

/* Entries ----------------------------------------------------------------------------------------
 */

static bool read_bound(reader *r, int64_t *value)
{
    if (read_eat(r, "inf")) {
        *value = INT64_MAX;
        return true;
    }
    return read_int(r, value);
}

static bool read_syms(reader *r, ir_graph *g)
{
    bool shapes = false;
    if (!read_expect(r, "(")) {
        return false;
    }
    if (read_eat(r, ")")) {
        return true;
    }
    do {
        bool argument = read_eat(r, "dim");
        shapes |= !argument;
        if (argument && shapes) {
            return read_fail(r, "dim arguments come before sizes");
        }
        int64_t lo, hi;
        const char *name = argument || read_expect(r, "size") ? read_name(r) : NULL;
        if (!name || !read_expect(r, "in") || !read_bound(r, &lo) || !read_expect(r, "..") ||
            !read_bound(r, &hi)) {
            return false;
        }
        for (uint32_t i = 0; i < g->syms.len; i++) {
            if (g->syms.at[i]->name == name) {
                return read_fail(r, "two sizes are named %s", name);
            }
        }
        if (lo > hi || (lo < 0 && !argument)) {
            return read_fail(r, "the bounds of %s must ascend%s", name,
                             argument ? "" : " from 0 or more");
        }
        const ir_sym *s = ir_sym_get(r->ctx, name, lo, hi);
        ir_graph_add_sym(g, s, argument);
        vec_push(ir_ctx_arena(r->ctx), &r->scope, s);
    } while (read_eat(r, ","));
    return read_expect(r, ")");
}

static bool read_conditions(reader *r, ir_graph *g)
{
    while (read_eat(r, "where")) {
        ir_condition k = {.where = read_here(r)};
        if (!(k.lhs = read_dim(r))) {
            return false;
        }
        k.rel = read_eat(r, "==") ? IR_REL_EQ : IR_REL_LE;
        if ((k.rel == IR_REL_LE && !read_expect(r, "<=")) || !(k.rhs = read_dim(r))) {
            return false;
        }
        k.text = intern_printf(ir_ctx_names(r->ctx), "%s %s %s", ir_dim_text(r->ctx, k.lhs),
                               k.rel == IR_REL_EQ ? "==" : "<=", ir_dim_text(r->ctx, k.rhs));
        ir_graph_add_condition(g, k);
    }
    if (read_eat(r, "arena")) {
        g->arena_bytes = read_dim(r);
        return g->arena_bytes != NULL;
    }
    return true;
}

static bool read_stage(reader *r, ir_graph *g)
{
    if (!read_expect(r, "stage")) {
        return false;
    }
    for (ir_stage s = IR_STAGE_TENSOR; s <= IR_STAGE_PLANNED; s++) {
        if (read_eat(r, ir_stage_name(s))) {
            g->stage = s;
            return true;
        }
    }
    return read_fail(r, "a stage is tensor, kernel or planned");
}

static uint32_t count_outputs(const ir_graph *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->outputs.len; i++) {
        n += g->outputs.at[i].kind == IR_OUTPUT_RESULT;
    }
    return n;
}

static bool read_entry(reader *r, ir_entry *e, ir_entry_kind kind)
{
    span where = read_here(r);
    const char *name = read_string(r);
    if (!name) {
        return false;
    }
    ir_graph *g = ir_graph_create(r->ctx, name);
    r->entry = g;
    r->scope.len = 0;
    bool ok = read_stage(r, g) && read_syms(r, g) && read_conditions(r, g) && read_expect(r, "(") &&
              fill(r, g) && read_expect(r, ")");
    if (ok && ir_module_entry(r->m, name)) {
        ok = read_fail(r, "two entries are named %s", name);
    }
    if (!ok) {
        ir_graph_destroy(g);
        return false;
    }
    arena *a = ir_ctx_arena(r->ctx);
    *e = (ir_entry){.kind = kind,
                    .name = name,
                    .graph = g,
                    .args = arena_array(a, ir_arg_info, g->inputs.len),
                    .results = arena_array(a, ir_arg_info, count_outputs(g)),
                    .where = where};
    return true;
}

/* What a module declares --------------------------------------------------------------------------
 */

static bool all_const(const ir_type *t)
{
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!ir_dim_is_const(t->dims[i]) || ir_dim_value(t->dims[i]) < 0) {
            return false;
        }
    }
    return true;
}

static bool read_const_type(reader *r, const ir_type **t)
{
    *t = read_expect(r, ":") ? read_type(r) : NULL;
    return *t &&
           (all_const(*t) || read_fail(r, "the sizes of what a module declares are constants"));
}

/* Is the panel of a transposed convolution's weights, [C, N, taps], one of whole outputs? */
static bool whole_taps(const ir_param *p)
{
    int64_t taps = 1;
    for (uint32_t i = 2; i < p->type->rank; i++) {
        int64_t size = ir_dim_value(p->type->dims[i]);
        if (size < 1 || size > p->panel / taps) {
            return false;
        }
        taps *= size;
    }
    return p->panel % taps == 0;
}

/* storage f32 [panels|pairs|taps 32 nk|kn] alias "…" … init "…" */
static bool read_param_rest(reader *r, ir_param *p)
{
    const char *storage = read_expect(r, "storage") ? read_name(r) : NULL;
    if (!storage || !ir_storage_from_name(storage, &p->storage)) {
        return storage && read_fail(r, "there is no storage %s", storage);
    }
    static const char *const layouts[] = {"panels", "pairs", "taps"};
    const char *layout = NULL;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts && !layout; i++) {
        layout = read_eat(r, layouts[i]) ? layouts[i] : NULL;
    }
    if (layout) {
        bool pairs = strcmp(layout, "pairs") == 0, taps = strcmp(layout, "taps") == 0;
        p->layout = layout;
        if (pairs && p->storage != IR_STORAGE_bf16) {
            return read_fail(r, "pairs are of storage bf16");
        }
        if (taps && (p->storage != IR_STORAGE_f32 || p->type->rank < 3)) {
            return read_fail(r, "taps are of storage f32, with three axes or more");
        }
        if (!read_uint32(r, &p->panel)) {
            return false;
        }
        if (p->panel < 1 || p->panel > UINT8_MAX || p->type->rank < 2) {
            return read_fail(r, "panels are of a parameter with two axes or more, and 1 to %d wide",
                             UINT8_MAX);
        }
        bool blocks = !ir_storage_is_dense(p->storage);
        if (blocks && (!ir_storage_has_panels(p->storage) || p->panel != IR_BLOCK_COLUMNS ||
                       p->type->rank != 2)) {
            return read_fail(r, "panels of blocks are of q8_0 or q4_0, %d wide, with two axes",
                             IR_BLOCK_COLUMNS);
        }
        p->pack_transposed = read_eat(r, "kn");
        if (!p->pack_transposed && !read_expect(r, "nk")) {
            return false;
        }
        if (taps && p->pack_transposed && !whole_taps(p)) {
            return read_fail(r, "such a panel has as many columns as taps, or a multiple of them");
        }
    }
    VEC(const char *) aliases = {0};
    while (read_eat(r, "alias")) {
        const char *alias = read_string(r);
        if (!alias) {
            return false;
        }
        vec_push(ir_ctx_arena(r->ctx), &aliases, alias);
    }
    p->aliases = aliases.at;
    p->n_aliases = aliases.len;
    return !read_eat(r, "init") || (p->init = read_string(r)) != NULL;
}

static uint32_t count_holes(const char *name)
{
    uint32_t n = 0;
    for (; (name = strstr(name, "{}")); name += 2) {
        n++;
    }
    return n;
}

static bool read_param(reader *r, ir_param *p)
{
    *p = (ir_param){.where = read_here(r), .name = read_string(r), .layout = "rows"};
    VEC(int64_t) counts = {0};
    while (p->name && read_eat(r, "[")) {
        int64_t n;
        if (!read_int(r, &n) || !read_expect(r, "]")) {
            return false;
        }
        if (n < 1 || n > INT32_MAX) {
            return read_fail(r, "there are 1 or more of a family");
        }
        vec_push(ir_ctx_arena(r->ctx), &counts, n);
    }
    p->counts = counts.at;
    p->n_indices = counts.len;
    if (!p->name || !read_const_type(r, &p->type) || !read_param_rest(r, p)) {
        return false;
    }
    if (count_holes(p->name) != p->n_indices) {
        return read_fail(r, "\"%s\" has %u places for indices, %u sizes are given", p->name,
                         count_holes(p->name), p->n_indices);
    }
    for (uint32_t i = 0; i < p->n_aliases; i++) {
        if (count_holes(p->aliases[i]) != p->n_indices) {
            return read_fail(r, "alias \"%s\" has other places for indices than its parameter",
                             p->aliases[i]);
        }
    }
    return !ir_module_param(r->m, p->name) || read_fail(r, "two parameters are named %s", p->name);
}

static bool read_state(reader *r, ir_state *s)
{
    *s = (ir_state){.where = read_here(r), .name = read_string(r)};
    return s->name && read_const_type(r, &s->type) &&
           (!ir_module_state(r->m, s->name) || read_fail(r, "two states are named %s", s->name));
}

static bool read_items(reader *r)
{
    arena *a = ir_ctx_arena(r->ctx);
    VEC(ir_param) params = {0};
    VEC(ir_state) states = {0};
    VEC(const char *) externs = {0};
    VEC(ir_entry) entries = {0};
    ir_module *m = r->m;
    for (read_blanks(r); *r->cursor.at; read_blanks(r)) {
        bool ok, entry = read_eat(r, "entry");
        if (entry || read_eat(r, "objective")) {
            ir_entry e;
            if ((ok = read_entry(r, &e, entry ? IR_ENTRY : IR_OBJECTIVE))) {
                vec_push(a, &entries, e);
            }
        } else if (read_eat(r, "param")) {
            ir_param p;
            if ((ok = read_param(r, &p))) {
                vec_push(a, &params, p);
            }
        } else if (read_eat(r, "state")) {
            ir_state s;
            if ((ok = read_state(r, &s))) {
                vec_push(a, &states, s);
            }
        } else if (read_eat(r, "extern")) {
            const char *name = read_string(r);
            if ((ok = name != NULL)) {
                vec_push(a, &externs, name);
            }
        } else {
            ok = read_fail(r, "expected param, state, extern, entry or objective");
        }
        if (!ok) {
            return false;
        }
        m->params = params.at, m->n_params = params.len;
        m->states = states.at, m->n_states = states.len;
        m->externs = externs.at, m->n_externs = externs.len;
        m->entries = entries.at, m->n_entries = entries.len;
    }
    return true;
}

ir_module *ir_read_module(ir_ctx *c, diag *d, const source_file *f)
{
    reader r = {.ctx = c, .d = d, .file = f, .cursor = {.at = f->text}};
    r.m = arena_new(ir_ctx_arena(c), ir_module);
    r.m->ctx = c;
    r.m->sources = diag_sources(d);
    if (strlen(f->text) != f->size) {
        diag_error(d, (span){f->id, 0, 0}, "the file holds a zero byte: it is no text");
        return NULL;
    }
    if (!read_expect(&r, "model") || !(r.m->name = read_string(&r))) {
        return NULL;
    }
    return read_items(&r) ? r.m : NULL;
}
