/* Does a memory plan hold? Runs the program without computing: memory is a list of byte ranges,
 * each holding the name of the value last written there. A kernel that finds another name where its
 * operand should be has lost it to an overlap. Done for several assignments of the dims; loops make
 * up to three turns (the first two and the last).
 *
 * Shares nothing with the planner on purpose: places are read from the graph, legality of writing
 * over an operand is judged by a plain look at the body. */
#include "passes/plan_verify.h"
#include "ir/build.h"

#include <string.h>

enum { MOST_TURNS = 3 };

/* Names of the values of one graph, during one turn. */
typedef struct frame {
    const ir_graph *g;
    uint32_t **names; /* [node][result] */
} frame;

/* Values -----------------------------------------------------------------------------------------
 */

static uint32_t *name_of(frame *f, const ir_node *n)
{
    uint32_t r = 0;
    while (n->op == IR_OP_reshape || n->op == IR_OP_get) {
        r = n->op == IR_OP_get ? (uint32_t)ir_node_int(n, IR_ATTR_index, 0) : r;
        n = n->in[0];
    }
    return &f->names[n->id][r];
}

static bool check_read(checker *k, frame *f, const ir_node *reader, const ir_node *operand)
{
    place p;
    if (!verify_place(k, operand, 0, &p)) {
        return false;
    }
    if (strcmp(p.in->name, "param") == 0 || strcmp(p.in->name, "const") == 0 ||
        strncmp(p.in->name, "input:", 6) == 0) {
        return true;
    }
    if (!verify_holds(&p, *name_of(f, operand))) {
        return verify_fail(k, reader, "an operand has been overwritten");
    }
    bool threads_read = reader->op == IR_OP_kernel || reader->op == IR_OP_extern;
    if (threads_read && verify_is_anyones(k, &p, reader, false)) {
        return verify_fail(k, reader, "an operand is read that any thread may be writing");
    }
    verify_mark_read(k, &p, reader);
    return true;
}

/* The kernel writes a new value. Names in `over` may be in use by other threads (they are what this
 * kernel itself writes over, element by element, or rows within their whole). */
static bool write(checker *k, const ir_node *n, const place *p, uint32_t name, const uint32_t *over,
                  uint32_t n_over)
{
    if (!p->in->writable) {
        return verify_fail(k, n, "a value is written where nothing may be written");
    }
    if (p->in->size >= 0 && p->end > p->in->size) {
        return verify_fail(k, n, "a value reaches beyond the end of its space");
    }
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        bool allowed = r->begin >= p->end || p->begin >= r->end;
        for (uint32_t j = 0; j < n_over; j++) {
            allowed |= r->name == over[j];
        }
        bool busy = (r->writer && r->written == k->meetings && r->writer != n) ||
                    (r->reader && r->read == k->meetings && r->reader != n &&
                     !verify_own_elements(k, r, n, p));
        if (!allowed && busy) {
            return verify_fail(k, n, "memory is given away while other threads may still use it");
        }
    }
    verify_clear(k, p->in, p->begin, p->end);
    range w = {.begin = p->begin, .end = p->end, .name = name, .written = k->meetings, .writer = n};
    if (w.begin < w.end) {
        vec_push(k->a, &p->in->ranges, w);
    }
    p->in->used = p->end > p->in->used ? p->end : p->in->used;
    return true;
}

/* Running -------------------------------------------------------------------------------------- */

static bool run_kernel(checker *k, frame *f, const ir_node *n)
{
    k->meetings += ir_node_int(n, IR_ATTR_barrier, 0) == 1;
    if (verify_is_open(n) && k->meetings == 0) {
        return verify_fail(k, n, "parts are taken before all threads have met");
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!check_read(k, f, n, n->in[i])) {
            return false;
        }
    }
    for (uint32_t r = 0; r < n->n_results; r++) {
        place p, q;
        uint32_t over[32], n_over = 0;
        if (!verify_place(k, n, r, &p)) {
            return false;
        }
        const ir_attr *inplace = n->op == IR_OP_kernel ? ir_node_attr(n, IR_ATTR_inplace) : NULL;
        int64_t target = inplace ? inplace->ints[r] : -1;
        for (uint32_t i = 0; i < n->n_in; i++) {
            if (!verify_place(k, n->in[i], 0, &q)) {
                return false;
            }
            bool meets = q.in == p.in && q.begin < p.end && p.begin < q.end;
            bool exact = q.in == p.in && q.begin == p.begin && q.end == p.end;
            if (target == (int64_t)i && !exact) {
                return verify_fail(k, n, "an update is not in the place of what it updates");
            }
            if (meets && (!exact || n->op != IR_OP_kernel || !verify_may_overwrite(k, n, r, i))) {
                return verify_fail(k, n,
                                   "a result is written over an operand that is read elsewhere");
            }
            if (meets && n_over < 32) {
                over[n_over++] = *name_of(f, n->in[i]);
            }
        }
        f->names[n->id][r] = ++k->names;
        if (verify_is_anyones(k, &p, n, true)) {
            return verify_fail(k, n, "a result is written that any thread may have in hand");
        }
        /* Which other thread may still use what is updated is partition's to know. */
        if (!write(k, n, &p, f->names[n->id][r], over, n_over)) {
            return false;
        }
    }
    for (uint32_t r = 0; r < n->n_results; r++) {
        place p;
        if (!verify_place(k, n, r, &p) || !verify_holds(&p, f->names[n->id][r])) {
            return verify_fail(k, n, "two results overlap");
        }
    }
    return true;
}

static bool run_graph(checker *k, frame *f);

static frame new_frame(checker *k, const ir_graph *g)
{
    frame f = {g, arena_array(k->a, uint32_t *, ir_graph_size(g))};
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        f.names[i] = arena_array(k->a, uint32_t, ir_graph_node(g, i)->n_results);
    }
    return f;
}

static bool same_place(checker *k, const ir_node *x, uint32_t rx, const ir_node *y, uint32_t ry)
{
    place p, q;
    return verify_place(k, x, rx, &p) && verify_place(k, y, ry, &q) && p.in == q.in &&
           p.begin == q.begin && p.end == q.end;
}

/* One turn: names of carries come in and go out. */
static bool run_turn(checker *k, frame *outer, const ir_node *loop, uint32_t *carries,
                     const uint32_t *wholes)
{
    const ir_graph *g = loop->bodies[0];
    uint32_t n = (uint32_t)ir_node_int(loop, IR_ATTR_carries, 0);
    frame f = new_frame(k, g);
    for (uint32_t i = 0; i < loop->n_in; i++) {
        const ir_node *in = ir_graph_input(g, i);
        if (!same_place(k, in, 0, loop->in[i], 0)) {
            return verify_fail(k, in, "a loop's input is not where its value is");
        }
        f.names[in->id][0] = i < n ? carries[i] : *name_of(outer, loop->in[i]);
    }
    if (!run_graph(k, &f)) {
        return false;
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_node *out = ir_graph_output(g, i)->node;
        place p, q;
        if (!check_read(k, &f, loop, out) || !verify_place(k, out, 0, &p)) {
            return false;
        }
        if (i < n) {
            if (!same_place(k, out, 0, ir_graph_input(g, i), 0)) {
                return verify_fail(k, out, "a carried value ends up in another place");
            }
            carries[i] = *name_of(&f, out);
        } else if (i < loop->n_results) {
            if (!verify_place(k, loop, i, &q) || q.in != p.in || p.begin < q.begin ||
                p.end > q.end) {
                return verify_fail(k, out, "a collected row is not within its whole");
            }
            /* From now on part of the whole, which readers of the row no longer need. */
            verify_clear(k, p.in, p.begin, p.end);
            range w = {.begin = p.begin,
                       .end = p.end,
                       .name = wholes[i],
                       .written = k->meetings,
                       .read = k->meetings,
                       .writer = loop,
                       .reader = loop};
            if (p.begin < p.end) {
                vec_push(k->a, &p.in->ranges, w);
            }
        }
    }
    return true;
}

static bool run_loop(checker *k, frame *f, const ir_node *n)
{
    uint32_t n_carries = (uint32_t)ir_node_int(n, IR_ATTR_carries, 0);
    uint32_t *carries = arena_array(k->a, uint32_t, n->n_results + 1);
    uint32_t *wholes = arena_array(k->a, uint32_t, n->n_results + 1);
    for (uint32_t i = 0; i < n_carries; i++) {
        if (!check_read(k, f, n, n->in[i]) || !same_place(k, n->in[i], 0, n, i)) {
            return verify_fail(k, n, "a carry's initial value and result are in different places");
        }
        carries[i] = *name_of(f, n->in[i]);
    }
    k->meetings++; /* the first kernel of the body begins with one; checked there */
    for (uint32_t i = n_carries; i < n->n_results; i++) {
        place p;
        wholes[i] = ++k->names;
        if (!verify_place(k, n, i, &p) || !write(k, n, &p, wholes[i], NULL, 0)) {
            return false;
        }
    }
    const ir_dim *first = ir_node_attr(n, IR_ATTR_lo)->dims[0],
                 *limit = ir_node_attr(n, IR_ATTR_hi)->dims[0];
    int64_t step = ir_node_int(n, IR_ATTR_step, 1), lo = verify_number(k, n, first);
    int64_t turns = verify_number(k, n, ir_loop_turns(k->c, first, limit, step));
    vec_push(k->a, &k->sizes, ((checker_size){.sym = ir_node_attr(n, IR_ATTR_sym)->sym}));
    for (int64_t t = 0; t < turns && k->ok; t++) {
        if (t == MOST_TURNS - 1) {
            t = turns - 1;
        }
        vec_last(&k->sizes).value = lo + t * step;
        run_turn(k, f, n, carries, wholes);
    }
    k->sizes.len--;
    for (uint32_t i = 0; i < n->n_results; i++) {
        f->names[n->id][i] = i < n_carries ? carries[i] : wholes[i];
    }
    return k->ok;
}

/* Kernels that are made together --------------------------------------------------------------- */

/* Does x write what y reads or writes? */
static bool writes_of(checker *k, const ir_node *x, const ir_node *y)
{
    place p = {0}, q = {0};
    bool meets = false;
    for (uint32_t r = 0; r < x->n_results && !meets && verify_place(k, x, r, &p); r++) {
        for (uint32_t i = 0; i < y->n_in + y->n_results && !meets; i++) {
            bool in = i < y->n_in;
            meets = verify_place(k, in ? y->in[i] : y, in ? 0 : i - y->n_in, &q) && q.in == p.in &&
                    q.begin < p.end && p.begin < q.end;
        }
    }
    return meets;
}

static bool is_product(const ir_node *n)
{
    return n->op == IR_OP_kernel && strcmp(ir_node_str(n, IR_ATTR_family), "contract") == 0;
}

/* They take turns at every block of rows: nobody may wait for another, or touch what it makes. */
static bool check_joined(checker *k, const ir_graph *g, uint32_t at)
{
    const ir_node *n = ir_graph_node(g, at);
    bool more = ir_node_int(n, IR_ATTR_joined, 0) != 0;
    while (more && at-- > 0) {
        const ir_node *m = ir_graph_node(g, at);
        if (m->op == IR_OP_loop || m->op == IR_OP_extern) {
            break;
        }
        if (m->op != IR_OP_kernel) {
            continue;
        }
        more = ir_node_int(m, IR_ATTR_joined, 0) != 0;
        if (!is_product(n) || !is_product(m)) {
            return verify_fail(k, n, "a kernel that is no product is made with another");
        }
        if (ir_node_int(n, IR_ATTR_barrier, 0) || verify_is_open(n) || verify_is_open(m)) {
            return verify_fail(k, n, "a kernel is made with one that other threads take part in");
        }
        if (writes_of(k, n, m) || writes_of(k, m, n)) {
            return verify_fail(k, n, "kernels that are made together use what one of them writes");
        }
    }
    return more ? verify_fail(k, n, "a kernel is made with one that is not there") : k->ok;
}

static bool run_graph(checker *k, frame *f)
{
    bool must_meet = false;
    for (uint32_t i = 0; i < ir_graph_size(f->g) && k->ok; i++) {
        const ir_node *n = ir_graph_node(f->g, i);
        switch (n->op) {
        case IR_OP_kernel:
        case IR_OP_extern:
            if (must_meet && ir_node_int(n, IR_ATTR_barrier, 0) != 1) {
                return verify_fail(k, n, "threads do not meet after a loop");
            }
            must_meet = n->op == IR_OP_extern;
            (void)(check_joined(k, f->g, i) && run_kernel(k, f, n));
            break;
        case IR_OP_loop:
            (void)(check_joined(k, f->g, i) && run_loop(k, f, n));
            must_meet = true;
            break;
        case IR_OP_state: {
            place p;
            f->names[i][0] = ++k->names;
            if (verify_place(k, n, 0, &p)) {
                range w = {.begin = p.begin, .end = p.end, .name = f->names[i][0]};
                verify_clear(k, p.in, p.begin, p.end);
                vec_push(k->a, &p.in->ranges, w);
            }
            break;
        }
        case IR_OP_input:
            f->names[i][0] = f->names[i][0] ? f->names[i][0] : ++k->names;
            break;
        case IR_OP_reshape:
        case IR_OP_get:
        case IR_OP_param:
        case IR_OP_const: {
            place p;
            f->names[i][0] = ++k->names;
            verify_place(k, n, 0, &p);
            break;
        }
        default:
            return verify_fail(k, n, "this op has no place in a planned graph");
        }
    }
    return k->ok;
}

/* The first kernel of every body meets first. */
static bool bodies_meet(checker *k, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op != IR_OP_loop) {
            continue;
        }
        const ir_graph *body = n->bodies[0];
        for (uint32_t j = 0; j < ir_graph_size(body); j++) {
            const ir_node *b = ir_graph_node(body, j);
            if (b->op == IR_OP_loop) {
                break;
            }
            if (b->op == IR_OP_kernel || b->op == IR_OP_extern) {
                if (ir_node_int(b, IR_ATTR_barrier, 0) != 1) {
                    return verify_fail(k, b, "threads do not meet before a turn");
                }
                break;
            }
        }
        if (!bodies_meet(k, body)) {
            return false;
        }
    }
    return true;
}

static bool check_outputs(checker *k, frame *f)
{
    uint32_t result = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(f->g) && k->ok; i++) {
        const ir_output *o = ir_graph_output(f->g, i);
        place p;
        intern_table *names = ir_ctx_names(k->c);
        const char *wanted = o->kind == IR_OUTPUT_RESULT
                                 ? intern_printf(names, "result:%u", result++)
                                 : intern_printf(names, "state:%s", o->name);
        if (!check_read(k, f, o->node, o->node) || !verify_place(k, o->node, 0, &p)) {
            return false;
        }
        if (p.in->name != wanted || p.begin != 0) {
            return verify_fail(k, o->node, "an output is not in its place");
        }
    }
    return k->ok;
}

static bool check_once(checker *k, const ir_graph *g)
{
    const ir_dim *arena_bytes = ir_graph_arena_bytes(g);
    intern_table *names = ir_ctx_names(k->c);
    if (!arena_bytes) {
        return verify_fail(k, NULL, "the arena's size is not said");
    }
    k->spaces.len = 0;
    k->names = k->meetings = 0;
    space *arena_space = verify_space(k, intern(names, "arena"));
    arena_space->size = verify_number(k, NULL, arena_bytes);
    uint32_t result = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            verify_space(k, intern_printf(names, "result:%u", result++))->size =
                verify_number(k, o->node, ir_type_bytes(k->c, ir_node_type(o->node)));
        }
    }
    for (uint32_t i = 0; i < k->m->n_states; i++) {
        verify_space(k, intern_printf(names, "state:%s", k->m->states[i].name))->size =
            verify_number(k, NULL, ir_type_bytes(k->c, k->m->states[i].type));
    }
    frame f = new_frame(k, g);
    if (!run_graph(k, &f) || !check_outputs(k, &f)) {
        return false;
    }
    const space *s = verify_space(k, intern(names, "arena"));
    /* Ends are rounded up: a line, or a little of a large coefficient. */
    if (s->size - s->used > s->size / 8 + (1 << 18)) {
        return verify_fail(k, NULL, "the arena is larger than what is used of it");
    }
    return true;
}

/* Sizes to try -----------------------------------------------------------------------------------
 */

static bool conditions_hold(checker *k, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_n_conditions(g); i++) {
        const ir_condition *c = ir_graph_condition(g, i);
        int64_t l, r;
        if (!ir_dim_eval(c->lhs, verify_symbol, k, &l) ||
            !ir_dim_eval(c->rhs, verify_symbol, k, &r) || (c->rel == IR_REL_EQ ? l != r : l > r)) {
            return false;
        }
    }
    return true;
}

static void assign(checker *k, int64_t likely, uint32_t low)
{
    for (uint32_t i = 0; i < k->sizes.len; i++) {
        const ir_sym *s = k->sizes.at[i].sym;
        int64_t v = low & (1u << (i % 32)) ? s->lo : likely;
        v = v > s->hi ? s->hi : v;
        v = v < s->lo ? s->lo : v;
        k->sizes.at[i].value = v < 0 ? 0 : v;
    }
}

bool plan_verify(const ir_module *m, const ir_graph *g, diag *d)
{
    static const int64_t sizes[] = {1, 7, 64, 513, 0};
    checker k = {.m = m, .c = ir_graph_ctx(g), .a = arena_create(), .d = d, .ok = true};
    for (uint32_t i = 0; i < ir_graph_n_syms(g); i++) {
        vec_push(k.a, &k.sizes, ((checker_size){.sym = ir_graph_sym(g, i)}));
    }
    bodies_meet(&k, g);
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes && k.ok; s++) {
        /* All at that size; where the conditions do not allow it, some at their least. */
        for (uint32_t low = 0; low < 1u << (k.sizes.len < 5 ? k.sizes.len : 5); low++) {
            assign(&k, sizes[s], low);
            if (conditions_hold(&k, g)) {
                check_once(&k, g);
                break;
            }
        }
    }
    arena_destroy(k.a);
    return k.ok;
}
