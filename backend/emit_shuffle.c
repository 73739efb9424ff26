/* Values that cross the lanes of vectors: transposes, and many sums over lanes at once. */
#include "backend/emit.h"

/* Lane i of the result is lane from[i] of x and y side by side. */
static LLVMValueRef shuffle(emit *e, LLVMValueRef x, LLVMValueRef y, const uint32_t *from)
{
    LLVMValueRef at[64];
    for (uint32_t i = 0; i < e->lanes; i++) {
        at[i] = LLVMConstInt(e->i32, from[i], false);
    }
    return LLVMBuildShuffleVector(e->b, x, y, LLVMConstVector(at, e->lanes), "");
}

LLVMValueRef emit_pick(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first, uint32_t by)
{
    uint32_t from[64];
    for (uint32_t i = 0; i < e->lanes; i++) {
        from[i] = first + by * i;
    }
    return shuffle(e, x, y, from);
}

LLVMValueRef emit_interleave(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first)
{
    uint32_t from[64];
    for (uint32_t i = 0; i < e->lanes; i++) {
        from[i] = first + i / 2 + i % 2 * e->lanes;
    }
    return shuffle(e, x, y, from);
}

LLVMValueRef emit_slide(emit *e, LLVMValueRef x, LLVMValueRef y, uint32_t first)
{
    return emit_pick(e, x, y, first, 1);
}

LLVMValueRef emit_weave(emit *e, uint32_t n, const LLVMValueRef *v, uint32_t j)
{
    LLVMValueRef v_woven = v[0];
    for (uint32_t k = 0; k < n; k++) {
        uint32_t from[64];
        for (uint32_t i = 0; i < e->lanes; i++) {
            uint32_t place = j * e->lanes + i;
            from[i] = place % n == k ? e->lanes + place / n : i;
        }
        v_woven = shuffle(e, v_woven, v[k], from);
    }
    return v_woven;
}

/* Blocks of 1, 2, 4 ... lanes beside the diagonal change places: lanes * log2(lanes) shuffles. */
void emit_transpose(emit *e, LLVMValueRef *v)
{
    for (uint32_t by = 1; by < e->lanes; by *= 2) {
        uint32_t first[64], second[64];
        for (uint32_t i = 0; i < e->lanes; i++) {
            first[i] = i & by ? e->lanes + i - by : i;
            second[i] = i & by ? e->lanes + i : i + by;
        }
        for (uint32_t i = 0; i < e->lanes; i++) {
            if (!(i & by)) {
                LLVMValueRef x = v[i], y = v[i + by];
                v[i] = shuffle(e, x, y, first);
                v[i + by] = shuffle(e, x, y, second);
            }
        }
    }
}

/* Halves of runs of lanes are added up, two vectors becoming one as long as there are two, so that
 * every sum is made by the same tree whatever n is. */
uint32_t emit_fold_lanes(emit *e, LLVMValueRef *v, uint32_t n)
{
    for (uint32_t run = e->lanes; run > 1; run /= 2) {
        uint32_t low[64], high[64], left = n > 1 ? n / 2 : 1;
        for (uint32_t i = 0; i < e->lanes; i++) {
            low[i] = i / (run / 2) * run + i % (run / 2);
            high[i] = low[i] + run / 2;
        }
        for (uint32_t i = 0; i < left; i++) {
            LLVMValueRef x = v[n > 1 ? 2 * i : 0], y = v[n > 1 ? 2 * i + 1 : 0];
            LLVMValueRef v_low = shuffle(e, x, y, low);
            v[i] = LLVMBuildFAdd(e->b, v_low, shuffle(e, x, y, high), "");
        }
        n = left;
    }
    return n;
}
