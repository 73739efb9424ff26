/* The line that shows while something takes long: on a terminal only, after a second, gone in the
 * end. */
#define _GNU_SOURCE
#include "cli/progress.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void rest(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* stderr becomes `file`; what it was. */
static int redirect(int file)
{
    fflush(stderr);
    int kept = dup(2);
    assert_true(kept >= 0 && dup2(file, 2) == 2);
    return kept;
}

static void restore(int kept)
{
    dup2(kept, 2);
    close(kept);
}

/* A terminal: its two ends. Skipped where there is none to be had. */
static int open_terminal(int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 ||
        (*slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0) {
        print_message("skipped: no terminal\n");
        skip();
    }
    return master;
}

static size_t read_all(int master, char *text, size_t size)
{
    fcntl(master, F_SETFL, O_NONBLOCK);
    ssize_t n = read(master, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* All that was written to a terminal that nobody has open any more: what is on its way comes, too. */
static void read_to_end(int master, char *text, size_t size)
{
    size_t n = 0;
    ssize_t more = 0;
    fcntl(master, F_SETFL, 0);
    do {
        n += (size_t)more;
        more = read(master, text + n, size - 1 - n);
    } while (more > 0);
    text[n] = 0;
}

static void test_terminal(void **state)
{
    (void)state;
    int slave = -1, master = open_terminal(&slave), kept = redirect(slave);
    setenv("TERM", "xterm", 1);
    char early[256], text[256];
    progress *p = progress_start("reading");
    progress_stage(p, "loading weights");
    rest(300);
    size_t n = read_all(master, early, sizeof early);
    rest(2300);
    progress_stop(p);
    restore(kept);
    assert_non_null(p);
    assert_int_equal(n, 0);
    close(slave);
    read_to_end(master, text, sizeof text);
    const char *one = strstr(text, "\rloading weights… 1 s\033[K"),
               *two = strstr(text, "\rloading weights… 2 s\033[K");
    assert_true(one && two && one < two);
    assert_null(strstr(text, "reading"));
    assert_string_equal(text + strlen(text) - 4, "\r\033[K");
    close(master);
}

/* What is quick shows nothing. */
static void test_quick(void **state)
{
    (void)state;
    int slave = -1, master = open_terminal(&slave), kept = redirect(slave);
    setenv("TERM", "xterm", 1);
    char text[256];
    for (int i = 0; i < 100; i++) {
        progress *p = progress_start("compiling");
        progress_stage(p, "loading weights");
        progress_stop(p);
    }
    setenv("TERM", "dumb", 1);
    assert_null(progress_start("compiling"));
    restore(kept);
    close(slave);
    read_to_end(master, text, sizeof text);
    assert_string_equal(text, "");
    close(master);
}

static void test_no_terminal(void **state)
{
    (void)state;
    int null = open("/dev/null", O_WRONLY), kept = redirect(null);
    progress *p = progress_start("compiling");
    progress_stage(p, "loading weights");
    progress_stop(p);
    restore(kept);
    close(null);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_terminal),
                                       cmocka_unit_test(test_quick),
                                       cmocka_unit_test(test_no_terminal)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
