/* tinygpt-shakespeare (shared/models): a model of separate heads and no cache, whose text slides.
 */
#include "e2e/e2e.h"

static void test_tinygpt(void **state)
{
    (void)state;
    char weights[1024], logits[1024], texts[1024];
    e2e_model("tinygpt-shakespeare/model.safetensors", weights);
    e2e_model("tinygpt-shakespeare/reference.safetensors", logits);
    json_t *j = e2e_json(e2e_model("tinygpt-shakespeare/reference.json", texts));
    for (uint32_t threads = 1; threads <= 2; threads++) {
        e2e r = e2e_open(AIGC_SOURCE_DIR "/examples/tinygpt/tinygpt.aigc", weights, 2, threads);
        e2e_compare(&r, "forward", logits, "prompt_ids", logits, "logits", 1e-4);
        e2e_greedy(&r, json_object_get(j, "prompt_ids"), json_object_get(j, "greedy_ids"),
                   SIZE_MAX);
        e2e_close(&r);
    }
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tinygpt)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
