#include "bench/host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/disk.h"
#include "bench/encode.h"

enum { PROGRAM_SIZE = DISK_FOLDER_SIZE };

/* A program of the same build. */
static void beside(const char *name, char path[static PROGRAM_SIZE])
{
    char self[PROGRAM_SIZE - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(size > 0);
    self[size] = '\0';
    snprintf(path, PROGRAM_SIZE, "%s/%s", dirname(self), name);
}

static void start(struct host *h, const char *const *arguments)
{
    int ends[2];
    pid_t parent = getpid();
    *h = (struct host){0};
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    h->pid = fork();
    CHECK(h->pid >= 0);
    if (h->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && dup2(ends[1], STDOUT_FILENO) >= 0)
            execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(ends[1]);
    h->said = fdopen(ends[0], "r");
    CHECK(h->said);
}

/* Read its start screen up to the line that says it serves. */
static void await_ready(struct host *h, int64_t began_ns)
{
    char line[512], events[64] = "";
    bool ready = false;
    while (!ready && fgets(line, sizeof line, h->said)) {
        const char *colon = strrchr(line, ':');
        if (strncmp(line, "listen", 6) == 0 && colon)
            h->port = (int)strtol(colon + 1, NULL, 10);
        sscanf(line, "recovered in %lf ms: %63s", &h->recovered_ms, events);
        ready = strcmp(line, "ready\n") == 0;
    }
    if (!ready || !h->port)
        stop(STOP_IO, "the server did not start; its last words are above");
    h->ready_ms = (double)(clock_monotonic_ns() - began_ns) / 1e6;
    for (const char *p = events; *p; p++)
        if (*p != ',')
            h->replayed = h->replayed * 10 + (uint64_t)(*p - '0');
}

void host_serve(struct host *h, const char *folder, const char *added)
{
    char program[PROGRAM_SIZE], path[DISK_PATH_SIZE];
    struct tm_error err;
    struct buffer text = {0};
    beside("tidemill", program);
    snprintf(path, sizeof path, "listen: 127.0.0.1:0\nhttp: off\nmemory: { join: 8GiB }\ndata: %s/data\n", folder);
    buffer_put(&text, path, strlen(path));
    buffer_put(&text, encode_configuration, strlen(encode_configuration));
    buffer_put(&text, added, strlen(added));
    snprintf(path, sizeof path, "%s/tidemill.yaml", folder);
    if (file_write_atomic(path, buffer_view(&text), &err) != TM_OK)
        stop(STOP_IO, "%s", err.message);
    buffer_close(&text);
    int64_t began_ns = clock_monotonic_ns();
    start(h, (const char *const[]){program, "serve", "--config", path, NULL});
    await_ready(h, began_ns);
}

void host_floor(struct host *h, size_t reply_bytes)
{
    char program[PROGRAM_SIZE], bytes[32];
    beside("floor_server", program);
    snprintf(bytes, sizeof bytes, "%zu", reply_bytes);
    int64_t began_ns = clock_monotonic_ns();
    start(h, (const char *const[]){program, bytes, NULL});
    await_ready(h, began_ns);
}

static int end_with(struct host *h, int signal)
{
    int status;
    CHECK(kill(h->pid, signal) == 0);
    while (waitpid(h->pid, &status, 0) != h->pid)
        CHECK(errno == EINTR);
    fclose(h->said);
    *h = (struct host){0};
    return status;
}

void host_stop(struct host *h)
{
    int status = end_with(h, SIGTERM);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        stop(STOP_IO, "the server ended with wait status %d; expected exit code 0", status);
}

void host_kill(struct host *h) { end_with(h, SIGKILL); }

double host_cpu(const struct host *h)
{
    clockid_t clock;
    struct timespec t;
    CHECK(clock_getcpuclockid(h->pid, &clock) == 0 && clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The number behind a key in /proc/PID/FILE. */
static uint64_t look_up(const struct host *h, const char *file, const char *key)
{
    char path[64], line[256];
    uint64_t value = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)h->pid, file);
    FILE *f = fopen(path, "re");
    CHECK(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoull(line + strlen(key), NULL, 10);
    fclose(f);
    return value;
}

size_t host_rss(const struct host *h) { return look_up(h, "status", "VmRSS:") * 1024; }
uint64_t host_written(const struct host *h) { return look_up(h, "io", "write_bytes:"); }
