/* Errors of elaboration, and the notes that go with them: how the program came here, what the
 * operands are and where they come from, which values the names have. */
#include "frontend/elab.h"

#include <string.h>

enum { MOST_FRAMES = 6, MOST_NEAR = 1024 };

static bool same_place(span a, span b)
{
    return a.file == b.file && a.begin == b.begin;
}

value elab_error(elab *e, span where, const char *format, ...)
{
    if (e->stopped) { /* what follows from a recursion without an end */
        return value_poison();
    }
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(e->a, format, args);
    va_end(args);
    diag_error(e->d, where, "%s", text);
    e->n_noted = 0;
    uint32_t shown = 0;
    span last = where;
    for (uint32_t i = e->calls.len; i-- > 0 && shown < MOST_FRAMES;) {
        span from = e->calls.at[i].where;
        if (from.file && !same_place(from, last)) {
            diag_note(e->d, from, shown++ ? "which is called from here" : "called from here");
            last = from;
        }
    }
    return value_poison();
}

/* Names
 * -------------------------------------------------------------------------------------------- */

/* False when a note on this name went with the last error already, or when there were enough. */
static bool first_note(elab *e, const char *name)
{
    for (uint32_t i = 0; i < e->n_noted; i++) {
        if (e->noted[i] == name) {
            return false;
        }
    }
    if (e->n_noted == sizeof e->noted / sizeof *e->noted) {
        return false;
    }
    e->noted[e->n_noted++] = name;
    return true;
}

static bool by_define(const elab *e, const value *v)
{
    const ast *params = e->model ? e->model->kids[0] : NULL;
    for (uint32_t i = 0; params && i < params->n; i++) {
        if (!same_place(params->kids[i]->where, v->where)) {
            continue;
        }
        for (uint32_t k = 0; e->o && k < e->o->n_defines; k++) {
            if (strcmp(e->o->defines[k].name, params->kids[i]->text) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void note_static(elab *e, const char *name, const value *v)
{
    if (is_static(v) && v->kind != V_NONE && v->where.file && first_note(e, name)) {
        diag_note(e->d, v->where, "%s = %s%s", name, value_text(e, v),
                  by_define(e, v) ? ", by -D" : "");
    }
}

static void note_tensor(elab *e, const char *name, const value *v)
{
    if (is_tensor(v) && name && *name != '%' && v->where.file && first_note(e, name)) {
        diag_note(e->d, v->where, "%s is %s", name, value_text(e, v));
    }
}

static void note_names(elab *e, scope *s, const ast *t, bool tensors)
{
    value v;
    if (t->kind == AST_NAME) {
        if (elab_lookup(e, s, t->text, &v)) {
            tensors ? note_tensor(e, t->text, &v) : note_static(e, t->text, &v);
        }
        return;
    }
    for (uint32_t i = t->kind == AST_CALL; i < t->n; i++) {
        if (t->kids[i]) {
            note_names(e, s, t->kids[i], tensors);
        }
    }
}

void elab_note_names(elab *e, scope *s, const ast *t)
{
    note_names(e, s, t, false);
}

void elab_note_now(elab *e)
{
    if (e->now) {
        note_names(e, e->now_scope, e->now, true);
        note_names(e, e->now_scope, e->now, false);
    }
}

value elab_build_error(elab *e, const ir_builder *b, uint32_t n, const value *operands)
{
    const char *text = b->error.text;
    const char *types = "";
    for (uint32_t i = 0; i < n; i++) {
        types =
            intern_printf(e->names, "%s%s%s", types, i ? " and " : "", value_text(e, &operands[i]));
    }
    elab_error(e, b->loc.where, *types ? "%s (%s)" : "%s", text, types);
    for (uint32_t i = 0; i < n; i++) {
        note_tensor(e, operands[i].name, &operands[i]);
    }
    elab_note_now(e);
    for (uint32_t i = 0; i < n; i++) { /* the sizes the operands were declared with */
        if (operands[i].type) {
            note_names(e, operands[i].type_scope, operands[i].type, false);
        }
    }
    const ir_type *t[2] = {NULL, NULL};
    for (uint32_t i = 0; i < n && i < 2; i++) {
        t[i] = operands[i].kind == V_TENSOR  ? ir_node_type(operands[i].tensor.node)
               : operands[i].kind == V_PARAM ? e->params.at[operands[i].slot.number].type
                                             : NULL;
    }
    if (t[0] && t[1] && strstr(text, "inner sizes") && t[0]->rank && t[1]->rank >= 2 &&
        t[0]->dims[t[0]->rank - 1] == t[1]->dims[t[1]->rank - 1]) {
        diag_help(e->d, "the last axes agree: did you mean to write .T after the second operand?");
    }
    if (*b->error.advice) {
        diag_help(e->d, "%s", b->error.advice);
    }
    return value_poison();
}

/* Spelling
 * ----------------------------------------------------------------------------------------- */

void elab_did_you_mean(elab *e, const char *guess)
{
    if (guess) {
        diag_help(e->d, "did you mean '%s'?", guess);
    }
}

typedef struct names {
    const char *at[MOST_NEAR];
    uint32_t n;
} names;

static void add_names(names *near, const scope *s)
{
    for (uint32_t i = 0; s && i < map_count(s->names) && near->n < MOST_NEAR; i++) {
        uint64_t key;
        void *item;
        map_at(s->names, i, &key, &item);
        const char *name = (const char *)(uintptr_t)key;
        if (*name != '%') {
            near->at[near->n++] = name;
        }
    }
}

const char *elab_nearest_in(const scope *s, const char *name)
{
    names near = {.n = 0};
    add_names(&near, s);
    return diag_nearest(name, near.at, near.n);
}

const char *elab_nearest(elab *e, const scope *s, const char *name)
{
    names near = {.n = 0};
    for (; s; s = s->outer) {
        add_names(&near, s);
        add_names(&near, s->self ? s->self->inst->members : NULL);
    }
    add_names(&near, e->builtins);
    return diag_nearest(name, near.at, near.n);
}
