#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/units.h"
#include "ps/engine/option_table.h"
#include "ps/state/catalog.h"

/* The configuration file of all tests: a file in memory. */
static char path[64];

static void write_file(struct bytes content)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(content.data, 1, content.size, f), content.size);
    assert_int_equal(fclose(f), 0);
}

static void read_text(struct options *o, const char *text, struct option_problems *problems)
{
    write_file(bytes_text(text));
    options_default(o);
    options_read_file(o, path, problems);
}

/* The problems' text with every "path" written as "f". */
static const char *problem_text(struct option_problems *problems, char *out, size_t size)
{
    size_t used = 0, name = strlen(path);
    buffer_put_u8(&problems->text, '\0');
    const char *p = (const char *)problems->text.data;
    while (*p && used + 1 < size) {
        bool is_name = strncmp(p, path, name) == 0;
        out[used++] = is_name ? 'f' : *p;
        p += is_name ? name : 1;
    }
    out[used] = '\0';
    problems->text.size--;
    return out;
}

static void expect(struct option_problems *problems, const char *want)
{
    static char got[65536];
    assert_string_equal(problem_text(problems, got, sizeof got), want);
    buffer_close(&problems->text);
    *problems = (struct option_problems){0};
}

#define V "versions: [{ name: A, model: beta }]\n"

/* What a file says wrong, and every word of the answer. */
static const struct {
    const char *yaml, *want;
} bad_files[] = {
    {V "comit: { interval: 1s }\n", "f:2:1: comit: unknown key; did you mean commit?\n"},
    {V "commit: { intervall: 1s }\n", "f:2:11: commit.intervall: unknown key; did you mean interval?\n"},
    {V "ocmmti: { interval: 1s }\n", "f:2:1: ocmmti: unknown key; did you mean commit?\n"},
    {V "log: { synchro: 1s }\n", "f:2:8: log.synchro: unknown key; expected one of: sync, retain, retain_size\n"},
    {V "commit.interval: 1s\n",
     "f:2:1: commit.interval: unknown key; expected one of: data, listen, http, shards, "
     "threads, rpc_threads, log, disk, "
     "commit, memory, samples, users, join, streams, labels, versions, filters, sample_filters, sampling\n"},
    {V "join: { window: 60 }\n", "f:2:17: join.window: got 60; expected a duration such as 60s\n"},
    {V "join: { window: 8d }\n", "f:2:17: join.window: got 8d; expected a duration from 0s to 7d\n"},
    {V "join: { window: -5s }\n", "f:2:17: join.window: got -5s; expected a duration such as 60s\n"},
    {V "join: 60s\n", "f:2:7: join: got 60s; expected a map\n"},
    {V "join: { key: request }\n",
     "f:2:14: join.key: got request; expected a list of request, user and doc, each at most once\n"},
    {V "join: { key: [doc, dock] }\n",
     "f:2:14: join.key: got doc, dock; expected a list of request, user and doc, each at most once\n"},
    {V "join: { key: [\"request,doc\"] }\n",
     "f:2:14: join.key: got a list; expected a list of request, user and doc, each at most once\n"},
    {V "join: { key: [doc, doc] }\n",
     "f:2:14: join.key: got doc, doc; expected a list of request, user and doc, each at most once\n"},
    {V "join: { key: [request] }\n", "f: join.key: got no doc; expected a list with doc such as [request, doc]\n"},
    {V "join: { window: 48h }\n", "f: join.window: got 2d; expected at most join.allowed_lateness, 1d\n"},
    {V "memory: { inbox: 64MB }\n", "f:2:18: memory.inbox: got 64MB; expected a size such as 64MiB\n"},
    {V "memory: { inbox: 1KiB }\n", "f:2:18: memory.inbox: got 1KiB; expected a size from 1MiB to 64GiB\n"},
    {V "memory: { join: 1GiB, table: 4GiB, samples: 8GiB }\n",
     "f:2:23: memory.table is not available in this version\n"},
    {V "memory: { samples: 8 }\n", "f:2:20: memory.samples: got 8; expected a size such as 8GiB\n"},
    {V "http: 7071\n", "f:2:7: http: got 7071; expected host:port such as 127.0.0.1:7071, or off\n"},
    {V "http: 0.0.0.0:7071\n",
     "f: http: 0.0.0.0:7071 is open to the network and this version has no authentication; expected a loopback "
     "address\n"},
    {V "log: { sync: 5ms, retain: 48 }\n", "f:2:27: log.retain: got 48; expected a duration such as 48h\n"},
    {V "log: { retain_size: 2PiB }\n", "f:2:21: log.retain_size: got 2PiB; expected a size such as 100GiB\n"},
    {V "disk: { reserve: 2TiB }\n", "f:2:18: disk.reserve: got 2TiB; expected a size from 0B to 1TiB\n"},
    {V "shards: 0\n", "f:2:9: shards: got 0; expected a whole number from 1 to 4096\n"},
    {V "shards: 64s\n", "f:2:9: shards: got 64s; expected a whole number from 1 to 4096\n"},
    {V "shards: [64]\n", "f:2:9: shards: got a list; expected a whole number from 1 to 4096\n"},
    {V "shards:\n", "f:2:8: shards: got nothing; expected a whole number from 1 to 4096\n"},
    {V "shards: 1\nshards: 2\n", "f:3:1: shards: given twice; the first is on line 2\n"},
    {V "data: \"a\\nb\"\n", "f:2:7: data: got a?b; expected a path of 1 to 4095 bytes, printable\n"},
    {V "listen: 7070\n", "f:2:9: listen: got 7070; expected host:port such as 127.0.0.1:7070\n"},
    {V "listen: 127.0.0.1:70700\n", "f:2:9: listen: got 127.0.0.1:70700; expected host:port such as 127.0.0.1:7070\n"},
    {V "listen: 0.0.0.0:7070\n",
     "f: listen: 0.0.0.0:7070 is open to the network and this version has no authentication; expected a loopback "
     "address\n"},
    {V "listen: \"[::]:7070\"\n",
     "f: listen: [::]:7070 is open to the network and this version has no authentication; expected a loopback "
     "address\n"},
    {"shards: 4\n", "f: versions: none; expected at least one\n"},
    {"", "f: versions: none; expected at least one\n"},
    {"versions: []\nlabels: []\n", "f: labels: none; expected at least one\n"
                                   "f: versions: none; expected at least one\n"},
    {"versions: A\n", "f:1:11: versions: got A; expected a list\n"
                      "f: versions: none; expected at least one\n"},
    {"versions: [A]\n", "f:1:12: versions[0]: got A; expected a map such as { name: ... }\n"},
    {"versions: [{ nam: A }]\n", "f:1:12: versions[0].name: missing; expected a name: 1 to 64 of [A-Za-z0-9._-]\n"
                                 "f:1:12: versions[0].model: missing; expected one of the models: beta, lr, linear, "
                                 "embedding\n"
                                 "f:1:14: versions[0].nam: unknown key; did you mean name?\n"},
    {"versions:\n  - { name: A b, model: beta, parent: 32 }\n",
     "f:2:13: versions[0].name: got A b; expected a name: 1 to 64 of [A-Za-z0-9._-]\n"
     "f:2:31: versions[0].parent is not available in this version\n"},
    {"versions: [{ name: A, model: embedding }]\n", "f:1:12: versions[0].dimension: 0 is not in [1, 4095]\n"},
    {"versions: [{ name: A, model: embedding, dimension: 2, optimizer: newton }]\n",
     "f:1:12: versions[0].optimizer: got newton; expected one of sgd, momentum, adagrad, adagrad_row, adam, ftrl\n"},
    {"versions: [{ name: A, model: embedding, dimension: 2, optimizer: sgd, beta1: 0.5 }]\n",
     "f:1:12: versions[0].beta1: optimizer sgd has no such option\n"},
    {"versions: [{ name: A, model: embedding, dimension: 2, loss: hinge }]\n",
     "f:1:12: versions[0].loss: got hinge; expected logistic or squared\n"},
    {"versions: [{ name: A, model: embedding, dimension: 2, half_life: 1d }]\n",
     "f:1:12: versions[0].half_life: embedding has no such option\n"},
    {"versions: [{ name: A, model: embedding, dimension: 2, batch: { samples: 9 }, expire_after: 1d }]\n",
     "f:1:12: versions[0].batch, order: documents that are admitted later or expire (admit_at, admit_share, "
     "expire_after) learn each sample when it comes; expected neither of both, or none of these\n"},
    {"versions: [{ name: A, model: lr, dimension: 2, expire_after: 1d }]\n",
     "f:1:12: versions[0].expire_after: lr has no such option\n"},
    {"versions: [{ name: A, model: beta, batch: 32 }]\n",
     "f:1:43: versions[0].batch: got 32; expected a map such as { samples: 100 }\n"},
    {"versions: [{ name: A, model: beta, batch: { sample: 5, samples: 0, samples: 3 }, order: time }]\n",
     "f:1:45: versions[0].batch.sample: unknown key; did you mean samples?\n"
     "f:1:65: versions[0].batch.samples: got 0; expected a whole number from 1 to 4096\n"
     "f:1:68: versions[0].batch.samples: given twice; the first is on line 1\n"
     "f:1:89: versions[0].order: got time; expected arrival or event_time\n"},
    {"versions: [{ name: A, model: beta, batch: { positive_ratio: 0.1 } }]\n",
     "f:1:12: versions[0].batch.positive_ratio: got it alone; expected batch.samples or batch.age with it, because a "
     "document without positives would never be learned\n"},
    {"join: { positive_at_once: true }\nversions: [{ name: A, model: beta, order: event_time }]\n",
     "f:2:12: versions[0].order: got event_time; expected arrival with join.positive_at_once, because what is learned "
     "then depends on what has come by the time of the first positive\n"},
    {"versions: [{ name: A, model: beta, reward: 1 / click, order: event_time }]\n",
     "f:1:12: versions[0].batch, order: the reward divides by what can be 0, and then has no value; expected a divisor "
     "that is never 0, such as max(x, 1), or neither of them\n"},
    {"versions: [{ name: A, model: lr }]\n", "f:1:12: versions[0].dimension: 0 is not in [1, 64]\n"},
    {"versions: [{ name: A, model: lr, dimension: 65 }]\n", "f:1:12: versions[0].dimension: 65 is not in [1, 64]\n"},
    {"versions: [{ name: A, model: linear, dimension: 65 }]\n",
     "f:1:12: versions[0].dimension: 65 is not in [1, 64]\n"},
    {"versions: [{ name: A, model: lr, covariance: diagonal, dimension: 4096 }]\n",
     "f:1:67: versions[0].dimension: got 4096; expected a whole number from 1 to 4095\n"
     "f:1:12: versions[0].dimension: 0 is not in [1, 4095]\n"},
    {"versions: [{ name: A, model: lr, dimension: 2, covariance: half, prior_sd: 0, prior_mean: x }]\n",
     "f:1:60: versions[0].covariance: got half; expected full or diagonal\n"
     "f:1:76: versions[0].prior_sd: got 0; expected a number from 0.000001 to 1000000\n"
     "f:1:91: versions[0].prior_mean: got x; expected a number from -1000000 to 1000000\n"},
    {"versions: [{ name: A, model: lr, dimension: 2, prior: [1, 2] }]\n",
     "f:1:12: versions[0].prior: lr has no such option\n"},
    {"versions: [{ name: A, model: beta, dimension: 2 }]\n",
     "f:1:12: versions[0].dimension: beta has no such option\n"},
    {"versions: [{ name: A, model: lr, dimension: 2, noise_sd: 1 }]\n",
     "f:1:12: versions[0].noise_sd: lr has no such option\n"},
    {"versions: [{ name: A, model: linear, dimension: 2, covariance: full }]\n",
     "f:1:12: versions[0].covariance: linear has no such option\n"},
    {"versions: [{ name: A, model: beta, policy: best, epsilon: 2, width: 0, propensity_draws: 1001 }]\n",
     "f:1:44: versions[0].policy: got best; expected thompson, ucb or greedy\n"
     "f:1:59: versions[0].epsilon: got 2; expected a number from 0 to 1\n"
     "f:1:69: versions[0].width: got 0; expected a number from 0.000001 to 100\n"
     "f:1:90: versions[0].propensity_draws: got 1001; expected a whole number from 0 to 1000\n"},
    {"versions: [{ name: A, model: beta, epsilon: 0.1, propensity_draws: 199 }]\n",
     "f:1:12: versions[0].propensity_draws: got 199; expected 0, or 200 to 1000\n"},
    {"versions: [{ name: A, model: beta, propensity_draws: 200 }]\n",
     "f:1:12: versions[0].epsilon: 0 is below 0.01, which estimated propensities need so that none is 0\n"},
    {"versions: [{ name: A, model: bta }]\n",
     "f:1:12: versions[0].model: got bta; expected one of the models: beta, lr, linear, "
     "embedding\n"},
    {"versions: [{ name: A, model: beta, prior: [1] }]\n",
     "f:1:12: versions[0].prior: beta takes 2 numbers (alpha, beta), not 1\n"},
    {"versions: [{ name: A, model: beta, prior: [1, x] }]\n",
     "f:1:43: versions[0].prior: got 1, x; expected a list of 1 to 8 numbers such as [1, 20]\n"},
    {"versions: [{ name: A, model: beta, half_life: 14 }]\n",
     "f:1:47: versions[0].half_life: got 14; expected a duration such as 14d\n"},
    {"versions: [{ name: A, model: beta, reward: click + 0.1*spend }]\n",
     "f:1:12: versions[0].reward: column 13: spend is no label; expected one of: click\n"},
    {"versions: [{ name: A, model: beta, reward: \"(click\" }]\n",
     "f:1:12: versions[0].reward: column 7: it ends; expected an operator or )\n"},
    {"versions: [{ name: A, model: beta, reward: \" \" }]\n",
     "f:1:44: versions[0].reward: got nothing; expected an expression of 1 to 255 bytes such as click + 5*order - "
     "dislike\n"},
    {"versions: [{ name: A, model: lr, dimension: 2, reward: 1 / click }]\n", ""},
    {V "sample_filters: [{ name: x, label: clikc, max: 2 }]\n",
     "f:2:18: sample_filters[0].label: got clikc, which is no label; did you mean click?\n"},
    {V "sample_filters: [{ name: x, label: click, by: delay, do: mend }]\n",
     "f:2:58: sample_filters[0].do: got mend; expected drop or zero\n"
     "f:2:18: sample_filters[0].min: missing, as max is; expected one of them\n"},
    {V "sample_filters: [{ name: x, label: click, by: delay, do: zero, zero: clack }]\n",
     "f:2:18: sample_filters[0].zero: got clack, which is no label; did you mean click?\n"
     "f:2:18: sample_filters[0].min: missing, as max is; expected one of them\n"},
    {V "sample_filters: [{ name: x, label: click, min: 2, zero: click }]\n",
     "f:2:18: sample_filters[0].zero: only a filter with do: zero has it\n"},
    {"versions: [{ name: A, model: beta, reward: clikc }]\n",
     "f:1:12: versions[0].reward: got clikc, which is no label; did you mean click?\n"},
    {"versions: [{ name: A1, model: beta, samples_from: [A1, A2, A1] }]\n",
     "f:1:12: versions[0].samples_from: got A2, which is no version; did you mean A1?\n"
     "f:1:12: versions[0].samples_from: got A1 twice\n"},
    {"versions: [{ name: A, model: beta }, { name: A, model: beta }]\n",
     "f:1:38: versions[1].name: got A again; versions[0] has it\n"},
    {V "labels: [{ name: spend, stream: clicks, aggregate: sum }]\n", ""},
    {V "labels: [{ name: spend, stream: clicks, aggregate: total }]\n",
     "f:2:52: labels[0].aggregate: got total; expected exists, count, sum, mean, max, last or first_delay\n"},
    {V "labels: [{ name: spend, stream: clicks, cap: lots, threshold: 1e999 }]\n",
     "f:2:46: labels[0].cap: got lots; expected a number such as 100\n"
     "f:2:63: labels[0].threshold: got 1e999; expected a number such as 30\n"},
    {V "labels: [{ name: click, stream: orders }]\n",
     "f:2:10: labels[0].stream: got orders, which is no action stream; expected one of: clicks\n"},
    {V "streams: [{ name: i, kind: impression, within: 1h, required: true }]\n",
     "f:2:11: streams[0].within: only action streams have it\n"
     "f:2:11: streams[0].required: only feature streams have it\n"
     "f: labels[0].stream: got clicks, which is no action stream; there is none\n"},
    {V "streams: [{ name: clicks, kind: action, within: 1s }]\n",
     "f:2:11: streams[0].within: got 1s; expected from join.window, 1m, to join.allowed_lateness, 1d\n"
     "f: streams: none of kind impression; expected at least one\n"},
    {V "streams:\n"
       "  - { name: i, kind: impression }\n"
       "  - { name: clicks, kind: action }\n"
       "  - { name: t, kind: table, key: [user], attribute: last }\n",
     "f:5:5: streams[2].attribute: only action streams have it\n"},
    {V "streams:\n"
       "  - { name: i, kind: impression, payload_only: true }\n"
       "  - { name: clicks, kind: action }\n"
       "  - { name: t, kind: table, required: true }\n"
       "  - { name: u, kind: table, key: [user] }\n"
       "filters: [{ name: f, stream: u, field: value, min: 1 }]\n",
     "f:3:5: streams[0].payload_only: only tables have it\n"
     "f:5:5: streams[2].key: missing; expected what the table's rows are about, such as [user]\n"
     "f:5:5: streams[2].required: only feature streams have it\n"
     "f:7:11: filters[0].stream: got u, which is no stream; expected one of: i, clicks\n"},
    {V "streams:\n"
       "  - { name: i, kind: impression }\n"
       "  - { name: clicks, kind: action }\n"
       "  - { name: q, kind: features, key: [request] }\n",
     "f:5:5: streams[2].key: features have the join key, because a record goes where its document is; send those of a "
     "request once for all its documents, in a record with items\n"},
    {V "streams:\n"
       "  - { name: i, kind: impression, attribute: last }\n"
       "  - { name: o1, kind: action, key: [user] }\n"
       "  - { name: o2, kind: action, attribute: first }\n"
       "  - { name: o3, kind: action, key: [doc, request], attribute: all }\n"
       "  - { name: o4, kind: action, key: [user, doc], attribute: newest }\n"
       "  - { name: o5, kind: action, key: [user, doc], before: 1h }\n"
       "labels: [{ name: click, stream: o1 }]\n",
     "f:7:60: streams[4].attribute: got newest; expected last, first or all\n"
     "f:3:5: streams[0].attribute: only action streams have it\n"
     "f:4:5: streams[1].key: got no doc; expected a list with doc such as [user, doc]\n"
     "f:5:5: streams[2].attribute: the stream has the join key, so an action has one impression; expected a key of its "
     "own such as [user, doc]\n"
     "f:6:5: streams[3].attribute: the stream has the join key, so an action has one impression; expected a key of its "
     "own such as [user, doc]\n"
     "f:8:5: streams[5].before: an action with a key of its own never counts for an impression after it\n"},
    {V "streams: [{ name: i, kind: impression }, { name: o, kind: action, key: [user, doc], attribute: all }]\n"
       "labels: [{ name: click, stream: o }]\n",
     ""},
    {V "filters: [{ name: f, stream: click, field: value, min: 3 }]\n",
     "f:2:11: filters[0].stream: got click, which is no stream; did you mean clicks?\n"},
    {V "filters: [{ name: f, stream: clicks, field: price, do: cut }]\n",
     "f:2:45: filters[0].field: got price; expected value, weight, position, score or propensity\n"
     "f:2:56: filters[0].do: got cut; expected drop, clamp or default\n"
     "f:2:11: filters[0].min: missing, as max is; expected one of them\n"},
    {V "filters: [{ name: a, stream: clicks, field: score, do: clamp, max: 1 },\n"
       "  { name: b, stream: clicks, field: value, min: 2, max: 1 },\n"
       "  { name: c, stream: impressions, field: position, do: default, to: 1.5 }]\n",
     "f:2:11: filters[0].do: only value, weight and position can be changed; expected drop\n"
     "f:3:3: filters[1].min: got more than max\n"
     "f:4:3: filters[2].to: a position is a whole number\n"},
    {V "filters: [{ name: a, stream: impressions, field: weight, do: clamp, min: 1e39 },\n"
       "  { name: b, stream: impressions, field: weight, do: clamp, min: -2, max: -1 },\n"
       "  { name: c, stream: impressions, field: weight, do: default, to: 1000001 },\n"
       "  { name: d, stream: impressions, field: weight, do: default, to: 1000000 }]\n",
     "f:2:11: filters[0].min: a weight is 0 to 1000000\n"
     "f:3:3: filters[1].min: a weight is 0 to 1000000\n"
     "f:4:3: filters[2].to: a weight is 0 to 1000000\n"},
    {V "streams: [{ name: i, kind: impression, before: 1s }, { name: clicks, kind: action }]\n",
     "f:2:11: streams[0].before: only action streams have it\n"},
    {V "sampling: [{ name: n, keep: 0 }]\n", "f:2:29: sampling[0].keep: got 0; expected a number from 0.000001 to 1\n"},
    {V "sampling: [{ name: n, keep: x }]\n", "f:2:29: sampling[0].keep: got x; expected a number from 0.000001 to 1\n"},
    {V "sampling: [{ name: n, keep: 1, by: doc, from_position: 3, to_position: 2 }]\n",
     "f:2:36: sampling[0].by: got doc; expected impression or user\n"
     "f:2:12: sampling[0].from_position: got 3; expected at most to_position, 2\n"},
    {V "sampling: [{ name: n, keep: 1 }, { name: n, keep: 1 }]\n",
     "f:2:34: sampling[1].name: got n again; sampling[0] has it\n"},
    {V "shards: &a 4\n", "f:2:9: anchors, aliases and tags are not allowed\n"
                         "f: versions: none; expected at least one\n"},
    {"shards: *a\n", "f:1:9: anchors, aliases and tags are not allowed\n"
                     "f: versions: none; expected at least one\n"},
    {"shards: !!int 4\n", "f:1:9: anchors, aliases and tags are not allowed\n"
                          "f: versions: none; expected at least one\n"},
    {"[a]: 1\n", "f:1:1: a key must be text\n"
                 "f: versions: none; expected at least one\n"},
    {"shards: 1\n---\nshards: 2\n", "f:2:1: a second document; expected one\n"
                                    "f: versions: none; expected at least one\n"},
    {"data: \"a\\0b\"\n", "f:1:7: NUL characters are not allowed\n"
                          "f: versions: none; expected at least one\n"},
    {"x: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "f:1:19: nested too deeply\n"
                                                   "f: versions: none; expected at least one\n"},
    {"join:\n\twindow: 1s\n", "f:2:1: found character that cannot start any token\n"
                              "f: versions: none; expected at least one\n"},
    {"join: {\n  window: 1s\n  key: [doc]\n",
     "f:3:6: did not find expected ',' or '}', while parsing a flow mapping from line 1\n"
     "f: versions: none; expected at least one\n"},
    {"shards: 1\ndata: \xff\n", "f:2:7: invalid leading UTF-8 octet\n"
                                "f: versions: none; expected at least one\n"},
    {"- a\n", "f:1:1: the file: got a list; expected a map of options\n"
              "f: versions: none; expected at least one\n"},
};

static void bad_files_are_answered_in_full(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_files); i++) {
        struct option_problems problems = {0};
        struct options o;
        read_text(&o, bad_files[i].yaml, &problems);
        options_check(&o, path, &problems);
        expect(&problems, bad_files[i].want);
    }
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct option_problems problems = {0};
    struct options o;
    CLEANUP(buffer_close) struct buffer text = {0};
    while (text.size <= OPTION_FILE_MAX)
        buffer_print(&text, "# %0100d\n", 0);
    write_file(buffer_view(&text));
    options_default(&o);
    options_read_file(&o, path, &problems);
    expect(&problems, "f: larger than 1048576 bytes\n");

    text.size = 0;
    for (int i = 0; i < 10000; i++)
        buffer_print(&text, "- a\n");
    write_file(buffer_view(&text));
    options_read_file(&o, path, &problems);
    expect(&problems, "f:10000:3: the file holds too many items\n");

    text.size = 0;
    for (int i = 0; i < 1000; i++)
        buffer_print(&text, "k%d: 1\n", i);
    write_file(buffer_view(&text));
    options_read_file(&o, path, &problems);
    assert_int_equal(problems.count, 1000);
    buffer_close(&problems.text);
    problems.count = 0;

    text.size = 0;
    buffer_print(&text, "labels:\n");
    for (int i = 0; i < 9; i++)
        buffer_print(&text, "  - { name: l%d, stream: clicks }\n", i);
    write_file(buffer_view(&text));
    options_read_file(&o, path, &problems);
    assert_int_equal(o.labels, OPTION_LABELS_MAX);
    expect(&problems, "f:10:5: labels: got more; expected at most 8\n");
}

static void a_missing_file_is_a_problem(void **state)
{
    (void)state;
    struct option_problems problems = {0};
    struct options o;
    options_default(&o);
    options_read_file(&o, "/nonexistent/tidemill.yaml", &problems);
    expect(&problems, "/nonexistent/tidemill.yaml: no such file\n");
}

/* The configuration of the manual, with everything this version serves. */
static const char good_file[] =
    "data: ./tidemill-data\n"
    "listen: 127.0.0.1:7070          # gRPC\n"
    "http: off\n"
    "shards: 128\n"
    "threads: 3\n"
    "log:    { sync: 7ms }\n"
    "commit: { interval: 2s }\n"
    "memory: { inbox: 128MiB }\n"
    "streams:\n"
    "  - { name: features,    kind: features, required: true }\n"
    "  - { name: impressions, kind: impression, out_of_orderness: 6s }\n"
    "  - { name: clicks,      kind: action,     out_of_orderness: 5s }\n"
    "  - { name: orders,      kind: action,     within: 12h }\n"
    "join:   { key: [request, user, doc], window: 90s, allowed_lateness: 36h, producer_timeout: 2m }\n"
    "labels:\n"
    "  - { name: click, stream: clicks, aggregate: exists }\n"
    "  - { name: order, stream: orders }\n"
    "versions:\n"
    "  - { name: A, model: beta, prior: [1, 20], half_life: 14d, reward: click, order: event_time }\n"
    "  - { name: B, model: beta, policy: ucb, epsilon: 0.05, propensity_draws: 200, "
    "batch: { positive_ratio: 0.25, age: 60s } }\n"
    "  - { name: C, model: lr, dimension: 32, covariance: diagonal, prior_sd: 0.25, intercept_mean: -4.6 }\n"
    "  - { name: D, model: linear, dimension: 3, noise_sd: 1e2, representation: encoder-3 }\n"
    "  - { name: A-shadow, model: beta, prior: [0.1, 5e1], reward: order, samples_from: [A, B] }\n";

static void a_good_file_means_what_it_says(void **state)
{
    (void)state;
    struct option_problems problems = {0};
    struct options o;
    read_text(&o, good_file, &problems);
    options_check(&o, path, &problems);
    assert_int_equal(problems.count, 0);
    assert_string_equal(o.http, OPTION_OFF);
    assert_int_equal(o.shards, 128);
    assert_int_equal(o.threads, 3);
    assert_int_equal(o.rpc_threads, 2);
    assert_int_equal(o.log_sync_ms, 7);
    assert_int_equal(o.commit_interval_ms, 2000);
    assert_int_equal(o.memory_inbox, 128 << 20);
    assert_int_equal(o.key_fields, KEY_REQUEST | KEY_USER | KEY_DOC);
    assert_int_equal(o.window_ms, 90000);
    assert_int_equal(o.streams, 4);
    assert_true(o.stream[0].required && o.stream[0].kind == STREAM_FEATURES);
    assert_int_equal(o.stream[1].out_of_orderness_ms, 6000);
    assert_int_equal(o.stream[2].within_ms, 36 * 3600000);
    assert_int_equal(o.stream[3].within_ms, 12 * 3600000);
    assert_int_equal(o.stream[3].place.line, 13);
    assert_int_equal(o.versions, 5);
    assert_true(o.version[2].dimension == 32 && o.version[2].covariance == OPTION_COVARIANCE_DIAGONAL);
    assert_true(o.version[2].prior_count == 0 && o.version[2].prior_sd == 0.25 && o.version[2].intercept_sd == 1);
    assert_true(o.version[2].intercept_mean == -4.6 && o.version[2].noise_sd == 0);
    assert_true(o.version[3].dimension == 3 && o.version[3].noise_sd == 100 && o.version[3].covariance == 0);
    assert_string_equal(o.version[3].representation, "encoder-3");
    assert_true(o.version[0].prior[1] == 20 && o.version[0].half_life_ms == 14 * 86400000ll);
    assert_true(o.version[0].policy == RANK_BY_THOMPSON && o.version[0].epsilon == 0);
    assert_true(o.version[1].policy == RANK_BY_UCB && o.version[1].epsilon == 0.05 && o.version[1].width == 1);
    assert_int_equal(o.version[1].propensity_draws, 200);
    assert_true(o.version[1].prior[0] == 1 && o.version[1].prior_count == 2 && o.version[1].half_life_ms == 0);
    assert_true(o.version[0].order == ORDER_EVENT_TIME && o.version[0].batch_samples == 1);
    assert_true(o.version[1].order == ORDER_ARRIVAL && o.version[1].batch_samples == VERSION_BATCH_MAX);
    assert_true(o.version[1].batch_ratio == 0.25 && o.version[1].batch_age_ms == 60000);
    assert_string_equal(o.version[1].reward, "click");
    assert_string_equal(o.version[1].samples_from[0], "B");
    assert_int_equal(o.version[4].samples_from_count, 2);
    assert_string_equal(o.version[4].samples_from[1], "B");
}

static void defaults_are_those_of_the_manual(void **state)
{
    (void)state;
    struct options o;
    options_default(&o);
    assert_string_equal(o.data, "./tidemill-data");
    assert_string_equal(o.listen, "127.0.0.1:7070");
    assert_string_equal(o.http, "127.0.0.1:7071");
    assert_true(o.shards == 64 && o.threads == 0 && o.rpc_threads == 2);
    assert_true(o.log_sync_ms == 5 && o.commit_interval_ms == 1000 && o.memory_inbox == 64 << 20);
    assert_true(o.window_ms == 60000 && o.allowed_lateness_ms == 86400000 && o.producer_timeout_ms == 120000);
    assert_int_equal(o.key_fields, KEY_REQUEST | KEY_DOC);
    assert_true(o.streams == 2 && o.labels == 1 && o.versions == 0);
    assert_int_equal(o.stream[1].within_ms, 86400000);
}

static void the_environment_wins_over_the_file(void **state)
{
    (void)state;
    struct option_problems problems = {0};
    struct options o;
    read_text(&o, V "commit: { interval: 5s }\njoin: { window: 30s }\n", &problems);
    setenv("TIDEMILL_COMMIT_INTERVAL", "3s", 1);
    setenv("TIDEMILL_JOIN_KEY", "user,doc", 1);
    setenv("TIDEMILL_JOIN_ALLOWED_LATENESS", "2d", 1);
    setenv("TIDEMILL_SHARDS", "many", 1);
    setenv("TIDEMILL_MEMORY_TABLE", "1GiB", 1);
    options_read_environment(&o, &problems);
    unsetenv("TIDEMILL_COMMIT_INTERVAL");
    unsetenv("TIDEMILL_JOIN_KEY");
    unsetenv("TIDEMILL_JOIN_ALLOWED_LATENESS");
    unsetenv("TIDEMILL_SHARDS");
    unsetenv("TIDEMILL_MEMORY_TABLE");
    assert_int_equal(o.commit_interval_ms, 3000);
    assert_int_equal(o.window_ms, 30000);
    assert_int_equal(o.key_fields, KEY_USER | KEY_DOC);
    assert_int_equal(o.shards, 64);
    assert_int_equal(o.stream[1].within_ms, 2 * 86400000);
    expect(&problems, "TIDEMILL_SHARDS: shards: got many; expected a whole number from 1 to 4096\n"
                      "TIDEMILL_MEMORY_TABLE: memory.table is not available in this version\n");
}

static void flags_are_set_by_key(void **state)
{
    (void)state;
    struct option_problems problems = {0};
    struct options o;
    options_default(&o);
    options_set(&o, "listen", "[::1]:0", "--listen", &problems);
    assert_string_equal(o.listen, "[::1]:0");
    options_set(&o, "commit.intreval", "1s", "--commit-intreval", &problems);
    options_set(&o, "streams", "a", "--streams", &problems);
    options_set(&o, "data", "", "--data", &problems);
    expect(&problems, "--commit-intreval: commit.intreval: unknown key; did you mean commit.interval?\n"
                      "--streams: streams: can only be given in the configuration file\n"
                      "--data: data: got nothing; expected a path of 1 to 4095 bytes, printable\n");
}

static bool accepts(const char *key, const char *value)
{
    struct option_problems problems = {0};
    struct options o;
    options_default(&o);
    options_set(&o, key, value, "--flag", &problems);
    buffer_close(&problems.text);
    return problems.count == 0;
}

static void texts_have_limits(void **state)
{
    (void)state;
    struct options *o = NULL;
    char text[sizeof o->data + 1] = {0};
    memset(text, 'a', sizeof o->data - 1);
    assert_true(accepts("data", text));
    assert_false(option_name_valid(text));
    text[sizeof o->data - 1] = 'a';
    assert_false(accepts("data", text));
    memset(text, 0, sizeof text);
    memset(text, 'a', OPTION_NAME_MAX);
    assert_true(option_name_valid(text));
    text[OPTION_NAME_MAX] = 'a';
    assert_false(option_name_valid(text));
    assert_false(option_name_valid("") || option_name_valid("a b") || option_name_valid("\u00e9"));

    static const char *const fine[] = {"\u00e9", "\u4e2d", "\U0010ffff", "a b", "\"\\"};
    static const char *const broken[] = {"\u2028",   "\u2029",       "\xc2\x85",         "\ufeff", "\xff", "\xc3",
                                         "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\tb",   "\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(fine); i++)
        assert_true(accepts("data", fine[i]));
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        assert_false(accepts("data", broken[i]));
}

static void only_loopback_is_served(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        bool fine;
    } cases[] = {
        {"127.0.0.1:7070", true},
        {"127.8.9.10:1", true},
        {"localhost:7070", true},
        {"[::1]:7070", true},
        {"10.0.0.1:7070", false},
        {"example.org:7070", false},
        {"[::1:7070", false},
        {"[::2]:7070", false},
        {"127.0.0.1.example.org:7070", false},
        {"127.1:7070", false},
        {"localhost.example.org:1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct option_problems problems = {0};
        struct options o;
        read_text(&o, V, &problems);
        options_set(&o, "listen", cases[i].listen, "--listen", &problems);
        options_set(&o, "http", cases[i].listen, "--http", &problems);
        options_check(&o, path, &problems);
        if (problems.count != (cases[i].fine ? 0 : 2))
            fail_msg("%s", cases[i].listen);
        buffer_close(&problems.text);
    }
}

static uint64_t draw(uint64_t *seed) /* splitmix64 */
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void random_name(uint64_t *seed, char *name, size_t size_max)
{
    static const char letters[] = "abcXYZ0189._-";
    size_t size = 1 + draw(seed) % size_max;
    for (size_t i = 0; i < size; i++)
        name[i] = letters[draw(seed) % (sizeof letters - 1)];
    name[size] = '\0';
}

static int64_t random_span(uint64_t *seed, int64_t min, int64_t max)
{
    static const int64_t units[] = {1, 1000, 60000, 3600000, 86400000};
    int64_t v = (int64_t)(draw(seed) % (uint64_t)(max - min + 1)) + min;
    int64_t unit = units[draw(seed) % ARRAY_LEN(units)];
    return v / unit * unit < min ? v : v / unit * unit;
}

static void random_path(uint64_t *seed, char *data)
{
    static const char *const pieces[] = {"a", "/", " ", "\"", "\\",     ":",      " #",        "- ",
                                         "'", "%", "{", "*",  "\u00e9", "\u4e2d", "\U0001f600"};
    uint64_t count = 1 + draw(seed) % 900;
    *data = '\0';
    for (uint64_t i = 0; i < count; i++)
        data = stpcpy(data, pieces[draw(seed) % ARRAY_LEN(pieces)]);
}

static void random_version(uint64_t *seed, struct version_options *v)
{
    random_name(seed, v->name, OPTION_NAME_MAX);
    strcpy(v->model, "beta");
    v->prior_count = 1 + (uint32_t)(draw(seed) % 8);
    for (uint32_t p = 0; p < v->prior_count; p++)
        v->prior[p] = (double)(int64_t)draw(seed) / (double)(1 + draw(seed) % 1000000007);
    v->half_life_ms = random_span(seed, 0, 3650 * 86400000ll);
    v->policy = (uint32_t)random_span(seed, RANK_BY_THOMPSON, RANK_BY_GREEDY);
    v->epsilon = (double)random_span(seed, 0, 1000) / 1000;
    v->width = (double)random_span(seed, 1, 1000) / 10;
    v->propensity_draws = (uint32_t)random_span(seed, 0, 1000);
    v->batch_samples = 1 + (uint32_t)(draw(seed) % VERSION_BATCH_MAX);
    v->batch_ratio = (double)(draw(seed) % 1000000) / 64;
    v->batch_age_ms = random_span(seed, 0, 365 * 86400000ll);
    v->order = (uint32_t)(draw(seed) % 2);
    random_name(seed, v->reward, OPTION_NAME_MAX);
    if (draw(seed) % 2)
        strcat(v->reward, " * (1 - \"x\") + 0.5: #");
    v->samples_from_count = 1 + (uint32_t)(draw(seed) % OPTION_SAMPLES_FROM_MAX);
    for (uint32_t s = 0; s < v->samples_from_count; s++)
        random_name(seed, v->samples_from[s], OPTION_NAME_MAX);
}

static void random_items(uint64_t *seed, struct options *o)
{
    o->streams = (uint32_t)(draw(seed) % (OPTION_STREAMS_MAX + 1));
    for (uint32_t i = 0; i < o->streams; i++) {
        struct stream_options *s = &o->stream[i];
        random_name(seed, s->name, OPTION_NAME_MAX);
        s->kind = (enum option_stream_kind)(draw(seed) % 4);
        s->out_of_orderness_ms = random_span(seed, 0, 86400000);
        s->within_given = s->kind == STREAM_ACTION;
        s->key_fields = s->kind == STREAM_ACTION  ? (uint32_t)(draw(seed) % 8)
                        : s->kind == STREAM_TABLE ? 1 + (uint32_t)(draw(seed) % 7)
                                                  : 0;
        s->payload_only = s->kind == STREAM_TABLE && draw(seed) % 2;
        s->attribute = s->kind == STREAM_ACTION ? (enum option_attribute)(draw(seed) % 4) : ATTRIBUTE_DEFAULT;
        s->within_ms = s->within_given ? random_span(seed, 0, 30 * 86400000ll) : 0;
        s->required = s->kind == STREAM_FEATURES && draw(seed) % 2;
        s->before_ms = s->kind == STREAM_ACTION ? random_span(seed, 0, 86400000) : 0;
    }
    o->labels = (uint32_t)(draw(seed) % (OPTION_LABELS_MAX + 1));
    for (uint32_t i = 0; i < o->labels; i++) {
        random_name(seed, o->label[i].name, OPTION_NAME_MAX);
        random_name(seed, o->label[i].stream, OPTION_NAME_MAX);
        o->label[i].label.aggregate = (enum label_aggregate)(draw(seed) % LABEL_AGGREGATE_COUNT);
        for (int k = 0; k < 2; k++)
            if (draw(seed) % 2)
                *(k ? &o->label[i].label.cap : &o->label[i].label.threshold) =
                    (struct label_bound){true, (double)(int64_t)draw(seed) / (double)(1 + draw(seed) % 1000000007)};
    }
    o->versions = (uint32_t)(draw(seed) % (OPTION_VERSIONS_MAX + 1));
    for (uint32_t i = 0; i < o->versions; i++) {
        random_version(seed, &o->version[i]);
    }
    o->filters = (uint32_t)(draw(seed) % (OPTION_FILTERS_MAX + 1));
    for (uint32_t i = 0; i < o->filters; i++) {
        struct filter_options *f = &o->filter[i];
        random_name(seed, f->name, OPTION_NAME_MAX);
        random_name(seed, f->stream, OPTION_NAME_MAX);
        f->field = (uint32_t)(draw(seed) % OPTION_FILTER_FIELDS);
        f->action = (uint32_t)(draw(seed) % 3);
        f->min = -1e300;
        f->max = (double)(int64_t)draw(seed) / 1000;
        f->to = (double)(draw(seed) % 1000);
    }
    o->sampling = (uint32_t)(draw(seed) % (OPTION_SAMPLING_MAX + 1));
    for (uint32_t i = 0; i < o->sampling; i++) {
        struct sampling_options *r = &o->rule[i];
        random_name(seed, r->name, OPTION_NAME_MAX);
        r->keep = (double)(1 + draw(seed) % 999983) / 999983;
        r->by = (uint32_t)(draw(seed) % 2);
        r->from_position = (uint32_t)(draw(seed) % (OPTION_POSITION_MAX + 1));
        r->to_position = (uint32_t)(draw(seed) % (OPTION_POSITION_MAX + 1));
    }
}

static void random_sample_filters(uint64_t *seed, struct options *o)
{
    o->sample_filters = (uint32_t)(draw(seed) % (OPTION_SAMPLE_FILTERS_MAX + 1));
    for (uint32_t i = 0; i < o->sample_filters; i++) {
        struct sample_filter_options *f = &o->sample_filter[i];
        random_name(seed, f->name, OPTION_NAME_MAX);
        random_name(seed, f->label, OPTION_NAME_MAX);
        f->by = (uint32_t)(draw(seed) % 2);
        f->action = (uint32_t)(draw(seed) % 2);
        f->min = -1e300;
        f->max = (double)(int64_t)draw(seed) / 1000;
        if (f->action == VERDICT_ZERO && draw(seed) % 2)
            random_name(seed, f->zero, OPTION_NAME_MAX);
    }
}

static void random_options(uint64_t *seed, struct options *o)
{
    memset(o, 0, sizeof *o);
    random_path(seed, o->data);
    strcpy(o->listen, draw(seed) % 2 ? "[::1]:0" : "localhost:65535");
    strcpy(o->http, draw(seed) % 2 ? "[::1]:0" : OPTION_OFF);
    o->shards = 1 + (uint32_t)(draw(seed) % 4096);
    o->threads = (uint32_t)(draw(seed) % 1025);
    o->rpc_threads = 1 + (uint32_t)(draw(seed) % 256);
    o->log_sync_ms = random_span(seed, 0, 1000);
    o->commit_interval_ms = random_span(seed, 10, 300000);
    o->memory_inbox = (1 << 20) + draw(seed) % (1ull << 35);
    o->memory_join = (1 << 20) + draw(seed) % (1ull << 40);
    o->memory_corrections = (1 << 20) + draw(seed) % (1ull << 40);
    o->door_timeout_ms = random_span(seed, 100, 3600000);
    o->memory_lookup = (1 << 20) + draw(seed) % (1ull << 40);
    o->memory_batches = (1 << 20) + draw(seed) % (1ull << 40);
    o->memory_samples = (1 << 20) + draw(seed) % (1ull << 40);
    o->samples_retain_ms = random_span(seed, 0, 3650 * 86400000ll);
    o->window_ms = random_span(seed, 0, 7 * 86400000ll);
    o->allowed_lateness_ms = random_span(seed, 0, 30 * 86400000ll);
    o->producer_timeout_ms = random_span(seed, 1000, 7 * 86400000ll);
    o->key_fields = 1 + (uint32_t)(draw(seed) % 7);
    if (draw(seed) % 2)
        random_path(seed, o->users_block);
    o->users_max_events = (uint32_t)(draw(seed) % 60001);
    o->users_per_ms = random_span(seed, 1000, 86400000);
    random_items(seed, o);
    random_sample_filters(seed, o);
}

/* What does not count: where things stood, and what lies behind the end of the lists. */
static void forget_places(struct options *o)
{
    for (uint32_t i = 0; i < o->streams; i++)
        o->stream[i].place = (struct option_place){0};
    for (uint32_t i = 0; i < o->labels; i++)
        o->label[i].place = (struct option_place){0};
    for (uint32_t i = 0; i < o->versions; i++)
        o->version[i].place = (struct option_place){0};
    for (uint32_t i = 0; i < o->filters; i++)
        o->filter[i].place = (struct option_place){0};
    memset(&o->filter[o->filters], 0, (OPTION_FILTERS_MAX - o->filters) * sizeof o->filter[0]);
    for (uint32_t i = 0; i < o->sampling; i++)
        o->rule[i].place = (struct option_place){0};
    memset(&o->rule[o->sampling], 0, (OPTION_SAMPLING_MAX - o->sampling) * sizeof o->rule[0]);
    memset(&o->stream[o->streams], 0, (OPTION_STREAMS_MAX - o->streams) * sizeof o->stream[0]);
    memset(&o->label[o->labels], 0, (OPTION_LABELS_MAX - o->labels) * sizeof o->label[0]);
    memset(&o->version[o->versions], 0, (OPTION_VERSIONS_MAX - o->versions) * sizeof o->version[0]);
    for (uint32_t i = 0; i < o->sample_filters; i++)
        o->sample_filter[i].place = (struct option_place){0};
    memset(&o->sample_filter[o->sample_filters], 0,
           (OPTION_SAMPLE_FILTERS_MAX - o->sample_filters) * sizeof o->sample_filter[0]);
    size_t block = strlen(o->users_block);
    memset(o->users_block + block, 0, sizeof o->users_block - block);
    size_t data = strlen(o->data), listen = strlen(o->listen), http = strlen(o->http);
    memset(o->data + data, 0, sizeof o->data - data);
    memset(o->listen + listen, 0, sizeof o->listen - listen);
    memset(o->http + http, 0, sizeof o->http - http);
}

static void what_is_shown_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 300; round++) {
        struct option_problems problems = {0};
        static struct options o, again;
        struct buffer text = {0};
        random_options(&seed, &o);
        options_show(&o, &text);
        write_file(buffer_view(&text));
        options_default(&again);
        options_read_file(&again, path, &problems);
        expect(&problems, "");
        forget_places(&again);
        assert_memory_equal(&o, &again, sizeof o);
        buffer_close(&text);
    }
}

/* Nothing is wrong with these, but somebody may want to know. */
static void rewards_beyond_their_model_are_told(void **state)
{
    static const struct {
        const char *reward, *want;
    } cases[] = {
        {"click", ""},
        {"min(stay / 60, 1)",
         "f:5:5: warning: versions[0].reward: min(stay / 60, 1) can be from -infinity to 1; model beta "
         "learns 0 to 1, and what is beyond is cut to that\n"},
        {"max(0, min(stay / 60, 1))", ""},
        {"click + 5*order",
         "f:5:5: warning: versions[0].reward: click + 5*order can be from 0 to 16; model beta learns "
         "0 to 1, and what is beyond is cut to that\n"},
        {"order / 3", ""},
        {"click * (stay > 30)", ""},
        {"click - late",
         "f:5:5: warning: versions[0].reward: click - late can be from -86400 to 1; model beta learns 0 to "
         "1, and what is beyond is cut to that\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer text = {0};
        struct option_problems problems = {0};
        static struct options o;
        buffer_print(&text,
                     "labels: [{ name: click, stream: clicks }, { name: stay, stream: clicks, aggregate: sum },\n"
                     "  { name: order, stream: clicks, aggregate: count, cap: 3 },\n"
                     "  { name: late, stream: clicks, aggregate: first_delay }]\n"
                     "versions:\n  - { name: A, model: beta, reward: \"%s\" }\n",
                     cases[i].reward);
        write_file(buffer_view(&text));
        options_default(&o);
        options_read_file(&o, path, &problems);
        options_check(&o, path, &problems);
        expect(&problems, "");
        options_warn(&o, path, &problems);
        expect(&problems, cases[i].want);
    }
}

static void positives_at_once_are_warned_about(void **state)
{
    static const struct {
        const char *join, *want;
    } cases[] = {
        {"positive_at_once: true",
         "f: warning: join.positive_at_once: positives are learned up to 1m before the negatives of their time, so "
         "what "
         "is served is too high: about 1.8 times a rate of 5 % for a document twice as old as that, 1.16 times for one "
         "six times as old; a shorter join.window does without\n"},
        {"positive_at_once: true, window: 0s", ""}, /* negatives are made at once, too */
        {"positive_at_once: false", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buffer_close) struct buffer text = {0};
        struct option_problems problems = {0};
        static struct options o;
        buffer_print(&text, "join: { %s }\n", cases[i].join);
        write_file(buffer_view(&text));
        options_default(&o);
        options_read_file(&o, path, &problems);
        options_warn(&o, path, &problems);
        expect(&problems, cases[i].want);
    }
}

/* Half of them mean something to YAML. */
static char random_byte(uint64_t *seed)
{
    static const char marks[] = "\"'[]{}:,-#&*!|>%@\n\t \\?";
    return draw(seed) % 2 ? (char)draw(seed) : marks[draw(seed) % (sizeof marks - 1)];
}

static void no_bytes_harm_the_reader(void **state)
{
    (void)state;
    uint64_t seed = 11, refused = 0;
    static struct options o;
    for (int round = 0; round < 20000; round++) {
        struct option_problems problems = {0};
        char text[sizeof good_file];
        struct buffer shown = {0};
        memcpy(text, good_file, sizeof text);
        for (uint64_t i = 1 + draw(&seed) % 8; i > 0; i--)
            text[draw(&seed) % (sizeof text - 1)] = random_byte(&seed);
        write_file(bytes_of(text, draw(&seed) % 4 ? sizeof text - 1 : draw(&seed) % sizeof text));
        options_default(&o);
        options_read_file(&o, path, &problems);
        options_check(&o, path, &problems);
        options_show(&o, &shown);
        assert_true((problems.count > 0) == (problems.text.size > 0));
        refused += problems.count > 0;
        buffer_close(&shown);
        buffer_close(&problems.text);
    }
    assert_true(refused > 10000 && refused < 20000);
}

static void units_read_and_print(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
        int64_t ms;
    } durations[] = {
        {"5ms", "5ms", 5},    {"60s", "1m", 60000},    {"90s", "90s", 90000},
        {"2m", "2m", 120000}, {"24h", "1d", 86400000}, {"14d", "14d", 1209600000},
        {"0", "0s", 0},       {"0d", "0s", 0},         {"9223372036854775807ms", "9223372036854775807ms", INT64_MAX},
    };
    static const char *const no_durations[] = {
        "", "60", "s", "5 s", "5S", "-5s", "1.5s", "5sec", "0x5s", "9223372036854775808ms", "106751991168d"};
    char buf[UNITS_TEXT_SIZE];
    int64_t ms = -1;
    uint64_t size = 1;
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        assert_true(duration_parse(durations[i].text, &ms));
        assert_true(ms == durations[i].ms);
        assert_string_equal(duration_text(ms, buf), durations[i].printed);
    }
    ms = -1;
    for (size_t i = 0; i < ARRAY_LEN(no_durations); i++)
        assert_false(duration_parse(no_durations[i], &ms));
    assert_true(ms == -1);
    assert_true(size_parse("64KiB", &size) && size == 65536);
    assert_string_equal(size_text(size, buf), "64KiB");
    assert_true(size_parse("1GiB", &size) && size == 1 << 30);
    assert_string_equal(size_text(size + 1, buf), "1073741825B");
    assert_false(size_parse("64KB", &size) || size_parse("64", &size) || size_parse("9000000TiB", &size));
}

static void the_manual_is_up_to_date(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer want = {0}, got = {0};
    struct tm_error err = {0};
    options_reference(&want);
    if (file_read(TIDEMILL_SOURCES "/docs/configuration.md", OPTION_FILE_MAX, &got, &err))
        fail_msg("%s", err.message);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
}

/* "test_options reference" prints the manual's page. */
int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_read_and_print),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(a_good_file_means_what_it_says),
        cmocka_unit_test(bad_files_are_answered_in_full),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(a_missing_file_is_a_problem),
        cmocka_unit_test(the_environment_wins_over_the_file),
        cmocka_unit_test(flags_are_set_by_key),
        cmocka_unit_test(texts_have_limits),
        cmocka_unit_test(only_loopback_is_served),
        cmocka_unit_test(what_is_shown_reads_back),
        cmocka_unit_test(rewards_beyond_their_model_are_told),
        cmocka_unit_test(positives_at_once_are_warned_about),
        cmocka_unit_test(no_bytes_harm_the_reader),
        cmocka_unit_test(the_manual_is_up_to_date),
    };
    if (argc == 2 && strcmp(argv[1], "reference") == 0) {
        struct buffer out = {0};
        options_reference(&out);
        fwrite(out.data, 1, out.size, stdout);
        buffer_close(&out);
        return 0;
    }
    int fd = memfd_create("tidemill.yaml", MFD_CLOEXEC);
    if (fd < 0)
        return 1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
