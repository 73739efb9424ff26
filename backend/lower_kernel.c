/* One kernel of the planned graph becomes loop nests. */
#include "backend/lower_building.h"

#include <string.h>

/* Symbols: those of the body in order of appearance become s0, s1, ... ---------------------------
 */

typedef struct symbol {
    const ir_sym *own, *stands_for;
} symbol;

typedef struct symbols {
    arena *a;
    VEC(symbol) all;
} symbols;

static bool note_symbol(void *data, const ir_sym *s)
{
    symbols *z = data;
    bool known = false;
    for (uint32_t i = 0; i < z->all.len; i++) {
        known |= z->all.at[i].stands_for == s;
    }
    if (!known) {
        vec_push(z->a, &z->all, ((symbol){.stands_for = s}));
    }
    return false;
}

static void note_dim(symbols *z, const ir_dim *d)
{
    ir_dim_any_symbol(d, note_symbol, z);
}

static void note_graph(symbols *z, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        for (uint32_t r = 0; r < n->n_results; r++) {
            for (uint32_t k = 0; k < n->types[r]->rank; k++) {
                note_dim(z, n->types[r]->dims[k]);
            }
        }
        for (uint32_t a = 0; a < n->n_attrs; a++) {
            ir_attr_kind kind = ir_attr_kind_of(n->attrs[a].key);
            if (kind == IR_ATTR_KIND_DIM) {
                note_dim(z, n->attrs[a].dim);
            }
            for (uint32_t k = 0; kind == IR_ATTR_KIND_DIMS && k < n->attrs[a].n; k++) {
                note_dim(z, n->attrs[a].dims[k]);
            }
        }
        for (uint32_t b = 0; b < n->n_bodies; b++) {
            note_graph(z, n->bodies[b]);
        }
    }
}

/* The bodies of n kernels with symbols of their own, which are those of one kernel. */
static const ir_graph **own_symbols(arena *a, ir_ctx *c, const ir_node *const *nodes, uint32_t n,
                                    symbols *z)
{
    const ir_graph **bodies = arena_array(a, const ir_graph *, n);
    *z = (symbols){.a = a};
    for (uint32_t i = 0; i < n; i++) {
        bodies[i] = nodes[i]->bodies[0];
        note_graph(z, bodies[i]);
    }
    /* Two steps, so that no name is taken for another on the way. */
    for (int step = 0; step < 2; step++) {
        for (uint32_t i = 0; i < z->all.len; i++) {
            symbol *s = &z->all.at[i];
            const ir_sym *from = step ? s->own : s->stands_for;
            const char *name = intern_printf(ir_ctx_names(c), step ? "s%u" : "?s%u", i);
            const ir_sym *to = ir_sym_get(c, name, from->lo, from->hi);
            for (uint32_t k = 0; k < n; k++) {
                bodies[k] = ir_graph_subst(bodies[k], from, ir_dim_sym(c, to));
            }
            s->own = to;
        }
    }
    return bodies;
}

/* Buffers -----------------------------------------------------------------------------------------
 */

static bool same_place(const k_place *x, const k_place *y)
{
    return x->space == y->space && x->index == y->index && x->space != K_SPACE_CONST &&
           x->space != K_SPACE_PARAM && (x->space == K_SPACE_STATE || x->at == y->at);
}

static k_buf *new_buf(building *b, const char *name, const ir_type *t, k_buf_access how)
{
    k_buf *k = arena_new(b->l.a, k_buf);
    *k = (k_buf){.id = b->l.bufs.len,
                 .name = name,
                 .dtype = t->dtype,
                 .storage = ir_storage_of_dtype(t->dtype),
                 .type = t,
                 .access = how,
                 .layout = intern(ir_ctx_names(b->l.c), "rows"),
                 .disjoint = true};
    vec_push(b->l.a, &b->l.bufs, k);
    return k;
}

/* Buffers of operands and results: of all nodes that are one kernel, one node after the other. */
typedef struct buf_list {
    const lower_values *of;
    const ir_node **values; /* [of->n]: operands; NULL: a result */
    k_buf **made;           /* [of->n] */
    uint32_t n, n_in, n_out;
    VEC(lower_source) sources; /* of all buffers so far */
} buf_list;

static k_buf *add_buf(building *b, buf_list *l, const char *name, const ir_type *t,
                      k_buf_access how)
{
    vec_push(b->l.a, &l->sources, ((lower_source){false, l->n}));
    return new_buf(b, name, t, how);
}

/* The buffer of an operand that an earlier node reads, too; nobody writes those. */
static k_buf *operand_of_earlier(const buf_list *l, uint32_t before, const ir_node *operand)
{
    for (uint32_t i = 0; i < before; i++) {
        if (l->values[i] == operand) {
            return l->made[i];
        }
    }
    return NULL;
}

static void add_operands(building *b, buf_list *l)
{
    const ir_node *n = b->node;
    uint32_t before = l->n;
    b->operands = arena_array(b->l.a, const k_buf *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++, l->n++) {
        const ir_param *p = l->of->params[l->n];
        k_buf *k = operand_of_earlier(l, before, n->in[i]);
        if (!k) {
            const char *name = intern_printf(ir_ctx_names(b->l.c), "in%u", l->n_in++);
            k = add_buf(b, l, name, ir_node_type(ir_graph_input(b->body, i)), K_READ);
            k->storage = p ? p->storage : k->storage;
            k->layout = p ? p->layout : k->layout;
            k->panel = p ? p->panel : 0;
            k->pack_transposed = p && p->pack_transposed;
        }
        l->values[l->n] = n->in[i];
        l->made[l->n] = k;
        b->operands[i] = k;
    }
}

static void add_results(building *b, buf_list *l)
{
    const ir_node *n = b->node;
    const ir_attr *inplace = ir_node_attr(n, IR_ATTR_inplace);
    uint32_t first_operand = l->n - n->n_in;
    b->results = arena_array(b->l.a, const k_buf *, n->n_results);
    for (uint32_t r = 0; r < n->n_results; r++, l->n++) {
        bool own = !inplace || r >= inplace->n || inplace->ints[r] < 0;
        k_buf *k;
        if (own) {
            const char *name = intern_printf(ir_ctx_names(b->l.c), "out%u", l->n_out++);
            k = add_buf(b, l, name, ir_node_type(ir_graph_output(b->body, r)->node), K_WRITE);
        } else {
            k = l->made[first_operand + inplace->ints[r]];
            k->access = K_READ_WRITE;
        }
        l->made[l->n] = k;
        b->results[r] = k;
    }
}

static void note_overlaps(const buf_list *l)
{
    for (uint32_t i = 0; i < l->n; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (l->made[i] != l->made[k] && same_place(&l->of->places[i], &l->of->places[k])) {
                l->made[i]->disjoint = l->made[k]->disjoint = false;
            }
        }
    }
}

/* One of the nodes that are the kernel. */
static void lower_node(building *b, buf_list *l, const ir_node *n, const ir_graph *body)
{
    static const struct {
        const char *kind;
        void (*lower)(building *b);
    } special[] = {
        {"reduce",    lower_rows     },
        {"scan",      lower_scan     },
        {"scatter",   lower_scatter  },
        {"sort",      lower_sort     },
        {"attention", lower_attention}
    };
    b->node = n;
    b->body = body;
    b->split = (int)ir_node_int(n, IR_ATTR_split, -1);
    b->grain = ir_node_int(n, IR_ATTR_grain, 1);
    add_operands(b, l);
    add_results(b, l);
    b->scope = (lower_scope){.body = b->body, .bufs = b->operands};
    const char *kind = ir_node_str(n, IR_ATTR_family);
    for (uint32_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (strcmp(special[i].kind, kind) == 0) {
            special[i].lower(b);
            return;
        }
    }
    lower_nest(b, kind);
}

/* Constants come after all other buffers; then what nests keep, which is no argument. */
static void number_bufs(building *b, buf_list *l)
{
    for (uint32_t i = 0; i < b->l.consts.len; i++) {
        b->l.const_bufs.at[i]->id = b->l.bufs.len;
        vec_push(b->l.a, &b->l.bufs, b->l.const_bufs.at[i]);
        vec_push(b->l.a, &l->sources, ((lower_source){true, i}));
    }
    for (uint32_t i = 0; i < b->keeps.len; i++) {
        b->keeps.at[i]->id = b->l.bufs.len;
    }
}

lowered_kernel lower_kernel(ir_ctx *c, arena *a, const ir_node *const *nodes, uint32_t n,
                            const lower_values *of)
{
    symbols z;
    building *b = arena_new(a, building);
    b->l = (lower){.a = a,
                   .c = c,
                   .exprs = map_create(a),
                   .values = map_create(a),
                   .variables = map_create(a)};
    buf_list l = {.of = of,
                  .values = arena_array(a, const ir_node *, of->n),
                  .made = arena_array(a, k_buf *, of->n)};
    const ir_graph **bodies = own_symbols(a, c, nodes, n, &z);
    for (uint32_t i = 0; i < n; i++) {
        lower_node(b, &l, nodes[i], bodies[i]);
    }
    note_overlaps(&l);
    number_bufs(b, &l);
    const ir_sym **syms = arena_array(a, const ir_sym *, z.all.len);
    const ir_dim **dims = arena_array(a, const ir_dim *, z.all.len);
    for (uint32_t i = 0; i < z.all.len; i++) {
        syms[i] = z.all.at[i].own;
        dims[i] = ir_dim_sym(c, z.all.at[i].stands_for);
    }
    k_kernel *k = arena_new(a, k_kernel);
    *k = (k_kernel){.name = ir_node_str(nodes[0], IR_ATTR_name),
                    .kind = ir_node_str(nodes[0], IR_ATTR_family),
                    .family = b->attention ? K_FAMILY_ATTENTION
                              : b->sort    ? K_FAMILY_SORT
                                           : K_FAMILY_NEST,
                    .n_bufs = b->l.bufs.len,
                    .bufs = b->l.bufs.at,
                    .n_syms = z.all.len,
                    .syms = syms,
                    .n_nests = b->nests.len,
                    .nests = b->nests.at,
                    .joined = n > 1,
                    .attention = b->attention,
                    .sort = b->sort,
                    .n_exprs = b->l.n_exprs,
                    .n_axes = b->l.n_axes};
    k->text = k_print_kernel(k, a);
    return (lowered_kernel){k, l.sources.at, b->l.consts.at, dims};
}
