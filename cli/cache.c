#define _GNU_SOURCE
#include "cli/cache.h"
#include "backend/codegen.h"
#include "support/map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct cache_header {
    char magic[8];
    uint64_t a, b, size, sum; /* of what follows */
} cache_header;

/* What follows: this, the object, its symbol and its header, and of every imported file a hash and
 * its path. Texts end with a 0. */
typedef struct cache_content {
    uint64_t object_size, n_files;
} cache_content;

static const char magic[8] = "aigcobj3";

void cache_key_bytes(cache_key *k, const void *bytes, size_t size)
{
    uint64_t h = hash_bytes(bytes, size);
    k->a = hash_combine(k->a, hash_combine(h, size));
    k->b = hash_combine(k->b ^ 0x9e3779b97f4a7c15u, hash_mix(h) + k->a);
}

void cache_key_text(cache_key *k, const char *text)
{
    cache_key_bytes(k, text ? text : "", text ? strlen(text) : 0);
}

static void add_file_state(cache_key *k, const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0) {
        cache_key_text(k, path);
        cache_key_bytes(k, &s.st_mtim, sizeof s.st_mtim);
        cache_key_bytes(k, &s.st_size, sizeof s.st_size);
    }
}

/* What Linux says of the first processor, but for what changes from moment to moment. */
static void add_machine(cache_key *k)
{
    static const char *const lasting[] = {"vendor_id",   "cpu family", "model",     "stepping",
                                          "flags",       "Features",   "CPU imple", "CPU arch",
                                          "CPU variant", "CPU part",   "CPU revis", "isa"};
    char line[8192];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f) && *line != '\n') {
        for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
            if (strncmp(line, lasting[i], strlen(lasting[i])) == 0) {
                cache_key_text(k, line);
                break;
            }
        }
    }
    if (f) {
        fclose(f);
    }
}

cache_key cache_key_begin(void)
{
    cache_key k = {1, 2};
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    add_file_state(&k, path); /* another build of the compiler makes other code */
    if (codegen_path()) {
        add_file_state(&k, codegen_path());
    }
    add_machine(&k);
    return k;
}

static bool folder(char *out, size_t size)
{
    const char *own = getenv("AIGC_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    int n = own && *own     ? snprintf(out, size, "%s", own)
            : xdg && *xdg   ? snprintf(out, size, "%s/aigc", xdg)
            : home && *home ? snprintf(out, size, "%s/.cache/aigc", home)
                            : -1;
    return n > 0 && (size_t)n < size;
}

static bool make_folders(char *path)
{
    for (char *s = path + 1;; s++) {
        if (*s == '/' || *s == 0) {
            char kept = *s;
            *s = 0;
            bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
            *s = kept;
            if (!made || kept == 0) {
                return made;
            }
        }
    }
}

static bool file_name(const cache_key *k, char *out, size_t size, bool make)
{
    char in[3500];
    if (!folder(in, sizeof in) || (make && !make_folders(in))) {
        return false;
    }
    return (size_t)snprintf(out, size, "%s/%016llx%016llx.o", in, (unsigned long long)k->a,
                            (unsigned long long)k->b) < size;
}

/* Entries: content and bytes ---------------------------------------------------------------------
 */

/* The files that entries depend on: not the first, which is in the key, nor those within aigc. */
static bool depends_on(const source_file *f)
{
    return f->id > 1 && strncmp(f->path, "<std>/", 6) != 0;
}

static char *content_of(const cache_entry *e, const source_map *sources, size_t *size)
{
    cache_content c = {.object_size = e->size};
    size_t symbol = strlen(e->symbol) + 1, header = strlen(e->header) + 1;
    *size = sizeof c + e->size + symbol + header;
    for (uint32_t i = 1; source_get(sources, i); i++) {
        const source_file *f = source_get(sources, i);
        if (depends_on(f)) {
            c.n_files++;
            *size += sizeof(uint64_t) + strlen(f->path) + 1;
        }
    }
    char *out = malloc(*size), *at = out;
    if (!out) {
        return NULL;
    }
    at = mempcpy(at, &c, sizeof c);
    at = mempcpy(at, e->object, e->size);
    at = mempcpy(at, e->symbol, symbol);
    at = mempcpy(at, e->header, header);
    for (uint32_t i = 1; source_get(sources, i); i++) {
        const source_file *f = source_get(sources, i);
        if (depends_on(f)) {
            uint64_t hash = hash_bytes(f->text, f->size);
            at = mempcpy(at, &hash, sizeof hash);
            at = mempcpy(at, f->path, strlen(f->path) + 1);
        }
    }
    return out;
}

/* A string that ends within the bytes left; NULL when none does. */
static const char *take_text(const char **at, const char *end)
{
    const char *text = *at, *last = memchr(text, 0, (size_t)(end - text));
    *at = last ? last + 1 : end;
    return last ? text : NULL;
}

/* Are the files that were imported the same as then? */
static bool files_are_same(const char *at, const char *end, uint64_t n, source_map *sources)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t hash;
        if ((size_t)(end - at) < sizeof hash) {
            return false;
        }
        memcpy(&hash, at, sizeof hash);
        at += sizeof hash;
        const char *path = take_text(&at, end);
        const source_file *f = path ? source_read(sources, path) : NULL;
        if (!f || hash_bytes(f->text, f->size) != hash) {
            return false;
        }
    }
    return true;
}

static bool open_content(const char *bytes, size_t size, source_map *sources, cache_entry *out)
{
    const cache_content *c = (const void *)bytes;
    const char *end = bytes + size, *object = bytes + sizeof *c;
    if (size < sizeof *c || c->object_size > size - sizeof *c) {
        return false;
    }
    const char *at = object + c->object_size;
    *out = (cache_entry){.object = object, .size = c->object_size};
    out->symbol = take_text(&at, end);
    out->header = take_text(&at, end);
    return out->symbol && out->header && files_are_same(at, end, c->n_files, sources);
}

bool cache_read(const cache_key *k, source_map *sources, arena *a, cache_entry *out)
{
    char path[4096];
    FILE *f = file_name(k, path, sizeof path, false) ? fopen(path, "rb") : NULL;
    cache_header h;
    bool found = false;
    if (f && fread(&h, sizeof h, 1, f) == 1 && memcmp(h.magic, magic, sizeof magic) == 0 &&
        h.a == k->a && h.b == k->b && h.size < (uint64_t)1 << 31) {
        void *bytes = arena_alloc(a, h.size + 1);
        found = fread(bytes, 1, h.size, f) == h.size && fgetc(f) == EOF &&
                hash_bytes(bytes, h.size) == h.sum && open_content(bytes, h.size, sources, out);
    }
    if (f) {
        fclose(f);
    }
    return found;
}

static bool write_whole(const char *path, const cache_header *h, const char *content)
{
    FILE *f = fopen(path, "wbx");
    if (!f) {
        return false;
    }
    bool written = fwrite(h, sizeof *h, 1, f) == 1 && fwrite(content, 1, h->size, f) == h->size;
    return fclose(f) == 0 && written;
}

void cache_write(const cache_key *k, const cache_entry *e, const source_map *sources)
{
    char path[4096], temporary[4200];
    size_t size;
    char *content = file_name(k, path, sizeof path, true) ? content_of(e, sources, &size) : NULL;
    if (!content) {
        return;
    }
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    cache_header h = {.a = k->a, .b = k->b, .size = size, .sum = hash_bytes(content, size)};
    memcpy(h.magic, magic, sizeof magic);
    if (!write_whole(temporary, &h, content) || rename(temporary, path) != 0) {
        unlink(temporary);
    }
    free(content);
}
