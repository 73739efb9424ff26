/* Threads of a planned program, element by element: between two meetings no two threads may touch
 * one byte, if one of them writes it. */
#include "plan_random.h"

#include "passes/column_groups.h"
#include "passes/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#if !__has_include("ir/verify.c")
#include "ir/verify.h"
bool ir_verify_graph(const ir_graph *g, ir_stage stage, diag *d)
{
    return true;
}
#endif

typedef struct byte {
    uint32_t write_epoch, read_epoch;
    int writer, reader; /* threads; reader -2: several */
    const ir_node *write_kernel, *read_kernel;
} byte;

typedef struct memory {
    const char *space;
    byte *bytes;
    int64_t n;
} memory;

typedef struct runner {
    fixture *f;
    arena *a;
    arena *lasting;
    const ir_sym *syms[64];
    int64_t values[64];
    uint32_t n_syms;
    memory memories[64];
    uint32_t n_memories;
    uint32_t epoch;
    int threads;
    const ir_node *kernel;
    bool race;
    char what[256];
} runner;

static bool look_up(void *data, const ir_sym *s, int64_t *v)
{
    runner *r = data;
    for (uint32_t i = r->n_syms; i-- > 0;) {
        if (r->syms[i] == s) {
            *v = r->values[i];
            return true;
        }
    }
    return false;
}

static int64_t num(runner *r, const ir_dim *d)
{
    int64_t v = 0;
    if (!ir_dim_eval(d, look_up, r, &v)) {
        printf("cannot evaluate %s\n", ir_dim_text(r->f->c, d));
        fail();
    }
    return v;
}

static memory *memory_of(runner *r, const char *space)
{
    for (uint32_t i = 0; i < r->n_memories; i++) {
        if (r->memories[i].space == space) {
            return &r->memories[i];
        }
    }
    memory *m = &r->memories[r->n_memories++];
    m->space = space;
    m->n = 1 << 17;
    m->bytes = arena_array(r->lasting, byte, (size_t)m->n);
    return m;
}

static void touch(runner *r, const ir_node *at, uint32_t result, int64_t element, bool write,
                  int thread)
{
    const char *space = ir_node_attr(at, IR_ATTR_space)->strs[result];
    bool shared = strcmp(space, "arena") == 0 || strncmp(space, "state", 5) == 0 ||
                  strncmp(space, "result", 6) == 0;
    if (!shared) {
        return;
    }
    int64_t size = (int64_t)ir_dtype_bytes(at->types[result]->dtype);
    int64_t first = num(r, ir_node_attr(at, IR_ATTR_at)->dims[result]) + element * size;
    memory *m = memory_of(r, space);
    for (int64_t i = first; i < first + size && i < m->n; i++) {
        byte *b = &m->bytes[i];
        bool other_wrote = b->write_epoch == r->epoch && b->writer != thread;
        bool other_read = b->read_epoch == r->epoch && b->reader != thread;
        if (other_wrote || (write && other_read)) {
            r->race = true;
            snprintf(r->what, sizeof r->what, "%s byte %lld: %s by thread %d in %s; before: %s",
                     space, (long long)i, write ? "written" : "read", thread,
                     ir_node_str(r->kernel, IR_ATTR_name),
                     ir_node_str(other_wrote ? b->write_kernel : b->read_kernel, IR_ATTR_name));
        }
        if (write) {
            b->write_epoch = r->epoch;
            b->writer = thread;
            b->write_kernel = r->kernel;
        } else {
            b->reader = b->read_epoch == r->epoch && b->reader != thread ? -2 : thread;
            b->read_epoch = r->epoch;
            b->read_kernel = r->kernel;
        }
    }
}

static int thread_of(runner *r, const access_domain *d, const int64_t *point)
{
    int64_t split = ir_node_int(r->kernel, IR_ATTR_split, -1);
    int64_t grain = ir_node_int(r->kernel, IR_ATTR_grain, 1);
    if (split < 0) {
        return 0;
    }
    int64_t units = (num(r, d->dims[split]) + grain - 1) / grain, unit = point[split] / grain;
    if (ir_node_int(r->kernel, IR_ATTR_open, 0)) { /* nobody knows who: each is somebody else's */
        return r->threads + (int)unit;
    }
    for (int t = 0; t < r->threads; t++) {
        if (unit >= units * t / r->threads && unit < units * (t + 1) / r->threads) {
            return t;
        }
    }
    return -1;
}

/* Symbols that have no value, and how many combinations of theirs are tried. */
typedef struct more_syms {
    runner *r;
    const ir_sym *at[8];
    uint32_t n;
    int64_t total;
} more_syms;

static bool note_symbol(void *data, const ir_sym *s)
{
    more_syms *m = data;
    int64_t v;
    bool known = look_up(m->r, s, &v);
    for (uint32_t i = 0; i < m->n; i++) {
        known |= m->at[i] == s;
    }
    if (!known) {
        assert_true(m->n < sizeof m->at / sizeof *m->at);
        m->at[m->n++] = s;
        m->total *= s->hi > 40 ? 40 : s->hi + 1;
    }
    return false;
}

/* One access: for all values of the symbols in its index beside the domain's. */
static void access_all(runner *r, const access_domain *d, const int64_t *point, const ir_node *at,
                       uint32_t result, const ir_type *t, const ir_dim *const *index, bool write)
{
    more_syms more = {.r = r, .total = 1};
    uint32_t base = r->n_syms;
    for (uint32_t i = 0; i < t->rank; i++) {
        ir_dim_any_symbol(index[i], note_symbol, &more);
    }
    int thread = thread_of(r, d, point);
    for (int64_t combination = 0; combination < more.total; combination++) {
        int64_t rest = combination;
        r->n_syms = base;
        for (uint32_t j = 0; j < more.n; j++) {
            int64_t n = more.at[j]->hi > 40 ? 40 : more.at[j]->hi + 1;
            r->syms[r->n_syms] = more.at[j];
            r->values[r->n_syms++] = rest % n;
            rest /= n;
        }
        int64_t linear = 0;
        bool inside = true;
        for (uint32_t i = 0; i < t->rank; i++) {
            int64_t size = num(r, t->dims[i]), v = num(r, index[i]);
            inside &= v >= 0 && v < size;
            linear = linear * size + v;
        }
        if (inside) {
            touch(r, at, result, linear, write, thread);
        }
    }
    r->n_syms = base;
}

static void run_kernel(runner *r, const ir_node *n)
{
    ir_ctx *c = r->f->c;
    arena_point mark = arena_mark(r->a);
    access w;
    access_domain d;
    access_init(&w, r->a, c);
    access_kernel(&w, n, &d);
    assert_false(w.overrun);
    r->kernel = n;
    int64_t point[IR_MAX_RANK] = {0}, total = 1, sizes[IR_MAX_RANK];
    for (uint32_t i = 0; i < d.rank; i++) {
        sizes[i] = num(r, d.dims[i]);
        total *= sizes[i];
    }
    uint32_t base = r->n_syms;
    for (int64_t p = 0; p < total && !r->race; p++) {
        int64_t rest = p;
        r->n_syms = base;
        for (uint32_t i = d.rank; i-- > 0;) {
            point[i] = rest % sizes[i];
            rest /= sizes[i];
            const ir_sym *s = ir_dim_as_sym(d.index[i]);
            if (s) {
                r->syms[r->n_syms] = s;
                r->values[r->n_syms++] = point[i];
            }
        }
        for (uint32_t i = 0; i < w.visits.len; i++) {
            const access_visit *v = &w.visits.at[i];
            if (v->node->op == IR_OP_input) {
                const ir_node *at = n->in[ir_node_int(v->node, IR_ATTR_index, 0)];
                access_all(r, &d, point, at, 0, ir_node_type(v->node), v->index, false);
            }
        }
        for (uint32_t k = 0; k < n->n_results; k++) {
            const ir_node *out = ir_graph_output(n->bodies[0], k)->node;
            const ir_dim *index[IR_MAX_RANK] = {NULL};
            access_result_index(c, n, &d, k, index);
            const ir_attr *offsets =
                out->op == IR_OP_update ? ir_node_attr(out, IR_ATTR_offsets) : NULL;
            for (uint32_t i = 0; offsets && i < ir_node_type(out)->rank; i++) {
                index[i] = ir_dim_add(c, index[i], offsets->dims[i]);
            }
            access_all(r, &d, point, n, k, ir_node_type(out), index, true);
        }
    }
    r->n_syms = base;
    arena_release(r->a, mark);
}

static void run_graph(runner *r, const ir_graph *g)
{
    for (uint32_t i = 0; i < ir_graph_size(g) && !r->race; i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_kernel) {
            int64_t barrier = ir_node_int(n, IR_ATTR_barrier, 0);
            r->epoch += barrier && barrier % r->threads != 0;
            run_kernel(r, n);
        } else if (n->op == IR_OP_loop) {
            int64_t lo = num(r, ir_node_attr(n, IR_ATTR_lo)->dims[0]);
            int64_t hi = num(r, ir_node_attr(n, IR_ATTR_hi)->dims[0]);
            uint32_t at = r->n_syms++;
            r->syms[at] = ir_node_attr(n, IR_ATTR_sym)->sym;
            for (int64_t v = lo; v < hi && v < lo + 3; v++) {
                r->values[at] = v;
                run_graph(r, n->bodies[0]);
                r->epoch += ir_node_int(n, IR_ATTR_cond, 0) != 0;
            }
            r->n_syms = at;
        }
    }
}

/* Do threads race, for some number of them? Then says where. */
static bool races(fixture *f, const ir_graph *g, int64_t t, char what[256])
{
    static const int threads[] = {2, 3, 4, 6, 8};
    bool race = false;
    for (int i = 0; i < 5 && !race; i++) {
        runner r = {.f = f,
                    .a = arena_create(),
                    .lasting = arena_create(),
                    .epoch = 1,
                    .threads = threads[i]};
        for (uint32_t k = 0; k < ir_graph_n_syms(g); k++) {
            r.syms[r.n_syms] = ir_graph_sym(g, k);
            r.values[r.n_syms++] = ir_graph_sym(g, k) == f->T ? t : 2;
        }
        run_graph(&r, g);
        race = r.race;
        snprintf(what, 256, "T = %d, %d threads: %.200s", (int)t, threads[i], r.what);
        arena_destroy(r.a);
        arena_destroy(r.lasting);
    }
    return race;
}

static void check_races(fixture *f, const ir_graph *g, int64_t t, const char *name)
{
    char what[256];
    if (races(f, g, t, what)) {
        printf("%s, %s\n%s\n", name, what, ir_print_graph(g, f->a));
        fail();
    }
}

/* panel: of the module's parameters, which lie in panels already; 0: there are none. */
static ir_graph *plan(fixture *f, int level, uint32_t panel)
{
    pass_ctx c = {
        .module = &f->m, .d = f->d, .scratch = arena_create(), .level = level, .panel = panel};
    ir_graph *g = ir_graph_clone(f->b.graph);
    for (int id = panel ? PASS_canonicalize : PASS_fuse_epilogue; id <= PASS_join_products; id++) {
        if (pass_get((pass_id)id)->level <= level && id != PASS_layout) {
            ir_graph *next = pass_run((pass_id)id, &c, g);
            ir_graph_destroy(g);
            g = next;
        }
    }
    arena_destroy(c.scratch);
    return g;
}

static void test_random(void **state)
{
    const char *one = getenv("AIGC_TEST_SEED"), *count = getenv("AIGC_TEST_COUNT");
    uint64_t n = count ? strtoull(count, NULL, 10) : 60;
    for (uint64_t seed = one ? strtoull(one, NULL, 10) : 0;
         seed < (one ? strtoull(one, NULL, 10) + 1 : n); seed++) {
        ir_state s;
        fixture *f = make_random(seed, &s);
        for (int level = 0; level < 2; level++) {
            ir_graph *g = plan(f, level, 0);
            char what[64];
            snprintf(what, sizeof what, "seed %llu level %d", (unsigned long long)seed, level);
            check_races(f, g, 5, what);
            ir_graph_destroy(g);
        }
        ir_graph_destroy(f->b.graph);
        arena_destroy(f->a);
    }
}

static void test_llama(void **state)
{
    fixture *f = fixture_create(1, 16);
    build_llama(f, (llama){32, 4, 2, 8, 40, 24, 3, 16});
    assert_false(f->b.failed);
    for (int level = 0; level < 2; level++) {
        ir_graph *g = plan(f, level, 0);
        check_races(f, g, 1, "llama");
        check_races(f, g, 3, "llama");
        ir_graph_destroy(g);
    }
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

/* Every matrix of the graph becomes a parameter of the module, in panels. */
static void add_params(fixture *f, const ir_graph *g, uint32_t panel, ir_param *params)
{
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (n->op == IR_OP_param && ir_node_type(n)->rank == 2) {
            params[f->m.n_params++] = (ir_param){.name = ir_node_str(n, IR_ATTR_name),
                                                 .type = ir_node_type(n),
                                                 .storage = IR_STORAGE_f32,
                                                 .layout = intern(ir_ctx_names(f->c), "panels"),
                                                 .panel = panel};
        }
        if (n->op == IR_OP_loop) {
            add_params(f, n->bodies[0], panel, params);
        }
    }
}

static uint32_t count_groups(const ir_graph *g)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        count += n->op == IR_OP_kernel && ir_node_int(n, IR_ATTR_group, 0);
        count += n->op == IR_OP_loop ? count_groups(n->bodies[0]) : 0;
    }
    return count;
}

/* Products that rotate heads and write them to the caches: who writes what others read? */
static void test_groups(void **state)
{
    static const llama shapes[] = {
        {32, 4, 2, 16, 24, 24, 2, 16},
        {32, 2, 2, 16, 24, 24, 2, 16},
        {32, 6, 3, 16, 24, 24, 2, 16},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ir_param params[32];
        fixture *f = fixture_create(1, 16);
        build_llama(f, shapes[i]);
        assert_false(f->b.failed);
        f->m.params = params;
        add_params(f, f->b.graph, 8, params);
        ir_graph *g = plan(f, 1, 8);
        assert_int_equal(count_groups(g), 3);
        check_races(f, g, 1, "llama in panels");
        check_races(f, g, 3, "llama in panels");
        assert_true(plan_verify(&f->m, g, f->d));
        ir_graph_destroy(g);
        ir_graph_destroy(f->b.graph);
        arena_destroy(f->a);
    }
}

/* A copy of the graph with the k-th kernel's attribute changed; k counts down. */
static ir_graph *spoil(fixture *f, const ir_graph *g, int *k, ir_attr attr)
{
    ir_graph *out = ir_graph_begin_rewrite(g);
    const ir_node **new_of = arena_array(f->a, const ir_node *, ir_graph_size(g) + 1);
    for (uint32_t i = 0; i < ir_graph_n_inputs(g); i++) {
        new_of[ir_graph_input(g, i)->id] = ir_graph_input(out, i);
    }
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i), *in[32];
        for (uint32_t j = 0; j < n->n_in; j++) {
            in[j] = new_of[n->in[j]->id];
        }
        if (n->op == IR_OP_loop) {
            ir_graph *body = spoil(f, n->bodies[0], k, attr);
            new_of[i] = ir_graph_copy_node_bodies(out, n, in, &body);
        } else if (!new_of[i]) {
            bool hit = n->op == IR_OP_kernel && (*k)-- == 0;
            new_of[i] = ir_graph_copy_node_attrs(out, n, in, hit, &attr);
        }
    }
    ir_graph_end_rewrite(out, g, new_of);
    return out;
}

/* Plans that are wrong in one place: whichever the verifiers take has no race, and columns of other
 * groups none of them takes. */
static void check_spoiled(fixture *f, const ir_graph *g, const char *name)
{
    enum { PLACES = 3 };
    const ir_dim *places[PLACES] = {K(f, 0), K(f, 64), K(f, 256)};
    VEC(ir_attr) wrong = {0};
    static const struct {
        ir_attr_key key;
        int64_t value;
    } numbers[] = {
        {IR_ATTR_barrier, 0   },
        {IR_ATTR_barrier, 4   },
        {IR_ATTR_open,    1   },
        {IR_ATTR_open,    0   },
        {IR_ATTR_split,   -1  },
        {IR_ATTR_split,   0   },
        {IR_ATTR_split,   1   },
        {IR_ATTR_split,   7   },
        {IR_ATTR_grain,   1   },
        {IR_ATTR_grain,   3   },
        {IR_ATTR_grain,   0   },
        {IR_ATTR_group,   8   },
        {IR_ATTR_group,   4096},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        vec_push(f->a, &wrong, ir_attr_i(numbers[i].key, numbers[i].value));
    }
    for (int i = 0; i < PLACES; i++) {
        vec_push(f->a, &wrong, ir_attr_ds(IR_ATTR_at, 1, &places[i]));
    }
    uint32_t refused = 0;
    for (uint32_t w = 0; w < wrong.len; w++) {
        for (int k = 0, left = -1; left < 0; k++) {
            left = k;
            ir_graph *bad = spoil(f, g, &left, wrong.at[w]);
            char what[256] = "columns of other groups";
            bool taken = left < 0 && column_groups_verify(bad, f->d) && shares_verify(bad, f->d) &&
                         plan_verify(&f->m, bad, f->d);
            refused += left < 0 && !taken;
            diag_clear(f->d);
            bool group = wrong.at[w].key == IR_ATTR_group;
            if (taken && (group || races(f, bad, 1, what) || races(f, bad, 3, what))) {
                fail_msg("%s, kernel %d with %s = %lld: %s", name, k, ir_attr_name(wrong.at[w].key),
                         (long long)wrong.at[w].i, what);
            }
            ir_graph_destroy(bad);
        }
    }
    assert_true(refused > 4 * wrong.len);
}

static void test_spoiled(void **state)
{
    ir_param params[32];
    fixture *f = fixture_create(1, 16);
    build_llama(f, (llama){32, 4, 2, 16, 24, 24, 2, 16});
    f->m.params = params;
    add_params(f, f->b.graph, 8, params);
    ir_graph *g = plan(f, 1, 8);
    check_spoiled(f, g, "llama in panels");
    ir_graph_destroy(g);
    ir_graph_destroy(f->b.graph);
    arena_destroy(f->a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_llama), cmocka_unit_test(test_groups),
                                       cmocka_unit_test(test_spoiled),
                                       cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
