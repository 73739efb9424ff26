#include "ir/verify.h"
#include "ir/build.h"
#include "ir/op.h"
#include "ir/text.h"

#include <string.h>

typedef struct verifier {
    const ir_graph *g; /* the entry's: conditions are its */
    diag *d;
    ir_stage stage;
    uint32_t depth;
    bool ok;
} verifier;

enum { DEEPEST = 64, MOST_TOLD = 20 };

#define SAY(v, g, n, ...)                                                                          \
    ((v)->ok = false, diag_error_count((v)->d) < MOST_TOLD                                         \
                          ? (diag_error((v)->d, (n)->loc.where, __VA_ARGS__),                      \
                             diag_note((v)->d, (span){0}, "in graph %s: %s", ir_graph_name(g),     \
                                       ir_print_node(n, ir_graph_arena(g))))                       \
                          : (void)0)

static void verify_graph(verifier *v, const ir_graph *g, ir_stage stage);

/* Operands come before their users and belong to the same graph. */
static bool verify_operands(verifier *v, const ir_graph *g, const ir_node *n)
{
    int arity = ir_op_n_in(n->op);
    if (arity >= 0 && n->n_in != (uint32_t)arity) {
        SAY(v, g, n, "%s takes %d operands, has %u", ir_op_name(n->op), arity, n->n_in);
        return false;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_node *x = n->in[i];
        if (!x || x->id >= n->id || ir_graph_node(g, x->id) != x) {
            SAY(v, g, n, "operand %u is not an earlier node of this graph", i);
            return false;
        }
        if (x->n_results != 1 && n->op != IR_OP_get) {
            SAY(v, g, n, "operand %u has %u results: only 'get' takes one of several", i,
                x->n_results);
            return false;
        }
    }
    return true;
}

static void verify_attrs(verifier *v, const ir_graph *g, const ir_node *n)
{
    for (uint32_t i = 1; i < n->n_attrs; i++) {
        if (n->attrs[i].key <= n->attrs[i - 1].key) {
            SAY(v, g, n, "attributes are not in order, each once");
            return;
        }
    }
}

/* The shape rule gives the types the node has. */
static void verify_types(verifier *v, const ir_graph *g, const ir_node *n)
{
    const ir_type *in[256], *results[16];
    uint32_t n_results = 0;
    ir_error e = {0};
    if (n->n_in > 256 ||
        ir_op_family(n->op) == IR_FAMILY_LEAF) { /* leaves say their type themselves */
        return;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = ir_node_type(n->in[i]);
    }
    if (n->op == IR_OP_get) {
        int64_t k = ir_node_int(n, IR_ATTR_index, 0);
        if (k < 0 || k >= n->in[0]->n_results || n->types[0] != n->in[0]->types[k]) {
            SAY(v, g, n, "'get' of a result that is not there, or of another type");
        }
        return;
    }
    if (n->op == IR_OP_kernel || n->op == IR_OP_loop || n->op == IR_OP_attention) {
        return; /* typed by their bodies, which are verified */
    }
    ir_graph *conditions = (ir_graph *)(uintptr_t)(const void *)v->g;
    if (!ir_infer(ir_graph_ctx(g), conditions, n->loc.where, n->op, n->n_in, in, n->n_attrs,
                  n->attrs, n->n_bodies, n->bodies, &n_results, results, &e)) {
        SAY(v, g, n, "the shape rule of %s refuses it: %s", ir_op_name(n->op),
            e.text[0] ? e.text : "?");
        return;
    }
    for (uint32_t i = 0; i < n_results; i++) {
        if (i >= n->n_results || results[i] != n->types[i]) {
            SAY(v, g, n, "result %u has another type than the shape rule of %s gives", i,
                ir_op_name(n->op));
            return;
        }
    }
}

/* What remains after kernels are formed. */
static bool allowed_after_kernels(ir_op op)
{
    static const ir_op allowed[] = {IR_OP_input, IR_OP_param,   IR_OP_state,
                                    IR_OP_const, IR_OP_reshape, IR_OP_kernel,
                                    IR_OP_loop,  IR_OP_get,     IR_OP_extern};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (allowed[i] == op) {
            return true;
        }
    }
    return false;
}

/* Ops that may not stand within a kernel. */
static bool forbidden_within_kernel(ir_op op)
{
    return op == IR_OP_param || op == IR_OP_state || op == IR_OP_loop || op == IR_OP_kernel ||
           op == IR_OP_extern;
}

/* May a kernel that does x do y as well? Reductions go together; norms go before products, and two
 * products side by side. */
static bool may_share_kernel(const char *x, ir_op y, uint32_t count)
{
    const char *family = ir_op_kernel_family(y);
    bool norm = y == IR_OP_rms_norm || y == IR_OP_layer_norm;
    if (strcmp(x, "contract") == 0) {
        return norm || (y == IR_OP_contract && count < 2);
    }
    return strcmp(x, "reduce") == 0 && (strcmp(family, "reduce") == 0 || y == IR_OP_contract);
}

/* The family is that of the ops in the body: one op of it, or as many as may be. */
static void verify_kernel_family(verifier *v, const ir_graph *g, const ir_node *n)
{
    const char *said = ir_node_str(n, IR_ATTR_family), *found = "map";
    uint32_t count = 0;
    bool norms = true; /* nothing but norms among its reductions */
    for (uint32_t i = 0; i < ir_graph_size(n->bodies[0]); i++) {
        ir_op op = ir_graph_node(n->bodies[0], i)->op;
        const char *family = ir_op_kernel_family(op);
        if (forbidden_within_kernel(op)) {
            SAY(v, g, n, "%s cannot stand within a kernel", ir_op_name(op));
            return;
        }
        if (strcmp(family, "map") == 0) {
            continue;
        }
        bool reduces = strcmp(family, "reduce") == 0;
        norms &= !reduces || op == IR_OP_rms_norm || op == IR_OP_layer_norm;
        bool fits = strcmp(found, "map") == 0 || may_share_kernel(found, op, count);
        if (!fits || (op == IR_OP_contract && !norms)) {
            SAY(v, g, n, "one kernel cannot do both %s and %s", found, family);
            return;
        }
        count += op == IR_OP_contract;
        found = reduces && count ? found : family;
    }
    if (!said || strcmp(said, found) != 0) {
        SAY(v, g, n, "this kernel's family is %s, not %s", found, said ? said : "missing");
    }
}

/* A result that is written into an operand's buffer updates that operand. */
static void verify_inplace(verifier *v, const ir_graph *g, const ir_node *n)
{
    const ir_attr *into = ir_node_attr(n, IR_ATTR_inplace);
    for (uint32_t r = 0; into && r < into->n; r++) {
        const ir_node *y =
            r < ir_graph_n_outputs(n->bodies[0]) ? ir_graph_output(n->bodies[0], r)->node : NULL;
        bool fits = into->ints[r] == -1 ||
                    (y && y->op == IR_OP_update && y->n_in == 2 && into->ints[r] >= 0 &&
                     into->ints[r] < ir_graph_n_inputs(n->bodies[0]) &&
                     y->in[0] == ir_graph_input(n->bodies[0], (uint32_t)into->ints[r]));
        if (!fits || into->n != n->n_results) {
            SAY(v, g, n, "result %u is no update of the operand that inplace names", r);
            return;
        }
    }
}

static void verify_node(verifier *v, const ir_graph *g, const ir_node *n, ir_stage stage)
{
    if (!verify_operands(v, g, n)) {
        return;
    }
    verify_attrs(v, g, n);
    verify_types(v, g, n);
    if (stage != IR_STAGE_TENSOR && !allowed_after_kernels(n->op)) {
        SAY(v, g, n, "%s cannot stand outside of a kernel at stage %s", ir_op_name(n->op),
            ir_stage_name(stage));
    }
    if (n->op == IR_OP_kernel && n->n_bodies == 1) {
        verify_kernel_family(v, g, n);
        verify_inplace(v, g, n);
    }
    for (uint32_t i = 0; i < n->n_bodies; i++) {
        verify_graph(v, n->bodies[i], n->op == IR_OP_loop ? stage : IR_STAGE_TENSOR);
    }
}

static void verify_graph(verifier *v, const ir_graph *g, ir_stage stage)
{
    if (++v->depth > DEEPEST) {
        v->ok = false;
        diag_error(v->d, (span){0}, "bodies are nested more than %d deep", DEEPEST);
    }
    for (uint32_t i = 0; i < ir_graph_size(g) && v->depth <= DEEPEST; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->id != i) {
            SAY(v, g, n, "node %u stands at place %u", n->id, i);
            continue;
        }
        verify_node(v, g, n, stage);
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (!o->node || o->node->id >= ir_graph_size(g) ||
            ir_graph_node(g, o->node->id) != o->node) {
            v->ok = false;
            diag_error(v->d, (span){0}, "output %s of graph %s is no node of it",
                       o->name ? o->name : "?", ir_graph_name(g));
        }
    }
    v->depth--;
}

bool ir_verify_graph(const ir_graph *g, ir_stage stage, diag *d)
{
    verifier v = {.g = g, .d = d, .stage = stage, .ok = true};
    if (stage != ir_graph_stage(g)) {
        diag_error(d, (span){0}, "graph %s is of stage %s, not %s", ir_graph_name(g),
                   ir_stage_name(ir_graph_stage(g)), ir_stage_name(stage));
        return false;
    }
    verify_graph(&v, g, stage);
    return v.ok;
}

bool ir_verify_module(const ir_module *m, diag *d)
{
    bool ok = true;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        ok = ir_verify_graph(m->entries[i].graph, ir_graph_stage(m->entries[i].graph), d) && ok;
        for (uint32_t k = 0; k < i; k++) {
            if (m->entries[i].name == m->entries[k].name) {
                diag_error(d, m->entries[i].where, "two entries are named %s", m->entries[i].name);
                ok = false;
            }
        }
    }
    return ok;
}
