/* The examples elaborate; layer loops stay one loop; mistakes give one error at the right line. */
#include "frontend/frontend.h"
#include "ir/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct compiled {
    arena *a;
    diag *d;
    ir_module *m;
} compiled;

static compiled compile(const char *text, const char *file, const frontend_define *defines,
                        uint32_t n)
{
    compiled r = {.a = arena_create()};
    source_map *s = source_map_create(r.a);
    r.d = diag_create(r.a, s);
    const source_file *f =
        text ? source_add(s, "test.aigc", text, strlen(text)) : source_read(s, file);
    assert_non_null(f);
    frontend_options o = {.defines = defines, .n_defines = n};
    r.m = frontend_compile(ir_ctx_create(r.a, intern_create(r.a)), r.d, f, &o);
    return r;
}

static void test_examples(void **state)
{
    (void)state;
    static const char *const files[] = {"llama/llama", "gpt2/gpt2", "mlp/mlp"};
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/examples/%s.aigc", AIGC_SOURCE_DIR, files[i]);
        compiled r = compile(NULL, path, NULL, 0);
        if (!r.m) {
            fail_msg("%s: %s", path, diag_text(r.d, false));
        }
        arena_destroy(r.a);
    }
}

static void test_layers_stay_one_loop(void **state)
{
    (void)state;
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        frontend_define d = {"layers", i ? "96" : "12"};
        compiled r = compile(NULL, AIGC_SOURCE_DIR "/examples/gpt2/gpt2.aigc", &d, 1);
        assert_non_null(r.m);
        assert_int_equal(r.m->n_params, 16);
        sizes[i] = strlen(ir_print_module(r.m, r.a));
        arena_destroy(r.a);
    }
    assert_int_equal(sizes[0], sizes[1]);
}

/* One mistake, one error, at this line, with these words. */
static const struct mistake {
    const char *text;
    unsigned line;
    const char *words;
} mistakes[] = {
    {"model m {\n  entry f(x: f32[N, 4]) -> f32[N, 4] { return x @ y }\n}\n",                    2,
     "'y' is not defined"                                                                                                        },
    {"model m {\n  w: f32[3, 5]\n  entry f(x: f32[N, 4]) -> f32[N, 5] {\n    return x @ w\n  "
     "}\n}\n",                                                                              4, "inner sizes differ: 4 and 3"},
    {"model m(d = 7) {\n  w: f32[d / 2]\n  entry f(x: f32[7]) -> f32[7] { return x }\n}\n",      2,
     "7 / 2 does not divide"                                                                                                     },
    {"model m {\n  entry f(x: float32[4]) -> f32[4] { return x }\n}\n",                          2, "no element type"            },
    {"model m {\n  entry f(x: f32[4]) -> f32[5] { return x }\n}\n",                              2, "must have size 5"           },
    {"model m {\n  entry f(x: f32[4], y: f16[4]) -> f32[4] { return x + y }\n}\n",               2,
     "element types differ"                                                                                                      },
    {"model m {\n  entry f(x: f32[4]) -> f32[4] { return sofmax(x) }\n}\n",                      2,
     "'sofmax' is not defined"                                                                                                   },
    {"model m {\n  entry f(x: f32[4]) -> f32[2] { return x[3:5] + x[5] }\n}\n",                  2, "out of range"               },
    {"model m {\n  a = M()\n  entry f(x: f32[4]) -> f32[4] { return x }\n}\nmodule M() { b = M() "
     "}\n",                                                                                 5, "contains itself"            },
    {"model m {\n  w: f32[100000000000, 100000000000]\n  entry f(x: f32[4]) -> f32[4] { return x "
     "}\n}\n",                                                                              2, "too large"                  },
    {"model m {\n  entry f(x: f32[4]) -> f32[4] {\n    return x +\n  }\n}\n",                    4,
     "expected an expression after"                                                                                              },
    {"model m {\n  entry f(x: f32[4]) -> f32[4] { return rearrange(x, \"(a b) -> a b\") }\n}\n", 2,
     "cannot be told apart"                                                                                                      },
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        compiled r = compile(mistakes[i].text, NULL, NULL, 0);
        const char *text = diag_text(r.d, false);
        char place[32];
        snprintf(place, sizeof place, "test.aigc:%u:", mistakes[i].line);
        if (r.m || diag_error_count(r.d) != 1 || !strstr(text, mistakes[i].words) ||
            strncmp(text, place, strlen(place)) != 0) {
            fail_msg("mistake %zu:\n%s\ngives:\n%s", i, mistakes[i].text, text);
        }
        arena_destroy(r.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_layers_stay_one_loop),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
