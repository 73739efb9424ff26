/* Which elements of an operand does a result read? Looks at some elements of the result; by that it
 * judges what may be written over what. */
#include "passes/plan_verify.h"

#include <string.h>

enum { ALL = -1 }; /* an index: all of a row */

typedef struct look {
    checker *k;
    const ir_node *input;
    const int64_t *element; /* of the result */
    bool rows;              /* a kernel that folds rows before it writes any of their elements */
    bool read, ok;
} look;

static void look_at(look *l, const ir_node *n, const int64_t *at);

static void look_reshape(look *l, const ir_node *n, const int64_t *at)
{
    const ir_type *y = ir_node_type(n), *x = ir_node_type(n->in[0]);
    int64_t linear = 0, index[IR_MAX_RANK] = {0};
    for (uint32_t i = 0; i < y->rank; i++) {
        l->ok &= at[i] != ALL;
        linear = linear * verify_number(l->k, n, y->dims[i]) + at[i];
    }
    for (uint32_t i = x->rank; i-- > 0;) {
        int64_t size = verify_number(l->k, n, x->dims[i]);
        index[i] = size ? linear % size : 0;
        linear = size ? linear / size : 0;
    }
    look_at(l, n->in[0], index);
}

static bool is_listed(const ir_attr *axes, uint32_t axis)
{
    for (uint32_t i = 0; i < axes->n; i++) {
        if (axes->ints[i] == axis) {
            return true;
        }
    }
    return false;
}

static void look_move(look *l, const ir_node *n, const int64_t *at)
{
    const ir_type *x = ir_node_type(n->in[0]), *y = ir_node_type(n);
    int64_t index[IR_MAX_RANK] = {0};
    for (uint32_t i = 0; i < x->rank; i++) {
        uint32_t from = i + y->rank - x->rank;
        switch (n->op) {
        case IR_OP_transpose:
            index[ir_node_attr(n, IR_ATTR_perm)->ints[i]] = at[i];
            break;
        case IR_OP_broadcast:
            index[i] = ir_dim_is_one(x->dims[i]) ? 0 : at[from];
            break;
        case IR_OP_slice:
            index[i] = at[i] == ALL
                           ? ALL
                           : verify_number(l->k, n, ir_node_attr(n, IR_ATTR_offsets)->dims[i]) +
                                 at[i] * ir_node_attr(n, IR_ATTR_steps)->ints[i];
            break;
        case IR_OP_reverse:
            index[i] = is_listed(ir_node_attr(n, IR_ATTR_axes), i) && at[i] != ALL
                           ? verify_number(l->k, n, ir_node_type(n)->dims[i]) - 1 - at[i]
                           : at[i];
            break;
        default: /* what is further away is not looked through */
            l->ok = false;
        }
    }
    look_at(l, n->in[0], index);
}

static void look_rows(look *l, const ir_node *n, const int64_t *at)
{
    const ir_type *x = ir_node_type(n->in[0]), *y = ir_node_type(n);
    const ir_attr *axes = ir_node_attr(n, IR_ATTR_axes), *axis = ir_node_attr(n, IR_ATTR_axis);
    int64_t index[IR_MAX_RANK] = {0};
    uint32_t next = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        bool folded = !axes && axis && axis->i == i;
        for (uint32_t k = 0; axes && k < axes->n; k++) {
            folded |= axes->ints[k] == i;
        }
        index[i] = folded ? ALL : at[y->rank == x->rank ? i : next];
        next += !folded;
    }
    l->ok &= l->rows;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ir_type *t = ir_node_type(n->in[i]);
        look_at(l, n->in[i], index + (x->rank - t->rank));
    }
    if (y->rank == x->rank && ir_op_family(n->op) == IR_FAMILY_NORM) {
        look_at(l, n->in[0], at);
    }
}

static void look_at(look *l, const ir_node *n, const int64_t *at)
{
    const ir_type *t = ir_node_type(n);
    ir_family f = ir_op_family(n->op);
    if (n == l->input) {
        l->read = true;
        for (uint32_t i = 0; i < t->rank; i++) {
            l->ok &= at[i] == ALL ? l->rows : at[i] == l->element[i];
        }
    } else if (f == IR_FAMILY_ELEMENTWISE) {
        for (uint32_t k = 0; k < n->n_in; k++) {
            const ir_type *x = ir_node_type(n->in[k]);
            int64_t index[IR_MAX_RANK] = {0};
            for (uint32_t i = 0; i < x->rank; i++) {
                index[i] = ir_dim_is_one(x->dims[i]) ? 0 : at[t->rank - x->rank + i];
            }
            look_at(l, n->in[k], index);
        }
    } else if (n->op == IR_OP_reshape) {
        look_reshape(l, n, at);
    } else if (f == IR_FAMILY_REDUCE || f == IR_FAMILY_NORM) {
        look_rows(l, n, at);
    } else if (n->op == IR_OP_transpose || n->op == IR_OP_broadcast || n->op == IR_OP_slice ||
               n->op == IR_OP_reverse) {
        look_move(l, n, at);
    } else { /* anything below is read elsewhere */
        for (uint32_t k = 0; k < n->n_in; k++) {
            look below = {.k = l->k, .input = l->input, .element = l->element, .ok = true};
            int64_t index[IR_MAX_RANK] = {0};
            look_at(&below, n->in[k], index);
            l->read |= below.read;
            l->ok &= !below.read;
        }
    }
}

/* How does the value read the input: not at all (0), each element or row for itself (1), or in any
 * other way (2)? */
static int reads(checker *k, const ir_node *value, const ir_node *input, bool rows)
{
    const ir_type *t = ir_node_type(value);
    int worst = 0;
    for (int sample = 0; sample < 5; sample++) {
        int64_t at[IR_MAX_RANK] = {0};
        bool empty = false;
        for (uint32_t i = 0; i < t->rank; i++) {
            int64_t size = verify_number(k, value, t->dims[i]);
            empty |= size <= 0;
            at[i] = size <= 0 ? 0 : (sample * 7919 + (int64_t)i * sample * 31) % size;
            at[i] = sample == 4 && size > 0 ? size - 1 : at[i];
        }
        look l = {.k = k, .input = input, .element = at, .rows = rows, .ok = true};
        if (!empty) {
            look_at(&l, value, at);
        }
        int found = !l.read ? 0 : l.ok ? 1 : 2;
        worst = found > worst ? found : worst;
    }
    return worst;
}

bool verify_may_overwrite(checker *k, const ir_node *n, uint32_t r, uint32_t i)
{
    const ir_attr *inplace = ir_node_attr(n, IR_ATTR_inplace);
    const ir_node *out = ir_graph_output(n->bodies[0], r)->node;
    const ir_node *in = ir_graph_input(n->bodies[0], i);
    if (inplace && inplace->ints[r] == (int64_t)i) {
        return out->op == IR_OP_update && out->in[0] == in && reads(k, out->in[1], in, false) == 0;
    }
    bool rows = strcmp(ir_node_str(n, IR_ATTR_family), "reduce") == 0;
    return n->n_results == 1 && ir_node_type(in) == n->types[r] && reads(k, out, in, rows) < 2;
}

/* Maps of one type, whose elements are dealt out alike. */
static bool dealt_alike(const ir_node *x, const ir_node *y)
{
    const ir_node *both[2] = {x, y};
    bool ok = ir_node_int(x, IR_ATTR_split, -1) == ir_node_int(y, IR_ATTR_split, -1) &&
              ir_node_int(x, IR_ATTR_grain, 0) == ir_node_int(y, IR_ATTR_grain, 0);
    for (uint32_t i = 0; i < 2 && ok; i++) {
        ok = both[i]->op == IR_OP_kernel &&
             strcmp(ir_node_str(both[i], IR_ATTR_family), "map") == 0 &&
             !ir_node_attr(both[i], IR_ATTR_inplace);
        for (uint32_t r = 0; r < both[i]->n_results && ok; r++) {
            ok = both[i]->types[r] == x->types[0];
        }
    }
    return ok;
}

bool verify_own_elements(checker *k, const range *r, const ir_node *n, const place *p)
{
    const ir_node *reader = r->reader;
    bool ok = !r->readers && r->begin == p->begin && r->end == p->end && dealt_alike(reader, n);
    for (uint32_t i = 0; i < reader->n_in && ok; i++) {
        place q;
        const ir_node *in = ir_graph_input(reader->bodies[0], i);
        if (!verify_place(k, reader->in[i], 0, &q) || q.in != p->in || q.end <= p->begin ||
            p->end <= q.begin) {
            continue;
        }
        ok = q.begin == p->begin && q.end == p->end && ir_node_type(in) == reader->types[0];
        for (uint32_t j = 0; j < reader->n_results && ok; j++) {
            ok = reads(k, ir_graph_output(reader->bodies[0], j)->node, in, false) < 2;
        }
    }
    return ok;
}
