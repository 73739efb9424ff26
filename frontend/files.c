/* Files and what they import. */
#include "frontend/elab.h"
#include "frontend/std.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file being read, or read. */
struct file_record {
    scope *names;      /* NULL while it is being read */
    const char *shown; /* "blocks.aigc" */
    const ast *import; /* what is being imported by it now */
};

const frontend_std_file *frontend_std_find(const char *name)
{
    for (const frontend_std_file *s = frontend_std_files; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

static const char *last_part(elab *e, const char *path)
{
    const char *slash = strrchr(path, '/');
    path = slash ? slash + 1 : path;
    const char *dot = strstr(path, ".aigc");
    return dot ? intern_n(e->names, path, (size_t)(dot - path)) : intern(e->names, path);
}

static bool has_suffix(const char *s)
{
    size_t n = strlen(s);
    return n > 5 && strcmp(s + n - 5, ".aigc") == 0;
}

/* The same text for one file, however it is reached. */
static const char *canonical(elab *e, const char *path)
{
    char *full = realpath(path, NULL);
    const char *kept = intern(e->names, full ? full : path);
    free(full);
    return kept;
}

/* The import as it should have been written: another file of the folder, or a library; or NULL. */
static const char *nearest_file(elab *e, const char *text, const char *path)
{
    const char *near[256], *slash = strrchr(path, '/'),
                           *folder = slash ? intern_n(e->names, path, (size_t)(slash - path)) : ".";
    const char *written = strrchr(text, '/');
    uint32_t n = 0;
    for (const frontend_std_file *s = frontend_std_files; s->name && n < 256; s++) {
        near[n++] = s->name;
    }
    DIR *d = opendir(folder);
    for (struct dirent *k; d && n < 256 && (k = readdir(d));) {
        if (has_suffix(k->d_name)) {
            near[n++] =
                intern_printf(e->names, "%.*s%.*s", written ? (int)(written - text + 1) : 0, text,
                              (int)(strlen(k->d_name) - (has_suffix(text) ? 0 : 5)), k->d_name);
        }
    }
    if (d) {
        closedir(d);
    }
    return diag_nearest(text, near, n);
}

/* The files from one that is being read, and imported again, back to itself. */
static void tell_cycle(elab *e, const ast *t, const file_record *again)
{
    const char *way = again->shown;
    uint32_t first = 0;
    while (e->reading.at[first] != again) {
        first++;
    }
    for (uint32_t i = first + 1; i < e->reading.len; i++) {
        way = intern_printf(e->names, "%s, %s", way, e->reading.at[i]->shown);
    }
    elab_error(e, t->where, "the files import each other: %s, and %s again", way, again->shown);
    for (uint32_t i = e->reading.len - 1; i-- > 0;) {
        diag_note(e->d, e->reading.at[i]->import->where, "%s is imported here",
                  e->reading.at[i + 1]->shown);
    }
    diag_help(e->d, "put what both need into a third file");
}

static scope *import(elab *e, const ast *t)
{
    const frontend_std_file *std = frontend_std_find(t->text);
    const char *path;
    if (std) {
        path = intern_printf(e->names, "<std>/%s.aigc", std->name);
    } else { /* beside the importing file */
        const source_file *from = source_get(diag_sources(e->d), t->where.file);
        const char *slash = from ? strrchr(from->path, '/') : NULL;
        int n = slash ? (int)(slash - from->path + 1) : 0;
        path = intern_printf(e->names, "%.*s%s%s", n, from ? from->path : "", t->text,
                             has_suffix(t->text) ? "" : ".aigc");
    }
    file_record *known = map_get(e->files, map_key(canonical(e, path)));
    if (known && !known->names) {
        tell_cycle(e, t, known);
        return NULL;
    }
    if (known) {
        return known->names;
    }
    const source_file *f = std ? source_add(diag_sources(e->d), path, std->text, std->size)
                               : source_read(diag_sources(e->d), path);
    if (!f) {
        elab_error(e, t->where, "cannot import '%s': %s: %s", t->text, path, strerror(errno));
        elab_did_you_mean(e, nearest_file(e, t->text, path));
        return NULL;
    }
    e->reading.at[e->reading.len - 1]->import = t;
    const ast *tree;
    return load_file(e, f, &tree);
}

static value item_value(elab *e, scope *s, const ast *k)
{
    value v = {.kind = V_POISON, .where = k->name_where, .name = k->text};
    v.code.decl = k;
    v.code.scope = s;
    switch (k->kind) {
    case AST_MODULE:
    case AST_MODEL:
        v.kind = V_CLASS;
        break;
    case AST_FN:
        v.kind = V_FN;
        break;
    case AST_OP:
        v.kind = V_OP;
        break;
    case AST_EXTERN:
        v.kind = V_EXTERN;
        break;
    case AST_CONST:
        v = eval_const(e, s, k);
        break;
    default:
        break;
    }
    return v;
}

bool is_broken(const elab *e, const ast *decl)
{
    return map_get(e->broken, map_key(decl)) != NULL;
}

/* Functions with a mistake of syntax in them: what their other statements mean is uncertain. */
static void mark_broken(elab *e, const ast *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const ast *k = t->kids[i];
        if (!k) {
            continue;
        }
        if (k->kind == AST_FN || k->kind == AST_ENTRY || k->kind == AST_OBJECTIVE ||
            k->kind == AST_OP) {
            if (diag_has_error_in(e->d, k->where)) {
                map_set(e->broken, map_key(k), (void *)(uintptr_t)(const void *)k);
            }
        } else if (k->kind == AST_MODULE || k->kind == AST_MODEL || k->kind == AST_BLOCK ||
                   k->kind == AST_IF) {
            mark_broken(e, k);
        }
    }
}

scope *load_file(elab *e, const source_file *f, const ast **tree)
{
    file_record *record = arena_new(e->a, file_record);
    *record = (file_record){.shown = intern_printf(e->names, "%s.aigc", last_part(e, f->path))};
    map_set(e->files, map_key(canonical(e, f->path)), record);
    vec_push(e->a, &e->reading, record);
    uint32_t errors = diag_error_count(e->d);
    const ast *t = ast_parse(e->a, e->names, e->d, f);
    *tree = t;
    if (diag_error_count(e->d) != errors) {
        e->damaged = true;
        e->lost |= !t->i;
        mark_broken(e, t);
    }
    check_declarations(e, t);
    scope *s = scope_create(e, NULL);
    for (uint32_t i = 0; i < t->n; i++) {
        const ast *k = t->kids[i];
        if (k->kind == AST_IMPORT) {
            scope *names = import(e, k);
            const char *name = last_part(e, k->text);
            value v = {.kind = names ? V_NAMESPACE : V_POISON,
                       .where = k->where,
                       .name = name,
                       .names = names};
            scope_set(e, s, name, v);
        } else if (k->kind != AST_ERROR) {
            scope_set(e, s, k->text, is_twice(e, k) ? value_poison() : item_value(e, s, k));
        }
    }
    e->reading.len--;
    record->names = s;
    return s;
}
