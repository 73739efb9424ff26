#include "passes/tiles.h"

#include <string.h>

void tiles_init(tiles *t, const ir_module *m, arena *a)
{
    *t = (tiles){.m = m, .captured = map_create(a)};
}

static const ir_param *param_of(const tiles *t, const ir_node *n)
{
    return n->op == IR_OP_param ? ir_module_param(t->m, ir_node_str(n, IR_ATTR_name))
                                : map_get(t->captured, map_key(n));
}

void tiles_enter(tiles *t, const ir_node *loop)
{
    int64_t carries = ir_node_int(loop, IR_ATTR_carries, 0);
    for (uint32_t k = 0; k < loop->n_in && k < ir_graph_n_inputs(loop->bodies[0]); k++) {
        const ir_param *p = k < carries ? NULL : param_of(t, loop->in[k]);
        if (p) {
            map_set(t->captured, map_key(ir_graph_input(loop->bodies[0], k)),
                    (void *)(uintptr_t)(const void *)p);
        }
    }
}

/* One axis of the matrix is the result's last, the other the rows' last and in no result. */
static bool letters_fit(const char *rows, const char *matrix, const char *out)
{
    size_t n_rows = strlen(rows), n_out = strlen(out);
    if (n_rows == 0 || n_out != n_rows || strlen(matrix) != 2 ||
        strncmp(rows, out, n_out - 1) != 0) {
        return false;
    }
    char k = rows[n_rows - 1], n = out[n_out - 1];
    bool own = (matrix[0] == n && matrix[1] == k) || (matrix[0] == k && matrix[1] == n);
    return own && k != n && !strchr(out, k) && !strchr(rows, n);
}

const ir_node *tiles_rows(const tiles *t, const ir_node *product)
{
    const ir_attr *labels =
        product->op == IR_OP_contract ? ir_node_attr(product, IR_ATTR_labels) : NULL;
    for (uint32_t k = 0; labels && k < 2; k++) {
        const ir_param *p = param_of(t, product->in[k]);
        const ir_type *rows = ir_node_type(product->in[1 - k]);
        if (p && p->panel && rows->rank && ir_dim_is_const(rows->dims[rows->rank - 1]) &&
            !ir_dim_is_one(rows->dims[rows->rank - 1]) &&
            letters_fit(labels->strs[1 - k], labels->strs[k], labels->strs[2])) {
            return product->in[1 - k];
        }
    }
    return NULL;
}

bool tiles_is_norm(const ir_node *n)
{
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes);
    return (n->op == IR_OP_rms_norm || n->op == IR_OP_layer_norm) && axes && axes->n == 1 &&
           axes->ints[0] + 1 == (int64_t)ir_node_type(n)->rank;
}

bool tiles_are_twins(const tiles *t, const ir_node *x, const ir_node *y)
{
    const ir_node *rows = tiles_rows(t, x);
    const ir_type *tx = ir_node_type(x), *ty = ir_node_type(y);
    return rows && x != y && tiles_rows(t, y) == rows && tx == ty &&
           ir_node_str(x, IR_ATTR_math) == ir_node_str(y, IR_ATTR_math);
}
