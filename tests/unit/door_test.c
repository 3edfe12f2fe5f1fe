/* Tests of ps/server/door: what is let in, and what a sender is told about the rest. The engine is a few stubs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/server/ack.h"
#include "tidemill/v1/events.pb-c.h"

enum { IMPRESSIONS, CLICKS, FEATURES, ALL = 7 };
#define NOW INT64_C(1700000000000)

static struct version version_a = {.id = 7, .name = "A"};
static struct version *versions[] = {&version_a};
static struct catalog catalog = {
    .join = {.stream = {[IMPRESSIONS] = {.kind = JOINER_IMPRESSION}, [CLICKS] = {.kind = JOINER_ACTION}},
             .streams = 3,
             .window_ms = 60000},
    .stream_name = {"impressions", "clicks", "features"},
    .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
    .version = versions,
    .versions = 1,
};
static struct options options = {
    .streams = 1, .shards = 64, .stream = {{.name = "clicks", .out_of_orderness_ms = 5000}}};

const struct options *engine_options(const struct engine *e)
{
    (void)e;
    return &options;
}

int engine_stream(const struct engine *e, struct bytes name)
{
    (void)e;
    for (int i = 0; i < (int)catalog.join.streams; i++)
        if (bytes_equal(name, bytes_text(catalog.stream_name[i])))
            return i;
    return -1;
}

const struct catalog *engine_schema(const struct engine *e)
{
    (void)e;
    return &catalog;
}

int64_t engine_out_of_orderness(const struct engine *e, uint32_t stream)
{
    (void)e;
    return strcmp(catalog.stream_name[stream], options.stream[0].name) == 0 ? options.stream[0].out_of_orderness_ms : 0;
}

int64_t engine_end_window(const struct engine *e)
{
    (void)e;
    return catalog.join.window_ms;
}

uint32_t engine_versions(const struct engine *e)
{
    (void)e;
    return catalog.versions;
}

const struct version *engine_version_at(const struct engine *e, uint32_t i)
{
    (void)e;
    return catalog.version[i];
}

const struct version *engine_version(const struct engine *e, struct bytes name)
{
    (void)e;
    return bytes_equal(name, bytes_text("A")) ? &version_a : NULL;
}

uint32_t engine_shard(const struct engine *e, struct bytes doc)
{
    (void)e;
    return hash_shard(doc, 64);
}

static struct user_lists users = {.hash_seed = 3};

struct user_lists *engine_users(struct engine *e)
{
    (void)e;
    return &users;
}

static struct door door_for_test(void)
{
    struct door d;
    door_open(&d, NULL);
    return d;
}

static struct event good(const char *stream)
{
    return (struct event){
        .stream = bytes_text(stream),
        .request = bytes_text("r1"),
        .doc = bytes_text("d1"),
        .version = bytes_text("A"),
        .time = NOW,
        .has = EVENT_HAS_TIME,
    };
}

static void put_event(struct buffer *batch, const struct event *e)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    event_encode(e, &wire);
    wire_put_bytes(batch, 2, buffer_view(&wire));
}

static Tidemill__V1__IngestReply *unpack_reply(struct buffer *packed)
{
    struct tm_error err;
    Tidemill__V1__IngestReply *reply =
        (void *)wire_unpack(&tidemill__v1__ingest_reply__descriptor, buffer_view(packed), 8 << 20, &err);
    assert_non_null(reply);
    buffer_close(packed);
    return reply;
}

static void events_are_resolved(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct event shown = good("impressions"), clicked = good("clicks");
    struct door_batch b;
    struct tm_error err;
    clicked.version = (struct bytes){0};
    wire_put_integer(&batch, 1, 41);
    for (int i = 0; i < 100; i++) {
        put_event(&batch, &shown);
        put_event(&batch, &clicked);
    }
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_OK);
    assert_int_equal(b.sequence, 41);
    assert_int_equal(b.count, 200);
    assert_int_equal(b.rejects.size, 0);
    for (uint32_t i = 0; i < b.count; i++) {
        assert_int_equal(b.events[i].stream, i % 2 ? CLICKS : IMPRESSIONS);
        assert_int_equal(b.events[i].version, i % 2 ? BLOCK_VERSION_NONE : 7);
        assert_int_equal(b.events[i].shard, hash_shard(bytes_text("d1"), 64));
        assert_true(b.events[i].time == NOW);
    }
    door_batch_close(&b);
}

static void users_are_judged(void **state)
{
    static const char *const names[] = {"bad", "ours", "u1", NULL};
    static const char path[] = "door_test.users", ours[] = "door_test.ours";
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct door_batch b;
    assert_int_equal(file_write_atomic(path, bytes_text("bad\nours\n"), NULL), TM_OK);
    assert_int_equal(file_write_atomic(ours, bytes_text("ours\n"), NULL), TM_OK);
    struct user_lists_read read;
    assert_int_equal(user_lists_read(&users, path, ours, &read, NULL), TM_OK);
    user_lists_take(&users, &read);
    wire_put_integer(&batch, 1, 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct event e = good("impressions");
        e.user = names[i] ? bytes_text(names[i]) : (struct bytes){0};
        put_event(&batch, &e);
    }
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, NULL), TM_OK);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.rejected[DOOR_FIELD_blocked], 1);
    assert_true(b.letters.size > 0);
    assert_true(b.events[0].user == 0); /* allowed: counted for nobody */
    assert_true(b.events[1].user != 0);
    assert_true(b.events[2].user == 0);
    door_batch_close(&b);
    user_lists_close(&users);
    remove(path);
    remove(ours);
}

static void set_nothing(struct event *e) { (void)e; }
static void unknown_stream(struct event *e) { e->stream = bytes_text("nope"); }
static void undeclared_stream(struct event *e) { e->stream = bytes_text("features"); }
static void unknown_version(struct event *e) { e->version = bytes_text("Z"); }
static void no_version(struct event *e) { e->version = (struct bytes){0}; }
static void no_request(struct event *e) { e->request = (struct bytes){0}; }
static void no_doc(struct event *e) { e->doc = (struct bytes){0}; }
static void click_of_unknown_version(struct event *e)
{
    e->stream = bytes_text("clicks");
    e->version = bytes_text("Z");
}
static void withdrawn_impression(struct event *e)
{
    e->event = bytes_text("e");
    e->withdraw = true;
}
static void withdrawal_of_nothing(struct event *e)
{
    e->stream = bytes_text("clicks");
    e->withdraw = true;
}
static void from_tomorrow(struct event *e) { e->time = NOW + 2 * INT64_C(86400000); }

enum { DOCS = 200 };

static void put_record(struct buffer *batch, const char *stream, const char *request)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct event shared = good(stream);
    shared.request = bytes_text(request);
    shared.doc = (struct bytes){0};
    event_encode(&shared, &wire);
    for (int i = 0; i < DOCS; i++) {
        char doc[16];
        snprintf(doc, sizeof doc, "d%d", i);
        event_encode(&(struct event){.items = 1, .doc = bytes_text(doc)}, &wire);
    }
    wire_put_bytes(batch, 2, buffer_view(&wire));
}

/* Each item goes to its document's shard, and knows with how many of its record. */
static void expect_split(const struct door_batch *b, uint32_t first, const char *request)
{
    uint32_t in_shard[64] = {0};
    for (uint32_t i = first; i < first + DOCS; i++)
        in_shard[b->events[i].shard]++;
    for (uint32_t i = first; i < first + DOCS; i++) {
        const struct submission_event *s = &b->events[i];
        struct reader r = {b->shared.data + s->shared - 1, b->shared.data + b->shared.size, false};
        struct event e;
        assert_int_equal(event_scan_parts(s->wire, reader_bytes(&r), &e, NULL), TM_OK);
        assert_true(bytes_equal(e.request, bytes_text(request)));
        assert_int_equal(s->shard, hash_shard(e.doc, 64));
        assert_int_equal(s->sharers, in_shard[s->shard]);
        assert_int_equal(s->shared, b->events[first].shared);
        assert_true(s->version == 7 && s->time == NOW && s->stream == IMPRESSIONS);
    }
}

static void a_record_is_split(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct event alone = good("impressions");
    struct door_batch b;
    struct tm_error err;
    wire_put_integer(&batch, 1, 1);
    put_record(&batch, "impressions", "r1");
    put_event(&batch, &alone);
    put_record(&batch, "impressions", "r2");
    put_record(&batch, "clicks", "r3"); /* an order of many documents is as many actions */
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_OK);
    assert_int_equal(b.count, 2 * DOCS + 1);
    expect_split(&b, 0, "r1");
    assert_int_equal(b.events[DOCS].shared, 0);
    expect_split(&b, DOCS + 1, "r2");
    assert_int_equal(b.rejected[DOOR_FIELD_items], 1);
    door_batch_close(&b);
    for (int i = 0; i < BATCH_SPLIT_MAX / DOCS; i++)
        put_record(&batch, "impressions", "r");
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "batch: more than 100000 events, with all items; split it");
}

static void each_bad_event_is_named(void **state)
{
    static const struct {
        void (*spoil)(struct event *e);
        const char *field, *message;
    } cases[] = {
        {unknown_stream, "stream", "stream: \"nope\"; expected one of impressions, clicks, features"},
        {undeclared_stream, "stream", "stream: \"features\" was not declared by open; expected one that was"},
        {unknown_version, "version", "version: \"Z\"; expected one of A"},
        {click_of_unknown_version, "version", "version: \"Z\"; expected one of A"},
        {no_version, "version", "version: missing; expected one of A"},
        {no_request, "request", "request: missing; the join key needs it"},
        {no_doc, "doc", "doc: missing; the join key needs it"},
        {from_tomorrow, "time", NULL},
        {withdrawn_impression, "withdraw",
         "withdraw: impressions has neither; only actions can be taken back, and rows of tables"},
        {withdrawal_of_nothing, "withdraw", "withdraw: there is no event; expected the event id of what it takes back"},
        {set_nothing, NULL, NULL},
    };
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct buffer packed = {0};
    struct door_batch b;
    struct tm_error err;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event e = good("impressions");
        cases[i].spoil(&e);
        put_event(&batch, &e);
    }
    wire_put_integer(&batch, 1, 1);
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), 1 << IMPRESSIONS | 1 << CLICKS, NOW, &b, &err), TM_OK);
    assert_int_equal(b.count, 1);

    struct submission s = {
        .kind = SUBMIT_BATCH, .sequence = 1, .position = 9, .rejects = buffer_view(&b.rejects), .events = b.events};
    assert_true(ack_pack(&d, &s, &packed));
    Tidemill__V1__IngestReply *reply = unpack_reply(&packed);
    assert_int_equal(reply->ack->position, 9);
    assert_int_equal(reply->ack->n_rejected, ARRAY_LEN(cases) - 1);
    for (size_t i = 0; i + 1 < ARRAY_LEN(cases); i++) {
        assert_int_equal(reply->ack->rejected[i]->index, i);
        assert_string_equal(reply->ack->rejected[i]->field, cases[i].field);
        if (cases[i].message)
            assert_string_equal(reply->ack->rejected[i]->message, cases[i].message);
    }
    wire_free(&reply->base);
    door_batch_close(&b);
}

static void many_rejects_stay_small(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct event e = good("nope");
    struct door_batch b;
    struct tm_error err;
    wire_put_integer(&batch, 1, 1);
    for (int i = 0; i < BATCH_EVENTS_MAX; i++)
        put_event(&batch, &e);
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_OK);
    assert_int_equal(b.count, 0);
    assert_in_range(b.rejects.size, BATCH_EVENTS_MAX * 10, 256 << 10);
    door_batch_close(&b);
    put_event(&batch, &e); /* one too many */
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_INVALID_ARGUMENT);
}

/* Of many mistakes of one kind a few are kept, and so the one of another kind; all are counted. */
static void dead_letters_show_every_mistake(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct event wrong = good("clicks"), late = good("clicks");
    struct door_batch b;
    struct tm_error err;
    uint32_t seen[REJECTED_STREAM_UNKNOWN + 1] = {0}, kept[REJECTED_STREAM_UNKNOWN + 1] = {0};
    uint8_t stream;
    struct bytes letter;
    wrong.version = bytes_text("Z");
    late.time = NOW + 2 * INT64_C(86400000);
    wire_put_integer(&batch, 1, 1);
    for (int i = 0; i < 1000; i++)
        put_event(&batch, &wrong);
    put_event(&batch, &late);
    wire_put_bytes(&batch, 2, bytes_text("\xff\xff"));
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_OK);
    struct reader r = reader_of(buffer_view(&b.letters));
    while (rejected_next(&r, &stream, &letter)) {
        seen[stream]++;
        kept[stream] += letter.size > 0;
    }
    assert_int_equal(seen[CLICKS], 1001);
    assert_int_equal(kept[CLICKS], DOOR_LETTERS_KEPT + 1);
    assert_int_equal(seen[REJECTED_STREAM_UNKNOWN], 1);
    assert_int_equal(kept[REJECTED_STREAM_UNKNOWN], 1);
    door_batch_close(&b);
}

static void damaged_batches_are_refused(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer batch = {0};
    struct event e = good("impressions");
    struct door_batch b;
    struct tm_error err;
    put_event(&batch, &e);
    assert_int_equal(door_read_batch(&d, buffer_view(&batch), ALL, NOW, &b, &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "batch.sequence"));
    wire_put_integer(&batch, 1, 1);
    for (size_t cut = 1; cut < batch.size - 2; cut++) { /* not one of them may read past its end */
        uint8_t *part = mem_grow(NULL, 1, cut);
        memcpy(part, batch.data, cut);
        assert_int_equal(door_read_batch(&d, bytes_of(part, cut), ALL, NOW, &b, &err), TM_INVALID_ARGUMENT);
        free(part);
    }
}

static void one_message_at_a_time(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer request = {0};
    enum door_message kind;
    struct bytes content;
    struct tm_error err;
    assert_int_equal(door_read(buffer_view(&request), &kind, &content, &err), TM_INVALID_ARGUMENT);
    wire_put_bytes(&request, DOOR_END, bytes_text(""));
    wire_put_integer(&request, 99, 1); /* unknown to us: skipped */
    assert_int_equal(door_read(buffer_view(&request), &kind, &content, &err), TM_OK);
    assert_int_equal(kind, DOOR_END);
    wire_put_bytes(&request, DOOR_LEAVE, bytes_text(""));
    assert_int_equal(door_read(buffer_view(&request), &kind, &content, &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "2 messages"));
}

static void open_and_watermark(void **state)
{
    (void)state;
    struct door d = door_for_test();
    CLEANUP(buffer_close) struct buffer open = {0}, mark = {0};
    struct producer_id who;
    struct tm_error err;
    uint32_t declared, streams;
    uint8_t stream;
    int64_t time;
    wire_put_bytes(&open, 1, bytes_text("web-1"));
    assert_int_equal(door_read_open(&d, buffer_view(&open), &who, &declared, &streams, &err), TM_INVALID_ARGUMENT);
    assert_string_equal(err.message, "open.instance: 0 bytes; expected 1 to 64");
    wire_put_bytes(&open, 2, bytes_text("i"));
    assert_int_equal(door_read_open(&d, buffer_view(&open), &who, &declared, &streams, &err), TM_OK);
    assert_int_equal(streams, UINT32_MAX);
    assert_int_equal(declared, 0);
    assert_string_equal(who.lane, "main");
    wire_put_bytes(&open, 4, bytes_text("clicks"));
    assert_int_equal(door_read_open(&d, buffer_view(&open), &who, &declared, &streams, &err), TM_OK);
    assert_int_equal(streams, 1 << CLICKS);
    assert_int_equal(declared, 1 << CLICKS);

    wire_put_bytes(&mark, 1, bytes_text("clicks"));
    assert_int_equal(door_read_watermark(&d, buffer_view(&mark), ALL, NOW, &stream, &time, &err), TM_INVALID_ARGUMENT);
    wire_put_integer(&mark, 2, NOW);
    assert_int_equal(door_read_watermark(&d, buffer_view(&mark), ALL, NOW, &stream, &time, &err), TM_OK);
    assert_int_equal(stream, CLICKS);
    assert_true(time == NOW);
    assert_int_equal(door_read_watermark(&d, buffer_view(&mark), 1 << FEATURES, NOW, &stream, &time, &err),
                     TM_INVALID_ARGUMENT);

    static const int64_t mad[] = {INT64_MIN, -1, NOW + INT64_C(2) * 86400000 + 86400000, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(mad); i++) {
        mark.size = 0;
        wire_put_bytes(&mark, 1, bytes_text("clicks"));
        wire_put_integer(&mark, 2, (uint64_t)mad[i]);
        assert_int_equal(door_read_watermark(&d, buffer_view(&mark), ALL, NOW, &stream, &time, &err),
                         TM_INVALID_ARGUMENT);
    }
}

static void a_repeated_batch_gets_its_old_rejects(void **state)
{
    (void)state;
    struct door d = door_for_test();
    struct submission s = {.kind = SUBMIT_BATCH, .sequence = 3, .repeated = true, .position = 5};
    struct buffer packed = {0};
    static const uint8_t rejected[] = {5 << 3 | WIRE_BYTES, 2, 1 << 3, 17}; /* {index: 17} */
    buffer_put(&s.old_rejects, rejected, sizeof rejected);
    assert_true(ack_pack(&d, &s, &packed));
    Tidemill__V1__IngestReply *reply = unpack_reply(&packed);
    assert_true(reply->ack->repeated_batch);
    assert_int_equal(reply->ack->n_rejected, 1);
    assert_int_equal(reply->ack->rejected[0]->index, 17);
    wire_free(&reply->base);
    buffer_close(&s.old_rejects);
}

static void opened_tells_the_configuration(void **state)
{
    (void)state;
    struct door d = door_for_test();
    struct submission s = {.kind = SUBMIT_OPEN, .last_sequence = 12};
    struct buffer packed = {0};
    assert_true(ack_pack(&d, &s, &packed));
    Tidemill__V1__IngestReply *reply = unpack_reply(&packed);
    assert_int_equal(reply->opened->last_sequence, 12);
    assert_int_equal(reply->opened->window_ms, 60000);
    assert_int_equal(reply->opened->n_streams, 3);
    assert_string_equal(reply->opened->streams[CLICKS]->kind, "action");
    assert_int_equal(reply->opened->streams[CLICKS]->out_of_orderness_ms, 5000);
    wire_free(&reply->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_resolved),
        cmocka_unit_test(a_record_is_split),
        cmocka_unit_test(users_are_judged),
        cmocka_unit_test(each_bad_event_is_named),
        cmocka_unit_test(many_rejects_stay_small),
        cmocka_unit_test(dead_letters_show_every_mistake),
        cmocka_unit_test(damaged_batches_are_refused),
        cmocka_unit_test(one_message_at_a_time),
        cmocka_unit_test(open_and_watermark),
        cmocka_unit_test(a_repeated_batch_gets_its_old_rejects),
        cmocka_unit_test(opened_tells_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
