/* plan_memory: every value gets a place (docs/kernels.md, section 4).
 *
 * plan_prepare has made copies where values cannot share what they must share. Here those that must
 * share a buffer are joined into one: an update and what it updates, a loop's carry through all its
 * names, an output and its place. Then those that may: a result that is written element by element
 * over an operand that nobody reads again. Buffers in the arena are packed by their lifetimes.
 *
 * Time is counted in meetings of all threads ("epochs"): memory is given to another value only
 * after a meeting that follows its last use. A loop's first kernel and the first after a loop begin
 * with a meeting, so turns need no times of their own. */
#include "passes/plan.h"

#include <string.h>

enum { NONE = UINT32_MAX };

typedef struct moment {
    uint32_t at, epoch;
} moment;

/* A graph and its place in the whole. */
typedef struct region {
    const ir_graph *g;
    const ir_node *loop; /* whose body it is */
    struct region *parent;
    value_table *t;
    uint32_t base; /* number of its first value among all */
    moment begin, end;
    moment *item_begin, *item_end; /* [size] */
    struct region **inner;         /* [size] of loops */
} region;

/* One value among those of all graphs. */
typedef struct value {
    region *r;
    uint32_t v;
    uint32_t leader; /* union-find */
    uint32_t ring;   /* the next of those joined, around */
    moment def, last;
    moment before; /* the use before the last; at 0: there is none */
    bool used;
    bool lives; /* holds memory at all (def and last are meant) */
} value;

typedef enum buffer_kind { BUFFER_ARENA, BUFFER_FIXED, BUFFER_ROW } buffer_kind;

/* What joined values share; kept at the leader. */
typedef struct buffer {
    buffer_kind kind;
    const char *space;  /* FIXED */
    uint32_t row_of;    /* ROW: leader of the collected whole */
    const ir_dim *turn; /* ROW */
    plan_buffer packed; /* ARENA */
    const ir_dim *at;
    bool placed;
} buffer;

typedef struct planner {
    pass_ctx *c;
    ir_ctx *ctx;
    arena *a;
    plan_prepared *prepared;
    VEC(value) values;
    VEC(region *) regions;
    buffer *buffers; /* [values] */
    moment now;
    bool after_loop;
} planner;

static uint32_t number(const region *r, const ir_node *n)
{
    return r->base + values_of(r->t, n);
}

static uint32_t leader(planner *p, uint32_t v)
{
    while (p->values.at[v].leader != v) {
        p->values.at[v].leader = p->values.at[p->values.at[v].leader].leader;
        v = p->values.at[v].leader;
    }
    return v;
}

static void join(planner *p, uint32_t x, uint32_t y)
{
    x = leader(p, x);
    y = leader(p, y);
    if (x != y) {
        p->values.at[x < y ? y : x].leader = x < y ? x : y;
        uint32_t next = p->values.at[x].ring;
        p->values.at[x].ring = p->values.at[y].ring;
        p->values.at[y].ring = next;
    }
}

/* Time ----------------------------------------------------------------------------------------- */

static region *enter(planner *p, const ir_graph *g, const ir_node *loop, region *parent)
{
    region *r = arena_new(p->a, region);
    uint32_t size = ir_graph_size(g);
    *r = (region){.g = g,
                  .loop = loop,
                  .parent = parent,
                  .t = values_create(g, p->a),
                  .base = p->values.len,
                  .item_begin = arena_array(p->a, moment, size),
                  .item_end = arena_array(p->a, moment, size),
                  .inner = arena_array(p->a, region *, size)};
    vec_push(p->a, &p->regions, r);
    for (uint32_t i = 0; i < r->t->n; i++) {
        vec_push(p->a, &p->values,
                 ((value){.r = r, .v = i, .leader = r->base + i, .ring = r->base + i}));
    }
    p->now.at++;
    r->begin = p->now;
    for (uint32_t i = 0; i < size; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (!values_is_item(n)) {
            continue;
        }
        p->now.at++;
        p->now.epoch +=
            n->op == IR_OP_loop || p->after_loop || ir_node_int(n, IR_ATTR_barrier, 0) == 1;
        p->after_loop = false;
        r->item_begin[i] = p->now;
        if (n->op == IR_OP_loop) {
            r->inner[i] = enter(p, n->bodies[0], n, r);
            p->now.at++;
            p->after_loop = true;
        }
        r->item_end[i] = p->now;
    }
    p->now.at++;
    r->end = p->now;
    return r;
}

static void use(value *v, moment m)
{
    if (m.at > v->last.at) {
        v->before = v->used ? v->last : v->before;
        v->last = m;
    } else if (m.at < v->last.at && m.at > v->before.at && v->used) {
        v->before = m;
    }
    v->used = true;
}

static uint32_t n_carries(const ir_node *loop)
{
    return (uint32_t)ir_node_int(loop, IR_ATTR_carries, 0);
}

static void find_lifetimes(planner *p, region *r)
{
    for (uint32_t i = 0; i < r->t->n; i++) {
        value *v = &p->values.at[r->base + i];
        const ir_node *n = r->t->nodes[i];
        bool carry = n->op == IR_OP_input && r->loop &&
                     (uint32_t)ir_node_int(n, IR_ATTR_index, 0) < n_carries(r->loop);
        v->lives = values_is_item(n) || carry || n->op == IR_OP_state;
        v->def = r->begin;
        if (n->op == IR_OP_loop) {
            v->def = r->t->results[i] < n_carries(n) ? r->item_end[n->id] : r->item_begin[n->id];
        } else if (values_is_item(n)) {
            v->def = r->item_begin[n->id];
        }
        v->last = n->op == IR_OP_loop ? r->item_end[n->id] : v->def;
    }
    for (uint32_t i = 0; i < ir_graph_size(r->g); i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        for (uint32_t k = 0; values_is_item(n) && k < n->n_in; k++) {
            value *v = &p->values.at[number(r, n->in[k])];
            bool captured = n->op == IR_OP_loop && k >= n_carries(n);
            use(v, captured ? r->item_end[i] : r->item_begin[i]);
        }
    }
    for (uint32_t i = 0; i < ir_graph_n_outputs(r->g); i++) {
        value *v = &p->values.at[number(r, ir_graph_output(r->g, i)->node)];
        use(v, r->end);
    }
}

/* A body input that stands for a captured value lives as long as that: through the loop anyway. */

/* What must share ------------------------------------------------------------------------------ */

static void join_loop(planner *p, region *r, const ir_node *loop)
{
    region *in = r->inner[loop->id];
    uint32_t first = r->base + r->t->first[loop->id];
    for (uint32_t i = 0; i < loop->n_in; i++) {
        uint32_t inside = number(in, ir_graph_input(in->g, i));
        join(p, number(r, loop->in[i]), inside);
        if (i < n_carries(loop)) {
            join(p, inside, number(in, ir_graph_output(in->g, i)->node));
            join(p, inside, first + i);
        }
    }
}

static void join_required(planner *p, region *r)
{
    for (uint32_t i = 0; i < ir_graph_size(r->g); i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        if (n->op == IR_OP_loop) {
            join_loop(p, r, n);
        }
        for (uint32_t k = 0; n->op == IR_OP_kernel && k < n->n_results; k++) {
            int64_t operand = values_inplace(n, k);
            if (operand >= 0) {
                join(p, number(r, n->in[operand]), r->base + r->t->first[i] + k);
            }
        }
    }
}

static void join_zeros(planner *p)
{
    for (uint32_t i = 0; i < p->prepared->zeros.len; i++) {
        plan_zero z = p->prepared->zeros.at[i];
        for (uint32_t k = 0; k < p->regions.len; k++) {
            region *r = p->regions.at[k];
            bool here =
                z.loop->id < ir_graph_size(r->g) && ir_graph_node(r->g, z.loop->id) == z.loop;
            if (here) {
                uint32_t whole = r->base + r->t->first[z.loop->id] + z.result;
                uint32_t zeros = number(r, z.kernel);
                join(p, whole, zeros);
                p->values.at[zeros].last = r->item_begin[z.loop->id];
            }
        }
    }
}

static uint32_t state_value(const region *top, const char *name)
{
    for (uint32_t i = 0; i < top->t->n; i++) {
        const ir_node *n = top->t->nodes[i];
        if (n->op == IR_OP_state && ir_node_str(n, IR_ATTR_name) == name) {
            return top->base + i;
        }
    }
    return NONE;
}

static void fix(planner *p, uint32_t v, const char *space)
{
    buffer *b = &p->buffers[leader(p, v)];
    if (b->kind == BUFFER_FIXED && b->space != space) {
        diag_error(p->c->d, (span){0}, "internal: a value must be in two places, %s and %s",
                   b->space, space);
    }
    b->kind = BUFFER_FIXED;
    b->space = space;
}

static void fix_outputs(planner *p, region *top)
{
    intern_table *names = ir_ctx_names(p->ctx);
    uint32_t result = 0;
    for (uint32_t i = 0; i < ir_graph_n_outputs(top->g); i++) {
        const ir_output *o = ir_graph_output(top->g, i);
        uint32_t v = number(top, o->node);
        fix(p, v,
            o->kind == IR_OUTPUT_RESULT ? intern_printf(names, "result:%u", result++)
                                        : intern_printf(names, "state:%s", o->name));
    }
}

static void fix_leaves(planner *p, region *r)
{
    intern_table *names = ir_ctx_names(p->ctx);
    for (uint32_t i = 0; i < r->t->n; i++) {
        const ir_node *n = r->t->nodes[i];
        uint32_t v = r->base + i;
        if (n->op == IR_OP_param || n->op == IR_OP_const) {
            fix(p, v, intern(names, n->op == IR_OP_param ? "param" : "const"));
        } else if (n->op == IR_OP_state) {
            fix(p, v, intern_printf(names, "state:%s", ir_node_str(n, IR_ATTR_name)));
        } else if (n->op == IR_OP_input && !r->loop) {
            fix(p, v,
                intern_printf(names, "input:%lld", (long long)ir_node_int(n, IR_ATTR_index, 0)));
        }
    }
}

static const ir_dim *turn_of(ir_ctx *c, const ir_node *loop)
{
    const ir_dim *i = ir_dim_sym(c, ir_node_attr(loop, IR_ATTR_sym)->sym);
    const ir_dim *lo = ir_node_attr(loop, IR_ATTR_lo)->dims[0];
    int64_t step = ir_node_int(loop, IR_ATTR_step, 1);
    const ir_dim *gone = step > 0 ? ir_dim_sub(c, i, lo) : ir_dim_sub(c, lo, i);
    return ir_dim_floordiv(c, gone, ir_dim_const(c, step > 0 ? step : -step));
}

static void find_rows(planner *p, region *r)
{
    for (uint32_t i = n_carries(r->loop); i < r->loop->n_results; i++) {
        uint32_t row = leader(p, number(r, ir_graph_output(r->g, i)->node));
        uint32_t whole = r->parent->base + r->parent->t->first[r->loop->id] + i;
        buffer *b = &p->buffers[row];
        if (b->kind != BUFFER_ARENA) {
            diag_error(p->c->d, r->loop->loc.where, "internal: a collected value has two places");
        }
        b->kind = BUFFER_ROW;
        b->row_of = whole;
        b->turn = turn_of(p->ctx, r->loop);
    }
}

/* What may share ------------------------------------------------------------------------------- */

/* At this moment a kernel reads x for the last time and makes y: may y be written over x? */
static bool touch(planner *p, uint32_t x, uint32_t y)
{
    const value *vx = &p->values.at[x], *vy = &p->values.at[y];
    const ir_node *n = vy->r->t->nodes[vy->v];
    /* Other threads may still be reading x for a kernel before, with no meeting since. */
    bool busy = vx->before.at && vx->before.epoch == vy->def.epoch;
    if (vx->r != vy->r || n->op != IR_OP_kernel || busy) {
        return false;
    }
    bool ok = false;
    for (uint32_t k = 0; k < n->n_in; k++) {
        if (number(vx->r, n->in[k]) == x) {
            ok = plan_may_overwrite(p->ctx, p->a, n, k, vy->r->t->results[vy->v]);
            if (!ok) {
                return false;
            }
        }
    }
    return ok;
}

static bool apart(planner *p, uint32_t x, uint32_t y)
{
    const value *vx = &p->values.at[x], *vy = &p->values.at[y];
    if (!vx->lives || !vy->lives || vx->last.epoch < vy->def.epoch ||
        vy->last.epoch < vx->def.epoch) {
        return true;
    }
    if (vx->last.at == vy->def.at) {
        return touch(p, x, y);
    }
    return vy->last.at == vx->def.at && touch(p, y, x);
}

static bool may_join(planner *p, uint32_t x, uint32_t y)
{
    uint32_t lx = leader(p, x), ly = leader(p, y);
    const buffer *bx = &p->buffers[lx], *by = &p->buffers[ly];
    if (lx == ly || bx->kind == BUFFER_ROW || by->kind == BUFFER_ROW ||
        (bx->kind == BUFFER_FIXED && by->kind == BUFFER_FIXED)) {
        return false;
    }
    const char *fixed = bx->kind == BUFFER_FIXED ? bx->space : by->space;
    if (fixed && strncmp(fixed, "result:", 7) != 0) {
        return false;
    }
    uint32_t i = lx;
    do {
        uint32_t k = ly;
        do {
            if (!apart(p, i, k)) {
                return false;
            }
            k = p->values.at[k].ring;
        } while (k != ly);
        i = p->values.at[i].ring;
    } while (i != lx);
    return true;
}

static void join_may(planner *p, uint32_t x, uint32_t y)
{
    uint32_t lx = leader(p, x), ly = leader(p, y);
    buffer kept = p->buffers[lx].kind == BUFFER_FIXED ? p->buffers[lx] : p->buffers[ly];
    join(p, lx, ly);
    p->buffers[leader(p, lx)] = kept;
}

static void overwrite_operands(planner *p, region *r)
{
    for (uint32_t i = 0; i < ir_graph_size(r->g); i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        if (n->op != IR_OP_kernel || n->n_results != 1 || values_inplace(n, 0) >= 0) {
            continue;
        }
        uint32_t y = r->base + r->t->first[i];
        for (uint32_t k = 0; k < n->n_in; k++) {
            uint32_t x = number(r, n->in[k]);
            if (p->values.at[x].lives && p->values.at[x].last.at == r->item_begin[i].at &&
                touch(p, x, y) && may_join(p, x, y)) {
                join_may(p, x, y);
                break;
            }
        }
    }
}

/* Places --------------------------------------------------------------------------------------- */

static const ir_dim *atom_value(ir_ctx *c, const ir_atom *t)
{
    switch (t->kind) {
    case IR_ATOM_SYM:
        return ir_dim_sym(c, t->sym);
    case IR_ATOM_FLOORDIV:
        return ir_dim_floordiv(c, t->a, t->b);
    case IR_ATOM_MOD:
        return ir_dim_mod(c, t->a, t->b);
    case IR_ATOM_MIN:
        return ir_dim_min(c, t->a, t->b);
    default:
        return ir_dim_max(c, t->a, t->b);
    }
}

/* Up to a multiple of 64. Coefficients are rounded one by one where that wastes little: sums of
 * such sizes can be compared with each other, those with divisions in them can not. */
static const ir_dim *rounded(ir_ctx *c, const ir_dim *bytes)
{
    const ir_dim *line = ir_dim_const(c, 64), *up = ir_dim_const(c, 0);
    bool simple = true;
    for (uint32_t i = 0; i < bytes->n_terms && simple; i++) {
        const ir_term *t = &bytes->terms[i];
        int64_t coef = (t->coef + (t->coef > 0 ? 63 : 0)) / 64 * 64, waste = coef - t->coef;
        const ir_dim *m = ir_dim_const(c, 1);
        for (uint32_t k = 0; k < t->n_factors; k++) {
            for (uint32_t e = 0; e < t->factors[k].power; e++) {
                m = ir_dim_mul(c, m, atom_value(c, t->factors[k].atom));
            }
        }
        simple = m->lo >= 0 && t->coef < INT64_MAX - 64 &&
                 (t->n_factors == 0 || coef >= 16 * waste || (m->hi <= (1 << 18) / 64 && waste));
        up = ir_dim_add(c, up, ir_dim_scale(c, m, coef));
    }
    return simple ? up : ir_dim_mul(c, ir_dim_ceildiv(c, bytes, line), line);
}

static const ir_dim *pack(planner *p)
{
    uint32_t n = 0;
    plan_buffer **list = arena_array(p->a, plan_buffer *, p->values.len);
    for (uint32_t i = 0; i < p->values.len; i++) {
        value *v = &p->values.at[i];
        buffer *b = &p->buffers[leader(p, i)];
        if (b->kind != BUFFER_ARENA || !v->lives) {
            continue;
        }
        if (!b->packed.bytes) {
            b->packed.bytes = rounded(p->ctx, ir_type_bytes(p->ctx, values_type(v->r->t, v->v)));
            list[n++] = &b->packed;
        }
        vec_push(p->a, &b->packed.live, ((plan_interval){v->def.epoch, v->last.epoch}));
    }
    return plan_pack(p->ctx, p->a, list, n);
}

/* Offset of the buffer; rows after the whole that they are rows of. */
static const ir_dim *offset(planner *p, uint32_t v)
{
    buffer *b = &p->buffers[leader(p, v)];
    if (b->placed) {
        return b->at;
    }
    b->placed = true;
    b->at = ir_dim_const(p->ctx, 0);
    if (b->kind == BUFFER_ARENA && b->packed.at) {
        b->at = b->packed.at;
    } else if (b->kind == BUFFER_ROW) {
        const value *one = &p->values.at[leader(p, v)];
        const ir_dim *bytes = ir_type_bytes(p->ctx, values_type(one->r->t, one->v));
        b->at = ir_dim_add(p->ctx, offset(p, b->row_of), ir_dim_mul(p->ctx, b->turn, bytes));
    }
    return b->at;
}

static const char *space(planner *p, uint32_t v)
{
    const buffer *b = &p->buffers[leader(p, v)];
    while (b->kind == BUFFER_ROW) {
        b = &p->buffers[leader(p, b->row_of)];
    }
    return b->kind == BUFFER_FIXED ? b->space : intern(ir_ctx_names(p->ctx), "arena");
}

/* Building anew -------------------------------------------------------------------------------- */

static void place_attrs(planner *p, region *r, const ir_node *n, ir_attr *attrs)
{
    ir_graph *room = p->prepared->g;
    const char **spaces = arena_array(ir_graph_arena(room), const char *, n->n_results);
    const ir_dim **ats = arena_array(ir_graph_arena(room), const ir_dim *, n->n_results);
    const ir_dim **bytes = arena_array(ir_graph_arena(room), const ir_dim *, n->n_results);
    for (uint32_t i = 0; i < n->n_results; i++) {
        uint32_t v = r->base + r->t->first[n->id] + i;
        spaces[i] = space(p, v);
        ats[i] = offset(p, v);
        bytes[i] = ir_type_bytes(p->ctx, n->types[i]);
    }
    attrs[0] = ir_attr_ss(IR_ATTR_space, n->n_results, spaces);
    attrs[1] = ir_attr_ds(IR_ATTR_at, n->n_results, ats);
    attrs[2] = ir_attr_ds(IR_ATTR_bytes, n->n_results, bytes);
}

static ir_graph *rebuild(planner *p, region *r)
{
    ir_graph *g = ir_graph_begin_rewrite_bare(r->g);
    const ir_node **new_of = arena_array(p->a, const ir_node *, ir_graph_size(r->g));
    for (uint32_t i = 0; i < ir_graph_n_inputs(r->g); i++) {
        const ir_node *n = ir_graph_input(r->g, i);
        ir_attr attrs[3];
        place_attrs(p, r, n, attrs);
        new_of[n->id] = ir_graph_add_input_like(g, n, 3, attrs);
    }
    for (uint32_t i = 0; i < ir_graph_size(r->g); i++) {
        const ir_node *n = ir_graph_node(r->g, i);
        if (new_of[i]) {
            continue;
        }
        ir_attr attrs[3];
        const ir_node **in = arena_array(p->a, const ir_node *, n->n_in);
        for (uint32_t k = 0; k < n->n_in; k++) {
            in[k] = new_of[n->in[k]->id];
        }
        place_attrs(p, r, n, attrs);
        ir_graph *body = n->op == IR_OP_loop ? rebuild(p, r->inner[i]) : NULL;
        new_of[i] = ir_graph_copy_node_with(g, n, in, body ? &body : n->bodies, 3, attrs);
    }
    ir_graph_end_rewrite(g, r->g, new_of);
    ir_graph_set_stage(g, IR_STAGE_PLANNED);
    return g;
}

ir_graph *pass_plan_memory(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) == IR_STAGE_PLANNED) {
        return ir_graph_clone(g);
    }
    planner p = {.c = c, .ctx = ir_graph_ctx(g), .a = c->scratch, .prepared = plan_prepare(c, g)};
    region *top = enter(&p, p.prepared->g, NULL, NULL);
    p.buffers = arena_array(p.a, buffer, p.values.len);
    for (uint32_t i = 0; i < p.regions.len; i++) {
        find_lifetimes(&p, p.regions.at[i]);
        join_required(&p, p.regions.at[i]);
    }
    join_zeros(&p);
    for (uint32_t i = 0; i < ir_graph_n_outputs(top->g); i++) {
        const ir_output *o = ir_graph_output(top->g, i);
        uint32_t state = o->kind == IR_OUTPUT_STATE ? state_value(top, o->name) : NONE;
        if (state != NONE) {
            join(&p, state, number(top, o->node));
        }
    }
    for (uint32_t i = 0; i < p.regions.len; i++) {
        fix_leaves(&p, p.regions.at[i]);
    }
    fix_outputs(&p, top);
    for (uint32_t i = 1; i < p.regions.len; i++) {
        find_rows(&p, p.regions.at[i]);
    }
    for (uint32_t i = 0; i < p.regions.len; i++) {
        overwrite_operands(&p, p.regions.at[i]);
    }
    const ir_dim *arena_bytes = pack(&p);
    ir_graph *out = rebuild(&p, top);
    ir_graph_set_arena_bytes(out, arena_bytes);
    if (c->explain) {
        fprintf(c->explain, "%s: arena %s bytes\n", ir_graph_name(g),
                ir_dim_text(p.ctx, arena_bytes));
    }
    ir_graph_destroy(p.prepared->g);
    return out;
}
