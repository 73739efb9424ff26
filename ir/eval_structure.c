/* The interpreter: what comes from outside, loops, kernels and calls. */
#include "ir/eval_impl.h"

#include <string.h>

static bool param(eval *e, const ir_node *n, eval_value *out)
{
    const ir_attr *at = ir_node_attr(n, IR_ATTR_indices);
    uint32_t n_indices = at ? at->n : 0;
    const char *name = ir_node_str(n, IR_ATTR_name);
    int64_t *indices = eval_scratch(e, n_indices, sizeof *indices);
    ir_tensor t = {.data = NULL};
    if (!indices || (n_indices && !eval_sizes(e, n, IR_ATTR_indices, n_indices, indices))) {
        return false;
    }
    if (!e->env || !e->env->param ||
        !e->env->param(e->env->data, name, n_indices, indices, ir_node_type(n), &t) || !t.data) {
        return eval_fail(e, "there is no parameter %s", name);
    }
    out->t.data = t.data;
    return true;
}

static bool state(eval *e, const ir_node *n, eval_value *out)
{
    const char *name = ir_node_str(n, IR_ATTR_name);
    ir_tensor *kept = NULL;
    if (!e->env || !e->env->state || !e->env->state(e->env->data, name, ir_node_type(n), &kept) ||
        !kept) {
        return eval_fail(e, "there is no state %s", name);
    }
    out->t.data = kept->data; /* written only after all results are known */
    return true;
}

bool eval_op_given(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)in;
    if (n->op == IR_OP_param) {
        return param(e, n, out);
    }
    if (n->op == IR_OP_state) {
        return state(e, n, out);
    }
    if (!e->inputs) {
        return eval_fail(e, "an input has no value here");
    }
    eval_share(out, &e->inputs[ir_node_int(n, IR_ATTR_index, 0)]);
    return true;
}

/* The driver passes the result that is wanted as the operand. */
bool eval_op_get(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    (void)e, (void)n;
    eval_share(out, in);
    return true;
}

bool eval_op_kernel(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    return eval_graph(e, n->bodies[0], in, out);
}

/* Loops ---------------------------------------------------------------------------------------- */

typedef struct turns {
    const ir_graph *body;
    uint32_t n_in, n_carries, n_collects;
    bool cond;
    eval_value *now, *next; /* [n_in] operands of a turn, [outputs] what it returns */
    eval_value *out;        /* results of the loop */
} turns;

/* One turn; *go_on says whether another one may follow. */
static bool run_turn(eval *e, turns *t, int64_t number, bool *go_on)
{
    if (!eval_graph(e, t->body, t->now, t->next)) {
        return false;
    }
    for (uint32_t i = 0; i < t->n_carries; i++) {
        eval_drop(e, &t->now[i]);
        t->now[i] = t->next[i];
    }
    for (uint32_t i = t->n_carries; i < t->n_carries + t->n_collects; i++) {
        const ir_tensor *row = &t->next[i].t, *rows = &t->out[i].t;
        size_t bytes = (size_t)ir_tensor_elems(row) * ir_dtype_bytes(row->dtype);
        if (number >= rows->dims[0]) {
            return eval_fail(e, "a loop collects more rows than its type has");
        }
        memcpy((char *)rows->data + (size_t)number * bytes, row->data, bytes);
        eval_drop(e, &t->next[i]);
    }
    if (t->cond) {
        eval_value *go = &t->next[t->n_carries + t->n_collects];
        *go_on = eval_load(&go->t, 0).i != 0;
        eval_drop(e, go);
    }
    return true;
}

static bool run_turns(eval *e, turns *t, const ir_sym *s, int64_t lo, int64_t hi, int64_t step)
{
    bool go_on = true;
    int64_t number = 0;
    if (!eval_push_symbol(e, s, lo)) {
        return false;
    }
    uint32_t place = e->n_symbols - 1;
    for (int64_t i = lo; go_on && (step > 0 ? i < hi : i > hi); number++) {
        e->symbols[place].value = i;
        if (!run_turn(e, t, number, &go_on)) {
            return false;
        }
        if (__builtin_add_overflow(i, step, &i)) {
            break;
        }
    }
    e->n_symbols = place;
    return true;
}

bool eval_op_loop(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    turns t = {.body = n->bodies[0],
               .n_in = n->n_in,
               .n_carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0),
               .n_collects = (uint32_t)ir_node_int(n, IR_ATTR_collects, 0),
               .cond = ir_node_int(n, IR_ATTR_cond, 0) != 0,
               .out = out};
    int64_t lo, hi, step = ir_node_int(n, IR_ATTR_step, 1);
    t.now = eval_scratch(e, n->n_in, sizeof *t.now);
    t.next = eval_scratch(e, ir_graph_n_outputs(t.body) + 1, sizeof *t.next);
    if (!t.now || !t.next || !eval_sizes(e, n, IR_ATTR_lo, 1, &lo) ||
        !eval_sizes(e, n, IR_ATTR_hi, 1, &hi)) {
        return false;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        t.now[i] = in[i];
        eval_share(&t.now[i], &in[i]);
    }
    for (uint32_t i = t.n_carries; i < n->n_results; i++) {
        if (!eval_new(e, &out[i])) {
            return false;
        }
    }
    if (!run_turns(e, &t, ir_node_attr(n, IR_ATTR_sym)->sym, lo, hi, step)) {
        return false;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (i < t.n_carries) {
            out[i] = t.now[i];
        } else {
            eval_drop(e, &t.now[i]);
        }
    }
    return true;
}

bool eval_op_extern(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    const char *target = ir_node_str(n, IR_ATTR_target);
    ir_tensor *args = eval_scratch(e, n->n_in, sizeof *args);
    ir_tensor *results = eval_scratch(e, n->n_results, sizeof *results);
    if (!args || !results) {
        return false;
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        args[i] = in[i].t;
    }
    for (uint32_t i = 0; i < n->n_results; i++) {
        if (!eval_new(e, &out[i])) {
            return false;
        }
        results[i] = out[i].t;
    }
    return (e->env && e->env->call &&
            e->env->call(e->env->data, target, n->n_in, args, n->n_results, results)) ||
           eval_fail(e, "the call of %s failed", target);
}
