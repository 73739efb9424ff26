#include "cli/text.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

aigc_status text_find_tokenizer(const text_options *o, const char *named, char path[4096],
                                aigc_error *err)
{
    const char *inside = o->weights && gguf_is_named(o->weights) ? o->weights : NULL,
               *known = o->tokenizer ? o->tokenizer : inside;
    const char *candidates[] = {named ? named : "tokenizer.json", "tokenizer.json",
                                "tokenizer.model", "vocab.json"};
    if (known) {
        snprintf(path, 4096, "%s", known);
        return AIGC_OK;
    }
    char folder[3072] = ".";
    struct stat info;
    if (o->weights) {
        snprintf(folder, sizeof folder, "%s", o->weights);
        char *slash = strrchr(folder, '/');
        if (stat(o->weights, &info) != 0 || !S_ISDIR(info.st_mode)) {
            snprintf(slash ? slash : folder, 3, "%s", slash ? "" : ".");
        }
    }
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        snprintf(path, 4096, "%s/%s", folder, candidates[i]);
        if (stat(path, &info) == 0) {
            return AIGC_OK;
        }
    }
    return aigc_fail(err, AIGC_ERR_MISSING, "no %s beside the weights; name one with --tokenizer",
                     candidates[0]);
}

typedef struct printer {
    const tokenizer *t;
    const text_options *o;
    FILE *out;
    utf8_stream stream;
    bool first;
} printer;

static void print_token(printer *p, int32_t id)
{
    if (p->o->ids) {
        fprintf(p->out, "%d\n", id);
        return;
    }
    char bytes[1024], shown[1024 + 4], *more = NULL;
    size_t n = tokenizer_decode(p->t, id, p->first, bytes, sizeof bytes);
    if (n > sizeof bytes &&
        (more = malloc(2 * n + 4))) { /* its bytes, and then what is shown of them */
        tokenizer_decode(p->t, id, p->first, more, n);
        size_t m = utf8_stream_push(&p->stream, more, n, more + n);
        fwrite(more + n, 1, m, p->out);
    } else {
        n = utf8_stream_push(&p->stream, bytes, n < sizeof bytes ? n : sizeof bytes, shown);
        fwrite(shown, 1, n, p->out);
    }
    free(more);
    p->first = false;
    fflush(p->out);
}

static aigc_status encode_prompt(const tokenizer *t, const text_options *o,
                                 const aigc_abi_generate *how, int32_t **ids, size_t *n,
                                 aigc_error *err)
{
    int32_t bos = how->bos >= 0 ? how->bos : tokenizer_bos(t);
    bool begins = how->bos >= 0 || tokenizer_adds_bos(t) || (o->prompt_size == 0 && bos >= 0);
    if (o->prompt_size == 0 && bos < 0) {
        bos = tokenizer_eos(t); /* GPT-2's: one token both ends and begins */
        begins = bos >= 0;
    }
    if (begins && bos >= 0) {
        *ids = malloc(sizeof **ids);
        if (!*ids) {
            return aigc_fail(err, AIGC_ERR_MEMORY, "out of memory");
        }
        (*ids)[(*n)++] = bos;
    }
    return tokenizer_encode(t, o->prompt, o->prompt_size, true, ids, n, err);
}

static aigc_status run(aigc_generator *g, const tokenizer *t, const text_options *o,
                       const aigc_abi_generate *how, FILE *out, aigc_error *err)
{
    int32_t *ids = NULL;
    size_t n = 0;
    double start = clock_now(), begun = start;
    aigc_status s = encode_prompt(t, o, how, &ids, &n, err);
    if (s == AIGC_OK) {
        progress *shown = progress_start("reading the prompt");
        s = aigc_generator_begin(g, ids, (int64_t)n, err);
        progress_stop(shown);
        begun = clock_now();
    }
    printer p = {.t = t, .o = o, .out = out, .first = true};
    int32_t eos = how->eos >= 0 ? how->eos : -1;
    for (size_t i = 0; s == AIGC_OK && i < n && !o->ids; i++) {
        if (ids[i] != tokenizer_bos(t) && ids[i] != eos) {
            print_token(&p, ids[i]);
        }
    }
    int64_t made = 0;
    while (s == AIGC_OK && made < o->max_tokens) {
        int32_t id = -1;
        s = aigc_generator_next(g, &id, err);
        if (id < 0 || id == eos || (eos < 0 && (tokenizer_ends(t, id) || id == tokenizer_bos(t)))) {
            break;
        }
        print_token(&p, id);
        made++;
    }
    free(ids);
    if (!o->ids) {
        fwrite(p.stream.held, 1, p.stream.n, out);
        fputc('\n', out);
    }
    fflush(out);
    if (o->verbose) {
        double now = clock_now();
        fprintf(stderr, "%zu tokens in %.0f ms, then %lld in %.3f s: %.1f tokens/s\n", n,
                1e3 * (begun - start), (long long)made, now - begun,
                (double)made / (now - begun + 1e-9));
    }
    return s == AIGC_ERR_BOUND && made ? AIGC_OK : s;
}

aigc_status text_generate(aigc_context *c, const text_options *o, FILE *out, aigc_error *err)
{
    const aigc_abi_model *m = aigc_context_model(c);
    if (m->n_generates == 0) {
        return aigc_fail(err, AIGC_ERR_MISSING,
                         "model %s says not how to generate: it needs a line like  generate text = "
                         "autoregressive(forward)",
                         m->name);
    }
    tokenizer *t;
    aigc_generator *g = NULL;
    char path[4096];
    aigc_status s = text_find_tokenizer(o, m->generates[0].tokenizer, path, err);
    s = s == AIGC_OK ? tokenizer_open(path, &t, err) : s;
    if (s != AIGC_OK) {
        return s;
    }
    s = aigc_generator_create(c, 0, &o->sampling, o->seed, &g, err);
    s = s == AIGC_OK ? run(g, t, o, &m->generates[0], out, err) : s;
    aigc_generator_destroy(g);
    tokenizer_close(t);
    return s;
}
