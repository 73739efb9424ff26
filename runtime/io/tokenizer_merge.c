/* BPE: a heap of adjacent pairs; the best is merged, its neighbours make new pairs. O(n log n). */
#include "runtime/io/tokenizer_impl.h"

#include <stdlib.h>

typedef struct symbol {
    const char *text;
    uint32_t size; /* 0: merged into the one before */
    int32_t before, after;
} symbol;

typedef struct pair {
    double order; /* smaller first */
    uint32_t left, right, size;
} pair;

typedef struct merging {
    const tokenizer *t;
    symbol *symbols;
    pair *heap;
    uint32_t n_heap;
} merging;

static bool sooner(const pair *a, const pair *b)
{
    return a->order < b->order || (a->order == b->order && a->left < b->left);
}

static void push(merging *m, pair p)
{
    uint32_t i = m->n_heap++;
    for (; i && sooner(&p, &m->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        m->heap[i] = m->heap[(i - 1) / 2];
    }
    m->heap[i] = p;
}

static pair pop(merging *m)
{
    pair top = m->heap[0], last = m->heap[--m->n_heap];
    uint32_t i = 0;
    for (;;) {
        uint32_t k = 2 * i + 1;
        if (k >= m->n_heap) {
            break;
        }
        k += k + 1 < m->n_heap && sooner(&m->heap[k + 1], &m->heap[k]);
        if (!sooner(&m->heap[k], &last)) {
            break;
        }
        m->heap[i] = m->heap[k];
        i = k;
    }
    m->heap[i] = last;
    return top;
}

static void consider(merging *m, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) {
        return;
    }
    const symbol *a = &m->symbols[left], *b = &m->symbols[right];
    double order;
    if (m->t->merges) {
        uint32_t rank = tokenizer_rank(m->t, a->text, a->size, b->text, b->size);
        if (rank == UINT32_MAX) {
            return;
        }
        order = rank;
    } else {
        int32_t id = tokenizer_find(m->t, a->text, a->size + b->size);
        if (id < 0) {
            return;
        }
        order = -(double)m->t->entries[id].score;
    }
    push(m, (pair){order, (uint32_t)left, (uint32_t)right, a->size + b->size});
}

aigc_status tokenizer_merge(const tokenizer *t, const char *text, size_t size,
                            aigc_status (*each)(void *data, const char *s, size_t n), void *data)
{
    if (size > UINT32_MAX / 4) {
        return AIGC_ERR_MEMORY;
    }
    merging m = {.t = t,
                 .symbols = malloc((size + 1) * sizeof(symbol)),
                 .heap = malloc((3 * size + 3) * sizeof(pair))};
    if (!m.symbols || !m.heap) {
        free(m.symbols);
        free(m.heap);
        return AIGC_ERR_MEMORY;
    }
    int32_t n = 0;
    for (size_t at = 0; at < size; n++) {
        size_t length = utf8_length(text + at, size - at);
        m.symbols[n] = (symbol){text + at, (uint32_t)length, n - 1, n + 1};
        at += length;
    }
    if (n) {
        m.symbols[n - 1].after = -1;
    }
    for (int32_t i = 0; i + 1 < n; i++) {
        consider(&m, i, i + 1);
    }
    while (m.n_heap) {
        pair p = pop(&m);
        symbol *a = &m.symbols[p.left], *b = &m.symbols[p.right];
        if (a->size == 0 || b->size == 0 || a->size + b->size != p.size ||
            a->after != (int32_t)p.right) {
            continue; /* one of them has grown meanwhile */
        }
        a->size = p.size;
        a->after = b->after;
        b->size = 0;
        if (b->after >= 0) {
            m.symbols[b->after].before = (int32_t)p.left;
        }
        consider(&m, a->before, (int32_t)p.left);
        consider(&m, (int32_t)p.left, a->after);
    }
    aigc_status s = AIGC_OK;
    for (int32_t i = n ? 0 : -1; i >= 0 && s == AIGC_OK; i = m.symbols[i].after) {
        s = each(data, m.symbols[i].text, m.symbols[i].size);
    }
    free(m.symbols);
    free(m.heap);
    return s;
}
