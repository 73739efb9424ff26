#include "passes/pass.h"
#include "passes/column_groups.h"
#include "passes/shares.h"

#include "ir/verify.h"
#include "passes/plan.h"

#include <string.h>
#include <time.h>

static const pass_info infos[PASS_COUNT] = {
#define PASS(name, level, stage, what) {#name, level, stage, what},
#include "passes/passes.def"
};

typedef ir_graph *(*pass_function)(pass_ctx *c, const ir_graph *g);
static const pass_function functions[PASS_COUNT] = {
#define PASS(name, ...) pass_##name,
#include "passes/passes.def"
};

const pass_info *pass_get(pass_id id)
{
    return &infos[id];
}

bool pass_from_name(const char *name, pass_id *id)
{
    for (int i = 0; i < PASS_COUNT; i++) {
        if (strcmp(infos[i].name, name) == 0) {
            *id = (pass_id)i;
            return true;
        }
    }
    return false;
}

ir_graph *pass_run(pass_id id, pass_ctx *c, const ir_graph *g)
{
    arena_point mark = arena_mark(c->scratch);
    ir_graph *out = functions[id](c, g);
    arena_release(c->scratch, mark);
    return out;
}

/* Frees what only the replaced graph used; bodies that the new one has stay. */
static void destroy_replaced(const ir_module *m, const ir_graph *old)
{
    for (uint32_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].graph == old) {
            return;
        }
    }
    ir_graph_destroy((ir_graph *)(uintptr_t)(const void *)old);
}

static bool run_on_entry(ir_module *m, pass_ctx *c, pass_id id, ir_entry *e, const pass_options *o)
{
    const ir_graph *old = e->graph;
    uint32_t errors = diag_error_count(c->d);
    e->graph = pass_run(id, c, old);
    if (e->graph != old) {
        destroy_replaced(m, old);
    }
    if (diag_error_count(c->d) != errors) {
        return false;
    }
    if (o->verify && !(ir_verify_graph(e->graph, ir_graph_stage(e->graph), c->d) &&
                       column_groups_verify(e->graph, c->d))) {
        diag_note(c->d, (span){0}, "found after the pass %s, in entry %s", infos[id].name, e->name);
        return false;
    }
    if (o->verify && id >= PASS_partition && !shares_verify(e->graph, c->d)) {
        diag_note(c->d, (span){0}, "found in the shares of entry %s", e->name);
        return false;
    }
    if (o->verify && id >= PASS_plan_memory && !plan_verify(m, e->graph, c->d)) {
        diag_note(c->d, (span){0}, "found in the memory plan of entry %s", e->name);
        return false;
    }
    if (o->after) {
        o->after(o->data, id, e);
    }
    return true;
}

/* Is the pass one for graphs of this stage? Those read from text may be further on. */
static bool is_behind(pass_id id, const ir_graph *g)
{
    ir_stage before = id ? infos[id - 1].stage : IR_STAGE_TENSOR;
    return ir_graph_stage(g) > before;
}

static void forget_plans(ir_module *m, pass_ctx *c)
{
    for (uint32_t i = 0; i < m->n_entries; i++) {
        const ir_graph *old = m->entries[i].graph;
        if (m->entries[i].kind == IR_ENTRY && ir_graph_stage(old) == IR_STAGE_PLANNED) {
            m->entries[i].graph = plan_forget(c, old);
            destroy_replaced(m, old);
        }
    }
}

static bool run_pass(ir_module *m, pass_ctx *c, pass_id id, bool forward, const pass_options *o)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool ok = true;
    for (uint32_t i = 0; i < m->n_entries && ok; i++) {
        if (m->entries[i].kind == IR_ENTRY && !(forward && is_behind(id, m->entries[i].graph))) {
            ok = run_on_entry(m, c, id, &m->entries[i], o);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (c->explain) {
        double ms =
            (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
        fprintf(c->explain, "pass %s: %.2f ms\n", infos[id].name, ms);
    }
    return ok;
}

static pass_ctx begin(ir_module *m, diag *d, const pass_options *o)
{
    return (pass_ctx){.module = m,
                      .d = d,
                      .scratch = arena_create(),
                      .level = o->level,
                      .panel = o->panel,
                      .channels = o->channels,
                      .bf16 = o->bf16,
                      .quantize = o->quantize,
                      .bf16_dots = o->bf16_dots,
                      .explain = o->explain};
}

bool pass_run_all(ir_module *m, diag *d, const pass_options *o)
{
    pass_ctx c = begin(m, d, o);
    bool ok = true;
    forget_plans(m, &c);
    for (int id = 0; id < PASS_COUNT && ok; id++) {
        bool wanted = o->enabled ? (o->enabled >> id) & 1 : infos[id].level <= o->level;
        ok = !wanted || run_pass(m, &c, (pass_id)id, true, o);
    }
    arena_destroy(c.scratch);
    return ok;
}

bool pass_run_named(ir_module *m, diag *d, const char *names, const pass_options *o)
{
    pass_ctx c = begin(m, d, o);
    bool ok = true;
    while (*names && ok) {
        size_t n = strcspn(names, ",");
        char *name = arena_string_n(c.scratch, names, n);
        pass_id id;
        if (pass_from_name(name, &id)) {
            ok = run_pass(m, &c, id, false, o);
        } else if (n) {
            const char *known[PASS_COUNT];
            for (int i = 0; i < PASS_COUNT; i++) {
                known[i] = infos[i].name;
            }
            const char *near = diag_nearest(name, known, PASS_COUNT);
            diag_error(d, (span){0}, "there is no pass %s", name);
            if (near) {
                diag_help(d, "did you mean %s?", near);
            }
            ok = false;
        }
        names += n + (names[n] == ',');
    }
    arena_destroy(c.scratch);
    return ok;
}
