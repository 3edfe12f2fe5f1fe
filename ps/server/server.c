#include "ps/server/server.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "ps/server/admin.h"
#include "ps/server/comparisons.h"
#include "ps/server/deadletters.h"
#include "ps/server/events.h"
#include "ps/server/health.h"
#include "ps/server/http_api.h"
#include "ps/server/parameter_changes.h"
#include "ps/server/parameters.h"
#include "ps/server/ranking.h"
#include "ps/server/reflection.h"
#include "ps/server/samples.h"
#include "ps/server/versions.h"
#include "ps/server/window.h"

enum {
    GRACE_MS = 5000,
    RPC_MEMORY = 256 << 20, /* beside the batches that wait for the log: requests, replies, flow control windows */
    EXIT_INTERRUPTED = 130,
    SAME_SIGNAL_MS = 1000,
};

struct server {
    const struct options *options;
    const struct server_configuration *again;
    struct engine *engine;
    struct descriptors *descriptors;
    struct rpc *rpc;
    struct events *events;
    struct parameters *parameters;
    struct ranking *ranking;
    struct admin *admin;
    struct deadletters *deadletters;
    struct samples *samples;
    struct comparisons *comparisons;
    struct versions *versions;
    struct parameter_changes *changes;
    struct window *window;
    struct health *health;
    struct reflection *reflection;
    struct http *http; /* NULL: off */
    struct http_api *http_api;
    enum disk_state disk_said; /* DISK_ROOM: nothing yet, or that there is room again */
};

/* ---- signals ---- */

struct signals {
    sigset_t set, before;
    pthread_t thread;
    sem_t asked; /* posted by the signals that set... */
    atomic_bool leave;
    atomic_bool reload;
    atomic_bool closing;
};

/* The next one that asks to leave; false: we are leaving anyway. */
static bool next_signal(struct signals *s)
{
    for (;;) {
        int number;
        CHECK(sigwait(&s->set, &number) == 0);
        if (atomic_load(&s->closing))
            return false;
        if (number != SIGHUP)
            return true;
        atomic_store(&s->reload, true);
        CHECK(sem_post(&s->asked) == 0);
    }
}

static void *signals_main(void *context)
{
    struct signals *s = context;
    if (!next_signal(s))
        return NULL;
    int64_t first_ns = clock_monotonic_ns();
    atomic_store(&s->leave, true);
    CHECK(sem_post(&s->asked) == 0);
    for (;;) {
        if (!next_signal(s))
            return NULL;
        /* Some send the same signal twice, to the process and to its group: that is one wish, not two. */
        if (clock_ms_since(first_ns) >= SAME_SIGNAL_MS)
            _exit(EXIT_INTERRUPTED); /* a log that is synced survives this as it survives a crash */
    }
}

/* What failed changes nothing. */
static enum tm_code read_again(struct engine *engine, const struct server_configuration *again, struct tm_error *err)
{
    if (!again)
        return engine_reload(engine, NULL, err);
    struct options *wanted = mem_new(1, sizeof *wanted);
    enum tm_code rc = again->read(again->context, wanted, err);
    if (rc == TM_OK)
        rc = engine_reload(engine, wanted, err);
    free(wanted);
    return rc;
}

static void reload(struct engine *engine, const struct server_configuration *again)
{
    struct tm_error err;
    if (read_again(engine, again, &err) != TM_OK) {
        log_line("error", "reload_failed", "message=\"%s\"", err.message);
        return;
    }
    struct engine_reloaded now = engine_reloaded(engine);
    log_line("info", "reloaded", "users_blocked=%" PRIu64 " users_allowed=%" PRIu64, now.blocked, now.allowed);
}

/* Before any other thread: they all inherit the mask. */
static void signals_open(struct signals *s)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&s->set);
    sigaddset(&s->set, SIGTERM);
    sigaddset(&s->set, SIGINT);
    sigaddset(&s->set, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, &s->set, &s->before) == 0);
    CHECK(sem_init(&s->asked, 0, 0) == 0);
    CHECK(thread_start(&s->thread, "signals", signals_main, s, NULL) == TM_OK);
}

/* Until we are asked to leave. */
static void signals_wait(struct signals *s, struct engine *engine, const struct server_configuration *again)
{
    while (!atomic_load(&s->leave)) {
        if (sem_wait(&s->asked) == 0 && atomic_exchange(&s->reload, false)) /* else interrupted by a debugger */
            reload(engine, again);
    }
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

/* The address as configured, with the port that was taken. */
static void print_address(const char *name, const char *address, int port)
{
    const char *colon = strrchr(address, ':');
    int host = colon ? (int)(colon - address) : (int)strlen(address);
    printf("%-11s %.*s:%d\n", name, host, address, port);
}

static void print_start(const struct server *s, const struct options *options, const struct engine_status *status)
{
    uint32_t threads = 0;
    char events[TEXT_NUMBER_SIZE];
    for (uint32_t i = 0; i < options->shards; i++)
        threads = status->shards[i].thread + 1 > threads ? status->shards[i].thread + 1 : threads;
    printf("tidemill    %s\n", TIDEMILL_VERSION);
    printf("data        %s\n", options->data);
    print_address("listen", options->listen, rpc_port(s->rpc));
    if (s->http)
        print_address("http", options->http, http_port(s->http));
    printf("generation  %s\n", engine_generation(s->engine));
    printf("shards      %" PRIu32 " on %" PRIu32 " thread%s\n", options->shards, threads, threads == 1 ? "" : "s");
    printf("recovered in %.1f ms: %s events replayed\n", status->recovery_ms,
           text_count(status->recovered_events, events));
    printf("ready\n");
    fflush(stdout);
}

/* ---- life ---- */

/* Under the disk's lock. */
static void say_disk(struct server *s, enum disk_state state)
{
    static const struct {
        const char *level, *event;
    } says[] = {
        [DISK_ROOM] = {"info", "disk_room"}, [DISK_LOW] = {"warn", "disk_low"}, [DISK_FULL] = {"warn", "disk_full"}};
    if (s->disk_said != state)
        log_line(says[state].level, says[state].event, "data=%s", s->options->data);
    s->disk_said = state;
}

/* While nobody serves yet. */
static void disk_changed_early(void *server, enum disk_state state) { say_disk(server, state); }

static void disk_changed(void *server, enum disk_state state)
{
    struct server *s = server;
    say_disk(s, state);
    health_events(s->health, state == DISK_ROOM);
    if (state == DISK_FULL)
        events_cut(s->events);
}

static void services_open(struct server *s, const struct options *options)
{
    s->descriptors = descriptors_open();
    s->rpc = rpc_open(&(struct rpc_options){
        .listen = options->listen,
        .threads = options->rpc_threads,
        .memory_max = options->memory_inbox + RPC_MEMORY,
        .declared = s->descriptors,
    });
    s->events = events_open(s->engine, s->rpc);
    s->parameters = parameters_open(s->engine, s->rpc);
    s->ranking = ranking_open(s->engine, events_counts(s->events), s->rpc);
    s->admin = admin_open(s->engine, s->rpc);
    s->deadletters = deadletters_open(s->engine, s->admin, s->rpc);
    s->versions = versions_open(s->engine, s->rpc);
    s->changes = parameter_changes_open(s->engine, s->rpc);
    s->samples = samples_open(s->engine, s->rpc);
    s->comparisons = comparisons_open(s->engine, s->rpc);
    s->window = window_open(s->engine, s->rpc);
    s->health = health_open(s->rpc);
    s->reflection = reflection_open(s->descriptors, s->rpc);
    engine_on_disk(s->engine, disk_changed, s);
}

/* Whoever asks must hear that we are leaving before anything is refused. HTTP goes last: it waits for Pulls and for the
 * log, and shows the end of the others. */
static void services_close(struct server *s)
{
    engine_on_disk(s->engine, NULL, NULL);
    if (s->http)
        http_api_drain(s->http_api);
    engine_leave(s->engine);
    health_drain(s->health);
    events_drain(s->events);
    parameters_drain(s->parameters);
    admin_drain(s->admin);
    reflection_drain(s->reflection);
    samples_drain(s->samples);
    comparisons_drain(s->comparisons);
    versions_drain(s->versions);
    parameter_changes_drain(s->changes);
    rpc_stop(s->rpc, GRACE_MS);
    if (s->http)
        http_stop(s->http);
    ranking_close(s->ranking); /* before the counts of events go, which it shares */
    events_close(s->events);
    parameters_close(s->parameters);
    admin_close(s->admin);
    deadletters_close(s->deadletters);
    samples_close(s->samples);
    comparisons_close(s->comparisons);
    versions_close(s->versions);
    parameter_changes_close(s->changes);
    window_close(s->window);
    health_close(s->health);
    reflection_close(s->reflection);
    rpc_close(s->rpc);
    descriptors_close(s->descriptors);
}

static enum tm_code serve(struct server *s, const struct options *options, struct signals *signals,
                          struct tm_error *err)
{
    struct engine_status status;
    enum tm_code rc;
    engine_status(s->engine, &status);
    services_open(s, options);
    rc = rpc_start(s->rpc, err);
    if (rc == TM_OK) {
        if (s->http)
            http_api_serve(s->http_api, &(struct http_services){
                                            .engine = s->engine,
                                            .rpc = s->rpc,
                                            .events = s->events,
                                            .parameters = s->parameters,
                                            .ranking = s->ranking,
                                        });
        print_start(s, options, &status);
        signals_wait(signals, s->engine, s->again);
    }
    engine_status_close(&status);
    services_close(s);
    return rc;
}

/* Before recovery, which may take a while: /healthz answers meanwhile, and /readyz says why not yet. */
static enum tm_code web_open(struct server *s, const struct options *options, struct tm_error *err)
{
    if (strcmp(options->http, OPTION_OFF) == 0)
        return TM_OK;
    enum tm_code rc = http_open(options->http, &s->http, err);
    if (rc != TM_OK)
        return rc;
    s->http_api = http_api_open(s->http);
    http_start(s->http);
    return TM_OK;
}

static void web_close(struct server *s)
{
    if (!s->http)
        return;
    http_stop(s->http);
    http_api_close(s->http_api);
    http_close(s->http);
}

enum tm_code server_run(const struct options *options, const struct server_configuration *again, struct tm_error *err)
{
    struct server s = {.options = options, .again = again};
    struct signals signals = {0};
    struct disk_watch watch = {&signals.leave, disk_changed_early, &s};
    signals_open(&signals);
    enum tm_code rc = web_open(&s, options, err);
    if (rc == TM_OK)
        rc = engine_open(options, &watch, &s.engine, err);
    if (rc == TM_OK) {
        rc = serve(&s, options, &signals, err);
        engine_close(s.engine);
    }
    web_close(&s);
    signals_close(&signals);
    if (rc == TM_OK) {
        printf("stopped: everything accepted is committed\n");
        fflush(stdout);
    }
    return rc;
}
