/* Tests of the input log: what was acknowledged comes back whole and in order, whatever happened in between.
 *
 * Crashes happen in a second process, which is this program with arguments: RocksDB's threads do not survive a fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ps/storage/data_dir.h"
#include "ps/storage/input_log.h"

enum { STREAMS = 3, SHARDS = 4, BATCH_EVENTS = 5 };

static const char *program;

/* ---- a log, and what it delivers ---- */

struct fixture {
    char folder[64];
    struct data_dir dir;
    struct input_log *log;
    struct input_log_options options;
    uint64_t delivered;        /* end of the last block delivered */
    uint32_t blocks, controls; /* delivered */
    bool signals_blocked;
    pthread_mutex_t door; /* held: the inbox of the shards is full */
};

static void deliver(void *context, struct shared_block *block)
{
    struct fixture *f = context;
    sigset_t mask;
    pthread_mutex_lock(&f->door);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    f->signals_blocked = sigismember(&mask, SIGTERM) == 1;
    CHECK(block->block.first == f->delivered);
    CHECK(block->block.end <= input_log_head(f->log)); /* durable before any shard sees it */
    f->delivered = block->block.end;
    f->blocks++;
    f->controls += block->block.controls;
    shared_block_unref(block);
    pthread_mutex_unlock(&f->door);
}

static void open_log(struct fixture *f)
{
    struct tm_error err = {0};
    if (data_dir_open(f->folder, 64, 0, NULL, &f->dir, &err))
        stop(1, "%s", err.message);
    f->options.db = f->dir.log;
    f->options.deliver = deliver;
    f->options.context = f;
    if (input_log_open(&f->options, &f->log, &err))
        stop(1, "%s", err.message);
    f->delivered = input_log_head(f->log);
}

static void start_log(struct fixture *f)
{
    struct tm_error err = {0};
    if (input_log_start(f->log, &err))
        stop(1, "%s", err.message);
}

static void close_log(struct fixture *f)
{
    input_log_stop(f->log);
    input_log_close(f->log);
    data_dir_close(&f->dir);
}

static void set_options(struct fixture *f)
{
    pthread_mutex_init(&f->door, NULL);
    f->options.queue_bytes_max = 1 << 20;
    f->options.sequencer = (struct sequencer_options){.streams = STREAMS,
                                                      .window_ms = 1000,
                                                      .producer_timeout_ms = 120000,
                                                      .producer_retain_ms = 600000,
                                                      .producers_max = 100};
}

static int setup(void **state)
{
    struct fixture *f = mem_new(1, sizeof *f);
    strcpy(f->folder, "/tmp/tidemill-input-log-XXXXXX");
    set_options(f);
    *state = f;
    if (!mkdtemp(f->folder))
        return -1;
    open_log(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    close_log(f);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    pthread_mutex_destroy(&f->door);
    free(f);
    return system(command);
}

static void reopen(struct fixture *f)
{
    close_log(f);
    open_log(f);
}

/* ---- submissions ---- */

struct request {
    struct submission sub;
    struct submission_event events[BATCH_EVENTS];
    char wire[BATCH_EVENTS][32]; /* "client sequence index" */
    sem_t done;
};

static void request_done(struct submission *s)
{
    struct request *r = (struct request *)s; /* its first member */
    sem_post(&r->done);
}

static void fill(struct request *r, enum submission_kind kind, const char *client)
{
    *r = (struct request){.sub = {.kind = kind, .done = request_done}};
    snprintf(r->sub.producer.client, sizeof r->sub.producer.client, "%s", client);
    strcpy(r->sub.producer.instance, "one");
    strcpy(r->sub.producer.lane, "main");
    r->sub.streams = 1;
    sem_init(&r->done, 0, 0);
}

static void fill_batch(struct request *r, const char *client, uint64_t sequence)
{
    fill(r, SUBMIT_BATCH, client);
    for (int i = 0; i < BATCH_EVENTS; i++) {
        int size = snprintf(r->wire[i], sizeof r->wire[i], "%s %" PRIu64 " %d", client, sequence, i);
        r->events[i] = (struct submission_event){
            .wire = bytes_of(r->wire[i], (size_t)size), .time = (int64_t)sequence, .shard = (uint32_t)i % SHARDS};
    }
    r->sub.sequence = sequence;
    r->sub.events = r->events;
    r->sub.event_count = BATCH_EVENTS;
}

static void hand_in(struct fixture *f, struct request *r) { CHECK(input_log_submit(f->log, &r->sub)); }

static enum tm_code wait_for(struct request *r)
{
    while (sem_wait(&r->done) != 0)
        continue;
    sem_destroy(&r->done);
    buffer_close(&r->sub.old_rejects);
    return r->sub.code;
}

static enum tm_code hand_in_and_wait(struct fixture *f, struct request *r)
{
    hand_in(f, r);
    return wait_for(r);
}

/* Returns the last sequence. */
static uint64_t open_producer(struct fixture *f, const char *client)
{
    struct request r;
    fill(&r, SUBMIT_OPEN, client);
    CHECK(hand_in_and_wait(f, &r) == TM_OK);
    return r.sub.last_sequence;
}

static uint64_t send_batch(struct fixture *f, const char *client, uint64_t sequence)
{
    struct request r;
    fill_batch(&r, client, sequence);
    CHECK(hand_in_and_wait(f, &r) == TM_OK);
    CHECK(r.sub.position <= input_log_head(f->log));
    return r.sub.position;
}

static struct input_log_status status_of(struct fixture *f)
{
    struct input_log_status s;
    input_log_status(f->log, &s);
    return s;
}

static void sleep_ms(uint32_t ms) { nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL); }

/* ---- replay ---- */

struct heard {
    uint64_t next, blocks, events;
    char lines[64][32]; /* the events of the last replay, by position, when there are few */
};

static void hear_shard(struct heard *h, const struct block *b, uint32_t slot)
{
    uint32_t shard, events, first_offset;
    block_shard(b, slot, &shard, &events, &first_offset);
    for (uint32_t i = 0; i < events; i++, h->events++) {
        struct block_event e;
        block_event_at(b, first_offset, i, &e);
        assert_true(e.position >= b->first && e.position < b->end);
        if (e.position < ARRAY_LEN(h->lines))
            snprintf(h->lines[e.position], sizeof h->lines[0], "%.*s", (int)e.wire.size, (const char *)e.wire.data);
    }
}

static enum tm_code hear(void *context, struct shared_block *block, struct tm_error *err)
{
    struct heard *h = context;
    (void)err;
    if (h->blocks++ > 0)
        assert_true(block->block.first == h->next);
    h->next = block->block.end;
    for (uint32_t slot = 0; slot < block->block.shards_named; slot++)
        hear_shard(h, &block->block, slot);
    shared_block_unref(block);
    return TM_OK;
}

static struct heard replay_ok(struct fixture *f, uint64_t from)
{
    struct heard h = {0};
    struct tm_error err = {0};
    if (input_log_replay(f->log, from, hear, &h, &err))
        fail_msg("%s", err.message);
    return h;
}

static void assert_replay_refused(struct fixture *f, uint64_t from, const char *words)
{
    struct heard h = {0};
    struct tm_error err = {0};
    assert_int_equal(input_log_replay(f->log, from, hear, &h, &err), TM_DATA_LOSS);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

/* ---- tests ---- */

static void batches_come_back(void **state)
{
    struct fixture *f = *state;
    char expected[32];
    start_log(f);
    assert_int_equal(open_producer(f, "web"), 0);
    for (uint64_t sequence = 1; sequence <= 4; sequence++)
        send_batch(f, "web", sequence);
    uint64_t head = input_log_head(f->log);
    input_log_stop(f->log);
    assert_true(f->delivered == head);
    assert_true(f->signals_blocked);
    reopen(f);
    assert_true(input_log_head(f->log) == head && input_log_first(f->log) == 0);
    struct heard h = replay_ok(f, 0);
    assert_true(h.next == head);
    assert_int_equal(h.events, 4 * BATCH_EVENTS);
    int found = 0;
    for (size_t p = 0; p < head; p++) {
        if (!h.lines[p][0])
            continue; /* a punctuation */
        snprintf(expected, sizeof expected, "web %d %d", found / BATCH_EVENTS + 1, found % BATCH_EVENTS);
        assert_string_equal(h.lines[p], expected);
        found++;
    }
    assert_int_equal(found, 4 * BATCH_EVENTS);
    assert_int_equal(replay_ok(f, head - 1).blocks, 1);
    assert_int_equal(replay_ok(f, head).blocks, 0);
    assert_true(replay_ok(f, BATCH_EVENTS + 1).blocks < h.blocks);
}

static void producers_are_known_again(void **state)
{
    struct fixture *f = *state;
    struct request r;
    start_log(f);
    open_producer(f, "web");
    uint64_t position = send_batch(f, "web", 1);
    reopen(f);
    start_log(f);
    assert_int_equal(open_producer(f, "web"), 1);
    fill_batch(&r, "web", 1);
    assert_int_equal(hand_in_and_wait(f, &r), TM_OK);
    assert_true(r.sub.repeated && r.sub.position == position);
    fill_batch(&r, "web", 3);
    assert_int_equal(hand_in_and_wait(f, &r), TM_FAILED_PRECONDITION);
    assert_true(send_batch(f, "web", 2) > position);
    fill_batch(&r, "nobody", 1);
    assert_int_equal(hand_in_and_wait(f, &r), TM_FAILED_PRECONDITION);
    sleep_ms(250);
    assert_int_equal(status_of(f).producers, 1);
}

static void watermarks_come_back(void **state)
{
    struct fixture *f = *state;
    struct request r;
    start_log(f);
    open_producer(f, "web");
    fill(&r, SUBMIT_WATERMARK, "web");
    r.sub.time = 12345;
    assert_int_equal(hand_in_and_wait(f, &r), TM_OK);
    assert_true(status_of(f).stream[0].watermark == 12345);
    reopen(f);
    assert_true(status_of(f).stream[0].watermark == 12345);
    assert_true(status_of(f).stream[1].watermark == WATERMARK_NONE);
    assert_true(status_of(f).stream[0].held);
    assert_string_equal(status_of(f).stream[0].holder.client, "web");
    struct heard h = replay_ok(f, 0);
    assert_int_equal(h.next, 1); /* the punctuation */
}

static void a_watermark_row_of_more_streams_is_refused(void **state)
{
    struct fixture *f = *state;
    struct request r;
    struct tm_error err;
    start_log(f);
    open_producer(f, "web");
    fill(&r, SUBMIT_WATERMARK, "web");
    r.sub.time = 1;
    assert_int_equal(hand_in_and_wait(f, &r), TM_OK);
    input_log_stop(f->log);
    input_log_close(f->log);
    f->options.sequencer.streams = 2;
    assert_int_equal(input_log_open(&f->options, &f->log, &err), TM_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "the log knows 3, the configuration names 2"));
    f->options.sequencer.streams = STREAMS + 1;
    assert_int_equal(input_log_open(&f->options, &f->log, &err), TM_OK);
    assert_true(status_of(f).stream[0].watermark == 1);
}

/* A control record behind events begins a block; both blocks go into one write, and nobody is forgotten. */
static void control_begins_a_block(void **state)
{
    struct fixture *f = *state;
    struct request before, control, behind, opened;
    fill(&opened, SUBMIT_OPEN, "web");
    fill_batch(&before, "web", 1);
    fill(&control, SUBMIT_CONTROL, "");
    control.sub.control = bytes_text("a version");
    fill_batch(&behind, "web", 2);
    hand_in(f, &opened);
    hand_in(f, &before);
    hand_in(f, &control);
    hand_in(f, &behind);
    start_log(f);
    assert_int_equal(wait_for(&opened), TM_OK);
    assert_int_equal(wait_for(&before), TM_OK);
    assert_int_equal(wait_for(&control), TM_OK);
    assert_int_equal(wait_for(&behind), TM_OK);
    assert_int_equal(status_of(f).syncs, 1);
    assert_true(before.sub.position < control.sub.position);
    assert_true(control.sub.position == behind.sub.position);
    input_log_stop(f->log);
    assert_int_equal(f->blocks, 2);
    assert_int_equal(f->controls, 1);
}

static void nothing_new_is_not_written(void **state)
{
    struct fixture *f = *state;
    start_log(f);
    open_producer(f, "web");
    send_batch(f, "web", 1);
    sleep_ms(250); /* a tick may still move something */
    uint64_t syncs = status_of(f).syncs, head = input_log_head(f->log);
    sleep_ms(450);
    assert_int_equal(status_of(f).syncs, syncs);
    assert_true(input_log_head(f->log) == head);
    assert_true(status_of(f).bytes_written > 0 && status_of(f).sync_ms_max > 0);
}

/* Instead of the system's: RocksDB syncs through it. */
static _Atomic uint32_t sync_takes_ms;

int fdatasync(int file)
{
    sleep_ms(atomic_load(&sync_takes_ms));
    return (int)syscall(SYS_fdatasync, file);
}

static void hand_in_some(struct fixture *f, struct request *r, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++) {
        fill_batch(&r[i], "web", first + i);
        hand_in(f, &r[i]);
        sleep_ms(2);
    }
}

/* Five batches while the first one is synced, and five behind that sync. Returns the syncs that the ten took. */
static uint64_t syncs_of_ten(struct fixture *f, uint32_t sync_ms, uint32_t limit_ms)
{
    struct request first, r[10];
    f->options.sync_ms = limit_ms;
    reopen(f);
    start_log(f);
    open_producer(f, "web");
    atomic_store(&sync_takes_ms, sync_ms);
    fill_batch(&first, "web", 1); /* alone and idle: at once */
    hand_in(f, &first);
    sleep_ms(2);
    hand_in_some(f, r, 5, 2);
    assert_int_equal(wait_for(&first), TM_OK);
    assert_int_equal(status_of(f).syncs, 2); /* the producer's and this one */
    sleep_ms(limit_ms < sync_ms ? sync_ms / 2 : 0);
    hand_in_some(f, r + 5, 5, 7);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        assert_int_equal(wait_for(&r[i]), TM_OK);
    atomic_store(&sync_takes_ms, 0);
    return status_of(f).syncs - 2;
}

static void a_batch_waits_for_company_as_long_as_a_sync_takes(void **state)
{
    assert_int_equal(syncs_of_ten(*state, 400, 1000), 1);
}

static void company_is_waited_for_no_longer_than_the_limit(void **state)
{
    assert_int_equal(syncs_of_ten(*state, 400, 20), 2);
}

/* Each is handed in behind the answer to the one before: nobody else would come. */
static void when_syncs_are_short_nobody_waits_long(void **state)
{
    struct fixture *f = *state;
    struct request r;
    f->options.sync_ms = 1000;
    reopen(f);
    start_log(f);
    open_producer(f, "web");
    int64_t began_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < 20; i++) {
        fill_batch(&r, "web", i + 1);
        hand_in(f, &r);
        assert_int_equal(wait_for(&r), TM_OK);
    }
    double synced_ms = status_of(f).sync_ms_sum;
    assert_true((double)(clock_monotonic_ns() - began_ns) / 1e6 < 2 * synced_ms + 5000);
}

static void stopping_answers_everybody(void **state)
{
    struct fixture *f = *state;
    static struct request r[200];
    struct request late;
    for (int started = 0; started < 2; started++) {
        fill(&r[0], SUBMIT_OPEN, started ? "b" : "a");
        hand_in(f, &r[0]);
        for (uint64_t i = 1; i < ARRAY_LEN(r); i++) {
            fill_batch(&r[i], started ? "b" : "a", i);
            hand_in(f, &r[i]);
        }
        if (started)
            start_log(f);
        input_log_stop(f->log);
        for (size_t i = 0; i < ARRAY_LEN(r); i++)
            assert_int_equal(wait_for(&r[i]), TM_OK);
        fill(&late, SUBMIT_OPEN, "late");
        assert_false(input_log_submit(f->log, &late.sub));
        sem_destroy(&late.done);
        assert_true(f->delivered == input_log_head(f->log));
        reopen(f);
        assert_int_equal(replay_ok(f, 0).events, (uint64_t)(started + 1) * (ARRAY_LEN(r) - 1) * BATCH_EVENTS);
    }
}

struct pusher {
    struct fixture *f;
    struct request *r;
    size_t count;
    atomic_size_t pushed;
};

static void *push_all(void *context)
{
    struct pusher *p = context;
    for (size_t i = 0; i < p->count; i++) {
        hand_in(p->f, &p->r[i]);
        atomic_fetch_add(&p->pushed, 1);
    }
    return NULL;
}

/* Shards that take nothing hold the log back, and the log its producers; nothing is lost when they go on. */
static void a_full_inbox_is_felt_at_the_door(void **state)
{
    struct fixture *f = *state;
    static struct request r[300];
    pthread_t thread;
    struct pusher p = {.f = f, .r = r, .count = ARRAY_LEN(r)};
    f->options.queue_bytes_max = 10000;
    reopen(f);
    start_log(f);
    open_producer(f, "web");
    for (uint64_t i = 0; i < ARRAY_LEN(r); i++)
        fill_batch(&r[i], "web", i + 2);
    pthread_mutex_lock(&f->door);
    send_batch(f, "web", 1); /* acknowledged all the same; its block now waits at the door, and the writer with it */
    assert_int_equal(pthread_create(&thread, NULL, push_all, &p), 0);
    sleep_ms(300);
    size_t stuck_at = atomic_load(&p.pushed);
    sleep_ms(100);
    bool stuck = atomic_load(&p.pushed) == stuck_at;
    pthread_mutex_unlock(&f->door);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        assert_int_equal(wait_for(&r[i]), TM_OK);
    assert_true(stuck && stuck_at > 0 && stuck_at < 10000 / 256);
}

static void change_block(struct fixture *f, uint64_t position, const struct buffer *value)
{
    uint8_t key[sizeof position];
    struct rocks_batch *b = rocks_batch_new(f->dir.log);
    key_put_u64(key, position);
    if (value)
        rocks_batch_put(b, LOG_BLOCK, bytes_of(key, sizeof key), buffer_view(value));
    else
        rocks_batch_remove(b, LOG_BLOCK, bytes_of(key, sizeof key));
    rocks_write(f->dir.log, b);
    rocks_batch_free(b);
}

static void read_block(struct fixture *f, uint64_t position, struct buffer *value)
{
    uint8_t key[sizeof position];
    struct tm_error err;
    key_put_u64(key, position);
    assert_int_equal(rocks_get(f->dir.log, LOG_BLOCK, bytes_of(key, sizeof key), value, &err), TM_OK);
}

static void assert_log_open_refused(struct fixture *f, const char *words)
{
    struct input_log *log;
    struct tm_error err = {0};
    assert_int_equal(input_log_open(&f->options, &log, &err), TM_DATA_LOSS);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

/* Twelve blocks; the fourth and the eleventh are what the tests below tamper with. */
static void write_twelve(struct fixture *f, uint64_t begin[static 13])
{
    start_log(f);
    open_producer(f, "web");
    begin[0] = 0;
    for (uint64_t i = 1; i <= 12; i++)
        begin[i] = send_batch(f, "web", i);
    reopen(f);
    assert_int_equal(replay_ok(f, 0).blocks, 12);
}

static void a_gap_is_found(void **state)
{
    struct fixture *f = *state;
    uint64_t begin[13];
    char words[64];
    CLEANUP(buffer_close) struct buffer newest = {0};
    write_twelve(f, begin);
    change_block(f, begin[3], NULL);
    reopen(f); /* an old gap is found when somebody needs it */
    snprintf(words, sizeof words, "position %" PRIu64 " is missing", begin[3]);
    assert_replay_refused(f, 0, words);
    assert_replay_refused(f, begin[3], words);
    assert_int_equal(replay_ok(f, begin[4]).blocks, 8);
    change_block(f, begin[10], NULL);
    snprintf(words, sizeof words, "position %" PRIu64 " is missing", begin[10]);
    assert_log_open_refused(f, words); /* a new one at open */
}

static void a_damaged_block_is_found(void **state)
{
    struct fixture *f = *state;
    uint64_t begin[13];
    char words[64];
    CLEANUP(buffer_close) struct buffer fourth = {0};
    write_twelve(f, begin);
    read_block(f, begin[3], &fourth);
    fourth.data[fourth.size - 1] ^= 1;
    change_block(f, begin[3], &fourth);
    snprintf(words, sizeof words, "the block at position %" PRIu64 " is damaged", begin[3]);
    assert_replay_refused(f, 0, words);
    fourth.data[fourth.size - 1] ^= 1;
    change_block(f, begin[10], &fourth);
    snprintf(words, sizeof words, "position %" PRIu64 " says it begins at %" PRIu64, begin[10], begin[3]);
    assert_log_open_refused(f, words);
}

static void the_log_must_reach_every_shard(void **state)
{
    struct fixture *f = *state;
    uint64_t begin[13];
    char words[64];
    write_twelve(f, begin);
    snprintf(words, sizeof words, "ends at position %" PRIu64 ", a shard stands at %" PRIu64, begin[12], begin[12] + 1);
    assert_replay_refused(f, begin[12] + 1, words);
    change_block(f, 0, NULL); /* retention would have written down that it did this */
    snprintf(words, sizeof words, "kept from position 0 on, but its first block is at %" PRIu64, begin[1]);
    assert_log_open_refused(f, words);
}

/* ---- what is kept ---- */

/* Batches from *next on, until a tick has looked at what is to go and `seen` says so: the limit of the log is behind
 * each of them. */
static struct input_log_status send_until(struct fixture *f, uint64_t *next,
                                          bool (*seen)(const struct log_retention_status *kept, uint64_t than),
                                          uint64_t than)
{
    enum { WIRE = 16 << 10, ROUNDS = 1000 };
    static uint8_t wire[WIRE];
    struct input_log_status now = status_of(f);
    for (int i = 0; i < ROUNDS && !seen(&now.retained, than); i++) {
        struct request r;
        fill_batch(&r, "web", (*next)++);
        for (int k = 0; k < BATCH_EVENTS; k++)
            r.events[k].wire = bytes_of(wire, WIRE);
        assert_int_equal(hand_in_and_wait(f, &r), TM_OK);
        sleep_ms(1);
        now = status_of(f);
    }
    assert_true(seen(&now.retained, than));
    return now;
}

static bool holds_back(const struct log_retention_status *kept, uint64_t than) { return kept->overdue_bytes > than; }
static bool was_cut(const struct log_retention_status *kept, uint64_t than) { return kept->first > than; }

/* Whatever the limits say: a start needs all that comes behind what the slowest shard has synced. */
static void the_log_is_not_cut_past_what_shards_have_synced(void **state)
{
    struct fixture *f = *state;
    uint64_t next = 1, synced, held, first;
    f->options.retain_bytes = 64 << 10;
    reopen(f);
    start_log(f);
    open_producer(f, "web");
    assert_int_equal(send_until(f, &next, holds_back, 512 << 10).retained.first, 0); /* nobody said anything yet */

    synced = input_log_head(f->log) / 2;
    input_log_release(f->log, synced);
    first = send_until(f, &next, was_cut, 0).retained.first;
    assert_in_range(first, 1, synced);
    assert_in_range(send_until(f, &next, holds_back, 1 << 20).retained.first, first, synced);

    held = synced + (input_log_head(f->log) - synced) / 2; /* somebody may want to read again from here */
    input_log_hold(f->log, held);
    input_log_release(f->log, input_log_head(f->log));
    first = send_until(f, &next, was_cut, synced).retained.first;
    assert_in_range(first, synced + 1, held);
    assert_in_range(send_until(f, &next, holds_back, 1 << 20).retained.first, first, held);

    reopen(f); /* and all of that is there */
    assert_int_equal(replay_ok(f, held).next, input_log_head(f->log));
}

/* ---- crashes ---- */

enum { LANES = 3 };
static const char *const clients[LANES] = {"a", "b", "c"};

struct ack {
    uint32_t lane;
    uint64_t sequence, position;
};

/* Send batches of three producers at once, telling each acknowledgement, until killed. */
static _Noreturn void send_for_ever(const char *folder)
{
    struct fixture f = {0};
    struct request r[LANES];
    uint64_t last[LANES];
    snprintf(f.folder, sizeof f.folder, "%s", folder);
    set_options(&f);
    open_log(&f);
    start_log(&f);
    for (uint32_t i = 0; i < LANES; i++)
        last[i] = open_producer(&f, clients[i]);
    for (;;) {
        for (uint32_t i = 0; i < LANES; i++) {
            fill_batch(&r[i], clients[i], last[i] + 1);
            hand_in(&f, &r[i]);
        }
        for (uint32_t i = 0; i < LANES; i++) {
            struct ack ack = {i, ++last[i], 0};
            CHECK(wait_for(&r[i]) == TM_OK);
            ack.position = r[i].sub.position;
            if (write(STDOUT_FILENO, &ack, sizeof ack) != sizeof ack)
                _exit(2);
        }
    }
}

/* Run it for so many acknowledgements, kill it, and note what it was told. */
static void run_and_kill(const char *folder, int acks, struct ack newest[static LANES])
{
    int ends[2], status;
    struct ack ack;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, "send", folder, NULL);
        _exit(127);
    }
    close(ends[1]);
    for (int i = 0; read(ends[0], &ack, sizeof ack) == sizeof ack; i++) {
        newest[ack.lane] = ack;
        if (i == acks)
            kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_true(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void what_was_acknowledged_survives_a_kill(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 5; round++) {
        struct ack newest[LANES] = {0};
        uint64_t batches = 0;
        close_log(f);
        run_and_kill(f->folder, 20 + 37 * round, newest);
        open_log(f);
        struct heard h = replay_ok(f, 0);
        assert_true(h.next == input_log_head(f->log));
        start_log(f);
        for (uint32_t i = 0; i < LANES; i++) {
            struct request r;
            uint64_t last = open_producer(f, clients[i]);
            assert_true(newest[i].sequence > 0 && last >= newest[i].sequence && last <= newest[i].sequence + 1);
            fill_batch(&r, clients[i], newest[i].sequence); /* a client that missed the ack asks again */
            assert_int_equal(hand_in_and_wait(f, &r), TM_OK);
            assert_true(r.sub.repeated && r.sub.position >= newest[i].position && r.sub.position <= h.next);
            batches += last;
        }
        assert_int_equal(h.events, batches * BATCH_EVENTS); /* each once */
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(batches_come_back),
        TEST(producers_are_known_again),
        TEST(watermarks_come_back),
        TEST(a_watermark_row_of_more_streams_is_refused),
        TEST(control_begins_a_block),
        TEST(nothing_new_is_not_written),
        TEST(a_batch_waits_for_company_as_long_as_a_sync_takes),
        TEST(company_is_waited_for_no_longer_than_the_limit),
        TEST(when_syncs_are_short_nobody_waits_long),
        TEST(stopping_answers_everybody),
        TEST(a_full_inbox_is_felt_at_the_door),
        TEST(a_gap_is_found),
        TEST(a_damaged_block_is_found),
        TEST(the_log_must_reach_every_shard),
        TEST(the_log_is_not_cut_past_what_shards_have_synced),
        TEST(what_was_acknowledged_survives_a_kill),
    };
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "send") == 0)
        send_for_ever(argv[2]);
    return cmocka_run_group_tests_name("input_log", tests, NULL, NULL);
}
