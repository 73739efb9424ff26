/* A command's model, compiled and ready to be called. */
#ifndef AIGC_CLI_SESSION_H
#define AIGC_CLI_SESSION_H

#include "cli/args.h"
#include "cli/libaigc.h"
#include "cli/progress.h"

typedef struct session {
    aigc_program *program;
    const aigc_abi_model *m;
    aigc_context *context;
} session;

/* 0, or an exit code after messages were printed. */
int session_open(const args *a, session *s);
void session_close(session *s);
/* NULL also for commands that write to the terminal meanwhile (--explain). */
progress *session_progress(const args *a, const char *what);
/* Seconds since some moment. */
double session_clock(void);

/* Prints what --dump and --dump-after ask for; 0 or an exit code. */
int session_dump(const args *a);
/* The same for commands that say --explain themselves. */
int session_dump_only(const args *a);

#endif
