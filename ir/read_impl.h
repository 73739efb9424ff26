/* Inside the reader of .air text: the cursor, what is in scope, words and values. */
#ifndef AIGC_IR_READ_IMPL_H
#define AIGC_IR_READ_IMPL_H

#include "ir/parse_dim.h"
#include "ir/text.h"
#include "support/vec.h"

typedef struct reader {
    ir_ctx *ctx;
    diag *d;
    const source_file *file;
    ir_text_cursor cursor;
    ir_module *m;
    ir_graph *entry;           /* of which conditions are */
    VEC(const ir_sym *) scope; /* the entry's symbols and the indices of the loops around */
    uint32_t depth;
} reader;

/* All of these skip blanks and comments (# to the end of the line) first. Those that return bool
 * are false after an error has been told; only the first one counts, for reading ends there. */
bool read_fail(reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
span read_here(const reader *r);
void read_blanks(reader *r);
bool read_at(reader *r, const char *word);  /* is it next? */
bool read_eat(reader *r, const char *word); /* if it is next, goes past it */
bool read_expect(reader *r, const char *word);
const char *read_name(reader *r);   /* interned; NULL with an error */
const char *read_string(reader *r); /* "…" interned; NULL with an error */
bool read_int(reader *r, int64_t *value);
bool read_uint32(reader *r, uint32_t *value);
bool read_float(reader *r, double *value);
const ir_dim *read_dim(reader *r); /* NULL with an error */
const ir_type *read_type(reader *r);

/* An attribute's values as text gives them. `data` waits for the node's type: its numbers are kept
 * as text. */
typedef struct read_attrs {
    VEC(ir_attr) list;
    const char *data; /* at "(" or "splat("; NULL: none */
} read_attrs;

/* { key=value, … } if it is there. `a` holds the lists. */
bool read_attr_list(reader *r, arena *a, read_attrs *out);
/* The elements of a constant of that type, from where read_attr_list saw them. */
const ir_data *read_data(reader *r, arena *a, const char *at, const ir_type *t);

#endif
