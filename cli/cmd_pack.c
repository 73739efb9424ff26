/* aigc pack: weights in a file as compiled code reads them. */
#include "cli/session.h"
#include "cli/text.h"
#include "runtime/io/weights_load.h"
#include "runtime/io/weights_packed.h"

#include <string.h>
#include <sys/stat.h>

/* Beside the weights: model.gguf gives model.aigcw, a folder folder/model.aigcw. */
static const char *output_of(const args *a, arena *memory)
{
    struct stat info;
    if (a->output) {
        return a->output;
    }
    if (stat(a->weights, &info) == 0 && S_ISDIR(info.st_mode)) {
        return arena_printf(memory, "%s/model.aigcw", a->weights);
    }
    const char *slash = strrchr(a->weights, '/'), *dot = strrchr(a->weights, '.');
    size_t n = dot && (!slash || dot > slash) ? (size_t)(dot - a->weights) : strlen(a->weights);
    return arena_printf(memory, "%.*s.aigcw", (int)n, a->weights);
}

/* The tokenizer to put in: one asked for, or one beside safetensors; GGUFs bring their own. */
static const char *tokenizer_of(const args *a, const compiler *c, const weights_file *f)
{
    const char *named = c->m->n_generates ? c->m->generates[0].tokenizer : NULL;
    text_options o = {.weights = a->weights, .tokenizer = a->tokenizer};
    static char path[4096];
    aigc_error none;
    bool wanted = a->tokenizer || (!f->gguf && c->m->n_generates);
    return wanted && text_find_tokenizer(&o, named, path, &none) == AIGC_OK ? path : NULL;
}

static aigc_status write_packed(const args *a, compiler *c, const weights_file *f,
                                const char *output, aigc_error *err)
{
    weights_packed_source s = {weights_params_of(c->m, c->a), f, tokenizer_of(a, c, f)};
    aigc_status fits = weights_check(s.m, f, NULL, err);
    return fits == AIGC_OK ? weights_packed_write(&s, output, err) : fits;
}

static int pack(const args *a, compiler *c, const weights_file *f)
{
    compile_options o = args_compile_options(a, f);
    aigc_error err = {{0}};
    const char *output = output_of(a, c->a);
    progress *shown = session_progress(a, "packing");
    bool compiled = compile_source(c, a->file, &o) && compile_passes(c, &o);
    aigc_status s = compiled ? write_packed(a, c, f, output, &err) : AIGC_OK;
    progress_stop(shown);
    if (s != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
    } else if (compiled && a->verbose) {
        fprintf(stderr, "%s\n", output);
    }
    return compiled && s == AIGC_OK ? 0 : EXIT_INPUT;
}

int cmd_pack(const args *a)
{
    if (!a->weights) {
        fprintf(stderr, "aigc pack: --weights FILE is missing\ntry: aigc pack --help\n");
        return EXIT_USAGE;
    }
    weights_file *f;
    int code = session_dump_only(a);
    code = code ? code : args_open_weights(a, &f);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    code = pack(a, c, f);
    args_print_messages(c);
    compile_destroy(c);
    weights_file_close(f);
    return code;
}
