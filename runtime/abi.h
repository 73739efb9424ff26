/* What generated code and the runtime agree on.
 *
 * A compiled model (JITed, linked object or shared library) exports one constant
 *
 *     const aigc_abi_model NAME_model;
 *
 * from which the runtime learns everything: entries, parameters, states, sizes. Nothing in it is
 * allocated and nothing in it changes. All strings are UTF-8 and zero-terminated. The layout is
 * versioned as a whole by AIGC_ABI_VERSION; a runtime refuses another version.
 *
 * Dims. Every entry has a list of run-time sizes ("dims"): those named by `dim` arguments first, in
 * the order of the signature, then those bound by the shapes of tensor arguments, in order of first
 * appearance. `bind` fills in the second kind and checks everything the compiler could not prove.
 */
#ifndef AIGC_RUNTIME_ABI_H
#define AIGC_RUNTIME_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AIGC_ABI_VERSION 4u
#define AIGC_MAX_RANK    8

/* Element types of tensors and storages of parameters. Values are part of the ABI. */
typedef enum aigc_dtype {
    AIGC_F64 = 0,
    AIGC_F32 = 1,
    AIGC_F16 = 2,
    AIGC_BF16 = 3,
    AIGC_I64 = 4,
    AIGC_I32 = 5,
    AIGC_I16 = 6,
    AIGC_I8 = 7,
    AIGC_U8 = 8,
    AIGC_BOOL = 9, /* one byte, 0 or 1 */
    /* Block storages, parameters only; blocks run along the last axis (GGUF's layouts). */
    AIGC_Q8_0 = 16, /* 32 weights: f16 scale, 32 x i8             = 34 bytes */
    AIGC_Q4_0 = 17, /* 32 weights: f16 scale, 16 bytes of nibbles = 18 bytes */
    AIGC_Q4_1 = 18, /* the same with an f16 that is added         = 20 bytes */
    AIGC_Q5_0 = 19, /* q4_0 with a fifth bit                      = 22 bytes */
    AIGC_Q5_1 = 20, /* q4_1 with a fifth bit                      = 24 bytes */
    /* 256 weights in groups of 16 or 32 with scales (and what is subtracted) of their own */
    AIGC_Q2_K = 21, /* = 84 bytes */
    AIGC_Q3_K = 22, /* = 110 bytes */
    AIGC_Q4_K = 23, /* = 144 bytes */
    AIGC_Q5_K = 24, /* = 176 bytes */
    AIGC_Q6_K = 25, /* = 210 bytes */
    AIGC_DTYPE_NONE = 255
} aigc_dtype;

/* What an argument or result is, for those who read and write it (language.md section 8). */
typedef enum aigc_meaning {
    AIGC_MEANING_TENSOR = 0,
    AIGC_MEANING_TEXT = 1,
    AIGC_MEANING_IMAGE = 2,
    AIGC_MEANING_AUDIO = 3,
    AIGC_MEANING_CLASS = 4
} aigc_meaning;

/* How a parameter lies in memory when kernels read it. */
typedef enum aigc_layout {
    AIGC_LAYOUT_ROWS = 0, /* as in the file: row-major */
    /* [ceil(N/panel)][K][panel], N the output axis, zero padded; of block storages: 16 rows' blocks
     * interleaved, pack_blocks.h */
    AIGC_LAYOUT_PANELS = 1,
    /* bf16: [ceil(N/panel)][ceil(K/2)][panel][2], two steps of k side by side, zero padded */
    AIGC_LAYOUT_PAIRS = 2,
    /* f32 weights of convolutions: [ceil(N/n)][taps][C][n], zero padded; panel is n, or n * taps
     * of those that are [C, N, taps] */
    AIGC_LAYOUT_TAPS = 3,
} aigc_layout;

typedef struct aigc_abi_tensor {
    const char *name;
    const char *type; /* as a user reads it: "f32[T, 512]" */
    uint8_t dtype;    /* aigc_dtype */
    uint8_t rank;
    uint8_t meaning; /* aigc_meaning */
    uint8_t reserved;
    uint32_t sample_rate;       /* of audio, in Hz, else 0 */
    const char *const *classes; /* NULL-terminated names of a class, else NULL */
    const int64_t *fixed_dims;  /* [rank]; -1 where the size is known at run time only */
} aigc_abi_tensor;

typedef struct aigc_abi_param {
    /* "model.layers.{}.mlp.up_proj.weight": every {} stands for one index; `counts` has the number
     * of values of each, outermost first; n_indices of them, 0 for a plain parameter. The parameter
     * takes `slots` = product(counts) consecutive places of the parameter table. */
    const char *name;
    const char *const
        *aliases; /* NULL-terminated patterns of the same form, in order of preference */
    uint32_t n_indices;
    const int64_t *counts;
    uint32_t first_slot;
    uint32_t slots;
    uint8_t storage; /* aigc_dtype, block storages included */
    uint8_t layout;  /* aigc_layout */
    uint8_t rank;
    uint8_t panel;           /* width of a panel, 0 for AIGC_LAYOUT_ROWS */
    const int64_t *dims;     /* [rank], all known */
    uint8_t pack_transposed; /* in panels: 1 when dims are [K, N ...], 0 when [N, K ...] */
    uint8_t reserved[7];
} aigc_abi_param;

typedef struct aigc_abi_state {
    const char *name;
    uint8_t dtype;
    uint8_t rank;
    const int64_t *dims; /* [rank], all known (upper bounds); zeroed by reset */
    uint64_t size_bytes;
} aigc_abi_state;

/* One call in flight, shared by all threads that run it. */
typedef struct aigc_abi_call {
    const int64_t *dims; /* the entry's dims, bound */
    const void *const
        *args; /* one a tensor argument; row-major, dense, 64-byte alignment not needed */
    void *const *results;      /* one a result; row-major, dense */
    const void *const *params; /* by slot */
    void *const *states;       /* by state, 64-byte aligned */
    void *arena;               /* arena_bytes of it, 64-byte aligned, contents unspecified */
    void *const *externs;      /* addresses of extern functions, by number */
    void *scratch;             /* n_threads pieces of it, 64-byte aligned; thread t's is number t, in
                                * whose first lines others may count */
    uint64_t scratch_bytes;    /* of one piece: the model's scratch_bytes */
    uint64_t seed;
    uint32_t n_threads;
    uint32_t reserved;
    /* Returns in every thread of the call when all have entered. NULL when n_threads is 1. */
    void (*barrier)(void *barrier_data, uint32_t thread);
    void *barrier_data;
    /* Called by thread 0 before kernel number `kernel` and, with UINT32_MAX, after the last. NULL
     * unless profiling was compiled in and switched on. */
    void (*profile)(void *profile_data, uint32_t kernel);
    void *profile_data;
} aigc_abi_call;

typedef struct aigc_abi_kernel {
    const char *name;  /* "contract_3" */
    const char *where; /* source line and module path, "llama.aigc:31 model.layers.{}.mlp" */
} aigc_abi_kernel;

typedef struct aigc_abi_entry {
    const char *name;
    const char *doc;
    uint32_t n_dims, n_dim_args; /* the first n_dim_args are passed by the caller */
    const char *const *dim_names;
    const int64_t *dim_lo, *dim_hi; /* bounds, INT64_MAX where there is none */
    uint32_t n_args, n_results;
    const aigc_abi_tensor *args;
    const aigc_abi_tensor *results;
    uint32_t n_checks;
    const char *const *checks; /* "pos + T <= 512 (llama.aigc:14)" */
    uint32_t n_kernels;
    const aigc_abi_kernel *kernels;
    /* arg_dims: the sizes of all tensor arguments' axes, one argument after the other. dims: the
     * first n_dim_args are given, the others are written. Returns 0, or 1 + the number of the
     * check that failed. Never fails in any other way, whatever the numbers. */
    uint32_t (*bind)(const int64_t *arg_dims, int64_t *dims);
    /* out[0] = bytes of arena needed; then the sizes of all results' axes, one after the
     * other; then those of all arguments' axes. The dims must be within their bounds. */
    void (*sizes)(const int64_t *dims, int64_t *out);
    /* Run by n_threads threads together, each with its own number. */
    void (*run)(const aigc_abi_call *call, uint32_t thread);
    int64_t arena_bytes_max;   /* at the dims' upper bounds, or -1 when a dim is unbounded */
    const char *arena_formula; /* "256*T + 4096" */
    uint32_t uses_seed;
    uint32_t reserved;
    /* out[0] = estimated nanoseconds of one thread in what threads divide among them; out[1] = how
     * often all threads meet. NULL: not known; all threads are taken. */
    void (*cost)(const int64_t *dims, int64_t *out);
    const char *barriers_formula; /* how often all threads meet: "4*T + 2" */
} aigc_abi_entry;

typedef enum aigc_generate_kind {
    AIGC_GENERATE_AUTOREGRESSIVE = 0, /* tokens in, logits out, one token a turn */
    AIGC_GENERATE_ENCODER_DECODER = 1
} aigc_generate_kind;

/* `generate NAME = autoregressive(forward, ...)`. Numbers are -1 where absent. */
typedef struct aigc_abi_generate {
    const char *name;
    uint32_t kind;
    int32_t entry;      /* autoregressive: the step; encoder_decoder: the decoder */
    int32_t encode;     /* encoder_decoder: the encoder's entry */
    int32_t tokens_arg; /* of `entry`: i32[T] */
    int32_t memory_arg; /* of `entry`: the encoder's result, for encoder_decoder */
    int32_t pos_dim;    /* of `entry`: the number of tokens already in the cache; -1: no cache, the
                         * whole text is passed at every turn (its last `context` tokens) */
    int32_t bos, eos;   /* overrides of the tokenizer's, or -1 */
    int64_t context;    /* most tokens a call may see */
    const char *tokenizer; /* file name beside the weights, or NULL */
} aigc_abi_generate;

typedef struct aigc_abi_model {
    uint32_t abi_version;
    uint32_t n_entries, n_params, n_states, n_externs, n_generates;
    const char *name;
    const char *doc;
    const aigc_abi_entry *entries;
    const aigc_abi_param *params;
    uint32_t n_slots;      /* places in the parameter table */
    uint32_t cpu_features; /* an AIGC_CPU_ mask the code needs; the runtime checks it */
    const aigc_abi_state *states;
    const char *const *extern_names; /* "libblur.so:blur" */
    const aigc_abi_generate *generates;
    uint64_t scratch_bytes; /* memory each thread needs for itself during calls; a multiple of 64 */
    const char *target;     /* "x86_64-pc-linux-gnu/skylake-avx512" */
} aigc_abi_model;

/* CPU features a model may need (aigc_abi_model.cpu_features). */
enum {
    AIGC_CPU_AVX2_FMA = 1u << 0,
    AIGC_CPU_AVX512 = 1u << 1, /* F, BW, DQ, VL */
    AIGC_CPU_AVX512_VNNI = 1u << 2,
    AIGC_CPU_AVX512_BF16 = 1u << 3,
    AIGC_CPU_AMX = 1u << 4, /* tile, bf16, int8, and the kernel's permission */
    AIGC_CPU_F16C = 1u << 5,
    AIGC_CPU_AVX_VNNI = 1u << 6,
    AIGC_CPU_NEON_DOTPROD = 1u << 16
};

#endif
