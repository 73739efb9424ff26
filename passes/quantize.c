/* quantize: parameters of products are kept as --quantize says.
 *
 *     param "fc.weight" : f32[768, 768] storage f32      After   … storage q8_0
 * nk  %2 = contract %0, %1 {labels=["ik", "jk", "ij"]}
 *
 * f16 and bf16 are for matrices that only products and takes (embeddings) read. q8_0 and q4_0 are
 * for those of them that a product reads and whose products sum over a multiple of 32; blocks run
 * along the sum. Of a matrix [K, N] no file has such blocks: they are made when it is packed, and
 * packed is what it therefore becomes here:
 *
 * kn  %2 = contract %0, %1 {labels=["ik", "kj", "ij"]}           … storage q8_0 panels 16 kn
 *
 * The loader makes what the file has into what is asked for here (runtime/quantize_blocks.h).
 *
 * Changes the module's parameters, no graph, before layout looks at them. Leaves alone: norms,
 * biases, weights of convolutions, all that is read in any other way too, and what the file has in
 * blocks already: to make other blocks of them would add one error to another, as llama-quantize
 * says where it refuses to. --explain tells of each. */
#include "passes/param_uses.h"
#include "passes/pass.h"

#include <string.h>

/* Why the parameter cannot be kept so; NULL: it can. */
static const char *obstacle(const pass_ctx *c, const param_use *u, ir_storage s)
{
    const ir_type *t = u->param->type;
    bool blocks = !ir_storage_is_dense(s);
    if (!u->products && (blocks || !u->takes)) {
        return u->convs   ? "it is a convolution's"
               : u->takes ? "only its rows are read, one here, one there"
                          : "no product reads it";
    }
    if (t->dtype != IR_f32 || t->rank != 2) {
        return "it is no matrix of f32";
    }
    if (!ir_storage_is_dense(u->param->storage)) {
        return "it is in blocks in the file";
    }
    if (u->other || u->convs) {
        return "it is read in other ways as well";
    }
    int64_t n = ir_dim_value(t->dims[u->transposed ? 1 : 0]),
            k = ir_dim_value(t->dims[u->transposed ? 0 : 1]);
    return !blocks                        ? NULL
           : n == 1                       ? "it has but one row"
           : k % ir_storage_block(s) != 0 ? "its products do not sum over a multiple of 32"
           : u->transposed && !c->panel   ? "this target packs nothing"
                                          : NULL;
}

static double bytes_of(const ir_param *p, ir_storage s)
{
    double n = 1;
    for (uint32_t i = 0; i < p->type->rank; i++) {
        n *= (double)ir_dim_value(p->type->dims[i]);
    }
    for (uint32_t i = 0; i < p->n_indices; i++) {
        n *= (double)p->counts[i];
    }
    return n * ir_storage_block_bytes(s) / ir_storage_block(s);
}

static void explain(const pass_ctx *c, const ir_param *p, ir_storage before, const char *why)
{
    if (c->explain && why) {
        fprintf(c->explain, "quantize: %s stays %s: %s (%.0f bytes)\n", p->name,
                ir_storage_name(before), why, bytes_of(p, before));
    } else if (c->explain) {
        fprintf(c->explain, "quantize: %s is kept as %s, %s in the file (%.0f bytes, not %.0f)\n",
                p->name, ir_storage_name(p->storage), ir_storage_name(before),
                bytes_of(p, p->storage), bytes_of(p, before));
    }
}

static void keep_as(const pass_ctx *c, ir_param *p, const param_use *u, ir_storage s)
{
    p->storage = s;
    if (!ir_storage_is_dense(s) && u->transposed) {
        p->layout = intern(ir_ctx_names(c->module->ctx), "panels");
        p->panel = IR_BLOCK_COLUMNS;
        p->pack_transposed = true;
    }
}

static void quantize(pass_ctx *c, ir_storage s)
{
    ir_module *m = c->module;
    const param_use *uses = param_uses_of(m, c->scratch);
    bool any = false;
    for (uint32_t i = 0; i < m->n_params; i++) {
        ir_param *p = &m->params[i];
        ir_storage before = p->storage;
        if (before != s) {
            const char *why = obstacle(c, &uses[i], s);
            if (!why) {
                keep_as(c, p, &uses[i], s);
            }
            explain(c, p, before, why);
        }
        any |= p->storage == s;
    }
    if (!any) {
        diag_warning(c->d, (span){0}, "--quantize %s: no parameter can be kept so", c->quantize);
        diag_help(c->d, "--explain says of each why not");
    }
}

/* One entry speaks for the module. */
static bool is_first(const ir_module *m, const ir_graph *g)
{
    uint32_t i = 0;
    while (i < m->n_entries && m->entries[i].kind != IR_ENTRY) {
        i++;
    }
    return i < m->n_entries && m->entries[i].graph == g;
}

ir_graph *pass_quantize(pass_ctx *c, const ir_graph *g)
{
    ir_storage s;
    if (!c->quantize || !is_first(c->module, g)) {
        return ir_graph_clone(g);
    }
    if (!ir_storage_to_make(c->quantize, &s)) {
        diag_error(c->d, (span){0}, "there is no quantizing to %s; there is to %s", c->quantize,
                   ir_storages_to_make());
    } else {
        quantize(c, s);
    }
    return ir_graph_clone(g);
}
