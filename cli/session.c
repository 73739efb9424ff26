#include "cli/session.h"
#include "ir/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double session_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

progress *session_progress(const args *a, const char *what)
{
    return a->explain ? NULL : progress_start(what);
}

static void on_stage(void *data, const char *what)
{
    progress_stage(data, what);
}

typedef struct dumping {
    const char *pass;
    compiler *c;
} dumping;

static void dump_after(void *data, pass_id id, const ir_entry *e)
{
    const dumping *d = data;
    const char *name = pass_get(id)->name;
    if (strcmp(d->pass, "all") == 0 || strcmp(d->pass, name) == 0) {
        fprintf(stderr, "# %s after %s\n%s\n", e->name, name, ir_print_graph(e->graph, d->c->a));
    }
}

static void dump_stage(const char *stage, compiler *c, const compile_options *o)
{
    if (strcmp(stage, "ir") == 0) {
        fprintf(stderr, "%s", ir_print_module(c->m, c->a));
    } else if (strcmp(stage, "llvm") == 0 || strcmp(stage, "asm") == 0) {
        const char *text = compile_text(c, o, stage);
        fprintf(stderr, "%s", text ? text : "");
    } else if (compile_lower(c, o)) {
        for (uint32_t i = 0; i < c->k->n_kernels; i++) {
            fprintf(stderr, "%s\n", k_print_kernel(c->k->kernels[i], c->a));
        }
        for (uint32_t i = 0; i < c->k->n_programs; i++) {
            fprintf(stderr, "%s\n", k_print_program(&c->k->programs[i], c->a));
        }
    }
}

int session_dump(const args *a)
{
    if (!a->dump && !a->dump_after && !a->explain) {
        return 0;
    }
    pass_id id;
    if (a->dump_after && strcmp(a->dump_after, "all") != 0 && !pass_from_name(a->dump_after, &id)) {
        fprintf(stderr, "--dump-after: there is no pass %s\n", a->dump_after);
        return EXIT_USAGE;
    }
    weights_file *w;
    int code = args_open_weights(a, &w);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    compile_options o = args_compile_options(a, w);
    dumping d = {a->dump_after, c};
    if (a->dump_after) {
        o.after = dump_after;
        o.data = &d;
    }
    if (!compile_source(c, a->file, &o)) {
        code = EXIT_INPUT;
    } else if (a->dump) {
        dump_stage(a->dump, c, &o);
    } else if (!compile_passes(c, &o)) {
        code = EXIT_INPUT;
    }
    args_print_messages(c);
    compile_destroy(c);
    if (w) {
        weights_file_close(w);
    }
    return code;
}

int session_dump_only(const args *a)
{
    args without = *a;
    without.explain = false;
    return session_dump(&without);
}

int session_open(const args *a, session *s)
{
    *s = (session){0};
    int code = session_dump(a);
    if (code) {
        return code;
    }
    aigc_settings settings = {.defines = a->defines,
                              .n_defines = a->n_defines,
                              .weights = a->weights,
                              .model = a->model,
                              .cpu = a->cpu,
                              .opt_level = a->level,
                              .bf16 = args_bf16(a),
                              .quantize = a->quantize,
                              .no_cache = a->no_cache,
                              .profile = a->profile,
                              .interpret = a->interpret,
                              .stage = on_stage,
                              .stage_data = progress_start("opening")};
    aigc_error err = {{0}};
    char *messages;
    double start = session_clock();
    aigc_status status = aigc_program_create(a->file, &settings, &s->program, &messages, &err);
    progress_stop(settings.stage_data);
    if (messages) {
        fprintf(stderr, "%s", messages);
    }
    if (status != AIGC_OK) {
        if (!messages || !strstr(messages, err.text)) {
            fprintf(stderr, "%s\n", err.text);
        }
        free(messages);
        return EXIT_INPUT;
    }
    free(messages);
    s->m = aigc_program_model(s->program);
    if (a->verbose) {
        fprintf(stderr, "%s %s in %.0f ms for %s\n", a->interpret ? "read" : "compiled", s->m->name,
                1e3 * (session_clock() - start), s->m->target);
    }
    aigc_context_options options = {.n_threads = (uint32_t)a->threads, .seed = (uint64_t)a->seed};
    if (aigc_program_context(s->program, &options, &s->context, &err) != AIGC_OK) {
        fprintf(stderr, "%s\n", err.text);
        session_close(s);
        return EXIT_FAILED;
    }
    return 0;
}

void session_close(session *s)
{
    aigc_context_destroy(s->context);
    aigc_program_destroy(s->program);
    *s = (session){0};
}
