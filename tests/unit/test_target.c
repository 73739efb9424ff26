/* Targets and CPUs: facts of named ones, mistakes in names, and that LLVM knows every name of
 * cpus.def. */
#include "backend/target.h"
#include "runtime/abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *name, *level;
} cpus[] = {
#define LEVEL(...)
#define DOT(...)
#define CPU(name, level, dots) {name, #level},
#include "backend/cpus.def"
};

typedef struct maker {
    arena *a;
    diag *d;
} maker;

static maker begin(void)
{
    arena *a = arena_create();
    return (maker){a, diag_create(a, source_map_create(a))};
}

static void test_facts(void **state)
{
    (void)state;
    static const struct {
        const char *triple, *cpu, *is;
        uint32_t lanes, registers, mask;
    } cases[] = {
        {"x86-64",            NULL,             "x86-64",         4,  16, 0                                },
        {"x86_64-linux-gnu",  "native",         "x86-64",         4,  16, 0                                },
        {"amd64",             "generic",        "generic",        4,  16, 0                                },
        {"x86-64",            "x86-64-v2",      "x86-64-v2",      4,  16, 0                                },
        {"x86-64",            "x86-64-v3",      "x86-64-v3",      8,  16, AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C},
        {"x86-64",            "x86-64-v4",      "x86-64-v4",      16, 32,
         AIGC_CPU_AVX512 | AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C                                               },
        {"x86-64",            "alderlake",      "alderlake",      8,  16,
         AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C | AIGC_CPU_AVX_VNNI                                             },
        {"x86-64",            "znver5",         "znver5",         16, 32,
         AIGC_CPU_AVX512 | AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C | AIGC_CPU_AVX512_VNNI |
             AIGC_CPU_AVX512_BF16 | AIGC_CPU_AVX_VNNI                                                      },
        {"x86-64",            "sapphirerapids", "sapphirerapids", 16, 32,
         AIGC_CPU_AVX512 | AIGC_CPU_AVX2_FMA | AIGC_CPU_F16C | AIGC_CPU_AVX512_VNNI |
             AIGC_CPU_AVX512_BF16 | AIGC_CPU_AVX_VNNI | AIGC_CPU_AMX                                       },
        {"aarch64",           NULL,             "generic",        4,  32, 0                                },
        {"arm64",             "apple-m1",       "apple-m1",       4,  32, AIGC_CPU_NEON_DOTPROD            },
        {"aarch64-linux-gnu", "neoverse-v2",    "neoverse-v2",    4,  32, AIGC_CPU_NEON_DOTPROD            },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        maker m = begin();
        target *t = target_create(cases[i].triple, cases[i].cpu, 2, m.a, m.d);
        assert_non_null(t);
        assert_string_equal(t->cpu, cases[i].is);
        assert_int_equal(t->lanes, cases[i].lanes);
        assert_int_equal(t->panel, 2 * cases[i].lanes);
        assert_int_equal(t->registers, cases[i].registers);
        assert_int_equal(t->cpu_mask, cases[i].mask);
        target_destroy(t);
        arena_destroy(m.a);
    }
}

/* This machine: by its features; under its own name, too. */
static void test_host(void **state)
{
    (void)state;
    maker m = begin();
    target *t = target_create(NULL, NULL, 2, m.a, m.d),
           *again = t ? target_create("native", t->cpu, 2, m.a, m.d) : NULL;
    assert_non_null(t);
    assert_true(t->lanes >= 4 && t->registers >= 16);
    assert_non_null(again);
    assert_string_equal(again->cpu, t->cpu);
    target_destroy(t);
    target_destroy(again);
    arena_destroy(m.a);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *triple, *cpu, *words[2];
    } cases[] = {
        {"x86-64",               "hasswell",      {"there is no cpu 'hasswell' of x86_64", "did you mean 'haswell'?"}},
        {"x86-64",               "skylake-avx51", {"there is no cpu", "did you mean 'skylake-avx512'?"}              },
        {"x86-64",               "pdp-11",        {"there is no cpu 'pdp-11' of x86_64", "--cpu help lists all"}     },
        {"x86-64",               "",              {"there is no cpu ''", "--cpu help lists all"}                     },
        {"x86-64",               "apple-m1",      {"there is no cpu 'apple-m1' of x86_64", "it is one of aarch64"}   },
        {"aarch64",              "znver4",        {"there is no cpu 'znver4' of aarch64", "--target x86_64"}         },
        {"aarch64-linux-gnu",    "cortex-a73",    {"there is no cpu", "did you mean 'cortex-a"}                      },
        {"riscv64",
         NULL,                                    {"there is no target 'riscv64': code is made for x86-64 and aarch64",
          "aarch64-linux-gnu"}                                                                         },
        {"arch64",               NULL,            {"there is no target 'arch64'", "did you mean 'aarch64'?"}         },
        {"aarch64_be-linux-gnu", "generic",       {"there is no target", "x86-64 and aarch64"}                       },
        {"x86_64x-linux",        NULL,            {"there is no target", "a triple"}                                 },
        {"",                     NULL,            {"there is no target ''", "a triple"}                              },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        maker m = begin();
        assert_false(target_is_known(cases[i].triple, cases[i].cpu, m.a, m.d));
        const char *text = diag_text(m.d, false);
        if (!strstr(text, cases[i].words[0]) || !strstr(text, cases[i].words[1])) {
            fail_msg("'%s' '%s': %s", cases[i].triple, cases[i].cpu ? cases[i].cpu : "", text);
        }
        diag_clear(m.d);
        assert_null(target_create(cases[i].triple, cases[i].cpu, 2, m.a, m.d));
        assert_int_equal(diag_error_count(m.d), 1);
        arena_destroy(m.a);
    }
}

/* LLVM says on stderr what it does not know, and goes on without. */
static void test_llvm_knows_them(void **state)
{
    (void)state;
    char path[] = "/tmp/aigc-test-XXXXXX", text[256] = "";
    int file = mkstemp(path), kept = dup(2);
    assert_true(file >= 0 && kept >= 0);
    unlink(path);
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        maker m = begin();
        fflush(stderr);
        dup2(file, 2);
        target *t = target_create(strcmp(cpus[i].level, "neon") == 0 ? "aarch64" : "x86-64",
                                  cpus[i].name, 2, m.a, m.d);
        dup2(kept, 2);
        assert_non_null(t);
        target_destroy(t);
        arena_destroy(m.a);
    }
    close(kept);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    close(file);
    if (n != 0) {
        fail_msg("LLVM: %s", text);
    }
}

/* The list names all of an architecture and none of another. */
static void test_list(void **state)
{
    (void)state;
    maker m = begin();
    const char *lists[] = {target_cpu_list("x86-64", m.a), target_cpu_list("aarch64", m.a)};
    for (size_t i = 0; i < sizeof cpus / sizeof *cpus; i++) {
        bool arm = strcmp(cpus[i].level, "neon") == 0;
        char word[64];
        snprintf(word, sizeof word, " %s", cpus[i].name);
        assert_non_null(strstr(lists[arm], word));
        assert_true(strcmp(cpus[i].name, "generic") == 0 || !strstr(lists[!arm], word));
    }
    for (int i = 0; i < 2; i++) {
        for (const char *line = lists[i]; *line; line += strcspn(line, "\n") + 1) {
            assert_true(strcspn(line, "\n") <= 80);
        }
    }
    assert_non_null(strstr(target_cpu_list(NULL, m.a), "this machine's"));
    arena_destroy(m.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts), cmocka_unit_test(test_host), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_llvm_knows_them), cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
