/* The join of the configuration: how its streams and labels are numbered, and what it may change of the one that there
 * is. */
#include <stdlib.h>

#include "base/log.h"
#include "ps/engine/option_table.h"
#include "ps/engine/parts.h"

/* Numbers are those of the data directory; what is new comes behind, in the order of names, so that the order in the
 * file means nothing. */
static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* names: `count` of the file. there: those of the data directory, which come first. */
static void order(const char **names, uint32_t count, const char (*there)[CATALOG_NAME_MAX + 1], uint32_t there_count)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < there_count; i++)
        for (uint32_t k = at; k < count; k++)
            if (strcmp(names[k], there[i]) == 0) {
                const char *name = names[k];
                names[k] = names[at];
                names[at++] = name;
                break;
            }
    qsort(names + at, count - at, sizeof *names, by_name);
}

static const struct stream_options *find_stream(const struct options *o, const char *name)
{
    for (uint32_t i = 0; i < o->streams; i++)
        if (strcmp(o->stream[i].name, name) == 0)
            return &o->stream[i];
    return NULL;
}

static struct joiner_stream stream_of(const struct options *o, const struct stream_options *s)
{
    static const enum joiner_stream_kind kinds[] = {[STREAM_FEATURES] = JOINER_FEATURES,
                                                    [STREAM_IMPRESSION] = JOINER_IMPRESSION,
                                                    [STREAM_ACTION] = JOINER_ACTION,
                                                    [STREAM_TABLE] = JOINER_TABLE};
    struct joiner_stream out = {.kind = kinds[s->kind],
                                .within_ms = s->within_ms,
                                .before_ms = s->before_ms,
                                .required = s->required,
                                .dimension = s->dimension};
    if (s->kind == STREAM_TABLE) {
        out.key_fields = s->key_fields;
        out.payload_only = s->payload_only;
    }
    if (!option_own_key(o, s))
        return out;
    out.key_fields = s->key_fields;
    out.attribute = s->attribute == ATTRIBUTE_FIRST ? JOINER_ATTRIBUTE_FIRST
                    : s->attribute == ATTRIBUTE_ALL ? JOINER_ATTRIBUTE_ALL
                                                    : JOINER_ATTRIBUTE_LAST;
    return out;
}

static void set_streams(const struct options *o, const struct catalog *have, struct catalog *c)
{
    const char *names[OPTION_STREAMS_MAX];
    for (uint32_t i = 0; i < o->streams; i++)
        names[i] = o->stream[i].name;
    order(names, o->streams, have->stream_name, have->join.streams);
    for (uint32_t i = 0; i < o->streams; i++) {
        const struct stream_options *s = find_stream(o, names[i]);
        memcpy(c->stream_name[i], s->name, sizeof s->name);
        c->join.stream[i] = stream_of(o, s);
    }
    joiner_derive_keys(&c->join);
}

static void set_labels(const struct options *o, const struct catalog *have, struct catalog *c)
{
    const char *names[OPTION_LABELS_MAX];
    for (uint32_t i = 0; i < o->labels; i++)
        names[i] = o->label[i].name;
    order(names, o->labels, have->label_name, have->join.labels);
    for (uint32_t i = 0; i < o->labels; i++)
        for (uint32_t k = 0; k < o->labels; k++)
            if (strcmp(o->label[k].name, names[i]) == 0) {
                int stream = catalog_stream(c, bytes_text(o->label[k].stream));
                CHECK(stream >= 0); /* options_check said so */
                memcpy(c->label_name[i], o->label[k].name, sizeof o->label[k].name);
                c->join.label[i] = o->label[k].label;
                c->join.stream[stream].labels |= UINT64_C(1) << i;
            }
}

void setup_join(const struct options *o, const struct catalog *have, struct catalog *c)
{
    c->joined = true;
    c->key_fields = o->key_fields;
    c->join = (struct joiner_config){.streams = o->streams,
                                     .labels = o->labels,
                                     .window_ms = o->window_ms,
                                     .allowed_lateness_ms = o->allowed_lateness_ms,
                                     .at_once = o->positive_at_once};
    set_streams(o, have, c);
    set_labels(o, have, c);
}

void setup_sequencer(const struct options *o, const struct catalog *wanted, struct sequencer_options *out)
{
    enum { PRODUCERS_MAX = 10000 };
    *out = (struct sequencer_options){.streams = SEQUENCER_STREAMS_MAX, /* some may come while the log is open */
                                      .window_ms = o->window_ms,
                                      .producer_timeout_ms = o->producer_timeout_ms,
                                      .producer_retain_ms = INT64_C(7) * 86400000,
                                      .producers_max = PRODUCERS_MAX,
                                      .user_events = o->users_max_events,
                                      .user_window_ms = o->users_per_ms};
    for (uint32_t i = 0; i < wanted->join.streams; i++)
        out->out_of_orderness_ms[i] = find_stream(o, wanted->stream_name[i])->out_of_orderness_ms;
}

/* The number of the oldest epoch with undecided impressions, as the shards' last commits know it: since then it can
 * only have become a newer one. A shard that has not committed one yet may have impressions of every epoch there is. */
static uint32_t oldest_epoch(struct engine *e)
{
    const struct joiner_config *have = &e->catalog.join;
    uint32_t oldest = have->epoch[have->epochs - 1].number;
    pthread_mutex_lock(&e->committer.mutex);
    for (uint32_t i = 0; i < e->options.shards; i++) {
        uint32_t epoch = e->committer.counts[i].oldest_epoch;
        epoch = epoch > 0 ? epoch : have->epoch[0].number;
        oldest = epoch < oldest ? epoch : oldest;
    }
    pthread_mutex_unlock(&e->committer.mutex);
    return oldest;
}

static int64_t end_window(struct engine *e, int64_t wanted_ms)
{
    const struct joiner_config *have = &e->catalog.join;
    uint32_t oldest = have->epochs > 0 ? oldest_epoch(e) : 0;
    int64_t longest = wanted_ms;
    for (uint32_t i = 0; i < have->epochs; i++)
        if (have->epoch[i].number >= oldest && have->epoch[i].window_ms > longest)
            longest = have->epoch[i].window_ms;
    return longest;
}

void setup_number(struct engine *e, struct catalog *wanted)
{
    setup_renumber(e->configured, &e->catalog, wanted);
    setup_sequencer(e->configured, wanted, &e->sequencing);
    e->sequencing.window_ms = end_window(e, wanted->join.window_ms);
}

/* Versions that are there already, whoever made them. */
static enum tm_code check_orders(const struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    for (uint32_t i = 0; wanted->join.at_once && i < e->catalog.versions; i++)
        if (e->catalog.version[i]->order == ORDER_EVENT_TIME)
            return tm_error_set(err, TM_FAILED_PRECONDITION,
                                "join.positive_at_once: got true; expected false while there is version %s with order: "
                                "event_time",
                                e->catalog.version[i]->name);
    return TM_OK;
}

static enum tm_code check_epochs(struct engine *e, struct tm_error *err)
{
    const struct joiner_config *have = &e->catalog.join;
    uint32_t newest = have->epoch[have->epochs - 1].number, oldest = oldest_epoch(e);
    if (newest + 1 - oldest < JOINER_EPOCHS_MAX)
        return TM_OK;
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "join: it was changed %u times since impressions came that are not decided yet; expected less "
                        "than %d times: try again when they are, tidemill status tells how far event time is decided",
                        newest - oldest, JOINER_EPOCHS_MAX);
}

enum tm_code setup_compare_join(struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    enum tm_code rc = catalog_join_extends(&e->catalog, wanted, err);
    if (rc != TM_OK) {
        struct tm_error why = *err;
        return tm_error_set(err, rc,
                            "%s; streams and labels may be added, and join.window and join.positive_at_once may "
                            "change, for impressions from then on: put the rest back, or serve this configuration from "
                            "a new data directory and send it the kept events (tidemill ingest)",
                            why.message);
    }
    rc = check_orders(e, wanted, err);
    if (rc != TM_OK)
        return rc;
    return catalog_join_same(&e->catalog, wanted) ? TM_OK : check_epochs(e, err);
}

enum tm_code setup_apply_join(struct engine *e, const struct catalog *wanted, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    const struct joiner_config *have = &e->catalog.join, *want = &wanted->join;
    uint64_t position;
    if (e->catalog.joined && catalog_join_same(&e->catalog, wanted))
        return TM_OK;
    if (e->catalog.joined)
        log_line("info", "join_changed",
                 "streams=%u was=%u labels=%u was=%u window_ms=%lld was=%lld positive_at_once=%d was=%d", want->streams,
                 have->streams, want->labels, have->labels, (long long)want->window_ms, (long long)have->window_ms,
                 want->at_once, have->at_once);
    if (options_ahead(want->at_once, want->window_ms))
        log_line("warn", "join_positive_at_once", "window_ms=%lld what is served is too high while positives are ahead",
                 (long long)want->window_ms);
    catalog_pack_join(wanted, &control);
    return control_append(e, &control, &position, err);
}
