/* Inside plan_verify: memory as byte ranges that hold names of values, and who has used them.
 * Shares nothing with the planner. */
#ifndef AIGC_PASSES_PLAN_VERIFY_H
#define AIGC_PASSES_PLAN_VERIFY_H

#include "passes/pass.h"
#include "support/vec.h"

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

typedef struct checker_size {
    const ir_sym *sym;
    int64_t value; /* that is tried */
} checker_size;

typedef struct checker {
    const ir_module *m;
    ir_ctx *c;
    arena *a;
    diag *d;
    VEC(checker_size) sizes;
    VEC(space) spaces;
    uint32_t names;    /* given so far */
    uint32_t meetings; /* so far */
    bool ok;
} checker;

typedef struct place {
    space *in;
    int64_t begin, end;
} place;

/* Reports the first mistake to d; always false. n: where, or NULL. */
bool verify_fail(checker *k, const ir_node *n, const char *what);
/* The values of symbols that are tried: an ir_dim_lookup of a checker; and that of a dim. */
bool verify_symbol(void *data, const ir_sym *s, int64_t *value);
int64_t verify_number(checker *k, const ir_node *n, const ir_dim *d);
space *verify_space(checker *k, const char *name);
/* Where result r of the node is said to be. */
bool verify_place(checker *k, const ir_node *n, uint32_t r, place *p);
/* Does the place hold the whole of what was written under that name? */
bool verify_holds(const place *p, uint32_t name);
bool verify_is_open(const ir_node *n);
void verify_mark_read(checker *k, const place *p, const ir_node *reader);
void verify_clear(checker *k, space *s, int64_t begin, int64_t end);
/* Does n touch what other threads may have in hand, as its parts or another kernel's may be any
 * thread's? Of kernels with shares partition knows who has what. */
bool verify_is_anyones(const checker *k, const place *p, const ir_node *n, bool writes);

/* Writing over operands (plan_verify_over.c): may result r be written over operand i, which lies in
 * the very same place? */
bool verify_may_overwrite(checker *k, const ir_node *n, uint32_t r, uint32_t i);
/* Has what was read there since all threads met been read by each for the elements that kernel n
 * lets it write now? */
bool verify_own_elements(checker *k, const range *r, const ir_node *n, const place *p);

#endif
