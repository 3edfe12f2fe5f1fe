#include "bench/threads.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

static struct thread_time *entry_of(struct thread_times *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->thread[i].name, name) == 0)
            return &t->thread[i];
    CHECK(t->count < THREAD_NAMES_MAX);
    struct thread_time *e = &t->thread[t->count++];
    snprintf(e->name, sizeof e->name, "%.15s", name); /* as long as the kernel lets names be */
    e->ns = 0;
    return e;
}

/* First line of /proc/self/task/THREAD/FILE; false: the thread has just ended. */
static bool read_line(const char *thread, const char *file, char line[static 128])
{
    char path[320];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, file);
    FILE *f = fopen(path, "re");
    bool there = f && fgets(line, 128, f);
    if (f)
        fclose(f);
    return there;
}

static void add_thread(struct thread_times *t, const char *thread)
{
    char name[128], run[128];
    unsigned long long ns;
    if (!read_line(thread, "comm", name) || !read_line(thread, "schedstat", run) || sscanf(run, "%llu", &ns) != 1)
        return;
    name[strcspn(name, "\n")] = '\0';
    if (strcmp(name, program_invocation_short_name) == 0) {
        char self[32];
        snprintf(self, sizeof self, "%d", (int)gettid());
        strcpy(name, strcmp(self, thread) == 0 ? "main" : "unnamed");
    }
    entry_of(t, name)->ns += ns;
}

void thread_times_read(struct thread_times *t)
{
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir);
    t->count = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.')
            add_thread(t, e->d_name);
    closedir(dir);
}

uint64_t thread_time_of(const struct thread_times *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->thread[i].name, name) == 0)
            return t->thread[i].ns;
    return 0;
}
