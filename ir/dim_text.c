/* Dims as text; parse_dim.c reads it back. */
#include "ir/dim_impl.h"

#include <stdio.h>
#include <stdlib.h>

static void write_atom(ir_ctx *c, FILE *out, const ir_atom *t)
{
    static const char *const names[] = {
        [IR_ATOM_FLOORDIV] = "floordiv",
        [IR_ATOM_MOD] = "mod",
        [IR_ATOM_MIN] = "min",
        [IR_ATOM_MAX] = "max",
    };
    if (t->kind == IR_ATOM_SYM) {
        fputs(t->sym->name, out);
    } else {
        fprintf(out, "%s(%s, %s)", names[t->kind], ir_dim_text(c, t->a), ir_dim_text(c, t->b));
    }
}

static void write_term(ir_ctx *c, FILE *out, const ir_term *t)
{
    uint64_t size = t->coef < 0 ? 0 - (uint64_t)t->coef : (uint64_t)t->coef;
    const char *times = "";
    if (size != 1 || t->n_factors == 0) {
        fprintf(out, "%llu", (unsigned long long)size);
        times = "*";
    }
    for (uint32_t j = 0; j < t->n_factors; j++) {
        for (uint32_t k = 0; k < t->factors[j].power; k++) {
            fputs(times, out);
            write_atom(c, out, t->factors[j].atom);
            times = "*";
        }
    }
}

static const char *write_dim(ir_ctx *c, const ir_dim *d)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "?";
    }
    for (uint32_t i = 0; i < d->n_terms; i++) {
        bool minus = d->terms[i].coef < 0;
        fputs(i == 0 ? (minus ? "-" : "") : (minus ? " - " : " + "), out);
        write_term(c, out, &d->terms[i]);
    }
    fclose(out);
    const char *kept = intern_n(c->names, text, size);
    free(text);
    return kept;
}

const char *ir_dim_text(ir_ctx *c, const ir_dim *d)
{
    if (d->overflow || d->n_terms == 0) {
        return intern(c->names, d->overflow ? "overflow" : "0");
    }
    const char *known = map_get(c->texts, map_key(d));
    if (!known) {
        known = write_dim(c, d);
        map_set(c->texts, map_key(d), (void *)(uintptr_t)known);
    }
    return known;
}
