/* From a file of tensors to the parameters of a model. */
#ifndef AIGC_RUNTIME_IO_WEIGHTS_LOAD_H
#define AIGC_RUNTIME_IO_WEIGHTS_LOAD_H

#include "runtime/io/weights_file.h"

/* What was found wrong or left over: one line each. */
typedef struct weights_report {
    char *text; /* lines, or NULL; owned by the report */
    size_t size, room;
    uint32_t n_missing, n_mismatched, n_extra;
} weights_report;
void weights_report_free(weights_report *r);

/* The tensor for place `slot` of a parameter: under its name, its aliases, or its name without a
 * leading "model." or "transformer." (or with one). NULL when there is none. name: room for the
 * exact name. */
const weights_tensor *weights_match(const weights_file *f, const aigc_abi_param *p, uint32_t slot,
                                    char name[512]);

/* Compares all parameters with the file. Missing and mismatching tensors make it fail; the report
 * may be NULL. Extra tensors are counted and listed, and do no harm. */
AIGC_MUST_CHECK aigc_status weights_check(const aigc_abi_model *m, const weights_file *f,
                                          weights_report *r, aigc_error *err);

/* Loads all parameters: those kept in the file as the model wants them stay there, mapped; others
 * are converted or packed once. Takes the file over: it is closed with the weights. */
AIGC_MUST_CHECK aigc_status weights_load(const aigc_abi_model *m, weights_file *f,
                                         weights_report *r, aigc_weights **out, aigc_error *err);

#endif
