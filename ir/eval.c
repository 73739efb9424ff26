/* The interpreter's driver: sizes, memory, graphs. */
#include "ir/eval_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t most_bytes = (int64_t)16 << 30;

bool eval_fail(eval *e, const char *format, ...)
{
    if (!e->error[0]) {
        va_list args;
        va_start(args, format);
        vsnprintf(e->error, 256, format, args);
        va_end(args);
    }
    return false;
}

int64_t ir_tensor_elems(const ir_tensor *t)
{
    int64_t n = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        n *= t->dims[i];
    }
    return n;
}

/* Sizes ---------------------------------------------------------------------------------------- */

static bool lookup(void *data, const ir_sym *s, int64_t *value)
{
    const eval *e = data;
    for (uint32_t i = e->n_symbols; i-- > 0;) {
        if (e->symbols[i].sym == s) {
            *value = e->symbols[i].value;
            return true;
        }
    }
    return false;
}

bool eval_push_symbol(eval *e, const ir_sym *s, int64_t value)
{
    if (e->n_symbols == e->most_symbols) {
        uint32_t most = e->most_symbols ? 2 * e->most_symbols : 16;
        eval_symbol *more = realloc(e->symbols, most * sizeof *more);
        if (!more) {
            return eval_fail(e, "out of memory");
        }
        e->symbols = more;
        e->most_symbols = most;
    }
    e->symbols[e->n_symbols++] = (eval_symbol){s, value};
    return true;
}

bool eval_size(eval *e, const ir_dim *d, int64_t *value)
{
    return ir_dim_eval(d, lookup, e, value) ||
           eval_fail(e, "a size has no value: a symbol is not bound, or the number is too large");
}

bool eval_sizes(eval *e, const ir_node *n, ir_attr_key key, uint32_t count, int64_t *values)
{
    const ir_attr *a = ir_node_attr(n, key);
    if (!a || a->n != count) {
        return eval_fail(e, "%s lacks its %s", ir_op_name(n->op), ir_attr_name(key));
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!eval_size(e, a->dims[i], &values[i])) {
            return false;
        }
    }
    return true;
}

static bool tensor_bytes(eval *e, const ir_tensor *t, int64_t *bytes)
{
    *bytes = (int64_t)ir_dtype_bytes(t->dtype);
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0) {
            return eval_fail(e, "a tensor would have a negative size: %lld", (long long)t->dims[i]);
        }
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] == 0) {
            *bytes = 0;
            return true;
        }
    }
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] > most_bytes / *bytes) {
            return eval_fail(e, "a tensor would take more than 16 GiB");
        }
        *bytes *= t->dims[i];
    }
    return true;
}

bool eval_shape(eval *e, const ir_type *t, ir_tensor *out)
{
    int64_t bytes;
    *out = (ir_tensor){.dtype = t->dtype, .rank = t->rank};
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!eval_size(e, t->dims[i], &out->dims[i])) {
            return false;
        }
    }
    return tensor_bytes(e, out, &bytes);
}

/* Memory --------------------------------------------------------------------------------------- */

bool eval_new(eval *e, eval_value *v)
{
    int64_t bytes;
    if (!tensor_bytes(e, &v->t, &bytes)) {
        return false;
    }
    if (bytes > most_bytes - e->bytes) {
        return eval_fail(e, "values would take more than 16 GiB");
    }
    eval_block *b = calloc(1, sizeof *b + (size_t)bytes + 8);
    if (!b) {
        return eval_fail(e, "out of memory");
    }
    *b = (eval_block){.next = e->blocks, .uses = 1, .bytes = bytes};
    if (e->blocks) {
        e->blocks->last = b;
    }
    e->blocks = b;
    e->bytes += bytes;
    v->block = b;
    v->t.data = b->data;
    return true;
}

void eval_share(eval_value *v, const eval_value *from)
{
    v->t.data = from->t.data;
    v->block = from->block;
    if (v->block) {
        v->block->uses++;
    }
}

void eval_drop(eval *e, eval_value *v)
{
    eval_block *b = v->block;
    v->block = NULL;
    if (!b || --b->uses > 0) {
        return;
    }
    if (b->next) {
        b->next->last = b->last;
    }
    if (b->last) {
        b->last->next = b->next;
    } else {
        e->blocks = b->next;
    }
    e->bytes -= b->bytes;
    free(b);
}

void *eval_scratch(eval *e, int64_t count, size_t size)
{
    if (count < 0 || count > most_bytes / (int64_t)size) {
        eval_fail(e, "values would take more than 16 GiB");
        return NULL;
    }
    return arena_alloc_array(e->scratch, (size_t)count, size);
}

double *eval_f64s(eval *e, const ir_tensor *t)
{
    int64_t n = ir_tensor_elems(t);
    double *out = eval_scratch(e, n, sizeof *out);
    const float *f = t->data;
    for (int64_t i = 0; out && i < n; i++) {
        out[i] = t->dtype == IR_f32 ? (double)f[i] : ir_dtype_load(t->dtype, t->data, (size_t)i);
    }
    return out;
}

int64_t *eval_i64s(eval *e, const ir_tensor *t)
{
    int64_t n = ir_tensor_elems(t);
    int64_t *out = eval_scratch(e, n, sizeof *out);
    for (int64_t i = 0; out && i < n; i++) {
        out[i] = ir_dtype_load_i64(t->dtype, t->data, (size_t)i);
    }
    return out;
}

/* Graphs --------------------------------------------------------------------------------------- */

static eval_fn *const functions[IR_OP_COUNT] = {
#define UNARY(name, ...)                          [IR_OP_##name] = eval_op_elementwise,
#define BINARY(name, ...)                         [IR_OP_##name] = eval_op_elementwise,
#define OP(name, in, family, traits, infer, eval) [IR_OP_##name] = eval_op_##eval,
#include "ir/ops.def"
};

static bool run_node(eval *e, const ir_node *n, const eval_value *in, eval_value *out)
{
    for (uint32_t i = 0; i < n->n_results; i++) {
        if (!eval_shape(e, n->types[i], &out[i].t)) {
            return false;
        }
    }
    arena_point point = arena_mark(e->scratch);
    bool ok = functions[n->op](e, n, in, out);
    arena_release(e->scratch, point);
    return ok || eval_fail(e, "%s failed", ir_op_name(n->op));
}

bool eval_graph(eval *e, const ir_graph *g, const eval_value *inputs, eval_value *outputs)
{
    uint32_t size = ir_graph_size(g), n_outputs = ir_graph_n_outputs(g);
    arena_point point = arena_mark(e->scratch);
    const eval_value *outer = e->inputs;
    const uint32_t *counts = ir_graph_use_counts(g, e->scratch);
    uint32_t *left = arena_array(e->scratch, uint32_t, size);
    eval_value **values = arena_array(e->scratch, eval_value *, size);
    bool ok = true;
    memcpy(left, counts, size * sizeof *left);
    for (uint32_t i = 0; i < size && ok; i++) {
        const ir_node *n = ir_graph_node(g, i);
        eval_value *in = arena_array(e->scratch, eval_value, n->n_in);
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = values[n->in[k]->id][0];
        }
        if (n->op == IR_OP_get) { /* the one reader of a node with several results */
            in[0] = values[n->in[0]->id][ir_node_int(n, IR_ATTR_index, 0)];
        }
        values[i] = arena_array(e->scratch, eval_value, n->n_results);
        e->inputs = inputs;
        ok = run_node(e, n, in, values[i]);
        for (uint32_t k = 0; k < n->n_in && ok; k++) {
            const ir_node *x = n->in[k];
            left[x->id]--;
            for (uint32_t r = 0; left[x->id] == 0 && r < x->n_results; r++) {
                eval_drop(e, &values[x->id][r]);
            }
        }
        for (uint32_t r = 0; ok && counts[i] == 0 && r < n->n_results; r++) {
            eval_drop(e, &values[i][r]);
        }
    }
    for (uint32_t i = 0; i < n_outputs && ok; i++) {
        const eval_value *v = &values[ir_graph_output(g, i)->node->id][0];
        outputs[i] = *v;
        eval_share(&outputs[i], v);
    }
    for (uint32_t i = 0; i < n_outputs && ok; i++) {
        const ir_node *n = ir_graph_output(g, i)->node;
        for (uint32_t r = 0; r < n->n_results; r++) {
            eval_drop(e, &values[n->id][r]);
        }
    }
    e->inputs = outer;
    arena_release(e->scratch, point);
    return ok;
}

/* Entries -------------------------------------------------------------------------------------- */

static bool is_unbound(void *data, const ir_sym *s)
{
    int64_t unused;
    return !lookup(data, s, &unused);
}

/* d = size, where one symbol of d has no value yet: that symbol's value follows. */
static bool bind_one(eval *e, ir_ctx *c, const ir_dim *d, int64_t size, bool *progress)
{
    const ir_sym *open = ir_dim_only_symbol(d, is_unbound, e);
    int64_t coef = 0, rest_value = 0, difference;
    const ir_dim *rest = NULL;
    if (!open || !ir_dim_split(c, d, open, &coef, &rest) || coef == 0) {
        return true;
    }
    if (!eval_size(e, rest, &rest_value)) {
        return false;
    }
    if (__builtin_sub_overflow(size, rest_value, &difference) || difference % coef != 0) {
        return true; /* what does not fit is told when all is bound */
    }
    *progress = true;
    return eval_push_symbol(e, open, difference / coef);
}

static bool check_argument(eval *e, const ir_graph *g, uint32_t i, const ir_tensor *x)
{
    const ir_node *n = ir_graph_input(g, i);
    const ir_type *t = ir_node_type(n);
    const char *name = ir_node_str(n, IR_ATTR_name);
    name = name ? name : "";
    if (x->dtype != t->dtype) {
        return eval_fail(e, "argument %s is of type %s, %s is needed", name,
                         ir_dtype_name(x->dtype), ir_dtype_name(t->dtype));
    }
    if (x->rank != t->rank) {
        return eval_fail(e, "argument %s has %u axes, %u are needed", name, x->rank, t->rank);
    }
    return true;
}

static bool bind_symbols(eval *e, const ir_graph *g, const int64_t *dims, const ir_tensor *args)
{
    ir_ctx *c = ir_graph_ctx(g);
    for (uint32_t i = 0; i < ir_graph_n_dim_args(g); i++) {
        if (!eval_push_symbol(e, ir_graph_sym(g, i), dims[i])) {
            return false;
        }
    }
    for (bool progress = true; progress;) {
        progress = false;
        for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
            const ir_type *t = ir_node_type(ir_graph_input(g, i));
            for (uint32_t k = 0; k < t->rank; k++) {
                if (!bind_one(e, c, t->dims[k], args[i].dims[k], &progress)) {
                    return false;
                }
            }
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        const ir_sym *s = ir_graph_sym(g, i);
        int64_t v;
        if (!lookup(e, s, &v)) {
            return eval_fail(e, "size %s does not follow from the arguments", s->name);
        }
        if (v < s->lo || v > s->hi) {
            return eval_fail(e, "%lld <= %s <= %lld: %s is %lld", (long long)s->lo, s->name,
                             (long long)s->hi, s->name, (long long)v);
        }
    }
    return true;
}

/* After binding, every size must be what its type says. */
static bool check_sizes(eval *e, const ir_graph *g, const ir_tensor *args)
{
    ir_ctx *c = ir_graph_ctx(g);
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        const ir_type *t = ir_node_type(ir_graph_input(g, i));
        const char *name = ir_node_str(ir_graph_input(g, i), IR_ATTR_name);
        for (uint32_t k = 0; k < t->rank; k++) {
            int64_t v;
            if (!eval_size(e, t->dims[k], &v)) {
                return false;
            }
            if (v != args[i].dims[k]) {
                return eval_fail(e, "axis %u of %s is %s: it is %lld, not %lld", k,
                                 name ? name : "", ir_dim_text(c, t->dims[k]),
                                 (long long)args[i].dims[k], (long long)v);
            }
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        const ir_condition *k = ir_graph_condition(g, i);
        int64_t lhs, rhs;
        if (!eval_size(e, k->lhs, &lhs) || !eval_size(e, k->rhs, &rhs)) {
            return false;
        }
        if (k->rel == IR_REL_EQ ? lhs != rhs : lhs > rhs) {
            return eval_fail(e, "%s: %s is %lld, %s is %lld", k->text, ir_dim_text(c, k->lhs),
                             (long long)lhs, ir_dim_text(c, k->rhs), (long long)rhs);
        }
    }
    return true;
}

static bool bind(eval *e, const ir_graph *g, const int64_t *dims, const ir_tensor *args)
{
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        if (!check_argument(e, g, i, &args[i])) {
            return false;
        }
    }
    return bind_symbols(e, g, dims, args) && check_sizes(e, g, args);
}

static void copy_out(arena *a, const ir_tensor *from, ir_tensor *to)
{
    size_t bytes = (size_t)ir_tensor_elems(from) * ir_dtype_bytes(from->dtype);
    *to = *from;
    to->data = arena_alloc(a, bytes + 8);
    memcpy(to->data, from->data, bytes);
}

/* All outputs are values of their own by now: a state may become what another was. */
static bool write_states(eval *e, const ir_graph *g, eval_value *outputs)
{
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_STATE && !outputs[i].block) {
            eval_value own = {.t = outputs[i].t};
            if (!eval_new(e, &own)) {
                return false;
            }
            memcpy(own.t.data, outputs[i].t.data,
                   (size_t)ir_tensor_elems(&own.t) * ir_dtype_bytes(own.t.dtype));
            outputs[i] = own;
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        ir_tensor *kept = NULL;
        if (o->kind != IR_OUTPUT_STATE) {
            continue;
        }
        if (!e->env->state || !e->env->state(e->env->data, o->name, ir_node_type(o->node), &kept)) {
            return eval_fail(e, "there is no state %s", o->name);
        }
        memcpy(kept->data, outputs[i].t.data,
               (size_t)ir_tensor_elems(&outputs[i].t) * ir_dtype_bytes(outputs[i].t.dtype));
    }
    return true;
}

static void finish(eval *e)
{
    while (e->blocks) {
        eval_block *next = e->blocks->next;
        free(e->blocks);
        e->blocks = next;
    }
    free(e->symbols);
    arena_destroy(e->scratch);
}

bool ir_eval(const ir_graph *g, ir_eval_env *env, const int64_t *dims, const ir_tensor *args,
             ir_tensor *results)
{
    env->error[0] = 0;
    eval e = {.env = env, .scratch = arena_create(), .error = env->error};
    uint32_t n_in = ir_graph_n_inputs(g), n_out = ir_graph_n_outputs(g), r = 0;
    bool ok = bind(&e, g, dims, args);
    eval_value *inputs = arena_array(e.scratch, eval_value, n_in);
    eval_value *outputs = arena_array(e.scratch, eval_value, n_out);
    for (uint32_t i = 0; i < n_in; i++) {
        inputs[i].t = args[i];
    }
    ok = ok && eval_graph(&e, g, inputs, outputs);
    for (uint32_t i = 0; i < n_out && ok; i++) {
        if (ir_graph_output(g, i)->kind == IR_OUTPUT_RESULT) {
            copy_out(env->a, &outputs[i].t, &results[r++]);
        }
    }
    ok = ok && write_states(&e, g, outputs);
    finish(&e);
    return ok;
}

bool ir_eval_bind(const ir_graph *g, ir_eval_env *env, const int64_t *dims, const ir_tensor *args,
                  int64_t *values)
{
    env->error[0] = 0;
    eval e = {.env = env, .scratch = arena_create(), .error = env->error};
    bool ok = bind(&e, g, dims, args);
    for (uint32_t i = 0; i < ir_graph_n_syms(g) && ok; i++) {
        ok = lookup(&e, ir_graph_sym(g, i), &values[i]);
    }
    finish(&e);
    return ok;
}

bool ir_eval_node(const ir_node *n, arena *a, const ir_tensor *in, ir_tensor *out)
{
    char error[256] = "";
    eval e = {.scratch = arena_create(), .error = error};
    eval_value *inputs = arena_array(e.scratch, eval_value, n->n_in);
    eval_value *results = arena_array(e.scratch, eval_value, n->n_results);
    for (uint32_t i = 0; i < n->n_in; i++) {
        inputs[i].t = in[i];
    }
    bool ok = run_node(&e, n, inputs, results);
    for (uint32_t i = 0; i < n->n_results && ok; i++) {
        copy_out(a, &results[i].t, &out[i]);
    }
    finish(&e);
    return ok;
}
