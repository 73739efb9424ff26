/* Diagnostics: what is wrong with the user's input, where, and what would mend it.
 *
 *     ffn.aigc:12:9: error: x @ w_up: inner sizes differ: 768 (d, line 3) and 512 (line 4)
 *        12 |     y = x @ w_up
 *           |         ^~~~~~~~
 *     ffn.aigc:4:3: note: w_up: f32[512, 2048] is declared here
 *
 * Messages are gathered and shown in source order, each with its notes. At most 200 are kept
 * (the rest are counted). The same error at the same place is kept once. */
#ifndef AIGC_SUPPORT_DIAG_H
#define AIGC_SUPPORT_DIAG_H

#include "support/source.h"

#include <stdio.h>

typedef struct diag diag;

diag *diag_create(arena *a, source_map *sources);
source_map *diag_sources(const diag *d);

/* Begins a new message. A span of nowhere ((span){0}) prints without a place. */
void diag_error(diag *d, span where, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(diag *d, span where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds to the last message begun: a second place, or the fix. */
void diag_note(diag *d, span where, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_help(diag *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is there an error that begins within these bounds? */
bool diag_has_error_in(const diag *d, span where);
uint32_t diag_error_count(const diag *d);
uint32_t diag_warning_count(const diag *d);

/* All messages, in source order, as text; `color` for a terminal. The text lives in the arena. */
const char *diag_text(const diag *d, bool color);
void diag_print(const diag *d, FILE *out, bool color);
void diag_clear(diag *d);

/* The nearest name to a misspelt one, or NULL when none is near (Damerau-Levenshtein distance at
 * most a third of the length, at least 1). */
const char *diag_nearest(const char *name, const char *const *candidates, uint32_t n);

#endif
