/* Tests of client/recompute_*.h: what events come to, by hand. Each case is a configuration, events, and the labels of
 * every impression, with the times of features that may have come late for it; times are seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/text.h"
#include "client/recompute_join.h"
#include "proto/json_event.h"
#include "ps/server/join_rules.h"

enum { EVENTS_MAX = 24, TEXT_SIZE = 1024 };

/* One impression stream; actions may come 20 s behind, corrections reach 60 s back. */
#define JOIN "join: { key: [request, doc], window: 5s, allowed_lateness: 60s }\n"
#define STREAMS                                    \
    "streams:\n"                                   \
    "  - { name: s, kind: impression }\n"          \
    "  - { name: c, kind: action, within: 20s }\n" \
    "  - { name: e, kind: action, within: 20s, before: 3s }\n"
#define OWN(rule) STREAMS "  - { name: o, kind: action, key: [user, doc], within: 20s, attribute: " rule " }\n"
#define LABELS "labels: [{ name: n, stream: c, aggregate: count }, { name: v, stream: c, aggregate: sum }]\n"
#define LOOKS STREAMS "  - { name: l, kind: features }\n  - { name: m, kind: features }\n" LABELS
#define SPEND "labels: [{ name: v, stream: o, aggregate: sum }]\n"
#define VERSIONS "versions: [{ name: A, model: beta, reward: \"1\" }, { name: B, model: beta, reward: \"1\" }]\n"

#define SHOW(request, time) "{'stream':'s','request':'" request "','doc':'d','user':'u','version':'A','time':" #time "}"
#define CLICK(time, rest) "{'stream':'c','request':'r','doc':'d','time':" #time rest "}"
#define EARLY(time) "{'stream':'e','request':'r','doc':'d','time':" #time "}"
#define ORDER(time, rest) "{'stream':'o','user':'u','doc':'d','time':" #time rest "}"
#define LOOK(stream, time, rest) "{'stream':'" stream "','request':'r','doc':'d','time':" #time rest "}"
#define X ",'features':[1]"
#define TAKE_BACK ",'withdraw':true"

static const struct {
    const char *name, *config, *events[EVENTS_MAX], *want;
} cases[] = {
    {"no action", STREAMS LABELS, {SHOW("r", 10)}, "r:d n=0 v=0"},
    {"an action before and behind its impression",
     STREAMS LABELS,
     {CLICK(9, ""), SHOW("r", 10), CLICK(30, ",'value':4")},
     "r:d n=2 v=5"},
    {"too late by within", STREAMS LABELS, {SHOW("r", 10), CLICK(30, ""), CLICK(31, "")}, "r:d n=1 v=1"},
    {"too early by before",
     STREAMS "labels: [{ name: n, stream: e, aggregate: count }]\n",
     {EARLY(6), EARLY(7), SHOW("r", 10)},
     "r:d n=1"},
    {"too early by allowed_lateness", STREAMS LABELS, {CLICK(10, ""), CLICK(11, ""), SHOW("r", 71)}, "r:d n=1 v=1"},
    {"another version",
     STREAMS LABELS,
     {SHOW("r", 10), CLICK(11, ",'version':'B'"), CLICK(12, ",'version':'A'")},
     "r:d n=1 v=1"},
    {"sent again, by event id and by fields",
     STREAMS LABELS,
     {SHOW("r", 10), CLICK(11, ",'event':'x'"), CLICK(12, ",'event':'x'"), CLICK(13, ""), CLICK(13, ""),
      CLICK(13, ",'value':2")},
     "r:d n=3 v=4"},
    {"shown again", STREAMS LABELS, {SHOW("r", 10), SHOW("r", 12), CLICK(31, "")}, "r:d n=0 v=0"},
    {"orphans and other keys",
     STREAMS LABELS,
     {SHOW("q", 10), CLICK(11, ""), SHOW("r", 12)},
     "q:d n=0 v=0; r:d n=1 v=1"},
    {"taken back, before and behind, once for good",
     STREAMS LABELS,
     {SHOW("r", 10), CLICK(11, ",'event':'x'" TAKE_BACK), CLICK(12, ",'event':'x'"), CLICK(13, ",'event':'y'"),
      CLICK(14, ",'event':'y'" TAKE_BACK), CLICK(15, ",'event':'y'")},
     "r:d n=0 v=0"},
    {"taken back too late",
     STREAMS LABELS,
     {SHOW("r", 10), CLICK(11, ",'event':'x'"), CLICK(31, ",'event':'x'" TAKE_BACK)},
     "r:d n=1 v=1"},
    {"of one stream and key sixteen count",
     STREAMS LABELS,
     {SHOW("r", 10), CLICK(10, ",'value':1"), CLICK(11, ",'value':2"), CLICK(12, ",'value':3"), CLICK(13, ",'value':4"),
      CLICK(14, ",'value':5"), CLICK(15, ",'value':6"), CLICK(16, ",'value':7"), CLICK(17, ",'value':8"),
      CLICK(18, ",'value':9"), CLICK(19, ",'value':10"), CLICK(20, ",'value':11"), CLICK(21, ",'value':12"),
      CLICK(22, ",'value':13"), CLICK(23, ",'value':14"), CLICK(24, ",'value':15"), CLICK(25, ",'value':16"),
      CLICK(26, ",'value':1000")},
     "r:d n=16 v=136"},
    {"items",
     STREAMS LABELS,
     {"{'stream':'s','request':'r','version':'A','time':10,'items':[{'doc':'d'},{'doc':'e','position':2}]}",
      CLICK(11, ",'value':3")},
     "r:d n=1 v=3; r:e n=0 v=0"},
    {"every aggregate",
     STREAMS "labels: [{ name: x, stream: c }, { name: m, stream: c, aggregate: mean }, "
             "{ name: h, stream: c, aggregate: max, threshold: 8 }, { name: l, stream: c, aggregate: last }, "
             "{ name: f, stream: c, aggregate: first_delay }, { name: s, stream: c, aggregate: sum, cap: 11 }]\n",
     {SHOW("r", 10), CLICK(12, ",'value':8"), CLICK(14, ",'value':4")},
     "r:d x=1 m=6 h=1 l=4 f=2 s=11"},
    {"filters of samples",
     STREAMS "labels: [{ name: n, stream: c, aggregate: count }, { name: v, stream: c, aggregate: sum }]\n"
             "sample_filters: [{ name: a, label: n, by: delay, min: 3, do: zero, zero: v }, "
             "{ name: b, label: v, max: 1, do: zero, zero: n }]\n",
     {SHOW("r", 10), CLICK(12, ",'value':9"), SHOW("q", 10),
      "{'stream':'c','request':'q','doc':'d','time':14,'value':9}"},
     "r:d n=1 v=0; q:d n=0 v=9"},
    {"filters of events",
     STREAMS LABELS "filters: [{ name: a, stream: c, field: value, do: default, to: 7 }, { name: b, stream: c, field: "
                    "value, max: 9 }]\n",
     {SHOW("r", 10), CLICK(11, ""), CLICK(12, ",'value':10"), CLICK(13, ",'value':9")},
     "r:d n=2 v=16"},
    {"what no server takes",
     STREAMS LABELS,
     {"{'stream':'x','request':'r','doc':'d','time':9}", "{'stream':'s','request':'r','doc':'d','time':9}",
      "{'stream':'c','doc':'d','time':9}", SHOW("r", 10), CLICK(11, TAKE_BACK)},
     "r:d n=0 v=0 (4 refused)"},
    {"the last that was shown",
     OWN("last") SPEND,
     {SHOW("r", 10), SHOW("q", 15), ORDER(20, ",'value':6"), SHOW("p", 21)},
     "r:d v=0; q:d v=6; p:d v=0"},
    {"the first within reach",
     OWN("first") SPEND,
     {SHOW("r", 10), SHOW("q", 15), SHOW("p", 16), ORDER(31, ",'value':6")},
     "r:d v=0; q:d v=6; p:d v=0"},
    {"all of them, in parts",
     OWN("all") SPEND,
     {SHOW("r", 10), SHOW("q", 15), ORDER(30, ",'value':6"), ORDER(31, ",'value':4")},
     "r:d v=3; q:d v=7"},
    {"never one that was shown afterwards", OWN("last") SPEND, {ORDER(9, ""), SHOW("r", 10)}, "r:d v=0"},
    {"of another user, and without one",
     OWN("last") SPEND,
     {SHOW("r", 10), "{'stream':'s','request':'q','doc':'d','version':'A','time':12}",
      "{'stream':'o','user':'w','doc':'d','time':13}", ORDER(14, "")},
     "r:d v=1; q:d v=0"},
    {"an order is taken back where it was",
     OWN("all") SPEND,
     {SHOW("r", 10), SHOW("q", 12), ORDER(20, ",'event':'x','value':6"), ORDER(21, ",'event':'x'" TAKE_BACK)},
     "r:d v=0; q:d v=0"},
    {"from one that cannot be corrected any more it is not taken",
     OWN("all") SPEND,
     {SHOW("r", 10), SHOW("q", 29), ORDER(30, ",'event':'x','value':6"), SHOW("p", 60),
      ORDER(71, ",'event':'x'" TAKE_BACK)},
     "r:d v=3; q:d v=0; p:d v=0"},
    {"robots, until they rest",
     STREAMS LABELS "users: { max_events: 2, per: 8s }\n",
     {SHOW("r", 10), "{'stream':'c','request':'r','doc':'d','user':'u','time':11}",
      "{'stream':'c','request':'r','doc':'d','user':'u','time':12}",
      "{'stream':'c','request':'r','doc':'d','user':'u','time':25,'value':5}"},
     "r:d n=2 v=6 (1 robots)"},
    {"features, one of each stream",
     LOOKS,
     {LOOK("l", 2, X), LOOK("m", 9, X), SHOW("r", 10), LOOK("l", 11, X), LOOK("m", 70, X)},
     "r:d n=0 v=0 l+2 m+9"},
    {"features no more than a minute behind",
     LOOKS,
     {SHOW("r", 10), CLICK(11, ""), LOOK("l", 70, X), LOOK("m", 71, X)},
     "r:d n=1 v=1 l+70"},
    {"a record without features has the place of others",
     LOOKS,
     {SHOW("r", 10), LOOK("l", 11, ""), LOOK("l", 12, X)},
     "r:d n=0 v=0"},
    {"features of another key",
     LOOKS,
     {SHOW("q", 10), LOOK("l", 11, X), SHOW("r", 12)},
     "q:d n=0 v=0; r:d n=0 v=0 l+11"},
    {"nobody", STREAMS LABELS, {CLICK(10, "")}, ""},
};

/* The configuration of all cases: a file in memory. */
static char path[64];

static void read_rules(const char *config, struct recompute_rules *rules)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    struct options *o = mem_new(1, sizeof *o);
    struct option_problems problems = {0};
    struct tm_error err = {0};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "%s%s%s", JOIN, config, VERSIONS);
    fclose(f);
    options_default(o);
    options_read_file(o, path, &problems);
    options_check(o, path, &problems);
    if (options_refuse(&problems, &err) != TM_OK)
        fail_msg("%s", err.message);
    join_rules_pack(o, false, &packed);
    if (recompute_rules_read(buffer_view(&packed), rules, &err) != TM_OK)
        fail_msg("%s", err.message);
    free(o);
}

#define T0 INT64_C(1700000000000)

/* With quotes, and the time in ms. */
static void take(struct recompute_events *events, const char *text)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    char line[TEXT_SIZE];
    struct json_event_info info;
    struct tm_error refused, err = {0};
    const char *field, *time = strstr(text, "'time':") + strlen("'time':");
    char *end;
    long seconds = strtol(time, &end, 10);
    snprintf(line, sizeof line, "%.*s%lld%s", (int)(time - text), text, (long long)(T0 + seconds * 1000), end);
    for (char *p = line; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (json_event_encode(bytes_text(line), &wire, &info, &field, &err) != TM_OK ||
        recompute_events_take(events, buffer_view(&wire), &refused, &err) != TM_OK)
        fail_msg("%s: %s", line, err.message);
}

static void print_impression(const struct recompute_join *j, size_t i, size_t *at, struct buffer *out)
{
    const struct recompute_rules *rules = j->events->rules;
    const struct recompute_event *e = &j->events->event[j->impression[i]];
    struct bytes request = names_text(&j->events->names, e->request), doc = names_text(&j->events->names, e->doc);
    double label[SAMPLE_LABELS_MAX];
    size_t n = 0;
    while (*at + n < j->shares && j->share[*at + n].impression == j->impression[i])
        n++;
    recompute_labels(rules, e->time, j->share + *at, n, label);
    *at += n;
    buffer_print(out, "%s%.*s:%.*s", i ? "; " : "", (int)request.size, (const char *)request.data, (int)doc.size,
                 (const char *)doc.data);
    for (uint32_t k = 0; k < rules->labels; k++)
        buffer_print(out, " %s=%g", rules->label[k].name, label[k]);
}

static void print_late(const struct recompute_join *j, size_t i, struct buffer *out)
{
    for (size_t k = 0; k < j->lates; k++) {
        const struct recompute_event *e = &j->events->event[j->late[k].record];
        if (j->late[k].impression == j->impression[i])
            buffer_print(out, " %s+%lld", j->events->rules->stream[e->stream].name, (long long)(e->time - T0) / 1000);
    }
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        CLEANUP(buffer_close) struct buffer got = {0};
        CLEANUP(recompute_rules_close) struct recompute_rules rules;
        CLEANUP(recompute_events_close) struct recompute_events events;
        CLEANUP(recompute_join_close) struct recompute_join join;
        struct tm_error err = {0};
        size_t at = 0;
        read_rules(cases[c].config, &rules);
        recompute_events_open(&events, &rules, INT64_MIN, INT64_MAX, 64 << 20);
        for (size_t i = 0; i < EVENTS_MAX && cases[c].events[i]; i++)
            take(&events, cases[c].events[i]);
        assert_int_equal(recompute_join(&events, &join, &err), TM_OK);
        for (size_t i = 0; i < join.impressions; i++) {
            print_impression(&join, i, &at, &got);
            print_late(&join, i, &got);
        }
        if (events.refused)
            buffer_print(&got, " (%d refused)", (int)events.refused);
        if (events.robots)
            buffer_print(&got, " (%d robots)", (int)events.robots);
        buffer_put_u8(&got, 0);
        if (strcmp((const char *)got.data, cases[c].want) != 0)
            fail_msg("%s: got \"%s\"; expected \"%s\"", cases[c].name, (const char *)got.data, cases[c].want);
        assert_int_equal(at, join.shares);
    }
}

/* Keys that a server cannot keep whole are told. */
static void test_crowds_are_told(void **state)
{
    CLEANUP(recompute_rules_close) struct recompute_rules rules;
    (void)state;
    read_rules(OWN("last") SPEND, &rules);
    for (int apart = 1; apart <= 4; apart += 3) { /* 32 seconds for 33 impressions, and 128 */
        CLEANUP(recompute_events_close) struct recompute_events events;
        CLEANUP(recompute_join_close) struct recompute_join join;
        struct tm_error err = {0};
        char line[TEXT_SIZE];
        recompute_events_open(&events, &rules, INT64_MIN, INT64_MAX, 64 << 20);
        for (int i = 0; i < 33; i++) {
            snprintf(line, sizeof line, "{'stream':'s','request':'r%d','doc':'d','user':'u','version':'A','time':%d}",
                     i, i * apart);
            take(&events, line);
        }
        take(&events, ORDER(130, ""));
        assert_int_equal(recompute_join(&events, &join, &err), TM_OK);
        assert_int_equal(join.crowded, apart == 1);
    }
}

/* What is wanted is kept, as far around as it matters; the rest takes no memory. */
static void test_a_part_of_the_time(void **state)
{
    CLEANUP(recompute_rules_close) struct recompute_rules rules;
    CLEANUP(recompute_events_close) struct recompute_events events;
    (void)state;
    read_rules(STREAMS LABELS, &rules);
    recompute_events_open(&events, &rules, T0 + 200000, T0 + 300000, 64 << 20);
    const char *const outside[] = {SHOW("a", 139), CLICK(361, "")}, *const inside[] = {SHOW("b", 140), CLICK(360, "")};
    for (size_t i = 0; i < 2; i++) {
        take(&events, outside[i]);
        take(&events, inside[i]);
    }
    assert_int_equal(events.count, 2);
}

static void test_memory_is_bounded(void **state)
{
    CLEANUP(recompute_rules_close) struct recompute_rules rules;
    CLEANUP(recompute_events_close) struct recompute_events events;
    CLEANUP(buffer_close) struct buffer wire = {0};
    struct event e = {.stream = bytes_text("c"), .doc = bytes_text("d"), .value = 1};
    struct tm_error refused, err = {0};
    enum tm_code rc = TM_OK;
    char request[32];
    (void)state;
    read_rules(STREAMS LABELS, &rules);
    recompute_events_open(&events, &rules, INT64_MIN, INT64_MAX, 1 << 20);
    for (int i = 0; rc == TM_OK && i < 100000; i++) {
        snprintf(request, sizeof request, "r%d", i);
        e.request = bytes_text(request);
        e.time = T0 + i;
        e.has = EVENT_HAS_TIME;
        wire.size = 0;
        event_encode(&e, &wire);
        rc = recompute_events_take(&events, buffer_view(&wire), &refused, &err);
    }
    assert_int_equal(rc, TM_RESOURCE_EXHAUSTED);
    assert_true(events.count > 2000 && recompute_events_memory(&events) <= 1 << 20);
    assert_non_null(strstr(err.message, "--from and --to"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_crowds_are_told),
                                       cmocka_unit_test(test_a_part_of_the_time),
                                       cmocka_unit_test(test_memory_is_bounded)};
    int fd = memfd_create("recompute", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
