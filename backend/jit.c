#include "backend/jit.h"
#include "backend/codegen.h"
#include "backend/image.h"

#include <stdio.h>
#include <stdlib.h>

struct jit {
    image *linked; /* or */
    jit_llvm *by_llvm;
    const jit_linker *linker; /* of by_llvm */
    const aigc_abi_model *model;
};

static void link_by_llvm(jit *j, const void *object, size_t size, const char *name, diag *d)
{
    const codegen *g = codegen_get(d);
    j->linker = g ? &g->link : NULL;
    j->by_llvm = g ? g->link.create(object, size, name, d) : NULL;
    j->model = j->by_llvm ? g->link.model(j->by_llvm) : NULL;
}

jit *jit_create(const void *object, size_t size, const char *name, diag *d)
{
    jit *j = calloc(1, sizeof *j);
    if (!j) {
        return NULL;
    }
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_model", name);
    j->linked = image_link(object, size);
    j->model = j->linked ? image_symbol(j->linked, symbol) : NULL;
    if (!j->model) {
        link_by_llvm(j, object, size, name, d);
    }
    if (!j->model) {
        jit_destroy(j);
        return NULL;
    }
    return j;
}

const aigc_abi_model *jit_model(const jit *j)
{
    return j->model;
}

void jit_destroy(jit *j)
{
    if (!j) {
        return;
    }
    image_destroy(j->linked);
    if (j->by_llvm) {
        j->linker->destroy(j->by_llvm);
    }
    free(j);
}
