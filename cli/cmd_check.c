/* aigc check: types, sizes, and the weights tensor by tensor. */
#include "cli/session.h"

#include <stdio.h>

static int check_weights(compiler *c, const weights_file *w)
{
    if (!weights_report_all(c, w)) {
        return EXIT_INPUT;
    }
    printf("%u tensors, all parameters found%s\n", w->n_tensors,
           diag_warning_count(c->d) ? "; those left over are not used" : "");
    return EXIT_OK;
}

static void summary(const compiler *c)
{
    uint32_t entries = 0, objectives = 0;
    for (uint32_t i = 0; i < c->m->n_entries; i++) {
        *(c->m->entries[i].kind == IR_ENTRY ? &entries : &objectives) += 1;
    }
    printf("%s: %u entries, %u objectives, %u parameters (like ones counted once), %u states\n",
           c->m->name, entries, objectives, c->m->n_params, c->m->n_states);
}

int cmd_check(const args *a)
{
    weights_file *w;
    int code = session_dump_only(a);
    code = code ? code : args_open_weights(a, &w);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    compile_options o = args_compile_options(a, w);
    o.verify = true;
    code = compile_source(c, a->file, &o) ? EXIT_OK : EXIT_INPUT;
    if (code == EXIT_OK) {
        summary(c);
        code = w ? check_weights(c, w) : EXIT_OK;
    }
    if (code == EXIT_OK) {
        progress *shown = session_progress(a, "running the passes");
        code = compile_passes(c, &o) ? EXIT_OK : EXIT_INPUT;
        progress_stop(shown);
    }
    args_print_messages(c);
    compile_destroy(c);
    if (w) {
        weights_file_close(w);
    }
    return code;
}
