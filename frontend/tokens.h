/* Between tokens.c, which makes the grammar's tokens, and recover.c, which deals with mistakes in
 * their order. */
#ifndef AIGC_FRONTEND_TOKENS_H
#define AIGC_FRONTEND_TOKENS_H

#include "frontend/parse.h"

/* Raw tokens: the i-th to come; the i-th that is no line break; the next one, taken. Only what was
 * just taken can be put back. Line breaks in a row come as one. Kind 0 is the file's end, again and
 * again. */
const token *tokens_peek(parse *p, uint32_t i);
const token *tokens_peek_solid(parse *p, uint32_t i);
token tokens_take(parse *p);
void tokens_put_back(parse *p, token t);
/* Is it the word of this keyword, wherever it stands? */
bool tokens_is_word(const token *t, int kind);
/* Does a statement, and nothing else, begin with these letters? */
bool tokens_begins_statement(const char *s);
/* To be given to the parser before what is read. */
void tokens_make_ready(parse *p, int kind, span where);

/* Brackets. A group is ( [ or sum{ }: line breaks inside it count for nothing. */
bool tokens_is_brace(const bracket *b);
bool tokens_in_group(const parse *p);
parse_place tokens_place(const parse *p);
void tokens_open_block(parse *p, uint32_t at);
/* The innermost open bracket that c closes, as its index + 1; 0: there is none in this block. */
uint32_t tokens_partner(const parse *p, char c);
/* Closes the i-th (from 1) and those inside it. */
void tokens_close(parse *p, uint32_t i);
void tokens_begin_statement(parse *p, const token *t);

/* Reports that the innermost group is not closed where `found` cannot stand in it; takes all groups
 * of the block for closed. BAD, with an END to follow. */
/* How many more braces are closed than opened from there on, outside of strings and comments. */
int64_t recover_surplus_braces(const source_file *f, uint32_t from);
token recover_unclosed(parse *p, span where, const char *found);
/* At the beginning of a statement, a declaration that cannot stand here: a '}' is missing before
 * it, or it is in the wrong place. True: reported; what comes next is ready, or to be read. */
bool recover_misplaced(parse *p, token t);
/* The file ends inside braces: reports it and closes them. */
void recover_end_of_file(parse *p, span where);

#endif
