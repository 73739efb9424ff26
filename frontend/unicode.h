/* UTF-8 in source files: what is well formed, and which characters may stand in names. */
#ifndef AIGC_FRONTEND_UNICODE_H
#define AIGC_FRONTEND_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

/* Offset of the first byte that is not well-formed UTF-8 (overlong forms, surrogates and code
 * points past U+10FFFF are not), or size. */
uint32_t unicode_valid_length(const char *text, uint32_t size);
/* Bytes of the character that begins here, from 1 to 4; the text is well formed. */
uint32_t unicode_length(const char *text);
/* How many bytes of this well-formed text can stand in a name: ASCII letters, digits and _, and
 * letters of any script; not punctuation, spaces, arrows, operators or pictures. */
uint32_t unicode_name_length(const char *text, uint32_t size);
/* What was meant by a typographic character, ready for a message ("'-'"), or NULL. */
const char *unicode_plain(const char *text);

#endif
