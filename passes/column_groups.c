#include "passes/column_groups.h"
#include "passes/fuse_cost.h"
#include "support/divisor.h"

enum {
    MOST_COLUMNS = 2048, /* that are summed before the first element is made of them */
    MOST_PLACES = 8,     /* of the product that an element reads */
    NARROW = 16,         /* groups of less: all columns are one, if they are */
    MOST_WHOLE = 256     /* so many */
};

typedef struct finder {
    ir_ctx *c;
    const ir_node *product;
    const ir_type *made; /* of the value */
    const ir_dim *axes[IR_MAX_RANK];
    uint32_t last; /* axis of the product: its columns */
    uint32_t rows; /* axes of the value that are the product's rows, as a mask */
    int axis;      /* of the value: along which groups lie; -1: there is but one */
    int64_t size;
    const char *why;
} finder;

static bool refuse(finder *f, const char *why)
{
    f->why = why;
    return false;
}

static int64_t columns(const finder *f)
{
    const ir_dim *n = ir_node_type(f->product)->dims[f->last];
    return ir_dim_is_const(n) ? ir_dim_value(n) : 0;
}

/* The place of a row in the product: an axis of the value each, of the same size. */
static bool find_rows(finder *f, const access_visit *v)
{
    for (uint32_t k = 0; k < f->last; k++) {
        const ir_dim *size = ir_node_type(f->product)->dims[k];
        bool found = ir_dim_is_one(size);
        for (uint32_t i = 0; i < f->made->rank && !found; i++) {
            if (v->index[k] == f->axes[i] && f->made->dims[i] == size && !(f->rows >> i & 1)) {
                f->rows |= 1u << i;
                found = true;
            }
        }
        if (!found) {
            return refuse(f, "its rows are not the reader's");
        }
    }
    return true;
}

static bool lies_within(ir_ctx *c, const ir_dim *d, int64_t size)
{
    return ir_dim_le(c, ir_dim_const(c, 0), d) == IR_ALWAYS &&
           ir_dim_le(c, d, ir_dim_const(c, size - 1)) == IR_ALWAYS;
}

/* Is the column size * axis + less than size? */
static bool in_group(const finder *f, const access_visit *v, int axis, int64_t size)
{
    const ir_dim *rest = v->index[f->last];
    const ir_sym *s = axis < 0 ? NULL : ir_dim_as_sym(f->axes[axis]);
    int64_t coef = 0;
    if (axis >= 0 && (!s || !ir_dim_split(f->c, rest, s, &coef, &rest) || coef != size)) {
        return false;
    }
    return access_affine(rest) && lies_within(f->c, rest, size);
}

/* The axis with the longest stride, of which what others add stays short. All columns are one group
 * where heads are so narrow that each would be a vector in part. */
static bool find_axis(finder *f, const access_visit *v)
{
    f->axis = -1;
    f->size = 0;
    for (uint32_t i = 0; i < f->made->rank; i++) {
        const ir_sym *s = ir_dim_as_sym(f->axes[i]);
        const ir_dim *rest;
        int64_t coef;
        if (s && ir_dim_split(f->c, v->index[f->last], s, &coef, &rest) && coef > f->size &&
            in_group(f, v, (int)i, coef) && ir_dim_is_value(f->made->dims[i], columns(f) / coef)) {
            f->axis = (int)i;
            f->size = coef;
        }
    }
    bool parted =
        f->axis >= 0 && f->rows >> f->axis; /* rows of one group, then those of the next */
    if (f->size < NARROW && parted && columns(f) <= MOST_WHOLE) {
        f->axis = -1;
        f->size = columns(f);
    }
    return f->size >= NARROW || parted || refuse(f, "threads could not share its columns");
}

/* Lanes run along the value's last axis: it must be one of those within a group. */
static bool ends_within(const finder *f)
{
    uint32_t i = f->made->rank;
    while (i > 0 && ir_dim_is_one(f->made->dims[i - 1])) {
        i--;
    }
    return i > 0 && !(f->rows >> (i - 1) & 1) && f->axis != (int)i - 1;
}

static bool check_visits(finder *f, const access *w)
{
    uint32_t places = 0;
    const access_visit *first = NULL;
    for (uint32_t i = 0; i < w->visits.len; i++) {
        const access_visit *v = &w->visits.at[i];
        if (v->node != f->product) {
            for (uint32_t k = 0; v->leaf && k < ir_node_type(v->node)->rank; k++) {
                if (fuse_has_division(v->index[k])) {
                    return refuse(f, "other operands would be read one by one");
                }
            }
            continue;
        }
        if (!first) {
            first = v;
            if (!find_rows(f, v) || !find_axis(f, v)) {
                return false;
            }
        }
        if (!access_same_index(first->index, v->index, f->last)) {
            return refuse(f, "it reads several rows");
        }
        if (!in_group(f, v, f->axis, f->size)) {
            return refuse(f, "it reads columns of several groups");
        }
        if (++places > MOST_PLACES) {
            return refuse(f, "it reads too many columns");
        }
    }
    return first || refuse(f, "it does not read all columns");
}

column_groups column_groups_of(ir_ctx *c, arena *a, const ir_node *product, const ir_node *value,
                               uint32_t panel, bool (*is_leaf)(void *data, const ir_node *n),
                               void *data)
{
    arena_point mark = arena_mark(a);
    const ir_node *made = access_stored(c, value, false);
    finder f = {.c = c,
                .product = product,
                .made = ir_node_type(made),
                .last = ir_node_type(product)->rank - 1};
    access w;
    access_init(&w, a, c);
    w.is_leaf = is_leaf;
    w.data = data;
    w.parts_bounded = true;
    access_axes(c, f.made, f.axes);
    access_walk(&w, made, f.axes); /* what follows reads it element by element */
    bool ok = ir_type_elems(c, f.made) == ir_type_elems(c, ir_node_type(product))
                  ? !w.overrun && columns(&f) > 0 && check_visits(&f, &w)
                  : refuse(&f, "it is of another size");
    ok = ok && (ends_within(&f) || refuse(&f, "columns would be stored apart"));
    if (ok) {
        int64_t step = f.size / common_divisor(f.size, panel) * panel;
        ok = step <= MOST_COLUMNS || refuse(&f, "groups and panels seldom end together");
    }
    arena_release(a, mark);
    return (column_groups){ok ? f.size : 0, f.why ? f.why : "its places are too entangled"};
}

/* Claims --------------------------------------------------------------------------------------- */

/* Sums are kept as f32s. */
static bool is_kept(const ir_node *product)
{
    ir_dtype t = ir_node_type(product)->dtype;
    return t == IR_f32 || t == IR_f16 || t == IR_bf16;
}

static bool claim_holds(ir_ctx *c, const ir_node *kernel, const char **why)
{
    const ir_graph *body = kernel->bodies[0];
    const ir_node *product = ir_graph_only(body, IR_OP_contract);
    bool one = product && is_kept(product) && kernel->n_results == 1 &&
               ir_node_type(product)->rank > 0 && ir_graph_n_outputs(body) == 1;
    *why = "it is not the kernel of one product of floats";
    if (!one) {
        return false;
    }
    arena *a = arena_create();
    column_groups q =
        column_groups_of(c, a, product, ir_graph_output(body, 0)->node, 1, NULL, NULL);
    arena_destroy(a);
    *why = q.why ? q.why : "it is made of others";
    return q.size == ir_node_int(kernel, IR_ATTR_group, 0);
}

bool column_groups_verify(const ir_graph *g, diag *d)
{
    bool ok = true;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        const char *why, *name = ir_node_str(n, IR_ATTR_name);
        if (n->op == IR_OP_loop) {
            ok = column_groups_verify(n->bodies[0], d) && ok;
        } else if (n->op == IR_OP_kernel && ir_node_attr(n, IR_ATTR_group) &&
                   !claim_holds(ir_graph_ctx(g), n, &why)) {
            diag_error(d, n->loc.where, "kernel %s is not made of groups of %lld columns: %s",
                       name ? name : "", (long long)ir_node_int(n, IR_ATTR_group, 0), why);
            ok = false;
        }
    }
    return ok;
}
