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

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "proto/wire.h"
#include "tests/server/bandits.h"
#include "tests/server/instance.h"
#include "tests/server/lanes.h"
#include "tests/server/readers.h"
#include "tests/transport/transport.h"
#include "tidemill/v1/admin.pb-c.h"

enum { PORT = INSTANCE_PORT, REPLY_MAX = INSTANCE_REPLY_MAX };

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
    instance_ask("/tidemill.v1.Admin/Drain", &reply);
    instance_ask("/tidemill.v1.Admin/Status", &reply);
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
    char folder[INSTANCE_FOLDER_SIZE];
    (void)state;
    instance_folder_make(folder);
    instance_options(&server.options, folder, "2s");
    instance_start(&server);
    lanes_start(&lanes, PORT);
    readers_start(&readers, PORT, &lanes.position);
    while (atomic_load(&lanes.acked) < TRAFFIC_CLIENTS * LANE_COUNT * TRAFFIC_BATCHES / 2)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    instance_stop(&server);
    instance_start(&server);
    lanes_join(&lanes);
    readers_stop(&readers);
    lanes_end(&lanes);
    assert_counts();
    instance_stop(&server);
    instance_start(&server);
    assert_counts();
    instance_stop(&server);
    tell(&lanes, &readers);
    instance_folder_remove(folder);
}

/* Rank and Reward from several threads: what was asked again after a stop counts once, and nothing is missing. */
static void test_bandits_at_once_and_a_stop_in_the_middle(void **state)
{
    static struct instance server;
    static struct bandits bandits;
    char folder[INSTANCE_FOLDER_SIZE];
    (void)state;
    instance_folder_make(folder);
    instance_options(&server.options, folder, "1h"); /* nothing is learned: a ranking that is repeated is the same */
    instance_start(&server);
    bandits_start(&bandits, PORT);
    while (atomic_load(&bandits.rounds) < BANDITS * BANDIT_ROUNDS / 2)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    instance_stop(&server);
    instance_start(&server);
    bandits_join(&bandits);
    bandits_check(&bandits);
    instance_stop(&server);
    instance_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_at_once_and_a_stop_in_the_middle),
        cmocka_unit_test(test_bandits_at_once_and_a_stop_in_the_middle),
    };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* every thread inherits it: the server waits for the signal */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
