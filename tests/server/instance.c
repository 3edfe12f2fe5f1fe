#include "tests/server/instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/server/traffic.h"
#include "tests/transport/transport.h"

static void *serve(void *context)
{
    struct instance *s = context;
    s->code = server_run(&s->options, NULL, &s->err);
    atomic_store(&s->ended, true);
    return NULL;
}

void instance_options(struct options *o, const char *folder, const char *window)
{
    struct option_problems problems = {0};
    const char *const settings[][2] = {
        {"data", folder},        {"listen", "127.0.0.1:7070"}, {"http", "127.0.0.1:0"},     {"shards", "8"},
        {"threads", "3"},        {"rpc_threads", "3"},         {"commit.interval", "50ms"}, {"log.sync", "1ms"},
        {"join.window", window}, {"samples.retain", "24h"}};
    options_default(o);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        options_set(o, settings[i][0], settings[i][1], "test", &problems);
    o->versions = ARRAY_LEN(traffic_versions);
    for (size_t v = 0; v < ARRAY_LEN(traffic_versions); v++) {
        o->version[v] = (struct version_options){.model = "beta", .prior = {1, 1}, .prior_count = 2, .reward = "click"};
        snprintf(o->version[v].name, sizeof o->version[v].name, "%s", traffic_versions[v]);
    }
    options_check(o, "test", &problems);
    if (problems.count)
        fail_msg("%.*s", (int)problems.text.size, (const char *)problems.text.data);
}

static bool answers(void)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    struct tm_error status;
    return transport_unary(INSTANCE_PORT, 0, "/grpc.health.v1.Health/Check", bytes_text(""), TRANSPORT_NO_DEADLINE,
                           &reply, &status) == TM_OK;
}

void instance_start(struct instance *s)
{
    atomic_store(&s->ended, false);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    while (!answers() && !atomic_load(&s->ended))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (atomic_load(&s->ended))
        fail_msg("the server did not start: %s", s->err.message);
}

/* As an operator does it. */
void instance_stop(struct instance *s)
{
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    if (s->code != TM_OK)
        fail_msg("%s", s->err.message);
}

void instance_ask(const char *method, struct buffer *reply)
{
    struct tm_error err;
    if (transport_unary(INSTANCE_PORT, 0, method, bytes_text(""), TRANSPORT_NO_DEADLINE, reply, &err) != TM_OK)
        fail_msg("%s: %s", method, err.message);
}

void instance_folder_make(char folder[static INSTANCE_FOLDER_SIZE])
{
    snprintf(folder, INSTANCE_FOLDER_SIZE, "/tmp/tidemill-server-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static int unlink_visited(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

void instance_folder_remove(const char *folder) { nftw(folder, unlink_visited, 16, FTW_DEPTH | FTW_PHYS); }
