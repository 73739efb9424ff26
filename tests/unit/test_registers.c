/* The sums of a tile stay in registers, whatever its epilogue computes: seen in the text of the
 * assembly for x86-64-v4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SUMS = 28 }; /* of the highest tile: 14 rows of two vectors */

static FILE *assembly_of(const char *source, char *out)
{
    char path[] = "/tmp/aigc-registersXXXXXX.aigc", command[512];
    int f = mkstemps(path, 5), o = mkstemps(out, 2);
    assert_true(f >= 0 && o >= 0);
    assert_int_equal(write(f, source, strlen(source)), (ssize_t)strlen(source));
    close(f);
    close(o);
    snprintf(command, sizeof command,
             "%s build %s --target x86_64-linux-gnu --cpu x86-64-v4 --no-cache -o %s 2>/dev/null",
             AIGC_COMMAND, path, out);
    int status = system(command);
    unlink(path);
    return status == 0 ? fopen(out, "r") : NULL;
}

/* Stretches without a label that add to all sums of the tile, a step of k or more: how many, and
 * how many vectors they put on the stack. */
static void count_steps(FILE *f, uint32_t *steps, uint32_t *spills)
{
    char line[512];
    uint32_t sums = 0, stores = 0;
    *steps = *spills = 0;
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '.' || line[0] == 'k') {
            sums = stores = 0;
        }
        sums += strstr(line, "vfmadd231ps") && strstr(line, "%zmm");
        const char *from = strstr(line, "%zmm");
        stores += strstr(line, "vmov") && from && strstr(from, "(%rsp)");
        if (strstr(line, "\tj") == line && sums >= SUMS) {
            *steps += 1;
            *spills += stores;
            sums = 0;
        }
    }
}

static void test_epilogues(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "model m() { w: f32[96, 64]\n"
        "  entry f(x: f32[M, 64]) -> f32[M, 96] { return gelu(x @ w.T) }\n}\n",
        "model m() { w: f32[96, 64]\n"
        "  entry f(x: f32[M, 64]) -> f32[M, 96] { return tanh(silu(x @ w.T)) }\n}\n",
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        char out[] = "/tmp/aigc-registersXXXXXX.s";
        FILE *f = assembly_of(sources[i], out);
        if (!f) { /* an LLVM without this target */
            unlink(out);
            skip();
        }
        uint32_t steps, spills;
        count_steps(f, &steps, &spills);
        fclose(f);
        unlink(out);
        assert_true(steps > 0);
        assert_int_equal(spills, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epilogues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
