/* x[...]: NumPy's indexing with numbers, sizes, slices and tensors; and assignment to parts of
 * states. */
#include "frontend/elab.h"

#include <string.h>

typedef struct axis_range {
    const ir_dim *offset, *size;
    int64_t step;
    bool drop;     /* a single index: the axis goes */
    bool reversed; /* step -1 */
} axis_range;

typedef struct indexing {
    uint32_t rank;                  /* of x */
    axis_range ranges[IR_MAX_RANK]; /* one an axis of x */
    bool new_axis[2 * IR_MAX_RANK]; /* in order of the result */
    uint32_t n_result;
    int tensor_axis; /* the axis indexed by a tensor, or -1 */
    value tensor;
    span tensor_where;
} indexing;

/* A negative number counts from the end. */
static const ir_dim *from_end(elab *e, const ir_dim *i, const ir_dim *size)
{
    return i->hi < 0 ? ir_dim_add(e->c, size, i) : i;
}

/* A mistake with an index or a slice, with the values of its names. */
__attribute__((format(printf, 4, 5))) static bool wrong_index(elab *e, scope *s, const ast *t,
                                                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(e->a, format, args);
    va_end(args);
    elab_error(e, t->where, "%s", text);
    elab_note_names(e, s, t);
    return false;
}

static bool slice_range(elab *e, scope *s, const ast *t, const ir_dim *size, axis_range *r)
{
    const ir_dim *lo = ir_dim_const(e->c, 0), *hi = size;
    int64_t step = 1;
    if (t->kids[2] && !want_int(e, t->kids[2]->where, eval_expr(e, s, t->kids[2]),
                                "the step of a slice", &step)) {
        return false;
    }
    if (step == -1 && !t->kids[0] && !t->kids[1]) {
        *r = (axis_range){lo, size, 1, false, true};
        return true;
    }
    if (step < 1) {
        elab_error(e, t->where, "the step of a slice must be positive, found %lld",
                   (long long)step);
        diag_help(e->d, "to turn a whole axis around write [::-1] or flip(x, axis)");
        return false;
    }
    if (t->kids[0]) {
        if (!want_dim(e, t->kids[0]->where, eval_expr(e, s, t->kids[0]), "the beginning of a slice",
                      &lo)) {
            return false;
        }
        lo = from_end(e, lo, size);
    }
    if (t->kids[1]) {
        if (!want_dim(e, t->kids[1]->where, eval_expr(e, s, t->kids[1]), "the end of a slice",
                      &hi)) {
            return false;
        }
        hi = from_end(e, hi, size);
    }
    bool turned = ir_dim_sub(e->c, hi, lo)->hi < 0;
    if (t->kids[0] && t->kids[1] && turned) {
        return wrong_index(e, s, t, "slice %s:%s ends before it begins", source_text(e, t->kids[0]),
                           source_text(e, t->kids[1]));
    }
    /* Constant ends beyond a constant axis are cut, as NumPy does. */
    if (ir_dim_is_const(hi) && ir_dim_is_const(size)) {
        hi = ir_dim_min(e->c, hi, size);
        lo = ir_dim_is_const(lo) ? ir_dim_min(e->c, lo, hi) : lo;
    }
    const ir_dim *n = ir_dim_sub(e->c, hi, lo);
    *r = (axis_range){lo, step == 1 ? n : ir_dim_ceildiv(e->c, n, ir_dim_const(e->c, step)), step,
                      false, false};
    return true;
}

static bool read_items(elab *e, scope *s, const ast *t, const ir_type *x, indexing *ix)
{
    uint32_t given = 0, ellipses = 0;
    *ix = (indexing){.rank = x->rank, .tensor_axis = -1};
    for (uint32_t i = 1; i < t->n; i++) {
        given += t->kids[i]->kind != AST_ELLIPSIS && t->kids[i]->kind != AST_NONE;
        ellipses += t->kids[i]->kind == AST_ELLIPSIS;
    }
    if (given > x->rank || ellipses > 1) {
        if (ellipses > 1) {
            elab_error(e, t->where, "'...' can stand once only");
        } else if (x->rank == 0) {
            elab_error(e, t->where, "a single number cannot be indexed (%s)", type_text(e, x));
        } else {
            elab_error(e, t->where, "%u indices for %u ax%ss (%s)", given, x->rank,
                       x->rank == 1 ? "i" : "e", type_text(e, x));
        }
        elab_note_now(e);
        return false;
    }
    uint32_t axis = 0;
    for (uint32_t i = 1; i <= t->n; i++) {
        bool rest = i == t->n || t->kids[i]->kind == AST_ELLIPSIS;
        if (rest) {
            uint32_t upto = i == t->n ? x->rank : axis + x->rank - given;
            for (; axis < upto; axis++) {
                ix->ranges[axis] =
                    (axis_range){ir_dim_const(e->c, 0), x->dims[axis], 1, false, false};
                ix->new_axis[ix->n_result++] = false;
            }
            continue;
        }
        const ast *k = t->kids[i];
        if (k->kind == AST_NONE) {
            ix->new_axis[ix->n_result++] = true;
            continue;
        }
        const ir_dim *size = x->dims[axis];
        if (k->kind == AST_SLICE) {
            if (!slice_range(e, s, k, size, &ix->ranges[axis++])) {
                return false;
            }
            ix->new_axis[ix->n_result++] = false;
            continue;
        }
        value v = eval_expr(e, s, k);
        if (is_tensor(&v)) {
            if (ix->tensor_axis >= 0) {
                elab_error(e, k->where,
                           "one axis at most can be indexed by a tensor: use gather for more");
                return false;
            }
            ix->tensor_axis = (int)axis;
            ix->tensor = v;
            ix->tensor_where = k->where;
            ix->ranges[axis++] = (axis_range){ir_dim_const(e->c, 0), size, 1, false, false};
            ix->new_axis[ix->n_result++] = false;
            continue;
        }
        const ir_dim *at;
        if (!want_dim(e, k->where, v, "an index", &at)) {
            return false;
        }
        at = from_end(e, at, size);
        if (ir_dim_le(e->c, size, at) == IR_ALWAYS || at->hi < 0) {
            return wrong_index(e, s, k, "index %s is out of range: axis %u of %s has size %s",
                               value_text(e, &v), axis, type_text(e, x), ir_dim_text(e->c, size));
        }
        ix->ranges[axis++] = (axis_range){at, ir_dim_const(e->c, 1), 1, true, false};
    }
    return true;
}

static const ir_node *sliced(elab *e, ir_builder *b, const ir_node *x, const indexing *ix)
{
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK];
    int64_t steps[IR_MAX_RANK], turned[IR_MAX_RANK];
    uint32_t n_turned = 0;
    bool whole = true;
    for (uint32_t i = 0; i < ix->rank; i++) {
        const axis_range *r = &ix->ranges[i];
        offsets[i] = r->offset;
        sizes[i] = r->size;
        steps[i] = r->step;
        whole &=
            r->step == 1 && r->size == ir_node_type(x)->dims[i] && ir_dim_is_value(r->offset, 0);
        if (r->reversed) {
            turned[n_turned++] = i;
        }
    }
    (void)e;
    if (!whole) {
        x = ir_slice(b, x, offsets, sizes, steps);
    }
    if (n_turned) {
        ir_attr a = ir_attr_is(IR_ATTR_axes, n_turned, turned);
        x = ir_build(b, IR_OP_reverse, 1, &x, 1, &a, 0, NULL);
    }
    return x;
}

/* The shape after single indices are dropped and new axes put in. */
static uint32_t result_shape(elab *e, const indexing *ix, const ir_dim **out)
{
    uint32_t n = 0, axis = 0;
    for (uint32_t i = 0; i < ix->n_result || axis < ix->rank;) {
        if (axis < ix->rank && ix->ranges[axis].drop) {
            axis++;
            continue;
        }
        if (i >= ix->n_result) {
            break;
        }
        if (n < IR_MAX_RANK) {
            out[n++] = ix->new_axis[i] ? ir_dim_const(e->c, 1) : ix->ranges[axis].size;
        }
        axis += !ix->new_axis[i];
        i++;
    }
    return n;
}

/* The item of t that stands for an axis. */
static const ast *item_of_axis(const ast *t, uint32_t rank, uint32_t axis)
{
    uint32_t at = 0, given = 0;
    for (uint32_t i = 1; i < t->n; i++) {
        given += t->kids[i]->kind != AST_ELLIPSIS && t->kids[i]->kind != AST_NONE;
    }
    for (uint32_t i = 1; i < t->n; i++) {
        const ast *k = t->kids[i];
        if (k->kind == AST_ELLIPSIS) {
            at += rank - given;
        } else if (k->kind != AST_NONE && at++ == axis) {
            return k;
        }
    }
    return t;
}

typedef struct index_notes {
    elab *e;
    span where;
    const ir_sym *told[4];
    uint32_t n;
} index_notes;

/* Where a loop's index goes, once for each of the first few. */
static bool note_index(void *data, const ir_sym *s)
{
    index_notes *q = data;
    const char *dot = strrchr(s->name, '.'); /* "t.0": the number tells loops apart */
    bool told = !s->most || !dot;
    for (uint32_t i = 0; i < q->n; i++) {
        told |= q->told[i] == s;
    }
    if (!told) {
        diag_note(q->e->d, q->where, "%.*s goes from %s to %s", (int)(dot - s->name), s->name,
                  ir_dim_text(q->e->c, s->least), ir_dim_text(q->e->c, s->most));
        q->told[q->n++] = s;
    }
    return q->n == sizeof q->told / sizeof *q->told;
}

/* An index that is a size and too large, or may be. */
static value index_error(elab *e, const ast *t, value base, const axis_range *r, uint32_t axis)
{
    const ir_node *x = want_tensor(e, t->kids[0]->where, base, "this");
    const ir_type *type = ir_node_type(x);
    const ast *k = item_of_axis(t, type->rank, axis);
    elab_error(e, k->where, "index %s is out of range: axis %u of %s has size %s",
               source_text(e, k), axis, type_text(e, type), ir_dim_text(e->c, type->dims[axis]));
    index_notes notes = {.e = e, .where = t->where};
    ir_dim_any_symbol(r->offset, note_index, &notes);
    elab_note_now(e);
    return value_poison();
}

static value index_tensor(elab *e, scope *s, const ast *t, value base)
{
    const ir_node *x = want_tensor(e, t->kids[0]->where, base, "this");
    indexing ix;
    if (!x || !read_items(e, s, t, ir_node_type(x), &ix)) {
        return value_poison();
    }
    ir_builder b = elab_builder(e, t->where);
    const ir_node *r = sliced(e, &b, x, &ix);
    const ir_dim *shape[IR_MAX_RANK];
    uint32_t n = result_shape(e, &ix, shape);
    if (r && n != ix.rank) {
        r = ir_reshape(&b, r, n, shape);
    } else if (r && ix.n_result != ix.rank) {
        r = ir_reshape(&b, r, n, shape);
    }
    if (r && ix.tensor_axis >= 0) {
        uint32_t axis = 0, seen = 0;
        for (uint32_t i = 0; i < ix.n_result; i++) { /* where the axis stands in the result */
            uint32_t k = seen;
            while (!ix.new_axis[i] && ix.ranges[k].drop) {
                k++;
            }
            if (!ix.new_axis[i] && (int)k == ix.tensor_axis) {
                axis = i;
            }
            seen = ix.new_axis[i] ? seen : k + 1;
        }
        const ir_node *ids = want_tensor(e, ix.tensor_where, ix.tensor, "the index");
        r = ids ? ir_take(&b, r, ids, axis) : NULL;
        if (!ids) {
            return value_poison();
        }
    }
    if (r) {
        return value_tensor(e, r);
    }
    int axis = b.error.axis[0];
    if (axis >= 0 && axis < (int)ix.rank && ix.ranges[axis].drop) {
        return index_error(e, t, base, &ix.ranges[axis], (uint32_t)axis);
    }
    return elab_build_error(e, &b, 1, &base);
}

static value index_list(elab *e, scope *s, const ast *t, value base)
{
    const ast *k = t->kids[1];
    int64_t n = base.list.n, i;
    if (t->n == 2 && k->kind == AST_SLICE) {
        int64_t lo = 0, hi = n;
        if ((k->kids[0] &&
             !want_int(e, k->where, eval_expr(e, s, k->kids[0]), "the beginning", &lo)) ||
            (k->kids[1] && !want_int(e, k->where, eval_expr(e, s, k->kids[1]), "the end", &hi))) {
            return value_poison();
        }
        lo = lo < 0 ? lo + n : lo;
        hi = hi < 0 ? hi + n : hi > n ? n : hi;
        lo = lo < 0 ? 0 : lo > hi ? hi : lo;
        return value_list(e, base.kind, (uint32_t)(hi - lo), base.list.at + lo);
    }
    if (t->n != 2 || !want_int(e, t->where, eval_expr(e, s, k), "an index of a list", &i)) {
        return value_poison();
    }
    i = i < 0 ? i + n : i;
    if (i < 0 || i >= n) {
        (void)wrong_index(e, s, k, "index %lld is out of range: the list has %lld items",
                          (long long)i, (long long)n);
        return value_poison();
    }
    return base.list.at[i];
}

value eval_index(elab *e, scope *s, const ast *t)
{
    value base = eval_expr(e, s, t->kids[0]);
    if (base.kind == V_POISON) {
        return base;
    }
    if (is_tensor(&base)) {
        return index_tensor(e, s, t, base);
    }
    if ((base.kind == V_LIST || base.kind == V_TUPLE) && t->n >= 2) {
        return index_list(e, s, t, base);
    }
    if (base.kind == V_MODULES && t->n == 2) {
        const ir_dim *i;
        if (!want_dim(e, t->kids[1]->where, eval_expr(e, s, t->kids[1]), "which of the modules",
                      &i)) {
            return value_poison();
        }
        i = from_end(e, i, ir_dim_const(e->c, base.module.count));
        if (i->hi < 0 || i->lo >= base.module.count) {
            (void)wrong_index(e, s, t->kids[1], "index %s is out of range: there are %lld modules",
                              ir_dim_text(e->c, i), (long long)base.module.count);
            return value_poison();
        }
        reference *ref = arena_copy(e->a, base.module.ref, sizeof *ref);
        ref->index[ref->n++] = i;
        value v = {.kind = V_MODULE};
        v.module.ref = ref;
        return v;
    }
    return elab_error(e, t->where, "%s cannot be indexed", value_text(e, &base));
}

/* States ------------------------------------------------------------------------------------------
 */

/* The state's type within its module: without the axes of the loops around. */
static uint32_t outer_axes(const value *v)
{
    return v->slot.ref->n;
}

value read_state(elab *e, span where, const value *v)
{
    const ir_node *now = level_state(e, v->slot.number);
    const ir_type *t = ir_node_type(now);
    uint32_t outer = outer_axes(v);
    if (outer == 0) {
        return value_tensor(e, now);
    }
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK];
    for (uint32_t i = 0; i < t->rank; i++) {
        offsets[i] = i < outer ? v->slot.ref->index[i] : ir_dim_const(e->c, 0);
        sizes[i] = i < outer ? ir_dim_const(e->c, 1) : t->dims[i];
    }
    ir_builder b = elab_builder(e, where);
    const ir_node *part = ir_slice(&b, now, offsets, sizes, NULL);
    const ir_node *r = ir_reshape(&b, part, t->rank - outer, t->dims + outer);
    return r ? value_tensor(e, r) : elab_error(e, where, "%s", b.error.text);
}

/* Can what is written be broadcast to the part of the state? */
static bool fits_part(elab *e, const ast *t, const value *state, const value *v,
                      const ir_type *from, const ir_type *part)
{
    bool fits = from->rank <= part->rank;
    for (uint32_t i = 0; fits && i < from->rank; i++) {
        const ir_dim *to = part->dims[part->rank - from->rank + i];
        fits = ir_dim_is_one(from->dims[i]) || ir_dim_equal(e->c, from->dims[i], to) != IR_NEVER;
    }
    if (fits && from->dtype == part->dtype) {
        return true;
    }
    const char *what = v->name && v->name[0] != '%' ? v->name : "...";
    if (!fits) {
        elab_error(e, t->where, "cannot write %s to a part of %s of shape %s", type_text(e, from),
                   state->name, type_text(e, part) + strcspn(type_text(e, part), "["));
    } else {
        elab_error(e, t->where, "%s is %s, found %s", state->name, ir_dtype_name(part->dtype),
                   type_text(e, from));
    }
    diag_note(e->d, state->where, "%s is %s", state->name, value_text(e, state));
    if (v->name && v->where.file) {
        diag_note(e->d, v->where, "%s is %s", what, value_text(e, v));
    }
    if (fits) {
        diag_help(e->d, "convert with cast(%s, %s)", what, ir_dtype_name(part->dtype));
    }
    return false;
}

void assign_index(elab *e, scope *s, const ast *t, value v)
{
    value base = eval_expr(e, s, t->kids[0]);
    if (base.kind == V_POISON || v.kind == V_POISON) {
        return;
    }
    if (base.kind != V_STATE) {
        elab_error(e, t->where, "only parts of a state can be assigned to, found %s%s",
                   base.kind == V_PARAM ? "parameter " : "",
                   base.kind == V_PARAM ? base.name : value_text(e, &base));
        if (base.kind == V_PARAM) {
            diag_note(e->d, base.where, "%s is %s", base.name, value_text(e, &base));
            diag_help(e->d, "what is kept from call to call is declared 'state %s: %s'", base.name,
                      value_text(e, &base));
        } else {
            diag_help(e->d, "build a new tensor with where, concat or pad instead");
        }
        return;
    }
    const ir_type *whole = e->states.at[base.slot.number].type;
    uint32_t outer = outer_axes(&base);
    const ir_type *x = ir_type_get(e->c, whole->dtype, whole->rank - outer, whole->dims + outer);
    indexing ix;
    if (!read_items(e, s, t, x, &ix)) {
        return;
    }
    const ir_dim *offsets[IR_MAX_RANK], *sizes[IR_MAX_RANK], *shape[IR_MAX_RANK];
    for (uint32_t i = 0; i < whole->rank; i++) {
        offsets[i] = i < outer ? base.slot.ref->index[i] : ix.ranges[i - outer].offset;
        sizes[i] = i < outer ? ir_dim_const(e->c, 1) : ix.ranges[i - outer].size;
        bool steps =
            i >= outer && (ix.ranges[i - outer].step != 1 || ix.ranges[i - outer].reversed);
        if (steps || ix.tensor_axis >= 0) {
            elab_error(e, t->where,
                       "a part of a state that is written must be a plain range on every axis");
            return;
        }
    }
    uint32_t n = result_shape(e, &ix, shape);
    const ir_node *src = want_operand(e, t->where, v, x);
    if (!src) {
        return;
    }
    if (!fits_part(e, t, &base, &v, ir_node_type(src), ir_type_get(e->c, x->dtype, n, shape))) {
        return;
    }
    ir_builder b = elab_builder(e, t->where);
    if (ir_node_type(src)->rank < n ||
        !ir_type_same_shape(ir_node_type(src), ir_type_get(e->c, x->dtype, n, shape))) {
        src = ir_broadcast(&b, src, n, shape);
    }
    src = ir_reshape(&b, src, whole->rank, sizes);
    const ir_node *now = src ? ir_update(&b, level_state(e, base.slot.number), src, offsets) : NULL;
    if (!now) {
        value operands[2] = {base, v};
        elab_build_error(e, &b, 2, operands);
        return;
    }
    level_set_state(e, base.slot.number, now);
}
