/* Files with seeded mistakes (tests/golden/mistakes): `aigc check` tells each once, at its line,
 * with its cause.
 *
 *     x @ w              # error: words         an error at this line whose message holds these
 * words # error at 7: words                       the same for a line that can carry no comment #
 * error nowhere: words                    of no place in the file: of the command line, of the
 * weights # warning ...: words                      likewise; a file with warnings alone passes the
 * check # note: words   # help: words             words of a note or of the help, anywhere in the
 * output # define: name=value   # model: name      options of the command # weights: a.w f32[2, 3];
 * b i32[4]        tensors of the file given with --weights; its values are zeros
 *
 * What is marked is all there is: no error without a mark, none twice, and in the order of the
 * file. */
#include "runtime/io/weights_file.h"

#include <ctype.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER AIGC_SOURCE_DIR "/tests/golden/mistakes"

enum { MOST_MARKS = 32, MOST_TENSORS = 16, LONGEST = 512 };

typedef struct mark {
    char severity[16], file[64], words[LONGEST];
    unsigned line; /* 0: nowhere */
} mark;

typedef struct expectation {
    mark marks[MOST_MARKS]; /* errors and warnings */
    unsigned n;
    mark details[MOST_MARKS]; /* notes and helps */
    unsigned n_details;
    char options[LONGEST], weights[LONGEST];
} expectation;

static void trimmed(char *out, const char *text)
{
    size_t n = strcspn(text, "\n");
    while (n && isspace((unsigned char)text[n - 1])) {
        n--;
    }
    snprintf(out, LONGEST, "%.*s", (int)n, text);
}

static void add_option(expectation *x, const char *format, const char *words)
{
    size_t at = strlen(x->options), room = sizeof x->options - at;
    int n = snprintf(x->options + at, room, format, words);
    assert_true(n > 0 && (size_t)n < room);
}

/* "error", "error at 7", "error nowhere": false when the comment is about something else. */
static bool add_mark(expectation *x, const char *comment, const char *file, unsigned line)
{
    mark m = {.line = line};
    char word[32] = "";
    const char *colon = strstr(comment, ": ");
    if (!colon || sscanf(comment, "%15[a-z]", m.severity) != 1) {
        return false;
    }
    bool major = strcmp(m.severity, "error") == 0 || strcmp(m.severity, "warning") == 0;
    bool minor = strcmp(m.severity, "note") == 0 || strcmp(m.severity, "help") == 0;
    size_t used = strlen(m.severity);
    if (!major && !minor) {
        return false;
    }
    if (major && sscanf(comment + used, " at %u", &m.line) != 1 &&
        sscanf(comment + used, " %31[a-z]", word) == 1) {
        m.line = 0;
    }
    snprintf(m.file, sizeof m.file, "%s", file);
    trimmed(m.words, colon + 2);
    if (major) {
        assert_true(x->n < MOST_MARKS);
        x->marks[x->n++] = m;
    } else {
        assert_true(x->n_details < MOST_MARKS);
        x->details[x->n_details++] = m;
    }
    return true;
}

static void read_marks(expectation *x, const char *path)
{
    FILE *f = fopen(path, "r");
    char text[2 * LONGEST], words[LONGEST];
    const char *slash = strrchr(path, '/');
    assert_non_null(f);
    for (unsigned line = 1; fgets(text, sizeof text, f); line++) {
        const char *comment = strstr(text, "# ");
        if (!comment || add_mark(x, comment + 2, slash + 1, line)) {
            continue;
        }
        comment += 2;
        const char *colon = strchr(comment, ':');
        trimmed(words, colon ? colon + 1 + strspn(colon + 1, " ") : "");
        if (strncmp(comment, "define: ", 8) == 0) {
            add_option(x, " -D '%s'", words);
        } else if (strncmp(comment, "model: ", 7) == 0) {
            add_option(x, " --model '%s'", words);
        } else if (strncmp(comment, "weights: ", 9) == 0) {
            snprintf(x->weights, sizeof x->weights, "%s", words);
        }
    }
    fclose(f);
}

/* Writes the tensors of a "# weights:" line. */
static void write_weights(const char *list, const char *path)
{
    char names[MOST_TENSORS][64];
    const char *pointers[MOST_TENSORS];
    aigc_tensor tensors[MOST_TENSORS] = {0};
    static float zeros[1 << 16];
    unsigned n = 0;
    for (const char *p = list; *p && n < MOST_TENSORS; n++) {
        char type[8];
        int used = 0;
        assert_int_equal(sscanf(p, " %63s %7[a-z0-9]%n", names[n], type, &used), 2);
        p += used;
        tensors[n] =
            (aigc_tensor){.data = zeros, .dtype = strcmp(type, "i32") == 0 ? AIGC_I32 : AIGC_F32};
        for (p += *p == '['; *p && *p != ']' && *p != ';'; p += *p == ',') {
            char *end;
            tensors[n].dims[tensors[n].rank++] = strtoll(p, &end, 10);
            assert_true(end != p);
            p = end;
        }
        p += *p == ']';
        p += *p == ';';
        pointers[n] = names[n];
    }
    aigc_error err;
    assert_int_equal(safetensors_write(path, n, pointers, tensors, &err), AIGC_OK);
}

/* What the command prints, and how it ends. */
static char *run_check(const char *path, const expectation *x, int *status)
{
    char command[4 * LONGEST], weights[] = "/tmp/aigc_mistake_XXXXXX", option[128] = "";
    if (*x->weights) {
        int fd = mkstemp(weights);
        assert_true(fd >= 0);
        close(fd);
        char named[64];
        snprintf(named, sizeof named, "%s.safetensors", weights);
        unlink(weights);
        write_weights(x->weights, named);
        snprintf(option, sizeof option, " --weights %s", named);
    }
    snprintf(command, sizeof command, "%s check '%s'%s%s 2>&1", AIGC_COMMAND, path, x->options,
             option);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    assert_non_null(text);
    for (size_t got;
         (got = fread(text + size, 1, room - size - 1, f)) > 0 && size + got < room - 1;) {
        size += got;
    }
    text[size] = 0;
    *status = pclose(f);
    if (*option) {
        unlink(option + strlen(" --weights "));
    }
    return text;
}

/* The errors and warnings of the output, in order: "path:line:column: error: text" or "aigc: error:
 * text". */
static unsigned read_output(const char *text, mark *out)
{
    unsigned n = 0;
    for (const char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char one[LONGEST];
        trimmed(one, line);
        mark m = {0};
        char *at = strstr(one, " error: "), *warning = strstr(one, " warning: ");
        if (!at || (warning && warning < at)) {
            at = warning;
        }
        if (!at || at == one || at[-1] != ':' || strchr(one, '|') || n == MOST_MARKS) {
            continue;
        }
        sscanf(at, " %15[a-z]", m.severity);
        snprintf(m.words, sizeof m.words, "%s", strchr(at + 1, ':') + 2);
        *at = 0;
        const char *slash = strrchr(one, '/');
        const char *name = slash ? slash + 1 : one;
        if (sscanf(name, "%63[^:]:%u", m.file, &m.line) != 2) {
            m.line = 0;
        }
        out[n++] = m;
    }
    return n;
}

/* The words stand in a line that begins as a note, a help. */
static bool has_detail(const char *text, const mark *m)
{
    char begin[32];
    snprintf(begin, sizeof begin, "%s: ", m->severity);
    for (const char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char one[LONGEST];
        trimmed(one, line);
        if (strstr(one, begin) && strstr(one, m->words)) {
            return true;
        }
    }
    return false;
}

/* NULL, or what is wrong with the output. */
static const char *compare(const expectation *x, const char *text, int status)
{
    static char why[2 * LONGEST];
    mark found[MOST_MARKS];
    unsigned n = read_output(text, found), errors = 0;
    for (unsigned i = 0; i < x->n; i++) {
        const mark *m = &x->marks[i];
        errors += strcmp(m->severity, "error") == 0;
        if (i >= n || strcmp(m->severity, found[i].severity) != 0 || m->line != found[i].line ||
            (m->line && strcmp(m->file, found[i].file) != 0) || !strstr(found[i].words, m->words)) {
            snprintf(why, sizeof why, "no %s at line %u of %s: %s", m->severity, m->line, m->file,
                     m->words);
            return why;
        }
    }
    if (n != x->n) {
        snprintf(why, sizeof why, "%u messages, %u were expected", n, x->n);
        return why;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != (errors ? 1 : 0)) {
        snprintf(why, sizeof why, "it ends with %s %d", WIFEXITED(status) ? "code" : "status",
                 WIFEXITED(status) ? WEXITSTATUS(status) : status);
        return why;
    }
    for (unsigned i = 0; i < x->n_details; i++) {
        if (!has_detail(text, &x->details[i])) {
            snprintf(why, sizeof why, "no %s: %s", x->details[i].severity, x->details[i].words);
            return why;
        }
    }
    return NULL;
}

/* $AIGC_MISTAKE names one file to look at: its output is printed. */
static unsigned check_files(const char *pattern, unsigned *n_files)
{
    glob_t files, parts;
    unsigned failed = 0;
    const char *only = getenv("AIGC_MISTAKE");
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    assert_int_equal(glob(FOLDER "/parts/*.aigc", 0, NULL, &parts), 0);
    *n_files = (unsigned)files.gl_pathc;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *path = files.gl_pathv[i];
        if (only && !strstr(path, only)) {
            continue;
        }
        expectation *x = calloc(1, sizeof *x);
        assert_non_null(x);
        read_marks(x, path);
        for (size_t k = 0; !x->n && k < parts.gl_pathc;
             k++) { /* the mistake is in a file it imports */
            read_marks(x, parts.gl_pathv[k]);
            if (x->n &&
                !strstr(path, strncmp(x->marks[0].file, "cycle", 5) == 0 ? "cycle" : "broken")) {
                x->n = 0;
            }
        }
        int status;
        char *text = run_check(path, x, &status);
        const char *why = x->n ? compare(x, text, status) : "the file has no mark";
        if (why) {
            print_message("%s\n  %s\nit gives:\n%s\n", path, why, text);
            failed++;
        } else if (only) {
            print_message("%s\n", text);
        }
        free(text);
        free(x);
    }
    globfree(&files);
    globfree(&parts);
    return failed;
}

static void test_one_mistake(void **state)
{
    (void)state;
    unsigned n, failed = check_files(FOLDER "/[!0-9]*.aigc", &n);
    print_message("%u of %u files\n", n - failed, n);
    assert_int_equal(failed, 0);
    assert_true(n >= 60);
}

/* Mistakes that do not depend on each other: all of them in one run, in the order of the file. */
static void test_several_mistakes(void **state)
{
    (void)state;
    unsigned n, failed = check_files(FOLDER "/several/*.aigc", &n);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_mistake),
        cmocka_unit_test(test_several_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
