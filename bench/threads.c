#include "bench/threads.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* First line of a file below /proc; false: the thread has just ended. */
static bool read_line(const char *folder, const char *thread, const char *file, char line[static 128])
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s/%s", folder, thread, file);
    FILE *f = fopen(path, "re");
    bool there = f && fgets(line, 128, f);
    if (f)
        fclose(f);
    return there;
}

static void add_thread(struct thread_times *t, const char *tasks, const char *program, const char *thread, bool first)
{
    char name[128], run[128];
    unsigned long long ns;
    if (!read_line(tasks, thread, "comm", name) || !read_line(tasks, thread, "schedstat", run) ||
        sscanf(run, "%llu", &ns) != 1)
        return;
    if (strcmp(name, program) == 0)
        strcpy(name, first ? "main" : "unnamed");
    name[strcspn(name, "\n")] = '\0';
    entry_of(t, name)->ns += ns;
}

void thread_times_read(pid_t process, struct thread_times *t)
{
    char tasks[64], program[128];
    snprintf(tasks, sizeof tasks, "/proc/%d", (int)process);
    CHECK(read_line(tasks, ".", "comm", program));
    strcat(tasks, "/task");
    DIR *dir = opendir(tasks);
    CHECK(dir);
    t->count = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.')
            add_thread(t, tasks, program, e->d_name, (pid_t)strtol(e->d_name, NULL, 10) == process);
    closedir(dir);
}

uint64_t thread_time_of(const struct thread_times *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->thread[i].name, name) == 0)
            return t->thread[i].ns;
    return 0;
}
