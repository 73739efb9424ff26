/* Embeds the compiler: compiles a .aigc file in this process and calls an entry by name.
 *
 *     embed MODEL.aigc WEIGHTS
 *
 * prints what a Llama thinks follows its first token. */
#include "cli/libaigc.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.aigc WEIGHTS\n", argv[0]);
        return 2;
    }
    aigc_settings settings = {.weights = argv[2], .opt_level = 2};
    aigc_program *program;
    aigc_context *context = NULL;
    aigc_error err;
    char *messages;
    if (aigc_program_create(argv[1], &settings, &program, &messages, &err) != AIGC_OK) {
        fprintf(stderr, "%s\n", messages ? messages : err.text);
        return 1;
    }
    aigc_status s = aigc_program_context(program, NULL, &context, &err);
    int32_t first = 1;
    int64_t pos = 0;
    aigc_tensor tokens = {.data = &first, .dtype = AIGC_I32, .rank = 1, .dims = {1}};
    aigc_tensor logits = {0}; /* libaigc allocates it */
    if (s == AIGC_OK) {
        s = aigc_program_call(program, context, "next", &pos, &tokens, 1, &logits, 1, &err);
    }
    if (s == AIGC_OK) {
        const float *v = logits.data;
        int64_t best = 0;
        for (int64_t i = 1; i < logits.dims[0]; i++) {
            best = v[i] > v[best] ? i : best;
        }
        printf("after token %d most likely comes token %lld\n", first, (long long)best);
    } else {
        fprintf(stderr, "%s\n", err.text);
    }
    free(logits.data);
    free(messages);
    aigc_context_destroy(context);
    aigc_program_destroy(program);
    return s == AIGC_OK ? 0 : 1;
}
