/* aigc generate: text from a model with a `generate` line. */
#include "cli/session.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_prompt(const char *path, size_t *size)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;
    *size = 0;
    while (f) {
        if (*size == room) {
            room = room * 2 + 4096;
            char *more = realloc(text, room);
            if (!more) {
                break;
            }
            text = more;
        }
        size_t n = fread(text + *size, 1, room - *size, f);
        *size += n;
        if (n == 0) {
            break;
        }
    }
    if (f && f != stdin) {
        fclose(f);
    }
    return f ? text : NULL;
}

int cmd_generate(const args *a)
{
    if (!a->weights) {
        fprintf(stderr, "aigc generate: --weights FILE is missing\ntry: aigc generate --help\n");
        return EXIT_USAGE;
    }
    char *file = NULL;
    size_t size = a->prompt ? strlen(a->prompt) : 0;
    if (a->prompt_file) {
        file = read_prompt(a->prompt_file, &size);
        if (!file) {
            fprintf(stderr, "%s: %s\n", a->prompt_file, strerror(errno));
            return EXIT_INPUT;
        }
    }
    session s;
    int code = session_open(a, &s);
    if (code) {
        free(file);
        return code;
    }
    text_options o = {
        .weights = a->weights,
        .tokenizer = a->tokenizer,
        .prompt = file        ? file
                  : a->prompt ? a->prompt
                              : "",
        .prompt_size = size,
        .sampling = {a->temperature, a->top_k, a->top_p, a->min_p, a->repetition_penalty},
        .seed = (uint64_t)a->seed,
        .max_tokens = a->max_tokens,
        .ids = a->print_ids,
        .verbose = a->verbose
    };
    aigc_error err = {{0}};
    if (text_generate(s.context, &o, stdout, &err) != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
        code = EXIT_FAILED;
    }
    if (aigc_program_error(s.program)) {
        fprintf(stderr, "the interpreter says: %s\n", aigc_program_error(s.program));
        code = EXIT_FAILED;
    }
    free(file);
    session_close(&s);
    return code;
}
