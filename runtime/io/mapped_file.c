#include "runtime/io/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

aigc_status mapped_file_open(const char *path, mapped_file *out, aigc_error *err)
{
    *out = (mapped_file){NULL, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) {
        return aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return aigc_fail(err, AIGC_ERR_IO, "%s: not a regular file", path);
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            close(fd);
            return aigc_fail(err, AIGC_ERR_IO, "%s: %s", path, strerror(errno));
        }
        *out = (mapped_file){p, (size_t)st.st_size};
    }
    close(fd);
    return AIGC_OK;
}

void mapped_file_close(mapped_file *f)
{
    if (f->data) {
        munmap((void *)(uintptr_t)f->data, f->size);
    }
    *f = (mapped_file){NULL, 0};
}
