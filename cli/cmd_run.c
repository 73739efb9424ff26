/* aigc run: one entry, tensors from and to files. */
#include "cli/profile.h"
#include "cli/session.h"
#include "runtime/convert.h"
#include "runtime/io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

typedef struct running {
    const args *a;
    session s;
    const aigc_abi_entry *e;
    uint32_t number;
    int64_t dims[MOST];
    aigc_tensor in[MOST], out[MOST];
} running;

/* The value of NAME=value in a list, or NULL. */
static const char *value_of(const char *const *list, uint32_t n, const char *name)
{
    size_t length = strlen(name);
    for (uint32_t i = 0; i < n; i++) {
        if (strncmp(list[i], name, length) == 0 && list[i][length] == '=') {
            return list[i] + length + 1;
        }
    }
    return NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* "x.npy", "file.safetensors:name", or numbers, along the last axis: "3" or "1,2,3". */
static aigc_status read_tensor(const char *from, const aigc_abi_tensor *want, aigc_tensor *out,
                               aigc_error *err)
{
    const char *colon = strstr(from, ".safetensors:");
    if (ends_with(from, ".npy")) {
        return npy_read(from, out, err);
    }
    if (colon) {
        char path[4096];
        snprintf(path, sizeof path, "%.*s", (int)(colon + 12 - from), from);
        weights_file *f;
        aigc_status s = weights_file_open(path, &f, err);
        if (s != AIGC_OK) {
            return s;
        }
        const weights_tensor *t = weights_file_find(f, colon + 13);
        if (t && t->dtype != AIGC_DTYPE_NONE) {
            *out = (aigc_tensor){
                .dtype = t->dtype, .rank = t->rank, .data = malloc((size_t)t->size_bytes + 1)};
            memcpy(out->dims, t->dims, sizeof out->dims);
            memcpy(out->data, t->data, (size_t)t->size_bytes);
        } else {
            s = aigc_fail(err, AIGC_ERR_MISSING, "%s has no tensor %s", path, colon + 13);
        }
        weights_file_close(f);
        return s;
    }
    double values[1024];
    uint32_t n = 0;
    for (const char *p = from; n < 1024;) {
        char *end;
        values[n++] = strtod(p, &end);
        if (end == p || (*end && *end != ',')) {
            return aigc_fail(
                err, AIGC_ERR_ARGUMENT,
                "--input %s=%s: expected a .npy file, FILE.safetensors:TENSOR or numbers",
                want->name, from);
        }
        if (!*end) {
            break;
        }
        p = end + 1;
    }
    *out = (aigc_tensor){.dtype = AIGC_F64, .rank = want->rank, .data = malloc(n * sizeof(double))};
    for (uint32_t i = 0; i < want->rank; i++) {
        out->dims[i] = i + 1 == want->rank ? n : 1;
    }
    memcpy(out->data, values, n * sizeof(double));
    return AIGC_OK;
}

/* Numbers of another type become the argument's. */
static aigc_status convert_to(aigc_tensor *t, uint8_t dtype, aigc_error *err)
{
    if (t->dtype == dtype) {
        return AIGC_OK;
    }
    int64_t bytes = aigc_tensor_bytes(dtype, t->rank, t->dims),
            n = bytes / (int64_t)aigc_dtype_bytes(dtype);
    void *to = malloc((size_t)bytes + 1);
    if (!to || !aigc_convert(t->data, t->dtype, to, dtype, n)) {
        free(to);
        return aigc_fail(err, AIGC_ERR_UNSUPPORTED, "%s cannot become %s",
                         aigc_dtype_name(t->dtype), aigc_dtype_name(dtype));
    }
    free(t->data);
    t->data = to;
    t->dtype = dtype;
    return AIGC_OK;
}

/* Every NAME= of the list is an argument's or a result's. */
static bool names_are_known(const running *r, bool results, aigc_error *err)
{
    const char *const *list = results ? r->a->outputs : r->a->inputs;
    uint32_t n = results ? r->a->n_outputs : r->a->n_inputs,
             n_tensors = results ? r->e->n_results : r->e->n_args;
    uint32_t n_dims = results ? 0 : r->e->n_dim_args;
    const aigc_abi_tensor *tensors = results ? r->e->results : r->e->args;
    for (uint32_t i = 0; i < n; i++) {
        bool known = results && !strchr(list[i], '=');
        for (uint32_t k = 0; k < n_tensors + n_dims && !known; k++) {
            known =
                value_of(&list[i], 1,
                         k < n_tensors ? tensors[k].name : r->e->dim_names[k - n_tensors]) != NULL;
        }
        if (!known) {
            char names[160] = "";
            for (uint32_t k = 0; k < n_tensors + n_dims; k++) {
                size_t used = strlen(names);
                snprintf(names + used, sizeof names - used, " %s",
                         k < n_tensors ? tensors[k].name : r->e->dim_names[k - n_tensors]);
            }
            aigc_fail(err, AIGC_ERR_ARGUMENT, "--%s %.100s: %s has no such %s; it has:%s",
                      results ? "output" : "input", list[i], r->e->name,
                      results ? "result" : "argument", names);
            return false;
        }
    }
    return true;
}

static int read_dims(running *r, aigc_error *err)
{
    for (uint32_t i = 0; i < r->e->n_dim_args; i++) {
        const char *name = r->e->dim_names[i], *v = value_of(r->a->inputs, r->a->n_inputs, name);
        char *end = NULL;
        r->dims[i] = v ? strtoll(v, &end, 10) : 0;
        if (!v || end == v || *end) {
            aigc_fail(err, AIGC_ERR_ARGUMENT, "%s needs --input %s=NUMBER%s%s", r->e->name, name,
                      v ? ", found " : "", v ? v : "");
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int read_arguments(running *r, aigc_error *err)
{
    if (!names_are_known(r, false, err) || !names_are_known(r, true, err) ||
        read_dims(r, err) != 0) {
        return EXIT_USAGE;
    }
    for (uint32_t i = 0; i < r->e->n_args; i++) {
        const aigc_abi_tensor *t = &r->e->args[i];
        const char *from = value_of(r->a->inputs, r->a->n_inputs, t->name);
        if (!from) {
            aigc_fail(err, AIGC_ERR_MISSING, "%s needs --input %s=FILE (%s)", r->e->name, t->name,
                      t->type);
            return EXIT_USAGE;
        }
        if (read_tensor(from, t, &r->in[i], err) != AIGC_OK ||
            convert_to(&r->in[i], t->dtype, err) != AIGC_OK) {
            return EXIT_INPUT;
        }
    }
    return 0;
}

static void print_tensor(const aigc_abi_tensor *what, const aigc_tensor *t)
{
    int64_t bytes = aigc_tensor_bytes(t->dtype, t->rank, t->dims),
            n = bytes / (int64_t)aigc_dtype_bytes(t->dtype);
    printf("%s: %s[", what->name, aigc_dtype_name(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++) {
        printf("%s%" PRId64, i ? ", " : "", t->dims[i]);
    }
    printf("] ");
    for (int64_t i = 0; i < n && i < 16; i++) {
        double v;
        aigc_convert((const char *)t->data + (size_t)i * aigc_dtype_bytes(t->dtype), t->dtype, &v,
                     AIGC_F64, 1);
        printf(" %g", v);
    }
    printf("%s\n", n > 16 ? " ..." : "");
}

static int write_results(running *r, aigc_error *err)
{
    const char *names[MOST], *together = NULL;
    aigc_tensor tensors[MOST];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->e->n_results; i++) {
        const char *name = r->e->results[i].name;
        const char *to = value_of(r->a->outputs, r->a->n_outputs, name);
        if (!to && r->a->n_outputs == 1 && !strchr(r->a->outputs[0], '=')) {
            to = r->a->outputs[0];
        }
        if (!to) {
            print_tensor(&r->e->results[i], &r->out[i]);
        } else if (ends_with(to, ".safetensors")) {
            together = to;
            names[n] = name;
            tensors[n++] = r->out[i];
        } else if (npy_write(to, &r->out[i], err) != AIGC_OK) {
            return EXIT_FAILED;
        }
    }
    return together && safetensors_write(together, n, names, tensors, err) != AIGC_OK ? EXIT_FAILED
                                                                                      : 0;
}

/* The entry's dims, those of its arguments' shapes too. The call has been made: they hold. */
static void all_dims(const running *r, int64_t dims[4 * MOST])
{
    int64_t sizes[MOST * AIGC_MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->e->n_args; i++) {
        for (uint32_t k = 0; k < r->in[i].rank; k++) {
            sizes[n++] = r->in[i].dims[k];
        }
    }
    memcpy(dims, r->dims, r->e->n_dim_args * sizeof *dims);
    r->e->bind(sizes, dims);
}

int cmd_run(const args *a)
{
    static running r;
    r = (running){.a = a};
    int code = session_open(a, &r.s);
    if (code) {
        return code;
    }
    if (!a->weights && r.s.m->n_params) {
        fprintf(stderr, "no --weights: the parameters are random numbers\n");
    }
    aigc_error err = {{0}};
    int32_t number = a->entry ? aigc_entry_find(r.s.m, a->entry) : 0;
    if (number < 0 || (uint32_t)number >= r.s.m->n_entries) {
        fprintf(stderr, "%s has no entry %s; it has:", a->file, a->entry ? a->entry : "at all");
        for (uint32_t i = 0; i < r.s.m->n_entries; i++) {
            fprintf(stderr, " %s", r.s.m->entries[i].name);
        }
        fprintf(stderr, "\n");
        session_close(&r.s);
        return EXIT_USAGE;
    }
    r.number = (uint32_t)number;
    r.e = &r.s.m->entries[number];
    code = read_arguments(&r, &err);
    profile *p = a->profile ? profile_begin(r.s.context, r.e) : NULL;
    progress *shown = progress_start("running");
    for (int64_t i = 0; i < a->repeat && code == 0; i++) {
        if (aigc_program_call(r.s.program, r.s.context, r.e->name, r.dims, r.in, r.e->n_args, r.out,
                              r.e->n_results, &err) != AIGC_OK) {
            code = EXIT_FAILED;
        }
        if (p && i == 0 && a->repeat > 1) {
            profile_forget(p);
        }
    }
    progress_stop(shown);
    code = code ? code : write_results(&r, &err);
    if (p && code == 0) {
        int64_t dims[4 * MOST];
        all_dims(&r, dims);
        profile_print(p, r.s.program, r.number, dims,
                      a->threads ? (uint32_t)a->threads : aigc_default_threads());
    }
    if (code) {
        fprintf(stderr, "%s\n", err.text);
    }
    for (uint32_t i = 0; i < r.e->n_args; i++) {
        free(r.in[i].data);
    }
    for (uint32_t i = 0; i < r.e->n_results; i++) {
        free(r.out[i].data);
    }
    profile_end(p);
    session_close(&r.s);
    return code;
}
