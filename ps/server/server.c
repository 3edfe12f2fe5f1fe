#include "ps/server/server.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ps/server/admin.h"
#include "ps/server/deadletters.h"
#include "ps/server/events.h"
#include "ps/server/health.h"
#include "ps/server/parameters.h"

enum {
    GRACE_MS = 5000,
    RPC_MEMORY = 256 << 20, /* beside the batches that wait for the log: requests, replies, flow control windows */
    EXIT_INTERRUPTED = 130,
    SAME_SIGNAL_MS = 1000,
};

struct server {
    struct engine *engine;
    struct rpc *rpc;
    struct events *events;
    struct parameters *parameters;
    struct admin *admin;
    struct deadletters *deadletters;
    struct health *health;
};

/* ---- signals ---- */

struct signals {
    sigset_t set, before;
    pthread_t thread;
    sem_t asked; /* posted by the first signal */
    atomic_bool closing;
};

static void *signals_main(void *context)
{
    struct signals *s = context;
    int number;
    CHECK(sigwait(&s->set, &number) == 0);
    if (atomic_load(&s->closing))
        return NULL;
    int64_t first_ns = clock_monotonic_ns();
    CHECK(sem_post(&s->asked) == 0);
    for (;;) {
        CHECK(sigwait(&s->set, &number) == 0);
        if (atomic_load(&s->closing))
            return NULL;
        /* Some send the same signal twice, to the process and to its group: that is one wish, not two. */
        if (clock_monotonic_ns() - first_ns >= (int64_t)SAME_SIGNAL_MS * 1000000)
            _exit(EXIT_INTERRUPTED); /* a log that is synced survives this as it survives a crash */
    }
}

/* Before any other thread: they all inherit the mask. */
static void signals_open(struct signals *s)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&s->set);
    sigaddset(&s->set, SIGTERM);
    sigaddset(&s->set, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &s->set, &s->before) == 0);
    CHECK(sem_init(&s->asked, 0, 0) == 0);
    CHECK(pthread_create(&s->thread, NULL, signals_main, s) == 0);
    pthread_setname_np(s->thread, "signals");
}

static void signals_wait(struct signals *s)
{
    while (sem_wait(&s->asked) != 0)
        continue; /* interrupted by a debugger */
}

static void signals_close(struct signals *s)
{
    atomic_store(&s->closing, true);
    CHECK(pthread_kill(s->thread, SIGTERM) == 0); /* it waits in sigwait */
    CHECK(pthread_join(s->thread, NULL) == 0);
    CHECK(sem_destroy(&s->asked) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &s->before, NULL) == 0);
}

/* ---- start screen ---- */

/* "20,115" */
static const char *grouped(uint64_t n, char out[static 32])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n), size = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[size++] = ',';
        out[size++] = digits[i];
    }
    out[size] = '\0';
    return out;
}

static void print_start(const struct server *s, const struct options *options, const struct engine_status *status)
{
    const char *colon = strrchr(options->listen, ':');
    int host = colon ? (int)(colon - options->listen) : (int)strlen(options->listen);
    uint32_t threads = 0;
    char events[32];
    for (uint32_t i = 0; i < options->shards; i++)
        threads = status->shards[i].thread + 1 > threads ? status->shards[i].thread + 1 : threads;
    printf("tidemill    %s\n", TIDEMILL_VERSION);
    printf("data        %s\n", options->data);
    printf("listen      %.*s:%d\n", host, options->listen, rpc_port(s->rpc));
    printf("generation  %s\n", engine_generation(s->engine));
    printf("shards      %" PRIu32 " on %" PRIu32 " thread%s\n", options->shards, threads, threads == 1 ? "" : "s");
    printf("recovered in %.1f ms: %s events replayed\n", status->recovery_ms,
           grouped(status->recovered_events, events));
    printf("ready\n");
    fflush(stdout);
}

/* ---- life ---- */

static void disk_changed(void *server, enum disk_state state)
{
    static const struct {
        const char *level, *event;
    } says[] = {
        [DISK_ROOM] = {"info", "disk_room"}, [DISK_LOW] = {"warn", "disk_low"}, [DISK_FULL] = {"warn", "disk_full"}};
    struct server *s = server;
    log_line(says[state].level, says[state].event, "data=%s", engine_options(s->engine)->data);
    health_events(s->health, state == DISK_ROOM);
    if (state == DISK_FULL)
        events_cut(s->events);
}

static void services_open(struct server *s, const struct options *options, const struct catalog *catalog)
{
    s->rpc = rpc_open(&(struct rpc_options){
        .listen = options->listen,
        .threads = options->rpc_threads,
        .memory_max = options->memory_inbox + RPC_MEMORY,
    });
    s->events = events_open(s->engine, catalog, s->rpc);
    s->parameters = parameters_open(s->engine, s->rpc);
    s->admin = admin_open(s->engine, catalog, s->rpc);
    s->deadletters = deadletters_open(s->engine, catalog, s->admin, s->rpc);
    s->health = health_open(s->rpc);
    engine_on_disk(s->engine, disk_changed, s);
}

static void services_close(struct server *s)
{
    engine_on_disk(s->engine, NULL, NULL);
    engine_leave(s->engine);
    health_drain(s->health);
    events_drain(s->events);
    parameters_drain(s->parameters);
    admin_drain(s->admin);
    rpc_stop(s->rpc, GRACE_MS);
    events_close(s->events);
    parameters_close(s->parameters);
    admin_close(s->admin);
    deadletters_close(s->deadletters);
    health_close(s->health);
    rpc_close(s->rpc);
}

static enum tm_code serve(struct server *s, const struct options *options, struct signals *signals,
                          struct tm_error *err)
{
    struct engine_status status;
    enum tm_code rc;
    engine_status(s->engine, &status);
    services_open(s, options, status.catalog);
    rc = rpc_start(s->rpc, err);
    if (rc == TM_OK) {
        print_start(s, options, &status);
        signals_wait(signals);
    }
    engine_status_close(&status);
    services_close(s);
    return rc;
}

enum tm_code server_run(const struct options *options, struct tm_error *err)
{
    struct server s = {0};
    struct signals signals = {0};
    signals_open(&signals);
    enum tm_code rc = engine_open(options, &s.engine, err);
    if (rc == TM_OK) {
        rc = serve(&s, options, &signals, err);
        engine_close(s.engine);
    }
    signals_close(&signals);
    if (rc == TM_OK) {
        printf("stopped: everything accepted is committed\n");
        fflush(stdout);
    }
    return rc;
}
