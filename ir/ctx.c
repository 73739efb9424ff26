#include "ir/ctx.h"

#include <string.h>

ir_ctx *ir_ctx_create(arena *a, intern_table *names)
{
    ir_ctx *c = arena_new(a, ir_ctx);
    *c = (ir_ctx){.a = a,
                  .names = names,
                  .dims = map_create(a),
                  .atoms = map_create(a),
                  .syms = map_create(a),
                  .types = map_create(a),
                  .data = map_create(a),
                  .texts = map_create(a),
                  .signs = map_create(a),
                  .kept_data = map_create(a)};
    arena_on_destroy(a, ir_graphs_destroy, c);
    return c;
}

arena *ir_ctx_arena(const ir_ctx *c)
{
    return c->a;
}

intern_table *ir_ctx_names(const ir_ctx *c)
{
    return c->names;
}

void ir_chain_add(arena *a, map *m, uint64_t hash, const void *item)
{
    ir_chain *link = arena_new(a, ir_chain);
    *link = (ir_chain){item, map_get(m, hash)};
    map_set(m, hash, link);
}

/* Symbols --------------------------------------------------------------------------------------
 */

static const ir_sym *sym_get(ir_ctx *c, ir_sym wanted)
{
    wanted.name = intern(c->names, wanted.name);
    uint64_t h = hash_combine(hash_combine(map_key(wanted.name), (uint64_t)wanted.lo),
                              hash_combine((uint64_t)wanted.hi, map_key(wanted.least)));
    for (const ir_chain *k = map_get(c->syms, h); k; k = k->next) {
        const ir_sym *s = k->item;
        if (s->name == wanted.name && s->lo == wanted.lo && s->hi == wanted.hi &&
            s->least == wanted.least && s->most == wanted.most) {
            return s;
        }
    }
    wanted.id = c->n_syms++;
    ir_sym *s = arena_copy(c->a, &wanted, sizeof wanted);
    ir_chain_add(c->a, c->syms, h, s);
    return s;
}

const ir_sym *ir_sym_get(ir_ctx *c, const char *name, int64_t lo, int64_t hi)
{
    return sym_get(c, (ir_sym){.name = name, .lo = lo, .hi = hi});
}

const ir_sym *ir_sym_loop(ir_ctx *c, const char *name, const ir_dim *lo, const ir_dim *hi,
                          int64_t step)
{
    /* The last turn's index, were there at least one turn: lo + step * (turns - 1). */
    uint64_t stride = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    const ir_dim *last = lo;
    if (stride >= 1 && stride <= INT64_MAX) {
        const ir_dim *distance = step > 0 ? ir_dim_sub(c, hi, lo) : ir_dim_sub(c, lo, hi);
        const ir_dim *by = ir_dim_const(c, (int64_t)stride);
        const ir_dim *turns = ir_dim_ceildiv(c, distance, by);
        last = ir_dim_add(c, lo, ir_dim_scale(c, ir_dim_offset(c, turns, -1), step));
    }
    ir_sym s = {.name = name, .least = step > 0 ? lo : last, .most = step > 0 ? last : lo};
    s.lo = s.least->lo;
    s.hi = s.most->hi;
    if (s.hi <= s.lo) { /* one turn or none: a symbol of one value would be a constant */
        s.hi = s.lo == INT64_MAX ? s.lo : s.lo + 1;
        s.lo -= s.lo == INT64_MAX;
    }
    return sym_get(c, s);
}

/* Constants' elements --------------------------------------------------------------------------
 */

static bool same_data(const ir_data *x, const ir_data *y)
{
    return x->dtype == y->dtype && x->splat == y->splat && x->size_bytes == y->size_bytes &&
           memcmp(x->bytes, y->bytes, x->size_bytes) == 0;
}

const ir_data *ir_data_keep(ir_ctx *c, const ir_data *data)
{
    if (map_has(c->kept_data, map_key(data))) {
        return data;
    }
    uint64_t h = hash_combine(hash_bytes(data->bytes, data->size_bytes),
                              ((uint64_t)data->dtype << 1) | data->splat);
    for (const ir_chain *k = map_get(c->data, h); k; k = k->next) {
        if (same_data(k->item, data)) {
            return k->item;
        }
    }
    enum { ALIGNMENT = 64 };
    unsigned char *room = arena_alloc(c->a, data->size_bytes + ALIGNMENT);
    room += (ALIGNMENT - (uintptr_t)room % ALIGNMENT) % ALIGNMENT;
    if (data->size_bytes) {
        memcpy(room, data->bytes, data->size_bytes);
    }
    ir_data *kept = arena_copy(c->a, data, sizeof *data);
    kept->bytes = room;
    ir_chain_add(c->a, c->data, h, kept);
    map_set(c->kept_data, map_key(kept), kept);
    return kept;
}
