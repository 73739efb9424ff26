#include "ir/storage.h"
#include "ir/block.h"

#include <string.h>

static const struct {
    const char *name;
    ir_storage number;
    bool dense, panels, made;
    uint32_t block, bytes;
} storages[] = {
#define STORAGE(name, number, dense, panels, made, block, bytes)                                   \
    {#name, IR_STORAGE_##name, dense, panels, made, block, bytes},
#include "ir/storage.def"
};

enum { N_STORAGES = sizeof storages / sizeof *storages };

static uint32_t row_of(ir_storage s)
{
    for (uint32_t i = 0; i < N_STORAGES; i++) {
        if (storages[i].number == s) {
            return i;
        }
    }
    return N_STORAGES;
}

const char *ir_storage_name(ir_storage s)
{
    uint32_t i = row_of(s);
    return i < N_STORAGES ? storages[i].name : NULL;
}

bool ir_storage_from_name(const char *name, ir_storage *s)
{
    for (uint32_t i = 0; i < N_STORAGES; i++) {
        if (strcmp(storages[i].name, name) == 0) {
            *s = storages[i].number;
            return true;
        }
    }
    return false;
}

bool ir_storage_is_dense(ir_storage s)
{
    uint32_t i = row_of(s);
    return i < N_STORAGES && storages[i].dense;
}

bool ir_storage_has_panels(ir_storage s)
{
    uint32_t i = row_of(s);
    return i < N_STORAGES && storages[i].panels;
}

bool ir_storage_to_make(const char *name, ir_storage *s)
{
    return ir_storage_from_name(name, s) && storages[row_of(*s)].made;
}

const char *ir_storages_to_make(void)
{
    static const char text[] =
#define MADE_true(name)  ", " #name
#define MADE_false(name) ""

#define STORAGE(name, number, dense, panels, made, ...) MADE_##made(name)
#include "ir/storage.def"
        ;
    return text + 2;
}

uint32_t ir_storage_block(ir_storage s)
{
    uint32_t i = row_of(s);
    return i < N_STORAGES ? storages[i].block : 1;
}

uint32_t ir_storage_block_bytes(ir_storage s)
{
    uint32_t i = row_of(s);
    return i < N_STORAGES ? storages[i].bytes : 1;
}

ir_storage ir_storage_of_dtype(ir_dtype t)
{
    ir_storage s = IR_STORAGE_f32;
    (void)ir_storage_from_name(ir_dtype_name(t), &s);
    return s;
}

ir_dtype ir_storage_dtype(ir_storage s)
{
    const char *name = ir_storage_name(s);
    ir_dtype t = IR_f32;
    return name && ir_dtype_from_name(name, &t) ? t : IR_f32;
}

void ir_storage_decode(ir_storage s, const void *bytes, size_t n, float *out)
{
    const ir_block *l = ir_block_of(s);
    for (size_t i = 0; i < n; i++) {
        out[i] =
            l ? ir_block_weight(l, bytes, i) : (float)ir_dtype_load(ir_storage_dtype(s), bytes, i);
    }
}
