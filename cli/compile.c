#include "cli/compile.h"
#include "cli/cache.h"
#include "ir/text.h"
#include "ir/verify.h"

#include <errno.h>
#include <llvm-c/Core.h>
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
            target_destroy(c->t);
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
    return m && ir_verify_module(m, c->d) ? m : NULL;
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

bool compile_source(compiler *c, const char *path, const compile_options *o)
{
    const source_file *f = source_read(diag_sources(c->d), path);
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
    if (!c->t) {
        c->t = target_create(o->target, o->cpu, o->level, c->a, c->d);
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
                       .verify = o->verify || c->from_text,
                       .explain = o->explain,
                       .after = o->after,
                       .data = o->data};
    return pass_run_all(c->m, c->d, &po) && diag_error_count(c->d) == 0;
}

bool compile_lower(compiler *c, const compile_options *o)
{
    if (!compile_passes(c, o)) {
        return false;
    }
    c->k = k_lower_module(c->m, c->a);
    return c->k && diag_error_count(c->d) == 0;
}

/* Everything the object depends on, as text: the planned IR, the sources (for the places named in
 * messages), the target and the options. */
static cache_key key_of(compiler *c, const compile_options *o)
{
    cache_key k = cache_key_begin();
    cache_key_text(&k, ir_print_module(c->m, c->a));
    for (uint32_t i = 1;; i++) {
        const source_file *f = source_get(diag_sources(c->d), i);
        if (!f) {
            break;
        }
        cache_key_text(&k, f->path);
        cache_key_bytes(&k, f->text, f->size);
    }
    cache_key_text(&k, c->t->triple);
    cache_key_text(&k, c->t->cpu);
    cache_key_text(&k, c->t->features);
    cache_key_text(&k, c->symbol);
    cache_key_bytes(&k, &o->level, sizeof o->level);
    cache_key_bytes(&k, &o->profile, sizeof o->profile);
    return k;
}

static LLVMModuleRef emit_module(compiler *c, const compile_options *o, LLVMContextRef ctx)
{
    if (!c->k) {
        c->k = k_lower_module(c->m, c->a);
    }
    module_options mo = {.name = c->symbol, .opt_level = o->level, .profile = o->profile};
    return c->k ? module_emit(c->k, &mo, c->t, ctx, c->d) : NULL;
}

static const void *emit_object(compiler *c, const compile_options *o, bool assembly, size_t *size)
{
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMModuleRef m = emit_module(c, o, ctx);
    LLVMMemoryBufferRef b = m ? module_compile(m, c->t, assembly, c->d) : NULL;
    const void *out = NULL;
    if (b) {
        *size = LLVMGetBufferSize(b);
        out = arena_string_n(c->a, LLVMGetBufferStart(b), *size);
        LLVMDisposeMemoryBuffer(b);
    }
    if (m) {
        LLVMDisposeModule(m);
    }
    LLVMContextDispose(ctx);
    return out;
}

const void *compile_object(compiler *c, const compile_options *o, size_t *size)
{
    if (!compile_passes(c, o)) {
        return NULL;
    }
    if (o->no_cache) {
        return emit_object(c, o, false, size);
    }
    cache_key k = key_of(c, o);
    const void *object = cache_read(&k, c->a, size);
    c->from_cache = object != NULL;
    if (!object) {
        object = emit_object(c, o, false, size);
        if (object) {
            cache_write(&k, object, *size);
        }
    }
    return object;
}

const char *compile_text(compiler *c, const compile_options *o, const char *kind)
{
    if (!compile_lower(c, o)) {
        return NULL;
    }
    if (strcmp(kind, "asm") == 0) {
        size_t size;
        return emit_object(c, o, true, &size);
    }
    LLVMContextRef ctx = LLVMContextCreate();
    LLVMModuleRef m = emit_module(c, o, ctx);
    const char *out = NULL;
    if (m) {
        char *text = LLVMPrintModuleToString(m);
        out = arena_string(c->a, text);
        LLVMDisposeMessage(text);
        LLVMDisposeModule(m);
    }
    LLVMContextDispose(ctx);
    return out;
}
