/* What can be told about declarations before anything is evaluated: names that are taken, C
 * functions. */
#include "frontend/elab.h"

#include <string.h>

/* Names of one block, with where they were declared; those of the blocks around are seen through
 * `outer`. */
typedef struct taken {
    map *names; /* interned name -> const span* */
    const struct taken *outer;
} taken;

static void take(elab *e, taken *names, const char *name, const span *where)
{
    for (const taken *k = names; k; k = k->outer) {
        const span *first = map_get(k->names, map_key(name));
        if (first) {
            elab_error(e, *where, "'%s' is declared twice", name);
            diag_note(e->d, *first, "first here");
            map_set(e->twice, map_key(first), (void *)(uintptr_t)(const void *)first);
            map_set(e->twice, map_key(where), (void *)(uintptr_t)(const void *)where);
            return;
        }
    }
    map_set(names->names, map_key(name), (void *)(uintptr_t)(const void *)where);
}

bool is_twice(const elab *e, const ast *t)
{
    return map_get(e->twice, map_key(t->text ? &t->name_where : &t->where)) != NULL;
}

static void check_params(elab *e, const ast *params)
{
    taken names = {.names = map_create(e->a)};
    for (uint32_t i = 0; i < params->n; i++) {
        if (params->kids[i]->kind == AST_PARAM) {
            take(e, &names, params->kids[i]->text, &params->kids[i]->where);
        }
    }
}

static void check_member(elab *e, taken *names, const ast *t)
{
    switch (t->kind) {
    case AST_BLOCK: /* several names of one type */
        for (uint32_t i = 0; i < t->n; i++) {
            check_member(e, names, t->kids[i]);
        }
        break;
    case AST_IF: /* one branch or the other */
        for (uint32_t i = 1; i < 3; i++) {
            taken branch = {map_create(e->a), names};
            if (t->kids[i]) {
                check_member(e, &branch, t->kids[i]);
            }
        }
        break;
    case AST_STATE:
        for (uint32_t i = 1; i < t->n; i++) {
            take(e, names, t->kids[i]->text, &t->kids[i]->name_where);
        }
        break;
    case AST_FN:
    case AST_ENTRY:
    case AST_OBJECTIVE:
        check_params(e, t->kids[0]);
        take(e, names, t->text ? t->text : intern(e->names, "fn"),
             t->text ? &t->name_where : &t->where);
        break;
    case AST_WEIGHT:
    case AST_MEMBER:
    case AST_CONST:
        take(e, names, t->text, &t->name_where);
        break;
    default:
        break;
    }
}

static void check_extern(elab *e, const ast *t)
{
    for (uint32_t i = 0; i < t->kids[0]->n; i++) {
        const ast *p = t->kids[0]->kids[i];
        if (p->kind == AST_PARAM && !p->kids[0]) {
            elab_error(e, p->where, "argument '%s' of an extern function needs a type", p->text);
            diag_help(e->d, "as in '%s: f32[N]'", p->text);
        }
    }
    const char *target = t->kids[2]->text, *colon = strrchr(target, ':');
    if (!colon || colon == target || !colon[1]) {
        elab_error(e, t->kids[2]->where,
                   "an extern function is named 'library:function', found '%s'", target);
        diag_help(e->d, "as in \"lib%s.so:%s\"", t->text, t->text);
    }
}

void check_declarations(elab *e, const ast *file)
{
    taken items = {.names = map_create(e->a)};
    for (uint32_t i = 0; i < file->n; i++) {
        const ast *t = file->kids[i];
        if (t->kind == AST_ERROR || t->kind == AST_IMPORT) {
            continue;
        }
        take(e, &items, t->text, &t->name_where);
        if (t->kind == AST_MODULE || t->kind == AST_MODEL) {
            taken members = {.names = map_create(e->a)};
            check_params(e, t->kids[0]);
            check_member(e, &members, t->kids[1]);
        } else if (t->kind != AST_CONST) {
            check_params(e, t->kids[0]);
        }
        if (t->kind == AST_EXTERN) {
            check_extern(e, t);
        }
    }
}
