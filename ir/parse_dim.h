/* Reads dims and types from text as ir_dim_text and ir_type_text write it.
 *
 *     dim   = ["-"] term { ("+" | "-") term }
 *     term  = part { "*" part }
 *     part  = number | name | function "(" dim "," dim ")" | "(" dim ")"
 *     function = "floordiv" | "mod" | "min" | "max"
 *     type  = dtype "[" [ dim { "," dim } ] "]"
 *
 * Names are letters, digits, "_", "?", "@", "'" and inner dots ("t.0"), and do not begin with a
 * digit. Blanks between words do not matter, but
 * a function's bracket follows its name at once. The text is hostile: nesting and size are bounded.
 */
#ifndef AIGC_IR_PARSE_DIM_H
#define AIGC_IR_PARSE_DIM_H

#include "ir/shape.h"

/* The symbol of that name (interned), or NULL. */
typedef const ir_sym *(*ir_sym_lookup)(void *data, const char *name);

typedef struct ir_text_cursor {
    const char *at;    /* in zero-terminated text; past what was read, or at the mistake */
    const char *error; /* what was wrong: "there is no size named S"; interned; NULL: nothing */
} ir_text_cursor;

/* NULL with cursor->error when the text is no dim (or type), names an unknown symbol, or overflows;
 * text after it is left alone. */
const ir_dim *ir_dim_parse(ir_ctx *c, ir_text_cursor *cursor, ir_sym_lookup lookup, void *data);
const ir_type *ir_type_parse(ir_ctx *c, ir_text_cursor *cursor, ir_sym_lookup lookup, void *data);
/* A name as above at the cursor, interned; NULL, nothing moved, when there is none. */
const char *ir_name_parse(ir_ctx *c, ir_text_cursor *cursor);

#endif
