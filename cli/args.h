/* The command line: tables of options, and the settings all commands share. */
#ifndef AIGC_CLI_ARGS_H
#define AIGC_CLI_ARGS_H

#include "cli/compile.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes. */
enum {
    EXIT_OK = 0,
    EXIT_INPUT = 1 /* the input is wrong */,
    EXIT_USAGE = 2 /* the command line is */,
    EXIT_FAILED = 3 /* running failed */
};

enum { ARGS_MOST_MANY = 64 };

typedef struct args {
    const char *file; /* the first word that is no option */
    const char *rest[ARGS_MOST_MANY];
    uint32_t n_rest;
    /* compiling */
    const char *defines[ARGS_MOST_MANY];
    uint32_t n_defines;
    const char *weights, *model, *target, *cpu, *math, *quantize, *dump, *dump_after, *passes;
    int level;
    bool no_cache, explain, verbose, profile, interpret;
    /* running */
    const char *entry, *inputs[ARGS_MOST_MANY], *outputs[ARGS_MOST_MANY];
    uint32_t n_inputs, n_outputs;
    int64_t threads, seed, repeat;
    /* generating */
    const char *prompt, *prompt_file, *tokenizer, *ids;
    int64_t max_tokens, top_k;
    double temperature, top_p, min_p, repetition_penalty;
    bool print_ids;
    /* building */
    const char *output, *emit, *name;
    bool help, list_cpus; /* --help; --cpu help */
} args;

typedef struct command {
    const char *name, *what;
    const char *options; /* letters of the groups of options it takes: c compile, q quantize, r run,
                            g generate, b build, o opt, p pack */
    const char *usage, *examples;
    int (*run)(const args *a);
} command;
extern const command commands[]; /* ends with a NULL name; main.c */

/* Fills a; 0, or an exit code after an error was printed. */
int args_parse(const command *c, int argc, char **argv, args *a);
void args_help(const command *c);

/* Are --target and --cpu known? 0, or an exit code after an error was printed. Prints what --cpu
 * help asks for. */
int args_check_target(const args *a);

/* The command's weights: NULL with 0 when none are asked for. */
int args_open_weights(const args *a, weights_file **out);
/* --math bf16? */
bool args_bf16(const args *a);
compile_options args_compile_options(const args *a, const weights_file *w);
/* Prints messages to stderr, in colour on a terminal. */
void args_print_messages(const compiler *c);

int cmd_pack(const args *a);
int cmd_check(const args *a);
int cmd_run(const args *a);
int cmd_generate(const args *a);
int cmd_build(const args *a);
int cmd_inspect(const args *a);
int cmd_opt(const args *a);

#endif
