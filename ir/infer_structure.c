/* Shape rules: loops, kernels and calls. */
#include "ir/infer.h"
#include "ir/parse_dim.h"

#include <string.h>

static bool inputs_fit(infer *f, const ir_graph *g)
{
    if (ir_graph_n_inputs(g) != f->n_in) {
        return infer_fail(f, "the body takes %u values, %u are given", ir_graph_n_inputs(g),
                          f->n_in);
    }
    for (uint32_t i = 0; i < f->n_in; i++) {
        const ir_type *t = ir_node_type(ir_graph_input(g, i));
        if (t != f->in[i]) {
            return infer_clash(f, (int)i, -1, -1, -1, "the body takes %s, found %s",
                               ir_type_text(f->c, t), ir_type_text(f->c, f->in[i]));
        }
    }
    return true;
}

/* The index's bounds are those that bodies rely on: no turn may go beyond them. */
static bool index_fits(infer *f, const ir_sym *s, const ir_dim *lo, const ir_dim *hi, int64_t step)
{
    const ir_sym *needed = ir_sym_loop(f->c, s->name, lo, hi, step);
    bool low = s->lo <= needed->least->lo, high = s->hi >= needed->most->hi;
    return (low && high) ||
           infer_fail(f, "the index %s has bounds %lld to %lld, but its loop goes from %s to %s",
                      s->name, (long long)s->lo, (long long)s->hi, infer_text(f, needed->least),
                      infer_text(f, needed->most));
}

bool infer_loop(infer *f)
{
    const ir_attr *lo = infer_need(f, IR_ATTR_lo, 1), *hi = infer_need(f, IR_ATTR_hi, 1);
    const ir_attr *step = infer_need(f, IR_ATTR_step, -1), *sym = infer_need(f, IR_ATTR_sym, -1);
    const ir_attr *carries = infer_attr(f, IR_ATTR_carries),
                  *collects = infer_attr(f, IR_ATTR_collects);
    const ir_attr *cond = infer_attr(f, IR_ATTR_cond);
    if (!lo || !hi || !step || !sym) {
        return false;
    }
    int64_t nc = carries ? carries->i : 0, ns = collects ? collects->i : 0;
    if (f->n_bodies != 1 || step->i == 0 || nc < 0 || ns < 0 || nc > f->n_in ||
        nc + ns > INFER_MOST_RESULTS || nc + ns < 1) {
        return infer_fail(f, "a loop has one body, a step, and 1 to %d results",
                          INFER_MOST_RESULTS);
    }
    const ir_graph *g = f->bodies[0];
    bool has_cond = cond && cond->i;
    if (!inputs_fit(f, g) || !index_fits(f, sym->sym, lo->dims[0], hi->dims[0], step->i)) {
        return false;
    }
    if (ir_graph_n_outputs(g) != nc + ns + has_cond) {
        return infer_fail(f, "the body returns %u values, %lld are needed", ir_graph_n_outputs(g),
                          (long long)(nc + ns + has_cond));
    }
    for (int64_t i = 0; i < nc + ns; i++) {
        const ir_type *t = ir_node_type(ir_graph_output(g, (uint32_t)i)->node);
        if (i < nc) {
            if (t != f->in[i]) {
                const char *name = ir_node_str(ir_graph_input(g, (uint32_t)i), IR_ATTR_name);
                return infer_clash(
                    f, (int)i, -1, -1, -1, "the carried value %s changes its type: %s becomes %s",
                    name ? name : "", ir_type_text(f->c, f->in[i]), ir_type_text(f->c, t));
            }
            f->out[f->n_out++] = t;
            continue;
        }
        const ir_dim *dims[IR_MAX_RANK + 1] = {
            ir_loop_turns(f->c, lo->dims[0], hi->dims[0], step->i)};
        for (uint32_t k = 0; k < t->rank; k++) {
            dims[k + 1] = t->dims[k];
        }
        if (!infer_result(f, t->dtype, t->rank + 1, dims)) {
            return false;
        }
    }
    const ir_type *go =
        has_cond ? ir_node_type(ir_graph_output(g, (uint32_t)(nc + ns))->node) : NULL;
    if (go && (go->dtype != IR_bool || go->rank != 0)) {
        return infer_fail(f, "the loop's condition must be bool[], found %s",
                          ir_type_text(f->c, go));
    }
    return true;
}

/* The types of a node with several results stay with it; get picks one. ir_build handles it. */
bool infer_get(infer *f)
{
    return infer_fail(f, "get takes a node with results");
}

bool infer_kernel(infer *f)
{
    if (f->n_bodies != 1 || !infer_need(f, IR_ATTR_family, -1) || !inputs_fit(f, f->bodies[0])) {
        return f->n_bodies == 1 ? false : infer_fail(f, "a kernel has one body");
    }
    uint32_t n = ir_graph_n_outputs(f->bodies[0]);
    if (n < 1 || n > INFER_MOST_RESULTS) {
        return infer_fail(f, "a kernel has 1 to %d results", INFER_MOST_RESULTS);
    }
    for (uint32_t i = 0; i < n; i++) {
        f->out[f->n_out++] = ir_node_type(ir_graph_output(f->bodies[0], i)->node);
    }
    return true;
}

typedef struct wanted_symbol {
    const char *name;
    const ir_sym *found;
} wanted_symbol;

static bool is_wanted(void *data, const ir_sym *s)
{
    wanted_symbol *w = data;
    w->found = s;
    return s->name == w->name;
}

/* A symbol of that name in the operands' types, or of the entry. */
static const ir_sym *symbol_named(void *data, const char *name)
{
    const infer *f = data;
    wanted_symbol w = {name, NULL};
    for (uint32_t i = 0; i < f->n_in; i++) {
        for (uint32_t k = 0; k < f->in[i]->rank; k++) {
            if (ir_dim_any_symbol(f->in[i]->dims[k], is_wanted, &w)) {
                return w.found;
            }
        }
    }
    for (uint32_t i = 0; f->conditions && i < ir_graph_n_syms(f->conditions); i++) {
        if (ir_graph_sym(f->conditions, i)->name == name) {
            return ir_graph_sym(f->conditions, i);
        }
    }
    return NULL;
}

/* The declaration says what comes back, as text. */
bool infer_extern(infer *f)
{
    const ir_attr *types = infer_need(f, IR_ATTR_types, -1);
    if (!types || !infer_need(f, IR_ATTR_target, -1)) {
        return false;
    }
    if (types->n < 1 || types->n > INFER_MOST_RESULTS) {
        return infer_fail(f, "a call has 1 to %d results", INFER_MOST_RESULTS);
    }
    for (uint32_t i = 0; i < types->n; i++) {
        ir_text_cursor cursor = {.at = types->strs[i]};
        const ir_type *t = ir_type_parse(f->c, &cursor, symbol_named, f);
        if (!t || *cursor.at) {
            return infer_fail(f, "\"%s\" is no type: %s", types->strs[i],
                              t ? "something follows it" : cursor.error);
        }
        if (!infer_result(f, t->dtype, t->rank, t->dims)) {
            return false;
        }
    }
    return true;
}
