/* Kernels as text: for people (--dump=kernels), and to find equal ones. */
#include "backend/kernel.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct printer {
    FILE *out;
    ir_ctx *c;
} printer;

static void print_expr(printer *p, const k_expr *e)
{
    switch (e->kind) {
    case K_CONST_F:
        fprintf(p->out, "%.9g", e->f);
        break;
    case K_CONST_I:
        fprintf(p->out, "%lld", (long long)e->i);
        break;
    case K_AXIS:
        fputs(e->axis->name, p->out);
        break;
    case K_DIM:
        fprintf(p->out, "{%s}", ir_dim_text(p->c, e->dim));
        break;
    case K_REDUCED:
        fprintf(p->out, "r%u", e->reduced);
        break;
    case K_HOLE:
        fputs("hole", p->out);
        break;
    case K_LOAD:
        fprintf(p->out, "%s[", e->buf->name);
        print_expr(p, e->args[0]);
        if (e->guard) {
            fputs(" if ", p->out);
            print_expr(p, e->guard);
        }
        fputc(']', p->out);
        break;
    default:
        if (e->kind == K_CAST) {
            fputs(ir_dtype_name(e->dtype), p->out);
        } else if (e->kind == K_RANDOM) {
            fprintf(p->out, "random_%s_%lld_%lld_%lld", e->mode, (long long)e->i, (long long)e->lo,
                    (long long)e->hi);
        } else {
            fputs(e->kind == K_SELECT ? "select" : ir_op_name(e->op), p->out);
        }
        fputc('(', p->out);
        for (uint32_t i = 0; i < e->n; i++) {
            fputs(i ? ", " : "", p->out);
            print_expr(p, e->args[i]);
        }
        fputc(')', p->out);
    }
}

static void print_axes(printer *p, uint32_t n, const k_axis *const *axes)
{
    for (uint32_t i = 0; i < n; i++) {
        fprintf(p->out, " %s < %s", axes[i]->name, ir_dim_text(p->c, axes[i]->extent));
    }
}

/* What a step's value is called. */
static void print_name(printer *p, const k_nest *n, uint32_t step)
{
    const k_keep *keep = n->keep && n->keep->step == step ? n->keep : NULL;
    if (keep) {
        fprintf(p->out, "%s[%s of %lld * %s + %lld]", keep->buf->name, keep->columns->name,
                (long long)keep->group, keep->groups ? keep->groups->name : "0",
                (long long)keep->group);
    } else {
        fprintf(p->out, "r%u", step);
    }
}

static void print_nest(printer *p, const k_nest *n)
{
    fputs("  for", p->out);
    print_axes(p, n->n_outer, n->outer);
    fprintf(p->out, " split %d grain %lld\n", n->split, (long long)n->grain);
    for (uint32_t i = 0; i < n->n_steps; i++) {
        const k_step *s = &n->steps[i];
        static const char *const kinds[] = {"reduce", "store", "scan"};
        fprintf(p->out, "    ");
        if (s->kind == K_STEP_REDUCE) {
            print_name(p, n, i);
            fprintf(p->out, " = %s %s%s%s", ir_op_name(s->op), ir_dtype_name(s->acc),
                    s->math ? " " : "", s->math ? s->math : "");
        } else {
            fprintf(p->out, "%s%s%s%s", kinds[s->kind], s->add ? " add" : "",
                    s->reverse ? " reverse" : "", s->exclusive ? " exclusive" : "");
        }
        print_axes(p, s->n_axes, s->axes);
        fputs(" : ", p->out);
        if (s->kind != K_STEP_REDUCE) {
            fprintf(p->out, "%s[", s->buf->name);
            print_expr(p, s->offset);
            fputs("] = ", p->out);
        }
        print_expr(p, s->value);
        fputc('\n', p->out);
    }
}

static void print_attention(printer *p, const k_attention *t)
{
    fputs("  attention", p->out);
    print_axes(p, t->n_batch, t->batch);
    print_axes(p, 1, &t->i);
    print_axes(p, 1, &t->j);
    print_axes(p, 1, &t->d);
    print_axes(p, 1, &t->dv);
    fprintf(p->out, " split %d grain %lld scale %.9g", t->split, (long long)t->grain, t->scale);
    if (t->bf16) {
        fputs(" bf16", p->out);
    }
    if (t->causal) {
        fprintf(p->out, " causal %s", ir_dim_text(p->c, t->causal));
    }
    const k_expr *parts[] = {t->q, t->k, t->v, t->score, t->offset, t->out};
    static const char *const names[] = {"q", "k", "v", "score", "at", "out"};
    for (int i = 0; i < 6; i++) {
        fprintf(p->out, "\n    %s = ", names[i]);
        print_expr(p, parts[i]);
    }
    fputc('\n', p->out);
}

static void print_sort(printer *p, const k_sort *s)
{
    fputs("  sort", p->out);
    print_axes(p, s->n_outer, s->outer);
    print_axes(p, 1, &s->axis);
    print_axes(p, 1, &s->out_axis);
    fprintf(p->out, "%s\n    key = ", s->descending ? " descending" : "");
    print_expr(p, s->key);
    fprintf(p->out, "\n    %s %s at ", s->values ? s->values->name : "-",
            s->indices ? s->indices->name : "-");
    print_expr(p, s->values ? s->values_offset : s->indices_offset);
    fputc('\n', p->out);
}

const char *k_print_kernel(const k_kernel *k, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    arena *scratch = arena_create();
    printer p = {out, ir_ctx_create(scratch, intern_create(scratch))};
    fprintf(out, "kernel %s\n", k->kind);
    for (uint32_t i = 0; i < k->n_syms; i++) {
        fprintf(out, "  size %s in %lld..%lld\n", k->syms[i]->name, (long long)k->syms[i]->lo,
                (long long)k->syms[i]->hi);
    }
    for (uint32_t i = 0; i < k->n_bufs; i++) {
        const k_buf *b = k->bufs[i];
        fprintf(out, "  %s: %s %s %s%s%s", b->name, ir_type_text(p.c, b->type),
                ir_storage_name(b->storage), b->layout, b->access == K_READ ? "" : " written",
                b->disjoint ? "" : " overlaps");
        fprintf(out, b->panel ? " %u%s\n" : "\n", b->panel, b->pack_transposed ? " kn" : " nk");
    }
    for (uint32_t i = 0; i < k->n_nests; i++) {
        print_nest(&p, &k->nests[i]);
    }
    if (k->attention) {
        print_attention(&p, k->attention);
    }
    if (k->sort) {
        print_sort(&p, k->sort);
    }
    fclose(out);
    const char *kept = arena_string_n(a, text, size);
    free(text);
    arena_destroy(scratch);
    return kept;
}

static void print_items(printer *p, const k_item *items, uint32_t n, int indent)
{
    for (uint32_t i = 0; i < n; i++) {
        const k_item *t = &items[i];
        fprintf(p->out, "%*s%s", indent, "", t->barrier == 1 ? "barrier; " : "");
        if (t->barrier > 1) {
            fprintf(p->out, "barrier unless threads divide %lld; ", (long long)t->barrier);
        }
        if (t->kind == K_ITEM_KERNEL) {
            fprintf(p->out, "%s (kernel %u)\n", t->name, t->kernel->id);
        } else if (t->kind == K_ITEM_EXTERN) {
            fprintf(p->out, "extern %u\n", t->extern_index);
        } else {
            fprintf(p->out, "loop %s in %s .. %s by %lld\n", t->sym->name, ir_dim_text(p->c, t->lo),
                    ir_dim_text(p->c, t->hi), (long long)t->step);
            print_items(p, t->items, t->n_items, indent + 2);
        }
    }
}

const char *k_print_program(const k_program *g, arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) {
        return "";
    }
    printer p = {out, ir_graph_ctx(g->entry->graph)};
    fprintf(out, "program %s: %u kernels, %u barriers, arena %s\n", g->entry->name,
            g->n_kernel_uses, g->n_barriers,
            ir_dim_text(p.c, ir_graph_arena_bytes(g->entry->graph)));
    print_items(&p, g->items, g->n_items, 2);
    fclose(out);
    const char *kept = arena_string_n(a, text, size);
    free(text);
    return kept;
}
