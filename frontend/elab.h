/* Inside elaboration: an interpreter of syntax trees whose tensors are nodes of a graph in the
 * making.
 *
 *     static values   int float bool str list tuple none: exist only here
 *     dims            symbolic sizes; a constant dim is an int
 *     tensors         nodes of the graph of some level
 *     modules         instances; a list of like ones is one instance with a count
 *
 * A level is a graph under construction: the entry's, or a loop's body. A value of an outer level
 * that is used in an inner one becomes an input of the body (a capture). */
#ifndef AIGC_FRONTEND_ELAB_H
#define AIGC_FRONTEND_ELAB_H

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "ir/build.h"
#include "support/map.h"
#include "support/vec.h"

typedef struct elab elab;
typedef struct level level;
typedef struct scope scope;
typedef struct instance instance;
typedef struct value value;
typedef struct file_record file_record;

typedef enum value_kind {
    V_POISON, /* what comes of a mistake already told */
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STR,
    V_ELLIPSIS,
    V_LIST,
    V_TUPLE,
    V_RANGE,
    V_DIM,
    V_TENSOR,
    V_PARAM,   /* a parameter, not yet read */
    V_STATE,   /* a state, not yet read */
    V_MODULE,  /* an instance */
    V_MODULES, /* a list of like instances */
    V_CLASS,   /* a module declaration */
    V_FN,      /* a function of the file or a module's method */
    V_OP,      /* an op in index notation */
    V_EXTERN,
    V_BUILTIN,
    V_CONST, /* a tensor that depends on no parameter: computed anew in every graph that uses it */
    V_DTYPE,
    V_NAMESPACE
} value_kind;

/* An instance as seen from somewhere: which of the like ones. */
typedef struct reference {
    instance *inst;
    uint32_t n;
    const ir_dim *index[IR_MAX_RANK];
} reference;

typedef struct builtin builtin;

struct value {
    value_kind kind;
    span where;       /* where it was declared, for notes; {0}: nowhere in particular */
    const char *name; /* under which it was declared, or NULL */
    const ast *type;  /* of a tensor, as it was declared, with the scope of its names; or NULL */
    scope *type_scope;
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct {
            value *at;
            uint32_t n;
        } list; /* LIST, TUPLE */
        struct {
            int64_t lo, hi;
        } range;
        const ir_dim *dim;
        struct {
            const ir_node *node;
            level *level;
        } tensor;
        struct {
            uint32_t number;
            const reference *ref;
        } slot; /* PARAM, STATE: in the module */
        struct {
            const reference *ref;
            int64_t count;
        } module; /* MODULE, MODULES */
        struct {
            const ast *decl;
            scope *scope;
            const reference *self;
        } code; /* CLASS FN OP EXTERN CONST */
        const builtin *builtin;
        ir_dtype dtype;
        scope *names; /* NAMESPACE */
    };
};

struct scope {
    scope *outer;
    map *names;            /* interned name -> value* */
    const reference *self; /* the instance whose members are visible here, or NULL */
};

struct instance {
    const ast *decl;
    scope *members;    /* hyper-parameters and members */
    const char *path;  /* "h.{}.attn"; "" for the model */
    uint32_t n_counts; /* one a {} of the path */
    int64_t counts[IR_MAX_RANK];
    const instance *parent;
    span list; /* where the innermost list of modules around it was made */
};

struct level {
    ir_graph *graph;
    level *outer;
    uint32_t depth;
    map *captures;       /* outer node -> this level's input */
    VEC(value) captured; /* outer values, in order of the inputs they became */
    VEC(const ir_node *) inputs;
    VEC(struct {
        uint32_t state;
        const ir_node *now;
        const ir_node *first;
    })
    states;
    VEC(const ir_dim *) turns; /* indices of the loops around, outermost first */
};

struct elab {
    arena *a;
    ir_ctx *c;
    intern_table *names;
    diag *d;
    const frontend_options *o;
    scope *builtins;
    map *files;                 /* canonical path -> file_record* */
    VEC(file_record *) reading; /* files being read: each imports the next */
    level *level;
    ir_graph *conditions; /* of the entry being traced */
    bool training;        /* in an objective */
    bool damaged;     /* there are mistakes of syntax: what is missing may be among what was lost */
    bool lost;        /* and braces do not match: where things belong is uncertain */
    map *broken;      /* functions with mistakes of syntax in them: ast -> itself */
    map *twice;       /* places of names declared twice: which of the two is meant is uncertain */
    const ast *model; /* the one compiled */
    const ast *entry; /* being traced */
    VEC(struct {
        span where;
        const ast *decl;
        const char *name;
    })
    calls;          /* of functions and modules around, outermost first */
    const ast *now; /* the expression being evaluated, for notes on its names */
    scope *now_scope;
    const char *noted[8]; /* names that notes of the last error told about */
    uint32_t n_noted;
    bool stopped;     /* a recursion without an end was told: nothing more until the next entry */
    const char *path; /* of the module being traced, for locations */
    uint32_t n_streams, n_loops;
    int64_t steps;  /* statements executed: bounded */
    value returned; /* by the function being traced */
    bool has_returned;
    span return_where;
    VEC(ir_param) params;
    VEC(ir_state) states;
    VEC(ir_entry) entries;
    VEC(ir_generate) generates;
    VEC(const char *) externs;
};

/* Calls -----------------------------------------------------------------------------------------
 */

typedef struct call {
    elab *e;
    span where;
    const char *name;
    uint32_t n_args, n_keywords;
    const value *args;
    const span *arg_places;
    const char *const *keywords;
    const value *keyword_values;
    const span *keyword_places;
} call;

struct builtin {
    const char *name;
    const char *signature;              /* "x, axis = none, keep = false" */
    value (*run)(call *c, value *args); /* args bound by the signature; absent ones V_NONE */
    int data;                           /* which of a family: an op */
};
extern const builtin builtins_elementwise[], builtins_reduce[], builtins_shape[], builtins_window[],
    builtins_random[], builtins_loss[], builtins_static[]; /* each ends with a NULL name */

/* Messages (messages.c): the call chain is added as notes. Always returns a poison value. */
value elab_error(elab *e, span where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What the builder found wrong, with notes on where the operands were declared. */
value elab_build_error(elab *e, const ir_builder *b, uint32_t n, const value *operands);
/* More notes on the error just told: values and origins of the static names in t; of all names in
 * the expression that is being evaluated. Each name once. */
void elab_note_names(elab *e, scope *s, const ast *t);
void elab_note_now(elab *e);
void elab_did_you_mean(elab *e, const char *guess); /* nothing for NULL */
const char *elab_nearest(elab *e, const scope *s,
                         const char *name); /* of all that is visible from s, or NULL */
const char *elab_nearest_in(const scope *s, const char *name); /* of this scope alone */
const char *type_text(elab *e, const ir_type *t);              /* "f32[T, 768]", "f32" */
const char *source_text(elab *e, const ast *t);                /* as written in the file */
const char *
foreign_dtype(const char *name); /* "f32" for "float32": other languages' words; or NULL */
const char *value_text(elab *e, const value *v); /* "f32[T, 768]", "12", "a list" */

/* Values */
value value_none(void);
value value_poison(void);
value value_int(int64_t i);
value value_float(double f);
value value_bool(bool b);
value value_str(const char *s);
value value_dim(elab *e, const ir_dim *d); /* an int when constant */
value value_list(elab *e, value_kind k, uint32_t n, const value *items);
/* Module i of a list of like ones. */
value value_module_at(elab *e, const value *modules, int64_t i);
value value_tensor(elab *e, const ir_node *n); /* of the current level; poison for NULL */

/* Conversions; false, with an error told, when it is something else. `what` names it in messages.
 */
bool want_int(elab *e, span where, value v, const char *what, int64_t *out);
bool want_bool(elab *e, span where, value v, const char *what, bool *out);
bool want_float(elab *e, span where, value v, const char *what, double *out);
bool want_str(elab *e, span where, value v, const char *what, const char **out);
bool want_dim(elab *e, span where, value v, const char *what, const ir_dim **out);
/* A tensor of the current level: reads parameters and states, captures from outside. */
const ir_node *want_tensor(elab *e, span where, value v, const char *what);
/* As want_tensor, but numbers and dims become scalars of the type `like` (or f32/i64 when NULL). */
const ir_node *want_operand(elab *e, span where, value v, const ir_type *like);
/* One int or a list of them (axes, sizes): n values. Negative axes count from the end when rank >
 * 0. */
bool want_axes(elab *e, span where, value v, uint32_t rank, uint32_t *n, int64_t *out);
bool want_dims(elab *e, span where, value v, const char *what, uint32_t *n, const ir_dim **out);
bool is_static(const value *v);
bool is_tensor(const value *v); /* TENSOR, PARAM, STATE */

/* Builder of the current level, with a location. */
ir_builder elab_builder(elab *e, span where);
/* The op of sum, mean, max, min or prod; false: it is none of these. */
bool elab_reduction(const char *name, ir_op *op);

/* Scopes (elab.c) */
scope *scope_create(elab *e, scope *outer);
void scope_set(elab *e, scope *s, const char *name, value v);
value *scope_find(const scope *s, const char *name); /* this scope alone */
bool elab_lookup(elab *e, scope *s, const char *name, value *out);

/* Expressions and statements */
value eval_expr(elab *e, scope *s, const ast *t);
value eval_binary(elab *e, span where, const char *op, value x, value y);
value eval_index(elab *e, scope *s, const ast *t);
void assign_index(elab *e, scope *s, const ast *target, value v);
value eval_call(elab *e, scope *s, const ast *t);
value call_value(elab *e, span where, value f, call *c);
value call_op(call *c, const ast *decl, scope *outer); /* index notation */
void run_block(elab *e, scope *s, const ast *block);
void run_loop(elab *e, scope *s, const ast *t);
void run_for(elab *e, scope *s, const ast *t);

/* Levels (levels.c) */
level *level_open(elab *e, ir_graph *g);
void level_close(elab *e);
const ir_node *level_import(elab *e, value v); /* a tensor of this or an outer level, here */
const ir_node *level_state(elab *e, uint32_t state);
void level_set_state(elab *e, uint32_t state, const ir_node *now);

/* Types: dtype and dims of a type expression. binds: NULL, or the scope where unknown names of
 * sizes are bound to the sizes of `actual` (a function's argument). */
bool eval_type(elab *e, scope *s, const ast *t, ir_dtype *dtype, uint32_t *rank,
               const ir_dim **dims, ir_arg_info *info);
bool bind_type(elab *e, scope *s, const ast *t, span where, const char *name,
               const ir_type *actual);

/* Files (files.c): the names of a file and of all it imports */
scope *load_file(elab *e, const source_file *f, const ast **tree);
/* Is there a mistake of syntax in this function? It is not looked into any more. */
bool is_broken(const elab *e, const ast *decl);
/* Names declared twice, incomplete C functions (declarations.c) */
void check_declarations(elab *e, const ast *file);
bool is_twice(const elab *e, const ast *t);

/* Modules (modules.c) */
/* const name = expr, of a file or a module: a static value, or a tensor that is computed where it
 * is used. */
value eval_const(elab *e, scope *s, const ast *t);
/* What is returned against the declared result (may be NULL), with the sizes of s; converts
 * numbers. */
bool check_result(elab *e, scope *s, const ast *result, span where, value *v);
value instantiate(call *c, const ast *decl, scope *file, const char *path, const reference *parent,
                  int64_t count);
value read_state(elab *e, span where, const value *v);
value member_of(elab *e, span where, const value *v, const char *name);

/* einops.c */
extern const builtin builtins_einops[];

#endif
