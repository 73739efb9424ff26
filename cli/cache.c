#include "cli/cache.h"
#include "support/map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct cache_header {
    char magic[8];
    uint64_t a, b, size, sum;
} cache_header;

static const char magic[8] = "aigcobj1";

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

cache_key cache_key_begin(void)
{
    cache_key k = {1, 2};
    struct stat s;
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    if (n > 0 && stat(path, &s) == 0) { /* another build of the compiler makes other code */
        cache_key_text(&k, path);
        cache_key_bytes(&k, &s.st_mtim, sizeof s.st_mtim);
        cache_key_bytes(&k, &s.st_size, sizeof s.st_size);
    }
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

const void *cache_read(const cache_key *k, arena *a, size_t *size)
{
    char path[4096];
    FILE *f = file_name(k, path, sizeof path, false) ? fopen(path, "rb") : NULL;
    cache_header h;
    const void *out = NULL;
    if (f && fread(&h, sizeof h, 1, f) == 1 && memcmp(h.magic, magic, sizeof magic) == 0 &&
        h.a == k->a && h.b == k->b && h.size < (uint64_t)1 << 31) {
        void *bytes = arena_alloc(a, h.size + 1);
        if (fread(bytes, 1, h.size, f) == h.size && fgetc(f) == EOF &&
            hash_bytes(bytes, h.size) == h.sum) {
            *size = h.size;
            out = bytes;
        }
    }
    if (f) {
        fclose(f);
    }
    return out;
}

void cache_write(const cache_key *k, const void *object, size_t size)
{
    char path[4096], temporary[4200];
    if (!file_name(k, path, sizeof path, true)) {
        return;
    }
    snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid());
    FILE *f = fopen(temporary, "wbx");
    if (!f) {
        return;
    }
    cache_header h = {.a = k->a, .b = k->b, .size = size, .sum = hash_bytes(object, size)};
    memcpy(h.magic, magic, sizeof magic);
    bool written = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(object, 1, size, f) == size;
    written = fclose(f) == 0 && written;
    if (!written || rename(temporary, path) != 0) {
        unlink(temporary);
    }
}
