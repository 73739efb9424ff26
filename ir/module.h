/* A model: its entries, parameters, states, extern functions and ways to generate. */
#ifndef AIGC_IR_MODULE_H
#define AIGC_IR_MODULE_H

#include "ir/graph.h"
#include "ir/storage.h"

/* A family of like parameters: "h.{}.attn.c_attn.weight", one index a {}. */
typedef struct ir_param {
    const char *name; /* interned pattern */
    uint32_t n_aliases;
    const char *const *aliases; /* patterns with the same indices */
    uint32_t n_indices;
    const int64_t *counts; /* [n_indices] values of each index */
    const ir_type *type;   /* of one; all dims constant */
    const char *init;      /* as text: "normal(0, 0.02)"; NULL: none given */
    ir_storage storage;    /* how it is kept; the dtype's own until weights say otherwise */
    /* Set by the layout pass: "rows" at first, "panels", "pairs", "taps". See runtime/abi.h,
     * aigc_layout. */
    const char *layout;
    uint32_t panel;
    bool pack_transposed;
    span where;
    span made; /* where the module of a library that declares it was made; nowhere: it is the user's
                  own */
    span list; /* where the innermost list of modules around it was made; nowhere: it is in none */
} ir_param;

typedef struct ir_state {
    const char *name;    /* interned, "h.attn.k" */
    const ir_type *type; /* constant dims; a leading axis for each loop of layers around it */
    span where;
} ir_state;

typedef enum ir_meaning {
    IR_MEANING_TENSOR,
    IR_MEANING_TEXT,
    IR_MEANING_IMAGE,
    IR_MEANING_AUDIO,
    IR_MEANING_CLASS
} ir_meaning;

typedef struct ir_arg_info { /* what an argument or result of an entry is */
    ir_meaning meaning;
    uint32_t sample_rate;
    uint32_t n_classes;
    const char *const *classes;
} ir_arg_info;

typedef enum ir_entry_kind { IR_ENTRY, IR_OBJECTIVE } ir_entry_kind;

typedef struct ir_entry {
    ir_entry_kind kind;
    const char *name;
    const char *doc;            /* NULL: none */
    ir_graph *graph;            /* replaced by every pass */
    const ir_arg_info *args;    /* [inputs] */
    const ir_arg_info *results; /* [outputs of kind result] */
    span where;
} ir_entry;

typedef struct ir_generate {
    const char *name;
    bool encoder_decoder;
    const char *entry, *encode;                    /* names; encode NULL unless encoder_decoder */
    const char *tokens_arg, *memory_arg, *pos_dim; /* names; NULL: none */
    int64_t bos, eos;                              /* -1: the tokenizer's */
    int64_t context;
    const char *tokenizer; /* file name, or NULL */
    span where;
} ir_generate;

typedef struct ir_module {
    ir_ctx *ctx;
    source_map *sources; /* where spans point; may be NULL for graphs read from text */
    const char *name, *doc;
    uint32_t n_params, n_states, n_entries, n_externs, n_generates;
    ir_param *params;
    ir_state *states;
    ir_entry *entries;
    const char **externs; /* "libblur.so:blur"; extern nodes name them in `target` */
    ir_generate *generates;
} ir_module;

const ir_param *ir_module_param(const ir_module *m, const char *name); /* interned name; NULL */
const ir_state *ir_module_state(const ir_module *m, const char *name);
ir_entry *ir_module_entry(const ir_module *m, const char *name); /* any string; NULL */

#endif
