#include "passes/kernel_form.h"

#include <string.h>

form_plan *form_create(const ir_graph *g, arena *a, uint32_t *number)
{
    form_plan *p = arena_new(a, form_plan);
    uint32_t size = ir_graph_size(g);
    *p = (form_plan){.g = g,
                     .a = a,
                     .group_of = arena_array(a, form_group *, size),
                     .inlined = arena_array(a, bool, size),
                     .bodies = arena_array(a, ir_graph *, size),
                     .number = number};
    return p;
}

form_group *form_add(form_plan *p, const ir_node *root)
{
    form_group *group = arena_new(p->a, form_group);
    group->main = root;
    vec_push(p->a, &p->groups, group);
    form_add_root(p, group, root);
    return group;
}

void form_add_root(form_plan *p, form_group *group, const ir_node *root)
{
    uint32_t at = group->roots.len;
    vec_push(p->a, &group->roots, root);
    while (at > 0 && group->roots.at[at - 1]->id > root->id) {
        group->roots.at[at] = group->roots.at[at - 1];
        at--;
    }
    group->roots.at[at] = root;
    p->group_of[root->id] = group;
}

bool form_is_immediate(const ir_node *n)
{
    return n->op == IR_OP_const && ir_node_attr(n, IR_ATTR_data)->data->splat;
}

/* Emission ------------------------------------------------------------------------------------- */

typedef struct emission {
    form_plan *p;
    ir_graph *out;
    const ir_node **new_of;  /* [size]: the node that stands for an old one */
    const ir_node **kernels; /* of groups, by the root's id */
} emission;

typedef struct body {
    emission *e;
    const form_group *group;
    ir_graph *g;
    const ir_node **new_of;        /* [size] within the body */
    VEC(const ir_node *) operands; /* of the kernel, in the new graph */
} body;

static const ir_node *value(emission *e, const ir_node *n);

/* A reshape of something in memory is a view of it, even where it is marked as inlined. */
static bool is_view(const bool *inlined, const ir_node *n)
{
    while (n->op == IR_OP_reshape && inlined[n->id]) {
        n = n->in[0];
    }
    return !inlined[n->id];
}

static const ir_node *body_operand(body *b, const ir_node *n)
{
    const ir_node *v = value(b->e, n);
    intern_table *names = ir_ctx_names(ir_graph_ctx(b->g));
    const char *name = intern_printf(names, "x%u", b->operands.len);
    const ir_node *in = ir_graph_add_input(b->g, name, ir_node_type(v), n->loc);
    vec_push(b->e->p->a, &b->operands, v);
    return in;
}

static const ir_node *body_value(body *b, const ir_node *n);

static const ir_node *body_copy(body *b, const ir_node *n)
{
    const ir_node **in = arena_array(b->e->p->a, const ir_node *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        /* What a root updates is an operand of its own, apart from what is read. */
        bool written = i == 0 && n->op == IR_OP_update && b->e->p->group_of[n->id] == b->group;
        in[i] = written ? body_operand(b, n->in[i]) : body_value(b, n->in[i]);
    }
    return ir_graph_copy_node(b->g, n, in);
}

/* Kernels of an earlier pass are opened when they are inlined: none is, so a plain copy does. */
static const ir_node *body_value(body *b, const ir_node *n)
{
    if (!b->new_of[n->id]) {
        const bool *inlined = b->group->inlined ? b->group->inlined : b->e->p->inlined;
        bool inside = inlined[n->id] && !(n->op == IR_OP_reshape && is_view(inlined, n));
        b->new_of[n->id] = inside ? body_copy(b, n) : body_operand(b, n);
    }
    return b->new_of[n->id];
}

static const char *kernel_name(const form_plan *p, const form_group *group)
{
    intern_table *names = ir_ctx_names(ir_graph_ctx(p->g));
    return intern_printf(names, "%s_%u", ir_op_name(group->main->op), (*p->number)++);
}

static void emit_group(emission *e, form_group *group)
{
    form_plan *p = e->p;
    ir_ctx *c = ir_graph_ctx(p->g);
    body b = {.e = e,
              .group = group,
              .g = ir_graph_create(c, "body"),
              .new_of = arena_array(p->a, const ir_node *, ir_graph_size(p->g))};
    const ir_type *types[16];
    int64_t inplace[16];
    uint32_t n_results = 0;
    bool updates = false;
    for (uint32_t i = 0; i < group->roots.len; i++) {
        const ir_node *root = group->roots.at[i];
        b.new_of[root->id] = NULL;
    }
    for (uint32_t i = 0; i < group->roots.len; i++) {
        const ir_node *root = group->roots.at[i];
        /* Another root of the kernel is evaluated anew, not read back. */
        const ir_node *y = b.new_of[root->id];
        if (!y) {
            y = b.new_of[root->id] = body_copy(&b, root);
        }
        for (uint32_t r = 0; r < root->n_results; r++) {
            const ir_node *out = y;
            if (root->n_results > 1) {
                ir_attr at = ir_attr_i(IR_ATTR_index, r);
                out = ir_graph_add(b.g, IR_OP_get, 1, &y, 1, &y->types[r], 1, &at, 0, NULL, y->loc);
            }
            types[n_results] = root->types[r];
            inplace[n_results] = -1;
            if (out->op == IR_OP_update && out->in[0]->op == IR_OP_input) {
                inplace[n_results] = ir_node_int(out->in[0], IR_ATTR_index, -1);
                updates = true;
            }
            const char *name = intern_printf(ir_ctx_names(c), "y%u", n_results++);
            ir_graph_add_output(b.g, IR_OUTPUT_RESULT, name, out);
        }
    }
    intern_table *names = ir_ctx_names(c);
    const char *family = group->family ? group->family : ir_op_kernel_family(group->main->op);
    ir_attr attrs[4] = {ir_attr_s(IR_ATTR_name, kernel_name(p, group)),
                        ir_attr_s(IR_ATTR_family, intern(names, family))};
    uint32_t n_attrs = 2;
    if (updates) {
        attrs[n_attrs++] = ir_attr_is(IR_ATTR_inplace, n_results, inplace);
    }
    if (group->columns) {
        attrs[n_attrs++] = ir_attr_i(IR_ATTR_group, group->columns);
    }
    const ir_node *kernel =
        ir_graph_add(e->out, IR_OP_kernel, b.operands.len, b.operands.at, n_results, types, n_attrs,
                     attrs, 1, &b.g, group->main->loc);
    uint32_t at = 0;
    for (uint32_t i = 0; i < group->roots.len; i++) {
        const ir_node *root = group->roots.at[i];
        e->kernels[root->id] = kernel;
        e->new_of[root->id] = kernel;
        if (n_results > 1 && root->n_results == 1) {
            ir_attr index = ir_attr_i(IR_ATTR_index, at);
            e->new_of[root->id] = ir_graph_add(e->out, IR_OP_get, 1, &kernel, 1, &types[at], 1,
                                               &index, 0, NULL, root->loc);
        }
        at += root->n_results;
    }
}

static const ir_node *copy_outside(emission *e, const ir_node *n)
{
    const ir_node **in = arena_array(e->p->a, const ir_node *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = value(e, n->in[i]);
    }
    ir_graph *turn = e->p->bodies[n->id];
    if (n->op != IR_OP_kernel) {
        return turn ? ir_graph_copy_node_bodies(e->out, n, in, &turn)
                    : ir_graph_copy_node(e->out, n, in);
    }
    /* Numbered anew, so that numbers tell the order. */
    const char *old = ir_node_str(n, IR_ATTR_name);
    const char *end = old ? strrchr(old, '_') : NULL;
    intern_table *names = ir_ctx_names(ir_graph_ctx(e->out));
    const char *name = intern_printf(names, "%.*s_%u", end ? (int)(end - old) : 6,
                                     end ? old : "kernel", (*e->p->number)++);
    ir_attr attr = ir_attr_s(IR_ATTR_name, name);
    return ir_graph_copy_node_attrs(e->out, n, in, 1, &attr);
}

/* The node of the new graph that holds the value in memory. */
static const ir_node *value(emission *e, const ir_node *n)
{
    if (e->new_of[n->id]) {
        return e->new_of[n->id];
    }
    form_group *group = e->p->group_of[n->id];
    if (group) {
        emit_group(e, group);
    } else {
        e->new_of[n->id] = copy_outside(e, n);
    }
    return e->new_of[n->id];
}

/* What is needed: roots, loops, calls and kernels outside of groups, in the old order. */
ir_graph *form_emit(form_plan *p, ir_stage stage)
{
    emission e = {.p = p,
                  .out = ir_graph_begin_rewrite(p->g),
                  .new_of = arena_array(p->a, const ir_node *, ir_graph_size(p->g)),
                  .kernels = arena_array(p->a, const ir_node *, ir_graph_size(p->g))};
    for (uint32_t i = 0; i < ir_graph_n_inputs(p->g); i++) {
        e.new_of[ir_graph_input(p->g, i)->id] = ir_graph_input(e.out, i);
    }
    for (uint32_t i = 0; i < ir_graph_size(p->g); i++) {
        const ir_node *n = ir_graph_node(p->g, i);
        bool item = n->op == IR_OP_loop || n->op == IR_OP_extern || n->op == IR_OP_kernel;
        if (p->group_of[i] || (item && !p->inlined[i])) {
            value(&e, n);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(p->g); i++) {
        value(&e, ir_graph_output(p->g, i)->node);
    }
    ir_graph_end_rewrite(e.out, p->g, e.new_of);
    ir_graph_set_stage(e.out, stage);
    return e.out;
}
