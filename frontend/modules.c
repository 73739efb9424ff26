/* Modules and functions: instances, parameters, states, calls. */
#include "frontend/elab.h"

#include <string.h>

enum { DEEPEST_CALL = 200 };

static const char *join_path(elab *e, const char *path, const char *name)
{
    bool both = *path && *name; /* name "" leaves a step out */
    return both ? intern_printf(e->names, "%s.%s", path, name)
                : intern(e->names, *path ? path : name);
}

/* The step of a path that a declaration is: its name, or after `name` another, where "{n}" is the
 * static value n. */
static const char *path_step(elab *e, scope *s, const ast *t, const ast *rename)
{
    if (!rename || !strchr(rename->text, '{')) {
        return rename ? rename->text : t->text;
    }
    const char *out = "";
    for (const char *p = rename->text; *p;) {
        size_t plain = strcspn(p, "{"), inside = p[plain] ? strcspn(p + plain + 1, "}") : 0;
        out = intern_printf(e->names, "%s%.*s", out, (int)plain, p);
        if (!p[plain]) {
            break;
        }
        const char *name = intern_n(e->names, p + plain + 1, inside);
        value v;
        bool known = elab_lookup(e, s, name, &v);
        if (known && v.kind == V_POISON) {
            return rename->text;
        }
        if (!known || (v.kind != V_INT && v.kind != V_STR)) {
            elab_error(e, rename->where,
                       known ? "'{%s}' in a name must be a whole number or a string"
                             : "nothing is named '%s'",
                       name);
            return rename->text;
        }
        out = v.kind == V_INT ? intern_printf(e->names, "%s%lld", out, (long long)v.i)
                              : intern_printf(e->names, "%s%s", out, v.s);
        p += plain + 1 + inside + (p[plain + 1 + inside] != 0);
    }
    return out;
}

/* A value that came from nowhere in particular comes from here. */
static value placed(value v, span where)
{
    v.where = v.where.file ? v.where : where;
    return v;
}

/* Binds arguments to the parameters of a declaration by place and by name. */
static bool bind_params(call *c, const ast *params, scope *s, const char *what)
{
    elab *e = c->e;
    bool *given = arena_array(e->a, bool, params->n + 1);
    if (c->n_args > params->n) {
        bool optional = false;
        for (uint32_t i = 0; i < params->n; i++) {
            optional |= params->kids[i]->kids[1] != NULL;
        }
        elab_error(e, c->arg_places[params->n], "%s takes %s%u argument%s, found %u", what,
                   optional ? "at most " : "", params->n, params->n == 1 ? "" : "s", c->n_args);
        if (params->n) {
            diag_note(e->d, span_join(params->kids[0]->where, params->kids[params->n - 1]->where),
                      "they are declared here");
        }
        return false;
    }
    for (uint32_t i = 0; i < c->n_args; i++) {
        scope_set(e, s, params->kids[i]->text, placed(c->args[i], c->arg_places[i]));
        given[i] = true;
    }
    for (uint32_t k = 0; k < c->n_keywords; k++) {
        uint32_t i = 0;
        while (i < params->n && params->kids[i]->text != c->keywords[k]) {
            i++;
        }
        if (i == params->n || given[i]) {
            const char **names = arena_array(e->a, const char *, params->n);
            for (uint32_t j = 0; j < params->n; j++) {
                names[j] = params->kids[j]->text;
            }
            elab_error(e, c->keyword_places[k],
                       i == params->n ? "%s has no parameter '%s'" : "%s is given '%s' twice", what,
                       c->keywords[k]);
            elab_did_you_mean(e, i == params->n ? diag_nearest(c->keywords[k], names, params->n)
                                                : NULL);
            return false;
        }
        scope_set(e, s, c->keywords[k], placed(c->keyword_values[k], c->keyword_places[k]));
        given[i] = true;
    }
    for (uint32_t i = 0; i < params->n; i++) {
        if (given[i]) {
            continue;
        }
        const ast *p = params->kids[i];
        if (!p->kids[1]) {
            elab_error(e, c->where, "%s needs '%s'", what, p->text);
            diag_note(e->d, p->where, "it is declared here");
            return false;
        }
        value v = placed(eval_expr(e, s, p->kids[1]), p->where);
        scope_set(e, s, p->text, v);
        if (v.kind == V_POISON) {
            return false;
        }
    }
    return true;
}

/* Members -----------------------------------------------------------------------------------------
 */

/* Where the module of a library was made that declares something at `where`; nowhere for other
 * modules. */
static span place_made(elab *e, span where)
{
    span at = where;
    for (uint32_t i = e->calls.len; i-- > 0;) {
        const source_file *f = source_get(diag_sources(e->d), at.file);
        if (!f || strncmp(f->path, "<std>/", 6) != 0) {
            break;
        }
        at = e->calls.at[i].where;
    }
    return at.file == where.file ? (span){0} : at;
}

static void declare_weight(elab *e, instance *in, scope *s, const ast *t)
{
    ir_dtype dtype;
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK];
    const char *step = path_step(e, s, t, t->kids[2]);
    scope_set(e, in->members, t->text, value_poison());
    if (!eval_type(e, s, t->kids[0], &dtype, &rank, dims, NULL)) {
        return;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (!ir_dim_is_const(dims[i]) || ir_dim_value(dims[i]) < 0) {
            elab_error(e, t->kids[0]->where,
                       "size %s of parameter '%s' must be a number of at least 0",
                       ir_dim_text(e->c, dims[i]), t->text);
            elab_note_names(e, s, t->kids[0]);
            return;
        }
    }
    const ir_type *type = ir_type_get(e->c, dtype, rank, dims);
    const ir_dim *bytes = ir_type_bytes(e->c, type);
    if (!ir_dim_is_const(bytes) || ir_dim_value(bytes) > ((int64_t)1 << 46)) {
        elab_error(e, t->kids[0]->where, "parameter '%s' is too large: %s", t->text,
                   ir_type_text(e->c, type));
        elab_note_names(e, s, t->kids[0]);
        return;
    }
    ir_param p = {.name = join_path(e, in->path, step),
                  .n_indices = in->n_counts,
                  .counts = arena_copy(e->a, in->counts, sizeof in->counts),
                  .type = type,
                  .init = t->kids[1] ? source_text(e, t->kids[1]) : NULL,
                  .storage = ir_storage_of_dtype(dtype),
                  .layout = intern(e->names, "rows"),
                  .where = t->name_where,
                  .made = place_made(e, t->name_where),
                  .list = in->list};
    value v = {
        .kind = V_PARAM, .where = t->where, .name = t->text, .type = t->kids[0], .type_scope = s};
    v.slot.number = e->params.len;
    vec_push(e->a, &e->params, p);
    scope_set(e, in->members, t->text, v);
}

static void declare_states(elab *e, instance *in, scope *s, const ast *t)
{
    ir_dtype dtype;
    uint32_t rank;
    const ir_dim *dims[2 * IR_MAX_RANK];
    for (uint32_t i = 1; i < t->n; i++) {
        scope_set(e, in->members, t->kids[i]->text, value_poison());
    }
    if (!eval_type(e, s, t->kids[0], &dtype, &rank, dims + in->n_counts, NULL)) {
        return;
    }
    if (rank + in->n_counts > IR_MAX_RANK) {
        elab_error(e, t->kids[0]->where,
                   "a state of %u axes in %u loops of modules has too many axes", rank,
                   in->n_counts);
        return;
    }
    for (uint32_t i = 0; i < in->n_counts; i++) {
        dims[i] = ir_dim_const(e->c, in->counts[i]);
    }
    for (uint32_t i = 0; i < rank + in->n_counts; i++) {
        if (!ir_dim_is_const(dims[i]) || ir_dim_value(dims[i]) < 0) {
            elab_error(e, t->kids[0]->where,
                       "size %s of a state must be a number: it lives between calls",
                       ir_dim_text(e->c, dims[i]));
            return;
        }
    }
    const ir_type *type = ir_type_get(e->c, dtype, rank + in->n_counts, dims);
    for (uint32_t i = 1; i < t->n; i++) {
        ir_state state = {join_path(e, in->path, t->kids[i]->text), type, t->kids[i]->where};
        value v = {.kind = V_STATE,
                   .where = t->where,
                   .name = t->kids[i]->text,
                   .type = t->kids[0],
                   .type_scope = s};
        v.slot.number = e->states.len;
        vec_push(e->a, &e->states, state);
        scope_set(e, in->members, t->kids[i]->text, is_twice(e, t->kids[i]) ? value_poison() : v);
    }
}

/* The value outside of every entry: what is a tensor is of a graph that is thrown away. */
static value eval_alone(elab *e, scope *s, const ast *t, bool *reads_params)
{
    ir_graph *g = ir_graph_create(e->c, "alone");
    level *around = e->level;
    ir_graph *conditions = e->conditions;
    e->level = NULL;
    e->conditions = NULL;
    (void)level_open(e, g);
    value v = eval_expr(e, s, t);
    *reads_params = v.kind == V_PARAM || v.kind == V_STATE;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        ir_op op = ir_graph_node(g, i)->op;
        *reads_params |= op == IR_OP_param || op == IR_OP_state;
    }
    e->level = around;
    e->conditions = conditions;
    return v;
}

static void declare_member(elab *e, instance *in, scope *s, const ast *t)
{
    const char *step = path_step(e, s, t, t->kids[1]);
    scope *inner = scope_create(e, s);
    inner->self = s->self;
    scope_set(e, inner, intern(e->names, "%path"), value_str(join_path(e, in->path, step)));
    bool reads_params;
    value v = eval_alone(e, inner, t->kids[0], &reads_params);
    v.name = t->text;
    v.where = v.where.file ? v.where : t->where;
    if (is_tensor(&v)) {
        if (reads_params) {
            elab_error(e, t->where, "a member computed from parameters belongs into a function");
            diag_help(e->d, "write 'fn %s() = %s', and %s() where it is used", t->text,
                      source_text(e, t->kids[0]), t->text);
        } else {
            elab_error(e, t->where, "a tensor that is a member is declared 'const'");
            diag_help(e->d, "write 'const %s'", source_text(e, t));
        }
        v = value_poison();
    }
    scope_set(e, in->members, t->text, v);
}

value eval_const(elab *e, scope *s, const ast *t)
{
    bool reads_params;
    value v = eval_alone(e, s, t->kids[1], &reads_params);
    if (is_tensor(&v) && reads_params) {
        elab_error(e, t->where, "a constant cannot depend on parameters");
        diag_help(e->d, "compute it in a function: 'fn %s() = %s'", t->text,
                  source_text(e, t->kids[1]));
        return value_poison();
    }
    if (is_tensor(&v)) {
        v = (value){.kind = V_CONST};
        v.code.decl = t->kids[1];
        v.code.scope = s;
    }
    v.name = t->text;
    v.where = v.where.file ? v.where : t->where;
    return v;
}

static void declare(elab *e, instance *in, scope *s, const ast *t)
{
    value v = {.kind = V_FN, .where = t->where, .name = t->text};
    bool named = t->kind == AST_WEIGHT || t->kind == AST_MEMBER || t->kind == AST_CONST ||
                 t->kind == AST_FN || t->kind == AST_ENTRY || t->kind == AST_OBJECTIVE;
    if (named && is_twice(e, t)) {
        scope_set(e, in->members, t->text ? t->text : intern(e->names, "%call"), value_poison());
        return;
    }
    switch (t->kind) {
    case AST_BLOCK:
        for (uint32_t i = 0; i < t->n; i++) {
            declare(e, in, s, t->kids[i]);
        }
        break;
    case AST_IF: {
        bool yes;
        if (want_bool(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "the condition", &yes) &&
            t->kids[yes ? 1 : 2]) {
            declare(e, in, s, t->kids[yes ? 1 : 2]);
        }
        break;
    }
    case AST_WEIGHT:
        declare_weight(e, in, s, t);
        break;
    case AST_STATE:
        declare_states(e, in, s, t);
        break;
    case AST_MEMBER:
        declare_member(e, in, s, t);
        break;
    case AST_CONST:
        scope_set(e, in->members, t->text, eval_const(e, s, t));
        break;
    case AST_FN:
    case AST_ENTRY:
    case AST_OBJECTIVE:
        v.code.decl = t;
        v.code.scope = s->outer;
        scope_set(e, in->members, t->text ? t->text : intern(e->names, "%call"), v);
        break;
    case AST_ASSERT: {
        bool ok;
        if (want_bool(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "what is asserted", &ok) &&
            !ok) {
            value m = t->kids[1] ? eval_expr(e, s, t->kids[1]) : value_none();
            elab_error(e, t->kids[0]->where, "%s", m.kind == V_STR ? m.s : "this does not hold");
            elab_note_names(e, s, t->kids[0]);
        }
        break;
    }
    default:
        break; /* entries' companions: generate, train, alias are read with the model */
    }
}

static void enter(elab *e, span where, const ast *decl, const char *name)
{
    e->calls.at = vec_grow(e->a, e->calls.at, e->calls.len, &e->calls.cap, sizeof *e->calls.at);
    e->calls.at[e->calls.len].where = where;
    e->calls.at[e->calls.len].decl = decl;
    e->calls.at[e->calls.len++].name = name;
}

/* The first of the calls under way that comes back to a declaration already being run; 0: none
 * does. */
static uint32_t first_repeated(const elab *e)
{
    for (uint32_t i = 1; i < e->calls.len; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (e->calls.at[k].decl == e->calls.at[i].decl) {
                return i;
            }
        }
    }
    return 0;
}

/* Calls are too deep: tells it once, at the call that first came back. */
static value too_deep(elab *e, span where)
{
    uint32_t depth = e->calls.len, first = first_repeated(e);
    if (e->damaged) { /* what ends it may be among what was lost */
        e->stopped = true;
        return value_poison();
    }
    if (first) {
        const ast *decl = e->calls.at[first].decl;
        bool module = decl->kind == AST_MODULE || decl->kind == AST_MODEL;
        e->calls.len = first;
        elab_error(e, e->calls.at[first].where,
                   module ? "module '%s' contains itself without an end (%d deep)"
                          : "'%s' calls itself without an end (%d deep)",
                   e->calls.at[first].name, DEEPEST_CALL);
        diag_note(e->d, decl->text ? decl->name_where : decl->where, "it is declared here");
        e->calls.len = depth;
    } else {
        elab_error(e, where, "calls are nested more than %d deep", DEEPEST_CALL);
    }
    e->stopped = true;
    return value_poison();
}

value instantiate(call *c, const ast *decl, scope *file, const char *path, const reference *parent,
                  int64_t count)
{
    elab *e = c->e;
    if (e->calls.len >= DEEPEST_CALL) {
        return too_deep(e, c->where);
    }
    instance *in = arena_new(e->a, instance);
    in->decl = decl;
    in->parent = parent ? parent->inst : NULL;
    if (parent) {
        in->n_counts = parent->inst->n_counts;
        in->list = parent->inst->list;
        memcpy(in->counts, parent->inst->counts, sizeof in->counts);
    }
    if (count >= 0) {
        if (in->n_counts == IR_MAX_RANK - 1) {
            return elab_error(e, c->where, "lists of modules are nested too deeply");
        }
        in->counts[in->n_counts++] = count;
        in->list = c->where;
        path = intern_printf(e->names, "%s.{}", path);
    }
    in->path = path;
    in->members = scope_create(e, NULL);
    reference *ref = arena_new(e->a, reference);
    ref->inst = in;
    scope *s = scope_create(e, file);
    s->self = ref;
    enter(e, parent ? c->where : (span){0}, decl, decl->text);
    scope *bound = scope_create(e, file);
    bool ok =
        bind_params(c, decl->kids[0], bound, intern_printf(e->names, "module %s", decl->text));
    for (uint32_t i = 0; i < map_count(bound->names); i++) {
        uint64_t key;
        void *item;
        map_at(bound->names, i, &key, &item);
        scope_set(e, in->members, (const char *)(uintptr_t)key, *(value *)item);
    }
    for (uint32_t i = 0; ok && i < decl->kids[1]->n; i++) {
        declare(e, in, s, decl->kids[1]->kids[i]);
    }
    e->calls.len--;
    if (!ok) {
        return value_poison();
    }
    value v = {.kind = count >= 0 ? V_MODULES : V_MODULE, .where = c->where};
    v.module.ref = ref;
    v.module.count = count;
    return v;
}

/* A member with the indices of the reference it is reached through. */
static value attach(elab *e, value v, const reference *self)
{
    if (v.kind == V_PARAM || v.kind == V_STATE) {
        v.slot.ref = self;
    } else if (v.kind == V_MODULE || v.kind == V_MODULES) {
        reference *ref = arena_copy(e->a, self, sizeof *ref);
        ref->inst = v.module.ref->inst;
        v.module.ref = ref;
    } else if (v.kind == V_FN && v.code.decl->kind != AST_FN) {
        v.code.self = self;
    } else if (v.kind == V_FN) {
        v.code.self = self;
    } else if (v.kind == V_LIST) {
        value *items = arena_copy(e->a, v.list.at, v.list.n * sizeof *items);
        for (uint32_t i = 0; i < v.list.n; i++) {
            items[i] = attach(e, items[i], self);
        }
        v.list.at = items;
    }
    return v;
}

/* A constant tensor in the graph that is being made; kept as it is where there is none. */
static value in_graph(elab *e, value v)
{
    if (v.kind != V_CONST || !e->level) {
        return v;
    }
    value now = eval_expr(e, v.code.scope, v.code.decl);
    now.name = v.name;
    now.where = v.where;
    return now;
}

bool elab_lookup(elab *e, scope *s, const char *name, value *out)
{
    for (; s; s = s->outer) {
        value *v = scope_find(s, name);
        if (v) {
            *out = in_graph(e, *v);
            return true;
        }
        v = s->self ? scope_find(s->self->inst->members, name) : NULL;
        if (v) {
            *out = in_graph(e, attach(e, *v, s->self));
            return true;
        }
    }
    value *v = scope_find(e->builtins, name);
    if (v) {
        *out = *v;
    }
    return v != NULL;
}

value member_of(elab *e, span where, const value *v, const char *name)
{
    const reference *ref = v->module.ref;
    value *m = scope_find(ref->inst->members, name);
    if (m) {
        return in_graph(e, attach(e, *m, ref));
    }
    if (e->damaged) {
        return value_poison();
    }
    elab_error(e, where, "module %s has no member '%s'", ref->inst->decl->text, name);
    diag_note(e->d, ref->inst->decl->name_where, "it is declared here");
    elab_did_you_mean(e, elab_nearest_in(ref->inst->members, name));
    return value_poison();
}

/* Function calls ----------------------------------------------------------------------------------
 */

/* Arguments against declared types: binds the sizes they name, tells of those that differ. */
static bool check_args(elab *e, scope *s, call *c, const ast *params)
{
    for (uint32_t i = 0; i < params->n; i++) {
        const ast *p = params->kids[i];
        value *v = scope_find(s, p->text);
        span where = i < c->n_args ? c->arg_places[i] : c->where;
        if (!p->kids[0] || !v) {
            continue;
        }
        if (p->kids[0]->kind == AST_NAME && strcmp(p->kids[0]->text, "dim") == 0) {
            const ir_dim *d;
            if (!want_dim(e, where, *v, p->text, &d)) {
                return false;
            }
            continue;
        }
        const ir_node *n = NULL;
        if (is_tensor(v)) {
            n = want_tensor(e, where, *v, p->text);
        } else if (v->kind == V_INT || v->kind == V_FLOAT || v->kind == V_DIM) {
            ir_dtype t = IR_f32;
            const ast *k = p->kids[0]->kind == AST_INDEX ? p->kids[0]->kids[0] : p->kids[0];
            if (k->kind != AST_NAME || !ir_dtype_from_name(k->text, &t)) {
                continue; /* a static parameter with a type of its own words */
            }
            n = want_operand(e, where, *v, ir_type_scalar(e->c, t));
        } else {
            elab_error(e, where, "argument '%s' must be a tensor, found %s", p->text,
                       value_text(e, v));
            diag_note(e->d, p->where, "it is declared here");
            return false;
        }
        if (!n || !bind_type(e, s, p->kids[0], where, p->text, ir_node_type(n))) {
            if (n) {
                diag_note(e->d, p->where, "'%s' is declared here", p->text);
            }
            return false;
        }
        value kept = value_tensor(e, n);
        kept.name = p->text;
        kept.where = p->where;
        kept.type = p->kids[0];
        kept.type_scope = s;
        *v = kept;
    }
    return true;
}

bool check_result(elab *e, scope *s, const ast *result, span where, value *v)
{
    if (!result || v->kind == V_POISON) {
        return true;
    }
    uint32_t n = result->kind == AST_TUPLE ? result->n : 1;
    value *items = v;
    if (n > 1) {
        if ((v->kind != V_TUPLE && v->kind != V_LIST) || v->list.n != n) {
            elab_error(e, where, "%u values must be returned, found %s", n, value_text(e, v));
            diag_note(e->d, result->where, "the result is declared here");
            return false;
        }
        items = v->list.at;
    }
    for (uint32_t i = 0; i < n; i++) {
        const ast *t = result->kind == AST_TUPLE ? result->kids[i] : result;
        t = t->kind == AST_PARAM ? t->kids[0] : t;
        if (items[i].kind == V_POISON) {
            continue;
        }
        ir_dtype dtype = IR_f32;
        const ast *base = t->kind == AST_INDEX ? t->kids[0] : t;
        (void)(base->kind == AST_NAME && ir_dtype_from_name(base->text, &dtype));
        const ir_node *node = want_operand(e, where, items[i], ir_type_scalar(e->c, dtype));
        if (!node || !bind_type(e, s, t, where, "the result", ir_node_type(node))) {
            if (node) {
                diag_note(e->d, t->where, "the result is declared here");
            }
            return false;
        }
        span declared = items[i].where;
        items[i] = value_tensor(e, node);
        items[i].where = declared;
    }
    return true;
}

/* A result belongs to the caller: it is no longer the local name it had. */
static value anonymous(value v)
{
    if (v.kind == V_TUPLE || v.kind == V_LIST) {
        for (uint32_t i = 0; i < v.list.n; i++) {
            v.list.at[i] = anonymous(v.list.at[i]);
        }
    }
    if (v.kind == V_TENSOR || v.kind == V_DIM || (is_static(&v) && v.kind != V_NONE)) {
        v.where = (span){0};
        v.name = NULL;
        v.type = NULL;
    }
    return v;
}

static value call_function(elab *e, span where, const value *f, call *c)
{
    const ast *decl = f->code.decl;
    const char *name = decl->text     ? decl->text
                       : f->code.self ? f->code.self->inst->decl->text
                                      : "this";
    if (e->calls.len >= DEEPEST_CALL) {
        return too_deep(e, where);
    }
    if (is_broken(e, decl)) {
        return value_poison();
    }
    scope *s = scope_create(e, f->code.scope);
    s->self = f->code.self;
    value saved = e->returned;
    bool had = e->has_returned;
    span return_where = e->return_where;
    const char *path = e->path;
    enter(e, where, decl, name);
    value result = value_poison();
    if (bind_params(c, decl->kids[0], s, intern_printf(e->names, "'%s'", name)) &&
        check_args(e, s, c, decl->kids[0])) {
        e->has_returned = false;
        e->returned = value_none();
        e->path = f->code.self ? f->code.self->inst->path : e->path;
        uint32_t errors = diag_error_count(e->d);
        run_block(e, s, decl->kids[3]);
        result = e->returned;
        bool clean = diag_error_count(e->d) == errors && !e->stopped;
        if (!e->has_returned) { /* with a name, for who uses the value nonetheless */
            result = clean ? (value){.kind = V_NONE,
                                     .name = name,
                                     .where = decl->text ? decl->name_where : decl->where}
                           : value_poison();
        } else if (clean && !check_result(e, s, decl->kids[1], e->return_where, &result)) {
            result = value_poison();
        }
    }
    e->calls.len--;
    e->path = path;
    e->returned = saved;
    e->has_returned = had;
    e->return_where = return_where;
    return anonymous(result);
}

static value call_extern(elab *e, span where, const value *f, call *c)
{
    const ast *decl = f->code.decl;
    scope *s = scope_create(e, f->code.scope);
    if (!bind_params(c, decl->kids[0], s, intern_printf(e->names, "'%s'", decl->text)) ||
        !check_args(e, s, c, decl->kids[0])) {
        return value_poison();
    }
    VEC(const ir_node *) in = {0};
    for (uint32_t i = 0; i < decl->kids[0]->n; i++) {
        value *v = scope_find(s, decl->kids[0]->kids[i]->text);
        const ir_node *n = v && is_tensor(v) ? want_tensor(e, where, *v, "an argument") : NULL;
        if (!n) {
            return elab_error(e, where, "arguments of extern functions are tensors");
        }
        vec_push(e->a, &in, n);
    }
    const ast *result = decl->kids[1];
    uint32_t n = result->kind == AST_TUPLE ? result->n : 1;
    const ir_type *types[16];
    const char *texts[16];
    if (n > 16) {
        return elab_error(e, where, "an extern function returns at most 16 tensors");
    }
    for (uint32_t i = 0; i < n; i++) {
        const ast *t = result->kind == AST_TUPLE ? result->kids[i] : result;
        t = t->kind == AST_PARAM ? t->kids[0] : t;
        ir_dtype dtype;
        uint32_t rank;
        const ir_dim *dims[IR_MAX_RANK];
        if (!eval_type(e, s, t, &dtype, &rank, dims, NULL)) {
            return value_poison();
        }
        types[i] = ir_type_get(e->c, dtype, rank, dims);
        texts[i] = ir_type_text(e->c, types[i]);
    }
    const char *target = decl->kids[2]->text;
    bool known = false;
    for (uint32_t i = 0; i < e->externs.len; i++) {
        known |= e->externs.at[i] == target;
    }
    if (!known) {
        vec_push(e->a, &e->externs, target);
    }
    ir_attr a[2] = {ir_attr_s(IR_ATTR_target, target), ir_attr_ss(IR_ATTR_types, n, texts)};
    const ir_node *node = ir_graph_add(e->level->graph, IR_OP_extern, in.len, in.at, n, types, 2, a,
                                       0, NULL, (ir_loc){where, e->path});
    if (n == 1) {
        return value_tensor(e, node);
    }
    ir_builder b = elab_builder(e, where);
    value items[16];
    for (uint32_t i = 0; i < n; i++) {
        items[i] = value_tensor(e, ir_get(&b, node, i));
    }
    return value_list(e, V_TUPLE, n, items);
}

/* What goes wrong inside is told with the names in the call. */
static value run_builtin(const builtin *f, call *c, value *args)
{
    uint32_t errors = diag_error_count(c->e->d);
    value v = f->run(c, args);
    if (v.kind == V_POISON && diag_error_count(c->e->d) == errors + 1) {
        elab_note_now(c->e);
    }
    return v;
}

/* The argument as it is called here: other libraries' names, then the nearest one; or NULL. */
static const char *nearest_argument(const char *name, const char *const *names, uint32_t n)
{
    static const char *const others[][2] = {
        {"dim",      "axis"      },
        {"dims",     "axis"      },
        {"keepdim",  "keep"      },
        {"keepdims", "keep"      },
        {"unbiased", "correction"},
        {"ddof",     "correction"},
        {"size",     "shape"     },
        {"mask",     "condition" },
        {"largest",  "descending"}
    };
    for (uint32_t i = 0; i < sizeof others / sizeof *others; i++) {
        for (uint32_t k = 0; k < n && strcmp(others[i][0], name) == 0; k++) {
            if (strcmp(others[i][1], names[k]) == 0) {
                return names[k];
            }
        }
    }
    return diag_nearest(name, names, n);
}

/* "x, axis = none, keep = false": which argument goes where. */
static value call_builtin(const builtin *f, call *c)
{
    enum { MOST = 16 };
    elab *e = c->e;
    value args[MOST];
    const char *names[MOST];
    bool given[MOST] = {false}, optional[MOST] = {false}, rest = false;
    uint32_t n = 0;
    for (const char *p = f->signature; *p;) {
        size_t length = strcspn(p, ",");
        size_t name = strcspn(p, " =,");
        rest |= p[0] == '*';
        names[n] = intern_n(e->names, p, name);
        optional[n] = memchr(p, '=', length) != NULL;
        args[n++] = value_none();
        p += length;
        p += strspn(p, ", ");
    }
    c->name = f->name;
    if (rest) {
        return run_builtin(f, c, args);
    }
    if (c->n_args > n) {
        return elab_error(e, c->arg_places[n], "%s takes at most %u arguments: %s(%s)", f->name, n,
                          f->name, f->signature);
    }
    for (uint32_t i = 0; i < c->n_args; i++) {
        args[i] = c->args[i];
        given[i] = true;
    }
    for (uint32_t k = 0; k < c->n_keywords; k++) {
        uint32_t i = 0;
        while (i < n && names[i] != c->keywords[k]) {
            i++;
        }
        if (i == n || given[i]) {
            elab_error(e, c->keyword_places[k],
                       i == n ? "%s has no argument '%s': %s(%s)"
                              : "%s is given '%s' twice: %s(%s)",
                       f->name, c->keywords[k], f->name, f->signature);
            elab_did_you_mean(e, i == n ? nearest_argument(c->keywords[k], names, n) : NULL);
            return value_poison();
        }
        args[i] = c->keyword_values[k];
        given[i] = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!given[i] && !optional[i]) {
            return elab_error(e, c->where, "%s needs '%s': %s(%s)", f->name, names[i], f->name,
                              f->signature);
        }
    }
    return run_builtin(f, c, args);
}

/* The functions that a module without an unnamed one has. */
static void help_with_functions(elab *e, const ast *members)
{
    const char *all = "";
    for (uint32_t i = 0; i < members->n; i++) {
        if (members->kids[i]->kind == AST_FN) {
            all = intern_printf(e->names, "%s%s.%s(...)", all, *all ? ", " : "",
                                members->kids[i]->text);
        }
    }
    if (*all) {
        diag_help(e->d, "it has %s", all);
    }
}

value call_value(elab *e, span where, value f, call *c)
{
    switch (f.kind) {
    case V_FN:
        return call_function(e, where, &f, c);
    case V_BUILTIN:
        return call_builtin(f.builtin, c);
    case V_OP:
        return call_op(c, f.code.decl, f.code.scope);
    case V_EXTERN:
        return call_extern(e, where, &f, c);
    case V_MODULE: {
        value *method = scope_find(f.module.ref->inst->members, intern(e->names, "%call"));
        if (!method && e->damaged) {
            return value_poison();
        }
        if (!method) {
            elab_error(e, where, "module %s cannot be called: it has no 'fn (...)'",
                       f.module.ref->inst->decl->text);
            diag_note(e->d, f.module.ref->inst->decl->name_where, "it is declared here");
            help_with_functions(e, f.module.ref->inst->decl->kids[1]);
            return value_poison();
        }
        value bound = attach(e, *method, f.module.ref);
        return call_function(e, where, &bound, c);
    }
    default:
        if (f.kind != V_POISON) {
            elab_error(e, where, "%s cannot be called", value_text(e, &f));
            elab_note_now(e);
        }
        return value_poison();
    }
}
