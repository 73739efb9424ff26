/* LLVM and what uses it, from a file beside the command, when there is something to compile. */
#include "backend/codegen.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

const char *codegen_path(void)
{
    static const char name[] = "aigc-llvm.so";
    static char path[4096];
    if (!*path) {
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof name);
        path[n > 0 ? n : 0] = 0;
        char *slash = strrchr(path, '/');
        memcpy(slash ? slash + 1 : path, name, sizeof name);
    }
    return path;
}

const codegen *codegen_get(diag *d)
{
    static const codegen *loaded; /* the command compiles in one thread */
    if (!loaded) {
        void *file = dlopen(codegen_path(), RTLD_NOW | RTLD_LOCAL);
        loaded = file ? dlsym(file, "codegen_llvm") : NULL;
    }
    if (!loaded) {
        diag_error(d, (span){0}, "the code generator cannot be loaded: %s", dlerror());
    }
    return loaded;
}
