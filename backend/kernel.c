#include "backend/kernel.h"

#include "runtime/abi.h"

#include <string.h>

uint8_t k_layout_of(const ir_param *p)
{
    return !p->panel                         ? AIGC_LAYOUT_ROWS
           : strcmp(p->layout, "pairs") == 0 ? AIGC_LAYOUT_PAIRS
           : strcmp(p->layout, "taps") == 0  ? AIGC_LAYOUT_TAPS
                                             : AIGC_LAYOUT_PANELS;
}

bool k_buf_in_panels(const k_buf *b)
{
    return strcmp(b->layout, "panels") == 0;
}

bool k_buf_in_taps(const k_buf *b)
{
    return strcmp(b->layout, "taps") == 0;
}

bool k_buf_in_pairs(const k_buf *b)
{
    return strcmp(b->layout, "pairs") == 0;
}

bool k_uses_axis(const k_expr *e, const k_axis *axis)
{
    if (e->kind == K_AXIS) {
        return e->axis == axis;
    }
    for (uint32_t i = 0; i < e->n; i++) {
        if (k_uses_axis(e->args[i], axis)) {
            return true;
        }
    }
    return (e->guard && k_uses_axis(e->guard, axis)) ||
           (e->fallback && k_uses_axis(e->fallback, axis));
}

bool k_uses_reduced(const k_expr *e, uint32_t step)
{
    if (e->kind == K_REDUCED) {
        return e->reduced == step;
    }
    for (uint32_t i = 0; i < e->n; i++) {
        if (k_uses_reduced(e->args[i], step)) {
            return true;
        }
    }
    return (e->guard && k_uses_reduced(e->guard, step)) ||
           (e->fallback && k_uses_reduced(e->fallback, step));
}

/* An expression made of constants and dims alone, as a dim; NULL otherwise. */
static const ir_dim *as_dim(ir_ctx *c, const k_expr *e)
{
    if (e->kind == K_CONST_I) {
        return ir_dim_const(c, e->i);
    }
    if (e->kind == K_DIM) {
        return e->dim;
    }
    if (e->kind != K_OP || e->n != 2) {
        return NULL;
    }
    const ir_dim *x = as_dim(c, e->args[0]);
    const ir_dim *y = x ? as_dim(c, e->args[1]) : NULL;
    if (!y) {
        return NULL;
    }
    switch (e->op) {
    case IR_OP_add:
        return ir_dim_add(c, x, y);
    case IR_OP_sub:
        return ir_dim_sub(c, x, y);
    case IR_OP_mul:
        return ir_dim_mul(c, x, y);
    default:
        return NULL;
    }
}

bool k_affine(ir_ctx *c, arena *a, const k_expr *e, const k_axis *axis, const ir_dim **stride)
{
    if (!k_uses_axis(e, axis)) {
        *stride = ir_dim_const(c, 0);
        return true;
    }
    if (e->kind == K_AXIS) {
        *stride = ir_dim_const(c, 1);
        return true;
    }
    if (e->kind != K_OP || e->n != 2) {
        return false;
    }
    const ir_dim *x = NULL, *y = NULL;
    if (e->op == IR_OP_add || e->op == IR_OP_sub) {
        if (!k_affine(c, a, e->args[0], axis, &x) || !k_affine(c, a, e->args[1], axis, &y)) {
            return false;
        }
        *stride = e->op == IR_OP_add ? ir_dim_add(c, x, y) : ir_dim_sub(c, x, y);
        return true;
    }
    if (e->op == IR_OP_mul) {
        int with = k_uses_axis(e->args[0], axis) ? 0 : 1;
        y = as_dim(c, e->args[1 - with]);
        if (!y || !k_affine(c, a, e->args[with], axis, &x)) {
            return false;
        }
        *stride = ir_dim_mul(c, x, y);
        return true;
    }
    return false;
}
