/* fuse_elementwise: every value is either kept in memory, as a result of one kernel, or computed in
 * each kernel that reads it. What is left when the other fusion passes are done becomes kernels
 * here.
 *
 * Before   %e = exp %x                   After   %y = kernel %x {family="reduce"} (
 *          %s = reduce_sum %e                      %e = exp ...; %s = reduce_sum %e; div %e, %s)
 *          %y = div %e, %s
 *
 * Nodes are met from the last to the first, so all readers of a value are in kernels already. A
 * value is computed in its readers when that costs less than a kernel of its own with a store and
 * the loads (fuse_cost.h); how often it would be computed is found by following indices (access.h),
 * as a transpose is free and a broadcast is not. A reduction joins its reader when it runs along
 * the axes of the reader's one full shape. What must be kept may become a further result of a
 * reader.
 *
 * Keeps: values, types, inputs, outputs. At level 0 every op is a kernel of its own. */
#include "passes/fuse_groups.h"

#include <string.h>

/* Pointwise values ----------------------------------------------------------------------------- */

/* How often the value at this index is computed: at every point of the axes down to the innermost
 * that the index depends on; what does not depend on inner axes is computed outside of their loops.
 */
static double evaluations(const group *k, const ir_node *n, const access_visit *v)
{
    const ir_dim *const *axes = k->kind == GROUP_REDUCE ? k->full_index : k->index;
    const ir_dim *const *dims = k->kind == GROUP_REDUCE ? k->full_dims : k->dims;
    uint32_t rank = k->kind == GROUP_REDUCE ? k->full_rank : k->rank;
    uint32_t order[IR_MAX_RANK], count = 0;
    for (int reduced = 0; reduced < 2; reduced++) {
        for (uint32_t i = 0; i < rank; i++) {
            if ((int)((k->mask >> i) & 1) == reduced) {
                order[count++] = i;
            }
        }
    }
    double total = 1, here = 1;
    bool random = n->op == IR_OP_random;
    for (uint32_t i = 0; i < count; i++) {
        const ir_sym *axis = ir_dim_as_sym(axes[order[i]]);
        here *= fuse_extent(dims[order[i]]);
        bool used = random;
        for (uint32_t j = 0; axis && j < ir_node_type(n)->rank; j++) {
            used |= ir_dim_uses(v->index[j], axis) ||
                    ir_dim_any_symbol(v->index[j], access_is_opaque, NULL);
        }
        total = used ? here : total;
    }
    return total;
}

/* May a product read its operand through this move? Loads must stay affine. */
static bool product_reads_through(const ir_node *n)
{
    if (n->op == IR_OP_cast) {
        const ir_node *x = n->in[0];
        while (x->op == IR_OP_transpose || x->op == IR_OP_slice || x->op == IR_OP_reshape) {
            x = x->in[0];
        }
        return x->op == IR_OP_param;
    }
    return n->op == IR_OP_transpose || n->op == IR_OP_slice || n->op == IR_OP_broadcast;
}

typedef struct verdict {
    bool fuse;
    const char *why;
} verdict;

static verdict refuse(const char *why)
{
    return (verdict){false, why};
}

/* Cost of computing n in the kernels that read it, and of keeping it. */
static verdict weigh(fuser *f, const ir_node *n, const group_list *l)
{
    double ops = f->tree.ops[n->id], loads = f->tree.loads[n->id];
    double elems = fuse_elems(ir_node_type(n)), inlined = 0, evals = 0;
    double kept = elems * (ops + loads + 1.5) + (double)FUSE_LAUNCH;
    for (uint32_t i = 0; i < l->n; i++) {
        group *k = l->at[i];
        if (k->kind == GROUP_SOLID) {
            return refuse("the reader takes its operands from memory");
        }
        if (k->n_nodes >= FUSE_MOST_NODES) {
            return refuse("the reader is large enough");
        }
        if (fuse_reads_updated(k, n)) {
            return refuse("the reader updates what this reads");
        }
        access w;
        fuse_walk(f, k, &w);
        if (w.overrun) {
            return refuse("the reader is too entangled");
        }
        bool first = true;
        for (uint32_t v = 0; v < w.visits.len; v++) {
            const access_visit *at = &w.visits.at[v];
            if (at->node != n) {
                continue;
            }
            bool division = false, affine = true;
            for (uint32_t j = 0; j < ir_node_type(n)->rank; j++) {
                division |= fuse_has_division(at->index[j]);
                affine &= access_affine(at->index[j]);
            }
            if (k->kind == GROUP_PRODUCT && (!affine || !product_reads_through(n))) {
                return refuse(affine ? "the reader wants plain operands"
                                     : "its place would not be affine");
            }
            double times =
                k->kind == GROUP_MAP || k->kind == GROUP_REDUCE ? evaluations(k, n, at) : elems;
            /* What is guarded is loaded only where it is needed, but computed everywhere. */
            double loaded = at->guarded && times > elems ? elems : times;
            evals += at->stage == 0 || first ? times : 0;
            inlined += times * ops + loaded * loads * (division ? 4 : 1) * (first ? 1 : 0.25);
            kept += times * (first ? 1 : 0.25);
            first = false;
        }
    }
    if (l->n == 1 && l->at[0]->kind == GROUP_REDUCE) {
        kept *= 1.5; /* rows are in cache while the reader works on them; a kernel apart would fetch
                        them again */
    }
    double most = l->n == 1 && l->at[0]->kind == GROUP_REDUCE ? 3 : 1;
    if (ops >= 2 && (evals - elems * most) * ops > 4096 && evals > elems * (most + 0.01)) {
        return refuse("it would be computed several times");
    }
    return inlined <= kept ? (verdict){true, "fused"} : refuse("keeping it costs less");
}

/* Deciding ------------------------------------------------------------------------------------- */

static void keep_operands(fuser *f, const ir_node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        f->must[n->in[i]->id] = true;
    }
}

static void inline_into(fuser *f, const ir_node *n, const group_list *l)
{
    f->p->inlined[n->id] = true;
    fuse_set_within(f, n, l);
}

static void decide_value(fuser *f, const ir_node *n)
{
    group_list l = fuse_readers(f, n);
    bool may = !f->must[n->id] && l.n > 0 && !l.more && f->c->level > 0;
    if (n->op == IR_OP_update || fuse_kind_of(n) == GROUP_PRODUCT ||
        fuse_kind_of(n) == GROUP_SCAN || fuse_kind_of(n) == GROUP_SOLID || f->c->level == 0) {
        fuse_new_group(f, n);
        return;
    }
    verdict v = refuse(f->must[n->id] ? "it is needed in memory" : "too many readers");
    if (may && access_is_reduction(n)) {
        v = l.n == 1 && fuse_take_reduction(f, l.at[0], n)
                ? (verdict){true, "fused"}
                : refuse("its axes do not fit the reader's");
    } else if (may) {
        v = weigh(f, n, &l);
    }
    if (v.fuse) {
        inline_into(f, n, &l);
    } else if (f->c->level > 0 && l.n > 0 && fuse_join_as_result(f, n, &l)) {
        v.why = "kept, as a further result of its reader";
    } else if (f->c->level > 0 && fuse_join_sibling(f, n, &l)) {
        v.why = "kept, as a further result of a kernel like it";
    } else {
        fuse_new_group(f, n);
    }
    fuse_explain(f, n, &l, v.why);
}

static void decide(fuser *f, const ir_node *n)
{
    group_list l;
    switch (n->op) {
    case IR_OP_input:
    case IR_OP_param:
    case IR_OP_state:
        return;
    case IR_OP_get:
        f->must[n->in[0]->id] = true;
        return;
    case IR_OP_loop:
    case IR_OP_extern:
    case IR_OP_kernel:
        keep_operands(f, n);
        return;
    case IR_OP_const:
        f->p->inlined[n->id] = form_is_immediate(n);
        if (form_is_immediate(n) && f->must[n->id]) {
            form_add(f->p, n);
        }
        return;
    case IR_OP_reshape:
        l = fuse_readers(f, n);
        if (f->must[n->id] || l.more || f->c->level == 0) {
            f->must[n->in[0]->id] = true;
        } else if (l.n > 0) {
            inline_into(f, n, &l);
        }
        return;
    default:
        if (n->op == IR_OP_update) {
            f->must[n->in[0]->id] = true;
        }
        decide_value(f, n);
    }
}

static void find_users(fuser *f)
{
    uint32_t size = ir_graph_size(f->g);
    f->users = arena_alloc_array(f->a, size, sizeof *f->users);
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(f->g, i);
        for (uint32_t k = 0; k < n->n_in; k++) {
            vec_push(f->a, &f->users[n->in[k]->id], i);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(f->g); i++) {
        uint32_t id = ir_graph_output(f->g, i)->node->id;
        f->must[id] = f->live[id] = true;
    }
}

static void find_live(fuser *f)
{
    for (uint32_t i = ir_graph_size(f->g); i-- > 0;) {
        const ir_node *n = ir_graph_node(f->g, i);
        f->live[i] |= n->op == IR_OP_loop || n->op == IR_OP_extern || n->op == IR_OP_kernel;
        for (uint32_t k = 0; f->live[i] && k < n->n_in; k++) {
            f->live[n->in[k]->id] = true;
        }
    }
}

static ir_graph *fuse(pass_ctx *c, const ir_graph *g, uint32_t *number)
{
    uint32_t size = ir_graph_size(g);
    fuser f = {.c = c,
               .ctx = ir_graph_ctx(g),
               .a = c->scratch,
               .g = g,
               .p = form_create(g, c->scratch, number),
               .must = arena_array(c->scratch, bool, size),
               .live = arena_array(c->scratch, bool, size),
               .root_of = arena_array(c->scratch, group *, size),
               .within = arena_array(c->scratch, group_list *, size)};
    find_users(&f);
    find_live(&f);
    f.tree = fuse_tree_costs(g, ir_graph_use_counts(g, c->scratch), c->scratch);
    for (uint32_t i = size; i-- > 0;) {
        if (f.live[i]) {
            decide(&f, ir_graph_node(g, i));
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_loop) {
            f.p->bodies[i] = fuse(c, n->bodies[0], number);
        }
    }
    /* A map that came to hold a reduction is a reduction. */
    for (uint32_t i = 0; i < size; i++) {
        const group *k = f.root_of[i];
        if (k && k->kind == GROUP_REDUCE) {
            k->form->family = "reduce";
        }
    }
    return form_emit(f.p, IR_STAGE_KERNEL);
}

ir_graph *pass_fuse_elementwise(pass_ctx *c, const ir_graph *g)
{
    uint32_t number = 0;
    return ir_graph_stage(g) == IR_STAGE_TENSOR ? fuse(c, g, &number) : ir_graph_clone(g);
}
