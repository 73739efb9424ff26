/* Statements and loops. */
#include "frontend/elab.h"

#include <string.h>

enum { MOST_STEPS = 2000000, MOST_UNROLLED = 4096 };

static void assign(elab *e, scope *s, const ast *target, value v)
{
    if (target->kind == AST_NAME) {
        v.name = target->text;
        v.where = v.where.file ? v.where : target->where;
        scope_set(e, s, target->text, v);
        return;
    }
    if (target->kind == AST_INDEX) {
        assign_index(e, s, target, v);
        return;
    }
    if (target->kind != AST_TUPLE || v.kind == V_POISON) {
        for (uint32_t i = 0; target->kind == AST_TUPLE && i < target->n; i++) {
            assign(e, s, target->kids[i], v);
        }
        return;
    }
    if (is_tensor(&v)) { /* along the first axis, as NumPy does */
        const ir_node *n = want_tensor(e, target->where, v, "the value");
        const ir_type *t = n ? ir_node_type(n) : NULL;
        if (!t || t->rank == 0 || !ir_dim_is_value(t->dims[0], target->n)) {
            if (t) {
                elab_error(e, target->where, "cannot take %s apart into %u names",
                           value_text(e, &v), target->n);
            }
            assign(e, s, target, value_poison());
            return;
        }
        for (uint32_t i = 0; i < target->n; i++) {
            const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK];
            for (uint32_t k = 0; k < t->rank; k++) {
                offsets[k] = ir_dim_const(e->c, k ? 0 : i);
                sizes[k] = k ? t->dims[k] : ir_dim_const(e->c, 1);
            }
            ir_builder b = elab_builder(e, target->where);
            const ir_node *part = ir_slice(&b, n, offsets, sizes, NULL);
            assign(e, s, target->kids[i],
                   value_tensor(e, ir_reshape(&b, part, t->rank - 1, t->dims + 1)));
        }
        return;
    }
    if ((v.kind != V_TUPLE && v.kind != V_LIST) || v.list.n != target->n) {
        if (v.kind == V_TUPLE || v.kind == V_LIST) {
            elab_error(e, target->where, "%u values cannot be given to %u names", v.list.n,
                       target->n);
        } else {
            elab_error(e, target->where, "cannot take %s apart into %u names", value_text(e, &v),
                       target->n);
        }
        assign(e, s, target, value_poison());
        return;
    }
    for (uint32_t i = 0; i < target->n; i++) {
        assign(e, s, target->kids[i], v.list.at[i]);
    }
}

static void run_if(elab *e, scope *s, const ast *t)
{
    value cond = eval_expr(e, s, t->kids[0]);
    bool b;
    if (is_tensor(&cond)) {
        elab_error(e, t->kids[0]->where, "the condition of 'if' must be known while compiling");
        diag_help(e->d, "to choose between tensors' elements write where(condition, a, b)");
        return;
    }
    if (!want_bool(e, t->kids[0]->where, cond, "the condition", &b)) {
        return;
    }
    const ast *taken = b ? t->kids[1] : t->kids[2];
    if (taken && taken->kind == AST_IF) {
        run_if(e, s, taken);
    } else if (taken) {
        run_block(e, s, taken);
    }
}

static void run_assert(elab *e, scope *s, const ast *t)
{
    bool ok;
    value v = eval_expr(e, s, t->kids[0]);
    if (!want_bool(e, t->kids[0]->where, v, "what is asserted", &ok) || ok) {
        return;
    }
    value message = t->kids[1] ? eval_expr(e, s, t->kids[1]) : value_str("this does not hold");
    elab_error(e, t->kids[0]->where, "%s",
               message.kind == V_STR ? message.s : "this does not hold");
    elab_note_names(e, s, t->kids[0]);
}

void run_block(elab *e, scope *s, const ast *block)
{
    for (uint32_t i = 0; i < block->n && !e->has_returned && !e->stopped; i++) {
        const ast *t = block->kids[i];
        if (++e->steps > MOST_STEPS) {
            elab_error(e, t->where, "this takes more than %d steps while compiling", MOST_STEPS);
            e->stopped = true;
            return;
        }
        switch (t->kind) {
        case AST_ASSIGN:
            assign(e, s, t->kids[0], eval_expr(e, s, t->kids[1]));
            break;
        case AST_EXPR:
            if (t->kids[0]->kind == AST_CALL) { /* need not return anything */
                e->now = t->kids[0];
                e->now_scope = s;
                (void)eval_call(e, s, t->kids[0]);
            } else {
                (void)eval_expr(e, s, t->kids[0]);
            }
            break;
        case AST_RETURN:
            e->return_where = t->kids[0] ? t->kids[0]->where : t->where;
            e->returned = t->kids[0] ? eval_expr(e, s, t->kids[0]) : value_none();
            e->has_returned = true;
            break;
        case AST_IF:
            run_if(e, s, t);
            break;
        case AST_FOR:
            run_for(e, s, t);
            break;
        case AST_LOOP:
            run_loop(e, s, t);
            break;
        case AST_ASSERT:
            run_assert(e, s, t);
            break;
        default:
            break;
        }
    }
}

/* Loops in the graph ------------------------------------------------------------------------------
 */

typedef struct carried {
    const char *name;
    value before;
} carried;

typedef struct traced {
    elab *e;
    level *inner;
    uint32_t n_carries, n_collects;
    const ir_node *first[64], *next[64], *collected[16];
    const char *names[64];
    const ir_node *cond;
    const ir_sym *sym;
    const ir_dim *lo, *hi;
    int64_t step;
} traced;

/* The body with its inputs in the order a loop wants: carries, states, captures. */
static ir_graph *finished_body(traced *t)
{
    level *l = t->inner;
    ir_graph *g = ir_graph_create(t->e->c, ir_graph_name(l->graph));
    const ir_node **new_of = arena_array(t->e->a, const ir_node *, ir_graph_size(l->graph));
    VEC(const ir_node *) order = {0};
    for (uint32_t i = 0; i < t->n_carries; i++) {
        vec_push(t->e->a, &order, t->first[i]);
    }
    for (uint32_t i = 0; i < l->states.len; i++) {
        vec_push(t->e->a, &order, l->states.at[i].first);
    }
    for (uint32_t i = 0; i < l->inputs.len; i++) {
        vec_push(t->e->a, &order, l->inputs.at[i]);
    }
    for (uint32_t i = 0; i < order.len; i++) {
        const ir_node *n = order.at[i];
        new_of[n->id] =
            ir_graph_add_input(g, ir_node_str(n, IR_ATTR_name), ir_node_type(n), n->loc);
    }
    for (uint32_t i = 0; i < ir_graph_size(l->graph); i++) {
        const ir_node *n = ir_graph_node(l->graph, i);
        if (n->op == IR_OP_input) {
            continue;
        }
        const ir_node **in = arena_array(t->e->a, const ir_node *, n->n_in);
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = new_of[n->in[k]->id];
        }
        new_of[i] = ir_graph_copy_node(g, n, in);
    }
    for (uint32_t i = 0; i < t->n_carries; i++) {
        ir_graph_add_output(g, IR_OUTPUT_RESULT, t->names[i], new_of[t->next[i]->id]);
    }
    for (uint32_t i = 0; i < l->states.len; i++) {
        ir_graph_add_output(g, IR_OUTPUT_RESULT, t->e->states.at[l->states.at[i].state].name,
                            new_of[l->states.at[i].now->id]);
    }
    for (uint32_t i = 0; i < t->n_collects; i++) {
        ir_graph_add_output(g, IR_OUTPUT_RESULT, t->names[t->n_carries + i],
                            new_of[t->collected[i]->id]);
    }
    if (t->cond) {
        ir_graph_add_output(g, IR_OUTPUT_RESULT, "while", new_of[t->cond->id]);
    }
    return g;
}

/* Closes the inner level and makes the loop node of the outer one. before: the carries' first
 * values. */
static const ir_node *finish_loop(traced *t, span where, const ir_node *const *before)
{
    elab *e = t->e;
    level *l = t->inner;
    ir_graph *body = finished_body(t);
    level_close(e);
    VEC(const ir_node *) in = {0};
    for (uint32_t i = 0; i < t->n_carries; i++) {
        vec_push(e->a, &in, before[i]);
    }
    for (uint32_t i = 0; i < l->states.len; i++) {
        vec_push(e->a, &in, level_state(e, l->states.at[i].state));
    }
    for (uint32_t i = 0; i < l->captured.len; i++) {
        vec_push(e->a, &in, level_import(e, l->captured.at[i]));
    }
    ir_builder b = elab_builder(e, where);
    uint32_t carries = t->n_carries + l->states.len;
    const ir_node *loop = ir_loop(&b, in.len, in.at, carries, t->n_collects, t->cond != NULL,
                                  t->sym, t->lo, t->hi, t->step, body);
    if (!loop) {
        elab_error(e, where, "%s", b.error.text);
        return NULL;
    }
    for (uint32_t i = 0; i < l->states.len; i++) {
        level_set_state(e, l->states.at[i].state, ir_get(&b, loop, t->n_carries + i));
    }
    return loop;
}

static void collect_assigned(const ast *t, const char **names, uint32_t *n, uint32_t cap)
{
    if (!t) {
        return;
    }
    if (t->kind == AST_ASSIGN) {
        const ast *target = t->kids[0];
        uint32_t count = target->kind == AST_TUPLE ? target->n : 1;
        for (uint32_t i = 0; i < count; i++) {
            const ast *k = target->kind == AST_TUPLE ? target->kids[i] : target;
            bool known = k->kind != AST_NAME;
            for (uint32_t j = 0; j < *n; j++) {
                known |= names[j] == k->text;
            }
            if (!known && *n < cap) {
                names[(*n)++] = k->text;
            }
        }
        return;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        collect_assigned(t->kids[i], names, n, cap);
    }
}

/* The variable as it is seen from s, when it is a local one. */
static value *local(scope *s, const char *name)
{
    for (; s; s = s->outer) {
        value *v = scope_find(s, name);
        if (v || s->self) {
            return v;
        }
    }
    return NULL;
}

static void assign_local(elab *e, scope *s, const char *name, value v)
{
    value *old = local(s, name);
    if (old) {
        *old = v;
    } else {
        scope_set(e, s, name, v);
    }
}

static const ir_sym *loop_index(elab *e, const char *name, const ir_dim *lo, const ir_dim *hi,
                                int64_t step)
{
    return ir_sym_loop(e->c, intern_printf(e->names, "%s.%u", name, e->n_loops++), lo, hi, step);
}

/* A carried value whose type a turn changes: told where it is set, with what it was before. */
static void tell_carry(elab *e, const ast *k, const value *set, const ir_type *now,
                       const ir_type *like, const value *first)
{
    elab_error(e, set->where.file == k->where.file ? set->where : k->where,
               "'%s' is carried as %s but becomes %s", k->text, type_text(e, like),
               type_text(e, now));
    diag_note(e->d, first->where.file ? first->where : k->where, "before the loop it is %s",
              type_text(e, like));
    if (first->kind == V_INT && ir_dtype_is_float(now->dtype) && now->rank == 0) {
        diag_help(e->d, "begin with a float: %s = %lld.0", k->text, (long long)first->i);
    } else if (like->dtype != now->dtype) {
        diag_help(e->d, "convert with cast(..., %s)", ir_dtype_name(like->dtype));
    }
}

void run_loop(elab *e, scope *s, const ast *t)
{
    const ast *var = t->kids[0], *range = t->kids[1];
    const ast *carries = t->kids[3], *collects = t->kids[4];
    int64_t step = 1;
    traced tr = {.e = e};
    value lo = eval_expr(e, s, range->kids[0]), hi = eval_expr(e, s, range->kids[1]);
    if (!want_dim(e, range->kids[0]->where, lo, "the first turn", &tr.lo) ||
        !want_dim(e, range->kids[1]->where, hi, "the limit", &tr.hi) ||
        (t->kids[2] &&
         !want_int(e, t->kids[2]->where, eval_expr(e, s, t->kids[2]), "the step", &step))) {
        return;
    }
    if (step == 0) {
        elab_error(e, t->kids[2]->where, "the step of a loop must not be 0");
        return;
    }
    if (carries->n > 60 || collects->n > 16) {
        elab_error(e, t->where, "too many values are carried or collected");
        return;
    }
    tr.step = step;
    tr.sym = loop_index(e, var->text, tr.lo, tr.hi, step);
    const ir_node *before[64];
    value *firsts = arena_array(e->a, value, carries->n + 1);
    for (uint32_t i = 0; i < carries->n; i++) {
        value v;
        const ast *k = carries->kids[i];
        if (!elab_lookup(e, s, k->text, &v)) {
            elab_error(e, k->where, "'%s' is carried but has no value before the loop", k->text);
            diag_help(e->d, "give it its first value before, as in '%s = zeros([...])'", k->text);
            return;
        }
        firsts[i] = v;
        before[i] = want_operand(e, k->where, v, NULL);
        if (!before[i]) {
            return;
        }
    }
    tr.inner = level_open(e, ir_graph_create(e->c, "loop"));
    vec_push(e->a, &tr.inner->turns, ir_dim_sym(e->c, tr.sym));
    scope *inner = scope_create(e, s);
    scope_set(e, inner, var->text, value_dim(e, ir_dim_sym(e->c, tr.sym)));
    for (uint32_t i = 0; i < carries->n; i++) {
        const ast *k = carries->kids[i];
        tr.first[i] = ir_graph_add_input(tr.inner->graph, k->text, ir_node_type(before[i]),
                                         (ir_loc){k->where, e->path});
        tr.names[i] = k->text;
        scope_set(e, inner, k->text, value_tensor(e, tr.first[i]));
    }
    run_block(e, inner, t->kids[6]);
    bool ok = true;
    for (uint32_t i = 0; i < carries->n + collects->n; i++) {
        bool carry = i < carries->n;
        const ast *k = carry ? carries->kids[i] : collects->kids[i - carries->n];
        value *v = scope_find(inner, k->text);
        const ir_type *like = carry ? ir_node_type(tr.first[i]) : NULL;
        const ir_node *n = v ? want_operand(e, k->where, *v, like) : NULL;
        if (!v) {
            elab_error(e, k->where, "'%s' is collected but the loop's body does not set it",
                       k->text);
            elab_did_you_mean(e, elab_nearest_in(inner, k->text));
        } else if (n && carry && ir_node_type(n) != like) {
            tell_carry(e, k, v, ir_node_type(n), like, &firsts[i]);
            n = NULL;
        }
        ok &= n != NULL;
        tr.names[i] = k->text;
        if (carry) {
            tr.next[i] = n;
        } else {
            tr.collected[i - carries->n] = n;
        }
    }
    if (ok && t->kids[5]) {
        tr.cond = want_operand(e, t->kids[5]->where, eval_expr(e, inner, t->kids[5]), NULL);
        ok = tr.cond != NULL;
        if (ok && (ir_node_type(tr.cond)->rank || ir_node_type(tr.cond)->dtype != IR_bool)) {
            elab_error(e, t->kids[5]->where, "the condition of a loop must be one bool, found %s",
                       type_text(e, ir_node_type(tr.cond)));
            ok = false;
        }
    }
    tr.n_carries = carries->n;
    tr.n_collects = collects->n;
    const ir_node *loop = NULL;
    if (ok) {
        loop = finish_loop(&tr, t->where, before);
    } else {
        level_close(e);
    }
    uint32_t n_states = tr.inner->states.len;
    ir_builder b = elab_builder(e, t->where);
    for (uint32_t i = 0; i < carries->n; i++) {
        value v = loop ? value_tensor(e, ir_get(&b, loop, i)) : value_poison();
        assign_local(e, s, carries->kids[i]->text, v);
    }
    for (uint32_t i = 0; i < collects->n; i++) {
        value v =
            loop ? value_tensor(e, ir_get(&b, loop, carries->n + n_states + i)) : value_poison();
        scope_set(e, s, collects->kids[i]->text, v);
    }
}

/* for over like modules: a loop whose index picks the module. False: it cannot be one loop. */
static bool loop_over_modules(elab *e, scope *s, const ast *t, const value *list)
{
    const char *assigned[60];
    uint32_t n_assigned = 0;
    collect_assigned(t->kids[2], assigned, &n_assigned, 60);
    traced tr = {.e = e,
                 .step = 1,
                 .lo = ir_dim_const(e->c, 0),
                 .hi = ir_dim_const(e->c, list->module.count)};
    const ir_node *before[64];
    value old[64];
    for (uint32_t i = 0; i < n_assigned; i++) {
        value *v = local(s, assigned[i]);
        if (!v || v->kind == V_POISON) {
            continue;
        }
        before[tr.n_carries] = want_operand(e, t->where, *v, NULL);
        if (!before[tr.n_carries]) {
            return false;
        }
        old[tr.n_carries] = *v;
        tr.names[tr.n_carries++] = assigned[i];
    }
    const char *index_name = t->kids[0]->kind == AST_NAME ? t->kids[0]->text : "layer";
    tr.sym = loop_index(e, intern_printf(e->names, "%s", index_name), tr.lo, tr.hi, 1);
    tr.inner = level_open(e, ir_graph_create(e->c, "layers"));
    vec_push(e->a, &tr.inner->turns, ir_dim_sym(e->c, tr.sym));
    scope *inner = scope_create(e, s);
    for (uint32_t i = 0; i < tr.n_carries; i++) {
        tr.first[i] = ir_graph_add_input(tr.inner->graph, tr.names[i], ir_node_type(before[i]),
                                         (ir_loc){t->where, e->path});
        value v = value_tensor(e, tr.first[i]);
        v.name = tr.names[i];
        scope_set(e, inner, tr.names[i], v);
    }
    reference *ref = arena_copy(e->a, list->module.ref, sizeof *ref);
    ref->index[ref->n++] = ir_dim_sym(e->c, tr.sym);
    value one = {.kind = V_MODULE};
    one.module.ref = ref;
    scope_set(e, inner, index_name, one);
    uint32_t errors = diag_error_count(e->d);
    run_block(e, inner, t->kids[2]);
    bool ok = true;
    for (uint32_t i = 0; i < tr.n_carries; i++) {
        value *v = scope_find(inner, tr.names[i]);
        const ir_node *n = v && v->kind != V_POISON
                               ? want_operand(e, t->where, *v, ir_node_type(tr.first[i]))
                               : NULL;
        ok &= n && ir_node_type(n) == ir_node_type(tr.first[i]);
        tr.next[i] = n;
    }
    bool failed = diag_error_count(e->d) != errors;
    if (!ok || failed || e->has_returned) {
        level_close(e);
        for (uint32_t i = 0; failed && i < tr.n_carries; i++) {
            assign_local(e, s, tr.names[i], value_poison());
        }
        return failed;
    }
    const ir_node *loop = finish_loop(&tr, t->where, before);
    ir_builder b = elab_builder(e, t->where);
    for (uint32_t i = 0; i < tr.n_carries; i++) {
        value v = loop ? value_tensor(e, ir_get(&b, loop, i)) : value_poison();
        v.where = old[i].where;
        v.name = tr.names[i];
        assign_local(e, s, tr.names[i], v);
    }
    return true;
}

void run_for(elab *e, scope *s, const ast *t)
{
    const ast *target = t->kids[0];
    value over = eval_expr(e, s, t->kids[1]);
    if (over.kind == V_POISON) {
        return;
    }
    if (over.kind == V_MODULES && target->kind == AST_NAME && loop_over_modules(e, s, t, &over)) {
        return;
    }
    int64_t n = over.kind == V_RANGE                          ? over.range.hi - over.range.lo
                : over.kind == V_MODULES                      ? over.module.count
                : over.kind == V_LIST || over.kind == V_TUPLE ? (int64_t)over.list.n
                                                              : -1;
    if (over.kind != V_RANGE && n < 0) {
        elab_error(e, t->kids[1]->where,
                   "'for' goes over a list or a range known while compiling, found %s",
                   value_text(e, &over));
        diag_help(e->d, "a loop over run-time values is written 'loop t in 0..T carry ... { }'");
        return;
    }
    if (n > MOST_UNROLLED) {
        elab_error(e, t->kids[1]->where,
                   "a 'for' of %lld turns that differ is too long to be written out", (long long)n);
        diag_help(e->d, "a loop over run-time values is written 'loop t in 0..T carry ... { }'");
        return;
    }
    for (int64_t i = 0; i < n && !e->has_returned; i++) {
        value one = over.kind == V_RANGE ? value_int(over.range.lo + i) : value_none();
        if (over.kind == V_MODULES) {
            one = value_module_at(e, &over, i);
        } else if (over.kind != V_RANGE) {
            one = over.list.at[i];
        }
        assign(e, s, target, one);
        run_block(e, s, t->kids[2]);
    }
}
