#include "passes/plan_verify.h"

#include <string.h>

bool verify_fail(checker *k, const ir_node *n, const char *what)
{
    if (k->ok) {
        const char *name = n ? ir_node_str(n, IR_ATTR_name) : NULL;
        diag_error(k->d, n ? n->loc.where : (span){0}, "memory plan: %s (%s %s)", what,
                   n ? ir_op_name(n->op) : "entry", name ? name : "");
        for (uint32_t i = 0; i < k->sizes.len && i < 4; i++) {
            diag_note(k->d, (span){0}, "with %s = %lld", k->sizes.at[i].sym->name,
                      (long long)k->sizes.at[i].value);
        }
    }
    k->ok = false;
    return false;
}

/* Numbers -------------------------------------------------------------------------------------- */

bool verify_symbol(void *data, const ir_sym *s, int64_t *value)
{
    const checker *k = data;
    for (uint32_t i = k->sizes.len; i-- > 0;) {
        if (k->sizes.at[i].sym == s) {
            *value = k->sizes.at[i].value;
            return true;
        }
    }
    return false;
}

int64_t verify_number(checker *k, const ir_node *n, const ir_dim *d)
{
    int64_t value = 0;
    if (!ir_dim_eval(d, verify_symbol, k, &value)) {
        verify_fail(k, n, "a size cannot be worked out");
    }
    return value;
}

space *verify_space(checker *k, const char *name)
{
    for (uint32_t i = 0; i < k->spaces.len; i++) {
        if (k->spaces.at[i].name == name) {
            return &k->spaces.at[i];
        }
    }
    space s = {.name = name, .size = -1};
    s.writable = strcmp(name, "arena") == 0 || strncmp(name, "result:", 7) == 0 ||
                 strncmp(name, "state:", 6) == 0;
    vec_push(k->a, &k->spaces, s);
    return &vec_last(&k->spaces);
}

bool verify_place(checker *k, const ir_node *n, uint32_t r, place *p)
{
    const ir_attr *in = ir_node_attr(n, IR_ATTR_space), *at = ir_node_attr(n, IR_ATTR_at);
    const ir_attr *bytes = ir_node_attr(n, IR_ATTR_bytes);
    if (!in || !at || !bytes || r >= in->n || r >= at->n || r >= bytes->n) {
        return verify_fail(k, n, "a value has no place");
    }
    p->in = verify_space(k, in->strs[r]);
    p->begin = verify_number(k, n, at->dims[r]);
    int64_t size = verify_number(k, n, bytes->dims[r]);
    int64_t needed = verify_number(k, n, ir_type_bytes(k->c, n->types[r]));
    p->end = p->begin + size;
    if (size != needed || p->begin < 0) {
        return verify_fail(k, n, "a place has not its value's size");
    }
    return k->ok;
}

/* Memory --------------------------------------------------------------------------------------- */

/* Is all of the place held by that value? */
bool verify_holds(const place *p, uint32_t name)
{
    int64_t covered = 0;
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        int64_t b = r->begin > p->begin ? r->begin : p->begin;
        int64_t e = r->end < p->end ? r->end : p->end;
        if (b < e) {
            if (r->name != name) {
                return false;
            }
            covered += e - b;
        }
    }
    return covered == p->end - p->begin;
}

bool verify_is_open(const ir_node *n)
{
    return ir_node_int(n, IR_ATTR_open, 0) != 0;
}

void verify_mark_read(checker *k, const place *p, const ir_node *reader)
{
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        range *r = &p->in->ranges.at[i];
        if (r->begin < p->end && p->begin < r->end) {
            bool again = r->reader && r->read == k->meetings;
            r->readers = again && (r->readers || r->reader != reader);
            r->open = verify_is_open(reader) || (again && r->open);
            r->read = k->meetings;
            r->reader = reader;
        }
    }
}

/* Takes [begin, end) out of what is held there. */
void verify_clear(checker *k, space *s, int64_t begin, int64_t end)
{
    uint32_t n = s->ranges.len;
    range *old = arena_copy(k->a, s->ranges.at, n * sizeof *old);
    s->ranges.len = 0;
    for (uint32_t i = 0; i < n; i++) {
        range left = old[i], right = old[i];
        left.end = left.end < begin ? left.end : begin;
        right.begin = right.begin > end ? right.begin : end;
        bool meets = old[i].begin < end && begin < old[i].end;
        if (!meets) {
            vec_push(k->a, &s->ranges, old[i]);
            continue;
        }
        if (left.begin < left.end) {
            vec_push(k->a, &s->ranges, left);
        }
        if (right.begin < right.end) {
            vec_push(k->a, &s->ranges, right);
        }
    }
}

bool verify_is_anyones(const checker *k, const place *p, const ir_node *n, bool writes)
{
    for (uint32_t i = 0; i < p->in->ranges.len; i++) {
        const range *r = &p->in->ranges.at[i];
        bool meets = r->begin < p->end && p->begin < r->end;
        bool written = r->writer && r->written == k->meetings && r->writer != n;
        bool read = r->reader && r->read == k->meetings && (r->readers || r->reader != n);
        if (meets && ((written && (verify_is_open(n) || verify_is_open(r->writer))) ||
                      (writes && read && (verify_is_open(n) || r->open)))) {
            return true;
        }
    }
    return false;
}
