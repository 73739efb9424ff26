/* libaigc: compiles a .aigc file in this process and calls its entries by name.
 *
 *     aigc_program *p;  aigc_program_create("mlp.aigc", &settings, &p, &err)
 *     aigc_context *c;  aigc_program_context(p, &options, &c, &err)
 *     aigc_program_call(p, c, "forward", dims, args, 1, results, 1, &err)
 *
 * What a program points to (its model) lives as long as the program; destroy contexts first. */
#ifndef AIGC_CLI_LIBAIGC_H
#define AIGC_CLI_LIBAIGC_H

#include "runtime/aigc.h"

typedef struct aigc_program aigc_program;

typedef struct aigc_settings {
    const char *const *defines; /* "layers=5", as after -D */
    uint32_t n_defines;
    const char *weights; /* safetensors file, folder or index, or GGUF; NULL: random weights */
    const char *model;   /* which model of the file; NULL: its last */
    const char *cpu;     /* "native" (NULL), or a name that aigc build --cpu help lists */
    int opt_level;       /* 0..3 */
    bool bf16; /* products with dense weights in bf16 (docs/accuracy.md), from level 1 on */
    const char *quantize; /* "q8_0", "q4_0", "bf16", "f16": parameters of products are kept so
                             (docs/accuracy.md); NULL: as the file has them. Not with interpret. */
    bool no_cache, profile;
    bool interpret; /* nothing is compiled: the reference interpreter runs the model (slow; for
                       checking) */
    void (*stage)(void *data,
                  const char *what); /* NULL, or told what begins: "compiling", "loading weights" */
    void *stage_data;
} aigc_settings;

/* Parses, checks, compiles and loads weights. On failure err has the first message and *messages
 * (when not NULL; free it) all of them. */
AIGC_MUST_CHECK aigc_status aigc_program_create(const char *path, const aigc_settings *s,
                                                aigc_program **out, char **messages,
                                                aigc_error *err);
void aigc_program_destroy(aigc_program *p);
const aigc_abi_model *aigc_program_model(const aigc_program *p);
const aigc_weights *aigc_program_weights(const aigc_program *p);
AIGC_MUST_CHECK aigc_status aigc_program_context(aigc_program *p, const aigc_context_options *o,
                                                 aigc_context **out, aigc_error *err);

/* Runs the entry of that name. Results whose data is NULL are allocated (free them). The arena
 * grows as needed. dims: the entry's dim arguments, in order. */
AIGC_MUST_CHECK aigc_status aigc_program_call(aigc_program *p, aigc_context *c, const char *entry,
                                              const int64_t *dims, const aigc_tensor *args,
                                              uint32_t n_args, aigc_tensor *results,
                                              uint32_t n_results, aigc_error *err);

/* What the compiler counts of one kernel of an entry, over one call of the entry (see
 * backend/kernel_cost.h): how often it runs, arithmetic on floats, bytes it must touch. */
typedef enum aigc_arithmetic {
    AIGC_ARITHMETIC_F32,
    AIGC_ARITHMETIC_BF16,
    AIGC_ARITHMETIC_INT8
} aigc_arithmetic;
typedef struct aigc_kernel_cost {
    double calls, flops, bytes;
    aigc_arithmetic arithmetic; /* of most of its products */
} aigc_kernel_cost;

/* costs: [n_kernels] of the entry. dims: all of the entry's, those of the arguments' shapes too.
 * False for an interpreted program, and for one whose object came from the cache: `profile` and
 * `no_cache` leave the cache alone. */
bool aigc_program_costs(aigc_program *p, uint32_t entry, const int64_t *dims,
                        aigc_kernel_cost *costs);

/* Why the interpreter failed in the last call; NULL: it did not, or the program is compiled.
 * aigc_program_call tells by itself. */
const char *aigc_program_error(const aigc_program *p);

/* The entry as a C function, with the signature it has in the header `aigc build` writes:
 *     aigc_status f(aigc_context *, int64_t dim..., const void *arg..., void *result...)
 * with every run-time size (those of the arguments' shapes too) as a dim, in the order of
 * aigc_abi_entry. Made with libffi; lives as long as the program. NULL when there is no such entry.
 */
void *aigc_program_function(aigc_program *p, const char *entry);

#endif
