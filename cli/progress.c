#include "cli/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct progress {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *what;      /* under the lock, as what follows */
    struct timespec begun; /* the stage */
    bool stopped;
};

static void show(const char *what, long seconds)
{
    char line[160];
    int n = snprintf(line, sizeof line, "\r%.100s… %ld s\033[K", what, seconds);
    ssize_t written = write(2, line, (size_t)n);
    (void)written;
}

static void clear(void)
{
    ssize_t written = write(2, "\r\033[K", 4);
    (void)written;
}

static void *watch(void *data)
{
    progress *p = data;
    bool shown = false;
    pthread_mutex_lock(&p->lock);
    struct timespec begun = p->begun;
    long seconds = 0;
    while (!p->stopped) {
        struct timespec next = {begun.tv_sec + seconds + 1, begun.tv_nsec};
        bool late = pthread_cond_timedwait(&p->changed, &p->lock, &next) != 0;
        if (p->begun.tv_sec != begun.tv_sec || p->begun.tv_nsec != begun.tv_nsec) {
            begun = p->begun;
            seconds = 0;
            if (shown) {
                clear();
                shown = false;
            }
        } else if (late && !p->stopped) {
            show(p->what, ++seconds);
            shown = true;
        }
    }
    pthread_mutex_unlock(&p->lock);
    if (shown) {
        clear();
    }
    return NULL;
}

progress *progress_start(const char *what)
{
    const char *terminal = getenv("TERM");
    if (!isatty(2) || !terminal || strcmp(terminal, "dumb") == 0) {
        return NULL;
    }
    progress *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    pthread_condattr_t by;
    pthread_condattr_init(&by);
    pthread_condattr_setclock(&by, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, &by);
    pthread_condattr_destroy(&by);
    p->what = what;
    clock_gettime(CLOCK_MONOTONIC, &p->begun);
    if (pthread_create(&p->thread, NULL, watch, p) != 0) {
        free(p);
        return NULL;
    }
    return p;
}

void progress_stage(progress *p, const char *what)
{
    if (p) {
        pthread_mutex_lock(&p->lock);
        p->what = what;
        clock_gettime(CLOCK_MONOTONIC, &p->begun);
        pthread_cond_signal(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
}

void progress_stop(progress *p)
{
    if (p) {
        pthread_mutex_lock(&p->lock);
        p->stopped = true;
        pthread_cond_signal(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
        free(p);
    }
}
