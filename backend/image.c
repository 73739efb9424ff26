#include "backend/image.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef enum group { CODE, READ, WRITTEN, GROUPS, NOWHERE } group;

typedef struct place { /* of a section, in the image */
    group in;
    size_t at;
} place;

struct image {
    unsigned char *memory;
    size_t size;
    size_t begins[GROUPS + 1]; /* of groups, whole pages */
    /* While linking */
    const unsigned char *object;
    size_t object_size;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *sections;
    place *places;
    /* Exported symbols: names and addresses */
    uint32_t n_exported;
    const char **names;
    const void **addresses;
    char *strings;
};

/* Relocations ---------------------------------------------------------------------------------- */

#if defined __x86_64__
enum { MACHINE = EM_X86_64 };
#else
enum { MACHINE = EM_NONE };
#endif

/* What is stored: value = symbol + addend, less the place where `relative`, in so many bytes. */
static const struct relocation {
    uint16_t machine;
    uint32_t type;
    uint32_t bytes;
    bool relative;
} relocations[] = {
    {EM_X86_64, R_X86_64_64,    8, false},
    {EM_X86_64, R_X86_64_PC64,  8, true },
    {EM_X86_64, R_X86_64_PC32,  4, true },
    {EM_X86_64, R_X86_64_PLT32, 4, true },
};

static const struct relocation *relocation_of(uint64_t type)
{
    for (size_t i = 0; i < sizeof relocations / sizeof *relocations; i++) {
        if (relocations[i].machine == MACHINE && relocations[i].type == type) {
            return &relocations[i];
        }
    }
    return NULL;
}

/* Reading the object ----------------------------------------------------------------------------
 */

static bool within(size_t size, uint64_t at, uint64_t bytes)
{
    return at <= size && bytes <= size - at;
}

static bool read_head(image *m)
{
    m->head = (const void *)m->object;
    const Elf64_Ehdr *h = m->head;
    if (m->object_size < sizeof *h || (uintptr_t)m->object % _Alignof(Elf64_Ehdr) ||
        memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_type != ET_REL || h->e_machine != MACHINE || h->e_shentsize != sizeof(Elf64_Shdr) ||
        h->e_shoff % _Alignof(Elf64_Shdr) ||
        !within(m->object_size, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr))) {
        return false;
    }
    m->sections = (const void *)(m->object + h->e_shoff);
    for (uint32_t i = 0; i < h->e_shnum; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        if ((s->sh_type != SHT_NOBITS && !within(m->object_size, s->sh_offset, s->sh_size)) ||
            s->sh_size > UINT32_MAX || s->sh_addralign > 4096 ||
            (s->sh_addralign & (s->sh_addralign - 1))) {
            return false;
        }
    }
    return true;
}

/* A section of records, each of that many bytes. */
static const void *records(const image *m, const Elf64_Shdr *s, size_t bytes, size_t *n)
{
    *n = s->sh_size / bytes;
    return s->sh_entsize == bytes && s->sh_offset % 8 == 0 ? m->object + s->sh_offset : NULL;
}

static group group_of(const Elf64_Shdr *s)
{
    bool frames = s->sh_type == SHT_X86_64_UNWIND;
    return !(s->sh_flags & SHF_ALLOC) || frames ? NOWHERE
           : s->sh_flags & SHF_TLS              ? GROUPS /* not possible */
           : s->sh_flags & SHF_EXECINSTR        ? CODE
           : s->sh_flags & SHF_WRITE            ? WRITTEN
                                                : READ;
}

/* Placing and filling ---------------------------------------------------------------------------
 */

static bool lay_out(image *m)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), at = 0;
    m->places = calloc((size_t)m->head->e_shnum + 1, sizeof *m->places);
    if (!m->places) {
        return false;
    }
    for (uint32_t i = 0; i < m->head->e_shnum; i++) {
        m->places[i].in = group_of(&m->sections[i]);
        if (m->places[i].in == GROUPS) {
            return false;
        }
    }
    for (int g = 0; g < GROUPS; g++) {
        m->begins[g] = at;
        for (uint32_t i = 0; i < m->head->e_shnum; i++) {
            const Elf64_Shdr *s = &m->sections[i];
            if ((int)m->places[i].in == g) {
                size_t align = s->sh_addralign ? s->sh_addralign : 1;
                at = (at + align - 1) / align * align;
                m->places[i].at = at;
                at += s->sh_size;
            }
        }
        at = (at + page - 1) / page * page;
    }
    m->begins[GROUPS] = m->size = at;
    return at > 0;
}

static bool fill(image *m)
{
    void *p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return false;
    }
    m->memory = p;
    for (uint32_t i = 0; i < m->head->e_shnum; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        if (m->places[i].in != NOWHERE && s->sh_type != SHT_NOBITS) {
            memcpy(m->memory + m->places[i].at, m->object + s->sh_offset, s->sh_size);
        }
    }
    return true;
}

/* Symbols ---------------------------------------------------------------------------------------
 */

typedef struct symbols {
    const Elf64_Sym *all;
    size_t n;
    const char *names;
    size_t names_size; /* the last byte is 0 */
} symbols;

static bool read_symbols(const image *m, uint32_t section, symbols *out)
{
    const Elf64_Shdr *s = section < m->head->e_shnum ? &m->sections[section] : NULL;
    if (!s || s->sh_type != SHT_SYMTAB || s->sh_link >= m->head->e_shnum) {
        return false;
    }
    const Elf64_Shdr *strings = &m->sections[s->sh_link];
    out->all = records(m, s, sizeof *out->all, &out->n);
    out->names = (const char *)m->object + strings->sh_offset;
    out->names_size = strings->sh_size;
    return out->all && strings->sh_type == SHT_STRTAB && out->names_size &&
           out->names[out->names_size - 1] == 0;
}

/* Where a function of this process is. Code for old CPUs calls the C compiler's own (conversions of
 * f16), whose library is loaded for those that need it. */
static const void *of_process(const char *name)
{
    const void *at = dlsym(RTLD_DEFAULT, name);
    if (!at && strncmp(name, "__", 2) == 0) {
        void *helpers = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL); /* stays */
        at = helpers ? dlsym(helpers, name) : NULL;
    }
    return at;
}

static bool address_of(const image *m, const symbols *all, size_t i, uint64_t *out)
{
    const Elf64_Sym *s = i < all->n ? &all->all[i] : NULL;
    if (!s || s->st_name >= all->names_size) {
        return false;
    }
    if (s->st_shndx == SHN_UNDEF) {
        *out = (uint64_t)(uintptr_t)of_process(all->names + s->st_name);
        return *out != 0;
    }
    if (s->st_shndx >= m->head->e_shnum || m->places[s->st_shndx].in == NOWHERE ||
        s->st_value > m->sections[s->st_shndx].sh_size) {
        return false;
    }
    *out = (uint64_t)(uintptr_t)(m->memory + m->places[s->st_shndx].at) + s->st_value;
    return true;
}

static bool relocate(image *m, const Elf64_Shdr *list)
{
    symbols all;
    size_t n;
    const Elf64_Rela *r = records(m, list, sizeof *r, &n);
    if (!r || list->sh_info >= m->head->e_shnum) {
        return false;
    }
    const place *to = &m->places[list->sh_info];
    if (to->in == NOWHERE) {
        return true;
    }
    if (!read_symbols(m, list->sh_link, &all)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct relocation *how = relocation_of(ELF64_R_TYPE(r[i].r_info));
        uint64_t value;
        if (!how || !within(m->sections[list->sh_info].sh_size, r[i].r_offset, how->bytes) ||
            !address_of(m, &all, ELF64_R_SYM(r[i].r_info), &value)) {
            return false;
        }
        unsigned char *at = m->memory + to->at + r[i].r_offset;
        value += (uint64_t)r[i].r_addend - (how->relative ? (uint64_t)(uintptr_t)at : 0);
        if (how->bytes == 4 && (int64_t)value != (int32_t)value) {
            return false;
        }
        memcpy(at, &value, how->bytes); /* the low bytes first */
    }
    return true;
}

static bool is_exported(const Elf64_Sym *s)
{
    return ELF64_ST_BIND(s->st_info) == STB_GLOBAL && s->st_shndx != SHN_UNDEF;
}

static bool keep_exported(image *m, uint32_t section)
{
    symbols all;
    if (!read_symbols(m, section, &all)) {
        return false;
    }
    m->names = calloc(all.n + 1, sizeof *m->names);
    m->addresses = calloc(all.n + 1, sizeof *m->addresses);
    m->strings = malloc(all.names_size);
    if (!m->names || !m->addresses || !m->strings) {
        return false;
    }
    memcpy(m->strings, all.names, all.names_size);
    for (size_t i = 0; i < all.n; i++) {
        uint64_t address;
        if (is_exported(&all.all[i])) {
            if (!address_of(m, &all, i, &address)) {
                return false;
            }
            m->names[m->n_exported] = m->strings + all.all[i].st_name;
            m->addresses[m->n_exported++] = (const void *)(uintptr_t)address;
        }
    }
    return true;
}

static bool link_sections(image *m)
{
    bool ok = true;
    for (uint32_t i = 0; i < m->head->e_shnum && ok; i++) {
        const Elf64_Shdr *s = &m->sections[i];
        ok = s->sh_type == SHT_RELA                  ? relocate(m, s)
             : s->sh_type == SHT_SYMTAB && !m->names ? keep_exported(m, i)
                                                     : s->sh_type != SHT_REL;
    }
    return ok;
}

static bool protect(const image *m)
{
    static const int rights[GROUPS] = {PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
    for (int g = 0; g < GROUPS; g++) {
        size_t size = m->begins[g + 1] - m->begins[g];
        if (size && mprotect(m->memory + m->begins[g], size, rights[g]) != 0) {
            return false;
        }
    }
    __builtin___clear_cache((char *)m->memory, (char *)m->memory + m->begins[READ]);
    return true;
}

image *image_link(const void *object, size_t size)
{
    image *m = calloc(1, sizeof *m);
    if (!m) {
        return NULL;
    }
    m->object = object;
    m->object_size = size;
    bool ok = read_head(m) && lay_out(m) && fill(m) && link_sections(m) && protect(m);
    free(m->places);
    m->places = NULL;
    if (!ok) {
        image_destroy(m);
        return NULL;
    }
    return m;
}

const void *image_symbol(const image *m, const char *name)
{
    for (uint32_t i = 0; i < m->n_exported; i++) {
        if (strcmp(m->names[i], name) == 0) {
            return m->addresses[i];
        }
    }
    return NULL;
}

void image_destroy(image *m)
{
    if (!m) {
        return;
    }
    if (m->memory) {
        munmap(m->memory, m->size);
    }
    free(m->places);
    free(m->names);
    free(m->addresses);
    free(m->strings);
    free(m);
}
