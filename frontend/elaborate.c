/* A file's models: hyper-parameters, entries, generate, train. */
#include "frontend/elab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Hyper-parameters --------------------------------------------------------------------------------
 */

static bool parse_define(elab *e, const char *text, value *out)
{
    char *end;
    errno = 0;
    long long i = strtoll(text, &end, 0);
    if (*text && !*end && errno == 0) {
        *out = value_int(i);
        return true;
    }
    double f = strtod(text, &end);
    if (*text && !*end) {
        *out = value_float(f);
        return true;
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *out = value_bool(*text == 't');
        return true;
    }
    *out = strcmp(text, "none") == 0 ? value_none() : value_str(intern(e->names, text));
    return true;
}

/* The arguments of the model: what -D says. The rest are defaults. */
static bool defined_arguments(elab *e, const ast *model, call *c)
{
    const ast *params = model->kids[0];
    uint32_t n = e->o ? e->o->n_defines : 0;
    const char **names = arena_array(e->a, const char *, params->n + 1);
    value *values = arena_array(e->a, value, n);
    span *places = arena_array(e->a, span, n);
    const char **keywords = arena_array(e->a, const char *, n);
    for (uint32_t i = 0; i < params->n; i++) {
        names[i] = params->kids[i]->text;
    }
    for (uint32_t k = 0; k < n; k++) {
        const frontend_define *d = &e->o->defines[k];
        const char *name = intern(e->names, d->name);
        uint32_t i = 0;
        while (i < params->n && names[i] != name) {
            i++;
        }
        if (i == params->n) {
            diag_error(e->d, (span){0}, "-D %s: model %s has no hyper-parameter '%s'", d->name,
                       model->text, d->name);
            elab_did_you_mean(e, diag_nearest(d->name, names, params->n));
            return false;
        }
        uint32_t at = 0;
        while (at < c->n_keywords && keywords[at] != name) {
            at++;
        }
        keywords[at] = name;
        places[at] = params->kids[i]->where;
        (void)parse_define(e, d->value, &values[at]);
        c->n_keywords += at == c->n_keywords;
    }
    c->keywords = keywords;
    c->keyword_values = values;
    c->keyword_places = places;
    return true;
}

/* Entries -----------------------------------------------------------------------------------------
 */

typedef struct sizes {
    const char *names[64];
    int64_t lo[64], hi[64];
    bool is_argument[64];
    uint32_t n;
} sizes;

static void add_size(sizes *z, const char *name, bool is_argument)
{
    for (uint32_t i = 0; i < z->n; i++) {
        if (z->names[i] == name) {
            return;
        }
    }
    if (z->n < 64) {
        z->names[z->n] = name;
        z->lo[z->n] = is_argument ? 0 : 1;
        z->hi[z->n] = INT64_MAX;
        z->is_argument[z->n++] = is_argument;
    }
}

/* Names in the sizes of a type that nothing around defines are sizes of the entry. */
static void find_sizes(elab *e, scope *s, const ast *t, sizes *z)
{
    value v;
    if (t->kind == AST_NAME) {
        if (!elab_lookup(e, s, t->text, &v)) {
            add_size(z, t->text, false);
        }
        return;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        bool callee = (t->kind == AST_CALL || t->kind == AST_FIELD) && i == 0;
        if (t->kids[i] && !callee) {
            find_sizes(e, s, t->kids[i], z);
        }
    }
}

static const ast *shape_of(const ast *t)
{
    t = t->kind == AST_TYPE_AT ? t->kids[0] : t;
    return t->kind == AST_INDEX ? t : NULL;
}

static bool is_dim_type(const ast *t)
{
    return t && t->kind == AST_NAME && strcmp(t->text, "dim") == 0;
}

static void bind_sizes(elab *e, scope *s, const sizes *z)
{
    for (uint32_t i = 0; i < z->n; i++) {
        const ir_sym *sym = ir_sym_get(e->c, z->names[i], z->lo[i], z->hi[i]);
        scope_set(e, s, z->names[i], value_dim(e, ir_dim_sym(e->c, sym)));
    }
}

/* lhs <= rhs of a where clause; several from one comparison. */
static bool where_condition(elab *e, scope *s, const ast *t, ir_condition *out)
{
    if (t->kind != AST_BINARY) {
        elab_error(e, t->where,
                   "a bound is written as a comparison of sizes, as in 'pos + T <= ctx'");
        return false;
    }
    const ir_dim *x, *y;
    if (!want_dim(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "a side of a bound", &x) ||
        !want_dim(e, t->kids[1]->where, eval_expr(e, s, t->kids[1]), "a side of a bound", &y)) {
        return false;
    }
    *out = (ir_condition){.rel = IR_REL_LE, .lhs = x, .rhs = y, .where = t->where};
    out->text = source_text(e, t);
    if (strcmp(t->text, "==") == 0) {
        out->rel = IR_REL_EQ;
    } else if (*t->text == '>' || *t->text == '<') {
        bool swap = *t->text == '>', strict = t->text[1] == 0;
        out->lhs = swap ? y : x;
        out->rhs = swap ? x : y;
        out->lhs = strict ? ir_dim_offset(e->c, out->lhs, 1) : out->lhs;
    } else if (strcmp(t->text, "and") != 0) {
        elab_error(e, t->where, "a bound is written with <=, <, >=, > or ==");
        return false;
    }
    return true;
}

/* coef * sym + rest <= 0 bounds sym from above by -(least rest) / coef, or from below. */
static void tighten(elab *e, sizes *z, const ir_condition *k)
{
    const ir_dim *d = ir_dim_sub(e->c, k->lhs, k->rhs);
    for (uint32_t i = 0; i < z->n; i++) {
        const ir_sym *sym = ir_sym_get(e->c, z->names[i], z->lo[i], z->hi[i]);
        int64_t coef;
        const ir_dim *rest;
        if (!ir_dim_split(e->c, d, sym, &coef, &rest) || coef == 0 || rest->lo == INT64_MIN) {
            continue;
        }
        if (coef > 0) {
            int64_t most = rest->lo > 0 ? -((rest->lo + coef - 1) / coef) : -rest->lo / coef;
            z->hi[i] = most < z->hi[i] ? most : z->hi[i];
        } else {
            int64_t least = rest->lo > 0 ? (rest->lo - coef - 1) / -coef : -(-rest->lo / -coef);
            z->lo[i] = least > z->lo[i] ? least : z->lo[i];
        }
    }
}

static bool read_bounds(elab *e, scope *s, const ast *where, sizes *z)
{
    for (int turn = 0; turn < 2; turn++) { /* bounds of one may follow from those of another */
        for (uint32_t i = 0; where && i < where->n; i++) {
            ir_condition k;
            scope *trial = scope_create(e, s);
            bind_sizes(e, trial, z);
            if (!where_condition(e, trial, where->kids[i], &k)) {
                return false;
            }
            tighten(e, z, &k);
            if (k.rel == IR_REL_EQ) {
                const ir_dim *lhs = k.lhs;
                k.lhs = k.rhs;
                k.rhs = lhs;
                tighten(e, z, &k);
            }
        }
    }
    for (uint32_t i = 0; i < z->n; i++) {
        if (z->lo[i] > z->hi[i]) {
            elab_error(e, where->where, "no value of %s satisfies these bounds", z->names[i]);
            elab_note_names(e, s, where);
            return false;
        }
    }
    return true;
}

static void add_results(elab *e, const ast *t, value result, ir_graph *g, ir_arg_info *infos,
                        scope *s)
{
    const ast *declared = t->kids[1];
    uint32_t n = result.kind == V_TUPLE || result.kind == V_LIST ? result.list.n : 1;
    const value *items = n == 1 && result.kind != V_TUPLE ? &result : result.list.at;
    for (uint32_t i = 0; i < n; i++) {
        const ast *k = !declared                                        ? NULL
                       : declared->kind == AST_TUPLE && i < declared->n ? declared->kids[i]
                                                                        : declared;
        const ir_node *node = want_operand(e, t->name_where, items[i], NULL);
        if (!node) {
            return;
        }
        const char *name = k && k->kind == AST_PARAM ? k->text
                           : n == 1                  ? "out"
                                                     : intern_printf(e->names, "out%u", i);
        ir_graph_add_output(g, IR_OUTPUT_RESULT, name, node);
        ir_dtype dtype;
        uint32_t rank;
        const ir_dim *dims[IR_MAX_RANK];
        infos[i] = (ir_arg_info){.meaning = IR_MEANING_TENSOR};
        if (k) {
            (void)eval_type(e, s, k->kind == AST_PARAM ? k->kids[0] : k, &dtype, &rank, dims,
                            &infos[i]);
        }
    }
    for (uint32_t i = 0; i < e->level->states.len; i++) {
        if (e->level->states.at[i].now != e->level->states.at[i].first) {
            ir_graph_add_output(g, IR_OUTPUT_STATE, e->states.at[e->level->states.at[i].state].name,
                                e->level->states.at[i].now);
        }
    }
}

/* What is differentiated is one number. */
static void check_objective(elab *e, const ast *t, const value *loss)
{
    const ir_node *n = loss->kind == V_TENSOR ? loss->tensor.node : NULL;
    bool number = loss->kind == V_FLOAT ||
                  (n && ir_node_type(n)->rank == 0 && ir_dtype_is_float(ir_node_type(n)->dtype));
    if (loss->kind != V_POISON && !number) {
        elab_error(e, t->kids[1] ? t->kids[1]->where : e->return_where,
                   "an objective returns one number, f32, found %s", value_text(e, loss));
        if (n && ir_dtype_is_float(ir_node_type(n)->dtype)) {
            diag_help(e->d, "take the mean over all of them: mean(...)");
        }
    }
}

static void trace_entry(elab *e, const ast *t, const reference *self, scope *file)
{
    const ast *params = t->kids[0];
    scope *s = scope_create(e, file);
    s->self = self;
    e->entry = t;
    e->stopped = false;
    sizes z = {.n = 0};
    for (uint32_t i = 0; i < params->n; i++) {
        if (is_dim_type(params->kids[i]->kids[0])) {
            add_size(&z, params->kids[i]->text, true);
        }
    }
    for (uint32_t i = 0; i < params->n; i++) {
        const ast *p = params->kids[i];
        if (!p->kids[0]) {
            elab_error(e, p->where, "argument '%s' of an entry needs a type", p->text);
            diag_help(e->d, "as in '%s: f32[N]', or '%s: dim' for a size", p->text, p->text);
            return;
        }
        const ast *shape = shape_of(p->kids[0]);
        for (uint32_t k = 1; shape && k < shape->n; k++) {
            if (shape->kids[0]->kind != AST_NAME || strcmp(shape->kids[0]->text, "class") != 0) {
                scope *known = scope_create(e, s);
                for (uint32_t j = 0; j < z.n; j++) {
                    scope_set(e, known, z.names[j], value_int(1));
                }
                find_sizes(e, known, shape->kids[k], &z);
            }
        }
    }
    if (!read_bounds(e, s, t->kids[2], &z)) {
        return;
    }
    bind_sizes(e, s, &z);
    ir_graph *g = ir_graph_create(e->c, t->text);
    for (uint32_t i = 0; i < z.n; i++) {
        value *v = scope_find(s, z.names[i]);
        if (v->kind == V_DIM) {
            ir_graph_add_sym(g, ir_dim_as_sym(v->dim), z.is_argument[i]);
        }
    }
    e->conditions = g;
    for (uint32_t i = 0; t->kids[2] && i < t->kids[2]->n; i++) {
        ir_condition k;
        if (!where_condition(e, s, t->kids[2]->kids[i], &k)) {
            continue;
        }
        bool equal = k.rel == IR_REL_EQ;
        ir_proof holds = equal ? ir_dim_equal(e->c, k.lhs, k.rhs) : ir_dim_le(e->c, k.lhs, k.rhs);
        if (holds == IR_NEVER) {
            elab_error(e, k.where, "this bound never holds: %s %s %s", ir_dim_text(e->c, k.lhs),
                       equal ? "==" : "<=", ir_dim_text(e->c, k.rhs));
            elab_note_names(e, s, t->kids[2]->kids[i]);
        } else if (equal || holds != IR_ALWAYS) {
            ir_graph_add_condition(g, k);
        }
    }
    ir_arg_info *args = arena_array(e->a, ir_arg_info, params->n + 1);
    ir_arg_info *results = arena_array(e->a, ir_arg_info, 32);
    (void)level_open(e, g);
    bool ok = true;
    uint32_t n_args = 0;
    for (uint32_t i = 0; i < params->n; i++) {
        const ast *p = params->kids[i];
        ir_dtype dtype;
        uint32_t rank;
        const ir_dim *dims[IR_MAX_RANK];
        if (is_dim_type(p->kids[0])) {
            continue;
        }
        if (!eval_type(e, s, p->kids[0], &dtype, &rank, dims, &args[n_args])) {
            ok = false;
            continue;
        }
        const ir_node *n = ir_graph_add_input(g, p->text, ir_type_get(e->c, dtype, rank, dims),
                                              (ir_loc){p->where, NULL});
        value v = value_tensor(e, n);
        v.name = p->text;
        v.where = p->where;
        v.type = p->kids[0];
        v.type_scope = s;
        scope_set(e, s, p->text, v);
        n_args++;
    }
    if (ok) {
        e->has_returned = false;
        e->returned = value_none();
        e->training = t->kind == AST_OBJECTIVE;
        uint32_t errors = diag_error_count(e->d);
        run_block(e, s, t->kids[3]);
        bool clean = diag_error_count(e->d) == errors;
        if (clean && !e->has_returned) {
            elab_error(e, t->name_where, "'%s' does not return anything", t->text);
        } else if (clean && check_result(e, s, t->kids[1], e->return_where, &e->returned) &&
                   t->kind == AST_OBJECTIVE) {
            check_objective(e, t, &e->returned);
        }
        if (clean && diag_error_count(e->d) == errors) {
            add_results(e, t, e->returned, g, results, s);
        }
        e->has_returned = false;
    }
    level_close(e);
    ir_entry entry = {.kind = t->kind == AST_OBJECTIVE ? IR_OBJECTIVE : IR_ENTRY,
                      .name = t->text,
                      .doc = t->doc,
                      .graph = g,
                      .args = args,
                      .results = results,
                      .where = t->name_where};
    vec_push(e->a, &e->entries, entry);
    e->conditions = NULL;
    e->training = false;
}

/* generate, train, alias
 * --------------------------------------------------------------------------- */

static bool is_declared(const elab *e, ast_kind kind, const char *name)
{
    const ast *members = e->model->kids[1];
    for (uint32_t i = 0; i < members->n; i++) {
        if (members->kids[i]->kind == kind && members->kids[i]->text == name) {
            return true;
        }
    }
    return false;
}

static const ir_entry *find_entry(elab *e, const ast *t)
{
    for (uint32_t i = 0; i < e->entries.len; i++) {
        if (t->kind == AST_NAME && e->entries.at[i].name == t->text) {
            return &e->entries.at[i];
        }
    }
    if (t->kind == AST_NAME && is_declared(e, AST_ENTRY, t->text)) {
        return NULL; /* with mistakes told already */
    }
    const char *near[64];
    uint32_t n = 0;
    for (; n < e->entries.len && n < 64; n++) {
        near[n] = e->entries.at[n].name;
    }
    elab_error(e, t->where, "'%s' is no entry of this model", source_text(e, t));
    elab_did_you_mean(e, t->kind == AST_NAME ? diag_nearest(t->text, near, n) : NULL);
    return NULL;
}

static void read_generate(elab *e, scope *s, const ast *t)
{
    const ast *k = t->kids[0];
    bool known = k->kind == AST_CALL && k->kids[0]->kind == AST_NAME;
    bool pair = known && strcmp(k->kids[0]->text, "encoder_decoder") == 0;
    if (!known || (!pair && strcmp(k->kids[0]->text, "autoregressive") != 0)) {
        static const char *const loops[] = {"autoregressive", "encoder_decoder"};
        if (known) {
            elab_error(e, k->kids[0]->where, "there is no decoding loop '%s'", k->kids[0]->text);
            elab_did_you_mean(e, diag_nearest(k->kids[0]->text, loops, 2));
        } else {
            elab_error(
                e, k->where,
                "generate is autoregressive(entry, ...) or encoder_decoder(encode, decode, ...)");
        }
        return;
    }
    ir_generate g = {.name = t->text,
                     .encoder_decoder = pair,
                     .bos = -1,
                     .eos = -1,
                     .context = INT64_MAX,
                     .where = t->name_where};
    const ir_entry *entries[2] = {NULL, NULL};
    uint32_t n = 0;
    for (uint32_t i = 1; i < k->n; i++) {
        const ast *arg = k->kids[i];
        if (arg->kind != AST_KEYWORD) {
            if (n == (pair ? 2u : 1u)) {
                elab_error(e, arg->where, "too many entries");
                return;
            }
            entries[n++] = find_entry(e, arg);
            continue;
        }
        value v = eval_expr(e, s, arg->kids[0]);
        if (strcmp(arg->text, "tokenizer") == 0) {
            (void)want_str(e, arg->where, v, "the tokenizer", &g.tokenizer);
        } else if (strcmp(arg->text, "bos") == 0) {
            (void)want_int(e, arg->where, v, "bos", &g.bos);
        } else if (strcmp(arg->text, "eos") == 0) {
            (void)want_int(e, arg->where, v, "eos", &g.eos);
        } else {
            static const char *const known_options[] = {"tokenizer", "bos", "eos"};
            elab_error(e, arg->name_where,
                       "generate has no option '%s': tokenizer, bos and eos are known", arg->text);
            elab_did_you_mean(e, diag_nearest(arg->text, known_options, 3));
        }
    }
    const ir_entry *step = entries[pair];
    if (n != (pair ? 2u : 1u) || !step || (pair && !entries[0])) {
        if (n != (pair ? 2u : 1u)) {
            elab_error(e, k->where,
                       pair ? "encoder_decoder needs two entries"
                            : "autoregressive needs an entry");
        }
        return;
    }
    if (ir_graph_n_outputs(step->graph) == 0 ||
        (pair && ir_graph_n_outputs(entries[0]->graph) == 0)) {
        return; /* its mistakes are told already */
    }
    g.entry = step->name;
    g.encode = pair ? entries[0]->name : NULL;
    for (uint32_t i = 0; i < ir_graph_n_inputs(step->graph); i++) {
        const ir_node *in = ir_graph_input(step->graph, i);
        const ir_type *type = ir_node_type(in);
        if (ir_dtype_kind(type->dtype) == IR_KIND_INT && type->rank == 1 && !g.tokens_arg) {
            g.tokens_arg = ir_node_str(in, IR_ATTR_name);
            g.context = type->dims[0]->hi;
        } else if (pair && !g.memory_arg) {
            g.memory_arg = ir_node_str(in, IR_ATTR_name);
        }
    }
    if (ir_graph_n_dim_args(step->graph)) {
        g.pos_dim = ir_graph_sym(step->graph, 0)->name;
    }
    if (!g.tokens_arg) {
        elab_error(e, k->where, "entry '%s' has no argument for tokens, as 'tokens: i32[T]'",
                   g.entry);
        diag_note(e->d, step->where, "'%s' is declared here", g.entry);
        return;
    }
    const ir_type *logits = ir_node_type(ir_graph_output(step->graph, 0)->node);
    if (!ir_dtype_is_float(logits->dtype) || logits->rank == 0) {
        elab_error(e, k->where,
                   "entry '%s' must return logits, as f32[vocab] or f32[T, vocab], found %s",
                   g.entry, type_text(e, logits));
        diag_note(e->d, step->where, "'%s' is declared here", g.entry);
        return;
    }
    vec_push(e->a, &e->generates, g);
}

static void check_train(elab *e, scope *s, const ast *t, const reference *self)
{
    bool found = false;
    const char *near[64];
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->entries.len; i++) {
        found |= e->entries.at[i].kind == IR_OBJECTIVE && e->entries.at[i].name == t->text;
        if (e->entries.at[i].kind == IR_OBJECTIVE && n < 64) {
            near[n++] = e->entries.at[i].name;
        }
    }
    if (!found && !is_declared(e, AST_OBJECTIVE, t->text)) {
        elab_error(e, t->name_where, "'%s' is no objective of this model", t->text);
        elab_did_you_mean(e, diag_nearest(t->text, near, n));
    }
    static const char *const optimizers[] = {"sgd", "adam", "adamw", "lion", "rmsprop", "adagrad"};
    const ast *with = t->kids[0];
    const char *name =
        with->kind == AST_CALL && with->kids[0]->kind == AST_NAME ? with->kids[0]->text : "";
    bool known = false;
    for (uint32_t i = 0; i < 6; i++) {
        known |= strcmp(optimizers[i], name) == 0;
    }
    if (!known && with->kind != AST_CALL) {
        elab_error(e, with->where,
                   "an optimizer is called with its settings, as in adamw(lr = 3e-4), found %s",
                   source_text(e, with));
    } else if (!known) {
        elab_error(e, with->where,
                   "'%s' is no optimizer: sgd, adam, adamw, lion, rmsprop and adagrad are known",
                   name);
        elab_did_you_mean(e, diag_nearest(name, optimizers, 6));
    }
    for (uint32_t i = 0; i < t->kids[1]->n; i++) {
        const ast *k = t->kids[1]->kids[i];
        value v = k->kind == AST_NAME && !scope_find(self->inst->members, k->text)
                      ? value_none()
                      : eval_expr(e, s, k);
        if (v.kind == V_NONE) {
            elab_error(e, k->where, "'%s' is no part of this model", k->text);
            elab_did_you_mean(e, elab_nearest_in(self->inst->members, k->text));
        }
    }
}

/* alias "blk.{i}.attn_q.weight" = model.layers[i].self_attn.q_proj.weight */
static void read_alias(elab *e, const ast *t, const reference *self)
{
    const ast *steps[64], *k = t->kids[1];
    uint32_t n = 0;
    for (; n < 64 && (k->kind == AST_FIELD || k->kind == AST_INDEX); k = k->kids[0]) {
        steps[n++] = k;
    }
    if (k->kind != AST_NAME || n == 64) {
        elab_error(e, t->kids[1]->where, "an alias names a parameter, as in h[i].attn.weight");
        return;
    }
    scope *s = scope_create(e, NULL);
    s->self = self;
    value v;
    if (!elab_lookup(e, s, k->text, &v)) {
        (void)eval_expr(e, s, k);
        return;
    }
    const char *indices[IR_MAX_RANK];
    uint32_t n_indices = 0;
    while (n-- > 0 && v.kind != V_POISON && v.kind != V_NONE) {
        const ast *step = steps[n];
        if (step->kind == AST_FIELD) {
            if (v.kind != V_MODULE) {
                elab_error(e, step->where, "%s has no field '%s'", value_text(e, &v), step->text);
                return;
            }
            v = member_of(e, step->name_where, &v, step->text);
            continue;
        }
        if (v.kind != V_MODULES || step->n != 2 || step->kids[1]->kind != AST_NAME ||
            n_indices == IR_MAX_RANK) {
            elab_error(e, step->where,
                       "an alias goes over a list of like modules by a name, as in h[i]");
            return;
        }
        indices[n_indices++] = step->kids[1]->text;
        v.kind = V_MODULE;
    }
    if (v.kind == V_NONE || v.kind == V_POISON) {
        return; /* a part this model leaves out */
    }
    if (v.kind != V_PARAM) {
        elab_error(e, t->kids[1]->where, "an alias names a parameter, found %s", value_text(e, &v));
        return;
    }
    /* {i} becomes {}; indices must come in the parameter's order */
    const char *text = t->kids[0]->text, *pattern = "";
    uint32_t seen = 0;
    for (const char *p = text; *p;) {
        const char *open = strchr(p, '{'), *close = open ? strchr(open, '}') : NULL;
        if (!close) {
            pattern = intern_printf(e->names, "%s%s", pattern, p);
            break;
        }
        const char *name = intern_n(e->names, open + 1, (size_t)(close - open - 1));
        if (seen >= n_indices || indices[seen] != name) {
            elab_error(e, t->kids[0]->where,
                       "{%s} does not stand for an index of the parameter in its order", name);
            const char *all = "";
            for (uint32_t i = 0; i < n_indices; i++) {
                all = intern_printf(e->names, "%s%s{%s}", all, i ? ", " : "", indices[i]);
            }
            diag_note(e->d, t->kids[1]->where, *all ? "the path has %s" : "the path has no indices",
                      all);
            return;
        }
        seen++;
        pattern = intern_printf(e->names, "%s%.*s{}", pattern, (int)(open - p), p);
        p = close + 1;
    }
    ir_param *p = &e->params.at[v.slot.number];
    const char **aliases = arena_array(e->a, const char *, p->n_aliases + 1);
    if (p->n_aliases) {
        memcpy(aliases, p->aliases, p->n_aliases * sizeof *aliases);
    }
    aliases[p->n_aliases++] = intern(e->names, pattern);
    p->aliases = aliases;
}

/* The model ---------------------------------------------------------------------------------------
 */

static void add_builtins(elab *e)
{
    const builtin *const tables[] = {builtins_elementwise, builtins_reduce, builtins_shape,
                                     builtins_window,      builtins_random, builtins_loss,
                                     builtins_static,      builtins_einops};
    e->builtins = scope_create(e, NULL);
    for (uint32_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const builtin *b = tables[t]; b->name; b++) {
            scope_set(e, e->builtins, intern(e->names, b->name),
                      (value){.kind = V_BUILTIN, .builtin = b});
        }
    }
    for (int i = 0; i < IR_DTYPE_COUNT; i++) {
        scope_set(e, e->builtins, intern(e->names, ir_dtype_name((ir_dtype)i)),
                  (value){.kind = V_DTYPE, .dtype = (ir_dtype)i});
    }
    scope_set(e, e->builtins, intern(e->names, "inf"), value_float(__builtin_inf()));
    scope_set(e, e->builtins, intern(e->names, "nan"), value_float(__builtin_nan("")));
    scope_set(e, e->builtins, intern(e->names, "pi"), value_float(3.14159265358979323846));
}

static const ast *choose_model(elab *e, const ast *tree)
{
    const ast *chosen = NULL;
    const char *near[64];
    uint32_t n = 0;
    for (uint32_t i = 0; i < tree->n; i++) {
        const ast *t = tree->kids[i];
        if (t->kind == AST_MODEL) {
            bool wanted = !e->o || !e->o->model || strcmp(e->o->model, t->text) == 0;
            chosen = wanted ? t : chosen;
            if (n < 64) {
                near[n++] = t->text;
            }
        }
    }
    if (!chosen && diag_error_count(e->d) == 0) {
        if (e->o && e->o->model) {
            diag_error(e->d, (span){0}, "there is no model '%s' in this file", e->o->model);
            elab_did_you_mean(e, diag_nearest(e->o->model, near, n));
        } else {
            diag_error(e->d, tree->where,
                       "there is no model in this file: write 'model name { ... }'");
        }
    }
    return chosen;
}

static ir_module *finish_module(elab *e, const ast *model)
{
    ir_module *m = arena_new(e->a, ir_module);
    *m = (ir_module){.ctx = e->c,
                     .sources = diag_sources(e->d),
                     .name = model->text,
                     .doc = model->doc,
                     .n_params = e->params.len,
                     .n_states = e->states.len,
                     .n_entries = e->entries.len,
                     .n_externs = e->externs.len,
                     .n_generates = e->generates.len,
                     .params = e->params.at,
                     .states = e->states.at,
                     .entries = e->entries.at,
                     .externs = e->externs.at,
                     .generates = e->generates.at};
    return m;
}

static void check_names(elab *e)
{
    for (uint32_t i = 0; i < e->params.len; i++) {
        for (uint32_t k = i + 1; k < e->params.len; k++) {
            if (e->params.at[i].name == e->params.at[k].name) {
                elab_error(e, e->params.at[k].where, "two parameters are named '%s'",
                           e->params.at[k].name);
                diag_note(e->d, e->params.at[i].where, "the other one is here");
            }
        }
    }
}

ir_module *frontend_compile(ir_ctx *c, diag *d, const source_file *f, const frontend_options *o)
{
    arena *a = ir_ctx_arena(c);
    elab state = {.a = a,
                  .c = c,
                  .names = ir_ctx_names(c),
                  .d = d,
                  .o = o,
                  .files = map_create(a),
                  .broken = map_create(a),
                  .twice = map_create(a),
                  .path = ""};
    elab *e = &state;
    add_builtins(e);
    const ast *tree;
    scope *file = load_file(e, f, &tree);
    const ast *model = choose_model(e, tree);
    if (!model || e->lost) {
        return NULL;
    }
    e->model = model;
    call make = {.e = e, .where = model->name_where, .name = model->text};
    if (!defined_arguments(e, model, &make)) {
        return NULL;
    }
    value v = instantiate(&make, model, file, "", NULL, -1);
    if (v.kind != V_MODULE) {
        return NULL;
    }
    const ast *members = model->kids[1];
    scope *s = scope_create(e, file);
    s->self = v.module.ref;
    for (uint32_t i = 0; i < members->n; i++) {
        bool traced =
            members->kids[i]->kind == AST_ENTRY || members->kids[i]->kind == AST_OBJECTIVE;
        if (traced && !is_broken(e, members->kids[i]) && !is_twice(e, members->kids[i])) {
            trace_entry(e, members->kids[i], v.module.ref, file);
        }
    }
    for (uint32_t i = 0; i < members->n && !e->damaged; i++) {
        const ast *t = members->kids[i];
        if (t->kind == AST_GENERATE) {
            read_generate(e, s, t);
        } else if (t->kind == AST_TRAIN) {
            check_train(e, s, t, v.module.ref);
        } else if (t->kind == AST_ALIAS) {
            read_alias(e, t, v.module.ref);
        }
    }
    check_names(e);
    return diag_error_count(d) ? NULL : finish_module(e, model);
}
