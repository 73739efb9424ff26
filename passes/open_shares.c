/* open_shares: kernels whose parts any thread may take, as soon as its own are done.
 *
 *     before a meeting   every thread waits for the slowest, though all do as much: a core that
 *                        others use as well, or that gets less of the memory's rate, is late
 *     an open kernel     a thread that is done takes of what others have not begun
 *
 * Between two meetings of all threads a thread counts on having made itself what it reads. So open
 * is a kernel that shares no memory with another one between the same two meetings, unless both
 * only read it; after the first meeting of a call, before which nobody knows that a call has begun
 * (backend/emit_pieces.h). Whether it pays is decided at the call, by how long a share takes.
 *
 * Runs after plan_memory, as a result may lie over what another kernel has read. Changes nothing
 * but the attribute `open`. */
#include "passes/footprint.h"
#include "passes/pass.h"
#include "passes/rewrite.h"
#include "passes/values.h"
#include "support/vec.h"

#include <string.h>

/* Families that do nothing anew for every part, but for rows that products keep packed. A product's
 * rows are tiles of many; its columns and batches can be cut anywhere. */
static bool has_parts(const ir_node *n)
{
    const char *family = ir_node_str(n, IR_ATTR_family);
    int64_t split = ir_node_int(n, IR_ATTR_split, -1);
    bool product = strcmp(family, "contract") == 0;
    bool any = product || strcmp(family, "map") == 0 || strcmp(family, "reduce") == 0;
    return any && split >= 0 && !(product && split + 2 == (int64_t)n->types[0]->rank);
}

/* Kernels from one meeting to the next, those that some numbers of threads leave out not counted.
 */
static void open_some(pass_ctx *c, const ir_graph *g, const ir_node *const *kernels, uint32_t n,
                      bool *open)
{
    footprint *f = arena_array(c->scratch, footprint, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        f[i] = footprint_of(c->scratch, kernels[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool alone = has_parts(kernels[i]);
        for (uint32_t j = 0; j < n && alone; j++) {
            alone = i == j || !footprints_meet(&f[i], &f[j]);
        }
        open[kernels[i]->id] = alone;
        if (alone && c->explain) {
            fprintf(c->explain, "%s: %s: any thread may take any part\n", ir_graph_name(g),
                    ir_node_str(kernels[i], IR_ATTR_name));
        }
    }
}

static const bool *find_open(pass_ctx *c, const ir_graph *g, bool met)
{
    bool *open = arena_array(c->scratch, bool, ir_graph_size(g) + 1);
    VEC(const ir_node *) since = {0};
    for (uint32_t i = 0; i < ir_graph_size(g); i++) {
        const ir_node *n = ir_graph_node(g, i);
        if (!values_is_item(n)) {
            continue;
        }
        if (n->op != IR_OP_kernel || ir_node_int(n, IR_ATTR_barrier, 0) == 1) {
            open_some(c, g, since.at, met ? since.len : 0, open);
            since.len = 0;
            met = true;
        }
        if (n->op == IR_OP_kernel) {
            vec_push(c->scratch, &since, n);
        }
    }
    open_some(c, g, since.at, met ? since.len : 0, open);
    return open;
}

ir_graph *pass_open_shares(pass_ctx *c, const ir_graph *g)
{
    if (ir_graph_stage(g) != IR_STAGE_PLANNED) {
        return ir_graph_clone(g);
    }
    return rewrite_marks(c, g, IR_ATTR_open, find_open);
}
