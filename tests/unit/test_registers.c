/* The sums of a tile stay in registers, whatever its epilogue computes, and tiles of int8 ask for
 * lines that come next: seen in the text of the assembly. */
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

static FILE *assembly_of(const tile_case *c, char *out)
{
    char path[] = "/tmp/aigc-registersXXXXXX.aigc", command[512];
    int f = mkstemps(path, 5), o = mkstemps(out, 2);
    assert_true(f >= 0 && o >= 0);
    assert_int_equal(write(f, c->source, strlen(c->source)), (ssize_t)strlen(c->source));
    close(f);
    close(o);
    snprintf(command, sizeof command,
             "%s build %s --target x86_64-linux-gnu %s --no-cache -o %s 2>/dev/null", AIGC_COMMAND,
             path, c->options, out);
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
    static const tile_case cases[] = {
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64]) -> f32[M, 96] { return gelu(x @ w.T) }\n}\n",              "--cpu x86-64-v4",              "vfmadd231ps", 28, 1}, /* 14 rows of two vectors; a line of weights */
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64]) -> f32[M, 96] { return tanh(silu(x @ w.T)) }\n}\n",        "--cpu x86-64-v4",              "vfmadd231ps", 28, 1},
        {"model m() { w: f32[96, 64]\n"
         "  entry f(x: f32[M, 64], y: f32[M, 96]) -> f32[M, 96] { return x @ w.T + y }\n}\n", "--cpu znver4 --quantize q8_0", "vpdpbusd",    96, 4}, /* 6 rows of two, 8 steps of k;
  * two of weights, result, y */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[] = "/tmp/aigc-registersXXXXXX.s";
        FILE *f = assembly_of(&cases[i], out);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
