/* main() of programs made by `aigc build --emit exe`: generates text. The model is linked as
 * aigc_main_model. */
#include "cli/progress.h"
#include "cli/text.h"
#include "runtime/io/weights_load.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

extern const aigc_abi_model aigc_main_model;

static void usage(FILE *out)
{
    fprintf(out,
            "usage: %s --weights FILE [--prompt TEXT] [options]\n\n"
            "  --weights FILE            safetensors or GGUF, as at compile time\n"
            "  --prompt TEXT             text to go on from\n"
            "  --tokenizer FILE          beside the weights when not given\n"
            "  --max-tokens N            stop after N tokens (256)\n"
            "  --temperature T           0: always the likeliest token (0.8)\n"
            "  --top-k K --top-p P --min-p P --repetition-penalty R\n"
            "  --threads N --seed N --ids -v\n",
            aigc_main_model.name);
}

typedef struct options {
    text_options text;
    uint32_t threads;
} options;

static int parse(int argc, char **argv, options *o)
{
    static const struct option names[] = {
        {"weights",            1, NULL, 'w'},
        {"prompt",             1, NULL, 'p'},
        {"tokenizer",          1, NULL, 't'},
        {"max-tokens",         1, NULL, 'n'},
        {"temperature",        1, NULL, 'T'},
        {"top-k",              1, NULL, 'k'},
        {"top-p",              1, NULL, 'P'},
        {"min-p",              1, NULL, 'm'},
        {"repetition-penalty", 1, NULL, 'r'},
        {"threads",            1, NULL, 'j'},
        {"seed",               1, NULL, 's'},
        {"ids",                0, NULL, 'i'},
        {"help",               0, NULL, 'h'},
        {NULL,                 0, NULL, 0  }
    };
    for (int c; (c = getopt_long(argc, argv, "vh", names, NULL)) != -1;) {
        switch (c) {
        case 'w':
            o->text.weights = optarg;
            break;
        case 'p':
            o->text.prompt = optarg;
            break;
        case 't':
            o->text.tokenizer = optarg;
            break;
        case 'n':
            o->text.max_tokens = atoll(optarg);
            break;
        case 'T':
            o->text.sampling.temperature = atof(optarg);
            break;
        case 'k':
            o->text.sampling.top_k = atoll(optarg);
            break;
        case 'P':
            o->text.sampling.top_p = atof(optarg);
            break;
        case 'm':
            o->text.sampling.min_p = atof(optarg);
            break;
        case 'r':
            o->text.sampling.repetition_penalty = atof(optarg);
            break;
        case 'j':
            o->threads = (uint32_t)atoi(optarg);
            break;
        case 's':
            o->text.seed = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            o->text.ids = true;
            break;
        case 'v':
            o->text.verbose = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            return 2;
        }
    }
    if (!o->text.weights || optind < argc) {
        usage(stderr);
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    options o = {
        .text = {.prompt = "", .max_tokens = 256, .sampling = {0.8, 0, 1, 0, 1}}
    };
    aigc_error err = {{0}};
    weights_file *f;
    aigc_weights *w = NULL;
    aigc_context *c = NULL;
    int code = parse(argc, argv, &o);
    if (code) {
        return code;
    }
    o.text.prompt_size = strlen(o.text.prompt);
    aigc_context_options with = {.n_threads = o.threads};
    progress *shown = progress_start("loading weights");
    aigc_status s = weights_file_open(o.text.weights, &f, &err);
    if (s == AIGC_OK) {
        s = weights_load(&aigc_main_model, f, NULL, &w, &err);
    }
    progress_stop(shown);
    if (s == AIGC_OK) {
        s = aigc_context_create(&aigc_main_model, w, &with, &c, &err);
    }
    if (s == AIGC_OK) {
        s = text_generate(c, &o.text, stdout, &err);
    }
    if (s != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
    }
    aigc_context_destroy(c);
    if (w) {
        aigc_weights_destroy(w);
    }
    return s == AIGC_OK ? 0 : 3;
}
