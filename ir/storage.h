/* How parameters are kept in memory: a dense type or a block format. Not part of a model's meaning.
 */
#ifndef AIGC_IR_STORAGE_H
#define AIGC_IR_STORAGE_H

#include "ir/dtype.h"

typedef enum ir_storage {
#define STORAGE(name, number, ...) IR_STORAGE_##name = number,
#include "ir/storage.def"
} ir_storage;

const char *ir_storage_name(ir_storage s); /* NULL for a number that is no storage */
bool ir_storage_from_name(const char *name, ir_storage *s);
bool ir_storage_is_dense(ir_storage s);
enum { IR_BLOCK_COLUMNS = 16 }; /* of a panel of blocks: runtime/pack_blocks.h */
bool ir_storage_has_panels(ir_storage s); /* layout "panels" exists for it */
/* The word of --quantize; false for one that weights are not put into when they are loaded. */
bool ir_storage_to_make(const char *name, ir_storage *s);
const char *ir_storages_to_make(void);         /* those words: "f16, bf16, ..." */
uint32_t ir_storage_block(ir_storage s);       /* weights in a block; 1 when dense */
uint32_t ir_storage_block_bytes(ir_storage s); /* bytes of a block; of an element when dense */
ir_storage ir_storage_of_dtype(ir_dtype t);
ir_dtype ir_storage_dtype(ir_storage s); /* of a dense storage; f32 for block storages */
/* Decodes n weights that begin at a block's first; n is a multiple of the block. */
void ir_storage_decode(ir_storage s, const void *bytes, size_t n, float *out);

#endif
