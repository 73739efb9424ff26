/* Runs of halves and floats: every half, and floats around every place where rounding changes,
 * against conversions one by one. */
#include "runtime/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t kinds[2] = {AIGC_F16, AIGC_BF16};

static float one_to_float(uint8_t kind, uint16_t h)
{
    return kind == AIGC_F16 ? aigc_f16_to_float(h) : aigc_bf16_to_float(h);
}

static uint16_t one_from_float(uint8_t kind, float f)
{
    return kind == AIGC_F16 ? aigc_float_to_f16(f) : aigc_float_to_bf16(f);
}

static void test_to_float(void **state)
{
    (void)state;
    enum { ALL = 1 << 16 };
    uint16_t *h = malloc(ALL * sizeof *h);
    float *f = malloc(ALL * sizeof *f);
    for (int i = 0; i < ALL; i++) {
        h[i] = (uint16_t)i;
    }
    for (int k = 0; k < 2; k++) {
        aigc_convert_to_float(kinds[k], h, 0, ALL, f);
        for (int i = 0; i < ALL; i++) {
            float want = one_to_float(kinds[k], h[i]);
            if (memcmp(&want, &f[i], sizeof want) != 0) {
                fail_msg("%s %04x is %a, not %a", aigc_dtype_name(kinds[k]), (unsigned)i,
                         (double)f[i], (double)want);
            }
        }
    }
    free(h);
    free(f);
}

/* Of the bits that are rounded away: none, one, almost half, half, more, all. */
static void test_from_float(void **state)
{
    (void)state;
    static const uint32_t low[] = {0, 1, 0xffe, 0xfff, 0x1000, 0x1001, 0x1fff};
    enum { LOW = sizeof low / sizeof *low, UPPER = 1 << 19 };
    for (int l = 0; l < LOW; l++) {
        uint32_t *u = malloc(UPPER * sizeof *u);
        uint16_t *h = malloc(UPPER * sizeof *h);
        for (uint32_t i = 0; i < UPPER; i++) {
            u[i] = i << 13 | low[l];
        }
        for (int k = 0; k < 2; k++) {
            aigc_convert_from_float(kinds[k], h, 0, UPPER, (const float *)(const void *)u);
            for (uint32_t i = 0; i < UPPER; i++) {
                float f;
                memcpy(&f, &u[i], sizeof f);
                if (h[i] != one_from_float(kinds[k], f)) {
                    fail_msg("%a is %s %04x, not %04x", (double)f, aigc_dtype_name(kinds[k]), h[i],
                             one_from_float(kinds[k], f));
                }
            }
        }
        free(u);
        free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_float),
        cmocka_unit_test(test_from_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
