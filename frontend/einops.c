/* rearrange, reduce, repeat and einsum: patterns of named axes, checked while compiling.
 * https://einops.rocks, numpy.einsum. */
#include "frontend/elab.h"

#include <ctype.h>
#include <string.h>

enum { MOST_NAMES = 24 };

/* "t (s h e)": groups of names; a group of one is a plain axis. */
typedef struct side {
    uint32_t n_groups;
    struct {
        uint32_t n;
        int names[8]; /* into pattern.names; -1: the constant 1; -2: "..." */
    } groups[16];
} side;

typedef struct pattern {
    elab *e;
    span where;
    const char *names[MOST_NAMES];
    const ir_dim *sizes[MOST_NAMES]; /* NULL: not known yet */
    uint32_t n_names;
    side left, right;
    uint32_t n_dots; /* axes "..." stands for */
} pattern;

static int name_index(pattern *p, const char *s, size_t n, bool add)
{
    const char *name = intern_n(p->e->names, s, n);
    for (uint32_t i = 0; i < p->n_names; i++) {
        if (p->names[i] == name) {
            return (int)i;
        }
    }
    if (!add || p->n_names == MOST_NAMES) {
        return -3;
    }
    p->names[p->n_names] = name;
    return (int)p->n_names++;
}

static bool parse_side(pattern *p, const char *s, const char *end, side *out)
{
    bool open = false;
    out->n_groups = 0;
    while (s < end) {
        if (isspace((unsigned char)*s)) {
            s++;
            continue;
        }
        if (*s == '(' || *s == ')') {
            if (open == (*s == '(')) {
                elab_error(p->e, p->where, "parentheses of the pattern do not match");
                return false;
            }
            open = *s++ == '(';
            if (open && out->n_groups < 16) {
                out->groups[out->n_groups++].n = 0;
            }
            continue;
        }
        const char *b = s;
        int name;
        if (strncmp(s, "...", 3) == 0) {
            s += 3;
            name = -2;
        } else if (*s == '1' && (s + 1 == end || !isalnum((unsigned char)s[1]))) {
            s++;
            name = -1;
        } else {
            while (s < end && (isalnum((unsigned char)*s) || *s == '_')) {
                s++;
            }
            if (s == b) {
                elab_error(p->e, p->where, "'%c' has no meaning in a pattern", *s);
                return false;
            }
            name = name_index(p, b, (size_t)(s - b), true);
        }
        if (!open && out->n_groups < 16) {
            out->groups[out->n_groups++].n = 0;
        }
        if (out->n_groups == 16 || out->groups[out->n_groups - 1].n == 8 || name == -3) {
            elab_error(p->e, p->where, "the pattern has too many axes");
            return false;
        }
        out->groups[out->n_groups - 1].names[out->groups[out->n_groups - 1].n++] = name;
    }
    if (open) {
        elab_error(p->e, p->where, "a parenthesis of the pattern is not closed");
    }
    return !open;
}

static bool parse_pattern(pattern *p, const char *text)
{
    const char *arrow = strstr(text, "->");
    if (!arrow) {
        elab_error(p->e, p->where, "a pattern is written 'a b -> b a', this has no '->'");
        return false;
    }
    return parse_side(p, text, arrow, &p->left) &&
           parse_side(p, arrow + 2, text + strlen(text), &p->right);
}

/* "(h e)", as it stands on the left. */
static const char *group_text(const pattern *p, uint32_t g)
{
    const char *text = "";
    uint32_t n = p->left.groups[g].n;
    for (uint32_t i = 0; i < n; i++) {
        int name = p->left.groups[g].names[i];
        text = intern_printf(p->e->names, "%s%s%s", text, i ? " " : "",
                             name >= 0    ? p->names[name]
                             : name == -1 ? "1"
                                          : "...");
    }
    return n == 1 ? text : intern_printf(p->e->names, "(%s)", text);
}

/* The sizes of all names from the operand's shape and the given ones. */
static bool solve_left(pattern *p, const ir_type *t)
{
    ir_ctx *c = p->e->c;
    uint32_t dots = 0;
    for (uint32_t g = 0; g < p->left.n_groups; g++) {
        dots += p->left.groups[g].n == 1 && p->left.groups[g].names[0] == -2;
    }
    uint32_t plain = p->left.n_groups - dots;
    if (dots > 1 || (dots ? t->rank < plain : t->rank != plain)) {
        elab_error(p->e, p->where, "the left side of the pattern has %u axes, %s has %u", plain,
                   type_text(p->e, t), t->rank);
        return false;
    }
    p->n_dots = dots ? t->rank - plain : 0;
    uint32_t axis = 0;
    for (uint32_t g = 0; g < p->left.n_groups; g++) {
        if (p->left.groups[g].n == 1 && p->left.groups[g].names[0] == -2) {
            axis += p->n_dots;
            continue;
        }
        const ir_dim *size = t->dims[axis++], *known = ir_dim_const(c, 1);
        int unknown = -1;
        for (uint32_t i = 0; i < p->left.groups[g].n; i++) {
            int name = p->left.groups[g].names[i];
            if (name >= 0 && !p->sizes[name]) {
                if (unknown >= 0) {
                    elab_error(
                        p->e, p->where,
                        "sizes of '%s' and '%s' cannot be told apart: give one, as in %s = 8",
                        p->names[unknown], p->names[name], p->names[name]);
                    return false;
                }
                unknown = name;
            } else if (name >= 0) {
                known = ir_dim_mul(c, known, p->sizes[name]);
            }
        }
        if (unknown >= 0) {
            p->sizes[unknown] = ir_dim_div_exact(c, size, known);
            if (!p->sizes[unknown]) {
                elab_error(p->e, p->where, "axis %u of size %s ('%s') does not divide by %s",
                           axis - 1, ir_dim_text(c, size), group_text(p, g), ir_dim_text(c, known));
                return false;
            }
        } else if (ir_dim_equal(c, size, known) != IR_ALWAYS) {
            elab_error(p->e, p->where, "axis %u has size %s, the pattern's '%s' says %s", axis - 1,
                       ir_dim_text(c, size), group_text(p, g), ir_dim_text(c, known));
            return false;
        }
    }
    return true;
}

/* The name of the pattern that is nearest, or its only one that is not the same letter; or NULL. */
static const char *nearest_name(const pattern *p, const char *name)
{
    const char *near[MOST_NAMES + 1];
    for (uint32_t i = 0; i < p->n_names; i++) {
        near[i] = p->names[i];
    }
    return diag_nearest(name, near, p->n_names);
}

static bool read_sizes(pattern *p, call *c)
{
    for (uint32_t k = 0; k < c->n_keywords; k++) {
        int i = name_index(p, c->keywords[k], strlen(c->keywords[k]), false);
        if (i < 0) {
            elab_error(p->e, c->keyword_places[k], "'%s' is not in the pattern", c->keywords[k]);
            elab_did_you_mean(p->e, nearest_name(p, c->keywords[k]));
            return false;
        }
        if (!want_dim(p->e, c->keyword_places[k], c->keyword_values[k], "the size of an axis",
                      &p->sizes[i])) {
            return false;
        }
    }
    return true;
}

/* All names of a side in order, "..." as -2 once; 1s are left out. */
static uint32_t flat_names(const side *s, int *out)
{
    uint32_t n = 0;
    for (uint32_t g = 0; g < s->n_groups; g++) {
        for (uint32_t i = 0; i < s->groups[g].n; i++) {
            if (s->groups[g].names[i] != -1) {
                out[n++] = s->groups[g].names[i];
            }
        }
    }
    return n;
}

static int place_of(const int *names, uint32_t n, int name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (names[i] == name) {
            return (int)i;
        }
    }
    return -1;
}

static const char *shown_name(const pattern *p, int name)
{
    return name >= 0 ? p->names[name] : "...";
}

/* Each name once a side; new ones on the right only with a size, in repeat; lost ones only in
 * reduce. */
static bool sides_fit(const pattern *p, const int *left, uint32_t nl, const int *right, uint32_t nr,
                      bool reduces, bool repeats)
{
    elab *e = p->e;
    for (uint32_t i = 0; i < nl + nr; i++) {
        const int *names = i < nl ? left : right;
        uint32_t k = i < nl ? i : i - nl;
        if (place_of(names, k, names[k]) >= 0) {
            elab_error(e, p->where, "axis '%s' stands twice on the %s", shown_name(p, names[k]),
                       i < nl ? "left" : "right");
            return false;
        }
    }
    const char *lost = "";
    uint32_t n_lost = 0;
    int last_lost = -1;
    for (uint32_t i = 0; i < nl && !reduces; i++) {
        if (place_of(right, nr, left[i]) < 0) {
            last_lost = left[i];
            lost = intern_printf(e->names, n_lost++ ? "%s and '%s'" : "%s'%s'", lost,
                                 shown_name(p, left[i]));
        }
    }
    for (uint32_t i = 0; i < nr; i++) {
        if (place_of(left, nl, right[i]) >= 0 || (repeats && right[i] >= 0 && p->sizes[right[i]])) {
            continue;
        }
        const char *name = shown_name(p, right[i]);
        if (repeats && right[i] >= 0) {
            elab_error(e, p->where, "axis '%s' has no size", name);
            diag_help(e->d, "give it one after the pattern, as in '%s = 4'", name);
        } else {
            elab_error(e, p->where, "axis '%s' is not on the left", name);
            elab_did_you_mean(e, n_lost == 1 ? shown_name(p, last_lost) : NULL);
        }
        return false;
    }
    if (n_lost) {
        elab_error(e, p->where,
                   n_lost == 1 ? "axis %s is lost on the right" : "axes %s are lost on the right",
                   lost);
        diag_help(e->d,
                  "to sum over what is lost, or take the mean, write reduce(x, pattern, \"mean\")");
    }
    return n_lost == 0;
}

static value einop(call *c, ir_op reduction, bool repeats)
{
    elab *e = c->e;
    bool reduces = reduction != IR_OP_COUNT;
    pattern *p = arena_new(e->a, pattern);
    p->e = e;
    p->where = c->n_args > 1 ? c->arg_places[1] : c->where;
    const char *text;
    const ir_node *x = c->n_args > 0 ? want_tensor(e, c->where, c->args[0], "the operand") : NULL;
    if (!x || c->n_args < 2 || !want_str(e, p->where, c->args[1], "the pattern", &text) ||
        !parse_pattern(p, text) || !read_sizes(p, c) || !solve_left(p, ir_node_type(x))) {
        return x && c->n_args < 2
                   ? elab_error(e, c->where, "%s needs a tensor and a pattern", c->name)
                   : value_poison();
    }
    const ir_type *t = ir_node_type(x);
    int left[32], right[32];
    uint32_t nl = flat_names(&p->left, left), nr = flat_names(&p->right, right);
    if (!sides_fit(p, left, nl, right, nr, reduces, repeats)) {
        return value_poison();
    }
    /* 1. apart: one axis a name, those of "..." each by itself */
    const ir_dim *dims[32];
    int owner[32], first_dot = -1;
    uint32_t n = 0, axis = 0;
    for (uint32_t g = 0; g < p->left.n_groups; g++) {
        if (p->left.groups[g].n == 1 && p->left.groups[g].names[0] == -2) {
            first_dot = (int)n;
            for (uint32_t k = 0; k < p->n_dots; k++) {
                owner[n] = -2;
                dims[n++] = t->dims[axis++];
            }
            continue;
        }
        axis++;
        for (uint32_t i = 0; i < p->left.groups[g].n; i++) {
            int name = p->left.groups[g].names[i];
            if (name >= 0) {
                owner[n] = name;
                dims[n++] = p->sizes[name];
            }
        }
    }
    if (n > IR_MAX_RANK) {
        return elab_error(e, p->where, "the pattern makes %u axes; at most %d are possible", n,
                          IR_MAX_RANK);
    }
    ir_builder b = elab_builder(e, c->where);
    const ir_node *y = ir_reshape(&b, x, n, dims);
    /* 2. sum away */
    int64_t axes[IR_MAX_RANK];
    uint32_t n_axes = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (place_of(right, nr, owner[i]) < 0) {
            axes[n_axes++] = i;
        } else {
            owner[kept] = owner[i];
            first_dot =
                owner[i] == -2 && (kept == 0 || owner[kept - 1] != -2) ? (int)kept : first_dot;
            dims[kept++] = dims[i];
        }
    }
    y = n_axes && y ? ir_reduce(&b, reduction, y, n_axes, axes, false) : y;
    /* 3. in the order of the right side */
    int64_t perm[IR_MAX_RANK];
    uint32_t np = 0;
    for (uint32_t i = 0; i < nr; i++) {
        if (right[i] == -2) {
            for (uint32_t k = 0; k < p->n_dots; k++) {
                perm[np++] = first_dot + (int)k;
            }
            continue;
        }
        int at = place_of(owner, kept, right[i]);
        if (at >= 0) {
            perm[np++] = at;
        }
    }
    bool moved = false;
    for (uint32_t i = 0; i < np; i++) {
        moved |= perm[i] != i;
    }
    y = moved && y ? ir_transpose(&b, y, perm) : y;
    /* 4. repeat along new axes */
    const ir_dim *ones[32], *wide[32];
    uint32_t nw = 0;
    bool fresh = false;
    for (uint32_t i = 0; i < nr && nw < 32; i++) {
        if (right[i] == -2) {
            for (uint32_t k = 0; k < p->n_dots; k++) {
                ones[nw] = wide[nw] = dims[first_dot + (int)k];
                nw++;
            }
            continue;
        }
        bool is_new = place_of(left, nl, right[i]) < 0;
        fresh |= is_new;
        ones[nw] = is_new ? ir_dim_const(e->c, 1) : p->sizes[right[i]];
        wide[nw++] = p->sizes[right[i]];
    }
    if (fresh && y && nw <= IR_MAX_RANK) {
        y = ir_broadcast(&b, ir_reshape(&b, y, nw, ones), nw, wide);
    }
    /* 5. together */
    const ir_dim *result[32];
    uint32_t rank = 0;
    for (uint32_t g = 0; g < p->right.n_groups; g++) {
        if (p->right.groups[g].n == 1 && p->right.groups[g].names[0] == -2) {
            for (uint32_t k = 0; k < p->n_dots; k++) {
                result[rank++] = dims[first_dot + (int)k];
            }
            continue;
        }
        const ir_dim *size = ir_dim_const(e->c, 1);
        for (uint32_t i = 0; i < p->right.groups[g].n; i++) {
            int name = p->right.groups[g].names[i];
            size = name >= 0 ? ir_dim_mul(e->c, size, p->sizes[name]) : size;
        }
        result[rank++] = size;
    }
    y = y && rank <= IR_MAX_RANK ? ir_reshape(&b, y, rank, result) : NULL;
    return y ? value_tensor(e, y) : elab_build_error(e, &b, 1, c->args);
}

static value run_rearrange(call *c, value *args)
{
    (void)args;
    return einop(c, IR_OP_COUNT, false);
}

static value run_repeat(call *c, value *args)
{
    (void)args;
    return einop(c, IR_OP_COUNT, true);
}

static value run_reduce(call *c, value *args)
{
    (void)args;
    const char *how;
    if (c->n_args != 3 || !want_str(c->e, c->arg_places[2], c->args[2], "the reduction", &how)) {
        return elab_error(
            c->e, c->where,
            "reduce needs a tensor, a pattern and \"sum\", \"mean\", \"max\", \"min\" or \"prod\"");
    }
    ir_op op;
    return elab_reduction(how, &op)
               ? einop(c, op, false)
               : elab_error(c->e, c->arg_places[2],
                            "'%s' is no reduction: sum, mean, max, min and prod are known", how);
}

/* One letter an axis, one size a letter, none in the result that is in no operand. */
static bool letters_fit(call *c, const char *const *labels, uint32_t n, const char *result)
{
    elab *e = c->e;
    const ir_dim *sizes[256] = {NULL};
    for (uint32_t i = 0; i < n; i++) {
        const ir_node *x = want_tensor(e, c->arg_places[i + 1], c->args[i + 1], "an operand");
        if (!x) {
            return false;
        }
        const ir_type *t = ir_node_type(x);
        size_t rank = strlen(labels[i]);
        if (rank != t->rank) {
            elab_error(e, c->arg_places[0], "\"%s\" names %zu ax%ss, %s has %u", labels[i], rank,
                       rank == 1 ? "i" : "e", type_text(e, t), t->rank);
            return false;
        }
        for (size_t k = 0; k < rank; k++) {
            unsigned char l = (unsigned char)labels[i][k];
            const ir_dim *known = sizes[l];
            if (known && !ir_dim_is_one(known) && !ir_dim_is_one(t->dims[k]) &&
                ir_dim_equal(e->c, known, t->dims[k]) == IR_NEVER) {
                elab_error(e, c->arg_places[0], "'%c' has two sizes: %s and %s", l,
                           ir_dim_text(e->c, known), ir_dim_text(e->c, t->dims[k]));
                return false;
            }
            sizes[l] = known && !ir_dim_is_one(known) ? known : t->dims[k];
        }
    }
    for (const char *p = result; *p; p++) {
        if (!sizes[(unsigned char)*p] || strchr(p + 1, *p)) {
            elab_error(e, c->arg_places[0],
                       sizes[(unsigned char)*p] ? "'%c' stands twice in the result"
                                                : "'%c' of the result is in no operand",
                       *p);
            return false;
        }
    }
    return true;
}

/* einsum("bij,bjk->bik", x, y, ...): pair by pair, from the left. */
static value run_einsum(call *c, value *args)
{
    (void)args;
    elab *e = c->e;
    const char *text, *labels[8];
    if (c->n_args < 2 || c->n_args > 9 ||
        !want_str(e, c->arg_places[0], c->args[0], "the pattern", &text)) {
        return elab_error(e, c->where, "einsum needs a pattern and 1 to 8 tensors");
    }
    char *compact = arena_alloc(e->a, strlen(text) + 1), *w = compact;
    for (const char *p = text; *p; p++) {
        if (!isspace((unsigned char)*p)) {
            *w++ = *p;
        }
    }
    char *arrow = strstr(compact, "->");
    if (!arrow) {
        return elab_error(e, c->arg_places[0], "einsum needs the result's axes: \"ij,jk->ik\"");
    }
    const char *result = arrow + 2;
    *arrow = 0;
    uint32_t n = 0;
    for (char *p = compact; p && n < 8; n++) {
        char *comma = strchr(p, ',');
        if (comma) {
            *comma = 0;
        }
        labels[n] = p;
        p = comma ? comma + 1 : NULL;
    }
    if (n != c->n_args - 1) {
        return elab_error(e, c->arg_places[0], "the pattern has %u operands, %u are given", n,
                          c->n_args - 1);
    }
    if (!letters_fit(c, labels, n, result)) {
        return value_poison();
    }
    ir_builder b = elab_builder(e, c->where);
    const ir_node *acc = want_tensor(e, c->arg_places[1], c->args[1], "an operand");
    const char *acc_labels = labels[0];
    if (!acc) {
        return value_poison();
    }
    for (uint32_t i = 1; i < n || (n == 1 && i == 1); i++) {
        const ir_node *y = n == 1
                               ? ir_const_f(&b, ir_node_type(acc)->dtype, 1)
                               : want_tensor(e, c->arg_places[i + 1], c->args[i + 1], "an operand");
        const char *y_labels = n == 1 ? "" : labels[i], *out = "";
        bool last = i + 1 >= n;
        for (int k = 0; k < 2 && !last; k++) { /* letters still needed */
            for (const char *p = k ? y_labels : acc_labels; *p; p++) {
                bool needed = strchr(result, *p) != NULL;
                for (uint32_t j = i + 1; j < n; j++) {
                    needed |= strchr(labels[j], *p) != NULL;
                }
                if (needed && !strchr(out, *p)) {
                    out = intern_printf(e->names, "%s%c", out, *p);
                }
            }
        }
        out = last ? result : out;
        acc = y ? ir_contract(&b, acc, y, acc_labels, y_labels, out) : NULL;
        acc_labels = out;
        if (!acc) {
            return elab_build_error(e, &b, c->n_args - 1, c->args + 1);
        }
    }
    return value_tensor(e, acc);
}

const builtin builtins_einops[] = {
    {"rearrange", "*", run_rearrange, 0},
    {"reduce", "*", run_reduce, 0},
    {"repeat", "*", run_repeat, 0},
    {"einsum", "*", run_einsum, 0},
    {0},
};
