/* An object file (ELF, 64 bits, of this machine) laid out and linked in memory, ready to run.
 *
 * Its sections go into one mapping: code, then what is only read (relocated tables too), then what
 * is written; each is protected as it says. Undefined symbols are looked for in this process.
 * Relocations are rows of a table by machine, so far those of x86-64 that objects of ours hold. */
#ifndef AIGC_BACKEND_IMAGE_H
#define AIGC_BACKEND_IMAGE_H

#include <stddef.h>

typedef struct image image;

/* The bytes are copied. NULL for what it cannot link, whatever the reason; bytes that are no object
 * do no harm. */
image *image_link(const void *object, size_t size);
/* Address of a symbol that the object exports; NULL when there is none. */
const void *image_symbol(const image *m, const char *name);
void image_destroy(image *m);

#endif
