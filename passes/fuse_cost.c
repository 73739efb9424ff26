#include "passes/fuse_cost.h"

#include "passes/access.h"
#include "passes/kernel_form.h"

double fuse_op_cost(const ir_node *n)
{
    switch (n->op) {
    case IR_OP_exp:
    case IR_OP_exp2:
    case IR_OP_expm1:
    case IR_OP_log:
    case IR_OP_log2:
    case IR_OP_log1p:
    case IR_OP_tanh:
    case IR_OP_sigmoid:
    case IR_OP_silu:
    case IR_OP_softplus:
        return 2.5;
    case IR_OP_erf:
    case IR_OP_gelu:
    case IR_OP_gelu_tanh:
    case IR_OP_atan:
        return 4;
    case IR_OP_sin:
    case IR_OP_cos:
    case IR_OP_tan:
    case IR_OP_atan2:
    case IR_OP_pow:
        return 6;
    case IR_OP_random:
        return 12;
    case IR_OP_div:
    case IR_OP_sqrt:
    case IR_OP_rsqrt:
    case IR_OP_recip:
    case IR_OP_mod:
    case IR_OP_floor_div:
        return 0.8;
    case IR_OP_concat:
        return 0.3 * n->n_in;
    case IR_OP_take:
    case IR_OP_gather:
        return 1;
    default:
        return ir_op_family(n->op) == IR_FAMILY_ELEMENTWISE ? 0.25 : 0;
    }
}

static bool guess(void *data, const ir_sym *s, int64_t *value)
{
    (void)data;
    *value = s->hi < 256 ? s->hi : 256;
    *value = *value < s->lo ? s->lo : *value;
    return true;
}

double fuse_extent(const ir_dim *d)
{
    int64_t value;
    return ir_dim_eval(d, guess, NULL, &value) ? (double)(value < 0 ? 0 : value) : 1e9;
}

double fuse_elems(const ir_type *t)
{
    double n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= fuse_extent(t->dims[i]);
    }
    return n;
}

bool fuse_is_pointwise(const ir_node *n)
{
    switch (ir_op_family(n->op)) {
    case IR_FAMILY_ELEMENTWISE:
        return true;
    case IR_FAMILY_MOVE:
        return n->op != IR_OP_update;
    case IR_FAMILY_LEAF:
        return n->op == IR_OP_iota || n->op == IR_OP_dim || n->op == IR_OP_random ||
               form_is_immediate(n);
    default:
        return false;
    }
}

fuse_tree fuse_tree_costs(const ir_graph *g, const uint32_t *uses, arena *a)
{
    uint32_t size = ir_graph_size(g);
    fuse_tree t = {arena_array(a, double, size), arena_array(a, double, size)};
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (!fuse_is_pointwise(n)) {
            t.loads[i] = 1;
            continue;
        }
        t.ops[i] = fuse_op_cost(n);
        for (uint32_t k = 0; k < n->n_in; k++) {
            uint32_t x = n->in[k]->id;
            bool loaded = uses[x] > 1 && t.ops[x] + t.loads[x] > 1.5;
            t.ops[i] += loaded ? 0 : t.ops[x];
            t.loads[i] += loaded ? 1 : t.loads[x];
        }
    }
    return t;
}

static bool has_axis(const ir_dim *d)
{
    return ir_dim_any_symbol(d, access_is_own, NULL);
}

bool fuse_has_division(const ir_dim *d)
{
    for (uint32_t i = 0; i < d->n_terms; i++) {
        for (uint32_t j = 0; j < d->terms[i].n_factors; j++) {
            const ir_atom *t = d->terms[i].factors[j].atom;
            if (t->kind != IR_ATOM_SYM && (has_axis(t->a) || has_axis(t->b))) {
                return true;
            }
        }
    }
    return false;
}
