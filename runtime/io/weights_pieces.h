/* Tensors of a file packed by all threads together (runtime/pack.h). */
#ifndef AIGC_RUNTIME_IO_WEIGHTS_PIECES_H
#define AIGC_RUNTIME_IO_WEIGHTS_PIECES_H

#include "runtime/io/weights_file.h"

typedef struct weights_job { /* one place of the parameter table */
    const aigc_abi_param *p;
    const weights_tensor *t; /* fits p: weights_check; lies in a mapped file */
    void *out;               /* aigc_param_bytes of it, not cleared */
} weights_job;

/* Does all jobs. The tensors' pages are let go as they are used up, so that weights are never in
 * memory twice: what another tensor still needs of them is read again from the file. */
AIGC_MUST_CHECK aigc_status weights_pack(const weights_job *jobs, uint32_t n, aigc_error *err);

#endif
