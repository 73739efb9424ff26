/* A line on the terminal while something takes long: "loading weights… 2 s". It shows after a
 * second, is written over itself, and is gone when the work is done. Nothing is written where
 * stderr is no terminal. */
#ifndef AIGC_CLI_PROGRESS_H
#define AIGC_CLI_PROGRESS_H

typedef struct progress progress;

/* NULL where there is nobody to show it to; the others take that. what must live until the next
 * stage. Until progress_stop nothing else may be written to the terminal. */
progress *progress_start(const char *what);
void progress_stage(progress *p, const char *what); /* seconds begin anew */
void progress_stop(progress *p);                    /* the line is gone when this returns */

#endif
