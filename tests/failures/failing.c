#undef _FORTIFY_SOURCE /* its inlined functions are those that are defined here */
#include "tests/failures/failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

const char *const failing_names[FAILING_COUNT] = {
#define C(name) #name,
    FAILING_CALLS(C)
#undef C
};

static struct {
    char folder[PATH_MAX];
    enum failing_call call;
    uint64_t at;
    struct failing_report *_Atomic report; /* NULL: not armed */
} failing;

void failing_arm(const char *folder, enum failing_call call, uint64_t at, struct failing_report *report)
{
    snprintf(failing.folder, sizeof failing.folder, "%s", folder);
    failing.call = call;
    failing.at = at;
    atomic_store(&failing.report, report);
}

/* Is it this call's turn to fail? errno is set then. */
static bool fails(enum failing_call call, const char *path)
{
    struct failing_report *r = atomic_load(&failing.report);
    if (!r || strncmp(path, failing.folder, strlen(failing.folder)) != 0)
        return false;
    uint64_t number = atomic_fetch_add(&r->calls[call], 1) + 1;
    if (call != failing.call || number != failing.at)
        return false;
    snprintf(r->path, sizeof r->path, "%s", path + strlen(failing.folder));
    atomic_store(&r->hit, true);
    errno = EIO;
    return true;
}

static bool fails_on(enum failing_call call, int fd)
{
    char link[64], path[PATH_MAX];
    if (!atomic_load(&failing.report))
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return false;
    path[size] = '\0';
    return fails(call, path);
}

/* ---- in front of the C library ---- */

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return fails(FAILING_open, path) ? -1 : REAL(open)(path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return fails_on(FAILING_write, fd) ? -1 : REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return fails_on(FAILING_pwrite, fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}

ssize_t read(int fd, void *data, size_t size) { return fails_on(FAILING_read, fd) ? -1 : REAL(read)(fd, data, size); }

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    return fails_on(FAILING_pread, fd) ? -1 : REAL(pread)(fd, data, size, at);
}

int fsync(int fd) { return fails_on(FAILING_fsync, fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails_on(FAILING_fdatasync, fd) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return fails_on(FAILING_ftruncate, fd) ? -1 : REAL(ftruncate)(fd, size); }

int rename(const char *from, const char *to) { return fails(FAILING_rename, to) ? -1 : REAL(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { return fails(FAILING_mkdir, path) ? -1 : REAL(mkdir)(path, mode); }
int unlink(const char *path) { return fails(FAILING_unlink, path) ? -1 : REAL(unlink)(path); }

/* ---- memory: the linker's --wrap ---- */

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(FAILING_memory, failing.folder) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(FAILING_memory, failing.folder) ? NULL : __real_realloc(old, size);
}
