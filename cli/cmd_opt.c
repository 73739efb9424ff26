/* aigc opt: passes over a model, the IR to stdout. */
#include "cli/session.h"
#include "ir/text.h"

#include <stdio.h>

int cmd_opt(const args *a)
{
    weights_file *w;
    int code = session_dump_only(a);
    code = code ? code : args_open_weights(a, &w);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    compile_options o = args_compile_options(a, w);
    progress *shown = session_progress(a, "compiling");
    bool ok = compile_target(c, &o);
    pass_options po = {.level = a->level,
                       .panel = ok ? c->t->panel : 0,
                       .channels = ok ? c->t->channels : 0,
                       .bf16 = o.bf16,
                       .quantize = o.quantize,
                       .bf16_dots = ok && target_bf16_dots(c->t),
                       .verify = true,
                       .explain = a->explain ? stderr : NULL};
    ok = ok && compile_source(c, a->file, &o) &&
         (a->passes ? pass_run_named(c->m, c->d, a->passes, &po) : pass_run_all(c->m, c->d, &po));
    progress_stop(shown);
    if (ok && diag_error_count(c->d) == 0) {
        printf("%s", ir_print_module(c->m, c->a));
    } else {
        code = EXIT_INPUT;
    }
    args_print_messages(c);
    compile_destroy(c);
    if (w) {
        weights_file_close(w);
    }
    return code;
}
