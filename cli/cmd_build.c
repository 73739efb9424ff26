/* aigc build: an object with its header, a shared library, a program, or text. */
#include "cli/session.h"
#include "ir/text.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

typedef enum emit_kind { OBJECT, SHARED, EXE, ASM, LLVM, IR, KINDS } emit_kind;
static const char *const kinds[KINDS] = {"object", "shared", "exe", "asm", "llvm", "ir"};

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* By --emit, else by the output's name. */
static emit_kind kind_of(const args *a)
{
    static const char *const ends[KINDS] = {".o", ".so", NULL, ".s", ".ll", ".air"};
    for (int i = 0; i < KINDS; i++) {
        if (a->emit ? strcmp(a->emit, kinds[i]) == 0
                    : a->output && ends[i] && ends_with(a->output, ends[i])) {
            return (emit_kind)i;
        }
    }
    return a->emit ? KINDS : OBJECT;
}

static int write_file(const char *path, const void *bytes, size_t size)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdout : fopen(path, "wb");
    bool written = f && fwrite(bytes, 1, size, f) == size;
    if (f && !standard) {
        written = fclose(f) == 0 && written;
    }
    if (!written) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    return 0;
}

/* Links with the system's C compiler: what the runtime's libraries are made for. */
static int link_with_cc(const args *a, const char *object, const char *symbol, bool program)
{
    char folder[3072], defsym[512];
    const char *lib = getenv("AIGC_LIB_DIR"), *cc = getenv("CC");
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[n > 0 ? n : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
    }
    if (lib) {
        snprintf(folder, sizeof folder, "%s", lib);
    }
    static const char *const names[] = {"libaigc_main.a", "libaigc_text.a", "libaigc_io.a",
                                        "libaigc_runtime.a"};
    static char paths[4][3200];
    for (int i = 0; i < 4; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    }
    snprintf(defsym, sizeof defsym, "-Wl,--defsym=aigc_main_model=%s_model", symbol);
    const char *exe[] = {cc ? cc : "cc", "-o",     a->output,   object,   defsym,
                         paths[0],       paths[1], paths[2],    paths[3], "-ljansson",
                         "-lpcre2-8",    "-lm",    "-lpthread", NULL};
    const char *shared[] = {cc ? cc : "cc", "-shared",   "-o",
                            a->output,      object,      "-Wl,--whole-archive",
                            paths[3],       paths[2],    "-Wl,--no-whole-archive",
                            "-ljansson",    "-lpcre2-8", "-lm",
                            "-lpthread",    NULL};
    pid_t pid;
    int status;
    const char **argv = program ? exe : shared;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)(uintptr_t)(const void *)argv,
                     environ) != 0 ||
        waitpid(pid, &status, 0) < 0) {
        fprintf(stderr, "cannot run %s, which links %s: %s\n", argv[0], a->output, strerror(errno));
        return EXIT_FAILED;
    }
    if (status != 0) {
        fprintf(stderr,
                "%s could not link %s; the runtime's libraries are looked for in %s (or "
                "$AIGC_LIB_DIR)\n",
                argv[0], a->output, folder);
        return EXIT_FAILED;
    }
    return 0;
}

static int write_object(const args *a, compiler *c, const void *object, size_t size)
{
    int code = write_file(a->output, object, size);
    if (code == 0 && strcmp(a->output, "-") != 0) {
        size_t n = strlen(a->output);
        char *path =
            arena_printf(c->a, "%.*s.h", (int)(ends_with(a->output, ".o") ? n - 2 : n), a->output);
        const char *text = compile_header(c);
        code = text ? write_file(path, text, strlen(text)) : EXIT_FAILED;
        if (a->verbose && code == 0) {
            fprintf(stderr, "%s: %zu bytes; %s\n", a->output, size, path);
        }
    }
    return code;
}

static int write_linked(const args *a, compiler *c, const void *object, size_t size, bool program)
{
    if (a->target) {
        fprintf(stderr,
                "--emit %s links for this machine only; build an object for %s and link it there\n",
                program ? "exe" : "shared", a->target);
        return EXIT_USAGE;
    }
    if (program && c->m->n_generates == 0) {
        fprintf(stderr, "--emit exe needs a model with a `generate` line; build an object and call "
                        "its entries from C\n");
        return EXIT_INPUT;
    }
    const char *tmp = getenv("TMPDIR");
    char *path = arena_printf(c->a, "%s/aigc-XXXXXX.o", tmp && *tmp ? tmp : "/tmp");
    int fd = mkstemps(path, 2);
    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    close(fd);
    int code = write_file(path, object, size);
    code = code ? code : link_with_cc(a, path, c->symbol, program);
    unlink(path);
    return code;
}

/* The text; NULL where c->d has errors. */
static const char *make_text(compiler *c, const compile_options *o, emit_kind kind)
{
    return kind != IR             ? compile_text(c, o, kinds[kind])
           : compile_passes(c, o) ? ir_print_module(c->m, c->a)
                                  : NULL;
}

/* The object or the text; NULL where c->d has errors. An object that was made before needs no
 * compiling, but a program what the source says of `generate`. */
static const void *make(const args *a, compiler *c, const compile_options *o, emit_kind kind,
                        size_t *size)
{
    bool object = kind == OBJECT || kind == SHARED || kind == EXE;
    const void *made = object ? compile_from_cache(c, a->file, o, size) : NULL;
    if (made && kind != EXE) {
        return made;
    }
    if (!compile_source(c, a->file, o)) {
        return NULL;
    }
    if (object) {
        return made ? made : compile_object(c, o, size);
    }
    const char *text = make_text(c, o, kind);
    *size = text ? strlen(text) : 0;
    return text;
}

static int build(const args *a, compiler *c, const compile_options *o, emit_kind kind)
{
    size_t size = 0;
    progress *shown = session_progress(a, "compiling");
    const void *made = make(a, c, o, kind, &size);
    progress_stop(shown);
    if (!made) {
        return EXIT_INPUT;
    }
    return kind == OBJECT                  ? write_object(a, c, made, size)
           : kind == SHARED || kind == EXE ? write_linked(a, c, made, size, kind == EXE)
                                           : write_file(a->output, made, size);
}

int cmd_build(const args *a)
{
    emit_kind kind = kind_of(a);
    if (kind == KINDS) {
        fprintf(stderr, "aigc build: --emit %s: it can be object, shared, exe, asm, llvm or ir\n",
                a->emit);
        return EXIT_USAGE;
    }
    args with = *a;
    with.output = a->output ? a->output : kind >= ASM ? "-" : NULL;
    if (!with.output) {
        fprintf(stderr, "aigc build: -o FILE is missing\ntry: aigc build --help\n");
        return EXIT_USAGE;
    }
    weights_file *w;
    int code = session_dump_only(a);
    code = code ? code : args_open_weights(a, &w);
    if (code) {
        return code;
    }
    compiler *c = compile_create();
    compile_options o = args_compile_options(a, w);
    code = build(&with, c, &o, kind);
    args_print_messages(c);
    compile_destroy(c);
    if (w) {
        weights_file_close(w);
    }
    return code;
}
