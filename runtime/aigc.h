/* The runtime: runs compiled models. libc and threads only.
 *
 *     extern const aigc_abi_model llama_model;                     // from llama.h, or the JIT
 *     aigc_weights *w;    aigc_weights_load(...)                   // runtime/io/weights_load.h
 *     aigc_context *c;    aigc_context_create(&llama_model, w, &options, &c, &err);
 *     aigc_call(c, entry, dims, args, n_args, results, n_results);
 *
 * Weights are constant once made and may be shared by any number of contexts. A context belongs to
 * one host thread at a time; several contexts may be used from several threads at once. After
 * aigc_context_create nothing is allocated. Every function that can fail returns a status; the
 * words are in aigc_error_message (calls on a context) or in the aigc_error passed. */
#ifndef AIGC_RUNTIME_AIGC_H
#define AIGC_RUNTIME_AIGC_H

#include "runtime/abi.h"
#include "runtime/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors
 * ------------------------------------------------------------------------------------------ */

typedef struct aigc_tensor {
    void *data;          /* row-major, dense; owned by the caller */
    uint8_t dtype, rank; /* aigc_dtype */
    int64_t dims[AIGC_MAX_RANK];
} aigc_tensor;

/* Bytes of an element; of a block storage: of a block. 0 for a number that is no type. */
size_t aigc_dtype_bytes(uint8_t dtype);
uint32_t aigc_dtype_block(uint8_t dtype); /* elements in a block; 1 when dense */
const char *aigc_dtype_name(uint8_t dtype);
/* Bytes of a tensor of these sizes, or -1 when they do not fit into 2^62 or do not fill blocks. */
int64_t aigc_tensor_bytes(uint8_t dtype, uint32_t rank, const int64_t *dims);
/* Bytes of one parameter as kernels read it, in its layout: panels are filled up with zeros. -1 as
 * above. */
int64_t aigc_param_bytes(const aigc_abi_param *p);

/* Weights
 * ------------------------------------------------------------------------------------------ */

typedef struct aigc_weights {
    const void **slots;          /* [model->n_slots], each in the layout its parameter asks for */
    void *memory;                /* what was converted or packed, or NULL */
    void (*release)(void *data); /* what the slots point into: a mapped file */
    void *release_data;
} aigc_weights;

/* Weights that lie in memory already, each as its parameter's storage and layout say: slots is
 * copied, what it points to is not. weights_load (io/weights_load.h) packs what a file holds. */
AIGC_MUST_CHECK aigc_status aigc_weights_from_slots(const aigc_abi_model *m,
                                                    const void *const *slots, aigc_weights **out);
/* Random numbers of a sensible size in every parameter: for benchmarks and tests. */
AIGC_MUST_CHECK aigc_status aigc_weights_random(const aigc_abi_model *m, uint64_t seed,
                                                aigc_weights **out);
void aigc_weights_destroy(aigc_weights *w);

/* Contexts
 * ----------------------------------------------------------------------------------------- */

typedef struct aigc_context aigc_context;

typedef struct aigc_context_options {
    uint32_t n_threads; /* 0: as many as there are cores */
    bool all_threads;   /* wake them all at every call, be there ever so little to do: for tests */
    uint64_t seed;
    void *const *externs; /* addresses of extern functions, by the model's numbers; NULL when there
                             are none */
    int64_t
        arena_bytes; /* 0: enough for every entry at its dims' upper bounds, where there are any */
} aigc_context_options;

AIGC_MUST_CHECK aigc_status aigc_context_create(const aigc_abi_model *m, const aigc_weights *w,
                                                const aigc_context_options *o, aigc_context **out,
                                                aigc_error *err);
void aigc_context_destroy(aigc_context *c);
const aigc_abi_model *aigc_context_model(const aigc_context *c);
/* All states to zero. */
void aigc_context_reset(aigc_context *c);
void aigc_context_set_seed(aigc_context *c, uint64_t seed);
/* A state's memory, of model->states[i].size_bytes: to save and restore it. */
void *aigc_context_state(aigc_context *c, uint32_t state);
/* Why the last call on this context failed. */
const char *aigc_error_message(const aigc_context *c);

/* Number of the entry of that name, or -1. */
int32_t aigc_entry_find(const aigc_abi_model *m, const char *name);

/* Sizes of the results for these arguments (their dtype, rank and dims; data is not touched): fills
 * in results[i].dtype, rank and dims, and *arena_bytes when it is not NULL. dims: the entry's dim
 * arguments. */
AIGC_MUST_CHECK aigc_status aigc_call_sizes(aigc_context *c, uint32_t entry, const int64_t *dims,
                                            const aigc_tensor *args, uint32_t n_args,
                                            aigc_tensor *results, uint32_t n_results,
                                            int64_t *arena_bytes);
/* Grows the arena for calls of these sizes: needed only where dims have no upper bound. Allocates.
 */
AIGC_MUST_CHECK aigc_status aigc_reserve(aigc_context *c, int64_t arena_bytes);
/* Runs an entry. results[i].data has room for what aigc_call_sizes says; their dims are filled in.
 */
AIGC_MUST_CHECK aigc_status aigc_call(aigc_context *c, uint32_t entry, const int64_t *dims,
                                      const aigc_tensor *args, uint32_t n_args,
                                      aigc_tensor *results, uint32_t n_results);

/* The same for the functions of a model's header: all dims of the entry are given, by the caller,
 * who vouches that args and results have the sizes they imply. The entry's conditions are checked.
 * Grows the arena where it must. */
AIGC_MUST_CHECK aigc_status aigc_call_bound(aigc_context *c, uint32_t entry, const int64_t *dims,
                                            const void *const *args, void *const *results);

/* Time of every kernel of a call (models compiled with profiling): hook is called before kernel
 * `kernel` of the entry, and with UINT32_MAX after the last, by the calling thread. NULL switches
 * it off. */
void aigc_context_profile(aigc_context *c, void (*hook)(void *data, uint32_t kernel), void *data);

/* Features of this machine: a mask of AIGC_CPU_. */
uint32_t aigc_cpu_features(void);
/* Cores this process may use. */
uint32_t aigc_default_threads(void);

#ifdef __cplusplus
}
#endif

#endif
