/* Statuses and the words that go with them. The runtime never prints and never exits. */
#ifndef AIGC_RUNTIME_STATUS_H
#define AIGC_RUNTIME_STATUS_H

typedef enum aigc_status {
    AIGC_OK,
    AIGC_ERR_MEMORY,      /* out of memory */
    AIGC_ERR_IO,          /* a file could not be read or written */
    AIGC_ERR_FORMAT,      /* a file is not what it should be */
    AIGC_ERR_ARGUMENT,    /* the caller passed something that cannot be */
    AIGC_ERR_SHAPE,       /* sizes do not fit */
    AIGC_ERR_MISSING,     /* a tensor, key or name is not there */
    AIGC_ERR_UNSUPPORTED, /* well formed, but not known here */
    AIGC_ERR_BOUND,       /* a condition of the model does not hold */
    AIGC_ERR_CPU,         /* the machine lacks what the code needs */
    AIGC_ERR_CANCELLED
} aigc_status;

typedef struct aigc_error {
    char text[512];
} aigc_error;

#define AIGC_MUST_CHECK __attribute__((warn_unused_result))

/* Sets the words (err may be NULL) and returns the status. */
aigc_status aigc_fail(aigc_error *err, aigc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
