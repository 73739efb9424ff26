/* Links an object made by `aigc build examples/llama/llama.aigc --weights W -o llama.o`; prints
 * greedy token ids.
 *
 *     cc -I. examples/c/link.c llama.o -Lbuild -laigc_io -laigc_runtime -ljansson -lm -lpthread -o
 * link link WEIGHTS N ID...       N tokens after these */
#include "llama.h"
#include "runtime/io/weights_load.h"

#include <stdio.h>
#include <stdlib.h>

static int fail(const char *words)
{
    fprintf(stderr, "%s\n", words);
    return 1;
}

int main(int argc, char **argv)
{
    aigc_error err;
    weights_file *file;
    aigc_weights *weights;
    aigc_context *c;
    if (argc < 4) {
        return fail("usage: link WEIGHTS N ID...");
    }
    if (weights_file_open(argv[1], &file, &err) != AIGC_OK ||
        weights_load(&llama_model, file, NULL, &weights, &err) != AIGC_OK ||
        aigc_context_create(&llama_model, weights, NULL, &c, &err) != AIGC_OK) {
        return fail(err.text);
    }
    int64_t vocab = llama_model.params[0].dims[0], n = argc - 3, pos = 0;
    float *logits = malloc((size_t)vocab * sizeof *logits);
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    for (int64_t i = 0; i < n; i++) {
        ids[i] = atoi(argv[3 + i]);
    }
    for (int turns = atoi(argv[2]); turns > 0; turns--) {
        if (llama_next(c, pos, n, ids, logits) != AIGC_OK) {
            return fail(aigc_error_message(c));
        }
        pos += n;
        n = 1;
        ids[0] = 0;
        for (int32_t i = 1; i < vocab; i++) {
            ids[0] = logits[i] > logits[ids[0]] ? i : ids[0];
        }
        printf("%d\n", ids[0]);
    }
    free(logits);
    free(ids);
    aigc_context_destroy(c);
    aigc_weights_destroy(weights);
    return 0;
}
