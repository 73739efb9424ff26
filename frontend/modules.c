/* Modules and functions: instances, parameters, states, calls. */
#include "frontend/elab.h"

#include <string.h>

enum { DEEPEST_CALL = 200 };

static const char *join_path(elab *e, const char *path, const char *name)
{
    bool both = *path && *name; /* name "" leaves a step out */
    return both ? intern_printf(e->names, "%s.%s", path, name) : intern(e->names, *path ? path : name);
}

/* Binds arguments to the parameters of a declaration by place and by name. */
static bool bind_params(call *c, const ast *params, scope *s, const char *what)
{
    elab *e = c->e;
    bool *given = arena_array(e->a, bool, params->n + 1);
    if (c->n_args > params->n) {
        elab_error(e, c->arg_places[params->n], "%s takes %u argument%s, found %u", what, params->n,
                   params->n == 1 ? "" : "s", c->n_args);
        return false;
    }
    for (uint32_t i = 0; i < c->n_args; i++) {
        value v = c->args[i];
        scope_set(e, s, params->kids[i]->text, v);
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
            elab_error(e, c->keyword_places[k], i == params->n ? "%s has no parameter '%s'" : "%s is given '%s' twice",
                       what, c->keywords[k]);
            const char *guess = i == params->n ? diag_nearest(c->keywords[k], names, params->n) : NULL;
            if (guess) {
                diag_help(e->d, "did you mean '%s'?", guess);
            }
            return false;
        }
        scope_set(e, s, c->keywords[k], c->keyword_values[k]);
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
        value v = eval_expr(e, s, p->kids[1]);
        scope_set(e, s, p->text, v);
        if (v.kind == V_POISON) {
            return false;
        }
    }
    return true;
}

/* Members ----------------------------------------------------------------------------------------- */

static const char *source_text(elab *e, const ast *t)
{
    const source_file *f = source_get(diag_sources(e->d), t->where.file);
    return f ? intern_n(e->names, f->text + t->where.begin, t->where.end - t->where.begin) : NULL;
}

static void declare_weight(elab *e, instance *in, scope *s, const ast *t)
{
    ir_dtype dtype;
    uint32_t rank;
    const ir_dim *dims[IR_MAX_RANK];
    const char *step = t->kids[2] ? t->kids[2]->text : t->text;
    if (scope_find(in->members, t->text)) {
        elab_error(e, t->name_where, "'%s' is declared twice", t->text);
        return;
    }
    scope_set(e, in->members, t->text, value_poison());
    if (!eval_type(e, s, t->kids[0], &dtype, &rank, dims, NULL)) {
        return;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (!ir_dim_is_const(dims[i]) || ir_dim_value(dims[i]) < 0) {
            elab_error(e, t->kids[0]->where, "size %s of parameter '%s' must be a number of at least 0",
                       ir_dim_text(e->c, dims[i]), t->text);
            return;
        }
    }
    const ir_type *type = ir_type_get(e->c, dtype, rank, dims);
    const ir_dim *bytes = ir_type_bytes(e->c, type);
    if (!ir_dim_is_const(bytes) || ir_dim_value(bytes) > ((int64_t)1 << 46)) {
        elab_error(e, t->kids[0]->where, "parameter '%s' is too large: %s", t->text, ir_type_text(e->c, type));
        return;
    }
    ir_param p = {.name = join_path(e, in->path, step),
                  .n_indices = in->n_counts,
                  .counts = arena_copy(e->a, in->counts, sizeof in->counts),
                  .type = type,
                  .init = t->kids[1] ? source_text(e, t->kids[1]) : NULL,
                  .storage = ir_storage_of_dtype(dtype),
                  .layout = intern(e->names, "rows"),
                  .where = t->name_where};
    value v = {.kind = V_PARAM, .where = t->where, .name = t->text};
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
        elab_error(e, t->kids[0]->where, "a state of %u axes in %u loops of modules has too many axes", rank, in->n_counts);
        return;
    }
    for (uint32_t i = 0; i < in->n_counts; i++) {
        dims[i] = ir_dim_const(e->c, in->counts[i]);
    }
    for (uint32_t i = 0; i < rank + in->n_counts; i++) {
        if (!ir_dim_is_const(dims[i]) || ir_dim_value(dims[i]) < 0) {
            elab_error(e, t->kids[0]->where, "size %s of a state must be a number: it lives between calls",
                       ir_dim_text(e->c, dims[i]));
            return;
        }
    }
    const ir_type *type = ir_type_get(e->c, dtype, rank + in->n_counts, dims);
    for (uint32_t i = 1; i < t->n; i++) {
        ir_state state = {join_path(e, in->path, t->kids[i]->text), type, t->kids[i]->where};
        value v = {.kind = V_STATE, .where = t->where, .name = t->kids[i]->text};
        v.slot.number = e->states.len;
        vec_push(e->a, &e->states, state);
        scope_set(e, in->members, t->kids[i]->text, v);
    }
}

static void declare_member(elab *e, instance *in, scope *s, const ast *t)
{
    const char *step = t->kids[1] ? t->kids[1]->text : t->text;
    scope *inner = scope_create(e, s);
    inner->self = s->self;
    scope_set(e, inner, intern(e->names, "%path"), value_str(join_path(e, in->path, step)));
    value v = eval_expr(e, inner, t->kids[0]);
    v.name = t->text;
    v.where = v.where.file ? v.where : t->where;
    if (is_tensor(&v)) {
        elab_error(e, t->where, "a member computed from parameters belongs into a function");
        v = value_poison();
    }
    scope_set(e, in->members, t->text, v);
}

static void declare(elab *e, instance *in, scope *s, const ast *t)
{
    value v = {.kind = V_FN, .where = t->where, .name = t->text};
    switch (t->kind) {
    case AST_BLOCK:
        for (uint32_t i = 0; i < t->n; i++) {
            declare(e, in, s, t->kids[i]);
        }
        break;
    case AST_IF: {
        bool yes;
        if (want_bool(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "the condition", &yes) && t->kids[yes ? 1 : 2]) {
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
        v = eval_expr(e, s, t->kids[1]);
        v.name = t->text;
        scope_set(e, in->members, t->text, v);
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
        if (want_bool(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "what is asserted", &ok) && !ok) {
            value m = t->kids[1] ? eval_expr(e, s, t->kids[1]) : value_none();
            elab_error(e, t->kids[0]->where, "%s", m.kind == V_STR ? m.s : "this does not hold");
        }
        break;
    }
    default:
        break; /* entries' companions: generate, train, alias are read with the model */
    }
}

value instantiate(call *c, const ast *decl, scope *file, const char *path, const reference *parent, int64_t count)
{
    elab *e = c->e;
    if (e->depth >= DEEPEST_CALL) {
        elab_error(e, c->where, "modules are nested more than %d deep: does '%s' contain itself?", DEEPEST_CALL, decl->text);
        return value_poison();
    }
    instance *in = arena_new(e->a, instance);
    in->decl = decl;
    in->parent = parent ? parent->inst : NULL;
    if (parent) {
        in->n_counts = parent->inst->n_counts;
        memcpy(in->counts, parent->inst->counts, sizeof in->counts);
    }
    if (count >= 0) {
        if (in->n_counts == IR_MAX_RANK - 1) {
            return elab_error(e, c->where, "lists of modules are nested too deeply");
        }
        in->counts[in->n_counts++] = count;
        path = intern_printf(e->names, "%s.{}", path);
    }
    in->path = path;
    in->members = scope_create(e, NULL);
    reference *ref = arena_new(e->a, reference);
    ref->inst = in;
    scope *s = scope_create(e, file);
    s->self = ref;
    e->depth++;
    vec_push(e->a, &e->calls, c->where);
    scope *bound = scope_create(e, file);
    bool ok = bind_params(c, decl->kids[0], bound, intern_printf(e->names, "module %s", decl->text));
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
    e->depth--;
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

bool elab_lookup(elab *e, scope *s, const char *name, value *out)
{
    for (; s; s = s->outer) {
        value *v = scope_find(s, name);
        if (v) {
            *out = *v;
            return true;
        }
        v = s->self ? scope_find(s->self->inst->members, name) : NULL;
        if (v) {
            *out = attach(e, *v, s->self);
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
        return attach(e, *m, ref);
    }
    const char *near[256];
    uint32_t n = 0;
    for (; n < map_count(ref->inst->members->names) && n < 256; n++) {
        uint64_t key;
        void *item;
        map_at(ref->inst->members->names, n, &key, &item);
        near[n] = (const char *)(uintptr_t)key;
    }
    elab_error(e, where, "module %s has no member '%s'", ref->inst->decl->text, name);
    const char *guess = diag_nearest(name, near, n);
    if (guess) {
        diag_help(e->d, "did you mean '%s'?", guess);
    }
    diag_note(e->d, ref->inst->decl->name_where, "it is declared here");
    return value_poison();
}

/* Function calls ---------------------------------------------------------------------------------- */

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
            elab_error(e, where, "argument '%s' must be a tensor, found %s", p->text, value_text(e, v));
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
        kept.where = v->where.file ? v->where : where;
        *v = kept;
    }
    return true;
}

static bool check_result(elab *e, scope *s, const ast *result, span where, value *v)
{
    if (!result || v->kind == V_POISON) {
        return true;
    }
    uint32_t n = result->kind == AST_TUPLE ? result->n : 1;
    value *items = v;
    if (n > 1) {
        if ((v->kind != V_TUPLE && v->kind != V_LIST) || v->list.n != n) {
            elab_error(e, where, "%u values must be returned, found %s", n, value_text(e, v));
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

static value call_function(elab *e, span where, const value *f, call *c)
{
    const ast *decl = f->code.decl;
    const char *name = decl->text ? decl->text : f->code.self ? f->code.self->inst->decl->text : "this";
    if (e->depth >= DEEPEST_CALL) {
        return elab_error(e, where, "calls are nested more than %d deep: does '%s' call itself?", DEEPEST_CALL, name);
    }
    scope *s = scope_create(e, f->code.scope);
    s->self = f->code.self;
    value saved = e->returned;
    bool had = e->has_returned;
    const char *path = e->path;
    e->depth++;
    vec_push(e->a, &e->calls, where);
    value result = value_poison();
    if (bind_params(c, decl->kids[0], s, intern_printf(e->names, "'%s'", name)) && check_args(e, s, c, decl->kids[0])) {
        e->has_returned = false;
        e->returned = value_none();
        e->path = f->code.self ? f->code.self->inst->path : e->path;
        uint32_t errors = diag_error_count(e->d);
        run_block(e, s, decl->kids[3]);
        result = e->returned;
        if (diag_error_count(e->d) == errors && !check_result(e, s, decl->kids[1], where, &result)) {
            result = value_poison();
        } else if (diag_error_count(e->d) != errors && !e->has_returned) {
            result = value_poison();
        }
    }
    e->calls.len--;
    e->depth--;
    e->path = path;
    e->returned = saved;
    e->has_returned = had;
    return result;
}

static value call_extern(elab *e, span where, const value *f, call *c)
{
    const ast *decl = f->code.decl;
    scope *s = scope_create(e, f->code.scope);
    if (!bind_params(c, decl->kids[0], s, decl->text) || !check_args(e, s, c, decl->kids[0])) {
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
    const ir_node *node = ir_graph_add(e->level->graph, IR_OP_extern, in.len, in.at, n, types, 2, a, 0, NULL,
                                       (ir_loc){where, e->path});
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
        return f->run(c, args);
    }
    if (c->n_args > n) {
        return elab_error(e, c->arg_places[n], "%s takes at most %u arguments: %s(%s)", f->name, n, f->name, f->signature);
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
            elab_error(e, c->keyword_places[k], i == n ? "%s has no argument '%s': %s(%s)" : "%s is given '%s' twice: %s(%s)",
                       f->name, c->keywords[k], f->name, f->signature);
            const char *guess = i == n ? diag_nearest(c->keywords[k], names, n) : NULL;
            if (guess) {
                diag_help(e->d, "did you mean '%s'?", guess);
            }
            return value_poison();
        }
        args[i] = c->keyword_values[k];
        given[i] = true;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!given[i] && !optional[i]) {
            return elab_error(e, c->where, "%s needs '%s': %s(%s)", f->name, names[i], f->name, f->signature);
        }
    }
    return f->run(c, args);
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
        if (!method) {
            elab_error(e, where, "module %s cannot be called: it has no 'fn (...)'", f.module.ref->inst->decl->text);
            diag_note(e->d, f.module.ref->inst->decl->name_where, "it is declared here");
            return value_poison();
        }
        value bound = attach(e, *method, f.module.ref);
        return call_function(e, where, &bound, c);
    }
    default:
        return f.kind == V_POISON ? f : elab_error(e, where, "%s cannot be called", value_text(e, &f));
    }
}
