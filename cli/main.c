/* The command `aigc`: a thin user of libaigc. */
#include "cli/args.h"

#include <stdio.h>
#include <string.h>

const command commands[] = {
    {"check",
     "Types, sizes and every tensor of the weights: what is missing, left over, of the wrong "
     "shape.",                                                                                        "cq",  "MODEL.aigc [options]",
     "  aigc check llama.aigc -D layers=5 --weights model.safetensors\n",                                                                                                                              cmd_check   },
    {"run",      "Compiles, and calls one entry. Tensors come from and go to .npy and .safetensors.",
     "cqrt",                                                                                                 "MODEL.aigc [options]",
     "  aigc run mlp.aigc --entry forward --input x=x.npy --output y=y.npy\n",                                                                                                                         cmd_run     },
    {"generate", "Compiles, and generates text with the file's `generate`.",                          "cqgt",
     "MODEL.aigc --weights FILE [options]",                                                                                                  "  aigc generate llama.aigc --weights model.gguf --prompt \"Once upon a time\" --temperature "
     "0\n",                                                                                                                                                 cmd_generate},
    {"build",
     "Compiles to a file that needs no compiler: an object and its C header, a library, a program.",  "cqb", "MODEL.aigc -o FILE [options]",
     "  aigc build llama.aigc -o llama.o\n  aigc build llama.aigc --emit exe -o llama\n  aigc "
     "build llama.aigc -o llama.o --target aarch64-linux-gnu\n",                                                                                                                                       cmd_build   },
    {"pack",
     "Writes weights as compiled code reads them, with their metadata and tokenizer: used where they "
     "are mapped, without a copy.",                                                                   "cqp", "MODEL.aigc --weights FILE [-o FILE.aigcw] [options]",
     "  aigc pack llama.aigc --weights model.safetensors --math bf16 -o model.aigcw\n  aigc generate "
     "llama.aigc --weights model.aigcw --math bf16\n  aigc pack llama.aigc --weights "
     "model.safetensors --quantize q8_0 -o model-q8_0.aigcw\n",                                                                                                                                                 cmd_pack    },
    {"inspect",
     "Shows what a file holds: tensors and metadata of weights; entries, parameters, sizes, memory "
     "of a model.",                                                                                   "cq",  "FILE",                         "  aigc inspect model.gguf\n  aigc inspect llama.aigc\n", cmd_inspect },
    {"opt",      "Runs passes over a model and prints its IR.",                                       "cqo", "MODEL.aigc [--passes a,b]",
     "  aigc opt llama.aigc --passes canonicalize,dce,fuse_attention\n",                                                                                                                               cmd_opt     },
    {NULL,       NULL,                                                                                NULL,  NULL,                           NULL,                                                     NULL        },
};

static void usage(FILE *out)
{
    fprintf(out, "aigc: compiles generative models written as .aigc files\n\nusage: aigc COMMAND "
                 "FILE [options]\n\n");
    for (const command *c = commands; c->name; c++) {
        fprintf(out, "  %-10s %s\n", c->name, c->what);
    }
    fprintf(out, "\naigc COMMAND --help tells more.\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("aigc %s\n", AIGC_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        for (const command *c = commands; c->name && argc > 2; c++) {
            if (strcmp(c->name, argv[2]) == 0) {
                args_help(c);
                return 0;
            }
        }
        usage(stdout);
        return 0;
    }
    for (const command *c = commands; c->name; c++) {
        if (strcmp(c->name, argv[1]) == 0) {
            args a;
            int code = args_parse(c, argc - 2, argv + 2, &a);
            if (code) {
                return code;
            }
            if (a.help) {
                args_help(c);
                return 0;
            }
            code = args_check_target(&a);
            return code || a.list_cpus ? code : c->run(&a);
        }
    }
    fprintf(stderr, "aigc: no command %s\n\n", argv[1]);
    usage(stderr);
    return EXIT_USAGE;
}
