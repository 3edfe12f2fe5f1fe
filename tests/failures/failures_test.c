/* The k-th failure loops: a script on the storage path runs in a process in which one call fails, once; then another
 * process starts on what is left and counts.
 *
 * Each run must either go on to its end or stop with a documented exit code and a last line that says why; and after
 * the restart nothing that was acknowledged may be missing and nothing doubled. Without arguments a few k of each kind
 * of call are drawn from a fixed seed; --all takes k = 1, 2, 3 ... until the script passes without meeting the
 * failure. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "tests/failures/script.h"
#include "tests/unit/random.h"

enum { REPORT_FD = 100, SAMPLE_DEFAULT = 4, SECONDS_MAX = 1000000, EXIT_BROKEN = 99, EXIT_ABORTED = 134 };

struct plan {
    bool all;
    uint64_t sample, seed, seconds; /* seconds: no run begins later */
    int call;                       /* -1: every kind */
    uint64_t at;                    /* 0: not a single one */
};

struct tally {
    uint64_t calls, runs, hits, passed, refused, stopped, aborted, wrong;
    bool complete;
};

/* ---- processes ---- */

static int child(char **argv)
{
    struct failing_report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, REPORT_FD, 0);
    enum failing_call call = (enum failing_call)strtoul(argv[3], NULL, 10);
    uint64_t at = strtoull(argv[4], NULL, 10);
    if (report == MAP_FAILED)
        return EXIT_BROKEN;
    if (strcmp(argv[1], "judge") == 0)
        return script_judge(argv[2], report);
    failing_arm(argv[2], call, at, report);
    return script_run(argv[2], report);
}

/* This program again, with standard error into a file. Returns its exit code, or 128 + the signal. */
static int run(const char *what, const char *folder, enum failing_call call, uint64_t at, int report_fd,
               const char *errors)
{
    char call_text[24], at_text[24];
    int status;
    snprintf(call_text, sizeof call_text, "%d", (int)call);
    snprintf(at_text, sizeof at_text, "%" PRIu64, at);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        int to = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (to < 0 || dup2(to, STDERR_FILENO) < 0 || dup2(report_fd, REPORT_FD) < 0)
            _exit(EXIT_BROKEN);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        execl("/proc/self/exe", "test_failures", what, folder, call_text, at_text, (char *)NULL);
        _exit(EXIT_BROKEN);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- one k ---- */

struct trial {
    enum failing_call call;
    uint64_t at;
    char folder[64], data[80], errors[80];
    int report_fd;
    struct failing_report *report;
};

static void trial_open(struct trial *t, enum failing_call call, uint64_t at)
{
    static const char name[] = "tidemill-failures-XXXXXX";
    *t = (struct trial){.call = call, .at = at};
    /* In memory if it can be: nothing here loses power, and the syncs of a disk are most of the time. */
    snprintf(t->folder, sizeof t->folder, "/dev/shm/%s", name);
    if (!mkdtemp(t->folder)) {
        snprintf(t->folder, sizeof t->folder, "/tmp/%s", name);
        CHECK(mkdtemp(t->folder));
    }
    snprintf(t->data, sizeof t->data, "%s/data", t->folder);
    snprintf(t->errors, sizeof t->errors, "%s/errors", t->folder);
    t->report_fd = memfd_create("report", 0);
    CHECK(t->report_fd >= 0 && ftruncate(t->report_fd, sizeof *t->report) == 0);
    t->report = mmap(NULL, sizeof *t->report, PROT_READ | PROT_WRITE, MAP_SHARED, t->report_fd, 0);
    CHECK(t->report != MAP_FAILED);
}

static int unlink_visited(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static void trial_close(struct trial *t)
{
    munmap(t->report, sizeof *t->report);
    close(t->report_fd);
    nftw(t->folder, unlink_visited, 16, FTW_DEPTH | FTW_PHYS);
}

/* The last line of the file, without its end; "" if there is none. */
static void last_line(const char *path, char line[static 1024])
{
    char buf[1024];
    line[0] = '\0';
    FILE *f = fopen(path, "r");
    while (f && fgets(buf, sizeof buf, f))
        memcpy(line, buf, sizeof buf);
    if (f)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
}

static bool starts(const char *line, const char *with) { return strncmp(line, with, strlen(with)) == 0; }

/* RocksDB asserts that what it writes to its chatty LOG gets there: the process ends by SIGABRT, and loses nothing. */
static bool is_chat(const char *path)
{
    const char *name = strrchr(path, '/');
    return name && strcmp(name, "/LOG") == 0;
}

/* Is this how the process may end? docs/operating.md has the codes. */
static bool is_documented(const struct trial *t, int code, const char *line)
{
    if (code == 0)
        return true;
    if (!t->report->hit)
        return false;
    if (t->call == FAILING_memory)
        return code == STOP_MEMORY && starts(line, "tidemill: stopped (exit 71): out of memory: ");
    if (code == STOP_IO)
        return starts(line, "tidemill: stopped (exit 70): ");
    if (code == EXIT_ABORTED)
        return is_chat(t->report->path);
    return code == tm_code_exit(TM_IO) && starts(line, "tidemill: ");
}

static void explain(const struct trial *t, const char *what, int code, const char *line)
{
    printf("%s: call %" PRIu64 " (%s): %s: exit code %d: %s\n", failing_names[t->call], t->at,
           t->report->hit ? t->report->path : "not met", what, code, line);
    printf("again: test_failures --call %s --at %" PRIu64 "\n", failing_names[t->call], t->at);
    fflush(stdout);
}

static void try(enum failing_call call, uint64_t at, struct tally *tally)
{
    struct trial t;
    char line[1024];
    trial_open(&t, call, at);
    int code = run("run", t.data, call, at, t.report_fd, t.errors);
    last_line(t.errors, line);
    tally->runs++;
    tally->hits += t.report->hit;
    *(code == 0                                ? &tally->passed
      : code == STOP_IO || code == STOP_MEMORY ? &tally->stopped
      : code == EXIT_ABORTED                   ? &tally->aborted
                                               : &tally->refused) += 1;
    bool right = is_documented(&t, code, line);
    if (!right)
        explain(&t, "ended as it may not", code, line);
    int judged = run("judge", t.data, call, 0, t.report_fd, t.errors);
    if (judged != 0) {
        last_line(t.errors, line);
        explain(&t, "after the restart", judged, line);
    }
    tally->wrong += !right || judged != 0;
    trial_close(&t);
}

/* ---- which k ---- */

/* How many calls of each kind the script makes when nothing fails. Threads make it a few more or less each time. */
static void count_calls(struct tally *tallies)
{
    struct trial t;
    char line[1024];
    trial_open(&t, FAILING_memory, 0);
    int code = run("run", t.data, FAILING_memory, 0, t.report_fd, t.errors);
    last_line(t.errors, line);
    if (code == 0)
        code = run("judge", t.data, FAILING_memory, 0, t.report_fd, t.errors);
    if (code != 0)
        explain(&t, "without any failure", code, line);
    CHECK(code == 0);
    for (int c = 0; c < FAILING_COUNT; c++)
        tallies[c].calls = atomic_load(&t.report->calls[c]);
    trial_close(&t);
}

struct pair {
    enum failing_call call;
    uint64_t at;
};

/* Each (call, k) once; shuffled, so that whatever time there is falls on all kinds of calls. */
static void try_all(const struct plan *p, struct tally *tallies)
{
    size_t count = 0, n = 0;
    uint64_t random = p->seed;
    for (int c = 0; c < FAILING_COUNT; c++)
        count += tallies[c].calls;
    struct pair *pairs = mem_new(count, sizeof *pairs);
    for (int c = 0; c < FAILING_COUNT; c++)
        for (uint64_t k = 1; k <= tallies[c].calls; k++)
            pairs[n++] = (struct pair){(enum failing_call)c, k};
    for (size_t i = count; i > 1; i--) {
        size_t j = below(&random, i);
        struct pair swapped = pairs[j];
        pairs[j] = pairs[i - 1];
        pairs[i - 1] = swapped;
    }
    int64_t end = clock_monotonic_ns() + (int64_t)p->seconds * 1000000000;
    for (size_t i = 0; i < count && clock_monotonic_ns() < end; i++)
        if (p->call < 0 || pairs[i].call == (enum failing_call)p->call)
            try(pairs[i].call, pairs[i].at, &tallies[pairs[i].call]);
    free(pairs);
    for (int c = 0; c < FAILING_COUNT; c++) /* until a run passes without meeting its failure */
        for (uint64_t k = tallies[c].calls + 1; (p->call < 0 || c == p->call) && clock_monotonic_ns() < end; k++) {
            uint64_t hits = tallies[c].hits;
            try((enum failing_call)c, k, &tallies[c]);
            if (tallies[c].hits == hits) {
                tallies[c].complete = true;
                break;
            }
        }
}

/* The script cut into as many parts as there are runs, one k in each: starts, service and stops all have their turn. */
static void try_some(const struct plan *p, struct tally *tallies)
{
    uint64_t random = p->seed;
    for (int c = 0; c < FAILING_COUNT; c++)
        for (uint64_t i = 0; i < p->sample && (p->call < 0 || c == p->call); i++) {
            uint64_t from = i * tallies[c].calls / p->sample, to = (i + 1) * tallies[c].calls / p->sample;
            if (from < to)
                try((enum failing_call)c, 1 + from + below(&random, to - from), &tallies[c]);
        }
}

static int tell(const struct tally *tallies)
{
    struct tally sum = {0};
    printf("%-10s %7s %6s %6s %8s %8s %8s %8s %6s\n", "call", "calls", "runs", "met", "went on", "refused", "stopped",
           "aborted", "wrong");
    for (int c = 0; c < FAILING_COUNT; c++) {
        const struct tally *t = &tallies[c];
        printf("%-10s", failing_names[c]);
        printf(" %7" PRIu64 " %6" PRIu64 " %6" PRIu64, t->calls, t->runs, t->hits);
        printf(" %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64, t->passed, t->refused, t->stopped, t->aborted);
        printf(" %6" PRIu64 "%s\n", t->wrong, t->complete ? "  all" : "");
        sum.runs += t->runs;
        sum.hits += t->hits;
        sum.wrong += t->wrong;
    }
    printf("%" PRIu64 " runs, %" PRIu64 " failures met, %" PRIu64 " wrong\n", sum.runs, sum.hits, sum.wrong);
    return sum.wrong > 0 || sum.runs == 0;
}

/* ---- the command line ---- */

static int call_of(const char *name)
{
    for (int c = 0; c < FAILING_COUNT; c++)
        if (strcmp(failing_names[c], name) == 0)
            return c;
    return -1;
}

static bool parse(int argc, char **argv, struct plan *p)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--all") == 0) {
            p->all = true;
            continue;
        }
        uint64_t number = strtoull(value, NULL, 10);
        i++;
        if (strcmp(argv[i - 1], "--sample") == 0)
            p->sample = number;
        else if (strcmp(argv[i - 1], "--seed") == 0)
            p->seed = number;
        else if (strcmp(argv[i - 1], "--seconds") == 0 && number <= SECONDS_MAX)
            p->seconds = number;
        else if (strcmp(argv[i - 1], "--at") == 0)
            p->at = number;
        else if (strcmp(argv[i - 1], "--call") == 0 && call_of(value) >= 0)
            p->call = call_of(value);
        else
            return false;
    }
    return p->at == 0 || p->call >= 0;
}

int main(int argc, char **argv)
{
    static struct tally tallies[FAILING_COUNT];
    struct plan p = {.sample = SAMPLE_DEFAULT, .seed = 1, .seconds = SECONDS_MAX, .call = -1};
    if (argc == 5 && (strcmp(argv[1], "run") == 0 || strcmp(argv[1], "judge") == 0))
        return child(argv);
    if (!parse(argc, argv, &p)) {
        fprintf(stderr, "usage: test_failures [--all] [--sample N] [--seed N] [--seconds N] [--call NAME [--at K]]\n");
        return 2;
    }
    if (p.at) {
        try((enum failing_call)p.call, p.at, &tallies[p.call]);
        return tell(tallies);
    }
    count_calls(tallies);
    if (p.all)
        try_all(&p, tallies);
    else
        try_some(&p, tallies);
    return tell(tallies);
}
