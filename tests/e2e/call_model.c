/* Part of test_aarch64: calls all entries of MODEL_model on made-up numbers, with as many elements
 * along every free axis as the arguments after the number of threads say, one call after the other;
 * where an entry has a `pos`, each behind the one before. Prints the results; the same program runs
 * on every target. */
#include "runtime/pack.h"

#include <stdio.h>
#include <stdlib.h>

#define JOIN(a, b)     a##b
#define MODEL_OF(name) JOIN(name, _model)
extern const aigc_abi_model MODEL_OF(MODEL);

static void must(int ok, const char *words)
{
    if (!ok) {
        fprintf(stderr, "%s\n", words);
        exit(1);
    }
}

/* Within +-0.5, and of the place alone. */
static float number(uint32_t slot, int64_t i)
{
    uint32_t x = slot * 0x9E3779B9u + (uint32_t)i * 0x85EBCA6Bu + 1;
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return (float)((x ^ x >> 16) >> 8) / 16777216.0f - 0.5f;
}

/* Made of row-major f32s, as the kernels want it. */
static void *parameter(const aigc_abi_param *p, uint32_t slot)
{
    int64_t n = aigc_tensor_bytes(AIGC_F32, p->rank, p->dims) / 4, bytes = aigc_param_bytes(p);
    must(n > 0 && bytes > 0, "parameters have elements");
    float *rows = calloc((size_t)n, sizeof *rows);
    void *packed = aligned_alloc(64, (size_t)(bytes + 63) / 64 * 64);
    must(rows != NULL && packed != NULL, "memory");
    for (int64_t i = 0; i < n; i++) {
        rows[i] = number(slot, i);
    }
    aigc_pack_rows(p, AIGC_F32, rows, 0, aigc_pack_cut_of(p).rows, packed);
    free(rows);
    return packed;
}

static void call(aigc_context *c, uint32_t entry, int64_t pos, int64_t size)
{
    const aigc_abi_entry *e = &aigc_context_model(c)->entries[entry];
    aigc_tensor args[8] = {0}, results[8] = {0};
    must(e->n_args <= 8 && e->n_results <= 8 && e->n_dim_args <= 1, "too many arguments");
    for (uint32_t i = 0; i < e->n_args; i++) {
        args[i].dtype = e->args[i].dtype;
        args[i].rank = e->args[i].rank;
        int64_t n = 1;
        for (uint32_t k = 0; k < args[i].rank; k++) {
            args[i].dims[k] = e->args[i].fixed_dims[k] < 0 ? size : e->args[i].fixed_dims[k];
            n *= args[i].dims[k];
        }
        args[i].data = calloc((size_t)n, 8);
        must(args[i].data != NULL, "memory");
        for (int64_t k = 0; k < n; k++) {
            if (args[i].dtype == AIGC_F32) {
                ((float *)args[i].data)[k] = number(1000 + i, k);
            } else {
                ((int32_t *)args[i].data)[k] = (int32_t)((pos + k) * 7 % 31);
            }
        }
    }
    int64_t arena;
    must(aigc_call_sizes(c, entry, &pos, args, e->n_args, results, e->n_results, &arena) == AIGC_OK,
         aigc_error_message(c));
    must(aigc_reserve(c, arena) == AIGC_OK, aigc_error_message(c));
    for (uint32_t i = 0; i < e->n_results; i++) {
        results[i].data = malloc(
            (size_t)aigc_tensor_bytes(results[i].dtype, results[i].rank, results[i].dims) + 1);
        must(results[i].data != NULL && results[i].dtype == AIGC_F32, "results are f32");
    }
    must(aigc_call(c, entry, &pos, args, e->n_args, results, e->n_results) == AIGC_OK,
         aigc_error_message(c));
    for (uint32_t i = 0; i < e->n_results; i++) {
        int64_t n = aigc_tensor_bytes(AIGC_F32, results[i].rank, results[i].dims) / 4;
        for (int64_t k = 0; k < n; k++) {
            printf("%.9g\n", (double)((float *)results[i].data)[k]);
        }
        free(results[i].data);
    }
    for (uint32_t i = 0; i < e->n_args; i++) {
        free(args[i].data);
    }
}

int main(int argc, char **argv)
{
    const aigc_abi_model *m = &MODEL_OF(MODEL);
    const void **slots = calloc(m->n_slots + 1, sizeof *slots);
    must(slots != NULL, "memory");
    for (uint32_t i = 0; i < m->n_params; i++) {
        for (uint32_t s = 0; s < m->params[i].slots; s++) {
            slots[m->params[i].first_slot + s] =
                parameter(&m->params[i], m->params[i].first_slot + s);
        }
    }
    aigc_weights *w;
    aigc_context *c;
    aigc_error err = {{0}};
    aigc_context_options o = {.n_threads = argc > 1 ? (uint32_t)atoi(argv[1]) : 1,
                              .all_threads = true};
    must(aigc_weights_from_slots(m, slots, &w) == AIGC_OK &&
             aigc_context_create(m, w, &o, &c, &err) == AIGC_OK,
         err.text);
    for (uint32_t e = 0; e < m->n_entries; e++) {
        int64_t pos = 0;
        for (int i = 2; i < argc; i++) {
            call(c, e, m->entries[e].n_dim_args ? pos : 0, atoi(argv[i]));
            pos += atoi(argv[i]);
        }
    }
    aigc_context_destroy(c);
    aigc_weights_destroy(w);
    for (uint32_t i = 0; i < m->n_slots; i++) {
        free((void *)(uintptr_t)slots[i]);
    }
    free(slots);
    return 0;
}
