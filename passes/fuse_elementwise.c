#include "passes/kernel_form.h"

static ir_graph *fuse(pass_ctx *c, const ir_graph *g, uint32_t *number)
{
    form_plan *p = form_create(g, c->scratch, number);
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        switch (n->op) {
        case IR_OP_input:
        case IR_OP_param:
        case IR_OP_state:
        case IR_OP_reshape:
        case IR_OP_kernel:
        case IR_OP_get:
        case IR_OP_extern:
            break;
        case IR_OP_const:
            p->inlined[i] = form_is_immediate(n);
            break;
        case IR_OP_loop:
            p->bodies[i] = fuse(c, n->bodies[0], number);
            break;
        default:
            form_add(p, n);
        }
    }
    return form_emit(p, IR_STAGE_KERNEL);
}

ir_graph *pass_fuse_elementwise(pass_ctx *c, const ir_graph *g)
{
    uint32_t number = 0;
    return ir_graph_stage(g) == IR_STAGE_TENSOR ? fuse(c, g, &number) : ir_graph_clone(g);
}
