/* From a file of source to object code, stage by stage: what libaigc and the commands share. */
#ifndef AIGC_CLI_COMPILE_H
#define AIGC_CLI_COMPILE_H

#include "backend/module.h"
#include "cli/cache.h"
#include "frontend/frontend.h"
#include "passes/pass.h"
#include "runtime/io/weights_file.h"

typedef struct compile_options {
    const char *const *defines; /* "name=value" */
    uint32_t n_defines;
    const weights_file *weights; /* gives hyper-parameters and storages; or NULL */
    const char *model;           /* which model of the file; NULL: the last */
    const char *target, *cpu;    /* NULL: this machine */
    const char *symbol;          /* NULL: the model's name; the object exports SYMBOL_model */
    int level;                   /* -O */
    bool bf16;                   /* products with parameters are of bf16 */
    const char *quantize;        /* parameters of products are kept so: "q8_0"; NULL: as they are */
    bool profile, no_cache, verify;
    FILE *explain; /* NULL, or where passes say what they did */
    void (*after)(void *data, pass_id id, const ir_entry *e);
    void *data;
} compile_options;

typedef struct compiler {
    arena *a;
    diag *d;
    ir_ctx *ctx;
    ir_module *m;      /* NULL until compile_source succeeds */
    const k_module *k; /* NULL until compile_lower */
    target *t;         /* NULL until compile_lower */
    const char *symbol;
    const char *header; /* what compile_header says, or NULL: not yet asked */
    bool from_text; /* the source was .air: verified after every pass */
} compiler;

compiler *compile_create(void);
void compile_destroy(compiler *c);
/* Each is false where c->d has errors. Stages go in this order; compile_lower runs the passes too.
 */
bool compile_source(compiler *c, const char *path, const compile_options *o);
bool compile_target(compiler *c,
                    const compile_options *o); /* facts of the machine code is made for */
bool compile_passes(compiler *c, const compile_options *o);
bool compile_lower(compiler *c, const compile_options *o);
/* Object code, made anew and put into the cache with its header; in c's arena. */
const void *compile_object(compiler *c, const compile_options *o, size_t *size);
/* The object's header for C, in c's arena: from the cache, or made of what was lowered. NULL: out of
 * memory. */
const char *compile_header(compiler *c);
/* The object made of this file with these options before, without any of the stages above; in c's
 * arena. NULL when there is none. Sets c->symbol and c->header, and nothing else of c. */
const void *compile_from_cache(compiler *c, const char *path, const compile_options *o,
                               size_t *size);
/* "asm" or "llvm" text; in c's arena. */
const char *compile_text(compiler *c, const compile_options *o, const char *kind);

/* weights_meta.c: hyper-parameters and storages from the file of weights. */
bool weights_meta_for_frontend(void *weights, const char *key, frontend_meta *out);
void weights_set_storages(ir_module *m, const weights_file *f);
/* The parameters of a model that is not compiled, as the runtime sees them: to compare with a file.
 * In the arena. */
const aigc_abi_model *weights_params_of(const ir_module *m, arena *a);
/* compile_key.c: everything an object depends on but the files that f imports. */
cache_key compile_key(const source_file *f, const compile_options *o);
/* weights_report.c: tells, at the declarations, which parameters the weights do not have or have
 * otherwise; warns of tensors left over. False when there was an error. */
bool weights_report_all(compiler *c, const weights_file *f);

#endif
