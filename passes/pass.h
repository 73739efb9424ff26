/* Passes: each reads one graph and builds the next. The table is passes.def; the driver, --help,
 * --dump-after, --passes, timing and the golden runner all read it. What kernels look like after
 * fuse_elementwise is in docs/kernels.md. */
#ifndef AIGC_PASSES_PASS_H
#define AIGC_PASSES_PASS_H

#include "ir/module.h"
#include "support/diag.h"

typedef enum pass_id {
#define PASS(name, ...) PASS_##name,
#include "passes/passes.def"
    PASS_COUNT
} pass_id;

typedef struct pass_info {
    const char *name;
    int level;
    ir_stage stage; /* of the graph afterwards */
    const char *what;
} pass_info;
const pass_info *pass_get(pass_id id);
bool pass_from_name(const char *name, pass_id *id);

typedef struct pass_ctx {
    ir_module *module; /* parameters and states may be read; quantize changes how parameters are
                          kept, layout how they lie */
    diag *d;
    arena *scratch; /* reset by the driver after each pass */
    int level;      /* -O */
    uint32_t panel; /* width of a weight panel the target likes (f32 lanes * 2); 0: no packing */
    uint32_t channels; /* the same of convolutions' weights */
    bool bf16;      /* products with parameters may be of bf16 (--math bf16) */
    const char *quantize; /* NULL, or how parameters of products are kept: "q8_0" (--quantize) */
    bool bf16_dots; /* the target has dot products of bf16: others may be of them, too */
    FILE *explain;  /* NULL, or where to say why an edge was fused or not, one line each */
} pass_ctx;

/* One pass over one entry's graph (bodies included). The result is a new graph; g stays valid. */
ir_graph *pass_run(pass_id id, pass_ctx *c, const ir_graph *g);

typedef struct pass_options {
    int level;
    uint32_t panel;
    uint32_t channels;
    bool bf16;
    const char *quantize;
    bool bf16_dots;
    bool verify; /* after every pass; a violation is our mistake and stops the run */
    FILE *explain;
    /* Called after each pass for every entry; NULL: not wanted. */
    void (*after)(void *data, pass_id id, const ir_entry *e);
    void *data;
    uint64_t enabled; /* bit per pass_id; 0: those of the level */
} pass_options;

/* The pipeline over every entry of the module (objectives are left alone), replacing their graphs.
 * Graphs that were read at a later stage go on from there; places of planned ones are planned anew.
 * False, with errors in d, when the verifier found something. */
bool pass_run_all(ir_module *m, diag *d, const pass_options *o);
/* The named passes ("fuse_attention,plan_memory"), in the order given; for `aigc opt`. */
bool pass_run_named(ir_module *m, diag *d, const char *names, const pass_options *o);

/* Does the memory plan hold? Written apart from plan_memory and sharing no code with it: simulates
 * the program's order and checks that no live value is overwritten, that every result fits its
 * space, that in-place updates have no later reader of the old value, and that the arena is as big
 * as said and no bigger. Reports to d. */
bool plan_verify(const ir_module *m, const ir_graph *g, diag *d);

#define PASS(name, ...) ir_graph *pass_##name(pass_ctx *c, const ir_graph *g);
#include "passes/passes.def"

#endif
