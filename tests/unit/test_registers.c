/* The sums of a tile stay in registers, whatever its epilogue computes, tiles of int8 ask for lines
 * that come next, and one row multiplies a line of weights in blocks before it asks for more: seen
 * in the text of the assembly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A model, and what its highest tile does in a turn of its loop. */
typedef struct tile_case {
    const char *source, *options, *instruction;
    uint32_t sums, asks;
} tile_case;

static FILE *assembly_of(const char *source, const char *options, char *out)
{
    char path[] = "/tmp/aigc-registersXXXXXX.aigc", command[512];
    int f = mkstemps(path, 5), o = mkstemps(out, 2);
    assert_true(f >= 0 && o >= 0);
    assert_int_equal(write(f, source, strlen(source)), (ssize_t)strlen(source));
    close(f);
    close(o);
    snprintf(command, sizeof command,
             "%s build %s --target x86_64-linux-gnu %s --no-cache -o %s 2>/dev/null", AIGC_COMMAND,
             path, options, out);
    int status = system(command);
    unlink(path);
    return status == 0 ? fopen(out, "r") : NULL;
}

typedef struct seen {
    uint32_t turns, spills, asks; /* asks of the turn that has fewest */
} seen;

/* Stretches without a label that add to all sums of the tile: how many, how many vectors they put
 * on the stack, and how many lines they ask for. */
static seen look_at(FILE *f, const tile_case *c)
{
    char line[512];
    uint32_t sums = 0, stores = 0, asks = 0;
    seen s = {.asks = UINT32_MAX};
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '.' || line[0] == 'k') {
            sums = stores = asks = 0;
        }
        const char *from = strstr(line, "%zmm");
        sums += from && strstr(line, c->instruction);
        stores += strstr(line, "vmov") && from && strstr(from, "(%rsp)");
        asks += strstr(line, "prefetch") != NULL;
        if (strstr(line, "\tj") == line && sums >= c->sums) {
            s.turns++;
            s.spills += stores;
            s.asks = asks < s.asks ? asks : s.asks;
            sums = 0;
        }
    }
    return s;
}

static void test_turns(void **state)
{
    (void)state;
    /* 14 rows of two vectors, and a line of weights; 6 rows of two in 8 steps of k, and two lines of
     * weights, one of the result, one of y. */
    static const tile_case cases[] = {
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64]) -> f32[M, 96] { return gelu(x @ w.T) }\n}\n",
         "--cpu x86-64-v4", "vfmadd231ps", 28, 1},
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64]) -> f32[M, 96] { return tanh(silu(x @ w.T)) }\n}\n",
         "--cpu x86-64-v4", "vfmadd231ps", 28, 1},
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64], y: f32[M, 96]) -> f32[M, 96] { return x @ w.T + y }\n}\n",
         "--cpu znver4 --quantize q8_0", "vpdpbusd", 96, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[] = "/tmp/aigc-registersXXXXXX.s";
        FILE *f = assembly_of(cases[i].source, cases[i].options, out);
        if (!f) { /* an LLVM without this target */
            unlink(out);
            skip();
        }
        seen s = look_at(f, &cases[i]);
        fclose(f);
        unlink(out);
        assert_true(s.turns > 0);
        assert_int_equal(s.spills, 0);
        assert_int_equal(s.asks, cases[i].asks);
    }
}

/* Of the stretches without a label that multiply bytes and ask for lines: how many, and the most
 * lines that one asks for. */
static void count_asks(FILE *f, uint32_t *steps, uint32_t *most)
{
    char line[512];
    uint32_t asks = 0, dots = 0;
    *steps = *most = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '.' || line[0] == 'k') {
            *steps += asks && dots;
            *most = dots && asks > *most ? asks : *most;
            asks = dots = 0;
        }
        asks += strstr(line, "prefetch") != NULL;
        dots += strstr(line, "vpdpbusd") != NULL;
    }
}

static void test_one_row(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        uint32_t asks; /* of a step: the lines of four vectors, of both halves where they are two */
    } cases[] = {
        {"--cpu cascadelake --quantize q4_0", 4},
        {"--cpu cascadelake --quantize q8_0", 8},
        {"--cpu znver4 --quantize q4_0",      4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[] = "/tmp/aigc-registersXXXXXX.s";
        FILE *f = assembly_of("model m() { w: f32[4096, 64]\n"
                              "  entry f(x: f32[1, 64]) -> f32[1, 4096] { return x @ w.T }\n}\n",
                              cases[i].options, out);
        if (!f) {
            unlink(out);
            skip();
        }
        uint32_t steps, most;
        count_asks(f, &steps, &most);
        fclose(f);
        unlink(out);
        assert_true(steps > 0);
        assert_int_equal(most, cases[i].asks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
