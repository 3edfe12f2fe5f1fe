#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIR_MODE = 0750, FILE_MODE = 0640, READ_STEP = 64 * 1024 };

static enum tm_code io_error(struct tm_error *err, const char *path, const char *doing)
{
    int saved = errno;
    return tm_error_set(err, TM_IO, "%s: %s: %s", path, doing, strerrordesc_np(saved));
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum tm_code path_copy(const char *path, const char *suffix, char out[static PATH_MAX], struct tm_error *err)
{
    int size = snprintf(out, PATH_MAX, "%s%s", path, suffix);
    if (size == 0 || size >= PATH_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "a path has 1 to %d bytes, this one %d", PATH_MAX - 1, size);
    return TM_OK;
}

/* Make the folder's entry for `path` survive a power cut. */
static enum tm_code sync_parent(const char *path, struct tm_error *err)
{
    char parent[PATH_MAX];
    if (path_copy(path, "", parent, err))
        return err ? err->code : TM_INVALID_ARGUMENT;
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0'; /* of "/x" the root stays */
    CLEANUP(close_fd) int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, path, "open folder");
    return fsync(fd) == 0 ? TM_OK : io_error(err, path, "fsync folder");
}

static enum tm_code make_one_dir(const char *path, struct tm_error *err)
{
    struct stat st;
    if (mkdir(path, DIR_MODE) == 0)
        return sync_parent(path, err);
    if (errno != EEXIST)
        return io_error(err, path, "make folder");
    if (stat(path, &st) != 0)
        return io_error(err, path, "stat");
    return S_ISDIR(st.st_mode) ? TM_OK : tm_error_set(err, TM_IO, "%s: is there, but not a folder", path);
}

enum tm_code file_make_dir(const char *path, struct tm_error *err)
{
    char partial[PATH_MAX];
    enum tm_code rc = path_copy(path, "", partial, err);
    if (rc)
        return rc;
    for (char *p = partial + 1; rc == TM_OK && *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        rc = make_one_dir(partial, err);
        *p = '/';
    }
    return rc == TM_OK ? make_one_dir(path, err) : rc;
}

static bool write_all(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t n = write(fd, content.data, content.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        content = bytes_of(content.data + n, content.size - (size_t)n);
    }
    return true;
}

static enum tm_code write_synced(const char *path, struct bytes content, struct tm_error *err)
{
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return io_error(err, path, "open");
    if (!write_all(fd, content))
        return io_error(err, path, "write");
    return fsync(fd) == 0 ? TM_OK : io_error(err, path, "fsync");
}

enum tm_code file_write_atomic(const char *path, struct bytes content, struct tm_error *err)
{
    char temp[PATH_MAX];
    enum tm_code rc = path_copy(path, ".tmp", temp, err);
    if (rc)
        return rc;
    rc = write_synced(temp, content, err);
    if (rc == TM_OK && rename(temp, path) != 0)
        rc = io_error(err, path, "rename");
    if (rc) {
        unlink(temp);
        return rc;
    }
    return sync_parent(path, err);
}

enum tm_code file_read(const char *path, size_t size_max, struct buffer *out, struct tm_error *err)
{
    size_t before = out->size;
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return tm_error_set(err, TM_NOT_FOUND, "%s: no such file", path);
    if (fd < 0)
        return io_error(err, path, "open");
    while (out->size - before <= size_max) {
        ssize_t n = read(fd, buffer_reserve(out, READ_STEP), READ_STEP);
        if (n == 0)
            return TM_OK;
        if (n > 0)
            out->size += (size_t)n;
        else if (errno != EINTR) {
            out->size = before;
            return io_error(err, path, "read");
        }
    }
    out->size = before;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "%s: larger than %zu bytes", path, size_max);
}

static enum tm_code lock_conflict(const char *path, int fd, struct tm_error *err)
{
    char text[24] = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) /* it has the lock, but has not written its pid yet */
        return tm_error_set(err, TM_FAILED_PRECONDITION, "%s: in use by another process", path);
    return tm_error_set(err, TM_FAILED_PRECONDITION, "%s: in use by pid %ld", path, pid);
}

enum tm_code file_lock(const char *path, int *fd, struct tm_error *err)
{
    char pid[24];
    CLEANUP(close_fd) int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (lock < 0)
        return io_error(err, path, "open");
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? lock_conflict(path, lock, err) : io_error(err, path, "lock");
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) != 0 || !write_all(lock, bytes_of(pid, (size_t)size)))
        return io_error(err, path, "write");
    *fd = lock;
    lock = -1;
    return TM_OK;
}
