#include "cli/compile.h"
#include "backend/codegen.h"
#include "cli/cache.h"
#include "cli/header.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/column_groups.h"

#include <errno.h>
#include <string.h>

compiler *compile_create(void)
{
    arena *a = arena_create();
    compiler *c = a ? arena_new(a, compiler) : NULL;
    if (!c) {
        return NULL;
    }
    *c = (compiler){.a = a, .d = diag_create(a, source_map_create(a))};
    c->ctx = ir_ctx_create(a, intern_create(a));
    return c;
}

void compile_destroy(compiler *c)
{
    if (c) {
        if (c->t) {
            codegen_get(c->d)->target_destroy(c->t);
        }
        arena_destroy(c->a);
    }
}

static const frontend_define *split_defines(compiler *c, const compile_options *o)
{
    frontend_define *out = arena_array(c->a, frontend_define, o->n_defines + 1);
    for (uint32_t i = 0; i < o->n_defines; i++) {
        const char *equals = strchr(o->defines[i], '=');
        if (!equals) {
            diag_error(c->d, (span){0}, "-D %s: expected name=value", o->defines[i]);
            return NULL;
        }
        out[i].name = arena_string_n(c->a, o->defines[i], (size_t)(equals - o->defines[i]));
        out[i].value = arena_string(c->a, equals + 1);
    }
    return out;
}

static bool is_air(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".air") == 0;
}

/* Text comes from outside: its graphs are checked before any pass sees them. */
static ir_module *read_air(compiler *c, const source_file *f)
{
    c->from_text = true;
    ir_module *m = ir_read_module(c->ctx, c->d, f);
    bool ok = m && ir_verify_module(m, c->d);
    for (uint32_t i = 0; ok && i < m->n_entries; i++) {
        ok = column_groups_verify(m->entries[i].graph, c->d);
    }
    return ok ? m : NULL;
}

static ir_module *read_source(compiler *c, const source_file *f, const compile_options *o)
{
    if (is_air(f->path)) {
        if (o->n_defines) {
            diag_error(c->d, (span){0},
                       "-D sets a model's hyper-parameters; in %s they are settled", f->path);
        }
        return read_air(c, f);
    }
    frontend_options fo = {.defines = split_defines(c, o),
                           .n_defines = o->n_defines,
                           .meta = o->weights ? weights_meta_for_frontend : NULL,
                           .meta_data = (void *)(uintptr_t)o->weights,
                           .model = o->model};
    return diag_error_count(c->d) ? NULL : frontend_compile(c->ctx, c->d, f, &fo);
}

/* Read once, whoever asks first: what comes through a pipe is gone then. */
static const source_file *first_source(compiler *c, const char *path)
{
    const source_file *f = source_get(diag_sources(c->d), 1);
    return f ? f : source_read(diag_sources(c->d), path);
}

bool compile_source(compiler *c, const char *path, const compile_options *o)
{
    const source_file *f = first_source(c, path);
    if (!f) {
        diag_error(c->d, (span){0}, "%s: %s", path, strerror(errno));
        return false;
    }
    c->m = read_source(c, f, o);
    if (!c->m || diag_error_count(c->d)) {
        return false;
    }
    if (o->weights) {
        weights_set_storages(c->m, o->weights);
    }
    c->symbol = o->symbol ? arena_string(c->a, o->symbol) : c->m->name;
    return true;
}

bool compile_target(compiler *c, const compile_options *o)
{
    const codegen *g = c->t ? NULL : codegen_get(c->d);
    if (g) {
        c->t = g->target_create(o->target, o->cpu, o->level, c->a, c->d);
    }
    return c->t != NULL;
}

bool compile_passes(compiler *c, const compile_options *o)
{
    if (!compile_target(c, o)) {
        return false;
    }
    pass_options po = {.level = o->level,
                       .panel = c->t->panel,
                       .channels = c->t->channels,
                       .bf16 = o->bf16,
                       .quantize = o->quantize,
                       .bf16_dots = target_bf16_dots(c->t),
                       .verify = o->verify || c->from_text,
                       .explain = o->explain,
                       .after = o->after,
                       .data = o->data};
    return pass_run_all(c->m, c->d, &po) && diag_error_count(c->d) == 0;
}

bool compile_lower(compiler *c, const compile_options *o)
{
    if (c->k) {
        return true;
    }
    if (!compile_passes(c, o)) {
        return false;
    }
    c->k = k_lower_module(c->m, c->a);
    return c->k && diag_error_count(c->d) == 0;
}

static module_options options_of(const compiler *c, const compile_options *o)
{
    return (module_options){.name = c->symbol, .opt_level = o->level, .profile = o->profile};
}

static const void *emit_object(compiler *c, const compile_options *o, size_t *size)
{
    const codegen *g = codegen_get(c->d);
    module_options mo = options_of(c, o);
    return g && compile_lower(c, o) ? g->object(c->k, &mo, c->t, c->a, c->d, size) : NULL;
}

const void *compile_from_cache(compiler *c, const char *path, const compile_options *o,
                               size_t *size)
{
    cache_entry e;
    source_map *imported = source_map_create(c->a); /* apart from what a compilation reads */
    /* Profiles and --explain need more of the compilation than the object. */
    bool enough = !o->no_cache && !o->profile && !o->explain && !o->after;
    const source_file *f = enough ? first_source(c, path) : NULL;
    if (!f) {
        return NULL;
    }
    cache_key k = compile_key(f, o);
    if (!cache_read(&k, imported, c->a, &e)) {
        return NULL;
    }
    c->symbol = e.symbol;
    c->header = e.header;
    *size = e.size;
    return e.object;
}

const char *compile_header(compiler *c)
{
    const char *path = source_get(diag_sources(c->d), 1)->path, *slash = strrchr(path, '/');
    if (!c->header) {
        c->header = header_text(c->m, c->symbol, slash ? slash + 1 : path, c->a);
    }
    return c->header;
}

const void *compile_object(compiler *c, const compile_options *o, size_t *size)
{
    const source_file *f = source_get(diag_sources(c->d), 1);
    const void *object = emit_object(c, o, size);
    /* Warnings are told each time: what gives any is compiled each time. */
    bool keep = object && !o->no_cache && !o->profile && diag_warning_count(c->d) == 0;
    const char *header = keep ? compile_header(c) : NULL;
    if (header) {
        cache_key k = compile_key(f, o);
        cache_entry e = {.symbol = c->symbol, .header = header, .object = object, .size = *size};
        cache_write(&k, &e, diag_sources(c->d));
    }
    return object;
}

const char *compile_text(compiler *c, const compile_options *o, const char *kind)
{
    const codegen *g = codegen_get(c->d);
    module_options mo = options_of(c, o);
    return g && compile_lower(c, o) ? g->text(c->k, &mo, c->t, kind, c->a, c->d) : NULL;
}
