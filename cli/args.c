#include "cli/args.h"
#include "backend/codegen.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum option_kind { FLAG, TEXT, INTEGER, REAL, MANY } option_kind;

static const struct option {
    const char *name, *value; /* "--entry", "NAME"; value NULL for a flag */
    char group;
    option_kind kind;
    size_t at, count; /* in args; count: of a list */
    const char *what;
} options[] = {
#define AT(field)          offsetof(args, field), 0
#define LIST(field, count) offsetof(args, field), offsetof(args, count)
    {"-D", "NAME=VALUE", 'c', MANY, LIST(defines, n_defines), "set a hyper-parameter"},
    {"--weights", "FILE", 'c', TEXT, AT(weights), "safetensors (file, folder, index), GGUF, or what aigc pack wrote"},
    {"--model", "NAME", 'c', TEXT, AT(model), "which model of the file; the last when not given"},
    {"--cpu", "NAME", 'c', TEXT, AT(cpu),
                                                                           "compile for this CPU (x86-64-v3, cortex-a72, ...; help: lists them); this machine's when not "
     "given"},
    {"--math", "NAME", 'c', TEXT, AT(math),
                                                                           "products with dense weights: f32 (exact; when not given) or bf16 (faster, half the memory)"},
    {"--quantize", "KIND", 'q', TEXT, AT(quantize),
                                                                           "keep weights of products in q8_0, q4_0, bf16 or f16, whatever floats the file has"},
    {"--no-cache", NULL, 'c', FLAG, AT(no_cache),
                                                                           "neither read nor write the cache of compiled objects"},
    {"--dump-after", "PASS", 'c', TEXT, AT(dump_after),
                                                                           "print the IR after a pass (or 'all') to stderr"},
    {"--dump", "STAGE", 'c', TEXT, AT(dump), "print ir, kernels, programs or llvm to stderr"},
    {"--explain", NULL, 'c', FLAG, AT(explain), "say why values were fused and weights quantized, or not, on stderr"},
    {"-v", NULL, 'c', FLAG, AT(verbose), "say what is done, and how long it took"},
    {"--entry", "NAME", 'r', TEXT, AT(entry), "which entry; the first when not given"},
    {"--input", "NAME=FILE", 'r', MANY, LIST(inputs, n_inputs),
                                                                           "an argument from .npy, FILE.safetensors:TENSOR or numbers: NAME=1,2,3"},
    {"--output", "NAME=FILE", 'r', MANY, LIST(outputs, n_outputs),
                                                                           "a result to .npy or .safetensors; its first numbers are printed when not given"},
    {"--repeat", "N", 'r', INTEGER, AT(repeat), "call N times"},
    {"--profile", NULL, 'r', FLAG, AT(profile), "time, arithmetic, bytes, share of the roofline of every kernel, on stderr"},
    {"--interpret", NULL, 't', FLAG, AT(interpret),
                                                                           "run by the reference interpreter, nothing compiled: slow, for checking"},
    {"--threads", "N", 't', INTEGER, AT(threads), "threads; one a core when not given"},
    {"--seed", "N", 't', INTEGER, AT(seed), "seed of random numbers"},
    {"--prompt", "TEXT", 'g', TEXT, AT(prompt), "text to go on from"},
    {"--prompt-file", "FILE", 'g', TEXT, AT(prompt_file), "the same from a file"},
    {"--tokenizer", "FILE", 'g', TEXT, AT(tokenizer),
                                                                           "tokenizer.json, tokenizer.model, vocab.json or GGUF; beside the weights when not given"},
    {"--max-tokens", "N", 'g', INTEGER, AT(max_tokens), "stop after N tokens (256)"},
    {"--temperature", "T", 'g', REAL, AT(temperature), "0: always the likeliest token (0.8)"},
    {"--top-k", "K", 'g', INTEGER, AT(top_k), "among the K likeliest only (0: all)"},
    {"--top-p", "P", 'g', REAL, AT(top_p),
                                                                           "among the likeliest that have probability P together (1)"},
    {"--min-p", "P", 'g', REAL, AT(min_p),
                                                                           "only those at least P times as likely as the likeliest (0)"},
    {"--repetition-penalty", "R", 'g', REAL, AT(repetition_penalty),
                                                                           "divide logits of tokens seen by R (1)"},
    {"--ids", NULL, 'g', FLAG, AT(print_ids), "print token ids, not text"},
    {"-o", "FILE", 'b', TEXT, AT(output), "file to write"},
    {"-o", "FILE.aigcw", 'p', TEXT, AT(output), "file to write; beside the weights when not given"},
    {"--tokenizer", "FILE", 'p', TEXT, AT(tokenizer), "tokenizer to keep in it; the one beside the weights when not given"},
    {"--emit", "KIND", 'b', TEXT, AT(emit),
                                                                           "object, shared, exe, asm, llvm, ir (by the name of -o when not given)"},
    {"--target", "TRIPLE", 'b', TEXT, AT(target), "x86_64-linux-gnu, aarch64-linux-gnu, ..."},
    {"--name", "NAME", 'b', TEXT, AT(name), "prefix of exported names; the model's when not given"},
    {"--passes", "LIST", 'o', TEXT, AT(passes),
                                                                           "passes to run, by comma; all of -O when not given"},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static int wrong(const command *c, const char *format, const char *what)
{
    fprintf(stderr, "aigc %s: ", c->name);
    fprintf(stderr, format, what);
    fprintf(stderr, "\ntry: aigc %s --help\n", c->name);
    return EXIT_USAGE;
}

static int store(const command *c, const struct option *o, const char *value, args *a)
{
    char *to = (char *)a + o->at, *end;
    errno = 0;
    switch (o->kind) {
    case FLAG:
        *(bool *)to = true;
        return 0;
    case TEXT:
        *(const char **)to = value;
        return 0;
    case INTEGER:
        *(int64_t *)to = strtoll(value, &end, 10);
        return errno || *end || end == value ? wrong(c, "%s is no whole number", value) : 0;
    case REAL:
        *(double *)to = strtod(value, &end);
        return errno || *end || end == value ? wrong(c, "%s is no number", value) : 0;
    case MANY:
        break;
    }
    uint32_t *n = (uint32_t *)((char *)a + o->count);
    if (*n == ARGS_MOST_MANY) {
        return wrong(c, "too many %s", o->name);
    }
    ((const char **)to)[(*n)++] = value;
    return 0;
}

static const struct option *find(const command *c, const char *word, size_t n)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (strchr(c->options, options[i].group) && strlen(options[i].name) == n &&
            strncmp(options[i].name, word, n) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

int args_parse(const command *c, int argc, char **argv, args *a)
{
    *a = (args){.level = 2,
                .max_tokens = 256,
                .temperature = 0.8,
                .top_p = 1,
                .repetition_penalty = 1,
                .repeat = 1};
    for (int i = 0; i < argc; i++) {
        const char *w = argv[i];
        if (strcmp(w, "--help") == 0 || strcmp(w, "-h") == 0) {
            a->help = true;
            return 0;
        }
        if (w[0] != '-' || w[1] == 0) {
            if (!a->file) {
                a->file = w;
            } else if (a->n_rest < ARGS_MOST_MANY) {
                a->rest[a->n_rest++] = w;
            }
            continue;
        }
        if (w[1] == 'O' && w[2] >= '0' && w[2] <= '3' && w[3] == 0) {
            a->level = w[2] - '0';
            continue;
        }
        const char *equals = w[1] == '-' ? strchr(w, '=') : NULL;
        const struct option *o = find(c, w, equals ? (size_t)(equals - w) : strlen(w));
        const char *value = equals ? equals + 1 : NULL;
        if (!o && w[1] != '-' && w[2]) { /* -Dname=value, -ofile */
            o = find(c, w, 2);
            value = w + 2;
        }
        if (!o) {
            return wrong(c, "unknown option %s", w);
        }
        if (o->kind != FLAG && !value) {
            if (++i == argc) {
                return wrong(c, "%s needs a value", w);
            }
            value = argv[i];
        }
        int code = store(c, o, value, a);
        if (code) {
            return code;
        }
    }
    a->list_cpus = a->cpu && strcmp(a->cpu, "help") == 0;
    if (a->list_cpus) {
        return 0;
    }
    if (!a->file) {
        return wrong(c, "%s is missing", "a file");
    }
    if (a->n_rest) {
        return wrong(c, "one file is enough, found also %s", a->rest[0]);
    }
    if (a->threads < 0 || a->threads > 1024) {
        return wrong(c, "--threads: %s", "between 1 and 1024");
    }
    if (a->math && strcmp(a->math, "f32") != 0 && strcmp(a->math, "bf16") != 0) {
        return wrong(c, "--math is f32 or bf16, not %s", a->math);
    }
    ir_storage made;
    if (a->quantize && !ir_storage_to_make(a->quantize, &made)) {
        return wrong(c, "--quantize is one of %s", ir_storages_to_make());
    }
    return 0;
}

void args_help(const command *c)
{
    printf("usage: aigc %s %s\n\n%s\n", c->name, c->usage, c->what);
    static const struct {
        char group;
        const char *title;
    } groups[] = {
        {'g', "generating"},
        {'r', "running"   },
        {'t', "machine"   },
        {'b', "writing"   },
        {'p', "writing"   },
        {'o', "passes"    },
        {'q', "weights"   },
        {'c', "compiling" }
    };
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        if (!strchr(c->options, groups[g].group)) {
            continue;
        }
        printf("\n%s:\n", groups[g].title);
        for (size_t i = 0; i < N_OPTIONS; i++) {
            if (options[i].group == groups[g].group) {
                char left[64];
                snprintf(left, sizeof left, "%s%s%s", options[i].name, options[i].value ? " " : "",
                         options[i].value ? options[i].value : "");
                printf("  %-26s %s\n", left, options[i].what);
            }
        }
        if (groups[g].group == 'c') {
            printf("  %-26s %s\n", "-O0 ... -O3",
                   "0: no fusion to speak of; 2 when not given; 3: LLVM's full pipeline");
        }
    }
    printf("\nexamples:\n%s\nexit codes: 0 done, 1 something is wrong with the input, 2 with the "
           "command line, 3 running failed\n",
           c->examples);
}

int args_open_weights(const args *a, weights_file **out)
{
    *out = NULL;
    aigc_error err;
    if (a->weights && weights_file_open(a->weights, out, &err) != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_INPUT;
    }
    return 0;
}

bool args_bf16(const args *a)
{
    return a->math && strcmp(a->math, "bf16") == 0;
}

compile_options args_compile_options(const args *a, const weights_file *w)
{
    return (compile_options){.defines = a->defines,
                             .n_defines = a->n_defines,
                             .weights = w,
                             .model = a->model,
                             .target = a->target,
                             .cpu = a->cpu,
                             .symbol = a->name,
                             .level = a->level,
                             .bf16 = args_bf16(a),
                             .quantize = a->quantize,
                             .profile = a->profile,
                             .no_cache = a->no_cache,
                             .explain = a->explain ? stderr : NULL};
}

int args_check_target(const args *a)
{
    compiler *c = a->cpu || a->target ? compile_create() : NULL;
    if (!c) {
        return 0;
    }
    const codegen *g = codegen_get(c->d);
    bool known = g && g->target_is_known(a->target, a->list_cpus ? NULL : a->cpu, c->a, c->d);
    int code = known ? 0 : EXIT_USAGE;
    if (code == 0 && a->list_cpus) {
        fputs(g->target_cpu_list(a->target, c->a), stdout);
    }
    args_print_messages(c);
    compile_destroy(c);
    return code;
}

void args_print_messages(const compiler *c)
{
    diag_print(c->d, stderr, isatty(2));
}
