#include "passes/param_uses.h"

#include <string.h>

typedef struct finder {
    const ir_module *m;
    param_use *uses; /* [n_params] */
} finder;

static param_use *use_of(const finder *f, const ir_node *n)
{
    const ir_param *p =
        n->op == IR_OP_param ? ir_module_param(f->m, ir_node_str(n, IR_ATTR_name)) : NULL;
    return p ? &f->uses[p - f->m->params] : NULL;
}

/* Does operand k of the product have one axis of its own, the result's last, and one summed over?
 */
static bool fits(const ir_node *n, uint32_t k, bool *transposed)
{
    const ir_attr *labels = ir_node_attr(n, IR_ATTR_labels);
    const char *mine = labels->strs[k], *other = labels->strs[1 - k], *out = labels->strs[2];
    size_t last = strlen(out);
    for (int axis = 0; last && strlen(mine) == 2 && axis < 2; axis++) {
        char own = mine[axis], summed = mine[1 - axis];
        if (own == out[last - 1] && !strchr(other, own) && strchr(other, summed) &&
            !strchr(out, summed)) {
            *transposed = axis == 1;
            return true;
        }
    }
    return false;
}

/* Rows that are picked out of a matrix (an embedding) are found in panels as well. */
static void read_at(param_use *u, const ir_node *n, uint32_t k)
{
    bool transposed = n->op == IR_OP_conv_transpose;
    const char *math = ir_node_str(n, IR_ATTR_math);
    if (n->op == IR_OP_contract && n->in[0] != n->in[1] && fits(n, k, &transposed)) {
        u->other |= u->products && u->transposed != transposed;
        u->transposed = transposed;
        u->products++;
        u->bf16 += math && strcmp(math, "bf16") == 0;
    } else if (ir_op_family(n->op) == IR_FAMILY_CONV && k == 1 && n->in[0] != n->in[1]) {
        u->other |= u->convs && u->transposed != transposed;
        u->other |= ir_node_int(n, IR_ATTR_groups, 1) != 1;
        u->transposed = transposed;
        u->convs++;
    } else {
        bool picked = n->op == IR_OP_take && k == 0;
        u->takes += picked;
        u->other |= !picked;
    }
}

/* of[i]: the parameter that node i is, also where a loop's body has it as a capture. */
static void find(finder *f, const ir_graph *g, param_use *const *captured)
{
    arena *a = arena_create();
    param_use **of = arena_array(a, param_use *, ir_graph_size(g));
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        int64_t input = n->op == IR_OP_input ? ir_node_int(n, IR_ATTR_index, 0) : -1;
        of[i] = input >= 0 && captured ? captured[input] : use_of(f, n);
        param_use **inner = arena_array(a, param_use *, n->n_in);
        int64_t carries = n->op == IR_OP_loop ? ir_node_int(n, IR_ATTR_carries, 0) : n->n_in;
        for (uint32_t k = 0; k < n->n_in; k++) {
            param_use *u = of[n->in[k]->id];
            if (u && k >= carries) {
                inner[k] = u;
            } else if (u) {
                read_at(u, n, k);
            }
        }
        for (uint32_t k = 0; k < n->n_bodies; k++) {
            find(f, n->bodies[k], n->op == IR_OP_loop ? inner : NULL);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        param_use *u = of[ir_graph_output(g, i)->node->id];
        if (u) {
            u->other = true;
        }
    }
    arena_destroy(a);
}

param_use *param_uses_of(const ir_module *m, arena *a)
{
    finder f = {m, arena_array(a, param_use, m->n_params)};
    for (uint32_t i = 0; i < m->n_params; i++) {
        f.uses[i].param = &m->params[i];
    }
    for (uint32_t i = 0; i < m->n_entries; i++) { /* what one entry wants another must bear */
        if (m->entries[i].kind == IR_ENTRY) {
            find(&f, m->entries[i].graph, NULL);
        }
    }
    return f.uses;
}
