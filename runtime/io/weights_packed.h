/* Packed weights (.aigcw): a GGUF file whose tensors lie as the kernels of one compilation read
 * them, so that they are used where they are mapped: no copy, no conversion.
 *
 *     general.alignment       u32     64
 *     aigc.pack.version       u32     2
 *     aigc.pack.layout        u8[n]   of each tensor, in the file's order: aigc_layout
 *     aigc.pack.panel         u8[n]   width of its panels, or 0
 *     aigc.pack.transposed    u8[n]   1: the parameter is [K, N]
 *     aigc.pack.dims          i64[2n] the parameter's own sizes, where it has panels: the tensor's
 *                                     are those of the memory, filled up
 *     aigc.pack.taps          i64[n]  the product of its axes after the first two, where it has panels
 *     aigc.tied               bool    the source had no output matrix of its own
 *     aigc.tokenizer.name     string  with these two, the tokenizer file of weights that were
 *     aigc.tokenizer.bytes    u8[]    safetensors
 *
 * The rest of the metadata is the source's: GGUF's as it was, config.json with its keys joined by
 * dots. A tensor has its parameter's first name. */
#ifndef AIGC_RUNTIME_IO_WEIGHTS_PACKED_H
#define AIGC_RUNTIME_IO_WEIGHTS_PACKED_H

#include "runtime/io/weights_file.h"

enum { AIGC_PACK_VERSION = 2 };

/* Layouts and sizes of the tensors of an open GGUF file; nothing for one that is not packed. */
AIGC_MUST_CHECK aigc_status weights_packed_read(const gguf_file *g, uint64_t tensor,
                                                weights_tensor *t, const char *path,
                                                aigc_error *err);

typedef struct weights_packed_source {
    const aigc_abi_model *m; /* its parameters, as kernels read them */
    const weights_file *f;   /* fits m: weights_check */
    const char *tokenizer;   /* file, or NULL */
} weights_packed_source;

/* Writes the file, or none at all. One parameter at a time is in memory. */
AIGC_MUST_CHECK aigc_status weights_packed_write(const weights_packed_source *s, const char *path,
                                                 aigc_error *err);

/* Do the kernels read the parameter as the tensor lies? */
bool weights_packed_alike(const aigc_abi_param *p, const weights_tensor *t);

#endif
