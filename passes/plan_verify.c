/* Does a memory plan hold? Runs the program without computing: memory is a list of byte ranges,
 * each holding the name of the value last written there. A kernel that finds another name where its
 * operand should be has lost it to an overlap. Done for several assignments of the dims; loops make
 * up to three turns (the first two and the last).
 *
 * Shares nothing with the planner on purpose: places are read from the graph, legality of writing
 * over an operand is judged by a plain look at the body. */
#include "passes/pass.h"
#include "support/vec.h"

#include <string.h>

enum { MOST_SYMS = 64, MOST_TURNS = 3 };

typedef struct range {
    int64_t begin, end;
    uint32_t name;
    uint32_t written, read; /* meetings of all threads before it was last written, read */
    const ir_node *writer, *reader;
    bool readers; /* more than that one, between the same meetings */
    bool open;    /* any of them open: each of its parts may be any thread's */
} range;

typedef struct space {
    const char *name; /* interned */
    int64_t size;     /* bytes; -1: any */
    int64_t used;
    bool writable;
    VEC(range) ranges; /* apart from each other, in no order */
} space;

typedef struct checker {
    const ir_module *m;
    ir_ctx *c;
    arena *a;
    diag *d;
    const ir_sym *syms[MOST_SYMS];
    int64_t values[MOST_SYMS];
    uint32_t n_syms;
    VEC(space) spaces;
    uint32_t names;    /* given so far */
    uint32_t meetings; /* so far */
    bool ok;
} checker;

/* Names of the values of one graph, during one turn. */
typedef struct frame {
    const ir_graph *g;
    uint32_t **names; /* [node][result] */
} frame;

static bool fail(checker *k, const ir_node *n, const char *what)
{
    if (k->ok) {
        const char *name = n ? ir_node_str(n, IR_ATTR_name) : NULL;
        diag_error(k->d, n ? n->loc.where : (span){0}, "memory plan: %s (%s %s)", what,
                   n ? ir_op_name(n->op) : "entry", name ? name : "");
        for (uint32_t i = 0; i < k->n_syms && i < 4; i++) {
            diag_note(k->d, (span){0}, "with %s = %lld", k->syms[i]->name, (long long)k->values[i]);
        }
    }
    k->ok = false;
    return false;
}

/* Numbers -------------------------------------------------------------------------------------- */

static bool lookup(void *data, const ir_sym *s, int64_t *value)
{
    const checker *k = data;
    for (uint32_t i = k->n_syms; i-- > 0;) {
        if (k->syms[i] == s) {
            *value = k->values[i];
            return true;
        }
    }
    return false;
}

static int64_t number(checker *k, const ir_node *n, const ir_dim *d)
{
    int64_t value = 0;
    if (!ir_dim_eval(d, lookup, k, &value)) {
        fail(k, n, "a size cannot be worked out");
    }
    return value;
}

static space *get_space(checker *k, const char *name)
{
    for (uint32_t i = 0; i < k->spaces.len; i++) {
        if (k->spaces.at[i].name == name) {
            return &k->spaces.at[i];
        }
    }
    space s = {.name = name, .size = -1};
    s.writable = strcmp(name, "arena") == 0 || strncmp(name, "result:", 7) == 0 ||
                 strncmp(name, "state:", 6) == 0;
    vec_push(k->a, &k->spaces, s);
    return &vec_last(&k->spaces);
}

typedef struct place {
    space *in;
    int64_t begin, end;
} place;

static bool get_place(checker *k, const ir_node *n, uint32_t r, place *p)
{
    const ir_attr *in = ir_node_attr(n, IR_ATTR_space), *at = ir_node_attr(n, IR_ATTR_at);
    const ir_attr *bytes = ir_node_attr(n, IR_ATTR_bytes);
    if (!in || !at || !bytes || r >= in->n || r >= at->n || r >= bytes->n) {
        return fail(k, n, "a value has no place");
    }
    p->in = get_space(k, in->strs[r]);
    p->begin = number(k, n, at->dims[r]);
    int64_t size = number(k, n, bytes->dims[r]);
    int64_t needed = number(k, n, ir_type_bytes(k->c, n->types[r]));
    p->end = p->begin + size;
    if (size != needed || p->begin < 0) {
        return fail(k, n, "a place has not its value's size");
    }
    return k->ok;
}

/* Memory --------------------------------------------------------------------------------------- */

/* Is all of the place held by that value? */
static bool holds(const place *p, uint32_t name)
{
    int64_t covered = 0;
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        int64_t b = r->begin > p->begin ? r->begin : p->begin;
        int64_t e = r->end < p->end ? r->end : p->end;
        if (b < e) {
            if (r->name != name) {
                return false;
            }
            covered += e - b;
        }
    }
    return covered == p->end - p->begin;
}

static bool is_open(const ir_node *n)
{
    return ir_node_int(n, IR_ATTR_open, 0) != 0;
}

static void mark_read(checker *k, const place *p, const ir_node *reader)
{
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        range *r = &p->in->ranges.at[i];
        if (r->begin < p->end && p->begin < r->end) {
            bool again = r->reader && r->read == k->meetings;
            r->readers = again && (r->readers || r->reader != reader);
            r->open = is_open(reader) || (again && r->open);
            r->read = k->meetings;
            r->reader = reader;
        }
    }
}

/* Takes [begin, end) out of what is held there. */
static void clear(checker *k, space *s, int64_t begin, int64_t end)
{
    uint32_t n = s->ranges.len;
    range *old = arena_copy(k->a, s->ranges.at, n * sizeof *old);
    s->ranges.len = 0;
    for (uint32_t i = 0; i < n; i++) {
        range left = old[i], right = old[i];
        left.end = left.end < begin ? left.end : begin;
        right.begin = right.begin > end ? right.begin : end;
        bool meets = old[i].begin < end && begin < old[i].end;
        if (!meets) {
            vec_push(k->a, &s->ranges, old[i]);
            continue;
        }
        if (left.begin < left.end) {
            vec_push(k->a, &s->ranges, left);
        }
        if (right.begin < right.end) {
            vec_push(k->a, &s->ranges, right);
        }
    }
}

/* Does n touch what other threads may have in hand, as its parts or another kernel's may be any
 * thread's? Of kernels with shares partition knows who has what. */
static bool anyones(const checker *k, const place *p, const ir_node *n, bool writes)
{
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        bool meets = r->begin < p->end && p->begin < r->end;
        bool written = r->writer && r->written == k->meetings && r->writer != n;
        bool read = r->reader && r->read == k->meetings && (r->readers || r->reader != n);
        if (meets && ((written && (is_open(n) || is_open(r->writer))) ||
                      (writes && read && (is_open(n) || r->open)))) {
            return true;
        }
    }
    return false;
}

static bool own_elements(checker *k, const range *r, const ir_node *n, const place *p);

/* The kernel writes a new value. Names in `over` may be in use by other threads (they are what this
 * kernel itself writes over, element by element, or rows within their whole). */
static bool write(checker *k, const ir_node *n, const place *p, uint32_t name, const uint32_t *over,
                  uint32_t n_over)
{
    if (!p->in->writable) {
        return fail(k, n, "a value is written where nothing may be written");
    }
    if (p->in->size >= 0 && p->end > p->in->size) {
        return fail(k, n, "a value reaches beyond the end of its space");
    }
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        bool allowed = r->begin >= p->end || p->begin >= r->end;
        for (uint32_t j = 0; j < n_over; j++) {
            allowed |= r->name == over[j];
        }
        bool busy =
            (r->writer && r->written == k->meetings && r->writer != n) ||
            (r->reader && r->read == k->meetings && r->reader != n && !own_elements(k, r, n, p));
        if (!allowed && busy) {
            return fail(k, n, "memory is given away while other threads may still use it");
        }
    }
    clear(k, p->in, p->begin, p->end);
    range w = {.begin = p->begin, .end = p->end, .name = name, .written = k->meetings, .writer = n};
    if (w.begin < w.end) {
        vec_push(k->a, &p->in->ranges, w);
    }
    p->in->used = p->end > p->in->used ? p->end : p->in->used;
    return true;
}

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
    if (!get_place(k, operand, 0, &p)) {
        return false;
    }
    if (strcmp(p.in->name, "param") == 0 || strcmp(p.in->name, "const") == 0 ||
        strncmp(p.in->name, "input:", 6) == 0) {
        return true;
    }
    if (!holds(&p, *name_of(f, operand))) {
        return fail(k, reader, "an operand has been overwritten");
    }
    bool threads_read = reader->op == IR_OP_kernel || reader->op == IR_OP_extern;
    if (threads_read && anyones(k, &p, reader, false)) {
        return fail(k, reader, "an operand is read that any thread may be writing");
    }
    mark_read(k, &p, reader);
    return true;
}

/* Writing over operands --------------------------------------------------------------------------
 *
 * Looks at some elements of the result: which elements of the operand does each read? */

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
        linear = linear * number(l->k, n, y->dims[i]) + at[i];
    }
    for (uint32_t i = x->rank; i-- > 0;) {
        int64_t size = number(l->k, n, x->dims[i]);
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
            index[i] = at[i] == ALL ? ALL
                                    : number(l->k, n, ir_node_attr(n, IR_ATTR_offsets)->dims[i]) +
                                          at[i] * ir_node_attr(n, IR_ATTR_steps)->ints[i];
            break;
        case IR_OP_reverse:
            index[i] = is_listed(ir_node_attr(n, IR_ATTR_axes), i) && at[i] != ALL
                           ? number(l->k, n, ir_node_type(n)->dims[i]) - 1 - at[i]
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
            int64_t size = number(k, value, t->dims[i]);
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

/* May result r be written over operand i, which lies in the very same place? */
static bool may_overwrite(checker *k, const ir_node *n, uint32_t r, uint32_t i)
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

/* Has what was read there since all threads met been read by each for the elements that kernel n
 * lets it write now? */
static bool own_elements(checker *k, const range *r, const ir_node *n, const place *p)
{
    const ir_node *reader = r->reader;
    bool ok = !r->readers && r->begin == p->begin && r->end == p->end && dealt_alike(reader, n);
    for (uint32_t i = 0; i < reader->n_in && ok; i++) {
        place q;
        const ir_node *in = ir_graph_input(reader->bodies[0], i);
        if (!get_place(k, reader->in[i], 0, &q) || q.in != p->in || q.end <= p->begin ||
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

/* Running -------------------------------------------------------------------------------------- */

static bool run_kernel(checker *k, frame *f, const ir_node *n)
{
    k->meetings += ir_node_int(n, IR_ATTR_barrier, 0) == 1;
    if (is_open(n) && k->meetings == 0) {
        return fail(k, n, "parts are taken before all threads have met");
    }
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!check_read(k, f, n, n->in[i])) {
            return false;
        }
    }
    for (uint32_t r = 0; r < n->n_results; r++) {
        place p, q;
        uint32_t over[32], n_over = 0;
        if (!get_place(k, n, r, &p)) {
            return false;
        }
        const ir_attr *inplace = n->op == IR_OP_kernel ? ir_node_attr(n, IR_ATTR_inplace) : NULL;
        int64_t target = inplace ? inplace->ints[r] : -1;
        for (uint32_t i = 0; i < n->n_in; i++) {
            if (!get_place(k, n->in[i], 0, &q)) {
                return false;
            }
            bool meets = q.in == p.in && q.begin < p.end && p.begin < q.end;
            bool exact = q.in == p.in && q.begin == p.begin && q.end == p.end;
            if (target == (int64_t)i && !exact) {
                return fail(k, n, "an update is not in the place of what it updates");
            }
            if (meets && (!exact || n->op != IR_OP_kernel || !may_overwrite(k, n, r, i))) {
                return fail(k, n, "a result is written over an operand that is read elsewhere");
            }
            if (meets && n_over < 32) {
                over[n_over++] = *name_of(f, n->in[i]);
            }
        }
        f->names[n->id][r] = ++k->names;
        if (anyones(k, &p, n, true)) {
            return fail(k, n, "a result is written that any thread may have in hand");
        }
        /* Which other thread may still use what is updated is partition's to know. */
        if (!write(k, n, &p, f->names[n->id][r], over, n_over)) {
            return false;
        }
    }
    for (uint32_t r = 0; r < n->n_results; r++) {
        place p;
        if (!get_place(k, n, r, &p) || !holds(&p, f->names[n->id][r])) {
            return fail(k, n, "two results overlap");
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
    return get_place(k, x, rx, &p) && get_place(k, y, ry, &q) && p.in == q.in &&
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
            return fail(k, in, "a loop's input is not where its value is");
        }
        f.names[in->id][0] = i < n ? carries[i] : *name_of(outer, loop->in[i]);
    }
    if (!run_graph(k, &f)) {
        return false;
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_node *out = ir_graph_output(g, i)->node;
        place p, q;
        if (!check_read(k, &f, loop, out) || !get_place(k, out, 0, &p)) {
            return false;
        }
        if (i < n) {
            if (!same_place(k, out, 0, ir_graph_input(g, i), 0)) {
                return fail(k, out, "a carried value ends up in another place");
            }
            carries[i] = *name_of(&f, out);
        } else if (i < loop->n_results) {
            if (!get_place(k, loop, i, &q) || q.in != p.in || p.begin < q.begin || p.end > q.end) {
                return fail(k, out, "a collected row is not within its whole");
            }
            /* From now on part of the whole, which readers of the row no longer need. */
            clear(k, p.in, p.begin, p.end);
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
            return fail(k, n, "a carry's initial value and result are in different places");
        }
        carries[i] = *name_of(f, n->in[i]);
    }
    k->meetings++; /* the first kernel of the body begins with one; checked there */
    for (uint32_t i = n_carries; i < n->n_results; i++) {
        place p;
        wholes[i] = ++k->names;
        if (!get_place(k, n, i, &p) || !write(k, n, &p, wholes[i], NULL, 0)) {
            return false;
        }
    }
    int64_t lo = number(k, n, ir_node_attr(n, IR_ATTR_lo)->dims[0]);
    int64_t hi = number(k, n, ir_node_attr(n, IR_ATTR_hi)->dims[0]);
    int64_t step = ir_node_int(n, IR_ATTR_step, 1);
    int64_t turns = step > 0 ? (hi - lo + step - 1) / step : (lo - hi - step - 1) / -step;
    if (k->n_syms == MOST_SYMS) {
        return fail(k, n, "loops are nested too deeply");
    }
    k->syms[k->n_syms++] = ir_node_attr(n, IR_ATTR_sym)->sym;
    for (int64_t t = 0; t < turns && k->ok; t++) {
        if (t == MOST_TURNS - 1) {
            t = turns - 1;
        }
        k->values[k->n_syms - 1] = lo + t * step;
        run_turn(k, f, n, carries, wholes);
    }
    k->n_syms--;
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
    for (uint32_t r = 0; r < x->n_results && !meets && get_place(k, x, r, &p); r++) {
        for (uint32_t i = 0; i < y->n_in + y->n_results && !meets; i++) {
            bool in = i < y->n_in;
            meets = get_place(k, in ? y->in[i] : y, in ? 0 : i - y->n_in, &q) && q.in == p.in &&
                    q.begin < p.end && p.begin < q.end;
        }
    }
    return meets;
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
        if (ir_node_int(n, IR_ATTR_barrier, 0) || is_open(n) || is_open(m)) {
            return fail(k, n, "a kernel is made with one that other threads take part in");
        }
        if (writes_of(k, n, m) || writes_of(k, m, n)) {
            return fail(k, n, "kernels that are made together use what one of them writes");
        }
    }
    return more ? fail(k, n, "a kernel is made with one that is not there") : k->ok;
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
                return fail(k, n, "threads do not meet after a loop");
            }
            must_meet = n->op == IR_OP_extern;
            (void)(check_joined(k, f->g, i) && run_kernel(k, f, n));
            break;
        case IR_OP_loop:
            run_loop(k, f, n);
            must_meet = true;
            break;
        case IR_OP_state: {
            place p;
            f->names[i][0] = ++k->names;
            if (get_place(k, n, 0, &p)) {
                range w = {.begin = p.begin, .end = p.end, .name = f->names[i][0]};
                clear(k, p.in, p.begin, p.end);
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
            get_place(k, n, 0, &p);
            break;
        }
        default:
            return fail(k, n, "this op has no place in a planned graph");
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
                    return fail(k, b, "threads do not meet before a turn");
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
        if (!check_read(k, f, o->node, o->node) || !get_place(k, o->node, 0, &p)) {
            return false;
        }
        if (p.in->name != wanted || p.begin != 0) {
            return fail(k, o->node, "an output is not in its place");
        }
    }
    return k->ok;
}

static bool check_once(checker *k, const ir_graph *g)
{
    const ir_dim *arena_bytes = ir_graph_arena_bytes(g);
    intern_table *names = ir_ctx_names(k->c);
    if (!arena_bytes) {
        return fail(k, NULL, "the arena's size is not said");
    }
    k->spaces.len = 0;
    k->names = k->meetings = 0;
    space *arena_space = get_space(k, intern(names, "arena"));
    arena_space->size = number(k, NULL, arena_bytes);
    uint32_t result = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(g); i++) {
        const ir_output *o = ir_graph_output(g, i);
        if (o->kind == IR_OUTPUT_RESULT) {
            get_space(k, intern_printf(names, "result:%u", result++))->size =
                number(k, o->node, ir_type_bytes(k->c, ir_node_type(o->node)));
        }
    }
    for (uint32_t i = 0; i < k->m->n_states; i++) {
        get_space(k, intern_printf(names, "state:%s", k->m->states[i].name))->size =
            number(k, NULL, ir_type_bytes(k->c, k->m->states[i].type));
    }
    frame f = new_frame(k, g);
    if (!run_graph(k, &f) || !check_outputs(k, &f)) {
        return false;
    }
    const space *s = get_space(k, intern(names, "arena"));
    /* Ends are rounded up: a line, or a little of a large coefficient. */
    if (s->size - s->used > s->size / 8 + (1 << 18)) {
        return fail(k, NULL, "the arena is larger than what is used of it");
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
        if (!ir_dim_eval(c->lhs, lookup, k, &l) || !ir_dim_eval(c->rhs, lookup, k, &r) ||
            (c->rel == IR_REL_EQ ? l != r : l > r)) {
            return false;
        }
    }
    return true;
}

static void assign(checker *k, int64_t likely, uint32_t low)
{
    for (uint32_t i = 0; i < k->n_syms; i++) {
        const ir_sym *s = k->syms[i];
        int64_t v = low & (1u << (i % 32)) ? s->lo : likely;
        v = v > s->hi ? s->hi : v;
        k->values[i] = v < s->lo ? s->lo : v;
        k->values[i] = k->values[i] < 0 ? 0 : k->values[i];
    }
}

bool plan_verify(const ir_module *m, const ir_graph *g, diag *d)
{
    static const int64_t sizes[] = {1, 7, 64, 513, 0};
    checker k = {.m = m, .c = ir_graph_ctx(g), .a = arena_create(), .d = d, .ok = true};
    for (uint32_t i = 0; i < ir_graph_n_syms(g) && k.n_syms < MOST_SYMS / 2; i++) {
        k.syms[k.n_syms++] = ir_graph_sym(g, i);
    }
    bodies_meet(&k, g);
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes && k.ok; s++) {
        /* All at that size; where the conditions do not allow it, some at their least. */
        for (uint32_t low = 0; low < 1u << (k.n_syms < 5 ? k.n_syms : 5); low++) {
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
