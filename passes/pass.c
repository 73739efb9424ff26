#include "passes/pass.h"
#include "ir/text.h"

#include <string.h>

typedef ir_graph *(*pass_function)(pass_ctx *c, const ir_graph *g);

static const struct {
    pass_info info;
    pass_function run;
} passes[PASS_COUNT] = {
#define PASS(name, level, stage, what) {{#name, level, stage, what}, pass_##name},
#include "passes/passes.def"
};

const pass_info *pass_get(pass_id id)
{
    return &passes[id].info;
}

bool pass_from_name(const char *name, pass_id *id)
{
    for (int i = 0; i < PASS_COUNT; i++) {
        if (strcmp(passes[i].info.name, name) == 0) {
            *id = (pass_id)i;
            return true;
        }
    }
    return false;
}

ir_graph *pass_run(pass_id id, pass_ctx *c, const ir_graph *g)
{
    arena_point scratch = arena_mark(c->scratch);
    ir_graph *r = passes[id].run(c, g);
    arena_release(c->scratch, scratch);
    ir_graph_set_stage(r, passes[id].info.stage);
    return r;
}

static bool run_list(ir_module *m, diag *d, const pass_options *o, const pass_id *ids, uint32_t n)
{
    pass_ctx c = {.module = m, .d = d, .scratch = arena_create(), .level = o->level, .panel = o->panel, .explain = o->explain};
    bool ok = true;
    for (uint32_t k = 0; k < m->n_entries && ok; k++) {
        ir_entry *e = &m->entries[k];
        if (e->kind == IR_OBJECTIVE) {
            continue;
        }
        for (uint32_t i = 0; i < n && ok; i++) {
            e->graph = pass_run(ids[i], &c, e->graph);
            ok = diag_error_count(d) == 0;
            if (o->after) {
                o->after(o->data, ids[i], e);
            }
        }
    }
    arena_destroy(c.scratch);
    return ok;
}

bool pass_run_all(ir_module *m, diag *d, const pass_options *o)
{
    pass_id ids[PASS_COUNT];
    uint32_t n = 0;
    for (int i = 0; i < PASS_COUNT; i++) {
        bool wanted = o->enabled ? (o->enabled >> i & 1) != 0 : passes[i].info.level <= o->level;
        if (wanted) {
            ids[n++] = (pass_id)i;
        }
    }
    return run_list(m, d, o, ids, n);
}

bool pass_run_named(ir_module *m, diag *d, const char *names, const pass_options *o)
{
    pass_id ids[64];
    const char *known[PASS_COUNT];
    uint32_t n = 0;
    for (int i = 0; i < PASS_COUNT; i++) {
        known[i] = passes[i].info.name;
    }
    while (*names && n < 64) {
        char name[64];
        size_t length = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), names);
        if (!pass_from_name(name, &ids[n++])) {
            diag_error(d, (span){0}, "there is no pass '%s'", name);
            const char *guess = diag_nearest(name, known, PASS_COUNT);
            if (guess) {
                diag_help(d, "did you mean '%s'?", guess);
            }
            return false;
        }
        names += length + (names[length] == ',');
    }
    return run_list(m, d, o, ids, n);
}
