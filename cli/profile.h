/* aigc run --profile: where an entry's time goes, next to what the compiler predicts. */
#ifndef AIGC_CLI_PROFILE_H
#define AIGC_CLI_PROFILE_H

#include "cli/libaigc.h"

typedef struct profile profile;

/* Times all calls of the entry on this context from now on. NULL: no memory. */
profile *profile_begin(aigc_context *c, const aigc_abi_entry *e);
/* Forgets the calls so far: a first one only warms. */
void profile_forget(profile *p);
/* To stderr, for one call: a line a kernel in the order they run. dims: all of the entry's.
 * Measures what the machine can do with so many threads, which takes a moment. */
void profile_print(const profile *p, aigc_program *program, uint32_t entry, const int64_t *dims,
                   uint32_t n_threads);
void profile_end(profile *p); /* NULL is allowed */

#endif
