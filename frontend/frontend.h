/* From a .aigc file to the IR. */
#ifndef AIGC_FRONTEND_FRONTEND_H
#define AIGC_FRONTEND_FRONTEND_H

#include "ir/module.h"
#include "support/diag.h"

typedef struct frontend_define { /* -D name=value */
    const char *name, *value;
} frontend_define;

/* A hyper-parameter that comes with the weights. */
typedef struct frontend_meta {
    enum { FRONTEND_META_INT, FRONTEND_META_FLOAT, FRONTEND_META_BOOL, FRONTEND_META_STR } kind;
    int64_t i; /* INT, BOOL */
    double f;
    const char *s; /* copied by the caller's arena or longer-lived */
} frontend_meta;

typedef struct frontend_options {
    const frontend_define *defines;
    uint32_t n_defines;
    /* Looks a key up in what comes with the weights; false when there is none. May be NULL. */
    bool (*meta)(void *data, const char *key, frontend_meta *out);
    void *meta_data;
    const char *model; /* which model of the file; NULL: its only one, or the last */
} frontend_options;

/* Parses, elaborates and type-checks. NULL when there were errors, all of them in d. */
ir_module *frontend_compile(ir_ctx *c, diag *d, const source_file *f, const frontend_options *o);

#endif
