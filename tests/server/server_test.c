/* The whole server in one process: its own start and end, services, engine and storage, called without a network.
 *
 * Producers send, readers read, in the middle of it the server is told to stop and started again; at the end every
 * count is compared with one made by hand. Built for this: TSan, which sees every thread of ours and every lock
 * (tests/transport/transport.h says why there is no network). It passes under ASan and without anything, too. */
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

#include "proto/wire.h"
#include "ps/server/server.h"
#include "tests/server/lanes.h"
#include "tests/server/readers.h"
#include "tests/transport/transport.h"
#include "tidemill/v1/admin.pb-c.h"

enum { PORT = 7070, REPLY_MAX = 8 << 20 };

/* ---- a server on a thread ---- */

struct instance {
    struct options options;
    pthread_t thread;
    struct tm_error err;
    enum tm_code code;
    atomic_bool ended;
};

static void *serve(void *context)
{
    struct instance *s = context;
    s->code = server_run(&s->options, &s->err);
    atomic_store(&s->ended, true);
    return NULL;
}

static void options_of(struct options *o, const char *folder)
{
    struct option_problems problems = {0};
    const char *const settings[][2] = {
        {"data", folder},      {"listen", "127.0.0.1:7070"}, {"http", "127.0.0.1:0"},     {"shards", "8"},
        {"threads", "3"},      {"rpc_threads", "3"},         {"commit.interval", "50ms"}, {"log.sync", "1ms"},
        {"join.window", "2s"}, {"samples.retain", "24h"}};
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
    return transport_unary(PORT, 0, "/grpc.health.v1.Health/Check", bytes_text(""), TRANSPORT_NO_DEADLINE, &reply,
                           &status) == TM_OK;
}

static void start(struct instance *s)
{
    atomic_store(&s->ended, false);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    while (!answers() && !atomic_load(&s->ended))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (atomic_load(&s->ended))
        fail_msg("the server did not start: %s", s->err.message);
}

/* As an operator does it. */
static void stop_server(struct instance *s)
{
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    if (s->code != TM_OK)
        fail_msg("%s", s->err.message);
}

/* ---- what it has learned ---- */

/* Adds the rows of one reply to the counts of a version. */
static void add_rows(const struct buffer *reply, uint64_t *positives, uint64_t *negatives)
{
    struct tm_error err;
    Tidemill__V1__ExportReply *r =
        (void *)wire_unpack(&tidemill__v1__export_reply__descriptor, buffer_view(reply), REPLY_MAX, &err);
    assert_non_null(r);
    for (size_t i = 0; i < r->n_docs; i++) {
        unsigned long doc = strtoul(r->docs[i] + 1, NULL, 10);
        assert_true(doc < TRAFFIC_DOCS);
        positives[doc] += r->positives[i];
        negatives[doc] += r->negatives[i];
    }
    wire_free(&r->base);
}

static void export_counts(uint32_t version, struct traffic_counts *out)
{
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    struct tm_error status;
    wire_put_bytes(&request, 1, bytes_text(traffic_versions[version]));
    struct bytes wire = buffer_view(&request);
    struct grpc_call *call = transport_call(PORT, 0, "/tidemill.v1.Admin/Export", &wire, TRANSPORT_NO_DEADLINE);
    while (transport_read(call, &reply))
        add_rows(&reply, out->positives[version], out->negatives[version]);
    assert_int_equal(transport_end(call, &status), TM_OK);
}

static void take_events(struct traffic_counts *out)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    struct tm_error err;
    assert_int_equal(
        transport_unary(PORT, 0, "/tidemill.v1.Admin/Drain", bytes_text(""), TRANSPORT_NO_DEADLINE, &reply, &err),
        TM_OK);
    assert_int_equal(
        transport_unary(PORT, 0, "/tidemill.v1.Admin/Status", bytes_text(""), TRANSPORT_NO_DEADLINE, &reply, &err),
        TM_OK);
    Tidemill__V1__StatusReply *r =
        (void *)wire_unpack(&tidemill__v1__status_reply__descriptor, buffer_view(&reply), REPLY_MAX, &err);
    assert_non_null(r);
    assert_int_equal(r->imbalance, 0);
    for (size_t i = 0; i < r->n_streams; i++) {
        assert_int_equal(r->streams[i]->matched, r->streams[i]->consumed); /* no late one, orphan or duplicate */
        for (int lane = 0; lane < LANE_COUNT; lane++)
            if (strcmp(r->streams[i]->name, traffic_streams[lane]) == 0)
                out->events[lane] = r->streams[i]->consumed;
    }
    wire_free(&r->base);
}

static void assert_counts(void)
{
    static struct traffic_counts expected, got;
    traffic_count(&expected);
    got = (struct traffic_counts){0};
    take_events(&got);
    for (uint32_t v = 0; v < ARRAY_LEN(traffic_versions); v++)
        export_counts(v, &got);
    assert_memory_equal(&got, &expected, sizeof got);
}

/* ---- the test ---- */

static int unlink_visited(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static void tell(const struct lanes *l, const struct readers *r)
{
    uint32_t calls = 0, cancelled = 0;
    for (size_t i = 0; i < ARRAY_LEN(l->lane); i++) {
        calls += l->lane[i].calls;
        cancelled += l->lane[i].cancelled;
    }
    printf("producers: %u calls, %u cancelled by them\n", calls, cancelled);
    static const char *const names[READ_KINDS] = {
        "Pull", "Pull that waits too long", "Status", "Drain", "Digest", "Export", "Watch", "Samples"};
    for (int k = 0; k < READ_KINDS; k++)
        printf("%s: %u answered, %u not\n", names[k], atomic_load(&r->thread[k].answered),
               atomic_load(&r->thread[k].refused));
}

static void test_everything_at_once_and_a_stop_in_the_middle(void **state)
{
    static struct instance server;
    static struct lanes lanes;
    static struct readers readers;
    char folder[] = "/tmp/tidemill-server-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    options_of(&server.options, folder);
    start(&server);
    lanes_start(&lanes, PORT);
    readers_start(&readers, PORT, &lanes.position);
    while (atomic_load(&lanes.acked) < TRAFFIC_CLIENTS * LANE_COUNT * TRAFFIC_BATCHES / 2)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    stop_server(&server);
    start(&server);
    lanes_join(&lanes);
    readers_stop(&readers);
    lanes_end(&lanes);
    assert_counts();
    stop_server(&server);
    start(&server);
    assert_counts();
    stop_server(&server);
    tell(&lanes, &readers);
    nftw(folder, unlink_visited, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_everything_at_once_and_a_stop_in_the_middle)};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* every thread inherits it: the server waits for the signal */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
