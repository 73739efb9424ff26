/* Part of test_aarch64: calls the first entry of MODEL_model on made-up numbers, once with five
 * elements along every free axis and, where the entry has a `pos`, once more behind these. Prints
 * the results; the same program runs on every target. */
#include "runtime/aigc.h"

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

/* f32, as the kernels want it: rows, or panels of `panel` outputs padded with zeros. */
static float *parameter(const aigc_abi_param *p, uint32_t slot)
{
    int64_t n = aigc_tensor_bytes(AIGC_F32, p->rank, p->dims) / 4;
    must(p->storage == AIGC_F32 && n > 0, "only f32 parameters");
    if (p->layout == AIGC_LAYOUT_ROWS) {
        float *rows = calloc((size_t)n, sizeof *rows);
        must(rows != NULL, "memory");
        for (int64_t i = 0; i < n; i++) {
            rows[i] = number(slot, i);
        }
        return rows;
    }
    int64_t outs = p->dims[p->pack_transposed ? 1 : 0], ins = n / outs, panel = p->panel;
    float *packed = calloc((size_t)((outs + panel - 1) / panel * panel * ins), sizeof *packed);
    must(packed != NULL, "memory");
    must(p->layout == AIGC_LAYOUT_PANELS, "rows or panels");
    for (int64_t r = 0; r < outs; r++) {
        for (int64_t k = 0; k < ins; k++) {
            packed[r / panel * ins * panel + k * panel + r % panel] =
                number(slot, p->pack_transposed ? k * outs + r : r * ins + k);
        }
    }
    return packed;
}

static void call(aigc_context *c, const aigc_abi_entry *e, int64_t pos, int64_t size)
{
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
    must(aigc_call_sizes(c, 0, &pos, args, e->n_args, results, e->n_results, &arena) == AIGC_OK,
         aigc_error_message(c));
    must(aigc_reserve(c, arena) == AIGC_OK, aigc_error_message(c));
    for (uint32_t i = 0; i < e->n_results; i++) {
        results[i].data = malloc(
            (size_t)aigc_tensor_bytes(results[i].dtype, results[i].rank, results[i].dims) + 1);
        must(results[i].data != NULL && results[i].dtype == AIGC_F32, "results are f32");
    }
    must(aigc_call(c, 0, &pos, args, e->n_args, results, e->n_results) == AIGC_OK,
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
    call(c, m->entries, 0, 5);
    if (m->entries->n_dim_args) {
        call(c, m->entries, 5, 1);
    }
    aigc_context_destroy(c);
    aigc_weights_destroy(w);
    for (uint32_t i = 0; i < m->n_slots; i++) {
        free((void *)(uintptr_t)slots[i]);
    }
    free(slots);
    return 0;
}
