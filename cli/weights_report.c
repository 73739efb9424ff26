/* A model against a file of weights: what is missing, of another shape or left over, told at the
 * declarations. */
#include "cli/compile.h"
#include "runtime/io/weights_load.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_NAMED = 4, MOST_NEAR = 512, NAME_ROOM = 512 };

typedef struct report {
    compiler *c;
    const weights_file *f;
    const aigc_abi_model *params;
    bool *used; /* tensors of the file */
} report;

/* Parameters of one module of a library are told about together, where the user made the module. */
static span place_of(const ir_param *p)
{
    return p->made.file ? p->made : p->where;
}

static bool same_place(span a, span b)
{
    return a.file == b.file && a.begin == b.begin;
}

static const char *dims_text(arena *a, uint32_t rank, const int64_t *dims)
{
    const char *text = "[";
    for (uint32_t i = 0; i < rank; i++) {
        text = arena_printf(a, "%s%s%" PRId64, text, i ? ", " : "", dims[i]);
    }
    return arena_printf(a, "%s]", text);
}

static const char *nearest_unused(const report *r, const char *name)
{
    const char *near[MOST_NEAR];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->f->n_tensors && n < MOST_NEAR; i++) {
        if (!r->used[i]) {
            near[n++] = r->f->tensors[i].name;
        }
    }
    return diag_nearest(name, near, n);
}

/* All missing tensors of the parameters declared, or made, at one place: one error. */
static void tell_missing(const report *r, uint32_t first)
{
    const ir_module *m = r->c->m;
    arena *a = r->c->a;
    span where = place_of(&m->params[first]);
    const char *named = "", *near = NULL;
    char name[NAME_ROOM];
    uint32_t n = 0;
    for (uint32_t i = first; i < m->n_params; i++) {
        for (uint32_t k = 0;
             same_place(place_of(&m->params[i]), where) && k < r->params->params[i].slots; k++) {
            if (weights_match(r->f, &r->params->params[i], k, name)) {
                continue;
            }
            near = n == 0 ? nearest_unused(r, name) : near;
            if (n++ < MOST_NAMED) {
                named = arena_printf(a, "%s%s'%s' (%s)", named, n > 1 ? ", " : "", name,
                                     ir_type_text(r->c->ctx, m->params[i].type));
            }
        }
    }
    const char *more = n > MOST_NAMED ? arena_printf(a, " and %u more", n - MOST_NAMED) : "";
    diag_error(r->c->d, where, "the weights have no tensor%s %s%s", n > 1 ? "s" : "", named, more);
    if (m->params[first].made.file) {
        diag_note(r->c->d, m->params[first].where, "declared here");
    }
    if (near) {
        diag_help(r->c->d, "did you mean '%s'? A second name is given by: alias \"%s\" = ...", near,
                  near);
    }
}

/* How many like ones from the first on the file has, where it has none after those; else -1. */
static int64_t leading(const report *r, uint32_t i)
{
    const aigc_abi_param *p = &r->params->params[i];
    char name[NAME_ROOM];
    uint32_t n = 0;
    while (n < p->slots && weights_match(r->f, p, n, name)) {
        n++;
    }
    for (uint32_t k = n; k < p->slots; k++) {
        if (weights_match(r->f, p, k, name)) {
            return -1;
        }
    }
    return n;
}

/* A list of modules the file has fewer of: one error for all that is missing of them. */
static void tell_short_list(const report *r, uint32_t first, bool *missing)
{
    const ir_module *m = r->c->m;
    const ir_param *p = &m->params[first];
    int64_t there = p->n_indices == 1 ? leading(r, first) : -1;
    if (there <= 0 || there == p->counts[0]) {
        return;
    }
    for (uint32_t i = 0; i < m->n_params; i++) {
        if (same_place(m->params[i].list, p->list) &&
            (m->params[i].n_indices != 1 || leading(r, i) != there)) {
            return;
        }
    }
    char name[NAME_ROOM];
    (void)weights_match(r->f, &r->params->params[first], (uint32_t)there, name);
    diag_error(r->c->d, p->list,
               "the weights have %" PRId64 " of these %" PRId64 ": there is no '%s'", there,
               p->counts[0], name);
    for (uint32_t i = 0; i < m->n_params; i++) {
        missing[i] &= !same_place(m->params[i].list, p->list);
    }
}

static bool is_number(uint8_t dtype)
{
    return dtype <= AIGC_BF16 || aigc_dtype_block(dtype) > 1;
}

/* False, with an error, when tensor t cannot become parameter i. */
static bool tensor_fits(const report *r, uint32_t i, const weights_tensor *t, const char *name)
{
    const ir_param *p = &r->c->m->params[i];
    const aigc_abi_param *like = &r->params->params[i];
    const char *type = ir_type_text(r->c->ctx, p->type);
    span where = place_of(p);
    if (t->dtype == AIGC_DTYPE_NONE) {
        diag_error(r->c->d, where, "'%s' is kept in the weights as %s, which is not supported",
                   name, t->storage);
        return false;
    }
    bool same =
        t->rank == like->rank && memcmp(t->dims, like->dims, t->rank * sizeof *t->dims) == 0;
    if (same && is_number(t->dtype) == is_number(like->storage)) {
        return true;
    }
    if (same) {
        diag_error(r->c->d, where, "'%s' is %s, the weights have %s", name, type, t->storage);
        return false;
    }
    diag_error(r->c->d, where, "'%s' is %s, the weights have %s", name, type,
               dims_text(r->c->a, t->rank, t->dims));
    if (p->made.file) {
        diag_note(r->c->d, p->where, "declared here");
    }
    if (t->rank == 2 && like->rank == 2 && t->dims[0] == like->dims[1] &&
        t->dims[1] == like->dims[0]) {
        diag_help(r->c->d,
                  "the weights keep the transpose: declare it %s[%" PRId64 ", %" PRId64
                  "] and write .T where it is used",
                  ir_dtype_name(p->type->dtype), t->dims[0], t->dims[1]);
    }
    return false;
}

static void tell_left_over(const report *r)
{
    const char *named = "";
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->f->n_tensors; i++) {
        if (!r->used[i] && n++ < MOST_NAMED) {
            named =
                arena_printf(r->c->a, "%s%s'%s'", named, n > 1 ? ", " : "", r->f->tensors[i].name);
        }
    }
    if (n) {
        diag_warning(r->c->d, (span){0},
                     "%u tensor%s of the weights %s not used by this model: %s%s", n,
                     n > 1 ? "s" : "", n > 1 ? "are" : "is", named, n > MOST_NAMED ? ", ..." : "");
    }
}

bool weights_report_all(compiler *c, const weights_file *f)
{
    report r = {.c = c, .f = f, .params = weights_params_of(c->m, c->a)};
    r.used = arena_array(c->a, bool, f->n_tensors + 1);
    const ir_module *m = c->m;
    bool *missing = arena_array(c->a, bool, m->n_params + 1);
    uint32_t errors = diag_error_count(c->d);
    for (uint32_t i = 0; i < m->n_params; i++) {
        bool told = false;
        for (uint32_t k = 0; k < r.params->params[i].slots; k++) {
            char name[NAME_ROOM];
            const weights_tensor *t = weights_match(f, &r.params->params[i], k, name);
            missing[i] |= t == NULL;
            if (t) {
                r.used[t - f->tensors] = true;
                told = told || !tensor_fits(&r, i, t, name); /* like ones are told once */
            }
        }
    }
    for (uint32_t i = 0; i < m->n_params; i++) {
        if (missing[i] && m->params[i].list.file) {
            tell_short_list(&r, i, missing);
        }
    }
    for (uint32_t i = 0; i < m->n_params; i++) {
        bool first = missing[i];
        for (uint32_t k = 0; k < i && first; k++) {
            first = !missing[k] || !same_place(place_of(&m->params[k]), place_of(&m->params[i]));
        }
        if (first) {
            tell_missing(&r, i);
        }
    }
    if (diag_error_count(c->d) == errors) {
        tell_left_over(&r);
    }
    return diag_error_count(c->d) == errors;
}
